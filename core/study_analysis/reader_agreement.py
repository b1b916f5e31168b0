"""Agreement between the readers of an arm, pair by pair, and of each reader with themselves.

It is agreement of readers with each other, not with the reference standard: the latter is ``kappa`` of a participant.
Missing readings are left out where they are missing; Krippendorff's alpha, Fleiss' kappa, percent agreement and Gwet's
AC1 use every case that two readers read.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from core.statistics.agreement_coefficients import (
    AgreementCoefficient,
    brennan_prediger,
    conger_kappa,
    fleiss_kappa,
    gwet_ac,
    percent_agreement,
)
from core.statistics.krippendorff import krippendorff_alpha
from core.statistics.result import Estimate
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.data import IntArray
from core.study_analysis.kappa import kappa_of_pair
from core.study_analysis.results import AgreementResult

_BETWEEN: dict[str, Callable[..., AgreementCoefficient]] = {
    "percent_agreement": percent_agreement,
    "fleiss_kappa": fleiss_kappa,
    "conger_kappa": conger_kappa,
    "brennan_prediger": brennan_prediger,
    "krippendorff_alpha": krippendorff_alpha,
    "gwet_ac1": gwet_ac,
}


def agreement_between(cohort: CohortArrays, confidence_level: float) -> tuple[AgreementResult, ...]:
    """Readers of each arm: all together, then Cohen's kappa of every pair."""
    found: list[AgreementResult] = []
    labelled = [one for one in cohort.participants if one.kind == "reader" and one.has_labels]
    for arm in sorted({one.arm for one in labelled}):
        readers = [one for one in labelled if one.arm == arm]
        if len(readers) < 2:
            continue
        labels = np.stack([one.labels for one in readers], axis=1)  # (n_cases, n_readers)
        for statistic, estimate in _coefficients(labels, cohort.class_keys, confidence_level).items():
            found.append(AgreementResult(arm, "between", "", "", len(readers), statistic, estimate))
        for first, second in combinations(readers, 2):
            estimate = kappa_of_pair(first.labels, second.labels, len(cohort.class_keys), confidence_level)
            found.append(AgreementResult(arm, "pair", first.key, second.key, 2, "cohen_kappa", estimate))
    return tuple(found)


def agreement_within(cohort: CohortArrays, confidence_level: float) -> tuple[AgreementResult, ...]:
    """Each reader's first and later answers to the cases that came back."""
    found: list[AgreementResult] = []
    for one in cohort.repeats:
        estimates = _coefficients(one.labels, cohort.class_keys, confidence_level)
        wanted = {"percent_agreement": estimates["percent_agreement"], "gwet_ac1": estimates["gwet_ac1"]}
        wanted["cohen_kappa"] = kappa_of_pair(
            one.labels[:, 0], one.labels[:, 1], len(cohort.class_keys), confidence_level
        )
        for statistic, estimate in wanted.items():
            found.append(AgreementResult(one.arm, "within", one.key, one.key, 1, statistic, estimate))
    return tuple(found)


def _coefficients(labels: IntArray, keys: tuple[str, ...], level: float) -> dict[str, Estimate]:
    """Every coefficient of readings of shape (n_cases, n_readers), -1 where there is none."""
    rows = np.where(labels >= 0, labels, -1).astype(object)
    rows[labels < 0] = None
    return {
        name: coefficient(rows, tuple(range(len(keys))), confidence_level=level).estimate
        for name, coefficient in _BETWEEN.items()
    }
