"""The bootstrap: stratified by reference standard, clustered by patient, over cases or over readers and cases.

Measures: :func:`bootstrap_auc`, :func:`bootstrap_auc_difference`, :func:`bootstrap_reader_average`,
:func:`bootstrap_estimate` (any statistic of cases).

Conventions: randomness comes in as ``rng`` and nothing is random without it. Positive and negative cases are drawn
separately, so every replicate has as many of each as the study (with ``patients``: patients are drawn, separately
those with only positive, only negative, and both kinds of cases, and all cases of a drawn patient come along).
Ratings are sorted once; a replicate is a vector of how often each case was drawn. A replicate on which the statistic
is not defined is left out and counted in a note. Percentile limits move by about 0.005 from seed to seed.

>>> truth, rating = [0, 0, 0, 1, 1, 1], [1, 2, 3, 2, 4, 5]
>>> found = bootstrap_auc(truth, rating, rng=np.random.default_rng(1), n_replicates=2_000)
>>> print(f"{found.value:.3f}, upper limit {found.upper:.1f}")
0.833, upper limit 1.0

References
----------
Efron and Tibshirani (1993), An Introduction to the Bootstrap, Chapman & Hall. Efron (1987), JASA 82:171-185 (BCa).
Davison and Hinkley (1997), Bootstrap Methods and their Application, Cambridge, section 5.3 (several samples).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.result import Estimate, State, undefined_estimate
from core.statistics.validation import (
    BoolArray,
    FloatArray,
    IntArray,
    check_confidence_level,
    check_groups,
    check_ratings,
    check_rng,
    check_truth,
    require_both_classes,
)

IntervalKind = Literal["percentile", "bca"]

#: Replicates times cases held in memory at once; about what stays in the processor's cache.
_BLOCK = 200_000


@dataclass(frozen=True)
class CaseResampler:
    """Draws cases with replacement, within strata, whole patients at a time."""

    cluster: IntArray  # (n_cases,) patient of each case; the case itself when every patient has one
    members: tuple[IntArray, ...]  # clusters of each stratum
    n_clusters: int

    @classmethod
    def build(
        cls,
        n_cases: int,
        *,
        strata: IntArray | None = None,
        patients: Sequence[Hashable] | np.ndarray | None = None,
    ) -> CaseResampler:
        """Resampler for ``n_cases`` cases; a patient's stratum is the set of its cases' strata."""
        case_stratum = np.zeros(n_cases, dtype=np.int64) if strata is None else np.asarray(strata)
        if case_stratum.shape != (n_cases,):
            raise StatisticsInputError(
                f"must have one entry for each of {n_cases} cases", field="strata", value=case_stratum.shape
            )
        if patients is None:
            cluster = np.arange(n_cases)
            signature: list[tuple[int, ...]] = [(int(stratum),) for stratum in case_stratum]
        else:
            cluster = check_groups(patients, n_cases)
            kinds: list[set[int]] = [set() for _ in range(int(cluster.max()) + 1)]
            for patient, stratum in zip(cluster.tolist(), case_stratum.tolist(), strict=True):
                kinds[patient].add(stratum)
            signature = [tuple(sorted(kind)) for kind in kinds]
        by_kind: dict[tuple[int, ...], list[int]] = {}
        for index, kind in enumerate(signature):
            by_kind.setdefault(kind, []).append(index)
        members = tuple(np.array(by_kind[kind], dtype=np.int64) for kind in sorted(by_kind))
        return cls(cluster=cluster, members=members, n_clusters=len(signature))

    @property
    def notes(self) -> tuple[str, ...]:
        """What an interval must say when a stratum has one case (or patient)."""
        if all(group.size > 1 for group in self.members):
            return ()
        return (
            "a stratum (positive, negative, or both) has a single case or patient, which every replicate holds: the "
            "interval takes no account of its sampling and is too narrow",
        )

    def draw(self, n_replicates: int, rng: np.random.Generator) -> Iterator[IntArray]:
        """Blocks of how often each case was drawn, each of shape (some replicates, n_cases)."""
        size = max(1, _BLOCK // max(1, self.cluster.size))
        for start in range(0, n_replicates, size):
            yield self._draw_block(min(size, n_replicates - start), rng)

    def _draw_block(self, size: int, rng: np.random.Generator) -> IntArray:
        drawn = np.empty((size, self.n_clusters), dtype=np.int64)
        row = np.arange(size)[:, None]
        for group in self.members:
            picked = rng.integers(group.size, size=(size, group.size))
            picked += row * group.size
            drawn[:, group] = np.bincount(picked.ravel(), minlength=size * group.size).reshape(size, group.size)
        return drawn if self.n_clusters == self.cluster.size else drawn[:, self.cluster]

    def leave_one_out(self) -> Iterator[tuple[int, IntArray]]:
        """Size of the stratum and case counts (clusters of it, n_cases) with each of its clusters left out in turn."""
        size = max(1, _BLOCK // max(1, self.cluster.size))
        for group in self.members:
            for start in range(0, group.size, size):
                left_out = group[start : start + size]
                yield group.size, (self.cluster[None, :] != left_out[:, None]).astype(np.int64)


@dataclass(frozen=True)
class PresortedRatings:
    """One curve's ratings in ascending order with its groups of ties, ready to be re-weighted."""

    order: IntArray  # (n_cases,)
    is_positive: BoolArray  # (n_cases,), in ascending order of rating
    last: IntArray  # (n_groups,) position of the last case of each group of ties

    @classmethod
    def build(cls, truth: BoolArray, ratings: FloatArray) -> PresortedRatings:
        """Sort once; ``ratings`` has shape (n_cases,)."""
        order = np.argsort(ratings, kind="stable")
        ordered = ratings[order]
        last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        return cls(order=order, is_positive=truth[order], last=last)

    def cumulative(self, counts: IntArray) -> tuple[FloatArray, FloatArray]:
        """Weight of positive and of negative cases up to each group of ties, each (n_replicates, n_groups)."""
        ordered = counts[:, self.order]
        total = np.cumsum(ordered, axis=1)
        positive = np.cumsum(ordered * self.is_positive, axis=1)
        if self.last.size < self.order.size:
            total, positive = total[:, self.last], positive[:, self.last]
        return positive.astype(np.float64), (total - positive).astype(np.float64)

    def auc(self, counts: IntArray) -> FloatArray:
        """AUC of each row of case counts, shape (n_replicates,); NaN where a class was not drawn."""
        positive, negative = self.cumulative(counts)
        n_positive, n_negative = positive[:, -1].copy(), negative[:, -1].copy()
        # Twice the negatives below a positive of the group, ties counting one half: up to here plus up to the last one.
        twice_below = negative.copy()
        twice_below[:, 1:] += negative[:, :-1]
        positive[:, 1:] -= positive[:, :-1].copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.einsum("ij,ij->i", positive, twice_below) / (2.0 * n_positive * n_negative)


def bootstrap_auc(
    truth: ArrayLike,
    ratings: ArrayLike,
    *,
    rng: np.random.Generator,
    n_replicates: int = 10_000,
    interval: IntervalKind = "percentile",
    confidence_level: float = 0.95,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """AUC with a bootstrap interval.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard.
    ratings : float array, shape (n_cases,)
        Ratings, higher is more likely positive.
    rng : numpy.random.Generator
        Source of randomness.
    n_replicates : int
        Replicates; at least 2,000 for limits.
    interval : {"percentile", "bca"}
        Kind of interval.
    patients : sequence, shape (n_cases,), optional
        Patient of each case; patients are then drawn, not cases.

    Returns
    -------
    Estimate
        Undefined without positive or negative cases, degenerate when all replicates agree (AUC = 1).
    """
    is_positive = check_truth(truth)
    matrix = check_ratings(ratings, is_positive.size)
    _require_rows(matrix, 1)
    return _bootstrap_aucs(
        is_positive, matrix, np.array([1.0]), rng, n_replicates, interval, confidence_level, patients
    )


def bootstrap_auc_difference(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    rng: np.random.Generator,
    n_replicates: int = 10_000,
    interval: IntervalKind = "percentile",
    confidence_level: float = 0.95,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Difference of two AUCs over the same cases, first minus second; parameters as in :func:`bootstrap_auc`."""
    is_positive = check_truth(truth)
    one = check_ratings(first, is_positive.size, field="first")
    two = check_ratings(second, is_positive.size, field="second")
    matrix = np.vstack([one, two])
    _require_rows(matrix, 2)
    return _bootstrap_aucs(
        is_positive, matrix, np.array([1.0, -1.0]), rng, n_replicates, interval, confidence_level, patients
    )


def bootstrap_reader_average(
    truth: ArrayLike,
    ratings: ArrayLike,
    *,
    rng: np.random.Generator,
    second: ArrayLike | None = None,
    resample_readers: bool = True,
    n_replicates: int = 2_000,
    confidence_level: float = 0.95,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Mean AUC over readers, or its difference between two arms; readers and cases are drawn.

    Parameters
    ----------
    truth : bool array, shape (n_cases,)
        Reference standard.
    ratings : float array, shape (n_readers, n_cases)
        Ratings of the (first) arm.
    second : float array, shape (n_readers, n_cases), optional
        Ratings of the same readers in a second arm; the estimate is then first minus second.
    resample_readers : bool
        False keeps the readers as they are: the interval then speaks of these readers only.
    rng, n_replicates, confidence_level, patients
        As in :func:`bootstrap_auc`; the interval is the percentile interval.

    Notes
    -----
    With few readers (fewer than about five) drawing readers gives intervals that are too narrow; the method of
    Obuchowski and Rockette is the better answer there.
    """
    is_positive = check_truth(truth)
    matrix = check_ratings(ratings, is_positive.size)
    n_readers = matrix.shape[0]
    weights = np.full((1, n_readers), 1.0)
    if second is not None:
        other = check_ratings(second, is_positive.size, field="second")
        if other.shape != matrix.shape:
            raise StatisticsInputError(
                f"must have the shape of ratings, {matrix.shape}", field="second", value=other.shape
            )
        matrix = np.vstack([matrix, other])
        weights = np.array([[1.0], [-1.0]]) * weights
    level = check_confidence_level(confidence_level)
    generator = check_rng(rng)
    replicates_wanted = _check_replicates(n_replicates)
    name = f"bootstrap of {'readers and cases' if resample_readers else 'cases'}, percentile, B={replicates_wanted}"
    try:
        require_both_classes(is_positive)
    except UndefinedStatisticError as error:
        return undefined_estimate(str(error), confidence_level=level, method=name, n=is_positive.size)
    resampler = CaseResampler.build(is_positive.size, strata=is_positive.astype(np.int64), patients=patients)
    curves = [PresortedRatings.build(is_positive, row) for row in matrix]
    whole = np.ones((1, is_positive.size), dtype=np.int64)
    whole_areas = np.array([curve.auc(whole)[0] for curve in curves]).reshape(-1, n_readers)
    value = float(whole_areas.mean(axis=1) @ weights[:, 0])
    found = []
    for counts in resampler.draw(replicates_wanted, generator):
        areas = np.stack([curve.auc(counts) for curve in curves], axis=1).reshape(len(counts), -1, n_readers)
        share = np.full((len(counts), n_readers), 1.0 / n_readers)
        if resample_readers:
            share = generator.multinomial(n_readers, share[0], size=len(counts)) / n_readers
        found.append(np.einsum("bar,a,br->b", areas, weights[:, 0], share))
    note = ("fewer than five readers: an interval over random readers is too narrow",)
    return _interval(
        value,
        np.concatenate(found),
        level,
        name,
        is_positive.size,
        interval="percentile",
        notes=(note if resample_readers and n_readers < 5 else ()) + resampler.notes,
    )


def bootstrap_estimate(
    statistic: Callable[[IntArray], float],
    n_cases: int,
    *,
    rng: np.random.Generator,
    n_replicates: int = 2_000,
    interval: IntervalKind = "percentile",
    confidence_level: float = 0.95,
    strata: ArrayLike | None = None,
    patients: Sequence[Hashable] | np.ndarray | None = None,
) -> Estimate:
    """Any statistic of a set of cases with a bootstrap interval.

    Parameters
    ----------
    statistic : callable
        Takes case indices (int array, repeats allowed) and returns a number; NaN or ``UndefinedStatisticError`` mean
        that it is not defined on these cases.
    n_cases : int
        Number of cases.
    strata : int array, shape (n_cases,), optional
        Stratum of each case, usually its reference standard.
    rng, n_replicates, interval, confidence_level, patients
        As in :func:`bootstrap_auc`.
    """
    level = check_confidence_level(confidence_level)
    generator = check_rng(rng)
    wanted = _check_replicates(n_replicates)
    name = f"bootstrap, {_check_kind(interval)}, B={wanted}"
    if n_cases < 1:
        return undefined_estimate("There is no case.", confidence_level=level, method=name, n=0)
    resampler = CaseResampler.build(
        n_cases, strata=None if strata is None else np.asarray(strata).astype(np.int64), patients=patients
    )
    cases = np.arange(n_cases)

    def evaluate(indices: IntArray) -> float:
        try:
            return float(statistic(indices))
        except UndefinedStatisticError:
            return float("nan")

    value = evaluate(cases)
    if np.isnan(value):
        return undefined_estimate("It is not defined on these cases.", confidence_level=level, method=name, n=n_cases)
    replicates = np.array(
        [evaluate(np.repeat(cases, row)) for counts in resampler.draw(wanted, generator) for row in counts]
    )
    influence = None
    if interval == "bca":
        influence = _influence(
            value, resampler, lambda counts: np.array([evaluate(np.repeat(cases, row)) for row in counts])
        )
    return _interval(
        value, replicates, level, name, n_cases, interval=interval, influence=influence, notes=resampler.notes
    )


def _bootstrap_aucs(
    is_positive: BoolArray,
    matrix: FloatArray,
    contrast: FloatArray,
    rng: np.random.Generator,
    n_replicates: int,
    interval: IntervalKind,
    confidence_level: float,
    patients: Sequence[Hashable] | np.ndarray | None,
) -> Estimate:
    """Contrast of the AUCs of the rows of ``matrix``."""
    level = check_confidence_level(confidence_level)
    generator = check_rng(rng)
    wanted = _check_replicates(n_replicates)
    unit = "patients" if patients is not None else "cases"
    name = f"bootstrap of {unit} stratified by truth, {_check_kind(interval)}, B={wanted}"
    try:
        require_both_classes(is_positive)
    except UndefinedStatisticError as error:
        return undefined_estimate(str(error), confidence_level=level, method=name, n=is_positive.size)
    resampler = CaseResampler.build(is_positive.size, strata=is_positive.astype(np.int64), patients=patients)
    curves = [PresortedRatings.build(is_positive, row) for row in matrix]

    def areas(counts: IntArray) -> FloatArray:
        return np.stack([curve.auc(counts) for curve in curves], axis=1) @ contrast

    value = float(areas(np.ones((1, is_positive.size), dtype=np.int64))[0])
    replicates = np.concatenate([areas(counts) for counts in resampler.draw(wanted, generator)])
    influence = _influence(value, resampler, areas) if interval == "bca" else None
    return _interval(
        value,
        replicates,
        level,
        name,
        is_positive.size,
        interval=interval,
        influence=influence,
        notes=resampler.notes,
    )


def _influence(
    value: float, resampler: CaseResampler, evaluate: Callable[[IntArray], FloatArray]
) -> tuple[float, float]:
    """Sums of the squares and cubes of the jackknife influence values, each over its stratum's size."""
    squares = cubes = 0.0
    for size, counts in resampler.leave_one_out():
        influence = (size - 1.0) * (value - evaluate(counts)) / size
        influence = influence[np.isfinite(influence)]
        squares += float(np.sum(influence**2))
        cubes += float(np.sum(influence**3))
    return squares, cubes


def _interval(
    value: float,
    replicates: FloatArray,
    level: float,
    name: str,
    n: int,
    *,
    interval: IntervalKind,
    influence: tuple[float, float] | None = None,
    notes: tuple[str, ...] = (),
) -> Estimate:
    """Limits from replicates; NaN replicates are left out and counted."""
    defined = replicates[np.isfinite(replicates)]
    lost = replicates.size - defined.size
    if lost:
        notes = (*notes, f"{lost} of {replicates.size} replicates were not defined and left out")
    if defined.size < 2 or np.ptp(defined) < 1e-12:
        reason = "All bootstrap replicates agree, so they say nothing about the uncertainty."
        return Estimate(value, None, None, None, level, name, State.DEGENERATE, reason, notes, n)
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    if interval == "bca":
        below = (np.sum(defined < value - 1e-12) + 0.5 * np.sum(np.abs(defined - value) <= 1e-12)) / defined.size
        if influence is None or influence[0] == 0.0 or not 0.0 < below < 1.0:
            reason = "The BCa correction is not defined: all replicates lie on one side of the estimate."
            error = float(defined.std(ddof=1))
            return Estimate(value, error, None, None, level, name, State.DEGENERATE, reason, notes, n)
        bias = float(stats.norm.ppf(below))
        acceleration = influence[1] / (6.0 * influence[0] ** 1.5)
        shifted = bias + stats.norm.ppf(tails)
        tails = stats.norm.cdf(bias + shifted / (1.0 - acceleration * shifted))
    lower, upper = (float(limit) for limit in np.quantile(defined, tails))
    return Estimate(value, float(defined.std(ddof=1)), lower, upper, level, name, n=n, notes=notes)


def _check_replicates(n_replicates: int) -> int:
    if isinstance(n_replicates, bool) or not isinstance(n_replicates, int | np.integer) or n_replicates < 100:
        raise StatisticsInputError(
            "must be a whole number of at least 100", field="n_replicates", value=n_replicates, fix="use 2000 or more"
        )
    return int(n_replicates)


def _check_kind(interval: str) -> str:
    if interval not in ("percentile", "bca"):
        raise StatisticsInputError(
            "unknown interval", field="interval", value=interval, fix="use 'percentile' or 'bca'"
        )
    return "BCa" if interval == "bca" else interval


def _require_rows(matrix: FloatArray, n_rows: int) -> None:
    if matrix.shape[0] != n_rows:
        raise StatisticsInputError(f"must hold {n_rows} curve(s)", field="ratings", value=matrix.shape)
