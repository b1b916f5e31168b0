"""The cases after unsealing: what the browser gets of views, maps and marks, and what is said of a model."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from core.protocol import Display
from db.records import ModelVersion
from pages.explain import _was_taught
from pages.widgets.case_viewer import Picture, ShownMark, _picture_header

TAUGHT = {"recipe": {"map_weight": 0.8}}
UNTAUGHT = {"recipe": {"map_weight": 0.0}}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (TAUGHT, True),
        (UNTAUGHT, False),
        ({"recipe": {}}, False),
        ({}, False),
        ({"members": [UNTAUGHT, TAUGHT]}, True),
        ({"members": [UNTAUGHT, {}]}, False),
    ],
    ids=["taught", "untaught", "older recipe", "no card", "taught member", "untaught ensemble"],
)
def test_a_model_taught_with_lesion_masks_is_known_by_its_card(metadata: dict[str, object], expected: bool) -> None:
    model = ModelVersion("0" * 64, "m", "resnet16_fine", "m", metadata, datetime(2026, 1, 1, tzinfo=UTC))
    assert _was_taught(model) is expected


def test_every_picture_of_a_case_has_its_own_bytes_marks_and_maps():
    body: list[bytes] = []
    rng = np.random.default_rng(1)
    plain = rng.integers(0, 900, (5, 7)).astype(np.uint16)
    maps, lesion = rng.normal(size=(2, 3, 4)), plain > 500
    mark = ShownMark(2.5, 1.0, "Ann Other, aided", "#0072B2")
    pictures = [
        Picture("anterior", plain, lesion, (mark,)),
        Picture("posterior", plain[::-1].copy()),
        Picture("net", plain, lesion, class_maps=maps, tops=np.array([1.0, 2.0]), told=("30 %", "70 %")),
    ]
    headers = [_picture_header(each, Display(), body) for each in pictures]
    whole = b"".join(body)

    def at(place: int, kind: str, count: int) -> np.ndarray:
        return np.frombuffer(whole, kind, count, place)

    for header, picture in zip(headers, pictures, strict=True):
        assert np.array_equal(at(header["image"]["at"], "<u2", 35).reshape(5, 7), picture.pixels)
        assert header["image"]["at"] % 4 == 0
    assert headers[0]["marks"] == [
        {"x": 2.5, "y": 1.0, "reader": "Ann Other, aided", "colour": "#0072B2", "initials": "AO"}
    ]
    assert "maps" not in headers[0]
    assert "mask" not in headers[1]
    assert np.array_equal(at(headers[2]["mask"]["at"], "u1", 35).reshape(5, 7), lesion)
    assert np.array_equal(at(headers[2]["maps"]["at"], "<f4", 24).reshape(2, 3, 4), maps.astype(np.float32))
    assert headers[2]["maps"]["told"] == ["30 %", "70 %"]
