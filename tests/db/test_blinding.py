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

from core.errors import AccessError, ConflictError, NotFoundError, ReadingRoomError, SignedOutError
from core.protocol import Protocol
from core.study import Answer, Person, Role, StudyState
from db import SESSION_HOURS, Repository
from db.records import ReadElsewhere
from db.tables import Base
from tests.core.analysis_studies import simulated_study
from tests.db.conftest import CHEAP, STUDY, Clock, Room, make_cases, read_next
from tests.stores import sign_in_as

#: Every public method of the store; one that is added falls into every test below by itself.
METHODS = sorted(
    name
    for name, found in inspect.getmembers(Repository, callable)
    if not name.startswith("_") and name != "one_moment"  # gives the same methods, each of which asks again
)
#: Who may call a method, as the method itself says.
ROLES = {name: getattr(Repository, name).allowed_roles for name in METHODS}
#: Whoever has no role at all may call these, and a reader those, for good: add here only what tells nothing.
FOR_NOBODY = {
    "authenticate",
    "actor_for_token",
    "has_accounts",
    "sign_out",
    "invitation_offer",
    "accept_invitation",
    "sign_in_by_provider",
}
FOR_READERS = {
    "study",
    "change_my_password",
    "my_password_set",
    "my_studies",
    "my_progress",
    "next_presentation",
    "upcoming_presentations",
    "presentation_image",
    "picture_boxes",
    "record_shown",
    "record_sent",
    "keep_reading_keys",
    "record_events",
    "save_reading",
    "last_reading",
    "my_readings",
    "model_answer",
    "training_feedback",
}
#: Of a study that is sealed a statistician may know only this, and of no study what these say.
NOT_SEALED = {"study", "studies", "change_my_password", "my_password_set", "model", "models"}
#: Arguments by the name of the parameter; by "method.parameter" where one method wants something else.
ARGUMENTS: dict[str, object] = {
    "study_key": STUDY, "login": "ben", "password": "a new long password", "ip": "10.0.0.1", "token": "token",
    "old_password": "old password", "new_password": "a new long password", "display_name": "Eve", "role": Role.READER,
    "protocol": Protocol(title="New"), "state": StudyState.CLOSED, "case": "case-0000", "cohorts": ["internal"],
    "sha256": "a" * 64, "name": "m", "architecture": "a", "path": "p", "metadata": {}, "name_or_sha256": "m",
    "model_sha256": "a" * 64, "predictions": [], "what": "readings", "n_rows": 1, "answers": [], "is_active": True,
    "receipt": "1:" + "a" * 64, "presentation_id": "presentation", "answer": Answer("sat", 1), "submit_id": "s",
    "years_of_experience": 3.0, "specialty": "radiology", "site": "A", "has_used_model": False,
    "email": "ben@example.org", "issuer": "https://id.example.org",
    "events": [("shown", 0.0)], "draft_id": "d", "first_event": 0, "keys": {"class 1": "KeyZ"},
    "note": "Dr Ben", "invitation_id": "i", "problem": "the disk is full",
    "kind": "washout", "reason": "ill", "declare_altered_answers.answers": {},
    "create_person.login": "eve", "create_study.study_key": "new",
    "create_study_read_elsewhere.study_key": "far", "create_study_read_elsewhere.data": simulated_study(n_cases=8),
    "source": ReadElsewhere((("far.csv", "a" * 64),), "long", {}, ()), "presentations_with_truth.login": "sim",
    "save_simulated_readings.login": "sim", "add_to_study.role": Role.STATISTICIAN,
    "remove_from_study.role": Role.STATISTICIAN,
}  # fmt: skip
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
REFUSED = r"Your role may not do this|Sign in first|There is no study|a statistician sees it after it was unsealed"


def _call(repository: Repository, name: str) -> object:
    """Call a method with arguments that fit; what it yields is taken."""
    given: dict[str, object] = {}
    for parameter in inspect.signature(getattr(Repository, name)).parameters.values():
        if parameter.name == "records":
            given["records"] = make_cases(1, start=300)
        elif parameter.name == "self" or (
            parameter.default is not parameter.empty
            and parameter.name != "study_key"
            and f"{name}.{parameter.name}" not in ARGUMENTS
        ):
            continue
        else:
            key = parameter.name
            assert f"{name}.{key}" in ARGUMENTS or key in ARGUMENTS, f"say in ARGUMENTS what {name} takes as '{key}'"
            given[key] = ARGUMENTS.get(f"{name}.{key}", ARGUMENTS.get(key))
    answer = getattr(repository, name)(**given)
    return list(answer) if isinstance(answer, Iterator) else answer


def _refusal(repository: Repository, name: str) -> str:
    """What a call was refused with, or nothing."""
    try:
        _call(repository, name)
    except ReadingRoomError as refused:
        return str(refused)
    return ""


def _names_a_study(name: str) -> bool:
    """Whether a method is about a study that exists."""
    return (
        not name.startswith("create_study") and "study_key" in inspect.signature(getattr(Repository, name)).parameters
    )


@pytest.fixture
def people(room: Room, repository) -> dict[str, Repository]:
    """One of each role in the study, and those of another study, in which each has every other role."""
    operator = room.operator
    for login, role in (("stan", Role.STATISTICIAN), ("admin", Role.ADMINISTRATOR), ("other", Role.COORDINATOR)):
        operator.create_person(login, login.title(), role, is_temporary=False, password="a long enough password")
    operator.add_to_study(STUDY, "stan", Role.STATISTICIAN)
    operator.create_study("elsewhere", Protocol(title="Elsewhere"), coordinator="other")
    operator.import_cases("elsewhere", make_cases(2, start=500))
    operator.create_person("guest", "Guest", Role.READER, is_temporary=False, password="a long enough password")
    operator.create_person(
        "analyst", "Analyst", Role.STATISTICIAN, is_temporary=False, password="a long enough password"
    )
    operator.add_reader("elsewhere", "guest", cohorts=["internal"])
    operator.add_to_study("elsewhere", "analyst", Role.STATISTICIAN)
    logins = {
        "reader": "ann",
        "coordinator": "chief",
        "statistician": "stan",
        "administrator": "admin",
        "reader elsewhere": "guest",
        "coordinator elsewhere": "other",
        "statistician elsewhere": "analyst",
    }
    found = {who: repository(operator.person(login)) for who, login in logins.items()}
    return {"nobody": repository(None), **found}


WHO = (
    "nobody",
    *(str(role) for role in Role),
    *(f"{role} elsewhere" for role in Role if role is not Role.ADMINISTRATOR),
)


def _expected(name: str, who: str) -> str:
    """What must stop this person, as a pattern; nothing if he or she may ask."""
    roles = ROLES[name]
    if not roles:
        return ""
    if who == "nobody":
        return "Sign in first"
    role, _, elsewhere = who.partition(" ")
    if Role(role) not in roles:
        return "Your role may not do this"
    if elsewhere and _names_a_study(name):
        return "There is no study"
    if elsewhere and "presentation_id" in inspect.signature(getattr(Repository, name)).parameters:
        return "There is no such presentation"
    if role == Role.STATISTICIAN and name not in NOT_SEALED:
        return "a statistician sees it after it was unsealed"
    return ""


@pytest.mark.parametrize("who", WHO)
def test_the_matrix_every_method_by_every_role_of_the_study_and_of_another_one(
    who: str, people: dict[str, Repository], engine: Engine
) -> None:
    """A study in which one has no part is as if it were not there."""
    before = _all_rows(engine)
    for name in METHODS:
        if expected := _expected(name, who):
            found = _refusal(people[who], name)
            assert re.search(expected, found), (name, found)
    assert _all_rows(engine) == before
    for name in METHODS:
        if not _expected(name, who):  # not found, conflicts and so on are answers to somebody who may ask
            found = _refusal(people[who], name)
            assert not re.search(REFUSED, found), (name, found)


@pytest.mark.parametrize("who", WHO[1:])
def test_within_one_moment_every_method_refuses_the_same(who: str, people: dict[str, Repository]) -> None:
    """Also after a method that was allowed has left the study in the transaction."""
    with people[who].one_moment() as desk:
        for name in ("study", *METHODS):
            if expected := _expected(name, who):
                assert re.search(expected, _refusal(desk, name)), name
            elif name == "study":
                assert desk.study(STUDY).key == STUDY


def test_what_readers_and_nobody_may_call_is_a_closed_list() -> None:
    assert {name for name in METHODS if not ROLES[name]} == FOR_NOBODY
    assert {name for name in METHODS if Role.READER in ROLES[name]} == FOR_READERS
    only_reading = FOR_READERS - {"study", "change_my_password", "my_password_set"}
    assert all(ROLES[name] == {Role.READER} for name in only_reading)


def test_lists_give_a_coordinator_nothing_of_the_studies_and_people_of_others(people: dict[str, Repository]) -> None:
    chief, other, admin = people["coordinator"], people["coordinator elsewhere"], people["administrator"]
    assert [study.key for study in chief.studies()] == [STUDY]
    assert [study.key for study in other.studies()] == ["elsewhere"]
    assert [study.key for study in admin.studies()] == [STUDY, "elsewhere"]
    assert {person.login for person in other.people()} == {"other", "guest", "analyst"}
    assert {"ann", "ben", "guest", "other"} <= {person.login for person in admin.people()}
    seen = repr(other.audit_trail())
    assert "elsewhere" in seen
    for secret in (STUDY, "ann", "ben", "chief"):
        assert f"'{secret}'" not in seen, secret
    assert not other.verify_audit().problems


def test_a_person_may_coordinate_one_study_and_read_in_another_but_never_both_in_one(
    room: Room, people: dict[str, Repository], repository
) -> None:
    operator = room.operator
    operator.add_reader("elsewhere", "chief", cohorts=["internal"])
    chief = repository(operator.person("chief"))
    assert chief.actor.roles == {Role.COORDINATOR}  # `person` says only the role of the account
    assert next(p for p in operator.people() if p.login == "chief").roles == {Role.COORDINATOR, Role.READER}
    for login, role, part in (("ann", Role.COORDINATOR, "reader"), ("stan", Role.COORDINATOR, "statistician")):
        with pytest.raises(ConflictError, match=f"'{login}' is {part} of study 'demo' already"):
            operator.add_to_study(STUDY, login, role)
    with pytest.raises(ConflictError, match="'other' is coordinator of study 'elsewhere' already"):
        operator.add_reader("elsewhere", "other", cohorts=["internal"])
    with pytest.raises(ConflictError, match="administrator"):
        operator.add_to_study(STUDY, "admin", Role.COORDINATOR)
    operator.add_to_study("elsewhere", "stan", Role.COORDINATOR)
    operator.remove_from_study("elsewhere", "stan", Role.COORDINATOR)
    with pytest.raises(ConflictError, match="was coordinator"):
        operator.add_reader("elsewhere", "stan", cohorts=["internal"])


def test_the_last_coordinator_stays_and_one_who_leaves_is_out_at_once(
    room: Room, people: dict[str, Repository]
) -> None:
    other = people["coordinator elsewhere"]
    with pytest.raises(ConflictError, match="only coordinator"):
        room.operator.remove_from_study("elsewhere", "other", Role.COORDINATOR)
    with pytest.raises(ConflictError, match="ask somebody else"):
        people["administrator"].add_to_study("elsewhere", "admin", Role.COORDINATOR)
    people["administrator"].add_to_study("elsewhere", "chief", Role.COORDINATOR)
    people["coordinator"].remove_from_study("elsewhere", "other", Role.COORDINATOR)
    with pytest.raises(NotFoundError):
        other.members("elsewhere")
    assert other.studies() == []
    assert not room.operator.verify_audit().problems


def test_a_statistician_sees_results_after_unsealing_and_changes_nothing(
    room: Room, people: dict[str, Repository], engine: Engine
) -> None:
    stan = people["statistician"]
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(STUDY, state)
    before = _all_rows(engine)
    for name in METHODS:
        if Role.STATISTICIAN in ROLES[name] and name not in ("record_export", "change_my_password"):  # a guess counts
            assert not re.search(REFUSED + "|sealed", _refusal(stan, name)), name
    assert _all_rows(engine) == before
    stan.record_export(STUDY, "readings", "b" * 64, 1)
    assert room.operator.audit_trail(STUDY)[-1].actor == "stan"


def test_images_shared_with_a_study_of_somebody_else_name_neither_it_nor_its_cases(
    people: dict[str, Repository], room: Room
) -> None:
    other = people["coordinator elsewhere"]
    with pytest.raises(ConflictError, match="a study that you do not coordinate") as refused:
        other.import_cases("elsewhere", make_cases(6))
    assert STUDY not in str(refused.value).replace("demographic", "")
    done = other.import_cases("elsewhere", make_cases(6), shared_images="same centre")
    assert STUDY not in repr(done)
    assert f"'{STUDY}'" not in repr(other.audit_trail())
    assert "elsewhere" not in repr(room.coordinator.audit_trail())
    assert "'studies': ['elsewhere', 'demo']" in repr(people["administrator"].audit_trail())


def test_a_reader_called_coordinator_is_still_a_reader(room: Room, repository) -> None:
    """A forged person object does not outrank the store."""
    ann = room.ann.actor
    for role, roles in ((Role.COORDINATOR, ()), (Role.READER, (Role.COORDINATOR, Role.ADMINISTRATOR))):
        forged = Person(ann.person_id, ann.login, ann.display_name, role, roles=frozenset(roles))
        with pytest.raises(AccessError):
            repository(forged).people()
        with pytest.raises((AccessError, NotFoundError)):
            repository(forged).members(STUDY)


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
        for name in METHODS:
            if role in ROLES[name]:
                assert "Sign in again" in _refusal(screen, name), name
        assert _all_rows(engine) == before


def test_no_method_works_without_a_sign_in_or_with_that_of_somebody_else(room: Room, engine: Engine) -> None:
    chief, ann = room.coordinator.actor, room.ann.actor
    for token in (None, "", "made up", sign_in_as(engine, ann)):
        screen = Repository(engine, chief, token=token, passwords=CHEAP)
        for name in METHODS:
            if Role.COORDINATOR in ROLES[name]:
                assert "Sign in again" in _refusal(screen, name), name


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
    for state in (None, StudyState.CLOSED):
        if state:
            room.coordinator.set_state(STUDY, state)
        assert "sealed" in _refusal(room.coordinator, name)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)
    assert "sealed" not in _refusal(room.coordinator, name)


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
    got.append(ann.my_readings(STUDY))
    for refused in (ann.model_answer, ann.training_feedback):  # before a statement that would tell
        with pytest.raises(AccessError):
            refused(last.presentation.presentation_id)
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
        "lesion_mask",
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
    for name in METHODS:
        assert f"{name}(" in contract, name
        assert inspect.getdoc(getattr(Repository, name)), name
