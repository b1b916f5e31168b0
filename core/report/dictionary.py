"""The data dictionary of a bundle: what every column of every file holds."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
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
    stem = file.rpartition("/")[2].removesuffix(".csv")
    known = _known()
    for prefix, what in (("stated_p_", "probability that the reader stated for"), ("p_", "model's probability of"),
                         ("rating_", "rating, higher is surer, of")):  # fmt: skip
        key = column.removeprefix(prefix)
        if key != column and key in class_labels:
            return f"{what} {class_labels[key]}", "", "0 to 1" if "p_" in prefix else "any scale"
    return known.get((stem, column)) or known.get(("", column)) or ("", "", "")


@lru_cache(maxsize=1)
def _known() -> dict[tuple[str, str], tuple[str, str, str]]:
    """(file or "", column) -> meaning, unit, values."""
    text = (resources.files("core.report") / "data" / "columns.csv").read_text(encoding="utf-8")
    return {
        (row["file"], row["column"]): (row["meaning"], row["unit"], row["values"])
        for row in csv.DictReader(text.splitlines())
    }
