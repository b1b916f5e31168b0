"""Cohen's kappa: agreement beyond chance of two answers over the same cases.

Conventions: classes are names without order unless weights say otherwise; cases without both readings are left out
and counted in a note. Kappa is undefined when both answers name one and the same class throughout. A high percent
agreement with a low kappa (the kappa paradox, from very uneven class shares) is flagged with Gwet's AC1 and
Brennan-Prediger's coefficient beside it. Kappa between a reader and the reference standard is agreement with the
truth, not agreement between readers: the paper of Zhao et al. 2023 prints the former as "Fleiss's kappa".
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from core.statistics.agreement_coefficients import Weights, agreement_weights
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    IntArray,
    check_classes,
    check_confidence_level,
    check_same_length,
    class_indices,
)

#: Percent agreement from which, and kappa up to which, the kappa paradox is flagged.
PARADOX_AGREEMENT, PARADOX_KAPPA = 0.8, 0.6


def cohen_kappa(
    first: Sequence[Hashable] | np.ndarray,
    second: Sequence[Hashable] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> Estimate:
    """Cohen's kappa, weighted on request, with its large-sample standard error and normal interval.

    Parameters
    ----------
    first, second : sequence, shape (n_cases,)
        Class that each gave each case; None or NaN where there is no reading.
    classes : sequence
        All classes; in ascending order if weights are used.
    weights : {"identity", "linear", "quadratic"} or array
        Partial credit for near misses; only for ordered classes.

    Returns
    -------
    Estimate
        Undefined when no case has both readings, or all readings name one class. Degenerate when kappa is 1.

    References
    ----------
    Cohen (1960), Educ. Psychol. Meas. 20:37-46. Fleiss, Cohen and Everitt (1969), Psychol. Bull. 72:323-327.
    """
    level = check_confidence_level(confidence_level)
    table, n_missing = _cross_table(first, second, classes)
    is_plain = isinstance(weights, str) and weights == "identity"
    credit = agreement_weights(weights, table.shape[0])
    name = "Cohen's kappa" if is_plain else "Cohen's weighted kappa"
    n = int(table.sum())
    notes: tuple[str, ...] = (f"{n_missing} cases without both readings were left out",) if n_missing else ()
    if n == 0:
        return undefined_estimate("No case has both readings.", confidence_level=level, method=name, n=0)
    rows, columns = table.sum(axis=1) / n, table.sum(axis=0) / n
    if float(rows @ credit @ columns) >= 1.0 - 1e-12:
        reason = "All readings name one class, so agreement beyond chance is not defined."
        return undefined_estimate(reason, confidence_level=level, method=name, n=n)
    # statsmodels takes weights as disagreements, and divides by a null variance that may be 0 and is not used here.
    with np.errstate(divide="ignore", invalid="ignore"):
        peer = cohens_kappa(table, weights=None if is_plain else 1.0 - credit)
    kappa, variance = float(peer.kappa), float(peer.var_kappa)
    if is_plain:
        notes += _paradox_note(table, kappa)
    if np.count_nonzero(rows) == 1 or np.count_nonzero(columns) == 1:
        reason = "One of the two names one class only, so agreement is that of chance and its variance is 0."
        return Estimate(0.0, None, None, None, level, name, State.DEGENERATE, reason, notes, n)
    if variance <= 1e-30 or np.trace(table) == n:
        reason = "Both answers agree on every case, so the variance is 0."
        if kappa < 1.0 - 1e-12:
            reason = "The large-sample variance is 0."
        return Estimate(kappa, None, None, None, level, name, State.DEGENERATE, reason, notes, n)
    error = sqrt(variance)
    half = float(stats.norm.isf((1.0 - level) / 2.0)) * error
    return Estimate(kappa, error, max(-1.0, kappa - half), min(1.0, kappa + half), level, name, n=n, notes=notes)


def has_kappa_paradox(observed_agreement: float, kappa: float) -> bool:
    """Whether agreement is high and kappa low, so that uneven class shares and not the readers make kappa low.

    References
    ----------
    Feinstein and Cicchetti (1990), J. Clin. Epidemiol. 43:543-549.
    """
    return observed_agreement >= PARADOX_AGREEMENT and kappa < PARADOX_KAPPA


def _cross_table(
    first: Sequence[Hashable] | np.ndarray, second: Sequence[Hashable] | np.ndarray, classes: Sequence[Hashable]
) -> tuple[IntArray, int]:
    """Cases by both answers, and how many lack one."""
    check_same_length(first, second, fields="first, second")
    one = class_indices(first, classes, field="first", allow_missing=True)
    two = class_indices(second, classes, field="second", allow_missing=True)
    k = len(check_classes(classes))
    both = (one >= 0) & (two >= 0)
    table = np.bincount(one[both] * k + two[both], minlength=k * k).reshape(k, k)
    return table.astype(np.int64), int(one.size - both.sum())


def _paradox_note(table: IntArray, kappa: float) -> tuple[str, ...]:
    n, k = int(table.sum()), table.shape[0]
    observed = float(np.trace(table)) / n
    if not has_kappa_paradox(observed, kappa):
        return ()
    share = (table.sum(axis=0) + table.sum(axis=1)) / (2.0 * n)
    chance = float(np.sum(share * (1.0 - share))) / (k - 1.0)
    ac1, even = (observed - chance) / (1.0 - chance), (observed - 1.0 / k) / (1.0 - 1.0 / k)
    return (
        f"kappa paradox: {100.0 * observed:.1f}% agreement but kappa {kappa:.3f}: class shares are very uneven; "
        f"Gwet's AC1 is {ac1:.3f}, Brennan-Prediger (PABAK) {even:.3f}",
    )
