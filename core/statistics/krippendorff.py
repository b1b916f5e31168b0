"""Krippendorff's alpha for any number of readers, with missing readings.

Measures: :func:`krippendorff_alpha`.

Conventions: ``labels`` as in :mod:`core.statistics.agreement_coefficients`; a case that fewer than two readers read
says nothing about reliability and is left out. R's ``irr::kripp.alpha`` is wrong for complete data with more than two
readers; this follows Krippendorff's coincidence table.

>>> found = krippendorff_alpha([["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"]], ["a", "b"])
>>> print(f"{found.estimate.value:.3f}")
0.533

References
----------
Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, University of Pennsylvania. Krippendorff (2019),
Content Analysis, 4th ed., Sage, chapter 12. Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed. (variance).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.agreement_coefficients import AgreementCoefficient, reading_table, t_interval
from core.statistics.bootstrap import bootstrap_estimate
from core.statistics.result import undefined_estimate
from core.statistics.validation import FloatArray, check_classes, check_confidence_level

Metric = Literal["nominal", "ordinal", "interval", "ratio"]


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
        All classes; in ascending order for "ordinal". "interval" and "ratio" take the classes for numbers where all
        of them are numbers, else for 1, 2, ... in their order.
    metric : {"nominal", "ordinal", "interval", "ratio"}
        Distance between classes; "ratio" divides it by their sum, so classes must not be negative.
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
    keys = check_classes(classes)
    counts = reading_table(labels, keys, "identity").counts
    plain = alpha_of(counts, keys, metric, confidence_level)
    if rng is None or plain.estimate.value is None:
        return plain
    counts = counts[counts.sum(axis=1) >= 2]
    spread = bootstrap_estimate(
        lambda cases: _alpha(counts[cases], metric, keys),
        len(counts),
        rng=rng,
        n_replicates=n_replicates,
        confidence_level=plain.estimate.confidence_level,
    )
    estimate = replace(spread, value=plain.estimate.value, method=f"{plain.estimate.method}; {spread.method}")
    return AgreementCoefficient(replace(estimate, n=len(counts)), plain.observed, plain.expected)


def alpha_of(
    counts: FloatArray, classes: tuple[Hashable, ...], metric: Metric, confidence_level: float
) -> AgreementCoefficient:
    """:func:`krippendorff_alpha` without a bootstrap, of readings that are already counted, (n_cases, n_classes)."""
    level = check_confidence_level(confidence_level)
    name = f"Krippendorff's alpha, {metric}"
    if metric not in ("nominal", "ordinal", "interval", "ratio"):
        raise StatisticsInputError(
            "unknown metric", field="metric", value=metric, fix="use nominal, ordinal, interval or ratio"
        )
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        reason = "No case was read by two readers or more."
        return AgreementCoefficient(undefined_estimate(reason, confidence_level=level, method=name, n=0), None, None)
    try:
        value = _alpha(counts, metric, classes)
    except UndefinedStatisticError as error:
        nothing = undefined_estimate(str(error), confidence_level=level, method=name, n=len(counts))
        return AgreementCoefficient(nothing, 1.0, 1.0)
    variance, observed, expected = _linearised(counts, metric, classes)
    if value < -1.0 - 1e-12:
        reason = "The readers agree so much less than by chance that alpha leaves its range of -1 to 1."
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=len(counts))
        return AgreementCoefficient(nothing, observed, expected)
    return AgreementCoefficient(t_interval(value, variance, len(counts), level, name), observed, expected)


def _distances(counts: FloatArray, metric: Metric, classes: tuple[Hashable, ...]) -> FloatArray:
    """Squared distance between classes, shape (k, k)."""
    k = counts.shape[1]
    if metric == "nominal":
        return 1.0 - np.eye(k)
    if metric in ("interval", "ratio"):
        place = _numbers_of(classes)
        apart = np.abs(np.subtract.outer(place, place))
        if metric == "interval":
            return apart**2
        if place.min() < 0.0:
            raise StatisticsInputError("must not be negative for a ratio", field="classes", value=float(place.min()))
        total = np.add.outer(place, place)
        return np.divide(apart, total, out=np.zeros_like(total), where=total > 0.0) ** 2
    used = counts.sum(axis=0)
    # Readings up to the middle of each class: their differences are Krippendorff's ordinal distances.
    middle = np.cumsum(used) - used / 2.0
    return np.subtract.outer(middle, middle) ** 2


def _numbers_of(classes: tuple[Hashable, ...]) -> FloatArray:
    """The classes as numbers, or as 1, 2, ... where one of them is none."""
    if all(isinstance(key, int | float | np.number) and not isinstance(key, bool) for key in classes):
        return np.array(classes, dtype=np.float64)
    return np.arange(1.0, len(classes) + 1.0)


def _alpha(counts: FloatArray, metric: Metric, classes: tuple[Hashable, ...]) -> float:
    """One minus observed over expected disagreement."""
    readings = counts.sum(axis=1)
    coincidence = (counts / (readings - 1.0)[:, None]).T @ counts - np.diag(
        (counts / (readings - 1.0)[:, None]).sum(axis=0)
    )
    used = counts.sum(axis=0)
    total = used.sum()
    distance = _distances(counts, metric, classes)
    expected = float(np.sum(np.outer(used, used) * distance)) / float(total - 1.0)
    if expected == 0.0:
        raise UndefinedStatisticError("All readings name one class, so alpha is not defined.")
    return 1.0 - float(np.sum(coincidence * distance)) / float(expected)


def _linearised(counts: FloatArray, metric: Metric, classes: tuple[Hashable, ...]) -> tuple[float, float, float]:
    """Variance over cases, observed and expected agreement, by Gwet's formulas."""
    n = len(counts)
    distance = _distances(counts, metric, classes)
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
