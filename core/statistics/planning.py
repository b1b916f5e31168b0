"""Planning a reader study: readers x cases for a wanted power, and cases for a wanted precision.

Measures: :func:`mrmc_power`, :func:`cases_for_power`, :func:`readers_for_power`, :func:`power_table`,
:func:`auc_error_variance`, :func:`cases_for_proportion`, :func:`cases_for_auc`.

Power is computed from the variance components of the Obuchowski-Rockette model, from a pilot study
(:meth:`OrComponents.from_pilot`) or from published values (:meth:`OrComponents.from_published`), for any figure of
merit whose components they are: AUC and accuracy alike. The variance over cases is taken to fall as
``pilot cases / planned cases``, with the same share of positive cases as in the pilot.

Conventions: two arms, every reader reads every case in both; ``Cov2 - Cov3`` and the arm-by-reader variance are
clipped at 0; FRRC uses the non-central chi-squared distribution, or with ``is_dbm=True`` the F distribution of the
Dorfman-Berbaum-Metz analysis. A search for the number of cases or readers is capped and says so when the cap is hit:
with few readers no number of cases may be enough, because readers differ. With a ``margin`` the power is that of a
one-sided non-inferiority test at half the significance level, by the non-central t (or normal) distribution. One model
against a panel is in :mod:`core.statistics.panel_planning`.

>>> pilot = OrComponents(arm_by_reader=0.0002, error=0.0008, cov1=0.00035, cov2=0.00034, cov3=0.00024, n_cases=114)
>>> print(cases_for_power(pilot, n_readers=6, difference=0.05).design.n_cases)
165

References
----------
Hillis and Berbaum (2004), Acad. Radiol. 11:1260-1273.
Hillis, Obuchowski and Berbaum (2011), Acad. Radiol. 18:129-142.
Obuchowski (1995), Acad. Radiol. 2:709-716 (published components).
Obuchowski and McClish (1997), Stat. Med. 16:1529-1542 (variance of a binormal AUC).
Hanley and McNeil (1982), Radiology 143:29-36.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.obuchowski_rockette import ObuchowskiRockette
from core.statistics.result import Reported
from core.statistics.scope import Scope, check_scope
from core.statistics.validation import check_confidence_level, check_count

#: Default cap of a search; the same as in RJafroc.
MOST_CASES = 2000
MOST_READERS = 200
_SCALE = "write five points of an AUC or a share as 0.05"
#: Degrees of freedom from here on are those of the normal distribution.
_INFINITE_DF = 1e9


@dataclass(frozen=True)
class OrComponents(Reported):
    """Variance components that planning needs, on the scale of the figure squared."""

    arm_by_reader: float  # readers differ in their gain; clipped at 0 when used
    error: float  # Var over cases of one reader in one arm, with ``n_cases`` cases
    cov1: float  # same reader, different arms
    cov2: float  # different readers, same arm
    cov3: float  # different readers, different arms
    n_cases: int  # cases that error, cov1, cov2 and cov3 belong to

    def __post_init__(self) -> None:
        for name in ("arm_by_reader", "error", "cov1", "cov2", "cov3"):
            if not np.isfinite(getattr(self, name)):
                raise StatisticsInputError("must be a finite number", field=name, value=getattr(self, name))
        if self.error <= 0:
            raise StatisticsInputError("must be positive", field="error", value=self.error)
        if self.n_cases < 1:
            raise StatisticsInputError("must be at least 1", field="n_cases", value=self.n_cases)

    @classmethod
    def from_pilot(cls, pilot: ObuchowskiRockette) -> OrComponents:
        """Components of a pilot study with at least two arms and two readers.

        Raises
        ------
        UndefinedStatisticError
            If the pilot's design does not give all components.
        """
        found = pilot.components
        both, cov1, cov2, cov3 = found.arm_by_reader, found.cov1, found.cov2, found.cov3
        if both is None or cov1 is None or cov2 is None or cov3 is None:
            raise UndefinedStatisticError(
                "The pilot needs at least two readers who read in at least two arms to give all variance components."
            )
        return cls(both, found.error, cov1, cov2, cov3, found.n_cases)

    @classmethod
    def from_published(
        cls,
        *,
        error: float,
        n_cases: int,
        reader_sd: float,
        r1: float,
        r2: float,
        r3: float,
        reader_correlation: float = 0.0,
    ) -> OrComponents:
        """Components from what papers print.

        Parameters
        ----------
        error : float
            Variance of one reader's figure over ``n_cases`` cases: :func:`auc_error_variance` or
            ``p (1 - p) / n_cases`` for an accuracy.
        n_cases : int
            Cases that ``error`` belongs to.
        reader_sd : float
            Standard deviation of readers' figures within an arm, beyond case sampling.
        reader_correlation : float
            Correlation of readers' true figures between arms; the arm-by-reader variance is
            ``reader_sd**2 * (1 - reader_correlation)``. 0 is conservative.
        r1, r2, r3 : float
            Correlations of the errors: same reader and different arms, different readers and same arm, both
            different. Equal ``r2`` and ``r3`` say that readers share no more within an arm than across arms.

        Raises
        ------
        StatisticsInputError
            If a value is out of its range.
        """
        for name, value in (("reader_correlation", reader_correlation), ("r1", r1), ("r2", r2), ("r3", r3)):
            if not -1.0 <= value <= 1.0:
                raise StatisticsInputError("must lie between -1 and 1", field=name, value=value)
        if not reader_sd >= 0:
            raise StatisticsInputError("must be zero or more", field="reader_sd", value=reader_sd)
        both = reader_sd**2 * (1.0 - reader_correlation)
        return cls(both, error, r1 * error, r2 * error, r3 * error, n_cases)


@dataclass(frozen=True)
class Power(Reported):
    """Power of one design."""

    scope: Scope
    n_readers: int
    n_cases: int
    difference: float  # true difference between the arms
    significance_level: float
    power: float
    noncentrality: float
    degrees_of_freedom: float | None  # of the denominator; None for chi-squared, and where they are infinite
    critical_value: float  # of F or chi-squared; of t or z with a margin
    margin: float | None = None  # of non-inferiority; None: a two-sided test of no difference


@dataclass(frozen=True)
class SampleSize(Reported):
    """Smallest design of a search that reaches the wanted power."""

    is_reached: bool
    wanted_power: float
    design: Power | None  # the smallest that reaches it; None when not reached
    best: Power  # the most powerful design of the search
    reason: str | None = None  # why it was not reached


def mrmc_power(
    components: OrComponents,
    *,
    n_readers: int,
    n_cases: int,
    difference: float,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    margin: float | None = None,
    is_dbm: bool = False,
) -> Power:
    """Power to find a difference between two arms, or to show that one is not inferior.

    Parameters
    ----------
    components : OrComponents
        From a pilot or from papers.
    n_readers, n_cases : int
        Planned readers and cases.
    difference : float
        True difference of the figure between the arms, on the scale of the figure (0.05 for AUC 0.80 to 0.85).
    scope : Scope or str
        "RRRC", "FRRC" or "RRFC".
    significance_level : float
        Two-sided; a non-inferiority test is one-sided at half of it.
    margin : float, optional
        Largest acceptable loss: the power is then that of showing non-inferiority when the true difference (first
        minus second, the first being the new arm) is ``difference``, which may be 0 or negative.
    is_dbm : bool
        FRRC by the F distribution with planned cases - 1 degrees of freedom instead of chi-squared.

    Raises
    ------
    StatisticsInputError
        If an argument is out of range, or random readers are planned with fewer than two.
    UndefinedStatisticError
        If the components leave nothing to divide by.

    References
    ----------
    Hillis, Obuchowski and Berbaum (2011), Acad. Radiol. 18:129-142.
    """
    readers = np.array([check_count(n_readers, field="n_readers")])
    cases = np.array([check_count(n_cases, field="n_cases")])
    return _powers(components, readers, cases, difference, check_scope(scope), significance_level, is_dbm, margin)[0]


def cases_for_power(
    components: OrComponents,
    *,
    n_readers: int,
    difference: float,
    power: float = 0.8,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    margin: float | None = None,
    most_cases: int = MOST_CASES,
    is_dbm: bool = False,
) -> SampleSize:
    """Fewest cases with which so many readers reach the wanted power.

    Parameters
    ----------
    components, n_readers, difference, scope, significance_level, margin, is_dbm
        As in :func:`mrmc_power`.
    power : float
        Wanted power.
    most_cases : int
        Cap of the search. When it is hit, ``is_reached`` is False and ``reason`` says so.
    """
    readers, most = check_count(n_readers, field="n_readers"), check_count(most_cases, field="most_cases")
    cases = np.arange(2, most + 1)
    if cases.size == 0:
        raise StatisticsInputError("must be at least 2", field="most_cases", value=most_cases)
    tried = (np.full(cases.size, readers), cases)
    found = _powers(components, *tried, difference, check_scope(scope), significance_level, is_dbm, margin)
    return first_that_reaches(found, power, f"{readers} readers", f"{most} cases")


def readers_for_power(
    components: OrComponents,
    *,
    n_cases: int,
    difference: float,
    power: float = 0.8,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    margin: float | None = None,
    most_readers: int = MOST_READERS,
    is_dbm: bool = False,
) -> SampleSize:
    """Fewest readers with which so many cases reach the wanted power; arguments as in :func:`cases_for_power`."""
    chosen = check_scope(scope)
    cases, most = check_count(n_cases, field="n_cases"), check_count(most_readers, field="most_readers")
    readers = np.arange(1 if chosen is Scope.FRRC else 2, most + 1)
    if readers.size == 0:
        raise StatisticsInputError("is too small for this scope", field="most_readers", value=most_readers)
    found = _powers(
        components, readers, np.full(readers.size, cases), difference, chosen, significance_level, is_dbm, margin
    )
    return first_that_reaches(found, power, f"{cases} cases", f"{most} readers")


def power_table(
    components: OrComponents,
    *,
    readers: Sequence[int],
    cases: Sequence[int],
    difference: float,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    margin: float | None = None,
) -> tuple[Power, ...]:
    """Power of every combination of numbers of readers and of cases, readers varying slowest."""
    return tuple(
        mrmc_power(
            components,
            n_readers=n_readers,
            n_cases=n_cases,
            difference=difference,
            scope=scope,
            significance_level=significance_level,
            margin=margin,
        )
        for n_readers in readers
        for n_cases in cases
    )


def auc_error_variance(auc: float, n_positive: int, n_negative: int, *, method: str = "obuchowski") -> float:
    """Variance of an AUC over cases, from its size and the numbers of cases alone.

    Parameters
    ----------
    auc : float
        Expected AUC, strictly between 0 and 1.
    n_positive, n_negative : int
        Cases.
    method : str
        "obuchowski" (binormal, right for ratings) or "hanley-mcneil" (exponential).

    References
    ----------
    Obuchowski and McClish (1997), Stat. Med. 16:1529-1542. Hanley and McNeil (1982), Radiology 143:29-36.
    """
    check_probability(auc, "auc")
    positive, negative = check_count(n_positive, field="n_positive"), check_count(n_negative, field="n_negative")
    if positive < 1 or negative < 1:
        raise StatisticsInputError(
            "must both be at least 1", field="n_positive, n_negative", value=(positive, negative)
        )
    if method == "obuchowski":
        a = float(stats.norm.ppf(auc)) * 1.414
        return float(0.0099 * np.exp(-(a**2) / 2) * ((5 * a**2 + 8) + (a**2 + 8) * positive / negative) / positive)
    if method == "hanley-mcneil":
        q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
        return (auc * (1 - auc) + (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)) / (
            positive * negative
        )
    raise StatisticsInputError(
        "is not a variance formula", field="method", value=method, fix="use 'obuchowski' or 'hanley-mcneil'"
    )


def cases_for_proportion(
    proportion: float, *, half_width: float, confidence_level: float = 0.95, method: str = "wilson"
) -> int:
    """Fewest cases whose interval of a proportion (sensitivity, accuracy) is no wider than twice ``half_width``.

    Parameters
    ----------
    proportion : float
        Expected proportion; 0.5 asks for the most.
    half_width : float
        Wanted half width of the interval, for example 0.05.
    method : str
        Any method of statsmodels' ``proportion_confint``: "wilson" (default), "beta" (Clopper-Pearson), "normal".

    Raises
    ------
    StatisticsInputError
        If an argument is out of range.
    """
    if not 0.0 <= proportion <= 1.0:
        raise StatisticsInputError("must lie between 0 and 1", field="proportion", value=proportion)
    _check_half_width(half_width)
    level = check_confidence_level(confidence_level)
    if method not in ("wilson", "beta", "normal", "agresti_coull", "jeffreys"):
        raise StatisticsInputError("is not an interval of a proportion", field="method", value=method)

    def is_enough(n: int) -> bool:
        lower, upper = proportion_confint(proportion * n, n, alpha=1 - level, method=method)
        return bool(upper - lower <= 2 * half_width)

    return _smallest(is_enough)


def cases_for_auc(
    auc: float,
    *,
    half_width: float,
    positive_share: float = 0.5,
    confidence_level: float = 0.95,
    method: str = "obuchowski",
) -> int:
    """Fewest cases whose (normal) interval of one AUC is no wider than twice ``half_width``.

    Parameters
    ----------
    auc : float
        Expected AUC.
    half_width : float
        Wanted half width of the interval.
    positive_share : float
        Share of positive cases; at least one case of each class is planned.
    method : str
        As in :func:`auc_error_variance`.
    """
    check_probability(auc, "auc")
    check_probability(positive_share, "positive_share")
    _check_half_width(half_width)
    z = float(stats.norm.isf((1 - check_confidence_level(confidence_level)) / 2))

    def is_enough(n: int) -> bool:
        positive = min(max(round(n * positive_share), 1), n - 1)
        return n >= 2 and z * np.sqrt(auc_error_variance(auc, positive, n - positive, method=method)) <= half_width

    return _smallest(is_enough, start=2)


def _powers(
    components: OrComponents,
    readers: NDArray[np.int64],
    cases: NDArray[np.int64],
    difference: float,
    scope: Scope,
    significance_level: float,
    is_dbm: bool,
    margin: float | None,
) -> tuple[Power, ...]:
    """Power of each pair of a number of readers and a number of cases."""
    check_design(scope, readers, cases)
    shrink = components.n_cases / cases
    between = max(components.arm_by_reader, 0.0)
    shared = shrink * max(components.cov2 - components.cov3, 0.0)
    within = shrink * (components.error - components.cov1)
    ms_both = between + within - shared  # expected MS(T:R)
    if scope is Scope.RRRC:
        denominator = between + within + (readers - 1) * shared
    elif scope is Scope.RRFC:
        denominator = ms_both
    else:
        denominator = within + (readers - 1) * shared
    if (denominator <= 0).any() or (scope is not Scope.FRRC and (ms_both <= 0).any()):
        raise UndefinedStatisticError(
            "The variance components leave no variance for the difference between the arms: Var - Cov1 must be larger."
        )
    df2: NDArray[np.floating] | None = None
    if scope is Scope.RRRC:
        df2 = (denominator / ms_both) ** 2 * (readers - 1)
    elif scope is Scope.RRFC:
        df2 = readers - 1.0
    elif is_dbm:
        df2 = cases - 1.0
    variance = 2.0 * denominator / readers
    return design_powers(scope, readers, cases, variance, df2, difference, margin, significance_level)


def design_powers(
    scope: Scope,
    readers: NDArray[np.int64],
    cases: NDArray[np.int64],
    variance: NDArray[np.floating],
    df: NDArray[np.floating] | None,
    difference: float,
    margin: float | None,
    significance_level: float,
) -> tuple[Power, ...]:
    """Power of each design, from the variance of its estimated difference and the degrees of freedom (None: normal).

    Without a margin the test is two-sided. With one it is one-sided at half of the level: that the difference is above
    minus the margin.
    """
    check_probability(significance_level, "significance_level")
    df = None if df is None else np.minimum(df, _INFINITE_DF)
    if not -1.0 < difference < 1.0:
        raise StatisticsInputError("must lie between -1 and 1", field="difference", value=difference, fix=_SCALE)
    if margin is not None:
        if not 0.0 <= margin < 1.0:
            raise StatisticsInputError("must be at least 0 and below 1", field="margin", value=margin, fix=_SCALE)
        noncentrality = shift = (difference + margin) / np.sqrt(variance)
        tail = significance_level / 2.0
        critical = stats.norm.isf(tail) if df is None else stats.t.isf(tail, df)
        power = stats.norm.sf(critical - noncentrality) if df is None else stats.nct.sf(critical, df, noncentrality)
    else:
        noncentrality = difference**2 / variance
        shift = np.sqrt(noncentrality)
        critical = stats.chi2.isf(significance_level, 1) if df is None else stats.f.isf(significance_level, 1, df)
        if difference == 0:
            power = np.full(readers.shape, significance_level)
        elif df is None:
            power = stats.ncx2.sf(critical, 1, noncentrality)
        else:
            power = stats.ncf.sf(critical, 1, df, noncentrality)
    critical = np.broadcast_to(critical, readers.shape)
    if df is not None and not np.isfinite(power).all():
        # Too far from 0 for the series of the noncentral distribution: the normal part is 0 or 1, chi-squared decides.
        root = critical if margin is not None else np.sqrt(critical)
        far = stats.chi2.cdf(df * (np.maximum(shift, 0.0) / root) ** 2, df)
        power = np.where(np.isfinite(power), power, far)
    return tuple(
        Power(
            scope,
            int(readers[index]),
            int(cases[index]),
            difference,
            significance_level,
            float(power[index]),
            float(noncentrality[index]),
            None if df is None or df[index] >= _INFINITE_DF else float(df[index]),
            float(critical[index]),
            margin,
        )
        for index in range(readers.size)
    )


def check_design(scope: Scope, readers: NDArray[np.int64], cases: NDArray[np.int64]) -> None:
    """Refuse random readers with fewer than two of them, and fewer than two cases."""
    fewest = 1 if scope is Scope.FRRC else 2
    if readers.min() < fewest:
        raise StatisticsInputError(
            f"must be at least {fewest}", field="n_readers", value=int(readers.min()), fix="plan with more readers"
        )
    if cases.min() < 2:
        raise StatisticsInputError(
            "must be at least 2", field="n_cases", value=int(cases.min()), fix="plan with more cases"
        )


def first_that_reaches(tried: tuple[Power, ...], wanted: float, given: str, cap: str) -> SampleSize:
    """The first design that reaches the wanted power.

    All are tried: with few readers the degrees of freedom fall as cases are added, so power need not grow.
    """
    check_probability(wanted, "power")
    best = max(tried, key=lambda design: design.power)
    for design in tried:
        if design.power >= wanted:
            return SampleSize(True, wanted, design, best)
    reason = f"{given} do not reach power {wanted} within {cap}, where the search stops; best: {best.power:.3f}"
    return SampleSize(False, wanted, None, best, reason)


def _smallest(is_enough: Callable[[int], bool], start: int = 1) -> int:
    """Smallest number of cases that is enough, enough being kept by every larger number."""
    high = start
    while not is_enough(high):
        high *= 2
    low = max(high // 2, start - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def check_probability(value: float, field: str) -> None:
    """A number strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise StatisticsInputError("must lie between 0 and 1", field=field, value=value, fix="write 80 % as 0.8")


def _check_half_width(half_width: float) -> None:
    """A half width that an interval inside [0, 1] can have."""
    if not 0.0005 <= half_width < 0.5:
        raise StatisticsInputError("must lie between 0.0005 and 0.5", field="half_width", value=half_width)
