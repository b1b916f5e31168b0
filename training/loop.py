"""The one training loop, for one CPU, one GPU or many, through Lightning Fabric.

Everything random in a step is a function of (seed, epoch, step, process): the order of the images, the augmentation,
the dropout. So a run that was killed and resumed ends with the same bits as one that was not (on the same device,
with the same number of threads).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional

from core.errors import TrainingError
from core.model.architectures import Network
from core.model.gradcam import explain
from core.model.preprocessing import normalise
from training.augmentation import augment
from training.curves import save_curves
from training.dataset import ImageSet
from training.map_loss import TaughtNetwork
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.schedule import (
    MovingAverage,
    Steps,
    build_optimizer,
    count_steps,
    image_size,
    learning_rate,
    optimizer_kind,
)

#: Seconds between two states saved inside an epoch.
STATE_SECONDS = 120.0
#: Seconds between two drawings of the curves; the last epoch is always drawn.
CURVE_SECONDS = 30.0
#: Side length in pixels from which a CPU is faster with channels last.
CHANNELS_LAST_FROM = 96


@dataclass(frozen=True)
class Progress:
    """Where a run stands; what a progress bar shows."""

    epoch: int  # counted from 0
    epochs: int
    step: int  # steps done over the whole run
    total_steps: int
    loss: float  # mean over this epoch so far
    accuracy: float  # on the training images of this epoch so far
    validation_accuracy: float | None
    images_per_second: float


@dataclass(frozen=True)
class FitResult:
    """A finished fit."""

    network: Network  # on the CPU, eval mode: the weights that the recipe selects
    history: list[dict[str, Any]]  # the rows of metrics.csv
    selected_epoch: int  # counted from 1
    best_epoch: int | None  # counted from 1; None without a validation split
    seconds: float  # wall time of training, all sessions together


@dataclass
class _State:
    """Everything that a step may change."""

    epoch: int
    step: int  # within the epoch
    loss_sum: float
    map_loss_sum: float
    n_correct: int
    n_seen: int
    seconds: float  # spent before this session
    history: list[dict[str, Any]]
    best: dict[str, float] | None


def step_seed(*parts: int) -> int:
    """A 63-bit seed that is a function of the given numbers only."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def epoch_batches(n_images: int, steps: Steps, seed: int, epoch: int) -> list[np.ndarray]:
    """Indices of every batch of an epoch: each image exactly once, in an order of its own per epoch."""
    order = np.random.default_rng([seed, epoch]).permutation(n_images)
    starts = [index * steps.batch_size for index in range(1, steps.steps_per_epoch)]
    return np.split(order, starts)


def fit(
    fabric: Fabric,
    network: Network,
    average: Network,
    recipe: Recipe,
    training: ImageSet,
    validation: ImageSet | None,
    folder: RunFolder,
    *,
    fingerprint: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> FitResult:
    """Train a network, or go on where the run folder says it stopped.

    Parameters
    ----------
    fabric : Fabric
        Launched; says devices, precision and how gradients are shared.
    network : core.model.architectures.Network
        Fresh; its weights are replaced when a state is found.
    average : same type
        A second network for the moving average (unused where the recipe has none).
    recipe : Recipe
    training, validation : ImageSet
        Prepared uint8 images of the recipe's size.
    folder : RunFolder
        Where states, metrics and curves go.
    fingerprint : str
        Hash of recipe and data; a state of another run is refused.
    on_progress : callable, optional
        Called on the first process after every step.

    Raises
    ------
    TrainingError
        NaN loss, out of memory, full disk, foreign state; each says what to do.
    """
    with _explained_memory(recipe):
        return _fit(fabric, network, average, recipe, training, validation, folder, fingerprint, on_progress)


def _fit(
    fabric: Fabric,
    network: Network,
    average: Network,
    recipe: Recipe,
    training: ImageSet,
    validation: ImageSet | None,
    folder: RunFolder,
    fingerprint: str,
    on_progress: Callable[[Progress], None] | None,
) -> FitResult:
    """:func:`fit` without the translation of memory errors."""
    device = fabric.device
    is_cuda = device.type == "cuda"
    steps = count_steps(recipe, len(training.classes), world_size=fabric.world_size)
    state = _State(0, 0, 0.0, 0.0, 0, 0, 0.0, [], None)
    saved = folder.load_state(folder.last_state) if folder.last_state.exists() else None
    if saved is not None:
        if saved["fingerprint"] != fingerprint:
            raise TrainingError(
                f"{folder.last_state} belongs to a run with another recipe or other data. "
                "Use another run folder, or delete this one."
            )
        state = _State(**{name: saved[name] for name in _State.__dataclass_fields__})
        network.load_state_dict(saved["network"])

    if _is_channels_last(device, recipe.image_size):
        network = network.to(memory_format=torch.channels_last)
    if is_cuda and fabric.world_size > 1:
        # A share of a batch of 12 is too small to normalise by.
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # torch has no types
    kind = optimizer_kind(recipe, state.epoch)
    is_fused = not str(fabric._precision.precision).startswith("16")  # scaled gradients cannot be clipped when fused
    optimizer = build_optimizer(kind, network, recipe, is_fused=is_fused)
    bare = network
    wrapped, optimizer = fabric.setup(TaughtNetwork(network), optimizer)
    ema = None
    if recipe.ema_decay is not None:
        ema = MovingAverage(bare, average.to(device), recipe.ema_decay)
    if saved is not None:
        optimizer.load_state_dict(saved["optimizer"])
        if ema is not None:
            ema.average.load_state_dict(saved["average"])

    images, classes, lesions = _on_device(training, device)
    if not recipe.map_weight:
        lesions = None
    session_start = time.monotonic()
    last_saved, last_drawn = session_start, session_start

    def save() -> None:
        content = {name: getattr(state, name) for name in _State.__dataclass_fields__}
        content["seconds"] = state.seconds + time.monotonic() - session_start
        content["fingerprint"] = fingerprint
        content["network"] = bare.state_dict()
        content["optimizer"] = optimizer.state_dict()
        content["average"] = ema.average.state_dict() if ema is not None else None
        if fabric.is_global_zero:
            folder.save_state(folder.last_state, content)

    while state.epoch < steps.epochs:
        if optimizer_kind(recipe, state.epoch) != kind:
            kind = optimizer_kind(recipe, state.epoch)
            following = build_optimizer(kind, bare, recipe, is_fused=is_fused)
            optimizer = cast(torch.optim.Optimizer, fabric.setup_optimizers(following))
        _freeze_trunk(bare, is_frozen=state.epoch < recipe.head_only_epochs)
        wrapped.train()
        size = image_size(recipe, steps, state.epoch)
        batches = epoch_batches(len(training.classes), steps, recipe.seed, state.epoch)
        epoch_start, seen_at_start = time.monotonic(), state.n_seen
        while state.step < len(batches):
            global_step = state.epoch * steps.steps_per_epoch + state.step
            if global_step >= steps.total_steps:
                break
            rate = learning_rate(recipe, steps, global_step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = batches[state.step]
            share = torch.from_numpy(batch[fabric.global_rank :: fabric.world_size]).to(images.device)
            seed = step_seed(recipe.seed, state.epoch, state.step, fabric.global_rank)
            inputs = _inputs(images[share], size, recipe, seed, device)
            targets = classes[share].to(device)
            masks = None if lesions is None else _masks(lesions[share], size, recipe, seed, device)
            torch.manual_seed(seed)  # dropout
            logits, map_losses = wrapped(inputs, targets, masks)
            # Sum over this process's share times processes over images: the processes' mean is the batch's mean.
            weight = fabric.world_size / len(batch)
            answer_loss = weight * functional.cross_entropy(
                logits.float(), targets, reduction="sum", label_smoothing=recipe.label_smoothing
            )
            loss, map_loss = answer_loss, 0.0
            if map_losses is not None:
                loss = answer_loss + recipe.map_weight * weight * map_losses.sum()
                map_loss = map_losses.sum().item()
            _check_loss(fabric, loss, recipe, folder, state.epoch, state.step, rate)
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(loss)
            if recipe.gradient_clip is not None:
                fabric.clip_gradients(wrapped, optimizer, max_norm=recipe.gradient_clip, error_if_nonfinite=False)
            optimizer.step()
            if ema is not None:
                ema.update(bare, global_step)
            state.step += 1
            state.loss_sum += answer_loss.item() / weight
            state.map_loss_sum += map_loss
            state.n_correct += int((logits.argmax(dim=1) == targets).sum())
            state.n_seen += len(share)
            if on_progress is not None and fabric.is_global_zero:
                elapsed = max(1e-9, time.monotonic() - epoch_start)
                on_progress(
                    Progress(
                        state.epoch,
                        steps.epochs,
                        global_step + 1,
                        steps.total_steps,
                        state.loss_sum / state.n_seen,
                        state.n_correct / state.n_seen,
                        state.history[-1].get("validation_accuracy") if state.history else None,
                        (state.n_seen - seen_at_start) * fabric.world_size / elapsed,
                    )
                )
            if time.monotonic() - last_saved > STATE_SECONDS:
                save()
                last_saved = time.monotonic()

        speed = (state.n_seen - seen_at_start) * fabric.world_size / max(1e-9, time.monotonic() - epoch_start)
        tested = ema.average if ema is not None else bare
        row = _epoch_row(fabric, state, rate, size, speed, has_map_loss=lesions is not None)
        if validation is not None:
            _validate(fabric, tested, validation, row, state, folder)
        state.history.append(row)
        state.epoch, state.step = state.epoch + 1, 0
        state.loss_sum, state.map_loss_sum, state.n_correct, state.n_seen = 0.0, 0.0, 0, 0
        if fabric.is_global_zero:
            save()
            last_saved = time.monotonic()
            folder.save_table(folder.metrics, state.history)
            if time.monotonic() - last_drawn > CURVE_SECONDS or state.epoch == steps.epochs:
                save_curves(state.history, folder.curves)
                last_drawn = time.monotonic()
        fabric.barrier()

    seconds = state.seconds + time.monotonic() - session_start
    chosen = ema.average if ema is not None else bare
    selected = state.epoch
    if recipe.selection == "best_validation" and state.best is not None:
        chosen.load_state_dict(folder.load_state(folder.best_state)["network"])
        selected = int(state.best["epoch"])
    _freeze_trunk(bare, is_frozen=False)
    chosen = chosen.to("cpu").to(memory_format=torch.contiguous_format).eval()
    return FitResult(chosen, state.history, selected, int(state.best["epoch"]) if state.best else None, seconds)


def _on_device(data: ImageSet, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Images, classes and masks where the device need not wait for them: on the GPU if they fit in a quarter of it."""
    images, classes = torch.from_numpy(np.ascontiguousarray(data.images)), torch.from_numpy(data.classes)
    lesions = None if data.lesions is None else torch.from_numpy(np.ascontiguousarray(data.lesions))
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if images.numel() * (1 if lesions is None else 2) < free / 4:
            return images.to(device), classes.to(device), None if lesions is None else lesions.to(device)
        return images.pin_memory(), classes, None if lesions is None else lesions.pin_memory()
    return images, classes, lesions


def _inputs(images: torch.Tensor, size: int, recipe: Recipe, seed: int, device: torch.device) -> torch.Tensor:
    """Augmented, resized and normalised batch (B, 3, size, size) of prepared images (B, S, S)."""
    grey = images.to(device, non_blocking=True).unsqueeze(1).float() / 255.0
    if size != grey.shape[-1]:
        grey = functional.interpolate(grey, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    grey = augment(grey, recipe.augmentation, torch.Generator().manual_seed(seed))
    inputs = normalise(grey.squeeze(1) * 255.0)
    if _is_channels_last(device, recipe.image_size):
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs


def _masks(lesions: torch.Tensor, size: int, recipe: Recipe, seed: int, device: torch.device) -> torch.Tensor:
    """Lesion masks (B, S, S) moved as :func:`_inputs` moves their images: share of every pixel (B, size, size)."""
    share = lesions.to(device, non_blocking=True).unsqueeze(1).float()
    if size != share.shape[-1]:
        share = functional.adaptive_avg_pool2d(share, size)
    return augment(share, recipe.augmentation.geometry(), torch.Generator().manual_seed(seed)).squeeze(1)


def _is_channels_last(device: torch.device, size: int) -> bool:
    """Channels last is faster on a GPU, and on a CPU for all but small images (64: 12 % slower, 128: 20 % faster)."""
    return device.type == "cuda" or size >= CHANNELS_LAST_FROM


def _check_loss(
    fabric: Fabric, loss: torch.Tensor, recipe: Recipe, folder: RunFolder, epoch: int, step: int, rate: float
) -> None:
    """Stop every process before a NaN of one of them reaches the weights of all."""
    loss = loss.detach()
    if fabric.world_size > 1:  # a sum with a NaN is a NaN, and with an infinity not finite
        loss = cast(torch.Tensor, fabric.all_reduce(loss, reduce_op="sum"))
    if torch.isfinite(loss):
        return
    raise TrainingError(
        f"The loss is {loss.item()} in epoch {epoch + 1}, step {step + 1} (learning rate {rate:.3g}). The weights are "
        f"not touched, and {folder.last_state} holds the last good state. Start a new run with a smaller rate, for "
        f"example --set learning_rate={recipe.learning_rate / 10:.3g}, with --set gradient_clip=1, or with "
        "--precision 32-true."
    )


def _epoch_row(
    fabric: Fabric, state: _State, rate: float, size: int, speed: float, *, has_map_loss: bool
) -> dict[str, Any]:
    """One row of metrics.csv, summed over the processes."""
    sums = torch.tensor([state.loss_sum, state.map_loss_sum, state.n_correct, state.n_seen], dtype=torch.float64)
    if fabric.world_size > 1:
        sums = cast(torch.Tensor, fabric.all_reduce(sums.to(fabric.device), reduce_op="sum")).cpu()
    loss_sum, map_loss_sum, n_correct, n_seen = (float(value) for value in sums)
    return {
        "epoch": state.epoch + 1,
        "learning_rate": rate,
        "image_size": size,
        "training_loss": loss_sum / n_seen,
        **({"training_map_loss": map_loss_sum / n_seen} if has_map_loss else {}),
        "training_accuracy": n_correct / n_seen,
        "images_per_second": round(speed, 1),
    }


def _validate(
    fabric: Fabric,
    network: Network,
    validation: ImageSet,
    row: dict[str, Any],
    state: _State,
    folder: RunFolder,
) -> None:
    """Loss and accuracy on the validation split, on the first process only; remembers the best epoch."""
    if not fabric.is_global_zero:
        return
    logits = predict_logits(network, validation.images, fabric.device).logits
    target = torch.from_numpy(validation.classes)
    loss = float(functional.cross_entropy(torch.from_numpy(logits), target))
    accuracy = float((logits.argmax(axis=1) == validation.classes).mean())
    row["validation_loss"], row["validation_accuracy"] = loss, accuracy
    best = state.best
    if best is None or (accuracy, -loss) > (best["accuracy"], -best["loss"]):
        state.best = {"epoch": float(row["epoch"]), "accuracy": accuracy, "loss": loss}
        folder.save_state(folder.best_state, {"network": network.state_dict(), "epoch": row["epoch"]})


@dataclass(frozen=True)
class Outputs:
    """What a network says about images."""

    logits: np.ndarray  # (n, k) float32
    pooled: np.ndarray  # (n, C) float32, mean of each channel of the last convolutional map
    class_maps: np.ndarray  # (n, k, h, w) float32, raw Grad-CAM of every class


@torch.inference_mode()
def predict_logits(network: Network, images: np.ndarray, device: torch.device, *, batch_size: int = 32) -> Outputs:
    """What a network says of prepared images (n, S, S), in single precision; leaves the network's mode alone."""
    was_training = network.training
    network.eval()
    parts = []
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size])).to(device)
        seen = explain(network, normalise(batch))
        parts.append([part.float().cpu().numpy() for part in (seen.logits, seen.features, seen.class_maps)])
    network.train(was_training)
    return Outputs(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _freeze_trunk(network: Network, *, is_frozen: bool) -> None:
    """Switch the trunk's gradients off while only the head learns."""
    for weight in network.trunk.parameters():
        weight.requires_grad_(not is_frozen)


@contextmanager
def _explained_memory(recipe: Recipe) -> Iterator[None]:
    """Turn every kind of out-of-memory into one error that says what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
            words in text
            for words in ("out of memory", "can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC")
        )
        if not is_memory:
            raise
        raise TrainingError(
            f"Out of memory with batches of {recipe.batch_size} images of {recipe.image_size} pixels. Use "
            f"--set batch_size={max(2, recipe.batch_size // 2)}, or --set image_size={recipe.image_size * 3 // 4}, "
            "or fewer runs at a time (--workers 1); a run folder's last state stays valid, but a changed recipe "
            "needs a new run folder."
        ) from error
