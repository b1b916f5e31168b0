"""Passwords: argon2id under a named profile, one at a time, in a process that yields to everybody.

One hash of the profile takes 64 MiB and about 0.2 s, so an unbounded rush of sign-ins would take the machine down: they
are computed one after the other by :mod:`db.password_worker`, and :data:`MOST_WAITING` may wait for their turn.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from argon2 import Parameters, PasswordHasher
from argon2.profiles import RFC_9106_LOW_MEMORY

from core.errors import InputError, PasswordsBusyError

#: Shortest password accepted, characters (OWASP ASVS 5.0, 6.2.1 asks for 8 and recommends 15).
MIN_LENGTH = 10
#: Longest password accepted, characters; longer ones only cost time.
MAX_LENGTH = 256
#: So many may wait for the worker; whoever comes then is asked to try again in a moment.
MOST_WAITING = 32
#: A process that owes an answer and sleeps, or was stopped, for so many seconds hangs, and is replaced.
ASLEEP_S = 3
#: Seconds after which one that runs is replaced as well: on a crowded machine a hash of 0.2 s may wait that long.
LONGEST_HASH_S = 30.0
#: Seconds that somebody waits for a turn.
LONGEST_WAIT_S = 20.0

_WORKER = Path(__file__).with_name("password_worker.py")
_CROWDED = "Too many people are signing in just now. Please try again in a moment."
_HANGS = "The password could not be checked in time; what checks passwords is begun anew. Please try again in a moment."
_NO_PROCESS = "The password could not be checked: no process could be had. Please try again in a moment."

_WITHOUT_ORNAMENT = re.compile(r"^[\W\d_]+|[\W\d_]+$")


class Worker:
    """The process that hashes: begun with the first question, begun anew if it ended or hangs, gone with this process.

    Parameters
    ----------
    longest_hash_s, longest_wait_s : float
        Seconds for one answer, and for a turn.
    """

    def __init__(self, longest_hash_s: float = LONGEST_HASH_S, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        self._longest_hash_s, self._longest_wait_s = longest_hash_s, longest_wait_s
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._process: subprocess.Popen[str] | None = None
        self._of = 0  # process that began it: a fork must not speak on the pipe of its parent

    def ask(self, **question: Any) -> Any:
        """Put a question and wait for the answer.

        Raises
        ------
        PasswordsBusyError
            If too many wait already, no process can be had, or it does not answer.
        """
        with self._place():
            for _ in range(2):  # a worker that was ended meanwhile is begun anew, once
                try:
                    return self._ask(json.dumps(question))
                except (OSError, ValueError):
                    self.stop()
                except BaseException:
                    self.stop()  # else the answer to this question would be read as that to the next one
                    raise
        raise PasswordsBusyError(_NO_PROCESS)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None and self._of == os.getpid():
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]
        self._process = None

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place in the queue, and then the turn."""
        if not self._waiting.acquire(blocking=False):
            raise PasswordsBusyError(_CROWDED)
        try:
            if not self._turn.acquire(timeout=self._longest_wait_s):
                raise PasswordsBusyError(_CROWDED)
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._waiting.release()

    def _ask(self, question: str) -> Any:
        if self._process is None or self._of != os.getpid():
            command = [sys.executable, "-I", str(_WORKER)]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the server: the worker ends with its pipe
            )  # fmt: skip
            self._of = os.getpid()
        process = self._process
        answered, hangs = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, args=(process, answered, hangs), daemon=True).start()
        try:
            process.stdin.write(question + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return json.loads(process.stdout.readline())  # type: ignore[union-attr]
        except (OSError, ValueError) as ended:
            if hangs.is_set():
                raise PasswordsBusyError(_HANGS) from ended
            raise
        finally:
            answered.set()

    def _watch(self, process: subprocess.Popen[str], answered: threading.Event, hangs: threading.Event) -> None:
        """End a process that does not answer; who reads from its pipe is freed by that."""
        asleep, began = 0, time.monotonic()
        while not answered.wait(1):
            asleep = 0 if _is_running(process.pid) else asleep + 1
            if asleep >= ASLEEP_S or time.monotonic() - began > self._longest_hash_s:
                hangs.set()
                process.kill()
                return


def _is_running(pid: int) -> bool:
    """Whether a thread of a process computes, or would if it were its turn; yes where the system does not say."""
    try:
        stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return True
    return any(stat.rpartition(")")[2].split()[0] in "RD" for stat in stats)


#: The process's one gate to argon2.
WORKER = Worker()
atexit.register(WORKER.stop)


class Passwords:
    """Hash and verify.

    Parameters
    ----------
    profile : argon2.Parameters
        Second recommended option of RFC 9106, section 4, unless a test says otherwise.
    """

    def __init__(self, profile: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(profile)
        names = ("time_cost", "memory_cost", "parallelism", "hash_len", "salt_len")
        self._profile = {name: getattr(profile, name) for name in names}
        self._nobody = _hash_of_nobody(profile)

    def hash(self, password: str) -> str:
        """Argon2id hash with its own salt and parameters."""
        return str(WORKER.ask(do="hash", password=password, profile=self._profile))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; without a hash the same work is done for nothing, so time tells nothing."""
        fits = self._fits(password_hash or self._nobody, password)
        return fits and password_hash is not None

    def needs_new_hash(self, password_hash: str) -> bool:
        """Whether the hash was made under another profile."""
        return self._hasher.check_needs_rehash(password_hash)

    def _fits(self, password_hash: str, password: str) -> bool:
        return WORKER.ask(do="verify", hash=password_hash, password=password, profile=self._profile) is True


def _hash_of_nobody(profile: Parameters) -> str:
    """A hash to compare with when there is no such person; it is drawn, not computed, and no password has it."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(n)).decode().rstrip("=") for n in (profile.salt_len, profile.hash_len)
    )
    cost = f"m={profile.memory_cost},t={profile.time_cost},p={profile.parallelism}"
    return f"$argon2id$v={profile.version}${cost}${salt}${digest}"


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


#: As the product hashes.
PASSWORDS = Passwords()
