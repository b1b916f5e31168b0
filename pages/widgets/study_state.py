"""Moving a study on: each move is asked once, in words that say what becomes final."""

from __future__ import annotations

import streamlit as st

from actions.open_study import open_study, opening_checklist
from actions.seal_record import seal_record_html
from core.study import STATE_MOVES, Study, StudyState
from db import Repository
from db.records import CheckState
from pages.widgets.begun import begun_with
from pages.widgets.guard import refusals_shown, while_signed_in
from pages.widgets.plain_text import plain

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
    if study.state is not StudyState.DRAFT:
        st.download_button(
            "Seal record", seal_record_html(repository.seal_record(study.key)), f"{study.key}-seal-record.html",
            "text/html", on_click="ignore", icon=":material/verified:",
            help="what was committed to at the opening, to be deposited outside of this institution's hands",
        )  # fmt: skip
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
    if study.state is StudyState.DRAFT:
        st.dialog(f"{label}?", icon=icon, width="medium")(while_signed_in(_ask_to_open))(repository, study)
    else:
        st.dialog(f"{label}?", icon=icon)(while_signed_in(_ask))(repository, study, move)


def _ask_to_open(repository: Repository, study: Study) -> None:
    """The checklist, a reason for each of its warnings, and the key: then the study is opened for good."""
    _, _, deed, words = _MOVES["draft", "open"]
    st.markdown(f"**{plain(study.protocol.title)}** `{study.key}`")
    st.write(words)
    items = opening_checklist(repository, study.key)
    shown = begun_with(f"opening {study.key} {study.protocol_version}", tuple(items), None, widget="typed")
    blocking = [item for item in items if item.state is CheckState.BLOCKING]
    for item in blocking:
        st.error(f"{plain(item.text)}. {plain(item.detail)}", icon=":material/block:")
    if blocking:
        st.write("This blocks the opening. Mend it, then open.")
        return
    reasons = {}
    for item in items:
        if item.state is CheckState.WARNING:
            st.markdown(f":orange[:material/warning:] **{plain(item.text)}** {plain(item.detail)}")
            reasons[item.key] = st.text_input(f"Why it is opened all the same: {item.key}", key=f"why {item.key}")
    n_right = sum(item.state is CheckState.OK for item in items)
    st.caption(f"{n_right} points of the checklist are right. Reasons stand in the audit trail and in the report.")
    typed = st.text_input(f"Type the key of the study, {study.key}, to go on", key=f"{shown.key} typed")
    if st.button(deed, type="primary"):
        lacking = [key for key, reason in reasons.items() if not reason.strip()]
        if lacking:
            st.error(f"A reason is missing for: {', '.join(lacking)}.")
        elif typed.strip() != study.key:
            st.error(f"This is not the key of the study: {study.key}.")
        else:
            with refusals_shown():
                open_study(
                    repository, study.key, typed_key=typed, acknowledged=reasons, seen=study, seen_items=shown.seen
                )
                st.rerun()


def show_checklist(repository: Repository, study: Study) -> None:
    """What must be right before the study is opened."""
    marks = {
        CheckState.OK: ":green[:material/check_circle:]",
        CheckState.WARNING: ":orange[:material/warning:]",
        CheckState.BLOCKING: ":red[:material/block:]",
    }
    items = opening_checklist(repository, study.key)
    n_open = sum(item.state is not CheckState.OK for item in items)
    with st.expander(
        f"Checklist: {n_open} of {len(items)} points are open", icon=":material/checklist:", expanded=True
    ):
        for item in sorted(items, key=lambda each: list(marks).index(each.state), reverse=True):
            detail = f" :gray[{plain(item.detail)}]" if item.detail else ""
            st.markdown(f"{marks[item.state]} {plain(item.text)}.{detail}")
        st.caption("A red point blocks the opening; an orange one needs a reason, which stands in the audit trail.")


def _ask(repository: Repository, study: Study, move: StudyState) -> None:
    """What becomes final; a deed without return asks for the study's key, a step back for a reason."""
    _, _, deed, words = _MOVES[str(study.state), str(move)]
    st.markdown(f"**{plain(study.protocol.title)}** `{study.key}`")
    st.write(words)
    is_final = move is StudyState.UNSEALED
    typed = st.text_input(f"Type the key of the study, {study.key}, to go on") if is_final else study.key
    is_back = (str(study.state), str(move)) == ("locked", "closed")
    why = "Reason, only if what was sealed was changed meanwhile" if is_final else "Reason"
    reason = st.text_input(why) if is_back or is_final else ""
    if st.button(deed, type="primary"):
        if typed.strip() != study.key:
            st.error(f"This is not the key of the study: {study.key}.")
        elif is_back and not reason.strip():
            st.error("A reason is needed.")
        else:
            with refusals_shown():
                repository.set_state(study.key, move, reason=reason, seen=study)
                st.rerun()
