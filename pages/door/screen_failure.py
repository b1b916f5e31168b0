"""What is shown when a screen fails in a way that nobody foresaw: no path, no name, no word of the error itself."""

from __future__ import annotations

import logging

import streamlit as st

from core.errors import SignedOutError
from pages.widgets.guard import show_signed_out

_log = logging.getLogger("reading_room")


def show_failure(error: Exception) -> bool:
    """Log the error for the operator and show a neutral text; True tells Streamlit to show nothing of its own."""
    if isinstance(error, SignedOutError):
        show_signed_out()
        return True
    _log.error("a screen failed", exc_info=error)
    st.error(
        "This screen could not be shown. Nothing that was saved is lost. Please reload the page; "
        "if this stays, tell the person who runs this server."
    )
    return True
