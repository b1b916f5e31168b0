"""Who may call what, and what a reader's calls may touch: every public method, every statement."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

from core.errors import AccessError, ReadingRoomError, SignedOutError
from core.protocol import Protocol
from core.study import Answer, Person, Role, StudyState
from db import SESSION_HOURS, Repository
from db.tables import Base
from tests.db.conftest import CHEAP, STUDY, Clock, Room, make_cases, read_next
from tests.stores import sign_in_as

ANYBODY = ("nobody", "reader", "coordinator")
SIGNED_IN = ("reader", "coordinator")
COORDINATOR = ("coordinator",)
READER = ("reader",)

_ANSWER = Answer("sat", 1)
#: Every public method: who may call it, and arguments to call it with.
MATRIX: dict[str, tuple[tuple[str, ...], tuple, dict]] = {
    "authenticate": (ANYBODY, ("ann", "ann reads at night", "10.0.0.1"), {}),
    "actor_for_token": (ANYBODY, ("token",), {}),
    "sign_out": (ANYBODY, ("token",), {}),
    "study": (SIGNED_IN, (STUDY,), {}),
    "change_my_password": (SIGNED_IN, ("old password", "a new long password"), {}),
    "create_person": (COORDINATOR, ("eve", "Eve", Role.READER), {}),
    "set_password": (COORDINATOR, ("ben", "a new long password"), {}),
    "set_active": (COORDINATOR, ("ben", True), {}),
    "people": (COORDINATOR, (), {}),
    "person": (COORDINATOR, ("ann",), {}),
    "create_study": (COORDINATOR, ("new", Protocol(title="New")), {}),
    "studies": (COORDINATOR, (), {}),
    "update_protocol": (COORDINATOR, (STUDY, Protocol(title="New")), {}),
    "set_state": (COORDINATOR, (STUDY, StudyState.CLOSED), {}),
    "import_cases": (COORDINATOR, (STUDY, make_cases(1, start=300)), {}),
    "check_import": (COORDINATOR, (STUDY, make_cases(1, start=300)), {}),
    "cohorts": (COORDINATOR, (STUDY,), {}),
    "case_counts": (COORDINATOR, (STUDY,), {}),
    "cases": (COORDINATOR, (STUDY,), {}),
    "image_giveaways": (COORDINATOR, (STUDY,), {}),
    "case_image": (COORDINATOR, (STUDY, "case-0000"), {}),
    "add_reader": (COORDINATOR, (STUDY, "ann"), {"cohorts": ["internal"]}),
    "members": (COORDINATOR, (STUDY,), {}),
    "progress": (COORDINATOR, (STUDY,), {}),
    "register_model": (
        COORDINATOR,
        (),
        {"sha256": "a" * 64, "name": "m", "architecture": "a", "path": "p", "metadata": {}},
    ),
    "models": (COORDINATOR, (), {}),
    "model": (COORDINATOR, ("m",), {}),
    "cases_for_prediction": (COORDINATOR, (STUDY,), {}),
    "keys_for_prediction": (COORDINATOR, (STUDY,), {}),
    "save_predictions": (COORDINATOR, (STUDY, "a" * 64, []), {}),
    "prediction_counts": (COORDINATOR, (STUDY,), {}),
    "readings": (COORDINATOR, (STUDY,), {}),
    "predictions": (COORDINATOR, (STUDY, "a" * 64), {}),
    "case_prediction": (COORDINATOR, (STUDY, "a" * 64, "case-0000"), {}),
    "reference_standard": (COORDINATOR, (STUDY,), {}),
    "lesion_mask": (COORDINATOR, (STUDY, "case-0000"), {}),
    "study_data": (COORDINATOR, (STUDY,), {}),
    "record_export": (COORDINATOR, (STUDY, "readings", "b" * 64, 1), {}),
    "check_simulation": (COORDINATOR, (STUDY,), {}),
    "presentations_with_truth": (COORDINATOR, (STUDY, "sim"), {}),
    "save_simulated_readings": (COORDINATOR, (STUDY, "sim", []), {}),
    "audit_trail": (COORDINATOR, (), {}),
    "audit_head": (COORDINATOR, (), {}),
    "record_backup": (COORDINATOR, ("1:" + "a" * 64, "b" * 64), {}),
    "record_restore": (COORDINATOR, ("1:" + "a" * 64, "b" * 64), {}),
    "verify_audit": (COORDINATOR, (), {}),
    "my_studies": (READER, (), {}),
    "my_progress": (READER, (STUDY,), {}),
    "next_presentation": (READER, (STUDY,), {}),
    "upcoming_presentations": (READER, (STUDY,), {}),
    "presentation_image": (READER, ("presentation",), {}),
    "record_shown": (READER, ("presentation",), {}),
    "save_reading": (READER, ("presentation", _ANSWER), {"submit_id": "s"}),
    "last_reading": (READER, (STUDY,), {}),
}
#: Results that nobody gets before the study is unsealed.
SEALED = (
    "readings",
    "predictions",
    "case_prediction",
    "reference_standard",
    "lesion_mask",
    "study_data",
    "record_export",
)
ROLE_REFUSED = r"Your role may not do this|Sign in first"


def _refusal(method, *args, **kwargs) -> str:
    """What a call was refused with, or nothing."""
    try:
        given = method(*args, **kwargs)
        if isinstance(given, Iterator):
            list(given)
    except ReadingRoomError as refused:
        return str(refused)
    return ""


def test_every_public_method_is_in_the_matrix() -> None:
    public = {name for name, found in inspect.getmembers(Repository, callable) if not name.startswith("_")}
    assert public == set(MATRIX)


def test_every_public_method_states_who_may_call_it() -> None:
    roles = {"coordinator": Role.COORDINATOR, "reader": Role.READER}
    for name, (who, _, _) in MATRIX.items():
        stated = getattr(Repository, name).allowed_roles
        assert stated == (set() if who == ANYBODY else {roles[role] for role in who}), name


def test_every_method_refuses_everybody_else_and_only_them(room: Room, repository) -> None:
    actors: dict[str, Person | None] = {"nobody": None, "reader": room.ann.actor, "coordinator": room.coordinator.actor}
    for name, (who, args, kwargs) in MATRIX.items():
        for role, actor in actors.items():
            method = getattr(repository(actor), name)
            if role not in who:
                with pytest.raises(AccessError, match=ROLE_REFUSED):
                    method(*args, **kwargs)
                continue
            # Sealed, not found and so on are answers to somebody who may ask.
            assert not re.search(ROLE_REFUSED, _refusal(method, *args, **kwargs)), (name, role)


def test_a_reader_called_coordinator_is_still_a_reader(room: Room, repository) -> None:
    """A forged person object does not outrank the store."""
    ann = room.ann.actor
    forged = Person(ann.person_id, ann.login, ann.display_name, Role.COORDINATOR)
    with pytest.raises(AccessError):
        repository(forged).people()


#: How a sign-in ends while a screen still holds the repository that was made for it.
ENDINGS: dict[str, Callable[[Room, str, str, Clock], None]] = {
    "signed out elsewhere": lambda room, _, token, __: Repository(room.operator.engine, None).sign_out(token),
    "expired": lambda _, __, ___, clock: clock.forward(hours=SESSION_HOURS + 0.01),
    "password reset": lambda room, login, _, __: room.operator.set_password(login, "quite another password"),
    "deactivated": lambda room, login, _, __: room.operator.set_active(login, False),
    "deactivated and let in again": lambda room, login, _, __: [
        room.operator.set_active(login, is_active) for is_active in (False, True)
    ],
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_method_works_behind_a_sign_in_that_has_ended(room: Room, engine: Engine, clock: Clock, ending: str) -> None:
    for login, role, password in (
        ("ann", "reader", "ann reads at night"),
        ("chief", "coordinator", "correct horse battery"),
    ):
        person = room.operator.person(login)
        token = Repository(engine, None, passwords=CHEAP, clock=clock).authenticate(login, password, "10.0.0.1")
        screen = Repository(engine, person, token=token, passwords=CHEAP, clock=clock)
        assert screen.study(STUDY).key == STUDY  # as long as it lives
        ENDINGS[ending](room, login, token, clock)
        before = _all_rows(engine)
        for name, (who, args, kwargs) in MATRIX.items():
            if role in who and who != ANYBODY:
                assert "Sign in again" in _refusal(getattr(screen, name), *args, **kwargs), name
        assert _all_rows(engine) == before


def test_no_method_works_without_a_sign_in_or_with_that_of_somebody_else(room: Room, engine: Engine) -> None:
    chief, ann = room.coordinator.actor, room.ann.actor
    for token in (None, "", "made up", sign_in_as(engine, ann)):
        screen = Repository(engine, chief, token=token, passwords=CHEAP)
        for name, (who, args, kwargs) in MATRIX.items():
            if "coordinator" in who and who != ANYBODY:
                assert "Sign in again" in _refusal(getattr(screen, name), *args, **kwargs), name


def test_a_sign_out_waits_for_a_deed_that_has_begun(room: Room, engine: Engine) -> None:
    """Otherwise a deed would be stored after the sign-out that should have ended it."""
    token = sign_in_as(engine, room.coordinator.actor)
    chief = Repository(engine, room.coordinator.actor, token=token)
    leaving = threading.Thread(target=Repository(engine, None).sign_out, args=(token,))
    with chief._writing():
        leaving.start()
        leaving.join(0.3)
        assert leaving.is_alive()
    leaving.join(10)
    with pytest.raises(SignedOutError):
        chief.studies()


def _all_rows(engine: Engine) -> str:
    """Everything that stands in the store."""
    with engine.connect() as connection:
        return repr([connection.execute(sa.select(table)).all() for table in Base.metadata.sorted_tables])


@pytest.mark.parametrize("name", SEALED)
def test_results_are_sealed_for_coordinators_too_until_unsealing(room: Room, name: str) -> None:
    _, args, kwargs = MATRIX[name]
    for state in (None, StudyState.CLOSED):
        if state:
            room.coordinator.set_state(STUDY, state)
        with pytest.raises(AccessError, match="sealed"):
            getattr(room.coordinator, name)(*args, **kwargs)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    assert "sealed" not in _refusal(getattr(room.coordinator, name), *args, **kwargs)


def _whole_session(room: Room) -> list[object]:
    """Everything a reader can do, once; gives everything a reader got."""
    ann, got = room.ann, []
    got += [ann.my_studies(), ann.study(STUDY), ann.my_progress(STUDY), ann.last_reading(STUDY)]
    for _ in range(3):
        got.append(ann.upcoming_presentations(STUDY))
        presentation = ann.next_presentation(STUDY)
        got += [presentation, ann.presentation_image(presentation.presentation_id), read_next(ann)]
    last = ann.last_reading(STUDY)
    got.append(last)
    got.append(
        ann.save_reading(last.presentation.presentation_id, Answer("sat", 2), submit_id="again", expected_revision=1)
    )
    with pytest.raises(AccessError):
        ann.change_my_password("wrong password", "a new long password")
    return got


def test_no_statement_of_a_reader_touches_truth_predictions_or_case_descriptions(room: Room, engine: Engine) -> None:
    statements: list[str] = []

    def listen(connection, cursor, statement, parameters, context, executemany) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", listen)
    _whole_session(room)
    event.remove(engine, "before_cursor_execute", listen)
    text = "\n".join(statements)
    assert "INSERT INTO reading" in text  # the listener hears
    # Of the trail a reader's call reads the last hash and adds its own event, nothing else.
    of_trail = {" ".join(each.split())[:80] for each in statements if "audit_event" in each}
    assert all(
        each.startswith(("INSERT INTO audit_event", "SELECT audit_event.sequence, audit_event.hash FROM"))
        for each in of_trail
    )
    for table in (
        "reference_standard",
        "prediction",
        "model_version",
        "study_case",
        "patient",
        "cohort ",
    ):
        assert table not in text, table


def test_nothing_a_reader_gets_names_a_case_a_patient_or_a_file(room: Room) -> None:
    got = repr(_whole_session(room))
    for case in room.cases:
        for secret in (case.case, case.patient, case.source_name, case.scanner):
            assert secret not in got
    for other in ("ben", "Dr Ben", "internal", "external"):
        assert other not in got


def test_every_method_is_documented_in_the_code_and_in_the_contract() -> None:
    contract = (Path(__file__).parents[2] / "docs" / "repository-contract.md").read_text(encoding="utf-8")
    for name in MATRIX:
        assert f"{name}(" in contract, name
        assert inspect.getdoc(getattr(Repository, name)), name
