"""Averages of per-class metrics over the classes: macro, and weighted by class size.

Measures: :func:`average_metrics`.

Each average is a smooth function of the cells of one confusion matrix, so its standard error follows from the
multinomial by the delta method and its interval is symmetric on the logit scale. An average over classes of which one
is undefined is undefined: a class without a prediction has no PPV, and 0 would be an invention.

>>> found = average_metrics(np.array([[8, 2], [3, 7]]), ("a", "b"), 0.95, is_weighted=False)
>>> print(f"{found.sensitivity.value:.2f}")
0.75
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from scipy import stats

from core.statistics.result import Estimate, Reported, State, undefined_estimate
from core.statistics.validation import FloatArray, IntArray, check_confidence_level


@dataclass(frozen=True)
class AverageMetrics(Reported):
    """Averages over classes; intervals by the delta method on the logit scale."""

    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    f1: Estimate
    balanced_accuracy: Estimate


def average_metrics(
    counts: IntArray, classes: tuple[Hashable, ...], confidence_level: float, *, is_weighted: bool
) -> AverageMetrics:
    """Averages of the one-against-rest metrics of a checked confusion matrix.

    Parameters
    ----------
    counts : int array, shape (k, k)
        Cases by reference standard (rows) and reading (columns).
    classes : tuple
        Names of the k classes, for messages.
    confidence_level : float
        For example 0.95.
    is_weighted : bool
        Weigh every class by its number of cases (weighted sensitivity is then the accuracy) instead of alike.

    References
    ----------
    Takahashi et al. (2022), Appl. Intell. 52:4961-4972 (delta-method intervals of averaged F1).
    """
    level = check_confidence_level(confidence_level)
    cells = counts.astype(np.float64)
    n, k = float(cells.sum()), len(classes)
    kind = "weighted by class size" if is_weighted else "macro"
    name = f"{kind}, logit delta method"

    def average(parts: Callable[[int], list[tuple[FloatArray, FloatArray]]]) -> Estimate:
        value, slope = 0.0, np.zeros((k, k))
        for index, key in enumerate(classes):
            row = np.zeros((k, k))
            row[index] = 1.0
            weight = float((cells * row).sum()) / n if is_weighted and n else 1.0 / k
            weight_slope = (row - weight) / n if is_weighted and n else np.zeros((k, k))
            ratios = parts(index)
            for above, below in ratios:
                size = float((cells * below).sum())
                if size == 0.0:
                    reason = f"It is not defined for class {key}: no case in the denominator."
                    return undefined_estimate(reason, confidence_level=level, method=name, n=int(n))
                ratio = float((cells * above).sum()) / size
                value += weight * ratio / len(ratios)
                slope += (weight * (above - ratio * below) / size + weight_slope * ratio) / len(ratios)
        # Multinomial delta method; the mean slope is 0 because a ratio does not change when all cells grow alike.
        return _logit_interval(value, sqrt(float((cells * slope**2).sum())), level, name, int(n))

    def masks(index: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        row, column = np.zeros((k, k)), np.zeros((k, k))
        row[index], column[:, index] = 1.0, 1.0
        return row, column, row * column

    def sensitivity(index: int) -> list[tuple[FloatArray, FloatArray]]:
        row, _, hit = masks(index)
        return [(hit, row)]

    def specificity(index: int) -> list[tuple[FloatArray, FloatArray]]:
        row, column, _ = masks(index)
        return [((1 - row) * (1 - column), 1 - row)]

    def ppv(index: int) -> list[tuple[FloatArray, FloatArray]]:
        _, column, hit = masks(index)
        return [(hit, column)]

    def npv(index: int) -> list[tuple[FloatArray, FloatArray]]:
        row, column, _ = masks(index)
        return [((1 - row) * (1 - column), 1 - column)]

    def accuracy(index: int) -> list[tuple[FloatArray, FloatArray]]:
        row, column, hit = masks(index)
        return [(hit + (1 - row) * (1 - column), np.ones((k, k)))]

    def f1(index: int) -> list[tuple[FloatArray, FloatArray]]:
        row, column, hit = masks(index)
        return [(2 * hit, row + column)]

    return AverageMetrics(
        accuracy=average(accuracy),
        sensitivity=average(sensitivity),
        specificity=average(specificity),
        ppv=average(ppv),
        npv=average(npv),
        f1=average(f1),
        balanced_accuracy=average(lambda index: sensitivity(index) + specificity(index)),
    )


def _logit_interval(value: float, error: float, level: float, name: str, n: int) -> Estimate:
    """Interval symmetric on the logit scale."""
    if error < 1e-15 or not 0.0 < value < 1.0:
        reason = "The delta-method variance is 0, since every class has a share of exactly 0 or 1."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    z = float(stats.norm.isf((1.0 - level) / 2.0))
    logit, half = log(value / (1.0 - value)), z * error / (value * (1.0 - value))
    lower, upper = (1.0 / (1.0 + exp(-(logit + sign * half))) for sign in (-1.0, 1.0))
    return Estimate(value, error, lower, upper, level, name, n=n)
