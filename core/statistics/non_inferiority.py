"""Non-inferiority and equivalence against a margin that was set before the data were seen.

Measures: :func:`assess_margin_paired`, :func:`assess_margin_unpaired`, :func:`assess_margin_auc`,
:func:`assess_margin` (any difference).

Conventions: differences are first minus second, larger is better for the first (the new one). Non-inferior: the
difference is above minus the margin, by a one-sided test at ``alpha`` (0.025). Equivalent: it is within the margin on
both sides, by two one-sided tests at ``alpha``. The interval reported is the matching two-sided one at 1 - 2 alpha, cut
at -1 and 1, so that test and interval cannot disagree. A p value above 0.05 in a test of difference is not equivalence.

>>> verdict = assess_margin_paired(PairedCounts(both=80, only_first=9, only_second=6, neither=5), 0.1)
>>> print(f"{verdict.is_shown}, p = {verdict.p_value:.4f}")
True, p = 0.0016

References
----------
Schuirmann (1987), J. Pharmacokinet. Biopharm. 15:657-680. Tango (1998), Stat. Med. 17:891-908. Farrington and Manning
(1990), Stat. Med. 9:1447-1454. ICH E9 (1998), Statistical Principles for Clinical Trials, section 3.3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.auc_comparison import compare_aucs_paired
from core.statistics.proportion_difference import (
    PairedCounts,
    difference_paired,
    difference_unpaired,
    miettinen_nurminen_score,
    tango_score,
)
from core.statistics.result import SMALLEST_P, Estimate, Reported, State

Goal = Literal["non-inferiority", "equivalence"]


@dataclass(frozen=True)
class MarginTest(Reported):
    """The verdict against a margin."""

    goal: str
    margin: float  # in the units of the difference, above 0
    alpha: float  # one-sided
    difference: Estimate  # interval at 1 - 2 alpha
    p_value: float | None  # one-sided; for equivalence the larger of both
    is_shown: bool | None  # None when it cannot be tested
    method: str
    reason: str | None = None


def assess_margin_paired(
    counts: PairedCounts, margin: float, *, goal: Goal = "non-inferiority", alpha: float = 0.025
) -> MarginTest:
    """Accuracies (or sensitivities) over the same cases, by Tango's score test.

    Parameters
    ----------
    counts : PairedCounts
        Cross-table of right and wrong; the first is the new one.
    margin : float
        Largest loss that would still be acceptable, between 0 and 1.
    goal : {"non-inferiority", "equivalence"}
        What is to be shown.
    alpha : float
        One-sided level.
    """
    _check(margin, goal, alpha)
    difference = difference_paired(counts, confidence_level=1.0 - 2.0 * alpha)
    return _judge(difference, margin, goal, alpha, lambda supposed: tango_score(counts, supposed), "Tango score")


def assess_margin_unpaired(
    successes_1: int,
    n_1: int,
    successes_2: int,
    n_2: int,
    margin: float,
    *,
    goal: Goal = "non-inferiority",
    alpha: float = 0.025,
) -> MarginTest:
    """Two independent proportions, by the Miettinen-Nurminen score test; see :func:`assess_margin_paired`."""
    _check(margin, goal, alpha)
    difference = difference_unpaired(
        successes_1, n_1, successes_2, n_2, confidence_level=1.0 - 2.0 * alpha, method="miettinen-nurminen"
    )
    return _judge(
        difference,
        margin,
        goal,
        alpha,
        lambda supposed: miettinen_nurminen_score(successes_1, n_1, successes_2, n_2, supposed),
        "Miettinen-Nurminen score",
    )


def assess_margin_auc(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    margin: float,
    *,
    goal: Goal = "non-inferiority",
    alpha: float = 0.025,
) -> MarginTest:
    """Two AUCs over the same cases, by DeLong; see :func:`assess_margin_paired`."""
    _check(margin, goal, alpha)
    test = compare_aucs_paired(truth, first, second, confidence_level=1.0 - 2.0 * alpha)
    if test.difference is None:
        nothing = Estimate(None, None, None, None, 1.0 - 2.0 * alpha, test.method, test.state, test.reason)
        return MarginTest(goal, margin, alpha, nothing, None, None, test.method, test.reason)
    return assess_margin(test.difference, margin, goal=goal, alpha=alpha)


def assess_margin(
    difference: Estimate,
    margin: float,
    *,
    goal: Goal = "non-inferiority",
    alpha: float = 0.025,
    degrees_of_freedom: float | None = None,
) -> MarginTest:
    """Any difference with a standard error, by the normal or, with degrees of freedom, Student's t.

    Parameters
    ----------
    difference : Estimate
        First minus second with a symmetric interval (DeLong, Obuchowski-Rockette); its own limits are replaced by
        those at 1 - 2 alpha.
    degrees_of_freedom : float, optional
        Of the standard error.
    """
    _check(margin, goal, alpha)
    name = "normal" if degrees_of_freedom is None else f"Student's t, {degrees_of_freedom:.4g} degrees of freedom"
    value, error = difference.value, difference.standard_error
    if value is None or error is None or error <= 0.0:
        reason = difference.reason or "The difference has no standard error."
        return MarginTest(goal, margin, alpha, difference, None, None, name, reason)
    law = stats.norm() if degrees_of_freedom is None else stats.t(degrees_of_freedom)
    half = float(law.isf(alpha)) * error
    limits = Estimate(
        value, error, max(-1.0, value - half), min(1.0, value + half), 1.0 - 2.0 * alpha, difference.method,
        n=difference.n, notes=difference.notes, wald_lower=value - half, wald_upper=value + half,
    )  # fmt: skip
    return _judge(limits, margin, goal, alpha, lambda supposed: (value - supposed) / error, name, law.sf)


def _judge(
    difference: Estimate,
    margin: float,
    goal: Goal,
    alpha: float,
    score: Callable[[float], float],
    method: str,
    tail: Callable[[float], float] = stats.norm.sf,
) -> MarginTest:
    """One-sided p values from a score statistic that falls with the supposed difference."""
    if difference.state is State.UNDEFINED:
        return MarginTest(goal, margin, alpha, difference, None, None, method, difference.reason)
    p_value = float(tail(score(-margin)))
    if goal == "equivalence":
        p_value = max(p_value, float(tail(-score(margin))))
    return MarginTest(goal, margin, alpha, difference, max(p_value, SMALLEST_P), p_value < alpha, method)


def _check(margin: float, goal: str, alpha: float) -> None:
    if isinstance(margin, bool) or not 0.0 < margin < 1.0:
        raise StatisticsInputError(
            "must lie between 0 and 1", field="margin", value=margin, fix="set it before the study, for example 0.05"
        )
    if goal not in ("non-inferiority", "equivalence"):
        raise StatisticsInputError(
            "unknown goal", field="goal", value=goal, fix="use 'non-inferiority' or 'equivalence'"
        )
    if not 0.0 < alpha < 0.5:
        raise StatisticsInputError("must lie between 0 and 0.5", field="alpha", value=alpha, fix="use 0.025")
