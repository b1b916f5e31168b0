"""A proportion of cases, and its interval.

Measures: :func:`proportion`, :func:`proportion_clustered` (patients with several cases).

Conventions: a proportion whose denominator is zero is undefined, never 0. ``standard_error`` is None when no or every
case is a success, since the binomial formula would give 0. The interval is Wilson's unless another is asked for.

>>> print(proportion(110, 130))
0.8462 (95% 0.7743 to 0.8981), n = 130; Wilson
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from core.errors import StatisticsInputError
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import check_confidence_level, check_groups, check_successes, check_truth

IntervalMethod = Literal["wilson", "clopper-pearson", "agresti-coull", "jeffreys"]

#: Method name here -> (name in statsmodels, name to print).
_METHODS: dict[str, tuple[str, str]] = {
    "wilson": ("wilson", "Wilson"),
    "clopper-pearson": ("beta", "Clopper-Pearson"),
    "agresti-coull": ("agresti_coull", "Agresti-Coull"),
    "jeffreys": ("jeffreys", "Jeffreys"),
}


def proportion(
    successes: int, n: int, *, confidence_level: float = 0.95, method: IntervalMethod = "wilson"
) -> Estimate:
    """A binomial proportion with its interval.

    Parameters
    ----------
    successes, n : int
        Numerator and denominator, cases.
    confidence_level : float
        For example 0.95.
    method : {"wilson", "clopper-pearson", "agresti-coull", "jeffreys"}
        Interval. Agresti-Coull limits are cut at 0 and 1. Jeffreys' lower limit is 0 when no case is a success, its
        upper limit 1 when every case is (Brown, Cai and DasGupta), so that it always holds the estimate.

    Returns
    -------
    Estimate
        Undefined when ``n`` is 0.

    Raises
    ------
    StatisticsInputError
        If the counts are not whole, negative, or ``successes`` exceeds ``n``.

    References
    ----------
    Wilson (1927), JASA 22:209-212. Clopper and Pearson (1934), Biometrika 26:404-413. Agresti and Coull (1998), Am.
    Stat. 52:119-126. Brown, Cai and DasGupta (2001), Stat. Sci. 16:101-133.
    """
    count, total = check_successes(successes, n)
    level = check_confidence_level(confidence_level)
    peer, name = _method(method)
    if total == 0:
        return undefined_estimate("There is no case in the denominator.", confidence_level=level, method=name, n=0)
    share = count / total
    lower, upper = (float(limit) for limit in proportion_confint(count, total, alpha=1.0 - level, method=peer))
    # Ends that are 0 or 1 by the formula come out of floating point a hair off; Jeffreys' are set to them.
    lower = 0.0 if count == 0 else lower
    upper = 1.0 if count == total else upper
    return Estimate(
        value=share,
        standard_error=sqrt(share * (1.0 - share) / total) if 0 < count < total else None,
        lower=max(0.0, lower),
        upper=min(1.0, upper),
        confidence_level=level,
        method=name,
        n=total,
    )


def proportion_clustered(
    is_success: ArrayLike, patients: Sequence[Hashable] | np.ndarray, *, confidence_level: float = 0.95
) -> Estimate:
    """A proportion over cases when a patient may have several: Wilson on the effective number of cases.

    The variance is the ratio estimator's (between patients), the design effect its quotient with the binomial
    variance, never taken below 1. If no or every case is a success, each patient counts as one case.

    Parameters
    ----------
    is_success : bool array, shape (n_cases,)
        Whether the case counts in the numerator.
    patients : sequence, shape (n_cases,)
        Patient of each case.

    References
    ----------
    Rao and Scott (1992), Biometrics 48:577-585. Saha, Miller and Wang (2016), Int. J. Biostat. 12 (Wilson with a
    design effect).
    """
    success = check_truth(is_success, field="is_success")
    group = check_groups(patients, success.size)
    level = check_confidence_level(confidence_level)
    n, n_patients = success.size, int(group.max()) + 1
    plain = proportion(int(success.sum()), n, confidence_level=level)
    if n_patients == n:
        return plain
    name = "Wilson, patients as clusters"
    share = float(success.mean())
    if n_patients == 1:
        reason = "All cases belong to one patient, so the variance between patients is not defined."
        return Estimate(share, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    if plain.standard_error is None:
        effective, error = float(n_patients), None
    else:
        deviation = np.bincount(group, weights=success - share)
        variance = n_patients / (n_patients - 1.0) * float(np.sum(deviation**2)) / n**2
        design_effect = max(1.0, variance / plain.standard_error**2)
        effective, error = n / design_effect, plain.standard_error * sqrt(design_effect)
    lower, upper = wilson_limits(share, effective, level)
    note = f"{n} cases of {n_patients} patients count as {effective:.1f} independent cases"
    return Estimate(share, error, lower, upper, level, name, n=n, notes=(note,))


def wilson_limits(share: float, n: float, confidence_level: float) -> tuple[float, float]:
    """Wilson limits for a share of ``n`` cases, where ``n`` need not be whole."""
    z = float(stats.norm.isf((1.0 - confidence_level) / 2.0))
    centre = (share + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
    half = z / (1.0 + z**2 / n) * sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    return (0.0 if share == 0.0 else max(0.0, centre - half)), (1.0 if share == 1.0 else min(1.0, centre + half))


def _method(method: str) -> tuple[str, str]:
    if method not in _METHODS:
        raise StatisticsInputError(
            "unknown interval", field="method", value=method, fix="use one of " + ", ".join(_METHODS)
        )
    return _METHODS[method]
