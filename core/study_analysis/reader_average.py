"""The averaged ROC curve of the readers of an arm: their curves are averaged, never their ratings pooled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.statistics.reader_averaged_roc import ReaderAveragedRoc, average_curves, reader_averaged_roc
from core.statistics.roc import roc_curve
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant
from core.study_analysis.data import FloatArray
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
            if not all(_has_both(truth[chosen.cases], row) for row in rows):
                continue  # the cases that all answered have none of a kind: the mean AUC says why it is undefined
            curve = reader_averaged_roc(truth[chosen.cases], rows)
            n_cases = int(chosen.cases.sum())
            found.append(ReaderAverage(arm, cohort.class_keys[index], curve, n_cases, chosen.notes))
    if len(cohort.class_keys) > 2:
        found += [
            average
            for arm in dict.fromkeys(one.arm for one in rated)
            for average in _macro(cohort, rated, arm, missing)
        ]
    return tuple(found)


def _macro(cohort: CohortArrays, rated: list[Participant], arm: str, missing: Missing) -> Iterator[ReaderAverage]:
    """The average over readers of their averages over classes; its area is the mean of the macro AUCs."""
    keys = range(len(cohort.class_keys))
    readers = [
        one for one in rated if one.arm == arm and all((one.is_rated & (cohort.truth == index)).any() for index in keys)
    ]
    if len(readers) < SMALLEST_PANEL:
        return
    answered = np.stack([one.is_rated for one in readers])[None]
    chosen = panel_cases(answered, [cohort.truth == index for index in keys], [one.name for one in readers], missing)
    truth, curves, n_hard = cohort.truth[chosen.cases], [], 0
    for one in (readers[place] for place in chosen.readers):
        values = np.empty((len(keys), 0)) if one.ratings is None else one.ratings[:, chosen.cases]
        if not all(_has_both(truth == index, row) for index, row in enumerate(values)):
            return
        of_classes = [
            roc_curve((truth == index)[~np.isnan(row)], row[~np.isnan(row)]) for index, row in enumerate(values)
        ]
        n_hard += any(curve.is_operating_point for curve in of_classes)
        curves.append(average_curves([(1.0 - curve.specificity, curve.sensitivity) for curve in of_classes]))
    x, y = average_curves(curves)
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2.0)
    curve = ReaderAveragedRoc(x, y, "vertical", area, len(curves), n_hard)
    yield ReaderAverage(arm, "macro", curve, int(chosen.cases.sum()), chosen.notes)


def _has_both(is_positive: BoolArray, ratings: FloatArray) -> bool:
    """Whether a reader rated a positive and a negative case."""
    is_rated = ~np.isnan(ratings)
    return bool((is_rated & is_positive).any() and (is_rated & ~is_positive).any())
