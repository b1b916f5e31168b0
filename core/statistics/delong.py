"""DeLong's structural components: the AUC of many curves over the same cases, and their covariance.

Measures: :func:`auc`, :func:`delong_components` (AUCs with their covariance).

Conventions: True is positive, a higher rating is more likely positive and is never flipped, a tie counts one half.
``v10[r, i]`` is the share of negative cases that positive case ``i`` outranks on curve ``r``; ``v01[r, j]`` is the
share of positive cases that outrank negative case ``j``. Both average to the AUC. They are found from one argsort a
curve and counts within groups of ties, O(k n log n), instead of the k·m·n comparisons of the definition.

>>> print(f"{auc([0, 0, 1, 1], [1, 3, 2, 4]):.2f}")
0.75

References
----------
DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845.
Sun and Xu (2014), IEEE Signal Process. Lett. 21:1389-1393 (the O(n log n) idea).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.errors import UndefinedStatisticError
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_one_curve,
    check_ratings,
    check_truth,
    require_both_classes,
)


@dataclass(frozen=True)
class DelongComponents:
    """AUCs of k curves over the same cases with what their covariance is made of."""

    auc: FloatArray  # (k,)
    v10: FloatArray  # (k, n_positive), positive cases in their order in ``truth``
    v01: FloatArray  # (k, n_negative), negative cases in their order in ``truth``

    @property
    def n_positive(self) -> int:
        """Positive cases."""
        return int(self.v10.shape[1])

    @property
    def n_negative(self) -> int:
        """Negative cases."""
        return int(self.v01.shape[1])

    def covariance(self) -> FloatArray:
        """DeLong covariance of the AUCs, ``S10 / n_positive + S01 / n_negative``, shape (k, k).

        Raises
        ------
        UndefinedStatisticError
            If there is only one positive or only one negative case.
        """
        if self.n_positive < 2 or self.n_negative < 2:
            kind = "positive" if self.n_positive < 2 else "negative"
            raise UndefinedStatisticError(f"Only one case is {kind}, so DeLong's covariance is not defined.")
        return _covariance_of_mean(self.v10, self.auc) + _covariance_of_mean(self.v01, self.auc)

    def clustered_covariance(self, is_positive: BoolArray, patient: IntArray) -> FloatArray:
        """Covariance of the AUCs between patients, shape (k, k); DeLong's when each patient has one case.

        Parameters
        ----------
        is_positive : bool array, shape (n_cases,)
            Reference standard that the components were made with.
        patient : int array, shape (n_cases,)
            Patient of each case, numbered from 0.

        Raises
        ------
        UndefinedStatisticError
            If fewer than two patients have positive cases, or fewer than two have negative cases.

        References
        ----------
        Obuchowski (1997), Biometrics 53:567-578.
        """
        n_patients = int(patient.max()) + 1
        with_positive, with_negative = np.unique(patient[is_positive]).size, np.unique(patient[~is_positive]).size
        if with_positive < 2 or with_negative < 2:
            raise UndefinedStatisticError(
                "Fewer than two patients have positive cases, or fewer than two have negative cases."
            )
        up = _sums_by_patient(self.v10 - self.auc[:, None], patient[is_positive], n_patients) / self.n_positive
        down = _sums_by_patient(self.v01 - self.auc[:, None], patient[~is_positive], n_patients) / self.n_negative
        cross = up @ down.T
        return (
            with_positive / (with_positive - 1.0) * (up @ up.T)
            + with_negative / (with_negative - 1.0) * (down @ down.T)
            + n_patients / (n_patients - 1.0) * (cross + cross.T)
        )


def delong_components(truth: ArrayLike, ratings: ArrayLike) -> DelongComponents:
    """AUC and DeLong's structural components of every curve.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    ratings : float array, shape (n_curves, n_cases) or (n_cases,)
        Rating of every case on every curve (reader, model, arm); any monotone scale.

    Raises
    ------
    StatisticsInputError
        If shapes differ or a rating is NaN.
    UndefinedStatisticError
        If no case is positive or none is negative.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845.
    """
    is_positive = check_truth(truth)
    matrix = check_ratings(ratings, is_positive.size)
    n_positive, n_negative = require_both_classes(is_positive)
    auc = np.empty(matrix.shape[0])
    v10 = np.empty((matrix.shape[0], n_positive))
    v01 = np.empty((matrix.shape[0], n_negative))
    # Positive cases first: a sorted index below n_positive is then a positive case, with no second look-up.
    positives_first = np.concatenate([np.flatnonzero(is_positive), np.flatnonzero(~is_positive)])
    # One scratch copy for all curves: fresh memory costs more than the arithmetic. Indices are in range, so "clip" only
    # spares NumPy a buffer.
    values, scratch = np.empty(matrix.shape[1]), np.empty(matrix.shape[1])
    for curve, row in enumerate(matrix):
        np.take(row, positives_first, out=values, mode="clip")
        auc[curve] = _placements(values, n_positive, scratch)
        v10[curve], v01[curve] = values[:n_positive], values[n_positive:]
    return DelongComponents(auc, v10, v01)


def auc(truth: ArrayLike, ratings: ArrayLike) -> float:
    """Empirical area under one ROC curve; a tie counts one half.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    ratings : float array, shape (n_cases,)
        Confidence that the case is positive; any monotone scale, no unit.

    Raises
    ------
    UndefinedStatisticError
        If there is no positive or no negative case.

    References
    ----------
    Bamber (1975), J. Math. Psychol. 12:387-415.
    """
    is_positive: BoolArray = check_truth(truth)
    row = check_one_curve(ratings, is_positive.size)
    n_positive, _ = require_both_classes(is_positive)
    positives_first = np.concatenate([row[is_positive], row[~is_positive]])
    return _placements(positives_first, n_positive, np.empty(row.size))


def _placements(values: FloatArray, n_positive: int, ordered: FloatArray) -> float:
    """AUC; turns ``values``, ratings with the positive cases first, into placements. ``ordered`` is scratch."""
    n = values.size
    n_negative = n - n_positive
    order = np.argsort(values)
    np.take(values, order, out=ordered, mode="clip")
    is_positive = order < n_positive
    # Where each group of ties ends, and how many positive and negative cases there are up to there.
    is_last = np.empty(n, dtype=np.bool_)
    is_last[-1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=is_last[:-1])
    last = np.flatnonzero(is_last)
    positive_up_to: IntArray = np.cumsum(is_positive, dtype=np.int32 if n < 2**31 else np.int64)[last].astype(np.int64)
    negative_up_to = last + 1 - positive_up_to
    positive_in = np.diff(positive_up_to, prepend=0)
    negative_in = np.diff(negative_up_to, prepend=0)
    # Twice the pairs won, so that halves stay whole numbers and the AUC is rounded once.
    negative_below = 2 * negative_up_to - negative_in
    positive_above = 2 * (n_positive - positive_up_to) + positive_in
    area = float(np.dot(positive_in, negative_below)) / (2.0 * n_positive * n_negative)
    of_positive = negative_below / (2.0 * n_negative)
    of_negative = positive_above / (2.0 * n_positive)
    if last.size < n:
        # Even places of the table are negative cases, odd ones positive cases of the same group of ties.
        place = np.repeat(np.arange(0, 2 * last.size, 2), positive_in + negative_in)
        place += is_positive
        np.take(np.stack([of_negative, of_positive], axis=1).ravel(), place, out=ordered, mode="clip")
    else:
        np.copyto(ordered, of_negative)
        np.copyto(ordered, of_positive, where=is_positive)
    values[order] = ordered
    return area


def _sums_by_patient(values: FloatArray, patient: IntArray, n_patients: int) -> FloatArray:
    """Sums of each row (k, n) over the cases of a patient, shape (k, n_patients)."""
    return np.stack([np.bincount(patient, weights=row, minlength=n_patients) for row in values])


def _covariance_of_mean(components: FloatArray, mean: FloatArray) -> FloatArray:
    """Covariance of the row means of ``components`` (k, n), in blocks that stay in the processor's cache."""
    k, n = components.shape
    block = max(32, 65536 // k)
    total = np.zeros((k, k))
    for start in range(0, n, block):
        centred = components[:, start : start + block] - mean[:, None]
        total += centred @ centred.T
    return total / ((n - 1.0) * n)
