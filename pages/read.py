"""The reading screen: one blinded case at a time, and an answer that counts as saved only after the commit.

Where a reader stands is asked of the store in every run, so a refresh, another tab or a restart of the server goes on
with the same case. While the store is out of reach the panel stays, with the answer in it. Texts shown here are this
file's own: messages of errors are for coordinators.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from core.errors import (
    AccessError,
    ConflictError,
    InputError,
    NotFoundError,
    OutsideDatesError,
    SignedOutError,
    StoreBusyError,
    StoreError,
)
from core.protocol import Arm, EndScreen, GoingBack
from core.study import Answer, Presentation, Role, Study, StudyState
from db import Repository
from db.records import ReadingImage, SavedReading
from pages.widgets.guard import UNSAVED_NOTE, requires
from pages.widgets.reading_panel import (
    PanelCase,
    PanelMessage,
    PanelModel,
    PanelReceipt,
    ReceiptState,
    case_number,
    read_message,
    reading_panel,
)
from pages.widgets.study_choice import choose_study, chosen_study

_RECEIPT = "reading_receipt"
_CORRECTING = "reading_correction_of"
_SHOWN = "reading_shown"  # what the panel on the screen was drawn with
_HAVE = "reading_have"  # presentations whose images the browser holds, as its last message says
_FEEDBACK = "reading_feedback"  # presentation and right class of a training case that was answered
_FOLLOWED = "reading_followed"  # submit_id of the last message that was followed

#: So many of the next images are sent ahead.
N_AHEAD = 2

#: The bar above is low on this screen, and the page itself never scrolls away from the image.
_STYLE = """<style>
.stAppHeader { min-height: 44px; height: 44px; }
.stMain { overflow: hidden auto; }
.stMainBlockContainer { padding-top: 56px; }
</style>"""


def render() -> None:
    """Draw the screen for the reader who is signed in."""
    st.html(_STYLE)
    shown = st.session_state.pop(_SHOWN, None)
    try:
        _render()
    except StoreError:
        _show_outage(shown)


@requires(Role.READER)
def _render(repository: Repository) -> None:
    have = st.session_state.pop(_HAVE, frozenset())  # true for this run only
    try:
        _show_study(repository, have)
    except SignedOutError:
        raise
    except OutsideDatesError as closed:
        when = "" if closed.opens_at is None else f" It opens on {closed.opens_at:%A, %d %B %Y, %H:%M} UTC."
        st.info(f"This part of the study is not open for you today.{when} Every answer that was saved is safe.")
        _tell_unsaved()
    except AccessError:
        st.info("This study is not open for reading any more. Every answer that was saved is safe.")
        _tell_unsaved()


def _show_study(repository: Repository, have: frozenset[str]) -> None:
    """The next case of the study that was chosen, or why there is none; the store is asked in one transaction."""
    with repository.one_moment() as moment:
        studies = [study for study in moment.my_studies() if study.state is StudyState.OPEN]
        study = chosen_study(studies) if studies else None
        case = None if study is None else _case_to_show(moment, study)
        wanted = [] if case is None else [case.presentation, *case.ahead]
        names = [each.presentation_id for each in wanted if each.presentation_id not in have]
        images = {name: moment.presentation_image(name) for name in names}
    if not studies:
        st.info("No study is open for you at the moment. The coordinator will tell you when one is.")
        _tell_unsaved()
        return
    if study is None:
        _tell_unsaved()
        _offer_choice(studies)
        return
    if case is None:
        _show_end(repository, study)
        return
    try:
        _draw_panel(repository, study, case, images)
    except NotFoundError:
        st.error("The model's answer to this case is missing. Please tell the coordinator; nothing was lost.")


def _draw_panel(repository: Repository, study: Study, case: PanelCase, images: dict[str, ReadingImage]) -> None:
    """The panel with the last receipt; what it was drawn with is kept for an outage."""
    case = replace(case, reader=_own_name(repository), feedback=st.session_state.pop(_FEEDBACK, None))
    if case.presentation.arm is Arm.AIDED:
        case = replace(case, model=_model(repository, study, case.presentation, images))
    st.session_state[_SHOWN] = (repository, study, case)
    st.session_state.pop(UNSAVED_NOTE, None)  # the panel says itself what was not saved
    on_message = partial(_on_message, repository, study)
    sent = reading_panel(case, study, st.session_state.get(_RECEIPT), images, on_message)
    if sent is not None and sent.get("submit_id") != st.session_state.get(_FOLLOWED):
        _on_message(repository, study, sent)  # it came with the first run of a session, as after the death of a server
        st.rerun()


def _own_name(repository: Repository) -> str:
    """What this reader's own keys are kept under in the browser."""
    return "" if repository.actor is None else repository.actor.person_id


def _model(
    repository: Repository, study: Study, presentation: Presentation, images: dict[str, ReadingImage]
) -> PanelModel:
    """The model's answer to the case on the screen; it is asked for this case alone, and stands in the trail."""
    name = presentation.presentation_id
    shown = repository.model_answer(name)
    image = images.get(name) or repository.presentation_image(name)
    return PanelModel.of(shown, study.protocol.class_keys.index(shown.class_key), image.views[0])


def _show_outage(shown: tuple[Repository, Study, PanelCase] | None) -> None:
    """The store is out of reach: an unsaved answer stays in its panel, which goes on trying."""
    receipt = st.session_state.get(_RECEIPT)
    if shown is not None and receipt is not None and receipt.state is ReceiptState.TRY_AGAIN:
        repository, study, case = shown
        st.session_state[_SHOWN] = shown
        reading_panel(case, study, receipt, {}, partial(_on_message, repository, study))
        return
    st.error("The study's store is not available just now. Nothing that was saved is lost.")
    if receipt is not None and receipt.state is ReceiptState.SAVED:
        st.write(f"Your last answer is saved, receipt {receipt.code}.")
    st.button("Try again", help="Tell the coordinator if this stays.")


def _tell_unsaved() -> None:
    """The answer that was not saved, where no panel is left to say so."""
    if note := st.session_state.get(UNSAVED_NOTE):
        st.warning(note)


def _offer_choice(studies: list[Study]) -> None:
    """One button for each open study."""
    st.subheader("Which study do you want to read?")
    for study in studies:
        st.button(study.protocol.title, key=f"study {study.key}", on_click=choose_study, args=(study,))


def _case_to_show(repository: Repository, study: Study) -> PanelCase | None:
    """The answer under correction, else the next unread case, else None: all is read."""
    n_done = repository.my_progress(study.key).n_done
    upcoming = tuple(repository.upcoming_presentations(study.key, limit=1 + N_AHEAD))
    if (name := st.session_state.get(_CORRECTING)) is not None:
        mine = _may_correct(repository, study)
        found = [each for each in mine if each.presentation.presentation_id == name]
        if found:
            place, answer = found[0].presentation, found[0].answer
            is_not_first = any(each.presentation.position < place.position for each in mine)
            answer = _moved(repository, name, answer, 1)
            return PanelCase(place, n_done, found[0].revision, answer, is_not_first, upcoming[:N_AHEAD])
        st.session_state.pop(_CORRECTING)
    if not upcoming:
        return None
    return PanelCase(upcoming[0], n_done, can_correct=_last(repository, study) is not None, ahead=upcoming[1:])


def _last(repository: Repository, study: Study) -> SavedReading | None:
    """The last answer, if it may be corrected."""
    last = repository.last_reading(study.key) if study.protocol.may_revise else None
    return last if last is not None and last.can_correct else None


def _may_correct(repository: Repository, study: Study) -> list[SavedReading]:
    """Answers that may be corrected, in the order of the cases."""
    if study.protocol.going_back is GoingBack.ANY:
        return [each for each in repository.my_readings(study.key) if each.can_correct]
    last = _last(repository, study)
    return [] if last is None else [last]


def _moved(repository: Repository, presentation_id: str, answer: Answer, way: int) -> Answer:
    """An answer whose marks are given on the padded picture (way 1) or on the picture itself (way -1)."""
    if not answer.marks:
        return answer
    views = repository.presentation_image(presentation_id).views
    marks = []
    for mark in answer.marks:
        row, column = views[mark.view - 1].origin if 1 <= mark.view <= len(views) else (0, 0)
        marks.append(replace(mark, x=max(0.0, mark.x + way * column), y=max(0.0, mark.y + way * row)))
    return replace(answer, marks=tuple(marks))


def _show_end(repository: Repository, study: Study) -> None:
    """All is read: say so, and let the last answer be corrected."""
    progress = repository.my_progress(study.key)
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        st.subheader(":material/task_alt: All cases are read")
        st.write(f"{progress.n_done} of {progress.n_total} answers of “{study.protocol.title}” are saved. Thank you.")
        receipt = st.session_state.get(_RECEIPT)
        if receipt is not None and receipt.state is ReceiptState.SAVED:
            st.write(f"The last one has the receipt {receipt.code}.")
        _tell_unsaved()
        st.write("Nothing is left to do here. The results of the study go to its coordinator, not to this screen.")
        if study.protocol.end_screen is EndScreen.PROGRESS:
            seconds = sum(each.answer.reading_seconds or 0.0 for each in repository.my_readings(study.key))
            st.write(f"Reading took you {seconds / 60:.0f} minutes in all.")
        last = _last(repository, study)
        if last is not None:
            st.button(
                "Correct my last answer", shortcut="U", on_click=_correct, args=(last.presentation.presentation_id,)
            )


def _correct(presentation_id: str) -> None:
    st.session_state[_CORRECTING] = presentation_id


def _on_message(repository: Repository, study: Study, value: Any) -> None:
    """Follow what the panel sent, and leave the receipt for the run that comes now."""
    if value is None:
        return
    st.session_state[_FOLLOWED] = value.get("submit_id") if isinstance(value, dict) else None
    try:
        message = read_message(value)
    except InputError:
        return
    st.session_state[_HAVE] = message.have
    try:
        receipt = follow_message(repository, study, message)
    except SignedOutError:
        receipt = PanelReceipt(message.submit_id, ReceiptState.REFUSED, "Not saved: your sign-in has ended.")
    st.session_state[_RECEIPT] = receipt
    if receipt.state is ReceiptState.REFUSED and message.answer is not None and _SHOWN in st.session_state:
        number = case_number(st.session_state[_SHOWN][2].presentation.position, study.protocol)
        st.session_state[UNSAVED_NOTE] = (
            f"Case {number} was not saved{receipt.message.removeprefix('Not saved')} Your answer is kept in this "
            "browser tab; if the case can be answered again, it comes back there as a draft."
        )


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
        ``SAVED`` exists only after the commit; its code is the beginning of the reading's id in the export. Texts name
        neither the case nor what stands in the store.

    Raises
    ------
    SignedOutError
        If the reader's sign-in has ended; nothing was saved.
    """
    if message.kind in ("images", "look"):  # the next run sends them, or says why the panel goes
        return PanelReceipt(message.submit_id, ReceiptState.DONE)
    if message.answer is None:
        st.session_state.pop(_CORRECTING, None)
        try:
            mine = _may_correct(repository, study) if message.kind == "correct" else []
        except StoreError:
            return PanelReceipt(message.submit_id, ReceiptState.TRY_AGAIN, "the store is not available.")
        places = [each.presentation for each in mine]
        shown = [place.position for place in places if place.presentation_id == message.presentation_id]
        earlier = [place for place in places if not shown or place.position < shown[0]]
        if earlier:
            _correct(earlier[-1].presentation_id)
        return PanelReceipt(message.submit_id, ReceiptState.DONE)
    try:
        saved = repository.save_reading(
            message.presentation_id,
            _moved(repository, message.presentation_id, message.answer, -1),
            submit_id=message.submit_id,
            expected_revision=message.expected_revision,
        )
    except StoreBusyError:
        return PanelReceipt(message.submit_id, ReceiptState.TRY_AGAIN, "the store is busy.")
    except (ConflictError, NotFoundError):
        st.session_state.pop(_CORRECTING, None)
        text = "Not saved: this case has been answered in another window, or before the page was loaded again."
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
    _keep_feedback(repository, message.presentation_id)
    return PanelReceipt(
        message.submit_id, ReceiptState.SAVED, code=saved.reading_id[:4].upper(), saved_at=saved.saved_at.isoformat()
    )


def _keep_feedback(repository: Repository, presentation_id: str) -> None:
    """For the run that comes now: the right class of a training case, where the answer to it is complete."""
    shown = st.session_state.get(_SHOWN)
    place = None if shown is None else shown[2].presentation
    if place is None or not place.is_training or place.presentation_id != presentation_id:
        return
    with suppress(AccessError, StoreError):  # a sequential case has its feedback after the second answer
        st.session_state[_FEEDBACK] = (presentation_id, repository.training_feedback(presentation_id).truth)
