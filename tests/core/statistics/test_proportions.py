"""Proportions: published limits, properties, clusters, and empty denominators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics import State, proportion, proportion_clustered
from core.statistics.proportions import wilson_limits
from tests.core.statistics.strategies import quick

METHODS = ("wilson", "clopper-pearson", "agresti-coull", "jeffreys")


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_published_limits(successes, n, lower, upper):
    """Newcombe (1998), Stat. Med. 17:857-872, table I, method 3."""
    estimate = proportion(successes, n)
    assert (round(estimate.lower, 4), round(estimate.upper, 4)) == (lower, upper)


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_gives_newcombes_published_limits(successes, n, lower, upper):
    """Newcombe (1998), Stat. Med. 17:857-872, table I, method 5."""
    estimate = proportion(successes, n, method="clopper-pearson")
    assert (round(estimate.lower, 4), round(estimate.upper, 4)) == (lower, upper)


@quick
@given(st.integers(1, 400), st.data(), st.sampled_from(METHODS), st.sampled_from([0.8, 0.95, 0.99]))
def test_limits_enclose_the_value_and_mirror(n, data, method, level):
    successes = data.draw(st.integers(0, n))
    plain = proportion(successes, n, method=method, confidence_level=level)
    mirror = proportion(n - successes, n, method=method, confidence_level=level)
    assert 0.0 <= plain.lower <= plain.value <= plain.upper <= 1.0 or method == "jeffreys"
    assert 0.0 <= plain.lower < plain.upper <= 1.0
    assert mirror.lower == pytest.approx(1.0 - plain.upper, abs=1e-12)


@quick
@given(st.integers(1, 300), st.data())
def test_wilson_and_clopper_pearson_equal_scipy(n, data):
    successes = data.draw(st.integers(0, n))
    for method, peer in (("wilson", "wilson"), ("clopper-pearson", "exact")):
        ours = proportion(successes, n, method=method)
        theirs = stats.binomtest(successes, n).proportion_ci(method=peer)
        assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson_limits(successes / n, n, 0.95) == pytest.approx(
        (proportion(successes, n).lower, proportion(successes, n).upper), abs=1e-12
    )


def test_no_case_is_undefined_and_not_zero():
    estimate = proportion(0, 0)
    assert estimate.state is State.UNDEFINED
    assert estimate.value is None
    assert estimate.lower is None
    assert "no case" in estimate.reason


@pytest.mark.parametrize("successes", [0, 7])
def test_all_or_none_has_an_interval_but_no_standard_error(successes):
    estimate = proportion(successes, 7)
    assert estimate.standard_error is None
    assert estimate.upper - estimate.lower > 0.3


@pytest.mark.parametrize(
    ("successes", "n", "message"),
    [
        (3, 2, "larger than n = 2"),
        (-1, 2, "zero or more"),
        (1.5, 2, "whole number"),
        (float("nan"), 2, "whole number"),
        (True, 2, "whole number"),
        ("1", 2, "whole number"),
        (1, float("inf"), "whole number"),
    ],
)
def test_bad_counts_are_refused(successes, n, message):
    with pytest.raises(StatisticsInputError, match=message):
        proportion(successes, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, float("nan"), "0.95", True])
def test_a_confidence_level_outside_0_and_1_is_refused(level):
    with pytest.raises(StatisticsInputError, match="confidence_level"):
        proportion(1, 2, confidence_level=level)


def test_an_unknown_interval_is_refused_with_the_known_ones():
    with pytest.raises(StatisticsInputError, match="wilson, clopper-pearson"):
        proportion(1, 2, method="wald")


def test_one_case_a_patient_is_plain_wilson():
    success = np.array([1, 0, 1, 1, 0], dtype=bool)
    assert proportion_clustered(success, list("abcde")) == proportion(3, 5)


def test_copies_of_a_case_add_nothing():
    """Every patient three times with the same answer counts as the patients, not as three times as many."""
    success = np.repeat(np.arange(40) < 30, 3)
    copied = proportion_clustered(success, np.repeat(np.arange(40), 3))
    single = proportion(30, 40)
    assert copied.value == single.value
    # The variance between patients has C / (C - 1), which the binomial one has not.
    assert copied.standard_error == pytest.approx(single.standard_error * np.sqrt(40 / 39), rel=1e-12)
    assert copied.lower == pytest.approx(single.lower, abs=3e-3)
    assert "120 cases of 40 patients" in copied.notes[0]


def test_clusters_are_never_narrower_than_independent_cases():
    success = np.tile([True, False], 30)  # each patient one right, one wrong: variance between patients is 0
    clustered = proportion_clustered(success, np.repeat(np.arange(30), 2))
    assert clustered.upper - clustered.lower >= proportion(30, 60).upper - proportion(30, 60).lower - 1e-12


def test_all_right_counts_each_patient_once():
    clustered = proportion_clustered(np.ones(20, dtype=bool), np.repeat(np.arange(5), 4))
    assert clustered.lower == pytest.approx(proportion(5, 5).lower)
    assert clustered.standard_error is None


def test_one_patient_is_degenerate():
    assert proportion_clustered([1, 0, 1], ["p", "p", "p"]).state is State.DEGENERATE


@pytest.mark.parametrize("patients", [["a"], ["a", None, "b"]])
def test_bad_patients_are_refused(patients):
    with pytest.raises(StatisticsInputError, match="patients"):
        proportion_clustered([1, 0, 1], patients)


@pytest.mark.parametrize("method", ["wilson", "clopper-pearson", "agresti-coull", "jeffreys"])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_every_interval_holds_the_estimate_at_its_ends(method, n):
    """Brown, Cai and DasGupta (2001), section 4.1: Jeffreys' limit is 0 at 0 of n and 1 at n of n."""
    for count in range(n + 1):
        found = proportion(count, n, method=method)
        assert found.lower <= found.value <= found.upper
    assert proportion(0, n, method=method).lower == 0.0
    assert proportion(n, n, method=method).upper == 1.0
    if method == "jeffreys":
        assert proportion(0, n, method=method).upper == pytest.approx(stats.beta.ppf(0.975, 0.5, n + 0.5))
