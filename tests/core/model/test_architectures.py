"""The registry: torchvision's own networks, cut where they should be, and loud about where their weights come from."""

from __future__ import annotations

import hashlib
import http.server
import logging
import os
import pickle
import threading
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from core.errors import ModelError
from core.model import architectures, fine_resnet
from core.model.architectures import ARCHITECTURES, PAPER_ARCHITECTURES, build

SMALL = "shufflenet_v2_x1_0"
#: Torchvision's own, up to the number of logits.
AS_PUBLISHED = [name for name in ARCHITECTURES if name not in ("resnet34_improved", "resnet16_fine")]


def _named_weights(folder: Path, name: str = SMALL) -> Path:
    """A file as torchvision publishes it: random weights, and the hash in the name."""
    plain = folder / "plain.pth"
    torch.save(torchvision.models.get_model(ARCHITECTURES[name].torchvision_name).state_dict(), plain)
    return plain.rename(folder / f"some-{hashlib.sha256(plain.read_bytes()).hexdigest()[:8]}.pth")


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", AS_PUBLISHED)
def test_network_has_as_many_parameters_as_torchvision_publishes(name: str) -> None:
    weights = torchvision.models.get_model_weights(ARCHITECTURES[name].torchvision_name)
    with torch.device("meta"):
        assert _n_parameters(build(name, 1000).module) == next(iter(weights)).meta["num_params"]


def test_improved_resnet_has_torchvisions_trunk_and_the_head_of_the_paper() -> None:
    with torch.device("meta"):
        network = build("resnet34_improved", 4).module
    published = torchvision.models.ResNet34_Weights.IMAGENET1K_V1.meta["num_params"]
    assert _n_parameters(network.trunk) == published - (512 * 1000 + 1000)
    assert [type(layer) for layer in network.head] == [
        nn.Linear,
        nn.LeakyReLU,
        nn.Dropout,
        nn.Linear,
        nn.LeakyReLU,
        nn.Linear,
    ]
    widths = [layer.out_features for layer in network.head if isinstance(layer, nn.Linear)]
    assert widths == [256, 128, 4]
    assert network.head[0].in_features == 512
    assert network.head[1].negative_slope == 0.01
    assert network.head[2].p == 0.8


@pytest.mark.parametrize("name", AS_PUBLISHED)
def test_cut_network_gives_the_logits_of_torchvisions_own(name: str) -> None:
    entry = ARCHITECTURES[name]
    torch.manual_seed(1)
    whole = torchvision.models.get_model(entry.torchvision_name, num_classes=5).eval()
    last = [layer for layer in whole.modules() if isinstance(layer, nn.Linear)][-1]
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        expected = whole(images)
        network = entry.cut(whole, 5, 0.0).eval()
        network.last_linear.load_state_dict(last.state_dict())
        assert torch.allclose(network(images), expected, atol=1e-5)
        assert torch.equal(network.tail(network.trunk(images)), network(images))


def test_fine_resnet_has_sixteen_layers_with_weights_and_a_map_of_an_eighth(network_of) -> None:
    network = network_of("resnet16_fine")
    in_a_row = [
        layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]
    assert len(in_a_row) == 16
    assert _n_parameters(network) == sum(
        layer.weight.numel() + (0 if layer.bias is None else layer.bias.numel())
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
    )
    with torch.inference_mode():
        assert network.trunk(torch.randn(1, 3, 160, 128)).shape == (1, 128, 20, 16)


def test_fine_resnets_fresh_block_hands_its_input_on() -> None:
    """Residual blocks begin as their shortcut: the last scale is zero."""
    block = fine_resnet.Block(8, 8, 1, 2).eval()
    signal = torch.rand(1, 8, 5, 5)
    assert torch.equal(block(signal), signal)


@pytest.mark.parametrize("weights", ["imagenet", Path("some.pth")])
def test_pretrained_weights_that_nobody_publishes_are_refused(weights: str | Path) -> None:
    with pytest.raises(ModelError, match="no pretrained weights are published for ResNet-16"):
        build("resnet16_fine", 4, weights=weights)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trunk_ends_in_a_map_and_tail_in_logits(name: str, network_of) -> None:
    network = network_of(name)
    with torch.inference_mode():
        feature_map = network.trunk(torch.randn(2, 3, 96, 96))
        assert feature_map.ndim == 4
        assert feature_map.shape[2] >= 3
        assert network.tail(feature_map).shape == (2, 4)


@pytest.mark.parametrize("n_classes", [1, 2, 3, 4])
def test_one_to_four_classes_can_be_asked_for(n_classes: int) -> None:
    with torch.device("meta"):
        assert build("resnet34_improved", n_classes).module.n_classes == n_classes


def test_registry_holds_the_papers_four_in_the_order_of_its_table() -> None:
    titles = [ARCHITECTURES[name].title for name in PAPER_ARCHITECTURES]
    assert titles == ["AlexNet", "ShuffleNetV2", "MobileNetV3", "Improved ResNet-34"]


def test_dropout_can_be_chosen() -> None:
    with torch.device("meta"):
        network = build("resnet34_improved", 4, dropout=0.2).module
    assert network.head[2].p == 0.2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "vgg16", "n_classes": 4}, "unknown architecture"),
        ({"name": SMALL, "n_classes": 0}, "at least one class"),
        ({"name": SMALL, "n_classes": 4, "dropout": 1.0}, "dropping"),
        ({"name": SMALL, "n_classes": 4, "weights": "default"}, "weights must be"),
        ({"name": SMALL, "n_classes": 4, "weights": Path("nowhere.pth")}, "does not exist"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build(**arguments)


def test_weights_file_fills_the_trunk_and_is_named_by_its_hash(tmp_path: Path) -> None:
    path = _named_weights(tmp_path)
    built = build(SMALL, 4, weights=path)
    assert built.initialisation == f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert not built.is_random
    stored = torch.load(path, weights_only=True)
    assert torch.equal(built.module.trunk[0][0].weight, stored["conv1.0.weight"])


def test_weights_file_whose_name_promises_another_hash_is_refused(tmp_path: Path) -> None:
    path = _named_weights(tmp_path)
    wrong = path.rename(tmp_path / "shufflenetv2_x1-5666bf0f80.pth")
    with pytest.raises(ModelError, match="5666bf0f80"):
        build(SMALL, 4, weights=wrong)


def test_weights_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not fit MobileNetV3"):
        build("mobilenet_v3_large", 4, weights=_named_weights(tmp_path))


class _Canary:
    """A pickle that leaves a mark when it is run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    path = tmp_path / "evil.pth"
    torch.save({"conv1.0.weight": _Canary(mark)}, path)
    with pytest.raises(ModelError, match="not a plain PyTorch state dict"):
        build(SMALL, 4, weights=path)
    path.write_bytes(pickle.dumps(_Canary(mark), protocol=2))
    with pytest.raises(ModelError, match="not a plain PyTorch state dict"):
        build(SMALL, 4, weights=path)
    assert not mark.exists()


def test_imagenet_weights_out_of_reach_are_said_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(architectures, "WEIGHTS_ADDRESS", "http://127.0.0.1:9/")
    monkeypatch.setattr(architectures, "weights_cache", lambda: tmp_path / "cache")
    with caplog.at_level(logging.WARNING, logger="core.model.architectures"):
        built = build(SMALL, 4, weights="imagenet")
    assert built.is_random
    assert built.initialisation == "random"
    assert built.warning is not None
    assert "RANDOM" in built.warning
    assert "--weights-file" in built.warning
    assert "RANDOM" in caplog.text
    assert list(tmp_path.rglob("*.part")) == []


def test_imagenet_weights_are_downloaded_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served"
    served.mkdir()
    path = _named_weights(served)
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(served))

        def log_message(self, format: str, *arguments: object) -> None:
            requests.append(arguments)

    entry = ARCHITECTURES[SMALL]
    monkeypatch.setitem(
        ARCHITECTURES, SMALL, architectures.Architecture(**{**entry.__dict__, "weights_file": path.name})
    )
    monkeypatch.setattr(architectures, "weights_cache", lambda: tmp_path / "cache")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(architectures, "WEIGHTS_ADDRESS", f"http://127.0.0.1:{server.server_port}/")
        built = build(SMALL, 4, weights="imagenet")
        again = build(SMALL, 4, weights="imagenet")
        server.shutdown()
    assert built.initialisation == again.initialisation
    assert built.initialisation == f"imagenet:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert built.warning is None
    assert len(requests) == 1
