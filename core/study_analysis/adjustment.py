"""Holm's adjustment of many p-values at once.

The numbers are those of :func:`core.statistics.multiplicity.holm`; statsmodels, on which that one rests, collects
Python's garbage at every call, which takes longer than a whole analysis when it is called for every family of tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm_adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values in the order given; an undefined one (None) stays None and takes no part.

    References
    ----------
    Holm (1979), Scand. J. Stat. 6:65-70.
    """
    places = [place for place, p in enumerate(p_values) if p is not None]
    result: list[float | None] = [None] * len(p_values)
    if not places:
        return result
    given = np.array([p_values[place] for place in places], dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = given[order] * np.arange(given.size, 0, -1)
    adjusted = np.empty(given.size)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    for place, p in zip(places, adjusted.tolist(), strict=True):
        result[place] = p
    return result
