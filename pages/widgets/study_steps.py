"""The way from one screen of a study to the next: links that keep the study in the address."""

from __future__ import annotations

import streamlit as st

from core.study import Study, StudyState
from pages.widgets.movement import page_of
from pages.widgets.plain_text import plain
from pages.widgets.study_choice import STUDY_PARAMETER

_STATE_BADGES = {
    StudyState.DRAFT: ":gray-badge[draft]",
    StudyState.OPEN: ":green-badge[open]",
    StudyState.CLOSED: ":orange-badge[closed]",
    StudyState.LOCKED: ":orange-badge[locked]",
    StudyState.UNSEALED: ":blue-badge[unsealed]",
}

#: Screens on which a coordinator prepares and watches a study: address, name, symbol.
_STEPS = (
    ("study", "Overview", ":material/groups:"),
    ("set-up", "Protocol", ":material/edit_note:"),
    ("cases", "Cases", ":material/perm_media:"),
    ("model", "Model", ":material/memory:"),
    ("people", "People", ":material/badge:"),
)


def state_badge(study: Study) -> str:
    """Where a study stands, as Markdown; readings made elsewhere never pass for unsealed ones."""
    return ":violet-badge[read elsewhere, not blinded here]" if study.is_read_elsewhere else _STATE_BADGES[study.state]


def study_steps(study: Study, current: str) -> None:
    """Which study this is, and a row of links to its screens; the current one is said, not linked."""
    with st.container(horizontal=True, gap="medium", key="study_steps", vertical_alignment="center"):
        st.markdown(f"**{plain(study.protocol.title)}** `{study.key}` {state_badge(study)}", width="content")
        for address, label, icon in _STEPS:
            link_to(address, label, icon=icon, study=study, is_here=address == current)


def link_to(address: str, label: str, *, icon: str, study: Study | None = None, is_here: bool = False) -> None:
    """A link to a screen that this person may open, with the study in its address."""
    page = page_of(address)
    if page is not None:
        query = {STUDY_PARAMETER: study.key} if study is not None else None
        st.page_link(page, label=label, icon=icon, query_params=query, disabled=is_here, width="content")
