"""Passwords that the program draws, so that nobody has to invent one and none is a default."""

from __future__ import annotations

import secrets

#: Letters and digits that nobody mistakes for another.
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def new_password() -> str:
    """A random password of 100 bits (20 of 32 letters) in four groups, easy to read out and to type."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))
