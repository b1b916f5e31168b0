"""A bundle proves itself: whole, unchanged, and its tables follow from its readings; anything else is named."""

import csv
import hashlib
import html
import io
import json
import re
import sys
import zipfile
from dataclasses import replace
from fnmatch import fnmatchcase

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from openpyxl import load_workbook

import manage
from actions.bundle import bundle_of
from core.analysis import COLUMNS, analyse
from core.errors import ManifestError
from core.number_text import shown_table
from core.report import bundle as bundle_module
from core.report.bundle import (
    MANIFEST,
    about_analysis,
    check_bundle,
    is_bundle,
    read_bundle,
    result_files,
    table_csv,
    with_dictionary,
    write_bundle,
)
from core.report.dictionary import dictionary_rows
from core.report.document import _string, _typst_table, to_html
from core.report.excel_file import archive_bytes, read_sheets
from core.report.figures import figure_plans, render
from core.report.file_analysis import analyse_file
from core.report.layout import Layout
from core.report.printed_tables import CURVES, TEX_PAPER, PrintedTable, analysis_tables, paper_tables, tex_text
from core.report.readings_file import readings_files
from core.report.study_record import StudyRecord
from core.report.study_report import report_blocks
from core.report.table_layout import breakable, kept_together
from core.settings import get_settings
from tests.core.analysis_studies import KEYS, simulated_study
from tests.core.test_behaviour import study as altered_study

OPTIONS = {"confidence_level": 0.95, "margin": 0.05, "missing": "common"}


@pytest.fixture(scope="module")
def record():
    data = simulated_study(n_cases=60, readers=2, models=1, arms=("unaided", "aided"), missing=0.1, has_about=True,
                           repeats=8)  # fmt: skip
    return StudyRecord("s", "A study", data, analyse(data, **OPTIONS), OPTIONS, source="two files")


@pytest.fixture(scope="module")
def bundle(record, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "s.zip"
    path.write_bytes(bundle_of(record, widths_mm=(174,)))
    return path


def changed(bundle, path, *, is_hashed, **contents):
    """A copy with other files, the manifest adapted to them or not."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files[MANIFEST])
    for name, change in contents.items():
        files[name] = change(files[name])
        if is_hashed:
            manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
            manifest["sha256"] = bundle_module._manifest_hash(manifest)
    files[MANIFEST] = json.dumps(manifest).encode()
    path.write_bytes(archive_bytes(files))
    return check_bundle(read_bundle(path)).problems


def test_a_bundle_is_good_and_gives_the_same_numbers_elsewhere(record, bundle):
    check = check_bundle(read_bundle(bundle))
    assert check.is_good
    assert check.n_tables > 60
    found = analyse_file(bundle)
    for name, table in record.analysis.to_tables().items():
        pd.testing.assert_frame_equal(found.analysis.to_tables()[name], table, obj=name)
    assert found.analysis.cohorts[0].answer == record.analysis.cohorts[0].answer
    assert any("whole" in note for note in found.notes)


def test_a_fresh_installation_shows_the_same_numbers_and_writes_nothing(tmp_path, monkeypatch, capsys):
    """By the commands, with a data folder that holds nothing; and one byte that differs is named there too."""
    data = simulated_study(n_cases=10, readers=1, models=1)
    record = StudyRecord("s", "A study", data, analyse(data, **OPTIONS), OPTIONS, source="a file")
    bundle, fresh = tmp_path / "s.zip", tmp_path / "fresh"
    bundle.write_bytes(bundle_of(record, widths_mm=()))
    fresh.mkdir()
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(fresh))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["manage.py", *map(str, arguments)])
        get_settings.cache_clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            manage.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    before = bundle.read_bytes()
    status, said = run("verify-bundle", bundle)
    assert (status, "are as they were made" in said) == (0, True)
    status, told = run("analyse", bundle, "--json")
    assert status == 0
    assert json.loads(told)["tables"] == json.loads(json.dumps(record.analysis.to_dict()))["tables"]
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = "report/report.pdf"
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    (tmp_path / "changed.zip").write_bytes(archive_bytes(files))
    status, said = run("verify-bundle", tmp_path / "changed.zip")
    assert (status, f"{name}: was changed" in said) == (1, True)
    assert bundle.read_bytes() == before
    assert list(fresh.iterdir()) == []
    get_settings.cache_clear()


def test_one_byte_of_any_file_of_it_is_named(bundle, tmp_path):
    """Every file, not a sample of them: hashes are looked at before anything is made of it."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    opened = read_bundle(bundle)
    for name in opened.files:
        changed_file = bytes([files[name][0] ^ 1]) + files[name][1:]
        problems = list(bundle_module._hash_problems(replace(opened, files={**opened.files, name: changed_file})))
        assert problems == [f"{name}: was changed after the bundle was made"]
    forged = {**json.loads(files[MANIFEST]), "title": "Another"}
    (problem,) = bundle_module._hash_problems(replace(opened, manifest=forged))
    assert problem.startswith(MANIFEST)


def test_the_dictionary_writes_yes_and_no_as_the_files_do(bundle):
    with zipfile.ZipFile(bundle) as archive:
        told = list(csv.DictReader(io.StringIO(archive.read("data/dictionary.csv").decode("utf-8-sig"))))
        checked = 0
        for row in told:
            if row["file"].endswith(".csv") and "*" not in row["file"] and "rue, " in row["values"]:
                text = archive.read(row["file"]).decode("utf-8-sig")
                cells = {line[row["column"]] for line in csv.DictReader(io.StringIO(text))}
                assert cells <= {*row["values"].split(", "), ""}, row
                checked += len(cells - {""})
    assert checked > 8


TABLE = "tables/csv/summary.csv"


@pytest.mark.parametrize("name", [TABLE, "tables/latex/auc.tex", "paper/csv/table4_internal.csv", "data/analysis.csv",
                                  "figures/roc_internal_174mm.svg"])  # fmt: skip
def test_a_changed_file_is_named(bundle, tmp_path, name):
    problems = changed(bundle, tmp_path / "b.zip", is_hashed=False, **{name: lambda text: text + b" "})
    assert any(problem.startswith(f"{name}: was changed") for problem in problems)


def test_a_forged_number_with_a_forged_hash_is_found(record, bundle, tmp_path):
    value = repr(float(record.analysis.to_tables()["summary"]["value"].iloc[0])).encode()
    problems = changed(bundle, tmp_path / "b.zip", is_hashed=True, **{TABLE: lambda text: text.replace(value, b"0.99")})
    assert problems == (f"{TABLE}: differs from what the readings give",)


def test_a_forged_number_of_the_report_with_a_forged_hash_is_found(record, bundle, tmp_path):
    share = record.analysis.to_tables()["per_class"].dropna(subset="value")["value"].iloc[0]
    printed = f"{100 * share:.1f}".encode()
    name = "report/report.html"
    for old in (printed, record.analysis.cohorts[0].answer[0][:60].encode()):
        problems = changed(bundle, tmp_path / "b.zip", is_hashed=True,
                           **{name: lambda text, old=old: text.replace(old, b"99.9")})  # fmt: skip
        assert problems == (f"{name}: its numbers differ from what the readings give",)


def test_a_forged_reading_with_a_forged_hash_is_found(bundle, tmp_path):
    def change(content):
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
        at = table.index[(table["kind"] == "reader") & (table["label"] == "graves")][0]
        table.loc[at, "label"] = "tumor"
        return table.to_csv(index=False).encode()

    problems = changed(bundle, tmp_path / "b.zip", is_hashed=True, **{"data/analysis.csv": change})
    assert f"{TABLE}: differs from what the readings give" in problems


def test_answers_that_were_wrong_on_purpose_come_back(tmp_path):
    data = altered_study()
    options = {**OPTIONS, "margin": None}
    record = StudyRecord("s", "A study", data, analyse(data, **options), options, source="a file")
    path = tmp_path / "s.zip"
    files = readings_files(data, Layout.LONG)
    path.write_bytes(write_bundle({"data/analysis.csv": files["analysis.csv"],
                                   **result_files(record.analysis, data.declared_model)},
                                  about_analysis(data, options)))  # fmt: skip
    opened = read_bundle(path)
    assert check_bundle(opened).problems == ()
    ledger = opened.analysis.to_tables()["aid_ledger"]
    assert ledger.loc[ledger["shown"] == "altered", "of"].sum() > 0


def test_a_confidence_that_was_forged_in_the_list_of_readings_is_found(tmp_path):
    data = simulated_study(n_cases=20, readers=1, models=0, repeats=3)
    options = {**OPTIONS, "margin": None}
    listed = data.readings.rename(columns={"label": "class"}).assign(is_current=True, is_training=False)
    for change, wanted in ((0, ()), (1, ("data/readings.csv: its last revisions differ from data/analysis.csv",))):
        listed.loc[0, "confidence"] += change
        files = {"data/readings.csv": table_csv(listed), **result_files(analyse(data, **options)),
                 "data/analysis.csv": readings_files(data, Layout.LONG)["analysis.csv"]}  # fmt: skip
        path = tmp_path / f"{change}.zip"
        path.write_bytes(write_bundle(files, about_analysis(data, options)))
        assert check_bundle(read_bundle(path)).problems == wanted


def test_two_files_of_one_name_are_refused(bundle, tmp_path):
    path = tmp_path / "b.zip"
    path.write_bytes(bundle.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "another")
    with pytest.raises(ManifestError, match="two files of one name"):
        read_bundle(path)


def test_a_cell_of_the_workbook_is_compared(bundle, tmp_path):
    def change(content):
        book = load_workbook(io.BytesIO(content))
        book["summary"]["I2"] = 0.123
        stream = io.BytesIO()
        book.save(stream)
        return stream.getvalue()

    problems = changed(bundle, tmp_path / "b.zip", is_hashed=True, **{"tables/tables.xlsx": change})
    assert problems == ("tables/tables.xlsx: differs from what the readings give",)


def test_a_file_more_and_a_file_less_are_named(bundle, tmp_path):
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    del files["README.txt"]
    path = tmp_path / "b.zip"
    path.write_bytes(archive_bytes({**files, "more.txt": b""}))
    assert set(check_bundle(read_bundle(path)).problems) == {
        "more.txt: is not in the manifest",
        "README.txt: is missing",
    }


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"case,truth\n"])
def test_what_is_no_bundle_is_refused(tmp_path, content):
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    assert not is_bundle(path)
    with pytest.raises(ManifestError, match="whole zip"):
        read_bundle(path)
    path.write_bytes(archive_bytes({"a": b"b"}))
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_bundle(path)


def test_every_column_of_every_file_has_a_meaning(bundle, record):
    """Whatever file is added to a bundle: its columns stand in the dictionary, or this fails."""
    files = read_bundle(bundle).files
    rows = list(pd.read_csv(io.BytesIO(files["data/dictionary.csv"]), keep_default_na=False).itertuples(index=False))
    assert not [row for row in rows if not row.meaning]
    told = {}
    for row in rows:
        told.setdefault(row.file, set()).add(row.column)
    raters = re.compile(r"[^.]+\.(aided|unaided|model)")
    checked = 0
    for name, content in files.items():
        pattern = next((one for one in told if fnmatchcase(name, one)), None)
        columns = []
        if name.endswith(".csv"):
            columns = next(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        elif name.startswith("others/") and name.endswith(".xlsx"):
            columns = [cell for sheet in read_sheets(io.BytesIO(content)).values() for cell in sheet[0]]
        elif name.endswith((".xlsx", ".imrmc")):
            assert pattern is not None, name
        for column in columns:
            assert column in told[pattern] or raters.fullmatch(column), (name, column)
            checked += 1
    assert checked > 600
    told_tables = dictionary_rows({f"tables/csv/{name}.csv": columns for name, columns in COLUMNS.items()}, {})
    assert not [row for row in told_tables if not row[2]]
    assert {row.file for row in rows} >= {
        "data/analysis.csv", "paper/csv/table1.csv", "others/proc/*.csv",
        *(f"tables/csv/{name}.csv" for name in COLUMNS),
    }  # fmt: skip


@pytest.fixture(scope="module")
def full():
    """An analysis in which every table has rows."""
    study = simulated_study(n_cases=36, readers=2, models=1, arms=("aided", "unaided"), repeats=6, has_about=True,
                            missing=0.1, cohorts=2)  # fmt: skip
    cases = study.cases.copy()
    cases.loc[1, "patient"] = cases.loc[0, "patient"]  # one of each cohort
    return analyse(replace(study, cases=cases), margin=0.05, cutoffs=[3])


def test_every_table_is_the_same_strings_in_csv_json_excel_latex_html_and_report(full):
    """All digits in CSV and JSON, 16 in Excel; the strings of the screen in the column ``estimate`` of all, in LaTeX
    and in HTML. Every table that is declared is held, none is empty, and each format has each of them."""
    tables, files = full.to_tables(), result_files(full)
    assert set(tables) == set(COLUMNS)
    assert not [name for name, table in tables.items() if not len(table)]
    sheets = read_sheets(io.BytesIO(files["tables/tables.xlsx"]))
    in_json = json.loads(json.dumps(full.to_dict()))["tables"]
    printed = {table.key: table for table in analysis_tables(full)}
    assert set(sheets) == set(in_json) == set(tables)
    assert set(printed) == set(tables) - set(CURVES)
    for name, table in tables.items():
        wanted = list(csv.reader(io.StringIO(files[f"tables/csv/{name}.csv"].decode("utf-8-sig"), newline="")))
        assert wanted[0] == list(table.columns) == list(sheets[name][0])
        in_rows = [list(row.values()) for row in in_json[name]]
        assert len(wanted) == len(sheets[name]) == len(in_rows) + 1 == len(table) + 1
        for texts, excel, told in zip(wanted[1:], sheets[name][1:], in_rows, strict=True):
            for text, cell, value in zip(texts, excel, told, strict=True):
                if isinstance(value, float):
                    assert float(text) == value, name
                    assert cell == pytest.approx(value, rel=1e-15), name
                else:
                    as_text = "" if value is None else str(value)
                    assert (text.removeprefix("'"), "" if cell is None else str(cell)) == (as_text, as_text), name
        if name not in printed:
            continue
        shown = shown_table(table)
        tex, page = (
            files[f"tables/{kind}/{name}.{end}"].decode() for kind, end in (("latex", "tex"), ("html", "html"))
        )
        cells = re.sub(r"\\allowbreak\{\}|~", lambda found: " " if found[0] == "~" else "", tex)
        lines = re.findall(r"<tr>(<td.*?)</tr>", page)
        assert len(lines) == len(table)
        for part in printed[name].parts(TEX_PAPER):
            assert all(" & ".join(map(tex_text, row)) + r" \\" in cells for row in part.rows)
        for row, line in zip(printed[name].rows, lines, strict=True):
            assert [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", line)] == list(row)
        if "estimate" in shown:
            place = printed[name].columns.index("Estimate")
            assert [row[place] for row in printed[name].rows] == list(shown["estimate"]) == list(table["estimate"]), (
                name
            )


def test_the_report_prints_these_strings_as_page_and_as_pdf(full):
    """Of every table that the report has, cell by cell; a PDF is set from the same strings."""
    data = simulated_study(n_cases=4 * 4, readers=1, models=1)  # no number of it is printed
    blocks = report_blocks(StudyRecord("s", "A study", data, full, OPTIONS, source="a file"))
    page, printed = to_html("T", blocks).decode(), [block for block in blocks if isinstance(block, PrintedTable)]
    tables = full.to_tables()
    kinds = {"mcnemar", "margins", "mrmc", "localisation", "calibration", "reading_times"}
    assert {table.key for table in printed} >= kinds | {"table1", "table2_internal", "table4_internal"}
    for table in printed:
        source = _typst_table(table)
        for row in table.rows:
            assert "".join(f"<td>{html.escape(cell)}</td>" for cell in row) in page
            assert all(f"[#{_string(breakable(kept_together(cell)))}]" in source for cell in row)
        if table.key in kinds:
            place = table.columns.index("Estimate")
            assert {row[place] for row in table.rows} <= set(tables[table.key]["estimate"])


def test_the_papers_tables_hold_the_analysis(record):
    tables = {table.key: table for table in paper_tables(record.analysis)}
    assert set(tables) == {"table1", "table2_internal", "table4_internal"}
    assert tables["table2_internal"].columns[:3] == ("Model", "Class", "Recall (%)")
    cohort = record.analysis.cohort("internal")
    model = next(one for one in cohort.participants if one.kind == "model")
    for row, key in zip(tables["table2_internal"].rows, KEYS, strict=True):
        assert row[2] == f"{100 * model.of_class(key).quantities['sensitivity'].value:.1f}"
    for table in tables.values():
        assert {len(row) for row in table.rows} == {len(table.columns)} == {len(table.flat_columns)}
        assert "undefined" not in table.latex()


def test_a_figure_is_of_its_width_at_eight_points_on_white(record):
    for plan in figure_plans(record.analysis):
        for width in (84, 174):
            svg = render(plan, width, ("svg",))["svg"].decode()
            points = float(svg.split('width="')[1].split("pt")[0])
            assert points == pytest.approx(width / 25.4 * 72, abs=0.01), plan.name
            assert "fill: #ffffff" in svg


def test_the_manifest_of_a_file_study_says_that_it_was_not_blinded_here(bundle):
    opened = read_bundle(bundle)
    assert opened.manifest["is_blinded_here"] is False
    assert opened.protocol is None
    assert b"cannot say whether they were blinded" in opened.files["README.txt"]


def test_a_bundle_without_figures_is_checked_as_well(record, tmp_path):
    files = with_dictionary({"data/analysis.csv": b"x", "tables/csv/a.csv": table_csv(pd.DataFrame({"n": [1]}))},
                            record.data.classes)  # fmt: skip
    path = tmp_path / "b.zip"
    path.write_bytes(write_bundle(files, {"analysis": {}, "classes": [], "declared_model": None}))
    assert any("cannot be made" in problem for problem in check_bundle(read_bundle(path)).problems)


def test_classes_with_long_names_have_numbers_and_a_key_beside_their_matrix():
    study = simulated_study(n_cases=16, readers=2, models=0)
    named = [replace(one, short_label=f"A name that fills an axis, {one.label}") for one in study.classes]
    plans = {plan.name: plan for plan in figure_plans(analyse(replace(study, classes=named)))}
    figure = plans["confusion_internal"].draw(84)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1", "2", "3", "4"]
    told = " ".join(text.get_text() for text in figure.legends[0].get_texts()).replace("\n", " ")
    assert all(one.short_label in told for one in named)
    assert figure.axes[0].get_window_extent().width > 0.4 * figure.bbox.width, "the matrix is what is seen"
