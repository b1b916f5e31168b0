"""How much one person, or one address, may send: so much at once, then at a pace that delays nobody else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import anyio
from starlette.types import Scope

from db.repository.sign_in import subscriber_of

#: What one person's websockets together may send: so many at once, then so many a second; the rest waits its turn.
#: A case needs one message, so nobody who reads meets this. To open a window counts as one.
MESSAGES_AT_ONCE, MESSAGES_A_SECOND = 60, 6.0
#: The same of all requests of a reader, and of what any panel sends; an answer needs two or three of them.
REQUESTS_AT_ONCE, REQUESTS_A_SECOND = 300, 12.0
#: The same of all visitors of one address who have not signed in: their pages and forms, and what is refused to them.
#: Sixty readers behind one router who come to the sign-in page at the same time do not meet this.
VISITS_AT_ONCE, VISITS_A_SECOND = 300, 20.0
#: The same of Streamlit's own scripts and fonts: a browser that comes for the first time loads some sixty.
FILES_AT_ONCE, FILES_A_SECOND = 3000, 100.0
#: How often the same case may be drawn on a reader's screen: each time is an event of the trail.
SHOWN_AT_ONCE, SHOWN_A_SECOND = 20, 1 / 30
#: Longest that a request waits for its turn; what comes then is refused, and the panel sends it again.
LONGEST_TURN_S = 5.0


class Pace:
    """Lets so many through at once, then so many a second, in their order."""

    def __init__(self, at_once: int, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._a_second, self._clock = at_once, a_second, clock
        self._free_at = clock()  # when everything that was let through would have passed at the steady pace

    def delay_s(self, longest_s: float = math.inf) -> float:
        """Seconds that the next message waits; counts it, unless that is longer than it may wait."""
        now = self._clock()
        free_at = max(self._free_at, now) + 1 / self._a_second
        delay = max(0.0, free_at - now - self._at_once / self._a_second)
        if delay <= longest_s:
            self._free_at = free_at
        return delay

    @property
    def has_room(self) -> bool:
        """Whether one more would pass at once."""
        return self._free_at - self._clock() <= (self._at_once - 1) / self._a_second

    @property
    def is_at_rest(self) -> bool:
        """Whether a new one would let the same through."""
        return self._free_at <= self._clock()


class Paces:
    """A pace for each of many; only those are kept that are not at rest."""

    def __init__(self, at_once: int, a_second: float) -> None:
        self._at_once, self._a_second = at_once, a_second
        self._of: dict[str, Pace] = {}

    def of(self, who: str) -> Pace:
        """That of one of them."""
        if who not in self._of:
            self._of = {name: pace for name, pace in self._of.items() if not pace.is_at_rest}
        return self._of.setdefault(who, Pace(self._at_once, self._a_second))

    async def turn(self, who: str) -> bool:
        """Wait until what somebody sends may pass; False if that is too long."""
        delay = self.of(who).delay_s(LONGEST_TURN_S)
        if delay <= LONGEST_TURN_S:
            await anyio.sleep(delay)
        return delay <= LONGEST_TURN_S


def visitor_of(scope: Scope) -> str:
    """Who a visitor is, as far as that is known before the sign-in."""
    return subscriber_of(str(scope["client"][0])) if scope.get("client") else ""
