"""A mark inside the mask is a hit, one within the tolerance of its edge too, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError, UndefinedStatisticError
from core.localisation import hit_lesion

TWO = np.zeros((10, 12), bool)
TWO[2:4, 2:4] = True  # the square from (2, 2) to (4, 4)
TWO[7, 9] = TWO[8, 10] = True  # one lesion, over a corner


@pytest.mark.parametrize(
    ("x", "y", "lesion"),
    [(3.0, 3.0, 1), (2.0, 2.0, 1), (4.0, 4.0, 1), (1.99, 3.0, None), (9.5, 7.5, 2), (10.5, 8.5, 2), (10.6, 7.4, None)],
)
def test_without_a_tolerance_only_the_inside_counts(x: float, y: float, lesion: int | None) -> None:
    assert hit_lesion(TWO, x, y) == lesion


def test_the_tolerance_is_the_distance_from_the_edge_in_pixels_or_millimetres() -> None:
    assert hit_lesion(TWO, 7.0, 8.0, tolerance=2.0) == 2  # 2 pixels left of (9, 7..8)
    assert hit_lesion(TWO, 7.0, 8.0, tolerance=1.99) is None
    assert hit_lesion(TWO, 7.0, 8.0, tolerance=4.8, pixel_spacing_mm=2.4) == 2
    assert hit_lesion(TWO, 7.0, 8.0, tolerance=4.79, pixel_spacing_mm=2.4) is None
    assert hit_lesion(TWO, 1.0, 1.0, tolerance=math.sqrt(2)) == 1  # over the corner
    assert hit_lesion(TWO, 6.0, 5.0, tolerance=100) == 1  # the nearer of the two: 2.24 against 3.61 pixels
    assert hit_lesion(TWO, 7.0, 6.0, tolerance=100) == 2


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    x=st.floats(-3, 11),
    y=st.floats(-3, 9),
    tolerance=st.sampled_from([0.0, 0.7, 1.5, 4.0]),
)
def test_it_agrees_with_a_fine_grid_of_points(seed: int, x: float, y: float, tolerance: float) -> None:
    """Independent: a mark hits if one of many points of a marked pixel is near enough."""
    mask = np.random.default_rng(seed).random((6, 8)) < 0.15
    mask[2, 3] = True
    steps = np.linspace(0, 1, 41)
    points = [(column + a, row + b) for row, column in np.argwhere(mask) for a in steps for b in steps]
    nearest = min(math.dist((x, y), point) for point in points)
    if abs(nearest - tolerance) > 0.03:  # the grid's own error
        assert (hit_lesion(mask, x, y, tolerance=tolerance) is not None) == (nearest < tolerance)


@pytest.mark.parametrize(
    "values",
    [
        {"x": math.nan, "y": 1.0},
        {"x": 1.0, "y": math.inf},
        {"x": 1.0, "y": 1.0, "tolerance": -1.0},
        {"x": 1.0, "y": 1.0, "pixel_spacing_mm": 0.0},
    ],
)
def test_what_is_no_mark_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError):
        hit_lesion(TWO, **values)


def test_without_a_lesion_nothing_is_hit_or_missed() -> None:
    with pytest.raises(UndefinedStatisticError, match="neither hit nor miss"):
        hit_lesion(np.zeros((4, 4), bool), 1.0, 1.0)
