"""From image files to arrays, and from arrays to the bytes that are stored and shown."""

from core.imaging.canvas import Canvas, laid_on
from core.imaging.folder import folder_cases, read_folder
from core.imaging.giveaways import Giveaway, ImageFacts, find_giveaways
from core.imaging.image import LoadedImage, load_image, load_images
from core.imaging.manifest import (
    CaseStream,
    ManifestErrors,
    ManifestRow,
    ManifestRows,
    manifest_cases,
    read_manifest,
)
from core.imaging.mask import load_mask
from core.imaging.notes import count_notes, is_loud
from core.imaging.png import content_sha256, decode_png, encode_png, is_picture
from core.imaging.render import default_window, render_uint8

__all__ = [
    "Canvas",
    "CaseStream",
    "Giveaway",
    "ImageFacts",
    "LoadedImage",
    "ManifestErrors",
    "ManifestRow",
    "ManifestRows",
    "content_sha256",
    "count_notes",
    "decode_png",
    "default_window",
    "encode_png",
    "find_giveaways",
    "folder_cases",
    "is_loud",
    "is_picture",
    "laid_on",
    "load_image",
    "load_images",
    "load_mask",
    "manifest_cases",
    "read_folder",
    "read_manifest",
    "render_uint8",
]
