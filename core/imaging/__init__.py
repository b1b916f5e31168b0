"""From image files to arrays, and from arrays to the bytes that are stored and shown."""

from core.imaging.folder import read_folder
from core.imaging.image import LoadedImage, load_image, load_images
from core.imaging.manifest import ManifestErrors, ManifestRow, ManifestRows, load_cases, load_mask, read_manifest
from core.imaging.png import content_sha256, decode_png, encode_png
from core.imaging.render import default_window, render_uint8

__all__ = [
    "LoadedImage",
    "ManifestErrors",
    "ManifestRow",
    "ManifestRows",
    "content_sha256",
    "decode_png",
    "default_window",
    "encode_png",
    "load_cases",
    "load_image",
    "load_images",
    "load_mask",
    "read_folder",
    "read_manifest",
    "render_uint8",
]
