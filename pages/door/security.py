"""The first lock: what a browser may fetch at all, and the headers that every answer carries.

Streamlit serves media files, metrics, uploads and its websocket to anybody who asks. :class:`SecurityMiddleware` stands
before all of them and lets nothing pass without a valid sign-in cookie but the sign-in page, the health check and
Streamlit's own scripts and fonts. The second lock is the list of screens in ``navigation.py``, the third the guard
inside every ``render``.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import quote

import anyio
import anyio.to_thread
import streamlit
from google.protobuf.message import DecodeError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from core.errors import StoreError
from core.study import Person, Role
from pages.door.addresses import (
    address,
    at_base_path,
    base_path,
    host_name,
    inner_path,
    is_host_allowed,
    is_same_origin,
)
from pages.door.cookies import SESSION_COOKIE, is_https, with_own_cookies
from pages.door.paces import (
    FILES_A_SECOND,
    FILES_AT_ONCE,
    LONGEST_TURN_S,
    MESSAGES_A_SECOND,
    MESSAGES_AT_ONCE,
    REQUESTS_A_SECOND,
    REQUESTS_AT_ONCE,
    VISITS_A_SECOND,
    VISITS_AT_ONCE,
    Paces,
    visitor_of,
)
from pages.door.plain_page import plain_page
from pages.widgets.resources import repository

_log = logging.getLogger("reading_room")

#: Header that carries the sign-in to Streamlit (``server.trustedUserHeaders``); never taken from a browser.
SIGN_IN_HEADER = b"x-reading-room-sign-in"
#: Tells the reading panel why a request was refused, where its status alone does not.
REFUSAL_HEADER = "x-reading-room-refusal"
#: Behind the base path; ``address(SIGN_IN_PATH)`` is what a browser asks for.
SIGN_IN_PATH = "/sign-in"
SIGN_OUT_PATH = "/sign-out"
#: Where a person changes the own password; all that is open to one whose password somebody else set.
PASSWORD_PATH = "/password"  # noqa: S105  # a path
#: Where an invited person, who has no account yet, makes one.
INVITATION_PATH = "/invitation"
#: The way to an identity provider and back, where one is configured.
OPENID_PATH = "/sign-in/openid"
#: The start page by its name; Streamlit knows it as "/" only and would put "Page not found" over it.
START_PATH = "/home"
#: Whether this process can serve readers now; for a load balancer. ``/_stcore/health`` says only that it lives.
READY_PATH = "/ready"

#: Open to everybody, under any host name.
FREE_PATHS = frozenset({"/_stcore/health", READY_PATH, "/favicon.png"})
#: Open to everybody; nothing below these depends on a study.
PUBLIC_PATHS = FREE_PATHS | {SIGN_IN_PATH, SIGN_OUT_PATH, INVITATION_PATH, OPENID_PATH, f"{OPENID_PATH}/callback"}
SCRIPTS_PREFIX = "/scripts/"  # of the app's own components
PUBLIC_PREFIXES = ("/static/", SCRIPTS_PREFIX)
_RESULTS = frozenset({Role.COORDINATOR, Role.STATISTICIAN, Role.ADMINISTRATOR})
_CONDUCT = frozenset({Role.COORDINATOR})
_SERVER = frozenset({Role.COORDINATOR, Role.ADMINISTRATOR})
#: For these roles only; readers need none of them: downloads, uploads, statistics of the server, the agent door.
ROLES_OF_PREFIX = {
    "/media/": _RESULTS,
    "/_stcore/upload_file": _CONDUCT,
    "/_stcore/metrics": _SERVER,
    "/_stcore/agent": _SERVER,
    "/_stcore/script-health-check": _SERVER,
}

_READING_PREFIX = "/reading/"
#: First parts of all these paths: what a base path may not begin with.
RESERVED = frozenset(
    path.split("/")[1]
    for path in (*PUBLIC_PATHS, *PUBLIC_PREFIXES, *ROLES_OF_PREFIX, PASSWORD_PATH, "/component/", _READING_PREFIX)
)

#: Websockets that one person may hold at once in this process; each open tab has one. More would slow other readers.
MOST_SOCKETS = 8
#: Longest message of a reader's websocket, bytes: the panel sends a few hundred, answers go by requests.
LONGEST_OF_READER = 64 * 1024
#: What they may ask for; to empty the caches of everybody, for one, is for developers, and is not heard.
_KINDS = frozenset({"rerun_script", "stop_script", "app_heartbeat", "file_urls_request", "backend_operation_request"})
#: A form of a visitor that is refused is answered at a full second after it was sent: nobody guesses quicker, a flood
#: of forms is a slow one, and the time tells nothing of whether there is such a login.
REFUSAL_S = 1.0

_FIXED_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


@lru_cache(maxsize=1)
def content_security_policy() -> str:
    """Policy under which Streamlit runs: own scripts, the one inline script of its page, component scripts as blobs.

    Styles are inline by the design of its frontend; images and fonts may be data; nothing comes from another machine.
    """
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline
    )
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob: {hashes}".strip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def session_token(headers: Headers) -> str | None:
    """Token in the sign-in cookie of a request that came through the middleware; None if there is none."""
    return cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE) or None


class SecurityMiddleware:
    """Pure ASGI: refuses what has no valid sign-in, binds a websocket to its sign-in, sets the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._sockets: Counter[str] = Counter()  # open ones by person_id
        self._messages = Paces(MESSAGES_AT_ONCE, MESSAGES_A_SECOND)  # of websockets, by person_id
        self._requests = Paces(REQUESTS_AT_ONCE, REQUESTS_A_SECOND)  # of readers and panels, by person_id
        self._visits = Paces(VISITS_AT_ONCE, VISITS_A_SECOND)  # of visitors, by address
        self._files = Paces(FILES_AT_ONCE, FILES_A_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = with_own_cookies(at_base_path(scope))
        is_answered = False

        async def noting_send(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        headed_send = _with_headers(noting_send, scope)
        try:
            await self._answer(scope, receive, headed_send)
        except Exception:
            if scope["type"] == "websocket" or is_answered:
                raise
            _log.exception("a request failed")  # Starlette's own answer would go out without the headers
            failed = PlainTextResponse("This failed. Nothing that was saved is lost.", status_code=500)
            await failed(scope, receive, headed_send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or say why not."""
        path = inner_path(scope)
        headers = Headers(scope=scope)
        token = session_token(headers)
        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != SIGN_IN_HEADER]}
        refusal, actor = None, None
        is_visit = scope["type"] == "http" and path in PUBLIC_PATHS
        if is_visit or path.startswith(PUBLIC_PREFIXES):
            refusal = await self._visit(scope)
        if refusal is None and path not in FREE_PATHS and not path.startswith(PUBLIC_PREFIXES):
            refusal = _wrong_address(scope, headers)
        if refusal is None and path not in PUBLIC_PATHS and not path.startswith(PUBLIC_PREFIXES):
            refusal, actor = await _entry(path, token)
        if refusal is None and actor is not None:
            refusal = await self._turn(scope, actor)
        if refusal is not None:
            if refusal.leads_to == SIGN_IN_PATH:
                refusal = await self._visit(scope) or refusal
            await _refuse(scope, receive, send, refusal)
            return
        if is_visit and scope["method"] == "POST":
            send = _at_full_seconds(send)
        if scope["type"] == "http" and (scope["path"] == base_path() or path == START_PATH):
            # Starlette's own way to the final slash names a scheme, which a proxy may have changed.
            await RedirectResponse(address("/"), status_code=307)(scope, receive, send)
            return
        if token is not None:
            # Not the token itself: who knows this value cannot sign in with it.
            scope["headers"].append(
                (SIGN_IN_HEADER, hashlib.sha256(b"websocket:" + token.encode()).hexdigest().encode())
            )
        if actor is None or scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        self._sockets[actor.person_id] += 1
        messages, who, is_reader = self._messages, actor.person_id, _only_reads(actor)

        async def paced_receive() -> Message:
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                await anyio.sleep(messages.of(who).delay_s())
                data = message.get("bytes") or b""
                is_too_long = is_reader and len(data) > LONGEST_OF_READER
                kind = None if is_too_long else _kind_of(data)
                if kind is None:
                    code = 1009 if is_too_long else 1003
                    await send({"type": "websocket.close", "code": code})
                    return {"type": "websocket.disconnect", "code": code}
                if kind in _KINDS:
                    return message

        try:
            await self.app(scope, paced_receive, send)
        finally:
            self._sockets[actor.person_id] -= 1
            if not self._sockets[actor.person_id]:
                del self._sockets[actor.person_id]

    async def _turn(self, scope: Scope, actor: Person) -> Refusal | None:
        """Wait for the turn of a person's request, or of a new window of his or hers; say why not."""
        if scope["type"] == "websocket":
            is_in_turn = await self._messages.turn(actor.person_id)  # else closing a window would buy more messages
            if self._sockets[actor.person_id] >= MOST_SOCKETS:
                return Refusal(429, "You have too many windows open. Close some.")
        elif _only_reads(actor) or (scope["method"] == "POST" and inner_path(scope).startswith(_READING_PREFIX)):
            is_in_turn = await self._requests.turn(actor.person_id)
        else:
            is_in_turn = True  # a coordinator may send a folder of images, a request each
        return None if is_in_turn else _TOO_MUCH

    async def _visit(self, scope: Scope) -> Refusal | None:
        """Wait for the turn of a visitor's address; who would wait too long waits all the same, and is refused."""
        path, who = inner_path(scope), visitor_of(scope)
        if path in FREE_PATHS:  # a balancer asks by itself: what it hands on for others must not make it wait
            who += " by a proxy" if "x-forwarded-for" in Headers(scope=scope) else " by itself"
        if await (self._files if path.startswith(PUBLIC_PREFIXES) else self._visits).turn(who):
            return None
        await anyio.sleep(LONGEST_TURN_S)  # else refusing would be what the flood is about
        return _TOO_MUCH


def _only_reads(actor: Person) -> bool:
    """Whether somebody has no other part than that of a reader."""
    return actor.roles <= {Role.READER}


def _kind_of(data: bytes) -> str | None:
    """What a browser asks of Streamlit; None for what is no message of its frontend."""
    message = BackMsg()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    return message.WhichOneof("type")


@dataclass(frozen=True)
class Refusal:
    """Why a request gets no further."""

    status: int
    text: str
    fix: str = ""
    leads_to: str = ""  # a path of this app where a browser goes instead
    kind: str = ""  # what the reading panel has words for, in the header REFUSAL_HEADER


_TOO_MUCH = Refusal(429, "Too much was sent at once. Try again in a moment.")


def _wrong_address(scope: Scope, headers: Headers) -> Refusal | None:
    """Refuse another host name (DNS rebinding), and what a page of another address sends (it brings the cookie)."""
    host = headers.get("host", "")
    if not is_host_allowed(host):
        name = (host_name(host) or host)[:200]
        fix = f"READING_ROOM_ALLOWED_HOSTS={name}"
        return Refusal(403, f"This server does not answer under the name {name}.", fix, kind="address")
    is_deed = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
    if is_deed and not is_same_origin(headers):  # Streamlit itself would ask the internet who this machine is
        origin = headers.get("origin", "another site")
        said = f"This was sent from {origin[:200]}, but this server was asked as {host[:200]}."
        return Refusal(403, said, kind="address")
    return None


async def _entry(path: str, token: str | None) -> tuple[Refusal | None, Person | None]:
    """Who asks; refuse who has not signed in, and what is for other roles."""
    try:
        actor = await anyio.to_thread.run_sync(_actor, token)
    except StoreError:
        return Refusal(503, "The store is not available. Please try again."), None
    if actor is None:
        return Refusal(401, "Please sign in.", leads_to=SIGN_IN_PATH), None
    if actor.must_change_password and path != PASSWORD_PATH:
        said = "Your password was set by somebody else. Choose a new one first."
        return Refusal(403, said, leads_to=PASSWORD_PATH, kind="password"), None
    for prefix, roles in ROLES_OF_PREFIX.items():
        if path.startswith(prefix) and not actor.roles & roles:
            return Refusal(403, f"This is for {' and '.join(sorted(f'{role}s' for role in roles))}."), None
    return None, actor


def _actor(token: str | None) -> Person | None:
    """Person whose sign-in this token is."""
    return repository(None).actor_for_token(token) if token is not None else None


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """A closed websocket; for a browser a way to the sign-in page or a page that says why; else a plain status."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.text[:100]})
        return
    path = inner_path(scope)
    is_page = "." not in path and not path.startswith(("/_stcore", "/media"))
    is_browser = is_page and "text/html" in Headers(scope=scope).get("accept", "")
    response: Response = PlainTextResponse(" ".join((refusal.text, refusal.fix)).strip(), status_code=refusal.status)
    if refusal.leads_to and scope["method"] == "GET" and is_browser:
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        response = RedirectResponse(f"{address(refusal.leads_to)}?next={quote(target, safe='')}", status_code=303)
    elif refusal.fix or (path == SIGN_IN_PATH and refusal.status == 403):
        response = _page_of(refusal)
    if refusal.status == 429:
        response.headers["retry-after"] = str(math.ceil(LONGEST_TURN_S))
    if refusal.kind:
        response.headers[REFUSAL_HEADER] = refusal.kind
    await response(scope, receive, send)


def _page_of(refusal: Refusal) -> HTMLResponse:
    """What to do, for the person who runs the server, where a password would be asked for."""
    if refusal.fix:
        body = (
            f"<p>Whoever runs this server can let it: set <code>{escape(refusal.fix)}</code> (commas between several), "
            "or add the name to <code>server.allowedHosts</code> in <code>.streamlit/config.toml</code>, and start it "
            "again.</p>"
        )
    else:
        body = (
            "<p>A proxy in between must hand on the header <code>Host</code> with its port "
            "(nginx: <code>proxy_set_header Host $http_host;</code>).</p>"
        )
    lead = "No password is asked for under this address."
    return plain_page("Not here", lead, problem=refusal.text, body=body, status=403)


def _at_full_seconds(send: Send) -> Send:
    """``send`` that holds a refusal back until :data:`REFUSAL_S`, or a multiple of it, is over."""
    asked = anyio.current_time()

    async def send_in_time(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            await anyio.sleep(REFUSAL_S - (anyio.current_time() - asked) % REFUSAL_S)
        await send(message)

    return send_in_time


def _with_headers(send: Send, scope: Scope) -> Send:
    """``send`` that adds the security headers to the start of every answer."""
    path, is_secure = inner_path(scope), is_https(scope)

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _FIXED_HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", content_security_policy())
            if not path.startswith(PUBLIC_PREFIXES):
                headers["cache-control"] = "no-store"
            if is_secure:
                headers["strict-transport-security"] = "max-age=31536000"
        await send(message)

    return send_with_headers
