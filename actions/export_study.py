"""Out: readings, predictions, every table of the analysis, and ``analysis.csv``, of which ``analyse`` makes the same
tables without a database (``docs/files.md``); each file's hash in the audit trail."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from openpyxl import load_workbook

from actions.analyse_study import analyse_study
from core.analysis import StudyAnalysis, StudyData
from core.errors import ConflictError
from core.protocol import ScaleKind
from core.report.bundle import table_csv
from core.report.layout import Layout
from core.report.readings_file import readings_files
from db import Repository


@dataclass(frozen=True)
class ExportedFile:
    """One file, complete in memory."""

    name: str
    content: bytes
    n_rows: int

    @property
    def sha256(self) -> str:
        """Hash of the bytes; the file name on screen carries its first eight digits, so that none can be stale."""
        return hashlib.sha256(self.content).hexdigest()


def csv_file(name: str, table: pd.DataFrame) -> ExportedFile:
    """A table as :func:`core.report.bundle.table_csv` writes it."""
    return ExportedFile(name, table_csv(table), len(table))


def layout_files(data: StudyData, layout: Layout, cohorts: Sequence[str] | None = None) -> list[ExportedFile]:
    """A study in one of the layouts that ``analyse`` and other programs read."""
    files = readings_files(data, layout, cohorts=cohorts)
    return [ExportedFile(name, content, _n_rows(name, content)) for name, content in files.items()]


def _n_rows(name: str, content: bytes) -> int:
    """Rows below the header of a text file, or below the headers of all sheets of a workbook."""
    if name.endswith(".xlsx"):
        return sum(sheet.max_row - 1 for sheet in load_workbook(io.BytesIO(content)).worksheets)
    return sum(1 for _ in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))) - 1


def readings_table(repository: Repository, study_key: str) -> pd.DataFrame:
    """Every reading with all its revisions, one row each, oldest first; ``docs/files.md`` has the columns."""
    protocol = repository.study(study_key).protocol
    has_probabilities = protocol.scale.kind is ScaleKind.PROBABILITIES
    stated = [f"stated_p_{key}" for key in protocol.class_keys] if has_probabilities else []
    columns = [
        "sequence", "reader", "display_name", "is_simulated", "group", "case", "cohort", "arm", "period", "block",
        "position", "repeat", "is_training", "revision", "is_current", "class", "class_label", "confidence",
        "confidence_label", *stated, "is_unreadable", "unreadable_reason", "comment", "marks", "is_typed_ahead",
        "is_over_time", "is_altered", "reading_seconds", "gross_seconds", "active_seconds", "first_seconds",
        "server_seconds", "is_time_doubtful", "saved_at", "password_set_by", "is_withdrawn", "display_state",
        "client_events", "reading_id",
    ]  # fmt: skip
    rows = [
        {
            **{name: getattr(each, name) for name in columns if hasattr(each, name)},
            **vars(each.times),
            "is_typed_ahead": each.is_typed_ahead,
            "arm": str(each.arm),
            "class": each.class_key,
            "class_label": None if each.class_key is None else protocol.label(each.class_key),
            "confidence_label": protocol.scale.word(each.confidence),
            **dict(zip(stated, each.probabilities or [None] * len(stated), strict=True)),
            "marks": json.dumps([vars(mark) for mark in each.marks]) if each.marks else None,
            "saved_at": each.saved_at.isoformat(),
            "display_state": json.dumps(each.display_state, sort_keys=True),
            "client_events": json.dumps(each.client_events),
        }
        for each in repository.readings(study_key)
    ]
    return pd.DataFrame(rows, columns=columns)


def predictions_table(repository: Repository, study_key: str) -> pd.DataFrame:
    """Every prediction with its model's name and hash, one row a case and model."""
    keys = repository.study(study_key).protocol.class_keys
    columns = ["model", "model_sha256", "case", "predicted_class", *(f"p_{key}" for key in keys),
               "entropy", "is_out_of_distribution", "device", "precision", "created_at"]  # fmt: skip
    names = {count.model_sha256: count.model_name for count in repository.prediction_counts(study_key)}
    rows = [
        {
            "model": name,
            "model_sha256": sha256,
            "case": each.case,
            "predicted_class": keys[int(each.probabilities.argmax())],
            **{f"p_{key}": float(each.probabilities[index]) for index, key in enumerate(keys)},
            "entropy": each.entropy,
            "is_out_of_distribution": each.is_out_of_distribution,
            "device": each.device,
            "precision": each.precision,
            "created_at": each.created_at.isoformat() if each.created_at else "",
        }
        for sha256, name in names.items()
        for each in repository.predictions(study_key, sha256)
    ]
    return pd.DataFrame(rows, columns=columns)


def reference_table(repository: Repository, study_key: str) -> pd.DataFrame:
    """The reference standard, one row a case."""
    return pd.DataFrame(
        [{"case": each.case, "reference_standard": each.truth} for each in repository.reference_standard(study_key)],
        columns=["case", "reference_standard"],
    )


def readers_table(repository: Repository, study_key: str) -> pd.DataFrame:
    """Who read, one row a reader: what reviewers ask of readers, and what each was given to read."""
    columns = ["reader", "display_name", "is_simulated", "specialty", "site", "years_of_experience", "has_used_model",
               "cohorts", "arms", "group", "n_presentations", "order_seed", "order_algorithm"]  # fmt: skip
    rows = [
        {
            **{name: getattr(each.person, name) for name in columns if hasattr(each.person, name)},
            **{name: getattr(each, name) for name in ("group", "n_presentations", "order_seed", "order_algorithm")},
            "reader": each.person.login,
            "cohorts": "; ".join(each.cohorts),
            "arms": "; ".join(each.arms),
        }
        for each in repository.members(study_key)
    ]
    return pd.DataFrame(rows, columns=columns)


def presentation_events_table(repository: Repository, study_key: str) -> pd.DataFrame:
    """What browsers saw of presentations that were left without an answer, one row each time they told it."""
    columns = ["reader", "case", "cohort", "arm", "position", "repeat", "revision", "is_answered", "draft_id",
               "first_event", "client_events", "told_at"]  # fmt: skip
    rows = [
        {
            **{name: getattr(each, name) for name in columns},
            "arm": str(each.arm),
            "client_events": json.dumps(each.client_events),
            "told_at": each.told_at.isoformat(),
        }
        for each in repository.presentation_events(study_key)
    ]
    return pd.DataFrame(rows, columns=columns)


def image_notes_table(repository: Repository, study_key: str) -> pd.DataFrame:
    """What every image is and what reading its file changed, left out or found odd, one row a case and view."""
    of_view = ["file_format", "width", "height", "bits", "is_colour", "pixel_spacing_mm", "left_side"]
    columns = ["case", "cohort", "view", *of_view, "image_notes"]
    rows = [
        {
            "case": case.case,
            "cohort": case.cohort,
            "view": view.name,
            **{name: getattr(view, name) for name in of_view},
            "image_notes": "; ".join(view.notes),
        }
        for case in repository.cases(study_key)
        for view in case.views
    ]
    return pd.DataFrame(rows, columns=columns)


def metric_files(tables: Mapping[str, pd.DataFrame]) -> list[ExportedFile]:
    """The tables of an analysis, one CSV each."""
    return [csv_file(f"metrics_{name}.csv", table) for name, table in tables.items()]


def export_files(
    repository: Repository,
    study_key: str,
    analysis: StudyAnalysis | None = None,
    layouts: Sequence[Layout] = (),
) -> list[ExportedFile]:
    """All files of an export, nothing written yet; one event of the audit trail lists them with their hashes.

    Parameters
    ----------
    analysis : StudyAnalysis, optional
        Made here if absent.
    layouts : sequence of Layout
        Files for other programs as well.

    Raises
    ------
    AccessError
        While the study is sealed.
    """
    analysis = analysis or analyse_study(repository, study_key)
    files = metric_files(analysis.to_tables())
    if not repository.study(study_key).is_read_elsewhere:  # else all that is known stands in analysis.csv
        stored = {"readings": readings_table, "predictions": predictions_table, "reference_standard": reference_table,
                  "readers": readers_table, "presentation_events": presentation_events_table,
                  "image_notes": image_notes_table}  # fmt: skip
        files = [csv_file(f"{name}.csv", table(repository, study_key)) for name, table in stored.items()] + files
    data = repository.study_data(study_key)
    for layout in dict.fromkeys((Layout.LONG, *layouts)):
        files += layout_files(data, layout)
    hashes = {file.name: file.sha256 for file in sorted(files, key=lambda one: one.name)}
    of_all = hashlib.sha256("".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items()).encode()).hexdigest()
    repository.record_export(study_key, "folder", of_all, sum(file.n_rows for file in files), files=hashes)
    return files


def export_study(repository: Repository, study_key: str, folder: Path, layouts: Sequence[Layout] = ()) -> list[Path]:
    """Write an export into a new folder; it appears there complete or not at all.

    Raises
    ------
    ConflictError
        If the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConflictError(f"{folder} exists and is not empty. Fix: name a new folder; nothing was written.")
    files = export_files(repository, study_key, layouts=layouts)
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    for file in files:
        (partial / file.name).write_bytes(file.content)
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return [folder / file.name for file in files]
