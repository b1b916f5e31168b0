"""What became of every case: who was right on it, and whether readers and model failed together or alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.study_analysis.arrays import CohortArrays, Participant


@dataclass(frozen=True)
class CaseOutcome:
    """One case in one arm."""

    case: str
    truth: str  # class key
    arm: str
    n_readers: int  # who chose a class
    n_right: int
    model: str  # key of the model; "" where none answered
    is_model_right: bool | None
    outcome: str  # all_right, all_wrong, only_model_wrong, only_readers_wrong, readers_split


def lead_model(cohort: CohortArrays, declared: str | None) -> Participant | None:
    """The model that meets the readers: the declared one, or else the first in their order that chose classes."""
    models = [one for one in cohort.participants if one.kind == "model" and one.has_labels]
    return next((one for one in models if one.key == declared), models[0] if models else None)


def case_outcomes(cohort: CohortArrays, declared: str | None = None) -> tuple[CaseOutcome, ...]:
    """Every case that a reader of an arm answered, by arm and case.

    Parameters
    ----------
    declared : str, optional
        Key of the model that the protocol named; absent, the first.
    """
    model = lead_model(cohort, declared)
    readers = [one for one in cohort.participants if one.kind == "reader" and one.has_labels]
    return tuple(
        outcome
        for arm in sorted({one.arm for one in readers})
        for outcome in _of_arm(cohort, [one for one in readers if one.arm == arm], arm, model)
    )


def _of_arm(
    cohort: CohortArrays, readers: list[Participant], arm: str, model: Participant | None
) -> Iterator[CaseOutcome]:
    """The cases of one arm."""
    labels = np.stack([one.labels for one in readers])
    answered, right = (labels >= 0).sum(axis=0), (labels == cohort.truth).sum(axis=0)
    said = np.full(cohort.truth.size, -1) if model is None else model.labels
    for at in np.flatnonzero(answered).tolist():
        n, n_right = int(answered[at]), int(right[at])
        is_model_right = None if said[at] < 0 else bool(said[at] == cohort.truth[at])
        yield CaseOutcome(
            cohort.cases[at], cohort.class_keys[cohort.truth[at]], arm, n, n_right,
            "" if model is None or is_model_right is None else model.key, is_model_right,
            _outcome(n, n_right, is_model_right),
        )  # fmt: skip


def _outcome(n: int, n_right: int, is_model_right: bool | None) -> str:
    """The kind of a case."""
    if 0 < n_right < n:
        return "readers_split"
    if n_right == n:
        return "only_model_wrong" if is_model_right is False else "all_right"
    return "only_readers_wrong" if is_model_right else "all_wrong"
