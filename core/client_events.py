"""The reading panel's own clock: what happened while a case was on the screen, and the times that follow from it.

Events are stored as the panel sent them; the times are derived here and nowhere else, and held against the server's
clock. A browser's clock may be wrong or forged, so nothing here ever costs a reading: it is kept, and its times are
called doubtful.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

#: Name and milliseconds since the image was drawn, on a clock that never goes back; None where no number was sent.
ClientEvent = tuple[str, float | None]

#: Events kept of one answer: the first ones, and the last; between them stands that others were left out.
MOST_EVENTS = 400
#: No reading of one case takes longer, seconds; a clock that says so is wrong.
LONGEST_READING_S = 24 * 3600
#: How far two clocks may disagree before a time is doubtful, seconds.
TOLERANCE_S = 2.0

#: Sums of a few hundred of these are still finite, milliseconds.
_MOST_MS = 1e300

_NAME = re.compile(r"[a-z-]{1,20}")


class EventName(StrEnum):
    """Events with a meaning here; the panel may send others, which are kept."""

    SHOWN = "shown"  # the image is on the screen; begins a segment, a reload another one
    FIRST = "first"  # first key, click or touch that did something
    HIDDEN = "hidden"  # the tab is out of sight
    VISIBLE = "visible"
    COVERED = "covered"  # a pause, the key sheet or a dialog lies over the image
    UNCOVERED = "uncovered"
    IDLE = "idle"  # a minute without any key, pointer or touch
    ACTIVE = "active"
    OVER_TIME = "over-time"  # the panel ended the presentation, as the protocol's time was over
    DROPPED = "dropped"  # made before the image was drawn, and not taken
    TYPED_AHEAD = "typed-ahead"  # made before the image was drawn, and taken: the protocol allows it
    SUBMITTED = "submitted"
    CLAIMED = "claimed"  # by the server: a reading time, seconds, that no reading can have
    UNREADABLE = "unreadable"  # by the server: an entry that is no event
    LEFT_OUT = "left-out"  # by the server: more were sent than are kept


#: What ends a pause, and which.
_ENDS = {
    EventName.VISIBLE: EventName.HIDDEN,
    EventName.UNCOVERED: EventName.COVERED,
    EventName.ACTIVE: EventName.IDLE,
}
_BY_THE_SERVER = (EventName.CLAIMED, EventName.UNREADABLE, EventName.LEFT_OUT)
_ON_NO_CLOCK = (*_BY_THE_SERVER, EventName.DROPPED, EventName.TYPED_AHEAD)


@dataclass(frozen=True)
class ReadingTimes:
    """What the clocks say of one reading; a time is None where nobody measured it."""

    gross_seconds: float | None = None  # image drawn to answer sent, all segments
    active_seconds: float | None = None  # the same without hidden, covered and idle stretches
    first_seconds: float | None = None  # image drawn to the first key, click or touch
    is_time_doubtful: bool = False  # the claim contradicts itself or the server's clock
    is_typed_ahead: bool = False  # part of the answer was made before its image was drawn


def read_events(sent: Any) -> tuple[ClientEvent, ...]:
    """Events as a browser sent them; what is none is kept as unreadable, and nothing raises.

    Parameters
    ----------
    sent : object
        A list of [name, milliseconds]; None where the browser sent nothing.

    Returns
    -------
    tuple of (str, float or None)
        At most :data:`MOST_EVENTS`: the first ones, the last, that the time was over, and that others were left out.
    """
    if sent is None:
        return ()
    if not isinstance(sent, (list, tuple)):
        return ((EventName.UNREADABLE, None),)
    if len(sent) > MOST_EVENTS:
        first, left_out = sent[: MOST_EVENTS - 3], sent[MOST_EVENTS - 3 : -1]
        told = next((entry for entry in left_out if _read_event(entry)[0] == EventName.OVER_TIME), left_out[0])
        sent = [*first, told, (EventName.LEFT_OUT, None), sent[-1]]
    return tuple(_read_event(entry) for entry in sent)


def reading_times(
    events: Sequence[ClientEvent], *, claimed_seconds: float | None, server_seconds: float | None
) -> ReadingTimes:
    """Times of one reading, and whether they can be true.

    Parameters
    ----------
    events : sequence of ClientEvent
        Of one answer, from :func:`read_events`; empty where the browser sent none.
    claimed_seconds : float, optional
        Active seconds that the panel counted by itself.
    server_seconds : float, optional
        From the moment the server sent the image to the receipt of the answer, on the server's clock; None if it sent
        none (a simulated reader; a reading of a version that did not write this down): nothing to hold a claim against.

    Returns
    -------
    ReadingTimes
        Without events the active seconds are those claimed.
    """
    segments = list(_segments(events))
    gross = sum(segment[-1][1] - segment[0][1] for segment in segments) / 1000 if segments else None
    active = sum(_active_ms(segment) for segment in segments) / 1000 if segments else claimed_seconds
    first = next((ms / 1000 for segment in segments for name, ms in segment if name == EventName.FIRST), None)
    longest = gross if gross is not None else claimed_seconds
    is_doubtful = bool(events) and not _is_in_order(events)
    if longest is not None:
        most = math.inf if server_seconds is None else server_seconds + TOLERANCE_S
        is_doubtful |= not 0 < longest <= most
    if claimed_seconds is not None and gross is not None:
        is_doubtful |= not 0 < claimed_seconds <= gross + TOLERANCE_S
    is_typed_ahead = any(name == EventName.TYPED_AHEAD for name, _ in events)
    return ReadingTimes(gross, active, first, is_doubtful, is_typed_ahead)


def kept_claim(seconds: Any, events: Sequence[ClientEvent]) -> tuple[float | None, tuple[ClientEvent, ...]]:
    """Reading time and events as a row can hold them: a time that no reading has becomes an event, and no time."""
    if seconds is None:
        return None, tuple(events)
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if is_number and 0 <= seconds <= LONGEST_READING_S:  # NaN lies in no range
        return float(seconds), tuple(events)
    return None, (*events, _read_event((EventName.CLAIMED, seconds), EventName.CLAIMED))


def _read_event(entry: Any, instead: EventName = EventName.UNREADABLE) -> ClientEvent:
    """One event, or what stands for an entry that is none."""
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        return (str(instead), None)
    name, ms = entry
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return (str(instead), None)
    if ms is None and name in _BY_THE_SERVER:
        return (name, None)
    if not isinstance(ms, (int, float)) or isinstance(ms, bool) or not -_MOST_MS <= ms <= _MOST_MS:
        return (str(instead), None)  # NaN lies in no range
    return (name, float(ms))


def _segments(events: Sequence[ClientEvent]) -> Iterator[list[tuple[str, float]]]:
    """Stretches on one clock: each begins with ``shown``, and is over where the next one begins."""
    segment: list[tuple[str, float]] = []
    for name, ms in events:
        if name == EventName.SHOWN and segment:
            yield segment
            segment = []
        if ms is not None and name not in _ON_NO_CLOCK and (segment or name == EventName.SHOWN):
            segment.append((name, ms))
    if segment:
        yield segment


def _active_ms(segment: Sequence[tuple[str, float]]) -> float:
    """Milliseconds of one segment in which nothing stood between reader and image."""
    pauses: set[str] = set()
    total, since = 0.0, segment[0][1]
    for name, ms in segment:
        if not pauses:
            total += ms - since
        since = ms
        if name in _ENDS.values():
            pauses.add(name)
        elif name in _ENDS:
            pauses.discard(_ENDS[EventName(name)])
    return total


def _is_in_order(events: Sequence[ClientEvent]) -> bool:
    """Whether the events are such as a panel with a good clock sends."""
    if any(name in _BY_THE_SERVER for name, _ in events) or events[-1][0] != EventName.SUBMITTED:
        return False
    segments = list(_segments(events))
    return bool(segments) and all(
        segment[0][1] == 0 and all(earlier <= later for (_, earlier), (_, later) in pairwise(segment))
        for segment in segments
    )
