"""The averaged ROC curve of the readers of an arm: their curves are averaged, never their ratings pooled."""

from __future__ import annotations

import numpy as np

from core.statistics.reader_averaged_roc import reader_averaged_roc
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.results import ReaderAverage

#: An average needs at least this many readers with ratings.
SMALLEST_PANEL = 2


def reader_averages(cohort: CohortArrays) -> tuple[ReaderAverage, ...]:
    """Vertical average per arm and class over the readers with ratings, where at least two have rated both sides.

    References
    ----------
    Chen and Samuelson (2014), Br. J. Radiol. 87:20140016.
    """
    found = []
    rated = [one for one in cohort.participants if one.kind == "reader" and one.ratings is not None]
    for arm in dict.fromkeys(one.arm for one in rated):
        for index in cohort.curve_classes:
            truth = cohort.truth == index
            rows = [
                np.where(one.is_rated, one.ratings[index], np.nan)
                for one in rated
                if one.arm == arm
                and one.ratings is not None
                and (one.is_rated & truth).any()
                and (one.is_rated & ~truth).any()
            ]
            if len(rows) >= SMALLEST_PANEL:
                curve = reader_averaged_roc(truth, np.stack(rows))
                found.append(ReaderAverage(arm, cohort.class_keys[index], curve))
    return tuple(found)
