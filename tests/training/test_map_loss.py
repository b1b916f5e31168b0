"""The map loss is about Grad-CAM's own evidence, wants it inside the lesion, and leaves cases without a mask alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from core.model.architectures import ARCHITECTURES, Network, build
from core.model.gradcam import channel_weights, explain
from core.model.preprocessing import normalise
from training.augmentation import augment
from training.dataset import ImageSet
from training.evaluation import pointing
from training.loop import Fit
from training.map_loss import TaughtNetwork, map_loss
from training.prediction import predict_logits
from training.recipe import PAPER, SCINTIGRAPHY_SAFE, Augmentation
from training.run_folder import RunFolder


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_evidence_is_the_class_map_and_logits_are_the_networks_own(name: str) -> None:
    """A mask on one cell: the loss is -log softmax of Grad-CAM (times positions) there, where no cell is rectified."""
    torch.manual_seed(2)
    network = build(name, 4).module.eval()
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        explained = explain(network, images)
        feature_map = network.trunk(images)
        _, weights = channel_weights(network, feature_map)
        height, width = feature_map.shape[-2:]
        raw = torch.einsum("bkc,bchw->bkhw", weights, feature_map)
        torch.testing.assert_close(raw.relu(), explained.class_maps, rtol=1e-4, atol=1e-6)
        lesion = torch.zeros(1, height, width)
        lesion[0, 1, 2] = 1.0
        logits, loss = TaughtNetwork(network)(images, torch.tensor([2]), lesion)
        expected = -torch.log_softmax(raw[0, 2].flatten() * height * width, dim=0)[width + 2]
        torch.testing.assert_close(loss[0], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(logits, network(images), rtol=1e-4, atol=1e-5)


def test_loss_is_zero_at_the_mask_positive_elsewhere_and_absent_without_one() -> None:
    generator = torch.Generator().manual_seed(3)
    lesions = torch.rand(3, 6, 6, generator=generator)
    lesions[2] = 0.0
    wanted = lesions / lesions.flatten(1).sum(1).clamp(min=1e-9)[:, None, None]
    perfect = torch.log(wanted.clamp(min=1e-30)).unsqueeze(1)  # one channel that is the logarithm of the mask
    weights = torch.ones(3, 4, 1) / 36
    classes = torch.tensor([0, 1, 2])
    assert map_loss(perfect, weights, classes, lesions).abs().max() < 1e-5
    other = map_loss(torch.randn(3, 1, 6, 6, generator=generator), weights, classes, lesions)
    assert (other[:2] > 0.01).all()
    assert other[2] == 0


def test_only_the_evidence_of_the_cases_own_class_counts() -> None:
    feature_map = torch.randn(1, 5, 4, 4, generator=torch.Generator().manual_seed(4))
    weights = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(5))
    lesion = torch.zeros(1, 4, 4)
    lesion[0, 0, 0] = 1
    before = map_loss(feature_map, weights, torch.tensor([1]), lesion)
    changed = weights.clone()
    changed[0, [0, 2, 3]] += 1.0
    assert torch.equal(map_loss(feature_map, changed, torch.tensor([1]), lesion), before)
    changed[0, 1] += 1.0
    assert not torch.equal(map_loss(feature_map, changed, torch.tensor([1]), lesion), before)


def test_mask_moves_with_its_image_and_keeps_its_grey_levels() -> None:
    """An image that is its own mask: what window, gamma and noise leave of the place is where the mask went."""
    shape = torch.zeros(8, 1, 64, 64)
    shape[:, :, 20:30, 34:50] = 1.0
    moved_mask = augment(shape, SCINTIGRAPHY_SAFE.geometry(), torch.Generator().manual_seed(6))
    moved_image = augment(shape, SCINTIGRAPHY_SAFE, torch.Generator().manual_seed(6))
    assert not torch.equal(moved_mask, shape)
    assert torch.equal(moved_mask > 0.99, (moved_mask > 0.99) & (moved_image > 0.5))
    assert torch.equal(moved_image > 0.99, (moved_image > 0.99) & (moved_mask > 0.5))


def test_taught_network_points_at_lesions_that_an_untaught_one_misses(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    assert sixteen.lesions is not None
    recipe = PAPER.with_changes(
        image_size=32, batch_size=16, length=150, learning_rate=1e-2, augmentation=Augmentation(), schedule="constant"
    )
    energy = {}
    for weight in (0.0, 1.0):
        chosen = recipe.with_changes(map_weight=weight)
        folder = RunFolder(tmp_path / str(weight))
        done = Fit(fabric, make_network(), chosen, sixteen, None, folder, "x").run()
        maps = predict_logits(done.network, sixteen.images, torch.device("cpu")).class_maps
        game = pointing(sixteen.classes, maps, sixteen.lesions, ("graves", "normal", "sat", "tumor"))
        assert sorted(game) == ["graves", "sat", "tumor"], "a normal gland has no lesion"
        energy[weight] = np.mean([game[key]["energy"] or 0.0 for key in game])
        assert ("training_map_loss" in done.history[-1]) == (weight > 0)
    assert energy[1.0] > 1.4 * energy[0.0]


def test_a_set_without_masks_trains_as_if_the_weight_were_zero(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    plain = ImageSet(sixteen.images, sixteen.classes)
    recipe = PAPER.with_changes(image_size=32, length=1)
    images = normalise(torch.from_numpy(sixteen.images))
    answers = []
    for weight in (0.0, 1.0):
        chosen = recipe.with_changes(map_weight=weight)
        folder = RunFolder(tmp_path / str(weight))
        done = Fit(fabric, make_network(), chosen, plain, None, folder, "x").run()
        with torch.inference_mode():
            answers.append(done.network(images))
    assert torch.equal(*answers)
