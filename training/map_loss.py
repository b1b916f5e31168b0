"""Teach a network where to look: a loss on its class maps, for training cases whose lesion is drawn.

The evidence map of a case's own class is Grad-CAM before rectification, in units of the logit: every position says how
far it speaks for the class. The loss asks that evidence to lie where the lesion mask does: it is the Kullback-Leibler
divergence from the mask, as a distribution over the map's positions, to the softmax of the evidence. A case without a
mask adds nothing, so a study that has masks for some cases can use those it has.

A map trained this way is still what the network's answer is computed from, and it is no proof that the answer is right:
it says where a network that was shown lesions finds one.

References
----------
Ross, Hughes and Doshi-Velez (2017), IJCAI, 2662-2670 (losses on explanations).
Li, Wu, Peng, Ernst and Fu (2018), CVPR, 9215-9223 (losses on class maps).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.model.architectures import Network
from core.model.gradcam import channel_weights


class TaughtNetwork(nn.Module):
    """A network and its map loss in one forward call, so that processes share the gradient of both (DDP)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Tensor, classes: Tensor | None = None, lesions: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (B, k) of normalised images (B, 3, H, W), and the map loss (B,) where lesions are given.

        Parameters
        ----------
        images : float tensor, shape (B, 3, H, W)
        classes : int64 tensor, shape (B,)
            Class of every case; needed with ``lesions``.
        lesions : float tensor, shape (B, H, W), optional
            Share of every pixel that belongs to the lesion, 0 to 1; all 0 where it is not known.
        """
        if lesions is None or classes is None:
            return self.network(images), None
        feature_map = self.network.trunk(images)
        logits, weights = channel_weights(self.network, feature_map)
        return logits, map_loss(feature_map, weights, classes, lesions)


def map_loss(feature_map: Tensor, weights: Tensor, classes: Tensor, lesions: Tensor) -> Tensor:
    """Divergence of each case's evidence from its lesion mask, in natural units; 0 for a case without one.

    Parameters
    ----------
    feature_map : float tensor, shape (B, C, h, w)
    weights : float tensor, shape (B, k, C)
        As :func:`core.model.gradcam.channel_weights` gives them.
    classes : int64 tensor, shape (B,)
    lesions : float tensor, shape (B, H, W)

    Returns
    -------
    float tensor, shape (B,)
    """
    height, width = feature_map.shape[-2:]
    rows = torch.arange(len(classes), device=classes.device)
    own = weights[rows, classes].float() * (height * width)  # (B, C): of the mean over positions, as of the logit
    with torch.autocast(feature_map.device.type, enabled=False):  # half precision would blur what the softmax compares
        evidence = torch.einsum("bc,bchw->bhw", own, feature_map.float()).flatten(1)  # (B, h * w)
    wanted = functional.adaptive_avg_pool2d(lesions.unsqueeze(1).float(), (height, width)).flatten(1)
    total = wanted.sum(dim=1, keepdim=True)
    wanted = wanted / total.clamp(min=1e-12)
    divergence = functional.kl_div(functional.log_softmax(evidence, dim=1), wanted, reduction="none").sum(dim=1)
    return torch.where(total.squeeze(1) > 0, divergence, torch.zeros_like(divergence))
