"""Readings made elsewhere become a study: the numbers of the file, sealed like others, and never taken for blinded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy.engine import Engine

from actions.bundle import bundle_of
from actions.export_study import export_study
from actions.store_readings import store_file_readings
from actions.study_record import study_record
from actions.write_report import file_record
from core.errors import AccessError, ConflictError, InputError, ManifestError, ReadingRoomError
from core.protocol import Protocol
from core.report.bundle import check_bundle, read_bundle
from core.report.file_analysis import FileAnalysis, analyse_file
from core.report.file_options import FileOptions, named_classes
from core.report.layout import Layout
from core.report.readings_file import read_readings_file, readings_files
from core.report.study_record import NOT_BLINDED_HERE
from core.report.study_report import report_blocks
from core.study import Role, StudyState
from core.study_analysis.data import StudyData
from db import OPERATOR, Notary, Repository, open_store
from tests.core.analysis_studies import simulated_study
from tests.core.report.test_folder_of_files import OPTIONS, write_folder
from tests.db.conftest import make_cases
from tests.db.test_tampering import unguarded
from tests.stores import repository_of

READINGS = Path(__file__).parents[1] / "data" / "readings"
PLAIN = FileOptions()


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Repository:
    return repository_of(engine, OPERATOR, notary=Notary(tmp_path / "keys"))


def some_files(folder: Path) -> Iterator[tuple[Path, FileOptions]]:
    """Files of every layout and scale, complete and not, with and without a model."""
    study = simulated_study(n_cases=20, readers=2, models=2, missing=0.2, arms=("unaided", "aided"), repeats=4,
                            has_about=True, cohorts=2)  # fmt: skip
    two = simulated_study(n_cases=16, readers=2, models=1, has_confidence=False)
    for layout in (Layout.LONG, Layout.IMRMC, Layout.RJAFROC, Layout.MRMCAOV):
        for name, content in list(readings_files(study if layout is Layout.LONG else two, layout).items())[:1]:
            (folder / name).write_bytes(content)
            yield folder / name, PLAIN
    hundred = study.readings.assign(confidence=np.linspace(0.5, 100, len(study.readings)).round(1))
    hundred = hundred.merge(study.cases[["case", "truth"]])[["reader", "case", "arm", "label", "confidence", "truth"]]
    hundred = hundred[study.readings["repeat"].to_numpy() == 1]
    hundred.to_csv(folder / "hundred.csv", index=False)
    yield folder / "hundred.csv", FileOptions(classes=named_classes("thyroid"))
    (folder / "each").mkdir()
    write_folder(folder / "each", two)
    yield folder / "each", OPTIONS
    for path in sorted(READINGS.iterdir()):
        yield path, PLAIN


def assert_same_data(found: StudyData, wanted: StudyData) -> None:
    """Every part of a study's data is the same, to the last digit: so is every number of the analysis."""
    for name in ("cases", "readings", "predictions", "reader_ratings", "assignments"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert (one is None) == (other is None), name
        if other is not None:
            order = [column for column in ("reader", "model", "arm", "case", "repeat", "class") if column in other]
            one, other = (each.sort_values(order).reset_index(drop=True).dropna(axis=1, how="all")
                          .sort_index(axis=1) for each in (one, other))  # fmt: skip
            pd.testing.assert_frame_equal(one, other, check_exact=True, check_dtype=False, obj=name)
    for name in ("classes", "reader_names", "model_names", "simulated", "reader_years", "declared_model",
                 "confidence_shift"):  # fmt: skip
        assert getattr(found, name) == getattr(wanted, name), name


def test_a_stored_study_has_the_data_of_its_file(store: Repository, tmp_path: Path) -> None:
    n_stored = 0
    for number, (path, options) in enumerate(some_files(tmp_path)):
        try:
            read = read_readings_file(path, None, options)
        except ManifestError:  # files that are refused stand among them; what refusing leaves, a test below says
            continue
        study = store_file_readings(store, f"study-{number}", path, None, options)
        assert_same_data(store.study_data(study.key), read.data)
        assert store.read_elsewhere(study.key).notes == read.notes
        n_stored += 1
    assert n_stored > 20
    assert store.verify_audit().problems == ()


def a_study(store: Repository, tmp_path: Path) -> FileAnalysis:
    """One small study, stored as "far"."""
    path = tmp_path / "far.csv"
    study = simulated_study(n_cases=12, readers=2, models=1)
    path.write_bytes(readings_files(study, Layout.LONG)["analysis.csv"])
    store_file_readings(store, "far", path, title="Readings from afar", margin=0.1)
    return analyse_file(path, margin=0.1)


def test_it_says_everywhere_that_it_was_not_blinded_here(store: Repository, tmp_path: Path) -> None:
    in_memory = a_study(store, tmp_path)
    (study,) = store.studies()
    assert study.is_read_elsewhere
    assert study.standing == "read elsewhere, not blinded here"
    (event,) = store.audit_trail("far")
    assert event.detail["is_read_elsewhere"]
    assert event.detail["source"]["files"][0][0] == "far.csv"
    record = study_record(store, "far")
    assert not record.is_blinded_here
    told = [str(block) for block in report_blocks(record)]
    assert any(NOT_BLINDED_HERE in text for text in told)
    of_file = file_record(in_memory)
    assert json.dumps(record.analysis.to_dict()) == json.dumps(of_file.analysis.to_dict())
    assert (record.source, record.notes, record.protocol) == (of_file.source, of_file.notes, None)
    names = {path.name for path in export_study(store, "far", tmp_path / "folder")}
    assert {"analysis.csv", "metrics_auc.csv"} <= names
    assert "readings.csv" not in names
    again = read_readings_file(tmp_path / "folder" / "analysis.csv", None, FileOptions(classes=study.protocol.classes))
    assert_same_data(again.data, in_memory.data)


def test_its_bundle_is_marked_and_holds(sqlite_url: str, tmp_path: Path) -> None:
    store = repository_of(open_store(sqlite_url), OPERATOR)
    a_study(store, tmp_path)
    (tmp_path / "far.zip").write_bytes(bundle_of(study_record(store, "far"), widths_mm=(174,)))
    bundle = read_bundle(tmp_path / "far.zip")
    assert check_bundle(bundle).problems == ()
    assert bundle.protocol is None
    assert bundle.manifest["is_blinded_here"] is False
    assert NOT_BLINDED_HERE in bundle.files["README.txt"].decode()
    assert b"far.csv" in bundle.files["data/files.csv"]
    assert b"is_read_elsewhere" in bundle.files["audit/trail.csv"]


def test_it_can_never_be_opened_read_or_added_to(store: Repository, tmp_path: Path) -> None:
    a_study(store, tmp_path)
    store.create_person("ben", "Ben", Role.READER, is_temporary=False, password="correct horse battery")
    deeds: list[Callable[[], object]] = [
        *(lambda to=to: store.set_state("far", to) for to in StudyState),
        lambda: store.add_reader("far", "ben", cohorts=["internal"]),
        lambda: store.import_cases("far", make_cases(2)),
        lambda: store.update_protocol("far", Protocol(title="Another")),
        lambda: store.declare_altered_answers("far", {}),
        lambda: store.seal_record("far"),
    ]
    before = store.verify_audit().head.n_events
    for deed in deeds:
        with pytest.raises(ConflictError, match="made elsewhere"):
            deed()
    assert store.verify_audit().head.n_events == before
    assert store.case_counts("far") == []
    assert store.members("far") == []


def test_what_is_wrong_leaves_nothing(store: Repository, tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("reader,case,truth,label\nann,c1,yes,yes\nann,c2,no,no\n", encoding="utf-8")
    bad = tmp_path / "bad.csv"
    bad.write_text("reader,case,truth,label,confidence\nann,c1,yes,yes,5\nann,c2,no,no,high\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"bad\.csv.*row 3.*confidence.*high"):
        store_file_readings(store, "far", bad)
    with pytest.raises(InputError, match="not a study key"):
        store_file_readings(store, "Not a key", good)
    (tmp_path / "x.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="read-only"):
        store_file_readings(store, "far", tmp_path / "x.zip")
    assert store.studies() == []
    assert store.verify_audit().head.n_events == 0
    store_file_readings(store, "far", good)
    with pytest.raises(ConflictError, match="already"):
        store_file_readings(store, "far", good)
    assert store.read_elsewhere("far").n_rows == 2


def test_who_may(engine: Engine, store: Repository, tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("reader,case,truth,label\nann,c1,yes,yes\nann,c2,no,no\n", encoding="utf-8")
    anna = store.create_person("anna", "Anna", Role.COORDINATOR, is_temporary=False, password="correct horse battery")
    ben = store.create_person("ben", "Ben", Role.READER, is_temporary=False, password="correct horse battery")
    carl = store.create_person("carl", "Carl", Role.COORDINATOR, is_temporary=False, password="correct horse battery")
    assert store_file_readings(repository_of(engine, anna), "far", good).is_read_elsewhere
    with pytest.raises(AccessError):
        store_file_readings(repository_of(engine, ben), "other", good)
    with pytest.raises(ReadingRoomError, match="no study 'far'"):
        repository_of(engine, carl).study_data("far")
    pd.testing.assert_frame_equal(
        repository_of(engine, anna).study_data("far").readings, store.study_data("far").readings
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE elsewhere_reading SET content = replace(content, 'reader-0', 'reader-9') WHERE row_number = 3",
         "readings made elsewhere.*changed: row 3"),
        ("DELETE FROM elsewhere_reading WHERE row_number = 4", "readings made elsewhere.*removed: row 4"),
        ("INSERT INTO elsewhere_reading SELECT study_id, 999, content FROM elsewhere_reading WHERE row_number = 1",
         "readings made elsewhere.*added: row 999"),
        ("UPDATE study SET is_read_elsewhere = {false}", "marked as not read elsewhere"),
        ("UPDATE study SET state = 'draft'", "is draft, the trail says unsealed"),
    ],
)  # fmt: skip
def test_whoever_touches_it_past_the_trail_is_found(
    engine: Engine, store: Repository, tmp_path: Path, change: str, said: str
) -> None:
    a_study(store, tmp_path)
    with unguarded(engine) as connection:
        connection.exec_driver_sql(change.format(false="false" if engine.dialect.name == "postgresql" else "0"))
    problems = store.verify_audit().problems
    assert len(problems) == 1
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(problems[0])


def test_rows_are_append_only(engine: Engine, store: Repository, tmp_path: Path) -> None:
    a_study(store, tmp_path)
    for statement in ("UPDATE elsewhere_reading SET row_number = row_number", "DELETE FROM elsewhere_reading"):
        with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
