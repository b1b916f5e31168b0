"""The order in which one reader meets the cases: drawn from a seed, the same again from the same seed.

A reader's order is made of **periods** (two in a crossover, else one), each of training cases, if there are any, and
**blocks** of cases. In a sequential study a case is two presentations next to each other, unaided and then aided; what
is counted below is then the pair. Who draws an order may know the truth (a stratified block has its share of every
class); who reads by it learns nothing of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.protocol import Arm, Design, Protocol

#: Version of the algorithm behind :func:`draw_order`; stored with every order so that it can be re-made.
READING_ORDER_ALGORITHM = "pcg64-sha256-v3"

#: What the shuffle of :func:`reading_order` is drawn from; the same since version 2.
_SHUFFLE = "pcg64-sha256-v2"


@dataclass(frozen=True)
class CaseToRead:
    """A case as far as the drawing of an order may know it."""

    case: str
    stratum: str = ""  # of a stratified block: cohort and class


@dataclass(frozen=True)
class Place:
    """One presentation of an order; its position is its place in the list."""

    case: str
    arm: Arm
    period: int = 1
    block: int = 1  # counted through the whole order; training cases are a block of their own
    repeat: int = 1  # 2: the case is shown again
    is_training: bool = False


def draw_order(
    cases: Sequence[CaseToRead],
    protocol: Protocol,
    *,
    study: str,
    reader: str,
    group: int = 1,
    training: Sequence[str] = (),
) -> list[Place]:
    """The order of one reader.

    Parameters
    ----------
    cases : sequence of CaseToRead
        What is read and analysed; their own order does not matter.
    protocol : Protocol
        Its ``design`` and ``order``.
    study, reader : str
        Key of the study and login: another order in another study, and for every reader.
    group : int
        Of a crossover: 1 begins unaided, 2 begins aided.
    training : sequence of str
        Cases that are read first in every period, shuffled among themselves.

    Returns
    -------
    list of Place
        Every case once in every arm of the design, and ``n_repeats`` of them again in every period, each at least
        ``repeat_distance`` other cases after its first time; fewer where the period is too short for so many
        (:func:`most_repeats`).
    """
    sequential = protocol.design is Design.SEQUENTIAL
    places: list[Place] = []
    block = 0
    for period, arm in enumerate(_arms_of_periods(protocol.design, group), start=1):
        arms = (Arm.UNAIDED, Arm.AIDED) if sequential else (arm,)
        draw = _Draw(study, protocol.order.seed, reader, arm)
        blocks = [(draw.shuffled(training, "training"), True)] if training else []
        blocks += [(each, False) for each in _blocks(cases, protocol, draw)]
        for each, is_training in blocks:
            block += 1
            places += [
                Place(case, shown, period, block, repeat, is_training) for case, repeat in each for shown in arms
            ]
    return places


def most_repeats(n_cases: int, repeat_distance: int) -> int:
    """How many of a period's cases can be shown again with so many other cases between the two."""
    return max(0, n_cases - repeat_distance)


def reading_order(case_ids: Sequence[str], *, study: str, seed: int, reader: str, arm: Arm) -> list[str]:
    """Seeded shuffle in which one reader meets the cases of one arm.

    Parameters
    ----------
    case_ids : sequence of str
        The cases; they are sorted first, so that nobody's shuffle depends on the order of the manifest.
    study : str
        Key of the study: the same reader meets the same cases in another order in another study.
    seed : int
        ``Protocol.order.seed``.
    reader : str
        Stable reader id; two readers get independent orders.
    arm : Arm
        The same reader gets another order in another arm.

    Returns
    -------
    list of str
        A permutation of ``case_ids``.
    """
    ordered = sorted(case_ids)
    return [ordered[index] for index in _Draw(study, seed, reader, arm).rng().permutation(len(ordered))]


@dataclass(frozen=True)
class _Draw:
    """Where the chances of one reader in one arm come from."""

    study: str
    seed: int
    reader: str
    arm: Arm

    def rng(self, what: str = "") -> np.random.Generator:
        """A generator of its own for each thing that is drawn."""
        name = f"{_SHUFFLE}|{self.study}|{self.seed}|{self.reader}|{self.arm}" + (f"|{what}" if what else "")
        digest = hashlib.sha256(name.encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))

    def shuffled(self, case_ids: Sequence[str], what: str) -> list[tuple[str, int]]:
        """Cases in a drawn order, each for the first time."""
        ordered = sorted(case_ids)
        return [(ordered[index], 1) for index in self.rng(what).permutation(len(ordered))]


def _arms_of_periods(design: Design, group: int) -> tuple[Arm, ...]:
    """The arm of each period; of a sequential study the one that the shuffle is named after."""
    match design:
        case Design.CROSSOVER:
            return (Arm.UNAIDED, Arm.AIDED) if group == 1 else (Arm.AIDED, Arm.UNAIDED)
        case Design.AIDED:
            return (Arm.AIDED,)
        case _:
            return (Arm.UNAIDED,)


def _blocks(cases: Sequence[CaseToRead], protocol: Protocol, draw: _Draw) -> list[list[tuple[str, int]]]:
    """The blocks of a period as lists of (case, 1 or 2 for a repeat)."""
    order = protocol.order
    stratum = {each.case: each.stratum for each in cases}
    shuffled = reading_order(list(stratum), study=draw.study, seed=draw.seed, reader=draw.reader, arm=draw.arm)
    if not shuffled:
        return []
    n_blocks = 1 if order.block_size is None else math.ceil(len(shuffled) / order.block_size)
    if order.is_stratified:
        # Dealt like cards, one stratum after the other: every block gets its share of each, to within one case.
        dealt = sorted(shuffled, key=lambda case: stratum[case])
        start = int(draw.rng("deal").integers(n_blocks))
        block_of = {case: (start + index) % n_blocks for index, case in enumerate(dealt)}
        # The shuffle chose the block; a second one chooses the place in it, or the rarer class would come late there.
        shuffled = [case for case, _ in draw.shuffled(shuffled, "places")]
    else:
        block_of = {case: index * n_blocks // len(shuffled) for index, case in enumerate(shuffled)}
    blocks = [[case for case in shuffled if block_of[case] == number] for number in range(n_blocks)]
    line = [(case, number) for number, block in enumerate(blocks) for case in block]
    result: list[list[tuple[str, int]]] = [[] for _ in blocks]
    for case, number, repeat in _with_repeats(line, order.n_repeats, order.repeat_distance, draw.rng("repeats")):
        result[number].append((case, repeat))
    return result


def _with_repeats(
    line: Sequence[tuple[str, int]], n_repeats: int, distance: int, rng: np.random.Generator
) -> Iterator[tuple[str, int, int]]:
    """(case, block, 1 or 2): the line with some of its cases again, each after ``distance`` others or more."""
    n_repeats = min(n_repeats, most_repeats(len(line), distance))
    first_chance = len(line) - distance  # a case from here on has too few others behind it
    again: dict[int, list[str]] = {}
    for index in sorted(rng.permutation(first_chance)[:n_repeats].tolist()) if n_repeats else ():
        after = int(rng.integers(index + distance, len(line)))  # behind the case at this place of the line
        again.setdefault(after, []).append(line[index][0])
    for place, (case, block) in enumerate(line):
        yield case, block, 1
        for repeated in again.get(place, ()):
            yield repeated, block, 2
