"""Readers of one or several arms as a reader study: who takes part, on which cases, and what a note has to say of it.

Readers with ratings enter the AUC; if fewer than two have ratings, the hard labels do and a note says so. Arms are
compared within the readers who read in all of them; where nobody did, between readers (nested).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.statistics.auc_interval import HARD_LABEL_NOTE
from core.statistics.reader_study import Figure, ReaderStudy
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant
from core.study_analysis.data import FloatArray
from core.study_analysis.panel_cases import SMALLEST_PANEL, Missing, PanelCases, panel_cases

#: Figures of the classes that readers chose.
LABEL_FIGURES = (Figure.ACCURACY, Figure.SENSITIVITY, Figure.SPECIFICITY)
BETWEEN_READERS = "nobody read in both arms: the arms are compared between different readers"


@dataclass(frozen=True, eq=False)
class ReaderPanel:
    """Readers of one or several arms, before it is chosen which of them and which cases a figure uses."""

    cohort: CohortArrays
    arms: tuple[str, ...]
    readers: tuple[str, ...]  # keys
    answers: dict[tuple[str, str], Participant]  # by arm and reader; absent: does not read there
    within: BoolArray  # (n_cases,) of the cohort
    kind: str  # "ratings", "decisions" (an AUC of hard labels) or "labels"
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    is_against_model: bool  # which answered every case within

    @cached_property
    def answered(self) -> BoolArray:
        """Who answered what, shape (arm, reader, case)."""
        found = np.zeros((len(self.arms), len(self.readers), int(self.within.sum())), dtype=bool)
        for (arm, key), one in self.answers.items():
            seen = one.is_rated if self.kind == "ratings" else one.labels >= 0
            found[self.arms.index(arm), self.readers.index(key)] = seen[self.within]
        return found

    @cached_property
    def is_complete(self) -> bool:
        """Whether everybody answered every case in every arm of theirs."""
        return not (np.any(self.answered, axis=2)[:, :, None] & ~self.answered).any()

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Readers' names, or their keys where two share a name."""
        name = {key: one.name for (_, key), one in self.answers.items()}
        is_unique = len(set(name.values())) == len(name)
        return tuple(name[key] if is_unique else key for key in self.readers)

    def choose(self, figure: Figure, positive: Hashable | None, missing: Missing) -> PanelCases:
        """Readers and cases of one figure, by the rule of :mod:`core.study_analysis.panel_cases`."""
        truth, keys = self.cohort.truth[self.within], self.cohort.class_keys
        of_class = [truth == index for index in range(len(keys))]
        if positive is None and len(keys) == 2:
            positive = keys[1]
        groups = of_class
        if figure is Figure.ACCURACY:
            groups = [np.ones(truth.size, dtype=bool)]
        elif positive is not None:
            one = of_class[keys.index(str(positive))]
            groups = {Figure.AUC: [one, ~one], Figure.SENSITIVITY: [one]}.get(figure, [~one])
        return panel_cases(self.answered, groups, self.shown, missing, is_against_model=self.is_against_model)

    def study(self, chosen: PanelCases) -> ReaderStudy:
        """Dense arrays over arms, the readers and the cases that were chosen; NaN where there is no reading."""
        cohort, k = self.cohort, len(self.cohort.class_keys)
        at = np.flatnonzero(self.within)[chosen.cases]
        shape = (k, len(self.arms), len(chosen.readers), at.size)
        ratings: FloatArray = np.full(shape, np.nan)
        labels: FloatArray = np.full(shape[1:], np.nan)
        for column, reader in enumerate(chosen.readers):
            for row, arm in enumerate(self.arms):
                one = self.answers.get((arm, self.readers[reader]))
                if one is None:
                    continue
                given = one.labels[at]
                labels[row, column] = np.where(given >= 0, given, np.nan)
                if self.kind == "ratings" and one.ratings is not None:
                    ratings[:, row, column] = one.ratings[:, at]
                elif self.kind == "decisions":
                    ratings[:, row, column] = np.where(given >= 0, given == np.arange(k)[:, None], np.nan)
        return ReaderStudy.from_dense(
            [cohort.class_keys[index] for index in cohort.truth[at]],
            ratings=None if self.kind == "labels" else (ratings[1] if k == 2 else ratings),
            labels=labels if self.kind == "labels" else None,
            classes=cohort.class_keys,
            arms=self.arms,
            readers=[self.shown[reader] for reader in chosen.readers],
            patients=None if cohort.patients_if_clustered is None else cohort.patients_if_clustered[at],
        )


@dataclass(frozen=True)
class NoPanel:
    """Why there are no readers for some figures."""

    figures: tuple[Figure, ...]
    reason: str


def reader_panels(
    cohort: CohortArrays, readers: Sequence[Participant], arms: Sequence[str], model: Participant | None = None
) -> Iterator[ReaderPanel | NoPanel]:
    """A panel of ratings (or else of hard labels) for the AUC, and one of labels for the other figures.

    Against a model only the cases that it answered count.
    """
    within = np.ones(len(cohort.cases), dtype=bool) if model is None else model.is_answered
    is_against_model = model is not None
    rated = [one for one in readers if one.ratings is not None and (one.is_rated & within).any()]
    labelled = [one for one in readers if (one.labels[within] >= 0).any()]
    if len({one.key for one in rated}) >= SMALLEST_PANEL:
        yield _panel(cohort, readers, rated, arms, within, "ratings", (Figure.AUC,), is_against_model)
    elif len({one.key for one in labelled}) >= SMALLEST_PANEL:
        yield _panel(cohort, readers, labelled, arms, within, "decisions", (Figure.AUC,), is_against_model)
    if len({one.key for one in labelled}) >= SMALLEST_PANEL:
        yield _panel(cohort, readers, labelled, arms, within, "labels", LABEL_FIGURES, is_against_model)


def _panel(
    cohort: CohortArrays, readers: Sequence[Participant], usable: Sequence[Participant], arms: Sequence[str],
    within: BoolArray, kind: str, figures: tuple[Figure, ...], is_against_model: bool,
) -> ReaderPanel | NoPanel:  # fmt: skip
    """Those of ``usable`` who read in every arm; where nobody read in two, all of them."""
    arms_of: dict[str, set[str]] = {}
    for one in usable:
        arms_of.setdefault(one.key, set()).add(one.arm)
    absent = set(arms) - set().union(*arms_of.values())
    if absent:
        return NoPanel(figures, f"Nobody has {kind} in arm {', '.join(sorted(absent))}.")
    kept = [key for key, has in arms_of.items() if has == set(arms)]  # in the order of the readers
    notes = [HARD_LABEL_NOTE] if kind == "decisions" else []
    if not kept and all(len(has) == 1 for has in arms_of.values()):
        kept = list(arms_of)
        notes.append(BETWEEN_READERS)
    if not kept:
        return NoPanel(figures, "Nobody read in every arm although some read in several: see the pairs of arms.")
    notes += _left_out(readers, usable, kept, arms, kind)
    answers = {(one.arm, one.key): one for one in usable if one.key in kept}
    return ReaderPanel(cohort, tuple(arms), tuple(kept), answers, within, kind, figures, tuple(notes), is_against_model)


def _left_out(
    readers: Sequence[Participant], usable: Sequence[Participant], kept: Sequence[str], arms: Sequence[str], kind: str
) -> list[str]:
    """Who does not take part, and why."""
    has = {(one.arm, one.key) for one in usable}
    was_there = {(one.arm, one.key) for one in readers}
    reasons: dict[str, list[str]] = {}
    for one in readers:
        if one.key in kept:
            continue
        for arm in arms:
            if (arm, one.key) in has:
                continue
            is_hard = (arm, one.key) in was_there and kind == "ratings"
            reason = "hard labels only" if is_hard else f"no {kind}"
            reasons.setdefault(reason + (f" in arm {arm}" if len(arms) > 1 else ""), []).append(one.name)
    return [f"left out for {reason}: {', '.join(dict.fromkeys(names))}" for reason, names in reasons.items()]
