"""Colour pictures: grey by luminance, where the grey follows the counts."""

from __future__ import annotations

import numpy as np


def grey_of_colour(channels: np.ndarray, notes: list[str]) -> np.ndarray:
    """Luminance (ITU-R BT.601) of an RGB picture, shape (height, width, 3) to (height, width) uint8."""
    luminance = channels @ np.array([0.299, 0.587, 0.114])
    notes.append("colour turned to grey by luminance (ITU-R BT.601)")
    return np.rint(luminance).astype(np.uint8)
