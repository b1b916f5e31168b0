"""Two processes of the app on one PostgreSQL behind the HAProxy of ``deploy/``: what readers notice when one dies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page

from core.protocol import THYROID_CLASSES
from db import OPERATOR, Notary, Repository, open_store
from db.tables import PersonRow, PresentationRow, ReadingRow
from tests.pages.reading_server import N_CASES, PASSWORD, ROOT, ReadingServer, build_study
from tests.pages.test_reading_by_keyboard import CONFIDENCE_KEYS, planned, type_answers, wait_for_case
from tests.stores import PrivateServer, private_server, why_no_postgresql

pytestmark = [
    pytest.mark.browser,
    pytest.mark.postgresql,
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("READING_ROOM_TEST_LONG"), reason="minutes; READING_ROOM_TEST_LONG=1 runs it"
    ),
]

N_BROWSERS = 3


@dataclass
class Site:
    """HAProxy, two replicas, one store."""

    url: str
    replicas: tuple[ReadingServer, ReadingServer]
    store: PrivateServer
    store_url: str

    def wait_until_served_by(self, n_replicas: int) -> None:
        """Until so many replicas say themselves that they are ready, and the proxy has one to send readers to."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            answers = [_status(f"{replica.url}/ready") for replica in self.replicas]
            if answers.count(200) >= n_replicas and _status(f"{self.url}/ready") == 200:
                return
            time.sleep(0.2)
        raise AssertionError(f"not ready: {answers}")


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=5).status_code
    except requests.RequestException:
        return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    haproxy = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if haproxy is None:
        pytest.skip("no HAProxy on this machine")
    if reason := why_no_postgresql():
        pytest.skip(reason)
    with ExitStack() as running:
        store = running.enter_context(private_server())
        engine = sa.create_engine(store.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE room ENCODING 'UTF8' TEMPLATE template0")
        store_url = store.url.set(database="room").render_as_string(hide_password=False)
        build_study(store_url, N_BROWSERS)
        settings = {"READING_ROOM_TRUSTED_PROXIES": "127.0.0.1"}
        replicas = (
            ReadingServer(tmp_path, store_url, environment=settings),
            ReadingServer(tmp_path, store_url, environment=settings),
        )
        for replica in replicas:
            replica.start()
            running.callback(replica.kill)
        port = _free_port()
        environment = {
            **os.environ,
            "RR_BIND": f"127.0.0.1:{port}",
            "RR_WEB1": f"127.0.0.1:{replicas[0].port}",
            "RR_WEB2": f"127.0.0.1:{replicas[1].port}",
        }
        log = running.enter_context((tmp_path / "haproxy.log").open("wb"))
        command = [haproxy, "-f", str(ROOT / "deploy" / "haproxy.cfg")]
        proxy = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        running.callback(proxy.wait)
        running.callback(proxy.kill)
        found = Site(f"http://127.0.0.1:{port}", replicas, store, store_url)
        found.wait_until_served_by(2)
        yield found


@pytest.fixture
def pages(site: Site, browser: Browser) -> Iterator[list[Page]]:
    """Readers 1, 2, 3, each in a browser of his own, all through the proxy."""
    contexts: list[BrowserContext] = []
    opened = []
    for number in range(1, N_BROWSERS + 1):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}))
        contexts[-1].set_default_timeout(30_000)
        page = contexts[-1].new_page()
        page.goto(site.url + "/read")
        page.get_by_label("Login").fill(f"reader-{number}")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".room-foot .who")
        opened.append(page)
    yield opened
    for context in contexts:
        context.close()


def test_no_acknowledged_reading_is_lost_or_doubled_when_each_replica_and_the_database_die(
    site: Site, pages: list[Page], record_property: pytest.RecordProperty
) -> None:
    position = 0

    def all_answer(n: int = 1) -> float:
        """The next cases in every browser; seconds until the slowest has the case after them."""
        nonlocal position
        begun = time.monotonic()
        for page in pages:
            type_answers(page, range(position, position + n))
        position += n
        for page in pages:
            wait_for_case(page, position + 1)
        return time.monotonic() - begun

    waits = {"undisturbed": all_answer(2) / 2}
    first, second = site.replicas
    first.kill(signal.SIGKILL)  # some readers were here; now all are on the second
    waits["SIGKILL"] = all_answer()
    first.start()
    site.wait_until_served_by(2)
    second.kill(signal.SIGTERM)  # a rolling restart: all go to the first
    waits["SIGTERM"] = all_answer()
    second.start()
    site.wait_until_served_by(2)
    first.send(signal.SIGSTOP)  # hangs: takes connections, answers nothing
    waits["SIGSTOP"] = all_answer()
    first.send(signal.SIGCONT)
    site.wait_until_served_by(2)
    site.store.stop()
    time.sleep(5)
    assert _status(f"{site.url}/ready") == 503
    for page in pages:  # typed while the database is away
        for key in (*planned(position), "Enter"):
            page.keyboard.press(key)
    site.store.start()
    begun = time.monotonic()
    position += 1
    for page in pages:
        wait_for_case(page, position + 1)
    waits["after the database came back"] = time.monotonic() - begun
    all_answer(2)
    for name, seconds in waits.items():
        record_property(name, round(seconds, 2))
    print({name: round(seconds, 2) for name, seconds in waits.items()})
    for number in range(1, N_BROWSERS + 1):
        check_stored(site.store_url, f"reader-{number}", position)
    engine = open_store(site.store_url)
    found = Repository(engine, OPERATOR, notary=Notary(site.replicas[0].folder)).verify_audit()
    engine.dispose()
    assert found.problems == ()


def check_stored(store_url: str, login: str, n: int) -> None:
    """Exactly what was typed, once each."""
    assert n <= N_CASES
    engine = open_store(store_url)
    query = (
        sa.select(PresentationRow.position, ReadingRow.class_key, ReadingRow.confidence, ReadingRow.revision)
        .join(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .where(PersonRow.login == login)
        .order_by(ReadingRow.sequence)
    )
    with engine.connect() as connection:
        stored = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    typed = []
    for number in range(n):
        digit, letter = planned(number)
        typed.append((number + 1, THYROID_CLASSES[int(digit) - 1].key, CONFIDENCE_KEYS.index(letter) + 1, 1))
    assert stored == typed
