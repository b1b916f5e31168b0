"""Agreement between the readers of an arm, pair by pair, and of each reader with themselves.

It is agreement of readers with each other, not with the reference standard: the latter is ``kappa`` of a participant.
Missing readings are left out where they are missing; every coefficient says how many cases two or more read.
"""

from __future__ import annotations

import numpy as np

from core.statistics.cohen_kappa import cohen_kappa
from core.statistics.panel_agreement import PanelAgreement, intra_reader_agreement, panel_agreement
from core.statistics.result import Estimate
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.case_outcomes import lead_model
from core.study_analysis.data import IntArray
from core.study_analysis.results import AgreementResult


def agreement_between(cohort: CohortArrays, confidence_level: float) -> tuple[AgreementResult, ...]:
    """Readers of each arm: all together, then Cohen's kappa of every pair."""
    found: list[AgreementResult] = []
    labelled = [one for one in cohort.participants if one.kind == "reader" and one.has_labels]
    for arm in sorted({one.arm for one in labelled}):
        readers = [one for one in labelled if one.arm == arm]
        if len(readers) < 2:
            continue
        labels = np.stack([one.labels for one in readers], axis=1)  # (n_cases, n_readers)
        panel = panel_agreement(_named(labels, cohort), cohort.class_keys, confidence_level=confidence_level)
        for statistic, estimate in _coefficients(panel).items():
            found.append(AgreementResult(arm, "between", "", "", len(readers), statistic, estimate))
        for pair in panel.pairs:
            first, second = readers[pair.first].key, readers[pair.second].key
            found.append(AgreementResult(arm, "pair", first, second, 2, "cohen_kappa", pair.kappa))
    return tuple(found)


def agreement_with_model(
    cohort: CohortArrays, confidence_level: float, declared: str | None = None
) -> tuple[AgreementResult, ...]:
    """Cohen's kappa of every reader, in each arm, with the model that meets the readers, on the cases of both."""
    model, found = lead_model(cohort, declared), []
    for one in cohort.participants:
        if model is None or one.kind != "reader" or not one.has_labels:
            continue
        both = (one.labels >= 0) & (model.labels >= 0)
        if not both.any():
            continue
        keys = np.asarray(cohort.class_keys, dtype=object)
        own, other = (keys[each.labels[both]] for each in (one, model))
        kappa = cohen_kappa(own, other, cohort.class_keys, confidence_level=confidence_level)
        found.append(AgreementResult(one.arm, "with_model", one.key, model.key, 2, "cohen_kappa", kappa))
    return tuple(found)


def agreement_within(cohort: CohortArrays, confidence_level: float) -> tuple[AgreementResult, ...]:
    """Each reader's first and later answers to the cases that came back."""
    found: list[AgreementResult] = []
    for one in cohort.repeats:
        first, second = _named(one.labels, cohort).T
        own = intra_reader_agreement(first, second, cohort.class_keys, confidence_level=confidence_level)
        estimates = {"percent_agreement": own.percent, "gwet_ac1": own.gwet, "cohen_kappa": own.kappa}
        for statistic, estimate in estimates.items():
            found.append(AgreementResult(one.arm, "within", one.key, one.key, 1, statistic, estimate))
    return tuple(found)


def _coefficients(panel: PanelAgreement) -> dict[str, Estimate]:
    """Every coefficient of a panel by its name in the table."""
    return {
        "percent_agreement": panel.percent.estimate,
        "fleiss_kappa": panel.fleiss.estimate,
        "conger_kappa": panel.conger.estimate,
        "brennan_prediger": panel.brennan_prediger.estimate,
        "krippendorff_alpha": panel.krippendorff.estimate,
        "gwet_ac1": panel.gwet.estimate,
    }


def _named(labels: IntArray, cohort: CohortArrays) -> np.ndarray:
    """Classes by name, None where there is no answer (-1)."""
    return np.array([*cohort.class_keys, None], dtype=object)[labels]
