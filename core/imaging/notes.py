"""What the reader of image files changed, left out or found odd, one line a kind, counted over a cohort.

A note is a short clause; what differs from file to file stands in brackets at its end, so that notes of one kind can be
counted: ``negative pixels set to 0 (17 pixels)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

#: Beginnings of the notes that a coordinator must act on; the others tell what was done.
LOUD = (
    "BLACK FRAME", "CONSTANT FRAME", "COLOURED MARKS", "EMPTY LESION MASK", "LEFT SIDE", "PIXEL SPACING",
)  # fmt: skip
#: Metadata that say nothing about the picture or the patient.
_TRIVIAL = frozenset(
    {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "aspect", "adobe", "adobe_transform", "srgb"}
)
_NEARLY_ALL = 0.995  # share of the pixels with one value above which a frame shows nothing
_BLACK = 4  # grey levels of 255 up to which a frame is black
_SHOWN_CASES = 5


def remarks(pixels: np.ndarray) -> list[str]:
    """What is odd about a picture: an empty frame; in grey, a bright background.

    Parameters
    ----------
    pixels : uint8 or uint16 array, shape (height, width), or uint8 (height, width, 3)
    """
    is_colour = pixels.ndim == 3
    if is_colour:
        pixels = pixels.max(axis=2)
    common = int(np.argmax(np.bincount(pixels.ravel())))
    share = float(np.mean(pixels == common))
    low, high = int(pixels.min()), int(pixels.max())
    is_flat = high - low <= (_BLACK if pixels.dtype == np.uint8 else 2)
    if is_flat or share > _NEARLY_ALL:
        shown = f"{share:.1%} of the pixels are {common}, the highest value is {high}"
        is_black = (high if is_flat else common) <= _BLACK
        return [f"{'BLACK' if is_black else 'CONSTANT'} FRAME: there is nothing to read ({shown})"]
    edge = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))
    if is_colour:
        return []
    if edge > (255 if pixels.dtype == np.uint8 else high) / 2 and edge > np.median(pixels[pixels != common]):
        return ["bright background: high counts are dark (inverse grey), kept as in the file"]
    return []


def metadata_note(dropped: Iterable[str]) -> list[str]:
    """The names of the metadata that were left behind, as a note; none when they say nothing about anybody."""
    names = [name for name in dropped if name not in _TRIVIAL]
    return [f"metadata left out ({', '.join(names)})"] if names else []


def is_loud(note: str) -> bool:
    """Whether a coordinator must act on this note."""
    return note.startswith(LOUD)


def count_notes(notes_of: Iterable[tuple[str, Iterable[str]]]) -> tuple[list[str], list[str]]:
    """Notes of many images as lines such as ``12 images: EXIF orientation applied``.

    Parameters
    ----------
    notes_of : iterable of (case, notes)

    Returns
    -------
    tuple of list of str
        Loud lines, which name the first cases, and the others, the most frequent first.
    """
    counts: Counter[str] = Counter()
    cases: dict[str, list[str]] = {}
    for case, notes in notes_of:
        for kind in dict.fromkeys(note.split(" (")[0] for note in notes):
            counts[kind] += 1
            cases.setdefault(kind, []).append(case)
    loud, quiet = [], []
    for kind, n in counts.most_common():
        line = f"{n} image{'s' if n != 1 else ''}: {kind}"
        if not is_loud(kind):
            quiet.append(line)
            continue
        more = f" and {n - _SHOWN_CASES} more" if n > _SHOWN_CASES else ""
        loud.append(f"{line} (case {', '.join(cases[kind][:_SHOWN_CASES])}{more})")
    return loud, quiet
