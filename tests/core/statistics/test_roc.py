"""The empirical curve and what is read off it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics import (
    State,
    auc,
    is_hard_label,
    operating_point,
    operating_point_at,
    partial_auc,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    youden_point,
)
from tests.core.statistics.strategies import quick, rated_cases

TRUTH = np.array([0, 0, 1, 0, 1, 1], dtype=bool)
RATING = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 5.0])


@quick
@given(rated_cases())
def test_points_equal_scikit_learn(study):
    truth, (rating,) = study
    ours = roc_curve(truth, rating)
    false_positive, true_positive, _ = sk.roc_curve(truth, rating, drop_intermediate=False)
    np.testing.assert_allclose(1.0 - ours.specificity, false_positive, atol=1e-15)
    np.testing.assert_allclose(ours.sensitivity, true_positive, atol=1e-15)
    assert ours.area == pytest.approx(auc(truth, rating), abs=1e-14)


@quick
@given(rated_cases())
def test_thresholds_reproduce_their_points(study):
    truth, (rating,) = study
    curve = roc_curve(truth, rating)
    for threshold, sensitivity, specificity in zip(curve.threshold, curve.sensitivity, curve.specificity, strict=True):
        assert np.mean(rating[truth] > threshold) == sensitivity
        assert np.mean(rating[~truth] <= threshold) == specificity


@quick
@given(rated_cases(), st.floats(0, 1), st.floats(0, 1))
def test_partial_areas_add_up_to_the_area(study, one, two):
    truth, (rating,) = study
    ends = [0.0, *sorted({one, two} - {0.0, 1.0}), 1.0]
    for axis in ("specificity", "sensitivity"):
        parts = [
            partial_auc(truth, rating, between=(low, high), axis=axis).value for low, high in itertools.pairwise(ends)
        ]
        assert sum(parts) == pytest.approx(auc(truth, rating), abs=1e-12)


@quick
@given(rated_cases(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]))
def test_sensitivity_at_specificity_is_the_mirror_of_its_reverse(study, share):
    """Swapping the classes and negating the ratings turns one into the other."""
    truth, (rating,) = study
    there = sensitivity_at_specificity(truth, rating, share).value
    back = specificity_at_sensitivity(~truth, -rating, share).value
    assert there == pytest.approx(back, abs=1e-12)


def test_a_vertical_step_is_climbed_to_its_top():
    """At specificity 2/3 both points are on the curve; the higher sensitivity counts."""
    truth = np.array([0, 0, 0, 1, 1], dtype=bool)
    rating = np.array([1.0, 2.0, 4.0, 3.0, 5.0])
    assert sensitivity_at_specificity(truth, rating, 2 / 3).value == 1.0
    assert sensitivity_at_specificity(truth, rating, 1.0).value == 0.5


def test_binary_rounding_of_the_specificity_does_not_miss_a_point():
    """1 - 0.9 is a hair below 0.1; 8 of 80 cases must still be found."""
    truth = np.array([False] * 80 + [True] * 10)
    rating = np.array([0.0] * 72 + [2.0] * 8 + [1.0] * 10)
    assert sensitivity_at_specificity(truth, rating, 0.9).value == 1.0


def test_mcclish_scaling_is_one_for_a_perfect_curve_and_half_for_chance():
    perfect = partial_auc([0, 0, 1, 1], [1, 2, 3, 4], between=(0.8, 1.0), is_corrected=True)
    chance = partial_auc([0, 1, 0, 1], [1, 1, 2, 2], between=(0.8, 1.0), is_corrected=True)
    assert (perfect.value, chance.value) == pytest.approx((1.0, 0.5))
    below = partial_auc([1, 1, 0, 0], [1, 2, 3, 4], between=(0.8, 1.0), is_corrected=True)
    assert below.state is State.UNDEFINED
    assert "below the diagonal" in below.reason


def test_bootstrap_interval_encloses_the_value_and_is_reproducible():
    rng = np.random.default_rng(8)
    truth = np.arange(120) < 40
    rating = rng.normal(size=120) + truth
    options = {"between": (0.8, 1.0), "n_replicates": 200}
    one = partial_auc(truth, rating, rng=np.random.default_rng(1), **options)
    two = partial_auc(truth, rating, rng=np.random.default_rng(1), **options)
    assert one == two
    assert one.lower < one.value < one.upper
    assert partial_auc(truth, rating, **options).lower is None


def test_youden_point_is_the_best_and_says_that_it_is_optimistic():
    point = youden_point(TRUTH, RATING)
    curve = roc_curve(TRUTH, RATING)
    assert point.youden_index == pytest.approx(np.max(curve.sensitivity + curve.specificity - 1.0))
    assert point.threshold == 3.5
    assert "optimistic" in point.notes[0]


def test_of_equal_thresholds_the_most_sensitive_is_taken():
    point = youden_point([0, 1, 0, 1], [1.0, 2.0, 3.0, 4.0])
    assert point.metrics.sensitivity.value == 1.0
    assert point.threshold == 1.5


@quick
@given(rated_cases())
def test_hard_labels_are_an_operating_point(study):
    truth, (rating,) = study
    called = rating > 0
    point = operating_point(truth, called)
    assert point.threshold is None
    curve = roc_curve(truth, called.astype(float))
    assert curve.is_operating_point
    assert point.metrics.balanced_accuracy.value == pytest.approx(curve.area)
    assert (point.youden_index + 1.0) / 2.0 == pytest.approx(curve.area)


def test_hard_labels_carry_a_note_when_read_like_a_curve():
    estimate = sensitivity_at_specificity([0, 0, 1, 1], [0, 1, 1, 1], 0.9)
    assert "hard labels" in estimate.notes[0]
    assert sensitivity_at_specificity(TRUTH, RATING, 0.9).notes == ()


def test_hard_label_detection():
    assert is_hard_label([0, 1, 1])
    assert is_hard_label([3.0, 3.0])
    assert not is_hard_label([0, 1, 2])


def test_an_absent_class_is_undefined():
    with pytest.raises(UndefinedStatisticError, match="No case is negative"):
        roc_curve([1, 1], [1.0, 2.0])
    estimate = sensitivity_at_specificity([1, 1], [1.0, 2.0], 0.9)
    assert estimate.state is State.UNDEFINED
    assert estimate.value is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: roc_curve([0, 1], [1.0]), "1 cases where"),
        (lambda: roc_curve([0, 1], [[1.0, 2.0], [1.0, 2.0]]), "one curve"),
        (lambda: partial_auc(TRUTH, RATING, between=(0.5, 0.5)), "must differ"),
        (lambda: partial_auc(TRUTH, RATING, between=(0.5, 1.5)), "between 0 and 1"),
        (lambda: partial_auc(TRUTH, RATING, between=(0.5, 1.0), axis="fpr"), "unknown axis"),
        (lambda: sensitivity_at_specificity(TRUTH, RATING, float("nan")), "between 0 and 1"),
        (lambda: operating_point([0, 1], [1]), "1 cases where"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(StatisticsInputError, match=message):
        call()


def test_operating_point_at_a_cutoff_equals_scikit_learn():
    rng = np.random.default_rng(3)
    truth, ratings = rng.random(80) < 0.4, rng.integers(1, 6, size=80)
    found = operating_point_at(truth, ratings, 4)
    table = sk.confusion_matrix(truth, ratings >= 4)
    assert found.metrics.counts.true_positive == table[1, 1]
    assert found.metrics.specificity.value == pytest.approx(table[0, 0] / table[0].sum())
    assert (found.threshold, found.notes) == (4.0, ("positive from a rating of 4",))


def test_operating_point_of_patients_with_the_same_case_twice():
    rng = np.random.default_rng(4)
    truth, called = rng.random(50) < 0.5, rng.random(50) < 0.5
    once = operating_point(truth, called).metrics
    twice = operating_point(np.repeat(truth, 2), np.repeat(called, 2), patients=np.arange(100) // 2).metrics
    for quantity in ("accuracy", "sensitivity", "specificity", "ppv", "npv"):
        one, two = getattr(once, quantity), getattr(twice, quantity)
        assert two.value == pytest.approx(one.value)
        assert two.upper - two.lower == pytest.approx(one.upper - one.lower, rel=0.05)


@pytest.mark.parametrize("cutoff", [float("nan"), "4", True])
def test_a_cutoff_is_a_number(cutoff):
    with pytest.raises(StatisticsInputError, match="cutoff"):
        operating_point_at([True, False], [1.0, 2.0], cutoff)
