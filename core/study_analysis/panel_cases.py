"""Which readers and which cases a comparison of several readers rests on.

Cases that some did not answer are seldom missing by chance: who reads only the hard half looks worse than who reads
all. So a comparison of several readers takes the cases that all of them answered (``Missing.COMMON``):

1. A reader without a figure of his or her own (fewer than two cases of a class that it needs) is left out.
2. A reader who alone costs the others more than half of their common cases is left out, the costliest first.
3. What remains is compared on the cases that every reader answered in every arm compared (and the model predicted).
4. Where that is less than a tenth of what the reader with the fewest cases answered, the design is one without common
   cases (readers or arms with cases of their own, split plots, scattered gaps). Each reader is then held against a
   model on the cases of this reader; arms are compared with every figure on the cases that its reader has, as
   ``Missing.PER_CURVE`` always does and MRMCaov does. A note says so.

The choice looks at who answered what, never at the answers. Who and what was left out stands in the notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from core.errors import StatisticsInputError
from core.study_analysis.arrays import BoolArray

#: A reader without whom the common cases grow by more than this factor is left out.
COSTLIEST = 2.0
#: Common cases below this share of the fewest that a reader answered are no basis for a comparison.
SMALLEST_SHARE = 0.1
#: A variance over cases needs as many of a kind.
FEWEST_OF_A_KIND = 2
SMALLEST_PANEL = 2


class Missing(StrEnum):
    """What is done about cases that not everybody answered."""

    COMMON = "common"  # the cases that all answered
    PER_CURVE = "per-curve"  # every figure on the cases that its reader answered

    @property
    def other(self) -> Missing:
        """The other way."""
        return Missing.PER_CURVE if self is Missing.COMMON else Missing.COMMON


def check_missing(missing: Missing | str) -> Missing:
    """The way of that name.

    Raises
    ------
    StatisticsInputError
        If there is no such way.
    """
    try:
        return Missing(missing)
    except ValueError as error:
        fix = "use " + " or ".join(Missing)
        problem = "is no way to compare readers where cases are missing"
        raise StatisticsInputError(problem, field="missing", value=missing, fix=fix) from error


@dataclass(frozen=True, eq=False)
class PanelCases:
    """Readers and cases of one comparison."""

    readers: tuple[int, ...]  # positions of those who are kept
    cases: BoolArray  # (n_cases,) cases used
    is_common: bool  # everybody kept answered all of them
    notes: tuple[str, ...]
    is_matched: bool = False  # for want of common cases each reader meets the model on the cases of this reader


def panel_cases(
    answered: BoolArray,
    groups: Sequence[BoolArray],
    names: Sequence[str],
    missing: Missing,
    *,
    is_against_model: bool = False,
) -> PanelCases:
    """Choose readers and cases by the rule above.

    Parameters
    ----------
    answered : bool array, shape (arm, reader, case)
        Who answered what; a reader without any answer in an arm does not read there.
    groups : sequence of bool arrays, shape (n_cases,)
        Kinds of cases that a figure needs two of each.
    names : sequence of str
        Readers, for the notes.
    missing : Missing
    is_against_model : bool
        Whether a model answered every case: a figure of its own then uses also those that no reader answered.
    """
    reads: BoolArray = np.any(answered, axis=2)  # (arm, reader)
    lacks = reads[:, :, None] & ~answered
    kept, notes = _with_a_figure(answered, reads, groups, names)
    some: BoolArray = np.any(answered[:, kept], axis=(0, 1)) | is_against_model
    if not lacks[:, kept].any() or missing is Missing.PER_CURVE:
        return PanelCases(tuple(kept), some, not lacks[:, kept][:, :, some].any(), tuple(notes))
    kept, costly = _without_the_costliest(lacks, kept)
    notes += [
        f"left out: {names[reader]}, without whom {after} instead of {before} cases are common"
        for reader, before, after in costly
    ]
    common: BoolArray = ~np.any(lacks[:, kept], axis=(0, 1))
    fewest = int(answered[:, kept].sum(axis=2)[reads[:, kept]].min())
    if common.sum() < SMALLEST_SHARE * fewest:
        kept, notes = _with_a_figure(answered, reads, groups, names)
        instead = (
            "each reader is compared with the model on the cases that this reader answered"
            if is_against_model
            else "every figure uses the cases that its reader has: readers with harder cases look worse"
        )
        notes.append(f"only {int(common.sum())} cases were answered by all, so {instead}")
        cases: BoolArray = np.any(answered[:, kept], axis=(0, 1))
        return PanelCases(tuple(kept), cases, False, tuple(notes), is_matched=is_against_model)
    dropped = int((answered.any(axis=(0, 1)) | is_against_model).sum() - common.sum())
    if dropped:
        notes.append(f"{dropped} cases that not all of them answered are left out")
    return PanelCases(tuple(kept), common, True, tuple(notes))


def _with_a_figure(
    answered: BoolArray, reads: BoolArray, groups: Sequence[BoolArray], names: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Readers with two cases of each kind in each of their arms; all, where fewer than two would remain."""
    everybody = list(range(answered.shape[1]))
    needed = [group for group in groups if group.sum() >= FEWEST_OF_A_KIND]
    has_figure = np.ones(len(everybody), dtype=bool)
    for group in needed:
        has_figure &= ((answered & group).sum(axis=2) >= FEWEST_OF_A_KIND).all(axis=0, where=reads)
    kept = [reader for reader in everybody if has_figure[reader]]
    if len(kept) < SMALLEST_PANEL or len(kept) == len(everybody):
        return everybody, []
    left_out = ", ".join(names[reader] for reader in everybody if not has_figure[reader])
    return kept, [f"left out for fewer than two cases of a class: {left_out}"]


def _without_the_costliest(lacks: BoolArray, kept: list[int]) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Readers without those who alone cost the others over half of their common cases: (reader, cases, without)."""
    kept = list(kept)
    lacked: BoolArray = np.any(lacks, axis=0)  # (reader, case)
    costly = []
    while len(kept) > SMALLEST_PANEL:
        holes = lacked[kept].sum(axis=0)
        now = int((holes == 0).sum())
        without = now + ((holes == 1) & lacked[kept]).sum(axis=1)  # common cases if one reader were not there
        place = int(np.argmax(without))
        after = int(without[place])
        if after <= COSTLIEST * now:
            break
        costly.append((kept.pop(place), now, after))
    return kept, costly
