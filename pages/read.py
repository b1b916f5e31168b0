"""The reading screen: one blinded case at a time, and an answer that counts as saved only after the commit.

Where a reader stands is asked of the store in every run, so a refresh, another tab or a restart of the server goes on
with the same case. Answers and their receipts go by a route of their own (:mod:`pages.door.reading`) and need no run of
this script: the panel asks for one when it wants the next images. Texts shown here are this file's own: messages of
errors are for coordinators.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from core.errors import AccessError, InputError, NotFoundError, OutsideDatesError, SignedOutError, StoreError
from core.protocol import Arm, EndScreen, GoingBack
from core.study import Presentation, Role, Study, StudyState
from db import Repository
from db.records import ReadingImage, SavedReading
from pages.door.answers import PanelMessage, PanelReceipt, ReceiptState, moved, read_message
from pages.widgets.guard import UNSAVED_NOTE, requires
from pages.widgets.plain_text import plain
from pages.widgets.reading_panel import PanelCase, PanelModel, reading_panel
from pages.widgets.study_choice import choose_study, chosen_study

_RECEIPT = "reading_receipt"
_CORRECTING = "reading_correction_of"
_SHOWN = "reading_shown"  # what the panel on the screen was drawn with
_HAVE = "reading_have"  # presentations whose images the browser holds, as its last message says
_SENT = "reading_sent"  # presentations whose images were sent to this panel, and may still be on their way
_IS_OPEN = "reading_is_open"  # nothing stands before the next case, so that the model's answer may be shown
_FOLLOWED = "reading_followed"  # submit_id of the last message that was followed

#: So many of the next images are sent ahead: who answers faster than a frame comes never waits for one.
N_AHEAD = 4

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
        if shown is None:
            st.error("The study's store is not available just now. Nothing that was saved is lost.")
            st.button("Try again", help="Tell the coordinator if this stays.")
            return
        st.session_state[_SHOWN] = shown  # the panel stays, and goes on asking
        repository, study, case = shown
        reading_panel(case, study, None, {}, partial(_on_message, repository, study))


@requires(Role.READER)
def _render(repository: Repository) -> None:
    if _HAVE not in st.session_state:  # a new panel
        st.session_state.pop(_SENT, None)
    have = st.session_state.pop(_HAVE, frozenset())  # true for this run only
    is_open = st.session_state.pop(_IS_OPEN, False)
    try:
        _show_study(repository, have, is_open)
    except SignedOutError:
        raise
    except OutsideDatesError as closed:
        when = "" if closed.opens_at is None else f" It opens on {closed.opens_at:%A, %d %B %Y, %H:%M} UTC."
        st.info(f"This part of the study is not open for you today.{when} Every answer that was saved is safe.")
        _tell_unsaved()
    except AccessError:
        st.info("This study is not open for reading any more. Every answer that was saved is safe.")
        _tell_unsaved()


def _show_study(repository: Repository, have: frozenset[str], is_open: bool) -> None:
    """The next case of the study that was chosen, or why there is none; the store is asked in one transaction."""
    with repository.one_moment() as moment:
        studies = [study for study in moment.my_studies() if study.state is StudyState.OPEN]
        study = chosen_study(studies) if studies else None
        case = None if study is None else _case_to_show(moment, study)
        names = [] if case is None or study is None else _names_to_send(study, case, have, is_open)
        images = {name: moment.presentation_image(name) for name in names}
    if not studies:
        st.info("No study is open for you at the moment. The coordinator will tell you when one is.")
        _tell_unsaved()
        return
    if study is None:
        _tell_unsaved()
        _offer_choice(repository, studies)
        return
    if case is None:
        _show_end(repository, study)
        return
    if study.protocol.timeout_seconds is not None:
        for name in images:
            repository.record_sent(name)
    try:
        _draw_panel(repository, study, case, images, is_open)
    except NotFoundError:
        st.error("The model's answer to this case is missing. Please tell the coordinator; nothing was lost.")


def _names_to_send(study: Study, case: PanelCase, have: frozenset[str], is_open: bool) -> list[str]:
    """Presentations whose images the browser gets now: those that it does not hold.

    A browser that holds none gets the one to be shown, and asks for the next ones when that is drawn: on a slow line
    nobody waits for five. What was sent to this panel before is on its way, and not sent twice.

    Where the protocol limits the time for a case, its own image alone and when nothing stands before it: the time
    begins when the image is sent.
    """
    if study.protocol.timeout_seconds is not None and not is_open:
        return []
    wanted = (case.presentation, *case.ahead) if have else (case.presentation,)
    sent: set[str] = st.session_state.setdefault(_SENT, set())
    names = [each.presentation_id for each in wanted if each.presentation_id not in have | sent]
    sent.update(names)
    return names


def _draw_panel(
    repository: Repository, study: Study, case: PanelCase, images: dict[str, ReadingImage], is_open: bool
) -> None:
    """The panel, with the reply to its last message; what it sends with the first run of a session is followed too."""
    if repository.actor is not None:
        case = replace(case, reader=repository.actor.person_id, own_keys=repository.actor.reading_keys)
    if case.presentation.arm is Arm.AIDED and is_open:  # else it is asked for when the case is drawn
        case = replace(case, model=_model(repository, study, case.presentation, images))
    st.session_state[_SHOWN] = (repository, study, case)
    st.session_state.pop(UNSAVED_NOTE, None)  # the panel says itself what was not saved
    on_message = partial(_on_message, repository, study)
    sent = reading_panel(case, study, st.session_state.get(_RECEIPT), images, on_message)
    if sent is not None and sent.get("submit_id") != st.session_state.get(_FOLLOWED):
        _on_message(repository, study, sent)  # it came with the first run of a session, as after the death of a server
        st.rerun()


def _model(
    repository: Repository, study: Study, presentation: Presentation, images: dict[str, ReadingImage]
) -> PanelModel:
    """The model's answer to the case on the screen; it is asked for this case alone, and stands in the trail."""
    name = presentation.presentation_id
    shown = repository.model_answer(name)
    image = images.get(name) or repository.presentation_image(name)
    return PanelModel.of(shown, image.views, study.protocol.model_view)


def _tell_unsaved() -> None:
    """The answer that was not saved, where no panel is left to say so."""
    if note := st.session_state.get(UNSAVED_NOTE):
        st.warning(note)


def _offer_choice(repository: Repository, studies: list[Study]) -> None:
    """One button for each open study, and how far it is read."""
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        st.subheader("Which study do you want to read?")
        for study in studies:
            progress, halves = repository.my_progress(study.key), study.protocol.answers_at_once
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(plain(study.protocol.title), key=f"study {study.key}", on_click=choose_study, args=(study,))
                st.caption(f"{progress.n_done // halves} of {progress.n_total // halves} cases read")


def _case_to_show(repository: Repository, study: Study) -> PanelCase | None:
    """The answer under correction, else the next unread case, else None: all is read."""
    n_done = repository.my_progress(study.key).n_done
    n_ahead = 0 if study.protocol.timeout_seconds is not None else N_AHEAD
    upcoming = tuple(repository.upcoming_presentations(study.key, limit=1 + n_ahead))
    if (name := st.session_state.get(_CORRECTING)) is not None:
        mine = _may_correct(repository, study)
        found = [each for each in mine if each.presentation.presentation_id == name]
        if found:
            place, answer = found[0].presentation, found[0].answer
            is_not_first = any(each.presentation.position < place.position for each in mine)
            answer = moved(repository, name, answer, 1)
            return PanelCase(place, n_done, found[0].revision, answer, is_not_first, upcoming[:n_ahead])
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


def _show_end(repository: Repository, study: Study) -> None:
    """All is read: say so, and let the last answer be corrected."""
    progress = repository.my_progress(study.key)
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        st.subheader(":material/task_alt: All cases are read")
        st.write(
            f"{progress.n_done} of {progress.n_total} answers of “{plain(study.protocol.title)}” are saved. Thank you."
        )
        if (newest := repository.last_reading(study.key)) is not None:
            st.write(f"The last one has the receipt {newest.reading_id[:4].upper()}.")
        _tell_unsaved()
        st.write("Nothing is left to do here. The results of the study go to its coordinator, not to this screen.")
        if study.protocol.end_screen is EndScreen.PROGRESS:
            seconds = sum(each.answer.reading_seconds or 0.0 for each in repository.my_readings(study.key))
            st.write(f"Reading took you {_minutes(seconds)} in all.")
        last = _last(repository, study)
        if last is not None:
            st.button(
                "Correct my last answer", shortcut="U", on_click=_correct, args=(last.presentation.presentation_id,)
            )


def _minutes(seconds: float) -> str:
    """A time as a person says it."""
    minutes = round(seconds / 60)
    return "less than a minute" if minutes < 1 else "a minute" if minutes == 1 else f"{minutes} minutes"


def _correct(presentation_id: str) -> None:
    st.session_state[_CORRECTING] = presentation_id


def _on_message(repository: Repository, study: Study, value: Any) -> None:
    """Follow what the panel asks, and leave the reply for the run that comes now."""
    if value is None:
        return
    followed = value.get("submit_id") if isinstance(value, dict) else None
    is_new, st.session_state[_FOLLOWED] = followed != st.session_state.get(_FOLLOWED), followed
    try:
        message = read_message(value)
    except InputError:
        return
    st.session_state[_HAVE], st.session_state[_IS_OPEN] = message.have, message.is_open
    if is_new and message.kind in ("images", "correct", "cancel"):
        st.session_state.pop(_SENT, None)  # an image that was lost, or that the browser let go
    if message.unsaved:
        st.session_state[UNSAVED_NOTE] = (
            f"Case {message.number} was not saved{message.unsaved.removeprefix('Not saved')} Your answer is kept in "
            "this browser tab; if the case can be answered again, it comes back there as a draft."
        )
    with suppress(SignedOutError, StoreError):  # the run that comes now says so
        if message.kind in ("next", "cancel", "correct"):
            _turn(repository, study, message)
    st.session_state[_RECEIPT] = PanelReceipt(message.submit_id, ReceiptState.DONE)


def _turn(repository: Repository, study: Study, message: PanelMessage) -> None:
    """To the answer before the one on the screen, or to the next case."""
    st.session_state.pop(_CORRECTING, None)
    mine = _may_correct(repository, study) if message.kind == "correct" else []
    places = [each.presentation for each in mine]
    shown = [place.position for place in places if place.presentation_id == message.presentation_id]
    earlier = [place for place in places if not shown or place.position < shown[0]]
    if earlier:
        _correct(earlier[-1].presentation_id)
