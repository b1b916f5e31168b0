"""Backup while reading goes on, restored and compared: a copy that nobody opened is no backup."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from core.errors import ConflictError, NotFoundError, SchemaVersionError, StoreDamagedError, StoreError
from core.protocol import Protocol
from core.settings import Settings
from core.study import Role, StudyState
from db import OPERATOR, Notary, Repository, create_store, open_store
from db.backup import back_up, restore
from db.backup_schedule import BackupSchedule
from db.engine import connect_engine, make_sqlite_file, writing
from db.migrate import _config
from db.row_copy import copy_rows, table_seals
from db.watch import StoreWatch
from tests.db.conftest import STUDY, Room, make_cases, read_next
from tests.db.test_tampering import MODEL, prediction
from tests.stores import begun_sign_in, repository_of


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
    sqlite_url: str, repository_on, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    room: Room = repository_on(sqlite_url)
    notary = Notary(tmp_path / "data")
    Repository(room.operator.engine, OPERATOR, notary=notary).create_person("dora", "Dr Dora", Role.READER)  # signed
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
    assert caplog.messages == [], "a restore that goes right frightens nobody"
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


def test_no_sign_in_lives_again_when_a_backup_is_restored(own_store_url: str, tmp_path: Path) -> None:
    """One was ended since the backup, one is not even known to have lived; the trail knows that both have ended."""
    notary, engine = Notary(tmp_path / "data"), open_store(own_store_url)
    operator = Repository(engine, OPERATOR, notary=notary)
    person = operator.create_person("eve", "Dr Eve", Role.COORDINATOR)
    left, stayed = (begun_sign_in(engine, person, notary=notary) for _ in range(2))
    backup = back_up(own_store_url, tmp_path / "one.sqlite3", notary=notary).path
    Repository(engine, None, notary=notary).sign_out(left)
    engine.dispose()
    restored, _ = restore(backup, own_store_url, notary=notary, is_replacing=True)
    assert restored.problems == ()
    engine = open_store(own_store_url)
    door, operator = (Repository(engine, actor, notary=notary) for actor in (None, OPERATOR))
    assert [door.actor_for_token(token) for token in (left, stayed)] == [None, None]
    assert operator.audit_trail()[-1].detail["n_sign_ins_ended"] == 2
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE sign_in_session SET revoked_at = NULL")
    Repository(engine, person, token=left, notary=notary).create_study("late", Protocol(title="Late"))
    assert "'eve' acted by a sign-in that had ended" in "".join(operator.verify_audit().problems)
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
    for bad, said in ((letter, "letter.txt is no backup"), (damaged, "damaged")):
        with pytest.raises(StoreDamagedError, match=said):
            restore(bad, sqlite_url, notary=notary, is_replacing=True)
    with pytest.raises(NotFoundError):
        restore(tmp_path / "nowhere", sqlite_url, notary=notary, is_replacing=True)
    now = _dump(_path(sqlite_url))
    assert [line for line in now if "store.backup" not in line] == before


#: What somebody may put into a backup before it is restored, in good faith, by another one.
CRAFTED = {
    "a trigger that gives a part in every study": (
        "CREATE TRIGGER more AFTER INSERT ON reading BEGIN UPDATE person SET role = 'administrator'; END"
    ),
    "a trigger that swallows readings": "CREATE TRIGGER none BEFORE INSERT ON reading BEGIN SELECT RAISE(IGNORE); END",
    "a view": "CREATE VIEW truth AS SELECT * FROM reference_standard",
    "a table of its own": "CREATE TABLE kept (a TEXT)",
    "an index that lets nobody answer": "CREATE UNIQUE INDEX one ON reading (class_key)",
    "a guard that does nothing": (
        "DROP TRIGGER reading_no_delete; "
        "CREATE TRIGGER reading_no_delete BEFORE DELETE ON reading WHEN 0 BEGIN SELECT 1; END"
    ),
    "a guard that is gone": "DROP TRIGGER reading_no_delete",
    "an older version of newer tables": "UPDATE alembic_version SET version_num = '0003'",
    "a version that is none": "UPDATE alembic_version SET version_num = '0003; DROP TABLE reading; --'",
    "two versions": "INSERT INTO alembic_version VALUES ('0001')",
    "no version": "DELETE FROM alembic_version",
    "a column fewer": "ALTER TABLE reading DROP COLUMN is_typed_ahead",
}


@pytest.mark.parametrize("what", CRAFTED)
def test_a_crafted_backup_is_refused_and_the_store_stays(
    what: str, sqlite_url: str, repository_on, tmp_path: Path
) -> None:
    repository_on(sqlite_url).operator.engine.dispose()
    notary, backup = Notary(tmp_path / "data"), tmp_path / "one.sqlite3"
    back_up(sqlite_url, backup, notary=notary)
    before = _dump(_path(sqlite_url))
    with closing(sqlite3.connect(backup)) as theirs:
        theirs.executescript(CRAFTED[what])
        theirs.commit()
    with pytest.raises((StoreError, SchemaVersionError)):
        restore(backup, sqlite_url, notary=notary, is_replacing=True)
    assert _dump(_path(sqlite_url)) == before
    assert not [*tmp_path.rglob("*partial*"), *_path(sqlite_url).parent.rglob("*replaced*")]


def test_a_restored_backup_whose_signatures_were_taken_away_is_told_for_good(sqlite_url: str, tmp_path: Path) -> None:
    """Whoever edits a backup and computes its chain anew lacks the key: what nobody signed is believed no more."""
    notary, backup = Notary(tmp_path / "data"), tmp_path / "one.sqlite3"
    engine = open_store(sqlite_url)
    Repository(engine, OPERATOR, notary=notary).create_person("dora", "Dr Dora", Role.READER)
    engine.dispose()
    back_up(sqlite_url, backup, notary=notary)
    with closing(sqlite3.connect(backup)) as theirs:
        triggers = theirs.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            theirs.execute(f"DROP TRIGGER {name}")
        theirs.execute("UPDATE audit_event SET signature = NULL")
        for _, sql in triggers:
            theirs.execute(sql)
        theirs.commit()
        last = theirs.execute("SELECT sequence, hash FROM audit_event ORDER BY sequence DESC").fetchone()
    done, _ = restore(backup, sqlite_url, notary=notary, is_replacing=True)
    assert "restored a backup whose events" in "".join(done.problems)
    engine = open_store(sqlite_url)
    store = Repository(engine, OPERATOR, notary=notary)
    store.create_person("eve", "Dr Eve", Role.READER)
    assert "nothing shows that nobody wrote them anew" in "".join(store.verify_audit().problems)
    assert store.verify_audit([f"{last[0]}:{last[1]}"]).problems == (), "somebody else kept what it was"
    engine.dispose()


def test_a_backup_of_a_store_that_was_touched_says_so(sqlite_url: str, repository_on, tmp_path: Path) -> None:
    room: Room = repository_on(sqlite_url)
    with writing(room.operator.engine).begin() as connection:
        connection.exec_driver_sql("UPDATE reference_standard SET class_key = 'tumor'")
    done = back_up(sqlite_url, tmp_path / "one.sqlite3", notary=Notary(tmp_path))
    assert any("reference standard" in problem for problem in done.problems)


def _seals(url: str) -> dict[str, object]:
    """Every row of a store but the events of the trail, which grows with each backup, and sign-ins, which end."""
    engine = open_store(url)
    with engine.connect() as connection:
        found = table_seals(connection)
    engine.dispose()
    return {table: seal for table, seal in found.items() if table not in ("audit_event", "sign_in_session")}


@pytest.mark.postgresql
def test_postgresql_is_backed_up_while_readers_read_and_restored_to_either_engine(
    postgresql, repository_on, tmp_path: Path
) -> None:
    url = postgresql.new_store(tmp_path)
    room: Room = repository_on(url)
    notary = Notary(tmp_path / "data")
    failures: list[BaseException] = []

    def read(reader: Repository) -> None:
        try:
            for _ in range(9):
                read_next(reader)
        except BaseException as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read, args=(reader,)) for reader in (room.ann, room.ben)]
    for reader in readers:
        reader.start()
    done = back_up(url, tmp_path / "one.sqlite3", notary=notary)
    for reader in readers:
        reader.join()
    assert failures == []
    assert done.problems == ()
    assert [path.name for path in tmp_path.glob("one*")] == ["one.sqlite3"]
    kept = _seals(f"sqlite:///{done.path}")
    assert any(event.action == "store.backup" for event in room.operator.audit_trail())

    elsewhere = postgresql.empty_store().render_as_string(hide_password=False)
    for target in (elsewhere, f"sqlite:///{tmp_path / 'store.sqlite3'}"):
        _, aside = restore(done.path, target, notary=Notary(tmp_path / "other"))
        assert aside is None
        assert _seals(target) == kept
    with pytest.raises(ConflictError, match="--replace"):
        restore(done.path, url, notary=notary)
    room.operator.engine.dispose()
    restored, aside = restore(done.path, url, notary=notary, is_replacing=True)
    assert _seals(url) == kept
    assert aside is not None  # what was read after the backup is still there
    engine = open_store(url)
    with engine.connect() as connection:
        moved = sa.table("reading", schema=aside)
        assert connection.scalar(sa.select(sa.func.count()).select_from(moved)) == 18
    operator = Repository(engine, OPERATOR, notary=notary)
    assert operator.verify_audit([done.head.receipt]).problems == ()
    assert operator.audit_head() == restored.head
    read_next(repository_of(engine, room.ann.actor))  # numbers of readings go on where they ended
    engine.dispose()


@pytest.mark.postgresql
def test_a_zero_with_a_sign_stops_no_backup(own_store_url: str, tmp_path: Path) -> None:
    """PostgreSQL keeps it and SQLite does not: one such number, and no copy would ever be as the store."""
    engine = open_store(own_store_url)
    operator = Repository(engine, OPERATOR)
    operator.create_study(STUDY, Protocol(title="Zero"), is_synthetic=True)
    operator.import_cases(STUDY, [replace(case, age_years=-0.0) for case in make_cases(3)])
    operator.register_model(sha256=MODEL, name="m", architecture="a", path="p", metadata={})
    operator.save_predictions(STUDY, MODEL, [replace(prediction("case-0000", 1), entropy=-0.0)])
    operator.create_person("ann", "Dr Ann", Role.READER, years_of_experience=-0.0)
    operator.add_reader(STUDY, "ann", cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    engine.dispose()
    assert back_up(own_store_url, tmp_path / "one.sqlite3", notary=Notary(tmp_path / "data")).problems == ()


def test_a_sqlite_store_moves_to_postgresql_by_backup_and_restore(
    postgresql, sqlite_url: str, repository_on, tmp_path: Path
) -> None:
    room: Room = repository_on(sqlite_url)
    read_next(room.ann)
    done = back_up(sqlite_url, tmp_path / "one.sqlite3", notary=Notary(tmp_path / "data"))
    url = postgresql.empty_store().render_as_string(hide_password=False)
    restore(done.path, url, notary=Notary(tmp_path / "data"))
    assert _seals(url) == _seals(f"sqlite:///{done.path}") == _seals(sqlite_url)


@pytest.mark.postgresql
def test_a_restore_that_fails_midway_leaves_postgresql_as_it_was(
    postgresql, repository_on, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.new_store(tmp_path)
    room: Room = repository_on(url)
    read_next(room.ann)
    done = back_up(url, tmp_path / "one.sqlite3", notary=Notary(tmp_path / "data"))
    before = _seals(url)

    def cut_off(source: object, target: object) -> None:
        raise StoreDamagedError("the power went")

    monkeypatch.setattr("db.backup.copy_rows", cut_off)
    with pytest.raises(StoreDamagedError):
        restore(done.path, url, notary=Notary(tmp_path / "data"), is_replacing=True)
    assert _seals(url) == before
    assert [path.name for path in tmp_path.glob("one*")] == ["one.sqlite3"]
    read_next(room.ann)


def test_a_copy_that_is_not_what_was_copied_is_no_backup(sqlite_url: str, repository_on, tmp_path: Path) -> None:
    repository_on(sqlite_url)
    create_store(f"sqlite:///{tmp_path / 'copy.sqlite3'}").dispose()
    source, copy = open_store(sqlite_url), open_store(f"sqlite:///{tmp_path / 'copy.sqlite3'}")
    with writing(copy).begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER spoil AFTER INSERT ON reference_standard BEGIN UPDATE reference_standard "
            "SET class_key = 'tumor' WHERE case_id = NEW.case_id; END"
        )
    with (
        source.connect() as rows,
        writing(copy).begin() as connection,
        pytest.raises(StoreDamagedError, match=r"does not hold what was copied \(reference_standard\)"),
    ):
        copy_rows(rows, connection)
    source.dispose()
    copy.dispose()


def _settings(url: str, tmp_path: Path, **more: object) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=url, backup_folder=tmp_path / "backups", **more)


def test_backups_are_made_when_due_and_the_oldest_thrown_away(
    own_store_url: str, repository_on, tmp_path: Path
) -> None:
    room: Room = repository_on(own_store_url)
    schedule = BackupSchedule(_settings(own_store_url, tmp_path, backup_every_hours=6, backups_kept=2))
    begin = datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert schedule.problem(begin) is not None
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "reading-room-mine.sqlite3").write_text("not of this program")
    for hours, n_made in ((0, 1), (3, 1), (5.99, 1), (6, 2), (12, 2), (60, 2)):
        assert schedule.keep_up(begin + timedelta(hours=hours)) == ()
        assert len(list((tmp_path / "backups").glob("*Z.sqlite3"))) == n_made
        assert schedule.problem(begin + timedelta(hours=hours)) is None
    assert schedule.last_at() == begin + timedelta(hours=60)
    assert "one is due every" in (schedule.problem(begin + timedelta(hours=73)) or "")
    assert sorted(path.name for path in (tmp_path / "backups").iterdir() if path.suffix == ".sqlite3") == [
        "reading-room-20260301T180000Z.sqlite3",
        "reading-room-20260303T180000Z.sqlite3",
        "reading-room-mine.sqlite3",
    ]
    assert [event.action for event in room.operator.audit_trail()].count("store.backup") == 4
    url = f"sqlite:///{tmp_path / 'restored.sqlite3'}"
    restored, _ = restore(
        tmp_path / "backups" / "reading-room-20260303T180000Z.sqlite3", url, notary=Notary(tmp_path / "data")
    )
    assert restored.problems == ()


def test_of_two_servers_one_makes_the_backup(sqlite_url: str, repository_on, tmp_path: Path) -> None:
    room: Room = repository_on(sqlite_url)
    settings, now = _settings(sqlite_url, tmp_path), datetime(2026, 3, 1, 6, tzinfo=UTC)
    servers = [threading.Thread(target=BackupSchedule(settings).keep_up, args=(now,)) for _ in range(4)]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
    assert len(list((tmp_path / "backups").glob("*.sqlite3"))) == 1
    assert [event.action for event in room.operator.audit_trail()].count("store.backup") == 1


def test_a_backup_that_fails_is_told_to_the_coordinator_until_one_is_made(
    sqlite_url: str, repository_on, tmp_path: Path
) -> None:
    room: Room = repository_on(sqlite_url)
    (tmp_path / "backups").write_text("a file where the folder should be")
    settings = _settings(sqlite_url, tmp_path)
    assert BackupSchedule(settings).problem(datetime.now(UTC)) is not None
    watch = StoreWatch(room.operator, backups=BackupSchedule(settings))
    assert "the scheduled backup failed (there is none yet)" in watch.look()[0]
    assert watch.found == watch.look()
    failures = [event.detail for event in room.operator.audit_trail() if event.action == "store.backup-failed"]
    assert [detail["problem"] for detail in failures] == list(watch.found)  # once, though it was looked twice
    (tmp_path / "backups").unlink()
    assert watch.look() == ()
    assert BackupSchedule(settings).problem(datetime.now(UTC)) is None
    without = settings.model_copy(update={"backup_folder": None})
    assert "READING_ROOM_BACKUP_FOLDER" in str(BackupSchedule(without).problem(datetime.now(UTC)))
    assert len(list((tmp_path / "backups").glob("*.sqlite3"))) == 1


def test_a_store_of_an_earlier_version_is_backed_up_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    make_sqlite_file(path)
    engine = connect_engine(f"sqlite:///{path}", for_migration=True)
    with writing(engine).begin() as connection:
        command.upgrade(_config(connection), "0003")
        connection.exec_driver_sql("INSERT INTO study VALUES ('s', 'old', 'draft', 0, '2026-01-01T00:00:00+00:00')")
    engine.dispose()
    before = _dump(path)
    done = back_up(f"sqlite:///{path}", tmp_path / "one.sqlite3", notary=Notary(tmp_path / "data"))
    assert _dump(done.path) == _dump(path) == before
    restored, _ = restore(done.path, f"sqlite:///{tmp_path / 'new.sqlite3'}", notary=Notary(tmp_path / "data"))
    assert any("study 'old' was not entered in the trail" in problem for problem in restored.problems)
