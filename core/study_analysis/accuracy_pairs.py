"""McNemar's test, and the paper's chi-squared, of many pairs at once.

The numbers are those of :func:`core.statistics.contingency_tests.mcnemar` and ``chi_squared``; a panel of 200 readers
has 19,900 pairs, hence the arithmetic on whole arrays. Tango's interval is found pair by pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from core.statistics.contingency_tests import UNPAIRED_NOTE
from core.statistics.proportion_difference import PairedCounts, difference_paired
from core.statistics.result import Estimate, TestResult, undefined_test
from core.study_analysis.data import FloatArray, IntArray

NAMES = {
    "mcnemar_exact": "McNemar, exact",
    "mcnemar_mid_p": "McNemar, mid-p",
    "chi_squared": "chi-squared, Pearson",
    "chi_squared_yates": "chi-squared, Yates",
}


def accuracy_tests(
    tables: Sequence[IntArray], confidence_level: float
) -> list[tuple[Estimate, Mapping[str, TestResult]]]:
    """Difference of accuracy with Tango's interval, and the tests, of every pair.

    Parameters
    ----------
    tables : sequence of int arrays, shape (2, 2)
        [first right, first wrong] x [second right, second wrong].
    confidence_level : float
        Of the interval.

    References
    ----------
    McNemar (1947), Psychometrika 12:153-157. Fagerland et al. (2013), BMC Med. Res. Methodol. 13:91 (mid-p). Tango
    (1998), Stat. Med. 17:891-908. Pearson (1900), Philos. Mag. 50:157-175. Yates (1934), J. R. Stat. Soc. Suppl. 1:217.
    """
    cells = np.asarray(tables, dtype=np.float64).reshape(-1, 4)  # both, only first, only second, neither
    fewer, discordant = np.minimum(cells[:, 1], cells[:, 2]), cells[:, 1] + cells[:, 2]
    twice = 2.0 * stats.binom.cdf(fewer, discordant, 0.5)
    exact = np.minimum(1.0, twice)
    mid = np.where(discordant > 0, np.minimum(1.0, twice - stats.binom.pmf(fewer, discordant, 0.5)), 1.0)
    n = cells.sum(axis=1)
    right = cells[:, 0] + cells[:, 1], cells[:, 0] + cells[:, 2]
    plain, yates = _chi_squared(*right, n, is_corrected=False), _chi_squared(*right, n, is_corrected=True)
    plain_p, yates_p = stats.chi2.sf(plain, 1), stats.chi2.sf(yates, 1)
    found: list[tuple[Estimate, Mapping[str, TestResult]]] = []
    for at, row in enumerate(cells.astype(np.int64).tolist()):
        counts = PairedCounts(*row)
        difference = difference_paired(counts, confidence_level=confidence_level)
        if counts.n == 0:
            found.append((difference, {key: undefined_test("There is no case.", method=NAMES[key]) for key in NAMES}))
            continue
        notes = () if discordant[at] else ("no case was answered differently",)
        tests = {
            key: TestResult(float(fewer[at]), float(p[at]), NAMES[key], difference=difference, notes=notes)
            for key, p in (("mcnemar_exact", exact), ("mcnemar_mid_p", mid))
        }
        for key, statistic, p in (("chi_squared", plain, plain_p), ("chi_squared_yates", yates, yates_p)):
            tests[key] = (
                undefined_test("Both are right, or wrong, on every case.", method=NAMES[key], notes=(UNPAIRED_NOTE,))
                if np.isnan(statistic[at])
                else TestResult(float(statistic[at]), float(p[at]), NAMES[key], 1.0, notes=(UNPAIRED_NOTE,))
            )
        found.append((difference, tests))
    return found


def _chi_squared(first: FloatArray, second: FloatArray, n: FloatArray, *, is_corrected: bool) -> FloatArray:
    """Pearson's chi-squared of two proportions of ``n`` each; NaN where a margin is empty."""
    gap = n * np.abs(first - second)
    if is_corrected:
        gap = np.maximum(0.0, gap - n)  # Yates: half of all 2n cases off the cross product
    spread = n * n * (first + second) * (2.0 * n - first - second)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0.0, 2.0 * n * gap**2 / spread, np.nan)
