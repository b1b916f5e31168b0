"""Grids, Gaussian kernels, random fields and draws: the mathematics under the simulator.

Units are millimetres. A Gaussian blur on a square grid is two matrix products, ``K @ image @ K.T``, which on
128 x 128 is several times faster than a convolution and treats borders explicitly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

FWHM_PER_SIGMA = 2.3548200450309493  # 2 sqrt(2 ln 2)


@dataclass(frozen=True)
class Grid:
    """Anatomical coordinates of every pixel; x grows to image right (the patient's left), y grows down."""

    x_mm: np.ndarray  # (n, n)
    y_mm: np.ndarray  # (n, n)
    pixel_mm: float

    @property
    def size(self) -> int:
        """Pixels along one side."""
        return int(self.x_mm.shape[0])

    @property
    def pixel_cm2(self) -> float:
        """Area of one pixel in square centimetres."""
        return (self.pixel_mm / 10.0) ** 2


def generator(*words: str | int) -> np.random.Generator:
    """Random generator that depends on nothing but ``words``.

    Parameters
    ----------
    *words : str or int
        For example study, split, class and index. ``("a", 1)`` and ``("a1",)`` give different streams.

    Returns
    -------
    numpy.random.Generator
        PCG64 seeded with the first 128 bits of the SHA-256 of the words.
    """
    text = "\x1f".join(f"{type(word).__name__}:{word}" for word in words)
    digest = hashlib.sha256(f"reading-room-phantom-v1\x1e{text}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def make_grid(
    size: int, pixel_mm: float, *, origin_mm: tuple[float, float] = (0.0, 0.0), angle_deg: float = 0.0
) -> Grid:
    """Square grid whose origin lies ``origin_mm`` right of and below the image centre, turned by ``angle_deg``."""
    line = (np.arange(size) - (size - 1) / 2.0) * pixel_mm
    x = line[np.newaxis, :] - origin_mm[0]
    y = line[:, np.newaxis] - origin_mm[1]
    angle = np.deg2rad(angle_deg)
    return Grid(
        x_mm=np.cos(angle) * x + np.sin(angle) * y, y_mm=-np.sin(angle) * x + np.cos(angle) * y, pixel_mm=pixel_mm
    )


def _kernel(size: int, sigma_px: float) -> np.ndarray:
    """Unnormalised Gaussian weights, shape (size, size)."""
    index = np.arange(size, dtype=np.float64)
    profile = np.exp(-0.5 * (index / max(sigma_px, 1e-6)) ** 2)
    return profile[np.abs(np.subtract.outer(np.arange(size), np.arange(size)))]


def blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur of a square image; beyond the border the image is taken to go on as inside the kernel.

    Parameters
    ----------
    image : float array, shape (n, n)
    sigma_px : float
        Standard deviation in pixels; 0 returns the image.
    """
    if sigma_px <= 0:
        return image
    kernel = _kernel(image.shape[0], sigma_px)
    kernel /= kernel.sum(axis=1, keepdims=True)
    return np.asarray(kernel @ image @ kernel.T)


def random_field(rng: np.random.Generator, grid: Grid, correlation_mm: float) -> np.ndarray:
    """Gaussian random field with unit variance in every pixel.

    Parameters
    ----------
    rng : numpy.random.Generator
    grid : Grid
    correlation_mm : float
        Standard deviation of the Gaussian that white noise is smoothed with.

    Returns
    -------
    float array, shape (n, n)
    """
    kernel = _kernel(grid.size, correlation_mm / grid.pixel_mm)
    kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))  # row norm 1: variance stays exactly 1
    return np.asarray(kernel @ rng.standard_normal((grid.size, grid.size)) @ kernel.T)


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One uniform draw."""
    return float(rng.uniform(low, high))


def log_normal(
    rng: np.random.Generator, median: float, sigma: float, low: float = 0.0, high: float = float("inf")
) -> float:
    """``median * exp(sigma * N(0, 1))``, drawn again until it lies in [low, high]."""
    while True:
        value = median * float(np.exp(sigma * rng.standard_normal()))
        if low <= value <= high:
            return value


def clipped_normal(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    """A normal draw set to the nearer end when it falls outside [low, high]."""
    return float(np.clip(rng.normal(mean, sd), low, high))


def choose(rng: np.random.Generator, shares: Sequence[tuple[str, float]]) -> str:
    """One name, with probability proportional to its share."""
    weights = np.array([share for _, share in shares])
    edges = np.cumsum(weights / weights.sum())
    return shares[min(int(np.searchsorted(edges, rng.random(), side="right")), len(shares) - 1)][0]


def enlarge(image: np.ndarray, size: int) -> np.ndarray:
    """Bilinear enlargement of a square image by a whole factor; the sum grows by the factor squared."""
    factor, rest = divmod(size, image.shape[0])
    if rest or factor < 1:
        raise ValueError(f"{size} is not a multiple of {image.shape[0]}")
    if factor == 1:
        return image
    matrix = _bilinear(image.shape[0], factor)
    return np.asarray(matrix @ image @ matrix.T)


@lru_cache(maxsize=8)
def _bilinear(size: int, factor: int) -> np.ndarray:
    """Interpolation matrix, shape (size * factor, size), pixel centres aligned as areas are."""
    position = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    lower = np.minimum(position.astype(int), size - 2)
    share = position - lower
    matrix = np.zeros((size * factor, size))
    rows = np.arange(size * factor)
    matrix[rows, lower] = 1 - share
    matrix[rows, lower + 1] += share
    return matrix
