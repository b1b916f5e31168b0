"""The science of a reader study: imaging, phantoms, models, statistics, analysis. No Streamlit, no SQL."""

import os

# OpenMP workers that spin while waiting make two processes on the same cores 10 to 30 times slower; the variable
# only counts if it is set before torch or onnxruntime is first imported, so it is set where the package begins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# onnxruntime (1.31 and later, on Linux) otherwise keeps a device id and a database of events below the home folder and
# sends them; only the variable, and only before the import, prevents it. Child processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
