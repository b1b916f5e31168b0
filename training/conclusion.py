"""What follows the last step of a run: temperature and detector, scores of every cohort, checkpoint, result."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from core.errors import TrainingError
from core.model.architectures import ARCHITECTURES, BuiltModel, build
from core.model.calibration import fit_temperature, softmax
from core.model.checkpoint import (
    CARD_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    ModelCard,
    describe_environment,
    load_checkpoint,
    save_checkpoint,
    stored_weights,
)
from core.model.uncertainty import Detector, fit_detector, restore_detector
from training.dataset import Dataset
from training.evaluation import score_cohort
from training.loop import FitResult
from training.plan import RunPlan
from training.prediction import Outputs, predict_logits
from training.run_folder import RunFolder, write_atomically
from training.splits import Folds


@dataclass(frozen=True)
class Work:
    """What one run works with, from before its first step to its end."""

    plan: RunPlan
    dataset: Dataset
    folds: Folds
    training_rows: np.ndarray  # (n,) int, rows of the dataset
    held_out_rows: np.ndarray
    evaluation_cohorts: tuple[str, ...]
    built: BuiltModel
    fabric: Fabric
    folder: RunFolder
    teacher: Checkpoint | None = None

    def facts(self) -> dict[str, Any]:
        """What ``config.json``, the card and ``result.json`` say alike, as plain values."""
        dataset, device = self.dataset, self.fabric.device
        return {
            "classes": list(dataset.classes),
            "data_sha256": dataset.sha256,
            "split_sha256": self.folds.sha256,
            "lesions_sha256": dataset.lesions_sha256() if self.plan.recipe.map_weight else None,
            "initialisation": self.built.initialisation,
            "is_synthetic": dataset.is_synthetic,
            "fold": self.plan.fold,
            **describe_environment(torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"),
        }


@dataclass(frozen=True)
class _Calibrated:
    """What the held-out part gives the network to be served with."""

    temperature: float
    detector: Detector | None
    statistics: dict[str, torch.Tensor]
    thresholds: dict[str, float]


def conclude(work: Work, fitted: FitResult) -> dict[str, Any]:
    """Calibrate, score and store a fitted network; returns the content of ``result.json``, which is written last."""
    plan, folder, recipe, facts = work.plan, work.folder, work.plan.recipe, work.facts()
    card = ModelCard(
        architecture=recipe.architecture,
        input_size=recipe.image_size,
        channels=work.dataset.channels,
        dropout=recipe.head_dropout,
        recipe=recipe.to_dict(),
        note=_note(work),
        **{**facts, "classes": work.dataset.classes},
    )
    # What will be served is what is scored: weights as the file holds them, rounding included.
    served = copy.deepcopy(fitted.network)
    served.load_state_dict(stored_weights(served, plan.storage))
    served = served.to(work.fabric.device)
    held_out = work.dataset.image_set(work.held_out_rows)
    outputs = predict_logits(served, held_out.images, work.fabric.device)
    calibrated = _calibrate(plan, outputs, held_out.classes)

    held_out_name = "fold" if plan.is_cross_validation else "held_out"
    scores = {held_out_name: _score(work, calibrated, held_out_name, work.held_out_rows, outputs)}
    for name in work.evaluation_cohorts:
        rows = work.dataset.rows_of_cohorts([name])
        seen = predict_logits(served, work.dataset.image_set(rows).images, work.fabric.device)
        scores[name] = _score(work, calibrated, name, rows, seen)
    path = save_checkpoint(
        folder.model,
        fitted.network,
        replace(card, temperature=calibrated.temperature, metrics=scores, thresholds=calibrated.thresholds),
        statistics=calibrated.statistics,
        storage=plan.storage,
    )
    _save_best(fitted, card, folder)
    result = _result(work, fitted, facts, calibrated.temperature, scores, path)
    folder.save_json(folder.result, result)
    return result


def _note(work: Work) -> str:
    """What the card adds in words: the plan's note, and from whom the network learned."""
    if work.teacher is None:
        return work.plan.note
    return f"Learned from the answers of the model {work.teacher.sha256[:12]} too. {work.plan.note}".strip()


def _calibrate(plan: RunPlan, outputs: Outputs, truth: np.ndarray) -> _Calibrated:
    """Temperature, and the out-of-distribution detector where the plan asks for one."""
    temperature = fit_temperature(outputs.logits, truth).temperature
    if not plan.has_detector:
        return _Calibrated(temperature, None, {}, {})
    fitted = fit_detector(outputs.pooled, outputs.logits, truth)
    statistics, thresholds = fitted.to_tensors(), fitted.to_thresholds()
    return _Calibrated(
        temperature, restore_detector(statistics, thresholds, outputs.pooled.shape[1]), statistics, thresholds
    )


def _score(work: Work, calibrated: _Calibrated, name: str, rows: np.ndarray, seen: Outputs) -> dict[str, Any]:
    """Scores of one part; its probabilities go into the folder."""
    probabilities = softmax(seen.logits, calibrated.temperature)
    save_predictions(work.dataset, rows, probabilities, work.folder, name)
    detector = calibrated.detector
    is_flagged = None if detector is None else detector.is_out(seen.logits, seen.pooled)
    return score_cohort(work.dataset, rows, probabilities, seen.class_maps, is_flagged)


def _save_best(fitted: FitResult, card: ModelCard, folder: RunFolder) -> None:
    """The best epoch's weights as a checkpoint of their own, unless they are the result."""
    if fitted.best_epoch is None or fitted.best_epoch == fitted.selected_epoch:
        return
    network = build(card.architecture, len(card.classes), dropout=card.dropout).module
    network.load_state_dict(folder.load_state(folder.best_state)["network"])
    note = f"Epoch {fitted.best_epoch}, the best on the held-out part; uncalibrated, not the result of the run."
    save_checkpoint(folder.best_model, network, replace(card, note=f"{note} {card.note}".strip()))


def _result(
    work: Work,
    fitted: FitResult,
    facts: Mapping[str, Any],
    temperature: float,
    scores: Mapping[str, Any],
    weights: Path,
) -> dict[str, Any]:
    """The content of ``result.json``."""
    plan = work.plan
    return {
        "run": work.folder.path.name,
        "architecture": plan.recipe.architecture,
        "title": ARCHITECTURES[plan.recipe.architecture].title,
        "recipe": plan.recipe.to_dict(),
        **facts,
        **({"is_compiled": fitted.is_compiled} if plan.is_compiled else {}),
        **({"teacher_sha256": work.teacher.sha256} if work.teacher else {}),
        "is_cross_validation": plan.is_cross_validation,
        "are_classes_permuted": plan.are_classes_permuted,
        "training_cohorts": list(plan.training_cohorts),
        "n_training": len(work.training_rows),
        "n_held_out": len(work.held_out_rows),
        "class_counts": work.dataset.class_counts(work.training_rows),
        "folds": plan.folds,
        "epochs": len(fitted.history),
        "selected_epoch": fitted.selected_epoch,
        "best_epoch": fitted.best_epoch,
        "training_seconds": round(fitted.seconds, 1),
        "training_accuracy": round(fitted.history[-1]["training_accuracy"], 5),
        "images_per_second": fitted.history[-1]["images_per_second"],
        "temperature": round(temperature, 4),
        "scores": scores,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "weights_bytes": weights.stat().st_size,
        "processes": work.fabric.world_size,
    }


def save_predictions(
    dataset: Dataset, rows: np.ndarray, probabilities: np.ndarray, folder: RunFolder, name: str
) -> None:
    """Write the probabilities of every case of one part as CSV."""
    folder.save_table(
        folder.predictions(name),
        [
            {
                "case": dataset.cases[row].case,
                "centre": dataset.cases[row].centre,
                "truth": dataset.classes[dataset.cases[row].class_index],
                "predicted": dataset.classes[int(chances.argmax())],
                **{f"p_{key}": f"{chance:.6f}" for key, chance in zip(dataset.classes, chances, strict=True)},
            }
            for row, chances in zip(rows, probabilities, strict=True)
        ],
    )


def ship(folder: RunFolder, target: Path) -> Path:
    """Copy a finished run's checkpoint to one file that stands alone, with a readable card beside it.

    Parameters
    ----------
    folder : RunFolder
        Finished.
    target : Path
        Ends in ``.safetensors``; the card goes beside it as ``.card.json``.
    """
    if not folder.is_finished:
        raise TrainingError(f"{folder.path} is not finished. Run: python -m training resume {folder.path}")
    source = folder.model / WEIGHTS_FILE
    write_atomically(target, source.read_bytes())
    write_atomically(target.with_suffix(".card.json"), (folder.model / CARD_FILE).read_bytes())
    load_checkpoint(target)
    return target
