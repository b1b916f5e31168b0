"""Where the small model lies that ships with the repository: trained on phantoms by ``make train``."""

from __future__ import annotations

from pathlib import Path

#: The checkpoint that the demo predicts with and ``python -m training fit --shipped`` replaces.
SHIPPED_CHECKPOINT = Path(__file__).resolve().parent / "weights" / "resnet16_fine_phantom.safetensors"
