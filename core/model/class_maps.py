"""The size of class maps on an image, and the value that one colour scale ends at. Numbers only; no torch."""

from __future__ import annotations

import numpy as np

from core.errors import ModelError


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


def class_tops(class_maps: np.ndarray, quantile: float = 0.99) -> np.ndarray:
    """Raw value of each class to draw as full strength in a whole cohort: a quantile of the cases' own maxima.

    One value for all cases, so that weak evidence for a class looks weak beside that class's strongest.

    Parameters
    ----------
    class_maps : float array, shape (n, k, h, w)
        Raw maps of the cohort.
    quantile : float
        Below 1, so that one odd case does not darken the rest.

    Returns
    -------
    float array, shape (k,)
        Above 0, also for a class without any evidence.

    Raises
    ------
    ModelError
        If there is no case.
    """
    if len(class_maps) == 0:
        raise ModelError("no class maps to take a scale from.")
    maxima = np.asarray(class_maps, dtype=np.float64).max(axis=(2, 3))
    return np.asarray(np.maximum(np.quantile(maxima, quantile, axis=0), 1e-6))
