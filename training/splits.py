"""Folds and hold-outs that keep a patient together and the classes balanced; stored and hashed.

A split names cases, not rows, so that it survives a re-ordered manifest, and carries the hash of the data that it
was made for, so that it is never applied to other data unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import TrainingError


@dataclass(frozen=True)
class Folds:
    """Which fold every case belongs to."""

    fold_of_case: dict[str, int]  # case id -> 0 ... count - 1
    count: int
    seed: int
    data_sha256: str

    @property
    def sha256(self) -> str:
        """Hash of everything the split says."""
        text = json.dumps([self.count, self.seed, self.data_sha256, sorted(self.fold_of_case.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def members(self, fold: int) -> set[str]:
        """Case ids of one fold."""
        return {case for case, number in self.fold_of_case.items() if number == fold}


def patient_folds(
    cases: Sequence[str],
    patients: Sequence[str],
    classes: Sequence[int],
    *,
    count: int,
    seed: int,
    data_sha256: str = "",
    class_names: Sequence[str] | None = None,
) -> Folds:
    """Cut the cases into folds: no patient in two, every class spread as evenly as its patients allow.

    Patients are shuffled, those whose cases lean most to one class are placed first, and each goes to the fold where
    the class counts stay most even (then to the smallest fold).

    Parameters
    ----------
    cases, patients : sequence of str, length n
        Case ids (unique) and the patient of each.
    classes : sequence of int, length n
        Class index of each case.
    count : int
        Number of folds, at least 2.
    seed : int
        Of the shuffle.
    data_sha256 : str
        Hash of the data the split is made for; stored with it.
    class_names : sequence of str, optional
        Names of the classes for the error message.

    Raises
    ------
    TrainingError
        If there are fewer than two folds, or a class has fewer patients than there are folds.

    References
    ----------
    The greedy rule is that of scikit-learn's StratifiedGroupKFold.
    """
    if count < 2:
        raise TrainingError(f"{count} folds were asked for. Use at least 2.")
    labels = np.asarray(classes, dtype=np.int64)
    n_classes = int(labels.max()) + 1 if labels.size else 0
    names = sorted(set(patients))
    row_of = {name: row for row, name in enumerate(names)}
    per_patient = np.zeros((len(names), n_classes), dtype=np.int64)
    for patient, label in zip(patients, labels, strict=True):
        per_patient[row_of[patient], label] += 1
    patients_of_class = (per_patient > 0).sum(axis=0)
    short = [index for index in range(n_classes) if 0 < patients_of_class[index] < count]
    if short:
        name = class_names[short[0]] if class_names else str(short[0])
        raise TrainingError(
            f"Class {name} has {patients_of_class[short[0]]} patients, fewer than the {count} folds. "
            f"Hold out one in at most {max(2, patients_of_class[short].min())}, or add patients."
        )

    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-per_patient[order].std(axis=1), kind="stable")]
    totals = np.maximum(per_patient.sum(axis=0), 1)
    placed = np.zeros((count, n_classes), dtype=np.int64)
    fold_of_patient: dict[str, int] = {}
    for row in order:
        unevenness = []
        for fold in range(count):
            placed[fold] += per_patient[row]
            unevenness.append((round(float((placed / totals).std(axis=0).mean()), 12), int(placed[fold].sum()), fold))
            placed[fold] -= per_patient[row]
        best = min(unevenness)[2]
        placed[best] += per_patient[row]
        fold_of_patient[names[row]] = best
    return Folds(
        {case: fold_of_patient[patient] for case, patient in zip(cases, patients, strict=True)},
        count,
        seed,
        data_sha256,
    )


def save_folds(folds: Folds, path: Path) -> None:
    """Write a split beside its own hash as JSON."""
    content = {
        "sha256": folds.sha256,
        "data_sha256": folds.data_sha256,
        "count": folds.count,
        "seed": folds.seed,
        "fold_of_case": dict(sorted(folds.fold_of_case.items())),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def load_folds(path: Path, *, data_sha256: str) -> Folds:
    """Read a split back.

    Raises
    ------
    TrainingError
        If the file is not a split, was edited, or was made for other data.
    """
    try:
        content = json.loads(path.read_text())
        folds = Folds(
            {str(case): int(fold) for case, fold in content["fold_of_case"].items()},
            int(content["count"]),
            int(content["seed"]),
            str(content["data_sha256"]),
        )
        stored = content["sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} is not a stored split ({error}). Delete it to make a new one.") from error
    if folds.sha256 != stored:
        raise TrainingError(f"{path} was changed after it was written. Delete it to make the split anew.")
    if folds.data_sha256 != data_sha256:
        raise TrainingError(
            f"{path} was made for other data (hash {folds.data_sha256[:12]}, these have {data_sha256[:12]}). "
            "Use the data it was made for, or another run folder."
        )
    return folds
