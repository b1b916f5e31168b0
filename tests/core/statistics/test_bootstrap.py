"""The bootstrap: what is drawn, that presorting changes nothing, and what the intervals say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics import (
    State,
    auc,
    bootstrap_auc,
    bootstrap_auc_difference,
    bootstrap_estimate,
    bootstrap_reader_average,
    compare_aucs_paired,
    delong_components,
)
from core.statistics.bootstrap import CaseResampler, PresortedRatings
from tests.core.statistics.strategies import quick, rated_cases

TRUTH = np.arange(100) < 40
RATING = np.random.default_rng(5).normal(size=100) + TRUTH


def fresh():
    return np.random.default_rng(20230601)


@quick
@given(rated_cases(), st.integers(0, 1000))
def test_presorted_replicates_equal_sorting_again(study, seed):
    truth, (rating,) = study
    resampler = CaseResampler.build(truth.size, strata=truth.astype(int))
    counts = next(resampler.draw(20, np.random.default_rng(seed)))
    fast = PresortedRatings.build(truth, rating).auc(counts)
    slow = [auc(np.repeat(truth, row), np.repeat(rating, row)) for row in counts]
    np.testing.assert_allclose(fast, slow, atol=1e-14)
    assert fast[0] == pytest.approx(roc_auc_score(truth, rating, sample_weight=counts[0]), abs=1e-12)


@quick
@given(st.integers(0, 1000))
def test_every_replicate_has_the_studys_number_of_each_class(seed):
    resampler = CaseResampler.build(100, strata=TRUTH.astype(int))
    for counts in resampler.draw(50, np.random.default_rng(seed)):
        assert (counts[:, TRUTH].sum(axis=1) == 40).all()
        assert (counts[:, ~TRUTH].sum(axis=1) == 60).all()


def test_patients_come_whole_and_within_their_kind():
    patients = np.repeat(np.arange(40), 2)
    truth = np.concatenate([np.ones(20, bool), np.zeros(20, bool), np.tile([True, False], 20)])
    resampler = CaseResampler.build(80, strata=truth.astype(int), patients=patients)
    assert sorted(group.size for group in resampler.members) == [10, 10, 20]
    for counts in resampler.draw(30, fresh()):
        assert (counts[:, ::2] == counts[:, 1::2]).all()
        assert (counts[:, 40:].sum(axis=1) == 40).all()


def test_each_case_is_drawn_once_on_average():
    counts = np.concatenate(list(CaseResampler.build(100, strata=TRUTH.astype(int)).draw(4000, fresh())))
    assert counts.shape == (4000, 100)
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.1)
    assert counts.var(axis=0).mean() == pytest.approx(1.0, abs=0.05)


def test_the_seed_makes_the_interval_and_another_seed_another():
    one, two = (bootstrap_auc(TRUTH, RATING, rng=fresh(), n_replicates=500) for _ in range(2))
    assert one == two
    other = bootstrap_auc(TRUTH, RATING, rng=np.random.default_rng(1), n_replicates=500)
    assert other.lower != one.lower


def test_standard_error_is_near_delongs():
    estimate = bootstrap_auc(TRUTH, RATING, rng=fresh(), n_replicates=4000)
    assert estimate.value == auc(TRUTH, RATING)
    expected = np.sqrt(delong_components(TRUTH, RATING).covariance()[0, 0])
    assert estimate.standard_error == pytest.approx(expected, rel=0.08)


def test_difference_uses_the_same_draws_for_both_curves():
    second = RATING + np.random.default_rng(1).normal(size=100) * 0.2
    ours = bootstrap_auc_difference(TRUTH, RATING, second, rng=fresh(), n_replicates=4000)
    theirs = compare_aucs_paired(TRUTH, RATING, second).difference
    assert ours.value == pytest.approx(theirs.value)
    assert ours.standard_error == pytest.approx(theirs.standard_error, rel=0.1)
    same = bootstrap_auc_difference(TRUTH, RATING, np.exp(RATING), rng=fresh(), n_replicates=500)
    assert (same.value, same.state) == (0.0, State.DEGENERATE)


def test_bca_of_a_mean_agrees_with_scipy():
    data = np.random.default_rng(3).exponential(size=60)
    ours = bootstrap_estimate(lambda i: data[i].mean(), 60, rng=fresh(), n_replicates=20_000, interval="bca")
    theirs = stats.bootstrap((data,), np.mean, n_resamples=20_000, method="BCa", rng=fresh()).confidence_interval
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    plain = bootstrap_estimate(lambda i: data[i].mean(), 60, rng=fresh(), n_replicates=4000)
    assert ours.upper > plain.upper  # skewed to the right: BCa moves up


def test_bca_and_percentile_differ_for_a_high_auc():
    rating = RATING + 2.0 * TRUTH
    plain = bootstrap_auc(TRUTH, rating, rng=fresh(), n_replicates=4000)
    bca = bootstrap_auc(TRUTH, rating, rng=fresh(), n_replicates=4000, interval="bca")
    assert bca.lower < plain.lower


def test_copied_cases_of_a_patient_do_not_narrow_the_interval():
    plain = bootstrap_auc(TRUTH, RATING, rng=fresh(), n_replicates=2000)
    twice = bootstrap_auc(
        np.repeat(TRUTH, 2), np.repeat(RATING, 2), rng=fresh(), n_replicates=2000, patients=np.repeat(np.arange(100), 2)
    )
    assert twice.standard_error == pytest.approx(plain.standard_error, rel=0.08)


def test_reader_average_draws_readers_too():
    rng = np.random.default_rng(2)
    skill = np.linspace(0.2, 2.0, 6)[:, None]
    ratings = rng.normal(size=(6, 100)) + skill * TRUTH
    both = bootstrap_reader_average(TRUTH, ratings, rng=fresh(), n_replicates=800)
    cases = bootstrap_reader_average(TRUTH, ratings, rng=fresh(), n_replicates=800, resample_readers=False)
    assert both.value == cases.value == pytest.approx(np.mean(delong_components(TRUTH, ratings).auc))
    covariance = delong_components(TRUTH, ratings).covariance()
    assert cases.standard_error == pytest.approx(np.sqrt(covariance.mean()), rel=0.12)
    assert both.standard_error > 1.3 * cases.standard_error


def test_reader_average_of_two_arms_is_a_paired_difference():
    rng = np.random.default_rng(2)
    ratings = rng.normal(size=(5, 100)) + TRUTH
    same = bootstrap_reader_average(TRUTH, ratings, second=ratings, rng=fresh(), n_replicates=200)
    assert (same.value, same.state) == (0.0, State.DEGENERATE)
    aided = ratings + 0.5 * TRUTH
    gain = bootstrap_reader_average(TRUTH, aided, second=ratings, rng=fresh(), n_replicates=500)
    areas = [delong_components(TRUTH, arm).auc.mean() for arm in (aided, ratings)]
    assert gain.value == pytest.approx(areas[0] - areas[1])
    assert gain.lower > 0.0
    few = bootstrap_reader_average(TRUTH, ratings[:3], rng=fresh(), n_replicates=200)
    assert "fewer than five readers" in few.notes[0]


def test_undefined_replicates_are_left_out_and_counted():
    def mean_of_first(cases):
        if not (cases == 0).any():
            raise UndefinedStatisticError("The first case was not drawn.")
        return float(cases.mean())

    estimate = bootstrap_estimate(mean_of_first, 20, rng=fresh(), n_replicates=300)
    assert "of 300 replicates were not defined" in estimate.notes[0]
    never = bootstrap_estimate(lambda cases: float("nan"), 20, rng=fresh())
    assert never.state is State.UNDEFINED


def test_edge_states():
    assert bootstrap_auc([1, 1], [1, 2], rng=fresh()).state is State.UNDEFINED
    perfect = bootstrap_auc([0, 0, 1, 1], [1, 2, 3, 4], rng=fresh())
    assert (perfect.value, perfect.state, perfect.lower) == (1.0, State.DEGENERATE, None)
    assert bootstrap_reader_average([1, 1], [[1, 2], [2, 1]], rng=fresh()).state is State.UNDEFINED
    assert bootstrap_estimate(lambda cases: 1.0, 0, rng=fresh()).state is State.UNDEFINED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rng": 7}, "rng"),
        ({"rng": np.random.default_rng(0), "n_replicates": 10}, "n_replicates"),
        ({"rng": np.random.default_rng(0), "n_replicates": 1e4}, "n_replicates"),
        ({"rng": np.random.default_rng(0), "interval": "basic"}, "unknown interval"),
        ({"rng": np.random.default_rng(0), "patients": [1, 2]}, "patients"),
        ({"rng": np.random.default_rng(0), "confidence_level": 95}, "confidence_level"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(StatisticsInputError, match=message):
        bootstrap_auc(TRUTH, RATING, **options)


def test_bad_shapes_are_refused():
    with pytest.raises(StatisticsInputError, match="curve"):
        bootstrap_auc(TRUTH, [RATING, RATING], rng=fresh())
    with pytest.raises(StatisticsInputError, match="shape of ratings"):
        bootstrap_reader_average(TRUTH, [RATING, RATING], second=RATING, rng=fresh())
    with pytest.raises(StatisticsInputError, match="strata"):
        bootstrap_estimate(lambda cases: 1.0, 5, rng=fresh(), strata=[0, 1])


def test_a_single_positive_case_is_said():
    truth = np.arange(20) == 3
    rating = np.random.default_rng(0).normal(size=20)
    found = bootstrap_auc(truth, rating, rng=np.random.default_rng(1), n_replicates=200)
    assert any("single case" in note for note in found.notes)
    many = bootstrap_auc(np.arange(20) < 8, rating, rng=np.random.default_rng(1), n_replicates=200)
    assert many.notes == ()
