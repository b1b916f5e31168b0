"""A checkpoint is loaded whole and verified, or refused with the way to mend it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from core.errors import CheckpointError
from core.model import card as card_module
from core.model.architectures import Network
from core.model.card import HEADER_KEY
from core.model.checkpoint import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelCard,
    describe_environment,
    load_checkpoint,
    read_card,
    save_checkpoint,
)
from core.model.preprocessing import normalise
from tests.core.model.conftest import blobs

CLASSES = ("graves", "normal", "sat", "tumor")
SMALL = "shufflenet_v2_x1_0"


@pytest.fixture
def network(trained_network: Network) -> Network:
    return trained_network


@pytest.fixture
def copied(small_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint folder that the test may damage."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (CARD_FILE, WEIGHTS_FILE):
        shutil.copyfile(small_checkpoint / name, folder / name)
    return folder


def _rewrite(folder: Path, *, tensors: dict | None = None, **card_changes: object) -> Path:
    """Replace tensors or card fields of a checkpoint and drop the card beside it."""
    file = folder / WEIGHTS_FILE
    stored = safetensors.torch.load(file.read_bytes())
    stored.update(tensors or {})
    stored = {name: tensor for name, tensor in stored.items() if tensor is not None}
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + length])["__metadata__"][HEADER_KEY]
    file.write_bytes(safetensors.torch.save(stored, {HEADER_KEY: json.dumps({**json.loads(text), **card_changes})}))
    (folder / CARD_FILE).unlink()
    return folder


def test_saved_and_loaded_network_is_the_same_to_the_bit(network: Network, small_checkpoint: Path) -> None:
    loaded = load_checkpoint(small_checkpoint)
    for (name, saved), (_, read) in zip(network.state_dict().items(), loaded.network.state_dict().items(), strict=True):
        assert torch.equal(saved, read), name
    assert not loaded.network.training
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(images), loaded.network(images))


def test_card_travels_in_the_header_and_beside_the_weights(network: Network, tmp_path: Path) -> None:
    card = ModelCard(
        SMALL,
        CLASSES,
        64,
        "random",
        temperature=1.3,
        recipe={"learning_rate": 2.5e-4},
        data_sha256="a" * 64,
        split_sha256="b" * 64,
        fold=3,
        metrics={"accuracy": 0.9},
        thresholds={"max_energy": -1.0, "max_distance": 40.0},
        **describe_environment(),
    )
    path = save_checkpoint(tmp_path, network, card, statistics={"means": torch.zeros(4, 8)})
    loaded = load_checkpoint(path)
    assert loaded.card == card
    assert read_card(tmp_path) == card
    assert loaded.metadata["temperature"] == 1.3
    assert loaded.statistics["means"].shape == (4, 8)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    beside = json.loads((tmp_path / CARD_FILE).read_text())
    assert beside["weights_sha256"] == loaded.sha256
    assert beside["classes"] == list(CLASSES)
    assert card.packages["torch"] == torch.__version__.split("+")[0] or card.packages["torch"] == torch.__version__
    assert card.threads == 1


def test_same_model_gives_the_same_bytes(network: Network, tmp_path: Path) -> None:
    card = ModelCard(SMALL, CLASSES, 64, "random", recipe={"b": 1, "a": 2})
    first = save_checkpoint(tmp_path / "one", network, card).read_bytes()
    assert first == save_checkpoint(tmp_path / "two", network, card).read_bytes()


def test_half_precision_halves_the_file_and_hardly_changes_the_logits(network: Network, tmp_path: Path) -> None:
    card = ModelCard(SMALL, CLASSES, 64, "random")
    full = save_checkpoint(tmp_path / "full", network, card)
    half = save_checkpoint(tmp_path / "half", network, card, storage="float16")
    assert half.stat().st_size < 0.55 * full.stat().st_size
    loaded = load_checkpoint(half).network
    assert next(loaded.parameters()).dtype == torch.float32
    pictures = normalise(torch.from_numpy(blobs(8, 64)[0]))
    with torch.inference_mode():
        before, after = network(pictures), loaded(pictures)
    assert (after - before).abs().max() < 0.05 * before.abs().max()


def test_saving_over_a_checkpoint_leaves_no_trace_of_the_old(network: Network, copied: Path) -> None:
    save_checkpoint(copied, network, ModelCard(SMALL, CLASSES, 96, "random"))
    assert load_checkpoint(copied).card.input_size == 96
    assert sorted(path.name for path in copied.iterdir()) == [CARD_FILE, WEIGHTS_FILE]


# ---- facts/trust, section 5, items 68 to 74 -------------------------------------------------------------------------


def test_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "model.safetensors")


def test_other_weights_than_registered_are_refused(small_checkpoint: Path) -> None:
    sha256 = load_checkpoint(small_checkpoint).sha256
    assert load_checkpoint(small_checkpoint, expected_sha256=sha256[:12]).sha256 == sha256
    for wrong in ("0" * 64, sha256[:8], ""):
        with pytest.raises(CheckpointError, match="not the one expected"):
            load_checkpoint(small_checkpoint, expected_sha256=wrong)


def test_one_flipped_bit_is_noticed(copied: Path) -> None:
    file = copied / WEIGHTS_FILE
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="one of the two was changed"):
        load_checkpoint(copied)


class _Canary:
    """A pickle that leaves a mark when it is run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.ckpt", "model.bin", "model.safetensors"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_pickles_are_refused_under_any_name_and_never_run(tmp_path: Path, name: str, is_zip: bool) -> None:
    mark, path = tmp_path / "run", tmp_path / name
    if is_zip:
        torch.save({"weights": _Canary(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(_Canary(mark)))
    with pytest.raises(CheckpointError, match="pickle"):
        load_checkpoint(path)
    assert not mark.exists()


def test_a_header_whose_length_begins_like_a_pickle_is_no_pickle(network: Network, tmp_path: Path) -> None:
    """The first byte is the low byte of the header's length, a multiple of 8: one file in 32 begins with 0x80."""
    card = ModelCard("shufflenet_v2_x1_0", ("graves", "normal", "sat", "tumor"), 64, "random")
    for n in range(0, 257, 8):
        path = save_checkpoint(tmp_path, network, dataclasses.replace(card, note="x" * n))
        if path.read_bytes()[:1] == b"\x80":
            assert load_checkpoint(path).card.note == "x" * n
            return
    pytest.fail("no header length began with 0x80")


def test_wrong_shape_is_refused_by_name(copied: Path) -> None:
    _rewrite(copied, tensors={"trunk.0.0.weight": torch.zeros(24, 3, 5, 5)})
    with pytest.raises(CheckpointError, match=r"trunk\.0\.0\.weight is \(24, 3, 5, 5\), not \(24, 3, 3, 3\)"):
        load_checkpoint(copied)


def test_missing_and_unknown_tensors_are_refused_by_name(copied: Path) -> None:
    _rewrite(copied, tensors={"trunk.0.0.weight": None, "surplus": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"trunk\.0\.0\.weight is missing; surplus is unknown"):
        load_checkpoint(copied)


def test_weights_of_another_architecture_are_refused(copied: Path) -> None:
    _rewrite(copied, architecture="mobilenet_v3_large")
    with pytest.raises(CheckpointError, match="does not fit mobilenet_v3_large"):
        load_checkpoint(copied)


def test_other_number_of_classes_than_outputs_is_refused(copied: Path) -> None:
    _rewrite(copied, classes=["graves", "normal", "sat"])
    with pytest.raises(CheckpointError, match="4 outputs for 3 classes"):
        load_checkpoint(copied)


@pytest.mark.parametrize("wanted", [("normal", "graves", "sat", "tumor"), ("graves", "normal", "sat")])
def test_other_classes_or_order_than_the_studys_are_refused(small_checkpoint: Path, wanted: tuple[str, ...]) -> None:
    assert load_checkpoint(small_checkpoint, expected_classes=CLASSES).card.classes == CLASSES
    with pytest.raises(CheckpointError, match="in this order"):
        load_checkpoint(small_checkpoint, expected_classes=wanted)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["head.1.bias", "statistics.means"])
def test_numbers_that_are_not_finite_are_refused(copied: Path, name: str, value: float) -> None:
    _rewrite(copied, tensors={name: torch.full((4,), value)})
    with pytest.raises(CheckpointError, match=f"not finite in '{name}'"):
        load_checkpoint(copied)


def test_numbers_that_are_not_finite_are_not_saved(network: Network, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        save_checkpoint(
            tmp_path,
            network,
            ModelCard(SMALL, CLASSES, 64, "random"),
            statistics={"means": torch.tensor([float("nan")])},
        )
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_trained_on_a_gpu_loads_on_a_cpu(network: Network, tmp_path: Path) -> None:
    card = dataclasses.replace(ModelCard(SMALL, CLASSES, 64, "random"), device="NVIDIA H100")
    save_checkpoint(tmp_path, network, card)
    assert next(load_checkpoint(tmp_path).network.parameters()).device.type == "cpu"


# ---- what else can be wrong with a file -----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"short", b"<html>not a model at all</html>", b"\xff" * 64])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    for load in (load_checkpoint, read_card):
        with pytest.raises(CheckpointError, match="damaged or no safetensors"):
            load(tmp_path)


def test_truncated_file_is_refused(copied: Path) -> None:
    file = copied / WEIGHTS_FILE
    file.write_bytes(file.read_bytes()[:-1000])
    (copied / CARD_FILE).unlink()
    with pytest.raises(CheckpointError, match="damaged or no safetensors"):
        load_checkpoint(copied)


def test_safetensors_file_without_a_card_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(1)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(CheckpointError, match="has no card"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "vgg16"}, "unknown architecture"),
        ({"format_version": 99}, "another card format"),
        ({"preprocessing": "0: centre crop"}, "centre crop"),
        ({"classes": ["a", "a", "b", "c"]}, "different classes"),
        ({"classes": "abcd"}, "no list of class keys"),
        ({"temperature": 0}, "impossible temperature"),
        ({"temperature": "hot"}, "impossible temperature"),
        ({"input_size": -3}, "impossible input size"),
        ({"input_size": 10**6}, r"impossible input size \(1000000\).*1 to 4096 pixels"),
    ],
)
def test_impossible_card_is_refused(copied: Path, changes: dict, words: str) -> None:
    _rewrite(copied, **changes)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(copied)


def test_card_must_name_as_many_classes_as_the_network_has(network: Network, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="4 logits and its card 2 classes"):
        save_checkpoint(tmp_path, network, ModelCard(SMALL, ("a", "b"), 64, "random"))


def test_folder_that_cannot_be_written_is_said(network: Network, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match="could not be written"):
        save_checkpoint(tmp_path / "file", network, ModelCard(SMALL, CLASSES, 64, "random"))


def test_no_checkpoint_code_unpickles() -> None:
    for module in ("card.py", "checkpoint.py", "serving.py", "served_graph.py", "classifier.py"):
        text = Path(card_module.__file__).with_name(module).read_text(encoding="utf-8")
        assert "torch.load(" not in text.replace("safetensors.torch.load(", "")
        assert "import pickle" not in text
