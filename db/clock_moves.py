"""Moves of the server's clock: noticed while it runs and between two runs, and told by the times of the trail.

All dates, washouts and time limits go by this clock. Beside it the machine counts the seconds since it was started, and
no setting of the clock changes that count: what differs between the two is a move.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.records import AuditEvent

#: Seconds from which on a difference is a move; a clock that is kept right by the network is not stepped so far.
MOVE_S = 5.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ClockOffset:
    """The clock, less the seconds since the machine started; ``boot`` is empty where the system does not name it."""

    boot: str
    seconds: float

    def moved_since(self, earlier: ClockOffset | None) -> float:
        """Seconds by which the clock was set forward; 0 where that cannot be known."""
        if earlier is None or earlier.boot != self.boot or not self.boot:
            return 0.0
        moved = self.seconds - earlier.seconds
        return moved if abs(moved) > MOVE_S else 0.0


def clock_offset(now: datetime) -> ClockOffset:
    """As it is now."""
    try:
        boot, since = _BOOT_ID.read_text(encoding="ascii").strip(), time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return ClockOffset("", 0.0)
    return ClockOffset(boot, now.timestamp() - since)


class TimesOfTrail:
    """What the times of the events say of the clock, event by event."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._last: AuditEvent | None = None

    def enter(self, event: AuditEvent) -> None:
        """Take in one event."""
        self.remarks += self._of(event)
        self._last = event

    def _of(self, event: AuditEvent) -> Iterator[str]:
        if event.action == "store.clock":
            seconds = float(str(event.detail["seconds"]))
            way = "forward" if seconds > 0 else "back"
            yield f"event {event.sequence}: the server's clock was set {way} by {abs(seconds):,.0f} s"
        elif self._last is not None and (back := (self._last.at - event.at).total_seconds()) > MOVE_S:
            yield (
                f"event {event.sequence} is {back:,.0f} s older than the one before it "
                f"({event.at:%Y-%m-%d %H:%M:%S} after {self._last.at:%Y-%m-%d %H:%M:%S} UTC): the clock was set back"
            )
