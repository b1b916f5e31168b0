"""Do participants differ at all, and do two name the classes equally often? Cochran's Q, Stuart-Maxwell, Bowker.

Cochran's Q compares how often the readers of an arm and all models are right, over the cases that all of them
answered. Stuart-Maxwell (equal margins) and Bowker (symmetry) compare the classes that two of them named, right or
wrong; their numbers are those of :func:`core.statistics.contingency_tests.stuart_maxwell` and ``bowker``, computed
for all pairs at once. With more than :data:`MOST_PARTICIPANTS` participants only models are compared with readers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from core.statistics.contingency_tests import cochran_q
from core.statistics.multiplicity import holm
from core.statistics.result import TestResult, undefined_test
from core.study_analysis.arrays import CohortArrays, Participant
from core.study_analysis.data import FloatArray, IntArray
from core.study_analysis.joint_answers import joint_answers
from core.study_analysis.pairs import MODEL_AGAINST_READER, pair_families
from core.study_analysis.results import MarginalTest, identity_of

#: Beyond this many participants of a cohort, readers are not compared with each other pair by pair.
MOST_PARTICIPANTS = 20
ALIKE = "No case was answered differently."
CLUSTER_NOTE = "some patients have several cases: the test takes cases as independent"


def marginal_tests(cohort: CohortArrays) -> tuple[MarginalTest, ...]:
    """Cochran's Q of each arm, then Stuart-Maxwell and Bowker of each pair, Holm within test and family of pairs."""
    found = _cochran(cohort)
    families = pair_families(cohort.participants)
    is_large = sum(one.is_answered.any() for one in cohort.participants) > MOST_PARTICIPANTS
    pairs = [
        pair
        for pair, family in families.items()
        if all(cohort.participants[place].has_labels for place in pair)
        and (family == MODEL_AGAINST_READER or not is_large)
    ]
    if not pairs:
        return tuple(found)
    tables = joint_answers(cohort, pairs).sum(axis=1)
    notes = (CLUSTER_NOTE,) if cohort.is_clustered else ()
    sizes = tables.sum(axis=(1, 2)).tolist()
    for results in (_stuart_maxwell(tables, notes), _bowker(tables, notes)):
        adjusted: dict[tuple[int, int], float | None] = {}
        for family in dict.fromkeys(families[pair] for pair in pairs):
            places = [place for place, pair in enumerate(pairs) if families[pair] == family]
            p_holm = holm([results[place].p_value for place in places])
            adjusted.update({pairs[place]: p for place, p in zip(places, p_holm, strict=True)})
        for pair, n, test in zip(pairs, sizes, results, strict=True):
            one, two = (cohort.participants[place] for place in pair)
            arms = {one.arm, two.arm} - {""}
            arm = arms.pop() if len(arms) == 1 else ""
            found.append(MarginalTest(arm, identity_of(one), identity_of(two), 2, n, test, adjusted[pair]))
    return tuple(found)


def _cochran(cohort: CohortArrays) -> list[MarginalTest]:
    """The readers of each arm with all models; of models alone where nobody read."""
    labelled = [one for one in cohort.participants if one.has_labels]
    models = [one for one in labelled if one.kind == "model"]
    arms = list(dict.fromkeys(one.arm for one in labelled if one.kind == "reader")) or [""]
    found = []
    for arm in arms:
        chosen: list[Participant] = [one for one in labelled if one.kind == "reader" and one.arm == arm] + models
        if len(chosen) < 2:
            continue
        is_right = np.column_stack(
            [np.where(one.labels >= 0, one.labels == cohort.truth, np.nan) for one in chosen]
        ).astype(np.float64)
        test = cochran_q(is_right)
        if cohort.is_clustered:
            test = replace(test, notes=(*test.notes, CLUSTER_NOTE))
        n = int((~np.isnan(is_right).any(axis=1)).sum())
        found.append(MarginalTest(arm, None, None, len(chosen), n, test, None))
    return found


def _stuart_maxwell(tables: IntArray, notes: tuple[str, ...]) -> list[TestResult]:
    """Marginal homogeneity of many square tables.

    Stuart (1955), Biometrika 42:412-416; Maxwell (1970), Br. J. Psychiatry 116:651-655.
    """
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    eye = np.eye(tables.shape[1])
    on_diagonal = (rows + columns)[:, :, None] * eye
    covariance = (on_diagonal - tables - tables.transpose(0, 2, 1)).astype(np.float64)
    gap = (rows - columns).astype(np.float64)
    rank = np.linalg.matrix_rank(covariance, hermitian=True)
    statistic = np.einsum("pi,pij,pj->p", gap, np.linalg.pinv(covariance, hermitian=True), gap)
    return _results(statistic, rank, "Stuart-Maxwell", notes)


def _bowker(tables: IntArray, notes: tuple[str, ...]) -> list[TestResult]:
    """Symmetry of many square tables. Bowker (1948), JASA 43:572-574."""
    place = np.triu_indices(tables.shape[1], 1)
    above, below = tables[:, place[0], place[1]], tables[:, place[1], place[0]]
    total = above + below
    statistic = np.sum((above - below) ** 2 / np.maximum(total, 1), axis=1)
    return _results(statistic, np.sum(total > 0, axis=1), "Bowker", notes)


def _results(statistic: FloatArray, df: IntArray, method: str, notes: tuple[str, ...]) -> list[TestResult]:
    """Chi-squared tests; undefined without a degree of freedom."""
    p_values = stats.chi2.sf(statistic, np.maximum(df, 1)).tolist()
    return [
        TestResult(value, p, method, float(freedom), notes=notes)
        if freedom
        else undefined_test(ALIKE, method=method, notes=notes)
        for value, p, freedom in zip(statistic.tolist(), p_values, df.tolist(), strict=True)
    ]
