"""Chance-corrected agreement of many readers over the same cases: Fleiss, Conger, Brennan-Prediger, Gwet, percent.

Conventions: ``labels`` has one row per case and one column per reader; None or NaN means "no reading". Every case
that at least one reader read counts towards the class shares, every case that two or more read counts towards the
observed agreement. The classes are those of the study whether or not a reader used them. Standard errors are those of
the cases as a sample with these readers fixed (Gwet's linearisation, which R's irrCAC uses); intervals are by
Student's t with cases - 1 degrees of freedom, cut at 1. Weights give partial credit and only make sense for ordered
classes; diagnoses have no order. Agreement between readers is not agreement with the truth.

References
----------
Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed., Advanced Analytics.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.result import Estimate, State, TestResult, undefined_estimate, undefined_test
from core.statistics.validation import FloatArray, IntArray, check_classes, check_confidence_level, class_indices

Weights = Literal["identity", "linear", "quadratic"]


@dataclass(frozen=True)
class AgreementCoefficient:
    """A coefficient with what it is made of."""

    estimate: Estimate
    observed: float | None  # (weighted) agreement seen
    expected: float | None  # agreement that the coefficient takes for chance


@dataclass(frozen=True)
class ReadingTable:
    """Readings checked and counted."""

    labels: IntArray  # (n_cases, n_readers), -1 where there is no reading; cases without any are left out
    counts: FloatArray  # (n_cases, n_classes) readings of each class
    weights: FloatArray  # (n_classes, n_classes)

    @property
    def readings(self) -> FloatArray:
        """Readings of each case, shape (n_cases,), at least 1."""
        return self.counts.sum(axis=1)

    @property
    def n(self) -> int:
        """Cases that somebody read."""
        return int(self.counts.shape[0])


def reading_table(
    labels: Sequence[Sequence[Hashable]] | np.ndarray, classes: Sequence[Hashable], weights: Weights | ArrayLike
) -> ReadingTable:
    """Check readings of shape (n_cases, n_readers) and count them.

    Raises
    ------
    StatisticsInputError
        If rows differ in length, a class is not in the list, or there are fewer than two readers.
    """
    keys = check_classes(classes)
    rows = [list(row) for row in labels]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise StatisticsInputError("rows differ in their number of readers", field="labels", value=sorted(widths))
    n_readers = widths.pop() if widths else 0
    if rows and n_readers < 2:
        raise StatisticsInputError(
            "needs at least two readers", field="labels", value=n_readers, fix="pass one column per reader"
        )
    flat = np.empty(len(rows) * n_readers, dtype=object)
    flat[:] = [label for row in rows for label in row]
    index = class_indices(flat, keys, allow_missing=True).reshape(len(rows), n_readers)
    index = index[(index >= 0).any(axis=1)] if len(rows) else index
    counts = (index[:, :, None] == np.arange(len(keys))).sum(axis=1).astype(np.float64)
    return ReadingTable(index, counts, agreement_weights(weights, len(keys)))


def agreement_weights(weights: Weights | ArrayLike, n_classes: int) -> FloatArray:
    """Partial credit for each pair of classes, shape (n_classes, n_classes): 1 on the diagonal."""
    if isinstance(weights, str):
        distance = np.abs(np.subtract.outer(np.arange(n_classes), np.arange(n_classes))) / (n_classes - 1.0)
        made = {"identity": np.eye(n_classes), "linear": 1.0 - distance, "quadratic": 1.0 - distance**2}
        if weights not in made:
            raise StatisticsInputError("unknown weights", field="weights", value=weights, fix="use " + ", ".join(made))
        return made[weights]
    matrix = np.asarray(weights, dtype=np.float64)
    is_square = matrix.shape == (n_classes, n_classes)
    if not is_square or not np.all((matrix >= 0.0) & (matrix <= 1.0)) or not np.all(np.diag(matrix) == 1.0):
        raise StatisticsInputError(
            f"must be {n_classes} by {n_classes}, between 0 and 1, and 1 on the diagonal", field="weights"
        )
    return matrix


def percent_agreement(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> AgreementCoefficient:
    """Mean share of agreeing pairs of readers, not corrected for chance."""
    table = reading_table(labels, classes, weights)
    return _coefficient(table, "percent agreement", confidence_level, lambda t: (0.0, np.zeros(t.n)))


def fleiss_kappa(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> AgreementCoefficient:
    """Fleiss' kappa: chance from the class shares of all readers together.

    Parameters
    ----------
    labels : sequence, shape (n_cases, n_readers)
        Class that each reader gave each case; None or NaN where there is no reading.
    classes : sequence
        All classes.
    weights : {"identity", "linear", "quadratic"} or array
        Partial credit.
    confidence_level : float
        For example 0.95.

    References
    ----------
    Fleiss (1971), Psychol. Bull. 76:378-382. Gwet (2008), Br. J. Math. Stat. Psychol. 61:29-48.
    """
    return _coefficient(reading_table(labels, classes, weights), "Fleiss' kappa", confidence_level, _fleiss_chance)


def gwet_ac(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> AgreementCoefficient:
    """Gwet's AC1 (identity weights) or AC2: chance that shrinks as the class shares become uneven.

    References
    ----------
    Gwet (2008), Br. J. Math. Stat. Psychol. 61:29-48.
    """
    name = "Gwet's AC1" if isinstance(weights, str) and weights == "identity" else "Gwet's AC2"
    return _coefficient(reading_table(labels, classes, weights), name, confidence_level, _gwet_chance)


def brennan_prediger(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> AgreementCoefficient:
    """Brennan-Prediger coefficient (PABAK for two classes): chance is one over the number of classes.

    References
    ----------
    Brennan and Prediger (1981), Educ. Psychol. Meas. 41:687-699.
    """

    def chance(table: ReadingTable) -> tuple[float, FloatArray]:
        expected = float(table.weights.sum()) / table.weights.shape[0] ** 2
        return expected, np.full(table.n, expected)

    return _coefficient(reading_table(labels, classes, weights), "Brennan-Prediger", confidence_level, chance)


def conger_kappa(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> AgreementCoefficient:
    """Conger's kappa: chance from each reader's own class shares; Cohen's kappa for two readers.

    References
    ----------
    Conger (1980), Psychol. Bull. 88:322-328.
    """
    table = reading_table(labels, classes, weights)
    if table.n and not (table.labels >= 0).any(axis=0).all():
        silent = int(np.flatnonzero(~(table.labels >= 0).any(axis=0))[0])
        raise StatisticsInputError(f"reader in column {silent} has no reading", field="labels", fix="leave them out")
    return _coefficient(table, "Conger's kappa", confidence_level, _conger_chance)


def fleiss_kappa_test(labels: Sequence[Sequence[Hashable]] | np.ndarray, classes: Sequence[Hashable]) -> TestResult:
    """Normal test of no agreement beyond chance, with the standard error under that hypothesis; no missing readings.

    References
    ----------
    Fleiss, Nee and Landis (1979), Psychol. Bull. 86:974-977.
    """
    method = "Fleiss' kappa, no agreement beyond chance"
    table = reading_table(labels, classes, "identity")
    if (table.labels < 0).any():
        return undefined_test("This test needs a reading of every reader for every case.", method=method)
    kappa = fleiss_kappa(labels, classes).estimate.value
    if kappa is None:
        return undefined_test("Fleiss' kappa is not defined: one class only, or no case.", method=method)
    n, m = table.labels.shape
    share = table.counts.mean(axis=0) / m
    spread = float(np.sum(share * (1.0 - share)))
    third = float(np.sum(share * (1.0 - share) * (1.0 - 2.0 * share)))
    error = sqrt(2.0 / (n * m * (m - 1.0))) * sqrt(spread**2 - third) / spread
    statistic = kappa / error
    return TestResult(statistic, 2.0 * float(stats.norm.sf(abs(statistic))), method)


def observed_agreement(table: ReadingTable) -> FloatArray:
    """Share of agreeing pairs of readings of each case, shape (n_cases,); NaN where fewer than two read it."""
    readings = table.readings
    agreeing = np.sum(table.counts * (table.counts @ table.weights.T - 1.0), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(readings >= 2, agreeing / (readings * (readings - 1.0)), np.nan)


def t_interval(value: float, variance: float, n: int, level: float, name: str) -> Estimate:
    """Student's t interval over cases, cut at 1; degenerate without variance."""
    if n < 2 or variance <= 1e-30:
        reason = (
            "Only one case was read by two readers or more."
            if n < 2
            else "Every case says the same about agreement, so the variance is 0."
        )
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    error = sqrt(variance)
    half = float(stats.t.isf((1.0 - level) / 2.0, n - 1)) * error
    return Estimate(value, error, max(-1.0, value - half), min(1.0, value + half), level, name, n=n)


def _coefficient(
    table: ReadingTable,
    name: str,
    confidence_level: float,
    chance: Callable[[ReadingTable], tuple[float, FloatArray]],
) -> AgreementCoefficient:
    """(observed - expected) / (1 - expected) with Gwet's linearised variance."""
    level = check_confidence_level(confidence_level)
    per_case = observed_agreement(table) if table.n else np.array([])
    is_paired = np.isfinite(per_case)
    n, n_paired = table.n, int(is_paired.sum())
    if n_paired == 0:
        reason = "No case was read by two readers or more."
        return AgreementCoefficient(undefined_estimate(reason, confidence_level=level, method=name, n=n), None, None)
    observed = float(per_case[is_paired].mean())
    expected, expected_per_case = chance(table)
    if expected >= 1.0 - 1e-12:
        reason = "All readings name one class, so agreement beyond chance is not defined."
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=n)
        return AgreementCoefficient(nothing, observed, expected)
    value = (observed - expected) / (1.0 - expected)
    own = np.where(is_paired, (np.nan_to_num(per_case) - expected) * n / n_paired, 0.0) / (1.0 - expected)
    own = own - 2.0 * (1.0 - value) * (expected_per_case - expected) / (1.0 - expected)
    variance = float(np.sum((own - value) ** 2)) / (n * (n - 1.0)) if n > 1 else 0.0
    return AgreementCoefficient(t_interval(value, variance, n, level, name), observed, expected)


def _class_shares(table: ReadingTable) -> FloatArray:
    """Mean over cases of the share of each class among the case's readings."""
    return (table.counts / table.readings[:, None]).mean(axis=0)


def _fleiss_chance(table: ReadingTable) -> tuple[float, FloatArray]:
    share = _class_shares(table)
    credit = (table.weights @ share + table.weights.T @ share) / 2.0
    return float(share @ table.weights @ share), table.counts @ credit / table.readings


def _gwet_chance(table: ReadingTable) -> tuple[float, FloatArray]:
    q = table.weights.shape[0]
    share = _class_shares(table)
    factor = float(table.weights.sum()) / (q * (q - 1.0))
    return factor * float(np.sum(share * (1.0 - share))), factor * (table.counts @ (1.0 - share)) / table.readings


def _conger_chance(table: ReadingTable) -> tuple[float, FloatArray]:
    """Mean over pairs of different readers of their chance agreement, and each case's pull on it."""
    n, r = table.labels.shape
    q = table.weights.shape[0]
    given = (table.labels[:, :, None] == np.arange(q)).astype(np.float64)  # (n, r, q)
    is_read = (table.labels >= 0).astype(np.float64)
    read = is_read.sum(axis=0)
    share = given.sum(axis=0) / read[:, None]  # (r, q)
    weights = (table.weights + table.weights.T) / 2.0
    # Credit of reader g's answers with all other readers' shares, then over pairs of readers.
    others = (share.sum(axis=0)[None, :] - share) @ weights  # (r, q)
    pairs = r * (r - 1.0)
    expected = float(np.sum(share * others)) / pairs
    # A reader who read n_g of n cases pulls n / n_g as hard with each; averages over cases stay ``share``.
    pull = (given - is_read[:, :, None] * share[None, :, :]) * (n / read)[None, :, None] + share[None, :, :]
    return expected, np.einsum("irq,rq->i", pull, others) / pairs
