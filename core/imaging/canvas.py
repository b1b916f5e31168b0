"""One size for all that a reader sees: pictures are laid on a canvas, never resampled.

A study whose tumors are 128 pixels wide and all else 96 tells the class by its size, on the screen and on the wire. So
every picture of a view is centred on the largest matrix among the cases that the reader reads, in one number format.
What lies around it has the picture's own background, so counts stay counts. The model takes the picture without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Canvas:
    """What every picture of one view has in common."""

    height: int  # pixels
    width: int
    bits: int  # 16 where one picture has 16
    unit: str  # "counts", "grey" or "colour"

    def origin(self, height: int, width: int) -> tuple[int, int]:
        """Row and column of the canvas at which a picture of this size begins."""
        return (self.height - height) // 2, (self.width - width) // 2


def laid_on(canvas: Canvas, pixels: np.ndarray) -> np.ndarray:
    """A picture on its canvas.

    Parameters
    ----------
    canvas : Canvas
        At least as large as the picture.
    pixels : uint8 or uint16 array, shape (height, width), or uint8 (height, width, 3) on a canvas of unit "colour"

    Returns
    -------
    array of the canvas's height and width, uint8 or, on a canvas of 16 bits, uint16
        The same values, centred; around them the picture's own background (:func:`background`).
    """
    height, width = pixels.shape[:2]
    top, left = canvas.origin(height, width)
    laid = np.empty((canvas.height, canvas.width, *pixels.shape[2:]), np.uint16 if canvas.bits == 16 else np.uint8)
    laid[:] = background(pixels)
    laid[top : top + height, left : left + width] = pixels
    return laid


def background(pixels: np.ndarray) -> np.ndarray:
    """The value of a picture where nothing is: air, not the body that its border may cut.

    Returns
    -------
    array, shape () or (3,)
        That pixel of the border which a tenth of the border lies below in brightness, or above it where the border is
        bright (inverse grey).
    """
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    brightness = border.astype(float) if border.ndim == 1 else border.astype(float).sum(axis=1)
    top = float(pixels.max()) * (1 if border.ndim == 1 else 3)
    place = 0.9 if np.median(brightness) > top / 2 else 0.1
    return np.asarray(border[np.argsort(brightness, kind="stable")[int(place * (len(border) - 1))]])
