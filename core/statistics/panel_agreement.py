"""Agreement among the readers of a panel by every coefficient at once, and of one reader with themselves.

Measures: :func:`panel_agreement`, :func:`intra_reader_agreement`.

Conventions: as in :mod:`core.statistics.agreement_coefficients` and :mod:`core.statistics.cohen_kappa`.

>>> found = panel_agreement([["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"]], ["a", "b"])
>>> print(f"{found.gwet.estimate.value:.2f}, {found.light.value:.2f}")
0.53, 0.50
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.statistics.agreement_coefficients import (
    AgreementCoefficient,
    ReadingTable,
    Weights,
    brennan_prediger_of,
    conger_of,
    fleiss_of,
    gwet_ac,
    gwet_of,
    percent_of,
    reading_table,
)
from core.statistics.cohen_kappa import cohen_kappa, has_kappa_paradox, kappas_of_tables
from core.statistics.krippendorff import Metric, alpha_of
from core.statistics.proportions import proportion
from core.statistics.result import Estimate, Reported, undefined_estimate
from core.statistics.validation import (
    IntArray,
    check_case_ids,
    check_classes,
    check_same_length,
    class_indices,
)


@dataclass(frozen=True)
class PairwiseAgreement(Reported):
    """Two readers, by their columns."""

    first: int
    second: int
    percent: Estimate  # share of cases with the same class, Wilson
    kappa: Estimate  # Cohen


@dataclass(frozen=True)
class PanelAgreement(Reported):
    """Agreement among the readers of a panel, by every name."""

    percent: AgreementCoefficient
    fleiss: AgreementCoefficient
    conger: AgreementCoefficient
    brennan_prediger: AgreementCoefficient
    gwet: AgreementCoefficient
    krippendorff: AgreementCoefficient
    light: Estimate  # mean of the pairs' Cohen kappas
    pairs: tuple[PairwiseAgreement, ...]
    n_cases: int  # cases that somebody read
    n_missing: int  # readings that are missing among them
    notes: tuple[str, ...]


def panel_agreement(
    labels: Sequence[Sequence[Hashable]] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    metric: Metric = "nominal",
    confidence_level: float = 0.95,
) -> PanelAgreement:
    """Every agreement coefficient of a panel of readers.

    Parameters
    ----------
    labels : sequence, shape (n_cases, n_readers)
        Class that each reader gave each case; None or NaN where there is no reading.
    classes : sequence
        All classes.
    weights : {"identity", "linear", "quadratic"} or array
        Partial credit, for ordered classes only.
    metric : {"nominal", "ordinal", "interval", "ratio"}
        Distance between classes for Krippendorff's alpha.
    confidence_level : float
        For example 0.95.
    """
    table = reading_table(labels, classes, weights)
    fleiss = fleiss_of(table, confidence_level)
    pairs = _pairs(table, weights, confidence_level)
    notes: tuple[str, ...] = ()
    value = fleiss.estimate.value
    if fleiss.observed is not None and value is not None and has_kappa_paradox(fleiss.observed, value):
        notes = (
            f"kappa paradox: readers agree on {100.0 * fleiss.observed:.1f}% of pairs, but class shares are so uneven "
            "that Fleiss' kappa is low; read Gwet's AC1 and Brennan-Prediger beside it",
        )
    return PanelAgreement(
        percent=percent_of(table, confidence_level),
        fleiss=fleiss,
        conger=conger_of(table, confidence_level),
        brennan_prediger=brennan_prediger_of(table, confidence_level),
        gwet=gwet_of(table, confidence_level),
        krippendorff=alpha_of(table.counts, check_classes(classes), metric, confidence_level),
        light=_light([pair.kappa for pair in pairs], confidence_level, table.n),
        pairs=pairs,
        n_cases=table.n,
        n_missing=int((table.labels < 0).sum()),
        notes=notes,
    )


def _pairs(table: ReadingTable, weights: Weights | ArrayLike, confidence_level: float) -> tuple[PairwiseAgreement, ...]:
    """Every pair of readers, their cross-tables counted by one product of matrices."""
    n, r = table.labels.shape
    k = table.weights.shape[0]
    # Whole numbers below 2**24 are exact in float32; (r, k, n) answers times themselves, cases along the last axis.
    given = (table.labels.T[:, None, :] == np.arange(k)[:, None]).astype(np.float32).reshape(r * k, n)
    product = (given @ given.T).reshape(r, k, r, k)
    first, second = np.triu_indices(r, 1)
    tables = product[first, :, second, :].round().astype(np.int64)  # (n_pairs, k, k)
    kappas = [
        kappa if kappa.n == n else kappa.with_note(f"{n - (kappa.n or 0)} cases without both readings were left out")
        for kappa in kappas_of_tables(tables, weights=weights, confidence_level=confidence_level)
    ]
    agreeing, both = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    shares = {
        counts: proportion(*counts, confidence_level=confidence_level)
        for counts in set(zip(agreeing.tolist(), both.tolist(), strict=True))
    }
    return tuple(
        PairwiseAgreement(i, j, shares[counts], kappa)
        for i, j, counts, kappa in zip(
            first.tolist(), second.tolist(), zip(agreeing.tolist(), both.tolist(), strict=True), kappas, strict=True
        )
    )


@dataclass(frozen=True)
class IntraReaderAgreement(Reported):
    """One reader against themselves on cases read twice."""

    percent: Estimate
    kappa: Estimate
    gwet: Estimate
    n_cases: int  # cases with both readings


def intra_reader_agreement(
    first: Sequence[Hashable] | np.ndarray,
    second: Sequence[Hashable] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    case_ids: Sequence[Hashable] | np.ndarray | None = None,
    confidence_level: float = 0.95,
) -> IntraReaderAgreement:
    """Agreement of a reader's first and second reading of the same cases.

    Parameters
    ----------
    first, second : sequence, shape (n_cases,)
        Class at the first and at the second reading; None or NaN where there is none.
    classes : sequence
        All classes.
    case_ids : sequence, shape (n_cases,), optional
        Checked to name each case once: a third reading of a case has no place here.
    """
    check_same_length(first, second, fields="first, second")
    if case_ids is not None:
        check_case_ids(case_ids, len(first))
    one = class_indices(first, classes, field="first", allow_missing=True)
    two = class_indices(second, classes, field="second", allow_missing=True)
    both = (one >= 0) & (two >= 0)
    labels = np.stack([np.asarray(first, dtype=object)[both], np.asarray(second, dtype=object)[both]], axis=1)
    gwet = gwet_ac(labels, classes, confidence_level=confidence_level)
    return IntraReaderAgreement(
        percent=_percent(one, two, confidence_level),
        kappa=cohen_kappa(first, second, classes, confidence_level=confidence_level),
        gwet=gwet.estimate,
        n_cases=int(both.sum()),
    )


def _percent(one: IntArray, two: IntArray, confidence_level: float) -> Estimate:
    both = (one >= 0) & (two >= 0)
    return proportion(int(np.sum(one[both] == two[both])), int(both.sum()), confidence_level=confidence_level)


def _light(kappas: Sequence[Estimate], level: float, n: int) -> Estimate:
    """Mean of the pairs' kappas; Light (1971), Psychol. Bull. 76:365-377."""
    name = "Light's kappa"
    values = [kappa.value for kappa in kappas if kappa.value is not None]
    if len(values) < len(kappas) or not values:
        return undefined_estimate("Cohen's kappa of a pair is not defined.", confidence_level=level, method=name, n=n)
    note = "a mean of Cohen's kappas; no interval, take that of Conger's kappa"
    return Estimate(float(np.mean(values)), None, None, None, level, name, n=n, notes=(note,))
