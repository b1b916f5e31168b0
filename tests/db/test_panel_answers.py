"""Answers as the panel sends them, or as somebody who is no panel: where marks come to lie, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.errors import InputError
from core.protocol import Protocol
from core.study import Mark, Person, StudyState
from db import Repository
from pages.door.answers import (
    ANSWERED_ELSEWHERE,
    FINAL,
    NO_READER,
    NOT_OPEN,
    NOT_YOURS,
    PanelReceipt,
    ReceiptState,
    moved,
    read_message,
    save_answer,
)
from tests.db.conftest import Room, make_cases

KEY = "marked"
#: The pictures of this study are 4 by 5 pixels, laid on a canvas of 8 by 9.
MARGIN = 2


@pytest.fixture
def reader(room: Room) -> Repository:
    """Ann in a study of small pictures and a large one, which she has answered already where it came first."""
    room.coordinator.create_study(KEY, Protocol(title="T", has_location_mark=True))
    large = replace(make_cases(1, start=900, size=8)[0], pixels=np.ones((8, 9), np.uint16))
    room.coordinator.import_cases(KEY, [*make_cases(3, start=700), large])
    room.coordinator.add_reader(KEY, "ann", cohorts=["internal"])
    room.coordinator.set_state(KEY, StudyState.OPEN)
    first = room.ann.next_presentation(KEY)
    assert first is not None
    if room.ann.picture_boxes(first.presentation_id)[0].size == (8, 9):
        assert send(room.ann, submit_id="large").state is ReceiptState.SAVED
    return room.ann


def sent(reader: Repository, **other: Any) -> dict[str, Any]:
    """An answer to the next case, as the panel sends it."""
    place = reader.next_presentation(KEY)
    assert place is not None
    message = {
        "kind": "answer", "submit_id": "s", "presentation_id": place.presentation_id, "is_training": False,
        "expected_revision": 0, "class_key": "sat", "confidence": 3, "probabilities": None, "comment": "",
        "is_unreadable": False, "unreadable_reason": "", "marks": [], "is_typed_ahead": False, "reading_seconds": 1.5,
        "display_state": {}, "events": [["shown", 0], ["submitted", 1500]],
    }  # fmt: skip
    return {**message, **other}


def send(reader: Repository, **other: Any) -> PanelReceipt:
    return save_answer(reader, read_message(sent(reader, **other)))


def mark(x: Any, y: Any, view: Any = 1, rating: Any = None) -> dict[str, Any]:
    return {"x": x, "y": y, "view": view, "rating": rating}


@pytest.mark.parametrize(
    ("drawn", "stored"),
    [
        ((MARGIN, MARGIN), (0, 0)),
        ((MARGIN + 2.5, MARGIN + 1.5), (2.5, 1.5)),
        ((0, 8), (0, 4)),  # on the padding: the edge of the picture
        ((9, 0.5), (5, 0)),
    ],
)
def test_a_mark_lies_in_the_picture_and_comes_back_where_it_was_drawn(
    reader: Repository, drawn: tuple[float, float], stored: tuple[float, float]
) -> None:
    place = reader.next_presentation(KEY)
    assert send(reader, marks=[mark(*drawn)]).state is ReceiptState.SAVED
    saved = reader.last_reading(KEY)
    assert saved is not None
    assert saved.answer.marks == (Mark(*stored),)
    (shown,) = moved(reader, place.presentation_id, saved.answer, 1).marks
    assert (shown.x, shown.y) == (stored[0] + MARGIN, stored[1] + MARGIN)


NO_ANSWERS: dict[str, dict[str, Any]] = {
    **{
        f"a mark {name}": {"marks": [mark(*place)]}
        for name, place in {
            "far outside": (1e9, 1), "just outside": (9.1, 1), "before it": (1, -0.1),
            "at no number": (float("nan"), 1), "at infinity": (1, float("inf")),
            "in words": ("1", 1), "at true": (True, 1), "nowhere": (None, 1),
            "in view 2": (3, 3, 2), "in view 0": (3, 3, 0), "in a view in words": (3, 3, "1"), "in half": (3, 3, 1.0),
            "without an end": (10**400, 3), "rated in words": (3, 3, 1, "x"), "rated 9": (3, 3, 1, 9),
        }.items()
    },
    "too many marks": {"marks": [mark(3, 3)] * 51},
    "no marks": {"marks": 5}, "marks by name": {"marks": {"x": 1}}, "a mark that is none": {"marks": [5]},
    "another class": {"class_key": "no"}, "half a pair": {"class_key": "\ud800"}, "class 1": {"class_key": 1},
    "confidence true": {"confidence": True}, "confidence 9": {"confidence": 9},
    "a long number": {"confidence": 10**400},
    "a comment with NUL": {"comment": "\x00"}, "a comment of half a pair": {"comment": "\udfff"},
    "a long comment": {"comment": "x" * 2001}, "a reason too many": {"unreadable_reason": "moved"},
    "half a pair in the view": {"display_state": {"a": "\ud800"}},
    "half a pair as a key": {"display_state": {"\ud800": 1}},
    "NUL in the view": {"display_state": {"a": "\x00"}},
    "no number in the view": {"display_state": {"a": float("nan")}},
    "a large view": {"display_state": {"a": "x" * 20_000}}, "a view as a list": {"display_state": []},
    "no submission": {"submit_id": ""}, "a long submission": {"submit_id": "x" * 101},
    "a submission of half a pair": {"submit_id": "\ud800"}, "another place": {"presentation_id": "elsewhere"},
    "revision in words": {"expected_revision": "0"}, "revision 1": {"expected_revision": 1},
    "typed ahead": {"is_typed_ahead": True}, "probabilities": {"probabilities": [0.25] * 4},
    "no time": {"is_unreadable": True, "class_key": None, "confidence": None, "unreadable_reason": "no answer in time"},
}  # fmt: skip


def test_what_no_panel_sends_is_refused_and_nothing_is_stored(reader: Repository) -> None:
    before = reader.my_progress(KEY).n_done
    for name, other in NO_ANSWERS.items():
        try:
            receipt = send(reader, **other)
        except InputError:
            continue
        assert receipt.state is ReceiptState.REFUSED, name
        assert (receipt.code, receipt.feedback) == ("", ""), name
    assert reader.my_progress(KEY).n_done == before
    assert send(reader).state is ReceiptState.SAVED


def test_a_receipt_that_was_lost_is_given_again_after_the_study_was_closed(room: Room, reader: Repository) -> None:
    message = read_message(sent(reader, marks=[mark(3, 3)]))
    first = save_answer(reader, message)
    room.coordinator.set_state(KEY, StudyState.CLOSED)
    assert save_answer(reader, message) == first
    unsent = save_answer(reader, replace(message, submit_id="t"))
    assert (unsent.state, unsent.message) == (ReceiptState.REFUSED, NOT_OPEN)


def test_each_refusal_of_the_store_has_its_own_words(room: Room, reader: Repository) -> None:
    first = save_answer(reader, read_message(sent(reader)))
    message = read_message(sent(reader))
    last = reader.last_reading(KEY)
    message = replace(message, submit_id="t")
    assert first.state is ReceiptState.SAVED
    assert last is not None
    assert save_answer(room.ben, message).message == NOT_YOURS
    again = replace(message, presentation_id=last.presentation.presentation_id, submit_id="u")
    assert save_answer(reader, again).message == ANSWERED_ELSEWHERE
    assert save_answer(reader, replace(message, submit_id="v")).state is ReceiptState.SAVED
    assert save_answer(reader, replace(again, submit_id="w", expected_revision=1)).message == FINAL
    reads_no_more = save_answer(room.coordinator, replace(message, submit_id="x"))
    assert reads_no_more.message == NO_READER


def test_an_answer_is_its_readers_and_nobody_elses(
    room: Room, reader: Repository, repository: Callable[[Person | None], Repository]
) -> None:
    message = read_message(sent(reader, is_training=True))
    assert save_answer(room.ben, message).state is ReceiptState.REFUSED
    assert save_answer(reader, message).feedback == ""  # it is no training case, whatever the message says
    mine = room.ben.next_presentation("demo")
    stolen = replace(message, presentation_id=mine.presentation_id)  # under a submission of somebody else
    assert save_answer(room.ben, stolen).state is ReceiptState.REFUSED
    assert room.ben.my_progress("demo").n_done == 0
