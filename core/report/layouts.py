"""Files of readings that other programs read and write, in and out without loss.

Layouts
-------
``long``
    One row per reading, any number of classes; this project's own. Needed: ``case``, ``truth``. ``kind`` says what a
    row is: ``reader`` (default; needs ``reader``), ``model`` (needs ``reader``, the model's key, and ``p_<class>`` of
    every class) or ``case`` (a case that nobody answered). Optional: ``arm`` (default "unaided"), ``label``,
    ``confidence``, ``rating_<class>``, ``repeat``, ``is_unreadable``, ``patient`` (default: the case), ``cohort``
    (default "all"), ``exclusion_reason``. Other columns are refused, so that a misspelt one is not lost.
``mrmcaov``
    ``reader``, ``treatment`` (or ``test``), ``case``, ``truth`` (0 or 1), ``rating``: two classes, as the R package
    MRMCaov takes them (VanDyke). Other columns are ignored, since its own data carry some.
``imrmc``
    ``readerID``, ``caseID``, ``modalityID``, ``score``, with one truth row per case (readerID -1 or "truth",
    modalityID 0 or "truth", score 0 or 1), as iMRMC takes them.

The last two know two classes: a study with more becomes one file per class against the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError, ManifestError
from core.report.file_analysis import FileAnalysis
from core.report.strict_csv import CsvRow, CsvTable, original_text, read_csv
from core.study import THYROID_CLASSES, DiseaseClass, class_key
from core.study_analysis.data import StudyData

#: The two classes of a file that only knows diseased and not.
BINARY_CLASSES: tuple[DiseaseClass, DiseaseClass] = (
    DiseaseClass("negative", "Negative", "Negative"),
    DiseaseClass("positive", "Positive", "Positive"),
)

LONG_COLUMNS = (
    "kind", "reader", "case", "arm", "label", "confidence", "repeat", "is_unreadable", "truth", "patient", "cohort",
    "exclusion_reason",
)  # fmt: skip
IMRMC_COLUMNS = ("readerID", "caseID", "modalityID", "score")


class Layout(StrEnum):
    """Column layouts of a file of readings."""

    LONG = "long"
    MRMCAOV = "mrmcaov"
    IMRMC = "imrmc"


def analyse_file(path: str | Path, layout: Layout | str = Layout.LONG, **options: Any) -> FileAnalysis:
    """Analyse a file of readings without a database.

    Parameters
    ----------
    path : path
        CSV with the reference standard in it.
    layout : Layout or str
        See this module's text.
    **options
        As in :func:`core.analysis.analyse`.

    Returns
    -------
    FileAnalysis
        With ``render(console)`` and ``to_dict()``.
    """
    from core.analysis import analyse

    return FileAnalysis(str(path), str(layout), analyse(read_analysis_file(path, layout), **options))


def read_analysis_file(
    path: str | Path, layout: Layout | str = Layout.LONG, classes: Sequence[DiseaseClass] | None = None
) -> StudyData:
    """Read a file of readings.

    Parameters
    ----------
    path : path
        UTF-8 CSV.
    layout : Layout or str
        See this module's text.
    classes : sequence of DiseaseClass, optional
        Classes of a ``long`` file in the wanted order. Absent: the thyroid classes when every name is one of theirs,
        else the names found, sorted.

    Raises
    ------
    ManifestError
        For the first thing that is wrong, naming file, row, column, value and what to do.
    """
    try:
        chosen = Layout(str(layout))
    except ValueError:
        known = ", ".join(item.value for item in Layout)
        raise InputError("unknown layout", field="layout", value=str(layout), fix=f"use one of {known}") from None
    table = read_csv(path)
    if chosen is Layout.LONG:
        return _read_long(table, classes)
    return _read_mrmcaov(table) if chosen is Layout.MRMCAOV else _read_imrmc(table)


# ------------------------------------------------------------------------------------------------------ two-class
def _read_mrmcaov(table: CsvTable) -> StudyData:
    """reader, treatment or test, case, truth, rating."""
    arm_column = "test" if "test" in table.columns and "treatment" not in table.columns else "treatment"
    table.require(("reader", arm_column, "case", "truth", "rating"), Layout.MRMCAOV)
    truth: dict[str, tuple[str, CsvRow]] = {}
    seen: dict[tuple[str, str, str], CsvRow] = {}
    ratings = []
    for row in table.rows:
        reader, arm, case = row.required("reader"), row.required(arm_column), row.required("case")
        _same_truth(truth, case, _binary_truth(row, "truth"), row, "truth")
        _once(seen, (reader, arm, case), row, f"reader, {arm_column} and case")
        ratings.append((reader, case, arm, "positive", row.number_of("rating", fix="leave the row out when not read")))
    return _binary_study({case: value for case, (value, _) in truth.items()}, ratings)


def _read_imrmc(table: CsvTable) -> StudyData:
    """Truth rows and score rows."""
    table.require(IMRMC_COLUMNS, Layout.IMRMC)
    truth: dict[str, str] = {}
    truth_rows: dict[str, CsvRow] = {}
    seen: dict[tuple[str, str, str], CsvRow] = {}
    scores: list[tuple[CsvRow, tuple[str, str, str, str, float]]] = []
    for row in table.rows:
        reader, case, arm = row.required("readerID"), row.required("caseID"), row.required("modalityID")
        if reader.casefold() in {"-1", "truth"}:
            if arm.casefold() not in {"0", "truth"}:
                raise row.error("modalityID", "must be 0 or truth in a truth row", arm)
            _once(truth_rows, case, row, "truth row of a case")
            truth[case] = _binary_truth(row, "score")
        else:
            _once(seen, (reader, arm, case), row, "readerID, modalityID and caseID")
            score = row.number_of("score", fix="leave the row out when not read")
            scores.append((row, (reader, case, arm, "positive", score)))
    for row, (_, case, *_) in scores:
        if case not in truth:
            raise row.error("caseID", "the case has no truth row", case, "add a row -1,<case>,0,<0 or 1>")
    return _binary_study(truth, [score for _, score in scores])


def _binary_truth(row: CsvRow, column: str) -> str:
    """Class key of a 0/1 field."""
    value = row.required(column)
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number not in (0.0, 1.0):
        raise row.error(column, "the reference standard must be 0 or 1", value, "0 is not diseased, 1 is diseased")
    return "positive" if number == 1.0 else "negative"


def _same_truth(known: dict[str, tuple[str, CsvRow]], case: str, value: str, row: CsvRow, column: str) -> None:
    """A case has one truth."""
    first = known.setdefault(case, (value, row))
    if first[0] != value:
        raise row.error(column, f"case {case!r} had another reference standard in row {first[1].number}", value)


def _once(seen: dict[Any, CsvRow], key: Any, row: CsvRow, what: str) -> None:
    """Every key stands in one row."""
    first = seen.setdefault(key, row)
    if first is not row:
        raise row.error(what, f"the same one stands in row {first.number}", key, "keep one of the two rows")


def _binary_study(truth: dict[str, str], ratings: list[tuple[str, str, str, str, float]]) -> StudyData:
    """A two-class study of ratings."""
    if not ratings:
        raise ManifestError("the file holds no rating", fix="add the readers' rows")
    cases = pd.DataFrame({"case": list(truth), "patient": list(truth), "cohort": "all", "truth": list(truth.values())})
    rated = pd.DataFrame(ratings, columns=["reader", "case", "arm", "class", "rating"])
    return StudyData(BINARY_CLASSES, cases, reader_ratings=rated)


# ------------------------------------------------------------------------------------------------------ long
def _read_long(table: CsvTable, classes: Sequence[DiseaseClass] | None) -> StudyData:
    """One row per reading."""
    table.require(("case", "truth"), Layout.LONG)
    for column in table.columns:
        if column not in LONG_COLUMNS and not column.startswith(("p_", "rating_")):
            known = ", ".join((*LONG_COLUMNS, "p_<class>", "rating_<class>"))
            raise ManifestError(
                "unknown column", file=table.file, row=1, field=column, fix=f"rename or remove it; known: {known}"
            )
    chosen = tuple(classes) if classes is not None else _classes_of(table)
    keys = {name: _class_of(name, chosen) for name in _class_names(table)}
    case_rows: dict[str, tuple[dict[str, object], CsvRow]] = {}
    readings, ratings, predictions = [], [], []
    seen: dict[tuple[str, ...], CsvRow] = {}
    for row in table.rows:
        kind = row.text("kind") or "reader"
        if kind not in {"reader", "model", "case"}:
            raise row.error("kind", "unknown kind of row", kind, "use reader, model or case")
        case = _long_case(row, keys, chosen, case_rows)
        if kind == "case":
            continue
        reader = row.required("reader")
        if kind == "model":
            _once(seen, (kind, reader, case), row, "model and case")
            predictions.append(_long_prediction(row, reader, case, table.columns, keys, chosen))
            continue
        arm = row.text("arm") or "unaided"
        _once(seen, (kind, reader, case, arm, row.text("repeat") or "1"), row, "reader, case, arm and repeat")
        given = {
            keys[column[len("rating_") :]]: row.number_of(column)
            for column in table.columns
            if column.startswith("rating_") and row.text(column)
        }
        ratings += [(reader, case, arm, key, value) for key, value in given.items()]
        reading = _long_reading(row, reader, case, arm, keys, chosen, has_ratings=bool(given))
        if reading is not None:
            readings.append(reading)
    return StudyData(
        classes=chosen,
        cases=pd.DataFrame([fields for fields, _ in case_rows.values()]),
        readings=pd.DataFrame(
            readings, columns=["reader", "case", "arm", "label", "confidence", "repeat", "is_unreadable"]
        ),
        predictions=pd.DataFrame(predictions) if predictions else pd.DataFrame({"model": [], "case": []}, dtype=object),
        reader_ratings=pd.DataFrame(ratings, columns=["reader", "case", "arm", "class", "rating"]) if ratings else None,
    )


def _class_names(table: CsvTable) -> list[str]:
    """Every class name that the file uses, as written."""
    named = {row.text(column) for row in table.rows for column in ("truth", "label") if row.text(column)}
    named |= {column.partition("_")[2] for column in table.columns if column.startswith(("p_", "rating_"))}
    return sorted(named)


def _classes_of(table: CsvTable) -> tuple[DiseaseClass, ...]:
    """Thyroid classes when every name is one of theirs; else the names themselves."""
    names = _class_names(table)
    try:
        found = {class_key(name) for name in names}
    except InputError:
        found = set()
    if found:
        chosen = tuple(disease for disease in THYROID_CLASSES if disease.key in found)
    else:
        chosen = tuple(DiseaseClass(name, name, name) for name in names)
    if len(chosen) < 2:
        raise ManifestError("the file names fewer than two classes", file=table.file, field="truth", value=names)
    return chosen


def _class_of(name: str, classes: Sequence[DiseaseClass]) -> str:
    """Class key, or "" for a name that no class has (reported with its row)."""
    try:
        return class_key(name, classes)
    except InputError:
        return ""


def _named_class(row: CsvRow, column: str, keys: dict[str, str], classes: Sequence[DiseaseClass]) -> str:
    """Class key of a field."""
    value = row.required(column)
    key = keys.get(value, "")
    if not key:
        raise row.error(column, "unknown class", value, "use one of " + ", ".join(one.key for one in classes))
    return key


def _long_case(
    row: CsvRow,
    keys: dict[str, str],
    classes: Sequence[DiseaseClass],
    known: dict[str, tuple[dict[str, object], CsvRow]],
) -> str:
    """The row's case; what is said about a case must be the same in each of its rows."""
    case = row.required("case")
    fields: dict[str, object] = {
        "case": case,
        "patient": row.text("patient") or case,
        "cohort": row.text("cohort") or "all",
        "truth": _named_class(row, "truth", keys, classes),
        "exclusion_reason": original_text(row.text("exclusion_reason")) or None,
    }
    first, at = known.setdefault(case, (fields, row))
    for column, value in fields.items():
        if first[column] != value:
            raise row.error(column, f"case {case!r} had another {column} in row {at.number}", value)
    return case


def _long_prediction(
    row: CsvRow, model: str, case: str, columns: Sequence[str], keys: dict[str, str], classes: Sequence[DiseaseClass]
) -> dict[str, object]:
    """Probabilities of one model for one case."""
    found = {keys[column[2:]]: row.number_of(column) for column in columns if column.startswith("p_")}
    for disease in classes:
        if disease.key not in found:
            raise row.error(f"p_{disease.key}", "a model's row needs the probability of every class")
    label = _named_class(row, "label", keys, classes) if row.text("label") else None
    return {"model": model, "case": case, **{f"p_{key}": value for key, value in found.items()}, "label": label}


def _long_reading(
    row: CsvRow, reader: str, case: str, arm: str, keys: dict[str, str], classes: Sequence[DiseaseClass], *,
    has_ratings: bool,
) -> tuple[object, ...] | None:  # fmt: skip
    """One reading; None when the row holds ratings alone."""
    unreadable = row.text("is_unreadable").casefold()
    if unreadable not in {"", "0", "1", "true", "false", "yes", "no"}:
        raise row.error("is_unreadable", "is neither true nor false", unreadable)
    is_unreadable = unreadable in {"1", "true", "yes"}
    if not row.text("label") and not is_unreadable:
        if has_ratings:
            return None
        raise row.error("label", "is empty", fix="name a class, give a rating_<class>, or leave the row out")
    label = _named_class(row, "label", keys, classes) if row.text("label") else None
    confidence = row.number_of("confidence") if row.text("confidence") else np.nan
    repeat = row.number_of("repeat") if row.text("repeat") else 1.0
    return (reader, case, arm, label, confidence, repeat, is_unreadable)
