"""What each class and subtype does to the gland: size, uptake, texture, patches, nodules.

Uptake is the 20-minute technetium uptake (TcTU) in percent of the injected activity. Sources: euthyroid median
0.8-0.9 % (Endocr Abstr 50 P402; Anadolu Klin 2021), Graves' 10.6 +- 10 % with range 0.43-40 % (Jordan series;
Kidokoro-Kunii 2006), subacute thyroiditis 0.5 +- 0.4 % and all below 0.5 % in another series, toxic nodule
4.5 +- 4 %; gland volume in Graves' 51.8 mL untreated and 33 in remission; pyramidal lobe shares from Gülhane 2007.
Shares of subtypes, textures and patch sizes are assumed: they put the difficulty near the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.errors import InputError
from core.phantom.anatomy import Gland, Shape
from core.phantom.fields import Grid, choose, log_normal, random_field, uniform
from core.phantom.nodules import Nodule, draw_nodule, draw_tumor_nodules

ATTENUATION_PER_CM = 0.15  # water at 140 keV (assumed for the neck)
DEPTH_CM = 2.0  # depth of the gland's centre (assumed)
DEPTH_CM_PER_MM_UP = 0.012  # upper poles lie deeper (assumed)
PATCH_LESION = 0.6  # where the patch factor is lower than this, the gland is ill
MIN_LESION_SHARE = 0.05  # a patchy gland with less ill tissue is drawn again, so that every lesion can be found

#: Subtypes of every class, in the order of the contact sheet.
SUBTYPES: dict[str, tuple[str, ...]] = {
    "graves": ("typical", "mild"),
    "normal": ("typical", "asymmetric", "uneven", "indented"),
    "sat": ("faint", "absent", "unilateral", "patchy", "high"),
    "tumor": ("cold", "warm", "hot"),
}


@dataclass(frozen=True)
class Knobs:
    """Difficulty of the task; the defaults put a small network near the paper's figures (all assumed)."""

    nodule_mm: float = 16.5  # median diameter of a tumour's first nodule
    warm_share: float = 0.11  # tumours whose first nodule is warm; the hardest to tell from normal
    hot_share: float = 0.14  # tumours whose first nodule is hot; the others are cold
    lookalike_share: float = 0.22  # normal glands that are asymmetric, uneven or indented, in equal parts
    mild_graves_share: float | None = None  # None: the centre's own (.12, .16, .16)
    high_sat_share: float = 0.06  # subacute thyroiditis with near-normal uptake

    def __post_init__(self) -> None:
        shares = {
            "warm_share": self.warm_share,
            "hot_share": self.hot_share,
            "lookalike_share": self.lookalike_share,
            "mild_graves_share": self.mild_graves_share or 0.0,
            "high_sat_share": self.high_sat_share,
            "warm_share + hot_share": self.warm_share + self.hot_share,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise InputError("a share must lie between 0 and 1", field=name, value=share)
        if not 8 <= self.nodule_mm <= 45:
            raise InputError("the median nodule must lie between 8 and 45 mm", field="nodule_mm", value=self.nodule_mm)


@dataclass(frozen=True)
class Disease:
    """Everything that a class and subtype settle before the gland is drawn."""

    name: str
    subtype: str
    shape: Shape
    uptake_percent: float
    fine_texture: float  # strength of the 3 mm field
    coarse_texture: float  # strength of the coarse field
    coarse_mm: float  # correlation of the coarse field
    nodules: tuple[Nodule, ...] = ()
    faint_side: int | None = None  # unilateral thyroiditis: the ill lobe
    faint_factor: float = 1.0
    patch_floor: float | None = None  # patchy thyroiditis: uptake of fully ill tissue
    patch_mm: float = 8.0
    patch_threshold: float = 0.0


def subtype_shares(disease: str, knobs: Knobs, *, centre_mild_share: float = 0.12) -> list[tuple[str, float]]:
    """Shares of the subtypes of one class, which sum to 1."""
    if disease == "graves":
        mild = centre_mild_share if knobs.mild_graves_share is None else knobs.mild_graves_share
        return [("typical", 1 - mild), ("mild", mild)]
    if disease == "normal":
        part = knobs.lookalike_share / 3
        return [("typical", 1 - knobs.lookalike_share), ("asymmetric", part), ("uneven", part), ("indented", part)]
    if disease == "sat":
        rest = (1 - knobs.high_sat_share) / 0.94  # the other four keep their proportions
        return [
            ("faint", 0.48 * rest),
            ("absent", 0.22 * rest),
            ("unilateral", 0.09 * rest),
            ("patchy", 0.15 * rest),
            ("high", knobs.high_sat_share),
        ]
    if disease == "tumor":
        return [
            ("cold", 1 - knobs.warm_share - knobs.hot_share),
            ("warm", knobs.warm_share),
            ("hot", knobs.hot_share),
        ]
    raise InputError(
        "the simulator knows no such class", field="class", value=disease, fix="use one of " + ", ".join(SUBTYPES)
    )


def draw_subtype(rng: np.random.Generator, disease: str, knobs: Knobs, *, centre_mild_share: float = 0.12) -> str:
    """One subtype of a class with the shares of ``knobs``."""
    return choose(rng, subtype_shares(disease, knobs, centre_mild_share=centre_mild_share))


def draw_disease(rng: np.random.Generator, disease: str, subtype: str, knobs: Knobs) -> Disease:
    """Settle size, uptake, texture and nodules of one case.

    Raises
    ------
    InputError
        If the class has no such subtype.
    """
    if subtype not in SUBTYPES.get(disease, ()):
        raise InputError(
            f"class {disease} has no such subtype",
            field="subtype",
            value=subtype,
            fix="use one of " + ", ".join(SUBTYPES.get(disease, tuple(SUBTYPES))),
        )
    plain = Disease(
        name=disease,
        subtype=subtype,
        shape=Shape(),
        uptake_percent=1.0,
        fine_texture=uniform(rng, 0.02, 0.05),
        coarse_texture=uniform(rng, 0.02, 0.06),
        coarse_mm=8.5,
    )
    return {"graves": _graves, "normal": _normal, "sat": _sat, "tumor": _tumor}[disease](rng, plain, knobs)


def _graves(rng: np.random.Generator, plain: Disease, knobs: Knobs) -> Disease:
    """Large, hot and even; the mild form overlaps the normal range."""
    if plain.subtype == "mild":
        growth, uptake = uniform(rng, 1.02, 1.15), log_normal(rng, 2.6, 0.3, 1.5, 4.5)
    else:
        growth, uptake = log_normal(rng, 1.30, 0.14, 1.05, 1.85), log_normal(rng, 9.0, 0.6, 3.0, 40.0)
    shape = Shape(length_factor=growth**0.8, width_factor=1.1 * growth, isthmus=(0.15, 0.65), pyramidal_share=0.25)
    nodules = (draw_nodule(rng, "cold", uniform(rng, 6.0, 11.0)),) if rng.random() < 0.06 else ()
    return replace(plain, shape=shape, uptake_percent=uptake, nodules=nodules)


def _normal(rng: np.random.Generator, plain: Disease, knobs: Knobs) -> Disease:
    """The euthyroid range, with look-alikes of disease."""
    normal = replace(plain, uptake_percent=log_normal(rng, 1.0, 0.5, 0.35, 3.2))
    if plain.subtype == "asymmetric":
        return replace(normal, shape=Shape(asymmetry=uniform(rng, 0.18, 0.35) * float(rng.choice((-1.0, 1.0)))))
    if plain.subtype == "uneven":
        return replace(normal, coarse_texture=uniform(rng, 0.10, 0.18))
    if plain.subtype == "indented":
        return replace(normal, nodules=(draw_nodule(rng, "indentation", uniform(rng, 5.0, 9.0)),))
    return normal


def _sat(rng: np.random.Generator, plain: Disease, knobs: Knobs) -> Disease:
    """Suppressed: faint, absent, one lobe, patchy, or (recovering) nearly normal."""
    growth = uniform(rng, 1.0, 1.25)
    shape = Shape(length_factor=growth, width_factor=growth, warp=(0.8, 1.8), isthmus_factor=0.6, pyramidal_share=0.03)
    coarse = uniform(rng, 0.08, 0.22) if plain.subtype == "faint" else uniform(rng, 0.10, 0.25)
    sat = replace(plain, shape=shape, coarse_texture=coarse, coarse_mm=6.5)
    patch = {"patch_mm": uniform(rng, 6.0, 10.0), "patch_threshold": uniform(rng, -0.4, 0.5)}
    if plain.subtype == "faint":
        return replace(sat, uptake_percent=log_normal(rng, 0.14, 0.45, 0.04, 0.40))
    if plain.subtype == "absent":
        return replace(sat, uptake_percent=uniform(rng, 0.01, 0.08))
    if plain.subtype == "unilateral":
        return replace(
            sat,
            uptake_percent=log_normal(rng, 0.42, 0.4, 0.15, 1.0),
            faint_side=int(rng.choice((-1, 1))),
            faint_factor=uniform(rng, 0.05, 0.40),
        )
    if plain.subtype == "patchy":
        return replace(
            sat,
            uptake_percent=log_normal(rng, 0.30, 0.4, 0.13, 0.75),
            patch_floor=uniform(rng, 0.05, 0.25),
            **patch,  # type: ignore[arg-type]  # two floats by name
        )
    return replace(
        sat,
        uptake_percent=log_normal(rng, 0.9, 0.25, 0.55, 1.5),
        patch_floor=uniform(rng, 0.15, 0.45),
        **patch,  # type: ignore[arg-type]  # two floats by name
    )


def _tumor(rng: np.random.Generator, plain: Disease, knobs: Knobs) -> Disease:
    """A gland of normal uptake with nodules; a hot nodule suppresses the rest."""
    growth = uniform(rng, 0.98, 1.12)
    median, low, high = (2.0, 0.6, 8.0) if plain.subtype == "hot" else (1.1, 0.35, 3.6)
    uptake = log_normal(rng, median, 0.5, low, high)
    coarse = uniform(rng, 0.08, 0.16) if rng.random() < 0.25 else plain.coarse_texture
    return replace(
        plain,
        shape=Shape(length_factor=growth, width_factor=growth),
        uptake_percent=uptake,
        coarse_texture=coarse,
        nodules=draw_tumor_nodules(rng, plain.subtype, knobs.nodule_mm),
    )


def patch_factor(rng: np.random.Generator, disease: Disease, gland: Gland, grid: Grid) -> np.ndarray | None:
    """Uptake of patchy thyroiditis relative to healthy tissue, shape (n, n), or None for an unpatched gland."""
    if disease.patch_floor is None:
        return None
    threshold = disease.patch_threshold
    while True:
        field = random_field(rng, grid, disease.patch_mm)
        healthy = 1 / (1 + np.exp(-4 * (field - threshold)))
        factor = disease.patch_floor + (1 - disease.patch_floor) * healthy
        if (factor[gland.mask] < PATCH_LESION).mean() >= MIN_LESION_SHARE:
            return np.asarray(factor)


def areal_activity(relative: np.ndarray, uptake_percent: float, grid: Grid) -> np.ndarray:
    """Activity per cm2 that reaches the camera, as a share of the injected activity, shape (n, n).

    ``relative`` is normalised so that its integral over the image is the uptake, then attenuated by the tissue
    before it.
    """
    per_cm2 = relative * (uptake_percent / 100 / (relative.sum() * grid.pixel_cm2))
    depth_cm = DEPTH_CM + DEPTH_CM_PER_MM_UP * np.clip(-grid.y_mm, -20.0, 40.0)
    return np.asarray(per_cm2 * np.exp(-ATTENUATION_PER_CM * depth_cm))
