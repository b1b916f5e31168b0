"""Our own layout of readings, in and out: one row an answer, any number of classes; ``docs/files.md`` has an example.

Needed: ``case``, ``truth``. ``kind`` says what a row is: ``reader`` (default; needs ``reader``), ``model`` (needs
``reader``, the model's key, and ``p_<class>`` of every class) or ``case`` (a case that nobody answered). Optional:
``arm`` (default "unaided"), ``label``, ``confidence``, ``rating_<class>``, ``repeat``, ``is_unreadable``,
``reading_seconds``; of the case ``patient`` (default: the case), ``cohort`` (default "all"), ``exclusion_reason``,
``centre``, ``scanner``, ``age_years``, ``sex``; of the reader or model ``name``, ``is_simulated``,
``years_of_experience``. Other columns are refused, so that a misspelt one is not lost.

A row of a reader without label and ratings is a case that was put before the reader and not answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.csv_file import Columns, CsvFile, CsvRow, csv_bytes
from core.errors import ManifestError
from core.report.file_options import FileOptions
from core.report.study_rows import ReadingsFile, StudyRows
from core.spelling import spelling_key
from core.study_analysis.data import StudyData

_ABOUT_CASE = ("centre", "scanner", "sex")
_ABOUT_READER = ("name", "is_simulated", "years_of_experience")
_ANSWER = ("kind", "reader", "case", "arm", "label", "confidence", "repeat", "is_unreadable", "truth", "patient",
           "cohort", "exclusion_reason")  # fmt: skip
_FLAGS = ("is_time_doubtful", "is_typed_ahead")
_MORE = ("reading_seconds", *_FLAGS, *_ABOUT_CASE, "age_years", *_ABOUT_READER)
COLUMNS = Columns(("case", "truth"), tuple(name for name in (*_ANSWER, *_MORE) if name not in ("case", "truth")),
                  prefixes=("p_", "rating_"))  # fmt: skip
_TRUE, _FALSE = ("true", "yes", "1", "1.0", "t"), ("false", "no", "0", "0.0", "f", "")


# ------------------------------------------------------------------------------------------------------ in
def read_long(table: CsvFile, options: FileOptions) -> ReadingsFile:
    """A table of :data:`COLUMNS` as a study."""
    if any(problem.field == "reading_id" for problem in table.problems):
        raise ManifestError("this is the list of all readings of an export", file=table.file, row=1,
                            fix="analyse the file 'analysis.csv' beside it")  # fmt: skip
    _refuse_wide(table)
    table.raise_first()
    if not any(column == "label" or column.startswith(COLUMNS.prefixes) for column in table.columns):
        raise ManifestError("no column holds answers", file=table.file, row=table.header_row, field="label",
                            fix="add the column 'label' (a class), or rating_<class> (a number)")  # fmt: skip
    named = [column.partition("_")[2] for column in table.columns if column.startswith("p_")]
    named += [column.partition("_")[2] for column in table.columns if column.startswith("rating_")]
    for prefix in COLUMNS.prefixes:
        of_class: dict[str, str] = {}
        for column in (column for column in table.columns if column.startswith(prefix)):
            other = of_class.setdefault(spelling_key(column[len(prefix) :]), column)
            if other != column:
                raise ManifestError(f"the column names the class of column '{other}' again", file=table.file,
                                    row=table.header_row, field=column, fix="keep one of the two")  # fmt: skip
    rows = StudyRows(table.file, options, named, header_row=table.header_row)
    for row in table.rows:
        kind = (row.text("kind") or "reader").casefold()
        if kind not in {"reader", "model", "case"}:
            raise row.error("kind", "unknown kind of row", kind, "use reader, model or case")
        case = row.required("case")
        rows.add_case(row, case, rows.given_class(row, "truth"), _about_case(rows, row))
        if kind != "case":
            _add_answer(rows, row, kind, case, table)
    return rows.study()


def _refuse_wide(table: CsvFile) -> None:
    """Said where each reader seems to have a column: no reader is named, and columns are unknown."""
    unknown = [problem for problem in table.problems if problem.problem == "unknown column"]
    if unknown and "reader" not in table.columns:
        names = ", ".join(str(problem.field) for problem in unknown[:5])
        raise ManifestError("no column names the reader, and these columns are unknown", file=table.file,
                            row=unknown[0].row, field="reader", value=names,
                            fix="if each reader has a column, write one row for each reader and case instead: "
                            "reader,case,truth,label")  # fmt: skip


def _about_case(rows: StudyRows, row: CsvRow) -> dict[str, Any]:
    """What a row says about its case, where the file has such columns and they are not empty."""
    has = row.values
    about: dict[str, Any] = {name: rows.given_name(row, name) for name in ("patient", "cohort") if name in has}
    about |= {name: rows.given(row, name) for name in _ABOUT_CASE if name in has}
    about = {name: value for name, value in about.items() if value}
    if "exclusion_reason" in has:
        about["exclusion_reason"] = rows.given(row, "exclusion_reason") or None
    if "age_years" in has and rows.given(row, "age_years"):
        about["age_years"] = row.number_of("age_years")
    return about


def _add_answer(rows: StudyRows, row: CsvRow, kind: str, case: str, table: CsvFile) -> None:
    """A reader's or a model's answer."""
    who = row.required("reader")
    if not row.values.keys().isdisjoint(_ABOUT_READER):
        _about_reader(rows, row, kind, who)
    label = rows.given_class(row, "label") if "label" in row.values else ""
    if kind == "model":
        given = {column[2:]: rows.number(row, column) for column in table.columns if column.startswith("p_")}
        if label or not all(np.isnan(value) for value in given.values()) or not given:
            rows.add_prediction(row, who, case, given, label)
        return
    ratings = {
        column.partition("_")[2]: row.number_of(column)
        for column in table.columns
        if column.startswith("rating_") and rows.given(row, column)
    }
    rows.add_reading(
        row, who, case, rows.given_name(row, "arm") or "unaided", label=label, ratings=ratings,
        confidence=_number(rows, row, "confidence"), reading_seconds=_number(rows, row, "reading_seconds"),
        repeat=row.number_of("repeat") if _given(rows, row, "repeat") else 1.0,
        is_unreadable=_flag(rows, row, "is_unreadable"), **{name: _flag(rows, row, name) for name in _FLAGS},
    )  # fmt: skip


def _given(rows: StudyRows, row: CsvRow, column: str) -> str:
    """A value of an optional column."""
    return rows.given(row, column) if column in row.values else ""


def _number(rows: StudyRows, row: CsvRow, column: str) -> float:
    """A number of an optional column, NaN where there is none."""
    return rows.number(row, column) if column in row.values else np.nan


def _flag(rows: StudyRows, row: CsvRow, column: str) -> bool:
    """True or false of an optional column; nothing is false."""
    word = row.text(column).casefold()
    if not word or not rows.given(row, column):
        return False
    if word not in _TRUE + _FALSE:
        raise row.error(column, "is neither true nor false", word, "write true or false")
    return word in _TRUE


def _about_reader(rows: StudyRows, row: CsvRow, kind: str, who: str) -> None:
    """Name, experience and kind of the reader or model; each the same in every row."""
    name = row.text("name")
    names = rows.shown_names[kind]
    if name and names.setdefault(who, name) != name:
        raise row.error("name", f"reader {who!r} had another name ({names[who]!r})", name,
                        "write it one way")  # fmt: skip
    if _flag(rows, row, "is_simulated"):
        rows.simulated.add(who)
    years = _number(rows, row, "years_of_experience")
    if not np.isnan(years) and rows.reader_years.setdefault(who, years) != years:
        raise row.error("years_of_experience", f"reader {who!r} had another number ({rows.reader_years[who]:g})",
                        row.text("years_of_experience"), "write it one way")  # fmt: skip


# ------------------------------------------------------------------------------------------------------ out
def write_long(data: StudyData) -> bytes:
    """All of a study in one file, which :func:`read_long` makes the same study of."""
    table = _long_rows(data)
    keys = data.class_keys
    has_more = {name for name in _MORE if any(row.get(name) not in (None, "") for row in table)}
    rated = [f"rating_{key}" for key in keys] if data.reader_ratings is not None else []
    columns = [*_ANSWER, *(name for name in _MORE if name in has_more), *rated, *(f"p_{key}" for key in keys)]
    return csv_bytes(columns, [[row.get(column) for column in columns] for row in table])


def _long_rows(data: StudyData) -> list[dict[str, object]]:
    """One row for each answer, prediction, case that was not answered, and case that nobody was asked to read."""
    cases = {row["case"]: _case_fields(row) for row in data.cases.to_dict("records")}
    rated = _ratings_by_answer(data)
    rows: list[dict[str, object]] = []

    def add(kind: str, case: str, key: str, **fields: object) -> None:
        rows.append({"kind": kind, "reader": key, **cases[case], **_who_fields(data, kind, key), **fields})

    answered = set()
    for reading in data.readings.to_dict("records"):
        identity = (reading["reader"], reading["case"], reading["arm"])
        answered.add(identity)
        add(
            "reader", reading["case"], reading["reader"], arm=reading["arm"], label=reading["label"] or None,
            confidence=_known(reading["confidence"]), repeat=int(reading["repeat"]),
            is_unreadable="true" if reading["is_unreadable"] else None,
            reading_seconds=_known(reading["reading_seconds"]),
            **{name: "true" if reading[name] else None for name in _FLAGS},
            **(rated.get(identity, {}) if reading["repeat"] == 1 else {}),
        )  # fmt: skip
    for identity, values in rated.items():
        if identity not in answered:
            answered.add(identity)
            add("reader", identity[1], identity[0], arm=identity[2], **values)
    if data.assignments is not None:
        for reader, case, arm in data.assignments[["reader", "case", "arm"]].itertuples(index=False, name=None):
            if (reader, case, arm) not in answered:
                add("reader", case, reader, arm=arm)
    for prediction in data.predictions.to_dict("records"):
        add("model", prediction["case"], prediction["model"], label=_known(prediction.get("label")),
            **{f"p_{key}": float(prediction[f"p_{key}"]) for key in data.class_keys})  # fmt: skip
    told = {row["case"] for row in rows}
    for case, fields in cases.items():
        if case not in told:
            rows.append({"kind": "case", **fields})
    return rows


def _known(value: Any) -> Any:
    """None for a missing value."""
    return None if value is None or pd.isna(value) else value


def _case_fields(row: dict[str, Any]) -> dict[str, object]:
    """What every row of a case says about it."""
    reason = _known(row.get("exclusion_reason")) if row["is_excluded"] else None
    names = ("case", "truth", "patient", "cohort", *_ABOUT_CASE, "age_years")
    return {name: _known(row.get(name)) for name in names} | {"exclusion_reason": reason}


def _who_fields(data: StudyData, kind: str, key: str) -> dict[str, object]:
    """What every row of a reader or model says about it."""
    names = data.model_names if kind == "model" else data.reader_names
    name = names.get(key, key)
    return {
        "name": name if name != key else None,
        "is_simulated": "true" if kind == "reader" and key in data.simulated else None,
        "years_of_experience": data.reader_years.get(key) if kind == "reader" else None,
    }


def _ratings_by_answer(data: StudyData) -> dict[tuple[str, str, str], dict[str, object]]:
    """(reader, case, arm) -> rating columns."""
    found: dict[tuple[str, str, str], dict[str, object]] = {}
    for row in () if data.reader_ratings is None else data.reader_ratings.to_dict("records"):
        identity = (row["reader"], row["case"], row["arm"])
        found.setdefault(identity, {})[f"rating_{row['class']}"] = float(row["rating"])
    return found
