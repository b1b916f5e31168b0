"""JPEG and PNG: one upright picture, grey unless colour is meant, or a reason why not.

The format plugins are opened directly, so that nothing but the format which the first bytes announce is tried.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from core.errors import ImageError
from core.imaging.colour import grey_of_colour
from core.imaging.decoded import Decoded, check_size

#: What Pillow raises for damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

_AGAIN = "copy or export the file again"
_KEPT = {"gamma", "progressive", "progression", "interlace", "transparency", "default_image"}
_PNG_GREY = 0  # colour type of the IHDR chunk


def decode(data: bytes, kind: str, *, is_colour_kept: bool = False) -> Decoded:
    """Decode the bytes of a JPEG or PNG, as grey or with its colours.

    Raises
    ------
    ImageError
        Without the file's name, which the caller adds.
    """
    image = _load(data, kind)
    notes: list[str] = []
    upright = _upright(image, notes)
    plain = _without_transparency(upright, notes)
    pixels = _colours(plain, notes) if is_colour_kept else _grey(plain, notes, is_lossless=kind == "PNG")
    return Decoded(pixels=pixels, notes=tuple(notes), dropped=_dropped(image, data, kind))


def decode_colours(data: bytes) -> np.ndarray:
    """The colours of a PNG as they stand in it, shape (height, width) grey or (height, width, 3)."""
    image = _load(data, "PNG")
    if image.mode in ("1", "L") or image.mode.startswith("I"):
        return np.asarray(image.convert("L") if image.mode == "1" else image)
    if np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
        raise ImageError("the picture has transparent pixels", fix="flatten it on black")
    return np.asarray(image.convert("RGB"))


def _load(data: bytes, kind: str) -> Image.Image:
    """The picture as it lies in the file, complete."""
    image = _open(data, kind)
    check_size(*image.size)
    if kind == "PNG":
        _check_png(data, image)
    elif b"\xff\xd9" not in data[-65536:]:
        raise ImageError("the JPEG is cut short: its end mark is missing", fix=_AGAIN)
    try:
        image.load()
    except DAMAGE as error:
        raise ImageError(f"the {kind} is cut short or damaged ({_clause(error)})", fix=_AGAIN) from error
    return image


class _Jpeg(JpegImageFile):
    """A JPEG whose EXIF block is never searched for a resolution, where a damaged one makes Pillow warn."""

    def _read_dpi_from_exif(self) -> None:
        return


def _open(data: bytes, kind: str) -> Image.Image:
    """Parse the header only."""
    try:
        return _Jpeg(io.BytesIO(data)) if kind == "JPEG" else PngImageFile(io.BytesIO(data))
    except DAMAGE as error:
        raise ImageError(f"the {kind} is cut short or damaged ({_clause(error)})", fix=_AGAIN) from error


def _check_png(data: bytes, image: Image.Image) -> None:
    """Refuse what Pillow would silently change: animations, 16-bit colour, chunks that fail their checksum."""
    if getattr(image, "is_animated", False) or b"acTL" in data[:4096]:
        raise ImageError("the PNG is animated", fix="export one still picture")
    depth, colour_type = data[24], data[25]
    if depth == 16 and colour_type != _PNG_GREY:
        raise ImageError(
            "the PNG has 16-bit colour or transparency", fix="export it as grey with 16 bits, or as 8-bit colour"
        )
    try:
        PngImageFile(io.BytesIO(data)).verify()
    except DAMAGE as error:
        raise ImageError(f"the PNG is cut short or damaged ({_clause(error)})", fix=_AGAIN) from error


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    """Apply the EXIF orientation, as a browser does."""
    orientation = _orientation(image.info.get("exif", b""))
    if orientation not in _TURNS:
        return image
    notes.append(f"EXIF orientation applied: turned upright (orientation {orientation})")
    return image.transpose(_TURNS[orientation])


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(exif: bytes) -> int:
    """Orientation tag of an EXIF block; 1 when there is none or the block is damaged, as browsers take it."""
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == 0x0112 and kind == 3:
                return int(value)
    except struct.error:
        return 1
    return 1


def _without_transparency(image: Image.Image, notes: list[str]) -> Image.Image:
    """The picture as grey or RGB, when no pixel of it is transparent."""
    mode = image.mode
    if mode == "CMYK":
        raise ImageError("the JPEG is in CMYK, where greys are ambiguous", fix="export it as RGB or grey")
    if mode.startswith("I"):
        if "transparency" in image.info:
            raise ImageError("the PNG has transparent pixels", fix="flatten it on its background")
        return image
    if mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        colour = image.convert("RGBA")
        if np.asarray(colour.getchannel("A")).min() < 255:
            raise ImageError(
                "the picture has transparent pixels, which look different on every background",
                fix="flatten it on its background",
            )
        notes.append("opaque transparency channel left out")
        return colour.convert("RGB")
    if mode in ("P", "YCbCr", "LAB", "HSV"):
        return image.convert("RGB")
    if mode not in ("RGB", "L", "1"):
        raise ImageError("this kind of picture is not accepted", value=mode, fix="export it as grey or RGB")
    return image


def _grey(image: Image.Image, notes: list[str], *, is_lossless: bool) -> np.ndarray:
    """One grey channel of 8 or 16 bits."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
            raise ImageError("the picture has values outside 0 to 65535", value=image.mode)
        return values.astype(np.uint16)
    if image.mode != "RGB":
        return np.asarray(image.convert("L"), dtype=np.uint8)
    channels = np.asarray(image)
    if _is_grey(channels):
        return channels[..., 0].copy()
    return grey_of_colour(channels, notes, is_lossless=is_lossless)


def _colours(image: Image.Image, notes: list[str]) -> np.ndarray:
    """Three channels of 8 bits, exactly as they are."""
    if image.mode.startswith("I"):
        raise ImageError("the PNG is grey with 16 bits: there is no colour to keep", fix="leave 'colour' blank")
    channels = np.array(image.convert("RGB"))
    is_grey = _is_grey(channels)
    notes.append("grey picture kept as colour: three equal channels" if is_grey else "colour kept as it is")
    return channels


def _is_grey(channels: np.ndarray) -> bool:
    """Whether the three channels are equal."""
    return np.array_equal(channels[..., 0], channels[..., 1]) and np.array_equal(channels[..., 0], channels[..., 2])


def _dropped(image: Image.Image, data: bytes, kind: str) -> tuple[str, ...]:
    """Names of the metadata that stay behind; text keys are not named, because they may be anything."""
    names = {str(name) if str(name) in _SAFE_NAMES else "text" for name in image.info if name not in _KEPT}
    if kind == "JPEG" and b"\xff\xed" in data[:65536]:
        names.add("photoshop")
    return tuple(sorted(names))


_SAFE_NAMES = {
    "exif",
    "icc_profile",
    "dpi",
    "jfif",
    "jfif_version",
    "jfif_unit",
    "jfif_density",
    "xmp",
    "comment",
    "photoshop",
    "adobe",
    "adobe_transform",
    "mp",
    "mpoffset",
    "srgb",
    "chromaticity",
    "aspect",
}


def _clause(error: BaseException) -> str:
    """An error's text without final full stop, cut to one line."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:120] or type(error).__name__
