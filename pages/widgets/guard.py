"""The third lock: inside every ``render``, whoever runs it and however it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st

from core.errors import InputError, ReadingRoomError, SignedOutError, StoreError
from core.study import Person, Role
from db import Repository
from pages.door.addresses import address
from pages.door.cookies import SESSION_COOKIE
from pages.door.security import SIGN_IN_PATH
from pages.widgets.resources import repository

P = ParamSpec("P")

OUTAGE = "The store is not available just now. Nothing that was saved is lost; please try again in a moment."
#: In the session state: what to tell a reader whose last answer was not saved.
UNSAVED_NOTE = "unsaved_note"


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
        @while_signed_in
        def guarded() -> None:
            person = signed_in_person()
            if person is None:
                show_signed_out()
            elif not person.roles & frozenset(roles):
                st.error("This screen is not for your role. Please use the screens in the bar above.")
            else:
                render(repository(person, cookie_token()))

        return guarded

    return decorate


def while_signed_in(draw: Callable[P, None]) -> Callable[P, None]:
    """Decorator for a screen, a dialog or a fragment: where the sign-in has ended, the app runs again and says so;
    where the store is out of reach, that is said.

    A dialog or a fragment runs without the guard of its screen, so the store is what notices.
    """

    @wraps(draw)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except SignedOutError:
            st.rerun()
        except StoreError:
            st.error(OUTAGE)

    return guarded


@contextmanager
def refusals_shown() -> Iterator[None]:
    """Show a coordinator in words what the store refuses; the end of the sign-in is for :func:`while_signed_in`."""
    try:
        yield
    except SignedOutError:
        raise
    except ReadingRoomError as error:
        st.error(str(error))


def at_the_field(error: ReadingRoomError) -> str:
    """A refusal without the name of the field, under which it stands."""
    if not isinstance(error, InputError):
        return str(error)
    text = f"{error.problem[0].upper()}{error.problem[1:]}"
    if isinstance(error.value, str | int | float) and str(error.value).strip():
        text += f" (got {error.value})"
    return f"{text}." + (f" {error.fix[0].upper()}{error.fix[1:]}." if error.fix else "")


def show_signed_out() -> None:
    """What a browser tab shows whose sign-in has ended."""
    st.subheader("You are signed out")
    st.write("Everything that was saved is safe.")
    if note := st.session_state.get(UNSAVED_NOTE):
        st.warning(note)
    link = address(SIGN_IN_PATH)
    st.html(f'<a href="{link}" target="_self" style="font-size: 1.1rem; font-weight: 600">Sign in again</a>')
