"""Worker of the tests with two processes: started once, starts its twin by itself (DDP)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from core.errors import TrainingError
from tests.training.conftest import small_network
from tests.training.test_loop import two_process_settings
from training.dataset import ImageSet
from training.loop import Fit
from training.recipe import PAPER, Recipe
from training.run_folder import RunFolder


def main(folder: Path, *, is_poisoned: bool) -> None:
    """Fit on two CPU processes; each writes the weights it ends with, or the error."""
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp", precision="32-true")
    fabric.launch()
    with np.load(folder / "data.npz") as stored:
        data = ImageSet(stored["images"], stored["classes"], stored["lesions"])
    torch.manual_seed(1)
    network = small_network(has_dropout=False)
    if is_poisoned and fabric.global_rank == 1:
        # From its second step on, one process sees what overflows; the other's images are sound.
        network.trunk.register_forward_hook(_Poison())
    recipe = Recipe.from_dict({**PAPER.to_dict(), **two_process_settings()})
    try:
        result = Fit(fabric, network, recipe, data, None, RunFolder(folder / "pair"), "x").run()
    except TrainingError as error:
        (folder / f"rank-{fabric.global_rank}.txt").write_text(str(error))
        raise
    state = {
        "network": result.network.state_dict(),
        "world_size": fabric.world_size,
        **{name: [row[name] for row in result.history] for name in ("training_loss", "training_map_loss")},
    }
    torch.save(state, folder / f"rank-{fabric.global_rank}.pt")


class _Poison:
    """Turns the map of every call after the first into NaN."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return output if self.calls == 1 else output * float("nan")


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_poisoned="poison" in sys.argv[2:])
