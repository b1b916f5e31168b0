"""Points that are read off the ROC curve of each participant with ratings.

Youden's threshold with its sensitivity and specificity (Wilson), sensitivity at specificity 0.9, specificity at
sensitivity 0.9, and the partial AUC over specificity 0.9 to 1 with McClish's scaling. Nothing is drawn at random here,
so what is read off a curve comes without an interval: ``core.statistics.roc`` gives a bootstrap interval with an
``rng``. Hard labels have one operating point already (``per_class``) and are not here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.statistics.proportions import proportion
from core.statistics.result import Estimate, undefined_estimate
from core.statistics.roc import (
    is_hard_label,
    partial_auc,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant
from core.study_analysis.data import FloatArray
from core.study_analysis.performance import CLUSTER_NOTE
from core.study_analysis.results import OperatingPointResult, identity_of

#: The fixed specificity, the fixed sensitivity, and the lower end of the partial AUC's range of specificity.
FIXED = 0.9
CHOSEN_HERE = "the threshold was chosen on these cases, so sensitivity and specificity are optimistic"
NO_INTERVAL = "read off the curve: no interval without a bootstrap"
YOUDEN = "Youden point"


def operating_points(cohort: CohortArrays, confidence_level: float) -> tuple[OperatingPointResult, ...]:
    """Every point of every participant and class with a curve, in the order of the participants."""
    return tuple(
        result
        for one in cohort.participants
        if one.ratings is not None
        for index in cohort.curve_classes
        for result in _of_class(cohort, one, one.ratings[index], index, confidence_level)
    )


def _of_class(
    cohort: CohortArrays, one: Participant, ratings: FloatArray, index: int, level: float
) -> Iterator[OperatingPointResult]:
    """The points of one curve."""
    within = one.is_rated
    truth, values = (cohort.truth == index)[within], ratings[within]
    if is_hard_label(values):
        return
    who, key = identity_of(one), cohort.class_keys[index]
    threshold, youden = _youden(truth, values, level, is_clustered=cohort.is_clustered)
    threshold = None if threshold is None else float(one.as_stated(np.array([threshold]), values)[0])
    for name, estimate in youden.items():
        yield OperatingPointResult(who, key, name, threshold, estimate)
    read_off = {
        "sensitivity_at_specificity_0.9": sensitivity_at_specificity(truth, values, FIXED, confidence_level=level),
        "specificity_at_sensitivity_0.9": specificity_at_sensitivity(truth, values, FIXED, confidence_level=level),
        "partial_auc_specificity_0.9_1": partial_auc(
            truth, values, between=(FIXED, 1.0), is_corrected=True, confidence_level=level
        ),
    }
    for name, estimate in read_off.items():
        shown = estimate if estimate.value is None else estimate.with_note(NO_INTERVAL)
        yield OperatingPointResult(who, key, name, None, shown)


def _youden(
    truth: BoolArray, values: FloatArray, level: float, *, is_clustered: bool
) -> tuple[float | None, dict[str, Estimate]]:
    """Threshold with the largest sensitivity + specificity, of equal ones the most sensitive. Youden (1950)."""
    names = ("youden_sensitivity", "youden_specificity")
    if not truth.any() or truth.all():
        reason = "No case is positive." if not truth.any() else "No case is negative."
        nothing = undefined_estimate(reason, confidence_level=level, method=YOUDEN, n=truth.size)
        return None, dict.fromkeys(names, nothing)
    curve = roc_curve(truth, values)
    gain = curve.true_positive * curve.n_negative - curve.false_positive * curve.n_positive
    best = int(np.flatnonzero(gain == gain.max())[-1])
    hit, correct = int(curve.true_positive[best]), curve.n_negative - int(curve.false_positive[best])
    found = {}
    for name, successes, n in zip(names, (hit, correct), (curve.n_positive, curve.n_negative), strict=True):
        estimate = proportion(successes, n, confidence_level=level).with_note(CHOSEN_HERE)
        found[name] = estimate.with_note(CLUSTER_NOTE) if is_clustered else estimate
    threshold = float(curve.threshold[best])
    return (threshold if np.isfinite(threshold) else None), found
