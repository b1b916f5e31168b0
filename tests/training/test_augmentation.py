"""Augmentation: a function of its seed, never upside down, never a painted hole, counts kept on average."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from training.augmentation import augment
from training.recipe import SCINTIGRAPHY_SAFE, Augmentation


def seeded(seed: int) -> torch.Generator:
    """Generator of one step."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    """Eight noisy pictures, bright above and to the left."""
    ramp = torch.linspace(0.9, 0.1, 32)
    picture = ramp[:, None] * 0.7 + ramp[None, :] * 0.3
    return (picture + 0.02 * torch.rand(8, 1, 32, 32, generator=seeded(0))).clamp(0, 1)


def test_nothing_changes_when_everything_is_off(images: torch.Tensor) -> None:
    assert torch.equal(augment(images, Augmentation(), seeded(1)), images)


def test_same_seed_gives_the_same_bits_and_another_seed_does_not(images: torch.Tensor) -> None:
    first = augment(images, SCINTIGRAPHY_SAFE, seeded(1))
    assert torch.equal(first, augment(images, SCINTIGRAPHY_SAFE, seeded(1)))
    assert not torch.equal(first, augment(images, SCINTIGRAPHY_SAFE, seeded(2)))
    assert not torch.equal(first[0], first[1])


def test_values_stay_in_range_and_shape(images: torch.Tensor) -> None:
    changed = augment(images, SCINTIGRAPHY_SAFE, seeded(3))
    assert changed.shape == images.shape
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1


def test_certain_flip_mirrors_left_and_right_exactly(images: torch.Tensor) -> None:
    flipped = augment(images, Augmentation(flip_probability=1.0), seeded(1))
    assert torch.allclose(flipped, images.flip(3), atol=1e-5)


def test_top_stays_on_top(images: torch.Tensor) -> None:
    for seed in range(10):
        changed = augment(images, SCINTIGRAPHY_SAFE, seeded(seed))
        assert bool((changed[:, :, :12].mean(dim=(1, 2, 3)) > changed[:, :, 20:].mean(dim=(1, 2, 3))).all())


def test_an_even_gland_gets_no_hole() -> None:
    """Without noise an even picture stays even: a hole would be a cold nodule."""
    even = torch.full((16, 1, 32, 32), 0.6)
    settings = replace(SCINTIGRAPHY_SAFE, thinning_probability=0.0)
    changed = augment(even, settings, seeded(4))
    spread = changed.amax(dim=(1, 2, 3)) - changed.amin(dim=(1, 2, 3))
    assert float(spread.max()) < 1e-5


def test_rotation_stays_within_its_limit() -> None:
    """The centroid of a bright dot tells by how much the picture turned."""
    picture = torch.zeros(1, 1, 65, 65)
    picture[0, 0, 30:35, 54:59] = 1.0
    rows, columns = torch.meshgrid(torch.arange(65.0), torch.arange(65.0), indexing="ij")
    angles = []
    for seed in range(40):
        turned = augment(picture, Augmentation(rotation_degrees=10.0), seeded(seed))[0, 0]
        y, x = (float((turned * axis).sum() / turned.sum()) - 32 for axis in (rows, columns))
        angles.append(float(torch.rad2deg(torch.atan2(torch.tensor(y), torch.tensor(x)))))
    assert max(map(abs, angles)) < 10.5
    assert max(angles) > 5
    assert min(angles) < -5


def test_thinning_keeps_the_mean_and_adds_the_noise_of_fewer_counts() -> None:
    even = torch.full((4, 1, 64, 64), 0.4)
    settings = Augmentation(thinning_probability=1.0, thinning_counts=(100.0, 100.0))
    thinned = augment(even, settings, seeded(5))
    assert float(thinned.mean()) == pytest.approx(0.4, abs=0.003)
    assert float(thinned.var()) == pytest.approx(0.4 / 100, rel=0.1)
    dark = augment(torch.zeros(2, 1, 8, 8), settings, seeded(5))
    assert float(dark.abs().max()) == 0


def test_smoothing_keeps_the_sum_and_widens_a_point_up_to_its_limit() -> None:
    """The variance of a smoothed point is that of the filter: SDs are spread from nothing to the limit."""
    point = torch.zeros(200, 1, 41, 41)
    point[:, :, 20, 20] = 1.0
    smoothed = augment(point, Augmentation(smoothing_probability=1.0, smoothing_fraction=0.05), seeded(7))
    torch.testing.assert_close(smoothed.sum(dim=(1, 2, 3)), torch.ones(200))
    offsets = (torch.arange(41.0) - 20) ** 2
    for axis in (2, 3):
        sd = (smoothed.sum(dim=5 - axis).squeeze(1) @ offsets).sqrt()
        assert 1.9 < float(sd.max()) <= 0.05 * 41
        assert float(sd.min()) < 0.3
        assert float(sd.median()) == pytest.approx(0.05 * 41 / 2, rel=0.2)


def test_smoothing_takes_its_share_of_images_and_leaves_the_others_alone(images: torch.Tensor) -> None:
    many = images[:1].repeat(400, 1, 1, 1)
    changed = augment(many, Augmentation(smoothing_probability=0.25, smoothing_fraction=0.05), seeded(8))
    share = float((changed != many).flatten(1).any(dim=1).float().mean())
    assert share == pytest.approx(0.25, abs=0.07)


class OnDevice(torch.Tensor):
    """Stands for a tensor on a GPU, and so do all that come of it: asking it for a plain value is an error."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waiting = ("item", "cpu", "tolist", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__")
        assert function.__name__ not in waiting, f"{function.__name__} makes the host wait"
        return super().__torch_function__(function, types, args, kwargs or {})


def test_host_never_waits_for_the_device(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which images are smoothed or thinned is decided before the draws go to the device."""
    expected = augment(images, SCINTIGRAPHY_SAFE, seeded(7))
    move = torch.Tensor.to

    def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        moved = move(tensor, *args, **kwargs)
        return moved.as_subclass(OnDevice) if args and isinstance(args[0], torch.device) else moved

    monkeypatch.setattr(torch.Tensor, "to", to)
    found = augment(images.as_subclass(OnDevice), SCINTIGRAPHY_SAFE, seeded(7))
    assert isinstance(found, OnDevice)
    assert torch.equal(found.as_subclass(torch.Tensor), expected)
