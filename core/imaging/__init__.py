"""From image files to arrays, and from arrays to the bytes that are stored and shown."""

from core.imaging.png import content_sha256, decode_png, encode_png

__all__ = ["content_sha256", "decode_png", "encode_png"]
