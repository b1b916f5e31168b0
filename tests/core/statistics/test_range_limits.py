"""Limits that stay within their range, agree with the test, and cover as often as Wald's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.statistics import compare_aucs, compare_aucs_paired, compare_aucs_unpaired
from core.statistics.range_limits import difference_estimate, logit_limits
from tests.core.statistics.strategies import quick


@quick
@given(st.floats(-0.999, 0.999), st.floats(1e-6, 3.0), st.floats(0.5, 100.0))
def test_limits_stay_within_the_range_and_agree_with_the_test(value, error, quantile):
    found = difference_estimate(value, error, quantile, 0.95, "x")
    assert -1.0 <= found.lower <= found.value <= found.upper <= 1.0
    assert (found.wald_lower, found.wald_upper) == (value - quantile * error, value + quantile * error)
    excludes_zero = found.lower > 0.0 or found.upper < 0.0
    assert excludes_zero == (abs(value) > quantile * error)


@quick
@given(st.floats(0.01, 0.99), st.floats(1e-3, 1.0))
def test_limits_are_those_of_fishers_transformation(share, half):
    lower, upper = logit_limits(2.0 * share - 1.0, half, -1.0, 1.0)
    value = 2.0 * share - 1.0
    step = half / (1.0 - value**2)
    assert lower == pytest.approx(np.tanh(np.arctanh(value) - step), abs=1e-9)
    assert upper == pytest.approx(np.tanh(np.arctanh(value) + step), abs=1e-9)


@quick
@given(st.floats(-0.9, 0.9), st.floats(0.01, 0.5))
def test_first_and_second_exchanged_turn_the_interval_round(value, error):
    there, back = (difference_estimate(sign * value, error, 1.96, 0.95, "x") for sign in (1.0, -1.0))
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower), abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_differences_of_aucs_over_few_cases_stay_within_the_range(seed):
    rng = np.random.default_rng(seed)
    truth = np.arange(10) < 5
    ratings = rng.integers(0, 4, size=(3, 10)) + 2 * truth * np.array([[1], [0], [-1]])
    tests = [
        compare_aucs_paired(truth, ratings[0], ratings[2]),
        compare_aucs_unpaired(truth, ratings[0], truth, ratings[2]),
    ]
    tests += [pair.test for pair in compare_aucs(truth, ratings).pairs]
    for test in tests:
        if test.difference.lower is not None:
            assert -1.0 <= test.difference.lower <= test.difference.value <= test.difference.upper <= 1.0


def test_coverage_is_at_least_walds_for_a_large_difference():
    """AUC 0.99 against 0.6 over 6 + 6 cases, where Wald's limits leave the range in one study of fifteen."""
    rng = np.random.default_rng(0)
    truth = np.arange(12) < 6
    separation = np.sqrt(2.0) * stats.norm.ppf([0.99, 0.6])
    hits, wald, left = 0, 0, 0
    for _ in range(600):
        one, two = rng.normal(size=(2, 12)) + np.outer(separation, truth)
        found = compare_aucs_paired(truth, one, two).difference
        if found.lower is None:
            continue
        hits += found.lower <= 0.39 <= found.upper
        wald += found.wald_lower <= 0.39 <= found.wald_upper
        left += found.wald_upper > 1.0
    assert left > 10
    assert hits > wald
    assert hits / 600 > 0.91
