"""Net benefit: its definition, its variance in closed form, and its limits within the range."""

import numpy as np
import pytest

from core.errors import StatisticsInputError
from core.statistics import State, decision_curve, net_benefit


def drawn(seed, n=200):
    rng = np.random.default_rng(seed)
    probability = rng.random(n)
    return rng.random(n) < probability, probability


def test_net_benefit_and_its_variance_by_definition():
    truth, probability = drawn(1)
    called, weight = probability >= 0.3, 0.3 / 0.7
    hit, false_alarm = np.mean(called & truth), np.mean(called & ~truth)
    found = net_benefit(truth, called, 0.3)
    assert found.value == pytest.approx(hit - weight * false_alarm)
    variance = (hit + weight**2 * false_alarm - found.value**2) / 199.0
    assert found.standard_error == pytest.approx(np.sqrt(variance))


def test_curve_meets_everybody_and_nobody_at_its_ends():
    truth, probability = drawn(2)
    first, last = decision_curve(truth, probability, thresholds=(1e-6, 0.999999))
    assert first.model.value == pytest.approx(first.all_positive.value, abs=1e-9)
    assert first.all_positive.value == pytest.approx(truth.mean(), abs=1e-5)
    assert last.model.value == 0.0
    assert last.model.state is State.DEGENERATE
    middle = decision_curve(truth, probability)
    assert len(middle) == 19
    for point in middle:
        assert point.gain.value == pytest.approx(point.model.value - max(point.all_positive.value, 0.0))
        weight = point.threshold / (1.0 - point.threshold)
        assert -weight <= point.model.lower <= point.model.value <= point.model.upper <= 1.0


def test_interval_covers():
    """True net benefit of calls at 0.4 when probabilities are right: an integral; 300 studies leave room for 0.92."""
    true = (1.0 - 0.4**2) / 2.0 - 0.4 / 0.6 * (1.0 - 0.4) ** 2 / 2.0
    found = [net_benefit(truth, p >= 0.4, 0.4) for truth, p in (drawn(100 + seed, 60) for seed in range(300))]
    assert np.mean([one.lower <= true <= one.upper for one in found]) >= 0.92


def test_patients_with_the_same_case_twice():
    truth, probability = drawn(3, 50)
    once = net_benefit(truth, probability >= 0.5, 0.5)
    twice = net_benefit(np.repeat(truth, 2), np.repeat(probability >= 0.5, 2), 0.5, patients=np.arange(100) // 2)
    assert (twice.lower, twice.upper) == pytest.approx((once.lower, once.upper))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, True])
def test_thresholds_outside_are_refused(threshold):
    with pytest.raises(StatisticsInputError, match="threshold"):
        net_benefit([True, False], [True, False], threshold)
