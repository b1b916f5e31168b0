"""Temperature, calibration error and Brier score against known values and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from core.errors import InputError, UndefinedStatisticError
from core.model.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
    softmax,
)


def _overconfident(n: int = 4000, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from softmax(z); the logits handed out are ``factor`` times z."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 1.5, (n, 4))
    truth = np.array([rng.choice(4, p=row) for row in scipy_softmax(honest, axis=1)])
    return honest * factor, truth


def test_softmax_is_scipys_and_survives_large_logits() -> None:
    logits = np.random.default_rng(1).normal(0, 5, (20, 4))
    assert np.allclose(softmax(logits, 2.0), scipy_softmax(logits / 2, axis=1))
    assert np.array_equal(softmax(np.array([[1e4, 0.0]])), [[1.0, 0.0]])


def test_log_loss_and_brier_are_sklearns() -> None:
    logits, truth = _overconfident(200)
    probabilities = softmax(logits, 2.0)
    assert log_loss(logits, truth, 2.0) == pytest.approx(sklearn_log_loss(truth, probabilities))
    assert brier_score(probabilities, truth) == pytest.approx(
        brier_score_loss(truth, probabilities, scale_by_half=False, labels=[0, 1, 2, 3])
    )


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_temperature_finds_the_factor_that_overconfidence_was_made_with(factor: float) -> None:
    logits, truth = _overconfident(factor=factor)
    found = fit_temperature(logits, truth)
    assert found.temperature == pytest.approx(factor, rel=0.06)
    assert found.log_loss_after <= found.log_loss_before + 1e-9
    if factor == 3.0:
        assert found.ece_after < 0.3 * found.ece_before
        assert found.brier_after < found.brier_before
    assert found.n == 4000


@given(st.floats(0.2, 5.0))
def test_temperature_never_changes_the_answer(temperature: float) -> None:
    logits = np.random.default_rng(2).normal(size=(50, 4))
    assert np.array_equal(softmax(logits, temperature).argmax(axis=1), logits.argmax(axis=1))


def test_calibration_error_of_a_hand_made_table() -> None:
    """Four cases at 0.9 of which three are right, one at 0.6 that is right: 4/5 * 0.15 + 1/5 * 0.4."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]])
    truth = np.array([0, 0, 0, 1, 1])
    assert expected_calibration_error(probabilities, truth, n_bins=10) == pytest.approx(0.8 * 0.15 + 0.2 * 0.4)
    bins = reliability(probabilities, truth, n_bins=10)
    assert [one.n for one in bins] == [0, 0, 0, 0, 0, 1, 0, 0, 4, 0]
    assert bins[0].accuracy is None
    assert sum(one.n for one in reliability(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1]))) == 2


def test_brier_score_is_zero_for_certain_truth_and_two_for_certain_error() -> None:
    assert brier_score(np.array([[1.0, 0.0]]), np.array([0])) == 0
    assert brier_score(np.array([[1.0, 0.0]]), np.array([1])) == 2


@pytest.mark.parametrize(
    ("logits", "truth"),
    [
        (np.zeros((2, 3)), np.array([0, 3])),
        (np.zeros((2, 3)), np.array([-1, 0])),
        (np.zeros((2, 3)), np.array([0.0, 1.0])),
        (np.zeros((2, 3)), np.array([0])),
        (np.array([[np.nan, 0.0]]), np.array([0])),
    ],
)
def test_arguments_that_do_not_fit_are_refused(logits: np.ndarray, truth: np.ndarray) -> None:
    with pytest.raises(InputError):
        fit_temperature(logits, truth)


def test_no_case_has_no_calibration() -> None:
    with pytest.raises(UndefinedStatisticError):
        fit_temperature(np.zeros((0, 4)), np.zeros(0, dtype=int))
