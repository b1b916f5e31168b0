"""Moving a study on: each move is asked once, in words that say what becomes final."""

from __future__ import annotations

import streamlit as st

from core.study import STATE_MOVES, Study, StudyState
from db import Repository
from pages.widgets.guard import refusals_shown, while_signed_in

_MOVES = {
    ("draft", "open"): (
        "Open for reading", ":material/lock_open:", "Open for good",
        "Readers can read from now on. Protocol, cases, reference standard, declared model and every reader's order "
        "are sealed and **cannot be changed any more**; an opened study never becomes a draft again.",
    ),
    ("closed", "open"): (
        "Open again", ":material/lock_open:", "Open again",
        "Readers can go on reading and correcting. That reading was taken up again stands in the audit trail.",
    ),
    ("open", "closed"): (
        "Close reading", ":material/do_not_disturb_on:", "Close reading",
        "Nobody can read or correct from now on; an answer that is not saved yet is lost. Results stay sealed. The "
        "study can be opened again.",
    ),
    ("closed", "locked"): (
        "Lock the readings", ":material/lock:", "Lock the readings",
        "Readings become **final**: nobody reads or corrects any more. Results stay sealed. Only with a reason, which "
        "stands in the audit trail, does a locked study become a closed one again.",
    ),
    ("locked", "closed"): (
        "Take the lock back", ":material/lock_open_right:", "Take the lock back",
        "The study is closed again and could be opened. Why, stands in the audit trail for good.",
    ),
    ("locked", "unsealed"): (
        "Unseal the results", ":material/key:", "Unseal for good",
        "From now on truth, model and readers can be compared. **This cannot be undone**; the trail keeps it.",
    ),
}  # fmt: skip


def show_state(repository: Repository, study: Study) -> None:
    """Where the study stands, and a button for each place where it may go."""
    st.subheader(f"State: {study.state}")
    moves = STATE_MOVES[study.state]
    if not moves:
        st.caption("Readings are final. Results are on the Results screen.")
    with st.container(horizontal=True):
        for move in moves:
            label, icon, _, _ = _MOVES[str(study.state), str(move)]
            if st.button(label, icon=icon, key=f"move {study.key} {move}"):
                _dialog(repository, study, move)


def _dialog(repository: Repository, study: Study, move: StudyState) -> None:
    """Ask once."""
    label, icon, _, _ = _MOVES[str(study.state), str(move)]
    asked = st.dialog(f"{label}?", icon=icon)(while_signed_in(_ask))
    asked(repository, study, move)


def _ask(repository: Repository, study: Study, move: StudyState) -> None:
    """What becomes final; a deed without return asks for the study's key, a step back for a reason."""
    _, _, deed, words = _MOVES[str(study.state), str(move)]
    st.markdown(f"**{study.protocol.title}** `{study.key}`")
    st.write(words)
    is_final = study.state is StudyState.DRAFT or move is StudyState.UNSEALED
    typed = st.text_input(f"Type the key of the study, {study.key}, to go on") if is_final else study.key
    is_back = (str(study.state), str(move)) == ("locked", "closed")
    reason = st.text_input("Reason") if is_back else ""
    if st.button(deed, type="primary"):
        if typed.strip() != study.key:
            st.error(f"This is not the key of the study: {study.key}.")
        elif is_back and not reason.strip():
            st.error("A reason is needed.")
        else:
            with refusals_shown():
                repository.set_state(study.key, move, reason=reason)
                st.rerun()
