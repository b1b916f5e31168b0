"""Small phantom cohorts and a small network, made once for all tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from core.model.architectures import Network
from core.phantom import small_cohorts, write_cohorts
from training.dataset import Dataset, ImageSet, open_dataset


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of 24 training, 6 internal and 3 external phantoms per class."""
    folder = tmp_path_factory.mktemp("phantoms")
    plans = small_cohorts({"training": 24, "internal": 6, "external": 3}, study="tests")
    return write_cohorts(plans, folder, image_format="png", workers=1)


@pytest.fixture(scope="session")
def dataset(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The cohorts decoded at 32 pixels."""
    return open_dataset(manifest, 32, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def sixteen(dataset: Dataset) -> ImageSet:
    """Four training images of every class."""
    rows = list(dataset.rows_of_cohorts(["training"]))
    chosen = [row for index in range(4) for row in [row for row in rows if dataset.cases[row].class_index == index][:4]]
    return dataset.image_set(np.array(chosen))


@pytest.fixture(autouse=True)
def _quiet_torch() -> None:
    """One thread: bitwise equality is promised for an unchanged number of threads only."""
    torch.set_num_threads(1)


def small_network(*, has_dropout: bool = True) -> Network:
    """A network of the house's shape without batch normalisation; seconds to train."""
    trunk = nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.ReLU(),
    )
    head = nn.Sequential(nn.Dropout(0.2 if has_dropout else 0.0), nn.Linear(24, 4))
    return Network(trunk, nn.AdaptiveAvgPool2d(1), head)


@pytest.fixture
def make_network() -> Callable[[], Network]:
    """Small networks with the same weights every time."""

    def make() -> Network:
        torch.manual_seed(1)
        return small_network()

    return make


@pytest.fixture
def fabric() -> Fabric:
    """One process on the CPU."""
    single = Fabric(accelerator="cpu", devices=1, precision="32-true")
    single.launch()
    return single
