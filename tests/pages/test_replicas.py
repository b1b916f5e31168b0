"""Two processes of the app on one PostgreSQL behind the HAProxy of ``deploy/``: what readers notice when one dies."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page, expect

from core.protocol import THYROID_CLASSES
from db import OPERATOR, Notary, Repository, open_store
from db.tables import PersonRow, PresentationRow, ReadingRow
from pages.door.cookies import SESSION_COOKIE
from tests.pages.reading_server import N_CASES, PASSWORD, ROOT, ReadingServer, build_study
from tests.pages.test_reading_by_keyboard import CONFIDENCE_KEYS, planned
from tests.stores import PrivateServer, private_server, why_no_postgresql

pytestmark = [
    pytest.mark.browser,
    pytest.mark.postgresql,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not os.environ.get("READING_ROOM_TEST_LONG"), reason="minutes; READING_ROOM_TEST_LONG=1 runs it"
    ),
]

N_BROWSERS = 5
#: Cookie by which the proxy of ``deploy/haproxy.cfg`` keeps a reader on one replica: web1 or web2.
REPLICA = "reading_room_replica"

#: note() is called at an Enter; kept is when its receipt was on the screen, and whether the panel had to say meanwhile
#: that the answer is not saved yet.
WATCH = """() => {
  let room = null;
  window.waits = [];
  const status = () => {
    if (!room?.isConnected) {
      const roots = [...document.querySelectorAll("*")].map((one) => one.shadowRoot);
      room = roots.find((one) => one?.querySelector(".room"))?.querySelector(".room");
    }
    return room?.querySelector("[data-part=status]");
  };
  window.note = () => {
    window.waits.push({ at: performance.now(), before: status()?.textContent, isTold: false, seconds: null });
  };
  setInterval(() => {
    const [wait, now] = [window.waits.at(-1), status()];
    if (!wait || wait.seconds !== null || !now) return;
    if (now.dataset.tone === "alert") wait.isTold = true;
    if (now.dataset.tone !== "saved" || now.textContent === wait.before) return;
    wait.seconds = (performance.now() - wait.at) / 1000;
  }, 20);
}"""


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


def _status(url: str, *, verify: bool | str = True) -> int:
    try:
        return requests.get(url, timeout=5, verify=verify).status_code
    except requests.RequestException:
        return 0


def sign_in(page: Page, url: str, login: str) -> None:
    """By the form, to the reading screen."""
    page.goto(f"{url}/read")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".room-foot .who")


def wait_until_answerable(page: Page, position: int) -> None:
    """The image of a case is on the screen and may be answered; with patience, for here servers die."""
    expect(page.locator("[data-part=position]")).to_have_text(f"Case {position} of {N_CASES}", timeout=60_000)
    expect(page.locator(".room")).to_have_attribute("data-state", re.compile("empty|chosen"), timeout=60_000)


def wait_until_kept(page: Page) -> dict[str, Any]:
    """The last wait, once its receipt came; asked from outside, for the page's policy forbids wait_for_function."""
    end = time.monotonic() + 60
    while (wait := page.evaluate("() => waits.at(-1)"))["seconds"] is None:
        assert time.monotonic() < end, "no receipt"
        time.sleep(0.1)
    return dict(wait)


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
    """Readers 1, 2, ..., each in a browser of his own, all through the proxy."""
    contexts: list[BrowserContext] = []
    opened = []
    for number in range(1, N_BROWSERS + 1):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 800}))
        contexts[-1].set_default_timeout(120_000)
        page = contexts[-1].new_page()
        sign_in(page, site.url, f"reader-{number}")
        page.evaluate(WATCH)
        opened.append(page)
    yield opened
    for context in contexts:
        context.close()


def test_no_acknowledged_reading_is_lost_or_doubled_when_each_replica_and_the_database_die(
    site: Site, pages: list[Page], record_property: pytest.RecordProperty
) -> None:
    position = 0

    def answer(what: str, disturb: Callable[[], object] = lambda: None) -> None:
        """One case in every browser; what disturbs comes in the middle, while answers are on their way."""
        nonlocal position
        for page in pages:
            wait_until_answerable(page, position + 1)
        for number, page in enumerate(pages):
            if number == N_BROWSERS // 2:
                disturb()
            for key in planned(position):
                page.keyboard.press(key)
            page.evaluate("note()")
            page.keyboard.press("Enter")
        position += 1
        for page in pages:
            wait_until_answerable(page, position + 1)
        waits = [wait_until_kept(page) for page in pages]
        seconds = sorted(wait["seconds"] for wait in waits)
        n_told = sum(wait["isTold"] for wait in waits)
        print(
            f"{what:<24} {' '.join(f'{one:5.2f}' for one in seconds)} s, {n_told} of {N_BROWSERS} told 'not saved yet'"
        )
        record_property(what, seconds)

    def stop_store() -> None:
        site.store.stop()
        time.sleep(5)
        assert _status(f"{site.url}/ready") == 503
        site.store.start()

    def busiest() -> int:
        """The replica that most readers are on: when it is gone, all are on the other."""
        names = [cookie["value"] for page in pages for cookie in page.context.cookies() if cookie["name"] == REPLICA]
        assert len(names) == N_BROWSERS
        return int(names.count("web2") > names.count("web1"))

    answer("undisturbed")
    answer("undisturbed")
    disturbed = set()
    for how in 2 * (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):  # SIGSTOP: takes connections, answers nothing
        number, is_dead = busiest(), how != signal.SIGSTOP
        disturbed.add(number)
        replica = site.replicas[number]
        answer(f"{how.name}, replica {number + 1}", partial(replica.kill if is_dead else replica.send, how))
        if is_dead:
            replica.start()
        else:
            replica.send(signal.SIGCONT)
        site.wait_until_served_by(2)
    assert disturbed == {0, 1}
    answer("database away for 5 s", stop_store)
    answer("undisturbed")
    for number in range(1, N_BROWSERS + 1):
        check_stored(site.store_url, f"reader-{number}", position)
    engine = open_store(site.store_url)
    found = Repository(engine, OPERATOR, notary=Notary(site.replicas[0].folder)).verify_audit()
    engine.dispose()
    assert found.problems == ()


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_a_reader_reads_through_the_tls_of_each_proxy(name: str, tmp_path: Path, browser: Browser) -> None:
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None or shutil.which("openssl") is None:
        pytest.skip(f"no {name} or no openssl on this machine")
    store_url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    build_study(store_url, 1)
    settings = {"READING_ROOM_TRUSTED_PROXIES": "127.0.0.1", "READING_ROOM_IS_COOKIE_SECURE": "true"}
    replica, port = ReadingServer(tmp_path, store_url, environment=settings), _free_port()
    with ExitStack() as running:
        replica.start()
        running.callback(replica.kill)
        command = _proxy_with_tls(name, tmp_path, port, replica.port)
        places = {"RR_BIND": f"127.0.0.1:{port} ssl crt {tmp_path / 'both.pem'}"}
        places |= dict.fromkeys(("RR_WEB1", "RR_WEB2"), f"127.0.0.1:{replica.port}")
        proxy = subprocess.Popen([program, *command], env={**os.environ, **places})
        running.callback(proxy.wait)
        running.callback(proxy.terminate)
        context = browser.new_context(ignore_https_errors=True)  # the certificate is signed by nobody
        running.callback(context.close)
        page = context.new_page()
        end = time.monotonic() + 30
        while _status(f"https://127.0.0.1:{port}/ready", verify=str(tmp_path / "certificate.pem")) != 200:
            assert time.monotonic() < end, "the proxy does not answer"
            time.sleep(0.2)
        sign_in(page, f"https://127.0.0.1:{port}", "reader-1")
        for position in range(3):
            wait_until_answerable(page, position + 1)
            for key in (*planned(position), "Enter"):
                page.keyboard.press(key)
        wait_until_answerable(page, 4)
        cookies = {one["name"]: one["secure"] for one in context.cookies()}
        assert cookies[f"__Host-{SESSION_COOKIE}"] is True
    check_stored(store_url, "reader-1", 3)


def _proxy_with_tls(name: str, folder: Path, port: int, app_port: int) -> list[str]:
    """Arguments of the proxy with its configuration of ``deploy/``, and a certificate of its own in the folder."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_text(certificate.read_text() + key.read_text())
    if name == "haproxy":
        return ["-q", "-f", str(ROOT / "deploy" / "haproxy.cfg")]
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for ours, here in {
        "443": f"127.0.0.1:{port}", "8501": str(app_port), "8502": str(app_port),
        "/etc/ssl/reading-room.crt": str(certificate), "/etc/ssl/reading-room.key": str(key),
    }.items():  # fmt: skip
        assert ours in text
        text = text.replace(ours, here)
    main = f"daemon off; error_log stderr; pid {folder}/nginx.pid; events {{}}\nhttp {{ access_log off;\n{text}\n}}\n"
    (folder / "nginx.conf").write_text(main)
    return ["-p", str(folder), "-c", str(folder / "nginx.conf")]


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
