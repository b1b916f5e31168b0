"""Server, store and browser for the tests of the screens.

``server`` is one process for the whole run; ask ``reader`` for a login that no other test uses. ``own_server`` is a
process of one test, which it may kill. ``sign_in`` opens a browser tab as somebody; ``wire`` records all it receives.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from actions.browser import CHROMIUM_ARGUMENTS, Wire, chromium_path
from db.records import ReadingRecord
from tests.pages.reading_server import N_READERS, PASSWORD, ReadingServer, build_study, readings_of


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store that is copied, never used."""
    path = tmp_path_factory.mktemp("template") / "store.sqlite3"
    build_study(f"sqlite:///{path}")
    return path


@pytest.fixture
def store_url(store_template: Path, tmp_path: Path) -> str:
    """A store of this test's own."""
    path = tmp_path / "store.sqlite3"
    shutil.copy(store_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def server(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingServer]:
    """One server for all tests that do not kill it."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(store_template, folder / "store.sqlite3")
    running = ReadingServer(folder, f"sqlite:///{folder / 'store.sqlite3'}")
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def fresh_server(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingServer]:
    """A server process that no browser has reached: nobody may sign in to it."""
    folder = tmp_path_factory.mktemp("fresh")
    shutil.copy(store_template, folder / "store.sqlite3")
    running = ReadingServer(folder, f"sqlite:///{folder / 'store.sqlite3'}")
    running.start()
    yield running
    running.kill()


@pytest.fixture
def own_server(store_url: str, tmp_path: Path) -> Iterator[ReadingServer]:
    """A fresh server process of this test's own."""
    running = ReadingServer(tmp_path, store_url)
    running.start()
    yield running
    running.kill()


_readers = count(1)


@pytest.fixture
def reader() -> str:
    """Login of a reader whom no other test uses."""
    number = next(_readers)
    if number > N_READERS:
        raise RuntimeError("more tests than readers: raise N_READERS")
    return f"reader-{number}"


@pytest.fixture
def stored_readings() -> Callable[[str, str], list[ReadingRecord]]:
    """``stored_readings(store_url, login)``: what is on disk."""
    return readings_of


def chromium_or_skip() -> str:
    """Where Chromium is; a test that needs it is skipped where it is not."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine")
    return path


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A real headless Chromium."""
    running = playwright.chromium.launch(executable_path=chromium_or_skip(), args=CHROMIUM_ARGUMENTS)
    yield running
    running.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, 1280 x 800."""
    fresh = browser.new_context(viewport={"width": 1280, "height": 800})
    fresh.set_default_timeout(20_000)
    yield fresh
    fresh.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def sign_in(context: BrowserContext, wire: Wire) -> Callable[..., Page]:
    """``sign_in(server, login, path="/")``: a tab in which this person has signed in by the form."""

    def open_tab(server: ReadingServer, login: str, path: str = "/") -> Page:
        page = context.new_page()
        wire.attach(page)
        page.goto(server.url + path)
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".room-foot .who")
        return page

    return open_tab
