"""Backup of a store while reading goes on, and the way back.

A backup is one SQLite file, whatever the engine of the store: of SQLite a copy of its pages (a copy of the live file
would hold next to nothing), of PostgreSQL a copy of its rows at one moment. So a backup of the one can be restored to
the other. Each is opened and held against its own audit trail before it is given out.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from core.errors import ConflictError, NotFoundError, SchemaVersionError, StoreDamagedError, StoreError
from db.address import shown_address, sqlite_path
from db.engine import connect_engine, make_sqlite_file, reading, refuse_foreign_file, writing
from db.engine_failures import translated_failures
from db.migrate import make_schema, schema_problem, upgrade
from db.notary import Notary
from db.records import AuditCheck, AuditHead
from db.repository import OPERATOR, Repository
from db.row_copy import copy_rows
from db.store import open_store, store_exists
from db.tables import Base

_REST = ("-wal", "-shm")  # what SQLite keeps beside its file


@dataclass(frozen=True)
class Backup:
    """A backup that was opened and checked."""

    path: Path
    head: AuditHead  # where its trail ends
    sha256: str
    problems: tuple[str, ...]  # what the check found; the store that it was made of has the same


def back_up(url: str | URL, target: Path, *, notary: Notary) -> Backup:
    """Copy a store that may be in use into a new file, check the copy, and enter it in the trail.

    Raises
    ------
    NotFoundError, ConflictError
        If there is no store; if the target exists.
    StoreError
        If the target cannot be written.
    StoreDamagedError
        If the store, or its copy, fails the check of its pages.
    """
    source = sqlite_path(url)
    if not store_exists(url):
        raise NotFoundError(f"There is no store at {shown_address(url)}: nothing was written.")
    if target.exists():
        raise ConflictError(f"{target} exists. Fix: name a new file; nothing was written.")
    try:
        # All work is done on a disk of this machine: the target may lie where SQLite must not work.
        with TemporaryDirectory(prefix="backup-", dir=None if source is None else source.parent) as folder:
            made = Path(folder) / "copy.sqlite3"
            if source is None:
                _copy_postgresql(url, made)
            else:
                _copy_pages(source, made)
            with _working_copy(made, Path(folder) / "check.sqlite3") as copy:
                check = _opened(copy)
            sha256 = _sha256(made)
            _deliver(made, target, sha256)
    except OSError as failure:
        problem = f"The backup {target} cannot be written ({failure.strerror}); there is none."
        raise StoreError(f"{problem} Fix: name a place with room that this account may write.") from failure
    done = Backup(target, check.head, sha256, check.problems)
    with suppress(SchemaVersionError):  # a backup before a migration: the trail of an older store takes no event
        engine = open_store(url, check_integrity=False)
        Repository(engine, OPERATOR, notary=notary).record_backup(done.head.receipt, done.sha256)
        engine.dispose()
    return done


def restore(backup: Path, url: str | URL, *, notary: Notary, is_replacing: bool = False) -> tuple[Backup, str | None]:
    """Put a backup in the place of the store; what stood there is kept beside it, and the trail tells of it.

    Parameters
    ----------
    is_replacing : bool
        Whether a store that exists may be set aside. Stop the server first: it takes no more readings afterwards.

    Returns
    -------
    tuple of (Backup, str or None)
        What was restored, and where the store that was set aside lies: a file, or a schema of PostgreSQL.

    Raises
    ------
    NotFoundError, ConflictError
        No such backup; a store exists and may not be set aside.
    StoreDamagedError
        If the backup is no store, has other tables or triggers than this program makes, or fails its check; nothing
        was changed.
    """
    if not backup.is_file():
        raise NotFoundError(f"There is no backup {backup}. Fix: check the path.")
    with backup.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            raise StoreDamagedError(
                f"{backup} is no backup: it is no database file. Fix: name a file that 'python manage.py backup' made; "
                "nothing was changed."
            )
    refuse_foreign_file(backup)
    if store_exists(url) and not is_replacing:
        raise ConflictError(
            f"There is a store at {shown_address(url)}. Fix: add --replace to set it aside (it is renamed, not "
            "deleted); nothing was changed."
        )
    path = sqlite_path(url)
    sha256 = _sha256(backup)
    with _working_copy(backup, Path(f"{path or backup}.partial")) as copy:
        check = _opened(copy)
        _refuse_other_schema(copy)
        set_aside = _fill_postgresql(copy, url) if path is None else _take_place(copy, path)
    engine = open_store(url)
    store = Repository(engine, OPERATOR, notary=notary)
    with notary.restoring():
        head = store.record_restore(check.head.receipt, sha256)
    notary.replace_head(head)
    problems = store.verify_audit().problems  # once more, for now it can be held against the key of this data folder
    engine.dispose()
    return Backup(path or backup, head, sha256, problems), set_aside


@contextmanager
def _working_copy(backup: Path, copy: Path) -> Iterator[Path]:
    """A copy of a backup that may be altered, gone afterwards unless it was moved."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(backup, copy)
    copy.chmod(0o600)
    try:
        yield copy
    finally:
        _remove(copy)


def _remove(path: Path) -> None:
    """Remove a SQLite file with all that SQLite keeps beside it."""
    for rest in ("", *_REST):
        Path(f"{path}{rest}").unlink(missing_ok=True)


def _deliver(made: Path, target: Path, sha256: str) -> None:
    """Put a finished file where it was asked for, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.copyfile(made, partial)
        partial.chmod(0o600)
        if _sha256(partial) != sha256:
            raise StoreDamagedError(f"What was written to {partial} is not what is read there. There is no backup.")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    _to_disk(target)


def _copy_pages(source: Path, target: Path) -> None:
    """A SQLite store in one step: one moment of the store, and in WAL mode no writer waits."""
    make_sqlite_file(target)
    with closing(_connect(source, "ro")) as store, closing(_connect(target, "rw")) as copy:
        store.backup(copy)
    _in_one_file(target)


def _copy_postgresql(url: str | URL, target: Path) -> None:
    """The rows of a PostgreSQL store at one moment, in a new SQLite store; no writer waits."""
    upgrade(_url_of(target))
    source, copy = open_store(url), open_store(_url_of(target))
    try:
        with translated_failures(), reading(source).connect() as rows, writing(copy).begin() as connection:
            copy_rows(rows, connection)
    finally:
        source.dispose()
        copy.dispose()
    _in_one_file(target)


def _fill_postgresql(copy: Path, url: str | URL) -> str | None:
    """Move the tables that are there into a schema of their own, and make and fill new ones; all of it or nothing."""
    source, engine = open_store(_url_of(copy)), connect_engine(url, for_migration=True)
    try:
        with translated_failures(), source.connect() as rows, writing(engine).begin() as connection:
            set_aside = _move_tables(connection)
            make_schema(connection)
            copy_rows(rows, connection)
    finally:
        source.dispose()
        engine.dispose()
    return set_aside


def _move_tables(connection: Connection) -> str | None:
    """Put the tables of a store into another schema; None if there were none."""
    here = set(sa.inspect(connection).get_table_names())
    tables = sorted(here & {*Base.metadata.tables, "alembic_version"})
    if not tables:
        return None
    schema = f"replaced_{datetime.now(UTC):%Y%m%dt%H%M%S}"
    connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    for table in tables:
        connection.exec_driver_sql(f"ALTER TABLE {table} SET SCHEMA {schema}")
    return schema


def _take_place(copy: Path, path: Path) -> str | None:
    """Put a SQLite file in the place of the store."""
    set_aside = str(_set_aside(path)) if path.exists() else None
    copy.replace(path)
    _to_disk(path)
    return set_aside


def _url_of(path: Path) -> URL:
    """Address of a SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path.absolute()))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=30)


def _opened(copy: Path) -> AuditCheck:
    """Open a working copy as the program would, read every page, hold every row against its trail; leave one file."""
    upgrade(_url_of(copy))  # a backup of an earlier version is brought up to date
    engine = open_store(_url_of(copy))
    check = Repository(engine, OPERATOR).verify_audit()
    engine.dispose()
    _in_one_file(copy)
    return check


def _refuse_other_schema(copy: Path) -> None:
    """Refuse a backup into which somebody put what acts by itself, or from which a check was taken."""
    engine = open_store(_url_of(copy), check_integrity=False)
    problem = schema_problem(engine)
    engine.dispose()
    _in_one_file(copy)
    if problem:
        said = problem.replace("the schema of the store", "The schema of the backup", 1)
        raise StoreDamagedError(f"{said}. Fix: restore another backup; nothing was changed.")


def _in_one_file(path: Path) -> None:
    """Leave nothing of a SQLite store beside its file."""
    with closing(_connect(path, "rw")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").close()


def _sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _set_aside(path: Path) -> Path:
    """Rename a store with all that SQLite keeps beside it."""
    aside = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    for rest in ("", *_REST):
        part = Path(f"{path}{rest}")
        if part.exists():
            part.rename(f"{aside}{rest}")
    return aside


def _to_disk(path: Path) -> None:
    """Make a file and its name durable."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
