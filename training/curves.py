"""Training curves as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from training.run_folder import write_atomically


def save_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw loss, accuracy and learning rate over the epochs.

    Parameters
    ----------
    history : sequence of mappings
        Rows of ``metrics.csv``.
    path : Path
        PNG file.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss_axis, accuracy_axis, rate_axis = figure.subplots(1, 3)
    for axis, quantity in ((loss_axis, "loss"), (accuracy_axis, "accuracy")):
        axis.plot(epochs, [row[f"training_{quantity}"] for row in history], label="training (augmented)")
        if f"validation_{quantity}" in history[0]:
            axis.plot(epochs, [row[f"validation_{quantity}"] for row in history], label="validation split")
        axis.set(xlabel="epoch", ylabel=quantity)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    rate_axis.plot(epochs, [row["learning_rate"] for row in history], color="0.3")
    rate_axis.set(xlabel="epoch", ylabel="learning rate", yscale="log")
    rate_axis.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(path, buffer.getvalue())
