"""Sign-in and sign-out: two plain pages outside Streamlit, because only an HTTP answer can set an HttpOnly cookie."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread
import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core.errors import AccessError, StoreError
from core.settings import get_settings
from pages.door.security import SESSION_COOKIE, SIGN_IN_PATH, SIGN_OUT_PATH, session_token
from pages.widgets.resources import repository, signing_key

#: Cookie that ties a form to the browser that fetched it.
FORM_COOKIE = "reading_room_form"
#: Largest accepted form, in bytes.
MAX_FORM_BYTES = 8192

#: One password hash takes 64 MiB; more at once would let anybody fill the memory.
_hashing = anyio.CapacityLimiter(2)
_PAGE = Template((Path(__file__).parent / "sign_in.html").read_text(encoding="utf-8"))
_FIELDS = """<label>Login <input type="text" name="login" value="" autocomplete="username" autocapitalize="none"
 spellcheck="false" maxlength="200" required autofocus></label>
<label>Password <input type="password" name="password" autocomplete="current-password" maxlength="1024"
 required></label>"""
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def safe_target(text: str | None) -> str:
    """Address inside this app to go to after the sign-in; the start page for anything else."""
    if text and re.fullmatch(r"/(?!/)[A-Za-z0-9_/-]*(\?[A-Za-z0-9_=&%.+-]*)?", text):
        return text if not text.startswith((SIGN_IN_PATH, SIGN_OUT_PATH)) else "/"
    return "/"


async def sign_in_page(request: Request) -> Response:
    """The form; somebody who is signed in already goes on."""
    target = safe_target(request.query_params.get("next"))
    token = session_token(request.headers)
    if token is not None and await anyio.to_thread.run_sync(repository(None).actor_for_token, token) is not None:
        return RedirectResponse(target, status_code=303)
    return _form_page(request, target=target)


async def sign_in(request: Request) -> Response:
    """Check the password, set the cookie, go on."""
    form = await _form(request)
    target = safe_target(form.get("next"))
    if not _is_own_form(request, form):
        return _form_page(request, target=target, problem="This form was too old. Please try again.", status=403)
    ip = request.client.host if request.client else "unknown"
    store = repository(None)
    try:
        token = await anyio.to_thread.run_sync(
            store.authenticate, form.get("login", "").strip(), form.get("password", ""), ip, limiter=_hashing
        )
    except AccessError as error:
        return _form_page(request, target=target, problem=str(error), status=401)
    except StoreError:
        problem = "The store is not available just now. Please try again in a moment."
        return _form_page(request, target=target, problem=problem, status=503)
    earlier = session_token(request.headers)
    if earlier is not None:
        await anyio.to_thread.run_sync(store.sign_out, earlier)
    response = RedirectResponse(target, status_code=303)
    _set_cookie(response, SESSION_COOKIE, token, seconds=int(get_settings().session_hours * 3600), same_site="lax")
    response.delete_cookie(FORM_COOKIE, path="/")
    return response


async def sign_out_page(request: Request) -> Response:
    """Sign out when the link of this app was followed; ask first when another site sent the browser here."""
    if request.headers.get("sec-fetch-site") == "same-origin":
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
    if token is not None:
        await anyio.to_thread.run_sync(repository(None).sign_out, token)
    response = RedirectResponse(SIGN_IN_PATH, status_code=303)
    response.delete_cookie(SESSION_COOKIE, path="/")
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
    """Whether the form was fetched from here by this browser, and sent from here."""
    nonce = request.cookies.get(FORM_COOKIE, "")
    origin = request.headers.get("origin")
    is_same_origin = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    return bool(nonce) and is_same_origin and hmac.compare_digest(form.get("form_token", ""), _form_token(nonce))


def _form_page(
    request: Request, *, target: str = "/", problem: str = "", status: int = 200, is_leaving: bool = False
) -> HTMLResponse:
    """The page, with the cookie that its form needs."""
    nonce = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    page = _PAGE.substitute(
        title="Sign out" if is_leaving else "Sign in",
        lead="Do you want to sign out?" if is_leaving else "Blinded reader studies",
        problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
        action=SIGN_OUT_PATH if is_leaving else SIGN_IN_PATH,
        form_token=_form_token(nonce),
        next=escape(target),
        fields="" if is_leaving else _FIELDS,
        font=_font_address(),
    )
    response = HTMLResponse(page, status_code=status, headers={"content-security-policy": _POLICY})
    _set_cookie(response, FORM_COOKIE, nonce, seconds=3600, same_site="strict")
    return response


def _set_cookie(response: Response, name: str, value: str, *, seconds: int, same_site: str) -> None:
    """One HttpOnly cookie with the settings' idea of https."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="strict" if same_site == "strict" else "lax",
        secure=get_settings().is_cookie_secure,
    )


def _font_address() -> str:
    """Address of the font that Streamlit ships, so that this page looks like the others."""
    fonts = sorted(
        (Path(streamlit.__file__).parent / "static" / "static" / "media").glob("SourceSansVF-Upright*.woff2")
    )
    return f"/static/media/{fonts[0].name}" if fonts else ""


#: What ``streamlit_app.py`` mounts beside Streamlit.
ROUTES = [
    Route(SIGN_IN_PATH, sign_in_page, methods=["GET"]),
    Route(SIGN_IN_PATH, sign_in, methods=["POST"]),
    Route(SIGN_OUT_PATH, sign_out_page, methods=["GET"]),
    Route(SIGN_OUT_PATH, sign_out, methods=["POST"]),
]
