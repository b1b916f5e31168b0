"""The data dictionary of a bundle: what every column of every file holds."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources

COLUMNS = ("file", "column", "meaning", "unit", "values")


def dictionary_rows(
    files: Mapping[str, Sequence[str]], class_labels: Mapping[str, str]
) -> list[tuple[str, str, str, str, str]]:
    """One row for every column of every file.

    Parameters
    ----------
    files : mapping
        Path in the bundle -> its columns.
    class_labels : mapping
        Class key -> label, for the columns that each class has.
    """
    return [(file, column, *_meaning(file, column, class_labels)) for file, of in files.items() for column in of]


def _meaning(file: str, column: str, class_labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Meaning, unit and values; a column that a file uses in its own way comes first."""
    stem = _stem(file)
    known = _known()
    if file.startswith("paper/") and ("paper", column) not in known:
        rater, _, of_class = column.rpartition(": ")
        of = f"cohort {column}" if column != "All" else "all cohorts"
        return f"what the first column says, of {f'{rater}, class {of_class}' if rater else of}", "", ""
    for prefix, what in (("stated_p_", "probability that the reader stated for"), ("p_", "model's probability of"),
                         ("rating_", "rating, higher is surer, of")):  # fmt: skip
        key = column.removeprefix(prefix)
        if key != column and key in class_labels:
            return f"{what} {class_labels[key]}", "", "0 to 1" if "p_" in prefix else "any scale"
    return known.get((stem, column)) or known.get(("", column)) or ("", "", "")


def _stem(file: str) -> str:
    """Under which name the columns of a file are told."""
    if file.startswith("paper/"):
        return "paper"
    return _OF_OTHERS.get(file) or file.rpartition("/")[2].removesuffix(".csv")


def others(names: Iterable[str]) -> dict[str, Sequence[str]]:
    """Patterns of the files for other programs that are among these files -> their columns, told once for all."""
    names = list(names)
    return {pattern: [column for stem, column in _known() if stem == _OF_OTHERS[pattern]]
            for pattern in _OF_OTHERS if any(fnmatchcase(name, pattern) for name in names)}  # fmt: skip


#: Files that have the same columns, however many there are -> under which name these are told.
_OF_OTHERS = {
    "others/imrmc/*.imrmc": "imrmc",
    "others/mrmcaov/*.csv": "mrmcaov",
    "others/proc/*.csv": "proc",
    "others/rjafroc/*_key.csv": "key",
    "others/rjafroc/*.xlsx": "rjafroc",
    "tables/tables.xlsx": "tables",
}


@lru_cache(maxsize=1)
def _known() -> dict[tuple[str, str], tuple[str, str, str]]:
    """(file or "", column) -> meaning, unit, values."""
    text = (resources.files("core.report") / "data" / "columns.csv").read_text(encoding="utf-8")
    return {
        (row["file"], row["column"]): (row["meaning"], row["unit"], row["values"])
        for row in csv.DictReader(text.splitlines())
    }
