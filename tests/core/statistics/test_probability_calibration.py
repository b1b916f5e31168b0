"""Calibration of probabilities: agreement with scikit-learn, statsmodels and closed forms; honest intervals."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special, stats
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from core.errors import StatisticsInputError
from core.statistics import (
    State,
    brier_score,
    brier_score_multiclass,
    expected_calibration_error,
    logistic_recalibration,
    mean_over_cases,
    reliability_bins,
)


def drawn(seed, n=400, slope=1.0, shift=0.0):
    """Probabilities and truth; calibrated when slope is 1 and shift 0."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1.2, 1.5, size=n)
    return rng.random(n) < special.expit(shift + slope * special.logit(probability)), probability


def test_brier_score_equals_scikit_learn_and_its_error_that_of_a_mean():
    truth, probability = drawn(1)
    found = brier_score(truth, probability)
    assert found.value == pytest.approx(brier_score_loss(truth, probability), rel=1e-12)
    errors = (probability - truth) ** 2
    assert found.standard_error == pytest.approx(errors.std(ddof=1) / 20.0, rel=1e-12)
    half = stats.t.isf(0.025, 399) * found.standard_error / (found.value * (1.0 - found.value))
    assert found.lower == pytest.approx(special.expit(special.logit(found.value) - half), rel=1e-10)
    assert found.upper == pytest.approx(special.expit(special.logit(found.value) + half), rel=1e-10)
    assert found.n == 400


def test_brier_score_of_two_classes_is_twice_that_of_one():
    truth, probability = drawn(2)
    both = brier_score_multiclass(truth.tolist(), np.column_stack([1.0 - probability, probability]), [False, True])
    one = brier_score(truth, probability)
    assert both.value == pytest.approx(2.0 * one.value)
    assert both.upper == pytest.approx(2.0 * one.upper)


def test_multiclass_brier_score_by_hand():
    found = brier_score_multiclass(["a", "c"], [[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]], "abc")
    assert found.value == pytest.approx((0.09 + 0.04 + 0.01 + 0.01 + 0.25 + 0.36) / 2.0)


def test_a_case_twice_in_one_patient_says_nothing_new():
    truth, probability = drawn(3, n=60)
    patients = np.repeat(np.arange(60), 2)
    twice = np.repeat(truth, 2), np.repeat(probability, 2)
    for measure in (brier_score, expected_calibration_error):
        once, clustered = measure(truth, probability), measure(*twice, patients=patients)
        assert (clustered.value, clustered.upper) == pytest.approx((once.value, once.upper))
        assert clustered.lower == pytest.approx(once.lower)
    once, clustered = logistic_recalibration(truth, probability), logistic_recalibration(*twice, patients=patients)
    assert clustered.slope.value == pytest.approx(once.slope.value)
    assert clustered.slope.standard_error == pytest.approx(once.slope.standard_error, rel=0.35)
    bins = reliability_bins(*twice, patients=patients)
    assert all("count as" in part.observed.notes[0] for part in bins if 0 < part.observed.value < 1)


@pytest.mark.parametrize(("rule", "peer"), [("equal-width", "uniform"), ("equal-count", "quantile")])
def test_reliability_bins_equal_scikit_learn(rule, peer):
    truth, probability = drawn(4)
    bins = reliability_bins(truth, probability, n_bins=8, rule=rule)
    share, mean = calibration_curve(truth, probability, n_bins=8, strategy=peer)
    assert [part.observed.value for part in bins] == pytest.approx(share.tolist())
    assert [part.mean_probability for part in bins] == pytest.approx(mean.tolist())
    assert sum(part.observed.n for part in bins) == 400
    assert all(part.lower <= part.mean_probability <= part.upper for part in bins)
    assert all(part.observed.lower <= part.observed.value <= part.observed.upper for part in bins)


def test_edges_do_not_depend_on_binary_fractions():
    """0.3 and 0.7 open the fourth and the eighth of ten bins, and ties are never parted."""
    bins = reliability_bins([True, False, True, False], [0.3, 0.7, 0.3, 1.0])
    assert [(part.lower, part.observed.n) for part in bins] == [
        (pytest.approx(0.3), 2),
        (pytest.approx(0.7), 1),
        (0.9, 1),
    ]
    assert len(reliability_bins([True, False, True], [0.5, 0.5, 0.5], rule="equal-count")) == 1


def test_expected_calibration_error_by_its_definition():
    truth, probability = drawn(5, slope=0.5)
    place = np.floor(probability * 10)
    wanted = sum(
        abs(np.mean(probability[place == b] - truth[place == b])) * np.mean(place == b) for b in np.unique(place)
    )
    found = expected_calibration_error(truth, probability)
    assert found.value == pytest.approx(wanted)
    assert "10 bins of equal width" in found.method
    order = np.random.default_rng(0).permutation(400)
    assert expected_calibration_error(truth[order], probability[order]).upper == pytest.approx(found.upper)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.8)])
def test_interval_of_the_calibration_error_covers(slope, shift):
    """The true error by a large sample; 95% and 300 studies leave room for 0.92."""
    truth, probability = drawn(6, n=400_000, slope=slope, shift=shift)
    true = expected_calibration_error(truth, probability).value if slope != 1.0 or shift else 0.0
    hits = 0
    for seed in range(300):
        found = expected_calibration_error(*drawn(100 + seed, n=300, slope=slope, shift=shift))
        hits += found.lower <= true <= found.upper
    assert hits / 300 >= 0.92


def test_recalibration_equals_scikit_learn_and_statsmodels():
    truth, probability = drawn(7, slope=0.6, shift=0.3)
    found = logistic_recalibration(truth, probability)
    logit = special.logit(probability)[:, None]
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, truth)
    assert found.slope.value == pytest.approx(float(peer.coef_[0, 0]), rel=1e-5)
    assert found.intercept.value == pytest.approx(float(peer.intercept_[0]), abs=1e-5)
    logistic = sm.Logit(truth.astype(float), sm.add_constant(logit)).fit(disp=0)
    assert found.slope.standard_error == pytest.approx(logistic.bse[1], rel=1e-6)
    assert (found.slope.lower, found.slope.upper) == pytest.approx(tuple(logistic.conf_int()[1]), rel=1e-6)
    assert found.test.statistic == pytest.approx(
        float(np.squeeze(logistic.wald_test((np.eye(2), np.array([0.0, 1.0])), scalar=True).statistic)), rel=1e-6
    )
    assert found.test.p_value < 0.001


def test_calibration_in_the_large_in_closed_form():
    """All probabilities equal: the intercept is a difference of logits, its variance 1 / (n p (1 - p))."""
    truth = np.arange(50) < 15
    found = logistic_recalibration(truth, np.full(50, 0.5))
    assert found.in_the_large.value == pytest.approx(special.logit(0.3))
    assert found.in_the_large.standard_error == pytest.approx(1.0 / np.sqrt(50 * 0.3 * 0.7))
    assert found.slope.state is State.UNDEFINED
    assert found.slope.reason == "All probabilities are equal, so there is no slope."


@pytest.mark.parametrize("seed", range(40))
def test_recalibration_solves_its_equations_however_sure_the_probabilities_are(seed):
    """Least squares from zero gave -2e15 here, without a word; the fit and its errors are held against calculus."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 40))
    truth = np.arange(n) < max(2, n // 5)
    logit = rng.normal(0.0, rng.choice([1.0, 10.0, 30.0]), n) + (truth - 0.5) * rng.choice([0.0, 2.0, 10.0])
    probability = np.clip(special.expit(logit), 1e-7, 1.0 - 1e-7)
    logit = special.logit(probability)
    found = logistic_recalibration(truth, probability)
    assert np.sum(special.expit(found.in_the_large.value + logit) - truth) == pytest.approx(0.0, abs=1e-6)
    if found.slope.state is not State.UNDEFINED:
        share = special.expit(found.intercept.value + found.slope.value * logit)
        design = np.column_stack([np.ones(n), logit])
        assert design.T @ (share - truth) == pytest.approx(np.zeros(2), abs=1e-5)
        covariance = np.linalg.inv((design.T * (share * (1.0 - share))) @ design)
        errors = [found.intercept.standard_error, found.slope.standard_error]
        assert errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-4)


def test_clustered_errors_are_the_sandwich():
    truth, probability = drawn(8, n=200)
    patients = np.arange(200) // 4
    found = logistic_recalibration(truth, probability, patients=patients)
    design = np.column_stack([np.ones(200), special.logit(probability)])
    fitted = special.expit(design @ [found.intercept.value, found.slope.value])
    bread = np.linalg.inv(design.T @ (design * (fitted * (1.0 - fitted))[:, None]))
    score = np.zeros((50, 2))
    np.add.at(score, patients, design * (truth - fitted)[:, None])
    covariance = bread @ score.T @ score @ bread * 50 / 49 * 199 / 198
    assert found.slope.standard_error == pytest.approx(np.sqrt(covariance[1, 1]), rel=1e-5)


def test_what_has_no_slope_says_why():
    assert "exactly 0 or 1" in logistic_recalibration([True, False], [1.0, 0.4]).slope.reason
    assert "part positive" in logistic_recalibration([True, False], [0.7, 0.4]).slope.reason
    assert "No case is negative" in logistic_recalibration([True, True], [0.7, 0.4]).in_the_large.reason
    assert "patients" in logistic_recalibration(*drawn(9, n=20), patients=["a"] * 20).slope.reason
    truth, probability = drawn(10)
    probability[:3] = 0.0, 1.0, 1.0
    cut = logistic_recalibration(truth, probability, smallest=0.001)
    assert cut.slope.state is State.ESTIMATED
    assert cut.slope.notes == ("3 probabilities were cut to 0.001 and 0.999",)


def test_scores_that_are_no_probabilities_are_refused():
    for measure in (brier_score, expected_calibration_error, reliability_bins, logistic_recalibration):
        with pytest.raises(StatisticsInputError, match="no probability at position 1"):
            measure([True, False], [0.5, 3.0])
    with pytest.raises(StatisticsInputError, match="case 0, class b"):
        brier_score_multiclass(["a"], [[0.5, 1.5]], "ab")
    with pytest.raises(StatisticsInputError, match="n_bins"):
        reliability_bins([True], [0.5], n_bins=0)
    with pytest.raises(StatisticsInputError, match="one curve"):
        brier_score([True, False], [[0.5, 0.4], [0.1, 0.2]])


def test_a_mean_without_variance_keeps_its_value():
    assert mean_over_cases([0.5, 0.5], limits=(0.0, 1.0), name="x").state is State.DEGENERATE
    assert brier_score([True], [0.5]).state is State.DEGENERATE
    assert mean_over_cases([], limits=(0.0, 1.0), name="x").state is State.UNDEFINED
