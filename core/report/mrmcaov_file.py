"""Files of the R package MRMCaov (and RJafroc's and pROC's long tables of the same columns), in and out.

``reader``, ``treatment`` (or ``test``, ``modality``, ``arm``), ``case``, ``truth``, ``rating``; other columns are left
alone. The truth is 0 or 1 (or FALSE and TRUE); two other names are taken when the diseased one is named
(``--positive``). Two classes: a study with more becomes one file per class against the rest.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from core.csv_file import Columns, csv_bytes, read_csv_file
from core.errors import InputError, ManifestError
from core.report.file_options import FileOptions, columns_for
from core.report.study_rows import ReadingsFile, StudyRows
from core.report.two_classes import BINARY_CLASSES, binary_truth, rated_answers
from core.study_analysis.arrays import CohortArrays

_NAMES = "0 is not diseased, 1 is diseased; of two names say which is diseased: --positive NAME"
_ARM_COLUMNS = ("treatment", "test", "modality", "arm")
COLUMNS = Columns(("reader", "case", "truth", "rating"), _ARM_COLUMNS, has_others=True)


def read_mrmcaov(path: str | Path, options: FileOptions) -> ReadingsFile:
    """A file of :data:`COLUMNS` as a study of two classes."""
    table = read_csv_file(path, columns_for(options, COLUMNS))
    table.raise_first()
    arm_column = next((name for name in _ARM_COLUMNS if name in table.columns), None)
    if arm_column is None:
        raise ManifestError(
            "the column is missing",
            file=table.file,
            row=table.header_row,
            field="treatment",
            fix="add the column 'treatment'; with one treatment write the same name in each row",
        )
    if options.classes is not None and len(options.classes) != 2:
        raise InputError("the layout mrmcaov has two classes", field="classes", value=len(options.classes),
                         fix="name the two that stand in the column truth")  # fmt: skip
    is_binary = options.positive is None and options.classes is None
    chosen = replace(options, classes=BINARY_CLASSES, positive="positive") if is_binary else options
    rows = StudyRows(table.file, chosen, columns={"arm": arm_column, "class": "rating"})
    positive = chosen.positive or (chosen.classes or BINARY_CLASSES)[-1].key
    for row in table.rows:
        case = row.required("case")
        rows.add_case(
            row, case, binary_truth(row, "truth", fix=_NAMES) if is_binary else rows.given_class(row, "truth"), {}
        )
        rating = rows.number(row, "rating")
        given = {} if np.isnan(rating) else {positive: rating}
        rows.add_reading(row, row.required("reader"), case, row.required(arm_column), ratings=given)
    return rows.study()


def write_mrmcaov(cohort: CohortArrays, index: int) -> bytes:
    """One class of a cohort against the rest."""
    rows = [
        (reader, arm, case, int(is_positive), rating)
        for reader, arm, case, is_positive, rating in rated_answers(cohort, index)
    ]
    return csv_bytes(("reader", "treatment", "case", "truth", "rating"), rows, has_mark=False)
