"""Each model at the operating point of each reader and panel: sensitivity at equal specificity, and the reverse.

A reader's decision is a point and a model's rating a curve; their areas cannot be compared fairly, this can.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.statistics.matched_point import Match, compare_at_matched_point
from core.statistics.reader_study import Figure
from core.study_analysis.arrays import CohortArrays, Participant
from core.study_analysis.data import FloatArray
from core.study_analysis.multireader import participating
from core.study_analysis.panel_cases import SMALLEST_PANEL, Missing
from core.study_analysis.reader_panels import ReaderPanel, reader_panels
from core.study_analysis.results import Identity, MatchedPointResult, identity_of

MATCHES: tuple[Match, ...] = ("specificity", "sensitivity")


def matched_point_results(cohort: CohortArrays, confidence_level: float) -> tuple[MatchedPointResult, ...]:
    """Every model with ratings against every reader with labels, then against the panel of each arm."""
    models = [one for one in cohort.participants if one.kind == "model" and one.is_rated.any()]
    readers = [one for one in participating(cohort) if one.has_labels]
    return tuple(
        result
        for model in models
        for second, calls, notes in _opponents(cohort, model, readers)
        for index in cohort.curve_classes
        for result in _of_class(cohort, model, second, calls, notes, index, confidence_level)
    )


def _opponents(
    cohort: CohortArrays, model: Participant, readers: list[Participant]
) -> Iterator[tuple[Identity, FloatArray, tuple[str, ...]]]:
    """Who the model is held against, with their labels of shape (n_readers, n_cases), NaN where there is none."""
    for one in readers:
        yield identity_of(one), np.where(one.labels >= 0, one.labels, np.nan)[None], ()
    for arm in sorted({one.arm for one in readers}):
        of_arm = [one for one in readers if one.arm == arm]
        if len(of_arm) < SMALLEST_PANEL:
            continue
        for panel in reader_panels(cohort, of_arm, [arm], model):
            if isinstance(panel, ReaderPanel) and panel.kind == "labels":
                chosen = panel.choose(Figure.ACCURACY, None, Missing.COMMON)
                kept = [panel.answers[arm, panel.readers[place]].labels for place in chosen.readers]
                labels = np.stack([np.where(row >= 0, row, np.nan) for row in kept])
                who = Identity("panel", f"readers, {arm}", arm, f"readers, {arm}")
                yield who, labels, (*chosen.notes, "the readers are fixed: the interval speaks of these readers alone")


def _of_class(
    cohort: CohortArrays, model: Participant, second: Identity, labels: FloatArray, notes: tuple[str, ...], index: int,
    level: float,
) -> Iterator[MatchedPointResult]:  # fmt: skip
    """One class, matched both ways."""
    ratings = np.full(cohort.truth.size, np.nan) if model.ratings is None else model.ratings[index]
    calls = np.where(np.isnan(labels), np.nan, labels == index)
    for match in MATCHES:
        found = compare_at_matched_point(
            cohort.truth == index, ratings, calls, match=match, patients=cohort.patients_if_clustered,
            confidence_level=level,
        )  # fmt: skip
        yield MatchedPointResult(cohort.class_keys[index], second.arm, identity_of(model), second, found, notes)
