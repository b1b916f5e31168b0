"""Looks at the store while the server lives: a damaged file must stop taking readings, a touched trail must be told."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from core.errors import StoreDamagedError, StoreError
from db.backup_schedule import BackupSchedule
from db.engine import check_integrity, connect_engine
from db.engine_failures import RESTORE_COMMAND
from db.migrate import StoreSchema, is_schema_ours, schema_of
from db.repository import Repository

_log = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY_S = 900

#: Seconds until the next look while no reading is taken: a file that was away for a moment is not shut for long.
AGAIN_S = 5


#: Images outside of the database that a look reads, chosen at random: `audit verify` reads all of them.
IMAGES_AT_ONCE = 200


class StoreWatch:
    """A thread that checks every page of a SQLite file and the schema, and holds the audit trail against the rows.

    Parameters
    ----------
    repository : Repository
        Of the operator, with the notary.
    every_s : float
        Seconds between two looks; the first one comes at the start.
    backups : BackupSchedule, optional
        Asked at every look at a whole store whether a backup is due.
    """

    def __init__(
        self, repository: Repository, every_s: float = EVERY_S, *, backups: BackupSchedule | None = None
    ) -> None:
        self._repository = repository
        self._backups = backups
        self._every_s = every_s
        self.found: tuple[str, ...] = ()  # by the last look
        self._failed_backup: tuple[str, ...] = ()
        self._schema: StoreSchema | None = None  # as the last look found it
        self._ended = threading.Event()
        self._refusal = ""  # why no transaction may write now
        self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)
        for engine in repository.engines:
            event.listen(engine, "begin", self._refuse_writing)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    @property
    def refuses_writing(self) -> bool:
        """Whether the last look found a damage, so that no reading is taken."""
        return bool(self._refusal)

    def look(self) -> tuple[str, ...]:
        """Look once and log what was found; a damaged file takes no reading until a look finds it whole."""
        engine = self._repository.engine
        try:
            fresh = connect_engine(engine.url)  # a connection of the pool may still hold the page as it was
            try:
                check_integrity(fresh)
                self._check_schema(fresh)
            finally:
                fresh.dispose()
            self._refusal = ""
            problems = self._repository.verify_audit().problems + self._wrong_images()
            if self._backups is not None:
                failed = self._backups.keep_up(datetime.now(UTC))
                if failed and failed != self._failed_backup:  # each reason once, not at every look
                    self._repository.record_backup_failure(failed[0])
                self._failed_backup = failed
                problems += failed
        except StoreDamagedError as damaged:
            self._refusal = str(damaged)  # nothing is acknowledged that the file may not hold
            problems = (str(damaged),)
        except StoreError as failure:
            _log.warning("the store could not be checked: %s", failure)
            return ()
        for problem in problems:
            _log.error("the check of the store found: %s", problem)
        self.found = problems
        return problems

    def _check_schema(self, engine: Engine) -> None:
        """Refuse a schema that somebody changed under this program; a newer version of the program's own is let in.

        Raises
        ------
        StoreDamagedError
            Naming what was added, removed or changed.
        """
        now = schema_of(engine)
        before = self._schema if self._schema is not None else now
        if (now.version == before.version and now != before) or not is_schema_ours(engine):
            raise StoreDamagedError(
                f"The schema of the store was changed while the program ran ({now.told_against(before)}). "
                f"No reading is taken. Fix: find out who changed it, and undo it or restore the last backup with "
                f"`{RESTORE_COMMAND}`."
            )
        self._schema = now

    def _wrong_images(self) -> tuple[str, ...]:
        """Some of the images that lie outside of the database, others at each look."""
        try:
            return tuple(self._repository.check_images(most=IMAGES_AT_ONCE))
        except StoreError as failure:
            return (f"The images outside of the database could not be looked at: {failure}",)

    def _run(self) -> None:
        """Look, wait, look again; nothing that a look meets ends the watch."""
        while not self._ended.is_set():
            try:
                self.look()
            except Exception:
                _log.exception("the check of the store failed")
            self._ended.wait(min(self._every_s, AGAIN_S) if self._refusal else self._every_s)

    def _refuse_writing(self, connection: Connection) -> None:
        """Stand before every transaction of this process."""
        if self._refusal and connection.get_execution_options().get("is_writer", False):
            raise StoreDamagedError(self._refusal)
