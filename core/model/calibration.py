"""Whether a probability means what it says: temperature scaling, calibration error, Brier score.

Shapes: n cases, k classes. Logits are natural-log odds up to a constant per case. Fit the temperature on cases the
network was not trained on (out-of-fold or validation), never on the cases of the reader study.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from core.errors import InputError, UndefinedStatisticError

#: The search stays between these; a network that wants more has not learned (or has memorised).
TEMPERATURE_BOUNDS = (0.05, 20.0)


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature and what it changed, on the cases it was fitted on."""

    temperature: float
    n: int
    log_loss_before: float  # nats per case
    log_loss_after: float
    ece_before: float  # expected calibration error, a share in [0, 1]
    ece_after: float
    brier_before: float
    brier_after: float


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (n, k) float64 of logits (n, k) divided by the temperature; rows sum to 1."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    odds = np.exp(scaled)
    return odds / odds.sum(axis=1, keepdims=True)


def log_loss(logits: np.ndarray, truth: np.ndarray, temperature: float = 1.0) -> float:
    """Mean negative log probability, in nats, of the true class.

    Parameters
    ----------
    logits : float array, shape (n, k)
    truth : int array, shape (n,)
        Index of the true class.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    top = scaled.max(axis=1)
    log_norm = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float(np.mean(log_norm - scaled[np.arange(len(scaled)), truth]))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> Calibration:
    """The one number that makes the probabilities of these cases least surprising.

    Parameters
    ----------
    logits : float array, shape (n, k)
    truth : int array, shape (n,)
        Index of the true class.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        If shapes do not fit, an index is out of range or a logit is not finite.
    UndefinedStatisticError
        If there is no case.

    References
    ----------
    Guo et al. (2017), ICML, PMLR 70:1321-1330.
    """
    logits, truth = _checked(logits, truth)
    found = minimize_scalar(
        lambda log_temperature: log_loss(logits, truth, float(np.exp(log_temperature))),
        bounds=tuple(np.log(TEMPERATURE_BOUNDS)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.exp(found.x))
    before, after = softmax(logits), softmax(logits, temperature)
    return Calibration(
        temperature=temperature,
        n=len(truth),
        log_loss_before=log_loss(logits, truth),
        log_loss_after=log_loss(logits, truth, temperature),
        ece_before=expected_calibration_error(before, truth),
        ece_after=expected_calibration_error(after, truth),
        brier_before=brier_score(before, truth),
        brier_after=brier_score(after, truth),
    )


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of a reliability diagram."""

    lower: float  # probability of the predicted class, above this
    upper: float  # and up to this
    n: int
    mean_probability: float | None  # None where no case fell
    accuracy: float | None


def reliability(probabilities: np.ndarray, truth: np.ndarray, n_bins: int = 15) -> list[ReliabilityBin]:
    """Predicted against observed frequency of the predicted class, in bins of equal width."""
    probabilities, truth = _checked(probabilities, truth)
    confidence = probabilities.max(axis=1)
    is_correct = probabilities.argmax(axis=1) == truth
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    bins = []
    for index in range(n_bins):
        here = place == index
        n = int(here.sum())
        bins.append(
            ReliabilityBin(
                lower=float(edges[index]),
                upper=float(edges[index + 1]),
                n=n,
                mean_probability=float(confidence[here].mean()) if n else None,
                accuracy=float(is_correct[here].mean()) if n else None,
            )
        )
    return bins


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, n_bins: int = 15) -> float:
    """Mean gap between probability and accuracy of the predicted class, over bins weighted by cases.

    Parameters
    ----------
    probabilities : float array, shape (n, k)
    truth : int array, shape (n,)
    n_bins : int
        Bins of equal width; the value depends on it.

    References
    ----------
    Naeini, Cooper and Hauskrecht (2015), AAAI, 2901-2907.
    """
    bins = reliability(probabilities, truth, n_bins)
    gaps = [
        one.n * abs(one.mean_probability - one.accuracy)
        for one in bins
        if one.mean_probability is not None and one.accuracy is not None
    ]
    return float(sum(gaps) / sum(one.n for one in bins))


def brier_score(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Mean over cases of the squared distance to the truth, summed over classes: 0 is best, 2 is worst.

    References
    ----------
    Brier (1950), Monthly Weather Review 78:1-3.
    """
    probabilities, truth = _checked(probabilities, truth)
    target = np.zeros_like(probabilities)
    target[np.arange(len(truth)), truth] = 1
    return float(np.square(probabilities - target).sum(axis=1).mean())


def _checked(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Float matrix and integer vector that fit together."""
    values = np.asarray(values, dtype=np.float64)
    truth = np.asarray(truth)
    if values.ndim != 2 or truth.ndim != 1 or len(values) != len(truth):
        raise InputError("need one row of values per case", field="shape", value=(values.shape, truth.shape))
    if len(truth) == 0:
        raise UndefinedStatisticError("there is no case to calibrate on.")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= values.shape[1]:
        raise InputError(f"the truth must be class indices from 0 to {values.shape[1] - 1}", field="truth")
    if not np.isfinite(values).all():
        raise InputError("a value is not finite", field="values")
    return values, truth
