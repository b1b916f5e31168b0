"""What only the grad-cam package offers, kept from doing harm."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from core.errors import ModelError
from core.model.class_maps import enlarge
from core.model.package_maps import PackageExplainer

SIZE = 96
SMALL = "shufflenet_v2_x1_0"


@pytest.fixture
def prepared() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (2, SIZE, SIZE), dtype=np.uint8)


@pytest.mark.parametrize("method", ["gradcam++", "layercam", "eigencam"])
def test_other_methods_give_raw_maps_of_every_class(method: str, network_of, prepared: np.ndarray) -> None:
    maps = PackageExplainer(network_of(SMALL)).class_maps(prepared, method)
    assert maps.shape == (2, 4, 3, 3)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.max() > 0


def test_colour_gives_maps_and_road_as_grey_does(network_of, prepared: np.ndarray) -> None:
    explainer = PackageExplainer(network_of(SMALL))
    colour = np.repeat(prepared[..., None], 3, axis=3)
    grey, found = (explainer.class_maps(images, "gradcam") for images in (prepared, colour))
    np.testing.assert_allclose(found, grey, atol=1e-6)
    relevance = enlarge(grey[:, 1], SIZE)
    np.testing.assert_allclose(explainer.road(colour, relevance, 1), explainer.road(prepared, relevance, 1), atol=1e-6)
    red = colour.copy()
    red[..., 1:] = 0
    assert not np.allclose(explainer.class_maps(red, "gradcam"), grey)


def test_layercam_is_its_formula(network_of, prepared: np.ndarray) -> None:
    from core.model.preprocessing import normalise

    network = network_of(SMALL)
    feature_map = network.trunk(normalise(torch.from_numpy(prepared))).requires_grad_(True)
    logits = network.tail(feature_map)
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), feature_map)
    expected = torch.relu((torch.relu(gradient) * feature_map).sum(dim=1)).detach().numpy()
    found = PackageExplainer(network).class_maps(prepared, "layercam")[:, 2]
    assert np.abs(found - expected).max() < 1e-4 * expected.max()


def test_eigencam_knows_no_class(network_of, prepared: np.ndarray) -> None:
    maps = PackageExplainer(network_of(SMALL)).class_maps(prepared, "eigencam")
    assert np.array_equal(maps[:, 0], maps[:, 3])


def test_original_network_keeps_no_hook_gradient_or_mode(network_of, prepared: np.ndarray) -> None:
    network = network_of(SMALL)
    PackageExplainer(network).class_maps(prepared, "layercam")
    assert not network.trunk._forward_hooks
    assert all(parameter.grad is None for parameter in network.parameters())


def test_concurrent_calls_agree(network_of, prepared: np.ndarray) -> None:
    explainer = PackageExplainer(network_of(SMALL))
    expected = explainer.class_maps(prepared, "layercam")
    results: list[np.ndarray] = []

    def call() -> None:
        results.append(explainer.class_maps(prepared, "layercam"))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.array_equal(found, expected) for found in results)


def test_unknown_method_is_refused(network_of, prepared: np.ndarray) -> None:
    with pytest.raises(ModelError, match="unknown method"):
        PackageExplainer(network_of(SMALL)).class_maps(prepared, "scorecam")


def test_road_is_repeatable_and_leaves_the_global_generator_alone(network_of, prepared: np.ndarray) -> None:
    explainer = PackageExplainer(network_of(SMALL))
    relevance = enlarge(explainer.class_maps(prepared, "gradcam")[:, 1], SIZE)
    torch.manual_seed(11)
    first = explainer.road(prepared, relevance, 1, seed=4)
    drawn = torch.rand(1)
    torch.manual_seed(11)
    assert torch.equal(drawn, torch.rand(1))
    assert first.shape == (2,)
    assert np.isfinite(first).all()
    assert np.array_equal(first, explainer.road(prepared, relevance, 1, seed=4))
