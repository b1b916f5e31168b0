"""Predictive values of each model against those of each reader, per class, on the cases that both answered.

The numbers are those of :func:`core.statistics.predictive_comparison.compare_predictive_values`, from the eight counts
of truth by first call by second call, for all pairs and classes at once. Kosinski's weighted score test is the default
(better size); Leisenring's p-value stands beside it. Holm's adjustment is over pairs and classes, for PPV and NPV each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from core.statistics.multiplicity import holm
from core.statistics.result import Estimate, TestResult, undefined_test
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.data import FloatArray, IntArray
from core.study_analysis.joint_answers import joint_answers
from core.study_analysis.pairs import MODEL_AGAINST_READER, pair_families
from core.study_analysis.results import PredictiveComparison, identity_of

#: A variance below this is none (that of ``compare_predictive_values``).
NO_VARIANCE = 1e-15
CLUSTER_NOTE = "some patients have several cases: the test takes cases as independent"


@dataclass(frozen=True, eq=False)
class _Scores:
    """Shares and tests of many pairs; NaN where undefined."""

    shares: tuple[FloatArray, FloatArray]
    has_calls: FloatArray
    error: FloatArray
    weighted: FloatArray  # Kosinski's statistic
    generalised: FloatArray  # Leisenring's


def predictive_comparisons(cohort: CohortArrays, confidence_level: float) -> tuple[PredictiveComparison, ...]:
    """PPV and NPV of every model minus those of every reader, per class.

    References
    ----------
    Leisenring, Alonzo and Pepe (2000), Biometrics 56:345-351. Kosinski (2013), Stat. Med. 32:964-977.
    """
    pairs = [
        pair
        for pair, family in pair_families(cohort.participants).items()
        if family == MODEL_AGAINST_READER and all(cohort.participants[place].has_labels for place in pair)
    ]
    if not pairs:
        return ()
    answers = joint_answers(cohort, pairs)
    counts = np.stack([_one_against_rest(answers, index) for index in cohort.curve_classes], axis=1)
    notes = (CLUSTER_NOTE,) if cohort.is_clustered else ()
    quantile = float(stats.norm.isf((1.0 - confidence_level) / 2.0))
    found: list[PredictiveComparison] = []
    for what, table in (("PPV", counts), ("NPV", counts[:, :, ::-1, ::-1, ::-1])):
        scores = _scores(table.astype(np.float64))
        kosinski, leisenring = (stats.chi2.sf(found_by, 1) for found_by in (scores.weighted, scores.generalised))
        part = []
        for at, pair in enumerate(pairs):
            one, two = (cohort.participants[place] for place in pair)
            n = int(counts[at, 0].sum())
            for column, index in enumerate(cohort.curve_classes):
                place = at, column
                test = _test(scores, place, what, float(kosinski[place]), confidence_level, quantile, n, notes)
                part.append(
                    PredictiveComparison(
                        first=identity_of(one),
                        second=identity_of(two),
                        class_key=cohort.class_keys[index],
                        quantity=what.lower(),
                        n_common=n,
                        first_value=_number(scores.shares[0][place]),
                        second_value=_number(scores.shares[1][place]),
                        test=test,
                        p_leisenring=_number(leisenring[place]) if scores.has_calls[place] else None,
                        p_holm=None,
                    )
                )
        adjusted = holm([item.test.p_value for item in part])
        found += [replace(item, p_holm=p) for item, p in zip(part, adjusted, strict=True)]
    return tuple(found)


def _one_against_rest(answers: IntArray, index: int) -> IntArray:
    """(n_pairs, 2, 2, 2): truth, first call, second call; 1 is the class and 0 the rest."""
    table = answers
    for axis in (1, 2, 3):
        chosen = np.take(table, [index], axis=axis)
        table = np.concatenate([table.sum(axis=axis, keepdims=True) - chosen, chosen], axis=axis)
    return table


def _scores(n: FloatArray) -> _Scores:
    """Score statistics from counts [..., truth, first call, second call]."""
    hits = n[..., 1, 1, :].sum(axis=-1), n[..., 1, :, 1].sum(axis=-1)
    n_1, n_2 = n[..., :, 1, :].sum(axis=(-1, -2)), n[..., 1].sum(axis=(-1, -2))
    has_calls = (n_1 > 0) & (n_2 > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_1, share_2 = hits[0] / n_1, hits[1] / n_2
        pooled = (hits[0] + hits[1]) / (n_1 + n_2)
        shared = (n[..., 1, 1, 1] * (1.0 - pooled) ** 2 + n[..., 0, 1, 1] * pooled**2) / (n_1 + n_2)
        variance = (pooled * (1.0 - pooled) - 2.0 * shared) * (1.0 / n_1 + 1.0 / n_2)
        weighted = np.where(variance > NO_VARIANCE, (share_1 - share_2) ** 2 / variance, np.nan)
        mean = n_2 / (n_1 + n_2)
        distance, spread, pull = np.zeros(n_1.shape), np.zeros(n_1.shape), np.zeros(n_1.shape)
        for truth in (0, 1):
            for first in (0, 1):
                for second in (0, 1):
                    cases = n[..., truth, first, second]
                    score = (truth - pooled) * (second * (1.0 - mean) - first * mean)
                    distance = distance + cases * score
                    spread = spread + cases * score**2
                    own = first * (truth - share_1) / n_1 - second * (truth - share_2) / n_2
                    pull = pull + cases * own**2
        generalised = np.where(spread > NO_VARIANCE, distance**2 / spread, np.nan)
    return _Scores((share_1, share_2), has_calls.astype(np.float64), np.sqrt(pull), weighted, generalised)


def _test(
    scores: _Scores, place: tuple[int, int], what: str, p_value: float, level: float, quantile: float, n: int,
    notes: tuple[str, ...],
) -> TestResult:  # fmt: skip
    """Kosinski's test of one pair and class, with the difference and its interval."""
    method = f"{what}, Kosinski weighted score"
    if not scores.has_calls[place]:
        reason = f"A reader made no call, so there is no {what} to compare."
        return undefined_test(reason, method=method, notes=notes)
    statistic = float(scores.weighted[place])
    if np.isnan(statistic):
        return undefined_test("Both readers' calls leave no variance to test with.", method=method, notes=notes)
    gap = float(scores.shares[0][place] - scores.shares[1][place])
    error = float(scores.error[place])
    half = quantile * error
    difference = Estimate(
        gap, error or None, max(-1.0, gap - half), min(1.0, gap + half), level, "empirical variance over cases", n=n
    )
    return TestResult(statistic, p_value, method, 1.0, difference=difference, notes=notes)


def _number(value: float) -> float | None:
    """NaN as None."""
    return None if np.isnan(value) else float(value)
