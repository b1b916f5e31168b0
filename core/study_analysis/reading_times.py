"""How long readers took, by whether they were right: medians, because reading times are skewed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.statistics.median import median_estimate
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.performance import CLUSTER_NOTE
from core.study_analysis.results import ReadingTimeResult, identity_of


def reading_times(cohort: CohortArrays, confidence_level: float) -> tuple[ReadingTimeResult, ...]:
    """Median seconds of every reader whose time was measured: of all answers, of the right and of the wrong ones.

    References
    ----------
    Conover (1999), Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    found = []
    for one in cohort.participants:
        if one.seconds is None:
            continue
        measured, is_right = ~np.isnan(one.seconds) & one.is_answered, one.labels == cohort.truth
        parts = {"all": measured}
        if one.has_labels:
            parts |= {"right": measured & is_right, "wrong": measured & ~is_right}
        for answer, chosen in parts.items():
            estimate = median_estimate(one.seconds[chosen], confidence_level=confidence_level)
            if not chosen.any():
                estimate = replace(estimate, reason="No such answer was timed.")
            if cohort.is_clustered:
                estimate = estimate.with_note(CLUSTER_NOTE)
            found.append(ReadingTimeResult(identity_of(one), answer, estimate))
    return tuple(found)
