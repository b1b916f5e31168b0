"""A store that is damaged or touched while the server runs: found, told, and no answer is acknowledged any more."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from core.errors import StoreDamagedError
from db.engine import connect_engine, writing
from db.image_store import Images, ImageStore
from db.migrate import schema_problem
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


CHANGES = {
    "a column is added": "ALTER TABLE reading ADD COLUMN note TEXT",
    "a column goes": "ALTER TABLE study_case DROP COLUMN scanner",
    "an index is added": "CREATE UNIQUE INDEX one_each ON reading (presentation_id)",
    "a table goes": "DROP TABLE deviation",
    "a trigger writes behind the program": {
        "sqlite": "CREATE TRIGGER quiet BEFORE INSERT ON reading BEGIN SELECT RAISE(IGNORE); END",
        "postgresql": "CREATE RULE quiet AS ON INSERT TO reading DO INSTEAD NOTHING",
    },
    "a guard does nothing any more": {
        "sqlite": "DROP TRIGGER reading_no_update;"
        "CREATE TRIGGER reading_no_update BEFORE UPDATE ON reading WHEN 0 BEGIN SELECT 1; END",
        "postgresql": "ALTER TABLE reading DISABLE TRIGGER reading_no_update",
    },
    "a check goes": {
        "sqlite": "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql = replace(sql, 'revision >= 1', '1')"
        " WHERE name = 'reading'; PRAGMA writable_schema=RESET",
        "postgresql": "ALTER TABLE reading DROP CONSTRAINT ck_reading_revision",
    },
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_that_somebody_changes_under_a_running_server_stops_acknowledgements(
    own_store_url: str, repository_on, change: str
) -> None:
    """By another process, at the same version: what the program would write might not be what is kept."""
    room: Room = repository_on(own_store_url)
    read_next(room.ann)
    watch = StoreWatch(room.operator)
    assert watch.look() == ()
    assert watch.look() == ()
    assert schema_problem(room.operator.engine) == ""
    statement = CHANGES[change]
    if own_store_url.startswith("sqlite"):
        with closing(sqlite3.connect(own_store_url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(statement if isinstance(statement, str) else statement["sqlite"])
    else:
        with writing(room.operator.engine).begin() as connection:
            connection.exec_driver_sql(statement if isinstance(statement, str) else statement["postgresql"])
    (found,) = watch.look()
    assert "schema of the store was changed while the program ran" in found
    assert "Fix:" in found
    with pytest.raises(StoreDamagedError, match="No reading is taken"):
        read_next(room.ann)
    assert "not as this program makes it" in schema_problem(room.operator.engine)  # also where no server had looked


def test_a_column_that_is_put_back_lets_readings_in_again(own_store_url: str, repository_on) -> None:
    room: Room = repository_on(own_store_url)
    watch = StoreWatch(room.operator)
    watch.look()
    for statement, is_taken in (("ADD COLUMN note TEXT", False), ("DROP COLUMN note", True)):
        engine = connect_engine(own_store_url)
        with writing(engine).begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE deviation {statement}")
        engine.dispose()
        assert (watch.look() == ()) is is_taken
        assert watch.refuses_writing is not is_taken
    read_next(room.ann)


def test_images_outside_of_the_database_are_looked_at_by_the_watch(
    sqlite_url: str, repository_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some at each look, chosen anew: a changed one is told as `audit verify` tells it."""
    room: Room = repository_on(sqlite_url)
    room.operator._images = Images(ImageStore(str(tmp_path / "images")))
    assert room.operator.move_images() == 10
    watch = StoreWatch(room.operator)
    assert watch.look() == ()
    touched = next(path for path in (tmp_path / "images").rglob("*") if path.is_file())
    touched.write_bytes(touched.read_bytes() + b"x")
    (found,) = watch.look()
    assert room.operator.check_images() == [found]
    monkeypatch.setattr("db.watch.IMAGES_AT_ONCE", 3)
    seen = [watch.look() for _ in range(60)]
    assert () in seen
    assert (found,) in seen
    assert not watch.refuses_writing


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
