"""A curve compared with readers at the readers' own operating point, instead of a curve's area with a point's.

Measures: :func:`compare_at_matched_point`: the model's sensitivity at the specificity of a reader or of a panel (or its
specificity at their sensitivity), minus theirs.

Conventions: the model's empirical curve is read where its specificity equals the readers', between two thresholds on
the straight line that joins them. All take part on the cases that the model and every reader answered. Readers are
fixed. The interval joins two independent parts (MOVER): the positive cases with the threshold held (Tango's score
interval for one reader; for a panel, or for patients with several cases, Student's t with half a case added each way),
and the negative cases, on which the threshold was found: their paired interval, carried along the curve. A model with
hard labels has no curve.

>>> truth, model, reader = [0, 0, 0, 0, 1, 1, 1, 1], [1, 2, 3, 6, 4, 5, 7, 8], [0, 0, 0, 1, 0, 1, 1, 0]
>>> found = compare_at_matched_point(truth, model, reader)
>>> print(found.reader_value, found.model.value, found.difference.value)
0.5 1.0 0.5

References
----------
Zou and Donner (2008), Stat. Med. 27:1693-1702 (MOVER). Tango (1998), Stat. Med. 17:891-908. Agresti and Min (2005),
Stat. Med. 24:729-740 (added half cases).
Linnet (1987), Stat. Med. 6:147-158, and Wieand et al. (1989), Biometrika 76:585-592 (a specificity that is itself
estimated).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError
from core.statistics.case_mean import mean_over_cases, variance_of_mean
from core.statistics.proportion_difference import tango_limits
from core.statistics.proportions import wilson_limits
from core.statistics.result import Estimate, Reported, undefined_estimate
from core.statistics.roc import RocCurve, height_at, is_hard_label, roc_curve
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    check_confidence_level,
    check_groups,
    check_numbers,
    check_one_curve,
    check_truth,
)

Match = Literal["specificity", "sensitivity"]


@dataclass(frozen=True)
class MatchedPoint(Reported):
    """A model read at the operating point of one reader or of a panel."""

    match: Match  # what was made equal
    matched_at: float | None  # its value, the readers' own
    reader_value: float | None  # the readers' other quantity
    model: Estimate  # the model's other quantity there
    difference: Estimate  # model minus readers
    threshold: float | None  # positive above it; between two, the higher (matched on sensitivity: the lower)
    n_readers: int
    n_left_out: int  # cases that the model or a reader did not answer


def compare_at_matched_point(
    truth: ArrayLike,
    model_ratings: ArrayLike,
    reader_calls: ArrayLike,
    *,
    match: Match = "specificity",
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> MatchedPoint:
    """The model's sensitivity at the readers' specificity, or the reverse, minus the readers' own.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    model_ratings : float array, shape (n_cases,)
        The model's ratings, higher is more likely positive; NaN where there is none.
    reader_calls : array, shape (n_cases,) or (n_readers, n_cases)
        1 or True where the reader called the case positive, 0 where not, NaN where there is no answer. Of several
        readers the mean sensitivity and mean specificity is the panel's operating point.
    match : {"specificity", "sensitivity"}
        What is made equal; the other one is compared.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several.

    Returns
    -------
    MatchedPoint
        Its estimates are undefined when no common case is positive or none negative, or when the model's ratings are
        decisions.

    References
    ----------
    Linnet (1987), Stat. Med. 6:147-158. Zou and Donner (2008), Stat. Med. 27:1693-1702.
    """
    level = check_confidence_level(confidence_level)
    is_positive = check_truth(truth)
    n = is_positive.size
    rows = _calls(reader_calls, n)
    ratings = check_numbers(model_ratings, field="model_ratings")
    if ratings.shape != (n,):
        raise StatisticsInputError(f"must have shape ({n},)", field="model_ratings", value=ratings.shape)
    if match not in ("specificity", "sensitivity"):
        raise StatisticsInputError("unknown", field="match", value=match, fix="use 'specificity' or 'sensitivity'")
    group = None if patients is None else check_groups(patients, n)
    common = ~np.isnan(ratings) & ~np.isnan(rows).any(axis=0)
    left_out = int(n - common.sum())
    is_positive, ratings, calls = is_positive[common], ratings[common], rows[:, common].mean(axis=0)
    group = None if group is None else group[common]
    name = f"model at the readers' {match}, MOVER"
    notes = (f"{left_out} cases without an answer of the model or a reader were left out",) if left_out else ()
    reason = None
    if ratings.size == 0 or is_positive.all() or not is_positive.any():
        reason = "The common cases are not positive and negative, so there is no operating point to match."
    elif is_hard_label(check_one_curve(ratings, ratings.size, field="model_ratings")):
        reason = "The model's ratings take at most two values: an operating point, not a curve to read another from."
    if reason:
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=ratings.size)
        return MatchedPoint(match, None, None, nothing, nothing, None, rows.shape[0], left_out)
    if match == "sensitivity":  # the same question with the classes exchanged
        is_positive, ratings, calls = ~is_positive, -ratings, 1.0 - calls
    model, difference, threshold = _match(is_positive, ratings, calls, group, rows.shape[0] == 1, level, name, notes)
    return MatchedPoint(
        match,
        1.0 - float(calls[~is_positive].mean()),
        float(calls[is_positive].mean()),
        model,
        difference,
        -threshold if match == "sensitivity" else threshold,
        rows.shape[0],
        left_out,
    )


def _match(
    is_positive: BoolArray,
    ratings: FloatArray,
    calls: FloatArray,
    group: np.ndarray | None,
    is_one_reader: bool,
    level: float,
    name: str,
    notes: tuple[str, ...],
) -> tuple[Estimate, Estimate, float]:
    """The model's sensitivity at the readers' specificity, its difference from theirs, and the threshold."""
    curve = roc_curve(is_positive, ratings)
    rate = float(calls[~is_positive].mean())
    model_calls, threshold = _calls_at(curve, ratings, rate)
    gain = model_calls - calls

    def limits(inside: BoolArray) -> tuple[float, float]:
        return _paired_limits(gain[inside], None if group is None else group[inside], is_one_reader, level)

    value = height_at(curve.false_positive, curve.true_positive, rate)
    # How far the false-positive rates of model and readers may truly lie apart, and what that does to sensitivity.
    lowest, highest = limits(~is_positive)
    down = value - height_at(curve.false_positive, curve.true_positive, max(0.0, rate - highest))
    up = height_at(curve.false_positive, curve.true_positive, min(1.0, rate - lowest)) - value
    share = _share_limits(model_calls[is_positive], None if group is None else group[is_positive], level)
    model = _mover(value, share, down, up, (0.0, 1.0), level, name, ratings.size, notes)
    own = float(gain[is_positive].mean())
    difference = _mover(own, limits(is_positive), down, up, (-1.0, 1.0), level, name, ratings.size, notes)
    return model, difference, threshold


def _calls_at(curve: RocCurve, ratings: FloatArray, rate: float) -> tuple[FloatArray, float]:
    """The model's calls at a false-positive rate; between two thresholds, the share of calls that lies between."""
    wanted = rate * curve.n_negative
    if abs(wanted - round(wanted)) < 1e-9:
        wanted = float(round(wanted))
    left = int(np.searchsorted(curve.false_positive, wanted, side="right")) - 1
    threshold = float(curve.threshold[left])
    calls = (ratings > threshold).astype(np.float64)
    if curve.false_positive[left] < wanted:
        step = float(curve.false_positive[left + 1] - curve.false_positive[left])
        is_next = (ratings > curve.threshold[left + 1]) & (ratings <= threshold)
        calls[is_next] = (wanted - float(curve.false_positive[left])) / step
    return calls, threshold


def _paired_limits(
    gain: FloatArray, group: np.ndarray | None, is_one_reader: bool, level: float
) -> tuple[float, float]:
    """Limits of the mean of paired differences between -1 and 1."""
    if group is None and is_one_reader:
        return tango_limits(gain.size, float(gain[gain > 0].sum()), float(-gain[gain < 0].sum()), level)
    # Half a case (or patient) each way, as Agresti and Min add: what hardly ever differs is not certain.
    number = np.arange(gain.size) if group is None else np.unique(group, return_inverse=True)[1]
    n_units = int(number.max()) + 1
    added = np.repeat([1, 2], round(gain.size / n_units))
    padded = np.concatenate([gain, np.where(added == 1, 1.0, -1.0) * np.sqrt(0.5)])
    patients = None if group is None else np.concatenate([number, n_units - 1 + added])
    mean = mean_over_cases(padded, limits=(-1.0, 1.0), name="", patients=patients, confidence_level=level)
    if mean.lower is None or mean.upper is None:
        return -1.0, 1.0
    return mean.lower, mean.upper


def _share_limits(calls: FloatArray, group: np.ndarray | None, level: float) -> tuple[float, float]:
    """Wilson limits of the model's share of calls, on the effective number of cases where patients have several."""
    share, n = float(calls.mean()), float(calls.size)
    if group is not None:
        binomial = share * (1.0 - share) / n
        _, place = np.unique(group, return_inverse=True)
        between, n_patients = variance_of_mean(calls, place)
        n = min(n, n * binomial / between) if binomial > 0.0 and between > 0.0 else float(n_patients)
    return wilson_limits(share, n, level)


def _mover(
    value: float,
    limits: tuple[float, float],
    down: float,
    up: float,
    ends: tuple[float, float],
    level: float,
    name: str,
    n: int,
    notes: tuple[str, ...],
) -> Estimate:
    """Limits of a sum from the limits of one part and the steps of the other, an independent one."""
    lower = max(ends[0], value - hypot(value - limits[0], down))
    upper = min(ends[1], value + hypot(limits[1] - value, up))
    return Estimate(value, None, lower, upper, level, name, n=n, notes=notes)


def _calls(reader_calls: ArrayLike, n_cases: int) -> FloatArray:
    """Calls of every reader, shape (n_readers, n_cases), NaN where there is none."""
    rows = np.atleast_2d(check_numbers(reader_calls, field="reader_calls"))
    if rows.ndim != 2 or rows.shape[1] != n_cases:
        raise StatisticsInputError(
            f"must have shape ({n_cases},) or (n_readers, {n_cases})", field="reader_calls", value=rows.shape
        )
    wrong = np.argwhere(~(np.isnan(rows) | (rows == 0.0) | (rows == 1.0)))
    if wrong.size:
        reader, case = (int(place) for place in wrong[0])
        raise StatisticsInputError(
            f"is neither 0, 1 nor NaN for reader {reader}, case {case}", field="reader_calls", value=rows[reader, case]
        )
    return rows
