"""One model against a panel of readers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.auc_comparison import compare_aucs_paired
from core.statistics.delong import delong_components
from core.statistics.mrmc import ReaderStudy, compare_arms, compare_model_per_class, compare_model_with_readers
from core.statistics.result import State
from core.statistics.scope import Scope
from tests.core.statistics.test_mrmc import labelled, simulated


def panel_and_model(seed: int, n_readers: int = 5) -> tuple[ReaderStudy, np.ndarray]:
    """A panel of readers and the ratings of a model for the same cases."""
    study = simulated(seed, n_readers=n_readers + 1, n_cases=40, n_arms=1)
    assert study.ratings is not None
    return (
        ReaderStudy.from_dense(study.truth, ratings=study.ratings[0][:, 1:], classes=(0, 1)),
        study.ratings[0][0, 0],
    )


@given(seed=st.integers(0, 10_000), covariance=st.sampled_from(["jackknife", "delong", "unbiased"]))
@settings(max_examples=25, deadline=None)
def test_equals_two_arms_in_which_the_model_stands_for_every_reader(seed: int, covariance: str) -> None:
    """Kooi et al. 2016: the two formulations give the same statistic, degrees of freedom and p value."""
    panel, model = panel_and_model(seed)
    assert panel.ratings is not None
    both = np.concatenate([np.broadcast_to(model, (1, 5, 40)), panel.ratings[0]])
    two_arms = compare_arms(ReaderStudy.from_dense(panel.truth, ratings=both, classes=(0, 1)), covariance=covariance)
    found = compare_model_with_readers(panel, model_ratings=model, covariance=covariance)
    for scope in Scope:
        expected, test = two_arms.scope(scope).contrasts[0].test, found.scope(scope).test
        assert test.difference is not None
        assert expected.difference is not None
        assert test.difference.value == pytest.approx(expected.difference.value, abs=1e-12)
        if scope is Scope.FRRC:  # Var - Cov1 + (r - 1)(Cov2 - Cov3) is the same average of covariances
            assert test.difference.standard_error == pytest.approx(expected.difference.standard_error, rel=1e-8)
            continue
        assert test.statistic == pytest.approx(expected.statistic, rel=1e-8, abs=1e-12)
        assert test.degrees_of_freedom == pytest.approx(expected.degrees_of_freedom, rel=1e-7)
        assert test.p_value == pytest.approx(expected.p_value, rel=1e-7)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_one_reader_is_delongs_paired_test(seed: int) -> None:
    panel, model = panel_and_model(seed, n_readers=1)
    assert panel.ratings is not None
    components = delong_components(panel.truth == 1, np.vstack([model, panel.ratings[0, 0]]))
    covariance = components.covariance()
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = compare_model_with_readers(panel, model_ratings=model, covariance="delong")
    test = found.scope("FRRC").test
    assert test.statistic == pytest.approx((components.auc[0] - components.auc[1]) / error, rel=1e-10)
    assert found.reader_contrasts[0].test.p_value == pytest.approx(test.p_value, rel=1e-10)
    assert found.scope("RRRC").test.state is State.UNDEFINED
    margin = found.non_inferiority(0.1, "RRRC")
    assert margin.is_shown is None
    assert margin.test.state is State.UNDEFINED
    assert found.cov2 is None


def test_fixed_cases_are_a_one_sample_t_test() -> None:
    panel, model = panel_and_model(2)
    found = compare_model_with_readers(panel, model_ratings=model)
    differences = found.model_figure.value - found.reader_values
    expected = stats.ttest_1samp(differences, 0.0)
    test = found.scope("RRFC").test
    assert test.statistic == pytest.approx(expected.statistic)
    assert test.p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("scope", list(Scope))
def test_margin_tests_agree_with_the_interval(scope: Scope) -> None:
    """The one-sided test at 2.5% and the 95% interval say the same."""
    for seed in range(12):
        panel, model = panel_and_model(seed)
        found = compare_model_with_readers(panel, model_ratings=model)
        difference = found.scope(scope).test.difference
        assert difference is not None
        assert difference.lower is not None
        for margin in (0.02, 0.1, 0.3):
            assert found.non_inferiority(margin, scope).is_shown == (difference.wald_lower > -margin)
        assert found.superiority(0.0, scope).is_shown == (difference.wald_lower > 0)
        assert found.superiority(0.05, scope).is_shown == (difference.wald_lower > 0.05)
        assert found.non_inferiority(0.1, scope).test.alternative == "greater"


def test_model_equal_to_every_reader_differs_by_zero() -> None:
    panel, model = panel_and_model(3)
    copies = ReaderStudy.from_dense(panel.truth, ratings=np.tile(model, (1, 4, 1)), classes=(0, 1))
    found = compare_model_with_readers(copies, model_ratings=model)
    for scope in found.scopes:
        assert scope.test.difference is not None
        assert scope.test.difference.value == pytest.approx(0.0, abs=1e-15)
        assert scope.test.p_value is None
        assert scope.test.state is State.DEGENERATE
    assert found.non_inferiority(0.05).is_shown is None


def test_several_classes_labels_and_arms() -> None:
    study = labelled(5)
    rng = np.random.default_rng(1)
    probabilities = rng.random((4, 60)) + 2 * np.eye(4)[study.truth].T
    labels = probabilities.argmax(axis=0)
    with pytest.raises(StatisticsInputError, match="arm"):
        compare_model_with_readers(study, model_ratings=probabilities)
    model = {"model_ratings": probabilities, "model_labels": labels, "arm": "arm 2"}
    accuracy = compare_model_with_readers(study, figure="accuracy", **model)
    assert accuracy.model_figure.value == pytest.approx((labels == study.truth).mean())
    assert study.labels is not None
    np.testing.assert_allclose(accuracy.reader_values, (study.labels[1] == study.truth).mean(axis=1))
    results = compare_model_per_class(study, figure="auc", **model)
    assert [item.class_key for item in results] == [None, 0, 1, 2, 3]
    assert all(item.result is not None for item in results)
    one = results[2].result
    assert one is not None
    assert one.model_figure.value == pytest.approx(delong_components(study.truth == 1, probabilities[1]).auc[0])
    assert results[2].p_holm[Scope.RRRC] is not None


def test_readers_outside_the_arm_take_no_part() -> None:
    study = simulated(4, n_readers=5, n_cases=30)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    ratings[0, 2] = np.nan
    model = ratings[1, 0]
    partial = ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1))
    found = compare_model_with_readers(partial, model_ratings=model, arm="arm 1")
    assert found.readers == ("reader 1", "reader 2", "reader 4", "reader 5")


def test_missing_readings_are_counted() -> None:
    panel, model = panel_and_model(6)
    assert panel.ratings is not None
    ratings = panel.ratings[0].copy()
    ratings[0, 1, 5] = np.nan
    incomplete = ReaderStudy.from_dense(panel.truth, ratings=ratings, classes=(0, 1))
    found = compare_model_with_readers(incomplete, model_ratings=model, covariance="delong")
    assert found.n_readings_missing == 1
    assert any("1 readings are missing" in note for note in found.notes)
    assert found.scope("RRRC").test.p_value is not None


def test_hard_labels_beside_ratings_carry_a_warning() -> None:
    panel, model = panel_and_model(7)
    assert panel.ratings is not None
    ratings = panel.ratings[0].copy()
    ratings[0, 1] = ratings[0, 1] > 2
    hard = ReaderStudy.from_dense(panel.truth, ratings=ratings, classes=(0, 1))
    assert any("hard-label" in note for note in compare_model_with_readers(hard, model_ratings=model).notes)
    assert not any("hard-label" in note for note in compare_model_with_readers(panel, model_ratings=model).notes)


def test_model_may_have_a_readers_name() -> None:
    panel, model = panel_and_model(8)
    found = compare_model_with_readers(panel, model="reader 1", model_ratings=model)
    assert found.model == "reader 1"
    assert found.readers[0] == "reader 1"


def test_bad_arguments_are_named() -> None:
    panel, model = panel_and_model(9)
    found = compare_model_with_readers(panel, model_ratings=model)
    for margin in (0.0, -0.1, 1.0):
        with pytest.raises(StatisticsInputError, match="margin"):
            found.non_inferiority(margin)
    with pytest.raises(StatisticsInputError, match="scope"):
        found.superiority(0.0, "everyone")
    with pytest.raises(StatisticsInputError, match="model_ratings"):
        compare_model_with_readers(panel, model_ratings=model[:-1])
    with pytest.raises(StatisticsInputError, match="in common"):
        compare_model_with_readers(panel, model_labels=model)
    with pytest.raises(StatisticsInputError, match="arm"):
        compare_model_with_readers(panel, model_ratings=model, arm="aided")
    few = np.where(np.arange(40) < 39, np.nan, model)
    with pytest.raises(UndefinedStatisticError, match="model"):
        compare_model_with_readers(panel, model_ratings=few)


def test_matched_is_the_same_where_every_reader_read_every_case():
    rng = np.random.default_rng(5)
    truth = np.arange(60) % 2 == 1
    study = ReaderStudy.from_dense(truth, ratings=rng.normal(size=(1, 4, 60)) + truth)
    model = rng.normal(size=60) + 1.5 * truth
    one, two = (compare_model_with_readers(study, model_ratings=model, is_matched=way) for way in (False, True))
    for scope in ("RRRC", "FRRC", "RRFC"):
        assert one.scope(scope).test.p_value == pytest.approx(two.scope(scope).test.p_value, rel=1e-9)
        assert one.scope(scope).panel.upper == pytest.approx(two.scope(scope).panel.upper, rel=1e-9)
    assert one.model_figure.standard_error == pytest.approx(two.model_figure.standard_error, rel=1e-9)
    assert one.notes == two.notes


def test_matched_readers_of_their_own_cases_are_independent_pairs():
    """Two readers without a common case: the variance of the mean difference is a quarter of the sum of DeLong's."""
    rng = np.random.default_rng(6)
    truth = np.arange(80) % 2 == 1
    ratings = rng.normal(size=(1, 2, 80)) + truth
    ratings[0, 0, 40:] = ratings[0, 1, :40] = np.nan
    model = rng.normal(size=80) + 1.5 * truth
    study = ReaderStudy.from_dense(truth, ratings=ratings)
    found = compare_model_with_readers(study, model_ratings=model, covariance="delong", is_matched=True)
    halves = [
        compare_aucs_paired(truth[part], model[part], ratings[0, reader, part]).difference
        for reader, part in enumerate((slice(0, 40), slice(40, 80)))
    ]
    difference = found.scope("FRRC").test.difference
    assert difference.value == pytest.approx(np.mean([half.value for half in halves]))
    assert difference.standard_error**2 == pytest.approx(sum(half.standard_error**2 for half in halves) / 4)
