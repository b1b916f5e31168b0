"""Grad-CAM for all classes from the one forward pass that makes the prediction.

Grad-CAM of class c is ``relu(sum_C alpha[c, C] A[C])`` with A (C, h, w) the last convolutional map and ``alpha`` the
gradient of logit c, averaged over the map. The logits depend on A only through pooling and a small head, so the
gradient never has to walk back through the network. Two routes give it:

- :func:`channel_weights`: in closed form, as matrix products with the slopes of the head's activations. Pooling
  (average or maximum) hands the *sum* of a channel's gradient on unchanged, so no position has to be followed. It
  needs no autograd, touches no ``.grad``, is safe in threads, and can be exported to ONNX.
- :func:`channel_weights_autograd`: ``torch.autograd.grad`` through the tail only, for any differentiable tail.

Maps are raw: rectified, in units of the logit, on one scale across classes and cases, so that weak evidence does not
look strong. :mod:`core.model.class_maps` draws them; :mod:`core.model.package_maps` has the methods that only the
grad-cam package offers.

References
----------
Selvaraju et al. (2017), ICCV, 618-626.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import ModelError
from core.model.architectures import Network


@dataclass(frozen=True)
class Explained:
    """One forward pass: the prediction and what explains it."""

    logits: Tensor  # (B, k)
    class_maps: Tensor  # (B, k, h, w), raw Grad-CAM of every class
    features: Tensor  # (B, C), mean of each channel of the last convolutional map


def explain(network: Network, images: Tensor) -> Explained:
    """Logits, Grad-CAM of every class, and pooled features, in one forward pass and no backward pass.

    Parameters
    ----------
    network : Network
        In evaluation mode.
    images : float tensor, shape (B, 3, H, W)
        As :func:`core.model.preprocessing.normalise` gives them.
    """
    feature_map = network.trunk(images)
    logits, weights = channel_weights(network, feature_map)
    return Explained(logits, weighted_maps(feature_map, weights), feature_map.mean(dim=(2, 3)))


def weighted_maps(feature_map: Tensor, weights: Tensor) -> Tensor:
    """Rectified weighted sums of channels: (B, C, h, w) and (B, k, C) to (B, k, h, w)."""
    batch, channels, height, width = feature_map.shape
    flat = feature_map.reshape(batch, channels, height * width)
    return torch.relu(torch.bmm(weights, flat)).reshape(batch, weights.shape[1], height, width)


def channel_weights(network: Network, feature_map: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, k) and Grad-CAM's weights (B, k, C) in closed form.

    Raises
    ------
    ModelError
        If the head has a layer whose slope is not known here; :func:`channel_weights_autograd` takes any.
    """
    inputs = []
    signal = network.pool(feature_map).flatten(1)
    for layer in network.head:
        inputs.append(signal)
        signal = layer(signal)
    logits = signal

    last = network.last_linear
    gradient = last.weight.unsqueeze(0)  # (1 or B, k, features)
    channels, positions = feature_map.shape[1], feature_map.shape[2] * feature_map.shape[3]
    earlier = list(zip(network.head, inputs, strict=True))[:-1]
    first_linear = next((index for index, (layer, _) in enumerate(earlier) if isinstance(layer, nn.Linear)), None)
    for index in range(len(earlier) - 1, -1, -1):
        layer, layer_input = earlier[index]
        if isinstance(layer, nn.Linear):
            weight = layer.weight
            if index == first_linear:
                weight = _sum_over_positions(weight, channels)
            gradient = gradient @ weight
        else:
            gradient = _back_through(layer, layer_input, gradient)
    if first_linear is None:
        gradient = _sum_over_positions(gradient.flatten(0, 1), channels).reshape(gradient.shape[0], -1, channels)
    return logits, gradient.expand(feature_map.shape[0], -1, -1) / positions


def _sum_over_positions(weight: Tensor, channels: int) -> Tensor:
    """Columns of a matrix on a flattened pooled map, summed over positions: (rows, C * s) to (rows, C)."""
    if weight.shape[1] == channels:
        return weight
    return weight.reshape(weight.shape[0], channels, -1).sum(dim=2)


def _back_through(layer: nn.Module, layer_input: Tensor, gradient: Tensor) -> Tensor:
    """Gradient (1 or B, k, d) before an elementwise or normalising layer from the gradient after it."""
    if isinstance(layer, nn.Dropout | nn.Identity):
        return gradient
    if isinstance(layer, nn.ReLU):
        return gradient * (layer_input > 0).to(gradient.dtype).unsqueeze(1)
    if isinstance(layer, nn.LeakyReLU):
        slope = torch.where(layer_input > 0, 1.0, layer.negative_slope)
        return gradient * slope.to(gradient.dtype).unsqueeze(1)
    if isinstance(layer, nn.Hardswish):
        # x relu6(x + 3) / 6 has slope 0 below -3, 1 above 3 and (2 x + 3) / 6 between.
        between = (2 * layer_input + 3) / 6
        slope = torch.where(layer_input >= 3, 1.0, torch.where(layer_input <= -3, 0.0, between))
        return gradient * slope.to(gradient.dtype).unsqueeze(1)
    if isinstance(layer, nn.LayerNorm):
        centred = layer_input - layer_input.mean(dim=1, keepdim=True)
        deviation = torch.sqrt(centred.square().mean(dim=1, keepdim=True) + layer.eps)
        standard = (centred / deviation).unsqueeze(1)  # (B, 1, d)
        gradient = gradient * layer.weight
        along = (gradient * standard).mean(dim=2, keepdim=True)
        return (gradient - gradient.mean(dim=2, keepdim=True) - standard * along) / deviation.unsqueeze(1)
    raise ModelError(f"no closed form for a {type(layer).__name__} in a head. Fix: use channel_weights_autograd.")


def channel_weights_autograd(network: Network, feature_map: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, k) and Grad-CAM's weights (B, k, C) by differentiating the tail only; any head.

    Works on a detached copy of the map with ``torch.autograd.grad``, so it leaves no ``.grad`` anywhere.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = feature_map.detach().clone().requires_grad_(True)
        logits = network.tail(leaf)
        eye = torch.eye(logits.shape[1], device=logits.device, dtype=logits.dtype)
        seeds = eye.unsqueeze(1).expand(-1, logits.shape[0], -1)  # (k, B, k)
        (gradient,) = torch.autograd.grad(logits, leaf, seeds, is_grads_batched=True)  # (k, B, C, h, w)
    return logits.detach(), gradient.mean(dim=(3, 4)).transpose(0, 1)
