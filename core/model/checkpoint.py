"""Checkpoints: safetensors with the model's card in the header, and the same card beside it for people.

A checkpoint is a folder with ``weights.safetensors`` and ``card.json``. Its identity is the SHA-256 of the weights
file, which covers weights, card and out-of-distribution statistics alike, and is stored with every prediction. Loading
trusts nothing: it checks the hash, the header, names, shapes, class order and that every number is finite, and it
never unpickles, so a file that somebody sent cannot run code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from core.errors import CheckpointError, ModelError
from core.model.architectures import Network, build
from core.model.card import (
    CARD_FILE,
    FORMAT_VERSION,
    HEADER_KEY,
    STATISTICS_PREFIX,
    WEIGHTS_FILE,
    ModelCard,
    VerifiedFile,
    check_card,
    read_card,
    unreadable,
    verify_file,
)

__all__ = [
    "CARD_FILE",
    "WEIGHTS_FILE",
    "Checkpoint",
    "ModelCard",
    "describe_environment",
    "load_checkpoint",
    "load_verified",
    "read_card",
    "save_checkpoint",
    "stored_weights",
]

#: Packages whose versions decide what a model predicts.
RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "onnxruntime", "safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model that passed every check."""

    network: Network  # in evaluation mode, float32, on the CPU
    card: ModelCard
    statistics: dict[str, Tensor]  # of the out-of-distribution detector; may be empty
    sha256: str  # of the weights file
    path: Path  # the weights file

    @property
    def metadata(self) -> dict[str, Any]:
        """The card as plain JSON values."""
        return self.card.to_dict()


def describe_environment(device: str | None = None) -> dict[str, Any]:
    """Card fields that say where a model was made: packages, commit, threads, device, created_at.

    Use as ``ModelCard(..., **describe_environment())``.
    """
    packages = {}
    for name in RECORDED_PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if device is None:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "packages": packages,
        "commit": _git_commit(Path(__file__).resolve().parents[2]),
        "threads": torch.get_num_threads(),
        "device": device,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git_commit(repository: Path) -> str | None:
    """Commit of the checkout, or None outside one."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "-C", str(repository), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if changes else "")


def save_checkpoint(
    folder: Path,
    network: Network,
    card: ModelCard,
    *,
    statistics: Mapping[str, Tensor] | None = None,
    storage: Literal["float32", "float16"] = "float32",
) -> Path:
    """Write a checkpoint folder, whole or not at all.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; a checkpoint in it is replaced.
    network : Network
        Its parameters and buffers are stored.
    card : ModelCard
    statistics : mapping of str to tensor, optional
        Of the out-of-distribution detector (:meth:`core.model.uncertainty.Detector.to_tensors`).
    storage : "float32" or "float16"
        float16 halves the file by rounding matrices and kernels (never norms, biases or running statistics); fit the
        temperature on the rounded weights.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    CheckpointError
        If a number is not finite, the card does not fit the network, or the folder cannot be written.
    """
    check_card(card, network.n_classes, "this model")
    tensors = stored_weights(network, storage)
    for name, tensor in (statistics or {}).items():
        tensors[STATISTICS_PREFIX + name] = tensor.detach().to("cpu").contiguous().clone()
    _check_finite(tensors, "this model")

    header = json.dumps(
        {"format_version": FORMAT_VERSION, "storage": storage, **dataclasses.asdict(card)}, sort_keys=True
    )
    content = safetensors.torch.save(tensors, metadata={HEADER_KEY: header})
    readable = {**json.loads(header), "weights_sha256": hashlib.sha256(content).hexdigest()}
    path = folder / WEIGHTS_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(path, content)
        _replace(folder / CARD_FILE, (json.dumps(readable, indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} could not be written: {error}. Fix: free space or rights.") from (
            error
        )
    return path


def stored_weights(network: Network, storage: Literal["float32", "float16"]) -> dict[str, Tensor]:
    """Parameters and buffers as :func:`save_checkpoint` stores them, on the CPU."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().to("cpu")
        if stored.is_floating_point():
            stored = stored.to(torch.float16 if storage == "float16" and stored.ndim >= 2 else torch.float32)
        tensors[name] = stored.contiguous().clone()
    return tensors


def _replace(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, then rename: a kill leaves the old file or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_checkpoint(
    path: Path,
    *,
    expected_sha256: str | None = None,
    expected_classes: Sequence[str] | None = None,
) -> Checkpoint:
    """Load a checkpoint that can be trusted, or say why it cannot.

    Parameters
    ----------
    path : Path
        The checkpoint folder or its weights file.
    expected_sha256 : str, optional
        SHA-256 of the weights file, whole or its first 12 or more hex digits.
    expected_classes : sequence of str, optional
        The study's class keys, in order.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        Missing or unreadable file, pickle, wrong hash, no card, other preprocessing, unknown architecture, missing,
        unknown or misshapen tensors, other classes or order, or a number that is not finite. The message names the fix.
    """
    verified = verify_file(path, expected_sha256=expected_sha256, expected_classes=expected_classes)
    return load_verified(verified)


def load_verified(verified: VerifiedFile) -> Checkpoint:
    """The second half of :func:`load_checkpoint`: tensors into a network."""
    file, content, sha256, card = verified.path, verified.content, verified.sha256, verified.card
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError as error:
        raise unreadable(file, str(error)) from error

    statistics = {
        name.removeprefix(STATISTICS_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(STATISTICS_PREFIX)
    }
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(STATISTICS_PREFIX)}
    network = _empty_network(card, file)
    _check_shapes(network.state_dict(), weights, card, file)
    _check_finite(tensors, f"the checkpoint {file}")
    # A copy: tensors that safetensors returns may share one unaligned buffer.
    state = {
        name: (tensor.to(torch.float32) if tensor.is_floating_point() else tensor).clone()
        for name, tensor in weights.items()
    }
    network.load_state_dict(state, assign=True)
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return Checkpoint(network, card, statistics, sha256, file)


def _empty_network(card: ModelCard, file: Path) -> Network:
    """The architecture without memory behind it; weights are assigned afterwards."""
    try:
        with torch.device("meta"):
            return build(card.architecture, len(card.classes), dropout=card.dropout).module
    except ModelError as error:
        raise CheckpointError(f"the checkpoint {file} cannot be built: {error}") from error


def _check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], card: ModelCard, file: Path) -> None:
    """Refuse missing, unknown or misshapen tensors."""
    last = [name for name in wanted if name.startswith("head.") and name.endswith(".weight")][-1]
    if last in found and found[last].shape[0] != len(card.classes):
        raise CheckpointError(
            f"the checkpoint {file} has {found[last].shape[0]} outputs for {len(card.classes)} classes "
            f"({', '.join(card.classes)}). Fix: use the card that belongs to these weights."
        )
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in wanted]
    problems += [
        f"{name} is {tuple(found[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise CheckpointError(
            f"the checkpoint {file} does not fit {card.architecture}: {shown}. Fix: use weights of this architecture."
        )


def _check_finite(tensors: Mapping[str, Tensor], who: str) -> None:
    """Refuse NaN and infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"{who} has a number that is not finite in '{name}'. Fix: use an earlier checkpoint of the run."
            )
