"""Do a model's probabilities hold, and is acting on them worth it? Calibration, reliability bins, decision curves.

Every class against the rest (of two classes the positive one), then all classes at once ("all", Brier's own score) and
whether the most probable class is right as often as it says ("top_label").
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.statistics.decision_curve import decision_curve
from core.statistics.probability_calibration import (
    brier_score,
    brier_score_multiclass,
    expected_calibration_error,
    logistic_recalibration,
    reliability_bins,
)
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant
from core.study_analysis.data import FloatArray
from core.study_analysis.results import CalibrationResult, DecisionResult, ReliabilityBinResult, identity_of

#: Probabilities nearer to 0 or 1 than this are cut, with a note, before their logit is taken.
SMALLEST = 1e-6
N_BINS = 10


def calibration_results(cohort: CohortArrays, confidence_level: float) -> tuple[CalibrationResult, ...]:
    """Brier score, expected calibration error, slope and intercepts of every model.

    References
    ----------
    Brier (1950), Mon. Weather Rev. 78:1-3. Cox (1958), Biometrika 45:562-565. Naeini et al. (2015), AAAI, 2901-2907.
    """
    return tuple(
        result
        for one, probabilities, truth in _models(cohort)
        for result in _of_model(cohort, one, probabilities, truth, confidence_level)
    )


def _of_model(
    cohort: CohortArrays, one: Participant, probabilities: FloatArray, truth: np.ndarray, level: float
) -> Iterator[CalibrationResult]:
    """Each class, then the classes together."""
    who, patients = identity_of(one), _patients(cohort, one)
    for index in cohort.curve_classes:
        key, is_class, row = cohort.class_keys[index], truth == index, probabilities[index]
        brier = brier_score(is_class, row, patients=patients, confidence_level=level)
        error = expected_calibration_error(is_class, row, n_bins=N_BINS, patients=patients, confidence_level=level)
        logistic = logistic_recalibration(
            is_class, row, smallest=SMALLEST, patients=patients, confidence_level=level
        )  # fmt: skip
        yield CalibrationResult(who, key, "brier", brier, None)
        yield CalibrationResult(who, key, "ece", error, None)
        yield CalibrationResult(who, key, "slope", logistic.slope, logistic.test.p_value)
        yield CalibrationResult(who, key, "intercept", logistic.intercept, logistic.test.p_value)
        yield CalibrationResult(who, key, "in_the_large", logistic.in_the_large, None)
    if len(cohort.class_keys) > 2:
        of_all = brier_score_multiclass(
            truth, probabilities.T, tuple(range(len(cohort.class_keys))), patients=patients, confidence_level=level
        )
        top, highest = np.argmax(probabilities, axis=0), probabilities.max(axis=0)
        of_top = expected_calibration_error(
            top == truth, highest, n_bins=N_BINS, patients=patients, confidence_level=level
        )
        yield CalibrationResult(who, "all", "brier", of_all, None)
        yield CalibrationResult(who, "top_label", "ece", of_top, None)


def reliability_results(cohort: CohortArrays, confidence_level: float) -> tuple[ReliabilityBinResult, ...]:
    """Observed share of a class by its probability, in ten bins of equal width. Murphy and Winkler (1977)."""
    return tuple(
        ReliabilityBinResult(identity_of(one), cohort.class_keys[index], number, found)
        for one, probabilities, truth in _models(cohort)
        for index in cohort.curve_classes
        for number, found in enumerate(
            reliability_bins(
                truth == index, probabilities[index], n_bins=N_BINS, patients=_patients(cohort, one),
                confidence_level=confidence_level,
            ),
            start=1,
        )
    )  # fmt: skip


def decision_results(cohort: CohortArrays, confidence_level: float) -> tuple[DecisionResult, ...]:
    """Net benefit of every model and class over thresholds, of acting on all, and the gain over the better of both.

    References
    ----------
    Vickers and Elkin (2006), Med. Decis. Making 26:565-574.
    """
    found = []
    for one, probabilities, truth in _models(cohort):
        for index in cohort.curve_classes:
            points = decision_curve(
                truth == index, probabilities[index], patients=_patients(cohort, one), confidence_level=confidence_level
            )
            for point in points:
                estimates = {"net_benefit": point.model, "net_benefit_of_all": point.all_positive, "gain": point.gain}
                found += [
                    DecisionResult(identity_of(one), cohort.class_keys[index], point.threshold, quantity, estimate)
                    for quantity, estimate in estimates.items()
                ]
    return tuple(found)


def _models(cohort: CohortArrays) -> Iterator[tuple[Participant, FloatArray, np.ndarray]]:
    """Every model, and every reader who stated probabilities, with them and the truth of the cases that have them."""
    for one in cohort.participants:
        if one.has_probabilities and one.ratings is not None and one.is_rated.any():
            yield one, one.ratings[:, one.is_rated], cohort.truth[one.is_rated]


def _patients(cohort: CohortArrays, one: Participant) -> np.ndarray | None:
    """Patients of the predicted cases, where a patient has several."""
    within: BoolArray = one.is_rated
    return None if cohort.patients_if_clustered is None else cohort.patients_if_clustered[within]
