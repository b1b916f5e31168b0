"""One participant's one-against-rest AUCs together, and their averages over the classes."""

from __future__ import annotations

import numpy as np

from core.statistics.auc_interval import HARD_LABEL_NOTE
from core.statistics.multiclass import MulticlassAuc, multiclass_auc
from core.statistics.result import Estimate
from core.study_analysis.arrays import CohortArrays, Participant
from core.study_analysis.data import FloatArray


def areas_of(cohort: CohortArrays, one: Participant, confidence_level: float) -> MulticlassAuc | None:
    """AUCs of every class and their averages; None for two classes, which have one curve, and without answers."""
    k = len(cohort.class_keys)
    within = one.is_rated if one.ratings is not None else one.labels >= 0
    if k == 2 or not within.any():
        return None
    matrix: FloatArray
    if one.ratings is None:
        matrix = (one.labels[within, None] == np.arange(k)).astype(np.float64)
    else:
        matrix = one.ratings[:, within].T
    truth = np.asarray(cohort.class_keys, dtype=object)[cohort.truth[within]]
    return multiclass_auc(truth, matrix, cohort.class_keys, confidence_level=confidence_level)


def auc_averages(found: MulticlassAuc | None, cohort: CohortArrays, one: Participant) -> dict[str, Estimate]:
    """macro, weighted (by prevalence), micro and Hand-Till, with the notes that must travel with them."""
    if found is None:
        return {}
    averages = {
        "macro": found.macro,
        "weighted": found.prevalence_weighted,
        "micro": found.micro,
        "hand_till": found.hand_till,
    }
    notes = []
    if one.ratings is None:
        notes.append(HARD_LABEL_NOTE)
    if cohort.is_clustered:
        notes.append("some patients have several cases: the interval takes cases as independent")
    for note in notes:
        averages = {name: estimate.with_note(note) for name, estimate in averages.items()}
    return averages
