"""Worker of ``test_two_processes_give_the_weights_of_one``: started once, starts its twin by itself (DDP)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from tests.training.conftest import small_network
from tests.training.test_loop import two_process_settings
from training.dataset import ImageSet
from training.loop import fit
from training.recipe import PAPER, Recipe
from training.run_folder import RunFolder


def main(folder: Path) -> None:
    """Fit on two CPU processes; each writes the weights it ends with."""
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp", precision="32-true")
    fabric.launch()
    with np.load(folder / "data.npz") as stored:
        data = ImageSet(stored["images"], stored["classes"])
    networks = []
    for _ in range(2):
        torch.manual_seed(1)
        networks.append(small_network(has_dropout=False))
    recipe = Recipe.from_dict({**PAPER.to_dict(), **two_process_settings()})
    result = fit(fabric, *networks, recipe, data, None, RunFolder(folder / "pair"), fingerprint="x")
    state = {
        "network": result.network.state_dict(),
        "world_size": fabric.world_size,
        "loss": [row["training_loss"] for row in result.history],
    }
    torch.save(state, folder / f"rank-{fabric.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
