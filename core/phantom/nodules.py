"""Thyroid nodules: cold, warm and hot spheres in a lobe.

A nodule is a sphere of radius r seen along the camera's axis; its chord at distance rho from its centre is
``2 sqrt(r^2 - rho^2)``. Cold nodules replace part of the gland's chord, warm and hot ones add to it.
Sources: cold nodules are mostly malignant, hot and warm ones benign (Zhao et al. 2023, introduction); sizes,
contrasts and positions are assumed so that the sheet looks right and the task is as hard as the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.phantom.anatomy import Gland, Lobe
from core.phantom.fields import Grid, log_normal, uniform

AXIS_POSITION = 0.62  # nodule centres lie within this share of the half length (assumed)
LATERAL_SHIFT = 0.3  # ex - 0.3 half widths outward, ex in [0, 0.9] (assumed)
ENLARGEMENT = 0.22  # a lobe with a large nodule grows (assumed)


@dataclass(frozen=True)
class Nodule:
    """One nodule, placed in the frame of its lobe."""

    kind: str  # "cold", "warm", "hot"; "indentation" is a cold look-alike in a normal gland
    side: int  # -1 right lobe (image left), +1 left lobe
    diameter_mm: float
    strength: float  # cold: residual uptake; warm: uptake / gland; hot: uptake / gland, per mm of chord
    axis_position: float  # along the lobe, share of the half length, down is positive
    lateral_position: float  # outward, share of the half width
    squash: float  # factor on the squared vertical distance, 1 is a sphere
    rest: float = 1.0  # hot: what is left of the uptake of the rest of the gland (suppression)


def draw_nodule(rng: np.random.Generator, kind: str, diameter_mm: float) -> Nodule:
    """Place one nodule of a kind and size at random."""
    strength = {
        "cold": lambda: uniform(rng, 0.0, 0.35),
        "warm": lambda: uniform(rng, 1.25, 1.9),
        "hot": lambda: uniform(rng, 2.5, 7.0),
        "indentation": lambda: uniform(rng, 0.3, 0.6),
    }[kind]()
    return Nodule(
        kind=kind,
        side=int(rng.choice((-1, 1))),
        diameter_mm=diameter_mm,
        strength=strength,
        axis_position=uniform(rng, -AXIS_POSITION, AXIS_POSITION),
        lateral_position=uniform(rng, 0.0, 0.9) - LATERAL_SHIFT,
        squash=uniform(rng, 0.75, 1.2),
        rest=uniform(rng, 0.08, 0.9) if kind == "hot" else 1.0,
    )


def draw_tumor_nodules(rng: np.random.Generator, first_kind: str, median_mm: float) -> tuple[Nodule, ...]:
    """One to three nodules (shares .80, .15, .05); those after the first are cold and smaller (assumed)."""
    count = 1 + int(np.searchsorted([0.80, 0.95], rng.random(), side="right"))
    first = draw_nodule(rng, first_kind, log_normal(rng, median_mm, 0.38, 8.0, 45.0))
    others = [draw_nodule(rng, "cold", log_normal(rng, 12.0, 0.3, 7.0, 22.0)) for _ in range(count - 1)]
    return (first, *others)


def enlarge_lobes(lobes: tuple[Lobe, ...], nodules: tuple[Nodule, ...]) -> tuple[Lobe, ...]:
    """Lobes grown by the largest nodule they hold; indentations do not enlarge."""
    grown = []
    for lobe in lobes:
        sizes = [n.diameter_mm for n in nodules if n.side == lobe.side and n.kind != "indentation"]
        factor = 1 + ENLARGEMENT * float(np.clip(max(sizes) / lobe.width_mm - 0.5, 0, 1.6)) if sizes else 1.0
        grown.append(replace(lobe, length_mm=lobe.length_mm * factor, width_mm=lobe.width_mm * factor))
    return tuple(grown)


def nodule_chord(nodule: Nodule, gland: Gland, grid: Grid) -> np.ndarray:
    """Chord of the sphere in mm, shape (n, n); zero outside the nodule's disc."""
    lobe = next(lobe for lobe in gland.lobes if lobe.side == nodule.side)
    x, y = lobe.point(nodule.axis_position, nodule.lateral_position)
    squared = (grid.x_mm - x) ** 2 + nodule.squash * (grid.y_mm - y) ** 2
    return np.asarray(2 * np.sqrt(np.maximum(0.0, (nodule.diameter_mm / 2) ** 2 - squared)))


def apply_nodule(activity: np.ndarray, nodule: Nodule, gland: Gland, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Change the gland's relative activity (in mm of chord) by one nodule.

    Returns
    -------
    tuple of arrays, shape (n, n)
        New activity, and the nodule's disc (bool).
    """
    chord = nodule_chord(nodule, gland, grid)
    thickness = gland.thickness_mm
    if nodule.kind in ("cold", "indentation"):
        share = np.minimum(1.0, chord / np.maximum(gland.chord_mm, 1e-6))
        changed = activity * (1 - (1 - nodule.strength) * share)
    elif nodule.kind == "warm":
        inside = (nodule.strength - 1) * np.minimum(chord, 0.92 * thickness)
        changed = activity + inside + 0.9 * np.maximum(0.0, chord - gland.chord_mm)
    else:
        changed = activity * nodule.rest + nodule.strength * np.minimum(chord, 1.2 * thickness)
    return changed, chord > 0
