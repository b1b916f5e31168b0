"""Obuchowski-Rockette analysis: arms compared over readers and cases, with the corrected degrees of freedom of Hillis.

Measures: :func:`obuchowski_rockette`.

The figure of reader j in arm i is ``theta_ij = mu + arm_i + R_j + (arm R)_ij + e_ij``, where the errors covary:
``Cov1`` same reader, different arms; ``Cov2`` different readers, same arm; ``Cov3`` different readers and arms. The
three scopes answer three questions: **RRRC** readers and cases are both samples (the default where at least four or
five readers took part), **FRRC** these readers, cases a sample, **RRFC** these cases, readers a sample.

Conventions
-----------
- Covariances are averaged over all pairs of their kind that exist. Pairs without a common case covary by exactly 0, so
  designs in which readers or arms have cases of their own need no other formula.
- ``Cov2 - Cov3`` is clipped at 0 in RRRC (it enters with random readers as a variance component, and Hillis' degrees
  of freedom need it so) and not in FRRC (there ``Var - Cov1 + (r - 1)(Cov2 - Cov3)`` is the estimated variance of the
  difference itself). This is what MRMCaov 0.3.0 does; RJafroc clips both.
- Readers nested in arms (each reads in one arm) use the formulas of Hillis 2014, unequal numbers of readers allowed.
- Limits of a mean are cut to [0, 1]; those of a difference are made on a scale that keeps them within [-1, 1]
  (:mod:`core.statistics.range_limits`), with t's degrees of freedom, and Wald's limits stand beside them.
- Variance components are by the method of moments with ``Cov2 - Cov3`` clipped at 0, as in RJafroc 2.1.3:
  ``arm_by_reader = MS(T:R) - Var + Cov1 + max(Cov2 - Cov3, 0)``, and ``reader`` is what that leaves of MS(R),
  ``(MS(R) - arm_by_reader - Var + Cov2 - (t - 1)(Cov1 - Cov3)) / t``. The Iowa OR-DBM program clips neither.
- Where random readers come out more certain than fixed ones, the component between readers was estimated as zero, and
  the result says so (:data:`core.statistics.scope.ZERO_READER_VARIANCE`).
- With one reader only FRRC exists, and with the DeLong covariance it is DeLong's paired test.

>>> from core.statistics.roe_metz import RoeMetzModel
>>> model, rng = RoeMetzModel.structure("HL", separation=1.5), np.random.default_rng(1)
>>> study = model.simulate(n_readers=5, n_positive=20, n_negative=20, rng=rng)
>>> print(obuchowski_rockette(study.figures()).scope("FRRC").overall)
statistic 0.3106, df 1, p = 0.5773; Obuchowski-Rockette FRRC, chi-squared

References
----------
Obuchowski and Rockette (1995), Commun. Stat. Simul. Comput. 24:285-308.
Hillis (2007), Stat. Med. 26:596-619 (degrees of freedom).
Hillis (2014), Stat. Med. 33:330-360 (nested designs, single arms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import special

from core.errors import UndefinedStatisticError
from core.statistics.figure_of_merit import Covariance, check_covariance
from core.statistics.reader_study import CasePattern, ReaderFigures, ReaderPattern
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_test
from core.statistics.scope import (
    NO_READER_VARIANCE,
    NOTHING,
    ZERO_READER_VARIANCE,
    ArmContrast,
    Scope,
    check_scope,
    contrast_test,
    few_readers_note,
    hillis_freedom,
    interval_estimate,
    is_reader_variance_zero,
    patients_note,
    say_zero_reader_variance_each,
)
from core.statistics.validation import FloatArray, check_confidence_level


@dataclass(frozen=True)
class VarianceComponents(Reported):
    """Components of the Obuchowski-Rockette model, on the scale of the figure squared. None: not in this design."""

    error: float  # Var: variance over cases of one reader's figure in one arm
    cov1: float | None  # same reader, different arms
    cov2: float | None  # different readers, same arm
    cov3: float | None  # different readers, different arms
    reader: float | None  # between readers; may come out negative
    arm_by_reader: float | None  # readers differ in their gain; may come out negative
    n_readers: int
    n_cases: int

    def correlations(self) -> dict[str, float | None]:
        """``Cov1``, ``Cov2`` and ``Cov3`` as correlations of the errors; None where undefined."""
        covariances = {"r1": self.cov1, "r2": self.cov2, "r3": self.cov3}
        return {
            name: None if value is None or self.error <= 0 else value / self.error
            for name, value in covariances.items()
        }


@dataclass(frozen=True)
class ScopeAnalysis(Reported):
    """All that one scope says."""

    scope: Scope
    overall: TestResult  # all arms equal: F (RRRC, RRFC) or chi-squared (FRRC)
    contrasts: tuple[ArmContrast, ...]
    means: tuple[Estimate, ...]  # one per arm, in the order of the arms
    mean_degrees_of_freedom: tuple[float | None, ...]  # None: normal
    denominator: float | None  # of F, or of chi-squared


@dataclass(frozen=True)
class ObuchowskiRockette(Reported):
    """Multi-reader multi-case analysis of one figure of merit."""

    metric: str
    covariance_method: Covariance
    confidence_level: float
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    values: FloatArray  # (arm, reader) figures, NaN where not read
    covariance: FloatArray  # (k, k) over the curves that exist, arm by arm
    components: VarianceComponents
    mean_square_arm: float | None  # MS(T)
    mean_square_reader: float | None  # MS(R); MS[R(T)] when readers are nested in arms
    mean_square_arm_reader: float | None  # MS(T:R)
    scopes: tuple[ScopeAnalysis, ...]  # RRRC, FRRC, RRFC
    reader_contrasts: tuple[ArmContrast, ...]  # within each reader, fixed readers
    n_readings_missing: int
    notes: tuple[str, ...] = ()

    def scope(self, scope: Scope | str) -> ScopeAnalysis:
        """The analysis of one scope."""
        return next(item for item in self.scopes if item.scope == check_scope(scope))


def obuchowski_rockette(
    figures: ReaderFigures,
    *,
    covariance: Covariance | str = Covariance.JACKKNIFE,
    confidence_level: float = 0.95,
) -> ObuchowskiRockette:
    """Compare arms over readers and cases.

    Parameters
    ----------
    figures : ReaderFigures
        From :meth:`core.statistics.reader_study.ReaderStudy.figures`; any figure of merit, any number of arms.
    covariance : Covariance or str
        "jackknife", "delong" or "unbiased".
    confidence_level : float
        Of every interval.

    Returns
    -------
    ObuchowskiRockette
        Overall test, pairwise contrasts (first minus second) and means for RRRC, FRRC and RRFC, and the variance
        components. A scope that the design cannot support (random readers with one reader) is a named undefined state.

    Raises
    ------
    UndefinedStatisticError
        If no reader read in all arms although some read in several.
    StatisticsInputError
        If the covariance method does not exist for this figure.

    References
    ----------
    Obuchowski and Rockette (1995), Commun. Stat. Simul. Comput. 24:285-308. Hillis (2007), Stat. Med. 26:596-619.
    Hillis (2014), Stat. Med. 33:330-360.
    """
    level = check_confidence_level(confidence_level)
    method = check_covariance(covariance)
    empty = [str(arm) for arm, curves in zip(figures.arms, figures.curve, strict=True) if not (curves >= 0).any()]
    if empty:
        raise UndefinedStatisticError(f"No reader of the arm {empty[0]} has a figure of these cases.")
    figures, notes = _usable_readers(figures)
    matrix = figures.curves.covariance(method)
    layout = _Layout(figures, matrix)
    if figures.case_pattern is not CasePattern.CROSSED:
        notes.append(f"Design: {figures.case_pattern.value}; {figures.n_missing} reader-case cells have no reading.")
    notes += few_readers_note(len(figures.readers))
    notes += patients_note(figures.n_patients)
    if figures.reader_pattern is ReaderPattern.NESTED and len(figures.arms) > 1:
        scopes = _said(_nested_scope(layout, scope, level) for scope in Scope)
        within: tuple[ArmContrast, ...] = ()
    else:
        scopes = _said(_crossed_scope(layout, scope, level) for scope in Scope)
        within = layout.reader_contrasts(level)
    return ObuchowskiRockette(
        figures.curves.metric,
        method,
        level,
        figures.arms,
        figures.readers,
        figures.values(),
        matrix,
        layout.components(),
        layout.ms_arm,
        layout.ms_reader,
        layout.ms_arm_reader,
        scopes,
        within,
        figures.n_missing,
        tuple(notes),
    )


def _usable_readers(figures: ReaderFigures) -> tuple[ReaderFigures, list[str]]:
    """Readers with a figure in every arm, where some readers have several arms; a note says who is left out."""
    if figures.reader_pattern is not ReaderPattern.PARTIAL:
        return figures, []
    is_complete = np.all(figures.curve >= 0, axis=0)
    if not is_complete.any():
        raise UndefinedStatisticError(
            "No reader has readings in every arm although some read in several; compare the arms pair by pair."
        )
    kept = np.flatnonzero(is_complete)
    left_out = [reader for reader, keep in zip(figures.readers, is_complete, strict=True) if not keep]
    rows = figures.curve[:, kept].ravel()
    curves = figures.curves
    roc_data = None if curves.roc_data is None else (curves.roc_data[0], curves.roc_data[1][rows])
    subset = type(curves)(
        curves.metric, curves.values[rows], curves.leave_one_out[rows], curves.influence[rows], roc_data
    )
    usable = ReaderFigures(
        figures.arms,
        tuple(figures.readers[index] for index in kept),
        np.arange(rows.size).reshape(len(figures.arms), kept.size),
        subset,
        ReaderPattern.CROSSED,
        figures.case_pattern,
        figures.n_missing,
        figures.n_patients,
    )
    return usable, ["Left out for having no figure in some arm: " + ", ".join(left_out) + "."]


class _Layout:
    """Mean squares and averaged covariances of one set of figures."""

    def __init__(self, figures: ReaderFigures, covariance: FloatArray) -> None:
        self.figures = figures
        self.covariance = covariance
        self.values = figures.values()
        self.is_present = figures.curve >= 0
        self.n_arms, self.n_readers = self.values.shape
        self.readers_in_arm = self.is_present.sum(axis=1)
        arm, reader = np.nonzero(self.is_present)  # in the order of the curves
        same_arm, same_reader = arm[:, None] == arm, reader[:, None] == reader
        self.error = float(np.mean(np.diag(covariance)))
        self.cov1 = _mean_where(covariance, same_reader & ~same_arm)
        self.cov2 = _mean_where(covariance, ~same_reader & same_arm)
        self.cov3 = _mean_where(covariance, ~same_reader & ~same_arm)
        self.arm_of_curve = arm
        self.arm_means = np.nanmean(self.values, axis=1)
        self.ms_arm, self.ms_reader, self.ms_arm_reader = self._mean_squares()

    def _mean_squares(self) -> tuple[float | None, float | None, float | None]:
        """MS(T), MS(R) and MS(T:R); None where the design has no such term."""
        t, r = self.n_arms, self.n_readers
        if not self.is_present.all():
            counts = self.readers_in_arm
            overall = float(np.nanmean(self.values))
            between = float(np.sum(counts * (self.arm_means - overall) ** 2)) / (t - 1)
            spread = np.nansum((self.values - self.arm_means[:, None]) ** 2)
            return between, float(spread) / (r - t) if r > t else None, None
        reader_means, overall = self.values.mean(axis=0), float(self.values.mean())
        ms_arm = float(r * np.sum((self.arm_means - overall) ** 2)) / (t - 1) if t > 1 else None
        ms_reader = float(t * np.sum((reader_means - overall) ** 2)) / (r - 1) if r > 1 else None
        residual = self.values - self.arm_means[:, None] - reader_means + overall
        ms_both = float(np.sum(residual**2)) / ((t - 1) * (r - 1)) if t > 1 and r > 1 else None
        return ms_arm, ms_reader, ms_both

    def components(self) -> VarianceComponents:
        """Variance components by the method of moments."""
        reader = both = None
        if self.is_present.all() and self.ms_reader is not None:
            if self.n_arms == 1:
                reader = self.ms_reader - self.error + (self.cov2 or 0.0)
            elif self.ms_arm_reader is not None and None not in (self.cov1, self.cov2, self.cov3):
                cov1, cov2, cov3 = float(self.cov1 or 0.0), float(self.cov2 or 0.0), float(self.cov3 or 0.0)
                both = self.ms_arm_reader - self.error + cov1 + max(cov2 - cov3, 0.0)
                shared = (self.n_arms - 1) * (cov1 - cov3)
                reader = (self.ms_reader - both - self.error + cov2 - shared) / self.n_arms
        return VarianceComponents(
            self.error, self.cov1, self.cov2, self.cov3, reader, both, self.n_readers, self.figures.curves.n_cases
        )

    def mean_of_arm(self, arm: int, scope: Scope, level: float) -> tuple[Estimate, float | None]:
        """Reader-averaged figure of one arm with its interval, from that arm's own variances; and its df."""
        values = self.values[arm][self.is_present[arm]]
        r = values.size
        own = self.covariance[np.ix_(self.arm_of_curve == arm, self.arm_of_curve == arm)]
        cov2 = (own.sum() - np.trace(own)) / (r * (r - 1)) if r > 1 else 0.0
        value = float(values.mean())
        method = f"Obuchowski-Rockette {scope.value}"
        if scope is Scope.FRRC:
            variance = float(own.mean())
            df = None
        elif r < 2:
            return _one_reader_mean(value, level, method), None
        else:
            ms_reader = float(values.var(ddof=1))
            shared = max(float(cov2), 0.0) if scope is Scope.RRRC else 0.0
            variance = ms_reader / r + shared
            df = hillis_freedom(ms_reader, r * shared, r - 1, self.error)
        n = self.figures.curves.n_cases
        return interval_estimate(value, variance, df, level, method, self.error, is_mean=True, n=n), df

    def reader_contrasts(self, level: float) -> tuple[ArmContrast, ...]:
        """Differences between arms within each reader, readers fixed."""
        contrasts = []
        for j, reader in enumerate(self.figures.readers):
            for first, second in combinations(range(self.n_arms), 2):
                a, b = (int(self.figures.curve[arm, j]) for arm in (first, second))
                variance = float(self.covariance[a, a] + self.covariance[b, b] - 2 * self.covariance[a, b])
                difference = float(self.values[first, j] - self.values[second, j])
                test = contrast_test(difference, variance, None, level, "paired z within reader", self.error)
                contrasts.append(ArmContrast(self.figures.arms[first], self.figures.arms[second], test, reader))
        return tuple(contrasts)


def _crossed_scope(layout: _Layout, scope: Scope, level: float) -> ScopeAnalysis:
    """One scope where every reader read in every arm."""
    t, r = layout.n_arms, layout.n_readers
    if t > 1 and r < 2 and scope is not Scope.FRRC:
        return _undefined_scope(layout, scope, level, "one reader says nothing about readers in general")
    cov1, cov2, cov3 = (0.0 if value is None else value for value in (layout.cov1, layout.cov2, layout.cov3))
    ms_both = layout.ms_arm_reader or 0.0
    df2: float | None = None
    if scope is Scope.FRRC:
        denominator = layout.error - cov1 + (r - 1) * (cov2 - cov3)
    else:
        shared = r * max(cov2 - cov3, 0.0) if scope is Scope.RRRC else 0.0
        denominator = ms_both + shared
        df2 = hillis_freedom(ms_both, shared, (t - 1) * (r - 1), layout.error)
    return _finish_scope(layout, scope, level, denominator, df2, lambda first, second: 2.0 / r)


def _nested_scope(layout: _Layout, scope: Scope, level: float) -> ScopeAnalysis:
    """One scope where each reader read in one arm only."""
    t, counts = layout.n_arms, layout.readers_in_arm
    n = int(counts.sum())
    if scope is not Scope.FRRC and layout.ms_reader is None:
        return _undefined_scope(layout, scope, level, "one reader an arm says nothing about readers in general")
    cov2, cov3 = layout.cov2 or 0.0, layout.cov3 or 0.0
    factor = (n - float(np.sum(counts**2)) / n) / (t - 1)
    df2: float | None = None
    if scope is Scope.FRRC:
        denominator = layout.error - cov2 + factor * (cov2 - cov3)
    else:
        ms_reader = layout.ms_reader or 0.0
        shared = factor * max(cov2 - cov3, 0.0) if scope is Scope.RRRC else 0.0
        denominator = ms_reader + shared
        df2 = hillis_freedom(ms_reader, shared, n - t, layout.error)
    return _finish_scope(
        layout, scope, level, denominator, df2, lambda first, second: 1.0 / counts[first] + 1.0 / counts[second]
    )


def _said(scopes: Iterable[ScopeAnalysis]) -> tuple[ScopeAnalysis, ...]:
    """The scopes, random readers with a note where the variance between readers was estimated as zero."""
    found = {item.scope: item for item in scopes}
    random, fixed = found[Scope.RRRC], found[Scope.FRRC]
    contrasts = say_zero_reader_variance_each(random.contrasts, fixed.contrasts)
    means = tuple(
        one.with_note(ZERO_READER_VARIANCE) if is_reader_variance_zero(one, other) else one
        for one, other in zip(random.means, fixed.means, strict=True)
    )
    overall = random.overall
    if any(ZERO_READER_VARIANCE in one.test.notes for one in contrasts):
        overall = replace(overall, notes=(ZERO_READER_VARIANCE, *overall.notes))
    found[Scope.RRRC] = replace(random, overall=overall, contrasts=contrasts, means=means)
    return tuple(found.values())


def _finish_scope(
    layout: _Layout,
    scope: Scope,
    level: float,
    denominator: float,
    df2: float | None,
    weight: Callable[[int, int], float],
) -> ScopeAnalysis:
    """Overall test, contrasts and means from the denominator of a scope."""
    method = f"Obuchowski-Rockette {scope.value}"
    means, mean_dfs = zip(*(layout.mean_of_arm(arm, scope, level) for arm in range(layout.n_arms)), strict=True)
    if layout.n_arms < 2:
        overall = undefined_test("there is one arm, so there is nothing to compare", method=method)
        return ScopeAnalysis(scope, overall, (), means, mean_dfs, None)
    df1 = layout.n_arms - 1
    ms_arm = float(layout.ms_arm or 0.0)
    if denominator <= NOTHING * layout.error or denominator <= 0.0:
        reason = (
            "its variance estimate is negative"
            if denominator < -NOTHING * layout.error
            else "the readers' differences between arms do not vary, so they have no sampling variance"
        )
        overall = undefined_test(reason, method=method)
    elif scope is Scope.FRRC:
        chi2 = df1 * ms_arm / denominator
        overall = TestResult(chi2, float(special.chdtrc(df1, chi2)), method + ", chi-squared", float(df1))
    else:
        ratio = ms_arm / denominator
        dfs = (float(df1), float("inf") if df2 is None else df2)
        notes = (NO_READER_VARIANCE,) if np.isinf(dfs[1]) else ()
        overall = TestResult(ratio, _f_tail(ratio, *dfs), method + ", F", dfs, notes=notes)
    contrasts = tuple(
        ArmContrast(
            layout.figures.arms[first],
            layout.figures.arms[second],
            contrast_test(
                float(layout.arm_means[first] - layout.arm_means[second]),
                weight(first, second) * denominator,
                df2,
                level,
                method,
                layout.error,
            ),
        )
        for first, second in combinations(range(layout.n_arms), 2)
    )
    return ScopeAnalysis(scope, overall, contrasts, means, mean_dfs, denominator)


def _undefined_scope(layout: _Layout, scope: Scope, level: float, reason: str) -> ScopeAnalysis:
    """A scope that the design cannot support; the differences keep their value."""
    method = f"Obuchowski-Rockette {scope.value}"
    contrasts = []
    for first, second in combinations(range(layout.n_arms), 2):
        value = float(layout.arm_means[first] - layout.arm_means[second])
        difference = Estimate(value, None, None, None, level, method, State.DEGENERATE, reason)
        test = TestResult(None, None, method, difference=difference, state=State.UNDEFINED, reason=reason)
        contrasts.append(ArmContrast(layout.figures.arms[first], layout.figures.arms[second], test))
    means = tuple(_one_reader_mean(float(value), level, method) for value in layout.arm_means)
    overall = undefined_test(reason, method=method)
    return ScopeAnalysis(scope, overall, tuple(contrasts), means, (None,) * layout.n_arms, None)


def _one_reader_mean(value: float, level: float, method: str) -> Estimate:
    """The figure of a single reader has no variance between readers."""
    reason = "one reader says nothing about readers in general"
    return Estimate(value, None, None, None, level, method, State.DEGENERATE, reason)


def _f_tail(ratio: float, df1: float, df2: float) -> float:
    """Upper tail of F; chi-squared when the denominator is known exactly."""
    if np.isinf(df2):
        return float(special.chdtrc(df1, ratio * df1))
    return float(special.fdtrc(df1, df2, ratio))


def _mean_where(matrix: FloatArray, chosen: np.ndarray) -> float | None:
    """Mean over chosen entries; None when there are none."""
    return float(matrix[chosen].mean()) if chosen.any() else None
