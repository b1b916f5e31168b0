"""An engine from a URL: SQLite in a file, or PostgreSQL, set so that "saved" means on disk.

SQLite: WAL with ``synchronous=FULL`` (0 acknowledged rows lost in 50 simulated power cuts, 3,929 with NORMAL),
``BEGIN IMMEDIATE`` for writers (a deferred BEGIN gives "database is locked" despite the timeout), foreign keys,
recursive triggers, and ``mode=rw``: a missing file is refused, never made by accident. Before every transaction, and
again before a writer commits, the path must still lead to the file that was opened: a file that was unlinked or
replaced takes writes that nobody will ever find.

PostgreSQL: psycopg 3, ``synchronous_commit=on``, bounded lock waits, UTC. A process that hangs in the middle of a deed
holds its locks, so the database ends a writing transaction that says nothing for long (:func:`let_go_after`).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine

from core.errors import SettingsError, StoreDamagedError, StoreError
from db.address import parsed_url, sqlite_path
from db.engine_failures import RESTORE_COMMAND, refused_connection, translated_failures
from db.file_system import refuse_network_file_system

#: Seconds to wait for another writer before ``StoreBusyError``.
BUSY_TIMEOUT_S = 30

#: Of every SQLite connection; ``benchmarks/durability.py power`` cuts the power under them.
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA recursive_triggers=ON",
    "PRAGMA trusted_schema=OFF",
)

#: PostgreSQL ends a reader's transaction that is silent for so long, and anybody's that holds the end of the trail:
#: everybody waits for it. The deed is sent again, to another process, and stored then.
LET_GO_MS = 4_000
#: Any other writing transaction: in between it computes orders and seals (1.6 s at most with 5,000 cases x 40 readers).
LET_GO_LONG_MS = 20_000
#: A migration or a restore, for which everybody waits as well.
LET_GO_SCHEMA_MS = 60_000

_POOL_SIZE = 20


def connect_engine(url: str | URL, *, for_migration: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Engine with every setting above; opens nothing yet, and never makes a file.

    Parameters
    ----------
    url : str or URL
        Where the store is.
    for_migration : bool
        SQLite: foreign keys off, so that a migration may rebuild a table. PostgreSQL: every transaction is ended if it
        is silent for long.
    busy_timeout_s : float
        Seconds to wait for another writer.

    Raises
    ------
    SettingsError
        If the URL is not one of ours, or the SQLite file lies on a network file system.
    StoreDamagedError
        If the SQLite file is missing.
    """
    parsed = parsed_url(url)
    path = sqlite_path(parsed)
    if path is None:
        return _postgresql_engine(parsed, busy_timeout_s, for_migration=for_migration)
    return _sqlite_engine(parsed, path, for_migration=for_migration, busy_timeout_s=busy_timeout_s)


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that read one moment of the store, as SQLite's do by themselves."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write: on SQLite they begin IMMEDIATE."""
    return engine.execution_options(is_writer=True)


def let_go_after(milliseconds: int) -> sa.ColumnElement[str]:
    """PostgreSQL: from this statement on, the transaction is ended if it is silent for so long."""
    return sa.func.set_config("idle_in_transaction_session_timeout", str(milliseconds), sa.true())


def _postgresql_engine(url: URL, busy_timeout_s: float, *, for_migration: bool) -> Engine:
    """PostgreSQL through psycopg 3."""
    milliseconds = int(busy_timeout_s * 1000)
    options = f"-c synchronous_commit=on -c timezone=UTC -c lock_timeout={milliseconds}"
    if for_migration:
        options += f" -c idle_in_transaction_session_timeout={LET_GO_SCHEMA_MS}"
    theirs = url.query.get("options")
    engine = sa.create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_SIZE,
        pool_pre_ping=True,
        connect_args={
            "options": f"{theirs} {options}" if theirs else options,
            "connect_timeout": 10,
            "client_encoding": "utf8",  # whatever the database's is: what it cannot hold, it refuses
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Dialect, _: Any, arguments: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **parameters)
        except dialect.loaded_dbapi.OperationalError as failure:
            raise refused_connection(failure, parameters) from failure

    return engine


def _sqlite_engine(url: URL, path: Path, *, for_migration: bool, busy_timeout_s: float) -> Engine:
    """SQLite in an existing file."""
    refuse_network_file_system(path)
    opened = file_identity(path)
    if opened is None:
        raise StoreDamagedError(
            f"There is no store at {path}. Fix: correct READING_ROOM_DATA_DIR or READING_ROOM_DATABASE_URL, restore "
            f"a backup with `{RESTORE_COMMAND}`, or make a new store with `python manage.py migrate`."
        )
    pragmas = (*PRAGMAS, f"PRAGMA foreign_keys={'OFF' if for_migration else 'ON'}")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=busy_timeout_s,
            isolation_level=None,  # SQLAlchemy's begin event below says BEGIN, so that DDL is transactional too
            check_same_thread=False,
        )
        try:
            for pragma in pragmas:
                connection.execute(pragma).close()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = sa.create_engine(
        url, creator=connect, poolclass=sa.QueuePool, pool_size=_POOL_SIZE, max_overflow=_POOL_SIZE
    )

    def refuse_another_file() -> None:
        if file_identity(path) != opened:
            raise StoreDamagedError(
                f"The database file {path.name} was removed or replaced while the program ran. Nothing was saved. "
                "Fix: stop the program, put the right file back, and start again."
            )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        refuse_another_file()
        is_writer = connection.get_execution_options().get("is_writer", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN DEFERRED")

    @event.listens_for(engine, "commit")
    def commit(connection: Connection) -> None:
        if connection.get_execution_options().get("is_writer", False):
            refuse_another_file()

    return engine


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if there is none.

    Raises
    ------
    StoreError
        If this account may not look.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as failure:
        raise StoreError(
            f"The store at {path} cannot be reached ({failure.strerror}). "
            "Fix: correct READING_ROOM_DATA_DIR or READING_ROOM_DATABASE_URL, or let this account into the folder."
        ) from failure
    return found.st_dev, found.st_ino


def check_integrity(engine: Engine) -> None:
    """Look at every page of a SQLite file; an insert into a damaged file is otherwise acknowledged.

    Raises
    ------
    StoreDamagedError
        With SQLite's first finding.
    """
    if engine.dialect.name != "sqlite":
        return
    with translated_failures(), engine.connect() as connection:
        finding = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if finding != "ok":
        raise StoreDamagedError(
            f"The database file is damaged ({finding}). Fix: stop the program and restore the last backup with "
            f"`{RESTORE_COMMAND}`."
        )


def refuse_foreign_file(path: Path) -> None:
    """Refuse a SQLite file that this program did not make, before anything opens it for writing and alters it.

    Raises
    ------
    StoreDamagedError
        If it is a folder, empty, or a database without the table of schema versions.
    """
    if not path.is_file():
        raise StoreDamagedError(
            f"{path} is no file and cannot be opened as a store. Fix: correct READING_ROOM_DATA_DIR or "
            "READING_ROOM_DATABASE_URL."
        )
    if path.stat().st_size == 0:
        raise StoreDamagedError(
            f"The file {path} is empty: it is no store, and nothing was changed. Fix: delete it and make a new store "
            f"with `python manage.py migrate`, or restore a backup with `{RESTORE_COMMAND}`."
        )
    with translated_failures(), closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        try:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite3.DatabaseError as failure:
            raise sa.exc.DBAPIError("", (), failure) from failure
    tables = sorted(name for (name,) in found)
    if "alembic_version" not in tables:
        raise StoreDamagedError(
            f"The file {path} belongs to another program (tables: {', '.join(tables[:5]) or 'none'}): nothing was "
            "changed. Fix: correct READING_ROOM_DATA_DIR or READING_ROOM_DATABASE_URL."
        )


def make_sqlite_file(path: Path) -> None:
    """Make an empty file that only its owner may read.

    Raises
    ------
    SettingsError
        If the folder cannot be written, or several machines may share it.
    """
    refuse_network_file_system(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as failure:
        raise SettingsError(
            f"the store {path} cannot be made ({failure.strerror})",
            field="READING_ROOM_DATA_DIR or READING_ROOM_DATABASE_URL",
            fix="choose a folder that this account may write",
        ) from failure
