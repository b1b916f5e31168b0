"""How hard are the phantoms, and do they look as measured? Prints one table; no figure is typed.

    python -m benchmarks.phantom_difficulty [TRAINING_CASES_PER_CLASS]

A random forest on simple intensity and shape features has to stay between 0.65 and 0.85: below, the classes could not
be told apart at all; above, no network would be needed. Calibration compares medians with figures of real scans.
Difficulty was tuned to land near the paper, so no accuracy on phantoms is evidence about the paper's claim.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix

from core.phantom import PhantomCase, generate_case, plan_members, small_cohorts
from core.protocol import THYROID_CLASSES

CLASS_KEYS = [disease.key for disease in THYROID_CLASSES]


@dataclass(frozen=True)
class Difficulty:
    """Accuracy of naive rules."""

    mean_intensity: float  # one feature, internal
    internal: float  # all simple features
    external: float
    confusion_internal: np.ndarray  # (4, 4), truth down


@dataclass(frozen=True)
class Calibration:
    """Medians that a real scan or the specification can be held against."""

    normal_peak_to_neck: float
    thyroid_share_of_counts: float
    tumor_lesion_share_of_image: float
    tumor_lesion_share_of_gland: float


def simple_features(picture: np.ndarray) -> np.ndarray:
    """Twenty-four numbers that need no learning: brightness, spread, place, symmetry and size of the bright part.

    Parameters
    ----------
    picture : uint8 array, shape (256, 256)

    Returns
    -------
    float array, shape (24,)
    """
    small = picture.reshape(64, 4, 64, 4).mean(axis=(1, 3)) / 255
    centre = small[16:52, 14:50]
    smooth = ndimage.gaussian_filter(small, 1.0)
    bright = smooth[10:58, 10:54] > 0.5 * smooth[10:58, 10:54].max()
    rows, columns = np.nonzero(bright)
    left, right = centre[:, :18], centre[:, 18:]
    _, parts = ndimage.label(bright)
    sides = sorted((left.sum(), right.sum()))
    return np.array(
        [
            small.mean(),
            small.std(),
            *np.percentile(small, (25, 50, 75, 90, 95, 99)),
            (small > 0.25).mean(),
            (small > 0.5).mean(),
            (small > 0.75).mean(),
            centre.mean(),
            centre.std(),
            centre.max(),
            sides[0] / max(sides[1], 1e-9),
            small[:16].mean() / max(centre.mean(), 1e-9),
            small[52:].mean() / max(centre.mean(), 1e-9),
            small[:16].max(),
            bright.sum(),
            np.ptp(rows),
            np.ptp(columns),
            parts,
            bright.sum() / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1)),
            np.abs(np.diff(smooth, axis=0)).mean(),
        ]
    )


def make_cases(cases_per_class: dict[str, int], study: str) -> dict[str, list[PhantomCase]]:
    """Cases of every cohort, in the seeded order of their members."""
    made = {}
    for plan in small_cohorts(cases_per_class, study):
        made[plan.cohort] = [
            generate_case(m.seed_key, m.disease, centre=m.centre, knobs=m.knobs, sex=m.sex, age_years=m.age_years)
            for m in plan_members(plan)
        ]
    return made


def difficulty(cases: dict[str, list[PhantomCase]], *, trees: int = 300, seed: int = 0) -> Difficulty:
    """Train the forest on the training cohort and try it on the other two."""
    features = {name: np.array([simple_features(c.picture) for c in group]) for name, group in cases.items()}
    truth = {name: np.array([CLASS_KEYS.index(c.disease) for c in group]) for name, group in cases.items()}
    forest = RandomForestClassifier(trees, min_samples_leaf=2, random_state=seed).fit(
        features["training"], truth["training"]
    )
    one = RandomForestClassifier(trees, min_samples_leaf=10, random_state=seed).fit(
        features["training"][:, :1], truth["training"]
    )
    guess = forest.predict(features["internal"])
    return Difficulty(
        mean_intensity=float(one.score(features["internal"][:, :1], truth["internal"])),
        internal=float((guess == truth["internal"]).mean()),
        external=float(forest.score(features["external"], truth["external"])),
        confusion_internal=confusion_matrix(truth["internal"], guess, labels=range(len(CLASS_KEYS))),
    )


def calibration(*, cases: int = 40, study: str = "calibration") -> Calibration:
    """Medians over normal glands and tumours of centre 2."""
    normal = [generate_case((study, "normal", i), "normal", centre="C2") for i in range(cases)]
    tumors = [generate_case((study, "tumor", i), "tumor", centre="C2") for i in range(cases)]
    return Calibration(
        normal_peak_to_neck=float(np.median([peak_to_neck(case) for case in normal])),
        thyroid_share_of_counts=float(
            np.median([case.counts[_native(case.gland_mask, case)].sum() / case.counts.sum() for case in normal])
        ),
        tumor_lesion_share_of_image=float(np.median([case.lesion_mask.mean() for case in tumors])),
        tumor_lesion_share_of_gland=float(
            np.median([case.lesion_mask.sum() / case.gland_mask.sum() for case in tumors])
        ),
    )


def peak_to_neck(case: PhantomCase) -> float:
    """Brightest point of the gland over the neck, on counts smoothed by 2.4 mm.

    The neck is a strip 30 mm wide, 6 to 16 mm above the gland.
    """
    mask = _native(case.gland_mask, case)
    smooth = ndimage.gaussian_filter(case.counts.astype(float), 2.4 / case.pixel_spacing_mm)
    rows, columns = np.nonzero(mask)
    top, middle = rows.min(), round(columns.mean())
    pixel = case.pixel_spacing_mm
    strip = smooth[
        max(0, top - round(16 / pixel)) : top - round(6 / pixel),
        middle - round(15 / pixel) : middle + round(15 / pixel),
    ]
    return float(smooth[mask].max() / max(strip.mean(), 1e-9))


def _native(mask: np.ndarray, case: PhantomCase) -> np.ndarray:
    """A mask on the counts' own matrix."""
    step = mask.shape[0] // case.counts.shape[0]
    return mask[::step, ::step]


def main() -> None:
    """Print difficulty and calibration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("training_cases_per_class", nargs="?", type=int, default=150)
    parser.add_argument("--study", default="difficulty", help="part of every seed")
    options = parser.parse_args()
    size = options.training_cases_per_class
    started = time.process_time()
    cases = make_cases(
        {"training": size, "internal": max(30, size // 2), "external": max(30, size // 2)}, options.study
    )
    count = sum(len(group) for group in cases.values())
    seconds = time.process_time() - started
    found, medians = difficulty(cases), calibration()
    print(f"cases                        {count} at {count / seconds:.0f} a second of processor time")
    print(f"mean intensity, internal     {found.mean_intensity:.3f}")
    print(f"24 features, internal        {found.internal:.3f}   (gate 0.65 to 0.85)")
    print(f"24 features, external        {found.external:.3f}")
    print(f"confusion, internal          {found.confusion_internal.tolist()}   ({', '.join(CLASS_KEYS)})")
    print(f"normal peak to neck          {medians.normal_peak_to_neck:.1f}   (gate 6 to 10)")
    print(f"thyroid share of counts      {medians.thyroid_share_of_counts:.1%}   (one real scan: 13.6%)")
    print(f"tumour lesion, of image      {medians.tumor_lesion_share_of_image:.2%}")
    print(f"tumour lesion, of gland      {medians.tumor_lesion_share_of_gland:.0%}")


if __name__ == "__main__":
    main()
