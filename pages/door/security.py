"""The first lock: what a browser may fetch at all, and the headers that every answer carries.

Streamlit serves media files, metrics, uploads and its websocket to anybody who asks. :class:`SecurityMiddleware` stands
before all of them and lets nothing pass without a valid sign-in cookie but the sign-in page, the health check and
Streamlit's own scripts and fonts. The second lock is the list of screens in ``navigation.py``, the third the guard
inside every ``render``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import quote

import anyio.to_thread
import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import StoreError
from core.settings import get_settings
from core.study import Person, Role
from pages.widgets.resources import repository

#: Cookie with the token of a sign-in; HttpOnly, so no script ever sees it.
SESSION_COOKIE = "reading_room_sign_in"
#: Header that carries the sign-in to Streamlit (``server.trustedUserHeaders``); never taken from a browser.
SIGN_IN_HEADER = b"x-reading-room-sign-in"
SIGN_IN_PATH = "/sign-in"
SIGN_OUT_PATH = "/sign-out"

#: Open to everybody; nothing below these depends on a study.
PUBLIC_PATHS = frozenset({SIGN_IN_PATH, SIGN_OUT_PATH, "/_stcore/health", "/favicon.png"})
PUBLIC_PREFIXES = ("/static/",)
#: Closed to readers, who need none of them: files of coordinators, uploads, statistics of the server, the agent door.
COORDINATOR_PREFIXES = (
    "/media/",
    "/_stcore/metrics",
    "/_stcore/upload_file",
    "/_stcore/agent",
    "/_stcore/script-health-check",
)

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
    """Token in the sign-in cookie of a request; None if there is none."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


class SecurityMiddleware:
    """Pure ASGI: refuses what has no valid sign-in, binds a websocket to its sign-in, sets the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        token = session_token(headers)
        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != SIGN_IN_HEADER]}
        send = _with_headers(send, scope["path"])
        if scope["path"] not in PUBLIC_PATHS and not scope["path"].startswith(PUBLIC_PREFIXES):
            try:
                actor = await anyio.to_thread.run_sync(_actor, token)
            except StoreError:
                await _refuse(scope, receive, send, 503, "The store is not available. Please try again.")
                return
            if actor is None:
                await _refuse(scope, receive, send, 401, "Please sign in.")
                return
            if actor.role is not Role.COORDINATOR and scope["path"].startswith(COORDINATOR_PREFIXES):
                await _refuse(scope, receive, send, 403, "This is for coordinators.")
                return
        if token is not None:
            # Not the token itself: who knows this value cannot sign in with it.
            scope["headers"].append(
                (SIGN_IN_HEADER, hashlib.sha256(b"websocket:" + token.encode()).hexdigest().encode())
            )
        await self.app(scope, receive, send)


def _actor(token: str | None) -> Person | None:
    """Person whose sign-in this token is."""
    return repository(None).actor_for_token(token) if token is not None else None


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, text: str) -> None:
    """A closed websocket, a way to the sign-in page for a browser, or a plain status for everything else."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": text})
        return
    response: Response = PlainTextResponse(text, status_code=status)
    headers = Headers(scope=scope)
    is_page = "." not in scope["path"] and not scope["path"].startswith(("/_stcore", "/media"))
    if status == 401 and scope["method"] == "GET" and is_page and "text/html" in headers.get("accept", ""):
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
        response = RedirectResponse(f"{SIGN_IN_PATH}?next={quote(target, safe='')}", status_code=303)
    await response(scope, receive, send)


def _with_headers(send: Send, path: str) -> Send:
    """``send`` that adds the security headers to the start of every answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _FIXED_HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", content_security_policy())
            if not path.startswith(PUBLIC_PREFIXES):
                headers["cache-control"] = "no-store"
            if get_settings().is_cookie_secure:
                headers["strict-transport-security"] = "max-age=31536000"
        await send(message)

    return send_with_headers
