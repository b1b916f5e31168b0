"""What files that know diseased and not have in common."""

from __future__ import annotations

import numpy as np

from core.csv_file import CsvRow
from core.protocol import DiseaseClass
from core.study_analysis.arrays import CohortArrays

#: The two classes of a file that only knows diseased and not.
BINARY_CLASSES: tuple[DiseaseClass, DiseaseClass] = (
    DiseaseClass("negative", "Negative", "Negative"),
    DiseaseClass("positive", "Positive", "Positive"),
)
_WORDS = {"false": 0.0, "f": 0.0, "true": 1.0, "t": 1.0}


def binary_truth(row: CsvRow, column: str, *, fix: str = "0 is not diseased, 1 is diseased") -> str:
    """Class key of a field of 0 and 1 (or R's FALSE and TRUE)."""
    value = row.required(column, fix="write 0 or 1; the reference standard may not be missing")
    number = _WORDS.get(value.casefold())
    if number is None:
        try:
            number = float(value)
        except ValueError:
            number = None
    if number not in (0.0, 1.0):
        raise row.error(column, "the reference standard must be 0 or 1", value, fix)
    return "positive" if number == 1.0 else "negative"


def rated_answers(cohort: CohortArrays, index: int) -> list[tuple[str, str, str, bool, float]]:
    """reader, arm, case, is positive, rating of every answer, for one class against the rest.

    A hard label is rated 0 or 1; a model stands among the readers in the arm "model".
    """
    found = []
    for one in cohort.participants:
        if one.ratings is not None:
            rated, values = one.is_rated, one.ratings[index]
        else:
            rated, values = one.labels >= 0, (one.labels == index).astype(np.float64)
        found += [
            (one.key, one.arm or "model", cohort.cases[at], bool(cohort.truth[at] == index), float(values[at]))
            for at in np.flatnonzero(rated)
        ]
    return found
