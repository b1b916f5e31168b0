"""Figures of merit of many curves over the same cases, with what their covariance over cases is made of.

Measures: :func:`auc_curves`, :func:`proportion_curves`, :func:`average_over_classes`.

A *curve* is one reader in one arm, or one model: a row of ratings or of right/wrong outcomes over the cases. Every
figure (AUC, accuracy, sensitivity, specificity, and their averages over classes) is put in one form,
:class:`CurveFigures`, so that the same multi-reader analysis takes any of them.

Conventions: NaN means that the case was not read on that curve; the figure of a curve uses the cases it has, nothing
is imputed, and two curves covary only through the cases that both have. Ties count one half; a higher rating is more
likely positive and is never flipped.

>>> curves = auc_curves([0, 0, 0, 1, 1, 1], [[1, 2, 3, 2, 4, 5], [1, 3, 2, 1, 2, 4]])
>>> print(curves.values.round(3), curves.covariance("delong").round(4).tolist())
[0.833 0.556] [[0.037, 0.0417], [0.0417, 0.0802]]

References
----------
DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845 (structural components).
Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans, SIAM (jackknife covariance).
Gallas (2006), Acad. Radiol. 13:353-362 (unbiased covariance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.delong import delong_components
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_numbers,
    check_truth,
)

#: Kernel elements handled at once by the unbiased covariance; sums of quarters below 2**22 are exact in float32.
_KERNEL_BLOCK = 1 << 20
#: Kernel elements of all curves held in memory at once (128 MiB).
_KERNEL_MEMORY = 1 << 25


class Covariance(StrEnum):
    """How the covariance of figures over cases is estimated."""

    DELONG = "delong"  # sample covariance of the structural components
    JACKKNIFE = "jackknife"  # leave one case out
    UNBIASED = "unbiased"  # one-shot U-statistic; may give a matrix that is not positive definite


@dataclass(frozen=True)
class CurveFigures:
    """One figure of merit on k curves over n cases."""

    metric: str  # "AUC", "accuracy", "sensitivity", "specificity", or "mean ... over classes"
    values: FloatArray  # (k,)
    leave_one_out: FloatArray  # (k, n) the figure without case i; the whole figure where the curve lacks the case
    influence: FloatArray  # (k, n) influence @ influence.T is DeLong's covariance; 0 where the curve lacks the case
    roc_data: tuple[BoolArray, FloatArray] | None = None  # truth (n,) and ratings (k, n) behind an AUC

    @property
    def n_cases(self) -> int:
        """Cases that the study has, read or not; patients where they have several cases."""
        return int(self.leave_one_out.shape[1])

    def covariance(self, method: Covariance | str = Covariance.JACKKNIFE) -> FloatArray:
        """Covariance of the figures over cases, shape (k, k).

        Parameters
        ----------
        method : Covariance or str
            "jackknife" (any figure), "delong" (any figure: structural components) or "unbiased" (the AUC of one
            class, and proportions of one class, where it equals "delong").

        Raises
        ------
        StatisticsInputError
            If the method is unknown, or is "unbiased" for an average over classes of AUCs.
        UndefinedStatisticError
            If there are too few cases for it.
        """
        chosen = check_covariance(method)
        if chosen is Covariance.JACKKNIFE:
            centred = self.leave_one_out - self.leave_one_out.mean(axis=1, keepdims=True)
            return (self.n_cases - 1.0) / self.n_cases * (centred @ centred.T)
        if chosen is Covariance.DELONG or not self.metric.endswith("AUC"):
            return self.influence @ self.influence.T
        if self.roc_data is None:
            raise StatisticsInputError(
                "the unbiased covariance is not defined for an average over classes or for several cases a patient",
                field="covariance",
                value=chosen.value,
                fix="use 'jackknife' or 'delong'",
            )
        return _unbiased_covariance(*self.roc_data, self.values)


def check_covariance(method: Covariance | str) -> Covariance:
    """The covariance method of that name."""
    try:
        return Covariance(str(method).lower())
    except ValueError as error:
        raise StatisticsInputError(
            "is not a covariance method",
            field="covariance",
            value=method,
            fix="use one of " + ", ".join(item.value for item in Covariance),
        ) from error


def auc_curves(
    truth: ArrayLike,
    ratings: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    patient: IntArray | None = None,
) -> CurveFigures:
    """Empirical AUC of every curve.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    ratings : float array, shape (n_curves, n_cases)
        Confidence that the case is positive, any monotone scale; NaN where the curve lacks the case.
    names : sequence of str, optional
        What to call the curves in errors.
    patient : int array, shape (n_cases,), optional
        Patient of each case, numbered from 0, where patients have several. The "cases" of the result, over which
        everything varies, are then the patients, each left out whole.

    Raises
    ------
    StatisticsInputError
        If shapes do not fit.
    UndefinedStatisticError
        If a curve has fewer than two positive or two negative cases, naming the curve.

    References
    ----------
    Bamber (1975), J. Math. Psychol. 12:387-415.
    """
    is_positive = check_truth(truth)
    matrix = _check_matrix(ratings, is_positive.size, "ratings")
    is_read = ~np.isnan(matrix)
    _require_two(is_read & is_positive, "positive", names)
    _require_two(is_read & ~is_positive, "negative", names)
    if patient is not None:
        return _auc_curves_of_patients(is_positive, matrix, patient, names)
    values = np.empty(matrix.shape[0])
    leave_one_out = np.empty(matrix.shape)
    influence = np.zeros(matrix.shape)
    for rows, columns in _same_cases(is_read):
        parts = delong_components(is_positive[columns], matrix[np.ix_(rows, columns)])
        area = parts.auc[:, None]
        values[rows] = parts.auc
        leave_one_out[rows] = area
        for placements, cases in (
            (parts.v10, columns[is_positive[columns]]),
            (parts.v01, columns[~is_positive[columns]]),
        ):
            n = cases.size
            leave_one_out[np.ix_(rows, cases)] = (n * area - placements) / (n - 1)
            influence[np.ix_(rows, cases)] = (placements - area) / np.sqrt(n * (n - 1.0))
    return CurveFigures("AUC", values, leave_one_out, influence, (is_positive, matrix))


def _auc_curves_of_patients(
    truth: BoolArray, ratings: FloatArray, patient: IntArray, names: Sequence[str] | None
) -> CurveFigures:
    """AUC of every curve with each patient's pull; the influence is Obuchowski's (1997), between patients."""
    k, n_patients = ratings.shape[0], int(patient.max()) + 1
    values, leave_one_out, influence = np.empty(k), np.empty((k, n_patients)), np.zeros((k, n_patients))
    for curve, row in enumerate(ratings):
        is_read = ~np.isnan(row)
        is_positive, rated, of = truth[is_read], row[is_read], patient[is_read]
        parts = delong_components(is_positive, rated)
        area = float(parts.auc[0])
        m, n = parts.n_positive, parts.n_negative
        up, of_up = _by_patient(parts.v10[0], of[is_positive], n_patients)
        down, of_down = _by_patient(parts.v01[0], of[~is_positive], n_patients)
        both = np.zeros(n_patients)  # pairs won within a patient, which leave with the patient twice
        for one in np.flatnonzero((of_up > 0) & (of_down > 0)):
            own = of == one
            above = np.subtract.outer(rated[own & is_positive], rated[own & ~is_positive])
            both[one] = np.sum((above > 0) + 0.5 * (above == 0))
        left = (m - of_up) * (n - of_down)
        counted = (of_up > 0).sum(), (of_down > 0).sum()
        if min(*counted, left.min()) < 1 or min(counted) < 2:
            name = names[curve] if names is not None else f"curve {curve}"
            raise UndefinedStatisticError(f"{name} has positive, or negative, cases of one patient only.")
        values[curve] = area
        leave_one_out[curve] = (m * n * area - n * up - m * down + both) / left
        influence[curve] = _spread(up - of_up * area, m, counted[0]) + _spread(down - of_down * area, n, counted[1])
    return CurveFigures("AUC", values, leave_one_out, influence)


def _by_patient(values: FloatArray, patient: IntArray, n_patients: int) -> tuple[FloatArray, IntArray]:
    """Sum of a number over the cases of each patient, and how many they are."""
    sums = np.asarray(np.bincount(patient, values, n_patients), dtype=np.float64)
    return sums, np.bincount(patient, minlength=n_patients).astype(np.int64)


def _spread(pull: FloatArray, n_cases: int, n_patients: int) -> FloatArray:
    """Pulls on a mean over cases, scaled so that their squares add up to its variance between patients."""
    return pull / n_cases * np.sqrt(n_patients / (n_patients - 1.0))


def proportion_curves(
    outcomes: ArrayLike, metric: str, names: Sequence[str] | None = None, *, patient: IntArray | None = None
) -> CurveFigures:
    """Share of successes on every curve: accuracy, sensitivity or specificity.

    Parameters
    ----------
    outcomes : float array, shape (n_curves, n_cases)
        1 for a right answer, 0 for a wrong one, NaN where the case is not in the denominator or was not read.
    metric : str
        Name of the figure.
    patient : int array, shape (n_cases,), optional
        As in :func:`auc_curves`.

    Raises
    ------
    StatisticsInputError
        If an outcome is not 0, 1 or NaN.
    UndefinedStatisticError
        If a curve has fewer than two cases, naming the curve.
    """
    matrix = check_numbers(outcomes, field="outcomes")
    matrix = _check_matrix(matrix, matrix.shape[-1] if matrix.ndim else 0, "outcomes")
    is_read = ~np.isnan(matrix)
    if not np.isin(matrix[is_read], (0.0, 1.0)).all():
        raise StatisticsInputError("must be 0, 1 or NaN", field="outcomes")
    _require_two(is_read, f"in the denominator of {metric}", names)
    n = is_read.sum(axis=1, keepdims=True).astype(np.float64)
    filled = np.where(is_read, matrix, 0.0)
    share = filled.sum(axis=1, keepdims=True) / n
    if patient is not None:
        return _proportion_curves_of_patients(filled, is_read, share, metric, names, patient)
    leave_one_out = np.where(is_read, (n * share - filled) / (n - 1), share)
    influence = np.where(is_read, (filled - share) / np.sqrt(n * (n - 1)), 0.0)
    return CurveFigures(metric, share[:, 0], leave_one_out, influence)


def _proportion_curves_of_patients(
    filled: FloatArray,
    is_read: BoolArray,
    share: FloatArray,
    metric: str,
    names: Sequence[str] | None,
    patient: IntArray,
) -> CurveFigures:
    """Share of successes with each patient's pull."""
    n_patients = int(patient.max()) + 1
    of_patient = np.zeros((patient.size, n_patients))
    of_patient[np.arange(patient.size), patient] = 1.0
    won, read = filled @ of_patient, is_read @ of_patient  # (k, n_patients)
    n, counted = read.sum(axis=1, keepdims=True), (read > 0).sum(axis=1, keepdims=True)
    _require_two(read > 0, f"patients in the denominator of {metric}", names)
    leave_one_out = (n * share - won) / (n - read)
    influence = (won - read * share) / n * np.sqrt(counted / (counted - 1.0))
    return CurveFigures(metric, share[:, 0], leave_one_out, influence)


def average_over_classes(figures: Sequence[CurveFigures]) -> CurveFigures:
    """Unweighted mean of one figure over classes (macro average), curve by curve.

    Raises
    ------
    StatisticsInputError
        If there is nothing to average or the curves differ in number.
    """
    if not figures:
        raise StatisticsInputError("is empty", field="figures", fix="pass one entry per class")
    if len({part.leave_one_out.shape for part in figures}) != 1:
        raise StatisticsInputError("differ in curves or cases", field="figures")
    if len(figures) == 1:
        return figures[0]
    return CurveFigures(
        f"class-averaged {figures[0].metric}",
        np.mean([part.values for part in figures], axis=0),
        np.mean([part.leave_one_out for part in figures], axis=0),
        np.mean([part.influence for part in figures], axis=0),
    )


def _check_matrix(values: ArrayLike, n_cases: int, field: str) -> FloatArray:
    """A float matrix of k curves by n cases, NaN allowed."""
    matrix = check_numbers(values, field=field)
    if matrix.ndim != 2 or matrix.shape[1] != n_cases or 0 in matrix.shape:
        raise StatisticsInputError(
            f"must have shape (n_curves, {n_cases})",
            field=field,
            value=matrix.shape,
            fix="cases go along the last axis",
        )
    return matrix


def _require_two(counted: BoolArray, kind: str, names: Sequence[str] | None) -> None:
    """Every curve needs two cases of a kind for a variance over cases."""
    counts = counted.sum(axis=1)
    if (counts >= 2).all():
        return
    curve = int(np.flatnonzero(counts < 2)[0])
    name = names[curve] if names is not None else f"curve {curve}"
    raise UndefinedStatisticError(
        f"{name} has {int(counts[curve])} cases that are {kind}; a figure with a variance needs at least two."
    )


def _same_cases(is_read: BoolArray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Curves that have the same cases together, with those cases."""
    if is_read.all():
        return [(np.arange(is_read.shape[0]), np.arange(is_read.shape[1]))]
    together: dict[bytes, list[int]] = {}
    for curve, row in enumerate(is_read):
        together.setdefault(row.tobytes(), []).append(curve)
    return [(np.array(rows), np.flatnonzero(is_read[rows[0]])) for rows in together.values()]


def _unbiased_covariance(truth: BoolArray, ratings: FloatArray, values: FloatArray) -> FloatArray:
    """One-shot unbiased covariance of AUCs: their product minus its mean over pairs that share no case."""
    is_read = ~np.isnan(ratings)
    positive, negative = ratings[:, truth], ratings[:, ~truth]
    read_positive = is_read[:, truth].astype(np.float64)  # (k, m)
    read_negative = is_read[:, ~truth].astype(np.float64)  # (k, n)
    k = values.size
    n_positive, n_negative = read_positive.sum(axis=1), read_negative.sum(axis=1)
    by_positive, by_negative = np.zeros(read_positive.shape), np.zeros(read_negative.shape)  # kernel sums
    same_pair = np.zeros((k, k))
    block = max(1, min(_KERNEL_BLOCK, _KERNEL_MEMORY // k) // negative.shape[1])
    for start in range(0, positive.shape[1], block):
        part = positive[:, start : start + block, None]
        with np.errstate(invalid="ignore"):  # a comparison with NaN is False: no reading adds nothing
            kernel = (part > negative[:, None, :]).astype(np.float32)
            kernel += np.float32(0.5) * (part == negative[:, None, :])
        by_positive[:, start : start + block] = kernel.sum(axis=2, dtype=np.float64)
        by_negative += kernel.sum(axis=1, dtype=np.float64)
        flat = kernel.reshape(k, -1)
        same_pair += flat @ flat.T
    total = values * n_positive * n_negative
    shared_positive, shared_negative = read_positive @ read_positive.T, read_negative @ read_negative.T
    disjoint = np.outer(total, total) - by_positive @ by_positive.T - by_negative @ by_negative.T + same_pair
    count = (
        np.outer(n_positive * n_negative, n_positive * n_negative)
        - shared_positive * np.outer(n_negative, n_negative)
        - shared_negative * np.outer(n_positive, n_positive)
        + shared_positive * shared_negative
    )
    return np.outer(values, values) - disjoint / count
