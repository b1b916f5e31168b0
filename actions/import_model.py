"""Models from elsewhere: an ONNX graph, or the predictions that a model made somewhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from actions.models import keep_file, model_folder
from core.csv_file import Columns, CsvFile, CsvRow, read_csv_file
from core.errors import InputError, ManifestError, ModelError
from core.imaging.manifest import ManifestErrors
from core.model.foreign import (
    ANSWERS,
    PIXELS,
    SMALLEST_SIDE,
    SUM_TOLERANCE,
    Declaration,
    ForeignModel,
)
from core.model.preprocessing import LARGEST_SIDE
from core.model.uncertainty import entropy
from core.natural_order import natural_key
from core.protocol import DiseaseClass, class_key
from core.report.file_options import named_classes
from core.settings import get_settings
from core.spelling import spelling_key
from db import Repository
from db.records import CasePrediction, ModelVersion

#: How a file of predictions and a graph are named.
TABLE, GRAPH = ".csv", ".onnx"
#: Largest ONNX file that is read, in bytes.
MAX_BYTES = 2_000_000_000
_COLUMNS = Columns(("case",), prefixes=("p_",), has_others=True)


def is_table(file: Path) -> bool:
    """Whether a file holds predictions; else it is a graph.

    Raises
    ------
    InputError
        If its name says that it is neither.
    """
    kind = file.suffix.casefold()
    spreadsheet = "save the table as 'CSV UTF-8' in the spreadsheet"
    fixes = {
        ".safetensors": "a model that was trained here is entered with 'manage.py model register'",
        ".xlsx": spreadsheet,
        ".xls": spreadsheet,
    }
    if kind not in (TABLE, GRAPH):
        raise InputError("is neither a graph (.onnx) nor a table of predictions (.csv)", field="file", value=str(file),
                         fix=fixes.get(kind, "export the model as ONNX, or its predictions as CSV"))  # fmt: skip
    return kind == TABLE


def declare(classes: str, pixels: str, answers: str, size: int | None, *, is_colour: bool = False) -> Declaration:
    """What a person says of a graph, from the words of a command.

    Raises
    ------
    InputError
        If a word is missing or unknown.
    """
    found = named_classes(classes)
    if found is None:
        raise InputError("an ONNX graph does not name its classes", field="--classes",
                         fix="name them in the order of its answers, with commas between them")  # fmt: skip
    for option, word, known in (("--pixels", pixels, PIXELS), ("--answers", answers, ANSWERS)):
        if word not in known:
            raise InputError("must be declared", field=option, value=word, fix=f"use {', '.join(known)}")
    if size is not None and not SMALLEST_SIDE <= size <= LARGEST_SIDE:
        raise InputError("is no side of an image in pixels", field="--size", value=size,
                         fix=f"write the side of the graph's input, {SMALLEST_SIDE} to {LARGEST_SIDE}")  # fmt: skip
    keys = tuple(disease.key for disease in found)
    return Declaration(keys, pixels, answers, size, is_colour)  # type: ignore[arg-type]  # checked above


def import_graph(repository: Repository, file: Path, declared: Declaration, *, name: str, note: str) -> ModelVersion:
    """Check an ONNX graph against its declaration, copy it into the data folder, and enter it in the store.

    Parameters
    ----------
    name : str
        On screen.
    note : str
        Where the model comes from; stands on its card.

    Raises
    ------
    InputError
        If there is no such file.
    ModelError
        If the graph is refused or does not answer as declared.
    """
    content = _content(file)
    try:
        model = ForeignModel(content, declared, get_settings().thread_count)
    except ModelError as error:
        raise ModelError(f"{file.name}: {error}") from error
    model.close()
    kept = model_folder(model.sha256) / "model.onnx"
    keep_file(file, kept)
    return repository.register_model(
        sha256=model.sha256,
        name=name,
        architecture="ONNX from elsewhere",
        path=kept.relative_to(get_settings().data_folder).as_posix(),
        metadata={
            "source": "onnx",
            "declared": declared.to_dict(),
            "classes": list(declared.classes),
            "input_size": model.size,
            "file": file.name,
            "file_sha256": hashlib.sha256(content).hexdigest(),
            "note": note,
        },
    )


def import_predictions(
    repository: Repository, study_key: str, file: Path, *, name: str, note: str
) -> tuple[ModelVersion, str]:
    """Enter a CSV of predictions (``case``, ``p_<class>`` for every class) as a model of its own; all rows or none.

    Returns
    -------
    ModelVersion
        Known by the SHA-256 of the file.
    str
        How many cases have a prediction now, and how many still have none.

    Raises
    ------
    ManifestErrors
        With every problem of the file, by row.
    ConflictError
        If this file was imported for a case already.
    """
    sha256 = hashlib.sha256(_content(file)).hexdigest()
    classes = repository.study(study_key).protocol.classes
    is_excluded = {info.case: info.exclusion_reason is not None for info in repository.cases(study_key)}
    predictions = read_predictions(file, classes, is_excluded)
    version = repository.register_model(
        sha256=sha256,
        name=name,
        architecture="predictions from elsewhere",
        path="",
        metadata={
            "source": "csv",
            "classes": [disease.key for disease in classes],
            "file": file.name,
            "file_sha256": sha256,
            "note": note,
        },
    )
    added = repository.save_predictions(study_key, sha256, predictions)
    wanted = {case for case, is_out in is_excluded.items() if not is_out}
    missing = sorted(wanted - {one.case for one in predictions}, key=natural_key)
    without = f"; without one: {len(missing)} of {added + len(missing)} cases, {missing[0]} first" if missing else ""
    return version, f"{added} predictions{without}"


def _content(file: Path) -> bytes:
    """A file's bytes."""
    if not file.is_file():
        raise InputError("there is no such file", field="file", value=str(file), fix="check the path")
    if file.stat().st_size > MAX_BYTES:
        raise InputError("the file is too large", field="file", value=str(file), fix="export a model below 2 GB")
    return file.read_bytes()


def read_predictions(
    file: Path, classes: tuple[DiseaseClass, ...], is_excluded: dict[str, bool]
) -> list[CasePrediction]:
    """Predictions in the file's order, checked; every problem is found before any is reported."""
    table = read_csv_file(file, _COLUMNS)
    if table.problems:
        raise ManifestErrors(table.problems, file=file)
    columns = _class_columns(table, classes)
    errors: list[ManifestError] = []
    first: dict[str, int] = {}
    predictions = []
    for row in table.rows:
        try:
            predictions.append(_prediction(row, columns, is_excluded, first))
        except ManifestError as error:
            errors.append(error)
    if not table.rows:
        errors.append(ManifestError("the file has no row", file=file, fix="write one row for every case"))
    if errors:
        raise ManifestErrors(errors, file=file)
    return predictions


def _class_columns(table: CsvFile, classes: tuple[DiseaseClass, ...]) -> list[str]:
    """The column of every class, in the order of the protocol."""
    errors: list[ManifestError] = []
    column_of: dict[str, str] = {}

    def refuse(column: str | None, problem: str, fix: str | None) -> None:
        errors.append(ManifestError(problem, file=table.file, row=table.header_row, field=column, fix=fix))

    for column in table.columns:
        if column.startswith("p_"):
            try:
                key = class_key(column.removeprefix("p_"), classes)
            except InputError as error:
                refuse(column, "no class of the study", error.fix)
                continue
            if key in column_of:
                refuse(column, f"class {key} has a column already", "keep one")
            column_of[key] = column
    missing = [f"p_{disease.key}" for disease in classes if disease.key not in column_of]
    if missing and not errors:
        refuse(None, f"there is no column {', '.join(missing)}", "give every class of the study a column")
    if errors:
        raise ManifestErrors(errors, file=table.file)
    return [column_of[disease.key] for disease in classes]


def _prediction(row: CsvRow, columns: list[str], is_excluded: dict[str, bool], first: dict[str, int]) -> CasePrediction:
    """One row; probabilities are divided by their sum where rounding alone kept it from 1."""
    case = row.required("case")
    if case not in is_excluded:
        like = next((other for other in sorted(is_excluded) if spelling_key(other) == spelling_key(case)), None)
        raise row.error("case", "the study has no such case", case, f"write {like}" if like else "check the case ids")
    if is_excluded[case]:
        raise row.error("case", "the case is excluded from the study", case, "leave the row out")
    if case in first:
        raise row.error("case", f"the case stands in row {first[case]} already", case, "keep one row for each case")
    first[case] = row.number
    values = np.array([row.number_of(column, fix="write a probability from 0 to 1") for column in columns])
    for column, value in zip(columns, values, strict=True):
        if not 0 <= value <= 1:
            raise row.error(
                column, "is no probability", row.text(column), "write a probability from 0 to 1, such as 0.25"
            )
    tolerance = SUM_TOLERANCE + 0.005 * len(columns)  # two decimals in every column
    if abs(values.sum() - 1) > tolerance:
        raise row.error(None, f"the probabilities sum to {values.sum():.4g}", fix="give every class its share of 1")
    values = values / values.sum()
    return CasePrediction(case, values, float(entropy(values[None])[0]), False, "elsewhere", "as given")
