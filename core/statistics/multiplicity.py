"""Several tests of one question: adjusted p values.

Conventions: an undefined test (None) takes no part in the family and stays None.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from statsmodels.stats.multitest import multipletests

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
    return _adjusted(p_values, "holm")


def benjamini_hochberg(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Benjamini and Hochberg's adjustment, which controls the share of false findings; see :func:`holm`.

    References
    ----------
    Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57:289-300.
    """
    return _adjusted(p_values, "fdr_bh")


def _adjusted(p_values: Sequence[float | None], method: str) -> tuple[float | None, ...]:
    given = [(position, p) for position, p in enumerate(p_values) if p is not None]
    for position, p in given:
        if not 0.0 <= p <= 1.0:  # NaN fails as well
            raise StatisticsInputError(
                f"must lie between 0 and 1 at position {position}", field="p_values", value=p, fix="None is undefined"
            )
    if not given:
        return tuple(None for _ in p_values)
    values = multipletests(np.array([p for _, p in given]), method=method)[1]
    found = {position: float(value) for (position, _), value in zip(given, values, strict=True)}
    return tuple(found.get(position) for position in range(len(p_values)))
