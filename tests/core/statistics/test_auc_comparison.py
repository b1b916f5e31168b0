"""Comparing AUCs, and adjusted p values."""

import numpy as np
import pytest
from hypothesis import given
from scipy import stats
from statsmodels.stats.multitest import multipletests

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics import (
    State,
    benjamini_hochberg,
    compare_aucs,
    compare_aucs_paired,
    compare_aucs_unpaired,
    delong_components,
    holm,
)
from tests.core.statistics.strategies import quick, rated_cases

RNG = np.random.default_rng(9)
TRUTH = np.arange(90) < 30
CURVES = RNG.normal(size=(4, 90)) + np.array([[0.3], [0.8], [1.2], [1.2]]) * TRUTH


@quick
@given(rated_cases(n_curves=2))
def test_swapping_the_curves_changes_only_the_sign(study):
    truth, (one, two) = study
    there, back = compare_aucs_paired(truth, one, two), compare_aucs_paired(truth, two, one)
    assert there.state is back.state
    if there.state is State.ESTIMATED:
        assert there.statistic == pytest.approx(-back.statistic)
        assert there.p_value == pytest.approx(back.p_value)
        assert there.difference.lower == pytest.approx(-back.difference.upper)


@quick
@given(rated_cases())
def test_identical_curves_differ_by_zero_with_a_named_state(study):
    truth, (rating,) = study
    test = compare_aucs_paired(truth, rating, rating * 2.0 + 1.0)
    assert test.state is State.DEGENERATE
    assert test.difference.value == 0.0
    assert test.p_value == 1.0
    assert test.statistic is None


@quick
@given(rated_cases(n_curves=2))
def test_the_interval_and_the_test_agree(study):
    truth, (one, two) = study
    test = compare_aucs_paired(truth, one, two)
    if test.state is State.ESTIMATED and abs(test.p_value - 0.05) > 1e-9:
        assert (test.difference.lower <= 0.0 <= test.difference.upper) == (test.p_value > 0.05)


def test_two_perfect_curves_that_differ_in_kind_are_not_estimable():
    test = compare_aucs_paired([1, 1, 0, 0], [3, 4, 1, 2], [1, 2, 3, 4])
    assert test.state is State.DEGENERATE
    assert test.p_value is None
    assert test.difference.value == 1.0


def test_hard_labels_against_ratings_carry_a_warning():
    mixed = compare_aucs_paired(TRUTH, CURVES[0], CURVES[1] > 0.5)
    assert "operating point" in mixed.notes[0]
    assert compare_aucs_paired(TRUTH, CURVES[0], CURVES[1]).notes == ()
    assert compare_aucs_paired(TRUTH, CURVES[0] > 0, CURVES[1] > 0).notes == ()
    assert "operating point" in compare_aucs_unpaired(TRUTH, CURVES[0], TRUTH, CURVES[1] > 0).notes[0]
    assert "operating point" in compare_aucs(TRUTH, [CURVES[0], CURVES[1] > 0]).overall.notes[0]


def test_unpaired_equals_welch_on_the_two_variances():
    one, two = compare_aucs_unpaired(TRUTH, CURVES[0], TRUTH[10:70], CURVES[2, 10:70]), None
    areas, variances = [], []
    for truth, rating in ((TRUTH, CURVES[0]), (TRUTH[10:70], CURVES[2, 10:70])):
        components = delong_components(truth, rating)
        areas.append(components.auc[0])
        variances.append(components.covariance()[0, 0])
    df = sum(variances) ** 2 / (variances[0] ** 2 / 89 + variances[1] ** 2 / 59)
    two = (areas[0] - areas[1]) / np.sqrt(sum(variances))
    assert (one.statistic, one.degrees_of_freedom) == pytest.approx((two, df))
    assert one.p_value == pytest.approx(2 * stats.t.sf(abs(two), df))
    assert "Satterthwaite t" in one.method


def test_two_curves_at_once_are_the_paired_test_squared():
    both = compare_aucs(TRUTH, CURVES[:2])
    pair = compare_aucs_paired(TRUTH, CURVES[0], CURVES[1])
    assert both.overall.statistic == pytest.approx(pair.statistic**2)
    assert both.overall.p_value == pytest.approx(pair.p_value)
    assert both.pairs[0].test == pair
    assert both.pairs[0].p_value_holm == pytest.approx(pair.p_value)


def test_every_pair_and_the_whole_come_from_one_covariance():
    comparison = compare_aucs(TRUTH, CURVES)
    assert len(comparison.pairs) == 6
    contrast = np.array([[1, -1, 0, 0], [0, 1, -1, 0], [0, 0, 1, -1]])  # any full set of contrasts
    difference = contrast @ [estimate.value for estimate in comparison.estimates]
    spread = contrast @ comparison.covariance @ contrast.T
    assert comparison.overall.statistic == pytest.approx(difference @ np.linalg.solve(spread, difference))
    assert comparison.overall.degrees_of_freedom == 3.0
    expected = multipletests([pair.test.p_value for pair in comparison.pairs], method="holm")[1]
    assert [pair.p_value_holm for pair in comparison.pairs] == pytest.approx(list(expected))


def test_a_copied_curve_costs_a_degree_of_freedom_and_is_said():
    comparison = compare_aucs(TRUTH, np.vstack([CURVES[:2], CURVES[:1]]))
    assert comparison.overall.degrees_of_freedom == 1.0
    assert "1 degrees of freedom instead of 2" in comparison.overall.notes[0]
    assert compare_aucs(TRUTH, [CURVES[0], CURVES[0]]).overall.state is State.DEGENERATE


def test_curve_order_never_matters_for_the_whole():
    assert compare_aucs(TRUTH, CURVES[::-1]).overall.statistic == pytest.approx(
        compare_aucs(TRUTH, CURVES).overall.statistic
    )


def test_type_one_error_of_the_paired_test_is_near_its_level():
    rng = np.random.default_rng(17)
    truth = np.arange(80) < 40
    rejected = 0
    for _ in range(600):
        shared = rng.normal(size=80) + truth
        test = compare_aucs_paired(truth, shared + rng.normal(size=80), shared + rng.normal(size=80))
        rejected += test.p_value < 0.05
    assert 0.03 < rejected / 600 < 0.075


def test_an_absent_class_is_undefined_in_every_comparison():
    assert compare_aucs_paired([1, 1], [1, 2], [2, 1]).state is State.UNDEFINED
    assert compare_aucs_paired([1, 0], [1, 2], [2, 1]).state is State.UNDEFINED
    assert compare_aucs_unpaired([1, 1], [1, 2], [1, 0], [2, 1]).state is State.UNDEFINED
    with pytest.raises(UndefinedStatisticError):
        compare_aucs([1, 1], [[1, 2], [2, 1]])


def test_bad_input_is_refused():
    with pytest.raises(StatisticsInputError, match=r"second.*3 cases"):
        compare_aucs_paired([1, 0], [1, 2], [1, 2, 3])
    with pytest.raises(StatisticsInputError, match="at least two curves"):
        compare_aucs(TRUTH, CURVES[0])
    with pytest.raises(StatisticsInputError, match="one curve each"):
        compare_aucs_paired(TRUTH, CURVES, CURVES[0])


def test_holm_and_benjamini_hochberg_give_published_values():
    """p = 0.01, 0.04, 0.03, 0.005: Holm (1979) gives 0.03, 0.06, 0.06, 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.02, 0.04, 0.04, 0.02))


def test_undefined_tests_take_no_part_in_the_family():
    assert holm([0.02, None, 0.03]) == pytest.approx((0.04, None, 0.04))
    assert holm([None, None]) == (None, None)
    assert holm([]) == ()
    for wrong in (1.2, float("nan")):
        with pytest.raises(StatisticsInputError, match="position 1"):
            holm([0.5, wrong])
