"""Going from one screen to another by its address, without one screen importing another."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.navigation.page import StreamlitPage

_STATE_KEY = "pages_of_this_run"


def remember_pages(pages: Mapping[str, StreamlitPage]) -> None:
    """Keep the pages that this person may open, by address; called by the navigation in every run."""
    st.session_state[_STATE_KEY] = dict(pages)


def page_of(address: str) -> StreamlitPage | None:
    """The page of an address, for a link; None if this person has no such screen."""
    page: StreamlitPage | None = st.session_state.get(_STATE_KEY, {}).get(address)
    return page


def go_to(address: str, study_key: str | None = None, **more: str) -> None:
    """Open a screen; ends this run. Does nothing if this person has no such screen.

    Parameters
    ----------
    **more : str
        Further parameters of its address.
    """
    page = page_of(address)
    if page is not None:
        st.switch_page(page, query_params={**({"study": study_key} if study_key else {}), **more})
