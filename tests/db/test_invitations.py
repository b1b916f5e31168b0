"""Invitations: one person, one time; and readers who leave again."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import AccessError, ConflictError, InputError, NotFoundError, ReadingRoomError
from core.study import Role, StudyState
from db import Repository
from db.engine import writing
from db.tables import Base, StudyMemberRow
from tests.db.conftest import CHEAP, STUDY, Clock, Room, read_next

PASSWORD = "chosen by Eve alone"


@pytest.fixture
def nobody(engine: Engine, clock: Clock) -> Repository:
    return Repository(engine, None, passwords=CHEAP, clock=clock)


def test_an_invited_reader_takes_part_with_a_password_that_nobody_else_knew(
    room: Room, nobody: Repository, engine: Engine, clock: Clock
) -> None:
    chief = room.coordinator
    made = chief.invite(Role.READER, "Dr Eve, Ulm", study_key=STUDY, cohorts=["internal"])
    offer = nobody.invitation_offer(made.token)
    assert offer is not None
    assert (offer.role, offer.study_title) == (Role.READER, "Demo")
    eve = nobody.accept_invitation(
        made.token, "Eve", "Dr Eve", PASSWORD, years_of_experience=3, specialty="radiology", site="Ulm",
        has_used_model=True,
    )  # fmt: skip
    token = nobody.authenticate("eve", PASSWORD, "10.0.0.1")
    desk = Repository(engine, nobody.actor_for_token(token), token=token, passwords=CHEAP, clock=clock)
    assert desk.actor == eve
    assert desk.my_password_set() is None
    assert desk.my_progress(STUDY).n_total == 6
    read_next(desk)
    used = chief.invitations()[0]
    assert (used.used_by, used.note, used.revoked_at) == ("eve", "Dr Eve, Ulm", None)
    trail = chief.audit_trail()
    assert [(e.actor, e.action) for e in trail[-5:-1]] == [
        ("eve", "person.create"), ("eve", "study.reader"), ("eve", "invitation.use"), ("eve", "sign-in"),
    ]  # fmt: skip
    with engine.connect() as connection:
        stored = repr([connection.execute(sa.select(table)).all() for table in Base.metadata.sorted_tables])
    assert made.token not in stored
    assert PASSWORD not in stored
    assert chief.verify_audit().is_intact
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        chief.set_state(STUDY, state)
    assert [each.password_set_by for each in chief.readings(STUDY)] == [None]


def test_an_invitation_is_used_once_also_by_many_at_the_same_time(room: Room, engine: Engine, clock: Clock) -> None:
    made = room.coordinator.invite(Role.STATISTICIAN, "one of them", study_key=STUDY)
    answers: list[str] = []

    def accept(number: int) -> None:
        desk = Repository(engine, None, passwords=CHEAP, clock=clock)
        try:
            answers.append(desk.accept_invitation(made.token, f"eve-{number}", "Eve", PASSWORD).login)
        except ReadingRoomError as refused:
            answers.append(type(refused).__name__)

    threads = [threading.Thread(target=accept, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers)[:7] == ["AccessError"] * 7
    assert [part.person.login for part in room.coordinator.study_people(STUDY) if part.role is Role.STATISTICIAN] == [
        max(answers)
    ]


def test_an_invitation_ends_by_time_by_hand_and_with_the_right_of_who_made_it(
    room: Room, nobody: Repository, repository, clock: Clock
) -> None:
    chief, operator = room.coordinator, room.operator
    operator.create_person("second", "Second", Role.COORDINATOR, is_temporary=False, password="a long enough password")
    operator.add_to_study(STUDY, "second", Role.COORDINATOR)
    second = repository(operator.person("second"))
    late, back, made = (second.invite(Role.READER, "Eve", study_key=STUDY, days=days) for days in (1, 30, 30))
    clock.forward(days=2)
    chief.revoke_invitation(back.invitation_id)  # also one that the other coordinator made
    with pytest.raises(NotFoundError):
        chief.revoke_invitation(back.invitation_id)
    chief.remove_from_study(STUDY, "second", Role.COORDINATOR)
    for token in (late.token, back.token, made.token, "made up", ""):
        assert nobody.invitation_offer(token) is None
        with pytest.raises(AccessError, match="cannot be used"):
            nobody.accept_invitation(token, "eve", "Eve", PASSWORD)
    assert "eve" not in {person.login for person in operator.people()}


def test_what_the_invited_person_types_wrong_leaves_the_invitation_usable(room: Room, nobody: Repository) -> None:
    made = room.coordinator.invite(Role.READER, "Eve", study_key=STUDY)
    for login, name, password, error in (
        ("a b", "Eve", PASSWORD, InputError), ("eve", " ", PASSWORD, InputError), ("eve", "Eve", "short", InputError),
        ("ann", "Eve", PASSWORD, ConflictError), ("operator", "Eve", PASSWORD, InputError),
    ):  # fmt: skip
        with pytest.raises(error):
            nobody.accept_invitation(made.token, login, name, password)
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    with pytest.raises(ConflictError, match="only while it is draft or open"):
        nobody.accept_invitation(made.token, "eve", "Eve", PASSWORD)
    room.coordinator.set_state(STUDY, StudyState.OPEN)
    assert nobody.accept_invitation(made.token, "eve", "Eve", PASSWORD).login == "eve"


@pytest.mark.parametrize(
    ("role", "options", "error", "said"),
    [
        (Role.READER, {"note": " "}, InputError, "note"),
        (Role.READER, {"days": 0}, InputError, "days"),
        (Role.READER, {"cohorts": ["nowhere"]}, NotFoundError, "no cohort 'nowhere'. Fix: use"),
        (Role.STATISTICIAN, {"cohorts": ["internal"]}, InputError, "only a reader"),
        (Role.ADMINISTRATOR, {}, AccessError, "Only an administrator"),
        (Role.READER, {"study_key": "elsewhere"}, NotFoundError, "no study 'elsewhere'"),
    ],
)
def test_an_invitation_that_will_not_do_is_refused(
    room: Room, role: Role, options: dict, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        room.coordinator.invite(role, **{"note": "Eve", "study_key": STUDY, **options})
    assert room.coordinator.invitations() == []


def test_a_reader_is_removed_before_the_first_reading_and_withdrawn_after_it(room: Room, engine: Engine) -> None:
    chief = room.coordinator
    chief.remove_reader(STUDY, "ben")
    assert [member.person.login for member in chief.members(STUDY)] == ["ann", "sim"]
    assert room.ben.my_studies() == []
    chief.add_reader(STUDY, "ben", cohorts=["internal"])  # as if never added
    presentation = room.ann.next_presentation(STUDY)
    read_next(room.ann)
    with pytest.raises(ConflictError, match="Fix: withdraw"):
        chief.remove_reader(STUDY, "ann")
    with pytest.raises(InputError, match="reason"):
        chief.withdraw_reader(STUDY, "ann", " ")
    chief.withdraw_reader(STUDY, "ann", "moved to another hospital")
    assert chief.verify_audit().is_intact
    assert room.ann.my_studies() == []
    for deed in (
        lambda: room.ann.next_presentation(STUDY),
        lambda: room.ann.presentation_image(presentation.presentation_id),
        lambda: room.ann.record_shown(presentation.presentation_id),
        lambda: read_next(room.ann),
    ):
        with pytest.raises(NotFoundError):
            deed()
    for again in (
        lambda: chief.withdraw_reader(STUDY, "ann", "again"),
        lambda: chief.add_reader(STUDY, "ann", cohorts=["internal"]),
        lambda: room.operator.add_to_study(STUDY, "ann", Role.STATISTICIAN),
    ):
        with pytest.raises(ConflictError):
            again()
    assert {row.is_withdrawn for row in chief.progress(STUDY) if row.person.login == "ann"} == {True}
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        chief.set_state(STUDY, state)
    assert [(each.reader, each.is_withdrawn) for each in chief.readings(STUDY)] == [("ann", True)]
    assert "withdrawn" in repr(chief.audit_trail(STUDY))
    with writing(engine).begin() as connection:
        connection.execute(sa.update(StudyMemberRow).values(withdrawn_at=None))
    assert any("reader 'ann'" in problem for problem in chief.verify_audit().problems)
