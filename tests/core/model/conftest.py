"""Networks and checkpoints that the tests of the model share: random weights, small images, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from core.model.architectures import Network, build
from core.model.checkpoint import ModelCard, save_checkpoint
from core.model.preprocessing import normalise

CLASSES = ("graves", "normal", "sat", "tumor")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """These tests share a machine; and one thread makes repeated numbers equal to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def _network(name: str) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = build(name, len(CLASSES)).module.eval()
        # Fresh last layers of some networks start near zero, which would leave every comparison empty.
        with torch.no_grad():
            for norm in network.modules():
                if isinstance(norm, torch.nn.BatchNorm2d):
                    norm.running_mean.normal_(0, 0.1)
                    norm.running_var.uniform_(0.5, 1.5)
            network.last_linear.weight.normal_(0, 0.5)
            network.last_linear.bias.normal_(0, 0.5)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


def blobs(n: int, size: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Prepared images (n, size, size) uint8 of bright blobs, and the quarter (n,) that each lies in."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:size, 0:size] / size
    quarters = np.arange(n) % 4
    pictures = []
    for quarter in quarters:
        row, column = rng.uniform(0.2, 0.35, 2) + np.array([0.45 * (quarter // 2), 0.45 * (quarter % 2)])
        width, height = rng.uniform([0.08, 120], [0.15, 240])
        blob = height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / width**2)
        pictures.append(np.clip(blob + rng.poisson(rng.uniform(2, 15), (size, size)), 0, 255))
    return np.stack(pictures).astype(np.uint8), quarters


@cache
def _trained_network() -> Network:
    """A ShuffleNetV2 that learned in a few steps where a blob lies.

    The logits of a fresh network agree to a millionth for any two images, so comparing its answers proves nothing.
    """
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = build("shufflenet_v2_x1_0", len(CLASSES)).module.train()
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        for step in range(14):
            pictures, quarters = blobs(16, 64, seed=100 + step)
            loss = torch.nn.functional.cross_entropy(
                network(normalise(torch.from_numpy(pictures))), torch.from_numpy(quarters)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.reset_running_stats()
                norm.momentum = None  # the average over the batch below
        with torch.no_grad():
            network(normalise(torch.from_numpy(blobs(32, 64, seed=5)[0])))
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return network


@pytest.fixture
def trained_network() -> Network:
    """A frozen ShuffleNetV2 whose answers differ from image to image; do not change it."""
    return _trained_network()


@pytest.fixture
def network_of() -> Callable[[str], Network]:
    """A frozen network of an architecture, made once; do not change it."""
    return _network


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a ShuffleNetV2 checkpoint for 64 pixel images; do not change it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    card = ModelCard("shufflenet_v2_x1_0", CLASSES, 64, "random", temperature=1.7)
    save_checkpoint(folder, _trained_network(), card)
    return folder


@pytest.fixture
def images() -> list[np.ndarray]:
    """Seven images of different shape and depth, smooth blobs on noise."""
    rng = np.random.default_rng(3)
    pictures: list[np.ndarray] = []
    for index in range(7):
        height, width = 60 + 5 * index, 90 - 4 * index
        rows, columns = np.mgrid[0:height, 0:width]
        blob = 160 * np.exp(-((rows - 25 - index) ** 2 + (columns - 30) ** 2) / 120)
        picture = np.clip(blob + rng.poisson(12, (height, width)), 0, 255)
        is_deep = index == 3
        pictures.append((picture * 200).astype(np.uint16) if is_deep else picture.astype(np.uint8))
    return pictures
