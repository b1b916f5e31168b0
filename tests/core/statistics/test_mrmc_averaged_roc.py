"""ROC curves averaged over readers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.delong import delong_components
from core.statistics.reader_averaged_roc import reader_averaged_roc
from core.statistics.roc import roc_curve


def panel(seed: int, n_readers: int = 4, n_cases: int = 30, steps: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Truth and tied ratings of readers who use the scale differently."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n_cases) % 3 == 0
    ratings = rng.integers(0, steps, (n_readers, n_cases)) + truth * rng.integers(0, 3, (n_readers, n_cases))
    return truth, ratings * rng.uniform(0.1, 3, (n_readers, 1))


@given(seed=st.integers(0, 10_000), direction=st.sampled_from(["vertical", "diagonal"]))
@settings(max_examples=40, deadline=None)
def test_area_is_the_mean_of_the_readers_aucs(seed: int, direction: str) -> None:
    truth, ratings = panel(seed)
    found = reader_averaged_roc(truth, ratings, direction=direction)
    assert found.area == pytest.approx(delong_components(truth, ratings).auc.mean(), rel=1e-12)
    assert (found.false_positive_rate[0], found.sensitivity[0]) == pytest.approx((0, 0))
    assert (found.false_positive_rate[-1], found.sensitivity[-1]) == pytest.approx((1, 1))
    assert (np.diff(found.false_positive_rate) >= -1e-12).all()
    assert (np.diff(found.sensitivity) >= -1e-12).all()


@pytest.mark.parametrize("direction", ["vertical", "diagonal"])
def test_average_of_one_reader_is_that_readers_curve(direction: str) -> None:
    """Every corner of the curve lies on the average: at its place along the diagonal both have the same height."""
    truth, ratings = panel(1, n_readers=1)
    found = reader_averaged_roc(truth, ratings, direction=direction)
    curve = roc_curve(truth, ratings[0])
    x, y = 1 - curve.specificity, curve.sensitivity
    along = found.false_positive_rate + found.sensitivity
    height = np.interp(x + y, along, found.sensitivity - found.false_positive_rate)
    np.testing.assert_allclose(height, y - x, atol=1e-12)


def test_two_readers_by_hand() -> None:
    """One reader perfect, one with ties everywhere (the diagonal)."""
    truth = np.array([False, False, True, True])
    ratings = np.array([[0, 0, 1, 1], [1, 1, 1, 1]])
    vertical = reader_averaged_roc(truth, ratings)
    np.testing.assert_allclose(vertical.false_positive_rate, [0, 0, 1, 1])
    np.testing.assert_allclose(vertical.sensitivity, [0, 0.5, 1, 1])
    diagonal = reader_averaged_roc(truth, ratings, direction="diagonal")
    np.testing.assert_allclose(diagonal.false_positive_rate, [0, 0.25, 1])
    np.testing.assert_allclose(diagonal.sensitivity, [0, 0.75, 1])
    assert vertical.n_hard_labels == 2


def test_readers_own_scales_do_not_matter_and_missing_cases_are_left_out() -> None:
    truth, ratings = panel(2)
    stretched = np.exp(ratings / np.arange(1, 5)[:, None])
    first, second = reader_averaged_roc(truth, ratings), reader_averaged_roc(truth, stretched)
    np.testing.assert_allclose(first.sensitivity, second.sensitivity)
    ratings[0, 4] = np.nan
    kept = np.arange(30) != 4
    areas = [delong_components(truth[kept], ratings[0, kept]).auc[0], *delong_components(truth, ratings[1:]).auc]
    assert reader_averaged_roc(truth, ratings).area == pytest.approx(np.mean(areas))


def test_bad_arguments_are_refused() -> None:
    truth, ratings = panel(3)
    with pytest.raises(StatisticsInputError, match="direction"):
        reader_averaged_roc(truth, ratings, direction="pooled")  # type: ignore[arg-type]
    with pytest.raises(StatisticsInputError, match="ratings"):
        reader_averaged_roc(truth, ratings[:, :-1])
    with pytest.raises(UndefinedStatisticError, match="positive"):
        reader_averaged_roc(np.zeros(30, dtype=bool), ratings)
