"""How often two participants gave each pair of classes, by the reference standard: what tests of pairs are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.study_analysis.arrays import CohortArrays
from core.study_analysis.data import IntArray


def joint_answers(cohort: CohortArrays, pairs: Sequence[tuple[int, int]]) -> IntArray:
    """Counts over the cases that both answered, shape (n_pairs, k truths, k first answers, k second answers)."""
    k = len(cohort.class_keys)
    labels = [one.labels for one in cohort.participants]
    found = np.zeros((len(pairs), k**3), dtype=np.int64)
    for row, (first, second) in zip(found, pairs, strict=True):
        one, two = labels[first], labels[second]
        both = (one >= 0) & (two >= 0)
        row[:] = np.bincount(((cohort.truth * k + one) * k + two)[both], minlength=k**3)
    return found.reshape(len(pairs), k, k, k)
