"""The database itself keeps readings and audit events, whoever connects to it."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import ConflictError, StoreDamagedError
from core.study import Answer
from db import open_store
from db.engine import connect_engine, writing
from db.engine_failures import translated_failures
from db.tables import Base
from tests.db.conftest import STUDY, Room, read_next


def _refuses(engine: Engine, statement: str) -> None:
    """The statement is refused and changes nothing."""
    with engine.connect() as connection:
        before = connection.exec_driver_sql("SELECT * FROM reading ORDER BY sequence").all()
    with (
        pytest.raises(ConflictError, match="append-only"),
        translated_failures(),
        writing(engine).begin() as connection,
    ):
        connection.exec_driver_sql(statement)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM reading ORDER BY sequence").all() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reading SET class_key = 'tumor'",
        "DELETE FROM reading",
        "UPDATE audit_event SET actor = 'nobody'",
        "DELETE FROM audit_event",
    ],
)
def test_neither_update_nor_delete(engine: Engine, room: Room, statement: str) -> None:
    read_next(room.ann, "sat")
    _refuses(engine, statement)


@pytest.mark.parametrize("table", ["reading", "audit_event"])
def test_no_truncate_and_no_drop_of_rows_by_replacing(engine: Engine, room: Room, table: str) -> None:
    read_next(room.ann, "sat")
    columns = ", ".join(column["name"] for column in sa.inspect(engine).get_columns(table))
    changed = {"reading": columns.replace("class_key", "'tumor'"), "audit_event": columns.replace("actor", "'nobody'")}
    copied = f"{table} ({columns}) SELECT {changed[table]} FROM {table}"  # noqa: S608 - names from this file
    if engine.dialect.name == "sqlite":
        _refuses(engine, f"INSERT OR REPLACE INTO {copied}")
        _refuses(engine, f"REPLACE INTO {copied}")
    else:
        _refuses(engine, f"TRUNCATE {table} CASCADE")
        key = {"reading": "reading_id", "audit_event": "hash"}[table]
        _refuses(engine, f"INSERT INTO {copied} ON CONFLICT ({key}) DO UPDATE SET {key} = excluded.{key}")


def test_a_foreign_program_without_our_settings_is_refused_too(sqlite_url: str, repository_on) -> None:
    """REPLACE fires delete triggers only with recursive_triggers; a plain connection has it off."""
    room = repository_on(sqlite_url)
    read_next(room.ann, "sat")
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    kept = "presentation_id, revision"
    rest = "confidence, comment, is_unreadable, reading_seconds, display_state, saved_at"
    into = f"INSERT OR REPLACE INTO reading (sequence, reading_id, {kept}, submit_id, class_key, {rest}) SELECT"
    for statement in (
        "UPDATE reading SET confidence = 5",
        "DELETE FROM reading",
        f"{into} sequence, reading_id, {kept}, submit_id, 'tumor', {rest} FROM reading",
        f"{into} NULL, 'new', {kept}, 'new', 'tumor', {rest} FROM reading",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    assert connection.execute("SELECT class_key FROM reading").fetchall() == [("sat",)]
    connection.close()


def test_a_store_whose_guards_were_removed_is_refused_at_the_start(own_store_url: str) -> None:
    engine = connect_engine(own_store_url)
    on_table = "" if engine.dialect.name == "sqlite" else " ON reading"
    with writing(engine).begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER reading_no_update{on_table}")
    with pytest.raises(StoreDamagedError, match="reading_no_update"):
        open_store(own_store_url)
    engine.dispose()


def test_the_database_refuses_values_that_mean_nothing(engine: Engine, room: Room) -> None:
    for table, column, value in (
        ("person", "role", "king"),
        ("study", "state", "finished"),
        ("presentation", "arm", "guided"),
        ("presentation", "position", 0),
        ("image", "bits", 12),
        ("image", "width", 0),
        ("study_case", "sex", "X"),
        ("study_case", "age_years", -1.0),
        ("case_image", "pixel_spacing_mm", 0.0),
        ("protocol_version", "version", 0),
    ):
        change = sa.update(Base.metadata.tables[table]).values({column: value})
        with pytest.raises(sa.exc.IntegrityError, match=f"ck_{table}_"), writing(engine).begin() as connection:
            connection.execute(change)


def test_the_database_refuses_readings_that_mean_nothing(engine: Engine, room: Room) -> None:
    read_next(room.ann, "sat")
    table = Base.metadata.tables["reading"]
    with engine.connect() as connection:
        stored = dict(connection.execute(sa.select(table)).mappings().one())
    del stored["sequence"]
    other = {**stored, "reading_id": "other", "submit_id": "other", "revision": 2}
    for column, value in (
        ("revision", 0),
        ("confidence", -1),
        ("reading_seconds", -1.0),
        ("class_key", ""),
        ("class_key", None),
    ):
        with pytest.raises(sa.exc.IntegrityError, match="ck_reading_"), writing(engine).begin() as connection:
            connection.execute(sa.insert(table).values({**other, column: value}))
    assert room.ann.last_reading(STUDY).answer == Answer("sat", 3)
