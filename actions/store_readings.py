"""Readings made elsewhere become a study of the store, marked as not blinded here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import InputError
from core.protocol import Protocol
from core.report.file_analysis import FileAnalysis
from core.report.file_options import FileOptions
from core.report.layout import Layout
from core.report.readings_file import files_of, layout_of, read_readings_file
from core.study import Study
from core.study_analysis.data import StudyData
from db import Repository
from db.records import ReadElsewhere

_BUNDLE = (
    "this is the export of a study that was read with this program: it opens read-only, and as a study read elsewhere "
    "it would lose its protocol and its trail"
)


def store_file_readings(
    repository: Repository,
    study_key: str,
    path: Path | Sequence[Path],
    layout: Layout | str | None = None,
    options: FileOptions | None = None,
    *,
    title: str = "",
    margin: float | None = None,
    coordinator: str | None = None,
) -> Study:
    """Read files and store what they hold as a study; nothing is written unless all of it is right.

    Raises
    ------
    ManifestError
        For the first thing that is wrong with the files, naming file, row, column, value and what to do.
    InputError
        If a file is the zip of an export, or the key will not do.
    ConflictError
        If the key is taken.
    """
    options, paths = options or FileOptions(), files_of(path)
    if any(one.suffix.casefold() == ".zip" for one in paths):
        raise InputError(_BUNDLE, field="files", value=paths[0].name,
                         fix="look at it on the screen Files, or store its data/analysis.csv")  # fmt: skip
    read = read_readings_file(path, layout, options)
    chosen = layout or (Layout.LONG if len(paths) > 1 else layout_of(paths[0], options))
    source = source_of({one.name: one.read_bytes() for one in paths}, str(chosen), options, read.notes)
    return _store(repository, study_key, read.data, source, title, margin, coordinator)


def store_analysed_readings(
    repository: Repository, study_key: str, result: FileAnalysis, source: ReadElsewhere, *, title: str = ""
) -> Study:
    """Store what was analysed on the screen, with the margin it was analysed with.

    Raises
    ------
    InputError
        If it came from the zip of an export, or the key will not do.
    ConflictError
        If the key is taken.
    """
    if result.protocol is not None or result.layout == "bundle":
        raise InputError(_BUNDLE, field="files", value=result.path, fix="unpack it and send its data/analysis.csv")
    return _store(repository, study_key, result.data, source, title, result.options.get("margin"), None)


def source_of(files: Mapping[str, bytes], layout: str, options: FileOptions, notes: Sequence[str]) -> ReadElsewhere:
    """What the trail says of the files: name and hash of each, and what a person said about them."""
    said = {
        "classes": ", ".join(one.key for one in options.classes or ()),
        "positive": options.positive or "",
        "missing": ", ".join(options.missing),
        "column": ", ".join(options.columns),
    }
    hashes = tuple((name, hashlib.sha256(content).hexdigest()) for name, content in sorted(files.items()))
    return ReadElsewhere(hashes, layout, {name: text for name, text in said.items() if text}, tuple(notes))


def _store(
    repository: Repository,
    study_key: str,
    data: StudyData,
    source: ReadElsewhere,
    title: str,
    margin: float | None,
    coordinator: str | None,
) -> Study:
    name = source.files[0][0] if len(source.files) == 1 else f"{len(source.files)} files"
    protocol = Protocol(
        title=title.strip() or f"Readings of {name}", question="Read elsewhere", classes=tuple(data.classes),
        margin=margin,
    )  # fmt: skip
    return repository.create_study_read_elsewhere(study_key, protocol, data, source, coordinator=coordinator)
