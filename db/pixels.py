"""Pixels to lossless PNG bytes and back, and the hash that makes them one image."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from core.errors import InputError


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG of a grey image, 8 or 16 bits, no metadata."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def decode_png(png: bytes) -> np.ndarray:
    """The pixels that were encoded, with their depth."""
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        return np.asarray(image).astype(np.uint16 if image.mode.startswith("I") else np.uint8)


def content_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of shape, depth and pixels; the same picture has the same hash whatever file it came from."""
    digest = hashlib.sha256(f"{pixels.shape[0]}x{pixels.shape[1]}|{pixels.dtype.name}|".encode())
    digest.update(np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def check_pixels(pixels: np.ndarray, case: str) -> None:
    """Refuse what is not a grey picture of 8 or 16 bits.

    Raises
    ------
    InputError
        Naming the case.
    """
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            "the pixels must be (height, width) of uint8 or uint16",
            field="pixels",
            value=f"case {case}: shape {pixels.shape}, {pixels.dtype}",
        )


def encode_mask(mask: np.ndarray) -> bytes:
    """PNG of a mask, 0 and 255."""
    return encode_png(np.asarray(mask, dtype=bool).astype(np.uint8) * np.uint8(255))


def decode_mask(png: bytes) -> np.ndarray:
    """The mask that was encoded, bool."""
    mask: np.ndarray = decode_png(png) > 127
    return mask
