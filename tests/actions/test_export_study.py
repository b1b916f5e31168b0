"""Exported files: what comes back from them is what went out; complete or not there."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from argon2.profiles import CHEAPEST
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.bundle import bundle_of
from actions.export_study import csv_file, export_study, layout_files
from actions.study_record import study_record
from core.analysis import analyse
from core.csv_file import FORMULA_STARTS, Columns, original_text, read_csv_file
from core.errors import ConflictError
from core.protocol import Design, DiseaseClass, Protocol
from core.report.bundle import check_bundle, read_bundle
from core.report.file_analysis import analyse_file
from core.report.file_options import FileOptions
from core.report.layout import Layout
from core.report.readings_file import read_readings_file
from core.study import Answer, CaseRecord, Role, StudyState
from db import OPERATOR, CasePrediction, Repository, create_store
from db.password_hashing import Passwords
from tests.core.analysis_studies import simulated_study
from tests.stores import repository_of

STUDY = "odd"
ODD = [
    "-001",
    "+2",
    "=3",
    "@4",
    "007",
    "7",
    "1e5",
    "3-Mar",
    "'quoted",
    "'=1",
    "a,b",
    "a;b",
    'say "x"',
    "NA",
    "Käse",
    "患者",
]
CLASSES = (DiseaseClass("none", "None found", "None"), DiseaseClass("=bad", "Bad, very", "Bad"),
           DiseaseClass("0", "Zero", "0"))  # fmt: skip


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40))
def test_no_exported_text_begins_like_a_formula_and_none_is_lost(text: str) -> None:
    content = csv_file("t.csv", pd.DataFrame({"comment": [text], "n": [1]})).content.decode("utf-8-sig")
    ((found, _),) = list(csv.reader(io.StringIO(content, newline="")))[1:]
    assert original_text(found) == text
    assert not found.startswith(FORMULA_STARTS)


def test_numbers_keep_all_digits_and_their_sign() -> None:
    file = csv_file("t.csv", pd.DataFrame({"value": [-1 / 3, 0.1 + 0.2, float("nan")]}))
    lines = file.content.decode().splitlines()
    assert [float(line) for line in lines[1:3]] == [-1 / 3, 0.1 + 0.2]
    assert lines[3] in ("", '""')  # a row of one empty field
    assert file.n_rows == 3


def test_an_export_never_writes_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ConflictError, match="not empty"):
        export_study(None, "demo", tmp_path)  # type: ignore[arg-type]  # refused before the store is asked
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An unsealed study of two arms, two cohorts, four readers, two models, with everything that files stumble over."""
    folder = tmp_path_factory.mktemp("store")
    engine = create_store(f"sqlite:///{folder / 'store.sqlite3'}")

    def acting(actor: object) -> Repository:
        return repository_of(engine, actor, passwords=Passwords(CHEAPEST))  # type: ignore[arg-type]

    operator, rng = acting(OPERATOR), np.random.default_rng(3)
    protocol = Protocol(title="Odd", classes=CLASSES, design=Design.CROSSOVER, washout_days=0, model_sha256="ab" * 32)
    operator.register_model(sha256="ab" * 32, name="net", architecture="s", path="n.safetensors", metadata={})
    operator.create_study(STUDY, protocol, is_synthetic=True)
    names = ODD + [f"c{number:02d}" for number in range(20)]
    keys = list(protocol.class_keys)
    operator.import_cases(STUDY, [
        CaseRecord(case=name, patient=f"p{number // 2}", cohort=("internal", "=ext; ern")[number // 2 % 2],
                   truth=keys[number % 3], pixels=rng.integers(0, 99, (4, 4), dtype=np.uint8), centre="Zürich",
                   age_years=40.5 if number % 2 else None, sex="F",
                   exclusion_reason="=moved\n;twice" if number == 9 else None)
        for number, name in enumerate(names)
    ])  # fmt: skip
    for login in ("ann", "ben", "cem", "dan"):
        person = operator.create_person(login, f"Dr, {login}", Role.READER, is_temporary=False,
                                        password=f"{login} reads at night",
                                        years_of_experience=5.5 if login == "ann" else None)  # fmt: skip
        operator.add_reader(STUDY, person.login, cohorts=["internal", "=ext; ern"])
    for model in ("ab" * 32, "cd" * 32):
        operator.register_model(sha256=model, name="net", architecture="s", path="n.safetensors", metadata={})
        operator.save_predictions(STUDY, model, [
            CasePrediction(case=name, probabilities=rng.dirichlet(np.ones(3)), entropy=0.5, device="cpu",
                           is_out_of_distribution=False, precision="float32")
            for number, name in enumerate(names) if number != 9
        ])  # fmt: skip
    operator.set_state(STUDY, StudyState.OPEN)
    for login in ("ann", "ben", "cem"):  # dan never comes; cem stops after 50
        reader = acting(operator.person(login))
        for turn in itertools.count():
            presentation = reader.next_presentation(STUDY)
            if presentation is None or (login == "cem" and turn == 50):
                break
            answer = Answer(keys[int(rng.integers(3))], int(rng.integers(1, 6)), reading_seconds=float(rng.random()),
                            comment='=HYPERLINK("x");\n"two", lines')  # fmt: skip
            if turn % 11 == 4:
                answer = replace(
                    answer, class_key=None, confidence=None, is_unreadable=True, unreadable_reason="=moved"
                )
            reader.save_reading(presentation.presentation_id, answer, submit_id=f"{login}-{turn}")
            if turn % 7 == 3:
                corrected = Answer(keys[0], 1, comment="corrected")
                reader.save_reading(
                    presentation.presentation_id, corrected, submit_id=f"{login}-{turn}-again", expected_revision=1
                )
    operator.set_state(STUDY, StudyState.CLOSED)
    operator.set_state(STUDY, StudyState.LOCKED)
    operator.set_state(STUDY, StudyState.UNSEALED)
    return operator


@pytest.fixture(scope="module")
def exported(store: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "results"
    export_study(store, STUDY, folder, (Layout.MRMCAOV,))
    return folder


def test_what_is_exported_gives_the_same_analysis(store: Repository, exported: Path) -> None:
    """Every table, to the last digit: cases, missing answers, names, cohorts, corrections, unreadables, patients. The
    file knows the keys of the classes, and not what people call them in notes."""
    wanted = analyse(store.study_data(STUDY)).to_tables()
    found = analyse_file(exported / "analysis.csv", options=FileOptions(classes=CLASSES)).analysis.to_tables()
    assert set(wanted["cases"]["cohort"]) == {"internal", "=ext; ern"}
    assert {"Dr, dan", "net (abababab)"} <= set(wanted["missing"]["name"])
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)


def test_a_folder_is_one_event_with_the_hash_of_each_file(store: Repository, exported: Path) -> None:
    (event,) = [each for each in store.audit_trail(STUDY) if each.action == "study.export"
                and each.detail["what"] == "folder"]  # fmt: skip
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in exported.iterdir()}
    assert event.detail["files"] == found
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(found.items()))
    assert event.detail["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_the_study_comes_back_row_by_row(store: Repository, exported: Path) -> None:
    data, back = store.study_data(STUDY), read_readings_file(exported / "analysis.csv").data
    assert back.class_keys == ("none", "=bad", "0")
    assert set(ODD) <= set(back.cases["case"])
    pd.testing.assert_frame_equal(back.cases, data.cases[back.cases.columns], check_dtype=False)
    order = ["reader", "arm", "case", "repeat"]
    columns = [*order, "label", "confidence", "is_unreadable", "reading_seconds"]
    one, two = (each.readings.sort_values(order)[columns].reset_index(drop=True) for each in (back, data))
    pd.testing.assert_frame_equal(one, two, check_dtype=False)


def test_ids_of_every_exported_file_join_with_the_manifest(exported: Path) -> None:
    for name in ("readings.csv", "predictions.csv", "reference_standard.csv", "analysis.csv"):
        table = read_csv_file(exported / name, Columns(("case",), has_others=True))
        table.raise_first()
        assert set(ODD) - {row.values["case"] for row in table.rows} <= {ODD[9]}, name  # the excluded one
        assert (exported / name).read_bytes().startswith(b"\xef\xbb\xbf")


def test_who_read_is_exported_with_what_reviewers_ask(store: Repository, exported: Path) -> None:
    table = read_csv_file(exported / "readers.csv", Columns(("reader",), has_others=True))
    table.raise_first()
    rows = {row.values["reader"]: row.values for row in table.rows}
    members = {member.person.login: member for member in store.members(STUDY)}
    assert rows.keys() == members.keys()
    for login, member in members.items():
        assert int(rows[login]["n_presentations"]) == member.n_presentations
        assert {"specialty", "site", "has_used_model", "years_of_experience"} <= rows[login].keys()


def test_the_list_of_all_readings_says_which_file_to_analyse(exported: Path) -> None:
    with pytest.raises(ValueError, match=r"analysis\.csv"):
        read_readings_file(exported / "readings.csv")


def test_files_for_other_programs_are_one_per_cohort_and_class(exported: Path) -> None:
    files = sorted(path.name for path in exported.glob("mrmcaov_*"))
    assert files == [
        f"mrmcaov_{cohort}_{key}.csv" for cohort in ("-ext--ern", "internal") for key in ("-bad", "0", "none")
    ]
    assert not (exported / files[0]).read_bytes().startswith(b"\xef\xbb\xbf")
    found = analyse_file(exported / "mrmcaov_internal_none.csv").analysis.to_tables()["auc"]
    assert found["value"].between(0, 1).all()


@pytest.mark.parametrize("layout", Layout)
def test_rows_of_every_kind_of_file_are_counted(layout: Layout) -> None:
    """A workbook is no text: its rows are those of its sheets."""
    files = layout_files(simulated_study(n_cases=60, readers=3), layout)
    books = [file for file in files if file.name.endswith(".xlsx")]
    assert bool(books) == (layout is Layout.RJAFROC)
    assert all(file.n_rows > 0 for file in files)
    for book in books:
        sheets = pd.read_excel(io.BytesIO(book.content), sheet_name=None)
        assert book.n_rows == sum(len(sheet) for sheet in sheets.values())


def test_a_name_that_a_format_cannot_hold_leaves_nothing_behind(store: Repository, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot hold this name .*mrmcaov"):
        export_study(store, STUDY, tmp_path / "out", (Layout.IMRMC,))
    assert list(tmp_path.iterdir()) == []


def test_the_bundle_of_a_stored_study_is_whole(store: Repository, tmp_path: Path) -> None:
    """Whatever names stand in it; an export leaves an event in the trail and none in the bundle."""
    store.record_export(STUDY, "bundle", "ab" * 32, 0)
    path = tmp_path / "odd.zip"
    path.write_bytes(bundle_of(study_record(store, STUDY), widths_mm=(174,)))
    bundle = read_bundle(path)
    check = check_bundle(bundle)
    assert check.problems == ()
    wanted = analyse(store.study_data(STUDY)).to_tables()
    found = bundle.analysis.to_tables()
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)
    assert bundle.protocol == store.study(STUDY).protocol
    assert b"study.export" not in bundle.files["audit/trail.csv"]
    rows = csv.DictReader(io.StringIO(bundle.files["data/dictionary.csv"].decode("utf-8-sig")))
    assert [row for row in rows if not row["meaning"]] == []


def test_a_reading_that_was_changed_in_the_list_is_found(store: Repository, tmp_path: Path) -> None:
    record = study_record(store, STUDY)
    readings = record.tables["readings"].copy()
    current = readings.index[readings["is_current"] & ~readings["is_unreadable"]][0]
    readings.loc[current, "class"] = next(key for key in ("none", "0") if key != readings.loc[current, "class"])
    path = tmp_path / "odd.zip"
    path.write_bytes(
        bundle_of(replace(record, tables={**record.tables, "readings": readings}), widths_mm=())  # figures apart
    )
    assert check_bundle(read_bundle(path)).problems == (
        "data/readings.csv: its last revisions differ from data/analysis.csv",
    )
