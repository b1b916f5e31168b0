"""Whoever owns the database changes rows behind the program's back, in every table and every state: all is noticed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.errors import AccessError, ConflictError, InputError
from core.protocol import Design, Protocol
from core.study import Answer, Role, StudyState
from db import OPERATOR, AuditHead, CasePrediction, Notary, Repository, open_store
from db.audit import event_hash
from db.engine import writing
from db.migrate import APPEND_ONLY
from db.records import ReadElsewhere
from db.seals import _plain
from db.tables import Base
from db.types import Flag, Json, Real, UtcDateTime
from tests.core.analysis_studies import simulated_study
from tests.db.conftest import CHEAP, STUDY, Clock, Room, make_cases, read_next
from tests.stores import repository_of

KEY = "sealed"
MODEL = "ab" * 32
STATES = [StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED]


@dataclass(frozen=True)
class Sealed:
    """A study with a declared model, readings of two readers and predictions, and the folder of key and head."""

    operator: Repository
    folder: Path

    def problems(self) -> str:
        return "\n".join(self.operator.verify_audit().problems)


def sealed_study(engine: Engine, folder: Path, state: StudyState, design: Design = Design.UNAIDED) -> Sealed:
    """The road of a real study up to a state; the notary keeps its head in ``folder``."""
    clock = Clock()
    operator = Repository(engine, OPERATOR, notary=Notary(folder), passwords=CHEAP, clock=clock)
    readers = [operator.create_person(login, f"Dr {login}", Role.READER) for login in ("ann", "ben")]
    operator.register_model(sha256=MODEL, name="net", architecture="small", path="net.safetensors", metadata={"a": 1})
    operator.create_study(KEY, Protocol(title="Sealed", model_sha256=MODEL, design=design))
    cases = [replace(case, lesion_mask=np.ones(case.pixels.shape, bool)) for case in make_cases(6, start=200)]
    operator.import_cases(KEY, cases)
    operator.add_reader(KEY, "ann", cohorts=["internal"])
    operator.save_predictions(KEY, MODEL, [prediction(case.case, n) for n, case in enumerate(cases)])
    if design is not Design.UNAIDED:
        operator.declare_altered_answers(KEY, {cases[0].case: (0.7, 0.1, 0.1, 0.1)})
    operator.set_state(KEY, StudyState.OPEN)
    operator.add_reader(KEY, "ben", cohorts=["internal"])
    for reader in readers:
        desk = repository_of(engine, reader, notary=Notary(folder), clock=clock)
        for _ in range(3):
            place = desk.next_presentation(KEY)
            if design is not Design.UNAIDED:
                desk.model_answer(place.presentation_id)
            desk.save_reading(
                place.presentation_id,
                Answer("sat", 3, "seen", reading_seconds=4, display_state={"window": (1, 2.5)}),
                submit_id=f"submit-{place.presentation_id}",
            )
        last = desk.last_reading(KEY)
        desk.save_reading(
            last.presentation.presentation_id, Answer("tumor", 1), submit_id=f"{reader.login}-2", expected_revision=1
        )
        place = desk.next_presentation(KEY)
        events = (("shown", 0.0), ("first", 812.4), ("hidden", 9100.5))
        desk.record_events(place.presentation_id, events, draft_id="left", first_event=0)
    for move in STATES[1 : STATES.index(state) + 1]:
        operator.set_state(KEY, move)
    return Sealed(operator, folder)


def read_elsewhere(operator: Repository) -> None:
    """A study of readings that were made elsewhere."""
    data = simulated_study(n_cases=8)
    source = ReadElsewhere((("theirs.csv", "ab" * 32),), "long", {}, ())
    operator.create_study_read_elsewhere("far", Protocol("Far", classes=tuple(data.classes)), data, source)


def prediction(case: str, seed: int) -> CasePrediction:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(4, 3, 2)).astype(np.float16)
    return CasePrediction(case, rng.dirichlet(np.ones(4)), 0.5, False, "cpu", "fp32", class_maps=maps)


@contextmanager
def unguarded(engine: Engine) -> Iterator[Connection]:
    """A connection of the owner, who drops the triggers, writes, and makes the same triggers again."""
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF") if engine.dialect.name == "sqlite" else None
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            yield connection
            return
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = connection.exec_driver_sql(query).all()
        for name, _ in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.exec_driver_sql(sql)


#: One change by the owner of the database, and a word of what must be said about it. ``{first}`` picks one row.
CHANGES: dict[str, tuple[str, str]] = {
    "truth of one case": ("UPDATE reference_standard SET class_key = 'tumor' WHERE class_key = 'graves'", "reference"),
    "truth of two cases swapped": (
        "UPDATE reference_standard SET class_key = CASE class_key WHEN 'sat' THEN 'graves' WHEN 'graves' THEN 'sat' "
        "ELSE class_key END",
        "reference standard",
    ),
    "truth removed": ("DELETE FROM reference_standard WHERE class_key = 'tumor'", "reference standard"),
    "a mask": ("UPDATE lesion_mask SET png = (SELECT png FROM image ORDER BY image_id LIMIT 1)", "lesion masks"),
    "masks removed": ("DELETE FROM lesion_mask", "lesion masks"),
    "a mask where earlier versions kept it": (
        "UPDATE reference_standard SET lesion_mask_png = (SELECT png FROM image ORDER BY image_id LIMIT 1)",
        "reference standard",
    ),
    "a view's name": ("UPDATE case_image SET view_name = 'lateral'", "images"),
    "the patient's left": ("UPDATE case_image SET left_side = 'image-left'", "images"),
    "pixels": ("UPDATE image SET png = (SELECT png FROM image ORDER BY image_id LIMIT 1)", "images"),
    "images swapped": ("UPDATE case_image SET image_id = (SELECT min(image_id) FROM image)", "images"),
    "spacing": ("UPDATE case_image SET pixel_spacing_mm = 1.0", "images"),
    "a case excluded": ("UPDATE study_case SET exclusion_reason = 'inconvenient' WHERE age_years = 50", "cases"),
    "a case's patient": ("UPDATE study_case SET patient_id = (SELECT min(patient_id) FROM patient)", "cases"),
    "cohort renamed": ("UPDATE cohort SET name = 'external'", "cases"),
    "patient renamed": ("UPDATE patient SET patient_key = patient_key || 'x'", "cases"),
    "protocol in place": (
        "UPDATE protocol_version SET protocol = replace(protocol, '\"may_comment\":true', '\"may_comment\":false')",
        "protocol",
    ),
    "protocol declares another model": (
        "UPDATE protocol_version SET protocol = replace(protocol, '\"abababab', '\"cdcdcdcd')",
        "protocol",
    ),
    "model's card": ("UPDATE model_version SET metadata = '{\"a\":2}'", "declared model"),
    "model's file": ("UPDATE model_version SET path = 'other.safetensors'", "declared model"),
    "probabilities": ("UPDATE prediction SET probabilities = '[1.0,0.0,0.0,0.0]'", "predictions"),
    "a prediction removed": (
        "DELETE FROM prediction WHERE case_id = (SELECT max(case_id) FROM prediction)",
        "predictions",
    ),
    "a class map": ("UPDATE prediction SET class_maps = NULL, class_maps_shape = NULL", "predictions"),
    "predictions of two cases swapped": (
        "UPDATE prediction SET entropy = 0.25 WHERE case_id = (SELECT min(case_id) FROM prediction)",
        "predictions",
    ),
    "prediction taken out of its event": ("UPDATE prediction SET event_sequence = NULL", "predictions"),
    "order": ("UPDATE presentation SET position = position + 100", "order"),
    "arm": ("UPDATE presentation SET arm = 'aided'", "order"),
    "a presentation added to ben": (
        "INSERT INTO presentation (presentation_id, study_id, person_id, case_id, arm, repeat, position) "
        "SELECT 'new', study_id, person_id, case_id, 'aided', 1, 99 FROM presentation "
        "WHERE position = 1 AND person_id = (SELECT person_id FROM person WHERE login = 'ben')",
        "order of reader 'ben'",
    ),
    "who reads what": ("UPDATE study_member SET cohorts = '[\"external\"]'", "order"),
    "human made simulated": ("UPDATE person SET is_simulated = {true} WHERE login = 'ann'", "ann"),
    "reader made coordinator": ("UPDATE person SET role = 'coordinator' WHERE login = 'ben'", "ben"),
    "experience": ("UPDATE person SET years_of_experience = 30 WHERE login = 'ann'", "order of reader 'ann'"),
    "a person past the trail": (
        "INSERT INTO person (person_id, login, display_name, role, is_simulated, is_active, created_at) "
        "SELECT 'eve', 'eve', 'Eve', 'coordinator', {false}, {true}, min(created_at) FROM person",
        "person 'eve'",
    ),
    "state set back": ("UPDATE study SET state = 'draft'", "the trail says"),
    "marked synthetic": ("UPDATE study SET is_synthetic = {true}", "synthetic"),
    "study renamed": ("UPDATE study SET study_key = 'other'", "was removed"),
    "a reading's class": (
        "UPDATE reading SET class_key = 'graves' WHERE sequence = (SELECT min(sequence) FROM reading)",
        "at place 1, revision 1, in study 'sealed' was changed",
    ),
    "a reading's confidence": ("UPDATE reading SET confidence = 5", "was changed"),
    "a reading's time": ("UPDATE reading SET reading_seconds = 1.0", "was changed"),
    "readable": ("UPDATE reading SET is_unreadable = {true}", "was changed"),
    "the last reading removed": (
        "DELETE FROM reading WHERE sequence = (SELECT max(sequence) FROM reading)",
        "at place 3, revision 2, in study 'sealed' was removed",
    ),
    "all readings removed": ("DELETE FROM reading", "was removed"),
    "a reading of another reader": (
        "UPDATE reading SET presentation_id = (SELECT p.presentation_id FROM presentation p JOIN person ON "
        "person.person_id = p.person_id WHERE login = 'ben' AND position = 5) WHERE sequence = "
        "(SELECT min(sequence) FROM reading)",
        "'ben' at place 5",
    ),
    "an event": ("UPDATE audit_event SET actor = 'nobody' WHERE sequence = 3", "event 3 was changed"),
    "an event removed": ("DELETE FROM audit_event WHERE sequence = 4", "event 4 is missing"),
    "the end of the trail cut off": (
        "DELETE FROM audit_event WHERE sequence > (SELECT max(sequence) - 1 FROM audit_event)",
        "its end was cut off",
    ),
    "an event that is no JSON": ("UPDATE audit_event SET detail = 'garbage' WHERE sequence = 6", "events of the trail"),
    "a signature that is no text of ours": (
        "UPDATE audit_event SET signature = 'é' WHERE sequence = 6",
        "event 6 is not signed",
    ),
    "a protocol that is no JSON": ("UPDATE protocol_version SET protocol = '{{'", "the protocols of study"),
    "an answer's display that is no JSON": ("UPDATE reading SET display_state = '['", "the readings of study"),
    "probabilities that are none": ("UPDATE prediction SET probabilities = 'x'", "the predictions of study"),
    "cohorts that are none": ("UPDATE study_member SET cohorts = 'x'", "the orders of study"),
    "a signature": ("UPDATE audit_event SET signature = NULL WHERE sequence = 6", "event 6 is not signed"),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_every_change_is_noticed_and_named(engine: Engine, tmp_path: Path, state: StudyState) -> None:
    """One store for all changes of a state: each is made, found, and taken back by putting the rows back."""
    sealed = sealed_study(engine, tmp_path, state)
    assert sealed.problems() == ""
    truths = {"true": "TRUE", "false": "FALSE"} if engine.dialect.name == "postgresql" else {"true": "1", "false": "0"}
    original = _rows(engine)
    for name, (statement, said) in CHANGES.items():
        for word, value in truths.items():
            statement = statement.replace(f"{{{word}}}", value)
        with unguarded(engine) as connection:
            changed = connection.exec_driver_sql(statement).rowcount
        assert changed, f"{name}: the test changed nothing"
        assert said in sealed.problems(), name
        _put_back(engine, original)
    assert sealed.problems() == ""


def test_the_case_that_was_touched_is_named(engine: Engine, tmp_path: Path) -> None:
    sealed = sealed_study(engine, tmp_path, StudyState.OPEN)
    original = _rows(engine)
    of_case = "WHERE case_id = (SELECT case_id FROM study_case WHERE case_key = 'case-0203')"
    for statement, part, named in (
        (f"UPDATE reference_standard SET class_key = 'sat' {of_case}", "reference standard", "changed: case-0203"),
        (f"DELETE FROM reference_standard {of_case}", "reference standard", "removed: case-0203"),
        (f"UPDATE case_image SET pixel_spacing_mm = 1.0 {of_case}", "images", "changed: case-0203 view 1"),
        (f"DELETE FROM lesion_mask {of_case}", "lesion masks", "removed: case-0203 view 1"),
        (f"UPDATE study_case SET sex = 'M' {of_case}", "cases", "changed: case-0203"),
        (f"UPDATE prediction SET entropy = 0.1 {of_case}", "predictions", "changed: case-0203 by abababababab"),
        (f"UPDATE study_case SET case_key = 'x' {of_case}", "cases", "removed: case-0203; added: x"),
        (
            "UPDATE reference_standard SET class_key = 'sick'",
            "reference standard",
            "changed: case-0200, case-0201, case-0202, case-0203, case-0204 and 1 more",
        ),
    ):
        with unguarded(engine) as connection:
            connection.exec_driver_sql(statement)
        assert re.search(rf"the {part} .* rows, sealed \d; {named}\)", sealed.problems()), (named, sealed.problems())
        _put_back(engine, original)
    with unguarded(engine) as connection:  # hashes that do not make the seal are not believed
        connection.exec_driver_sql("UPDATE seal_leaves SET leaves = replace(leaves, 'a', 'b')")
        connection.exec_driver_sql(f"UPDATE reference_standard SET class_key = 'sat' {of_case}")
    assert "behind the seal" in sealed.problems()
    assert "changed:" not in sealed.problems()


def _rows(engine: Engine) -> dict[str, list[dict]]:
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in Base.metadata.sorted_tables
        }


def _put_back(engine: Engine, rows: dict[str, list[dict]]) -> None:
    with unguarded(engine) as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON") if engine.dialect.name == "sqlite" else None
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(sa.delete(table))
        for table in Base.metadata.sorted_tables:
            if rows[table.name]:
                connection.execute(sa.insert(table), rows[table.name])


#: Columns that decide no result: a change passes without a word, and why that may be so.
UNSEALED = {
    # Not who, but how called and by what keys.
    "person": "display_name created_at created_by must_change_password reading_keys",
    "sign_in_session": "token_sha256 person_id ip created_at expires_at revoked_at",  # the deeds are in the trail
    "sign_in_attempt": "login ip failures last_attempt_at next_allowed_at",
    "invitation": "arms created_by created_at used_at",  # what came of it is in the trail
    "password_set": "password_set_id set_at",
    "study": "created_at",
    "study_role": "added_at",
    "deviation": "recorded_at",
    "reveal": "revealed_at",
}
#: Tables of which a row may be removed or slipped in without a word: who is signed in now, and who has to wait.
UNSEALED_ROWS = {"sign_in_session", "sign_in_attempt"}


@pytest.fixture
def full(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[Sealed, Path, Callable[[], None]]]:
    """An open study with a row in every table, its file, and a way to put the file back."""
    engine, path = open_store(sqlite_url), Path(sqlite_url.removeprefix("sqlite:///"))
    sealed = sealed_study(engine, tmp_path / "data", StudyState.OPEN, Design.AIDED)
    chief = sealed.operator.create_person(
        "chief", "Dr Chief", Role.COORDINATOR, is_temporary=False, password="correct horse battery"
    )
    sealed.operator.add_to_study(KEY, chief.login, Role.COORDINATOR)
    sealed.operator.record_deviation(KEY, "ann", "closes_on", "was ill")
    sealed.operator.set_password("ben", "another long password")
    read_elsewhere(sealed.operator)
    sealed.operator.invite(Role.READER, "Dr Dora", study_key=KEY)
    with pytest.raises(AccessError):
        Repository(engine, None, passwords=CHEAP, notary=Notary(sealed.folder)).authenticate("ann", "wrong", "10.0.0.1")
    assert sealed.problems() == ""
    pristine = tmp_path / "pristine.sqlite3"
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(pristine)) as kept:
        live.backup(kept)

    def put_back() -> None:
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(pristine)) as kept:
            kept.backup(live)

    yield sealed, path, put_back
    engine.dispose()


def test_every_column_of_every_table_is_sealed_or_named_here(full: tuple[Sealed, Path, Callable[[], None]]) -> None:
    """One value after the other is changed, also in columns that this test has never heard of."""
    sealed, path, put_back = full
    passed, empty = set(), set()
    for table in Base.metadata.sorted_tables:
        for column in table.c:
            if _changed(path, table, column):
                if sealed.problems() == "":
                    passed.add((table.name, column.name))
                put_back()
            else:
                empty.add(table.name)
    named = {(table, column) for table, columns in UNSEALED.items() for column in columns.split()}
    assert passed - named == set()
    assert empty == set(), "give these tables a row, or this test says nothing of them"


#: Columns of the *last* row of each table that decide no result, besides those above, and why.
UNSEALED_LATER = {
    "person": "years_of_experience specialty site has_used_model",  # of a coordinator: only readers are described
    "protocol_version": "created_at",  # its text and its event stand in the trail, which says when
}


def test_every_column_is_sealed_in_the_row_that_came_last_too(full: tuple[Sealed, Path, Callable[[], None]]) -> None:
    """A row of another kind or study than the first: a correction, a late reader, a model that nobody declared."""
    sealed, path, _ = full
    sealed.operator.register_model(sha256="cd" * 32, name="late", architecture="small", path="l", metadata={"b": 2})
    sealed.operator.create_study("draft", Protocol(title="Draft"))
    keep = path.with_name("later.sqlite3")
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(keep)) as kept:
        live.backup(kept)
    named = {(t, c) for each in (UNSEALED, UNSEALED_LATER) for t, names in each.items() for c in names.split()}
    passed = set()
    for table in Base.metadata.sorted_tables:
        for column in table.c:
            if (table.name, column.name) in named:
                continue
            _changed(path, table, column, is_last=True)
            if sealed.problems() == "":
                passed.add((table.name, column.name))
            with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(keep)) as kept:
                kept.backup(live)
    assert passed == set()


def test_a_model_of_an_earlier_trail_is_held_against_its_event(engine: Engine, tmp_path: Path) -> None:
    """Its event has no seal; when it was registered decides what is said of it, so that is looked at as well."""
    operator = Repository(engine, OPERATOR, notary=Notary(tmp_path), clock=Clock())
    with pytest.MonkeyPatch.context() as before:
        before.setattr("db.repository.model.seal_of_model", lambda *_: None)
        operator.register_model(sha256=MODEL, name="net", architecture="small", path="p", metadata={})
    assert operator.verify_audit().problems == ()
    for change in ("registered_at = '2020-02-02T02:02:02.000000+00:00'", "name = 'other'", "architecture = 'other'"):
        kept = _rows(engine)
        with unguarded(engine) as connection:
            connection.exec_driver_sql(f"UPDATE model_version SET {change}")
        assert "the model 'net' (abababababab)" in "".join(operator.verify_audit().problems), change
        _put_back(engine, kept)


def test_no_row_of_any_table_is_removed_or_slipped_in_unseen(full: tuple[Sealed, Path, Callable[[], None]]) -> None:
    """Also of tables that this test has never heard of: one row goes, all go, one comes as a copy under other names."""
    sealed, path, put_back = full
    passed = set()
    for table in Base.metadata.sorted_tables:
        for deed in ("remove one", "remove all", "slip in"):
            with _behind_the_guards(path) as connection:
                if deed == "slip in":
                    is_done = _slip_in(connection, table)
                else:
                    is_done = True
                    of_one = f" WHERE rowid = (SELECT max(rowid) FROM {table.name})" if deed == "remove one" else ""
                    connection.execute(f"DELETE FROM {table.name}{of_one}")
            if is_done and sealed.problems() == "":
                passed.add((table.name, deed))
            put_back()
    assert {(table, deed) for table, deed in passed if table not in UNSEALED_ROWS} <= {
        ("model_version", "slip in"),  # a model that nobody declared; its predictions would be found
        ("image", "slip in"),  # an image that no case shows
        ("cohort", "slip in"),  # without a case in it
        ("patient", "slip in"),
        ("seal_leaves", "remove one"),  # names for the eye: the seals do not follow from them
        ("seal_leaves", "remove all"),
    }


def _slip_in(connection: sqlite3.Connection, table: sa.Table) -> bool:
    """A copy of a row under a key of its own; False if there is no other key that it could have."""
    found = connection.execute(f"SELECT {', '.join(column.name for column in table.c)} FROM {table.name}").fetchone()
    row = dict(zip((column.name for column in table.c), found, strict=True))
    unique = [key for key in table.constraints if isinstance(key, sa.UniqueConstraint)]
    keys = {column.name for column in table.primary_key} | {column.name for key in unique for column in key.columns}
    own = [column for column in table.c if column.name in keys and not column.foreign_keys]
    for column in own:
        row[column.name] = _other(column, row[column.name])
    if not own:  # its key is that of another row, such as a case
        link = list(table.primary_key)[-1]
        there = next(iter(link.foreign_keys)).column
        taken = f"SELECT {link.name} FROM {table.name}"
        free = f"SELECT {there.name} FROM {there.table.name} WHERE {there.name} NOT IN ({taken})"
        other = connection.execute(free).fetchone()
        if other is None:
            return False
        row[link.name] = other[0]
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    return True


# ruff: noqa: S608 - names of tables and columns are the program's own
@contextmanager
def _behind_the_guards(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection behind everything that could object; the triggers are there again afterwards."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA ignore_check_constraints=ON")
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, text in triggers:
            connection.execute(text)
        connection.commit()


def _changed(path: Path, table: sa.Table, column: sa.Column, *, is_last: bool = False) -> bool:
    """Change one value of the first or the last row; False if the table has none."""
    with _behind_the_guards(path) as connection:
        order = "1 DESC" if is_last else "1"
        found = connection.execute(f"SELECT rowid, {column.name} FROM {table.name} ORDER BY {order} LIMIT 1").fetchone()
        if found is None:
            return False
        rowid, value = found
        connection.execute(f"UPDATE {table.name} SET {column.name} = ? WHERE rowid = ?", (_other(column, value), rowid))
    return True


def _other(column: sa.Column, value: object) -> object:
    """Another value that the column may hold."""
    if isinstance(column.type, Json):
        return '["another"]'
    if isinstance(column.type, UtcDateTime):
        return "2020-02-02T02:02:02.000000+00:00"
    if isinstance(column.type, Flag):
        return 0 if value else 1
    if isinstance(value, bytes) or isinstance(column.type, sa.LargeBinary):
        return b"another" + (value or b"")
    if isinstance(value, int | float) or isinstance(column.type, sa.Integer | Real):
        return (value or 0) + 1000
    return f"{value or ''}x"


@pytest.mark.parametrize("state", STATES)
def test_a_forged_reading_passes_no_plain_insert(engine: Engine, tmp_path: Path, state: StudyState) -> None:
    """No trigger stands in the way of an INSERT; the missing event gives it away."""
    sealed = sealed_study(engine, tmp_path, state)
    reading = Base.metadata.tables["reading"]
    place = Base.metadata.tables["presentation"]
    with writing(engine).begin() as connection:
        stored = dict(connection.execute(sa.select(reading).limit(1)).mappings().one())
        free = connection.scalar(sa.select(place.c.presentation_id).where(place.c.position == 6).limit(1))
        del stored["sequence"]
        forged = {**stored, "reading_id": "forged", "submit_id": "forged", "revision": 1, "presentation_id": free}
        connection.execute(sa.insert(reading).values(forged))
    assert re.search(r"at place 6, revision 1, .* was not entered in the trail: it is forged", sealed.problems())


@pytest.mark.parametrize("state", STATES)
def test_a_forged_prediction_passes_no_plain_insert(engine: Engine, tmp_path: Path, state: StudyState) -> None:
    sealed = sealed_study(engine, tmp_path, state)
    table, other = Base.metadata.tables["prediction"], "cd" * 32  # of the declared model every case has one already
    sealed.operator.register_model(sha256=other, name="other", architecture="small", path="o", metadata={})
    for claimed in (None, 3, "that of a true one"):
        with writing(engine).begin() as connection:
            stored = dict(connection.execute(sa.select(table).limit(1)).mappings().one())
            event = stored["event_sequence"] if isinstance(claimed, str) else claimed
            connection.execute(sa.insert(table).values({**stored, "model_sha256": other, "event_sequence": event}))
        assert "predictions" in sealed.problems(), claimed
        with unguarded(engine) as connection:
            connection.execute(sa.delete(table).where(table.c.model_sha256 == other))
        assert sealed.problems() == ""


def test_a_chain_computed_anew_lacks_the_key(engine: Engine, tmp_path: Path) -> None:
    """The forger edits a reading and its event and makes every later hash fit."""
    sealed = sealed_study(engine, tmp_path, StudyState.CLOSED)
    receipt = sealed.operator.audit_head().receipt
    events = sealed.operator.audit_trail()
    table = Base.metadata.tables["audit_event"]
    with unguarded(engine) as connection:
        previous = events[2].prev_hash
        connection.execute(sa.delete(table).where(table.c.sequence >= 3))
        for event in events[2:]:
            forged = replace(event, actor="nobody" if event.sequence == 3 else event.actor, prev_hash=previous)
            forged = replace(forged, hash=event_hash(forged))
            connection.execute(sa.insert(table).values(vars(forged)))
            previous = forged.hash
    said = sealed.problems()
    assert "event 3 is not signed with the key" in said
    assert "the trail was written anew" in said
    assert "was changed" not in said  # by itself the chain fits
    # Whoever has the key as well leaves no trace in this folder; the receipt that was deposited shows it.
    with unguarded(engine) as connection:
        for row in connection.execute(sa.select(table.c.sequence, table.c.hash)).all():
            signature = Notary(tmp_path).sign(row.hash)
            connection.execute(sa.update(table).where(table.c.sequence == row.sequence).values(signature=signature))
    Notary(tmp_path).replace_head(sealed.operator.audit_head())
    assert sealed.problems() == ""
    assert "the trail was written anew" in "".join(sealed.operator.verify_audit([receipt]).problems)


def test_a_cut_end_with_its_rows_and_state_set_back_is_noticed(engine: Engine, tmp_path: Path) -> None:
    """Everything that the last event said is undone with it: only the head outside of the store knows."""
    sealed = sealed_study(engine, tmp_path, StudyState.CLOSED)
    with unguarded(engine) as connection:
        connection.exec_driver_sql("DELETE FROM audit_event WHERE sequence = (SELECT max(sequence) FROM audit_event)")
        connection.exec_driver_sql("UPDATE study SET state = 'open'")
    assert sealed.problems().startswith("the trail ends at event")
    assert Repository(engine, OPERATOR).verify_audit().is_intact  # without the data folder nothing shows it
    receipts = [json.loads((tmp_path / "audit.head").read_text())]
    said = Repository(engine, OPERATOR).verify_audit([f"{receipts[0]['n_events']}:{receipts[0]['hash']}"])
    assert not said.is_intact


def test_an_older_file_put_back_is_noticed(sqlite_url: str, tmp_path: Path) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    engine = open_store(sqlite_url)
    sealed_study(engine, tmp_path / "data", StudyState.OPEN)
    with closing(sqlite3.connect(path)) as now, closing(sqlite3.connect(tmp_path / "older")) as older:
        now.backup(older)
    Repository(engine, OPERATOR, notary=Notary(tmp_path / "data")).set_state(KEY, StudyState.CLOSED)
    engine.dispose()
    shutil.copyfile(tmp_path / "older", path)
    for rest in ("-wal", "-shm"):
        Path(f"{path}{rest}").unlink(missing_ok=True)
    engine = open_store(sqlite_url)
    check = Repository(engine, OPERATOR, notary=Notary(tmp_path / "data")).verify_audit()
    assert "an older copy of the store was put back" in check.problems[0]
    # The program goes on with the older copy: what it writes does not wipe the evidence away.
    working = Repository(engine, OPERATOR, notary=Notary(tmp_path / "data"))
    for number in range(20):
        working.create_person(f"later-{number}", "Later", Role.READER)
    assert any("was seen before" in problem for problem in working.verify_audit().problems)
    engine.dispose()


@pytest.mark.parametrize("damage", ["removed", "forged", "garbage"])
def test_a_head_that_was_touched_is_noticed(engine: Engine, tmp_path: Path, damage: str) -> None:
    sealed = sealed_study(engine, tmp_path, StudyState.OPEN)
    head = tmp_path / "audit.head"
    if damage == "removed":
        head.unlink()
    else:
        kept = {**json.loads(head.read_text()), "n_events": 3}
        head.write_text(json.dumps(kept) if damage == "forged" else "no JSON")
    assert "audit.head" in sealed.problems()


def test_another_key_is_noticed(engine: Engine, tmp_path: Path) -> None:
    sealed = sealed_study(engine, tmp_path, StudyState.OPEN)
    (tmp_path / "audit.key").write_text("another key")
    started_again = Repository(sealed.operator.engine, OPERATOR, notary=Notary(tmp_path))
    said = "\n".join(started_again.verify_audit().problems)
    assert "audit.head in the data folder is not signed with its key" in said
    assert "event 1 is not signed with the key of this data folder" in said


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("deed", ["update", "delete", "third"])
def test_a_guard_that_does_nothing_is_noticed(own_store_url: str, tmp_path: Path, table: str, deed: str) -> None:
    """The trigger keeps its name; opening the store, which looks for names, is content."""
    engine = open_store(own_store_url)
    sealed = sealed_study(engine, tmp_path, StudyState.OPEN)
    if table == "elsewhere_reading":
        read_elsewhere(sealed.operator)
    before = _rows(engine)
    is_postgresql = engine.dialect.name == "postgresql"
    deed = {"third": "truncate" if is_postgresql else "replace"}.get(deed, deed)
    name = f"{table}_no_{deed}"
    with writing(engine).begin() as connection:
        if is_postgresql:
            each = "STATEMENT" if deed == "truncate" else "ROW"
            result = {"update": "NEW", "delete": "OLD"}.get(deed, "NULL")
            connection.exec_driver_sql(f"DROP TRIGGER {name} ON {table}")
            connection.exec_driver_sql(
                f"CREATE FUNCTION idle_{deed}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN {result}; END $$"
            )
            connection.exec_driver_sql(
                f"CREATE TRIGGER {name} BEFORE {deed} ON {table} FOR EACH {each} EXECUTE FUNCTION idle_{deed}()"
            )
        else:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
            when = "INSERT" if deed == "replace" else deed
            connection.exec_driver_sql(f"CREATE TRIGGER {name} BEFORE {when} ON {table} BEGIN SELECT 1; END")
    open_store(own_store_url).dispose()
    assert f"the guard of table {table} against {deed.upper()} does nothing" in sealed.problems()
    assert _rows(engine) == before  # what was tried was rolled back
    engine.dispose()


@pytest.mark.postgresql
def test_a_role_for_which_triggers_are_switched_off_is_noticed(postgresql, tmp_path: Path) -> None:
    """PostgreSQL: session_replication_role, set for the program's own role."""
    url = postgresql.new_store(tmp_path)
    engine = open_store(url)
    sealed_study(engine, tmp_path, StudyState.OPEN)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET session_replication_role = replica', "
            "current_database()); END $$"
        )
    engine.dispose()
    engine = open_store(url)
    said = Repository(engine, OPERATOR, notary=Notary(tmp_path)).verify_audit().problems
    assert "the guard of table reading against UPDATE does nothing" in said
    engine.dispose()


def test_what_the_trail_says_of_a_reading_tells_no_answer(engine: Engine, tmp_path: Path) -> None:
    """Whoever reads the trail while the study is sealed cannot try the few possible answers against the seal."""
    sealed = sealed_study(engine, tmp_path, StudyState.OPEN)
    reading = next(row for row in _rows(engine)["reading"])
    event = next(event for event in sealed.operator.audit_trail() if event.action == "reading.save")
    assert set(event.detail) == {"reader", "position", "revision", "seal"}
    known = json.dumps([event.detail, event.actor], default=str)
    for secret in ("reading_id", "submit_id"):
        assert reading[secret] not in known


def test_a_receipt_that_is_none_is_refused(room: Room) -> None:
    with pytest.raises(InputError, match="as printed"):
        room.coordinator.verify_audit(["12"])


def test_classes_cannot_change_under_predictions(engine: Engine, room: Room) -> None:
    room.coordinator.register_model(sha256=MODEL, name="net", architecture="a", path="p", metadata={})
    protocol = Protocol(title="Draft")
    room.coordinator.create_study("draft", protocol)
    cases = make_cases(2, start=70)
    room.coordinator.import_cases("draft", cases)
    room.coordinator.save_predictions("draft", MODEL, [prediction(cases[0].case, 1)])
    with pytest.raises(ConflictError, match="order of its classes"):
        room.coordinator.update_protocol("draft", replace(protocol, classes=protocol.classes[::-1]))
    room.coordinator.update_protocol("draft", replace(protocol, title="Other title"))


def test_reading_goes_on_when_the_head_cannot_be_kept(room: Room, engine: Engine, tmp_path: Path) -> None:
    """The end of the trail lags; the answer is saved and acknowledged."""
    notary = Notary(tmp_path)
    notary.sign("the key exists")
    (tmp_path / "audit.head").mkdir()
    ann = repository_of(engine, room.ann.actor, notary=notary)
    assert not read_next(ann).was_already_saved
    assert ann.my_progress("demo").n_done == 1


def test_the_head_never_goes_back_and_gives_way_only_to_a_trail_that_holds_it(tmp_path: Path) -> None:
    heads = {n: AuditHead(n, hashlib.sha256(bytes([n])).hexdigest()) for n in range(9)}
    notary = Notary(tmp_path)
    for number in (1, 5, 3):
        notary.keep_head(heads[number], lambda n: heads[n].hash)
    assert notary.kept_head() == heads[5]
    started_again = Notary(tmp_path)  # on a store that was put back: it has no event 5, or another one
    for number in (4, 5, 6, 7):
        started_again.keep_head(heads[number], lambda n: None if n > 4 else heads[n].hash)
    assert Notary(tmp_path).kept_head() == heads[5]
    Notary(tmp_path).keep_head(heads[8], lambda n: heads[n].hash)
    assert Notary(tmp_path).kept_head() == heads[8]


#: Odd and allowed, whoever sends it: numbers at the edges of their kind, and letters that programs like to change.
ODD_ANSWERS = (
    {"reading_seconds": -0.0},
    {"reading_seconds": 5e-324},
    {"reading_seconds": 0.1 + 0.2},
    {"reading_seconds": 86_400},
    {"comment": "e\u0301 \u00e9 \ufeff \u2028 \u202e \x7f \U0001d54f \ufffe \t\n\r "},
    {"display_state": {"zero": -0.0, "large": 1e22, "whole": 1e16, "most": 2**63 - 1, "é": [None, True, 5e-324]}},
    {"events": (("shown", -0.0), ("wheel", 1e300), ("wheel", -1e300), ("submitted", 5e-324))},
    {"unreadable_reason": " \u00a0x\u3000 ", "is_unreadable": True, "class_key": None, "confidence": None},
)


def test_no_answer_that_a_browser_may_send_looks_touched_afterwards(room: Room) -> None:
    """Else any reader could have a study called tampered with, and keep it from being unsealed."""
    for number, odd in enumerate(ODD_ANSWERS):
        place = room.ann.next_presentation(STUDY)
        answer = replace(Answer("sat", 3), **odd)
        room.ann.save_reading(place.presentation_id, answer, submit_id=f"odd-{number}")
        room.ben.record_events(
            room.ben.next_presentation(STUDY).presentation_id,
            answer.events or (("shown", -0.0),),
            draft_id=answer.comment or "d",
            first_event=number,
        )
    assert room.operator.verify_audit().problems == ()


def test_simulated_and_corrected_readings_are_sealed_too(room: Room, engine: Engine) -> None:
    ordered = room.coordinator.presentations_with_truth("demo", "sim")
    answers = [(found.presentation.presentation_id, Answer("sat", 3, reading_seconds=2)) for found in ordered]
    room.coordinator.save_simulated_readings("demo", "sim", answers)
    read_next(room.ann)
    assert room.coordinator.verify_audit().is_intact
    saved = [event for event in room.coordinator.audit_trail() if event.action == "reading.save"]
    assert [event.detail["reader"] for event in saved] == ["sim"] * 10 + ["ann"]
    assert {event.actor for event in saved[:10]} == {"chief"}


@pytest.mark.postgresql
def test_a_long_reader_of_a_table_neither_stops_the_check_nor_is_stopped_by_it(postgresql, tmp_path: Path) -> None:
    """PostgreSQL: a dump holds every table; trying TRUNCATE waits a moment and gives way."""
    engine = open_store(postgresql.new_store(tmp_path))
    sealed = sealed_study(engine, tmp_path, StudyState.OPEN)
    with engine.connect() as dump:
        dump.exec_driver_sql("LOCK TABLE reading, audit_event, prediction IN ACCESS SHARE MODE")
        assert sealed.problems() == ""
    engine.dispose()


@pytest.mark.parametrize("value", [5, -0.0, 0, 86_400])
def test_a_number_reads_the_same_before_and_after_it_was_stored(value: float) -> None:
    column = Base.metadata.tables["reading"].c.reading_seconds
    assert repr(_plain(column, value)) == repr(float(value) + 0.0)
