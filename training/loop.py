"""The one training loop, for one CPU, one GPU or many, through Lightning Fabric.

Everything random in a step is a function of (seed, epoch, step, process): the order of the images, the augmentation,
the dropout. So a run that was killed and resumed ends with the same bits as one that was not (on the same device,
with the same number of threads).

Losses and counts stay on the device and come to the host once in ``READ_STEPS`` steps: in between, nothing makes the
host wait for a GPU. A state is saved only after a reading that found every loss finite.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional

from core.errors import TrainingError
from core.model.architectures import Network
from training.batches import Batch, Batches, is_channels_last
from training.compilation import compiled, why_not
from training.curves import save_curves
from training.dataset import ImageSet
from training.map_loss import TaughtNetwork
from training.prediction import predict_logits
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.schedule import (
    MovingAverage,
    build_optimizer,
    count_steps,
    image_size,
    learning_rate,
    optimizer_kind,
)

#: Steps between two readings of losses and counts; the first and the last step of an epoch are always read.
READ_STEPS = 20
#: By which a teacher's and a student's logits are divided before they are compared.
TEACHER_TEMPERATURE = 2.0
#: Seconds between two states saved inside an epoch.
STATE_SECONDS = 120.0
#: Seconds between two drawings of the curves; the last epoch is always drawn.
CURVE_SECONDS = 30.0


@dataclass(frozen=True)
class RunProgress:
    """Where a run stands; what a progress bar shows."""

    epoch: int  # counted from 0
    epochs: int
    step: int  # steps done over the whole run
    total_steps: int
    loss: float  # mean over this epoch, as far as it was read
    accuracy: float  # on the training images of this epoch, as far as it was read
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
    is_compiled: bool = False  # whether it ran compiled, whatever was asked for


@dataclass
class _State:
    """Everything that a step may change, but for network and optimiser."""

    epoch: int = 0
    step: int = 0  # within the epoch
    loss_sum: float = 0.0
    map_loss_sum: float = 0.0
    n_correct: int = 0
    n_seen: int = 0
    seconds: float = 0.0  # spent before this session
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, float] | None = None
    is_compiled: bool = False  # whether it began so; every session does as the first


@dataclass(frozen=True)
class _StepFigures:
    """What one step leaves on the device, until it is read."""

    step: int  # within the epoch
    rate: float
    weight: float  # the answer's loss was multiplied by it
    n: int  # images of this process
    values: torch.Tensor  # (4,) float32: whole loss, answer's loss, sum of map losses, right answers


@dataclass
class Fit:
    """One training of a network; :meth:`run` begins it, or goes on where the run folder says it stopped."""

    fabric: Fabric  # launched; says devices, precision and how gradients are shared
    network: Network  # fresh; its weights are replaced when a state is found
    recipe: Recipe
    training: ImageSet  # prepared uint8 images of the recipe's size
    validation: ImageSet | None
    folder: RunFolder  # where states, metrics and curves go
    fingerprint: str  # hash of recipe and data; a state of another run is refused
    on_progress: Callable[[RunProgress], None] | None = None  # called on the first process after every step
    teacher: Network | None = None  # whose answers are learned beside the classes; its weights stay
    is_compiled: bool = False  # with torch.compile, where nothing speaks against it
    on_word: Callable[[str], None] = lambda text: None  # told why a run is not compiled

    def run(self) -> FitResult:
        """Train to the end.

        Raises
        ------
        TrainingError
            NaN loss, out of memory, full disk, foreign state; each says what to do.
        """
        with _explained_memory(self.recipe):
            self._prepare()
            while self._state.epoch < self._steps.epochs:
                self._train_epoch()
                self._end_epoch()
            return self._result()

    def _prepare(self) -> None:
        """Network, optimiser, average and state on the device, new or as they were saved."""
        fabric, recipe = self.fabric, self.recipe
        saved = self._saved_state()
        self._state = _State(**{name: saved[name] for name in _State.__dataclass_fields__ if saved and name in saved})
        self._steps = count_steps(recipe, len(self.training.classes), world_size=fabric.world_size)
        average = copy.deepcopy(self.network) if recipe.ema_decay is not None else None
        network = self.network
        if saved:
            network.load_state_dict(saved["network"])
        if is_channels_last(fabric.device, recipe.image_size):
            network = network.to(memory_format=torch.channels_last)
        if fabric.device.type == "cuda" and fabric.world_size > 1:
            # A share of a batch of 12 is too small to normalise by.
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # torch has none
        self._network, self._optimizer_kind = network, optimizer_kind(recipe, self._state.epoch)
        self._wrapped, self._optimizer = fabric.setup(TaughtNetwork(network), self._new_optimizer())
        self._average: MovingAverage | None = None
        if average is not None and recipe.ema_decay is not None:
            self._average = MovingAverage(network, average.to(fabric.device), recipe.ema_decay)
        if saved:
            # A phase with another optimiser begins without the state of the one before.
            if self._state.step or self._optimizer_kind == optimizer_kind(recipe, self._state.epoch - 1):
                self._optimizer.load_state_dict(saved["optimizer"])
            if self._average is not None:
                self._average.average.load_state_dict(saved["average"])
        self._batches = Batches(
            self.training, recipe, self._steps, fabric.device, rank=fabric.global_rank, world_size=fabric.world_size
        )
        self._class_weights = class_weights(self.training.classes, self._network.n_classes, recipe.class_weight_power)
        if self._class_weights is not None:
            self._class_weights = self._class_weights.to(fabric.device)
        if self.teacher is not None:
            self.teacher = self.teacher.to(fabric.device).eval().requires_grad_(False)
        self._forward: nn.Module = self._wrapped
        self._is_graphed = False
        if self._state.is_compiled if saved else self.is_compiled:  # as it began, so that its bits are of one kind
            self._compile(is_begun=saved is not None)
        self._unread: list[_StepFigures] = []
        self._start = self._last_saved = self._last_drawn = time.monotonic()

    def _compile(self, *, is_begun: bool) -> None:
        """Put the compiled network in place of the plain one, where the same batch gives the same bits twice.

        Raises
        ------
        TrainingError
            If the run began compiled and cannot go on so.
        """
        reason = why_not(self.recipe, world_size=self.fabric.world_size)
        if not reason:
            self._wrapped.train()
            self._batches.begin_epoch(0)
            batch = self._batches.batch(0, self.recipe.image_size)

            def attempt(module: nn.Module) -> torch.Tensor:
                torch.manual_seed(batch.seed)
                with self.fabric.autocast():
                    logits, map_losses = module(batch.inputs, batch.targets, batch.lesions)
                loss = functional.cross_entropy(logits.float(), batch.targets)
                self.fabric.backward(loss if map_losses is None else loss + map_losses.sum())
                return cast(torch.Tensor, logits)

            self._forward, reason = compiled(self._wrapped.module, self.fabric.device, attempt)
            self._is_graphed = not reason and self.fabric.device.type == "cuda"
        self._state.is_compiled = not reason
        if reason and is_begun:
            raise TrainingError(
                f"This run began compiled and cannot go on so here: {reason}. Its weights would be neither those of a "
                "compiled run nor those of a plain one. Go on where it began, or begin anew in another run folder."
            )
        if reason:
            self.on_word(f"Not compiled: {reason}. The run goes on without; its result is the same as ever.")

    def _saved_state(self) -> dict[str, Any] | None:
        """The state in the run folder; None where there is none yet."""
        path = self.folder.last_state
        if not path.exists():
            return None
        saved = self.folder.load_state(path)
        if saved["fingerprint"] != self.fingerprint:
            raise TrainingError(
                f"{path} belongs to a run with another recipe or other data. Use another run folder, or delete this "
                "one."
            )
        return saved

    def _new_optimizer(self) -> torch.optim.Optimizer:
        """A fresh optimiser of the present kind."""
        is_fused = not str(self.fabric._precision.precision).startswith("16")  # scaled gradients: no clipping if fused
        return build_optimizer(self._optimizer_kind, self._network, self.recipe, is_fused=is_fused)

    def _train_epoch(self) -> None:
        """The steps of an epoch that are still to be done."""
        recipe, steps, state = self.recipe, self._steps, self._state
        kind = optimizer_kind(recipe, state.epoch)
        if kind != self._optimizer_kind:
            self._optimizer_kind = kind
            self._optimizer = cast(torch.optim.Optimizer, self.fabric.setup_optimizers(self._new_optimizer()))
        _freeze_trunk(self._network, is_frozen=state.epoch < recipe.head_only_epochs)
        self._wrapped.train()
        self._batches.begin_epoch(state.epoch)
        size = image_size(recipe, steps, state.epoch)
        done_before = state.epoch * steps.steps_per_epoch
        self._epoch_start, self._seen_at_start = time.monotonic(), state.n_seen
        n_steps = min(steps.steps_per_epoch, steps.total_steps - done_before)
        while state.step < n_steps:
            self._unread.append(self._step(done_before + state.step, size))
            state.step += 1
            is_read = state.step == n_steps or (state.step - 1) % READ_STEPS == 0
            if is_read:
                self._read()
            if self.on_progress is not None and self.fabric.is_global_zero:
                self.on_progress(self._progress(done_before + state.step))
            if is_read and time.monotonic() - self._last_saved > STATE_SECONDS:
                self._save()

    def _step(self, global_step: int, size: int) -> _StepFigures:
        """One step of the optimiser; nothing in it waits for the device."""
        recipe, state = self.recipe, self._state
        rate = learning_rate(recipe, self._steps, global_step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = self._batches.batch(state.step, size)
        torch.manual_seed(batch.seed)  # dropout
        # Sum over this process's share times processes over images: the processes' mean is the batch's mean.
        weight = self.fabric.world_size / batch.n_all
        loss, values = self._loss(batch, weight)
        self._optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if recipe.gradient_clip is not None:
            self.fabric.clip_gradients(
                self._wrapped, self._optimizer, max_norm=recipe.gradient_clip, error_if_nonfinite=False
            )
        self._optimizer.step()
        if self._average is not None:
            self._average.update(global_step)
        return _StepFigures(state.step, rate, weight, len(batch.targets), values)

    def _loss(self, batch: Batch, weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of a batch, and the values of :class:`_StepFigures`."""
        if self._is_graphed:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch has none
        with self.fabric.autocast():
            logits, map_losses = self._forward(batch.inputs, batch.targets, batch.lesions)
        answer_loss = weight * self._answer_loss(logits.float(), batch)
        loss, map_loss = answer_loss, torch.zeros_like(answer_loss)
        if map_losses is not None:
            map_loss = map_losses.sum()
            loss = answer_loss + self.recipe.map_weight * weight * map_loss
        n_correct = (logits.argmax(dim=1) == batch.targets).sum()
        return loss, torch.stack([loss.detach(), answer_loss.detach(), map_loss.detach(), n_correct.float()])

    def _answer_loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Loss of the answers to a batch, summed: against the classes and, where there is one, a teacher's answers."""
        power, share = self.recipe.hard_case_power, self.recipe.teacher_weight
        loss = summed_loss(logits, batch, self._class_weights, self.recipe.label_smoothing, power)
        if self.teacher is None:
            return loss
        with torch.no_grad(), self.fabric.autocast():
            wanted = self.teacher(batch.inputs)
        return (1.0 - share) * loss + share * distillation_loss(logits, wanted.float())

    def _read(self) -> None:
        """Bring what the steps left on the device to the host in one transfer; stop at a loss that is not finite."""
        values = torch.stack([one.values for one in self._unread])  # (steps, 4)
        if self.fabric.world_size > 1:
            # All processes stop at one: a sum with a NaN is a NaN, and with an infinity not finite.
            values[:, 0] = cast(torch.Tensor, self.fabric.all_reduce(values[:, 0].contiguous(), reduce_op="sum"))
        for one, (loss, answer_loss, map_loss, n_correct) in zip(self._unread, values.cpu().tolist(), strict=True):
            if not math.isfinite(loss):
                raise self._loss_error(loss, one)
            self._state.loss_sum += answer_loss / one.weight
            self._state.map_loss_sum += map_loss
            self._state.n_correct += int(n_correct)
            self._state.n_seen += one.n
        self._unread.clear()

    def _loss_error(self, loss: float, one: _StepFigures) -> TrainingError:
        """What is said of a loss that is not finite."""
        return TrainingError(
            f"The loss is {loss} in epoch {self._state.epoch + 1}, step {one.step + 1} (learning rate {one.rate:.3g}). "
            f"Nothing of it was saved, and {self.folder.last_state} holds the last good state. Start a new run with a "
            f"smaller rate, for example --set learning_rate={self.recipe.learning_rate / 10:.3g}, with "
            "--set gradient_clip=1, or with --precision 32-true."
        )

    def _progress(self, steps_done: int) -> RunProgress:
        """What the display is told."""
        state = self._state
        return RunProgress(
            state.epoch,
            self._steps.epochs,
            steps_done,
            self._steps.total_steps,
            state.loss_sum / state.n_seen,
            state.n_correct / state.n_seen,
            state.history[-1].get("validation_accuracy") if state.history else None,
            self._images_per_second(),
        )

    def _images_per_second(self) -> float:
        """Speed of this epoch in this session, as far as it was read."""
        elapsed = max(1e-9, time.monotonic() - self._epoch_start)
        return (self._state.n_seen - self._seen_at_start) * self.fabric.world_size / elapsed

    def _end_epoch(self) -> None:
        """Metrics, validation, curves and a state; the next epoch begins with empty sums."""
        state, folder = self._state, self.folder
        row = self._epoch_row()
        if self.validation is not None and self.fabric.is_global_zero:
            self._validate(self.validation, row)
        state.history.append(row)
        state.epoch, state.step = state.epoch + 1, 0
        state.loss_sum, state.map_loss_sum, state.n_correct, state.n_seen = 0.0, 0.0, 0, 0
        if self.fabric.is_global_zero:
            self._save()
            folder.save_table(folder.metrics, state.history)
            if time.monotonic() - self._last_drawn > CURVE_SECONDS or state.epoch == self._steps.epochs:
                save_curves(state.history, folder.curves)
                self._last_drawn = time.monotonic()
        self.fabric.barrier()

    def _epoch_row(self) -> dict[str, Any]:
        """One row of metrics.csv, summed over the processes."""
        fabric, state, steps = self.fabric, self._state, self._steps
        speed = self._images_per_second()
        sums = torch.tensor([state.loss_sum, state.map_loss_sum, state.n_correct, state.n_seen], dtype=torch.float64)
        if fabric.world_size > 1:
            sums = cast(torch.Tensor, fabric.all_reduce(sums.to(fabric.device), reduce_op="sum")).cpu()
        loss_sum, map_loss_sum, n_correct, n_seen = sums.tolist()
        last_step = state.epoch * steps.steps_per_epoch + state.step - 1
        return {
            "epoch": state.epoch + 1,
            "learning_rate": learning_rate(self.recipe, steps, last_step),
            "image_size": image_size(self.recipe, steps, state.epoch),
            "training_loss": loss_sum / n_seen,
            **({"training_map_loss": map_loss_sum / n_seen} if self._batches.has_lesions else {}),
            "training_accuracy": n_correct / n_seen,
            "images_per_second": round(speed, 1),
        }

    def _validate(self, validation: ImageSet, row: dict[str, Any]) -> None:
        """Add loss and accuracy on the validation split to the row of an epoch; remember the best epoch."""
        logits = predict_logits(self._tested, validation.images, self.fabric.device).logits
        loss = float(functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(validation.classes)))
        accuracy = float((logits.argmax(axis=1) == validation.classes).mean())
        row["validation_loss"], row["validation_accuracy"] = loss, accuracy
        best = self._state.best
        if best is None or (accuracy, -loss) > (best["accuracy"], -best["loss"]):
            self._state.best = {"epoch": float(row["epoch"]), "accuracy": accuracy, "loss": loss}
            state = {"network": self._tested.state_dict(), "epoch": row["epoch"]}
            self.folder.save_state(self.folder.best_state, state)

    @property
    def _tested(self) -> Network:
        """The network whose answers count: the moving average where there is one."""
        return self._network if self._average is None else self._average.average

    def _save(self) -> None:
        """Everything that a resumed run needs; written by the first process."""
        if self.fabric.is_global_zero:
            content: dict[str, Any] = {name: getattr(self._state, name) for name in _State.__dataclass_fields__}
            content["seconds"] = self._seconds()
            content["fingerprint"] = self.fingerprint
            content["network"] = self._network.state_dict()
            content["optimizer"] = self._optimizer.state_dict()
            content["average"] = None if self._average is None else self._average.average.state_dict()
            self.folder.save_state(self.folder.last_state, content)
        self._last_saved = time.monotonic()

    def _seconds(self) -> float:
        """Wall time of training, all sessions together."""
        return self._state.seconds + time.monotonic() - self._start

    def _result(self) -> FitResult:
        """The weights that the recipe selects, on the CPU."""
        seconds, best, selected = self._seconds(), self._state.best, self._state.epoch
        chosen = self._tested
        if self.recipe.selection == "best_validation" and best is not None:
            chosen.load_state_dict(self.folder.load_state(self.folder.best_state)["network"])
            selected = int(best["epoch"])
        _freeze_trunk(self._network, is_frozen=False)
        chosen = chosen.to("cpu").to(memory_format=torch.contiguous_format).eval()
        best_epoch = int(best["epoch"]) if best else None
        return FitResult(chosen, self._state.history, selected, best_epoch, seconds, self._state.is_compiled)


def class_weights(classes: np.ndarray, n_classes: int, power: float) -> torch.Tensor | None:
    """Weight of every class in the loss, shape (k,): (cases / cases of the class) ** power, 1 in the mean over cases.

    Parameters
    ----------
    classes : int array, shape (n,)
        Class index of every training case; each class has one case or more.
    n_classes : int
    power : float
        0 gives None: nothing is weighted. 1 gives every class the same share of the loss.
    """
    if power == 0:
        return None
    counts = np.bincount(classes, minlength=n_classes)
    weights = (len(classes) / np.maximum(counts, 1)) ** power
    return torch.from_numpy(weights * len(classes) / (weights * counts).sum()).float()


def summed_loss(
    logits: torch.Tensor, batch: Batch, weights: torch.Tensor | None, smoothing: float, hard_case_power: float
) -> torch.Tensor:
    """Cross-entropy of a batch, summed; of mixed images each class by its share.

    Parameters
    ----------
    logits : float32 tensor, shape (B, k)
    batch : Batch
    weights : float tensor, shape (k,), or None
        Of the classes.
    smoothing : float
        Probability spread over all classes.
    hard_case_power : float
        g of (1 - p) ** g, p the probability of the (first) class: cases that are answered well count little (Lin et
        al. 2017, ICCV, 2980-2988). 0 counts all alike.
    """
    if batch.shares is None and not hard_case_power:
        return functional.cross_entropy(logits, batch.targets, weights, reduction="sum", label_smoothing=smoothing)

    def losses(classes: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, classes, weights, reduction="none", label_smoothing=smoothing)

    each = losses(batch.targets)
    if batch.shares is not None and batch.partners is not None:
        each = torch.lerp(losses(batch.partners), each, batch.shares)
    if hard_case_power:
        of_truth = functional.softmax(logits, dim=1).gather(1, batch.targets[:, None]).squeeze(1)
        each = each * (1.0 - of_truth) ** hard_case_power
    return each.sum()


def distillation_loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence from a teacher's softened answers, summed over the batch; logits (B, k) of both.

    Hinton, Vinyals and Dean (2015), arXiv 1503.02531: both are divided by the temperature T, the divergence is
    multiplied by T squared. The teacher sees the same changed image as the student (Beyer et al. 2022, CVPR,
    10925-10934).
    """
    softened, target = (functional.log_softmax(one / TEACHER_TEMPERATURE, dim=1) for one in (logits, wanted))
    return TEACHER_TEMPERATURE**2 * functional.kl_div(softened, target, reduction="sum", log_target=True)


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
