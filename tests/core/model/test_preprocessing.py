"""One way from pixels to network input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from core.errors import ImageError
from core.imaging import render_uint8
from core.model.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_SD,
    normalise,
    pad_to_square,
    prepare,
    prepare_mask,
    square_to_image_box,
)


def _picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width), dtype=np.uint8)


def test_square_of_the_right_size_passes_unchanged() -> None:
    picture = _picture(64, 64)
    assert np.array_equal(prepare(picture, 64), picture)


def test_resizing_is_pils_antialiased_bilinear() -> None:
    picture = _picture(200, 200)
    expected = np.array(Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(prepare(picture, 64), expected)


def test_resizing_agrees_with_torchvisions_antialiased_resize_to_one_grey_level() -> None:
    picture = _picture(200, 200)
    theirs = v2.functional.resize(torch.from_numpy(picture)[None], [64, 64], antialias=True)[0].numpy()
    assert np.abs(prepare(picture, 64).astype(int) - theirs).max() <= 1


def test_oblong_image_is_centred_and_padded_with_the_median_of_its_border() -> None:
    picture = np.full((10, 20), 200, dtype=np.uint8)
    picture[0] = picture[-1] = picture[:, 0] = picture[:, -1] = 40
    square = pad_to_square(picture)
    assert square.shape == (20, 20)
    assert np.array_equal(square[5:15], picture)
    assert (square[:5] == 40).all()
    assert (square[15:] == 40).all()


@pytest.mark.parametrize("shape", [(10, 20), (20, 10), (7, 10), (16, 16)])
def test_box_of_the_image_in_its_square_is_where_the_image_lies(shape: tuple[int, int]) -> None:
    picture = np.full(shape, 9, dtype=np.uint8)
    picture[0] = picture[-1] = picture[:, 0] = picture[:, -1] = 1
    picture[0, 0] = picture[-1, -1] = 250
    square = pad_to_square(picture)
    top, left, bottom, right = (round(share * max(shape)) for share in square_to_image_box(*shape))
    assert np.array_equal(square[top:bottom, left:right], picture)


def test_sixteen_bits_are_rendered_as_on_the_screen() -> None:
    deep = np.random.default_rng(0).integers(0, 5000, (64, 64), dtype=np.uint16)
    assert np.array_equal(prepare(deep, 64), render_uint8(deep))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_what_is_no_grey_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ImageError):
        prepare(pixels, 64)


def test_colour_is_prepared_and_normalised_channel_by_channel() -> None:
    """Each channel as the grey picture that it is, so that grey and colour are one way."""
    colour = np.stack([_picture(40, 30) // (channel + 1) for channel in range(3)], axis=-1)
    prepared = prepare(colour, 16, 3)
    assert prepared.shape == (16, 16, 3)
    for channel in range(3):
        assert np.array_equal(prepared[..., channel], prepare(np.ascontiguousarray(colour[..., channel]), 16))
    batch = normalise(torch.from_numpy(prepared[None]))
    for channel in range(3):
        alone = normalise(torch.from_numpy(np.ascontiguousarray(prepared[None, ..., channel])))
        assert torch.equal(batch[:, channel], alone[:, channel])


@pytest.mark.parametrize(
    ("pixels", "channels", "said"),
    [
        (np.zeros((4, 4, 3), np.uint8), 1, "in colour and the model was trained on grey"),
        (np.zeros((4, 4), np.uint8), 3, "grey and the model was trained on colour"),
    ],
)
def test_grey_and_colour_are_never_taken_for_each_other(pixels: np.ndarray, channels: int, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        prepare(pixels, 8, channels)


def test_one_pixel_becomes_a_flat_square() -> None:
    assert (prepare(np.array([[7]], np.uint8), 8) == 7).all()


def test_normalise_is_torchvisions_with_imagenet_statistics() -> None:
    batch = torch.from_numpy(np.stack([_picture(16, 16), _picture(16, 17)[:, :16]]))
    colour = batch.unsqueeze(1).repeat(1, 3, 1, 1).float() / 255
    expected = v2.functional.normalize(colour, list(IMAGENET_MEAN), list(IMAGENET_SD))
    assert normalise(batch).dtype == torch.float32
    assert torch.allclose(normalise(batch), expected, atol=1e-6)


def test_mask_follows_its_image_into_the_square() -> None:
    mask = np.zeros((40, 80), dtype=bool)
    mask[10:20, 40:60] = True
    square = prepare_mask(mask, 40)
    assert square.shape == (40, 40)
    assert square[15:20, 20:30].all()
    assert square.sum() == 50


def test_smallest_lesion_survives_shrinking() -> None:
    mask = np.zeros((256, 256), dtype=bool)
    mask[100, 100] = True
    assert prepare_mask(mask, 32).sum() == 1


def test_constants_are_put_on_a_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time they are, a GPU's host waits for it; a device without memory stands for the GPU."""
    made: list[object] = []
    make = torch.tensor

    def counted(*arguments: object, **options: object) -> torch.Tensor:
        made.append(options.get("device"))
        return make(*arguments, **options)

    monkeypatch.setattr(torch, "tensor", counted)
    batch = torch.zeros(2, 8, 8, dtype=torch.uint8, device="meta")
    with torch.inference_mode():
        normalise(batch)
    del made[:]
    assert normalise(batch).shape == (2, 3, 8, 8)
    assert made == []
