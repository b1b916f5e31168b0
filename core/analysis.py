"""One call: a study's readings, predictions and reference standard in, every number out.

Screens, CSV exports and the command line all read from the object that :func:`analyse` returns. Nothing here knows a
database or draws a random number: the same data give the same result.

Conventions
-----------
* Every cohort is analysed on its own; within it every reader in every arm, and every model, is a *participant*.
* A reader's rating of class c is +confidence when c was chosen and -confidence otherwise. Confidence that is absent or
  never changes leaves hard labels: an operating point, no curve.
* Pairs are compared on the cases that both answered; missing answers are counted and never imputed as wrong.
* Intervals: Wilson for proportions, DeLong on the logit scale for AUCs, Tango for paired differences; between patients
  where a patient has several cases. ``docs/statistics.md`` names formula, paper and default of every number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from core.errors import NotFoundError
from core.natural_order import natural_key
from core.protocol import DiseaseClass
from core.statistics.validation import check_confidence_level
from core.study_analysis.arrays import CohortArrays, cohort_arrays
from core.study_analysis.behaviour import confidence_results, ledger_averages, ledger_results, order_results
from core.study_analysis.case_description import CaseDescription, describe_cases
from core.study_analysis.case_outcomes import case_outcomes
from core.study_analysis.data import StudyData
from core.study_analysis.headline import headline, margin_sentences
from core.study_analysis.json_form import json_form
from core.study_analysis.localisation import localisation_results, lroc_curves
from core.study_analysis.margin_verdicts import check_margin, margin_results
from core.study_analysis.marginal_tests import marginal_tests
from core.study_analysis.matched_points import matched_point_results
from core.study_analysis.model_probabilities import calibration_results, decision_results, reliability_results
from core.study_analysis.multireader import multireader_results, panel_means
from core.study_analysis.operating_points import operating_points
from core.study_analysis.pairs import pair_comparisons
from core.study_analysis.panel_cases import Missing, check_missing
from core.study_analysis.performance import participant_analysis
from core.study_analysis.predictive_pairs import predictive_comparisons
from core.study_analysis.pseudovalues import pseudovalue_results
from core.study_analysis.rating_cutoffs import check_cutoffs, cutoff_results
from core.study_analysis.reader_agreement import agreement_between, agreement_with_model, agreement_within
from core.study_analysis.reader_average import reader_averages
from core.study_analysis.reading_times import reading_times
from core.study_analysis.result_tables import COLUMNS, tables
from core.study_analysis.results import (
    AgreementResult,
    AucComparison,
    ClassPerformance,
    CohortAnalysis,
    Identity,
    MarginalTest,
    MarginResult,
    MrmcResult,
    OperatingPointResult,
    PairComparison,
    PanelMean,
    ParticipantAnalysis,
    PredictiveComparison,
    ReaderAverage,
    RocPoints,
)
from core.study_analysis.subgroups import subgroup_results

__all__ = [
    "COLUMNS",
    "AgreementResult",
    "AucComparison",
    "CaseDescription",
    "ClassPerformance",
    "CohortAnalysis",
    "Identity",
    "MarginResult",
    "MarginalTest",
    "Missing",
    "MrmcResult",
    "OperatingPointResult",
    "PairComparison",
    "PanelMean",
    "ParticipantAnalysis",
    "PredictiveComparison",
    "ReaderAverage",
    "RocPoints",
    "StudyAnalysis",
    "StudyData",
    "analyse",
]


@dataclass(frozen=True, eq=False)
class StudyAnalysis:
    """Everything that the data of a study say."""

    classes: tuple[DiseaseClass, ...]
    confidence_level: float
    cohorts: tuple[CohortAnalysis, ...]
    notes: tuple[str, ...]
    missing: Missing = Missing.COMMON
    description: CaseDescription = field(kw_only=True)
    declared_model: str | None = None  # named by the protocol before reading

    def cohort(self, name: str) -> CohortAnalysis:
        """One cohort.

        Raises
        ------
        NotFoundError
            If nothing was answered in a cohort of that name.
        """
        for one in self.cohorts:
            if one.cohort == name:
                return one
        raise NotFoundError(f"No cohort {name!r} in this analysis.")

    def to_tables(self) -> dict[str, pd.DataFrame]:
        """Tidy tables by name; columns in :data:`COLUMNS`, meaning in ``docs/statistics.md``."""
        return {name: table.copy(deep=False) for name, table in self._tables.items()}  # pandas copies what is changed

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return _with_class_names(tables(self.cohorts, self.description), self.classes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe object with all digits; keys in ``docs/statistics.md``."""
        return json_form(self.classes, self.confidence_level, self.missing, self.notes, self.cohorts, self.to_tables())


def analyse(
    data: StudyData,
    *,
    confidence_level: float = 0.95,
    cohorts: Sequence[str] | None = None,
    margin: float | None = None,
    missing: Missing | str = Missing.COMMON,
    cutoffs: Sequence[float] | None = None,
    positive: str | None = None,
) -> StudyAnalysis:
    """Analyse a study.

    Parameters
    ----------
    data : StudyData
        Cases with their reference standard, readings, predictions.
    confidence_level : float
        Of every interval, for example 0.95.
    cohorts : sequence of str, optional
        Cohorts to analyse; absent: every cohort that somebody read or a model predicted.
    margin : float, optional
        Largest loss that would still be acceptable, set before the data were seen, for example 0.05: accuracy of each
        model against each reader and AUC against each panel are then judged for non-inferiority and equivalence.
    missing : Missing or str
        How several readers are compared where not everybody answered every case: "common", on the cases that all of
        them answered, or "per-curve", every figure on the cases of its reader, as MRMCaov does. Each row states the
        other result where it differs. The rule stands in :mod:`core.study_analysis.panel_cases`.
    cutoffs : sequence of float, optional
        Lowest ratings that count as positive, fixed before the study (4 of a scale of 5, a probability of 0.5); absent:
        the steps of :mod:`core.study_analysis.rating_cutoffs`.
    positive : str, optional
        Which of two classes is the positive one; absent: the second. Of more classes each is held against the rest.

    Returns
    -------
    StudyAnalysis
        Numbers that the data do not define are estimates in the state "undefined" that say why, never 0 and never NaN.

    Raises
    ------
    StatisticsInputError
        If the confidence level or the margin is not between 0 and 1, ``missing`` is neither of its two words, a
        cut-off is no number, or ``positive`` is not one of two classes.
    """
    level, way, steps = check_confidence_level(confidence_level), check_missing(missing), check_cutoffs(cutoffs)
    if positive is not None:
        data = data.with_positive(positive)
    if margin is not None:
        check_margin(margin)
    arrays = cohort_arrays(data, cohorts)
    notes = []
    if not arrays:
        notes.append("nobody has answered a case yet")
    if data.simulated:
        names = ", ".join(sorted((data.reader_name(key) for key in data.simulated), key=natural_key))
        notes.append(f"answers drawn by a program, not given by humans: {names}")
    labels = {one.key: one.label for one in data.classes}
    found = [_cohort(one, level, margin, way, steps, data.declared_model, labels) for one in arrays]
    answered = tuple(
        replace(
            one,
            answer=headline(one, declared=data.declared_model),
            margin_answer=margin_sentences(one, declared=data.declared_model),
        )
        for one in found
    )
    description = describe_cases(data)
    return StudyAnalysis(
        tuple(data.classes),
        level,
        answered,
        tuple(notes),
        way,
        description=description,
        declared_model=data.declared_model,
    )


def _cohort(
    cohort: CohortArrays,
    level: float,
    margin: float | None,
    missing: Missing,
    cutoffs: tuple[float, ...] | None,
    declared: str | None,
    labels: Mapping[str, str],
) -> CohortAnalysis:
    """Everything about one cohort."""
    k = len(cohort.class_keys)
    sizes = [int((cohort.truth == index).sum()) for index in range(k)]
    notes = []
    if cohort.is_clustered:
        notes.append(
            f"{len(cohort.cases)} cases come from {cohort.n_patients} patients: intervals and tests are between "
            "patients where a note or a method's name says so, the others take cases as independent"
        )
    notes += [
        f"no case of class {labels[key]}" for key, size in zip(cohort.class_keys, sizes, strict=True) if size == 0
    ]
    if cohort.cohort == "training" and any(one.kind == "model" for one in cohort.participants):
        notes.append("a model that learned from these cases is too good on them")
    comparisons, mrmc = pair_comparisons(cohort, level), multireader_results(cohort, level, missing)
    ledger = ledger_results(cohort, level, declared)
    return CohortAnalysis(
        cohort=cohort.cohort,
        confidence_level=level,
        n_cases=len(cohort.cases),
        n_patients=cohort.n_patients,
        class_counts=dict(zip(cohort.class_keys, sizes, strict=True)),
        excluded_counts=dict(zip(cohort.class_keys, cohort.excluded_by_class.tolist(), strict=True)),
        participants=tuple(participant_analysis(cohort, one, level) for one in cohort.participants),
        comparisons=comparisons,
        agreement=agreement_between(cohort, level),
        repeats=agreement_within(cohort, level),
        mrmc=mrmc,
        panel_means=panel_means(cohort, level, missing),
        notes=tuple(notes),
        class_patients=_class_patients(cohort),
        marginal_tests=marginal_tests(cohort),
        operating_points=operating_points(cohort, level),
        reader_average_roc=reader_averages(cohort, missing),
        predictive_values=predictive_comparisons(cohort, level),
        dbm=pseudovalue_results(cohort, level, missing),
        calibration=calibration_results(cohort, level),
        reliability_bins=reliability_results(cohort, level),
        decision_curves=decision_results(cohort, level),
        rating_cutoffs=cutoff_results(cohort, level, cutoffs),
        matched_points=matched_point_results(cohort, level),
        subgroups=subgroup_results(cohort, level, missing),
        reading_times=reading_times(cohort, level),
        agreement_with_model=agreement_with_model(cohort, level, declared),
        case_outcomes=case_outcomes(cohort, declared),
        localisation=localisation_results(cohort, level),
        lroc_curves=lroc_curves(cohort),
        confidence=confidence_results(cohort, level),
        reading_order=order_results(cohort, level),
        aid_ledger=ledger,
        aid_ledger_averages=ledger_averages(ledger),
        margins=() if margin is None else margin_results(comparisons, mrmc, margin, level),
    )


def _with_class_names(found: dict[str, pd.DataFrame], classes: Sequence[DiseaseClass]) -> dict[str, pd.DataFrame]:
    """Notes that name classes as people do; the statistics know their keys alone."""
    labels = {one.key: one.label for one in classes}
    keys = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    named = re.compile(rf"(?<=\bclass )({keys})(?![\w-])")
    for name, table in found.items():
        if "notes" in table.columns and len(table):
            texts = {note: named.sub(lambda key: labels[key[0]], note) for note in table["notes"].unique()}
            found[name] = table.assign(notes=table["notes"].map(texts))
    return found


def _class_patients(cohort: CohortArrays) -> dict[str, int]:
    """Patients with an analysed case of each class."""
    of_class: list[set[str]] = [set() for _ in cohort.class_keys]
    for patient, index in zip(cohort.patients, cohort.truth.tolist(), strict=True):
        of_class[index].add(patient)
    return {key: len(patients) for key, patients in zip(cohort.class_keys, of_class, strict=True)}
