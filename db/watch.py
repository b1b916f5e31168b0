"""Looks at the store while the server lives: a damaged file must stop taking readings, a touched trail must be told."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from sqlalchemy import event
from sqlalchemy.engine import Connection

from core.errors import StoreDamagedError, StoreError
from db.backup_schedule import BackupSchedule
from db.engine import check_integrity, connect_engine
from db.repository import Repository

_log = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY_S = 900

#: Seconds until the next look while no reading is taken: a file that was away for a moment is not shut for long.
AGAIN_S = 5


class StoreWatch:
    """A thread that checks every page of a SQLite file, and holds the audit trail against the rows.

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
        self._ended = threading.Event()
        self._refusal = ""  # why no transaction may write now
        self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)
        event.listen(repository.engine, "begin", self._refuse_writing)

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
            finally:
                fresh.dispose()
            self._refusal = ""
            problems = self._repository.verify_audit().problems
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
