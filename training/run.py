"""One run from its plan to its last step: data, split, network, fit; ``conclusion`` makes the result of it."""

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
from core.model.architectures import ARCHITECTURES, BuiltModel, build
from core.model.checkpoint import Checkpoint, load_checkpoint
from training.classes import disease_classes
from training.conclusion import Work, conclude
from training.dataset import Dataset, check_classes, check_no_leak, imbalance, open_dataset
from training.loop import Fit
from training.plan import RunPlan, read_plan
from training.progress import RunDisplay
from training.run_folder import RunFolder, read_json
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
    work = _open(plan, fabric, folder)
    training = work.dataset.image_set(work.training_rows)
    if plan.are_classes_permuted:
        shuffled = np.random.default_rng([plan.recipe.seed, 77]).permutation(training.classes)
        training = replace(training, classes=shuffled, lesions=None)
    if fabric.is_global_zero:
        folder.save_json(folder.config, {"plan": plan.to_dict(), **work.facts(), "world_size": fabric.world_size})
        _announce(work, console, has_lesions=training.lesions is not None)
    torch.use_deterministic_algorithms(True, warn_only=fabric.device.type == "cuda")
    with RunDisplay(console, folder.path.name) as display:
        fitted = Fit(
            fabric,
            work.built.module,
            plan.recipe,
            training,
            work.dataset.image_set(work.held_out_rows),
            folder,
            fingerprint=_fingerprint(work),
            on_progress=display.update,
            teacher=work.teacher.network if work.teacher else None,
            is_compiled=plan.is_compiled,
            on_word=lambda text: console.print(text, style="bold yellow", highlight=False),
        ).run()
    result = conclude(work, fitted) if fabric.is_global_zero else {}
    fabric.barrier()
    return result


def _open(plan: RunPlan, fabric: Fabric, folder: RunFolder) -> Work:
    """Data, split and network of a run; everything that is wrong with them is said here."""
    with fabric.rank_zero_first():
        classes = disease_classes(plan.classes)
        dataset = open_dataset(
            Path(plan.data), plan.recipe.image_size, Path(plan.cache), classes=classes, view=plan.view
        )
        folds = _split(plan, dataset, folder, is_writer=fabric.is_global_zero)
    rows = dataset.rows_of_cohorts(plan.training_cohorts)
    is_held_out = np.array([folds.fold_of_case[dataset.cases[row].case] == plan.fold for row in rows])
    check_classes(dataset, rows[~is_held_out], "The training part")
    check_classes(dataset, rows[is_held_out], "The held-out part")
    evaluated = _evaluated_cohorts(plan, dataset)
    for cohort in evaluated:
        check_no_leak(dataset, rows, dataset.rows_of_cohorts([cohort]))
    built, teacher = _build(plan, dataset), _teacher(plan, dataset)
    return Work(plan, dataset, folds, rows[~is_held_out], rows[is_held_out], evaluated, built, fabric, folder, teacher)


def _announce(work: Work, console: Console, *, has_lesions: bool) -> None:
    """Say what begins, and what a person should know before waiting for it."""
    recipe, dataset, fabric = work.plan.recipe, work.dataset, work.fabric
    if work.built.warning:
        console.print(f"[bold red]{work.built.warning}", highlight=False)
    console.print(
        f"{work.folder.path.name}: {ARCHITECTURES[recipe.architecture].title} from {work.built.initialisation} "
        f"weights, {len(work.training_rows)} training cases, {len(work.held_out_rows)} held out, {recipe.image_size} "
        f"pixels, {fabric.world_size} x {fabric.device.type}, data {dataset.sha256[:12]}, split "
        f"{work.folds.sha256[:12]}",
        highlight=False,
    )
    counts = dataset.class_counts(work.training_rows)
    listed = ", ".join(f"{key} {count}" for key, count in counts.items())
    console.print(
        f"Training cases by class: {listed}; {imbalance(counts):.1f} of the commonest class to 1 of the rarest"
        + (f", weighted with the power {recipe.class_weight_power:g}." if recipe.class_weight_power else "."),
        highlight=False,
    )
    if recipe.map_weight and not has_lesions:
        console.print(
            "No case has a lesion mask: map_weight takes no part, and the class maps are not taught where to look.",
            style="bold yellow",
            highlight=False,
        )


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


def _build(plan: RunPlan, dataset: Dataset) -> BuiltModel:
    """Fresh network from the recipe's seed."""
    weights = plan.weights if plan.weights in (None, "imagenet") else Path(plan.weights)
    torch.manual_seed(plan.recipe.seed)
    return build(
        plan.recipe.architecture,
        len(dataset.classes),
        dropout=plan.recipe.head_dropout,
        weights=weights,  # type: ignore[arg-type]  # None, "imagenet" or a path by the line above
    )


def _teacher(plan: RunPlan, dataset: Dataset) -> Checkpoint | None:
    """The checkpoint whose answers are learned; None where the plan names none."""
    share = plan.recipe.teacher_weight
    if plan.teacher is None:
        if share:
            raise TrainingError(f"teacher_weight is {share:g} and there is no teacher. Name a checkpoint: --teacher.")
        return None
    if not share:
        raise TrainingError("A teacher needs its share of the loss. Add --set teacher_weight=0.7, for instance.")
    found = load_checkpoint(Path(plan.teacher), expected_classes=dataset.classes)
    if found.card.channels != dataset.channels:
        raise TrainingError(
            f"The teacher {plan.teacher} takes images of {found.card.channels} channel(s), and these have "
            f"{dataset.channels}. Give a teacher that was trained on such images."
        )
    if found.card.input_size != plan.recipe.image_size:
        raise TrainingError(
            f"The teacher {plan.teacher} takes images of {found.card.input_size} pixels, and the recipe has "
            f"{plan.recipe.image_size}. Add --set image_size={found.card.input_size}, or give another teacher."
        )
    return found


def _fingerprint(work: Work) -> str:
    """Hash of what decides every step of a run."""
    plan = work.plan
    content: list[Any] = [
        plan.recipe.to_dict(),
        work.dataset.sha256,
        work.folds.sha256,
        plan.fold,
        work.built.initialisation,
        plan.are_classes_permuted,
        plan.devices * plan.nodes,
        work.dataset.lesions_sha256() if plan.recipe.map_weight else None,
    ]
    if work.teacher is not None:
        content.append(work.teacher.sha256)
    if plan.is_compiled:
        content.append("compiled")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
