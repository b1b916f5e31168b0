"""Which classes a run learns, and in which order its logits stand: named by a person, or those of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from core.csv_file import Columns, read_csv_file
from core.errors import TrainingError
from core.imaging.manifest import ManifestErrors
from core.protocol import THYROID_CLASSES, DiseaseClass
from core.report.file_options import class_order, named_classes
from core.spelling import Spellings, spelling_key

THYROID_KEYS = tuple(disease.key for disease in THYROID_CLASSES)
#: A model has at least and at most so many classes.
FEWEST, MOST = 2, 20


def class_keys(source: Path, named: str | None = None) -> tuple[str, ...]:
    """Class keys of a run in the order of the logits.

    Parameters
    ----------
    source : Path
        Manifest or class-named folder.
    named : str, optional
        ``thyroid``, or the classes of the study in its order with commas between. Without it the names in the data
        count, numbers by size and the rest by alphabet; :mod:`core.spelling` says which spellings are one class.

    Raises
    ------
    TrainingError
        If there are fewer than 2 or more than 20, or there is no such file.
    InputError
        If ``named`` has an empty name or one twice.
    ManifestErrors
        If the manifest is no table with a column ``class``.
    """
    if not source.exists():
        raise TrainingError(f"There is no {source}. Give a manifest (CSV) or a folder with one folder per class.")
    if named:
        keys = [disease.key for disease in named_classes(named) or ()]
    else:
        spellings = Spellings("class")
        for row, name in _names_in_folder(source) if source.is_dir() else _names_in_manifest(source):
            spellings.add(name, row)
        keys = sorted(spellings.names(), key=class_order)
        if {spelling_key(key) for key in keys} == set(THYROID_KEYS):
            return THYROID_KEYS
    if not FEWEST <= len(keys) <= MOST:
        listed = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
        raise TrainingError(
            f"{source} has {len(keys)} classes ({listed or 'none'}); a model has {FEWEST} to {MOST}. "
            "Mend the column 'class' (or the folders), or name the classes with --classes."
        )
    return tuple(keys)


def disease_classes(keys: Sequence[str]) -> tuple[DiseaseClass, ...]:
    """Classes with what else is known of them: labels and other spellings of the thyroid's four, else the names."""
    if tuple(keys) == THYROID_KEYS:
        return THYROID_CLASSES
    return tuple(DiseaseClass(key, key, key) for key in keys)


def _names_in_manifest(source: Path) -> Iterable[tuple[int, str]]:
    """Row and name in the column ``class``."""
    table = read_csv_file(source, Columns(("class",), has_others=True))
    if table.problems:
        raise ManifestErrors(table.problems, file=source)
    return [(row.number, name) for row in table.rows if (name := row.text("class"))]


def _names_in_folder(source: Path) -> Iterable[tuple[int, str]]:
    """Folders that hold files, numbered and sorted: ``source/CLASS/file`` or ``source/COHORT/CLASS/file``."""
    holders = {path.parent for path in source.rglob("*") if path.is_file() and not path.name.startswith(".")}
    return enumerate(folder.name.replace("_", " ") for folder in sorted(holders - {source}))
