"""What the database engines complain about, in the words of ``core.errors``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from core.errors import ConflictError, SchemaVersionError, StoreBusyError, StoreDamagedError, StoreError

#: The command that a wrong schema version is mended with.
MIGRATE_COMMAND = "python manage.py migrate"

_BUSY_STATES = {
    "40001",
    "40P01",
    "55P03",
    "57014",
    "53300",
}  # serialisation, deadlock, lock and statement timeouts, full
_MISSING_STATES = {"42P01", "42703"}  # no such table, no such column
_REFUSED = "append-only"  # how the triggers of both engines begin their message


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
    except exc.DBAPIError as failure:
        raise _in_our_words(failure) from failure
    except exc.TimeoutError as failure:  # the connection pool
        raise StoreBusyError("The store is busy: no free connection. Nothing was saved; try again.") from failure


def _in_our_words(failure: exc.DBAPIError) -> StoreError:
    """Choose the error for one failure; messages name no data."""
    text = str(failure.orig).lower()
    state = getattr(failure.orig, "sqlstate", None) or ""
    if _REFUSED in text:
        return ConflictError("Readings and audit events are append-only: nothing was changed.")
    if isinstance(failure, exc.IntegrityError):
        return ConflictError("It exists already, or breaks a rule of the store: nothing was written.")
    if "database is locked" in text or "database table is locked" in text or state in _BUSY_STATES:
        return StoreBusyError("The store is busy. Nothing was saved; try again.")
    if "full" in text or state == "53100":
        return StoreError("The disk of the store is full. Nothing was saved. Fix: make room, then try again.")
    if any(word in text for word in ("malformed", "not a database", "unable to open", "disk i/o error")):
        return StoreDamagedError(
            "The database file is missing or damaged. Nothing was saved. "
            "Fix: stop the program and restore the last backup, or correct READING_ROOM_DATABASE_URL."
        )
    if "readonly" in text or "read-only" in text:
        return StoreError("The store is read-only. Nothing was saved. Fix: make the file and its folder writable.")
    if "no such table" in text or "no such column" in text or "has no column" in text or state in _MISSING_STATES:
        return SchemaVersionError(f"The store has another schema than this program. Fix: run `{MIGRATE_COMMAND}`.")
    if failure.connection_invalidated or isinstance(failure, exc.OperationalError):
        return StoreBusyError("The database cannot be reached. Nothing was saved; try again.")
    return StoreError(f"The database refused ({type(failure.orig).__name__}). Nothing was saved.")
