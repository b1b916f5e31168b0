"""Lesion masks: black and one other colour, or refused with what is in them."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import ImageError
from core.imaging import encode_png, load_image, load_mask

SHAPE = (60, 80)
INSIDE = np.zeros(SHAPE, bool)
INSIDE[20:35, 30:50] = True  # 300 of 4800 pixels


@pytest.fixture
def image(tmp_path):
    """The picture that the masks belong to."""
    path = tmp_path / "image.png"
    path.write_bytes(encode_png(np.random.default_rng(1).integers(0, 200, SHAPE, np.uint8)))
    return load_image(path)


def saved(picture, kind="PNG", **options):
    """Bytes of a picture."""
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, format=kind, **options)
    return buffer.getvalue()


def coloured(background, lesion):
    """An RGB mask."""
    return np.where(INSIDE[..., None], np.array(lesion, np.uint8), np.array(background, np.uint8))


def palette(colours):
    """A mask whose values are places in a palette, as label tools write it."""
    picture = Image.fromarray(INSIDE.astype(np.uint8), mode="P")
    picture.putpalette(colours)
    return picture


GREY = INSIDE.astype(np.uint8)
LINE = np.eye(60, 80, k=20, dtype=np.uint8)
SMOOTH = np.asarray(Image.fromarray(GREY * 255).resize((40, 30)).resize((80, 60)))
ACCEPTED = {
    "0 and 255": saved(GREY * 255),
    "0 and 1": saved(GREY),
    "0 and 128": saved(GREY * 128),
    "one bit": saved(Image.fromarray(INSIDE)),
    "16 bits": saved(INSIDE.astype(np.uint16) * 65535),
    "white on black in RGB": saved(coloured((0, 0, 0), (255, 255, 255))),
    "red on black in RGB": saved(coloured((0, 0, 0), (255, 0, 0))),
    "red on black in a palette": saved(palette([0, 0, 0, 128, 0, 0])),
    "opaque RGBA": saved(Image.fromarray(coloured((0, 0, 0), (0, 255, 0))).convert("RGBA")),
}
REFUSED = {
    "labels 1 and 2": (saved(GREY + 1), "no black background", "values 1, 2"),
    "labels 0, 1 and 2": (
        saved(2 * GREY + (np.arange(80) == 40).astype(np.uint8)),
        "not black and one",
        "values 0, 1, 2, 3",
    ),
    "smooth edges": (saved(SMOOTH), "not black and one", "and"),
    "red on white": (saved(coloured((255, 255, 255), (255, 0, 0))), "no black background", "#ff0000, #ffffff"),
    "three colours": (
        saved(coloured((0, 0, 0), (9, 9, 9)) + np.eye(60, 80, dtype=np.uint8)[..., None]),
        "not black",
        "#010101",
    ),
    "inverted": (saved((1 - GREY) * 255), "94% of the picture, all of its edge", "4,500 of 4,800"),
    "everything": (saved(np.full(SHAPE, 255, np.uint8)), "no black background", "values 255"),
    "JPEG": (saved(GREY * 255, "JPEG"), "JPEG, which blurs", None),
    "another size": (saved(np.zeros((80, 60), np.uint8)), "another size", "60 x 80 instead of 80 x 60"),
    "transparent": (
        saved(Image.fromarray(np.dstack([coloured((0, 0, 0), (255, 0, 0)), GREY * 255]), "RGBA")),
        "transparent",
        None,
    ),
    "cut short": (saved(GREY * 255)[:-20], "cut short", None),
    "no image": (b"hello, this is a text file" * 4, "no image file", None),
}


@pytest.mark.parametrize("name", list(ACCEPTED))
def test_black_and_one_other_value_is_a_mask(tmp_path, image, name):
    """Whatever the other value and the kind of PNG."""
    (tmp_path / "mask.png").write_bytes(ACCEPTED[name])
    mask = load_mask(tmp_path / "mask.png", image)
    assert mask.dtype == bool
    assert np.array_equal(mask, INSIDE)


@pytest.mark.parametrize("name", list(REFUSED))
def test_everything_else_is_refused_with_its_values_and_a_fix(tmp_path, image, name):
    """Any value above 0 once counted as lesion, in silence."""
    content, problem, value = REFUSED[name]
    path = tmp_path / ("mask.jpg" if name == "JPEG" else "mask.png")
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        load_mask(path, image)
    assert problem in caught.value.problem
    assert value is None or value in str(caught.value.value)
    assert caught.value.fix
    assert caught.value.file == str(path)


def test_a_mask_that_marks_nothing_is_read_as_such(tmp_path, image):
    """The importer says so."""
    (tmp_path / "mask.png").write_bytes(encode_png(np.zeros(SHAPE, np.uint8)))
    assert not load_mask(tmp_path / "mask.png", image).any()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), value=st.integers(1, 65535))
def test_any_region_up_to_half_the_picture_comes_back_exactly(tmp_path_factory, data, value):
    """A property of every mask that does not frame the picture."""
    folder = tmp_path_factory.mktemp("mask")
    top, left = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 60))
    wanted = np.zeros(SHAPE, bool)
    wanted[top : top + data.draw(st.integers(1, 30)), left : left + data.draw(st.integers(1, 40))] = True
    (folder / "image.png").write_bytes(encode_png(np.random.default_rng(1).integers(0, 200, SHAPE, np.uint8)))
    (folder / "mask.png").write_bytes(encode_png(wanted * np.uint16(value)))
    assert np.array_equal(load_mask(folder / "mask.png", load_image(folder / "image.png")), wanted)
