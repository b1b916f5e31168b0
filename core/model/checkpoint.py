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
import math
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from core.errors import CheckpointError, ModelError
from core.model.architectures import Network, build
from core.model.preprocessing import PREPROCESSING_VERSION

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"

#: Raised when the layout of the header changes.
FORMAT_VERSION = 1
#: The one key of the safetensors header (one, so that the same model gives the same bytes).
HEADER_KEY = "reading_room_card"
#: Names of tensors that are no weights begin with this: statistics of the out-of-distribution detector.
STATISTICS_PREFIX = "statistics."

#: Endings of files that unpickle on loading; refused by name.
PICKLE_ENDINGS = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")

#: Packages whose versions decide what a model predicts.
RECORDED_PACKAGES = ("torch", "torchvision", "numpy", "pillow", "onnxruntime", "safetensors")


@dataclass(frozen=True)
class ModelCard:
    """Everything about a model that is not a weight. Plain JSON values only."""

    architecture: str  # key of core.model.architectures.ARCHITECTURES
    classes: tuple[str, ...]  # class keys in the order of the logits
    input_size: int  # side length in pixels
    initialisation: str  # "random", "imagenet:<sha256>" or "file:<sha256>"
    preprocessing: str = PREPROCESSING_VERSION
    dropout: float | None = None  # None: the architecture's own
    temperature: float = 1.0  # logits are divided by it before the softmax
    recipe: dict[str, Any] = field(default_factory=dict)  # every field of the training recipe
    data_sha256: str | None = None  # hash of the sorted manifest (image hash, class, patient, centre)
    split_sha256: str | None = None  # hash of the stored split
    fold: int | None = None  # 0-based fold that was held out, if any
    metrics: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)  # of the out-of-distribution detector
    packages: dict[str, str] = field(default_factory=dict)
    commit: str | None = None  # git commit, with "+changes" if the tree was not clean
    threads: int | None = None  # CPU threads in training
    device: str | None = None  # where it was trained, for example "cpu" or "NVIDIA H100"
    created_at: str | None = None  # UTC, ISO 8601
    is_synthetic: bool = False  # trained on phantoms: said wherever the model is shown
    note: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model that passed every check."""

    network: Network  # in evaluation mode, float32, on the CPU
    card: ModelCard
    statistics: dict[str, Tensor]  # of the out-of-distribution detector; may be empty
    sha256: str  # of the weights file
    path: Path  # the weights file


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
    _check_card(card, network.n_classes, "this model")
    tensors: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        stored = tensor.detach().to("cpu")
        if stored.is_floating_point():
            stored = stored.to(torch.float16 if storage == "float16" and stored.ndim >= 2 else torch.float32)
        tensors[name] = stored.contiguous().clone()
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


def read_card(path: Path) -> ModelCard:
    """The card of a checkpoint without its weights (reads only the header).

    Raises
    ------
    CheckpointError
        As :func:`load_checkpoint`, as far as the header shows it.
    """
    file = _weights_path(path)
    with file.open("rb") as source:
        start = source.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= 100_000_000:
            raise _unreadable(file, "no safetensors header")
        head = source.read(length)
    return _card_from_header(start + head, file)


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
    file = _weights_path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"the checkpoint {file} cannot be read: {error}. Fix: check its permissions.") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and (len(expected_sha256) < 12 or not sha256.startswith(expected_sha256.lower())):
        raise CheckpointError(
            f"the checkpoint {file} is not the one expected: its SHA-256 is {sha256}, expected {expected_sha256}. "
            "Fix: restore the original file, or register this one as a new model."
        )
    card = _card_from_header(content, file)
    _check_readable_card(file, sha256)
    if expected_classes is not None and tuple(expected_classes) != card.classes:
        raise CheckpointError(
            f"the checkpoint {file} predicts {', '.join(card.classes)} in this order; "
            f"the study has {', '.join(expected_classes)}. Fix: use a model trained for these classes in this order."
        )
    try:
        tensors = safetensors.torch.load(content)
    except SafetensorError as error:
        raise _unreadable(file, str(error)) from error

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


def _weights_path(path: Path) -> Path:
    """The weights file that ``path`` means, after refusing what is missing or a pickle by name."""
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if file.suffix.lower() in PICKLE_ENDINGS:
        raise CheckpointError(
            f"the checkpoint {file} is a pickle, which can run code when it is loaded, and is refused. "
            "Fix: load it where you trust it and save it with core.model.checkpoint.save_checkpoint."
        )
    if not file.is_file():
        raise CheckpointError(
            f"there is no checkpoint at {file}. Fix: give a folder with {WEIGHTS_FILE}, as 'python -m training' writes."
        )
    return file


def _unreadable(file: Path, reason: str) -> CheckpointError:
    """The error of a file that is no safetensors file."""
    return CheckpointError(
        f"the checkpoint {file} is damaged or no safetensors file ({reason}). Fix: restore it from its run folder."
    )


def _card_from_header(content: bytes, file: Path) -> ModelCard:
    """Card in the header of a safetensors file."""
    if content[:2] == b"PK" or content[:1] == b"\x80":
        raise CheckpointError(
            f"the checkpoint {file} is a pickle under another name, which can run code when it is loaded, and is "
            "refused. Fix: save it with core.model.checkpoint.save_checkpoint."
        )
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 0 < length <= len(content) - 8:
        raise _unreadable(file, "no safetensors header")
    try:
        header = json.loads(content[8 : 8 + length])
        text = header["__metadata__"][HEADER_KEY]
        stored = json.loads(text)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, KeyError):
            raise CheckpointError(
                f"the checkpoint {file} has no card, so its classes and preprocessing are unknown. "
                "Fix: save it with core.model.checkpoint.save_checkpoint."
            ) from error
        raise _unreadable(file, "its header is not JSON") from error
    return _card_from_json(stored, file)


def _card_from_json(stored: Any, file: Path) -> ModelCard:
    """Card from its JSON form, checked."""
    if not isinstance(stored, dict) or stored.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"the checkpoint {file} has another card format than version {FORMAT_VERSION}. "
            "Fix: use the version of this program that wrote it."
        )
    known = {entry.name for entry in dataclasses.fields(ModelCard)}
    values = {name: value for name, value in stored.items() if name in known}
    missing = {"architecture", "classes", "input_size", "initialisation", "preprocessing"} - set(values)
    if missing:
        raise CheckpointError(f"the card of {file} lacks {', '.join(sorted(missing))}. Fix: save the checkpoint again.")
    if not isinstance(values["classes"], list) or not all(isinstance(key, str) for key in values["classes"]):
        raise CheckpointError(f"the card of {file} has no list of class keys. Fix: save the checkpoint again.")
    values["classes"] = tuple(values["classes"])
    card = ModelCard(**values)
    _check_card(card, None, f"the checkpoint {file}")
    return card


def _check_card(card: ModelCard, n_logits: int | None, who: str) -> None:
    """Refuse a card that cannot be true."""
    if len(card.classes) < 2 or len(set(card.classes)) != len(card.classes):
        raise CheckpointError(f"{who} needs two or more different classes, its card has {list(card.classes)}.")
    if n_logits is not None and n_logits != len(card.classes):
        raise CheckpointError(f"{who} has {n_logits} logits and its card {len(card.classes)} classes.")
    if card.preprocessing != PREPROCESSING_VERSION:
        raise CheckpointError(
            f"{who} was trained with preprocessing '{card.preprocessing}', this program has '{PREPROCESSING_VERSION}'. "
            "Fix: use the version of this program that trained it, or train again."
        )
    if isinstance(card.input_size, bool) or not isinstance(card.input_size, int) or card.input_size < 1:
        raise CheckpointError(f"{who} has an impossible input size ({card.input_size!r}). Fix: save it again.")
    temperature = card.temperature
    if not isinstance(temperature, int | float) or not math.isfinite(temperature) or temperature <= 0:
        raise CheckpointError(f"{who} has an impossible temperature ({temperature!r}). Fix: calibrate it again.")


def _check_readable_card(file: Path, sha256: str) -> None:
    """Refuse weights that stand beside the card of other weights."""
    beside = file.with_name(CARD_FILE)
    if file.name != WEIGHTS_FILE or not beside.is_file():
        return
    try:
        noted = json.loads(beside.read_text(encoding="utf-8")).get("weights_sha256")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{beside} cannot be read: {error}. Fix: restore it or delete it.") from error
    if noted != sha256:
        raise CheckpointError(
            f"{beside} belongs to weights {str(noted)[:12]}, but {file.name} is {sha256[:12]}: one of the two was "
            "changed. Fix: restore both from the run folder."
        )


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
