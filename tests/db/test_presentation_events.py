"""What a browser saw of a presentation that was left without an answer is kept for good, sealed and exported."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from actions.export_study import presentation_events_table
from core.errors import AccessError, ConflictError, InputError, NotFoundError
from core.study import StudyState
from db.engine import writing
from db.engine_failures import translated_failures
from tests.db.conftest import STUDY, Clock, Room, read_next

EVENTS = (("shown", 0.0), ("first", 812.4), ("covered", 3000.0))
LATER = (("uncovered", 9000.0), ("hidden", 9100.5))


def _tell(room: Room, events: tuple = EVENTS, **values: object) -> str:
    """Ann's browser tells of her next case, which stays without an answer."""
    place = room.ann.next_presentation(STUDY)
    room.ann.record_events(place.presentation_id, events, **{"draft_id": "draft", "first_event": 0, **values})
    return place.presentation_id


def test_events_of_a_case_without_an_answer_are_kept_once_and_exported(room: Room, clock: Clock) -> None:
    read_next(room.ann)
    _tell(room)
    clock.forward(seconds=7)
    _tell(room, first_event=3, events=LATER)
    _tell(room, first_event=3, events=LATER)  # the first telling was not heard of
    _tell(room, draft_id="another tab", events=(("shown", 0.0),))
    last = room.ann.last_reading(STUDY).presentation
    room.ann.record_events(last.presentation_id, EVENTS, draft_id="correction", first_event=0, revision=1)
    said = [event.detail for event in room.operator.audit_trail() if event.action == "case.events"]
    assert [detail["position"] for detail in said] == [2, 2, 2, 1]
    assert "812.4" not in json.dumps(said)  # nothing that tells more than that something was seen
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    # What the browser tells when it hears that the study was closed.
    room.ann.record_events(last.presentation_id, LATER, draft_id="correction", first_event=3, revision=1)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    with pytest.raises(AccessError, match="locked"):
        room.ann.record_events(last.presentation_id, LATER, draft_id="late", first_event=0)
    with pytest.raises(AccessError):
        room.coordinator.presentation_events(STUDY)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    table = presentation_events_table(room.coordinator, STUDY)
    found = table[["position", "revision", "draft_id", "first_event"]].to_numpy().tolist()
    assert found == [[1, 1, "correction", 0], [1, 1, "correction", 3], [2, 0, "another tab", 0], [2, 0, "draft", 0],
                     [2, 0, "draft", 3]]  # fmt: skip
    assert json.loads(table["client_events"].iloc[3]) == [list(event) for event in EVENTS]
    assert set(table["reader"]) == {"ann"}
    assert not table["is_answered"].any()
    assert room.operator.verify_audit().problems == ()


def test_an_answer_that_comes_after_all_says_so(room: Room) -> None:
    _tell(room)
    read_next(room.ann)
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(STUDY, state)
    (kept,) = room.coordinator.presentation_events(STUDY)
    assert kept.is_answered
    assert kept.client_events == EVENTS


def test_a_browser_that_tells_without_end_is_told_of_once_and_costs_no_reading(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script at a reader's desk fills no disk: neither by many small tellings nor by few large ones."""
    long = [("shown", 0.0), *(("wheel", float(ms)) for ms in range(390))]
    monkeypatch.setattr("db.repository.reading.MOST_TOLD", 5)
    for _ in range(2):
        for first in range(9):
            _tell(room, first_event=first)
    read_next(room.ann)
    monkeypatch.setattr("db.repository.reading.MOST_TOLD_CHARACTERS", 20_000)
    monkeypatch.setattr("db.repository.reading.MOST_TOLD", 200)
    for first in range(9):
        _tell(room, first_event=400 * first, events=long)
    read_next(room.ann)
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(STUDY, state)
    kept = room.coordinator.presentation_events(STUDY)
    full = [each for each in kept if each.client_events == (("left-out", None),)]
    assert [sum(each.position == position for each in kept) for position in (1, 2)] == [6, 5]
    assert [each.position for each in full] == [1, 2]
    assert room.operator.verify_audit().problems == ()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"draft_id": ""}, InputError),
        ({"draft_id": "d" * 101}, InputError),
        ({"draft_id": "d\x00"}, InputError),
        ({"draft_id": "server: full"}, InputError),
        ({"first_event": -1}, InputError),
        ({"first_event": 10**30}, InputError),
        ({"revision": 1}, InputError),  # no answer of this case was saved yet
        ({"revision": -1}, InputError),
        ({"events": ()}, InputError),
    ],
)
def test_what_no_panel_tells_is_refused(room: Room, values: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        _tell(room, **values)
    assert not [event for event in room.operator.audit_trail() if event.action == "case.events"]


def test_nobody_tells_of_the_case_of_another_or_of_one_that_comes_later(room: Room, engine: Engine) -> None:
    mine = room.ann.next_presentation(STUDY).presentation_id
    with pytest.raises(NotFoundError):
        room.ben.record_events(mine, EVENTS, draft_id="d", first_event=0)
    query = sa.text("SELECT presentation_id FROM presentation JOIN person USING (person_id) WHERE login = 'ann' "
                    "ORDER BY position DESC LIMIT 1")  # fmt: skip
    with engine.connect() as connection:
        last = connection.scalar(query)
    with pytest.raises(AccessError, match="later"):
        room.ann.record_events(last, EVENTS, draft_id="d", first_event=0)


@pytest.mark.parametrize("change", ["UPDATE presentation_event SET revision = 3", "DELETE FROM presentation_event"])
def test_events_are_append_only(room: Room, engine: Engine, change: str) -> None:
    _tell(room)
    with (
        pytest.raises(ConflictError, match="append-only"),
        translated_failures(),
        writing(engine).begin() as connection,
    ):
        connection.exec_driver_sql(change)
