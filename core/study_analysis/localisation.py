"""Localisation (LROC): is a case with a lesion rated above one without, and is the place right as well?

Each case has one place and one rating: those of the reader's highest mark. Positive are the cases whose mask says where
the lesion is, negative those of classes of which no case has a mask; a case without a mask in a class that has some is
neither. A positive case counts only where its mark hits (:func:`core.localisation.score_marks`): one that is marked
elsewhere, or not at all, wins against nothing, and a negative case without a mark loses against every hit.

The area is the mean over positive and negative cases of 1 where the positive one was hit and rated higher, 1/2 where
hit and rated alike, else 0. That is the empirical AUC of ratings in which every miss stands below all negative cases,
so DeLong's variance (Wunderlich and Noo's for LROC) and Obuchowski's between patients hold for it. Chance is not 1/2
but close to 0, and the area can be no larger than the share of lesions that were hit.

References
----------
Swensson (1996), Med. Phys. 23:1709-1725 (LROC). Wunderlich and Noo (2012), IEEE Trans. Med. Imaging 31:2050-2061
(empirical area and its variance). RJafroc's figure of merit "ALROC" up to a false positive rate of 1 is this area.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.statistics.auc_interval import auc_clustered, auc_estimate
from core.statistics.proportions import proportion, proportion_clustered
from core.study_analysis.arrays import BoolArray, CohortArrays
from core.study_analysis.data import FloatArray
from core.study_analysis.results import Identity, LocalisationResult, LrocCurve, identity_of

AREA, HIT, FALSE_MARKS = "lroc_area", "lesions_hit", "marked_without_lesion"
#: Quantities of the table, in its order -> what they are called.
QUANTITIES = {
    AREA: "area under the LROC curve",
    HIT: "lesions hit",
    FALSE_MARKS: "marked without a lesion",
}

#: Said beside the numbers, on the screen and in the report.
LROC_METHOD = (
    "A lesion is hit where the reader's highest mark lies inside its mask. The area is the probability that a case "
    "with a lesion is hit and rated above one without (Swensson 1996; interval by Wunderlich and Noo 2012, or between "
    "patients); guessing gives nearly 0, not 0.5. A case without a mark is rated below all."
)


@dataclass(frozen=True, eq=False)
class _Marked:
    """The cases of one reader that take part."""

    identity: Identity
    is_positive: BoolArray  # (n_used,)
    ranks: FloatArray  # (n_used,) of the mark, from 0; -1: nothing marked; -2: a positive case that was not hit
    steps: FloatArray  # rating of each rank
    patients: NDArray[np.object_] | None  # (n_used,) where a patient has several cases
    notes: tuple[str, ...]


def localisation_results(cohort: CohortArrays, level: float) -> tuple[LocalisationResult, ...]:
    """Area, share of lesions hit and share of cases without a lesion that were marked, of every reader who marked."""
    return tuple(result for one in _marked(cohort) for result in _of_reader(one, level))


def lroc_curves(cohort: CohortArrays) -> tuple[LrocCurve, ...]:
    """The empirical curve of every reader who marked, from (0, 0) to a false positive rate of 1."""
    return tuple(_curve(one) for one in _marked(cohort))


def _marked(cohort: CohortArrays) -> Iterator[_Marked]:
    """Readers with a mark, where a mask says where a lesion is and cases of other classes have none."""
    if cohort.has_lesion is None:
        return
    classes = np.unique(cohort.truth[cohort.has_lesion])
    takes_part = cohort.has_lesion | ~np.isin(cohort.truth, classes)
    for one in cohort.participants:
        used = one.is_answered & takes_part
        is_positive = cohort.has_lesion[used]
        if one.mark_ratings is None or one.is_localised is None or is_positive.all() or not is_positive.any():
            continue
        ratings = one.mark_ratings[used]
        steps = np.unique(ratings[~np.isnan(ratings)])
        ranks = np.where(np.isnan(ratings), -1.0, np.searchsorted(steps, ratings))
        ranks = np.where(is_positive & ~one.is_localised[used], -2.0, ranks)
        patients, n_positive = cohort.patients_if_clustered, int(is_positive.sum())
        notes = [f"{n_positive} cases with a lesion mask against {is_positive.size - n_positive} of classes without"]
        if left_out := int((one.is_answered & ~takes_part).sum()):
            names = ", ".join(f"class {cohort.class_keys[index]}" for index in classes.tolist())
            notes.append(f"{left_out} cases of {names} have no mask and are left out")
        yield _Marked(
            identity_of(one), is_positive, ranks, steps, None if patients is None else patients[used], tuple(notes)
        )


def _of_reader(one: _Marked, level: float) -> Iterator[LocalisationResult]:
    if one.patients is None:
        area = auc_estimate(one.is_positive, one.ranks, confidence_level=level)
    else:
        area = auc_clustered(one.is_positive, one.ranks, one.patients, confidence_level=level)
    yield LocalisationResult(one.identity, AREA, replace(area, notes=one.notes))  # a hard label's note is of an AUC
    for quantity, side in ((HIT, one.is_positive), (FALSE_MARKS, ~one.is_positive)):
        success = one.ranks[side] >= 0
        if one.patients is None:
            share = proportion(int(success.sum()), success.size, confidence_level=level)
        else:
            share = proportion_clustered(success, one.patients[side], confidence_level=level)
        yield LocalisationResult(one.identity, quantity, share)


def _curve(one: _Marked) -> LrocCurve:
    """Shares rated at or above each rating; the last point is where unmarked cases count as positive too."""
    ranks = np.unique(one.ranks[one.ranks >= 0]).astype(int)[::-1]
    hit, false = ([float((one.ranks[side] >= rank).mean()) for rank in ranks]
                  for side in (one.is_positive, ~one.is_positive))  # fmt: skip
    return LrocCurve(
        one.identity,
        false_positive_rate=np.array([0.0, *false, 1.0]),
        lesions_hit=np.array([0.0, *hit, hit[-1] if hit else 0.0]),
        threshold=np.array([np.nan, *one.steps[ranks], np.nan]),
    )
