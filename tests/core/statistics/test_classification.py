"""Per-class metrics and their averages against scikit-learn, by hand, and where they are not defined."""

import numpy as np
import pytest
from hypothesis import assume, given
from sklearn import metrics as sk

from core.errors import StatisticsInputError
from core.statistics import (
    BinaryCounts,
    State,
    binary_metrics,
    classification_metrics,
    confusion_matrix,
    metrics_from_matrix,
    predictive_values_at_prevalence,
    proportion,
)
from tests.core.statistics.strategies import labelled_cases, quick

CLASSES = ("a", "b", "c")


@quick
@given(labelled_cases())
def test_values_equal_scikit_learn(cases):
    truth, (labels,) = cases
    assume(set(truth) == set(labels) == set(CLASSES))
    ours = classification_metrics(truth, labels, CLASSES)
    np.testing.assert_array_equal(ours.matrix, sk.confusion_matrix(truth, labels, labels=CLASSES))
    assert ours.accuracy.value == pytest.approx(sk.accuracy_score(truth, labels))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, labels, labels=CLASSES)
    for index, key in enumerate(CLASSES):
        one = ours.per_class[key]
        assert (one.ppv.value, one.sensitivity.value, one.f1.value) == pytest.approx(
            (precision[index], recall[index], f1[index])
        )
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, labels, labels=CLASSES, average=average)
        mean = getattr(ours, average)
        assert (mean.ppv.value, mean.sensitivity.value, mean.f1.value) == pytest.approx((precision, recall, f1))
    assert ours.macro.sensitivity.value == pytest.approx(sk.balanced_accuracy_score(truth, labels))


@quick
@given(labelled_cases())
def test_case_order_and_class_order_change_nothing(cases):
    truth, (labels,) = cases
    plain = classification_metrics(truth, labels, CLASSES)
    turned = classification_metrics(truth[::-1], labels[::-1], CLASSES[::-1])
    assert turned.accuracy == plain.accuracy
    for key in CLASSES:
        assert turned.per_class[key] == plain.per_class[key]
    for name in ("accuracy", "sensitivity", "f1"):
        ours, theirs = getattr(plain.macro, name), getattr(turned.macro, name)
        assert (ours.value, ours.lower) == pytest.approx((theirs.value, theirs.lower)) or ours.state is theirs.state


@quick
@given(labelled_cases())
def test_weighted_sensitivity_is_the_accuracy_with_its_standard_error(cases):
    truth, (labels,) = cases
    assume(set(truth) == set(CLASSES))
    ours = classification_metrics(truth, labels, CLASSES)
    weighted = ours.weighted.sensitivity
    assert weighted.value == pytest.approx(ours.accuracy.value)
    if weighted.standard_error is not None:
        assert weighted.standard_error == pytest.approx(ours.accuracy.standard_error)


def test_macro_standard_errors_match_simulation():
    """Spread of 4,000 multinomial tables against the delta method."""
    matrix = np.array([[70, 12, 3], [9, 80, 6], [5, 14, 51]])
    rng = np.random.default_rng(11)
    tables = rng.multinomial(matrix.sum(), (matrix / matrix.sum()).ravel(), size=1500).reshape(-1, 3, 3)
    f1 = [np.mean(2 * np.diag(t) / (t.sum(0) + t.sum(1))) for t in tables]
    recall = [np.mean(np.diag(t) / t.sum(1)) for t in tables]
    ours = metrics_from_matrix(matrix, CLASSES).macro
    assert ours.f1.standard_error == pytest.approx(np.std(f1), rel=0.06)
    assert ours.sensitivity.standard_error == pytest.approx(np.std(recall), rel=0.06)


def test_paper_row_is_reproduced():
    """Zhao et al. 2023, Table 4, ResNet34 Graves: 127 of 130, two false positives, 514 cases."""
    ours = binary_metrics(BinaryCounts(127, 2, 3, 382))
    assert (round(ours.sensitivity.value, 3), round(ours.specificity.value, 3)) == (0.977, 0.995)
    assert (round(ours.ppv.value, 3), round(ours.npv.value, 3)) == (0.984, 0.992)
    assert round(ours.f1.value, 3) == 0.981


def test_f1_interval_is_the_transformed_wilson_interval():
    ours = binary_metrics(BinaryCounts(20, 5, 3, 40)).f1
    share = proportion(20, 28)
    assert (ours.lower, ours.upper) == pytest.approx(
        (2 * share.lower / (1 + share.lower), 2 * share.upper / (1 + share.upper))
    )
    assert ours.value == pytest.approx(40 / 48)
    assert ours.lower < ours.value < ours.upper


def test_likelihood_ratio_interval_is_simels():
    """sensitivity 0.9 of 100, specificity 0.8 of 200: LR+ = 4.5, SE(log) = sqrt(0.1/90 + 0.8/40)."""
    ours = binary_metrics(BinaryCounts(90, 40, 10, 160)).positive_likelihood_ratio
    error = np.sqrt(1 / 90 - 1 / 100 + 1 / 40 - 1 / 200)
    assert ours.value == pytest.approx(4.5)
    assert (ours.lower, ours.upper) == pytest.approx((4.5 * np.exp(-1.959964 * error), 4.5 * np.exp(1.959964 * error)))


def test_what_has_no_denominator_is_undefined_and_never_zero():
    nothing_called = binary_metrics(BinaryCounts(0, 0, 5, 10))
    assert nothing_called.ppv.state is State.UNDEFINED
    assert nothing_called.sensitivity.value == 0.0
    assert nothing_called.f1.value == 0.0  # defined: the class exists and none was found
    assert nothing_called.positive_likelihood_ratio.state is State.UNDEFINED
    no_positive = binary_metrics(BinaryCounts(0, 0, 0, 10))
    for name in ("sensitivity", "f1", "balanced_accuracy", "positive_likelihood_ratio", "negative_likelihood_ratio"):
        estimate = getattr(no_positive, name)
        assert estimate.state is State.UNDEFINED, name
        assert estimate.value is None, name
        assert estimate.reason, name
    perfect = binary_metrics(BinaryCounts(5, 0, 0, 10))
    assert perfect.positive_likelihood_ratio.value is None
    assert perfect.negative_likelihood_ratio.state is State.DEGENERATE
    assert perfect.balanced_accuracy.lower < 1.0 == perfect.balanced_accuracy.upper


def test_an_average_with_an_undefined_class_is_undefined_and_names_it():
    ours = metrics_from_matrix([[5, 1, 0], [2, 6, 0], [1, 1, 0]], CLASSES)
    assert ours.macro.ppv.state is State.UNDEFINED
    assert "class c" in ours.macro.ppv.reason
    assert ours.macro.sensitivity.value == pytest.approx((5 / 6 + 6 / 8 + 0) / 3)


def test_perfect_averages_are_degenerate():
    ours = metrics_from_matrix(np.diag([5, 6, 7]), CLASSES)
    assert ours.macro.f1.value == 1.0
    assert ours.macro.f1.state is State.DEGENERATE
    assert ours.macro.f1.lower is None


def test_missing_readings_are_left_out_and_counted():
    ours = classification_metrics(["a", "b", "a"], ["a", None, float("nan")], ("a", "b"))
    assert ours.n_missing == 2
    assert ours.matrix.sum() == 1


def test_no_reading_at_all_is_undefined():
    ours = classification_metrics(["a", "b"], [None, None], ("a", "b"))
    assert ours.accuracy.state is State.UNDEFINED
    assert ours.macro.sensitivity.state is State.UNDEFINED


def test_prevalence_of_the_study_gives_the_predictive_values_of_the_study():
    counts = BinaryCounts(90, 40, 10, 160)
    ours = predictive_values_at_prevalence(counts, 100 / 300)
    plain = binary_metrics(counts)
    assert (ours.ppv.value, ours.npv.value) == pytest.approx((plain.ppv.value, plain.npv.value))
    rare = predictive_values_at_prevalence(counts, 0.01)
    assert rare.ppv.value == pytest.approx(0.9 * 0.01 / (0.9 * 0.01 + 0.2 * 0.99))
    assert rare.ppv.lower < rare.ppv.value < rare.ppv.upper
    assert predictive_values_at_prevalence(BinaryCounts(5, 0, 0, 5), 0.1).ppv.state is State.DEGENERATE
    assert predictive_values_at_prevalence(BinaryCounts(0, 3, 0, 5), 0.1).ppv.state is State.UNDEFINED
    with pytest.raises(StatisticsInputError, match="prevalence"):
        predictive_values_at_prevalence(counts, 1.0)


@pytest.mark.parametrize(
    ("truth", "labels", "classes", "message"),
    [
        (["a", "b"], ["a"], ("a", "b"), "2 and 1 cases"),
        (["a", "x"], ["a", "b"], ("a", "b"), "truth.*outside the list at position 1"),
        (["a", "b"], ["a", "x"], ("a", "b"), "labels.*outside the list at position 1.*Fix: use one of a, b"),
        (["a", None], ["a", "b"], ("a", "b"), "truth.*missing at position 1"),
        (["a"], ["a"], ("a",), "at least two classes"),
        (["a"], ["a"], ("a", "a"), "names a class twice at position 1"),
    ],
)
def test_bad_input_names_argument_and_position(truth, labels, classes, message):
    with pytest.raises(StatisticsInputError, match=message):
        confusion_matrix(truth, labels, classes)


def test_a_matrix_of_the_wrong_shape_is_refused():
    with pytest.raises(StatisticsInputError, match="shape"):
        metrics_from_matrix([[1, 2]], ("a", "b"))
    with pytest.raises(StatisticsInputError, match="zero or more"):
        metrics_from_matrix([[1, 2], [-1, 0]], ("a", "b"))
