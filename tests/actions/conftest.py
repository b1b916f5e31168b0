"""A browser tab for what an export's pages do when they are opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Playwright

from actions.browser import CHROMIUM_ARGUMENTS, chromium_path


@pytest.fixture
def page(playwright: Playwright) -> Iterator[Page]:
    """An empty tab of a real headless Chromium; a test that needs it is skipped where there is none."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine")
    browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
    yield browser.new_page()
    browser.close()
