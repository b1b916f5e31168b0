"""Variance of reader-averaged AUCs from moments of the success kernel: U-statistics (unbiased) and V-statistics (MLE).

Measures: :func:`imrmc_analysis`.

The kernel is 1 when a positive case outranks a negative one, a half for a tie. Eight moments of its products (same or
different negative case, positive case, reader) give the variance of the reader-averaged AUC and the covariance of two
arms in any design: fully crossed, split-plot, missing readings. This is the method of the iMRMC software.

Conventions
-----------
- The reader-averaged AUC pools the pairs of all readers: readers who read more pairs weigh more. With complete data it
  is the plain mean.
- The U-statistic variance is unbiased and **can be negative**: then the state says so and there is no test. The
  V-statistic ("MLE") variance is biased upwards, and never negative in a fully crossed design.
- Degrees of freedom ("BDG") from the V-statistic components of reader, negative and positive case variance, at least
  the smallest of readers - 1, negatives - 1, positives - 1 (Gaylor and Hopper). Tests and intervals round them down,
  and use the normal distribution from 50 on (not rounded), as iMRMC does. Fewer than one leaves no test.
- An arm alone is tested against AUC 0.5.

>>> rng = np.random.default_rng(3)
>>> study = ReaderStudy.from_dense([0, 1] * 15, ratings=rng.normal(size=(2, 4, 30)) + [0, 1] * 15)
>>> print(imrmc_analysis(study).pairs[0].test)
-0.0322 (95% -0.3176 to 0.2585), statistic -0.3459, df 3, p = 0.7522; U-statistic, BDG t

References
----------
Gallas (2006), Acad. Radiol. 13:353-362.
Gallas and Brown (2008), Neural Netw. 21:387-397 (split-plot designs).
Gallas, Bandos, Samuelson and Wagner (2009), Commun. Stat. Theory Methods 38:2586-2603.
Obuchowski, Gallas and Hillis (2012), Acad. Radiol. 19:1508-1517 (degrees of freedom).
Gaylor and Hopper (1969), Technometrics 11:691-706.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.range_limits import difference_estimate
from core.statistics.reader_study import Figure, ReaderStudy, check_figure
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_test
from core.statistics.scope import quantile, upper_tail
from core.statistics.validation import BoolArray, FloatArray, check_confidence_level

# Sums over all pairs of terms -> sums over pairs that differ in negative case, positive case (Gallas 2009).
_DISTINCT_CASES = np.array([[1, 0, 0, 0], [-1, 1, 0, 0], [-1, 0, 1, 0], [1, -1, -1, 1]], dtype=np.float64)
# Coefficients of the moments -> coefficients of the variance components of negative case, positive case, reader.
_NEGATIVE = np.array([1, 0, 1, 0, 1, 0, 1, 0], dtype=np.float64)
_POSITIVE = np.array([1, 1, 0, 0, 1, 1, 0, 0], dtype=np.float64)
_READER = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=np.float64)
#: From this many degrees of freedom on, not rounded, iMRMC uses the normal distribution.
_NORMAL_FROM = 50.0


class VarianceKind(StrEnum):
    """Which variance of the reader-averaged AUC."""

    U_STATISTIC = "ustat"
    V_STATISTIC = "mle"


@dataclass(frozen=True)
class MomentCovariance:
    """Covariance of two arms' reader-averaged AUCs (of an arm with itself: the variance)."""

    u_statistic: float
    v_statistic: float
    components: FloatArray  # (3,) V-statistic components of negative case, positive case and reader
    degrees_of_freedom: FloatArray  # (3,) effective negative cases - 1, positive cases - 1, readers - 1


@dataclass(frozen=True)
class UstatComparison(Reported):
    """One arm against AUC 0.5, or two arms against each other."""

    first: str
    second: str | None
    first_auc: float
    second_auc: float | None
    variance: float  # of the AUC, or of the difference; may be negative for the U-statistic
    first_variance: float
    second_variance: float | None
    degrees_of_freedom: float | None  # BDG, not rounded; None with a negative variance
    estimate: Estimate  # AUC or difference, interval by t
    test: TestResult  # t with BDG degrees of freedom rounded down, or normal from 50 on
    normal_test: TestResult


@dataclass(frozen=True)
class UstatAnalysis(Reported):
    """U- or V-statistic analysis of all arms and pairs of arms."""

    kind: VarianceKind
    arms: tuple[UstatComparison, ...]
    pairs: tuple[UstatComparison, ...]

    def pair(self, first: str, second: str) -> UstatComparison:
        """The comparison of two arms, in the order of the study."""
        for item in self.pairs:
            if (item.first, item.second) == (first, second):
                return item
        raise StatisticsInputError(
            "is not a pair of arms of this analysis", field="first, second", value=(first, second)
        )


def imrmc_analysis(
    study: ReaderStudy,
    *,
    kind: VarianceKind | str = VarianceKind.U_STATISTIC,
    figure: Figure | str = Figure.AUC,
    positive: Hashable | None = None,
    confidence_level: float = 0.95,
) -> UstatAnalysis:
    """Reader-averaged AUC (or accuracy, sensitivity, specificity) of every arm and every difference, in any design.

    Parameters
    ----------
    study : ReaderStudy
        With ratings for an AUC, with labels otherwise; missing readings and split-plot designs are allowed.
    kind : VarianceKind or str
        "ustat" (unbiased, may be negative) or "mle" (V-statistic).
    figure : Figure or str
        "auc", or a share of right answers: "accuracy", "sensitivity", "specificity". An arm's share alone has an
        interval and no test.
    positive : class key, optional
        Class against the rest; needed when there are more than two classes, except for the accuracy.
    confidence_level : float
        Of the intervals.

    Returns
    -------
    UstatAnalysis
        A negative variance gives ``State.DEGENERATE`` estimates and ``State.UNDEFINED`` tests that say so.

    Raises
    ------
    StatisticsInputError
        If there are no ratings, or ``positive`` is absent with several classes.
    UndefinedStatisticError
        If an arm has fewer than two readers, positive or negative cases.

    References
    ----------
    Gallas and Brown (2008), Neural Netw. 21:387-397. Obuchowski, Gallas and Hillis (2012), Acad. Radiol. 19:1508-1517.
    """
    level = check_confidence_level(confidence_level)
    chosen = _check_kind(kind)
    what = check_figure(figure)
    truth, ratings = _two_class(study, positive) if what is Figure.AUC else _right_answers(study, what, positive)
    is_share = what is not Figure.AUC
    sums = [_arm_kernels(truth, rows, arm, is_share=is_share) for arm, rows in zip(study.arms, ratings, strict=True)]
    own = [_covariance(one, one) for one in sums]
    null = None if is_share else 0.5
    arms = []
    for arm, (one, covariance) in enumerate(zip(sums, own, strict=True)):
        variance = _pick(covariance, chosen)
        df = _bdg(variance, covariance.components, covariance.degrees_of_freedom)
        arms.append(
            _comparison(study.arms[arm], None, one.auc, None, variance, variance, None, df, null, level, chosen)
        )
    pairs = []
    for a in range(len(sums)):
        for b in range(a + 1, len(sums)):
            cross = _covariance(sums[a], sums[b])
            variances = [_pick(item, chosen) for item in (own[a], own[b], cross)]
            variance = variances[0] + variances[1] - 2 * variances[2]
            components = own[a].components + own[b].components - 2 * cross.components
            limits = np.minimum(own[a].degrees_of_freedom, own[b].degrees_of_freedom)
            df = _bdg(variance, components, limits)
            pairs.append(
                _comparison(
                    study.arms[a],
                    study.arms[b],
                    sums[a].auc,
                    sums[b].auc,
                    variance,
                    variances[0],
                    variances[1],
                    df,
                    0.0,
                    level,
                    chosen,
                )
            )
    if study.patient is not None:
        arms, pairs = [_independent(each) for each in arms], [_independent(each) for each in pairs]
    return UstatAnalysis(chosen, tuple(arms), tuple(pairs))


def _independent(row: UstatComparison) -> UstatComparison:
    """A comparison that says what it takes for granted."""
    note = "some patients have several cases: the U-statistics take cases as independent; use Obuchowski-Rockette"
    test = replace(row.test, notes=(note, *row.test.notes))
    return replace(row, estimate=row.estimate.with_note(note), test=test)


@dataclass(frozen=True)
class _ArmKernels:
    """Success kernels of the readers of an arm, and whether each pair of cases was read."""

    doubled: tuple[NDArray[np.uint8], ...]  # per reader (negative, positive): 2 won, 1 tied, 0 lost or not read
    negative_read: BoolArray  # (reader, negative)
    positive_read: BoolArray  # (reader, positive)
    auc: float
    is_share: bool  # of right answers: the negative cases stand for nothing


def _check_kind(kind: VarianceKind | str) -> VarianceKind:
    """The variance of that name."""
    try:
        return VarianceKind(str(kind).lower())
    except ValueError as error:
        raise StatisticsInputError(
            "is not a kind of variance", field="kind", value=kind, fix="use 'ustat' or 'mle'"
        ) from error


def _class_index(study: ReaderStudy, positive: Hashable | None) -> int:
    """Position of the positive class; of two the second unless said otherwise."""
    if positive is None:
        if len(study.classes) > 2:
            raise StatisticsInputError("is needed with more than two classes", field="positive")
        return 1
    if positive not in study.classes:
        raise StatisticsInputError("is not a class of this study", field="positive", value=positive)
    return study.classes.index(positive)


def _two_class(study: ReaderStudy, positive: Hashable | None) -> tuple[BoolArray, FloatArray]:
    """Truth and ratings (arm, reader, case) of one class against the rest."""
    if study.ratings is None:
        raise StatisticsInputError("are absent", field="ratings", fix="an AUC needs ratings, not labels")
    index = _class_index(study, positive)
    if study.ratings.shape[0] == 1:
        return study.truth == index, study.ratings[0] * (1.0 if index == 1 else -1.0)
    return study.truth == index, study.ratings[index]


def _right_answers(study: ReaderStudy, figure: Figure, positive: Hashable | None) -> tuple[BoolArray, FloatArray]:
    """Whether each answer is right, as an AUC against two cases that everybody rates one half.

    A right answer (1) outranks them and a wrong one (0) does not, so that the AUC is the share of right answers; as
    both are alike, they add nothing to the variance.
    """
    if study.labels is None:
        raise StatisticsInputError("are absent", field="labels", fix="a share of right answers needs chosen classes")
    labels = study.labels  # (arm, reader, case)
    if figure is Figure.ACCURACY and positive is None:
        right, counted = labels == study.truth, np.ones(study.truth.size, dtype=np.bool_)
    else:
        index = _class_index(study, positive)
        right, counted = (labels == index) == (study.truth == index), np.ones(study.truth.size, dtype=np.bool_)
        if figure is not Figure.ACCURACY:
            counted = (study.truth == index) == (figure is Figure.SENSITIVITY)
    outcomes = np.where(np.isnan(labels), np.nan, right)[:, :, counted]
    half = np.full((*outcomes.shape[:2], 2), 0.5)
    truth = np.repeat([False, True], [2, outcomes.shape[2]])
    return truth, np.concatenate([half, outcomes], axis=2)


def _arm_kernels(truth: BoolArray, ratings: FloatArray, arm: str, *, is_share: bool) -> _ArmKernels:
    """Kernels of one arm from ratings (reader, case)."""
    is_read = ~np.isnan(ratings)
    positive_read, negative_read = is_read[:, truth], is_read[:, ~truth]
    for name, count in (
        ("readers", int((positive_read.any(axis=1) & negative_read.any(axis=1)).sum())),
        ("positive cases", int(positive_read.any(axis=0).sum())),
        ("negative cases", int(negative_read.any(axis=0).sum())),
    ):
        if count < 2:
            raise UndefinedStatisticError(f"Arm {arm} has {count} {name} with readings; the variance needs two.")
    doubled = []
    wins = 0.0
    with np.errstate(invalid="ignore"):  # comparisons with NaN are False: a missing reading adds nothing
        for row in ratings:
            negative, positive = row[~truth][:, None], row[truth][None, :]
            kernel = 2 * (positive > negative).astype(np.uint8) + (positive == negative)
            doubled.append(kernel)
            wins += float(kernel.sum(dtype=np.int64)) / 2.0
    pairs = float((positive_read.sum(axis=1) * negative_read.sum(axis=1)).sum())
    return _ArmKernels(tuple(doubled), negative_read, positive_read, wins / pairs, is_share)


def _covariance(first: _ArmKernels, second: _ArmKernels) -> MomentCovariance:
    """Moments of two arms over the same readers and cases, and the covariance they give."""
    same_sums, same_counts = np.zeros(4), np.zeros(4)
    total_first, total_second = np.zeros(first.doubled[0].shape), np.zeros(first.doubled[0].shape)
    for reader, (doubled_a, doubled_b) in enumerate(zip(first.doubled, second.doubled, strict=True)):
        a, b = doubled_a / 2.0, doubled_b / 2.0
        total_first += a
        total_second += b
        same_sums += _pair_sums(a, b)
        same_counts += _pair_counts(first, second, slice(reader, reader + 1))
    # Sums over all pairs of readers need no loop over pairs: sum the kernels over readers first.
    all_sums = _pair_sums(total_first, total_second)
    all_counts = _pair_counts(first, second, slice(None))
    sums, counts = np.concatenate([same_sums, all_sums]), np.concatenate([same_counts, all_counts])
    distinct_sums, distinct_counts = _distinct(sums), _distinct(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        # A moment that no pair of readings supports has coefficient 0.
        unbiased = np.where(distinct_counts > 0, distinct_sums / distinct_counts, 0.0)
        biased = np.where(counts > 0, sums / counts, 0.0)
    coefficients = distinct_counts / counts[7]
    coefficients[7] -= 1.0
    components = np.array(
        [biased[6] - biased[7], biased[5] - biased[7], biased[3] - biased[7]]  # negative case, positive case, reader
    )
    with np.errstate(divide="ignore"):
        shares = np.array([coefficients @ _NEGATIVE, coefficients @ _POSITIVE, coefficients @ _READER])
        freedom = np.where(shares > 0, np.round(1.0 / shares - 1.0), np.inf)
    if first.is_share:
        freedom[0] = np.inf
    return MomentCovariance(float(coefficients @ unbiased), float(coefficients @ biased), components, freedom)


def _pair_sums(a: FloatArray, b: FloatArray) -> FloatArray:
    """Sums of products of two kernels: same pair, same positive, same negative, any."""
    return np.array(
        [
            np.sum(a * b),
            a.sum(axis=0) @ b.sum(axis=0),
            a.sum(axis=1) @ b.sum(axis=1),
            a.sum() * b.sum(),
        ]
    )


def _pair_counts(first: _ArmKernels, second: _ArmKernels, readers: slice) -> FloatArray:
    """Numbers of terms in those sums, over all pairs of the readers given."""
    negative_a, positive_a = (part[readers].astype(np.float64) for part in (first.negative_read, first.positive_read))
    negative_b, positive_b = (part[readers].astype(np.float64) for part in (second.negative_read, second.positive_read))
    design_a, design_b = negative_a.T @ positive_a, negative_b.T @ positive_b  # readers that read both cases
    return _pair_sums(design_a, design_b)


def _distinct(sums: FloatArray) -> FloatArray:
    """Sums over pairs that differ where the moment says they differ."""
    same_reader = _DISTINCT_CASES @ sums[:4]
    any_reader = _DISTINCT_CASES @ sums[4:]
    return np.concatenate([same_reader, any_reader - same_reader])


def _pick(covariance: MomentCovariance, kind: VarianceKind) -> float:
    """The variance of the kind asked for."""
    return covariance.u_statistic if kind is VarianceKind.U_STATISTIC else covariance.v_statistic


def _bdg(variance: float, components: FloatArray, freedom: FloatArray) -> float | None:
    """Degrees of freedom by Satterthwaite, bounded from below; None with a variance that is not positive."""
    if variance <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):  # no freedom of a component that does not vary counts nothing
        spread = float(np.nansum(components**2 / freedom**3))
    lowest = float(freedom.min())
    return lowest if spread == 0 else max(variance**2 / spread, lowest)


def _comparison(
    first: str,
    second: str | None,
    first_auc: float,
    second_auc: float | None,
    variance: float,
    first_variance: float,
    second_variance: float | None,
    df: float | None,
    null: float | None,
    level: float,
    kind: VarianceKind,
) -> UstatComparison:
    """Test and interval of an AUC or a difference."""
    method = "U-statistic" if kind is VarianceKind.U_STATISTIC else "V-statistic (MLE)"
    value = first_auc if second_auc is None else first_auc - second_auc
    if df is None:
        reason = (
            f"the {method} variance estimate is negative ({variance:.3g}); use the V-statistic, or more readers"
            if variance < 0
            else "the readings do not vary, so there is no sampling variance"
        )
        estimate = Estimate(value, None, None, None, level, method, State.DEGENERATE, reason)
        test = TestResult(None, None, method, difference=estimate, state=State.UNDEFINED, reason=reason)
        return UstatComparison(
            first, second, first_auc, second_auc, variance, first_variance, second_variance, None, estimate, test, test
        )
    standard_error = float(np.sqrt(variance))
    statistic = (value - (null or 0.0)) / standard_error
    normal = TestResult(statistic, float(2 * stats.norm.sf(abs(statistic))), f"{method}, normal")
    if null is None:
        normal = undefined_test("A share alone has no value to be tested against.", method=f"{method}, normal")
    shown = None if df >= _NORMAL_FROM else float(np.floor(df))
    if shown is not None and shown < 1.0:
        reason = f"{df:.3g} degrees of freedom, rounded down, leave no t distribution; use the V-statistic"
        estimate = Estimate(value, standard_error, None, None, level, method, State.DEGENERATE, reason)
        test = TestResult(
            statistic, None, f"{method}, BDG t", df, difference=estimate, state=State.UNDEFINED, reason=reason
        )
        return UstatComparison(
            first, second, first_auc, second_auc, variance, first_variance, second_variance, df, estimate, test, normal
        )
    factor = quantile((1.0 + level) / 2.0, shown)
    if second is None:
        half = factor * standard_error
        estimate = Estimate(
            value, standard_error, max(0.0, value - half), min(1.0, value + half), level, f"{method}, BDG t",
            wald_lower=value - half, wald_upper=value + half,
        )  # fmt: skip
    else:
        estimate = difference_estimate(value, standard_error, factor, level, f"{method}, BDG t")
    p_value = 2.0 * upper_tail(abs(statistic), shown)
    test = TestResult(statistic, p_value, f"{method}, BDG t", shown, difference=estimate)
    if null is None:
        test = TestResult(
            None, None, f"{method}, BDG t", shown, difference=estimate, state=State.UNDEFINED, reason=normal.reason
        )
    return UstatComparison(
        first, second, first_auc, second_auc, variance, first_variance, second_variance, df, estimate, test, normal
    )
