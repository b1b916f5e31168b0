"""Cohen's kappa: agreement beyond chance of two answers over the same cases.

Measures: :func:`cohen_kappa` of answers, :func:`kappa_of_table` of a cross-table, :func:`has_kappa_paradox`.

Conventions: classes are names without order unless weights say otherwise; cases without both readings are left out
and counted in a note. Kappa is undefined when both answers name one and the same class throughout. A high percent
agreement with a low kappa (the kappa paradox, from very uneven class shares) is flagged with Gwet's AC1 and
Brennan-Prediger's coefficient beside it. Kappa between a reader and the reference standard is agreement with the
truth, not agreement between readers: the paper of Zhao et al. 2023 prints the former as "Fleiss's kappa".

>>> print(f"{cohen_kappa(['a', 'a', 'b', 'b'], ['a', 'b', 'b', 'b'], ['a', 'b']).value:.2f}")
0.50
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.agreement_coefficients import Weights, agreement_weights
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    IntArray,
    check_classes,
    check_confidence_level,
    check_count,
    check_numbers,
    check_same_length,
    class_indices,
)

#: Percent agreement from which, and kappa up to which, the kappa paradox is flagged.
PARADOX_AGREEMENT, PARADOX_KAPPA = 0.8, 0.6

#: Why a kappa is undefined (the first two) or has no variance.
_OBSTACLES = (
    "No case has both readings.",
    "All readings name one class, so agreement beyond chance is not defined.",
    "One of the two names one class only, so agreement is that of chance and its variance is 0.",
    "Both answers agree on every case, so the variance is 0.",
    "The large-sample variance is 0.",
)


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
    table, n_missing = _cross_table(first, second, classes)
    found = kappa_of_table(table, weights=weights, confidence_level=confidence_level)
    return found.with_note(f"{n_missing} cases without both readings were left out") if n_missing else found


def kappa_of_table(
    table: ArrayLike, *, weights: Weights | ArrayLike = "identity", confidence_level: float = 0.95
) -> Estimate:
    """:func:`cohen_kappa` from the cases by both answers, an int array of shape (n_classes, n_classes)."""
    counts = check_numbers(table, field="table")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2:
        raise StatisticsInputError("must be a square table of two classes or more", field="table", value=counts.shape)
    whole = np.array([[check_count(value, field="table") for value in row] for row in counts.tolist()])
    return kappas_of_tables(whole[None], weights=weights, confidence_level=confidence_level)[0]


def kappas_of_tables(
    tables: IntArray, *, weights: Weights | ArrayLike = "identity", confidence_level: float = 0.95
) -> tuple[Estimate, ...]:
    """:func:`kappa_of_table` of many pairs at once.

    Parameters
    ----------
    tables : int array, shape (n_pairs, n_classes, n_classes)
        Cases by both answers of each pair.
    """
    level = check_confidence_level(confidence_level)
    k = tables.shape[1]
    credit = agreement_weights(weights, k)
    is_plain = np.array_equal(credit, np.eye(k))
    name = "Cohen's kappa" if is_plain else "Cohen's weighted kappa"
    n = tables.sum(axis=(1, 2))
    share = tables / np.maximum(n, 1)[:, None, None]
    rows, columns = share.sum(axis=2), share.sum(axis=1)
    observed = np.sum(share * credit, axis=(1, 2))
    expected = np.einsum("pi,ij,pj->p", rows, credit, columns)
    spare = np.where(expected < 1.0 - 1e-12, 1.0 - expected, 1.0)
    kappa = (observed - expected) / spare
    # Credit of each answer with the other's class shares (Fleiss, Cohen and Everitt 1969, equation 8).
    usual = (columns @ credit.T)[:, :, None] + (rows @ credit)[:, None, :]
    pull = np.sum(share * (credit - usual * (1.0 - kappa)[:, None, None]) ** 2, axis=(1, 2))
    spread = pull - (kappa - expected * (1.0 - kappa)) ** 2
    error = np.sqrt(np.maximum(spread, 0.0) / np.maximum(n, 1)) / spare
    half = float(stats.norm.isf((1.0 - level) / 2.0)) * error
    names_one = (np.count_nonzero(rows, axis=1) == 1) | (np.count_nonzero(columns, axis=1) == 1)
    agree = np.trace(tables, axis1=1, axis2=2) == n
    obstacle = np.select(
        [n == 0, expected >= 1.0 - 1e-12, names_one, agree, spread <= 1e-12], range(len(_OBSTACLES)), default=-1
    )
    kappa = np.where(names_one, 0.0, kappa)
    found = []
    columns_of = (n.tolist(), kappa.tolist(), error.tolist(), half.tolist(), obstacle.tolist())
    for table, size, value, deviation, width, code in zip(tables, *columns_of, strict=True):
        notes = _paradox_note(table, value) if is_plain and size else ()
        if code in (0, 1):
            found.append(undefined_estimate(_OBSTACLES[code], confidence_level=level, method=name, n=size))
        elif code >= 0:
            state = State.DEGENERATE
            found.append(Estimate(value, None, None, None, level, name, state, _OBSTACLES[code], notes, size))
        else:
            lower, upper = max(-1.0, value - width), min(1.0, value + width)
            found.append(Estimate(value, deviation, lower, upper, level, name, n=size, notes=notes))
    return tuple(found)


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
