"""Agreement between two answers over the same cases, and the summary for a panel of readers.

Conventions: classes are names without order unless weights say otherwise; cases without both readings are left out
and counted in a note. Cohen's kappa is undefined when both answers name one and the same class throughout. A high
percent agreement with a low kappa (the kappa paradox, from very uneven class shares) is flagged with Gwet's AC1 and
Brennan-Prediger's coefficient beside it. Kappa between a reader and the reference standard is agreement with the
truth, not agreement between readers: the paper of Zhao et al. 2023 prints the former as "Fleiss's kappa".
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa

from core.statistics.chance_corrected import (
    AgreementCoefficient,
    Weights,
    agreement_weights,
    brennan_prediger,
    conger_kappa,
    fleiss_kappa,
    gwet_ac,
    percent_agreement,
    reading_table,
)
from core.statistics.krippendorff import krippendorff_alpha
from core.statistics.proportions import proportion
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    IntArray,
    check_case_ids,
    check_classes,
    check_confidence_level,
    check_same_length,
    class_indices,
)

#: Percent agreement from which, and kappa up to which, the kappa paradox is flagged.
PARADOX_AGREEMENT, PARADOX_KAPPA = 0.8, 0.6


def cohen_kappa(
    first: Sequence[Hashable] | np.ndarray,
    second: Sequence[Hashable] | np.ndarray,
    classes: Sequence[Hashable],
    *,
    weights: Weights | ArrayLike = "identity",
    confidence_level: float = 0.95,
) -> Estimate:
    """Cohen's kappa, weighted on request, with its large-sample standard error and normal interval.

    Parameters
    ----------
    first, second : sequence, shape (n_cases,)
        Class that each gave each case; None or NaN where there is no reading.
    classes : sequence
        All classes; in ascending order if weights are used.
    weights : {"identity", "linear", "quadratic"} or array
        Partial credit for near misses; only for ordered classes.

    Returns
    -------
    Estimate
        Undefined when no case has both readings, or all readings name one class. Degenerate when kappa is 1.

    References
    ----------
    Cohen (1960), Educ. Psychol. Meas. 20:37-46. Fleiss, Cohen and Everitt (1969), Psychol. Bull. 72:323-327.
    """
    level = check_confidence_level(confidence_level)
    table, n_missing = _cross_table(first, second, classes)
    is_plain = isinstance(weights, str) and weights == "identity"
    credit = agreement_weights(weights, table.shape[0])
    name = "Cohen's kappa" if is_plain else "Cohen's weighted kappa"
    n = int(table.sum())
    notes: tuple[str, ...] = (f"{n_missing} cases without both readings were left out",) if n_missing else ()
    if n == 0:
        return undefined_estimate("No case has both readings.", confidence_level=level, method=name, n=0)
    rows, columns = table.sum(axis=1) / n, table.sum(axis=0) / n
    if float(rows @ credit @ columns) >= 1.0 - 1e-12:
        reason = "All readings name one class, so agreement beyond chance is not defined."
        return undefined_estimate(reason, confidence_level=level, method=name, n=n)
    # statsmodels takes weights as disagreements, and divides by a null variance that may be 0 and is not used here.
    with np.errstate(divide="ignore", invalid="ignore"):
        peer = cohens_kappa(table, weights=None if is_plain else 1.0 - credit)
    kappa, variance = float(peer.kappa), float(peer.var_kappa)
    if is_plain:
        notes += _paradox_note(table, kappa)
    if np.count_nonzero(rows) == 1 or np.count_nonzero(columns) == 1:
        reason = "One of the two names one class only, so agreement is that of chance and its variance is 0."
        return Estimate(0.0, None, None, None, level, name, State.DEGENERATE, reason, notes, n)
    if variance <= 1e-30 or np.trace(table) == n:
        reason = "Both answers agree on every case, so the variance is 0."
        if kappa < 1.0 - 1e-12:
            reason = "The large-sample variance is 0."
        return Estimate(kappa, None, None, None, level, name, State.DEGENERATE, reason, notes, n)
    error = sqrt(variance)
    half = float(stats.norm.isf((1.0 - level) / 2.0)) * error
    return Estimate(kappa, error, max(-1.0, kappa - half), min(1.0, kappa + half), level, name, n=n, notes=notes)


def has_kappa_paradox(observed_agreement: float, kappa: float) -> bool:
    """Whether agreement is high and kappa low, so that uneven class shares and not the readers make kappa low.

    References
    ----------
    Feinstein and Cicchetti (1990), J. Clin. Epidemiol. 43:543-549.
    """
    return observed_agreement >= PARADOX_AGREEMENT and kappa < PARADOX_KAPPA


@dataclass(frozen=True)
class PairwiseAgreement:
    """Two readers, by their columns."""

    first: int
    second: int
    percent: Estimate  # share of cases with the same class, Wilson
    kappa: Estimate  # Cohen


@dataclass(frozen=True)
class PanelAgreement:
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
        Partial credit, for ordered classes only; Krippendorff's alpha stays nominal.
    confidence_level : float
        For example 0.95.
    """
    table = reading_table(labels, classes, weights)
    keys = check_classes(classes)
    options = {"weights": weights, "confidence_level": confidence_level}
    fleiss = fleiss_kappa(labels, keys, **options)  # type: ignore[arg-type]  # one dict for five calls
    given = np.array([*keys, None], dtype=object)[table.labels]  # -1 is None
    pairs = tuple(
        PairwiseAgreement(
            first=i,
            second=j,
            percent=_percent(table.labels[:, i], table.labels[:, j], confidence_level),
            kappa=cohen_kappa(given[:, i], given[:, j], keys, weights=weights, confidence_level=confidence_level),
        )
        for i, j in combinations(range(table.labels.shape[1]), 2)
    )
    notes: tuple[str, ...] = ()
    value = fleiss.estimate.value
    if fleiss.observed is not None and value is not None and has_kappa_paradox(fleiss.observed, value):
        notes = (
            f"kappa paradox: readers agree on {100.0 * fleiss.observed:.1f}% of pairs, but class shares are so uneven "
            "that Fleiss' kappa is low; read Gwet's AC1 and Brennan-Prediger beside it",
        )
    return PanelAgreement(
        percent=percent_agreement(labels, keys, **options),  # type: ignore[arg-type]
        fleiss=fleiss,
        conger=conger_kappa(labels, keys, **options),  # type: ignore[arg-type]
        brennan_prediger=brennan_prediger(labels, keys, **options),  # type: ignore[arg-type]
        gwet=gwet_ac(labels, keys, **options),  # type: ignore[arg-type]
        krippendorff=krippendorff_alpha(labels, keys, confidence_level=confidence_level),
        light=_light([pair.kappa for pair in pairs], confidence_level, table.n),
        pairs=pairs,
        n_cases=table.n,
        n_missing=int((table.labels < 0).sum()),
        notes=notes,
    )


@dataclass(frozen=True)
class IntraReaderAgreement:
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


def _cross_table(
    first: Sequence[Hashable] | np.ndarray, second: Sequence[Hashable] | np.ndarray, classes: Sequence[Hashable]
) -> tuple[IntArray, int]:
    """Cases by both answers, and how many lack one."""
    check_same_length(first, second, fields="first, second")
    one = class_indices(first, classes, field="first", allow_missing=True)
    two = class_indices(second, classes, field="second", allow_missing=True)
    k = len(check_classes(classes))
    both = (one >= 0) & (two >= 0)
    table = np.bincount(one[both] * k + two[both], minlength=k * k).reshape(k, k)
    return table.astype(np.int64), int(one.size - both.sum())


def _paradox_note(table: IntArray, kappa: float) -> tuple[str, ...]:
    n, k = int(table.sum()), table.shape[0]
    observed = float(np.trace(table)) / n
    if not has_kappa_paradox(observed, kappa):
        return ()
    share = (table.sum(axis=0) + table.sum(axis=1)) / (2.0 * n)
    chance = float(np.sum(share * (1.0 - share))) / (k - 1.0)
    ac1, even = (observed - chance) / (1.0 - chance), (observed - 1.0 / k) / (1.0 - 1.0 / k)
    return (
        f"kappa paradox: {100.0 * observed:.1f}% agreement but kappa {kappa:.3f}: class shares are very uneven; "
        f"Gwet's AC1 is {ac1:.3f}, Brennan-Prediger (PABAK) {even:.3f}",
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
