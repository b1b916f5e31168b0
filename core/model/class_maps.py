"""Drawing class maps: small raw arrays in, what a browser needs to draw them over the image out. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ModelError
from core.model.preprocessing import square_to_image_box


def enlarge(class_maps: np.ndarray, size: int) -> np.ndarray:
    """Class maps at the size of the prepared image, bilinear, on their raw scale.

    Parameters
    ----------
    class_maps : float array, shape (..., h, w)
    size : int
        Side length in pixels of the square that :func:`core.model.preprocessing.prepare` made.

    Returns
    -------
    float32 array, shape (..., size, size)
    """
    height, width = class_maps.shape[-2:]
    rows, columns = _bilinear_matrix(height, size), _bilinear_matrix(width, size)
    return (rows @ np.asarray(class_maps, dtype=np.float64) @ columns.T).astype(np.float32)


def _bilinear_matrix(n_in: int, n_out: int) -> np.ndarray:
    """(n_out, n_in) weights of bilinear interpolation along one side, pixel centres aligned, edges extended."""
    centre = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
    left = np.floor(centre).astype(int)
    right = np.minimum(left + 1, n_in - 1)
    matrix = np.zeros((n_out, n_in))
    np.add.at(matrix, (np.arange(n_out), left), 1 - (centre - left))
    np.add.at(matrix, (np.arange(n_out), right), centre - left)
    return matrix


@dataclass(frozen=True)
class Overlay:
    """What a browser needs to draw one class map over one image."""

    values: np.ndarray  # (h, w) uint8, 255 at the common scale's top
    top: float  # raw value drawn as 255
    box: tuple[float, float, float, float]  # top, left, bottom, right of the image in the map, fractions of its side


def overlays(class_maps: np.ndarray, image_shape: tuple[int, int], *, top: float | None = None) -> list[Overlay]:
    """Class maps of one case as small uint8 arrays on one scale.

    Parameters
    ----------
    class_maps : float array, shape (k, h, w)
        Raw maps of one case.
    image_shape : (int, int)
        Height and width in pixels of the image itself, before padding.
    top : float, optional
        Raw value to draw as full strength: a value fixed for a whole cohort makes cases comparable too. None takes the
        strongest value among the classes of this case.
    """
    scale = float(class_maps.max()) if top is None else top
    box = square_to_image_box(*image_shape)
    if scale <= 0:
        return [Overlay(np.zeros(one.shape, np.uint8), 0.0, box) for one in class_maps]
    drawn = np.clip(np.rint(class_maps / scale * 255), 0, 255).astype(np.uint8)
    return [Overlay(one, scale, box) for one in drawn]


def common_scale(class_maps: Sequence[np.ndarray] | np.ndarray, quantile: float = 0.99) -> float:
    """Raw value to draw as full strength in a whole cohort: a quantile of the cases' own maxima."""
    maxima = [float(one.max()) for one in class_maps]
    if not maxima:
        raise ModelError("no class maps to take a scale from.")
    return float(np.quantile(maxima, quantile))
