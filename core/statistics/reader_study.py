"""A reader study as arrays: readers x cases x arms, with the reference standard, validated once.

Measures: none; :class:`ReaderStudy` and its :meth:`ReaderStudy.figures`.

Conventions: ratings are confidences in a class (higher is more likely that class); labels are chosen classes. NaN in a
dense array means "not read"; a long table simply has no row. Nothing is imputed and nothing is dropped silently: what
is missing is counted here and noted by the analysis. For two classes the second one is positive.

>>> study = ReaderStudy.from_long(
...     reader=["A", "A", "B", "B"] * 2, case=[1, 2, 1, 2, 3, 4, 3, 4], truth=[0, 1, 0, 1] * 2,
...     rating=[1, 4, 2, 3, 2, 5, 3, 3],
... )
>>> print(study.figures().values().tolist())
[[1.0, 0.75]]
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.figure_of_merit import CurveFigures, auc_curves, average_over_classes, proportion_curves
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_classes,
    check_groups,
    check_numbers,
    class_indices,
)


class Figure(StrEnum):
    """Figure of merit of one reader in one arm."""

    AUC = "auc"
    ACCURACY = "accuracy"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"


class ReaderPattern(StrEnum):
    """Which readers read in which arms."""

    CROSSED = "every reader reads in every arm"
    NESTED = "every reader reads in one arm only"
    PARTIAL = "some readers read in several arms, but not in all"


class CasePattern(StrEnum):
    """Which cases each reader reads in each arm."""

    CROSSED = "every reader reads every case in every arm of theirs"
    NESTED_IN_READERS = "every reader reads cases of their own"
    NESTED_IN_ARMS = "every arm has cases of its own"
    INCOMPLETE = "readers share some of the cases"


@dataclass(frozen=True)
class ReaderFigures:
    """One figure of merit for every reader and arm."""

    arms: tuple[str, ...]
    readers: tuple[str, ...]
    curve: IntArray  # (arm, reader) row in ``curves``; -1 where the reader did not read in the arm
    curves: CurveFigures
    reader_pattern: ReaderPattern
    case_pattern: CasePattern
    n_missing: int  # readings absent from reader x arm cells that exist
    n_patients: int | None = None  # where some have several cases: variances are then between patients

    def values(self) -> FloatArray:
        """Figures, shape (arm, reader); NaN where there is no reading."""
        return np.where(self.curve >= 0, self.curves.values[self.curve], np.nan)


@dataclass(frozen=True)
class ReaderStudy:
    """Ratings and labels of readers x cases x arms. Build it with :meth:`from_long` or :meth:`from_dense`."""

    arms: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[Hashable, ...]
    classes: tuple[Hashable, ...]
    truth: IntArray  # (case,) position in ``classes``
    ratings: FloatArray | None  # (rated class, arm, reader, case); one rated class (the second) when two classes
    labels: FloatArray | None  # (arm, reader, case) position in ``classes``, NaN where not read
    patient: IntArray | None = None  # (case,) patient, numbered from 0, where some have several cases

    @classmethod
    def from_dense(
        cls,
        truth: Sequence[Hashable] | np.ndarray,
        *,
        ratings: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        classes: Sequence[Hashable] = (False, True),
        arms: Sequence[str] | None = None,
        readers: Sequence[str] | None = None,
        cases: Sequence[Hashable] | None = None,
        patients: Sequence[Hashable] | np.ndarray | None = None,
    ) -> ReaderStudy:
        """Study from arrays; NaN where a reader did not read a case in an arm.

        Parameters
        ----------
        truth : array of class keys, shape (n_cases,)
            Reference standard; 0/1 or bool with the default ``classes``.
        ratings : float array, optional
            Shape (arm, reader, case) for two classes: confidence in the second class. Shape (class, arm, reader,
            case) for any number of classes.
        labels : float array, shape (arm, reader, case), optional
            Chosen class as position in ``classes``.
        classes : sequence
            Class keys; for two classes the second is positive.
        arms, readers, cases : sequence, optional
            Names; counted from 1 when absent.
        patients : sequence, shape (n_cases,), optional
            Patient of each case. Where some have several cases, every variance over cases is one between patients.

        Raises
        ------
        StatisticsInputError
            If shapes, names or classes do not fit, or a reader has no readings at all.
        """
        keys = check_classes(classes)
        truth_index = class_indices(np.asarray(truth, dtype=object), keys, field="truth")
        rating_array = _rating_array(ratings, len(keys), truth_index.size)
        label_array = _label_array(labels, len(keys), truth_index.size)
        shapes = {array.shape[-3:] for array in (rating_array, label_array) if array is not None}
        if len(shapes) != 1:
            raise StatisticsInputError(
                "need the same (arm, reader, case) shape" if shapes else "are both absent",
                field="ratings, labels",
                value=sorted(shapes) or None,
                fix="pass ratings, labels, or both over the same arms, readers and cases",
            )
        n_arms, n_readers, n_cases = shapes.pop()
        study = cls(
            _names(arms, n_arms, "arms", "arm "),
            _names(readers, n_readers, "readers", "reader "),
            tuple(range(1, n_cases + 1)) if cases is None else _unique(cases, n_cases, "cases"),
            keys,
            truth_index,
            rating_array,
            label_array,
            _patients(patients, n_cases),
        )
        for index, reader in enumerate(study.readers):
            if not study.is_read[:, index].any():
                raise StatisticsInputError(
                    "a reader has no readings", field="readers", value=reader, fix="leave the reader out of the study"
                )
        return study

    @classmethod
    def from_long(
        cls,
        *,
        reader: Sequence[Hashable] | np.ndarray,
        case: Sequence[Hashable] | np.ndarray,
        truth: Sequence[Hashable] | np.ndarray,
        arm: Sequence[Hashable] | np.ndarray | None = None,
        rating: ArrayLike | None = None,
        label: Sequence[Hashable] | np.ndarray | None = None,
        classes: Sequence[Hashable] = (False, True),
        readers: Sequence[Hashable] | None = None,
        arms: Sequence[Hashable] | None = None,
        patient: Sequence[Hashable] | np.ndarray | None = None,
    ) -> ReaderStudy:
        """Study from one row per reading; a reading that was not made has no row.

        Parameters
        ----------
        reader, case, truth, arm : sequences, shape (n_readings,)
            Who read what, where; the truth of a case is repeated in each of its rows.
        rating : float array, shape (n_readings,) or (n_readings, n_classes), optional
            Confidence in the second of two classes, or in every class.
        label : sequence, shape (n_readings,), optional
            Chosen class key.
        patient : sequence, shape (n_readings,), optional
            Patient of the case, repeated in each of its rows; see :meth:`from_dense`.
        readers, arms : sequence, optional
            Order and expectation: a name without any row is an error. Order of first appearance otherwise.

        Raises
        ------
        StatisticsInputError
            For a duplicate reading, a case with two truths, a NaN rating, an unknown class, or a reader without
            readings; names the rows (position, counted from 0).
        """
        columns = {"reader": _column(reader, "reader"), "case": _column(case, "case"), "truth": _column(truth, "truth")}
        n = len(columns["reader"])
        columns["arm"] = ["all"] * n if arm is None else _column(arm, "arm")
        for name, values in columns.items():
            if len(values) != n or n == 0:
                raise StatisticsInputError(f"has {len(values)} rows where reader has {n}", field=name)
        reader_index, reader_keys = _positions(columns["reader"], readers, "reader")
        arm_index, arm_keys = _positions(columns["arm"], arms, "arm")
        case_index, case_keys = _positions(columns["case"], None, "case")
        shape = (len(arm_keys), len(reader_keys), len(case_keys))
        cell = np.ravel_multi_index((arm_index, reader_index, case_index), shape)
        _refuse_duplicates(cell, columns)
        keys = check_classes(classes)
        row_truth = class_indices(columns["truth"], keys, field="truth")
        case_truth = np.full(len(case_keys), -1, dtype=np.int64)
        case_truth[case_index] = row_truth
        contradicting = np.flatnonzero(case_truth[case_index] != row_truth)
        if contradicting.size:
            row = int(contradicting[0])
            raise StatisticsInputError(
                f"differs between rows of one case, at position {row}", field="truth", value=columns["case"][row]
            )
        dense_ratings = None if rating is None else _spread_ratings(rating, cell, shape, len(keys))
        dense_labels = None
        if label is not None:
            flat_labels = np.full(int(np.prod(shape)), np.nan)
            flat_labels[cell] = class_indices(label, keys, field="label")
            dense_labels = flat_labels.reshape(shape)
        return cls.from_dense(
            [keys[index] for index in case_truth],
            ratings=dense_ratings,
            labels=dense_labels,
            classes=keys,
            arms=[str(key) for key in arm_keys],
            readers=[str(key) for key in reader_keys],
            cases=case_keys,
            patients=None if patient is None else _patient_of_case(patient, case_index, columns["case"]),
        )

    @cached_property
    def is_read(self) -> BoolArray:
        """Whether a reading exists, shape (arm, reader, case)."""
        if self.labels is not None:
            return ~np.isnan(self.labels)
        if self.ratings is None:
            raise StatisticsInputError("are both absent", field="ratings, labels")
        return ~np.isnan(self.ratings[0])

    @property
    def reader_pattern(self) -> ReaderPattern:
        """Which readers read in which arms."""
        present = self._present()
        if present.all():
            return ReaderPattern.CROSSED
        return ReaderPattern.NESTED if (present.sum(axis=0) == 1).all() else ReaderPattern.PARTIAL

    @property
    def case_pattern(self) -> CasePattern:
        """Which cases each reader reads in each arm."""
        present = self._present()
        if (self.is_read == present[:, :, None]).all():
            return CasePattern.CROSSED
        readers_of_case = self.is_read.any(axis=0).sum(axis=0)
        arms_of_case = self.is_read.any(axis=1).sum(axis=0)
        if len(self.readers) > 1 and readers_of_case.max() <= 1:
            return CasePattern.NESTED_IN_READERS
        if len(self.arms) > 1 and arms_of_case.max() <= 1:
            return CasePattern.NESTED_IN_ARMS
        return CasePattern.INCOMPLETE

    def figures(self, figure: Figure | str = Figure.AUC, *, positive: Hashable | None = None) -> ReaderFigures:
        """One figure of merit for every reader and arm.

        Parameters
        ----------
        figure : Figure or str
            "auc" needs ratings; "accuracy", "sensitivity" and "specificity" need labels.
        positive : class key, optional
            Class against the rest. Absent: the second class of two; with more classes, AUC, sensitivity and
            specificity are averaged over the classes (macro) and accuracy is the share of right answers.

        Raises
        ------
        StatisticsInputError
            If the figure or class is unknown, or the readings that the figure needs are absent.
        UndefinedStatisticError
            If a reader has too few cases of a class in an arm, naming both.
        """
        chosen = check_figure(figure)
        if positive is not None and positive not in self.classes:
            raise StatisticsInputError(
                "is not a class of this study",
                field="positive",
                value=positive,
                fix="use one of " + ", ".join(str(key) for key in self.classes),
            )
        present = self._present()
        names = [
            f"reader {reader} in arm {arm}"
            for i, arm in enumerate(self.arms)
            for j, reader in enumerate(self.readers)
            if present[i, j]
        ]
        if chosen is Figure.ACCURACY and positive is None:
            labels = self._labels()[present]
            outcomes = np.where(np.isnan(labels), np.nan, labels == self.truth)
            curves = proportion_curves(outcomes, "accuracy", names, patient=self.patient)
        else:
            if positive is not None:
                wanted = [self.classes.index(positive)]
            else:
                wanted = [1] if len(self.classes) == 2 else list(range(len(self.classes)))
            curves = average_over_classes([self._one_class(chosen, index, present, names) for index in wanted])
        curve = np.full(present.shape, -1, dtype=np.int64)
        curve[present] = np.arange(int(present.sum()))
        n_missing = int(present.sum()) * len(self.cases) - int(self.is_read.sum())
        n_patients = None if self.patient is None else int(self.patient.max()) + 1
        return ReaderFigures(
            self.arms, self.readers, curve, curves, self.reader_pattern, self.case_pattern, n_missing, n_patients
        )

    def _one_class(self, figure: Figure, index: int, present: BoolArray, names: list[str]) -> CurveFigures:
        """A figure of class ``index`` against the rest, on every curve that exists."""
        is_positive = self.truth == index
        if figure is Figure.AUC:
            if self.ratings is None:
                raise StatisticsInputError("are absent", field="ratings", fix="an AUC needs ratings, not labels")
            if not is_positive.any() or is_positive.all():
                kind = "positive" if not is_positive.any() else "negative"
                raise UndefinedStatisticError(f"No case is {kind} for class {self.classes[index]}, so no AUC exists.")
            if self.ratings.shape[0] == 1:
                # Two classes rated once: confidence in the first class is the reverse of that in the second.
                rows = self.ratings[0][present] * (1.0 if index == 1 else -1.0)
            else:
                rows = self.ratings[index][present]
            return auc_curves(is_positive, rows, names, patient=self.patient)
        labels = self._labels()[present]
        said_positive = np.where(np.isnan(labels), np.nan, labels == index)
        if figure is Figure.ACCURACY:
            outcomes = np.where(is_positive, said_positive, 1.0 - said_positive)
        elif figure is Figure.SENSITIVITY:
            outcomes = np.where(is_positive, said_positive, np.nan)
        else:
            outcomes = np.where(is_positive, np.nan, 1.0 - said_positive)
        return proportion_curves(outcomes, figure.value, names, patient=self.patient)

    def _present(self) -> BoolArray:
        """Whether a reader has any reading in an arm, shape (arm, reader)."""
        return np.asarray(self.is_read.any(axis=2), dtype=np.bool_)

    def _labels(self) -> FloatArray:
        """Chosen classes, or an error when only ratings were given."""
        if self.labels is None:
            raise StatisticsInputError(
                "are absent", field="labels", fix="accuracy, sensitivity and specificity need chosen classes"
            )
        return self.labels


def check_figure(figure: Figure | str) -> Figure:
    """The figure of merit of that name."""
    try:
        return Figure(str(figure).lower())
    except ValueError as error:
        raise StatisticsInputError(
            "is not a figure of merit",
            field="figure",
            value=figure,
            fix="use one of " + ", ".join(item.value for item in Figure),
        ) from error


def _rating_array(ratings: ArrayLike | None, n_classes: int, n_cases: int) -> FloatArray | None:
    """Ratings as (rated class, arm, reader, case)."""
    if ratings is None:
        return None
    array = check_numbers(ratings, field="ratings")
    if array.ndim == 3 and n_classes == 2:
        array = array[None]
    if array.ndim != 4 or array.shape[0] not in ({1, 2} if n_classes == 2 else {n_classes}):
        raise StatisticsInputError(
            "must have shape (class, arm, reader, case), or (arm, reader, case) for two classes",
            field="ratings",
            value=array.shape,
        )
    if array.shape[3] != n_cases:
        raise StatisticsInputError(f"has {array.shape[3]} cases where truth has {n_cases}", field="ratings")
    if np.isinf(array).any():
        raise StatisticsInputError("holds an infinite rating", field="ratings", fix="use finite ratings")
    is_missing = np.isnan(array)
    if (is_missing != is_missing[0]).any():
        raise StatisticsInputError(
            "rates a reading for some classes only", field="ratings", fix="rate every class of a reading or none"
        )
    return array


def _label_array(labels: ArrayLike | None, n_classes: int, n_cases: int) -> FloatArray | None:
    """Labels as (arm, reader, case)."""
    if labels is None:
        return None
    array = check_numbers(labels, field="labels")
    if array.ndim != 3 or array.shape[2] != n_cases:
        raise StatisticsInputError(f"must have shape (arm, reader, {n_cases})", field="labels", value=array.shape)
    given = array[~np.isnan(array)]
    if not np.isin(given, np.arange(n_classes)).all():
        raise StatisticsInputError(f"must be positions 0 to {n_classes - 1} in classes, or NaN", field="labels")
    return array


def _column(values: Sequence[Hashable] | np.ndarray, field: str) -> list[Hashable]:
    """A column of a long table."""
    array = np.asarray(values, dtype=object)
    if array.ndim != 1:
        raise StatisticsInputError("must be one-dimensional", field=field, value=array.shape)
    found: list[Hashable] = array.tolist()
    return found


def _patients(patients: Sequence[Hashable] | np.ndarray | None, n_cases: int) -> IntArray | None:
    """Patient of each case, numbered from 0; None where each has one case."""
    if patients is None:
        return None
    number = check_groups(patients, n_cases)
    return None if int(number.max()) + 1 == n_cases else number


def _patient_of_case(
    patient: Sequence[Hashable] | np.ndarray, case_index: IntArray, cases: list[Hashable]
) -> list[Hashable]:
    """The patient of each case from one row per reading."""
    rows = np.asarray(patient, dtype=object).tolist()
    if len(rows) != len(cases):
        raise StatisticsInputError(f"has {len(rows)} rows where reader has {len(cases)}", field="patient")
    found: dict[int, Hashable] = {}
    for position, (index, one) in enumerate(zip(case_index.tolist(), rows, strict=True)):
        if found.setdefault(index, one) != one:
            raise StatisticsInputError(
                f"differs between rows of one case, at position {position}", field="patient", value=cases[position]
            )
    return [found[index] for index in range(len(found))]


def _names(names: Sequence[str] | None, n: int, field: str, prefix: str) -> tuple[str, ...]:
    """Given names, or counted ones."""
    if names is None:
        return tuple(f"{prefix}{index + 1}" for index in range(n))
    return tuple(str(name) for name in _unique(names, n, field))


def _unique(names: Sequence[Hashable], n: int, field: str) -> tuple[Hashable, ...]:
    """Names, as many as needed and each once."""
    keys = tuple(names)
    if len(keys) != n:
        raise StatisticsInputError(f"has {len(keys)} names where the readings have {n}", field=field)
    if len(set(keys)) != n:
        repeated = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise StatisticsInputError("names something twice", field=field, value=repeated)
    return keys


def _positions(
    values: list[Hashable], expected: Sequence[Hashable] | None, field: str
) -> tuple[IntArray, tuple[Hashable, ...]]:
    """Position of each value in the expected keys, or in the keys by first appearance."""
    keys = tuple(dict.fromkeys(values)) if expected is None else tuple(expected)
    lookup = {key: index for index, key in enumerate(keys)}
    positions = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        found = lookup.get(value)
        if found is None:
            raise StatisticsInputError(f"is not expected, at position {row}", field=field, value=value)
        positions[row] = found
    absent = np.setdiff1d(np.arange(len(keys)), positions)
    if absent.size:
        raise StatisticsInputError(
            f"a {field} has no readings", field=field, value=keys[int(absent[0])], fix=f"leave the {field} out"
        )
    return positions, keys


def _refuse_duplicates(cell: np.ndarray, columns: dict[str, list[Hashable]]) -> None:
    """One reading per reader, case and arm."""
    order = np.argsort(cell, kind="stable")
    repeated = np.flatnonzero(cell[order][1:] == cell[order][:-1])
    if repeated.size:
        first, second = int(order[repeated[0]]), int(order[repeated[0] + 1])
        raise StatisticsInputError(
            f"the same reading stands at positions {first} and {second}",
            field="reader, case, arm",
            value=(columns["reader"][first], columns["case"][first], columns["arm"][first]),
            fix="keep one reading per reader, case and arm",
        )


def _spread_ratings(rating: ArrayLike, cell: np.ndarray, shape: tuple[int, ...], n_classes: int) -> FloatArray:
    """Long ratings as a dense (rated class, arm, reader, case) array."""
    rows = check_numbers(rating, field="rating")
    if rows.ndim == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or rows.shape[0] != cell.size:
        raise StatisticsInputError(f"must have one row per reading ({cell.size})", field="rating", value=rows.shape)
    if rows.shape[1] not in ({1, 2} if n_classes == 2 else {n_classes}):
        raise StatisticsInputError(f"must have {n_classes} columns, one per class", field="rating", value=rows.shape)
    wrong = np.argwhere(np.isnan(rows))
    if wrong.size:
        raise StatisticsInputError(
            f"is NaN at position {int(wrong[0][0])}", field="rating", fix="leave out the row of a reading not made"
        )
    dense = np.full((rows.shape[1], int(np.prod(shape))), np.nan)
    dense[:, cell] = rows.T
    return dense.reshape(rows.shape[1], *shape)
