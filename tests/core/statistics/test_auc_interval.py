"""AUC intervals: the named states, the exact bound, clusters, and coverage in a small seeded simulation."""

import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics import State, auc_binomial_exact, auc_clustered, auc_estimate, delong_components, hard_label_auc
from tests.core.statistics.strategies import quick, rated_cases

INTERVALS = ("logit-delong", "delong", "bootstrap", "bootstrap-bca", "binomial-exact")


def study(n_positive=40, n_negative=60, shift=1.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n_positive + n_negative) < n_positive
    return truth, rng.normal(size=truth.size) + shift * truth


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_encloses_the_auc(interval):
    truth, rating = study()
    estimate = auc_estimate(truth, rating, interval=interval, rng=np.random.default_rng(1), n_replicates=2000)
    assert 0.0 < estimate.lower < estimate.value < estimate.upper < 1.0
    assert estimate.state is State.ESTIMATED
    assert estimate.n == 100


@quick
@given(rated_cases())
def test_the_logit_interval_mirrors_with_negated_ratings(cases):
    truth, (rating,) = cases
    plain, mirrored = auc_estimate(truth, rating), auc_estimate(truth, -rating)
    assert mirrored.value == pytest.approx(1.0 - plain.value)
    assert mirrored.state is plain.state
    if plain.lower is not None:
        assert (mirrored.lower, mirrored.upper) == pytest.approx((1.0 - plain.upper, 1.0 - plain.lower))


@quick
@given(rated_cases())
def test_no_state_hides_behind_zero_or_nan(cases):
    truth, (rating,) = cases
    estimate = auc_estimate(truth, rating)
    numbers = [estimate.value, estimate.standard_error, estimate.lower, estimate.upper]
    assert all(number is None or np.isfinite(number) for number in numbers)
    assert estimate.standard_error is None or estimate.standard_error > 0.0
    assert (estimate.standard_error is None) == (estimate.state is State.DEGENERATE) == bool(estimate.reason)


@pytest.mark.parametrize("interval", ["logit-delong", "delong", "bootstrap", "bootstrap-bca"])
def test_an_auc_of_one_has_an_exact_one_sided_bound(interval):
    estimate = auc_estimate([0] * 7 + [1] * 5, range(12), interval=interval, rng=np.random.default_rng(0))
    assert (estimate.value, estimate.upper, estimate.standard_error) == (1.0, 1.0, None)
    assert estimate.state is State.DEGENERATE
    assert estimate.lower == pytest.approx(0.05 ** (1 / 5))
    assert "one-sided 95% bound" in estimate.notes[0]
    mirrored = auc_estimate([0] * 7 + [1] * 5, range(12, 0, -1))
    assert (mirrored.value, mirrored.lower) == (0.0, 0.0)
    assert mirrored.upper == pytest.approx(1.0 - 0.05 ** (1 / 5))


def test_the_exact_bound_keeps_its_level():
    """When the true AUC is just below the bound, samples with AUC = 1 may come up in at most 5%."""
    bound, rng = 0.05 ** (1 / 4), np.random.default_rng(6)
    shift = np.sqrt(2.0) * stats.norm.ppf(bound - 1e-3)
    positive, negative = rng.normal(shift, size=(4000, 4)), rng.normal(size=(4000, 4))
    assert np.mean(positive.min(axis=1) > negative.max(axis=1)) < 0.05


@pytest.mark.parametrize(
    ("truth", "rating", "state", "reason"),
    [
        ([1, 1, 1], [1, 2, 3], State.UNDEFINED, "No case is negative"),
        ([0, 0, 0], [1, 2, 3], State.UNDEFINED, "No case is positive"),
        ([1, 0, 0, 0], [2, 1, 2, 3], State.DEGENERATE, "Only one case is positive"),
        ([1, 1, 1, 0], [2, 1, 2, 3], State.DEGENERATE, "highest|higher"),
        ([1, 1, 0, 0], [2, 2, 2, 2], State.DEGENERATE, "do not differ"),
    ],
)
def test_what_the_data_do_not_define_is_a_named_state(truth, rating, state, reason):
    estimate = auc_estimate(truth, rating)
    assert estimate.state is state
    assert any(word in estimate.reason for word in reason.split("|"))
    assert estimate.standard_error is None
    assert (estimate.value is None) == (state is State.UNDEFINED)


def test_binomial_exact_is_clopper_pearson_of_a_whole_number():
    estimate = auc_binomial_exact(0.95, 200)
    interval = stats.binomtest(190, 200).proportion_ci(method="exact")
    assert (estimate.lower, estimate.upper) == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert "too narrow" in estimate.notes[0]
    assert auc_binomial_exact(1.0, 10).upper == 1.0
    assert auc_binomial_exact(0.0, 10).lower == 0.0
    assert auc_binomial_exact(0.5, 0).state is State.UNDEFINED
    with pytest.raises(StatisticsInputError, match="value"):
        auc_binomial_exact(1.2, 10)


def test_the_papers_reader_interval_is_reproduced():
    """Zhao et al. 2023, Table 4, junior physician, Graves: 0.880 (0.849, 0.907) from 110/130 and 351/384."""
    truth = np.arange(514) < 130
    called = (np.arange(514) < 110) | (np.arange(514) >= 514 - 33)
    estimate = hard_label_auc(truth, called, interval="binomial-exact")
    assert estimate.value == pytest.approx((110 / 130 + 351 / 384) / 2)
    assert (round(estimate.lower, 3), round(estimate.upper, 3)) == (0.849, 0.907)
    assert any("hard labels" in note for note in estimate.notes)


def test_hard_labels_are_called_balanced_accuracy():
    truth, rating = study()
    estimate = hard_label_auc(truth, rating > 0.5)
    assert "balanced accuracy" in estimate.notes[0]
    assert auc_estimate(truth, rating).notes == ()


def test_clustered_with_one_case_a_patient_is_delong():
    truth, rating = study()
    clustered = auc_clustered(truth, rating, range(100))
    assert clustered.standard_error == pytest.approx(
        np.sqrt(delong_components(truth, rating).covariance()[0, 0]), rel=1e-12
    )


def test_copies_of_a_case_do_not_narrow_the_clustered_interval():
    truth, rating = study(20, 30)
    single = auc_clustered(truth, rating, range(50))
    copied = auc_clustered(np.repeat(truth, 3), np.repeat(rating, 3), np.repeat(np.arange(50), 3))
    assert copied.value == pytest.approx(single.value)
    assert copied.standard_error == pytest.approx(single.standard_error, rel=1e-10)


def test_patients_with_both_kinds_of_cases_lower_the_variance():
    """A shared patient effect cancels when positive and negative cases come from the same patients."""
    rng = np.random.default_rng(3)
    effect = rng.normal(size=40) * 3.0
    truth = np.tile([True, False], 40)
    rating = np.repeat(effect, 2) + rng.normal(size=80) * 0.3 + 0.5 * truth
    assert auc_clustered(truth, rating, np.repeat(np.arange(40), 2)).standard_error < 0.5 * (
        auc_estimate(truth, rating).standard_error
    )


def test_clustered_edge_states():
    assert auc_clustered([1, 1], [1, 2], ["a", "b"]).state is State.UNDEFINED
    assert auc_clustered([1, 1, 0, 0], [1, 3, 2, 0], ["a", "a", "b", "b"]).state is State.DEGENERATE
    perfect = auc_clustered([1, 1, 0, 0], [3, 4, 1, 2], ["a", "a", "b", "b"])
    assert (perfect.value, perfect.lower, perfect.state) == (1.0, None, State.DEGENERATE)


def test_bad_arguments_are_refused():
    truth, rating = study()
    with pytest.raises(StatisticsInputError, match="interval"):
        auc_estimate(truth, rating, interval="wald")
    with pytest.raises(StatisticsInputError, match="rng"):
        auc_estimate(truth, rating, interval="bootstrap")
    with pytest.raises(StatisticsInputError, match="rng"):
        auc_estimate(truth, rating, interval="bootstrap", rng=5)
    with pytest.raises(StatisticsInputError, match="one curve"):
        auc_estimate(truth, [rating, rating])
    with pytest.raises(StatisticsInputError, match="patients"):
        auc_clustered(truth, rating, [1, 2])


def test_coverage_for_hard_labels_shows_why_delong_logit_is_the_default():
    """120 positive and 394 negative cases, sensitivity 0.82, specificity 0.97; 600 seeded studies."""
    rng = np.random.default_rng(42)
    true_auc, n_studies = (0.82 + 0.97) / 2, 600
    truth = np.arange(514) < 120
    covered = {"logit-delong": 0, "binomial-exact": 0}
    for _ in range(n_studies):
        called = np.where(truth, rng.random(514) < 0.82, rng.random(514) < 0.03)
        for interval in covered:
            estimate = hard_label_auc(truth, called, interval=interval)
            covered[interval] += estimate.lower <= true_auc <= estimate.upper
    assert 0.93 < covered["logit-delong"] / n_studies < 0.975
    assert covered["binomial-exact"] / n_studies < 0.91
