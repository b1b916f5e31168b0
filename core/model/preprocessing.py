"""From the pixels of a case to the input of a network: the one way, in training, predicting and Grad-CAM.

:func:`prepare` ends in a uint8 square that can be cached; :func:`normalise` turns a batch of those into what a network
takes. Anything else (OpenCV, another antialiasing) differs by tens of grey levels, so nothing else is used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from core.errors import ImageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Stored in every checkpoint; a checkpoint of another version is refused.
PREPROCESSING_VERSION = "1: 8 bit, pad to square with the border's median, PIL bilinear, ImageNet statistics"

#: Mean and standard deviation of ImageNet per colour channel, of values in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)

_FIX_COLOUR = "take a model of the same kind, another view (model_view), or change the column 'colour' of the manifest"

#: Longest side in pixels that a model takes: above, one image alone would fill the memory.
LARGEST_SIDE = 4096

#: The side length in pixels that the paper's networks take.
DEFAULT_INPUT_SIZE = 224


def prepare(pixels: np.ndarray, size: int = DEFAULT_INPUT_SIZE, channels: int = 1) -> np.ndarray:
    """Eight-bit square of one image.

    Parameters
    ----------
    pixels : array, shape (height, width), uint8 or uint16, or (height, width, 3), uint8
        ``LoadedImage.pixels``. Sixteen bits are rendered by :func:`core.imaging.render_uint8`, as on the screen.
    size : int
        Side length in pixels of the result.
    channels : int
        1 for a model of grey images, 3 for one of colour.

    Returns
    -------
    uint8 array, shape (size, size), or (size, size, 3) with three channels
        The image centred on a square filled with the median of its border, resized by PIL's antialiased bilinear
        filter.

    Raises
    ------
    ImageError
        If the array is no picture, or is grey where the model takes colour or the other way round.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 3 and channels == 1:
        raise ImageError("the image is in colour and the model was trained on grey ones", fix=_FIX_COLOUR)
    if pixels.ndim == 2 and channels == 3:
        raise ImageError("the image is grey and the model was trained on colour", fix=_FIX_COLOUR)
    if pixels.ndim != (2 if channels == 1 else 3) or pixels.size == 0:
        raise ImageError("an image must have two dimensions and at least one pixel", field="shape", value=pixels.shape)
    if pixels.dtype == np.uint16:
        from core.imaging import render_uint8

        pixels = render_uint8(pixels)
    if pixels.dtype != np.uint8:
        raise ImageError("pixels must be uint8 or uint16", field="dtype", value=str(pixels.dtype))
    square = pad_to_square(pixels)
    if square.shape[0] == size:
        return np.ascontiguousarray(square)
    resized = Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR)
    return np.array(resized)


def pad_to_square(pixels: np.ndarray) -> np.ndarray:
    """Centre a uint8 image (height, width[, 3]) on a square of its longer side, filled with its border's median."""
    height, width = pixels.shape[:2]
    if height == width:
        return pixels
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    side = max(height, width)
    square = np.empty((side, side, *pixels.shape[2:]), dtype=np.uint8)
    square[:] = np.median(border, axis=0).astype(np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def square_to_image_box(height: int, width: int) -> tuple[float, float, float, float]:
    """Where an image of (height, width) lies in its padded square: top, left, bottom, right as fractions of the side.

    A class map covers the square; this is the part of it that covers the image.
    """
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return top / side, left / side, (top + height) / side, (left + width) / side


def normalise(batch: Tensor) -> Tensor:
    """Network input of prepared images.

    Parameters
    ----------
    batch : uint8 tensor, shape (B, H, W) or (B, H, W, 3)
        Stacked results of :func:`prepare`, on any device.

    Returns
    -------
    float32 tensor, shape (B, 3, H, W)
        The grey value in all three channels, or the colour, standardised by ImageNet's mean and standard deviation.
    """
    import torch  # the app serves without torch, which takes seconds to import

    # Made on a GPU once: each time would make the host wait for it. On a CPU they cost nothing and are traced.
    mean, sd = (_levels if batch.device.type == "cpu" else _kept_levels)(batch.device)
    channels = batch.unsqueeze(1) if batch.ndim == 3 else batch.permute(0, 3, 1, 2)
    return (channels.to(torch.float32) - mean) / sd


def _levels(device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ImageNet in grey levels, (1, 3, 1, 1) each, on a device."""
    import torch

    with torch.inference_mode(False):  # kept ones serve in training too
        mean, sd = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (IMAGENET_MEAN, IMAGENET_SD)
        )
    return mean, sd


_kept_levels = lru_cache(_levels)


def prepare_mask(mask: np.ndarray, size: int = DEFAULT_INPUT_SIZE) -> np.ndarray:
    """A lesion mask brought to the square that :func:`prepare` makes of its image.

    Parameters
    ----------
    mask : bool array, shape (height, width)
    size : int

    Returns
    -------
    bool array, shape (size, size)
        A pixel belongs to the lesion if half of it does; a lesion too small for that keeps every pixel it touches.
    """
    height, width = mask.shape
    side = max(height, width)
    square = np.zeros((side, side), dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = np.where(mask, 255, 0)
    share = np.array(Image.fromarray(square).resize((size, size), Image.Resampling.BOX))
    half = share >= 128
    return half if half.any() else share > 0
