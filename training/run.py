"""One run from its plan to its result: data, split, fit, temperature, detector, checkpoint, scores."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console

from core.errors import TrainingError
from core.model.architectures import ARCHITECTURES, BuiltModel, Network, build
from core.model.calibration import fit_temperature, softmax
from core.model.checkpoint import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelCard,
    describe_environment,
    load_checkpoint,
    save_checkpoint,
)
from core.model.uncertainty import fit_detector, restore_detector
from training.dataset import Dataset, check_classes, check_no_leak, open_dataset
from training.evaluation import score, score_cohort
from training.loop import FitResult, Outputs, fit, predict_logits
from training.plan import RunPlan, read_plan
from training.progress import RunDisplay
from training.run_folder import RunFolder, read_json, write_atomically
from training.splits import Folds, load_folds, patient_folds, save_folds

#: Cohorts scored where the data have them and the plan names none.
DEFAULT_EVALUATION = ("internal", "external")
#: Precision by device when the plan says "auto".
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def execute(folder: RunFolder, console: Console) -> dict[str, Any]:
    """Carry out, or go on with, the run whose plan stands in a folder.

    Parameters
    ----------
    folder : RunFolder
        Holds ``config.json``.
    console : rich.console.Console
        Where progress is shown.

    Returns
    -------
    dict
        The content of ``result.json``.

    Raises
    ------
    ReadingRoomError
        Bad data before the first epoch; a training that had to stop. Says what to do.
    """
    plan = read_plan(folder)
    if folder.is_finished:
        console.print(f"{folder.path} is finished already.")
        return cast(dict[str, Any], read_json(folder.result))
    fabric = make_fabric(plan)
    with folder.held() if fabric.is_global_zero else nullcontext():
        return _execute(plan, fabric, folder, console)


def _execute(plan: RunPlan, fabric: Fabric, folder: RunFolder, console: Console) -> dict[str, Any]:
    """:func:`execute` once the processes are there and the folder is held."""
    recipe = plan.recipe
    with fabric.rank_zero_first():
        dataset = open_dataset(Path(plan.data), recipe.image_size, Path(plan.cache))
        folds = _split(plan, dataset, folder, is_writer=fabric.is_global_zero)
    rows = dataset.rows_of_cohorts(plan.training_cohorts)
    is_held_out = np.array([folds.fold_of_case[dataset.cases[row].case] == plan.fold for row in rows])
    training_rows, held_out_rows = rows[~is_held_out], rows[is_held_out]
    check_classes(dataset, training_rows, "The training part")
    check_classes(dataset, held_out_rows, "The held-out part")
    for cohort in _evaluated_cohorts(plan, dataset):
        check_no_leak(dataset, rows, dataset.rows_of_cohorts([cohort]))

    training, held_out = dataset.image_set(training_rows), dataset.image_set(held_out_rows)
    if plan.are_classes_permuted:
        shuffled = np.random.default_rng([recipe.seed, 77]).permutation(training.classes)
        training = replace(training, classes=shuffled, lesions=None)
    torch.use_deterministic_algorithms(True, warn_only=fabric.device.type == "cuda")
    built, average = _build(plan, dataset)
    if built.warning and fabric.is_global_zero:
        console.print(f"[bold red]{built.warning}", highlight=False)
    fingerprint = _fingerprint(plan, dataset, folds, built)
    if fabric.is_global_zero:
        _describe(plan, dataset, folds, built, fabric, folder)
        console.print(
            f"{folder.path.name}: {ARCHITECTURES[recipe.architecture].title} from {built.initialisation} weights, "
            f"{len(training_rows)} training cases, {len(held_out_rows)} held out, {recipe.image_size} pixels, "
            f"{fabric.world_size} x {fabric.device.type}, data {dataset.sha256[:12]}, split {folds.sha256[:12]}",
            highlight=False,
        )
        if recipe.map_weight and training.lesions is None:
            console.print(
                "No case has a lesion mask: map_weight takes no part, and the class maps are not taught where to look.",
                style="bold yellow",
                highlight=False,
            )
    with RunDisplay(console, folder.path.name) as display:
        fitted = fit(
            fabric,
            built.module,
            average,
            recipe,
            training,
            held_out,
            folder,
            fingerprint=fingerprint,
            on_progress=display.update,
        )
    result: dict[str, Any] = {}
    if fabric.is_global_zero:
        result = _conclude(plan, dataset, folds, fitted, built, held_out_rows, fabric, folder)
    fabric.barrier()
    return result


def make_fabric(plan: RunPlan) -> Fabric:
    """Launched Fabric of a plan: devices, precision, processes.

    Raises
    ------
    TrainingError
        If a setting is unknown or the device is not there.
    """
    if plan.precision not in PRECISIONS:
        raise TrainingError(f"Precision {plan.precision!r} is unknown. Use one of: {', '.join(PRECISIONS)}.")
    accelerator = plan.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator not in ("cpu", "cuda"):
        raise TrainingError(f"Device {plan.accelerator!r} is unknown. Use auto, cpu or cuda.")
    if accelerator == "cuda" and torch.cuda.device_count() < plan.devices:
        raise TrainingError(
            f"{plan.devices} GPUs were asked for and {torch.cuda.device_count()} can be used. "
            "Use --devices with fewer, or --device cpu."
        )
    precision = plan.precision
    if precision == "auto":
        if accelerator == "cpu":
            precision = "32-true"
        else:
            precision = "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    for name in ("lightning_fabric", "lightning.fabric", "lightning_fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    fabric = Fabric(
        accelerator=accelerator,
        devices=plan.devices,
        num_nodes=plan.nodes,
        precision=precision,  # type: ignore[arg-type]  # checked above
        strategy="ddp" if plan.devices * plan.nodes > 1 else "auto",
    )
    fabric.launch()
    return fabric


def _split(plan: RunPlan, dataset: Dataset, folder: RunFolder, *, is_writer: bool) -> Folds:
    """The stored split of this run, made where there is none yet."""
    rows = dataset.rows_of_cohorts(plan.training_cohorts)
    if not 0 <= plan.fold < plan.folds:
        raise TrainingError(f"There is no fold {plan.fold} of {plan.folds}; folds are counted from 0.")
    if folder.split.exists():
        return load_folds(folder.split, data_sha256=dataset.sha256)
    chosen = [dataset.cases[row] for row in rows]
    folds = patient_folds(
        [case.case for case in chosen],
        [case.patient for case in chosen],
        [case.class_index for case in chosen],
        count=plan.folds,
        seed=plan.split_seed,
        data_sha256=dataset.sha256,
        class_names=dataset.classes,
    )
    if is_writer:
        save_folds(folds, folder.split)
    return folds


def _evaluated_cohorts(plan: RunPlan, dataset: Dataset) -> tuple[str, ...]:
    """Cohorts to score at the end; one that is trained on is refused."""
    if plan.evaluation_cohorts is None:
        there = set(dataset.cohorts) - set(plan.training_cohorts)
        return tuple(name for name in DEFAULT_EVALUATION if name in there)
    both = sorted(set(plan.evaluation_cohorts) & set(plan.training_cohorts))
    if both:
        raise TrainingError(
            f"Cohort {both[0]} is trained on and cannot be evaluated on. Leave it out of one of the two."
        )
    return plan.evaluation_cohorts


def _build(plan: RunPlan, dataset: Dataset) -> tuple[BuiltModel, Network]:
    """Fresh network from the recipe's seed, and a second one for the moving average."""
    weights = plan.weights if plan.weights in (None, "imagenet") else Path(plan.weights)
    torch.manual_seed(plan.recipe.seed)
    built = build(
        plan.recipe.architecture,
        len(dataset.classes),
        dropout=plan.recipe.head_dropout,
        weights=weights,  # type: ignore[arg-type]  # None, "imagenet" or a path by the line above
    )
    second = build(plan.recipe.architecture, len(dataset.classes), dropout=plan.recipe.head_dropout)
    return built, second.module


def _fingerprint(plan: RunPlan, dataset: Dataset, folds: Folds, built: BuiltModel) -> str:
    """Hash of what decides every step of a run."""
    content = [
        plan.recipe.to_dict(),
        dataset.sha256,
        folds.sha256,
        plan.fold,
        built.initialisation,
        plan.are_classes_permuted,
        plan.devices * plan.nodes,
        dataset.lesions_sha256() if plan.recipe.map_weight else None,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _describe(
    plan: RunPlan, dataset: Dataset, folds: Folds, built: BuiltModel, fabric: Fabric, folder: RunFolder
) -> None:
    """Fill ``config.json`` with what is known before the first step."""
    content = {
        "plan": plan.to_dict(),
        "classes": list(dataset.classes),
        "data_sha256": dataset.sha256,
        "split_sha256": folds.sha256,
        "lesions_sha256": dataset.lesions_sha256(),
        "initialisation": built.initialisation,
        "warning": built.warning,
        "is_synthetic": dataset.is_synthetic,
        "world_size": fabric.world_size,
        **describe_environment(_device_name(fabric)),
    }
    folder.save_json(folder.config, content)


def _device_name(fabric: Fabric) -> str:
    """Name of the device, for the card."""
    return torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else "cpu"


def _conclude(
    plan: RunPlan,
    dataset: Dataset,
    folds: Folds,
    fitted: FitResult,
    built: BuiltModel,
    held_out_rows: np.ndarray,
    fabric: Fabric,
    folder: RunFolder,
) -> dict[str, Any]:
    """Temperature and detector from the held-out part, scores of every cohort, checkpoint, result."""
    recipe = plan.recipe
    base = ModelCard(
        architecture=recipe.architecture,
        classes=dataset.classes,
        input_size=recipe.image_size,
        initialisation=built.initialisation,
        dropout=recipe.head_dropout,
        recipe=recipe.to_dict(),
        data_sha256=dataset.sha256,
        split_sha256=folds.sha256,
        lesions_sha256=dataset.lesions_sha256() if recipe.map_weight else None,
        fold=plan.fold,
        is_synthetic=dataset.is_synthetic,
        note=plan.note,
        **describe_environment(_device_name(fabric)),
    )
    # What will be served is what is scored: weights as they come back from the file, rounding included.
    path = save_checkpoint(folder.model, fitted.network, base, storage=plan.storage)
    served = load_checkpoint(path).network.to(fabric.device)
    held_out = dataset.image_set(held_out_rows)
    outputs = predict_logits(served, held_out.images, fabric.device)
    calibration = fit_temperature(outputs.logits, held_out.classes)
    statistics, thresholds = _detector(plan, outputs, held_out.classes)
    detector = restore_detector(statistics, thresholds, outputs.pooled.shape[1])

    held_out_name = "fold" if plan.is_cross_validation else "held_out"
    parts = {held_out_name: held_out_rows}
    parts.update({name: dataset.rows_of_cohorts([name]) for name in _evaluated_cohorts(plan, dataset)})
    scores: dict[str, Any] = {}
    for name, rows in parts.items():
        images = dataset.image_set(rows)
        seen = outputs if name == held_out_name else predict_logits(served, images.images, fabric.device)
        probabilities = softmax(seen.logits, calibration.temperature)
        scores[name] = score_cohort(dataset, rows, probabilities, seen.class_maps)
        if detector is not None:
            scores[name]["flagged"] = round(float(detector.is_out(seen.logits, seen.pooled).mean()), 4)
        centres = sorted({dataset.cases[row].centre for row in rows})
        if len(centres) > 1:
            scores[name]["centres"] = {
                centre: score(images.classes[members], probabilities[members], dataset.classes)["accuracy"]
                for centre in centres
                for members in [np.array([dataset.cases[row].centre == centre for row in rows])]
            }
        save_predictions(dataset, rows, probabilities, folder, name)
    card = replace(base, temperature=calibration.temperature, metrics=scores, thresholds=thresholds)
    path = save_checkpoint(
        folder.model,
        fitted.network,
        card,
        statistics=statistics,
        storage=plan.storage,
    )
    _export_best(fitted, base, folder)
    result = {
        "run": folder.path.name,
        "architecture": recipe.architecture,
        "title": ARCHITECTURES[recipe.architecture].title,
        "recipe": recipe.to_dict(),
        "initialisation": built.initialisation,
        "is_synthetic": dataset.is_synthetic,
        "is_cross_validation": plan.is_cross_validation,
        "are_classes_permuted": plan.are_classes_permuted,
        "training_cohorts": list(plan.training_cohorts),
        "n_training": len(dataset.rows_of_cohorts(plan.training_cohorts)) - len(held_out_rows),
        "n_held_out": len(held_out_rows),
        "classes": list(dataset.classes),
        "fold": plan.fold,
        "folds": plan.folds,
        "epochs": len(fitted.history),
        "selected_epoch": fitted.selected_epoch,
        "best_epoch": fitted.best_epoch,
        "training_seconds": round(fitted.seconds, 1),
        "training_accuracy": round(fitted.history[-1]["training_accuracy"], 5),
        "images_per_second": fitted.history[-1]["images_per_second"],
        "temperature": round(calibration.temperature, 4),
        "scores": scores,
        "data_sha256": dataset.sha256,
        "split_sha256": folds.sha256,
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "weights_bytes": path.stat().st_size,
        "device": base.device,
        "threads": base.threads,
        "processes": fabric.world_size,
        "packages": base.packages,
        "commit": base.commit,
        "created_at": base.created_at,
    }
    folder.save_json(folder.result, result)
    return result


def _export_best(fitted: FitResult, base: ModelCard, folder: RunFolder) -> None:
    """The best epoch's weights as a checkpoint of their own, unless they are the result."""
    if fitted.best_epoch is None or fitted.best_epoch == fitted.selected_epoch:
        return
    network = build(base.architecture, len(base.classes), dropout=base.dropout).module
    network.load_state_dict(folder.load_state(folder.best_state)["network"])
    note = f"Epoch {fitted.best_epoch}, the best on the held-out part; uncalibrated, not the result of the run."
    save_checkpoint(folder.best_model, network, replace(base, note=f"{note} {base.note}".strip()))


def _detector(plan: RunPlan, outputs: Outputs, truth: np.ndarray) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Statistics and thresholds of the out-of-distribution detector as they are stored; empty where not asked for."""
    if not plan.has_detector:
        return {}, {}
    detector = fit_detector(outputs.pooled, outputs.logits, truth)
    return detector.to_tensors(), detector.to_thresholds()


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
