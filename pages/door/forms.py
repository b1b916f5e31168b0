"""Forms on plain pages: the field with its message, and the token that ties a form to its browser."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse

from pages.door.addresses import address
from pages.door.cookies import FORM_COOKIE, set_cookie
from pages.door.plain_page import plain_page
from pages.widgets.resources import signing_key

#: When somebody who is asked to try again in a moment may do so, seconds.
_RETRY_AFTER_S = 5
#: Largest accepted form, in bytes.
MAX_FORM_BYTES = 8192


def form_page(
    request: Request,
    *,
    title: str,
    lead: str,
    path: str,
    fields: str,
    problem: str = "",
    status: int = 200,
    after: str = "",
    script: str = "",
) -> HTMLResponse:
    """A page with one form, with the cookie that its form needs.

    Parameters
    ----------
    title, lead, problem : str
        Texts; the title stands on the button too.
    path : str
        Where the form goes, of this app.
    fields, after : str
        HTML in the form and below it.
    script : str
        A script of ours, let through by its hash; nothing depends on it.
    """
    nonce = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    body = (
        f'<form method="post" action="{address(path)}" autocomplete="on">'
        f'<input type="hidden" name="form_token" value="{_form_token(nonce)}">{fields}'
        f'<button type="submit">{escape(title)}</button></form>{after}'
    )
    response = plain_page(title, lead, problem=problem, body=body, status=status, script=script)
    if status == 503:
        response.headers["retry-after"] = str(_RETRY_AFTER_S)
    set_cookie(response, request, FORM_COOKIE, nonce, seconds=3600, same_site="strict")
    return response


def field(
    label: str,
    name: str,
    *,
    value: str = "",
    kind: str = "text",
    autocomplete: str = "off",
    is_required: bool = True,
    has_focus: bool = False,
    problem: str = "",
    hint: str = "",
) -> str:
    """A labelled field as HTML, with what is wrong with it right below."""
    longest = 1024 if kind == "password" else 200
    flags = " required" * is_required + " autofocus" * has_focus + " aria-invalid=true" * bool(problem)
    below = f'<span class="wrong" role="alert">{escape(problem)}</span>' if problem else ""
    below = below or (f'<span class="hint">{escape(hint)}</span>' if hint else "")
    return (
        f'<label>{escape(label)} <input type="{kind}" name="{name}" value="{escape(value)}" '
        f'autocomplete="{autocomplete}" autocapitalize="none" spellcheck="false" maxlength="{longest}"{flags}>'
        f"{below}</label>"
    )


def hidden(name: str, value: str) -> str:
    """A field that is not shown."""
    return f'<input type="hidden" name="{name}" value="{escape(value)}">'


async def posted(request: Request) -> dict[str, str]:
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


def is_own_form(request: Request, form: dict[str, str]) -> bool:
    """Whether the form was fetched from here by this browser; that it was sent from here the middleware has seen."""
    nonce = request.cookies.get(FORM_COOKIE, "")
    return bool(nonce) and hmac.compare_digest(form.get("form_token", ""), _form_token(nonce))
