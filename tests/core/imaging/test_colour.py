"""Colour tables: accepted where grey follows the counts, refused where hot would become dark; tables of matplotlib."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from core.errors import ImageError
from core.imaging import load_image, render_uint8
from core.phantom import generate_case

LUMINANCE = np.array([0.299, 0.587, 0.114])
PHANTOM = generate_case(("colour-tests", 1), "tumor", centre="C1")
PICTURES = {"export": PHANTOM.picture, "counts": render_uint8(PHANTOM.counts)}  # 256 x 256 and 128 x 128
GOOD = (
    "hot",
    "gist_heat",
    "afmhot",
    "inferno",
    "viridis",
    "magma",
    "cividis",
    "copper",
    "Blues",
    "Reds",
    "cool",
)
BAD = ("jet", "turbo", "rainbow", "nipy_spectral", "Spectral", "hsv", "gist_rainbow", "gist_ncar", "coolwarm", "RdGy",
       "seismic", "gist_stern", "twilight", "terrain")  # fmt: skip


def table(name):
    """256 colours of a table of matplotlib."""
    return np.rint(255 * colormaps[name](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)


def line(*stops):
    """256 colours along a line through the colour space, evenly spaced."""
    places = np.linspace(0, 1, len(stops))
    step = np.linspace(0, 1, 256)
    return np.stack([np.interp(step, places, [stop[axis] for stop in stops]) for axis in range(3)], 1).astype(np.uint8)


#: Tables of consoles and archives that the program does not know by name.
UNKNOWN_GOOD = {
    "warm metal": line((0, 0, 0), (120, 20, 0), (230, 130, 30), (255, 255, 220)),
    "blue to white": line((0, 0, 0), (0, 60, 200), (255, 255, 255)),
    "amber": line((0, 0, 0), (255, 180, 0)),
    "sepia grey": line((20, 10, 0), (255, 240, 200)),
    "inverse amber": line((255, 180, 0), (0, 0, 0)),
}
UNKNOWN_BAD = {
    "Siemens-like rainbow": line((0, 0, 0), (90, 0, 150), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0),
                                 (255, 0, 0), (255, 255, 255)),
    "GE-like rainbow": line((0, 0, 0), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)),
    "French": line((0, 0, 0), (0, 0, 180), (0, 160, 160), (0, 200, 0), (200, 200, 0), (200, 0, 0), (255, 255, 255)),
    "red, white, blue": line((120, 0, 0), (255, 255, 255), (0, 0, 120)),
}  # fmt: skip


def judged(tmp_path, colours, quality=None):
    """The loaded picture after PNG or JPEG."""
    path = tmp_path / ("a.png" if quality is None else "a.jpg")
    image = Image.fromarray(colours)
    image.save(path) if quality is None else image.save(path, quality=quality)
    return load_image(path)


def written(colours, colour, size=12):
    """Antialiased text in two corners, as consoles burn it in."""
    image = Image.fromarray(colours)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    draw.text((3, 2), "DOE, JANE", fill=colour, font=font)
    draw.text((3, image.height - size - 4), "ANT 5 MIN 99mTc", fill=colour, font=font)
    return np.asarray(image)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("quality", [None, 90])
def test_tables_whose_luminance_follows_the_counts_are_taken_with_a_note(tmp_path, name, quality):
    """Rising and falling; in PNG the order of the counts is kept exactly."""
    picture = PICTURES["export"]
    image = judged(tmp_path, table(name)[picture], quality)
    assert "colour turned to grey by luminance" in image.notes[0]
    if quality is None:
        order = np.argsort(picture, axis=None, kind="stable")
        steps = np.diff(image.pixels.ravel()[order].astype(int))
        assert (steps >= 0).all() or (steps <= 0).all()


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("quality", [None, 90, 60])
def test_rainbows_and_diverging_tables_are_refused(tmp_path, name, quality):
    """Whatever the compression; the fix is an export that works."""
    for picture in PICTURES.values():
        with pytest.raises(ImageError, match="hot would become dark") as caught:
            judged(tmp_path, table(name)[picture], quality)
        assert caught.value.file
        assert "export the image in grey" in caught.value.fix


@pytest.mark.parametrize("name", list(UNKNOWN_GOOD))
def test_unknown_tables_that_follow_the_counts_are_taken(tmp_path, name):
    """By their colours alone: each luminance has one."""
    for picture in PICTURES.values():
        assert "colour turned to grey" in judged(tmp_path, UNKNOWN_GOOD[name][picture]).notes[0]


@pytest.mark.parametrize("name", list(UNKNOWN_BAD))
@pytest.mark.parametrize("quality", [None, 90])
def test_unknown_tables_that_do_not_are_refused(tmp_path, name, quality):
    """Two colours of one luminance are two counts."""
    with pytest.raises(ImageError, match="hot would become dark"):
        judged(tmp_path, UNKNOWN_BAD[name][PICTURES["export"]], quality)


@pytest.mark.parametrize("name", ["hot", "inferno", "viridis"])
@pytest.mark.parametrize("quality", [None, 90])
def test_burnt_in_text_does_not_turn_the_judgement_and_is_flagged(tmp_path, name, quality):
    """White text is off the line of a coloured table, a rainbow stays one under it."""
    image = judged(tmp_path, written(table(name)[PICTURES["export"]], "white"), quality)
    assert image.notes[1].startswith("COLOURED MARKS")
    with pytest.raises(ImageError, match="hot would become dark"):
        judged(tmp_path, written(table("jet")[PICTURES["export"]], "white"), quality)


@pytest.mark.parametrize("colour", ["yellow", "red", "lime", "cyan"])
@pytest.mark.parametrize("quality", [None, 75])
def test_coloured_text_on_a_grey_picture_is_flagged(tmp_path, colour, quality):
    """The picture is taken: it is grey; what is written may name the patient or the diagnosis."""
    for polarity in (0, 255):
        grey = np.repeat((PICTURES["export"] ^ polarity)[..., None], 3, axis=2)
        image = judged(tmp_path, written(grey, colour), quality)
        assert image.notes[0].startswith("COLOURED MARKS"), image.notes


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_grey_saved_as_a_colour_jpeg_is_grey(tmp_path, quality):
    """Also with a little noise in the colours, as scanners and converters leave it."""
    grey = np.repeat(PICTURES["export"][..., None], 3, axis=2)
    assert judged(tmp_path, grey, quality).notes == ()
    noisy = np.clip(grey + np.random.default_rng(1).normal(0, 3, grey.shape), 0, 255).astype(np.uint8)
    assert set(judged(tmp_path, noisy, quality).notes) <= {"faint colour left out: the picture is grey"}


@pytest.mark.parametrize("quality", [None, 90])
def test_grey_whose_hottest_pixels_are_coloured_is_refused(tmp_path, quality):
    """An overflow colour makes the hottest pixels dark when it becomes grey."""
    colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    colours[235:] = (255, 0, 0)
    with pytest.raises(ImageError, match="hottest pixels"):
        judged(tmp_path, colours[PICTURES["export"]], quality)


def test_a_palette_png_is_judged_by_its_colours(tmp_path):
    """As an archive writes a coloured scan."""
    picture = Image.fromarray(PICTURES["counts"])
    for name in ("hot", "jet"):
        picture.putpalette(table(name).ravel().tobytes())
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        (tmp_path / f"{name}.png").write_bytes(buffer.getvalue())
    assert "colour turned to grey" in load_image(tmp_path / "hot.png").notes[0]
    with pytest.raises(ImageError, match="'jet'"):
        load_image(tmp_path / "jet.png")


CORNERS = [(red, green, blue) for red in (0, 255) for green in (0, 255) for blue in (0, 255)]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    stops=st.lists(st.sampled_from(CORNERS), min_size=2, max_size=5, unique=True), quality=st.sampled_from([None, 80])
)
def test_a_picture_that_is_taken_never_shows_hot_darker(tmp_path_factory, stops, quality):
    """Any line through the pure colours: what is taken keeps the order of the counts, in PNG and in JPEG."""
    colours = line(*stops)
    picture = PICTURES["counts"]
    try:
        image = judged(tmp_path_factory.mktemp("line"), colours[picture], quality)
    except ImageError:
        return
    part = picture // 16  # JPEG's own errors cancel over a sixteenth of the scale
    mean = np.array([image.pixels[part == level].mean() for level in np.unique(part)])
    fall = np.max(np.maximum.accumulate(mean) - mean)
    rise = np.max(mean - np.minimum.accumulate(mean))
    assert min(fall, rise) <= (2 if quality is None else 12)
