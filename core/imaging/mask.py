"""A lesion mask: black, and one other colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.errors import ImageError
from core.imaging.image import LoadedImage, read_file
from core.imaging.raster import decode_colours

MAX_SHARE = 0.5  # of the picture; the largest gland in a zoomed picture covers a third of it
_SHOWN = 6
_FIX = "save the mask as PNG with two values, 0 for the background and 255 for the lesion, without smooth edges"


def load_mask(path: Path, image: LoadedImage) -> np.ndarray:
    """Read a lesion mask.

    Parameters
    ----------
    path : Path
        A PNG of black and one other value or colour.
    image : LoadedImage
        The picture that the mask belongs to.

    Returns
    -------
    bool array, shape of the image
        True inside the lesion; nowhere True when the mask is all black.

    Raises
    ------
    ImageError
        When the file is no PNG, has another size than the image, other values than 0 and one more, or marks so much
        that lesion and background must have been exchanged.
    """
    data, kind = read_file(path)
    if kind != "PNG":
        raise ImageError(
            f"a mask cannot be a {kind}" + (", which blurs its edges" if kind == "JPEG" else ""), file=path, fix=_FIX
        )
    try:
        colours = decode_colours(data)
    except ImageError as error:
        raise ImageError(error.problem, file=path, value=error.value, fix=_FIX) from error
    if colours.shape[:2] != image.pixels.shape[:2]:
        raise ImageError(
            "the mask has another size than the image",
            file=path,
            value=f"{_size(colours)} instead of {_size(image.pixels)}",
            fix="draw the mask on the image's own matrix",
        )
    mask = _marked(colours, path)
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if mask.mean() > MAX_SHARE or edge.all():
        raise ImageError(
            f"the mask marks {mask.mean():.0%} of the picture" + (", all of its edge" if edge.all() else ""),
            file=path,
            value=f"{int(mask.sum()):,} of {mask.size:,} pixels",
            fix="exchange the two values if lesion and background are inverted: 0 is background, 255 is lesion",
        )
    return mask


def _marked(colours: np.ndarray, path: Path) -> np.ndarray:
    """Where the picture is not black, when there is black and at most one other colour."""
    if colours.ndim == 3:
        colours = colours.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
        values, is_colour = np.unique(colours), True
    else:
        values, is_colour = np.unique(colours), False
    if values[0] == 0 and values.size <= 2:
        return np.asarray(colours > 0)
    names = [f"#{value:06x}" if is_colour else str(value) for value in values[:_SHOWN]]
    more = f" and {values.size - _SHOWN} more" if values.size > _SHOWN else ""
    raise ImageError(
        "the mask is not black and one other value" if values[0] == 0 else "the mask has no black background",
        file=path,
        value=("colours " if is_colour else "values ") + ", ".join(names) + more,
        fix=_FIX,
    )


def _size(pixels: np.ndarray) -> str:
    """Width and height as people write them."""
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
