"""Decision curves: what acting on a model (or a reader) is worth at each threshold of the probability.

Measures: :func:`net_benefit` of calls at one threshold, :func:`decision_curve` of probabilities over thresholds.

Conventions: a threshold probability t says how a false positive weighs against a true positive: t / (1 - t). The net
benefit is the share of true positives minus that weight times the share of false positives; acting on nobody is 0.
A case is called positive when its probability is the threshold or more. The share of positive cases is that of the
study: a study with as many diseased as healthy cases says nothing about the clinic's net benefit.

>>> truth, called = [True, True, False, False], [True, True, True, False]
>>> print(f"{net_benefit(truth, called, 0.2).value:.4f}")
0.4375

References
----------
Vickers and Elkin (2006), Med. Decis. Making 26:565-574. Marsh, Janes and Pepe (2020), Biometrics 76:843-852 (variance).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError
from core.statistics.case_mean import mean_over_cases
from core.statistics.result import Estimate, Reported
from core.statistics.validation import check_probabilities, check_same_length, check_truth

#: Thresholds of a curve unless others are asked for.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def net_benefit(
    truth: ArrayLike,
    called_positive: ArrayLike,
    threshold: float,
    *,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> Estimate:
    """Net benefit of decisions at one threshold probability, in true positives per case.

    Parameters
    ----------
    truth, called_positive : bool array, shape (n_cases,)
        Reference standard, and whether the case was called positive (by a reader, or a model at the threshold).
    threshold : float
        Probability above which one would act, strictly between 0 and 1.
    patients : sequence, shape (n_cases,), optional
        Patient of each case, where a patient may have several.

    Returns
    -------
    Estimate
        Degenerate, with value 0, when nobody was called positive.

    References
    ----------
    Vickers and Elkin (2006), Med. Decis. Making 26:565-574.
    """
    is_positive, called = check_truth(truth), check_truth(called_positive, field="called_positive")
    check_same_length(is_positive, called, fields="truth, called_positive")
    if isinstance(threshold, bool) or not 0.0 < threshold < 1.0:
        raise StatisticsInputError("must lie between 0 and 1", field="threshold", value=threshold)
    weight = threshold / (1.0 - threshold)
    worth = np.where(called, np.where(is_positive, 1.0, -weight), 0.0)
    return mean_over_cases(
        worth,
        limits=(-weight, 1.0),
        name=f"net benefit at threshold {threshold:g}",
        patients=patients,
        confidence_level=confidence_level,
    )


@dataclass(frozen=True)
class DecisionPoint(Reported):
    """One threshold of a decision curve."""

    threshold: float
    model: Estimate  # net benefit of acting at this threshold
    all_positive: Estimate  # net benefit of acting on everybody; acting on nobody is 0
    gain: Estimate  # net benefit of the model minus the better of everybody and nobody


def decision_curve(
    truth: ArrayLike,
    probabilities: ArrayLike,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    patients: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> tuple[DecisionPoint, ...]:
    """Net benefit of probabilities over thresholds, with that of acting on everybody beside it.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard.
    probabilities : float array, shape (n_cases,)
        Probability that the case is positive.
    thresholds : sequence of float
        Strictly between 0 and 1.
    patients : sequence, shape (n_cases,), optional
        As in :func:`net_benefit`.

    References
    ----------
    Vickers and Elkin (2006), Med. Decis. Making 26:565-574.
    """
    is_positive = check_truth(truth)
    row = check_probabilities(probabilities, is_positive.size)
    everybody = np.ones(row.size, dtype=np.bool_)
    found = []
    for threshold in thresholds:
        called = row >= threshold
        of_all = net_benefit(is_positive, everybody, threshold, patients=patients, confidence_level=confidence_level)
        own = net_benefit(is_positive, called, threshold, patients=patients, confidence_level=confidence_level)
        # Which of the two is better is taken as known, as in every published curve.
        better = everybody if (of_all.value or 0.0) > 0.0 else ~everybody
        weight = threshold / (1.0 - threshold)
        worth = np.where(is_positive, 1.0, -weight)
        gain = mean_over_cases(
            np.where(called, worth, 0.0) - np.where(better, worth, 0.0),
            limits=(-max(1.0, weight), max(1.0, weight)),
            name=f"gain in net benefit at threshold {threshold:g}",
            patients=patients,
            confidence_level=confidence_level,
        )
        found.append(DecisionPoint(float(threshold), own, of_all, gain))
    return tuple(found)
