"""What a reader may rely on: saved means stored, once, in order, and nobody else's."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa

from core.errors import AccessError, ConflictError, InputError, NotFoundError, ReadingRoomError
from core.protocol import Arm, GoingBack, Protocol
from core.reading_order import reading_order
from core.study import Answer, Role, StudyState
from db import Repository
from db.tables import StudyMemberRow, StudyRow
from tests.db.conftest import STUDY, Room, make_cases, read_next
from tests.stores import sign_in_as


def test_the_order_is_the_seeded_one_of_this_reader_and_no_other(room: Room) -> None:
    included = [case.case for case in room.cases]
    protocol = Protocol(title="Demo")
    shown = {}
    for login, reader in (("ann", room.ann), ("ben", room.ben)):
        pixels = []
        while (presentation := reader.next_presentation(STUDY)) is not None:
            assert presentation.position == len(pixels) + 1
            assert presentation.count == len(included)
            pixels.append(reader.presentation_image(presentation.presentation_id).views[0].pixels)
            read_next(reader)
        shown[login] = [
            next(case.case for case in room.cases if np.array_equal(case.pixels, image)) for image in pixels
        ]
        expected = reading_order(included, study=STUDY, seed=protocol.order.seed, reader=login, arm=Arm.UNAIDED)
        assert shown[login] == expected
    assert shown["ann"] != shown["ben"]


def test_pixels_come_back_bit_for_bit_with_their_depth(room: Room) -> None:
    presentation = room.ann.next_presentation(STUDY)
    (image,) = room.ann.presentation_image(presentation.presentation_id).views
    assert (image.unit, image.name, image.left_side) == ("counts", "", None)
    assert image.pixels.dtype == np.uint16
    assert image.pixel_spacing_mm == 2.4
    assert any(np.array_equal(image.pixels, case.pixels) for case in room.cases)


def test_upcoming_presentations_begin_with_the_next_and_are_limited(room: Room) -> None:
    read_next(room.ann)
    upcoming = room.ann.upcoming_presentations(STUDY, limit=3)
    assert [presentation.position for presentation in upcoming] == [2, 3, 4]
    assert upcoming[0] == room.ann.next_presentation(STUDY)
    assert len(room.ann.upcoming_presentations(STUDY, limit=100)) == 5


def test_a_finished_reader_has_no_next_presentation(room: Room) -> None:
    for _ in room.cases:
        read_next(room.ann)
    assert room.ann.next_presentation(STUDY) is None
    progress = room.ann.my_progress(STUDY)
    assert (progress.n_done, progress.n_total) == (10, 10)


def test_the_same_submission_again_changes_nothing(room: Room) -> None:
    presentation = room.ann.next_presentation(STUDY)
    first = room.ann.save_reading(presentation.presentation_id, Answer("sat", 4, "why"), submit_id="s-1")
    again = room.ann.save_reading(presentation.presentation_id, Answer("sat", 4, "why"), submit_id="s-1")
    assert again == replace(first, was_already_saved=True)
    assert not first.was_already_saved
    assert room.ann.my_progress(STUDY).n_done == 1


def test_a_submission_id_cannot_carry_another_answer(room: Room) -> None:
    presentation = room.ann.next_presentation(STUDY)
    room.ann.save_reading(presentation.presentation_id, Answer("sat", 4), submit_id="s-1")
    with pytest.raises(ConflictError):
        room.ann.save_reading(presentation.presentation_id, Answer("tumor", 4), submit_id="s-1")
    assert room.ann.last_reading(STUDY).answer.class_key == "sat"


def test_a_correction_is_a_new_revision_and_the_old_one_stays(room: Room) -> None:
    first = read_next(room.ann, "sat", reading_seconds=3.5, display_state={"zoom": 2.0})
    last = room.ann.last_reading(STUDY)
    assert last.answer == Answer("sat", 3, reading_seconds=3.5, display_state={"zoom": 2.0})
    second = room.ann.save_reading(
        last.presentation.presentation_id, Answer("graves", 5), submit_id="s-2", expected_revision=last.revision
    )
    assert (first.revision, second.revision) == (1, 2)
    assert room.ann.last_reading(STUDY).answer.class_key == "graves"
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    stored = room.coordinator.readings(STUDY)
    assert [(reading.class_key, reading.is_current) for reading in stored] == [("sat", False), ("graves", True)]


def test_a_stale_revision_is_a_conflict(room: Room) -> None:
    presentation = room.ann.next_presentation(STUDY)
    read_next(room.ann)
    with pytest.raises(ConflictError, match="another window"):
        room.ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="other-tab")
    assert room.ann.last_reading(STUDY).answer.class_key == "normal"


def test_cases_are_answered_in_their_order(room: Room) -> None:
    second = room.ann.upcoming_presentations(STUDY)[1]
    with pytest.raises(ConflictError, match="not the next case"):
        room.ann.save_reading(second.presentation_id, Answer("sat", 1), submit_id="ahead")
    assert room.ann.my_progress(STUDY).n_done == 0


def test_only_the_last_answer_may_be_corrected(room: Room) -> None:
    first = read_next(room.ann)
    read_next(room.ann)
    with pytest.raises(AccessError, match="last answer"):
        room.ann.save_reading(first.presentation_id, Answer("sat", 1), submit_id="s-9", expected_revision=1)


def test_a_protocol_may_forbid_corrections(room: Room, repository) -> None:
    room.coordinator.create_study("strict", Protocol(title="Strict", going_back=GoingBack.NEVER))
    room.coordinator.import_cases("strict", make_cases(2, start=50))
    room.coordinator.add_reader("strict", "ann", cohorts=["internal"])
    room.coordinator.set_state("strict", StudyState.OPEN)
    presentation = room.ann.next_presentation("strict")
    room.ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="s-1")
    with pytest.raises(AccessError):
        room.ann.save_reading(presentation.presentation_id, Answer("tumor", 1), submit_id="s-2", expected_revision=1)


def test_another_readers_presentation_does_not_exist(room: Room) -> None:
    foreign = room.ben.next_presentation(STUDY)
    with pytest.raises(NotFoundError):
        room.ann.presentation_image(foreign.presentation_id)
    with pytest.raises(NotFoundError):
        room.ann.save_reading(foreign.presentation_id, Answer("sat", 1), submit_id="s-1")
    assert room.ben.my_progress(STUDY).n_done == 0


def test_a_study_without_me_does_not_exist(room: Room) -> None:
    room.coordinator.create_study("other", Protocol(title="Other"))
    for call in (room.ann.study, room.ann.next_presentation, room.ann.my_progress, room.ann.last_reading):
        with pytest.raises(NotFoundError):
            call("other")
    assert [study.key for study in room.ann.my_studies()] == [STUDY]


def test_nothing_is_shown_or_saved_while_the_study_is_not_open(room: Room) -> None:
    presentation = room.ann.next_presentation(STUDY)
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    with pytest.raises(AccessError, match="closed"):
        room.ann.save_reading(presentation.presentation_id, Answer("sat", 1), submit_id="late")
    with pytest.raises(AccessError, match="closed"):
        room.ann.presentation_image(presentation.presentation_id)
    with pytest.raises(AccessError, match="closed"):
        room.ann.record_shown(presentation.presentation_id)
    with pytest.raises(AccessError, match="closed"):
        room.ann.next_presentation(STUDY)
    assert room.ann.my_progress(STUDY).n_done == 0


def test_a_receipt_can_be_had_again_after_closing(room: Room) -> None:
    first = read_next(room.ann, submit_id="s-1")
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    again = room.ann.save_reading(first.presentation_id, Answer("normal", 3), submit_id="s-1")
    assert again.was_already_saved


def test_an_answer_that_will_not_do_names_its_field_and_stores_nothing(room: Room) -> None:
    presentation = room.ann.next_presentation(STUDY)
    for answer, field in (
        (Answer("nothing", 1), "class"),
        (Answer("sat", 0), "confidence"),
        (Answer("sat", 6), "confidence"),
        (Answer("sat", 1, reading_seconds=float("nan")), "reading_seconds"),
        (Answer("sat", 1, comment="x" * 5000), "comment"),
        (Answer("sat", 1, comment="a\x00b"), "comment"),
        (Answer("sat", 1, display_state={"zoom": float("nan")}), "display_state"),
        (Answer("sat", 1, display_state={"zoom": object()}), "display_state"),
        (Answer("sat", 1, display_state={"deep": json.loads("[" * 900 + "]" * 900)}), "display_state"),
        (Answer("sat", 1, display_state={"long": 10**4000}), "display_state"),
        (Answer("sat", 1, display_state={"big": "x" * 20_000}), "display_state"),
    ):
        with pytest.raises(InputError) as refused:
            room.ann.save_reading(presentation.presentation_id, answer, submit_id="s-1")
        assert refused.value.field == field
    assert room.ann.my_progress(STUDY).n_done == 0


def _at_once(*calls) -> list[object]:
    """Run calls at the same time; give their results or errors."""
    barrier = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(index: int, call) -> None:
        barrier.wait()
        try:
            results[index] = call()
        except ReadingRoomError as refused:
            results[index] = refused

    threads = [threading.Thread(target=run, args=(index, call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_two_tabs_on_one_case_one_is_saved_and_one_hears_of_the_conflict(room: Room) -> None:
    for turn in range(len(room.cases)):
        presentation = room.ann.next_presentation(STUDY)

        def save(answer: str, tab: Repository = room.ann, place: str = presentation.presentation_id, turn: int = turn):
            return lambda: tab.save_reading(place, Answer(answer, 2), submit_id=f"{turn}-{answer}")

        results = _at_once(save("sat"), save("tumor"))
        refused = [result for result in results if isinstance(result, ConflictError)]
        saved = [result for result in results if not isinstance(result, ReadingRoomError)]
        assert (len(saved), len(refused)) == (1, 1), results
        assert room.ann.my_progress(STUDY).n_done == turn + 1
        assert room.ann.last_reading(STUDY).reading_id == saved[0].reading_id


def test_one_submission_sent_twice_at_once_is_one_row_and_two_receipts(room: Room) -> None:
    for turn in range(len(room.cases)):
        presentation = room.ann.next_presentation(STUDY)

        def save(place: str = presentation.presentation_id, turn: int = turn):
            return room.ann.save_reading(place, Answer("sat", 2), submit_id=f"double-click-{turn}")

        results = _at_once(save, save)
        assert sorted(result.was_already_saved for result in results) == [False, True], results
        assert results[0].reading_id == results[1].reading_id
        assert room.ann.my_progress(STUDY).n_done == turn + 1


#: Values that SQLite would take and PostgreSQL would not, or that crash on the way.
NO_STORE_HOLDS = ("a\x00b", "\ud83d", "\x00")


def test_a_reader_withdrawn_while_an_answer_waits_for_the_study_has_no_later_answer(room: Room) -> None:
    """PostgreSQL: the answer asked who takes part before it waited."""
    if room.operator.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    place = room.ann.next_presentation(STUDY)
    assert place is not None
    found: list[object] = []

    def save() -> None:
        try:
            found.append(room.ann.save_reading(place.presentation_id, Answer("sat", 3), submit_id="late"))
        except NotFoundError as refused:
            found.append(refused)

    answering = threading.Thread(target=save)
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with room.operator.engine.connect() as withdrawing, room.operator.engine.connect() as watching:
        withdrawing.execute(sa.select(StudyRow.study_id).where(StudyRow.study_key == STUDY).with_for_update())
        answering.start()
        watching = watching.execution_options(isolation_level="AUTOCOMMIT")
        deadline = time.monotonic() + 20
        while not watching.scalar(waits) and time.monotonic() < deadline:
            time.sleep(0.02)
        of_ann = StudyMemberRow.person_id == room.ann.actor.person_id
        now = datetime(2026, 3, 1, tzinfo=UTC)
        withdrawing.execute(sa.update(StudyMemberRow).where(of_ann).values(withdrawn_at=now))
        withdrawing.commit()
    answering.join()
    assert [type(each) for each in found] == [NotFoundError]


@pytest.mark.parametrize("text", NO_STORE_HOLDS, ids=ascii)
def test_text_that_no_store_holds_is_refused_alike_on_both_engines(room: Room, text: str) -> None:
    place = room.ann.next_presentation(STUDY).presentation_id
    for deed in (
        lambda: room.ann.save_reading(place, Answer("sat", 3), submit_id=text),
        lambda: room.ann.save_reading(place, Answer("sat", 3, comment=text), submit_id="a"),
        lambda: room.ann.save_reading(place, Answer("sat", 3, display_state={"t": "\ud83d"}), submit_id="b"),
        lambda: room.ann.save_reading(text, Answer("sat", 3), submit_id="c"),
        lambda: room.ann.presentation_image(text),
        lambda: room.ann.record_shown(text),
        lambda: room.ann.my_progress(text),
        lambda: room.coordinator.create_person("eve", f"Eve {text}", Role.READER),
        lambda: room.coordinator.create_study("text", Protocol(title="T", question="\ud83d?")),
        lambda: room.coordinator.case_image(STUDY, text),
        lambda: room.coordinator.import_cases("draft", [replace(make_cases(1, start=90)[0], case=text)]),
    ):
        with pytest.raises((InputError, NotFoundError)):
            deed()
    assert room.ann.my_progress(STUDY).n_done == 0
    assert room.coordinator.verify_audit().is_intact


def test_every_case_that_was_drawn_on_a_screen_stands_in_the_trail(room: Room) -> None:
    before = len(room.coordinator.audit_trail())
    for _ in range(2):
        place = room.ann.next_presentation(STUDY)
        for later in room.ann.upcoming_presentations(STUDY):
            room.ann.presentation_image(later.presentation_id)  # fetched ahead: nobody has seen it yet
        room.ann.record_shown(place.presentation_id)
        read_next(room.ann)
    with pytest.raises(NotFoundError):
        room.ben.record_shown(place.presentation_id)
    said = [(event.actor, event.action, event.detail["position"]) for event in room.coordinator.audit_trail()[before:]]
    assert said == [
        ("ann", "case.shown", 1), ("ann", "reading.save", 1), ("ann", "case.shown", 2), ("ann", "reading.save", 2),
    ]  # fmt: skip


def test_the_same_cases_in_a_second_study_come_in_another_order(room: Room) -> None:
    room.coordinator.create_study("second", Protocol(title="Second"))
    room.coordinator.import_cases("second", make_cases(10, start=400))
    orders = []
    for key in ("second", "third"):
        if key == "third":
            room.coordinator.create_study("third", Protocol(title="Third"))
            cases = [replace(case, pixels=case.pixels + 1) for case in make_cases(10, start=400)]
            room.coordinator.import_cases("third", cases)
        room.coordinator.add_reader(key, "ann", cohorts=["internal"])
        room.coordinator.set_state(key, StudyState.OPEN)
        shown = []
        while (place := room.ann.next_presentation(key)) is not None:
            shown.append(
                tuple(room.ann.presentation_image(place.presentation_id).views[0].pixels[0] - (key == "third"))
            )
            room.ann.save_reading(place.presentation_id, Answer("sat", 3), submit_id=f"{key}-{place.position}")
        orders.append(shown)
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_a_reader_finds_own_keys_in_every_browser_and_nobody_elses(room: Room) -> None:
    keys = {"class 1": "KeyZ", "step 10": "Semicolon", "U": "KeyK"}
    room.ann.keep_reading_keys(keys)
    token = sign_in_as(room.operator.engine, room.operator.person("ann"))
    assert room.operator.actor_for_token(token).reading_keys == keys
    assert room.operator.person("ben").reading_keys == {}
    for wrong in ({"class 21": "KeyZ"}, {"Enter": "KeyZ"}, {"class 1": "Key Z"}, {"class 1": "K" * 40}, {"UU": "KeyA"},
                  {"class 1": "KeyZ", "class 2": "KeyZ"}):  # fmt: skip
        with pytest.raises(InputError):
            room.ann.keep_reading_keys(wrong)
    assert room.operator.person("ann").reading_keys == keys
    room.ann.keep_reading_keys({})
    assert room.operator.person("ann").reading_keys == {}
