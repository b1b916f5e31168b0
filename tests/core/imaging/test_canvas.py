"""Pictures of one view have one size and one number format; their values are what they were."""

import numpy as np
import pytest

from core.imaging import Canvas, laid_on


@pytest.mark.parametrize(("height", "width"), [(5, 4), (9, 8), (5, 8), (9, 4), (1, 1)])
def test_every_value_is_kept_and_the_rest_is_one_value_of_the_border(height: int, width: int) -> None:
    pixels = np.random.default_rng(height * width).integers(0, 60_000, (height, width), dtype=np.uint16)
    canvas = Canvas(9, 8, 16, "counts")
    laid = laid_on(canvas, pixels)
    top, left = canvas.origin(height, width)
    assert (laid.shape, laid.dtype) == ((9, 8), np.uint16)
    assert np.array_equal(laid[top : top + height, left : left + width], pixels)
    assert abs((9 - height - top) - top) <= 1  # centred
    assert abs((8 - width - left) - left) <= 1
    around = np.ones((9, 8), bool)
    around[top : top + height, left : left + width] = False
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert len(set(laid[around].tolist())) <= 1
    assert set(laid[around].tolist()) <= set(border.tolist())


def test_eight_bits_beside_sixteen_are_widened_not_stretched() -> None:
    pixels = np.array([[0, 255], [7, 9]], np.uint8)
    laid = laid_on(Canvas(2, 2, 16, "grey"), pixels)
    assert laid.dtype == np.uint16
    assert laid.tolist() == pixels.tolist()


def test_colour_is_padded_in_each_channel() -> None:
    pixels = np.full((2, 2, 3), (1, 2, 3), np.uint8)
    laid = laid_on(Canvas(4, 4, 8, "colour"), pixels)
    assert laid.shape == (4, 4, 3)
    assert laid[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("is_inverse", [False, True])
@pytest.mark.parametrize("is_colour", [False, True])
def test_the_background_is_air_though_the_border_cuts_the_body(is_inverse: bool, is_colour: bool) -> None:
    """Two thirds of the border are body; the padding must look like the rest."""
    pixels = np.full((30, 30), 60, np.uint8)
    pixels[:, :6] = pixels[:, -6:] = 4
    pixels[10:20, 10:20] = 250
    if is_inverse:
        pixels = 255 - pixels
    air = 251 if is_inverse else 4
    if is_colour:
        pixels = np.stack([pixels, pixels // 2, pixels // 3], axis=-1)
    found = laid_on(Canvas(40, 40, 8, "colour" if is_colour else "grey"), pixels)[0, 0]
    assert found.tolist() == ([air, air // 2, air // 3] if is_colour else air)
