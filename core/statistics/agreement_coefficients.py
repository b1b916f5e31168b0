"""Chance-corrected agreement of many readers over the same cases: Fleiss, Conger, Brennan-Prediger, Gwet, percent.

Measures: :func:`percent_agreement`, :func:`fleiss_kappa` (and :func:`fleiss_kappa_test`), :func:`conger_kappa`,
:func:`brennan_prediger`, :func:`gwet_ac`.

Conventions: ``labels`` has one row per case and one column per reader; None or NaN means "no reading". The observed
agreement is that of the cases that two or more readers read, and ``n`` is their number. The class shares, from which
chance agreement comes, are those of every case that somebody read, as in R's irrCAC; but where the cases read once
outnumber the others, or where that would carry a coefficient out of its range, they are those of the cases that two or
more read, and a note says so: a handful of hard cases read twice cannot be judged by the class shares of all the rest.
The classes are those of the study whether or not a reader used them. Standard errors are those of the cases as a
sample with these readers fixed (Gwet's linearisation, which irrCAC uses); intervals are by Student's t over the cases
that entered, cut at the ends of the range: 0 and 1 for percent agreement, -1 and 1 for all others. A coefficient beyond
-1 is undefined. Weights give partial credit and only make sense for ordered classes; diagnoses have no order. Agreement
between readers is not agreement with the truth.

>>> readings = [["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"], ["a", None]]
>>> found = gwet_ac(readings, ["a", "b"]).estimate
>>> print(f"{found.value:.3f} from {found.n} cases")
0.500 from 4 cases

References
----------
Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed., Advanced Analytics.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from core.errors import StatisticsInputError
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_estimate, undefined_test
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_classes,
    check_confidence_level,
    class_indices,
)

Weights = Literal["identity", "linear", "quadratic"]

#: With fewer cases read by two or more, Student's t covers clearly less than 95% (docs/calibration.md); a note says so.
FEW_CASES = 15


@dataclass(frozen=True)
class AgreementCoefficient(Reported):
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

    def of_cases(self, chosen: BoolArray) -> ReadingTable:
        """The table of some of the cases, without readers who read none of them."""
        labels = self.labels[chosen]
        return ReadingTable(labels[:, (labels >= 0).any(axis=0)], self.counts[chosen], self.weights)


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
    matrix = label_matrix(labels)
    n_cases, n_readers = matrix.shape
    if n_cases and n_readers < 2:
        raise StatisticsInputError(
            "needs at least two readers", field="labels", value=n_readers, fix="pass one column per reader"
        )
    index = class_indices(matrix.ravel(), keys, allow_missing=True).reshape(n_cases, n_readers)
    index = index[(index >= 0).any(axis=1)]
    counts = np.stack([(index == position).sum(axis=1) for position in range(len(keys))], axis=1).astype(np.float64)
    return ReadingTable(index, counts, agreement_weights(weights, len(keys)))


def label_matrix(labels: Sequence[Sequence[Hashable]] | np.ndarray) -> NDArray[np.object_]:
    """Labels of shape (n_cases, n_readers) as objects, from rows, an array, or a data frame with a column per reader.

    Raises
    ------
    StatisticsInputError
        If it is not two-dimensional, or rows differ in length.
    """
    if hasattr(labels, "to_numpy"):  # a data frame iterates over the names of its columns
        labels = labels.to_numpy()
    if isinstance(labels, np.ndarray):
        matrix = labels.astype(object)
        if matrix.ndim != 2:
            raise StatisticsInputError("must have shape (n_cases, n_readers)", field="labels", value=matrix.shape)
        return matrix
    try:
        given = list(labels)
        rows = [list(row) for row in given]
    except TypeError as error:
        raise StatisticsInputError("must have shape (n_cases, n_readers)", field="labels") from error
    if any(isinstance(row, str) for row in given):
        raise StatisticsInputError(
            "must have shape (n_cases, n_readers)", field="labels", fix="pass one row per case, one entry per reader"
        )
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise StatisticsInputError("rows differ in their number of readers", field="labels", value=sorted(widths))
    matrix = np.empty((len(rows), widths.pop() if widths else 0), dtype=object)
    for place, row in enumerate(rows):
        for column, label in enumerate(row):
            matrix[place, column] = label
    return matrix


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
    is_credit = is_square and np.all((matrix >= 0.0) & (matrix <= 1.0)) and np.all(np.diag(matrix) == 1.0)
    if not is_credit or not np.array_equal(matrix, matrix.T):
        raise StatisticsInputError(
            f"must be {n_classes} by {n_classes}, symmetric, between 0 and 1, and 1 on the diagonal",
            field="weights",
            fix="credit for a and b is credit for b and a",
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
    return percent_of(reading_table(labels, classes, weights), confidence_level)


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
    return fleiss_of(reading_table(labels, classes, weights), confidence_level)


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
    return gwet_of(reading_table(labels, classes, weights), confidence_level)


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
    return brennan_prediger_of(reading_table(labels, classes, weights), confidence_level)


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
    return conger_of(reading_table(labels, classes, weights), confidence_level)


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


def t_interval(
    value: float,
    variance: float,
    n: int,
    level: float,
    name: str,
    *,
    n_paired: int | None = None,
    lowest: float = -1.0,
    notes: tuple[str, ...] = (),
) -> Estimate:
    """Student's t interval over ``n`` cases, cut at ``lowest`` and 1; degenerate without variance.

    ``n_paired`` is the number of cases that two or more read, where it is not ``n``.
    """
    paired = n if n_paired is None else n_paired
    if paired < 2 or variance <= 1e-30:
        reason = (
            "Only one case was read by two readers or more."
            if paired < 2
            else "The linearised variance over the cases is 0."
        )
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, notes, paired)
    if paired < FEW_CASES:
        notes = (*notes, f"only {paired} cases were read by two or more: the interval is likely too narrow")
    error = sqrt(variance)
    half = float(special.stdtrit(n - 1, (1.0 + level) / 2.0)) * error
    lower, upper = max(lowest, value - half), min(1.0, value + half)
    return Estimate(value, error, lower, upper, level, name, n=paired, notes=notes)


def percent_of(table: ReadingTable, confidence_level: float) -> AgreementCoefficient:
    """:func:`percent_agreement` of readings that are already counted.

    Where every case says 1 (or 0) it is degenerate and has an exact one-sided bound: if the true value were lower than
    (1 - level) ** (1 / n), n cases that all agree would be rarer than 1 - level.
    """
    found = _coefficient(table, "percent agreement", confidence_level, lambda t: (0.0, np.zeros(t.n)), lowest=0.0)
    estimate = found.estimate
    if estimate.state is not State.DEGENERATE or estimate.value not in (0.0, 1.0) or not estimate.n:
        return found
    bound = (1.0 - estimate.confidence_level) ** (1.0 / estimate.n)
    lower, upper = (bound, 1.0) if estimate.value == 1.0 else (0.0, 1.0 - bound)
    note = f"exact one-sided {100.0 * estimate.confidence_level:g}% bound from {estimate.n} cases"
    return replace(found, estimate=replace(estimate.with_note(note), lower=lower, upper=upper))


def fleiss_of(table: ReadingTable, confidence_level: float) -> AgreementCoefficient:
    """:func:`fleiss_kappa` of readings that are already counted."""
    return _coefficient(table, "Fleiss' kappa", confidence_level, _fleiss_chance)


def gwet_of(table: ReadingTable, confidence_level: float) -> AgreementCoefficient:
    """:func:`gwet_ac` of readings that are already counted."""
    is_plain = np.array_equal(table.weights, np.eye(table.weights.shape[0]))
    return _coefficient(table, "Gwet's AC1" if is_plain else "Gwet's AC2", confidence_level, _gwet_chance)


def brennan_prediger_of(table: ReadingTable, confidence_level: float) -> AgreementCoefficient:
    """:func:`brennan_prediger` of readings that are already counted."""
    return _coefficient(table, "Brennan-Prediger", confidence_level, _even_chance)


def conger_of(table: ReadingTable, confidence_level: float) -> AgreementCoefficient:
    """:func:`conger_kappa` of readings that are already counted."""
    is_silent = ~(table.labels >= 0).any(axis=0)
    if table.n and is_silent.any():
        silent = int(np.flatnonzero(is_silent)[0])
        raise StatisticsInputError(f"reader in column {silent} has no reading", field="labels", fix="leave them out")
    return _coefficient(table, "Conger's kappa", confidence_level, _conger_chance)


def _coefficient(
    table: ReadingTable,
    name: str,
    confidence_level: float,
    chance: Callable[[ReadingTable], tuple[float, FloatArray]],
    *,
    lowest: float = -1.0,
) -> AgreementCoefficient:
    """A coefficient by irrCAC's convention where the readings carry it, else from cases read twice or more."""
    level = check_confidence_level(confidence_level)
    is_paired = table.readings >= 2
    n_paired = int(is_paired.sum())
    if n_paired == 0:
        reason = "No case was read by two readers or more."
        return AgreementCoefficient(undefined_estimate(reason, confidence_level=level, method=name, n=0), None, None)
    n_once = table.n - n_paired
    note = f"class shares of the {n_paired} cases that two or more read; {n_once} cases were read once"
    is_sparse = n_once > n_paired
    if not is_sparse:
        found = _linearised(table, name, level, chance, lowest, ())
        is_sparse = n_once > 0 and _is_outside(found, lowest)
    if is_sparse:
        found = _linearised(table.of_cases(is_paired), name, level, chance, lowest, (note,))
    if _is_outside(found, lowest):
        reason = "The readers agree so much less than by chance that the coefficient leaves its range of -1 to 1."
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=n_paired)
        return AgreementCoefficient(nothing, found.observed, found.expected)
    return found


def _is_outside(found: AgreementCoefficient, lowest: float) -> bool:
    """Whether a value lies below its range; it cannot lie above."""
    return found.estimate.value is not None and found.estimate.value < lowest - 1e-12


def _linearised(
    table: ReadingTable,
    name: str,
    level: float,
    chance: Callable[[ReadingTable], tuple[float, FloatArray]],
    lowest: float,
    notes: tuple[str, ...],
) -> AgreementCoefficient:
    """(observed - expected) / (1 - expected) with Gwet's linearised variance."""
    per_case = observed_agreement(table)
    is_paired = np.isfinite(per_case)
    n, n_paired = table.n, int(is_paired.sum())
    observed = float(per_case[is_paired].mean())
    expected, expected_per_case = chance(table)
    if expected >= 1.0 - 1e-12:
        reason = "All readings name one class, so agreement beyond chance is not defined."
        nothing = undefined_estimate(reason, confidence_level=level, method=name, n=n_paired)
        return AgreementCoefficient(nothing, observed, expected)
    value = (observed - expected) / (1.0 - expected)
    own = np.where(is_paired, (np.nan_to_num(per_case) - expected) * n / n_paired, 0.0) / (1.0 - expected)
    own = own - 2.0 * (1.0 - value) * (expected_per_case - expected) / (1.0 - expected)
    variance = float(np.sum((own - value) ** 2)) / (n * (n - 1.0)) if n > 1 else 0.0
    estimate = t_interval(value, variance, n, level, name, n_paired=n_paired, lowest=lowest, notes=notes)
    return AgreementCoefficient(estimate, observed, expected)


def _class_shares(table: ReadingTable) -> FloatArray:
    """Mean over cases of the share of each class among the case's readings."""
    return (table.counts / table.readings[:, None]).mean(axis=0)


def _even_chance(table: ReadingTable) -> tuple[float, FloatArray]:
    expected = float(table.weights.sum()) / table.weights.shape[0] ** 2
    return expected, np.full(table.n, expected)


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
