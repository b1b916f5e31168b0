"""Scores of a stored checkpoint on cohorts, through the same network, preprocessing and temperature as when served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import TrainingError
from core.model.architectures import ARCHITECTURES
from core.model.calibration import softmax
from core.model.checkpoint import load_checkpoint
from core.model.uncertainty import restore_detector
from core.study import THYROID_CLASSES
from training.dataset import open_dataset
from training.evaluation import score
from training.loop import predict_logits
from training.run import save_predictions
from training.run_folder import RunFolder

#: Scores of a stored checkpoint, in the folder that ``evaluate --out`` names.
SCORES_FILE = "scores.json"


def score_checkpoint(
    checkpoint: Path,
    source: Path,
    cohorts: Sequence[str] | None,
    *,
    out: Path | None = None,
    device: str = "auto",
    cache: Path = Path("runs/cache"),
) -> dict[str, Any]:
    """Score a checkpoint.

    Parameters
    ----------
    checkpoint : Path
        Checkpoint folder or weights file.
    source : Path
        Manifest or class-named folder.
    cohorts : sequence of str, optional
        Cohorts to score; None scores all but the one called training.
    out : Path, optional
        Folder for ``scores.json`` and ``predictions_COHORT.csv``.
    device : str
        "auto", "cpu" or "cuda".
    cache : Path
        Where decoded images are kept.

    Returns
    -------
    dict
        Cohort to :func:`training.evaluation.score`.

    Raises
    ------
    CheckpointError, ManifestError, TrainingError
        If checkpoint or data cannot be used.
    """
    loaded = load_checkpoint(checkpoint, expected_classes=tuple(disease.key for disease in THYROID_CLASSES))
    dataset = open_dataset(source, loaded.card.input_size, cache)
    names = list(cohorts) if cohorts else [name for name in dataset.cohorts if name != "training"]
    if not names:
        raise TrainingError(f"{source} has no cohort but training. Name what to score with --cohort.")
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if kind not in ("cpu", "cuda"):
        raise TrainingError(f"Device {device!r} is unknown. Use auto, cpu or cuda.")
    network = loaded.network.to(kind)
    scores: dict[str, Any] = {}
    for name in names:
        rows = dataset.rows_of_cohorts([name])
        images = dataset.image_set(rows)
        outputs = predict_logits(network, images.images, torch.device(kind))
        probabilities = softmax(outputs.logits, loaded.card.temperature)
        scores[name] = score(images.classes, probabilities, dataset.classes)
        detector = restore_detector(loaded.statistics, loaded.card.thresholds, outputs.pooled.shape[1])
        if detector is not None:
            scores[name]["flagged"] = round(float(np.mean(detector.is_out(outputs.logits, outputs.pooled))), 4)
        if out is not None:
            save_predictions(dataset, rows, probabilities, RunFolder(out), name)
    if out is not None:
        content = {
            "checkpoint": checkpoint.name,
            "title": ARCHITECTURES[loaded.card.architecture].title,
            "weights_sha256": loaded.sha256,
            "data": source.parent.name if source.is_file() else source.name,
            "data_sha256": dataset.sha256,
            "is_synthetic": dataset.is_synthetic,
            "classes": list(dataset.classes),
            "scores": scores,
        }
        RunFolder(out).save_json(out / SCORES_FILE, content)
    return scores
