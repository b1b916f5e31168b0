"""Files of iMRMC, in and out: the program's own (free text, ``BEGIN DATA:``, rows without a header) and the table of
its R package (``readerID``, ``caseID``, ``modalityID``, ``score``).

A truth row for each case has readerID -1 (or "truth"), modalityID 0 (or "truth") and the score 0 or 1. Two classes: a
study with more becomes one file per class against the rest.

Source: Gallas et al., iMRMC (github.com/DIDSR/iMRMC), user guide, "Data file format".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.csv_file import (
    SEPARATORS,
    Columns,
    CsvFile,
    named_columns,
    read_csv_file,
    read_lines,
    read_records,
    rows_without_header,
)
from core.errors import InputError, ManifestError
from core.report.file_options import FileOptions
from core.report.study_rows import ReadingsFile, StudyRows
from core.report.two_classes import BINARY_CLASSES, binary_truth, rated_answers
from core.study_analysis.arrays import CohortArrays

COLUMNS = Columns(("readerID", "caseID", "modalityID", "score"), has_others=True)
_BEGIN = re.compile(r"\W*begin[ _]*data\W*", re.IGNORECASE)
_TRUTH_READERS, _TRUTH_ARMS = ("-1", "-1.0", "truth"), ("0", "0.0", "truth")
_COUNTS = {"NR": "readers", "N0": "cases without disease", "N1": "cases with disease", "NM": "modalities"}


# ------------------------------------------------------------------------------------------------------ in
def is_imrmc(lines: Sequence[str]) -> bool:
    """Whether a file's lines are of either form, or truth rows without a header."""
    if any(_BEGIN.fullmatch(line) for line in lines[:1000]) or "modalityID" in named_columns(lines, COLUMNS):
        return True
    cells = [cell.strip(' "\r\n') for cell in next(filter(str.strip, lines), "").split(",")]
    return len(cells) == len(COLUMNS.known) and cells[0].casefold() in _TRUTH_READERS


def read_imrmc(path: str | Path, options: FileOptions) -> ReadingsFile:
    """A file of either form as a study of two classes."""
    if options.positive is not None or options.classes is not None:
        raise InputError("the layout imrmc has its classes: score 1 of a truth row is diseased", field="classes",
                         fix="leave --classes and --positive out")  # fmt: skip
    table, text = _table(path)
    table.raise_first()
    names = {"reader": "readerID", "case": "caseID", "arm": "modalityID", "truth": "score", "class": "score",
             "rating": "score"}  # fmt: skip
    rows = StudyRows(table.file, replace(options, classes=BINARY_CLASSES, positive="positive"), columns=names)
    truth_rows: dict[str, int] = {}
    scored = []
    for row in table.rows:
        reader, case, arm = row.required("readerID"), row.required("caseID"), row.required("modalityID")
        if reader.casefold() not in _TRUTH_READERS:
            scored.append((row, reader, case, arm))
            continue
        if arm.casefold() not in _TRUTH_ARMS:
            raise row.error("modalityID", "must be 0 or truth in a truth row", arm, "write 0")
        if case in truth_rows:
            raise row.error("caseID", f"the case has a truth row already, row {truth_rows[case]}", case,
                            "keep one of the two")  # fmt: skip
        truth_rows[case] = row.number
        rows.add_case(row, case, binary_truth(row, "score"), {})
    for row, reader, case, arm in scored:
        rows.require_case(row, "caseID", case, f"add a row -1,{case},0,<0 or 1>")
        score = rows.given(row, "score")
        rows.add_reading(row, reader, case, arm, ratings={"positive": row.number_of("score")} if score else {})
    if not scored:
        raise ManifestError("the file holds no rating", file=table.file, fix="add the readers' rows")
    rows.notes += _count_notes(text, rows)
    return rows.study()


def _table(path: str | Path) -> tuple[CsvFile, Sequence[str]]:
    """The rows of either form, and the free text above them."""
    lines = read_lines(path)
    begin = next((at for at, line in enumerate(lines) if _BEGIN.fullmatch(line)), None)
    start = 0 if begin is None else begin + 1
    first = next((at for at, line in enumerate(lines) if at >= start and line.strip()), None)
    if first is None:
        raise ManifestError(
            "there is no row" if begin is None else "there is no row below BEGIN DATA:",
            file=path,
            row=max(1, len(lines)),
            fix="write rows such as -1,case1,0,1 and reader1,case1,A,0.7",
        )
    separator = max(SEPARATORS, key=lambda sign: lines[first].count(sign) if sign.strip(" ") else 0.5)
    cells = [cell.strip(' "\r\n') for cell in lines[first].split(separator)]
    is_named = any(COLUMNS.name_of(cell) in COLUMNS.known for cell in cells)
    if begin is None and (is_named or len(cells) != len(COLUMNS.known)):
        return read_csv_file(path, COLUMNS), ()
    records = read_records(path, lines, separator, first + 1 if is_named else first)
    width = len(COLUMNS.known)
    records = [
        (number, cells[:width] if not any(map(str.strip, cells[width:])) else cells) for number, cells in records
    ]
    return rows_without_header(path, COLUMNS.known, records, separator), lines[:start]


def _count_notes(text: Sequence[str], rows: StudyRows) -> list[str]:
    """Where the free text counts readers, cases or modalities otherwise than the rows."""
    found = rows.counts()
    notes = []
    for line in text:
        told = re.fullmatch(r"\W*(NR|N0|N1|NM)\s*[:=]?\s*(\d+)\W*", line, re.IGNORECASE)
        if told and found[told[1].upper()] != int(told[2]):
            notes.append(f"the file's text says {told[2]} {_COUNTS[told[1].upper()]}, its rows have "
                         f"{found[told[1].upper()]}; the rows count")  # fmt: skip
    return notes


# ------------------------------------------------------------------------------------------------------ out
def write_imrmc(cohort: CohortArrays, index: int) -> bytes:
    """One class of a cohort against the rest, as iMRMC's own file.

    Raises
    ------
    InputError
        If a name holds a comma, a quote or a line break, or is that of a truth row, which the format cannot hold.
    """
    answers = rated_answers(cohort, index)
    readers, arms = sorted({one[0] for one in answers}), sorted({one[1] for one in answers})
    for kind, names, taken in (
        ("reader", readers, _TRUTH_READERS),
        ("arm", arms, _TRUTH_ARMS),
        ("case", cohort.cases, ()),
    ):
        for name in names:
            if name.casefold() in taken or re.search(r'[,"\r\n]', name) or name != name.strip():
                raise InputError("iMRMC's file cannot hold this name", field=kind, value=name,
                                 fix="export the layout mrmcaov, which can")  # fmt: skip
    is_class = [int(truth == index) for truth in cohort.truth.tolist()]
    lines = [
        f"Cohort {cohort.cohort}: {cohort.class_keys[index]} against the rest", "",
        f"NR: {len(readers)}", f"N0: {len(is_class) - sum(is_class)}", f"N1: {sum(is_class)}", f"NM: {len(arms)}", "",
        "BEGIN DATA:",
        *(f"-1,{case},0,{truth}" for case, truth in zip(cohort.cases, is_class, strict=True)),
        *(f"{reader},{case},{arm},{rating!r}" for reader, arm, case, _, rating in answers),
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()
