"""Which classes a run learns, and in which order its logits stand: named by a person, or those of the data."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.csv_file import Columns, read_csv_file
from core.errors import TrainingError
from core.imaging.manifest import ManifestErrors
from core.study import THYROID_CLASSES, DiseaseClass

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
        count, numbers by size and the rest by alphabet; two spellings are one class where only case, blanks or the
        Unicode form differ.

    Raises
    ------
    TrainingError
        If there are fewer than 2 or more than 20, or there is no such file.
    ManifestErrors
        If the manifest is no table with a column ``class``.
    """
    if not source.exists():
        raise TrainingError(f"There is no {source}. Give a manifest (CSV) or a folder with one folder per class.")
    if named is not None and _folded(named) == "thyroid":
        return THYROID_KEYS
    if named is not None:
        keys = [name.strip() for name in named.split(",")]
        if not all(keys) or len({_folded(key) for key in keys}) < len(keys):
            raise TrainingError(
                f"--classes {named}: a name is empty or stands twice. Write: --classes benign,malignant"
            )
    else:
        names = _names_in_folder(source) if source.is_dir() else _names_in_manifest(source)
        spelled = {_folded(name): name for name in reversed(list(names))}  # the first spelling counts
        keys = sorted(spelled.values(), key=_place)
        if spelled.keys() == set(THYROID_KEYS):
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


def _folded(name: str) -> str:
    """What two spellings of one class have in common."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _place(name: str) -> tuple[float, str]:
    """Where a class stands: numbers by size, then words by alphabet."""
    return (float(name) if name.isdecimal() else math.inf, _folded(name))


def _names_in_manifest(source: Path) -> Iterable[str]:
    """The column ``class``, row by row."""
    table = read_csv_file(source, Columns(("class",), has_others=True))
    if table.problems:
        raise ManifestErrors(table.problems, file=source)
    return [name for row in table.rows if (name := row.text("class"))]


def _names_in_folder(source: Path) -> Iterable[str]:
    """Folders that hold files, sorted: ``source/CLASS/file`` or ``source/COHORT/CLASS/file``."""
    holders = {path.parent for path in source.rglob("*") if path.is_file() and not path.name.startswith(".")}
    return [folder.name.replace("_", " ") for folder in sorted(holders - {source})]
