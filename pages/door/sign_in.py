"""Sign-in and sign-out: two plain pages outside Streamlit, because only an HTTP answer can set an HttpOnly cookie."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import AccessError, PasswordsBusyError, StoreError
from core.settings import get_settings
from pages.door.addresses import address, base_path, is_from_own_page
from pages.door.cookies import FORM_COOKIE, SESSION_COOKIE, forget_cookie, set_sign_in
from pages.door.forms import field, form_page, hidden, is_own_form, posted
from pages.door.plain_page import plain_page
from pages.door.security import INVITATION_PATH, OPENID_PATH, SIGN_IN_PATH, SIGN_OUT_PATH, session_token
from pages.widgets.resources import repository

_log = logging.getLogger("reading_room")
T = TypeVar("T")

#: Sign-ins on threads of their own; the others wait here, so that a rush takes no thread from those who read.
hashing = anyio.CapacityLimiter(2)
#: So many may wait; whoever comes then is asked to try again, before anything is looked up.
_MOST_WAITING = 32
#: So long somebody waits; then he or she is asked to try again, too.
LONGEST_TURN_S = 20.0
_CROWDED = "Too many people are signing in just now. Please try again in a moment."
NO_STORE = "The store is not available just now. Please try again in a moment."


_NEW_INSTALLATION = "Nobody has an account here yet."
_FIRST_ACCOUNT = """<p>Whoever started this server finds in its terminal the link at which the first coordinator
chooses a password, or makes the account with a command, which prints a password once:</p>
<p><code>python manage.py person add LOGIN --role coordinator</code></p>
<p>Then load this page again; all else is done on the screens.</p>"""


def safe_target(text: str | None) -> str:
    """Address inside this app to go to after the sign-in; the start page for anything else."""
    inner = text.removeprefix(base_path()) if text and text.startswith(f"{base_path()}/") else ""
    is_ours = re.fullmatch(r"/(?!/)[A-Za-z0-9_/-]*(\?[A-Za-z0-9_=&%.+-]*)?", inner) is not None
    return address(inner if is_ours and not inner.startswith((SIGN_IN_PATH, SIGN_OUT_PATH, INVITATION_PATH)) else "/")


async def sign_in_page(request: Request) -> Response:
    """The form; somebody who is signed in already goes on."""
    target = safe_target(request.query_params.get("next"))
    token = session_token(request.headers)
    try:
        if token is not None and await anyio.to_thread.run_sync(repository(None).actor_for_token, token) is not None:
            return RedirectResponse(target, status_code=303)
        is_new = not await anyio.to_thread.run_sync(repository(None).has_accounts)
    except StoreError:
        return _form_page(request, target=target, problem=NO_STORE, status=503)
    return (
        plain_page("Reading Room", _NEW_INSTALLATION, body=_FIRST_ACCOUNT)
        if is_new
        else _form_page(request, target=target)
    )


async def sign_in(request: Request) -> Response:
    """Check the password, set the cookie, go on."""
    form = await posted(request)
    target = safe_target(form.get("next"))
    if not is_own_form(request, form):
        return _form_page(request, target=target, problem="This form was too old. Please try again.", status=403)
    ip = request.client.host if request.client else "unknown"
    forwarded = request.headers.get("x-forwarded-for")
    if forwarded and ip not in [each.strip() for each in forwarded.split(",")]:  # a declared proxy's is the address
        _note_undeclared_proxy(ip)
    login, store = form.get("login", "").strip(), repository(None)
    if hashing.statistics().tasks_waiting >= _MOST_WAITING:
        return _form_page(request, target=target, login=login, problem=_CROWDED, status=503)
    try:
        token = await in_turn(store.authenticate, login, form.get("password", ""), ip)
        earlier = session_token(request.headers)
        if earlier is not None:
            await anyio.to_thread.run_sync(store.sign_out, earlier)
    except AccessError as error:
        return _form_page(request, target=target, login=login, problem=str(error), status=401)
    except StoreError as error:
        return _form_page(request, target=target, login=login, problem=not_now(error), status=503)
    return signed_in(request, target, token)


async def in_turn(work: Callable[..., T], *args: object) -> T:
    """Run what asks for a hash, on a thread of its own when it is its turn.

    Raises
    ------
    PasswordsBusyError
        If that does not come.
    """
    turn = object()
    with anyio.move_on_after(LONGEST_TURN_S) as waiting:
        await hashing.acquire_on_behalf_of(turn)
    if waiting.cancelled_caught:
        raise PasswordsBusyError(_CROWDED)
    try:
        return await anyio.to_thread.run_sync(work, *args)
    finally:
        hashing.release_on_behalf_of(turn)


def not_now(error: StoreError) -> str:
    """What somebody who signs in is told when the store, or what checks passwords, does not answer."""
    return str(error) if isinstance(error, PasswordsBusyError) else NO_STORE


def signed_in(request: Request, target: str, token: str) -> Response:
    """On to the target, with the cookie of a new sign-in."""
    response = RedirectResponse(target, status_code=303)
    set_sign_in(response, request, token)
    forget_cookie(response, request, FORM_COOKIE)
    return response


async def sign_out_page(request: Request) -> Response:
    """Sign out when the link of this app was followed; ask first when another site sent the browser here."""
    if is_from_own_page(request.headers):
        return await _leave(request)
    return _form_page(request, is_leaving=True)


async def sign_out(request: Request) -> Response:
    """Sign out after the question."""
    if not is_own_form(request, await posted(request)):
        return _form_page(request, is_leaving=True, problem="This form was too old. Please try again.", status=403)
    return await _leave(request)


async def _leave(request: Request) -> Response:
    """Revoke the sign-in in the store, then forget the cookie and the drafts that the browser kept."""
    token = session_token(request.headers)
    try:
        if token is not None:
            await anyio.to_thread.run_sync(repository(None).sign_out, token)
    except StoreError:
        return _form_page(request, is_leaving=True, problem=f"You are still signed in. {NO_STORE}", status=503)
    response = RedirectResponse(address(SIGN_IN_PATH), status_code=303)
    forget_cookie(response, request, SESSION_COOKIE)
    response.headers["clear-site-data"] = '"storage"'
    return response


def refused_sign_in(request: Request, problem: str, *, status: int) -> HTMLResponse:
    """The form again, and why another way in did not lead in."""
    return _form_page(request, target=address("/"), problem=problem, status=status)


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
    fields = hidden("next", target)
    if not is_leaving:
        fields += field("Login", "login", value=login, autocomplete="username", has_focus=not login)
        fields += field("Password", "password", kind="password", autocomplete="current-password", has_focus=bool(login))
    return form_page(
        request,
        title="Sign out" if is_leaving else "Sign in",
        lead="Do you want to sign out?" if is_leaving else "Blinded reader studies",
        path=SIGN_OUT_PATH if is_leaving else SIGN_IN_PATH,
        fields=fields,
        problem=problem,
        status=status,
        after="" if is_leaving else _other_way(target),
    )


def _other_way(target: str) -> str:
    """Link to the identity provider as HTML; nothing where none is configured."""
    settings = get_settings()
    if not settings.oidc_issuer:
        return ""
    link = escape(f"{address(OPENID_PATH)}?next={quote(target, safe='')}")
    return f'<p class="other"><a href="{link}">Sign in with {escape(settings.oidc_name)}</a></p>'


@lru_cache(maxsize=1)
def _note_undeclared_proxy(ip: str) -> None:
    """Tell the operator once that everybody behind this proxy counts as one address."""
    _log.warning(
        "a sign-in came from %s with a forwarded address, which does not count: if that is your proxy, set "
        "READING_ROOM_TRUSTED_PROXIES=%s (or its network), or all its visitors share one limit of failed sign-ins",
        ip,
        ip,
    )


def routes() -> list[Route]:
    """What ``streamlit_app.py`` mounts beside Streamlit."""
    return [
        Route(address(SIGN_IN_PATH), sign_in_page, methods=["GET"]),
        Route(address(SIGN_IN_PATH), sign_in, methods=["POST"]),
        Route(address(SIGN_OUT_PATH), sign_out_page, methods=["GET"]),
        Route(address(SIGN_OUT_PATH), sign_out, methods=["POST"]),
    ]
