"""The batches of a run: which images, in which order, and changed how.

Everything random is a function of (seed, epoch, step, process), so that a run resumed at a step sees what the
uninterrupted run would have seen. Images lie where the device need not wait for them, and the order of an epoch goes
there in one copy: nothing in a batch makes the host wait for a GPU.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from core.model.preprocessing import normalise
from training.augmentation import augment
from training.dataset import ImageSet
from training.recipe import Recipe
from training.schedule import Steps

#: Side length in pixels from which a CPU is faster with channels last.
CHANNELS_LAST_FROM = 96


@dataclass(frozen=True)
class Batch:
    """One process's share of one batch, on the device."""

    inputs: torch.Tensor  # (B, 3, size, size) augmented and normalised
    targets: torch.Tensor  # (B,) int64
    lesions: torch.Tensor | None  # (B, size, size) share of every pixel, moved as the images; None where not asked for
    n_all: int  # images of all processes together
    seed: int  # of this step and process
    partners: torch.Tensor | None = None  # (B,) class of the image that was mixed in; None where nothing is mixed
    shares: torch.Tensor | None = None  # (B,) share of the image itself, 0.5 to 1


def step_seed(*parts: int) -> int:
    """A 63-bit seed that is a function of the given numbers only."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def epoch_batches(n_images: int, steps: Steps, seed: int, epoch: int) -> list[np.ndarray]:
    """Indices of every batch of an epoch: each image exactly once, in an order of its own per epoch."""
    order = np.random.default_rng([seed, epoch]).permutation(n_images)
    starts = [index * steps.batch_size for index in range(1, steps.steps_per_epoch)]
    return np.split(order, starts)


def is_channels_last(device: torch.device, size: int) -> bool:
    """Channels last is faster on a GPU, and on a CPU for all but small images (64: 12 % slower, 128: 20 % faster)."""
    return device.type == "cuda" or size >= CHANNELS_LAST_FROM


class Batches:
    """Training images and the batches made of them.

    Parameters
    ----------
    data : ImageSet
        Prepared uint8 images of the recipe's size.
    recipe : Recipe
    steps : Steps
    device : torch.device
        Where batches are wanted.
    rank, world_size : int
        This process among those that share every batch.
    """

    def __init__(
        self, data: ImageSet, recipe: Recipe, steps: Steps, device: torch.device, *, rank: int, world_size: int
    ) -> None:
        self._recipe, self._steps, self._device = recipe, steps, device
        self._rank, self._world_size = rank, world_size
        self._images, self._classes, self._lesions = _near_device(data, device)
        if not recipe.map_weight:
            self._lesions = None
        self._epoch = -1
        self._sizes: list[int] = []
        self._shares: Sequence[torch.Tensor] = ()

    @property
    def has_lesions(self) -> bool:
        """Whether batches carry lesion masks."""
        return self._lesions is not None

    def begin_epoch(self, epoch: int) -> None:
        """Put the order of an epoch beside the images."""
        batches = epoch_batches(len(self._classes), self._steps, self._recipe.seed, epoch)
        shares = [batch[self._rank :: self._world_size] for batch in batches]
        order = torch.from_numpy(np.concatenate(shares)).to(self._images.device)
        self._epoch, self._sizes = epoch, [len(batch) for batch in batches]
        self._shares = torch.split(order, [len(share) for share in shares])

    def batch(self, step: int, size: int) -> Batch:
        """Batch ``step`` of the epoch that was begun, at ``size`` pixels."""
        share, device = self._shares[step], self._device
        seed = step_seed(self._recipe.seed, self._epoch, step, self._rank)
        targets = self._classes[share].to(device, non_blocking=True)
        lesions = None if self._lesions is None else self._masks(self._lesions[share], size, seed)
        batch = Batch(self._inputs(self._images[share], size, seed), targets, lesions, self._sizes[step], seed)
        return mixed(batch, self._recipe.mix_alpha) if self._recipe.mix_alpha else batch

    def _inputs(self, images: torch.Tensor, size: int, seed: int) -> torch.Tensor:
        """Augmented, resized and normalised batch (B, 3, size, size) of prepared images (B, S, S[, 3])."""
        images = images.to(self._device, non_blocking=True)
        levels = (images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)).float() / 255.0
        if size != levels.shape[-1]:
            levels = functional.interpolate(
                levels, size=(size, size), mode="bilinear", antialias=True, align_corners=False
            )
        levels = augment(levels, self._recipe.augmentation, torch.Generator().manual_seed(seed))
        inputs = normalise((levels.squeeze(1) if images.ndim == 3 else levels.permute(0, 2, 3, 1)) * 255.0)
        if is_channels_last(self._device, self._recipe.image_size):
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def _masks(self, lesions: torch.Tensor, size: int, seed: int) -> torch.Tensor:
        """Lesion masks (B, S, S) moved as :meth:`_inputs` moves their images: share of every pixel (B, size, size)."""
        share = lesions.to(self._device, non_blocking=True).unsqueeze(1).float()
        if size != share.shape[-1]:
            share = functional.adaptive_avg_pool2d(share, size)
        return augment(share, self._recipe.augmentation.geometry(), torch.Generator().manual_seed(seed)).squeeze(1)


def mixed(batch: Batch, alpha: float) -> Batch:
    """The batch with a part of its neighbour added to every image; an image keeps the larger part, and its mask.

    The share is max(s, 1 - s) with s of Beta(alpha, alpha), as in Zhang et al. (2018), ICLR (mixup), but that each
    image stays the main one of its pair: a lesion mask has to belong to somebody.
    """
    drawn = np.random.default_rng(batch.seed).beta(alpha, alpha, len(batch.targets))
    shares = torch.from_numpy(np.maximum(drawn, 1.0 - drawn)).float().to(batch.inputs.device, non_blocking=True)
    inputs = torch.lerp(batch.inputs.roll(1, dims=0), batch.inputs, shares[:, None, None, None])
    return replace(batch, inputs=inputs, partners=batch.targets.roll(1), shares=shares)


def _near_device(data: ImageSet, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Images, classes and masks: on the GPU if they fit in a quarter of it, else in pinned memory."""
    images, classes = torch.from_numpy(np.ascontiguousarray(data.images)), torch.from_numpy(data.classes)
    lesions = None if data.lesions is None else torch.from_numpy(np.ascontiguousarray(data.lesions))
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if images.numel() * (1 if lesions is None else 2) < free / 4:
            return images.to(device), classes.to(device), None if lesions is None else lesions.to(device)
        return images.pin_memory(), classes, None if lesions is None else lesions.pin_memory()
    return images, classes, lesions
