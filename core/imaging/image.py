"""One image file in, one grey array out; everything else that the file carried stays behind."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import ImageError
from core.imaging import raster
from core.imaging.decoded import MAX_PIXELS
from core.imaging.notes import remarks
from core.imaging.png import content_sha256
from core.runtime import available_cores
from core.study import LeftSide

MAX_FILE_BYTES = 64 * 1024 * 1024  # a planar scintigram is a few hundred kB
MIN_SIDE = 16  # pixels; gamma cameras use 64 and more

#: Extensions that promise a format; any other name may hold any format that can be read.
PROMISES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".png": "PNG",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
    ".ima": "DICOM",
    ".svg": "SVG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
    ".pdf": "PDF",
}
#: Formats that are known by their first bytes and refused.
_REFUSED = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"II+\x00", "a TIFF"),
    (b"MM\x00+", "a TIFF"),
    (b"RIFF", "a WebP or another RIFF file"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x00\x00\x00\x0cjP  ", "a bare JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 file"),
)
_FIX_FORMAT = "export the image as JPEG, PNG or DICOM NM"


@dataclass(frozen=True)
class LoadedImage:
    """An image without any metadata but what stands here."""

    pixels: np.ndarray  # (height, width) uint8 or uint16, bright is high; kept colour is (height, width, 3) uint8
    bits: int  # 8 or 16
    pixel_spacing_mm: float | None
    left_side: LeftSide | None  # where the patient's left lies, as far as a DICOM header says it
    content_sha256: str  # of shape, dtype and pixels
    file_format: str  # "JPEG", "PNG" or "DICOM"
    notes: tuple[str, ...]  # what was done to the pixels, and what is odd about them
    dropped: tuple[str, ...]  # names, never values, of the metadata that were left behind


def load_image(path: Path | str, frame: int | None = None, *, is_colour_kept: bool = False) -> LoadedImage:
    """Read a JPEG, PNG or DICOM NM file as one picture, grey unless colour is meant.

    Parameters
    ----------
    path : Path
    frame : int, optional
        Number of the frame, from 1, of a DICOM file that holds several static frames.
    is_colour_kept : bool
        Keep the colours of a JPEG or PNG as they are, in three channels; grey becomes three equal ones.

    Returns
    -------
    LoadedImage
        Upright as a browser would show it (EXIF orientation applied), colour turned to grey by luminance where that
        rises or falls with the counts. DICOM values are rescaled counts, never inverted; 16-bit values are never
        squeezed into 8 bits here. ``notes`` says what was done.

    Raises
    ------
    ImageError
        Naming the file and what to do, for everything that is no single planar scintigram: missing, empty, cut
        short or damaged files; other formats, also under a wrong extension; animations, CMYK, transparency, colours
        whose grey value does not follow the counts; pictures above 16 megapixels or below 16 pixels; DICOM that is no
        static NM image.
    """
    path = Path(path)
    data, kind = read_file(path)
    try:
        if kind == "DICOM":
            if is_colour_kept:
                raise ImageError("a DICOM file of counts has no colour to keep", fix="leave the column 'colour' blank")
            from core.imaging import dicom  # with pydicom, which most processes never need

            decoded = dicom.decode(data, frame)
        elif frame not in (None, 1):
            raise ImageError(f"there is no frame {frame} in a {kind}", fix="leave the column 'frame' blank")
        else:
            decoded = raster.decode(data, kind, is_colour_kept=is_colour_kept)
    except ImageError as error:
        raise ImageError(
            error.problem, file=path, field=error.field, value=error.value, fix=error.fix or _FIX_FORMAT
        ) from error
    pixels = np.ascontiguousarray(decoded.pixels)
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise ImageError(
            f"the picture is smaller than {MIN_SIDE} pixels",
            file=path,
            value=f"{pixels.shape[1]} x {pixels.shape[0]}",
            fix="import the full picture, not a thumbnail",
        )
    pixels.setflags(write=False)
    return LoadedImage(
        pixels=pixels,
        bits=8 * pixels.dtype.itemsize,
        pixel_spacing_mm=decoded.pixel_spacing_mm,
        left_side=decoded.left_side,
        content_sha256=content_sha256(pixels),
        file_format=kind,
        notes=(*decoded.notes, *remarks(pixels)),
        dropped=decoded.dropped,
    )


def load_images(paths: Sequence[Path | str]) -> list[LoadedImage]:
    """:func:`load_image` of many files, on all cores; the order of the paths.

    Raises
    ------
    ImageError
        Of the first path that cannot be read.
    """
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="decode") as pool:
        return list(pool.map(load_image, paths))


def read_file(path: Path) -> tuple[bytes, str]:
    """The bytes of a file and its format, which its name may not contradict.

    Raises
    ------
    ImageError
        Naming the file, when it cannot be read or is none of the three formats.
    """
    data = _read_bytes(path)
    kind = _sniff(data)
    promised = PROMISES.get(path.suffix.lower())
    if kind is None:
        raise ImageError(_what_it_is(data, promised), file=path, fix=_FIX_FORMAT)
    if promised is not None and promised != kind:
        raise ImageError(
            f"the name says {promised} but the content is {kind}",
            file=path,
            fix=f"rename the file to its true kind ({kind}), or export it again",
        )
    return data, kind


def _read_bytes(path: Path) -> bytes:
    """The whole file, within the size limit."""
    try:
        if path.is_dir():
            raise ImageError("this is a folder, not an image", file=path, fix="name an image file")
        size = path.stat().st_size
        if size == 0:
            raise ImageError("the file is empty (0 bytes)", file=path, fix="copy or export it again")
        if size > MAX_FILE_BYTES:
            raise ImageError(
                f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB", file=path, value=size, fix=_FIX_FORMAT
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError("there is no such file", file=path, fix="check the path") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError(
            f"the file cannot be opened: {getattr(error, 'strerror', None) or error}",
            file=path,
            fix="check the permissions",
        ) from error


def _sniff(data: bytes) -> str | None:
    """Format by the first bytes, or None when it is none of the three."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[128:132] == b"DICM":
        return "DICOM"
    from core.imaging import dicom

    return "DICOM" if dicom.looks_like_data_set(data) else None


def _what_it_is(data: bytes, promised: str | None) -> str:
    """Why a file of no accepted format is refused, as one clause."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "this is an SVG drawing, which can carry scripts and has no pixels"
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "this is an HTML page, perhaps the error page of a failed download"
    for magic, name in _REFUSED:
        if data.startswith(magic):
            return f"this is {name}, which is not accepted"
    if promised == "DICOM":
        return "this is no DICOM file: neither its header nor a data set can be found"
    return "this is no image file that can be read"


__all__ = ["MAX_FILE_BYTES", "MAX_PIXELS", "MIN_SIDE", "LoadedImage", "load_image"]
