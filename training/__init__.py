"""Training: recipes, data, one loop, cross-validation, and ``python -m training``.

Runs on a machine that has no database and no Streamlit. Arrows point down only: this room imports ``core`` and
nothing above it.
"""

import os

# Spinning OpenMP threads starve a busy machine: measured 0.5 against 17 images per second. Must precede torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Deterministic matrix products on CUDA need a fixed workspace; harmless elsewhere. Must precede the first CUDA call.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
