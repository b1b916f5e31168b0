"""The report of a study as PDF and HTML, of the store or of files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from actions.study_record import study_record
from core.analysis import StudyAnalysis
from core.errors import ConflictError, InputError
from core.report.document import to_html, to_pdf
from core.report.file_analysis import FileAnalysis
from core.report.study_record import StudyRecord
from core.report.study_report import report_blocks, undrawn_warning
from db import Repository

#: Endings of a report's files.
FORMATS = {".pdf": to_pdf, ".html": to_html}


def report_files(record: StudyRecord, endings: tuple[str, ...] = tuple(FORMATS)) -> dict[str, bytes]:
    """The report in each format, by ending."""
    blocks = report_blocks(record)
    return {ending: FORMATS[ending](record.title, blocks) for ending in endings}


def file_record(result: FileAnalysis, title: str = "") -> StudyRecord:
    """Readings that were made elsewhere, as a report tells them; of a bundle with the protocol that is in it."""
    name = Path(result.path).name
    return StudyRecord(
        key=name, title=title or result.title or f"Readings of {name}", data=result.data, analysis=result.analysis,
        options=result.options, protocol=result.protocol, source=name, notes=result.notes,
        is_synthetic=bool(result.data.simulated),
    )  # fmt: skip


def write_reports(record: StudyRecord, paths: list[Path]) -> dict[Path, bytes]:
    """Write a report; the endings of the paths say in which format.

    Raises
    ------
    InputError
        If an ending is neither .pdf nor .html, before anything is made.
    ConflictError
        If a file exists.
    """
    for path in paths:
        if path.suffix.casefold() not in FORMATS:
            raise InputError("a report is a .pdf or .html file", field="path", value=str(path),
                             fix=f"write {path.parent / (path.stem or 'report')}.pdf")  # fmt: skip
        if path.exists():
            raise ConflictError(f"{path} exists. Fix: name a new file; nothing was written.")
        if not path.parent.is_dir():
            raise InputError("there is no such folder", field="path", value=str(path.parent), fix="make it first")
    made = report_files(record, tuple(dict.fromkeys(path.suffix.casefold() for path in paths)))
    written = {path: made[path.suffix.casefold()] for path in paths}
    for path, content in written.items():
        path.write_bytes(content)
    return written


def make_report(repository: Repository, study_key: str, analysis: StudyAnalysis | None = None) -> dict[str, bytes]:
    """The report of an unsealed study as ``pdf`` and ``html``, its hashes entered in the trail.

    Raises
    ------
    AccessError
        While the study is sealed.
    """
    made = report_files(study_record(repository, study_key, analysis))
    for ending, content in made.items():
        _enter(repository, study_key, ending, content)
    return {ending.removeprefix("."): content for ending, content in made.items()}


def report_study(
    repository: Repository, study_key: str, paths: list[Path], say: Callable[[str], None] = lambda text: None
) -> None:
    """Write the report of an unsealed study into files and enter their hashes in the trail.

    ``say`` is told what must be said of it: letters that no font has.

    Raises
    ------
    AccessError
        While the study is sealed.
    """
    record = study_record(repository, study_key)
    if warning := undrawn_warning(record):
        say(warning)
    for path, content in write_reports(record, paths).items():
        _enter(repository, study_key, path.suffix.casefold(), content)


def _enter(repository: Repository, study_key: str, ending: str, content: bytes) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    repository.record_export(study_key, f"report{ending}", sha256, 0)
