"""Non-inferiority and equivalence of models against a margin that was set before the data were seen.

Accuracy against each reader by Tango's score test (where a patient has several cases, by the normal test of the
difference between patients); AUC against the panel from the multi-reader difference and its standard error, in each
scope, which is the test of ``StandaloneComparison.non_inferiority``. One-sided at half of 1 - confidence level, so that
the test and the interval shown cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from core.errors import StatisticsInputError
from core.statistics.non_inferiority import Goal, assess_margin, assess_margin_paired
from core.statistics.proportion_difference import PairedCounts
from core.statistics.reader_study import Figure
from core.statistics.result import undefined_estimate
from core.study_analysis.results import BETWEEN_PATIENTS, MarginResult, MrmcResult, PairComparison

GOALS: tuple[Goal, ...] = ("non-inferiority", "equivalence")


def check_margin(margin: float) -> None:
    """Refuse a margin that is not between 0 and 1, also where there is nothing to judge.

    Raises
    ------
    StatisticsInputError
        If it is not.
    """
    is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
    if not is_number or not 0.0 < margin < 1.0:
        raise StatisticsInputError(
            "must lie between 0 and 1", field="margin", value=margin, fix="set it before the study, for example 0.05"
        )


def margin_results(
    comparisons: Sequence[PairComparison], mrmc: Sequence[MrmcResult], margin: float, confidence_level: float
) -> tuple[MarginResult, ...]:
    """Every model against every reader (accuracy) and every panel (AUC), for both goals.

    References
    ----------
    Tango (1998), Stat. Med. 17:891-908. Schuirmann (1987), J. Pharmacokinet. Biopharm. 15:657-680. Hillis (2007),
    Stat. Med. 26:596-619.
    """
    alpha = (1.0 - confidence_level) / 2.0
    return (*_accuracy(comparisons, margin, alpha), *_areas(mrmc, margin, alpha))


def _accuracy(comparisons: Sequence[PairComparison], margin: float, alpha: float) -> Iterator[MarginResult]:
    """Each model against each reader on their common cases."""
    for pair in comparisons:
        if pair.table is None or (pair.first.kind, pair.second.kind) != ("model", "reader"):
            continue
        for goal in GOALS:
            if BETWEEN_PATIENTS in pair.tests:
                verdict = assess_margin(pair.difference, margin, goal=goal, alpha=alpha)
            else:
                counts = PairedCounts(*pair.table.ravel().tolist())
                verdict = assess_margin_paired(counts, margin, goal=goal, alpha=alpha)
            yield MarginResult(
                "model_vs_reader", "all", Figure.ACCURACY.value, "", pair.second.arm, pair.first.key, pair.second.key,
                pair.first.name, pair.second.name, verdict, pair.notes,
            )  # fmt: skip


def _areas(mrmc: Sequence[MrmcResult], margin: float, alpha: float) -> Iterator[MarginResult]:
    """Each model against each panel, per class and averaged, in every scope."""
    for one in mrmc:
        if one.analysis != "model_vs_panel" or one.metric != Figure.AUC.value:
            continue
        difference = one.test.difference or undefined_estimate(
            one.test.reason or "There is no difference to judge.", confidence_level=1.0 - 2.0 * alpha,
            method=one.test.method,
        )  # fmt: skip
        freedom = one.test.degrees_of_freedom
        df = freedom if isinstance(freedom, float) and np.isfinite(freedom) else None
        for goal in GOALS:
            yield MarginResult(
                one.analysis, one.class_key, one.metric, one.scope, one.arm, one.first, one.second, one.first_name,
                one.second_name, assess_margin(difference, margin, goal=goal, alpha=alpha, degrees_of_freedom=df),
                one.test.notes,
            )  # fmt: skip
