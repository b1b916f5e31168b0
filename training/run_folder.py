"""The folder of one run: what was asked, how it went, where it stands, and what came out.

::

    config.json        plan and recipe, data and split hashes, package versions, threads, device
    split.json         which case was trained on, which was held out
    metrics.csv        one row an epoch
    curves.png         the same, drawn
    last.ckpt          everything needed to go on at the same step (tensors and plain values; never unpickled as code)
    best.ckpt          weights of the best epoch on the validation split
    model/             the result: safetensors with its card inside, and the card beside it
    best/              the best epoch's weights in the same form, where they are not the result
    result.json        metrics on every evaluated cohort; its presence means that the run is finished
    predictions_*.csv  probabilities of every evaluated case
    lock               held by the process that is at work here

Every file is written beside its place, flushed to the disk and then renamed, so that a kill leaves the old file whole.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.errors import TrainingError

#: Version of the content of last.ckpt.
STATE_FORMAT = 1


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and how they are written."""

    path: Path

    @property
    def config(self) -> Path:
        """Plan, recipe, hashes and versions."""
        return self.path / "config.json"

    @property
    def split(self) -> Path:
        """Stored split."""
        return self.path / "split.json"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def curves(self) -> Path:
        """Drawn metrics."""
        return self.path / "curves.png"

    @property
    def last_state(self) -> Path:
        """State to resume from."""
        return self.path / "last.ckpt"

    @property
    def best_state(self) -> Path:
        """Weights of the best epoch."""
        return self.path / "best.ckpt"

    @property
    def model(self) -> Path:
        """Folder of the finished checkpoint."""
        return self.path / "model"

    @property
    def best_model(self) -> Path:
        """Folder of the best epoch's checkpoint, where it is not the result."""
        return self.path / "best"

    @property
    def result(self) -> Path:
        """Metrics of the finished run."""
        return self.path / "result.json"

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return self.result.exists()

    def predictions(self, cohort: str) -> Path:
        """Probabilities of one evaluated cohort."""
        return self.path / f"predictions_{cohort}.csv"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process out of this folder; the system lets go when this one ends, however it ends.

        Raises
        ------
        TrainingError
            If another process is at work here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TrainingError(
                    f"Another process is at work in {self.path}. Wait until it is done, or stop it first."
                ) from error
            yield

    def save_state(self, path: Path, state: Mapping[str, Any]) -> None:
        """Write tensors and plain values.

        Raises
        ------
        TrainingError
            If the disk is full or the folder cannot be written.
        """
        buffer = io.BytesIO()
        torch.save({"format": STATE_FORMAT, **state}, buffer)
        write_atomically(path, buffer.getvalue())

    def load_state(self, path: Path) -> dict[str, Any]:
        """Read what :meth:`save_state` wrote; nothing but tensors and plain values is ever built.

        Raises
        ------
        TrainingError
            If the file is damaged, foreign, or of another version of this program.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError, ... by kind of damage
            raise TrainingError(
                f"{path} cannot be read as a training state ({type(error).__name__}). "
                "Delete it to start this run from its first epoch."
            ) from error
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            raise TrainingError(f"{path} is of another version. Delete it to start this run from its first epoch.")
        return state

    def save_json(self, path: Path, content: Any) -> None:
        """Write plain values as readable JSON."""
        write_atomically(path, (json.dumps(content, indent=1, sort_keys=False) + "\n").encode())

    def save_table(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of the same keys as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(path, text.getvalue().encode())


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises
    ------
    TrainingError
        If it is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be read ({error}). Is {path.parent} a run folder?") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by new content, or leave it as it was.

    Raises
    ------
    TrainingError
        If the disk is full or the folder cannot be written; says what to do.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            if not part.is_symlink():
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(
                f"The disk is full: {path} needs {len(content) / 1e6:.1f} MB. The state saved before is untouched. "
                f"Free some space, then go on with: python -m training resume {path.parent}"
            ) from error
        raise TrainingError(
            f"{path} cannot be written ({error.strerror}). Check the folder and its permissions, "
            f"then go on with: python -m training resume {path.parent}"
        ) from error
