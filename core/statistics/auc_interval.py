"""The AUC of one curve with its uncertainty.

Measures: :func:`auc_estimate`, :func:`hard_label_auc`, :func:`auc_clustered` (patients with several cases),
:func:`auc_binomial_exact` (to reproduce papers).

Conventions: as in :mod:`core.statistics.delong`. The default interval is DeLong's on the logit scale: in simulation it
covers 95-96% for hard labels and 93-96% for ratings at the sizes of this field (docs/calibration.md), where the
binomial-exact interval on AUC times N covers 86-91% for hard labels (it takes the AUC for a proportion of N cases).
That one is here to reproduce papers that used MedCalc, and says so. AUC = 1 has no DeLong variance: it keeps its
value, is named degenerate, and carries an exact one-sided bound.

>>> print(auc_estimate([0, 0, 0, 1, 1, 1], [1, 2, 3, 2, 4, 5]))
0.8333 (95% 0.2485 to 0.9869), n = 6; DeLong, logit scale
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.bootstrap import bootstrap_auc
from core.statistics.delong import DelongComponents, delong_components
from core.statistics.range_limits import logit_limits
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.roc import is_hard_label
from core.statistics.validation import (
    check_confidence_level,
    check_groups,
    check_ratings,
    check_rng,
    check_truth,
    require_both_classes,
)

AucInterval = Literal["logit-delong", "delong", "bootstrap", "bootstrap-bca", "binomial-exact"]

#: Interval name -> name to print.
_NAMES: dict[str, str] = {
    "logit-delong": "DeLong, logit scale",
    "delong": "DeLong",
    "bootstrap": "DeLong standard error, percentile bootstrap interval",
    "bootstrap-bca": "DeLong standard error, BCa bootstrap interval",
    "binomial-exact": "MedCalc binomial exact",
}

HARD_LABEL_NOTE = "hard labels: this is balanced accuracy at one operating point, not the area under a curve"
BINOMIAL_NOTE = "the binomial exact interval takes the AUC for a proportion and is too narrow for hard labels"


def auc_estimate(
    truth: ArrayLike,
    ratings: ArrayLike,
    *,
    interval: AucInterval = "logit-delong",
    confidence_level: float = 0.95,
    rng: np.random.Generator | None = None,
    n_replicates: int = 10_000,
) -> Estimate:
    """Empirical AUC of one curve with DeLong's standard error and an interval.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard; True is positive.
    ratings : float array, shape (n_cases,)
        Ratings, higher is more likely positive.
    interval : {"logit-delong", "delong", "bootstrap", "bootstrap-bca", "binomial-exact"}
        Interval. DeLong's own is cut at 0 and 1.
    rng, n_replicates
        For the bootstrap only.

    Returns
    -------
    Estimate
        Undefined when no case is positive or none negative. Degenerate, with its value, when a class has one case,
        when all cases have the same rating, and when the AUC is 0 or 1; only the last has an exact bound, one-sided at
        the confidence level, the other limit being the value itself.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845. Qin and Hotilovac (2008), Stat. Methods Med. Res.
    17:207-221 (coverage of the logit interval). Clopper and Pearson (1934), Biometrika 26:404-413.
    """
    level = check_confidence_level(confidence_level)
    if interval not in _NAMES:
        raise StatisticsInputError("unknown interval", field="interval", value=interval, fix="use " + ", ".join(_NAMES))
    if interval.startswith("bootstrap"):
        check_rng(rng)
    is_positive = check_truth(truth)
    row = check_ratings(ratings, is_positive.size)
    if row.shape[0] != 1:
        raise StatisticsInputError("must hold one curve", field="ratings", value=row.shape)
    try:
        require_both_classes(is_positive)
    except UndefinedStatisticError as error:
        return undefined_estimate(str(error), confidence_level=level, method=_NAMES[interval], n=is_positive.size)
    components = delong_components(is_positive, row)
    notes = (HARD_LABEL_NOTE,) if is_hard_label(row) else ()
    if interval == "binomial-exact":
        estimate = auc_binomial_exact(float(components.auc[0]), is_positive.size, confidence_level=level)
        return _with_notes(estimate, notes)
    estimate = auc_from_components(components, confidence_level=level, is_logit=interval == "logit-delong")
    if interval.startswith("bootstrap") and estimate.state is State.ESTIMATED and rng is not None:
        kind: Literal["bca", "percentile"] = "bca" if interval == "bootstrap-bca" else "percentile"
        spread = bootstrap_auc(
            is_positive, row[0], rng=rng, n_replicates=n_replicates, interval=kind, confidence_level=level
        )
        estimate = Estimate(
            value=estimate.value,
            standard_error=estimate.standard_error,
            lower=spread.lower,
            upper=spread.upper,
            confidence_level=level,
            method=_NAMES[interval],
            state=spread.state,
            reason=spread.reason,
            notes=spread.notes,
            n=is_positive.size,
        )
    return _with_notes(estimate, notes)


def auc_from_components(
    components: DelongComponents, *, curve: int = 0, confidence_level: float = 0.95, is_logit: bool = True
) -> Estimate:
    """Estimate of one curve whose DeLong components are already known; see :func:`auc_estimate`."""
    level = check_confidence_level(confidence_level)
    name = _NAMES["logit-delong" if is_logit else "delong"]
    value = float(components.auc[curve])
    n = components.n_positive + components.n_negative
    if value in (0.0, 1.0):
        return _perfect(value, components.n_positive, components.n_negative, level, name)
    if components.n_positive < 2 or components.n_negative < 2:
        kind = "positive" if components.n_positive < 2 else "negative"
        reason = f"Only one case is {kind}, so DeLong's variance is not defined."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    one = DelongComponents(
        components.auc[curve : curve + 1], components.v10[curve : curve + 1], components.v01[curve : curve + 1]
    )
    variance = float(one.covariance()[0, 0])
    if variance <= 0.0:
        reason = "The ratings do not differ between cases, so DeLong's variance is 0."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    lower, upper = auc_limits(value, variance, level, is_logit=is_logit)
    return Estimate(value, sqrt(variance), lower, upper, level, name, n=n)


def auc_limits(value: float, variance: float, confidence_level: float, *, is_logit: bool = True) -> tuple[float, float]:
    """Normal limits for an AUC strictly between 0 and 1, on the logit scale or on its own (cut at 0 and 1)."""
    half = float(stats.norm.isf((1.0 - confidence_level) / 2.0)) * sqrt(variance)
    if not is_logit:
        return max(0.0, value - half), min(1.0, value + half)
    return logit_limits(value, half, 0.0, 1.0)


def auc_binomial_exact(value: float, n: int, *, confidence_level: float = 0.95) -> Estimate:
    """Clopper-Pearson interval of "AUC times N successes of N", as MedCalc offers and Zhao et al. 2023 print.

    It is not a valid interval for an AUC (see the module's conventions) and carries a note that says so.

    Parameters
    ----------
    value : float
        AUC, between 0 and 1.
    n : int
        All cases.
    """
    level = check_confidence_level(confidence_level)
    if not 0.0 <= value <= 1.0:
        raise StatisticsInputError("must lie between 0 and 1", field="value", value=value)
    if n < 1:
        return undefined_estimate("There is no case.", confidence_level=level, method=_NAMES["binomial-exact"], n=0)
    won, tail = value * n, (1.0 - level) / 2.0
    lower = float(stats.beta.ppf(tail, won, n - won + 1.0)) if won > 0.0 else 0.0
    upper = float(stats.beta.isf(tail, won + 1.0, n - won)) if won < n else 1.0
    name = _NAMES["binomial-exact"]
    return Estimate(value, None, lower, upper, level, name, notes=(BINOMIAL_NOTE,), n=n)


def hard_label_auc(
    truth: ArrayLike,
    called_positive: ArrayLike,
    *,
    interval: AucInterval = "logit-delong",
    confidence_level: float = 0.95,
) -> Estimate:
    """(Sensitivity + specificity) / 2 of decisions, which papers print as a reader's AUC; always carries a note."""
    decisions = check_truth(called_positive, field="called_positive")
    return auc_estimate(truth, decisions.astype(np.float64), interval=interval, confidence_level=confidence_level)


def auc_clustered(
    truth: ArrayLike,
    ratings: ArrayLike,
    patients: Sequence[Hashable] | np.ndarray,
    *,
    confidence_level: float = 0.95,
) -> Estimate:
    """AUC when a patient may have several cases: Obuchowski's variance between patients, interval on the logit scale.

    Parameters
    ----------
    truth, ratings : array, shape (n_cases,)
        As in :func:`auc_estimate`.
    patients : sequence, shape (n_cases,)
        Patient of each case. With one case a patient this is DeLong's variance.

    References
    ----------
    Obuchowski (1997), Biometrics 53:567-578.
    """
    level = check_confidence_level(confidence_level)
    name = "Obuchowski, patients as clusters, logit scale"
    is_positive = check_truth(truth)
    group = check_groups(patients, is_positive.size)
    n, n_patients = is_positive.size, int(group.max()) + 1
    try:
        components = delong_components(is_positive, ratings)
    except UndefinedStatisticError as error:
        return undefined_estimate(str(error), confidence_level=level, method=name, n=n)
    value = float(components.auc[0])
    if value in (0.0, 1.0):
        with_positive, with_negative = np.unique(group[is_positive]).size, np.unique(group[~is_positive]).size
        return _perfect(value, with_positive, with_negative, level, name, are_disjoint=n_patients == n)
    try:
        variance = float(components.clustered_covariance(is_positive, group)[0, 0])
    except UndefinedStatisticError as error:
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, str(error), (), n)
    if variance <= 0.0:
        reason = "The variance between patients is not positive."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), n)
    lower, upper = auc_limits(value, variance, level)
    note = f"{n} cases of {n_patients} patients"
    return Estimate(value, sqrt(variance), lower, upper, level, name, n=n, notes=(note,))


def _perfect(
    value: float, n_positive: int, n_negative: int, level: float, name: str, *, are_disjoint: bool = True
) -> Estimate:
    """AUC of 0 or 1: value, state, and the exact one-sided bound.

    Pair each positive case with another negative one: min(n_positive, n_negative) independent pairs, each won with
    probability AUC. All are won with probability AUC ** pairs, hence the bound (1 - level) ** (1 / pairs).
    """
    n = n_positive + n_negative
    which = "positive" if value == 1.0 else "negative"
    reason = f"Every {which} case has a higher rating than every other case, so DeLong's variance is 0."
    if not are_disjoint:
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, (), None)
    bound = (1.0 - level) ** (1.0 / min(n_positive, n_negative))
    lower, upper = (bound, 1.0) if value == 1.0 else (0.0, 1.0 - bound)
    note = f"exact one-sided {100.0 * level:g}% bound from {min(n_positive, n_negative)} disjoint pairs of cases"
    return Estimate(value, None, lower, upper, level, name, State.DEGENERATE, reason, (note,), n)


def _with_notes(estimate: Estimate, notes: tuple[str, ...]) -> Estimate:
    for note in notes:
        estimate = estimate.with_note(note)
    return estimate
