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

from core.errors import InputError, ManifestError, UndefinedStatisticError
from core.report.file_analysis import FileAnalysis
from core.report.strict_csv import CsvRow, CsvTable, free_text, original_text, read_csv, write_csv
from core.study import THYROID_CLASSES, DiseaseClass, class_key
from core.study_analysis.arrays import CohortArrays, cohort_arrays
from core.study_analysis.data import StudyData

#: The two classes of a file that only knows diseased and not.
BINARY_CLASSES: tuple[DiseaseClass, DiseaseClass] = (
    DiseaseClass("negative", "Negative", "Negative"),
    DiseaseClass("positive", "Positive", "Positive"),
)

_LONG_COLUMNS = (
    "kind", "reader", "case", "arm", "label", "confidence", "repeat", "is_unreadable", "truth", "patient", "cohort",
    "exclusion_reason",
)  # fmt: skip
_IMRMC_COLUMNS = ("readerID", "caseID", "modalityID", "score")


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
    table.require(_IMRMC_COLUMNS, Layout.IMRMC)
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
        if column not in _LONG_COLUMNS and not column.startswith(("p_", "rating_")):
            known = ", ".join((*_LONG_COLUMNS, "p_<class>", "rating_<class>"))
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


# ------------------------------------------------------------------------------------------------------ writing
def write_analysis_files(
    data: StudyData, folder: str | Path, layout: Layout | str, *, cohorts: Sequence[str] | None = None
) -> list[Path]:
    """Write a study in one of the layouts.

    Parameters
    ----------
    data : StudyData
    folder : path
        Made when it does not exist. ``long`` gives ``readings.csv``; the others one file per cohort and class,
        ``<layout>_<cohort>_<class>.csv``, of every answer that has a rating or a label (a hard label is rated 0 or 1).
        Models stand among the readers in the arm "model".
    cohorts : sequence of str, optional
        Cohorts of the two-class layouts; all that somebody answered when absent.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UndefinedStatisticError
        If a class has fewer than two cases on one side, which iMRMC and MRMCaov cannot take; nothing is written.
    """
    target = Path(folder)
    chosen = Layout(str(layout))
    if chosen is Layout.LONG:
        target.mkdir(parents=True, exist_ok=True)
        return [_write_long(data, target / "readings.csv")]
    parts = [(cohort, index) for cohort in cohort_arrays(data, cohorts) for index in cohort.curve_classes]
    for cohort, index in parts:
        n = int((cohort.truth == index).sum())
        if min(n, len(cohort.cases) - n) < 2:
            raise UndefinedStatisticError(
                f"Cohort {cohort.cohort!r} has {n} of {len(cohort.cases)} cases of class "
                f"{cohort.class_keys[index]!r}; the layout {chosen.value} needs two on either side."
            )
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for cohort, index in parts:
        path = target / f"{chosen.value}_{_file_part(cohort.cohort)}_{cohort.class_keys[index]}.csv"
        columns, rows = _mrmcaov_rows(cohort, index) if chosen is Layout.MRMCAOV else _imrmc_rows(cohort, index)
        written.append(write_csv(path, columns, rows))
    return written


def _file_part(name: str) -> str:
    """A cohort's name as part of a file name."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)


def _rated_answers(cohort: CohortArrays, index: int) -> list[tuple[str, str, str, bool, float]]:
    """reader, arm, case, is positive, rating of every answer, for one class against the rest."""
    found = []
    for one in cohort.participants:
        if one.ratings is not None:
            rated, values = one.is_rated, one.ratings[index]
        else:
            rated, values = one.labels >= 0, (one.labels == index).astype(np.float64)
        found += [
            (one.key, one.arm or "model", cohort.cases[at], bool(cohort.truth[at] == index), float(values[at]))
            for at in np.flatnonzero(rated)
        ]
    return found


def _mrmcaov_rows(cohort: CohortArrays, index: int) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows for MRMCaov."""
    rows: list[tuple[object, ...]] = [
        (reader, arm, case, int(is_positive), rating)
        for reader, arm, case, is_positive, rating in _rated_answers(cohort, index)
    ]
    return ("reader", "treatment", "case", "truth", "rating"), rows


def _imrmc_rows(cohort: CohortArrays, index: int) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows for iMRMC, truth rows first."""
    rows: list[tuple[object, ...]] = [
        ("-1", case, "0", int(truth == index)) for case, truth in zip(cohort.cases, cohort.truth.tolist(), strict=True)
    ]
    rows += [(reader, case, arm, rating) for reader, arm, case, _, rating in _rated_answers(cohort, index)]
    return _IMRMC_COLUMNS, rows


def _write_long(data: StudyData, path: Path) -> Path:
    """All of a study in one file."""
    keys = data.class_keys
    about = data.cases.set_index("case")
    has_reason = "exclusion_reason" in about.columns
    rated = {} if data.reader_ratings is None else _rating_lookup(data.reader_ratings, keys)
    columns = [*_LONG_COLUMNS, *(f"rating_{key}" for key in keys if rated), *(f"p_{key}" for key in keys)]
    rows: list[list[object]] = []

    def add(kind: str, case: str, **fields: object) -> None:
        of_case = about.loc[case]
        reason = of_case["exclusion_reason"] if has_reason else None
        whole = {
            "kind": kind, "case": case, "truth": of_case["truth"], "patient": of_case["patient"],
            "cohort": of_case["cohort"], "exclusion_reason": free_text(str(reason)) if of_case["is_excluded"] else None,
            **fields,
        }  # fmt: skip
        rows.append([whole.get(column) for column in columns])

    answered = set()
    for reading in data.readings.to_dict("records"):
        identity = (reading["reader"], reading["case"], reading["arm"])
        answered.add(identity)
        confidence = None if pd.isna(reading["confidence"]) else float(reading["confidence"])
        add(
            "reader", reading["case"], reader=reading["reader"], arm=reading["arm"], label=reading["label"] or None,
            confidence=confidence, repeat=int(reading["repeat"]),
            is_unreadable="true" if reading["is_unreadable"] else None,
            **(rated.get(identity, {}) if reading["repeat"] == 1 else {}),
        )  # fmt: skip
    for identity, values in rated.items():
        if identity not in answered:
            add("reader", identity[1], reader=identity[0], arm=identity[2], **values)
    for prediction in data.predictions.to_dict("records"):
        label = prediction.get("label")
        add(
            "model", prediction["case"], reader=prediction["model"], label=None if pd.isna(label) else label,
            **{f"p_{key}": float(prediction[f"p_{key}"]) for key in keys},
        )  # fmt: skip
    mentioned = {row[columns.index("case")] for row in rows}
    for case in data.cases["case"]:
        if case not in mentioned:
            add("case", case)
    return write_csv(path, columns, rows)


def _rating_lookup(table: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, str, str], dict[str, object]]:
    """(reader, case, arm) -> rating columns."""
    found: dict[tuple[str, str, str], dict[str, object]] = {}
    for row in table.to_dict("records"):
        identity = (row["reader"], row["case"], row["arm"])
        found.setdefault(identity, {})[f"rating_{row['class']}"] = float(row["rating"])
    return found
