"""Backup while reading goes on, restored and compared: a copy that nobody opened is no backup."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import ConflictError, InputError, NotFoundError, StoreDamagedError
from core.study import StudyState
from db import OPERATOR, Notary, Repository, open_store
from db.backup import back_up, restore
from db.engine import writing
from tests.db.conftest import STUDY, Room, read_next


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@pytest.mark.parametrize("name", ["plain.sqlite3", "a%20b?c#d.sqlite3"])
def test_a_backup_takes_any_path_also_a_relative_one(
    name: str, sqlite_url: str, repository_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository_on(sqlite_url)
    monkeypatch.chdir(tmp_path)
    done = back_up(sqlite_url, Path("copies") / name, notary=Notary(tmp_path / "data"))
    assert done.problems == ()
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [name]


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def test_a_backup_made_while_readers_read_restores_to_the_store_of_that_moment(
    sqlite_url: str, repository_on, tmp_path: Path
) -> None:
    room: Room = repository_on(sqlite_url)
    notary = Notary(tmp_path / "data")
    failures: list[BaseException] = []

    def read(reader: Repository) -> None:
        try:
            for _ in range(8):
                read_next(reader)
        except BaseException as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read, args=(reader,)) for reader in (room.ann, room.ben)]
    for reader in readers:
        reader.start()
    done = back_up(sqlite_url, tmp_path / "backups" / "one.sqlite3", notary=notary)
    for reader in readers:
        reader.join()
    assert failures == []
    assert done.problems == ()
    assert done.path.stat().st_mode & 0o777 == 0o600
    assert list(done.path.parent.iterdir()) == [done.path]  # one file, complete
    entered = next(event for event in room.operator.audit_trail() if event.action == "store.backup")
    assert entered.detail == {"receipt": done.head.receipt, "sha256": done.sha256}

    n_read = sum(row.n_done for row in room.operator.progress(STUDY))
    after = room.operator.audit_head().receipt
    room.operator.engine.dispose()
    saved = _dump(done.path)
    restored, aside = restore(done.path, sqlite_url, notary=notary, is_replacing=True)
    assert _dump(done.path) == saved  # the backup is left as it was
    engine = open_store(sqlite_url)
    operator = Repository(engine, OPERATOR, notary=notary)
    assert operator.verify_audit([done.head.receipt]).problems == ()
    assert operator.audit_head() == restored.head
    assert operator.audit_trail()[-1].action == "store.restore"
    assert any("was cut off" in said or "written anew" in said for said in operator.verify_audit([after]).problems)
    operator.set_state(STUDY, StudyState.CLOSED)
    assert Repository(engine, OPERATOR, notary=Notary(tmp_path / "data")).verify_audit().is_intact
    engine.dispose()

    assert aside is not None  # nothing was deleted: what was saved after the backup is still there
    engine = open_store(f"sqlite:///{aside}")
    assert sum(row.n_done for row in Repository(engine, OPERATOR).progress(STUDY)) == n_read == 16
    engine.dispose()


def test_a_store_is_restored_where_there_is_none(sqlite_url: str, repository_on, tmp_path: Path) -> None:
    room: Room = repository_on(sqlite_url)
    read_next(room.ann)
    done = back_up(sqlite_url, tmp_path / "one.sqlite3", notary=Notary(tmp_path / "data"))
    url = f"sqlite:///{tmp_path / 'elsewhere' / 'store.sqlite3'}"
    _, aside = restore(done.path, url, notary=Notary(tmp_path / "data"))
    assert aside is None
    engine = open_store(url)
    assert sum(row.n_done for row in Repository(engine, OPERATOR).progress(STUDY)) == 1
    engine.dispose()


def test_what_is_no_backup_or_would_overwrite_is_refused_and_nothing_changes(
    sqlite_url: str, repository_on, tmp_path: Path
) -> None:
    repository_on(sqlite_url).operator.engine.dispose()
    notary, before = Notary(tmp_path / "data"), _dump(_path(sqlite_url))
    backup = tmp_path / "one.sqlite3"
    back_up(sqlite_url, backup, notary=notary)
    with pytest.raises(ConflictError, match="name a new file"):
        back_up(sqlite_url, backup, notary=notary)
    with pytest.raises(ConflictError, match="--replace"):
        restore(backup, sqlite_url, notary=notary)
    letter, damaged = tmp_path / "letter.txt", tmp_path / "damaged.sqlite3"
    letter.write_text("This is a letter, not a database. " * 300)
    content = bytearray(backup.read_bytes())
    content[8192:60000] = b"\xa5" * (60000 - 8192)
    damaged.write_bytes(content)
    for bad in (letter, damaged):
        with pytest.raises(StoreDamagedError):
            restore(bad, sqlite_url, notary=notary, is_replacing=True)
    with pytest.raises(NotFoundError):
        restore(tmp_path / "nowhere", sqlite_url, notary=notary, is_replacing=True)
    now = _dump(_path(sqlite_url))
    assert [line for line in now if "store.backup" not in line] == before


def test_a_backup_of_a_store_that_was_touched_says_so(sqlite_url: str, repository_on, tmp_path: Path) -> None:
    room: Room = repository_on(sqlite_url)
    with writing(room.operator.engine).begin() as connection:
        connection.exec_driver_sql("UPDATE reference_standard SET class_key = 'tumor'")
    done = back_up(sqlite_url, tmp_path / "one.sqlite3", notary=Notary(tmp_path))
    assert any("reference standard" in problem for problem in done.problems)


@pytest.mark.postgresql
def test_postgresql_is_pointed_at_its_own_program(postgresql, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pg_dump"):
        back_up(postgresql.new_store(tmp_path), tmp_path / "one", notary=Notary(tmp_path))
