"""Calibration of probabilities: does an event happen as often as the probability says?

Measures: :func:`brier_score`, :func:`brier_score_multiclass`, :func:`reliability_bins`,
:func:`expected_calibration_error`, :func:`logistic_recalibration`.

Conventions: probabilities lie between 0 and 1; a rating on another scale has no calibration and is refused. For
several classes each class is judged against the rest; for "the most probable class is right as often as it says" pass
whether it is right, and its probability. The expected calibration error depends on its bins, so the rule of the bins
stands in the result's method. Its value is biased upwards when bins are small.

>>> truth, probability = [False, False, True, True], [0.1, 0.4, 0.35, 0.8]
>>> print(f"{brier_score(truth, probability).value:.4f}")
0.1581

References
----------
Brier (1950), Mon. Weather Rev. 78:1-3. Van Calster et al. (2019), BMC Med. 17:230.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM  # statsmodels.api would load all of it

from core.errors import StatisticsInputError
from core.statistics.case_mean import mean_over_cases
from core.statistics.proportions import proportion, proportion_clustered
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_estimate, undefined_test
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_classes,
    check_confidence_level,
    check_count,
    check_groups,
    check_numbers,
    check_probabilities,
    check_truth,
    class_indices,
)

BinRule = Literal["equal-width", "equal-count"]
Patients = Sequence[Hashable] | np.ndarray | None


def brier_score(
    truth: ArrayLike, probabilities: ArrayLike, *, patients: Patients = None, confidence_level: float = 0.95
) -> Estimate:
    """Mean squared difference between probability and truth: 0 is perfect, 0.25 is what "one half" always scores.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    probabilities : float array, shape (n_cases,)
        Probability that the case is positive.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several.

    References
    ----------
    Brier (1950), Mon. Weather Rev. 78:1-3. Bradley, Schwartz and Hashino (2008), Weather Forecast. 23:992-1006
    (sampling error).
    """
    is_positive = check_truth(truth)
    row = check_probabilities(probabilities, is_positive.size)
    errors = (row - is_positive) ** 2
    return mean_over_cases(
        errors, limits=(0.0, 1.0), name="Brier score", patients=patients, confidence_level=confidence_level
    )


def brier_score_multiclass(
    truth: Sequence[Hashable] | np.ndarray,
    probabilities: ArrayLike,
    classes: Sequence[Hashable],
    *,
    patients: Patients = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Brier's own score of several classes: squared differences added over the classes, between 0 and 2.

    Parameters
    ----------
    truth : sequence, shape (n_cases,)
        Class of each case.
    probabilities : float array, shape (n_cases, n_classes)
        In the order of ``classes``. With two classes the score is twice that of :func:`brier_score`.

    References
    ----------
    Brier (1950), Mon. Weather Rev. 78:1-3.
    """
    keys = check_classes(classes)
    index = class_indices(truth, keys, field="truth")
    matrix = check_numbers(probabilities, field="probabilities")
    if matrix.shape != (index.size, len(keys)):
        raise StatisticsInputError(
            f"must have shape {(index.size, len(keys))}", field="probabilities", value=matrix.shape
        )
    if not np.all((matrix >= 0.0) & (matrix <= 1.0)):
        case, column = (int(place) for place in np.argwhere(~((matrix >= 0.0) & (matrix <= 1.0)))[0])
        raise StatisticsInputError(
            f"is no probability at case {case}, class {keys[column]}",
            field="probabilities",
            value=float(matrix[case, column]),
        )
    errors = np.sum((matrix - (index[:, None] == np.arange(len(keys)))) ** 2, axis=1)
    # A row of probabilities that adds to more than 1 can miss by more than 2.
    highest = max(2.0, float(errors.max(initial=0.0)))
    return mean_over_cases(
        errors,
        limits=(0.0, highest),
        name="Brier score over classes",
        patients=patients,
        confidence_level=confidence_level,
    )


@dataclass(frozen=True)
class ReliabilityBin(Reported):
    """Cases whose probabilities lie close together."""

    lower: float  # edge of the bin
    upper: float  # edge of the bin
    mean_probability: float  # what was promised
    observed: Estimate  # share of positive cases, Wilson; n is the number of cases


def reliability_bins(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    n_bins: int = 10,
    rule: BinRule = "equal-width",
    patients: Patients = None,
    confidence_level: float = 0.95,
) -> tuple[ReliabilityBin, ...]:
    """Observed share of positive cases by probability, for a reliability diagram; empty bins are left out.

    Parameters
    ----------
    truth, probabilities, patients
        As in :func:`brier_score`.
    n_bins : int
        Number of bins; tied probabilities are never parted, so "equal-count" may give fewer.
    rule : {"equal-width", "equal-count"}
        Bins of equal width, each with its lower edge, the last with both; or edges at the quantiles of these
        probabilities, each bin with its upper edge, the first with both.

    References
    ----------
    Murphy and Winkler (1977), J. R. Stat. Soc. C 26:41-47. Wilson (1927), JASA 22:209-212.
    """
    is_positive = check_truth(truth)
    row = check_probabilities(probabilities, is_positive.size)
    edges, place = _bins(row, n_bins, rule)
    group = None if patients is None else np.asarray(patients, dtype=object)
    if group is not None:
        check_groups(group, row.size)
    found = []
    for number in np.unique(place):
        inside = place == number
        if group is None:
            observed = proportion(int(is_positive[inside].sum()), int(inside.sum()), confidence_level=confidence_level)
        else:
            observed = proportion_clustered(is_positive[inside], group[inside], confidence_level=confidence_level)
        found.append(
            ReliabilityBin(float(edges[number]), float(edges[number + 1]), float(row[inside].mean()), observed)
        )
    return tuple(found)


def expected_calibration_error(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    n_bins: int = 10,
    rule: BinRule = "equal-width",
    patients: Patients = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Mean over cases of the distance between the mean probability of a bin and its share of positive cases.

    The estimate can never be 0 by chance and so lies above the true error, the more the smaller the bins. The limits
    allow for this. With the bins' true distances d, their errors e (standard deviation s) and weights w, the estimate
    is at most the truth plus sum(w |e|), and, the distance being convex, at least the truth plus sum(w sign(d) e).
    The lower limit takes the estimate less the upper quantile of the first sum (a gamma distribution of its mean and
    variance), the upper limit the estimate plus the normal quantile of the second. Both hold for any truth, and the
    lower one is exact for calibrated probabilities; otherwise the interval is wide rather than wrong.

    Parameters
    ----------
    truth, probabilities, n_bins, rule, patients
        As in :func:`reliability_bins`.

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), AAAI, 2901-2907. Broecker (2012), Clim. Dyn. 39:655-667 (bias).
    """
    level = check_confidence_level(confidence_level)
    is_positive = check_truth(truth)
    row = check_probabilities(probabilities, is_positive.size)
    _, place = _bins(row, n_bins, rule)
    n = row.size
    name = f"expected calibration error, {n_bins} bins of {rule.replace('-', ' ')}"
    group = np.arange(n) if patients is None else check_groups(patients, n)
    place = np.unique(place, return_inverse=True)[1].astype(np.int64)
    gap = np.asarray(np.bincount(place, weights=row - is_positive), dtype=np.float64)  # of each bin, times its cases
    value = float(np.abs(gap).sum()) / n
    if int(group.max()) < 1:
        reason = f"There is only one {'case' if patients is None else 'patient'}, so the variance is not defined."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    error = _bin_errors(row, is_positive, place, gap, group)  # of each bin's share in the value
    mean, variance = sqrt(2.0 / np.pi) * float(error.sum()), (1.0 - 2.0 / np.pi) * float(np.sum(error**2))
    if variance <= 0.0:
        reason = "Every probability is 0 or 1 and right, so the variance is 0."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    tail = (1.0 - level) / 2.0
    spread = float(np.sqrt(np.sum(error**2)))
    chance = float(stats.gamma.isf(tail, mean**2 / variance, scale=variance / mean))
    lower, upper = max(0.0, value - chance), min(1.0, value + float(stats.norm.isf(tail)) * spread)
    note = f"calibrated probabilities would give {mean:.3f} on average with these bins"
    return Estimate(value, spread, lower, upper, level, name, n=n, notes=(note,))


@dataclass(frozen=True)
class Recalibration(Reported):
    """Logistic regression of the truth on the logit of the probability."""

    slope: Estimate  # 1 is ideal; below 1: too extreme
    intercept: Estimate  # beside the slope
    in_the_large: Estimate  # intercept with slope 1; 0 is ideal, above 0: probabilities too low on the whole
    test: TestResult  # slope 1 and intercept 0 at once, chi-squared with 2 degrees of freedom


def logistic_recalibration(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    smallest: float | None = None,
    patients: Patients = None,
    confidence_level: float = 0.95,
) -> Recalibration:
    """Calibration slope, intercept and calibration in the large, by maximum likelihood with normal intervals.

    Parameters
    ----------
    truth, probabilities, patients
        As in :func:`brier_score`; with several cases of a patient the standard errors are those between patients.
    smallest : float, optional
        Probabilities are cut to ``smallest`` and 1 - ``smallest``, with a note. Without it, a probability of exactly
        0 or 1, whose logit is infinite, leaves slope and intercept undefined.

    Returns
    -------
    Recalibration
        Undefined where only one class is present, all probabilities are equal, or the probabilities part positive
        from negative cases perfectly (no finite slope).

    References
    ----------
    Cox (1958), Biometrika 45:562-565. Steyerberg (2019), Clinical Prediction Models, 2nd ed., Springer, section 15.3.
    Liang and Zeger (1986), Biometrika 73:13-22 (patients with several cases).
    """
    level = check_confidence_level(confidence_level)
    is_positive = check_truth(truth)
    row = check_probabilities(probabilities, is_positive.size)
    group = None if patients is None else check_groups(patients, row.size)
    notes: tuple[str, ...] = ()
    if smallest is not None:
        if not 0.0 < smallest < 0.5:
            raise StatisticsInputError("must lie between 0 and 0.5", field="smallest", value=smallest)
        n_cut = int(np.sum((row < smallest) | (row > 1.0 - smallest)))
        row = np.clip(row, smallest, 1.0 - smallest)
        notes = (f"{n_cut} probabilities were cut to {smallest:g} and {1.0 - smallest:g}",) if n_cut else ()
    n, name = row.size, "logistic recalibration"
    reason = _why_no_logistic(is_positive, row, group)
    if reason:
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=n)
        return Recalibration(nothing, nothing, nothing, undefined_test(reason, method=name, notes=notes))
    logit = special.logit(row)
    in_the_large = _fit(is_positive, np.ones((n, 1)), logit, group)
    large = _coefficient(in_the_large, 0, "calibration in the large", level, n, notes)
    reason = _why_no_slope(is_positive, row)
    if reason:
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=n)
        return Recalibration(nothing, nothing, large, undefined_test(reason, method=name, notes=notes))
    both = _fit(is_positive, np.column_stack([np.ones(n), logit]), None, group)
    distance = np.array([both.params[0], both.params[1] - 1.0])
    statistic = float(distance @ np.linalg.solve(both.cov_params(), distance))
    test = TestResult(statistic, float(stats.chi2.sf(statistic, 2)), f"{name}, Wald", 2.0, notes=notes)
    return Recalibration(
        _coefficient(both, 1, "calibration slope", level, n, notes),
        _coefficient(both, 0, "calibration intercept", level, n, notes),
        large,
        test,
    )


def _bins(row: FloatArray, n_bins: int, rule: str) -> tuple[FloatArray, IntArray]:
    """Edges, and the bin of each probability."""
    number = check_count(n_bins, field="n_bins")
    if number < 1:
        raise StatisticsInputError("must be at least 1", field="n_bins", value=n_bins)
    if rule == "equal-width":
        # 0.3 belongs to the fourth of ten bins, whatever 0.3 * 10 is in binary.
        return np.linspace(0.0, 1.0, number + 1), np.minimum(np.floor(row * number + 1e-9), number - 1).astype(np.int64)
    if rule == "equal-count":
        edges = np.unique(np.quantile(row, np.linspace(0.0, 1.0, number + 1)))
        if edges.size == 1:
            edges = np.repeat(edges, 2)
        return edges, np.searchsorted(edges[1:-1], row, side="left")
    raise StatisticsInputError("unknown rule", field="rule", value=rule, fix="use 'equal-width' or 'equal-count'")


def _bin_errors(
    row: FloatArray, is_positive: BoolArray, place: IntArray, gap: FloatArray, group: IntArray
) -> FloatArray:
    """Standard error of each bin's mean distance, times the bin's share of the cases.

    The larger of what the cases (or patients) show and what the probabilities themselves say, so that a small bin in
    which all went well does not pass for certain.
    """
    size = np.bincount(place)
    residual = row - is_positive - (gap / size)[place]
    n_all = int(group.max()) + 1
    pair, where = np.unique(place * n_all + group, return_inverse=True)  # a bin and a group within it
    n_groups = np.bincount(pair // n_all)
    factor = n_groups / np.maximum(n_groups - 1, 1)

    def between_groups(per_case: FloatArray) -> FloatArray:
        sums = np.bincount(where, weights=per_case)
        return np.asarray(np.bincount(pair // n_all, weights=sums**2), dtype=np.float64)

    seen, said = between_groups(residual) * factor, between_groups(np.sqrt(row * (1.0 - row)))
    return np.sqrt(np.maximum(seen, said)) / row.size


def _why_no_logistic(is_positive: BoolArray, row: FloatArray, group: IntArray | None) -> str | None:
    """What stands in the way of any logistic fit."""
    if is_positive.all() or not is_positive.any():
        return f"No case is {'negative' if is_positive.all() else 'positive'}, so there is nothing to regress on."
    if group is not None and group.max() < 2:
        return f"There are {int(group.max()) + 1} patients, too few for a variance between patients."
    n_edge = int(np.sum((row == 0.0) | (row == 1.0)))
    if n_edge:
        return f"{n_edge} probabilities are exactly 0 or 1, whose logit is infinite; cut them with smallest=0.001."
    return None


def _why_no_slope(is_positive: BoolArray, row: FloatArray) -> str | None:
    """What stands in the way of a finite slope."""
    if np.ptp(row) == 0.0:
        return "All probabilities are equal, so there is no slope."
    up, down = row[is_positive], row[~is_positive]
    if up.min() >= down.max() or down.min() >= up.max():
        return "The probabilities part positive from negative cases, so no finite slope fits best."
    return None


def _fit(is_positive: BoolArray, design: FloatArray, offset: FloatArray | None, group: IntArray | None) -> Any:
    """Logistic regression by statsmodels, with the covariance between patients where there are groups.

    Reweighted least squares from zero run away where logits are large (10 and more), to coefficients of 1e15 that are
    no solution; the likelihood is convex, so a trust region finds its top first, and statsmodels begins there.
    """
    given, shift = is_positive.astype(np.float64), 0.0 if offset is None else offset

    def loss(at: FloatArray) -> float:
        return float(np.sum(np.logaddexp(0.0, design @ at + shift) - given * (design @ at)))

    def slope(at: FloatArray) -> FloatArray:
        return np.asarray(design.T @ (special.expit(design @ at + shift) - given))

    def curvature(at: FloatArray) -> FloatArray:
        share = special.expit(design @ at + shift)
        return np.asarray((design.T * (share * (1.0 - share))) @ design)

    top = optimize.minimize(
        loss, np.zeros(design.shape[1]), jac=slope, hess=curvature, method="trust-exact", options={"gtol": 1e-10}
    )
    options = {} if group is None else {"cov_type": "cluster", "cov_kwds": {"groups": group}}
    with np.errstate(over="ignore"):  # of exp(-logit), which is then 0 where it is used
        return GLM(given, design, family=Binomial(), offset=offset).fit(start_params=top.x, tol=1e-12, **options)


def _coefficient(fit: Any, index: int, name: str, level: float, n: int, notes: tuple[str, ...]) -> Estimate:
    """One coefficient of a fit with its normal interval."""
    value, error, method = float(fit.params[index]), float(fit.bse[index]), f"{name}, logistic"
    half = float(stats.norm.isf((1.0 - level) / 2.0)) * error
    return Estimate(value, error, value - half, value + half, level, method, n=n, notes=notes)
