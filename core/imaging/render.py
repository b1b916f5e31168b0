"""The one rendering from 16 to 8 bits, used by the model and by the screen alike."""

from __future__ import annotations

import math

import numpy as np

from core.errors import ImageError
from core.imaging.png import is_picture

WINDOW_RANK = 6  # the window's top is the 6th-highest pixel, so that a few noisy pixels cannot darken the picture


def default_window(pixels: np.ndarray) -> tuple[float, float]:
    """The window in which a picture is shown when nobody asks for another.

    Parameters
    ----------
    pixels : uint8 or uint16 array, shape (height, width)

    Returns
    -------
    tuple of float
        (0, 255) for 8 bits, which is the identity. For 16 bits (0, value of the 6th-highest pixel), at least 1: the
        scale of counts, whose zero is a true zero.
    """
    _check(pixels)
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    place = max(pixels.size - WINDOW_RANK, 0)
    return 0.0, float(max(1, np.partition(pixels, place, axis=None)[place]))


def render_uint8(pixels: np.ndarray, window: tuple[float, float] | None = None) -> np.ndarray:
    """Map a window of values linearly onto 0 to 255; colour stays as it is.

    Parameters
    ----------
    pixels : uint8 or uint16 array, shape (height, width), or uint8 (height, width, 3) without a window
    window : tuple of float, optional
        (low, high): values up to ``low`` become 0, from ``high`` on 255. None takes :func:`default_window`.

    Returns
    -------
    uint8 array, shape of the pixels

    Raises
    ------
    ImageError
        If the array is no grey image, or the window is not finite with low < high.
    """
    if pixels.ndim == 3 and window is None and is_picture(pixels):
        return pixels.copy()
    _check(pixels)
    if window is None:
        if pixels.dtype == np.uint8:
            return pixels.copy()
        window = default_window(pixels)
    low, high = float(window[0]), float(window[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageError("a window needs two finite numbers, the lower first", field="window", value=window)
    table = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=np.float64)
    shown = np.rint(np.clip((table - low) / (high - low), 0.0, 1.0) * 255).astype(np.uint8)
    return np.asarray(shown[pixels])


def _check(pixels: np.ndarray) -> None:
    """Refuse what is no grey picture of 8 or 16 bits."""
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            "only a grey image of 8 or 16 bits can be shown",
            value=f"{pixels.dtype} {pixels.shape}",
            fix="use a (height, width) array of uint8 or uint16",
        )
