"""What a network in training says of images, in PyTorch and single precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from core.model.architectures import Network
from core.model.gradcam import explain
from core.model.preprocessing import normalise


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
