"""The median's interval is that of the binomial order statistics."""

import numpy as np
import pytest
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.median import median_estimate
from core.statistics.result import State


@pytest.mark.parametrize(("n", "ranks"), [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (50, (18, 33)), (100, (40, 61))])
def test_limits_are_the_published_ranks(n, ranks):
    """Ranks of the 95 % limits: Conover (1999), and the sign test's table in Hollander and Wolfe."""
    found = median_estimate(np.random.default_rng(n).permutation(np.arange(1.0, n + 1)))
    assert (found.lower, found.upper) == ranks
    assert found.value == (n + 1) / 2
    assert stats.binom.cdf(n - ranks[1], n, 0.5) + stats.binom.sf(n - ranks[0], n, 0.5) <= 0.05


def test_few_values_have_no_interval():
    found = median_estimate([3.0, 4.0, 9.0, 1.0, 7.0])
    assert (found.value, found.lower, found.state) == (4.0, None, State.DEGENERATE)
    assert "no interval at 0.95" in found.reason
    assert median_estimate([]).state is State.UNDEFINED


def test_the_interval_covers_at_least_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        found = median_estimate(rng.lognormal(2.0, 1.0, 25))
        hits += found.lower <= np.exp(2.0) <= found.upper
    assert hits / 400 >= 0.94


def test_what_is_no_number_is_refused():
    with pytest.raises(StatisticsInputError, match="finite"):
        median_estimate([1.0, np.nan])
