"""Sensitivity, specificity and predictive values when a case is called positive from a rating on.

Cut-offs are fixed before the study and given to the analysis, as readers stated their confidence. Without any, every
step of a scale of up to :data:`MOST_STEPS` steps is one, and 0.1 to 0.9 of a probability; a longer scale has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from core.errors import StatisticsInputError
from core.statistics.proportions import proportion, proportion_clustered
from core.statistics.result import Estimate
from core.study_analysis.arrays import CohortArrays, Participant
from core.study_analysis.data import FloatArray
from core.study_analysis.results import CutoffResult, identity_of

MOST_STEPS = 20
OF_PROBABILITIES = tuple(round(0.1 * step, 1) for step in range(1, 10))


def check_cutoffs(cutoffs: Sequence[float] | None) -> tuple[float, ...] | None:
    """Cut-offs in ascending order, or None.

    Raises
    ------
    StatisticsInputError
        If one is no finite number.
    """
    if cutoffs is None:
        return None
    for cutoff in cutoffs:
        if isinstance(cutoff, bool) or not isinstance(cutoff, int | float) or not np.isfinite(cutoff):
            raise StatisticsInputError("must be a finite number", field="cutoffs", value=cutoff, fix="write a number")
    return tuple(sorted({float(cutoff) for cutoff in cutoffs}))


def cutoff_results(
    cohort: CohortArrays, confidence_level: float, cutoffs: tuple[float, ...] | None = None
) -> tuple[CutoffResult, ...]:
    """Every participant with ratings, class and cut-off, in this order; Wilson's intervals."""
    scale = max((float(np.abs(one.ratings[:, one.is_rated]).max()) for one in cohort.participants
                 if one.kind == "reader" and one.ratings is not None and one.is_rated.any()), default=0.0)  # fmt: skip
    return tuple(
        result
        for one in cohort.participants
        if one.ratings is not None and one.is_rated.any()
        for index in cohort.curve_classes
        for result in _of_class(cohort, one, one.ratings[index][one.is_rated], index, confidence_level, cutoffs, scale)
    )


def _of_class(
    cohort: CohortArrays, one: Participant, ratings: FloatArray, index: int, level: float,
    cutoffs: tuple[float, ...] | None, scale: float,
) -> Iterator[CutoffResult]:  # fmt: skip
    """The cut-offs of one curve."""
    truth = cohort.truth[one.is_rated] == index
    patients = None if cohort.patients_if_clustered is None else cohort.patients_if_clustered[one.is_rated]
    for cutoff in _cutoffs(one, ratings, cutoffs, scale):
        stated, positive_from = _told(one, cutoff)
        called = ratings >= cutoff
        shares = {
            "sensitivity": (called, truth), "specificity": (~called, ~truth), "ppv": (truth, called),
            "npv": (~truth, ~called),
        }  # fmt: skip
        for quantity, (success, inside) in shares.items():
            if patients is not None and inside.any():
                estimate = proportion_clustered(success[inside], patients[inside], confidence_level=level)
            else:
                estimate = _share(int((success & inside).sum()), int(inside.sum()), level)
            yield CutoffResult(identity_of(one), cohort.class_keys[index], stated, positive_from, quantity, estimate)


@lru_cache(maxsize=1 << 16)
def _share(successes: int, n: int, level: float) -> Estimate:
    """A proportion; many readers and cut-offs have the same counts."""
    return proportion(successes, n, confidence_level=level)


def _cutoffs(
    one: Participant, ratings: FloatArray, cutoffs: tuple[float, ...] | None, scale: float
) -> tuple[float, ...]:
    """Those within the scale: 0 to 1 of a model, as far as any reader went of every reader."""
    if cutoffs is not None:
        lowest, highest = (0.0, 1.0) if one.kind == "model" else (-scale, scale)
        shift = one.confidence_shift if one.is_rated_by_confidence else 0
        rated = (cutoff + shift if cutoff >= 0 else cutoff - shift for cutoff in cutoffs)
        return tuple(cutoff for cutoff in rated if lowest <= cutoff <= highest)
    if one.kind == "model":
        return OF_PROBABILITIES
    steps = np.unique(ratings)
    return tuple(steps[1:].tolist()) if steps.size <= MOST_STEPS else ()  # from the lowest step on all are positive


def _told(one: Participant, cutoff: float) -> tuple[float, str]:
    """A cut-off as it was stated, and in words; 0 may have been stated of a class that was chosen and of another."""
    if not one.is_rated_by_confidence:
        return cutoff, f"{cutoff:g} or more"
    stated = abs(cutoff) - one.confidence_shift
    return (stated, f"chosen, {stated:g} or more") if cutoff > 0 else (0.0 - stated, f"not chosen, {stated:g} or less")
