"""Lossless PNG without any metadata: the form in which pixels are stored and sent."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from core.errors import ImageError
from core.imaging.decoded import check_size

_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"  # the last chunk of every PNG


def encode_png(pixels: np.ndarray, *, compress_level: int = 6) -> bytes:
    """Grey pixels as PNG bytes; nothing but size, depth and pixels is written.

    Parameters
    ----------
    pixels : uint8 or uint16 array, shape (height, width)
    compress_level : int
        zlib level, 0 to 9; the pixels are the same at every level.

    Raises
    ------
    ImageError
        If the array is empty, not two-dimensional, or of another type.
    """
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            "only a grey image of 8 or 16 bits can become a PNG",
            value=f"{pixels.dtype} {pixels.shape}",
            fix="use a (height, width) array of uint8 or uint16",
        )
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """Pixels of a PNG that :func:`encode_png` made.

    Returns
    -------
    uint8 or uint16 array, shape (height, width)

    Raises
    ------
    ImageError
        If the bytes are no grey PNG of 8 or 16 bits, or are cut short.
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
    if mode == "L":
        return np.asarray(pixels, dtype=np.uint8)
    if mode in ("I;16", "I;16B"):
        return np.asarray(pixels).astype(np.uint16)
    raise ImageError("the PNG is not grey with 8 or 16 bits", value=mode)


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
