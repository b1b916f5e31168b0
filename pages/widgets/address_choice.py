"""A choice that stands in the address, so that a link, a refresh and the back button keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

#: Options with more letters than this fill several rows of buttons.
MOST_LETTERS = 150


def choose_from_address(
    name: str,
    label: str,
    options: Sequence[str],
    default: str,
    *,
    names: Mapping[str, str] | None = None,
) -> str:
    """One of several options as a row of buttons, or a list where these are too long.

    What the address asks for and is no option counts as the default.

    Parameters
    ----------
    name : str
        Of the parameter in the address.
    label : str
        What is chosen, for those who do not see the buttons.
    options : sequence of str
        In this order.
    names : mapping, optional
        Option -> what the button says, where that differs.
    """
    key, told = f"choice {name}", f"address {name}"
    asked = st.query_params.get(name)
    if asked in options and asked != st.session_state.get(told):  # a link, or the back button
        st.session_state[key] = asked
    elif st.session_state.get(key) not in options:  # the first time, another study, or a mistyped address
        st.session_state[key] = default
    called = {option: (names or {}).get(option, option) for option in options}
    if sum(len(text) for text in called.values()) > MOST_LETTERS:
        chosen = st.selectbox(label, options, key=key, format_func=called.__getitem__, label_visibility="collapsed")
    else:
        chosen = st.segmented_control(
            label, options, required=True, key=key, format_func=called.__getitem__, label_visibility="collapsed"
        )
    chosen = str(chosen or default)
    if asked != chosen:
        st.query_params[name] = chosen
    st.session_state[told] = chosen
    return chosen
