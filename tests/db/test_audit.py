"""The audit trail: complete, in order, and broken visibly when somebody tampers."""

from __future__ import annotations

import sqlite3
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import ConflictError
from core.study import Role, StudyState
from db.audit import GENESIS, event_hash
from db.engine import writing
from db.tables import AuditEventRow
from tests.db.conftest import STUDY, Room, read_next


def _unsealed(room: Room) -> None:
    for _ in range(3):
        read_next(room.ann)
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)


def _tamper(engine: Engine, *statements: str) -> None:
    """What somebody does who owns the database: switch the guards off first."""
    with writing(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            for table in ("audit_event", "reading"):
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
            for name in names:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.exec_driver_sql(statement)
        if engine.dialect.name == "postgresql":
            for table in ("audit_event", "reading"):
                connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_every_deed_of_a_coordinator_is_in_the_trail(room: Room, repository) -> None:
    repository(None).authenticate("ann", "ann reads at night", "10.0.0.1")
    _unsealed(room)
    room.coordinator.record_export(STUDY, "readings.csv", "c" * 64, 3)
    trail = room.coordinator.audit_trail()
    assert [event.action for event in trail] == [
        *["person.create"] * 4,
        "study.create",
        "study.role",
        "study.import",
        *["study.reader"] * 3,
        "study.state",
        "sign-in",
        *["reading.save"] * 3,
        *["study.state"] * 3,  # closed, locked, unsealed
        "study.export",
    ]
    assert [event.sequence for event in trail] == list(range(1, len(trail) + 1))
    assert trail[0].prev_hash == GENESIS
    assert trail[0].actor == "operator"
    assert trail[-1].actor == "chief"
    assert trail[-1].detail == {"what": "readings.csv", "sha256": "c" * 64, "n_rows": 3}
    assert [event.action for event in room.coordinator.audit_trail(STUDY, limit=1)] == ["study.export"]
    assert all(event.study_key == STUDY for event in room.coordinator.audit_trail(STUDY))
    assert room.coordinator.verify_audit().is_intact
    assert room.coordinator.verify_audit().n_events == len(trail)


def test_a_deed_that_fails_leaves_no_event(room: Room) -> None:
    before = room.coordinator.audit_trail()
    with pytest.raises(ConflictError, match="already"):
        room.coordinator.create_person("ann", "Another", Role.READER)
    assert room.coordinator.audit_trail() == before


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit_event SET actor = 'nobody' WHERE sequence = 3", "event 3 was changed"),
        ("UPDATE audit_event SET detail = '{}' WHERE sequence = 5", "event 5 was changed"),
        ("DELETE FROM audit_event WHERE sequence = 4", "event 4 is missing"),
        ("DELETE FROM audit_event WHERE sequence = 1", "event 1 is missing"),
    ],
)
def test_tampering_with_the_trail_is_seen(engine: Engine, room: Room, statement: str, problem: str) -> None:
    assert room.coordinator.verify_audit().is_intact
    _tamper(engine, statement)
    check = room.coordinator.verify_audit()
    assert not check.is_intact
    assert check.problems[0] == problem


def test_an_event_rehashed_by_the_forger_breaks_the_next_link(sqlite_url: str, repository_on) -> None:
    room = repository_on(sqlite_url)
    forged = room.coordinator.audit_trail()[2]
    forged = type(forged)(**{**vars(forged), "actor": "nobody"})
    _tamper(room.coordinator.engine)
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    connection.execute("UPDATE audit_event SET actor = 'nobody', hash = ? WHERE sequence = 3", (event_hash(forged),))
    connection.commit()
    connection.close()
    assert room.coordinator.verify_audit().problems[0] == "event 4 does not follow the one before it"


def test_events_written_at_the_same_time_make_one_chain(room: Room, engine: Engine) -> None:
    before = len(room.coordinator.audit_trail())
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(5):
                room.operator.create_person(f"p{number}-{turn}", "Somebody", Role.READER)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    check = room.coordinator.verify_audit()
    assert check.is_intact
    assert check.n_events == before + 20


def test_two_events_cannot_follow_the_same_one(engine: Engine, room: Room) -> None:
    last = room.coordinator.audit_trail()[-1]
    fork = {**vars(last), "sequence": last.sequence + 1, "hash": "f" * 64}
    with pytest.raises(sa.exc.IntegrityError), writing(engine).begin() as connection:
        connection.execute(sa.insert(AuditEventRow).values(**fork))
