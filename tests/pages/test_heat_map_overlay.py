"""A class map lies over the part of the image that it belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from pages.widgets.heat_map_overlay import case_picture


@pytest.mark.parametrize(
    ("shape", "row", "column"), [((200, 200), 124.5, 74.5), ((100, 200), 74.5, 74.5), ((200, 100), 124.5, 24.5)]
)
def test_class_map_covers_the_square_that_the_image_was_padded_to(
    shape: tuple[int, int], row: float, column: float
) -> None:
    """Cell (2, 1) of a map of four by four cells, in pixels of the image."""
    drawn = case_picture(np.zeros(shape, np.uint8), "", class_map=np.eye(4)).data[1]
    assert (drawn.y0 + 2 * drawn.dy, drawn.x0 + drawn.dx) == (row, column)


def test_lesion_is_an_outline_and_absent_where_unknown() -> None:
    image = np.zeros((8, 8), np.uint8)
    lesion = image > 0
    lesion[2:4, 2:4] = True
    outlined = case_picture(image, "", lesion=lesion)
    assert [trace.type for trace in outlined.data] == ["heatmap", "contour"]
    assert outlined.data[1].contours.coloring == "none"
    assert len(case_picture(image, "").data) == 1


def test_weak_evidence_is_drawn_weak() -> None:
    """The brightest colour stands for the value given, not for the map's own maximum."""
    weak = case_picture(np.zeros((8, 8), np.uint8), "", class_map=np.full((4, 4), 0.2), top=8.0).data[1]
    assert (weak.zmin, weak.zmax) == (0, 8.0)
    assert weak.z.max() == np.float32(0.2)
