"""The wide table that pROC and most statistics programs take, in and out: a row for each case, a column for each rater.

``case``, ``truth`` (1 is the class, 0 the rest), then one column of ratings for each reader and model, named
``READER.ARM`` (``MODEL.model``); empty where the case was not rated. In R::

    d <- read.csv("proc_internal_graves.csv", check.names = FALSE)
    pROC::roc(d$truth, d[["ann.unaided"]], direction = "<")
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.csv_file import Columns, csv_bytes, read_csv_file
from core.errors import InputError, ManifestError
from core.report.file_options import FileOptions, columns_for
from core.report.study_rows import ReadingsFile, StudyRows
from core.report.two_classes import BINARY_CLASSES, binary_truth, rated_answers
from core.study_analysis.arrays import CohortArrays

COLUMNS = Columns(("case", "truth"), has_others=True)


def read_proc(path: str | Path, options: FileOptions) -> ReadingsFile:
    """A wide table as a study of two classes; the part of a column's name after its last point is the arm."""
    if options.positive is not None or options.classes is not None:
        raise InputError("the layout proc has its classes: truth 1 is diseased", field="classes",
                         fix="leave --classes and --positive out")  # fmt: skip
    table = read_csv_file(path, columns_for(options, COLUMNS))
    table.raise_first()
    raters = [column for column in table.columns if column not in COLUMNS.known]
    if not raters:
        raise ManifestError("no column holds ratings", file=table.file, row=table.header_row,
                            fix="add a column for each reader, such as ann.unaided")  # fmt: skip
    rows = StudyRows(table.file, replace(options, classes=BINARY_CLASSES, positive="positive"))
    for row in table.rows:
        case = row.required("case")
        rows.add_case(row, case, binary_truth(row, "truth"), {})
        for column in raters:
            reader, point, arm = column.rpartition(".")
            given = {"positive": row.number_of(column)} if rows.given(row, column) else {}
            rows.add_reading(row, reader if point else column, case, arm if point else "unaided", ratings=given)
    return rows.study()


def write_proc(cohort: CohortArrays, index: int) -> bytes:
    """One class of a cohort against the rest."""
    answers = rated_answers(cohort, index)
    raters = list(dict.fromkeys(f"{reader}.{arm}" for reader, arm, *_ in answers))
    rating = {(case, f"{reader}.{arm}"): value for reader, arm, case, _, value in answers}
    rows = [
        (case, int(truth == index), *(rating.get((case, rater)) for rater in raters))
        for case, truth in zip(cohort.cases, cohort.truth.tolist(), strict=True)
    ]
    return csv_bytes(("case", "truth", *raters), rows, has_mark=False)
