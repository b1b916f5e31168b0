"""A page outside Streamlit, in its looks: no address of another machine, and no script but one of ours by its hash."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template

import streamlit
from starlette.responses import HTMLResponse

from pages.door.addresses import address

_PAGE = Template((Path(__file__).parent / "plain_page.html").read_text(encoding="utf-8"))
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; font-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def plain_page(
    title: str, lead: str, *, problem: str = "", body: str = "", status: int = 200, script: str = ""
) -> HTMLResponse:
    """One card on an empty page.

    Parameters
    ----------
    title, lead, problem : str
        Texts; what is special in HTML is escaped.
    body : str
        HTML below them.
    status : int
        HTTP status.
    script : str
        A script of ours at the end, let through by its hash.
    """
    policy = _POLICY
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy, body = f"{policy}; script-src 'sha256-{digest}'", f"{body}<script>{script}</script>"
    page = _PAGE.substitute(
        title=escape(title),
        lead=escape(lead),
        problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
        body=body,
        icon=address("/favicon.png"),
        font=address(_font_path()),
    )
    return HTMLResponse(page, status_code=status, headers={"content-security-policy": policy})


def _font_path() -> str:
    """Path of the font that Streamlit ships, so that this page looks like the others."""
    fonts = sorted(
        (Path(streamlit.__file__).parent / "static" / "static" / "media").glob("SourceSansVF-Upright*.woff2")
    )
    return f"/static/media/{fonts[0].name}" if fonts else "/favicon.png"
