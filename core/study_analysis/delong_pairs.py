"""DeLong's paired test of many pairs at once, from one covariance where all answered the same cases.

The numbers are those of :func:`core.statistics.auc_comparison.compare_aucs_paired`, which is called where the cases
of two participants differ; a panel of 200 readers has 19,900 pairs, hence the arithmetic on whole arrays here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from core.errors import UndefinedStatisticError
from core.statistics.auc_comparison import POINT_AGAINST_CURVE, compare_aucs_paired
from core.statistics.delong import delong_components
from core.statistics.range_limits import difference_estimate
from core.statistics.result import TestResult, undefined_test
from core.statistics.roc import is_hard_label
from core.study_analysis.arrays import BoolArray, CohortArrays
from core.study_analysis.data import FloatArray
from core.study_analysis.results import AucComparison

METHOD = "DeLong, paired"
CLUSTERED = "DeLong, paired, patients as clusters (Obuchowski)"


def class_ratings(cohort: CohortArrays, index: int) -> FloatArray:
    """Ratings of one class, one row a participant; a hard label rates 1 or 0; NaN where there is no answer."""
    rows = np.full((len(cohort.participants), len(cohort.cases)), np.nan)
    for row, one in zip(rows, cohort.participants, strict=True):
        if one.ratings is not None:
            row[:] = one.ratings[index]
        else:
            answered = one.labels >= 0
            row[answered] = one.labels[answered] == index
    return rows


def delong_pairs(
    cohort: CohortArrays, pairs: Sequence[tuple[int, int]], index: int, confidence_level: float
) -> list[AucComparison]:
    """AUCs of one class for every pair of participants, first minus second, without adjustment.

    Parameters
    ----------
    cohort : CohortArrays
    pairs : sequence of (int, int)
        Positions in ``cohort.participants``.
    index : int
        Class.
    confidence_level : float
    """
    ratings = class_ratings(cohort, index)
    answered = ~np.isnan(ratings)
    truth = cohort.truth == index
    hard = np.array([bool(is_hard_label(row[seen])) for row, seen in zip(ratings, answered, strict=True)])
    found: dict[tuple[int, int], AucComparison] = {}
    for rows in _same_cases(answered):
        if not answered[rows[0]].any():
            continue
        inside = set(rows)
        chosen = [pair for pair in pairs if pair[0] in inside and pair[1] in inside]
        if chosen:
            seen = answered[rows[0]]
            patients = None if cohort.patients_if_clustered is None else cohort.patients_if_clustered[seen]
            found.update(
                _from_one_covariance(
                    cohort, truth[seen], ratings[:, seen], patients, rows, chosen, index, hard, confidence_level
                )
            )
    for i, j in pairs:
        if (i, j) not in found:
            found[i, j] = _on_common_cases(cohort, truth, ratings, answered, (i, j), index, hard, confidence_level)
    return [found[pair] for pair in pairs]


def _same_cases(answered: BoolArray) -> list[list[int]]:
    """Participants who answered the same cases, together."""
    together: dict[bytes, list[int]] = {}
    for row, seen in enumerate(answered):
        together.setdefault(seen.tobytes(), []).append(row)
    return list(together.values())


def _on_common_cases(
    cohort: CohortArrays, truth: BoolArray, ratings: FloatArray, answered: BoolArray, pair: tuple[int, int],
    index: int, hard: BoolArray, level: float,
) -> AucComparison:  # fmt: skip
    """The cases that both answered; the rest of either is left out of the test."""
    i, j = pair
    common = answered[i] & answered[j]
    key = cohort.class_keys[index]
    if not common.any():
        test = undefined_test("The two have no case in common.", method=METHOD)
        return AucComparison(key, None, None, test, None, bool(hard[i] != hard[j]))
    patients = cohort.patients_if_clustered
    test = compare_aucs_paired(
        truth[common], ratings[i, common], ratings[j, common],
        patients=None if patients is None else patients[common], confidence_level=level,
    )  # fmt: skip
    areas: tuple[float | None, float | None] = (None, None)
    if truth[common].any() and not truth[common].all():
        components = delong_components(truth[common], ratings[[i, j]][:, common])
        areas = (float(components.auc[0]), float(components.auc[1]))
    return AucComparison(key, *areas, test, None, bool(hard[i] != hard[j]))


def _from_one_covariance(
    cohort: CohortArrays, truth: BoolArray, ratings: FloatArray, patients: np.ndarray | None, rows: list[int],
    pairs: list[tuple[int, int]], index: int, hard: BoolArray, level: float,
) -> dict[tuple[int, int], AucComparison]:  # fmt: skip
    """All pairs of participants with the same cases."""
    key, n, method = cohort.class_keys[index], truth.size, METHOD if patients is None else CLUSTERED
    mixed = {pair: bool(hard[pair[0]] != hard[pair[1]]) for pair in pairs}
    try:
        components = delong_components(truth, ratings[rows])
        if patients is None:
            covariance = components.covariance()
        else:
            covariance = components.clustered_covariance(truth, np.unique(patients, return_inverse=True)[1])
    except UndefinedStatisticError as error:
        return {
            pair: AucComparison(
                key, None, None, undefined_test(str(error), method=method, notes=_notes(mixed[pair])), None, mixed[pair]
            )
            for pair in pairs
        }
    place = {row: position for position, row in enumerate(rows)}
    first = np.array([place[i] for i, _ in pairs])
    second = np.array([place[j] for _, j in pairs])
    area, own = components.auc, np.diag(covariance)
    difference = area[first] - area[second]
    whole = own[first] + own[second]
    variance = whole - 2.0 * covariance[first, second]
    has_variance = variance > 1e-14 * whole
    deviation = np.sqrt(np.where(has_variance, variance, 1.0))
    z = difference / deviation
    p = 2.0 * stats.norm.sf(np.abs(z))
    quantile = float(stats.norm.isf((1.0 - level) / 2.0))
    found = {}
    columns = zip(
        pairs, area[first].tolist(), area[second].tolist(), difference.tolist(), deviation.tolist(), z.tolist(),
        p.tolist(), has_variance.tolist(), strict=True,
    )  # fmt: skip
    for pair, one, two, gap, spread, statistic, p_value, is_estimated in columns:
        notes = _notes(mixed[pair])
        if is_estimated:
            estimate = difference_estimate(gap, spread, quantile, level, method, n=n)
            test = TestResult(statistic, p_value, method, difference=estimate, notes=notes)
        else:
            i, j = pair
            test = compare_aucs_paired(truth, ratings[i], ratings[j], patients=patients, confidence_level=level)
        found[pair] = AucComparison(key, one, two, test, None, mixed[pair])
    return found


def _notes(is_mixed: bool) -> tuple[str, ...]:
    """The warning of a hard-label AUC that meets the AUC of ratings."""
    return (POINT_AGAINST_CURVE,) if is_mixed else ()
