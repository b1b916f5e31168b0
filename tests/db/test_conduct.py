"""Designs beyond the unaided one, on the server's side: who sees what when, what is final, what is logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

from actions.study_record import deviations_of_trail
from core.analysis import analyse
from core.errors import AccessError, ConflictError, InputError, NotFoundError, OutsideDatesError
from core.protocol import Arm, Comparison, Design, GoingBack, ModelShown, Protocol, ReadingOrder, Scale, ScaleKind
from core.study import (
    LONGEST_LOADING_S,
    TIME_GRACE_S,
    Answer,
    Mark,
    Person,
    Presentation,
    Role,
    StudyState,
    is_without_answer_in_time,
)
from db import CasePrediction, Repository
from db.tables import PresentationRow
from pages.door import reading as pulses
from tests.db.conftest import Clock, Room, make_cases
from tests.stores import sign_in_as

KEY = "aided"
SHA = "ab" * 32
NUMBERS = range(6)


def shown_to(case: str) -> list[float]:
    """What the model says of a case: a different first class for each, nowhere the order of the truth."""
    values = [0.1, 0.2, 0.3, 0.4]
    turn = int(case[-1]) % 4
    return values[turn:] + values[:turn]


def build(room: Room, protocol: Protocol, *, readers: tuple[str, ...] = ("ann",), altered: dict | None = None) -> None:
    """An open study of six cases and two training cases with a declared model that predicted all of them."""
    room.coordinator.register_model(sha256=SHA, name="net", architecture="small", path="x", metadata={})
    room.coordinator.create_study(KEY, replace(protocol, model_sha256=SHA))
    cases = make_cases(6, start=700) + make_cases(2, start=800, cohort="practice")
    room.coordinator.import_cases(KEY, cases)
    maps = np.arange(1, 5, dtype=np.float16)[:, None, None] * np.ones((4, 3, 2), np.float16)
    predictions = [
        CasePrediction(case.case, np.array(shown_to(case.case)), 1.8, False, "cpu", "fp32", class_maps=maps)
        for case in cases
    ]
    room.coordinator.save_predictions(KEY, SHA, predictions)
    for login in readers:
        room.coordinator.add_reader(KEY, login, cohorts=["internal"])
    if altered is not None:
        room.coordinator.declare_altered_answers(KEY, altered)
    room.coordinator.set_state(KEY, StudyState.OPEN)


def case_of(engine: Engine, place: Presentation) -> str:
    """The case of a presentation, past the program."""
    query = sa.text("SELECT case_key FROM study_case JOIN presentation USING (case_id) WHERE presentation_id = :place")
    with engine.connect() as connection:
        return connection.execute(query, {"place": place.presentation_id}).scalar_one()


def answer_next(reader: Repository, given: Answer | None = None) -> Presentation:
    place = reader.next_presentation(KEY)
    assert place is not None
    reader.save_reading(place.presentation_id, given or Answer("sat", 3), submit_id=f"s-{place.presentation_id}")
    return place


def correct(reader: Repository, place: Presentation, submit_id: str = "again", *, revision: int = 1) -> None:
    reader.save_reading(place.presentation_id, Answer("tumor", 1), submit_id=submit_id, expected_revision=revision)


def unseal(room: Room) -> None:
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(KEY, state)


def reveals(room: Room) -> list[tuple[str, int]]:
    return [
        (event.detail["what"], event.detail["position"])
        for event in room.coordinator.audit_trail(KEY)
        if event.action == "case.reveal"
    ]


def test_an_aided_reader_is_shown_the_declared_models_answer_and_each_look_is_logged(
    room: Room, engine: Engine
) -> None:
    build(room, Protocol(title="T", design=Design.AIDED, model_shown=ModelShown(name="Helper")))
    place = room.ann.next_presentation(KEY)
    assert place.arm is Arm.AIDED
    for _ in range(2):
        shown = room.ann.model_answer(place.presentation_id)
    expected = shown_to(case_of(engine, place))
    assert shown.name == "Helper"
    assert shown.probabilities == tuple(expected)
    assert shown.class_key == ("graves", "normal", "sat", "tumor")[int(np.argmax(expected))]
    assert shown.class_maps.shape == (4, 3, 2)
    assert reveals(room) == [("model", 1), ("model", 1)]
    with pytest.raises(AccessError, match="later"):
        room.ann.model_answer(room.ann.upcoming_presentations(KEY)[1].presentation_id)
    with pytest.raises(NotFoundError):
        room.ben.model_answer(place.presentation_id)
    answer_next(room.ann)
    room.ann.model_answer(place.presentation_id)  # while going back
    room.coordinator.set_state(KEY, StudyState.CLOSED)
    with pytest.raises(AccessError, match="closed"):
        room.ann.model_answer(place.presentation_id)
    assert room.coordinator.verify_audit().is_intact


def test_the_protocol_says_how_much_of_the_model_is_shown(room: Room) -> None:
    shown = ModelShown(has_probabilities=False, has_class_map=False)
    build(room, Protocol(title="T", design=Design.AIDED, model_shown=shown))
    given = room.ann.model_answer(room.ann.next_presentation(KEY).presentation_id)
    assert (given.probabilities, given.class_maps) == (None, None)
    assert given.class_key


def test_a_sequential_reader_answers_alone_before_the_model_is_shown(room: Room, engine: Engine) -> None:
    build(room, Protocol(title="T", design=Design.SEQUENTIAL))
    for number in NUMBERS:
        alone, aided = room.ann.upcoming_presentations(KEY)[:2]
        assert (alone.arm, aided.arm) == (Arm.UNAIDED, Arm.AIDED)
        assert (alone.position, aided.position) == (2 * number + 1, 2 * number + 2)
        assert case_of(engine, alone) == case_of(engine, aided)
        for place in (alone, aided):
            with pytest.raises(AccessError):
                room.ann.model_answer(place.presentation_id)
        answer_next(room.ann)
        correct(room.ann, alone, f"before {number}")  # nothing was shown yet
        with pytest.raises(AccessError, match="without the model"):
            room.ann.model_answer(alone.presentation_id)
        assert room.ann.last_reading(KEY).can_correct
        room.ann.model_answer(aided.presentation_id)
        assert not room.ann.last_reading(KEY).can_correct
        with pytest.raises(AccessError, match="was shown"):
            correct(room.ann, alone, f"after {number}", revision=2)
        answer_next(room.ann, Answer("graves", 5))
    unseal(room)
    stored = room.coordinator.readings(KEY, only_current=True)
    assert [(each.arm, each.class_key) for each in stored] == [(Arm.UNAIDED, "tumor"), (Arm.AIDED, "graves")] * 6
    data = room.coordinator.study_data(KEY)
    assert sorted(data.readings["arm"].unique()) == ["aided", "unaided"]
    assert len(data.assignments) == 12


def test_no_byte_of_the_model_is_asked_for_in_an_unaided_arm(room: Room, engine: Engine) -> None:
    """A whole unaided period of a crossover, with every attempt to see the model; every statement is listened to."""
    build(room, Protocol(title="T", design=Design.CROSSOVER))
    statements: list[str] = []

    def listen(connection, cursor, statement, parameters, context, executemany) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    for _ in NUMBERS:
        place = room.ann.next_presentation(KEY)
        room.ann.presentation_image(place.presentation_id)
        with pytest.raises(AccessError, match="without the model"):
            room.ann.model_answer(place.presentation_id)
        answer_next(room.ann)
        with pytest.raises(AccessError, match="without the model"):
            room.ann.model_answer(place.presentation_id)
        with pytest.raises(AccessError, match="Only training"):
            room.ann.training_feedback(place.presentation_id)
    event.remove(engine, "before_cursor_execute", listen)
    text = "\n".join(statements)
    assert "INSERT INTO reading" in text  # the listener hears
    for table in ("prediction", "altered_answer", "reference_standard", "model_version", "study_case"):
        assert table not in text, table
    assert reveals(room) == []


def test_a_crossover_keeps_its_washout_and_an_override_is_a_logged_deviation(room: Room, clock: Clock) -> None:
    build(room, Protocol(title="T", design=Design.CROSSOVER, washout_days=14), readers=("ann", "ben"))
    assert [member.group for member in room.coordinator.members(KEY)] == [1, 2]
    for reader, arm in ((room.ann, Arm.UNAIDED), (room.ben, Arm.AIDED)):
        for number in NUMBERS:
            clock.forward(minutes=1)
            assert reader.upcoming_presentations(KEY)[-1].period == 1
            place = answer_next(reader)
            assert (place.arm, place.period, place.position) == (arm, 1, number + 1)
    opens_at = clock.now + timedelta(days=14)
    second = next(place for place in _places(room, "ben") if place.period == 2).presentation_id
    clock.forward(days=13, hours=23)
    for early in (
        lambda: room.ben.next_presentation(KEY),
        lambda: room.ben.presentation_image(second),
        lambda: room.ben.save_reading(second, Answer("sat", 3), submit_id="early"),
    ):
        with pytest.raises(OutsideDatesError, match="2026-03-15") as refused:
            early()
        assert refused.value.opens_at == opens_at
    assert room.ben.my_progress(KEY).n_done == 6
    with pytest.raises(InputError, match="reason"):
        room.coordinator.record_deviation(KEY, "ben", "washout", " ")
    with pytest.raises(InputError, match="washout"):
        room.coordinator.record_deviation(KEY, "ben", "wash-out", "on leave")
    room.coordinator.record_deviation(KEY, "ben", "washout", "on leave from the 15th")
    assert answer_next(room.ben).arm is Arm.UNAIDED
    assert room.ann.actor is not None
    clock.forward(hours=1)
    last_of_first = room.ann.last_reading(KEY)
    assert last_of_first.can_correct  # the second period has not begun for her
    assert answer_next(room.ann).period == 2
    with pytest.raises(AccessError):
        correct(room.ann, last_of_first.presentation)
    found = room.coordinator.deviations(KEY)
    assert [(each.login, each.kind, each.reason, each.recorded_by) for each in found] == [
        ("ben", "washout", "on leave from the 15th", "chief")
    ]
    said = [each for each in room.coordinator.audit_trail(KEY) if each.action == "study.deviation"]
    assert said[0].detail == {"login": "ben", "kind": "washout", "reason": "on leave from the 15th"}
    assert room.coordinator.verify_audit().is_intact


@pytest.mark.parametrize("going_back", [GoingBack.LAST, GoingBack.ANY])
def test_an_answer_given_alone_is_final_once_the_model_was_shown_in_the_second_part(
    room: Room, engine: Engine, going_back: GoingBack
) -> None:
    """Also before anything is answered there: the model's answer to a case must not reach the answer without it."""
    build(room, Protocol(title="T", design=Design.CROSSOVER, washout_days=0, going_back=going_back))
    first = {case_of(engine, place): place for place in (answer_next(room.ann) for _ in NUMBERS)}
    shown = room.ann.next_presentation(KEY)
    assert (shown.arm, shown.period) == (Arm.AIDED, 2)
    assert room.ann.last_reading(KEY).can_correct
    room.ann.model_answer(shown.presentation_id)
    assert not any(each.can_correct for each in room.ann.my_readings(KEY))
    for place in (first[case_of(engine, shown)], room.ann.last_reading(KEY).presentation):
        with pytest.raises(AccessError):
            correct(room.ann, place)


def _places(room: Room, login: str) -> list[PresentationRow]:
    """A reader's stored order, past the program."""
    engine = room.coordinator.engine
    person = room.operator.person(login).person_id
    query = sa.select(PresentationRow).where(PresentationRow.person_id == person).order_by(PresentationRow.position)
    with sa.orm.Session(engine) as db_session:
        study = db_session.scalar(sa.text("SELECT study_id FROM study WHERE study_key = 'aided'"))
        return list(db_session.scalars(query.where(PresentationRow.study_id == study)))


@pytest.mark.parametrize("table", ["reveal", "deviation"])
def test_what_opened_an_answer_is_held_against_the_trail_before_unsealing(room: Room, table: str) -> None:
    """Without its reveal an answer given alone could be corrected afterwards."""
    build(room, Protocol(title="T", design=Design.SEQUENTIAL, closes_on=date(2026, 3, 1)))
    room.coordinator.record_deviation(KEY, "ann", "closes_on", "ill in February")
    answer_next(room.ann)
    room.ann.model_answer(room.ann.next_presentation(KEY).presentation_id)
    with room.coordinator.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
    for state in (StudyState.CLOSED, StudyState.LOCKED):
        room.coordinator.set_state(KEY, state)
    with pytest.raises(ConflictError, match="was removed"):
        room.coordinator.set_state(KEY, StudyState.UNSEALED)
    room.coordinator.set_state(KEY, StudyState.UNSEALED, reason="told in the paper")


def test_a_deviation_that_nobody_entered_or_that_was_removed_is_noticed(room: Room) -> None:
    build(room, Protocol(title="T", closes_on=date(2026, 3, 1)))
    room.coordinator.record_deviation(KEY, "ann", "closes_on", "ill in February")
    engine = room.coordinator.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE deviation SET kind = 'opens_on'")
    said = "\n".join(room.coordinator.verify_audit().problems)
    assert "'closes_on' of reader 'ann' in study 'aided' was removed" in said
    assert "'opens_on' of reader 'ann' in study 'aided' was not entered" in said


def test_the_pulse_of_the_panel_knows_the_dates_and_the_washout_of_its_reader(
    room: Room, engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tab that is left open over midnight asks whether its reader still reads: per person, by the server's clock."""
    today = clock.now.date()
    dates = {"opens_on": today + timedelta(days=1), "closes_on": today + timedelta(days=40)}
    protocol = Protocol(title="T", design=Design.CROSSOVER, washout_days=10, **dates)
    build(room, protocol, readers=("ann", "ben"))
    monkeypatch.setattr(
        pulses, "repository", lambda actor, token=None: Repository(engine, actor, token=token, clock=clock)
    )
    tokens = {login: sign_in_as(engine, room.operator.person(login)) for login in ("ann", "ben")}

    def pulse(login: str = "ann") -> int:
        return pulses._pulse(tokens[login], KEY).status_code

    assert pulse() == 410
    clock.forward(days=1)
    assert pulse() == 200
    while room.ann.next_presentation(KEY).period == 1:
        answer_next(room.ann)
        if room.ann.my_progress(KEY).n_done == 6:
            break
    assert (pulse("ann"), pulse("ben")) == (410, 200)  # her washout is hers alone
    clock.forward(days=9, hours=23)
    assert pulse() == 410
    clock.forward(hours=1)
    assert pulse() == 200
    clock.forward(days=31)
    assert (pulse("ann"), pulse("ben")) == (410, 410)
    room.coordinator.record_deviation(KEY, "ben", "closes_on", "was ill")
    assert (pulse("ann"), pulse("ben")) == (410, 200)
    assert pulses._pulse("made up", KEY).status_code == 401


def test_a_late_reader_for_whom_the_hidden_repeats_do_not_fit_is_refused(room: Room) -> None:
    """Else this reader alone would have fewer repeats than the others, and nobody would be told."""
    build(room, Protocol(title="T", order=ReadingOrder(n_repeats=2, repeat_distance=3)))
    before = room.coordinator.audit_trail(KEY)
    room.coordinator.create_person("late", "Late", Role.READER)
    with pytest.raises(ConflictError, match=r"2 hidden repeats are planned, and 0 fit into the 2 cases of practice"):
        room.coordinator.add_reader(KEY, "late", cohorts=["practice"])
    assert [member.person.login for member in room.coordinator.members(KEY)] == ["ann"]
    assert room.coordinator.audit_trail(KEY) == before
    room.coordinator.add_reader(KEY, "late", cohorts=["practice", "internal"])  # as the refusal says
    sizes = {member.person.login: member.n_presentations for member in room.coordinator.members(KEY)}
    assert sizes == {"ann": 6 + 2, "late": 8 + 2}


@pytest.mark.parametrize("is_shown", [True, False])
@pytest.mark.parametrize("scale", [ScaleKind.ORDINAL, ScaleKind.PROBABILITIES])
def test_an_answer_after_the_protocols_time_is_none_by_the_servers_clock_whatever_the_browser_says(
    room: Room, engine: Engine, clock: Clock, is_shown: bool, scale: ScaleKind
) -> None:
    """A forged client that keeps looking, says that it took three seconds, or says never that the image was drawn."""
    build(room, Protocol(title="T", timeout_seconds=20, scale=Scale(scale), has_location_mark=True))
    forged = (("shown", 0.0), ("first", 500.0), ("submitted", 3000.0))
    stated = (0.1, 0.2, 0.6, 0.1) if scale is ScaleKind.PROBABILITIES else None
    given = Answer("sat", None if stated else 3, "seen", probabilities=stated, marks=(Mark(1.5, 2.0),),
                   events=forged, reading_seconds=3.0,
                   display_state={"window": [0, 9], "arrived_late": {"class_key": "x"}})  # fmt: skip

    def read(seconds: float, *, shown: bool, submit_id: str) -> Presentation:
        place = room.ann.next_presentation(KEY)
        if shown:
            room.ann.record_shown(place.presentation_id)
        clock.forward(seconds=seconds)
        saved = room.ann.save_reading(place.presentation_id, given, submit_id=submit_id)
        again = room.ann.save_reading(place.presentation_id, given, submit_id=submit_id)  # its receipt was lost
        assert (again.reading_id, again.was_already_saved) == (saved.reading_id, True)
        other = replace(given, class_key="tumor")
        with pytest.raises((ConflictError, InputError)):
            room.ann.save_reading(place.presentation_id, other, submit_id=submit_id)
        return place

    in_time = read(20 + TIME_GRACE_S, shown=True, submit_id="in time")
    late = read(20.1 + TIME_GRACE_S, shown=is_shown, submit_id="late")
    last = room.ann.last_reading(KEY)
    assert last.presentation.presentation_id == late.presentation_id
    assert is_without_answer_in_time(last.answer)
    assert not last.can_correct
    with pytest.raises(AccessError, match="time for this case was over"):
        room.ann.save_reading(late.presentation_id, given, submit_id="once more", expected_revision=1)
    unseal(room)
    first, second = room.coordinator.readings(KEY)
    assert (first.position, first.class_key, first.is_unreadable) == (in_time.position, "sat", False)
    assert "arrived_late" not in first.display_state
    assert (second.class_key, second.confidence, second.probabilities) == (None, None, None)
    assert (second.is_unreadable, second.unreadable_reason, second.is_over_time) == (True, "no answer in time", True)
    assert second.display_state["arrived_late"]["class_key"] == "sat"  # kept, sealed, and no answer
    table = room.coordinator.study_data(KEY).readings
    assert table["is_unreadable"].tolist() == [False, True]
    assert table["is_over_time"].tolist() == [False, True]
    assert table["label"].tolist()[0] == "sat"
    assert room.coordinator.verify_audit().is_intact


def test_the_time_of_a_case_goes_on_in_another_tab_and_a_late_correction_changes_nothing(
    room: Room, clock: Clock
) -> None:
    build(room, Protocol(title="T", timeout_seconds=20))
    place = room.ann.next_presentation(KEY)
    assert place.seconds_left is None
    room.ann.record_shown(place.presentation_id)
    clock.forward(seconds=12)
    room.ann.record_shown(place.presentation_id)  # drawn again, after a reload
    again, after = room.ann.upcoming_presentations(KEY)[:2]
    assert (again.seconds_left, after.seconds_left) == (8, None)
    clock.forward(seconds=60)
    assert room.ann.next_presentation(KEY).seconds_left == 0
    other = answer_next(room.ann)
    assert is_without_answer_in_time(room.ann.last_reading(KEY).answer)
    other = answer_next(room.ann)
    room.ann.record_shown(other.presentation_id)  # for its correction
    clock.forward(seconds=31)
    with pytest.raises(AccessError, match="the answer before it stands"):
        correct(room.ann, other)
    assert room.ann.last_reading(KEY).answer.class_key == "sat"
    with pytest.raises(InputError, match="no draft of a browser"):
        room.ann.record_events(other.presentation_id, [("shown", 0.0)], draft_id="server", first_event=1)


def test_who_says_drawn_late_gains_no_more_than_a_slow_line_may_take(room: Room, clock: Clock) -> None:
    """The server knows when it sent the image: so many seconds later the time runs, whatever a browser says."""
    build(room, Protocol(title="T", timeout_seconds=20))
    for waits, is_late in ((LONGEST_LOADING_S + TIME_GRACE_S, False), (LONGEST_LOADING_S + TIME_GRACE_S + 1, True)):
        place = room.ann.next_presentation(KEY)
        room.ann.record_sent(place.presentation_id)
        assert room.ann.next_presentation(KEY).seconds_left == 20
        clock.forward(seconds=15)
        room.ann.record_sent(place.presentation_id)  # sent again, after a reload
        assert room.ann.next_presentation(KEY).seconds_left == 20  # a slow line may still be at it
        clock.forward(seconds=waits - 15)
        room.ann.record_shown(place.presentation_id)
        assert room.ann.next_presentation(KEY).seconds_left < 20
        clock.forward(seconds=20)
        answer_next(room.ann)
        assert is_without_answer_in_time(room.ann.last_reading(KEY).answer) is is_late
    for name in ("server", "server: sent"):
        with pytest.raises(InputError, match="no draft of a browser"):
            room.ann.record_events(place.presentation_id, [("shown", 0.0)], draft_id=name, first_event=0)
    with pytest.raises(NotFoundError):
        room.ben.record_sent(place.presentation_id)
    assert room.coordinator.verify_audit().is_intact


def test_the_window_of_the_protocol_is_kept_for_all_but_those_who_were_let_in(room: Room, clock: Clock) -> None:
    build(room, Protocol(title="T", opens_on=date(2026, 3, 3), closes_on=date(2026, 3, 5)), readers=("ann", "ben"))
    with pytest.raises(OutsideDatesError, match="begins on 2026-03-03 at 00:00 UTC"):
        room.ann.next_presentation(KEY)
    room.coordinator.record_deviation(KEY, "ann", "opens_on", "pilot")
    answer_next(room.ann)
    with pytest.raises(OutsideDatesError):
        room.ben.next_presentation(KEY)
    clock.now = datetime(2026, 3, 5, 23, 59, tzinfo=UTC)
    answer_next(room.ben)
    clock.forward(minutes=1)
    for reader in (room.ann, room.ben):
        with pytest.raises(OutsideDatesError, match="ended with 2026-03-05") as refused:
            reader.next_presentation(KEY)
        assert refused.value.opens_at is None


def test_training_cases_come_first_with_feedback_and_are_never_analysed(room: Room, engine: Engine) -> None:
    build(room, Protocol(title="T", training_cohort="practice", going_back=GoingBack.ANY))
    truth = {case.case: case.truth for case in make_cases(2, start=800)}
    for _ in range(2):
        place = room.ann.next_presentation(KEY)
        assert (place.is_training, place.block, place.n_blocks, place.count) == (True, 1, 2, 8)
        with pytest.raises(AccessError, match="follows your saved answer"):
            room.ann.training_feedback(place.presentation_id)
        answer_next(room.ann)
        correct(room.ann, place, f"again {place.position}")
        told = room.ann.training_feedback(place.presentation_id)
        assert told.truth == truth[case_of(engine, place)]
        assert told.case == place.presentation_id
        with pytest.raises(AccessError, match="final"):
            correct(room.ann, place, f"too late {place.position}", revision=2)
    for _ in NUMBERS:
        place = answer_next(room.ann)
        assert (place.is_training, place.block) == (False, 2)
        with pytest.raises(AccessError, match="Only training"):
            room.ann.training_feedback(place.presentation_id)
    assert reveals(room) == [("truth", 1), ("truth", 2)]
    unseal(room)
    data = room.coordinator.study_data(KEY)
    assert len(data.readings) == len(data.cases) == len(data.assignments) == 6
    assert set(data.cases["cohort"]) == {"internal"}
    assert not set(data.predictions["case"]) & set(truth)
    stored = room.coordinator.readings(KEY, only_current=True)
    assert [each.is_training for each in stored] == [True] * 2 + [False] * 6


def test_feedback_of_a_sequential_training_case_waits_for_the_aided_answer(room: Room) -> None:
    build(room, Protocol(title="T", design=Design.SEQUENTIAL, training_cohort="practice"))
    alone = answer_next(room.ann)
    with pytest.raises(AccessError, match="follows"):
        room.ann.training_feedback(alone.presentation_id)
    aided = answer_next(room.ann)
    room.ann.training_feedback(aided.presentation_id)
    with pytest.raises(AccessError, match="final"):
        correct(room.ann, aided)


def test_hidden_repeats_are_answered_and_kept_apart(room: Room, engine: Engine) -> None:
    order = ReadingOrder(n_repeats=2, repeat_distance=3, block_size=3)
    build(room, Protocol(title="T", order=order))
    seen = []
    while room.ann.next_presentation(KEY) is not None:
        place = answer_next(room.ann, Answer("sat" if len(seen) < 6 else "tumor", 3))
        assert not {"repeat", "2 of"} & set(vars(place))
        seen.append(case_of(engine, place))
    assert len(seen) == 8
    assert len(set(seen)) == 6
    assert room.ann.my_progress(KEY).n_total == 8
    unseal(room)
    stored = room.coordinator.readings(KEY)
    assert sorted(each.repeat for each in stored) == [1] * 6 + [2] * 2
    data = room.coordinator.study_data(KEY)
    assert len(data.assignments) == 6
    assert sorted(data.readings["repeat"]) == [1] * 6 + [2] * 2


@pytest.mark.parametrize("going_back", GoingBack)
def test_going_back_is_what_the_protocol_allows(room: Room, clock: Clock, going_back: GoingBack) -> None:
    until = None if going_back is GoingBack.NEVER else date(2026, 3, 2)
    build(room, Protocol(title="T", going_back=going_back, going_back_until=until))
    first, last = answer_next(room.ann), answer_next(room.ann)
    allowed = {GoingBack.NEVER: [], GoingBack.LAST: [last], GoingBack.ANY: [first, last]}[going_back]
    assert [each.presentation for each in room.ann.my_readings(KEY) if each.can_correct] == allowed
    for place in (first, last):
        if place in allowed:
            correct(room.ann, place, f"again {place.position}")
        else:
            with pytest.raises(AccessError, match=r"no corrections|last answer"):
                correct(room.ann, place, f"again {place.position}")
    clock.now = datetime(2026, 3, 3, tzinfo=UTC)
    assert not any(each.can_correct for each in room.ann.my_readings(KEY))
    if allowed:
        with pytest.raises(AccessError, match="until 2026-03-02"):
            correct(room.ann, last, "too late", revision=2)
    answer_next(room.ann)


def test_declared_wrong_answers_are_shown_instead_of_the_models_and_marked_afterwards(
    room: Room, engine: Engine
) -> None:
    altered: dict = {"case-0702": "tumor", "case-0701": [1.0, 0.0, 0.0, 0.0]}
    build(room, Protocol(title="T", design=Design.AIDED), altered=altered)
    shown, maps = {}, {}
    while (place := room.ann.next_presentation(KEY)) is not None:
        case, answer = case_of(engine, place), room.ann.model_answer(place.presentation_id)
        assert answer.class_maps is not None
        shown[case], maps[case] = answer.probabilities, answer.class_maps[:, 0, 0].tolist()
        answer_next(room.ann)
    assert maps.pop("case-0702") == [1, 4, 3, 2]  # the maps have changed places with the classes
    assert maps.pop("case-0701") in ([1, 2, 3, 4], [2, 1, 3, 4], [3, 2, 1, 4], [4, 2, 3, 1])
    assert all(each == [1, 2, 3, 4] for each in maps.values())
    assert shown.pop("case-0701") == (1.0, 0.0, 0.0, 0.0)
    assert shown_to("case-0702") == [0.3, 0.4, 0.1, 0.2]
    assert shown.pop("case-0702") == (0.3, 0.2, 0.1, 0.4)  # the first and the declared class have changed places
    assert shown == {case: tuple(shown_to(case)) for case in shown}
    with pytest.raises(ConflictError, match="draft"):
        room.coordinator.declare_altered_answers(KEY, {})
    assert room.coordinator.altered_answers(KEY) == {"case-0701": "graves", "case-0702": "tumor"}
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE altered_answer SET probabilities = '[0.0,1.0,0.0,0.0]'")
    assert "the altered answers of study 'aided' are not what was sealed" in room.coordinator.verify_audit().problems[0]
    for state in (StudyState.CLOSED, StudyState.LOCKED):
        room.coordinator.set_state(KEY, state)
    with pytest.raises(ConflictError, match="the altered answers of study 'aided' are not what was sealed"):
        room.coordinator.set_state(KEY, StudyState.UNSEALED)
    assert room.coordinator.study(KEY).state is StudyState.LOCKED
    room.coordinator.set_state(KEY, StudyState.UNSEALED, reason="the test changed it")
    assert "altered answers" in room.coordinator.audit_trail(KEY)[-1].detail["seals"]
    stored = {each.case: each.is_altered for each in room.coordinator.readings(KEY)}
    assert stored == {f"case-070{number}": number in (1, 2) for number in NUMBERS}


def test_nobody_asks_for_sealed_predictions_through_altered_answers_without_a_trace(room: Room) -> None:
    build(room, Protocol(title="T", design=Design.AIDED))
    other = "second-draft"
    room.coordinator.create_study(other, Protocol(title="T", design=Design.AIDED, model_sha256=SHA))
    room.coordinator.import_cases(other, make_cases(2, start=900))
    own = CasePrediction("case-0900", np.array([0.1, 0.6, 0.1, 0.2]), 1.0, False, "cpu", "fp32")
    room.coordinator.save_predictions(other, SHA, [own])
    with pytest.raises(InputError, match="says so of case 'case-0900' itself"):
        room.coordinator.declare_altered_answers(other, {"case-0900": "normal"})
    said = room.coordinator.audit_trail(other)[-1]
    assert (said.action, said.detail) == ("study.altered-refused", {"case": "case-0900"})
    room.coordinator.declare_altered_answers(other, {"case-0900": "sat"})
    assert room.coordinator.altered_answers(other) == {"case-0900": "sat"}  # no probability of the model
    assert room.coordinator.verify_audit().is_intact


def test_the_order_of_classes_stays_while_altered_answers_stand_in_it(room: Room) -> None:
    """Else the class that a reader is shown would be another one than that declared."""
    protocol = Protocol(title="T", design=Design.AIDED)
    room.coordinator.create_study(KEY, protocol)
    room.coordinator.import_cases(KEY, make_cases(4, start=700))
    room.coordinator.declare_altered_answers(KEY, {"case-0700": [0.7, 0.1, 0.1, 0.1]})
    turned = replace(protocol, classes=protocol.classes[::-1])
    with pytest.raises(ConflictError, match="altered-answers --none"):
        room.coordinator.update_protocol(KEY, turned)
    model = room.coordinator.register_model(sha256="9c" * 32, name="other", architecture="r", path="p", metadata={})
    other = replace(protocol, model_sha256=model.sha256)
    with pytest.raises(ConflictError, match="for another model"):
        room.coordinator.update_protocol(KEY, other)
    assert room.coordinator.declare_altered_answers(KEY, {}) == 0
    assert room.coordinator.update_protocol(KEY, turned).protocol == turned
    assert room.coordinator.update_protocol(KEY, other).protocol == other


def test_which_altered_answers_are_refused(room: Room) -> None:
    room.coordinator.create_study(KEY, Protocol(title="T", design=Design.AIDED))
    room.coordinator.import_cases(KEY, make_cases(2, start=700))
    for answers, refused, said in (
        ({"case-9999": "sat"}, NotFoundError, "no case"),
        ({"case-0700": "cold nodule"}, InputError, "unknown class"),
        ({"case-0700": [0.5, 0.5]}, InputError, "4 probabilities"),
        ({"case-0700": [0.5, 0.5, 0.5, 0.5]}, InputError, "4 probabilities"),
        ({"case-0700": "sat"}, ConflictError, "predict first"),
    ):
        with pytest.raises(refused, match=said):
            room.coordinator.declare_altered_answers(KEY, answers)
    assert room.coordinator.altered_answers(KEY) == {}
    assert room.coordinator.declare_altered_answers(KEY, {"case-0700": [0.0, 0.0, 0.0, 1.0]}) == 1
    room.coordinator.create_study("plain", Protocol(title="T"))
    with pytest.raises(InputError, match="sees the model"):
        room.coordinator.declare_altered_answers("plain", {"case-0700": "sat"})


def test_a_live_comparison_shows_coordinators_what_was_read_so_far_and_logs_every_look(room: Room) -> None:
    build(room, Protocol(title="T", comparison=Comparison.LIVE), readers=("ann", "ben"))
    before = room.coordinator.study(KEY)
    with pytest.raises(ConflictError, match="Nothing was read"):
        room.coordinator.study_data(KEY)
    assert room.coordinator.live_looks(KEY) == []
    for reader, count in ((room.ann, 3), (room.ben, 1)):
        for _ in range(count):
            answer_next(reader)
    data = room.coordinator.study_data(KEY)
    assert before.is_live
    assert len(data.readings) == len(data.assignments) == 4
    assert set(data.cases["case"]) == set(data.readings["case"]) == set(data.predictions["case"])
    for sealed in (
        lambda: room.coordinator.readings(KEY),
        lambda: room.coordinator.reference_standard(KEY),
        lambda: room.coordinator.predictions(KEY, SHA),
        lambda: room.coordinator.record_export(KEY, "x", "b" * 64, 1),
        lambda: room.ann.study_data(KEY),
    ):
        with pytest.raises((AccessError, NotFoundError)):
            sealed()
    room.coordinator.set_state(KEY, StudyState.CLOSED)
    room.coordinator.study_data(KEY)
    looks = room.coordinator.live_looks(KEY)
    assert [(look.login, look.state, look.n_readings) for look in looks] == [
        ("chief", "open", {"ann": 3, "ben": 1}),
        ("chief", "closed", {"ann": 3, "ben": 1}),
    ]
    for state in (StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(KEY, state)
    whole = room.coordinator.study_data(KEY)
    assert (len(whole.cases), len(whole.assignments)) == (8, 12)
    assert len(room.coordinator.live_looks(KEY)) == 2


def test_the_digest_of_results_moves_with_whatever_can_change_a_number_and_with_nothing_else(room: Room) -> None:
    protocol = Protocol(title="T", comparison=Comparison.LIVE, going_back=GoingBack.ANY)
    build(room, protocol, readers=("ann", "ben"))
    seen = [room.coordinator.results_digest(KEY)]

    def moved() -> bool:
        seen.append(room.coordinator.results_digest(KEY))
        return seen[-1] not in seen[:-1]

    def predict(sha256: str) -> None:
        shares = np.array([0.7, 0.1, 0.1, 0.1])
        room.coordinator.save_predictions(KEY, sha256, [CasePrediction("case-0700", shares, 1.3, False, "cpu", "fp32")])

    def registered(sha256: str) -> None:
        room.coordinator.register_model(sha256=sha256, name="net", architecture="small", path="y", metadata={})

    place = answer_next(room.ann)
    assert moved(), "a reading"
    correct(room.ann, place)
    assert moved(), "a correction: the number of answers is the same"
    room.ann.next_presentation(KEY)
    room.coordinator.study_data(KEY)
    assert not moved(), "a case was shown, somebody looked"
    registered("cd" * 32)
    assert moved(), "a model of the same name changes what the other one is called"
    predict("cd" * 32)
    assert moved(), "a prediction"
    room.coordinator.update_protocol(KEY, replace(protocol, model_sha256=SHA, ethics="EK 2"))
    assert moved(), "the protocol"
    room.coordinator.remove_reader(KEY, "ben")
    assert moved(), "a reader left"
    room.coordinator.set_state(KEY, StudyState.CLOSED)
    room.coordinator.set_state(KEY, StudyState.LOCKED)
    room.coordinator.set_state(KEY, StudyState.UNSEALED)
    assert moved(), "what was not yet read counts as missing from now on"
    room.coordinator.record_export(KEY, "x", "b" * 64, 1)
    assert not moved(), "an export"
    room.coordinator.create_study("other", Protocol(title="T"))
    room.coordinator.import_cases("other", make_cases(1, start=900))
    assert not moved(), "another study"
    with pytest.raises(AccessError, match="sealed"):
        room.coordinator.results_digest("other")
    before = seen[-1]
    room.coordinator.create_study("draft", replace(protocol, title="U"))
    room.coordinator.import_cases("draft", make_cases(2, start=910))
    room.coordinator.add_reader("draft", "ann", cohorts=["internal"])
    room.coordinator.set_state("draft", StudyState.OPEN)
    assert room.coordinator.results_digest("draft") != before


@pytest.mark.parametrize("kind", ScaleKind)
def test_an_answer_of_every_scale_comes_back_as_it_was_given(room: Room, kind: ScaleKind) -> None:
    build(room, Protocol(title="T", scale=Scale(kind), has_location_mark=True, may_type_ahead=True, timeout_seconds=20))
    given = {
        ScaleKind.LABEL: Answer("sat"),
        ScaleKind.ORDINAL: Answer("sat", 5),
        ScaleKind.PERCENT: Answer("sat", 0),
        ScaleKind.PROBABILITIES: Answer("sat", probabilities=(0.1, 0.2, 1 / 3, 1 - 0.3 - 1 / 3)[:4]),
    }[kind]
    if kind is ScaleKind.PROBABILITIES:
        given = replace(given, class_key="tumor")
    rating = given.confidence
    given = replace(given, marks=(Mark(1.5, 2.25, rating), Mark(0, 3)), is_typed_ahead=True, reading_seconds=9)
    answer_next(room.ann, given)
    assert room.ann.last_reading(KEY).answer == given
    unreadable = Answer(is_unreadable=True, unreadable_reason="moved", reading_seconds=21.0)
    answer_next(room.ann, unreadable)
    assert room.ann.last_reading(KEY).answer == unreadable
    assert room.coordinator.verify_audit().is_intact
    unseal(room)
    first, second = room.coordinator.readings(KEY)
    for name in ("class_key", "confidence", "probabilities", "marks", "is_typed_ahead", "reading_seconds"):
        assert getattr(first, name) == getattr(given, name), name
    assert (first.is_over_time, second.is_over_time) == (False, True)
    assert (second.is_unreadable, second.unreadable_reason, second.class_key) == (True, "moved", None)
    data = room.coordinator.study_data(KEY)
    assert data.readings["is_unreadable"].tolist() == [False, True]
    if kind is ScaleKind.PROBABILITIES:
        assert data.reader_ratings["rating"].tolist() == list(given.probabilities)


@pytest.mark.parametrize(
    ("mark", "said"),
    [(Mark(5.01, 1), "5 by 4 pixels"), (Mark(1, 4.5), "5 by 4 pixels"), (Mark(1, 1, view=2), "no such view")],
)
def test_a_mark_outside_of_the_pictures_of_the_case_is_refused(room: Room, mark: Mark, said: str) -> None:
    build(room, Protocol(title="T", has_location_mark=True))
    with pytest.raises(InputError, match=said):
        answer_next(room.ann, Answer("sat", 3, marks=(mark,)))
    assert room.ann.my_progress(KEY).n_done == 0
    answer_next(room.ann, Answer("sat", 3, marks=(Mark(5, 4), Mark(0, 0))))


def test_marks_are_held_against_the_lesions_when_results_are_made(room: Room) -> None:
    """The mask's middle is marked in every case with 1, a corner with 4 in the first: there the higher mark misses."""
    room.coordinator.create_study(KEY, Protocol(title="T", has_location_mark=True))
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:3] = True
    room.coordinator.import_cases(
        KEY, [replace(case, lesion_mask=mask if case.truth == "tumor" else None) for case in make_cases(8, start=700)]
    )
    room.coordinator.add_reader(KEY, "ann", cohorts=["internal"])
    room.coordinator.set_state(KEY, StudyState.OPEN, reason="no model takes part")
    corner = (Mark(2, 2, 1), Mark(0, 0, 4))
    for number in range(8):
        answer_next(room.ann, Answer("tumor", 3, marks=corner if number == 0 else (Mark(2, 2),)))
    unseal(room)
    data = room.coordinator.study_data(KEY)
    assert set(data.cases.loc[data.cases["has_lesion"], "truth"]) == {"tumor"}
    read = data.readings.merge(data.cases, on="case").sort_values("position")
    assert read["mark_rating"].tolist() == [4.0] + [3.0] * 7
    assert read["is_localised"].tolist() == [False, *(read["truth"] == "tumor").tolist()[1:]]
    rows = analyse(data).to_tables()["localisation"].set_index("quantity")
    assert rows.loc["lesions_hit", "n"] == (data.cases["truth"] == "tumor").sum()


def test_a_model_or_prediction_that_came_after_the_opening_is_marked_for_good(room: Room, clock: Clock) -> None:
    build(room, Protocol(title="T"))
    assert room.coordinator.model_declarations(KEY) == {SHA: "declared in protocol version 1"}
    clock.forward(hours=1)
    late = "cd" * 32
    room.coordinator.register_model(sha256=late, name="late", architecture="small", path="y", metadata={})
    answer = CasePrediction("case-0700", np.full(4, 0.25), 2.0, False, "cpu", "fp32")
    room.coordinator.save_predictions(KEY, late, [answer])
    unseal(room)
    assert room.coordinator.model_declarations(KEY) == {
        SHA: "declared in protocol version 1",
        late: "not declared before reading: exploratory; registered after the study was opened",
    }


def test_predictions_added_after_unsealing_are_told_with_their_model_and_number(room: Room) -> None:
    build(room, Protocol(title="T"))
    answer_next(room.ann)
    unseal(room)
    late = "cd" * 32
    room.coordinator.register_model(sha256=late, name="late", architecture="small", path="x", metadata={})
    some = [
        CasePrediction(case, np.array(shown_to(case)), 1.8, False, "cpu", "fp32") for case in ("case-0700", "case-0701")
    ]
    room.coordinator.save_predictions(KEY, late, some)
    (told,) = (each for each in deviations_of_trail(room.coordinator.audit_trail(KEY)) if "predictions" in each.what)
    assert (told.count, told.detail) == (2, late[:12])


def test_after_opening_only_texts_change_and_the_seal_stays_valid(room: Room) -> None:
    build(room, Protocol(title="T"))
    stored = room.coordinator.study(KEY).protocol
    for change in ({"title": "Other"}, {"margin": 0.1}, {"model_sha256": None}, {"going_back": GoingBack.ANY}):
        with pytest.raises(ConflictError, match=f"{next(iter(change))} cannot change any more"):
            room.coordinator.update_protocol(KEY, replace(stored, **change))
    with pytest.raises(ConflictError, match="already"):
        room.coordinator.update_protocol(KEY, stored)
    changed = room.coordinator.update_protocol(KEY, replace(stored, ethics="Approved, 12/2026", funding="none"))
    assert (changed.protocol_version, changed.protocol.ethics) == (2, "Approved, 12/2026")
    assert room.coordinator.audit_trail(KEY)[-1].action == "study.protocol"
    assert room.coordinator.verify_audit().is_intact
    answer_next(room.ann)


def test_a_locked_study_is_taken_back_for_a_reason_only(room: Room) -> None:
    build(room, Protocol(title="T"))
    for state in (StudyState.CLOSED, StudyState.LOCKED):
        room.coordinator.set_state(KEY, state)
    with pytest.raises(ConflictError, match="unsealed or closed"):
        room.coordinator.set_state(KEY, StudyState.OPEN)
    with pytest.raises(InputError, match="reason"):
        room.coordinator.set_state(KEY, StudyState.CLOSED)
    with pytest.raises(AccessError, match="sealed"):
        room.coordinator.readings(KEY)
    assert room.coordinator.set_state(KEY, StudyState.CLOSED, reason="two cases left").state is StudyState.CLOSED
    assert room.coordinator.audit_trail(KEY)[-1].detail["reason"] == "two cases left"
    assert room.coordinator.set_state(KEY, StudyState.OPEN).opened_at is not None


def test_protocol_first_then_readers_then_cases(room: Room, repository: Callable[[Person | None], Repository]) -> None:
    """The orders are made again with every import, and groups alternate in the order of joining."""
    protocol = Protocol(title="T", design=Design.CROSSOVER, cohorts=("internal",), training_cohort="practice")
    room.coordinator.create_study(KEY, protocol)
    first = room.coordinator.add_reader(KEY, "ann")
    second = room.coordinator.add_reader(KEY, "ben")
    assert (first.n_presentations, first.group, second.group) == (0, 1, 2)
    assert room.coordinator.add_reader(KEY, "ann").group == 1  # again: stays where he or she is
    with pytest.raises(InputError, match="does not read"):
        room.coordinator.add_reader(KEY, "ann", cohorts=["external"])
    with pytest.raises(InputError, match="come first by themselves"):
        room.coordinator.add_reader(KEY, "ann", cohorts=["practice"])
    with pytest.raises(InputError, match="groups 1 and 2"):
        room.coordinator.add_reader(KEY, "ann", group=3)
    room.coordinator.import_cases(KEY, make_cases(3, start=700) + make_cases(1, start=800, cohort="practice"))
    room.coordinator.import_cases(KEY, make_cases(2, start=900, cohort="external"))
    counts = {member.person.login: member.n_presentations for member in room.coordinator.members(KEY)}
    assert counts == {"ann": 8, "ben": 8}  # three cases and a training case in each of two arms
    changed = room.coordinator.update_protocol(KEY, replace(protocol, design=Design.UNAIDED, cohorts=("external",)))
    assert changed.protocol_version == 2
    members = room.coordinator.members(KEY)
    assert [(each.n_presentations, each.group, each.cohorts) for each in members] == [(3, None, ("external",))] * 2
