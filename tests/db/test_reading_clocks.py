"""The panel's clock beside the server's: stored as sent, held against each other, flagged in export and analysis."""

from __future__ import annotations

import math

import pytest

from actions.analyse_study import analyse_study
from actions.export_study import readings_table
from core.study import Answer, StudyState
from pages.door.answers import read_message
from tests.db.conftest import STUDY, Clock, Room

SENT = [["dropped", -20], ["shown", 0], ["first", 900], ["hidden", 2000], ["visible", 5000], ["submitted", 9000]]


def _read(room: Room, clock: Clock, seconds: float, events: object, claimed: object, revision: int = 0) -> None:
    """Ann's next case (or her last one again) as the panel sends it, on the server's screen for some seconds."""
    place = room.ann.last_reading(STUDY).presentation if revision else room.ann.next_presentation(STUDY)
    room.ann.presentation_image(place.presentation_id)
    room.ann.record_shown(place.presentation_id)
    clock.forward(seconds=seconds)
    message = read_message(
        {
            "kind": "answer",
            "submit_id": f"{place.presentation_id[:20]}-{revision}",
            "presentation_id": place.presentation_id,
            "expected_revision": revision,
            "class_key": "sat",
            "confidence": 2,
            "comment": "",
            "is_unreadable": False,
            "reading_seconds": claimed,
            "display_state": {},
            "events": events,
        }
    )
    room.ann.save_reading(
        message.presentation_id, message.answer, submit_id=message.submit_id, expected_revision=revision
    )


def test_events_are_kept_as_sent_and_times_derived_beside_the_servers_interval(room: Room, clock: Clock) -> None:
    _read(room, clock, 9.4, SENT, 6.0)
    clock.forward(hours=3)
    _read(room, clock, 4.0, [["shown", 0], ["submitted", 3500]], 3.5, revision=1)
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    first, corrected = room.coordinator.readings(STUDY)
    assert [list(event) for event in first.client_events] == SENT
    assert (first.times.gross_seconds, first.times.active_seconds, first.times.first_seconds) == (9.0, 6.0, 0.9)
    assert first.server_seconds == pytest.approx(9.4)
    assert corrected.server_seconds == pytest.approx(4.0)  # from when the case was shown again, not for the first time
    assert not first.times.is_time_doubtful
    assert not corrected.times.is_time_doubtful


@pytest.mark.parametrize(
    ("server", "events", "claimed"),
    [
        (3.0, SENT, 6.0),  # nine seconds on a screen that the server fed for three
        (20.0, SENT, 15.0),  # more active seconds than there were
        (20.0, SENT, math.nan),
        (20.0, SENT, 1e308),
        (20.0, SENT, 10**400),
        (20.0, SENT, -1),
        (20.0, SENT, 0),
        (20.0, SENT, "six"),
        (200_000.0, None, 100_000.0),  # a screen left on over the weekend
        (20.0, [["shown", 0], ["submitted", math.inf]], 6.0),
        (20.0, [["submitted", 10**400], None, "x", ["\ud800", 3]], 6.0),
        (20.0, "events", 6.0),
    ],
)
def test_no_clock_costs_a_reading_and_each_impossible_one_is_flagged(
    room: Room, clock: Clock, server: float, events: object, claimed: object
) -> None:
    _read(room, clock, server, events, claimed)
    _read(room, clock, 9.5, SENT, 6.0)
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    assert room.coordinator.verify_audit().is_intact
    table = readings_table(room.coordinator, STUDY)
    assert list(table["is_time_doubtful"]) == [True, False]
    ann = analyse_study(room.coordinator, STUDY).to_tables()["reading_times"]
    assert ann.loc[ann["answer"] == "all", "value"].tolist() == [6.0]


def test_an_answer_typed_ahead_of_its_image_is_flagged_in_export_and_analysis(room: Room, clock: Clock) -> None:
    _read(room, clock, 9.5, [["typed-ahead", -35], *SENT[1:]], 6.0)
    _read(room, clock, 9.5, SENT, 6.0)  # what was dropped is no part of the answer
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    assert list(readings_table(room.coordinator, STUDY)["is_typed_ahead"]) == [True, False]
    data = room.coordinator.study_data(STUDY)
    assert list(data.readings["is_typed_ahead"]) == [True, False]
    said = analyse_study(room.coordinator, STUDY).to_tables()["missing"]["notes"]
    assert any("1 of 2 answers were typed before their image was drawn" in note for note in said)


def test_a_reading_without_a_record_of_sending_stands_as_claimed(room: Room) -> None:
    place = room.ann.next_presentation(STUDY)
    room.ann.save_reading(place.presentation_id, Answer("sat", 3, reading_seconds=7.5), submit_id="old")
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    row = readings_table(room.coordinator, STUDY).iloc[0]
    assert (row["active_seconds"], row["server_seconds"], row["is_time_doubtful"]) == (7.5, None, False)
