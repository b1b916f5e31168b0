"""Order of the whole suite: what drives a browser or a whole program comes first, so that no worker ends alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Playwright, sync_playwright

import core  # noqa: F401  # its variables must stand before a test imports torch or onnxruntime

#: Files of few but long tests, longest first; the rest keeps its order.
LONGEST_FIRST = (
    "test_blinding.py",
    "test_reading_by_keyboard.py",
    "test_panel_states.py",
    "test_offline.py",
    "test_command_line.py",
    "test_demo.py",
    "test_tampering.py",
    "test_loop.py",
    "test_own_study.py",
    "test_bundle.py",
    "test_kinds_of_studies.py",
    "test_screens_by_role.py",
    "test_panel_protocol.py",
    "test_statisticians_walk.py",
    "test_live_pilot.py",
    "test_export_study.py",
    "test_panel_view.py",
    "test_door.py",
    "test_models.py",
    "test_panel_promises.py",
    "test_manage.py",
    "test_conduct.py",
    "test_any_field.py",
    "test_sign_out.py",
    "test_elsewhere.py",
    "test_difficulty.py",
    "test_coordinator_deeds.py",
    "test_people_screen.py",
    "test_damaged_bundles.py",
    "test_second_field.py",
    "test_reading_designs.py",
    "test_durability.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of the long files to the front."""
    rank = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """The one driver of browsers that a process may have."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(autouse=True)
def _same_main_module() -> Iterator[None]:
    """Streamlit's AppTest leaves its script as ``__main__``, which a process spawned by a later test would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
