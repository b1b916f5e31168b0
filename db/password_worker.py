"""Computes argon2 for the server in a process of its own, behind everybody else; run as a script by its parent.

In the server itself even a thread of the lowest priority takes the interpreter's lock for the moments before and after
a hash, and on a busy machine it then keeps everybody waiting until the processor has time for it.

One question a line, as JSON, and one answer: ``{"do": "hash", "password": ..., "profile": {...}}`` gives the hash,
``{"do": "verify", "hash": ..., ...}`` whether it fits. It ends with its parent.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

_NICE = 10  # of 19: a tenth of the processor beside others; at 19 nobody would sign in to a machine that is full


def answer(asked: dict[str, Any]) -> str | bool:
    """A hash, or whether a password fits one."""
    hasher = PasswordHasher(**asked["profile"], type=Type.ID)
    if asked["do"] == "hash":
        return hasher.hash(asked["password"])
    try:
        return hasher.verify(asked["hash"], asked["password"])
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


def main() -> None:
    """Answer until nobody asks any more."""
    with suppress(OSError, AttributeError):  # not on every system
        os.nice(_NICE)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
