"""Our own layout of readings, in and out: one row an answer, any number of classes; ``docs/files.md`` has an example.

Needed: ``case``, ``truth``. ``kind`` says what a row is: ``reader`` (default; needs ``reader``), ``model`` (needs
``reader``, the model's key, and ``p_<class>`` of every class) or ``case`` (a case that nobody answered). Optional:
``arm`` (default "unaided"), ``label``, ``confidence``, ``confidence_begins_at`` (0 where the lowest step of the scale
is 0; else 1), ``rating_<class>``, ``repeat``, ``is_unreadable``, ``reading_seconds``, ``mark_rating`` of the highest
mark and ``is_localised`` (it lies in the lesion); of the case ``patient`` (default: the case), ``cohort`` (default
"all"), ``exclusion_reason``, ``centre``, ``scanner``, ``age_years``, ``sex``, ``has_lesion`` (its place is known); of
the reader or model ``name``, ``is_simulated``, ``years_of_experience``. Other columns are refused, so that a misspelt
one is not lost.

A row of a reader without label and ratings is a case that was put before the reader and not answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.csv_file import (
    FIX_REASON,
    NO_REASON,
    Columns,
    CsvFile,
    CsvRow,
    csv_bytes,
    csv_row,
    is_yes_or_no,
    read_csv_file,
)
from core.errors import ManifestError
from core.protocol import DiseaseClass
from core.report.file_options import FileOptions, columns_for
from core.report.study_rows import ReadingsFile, StudyRows
from core.spelling import spelling_key
from core.study_analysis.data import FLAGS, StudyData

_ABOUT_CASE = ("centre", "scanner", "sex")
_ABOUT_READER = ("name", "is_simulated", "years_of_experience")
_ANSWER = ("kind", "reader", "case", "arm", "label", "confidence", "repeat", "is_unreadable", "truth", "patient",
           "cohort", "exclusion_reason")  # fmt: skip
_MORE = ("confidence_begins_at", "reading_seconds", "position", *FLAGS, "mark_rating", "is_localised", *_ABOUT_CASE,
         "age_years", "has_lesion", *_ABOUT_READER)  # fmt: skip
COLUMNS = Columns(("case", "truth"), tuple(name for name in (*_ANSWER, *_MORE) if name not in ("case", "truth")),
                  prefixes=("p_", "rating_"))  # fmt: skip
#: What the reference standard's file may say of a case.
_OF_CASE = ("truth", "patient", "cohort", "exclusion_reason", *_ABOUT_CASE, "age_years", "has_lesion")
_TRUE, _FALSE = ("true", "yes", "1", "1.0", "t"), ("false", "no", "0", "0.0", "f", "")


# ------------------------------------------------------------------------------------------------------ in
def read_long(path: str | Path, options: FileOptions) -> ReadingsFile:
    """A file of :data:`COLUMNS` as a study."""
    table = read_csv_file(path, columns_for(options, COLUMNS))
    if any(problem.field == "reading_id" for problem in table.problems):
        raise ManifestError("this is the list of all readings of an export", file=table.file, row=1,
                            fix="analyse the file 'analysis.csv' beside it")  # fmt: skip
    _refuse_wide(table)
    table.raise_first()
    return _study_of(table, options)


def read_long_files(paths: Sequence[Path], options: FileOptions) -> ReadingsFile:
    """Several files as one study: one for each reader or model, and the reference standard in one of them or in each.

    A file without the column ``reader`` holds the answers of one reader, whom its name names. A file with ``truth``
    and without answers is the reference standard: what it says of a case (class, patient, cohort, ...) holds in the
    other files where they say nothing.

    Raises
    ------
    ManifestError
        For the first thing that is wrong, naming the file.
    """
    wanted = columns_for(options, replace(COLUMNS, required=("case",), optional=("truth", *COLUMNS.optional)))
    tables = [read_csv_file(path, wanted) for path in paths]
    for table in tables:
        table.raise_first()
    reference = [table for table in tables if not _has_answers(table)]
    for table in reference:
        if "truth" not in table.columns:
            raise ManifestError("no column holds answers, and none the reference standard", file=table.file,
                                row=table.header_row, field="label",
                                fix="say what the file calls it: --column label=THEIRS")  # fmt: skip
    told = _reference_rows(reference)
    rows: list[CsvRow] = []
    for table in tables:
        own = {"reader": Path(table.file).stem} if "reader" not in table.columns else {}
        is_model = "kind" not in table.columns and any(column.startswith("p_") for column in table.columns)
        fixed = {"kind": "case"} if table in reference else {**own, **({"kind": "model"} if is_model else {})}
        for row in table.rows:
            if table in reference and any(row.text(name) for name in ("kind", "reader")):
                raise row.error("reader", "the file names readers and has no column of answers", row.text("reader"),
                                "add the column 'label', or say which it is: --column label=THEIRS")  # fmt: skip
            of_case = told.get(spelling_key(row.required("case")), {})
            if not row.text("truth") and not of_case:
                where = f"add the case to {Path(reference[0].file).name}" if reference else (
                    "add the column 'truth', or a file with the columns case and truth")  # fmt: skip
                raise row.error("truth", "no file says the reference standard of this case", row.text("case"), where)
            given = {name: value for name, value in row.values.items() if value.strip()}
            rows.append(replace(row, values={**row.values, **fixed, **of_case, **given}))
    columns = dict.fromkeys(name for table in tables for name in table.columns)
    names = f"{len(tables)} files in {paths[0].parent}"
    merged = CsvFile(names, tuple(columns), tuple(rows), (), tuple(note for one in tables for note in one.notes))
    return _study_of(merged, options)


def _has_answers(table: CsvFile) -> bool:
    """Whether a column holds answers."""
    return any(column == "label" or column.startswith(COLUMNS.prefixes) for column in table.columns)


def _reference_rows(tables: Sequence[CsvFile]) -> dict[str, dict[str, str]]:
    """What the files of the reference standard say of each case, by its folded name."""
    told: dict[str, tuple[CsvRow, dict[str, str]]] = {}
    for table in tables:
        for row in table.rows:
            about = {name: value for name, value in row.values.items() if name in _OF_CASE and value.strip()}
            first, known = told.setdefault(spelling_key(row.required("case")), (row, about))
            if known != about:
                raise row.error("case", f"{Path(first.file).name}, row {first.number} says something else of this case",
                                row.text("case"), "keep one of the two rows")  # fmt: skip
    return {key: about for key, (_, about) in told.items()}


def _study_of(table: CsvFile, options: FileOptions) -> ReadingsFile:
    """Rows of one or several files as a study."""
    if not _has_answers(table):
        raise ManifestError("no column holds answers", file=table.file, row=table.header_row, field="label",
                            fix="add the column 'label' (a class), or rating_<class> (a number); if it has another "
                            "name, say so: --column label=THEIRS")  # fmt: skip
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
    others = [column for column in table.columns if not COLUMNS.is_known(column)]
    if others:
        rows.notes.append(f"columns left alone: {', '.join(others)}")
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
        reason = rows.given(row, "exclusion_reason")
        if is_yes_or_no(reason):
            raise row.error("exclusion_reason", NO_REASON, reason, FIX_REASON)
        about["exclusion_reason"] = reason or None
    if "age_years" in has and rows.given(row, "age_years"):
        about["age_years"] = row.number_of("age_years")
    if _flag(rows, row, "has_lesion"):
        about["has_lesion"] = True
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
        confidence=_confidence(rows, row), reading_seconds=_number(rows, row, "reading_seconds"),
        repeat=row.number_of("repeat") if _given(rows, row, "repeat") else 1.0,
        is_unreadable=_flag(rows, row, "is_unreadable"), flags={name: _flag(rows, row, name) for name in FLAGS},
        position=_number(rows, row, "position"), mark_rating=_number(rows, row, "mark_rating"),
        is_localised=_flag(rows, row, "is_localised"),
    )  # fmt: skip


def _confidence(rows: StudyRows, row: CsvRow) -> float:
    """A confidence moved above 0, as all are analysed, where the scale begins at 0; NaN where there is none."""
    confidence, begins_at = _number(rows, row, "confidence"), row.text("confidence_begins_at") or "1"
    if np.isnan(confidence):
        return confidence
    shift = {"0": 1, "0.0": 1, "1": 0, "1.0": 0}.get(begins_at)
    if shift is None:
        raise row.error("confidence_begins_at", "is neither 0 nor 1", begins_at, "write the lowest step of the scale")
    if rows.confidence_shift not in (None, shift):
        raise row.error("confidence_begins_at", "another row says another scale", begins_at, "write one in every row")
    rows.confidence_shift = shift
    if shift and confidence < 0:
        raise row.error("confidence", "lies below the scale, which begins at 0", f"{confidence:g}", "write 0 or more")
    return confidence + shift


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


def long_rows(data: StudyData) -> list[dict[str, str]]:
    """The rows of :func:`write_long` as texts by column, without empty fields: :func:`read_long_rows` reads them."""
    found = []
    for row in _long_rows(data):
        texts = {name: repr(float(value)) if isinstance(value, float) else str(value)
                 for name, value in row.items() if value is not None}  # fmt: skip
        found.append({name: text for name, text in texts.items() if text})
    return found


def read_long_rows(file: str, rows: Sequence[Mapping[str, str]], classes: Sequence[DiseaseClass]) -> StudyData:
    """The study that :func:`long_rows` made these of; ``file`` is for messages."""
    columns = dict.fromkeys(name for row in rows for name in row)
    missing = dict.fromkeys(columns, "")
    lines = tuple(csv_row(file, number, {**missing, **row}) for number, row in enumerate(rows, start=1))
    return _study_of(CsvFile(file, tuple(columns), lines), FileOptions(classes=tuple(classes))).data


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
            **_stated(data, reading["confidence"]), repeat=int(reading["repeat"]),
            is_unreadable="true" if reading["is_unreadable"] else None,
            reading_seconds=_known(reading["reading_seconds"]),
            position=_known(reading["position"]), mark_rating=_known(reading["mark_rating"]),
            **{name: "true" if reading[name] else None for name in ("is_localised", *FLAGS)},
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


def _stated(data: StudyData, confidence: float) -> dict[str, object]:
    """The confidence as the reader stated it."""
    if pd.isna(confidence):
        return {}
    begins_at = {"confidence_begins_at": 1 - data.confidence_shift} if data.confidence_shift else {}
    return {"confidence": confidence - data.confidence_shift, **begins_at}


def _known(value: Any) -> Any:
    """None for a missing value."""
    return None if value is None or pd.isna(value) else value


def _case_fields(row: dict[str, Any]) -> dict[str, object]:
    """What every row of a case says about it."""
    reason = _known(row.get("exclusion_reason")) if row["is_excluded"] else None
    names = ("case", "truth", "patient", "cohort", *_ABOUT_CASE, "age_years")
    lesion = {"has_lesion": "true"} if row["has_lesion"] else {}
    return {name: _known(row.get(name)) for name in names} | {"exclusion_reason": reason} | lesion


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
