"""Grad-CAM in closed form is Grad-CAM: equal to autograd and to the grad-cam package, in torch and in ONNX Runtime."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from core.errors import ModelError
from core.model.architectures import ARCHITECTURES, Network
from core.model.class_maps import class_tops, enlarge
from core.model.gradcam import channel_weights, channel_weights_autograd, explain, weighted_maps
from core.model.onnx_export import check_graph, export_graph
from core.model.package_maps import PackageExplainer
from core.model.preprocessing import normalise
from core.model.served_graph import INPUT_NAME, OUTPUT_NAMES, open_session

SIZE = 96


@pytest.fixture
def prepared() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (2, SIZE, SIZE), dtype=np.uint8)


def _relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    scale = float(np.abs(expected).max())
    assert scale > 0, "an empty map proves nothing"
    return float(np.abs(found - expected).max()) / scale


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_maps_equal_the_packages_and_autograds(name: str, network_of, prepared: np.ndarray) -> None:
    network = network_of(name)
    with torch.inference_mode():
        images = normalise(torch.from_numpy(prepared))
        explained = explain(network, images)
        feature_map = network.trunk(images)
        logits, weights = channel_weights_autograd(network, feature_map)
        by_autograd = weighted_maps(feature_map, weights)
        assert torch.allclose(explained.logits, network(images), atol=1e-5)
    assert torch.allclose(explained.logits, logits, atol=1e-5)
    ours = explained.class_maps.numpy()
    assert _relative_difference(ours, by_autograd.numpy()) < 1e-4
    assert _relative_difference(ours, PackageExplainer(network).class_maps(prepared, "gradcam")) < 1e-4
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_exported_graph_gives_the_same_logits_maps_and_features(name: str, network_of, prepared: np.ndarray) -> None:
    network = network_of(name)
    session = open_session(export_graph(network, SIZE), threads=1)
    found = session.run(list(OUTPUT_NAMES), {INPUT_NAME: prepared})
    with torch.inference_mode():
        expected = explain(network, normalise(torch.from_numpy(prepared)))
    for ours, theirs in zip(found, (expected.logits, expected.class_maps, expected.features), strict=True):
        assert _relative_difference(ours, theirs.numpy()) < 2e-5
    (one,) = session.run(["class_maps"], {INPUT_NAME: prepared[:1]})
    assert one.shape == (1, *found[1].shape[1:])


def test_graph_of_other_weights_is_refused(network_of) -> None:
    network, other = network_of("resnet16_fine"), copy.deepcopy(network_of("resnet16_fine"))
    graph = export_graph(network, SIZE)
    check_graph(graph, network, SIZE)
    with torch.no_grad():
        next(other.trunk.parameters()).mul_(1.01)
    with pytest.raises(ModelError, match=r"differ by .* in logits"):
        check_graph(graph, other, SIZE)


def test_class_map_follows_the_class(network_of, prepared: np.ndarray) -> None:
    """Swapping two rows of the last layer swaps their logits and their maps."""
    network = network_of("mobilenet_v3_large")
    last = network.last_linear
    swapped_last = nn.Linear(last.in_features, last.out_features)
    order = [1, 0, 2, 3]
    swapped_last.load_state_dict({"weight": last.weight[order], "bias": last.bias[order]})
    swapped = Network(network.trunk, network.pool, nn.Sequential(*list(network.head)[:-1], swapped_last)).eval()
    with torch.inference_mode():
        images = normalise(torch.from_numpy(prepared))
        before, after = explain(network, images), explain(swapped, images)
    assert torch.allclose(after.class_maps, before.class_maps[:, order], atol=1e-6)
    assert not torch.allclose(before.class_maps[:, 0], before.class_maps[:, 1])


def test_maps_scale_with_the_evidence(network_of, prepared: np.ndarray) -> None:
    """Raw maps: ten times the weights of the last layer give ten times the map, not the same picture."""
    network = network_of("shufflenet_v2_x1_0")
    last = network.last_linear
    stronger_last = nn.Linear(last.in_features, last.out_features)
    stronger_last.load_state_dict({"weight": last.weight * 10, "bias": last.bias})
    stronger = Network(network.trunk, network.pool, nn.Sequential(*list(network.head)[:-1], stronger_last)).eval()
    with torch.inference_mode():
        images = normalise(torch.from_numpy(prepared))
        assert torch.allclose(explain(stronger, images).class_maps, 10 * explain(network, images).class_maps, rtol=1e-4)


def test_head_without_closed_form_is_refused_and_autograd_takes_it() -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3))
    network = Network(nn.Identity(), nn.AdaptiveAvgPool2d(1), head).eval()
    feature_map = torch.rand(2, 8, 4, 4)
    with pytest.raises(ModelError, match="no closed form for a GELU"):
        channel_weights(network, feature_map)
    _, weights = channel_weights_autograd(network, feature_map)
    assert weights.shape == (2, 3, 8)
    step = 1e-3
    raised = feature_map.clone()
    raised[:, 5] += step
    slope = (network.tail(raised) - network.tail(feature_map)) / step / 16
    assert torch.allclose(weights[:, :, 5], slope, atol=1e-4)


def test_enlarging_is_torchs_bilinear_interpolation() -> None:
    maps = np.random.default_rng(0).random((2, 3, 7, 5)).astype(np.float32)
    expected = functional.interpolate(torch.from_numpy(maps), size=(64, 64), mode="bilinear", align_corners=False)
    assert np.abs(enlarge(maps, 64) - expected.numpy()).max() < 1e-6


def test_scale_of_a_cohort_is_a_quantile_of_each_classs_maxima_and_never_zero() -> None:
    maps = np.zeros((101, 3, 3, 3))
    maps[:, 1, 1, 1] = np.arange(101)
    maps[:, 2, 0, 2] = 0.2
    tops = class_tops(maps)
    assert tops[1:] == pytest.approx([99, 0.2])
    assert 0 < tops[0] < 1e-5
    with pytest.raises(ModelError):
        class_tops(maps[:0])
