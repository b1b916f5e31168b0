"""Learning rate, optimiser and image size as functions of the step: no hidden state, so that resuming is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from core.model.architectures import Network
from training.recipe import Recipe

#: Image sizes of progressive resizing are multiples of the networks' total stride.
SIZE_STEP = 32
#: Part of the run during which the images grow.
GROWING_PART = 0.6


@dataclass(frozen=True)
class Steps:
    """How many steps a run has."""

    n_images: int
    batch_size: int
    steps_per_epoch: int
    total_steps: int
    epochs: int


def count_steps(recipe: Recipe, n_images: int, *, world_size: int = 1) -> Steps:
    """Count the steps of a run.

    Every image is used in every epoch; a last batch too small for batch normalisation on every device joins the one
    before it.

    Parameters
    ----------
    recipe : Recipe
    n_images : int
        Training images.
    world_size : int
        Processes that share a batch.
    """
    batches = max(1, n_images // recipe.batch_size)
    rest = n_images - batches * recipe.batch_size
    if rest >= 2 * world_size:
        batches += 1
    total = recipe.length * batches if recipe.length_unit == "epoch" else recipe.length
    return Steps(n_images, recipe.batch_size, batches, total, math.ceil(total / batches))


def learning_rate(recipe: Recipe, steps: Steps, step: int) -> float:
    """Learning rate of a step counted from 0 over the whole run."""
    warmup_steps = recipe.warmup_epochs * steps.steps_per_epoch
    if step < warmup_steps:
        return recipe.learning_rate * (step + 1) / (warmup_steps + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        passed = step if recipe.step_unit == "batch" else step // steps.steps_per_epoch
        return recipe.learning_rate * recipe.step_factor ** (passed // recipe.step_every)
    done = (step - warmup_steps) / max(1.0, steps.total_steps - warmup_steps)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return recipe.learning_rate * (recipe.final_rate_fraction + (1.0 - recipe.final_rate_fraction) * cosine)


def image_size(recipe: Recipe, steps: Steps, epoch: int) -> int:
    """Side length in pixels of the training images of an epoch (progressive resizing)."""
    if recipe.starting_size_fraction >= 1.0:
        return recipe.image_size
    done = min(1.0, epoch / max(1.0, GROWING_PART * steps.epochs))
    side = recipe.image_size * (recipe.starting_size_fraction + (1.0 - recipe.starting_size_fraction) * done)
    return min(recipe.image_size, max(SIZE_STEP, round(side / SIZE_STEP) * SIZE_STEP))


def optimizer_kind(recipe: Recipe, epoch: int) -> str:
    """Which optimiser an epoch uses: the recipe's, or SGD once its SGD phase has begun."""
    if recipe.sgd_from_epoch is not None and epoch >= recipe.sgd_from_epoch:
        return "sgd"
    return recipe.optimizer


def build_optimizer(kind: str, network: nn.Module, recipe: Recipe, *, is_fused: bool) -> torch.optim.Optimizer:
    """Optimiser over all weights.

    Adam takes weight decay as coupled L2 on everything, as ``torch.optim.Adam`` of the paper's time did; AdamW
    decays matrices and filters only, not biases or normalisation.
    """
    if kind == "adam":
        return torch.optim.Adam(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=is_fused
        )
    if kind == "sgd":
        return torch.optim.SGD(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, momentum=0.9
        )
    decayed = [weight for weight in network.parameters() if weight.ndim >= 2]
    others = [weight for weight in network.parameters() if weight.ndim < 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=is_fused)


class MovingAverage:
    """Exponential moving average of a network's weights and running statistics.

    Parameters
    ----------
    network : Network
        Network to follow, on its device already; ``average`` is filled from it.
    average : Network
        A second network of the same shape, which holds the average.
    decay : float
        Per step; the first steps use (1 + t) / (10 + t) where that is smaller, so that the random start is forgotten.
    """

    def __init__(self, network: Network, average: Network, decay: float) -> None:
        self.average = average.eval().requires_grad_(False)
        self.decay = decay
        self.average.load_state_dict(network.state_dict())
        pairs = list(zip(self.average.state_dict().values(), network.state_dict().values(), strict=True))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step ``step`` (counted from 0)."""
        weight = 1.0 - min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_([pair[0] for pair in self._averaged], [pair[1] for pair in self._averaged], weight)
        for target, source in self._copied:
            target.copy_(source)
