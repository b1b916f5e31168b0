"""What the reading panel asks and tells beside its answers: two plain routes, for neither needs a run of the script.

The lock before them is the one before everything (:mod:`pages.door.security`): without a sign-in the answer is 401.
"""

from __future__ import annotations

import json

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from core.client_events import read_events
from core.errors import AccessError, InputError, NotFoundError, SignedOutError, StoreError
from core.study import StudyState
from db import Repository
from pages.door.addresses import base_path
from pages.door.security import session_token
from pages.widgets.resources import repository

PULSE_PATH = "/reading/pulse"
SHOWN_PATH = "/reading/shown"
EVENTS_PATH = "/reading/events"
_MAX_ID_BYTES = 100
_MAX_EVENTS_BYTES = 50_000


async def pulse(request: Request) -> Response:
    """Whether the reader can go on: 200 yes, 401 signed out, 410 the study is not open for this reader."""
    return await anyio.to_thread.run_sync(_pulse, session_token(request.headers), request.path_params["study"])


async def shown(request: Request) -> Response:
    """The image of a presentation, named in the body, was drawn on the reader's screen."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_ID_BYTES:
            return PlainTextResponse("This is no presentation.", status_code=413)
    name = body.decode("utf-8", "replace")
    return await anyio.to_thread.run_sync(_shown, session_token(request.headers), name)


async def events(request: Request) -> Response:
    """What the panel saw of a presentation that was left without an answer."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_EVENTS_BYTES:
            return PlainTextResponse("These are no events.", status_code=413)
    return await anyio.to_thread.run_sync(_events, session_token(request.headers), body)


def _pulse(token: str | None, study_key: str) -> Response:
    """Ask the store."""
    try:
        studies = _reader(token).my_studies()
    except (SignedOutError, AccessError, StoreError) as failure:
        return _refusal(failure)
    is_open = any(study.key == study_key and study.state is StudyState.OPEN for study in studies)
    return PlainTextResponse("open" if is_open else "not open", status_code=200 if is_open else 410)


def _shown(token: str | None, presentation_id: str) -> Response:
    """Tell the store."""
    try:
        _reader(token).record_shown(presentation_id)
    except (SignedOutError, AccessError, NotFoundError, StoreError) as failure:
        return _refusal(failure)
    return Response(status_code=204)


def _events(token: str | None, body: bytes) -> Response:
    """Tell the store; what is no event of a panel is refused."""
    try:
        told = json.loads(body)
        kinds = {"presentation_id": str, "draft_id": str, "first_event": int, "revision": int}
        if not all(type(told[name]) is kind for name, kind in kinds.items()):
            raise InputError("these are no events of a draft")
        _reader(token).record_events(events=read_events(told["events"]), **{name: told[name] for name in kinds})
    except (ValueError, KeyError, TypeError, RecursionError):
        return PlainTextResponse("These are no events.", status_code=400)
    except (SignedOutError, AccessError, NotFoundError, StoreError) as failure:
        return _refusal(failure)
    return Response(status_code=204)


def _reader(token: str | None) -> Repository:
    """The store as the owner of this sign-in may use it."""
    person = repository(None).actor_for_token(token or "")
    if person is None:
        raise SignedOutError("Sign in first.")
    return repository(person, token)


def _refusal(failure: Exception) -> Response:
    """Why not, as a status and nothing that names a case."""
    for kind, status in ((SignedOutError, 401), (AccessError, 403), (NotFoundError, 404), (StoreError, 503)):
        if isinstance(failure, kind):
            return PlainTextResponse("Not possible.", status_code=status)
    raise failure


def routes() -> list[Route]:
    """Routes of the reading panel."""
    return [
        Route(f"{base_path()}{PULSE_PATH}/{{study}}", pulse, methods=["GET"]),
        Route(f"{base_path()}{SHOWN_PATH}", shown, methods=["POST"]),
        Route(f"{base_path()}{EVENTS_PATH}", events, methods=["POST"]),
    ]
