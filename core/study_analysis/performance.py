"""One participant against the reference standard: proportions, kappa, curves and areas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.statistics.auc_interval import auc_clustered, auc_estimate, hard_label_auc
from core.statistics.classification import BinaryMetrics, ClassificationMetrics, metrics_from_matrix
from core.statistics.cohen_kappa import kappa_of_table
from core.statistics.multiclass import MulticlassAuc
from core.statistics.proportions import proportion_clustered
from core.statistics.result import Estimate, undefined_estimate
from core.statistics.roc import is_hard_label, roc_curve
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant
from core.study_analysis.averages import areas_of, auc_averages
from core.study_analysis.data import IntArray
from core.study_analysis.results import ClassPerformance, Identity, ParticipantAnalysis, RocPoints

CLUSTER_NOTE = "some patients have several cases: the interval takes cases as independent"
KAPPA_NOTE = "agreement with the reference standard, not between readers"


def participant_analysis(cohort: CohortArrays, one: Participant, confidence_level: float) -> ParticipantAnalysis:
    """Everything about one reader in one arm, or one model, on one cohort."""
    answered = one.is_answered
    n_cases = int(answered.sum())
    k = len(cohort.class_keys)
    metrics: ClassificationMetrics | None = None
    confusion: IntArray | None = None
    quantities: dict[str, Estimate] = {}
    if one.has_labels:
        chosen = one.labels >= 0
        flat = np.bincount(cohort.truth[chosen] * k + one.labels[chosen], minlength=k * k)
        confusion = flat.reshape(k, k).astype(np.int64)
        metrics = metrics_from_matrix(confusion, cohort.class_keys, confidence_level=confidence_level)
        quantities = _overall(cohort, one, metrics, confusion, confidence_level)
    areas = areas_of(cohort, one, confidence_level)
    classes = tuple(
        _class_performance(cohort, one, index, metrics, areas, confidence_level)
        for index in range(k)
        if metrics is not None or index in cohort.curve_classes
    )
    notes = list(one.notes)
    if cohort.is_clustered:
        notes.append(f"{len(cohort.cases)} cases of {cohort.n_patients} patients: main intervals are between patients")
    return ParticipantAnalysis(
        identity=Identity(one.kind, one.key, one.arm, one.name),
        n_expected=one.n_expected,
        n_cases=n_cases,
        n_missing=max(0, one.n_expected - n_cases - one.n_unreadable),
        n_unreadable=one.n_unreadable,
        n_repeats=one.n_repeats,
        has_labels=one.has_labels,
        has_ratings=one.ratings is not None,
        confusion=confusion,
        quantities=quantities,
        classes=classes,
        auc_averages=auc_averages(areas, cohort, one),
        notes=tuple(notes),
        flags=one.flags,
    )


def _overall(
    cohort: CohortArrays, one: Participant, metrics: ClassificationMetrics, confusion: IntArray, level: float
) -> dict[str, Estimate]:
    """Numbers over all classes."""
    chosen = one.labels >= 0
    right = one.labels[chosen] == cohort.truth[chosen]
    found = {
        "accuracy": _share(cohort, right, chosen, metrics.accuracy, level),
        "balanced_accuracy": metrics.macro.sensitivity.with_note("mean sensitivity over the classes"),
        # Zhao et al. 2023 print it as Fleiss' kappa; it is Cohen's.
        "kappa": kappa_of_table(confusion, confidence_level=level).with_note(KAPPA_NOTE),
    }
    for kind, averages in (("macro", metrics.macro), ("weighted", metrics.weighted)):
        for quantity in ("sensitivity", "specificity", "ppv", "npv", "f1"):
            found[f"{kind}_{quantity}"] = getattr(averages, quantity)
    if cohort.is_clustered:
        found = {name: _clustered_note(estimate) for name, estimate in found.items()}
    return found


def _clustered_note(estimate: Estimate) -> Estimate:
    """Say when an interval does not know about patients."""
    return estimate if "patients as clusters" in estimate.method else estimate.with_note(CLUSTER_NOTE)


def _share(cohort: CohortArrays, success: BoolArray, within: BoolArray, plain: Estimate, level: float) -> Estimate:
    """A proportion of the cases ``within``, between patients where a patient has several."""
    if not cohort.is_clustered or not success.size:
        return plain
    patients = [patient for patient, counted in zip(cohort.patients, within.tolist(), strict=True) if counted]
    return proportion_clustered(success, patients, confidence_level=level)


def _class_performance(
    cohort: CohortArrays,
    one: Participant,
    index: int,
    metrics: ClassificationMetrics | None,
    areas: MulticlassAuc | None,
    level: float,
) -> ClassPerformance:
    """One class against the rest."""
    key = cohort.class_keys[index]
    area, is_point, roc = _curve(cohort, one, index, areas, level)
    if metrics is None:
        return ClassPerformance(key, None, None, None, None, {}, area, is_point, roc)
    binary = metrics.per_class[key]
    counts = binary.counts
    return ClassPerformance(
        key, counts.true_positive, counts.false_positive, counts.false_negative, counts.true_negative,
        _class_quantities(cohort, one, index, binary, level), area, is_point, roc,
    )  # fmt: skip


def _class_quantities(
    cohort: CohortArrays, one: Participant, index: int, binary: BinaryMetrics, level: float
) -> Mapping[str, Estimate]:
    """Per-class numbers by name."""
    found = {
        "sensitivity": binary.sensitivity,
        "specificity": binary.specificity,
        "ppv": binary.ppv,
        "npv": binary.npv,
        "f1": binary.f1,
        "balanced_accuracy": binary.balanced_accuracy,
        "lr_positive": binary.positive_likelihood_ratio,
        "lr_negative": binary.negative_likelihood_ratio,
    }
    if cohort.is_clustered:
        chosen, is_class, said = one.labels >= 0, cohort.truth == index, one.labels == index
        denominators = {
            "sensitivity": (chosen & is_class, said),
            "specificity": (chosen & ~is_class, ~said),
            "ppv": (chosen & said, is_class),
            "npv": (chosen & ~said, ~is_class),
        }
        for name, (within, success) in denominators.items():
            found[name] = _share(cohort, success[within], within, found[name], level)
        found = {name: _clustered_note(estimate) for name, estimate in found.items()}
    return found


def _curve(
    cohort: CohortArrays, one: Participant, index: int, areas: MulticlassAuc | None, level: float
) -> tuple[Estimate, bool, RocPoints | None]:
    """Area, whether it is a mere operating point, and the points."""
    is_positive = cohort.truth == index
    if one.ratings is None:
        within = one.labels >= 0
        rating = (one.labels == index).astype(np.float64)
    else:
        within = one.is_rated
        rating = one.ratings[index]
    truth, values = is_positive[within], rating[within]
    is_point = one.ratings is None or is_hard_label(values)
    if truth.size == 0:
        nothing = undefined_estimate("There is no answer.", confidence_level=level, method="DeLong, logit scale", n=0)
        return nothing, is_point, None
    if cohort.is_clustered:
        patients = [patient for patient, counted in zip(cohort.patients, within.tolist(), strict=True) if counted]
        area = auc_clustered(truth, values, patients, confidence_level=level)
    elif areas is not None:
        area = areas.one_vs_rest[cohort.class_keys[index]]
    elif one.ratings is None:
        area = hard_label_auc(truth, values == 1.0, confidence_level=level)
    else:
        area = auc_estimate(truth, values, confidence_level=level)
    if not truth.any() or truth.all():
        return area, is_point, None
    curve = roc_curve(truth, values)
    rate = curve.false_positive / curve.n_negative
    stated = one.as_stated(curve.threshold, values)
    if not is_point:
        return area, False, RocPoints(rate, curve.sensitivity, stated, is_curve=True, curve=curve)
    inner = slice(1, 2) if curve.threshold.size > 2 else slice(0, 1)  # nobody or everybody positive: a corner
    if one.ratings is None and values.all():
        inner = slice(-1, None)
    return area, True, RocPoints(rate[inner], curve.sensitivity[inner], stated[inner], is_curve=False)
