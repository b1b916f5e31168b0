"""Cases in: from a manifest or from class-named folders into a study, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from actions.uploads import Upload, unpacked
from core.errors import InputError, NotFoundError
from core.imaging import ManifestErrors, folder_cases, manifest_cases
from core.progress import OnProgress
from db import Repository
from db.records import ImportSummary


@dataclass(frozen=True)
class ImportReport:
    """What was imported, and what is allowed but should be looked at."""

    summary: ImportSummary
    warnings: tuple[str, ...]


def import_cases(
    repository: Repository,
    study_key: str,
    source: Path,
    *,
    is_check_only: bool = False,
    shared_images: str | None = None,
    progress: OnProgress | None = None,
) -> ImportReport:
    """Read every file that ``source`` names, each once, then write all cases in one transaction.

    Parameters
    ----------
    repository : Repository
        Of a coordinator.
    study_key : str
        A study in draft.
    source : Path
        A manifest (.csv) or a folder whose sub-folders are named after the classes.
    is_check_only : bool
        Do everything but write.
    shared_images : str, optional
        Why images of a study that is not unsealed come into this one too.
    progress : callable, optional
        ``progress(done, total, what)``.

    Raises
    ------
    ManifestError
        With every problem found, each with file, row, field and fix; nothing was written.
    """
    if not source.exists():
        raise NotFoundError(f"There is no file or folder {source}. Fix: name a manifest .csv or a folder of classes.")
    classes = repository.study(study_key).protocol.classes
    cases = folder_cases(source, classes) if source.is_dir() else manifest_cases(source, classes)
    cases.need_two_classes({count.class_key for count in repository.case_counts(study_key) if count.n_cases})
    take = repository.check_import if is_check_only else repository.import_cases
    summary = take(study_key, cases, total=len(cases), shared_images=shared_images, on_progress=progress)
    return ImportReport(summary, (*summary.warnings, *cases.warnings))


def import_upload(
    repository: Repository,
    study_key: str,
    uploads: Sequence[Upload],
    *,
    is_check_only: bool = False,
    shared_images: str | None = None,
    progress: OnProgress | None = None,
) -> ImportReport:
    """The same import from what a browser sent; nothing of it stays on the disk.

    Raises
    ------
    ManifestErrors
        As :func:`import_cases`, with files named as they were sent.
    """
    with unpacked(uploads, progress) as source:
        return import_cases(
            repository, study_key, source, is_check_only=is_check_only, shared_images=shared_images, progress=progress
        )


def problem_table(error: InputError) -> pd.DataFrame:
    """What is wrong with a manifest, a folder or a file: one problem a row, with file, row, column, value and fix."""
    errors = error.errors if isinstance(error, ManifestErrors) else (error,)
    rows = [
        (each.file, each.row, each.field, None if each.value is None else str(each.value), each.problem, each.fix)
        for each in errors
    ]
    frame = pd.DataFrame(rows, columns=["file", "row", "column", "value", "problem", "fix"], dtype=object)
    return frame.assign(row=frame["row"].astype("Int64"))
