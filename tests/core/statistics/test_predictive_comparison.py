"""Score tests of predictive values against a GEE, by formula, and at their edges."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StatisticsInputError
from core.statistics import State, compare_predictive_values, mcnemar, paired_counts
from tests.core.statistics.strategies import quick


def study(seed, n=150, gain=0.15):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    shared = rng.random(n)
    first = 0.6 * shared + 0.4 * rng.random(n) < 0.25 + 0.4 * truth
    second = 0.6 * shared + 0.4 * rng.random(n) < 0.25 + gain + 0.4 * truth
    return truth, first, second


def gee_score(hit, first, second):
    """Generalised score test of the reader's coefficient, calls of a case as a cluster, independence working."""
    case = np.concatenate([np.flatnonzero(first), np.flatnonzero(second)])
    reader = np.repeat([0.0, 1.0], [first.sum(), second.sum()])
    order = np.argsort(case, kind="stable")
    case, reader = case[order], reader[order]
    response = hit[case].astype(float)
    options = {"family": sm.families.Binomial(), "cov_struct": sm.cov_struct.Independence()}
    small = sm.GEE(response, np.ones((case.size, 1)), groups=case, **options).fit()
    large = sm.GEE(response, np.column_stack([np.ones(case.size), reader]), groups=case, **options)
    return (
        large.compare_score_test(small)["statistic"]
        if hasattr(large, "compare_score_test")
        else (large.fit().model.compare_score_test(small)["statistic"])
    )


@pytest.mark.parametrize("seed", range(4))
def test_leisenring_equals_the_gee_score_test(seed):
    truth, first, second = study(seed)
    ours = compare_predictive_values(truth, first, second, method="generalised")
    assert ours.ppv.statistic == pytest.approx(gee_score(truth, first, second), rel=1e-6)
    assert ours.npv.statistic == pytest.approx(gee_score(~truth, ~first, ~second), rel=1e-6)


@quick
@given(st.integers(0, 10_000), st.sampled_from(["weighted", "generalised"]))
def test_swapping_readers_or_classes_only_turns_the_result(seed, method):
    truth, first, second = study(seed, n=60)
    plain = compare_predictive_values(truth, first, second, method=method)
    swapped = compare_predictive_values(truth, second, first, method=method)
    turned = compare_predictive_values(~truth, ~first, ~second, method=method)
    for one, two in ((plain.ppv, swapped.ppv), (plain.ppv, turned.npv)):
        assert one.state is two.state
        if one.statistic is not None:
            assert one.statistic == pytest.approx(two.statistic)
    if plain.ppv.difference is not None:
        assert plain.ppv.difference.value == pytest.approx(-swapped.ppv.difference.value)


def test_disjoint_calls_are_two_independent_proportions():
    """Nobody is called by both: the weighted score statistic is Pearson's chi-squared of the two PPVs."""
    truth = np.array([1] * 30 + [0] * 10 + [1] * 15 + [0] * 25 + [0] * 20, dtype=bool)
    first = np.arange(100) < 40
    second = (np.arange(100) >= 40) & (np.arange(100) < 80)
    ours = compare_predictive_values(truth, first, second).ppv
    assert ours.statistic == pytest.approx((0.75 - 0.375) ** 2 / (0.5625 * 0.4375 * (1 / 40 + 1 / 40)))


def test_interval_has_the_variance_of_the_bootstrap():
    truth, first, second = study(1, n=400)
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(500):
        i = rng.integers(400, size=400)
        gaps.append(truth[i][first[i]].mean() - truth[i][second[i]].mean())
    ours = compare_predictive_values(truth, first, second).ppv.difference
    assert ours.standard_error == pytest.approx(np.std(gaps), rel=0.1)
    assert ours.value == pytest.approx(truth[first].mean() - truth[second].mean())


def test_it_is_not_mcnemar():
    truth, first, second = study(2)
    right = paired_counts(first == truth, second == truth)
    assert compare_predictive_values(truth, first, second).ppv.p_value != pytest.approx(mcnemar(right).p_value)


def test_no_call_or_no_variance_is_undefined():
    truth = np.array([1, 0, 1, 0], dtype=bool)
    never = compare_predictive_values(truth, [0, 0, 0, 0], [1, 0, 1, 1])
    assert never.ppv.state is State.UNDEFINED
    assert "no call" in never.ppv.reason
    same = compare_predictive_values(truth, [1, 0, 1, 1], [1, 0, 1, 1])
    assert same.ppv.state is State.UNDEFINED
    assert "no variance" in same.ppv.reason


def test_bad_input_is_refused():
    with pytest.raises(StatisticsInputError, match="unknown test"):
        compare_predictive_values([1, 0], [1, 0], [1, 1], method="wald")
    with pytest.raises(StatisticsInputError, match="truth, second"):
        compare_predictive_values([1, 0], [1, 0], [1, 1, 0])
