"""Hashes are argon2id under a named profile, and few at a time."""

from __future__ import annotations

import threading

import argon2
import pytest
from argon2 import extract_parameters
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY

from core.errors import InputError
from db.password_hashing import MAX_CONCURRENT, PASSWORDS, Passwords, check_new_password


def test_the_profile_of_the_product_is_rfc_9106_low_memory() -> None:
    stored = PASSWORDS.hash("a long password")
    assert extract_parameters(stored) == RFC_9106_LOW_MEMORY
    assert PASSWORDS.verify(stored, "a long password")
    assert not PASSWORDS.verify(stored, "another password")


def test_nobody_has_no_password() -> None:
    assert not Passwords(CHEAPEST).verify(None, "the password of nobody")
    assert not Passwords(CHEAPEST).verify("not a hash", "x")


class _CountingHasher(argon2.PasswordHasher):
    """Argon2 that knows how many hashes are computed at the same time."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.full = threading.Barrier(MAX_CONCURRENT)

    def hash(self, password: str) -> str:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.full.wait(timeout=20)  # goes on only when the cap is reached, so that the cap is seen to be used
        with self.lock:
            self.running -= 1
        return super().hash(password)


def test_no_more_hashes_at_once_than_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(CHEAPEST)
    counting = _CountingHasher()
    monkeypatch.setattr(passwords, "_hasher", counting)
    threads = [threading.Thread(target=passwords.hash, args=("x",)) for _ in range(4 * MAX_CONCURRENT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.most == MAX_CONCURRENT


@pytest.mark.parametrize("password", ["short", "x" * 300, "aaaaaaaaaaaa", "margarete1", ""])
def test_passwords_that_are_guessed_first_are_refused_without_showing_them(password: str) -> None:
    with pytest.raises(InputError) as refused:
        check_new_password(password, "margarete")
    assert refused.value.field == "password"
    assert not password or password not in str(refused.value)
