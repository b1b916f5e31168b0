"""The difference of two proportions, unpaired and paired, first minus second.

Measures: :func:`difference_unpaired`, :func:`difference_paired`, :func:`difference_paired_clustered`,
:func:`paired_counts`; the scores :func:`tango_score` and :func:`miettinen_nurminen_score`.

Conventions: *unpaired* means two different sets of cases; *paired* means that both readers (or arms) read the same
cases, which is how a reader study is made, and then only the cases on which they disagree carry information.
statsmodels' Miettinen-Nurminen interval is wrong up to 0.15 (its issue 10269), so the score intervals are made here.

>>> print(difference_paired(PairedCounts(both=70, only_first=15, only_second=5, neither=10)))
0.1000 (95% 0.0134 to 0.1924), n = 100; Tango score
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import acos, copysign, cos, isfinite, pi, sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep

from core.errors import StatisticsInputError
from core.statistics.proportions import wilson_limits
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    check_confidence_level,
    check_count,
    check_groups,
    check_same_length,
    check_successes,
    check_truth,
)

UnpairedMethod = Literal["newcombe", "miettinen-nurminen", "agresti-caffo"]
PairedMethod = Literal["tango", "newcombe"]


def difference_unpaired(
    successes_1: int,
    n_1: int,
    successes_2: int,
    n_2: int,
    *,
    confidence_level: float = 0.95,
    method: UnpairedMethod = "newcombe",
) -> Estimate:
    """Difference of two independent proportions, first minus second.

    Parameters
    ----------
    successes_1, n_1, successes_2, n_2 : int
        Numerators and denominators, cases.
    confidence_level : float
        For example 0.95.
    method : {"newcombe", "miettinen-nurminen", "agresti-caffo"}
        Newcombe's hybrid score without continuity correction; the score interval with the factor N / (N - 1); the
        Wald interval after adding one success and one failure to each group.

    Returns
    -------
    Estimate
        Undefined when a group has no case.

    References
    ----------
    Newcombe (1998), Stat. Med. 17:873-890. Miettinen and Nurminen (1985), Stat. Med. 4:213-226. Agresti and Caffo
    (2000), Am. Stat. 54:280-288.
    """
    (count_1, total_1) = check_successes(successes_1, n_1, field="successes_1")
    (count_2, total_2) = check_successes(successes_2, n_2, field="successes_2")
    level = check_confidence_level(confidence_level)
    names = {"newcombe": "Newcombe hybrid score", "miettinen-nurminen": "Miettinen-Nurminen score"}
    names["agresti-caffo"] = "Agresti-Caffo"
    if method not in names:
        raise StatisticsInputError("unknown interval", field="method", value=method, fix="use " + ", ".join(names))
    name = names[method]
    if total_1 == 0 or total_2 == 0:
        return undefined_estimate("A group has no case.", confidence_level=level, method=name, n=total_1 + total_2)
    p1, p2 = count_1 / total_1, count_2 / total_2
    if method == "miettinen-nurminen":

        def score(difference: float) -> float:
            return miettinen_nurminen_score(count_1, total_1, count_2, total_2, difference)

        lower, upper = _invert(score, p1 - p2, level)
    else:
        peer = "newcomb" if method == "newcombe" else "agresti-caffo"
        limits = confint_proportions_2indep(
            count_1, total_1, count_2, total_2, compare="diff", method=peer, alpha=1.0 - level
        )
        lower, upper = float(limits[0]), float(limits[1])
    error = sqrt(p1 * (1 - p1) / total_1 + p2 * (1 - p2) / total_2) or None
    return Estimate(p1 - p2, error, max(-1.0, lower), min(1.0, upper), level, name, n=total_1 + total_2)


def miettinen_nurminen_score(successes_1: int, n_1: int, successes_2: int, n_2: int, difference: float) -> float:
    """Miettinen-Nurminen score statistic for a supposed difference, first minus second; standard normal under it.

    References
    ----------
    Miettinen and Nurminen (1985), Stat. Med. 4:213-226; the closed form of the constrained proportions is in
    Farrington and Manning (1990), Stat. Med. 9:1447-1454.
    """
    p1, p2 = successes_1 / n_1, successes_2 / n_2
    theta = n_2 / n_1
    a = 1.0 + theta
    b = -(1.0 + theta + p1 + theta * p2 + difference * (theta + 2.0))
    c = difference**2 + difference * (2.0 * p1 + theta + 1.0) + p1 + theta * p2
    d = -p1 * difference * (1.0 + difference)
    v = b**3 / (3.0 * a) ** 3 - b * c / (6.0 * a**2) + d / (2.0 * a)
    u = copysign(sqrt(max(0.0, b**2 / (3.0 * a) ** 2 - c / (3.0 * a))), v)
    angle = (pi + acos(min(1.0, max(-1.0, v / u**3)))) / 3.0 if u != 0.0 else pi / 2.0
    q1 = min(1.0, max(0.0, 2.0 * u * cos(angle) - b / (3.0 * a)))
    q2 = min(1.0, max(0.0, q1 - difference))
    variance = (q1 * (1.0 - q1) / n_1 + q2 * (1.0 - q2) / n_2) * (n_1 + n_2) / (n_1 + n_2 - 1.0)
    return _quotient(p1 - p2 - difference, variance)


@dataclass(frozen=True)
class PairedCounts:
    """The same cases, answered twice: how many were right both times, once, never."""

    both: int
    only_first: int
    only_second: int
    neither: int

    def __post_init__(self) -> None:
        for name in ("both", "only_first", "only_second", "neither"):
            object.__setattr__(self, name, check_count(getattr(self, name), field=name))

    @property
    def n(self) -> int:
        """Cases."""
        return self.both + self.only_first + self.only_second + self.neither


def paired_counts(first: ArrayLike, second: ArrayLike) -> PairedCounts:
    """Cross-table of two bool vectors over the same cases, shape (n_cases,) each."""
    one, two = check_truth(first, field="first"), check_truth(second, field="second")
    check_same_length(one, two, fields="first, second")
    table = np.bincount(2 * one.astype(np.int64) + two, minlength=4)
    return PairedCounts(both=table[3], only_first=table[2], only_second=table[1], neither=table[0])


def difference_paired(
    counts: PairedCounts, *, confidence_level: float = 0.95, method: PairedMethod = "tango"
) -> Estimate:
    """Difference of two proportions over the same cases, first minus second.

    Parameters
    ----------
    counts : PairedCounts
        Cross-table of the two answers.
    confidence_level : float
        For example 0.95.
    method : {"tango", "newcombe"}
        Tango's score interval, or Newcombe's square-and-add interval with the corrected phi (his method 10).

    Returns
    -------
    Estimate
        Undefined when there is no case.

    References
    ----------
    Tango (1998), Stat. Med. 17:891-908. Newcombe (1998), Stat. Med. 17:2635-2650.
    """
    level = check_confidence_level(confidence_level)
    names = {"tango": "Tango score", "newcombe": "Newcombe paired (method 10)"}
    if method not in names:
        raise StatisticsInputError("unknown interval", field="method", value=method, fix="use " + ", ".join(names))
    n = counts.n
    if n == 0:
        return undefined_estimate("There is no case.", confidence_level=level, method=names[method], n=0)
    b, c = counts.only_first, counts.only_second
    difference = (b - c) / n
    if method == "tango":
        lower, upper = tango_limits(n, b, c, level)
    else:
        lower, upper = _newcombe_paired(counts, level)
    error = sqrt(max(0.0, (b + c) - (b - c) ** 2 / n)) / n or None
    return Estimate(difference, error, max(-1.0, lower), min(1.0, upper), level, names[method], n=n)


def tango_score(counts: PairedCounts, difference: float) -> float:
    """Tango's score statistic for a supposed paired difference, first minus second; standard normal under it.

    References
    ----------
    Tango (1998), Stat. Med. 17:891-908.
    """
    return _tango(counts.n, counts.only_first, counts.only_second, difference)


def tango_limits(n: float, only_first: float, only_second: float, confidence_level: float) -> tuple[float, float]:
    """Tango's limits for a paired difference; the counts need not be whole.

    Parameters
    ----------
    n, only_first, only_second : float
        Cases, and those for which only the first or only the second answer counts.
    """
    level = check_confidence_level(confidence_level)
    difference = (only_first - only_second) / n
    return _invert(lambda supposed: _tango(n, only_first, only_second, supposed), difference, level)


def _tango(n: float, b: float, c: float, difference: float) -> float:
    half = 2.0 * n
    linear = -b - c + (half - b + c) * difference
    constant = -c * difference * (1.0 - difference)
    q21 = (sqrt(max(0.0, linear**2 - 4.0 * half * constant)) - linear) / (2.0 * half)
    return _quotient(b - c - n * difference, n * (2.0 * q21 + difference * (1.0 - difference)))


def difference_paired_clustered(
    first: ArrayLike,
    second: ArrayLike,
    patients: Sequence[Hashable] | np.ndarray,
    *,
    confidence_level: float = 0.95,
) -> Estimate:
    """Paired difference when a patient may have several cases: variance between patients, t with patients - 1.

    Parameters
    ----------
    first, second : bool array, shape (n_cases,)
        Whether each answer is right.
    patients : sequence, shape (n_cases,)
        Patient of each case.

    References
    ----------
    Obuchowski (1998), Stat. Med. 17:1495-1507.
    """
    one, two = check_truth(first, field="first"), check_truth(second, field="second")
    check_same_length(one, two, fields="first, second")
    group = check_groups(patients, one.size)
    level = check_confidence_level(confidence_level)
    name = "between patients, t"
    gain = one.astype(np.float64) - two
    difference, n_patients = float(gain.mean()), int(group.max()) + 1
    if n_patients == 1:
        reason = "All cases belong to one patient, so the variance between patients is not defined."
        return Estimate(difference, None, None, None, level, name, State.DEGENERATE, reason, (), one.size)
    deviation = np.bincount(group, weights=gain - difference)
    error = sqrt(n_patients / (n_patients - 1.0) * float(np.sum(deviation**2))) / one.size
    if error == 0.0:
        reason = "The difference is the same in every patient, so its variance is 0."
        return Estimate(difference, None, None, None, level, name, State.DEGENERATE, reason, (), one.size)
    half = float(stats.t.isf((1.0 - level) / 2.0, n_patients - 1)) * error
    return Estimate(
        difference, error, max(-1.0, difference - half), min(1.0, difference + half), level, name, n=one.size
    )


def _quotient(distance: float, variance: float) -> float:
    """Distance over its standard error; infinite when a distance has no variance."""
    if variance > 0.0:
        return distance / sqrt(variance)
    return 0.0 if distance == 0.0 else copysign(float("inf"), distance)


def _invert(score: Callable[[float], float], estimate: float, level: float) -> tuple[float, float]:
    """Both differences at which a decreasing score statistic reaches the normal quantile."""
    z = float(stats.norm.isf((1.0 - level) / 2.0))

    def limit(sign: float) -> float:
        def gap(difference: float) -> float:
            value = sign * score(difference) - z
            return value if isfinite(value) else copysign(1e9, value)

        end = -sign * (1.0 - 1e-12)
        if gap(end) <= 0.0:
            return -sign
        start = min(1.0 - 1e-12, max(-1.0 + 1e-12, estimate))
        return float(optimize.brentq(gap, *sorted((end, start)), xtol=1e-14, rtol=1e-13))

    return limit(1.0), limit(-1.0)


def _newcombe_paired(counts: PairedCounts, level: float) -> tuple[float, float]:
    """Square-and-add limits from both Wilson intervals and their correlation phi."""
    a, b, c, d, n = counts.both, counts.only_first, counts.only_second, counts.neither, counts.n
    p1, p2 = (a + b) / n, (a + c) / n
    (lower_1, upper_1), (lower_2, upper_2) = wilson_limits(p1, n, level), wilson_limits(p2, n, level)
    margins = float(a + b) * (c + d) * (a + c) * (b + d)
    cross = float(a) * d - float(b) * c
    if cross > 0.0:
        cross = max(cross - n / 2.0, 0.0)
    phi = cross / sqrt(margins) if margins > 0.0 else 0.0

    def joined(down: float, up: float) -> float:
        return sqrt(max(0.0, down**2 - 2.0 * phi * down * up + up**2))

    return p1 - p2 - joined(p1 - lower_1, upper_2 - p2), p1 - p2 + joined(p2 - lower_2, upper_1 - p1)
