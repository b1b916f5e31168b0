"""Augmentation of a whole batch on the device, safe for scintigrams.

In the order of an acquisition: one affine resampling per image (rotation, shift, scale, left-right flip), Poisson
thinning, smoothing, then a window and gamma change. The random numbers of an image are a function of the generator
only, drawn on the CPU, so that a run resumed at a step draws what the uninterrupted run would have drawn, on any
device.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from training.recipe import Augmentation


def augment(images: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Randomly changed copies of a batch of grey or colour images.

    Parameters
    ----------
    images : float tensor, shape (B, 1, H, W) or (B, 3, H, W)
        Levels in [0, 1]; in grey, white is many counts. The levels of colours are no counts and are not thinned.
    settings : Augmentation
        Ranges; all zero returns the images unchanged.
    generator : torch.Generator
        CPU generator that all randomness comes from.

    Returns
    -------
    float tensor, shape as given
        On the device of ``images``, in [0, 1].
    """
    if not settings.is_active:
        return images
    # Nine numbers per image, always drawn, so that switching one change off leaves the others as they were.
    draws = torch.rand(images.shape[0], 9, generator=generator)
    # Which images are thinned or smoothed is decided on the host: the device would have to be waited for.
    thinned = torch.nonzero(draws[:, 7] < settings.thinning_probability).squeeze(1)
    smoothed = torch.nonzero(draws[:, 8] < settings.smoothing_probability).squeeze(1)
    draws, thinned, smoothed = (part.to(images.device, non_blocking=True) for part in (draws, thinned, smoothed))
    signed = 2.0 * draws - 1.0
    images = _move(images, signed, draws, settings)
    if images.shape[1] == 1:
        images = _thin(images, draws, thinned, settings, generator)
    images = _smooth(images, draws, smoothed, settings)
    return _redisplay(images, signed, settings)


def _move(images: torch.Tensor, signed: torch.Tensor, draws: torch.Tensor, settings: Augmentation) -> torch.Tensor:
    """Rotation, shift, scale and left-right flip in one bilinear resampling; the border repeats its last pixel."""
    if not (
        settings.rotation_degrees or settings.shift_fraction or settings.scale_fraction or settings.flip_probability
    ):
        return images
    angle = signed[:, 0] * math.radians(settings.rotation_degrees)
    zoom = 1.0 + signed[:, 1] * settings.scale_fraction
    mirror = torch.where(draws[:, 4] < settings.flip_probability, -1.0, 1.0)
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    theta = torch.stack(
        [
            torch.stack([cosine * mirror, -sine, 2.0 * signed[:, 2] * settings.shift_fraction], dim=1),
            torch.stack([sine * mirror, cosine, 2.0 * signed[:, 3] * settings.shift_fraction], dim=1),
        ],
        dim=1,
    )  # (B, 2, 3)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _smooth(images: torch.Tensor, draws: torch.Tensor, chosen: torch.Tensor, settings: Augmentation) -> torch.Tensor:
    """A Gaussian filter as the camera's workstation applies before export, for the chosen part of the batch."""
    if len(chosen) == 0:
        return images
    largest = settings.smoothing_fraction * images.shape[-1]
    # The draw that decides also sets the width, uniform from nothing to the largest.
    sd = largest * draws[chosen, 8] / settings.smoothing_probability
    reach = max(1, math.ceil(3 * largest))
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    kernels = torch.exp(-(offsets**2) / (2 * sd[:, None].clamp(min=1e-3) ** 2))
    kernels = kernels / kernels.sum(dim=1, keepdim=True)
    n = len(chosen)
    padded = functional.pad(images[chosen].transpose(0, 1), [reach] * 4, mode="replicate")  # (C, n, H + 2r, W + 2r)
    rows = functional.conv2d(padded, kernels.view(n, 1, -1, 1), groups=n)
    smoothed = images.clone()
    smoothed[chosen] = functional.conv2d(rows, kernels.view(n, 1, 1, -1), groups=n).transpose(0, 1)
    return smoothed


def _redisplay(images: torch.Tensor, signed: torch.Tensor, settings: Augmentation) -> torch.Tensor:
    """Another upper window end and another gamma, as another operator or display would give."""
    if settings.window_fraction:
        top = 1.0 + signed[:, 5] * settings.window_fraction
        images = (images / top[:, None, None, None]).clamp(0.0, 1.0)
    if settings.gamma_log_range:
        gamma = torch.exp(signed[:, 6] * settings.gamma_log_range)
        images = images.clamp(min=1e-6) ** gamma[:, None, None, None]
    return images


def _thin(
    images: torch.Tensor, draws: torch.Tensor, chosen: torch.Tensor, settings: Augmentation, generator: torch.Generator
) -> torch.Tensor:
    """Poisson noise of an acquisition with fewer counts, for the chosen part of the batch."""
    if not settings.thinning_probability:
        return images
    noise_seed = int(torch.randint(2**62, (1,), generator=generator))
    noise = torch.Generator(device=images.device).manual_seed(noise_seed)
    low, high = settings.thinning_counts
    # The draw that decides also sets how many counts are left, log-uniform between the two ends.
    part = draws[chosen, 7] / settings.thinning_probability
    counts = (low * (high / low) ** part)[:, None, None, None]
    thinned = images.clone()
    thinned[chosen] = (torch.poisson(images[chosen] * counts, generator=noise) / counts).clamp(0.0, 1.0)
    return thinned
