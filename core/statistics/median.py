"""The median with an interval that assumes no distribution: reading times are skewed.

Measure: :func:`median_estimate`.

>>> print(median_estimate([5.0, 7.0, 8.0, 12.0, 20.0, 31.0, 90.0]).value)
12.0

References
----------
Conover (1999), Practical Nonparametric Statistics, 3rd ed., Wiley, section 3.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    check_confidence_level,
    check_numbers,
)

METHOD = "median, binomial order statistics"


def median_estimate(values: ArrayLike, *, confidence_level: float = 0.95) -> Estimate:
    """Median; its limits are two of the values, those that the binomial distribution says cover often enough.

    Parameters
    ----------
    values : float array, shape (n,)
        Finite numbers, in any unit.

    Returns
    -------
    Estimate
        Undefined without a value; degenerate, without limits, where too few values give such an interval (five for
        0.95).
    """
    level = check_confidence_level(confidence_level)
    row = check_numbers(values, field="values")
    if row.ndim != 1 or not np.isfinite(row).all():
        raise StatisticsInputError("must be finite numbers in one dimension", field="values", value=row.shape)
    if row.size == 0:
        return undefined_estimate("There is no value.", confidence_level=level, method=METHOD, n=0)
    middle = float(np.median(row))
    limits = stats.quantile_test(row, q=middle, p=0.5).confidence_interval(level)
    lower, upper = float(limits.low), float(limits.high)
    if not (np.isfinite(lower) and np.isfinite(upper)):
        reason = f"{row.size} values give no interval at {level:g}."
        return Estimate(middle, None, None, None, level, METHOD, State.DEGENERATE, reason, n=row.size)
    return Estimate(middle, None, lower, upper, level, METHOD, n=row.size)
