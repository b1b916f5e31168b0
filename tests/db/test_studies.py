"""The coordinator's study: states, protocol versions, members, progress."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import ConflictError, InputError, NotFoundError
from core.protocol import THYROID_CLASSES, Arm, Design, GoingBack, Protocol, ReadingOrder, Scale
from core.reading_order import READING_ORDER_ALGORITHM, reading_order
from core.study import STATE_MOVES, Role, StudyState
from db import CasePrediction
from db.protocols import protocol_from_json, protocol_to_json
from db.tables import ProtocolVersionRow
from tests.db.conftest import STUDY, Clock, Room, make_cases, read_next

PROTOCOL = Protocol(
    title="Näme",
    question="Which?",
    classes=THYROID_CLASSES[:3],
    design=Design.CROSSOVER,
    scale=Scale(words=("low", "high")),
    going_back=GoingBack.NEVER,
    order=ReadingOrder(seed=2**62),
)


def test_a_protocol_comes_back_as_it_was_stored(room: Room) -> None:
    assert protocol_from_json(protocol_to_json(PROTOCOL)) == PROTOCOL
    declared = replace(PROTOCOL, model_sha256="0f" * 32)
    assert protocol_from_json(protocol_to_json(declared)) == declared
    made = room.coordinator.create_study("second", PROTOCOL, is_synthetic=True)
    assert made == room.coordinator.study("second")
    assert (made.protocol, made.protocol_version, made.state) == (PROTOCOL, 1, StudyState.DRAFT)
    assert made.is_synthetic
    assert made.created_at.tzinfo is not None


def test_a_protocol_stored_before_a_field_existed_still_loads(room: Room, engine: Engine) -> None:
    with engine.begin() as connection:
        stored = connection.execute(sa.select(ProtocolVersionRow.protocol)).scalar_one()
        del stored["model_sha256"]
        connection.execute(sa.update(ProtocolVersionRow).values(protocol=stored))
    assert room.coordinator.study(STUDY).protocol == Protocol(title="Demo")
    assert room.ann.study(STUDY).protocol.model_sha256 is None


def test_the_declared_model_is_a_registered_one_and_is_fixed_once_the_study_opens(room: Room) -> None:
    sha256 = "ab" * 32
    protocol = Protocol(title="T", model_sha256=sha256)
    with pytest.raises(NotFoundError, match="register it first"):
        room.coordinator.create_study("second", protocol)
    assert [study.key for study in room.coordinator.studies()] == [STUDY]
    room.coordinator.create_study("second", Protocol(title="T"))
    room.coordinator.import_cases("second", make_cases(2, start=30))
    with pytest.raises(NotFoundError, match="register it first"):
        room.coordinator.update_protocol("second", protocol)
    assert room.coordinator.study("second").protocol_version == 1
    room.coordinator.register_model(sha256=sha256, name="fold", architecture="net", path="x", metadata={})
    declared = room.coordinator.update_protocol("second", protocol)
    assert (declared.protocol, declared.protocol_version) == (protocol, 2)
    event = room.coordinator.audit_trail("second")[-1]
    assert (event.action, event.detail["version"]) == ("study.protocol", 2)
    assert event.detail["protocol"]["model_sha256"] == sha256
    with pytest.raises(ConflictError, match="has not predicted all of internal"):
        room.coordinator.set_state("second", StudyState.OPEN)
    likely = np.array([0.7, 0.1, 0.1, 0.1])
    answers = [CasePrediction(case.case, likely, 0.5, False, "cpu", "fp32") for case in make_cases(2, start=30)]
    room.coordinator.save_predictions("second", sha256, answers)
    room.coordinator.set_state("second", StudyState.OPEN)
    with pytest.raises(ConflictError):
        room.coordinator.update_protocol("second", Protocol(title="T", model_sha256=None))
    assert room.coordinator.study("second").is_declared(sha256)
    assert room.coordinator.verify_audit().is_intact


def test_only_the_moves_of_the_state_table_are_possible(room: Room) -> None:
    """Every pair of states, on studies that stand in each of them."""
    ways = {
        StudyState.DRAFT: (),
        StudyState.OPEN: (StudyState.OPEN,),
        StudyState.CLOSED: (StudyState.OPEN, StudyState.CLOSED),
        StudyState.LOCKED: (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED),
        StudyState.UNSEALED: (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED),
    }
    for number, (here, there) in enumerate(itertools.product(StudyState, StudyState)):
        key = f"study-{number}"
        room.coordinator.create_study(key, Protocol(title="T"))
        room.coordinator.import_cases(key, make_cases(1, start=100 + number))
        for state in ways[here]:
            room.coordinator.set_state(key, state)
        if there in STATE_MOVES[here]:
            assert room.coordinator.set_state(key, there, reason="as agreed").state is there
        else:
            moves = " or ".join(STATE_MOVES[here])
            way = f"it moves to {moves} next" if moves else "that is its last state"
            with pytest.raises(ConflictError, match=f"is {here}; {way}"):
                room.coordinator.set_state(key, there)
            assert room.coordinator.study(key).state is here


def test_a_study_without_cases_cannot_open(room: Room) -> None:
    room.coordinator.create_study("empty", Protocol(title="Empty"))
    with pytest.raises(ConflictError, match="no case"):
        room.coordinator.set_state("empty", StudyState.OPEN)


def test_keys_are_short_names_and_taken_once(room: Room) -> None:
    for key in ("", "A", "a b", "../x", "x" * 41):
        with pytest.raises(InputError):
            room.coordinator.create_study(key, Protocol(title="T"))
    with pytest.raises(ConflictError):
        room.coordinator.create_study(STUDY, Protocol(title="T"))
    assert [study.key for study in room.coordinator.studies()] == [STUDY]


def test_a_new_protocol_version_makes_the_orders_again(room: Room) -> None:
    cases = make_cases(12, start=30)
    room.coordinator.create_study("second", Protocol(title="T", order=ReadingOrder(seed=1)))
    room.coordinator.import_cases("second", cases)
    room.coordinator.add_reader("second", "ann", cohorts=["internal"])
    changed = room.coordinator.update_protocol("second", Protocol(title="T", order=ReadingOrder(seed=2)))
    assert changed.protocol_version == 2
    member = room.coordinator.members("second")[0]
    assert (member.order_seed, member.order_algorithm) == (2, READING_ORDER_ALGORITHM)
    room.coordinator.set_state("second", StudyState.OPEN)
    first = room.ann.next_presentation("second")
    keys = [case.case for case in cases]
    expected = reading_order(keys, study="second", seed=2, reader="ann", arm=Arm.UNAIDED)[0]
    assert expected != reading_order(keys, study="second", seed=1, reader="ann", arm=Arm.UNAIDED)[0]
    shown = room.ann.presentation_image(first.presentation_id).views[0].pixels
    assert (shown == next(case.pixels for case in cases if case.case == expected)).all()
    with pytest.raises(ConflictError):
        room.coordinator.update_protocol("second", Protocol(title="T"))


def test_a_protocol_cannot_lose_a_class_that_cases_have(room: Room) -> None:
    room.coordinator.create_study("second", Protocol(title="T"))
    room.coordinator.import_cases("second", make_cases(4, start=30))
    with pytest.raises(ConflictError, match="tumor"):
        room.coordinator.update_protocol("second", Protocol(title="T", classes=THYROID_CLASSES[:3]))


def test_cases_imported_after_a_reader_was_added_are_in_the_order(room: Room) -> None:
    room.coordinator.create_study("second", Protocol(title="T"))
    room.coordinator.import_cases("second", make_cases(2, start=30))
    assert room.coordinator.add_reader("second", "ann", cohorts=["internal"]).n_presentations == 2
    room.coordinator.import_cases("second", make_cases(3, start=40))
    assert room.coordinator.members("second")[0].n_presentations == 5


def test_a_reader_reads_the_chosen_cohorts_arms_and_no_excluded_case(room: Room) -> None:
    cases = make_cases(4, start=30) + make_cases(3, cohort="external", start=40)
    cases[0] = replace(cases[0], exclusion_reason="motion")
    sha256 = "ab" * 32
    room.coordinator.register_model(sha256=sha256, name="net", architecture="a", path="x", metadata={})
    room.coordinator.create_study("second", Protocol(title="T", design=Design.CROSSOVER, model_sha256=sha256))
    room.coordinator.import_cases("second", cases)
    predictions = [CasePrediction(case.case, np.full(4, 0.25), 2.0, False, "cpu", "fp32") for case in cases[1:]]
    room.coordinator.save_predictions("second", sha256, predictions)
    member = room.coordinator.add_reader("second", "ann", cohorts=["internal"])
    assert (member.n_presentations, member.arms, member.group) == (6, (Arm.UNAIDED, Arm.AIDED), 1)
    both = room.coordinator.add_reader("second", "ben")
    assert (both.n_presentations, both.arms, both.group) == (12, (Arm.AIDED, Arm.UNAIDED), 2)
    room.coordinator.set_state("second", StudyState.OPEN)
    upcoming = room.ann.upcoming_presentations("second", limit=5)
    assert [presentation.arm for presentation in upcoming] == [Arm.UNAIDED] * 3  # the second period has not begun
    assert upcoming[0].count == 6
    assert [presentation.arm for presentation in room.ben.upcoming_presentations("second")] == [Arm.AIDED] * 3
    assert room.coordinator.cohorts("second") == ["internal", "external"]


def test_who_cannot_be_a_reader_of_what(room: Room) -> None:
    add = room.coordinator.add_reader
    with pytest.raises(ConflictError, match="coordinator"):
        add(STUDY, "chief", cohorts=["internal"])
    with pytest.raises(NotFoundError):
        add(STUDY, "eve", cohorts=["internal"])
    with pytest.raises(ConflictError, match="already"):
        add(STUDY, "ann", cohorts=["internal"])
    room.operator.create_person("eve", "Eve", Role.READER)
    with pytest.raises(NotFoundError, match="cohort"):
        add(STUDY, "eve", cohorts=["training"])
    with pytest.raises(InputError):
        add(STUDY, "eve", cohorts=[])
    with pytest.raises(InputError):
        add(STUDY, "eve", cohorts=["internal"], group=1)
    assert add(STUDY, "eve", cohorts=["internal"]).n_presentations == 6
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    with pytest.raises(ConflictError):
        add(STUDY, "eve", cohorts=["internal"])


def test_progress_counts_first_answers_and_says_nothing_of_right_or_wrong(room: Room, clock: Clock) -> None:
    for seconds in (4.0, 10.0, 7.0):
        read_next(room.ann, "normal", reading_seconds=seconds)
    clock.forward(minutes=5)
    last = room.ann.last_reading(STUDY)
    room.ann.save_reading(
        last.presentation.presentation_id,
        replace(last.answer, class_key="sat", reading_seconds=100.0),
        submit_id="correction",
        expected_revision=1,
    )
    rows = {(row.person.login, row.cohort): row for row in room.coordinator.progress(STUDY)}
    assert sum(row.n_done for (login, _), row in rows.items() if login == "ann") == 3
    assert {key: row.n_total for key, row in rows.items() if key[0] == "ann"} == {
        ("ann", "external"): 4,
        ("ann", "internal"): 6,
    }
    assert max(row.last_saved_at for row in rows.values() if row.last_saved_at) == clock.now
    medians = [row.median_reading_seconds for row in rows.values() if row.median_reading_seconds is not None]
    assert medians
    assert max(medians) <= 10.0
    assert rows["ben", "internal"].n_done == 0
    assert rows["ben", "internal"].median_reading_seconds is None
    assert not {"truth", "correct", "accuracy"} & set(vars(rows["ann", "internal"]))
