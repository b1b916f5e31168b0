"""The paper's own formulas, which are used to reproduce it and nowhere else as a default."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.optimize import brentq

from core.errors import UndefinedStatisticError
from core.report.paper_data import ClassCounts
from core.statistics.auc_interval import auc_binomial_exact


def binomial_exact_auc_interval(area: float, n: int, confidence_level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of ``area * n`` successes out of ``n``, as MedCalc prints it for an AUC.

    It treats an AUC as a proportion of all cases, which it is not, and is too narrow for hard labels.
    """
    estimate = auc_binomial_exact(area, n, confidence_level=confidence_level)
    if estimate.lower is None or estimate.upper is None:
        raise UndefinedStatisticError("An AUC without cases has no interval.")
    return estimate.lower, estimate.upper


def auc_range_for_limits(
    area: tuple[float, float], lower: tuple[float, float], upper: tuple[float, float], n: int
) -> tuple[float, float] | None:
    """AUCs inside ``area`` whose binomial exact limits lie inside ``lower`` and ``upper``; None when there is none.

    Both limits rise with the AUC, so every requirement is an interval of AUCs and the answer is their intersection.
    """
    low, high = max(area[0], 0.0), min(area[1], 1.0)
    for side, (least, most) in enumerate((lower, upper)):
        low = max(low, _area_with_limit(least, side, n))
        high = min(high, _area_with_limit(most, side, n))
    return (low, high) if low <= high else None


def _area_with_limit(limit: float, side: int, n: int) -> float:
    """The AUC whose lower (side 0) or upper (side 1) limit is ``limit``; 0 or 1 when none is."""

    def excess(area: float) -> float:
        return binomial_exact_auc_interval(area, n)[side] - limit

    if excess(0.0) >= 0:
        return 0.0
    if excess(1.0) <= 0:
        return 1.0
    return float(brentq(excess, 0.0, 1.0, xtol=1e-12))


def cohen_kappa_from_counts(classes: Sequence[ClassCounts]) -> float:
    """Cohen's kappa of a rater with the reference standard, from the margins of their table.

    Kappa needs the diagonal and the margins only, so it is known although the 4x4 table is not (Cohen 1960).
    """
    n = classes[0].n
    observed = sum(counts.true_positive for counts in classes) / n
    expected = sum(counts.n_positive * (counts.true_positive + counts.false_positive) for counts in classes) / n**2
    return (observed - expected) / (1 - expected)


def scott_pi_from_counts(classes: Sequence[ClassCounts]) -> float:
    """Scott's pi, which is Fleiss' kappa for two raters, from the same margins (Scott 1955)."""
    n = classes[0].n
    observed = sum(counts.true_positive for counts in classes) / n
    shares = [(counts.n_positive + counts.true_positive + counts.false_positive) / (2 * n) for counts in classes]
    expected = sum(share**2 for share in shares)
    return (observed - expected) / (1 - expected)
