"""What a form began with: somebody else may store something since, and a stale form must undo nobody's deed.

A form keeps what stood in the store when it was drawn, and hands it to the store with what is saved. Where the store
refuses, the form begins again with what stands there now and what was typed laid over it, so that nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import streamlit as st

S = TypeVar("S")
F = TypeVar("F")


@dataclass(frozen=True)
class Begun(Generic[S, F]):
    """One form from its first drawing until it is saved, left or begun again."""

    seen: S  # what stood in the store
    fields: F  # what the fields began with: the same, or something that is not saved yet
    key: str  # begins the keys of its widgets; another one gives every field a fresh widget
    is_unsaved: bool = False  # the fields began with something that is not saved yet


def begun_with(form: str, seen: S, fields: F, *, widget: str) -> Begun[S, F]:
    """The form as it was begun; begun now where it is new, or was left with nothing unsaved in it.

    Parameters
    ----------
    form : str
        Its name.
    seen, fields : S, F
        What stands in the store in this run, and the values of the fields that are made of it.
    widget : str
        A widget that is always drawn, with the key ``f"{begun.key} {widget}"``: Streamlit forgets it where it is left.
    """
    kept: Begun[S, F] | None = st.session_state.get(_kept(form))
    if kept is None or not (kept.is_unsaved or f"{kept.key} {widget}" in st.session_state):
        return begin_again(form, seen, fields)
    return kept


def begin_again(form: str, seen: S, fields: F, *, is_unsaved: bool = False) -> Begun[S, F]:
    """Fill every field anew."""
    rounds = f"{form} rounds"
    st.session_state[rounds] = st.session_state.get(rounds, 0) + 1
    begun = Begun(seen, fields, f"{form} {st.session_state[rounds]}", is_unsaved)
    st.session_state[_kept(form)] = begun
    return begun


def _kept(form: str) -> str:
    """In the session state: the form as it was begun."""
    return f"{form} begun"
