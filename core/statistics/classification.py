"""Per-class proportions of a several-class study: accuracy, sensitivity, specificity, predictive values, F1.

Measures: :func:`confusion_matrix`, :func:`classification_metrics`, :func:`metrics_from_matrix`,
:func:`binary_metrics`, :func:`predictive_values_at_prevalence`.

Conventions: rows of a confusion matrix are the reference standard, columns the reading. A class is judged against all
others together ("one against the rest"). A proportion whose denominator is zero is undefined, never 0; so is an
average over classes of which one is undefined. Intervals: Wilson unless asked otherwise; the docstrings say where
another is used.

>>> print(binary_metrics(BinaryCounts(8, 3, 2, 7)).sensitivity)
0.8000 (95% 0.4902 to 0.9433), n = 10; Wilson
>>> print(predictive_values_at_prevalence(BinaryCounts(8, 3, 2, 7), 0.1).ppv)
0.2286 (95% 0.0986 to 0.4452), n = 20; at prevalence 0.1, logit delta method
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.class_averages import AverageMetrics, average_metrics
from core.statistics.proportions import IntervalMethod, proportion
from core.statistics.result import Estimate, Reported, State, undefined_estimate
from core.statistics.validation import (
    IntArray,
    as_array,
    check_classes,
    check_confidence_level,
    check_count,
    check_same_length,
    class_indices,
)


@dataclass(frozen=True)
class BinaryCounts:
    """Cases of one class against the rest."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    def __post_init__(self) -> None:
        for name in ("true_positive", "false_positive", "false_negative", "true_negative"):
            object.__setattr__(self, name, check_count(getattr(self, name), field=name))

    @property
    def n(self) -> int:
        """All cases."""
        return self.n_positive + self.n_negative

    @property
    def n_positive(self) -> int:
        """Cases that have the class."""
        return self.true_positive + self.false_negative

    @property
    def n_negative(self) -> int:
        """Cases that do not have it."""
        return self.false_positive + self.true_negative


@dataclass(frozen=True)
class BinaryMetrics(Reported):
    """Everything that four counts say about one class against the rest."""

    counts: BinaryCounts
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    f1: Estimate
    balanced_accuracy: Estimate
    positive_likelihood_ratio: Estimate
    negative_likelihood_ratio: Estimate


@dataclass(frozen=True)
class ClassificationMetrics(Reported):
    """A reader or model against the reference standard, per class and averaged."""

    classes: tuple[Hashable, ...]
    matrix: IntArray  # (k, k), rows: reference standard
    accuracy: Estimate  # share of all cases whose class is right
    per_class: dict[Hashable, BinaryMetrics]
    macro: AverageMetrics  # every class counts the same
    weighted: AverageMetrics  # every class counts with its number of cases
    n_missing: int  # cases without a reading, left out


def confusion_matrix(
    truth: Sequence[Hashable] | np.ndarray, labels: Sequence[Hashable] | np.ndarray, classes: Sequence[Hashable]
) -> IntArray:
    """Cases by reference standard (rows) and reading (columns); cases without a reading are left out.

    Parameters
    ----------
    truth, labels : sequence, shape (n_cases,)
        Class of each case; a label may be None or NaN where there is no reading.
    classes : sequence
        All classes, in the order of rows and columns.

    Raises
    ------
    StatisticsInputError
        If lengths differ, or a class is not in the list.
    """
    check_same_length(truth, labels, fields="truth, labels")
    row = class_indices(truth, classes, field="truth")
    column = class_indices(labels, classes, field="labels", allow_missing=True)
    k = len(check_classes(classes))
    has_reading = column >= 0
    flat = np.bincount(row[has_reading] * k + column[has_reading], minlength=k * k)
    return flat.reshape(k, k).astype(np.int64)


def classification_metrics(
    truth: Sequence[Hashable] | np.ndarray,
    labels: Sequence[Hashable] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    confidence_level: float = 0.95,
    method: IntervalMethod = "wilson",
) -> ClassificationMetrics:
    """Metrics of one reader or model, per class, macro and weighted.

    Parameters
    ----------
    truth, labels : sequence, shape (n_cases,)
        Reference standard and reading; a missing reading (None, NaN) leaves the case out and is counted.
    classes : sequence
        All classes.
    confidence_level : float
        For example 0.95.
    method : str
        Interval of the proportions, see :func:`proportion`.
    """
    matrix = confusion_matrix(truth, labels, classes)
    metrics = metrics_from_matrix(matrix, classes, confidence_level=confidence_level, method=method)
    return replace(metrics, n_missing=len(truth) - int(matrix.sum()))


def metrics_from_matrix(
    matrix: ArrayLike,
    classes: Sequence[Hashable],
    *,
    confidence_level: float = 0.95,
    method: IntervalMethod = "wilson",
) -> ClassificationMetrics:
    """As :func:`classification_metrics`, from a confusion matrix of shape (k, k)."""
    keys = check_classes(classes)
    cells = as_array(matrix, field="matrix")
    if cells.shape != (len(keys), len(keys)):
        raise StatisticsInputError(f"must have shape {(len(keys), len(keys))}", field="matrix", value=cells.shape)
    counts = np.array([[check_count(value, field="matrix") for value in row] for row in cells.tolist()], dtype=np.int64)
    correct, total = int(np.trace(counts)), int(counts.sum())
    per_class = {}
    for index, key in enumerate(keys):
        hit = int(counts[index, index])
        false_positive, false_negative = int(counts[:, index].sum()) - hit, int(counts[index].sum()) - hit
        four = BinaryCounts(hit, false_positive, false_negative, total - hit - false_positive - false_negative)
        per_class[key] = binary_metrics(four, confidence_level=confidence_level, method=method)
    return ClassificationMetrics(
        classes=keys,
        matrix=counts,
        accuracy=proportion(correct, total, confidence_level=confidence_level, method=method),
        per_class=per_class,
        macro=average_metrics(counts, keys, confidence_level, is_weighted=False),
        weighted=average_metrics(counts, keys, confidence_level, is_weighted=True),
        n_missing=0,
    )


def binary_metrics(
    counts: BinaryCounts, *, confidence_level: float = 0.95, method: IntervalMethod = "wilson"
) -> BinaryMetrics:
    """Metrics of one class against the rest.

    F1 is an increasing function of TP / (TP + FP + FN), which is a binomial proportion given its denominator, so its
    interval is that proportion's, transformed. Balanced accuracy joins the limits of sensitivity and specificity, two
    independent proportions (MOVER). Likelihood ratios have the logarithmic interval.

    References
    ----------
    Zou and Donner (2008), Stat. Med. 27:1693-1702 (MOVER). Simel, Samsa and Matchar (1991), J. Clin. Epidemiol.
    44:763-770 (likelihood ratios).
    """

    def share(successes: int, n: int) -> Estimate:
        return proportion(successes, n, confidence_level=confidence_level, method=method)

    hit, false_alarm = counts.true_positive, counts.false_positive
    miss, rejection = counts.false_negative, counts.true_negative
    sensitivity, specificity = share(hit, counts.n_positive), share(rejection, counts.n_negative)
    return BinaryMetrics(
        counts=counts,
        accuracy=share(hit + rejection, counts.n),
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=share(hit, hit + false_alarm),
        npv=share(rejection, rejection + miss),
        f1=_f1(share(hit, hit + false_alarm + miss)),
        balanced_accuracy=_mean_of_two(sensitivity, specificity),
        positive_likelihood_ratio=_likelihood_ratio(
            hit,
            counts.n_positive,
            false_alarm,
            counts.n_negative,
            "Every negative case was called negative",
            sensitivity,
        ),
        negative_likelihood_ratio=_likelihood_ratio(
            miss,
            counts.n_positive,
            rejection,
            counts.n_negative,
            "Every negative case was called positive",
            sensitivity,
        ),
    )


@dataclass(frozen=True)
class PredictiveValues(Reported):
    """Predictive values at a prevalence other than the study's."""

    ppv: Estimate
    npv: Estimate
    prevalence: float


def predictive_values_at_prevalence(
    counts: BinaryCounts, prevalence: float, *, confidence_level: float = 0.95
) -> PredictiveValues:
    """PPV and NPV that this sensitivity and specificity would have at another prevalence.

    Intervals: delta method on the logit scale.

    Parameters
    ----------
    counts : BinaryCounts
        The study's cases.
    prevalence : float
        Share of positive cases in the population of interest, between 0 and 1.

    References
    ----------
    Mercaldo, Lau and Zhou (2007), Stat. Med. 26:2170-2183.
    """
    level = check_confidence_level(confidence_level)
    if not 0.0 < prevalence < 1.0:
        raise StatisticsInputError("must lie between 0 and 1", field="prevalence", value=prevalence)
    name = f"at prevalence {prevalence:g}, logit delta method"
    if counts.n_positive == 0 or counts.n_negative == 0:
        nothing = undefined_estimate(
            "Sensitivity and specificity need positive and negative cases.", confidence_level=level, method=name
        )
        return PredictiveValues(nothing, nothing, prevalence)
    sensitivity = counts.true_positive / counts.n_positive
    specificity = counts.true_negative / counts.n_negative
    odds = prevalence / (1.0 - prevalence)
    ppv = _logit_of_two(sensitivity, counts.n_positive, 1.0 - specificity, counts.n_negative, odds, level, name)
    npv = _logit_of_two(specificity, counts.n_negative, 1.0 - sensitivity, counts.n_positive, 1.0 / odds, level, name)
    return PredictiveValues(ppv, npv, prevalence)


def _logit_of_two(
    true: float, n_true: int, false: float, n_false: int, odds: float, level: float, name: str
) -> Estimate:
    """Share true·odds / (true·odds + false), with the delta-method interval of its logit."""
    n = n_true + n_false
    if true == 0.0 and false == 0.0:
        return undefined_estimate("No case was called this way.", confidence_level=level, method=name, n=n)
    value = true * odds / (true * odds + false)
    if true in (0.0, 1.0) or false in (0.0, 1.0):
        reason = "A sensitivity or specificity of exactly 0 or 1 has no delta-method variance."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    error = sqrt((1.0 - true) / (true * n_true) + (1.0 - false) / (false * n_false))
    z = float(stats.norm.isf((1.0 - level) / 2.0))
    logit = log(true * odds / false)
    lower, upper = (1.0 / (1.0 + exp(-(logit + sign * z * error))) for sign in (-1.0, 1.0))
    return Estimate(value, error * value * (1.0 - value), lower, upper, level, name, n=n)


def _f1(jaccard: Estimate) -> Estimate:
    """F1 = 2J / (1 + J) of the share J = TP / (TP + FP + FN)."""
    name = f"{jaccard.method} of TP/(TP+FP+FN), transformed"
    if jaccard.value is None or jaccard.lower is None or jaccard.upper is None:
        reason = "No case has this class and none was given it."
        return undefined_estimate(reason, confidence_level=jaccard.confidence_level, method=name, n=0)
    error = None if jaccard.standard_error is None else 2.0 * jaccard.standard_error / (1.0 + jaccard.value) ** 2
    value, lower, upper = (2.0 * share / (1.0 + share) for share in (jaccard.value, jaccard.lower, jaccard.upper))
    return Estimate(value, error, lower, upper, jaccard.confidence_level, name, n=jaccard.n)


def _mean_of_two(first: Estimate, second: Estimate) -> Estimate:
    """Mean of two independent proportions, limits by MOVER."""
    name = f"MOVER of two {first.method} intervals"
    value_1, lower_1, upper_1 = first.value, first.lower, first.upper
    value_2, lower_2, upper_2 = second.value, second.lower, second.upper
    if value_1 is None or value_2 is None or lower_1 is None or lower_2 is None or upper_1 is None or upper_2 is None:
        reason = "Sensitivity and specificity need positive and negative cases."
        return undefined_estimate(reason, confidence_level=first.confidence_level, method=name)
    value = (value_1 + value_2) / 2.0
    down = hypot(value_1 - lower_1, value_2 - lower_2) / 2.0
    up = hypot(upper_1 - value_1, upper_2 - value_2) / 2.0
    error = hypot(first.standard_error or 0.0, second.standard_error or 0.0) / 2.0 or None
    n = (first.n or 0) + (second.n or 0)
    return Estimate(value, error, value - down, value + up, first.confidence_level, name, n=n)


def _likelihood_ratio(
    numerator: int, n_numerator: int, denominator: int, n_denominator: int, infinite: str, like: Estimate
) -> Estimate:
    """Quotient of two independent proportions with its logarithmic interval."""
    name, level, n = "logarithmic (Simel)", like.confidence_level, n_numerator + n_denominator
    if n_numerator == 0 or n_denominator == 0:
        reason = "A likelihood ratio needs positive and negative cases."
        return undefined_estimate(reason, confidence_level=level, method=name, n=n)
    if denominator == 0:
        return undefined_estimate(f"{infinite}, so the ratio is not finite.", confidence_level=level, method=name, n=n)
    value = (numerator / n_numerator) / (denominator / n_denominator)
    if numerator == 0:
        reason = "The numerator is 0, which has no logarithm."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    error = sqrt(1.0 / numerator - 1.0 / n_numerator + 1.0 / denominator - 1.0 / n_denominator)
    if error == 0.0:
        reason = "Every case was called positive, or every case negative; the logarithmic variance is 0."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    z = float(stats.norm.isf((1.0 - level) / 2.0))
    return Estimate(value, value * error, value * exp(-z * error), value * exp(z * error), level, name, n=n)
