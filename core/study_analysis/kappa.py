"""Cohen's kappa from a cross-table: a participant with the reference standard, or two readers with each other.

The numbers are those of :func:`core.statistics.cohen_kappa.cohen_kappa`, which takes the answers themselves; a panel
of 200 readers has 19,900 pairs, whose tables are counted here once.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from core.statistics.cohen_kappa import has_kappa_paradox
from core.statistics.result import Estimate, State, undefined_estimate
from core.study_analysis.data import IntArray

METHOD = "Cohen's kappa"


def kappa_with_truth(confusion: IntArray, confidence_level: float) -> Estimate:
    """Agreement with the reference standard (Zhao et al. 2023 call it Fleiss' kappa; it is Cohen's)."""
    note = "agreement with the reference standard, not between readers"
    return kappa_from_table(confusion, confidence_level).with_note(note)


def kappa_of_pair(first: IntArray, second: IntArray, n_classes: int, confidence_level: float) -> Estimate:
    """Agreement of two answers to the same cases; -1 is no answer, and such cases are left out."""
    both = (first >= 0) & (second >= 0)
    table = np.bincount(first[both] * n_classes + second[both], minlength=n_classes**2)
    return kappa_from_table(table.reshape(n_classes, n_classes).astype(np.int64), confidence_level)


def kappa_from_table(table: IntArray, confidence_level: float) -> Estimate:
    """Kappa of a square table with the large-sample standard error and a normal interval.

    References
    ----------
    Cohen (1960), Educ. Psychol. Meas. 20:37-46. Fleiss, Cohen and Everitt (1969), Psychol. Bull. 72:323-327.
    """
    n = int(table.sum())
    if n == 0:
        return undefined_estimate("No case has both readings.", confidence_level=confidence_level, method=METHOD, n=0)
    if np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) < 2:
        reason = "All readings name one class, so agreement beyond chance is not defined."
        return undefined_estimate(reason, confidence_level=confidence_level, method=METHOD, n=n)
    share = table / n
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    observed, expected = float(np.trace(share)), float(rows @ columns)
    value = (observed - expected) / (1.0 - expected)
    diagonal = np.diag(share)
    on_diagonal = float(np.sum(diagonal * (1.0 - (rows + columns) * (1.0 - value)) ** 2))
    off_diagonal = float(np.sum(share * (columns[:, None] + rows) ** 2) - np.sum(diagonal * (columns + rows) ** 2))
    spread = on_diagonal + (1.0 - value) ** 2 * off_diagonal - (value - expected * (1.0 - value)) ** 2
    variance = spread / (n * (1.0 - expected) ** 2)
    notes: tuple[str, ...] = ()
    if has_kappa_paradox(observed, value):
        notes = (f"kappa paradox: {observed:.1%} agreement, very uneven class shares; read Gwet's AC1 beside it",)
    if spread <= 1e-12:  # 0 but for rounding
        reason = "The large-sample variance is 0."
        return Estimate(value, None, None, None, confidence_level, METHOD, State.DEGENERATE, reason, notes, n)
    error = float(np.sqrt(variance))
    half = float(ndtri((1.0 + confidence_level) / 2.0)) * error
    return Estimate(
        value, error, max(-1.0, value - half), min(1.0, value + half), confidence_level, METHOD, n=n, notes=notes
    )
