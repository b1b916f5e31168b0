"""Comparing AUCs: two curves or many over the same cases (paired), and two curves over different cases (unpaired).

Measures: :func:`compare_aucs_paired`, :func:`compare_aucs_unpaired`, :func:`compare_aucs` (several at once).

Conventions: first minus second. Paired comparisons are normal; the unpaired one uses Student's t with Satterthwaite's
degrees of freedom, as pROC does (textbooks use the normal), and its method name says so. Comparing a hard-label AUC
(balanced accuracy at one operating point) with a rating's AUC compares a point with a curve: the result carries a
warning. Two curves that rank every pair of cases alike have difference 0, no variance, and a named state. Limits of
differences stay within -1 and 1 (:mod:`core.statistics.range_limits`); Wald's stand beside them.

>>> truth, first, second = [0, 0, 0, 1, 1, 1], [1, 2, 3, 2, 4, 5], [1, 3, 2, 1, 2, 4]
>>> print(compare_aucs_paired(truth, first, second))
0.2778 (95% -0.1057 to 0.5893), statistic 1.508, p = 0.1317, n = 6; DeLong, paired
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.auc_interval import auc_clustered, auc_from_components
from core.statistics.delong import DelongComponents, delong_components
from core.statistics.multiplicity import holm
from core.statistics.range_limits import difference_estimate
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_test
from core.statistics.roc import is_hard_label
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_confidence_level,
    check_groups,
    check_ratings,
    check_truth,
)

POINT_AGAINST_CURVE = (
    "one AUC rests on hard labels (balanced accuracy at one operating point), the other on ratings: compare "
    "sensitivity and specificity at matched points instead"
)


def compare_aucs_paired(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> TestResult:
    """DeLong's test of two curves over the same cases, first minus second.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    first, second : float array, shape (n_cases,)
        Ratings of the same cases.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several: the variance is then Obuchowski's, between patients.

    Returns
    -------
    TestResult
        ``statistic`` is the normal z; ``difference`` carries its interval. Undefined without positive or negative
        cases or with one case in a class; degenerate (p = 1) when both curves rank all pairs alike.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845. Obuchowski (1997), Biometrics 53:567-578.
    """
    level = check_confidence_level(confidence_level)
    is_positive = check_truth(truth)
    one = check_ratings(first, is_positive.size, field="first")
    two = check_ratings(second, is_positive.size, field="second")
    if one.shape[0] != 1 or two.shape[0] != 1:
        raise StatisticsInputError("must hold one curve each", field="first, second", value=(one.shape, two.shape))
    method = "DeLong, paired" if patients is None else "DeLong, paired, patients as clusters (Obuchowski)"
    group = None if patients is None else check_groups(patients, is_positive.size)
    both = np.concatenate([one, two])
    notes = _point_notes(both)
    try:
        components = delong_components(is_positive, both)
        covariance = _covariance(components, is_positive, group)
    except UndefinedStatisticError as error:
        return undefined_test(str(error), method=method, notes=notes)
    return _normal_test(components.auc, covariance, (0, 1), level, method, is_positive.size, notes)


def compare_aucs_unpaired(
    truth_1: ArrayLike,
    ratings_1: ArrayLike,
    truth_2: ArrayLike,
    ratings_2: ArrayLike,
    *,
    confidence_level: float = 0.95,
) -> TestResult:
    """DeLong's test of two curves over different cases, first minus second, by t with Satterthwaite's df.

    Parameters
    ----------
    truth_1, ratings_1 : array, shape (n_cases_1,)
        First set of cases.
    truth_2, ratings_2 : array, shape (n_cases_2,)
        Second set of cases.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845. Robin et al. (2011), BMC Bioinformatics 12:77
    (pROC, whose t distribution is followed).
    """
    level = check_confidence_level(confidence_level)
    method = "DeLong, unpaired, Satterthwaite t"
    sets = [(check_truth(truth_1, field="truth_1"), ratings_1), (check_truth(truth_2, field="truth_2"), ratings_2)]
    rows = [check_ratings(ratings, truth.size) for truth, ratings in sets]
    are_points = [is_hard_label(row) for row in rows]
    notes = (POINT_AGAINST_CURVE,) if are_points[0] != are_points[1] else ()
    try:
        parts = [delong_components(truth, row) for (truth, _), row in zip(sets, rows, strict=True)]
        variances = [float(part.covariance()[0, 0]) for part in parts]
    except UndefinedStatisticError as error:
        return undefined_test(str(error), method=method, notes=notes)
    difference = float(parts[0].auc[0] - parts[1].auc[0])
    sizes = [truth.size for truth, _ in sets]
    variance = sum(variances)
    if variance <= 0.0:
        return _no_variance(difference, level, method, sum(sizes), notes)
    df = variance**2 / sum(v**2 / (n - 1.0) for v, n in zip(variances, sizes, strict=True))
    spread = sqrt(variance)
    statistic = difference / spread
    quantile = float(stats.t.isf((1.0 - level) / 2.0, df))
    estimate = difference_estimate(difference, spread, quantile, level, method, n=sum(sizes))
    p_value = 2.0 * float(stats.t.sf(abs(statistic), df))
    return TestResult(statistic, p_value, method, df, difference=estimate, notes=notes)


@dataclass(frozen=True)
class AucPair(Reported):
    """Two curves of several, first minus second."""

    first: int
    second: int
    test: TestResult
    p_value_holm: float | None  # adjusted over all pairs; None where the test is undefined


@dataclass(frozen=True)
class AucComparison(Reported):
    """Several curves over the same cases, from one covariance."""

    estimates: tuple[Estimate, ...]
    covariance: FloatArray  # (k, k)
    overall: TestResult  # all AUCs equal
    pairs: tuple[AucPair, ...]


def compare_aucs(
    truth: ArrayLike,
    ratings: ArrayLike,
    *,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> AucComparison:
    """DeLong's test for k curves at once: chi-squared over all, and every pair with Holm's adjustment.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard.
    ratings : float array, shape (n_curves, n_cases)
        At least two curves over the same cases.
    patients : sequence, shape (n_cases,), optional
        As in :func:`compare_aucs_paired`.

    Raises
    ------
    UndefinedStatisticError
        If a class has fewer than two cases.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845, section 3. Holm (1979), Scand. J. Stat. 6:65-70.
    """
    level = check_confidence_level(confidence_level)
    is_positive = check_truth(truth)
    matrix = check_ratings(ratings, is_positive.size)
    k = matrix.shape[0]
    if k < 2:
        raise StatisticsInputError("needs at least two curves", field="ratings", value=matrix.shape)
    group = None if patients is None else check_groups(patients, is_positive.size)
    method = "DeLong, paired" if group is None else "DeLong, paired, patients as clusters (Obuchowski)"
    components = delong_components(is_positive, matrix)
    covariance = _covariance(components, is_positive, group)
    notes = _point_notes(matrix)
    tests = {
        (i, j): _normal_test(
            components.auc, covariance, (i, j), level, method, is_positive.size, _point_notes(matrix[[i, j]])
        )
        for i, j in combinations(range(k), 2)
    }
    adjusted = holm([test.p_value for test in tests.values()])
    return AucComparison(
        estimates=tuple(
            auc_from_components(components, curve=i, confidence_level=level)
            if patients is None
            else auc_clustered(is_positive, matrix[i], patients, confidence_level=level)
            for i in range(k)
        ),
        covariance=covariance,
        overall=_overall_test(components, covariance, notes),
        pairs=tuple(
            AucPair(i, j, test, p_holm) for ((i, j), test), p_holm in zip(tests.items(), adjusted, strict=True)
        ),
    )


def _covariance(components: DelongComponents, is_positive: BoolArray, group: IntArray | None) -> FloatArray:
    """DeLong's covariance, or Obuchowski's between patients."""
    return components.covariance() if group is None else components.clustered_covariance(is_positive, group)


def _overall_test(components: DelongComponents, covariance: FloatArray, notes: tuple[str, ...]) -> TestResult:
    """All k AUCs equal: chi-squared on as many df as the differences have dimensions."""
    method = "DeLong, chi-squared over all curves"
    k = components.auc.size
    contrast = np.hstack([np.ones((k - 1, 1)), -np.eye(k - 1)])
    difference = contrast @ components.auc
    spread = contrast @ covariance @ contrast.T
    scale = float(np.max(np.diag(covariance)))
    rank = int(np.linalg.matrix_rank(spread, tol=1e-12 * scale, hermitian=True)) if scale > 0.0 else 0
    if rank == 0:
        reason = "The differences between the curves have no variance."
        return TestResult(None, None, method, 0.0, state=State.DEGENERATE, reason=reason, notes=notes)
    inverse = np.linalg.pinv(spread, rcond=1e-10, hermitian=True)
    statistic = float(difference @ inverse @ difference)
    if rank < k - 1:
        notes = (*notes, f"some curves rank all cases alike: {rank} degrees of freedom instead of {k - 1}")
    return TestResult(statistic, float(stats.chi2.sf(statistic, rank)), method, float(rank), notes=notes)


def _normal_test(
    auc: FloatArray,
    covariance: FloatArray,
    pair: tuple[int, int],
    level: float,
    method: str,
    n: int,
    notes: tuple[str, ...],
) -> TestResult:
    i, j = pair
    difference = float(auc[i] - auc[j])
    variance = float(covariance[i, i] + covariance[j, j] - 2.0 * covariance[i, j])
    if variance <= 1e-14 * float(covariance[i, i] + covariance[j, j]):
        return _no_variance(difference, level, method, n, notes)
    error = sqrt(variance)
    quantile = float(stats.norm.isf((1.0 - level) / 2.0))
    estimate = difference_estimate(difference, error, quantile, level, method, n=n)
    statistic = difference / error
    p_value = 2.0 * float(stats.norm.sf(abs(statistic)))
    return TestResult(statistic, p_value, method, difference=estimate, notes=notes)


def _no_variance(difference: float, level: float, method: str, n: int, notes: tuple[str, ...]) -> TestResult:
    """No variance: p = 1 for equal AUCs, otherwise not estimable."""
    is_equal = abs(difference) < 1e-12
    reason = (
        "Both curves have the same structural components, so the difference has no variance."
        if is_equal
        else "Neither AUC has a DeLong variance, so their difference cannot be tested."
    )
    value = 0.0 if is_equal else difference
    estimate = Estimate(value, None, None, None, level, method, State.DEGENERATE, reason, (), n)
    p_value = 1.0 if is_equal else None
    return TestResult(None, p_value, method, difference=estimate, state=State.DEGENERATE, reason=reason, notes=notes)


def _point_notes(matrix: FloatArray) -> tuple[str, ...]:
    are_points = {is_hard_label(row) for row in matrix}
    return (POINT_AGAINST_CURVE,) if len(are_points) == 2 else ()
