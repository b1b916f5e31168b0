"""The ROC curve of a panel: curves of its readers averaged, never their ratings pooled.

Measures: :func:`reader_averaged_roc`, :func:`average_curves`.

Pooling ratings of readers who use the scale differently pulls the curve down; averaging curves does not, and the area
under either average is exactly the mean of the readers' AUCs.

Conventions: "vertical" averages sensitivity at equal false-positive rate (both ends of a vertical step are kept);
"diagonal" averages along lines of equal sensitivity + false-positive rate, as iMRMC does by default, and treats both
axes alike. Readers with hard labels have a point and no curve: the result says how many there are.

>>> found = reader_averaged_roc([0, 0, 1, 1], [[1, 2, 3, 4], [1, 3, 2, 4]])
>>> print(f"{found.area:.3f} over {found.n_readers} readers")
0.875 over 2 readers

References
----------
Chen and Samuelson (2014), Br. J. Radiol. 87:20140016.
Swets and Pickett (1982), Evaluation of Diagnostic Systems, Academic Press.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError
from core.statistics.result import Reported
from core.statistics.roc import roc_curve
from core.statistics.validation import (
    FloatArray,
    check_numbers,
    check_truth,
)

Direction = Literal["vertical", "diagonal"]


@dataclass(frozen=True)
class ReaderAveragedRoc(Reported):
    """Averaged ROC curve from (0, 0) to (1, 1)."""

    false_positive_rate: FloatArray  # (n_points,) ascending
    sensitivity: FloatArray  # (n_points,) ascending
    direction: Direction
    area: float  # equals the mean of the readers' AUCs
    n_readers: int
    n_hard_labels: int  # readers whose ratings take two values: one operating point each


def reader_averaged_roc(
    truth: ArrayLike, ratings: ArrayLike, *, direction: Direction = "vertical"
) -> ReaderAveragedRoc:
    """Average of the readers' empirical ROC curves.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    ratings : float array, shape (n_readers, n_cases)
        NaN where a reader did not read a case.
    direction : str
        "vertical" or "diagonal".

    Raises
    ------
    StatisticsInputError
        If shapes do not fit or the direction is unknown.
    UndefinedStatisticError
        If a reader has no positive or no negative case.

    References
    ----------
    Chen and Samuelson (2014), Br. J. Radiol. 87:20140016.
    """
    is_positive = check_truth(truth)
    matrix = check_numbers(ratings, field="ratings")
    if matrix.ndim != 2 or matrix.shape[0] == 0 or matrix.shape[1] != is_positive.size:
        raise StatisticsInputError(
            f"must have shape (n_readers, {is_positive.size})", field="ratings", value=matrix.shape
        )
    if direction not in ("vertical", "diagonal"):
        raise StatisticsInputError("must be 'vertical' or 'diagonal'", field="direction", value=direction)
    curves, n_hard = [], 0
    for row in matrix:
        is_read = ~np.isnan(row)
        curve = roc_curve(is_positive[is_read], row[is_read])
        n_hard += curve.is_operating_point
        curves.append((1.0 - curve.specificity, curve.sensitivity))
    x, y = average_curves(curves) if direction == "vertical" else _diagonal(curves)
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2.0)
    return ReaderAveragedRoc(x, y, direction, area, len(curves), n_hard)


def average_curves(curves: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Mean sensitivity at each false-positive rate of any curve, below and above its step.

    Parameters
    ----------
    curves : list of (float array, float array)
        False-positive rate and sensitivity of each, ascending from (0, 0) to (1, 1): of readers, or of the classes of
        one rater. The area under the average is the mean of the areas.
    """
    knots = np.unique(np.concatenate([x for x, _ in curves]))
    below, above = np.zeros(knots.size), np.zeros(knots.size)
    for x, y in curves:
        own, first = np.unique(x, return_index=True)
        lowest = y[first]
        highest = y[np.append(first[1:], x.size) - 1]
        place = np.searchsorted(own, knots)
        is_own = own[place] == knots
        # Between two of its own rates a curve is the line from the top of one step to the foot of the next.
        before = np.maximum(place - 1, 0)
        width = np.where(is_own, 1.0, own[place] - own[before])
        between = highest[before] + (knots - own[before]) / width * (lowest[place] - highest[before])
        below += np.where(is_own, lowest[place], between)
        above += np.where(is_own, highest[place], between)
    heights = np.column_stack([below, above]).ravel() / len(curves)
    return np.repeat(knots, 2), heights


def _diagonal(curves: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Mean of (sensitivity - false-positive rate) at each (sensitivity + false-positive rate) of any curve."""
    along = np.unique(np.concatenate([(x + y) / 2.0 for x, y in curves]))
    across = np.mean([np.interp(along, (x + y) / 2.0, (y - x) / 2.0) for x, y in curves], axis=0)
    return along - across, along + across
