"""The reading screen: one blinded case at a time, and an answer that counts as saved only after the commit.

Where a reader stands is asked of the store in every run, so a refresh, another tab or a restart of the server goes on
with the same case. Texts shown here are this file's own: messages of errors are for coordinators.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import streamlit as st

from core.errors import (
    AccessError,
    ConflictError,
    InputError,
    NotFoundError,
    SignedOutError,
    StoreBusyError,
    StoreError,
)
from core.study import Arm, Role, Study, StudyState
from db import Repository
from pages.widgets.guard import requires
from pages.widgets.reading_panel import (
    PanelCase,
    PanelMessage,
    PanelReceipt,
    ReceiptState,
    read_message,
    reading_panel,
)
from pages.widgets.study_choice import choose_study, chosen_study

_RECEIPT = "reading_receipt"
_CORRECTING = "reading_correction_of"


@requires(Role.READER)
def render(repository: Repository) -> None:
    """Draw the screen for the reader who is signed in."""
    try:
        _render(repository)
    except SignedOutError:
        raise
    except AccessError:
        st.info("This study is not open for reading any more. Every answer that was saved is safe.")
    except StoreError:
        st.error(
            "The study's store is not available just now. Nothing that was saved is lost. "
            "Please reload the page in a moment, and tell the coordinator if this stays."
        )


def _render(repository: Repository) -> None:
    studies = [study for study in repository.my_studies() if study.state is StudyState.OPEN]
    if not studies:
        st.info("No study is open for you at the moment. The coordinator will tell you when one is.")
        return
    study = chosen_study(studies)
    if study is None:
        _offer_choice(studies)
        return
    case = _case_to_show(repository, study)
    if case is None:
        _show_end(repository, study)
        return
    if case.presentation.arm is not Arm.UNAIDED:
        st.error("This part of the study shows the model's answer, which this version does not do yet.")
        return
    reading_panel(case, study.protocol, st.session_state.get(_RECEIPT), partial(_on_message, repository, study))


def _offer_choice(studies: list[Study]) -> None:
    """One button for each open study."""
    st.subheader("Which study do you want to read?")
    for study in studies:
        st.button(study.protocol.title, key=f"study {study.key}", on_click=choose_study, args=(study,))


def _case_to_show(repository: Repository, study: Study) -> PanelCase | None:
    """The answer under correction, else the next unread case, else None: all is read."""
    progress = repository.my_progress(study.key)
    last = repository.last_reading(study.key) if study.protocol.may_revise else None
    if last is not None and st.session_state.get(_CORRECTING) == last.presentation.presentation_id:
        image = repository.presentation_image(last.presentation.presentation_id)
        return PanelCase(last.presentation, image.pixels, progress.n_done, last.revision, last.answer, can_correct=True)
    st.session_state.pop(_CORRECTING, None)
    presentation = repository.next_presentation(study.key)
    if presentation is None:
        return None
    image = repository.presentation_image(presentation.presentation_id)
    return PanelCase(presentation, image.pixels, progress.n_done, can_correct=last is not None)


def _show_end(repository: Repository, study: Study) -> None:
    """All is read: say so, and let the last answer be corrected."""
    progress = repository.my_progress(study.key)
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        st.subheader(":material/task_alt: All cases are read")
        st.write(f"{progress.n_done} of {progress.n_total} answers of “{study.protocol.title}” are saved. Thank you.")
        st.write("Results are shown after the coordinator has closed and unsealed the study.")
        last = repository.last_reading(study.key)
        if study.protocol.may_revise and last is not None:
            st.button(
                "Correct my last answer", shortcut="U", on_click=_correct, args=(last.presentation.presentation_id,)
            )


def _correct(presentation_id: str) -> None:
    st.session_state[_CORRECTING] = presentation_id


def _on_message(repository: Repository, study: Study, value: Any) -> None:
    """Follow what the panel sent, and leave the receipt for the run that comes now."""
    if value is None:
        return
    try:
        message = read_message(value)
    except InputError:
        return
    # The run that comes now says that the sign-in has ended; the panel keeps the answer as "not saved".
    with suppress(SignedOutError):
        st.session_state[_RECEIPT] = follow_message(repository, study, message)


def follow_message(repository: Repository, study: Study, message: PanelMessage) -> PanelReceipt:
    """Do what a message of the panel asks and say what became of it.

    Parameters
    ----------
    repository : Repository
        Acts for the reader who sent the message.
    study : Study
        The study on the screen.
    message : PanelMessage
        An answer, or a wish to correct the last one or to leave the correction.

    Returns
    -------
    PanelReceipt
        ``SAVED`` exists only after the commit. Texts name neither the case nor what stands in the store.

    Raises
    ------
    SignedOutError
        If the reader's sign-in has ended; nothing was saved.
    """
    if message.answer is None:
        st.session_state.pop(_CORRECTING, None)
        try:
            last = repository.last_reading(study.key) if message.kind == "correct" else None
        except StoreError:
            return PanelReceipt(message.submit_id, ReceiptState.REFUSED, "The store is busy. Please try again.")
        if last is not None:
            _correct(last.presentation.presentation_id)
        return PanelReceipt(message.submit_id, ReceiptState.DONE, "")
    try:
        saved = repository.save_reading(
            message.presentation_id,
            message.answer,
            submit_id=message.submit_id,
            expected_revision=message.expected_revision,
        )
    except StoreBusyError:
        return PanelReceipt(message.submit_id, ReceiptState.TRY_AGAIN, "the store is busy.")
    except (ConflictError, NotFoundError):
        st.session_state.pop(_CORRECTING, None)
        text = "Not saved: this case was answered in another window before. Here is the case that comes next."
        return PanelReceipt(message.submit_id, ReceiptState.REFUSED, text)
    except SignedOutError:
        raise
    except AccessError:
        text = "Not saved: the study is not open any more, or this answer can no longer be corrected."
        return PanelReceipt(message.submit_id, ReceiptState.REFUSED, text)
    except InputError:
        text = "Not saved: this answer does not fit the study. Please reload the page and answer again."
        return PanelReceipt(message.submit_id, ReceiptState.REFUSED, text)
    except StoreError:
        return PanelReceipt(
            message.submit_id, ReceiptState.TRY_AGAIN, "the store is not available; tell the coordinator."
        )
    st.session_state.pop(_CORRECTING, None)
    text = "Saved." if saved.revision == 1 else "Correction saved."
    return PanelReceipt(message.submit_id, ReceiptState.SAVED, text)
