"""Sign-in and sign-out: two plain pages outside Streamlit, because only an HTTP answer can set an HttpOnly cookie."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from functools import lru_cache
from html import escape
from string import Template
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import AccessError, StoreError
from core.settings import get_settings
from pages.door.addresses import address, base_path, is_from_own_page
from pages.door.plain_page import plain_page
from pages.door.security import SESSION_COOKIE, SIGN_IN_PATH, SIGN_OUT_PATH, session_token
from pages.widgets.resources import repository, signing_key

_log = logging.getLogger("reading_room")

#: Cookie that ties a form to the browser that fetched it.
FORM_COOKIE = "reading_room_form"
#: Largest accepted form, in bytes.
MAX_FORM_BYTES = 8192

#: One password hash takes 64 MiB; more at once would let anybody fill the memory.
_hashing = anyio.CapacityLimiter(2)
_NO_STORE = "The store is not available just now. Please try again in a moment."
_FIELDS = Template("""<label>Login <input type="text" name="login" value="$login" autocomplete="username"
 autocapitalize="none" spellcheck="false" maxlength="200" required $focus_login></label>
<label>Password <input type="password" name="password" autocomplete="current-password" maxlength="1024"
 required $focus_password></label>""")
_FORM = Template("""<form method="post" action="$action" autocomplete="on">
<input type="hidden" name="form_token" value="$form_token">
<input type="hidden" name="next" value="$next">
$fields
<button type="submit">$title</button>
</form>""")


def safe_target(text: str | None) -> str:
    """Address inside this app to go to after the sign-in; the start page for anything else."""
    inner = text.removeprefix(base_path()) if text and text.startswith(f"{base_path()}/") else ""
    is_ours = re.fullmatch(r"/(?!/)[A-Za-z0-9_/-]*(\?[A-Za-z0-9_=&%.+-]*)?", inner) is not None
    return address(inner if is_ours and not inner.startswith((SIGN_IN_PATH, SIGN_OUT_PATH)) else "/")


async def sign_in_page(request: Request) -> Response:
    """The form; somebody who is signed in already goes on."""
    target = safe_target(request.query_params.get("next"))
    token = session_token(request.headers)
    try:
        if token is not None and await anyio.to_thread.run_sync(repository(None).actor_for_token, token) is not None:
            return RedirectResponse(target, status_code=303)
    except StoreError:
        return _form_page(request, target=target, problem=_NO_STORE, status=503)
    return _form_page(request, target=target)


async def sign_in(request: Request) -> Response:
    """Check the password, set the cookie, go on."""
    form = await _form(request)
    target = safe_target(form.get("next"))
    if not _is_own_form(request, form):
        return _form_page(request, target=target, problem="This form was too old. Please try again.", status=403)
    ip = request.client.host if request.client else "unknown"
    if "x-forwarded-for" in request.headers and not get_settings().trusted_proxies:
        _note_undeclared_proxy(ip)
    login, store = form.get("login", "").strip(), repository(None)
    try:
        token = await anyio.to_thread.run_sync(
            store.authenticate, login, form.get("password", ""), ip, limiter=_hashing
        )
        earlier = session_token(request.headers)
        if earlier is not None:
            await anyio.to_thread.run_sync(store.sign_out, earlier)
    except AccessError as error:
        return _form_page(request, target=target, login=login, problem=str(error), status=401)
    except StoreError:
        return _form_page(request, target=target, login=login, problem=_NO_STORE, status=503)
    response = RedirectResponse(target, status_code=303)
    _forget_cookie(response, SESSION_COOKIE)
    _set_cookie(response, SESSION_COOKIE, token, seconds=int(get_settings().session_hours * 3600), same_site="lax")
    _forget_cookie(response, FORM_COOKIE)
    return response


async def sign_out_page(request: Request) -> Response:
    """Sign out when the link of this app was followed; ask first when another site sent the browser here."""
    if is_from_own_page(request.headers):
        return await _leave(request)
    return _form_page(request, is_leaving=True)


async def sign_out(request: Request) -> Response:
    """Sign out after the question."""
    if not _is_own_form(request, await _form(request)):
        return _form_page(request, is_leaving=True, problem="This form was too old. Please try again.", status=403)
    return await _leave(request)


async def _leave(request: Request) -> Response:
    """Revoke the sign-in in the store, then forget the cookie and the drafts that the browser kept."""
    token = session_token(request.headers)
    try:
        if token is not None:
            await anyio.to_thread.run_sync(repository(None).sign_out, token)
    except StoreError:
        return _form_page(request, is_leaving=True, problem=f"You are still signed in. {_NO_STORE}", status=503)
    response = RedirectResponse(address(SIGN_IN_PATH), status_code=303)
    _forget_cookie(response, SESSION_COOKIE)
    response.headers["clear-site-data"] = '"storage"'
    return response


async def _form(request: Request) -> dict[str, str]:
    """Fields of a posted form; empty when the body is too large or no form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _form_token(nonce: str) -> str:
    """Value that only this server can make for the form of the browser that holds ``nonce``."""
    return hmac.new(signing_key(), b"form:" + nonce.encode(), hashlib.sha256).hexdigest()


def _is_own_form(request: Request, form: dict[str, str]) -> bool:
    """Whether the form was fetched from here by this browser; that it was sent from here the middleware has seen."""
    nonce = request.cookies.get(FORM_COOKIE, "")
    return bool(nonce) and hmac.compare_digest(form.get("form_token", ""), _form_token(nonce))


def _form_page(
    request: Request,
    *,
    target: str = "",
    login: str = "",
    problem: str = "",
    status: int = 200,
    is_leaving: bool = False,
) -> HTMLResponse:
    """The page, with the cookie that its form needs; a login that was typed stays."""
    nonce = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    title = "Sign out" if is_leaving else "Sign in"
    form = _FORM.substitute(
        title=title,
        action=address(SIGN_OUT_PATH if is_leaving else SIGN_IN_PATH),
        form_token=_form_token(nonce),
        next=escape(target),
        fields="" if is_leaving else _fields(login),
    )
    lead = "Do you want to sign out?" if is_leaving else "Blinded reader studies"
    response = plain_page(title, lead, problem=problem, body=form, status=status)
    _set_cookie(response, FORM_COOKIE, nonce, seconds=3600, same_site="strict")
    return response


def _fields(login: str) -> str:
    """Login and password; what is still to be typed has the focus."""
    focus_login, focus_password = ("", "autofocus") if login else ("autofocus", "")
    return _FIELDS.substitute(login=escape(login), focus_login=focus_login, focus_password=focus_password)


def _set_cookie(response: Response, name: str, value: str, *, seconds: int, same_site: str) -> None:
    """One HttpOnly cookie with the settings' idea of https."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=base_path() or "/",
        httponly=True,
        samesite="strict" if same_site == "strict" else "lax",
        secure=get_settings().is_cookie_secure,
    )


@lru_cache(maxsize=1)
def _note_undeclared_proxy(ip: str) -> None:
    """Tell the operator once that everybody behind this proxy counts as one address."""
    _log.warning(
        "a sign-in came from %s with a forwarded address, which does not count: if that is your proxy, set "
        "READING_ROOM_TRUSTED_PROXIES=%s, or all its visitors share one limit of failed sign-ins",
        ip,
        ip,
    )


def _forget_cookie(response: Response, name: str) -> None:
    """End a cookie, also one from the time before the base path: it would be sent beside the new one."""
    for path in {base_path() or "/", "/"}:
        response.delete_cookie(name, path=path)


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit."""
    return [
        Route(address(SIGN_IN_PATH), sign_in_page, methods=["GET"]),
        Route(address(SIGN_IN_PATH), sign_in, methods=["POST"]),
        Route(address(SIGN_OUT_PATH), sign_out_page, methods=["GET"]),
        Route(address(SIGN_OUT_PATH), sign_out, methods=["POST"]),
    ]
