"""Non-inferiority and equivalence: test and interval agree, and a wider margin never hurts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics import (
    Estimate,
    PairedCounts,
    assess_margin,
    assess_margin_auc,
    assess_margin_paired,
    assess_margin_unpaired,
    compare_aucs_paired,
)
from tests.core.statistics.strategies import quick

cells = st.builds(PairedCounts, st.integers(1, 40), st.integers(0, 15), st.integers(0, 15), st.integers(0, 20))


@quick
@given(cells, st.floats(0.02, 0.5), st.sampled_from(["non-inferiority", "equivalence"]))
def test_paired_verdict_agrees_with_the_interval(counts, margin, goal):
    verdict = assess_margin_paired(counts, margin, goal=goal)
    lower, upper = verdict.difference.lower, verdict.difference.upper
    if min(abs(lower + margin), abs(upper - margin)) < 1e-9:
        return
    inside = lower > -margin and (goal == "non-inferiority" or upper < margin)
    assert verdict.is_shown == inside
    assert verdict.is_shown == (verdict.p_value < 0.025)


@quick
@given(st.integers(5, 60), st.integers(5, 60), st.data(), st.floats(0.02, 0.5))
def test_unpaired_verdict_agrees_with_the_interval(n1, n2, data, margin):
    x1, x2 = data.draw(st.integers(1, n1 - 1)), data.draw(st.integers(1, n2 - 1))
    verdict = assess_margin_unpaired(x1, n1, x2, n2, margin)
    if abs(verdict.difference.lower + margin) > 1e-9:
        assert verdict.is_shown == (verdict.difference.lower > -margin)


@quick
@given(cells)
def test_a_wider_margin_never_hurts_and_equivalence_is_harder(counts):
    p = [assess_margin_paired(counts, margin).p_value for margin in (0.05, 0.1, 0.2)]
    assert p[0] >= p[1] - 1e-12
    assert p[1] >= p[2] - 1e-12
    assert assess_margin_paired(counts, 0.1, goal="equivalence").p_value >= p[1] - 1e-12


def test_no_significant_difference_is_not_equivalence():
    """Twenty cases, equal accuracy: p = 1 for a difference, and equivalence within 0.1 is not shown."""
    verdict = assess_margin_paired(PairedCounts(10, 3, 3, 4), 0.1, goal="equivalence")
    assert verdict.is_shown is False
    assert verdict.p_value > 0.1


def test_auc_margin_is_delongs_z_moved_by_the_margin():
    rng = np.random.default_rng(0)
    truth = np.arange(100) < 50
    one, two = rng.normal(size=(2, 100)) + 1.5 * truth
    verdict = assess_margin_auc(truth, one, two, 0.1)
    difference = compare_aucs_paired(truth, one, two).difference
    assert verdict.p_value == pytest.approx(stats.norm.sf((difference.value + 0.1) / difference.standard_error))
    assert verdict.difference.lower == pytest.approx(difference.wald_lower)


def test_students_t_is_used_with_degrees_of_freedom():
    estimate = Estimate(0.01, 0.03, -1.0, 1.0, 0.95, "Obuchowski-Rockette")
    verdict = assess_margin(estimate, 0.05, degrees_of_freedom=7.5)
    assert verdict.p_value == pytest.approx(stats.t.sf(2.0, 7.5))
    assert verdict.difference.lower == pytest.approx(0.01 - 0.03 * stats.t.isf(0.025, 7.5))
    assert verdict.difference.confidence_level == pytest.approx(0.95)
    two_sided = assess_margin(estimate, 0.05, goal="equivalence")
    assert two_sided.p_value == pytest.approx(stats.norm.sf(0.04 / 0.03))


def test_what_cannot_be_tested_has_no_verdict():
    nothing = assess_margin(Estimate(1.0, None, None, None, 0.95, "DeLong", reason="no variance"), 0.05)
    assert (nothing.is_shown, nothing.p_value, nothing.reason) == (None, None, "no variance")
    assert assess_margin_auc([1, 1], [1, 2], [2, 1], 0.05).is_shown is None
    assert assess_margin_paired(PairedCounts(0, 0, 0, 0), 0.05).is_shown is None


@pytest.mark.parametrize(
    ("margin", "options", "message"),
    [
        (0.0, {}, "margin"),
        (-0.1, {}, "margin"),
        (float("nan"), {}, "margin"),
        (0.1, {"goal": "superiority"}, "unknown goal"),
        (0.1, {"alpha": 0.5}, "alpha"),
    ],
)
def test_bad_margins_are_refused(margin, options, message):
    with pytest.raises(StatisticsInputError, match=message):
        assess_margin_paired(PairedCounts(5, 1, 1, 5), margin, **options)
