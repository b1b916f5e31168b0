"""Activity outside the thyroid: neck, head, shoulders, salivary glands, mouth, nose, oesophagus; the neck is 1.

Sources: ratios to the neck measured on one real Symbia T6 scan (shoulder .54, chest 1.34, face 1.46, air .016);
salivary glands above the thyroid in subacute thyroiditis and below it in Graves' disease (paper; case reports).
Contours, spreads and amplitudes are assumed; medians run slightly below the real scan.
"""

from __future__ import annotations

import numpy as np

from core.phantom.fields import Grid, log_normal, random_field, uniform

#: Areal activity of the neck as a share of the injected activity per cm2, and its log spread (assumed: gives the
#: measured peak-to-neck ratio at the published uptake).
NECK_PER_CM2 = 0.7e-4
NECK_SPREAD = 0.22
AIR = 0.015  # relative activity outside the body (0.016 measured on the real scan)
MOUTH_AMPLITUDE = (0.55, 1.1)  # relative to the salivary factor (assumed)
NOSE_AMPLITUDE = (0.2, 0.6)  # likewise (assumed)
OESOPHAGUS_SHARE = 0.07  # swallowed saliva seen in so many scans (assumed)


def draw_neck_activity(rng: np.random.Generator) -> float:
    """Areal activity of the neck, share of the injected activity per cm2."""
    return log_normal(rng, NECK_PER_CM2, NECK_SPREAD)


def draw_body(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    """Relative activity of everything but the thyroid.

    Returns
    -------
    float array, shape (n, n)
        Multiples of the neck's activity.
    """
    x, y = grid.x_mm, grid.y_mm
    jaw = uniform(rng, -52.0, -38.0)
    neck = _inside(uniform(rng, 48.0, 60.0) - np.abs(x), 3.0) * (0.4 + 0.6 * np.exp(-((x / 26) ** 2)))
    across, up = uniform(rng, 66.0, 78.0), 92.0
    radius = np.sqrt((x / across) ** 2 + ((y - (jaw - 75)) / up) ** 2)
    head = _inside((1 - radius) * across, 3.0) * uniform(rng, 0.95, 1.5) * (0.55 + 0.45 * np.exp(-((x / 40) ** 2)))
    line = uniform(rng, -34.0, -6.0) + uniform(rng, 34.0, 52.0) * np.tanh(np.abs(x) / 110)
    chest = 1 + uniform(rng, 0.3, 0.9) * np.clip(y - 25, 0, 110) / 80 * np.exp(-((x / 42) ** 2))
    shoulders = _inside(y - line, 8.0) * (0.52 + 0.48 * np.exp(-((x / 34) ** 2))) * chest
    body = np.maximum(np.maximum(neck, head), shoulders) * np.exp(0.12 * random_field(rng, grid, 18.0)) + AIR
    body = body + _salivary(rng, grid, jaw)
    if rng.random() < OESOPHAGUS_SHARE:
        ends = _inside(y - uniform(rng, -10.0, 10.0), 3.0) * _inside(uniform(rng, 45.0, 70.0) - y, 3.0)
        stripe = np.exp(-(((x - uniform(rng, 1.0, 9.0)) / 4.0) ** 2)) * ends  # left of the midline
        body = body + uniform(rng, 0.4, 1.8) * stripe
    return np.asarray(body)


def _inside(distance_mm: np.ndarray, softness_mm: float) -> np.ndarray:
    """Logistic edge: 1 deep inside, 0 far outside."""
    return np.asarray(1 / (1 + np.exp(-np.clip(distance_mm / softness_mm, -40.0, 40.0))))


def _blob(grid: Grid, x: float, y: float, width: float, height: float) -> np.ndarray:
    """Gaussian e^-(r/s)^2 with half-widths in mm."""
    return np.asarray(np.exp(-(((grid.x_mm - x) / width) ** 2) - ((grid.y_mm - y) / height) ** 2))


def _salivary(rng: np.random.Generator, grid: Grid, jaw: float) -> np.ndarray:
    """Submandibular and parotid glands, the mouth's arc and the nose."""
    common = log_normal(rng, 1.0, 0.55)
    low = uniform(rng, -62.0, -46.0)
    across, out = uniform(rng, 27.0, 34.0), uniform(rng, 52.0, 62.0)
    high = low - uniform(rng, 22.0, 32.0)
    total = np.zeros_like(grid.x_mm)
    for side in (-1, 1):
        amplitude = log_normal(rng, 1.6, 0.3)
        total += amplitude * _blob(grid, side * across, low, 7.0, 12.0)
        total += amplitude * log_normal(rng, 0.8, 0.3) * _blob(grid, side * out, high, 9.0, 20.0)
    mouth = low - uniform(rng, 28.0, 40.0)
    arc = mouth + grid.x_mm**2 / 90.0  # opens downward, about 9 mm thick, 30 mm to each side
    total += (
        uniform(rng, *MOUTH_AMPLITUDE) * np.exp(-(((grid.y_mm - arc) / 9.0) ** 2)) * np.exp(-((grid.x_mm / 30) ** 4))
    )
    total += uniform(rng, *NOSE_AMPLITUDE) * _blob(grid, 0.0, mouth - uniform(rng, 24.0, 34.0), 9.0, 11.0)
    return common * total
