"""Two participants on the same cases: accuracy and AUC of one against the other.

Pairs: every model with every reader (in each arm) and with every other model, readers of one arm with each other, and
a reader with themselves between arms. Adjusted p-values are Holm's over the family of a pair: models against readers,
readers of one arm, arms of one reader, or models; for the AUC over the classes as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from core.statistics.contingency_tests import mcnemar_clustered
from core.statistics.multiplicity import holm
from core.statistics.proportion_difference import difference_paired_clustered
from core.statistics.result import Estimate, TestResult
from core.study_analysis.accuracy_pairs import accuracy_tests
from core.study_analysis.arrays import CohortArrays, Participant
from core.study_analysis.data import IntArray
from core.study_analysis.delong_pairs import delong_pairs
from core.study_analysis.results import BETWEEN_PATIENTS, AucComparison, Identity, PairComparison

CLUSTER_NOTE = (
    "some patients have several cases: the interval, p_clustered and p_holm are between patients, the other tests take "
    "cases as independent"
)
#: Family of the pairs of a model and a reader.
MODEL_AGAINST_READER = "model against reader"


def pair_comparisons(cohort: CohortArrays, confidence_level: float) -> tuple[PairComparison, ...]:
    """Every pair that is of interest, first minus second, in the order of the participants."""
    pairs = pair_families(cohort.participants)
    if not pairs:
        return ()
    by_class = [delong_pairs(cohort, list(pairs), index, confidence_level) for index in cohort.curve_classes]
    tables = _tables(cohort, list(pairs))
    tested = accuracy_tests(tables, confidence_level)
    if cohort.is_clustered:
        tested = [
            _between_patients(cohort, pair, *one, confidence_level) for pair, one in zip(pairs, tested, strict=True)
        ]
    found = [
        _comparison(cohort, pair, table, accuracy, tuple(row[place] for row in by_class))
        for place, (pair, table, accuracy) in enumerate(zip(pairs, tables, tested, strict=True))
    ]
    return tuple(_adjusted(found, list(pairs.values())))


def pair_families(participants: tuple[Participant, ...]) -> dict[tuple[int, int], str]:
    """Pairs of interest among those who answered, by their positions: (first, second) -> family."""
    found: dict[tuple[int, int], str] = {}
    answered = [place for place, one in enumerate(participants) if one.is_answered.any()]
    models = [place for place in answered if participants[place].kind == "model"]
    readers = [place for place in answered if participants[place].kind == "reader"]
    for model in models:
        found.update({(model, reader): MODEL_AGAINST_READER for reader in readers})
    for i, j in combinations(readers, 2):
        one, two = participants[i], participants[j]
        if one.arm == two.arm:
            found[i, j] = f"readers, {one.arm}"
        elif one.key == two.key:
            found[i, j] = "arms of a reader"
    found.update(dict.fromkeys(combinations(models, 2), "models"))
    return found


def _tables(cohort: CohortArrays, pairs: list[tuple[int, int]]) -> list[IntArray]:
    """[first right, first wrong] x [second right, second wrong] on the cases that both answered."""
    labels = np.stack([one.labels for one in cohort.participants])
    answered = (labels >= 0).astype(np.float64)
    right = ((labels == cohort.truth) & (labels >= 0)).astype(np.float64)
    both_answered, both_right, first_right = answered @ answered.T, right @ right.T, right @ answered.T
    found = []
    for i, j in pairs:
        both = int(both_right[i, j])
        first, second = int(first_right[i, j]) - both, int(first_right[j, i]) - both
        found.append(np.array([[both, first], [second, int(both_answered[i, j]) - both - first - second]]))
    return found


def _comparison(
    cohort: CohortArrays, pair: tuple[int, int], table: IntArray, accuracy: tuple[Estimate, Mapping[str, TestResult]],
    areas: tuple[AucComparison, ...],
) -> PairComparison:  # fmt: skip
    """One pair, without adjustment."""
    first, second = (cohort.participants[place] for place in pair)
    has_labels = first.has_labels and second.has_labels
    one, two = first.is_answered, second.is_answered
    n_common = int(table.sum()) if has_labels else int((one & two).sum())
    notes = []
    if cohort.is_clustered:
        notes.append(CLUSTER_NOTE)
    left_out = int((one | two).sum()) - n_common
    if left_out:
        notes.append(f"{left_out} cases that only one of the two answered are left out")
    return PairComparison(
        first=Identity(first.kind, first.key, first.arm, first.name),
        second=Identity(second.kind, second.key, second.arm, second.name),
        n_common=n_common,
        table=table if has_labels else None,
        difference=accuracy[0],
        tests=accuracy[1] if has_labels else {},
        p_holm=None,
        auc=areas,
        notes=tuple(notes),
    )


def _between_patients(
    cohort: CohortArrays, pair: tuple[int, int], plain: Estimate, tests: Mapping[str, TestResult], level: float
) -> tuple[Estimate, Mapping[str, TestResult]]:
    """The difference with its interval between patients, and Obuchowski's test beside those of independent cases.

    References
    ----------
    Obuchowski (1998), Stat. Med. 17:1495-1507.
    """
    first, second = (cohort.participants[place] for place in pair)
    both = (first.labels >= 0) & (second.labels >= 0)
    if cohort.patients_if_clustered is None or not both.any():
        return plain, tests
    one, two = ((each.labels == cohort.truth)[both] for each in (first, second))
    patients = cohort.patients_if_clustered[both]
    test = mcnemar_clustered(one, two, patients, confidence_level=level)
    difference = difference_paired_clustered(one, two, patients, confidence_level=level)
    return difference, {**tests, BETWEEN_PATIENTS: test}


def _adjusted(found: list[PairComparison], families: list[str]) -> list[PairComparison]:
    """Holm's p-values within each family."""
    result = list(found)
    for family in dict.fromkeys(families):
        places = [place for place, name in enumerate(families) if name == family]
        exact = holm([_p(found[place].leading_test) for place in places])
        areas = iter(holm([one.test.p_value for place in places for one in found[place].auc]))
        for place, p in zip(places, exact, strict=True):
            auc = tuple(replace(one, p_holm=next(areas)) for one in found[place].auc)
            result[place] = replace(found[place], p_holm=p, auc=auc)
    return result


def _p(test: TestResult | None) -> float | None:
    """p-value of a test that may be absent."""
    return None if test is None else test.p_value
