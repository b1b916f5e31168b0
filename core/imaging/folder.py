"""Class-named folders as a cohort: ``FOLDER/<class>/*.png`` or ``FOLDER/<cohort>/<class>/*.png``."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from core.errors import InputError, ManifestError
from core.imaging.manifest import CaseStream, ManifestErrors, ManifestRow, ManifestRows
from core.progress import OnProgress
from core.protocol import THYROID_CLASSES, DiseaseClass, class_key

_IGNORED = {"thumbs.db", "desktop.ini"}


def read_folder(
    path: Path | str,
    classes: Sequence[DiseaseClass] = THYROID_CLASSES,
    *,
    cohort: str = "imported",
    progress: OnProgress | None = None,
) -> ManifestRows:
    """Read and check a folder of class-named folders.

    Every file is a case and a patient of its own, called by its file name without extension where that is unique and
    by its path otherwise: a folder cannot say more, a manifest can. Hidden files are ignored.

    Parameters
    ----------
    path : Path
        Holds folders named after classes (key, label or alias), or after cohorts that hold such folders.
    classes : sequence of DiseaseClass
    cohort : str
        Name of the cohort when the folders say none.
    progress : callable, optional
        ``progress(done, total, what)``.

    Returns
    -------
    ManifestRows
        As :func:`read_manifest`, sorted by path; ``warnings`` says that patients were assumed.

    Raises
    ------
    ManifestErrors
        Holding every problem: folders that name no class, stray files, links that lead out, images that fail.
    """
    return folder_cases(path, classes, cohort=cohort).checked_rows(progress)


def folder_cases(
    path: Path | str, classes: Sequence[DiseaseClass] = THYROID_CLASSES, *, cohort: str = "imported"
) -> CaseStream:
    """The cases of a folder: the names are read now, the images when it is iterated."""
    root = Path(path)
    errors: list[ManifestError] = []
    found: list[tuple[str, str, Path]] = []  # cohort, class key, file
    try:
        if not root.is_dir():
            raise ManifestErrors([ManifestError("there is no such folder", file=root, fix="check the path")], file=root)
        for entry in _entries(root, root, errors):
            if entry.is_file():
                errors.append(_stray(entry))
            elif (key := _class_of(entry.name, classes)) is not None:
                found += [(cohort, key, file) for file in _files(entry, root, errors)]
            else:
                inner = _entries(entry, root, errors)
                if not any(sub.is_dir() and _class_of(sub.name, classes) for sub in inner):
                    errors.append(_unknown(entry, classes))
                    continue
                for sub in inner:
                    inner_key = _class_of(sub.name, classes) if sub.is_dir() else None
                    if inner_key is not None:
                        found += [(entry.name, inner_key, file) for file in _files(sub, root, errors)]
                    else:
                        errors.append(_unknown(sub, classes) if sub.is_dir() else _stray(sub))
    except OSError as error:
        raise ManifestErrors(
            [ManifestError(f"the folder cannot be read: {error.strerror}", file=error.filename or root)], file=root
        ) from error
    if not found and not errors:
        errors.append(ManifestError("there is no image in the folder", file=root, fix="put images into class folders"))
    stems = Counter(_composed(file.stem) for _, _, file in found)
    rows = []
    for name, key, file in found:
        stem = _composed(file.stem)
        case = stem if stems[stem] == 1 else _composed(file.relative_to(root).as_posix())
        rows.append(ManifestRow(case=case, patient=case, cohort=name, truth=key, image_path=file))
    note = "A folder does not say which images are of one patient; each was taken as a patient of its own."
    return CaseStream(rows, root, errors, classes, (note,))


def _entries(folder: Path, root: Path, errors: list[ManifestError]) -> list[Path]:
    """What lies in a folder, sorted, without hidden files and without links that lead out of ``root``."""
    kept = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name.lower() in _IGNORED:
            continue
        if not entry.resolve().is_relative_to(root.resolve()):
            errors.append(ManifestError("the link leads out of the folder", file=entry, fix="copy the file there"))
        else:
            kept.append(entry)
    return kept


def _files(folder: Path, root: Path, errors: list[ManifestError]) -> list[Path]:
    """Files of one class folder; folders in it are refused."""
    files = []
    for entry in _entries(folder, root, errors):
        if entry.is_dir():
            errors.append(ManifestError("a class folder holds a folder", file=entry, fix="put the images beside it"))
        elif not entry.exists():
            errors.append(ManifestError("the link leads nowhere", file=entry, fix="copy the file there"))
        else:
            files.append(entry)
    return files


def _composed(name: str) -> str:
    """A name as ids are written, whatever Unicode form the disk keeps it in."""
    return unicodedata.normalize("NFC", name)


def _class_of(name: str, classes: Sequence[DiseaseClass]) -> str | None:
    """Class key that a folder's name means; underscores count as blanks."""
    try:
        return class_key(_composed(name).replace("_", " "), classes)
    except InputError:
        return None


def _unknown(folder: Path, classes: Sequence[DiseaseClass]) -> ManifestError:
    """A folder that names no class."""
    return ManifestError(
        "the folder names no class",
        file=folder,
        value=folder.name,
        fix="use " + ", ".join(disease.key for disease in classes),
    )


def _stray(file: Path) -> ManifestError:
    """A file outside the class folders."""
    return ManifestError("the file lies outside the class folders", file=file, fix="move it into its class folder")
