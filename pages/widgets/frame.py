"""What stands around every screen: compact margins, and one line at the foot of the page."""

from __future__ import annotations

from html import escape

import streamlit as st

from core.study import Person, Role
from pages.door.addresses import address
from pages.door.security import PASSWORD_PATH, SIGN_OUT_PATH

_STYLE = """<style>
.stMainBlockContainer { max-width: none; padding: 4.1rem 1.25rem 2.6rem; }
.stAppHeader { background: #121417; }
.room-foot { position: fixed; inset: auto 0 0 0; z-index: 99; display: flex; gap: 18px; align-items: center;
  height: 30px; padding: 0 20px; background: #0d0f11; border-top: 1px solid #343a41; color: #b3bac2; font-size: 13px; }
.room-foot b { color: #eef0f2; font-weight: 600; }
.room-foot .synthetic { padding: 0 9px; border-radius: 9px; background: #ffd166; color: #14171a; font-weight: 600; }
.room-foot .who { margin-left: auto; }
.room-foot a { color: #8ec5ff; }
button[data-variant=segmented_control][aria-checked=true] { background: #2b74c0; border-color: #2b74c0; }
button[data-variant=segmented_control][aria-checked=true] p { color: #fff; font-weight: 600; }
</style>"""
#: Streamlit's own menu offers to record and to print the screen: not during a blinded reading.
_NO_MENU = "<style>[data-testid=stMainMenu] { display: none; }</style>"


def draw_frame(person: Person | None, *, is_synthetic: bool = False) -> None:
    """Margins and the foot line: research use only, synthetic data, who is signed in, sign out."""
    parts = ["<span><b>Research use only.</b> Not for diagnosis.</span>"]
    if is_synthetic:
        parts.append('<span class="synthetic">Synthetic data</span>')
    if person is not None:
        parts.append(
            f'<span class="who">{escape(person.display_name)} · {_roles(person)} · '
            f'<a href="{address(PASSWORD_PATH)}" target="_self">Password</a> · '
            f'<a href="{address(SIGN_OUT_PATH)}" target="_self">Sign out</a></span>'
        )
    menu = "" if person is not None and Role.READER not in person.roles else _NO_MENU
    st.html(_STYLE + menu + f'<footer class="room-foot">{"".join(parts)}</footer>')


def _roles(person: Person) -> str:
    """What the person is, in this installation and in studies."""
    return ", ".join(role.value for role in Role if role in person.roles)
