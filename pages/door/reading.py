"""What the reading panel asks and tells: plain routes, for neither an answer nor its receipt needs a run of the script.

The lock before them is the one before everything (:mod:`pages.door.security`): without a sign-in the answer is 401.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from core.client_events import read_events
from core.errors import AccessError, InputError, NotFoundError, OutsideDatesError, SignedOutError, StoreError
from core.study import StudyState
from db import Repository
from pages.door.addresses import base_path
from pages.door.answers import NOT_OPEN, NOT_TODAY, read_message, save_answer
from pages.door.paces import SHOWN_A_SECOND, SHOWN_AT_ONCE, Paces
from pages.door.security import session_token
from pages.widgets.resources import repository

PULSE_PATH = "/reading/pulse"
SHOWN_PATH = "/reading/shown"
ANSWER_PATH = "/reading/answer"
EVENTS_PATH = "/reading/events"
KEYS_PATH = "/reading/keys"
_MAX_ID_BYTES = 100
_MAX_EVENTS_BYTES = 50_000
_MAX_ANSWER_BYTES = 100_000
_MAX_KEYS_BYTES = 5_000

_shown_paces = Paces(SHOWN_AT_ONCE, SHOWN_A_SECOND)


async def pulse(request: Request) -> Response:
    """Whether the reader can go on: 200 yes, 401 signed out, 410 not, and why the answer on the screen is not saved."""
    return await anyio.to_thread.run_sync(_pulse, session_token(request.headers), request.path_params["study"])


async def shown(request: Request) -> Response:
    """The image of a presentation, named in the body, was drawn on the reader's screen."""
    body = await _body(request, _MAX_ID_BYTES)
    if body is None:
        return PlainTextResponse("This is no presentation.", status_code=413)
    return await anyio.to_thread.run_sync(_shown, session_token(request.headers), body.decode("utf-8", "replace"))


async def answer(request: Request) -> Response:
    """Save an answer; the receipt goes back after the commit. 400: it was no answer."""
    body = await _body(request, _MAX_ANSWER_BYTES)
    if body is None:
        return PlainTextResponse("This is no answer.", status_code=413)
    return await anyio.to_thread.run_sync(_answer, session_token(request.headers), body)


async def keys(request: Request) -> Response:
    """Which keys the reader gave to what the panel does, all of them."""
    body = await _body(request, _MAX_KEYS_BYTES)
    if body is None:
        return PlainTextResponse("These are no keys.", status_code=413)
    return await anyio.to_thread.run_sync(_keys, session_token(request.headers), body)


async def _body(request: Request, most: int) -> bytes | None:
    """Body of a request; None if it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return body


async def events(request: Request) -> Response:
    """What the panel saw of a presentation that was left without an answer."""
    body = await _body(request, _MAX_EVENTS_BYTES)
    if body is None:
        return PlainTextResponse("These are no events.", status_code=413)
    return await anyio.to_thread.run_sync(_events, session_token(request.headers), body)


def _pulse(token: str | None, study_key: str) -> Response:
    """Ask the store: is the study open, and is this a day on which this reader reads?"""
    try:
        with _reader(token).one_moment() as moment:
            found = next((one for one in moment.my_studies() if one.key == study_key), None)
            is_open = found is not None and found.state is StudyState.OPEN
            if is_open and found is not None and found.protocol.has_dates:
                moment.next_presentation(study_key)
    except OutsideDatesError:
        return PlainTextResponse(NOT_TODAY, status_code=410)
    except (SignedOutError, AccessError, StoreError) as failure:
        return _refusal(failure)
    return PlainTextResponse("open") if is_open else PlainTextResponse(NOT_OPEN, status_code=410)


def _shown(token: str | None, presentation_id: str) -> Response:
    """Tell the store, but not without end: each time is an event of the trail."""
    try:
        reader = _reader(token)
        pace = _shown_paces.of(f"{reader.actor.person_id if reader.actor else ''} {presentation_id}")
        if pace.delay_s(0.0) == 0.0:
            reader.record_shown(presentation_id, is_last_for_now=not pace.has_room)
    except InputError:  # characters that no store holds
        return PlainTextResponse("This is no presentation.", status_code=400)
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


def _keys(token: str | None, body: bytes) -> Response:
    """Tell the store."""
    try:
        told = json.loads(body)
        if not isinstance(told, dict) or not all(isinstance(code, str) for code in told.values()):
            raise InputError("keys are names with the code of a key each", field="keys", value=told)
        _reader(token).keep_reading_keys(told)
    except (ValueError, RecursionError):  # also every InputError
        return PlainTextResponse("These are no keys.", status_code=400)
    except (SignedOutError, AccessError, StoreError) as failure:
        return _refusal(failure)
    return Response(status_code=204)


def _answer(token: str | None, body: bytes) -> Response:
    """Save it."""
    try:
        message = read_message(json.loads(body))
        if message.answer is None:
            raise InputError("this message holds no answer", field="kind", value=message.kind)
        receipt = save_answer(_reader(token), message)
    except (ValueError, RecursionError):  # also every InputError: the panel sends nothing of the kind
        return PlainTextResponse("This is no answer.", status_code=400)
    except (SignedOutError, AccessError, StoreError) as failure:
        return _refusal(failure)
    return JSONResponse(asdict(receipt))


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
        Route(f"{base_path()}{ANSWER_PATH}", answer, methods=["POST"]),
        Route(f"{base_path()}{KEYS_PATH}", keys, methods=["POST"]),
    ]
