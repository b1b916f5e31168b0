"""Comparing predictive values of two readers over the same cases.

Measures: :func:`compare_predictive_values`.

Conventions: first minus second. PPV has the cases called positive in its denominator, and these differ between the
readers, so McNemar's test does not apply; the generalised score tests treat all calls of a case as a cluster.
Predictive values depend on the prevalence in the study, and so do their differences.

>>> truth, one, two = [1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0]
>>> print(compare_predictive_values(truth, one, two).ppv)
0.0667 (95% -0.2904 to 0.4237), statistic 0.1255, df 1, p = 0.7232; PPV, Kosinski weighted score
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.result import Estimate, Reported, TestResult, undefined_test
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_confidence_level,
    check_groups,
    check_same_length,
    check_truth,
)

ScoreTest = Literal["weighted", "generalised"]


@dataclass(frozen=True)
class PredictiveValueComparison(Reported):
    """PPV and NPV of two readers, first minus second."""

    ppv: TestResult
    npv: TestResult


def compare_predictive_values(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    method: ScoreTest = "weighted",
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> PredictiveValueComparison:
    """Score tests of equal PPV and equal NPV over the same cases.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard.
    first, second : bool array, shape (n_cases,)
        Whether each reader called the case positive.
    method : {"weighted", "generalised"}
        Kosinski's weighted generalised score statistic (default, better size), or Leisenring's generalised score
        statistic. The difference's interval is normal with the empirical variance over cases.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several: all calls of a patient are then the cluster of
        Leisenring's statistic, whichever was asked for, and the variance is one between patients.

    Returns
    -------
    PredictiveValueComparison
        A test is undefined where a reader has no such call, or where the calls leave no variance.

    References
    ----------
    Leisenring, Alonzo and Pepe (2000), Biometrics 56:345-351. Kosinski (2013), Stat. Med. 32:964-977.
    """
    level = check_confidence_level(confidence_level)
    if method not in ("weighted", "generalised"):
        raise StatisticsInputError("unknown test", field="method", value=method, fix="use 'weighted' or 'generalised'")
    is_positive = check_truth(truth)
    one, two = check_truth(first, field="first"), check_truth(second, field="second")
    check_same_length(is_positive, one, fields="truth, first")
    check_same_length(is_positive, two, fields="truth, second")
    group = None if patients is None else check_groups(patients, is_positive.size)
    return PredictiveValueComparison(
        ppv=_compare(is_positive, one, two, "PPV", method, level, group),
        npv=_compare(~is_positive, ~one, ~two, "NPV", method, level, group),
    )


def _compare(
    is_hit: BoolArray,
    first: BoolArray,
    second: BoolArray,
    what: str,
    method: ScoreTest,
    level: float,
    group: IntArray | None,
) -> TestResult:
    """Share of ``is_hit`` among the calls of each reader."""
    is_weighted = method == "weighted" and group is None
    name = f"{what}, {'Kosinski weighted score' if is_weighted else 'Leisenring generalised score'}"
    if group is not None:
        name += ", patients as clusters"
    n_1, n_2 = int(first.sum()), int(second.sum())
    if n_1 == 0 or n_2 == 0:
        return undefined_test(f"A reader made no call, so there is no {what} to compare.", method=name)
    share_1, share_2 = float(is_hit[first].mean()), float(is_hit[second].mean())
    pooled = (share_1 * n_1 + share_2 * n_2) / (n_1 + n_2)
    residual: FloatArray = is_hit.astype(np.float64) - pooled
    if is_weighted:
        shared = float(np.sum(residual[first & second] ** 2)) / (n_1 + n_2)
        variance = (pooled * (1.0 - pooled) - 2.0 * shared) * (1.0 / n_1 + 1.0 / n_2)
        distance = share_1 - share_2
    else:
        mean = n_2 / (n_1 + n_2)
        per_unit = _sums(residual * (first * -mean + second * (1.0 - mean)), group)
        distance, variance = float(per_unit.sum()), float(np.sum(per_unit**2))
    if variance <= 1e-15:
        return undefined_test("Both readers' calls leave no variance to test with.", method=name)
    statistic = distance**2 / variance
    pull = _sums(first * (is_hit - share_1) / n_1 - second * (is_hit - share_2) / n_2, group)
    error = sqrt(float(np.sum(pull**2)))
    half = float(stats.norm.isf((1.0 - level) / 2.0)) * error
    gap = share_1 - share_2
    of = "empirical variance over " + ("cases" if group is None else "patients")
    estimate = Estimate(gap, error or None, max(-1.0, gap - half), min(1.0, gap + half), level, of)
    return TestResult(statistic, float(stats.chi2.sf(statistic, 1)), name, 1.0, difference=estimate)


def _sums(values: FloatArray, group: IntArray | None) -> FloatArray:
    """One number a case, or a patient."""
    return values if group is None else np.asarray(np.bincount(group, weights=values), dtype=np.float64)
