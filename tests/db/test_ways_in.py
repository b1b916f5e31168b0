"""Somebody gets in past the program for a moment and leaves no row behind: the trail tells it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import AccessError, InputError
from core.study import Role
from db import OPERATOR, Notary, Repository, clock_moves
from db.clock_moves import ClockOffset
from db.engine import writing
from db.repository import access
from db.repository.access import token_hash
from db.tables import InvitationRow, PersonRow, SignInSessionRow
from db.ways_in import LONGEST_SIGN_IN, WaysIn
from tests.db.conftest import CHEAP, Clock

ANNS, EVES = "correct horse battery", "staple staple battery"
ADDRESS = "10.0.0.1"


class Door:
    """A store with ann, whose door somebody with the database tries."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.clock, self.notary = engine, Clock(), Notary(folder)
        self.operator = self.acting(OPERATOR)
        self.ann = self.operator.create_person(
            "ann", "Dr Ann", Role.COORDINATOR, password=ANNS, is_temporary=False, email="ann@ulm.example"
        )
        self.operator.create_person("ben", "Dr Ben", Role.COORDINATOR, password=ANNS, is_temporary=False)

    def acting(self, actor, token: str | None = None) -> Repository:
        return Repository(self.engine, actor, token=token, notary=self.notary, passwords=CHEAP, clock=self.clock)

    def sign_in(self, login: str = "ann", password: str = ANNS) -> str:
        return self.acting(None).authenticate(login, password, ADDRESS)

    def acted(self, token: str) -> None:
        """A deed that stands in the trail."""
        self.acting(self.acting(None).actor_for_token(token) or self.ann, token).invite(Role.READER, "Dr Cid")

    def set(self, table: type, where: sa.ColumnElement[bool], **values: object) -> None:
        with writing(self.engine).begin() as connection:
            connection.execute(sa.update(table).where(where).values(values))

    @property
    def problems(self) -> str:
        return "\n".join(self.operator.verify_audit().problems)


@pytest.fixture
def door(engine: Engine, tmp_path: Path) -> Door:
    return Door(engine, tmp_path / "data")


_ANN = PersonRow.login == "ann"


def _exchange_password(door: Door) -> None:
    """Eve's hash in, one sign-in, ann's hash back."""
    with door.engine.connect() as connection:
        hers = connection.execute(sa.select(PersonRow.password_hash).where(_ANN)).scalar_one()
    door.set(PersonRow, _ANN, password_hash=CHEAP.hash(EVES))
    assert "the password of 'ann' is not the one" in door.problems
    door.acted(door.sign_in(password=EVES))
    door.set(PersonRow, _ANN, password_hash=hers)


def _exchange_address(door: Door) -> None:
    door.set(PersonRow, _ANN, email="eve@evil.example")
    assert "the email of 'ann' is not the one" in door.problems
    door.acting(None).sign_in_by_provider("https://id.example", "eve@evil.example", ADDRESS)
    door.set(PersonRow, _ANN, email="ann@ulm.example")


def _slip_in_a_sign_in(door: Door) -> None:
    """A row with a token of one's own, removed after the deed."""
    row = {"token_sha256": token_hash("eves"), "person_id": door.ann.person_id, "ip": ADDRESS, "revoked_at": None}
    row |= {"created_at": door.clock(), "expires_at": door.clock() + timedelta(hours=1)}
    with writing(door.engine).begin() as connection:
        connection.execute(sa.insert(SignInSessionRow).values(row))
    door.acted("eves")
    with writing(door.engine).begin() as connection:
        connection.execute(sa.delete(SignInSessionRow))


def _revive(door: Door) -> None:
    """A token that was signed out is let in again."""
    token = door.sign_in()
    door.acting(None).sign_out(token)
    door.set(SignInSessionRow, sa.true(), revoked_at=None)
    door.acted(token)


def _revive_after_a_reset(door: Door) -> None:
    token = door.sign_in()
    door.operator.set_password("ann", EVES)
    door.set(SignInSessionRow, sa.true(), revoked_at=None)
    door.set(PersonRow, _ANN, must_change_password=False)
    door.acted(token)


def _prolong(door: Door) -> None:
    token = door.sign_in()
    door.set(SignInSessionRow, sa.true(), expires_at=door.clock() + timedelta(days=3))
    door.clock.forward(days=2)
    door.acted(token)


def _hand_over(door: Door) -> None:
    """Ben's own sign-in becomes one of ann."""
    token = door.sign_in("ben")
    door.set(SignInSessionRow, sa.true(), person_id=door.ann.person_id)
    door.acted(token)


def _take_an_invitation(door: Door) -> None:
    made = door.operator.invite(Role.COORDINATOR, "Dr Dora")
    door.set(InvitationRow, InvitationRow.note == "Dr Dora", token_sha256=token_hash("eves own code"))
    door.acting(None).accept_invitation("eves own code", "dora", "Dr Dora", EVES)
    door.set(InvitationRow, InvitationRow.note == "Dr Dora", token_sha256=token_hash(made.token))


WAYS: dict[str, tuple[Callable[[Door], None], str]] = {
    "a password swapped in and back": (_exchange_password, "'ann' signed in by a password that no event set"),
    "an address swapped in and back": (_exchange_address, "'ann' signed in by an address that no event set"),
    "a sign-in slipped in": (_slip_in_a_sign_in, "'ann' acted by a sign-in that nobody began"),
    "a sign-out undone": (_revive, "'ann' acted by a sign-in that had ended"),
    "a reset undone": (_revive_after_a_reset, "'ann' acted by a sign-in that had ended"),
    "a sign-in prolonged": (_prolong, "'ann' acted by a sign-in that had expired"),
    "a sign-in handed over": (_hand_over, "'ann' acted by a sign-in of 'ben'"),
    "an invitation's code swapped in and back": (_take_an_invitation, "an invitation was used by a code"),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_got_in_past_the_program_is_told_by_the_trail(door: Door, way: str) -> None:
    get_in, said = WAYS[way]
    door.acted(door.sign_in())
    assert door.problems == ""
    get_in(door)
    assert said in door.problems


def test_what_people_do_with_their_ways_in_is_nothing_to_find(door: Door) -> None:
    token = door.sign_in()
    ann = door.acting(door.ann, token)
    ann.change_my_password(ANNS, EVES)
    token = door.sign_in(password=EVES)
    door.acted(token)
    door.operator.set_email("ann", "other@ulm.example")
    door.operator.set_email("ann", None)
    door.operator.set_password("ann", ANNS)
    door.operator.set_active("ben", False)
    door.operator.set_active("ben", True)
    made = door.operator.invite(Role.COORDINATOR, "Dr Dora")
    door.acting(None).accept_invitation(made.token, "dora", "Dr Dora", EVES)
    expired = door.sign_in("ben")
    door.clock.forward(days=2)
    door.acting(None).sign_out(expired)
    assert door.problems == ""


def test_a_sign_in_of_a_version_that_named_none_is_followed_no_further_for_as_long_as_it_may_live(door: Door) -> None:
    token = door.sign_in()
    events = door.operator.audit_trail()
    begun = events[-1]
    nameless = replace(begun, detail={"ip": ADDRESS})
    deed = replace(begun, action="invitation.revoke", detail={"session": begun.detail["session"], "invitation": "x"})
    ways = WaysIn()
    assert [said for event in (*events[:-1], nameless, deed) for said in ways.enter(event)] == []
    later = replace(deed, at=deed.at + LONGEST_SIGN_IN + timedelta(seconds=1))
    assert "that nobody began" in "".join(ways.enter(later))
    assert token


def test_a_hash_of_an_older_profile_is_renewed_and_one_that_was_exchanged_meanwhile_is_told(door: Door) -> None:
    older = replace_profile()
    door.set(PersonRow, _ANN, password_hash=older.hash(EVES))
    door.acted(door.sign_in(password=EVES))  # the program makes a hash of its own of it
    assert "signed in by a password that no event set" in door.problems


def replace_profile():
    from argon2.profiles import CHEAPEST

    from db.password_hashing import Passwords

    return Passwords(replace(CHEAPEST, time_cost=CHEAPEST.time_cost + 1))


def test_the_trail_tells_none_of_the_secrets(door: Door) -> None:
    token = door.sign_in()
    door.acted(token)
    said = repr(door.operator.audit_trail())
    for secret in (token, token_hash(token), "ann@ulm.example", ANNS, "argon2"):
        assert secret not in said


def test_an_address_with_letters_that_fold_into_others_leads_to_nobody(door: Door) -> None:
    with pytest.raises(AccessError):
        door.acting(None).sign_in_by_provider("https://id.example", "ann@ulm.example".replace("e", "ｅ"), ADDRESS)
    door.operator.set_email("ann", "strasse@ulm.example")
    with pytest.raises(AccessError):
        door.acting(None).sign_in_by_provider("https://id.example", "straße@ulm.example", ADDRESS)
    with pytest.raises(InputError, match="e-mail"):
        door.operator.set_email("ben", "kölsch@ulm.example")


# ---- the clock --------------------------------------------------------------------------------------------------


def test_times_that_run_back_are_told_with_the_order_of_the_trail(door: Door) -> None:
    door.acted(door.sign_in())
    assert door.operator.verify_audit().clock_moves == ()
    door.clock.forward(days=-29)
    door.operator.set_active("ben", False)
    check = door.operator.verify_audit()
    assert check.is_intact  # no row was touched
    (said,) = check.clock_moves
    assert "is 2,505,600 s older than the one before it" in said


def test_a_clock_that_is_set_forward_and_back_is_told_also_between_two_runs(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta()

    def now() -> datetime:
        return datetime.now(UTC) + ahead

    monkeypatch.setattr(access, "utc_now", now)

    def run() -> Repository:
        """A process of its own."""
        return Repository(engine, OPERATOR, notary=Notary(tmp_path / "data"), passwords=CHEAP, clock=now)

    run().create_person("ann", "Dr Ann", Role.READER)
    operator = run()
    assert not operator.verify_audit().clock_moves
    ahead = timedelta(days=28)
    for is_active in (False, True):
        operator.set_active("ann", is_active)
    (forward,) = operator.verify_audit().clock_moves
    assert forward.endswith("the server's clock was set forward by 2,419,200 s")
    ahead = timedelta()
    run().set_active("ann", False)
    moves = operator.verify_audit().clock_moves
    assert any(said.endswith("was set back by 2,419,200 s") for said in moves)
    run().set_active("ann", True)
    assert operator.verify_audit().clock_moves == moves
    assert operator.verify_audit().is_intact


def test_a_clock_of_another_start_of_the_machine_says_nothing() -> None:
    now = ClockOffset("a", 1000.0)
    assert now.moved_since(None) == now.moved_since(ClockOffset("b", 0.0)) == 0.0
    assert now.moved_since(ClockOffset("a", 1000.0 - clock_moves.MOVE_S)) == 0.0
    assert now.moved_since(ClockOffset("a", 900.0)) == 100.0
    assert ClockOffset("", 5.0).moved_since(ClockOffset("", 900.0)) == 0.0
