"""What a trained network scores on cases it has not seen: numbers with intervals, confusion matrices, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.model.calibration import brier_score, expected_calibration_error
from core.model.class_maps import enlarge
from core.model.faithfulness import localise, pointing_game
from core.statistics.proportions import proportion
from training.dataset import Dataset


def score_cohort(
    dataset: Dataset,
    rows: np.ndarray,
    probabilities: np.ndarray,
    class_maps: np.ndarray | None,
    is_flagged: np.ndarray | None,
) -> dict[str, Any]:
    """All that a run and ``evaluate`` say of one cohort: :func:`score`, by centre too, flags, pointing, subtypes.

    Parameters
    ----------
    dataset : Dataset
    rows : int array, shape (n,)
        The cohort's cases.
    probabilities : float array, shape (n, k)
        Calibrated.
    class_maps : float array, shape (n, k, h, w), or None
        Raw Grad-CAM; None where an ensemble has none.
    is_flagged : bool array, shape (n,), or None
        Unlike the training images; None where the model has no detector.
    """
    images = dataset.image_set(rows)
    scores = score(images.classes, probabilities, dataset.classes)
    if is_flagged is not None:
        scores["flagged"] = round(float(is_flagged.mean()), 4)
    centre_of = np.array([dataset.cases[row].centre for row in rows])
    if len(centres := np.unique(centre_of)) > 1:
        scores["centres"] = {
            str(centre): score(images.classes[here], probabilities[here], dataset.classes)["accuracy"]
            for centre in centres
            for here in [centre_of == centre]
        }
    if images.lesions is not None and class_maps is not None:
        scores["pointing"] = pointing(images.classes, class_maps, images.lesions, dataset.classes)
    if dataset.subtypes is not None:
        kinds = [dataset.subtypes[row] for row in rows]
        scores["subtypes"] = recall_by_subtype(images.classes, probabilities, kinds, dataset.classes)
    return scores


def score(truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Metrics of one cohort as plain values for ``result.json`` and the model card.

    Parameters
    ----------
    truth : int array, shape (n,)
        Class index of every case.
    probabilities : float array, shape (n, k)
        Calibrated probabilities.
    classes : sequence of str, length k
        Class keys in the order of the columns.

    Returns
    -------
    dict
        ``n``, ``accuracy`` with Wilson's 95 % limits, ``balanced_accuracy`` (mean recall of the classes that have a
        case), ``recall`` per class with limits, ``confusion`` (rows truth,
        columns prediction), ``log_loss`` and ``brier`` (mean over cases, natural units), ``ece`` (15 equal bins).
        A recall of a class without cases is None.
    """
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    n = len(truth)
    recalls = [row[index] / row.sum() for index, row in enumerate(confusion) if row.sum()]
    of_truth = probabilities[np.arange(n), truth]
    return {
        "n": n,
        "accuracy": with_limits(int(np.trace(confusion)), n),
        "balanced_accuracy": round(float(np.mean(recalls)), 5),
        "recall": {
            key: with_limits(int(confusion[index, index]), int(confusion[index].sum()))
            for index, key in enumerate(classes)
        },
        "confusion": confusion.tolist(),
        "log_loss": round(float(-np.log(np.maximum(of_truth, 1e-12)).mean()), 5),
        "brier": round(brier_score(probabilities, truth), 5),
        "ece": round(expected_calibration_error(probabilities, truth), 5),
    }


def recall_by_subtype(
    truth: np.ndarray, probabilities: np.ndarray, subtypes: Sequence[str], classes: Sequence[str]
) -> dict[str, dict[str, Any] | None]:
    """Share of right answers with Wilson's limits for every simulated ``class, subtype``: which cases are hard.

    Parameters
    ----------
    truth : int array, shape (n,)
    probabilities : float array, shape (n, k)
    subtypes : sequence of str, length n
    classes : sequence of str, length k
    """
    is_right = probabilities.argmax(axis=1) == truth
    kinds = np.array([f"{classes[index]}, {subtype}" for index, subtype in zip(truth, subtypes, strict=True)])
    return {
        str(kind): with_limits(int(is_right[kinds == kind].sum()), int((kinds == kind).sum()))
        for kind in np.unique(kinds)
    }


def pointing(
    truth: np.ndarray, class_maps: np.ndarray, lesions: np.ndarray, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Pointing game on the class map of every case's own class, for cases whose lesion is known.

    Parameters
    ----------
    truth : int array, shape (n,)
    class_maps : float array, shape (n, k, h, w)
        Raw Grad-CAM.
    lesions : bool array, shape (n, S, S)
        All False where the lesion is not known.
    classes : sequence of str, length k

    Returns
    -------
    dict
        Class to ``hit_rate`` (share of cases whose map peaks inside the lesion, with Wilson's limits), ``chance`` and
        ``energy`` (mean share of the map inside the lesion, None for empty maps); classes without a lesion are left
        out.
    """
    size = lesions.shape[-1]
    found: dict[str, dict[str, Any]] = {}
    for index, key in enumerate(classes):
        rows = [row for row in np.flatnonzero(truth == index) if lesions[row].any()]
        if not rows:
            continue
        maps = np.maximum(enlarge(class_maps[rows, index], size), 0)
        game = pointing_game([localise(one, lesions[row]) for one, row in zip(maps, rows, strict=True)])
        energy = game.mean_energy_in_mask
        found[key] = {
            "hit_rate": with_limits(game.n_hits, game.n),
            "chance": round(game.hit_chance, 5),
            "energy": None if energy is None else round(energy, 5),
        }
    return found


def with_limits(successes: int, n: int) -> dict[str, Any] | None:
    """A proportion and Wilson's limits as plain values; None where it is undefined."""
    if n == 0:
        return None
    estimate = proportion(successes, n)
    numbers = {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}
    return {
        **{name: None if value is None else round(float(value), 5) for name, value in numbers.items()},
        "successes": successes,
        "n": n,
    }
