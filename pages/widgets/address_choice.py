"""A choice that stands in the address, so that a link, a refresh and the back button keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st


def choose_from_address(
    name: str,
    label: str,
    options: Sequence[str],
    default: str,
    *,
    names: Mapping[str, str] | None = None,
) -> str:
    """One of several options as a row of buttons; what the address asks for and is no option counts as the default.

    Parameters
    ----------
    name : str
        Of the parameter in the address, and of the widget.
    label : str
        What is chosen, for those who do not see the buttons.
    options : sequence of str
        In this order.
    names : mapping, optional
        Option -> what the button says, where that differs.
    """
    if st.session_state.get(name) not in options:  # of another study, or a mistyped address
        st.session_state.pop(name, None)
        if st.query_params.get(name) not in options:
            st.query_params.pop(name, None)
    chosen = st.segmented_control(
        label,
        options,
        default=default,
        required=True,
        key=name,
        bind="query-params",
        format_func=lambda option: (names or {}).get(option, option),
        label_visibility="collapsed",
    )
    return str(chosen or default)
