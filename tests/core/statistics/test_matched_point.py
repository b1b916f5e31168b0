"""A model at the readers' operating point: the curve's own reading, symmetry of the classes, and coverage."""

import numpy as np
import pytest
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics import (
    PairedCounts,
    State,
    compare_at_matched_point,
    difference_paired,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)


def drawn(seed, n_positive=60, n_negative=90, n_readers=1, sensitivity=0.7, specificity=0.85):
    """A model of separation 2 and readers, both seeing the same hard cases."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n_positive + n_negative) < n_positive
    shared = rng.normal(size=truth.size) * np.sqrt(0.5)
    model = shared + rng.normal(size=truth.size) * np.sqrt(0.5) + 2.0 * truth
    cut = np.where(truth, stats.norm.isf(sensitivity), stats.norm.isf(1.0 - specificity))
    calls = [shared + rng.normal(size=truth.size) * np.sqrt(0.5) > cut for _ in range(n_readers)]
    return truth, model, np.array(calls, dtype=float)


@pytest.mark.parametrize("n_readers", [1, 4])
def test_values_are_read_off_the_curve(n_readers):
    truth, model, calls = drawn(1, n_readers=n_readers)
    sensitivity, specificity = calls[:, truth].mean(), 1.0 - calls[:, ~truth].mean()
    found = compare_at_matched_point(truth, model, calls)
    assert found.matched_at == pytest.approx(specificity)
    assert found.model.value == pytest.approx(sensitivity_at_specificity(truth, model, specificity).value)
    assert found.difference.value == pytest.approx(found.model.value - sensitivity)
    other = compare_at_matched_point(truth, model, calls, match="sensitivity")
    assert other.matched_at == pytest.approx(sensitivity)
    assert other.model.value == pytest.approx(specificity_at_sensitivity(truth, model, sensitivity).value)
    assert other.difference.value == pytest.approx(other.model.value - specificity)


def test_classes_exchanged_ask_the_same_question():
    truth, model, calls = drawn(2)
    found = compare_at_matched_point(truth, model, calls, match="sensitivity")
    mirrored = compare_at_matched_point(~truth, -model, 1.0 - calls)
    assert (mirrored.difference.lower, mirrored.difference.upper) == pytest.approx(
        (found.difference.lower, found.difference.upper)
    )
    assert mirrored.threshold == pytest.approx(-found.threshold)


def test_the_interval_is_wider_than_with_the_threshold_taken_for_known():
    truth, model, calls = drawn(3)
    found = compare_at_matched_point(truth, model, calls)
    mine, theirs = model[truth] > found.threshold, calls[0, truth] == 1.0
    table = PairedCounts((mine & theirs).sum(), (mine & ~theirs).sum(), (~mine & theirs).sum(), (~mine & ~theirs).sum())
    known = difference_paired(table)
    assert found.difference.value == pytest.approx(known.value)
    assert found.difference.lower < known.lower
    assert found.difference.upper >= known.upper - 1e-12


def test_a_model_does_not_differ_from_its_own_calls():
    truth, model, _ = drawn(4)
    found = compare_at_matched_point(truth, model, model > 1.0)
    assert found.difference.value == 0.0
    assert found.difference.lower < 0.0 < found.difference.upper


@pytest.mark.parametrize("n_readers", [1, 4])
def test_interval_covers(n_readers):
    """True difference from the normal model: sensitivity of the model at specificity 0.85, minus 0.7."""
    true = stats.norm.sf(stats.norm.isf(0.15) - 2.0) - 0.7
    found = [compare_at_matched_point(*drawn(100 + seed, n_readers=n_readers)).difference for seed in range(300)]
    coverage = np.mean([one.lower <= true <= one.upper for one in found])
    assert coverage >= 0.92
    assert all(-1.0 <= one.lower <= one.value <= one.upper <= 1.0 for one in found)


def test_only_common_cases_count():
    truth, model, calls = drawn(5, n_readers=2)
    calls[0, :5], model[140:] = np.nan, np.nan
    found = compare_at_matched_point(truth, model, calls)
    assert (found.n_left_out, found.difference.n) == (15, 135)
    assert "15 cases" in found.difference.notes[0]
    kept = slice(5, 140)
    assert compare_at_matched_point(truth[kept], model[kept], calls[:, kept]).difference.lower == pytest.approx(
        found.difference.lower
    )


def test_patients_with_the_same_case_twice_are_one_case():
    truth, model, calls = drawn(6, n_readers=3)
    once = compare_at_matched_point(truth, model, calls).difference
    twice = compare_at_matched_point(
        np.repeat(truth, 2), np.repeat(model, 2), np.repeat(calls, 2, axis=1), patients=np.arange(300) // 2
    ).difference
    assert (twice.lower, twice.upper) == pytest.approx((once.lower, once.upper), abs=0.01)


def test_what_cannot_be_matched_says_why():
    truth, model, calls = drawn(7)
    assert "two values" in compare_at_matched_point(truth, model > 1, calls).difference.reason
    assert compare_at_matched_point(truth[:60], model[:60], calls[:, :60]).difference.state is State.UNDEFINED
    calls[0, 3] = 2.0
    with pytest.raises(StatisticsInputError, match="reader 0, case 3"):
        compare_at_matched_point(truth, model, calls)
    with pytest.raises(StatisticsInputError, match="shape"):
        compare_at_matched_point(truth, model, calls[:, :5])
