"""Lossless PNG without any metadata: the form in which pixels are stored and sent."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from core.errors import ImageError
from core.imaging.decoded import check_size

_MAGIC = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2  # colour types
_UP = 2  # filter type of a row: the difference from the row above
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"  # the last chunk of every PNG


def encode_png(pixels: np.ndarray) -> bytes:
    """Pixels as PNG bytes; nothing but size, depth and pixels is written.

    Rows are stored as differences from the row above and packed by run lengths: a ninth of the time of the usual
    search for the best filter, for files of a scintigram that are a tenth larger.

    Parameters
    ----------
    pixels : uint8 or uint16 array, shape (height, width), or uint8 (height, width, 3)

    Raises
    ------
    ImageError
        If the array is empty or of another shape or type.
    """
    if not is_picture(pixels):
        raise ImageError(
            "only a grey image of 8 or 16 bits, or a colour one of 8, can become a PNG",
            value=f"{pixels.dtype} {pixels.shape}",
            fix="use a (height, width) array of uint8 or uint16, or (height, width, 3) of uint8",
        )
    height, width = pixels.shape[:2]
    big = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    rows = np.empty((height, big.shape[1] + 1), dtype=np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = big[0]
    np.subtract(big[1:], big[:-1], out=rows[1:, 1:])
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    colour_type = _GREY if pixels.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, colour_type, 0, 0, 0)
    return _MAGIC + _chunk(b"IHDR", header) + _chunk(b"IDAT", packer.compress(rows.tobytes()) + packer.flush()) + _END


def is_picture(pixels: np.ndarray) -> bool:
    """Whether an array is what this program calls a picture: grey of 8 or 16 bits, or three channels of 8."""
    if pixels.ndim == 3:
        return pixels.shape[2] == 3 and pixels.size > 0 and pixels.dtype == np.uint8
    return pixels.ndim == 2 and pixels.size > 0 and pixels.dtype in (np.uint8, np.uint16)


def _chunk(name: bytes, body: bytes) -> bytes:
    """One chunk of a PNG file: length, name, content, checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def decode_png(data: bytes) -> np.ndarray:
    """Pixels of a PNG that :func:`encode_png` made.

    Returns
    -------
    uint8 or uint16 array, shape (height, width), or uint8 (height, width, 3)

    Raises
    ------
    ImageError
        If the bytes are no grey PNG of 8 or 16 bits nor a colour one of 8, or are cut short.
    """
    if not data.endswith(_END):
        raise ImageError("these bytes are no whole PNG: the end is missing")
    try:
        image = PngImageFile(io.BytesIO(data))
        check_size(*image.size)
        image.load()
        mode, pixels = image.mode, np.array(image)
    except (OSError, SyntaxError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise ImageError(f"these bytes are no readable PNG: {error}") from error
    if mode in ("L", "RGB"):
        return np.asarray(pixels, dtype=np.uint8)
    if mode in ("I;16", "I;16B"):
        return np.asarray(pixels).astype(np.uint16)
    raise ImageError("the PNG is neither grey with 8 or 16 bits nor RGB", value=mode)


def content_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of shape, dtype and pixel values: equal for equal pictures, whatever file they came from.

    Parameters
    ----------
    pixels : array
        Byte order and memory layout do not matter.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    little = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False)
    head = f"{pixels.dtype.kind}{pixels.dtype.itemsize * 8}:{'x'.join(map(str, pixels.shape))}:"
    return hashlib.sha256(head.encode() + little.tobytes()).hexdigest()
