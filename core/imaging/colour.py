"""Colour pictures: grey by luminance where that follows the counts, refused where hot would become dark.

A console's colour table is a line through the colours. Its luminance rises with the counts (hot iron, viridis, tinted
grey), falls with them (inverse tables), or does neither: in a rainbow the hottest pixel becomes darker than the middle
of the gland. The table is recognised by comparing the picture's colours with the known ones, text left aside. The
colours of an unknown table must be a function of their luminance: two different colours of one brightness are two
different counts that grey cannot tell apart.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.errors import ImageError

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_NOISE = 16.0  # chroma, of 255, that a grey picture may show after JPEG
_FEW = 0.0005  # share of the pixels that may show more in a picture that is grey
_STRONG = 48.0  # chroma that no JPEG of a grey picture shows
_PURE = 5.0  # chroma below which a pixel is grey
_ENDS = 8.0  # luminance from black and from white within which a grey pixel proves nothing
_MOSTLY = 0.75  # of the other pixels must be grey in a grey picture with coloured marks
_CELL = 12  # colours are compared in cubes of this side
_CAP = 60.0  # distance of two colours beyond which more does not count
_WEIGHT = 0.75  # power of a colour's number of pixels: the background does not decide alone, nor do rare colours
_SURE_FIT = 8.0  # mean distance from a known table up to which the table is recognised ...
_MAX_FIT = 30.0  # ... and up to which it is when the best table of the other kind is this much further:
_CLEARLY = 0.75
_MAX_DIP = 2.5  # grey levels that a table may fall while it rises
_MARK = 80.0  # distance from the table at which a pixel is no longer JPEG's error
_MANY_MARKS = 0.001
_TWO_COLOURS = 20.0  # distance in chroma of two colours of one luminance
_MAX_CONFLICT = 0.002  # share of the pixels that have another colour than their luminance says
_FIX = "export the image in grey, or as DICOM with its counts"


@dataclass(frozen=True)
class _Table:
    """A known colour table."""

    name: str
    colours: np.ndarray  # (64, 3)
    follows_counts: bool


def grey_of_colour(channels: np.ndarray, notes: list[str], *, is_lossless: bool) -> np.ndarray:
    """The grey picture of a colour picture.

    Parameters
    ----------
    channels : uint8 array, shape (height, width, 3)
        Red, green, blue.
    notes : list of str
        What was found is appended.
    is_lossless : bool
        Whether the colours are those that the console drew, or blurred by JPEG.

    Returns
    -------
    uint8 array, shape (height, width)
        Luminance (ITU-R BT.601).

    Raises
    ------
    ImageError
        If the grey would not rise, or fall, with the counts.
    """
    from scipy import ndimage  # a quarter of a second, which every command would pay

    grey = np.asarray(Image.fromarray(channels).convert("L"), dtype=np.uint8)
    colours = channels.astype(np.float32)
    luminance = colours @ _LUMINANCE
    chroma = np.stack([0.564 * (colours[..., 2] - luminance), 0.713 * (colours[..., 0] - luminance)], axis=-1)
    strength = np.hypot(chroma[..., 0], chroma[..., 1])
    if np.mean(strength > _NOISE) < _FEW and np.count_nonzero(strength > _STRONG) < 4:
        notes.append("faint colour left out: the picture is grey")
        return grey
    table = _recognised(channels)
    if (table is None or not table.follows_counts) and _is_grey_with_marks(luminance, strength):
        table = _known_tables()[0][0]
    is_grey = table is not None and table.name == "grey"
    if table is not None and not table.follows_counts:
        problem = f"the colour table ('{table.name}' or one like it) is not brighter where there are more counts"
        raise ImageError(f"{problem}, so hot would become dark", value=table.name, fix=_FIX)
    is_off = np.zeros(grey.shape, dtype=bool)
    if table is not None:
        is_off = _distance(colours.reshape(-1, 3), table.colours).reshape(grey.shape) > _MARK
    is_overflow = _is_overflow(grey, is_off)
    if is_grey and is_overflow:
        problem = "the hottest pixels have another colour than the rest of the scale, so hot would become dark"
        raise ImageError(problem, value=f"{is_off.mean():.1%} of the pixels", fix=_FIX)
    has_blocks = np.mean(ndimage.binary_opening(is_off, np.ones((3, 3)))) > _MAX_CONFLICT  # wider than a letter's line
    if table is None or (not is_grey and (has_blocks or (is_overflow and is_lossless))):
        conflict = _conflict(luminance, chroma, 1 if is_lossless else 3)
        if conflict > _MAX_CONFLICT:
            problem = "pixels of one brightness have different colours, so hot would become dark"
            raise ImageError(problem, value=f"{conflict:.1%} of the pixels", fix=_FIX)
    if not is_grey:
        name = "a colour table that rises or falls with it" if table is None else f"'{table.name}' or one like it"
        notes.append(f"colour turned to grey by luminance ({name})")
    if is_grey or is_off.mean() > _MANY_MARKS:
        share = f"{max(is_off.mean(), 0.0001):.2%} of the pixels"
        notes.append(f"COLOURED MARKS: burnt-in text, arrows or a colour bar; look for names and diagnoses ({share})")
    return grey


def _is_grey_with_marks(luminance: np.ndarray, strength: np.ndarray) -> bool:
    """Whether most pixels that are neither black nor white have no colour at all."""
    is_between = (luminance > _ENDS) & (luminance < 255 - _ENDS)
    n_grey = np.count_nonzero(is_between & (strength < _PURE))
    return bool(n_grey > _MOSTLY * np.count_nonzero(is_between | (strength >= _PURE)))


def _recognised(channels: np.ndarray) -> _Table | None:
    """The known table on whose line the picture's colours lie, if one of the other kind fits clearly worse."""
    cells, counts = _cells(channels)
    weights = counts**_WEIGHT
    tables, colours = _known_tables()
    distance = _distances(cells, colours).reshape(len(cells), len(tables), -1).min(axis=2)
    fits = np.minimum(distance, _CAP).T @ weights / weights.sum()
    best = int(np.argmin(fits))
    follows = np.array([table.follows_counts for table in tables])
    other = fits[follows != follows[best]].min()
    is_clear = fits[best] < min(_MAX_FIT, _CLEARLY * other)
    return tables[best] if is_clear or (fits[best] < _SURE_FIT and fits[best] < other) else None


def _cells(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours of the picture, one for each occupied cube of the colour space, and their numbers of pixels."""
    flat = channels.reshape(-1, 3)
    cubes = (flat // _CELL).astype(np.int64) @ np.array([1024, 32, 1])
    _, place, counts = np.unique(cubes, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place, weights=flat[:, channel]) for channel in range(3)], axis=1)
    is_frequent = counts >= max(2, flat.shape[0] // 30_000)
    return (sums / counts[:, None])[is_frequent], counts[is_frequent]


def _distances(points: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Euclidean distances, shape (points, colours)."""
    squares = (points**2).sum(axis=1)[:, None] + (colours**2).sum(axis=1) - 2 * points @ colours.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _distance(points: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Distance of each point from the nearest colour."""
    parts = [points[start : start + 65_536] for start in range(0, len(points), 65_536)]
    return np.concatenate([_distances(part, colours).min(axis=1) for part in parts])


@functools.cache
def _known_tables() -> tuple[list[_Table], np.ndarray]:
    """The tables of matplotlib and of consoles, and all their colours below one another."""
    from matplotlib import colormaps

    step = np.linspace(0, 1, 64)
    lines = {"grey": np.repeat(255 * step[:, None], 3, axis=1)}
    lines |= {name: 255 * colormaps[name](step)[:, :3] for name in colormaps if not name.endswith("_r")}
    lines |= {name: _line(step, stops) for name, stops in _CONSOLES.items()}
    tables = []
    for name, colours in lines.items():
        if name != "grey" and np.ptp(colours, axis=1).max() < _NOISE:
            continue  # matplotlib's own greys
        luminance = colours @ _LUMINANCE
        fall = np.max(np.maximum.accumulate(luminance) - luminance)
        rise = np.max(luminance - np.minimum.accumulate(luminance))
        tables.append(_Table(name, colours.astype(np.float32), bool(min(fall, rise) <= _MAX_DIP)))
    return tables, np.concatenate([table.colours for table in tables])


#: Tables of nuclear medicine consoles: place from 0 to 1, colour. Hot iron is that of DICOM PS3.6 annex B.
_CONSOLES: dict[str, list[tuple[float, tuple[int, int, int]]]] = {
    "hot iron": [(0, (0, 0, 0)), (0.5, (255, 0, 0)), (0.75, (255, 128, 0)), (1, (255, 255, 255))],
    "rainbow to red": [
        (0, (0, 0, 0)),
        (0.2, (0, 0, 255)),
        (0.4, (0, 255, 255)),
        (0.55, (0, 255, 0)),
        (0.75, (255, 255, 0)),
        (1, (255, 0, 0)),
    ],
    "rainbow to white": [
        (0, (0, 0, 0)),
        (0.1, (80, 0, 130)),
        (0.25, (0, 0, 255)),
        (0.42, (0, 255, 255)),
        (0.57, (0, 255, 0)),
        (0.75, (255, 255, 0)),
        (0.9, (255, 0, 0)),
        (1, (255, 255, 255)),
    ],
}


def _line(step: np.ndarray, stops: list[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    """Colours along a broken line through the colour space."""
    places, colours = [place for place, _ in stops], np.array([colour for _, colour in stops], dtype=float)
    return np.stack([np.interp(step, places, colours[:, channel]) for channel in range(3)], axis=1)


def _is_overflow(grey: np.ndarray, is_marked: np.ndarray) -> bool:
    """Whether coloured pixels lie inside the hottest ones: their grey neighbours are near the end of the scale."""
    from scipy import ndimage  # a quarter of a second, which every command would pay

    ring = ndimage.binary_dilation(is_marked, iterations=2) & ~ndimage.binary_dilation(is_marked)
    if not ring.any() or not (~is_marked).any():
        return False
    edge = np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    low, high = np.percentile(grey[~is_marked], [1, 99.8])
    place = (float(np.median(grey[ring])) - low) / max(high - low, 1.0)
    return bool(place > 0.7 if edge < 128 else place < 0.3)


def _conflict(luminance: np.ndarray, chroma: np.ndarray, side: int) -> float:
    """Share of the pixels whose colour is another than most pixels of their luminance have.

    The difference is averaged over ``side`` x ``side`` pixels; three remove most of JPEG's errors at edges.
    """
    from scipy import ndimage  # a quarter of a second, which every command would pay

    bins = np.clip(luminance / 4, 0, 63).astype(np.int64).ravel()
    order, counts = np.argsort(bins, kind="stable"), np.bincount(bins, minlength=64)
    ends = np.cumsum(counts)
    occupied = np.flatnonzero(counts)
    flat = chroma.reshape(-1, 2)
    usual = np.array([np.median(flat[order[ends[b] - counts[b] : ends[b]]], axis=0) for b in occupied])
    place = luminance / 4 - 0.5
    off = [
        ndimage.uniform_filter(chroma[..., axis] - np.interp(place, occupied, usual[:, axis]).astype(np.float32), side)
        for axis in range(2)
    ]
    return float(np.mean(np.hypot(off[0], off[1]) > _TWO_COLOURS))
