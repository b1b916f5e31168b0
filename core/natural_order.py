"""The order of names as people expect it: reader-2 before reader-10, capitals beside small letters.

Readers, models, cases, cohorts, centres and scanners stand in this order in the analysis, and so in every table,
figure and file that is made of it, and on every screen.
"""

from __future__ import annotations

import re
from typing import Protocol

_NUMBER = re.compile(r"([0-9]+)")

#: What two names are compared by; to be used as a sort key and not looked into.
NaturalKey = tuple[tuple[tuple[int, str], ...], str]


def natural_key(name: str) -> NaturalKey:
    """Sort key of a name: numbers in it count by their value, letters without regard to capitals.

    >>> sorted(["reader-10", "Reader-2", "reader-1"], key=natural_key)
    ['reader-1', 'Reader-2', 'reader-10']
    """
    parts = _NUMBER.split(name)  # text, number, text, ...: a number never meets a text
    of_texts = [(0, text.casefold()) for text in parts[::2]]
    of_numbers = [(len(digits.lstrip("0")), digits.lstrip("0")) for digits in parts[1::2]]  # of any length
    mixed = [part for pair in zip(of_texts, [*of_numbers, (0, "")], strict=True) for part in pair]
    return tuple(mixed), name


#: Cohorts that every study understands alike, in the order in which a paper tells of them.
COHORTS = ("training", "internal", "external")


def cohort_place(name: str) -> tuple[int, NaturalKey]:
    """Sort key of a cohort: training, internal, external, then the study's own names."""
    return COHORTS.index(name) if name in COHORTS else len(COHORTS), natural_key(name)


class Rater(Protocol):
    """Whoever answers: a participant, or the identity of one."""

    @property
    def kind(self) -> str:
        """Reader or model."""

    @property
    def key(self) -> str:
        """Login of a reader, hash of a model."""

    @property
    def arm(self) -> str:
        """Of a reader; "" for a model."""

    @property
    def name(self) -> str:
        """On screen."""


def rater_place(one: Rater, declared: str | None) -> tuple[bool, bool, NaturalKey, NaturalKey, str]:
    """Sort key of a rater: models before readers, the declared model first, then by name, key and arm."""
    return one.kind != "model", one.key != declared, natural_key(one.name), natural_key(one.key), one.arm
