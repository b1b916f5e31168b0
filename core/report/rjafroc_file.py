"""Excel files of the R package RJafroc (its ROC paradigm, factorial design), in and out.

Three worksheets and no other: ``TRUTH`` (CaseID, LesionID, Weight, ReaderID, ModalityID, Paradigm), ``FP`` (ReaderID,
ModalityID, CaseID, FP_Rating) and ``TP`` (ReaderID, ModalityID, CaseID, LesionID, TP_Rating); also under their other
names ``NL`` and ``LL``. Case ids are whole numbers; the cells ReaderID and ModalityID of ``TRUTH`` are texts that list
who read the case, "1, 2, 3"; the first two cells of Paradigm are ROC and FCTRL.

What its reader demands of a factorial ROC file, and :func:`write_rjafroc` therefore keeps: every listed reader has a
rating of every case in every modality, a diseased case stands in ``TP`` alone with LesionID 1 and the others in ``FP``
alone, no rating twice. Models are compared by its ``StSignificanceTestingCadVsRad``, which takes one modality whose
first reader is the model: a file for each model and arm.

Source: Chakraborty, RJafroc, vignette "JAFROC Excel file data format: ROC" and the checks of ``DfReadDataFile``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.csv_file import CsvFile, CsvRow, csv_bytes, rows_without_header
from core.errors import InputError, ManifestError, UndefinedStatisticError
from core.report.excel_file import Sheets, read_sheets, workbook_bytes
from core.report.file_options import FileOptions
from core.report.study_rows import ReadingsFile, StudyRows
from core.report.two_classes import BINARY_CLASSES, rated_answers
from core.study_analysis.arrays import CohortArrays

TRUTH_COLUMNS = ("CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm")
FP_COLUMNS = ("ReaderID", "ModalityID", "CaseID", "FP_Rating")
TP_COLUMNS = ("ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating")
_SHEETS = {"TRUTH": ("TRUTH",), "FP": ("FP", "NL"), "TP": ("TP", "LL")}
_OTHER_NAMES = {"NL_Rating": "FP_Rating", "LL_Rating": "TP_Rating"}


# ------------------------------------------------------------------------------------------------------ in
def is_rjafroc(path: str | Path) -> bool:
    """Whether a workbook has the three worksheets."""
    names = {name.upper() for name in read_sheets(Path(path)) or ()}
    return all(names & set(known) for known in _SHEETS.values())


def read_rjafroc(path: str | Path, options: FileOptions) -> ReadingsFile:
    """A workbook as a study of two classes.

    Raises
    ------
    ManifestError
        For the first thing that is wrong, with its worksheet and row; also for marks of lesions (FROC, LROC).
    """
    if options.positive is not None or options.classes is not None:
        raise InputError("the layout rjafroc has its classes: LesionID 1 is diseased", field="classes",
                         fix="leave --classes and --positive out")  # fmt: skip
    sheets = read_sheets(Path(path)) or {}
    truth, fp, tp = (_sheet(path, sheets, name) for name in _SHEETS)
    names = {"reader": "ReaderID", "case": "CaseID", "arm": "ModalityID", "truth": "LesionID", "rating": "FP_Rating"}
    rows = StudyRows(str(path), replace(options, classes=BINARY_CLASSES, positive="positive"), columns=names)
    _refuse_marks(truth)
    expected: dict[tuple[str, str, str], CsvRow] = {}
    diseased: dict[str, bool] = {}
    for row in truth.rows:
        case, is_diseased = row.required("CaseID"), _is_diseased(row)
        if case in diseased:
            raise row.error("CaseID", "the case has a row already", case, "keep one of the two")
        diseased[case] = is_diseased
        rows.add_case(row, case, "positive" if is_diseased else "negative", {})
        for reader in _listed(row, "ReaderID"):
            for arm in _listed(row, "ModalityID"):
                expected[reader, arm, case] = row
    for table, column, is_diseased in ((fp, "FP_Rating", False), (tp, "TP_Rating", True)):
        for row in table.rows:
            case = row.required("CaseID")
            rows.require_case(row, "CaseID", case, "add a row of the case to TRUTH")
            if diseased[case] != is_diseased:
                side = "diseased" if diseased[case] else "not diseased"
                raise row.error("CaseID", f"the case is {side}", case,
                                "rate it in TP" if diseased[case] else "rate it in FP")  # fmt: skip
            reader, arm = row.required("ReaderID"), row.required("ModalityID")
            expected.pop((reader, arm, case), None)
            rows.add_reading(row, reader, case, arm, ratings={"positive": row.number_of(column)})
    for (reader, arm, case), row in expected.items():
        rows.add_reading(row, reader, case, arm)
    return rows.study()


def _sheet(path: str | Path, sheets: Sheets, name: str) -> CsvFile:
    """A worksheet as rows of texts, its columns under their first names."""
    found = next((one for one in sheets if one.upper() in _SHEETS[name]), None)
    if found is None:
        raise ManifestError("the worksheet is missing", file=path, field=name,
                            fix="RJafroc's workbook has the worksheets TRUTH, FP and TP")  # fmt: skip
    wanted = {"TRUTH": TRUTH_COLUMNS[:2], "FP": FP_COLUMNS, "TP": TP_COLUMNS}[name]
    lines = [[_text(cell) for cell in row] for row in sheets[found]]
    header = [_OTHER_NAMES.get(cell, cell) for cell in lines[0]] if lines else []
    for column in wanted:
        if column not in header:
            raise ManifestError("the worksheet lacks a column", file=f"{path}, worksheet {found}", row=1, field=column,
                                fix="columns needed: " + ", ".join(wanted))  # fmt: skip
    records = [(number, cells) for number, cells in enumerate(lines[1:], start=2) if any(cells)]
    table = rows_without_header(f"{path}, worksheet {found}", header, records, ",")
    table.raise_first()
    return table


def _text(value: Any) -> str:
    """A cell as text; whole numbers without a point."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value).strip()


def _refuse_marks(truth: CsvFile) -> None:
    """Said where the file is of another paradigm, whose marks of lesions are no ratings of cases."""
    paradigms = [row.text("Paradigm").upper() for row in truth.rows if row.text("Paradigm")]
    if paradigms and paradigms[0] != "ROC":
        raise truth.rows[0].error("Paradigm", "only ROC data are analysed: one rating for each case", paradigms[0],
                                  "rate each case by its highest mark, and write ROC")  # fmt: skip


def _is_diseased(row: CsvRow) -> bool:
    lesion = row.number_of("LesionID")
    if lesion not in (0.0, 1.0):
        raise row.error("LesionID", "must be 0 or 1 in ROC data", row.text("LesionID"), "write 1 for a diseased case")
    return lesion == 1.0


def _listed(row: CsvRow, column: str) -> list[str]:
    """Names of a cell such as "1, 2, 3"; none where the column is missing, as in RJafroc's older files."""
    return [part.strip() for part in row.text(column).split(",") if part.strip()]


# ------------------------------------------------------------------------------------------------------ out
def write_rjafroc(cohort: CohortArrays, index: int) -> dict[str, bytes]:
    """One class of a cohort against the rest: ending of a file's name -> its bytes, and a key of the numbers.

    Readers who read in every arm, on the cases that all of them rated; each model with the readers of each arm. What
    this leaves out, the key says in rows "left out".

    Raises
    ------
    UndefinedStatisticError
        If fewer than two cases of a side were rated by all.
    """
    arms = sorted({one.arm for one in cohort.participants if one.kind == "reader"})
    ratings: dict[tuple[str, str], dict[str, float]] = {}
    for reader, arm, case, _, rating in rated_answers(cohort, index):
        ratings.setdefault((reader, arm), {})[case] = rating
    readers = sorted({key for key, arm in ratings if arm in arms and all((key, other) in ratings for other in arms)})
    models = sorted(key for key, arm in ratings if arm == "model")
    case_ids = {case: number for number, case in enumerate(cohort.cases, start=1)}
    is_class = {case: bool(truth == index) for case, truth in zip(cohort.cases, cohort.truth.tolist(), strict=True)}
    key_rows: list[tuple[object, ...]] = [("", "case", number, case) for case, number in case_ids.items()]
    files: dict[str, bytes] = {}

    def add(ending: str, raters: list[str], in_arms: list[str], of: Mapping[tuple[int, int], dict[str, float]]) -> None:
        common = [case for case in case_ids if all(case in rated for rated in of.values())]
        files[f"{ending}.xlsx"] = _workbook(
            of, len(raters), len(in_arms), {one: case_ids[one] for one in common}, is_class
        )
        name = f"{ending}.xlsx".removeprefix("_")
        if len(common) < len(case_ids):
            key_rows.append((name, "left out", len(case_ids) - len(common), "cases that not all of these raters rated"))
        key_rows.extend((name, "reader", number, one) for number, one in enumerate(raters, start=1))
        key_rows.extend((name, "modality", number, one) for number, one in enumerate(in_arms, start=1))

    partial = sorted({key for key, arm in ratings if arm in arms} - set(readers))
    key_rows += [(".xlsx", "left out", "", f"reader {one}, who did not rate in every modality") for one in partial]
    if readers:
        add("", readers, arms, {(j, i): ratings[reader, arm] for j, reader in enumerate(readers, start=1)
                                for i, arm in enumerate(arms, start=1)})  # fmt: skip
    for number, model in enumerate(models, start=1):
        for arm in arms:
            panel = sorted(key for key, other in ratings if other == arm)
            raters = {(1, 1): ratings[model, "model"]}
            raters |= {(j, 1): ratings[reader, arm] for j, reader in enumerate(panel, start=2)}
            add(f"_model-{number}_{arm}", [model, *panel], [arm], raters)
    if files:
        files["_key.csv"] = csv_bytes(("file", "kind", "id", "name"), key_rows)
    return files


def _workbook(
    ratings: Mapping[tuple[int, int], dict[str, float]], n_readers: int, n_arms: int, case_ids: Mapping[str, int],
    is_class: Mapping[str, bool],
) -> bytes:  # fmt: skip
    """A factorial file of these cases, which all rated; (reader number, modality number) -> case -> rating."""
    common = list(case_ids)
    n_positive = sum(is_class[case] for case in common)
    if min(n_positive, len(common) - n_positive) < 2:
        raise UndefinedStatisticError(
            f"Only {n_positive} cases of the class and {len(common) - n_positive} others were rated by all, and "
            "RJafroc takes complete data with two on either side. Fix: export the layout mrmcaov."
        )
    readers, arms = (", ".join(str(number + 1) for number in range(n)) for n in (n_readers, n_arms))
    paradigm = ["ROC", "FCTRL", *[None] * len(common)]
    truth = [
        (case_ids[case], int(is_class[case]), int(is_class[case]), readers, arms, word)
        for case, word in zip(common, paradigm, strict=False)
    ]

    def rated(is_positive: bool) -> Iterable[tuple[object, ...]]:
        for (reader, arm), of in sorted(ratings.items(), key=lambda item: (item[0][1], item[0][0])):
            for case in common:
                if is_class[case] == is_positive:
                    lesion = (1,) if is_positive else ()
                    yield (str(reader), str(arm), case_ids[case], *lesion, float(np.float64(of[case])))

    return workbook_bytes({
        "TRUTH": (TRUTH_COLUMNS, truth), "FP": (FP_COLUMNS, rated(False)), "TP": (TP_COLUMNS, rated(True)),
    })  # fmt: skip
