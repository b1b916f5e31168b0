"""Bad inputs on image files, items 27 to 38, and what good files give; every file is made here."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from core.errors import ImageError
from core.imaging import content_sha256, load_image, load_images

GREY = (np.add.outer(np.arange(48) * 3, np.arange(64) * 1) % 256).astype(np.uint8)  # (48, 64)
DEEP = (np.add.outer(np.arange(48) * 601, np.arange(64) * 257) % 65536).astype(np.uint16)
NOISE = np.random.default_rng(1).integers(0, 256, (48, 64), np.uint8)  # does not compress


def saved(picture, kind, **options):
    """Bytes of a picture in a format of Pillow."""
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def png_chunk(name, body):
    """One chunk of a PNG file."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def huge_png():
    """A valid header of 20000 x 20000 pixels over almost no data."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(bytes(5000)))
        + png_chunk(b"IEND", b"")
    )


def deep_colour_png():
    """A PNG of 16 x 16 pixels in 16-bit RGB, which Pillow would squeeze into 8 bits without a word."""
    rows = b"".join(b"\x00" + bytes(16 * 6) for _ in range(16))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def damaged_png():
    """A PNG with one wrong byte in the pixel data."""
    data = bytearray(saved(GREY, "PNG"))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    return bytes(data)


def transparent():
    """A picture with a half transparent corner."""
    image = Image.fromarray(GREY).convert("RGBA")
    image.putpixel((0, 0), (10, 20, 30, 128))
    return image


SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"<!DOCTYPE html><html><body>404 not found</body></html>"
FRAMES = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]

REFUSED = {
    "27 zero bytes": ("a.png", b"", "empty"),
    "28 truncated PNG": ("a.png", saved(NOISE, "PNG")[:900], "cut short"),
    "28 PNG without end": ("a.png", saved(GREY, "PNG")[:-12], "cut short"),
    "28 PNG header only": ("a.png", saved(GREY, "PNG")[:20], "cut short"),
    "28 damaged PNG": ("a.png", damaged_png(), "damaged"),
    "28 JPEG cut in half": ("a.jpg", saved(NOISE, "JPEG")[:1500], "cut short"),
    "28 JPEG without end mark": ("a.jpg", saved(GREY, "JPEG")[:-2], "cut short"),
    "28 JPEG header only": ("a.jpg", saved(GREY, "JPEG")[:30], "cut short"),
    "29 HTML named jpg": ("a.jpg", HTML, "HTML"),
    "30 PNG named jpg": ("a.jpg", saved(GREY, "PNG"), "the name says JPEG but the content is PNG"),
    "30 JPEG named png": ("a.png", saved(GREY, "JPEG"), "the name says PNG but the content is JPEG"),
    "30 JPEG named dcm": ("a.dcm", saved(GREY, "JPEG"), "the name says DICOM but the content is JPEG"),
    "30 GIF": ("a.gif", saved(GREY, "GIF"), "GIF"),
    "30 BMP named png": ("a.png", saved(GREY, "BMP"), "BMP"),
    "30 TIFF": ("a.tif", saved(GREY, "TIFF"), "TIFF"),
    "30 ZIP": ("a.png", b"PK\x03\x04" + bytes(40), "ZIP"),
    "30 text": ("a.png", b"hello, this is a text file" * 4, "no image file"),
    "31 above the pixel cap": ("a.png", huge_png(), "more than"),
    "32 animated PNG": ("a.png", saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "animated"),
    "33 CMYK": ("a.jpg", saved(Image.fromarray(GREY).convert("CMYK"), "JPEG"), "CMYK"),
    "34 16-bit colour": ("a.png", deep_colour_png(), "16-bit colour"),
    "35 transparent": ("a.png", saved(transparent(), "PNG"), "transparent"),
    "35 transparent palette": (
        "a.png",
        saved(Image.fromarray(GREY).convert("P"), "PNG", transparency=5),
        "transparent",
    ),
    "37 1x1": ("a.png", saved(GREY[:1, :1], "PNG"), "smaller than"),
    "37 a strip": ("a.png", saved(GREY[:3], "PNG"), "smaller than"),
    "38 SVG": ("a.svg", SVG, "SVG"),
    "38 SVG named png": ("a.png", SVG, "SVG"),
}


@pytest.mark.parametrize("item", list(REFUSED))
def test_bad_image_files_are_refused_with_name_reason_and_fix(tmp_path, item):
    """Items 27 to 38 of the list of bad inputs."""
    name, data, reason = REFUSED[item]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        load_image(path)
    assert reason in caught.value.problem
    assert caught.value.file == str(path)
    assert caught.value.fix


def test_missing_files_folders_and_unreadable_names_are_refused(tmp_path):
    """The path is named."""
    for path, reason in ((tmp_path / "no.png", "no such file"), (tmp_path, "folder"), (tmp_path / "a\0b", "opened")):
        with pytest.raises(ImageError, match=reason):
            load_image(path)


def test_a_file_above_the_size_limit_is_refused_unread(tmp_path):
    """A sparse file of 65 MiB."""
    path = tmp_path / "large.png"
    with path.open("wb") as handle:
        handle.truncate(65 * 2**20)
    with pytest.raises(ImageError, match="larger than 64 MiB"):
        load_image(path)


def test_every_prefix_of_an_image_is_refused_or_read_never_a_crash(tmp_path):
    """Cut at any byte, a file gives an ImageError or, without its last bytes only, a picture."""
    path = tmp_path / "cut"
    for kind in ("PNG", "JPEG"):
        data = saved(NOISE, kind)
        for length in range(1, len(data), 37):
            path.write_bytes(data[:length])
            with pytest.raises(ImageError):
                load_image(path)


def load(tmp_path, name, data):
    """Write bytes and load them."""
    (tmp_path / name).write_bytes(data)
    return load_image(tmp_path / name)


def test_grey_png_is_exact(tmp_path):
    """8 bits in, 8 bits out, with the hash of the pixels."""
    image = load(tmp_path, "a.png", saved(GREY, "PNG"))
    assert np.array_equal(image.pixels, GREY)
    assert (image.bits, image.pixels.dtype, image.notes) == (8, np.uint8, ())
    assert image.content_sha256 == content_sha256(GREY)
    assert not image.pixels.flags.writeable


def test_16_bit_png_keeps_all_bits(tmp_path):
    """Item 34: no silent window is applied on the way in."""
    image = load(tmp_path, "a.png", saved(DEEP, "PNG"))
    assert image.bits == 16
    assert np.array_equal(image.pixels, DEEP)


def test_one_bit_and_palette_pictures_become_grey(tmp_path):
    """Black and white become 0 and 255; a grey palette gives its greys."""
    bits = load(tmp_path, "a.png", saved(Image.fromarray(GREY).convert("1", dither=Image.Dither.NONE), "PNG"))
    assert set(np.unique(bits.pixels)) == {0, 255}
    palette = Image.fromarray(GREY).convert("P")
    assert np.array_equal(load(tmp_path, "b.png", saved(palette, "PNG")).pixels, GREY)


def test_grey_stored_as_rgb_gives_the_same_hash_as_grey(tmp_path):
    """The same picture under another colour model is the same picture."""
    grey = load(tmp_path, "a.png", saved(GREY, "PNG"))
    colour = load(tmp_path, "b.png", saved(np.stack([GREY] * 3, axis=-1), "PNG"))
    assert colour.content_sha256 == grey.content_sha256
    assert colour.notes == ()


def test_colour_becomes_luminance_and_says_so(tmp_path):
    """Pure green is 150, red 76 (BT.601)."""
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[:10, :, 1], colour[10:, :, 0] = 255, 255
    image = load(tmp_path, "a.png", saved(colour, "PNG"))
    assert (image.pixels[0, 0], image.pixels[19, 0]) == (150, 76)
    assert "luminance" in image.notes[0]


def test_opaque_transparency_channel_is_left_out(tmp_path):
    """Item 35, the harmless half: RGBA and LA with no transparent pixel."""
    for mode in ("RGBA", "LA"):
        image = load(tmp_path, f"{mode}.png", saved(Image.fromarray(GREY).convert(mode), "PNG"))
        assert np.array_equal(image.pixels, GREY)
        assert "transparency" in image.notes[0]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    """Item 36: model and reader see the picture upright, as a browser turns it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        2: GREY[:, ::-1],
        3: GREY[::-1, ::-1],
        4: GREY[::-1],
        5: GREY.T,
        6: np.rot90(GREY, -1),
        7: GREY[::-1, ::-1].T,
        8: np.rot90(GREY),
    }[orientation]
    image = load(tmp_path, "a.png", saved(GREY, "PNG", exif=exif))
    assert np.array_equal(image.pixels, turned)
    assert "upright" in image.notes[0]
    assert "exif" in image.dropped


def test_metadata_is_reported_by_name_and_never_by_value(tmp_path):
    """Text chunks, EXIF, comments and colour profiles stay behind; their keys may tell a name too."""
    text = PngImagePlugin.PngInfo()
    text.add_text("CANARY-key", "CANARY-value")
    png = load(tmp_path, "a.png", saved(GREY, "PNG", pnginfo=text, dpi=(72, 72)))
    jpeg = load(tmp_path, "a.jpg", saved(GREY, "JPEG", comment=b"CANARY"))
    assert "text" in png.dropped
    assert "comment" in jpeg.dropped
    assert "CANARY" not in repr(png) + repr(jpeg)


def test_damaged_exif_is_no_crash(tmp_path):
    """The picture is taken as it lies, as a browser takes it."""
    for body in (b"Exif\0\0" + b"\xff" * 20, b"Exif\0\0MM\0*\0\0\0\x08\0\xff", b"Exif\0\0II*\0"):
        image = load(tmp_path, "a.jpg", saved(GREY, "JPEG", exif=body))
        assert (image.pixels.shape, image.notes) == (GREY.shape, ())


def test_formats_are_told_by_content_where_the_name_promises_nothing(tmp_path):
    """No extension, an unknown one, and capitals."""
    for name in ("scan", "scan.0001", "SCAN.PNG"):
        assert load(tmp_path, name, saved(GREY, "PNG")).file_format == "PNG"


def test_many_files_come_back_in_the_order_of_their_paths_and_the_first_bad_one_is_named(tmp_path):
    paths = []
    for level in range(40):
        paths.append(tmp_path / f"{40 - level}.png")
        picture = GREY.copy()
        picture[0, 0] = level
        paths[-1].write_bytes(saved(picture, "PNG"))
    assert [int(image.pixels[0, 0]) for image in load_images(paths)] == list(range(40))
    assert load_images([]) == []
    paths[7].write_bytes(b"")
    paths[30].write_bytes(HTML)
    with pytest.raises(ImageError, match=r"33\.png.*empty"):
        load_images(paths)
