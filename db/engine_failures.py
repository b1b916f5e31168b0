"""What the database engines complain about, in the words of ``core.errors``.

Causes are read from error classes and codes alone: SQLSTATE on PostgreSQL, result codes on SQLite. The texts of the
engines hold names of people, databases and hosts, and the server's language; no word in them decides anything.
"""

from __future__ import annotations

import ctypes
import re
import selectors
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from sqlalchemy import exc

from core.errors import (
    ConflictError,
    ReadingRoomError,
    SchemaVersionError,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)

#: The command that a wrong schema version is mended with.
MIGRATE_COMMAND = "python manage.py migrate"
#: The command that puts a backup in the place of a damaged store.
RESTORE_COMMAND = "python manage.py restore FILE"
#: Seconds for the second attempt that asks a server why it refused the first.
_WHY_TIMEOUT_S = 5

_URL = "READING_ROOM_DATABASE_URL"


class Cause(NamedTuple):
    """What one code means."""

    error: type[StoreError] | type[ConflictError]
    text: str


_APPEND_ONLY = Cause(ConflictError, "Readings and audit events are append-only: nothing was changed.")
_EXISTS = Cause(ConflictError, "It exists already, or breaks a rule of the store: nothing was written.")
_BUSY = Cause(StoreBusyError, "The store is busy. Nothing was saved; try again.")
_CONNECTIONS = Cause(
    StoreBusyError,
    "The database server takes no more connections. Nothing was saved; try again. "
    "Fix: raise the server's max_connections or this role's CONNECTION LIMIT, or stop another program.",
)
_STARTING = Cause(
    StoreBusyError,
    "The database server is starting, stopping or recovering and takes no connection yet. "
    "Nothing was saved; try again.",
)
_UNREACHABLE = Cause(StoreBusyError, "The database cannot be reached. Nothing was saved; try again.")
_FULL = Cause(StoreError, "The disk of the store is full. Nothing was saved. Fix: make room, then try again.")
_READ_ONLY = Cause(
    StoreError,
    "The store is read-only. Nothing was saved. Fix: make the file and its folder writable; on PostgreSQL connect "
    "to the primary server as a role whose default_transaction_read_only is off.",
)
_DISK = Cause(
    StoreDamagedError,
    "The disk of the store cannot be read or written. Nothing was saved. "
    "Fix: stop the program, check the disk and its mount, and if the store was damaged restore the last backup with "
    f"`{RESTORE_COMMAND}`.",
)
_CANNOT_OPEN = Cause(
    StoreDamagedError,
    "The database file is missing or cannot be opened. Nothing was saved. Fix: let this account read and write the "
    f"file and its folder, or correct READING_ROOM_DATA_DIR or {_URL}.",
)
_DAMAGED = Cause(
    StoreDamagedError,
    "The database file is damaged or is no database. Nothing was saved. "
    f"Fix: stop the program and restore the last backup with `{RESTORE_COMMAND}`, or correct READING_ROOM_DATA_DIR or "
    f"{_URL}.",
)
_SCHEMA = Cause(SchemaVersionError, f"The store has another schema than this program. Fix: run `{MIGRATE_COMMAND}`.")
_PASSWORD = Cause(
    StoreError,
    "The database server refuses the sign-in: the password is wrong, or there is no such role. "
    f"Fix: correct both in {_URL}, percent-encoded (@ is %40, : is %3A, / is %2F, # is %23, % is %25).",
)
_ROLE = Cause(
    StoreError,
    "The database server refuses this role: there is no such role, it may not log in, or the server's pg_hba.conf "
    f"has no line for it from this machine. Fix: correct the name in {_URL}, create the role, or add the line.",
)
_NO_DATABASE = Cause(
    StoreError,
    f"The database server has no database of this name. Fix: correct the name in {_URL}, or run `createdb` for it.",
)
_CONSTRAINT = Cause(
    StoreError,
    "The database refused a value that this program may store (a constraint that it does not know, or a row that is "
    f"missing). Nothing was saved. Fix: run the same version everywhere and `{MIGRATE_COMMAND}`; if it stays, run "
    "`python manage.py audit verify`.",
)
_NOT_ALLOWED = Cause(
    StoreError,
    "The role may not do this in the database. Nothing was saved. Fix: let the owner of the database grant the "
    "rights (for a new store: GRANT CREATE ON SCHEMA public TO the role), or connect as the owner of the tables.",
)
_ENCODING = Cause(
    StoreError,
    "The database's encoding has no place for one of these characters. Nothing was saved. "
    "Fix: keep the store in a database made with `createdb --encoding UTF8 --template template0`.",
)

#: SQLSTATE, or its first two characters, to error (PostgreSQL, appendix A).
_BY_SQLSTATE: dict[str, Cause] = {
    "22P05": _ENCODING,
    "23000": _APPEND_ONLY,  # what our triggers raise; broken constraints have codes of their own
    "23505": _EXISTS,  # unique
    "23P01": _EXISTS,  # exclusion
    "23": _CONSTRAINT,  # not null, check, foreign key
    "25006": _READ_ONLY,
    "28P01": _PASSWORD,
    "28": _ROLE,
    "3D000": _NO_DATABASE,
    "3F000": _SCHEMA,
    "40": _BUSY,  # serialisation, deadlock
    "42501": _NOT_ALLOWED,
    "42P01": _SCHEMA,
    "42703": _SCHEMA,
    "42883": _SCHEMA,
    "53100": _FULL,
    "53300": _CONNECTIONS,
    "53": _BUSY,
    "55P03": _BUSY,
    "57014": _BUSY,  # lock and statement timeouts
    "57P03": _STARTING,
    "57P": _UNREACHABLE,  # the server was stopped
    "08": _UNREACHABLE,
    "58": _DISK,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}

#: SQLite result code, extended before primary (https://www.sqlite.org/rescode.html), to error.
_BY_SQLITE_CODE: dict[int, Cause] = {
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: _APPEND_ONLY,
    sqlite3.SQLITE_READONLY_DBMOVED: _CANNOT_OPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: _EXISTS,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: _EXISTS,
    sqlite3.SQLITE_CONSTRAINT_ROWID: _EXISTS,
    sqlite3.SQLITE_CONSTRAINT: _CONSTRAINT,  # not null, check, foreign key
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_INTERRUPT: _BUSY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _CANNOT_OPEN,
    sqlite3.SQLITE_CANTOPEN: _CANNOT_OPEN,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_ERROR: _SCHEMA,  # no such table or column: our statements are right wherever the schema is
}


@contextmanager
def translated_failures() -> Iterator[None]:
    """Turn every failure of an engine into one of ``core.errors``; anything else passes through.

    Raises
    ------
    ConflictError, StoreBusyError, StoreDamagedError, SchemaVersionError, StoreError
        The original failure is the cause.
    """
    try:
        yield
    except exc.StatementError as failure:
        if isinstance(failure.orig, ReadingRoomError):  # a column type refused a value before it was sent
            raise failure.orig from None
        if not isinstance(failure, exc.DBAPIError):
            raise
        raise _in_our_words(failure) from failure
    except exc.TimeoutError as failure:  # the connection pool
        raise StoreBusyError("The store is busy: no free connection. Nothing was saved; try again.") from failure


def _in_our_words(failure: exc.DBAPIError) -> StoreError | ConflictError:
    """Choose the error for one failure; messages name no data."""
    known = _known(getattr(failure.orig, "sqlstate", None), getattr(failure.orig, "sqlite_errorcode", None))
    if known is None and isinstance(failure, exc.IntegrityError):
        known = _EXISTS
    if known is None and (failure.connection_invalidated or isinstance(failure, exc.OperationalError)):
        known = _UNREACHABLE
    if known is None:
        return StoreError(f"The database refused ({type(failure.orig).__name__}). Nothing was saved.")
    return known.error(known.text)


def _known(sqlstate: str | None, sqlite_code: int | None) -> Cause | None:
    """The error of a code: the longest beginning of a SQLSTATE, the extended before the primary SQLite code."""
    if sqlstate:
        return next((_BY_SQLSTATE[sqlstate[:n]] for n in (5, 3, 2) if sqlstate[:n] in _BY_SQLSTATE), None)
    if sqlite_code is not None:
        return _BY_SQLITE_CODE.get(sqlite_code) or _BY_SQLITE_CODE.get(sqlite_code & 0xFF)
    return None


def refused_connection(failure: Exception, parameters: Mapping[str, Any]) -> StoreError | ConflictError:
    """Why PostgreSQL let nobody in.

    Parameters
    ----------
    failure : psycopg.OperationalError
        Of the attempt to connect; libpq gives its cause as a text only.
    parameters : mapping
        What was connected with.
    """
    import psycopg

    sqlstate = None
    if not isinstance(failure, psycopg.errors.ConnectionTimeout):
        with suppress(OSError, AttributeError):  # a libpq that cannot be called so costs only the cause
            sqlstate = _refusal_code(parameters)
    known = _known(sqlstate, None)
    if known is not None:
        return known.error(known.text)
    host, port = parameters.get("host") or "the local socket", parameters.get("port") or 5432
    return StoreBusyError(
        f"The database cannot be reached: no PostgreSQL server answers at {host} port {port} as it was asked to. "
        f"Nothing was saved; try again. Fix: start the server, or correct host, port and options in {_URL}."
    )


def _refusal_code(parameters: Mapping[str, Any]) -> str | None:
    """SQLSTATE of a refused connection, asked for by a second attempt; None if no server answered in time.

    libpq hands out the code only inside its message, and only at the verbosity "sqlstate" (libpq 12 and later), which
    psycopg does not set: the message then is severity and code, without any name and in no language.
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo
    from psycopg.pq.misc import find_libpq_full_path

    # The compiled module leads to the libpq that it was linked with.
    path = find_libpq_full_path() if pq.__impl__ == "python" else sys.modules[pq.PGconn.__module__].__file__
    libpq = ctypes.CDLL(path)
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}  # SQLAlchemy adds arguments of its own
    asked = make_conninfo(**{name: value for name, value in parameters.items() if name in known})
    attempt: Any = pq.PGconn.connect_start(asked.encode())
    errors_as_sqlstate = 3
    libpq.PQsetErrorVerbosity(ctypes.c_void_p(attempt.pgconn_ptr), errors_as_sqlstate)
    end = time.monotonic() + _WHY_TIMEOUT_S
    try:
        while attempt.status != pq.ConnStatus.BAD and time.monotonic() < end:
            state = attempt.connect_poll()
            if state in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
                break
            with selectors.DefaultSelector() as ready:
                is_reading = state == pq.PollingStatus.READING
                ready.register(attempt.socket, selectors.EVENT_READ if is_reading else selectors.EVENT_WRITE)
                ready.select(max(0.0, end - time.monotonic()))
        if attempt.needs_password:  # the server asked for one and there was none: libpq gave up by itself
            return "28P01"
        code = re.search(rb":  ([0-9A-Z]{5})\s*$", attempt.error_message)
        return code[1].decode() if code else None
    finally:
        attempt.finish()
