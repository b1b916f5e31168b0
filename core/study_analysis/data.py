"""What an analysis takes: three long tables, checked once, and the same as arrays per cohort.

Conventions: keys are text. Only the first reading of a case (``repeat`` 1) is analysed, later ones measure a reader's
agreement with themselves. Excluded cases and unreadable readings are counted and left out. Cases and participants are
sorted (:mod:`core.natural_order`), so that the order of rows never changes a number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import StatisticsInputError
from core.natural_order import NaturalKey, natural_key
from core.protocol import DiseaseClass

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_CASE_COLUMNS = ("case", "patient", "cohort", "truth")
_READING_COLUMNS = ("reader", "case", "arm", "label", "confidence")
_RATING_COLUMNS = ("reader", "case", "arm", "class", "rating")


#: What may be said of a reading beside its answer.
FLAGS = ("is_time_doubtful", "is_typed_ahead", "is_over_time", "is_altered")


def _no_rows(columns: Sequence[str]) -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})


@dataclass(frozen=True, eq=False)
class StudyData:
    """Readings, predictions and reference standard of one study; ``docs/statistics.md`` describes every column.

    Parameters
    ----------
    classes : sequence of DiseaseClass
        In protocol order; of two classes the second is the positive one.
    cases : DataFrame
        ``case``, ``patient``, ``cohort``, ``truth`` (class key), optionally ``exclusion_reason`` and, for subgroups,
        ``centre``, ``scanner``, ``sex``, ``age_years``; for localisation ``has_lesion`` (a mask says where it is).
    readings : DataFrame
        ``reader``, ``case``, ``arm``, ``label`` (class key), ``confidence`` (above 0, or missing), optionally
        ``repeat`` (1, 2, ...), ``is_unreadable``, ``reading_seconds`` (0 or more), ``is_time_doubtful`` (the time is
        not analysed), ``is_typed_ahead`` and ``is_over_time`` (counted), ``is_altered`` (the model answer shown was
        wrong on purpose: kept apart), ``position`` (place in the reader's own order), ``mark_rating`` (of the highest
        mark; missing: nothing was marked) and ``is_localised`` (that mark lies in the lesion). One row per reader,
        case, arm and repeat.
    predictions : DataFrame
        ``model``, ``case``, ``p_<class key>`` for every class, optionally ``label`` (else the most probable class).
    reader_names, model_names : mapping, optional
        Key to name on screen.
    simulated : set of str, optional
        Readers whose answers were drawn by a program; their names say so.
    reader_ratings : DataFrame, optional
        ``reader``, ``case``, ``arm``, ``class``, ``rating``: ratings that were given as such, instead of confidence.
    assignments : DataFrame, optional
        ``reader``, ``case``, ``arm``: what each reader was asked to read. Absent: a reader who read one case of a
        cohort in an arm was asked to read all of that cohort.
    reader_years : mapping, optional
        Reader key to years of experience, for subgroups of readers.
    altered_answers : mapping, optional
        Case to the class that aided readers were shown instead of the model's own, wrong on purpose.
    confidence_shift : int
        What was added to the confidence that readers stated, so that all are above 0: 1 of a scale that begins at 0.
        Cut-offs and steps of confidence are taken and told as readers stated them.
    declared_model : str, optional
        Key of the model that the protocol named before reading: it meets the readers, and is what an aided reader saw.

    Raises
    ------
    StatisticsInputError
        For the first thing that is wrong, naming table, row (counted from 1), column and value.
    """

    classes: Sequence[DiseaseClass]
    cases: pd.DataFrame
    readings: pd.DataFrame = field(default_factory=lambda: _no_rows(_READING_COLUMNS))
    predictions: pd.DataFrame = field(default_factory=lambda: _no_rows(("model", "case")))
    reader_names: Mapping[str, str] = field(default_factory=dict)
    model_names: Mapping[str, str] = field(default_factory=dict)
    simulated: frozenset[str] = frozenset()
    reader_ratings: pd.DataFrame | None = None
    assignments: pd.DataFrame | None = None
    reader_years: Mapping[str, float] = field(default_factory=dict)
    declared_model: str | None = None
    altered_answers: Mapping[str, str] = field(default_factory=dict)
    confidence_shift: int = 0

    def __post_init__(self) -> None:
        keys = self.class_keys
        if len(keys) < 2 or len(set(keys)) != len(keys):
            raise StatisticsInputError("needs at least two classes, none of them twice", field="classes", value=keys)
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "cases", _checked_cases(self.cases, keys))
        known = pd.Index(self.cases["case"])
        object.__setattr__(self, "reader_ratings", _checked_ratings(self.reader_ratings, keys, known))
        object.__setattr__(self, "readings", _checked_readings(self.readings, keys, known, self.reader_ratings))
        object.__setattr__(self, "predictions", _checked_predictions(self.predictions, keys, known))
        for reader, years in self.reader_years.items():
            is_number = isinstance(years, int | float) and not isinstance(years, bool)
            if not is_number or not np.isfinite(years) or years < 0:
                raise StatisticsInputError(
                    f"must be a number of 0 or more for reader {reader}", field="reader_years", value=years,
                    fix="leave the reader out where the years are not known",
                )  # fmt: skip
        for case, key in self.altered_answers.items():
            if case not in known or key not in keys:
                raise StatisticsInputError(
                    "needs a case of the study and one of its classes", field="altered_answers", value=f"{case}: {key}"
                )
        if self.assignments is not None:
            object.__setattr__(
                self, "assignments", _checked_table(self.assignments, "assignments", ("reader", "case", "arm"), known)
            )

    @property
    def class_keys(self) -> tuple[str, ...]:
        """Class keys in protocol order."""
        return tuple(disease.key for disease in self.classes)

    def with_positive(self, key: str) -> StudyData:
        """The same study of two classes with this one as the second, positive one.

        Raises
        ------
        StatisticsInputError
            If there are more classes, or none of this key.
        """
        if len(self.classes) != 2:
            problem = f"of {len(self.classes)} classes each is held against the rest; only one of two can be positive"
            raise StatisticsInputError(problem, field="positive", value=key, fix="leave it out")
        if key not in self.class_keys:
            fix = "use one of " + ", ".join(self.class_keys)
            raise StatisticsInputError("is not a class", field="positive", value=key, fix=fix)
        return self if self.class_keys[1] == key else replace(self, classes=self.classes[::-1])

    def reader_name(self, key: str) -> str:
        """Name on screen; a simulated reader's says so, and where two share a name each has its key in it."""
        return self._names.get(("reader", key), key)

    def model_name(self, key: str) -> str:
        """Name on screen; where two share a name each has its key in it."""
        return self._names.get(("model", key), key)

    def model_place(self, key: str) -> tuple[bool, NaturalKey, NaturalKey]:
        """Sort key of a model: the declared one first, then by name."""
        return key != self.declared_model, natural_key(self.model_name(key)), natural_key(key)

    @cached_property
    def _names(self) -> dict[tuple[str, str], str]:
        """(kind, key) -> a name that no other participant has."""
        of_readers = [self.readings, *(table for table in (self.reader_ratings, self.assignments) if table is not None)]
        readers = {str(key) for table in of_readers for key in table["reader"].unique()}
        readers |= {*self.simulated, *self.reader_names}
        names = {("reader", key): self.reader_names.get(key, key) for key in sorted(readers)}
        for key in self.simulated:
            if "simulated" not in names["reader", key]:
                names["reader", key] += " (simulated)"
        names |= {("model", str(key)): self.model_names.get(key, key) for key in self.predictions["model"].unique()}
        held_by = Counter(names.values())
        return {
            (kind, key): f"{name} ({key})" if held_by[name] > 1 and name != key else name
            for (kind, key), name in names.items()
        }


# ------------------------------------------------------------------------------------------------------ checking
def _checked_table(table: pd.DataFrame, name: str, columns: Sequence[str], known: pd.Index | None) -> pd.DataFrame:
    """A copy with its key columns as text, none of them empty, and every case known."""
    for column in columns:
        if column not in table.columns:
            raise StatisticsInputError(
                "the table lacks a column", file=name, field=column, fix="columns needed: " + ", ".join(columns)
            )
    result = table.reset_index(drop=True).copy()
    for column in ("reader", "model", "case", "arm", "patient", "cohort", "truth", "class"):
        if column in columns:
            empty = result[column].isna() | (result[column].astype(str).str.strip() == "")
            _refuse(empty, name, column, result[column], "is empty", "fill it in")
            result[column] = result[column].astype(str)
    if known is not None:
        _refuse(
            pd.Series(known.get_indexer(result["case"]) < 0), name, "case", result["case"],
            "is not a case of this study", "add the case to the table of cases",
        )  # fmt: skip
    return result


def _refuse(
    wrong: pd.Series | np.ndarray, table: str, column: str, values: pd.Series, problem: str, fix: str | None = None
) -> None:
    """Raise for the first row that is wrong."""
    flags = np.asarray(wrong, dtype=bool)
    if flags.any():
        row = int(np.flatnonzero(flags)[0])
        value = values.iloc[row]
        raise StatisticsInputError(
            problem,
            file=table,
            row=row + 1,
            field=column,
            value=value if isinstance(value, str) else str(value),
            fix=fix,
        )


def _refuse_duplicates(table: pd.DataFrame, name: str, columns: list[str]) -> None:
    """One row per key."""
    again = table.duplicated(columns)
    _refuse(again, name, " + ".join(columns), table["case"], "appears twice", "keep one row per " + ", ".join(columns))


def _numbers(table: pd.DataFrame, name: str, column: str) -> pd.Series:
    """A numeric column; missing stays NaN, anything else that is no finite number is refused."""
    values = pd.to_numeric(table[column], errors="coerce").astype(np.float64)
    given = table[column].notna() & (table[column].astype(str).str.strip() != "")
    _refuse(given & ~np.isfinite(values), name, column, table[column], "is not a finite number", "write a number")
    return values


def _flags(table: pd.DataFrame, name: str, column: str) -> pd.Series:
    """A column of true and false, as such, as 1 and 0 or as text; missing is false, anything else is refused."""
    if column not in table.columns:
        return pd.Series(False, index=table.index)
    words = table[column].where(table[column].notna(), "").astype(str).str.strip().str.casefold()
    is_true, is_false = words.isin(("true", "yes", "1", "1.0")), words.isin(("false", "no", "0", "0.0", ""))
    _refuse(~(is_true | is_false), name, column, table[column], "is not true or false", "write true or false")
    return is_true


def _checked_cases(table: pd.DataFrame, keys: tuple[str, ...]) -> pd.DataFrame:
    """Cases, each once, sorted by key."""
    cases = _checked_table(table, "cases", _CASE_COLUMNS, None)
    _refuse_duplicates(cases, "cases", ["case"])
    _refuse(
        ~cases["truth"].isin(keys), "cases", "truth", cases["truth"], "is not a class", "use one of " + ", ".join(keys)
    )
    reason = cases["exclusion_reason"] if "exclusion_reason" in cases.columns else pd.Series(None, index=cases.index)
    cases["is_excluded"] = reason.notna() & (reason.astype(str).str.strip() != "")
    for column in ("centre", "scanner", "sex"):
        given = cases[column] if column in cases.columns else pd.Series(None, index=cases.index, dtype=object)
        cases[column] = given.where(given.notna(), "").astype(str).str.strip()  # "": not known
    cases["has_lesion"] = _flags(cases, "cases", "has_lesion")
    cases["age_years"] = _numbers(cases, "cases", "age_years") if "age_years" in cases.columns else np.nan
    ages = cases["age_years"]
    _refuse(ages < 0, "cases", "age_years", ages, "must be 0 or more", "write the years, or leave them blank")
    order = sorted(range(len(cases)), key=[natural_key(case) for case in cases["case"]].__getitem__)
    return cases.iloc[order].reset_index(drop=True)


def _checked_ratings(table: pd.DataFrame | None, keys: tuple[str, ...], known: pd.Index) -> pd.DataFrame | None:
    """Ratings given as such."""
    if table is None:
        return None
    ratings = _checked_table(table, "reader_ratings", _RATING_COLUMNS, known)
    _refuse(~ratings["class"].isin(keys), "reader_ratings", "class", ratings["class"], "is not a class")
    ratings["rating"] = _numbers(ratings, "reader_ratings", "rating")
    _refuse(ratings["rating"].isna(), "reader_ratings", "rating", ratings["rating"], "is missing", "leave the row out")
    _refuse_duplicates(ratings, "reader_ratings", ["reader", "case", "arm", "class"])
    return ratings


def _checked_readings(
    table: pd.DataFrame, keys: tuple[str, ...], known: pd.Index, ratings: pd.DataFrame | None
) -> pd.DataFrame:
    """Readings, one row per reader, case, arm and repeat."""
    readings = _checked_table(table, "readings", _READING_COLUMNS, known)
    readings["repeat"] = _numbers(readings, "readings", "repeat") if "repeat" in readings.columns else 1.0
    readings["repeat"] = readings["repeat"].fillna(1.0)
    _refuse(
        (readings["repeat"] < 1) | (readings["repeat"] % 1 != 0), "readings", "repeat", readings["repeat"],
        "must be 1, 2, 3 ...", "write 1, and 2 where the reader saw the case again",
    )  # fmt: skip
    readings["position"] = _numbers(readings, "readings", "position") if "position" in readings.columns else np.nan
    has_marks = "mark_rating" in readings.columns
    readings["mark_rating"] = _numbers(readings, "readings", "mark_rating") if has_marks else np.nan
    for flag in ("is_unreadable", "is_localised", *FLAGS):
        readings[flag] = _flags(readings, "readings", flag)
    has_seconds = "reading_seconds" in readings.columns
    readings["reading_seconds"] = _numbers(readings, "readings", "reading_seconds") if has_seconds else np.nan
    _refuse(
        readings["reading_seconds"] < 0, "readings", "reading_seconds", readings["reading_seconds"],
        "must be 0 or more", "write the seconds, or leave them blank",
    )  # fmt: skip
    has_label = readings["label"].notna() & (readings["label"].astype(str).str.strip() != "")
    label = readings["label"].where(has_label, "").astype(str)
    rated = pd.Series(False, index=readings.index)
    if ratings is not None and len(readings):
        identity = ["reader", "case", "arm"]
        rated = pd.Series(
            pd.MultiIndex.from_frame(readings[identity]).isin(pd.MultiIndex.from_frame(ratings[identity])),
            index=readings.index,
        )
    _refuse(
        ~has_label & ~readings["is_unreadable"] & ~rated, "readings", "label", label, "is missing",
        "leave the row out when the case was not read, or mark it unreadable",
    )  # fmt: skip
    _refuse(
        has_label & ~label.isin(keys), "readings", "label", label, "is not a class", "use one of " + ", ".join(keys)
    )
    readings["label"] = label
    readings["confidence"] = _numbers(readings, "readings", "confidence")
    too_low = readings["confidence"] <= 0
    code = f"{readings.loc[too_low, 'confidence'].iloc[0]:g}" if too_low.any() else ""
    _refuse(
        too_low, "readings", "confidence", readings["confidence"], "must be above 0",
        "add one number to every confidence, so that the lowest is 1, or write 0 in a column confidence_begins_at of "
        "the file; if in a file it is a code that means missing: "
        f"--missing confidence={code}",
    )  # fmt: skip
    _refuse_duplicates(readings, "readings", ["reader", "case", "arm", "repeat"])
    return readings


def _checked_predictions(table: pd.DataFrame, keys: tuple[str, ...], known: pd.Index) -> pd.DataFrame:
    """Predictions, one row per model and case."""
    columns = ["model", "case"] + ([f"p_{key}" for key in keys] if len(table) else [])
    predictions = _checked_table(table, "predictions", columns, known)
    for key in keys if len(table) else ():
        column = f"p_{key}"
        values = _numbers(predictions, "predictions", column)
        _refuse(
            values.isna(), "predictions", column, values, "is missing",
            "leave the row out when the model did not predict the case",
        )  # fmt: skip
        _refuse(
            (values < 0) | (values > 1), "predictions", column, predictions[column],
            "is no probability: it must lie between 0 and 1",
            "divide percentages by 100; give scores of another scale as those of a reader, in a column rating_<class>",
        )  # fmt: skip
        predictions[column] = values
    if "label" in predictions.columns:
        given = predictions["label"].notna() & (predictions["label"].astype(str).str.strip() != "")
        _refuse(
            given & ~predictions["label"].isin(keys), "predictions", "label", predictions["label"], "is not a class"
        )
    _refuse_duplicates(predictions, "predictions", ["model", "case"])
    return predictions
