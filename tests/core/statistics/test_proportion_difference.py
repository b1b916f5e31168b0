"""Differences of proportions: published intervals, definitions, properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from core.errors import StatisticsInputError
from core.statistics import (
    PairedCounts,
    State,
    difference_paired,
    difference_paired_clustered,
    difference_unpaired,
    paired_counts,
)
from core.statistics.proportion_difference import miettinen_nurminen_score, tango_score
from tests.core.statistics.strategies import quick

UNPAIRED = ("newcombe", "miettinen-nurminen", "agresti-caffo")
cells = st.builds(PairedCounts, *[st.integers(0, 30)] * 4)


def test_tango_and_newcombe_give_published_limits():
    """Airway hyper-responsiveness, Fagerland, Lydersen and Laake (2014), Stat. Med. 33:2850-2875."""
    counts = PairedCounts(both=1, only_first=1, only_second=7, neither=12)
    tango, newcombe = difference_paired(counts), difference_paired(counts, method="newcombe")
    assert tango.value == pytest.approx(-0.2857, abs=5e-5)
    assert (round(tango.lower, 3), round(tango.upper, 3)) == (-0.517, -0.026)
    assert (round(newcombe.lower, 3), round(newcombe.upper, 3)) == (-0.507, -0.026)


def test_newcombe_unpaired_gives_published_limits():
    """56/70 against 48/80: Newcombe (1998), Stat. Med. 17:873-890, table II, method 10."""
    estimate = difference_unpaired(56, 70, 48, 80)
    assert (round(estimate.lower, 4), round(estimate.upper, 4)) == (0.0524, 0.3339)


def test_miettinen_nurminen_gives_published_limits():
    """56/70 against 48/80: Newcombe (1998), table II, method 5 (0.0528 to 0.3382 with the factor N / (N - 1))."""
    estimate = difference_unpaired(56, 70, 48, 80, method="miettinen-nurminen")
    assert (estimate.lower, estimate.upper) == pytest.approx((0.0528, 0.3382), abs=6e-5)


def test_miettinen_nurminen_is_not_what_statsmodels_gives():
    """statsmodels up to 0.15: 0.0669 to 0.1388 for 494/514 against 442/514."""
    estimate = difference_unpaired(494, 514, 442, 514, method="miettinen-nurminen")
    assert (round(estimate.lower, 4), round(estimate.upper, 4)) == (0.0676, 0.1370)


@pytest.mark.parametrize("difference", [-0.4, -0.05, 0.0, 0.2, 0.7])
@pytest.mark.parametrize(("x1", "n1", "x2", "n2"), [(7, 20, 3, 15), (0, 12, 4, 9), (10, 10, 6, 30)])
def test_constrained_proportions_are_maximum_likelihood(x1, n1, x2, n2, difference):
    """The closed form against a numerical search."""

    def minus_log_likelihood(q1):
        return -(stats.binom.logpmf(x1, n1, q1) + stats.binom.logpmf(x2, n2, q1 - difference))

    low, high = max(0.0, difference), min(1.0, 1.0 + difference)
    q1 = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    ).x
    q2 = q1 - difference
    variance = (q1 * (1 - q1) / n1 + q2 * (1 - q2) / n2) * (n1 + n2) / (n1 + n2 - 1)
    expected = (x1 / n1 - x2 / n2 - difference) / np.sqrt(variance)
    assert miettinen_nurminen_score(x1, n1, x2, n2, difference) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("counts", [PairedCounts(20, 6, 3, 11), PairedCounts(2, 0, 5, 9), PairedCounts(30, 4, 0, 2)])
@pytest.mark.parametrize("difference", [-0.2, 0.05, 0.3])
def test_tango_score_is_the_score_of_the_multinomial(counts, difference):
    """q21 by a numerical search over the multinomial likelihood."""
    b, c, n = counts.only_first, counts.only_second, counts.n

    def minus_log_likelihood(q21):
        q12 = q21 + difference
        terms = ((b, q12), (c, q21), (n - b - c, 1 - q12 - q21))
        return -sum(count * np.log(share) for count, share in terms if count)

    low, high = max(0.0, -difference), (1.0 - difference) / 2.0
    tiny = 1e-13
    found = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low + tiny, high - tiny), method="bounded", options={"xatol": 1e-13}
    )
    expected = (b - c - n * difference) / np.sqrt(n * (2 * found.x + difference * (1 - difference)))
    assert tango_score(counts, difference) == pytest.approx(expected, rel=1e-4)


@quick
@given(st.integers(1, 60), st.integers(1, 60), st.data(), st.sampled_from(UNPAIRED))
def test_unpaired_limits_enclose_the_difference_and_swap(n1, n2, data, method):
    x1, x2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    plain = difference_unpaired(x1, n1, x2, n2, method=method)
    swapped = difference_unpaired(x2, n2, x1, n1, method=method)
    assert -1.0 <= plain.lower < plain.upper <= 1.0
    if method != "agresti-caffo":
        assert plain.lower - 1e-12 <= plain.value <= plain.upper + 1e-12
    assert (swapped.lower, swapped.upper) == pytest.approx((-plain.upper, -plain.lower), abs=1e-9)


@quick
@given(cells, st.sampled_from(["tango", "newcombe"]))
def test_paired_limits_enclose_the_difference_and_swap(counts, method):
    plain = difference_paired(counts, method=method)
    swapped = difference_paired(
        PairedCounts(counts.both, counts.only_second, counts.only_first, counts.neither), method=method
    )
    if counts.n == 0:
        assert plain.state is State.UNDEFINED
        return
    assert -1.0 <= plain.lower <= plain.value + 1e-9
    assert plain.value - 1e-9 <= plain.upper <= 1.0
    assert (swapped.lower, swapped.upper) == pytest.approx((-plain.upper, -plain.lower), abs=1e-9)


@quick
@given(cells)
def test_tango_limits_solve_the_score_equation(counts):
    estimate = difference_paired(counts)
    if counts.n == 0:
        return
    for limit, sign in ((estimate.lower, 1), (estimate.upper, -1)):
        if abs(limit) < 1.0:
            assert sign * tango_score(counts, limit) == pytest.approx(1.959964, abs=1e-5)


@quick
@given(cells)
def test_tango_contains_zero_exactly_when_mcnemars_chi_squared_is_not_significant(counts):
    b, c = counts.only_first, counts.only_second
    if b + c == 0 or abs((b - c) ** 2 / (b + c) - stats.chi2.isf(0.05, 1)) < 1e-9:
        return
    estimate = difference_paired(counts)
    assert (estimate.lower <= 0.0 <= estimate.upper) == ((b - c) ** 2 / (b + c) < stats.chi2.isf(0.05, 1))


def test_paired_counts_from_answers():
    counts = paired_counts([1, 1, 0, 0, 1], [1, 0, 1, 0, 1])
    assert counts == PairedCounts(both=2, only_first=1, only_second=1, neither=1)


def test_clustered_difference_with_one_case_a_patient_is_the_paired_t_interval():
    rng = np.random.default_rng(3)
    one, two = rng.random(60) < 0.8, rng.random(60) < 0.6
    ours = difference_paired_clustered(one, two, np.arange(60))
    theirs = stats.ttest_1samp(one.astype(float) - two, 0.0).confidence_interval()
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), rel=1e-10)


def test_copies_of_cases_do_not_narrow_the_clustered_interval():
    rng = np.random.default_rng(4)
    one, two = rng.random(50) < 0.8, rng.random(50) < 0.6
    single = difference_paired_clustered(one, two, np.arange(50))
    copied = difference_paired_clustered(np.repeat(one, 4), np.repeat(two, 4), np.repeat(np.arange(50), 4))
    assert copied.standard_error == pytest.approx(single.standard_error)


def test_what_has_no_variance_between_patients_is_degenerate():
    assert difference_paired_clustered([1, 1], [0, 0], ["p", "p"]).state is State.DEGENERATE
    assert difference_paired_clustered([1, 1], [0, 0], ["p", "q"]).state is State.DEGENERATE


def test_an_empty_group_is_undefined():
    assert difference_unpaired(0, 0, 1, 2).state is State.UNDEFINED
    assert difference_paired(PairedCounts(0, 0, 0, 0)).state is State.UNDEFINED


def test_bad_input_is_refused():
    with pytest.raises(StatisticsInputError, match="unknown interval"):
        difference_unpaired(1, 2, 1, 2, method="wald")
    with pytest.raises(StatisticsInputError, match="unknown interval"):
        difference_paired(PairedCounts(1, 1, 1, 1), method="wald")
    with pytest.raises(StatisticsInputError, match=r"successes_2.*larger"):
        difference_unpaired(1, 2, 3, 2)
    with pytest.raises(StatisticsInputError, match="3 and 2 cases"):
        paired_counts([1, 0, 1], [1, 0])
    with pytest.raises(StatisticsInputError, match="only_first"):
        PairedCounts(1, -1, 1, 1)
