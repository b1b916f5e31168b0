"""Passwords: argon2id under a named profile, a few at a time.

One hash of the profile takes 64 MiB and about 0.2 s, so an unbounded rush of sign-ins would take the machine down;
at most :data:`MAX_CONCURRENT` are computed at once, the others wait their turn.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from core.errors import InputError

#: Shortest password accepted, characters (OWASP ASVS 5.0, 6.2.1 asks for 8 and recommends 15).
MIN_LENGTH = 10
#: Longest password accepted, characters; longer ones only cost time.
MAX_LENGTH = 256
#: Hashes computed at the same time.
MAX_CONCURRENT = 2

_LOWEST_PRIORITY = 19
T = TypeVar("T")

_WITHOUT_ORNAMENT = re.compile(r"^[\W\d_]+|[\W\d_]+$")


class Passwords:
    """Hash and verify.

    Parameters
    ----------
    profile : argon2.Parameters
        Second recommended option of RFC 9106, section 4, unless a test says otherwise.
    max_concurrent : int
        Hashes computed at the same time.
    """

    def __init__(self, profile: Parameters = RFC_9106_LOW_MEMORY, max_concurrent: int = MAX_CONCURRENT) -> None:
        self._hasher = PasswordHasher.from_parameters(profile)
        self._turn = threading.BoundedSemaphore(max_concurrent)
        self._nobody: str | None = None

    def hash(self, password: str) -> str:
        """Argon2id hash with its own salt and parameters."""
        with self._turn:
            return _behind_everybody(lambda: self._hasher.hash(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; without a hash the same work is done for nothing, so time tells nothing."""
        if password_hash is None:
            self._check(self._hash_of_nobody(), password)
            return False
        return self._check(password_hash, password)

    def needs_new_hash(self, password_hash: str) -> bool:
        """Whether the hash was made under another profile."""
        return self._hasher.check_needs_rehash(password_hash)

    def _check(self, password_hash: str, password: str) -> bool:
        """Compare, in turn."""

        def fits() -> bool:
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

        with self._turn:
            return _behind_everybody(fits)

    def _hash_of_nobody(self) -> str:
        """A hash to compare with when there is no such person."""
        if self._nobody is None:
            self._nobody = self.hash("the password of nobody")
        return self._nobody


def _behind_everybody(work: Callable[[], T]) -> T:
    """Compute on a thread of its own that yields the processor to all others: a flood of sign-ins delays no reading.

    On Linux a thread has a priority of its own, which those that argon2 starts inherit; elsewhere nothing is changed.
    """
    done: Future[T] = Future()

    def compute() -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=compute, name="password", daemon=True).start()
    return done.result()


def check_new_password(password: str, login: str) -> None:
    """Refuse a password that is guessed first.

    Raises
    ------
    InputError
        Saying what is wrong; never showing the password.
    """
    fix = f"use {MIN_LENGTH} to {MAX_LENGTH} characters that are not your login"
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InputError(f"the password has {len(password)} characters", field="password", fix=fix)
    if login.casefold() in password.casefold() and len(password) < len(login) + MIN_LENGTH // 2:
        raise InputError("the password is little more than the login", field="password", fix=fix)
    if len(set(password)) < 4:
        raise InputError("the password repeats the same few characters", field="password", fix=fix)
    folded = password.casefold()
    if {folded, _WITHOUT_ORNAMENT.sub("", folded)} & common_passwords():
        raise InputError(
            "the password is one of the most common ones, or little more", field="password",
            fix="use several words that do not belong together, or a random one",
        )  # fmt: skip


@lru_cache(maxsize=1)
def common_passwords() -> frozenset[str]:
    """Passwords that are guessed first, in small letters; short ones count with digits and signs around them.

    Those of 10 or more characters in the lists of Django 5.2 (Royce Williams; BSD) and of zxcvbn 4.5 (MIT), and the
    words of 4 to 9 letters among the first 4,000 of Django's.
    """
    text = (Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())


#: The process's one gate to argon2.
PASSWORDS = Passwords()
