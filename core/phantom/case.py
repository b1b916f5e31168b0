"""One simulated patient: anatomy, disease, body, camera and picture, from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.phantom.anatomy import Gland, draw_gland, draw_on_grid
from core.phantom.body import draw_body, draw_neck_activity
from core.phantom.camera import (
    CENTRES,
    EXPORT_SIZE,
    WORK_SIZE,
    Acquisition,
    Centre,
    count_photons,
    draw_acquisition,
    expected_image,
    export_picture,
)
from core.phantom.fields import Grid, enlarge, generator, make_grid, random_field, uniform
from core.phantom.nodules import apply_nodule, enlarge_lobes
from core.phantom.uptake import (
    PATCH_LESION,
    Disease,
    Knobs,
    areal_activity,
    draw_disease,
    draw_subtype,
    patch_factor,
)

MALE_SHARE = 0.2708  # paper, Table 1: 865 of 3,194
AGE_MEAN_YEARS, AGE_SD_YEARS = 45.0, 14.5  # paper, Table 1, all patients
AGE_RANGE_YEARS = (14, 90)  # plausible ages for this examination (assumed)


@dataclass(frozen=True)
class PhantomCase:
    """One synthetic scan with everything that is known about it."""

    seed_key: tuple[str | int, ...]
    disease: str  # class key
    subtype: str
    centre: str
    scanner: str
    sex: str  # "F" or "M"
    age_years: int
    counts: np.ndarray  # (matrix, matrix) uint16, native
    picture: np.ndarray  # (256, 256) uint8, white on black
    gland_mask: np.ndarray  # (256, 256) bool
    lesion_mask: np.ndarray  # (256, 256) bool; empty for a normal gland
    pixel_spacing_mm: float  # of counts
    picture_spacing_mm: float  # of picture and masks
    uptake_percent: float
    nodule_diameters_mm: tuple[float, ...]
    acquisition: Acquisition


def generate_case(
    seed_key: Sequence[str | int],
    disease: str,
    *,
    centre: str | Centre,
    subtype: str | None = None,
    knobs: Knobs | None = None,
    sex: str | None = None,
    age_years: int | None = None,
) -> PhantomCase:
    """Simulate one thyroid scintigram.

    The patient's numbers are drawn from ``seed_key`` and the class alone, the scan's from both and the centre: the
    same key and subtype at another centre is a patient of the same build on another camera.

    Parameters
    ----------
    seed_key : sequence of str or int
        Usually (study, split, index). The class is part of the seed by itself.
    disease : str
        Class key: "graves", "normal", "sat" or "tumor".
    centre : str or Centre
        A key of ``CENTRES``, or a centre of your own.
    subtype : str, optional
        One of ``SUBTYPES[disease]``; drawn by its share when None.
    knobs : Knobs, optional
        Difficulty.
    sex, age_years : str, int, optional
        Drawn from the paper's Table 1 when None. Age changes nothing in the picture, sex the gland's size.

    Returns
    -------
    PhantomCase

    Raises
    ------
    InputError
        If class, subtype, centre or sex do not exist.
    """
    knobs = knobs if knobs is not None else Knobs()
    if isinstance(centre, str):
        if centre not in CENTRES:
            raise InputError("there is no such centre", field="centre", value=centre, fix="use C1, C2 or C3")
        centre = CENTRES[centre]
    if sex not in (None, "F", "M"):
        raise InputError("sex must be F or M", field="sex", value=sex)
    key = tuple(seed_key)
    person = generator(*key, disease, "person")
    drawn_sex = "M" if person.random() < MALE_SHARE else "F"
    drawn_age = int(np.clip(round(person.normal(AGE_MEAN_YEARS, AGE_SD_YEARS)), *AGE_RANGE_YEARS))
    sex = sex if sex is not None else drawn_sex
    if subtype is None:
        subtype = draw_subtype(
            generator(*key, disease, "subtype"), disease, knobs, centre_mild_share=centre.mild_graves_share
        )

    rng = generator(*key, disease, "patient")
    illness = draw_disease(rng, disease, subtype, knobs)
    plan = draw_gland(rng, sex, illness.shape)
    camera_rng = generator(*key, disease, "scan", centre.key)
    scan = draw_acquisition(camera_rng, centre, illness.uptake_percent)
    grid = _place(camera_rng, centre.scanner.base_mm / scan.zoom)

    gland = draw_on_grid(rng, plan, enlarge_lobes(plan.lobes, illness.nodules), grid)
    relative, lesion = _gland_activity(rng, illness, gland, grid)
    neck_per_cm2 = draw_neck_activity(rng)
    total = draw_body(rng, grid) + areal_activity(relative, illness.uptake_percent, grid) / neck_per_cm2
    counts = count_photons(camera_rng, expected_image(total, scan, grid), scan, centre.scanner.matrix)
    return PhantomCase(
        seed_key=key,
        disease=disease,
        subtype=subtype,
        centre=centre.key,
        scanner=centre.scanner.name,
        sex=sex,
        age_years=age_years if age_years is not None else drawn_age,
        counts=counts,
        picture=export_picture(counts, scan),
        gland_mask=_export_mask(gland.mask),
        lesion_mask=_export_mask(lesion),
        pixel_spacing_mm=scan.pixel_mm,
        picture_spacing_mm=scan.pixel_mm * centre.scanner.matrix / EXPORT_SIZE,
        uptake_percent=illness.uptake_percent,
        nodule_diameters_mm=tuple(n.diameter_mm for n in illness.nodules if n.kind != "indentation"),
        acquisition=scan,
    )


def _place(rng: np.random.Generator, pixel_mm: float) -> Grid:
    """Working grid of a patient under the camera: a little off centre, the thyroid below the middle, tilted."""
    half_view = pixel_mm * WORK_SIZE / 2
    origin = (5.0 * float(rng.standard_normal()), uniform(rng, 0.02, 0.22) * half_view)
    return make_grid(WORK_SIZE, pixel_mm, origin_mm=origin, angle_deg=2.5 * float(rng.standard_normal()))


def _gland_activity(
    rng: np.random.Generator, illness: Disease, gland: Gland, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Relative activity (mm of chord) and the lesion's mask, both (n, n)."""
    texture = illness.fine_texture * random_field(rng, grid, 3.0)
    texture = texture + illness.coarse_texture * random_field(rng, grid, illness.coarse_mm)
    activity = gland.chord_mm * np.exp(texture)
    lesion = np.zeros_like(gland.mask) if illness.name in ("normal", "tumor") else gland.mask
    if illness.faint_side is not None:
        right, left = gland.lobe_chords_mm
        ill, other = (right, left) if illness.faint_side < 0 else (left, right)
        is_ill = (ill > other) & gland.mask
        activity = np.where(ill > other, activity * illness.faint_factor, activity)
        lesion = is_ill
    patches = patch_factor(rng, illness, gland, grid)
    if patches is not None:
        activity = activity * patches
        lesion = gland.mask & (patches < PATCH_LESION)
    for nodule in illness.nodules:
        activity, disc = apply_nodule(activity, nodule, gland, grid)
        if illness.name == "tumor":
            lesion = lesion | disc
    return activity, lesion


def _export_mask(mask: np.ndarray) -> np.ndarray:
    """A mask of the working grid on the exported picture's."""
    return np.asarray(enlarge(mask.astype(np.float64), EXPORT_SIZE) >= 0.5)
