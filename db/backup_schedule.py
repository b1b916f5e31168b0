"""Backups by the clock: while the server lives, one is made every so many hours, and the oldest are thrown away."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.errors import ReadingRoomError
from core.settings import Settings
from db.address import store_url
from db.backup import back_up
from db.notary import Notary

_log = logging.getLogger(__name__)

_NAME = "reading-room-%Y%m%dT%H%M%SZ.sqlite3"


class BackupSchedule:
    """Makes a backup when one is due; a server that was off makes up for it as soon as it is asked.

    Parameters
    ----------
    settings : Settings
        ``backup_folder`` (none: no backups are made), ``backup_every_hours``, ``backups_kept``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.backup_place

    def last_at(self) -> datetime | None:
        """When the newest backup in the folder was begun."""
        return max(self._found(), default=None)

    def problem(self, now: datetime) -> str | None:
        """Why the store is without a fresh backup, for the coordinator; None if all is well."""
        if self._folder is None:
            return "no backups are made: READING_ROOM_BACKUP_FOLDER is not set"
        last = self.last_at()
        if last is None:
            return f"there is no backup in {self._folder} yet"
        if now - last > 2 * self._interval:
            return f"the last backup is of {last:%Y-%m-%d %H:%M} UTC, and one is due every {self._interval}"
        return None

    def keep_up(self, now: datetime) -> tuple[str, ...]:
        """Make a backup if one is due, then throw away the oldest; what went wrong comes back in words."""
        if self._folder is None:
            return ()
        try:
            with _alone_in(self._folder) as is_alone:
                last = self.last_at()
                if is_alone and (last is None or now - last >= self._interval):
                    done = back_up(
                        store_url(self._settings),
                        self._folder / now.strftime(_NAME),
                        notary=Notary(self._settings.data_folder),
                    )
                    _log.info("backup %s: receipt %s", done.path.name, done.head.receipt)
                    self._throw_away()
        except (ReadingRoomError, OSError) as failure:
            _log.error("the scheduled backup failed: %s", failure)
            last = self.last_at()
            since = "there is none yet" if last is None else f"the last one is of {last:%Y-%m-%d %H:%M} UTC"
            return (f"the scheduled backup failed ({since}): {failure}",)
        return ()

    @property
    def _interval(self) -> timedelta:
        return timedelta(hours=self._settings.backup_every_hours)

    def _found(self) -> dict[datetime, Path]:
        """Backups in the folder by their instant; other files are none of ours."""
        found = {}
        for path in self._folder.glob("reading-room-*.sqlite3") if self._folder is not None else ():
            with suppress(ValueError):
                found[datetime.strptime(path.name, _NAME).replace(tzinfo=UTC)] = path
        return found

    def _throw_away(self) -> None:
        """Keep the newest ones."""
        found = self._found()
        for instant in sorted(found)[: -self._settings.backups_kept]:
            found[instant].unlink()


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Whether no other server makes a backup in this folder now."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".reading-room-backup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
