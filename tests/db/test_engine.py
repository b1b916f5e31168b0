"""A store that is missing, replaced, damaged or busy says so, and never takes what it cannot keep."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.errors import NotFoundError, StoreBusyError, StoreDamagedError
from core.study import Answer
from db import OPERATOR, Repository, create_store, open_store, store_exists
from db.engine import connect_engine, writing
from tests.db.conftest import STUDY, Room, read_next
from tests.stores import sign_in_as


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def test_every_sqlite_connection_has_the_durable_settings(sqlite_url: str) -> None:
    engine = open_store(sqlite_url)
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
            }
            assert settings == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "recursive_triggers": 1,
                "busy_timeout": 30_000,
            }
    engine.dispose()


def test_every_sqlite_table_is_strict(sqlite_url: str) -> None:
    engine = open_store(sqlite_url)
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("PRAGMA table_list").mappings().all()
    loose = [
        table["name"]
        for table in tables
        if not table["strict"] and not table["name"].startswith("sqlite_") and table["name"] != "alembic_version"
    ]
    assert loose == []
    engine.dispose()


@pytest.mark.postgresql
def test_postgresql_commits_wait_for_the_disk_and_locks_do_not_wait_forever(postgresql, tmp_path: Path) -> None:
    engine = open_store(postgresql.new_store(tmp_path))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW timezone").scalar() == "UTC"
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "30s"
    engine.dispose()


def test_a_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.sqlite3'}"
    with pytest.raises(StoreDamagedError, match=r"manage\.py migrate"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []
    assert not store_exists(url)


def test_create_store_makes_a_private_file_and_is_safe_to_repeat(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a%20b?#'.sqlite3"
    url = sa.URL.create("sqlite", database=str(path))
    create_store(url).dispose()
    assert path.exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store_exists(url)
    engine = create_store(url)
    assert Repository(engine, OPERATOR).studies() == []
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(sqlite_url: str) -> None:
    _path(sqlite_url).write_bytes(b"This is a letter, not a database. " * 300)
    with pytest.raises(StoreDamagedError):
        open_store(sqlite_url)


def test_a_damaged_page_is_found_at_the_start(sqlite_url: str, repository_on) -> None:
    repository_on(sqlite_url)
    path = _path(sqlite_url)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'study_case'").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)
    with pytest.raises(StoreDamagedError):
        open_store(sqlite_url)


def test_an_unlinked_file_takes_no_more_readings(sqlite_url: str, repository_on) -> None:
    room: Room = repository_on(sqlite_url)
    read_next(room.ann)
    presentation = room.ann.next_presentation(STUDY)
    _path(sqlite_url).unlink()
    with pytest.raises(StoreDamagedError, match="removed or replaced"):
        room.ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="lost")


def test_a_file_that_vanished_is_not_made_anew_by_the_next_connection(sqlite_url: str, repository_on) -> None:
    room: Room = repository_on(sqlite_url)
    room.ann.engine.dispose()  # the next call opens a connection of its own
    _path(sqlite_url).unlink()
    with pytest.raises(StoreDamagedError):
        room.ann.my_progress(STUDY)
    assert not _path(sqlite_url).exists()


def test_a_replaced_file_takes_no_more_readings(sqlite_url: str, repository_on, tmp_path: Path) -> None:
    room: Room = repository_on(sqlite_url)
    presentation = room.ann.next_presentation(STUDY)
    path = _path(sqlite_url)
    shutil.copyfile(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)
    with pytest.raises(StoreDamagedError, match="removed or replaced"):
        room.ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="lost")


def test_a_file_that_is_unlinked_within_the_transaction_is_noticed_before_the_commit(sqlite_url: str) -> None:
    engine = open_store(sqlite_url)
    connection = writing(engine).connect()
    transaction = connection.begin()
    connection.exec_driver_sql("DELETE FROM sign_in_attempt")
    _path(sqlite_url).unlink()
    with pytest.raises(StoreDamagedError):
        transaction.commit()
    connection.close()
    engine.dispose()


def test_a_busy_store_says_not_saved_and_the_retry_is_safe(store_url: str, room: Room) -> None:
    impatient = connect_engine(store_url, busy_timeout_s=0.1)
    ann = Repository(impatient, room.ann.actor, token=sign_in_as(room.ann.engine, room.ann.actor))
    presentation = ann.next_presentation(STUDY)
    holder = connect_engine(store_url)
    with writing(holder).connect() as blocker, blocker.begin():
        if holder.dialect.name == "postgresql":
            blocker.exec_driver_sql("LOCK TABLE reading IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreBusyError, match="try again"):
            ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="s-1")
    receipt = ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="s-1")
    assert not receipt.was_already_saved
    impatient.dispose()
    holder.dispose()


def test_writers_of_many_threads_all_get_their_turn(store_url: str, room: Room) -> None:
    """A deferred BEGIN would fail here with 'database is locked', whatever the timeout."""
    failures: list[BaseException] = []

    def read(reader: Repository) -> None:
        try:
            for _ in room.cases:
                read_next(reader)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=read, args=(reader,)) for reader in (room.ann, room.ben)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert room.ann.my_progress(STUDY).n_done == room.ben.my_progress(STUDY).n_done == len(room.cases)


def test_our_own_errors_pass_the_translation_unchanged(room: Room) -> None:
    with pytest.raises(NotFoundError):
        room.coordinator.study("none")
