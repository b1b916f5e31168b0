"""AUCs of a several-class study, each by its own name.

Measures: :func:`multiclass_auc`, :func:`compare_multiclass_auc`.

Conventions: ``probabilities`` has one column per class, in the order of ``classes``; rows need not add to one (three
decimals never do). Each class against the rest is one curve. Averages:

macro
    every class counts the same.
prevalence-weighted
    every class counts with its share of these cases (taken as fixed).
micro
    all case-and-class pairs pooled into one curve; columns must be comparable.
Hand-Till M
    mean over pairs of classes of the two AUCs within that pair; does not depend on prevalence.

Variances come from each case's influence on each AUC, so that AUCs over the same cases are correlated as they are;
for a single class this is exactly DeLong's variance. Intervals are on the logit scale. An average over classes of
which one has no case (or all cases) is undefined.

>>> shares = [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]]
>>> found = multiclass_auc(["a", "a", "b", "b", "c", "c"], shares, "abc")
>>> print(f"{found.macro.value:.3f}, Hand-Till {found.hand_till.value:.3f}")
0.667, Hand-Till 0.667

References
----------
Hand and Till (2001), Mach. Learn. 45:171-186. DeLong et al. (1988), Biometrics 44:837-845. Obuchowski (1997),
Biometrics 53:567-578 (pairs of one case as a cluster, for micro). Provost and Domingos (2000), CeDER working paper
00-04 (prevalence weighting).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError
from core.statistics.auc_comparison import compare_aucs_paired
from core.statistics.auc_interval import auc_estimate, auc_limits
from core.statistics.delong import delong_components
from core.statistics.multiplicity import holm
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_estimate
from core.statistics.validation import (
    FloatArray,
    IntArray,
    as_array,
    check_classes,
    check_confidence_level,
    check_ratings,
    class_indices,
)


@dataclass(frozen=True)
class MulticlassAuc(Reported):
    """AUCs of one reader or model."""

    classes: tuple[Hashable, ...]
    one_vs_rest: dict[Hashable, Estimate]
    covariance: FloatArray | None  # (k, k) of the one-against-rest AUCs; None when one of them is undefined
    macro: Estimate
    prevalence_weighted: Estimate
    micro: Estimate
    hand_till: Estimate


def multiclass_auc(
    truth: Sequence[Hashable] | np.ndarray,
    probabilities: ArrayLike,
    classes: Sequence[Hashable],
    *,
    confidence_level: float = 0.95,
) -> MulticlassAuc:
    """One-against-rest AUCs of every class and their four averages.

    Parameters
    ----------
    truth : sequence, shape (n_cases,)
        Class of each case.
    probabilities : float array, shape (n_cases, n_classes)
        Rating or probability of each class; no missing values.
    classes : sequence
        All classes, in the order of the columns.

    Raises
    ------
    StatisticsInputError
        If shapes differ, a value is NaN, or a class is not in the list.
    """
    keys = check_classes(classes)
    level = check_confidence_level(confidence_level)
    index, matrix = _check(truth, probabilities, keys)
    n, k = matrix.shape
    per_class = {
        key: auc_estimate(index == column, matrix[:, column], confidence_level=level) for column, key in enumerate(keys)
    }
    hand_till = _hand_till(index, matrix, keys, level)
    micro = _micro(index, matrix, level)
    sizes = np.bincount(index, minlength=k)
    absent = [f"class {key}" for key, size in zip(keys, sizes, strict=True) if size in (0, n)]
    if absent:
        reason = f"No one-against-rest AUC exists for {', '.join(absent)}: no case, or all cases, of that class."
        macro, weighted = (
            undefined_estimate(reason, confidence_level=level, method=f"{kind}, logit scale", n=n)
            for kind in ("macro", "prevalence-weighted")
        )
        return MulticlassAuc(keys, per_class, None, macro, weighted, micro, hand_till)
    parts = [_influence(index == column, matrix[:, column]) for column in range(k)]
    areas = np.array([area for area, _ in parts])
    influence = np.stack([pull for _, pull in parts])  # (k, n)
    return MulticlassAuc(
        classes=keys,
        one_vs_rest=per_class,
        covariance=influence @ influence.T,
        macro=_average(areas, influence, np.full(k, 1.0 / k), "macro", level),
        prevalence_weighted=_average(areas, influence, sizes / n, "prevalence-weighted", level),
        micro=micro,
        hand_till=hand_till,
    )


@dataclass(frozen=True)
class ClassComparison(Reported):
    """Two models or readers compared on one class."""

    test: TestResult
    p_value_holm: float | None  # adjusted over the classes, whose tests are dependent


def compare_multiclass_auc(
    truth: Sequence[Hashable] | np.ndarray,
    first: ArrayLike,
    second: ArrayLike,
    classes: Sequence[Hashable],
    *,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> dict[Hashable, ClassComparison]:
    """DeLong's paired test for each class against the rest, first minus second, with Holm's adjustment over classes.

    Parameters
    ----------
    truth : sequence, shape (n_cases,)
        Class of each case.
    first, second : float array, shape (n_cases, n_classes)
        Ratings of both, columns in the order of ``classes``.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several.
    """
    keys = check_classes(classes)
    index, one = _check(truth, first, keys, field="first")
    _, two = _check(truth, second, keys, field="second")
    tests = [
        compare_aucs_paired(
            index == column, one[:, column], two[:, column], patients=patients, confidence_level=confidence_level
        )
        for column in range(len(keys))
    ]
    adjusted = holm([test.p_value for test in tests])
    return {key: ClassComparison(test, p) for key, test, p in zip(keys, tests, adjusted, strict=True)}


def _check(
    truth: Sequence[Hashable] | np.ndarray,
    probabilities: ArrayLike,
    keys: tuple[Hashable, ...],
    field: str = "probabilities",
) -> tuple[IntArray, FloatArray]:
    index = class_indices(truth, keys, field="truth")
    array = as_array(probabilities, field=field)
    if array.ndim != 2 or array.shape[1] != len(keys):
        raise StatisticsInputError(
            f"must have shape (n_cases, {len(keys)})", field=field, value=array.shape, fix="pass one column per class"
        )
    if index.size == 0:
        raise StatisticsInputError("is empty", field="truth", fix="pass at least one case")
    return index, check_ratings(array.T, index.size, field=field).T


def _influence(is_positive: np.ndarray, ratings: FloatArray) -> tuple[float, FloatArray]:
    """AUC and each case's pull on it; squares of the pulls add up to DeLong's variance (NaN with one case)."""
    components = delong_components(is_positive, ratings)
    m, n = components.n_positive, components.n_negative
    pull = np.empty(is_positive.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        pull[is_positive] = (components.v10[0] - components.auc[0]) / np.sqrt(m * (m - 1.0))
        pull[~is_positive] = (components.v01[0] - components.auc[0]) / np.sqrt(n * (n - 1.0))
    return float(components.auc[0]), pull


def _average(areas: FloatArray, influence: FloatArray, weights: FloatArray, kind: str, level: float) -> Estimate:
    """Weighted mean of AUCs from the pulls of the cases, shape (n_aucs, n_cases)."""
    return _estimate(float(weights @ areas), float(np.sum((weights @ influence) ** 2)), kind, level, influence.shape[1])


def _estimate(value: float, variance: float, kind: str, level: float, n: int) -> Estimate:
    name = f"{kind}, logit scale"
    if not np.isfinite(variance):
        reason = "A class has only one case, so the variance is not defined."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    if variance <= 0.0 or not 0.0 < value < 1.0:
        reason = "No case has any pull on the AUC (all perfect, or all ratings equal), so the variance is 0."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    lower, upper = auc_limits(value, variance, level)
    return Estimate(value, sqrt(variance), lower, upper, level, name, n=n)


def _micro(index: IntArray, matrix: FloatArray, level: float) -> Estimate:
    """All n·k pairs of case and class in one curve; the k pairs of a case are a cluster."""
    n, k = matrix.shape
    is_true = index[:, None] == np.arange(k)[None, :]
    components = delong_components(is_true.ravel(), matrix.ravel())
    area = float(components.auc[0])
    pull = (components.v10[0] - area) / n + (components.v01[0] - area).reshape(n, k - 1).sum(axis=1) / (n * (k - 1.0))
    variance = n / (n - 1.0) * float(np.sum(pull**2)) if n > 1 else float("nan")
    return _estimate(area, variance, "micro", level, n)


def _hand_till(index: IntArray, matrix: FloatArray, keys: tuple[Hashable, ...], level: float) -> Estimate:
    """Hand and Till's M with the variance from each case's pull on all pairs it takes part in."""
    n, k = matrix.shape
    sizes = np.bincount(index, minlength=k)
    absent = [f"class {key}" for key, size in zip(keys, sizes, strict=True) if size == 0]
    if absent:
        reason = f"No case of {', '.join(absent)}, so no pair with it exists."
        return undefined_estimate(reason, confidence_level=level, method="Hand-Till M, logit scale", n=n)
    pairs = list(combinations(range(k), 2))
    value, pull = 0.0, np.zeros(n)
    for one, two in pairs:
        chosen = (index == one) | (index == two)
        for column in (one, two):
            area, part = _influence(index[chosen] == column, matrix[chosen, column])
            value += area / (2.0 * len(pairs))
            pull[chosen] += part / (2.0 * len(pairs))
    return _estimate(value, float(np.sum(pull**2)), "Hand-Till M", level, n)
