"""Comparing answers over the same cases: right or wrong (McNemar, Cochran) and class by class (Bowker, Stuart-Maxwell).

Measures: :func:`mcnemar`, :func:`mcnemar_clustered`, :func:`cochran_q`, :func:`compare_accuracies`,
:func:`square_table`, :func:`stuart_maxwell`, :func:`bowker`, :func:`chi_squared`, :func:`fisher_exact`.

Conventions: reads of the same cases are paired, and a paired test is the answer. The chi-squared tests of two
independent proportions are here because papers print them ("the paper's mode"); on paired reads they answer another
question, and their result says so. Missing readings leave a case out of the comparison it is missing from, and the
number is noted; nothing is imputed.

>>> print(mcnemar(PairedCounts(both=70, only_first=15, only_second=5, neither=10)))
0.1000 (95% 0.0134 to 0.1924), statistic 5, p = 0.0414, n = 100; McNemar, exact
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import cochrans_q
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from core.errors import StatisticsInputError
from core.statistics.multiplicity import holm
from core.statistics.proportion_difference import (
    PairedCounts,
    difference_paired,
    difference_paired_clustered,
    difference_unpaired,
)
from core.statistics.result import Reported, TestResult, undefined_test
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    as_array,
    check_classes,
    check_count,
    check_groups,
    check_numbers,
    check_same_length,
    check_successes,
    check_truth,
    class_indices,
)

McNemarMethod = Literal["exact", "mid-p", "chi-squared", "chi-squared-corrected"]
ClusteredMcNemarMethod = Literal["obuchowski", "durkalski"]

UNPAIRED_NOTE = (
    "chi-squared of two independent proportions: if both read the same cases, McNemar's test is the right one"
)


def mcnemar(counts: PairedCounts, *, method: McNemarMethod = "exact", confidence_level: float = 0.95) -> TestResult:
    """McNemar's test of two answers over the same cases; the difference carries Tango's interval.

    Parameters
    ----------
    counts : PairedCounts
        Cross-table of right and wrong, see :func:`core.statistics.proportion_difference.paired_counts`.
    method : {"exact", "mid-p", "chi-squared", "chi-squared-corrected"}
        Exact binomial, its mid-p version (less conservative), or the large-sample tests.

    Returns
    -------
    TestResult
        ``statistic`` is the smaller discordant count for the exact tests, chi-squared otherwise. Without discordant
        cases the exact p is 1 and the chi-squared tests are undefined.

    References
    ----------
    McNemar (1947), Psychometrika 12:153-157. Fagerland, Lydersen and Laake (2013), BMC Med. Res. Methodol. 13:91.
    """
    b, c = counts.only_first, counts.only_second
    names = {
        "exact": "McNemar, exact",
        "mid-p": "McNemar, mid-p",
        "chi-squared": "McNemar, chi-squared",
        "chi-squared-corrected": "McNemar, chi-squared with continuity correction",
    }
    if method not in names:
        raise StatisticsInputError("unknown test", field="method", value=method, fix="use " + ", ".join(names))
    name = names[method]
    if counts.n == 0:
        return undefined_test("There is no case.", method=name)
    difference = difference_paired(counts, confidence_level=confidence_level)
    fewer, discordant = min(b, c), b + c
    if discordant == 0:
        note = ("no case was answered differently",)
        if method in ("exact", "mid-p"):
            return TestResult(0.0, 1.0, name, difference=difference, notes=note)
        reason = "No case was answered differently, so chi-squared is not defined."
        return undefined_test(reason, method=name, notes=note)
    if method == "mid-p":
        p_value = 2.0 * stats.binom.cdf(fewer, discordant, 0.5) - stats.binom.pmf(fewer, discordant, 0.5)
        return TestResult(float(fewer), min(1.0, float(p_value)), name, difference=difference)
    if b == c and method == "chi-squared-corrected":
        return TestResult(0.0, 1.0, name, 1.0, difference=difference)  # statsmodels takes the correction beyond 0
    peer = statsmodels_mcnemar(
        [[counts.both, b], [c, counts.neither]], exact=method == "exact", correction=method == "chi-squared-corrected"
    )
    df = None if method == "exact" else 1.0
    return TestResult(float(peer.statistic), min(1.0, float(peer.pvalue)), name, df, difference=difference)


def mcnemar_clustered(
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[Hashable] | np.ndarray,
    *,
    method: ClusteredMcNemarMethod = "obuchowski",
    confidence_level: float = 0.95,
) -> TestResult:
    """McNemar's test where a patient may have several cases; the difference has its interval between patients.

    Parameters
    ----------
    first, second : bool array, shape (n_cases,)
        Whether each answer is right.
    patients : sequence, shape (n_cases,)
        Patient of each case.
    method : {"obuchowski", "durkalski"}
        With d the cases of a patient that only the first got right minus those that only the second did, and K
        patients: Obuchowski's (K - 1) / K · (sum d)² / sum d², in which every case counts the same; Durkalski's
        (sum d/n)² / sum (d/n)² with n the patient's cases, in which every patient counts the same.

    Returns
    -------
    TestResult
        Chi-squared with one degree of freedom; undefined when the two differ in no patient, or there is one patient.

    References
    ----------
    Obuchowski (1998), Stat. Med. 17:1495-1507. Durkalski et al. (2003), Stat. Med. 22:2417-2428. Yang, Sun and Hardin
    (2010), Biom. J. 52:638-652 (comparison).
    """
    if method not in ("obuchowski", "durkalski"):
        raise StatisticsInputError("unknown test", field="method", value=method, fix="use 'obuchowski' or 'durkalski'")
    name = f"McNemar, patients as clusters ({method.capitalize()})"
    difference = difference_paired_clustered(first, second, patients, confidence_level=confidence_level)
    one, two = check_truth(first, field="first"), check_truth(second, field="second")
    group = check_groups(patients, one.size)
    size = np.bincount(group)
    gain = np.asarray(np.bincount(group, weights=one.astype(np.float64) - two), dtype=np.float64)
    if size.size < 2:
        return undefined_test("All cases belong to one patient.", method=name)
    if method == "durkalski":
        gain = gain / size
    spread = float(np.sum(gain**2))
    if spread == 0.0:
        return undefined_test("The two are right equally often in every patient.", method=name)
    factor = (size.size - 1.0) / size.size if method == "obuchowski" else 1.0
    statistic = factor * float(gain.sum()) ** 2 / spread
    return TestResult(statistic, float(stats.chi2.sf(statistic, 1)), name, 1.0, difference=difference)


def cochran_q(is_right: ArrayLike) -> TestResult:
    """Cochran's Q: several readers (or arms, or models) are right equally often over the same cases.

    Parameters
    ----------
    is_right : array, shape (n_cases, n_readers)
        1 or True where the answer is right, 0 where it is wrong, NaN where there is none; cases with a missing
        answer are left out.

    References
    ----------
    Cochran (1950), Biometrika 37:256-266.
    """
    matrix, notes = _complete(is_right)
    method = "Cochran's Q"
    if matrix.shape[0] == 0:
        return undefined_test("No case was answered by everybody.", method=method, notes=notes)
    if np.all(matrix == matrix[:, :1]):
        return undefined_test("Every case was answered alike by everybody.", method=method, notes=notes)
    peer = cochrans_q(matrix.astype(np.int64))
    return TestResult(float(peer.statistic), float(peer.pvalue), method, float(peer.df), notes=notes)


@dataclass(frozen=True)
class AccuracyPair(Reported):
    """Two readers of several, by their columns, first minus second."""

    first: int
    second: int
    test: TestResult  # McNemar over the cases that both answered
    p_value_holm: float | None


@dataclass(frozen=True)
class AccuracyComparison(Reported):
    """Several readers over the same cases."""

    overall: TestResult
    pairs: tuple[AccuracyPair, ...]


def compare_accuracies(
    is_right: ArrayLike, *, method: McNemarMethod = "exact", confidence_level: float = 0.95
) -> AccuracyComparison:
    """Cochran's Q over all readers, then McNemar for each pair with Holm's adjustment.

    Parameters
    ----------
    is_right : array, shape (n_cases, n_readers)
        As in :func:`cochran_q`; each pair uses the cases that both answered.
    """
    matrix = _right_matrix(is_right)
    pairs = list(combinations(range(matrix.shape[1]), 2))
    tests = []
    for i, j in pairs:
        both = ~np.isnan(matrix[:, i]) & ~np.isnan(matrix[:, j])
        one, two = matrix[both, i] == 1.0, matrix[both, j] == 1.0
        counts = _paired(one, two)
        test = mcnemar(counts, method=method, confidence_level=confidence_level)
        tests.append(test)
    adjusted = holm([test.p_value for test in tests])
    found = tuple(AccuracyPair(i, j, test, p) for (i, j), test, p in zip(pairs, tests, adjusted, strict=True))
    return AccuracyComparison(overall=cochran_q(matrix), pairs=found)


def square_table(
    first: Sequence[Hashable] | np.ndarray, second: Sequence[Hashable] | np.ndarray, classes: Sequence[Hashable]
) -> IntArray:
    """Cases by two answers, shape (k, k), rows first; cases without both are left out."""
    check_same_length(first, second, fields="first, second")
    one = class_indices(first, classes, field="first", allow_missing=True)
    two = class_indices(second, classes, field="second", allow_missing=True)
    k, both = len(check_classes(classes)), (one >= 0) & (two >= 0)
    return np.bincount(one[both] * k + two[both], minlength=k * k).reshape(k, k).astype(np.int64)


def stuart_maxwell(table: ArrayLike) -> TestResult:
    """Stuart-Maxwell test: two answers name the classes equally often (marginal homogeneity).

    Parameters
    ----------
    table : int array, shape (k, k)
        Cases by both answers, see :func:`square_table`. Classes that nobody named do not count; where classes fall
        into groups without exchange between them, degrees of freedom are the rank of the covariance.

    References
    ----------
    Stuart (1955), Biometrika 42:412-416. Maxwell (1970), Br. J. Psychiatry 116:651-655.
    """
    counts = _square(table)
    method = "Stuart-Maxwell"
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    difference = rows - columns
    covariance = np.diag(rows + columns - 2.0 * np.diag(counts)) - (counts + counts.T - 2.0 * np.diag(np.diag(counts)))
    rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
    if rank == 0:
        return undefined_test("No case was answered differently.", method=method)
    statistic = float(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference)
    return TestResult(statistic, float(stats.chi2.sf(statistic, rank)), method, float(rank))


def bowker(table: ArrayLike) -> TestResult:
    """Bowker's test of symmetry: each change of class is as frequent as its reverse.

    Pairs of classes without any change count neither in chi-squared nor in the degrees of freedom.

    References
    ----------
    Bowker (1948), JASA 43:572-574.
    """
    counts = _square(table)
    method = "Bowker"
    above, below = counts[np.triu_indices_from(counts, 1)], counts.T[np.triu_indices_from(counts, 1)]
    is_used = above + below > 0
    df = int(is_used.sum())
    if df == 0:
        return undefined_test("No case was answered differently.", method=method)
    statistic = float(np.sum((above - below)[is_used] ** 2 / (above + below)[is_used]))
    return TestResult(statistic, float(stats.chi2.sf(statistic, df)), method, float(df))


def chi_squared(
    successes_1: int,
    n_1: int,
    successes_2: int,
    n_2: int,
    *,
    is_corrected: bool = False,
    confidence_level: float = 0.95,
) -> TestResult:
    """Pearson's chi-squared of two independent proportions, with or without Yates' correction: the paper's mode.

    The difference carries Newcombe's interval.

    References
    ----------
    Pearson (1900), Philos. Mag. 50:157-175. Yates (1934), Suppl. J. R. Stat. Soc. 1:217-235.
    """
    count_1, total_1 = check_successes(successes_1, n_1, field="successes_1")
    count_2, total_2 = check_successes(successes_2, n_2, field="successes_2")
    method = "chi-squared, Yates" if is_corrected else "chi-squared, Pearson"
    notes = (UNPAIRED_NOTE,)
    table = np.array([[count_1, total_1 - count_1], [count_2, total_2 - count_2]])
    if 0 in table.sum(axis=0) or 0 in table.sum(axis=1):
        return undefined_test("A row or column of the table is empty.", method=method, notes=notes)
    statistic, p_value, df, _ = stats.chi2_contingency(table, correction=is_corrected)
    difference = difference_unpaired(count_1, total_1, count_2, total_2, confidence_level=confidence_level)
    return TestResult(float(statistic), float(p_value), method, float(df), difference=difference, notes=notes)


def fisher_exact(successes_1: int, n_1: int, successes_2: int, n_2: int) -> TestResult:
    """Fisher's exact test of two independent proportions; ``statistic`` is the odds ratio of the table.

    References
    ----------
    Fisher (1935), The Design of Experiments, Oliver & Boyd.
    """
    count_1, total_1 = check_successes(successes_1, n_1, field="successes_1")
    count_2, total_2 = check_successes(successes_2, n_2, field="successes_2")
    if total_1 == 0 or total_2 == 0:
        return undefined_test("A group has no case.", method="Fisher, exact")
    odds, p_value = stats.fisher_exact([[count_1, total_1 - count_1], [count_2, total_2 - count_2]])
    statistic = float(odds) if np.isfinite(odds) else None
    return TestResult(statistic, min(1.0, float(p_value)), "Fisher, exact")


def _paired(first: BoolArray, second: BoolArray) -> PairedCounts:
    table = np.bincount(2 * first.astype(np.int64) + second, minlength=4)
    return PairedCounts(both=table[3], only_first=table[2], only_second=table[1], neither=table[0])


def _right_matrix(is_right: ArrayLike) -> FloatArray:
    matrix = check_numbers(is_right, field="is_right")
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        raise StatisticsInputError(
            "must have shape (n_cases, n_readers) with two readers or more", field="is_right", value=matrix.shape
        )
    wrong = ~(np.isnan(matrix) | (matrix == 0.0) | (matrix == 1.0))
    if wrong.any():
        case, reader = (int(index) for index in np.argwhere(wrong)[0])
        raise StatisticsInputError(
            f"is neither 0, 1 nor NaN at case {case}, reader {reader}", field="is_right", value=matrix[case, reader]
        )
    return matrix


def _complete(is_right: ArrayLike) -> tuple[FloatArray, tuple[str, ...]]:
    """Cases that everybody answered, with a note on the others."""
    matrix = _right_matrix(is_right)
    complete = ~np.isnan(matrix).any(axis=1)
    left_out = int((~complete).sum())
    return matrix[complete], (f"{left_out} cases with a missing answer were left out",) if left_out else ()


def _square(table: ArrayLike) -> FloatArray:
    array = as_array(table, field="table")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
        raise StatisticsInputError("must be a square table of two classes or more", field="table", value=array.shape)
    return np.array([[check_count(value, field="table") for value in row] for row in array.tolist()], dtype=np.float64)
