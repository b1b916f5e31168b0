"""``/ready``: whether this process can serve readers now, for a load balancer; tells nothing else.

200 ``ready``; 503 with one line: the store cannot be reached, its schema is another one, its file is damaged. An answer
comes within three seconds also where the database server hangs. ``/_stcore/health`` says only that the process lives.

Anybody may ask, so the store is asked once for all who ask at the same time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core.errors import ReadingRoomError
from db.migrate import is_schema_ours
from pages.door.addresses import address
from pages.door.security import READY_PATH
from pages.widgets.resources import store_engine, store_watch

#: A balancer that asks every two seconds takes no answer for a failure after this, seconds.
_PATIENCE_S = 3.0
#: Seconds for which an answer is given again.
_LASTS_S = 0.1


@dataclass
class _Answer:
    """What was found last."""

    problem: str = ""
    at: float = -math.inf  # on the clock of the event loop


_last = _Answer()
_one_at_a_time = anyio.Lock()


async def ready(_: Request) -> PlainTextResponse:
    """200 if readings can be taken, else 503 and why in one line."""
    problem = "the store does not answer"
    with anyio.move_on_after(_PATIENCE_S):
        async with _one_at_a_time:
            if anyio.current_time() - _last.at > _LASTS_S:
                _last.problem = await anyio.to_thread.run_sync(_problem, abandon_on_cancel=True)
                _last.at = anyio.current_time()
            problem = _last.problem
    return PlainTextResponse(problem or "ready", status_code=503 if problem else 200)


def _problem() -> str:
    """Why no reading can be taken; empty if one can. Names no path and nothing of a study."""
    if store_watch().refuses_writing:
        return "the store is damaged"
    try:
        return "" if is_schema_ours(store_engine()) else "the store has another schema"
    except ReadingRoomError:
        return "the store cannot be reached"


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit."""
    return [Route(address(READY_PATH), ready, methods=["GET"])]
