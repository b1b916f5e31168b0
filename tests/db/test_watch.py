"""A store that is damaged or touched while the server runs: found, told, and no answer is acknowledged any more."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from core.errors import StoreDamagedError
from db.engine import writing
from db.watch import StoreWatch
from tests.db.conftest import STUDY, Room, read_next


def test_a_page_that_is_damaged_under_a_running_server_stops_acknowledgements(sqlite_url: str, repository_on) -> None:
    room: Room = repository_on(sqlite_url)
    read_next(room.ann)
    watch = StoreWatch(room.operator)
    assert watch.look() == ()
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'study_case'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)
    assert "damaged" in watch.look()[0]
    with pytest.raises(StoreDamagedError, match="damaged"):
        read_next(room.ann)
    assert room.ann.my_progress(STUDY).n_done == 1  # reading what is readable goes on


def test_a_store_that_was_away_for_a_look_takes_readings_again_after_the_next(sqlite_url: str, repository_on) -> None:
    room: Room = repository_on(sqlite_url)
    watch = StoreWatch(room.operator)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    away = path.with_name("away")
    path.rename(away)
    assert watch.look()
    away.rename(path)
    with pytest.raises(StoreDamagedError):
        read_next(room.ann)
    assert watch.look() == ()
    read_next(room.ann)
    assert room.ann.my_progress(STUDY).n_done == 1


def test_the_watch_looks_by_itself_and_tells_what_was_touched(
    engine: Engine, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE reference_standard SET class_key = 'tumor'")
    watch = StoreWatch(room.operator, every_s=0.05)
    watch.start()
    deadline = time.monotonic() + 20
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.05)
    watch.stop()
    watch._thread.join(20)
    assert "the reference standard of study 'demo' is not what was sealed" in caplog.text
    assert watch.found
    read_next(room.ann)  # a touched row is told, and stops nobody
