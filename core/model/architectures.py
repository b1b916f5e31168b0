"""The registry of architectures: one entry each, from torchvision but for one, cut at the last convolutional map.

Every network here is a :class:`Network`: a ``trunk`` that ends in the last convolutional map, a ``pool``, and a
``head`` of plain layers from the pooled map to the logits. The cut is what makes Grad-CAM cheap (one forward pass
serves the prediction and the maps of all classes, see :mod:`core.model.gradcam`) and what training needs to warm up a
fresh head. Shapes: B images, C channels, H x W pixels of the image, h x w of the map, k classes.

Adding an architecture is one entry in :data:`ARCHITECTURES`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn

from core.errors import ModelError
from core.model import fine_resnet

log = logging.getLogger(__name__)

#: Where torchvision's weights are published.
WEIGHTS_ADDRESS = "https://download.pytorch.org/models/"

#: Seconds without an answer after which the ImageNet weights count as out of reach.
DOWNLOAD_TIMEOUT_SECONDS = 20.0


class Network(nn.Module):
    """A classifier cut at its last convolutional map.

    Parameters
    ----------
    trunk : nn.Module
        (B, 3, H, W) normalised image to (B, C, h, w), the last convolutional map.
    pool : nn.Module
        Average or maximum pooling of the map. Grad-CAM in closed form relies on pooling alone standing here: it hands
        the sum of a channel's gradient on unchanged.
    head : nn.Sequential
        Flattened pooled map to (B, k) logits: Linear, activation, Dropout and LayerNorm layers.
    """

    def __init__(self, trunk: nn.Module, pool: nn.Module, head: nn.Sequential) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = pool
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, k) of normalised images (B, 3, H, W)."""
        return self.tail(self.trunk(images))

    def tail(self, feature_map: Tensor) -> Tensor:
        """Logits (B, k) of the last convolutional map (B, C, h, w)."""
        return self.head(self.pool(feature_map).flatten(1))

    @property
    def n_classes(self) -> int:
        """Number of logits."""
        return int(self.last_linear.out_features)

    @property
    def last_linear(self) -> nn.Linear:
        """The layer that makes the logits; the only one that ImageNet weights never fill."""
        last = self.head[-1]
        if not isinstance(last, nn.Linear):
            raise ModelError(f"the head must end in a Linear layer, not {type(last).__name__}")
        return last


@dataclass(frozen=True)
class BuiltModel:
    """A network and where its numbers come from."""

    module: Network
    initialisation: str  # "random", "imagenet:<sha256>" or "file:<sha256>"
    warning: str | None = None  # why ImageNet weights were asked for and not used; shown wherever the model is

    @property
    def is_random(self) -> bool:
        """True if no pretrained weights were loaded."""
        return self.initialisation == "random"


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry."""

    title: str  # name in tables
    torchvision_name: str | None  # None: ours, for which no weights are published
    weights_file: str | None  # name under WEIGHTS_ADDRESS; its last part is a prefix of the file's SHA-256
    dropout: float  # probability of dropping, the default of the paper or of torchvision
    cut: Callable[[Any, int, float], Network]  # (torchvision model or None, n_classes, dropout) to Network
    reference: str


def _cut_alexnet(model: Any, n_classes: int, dropout: float) -> Network:
    """Cut behind the rectified fifth convolution; the last max-pooling belongs to the pool."""
    features, classifier = model.features, model.classifier
    head = nn.Sequential(
        nn.Dropout(dropout),
        classifier[1],
        nn.ReLU(),
        nn.Dropout(dropout),
        classifier[4],
        nn.ReLU(),
        nn.Linear(classifier[6].in_features, n_classes),
    )
    return Network(features[:12], nn.Sequential(features[12], model.avgpool), head)


def _cut_shufflenet(model: Any, n_classes: int, dropout: float) -> Network:
    """Cut behind conv5."""
    trunk = nn.Sequential(model.conv1, model.maxpool, model.stage2, model.stage3, model.stage4, model.conv5)
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(model.fc.in_features, n_classes))
    return Network(trunk, nn.AdaptiveAvgPool2d(1), head)


def _cut_mobilenet(model: Any, n_classes: int, dropout: float) -> Network:
    """Cut behind the last 1 x 1 convolution of the features (960 channels)."""
    first, last = model.classifier[0], model.classifier[3]
    head = nn.Sequential(first, nn.Hardswish(), nn.Dropout(dropout), nn.Linear(last.in_features, n_classes))
    return Network(model.features, nn.AdaptiveAvgPool2d(1), head)


#: Widths of the two hidden layers of the improved ResNet-34; the paper names two layers and no widths: halving.
IMPROVED_HEAD_WIDTHS = (256, 128)
#: Slope of the leaky ReLU below zero; the paper names none: the default of PyTorch.
IMPROVED_HEAD_SLOPE = 0.01


def _cut_improved_resnet34(model: Any, n_classes: int, dropout: float) -> Network:
    """Cut behind layer4; 512 -> 256 -> 128 -> k with leaky ReLU and dropout behind the first fully connected layer."""
    trunk = nn.Sequential(
        model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2, model.layer3, model.layer4
    )
    first, second = IMPROVED_HEAD_WIDTHS
    head = nn.Sequential(
        nn.Linear(model.fc.in_features, first),
        nn.LeakyReLU(IMPROVED_HEAD_SLOPE),
        nn.Dropout(dropout),
        nn.Linear(first, second),
        nn.LeakyReLU(IMPROVED_HEAD_SLOPE),
        nn.Linear(second, n_classes),
    )
    return Network(trunk, nn.AdaptiveAvgPool2d(1), head)


def _cut_convnext(model: Any, n_classes: int, dropout: float) -> Network:
    """Cut behind the fourth stage; torchvision's norm over channels becomes a plain LayerNorm on the pooled vector."""
    channels_norm, last = model.classifier[0], model.classifier[2]
    norm = nn.LayerNorm(channels_norm.normalized_shape, eps=channels_norm.eps)
    norm.load_state_dict(channels_norm.state_dict())
    head = nn.Sequential(norm, nn.Dropout(dropout), nn.Linear(last.in_features, n_classes))
    return Network(model.features, nn.AdaptiveAvgPool2d(1), head)


def _cut_efficientnet(model: Any, n_classes: int, dropout: float) -> Network:
    """Cut behind the last 1 x 1 convolution of the features."""
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(model.classifier[1].in_features, n_classes))
    return Network(model.features, nn.AdaptiveAvgPool2d(1), head)


def _make_fine_resnet(model: None, n_classes: int, dropout: float) -> Network:
    """Our own: nothing to cut, a fine map and one linear layer."""
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * fine_resnet.WIDTH, n_classes))
    return Network(fine_resnet.trunk(), nn.AdaptiveAvgPool2d(1), head)


ARCHITECTURES: dict[str, Architecture] = {
    "alexnet": Architecture(
        "AlexNet", "alexnet", "alexnet-owt-7be5be79.pth", 0.5, _cut_alexnet, "Krizhevsky (2014), arXiv:1404.5997"
    ),
    "shufflenet_v2_x1_0": Architecture(
        "ShuffleNetV2",
        "shufflenet_v2_x1_0",
        "shufflenetv2_x1-5666bf0f80.pth",
        0.0,
        _cut_shufflenet,
        "Ma et al. (2018), arXiv:1807.11164",
    ),
    "mobilenet_v3_large": Architecture(
        "MobileNetV3",
        "mobilenet_v3_large",
        "mobilenet_v3_large-8738ca79.pth",
        0.2,
        _cut_mobilenet,
        "Howard et al. (2019), arXiv:1905.02244",
    ),
    "resnet34_improved": Architecture(
        "Improved ResNet-34",
        "resnet34",
        "resnet34-b627a593.pth",
        0.8,
        _cut_improved_resnet34,
        "He et al. (2016), arXiv:1512.03385; head: Zhao et al. (2023), Front Endocrinol 14:1224191",
    ),
    "convnext_tiny": Architecture(
        "ConvNeXt-Tiny", "convnext_tiny", "convnext_tiny-983f1562.pth", 0.0, _cut_convnext, "Liu et al. (2022)"
    ),
    "efficientnet_v2_s": Architecture(
        "EfficientNetV2-S",
        "efficientnet_v2_s",
        "efficientnet_v2_s-dd5fe13b.pth",
        0.2,
        _cut_efficientnet,
        "Tan and Le (2021), arXiv:2104.00298",
    ),
    "resnet16_fine": Architecture(
        "ResNet-16 with a fine map", None, None, 0.2, _make_fine_resnet, "core.model.fine_resnet"
    ),
}

#: The four models of Table 2 of the paper, in its order.
PAPER_ARCHITECTURES: tuple[str, ...] = ("alexnet", "shufflenet_v2_x1_0", "mobilenet_v3_large", "resnet34_improved")


def architecture(name: str) -> Architecture:
    """Entry of the registry.

    Raises
    ------
    ModelError
        If there is no such entry; the message lists the names.
    """
    if name not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {name!r}. Fix: use one of {', '.join(ARCHITECTURES)}.")
    return ARCHITECTURES[name]


def build(
    name: str,
    n_classes: int,
    *,
    dropout: float | None = None,
    weights: Literal["imagenet"] | Path | None = None,
) -> BuiltModel:
    """Build a network with a fresh last layer.

    Parameters
    ----------
    name : str
        A key of :data:`ARCHITECTURES`.
    n_classes : int
        Number of logits, 1 or more.
    dropout : float, optional
        Probability of *dropping* in [0, 1), in place of the entry's own.
    weights : None, "imagenet" or Path
        None: random weights from torch's global generator. "imagenet": torchvision's weights from its cache, else
        from the internet; if neither can be had the weights stay random, a warning is logged, and
        ``BuiltModel.warning`` says so. A path: torchvision's weight file for this architecture, which must load.

    Returns
    -------
    BuiltModel

    Raises
    ------
    ModelError
        Unknown name, impossible argument, or a weights file that is missing, altered or of another architecture.
    """
    entry = architecture(name)
    if n_classes < 1:
        raise ModelError(f"a network needs at least one class, not {n_classes}.")
    rate = entry.dropout if dropout is None else dropout
    if not 0 <= rate < 1:
        raise ModelError(f"dropout is the probability of dropping and must lie in [0, 1), not {rate}.")
    if weights is not None and weights != "imagenet" and not isinstance(weights, Path):
        raise ModelError(f'weights must be None, "imagenet" or a path, not {weights!r}.')

    model = None if entry.torchvision_name is None else torchvision.models.get_model(entry.torchvision_name)
    initialisation, warning = "random", None
    if model is None or entry.weights_file is None:
        if weights is not None:
            raise ModelError(
                f"no pretrained weights are published for {entry.title}. Fix: leave --weights and --weights-file away, "
                "or choose another --architecture."
            )
    elif weights == "imagenet":
        found = _imagenet_file(entry.weights_file)
        if isinstance(found, Path):
            initialisation = f"imagenet:{_load_torchvision_weights(model, found, entry.title)}"
        else:
            warning = (
                f"{entry.title} starts from RANDOM weights: ImageNet weights were asked for and could not be had "
                f"({found}). Fix: download {WEIGHTS_ADDRESS}{entry.weights_file} elsewhere and pass it with "
                "--weights-file."
            )
            log.warning(warning)
    elif isinstance(weights, Path):
        initialisation = f"file:{_load_torchvision_weights(model, weights, entry.title)}"
    return BuiltModel(entry.cut(model, n_classes, rate), initialisation, warning)


def weights_cache() -> Path:
    """Folder where torchvision keeps downloaded weights (``$TORCH_HOME/hub/checkpoints``)."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _imagenet_file(file_name: str) -> Path | str:
    """The cached or just downloaded weight file, or the reason why there is none."""
    cached = weights_cache() / file_name
    if cached.is_file():
        return cached
    address = WEIGHTS_ADDRESS + file_name
    part = cached.with_suffix(f".{os.getpid()}.part")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(address, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer,  # noqa: S310 (https constant)
            part.open("wb") as out,
        ):
            while block := answer.read(1 << 20):
                out.write(block)
        part.replace(cached)
    except (urllib.error.URLError, OSError) as error:
        part.unlink(missing_ok=True)
        return f"{address}: {error}"
    return cached


def _load_torchvision_weights(model: nn.Module, path: Path, title: str) -> str:
    """Fill ``model`` from a torchvision weight file and return the file's SHA-256."""
    if not path.is_file():
        raise ModelError(f"the weights file {path} does not exist. Fix: check --weights-file.")
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"the weights file {path} cannot be read: {error}. Fix: check its permissions.") from error
    prefix = re.search(r"-([0-9a-f]{8,})\.[^.]+$", path.name)
    if prefix and not sha256.startswith(prefix.group(1)):
        raise ModelError(
            f"the weights file {path} is damaged or not what its name says: its SHA-256 starts with {sha256[:10]}, "
            f"its name promises {prefix.group(1)}. Fix: download it again."
        )
    try:
        # weights_only refuses anything but tensors, so a file that carries code is not run.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise ModelError(
            f"the weights file {path} is not a plain PyTorch state dict ({type(error).__name__}). "
            f"Fix: use torchvision's own file for {title}."
        ) from error
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(
            f"the weights file {path} does not fit {title}: {first} Fix: use torchvision's own file for {title}."
        ) from error
    return sha256
