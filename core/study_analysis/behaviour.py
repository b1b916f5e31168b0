"""How readers behaved: whether their confidence holds, how the order tired them, and what the model's answer did.

The ledger of automation bias counts, for readers who read a case without and with the model in view, what became of
the answer. Its shares have the cases as denominators on which the thing could happen:

* **helped**: wrong alone, right with the model; of the cases wrong alone on which the model shown was right.
* **harmed**: right alone, wrong with the model; of the cases right alone on which the model shown was wrong.
* **resisted**: right alone and right with the model, though it was wrong; of the same cases as *harmed*.
* **followed a wrong model**: gave the very class that a wrong model showed, of the cases on which it was wrong; also
  known where nobody read without the model.

Readings beside an answer that was wrong on purpose are rows of their own (``shown`` "altered"), never mixed with the
model's own. What a change of answer means is for the reader of the table: a second look changes answers as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from core.statistics.median import median_estimate
from core.statistics.proportions import proportion
from core.statistics.result import Estimate
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant, band_of
from core.study_analysis.case_outcomes import lead_model
from core.study_analysis.data import IntArray
from core.study_analysis.performance import CLUSTER_NOTE
from core.study_analysis.results import (
    ConfidenceResult,
    LedgerAverage,
    LedgerResult,
    OrderResult,
    identity_of,
)

#: More distinct confidences than this (a scale of 0 to 100) are put into tenths of the scale's range.
MOST_STEPS = 10
QUARTERS = 4
EXPERIENCE_BANDS = (0, 5, 10)


def confidence_results(cohort: CohortArrays, level: float) -> tuple[ConfidenceResult, ...]:
    """The share of right answers at every step of confidence of every reader.

    References
    ----------
    Lichtenstein, Fischhoff and Phillips (1982), in: Judgment under Uncertainty, Cambridge University Press, 306-334.
    """
    found = []
    for one in cohort.participants:
        if one.confidence is None or not one.has_labels:
            continue
        within = ~np.isnan(one.confidence) & (one.labels >= 0)
        values, right = one.confidence[within], (one.labels == cohort.truth)[within]
        for number, (lower, upper, chosen) in enumerate(_steps(values), start=1):
            share = _share(cohort, int(right[chosen].sum()), int(chosen.sum()), level)
            shift, mean = one.confidence_shift, float(values[chosen].mean())  # told as it was stated
            found.append(ConfidenceResult(identity_of(one), number, lower - shift, upper - shift, mean - shift, share))
    return tuple(found)


def _steps(values: np.ndarray) -> Iterator[tuple[float, float, BoolArray]]:
    """Lowest and highest confidence of every step that was used, and which readings are of it."""
    distinct = np.unique(values)
    if distinct.size <= MOST_STEPS:
        for value in distinct.tolist():
            yield value, value, values == value
        return
    edges = np.linspace(distinct[0], distinct[-1], MOST_STEPS + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, MOST_STEPS - 1)
    for at in range(MOST_STEPS):
        if (place == at).any():
            yield float(edges[at]), float(edges[at + 1]), place == at


def order_results(cohort: CohortArrays, level: float) -> tuple[OrderResult, ...]:
    """Right answers and median seconds in each quarter of a reader's own order: fatigue, or learning."""
    found = []
    for one in cohort.participants:
        if one.positions is None:
            continue
        within = ~np.isnan(one.positions) & one.is_answered
        rank = np.argsort(np.argsort(one.positions[within], kind="stable"), kind="stable")
        quarter = rank * QUARTERS // max(rank.size, 1) + 1
        for number in range(1, QUARTERS + 1):
            chosen = np.flatnonzero(within)[quarter == number]
            if not chosen.size:
                continue
            if one.has_labels:
                right = int((one.labels == cohort.truth)[chosen].sum())
                share = _share(cohort, right, chosen.size, level)
                found.append(OrderResult(identity_of(one), number, "accuracy", share))
            seconds = np.empty(0) if one.seconds is None else one.seconds[chosen]
            seconds = seconds[~np.isnan(seconds)]
            if seconds.size:
                estimate = median_estimate(seconds, confidence_level=level)
                found.append(OrderResult(identity_of(one), number, "seconds", _noted(cohort, estimate)))
    return tuple(found)


def ledger_results(cohort: CohortArrays, level: float, declared: str | None = None) -> tuple[LedgerResult, ...]:
    """The ledger of automation bias of every reader who saw the model, whole and by confidence.

    References
    ----------
    Goddard, Roudsari and Wyatt (2012), J. Am. Med. Inform. Assoc. 19:121-127. Dratsch et al. (2023), Radiology
    307:e222176.
    """
    model = lead_model(cohort, declared)
    alone = {one.key: one for one in cohort.participants if one.kind == "reader" and one.arm == "unaided"}
    found: list[LedgerResult] = []
    for one in cohort.participants:
        if one.kind != "reader" or one.arm != "aided":
            continue
        shown = {"model": (None if model is None else model.labels, one.labels)}
        if one.altered_labels is not None:
            shown["altered"] = (cohort.altered_shown, one.altered_labels)
        for source, (said, answers) in shown.items():
            if said is not None:
                found += _of_reader(cohort, one, alone.get(one.key), source, said, answers, level)
    return tuple(found)


def ledger_averages(ledger: Sequence[LedgerResult]) -> tuple[LedgerAverage, ...]:
    """Lines of the ledger by the readers' experience: the mean over readers, every reader counting once."""
    groups: dict[tuple[str, str, str, str, str], list[LedgerResult]] = {}
    for one in ledger:
        if one.of:
            key = (one.shown, one.variable, one.level, one.quantity, one.experience)
            groups.setdefault(key, []).append(one)
    found = []
    for key, lines in groups.items():
        shares = [one.count / one.of for one in lines]
        n, of = sum(one.count for one in lines), sum(one.of for one in lines)
        mean = float(np.mean(shares))
        found.append(LedgerAverage(*key, len(lines), n, of, mean, min(shares), max(shares)))
    return tuple(found)


def _of_reader(
    cohort: CohortArrays,
    one: Participant,
    before: Participant | None,
    source: str,
    said: IntArray,
    answers: IntArray,
    level: float,
) -> Iterator[LedgerResult]:
    """One reader: all cases, then those on which the answer given alone was confident, and those where it was not."""
    seen = (said >= 0) & (answers >= 0)
    parts: dict[tuple[str, str], BoolArray] = {("all", ""): seen}
    if before is not None and before.confidence is not None:
        stated = before.confidence[~np.isnan(before.confidence)]
        if np.unique(stated).size > 1:
            high = before.confidence > np.median(stated)
            low = before.confidence <= np.median(stated)
            parts |= {("confidence", "up to the median"): seen & low, ("confidence", "above the median"): seen & high}
    experience = band_of(one.years, EXPERIENCE_BANDS)
    for (variable, part), within in parts.items():
        for quantity, n, of in _counts(cohort, before, said, answers, within):
            share = _share(cohort, n, of, level)
            yield LedgerResult(identity_of(one), source, variable, part, quantity, n, of, experience, share)


def _counts(
    cohort: CohortArrays, before: Participant | None, said: IntArray, answers: IntArray, within: BoolArray
) -> Iterator[tuple[str, int, int]]:
    """Name, count and denominator of every line of the ledger."""
    is_model_right, right = said == cohort.truth, answers == cohort.truth
    wrong_model = within & ~is_model_right
    if before is not None:
        known = within & (before.labels >= 0)
        was_right = before.labels == cohort.truth
        could_help, could_harm = known & ~was_right & is_model_right, known & was_right & ~is_model_right
        yield "helped", int((could_help & right).sum()), int(could_help.sum())
        yield "harmed", int((could_harm & ~right).sum()), int(could_harm.sum())
        yield "resisted", int((could_harm & right).sum()), int(could_harm.sum())
        yield "right_alone", int((known & was_right).sum()), int(known.sum())
        yield "right_with_model", int((known & right).sum()), int(known.sum())
    yield "followed_wrong_model", int((wrong_model & (answers == said)).sum()), int(wrong_model.sum())


def _share(cohort: CohortArrays, n: int, of: int, level: float) -> Estimate:
    return _noted(cohort, proportion(n, of, confidence_level=level))


def _noted(cohort: CohortArrays, estimate: Estimate) -> Estimate:
    return estimate.with_note(CLUSTER_NOTE) if cohort.is_clustered else estimate
