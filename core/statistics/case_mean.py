"""The mean over cases of a number with a known range (a squared error, a net benefit), and its interval.

Measures: :func:`mean_over_cases`.

Conventions: the interval is Student's t over cases (or patients) on the logit scale of the range, so that it never
leaves the range. Several cases of a patient enter by the ratio estimator's variance between patients.

>>> print(f"{mean_over_cases([0.1, 0.4, 0.2, 0.3], limits=(0.0, 1.0), name='mean').upper:.3f}")
0.499
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from core.errors import StatisticsInputError
from core.statistics.range_limits import logit_limits
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    FloatArray,
    IntArray,
    check_confidence_level,
    check_groups,
    check_numbers,
)


def mean_over_cases(
    values: ArrayLike,
    *,
    limits: tuple[float, float],
    name: str,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Mean of one number per case that lies between ``limits``.

    Parameters
    ----------
    values : float array, shape (n_cases,)
        One number per case.
    limits : (float, float)
        Smallest and largest value that a case can have.
    name : str
        What the mean is, for the result's ``method``.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several.

    Returns
    -------
    Estimate
        Undefined without a case; degenerate with one case or patient, or when all cases have the same value.

    References
    ----------
    Rao and Scott (1992), Biometrics 48:577-585 (variance between patients).
    """
    level = check_confidence_level(confidence_level)
    row = check_numbers(values, field="values")
    low, high = limits
    if row.ndim != 1 or not np.all((row >= low - 1e-12) & (row <= high + 1e-12)):
        raise StatisticsInputError(f"must be one number between {low:g} and {high:g} per case", field="values")
    method = f"{name}; t over {'cases' if patients is None else 'patients'}, logit scale"
    if row.size == 0:
        return undefined_estimate("There is no case.", confidence_level=level, method=method, n=0)
    group = np.arange(row.size) if patients is None else check_groups(patients, row.size)
    value = float(row.mean())
    variance, n_units = variance_of_mean(row, group)
    if n_units < 2 or variance <= 1e-30:
        reason = "All cases have the same value, so the variance is 0."
        if n_units < 2:
            reason = f"There is only one {'case' if patients is None else 'patient'}, so the variance is not defined."
        return Estimate(value, None, None, None, level, method, State.DEGENERATE, reason, (), row.size)
    error = sqrt(variance)
    half = float(special.stdtrit(n_units - 1, (1.0 + level) / 2.0)) * error
    lower, upper = logit_limits(value, half, low, high)
    return Estimate(value, error, lower, upper, level, method, n=row.size)


def variance_of_mean(values: FloatArray, group: IntArray) -> tuple[float, int]:
    """Variance of the mean between groups of cases, and the number of groups; NaN-free with one group (0)."""
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        return 0.0, n_groups
    deviation = np.bincount(group, weights=values - values.mean())
    return n_groups / (n_groups - 1.0) * float(np.sum(deviation**2)) / values.size**2, n_groups
