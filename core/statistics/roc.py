"""Empirical ROC curves of one class against the rest, and what is read off them.

Measures: :func:`roc_curve`, :func:`roc_band`, :func:`partial_auc`, :func:`sensitivity_at_specificity`,
:func:`specificity_at_sensitivity`, :func:`youden_point`, :func:`operating_point` (decisions),
:func:`operating_point_at` (a cut-off), :func:`is_hard_label`.

Conventions: True is positive; a higher rating is more likely positive and is never flipped, so an AUC below one half
stays below one half. A case is called positive when its rating exceeds the threshold, and thresholds lie half-way
between neighbouring ratings. Points of the curve are joined by straight lines (ties become slanted lines). Two
distinct ratings (hard labels) give one operating point, and the curve says so in ``is_operating_point``: drawing its
two straight lines as a curve, or calling its area an AUC without saying so, would pass balanced accuracy off as AUC.

>>> truth, rating = [0, 0, 0, 1, 1, 1], [1, 2, 3, 2, 4, 5]
>>> print(operating_point_at(truth, rating, 3).metrics.sensitivity)
0.6667 (95% 0.2077 to 0.9385), n = 3; Wilson
>>> print(youden_point(truth, rating).threshold)
3.5
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.stats.proportion import proportion_confint

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.bootstrap import bootstrap_estimate
from core.statistics.classification import BinaryCounts, BinaryMetrics, binary_metrics
from core.statistics.proportions import proportion_clustered
from core.statistics.result import Estimate, Reported, undefined_estimate
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_confidence_level,
    check_groups,
    check_one_curve,
    check_truth,
    require_both_classes,
)

Axis = Literal["specificity", "sensitivity"]


@dataclass(frozen=True)
class RocCurve(Reported):
    """Points of an empirical ROC curve, from "nobody positive" to "everybody positive"."""

    threshold: FloatArray  # (n_points,) descending, +inf first, -inf last
    sensitivity: FloatArray  # (n_points,) ascending from 0 to 1
    specificity: FloatArray  # (n_points,) descending from 1 to 0
    true_positive: IntArray  # (n_points,) cases
    false_positive: IntArray  # (n_points,) cases
    n_positive: int
    n_negative: int
    is_operating_point: bool  # at most two distinct ratings: a point, not a curve

    @property
    def area(self) -> float:
        """Area under the straight lines; for an operating point this is balanced accuracy."""
        return _area(self.false_positive, self.true_positive) / (self.n_positive * self.n_negative)


def roc_curve(truth: ArrayLike, ratings: ArrayLike) -> RocCurve:
    """Empirical ROC curve; tied ratings share one point.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    ratings : float array, shape (n_cases,)
        Ratings, higher is more likely positive.

    Raises
    ------
    StatisticsInputError
        If shapes differ or a rating is NaN.
    UndefinedStatisticError
        If no case is positive or none is negative.
    """
    is_positive, row = _one_curve(truth, ratings)
    n_positive, n_negative = require_both_classes(is_positive)
    values, group = np.unique(row, return_inverse=True)
    positive_in = np.bincount(group[is_positive], minlength=values.size)[::-1]
    negative_in = np.bincount(group[~is_positive], minlength=values.size)[::-1]
    true_positive = np.concatenate([[0], np.cumsum(positive_in)])
    false_positive = np.concatenate([[0], np.cumsum(negative_in)])
    middle = values[:-1] / 2.0 + values[1:] / 2.0
    return RocCurve(
        threshold=np.concatenate([[np.inf], middle[::-1], [-np.inf]]),
        sensitivity=true_positive / n_positive,
        specificity=(n_negative - false_positive) / n_negative,
        true_positive=true_positive,
        false_positive=false_positive,
        n_positive=n_positive,
        n_negative=n_negative,
        is_operating_point=values.size <= 2,
    )


@dataclass(frozen=True)
class RocBand(Reported):
    """Limits of sensitivity and of the false-positive rate at every threshold of a curve."""

    sensitivity_lower: FloatArray  # (n_points,)
    sensitivity_upper: FloatArray
    rate_lower: FloatArray  # of the false-positive rate
    rate_upper: FloatArray


def roc_band(curve: RocCurve, *, confidence_level: float = 0.95) -> RocBand:
    """A rectangle about every point of a curve that holds its sensitivity and specificity at once.

    Positive and negative cases are independent, so Wilson intervals at the square root of the confidence level hold
    both with that confidence, at any one threshold. It is a pointwise band: not every point of the true curve at once.

    References
    ----------
    Zweig and Campbell (1993), Clin. Chem. 39:561-577. Wilson (1927), J. Am. Stat. Assoc. 22:209-212.
    """
    alpha = 1.0 - check_confidence_level(confidence_level) ** 0.5
    lower, upper = proportion_confint(curve.true_positive, curve.n_positive, alpha=alpha, method="wilson")
    rate_lower, rate_upper = proportion_confint(curve.false_positive, curve.n_negative, alpha=alpha, method="wilson")
    return RocBand(np.asarray(lower), np.asarray(upper), np.asarray(rate_lower), np.asarray(rate_upper))


def is_hard_label(ratings: ArrayLike) -> bool:
    """Whether ratings take at most two values, so that they are decisions rather than ratings."""
    row = np.asarray(ratings, dtype=np.float64).ravel()
    if np.unique(row[:64]).size > 2:  # the usual case, without a look at the rest
        return False
    return bool(row.size == 0 or np.all((row == row.min()) | (row == row.max())))


def partial_auc(
    truth: ArrayLike,
    ratings: ArrayLike,
    *,
    between: tuple[float, float],
    axis: Axis = "specificity",
    is_corrected: bool = False,
    rng: np.random.Generator | None = None,
    n_replicates: int = 2_000,
    confidence_level: float = 0.95,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Area under the part of the curve where specificity (or sensitivity) lies in a range.

    Parameters
    ----------
    truth, ratings
        As in :func:`roc_curve`.
    between : (float, float)
        The range, for example (0.9, 1.0), in any order.
    axis : {"specificity", "sensitivity"}
        What the range is of.
    is_corrected : bool
        McClish's scaling: one half is chance, 1 is perfect. Not defined below the diagonal.
    rng : numpy.random.Generator, optional
        Gives a percentile bootstrap interval; without it the value comes alone.

    References
    ----------
    McClish (1989), Med. Decis. Making 9:190-195.
    """
    low, high = sorted(_check_share(limit, "between") for limit in between)
    if low == high:
        raise StatisticsInputError("the two ends of the range must differ", field="between", value=between)
    _check_axis(axis)

    def area(curve: RocCurve) -> float:
        value = _partial_area(curve, low, high, axis)
        if not is_corrected:
            return value
        chance, best = ((1.0 - low) ** 2 - (1.0 - high) ** 2) / 2.0, high - low
        if value < chance:
            raise UndefinedStatisticError("The partial area lies below the diagonal, where McClish's scaling fails.")
        return (1.0 + (value - chance) / (best - chance)) / 2.0

    name = f"partial AUC, {axis} {low:g} to {high:g}{', McClish' if is_corrected else ''}"
    return _read_off(area, truth, ratings, name, rng, n_replicates, confidence_level, patients)


def sensitivity_at_specificity(
    truth: ArrayLike,
    ratings: ArrayLike,
    specificity: float,
    *,
    rng: np.random.Generator | None = None,
    n_replicates: int = 2_000,
    confidence_level: float = 0.95,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Highest sensitivity at a fixed specificity, interpolated between points of the curve.

    With ``rng`` the interval is the percentile bootstrap's, in which the threshold is found anew in each replicate; a
    binomial interval would take the threshold for known.
    """
    wanted = _check_share(specificity, "specificity")

    def read(curve: RocCurve) -> float:
        return height_at(curve.false_positive, curve.true_positive, 1.0 - wanted)

    name = f"sensitivity at specificity {wanted:g}"
    return _read_off(read, truth, ratings, name, rng, n_replicates, confidence_level, patients)


def specificity_at_sensitivity(
    truth: ArrayLike,
    ratings: ArrayLike,
    sensitivity: float,
    *,
    rng: np.random.Generator | None = None,
    n_replicates: int = 2_000,
    confidence_level: float = 0.95,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Highest specificity at a fixed sensitivity; see :func:`sensitivity_at_specificity`."""
    wanted = _check_share(sensitivity, "sensitivity")

    def read(curve: RocCurve) -> float:
        # The same curve seen from its other end: misses along, correct rejections up.
        miss = curve.n_positive - curve.true_positive[::-1]
        return height_at(miss, curve.n_negative - curve.false_positive[::-1], 1.0 - wanted)

    name = f"specificity at sensitivity {wanted:g}"
    return _read_off(read, truth, ratings, name, rng, n_replicates, confidence_level, patients)


@dataclass(frozen=True)
class OperatingPoint(Reported):
    """One threshold of a curve, or one reader's decisions, with all that four counts say."""

    threshold: float | None  # None when the ratings are decisions
    youden_index: float  # sensitivity + specificity - 1
    metrics: BinaryMetrics
    notes: tuple[str, ...] = ()


def youden_point(truth: ArrayLike, ratings: ArrayLike, *, confidence_level: float = 0.95) -> OperatingPoint:
    """Threshold with the largest sensitivity + specificity; of several equal ones the most sensitive.

    The threshold is chosen on the same cases, so its sensitivity and specificity are too good; a note says so.

    References
    ----------
    Youden (1950), Cancer 3:32-35.
    """
    curve = roc_curve(truth, ratings)
    # Whole numbers, so that equal thresholds compare equal.
    gain = curve.true_positive * curve.n_negative - curve.false_positive * curve.n_positive
    best = int(np.flatnonzero(gain == gain.max())[-1])
    point = _operating_point(curve, best, confidence_level)
    note = "the threshold was chosen on these cases, so sensitivity and specificity are optimistic"
    return OperatingPoint(point.threshold, point.youden_index, point.metrics, (note,))


def operating_point(
    truth: ArrayLike,
    called_positive: ArrayLike,
    *,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> OperatingPoint:
    """A reader's decisions (hard labels) as one point: no curve, no threshold.

    Parameters
    ----------
    truth, called_positive : bool array, shape (n_cases,)
        Reference standard, and whether the reader called the case positive.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several: proportions then have Wilson's interval on the
        effective number of cases; F1, balanced accuracy and likelihood ratios still take cases as independent.
    """
    is_positive = check_truth(truth)
    called = check_truth(called_positive, field="called_positive")
    if called.size != is_positive.size:
        raise StatisticsInputError(
            f"has {called.size} cases where the reference standard has {is_positive.size}", field="called_positive"
        )
    n_positive, n_negative = require_both_classes(is_positive)
    hit, false_alarm = int(np.sum(called & is_positive)), int(np.sum(called & ~is_positive))
    counts = BinaryCounts(hit, false_alarm, n_positive - hit, n_negative - false_alarm)
    metrics = binary_metrics(counts, confidence_level=confidence_level)
    if patients is not None:
        metrics = _clustered(metrics, is_positive, called, np.asarray(patients, dtype=object), confidence_level)
    return OperatingPoint(None, hit / n_positive - false_alarm / n_negative, metrics)


def operating_point_at(
    truth: ArrayLike,
    ratings: ArrayLike,
    cutoff: float,
    *,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> OperatingPoint:
    """Sensitivity, specificity and all else of calling a case positive when its rating is ``cutoff`` or more.

    Parameters
    ----------
    truth, ratings, patients
        As in :func:`operating_point` and :func:`roc_curve`.
    cutoff : float
        Lowest rating that counts as positive, fixed before the study (4 of a scale of 5, a probability of 0.5).
    """
    is_positive, row = _one_curve(truth, ratings)
    if isinstance(cutoff, bool) or not isinstance(cutoff, int | float | np.number) or not np.isfinite(cutoff):
        raise StatisticsInputError("must be a finite number", field="cutoff", value=cutoff)
    point = operating_point(is_positive, row >= cutoff, patients=patients, confidence_level=confidence_level)
    return replace(point, threshold=float(cutoff), notes=(*point.notes, f"positive from a rating of {cutoff:g}"))


def _clustered(
    metrics: BinaryMetrics, is_positive: BoolArray, called: BoolArray, patients: np.ndarray, confidence_level: float
) -> BinaryMetrics:
    """The proportions with intervals that know of patients with several cases."""
    check_groups(patients, is_positive.size)

    def share(is_success: BoolArray, inside: BoolArray, plain: Estimate) -> Estimate:
        if not inside.any():
            return plain
        return proportion_clustered(is_success[inside], patients[inside], confidence_level=confidence_level)

    return replace(
        metrics,
        accuracy=share(called == is_positive, np.ones_like(called), metrics.accuracy),
        sensitivity=share(called, is_positive, metrics.sensitivity),
        specificity=share(~called, ~is_positive, metrics.specificity),
        ppv=share(is_positive, called, metrics.ppv),
        npv=share(~is_positive, ~called, metrics.npv),
    )


def _operating_point(curve: RocCurve, index: int, confidence_level: float) -> OperatingPoint:
    hit, false_alarm = int(curve.true_positive[index]), int(curve.false_positive[index])
    counts = BinaryCounts(hit, false_alarm, curve.n_positive - hit, curve.n_negative - false_alarm)
    youden = hit / curve.n_positive - false_alarm / curve.n_negative
    metrics = binary_metrics(counts, confidence_level=confidence_level)
    return OperatingPoint(float(curve.threshold[index]), youden, metrics)


def _one_curve(truth: ArrayLike, ratings: ArrayLike) -> tuple[BoolArray, FloatArray]:
    is_positive = check_truth(truth)
    return is_positive, check_one_curve(ratings, is_positive.size)


def _read_off(
    read: Callable[[RocCurve], float],
    truth: ArrayLike,
    ratings: ArrayLike,
    name: str,
    rng: np.random.Generator | None,
    n_replicates: int,
    confidence_level: float,
    patients: Sequence[Hashable] | np.ndarray | None,
) -> Estimate:
    """A number read off the curve, with a bootstrap interval when there is an ``rng``."""
    level = check_confidence_level(confidence_level)
    is_positive, row = _one_curve(truth, ratings)
    n = is_positive.size
    try:
        curve = roc_curve(is_positive, row)
        value = read(curve)
    except UndefinedStatisticError as error:
        return undefined_estimate(str(error), confidence_level=level, method=name, n=n)
    notes: tuple[str, ...] = ()
    if curve.is_operating_point:
        notes = ("hard labels: one operating point, joined to the corners by straight lines",)
    if rng is None:
        return Estimate(value, None, None, None, level, name, n=n, notes=notes)
    spread = bootstrap_estimate(
        lambda cases: read(roc_curve(is_positive[cases], row[cases])),
        n,
        rng=rng,
        n_replicates=n_replicates,
        confidence_level=level,
        strata=is_positive,
        patients=patients,
    )
    method = f"{name}; {spread.method}"
    return Estimate(
        value,
        spread.standard_error,
        spread.lower,
        spread.upper,
        level,
        method,
        spread.state,
        spread.reason,
        (*notes, *spread.notes),
        n,
    )


def _area(x: IntArray, y: IntArray) -> float:
    """Area under straight lines through (x, y); both ascend."""
    return float(np.dot(np.diff(x), y[1:] + y[:-1])) / 2.0


def height_at(x: IntArray, y: IntArray, share: float) -> float:
    """Highest share of y at a share of x, on the line through the counts (x, y), both ascending from 0."""
    wanted = share * float(x[-1])
    if abs(wanted - round(wanted)) < 1e-9:  # 0.1 of 80 cases is 8 of them, whatever 1 - 0.9 is in binary
        wanted = float(round(wanted))
    left = int(np.searchsorted(x, wanted, side="right")) - 1
    height = float(y[left])
    if x[left] < wanted:
        height += (wanted - float(x[left])) / float(x[left + 1] - x[left]) * float(y[left + 1] - y[left])
    return height / float(y[-1])


def _partial_area(curve: RocCurve, low: float, high: float, axis: Axis) -> float:
    """Area under the curve where ``axis`` lies between ``low`` and ``high``, both axes being shares."""
    if axis == "specificity":
        x, y = 1.0 - curve.specificity, curve.sensitivity
    else:
        x, y = 1.0 - curve.sensitivity[::-1], curve.specificity[::-1]
    start, end = 1.0 - high, 1.0 - low
    # Every segment, cut to the range; segments that go straight up have no width and add nothing.
    left, right = np.clip(x[:-1], start, end), np.clip(x[1:], start, end)
    width = np.diff(x)
    has_width = width > 0.0
    slope = np.divide(np.diff(y), width, out=np.zeros_like(width), where=has_width)
    middle = y[:-1] + slope * ((left + right) / 2.0 - x[:-1])
    return float(np.sum((right - left)[has_width] * middle[has_width]))


def _check_share(value: float, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0.0 <= value <= 1.0:
        raise StatisticsInputError("must lie between 0 and 1", field=field, value=value)
    return float(value)


def _check_axis(axis: str) -> None:
    if axis not in ("specificity", "sensitivity"):
        raise StatisticsInputError("unknown axis", field="axis", value=axis, fix="use 'specificity' or 'sensitivity'")
