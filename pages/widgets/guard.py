"""The third lock: inside every ``render``, whoever runs it and however it was reached."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import streamlit as st

from core.study import Person, Role
from db import Repository
from pages.door.security import SESSION_COOKIE, SIGN_IN_PATH
from pages.widgets.resources import repository


def signed_in_person() -> Person | None:
    """Who is behind this run: looked up in the store each time, so that a sign-out elsewhere counts at once."""
    token = cookie_token()
    return repository(None).actor_for_token(token) if token else None


def cookie_token() -> str | None:
    """Token of the sign-in whose browser opened this run's websocket."""
    return st.context.cookies.get(SESSION_COOKIE)


def requires(*roles: Role) -> Callable[[Callable[[Repository], None]], Callable[[], None]]:
    """Decorator for ``render(repository)``: runs it for these roles only, with a repository that acts for the person.

    Parameters
    ----------
    *roles : Role
        Who may see the screen; at least one.
    """

    def decorate(render: Callable[[Repository], None]) -> Callable[[], None]:
        @wraps(render)
        def guarded() -> None:
            person = signed_in_person()
            if person is None:
                show_signed_out()
            elif person.role not in roles:
                st.error("This screen is not for your role. Please use the screens in the bar above.")
            else:
                render(repository(person))

        return guarded

    return decorate


def show_signed_out() -> None:
    """What a browser tab shows whose sign-in has ended."""
    st.subheader("You are signed out")
    st.write("Everything that was saved is safe.")
    st.html(f'<a href="{SIGN_IN_PATH}" target="_self" style="font-size: 1.1rem; font-weight: 600">Sign in again</a>')
