"""Stored and shown pixels: lossless, without metadata, one window for model and screen."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import ImageError
from core.imaging import content_sha256, decode_png, default_window, encode_png, render_uint8


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), deep=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_png_round_trip_is_exact(height, width, deep, seed):
    """Any size and both depths."""
    dtype = np.uint16 if deep else np.uint8
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)
    back = decode_png(encode_png(pixels))
    assert back.dtype == dtype
    assert np.array_equal(back, pixels)


def test_png_holds_nothing_but_pixels():
    """Only the chunks that a PNG needs."""
    data = encode_png(np.arange(600, dtype=np.uint16).reshape(20, 30))
    names, place = [], 8
    while place < len(data):
        names.append(data[place + 4 : place + 8])
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}


NO_PICTURES = [((3, 3, 3), np.uint16), ((3, 3, 4), np.uint8), ((0, 4), np.uint8), ((4, 4), np.float64)]


@pytest.mark.parametrize("pixels", [np.zeros(shape, kind) for shape, kind in NO_PICTURES])
def test_only_pictures_become_png(pixels):
    """Empty and floating arrays, deep colour and transparency are refused by all three."""
    for function in (encode_png, render_uint8, default_window):
        with pytest.raises(ImageError):
            function(pixels)


def test_colour_comes_back_as_it_was_and_needs_no_window():
    """Also without compression by the other tool: Pillow reads the same."""
    pixels = np.random.default_rng(1).integers(0, 256, (7, 5, 3), np.uint8)
    data = encode_png(pixels)
    assert np.array_equal(decode_png(data), pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    assert np.array_equal(render_uint8(pixels), pixels)
    assert content_sha256(pixels) != content_sha256(pixels.reshape(7, 15))
    with pytest.raises(ImageError):
        default_window(pixels)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"not a png", encode_png(np.zeros((9, 9), np.uint8))[:-20]]
)
def test_broken_png_bytes_are_refused(data):
    """With an ImageError, whatever is wrong."""
    with pytest.raises(ImageError):
        decode_png(data)


def test_content_hash_depends_on_shape_depth_and_values_only():
    """Not on byte order or memory layout."""
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    same = {
        content_sha256(pixels),
        content_sha256(pixels.astype(">u2")),
        content_sha256(np.asfortranarray(pixels)),
        content_sha256(np.repeat(pixels, 2, axis=1)[:, ::2]),
    }
    assert len(same) == 1
    others = {content_sha256(pixels.reshape(4, 3)), content_sha256(pixels.astype(np.uint8)), content_sha256(pixels + 1)}
    assert len(others | same) == 4


def test_rendering_is_linear_in_the_stated_window():
    """Low and below is 0, high and above 255, half way 128."""
    pixels = np.array([[0, 100, 150, 200, 65535]], dtype=np.uint16)
    assert render_uint8(pixels, (100, 200)).tolist() == [[0, 0, 128, 255, 255]]


def test_eight_bits_are_shown_as_they_are():
    """Unless somebody asks for a window."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(render_uint8(pixels), pixels)
    assert render_uint8(pixels, (0, 127.5)).max() == 255


def test_default_window_of_16_bits_ends_at_the_6th_highest_pixel():
    """Five hot pixels cannot darken the picture; an empty frame is black, not an error."""
    pixels = np.full((64, 64), 100, dtype=np.uint16)
    pixels[0, :5] = 60_000
    assert default_window(pixels) == (0.0, 100.0)
    assert (render_uint8(pixels) == 255).all()
    assert default_window(np.zeros((20, 20), np.uint16)) == (0.0, 1.0)
    assert default_window(np.zeros((2, 2), np.uint16)) == (0.0, 1.0)
    assert render_uint8(np.zeros((20, 20), np.uint16)).max() == 0


@pytest.mark.parametrize("window", [(5, 5), (9, 1), (float("nan"), 1), (0, float("inf"))])
def test_impossible_windows_are_refused(window):
    """Equal, reversed, not finite."""
    with pytest.raises(ImageError):
        render_uint8(np.zeros((20, 20), np.uint16), window)
