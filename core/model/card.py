"""The card of a checkpoint and the checks that need no torch: what a file says about itself, and whether to believe it.

Kept apart from :mod:`core.model.checkpoint` because the app serves from ONNX Runtime and importing torch costs seconds
and hundreds of megabytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.model.preprocessing import LARGEST_SIDE, PREPROCESSING_VERSION

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


@dataclass(frozen=True)
class ModelCard:
    """Everything about a model that is not a weight. Plain JSON values only."""

    architecture: str  # key of core.model.architectures.ARCHITECTURES
    classes: tuple[str, ...]  # class keys in the order of the logits
    input_size: int  # side length in pixels
    initialisation: str  # "random", "imagenet:<sha256>" or "file:<sha256>"
    preprocessing: str = PREPROCESSING_VERSION
    channels: int = 1  # of the images: 1 grey, 3 colour
    dropout: float | None = None  # None: the architecture's own
    temperature: float = 1.0  # logits are divided by it before the softmax
    recipe: dict[str, Any] = field(default_factory=dict)  # every field of the training recipe
    data_sha256: str | None = None  # hash of the sorted manifest (image hash, class, patient, centre)
    split_sha256: str | None = None  # hash of the stored split
    lesions_sha256: str | None = None  # hash of the lesion masks, where training used them
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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for the store and for exports."""
        values = {**dataclasses.asdict(self), "classes": list(self.classes)}
        if self.channels == 1:
            del values["channels"]  # as cards were before there was colour: the same model has the same bytes
        return values


def prepared_shape(card: ModelCard) -> tuple[int, ...]:
    """Shape of one prepared image of a model: (size, size), in colour (size, size, 3)."""
    return (card.input_size, card.input_size, *((3,) if card.channels == 3 else ()))


@dataclass(frozen=True)
class VerifiedFile:
    """A weights file that was read once, and passed every check that needs no network."""

    path: Path
    content: bytes
    sha256: str
    card: ModelCard
    graph_sha256: str | None = None  # the graph that was registered; None: the note beside the graph is believed


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
            raise unreadable(file, "no safetensors header")
        head = source.read(length)
    return _card_from_header(start + head, file)


def verify_file(
    path: Path, *, expected_sha256: str | None = None, expected_classes: Sequence[str] | None = None
) -> VerifiedFile:
    """Read a checkpoint and check all but its tensors; arguments and errors as in ``load_checkpoint``."""
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
    return VerifiedFile(file, content, sha256, card)


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


def unreadable(file: Path, reason: str) -> CheckpointError:
    """The error of a file that is no safetensors file."""
    return CheckpointError(
        f"the checkpoint {file} is damaged or no safetensors file ({reason}). Fix: restore it from its run folder."
    )


def _card_from_header(content: bytes, file: Path) -> ModelCard:
    """Card in the header of a safetensors file."""
    # A safetensors header begins at byte 8 with "{"; its length, in the bytes before, may begin like a pickle.
    if content[8:9] != b"{" and (content[:2] == b"PK" or content[:1] == b"\x80"):
        raise CheckpointError(
            f"the checkpoint {file} is a pickle under another name, which can run code when it is loaded, and is "
            "refused. Fix: save it with core.model.checkpoint.save_checkpoint."
        )
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 0 < length <= len(content) - 8:
        raise unreadable(file, "no safetensors header")
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
        raise unreadable(file, "its header is not JSON") from error
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
    check_card(card, None, f"the checkpoint {file}")
    return card


def check_card(card: ModelCard, n_logits: int | None, who: str) -> None:
    """Refuse a card that cannot be true."""
    if len(card.classes) < 2 or len(set(card.classes)) != len(card.classes):
        raise CheckpointError(f"{who} needs two or more different classes, its card has {list(card.classes)}.")
    if card.channels not in (1, 3):
        raise CheckpointError(f"{who} has a card with {card.channels!r} channels; images have 1 or 3.")
    if n_logits is not None and n_logits != len(card.classes):
        raise CheckpointError(f"{who} has {n_logits} logits and its card {len(card.classes)} classes.")
    if card.preprocessing != PREPROCESSING_VERSION:
        raise CheckpointError(
            f"{who} was trained with preprocessing '{card.preprocessing}', this program has '{PREPROCESSING_VERSION}'. "
            "Fix: use the version of this program that trained it, or train again."
        )
    size = card.input_size
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_SIDE:
        raise CheckpointError(
            f"{who} has an impossible input size ({size!r}). Fix: save it again, with a side of 1 to {LARGEST_SIDE} "
            "pixels."
        )
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
