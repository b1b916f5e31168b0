"""Make a store, open it, ask whether there is one."""

from __future__ import annotations

from sqlalchemy.engine import URL, Engine

from db.address import sqlite_path
from db.engine import check_integrity as check_file
from db.engine import connect_engine, file_identity, refuse_foreign_file
from db.engine_failures import translated_failures
from db.file_system import refuse_network_file_system
from db.migrate import check_schema, current_revision, upgrade


def store_exists(url: str | URL) -> bool:
    """Whether there is a store: the file (SQLite) or the schema (PostgreSQL).

    Raises
    ------
    StoreBusyError
        If PostgreSQL cannot be reached.
    """
    path = sqlite_path(url)
    if path is not None:
        return file_identity(path) is not None
    engine = connect_engine(url)
    try:
        with translated_failures(), engine.connect() as connection:
            return current_revision(connection) is not None
    finally:
        engine.dispose()


def create_store(url: str | URL) -> Engine:
    """Make the store if there is none, bring its schema up to date, and open it; safe to repeat.

    Raises
    ------
    SettingsError, SchemaVersionError, StoreBusyError, StoreDamagedError
        As :func:`db.migrate.upgrade` and :func:`open_store`.
    """
    upgrade(url)
    return open_store(url)


def open_store(url: str | URL, *, check_integrity: bool = True) -> Engine:
    """Open an existing store; share the engine within the process and ``dispose()`` it at the end.

    Parameters
    ----------
    url : str or URL
        Where the store is.
    check_integrity : bool
        SQLite only: read every page once (about a second for a gigabyte).

    Raises
    ------
    StoreDamagedError
        If the SQLite file is missing, is not a database, or fails its check.
    SchemaVersionError
        If its schema is older or newer than this program.
    """
    path = sqlite_path(url)
    if path is not None and file_identity(path) is not None:
        refuse_network_file_system(path)  # before anything leaves a file there
        refuse_foreign_file(path)
    engine = connect_engine(url)
    try:
        check_schema(engine)
        if check_integrity:
            check_file(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine
