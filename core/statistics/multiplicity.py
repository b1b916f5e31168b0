"""Several tests of one question: adjusted p values.

Measures: :func:`holm`, :func:`benjamini_hochberg`.

Conventions: an undefined test (None) takes no part in the family and stays None.

>>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
[0.03, 0.06, 0.06]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.errors import StatisticsInputError


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjustment, which controls the chance of any false finding, dependent tests included.

    Parameters
    ----------
    p_values : sequence of float or None
        One per test; None for an undefined one.

    References
    ----------
    Holm (1979), Scand. J. Stat. 6:65-70.
    """
    return _adjusted(p_values, _holm_ascending)


def benjamini_hochberg(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Benjamini and Hochberg's adjustment, which controls the share of false findings; see :func:`holm`.

    References
    ----------
    Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57:289-300.
    """
    return _adjusted(p_values, _benjamini_hochberg_ascending)


def _holm_ascending(p: np.ndarray) -> np.ndarray:
    """Holm's adjustment of p values in ascending order."""
    return np.maximum.accumulate(p * np.arange(p.size, 0, -1))


def _benjamini_hochberg_ascending(p: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjustment of p values in ascending order."""
    scaled = p * p.size / np.arange(1, p.size + 1)
    return np.minimum.accumulate(scaled[::-1])[::-1]


def _adjusted(p_values: Sequence[float | None], adjust: Callable[[np.ndarray], np.ndarray]) -> tuple[float | None, ...]:
    """Check, sort, adjust, put back; statsmodels' own collects Python's garbage at every call, 20 ms and more."""
    if any(p is not None and not isinstance(p, int | float | np.number) for p in p_values):
        raise StatisticsInputError("must be numbers or None", field="p_values")
    places = [place for place, p in enumerate(p_values) if p is not None]
    given = np.array([p_values[place] for place in places], dtype=np.float64)
    wrong = np.flatnonzero(~((given >= 0.0) & (given <= 1.0)))  # NaN is wrong as well
    if wrong.size:
        raise StatisticsInputError(
            f"must lie between 0 and 1 at position {places[wrong[0]]}",
            field="p_values",
            value=float(given[wrong[0]]),
            fix="None is undefined",
        )
    order = np.argsort(given, kind="stable")
    adjusted = np.empty(given.size)
    adjusted[order] = np.minimum(1.0, adjust(given[order])) if given.size else given
    result: list[float | None] = [None] * len(p_values)
    for place, p in zip(places, adjusted.tolist(), strict=True):
        result[place] = p
    return tuple(result)
