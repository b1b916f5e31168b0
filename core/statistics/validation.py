"""Arguments of :mod:`core.statistics`, checked once, at the door.

Measures: none; one check for each kind of argument.

Every check returns the argument in the one form that the quantities use (a bool truth vector, a float matrix of
ratings, a matrix of class indices) or raises :class:`core.errors.StatisticsInputError` naming the argument, the
offending position (counted from 0) and what to do. Data that are well formed but do not define a number (no positive
case) are not bad input: the quantities answer those with a named state or ``UndefinedStatisticError``.

>>> check_truth([1, 0, 1]).tolist()
[True, False, True]
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import StatisticsInputError, UndefinedStatisticError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def check_truth(truth: ArrayLike, *, field: str = "truth") -> BoolArray:
    """Reference standard of a two-class question as a bool vector; 0/1 numbers are taken as well.

    Parameters
    ----------
    truth : bool or 0/1 array, shape (n_cases,)
        True is positive (diseased).

    Raises
    ------
    StatisticsInputError
        If it is not one-dimensional, is empty, or holds anything but two-valued truth.
    """
    array = as_array(truth, field=field)
    if array.ndim != 1:
        raise StatisticsInputError(
            "must be one-dimensional", field=field, value=array.shape, fix="pass one truth value per case"
        )
    if array.size == 0:
        raise StatisticsInputError("is empty", field=field, fix="pass at least one case")
    if array.dtype == np.bool_:
        return array
    if array.dtype == object:
        array = _numbers(array, field)
    if not np.issubdtype(array.dtype, np.number):
        raise StatisticsInputError(
            "must be True or False, not text",
            field=field,
            value=array.flat[0].item(),
            fix="compare the labels with the positive class",
        )
    wrong = ~((array == 0) | (array == 1))
    if wrong.any():
        position = int(np.flatnonzero(wrong)[0])
        raise StatisticsInputError(
            f"is neither 0 nor 1 at position {position}", field=field, value=array[position].item()
        )
    return array.astype(np.bool_)


def check_ratings(ratings: ArrayLike, n_cases: int, *, field: str = "ratings") -> FloatArray:
    """Ratings as a float matrix with one row per curve.

    Parameters
    ----------
    ratings : array, shape (n_cases,) or (n_curves, n_cases)
        Any monotone scale, higher is more likely positive.
    n_cases : int
        Number of cases of the reference standard.

    Raises
    ------
    StatisticsInputError
        If the shape does not fit, or a rating is NaN or infinite.
    """
    array = as_array(ratings, field=field)
    if array.dtype == object:
        array = _numbers(array, field)
    array = np.atleast_2d(check_numbers(array, field=field))
    if array.ndim != 2:
        raise StatisticsInputError("must have shape (n_curves, n_cases)", field=field, value=array.shape)
    if array.shape[1] != n_cases:
        raise StatisticsInputError(
            f"has {array.shape[1]} cases where the reference standard has {n_cases}",
            field=field,
            value=array.shape,
            fix="pass one rating per case, cases along the last axis",
        )
    # A sum is not finite when any term is not, and cheaper than a mask; one that overflows is settled by looking again.
    with np.errstate(invalid="ignore", over="ignore"):
        is_suspect = not np.isfinite(array.sum())
    if is_suspect and not np.isfinite(array).all():
        curve, position = (int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise StatisticsInputError(
            f"is not a finite number for curve {curve} at position {position}",
            field=field,
            value=float(array[curve, position]),
            fix="leave the case out for every curve that is compared, and report how many were left out",
        )
    return array


def check_confidence_level(confidence_level: float) -> float:
    """Confidence level strictly between 0 and 1."""
    if isinstance(confidence_level, bool) or not isinstance(confidence_level, int | float | np.floating):
        raise StatisticsInputError("must be a number", field="confidence_level", value=confidence_level)
    if not 0.0 < confidence_level < 1.0:
        raise StatisticsInputError(
            "must lie between 0 and 1", field="confidence_level", value=confidence_level, fix="use 0.95 for 95%"
        )
    return float(confidence_level)


def check_count(value: object, *, field: str) -> int:
    """A whole number of cases, zero or more."""
    is_whole = isinstance(value, int | np.integer) or (isinstance(value, float | np.floating) and value == value // 1)
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number) or not is_whole:
        raise StatisticsInputError("must be a whole number", field=field, value=value)
    number = int(value)
    if number < 0:
        raise StatisticsInputError("must be zero or more", field=field, value=value)
    return number


def check_successes(successes: object, n: object, *, field: str = "successes") -> tuple[int, int]:
    """Numerator and denominator of a proportion; the denominator may be zero."""
    count, total = check_count(successes, field=field), check_count(n, field="n")
    if count > total:
        raise StatisticsInputError(f"is larger than n = {total}", field=field, value=count)
    return count, total


def check_same_length(first: Sequence[Any] | np.ndarray, second: Sequence[Any] | np.ndarray, *, fields: str) -> None:
    """Two vectors over the same cases."""
    if not (hasattr(first, "__len__") and hasattr(second, "__len__")):
        raise StatisticsInputError("must be one-dimensional", field=fields, fix="pass one value per case in both")
    if len(first) != len(second):
        raise StatisticsInputError(
            f"have {len(first)} and {len(second)} cases", field=fields, fix="pass one value per case in both"
        )


def check_classes(classes: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Class list: at least two, none twice."""
    keys = tuple(classes)
    if len(keys) < 2:
        raise StatisticsInputError("needs at least two classes", field="classes", value=keys)
    seen: set[Hashable] = set()
    for position, key in enumerate(keys):
        if key in seen:
            raise StatisticsInputError(f"names a class twice at position {position}", field="classes", value=key)
        seen.add(key)
    return keys


def is_missing(value: object) -> bool:
    """None, NaN and pandas' NA mean "no reading"."""
    is_nan = isinstance(value, float | np.floating) and bool(np.isnan(value))
    return value is None or is_nan or type(value).__name__ == "NAType"


def class_indices(
    labels: Sequence[Hashable] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    field: str = "labels",
    allow_missing: bool = False,
) -> IntArray:
    """Position of each label in ``classes``; -1 for a missing one when that is allowed.

    Raises
    ------
    StatisticsInputError
        For a class outside the list, or a missing label where none may be missing; names the position.
    """
    keys = check_classes(classes)
    array = np.asarray(labels, dtype=object)
    if array.ndim != 1:
        raise StatisticsInputError("must be one-dimensional", field=field, value=array.shape)
    lookup = {key: index for index, key in enumerate(keys)}
    try:
        indices = np.fromiter((lookup.get(label, -2) for label in array.tolist()), np.int64, array.size)
    except TypeError as error:
        raise StatisticsInputError(
            "holds something that is no class", field=field, fix="pass one class a case"
        ) from error
    for position in np.flatnonzero(indices == -2).tolist():
        label = array[position]
        if not is_missing(label):
            raise StatisticsInputError(
                f"names a class outside the list at position {position}",
                field=field,
                value=label,
                fix="use one of " + ", ".join(str(key) for key in keys),
            )
        if not allow_missing:
            raise StatisticsInputError(f"is missing at position {position}", field=field)
        indices[position] = -1
    return indices


def check_case_ids(case_ids: Sequence[Hashable] | np.ndarray, n_cases: int, *, field: str = "case_ids") -> None:
    """Case ids, each once: a reader who read a case twice must be resolved before the analysis."""
    ids = np.asarray(case_ids, dtype=object).tolist()
    if len(ids) != n_cases:
        raise StatisticsInputError(f"has {len(ids)} entries for {n_cases} cases", field=field)
    seen: dict[Hashable, int] = {}
    for position, case in enumerate(ids):
        if case in seen:
            raise StatisticsInputError(
                f"names a case twice, at positions {seen[case]} and {position}",
                field=field,
                value=case,
                fix="keep one reading per reader, case and arm, or analyse repeats with intra_reader_agreement",
            )
        seen[case] = position


def check_groups(groups: Sequence[Hashable] | np.ndarray, n_cases: int, *, field: str = "patients") -> IntArray:
    """Cluster number (0, 1, ...) of each case from any hashable ids, numbered by first appearance."""
    array = np.asarray(groups, dtype=object)
    if array.shape != (n_cases,):
        raise StatisticsInputError(
            f"has the shape {array.shape} for {n_cases} cases", field=field, fix="pass one id per case"
        )
    ids = array.tolist()
    numbers: dict[Hashable, int] = {}
    result = np.empty(n_cases, dtype=np.int64)
    for position, group in enumerate(ids):
        if is_missing(group):
            raise StatisticsInputError(f"is missing at position {position}", field=field)
        result[position] = numbers.setdefault(group, len(numbers))
    return result


def check_rng(rng: object) -> np.random.Generator:
    """A NumPy generator; seeds are not taken so that no call is random by accident or fixed by accident."""
    if not isinstance(rng, np.random.Generator):
        raise StatisticsInputError(
            "must be a numpy.random.Generator", field="rng", value=rng, fix="pass numpy.random.default_rng(seed)"
        )
    return rng


def require_both_classes(truth: BoolArray) -> tuple[int, int]:
    """Number of positive and negative cases, both at least one.

    Raises
    ------
    UndefinedStatisticError
        If a class has no case, so that no ROC curve exists.
    """
    n_positive = int(np.count_nonzero(truth))
    n_negative = truth.size - n_positive
    if n_positive == 0:
        raise UndefinedStatisticError("No case is positive, so no ROC curve exists.")
    if n_negative == 0:
        raise UndefinedStatisticError("No case is negative, so no ROC curve exists.")
    return n_positive, n_negative


def check_probabilities(probabilities: ArrayLike, n_cases: int, *, field: str = "probabilities") -> FloatArray:
    """One probability per case, between 0 and 1.

    Raises
    ------
    StatisticsInputError
        If the shape does not fit, or a value is not a probability; names the position.
    """
    row = check_one_curve(probabilities, n_cases, field=field)
    wrong = np.flatnonzero((row < 0.0) | (row > 1.0))
    if wrong.size:
        raise StatisticsInputError(
            f"is no probability at position {int(wrong[0])}",
            field=field,
            value=float(row[wrong[0]]),
            fix="pass probabilities between 0 and 1; other scores are ratings and have no calibration",
        )
    return row


def check_one_curve(ratings: ArrayLike, n_cases: int, *, field: str = "ratings") -> FloatArray:
    """Ratings of a single curve as a float vector, see :func:`check_ratings`."""
    rows = check_ratings(ratings, n_cases, field=field)
    if rows.shape[0] != 1:
        raise StatisticsInputError(
            "must hold one curve", field=field, value=rows.shape, fix="call once per curve, with one rating per case"
        )
    return rows[0]


def as_array(values: object, *, field: str) -> np.ndarray:
    """Anything like an array as one; data frames and columns too.

    Raises
    ------
    StatisticsInputError
        If rows differ in length.
    """
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise StatisticsInputError(
            "is no array", field=field, fix="pass numbers, or rows of numbers that are of one length"
        ) from error


def check_numbers(values: object, *, field: str) -> FloatArray:
    """Numbers or booleans of any shape as float; None, NaN and NA, which mean "none was given", become NaN.

    Raises
    ------
    StatisticsInputError
        If one is text, a date or complex; names the position.
    """
    array = as_array(values, field=field)
    if array.dtype == object:
        return _numbers(array, field, is_missing_allowed=True)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise StatisticsInputError("must be numbers", field=field, value=array.dtype.name)
    return array.astype(np.float64, copy=False)


def _numbers(array: np.ndarray, field: str, *, is_missing_allowed: bool = False) -> FloatArray:
    """An array of objects, all of which are numbers or booleans (as in a pandas column), as float.

    Raises
    ------
    StatisticsInputError
        If one is text, or is missing where none may be; names the position.
    """
    numbers = np.empty(array.size)
    for position, value in enumerate(array.ravel().tolist()):
        if is_missing(value):
            if not is_missing_allowed:
                raise StatisticsInputError(
                    f"is missing at position {position}",
                    field=field,
                    fix="leave the case out, and report how many were",
                )
            numbers[position] = np.nan
        elif isinstance(value, int | float | np.number | np.bool_):
            numbers[position] = value
        else:
            raise StatisticsInputError(
                f"is no number at position {position}",
                field=field,
                value=value,
                fix="compare labels with the positive class; turn text into numbers",
            )
    return numbers.reshape(array.shape)
