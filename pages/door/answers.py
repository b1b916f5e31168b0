"""What the reading panel sends and what it is told: messages, receipts, and the saving of an answer.

Nothing in a message is trusted. Texts of a receipt name neither the case nor what stands in the store.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from core.client_events import kept_claim, read_events
from core.errors import (
    AccessError,
    ConflictError,
    FinalAnswerError,
    InputError,
    NotFoundError,
    OutsideDatesError,
    SignedOutError,
    StoreBusyError,
    StoreError,
    StudyNotOpenError,
)
from core.study import Answer, Mark
from db import Repository
from db.records import PictureBox

#: Largest accepted comment, in characters; the panel's text field has the same limit.
MAX_COMMENT_LENGTH = 2000
_MOST_HELD = 100

#: Why an answer was refused, as the panel tells it.
SIGNED_OUT = "Not saved: your sign-in has ended."
ANSWERED_ELSEWHERE = "Not saved: this case has been answered in another window, or before the page was loaded again."
NOT_YOURS = "Not saved: this case is not yours. Somebody else signed in here, or you are out of the study."
NOT_OPEN = "Not saved: the study is not open any more."
NOT_TODAY = "Not saved: this part of the study is not open today."
FINAL = "Not saved: this answer can no longer be corrected."
NO_READER = "Not saved: your account may not read just now. Load the page again, or ask the coordinator."
DOES_NOT_FIT = "Not saved: this answer does not fit the study. Please reload the page and answer again."
#: Said by the panel itself, of a request that came no further than the door.
NOT_LET_THROUGH = "Not saved: something between this page and the study refused it. Tell the coordinator."
WRONG_ADDRESS = (
    "Not saved: the server takes this page for another site's (a proxy changes Host or Origin). Tell the coordinator."
)
SET_BY_OTHERS = "Not saved: your password was set by somebody else. Load the page again and choose a new one."
REFUSALS = frozenset(
    {SIGNED_OUT, ANSWERED_ELSEWHERE, NOT_YOURS, NOT_OPEN, NOT_TODAY, FINAL, NO_READER, DOES_NOT_FIT}
    | {NOT_LET_THROUGH, WRONG_ADDRESS, SET_BY_OTHERS}
)


class ReceiptState(StrEnum):
    """What became of a message from the panel."""

    SAVED = "saved"  # on disk
    DONE = "done"  # a request that saves nothing (go back, cancel) was followed
    REFUSED = "refused"  # will never be saved; the message says why
    TRY_AGAIN = "try-again"  # not saved, and sending the same again is safe


@dataclass(frozen=True)
class PanelReceipt:
    """The server's reply to one message; ``message`` is shown to the reader."""

    submit_id: str
    state: ReceiptState
    message: str = ""
    code: str = ""  # first four digits of the id of the stored reading
    saved_at: str = ""  # ISO 8601, UTC
    feedback: str = ""  # right class of a training case, where the answer to it is complete


@dataclass(frozen=True)
class PanelMessage:
    """One message of the panel. ``answer`` is None unless ``kind`` is "answer".

    The others ask for a frame: "next" after an answer, "correct" for an earlier answer, "cancel" to leave it, "images"
    that were lost, "model" for the model's answer, "look" whether reading is over.
    """

    kind: Literal["answer", "next", "correct", "cancel", "images", "model", "look"]
    submit_id: str
    presentation_id: str
    expected_revision: int = 0
    answer: Answer | None = None
    have: frozenset[str] = frozenset()  # presentations whose images are in the browser
    is_training: bool = False  # an answer to a training case
    is_open: bool = True  # nothing stands before the case of the next frame: the model's answer may be shown
    unsaved: str = ""  # why the last answer was refused, one of REFUSALS
    number: int = 0  # by which the reader knows the case that was refused


def read_message(value: Any) -> PanelMessage:
    """Message of the panel from what the browser sent; nothing in it is trusted.

    Raises
    ------
    InputError
        If a field is missing or of the wrong type.
    """
    if not isinstance(value, dict):
        raise InputError("a message of the reading panel must be an object", value=type(value).__name__)

    def take(name: str, kind: type) -> Any:
        found = value.get(name)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise InputError("a message of the reading panel is incomplete", field=name, fix="reload the page")
        return found

    kind = take("kind", str)
    if kind not in ("answer", "next", "correct", "cancel", "images", "model", "look"):
        raise InputError("unknown message of the reading panel", field="kind", value=kind)
    answer = None
    if kind == "answer":
        comment = take("comment", str)
        if not _is_storable(comment):
            raise InputError("the comment holds characters that no store takes", field="comment")
        if len(comment) > MAX_COMMENT_LENGTH:
            raise InputError("the comment is too long", field="comment", fix=f"use {MAX_COMMENT_LENGTH} characters")
        seconds, events = kept_claim(value.get("reading_seconds"), read_events(value.get("events")))
        answer = Answer(
            class_key=_optional(value, "class_key", str),
            confidence=_optional(value, "confidence", int),
            comment=comment,
            is_unreadable=take("is_unreadable", bool),
            reading_seconds=seconds,
            display_state=take("display_state", dict),
            events=events,
            probabilities=_numbers(value.get("probabilities")),
            unreadable_reason=value.get("unreadable_reason") or "",
            marks=_marks(value.get("marks") or []),
            is_typed_ahead=value.get("is_typed_ahead") is True,
        )
        if not isinstance(answer.unreadable_reason, str) or not _is_storable(answer.unreadable_reason):
            raise InputError("the reason holds characters that no store takes", field="unreadable_reason")
    submit_id, presentation_id = take("submit_id", str), take("presentation_id", str)
    if not _is_storable(submit_id + presentation_id):
        raise InputError("a message of the reading panel has an impossible id", field="submit_id")
    revision = value.get("expected_revision", 0)
    if type(revision) is not int:
        raise InputError("a message of the reading panel is incomplete", field="expected_revision")
    have = value.get("have", [])
    if not isinstance(have, list) or len(have) > _MOST_HELD or not all(isinstance(name, str) for name in have):
        raise InputError("a message of the reading panel is incomplete", field="have")
    unsaved, number = value.get("unsaved", ""), value.get("number", 0)
    return PanelMessage(
        kind,
        submit_id,
        presentation_id,
        revision,
        answer,
        frozenset(() if kind == "images" else have),  # who asks for images has lost them
        is_training=value.get("is_training") is True,
        is_open=kind != "look" and value.get("is_open") is not False,
        unsaved=unsaved if isinstance(unsaved, str) and unsaved in REFUSALS else "",
        number=number if type(number) is int else 0,
    )


def _optional(value: dict[str, Any], name: str, kind: type) -> Any:
    """A field of a message that may be left out or null."""
    found = value.get(name)
    if found is not None and (not isinstance(found, kind) or isinstance(found, bool)):
        raise InputError("a message of the reading panel is incomplete", field=name, fix="reload the page")
    return found


def _numbers(found: Any) -> tuple[float, ...] | None:
    """Probabilities of a message; whether they fit the study is checked with the answer."""
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(each, int | float) for each in found):
        raise InputError("a message of the reading panel is incomplete", field="probabilities", fix="reload the page")
    return tuple(found)


def _marks(found: Any) -> tuple[Mark, ...]:
    """Marks of a message; whether they fit the study is checked with the answer."""
    try:
        return tuple(Mark(mark["x"], mark["y"], mark.get("rating"), mark["view"]) for mark in found)
    except (TypeError, KeyError, AttributeError) as failure:
        raise InputError("a mark is incomplete", field="marks", fix="reload the page") from failure


def _is_storable(text: str) -> bool:
    """Whether every store takes this text: no NUL, no half of a surrogate pair."""
    return not any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for sign in text)


def moved(repository: Repository, presentation_id: str, answer: Answer, way: int) -> Answer:
    """An answer whose marks are given on the padded picture (way 1) or on the picture itself (way -1)."""
    if not answer.marks:
        return answer
    boxes = repository.picture_boxes(presentation_id)
    marks = []
    for mark in answer.marks:
        box = boxes[mark.view - 1] if type(mark.view) is int and 1 <= mark.view <= len(boxes) else None
        if box is None or not _is_place(mark, box):
            return answer  # the store says so
        (row, column), (height, width) = box.origin, box.size
        x, y = mark.x + way * column, mark.y + way * row
        if way < 0:  # one on the padding is one on the edge of the picture
            x, y = min(max(0.0, x), float(width)), min(max(0.0, y), float(height))
        marks.append(replace(mark, x=x, y=y))
    return replace(answer, marks=tuple(marks))


def _is_place(mark: Mark, box: PictureBox) -> bool:
    """Whether a mark lies in what is shown; NaN lies nowhere."""
    height, width = box.shown
    return all(type(at) in (int, float) and 0 <= at <= most for at, most in ((mark.x, width), (mark.y, height)))


#: What is said of a failure; the first kind that fits counts.
_WHY: dict[type[Exception], str] = {
    ConflictError: ANSWERED_ELSEWHERE,
    NotFoundError: NOT_YOURS,
    SignedOutError: SIGNED_OUT,
    OutsideDatesError: NOT_TODAY,
    StudyNotOpenError: NOT_OPEN,
    FinalAnswerError: FINAL,
    AccessError: NO_READER,
    InputError: DOES_NOT_FIT,
}


def save_answer(repository: Repository, message: PanelMessage) -> PanelReceipt:
    """Save the answer of a message and say what became of it.

    Parameters
    ----------
    repository : Repository
        Acts for the reader who sent the message.
    message : PanelMessage
        With an answer.

    Returns
    -------
    PanelReceipt
        ``SAVED`` exists only after the commit; its code is the beginning of the reading's id in the export.
    """

    def receipt(state: ReceiptState, text: str) -> PanelReceipt:
        return PanelReceipt(message.submit_id, state, text)

    try:
        if message.answer is None:
            raise InputError("this message holds no answer", field="kind", value=message.kind)
        saved = repository.save_reading(
            message.presentation_id,
            moved(repository, message.presentation_id, message.answer, -1),
            submit_id=message.submit_id,
            expected_revision=message.expected_revision,
        )
    except StoreBusyError:
        return receipt(ReceiptState.TRY_AGAIN, "the store is busy.")
    except tuple(_WHY) as failure:
        return receipt(ReceiptState.REFUSED, next(text for kind, text in _WHY.items() if isinstance(failure, kind)))
    except StoreError:
        return receipt(ReceiptState.TRY_AGAIN, "the store is not available; tell the coordinator.")
    return PanelReceipt(
        message.submit_id,
        ReceiptState.SAVED,
        code=saved.reading_id[:4].upper(),
        saved_at=saved.saved_at.isoformat(),
        feedback=_feedback(repository, message.presentation_id) if message.is_training else "",
    )


def _feedback(repository: Repository, presentation_id: str) -> str:
    """Right class of a training case, where the answer to it is complete."""
    with suppress(AccessError, StoreError):  # a sequential case has its feedback after the second answer
        return repository.training_feedback(presentation_id).truth
    return ""
