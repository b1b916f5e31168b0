"""AUCs over several classes, by name."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.errors import StatisticsInputError
from core.statistics import State, auc, compare_multiclass_auc, delong_components, multiclass_auc

CLASSES = ("a", "b", "c")


def study(n=120, seed=0, k=3):
    rng = np.random.default_rng(seed)
    index = rng.integers(k, size=n)
    raw = rng.gamma(1.0 + 2.0 * (index[:, None] == np.arange(k)))
    return np.array(CLASSES)[index], raw / raw.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(6))
def test_values_equal_scikit_learn(seed):
    truth, probability = study(60, seed)
    ours = multiclass_auc(truth, probability, CLASSES)
    one_hot = truth[:, None] == np.array(CLASSES)
    for name, average in (("macro", "macro"), ("prevalence_weighted", "weighted"), ("micro", "micro")):
        assert getattr(ours, name).value == pytest.approx(roc_auc_score(one_hot, probability, average=average))
    assert ours.hand_till.value == pytest.approx(
        roc_auc_score(truth, probability, multi_class="ovo", labels=CLASSES, average="macro")
    )


def test_rows_need_not_add_to_one():
    """scikit-learn refuses probabilities of three decimals; ranks do not care."""
    truth, probability = study()
    rounded = multiclass_auc(truth, np.round(probability, 3), CLASSES)
    assert rounded.macro.value == pytest.approx(multiclass_auc(truth, probability, CLASSES).macro.value, abs=1e-3)


def test_hand_till_by_its_definition():
    truth, probability = study()
    areas = []
    for i, j in combinations(range(3), 2):
        chosen = np.isin(truth, [CLASSES[i], CLASSES[j]])
        areas += [auc(truth[chosen] == CLASSES[one], probability[chosen, one]) for one in (i, j)]
    assert multiclass_auc(truth, probability, CLASSES).hand_till.value == pytest.approx(np.mean(areas))


def test_each_class_has_delongs_variance_on_the_diagonal():
    truth, probability = study()
    ours = multiclass_auc(truth, probability, CLASSES)
    for column, key in enumerate(CLASSES):
        variance = delong_components(truth == key, probability[:, column]).covariance()[0, 0]
        assert ours.covariance[column, column] == pytest.approx(variance, rel=1e-12)
        assert ours.one_vs_rest[key].standard_error ** 2 == pytest.approx(variance, rel=1e-12)


def test_two_classes_with_mirrored_columns_have_one_auc():
    """With p and 1 - p both classes, every average and Hand-Till are the same AUC with DeLong's error."""
    rng = np.random.default_rng(4)
    truth = np.array(["n", "d"])[(np.arange(80) < 30).astype(int)]
    rating = rng.normal(size=80) + (truth == "d")
    ours = multiclass_auc(truth, np.stack([-rating, rating], axis=1), ("n", "d"))
    error = np.sqrt(delong_components(truth == "d", rating).covariance()[0, 0])
    for estimate in (ours.macro, ours.prevalence_weighted, ours.hand_till):
        assert (estimate.value, estimate.standard_error) == pytest.approx((auc(truth == "d", rating), error))


def test_standard_errors_match_the_bootstrap():
    truth, probability = study(300, 2)
    ours = multiclass_auc(truth, probability, CLASSES)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(250):
        cases = rng.integers(300, size=300)
        one = multiclass_auc(truth[cases], probability[cases], CLASSES)
        drawn.append([one.macro.value, one.micro.value, one.hand_till.value])
    errors = [ours.macro.standard_error, ours.micro.standard_error, ours.hand_till.standard_error]
    np.testing.assert_allclose(np.std(drawn, axis=0), errors, rtol=0.15)


def test_class_order_and_case_order_change_nothing():
    truth, probability = study()
    plain = multiclass_auc(truth, probability, CLASSES)
    turned = multiclass_auc(truth[::-1], probability[::-1, ::-1], CLASSES[::-1])
    for name in ("macro", "prevalence_weighted", "micro", "hand_till"):
        one, two = getattr(plain, name), getattr(turned, name)
        assert (one.value, one.standard_error) == pytest.approx((two.value, two.standard_error))


def test_hand_till_does_not_depend_on_prevalence():
    """Every case of one class twice: Hand-Till stays, the weighted mean moves."""
    truth, probability = study()
    more = np.concatenate([np.arange(120), np.flatnonzero(truth == "a")])
    plain, heavier = (multiclass_auc(truth[i], probability[i], CLASSES) for i in (np.arange(120), more))
    assert heavier.hand_till.value == pytest.approx(plain.hand_till.value)
    assert heavier.prevalence_weighted.value != pytest.approx(plain.prevalence_weighted.value, abs=1e-9)


def test_an_absent_class_makes_averages_undefined_and_is_named():
    truth, probability = study()
    kept = truth != "b"
    ours = multiclass_auc(truth[kept], probability[kept], CLASSES)
    assert ours.one_vs_rest["b"].state is State.UNDEFINED
    assert ours.one_vs_rest["a"].state is State.ESTIMATED
    for estimate in (ours.macro, ours.prevalence_weighted, ours.hand_till):
        assert estimate.state is State.UNDEFINED
        assert "b" in estimate.reason
    assert ours.covariance is None
    assert ours.micro.state is State.ESTIMATED


def test_one_case_of_a_class_leaves_values_without_variance():
    truth, probability = study()
    keep = np.concatenate([np.flatnonzero(truth != "b"), np.flatnonzero(truth == "b")[:1]])
    ours = multiclass_auc(truth[keep], probability[keep], CLASSES)
    assert ours.macro.state is State.DEGENERATE
    assert ours.macro.value is not None
    assert ours.macro.standard_error is None


def test_perfect_and_constant_probabilities_are_degenerate():
    truth, probability = study()
    perfect = multiclass_auc(truth, (truth[:, None] == np.array(CLASSES)).astype(float), CLASSES)
    assert (perfect.macro.value, perfect.macro.state) == (1.0, State.DEGENERATE)
    constant = multiclass_auc(truth, np.full_like(probability, 1 / 3), CLASSES)
    assert (constant.micro.value, constant.micro.state) == (0.5, State.DEGENERATE)


def test_comparison_per_class_is_adjusted_over_classes():
    truth, probability = study()
    other = study(seed=0)[1] ** 0.2 + np.random.default_rng(1).normal(size=probability.shape)
    found = compare_multiclass_auc(truth, probability, other, CLASSES)
    raw = sorted(one.test.p_value for one in found.values())
    adjusted = sorted(one.p_value_holm for one in found.values())
    assert adjusted[0] == pytest.approx(min(1.0, 3 * raw[0]))
    assert all(a >= r for a, r in zip(adjusted, raw, strict=True))


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        (["a", "b"], [[0.1, 0.2, 0.7]], "1 cases where"),
        (["a", "b"], [[0.1, 0.9], [0.5, 0.5]], r"shape \(n_cases, 3\)"),
        (["a", "x"], np.ones((2, 3)), "outside the list at position 1"),
        (["a", "b"], [[0.1, 0.2, 0.7], [0.1, float("nan"), 0.5]], "curve 1 at position 1"),
        ([], np.ones((0, 3)), "is empty"),
    ],
)
def test_bad_input_names_argument_and_position(truth, probability, message):
    with pytest.raises(StatisticsInputError, match=message):
        multiclass_auc(truth, probability, CLASSES)
