"""Files for other programs: what each of them demands holds, and what comes back is the same analysis."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook, load_workbook

from core.analysis import analyse
from core.errors import ManifestError, UndefinedStatisticError
from core.report.excel_file import read_sheets, workbook_bytes
from core.report.file_names import file_parts
from core.report.file_options import FileOptions
from core.report.layout import Layout
from core.report.readings_file import files_and_reasons, read_readings_file, readings_files
from tests.core.analysis_studies import KEYS, simulated_study

ENDING = {"mrmcaov": "csv", "imrmc": "imrmc", "proc": "csv", "rjafroc": "xlsx"}
SAME = ["n", "value", "lower", "upper", "statistic", "df1", "df2", "p_value"]


@pytest.fixture(scope="module")
def study():
    return simulated_study(n_cases=60, readers=3, models=1, arms=("aided", "unaided"))


@pytest.fixture(scope="module")
def tables(study):
    return analyse(study).to_tables()


def come_back(study, layout, key, folder, part=""):
    """The files of a class, read again."""
    name = f"{layout}_internal_{key}{part}.{ENDING[layout]}"
    path = folder / name
    path.write_bytes(readings_files(study, layout)[name])
    return read_readings_file(path, layout).data


@pytest.mark.parametrize("layout", ENDING)
@pytest.mark.parametrize("key", KEYS)
def test_every_rater_has_the_same_area(study, tables, layout, key, tmp_path):
    """Of numbered readers too: RJafroc's ids are numbers, in the order of the names."""
    data = come_back(study, layout, key, tmp_path)
    found = analyse(data).to_tables()["auc"].query("kind == 'reader' and arm != 'model' and `class` == 'positive'")
    wanted = tables["auc"].query(f"kind == 'reader' and `class` == '{key}'")
    for column in ("n", "value", "standard_error", "lower", "upper"):
        np.testing.assert_allclose(found[column], wanted[column], rtol=1e-12, err_msg=column)  # cases in other order
    assert len(found) == 6


@pytest.mark.parametrize("layout", ENDING)
def test_the_comparison_of_the_arms_is_the_same(study, tables, layout, tmp_path):
    arms = tables["mrmc"].query("analysis == 'arms' and `class` == 'tumor' and metric == 'auc'")
    found = analyse(come_back(study, layout, "tumor", tmp_path)).to_tables()["mrmc"]
    names = {"1", "2"} if layout == "rjafroc" else {"aided", "unaided"}
    found = found[found["first"].isin(names) & found["second"].isin(names) & (found["metric"] == "auc")]
    assert len(arms) == len(found) == 3
    for column in SAME:
        np.testing.assert_array_equal(found[column].to_numpy(float), arms[column].to_numpy(float), column)


def test_the_model_is_the_first_reader_of_a_file_of_its_own(study, tables, tmp_path):
    data = come_back(study, "rjafroc", "graves", tmp_path, "_model-1_unaided")
    assert sorted(data.readings["reader"].unique()) == [] or data.reader_ratings is not None
    auc = analyse(data).to_tables()["auc"].set_index("participant")["value"]
    assert list(auc.index) == ["1", "2", "3", "4"]
    wanted = tables["auc"].query("kind == 'model' and `class` == 'graves'")["value"].iloc[0]
    assert auc["1"] == wanted


def test_what_the_reader_of_rjafroc_demands(study):
    """The checks of ``DfReadDataFile`` for a factorial ROC file, one by one."""
    files = readings_files(study, Layout.RJAFROC)
    assert {name.rpartition("_")[2] for name in files} == {f"{key}.xlsx" for key in KEYS} | {"key.csv"} | {
        f"{arm}.xlsx" for arm in ("aided", "unaided")
    }
    for name in (name for name in files if name.endswith(".xlsx")):
        book = load_workbook(io.BytesIO(files[name]))
        assert sorted(book.sheetnames) == ["FP", "TP", "TRUTH"]  # a fourth sheet would be taken for one of them
        truth, fp, tp = ([list(row) for row in book[sheet].iter_rows(values_only=True)] for sheet in
                         ("TRUTH", "FP", "TP"))  # fmt: skip
        assert truth[0] == ["CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm"]
        assert fp[0] == ["ReaderID", "ModalityID", "CaseID", "FP_Rating"]
        assert tp[0] == ["ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating"]
        assert [row[5] for row in truth[1:4]] == ["ROC", "FCTRL", None]
        cases = [row[0] for row in truth[1:]]
        assert len(set(cases)) == len(cases)
        assert all(type(case) is int for case in cases)
        assert all(row[1] in (0, 1) and None not in row[:5] for row in truth[1:])
        (readers,), (arms,) = ({row[at] for row in truth[1:]} for at in (3, 4))
        listed = {(reader, arm) for reader in readers.split(", ") for arm in arms.split(", ")}
        rated = {(row[0], row[1]) for row in fp[1:] + tp[1:]}
        assert rated == listed
        assert all(isinstance(text, str) for pair in rated for text in pair)
        for table, is_diseased in ((fp, 0), (tp, 1)):
            of_side = [row[0] for row in truth[1:] if row[1] == is_diseased]
            keys = [tuple(row[:3]) for row in table[1:]]
            assert sorted(keys) == sorted((*pair, case) for pair in listed for case in of_side)
            assert all(isinstance(row[-1], int | float) for row in table[1:])
        assert all(row[3] == 1 for row in tp[1:])


def test_rjafroc_gets_the_cases_that_all_rated_and_a_key_of_its_numbers(tmp_path):
    study = simulated_study(n_cases=60, readers=3, models=0, missing=0.2)
    files = readings_files(study, "rjafroc")
    key = pd.read_csv(io.BytesIO(files["rjafroc_internal_graves_key.csv"]), keep_default_na=False)
    names = key[key["kind"] == "reader"].set_index("id")["name"]
    assert dict(names) == {1: "reader-0", 2: "reader-1", 3: "reader-2"}
    data = come_back(study, "rjafroc", "graves", tmp_path)
    counts = study.readings.groupby("case")["reader"].nunique()
    wanted = set(counts[counts == 3].index)
    case_names = key[key["kind"] == "case"].astype({"id": str}).set_index("id")["name"]
    assert {case_names[case] for case in data.cases["case"]} == wanted
    (left,) = key[key["kind"] == "left out"].itertuples(index=False)
    assert (int(left.id), left.name) == (60 - len(wanted), "cases that not all of these raters rated")
    few = study.cases["case"].isin(["case-0000", "case-0001", "case-0002"])
    part = replace(study, cases=study.cases[few], readings=study.readings[study.readings["case"].isin(
        study.cases[few]["case"])], predictions=study.predictions[:0])  # fmt: skip
    with pytest.raises(UndefinedStatisticError):
        readings_files(part, "rjafroc")


def test_a_reader_of_one_arm_of_two_is_left_out_of_rjafroc_with_a_word():
    """Split-plot data are no factorial design."""
    study = simulated_study(n_cases=40, readers=3, models=1, arms=("aided", "unaided"))
    is_left = (study.readings["reader"] == "reader-1") & (study.readings["arm"] == "aided")
    files = readings_files(replace(study, readings=study.readings[~is_left]), "rjafroc")
    key = pd.read_csv(io.BytesIO(files["rjafroc_internal_graves_key.csv"]), keep_default_na=False)
    assert list(key.loc[key["kind"] == "left out", "name"]) == ["reader reader-1, who did not rate in every modality"]
    of_both = key[(key["kind"] == "reader") & (key["file"] == ".xlsx")]
    assert list(of_both["name"]) == ["reader-0", "reader-2"]


@pytest.mark.parametrize("layout", ENDING)
def test_a_class_that_no_case_has_keeps_no_other_class_from_its_file(layout):
    """A cohort without a tumor still has its files of Graves' disease; why tumor has none is said."""
    study = simulated_study(n_cases=40, readers=2, models=1)
    kept = study.cases["truth"] != "tumor"
    names = set(study.cases.loc[kept, "case"])
    part = replace(study, cases=study.cases[kept], readings=study.readings[study.readings["case"].isin(names)],
                   predictions=study.predictions[study.predictions["case"].isin(names)])  # fmt: skip
    files, reasons = files_and_reasons(part, layout)
    for key in KEYS:
        is_there = any(name.startswith(f"{layout}_internal_{key}") for name in files)
        assert is_there == (key != "tumor")
    assert list(reasons) == [f"{layout}_internal_tumor"]
    assert "0 of" in str(reasons[f"{layout}_internal_tumor"])
    with pytest.raises(UndefinedStatisticError, match="class 'tumor'"):
        readings_files(part, layout)


def test_long_names_make_names_of_files_that_every_disk_takes():
    names = ["患" * 100, "患" * 99 + "x", "a b", "A-B"]
    parts = file_parts(names)
    assert len({part.casefold() for part in parts.values()}) == 4
    assert all(len(part.encode()) <= 62 for part in parts.values())
    assert parts["a b"] == "a-b"


def test_a_workbook_is_the_same_bytes_whenever_it_is_made():
    sheets = {"one": (("a", "b"), [(1 / 3, "=1+1"), (None, "Käse")])}
    first, second = workbook_bytes(sheets), workbook_bytes(sheets)
    assert first == second
    cells = [[cell.value for cell in row] for row in load_workbook(io.BytesIO(first))["one"]]
    assert cells == [["a", "b"], [1 / 3, "=1+1"], [None, "Käse"]]
    assert load_workbook(io.BytesIO(first))["one"]["B2"].data_type == "s"


TRUTH = [(1, 0, 0, "1, 2", "1", "ROC"), (2, 0, 0, "1, 2", "1", "FCTRL"), (7, 1, 1, "1, 2", "1", None),
         (8, 1, 1, "1, 2", "1", None)]  # fmt: skip
FP = [("1", "1", 1, 1), ("1", "1", 2, 2), ("2", "1", 1, 1), ("2", "1", 2, 1)]
TP = [("1", "1", 7, 1, 3), ("1", "1", 8, 1, 4), ("2", "1", 7, 1, 2), ("2", "1", 8, 1, 5)]
T, F, P = (("CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm"),
           ("ReaderID", "ModalityID", "CaseID", "NL_Rating"),
           ("ReaderID", "ModalityID", "CaseID", "LesionID", "LL_Rating"))  # fmt: skip


@pytest.mark.parametrize(
    ("sheets", "said"),
    [
        ({"Truth": (T, TRUTH), "NL": (F, FP)}, None),
        ({"Truth": (T, TRUTH), "NL": (F, FP), "LL": (P, [*TP, TP[0]])}, r"worksheet LL, row 6.*row 2"),
        ({"Truth": (T, TRUTH), "NL": (F, [*FP, ("1", "1", 7, 2)]), "LL": (P, TP)}, r"row 6.*diseased.*rate it in TP"),
        ({"Truth": (T, TRUTH), "NL": (F, FP), "LL": (P, [("1", "1", 9, 1, 3)])}, r"row 2.*no truth row.*TRUTH"),
        ({"Truth": (T, [(1, 2, 0, "1", "1", "ROC")]), "NL": (F, FP), "LL": (P, TP)}, r"row 2.*must be 0 or 1"),
        ({"Truth": (T, [(1, 0, 0, "1", "1", "FROC")]), "NL": (F, FP), "LL": (P, TP)}, r"only ROC data"),
        ({"Truth": (T, TRUTH), "NL": (F[:3], [row[:3] for row in FP]), "LL": (P, TP)}, r"lacks a column.*FP_Rating"),
    ],
)
def test_a_workbook_that_will_not_do_says_where_and_why(sheets, said, tmp_path):
    path = tmp_path / "r.xlsx"
    path.write_bytes(workbook_bytes(sheets))
    if said is None:  # no workbook of RJafroc's: as any workbook
        with pytest.raises(ManifestError, match="Excel workbook"):
            read_readings_file(path)
        return
    with pytest.raises(ManifestError, match=said):
        read_readings_file(path, options=FileOptions())


def test_a_reader_who_is_listed_and_did_not_rate_has_a_missing_answer(tmp_path):
    path = tmp_path / "r.xlsx"
    path.write_bytes(workbook_bytes({"truth": (T, TRUTH), "nl": (F, FP), "tp": (P, TP[:-1])}))
    missing = analyse(read_readings_file(path).data).to_tables()["missing"].set_index("participant")["n_missing"]
    assert dict(missing) == {"1": 0, "2": 1}


@pytest.mark.parametrize("cell", ["A2000", "BZ40"])
def test_a_workbook_that_swells_is_refused_before_it_fills_the_memory(
    cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cell far away stands for a million empty ones before it, and every row for sixteen thousand."""
    monkeypatch.setattr("core.report.excel_file._MOST_CELLS", 1000)
    book = Workbook()
    for row in range(1, 41):
        book.active[f"{cell.rstrip('0123456789')}{row}"] = 1
    book.active[cell] = 1
    book.save(tmp_path / "wide.xlsx")
    with pytest.raises(ManifestError, match=r"wide\.xlsx: has more than 1,000 cells"):
        read_sheets(tmp_path / "wide.xlsx")
    monkeypatch.setattr("core.report.excel_file._MOST_CELLS", 10_000)
    assert read_sheets(tmp_path / "wide.xlsx") is not None
