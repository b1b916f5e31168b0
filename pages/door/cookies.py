"""The cookies of this app: under which name and path each travels, and which of those that a browser sends count.

Any host below the same domain may plant a cookie for all of them, and so sign somebody in as somebody else. Over HTTPS
every name therefore begins with ``__Host-``: browsers take such a cookie from this very host only, by HTTPS, and for
all of its paths. Behind a base path the sign-in has two halves: the token, which only that path sees (``__Secure-``,
which a neighbour could plant), and a mark of it under ``__Host-``, without which the token does not count. Over plain
HTTP, as on this machine, browsers keep no such cookie: there the names are plain.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response

from core.settings import get_settings
from pages.door.addresses import base_path

#: Cookie with the token of a sign-in; HttpOnly as all of ours, so no script ever sees it.
SESSION_COOKIE = "reading_room_sign_in"
#: Cookie that ties a form to the browser that fetched it.
FORM_COOKIE = "reading_room_form"
#: Cookie with what the answer of an identity provider must match.
OPENID_COOKIE = "reading_room_openid"

_OURS = (SESSION_COOKIE, FORM_COOKIE, OPENID_COOKIE)
_STREAMLITS = "_streamlit_xsrf"  # the one of its cookies that its uploads need


def is_https(scope: Any) -> bool:
    """Whether the browser speaks HTTPS: by the settings, or as a declared proxy says of this request."""
    return get_settings().is_cookie_secure or scope.get("scheme") in ("https", "wss")


def sent_name(name: str, scope: Any) -> str:
    """Name under which one of our cookies travels; two servers below two paths of one host keep theirs apart."""
    if not is_https(scope):
        return name
    path = base_path()
    return f"__Host-{name}" + (f"_{hashlib.sha256(path.encode()).hexdigest()[:8]}" if path else "")


def with_own_cookies(scope: Any) -> Any:
    """The request with those cookies alone that this host has set, under their plain names.

    What other programs of the same host keep in the browser is not handed on: it is none of ours, and cannot be taken
    for ours.
    """
    sent: dict[str, str] = {}
    for name, value in _sent(scope["headers"]):
        sent.setdefault(name, value)  # a browser sends that of the longer path first
    own = {name: sent[sent_name(name, scope)] for name in _OURS if sent_name(name, scope) in sent}
    if base_path() and is_https(scope):
        token, mark = sent.get(f"__Secure-{SESSION_COOKIE}", ""), own.pop(SESSION_COOKIE, "")
        if token and hmac.compare_digest(mark.encode(), _mark(token).encode()):
            own[SESSION_COOKIE] = token
    if _STREAMLITS in sent:
        own[_STREAMLITS] = sent[_STREAMLITS]
    headers = [pair for pair in scope["headers"] if pair[0].lower() != b"cookie"]
    if own:
        headers.append((b"cookie", "; ".join(f"{name}={value}" for name, value in own.items()).encode("latin-1")))
    return {**scope, "headers": headers}


def set_cookie(
    response: Response, request: HTTPConnection, name: str, value: str, *, seconds: int, same_site: str
) -> None:
    """Keep a value in the browser that asked, for this server alone."""
    path = "/" if is_https(request.scope) else base_path() or "/"
    _set(response, request, sent_name(name, request.scope), value, path, seconds, same_site)


def set_sign_in(response: Response, request: HTTPConnection, token: str) -> None:
    """Keep a new sign-in in the browser that asked."""
    seconds = int(get_settings().session_hours * 3600)
    forget_cookie(response, request, SESSION_COOKIE)
    value = token
    if base_path() and is_https(request.scope):
        _set(response, request, f"__Secure-{SESSION_COOKIE}", token, base_path(), seconds, "lax")
        value = _mark(token)
    set_cookie(response, request, SESSION_COOKIE, value, seconds=seconds, same_site="lax")


def forget_cookie(response: Response, request: HTTPConnection, name: str) -> None:
    """End a cookie, also one of a time when it had another name or path: it would be sent on and on."""
    secure = is_https(request.scope)
    for path in {base_path() or "/", "/"}:
        response.delete_cookie(name, path=path, secure=secure, httponly=True)
    if secure:
        response.delete_cookie(sent_name(name, request.scope), path="/", secure=True, httponly=True)
        if base_path() and name == SESSION_COOKIE:
            response.delete_cookie(f"__Secure-{name}", path=base_path(), secure=True, httponly=True)


def _set(
    response: Response, request: HTTPConnection, name: str, value: str, path: str, seconds: int, same_site: str
) -> None:
    strictness: Literal["strict", "lax"] = "strict" if same_site == "strict" else "lax"
    response.set_cookie(
        name, value, max_age=seconds, path=path, httponly=True, samesite=strictness, secure=is_https(request.scope)
    )


def _sent(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    """Name and value of every cookie of a request as it was sent: nothing is unquoted, no foreign one hides ours."""
    for header, line in headers:
        if header.lower() == b"cookie":
            for part in line.decode("latin-1").split(";"):
                name, is_pair, value = part.strip(" \t").partition("=")
                if is_pair:
                    yield name, value


def _mark(token: str) -> str:
    """What stands for a token where it must not stand itself."""
    return hashlib.sha256(b"sign-in:" + token.encode("latin-1")).hexdigest()
