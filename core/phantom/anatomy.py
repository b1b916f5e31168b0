"""Shape of the thyroid: two lobes, an isthmus, sometimes a pyramidal lobe, projected to chords in mm.

Sources: lobes 40-60 x 20-30 x 15-20 mm (ultrasound teaching sites, StatPearls), volume 18.4 mL in men and 13.9 mL
in women (computerised ultrasound); lobes 26 mm apart and left-to-right peak ratio 1.4 measured on one real scan;
pyramidal lobe in 10.6 % of normal and 20.4 % of Graves' glands (Gülhane 2007). Spreads, tilt, taper, warp and
isthmus are assumed and were judged by eye against published scans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.phantom.fields import Grid, clipped_normal, random_field, uniform

MASK_THRESHOLD = 0.12  # the gland is where the chord exceeds this share of the thickness (assumed)


@dataclass(frozen=True)
class Shape:
    """What a class or subtype asks of the anatomy; the defaults are a normal gland."""

    length_factor: float = 1.0
    width_factor: float = 1.0  # also the thickness
    asymmetry: float | None = None  # log size ratio of the right lobe; None draws N(0, .08)
    warp: tuple[float, float] = (0.5, 1.1)  # range of the contour warp's strength
    isthmus: tuple[float, float] = (0.0, 0.35)  # range of its thickness as a share of the lobes'
    isthmus_factor: float = 1.0
    pyramidal_share: float = 0.106  # Gülhane 2007


@dataclass(frozen=True)
class Lobe:
    """One lobe as a tapered superellipse."""

    side: int  # -1 right lobe (image left), +1 left lobe
    x_mm: float
    y_mm: float
    length_mm: float
    width_mm: float
    tilt_deg: float  # lower poles point to the midline
    taper: float  # the lower pole is wider by this share, the upper narrower

    def frame(self, x_mm: np.ndarray, y_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along the axis (down) and across it (outward), both in mm."""
        tilt = np.deg2rad(self.tilt_deg)
        dx, dy = x_mm - self.x_mm, y_mm - self.y_mm
        along = -self.side * np.sin(tilt) * dx + np.cos(tilt) * dy
        outward = self.side * np.cos(tilt) * dx + np.sin(tilt) * dy
        return along, outward

    def point(self, axis_position: float, lateral_position: float) -> tuple[float, float]:
        """Place in mm of a point given in shares of the half length and the half width."""
        tilt = np.deg2rad(self.tilt_deg)
        along, outward = axis_position * self.length_mm / 2, lateral_position * self.width_mm / 2
        x = self.x_mm + self.side * (-np.sin(tilt) * along + np.cos(tilt) * outward)
        y = self.y_mm + np.cos(tilt) * along + np.sin(tilt) * outward
        return float(x), float(y)

    def chord(self, x_mm: np.ndarray, y_mm: np.ndarray, thickness_mm: float) -> np.ndarray:
        """Thickness of the lobe along the camera's axis in mm."""
        along, outward = self.frame(x_mm, y_mm)
        a = along / (self.length_mm / 2)
        inside = np.clip(a, -1.0, 1.0)
        half_width = self.width_mm / 2 * (1 + self.taper * inside)
        body = np.maximum(0.0, 1 - np.abs(a) ** 2.3 - (outward / half_width) ** 2)
        return np.asarray(thickness_mm * np.sqrt(body) * (1 + 0.4 * self.taper * inside))


@dataclass(frozen=True)
class GlandPlan:
    """Every drawn number of a gland before it is put on a grid."""

    lobes: tuple[Lobe, ...]  # right, left
    thickness_mm: float
    gap_mm: float
    isthmus: float  # thickness as a share of the lobes'
    isthmus_y_mm: float
    isthmus_half_height_mm: float
    pyramidal: tuple[float, float, float, float] | None  # thickness share, width mm, x mm, rise mm
    warp_mm: float


@dataclass(frozen=True)
class Gland:
    """A gland on the grid."""

    lobes: tuple[Lobe, ...]
    thickness_mm: float
    chord_mm: np.ndarray  # (n, n), without texture and nodules
    lobe_chords_mm: tuple[np.ndarray, np.ndarray]  # right, left; each (n, n)
    mask: np.ndarray  # (n, n) bool
    x_mm: np.ndarray  # (n, n) warped coordinates that the outline was drawn in


def draw_gland(rng: np.random.Generator, sex: str, shape: Shape) -> GlandPlan:
    """Draw the numbers of one gland."""
    scale = (1.05 if sex == "M" else 0.98) * float(np.exp(0.05 * rng.standard_normal()))
    length = scale * clipped_normal(rng, 45.0, 4.5, 33.0, 58.0) * shape.length_factor
    width = scale * clipped_normal(rng, 16.5, 2.0, 12.0, 23.0) * shape.width_factor
    thickness = scale * clipped_normal(rng, 15.0, 2.0, 10.0, 20.0) * shape.width_factor
    gap = uniform(rng, 17.0, 25.0) + 0.45 * (width - 16.0)
    tilt, taper = uniform(rng, 4.0, 20.0), uniform(rng, 0.05, 0.30)
    drawn = 0.08 * float(rng.standard_normal())
    factor = float(np.exp((drawn if shape.asymmetry is None else shape.asymmetry) + 0.03))  # right slightly larger
    lobes = []
    for side, size in ((-1, factor), (1, 1 / factor)):
        lobe_width = width * size * uniform(rng, 0.93, 1.07)
        lobes.append(
            Lobe(
                side=side,
                x_mm=side * (gap / 2 + 0.28 * width),
                y_mm=uniform(rng, -3.0, 3.0),
                length_mm=length * size**0.6 * uniform(rng, 0.95, 1.05),
                width_mm=lobe_width,
                tilt_deg=tilt * uniform(rng, 0.7, 1.3),
                taper=taper,
            )
        )
    pyramidal = (uniform(rng, 0.18, 0.45), uniform(rng, 2.0, 3.2), uniform(rng, -7.0, 7.0), uniform(rng, 18.0, 40.0))
    return GlandPlan(
        lobes=tuple(lobes),
        thickness_mm=thickness,
        gap_mm=gap,
        isthmus=uniform(rng, *shape.isthmus) * shape.isthmus_factor,
        isthmus_y_mm=uniform(rng, 0.18, 0.30) * length,
        isthmus_half_height_mm=uniform(rng, 4.0, 6.5) * width / 16.5,
        pyramidal=pyramidal if rng.random() < shape.pyramidal_share else None,
        warp_mm=1.3 * uniform(rng, *shape.warp),
    )


def draw_on_grid(rng: np.random.Generator, plan: GlandPlan, lobes: tuple[Lobe, ...], grid: Grid) -> Gland:
    """Project a planned gland onto a grid; ``lobes`` may be the plan's own grown by nodules."""
    x = grid.x_mm + plan.warp_mm * random_field(rng, grid, 9.0)
    y = grid.y_mm + plan.warp_mm * random_field(rng, grid, 9.0)
    thickness = plan.thickness_mm
    right, left = (lobe.chord(x, y, thickness) for lobe in lobes)
    bridge = np.exp(-(((y - plan.isthmus_y_mm) / plan.isthmus_half_height_mm) ** 2))
    isthmus = plan.isthmus * thickness * bridge * (np.abs(x) < 0.75 * plan.gap_mm + 4.0)
    chord = np.maximum(np.maximum(right, left), isthmus)
    if plan.pyramidal is not None:
        share, ridge_mm, x0, rise = plan.pyramidal
        top = 1 / (1 + np.exp(-(y - (plan.isthmus_y_mm - rise)) / 1.5))  # ends softly over a few mm
        ridge = share * thickness * np.exp(-(((x - x0) / ridge_mm) ** 2)) * top * (y <= plan.isthmus_y_mm)
        chord = np.maximum(chord, ridge)
    return Gland(
        lobes=lobes,
        thickness_mm=thickness,
        chord_mm=chord,
        lobe_chords_mm=(right, left),
        mask=chord > MASK_THRESHOLD * thickness,
        x_mm=x,
    )
