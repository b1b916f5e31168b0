"""Signing in, staying in, and being let out."""

from __future__ import annotations

import threading

import argon2
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import AccessError, ConflictError, InputError, NotFoundError, SignedOutError
from core.protocol import Protocol
from core.study import Role, StudyState
from db import OPERATOR, Repository
from db.engine import writing
from db.repository.sign_in import OF_ADDRESS, OF_LOGIN_AND_ADDRESS, subscriber_of
from db.tables import PasswordSetRow, PersonRow, SignInSessionRow, StudyRow
from tests.db.conftest import CHEAP, STUDY, Clock, Room, make_cases, read_next

PASSWORD = "ann reads at night"


@pytest.fixture
def nobody(repository) -> Repository:
    return repository(None)


def test_a_right_password_gives_a_token_that_leads_back_to_the_person(room: Room, nobody: Repository) -> None:
    token = nobody.authenticate(" ANN ", PASSWORD, "10.0.0.1")
    assert nobody.actor_for_token(token) == room.ann.actor
    assert nobody.actor_for_token(token + "x") is None
    assert nobody.actor_for_token("") is None
    assert token != nobody.authenticate("ann", PASSWORD, "10.0.0.1")


def test_neither_token_nor_password_is_stored(room: Room, nobody: Repository, engine: Engine) -> None:
    token = nobody.authenticate("ann", PASSWORD, "10.0.0.1")
    with engine.connect() as connection:
        stored = repr(connection.execute(sa.select(SignInSessionRow.__table__)).all())
        stored += repr(connection.execute(sa.select(PersonRow.__table__)).all())
    stored += repr(room.operator.audit_trail())
    assert token not in stored
    assert PASSWORD not in stored
    assert "$argon2id$" in stored
    assert "$argon2id$" not in repr(room.operator.people()) + repr(room.operator.audit_trail())


def test_one_text_for_every_cause_of_refusal(room: Room, nobody: Repository) -> None:
    room.coordinator.set_active("ben", False)
    texts = set()
    for login, password in (
        ("ann", "wrong password"),
        ("nobody-here", PASSWORD),
        ("ben", "ben reads by day"),
        ("sim", ""),
    ):
        with pytest.raises(AccessError) as refused:
            nobody.authenticate(login, password, "10.0.0.1")
        texts.add(str(refused.value))
    assert len(texts) == 1


def test_twenty_bad_attempts_are_delayed_and_the_person_elsewhere_is_not_locked_out(
    room: Room, nobody: Repository, clock: Clock
) -> None:
    waits = 0
    for _ in range(20):
        with pytest.raises(AccessError) as refused:
            nobody.authenticate("ann", "wrong password", "6.6.6.6")
        waits += "Wait" in str(refused.value)
    assert waits == 15
    with pytest.raises(AccessError, match="Wait 1 seconds"):
        nobody.authenticate("ann", PASSWORD, "6.6.6.6")  # even the right one waits
    assert nobody.authenticate("ann", PASSWORD, "10.0.0.1")
    clock.forward(seconds=2)
    assert nobody.authenticate("ann", PASSWORD, "6.6.6.6")


def test_the_delay_grows_up_to_five_minutes_and_is_forgotten_after_success(
    room: Room, nobody: Repository, clock: Clock
) -> None:
    waits = []
    for attempt in range(16):
        with pytest.raises(AccessError, match="Check the login"):
            nobody.authenticate("ann", "wrong password", "6.6.6.6")
        if attempt >= 4:
            with pytest.raises(AccessError) as refused:
                nobody.authenticate("ann", "wrong password", "6.6.6.6")
            waits.append(int(str(refused.value).split("Wait ")[1].split()[0]))
        clock.forward(seconds=OF_LOGIN_AND_ADDRESS.longest_delay_s + 1)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    nobody.authenticate("ann", PASSWORD, "6.6.6.6")
    for _ in range(5):
        with pytest.raises(AccessError, match="Check the login"):
            nobody.authenticate("ann", "wrong password", "6.6.6.6")


def test_guesses_at_the_same_time_are_all_counted(room: Room, nobody: Repository) -> None:
    answers: list[str] = []

    def guess() -> None:
        try:
            nobody.authenticate("ann", "wrong password", "6.6.6.6")
        except AccessError as refused:
            answers.append(str(refused))

    threads = [threading.Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    with pytest.raises(AccessError, match="Wait"):
        nobody.authenticate("ann", "wrong password", "6.6.6.6")


def test_sign_out_ends_the_sign_in_and_only_that(room: Room, nobody: Repository) -> None:
    first, second = (nobody.authenticate("ann", PASSWORD, "10.0.0.1") for _ in range(2))
    nobody.sign_out(first)
    nobody.sign_out("never was")
    assert nobody.actor_for_token(first) is None
    assert nobody.actor_for_token(second) is not None


def test_a_sign_in_ends_by_itself(room: Room, engine: Engine, clock: Clock) -> None:
    nobody = Repository(engine, None, passwords=CHEAP, clock=clock, session_hours=2)
    token = nobody.authenticate("ann", PASSWORD, "10.0.0.1")
    clock.forward(hours=1.9)
    assert nobody.actor_for_token(token) is not None
    clock.forward(hours=0.2)
    assert nobody.actor_for_token(token) is None


def test_a_new_password_ends_every_sign_in(room: Room, nobody: Repository, clock: Clock) -> None:
    token = nobody.authenticate("ann", PASSWORD, "10.0.0.1")
    room.coordinator.set_password("ann", "another long password")
    assert nobody.actor_for_token(token) is None
    token = nobody.authenticate("ann", "another long password", "10.0.0.1")
    ann = Repository(nobody.engine, room.ann.actor, token=token, passwords=CHEAP, clock=clock)
    with pytest.raises(AccessError, match="old password"):
        ann.change_my_password(PASSWORD, "a third long password")
    ann.change_my_password("another long password", "a third long password")
    assert nobody.actor_for_token(token) is None
    assert nobody.authenticate("ann", "a third long password", "10.0.0.1")


def test_an_inactive_person_can_do_nothing_from_that_moment(room: Room, nobody: Repository, repository) -> None:
    token = nobody.authenticate("ann", PASSWORD, "10.0.0.1")
    room.coordinator.set_active("ann", False)
    assert nobody.actor_for_token(token) is None
    with pytest.raises(AccessError):
        read_next(room.ann)
    room.coordinator.set_active("ann", True)
    assert nobody.actor_for_token(token) is None
    with pytest.raises(SignedOutError):
        read_next(room.ann)
    read_next(repository(room.ann.actor))  # after signing in anew


def test_a_role_that_changed_in_the_store_counts_at_once(room: Room, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(PersonRow).where(PersonRow.login == "chief").values(role="reader"))
    with pytest.raises(AccessError):
        room.coordinator.progress(STUDY)


def test_coordinators_cannot_shut_themselves_out(room: Room) -> None:
    with pytest.raises(ConflictError):
        room.coordinator.set_active("chief", False)


def test_a_login_is_taken_once_whatever_its_case(room: Room) -> None:
    with pytest.raises(ConflictError):
        room.operator.create_person("ANN", "Another Ann", Role.READER)


def test_logins_that_will_not_do(room: Room) -> None:
    for login in ("", " ", "a b", "operator", "nobody", "ä", "x" * 65, "-a", "<script>"):
        with pytest.raises(InputError) as refused:
            room.operator.create_person(login, "Name", Role.READER)
        assert refused.value.field == "login"


def test_people_are_listed_without_secrets_and_unknown_ones_are_not_found(room: Room) -> None:
    assert [person.login for person in room.operator.people()] == ["ann", "ben", "chief", "sim"]
    assert room.operator.person("Sim").is_simulated
    for call in (lambda: room.operator.person("eve"), lambda: room.operator.set_password("eve", "long enough, eve")):
        with pytest.raises(NotFoundError):
            call()


def test_the_operator_is_nobody_who_could_sign_in(room: Room, nobody: Repository) -> None:
    with pytest.raises(AccessError):
        nobody.authenticate(OPERATOR.login, "whatever it is", "127.0.0.1")


def test_a_hash_of_an_older_profile_is_renewed_at_sign_in(room: Room, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(PersonRow).where(PersonRow.login == "ann").values(password_hash=_old_hash()))
    Repository(engine, None, passwords=CHEAP).authenticate("ann", PASSWORD, "10.0.0.1")
    with engine.connect() as connection:
        stored = connection.execute(sa.select(PersonRow.password_hash).where(PersonRow.login == "ann")).scalar_one()
    assert not CHEAP.needs_new_hash(stored)
    Repository(engine, None, passwords=CHEAP).authenticate("ann", PASSWORD, "10.0.0.1")


def _old_hash() -> str:
    return argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)


def _fail(nobody: Repository, login: str, ip: str) -> str:
    with pytest.raises(AccessError) as refused:
        nobody.authenticate(login, "wrong password", ip)
    return str(refused.value)


def test_an_address_that_tries_many_logins_has_to_wait(room: Room, nobody: Repository) -> None:
    answers = [_fail(nobody, f"login-{number}", "6.6.6.6") for number in range(OF_ADDRESS.free + 1)]
    assert not any("Wait" in text for text in answers[:-1])
    assert "Wait 1 seconds" in answers[-1]
    assert "Wait" in _fail(nobody, "ann", "6.6.6.6")
    assert "Check the login" in _fail(nobody, "ann", "7.7.7.7")


def test_a_new_address_of_the_same_subscriber_is_no_new_start(room: Room, repository) -> None:
    """With IPv6 one line has more addresses than anybody could block: they count as one."""
    plain, mapped, six, link, none = map(
        subscriber_of, ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:a::9", "fe80::1%eth0", "x")
    )
    assert (plain, mapped, six, link, none) == ("192.0.2.1", "192.0.2.1", "2001:db8:1:2::/64", "fe80::/64", "x")
    refused = ""
    for number in range(OF_ADDRESS.free + 2):
        with pytest.raises(AccessError) as error:
            repository(None).authenticate(f"login-{number}", "wrong", f"2001:db8:1:2::{number:x}")
        refused = str(error.value)
    assert "Wait" in refused
    assert repository(None).authenticate("ann", "ann reads at night", "2001:db8:1:3::1")
    with pytest.raises(AccessError, match="Wait"):
        repository(None).authenticate("ben", "ben reads by day", "2001:db8:1:2:ffff::1")


def test_a_login_that_is_tried_from_many_addresses_has_to_wait(room: Room, nobody: Repository) -> None:
    answers = [_fail(nobody, "ann", f"10.1.0.{number}") for number in range(OF_ADDRESS.free + 1)]
    assert "Wait" in answers[-1]
    assert "Wait" in _fail(nobody, "ann", "10.2.0.1")
    assert "Check the login" in _fail(nobody, "ben", "10.2.0.1")


def test_neither_locks_out_a_person_who_signed_in_from_this_address_before(
    room: Room, nobody: Repository, clock: Clock
) -> None:
    nobody.authenticate("ann", PASSWORD, "10.0.0.1")
    for number in range(OF_ADDRESS.free + 20):
        _fail(nobody, "ann", f"10.1.0.{number}")
        _fail(nobody, f"login-{number}", "10.0.0.1")
    assert "Wait" in _fail(nobody, "ann", "10.3.0.1")
    assert "Wait" in _fail(nobody, "ben", "10.0.0.1")
    assert nobody.authenticate("ann", PASSWORD, "10.0.0.1")


def test_right_passwords_from_one_address_are_no_failures(room: Room, nobody: Repository, repository) -> None:
    """Sixty readers behind one router."""
    for number in range(OF_ADDRESS.free + 20):
        room.operator.create_person(
            f"p{number}", "Somebody", Role.READER, is_temporary=False, password="a password for all"
        )
        nobody.authenticate(f"p{number}", "a password for all", "10.0.0.1")
    assert "Check the login" in _fail(nobody, "ben", "10.0.0.1")


def test_sign_ins_failures_and_sign_outs_stand_in_the_trail_under_the_right_name(
    room: Room, nobody: Repository
) -> None:
    before = len(room.operator.audit_trail())
    _fail(nobody, "ann", "10.0.0.1")
    _fail(nobody, "my secret password", "10.0.0.1")
    token = nobody.authenticate("ANN", PASSWORD, "10.0.0.1")
    nobody.sign_out(token)
    nobody.sign_out(token)
    room.coordinator.set_password("ann", "another long password")
    of_the_way = {"password", "session", "until"}  # tests/db/test_ways_in.py
    said = [
        (event.actor, event.action, {name: told for name, told in event.detail.items() if name not in of_the_way})
        for event in room.operator.audit_trail()[before:]
    ]
    assert said == [
        ("nobody", "sign-in.failed", {"login": "ann", "ip": "10.0.0.1"}),
        ("nobody", "sign-in.failed", {"login": None, "ip": "10.0.0.1"}),  # it might be a password
        ("ann", "sign-in", {"ip": "10.0.0.1"}),
        ("ann", "sign-out", {}),
        ("chief", "person.password", {"login": "ann", "is_by_other": True}),
    ]
    assert room.operator.verify_audit().is_intact


@pytest.mark.parametrize("giver", ["coordinator", "operator"])
def test_the_first_password_that_somebody_else_gives_is_changed_before_anything_else(
    room: Room, repository, giver: str
) -> None:
    """On the screen, where a coordinator gives it, and on the command line, where the operator does."""
    cara = getattr(room, giver).create_person("cara", "Cara", Role.READER, password="given by the chief")
    assert cara.must_change_password
    with pytest.raises(AccessError, match="changed at the first sign-in"):
        room.coordinator.create_person("dan", "Dan", Role.READER, password="given by the chief", is_temporary=False)
    desk = repository(cara)
    with pytest.raises(AccessError, match="Choose a new password"):
        desk.my_studies()
    desk.change_my_password("given by the chief", "known to cara alone")
    assert not room.operator.person("cara").must_change_password


def test_guesses_at_the_present_password_are_counted_where_it_is_changed(room: Room, clock: Clock) -> None:
    """A desk that was left open: whoever sits there guesses as slowly as at the door."""
    said = []
    for _ in range(OF_LOGIN_AND_ADDRESS.free + 1):
        with pytest.raises(AccessError) as refused:
            room.ann.change_my_password("a wrong password", "another long password")
        said.append(str(refused.value))
    assert said[:-1] == ["The old password is wrong."] * OF_LOGIN_AND_ADDRESS.free
    assert "Wait 1 seconds" in said[-1]
    clock.forward(seconds=2)
    room.ann.change_my_password(PASSWORD, "another long password")
    refused_ones = [event for event in room.operator.audit_trail() if event.action == "person.password-refused"]
    assert {event.actor for event in refused_ones} == {"ann"}
    assert len(refused_ones) == OF_LOGIN_AND_ADDRESS.free


def test_a_login_that_no_store_can_hold_is_refused_like_any_other(room: Room, nobody: Repository) -> None:
    for login in ("ann\x00", "\ud800", "x" * 300):
        assert "Check the login" in _fail(nobody, login, "10.0.0.1")


def test_who_resets_a_password_is_told_to_its_owner_and_stands_beside_every_later_reading(
    room: Room, nobody: Repository, clock: Clock
) -> None:
    """A coordinator who resets a reader's password could answer as that reader (F6)."""
    read_next(room.ann)
    clock.forward(minutes=1)
    room.coordinator.set_password("ann", "a password of the chief")
    token = nobody.authenticate("ann", "a password of the chief", "10.0.0.1")
    person = nobody.actor_for_token(token)
    assert person is not None
    assert person.must_change_password
    ann = Repository(nobody.engine, person, token=token, passwords=CHEAP, clock=clock)
    for deed in (lambda: read_next(ann), ann.my_studies, lambda: ann.study(STUDY)):
        with pytest.raises(AccessError, match="set by somebody else"):
            deed()
    told = ann.my_password_set()
    assert told is not None
    assert (told.set_by, told.set_at) == ("chief", clock.now)
    with pytest.raises(InputError, match="is the old one"):
        ann.change_my_password("a password of the chief", "a password of the chief")
    ann.change_my_password("a password of the chief", "one that Ann alone knows")
    token = nobody.authenticate("ann", "one that Ann alone knows", "10.0.0.1")
    ann = Repository(nobody.engine, nobody.actor_for_token(token), token=token, passwords=CHEAP, clock=clock)
    clock.forward(minutes=1)
    read_next(ann)
    (progress,) = {row.password_set for row in room.coordinator.progress(STUDY) if row.person.login == "ann"}
    assert progress == told
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(STUDY, state)
    assert [reading.password_set_by for reading in room.coordinator.readings(STUDY)] == ["operator", "chief"]
    assert room.operator.verify_audit().is_intact
    with writing(nobody.engine).begin() as connection:
        connection.execute(sa.delete(PasswordSetRow).where(PasswordSetRow.set_by == "chief"))
    assert "who gave 'ann' a password is not as the trail says" in room.operator.verify_audit().problems


def test_a_coordinator_opens_no_way_into_the_studies_of_others(room: Room, repository) -> None:
    operator = room.operator
    operator.create_person("other", "Other", Role.COORDINATOR, is_temporary=False, password="a long enough password")
    other = repository(operator.person("other"))
    other.create_study("elsewhere", Protocol(title="Elsewhere"))
    other.import_cases("elsewhere", make_cases(2, start=500))
    other.add_reader("elsewhere", "ben", cohorts=["internal"])
    for coordinator in (room.coordinator, other):
        for deed in (
            lambda repository: repository.set_password("ben", "a new long password"),
            lambda repository: repository.set_active("ben", False),
            lambda repository: repository.set_email("ben", "mine@example.org"),
        ):
            with pytest.raises(AccessError, match=r"not in your care alone\. Fix: ask an administrator"):
                deed(coordinator)
    with pytest.raises(NotFoundError):
        other.set_password("ann", "a new long password")
    with pytest.raises(ConflictError, match="yourself"):
        room.coordinator.set_password("chief", "a new long password")
    with pytest.raises(AccessError, match="Only an administrator"):
        room.coordinator.create_person("root", "Root", Role.ADMINISTRATOR)
    admin = repository(
        operator.create_person(
            "admin", "Admin", Role.ADMINISTRATOR, is_temporary=False, password="a long enough password"
        )
    )
    admin.set_password("ben", "a new long password")
    admin.set_active("chief", False)


@pytest.mark.parametrize(
    "password",
    ["1234567890", "Password123!", "qwertyuiop", "iloveyou2026", "sunshine!!!!", "QWERTY123456", "...dragon1999..."],
)
def test_a_common_password_is_refused_without_being_repeated(room: Room, password: str) -> None:
    with pytest.raises(InputError) as refused:
        room.coordinator.set_password("ann", password)
    assert password not in str(refused.value)
    assert "Fix:" in str(refused.value)


def test_what_reviewers_ask_about_a_reader_is_kept_and_sealed_with_the_order(room: Room) -> None:
    chief = room.coordinator
    told = {"years_of_experience": 4.0, "specialty": " Nuclear medicine ", "site": "Ulm", "has_used_model": False}
    eve = chief.create_person("eve", "Eve", Role.READER, email="Eve@Example.org ", **told)
    assert (eve.specialty, eve.email, eve.has_used_model) == ("Nuclear medicine", "eve@example.org", False)
    chief.describe_person("eve", **{**told, "site": "Bonn"})
    assert chief.person("eve").site == "Bonn"
    chief.add_reader(STUDY, "eve", cohorts=["internal"])
    with pytest.raises(ConflictError, match="sealed"):
        chief.describe_person("eve", **told)
    with pytest.raises(ConflictError, match=r"email 'eve@example\.org' already"):
        chief.create_person("eva", "Eva", Role.READER, email="eve@example.org")
    with pytest.raises(InputError, match="not an e-mail address"):
        chief.set_email("eve", "eve at example")
    assert chief.verify_audit().is_intact


def test_a_reader_is_not_described_anew_while_the_study_is_being_opened(room: Room) -> None:
    """PostgreSQL: else the seal of the order would be broken by nobody's fault."""
    engine, found = room.operator.engine, []
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    room.coordinator.create_study("draft", Protocol(title="T"))
    room.coordinator.create_person("eve", "Eve", Role.READER)
    room.coordinator.import_cases("draft", make_cases(2, start=900))
    room.coordinator.add_reader("draft", "eve")
    values = {"years_of_experience": 1.0, "specialty": None, "site": "Bonn", "has_used_model": None}

    def describe() -> None:
        try:
            found.append(room.coordinator.describe_person("eve", **values))
        except ConflictError as refused:
            found.append(refused)

    describing = threading.Thread(target=describe)
    with engine.connect() as opening:
        opening.execute(sa.update(StudyRow).where(StudyRow.study_key == "draft").values(state="open"))
        describing.start()
        describing.join(1.5)
        assert found == []  # it waits
        opening.commit()
    describing.join()
    assert [type(each) for each in found] == [ConflictError]
