"""DeLong's components against their definition, and what must not change them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from sklearn.metrics import roc_auc_score

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics import auc, delong_components
from tests.core.statistics.strategies import quick, rated_cases


def by_definition(truth, ratings):
    """All m·n comparisons of the definition."""
    positive, negative = ratings[:, truth][:, :, None], ratings[:, ~truth][:, None, :]
    won = (positive > negative) + 0.5 * (positive == negative)
    v10, v01 = won.mean(axis=2), won.mean(axis=1)
    covariance = np.cov(v10, ddof=1) / v10.shape[1] + np.cov(v01, ddof=1) / v01.shape[1]
    return won.mean(axis=(1, 2)), v10, v01, np.atleast_2d(covariance)


@quick
@given(rated_cases(n_curves=3))
def test_components_equal_the_definition(study):
    truth, ratings = study
    components = delong_components(truth, ratings)
    expected = by_definition(truth, ratings)
    found = (components.auc, components.v10, components.v01, components.covariance())
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("decimals", [1, 3, 15])
def test_a_thousand_cases_equal_the_definition(decimals):
    rng = np.random.default_rng(5)
    truth = rng.random(1000) < 0.3
    ratings = np.round(rng.normal(size=(4, 1000)) + truth, decimals)
    components = delong_components(truth, ratings)
    area, _, _, covariance = by_definition(truth, ratings)
    np.testing.assert_allclose(components.auc, area, rtol=1e-13)
    np.testing.assert_allclose(components.covariance(), covariance, rtol=1e-11, atol=1e-18)


@quick
@given(rated_cases())
def test_auc_equals_scikit_learn(study):
    truth, ratings = study
    assert auc(truth, ratings[0]) == pytest.approx(roc_auc_score(truth, ratings[0]), abs=1e-14)


@quick
@given(rated_cases(n_curves=2))
def test_negated_ratings_mirror_the_auc_and_keep_the_covariance(study):
    truth, ratings = study
    plain, mirrored = delong_components(truth, ratings), delong_components(truth, -ratings)
    np.testing.assert_allclose(mirrored.auc, 1.0 - plain.auc, atol=1e-15)
    np.testing.assert_allclose(mirrored.covariance(), plain.covariance(), atol=1e-15)


@quick
@given(rated_cases(n_curves=2))
def test_case_order_and_monotone_transforms_change_nothing(study):
    truth, ratings = study
    plain = delong_components(truth, ratings)
    order = np.random.default_rng(0).permutation(truth.size)
    shuffled = delong_components(truth[order], np.exp(ratings[:, order]) * 3.0 - 1.0)
    np.testing.assert_array_equal(shuffled.auc, plain.auc)
    np.testing.assert_allclose(shuffled.covariance(), plain.covariance(), atol=1e-15)


@quick
@given(rated_cases(n_curves=3))
def test_curve_order_only_permutes(study):
    truth, ratings = study
    plain, turned = delong_components(truth, ratings), delong_components(truth, ratings[::-1])
    np.testing.assert_array_equal(turned.auc, plain.auc[::-1])
    np.testing.assert_allclose(turned.covariance(), plain.covariance()[::-1, ::-1], atol=1e-16)


def test_components_average_to_the_auc_and_keep_the_order_of_cases():
    truth = np.array([True, False, True, False])
    components = delong_components(truth, [0.9, 0.8, 0.3, 0.3])
    np.testing.assert_array_equal(components.v10, [[1.0, 0.25]])
    np.testing.assert_array_equal(components.v01, [[0.5, 0.75]])
    assert components.auc[0] == 0.625


def test_the_input_is_not_changed():
    truth, ratings = np.arange(6) < 3, np.array([[3.0, 1.0, 2.0, 0.0, 1.0, 5.0]])
    before = ratings.copy()
    delong_components(truth, ratings)
    np.testing.assert_array_equal(ratings, before)


def test_blocks_of_the_covariance_add_up():
    rng = np.random.default_rng(2)
    truth = np.arange(150_000) % 2 == 0
    ratings = rng.normal(size=(2, 150_000))
    components = delong_components(truth, ratings)
    expected = np.cov(components.v10) / components.n_positive + np.cov(components.v01) / components.n_negative
    np.testing.assert_allclose(components.covariance(), expected, rtol=1e-9)


@pytest.mark.parametrize(("truth", "word"), [([1, 1, 1], "negative"), ([0, 0, 0], "positive")])
def test_an_absent_class_is_undefined(truth, word):
    with pytest.raises(UndefinedStatisticError, match=f"No case is {word}"):
        delong_components(truth, [1.0, 2.0, 3.0])
    with pytest.raises(UndefinedStatisticError, match=f"No case is {word}"):
        auc(truth, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(("truth", "word"), [([1, 0, 0], "positive"), ([1, 1, 0], "negative")])
def test_one_case_of_a_class_has_an_auc_but_no_covariance(truth, word):
    components = delong_components(truth, [1.0, 2.0, 1.0])
    assert components.auc[0] == (0.25 if word == "positive" else 0.75)
    with pytest.raises(UndefinedStatisticError, match=f"Only one case is {word}"):
        components.covariance()


@pytest.mark.parametrize(
    ("truth", "ratings", "message"),
    [
        ([], [], "truth.*is empty"),
        ([0, 1], [1.0, 2.0, 3.0], "3 cases where the reference standard has 2"),
        ([0, 1], [1.0, float("nan")], "not a finite number for curve 0 at position 1"),
        ([0, 1], [[1.0, 2.0], [float("inf"), 1.0]], "not a finite number for curve 1 at position 0"),
        ([0, 1, 2], [1.0, 2.0, 3.0], "neither 0 nor 1 at position 2"),
        ([0.0, float("nan")], [1.0, 2.0], "neither 0 nor 1 at position 1"),
        (["a", "b"], [1.0, 2.0], "must be True or False"),
        ([[0, 1]], [1.0, 2.0], "one-dimensional"),
        ([0, 1], ["a", "b"], "must be numbers"),
        ([0, 1], [[[1.0, 2.0]]], "shape"),
    ],
)
def test_bad_input_names_argument_and_position(truth, ratings, message):
    with pytest.raises(StatisticsInputError, match=message):
        delong_components(truth, ratings)


def test_huge_finite_ratings_are_no_error():
    assert auc([0, 1, 0, 1], [-1e308, 1e308, -1e308, 1e308]) == 1.0


@pytest.mark.parametrize("truth", [[True, False, True, False], [1, 0, 1, 0], [np.True_, np.False_, 1, 0.0]])
def test_objects_that_are_booleans_or_numbers_are_taken(truth):
    """A pandas column of booleans with the dtype object, or numbers with it."""
    expected = auc([True, False, True, False], [3.0, 1.0, 2.0, 2.0])
    assert auc(np.array(truth, dtype=object), np.array([3, 1.0, 2, np.float64(2)], dtype=object)) == expected
    assert auc(pd.Series(truth, dtype=object), pd.Series([3, 1, 2, 2])) == expected


@pytest.mark.parametrize(
    ("truth", "ratings", "message"),
    [
        (["True", "False"], [1.0, 2.0], "not text"),
        (np.array(["True", "False"], dtype=object), [1.0, 2.0], "no number at position 0"),
        (np.array([True, None], dtype=object), [1.0, 2.0], "missing at position 1"),
        (np.array([True, 2], dtype=object), [1.0, 2.0], "neither 0 nor 1 at position 1"),
        ([[True, False]], [1.0, 2.0], "one-dimensional"),
        ([True, False], np.array([1.0, "2"], dtype=object), "no number at position 1"),
        ([True, False], np.array([1.0, None], dtype=object), "missing at position 1"),
        ([True, False], [1 + 2j, 0], "must be numbers"),
        ([True, False], [[1.0, 2.0], [2.0, 1.0]], "one curve"),
    ],
)
def test_what_is_no_truth_or_no_rating_is_refused_by_position(truth, ratings, message):
    with pytest.raises(StatisticsInputError, match=message):
        auc(truth, ratings)
