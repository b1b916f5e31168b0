"""Krippendorff's alpha for any number of readers, with missing readings.

Conventions: ``labels`` as in :mod:`core.statistics.agreement_coefficients`; a case that fewer than two readers read
says nothing about reliability and is left out. R's ``irr::kripp.alpha`` is wrong for complete data with more than two
readers; this follows Krippendorff's coincidence table.

References
----------
Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, University of Pennsylvania. Krippendorff (2019),
Content Analysis, 4th ed., Sage, chapter 12. Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed. (variance).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.agreement_coefficients import AgreementCoefficient, reading_table, t_interval
from core.statistics.bootstrap import bootstrap_estimate
from core.statistics.result import Estimate, undefined_estimate
from core.statistics.validation import FloatArray, check_confidence_level

Metric = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    metric: Metric = "nominal",
    confidence_level: float = 0.95,
    rng: np.random.Generator | None = None,
    n_replicates: int = 2_000,
) -> AgreementCoefficient:
    """Krippendorff's alpha.

    Parameters
    ----------
    labels : sequence, shape (n_cases, n_readers)
        Class that each reader gave each case; None or NaN where there is no reading.
    classes : sequence
        All classes; for "ordinal" and "interval" in ascending order, and equally spaced for "interval".
    metric : {"nominal", "ordinal", "interval"}
        Distance between classes.
    rng : numpy.random.Generator, optional
        Gives a percentile bootstrap interval over cases; without it the interval is Student's t with the linearised
        standard error (for "ordinal" as if the distances, which depend on the data, were fixed).
    n_replicates : int
        Bootstrap replicates.

    Returns
    -------
    AgreementCoefficient
        Undefined when no case was read twice, or all readings name one class.
    """
    level = check_confidence_level(confidence_level)
    name = f"Krippendorff's alpha, {metric}"
    if metric not in ("nominal", "ordinal", "interval"):
        raise StatisticsInputError(
            "unknown metric", field="metric", value=metric, fix="use nominal, ordinal or interval"
        )
    counts = reading_table(labels, classes, "identity").counts
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        reason = "No case was read by two readers or more."
        return AgreementCoefficient(undefined_estimate(reason, confidence_level=level, method=name, n=0), None, None)
    try:
        value = _alpha(counts, metric)
    except UndefinedStatisticError as error:
        nothing = undefined_estimate(str(error), confidence_level=level, method=name, n=len(counts))
        return AgreementCoefficient(nothing, 1.0, 1.0)
    variance, observed, expected = _linearised(counts, metric)
    estimate = t_interval(value, variance, len(counts), level, name)
    if rng is not None:
        spread = bootstrap_estimate(
            lambda cases: _alpha(counts[cases], metric),
            len(counts),
            rng=rng,
            n_replicates=n_replicates,
            confidence_level=level,
        )
        estimate = Estimate(
            value=value,
            standard_error=spread.standard_error,
            lower=spread.lower,
            upper=spread.upper,
            confidence_level=level,
            method=f"{name}; {spread.method}",
            state=spread.state,
            reason=spread.reason,
            notes=spread.notes,
            n=len(counts),
        )
    return AgreementCoefficient(estimate, observed, expected)


def _distances(counts: FloatArray, metric: Metric) -> FloatArray:
    """Squared distance between classes, shape (k, k)."""
    k = counts.shape[1]
    place = np.arange(k)
    if metric == "nominal":
        return 1.0 - np.eye(k)
    if metric == "interval":
        return np.subtract.outer(place, place).astype(np.float64) ** 2
    used = counts.sum(axis=0)
    # Readings up to the middle of each class: their differences are Krippendorff's ordinal distances.
    middle = np.cumsum(used) - used / 2.0
    return np.subtract.outer(middle, middle) ** 2


def _alpha(counts: FloatArray, metric: Metric) -> float:
    """One minus observed over expected disagreement."""
    readings = counts.sum(axis=1)
    coincidence = (counts / (readings - 1.0)[:, None]).T @ counts - np.diag(
        (counts / (readings - 1.0)[:, None]).sum(axis=0)
    )
    used = counts.sum(axis=0)
    total = used.sum()
    distance = _distances(counts, metric)
    expected = float(np.sum(np.outer(used, used) * distance)) / float(total - 1.0)
    if expected == 0.0:
        raise UndefinedStatisticError("All readings name one class, so alpha is not defined.")
    return 1.0 - float(np.sum(coincidence * distance)) / float(expected)


def _linearised(counts: FloatArray, metric: Metric) -> tuple[float, float, float]:
    """Variance over cases, observed and expected agreement, by Gwet's formulas."""
    n = len(counts)
    distance = _distances(counts, metric)
    weights = 1.0 - distance / distance.max()
    readings = counts.sum(axis=1)
    mean_readings = float(readings.mean())
    agreeing = np.sum(counts * (counts @ weights - 1.0), axis=1) / (mean_readings * (readings - 1.0))
    observed = float(agreeing.mean())
    share = counts.sum(axis=0) / (n * mean_readings)
    expected = float(share @ weights @ share)
    uncorrected = (observed - expected) / (1.0 - expected)
    surplus = (readings - mean_readings) / mean_readings
    own = (agreeing - observed * surplus - expected) / (1.0 - expected)
    own_expected = counts @ (weights @ share) / mean_readings - expected * surplus
    own = own - 2.0 * (1.0 - uncorrected) * (own_expected - expected) / (1.0 - expected)
    variance = float(np.sum((own - uncorrected) ** 2)) / (n * (n - 1.0)) if n > 1 else 0.0
    small = 1.0 / float(readings.sum())
    return variance, (1.0 - small) * observed + small, expected
