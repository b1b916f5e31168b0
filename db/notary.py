"""Signs the audit trail with a key that is not in the database, and keeps the trail's end outside of it.

A chain of hashes shows that an event was changed, as long as nobody computes the whole chain anew; it never shows that
its last events were cut off. So every event is signed (HMAC-SHA256) with ``audit.key``, and after every commit the
number of events and the last hash are written into ``audit.head``; both lie in the data folder. Who can write the
database and read that key can still forge both: only a receipt kept elsewhere shows it (docs/trust.md).
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path

from core.errors import SettingsError, StoreDamagedError, StoreError
from core.settings import kept_key
from db.clock_moves import ClockOffset, clock_offset
from db.records import AuditHead

_log = logging.getLogger(__name__)

#: Seconds that a process waits for another one that writes the trail's end down, which takes about a millisecond.
LONGEST_WAIT_S = 2.0


class Notary:
    """Key and head of one store's trail; share it within the process.

    Several processes may have one each on the same folder.

    Parameters
    ----------
    folder : Path
        The data folder; key and head are made there when the first event is signed.
    """

    def __init__(self, folder: Path) -> None:
        self._key_file = folder / "audit.key"
        self._head_file = folder / "audit.head"
        self._clock_file = folder / "audit.clock"
        self._offset: ClockOffset | None = None  # of the clock, as the trail knows it
        self._new_offset: ClockOffset | None = None  # as the transaction found it that is not committed yet
        self._lock = threading.Lock()
        self._kept: AuditHead | None = None  # what this process knows to stand in the file
        self._is_disowned = False
        self._is_restoring = False
        self._is_kept_by_another = False  # the folder, by a process that hangs

    @property
    def has_key(self) -> bool:
        """Whether anything was ever signed in this folder."""
        return self._key_file.exists()

    def check(self) -> None:
        """Say at the start what would stop every deed: a key that cannot be read.

        Raises
        ------
        SettingsError
            Naming the file.
        """
        if self.has_key:
            self.sign("")

    def sign(self, text: str) -> str:
        """Signature, 64 hexadecimal digits."""
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def is_signed(self, text: str, signature: str) -> bool:
        """Whether the signature was made with this folder's key."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "replace"))

    def keep_head(self, head: AuditHead, hash_of: Callable[[int], str | None]) -> None:
        """Write down where the trail ends now; a folder that takes no file stops nobody's reading.

        What stands in the file is evidence: it gives way only to a trail that holds it. The file may lag behind the
        trail after a power cut; it is never ahead of it.

        Parameters
        ----------
        hash_of : callable
            Hash of an event of the store by its number; None if there is none.
        """
        if self._is_restoring:
            return
        self._keep_offset()
        with self._lock:
            try:
                with self._alone():
                    kept = self.kept_head() if self._head_file.exists() else self._kept
                    if kept is not None and (kept != self._kept or head.n_events <= kept.n_events):
                        self._is_disowned |= hash_of(kept.n_events) != kept.hash
                        self._kept = kept  # of an earlier run, or of another process that was quicker
                    if not self._is_disowned and (kept is None or head.n_events > kept.n_events):
                        self._write(head)
            except (OSError, StoreError) as failure:
                _log.error("the end of the audit trail could not be kept in %s: %s", self._head_file.name, failure)
            if self._is_disowned:
                _log.error("the audit trail does not hold what %s says: run audit verify", self._head_file.name)

    def clock_moved(self, now: datetime) -> float:
        """Seconds by which the clock was set since the trail last grew, also by another process or in an earlier run.

        What is found counts as told when the transaction that tells it has ended (:meth:`keep_head`).
        """
        self._new_offset = offset = clock_offset(now)
        if self._offset is None or offset.moved_since(self._offset):
            self._offset = self._stored_offset() or self._offset
        return offset.moved_since(self._offset)

    def _stored_offset(self) -> ClockOffset | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._clock_file.read_text(encoding="utf-8"))
            return ClockOffset(str(kept["boot"]), float(kept["seconds"]))
        return None

    def _keep_offset(self) -> None:
        """Write down how the clock stands, where that is news; a folder that takes no file stops nobody's reading."""
        new, self._new_offset = self._new_offset, None
        if new is None:
            return
        is_news = self._offset is None or new.boot != self._offset.boot or abs(new.seconds - self._offset.seconds) > 1
        if is_news:
            self._offset = new
            with suppress(OSError):
                partial = self._clock_file.with_suffix(f".{os.getpid()}.part")
                partial.write_text(json.dumps({"boot": new.boot, "seconds": new.seconds}) + "\n", encoding="utf-8")
                partial.replace(self._clock_file)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """While the trail of a backup takes the place of the one that the head is of, it is not held against it."""
        self._is_restoring = True
        try:
            yield
        finally:
            self._is_restoring = False

    def replace_head(self, head: AuditHead) -> None:
        """Write down another end on purpose: a backup was restored, and the trail says so."""
        try:
            with self._lock, self._alone():
                self._write(head)
                self._is_disowned = False
        except BlockingIOError as failure:
            raise StoreError(
                "Another process of this program hangs and keeps audit.key in the data folder. Fix: end it."
            ) from failure

    def kept_head(self) -> AuditHead:
        """Where the trail ended when it was last written.

        Raises
        ------
        StoreDamagedError
            If the file is missing beside its key, or not signed with it.
        """
        try:
            kept = json.loads(self._head_file.read_text(encoding="utf-8"))
            head = AuditHead(n_events=int(kept["n_events"]), hash=str(kept["hash"]))
            is_ours = self.is_signed(head.receipt, str(kept["signature"]))
        except FileNotFoundError as failure:
            text = "audit.head is missing from the data folder: nothing shows where the trail ended"
            raise StoreDamagedError(text) from failure
        except (ValueError, KeyError, TypeError) as failure:
            raise StoreDamagedError("audit.head in the data folder cannot be read") from failure
        if not is_ours:
            raise StoreDamagedError("audit.head in the data folder is not signed with its key")
        return head

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Other processes on this folder wait: the head that is further along must not give way to the other.

        Raises
        ------
        OSError
            If another process keeps it for long: one that hangs. Until it lets go, nobody waits for it again.
        """
        self.sign("")  # the key is there
        with self._key_file.open("rb") as key:
            end = time.monotonic() + (0 if self._is_kept_by_another else LONGEST_WAIT_S)
            while True:
                try:
                    fcntl.flock(key, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        self._is_kept_by_another = True
                        raise
                    time.sleep(0.005)
            self._is_kept_by_another = False
            yield

    def _write(self, head: AuditHead) -> None:
        """Replace the file, whole or not at all."""
        text = json.dumps({"n_events": head.n_events, "hash": head.hash, "signature": self.sign(head.receipt)})
        partial = self._head_file.with_suffix(f".{os.getpid()}.part")
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(self._head_file)
        self._kept = head

    @cached_property
    def _key(self) -> bytes:
        """The key, made once, readable by its owner only."""
        try:
            return kept_key(self._key_file)
        except SettingsError as failure:
            raise StoreError(f"Nothing was saved: {failure}") from failure
