"""Backup of a SQLite store while reading goes on, and the way back; a copy of the live file would hold next to nothing.

A backup is opened and held against its own audit trail before it is given out. PostgreSQL has ``pg_dump`` for this.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL

from core.errors import ConflictError, InputError, NotFoundError
from db.address import sqlite_path
from db.engine import refuse_foreign_file
from db.migrate import upgrade
from db.notary import Notary
from db.records import AuditHead
from db.repository import OPERATOR, Repository
from db.store import open_store

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
    InputError
        If the store is PostgreSQL.
    ConflictError
        If the target exists.
    StoreDamagedError
        If the store, or its copy, fails the check of its pages.
    """
    source = _path_of(url)
    if target.exists():
        raise ConflictError(f"{target} exists. Fix: name a new file; nothing was written.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    with closing(_connect(source, "ro")) as store, closing(sqlite3.connect(partial)) as copy:
        partial.chmod(0o600)
        store.backup(copy)  # one step: one moment of the store, and in WAL mode no writer waits
        copy.execute("PRAGMA journal_mode=DELETE").close()
    _to_disk(partial)
    done = _checked(partial)
    partial.rename(target)
    engine = open_store(url, check_integrity=False)
    Repository(engine, OPERATOR, notary=notary).record_backup(done.head.receipt, done.sha256)
    engine.dispose()
    return Backup(target, done.head, done.sha256, done.problems)


def restore(backup: Path, url: str | URL, *, notary: Notary, is_replacing: bool = False) -> tuple[Backup, Path | None]:
    """Put a backup in the place of the store; what stood there is kept beside it, and the trail tells of it.

    Parameters
    ----------
    is_replacing : bool
        Whether a store that exists may be set aside. Stop the server first: it takes no more readings afterwards.

    Returns
    -------
    tuple of (Backup, Path or None)
        What was restored, and where the store that was set aside lies.

    Raises
    ------
    NotFoundError, InputError, ConflictError
        No such backup; PostgreSQL; a store exists and may not be set aside.
    StoreDamagedError
        If the backup is no store, or fails its check; nothing was changed.
    """
    path = _path_of(url)
    if not backup.is_file():
        raise NotFoundError(f"There is no backup {backup}.")
    refuse_foreign_file(backup)
    if path.exists() and not is_replacing:
        raise ConflictError(
            f"There is a store at {path}. Fix: add --replace to set it aside (it is renamed, not deleted); "
            "nothing was changed."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    shutil.copyfile(backup, partial)
    partial.chmod(0o600)
    upgrade(_url_of(partial))  # a backup of an earlier version is brought up to date
    done = _checked(partial)
    set_aside = _set_aside(path) if path.exists() else None
    partial.replace(path)
    _to_disk(path)
    engine = open_store(url)
    head = Repository(engine, OPERATOR, notary=notary).record_restore(done.head.receipt, done.sha256)
    notary.replace_head(head)
    engine.dispose()
    return Backup(path, head, done.sha256, done.problems), set_aside


def _path_of(url: str | URL) -> Path:
    """File of a SQLite store."""
    path = sqlite_path(url)
    if path is None:
        raise InputError(
            "this command copies SQLite stores",
            field="READING_ROOM_DATABASE_URL",
            fix="for PostgreSQL use `pg_dump --format=custom` and `pg_restore`, which work while reading goes on",
        )
    return path


def _url_of(path: Path) -> URL:
    """Address of a SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path.absolute()))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=30)


def _checked(path: Path) -> Backup:
    """Open a copy as the program would, read every page, hold every row against its trail; leave one file."""
    engine = open_store(_url_of(path))
    check = Repository(engine, OPERATOR).verify_audit()
    engine.dispose()
    with closing(_connect(path, "rw")) as copy:
        copy.execute("PRAGMA journal_mode=DELETE").close()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Backup(path, check.head, digest, check.problems)


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
