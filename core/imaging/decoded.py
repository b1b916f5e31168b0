"""What both decoders hand back, and the size that neither may exceed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ImageError
from core.study import LeftSide

MAX_PIXELS = 16_777_216  # 4096 x 4096; a gamma camera's largest matrix is 1024 x 1024


@dataclass(frozen=True)
class Decoded:
    """Pixels of one file, and what was done to them."""

    pixels: np.ndarray  # (height, width) uint8 or uint16; colour that is kept: (height, width, 3) uint8
    pixel_spacing_mm: float | None = None
    left_side: LeftSide | None = None
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def check_size(width: int, height: int) -> None:
    """Refuse a picture before its pixels are unpacked."""
    if width < 1 or height < 1:
        raise ImageError("the picture has no pixels", value=f"{width} x {height}")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"the picture has more than {MAX_PIXELS:,} pixels",
            value=f"{width} x {height}",
            fix="export it at its original matrix",
        )
