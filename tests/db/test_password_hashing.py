"""Hashes are argon2id under a named profile, and few at a time."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import extract_parameters
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY
from sqlalchemy.engine import Engine

from core.errors import AccessError, InputError, PasswordsBusyError
from core.study import Role
from db import Repository
from db.password_hashing import ASLEEP_S, MOST_WAITING, PASSWORDS, WORKER, Passwords, Worker, check_new_password
from tests.db.conftest import Room


def test_the_profile_of_the_product_is_rfc_9106_low_memory() -> None:
    stored = PASSWORDS.hash("a long password")
    assert extract_parameters(stored) == RFC_9106_LOW_MEMORY
    assert PASSWORDS.verify(stored, "a long password")
    assert not PASSWORDS.verify(stored, "another password")


def test_nobody_has_no_password() -> None:
    assert not Passwords(CHEAPEST).verify(None, "the password of nobody")
    assert not Passwords(CHEAPEST).verify("not a hash", "x")


def test_the_hashing_process_stands_behind_everybody_and_is_begun_anew_when_it_was_ended() -> None:
    """What holds no lock of this interpreter, and gives way to every other process, delays no reading."""
    worker = Worker()
    question = {"do": "hash", "password": "x", "profile": Passwords(CHEAPEST)._profile}
    try:
        worker.ask(**question)
        first = worker._process
        assert os.getpriority(os.PRIO_PROCESS, first.pid) >= 10
        first.kill()
        first.wait()
        assert worker.ask(**question).startswith("$argon2id$")
        assert worker._process.pid != first.pid
    finally:
        worker.stop()
    assert worker._process is None


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between a question and its answer: the answer may be that a password fits."""
    worker, profile = Worker(), Passwords(CHEAPEST)._profile
    try:
        stored = worker.ask(do="hash", password="right", profile=profile)
        with monkeypatch.context() as patch:
            patch.setattr(worker._process.stdout, "readline", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                worker.ask(do="verify", hash=stored, password="right", profile=profile)
        assert worker.ask(do="verify", hash=stored, password="wrong", profile=profile) is False
    finally:
        worker.stop()


def test_a_hashing_process_that_hangs_is_replaced_and_those_behind_it_get_their_answer() -> None:
    """Who waits on it is told within the time of one hash; nobody else notices more than a wait."""
    worker, profile = Worker(), Passwords(CHEAPEST)._profile
    try:
        worker.ask(do="hash", password="x", profile=profile)
        stopped = worker._process
        stopped.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(worker.ask, do="hash", password="x", profile=profile) for _ in range(4)]
            failed = [each.exception() for each in asked]
        assert time.monotonic() - began < ASLEEP_S + 8
        assert [type(each) for each in failed if each is not None] == [PasswordsBusyError]
        assert "in time" in str(next(each for each in failed if each is not None))
        assert stopped.poll() is not None
    finally:
        worker.stop()


def test_a_hash_that_runs_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.password_hashing._is_running", lambda pid: True)
    worker, profile = Worker(longest_hash_s=1.5), Passwords(CHEAPEST)._profile
    try:
        worker.ask(do="hash", password="x", profile=profile)
        worker._process.send_signal(signal.SIGSTOP)
        with pytest.raises(PasswordsBusyError, match="in time"):
            worker.ask(do="hash", password="x", profile=profile)
    finally:
        worker.stop()


def test_nobody_waits_for_a_turn_without_end() -> None:
    worker = Worker(longest_wait_s=0.1)
    with worker._turn, pytest.raises(PasswordsBusyError, match="try again in a moment"):
        worker.ask(do="hash")


def test_whoever_is_asked_for_one_hash_is_computed_known_or_not(
    room: Room, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: also the first guess of a process at a login that does not exist costs as much as any."""
    asked: list[str] = []
    ask = WORKER.ask
    monkeypatch.setattr(WORKER, "ask", lambda **question: asked.append(question["do"]) or ask(**question))
    room.operator.create_person("gone", "Gone", Role.READER, is_temporary=False, password="gone but not forgotten")
    room.operator.set_active("gone", False)
    room.operator.create_person("without", "Without a password", Role.READER)
    for number, login in enumerate(("nobody", "ann", "gone", "without", "sim", "")):
        asked.clear()
        fresh = Repository(engine, None, passwords=Passwords(CHEAPEST))
        with pytest.raises(AccessError, match="Check the login and the password"):
            fresh.authenticate(login, "not the password", f"10.0.0.{number}")
        assert asked == ["verify"], login


def test_the_hash_that_stands_for_nobody_is_one_of_the_profile_and_new_in_each_process() -> None:
    for profile in (CHEAPEST, RFC_9106_LOW_MEMORY):
        first, second = Passwords(profile)._nobody, Passwords(profile)._nobody
        assert extract_parameters(first) == profile
        assert first != second


def _interrupt() -> str:
    raise KeyboardInterrupt


def test_one_hash_at_a_time_and_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when the queue is full is asked to try again, at once; all others get their answer."""
    worker, go, running = Worker(), threading.Event(), []

    def slow(question: str) -> str:
        running.append(threading.get_ident())
        assert go.wait(20)
        assert running.pop() == threading.get_ident()  # nobody came in between
        return question

    monkeypatch.setattr(worker, "_ask", slow)
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        waiting = [pool.submit(worker.ask, do="hash") for _ in range(MOST_WAITING)]
        while worker._waiting._value:
            time.sleep(0.001)
        with pytest.raises(PasswordsBusyError, match="try again in a moment"):
            worker.ask(do="hash")
        go.set()
        assert [each.result() for each in waiting] == ['{"do": "hash"}'] * MOST_WAITING


def test_a_machine_without_a_process_to_spare_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker()
    monkeypatch.setattr("db.password_hashing.sys.executable", "/no/such/python")
    with pytest.raises(PasswordsBusyError, match="try again"):
        worker.ask(do="hash")


@pytest.mark.parametrize("password", ["short", "x" * 300, "aaaaaaaaaaaa", "margarete1", ""])
def test_passwords_that_are_guessed_first_are_refused_without_showing_them(password: str) -> None:
    with pytest.raises(InputError) as refused:
        check_new_password(password, "margarete")
    assert refused.value.field == "password"
    assert not password or password not in str(refused.value)
