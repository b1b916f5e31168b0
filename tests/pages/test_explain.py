"""The explanation screen says of a model whether it was taught where to look."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from db.records import ModelVersion
from pages.explain import _was_taught

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
