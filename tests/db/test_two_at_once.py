"""Two people do something at the same moment: it is done once, entered once, and the other is told why not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from core.errors import AccessError, NotFoundError, ReadingRoomError, StoreError
from core.protocol import Protocol
from core.study import Answer, Role, Study, StudyState
from db import OPERATOR, CasePrediction, Repository
from db.repository.access import RepositoryBase
from tests.db.conftest import CHEAP, Clock, make_cases
from tests.stores import begun_sign_in, repository_of

KEY = "twice"
MODEL = "cd" * 32


class Pair:
    """Two coordinators of a draft that could be opened, and what they need for their deeds."""

    def __init__(self, engine: Engine) -> None:
        options: dict[str, Any] = {"passwords": CHEAP, "clock": Clock()}
        self.operator = Repository(engine, OPERATOR, **options)
        self.nobody = Repository(engine, None, **options)
        for login in ("one", "two", "ann", "ben", "eva"):
            self.operator.create_person(login, f"Dr {login}", Role.READER)
        self.operator.create_study(KEY, Protocol(title="Twice"), coordinator="one")
        self.operator.add_to_study(KEY, "two", Role.COORDINATOR)
        self.operator.import_cases(KEY, make_cases(4))
        self.operator.register_model(sha256=MODEL, name="net", architecture="a", path="p", metadata={})
        people = {person.login: person for person in self.operator.people()}
        self.both = [repository_of(engine, people[login], **options) for login in ("one", "two")]
        self.operator.add_reader(KEY, "ann", cohorts=["internal"])
        self._ann, self._options = people["ann"], options
        self.token_of_ann = begun_sign_in(engine, self._ann, **options)

    def reader(self) -> Repository:
        """Ann at her desk."""
        return Repository(self.operator.engine, self._ann, token=self.token_of_ann, **self._options)

    def reach(self, state: StudyState) -> None:
        for move in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED):
            if self.operator.study(KEY).state is not state:
                self.operator.set_state(KEY, move)

    def at_once(self, *deeds: Callable[[], object]) -> list[object]:
        """What each came to: what it gave, or the error."""
        with ThreadPoolExecutor(len(deeds)) as pool:
            return [future.exception() or future.result() for future in [pool.submit(deed) for deed in deeds]]


@pytest.fixture
def pair(engine: Engine) -> Pair:
    return Pair(engine)


@pytest.fixture
def together(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has begun to write before either goes on, as far as the engine lets them."""
    meeting = threading.Barrier(2)
    check = RepositoryBase._check_sign_in

    def meet(self: RepositoryBase, db_session: Session, *, lock: bool = False) -> None:
        check(self, db_session, lock=lock)
        if lock:
            try:
                meeting.wait(0.2)
            except threading.BrokenBarrierError:  # SQLite: one writer at a time
                meeting.reset()

    monkeypatch.setattr(RepositoryBase, "_check_sign_in", meet)


def _predictions() -> list[CasePrediction]:
    return [CasePrediction(case.case, np.full(4, 0.25), 1.0, False, "cpu", "fp32") for case in make_cases(4)]


def is_told(came_to: object) -> bool:
    """Whether it is an error with a reason, and not one of the store, which means nothing but "try again"."""
    return isinstance(came_to, ReadingRoomError) and not isinstance(came_to, StoreError)


#: Deed, the state that it begins in, the event of the trail.
DEEDS: dict[str, tuple[Callable[[Repository], object], StudyState, str]] = {
    "open": (lambda one: one.set_state(KEY, StudyState.OPEN), StudyState.DRAFT, "study.state"),
    "close": (lambda one: one.set_state(KEY, StudyState.CLOSED), StudyState.OPEN, "study.state"),
    "lock": (lambda one: one.set_state(KEY, StudyState.LOCKED), StudyState.CLOSED, "study.state"),
    "unseal": (lambda one: one.set_state(KEY, StudyState.UNSEALED), StudyState.LOCKED, "study.state"),
    "take back": (
        lambda one: one.set_state(KEY, StudyState.CLOSED, reason="a reader was ill"), StudyState.LOCKED, "study.state",
    ),
    "create a study": (lambda one: one.create_study("new", Protocol(title="N")), StudyState.DRAFT, "study.create"),
    "protocol": (
        lambda one: one.update_protocol(KEY, Protocol(title="Thrice"), expected_version=1),
        StudyState.DRAFT, "study.protocol",
    ),
    "import": (lambda one: one.import_cases(KEY, make_cases(3, start=50)), StudyState.DRAFT, "study.import"),
    "enter a person": (lambda one: one.create_person("dora", "Dr D", Role.READER), StudyState.DRAFT, "person.create"),
    "add a reader": (lambda one: one.add_reader(KEY, "ben", cohorts=["internal"]), StudyState.OPEN, "study.reader"),
    "remove a reader": (lambda one: one.remove_reader(KEY, "ann"), StudyState.OPEN, "study.reader-removed"),
    "withdraw": (lambda one: one.withdraw_reader(KEY, "ann", "ill"), StudyState.OPEN, "study.reader-withdrawn"),
    "give a part": (
        lambda one: one.add_to_study(KEY, "eva", Role.STATISTICIAN), StudyState.OPEN, "study.role",
    ),
    "predictions": (lambda one: one.save_predictions(KEY, MODEL, _predictions()), StudyState.OPEN, "model.predict"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEEDS)
@pytest.mark.usefixtures("together")
def test_of_two_who_do_the_same_one_does_it_and_the_other_is_told(pair: Pair, name: str) -> None:
    deed, state, action = DEEDS[name]
    pair.reach(state)
    before = len([event for event in pair.operator.audit_trail() if event.action == action])
    came_to = pair.at_once(*(lambda one=one: deed(one) for one in pair.both))
    failed = [each for each in came_to if isinstance(each, BaseException)]
    entered = [event for event in pair.operator.audit_trail() if event.action == action][before:]
    assert len(failed) == 1, came_to
    assert is_told(failed[0]), repr(failed[0])
    assert len(entered) == 1, entered
    assert pair.operator.verify_audit().problems == ()


#: What the second coordinator is about to do when the first takes something away; none of it may be done then.
LAST_DEEDS: dict[str, Callable[[Repository], object]] = {
    "close": lambda two: two.set_state(KEY, StudyState.CLOSED),
    "take the part of the first": lambda two: two.remove_from_study(KEY, "one", Role.COORDINATOR),
    "invite": lambda two: two.invite(Role.READER, "Dr Dora", study_key=KEY),
    "predictions": lambda two: two.save_predictions(KEY, MODEL, _predictions()),
}


@pytest.mark.parametrize(("way", "name"), [*(("part taken", name) for name in LAST_DEEDS), ("let in no more", "close")])
def test_who_has_lost_the_right_while_waiting_for_the_other_does_nothing(
    pair: Pair, way: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first is about to commit; in the trail nothing of the second stands after it."""
    pair.reach(StudyState.OPEN)
    one, two = pair.both
    begun, add = threading.Event(), Repository._audit_all

    def wait(self: Repository, db_session: Session, deeds: Sequence[Any]) -> None:
        add(self, db_session, deeds)
        if self.actor == taker.actor:
            begun.set()
            time.sleep(0.3)  # the second comes as far as it can

    taker = one if way == "part taken" else pair.operator
    monkeypatch.setattr(Repository, "_audit_all", wait)

    def take() -> None:
        if way == "part taken":
            one.remove_from_study(KEY, "two", Role.COORDINATOR)
        else:
            pair.operator.set_active("two", False)

    def do() -> object:
        assert begun.wait(20)
        return LAST_DEEDS[name](two)

    taken, done = pair.at_once(take, do)
    assert taken is None
    events = [(event.actor, event.action) for event in pair.operator.audit_trail()]
    last = max(place for place, (_, action) in enumerate(events) if action in ("study.role", "person.active"))
    assert [event for event in events[last:] if event[0] == "two"] == [], done
    assert isinstance(done, AccessError | NotFoundError), repr(done)


#: What somebody does just before a reader's deed would be entered, and what must not stand after it.
TAKEN: dict[str, Callable[[Pair], object]] = {
    "let in no more": lambda pair: pair.operator.set_active("ann", False),
    "withdrawn": lambda pair: pair.both[0].withdraw_reader(KEY, "ann", "ill"),
    "removed": lambda pair: pair.both[0].remove_reader(KEY, "ann"),
    "closed": lambda pair: pair.both[0].set_state(KEY, StudyState.CLOSED),
    "signed out": lambda pair: pair.nobody.sign_out(pair.token_of_ann),
}


@pytest.mark.parametrize("way", TAKEN)
def test_a_reader_who_is_stopped_in_mid_case_stores_nothing_afterwards(
    pair: Pair, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.reach(StudyState.OPEN)
    ann = pair.reader()
    place = ann.next_presentation(KEY)
    assert place is not None
    begun, add = threading.Event(), Repository._audit_all

    def wait(self: Repository, db_session: Session, deeds: Sequence[Any]) -> None:
        add(self, db_session, deeds)
        if self.actor != ann.actor:
            begun.set()
            time.sleep(0.3)  # the reader's deed comes as far as it can

    monkeypatch.setattr(Repository, "_audit_all", wait)

    def answer() -> object:
        assert begun.wait(20)
        return ann.save_reading(place.presentation_id, Answer("sat", 3), submit_id="late")

    taken, done = pair.at_once(lambda: TAKEN[way](pair), answer)
    assert taken is None or isinstance(taken, Study), repr(taken)
    assert "reading.save" not in {event.action for event in pair.operator.audit_trail()}
    assert is_told(done), repr(done)
    assert pair.operator.verify_audit().problems == ()


def test_an_invited_person_and_a_coordinator_never_wait_for_each_other(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has the study and wants the trail; the other must not have the trail and want the study."""
    pair.reach(StudyState.OPEN)
    token = pair.operator.invite(Role.READER, "Dr Dora", study_key=KEY).token
    add = Repository._audit_all

    def slowly(self: Repository, db_session: Session, deeds: Sequence[Any]) -> None:
        is_coordinator = self.actor == pair.both[0].actor
        time.sleep(0.4 * is_coordinator)
        add(self, db_session, deeds)
        time.sleep(0.2 * (not is_coordinator))

    monkeypatch.setattr(Repository, "_audit_all", slowly)
    came_to = pair.at_once(
        lambda: pair.nobody.accept_invitation(token, "dora", "Dr Dora", "horses eat batteries"),
        lambda: pair.both[0].set_state(KEY, StudyState.CLOSED),
    )
    assert not any(isinstance(each, StoreError) for each in came_to), came_to
    assert pair.operator.verify_audit().problems == ()
