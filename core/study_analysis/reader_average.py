"""The averaged ROC curve of the readers of an arm: their curves are averaged, never their ratings pooled."""

from __future__ import annotations

import numpy as np

from core.statistics.reader_averaged_roc import reader_averaged_roc
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.panel_cases import SMALLEST_PANEL, Missing, panel_cases
from core.study_analysis.results import ReaderAverage


def reader_averages(cohort: CohortArrays, missing: Missing = Missing.COMMON) -> tuple[ReaderAverage, ...]:
    """Vertical average per arm and class over the readers with ratings, where at least two have rated both sides.

    Readers and cases are those of the panel's mean AUC (:mod:`core.study_analysis.panel_cases`).

    References
    ----------
    Chen and Samuelson (2014), Br. J. Radiol. 87:20140016.
    """
    found = []
    rated = [one for one in cohort.participants if one.kind == "reader" and one.is_rated.any()]
    for arm in dict.fromkeys(one.arm for one in rated):
        for index in cohort.curve_classes:
            truth = cohort.truth == index
            readers = [
                one
                for one in rated
                if one.arm == arm and (one.is_rated & truth).any() and (one.is_rated & ~truth).any()
            ]
            if len(readers) < SMALLEST_PANEL:
                continue
            answered = np.stack([one.is_rated for one in readers])[None]
            chosen = panel_cases(answered, [truth, ~truth], [one.name for one in readers], missing)
            ratings = [readers[place].ratings for place in chosen.readers]
            rows = np.stack([row[index, chosen.cases] for row in ratings if row is not None])
            curve = reader_averaged_roc(truth[chosen.cases], rows)
            n_cases = int(chosen.cases.sum())
            found.append(ReaderAverage(arm, cohort.class_keys[index], curve, n_cases, chosen.notes))
    return tuple(found)
