"""Does a reader's mark lie in the lesion? For LROC and FROC, where a right answer at the wrong place is no right one.

Every connected part of a mask (also over corners) is a lesion of its own. Coordinates are those of
:class:`core.study.Mark`: pixels from the left and the upper edge of the picture, so that the middle of the first pixel
is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from core.errors import InputError, UndefinedStatisticError
from core.study import Mark


def score_marks(
    marks: Sequence[Mark], masks: Mapping[int, np.ndarray], confidence: float | None
) -> tuple[float | None, bool]:
    """Rating of a case's highest mark, and whether that mark lies in a lesion.

    Parameters
    ----------
    marks : sequence of Mark
        Of one answer; of several with the highest rating the first counts.
    masks : mapping
        Number of the view -> bool (height, width), where the lesion is known.
    confidence : float, optional
        Of the answer, which rates a mark without a rating of its own; absent: 1, a mark and no more.

    Returns
    -------
    tuple
        (None, False) where nothing was marked. A mark beside the mask is a miss, however near: no tolerance is taken.
    """
    if not marks:
        return None, False
    own = 1.0 if confidence is None else float(confidence)
    rated = [own if mark.rating is None else float(mark.rating) for mark in marks]
    top = int(np.argmax(rated))
    mark, mask = marks[top], masks.get(marks[top].view)
    return rated[top], mask is not None and bool(mask.any()) and hit_lesion(mask, mark.x, mark.y) is not None


def hit_lesion(
    mask: np.ndarray, x: float, y: float, *, tolerance: float = 0.0, pixel_spacing_mm: float | None = None
) -> int | None:
    """Number of the lesion that a mark hits.

    Parameters
    ----------
    mask : bool array, shape (height, width)
        True in the lesions.
    x, y : float
        The mark, in pixels.
    tolerance : float
        Largest distance from the nearest edge of a lesion that still counts; millimetres where the spacing is given,
        else pixels. Inside a lesion the distance is 0.
    pixel_spacing_mm : float, optional
        Side of a pixel.

    Returns
    -------
    int or None
        The nearest lesion within the tolerance, numbered from 1 row by row; None: a miss.

    Raises
    ------
    InputError
        If the mark is no place, or tolerance or spacing cannot be.
    UndefinedStatisticError
        If the mask marks nothing: there is no lesion to hit.

    References
    ----------
    Swensson (1996), Med. Phys. 23:1709-1725 (LROC, acceptance radius).
    """
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError("a mark is a place in the picture", field="mark", value=(x, y))
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError("the tolerance is 0 or more", field="tolerance", value=tolerance)
    if pixel_spacing_mm is not None and not 0 < pixel_spacing_mm < math.inf:
        raise InputError("the pixel spacing is positive, mm", field="pixel_spacing_mm", value=pixel_spacing_mm)
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        raise UndefinedStatisticError("The mask marks no pixel, so a mark can neither hit nor miss.")
    # From the mark to the square of each marked pixel; 0 within it.
    across = np.maximum(np.maximum(columns - x, x - (columns + 1)), 0.0)
    down = np.maximum(np.maximum(rows - y, y - (rows + 1)), 0.0)
    distance = np.hypot(across, down) * (pixel_spacing_mm or 1.0)
    nearest = int(np.argmin(distance))
    if distance[nearest] > tolerance:
        return None
    from scipy import ndimage  # readers' processes start without it

    lesions, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return int(lesions[rows[nearest], columns[nearest]])
