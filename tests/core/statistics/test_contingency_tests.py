"""Paired tests of right and wrong and of classes; the paper's chi-squared; predictive values; margins."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import SquareTable

from core.errors import StatisticsInputError
from core.statistics import (
    PairedCounts,
    State,
    bowker,
    chi_squared,
    cochran_q,
    compare_accuracies,
    fisher_exact,
    mcnemar,
    paired_counts,
    square_table,
    stuart_maxwell,
)
from tests.core.statistics.strategies import labelled_cases, quick

METHODS = ("exact", "mid-p", "chi-squared", "chi-squared-corrected")
cells = st.builds(PairedCounts, *[st.integers(0, 25)] * 4)


def test_mcnemar_gives_published_p_values():
    """Airway hyper-responsiveness, 1 against 7: Fagerland, Lydersen and Laake (2013), BMC Med. Res. Methodol. 13:91."""
    counts = PairedCounts(1, 1, 7, 12)
    found = [round(mcnemar(counts, method=method).p_value, 4) for method in METHODS]
    assert found == [0.0703, 0.0391, 0.0339, 0.0771]


@quick
@given(cells, st.sampled_from(METHODS))
def test_mcnemar_swaps_and_ignores_the_cases_answered_alike(counts, method):
    test = mcnemar(counts, method=method)
    swapped = mcnemar(
        PairedCounts(counts.both + 3, counts.only_second, counts.only_first, counts.neither), method=method
    )
    if counts.n and test.p_value is not None:
        assert test.p_value == pytest.approx(swapped.p_value)
        assert 0.0 <= test.p_value <= 1.0


@quick
@given(cells)
def test_mid_p_lies_below_exact(counts):
    if counts.n:
        assert mcnemar(counts, method="mid-p").p_value <= mcnemar(counts).p_value + 1e-12


def test_without_discordant_cases_exact_is_one_and_chi_squared_undefined():
    counts = PairedCounts(5, 0, 0, 3)
    assert (mcnemar(counts).p_value, mcnemar(counts, method="mid-p").p_value) == (1.0, 1.0)
    for method in ("chi-squared", "chi-squared-corrected"):
        test = mcnemar(counts, method=method)
        assert test.state is State.UNDEFINED
        assert test.p_value is None
    assert mcnemar(PairedCounts(0, 0, 0, 0)).state is State.UNDEFINED


def test_equal_discordant_cases_give_one_with_the_correction():
    """statsmodels gives 0.72 here; R gives 1."""
    assert mcnemar(PairedCounts(3, 4, 4, 2), method="chi-squared-corrected").p_value == 1.0


def test_cochran_q_of_two_readers_is_mcnemars_chi_squared():
    rng = np.random.default_rng(0)
    right = rng.random((60, 2)) < [0.8, 0.6]
    q, m = cochran_q(right), mcnemar(paired_counts(right[:, 0], right[:, 1]), method="chi-squared")
    assert (q.statistic, q.p_value) == pytest.approx((m.statistic, m.p_value))


def test_cochran_q_by_its_formula_and_reader_order():
    rng = np.random.default_rng(1)
    right = rng.random((50, 4)) < [0.9, 0.7, 0.6, 0.7]
    columns, rows, k = right.sum(axis=0), right.sum(axis=1), 4
    expected = (k - 1) * (k * np.sum(columns**2) - columns.sum() ** 2) / (k * rows.sum() - np.sum(rows**2))
    assert cochran_q(right).statistic == pytest.approx(expected)
    assert cochran_q(right[::-1, ::-1]).statistic == pytest.approx(expected)


def test_missing_answers_leave_the_case_out_and_are_noted():
    right = np.array([[1, 0, 1], [1, np.nan, 0], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
    test = cochran_q(right)
    assert test.statistic == pytest.approx(cochran_q(right[[0, 2, 3, 4]]).statistic)
    assert "1 cases with a missing answer" in test.notes[0]
    comparison = compare_accuracies(right)
    assert comparison.pairs[0].test.difference.n == 4
    assert comparison.pairs[1].test.difference.n == 5  # the first and the third reader answered all


def test_pairs_are_adjusted_by_holm():
    rng = np.random.default_rng(2)
    comparison = compare_accuracies(rng.random((80, 3)) < [0.9, 0.6, 0.5])
    raw = [pair.test.p_value for pair in comparison.pairs]
    assert min(pair.p_value_holm for pair in comparison.pairs) == pytest.approx(3 * min(raw))
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [(0, 1), (0, 2), (1, 2)]


def test_cochran_q_is_undefined_where_nobody_differs():
    assert cochran_q([[1, 1], [0, 0]]).state is State.UNDEFINED
    assert cochran_q([[1, np.nan], [np.nan, 0]]).state is State.UNDEFINED


#: Unaided distance vision, 7,477 women: Stuart (1955), Biometrika 42:412-416.
VISION = [[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]]


def test_stuart_maxwell_and_bowker_give_published_values():
    """Stuart (1955): 11.96 on 3; Bowker's statistic of the same table: 19.11 on 6 (Bishop, Fienberg, Holland 1975)."""
    homogeneity, symmetry = stuart_maxwell(VISION), bowker(VISION)
    assert (round(homogeneity.statistic, 2), homogeneity.degrees_of_freedom) == (11.96, 3.0)
    assert (round(symmetry.statistic, 2), symmetry.degrees_of_freedom) == (19.11, 6.0)


@quick
@given(labelled_cases(n_readers=2))
def test_homogeneity_and_symmetry_equal_statsmodels(cases):
    _, (one, two) = cases
    table = square_table(one, two, "abc")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels divides by zero on tables with empty cells
        peer = SquareTable(table, shift_zeros=False)
        symmetry = peer.symmetry()
        try:
            homogeneity = peer.homogeneity()
        except np.linalg.LinAlgError:
            homogeneity = None
    ours = bowker(table)
    if np.isfinite(symmetry.statistic) and ours.degrees_of_freedom == symmetry.df:
        assert ours.statistic == pytest.approx(symmetry.statistic)
        assert ours.p_value == pytest.approx(symmetry.pvalue)
    ours = stuart_maxwell(table)
    if homogeneity is not None and np.isfinite(homogeneity.statistic) and ours.degrees_of_freedom == 2.0:
        assert ours.statistic == pytest.approx(homogeneity.statistic, rel=1e-6, abs=1e-9)


@quick
@given(labelled_cases(n_readers=2))
def test_class_order_and_direction_change_nothing(cases):
    _, (one, two) = cases
    for test in (stuart_maxwell, bowker):
        plain, turned = test(square_table(one, two, "abc")), test(square_table(two, one, "cab"))
        assert plain.state is turned.state
        if plain.statistic is not None:
            assert plain.statistic == pytest.approx(turned.statistic, abs=1e-9)
            assert plain.degrees_of_freedom == turned.degrees_of_freedom


def test_two_classes_are_mcnemar():
    table = [[20, 9], [3, 11]]
    expected = mcnemar(PairedCounts(20, 9, 3, 11), method="chi-squared").statistic
    assert stuart_maxwell(table).statistic == pytest.approx(expected)
    assert bowker(table).statistic == pytest.approx(expected)


def test_a_class_that_nobody_named_does_not_count():
    table = np.array([[20, 9, 0], [3, 11, 0], [0, 0, 0]])
    assert stuart_maxwell(table).degrees_of_freedom == 1.0
    assert bowker(table).degrees_of_freedom == 1.0
    assert stuart_maxwell(np.diag([3, 4, 5])).state is State.UNDEFINED
    assert bowker(np.diag([3, 4, 5])).state is State.UNDEFINED


def test_the_papers_chi_squared_says_that_it_is_unpaired():
    test = chi_squared(494, 514, 442, 514)
    assert round(test.statistic, 2) == 32.28
    assert "McNemar" in test.notes[0]
    assert test.difference.value == pytest.approx(52 / 514)
    corrected = chi_squared(494, 514, 442, 514, is_corrected=True)
    assert corrected.statistic < test.statistic
    assert chi_squared(0, 5, 0, 5).state is State.UNDEFINED


def test_fisher_gives_the_tea_tasting_value():
    """Fisher (1935): three of four cups right, two-sided p = 34/70."""
    test = fisher_exact(3, 4, 1, 4)
    assert test.p_value == pytest.approx(34 / 70)
    assert fisher_exact(4, 4, 0, 4).statistic is None  # the odds ratio is not finite
    assert fisher_exact(0, 0, 0, 4).state is State.UNDEFINED


def test_mid_p_keeps_its_level_better_than_exact():
    """Mean rejection under equal accuracies over all tables of 40 discordant cases."""
    weights = stats.binom.pmf(np.arange(41), 40, 0.5)
    rejected = {
        method: sum(
            weight
            for b, weight in enumerate(weights)
            if mcnemar(PairedCounts(0, b, 40 - b, 0), method=method).p_value <= 0.05
        )
        for method in ("exact", "mid-p")
    }
    assert rejected["exact"] <= rejected["mid-p"] < 0.055


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mcnemar(PairedCounts(1, 1, 1, 1), method="yates"), "unknown test"),
        (lambda: cochran_q([1, 0, 1]), "shape"),
        (lambda: cochran_q([[1], [0]]), "two readers"),
        (lambda: cochran_q([[1, 0], [2, 0]]), "neither 0, 1 nor NaN at case 1, reader 0"),
        (lambda: bowker([[1, 2, 3]]), "square"),
        (lambda: stuart_maxwell([[1, 2.5], [1, 1]]), "whole number"),
        (lambda: square_table(["a"], ["z"], "ab"), "second.*position 0"),
        (lambda: chi_squared(5, 4, 1, 2), "successes_1.*larger"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(StatisticsInputError, match=message):
        call()
