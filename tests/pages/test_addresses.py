"""Host names, a path before the app, origins and forwarded addresses: what is said before a password is asked."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Playwright
from requests.adapters import HTTPAdapter

from core.errors import SettingsError
from core.settings import get_settings
from pages.door.cookies import SESSION_COOKIE
from tests.pages.conftest import Wire, chromium_or_skip
from tests.pages.prefix_proxy import prefix_proxy
from tests.pages.reading_server import PASSWORD, ROOT, ReadingServer
from tests.pages.test_door import sign_in_by_form, websocket_status

NAME = "reading.hospital"
BASE = "/studies/reading"


@pytest.fixture(scope="module")
def named_server(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingServer]:
    """A server with a name, a base path and a proxy in front, all by settings."""
    folder = tmp_path_factory.mktemp("named")
    shutil.copy(store_template, folder / "store.sqlite3")
    settings = {
        "READING_ROOM_ALLOWED_HOSTS": f"{NAME}, *.clinic.example",
        "READING_ROOM_BASE_PATH": BASE,
        "READING_ROOM_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
    }
    running = ReadingServer(folder, f"sqlite:///{folder / 'store.sqlite3'}", environment=settings)
    running.start()
    yield running
    running.kill()


# --- host names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", [NAME, f"{NAME}:8501", "192.168.7.8:8501", "[fd00::7]:8501", "<script>alert(1)</script>"]
)
@pytest.mark.parametrize("path", ["/sign-in", "/", "/read?study=demo"])
def test_under_another_host_name_the_page_says_so_and_asks_for_no_password(
    path: str, host: str, server: ReadingServer
) -> None:
    headers = {"Host": host, "Accept": "text/html"}
    answer = requests.get(server.url + path, headers=headers, allow_redirects=False, timeout=10)
    assert answer.status_code == 403
    assert "READING_ROOM_ALLOWED_HOSTS" in answer.text
    assert "server.allowedHosts" in answer.text
    assert "password" not in re.findall(r"<input[^>]*>", answer.text)
    assert "<form" not in answer.text
    assert "<script" not in answer.text
    if host[0].isalnum():
        assert host.split(":")[0] in answer.text


def test_under_another_host_name_nobody_can_send_a_password_and_health_stays(server: ReadingServer) -> None:
    sent = requests.post(
        f"{server.url}/sign-in", data={"login": "reader-1", "password": PASSWORD}, headers={"Host": NAME}, timeout=10
    )
    assert sent.status_code == 403
    assert "set-cookie" not in sent.headers
    assert requests.get(f"{server.url}/_stcore/health", headers={"Host": NAME}, timeout=10).text == "ok"


@pytest.mark.parametrize("host", [NAME, NAME.upper(), f"{NAME}:8501", f"{NAME}.", "a.clinic.example", "localhost:1"])
def test_a_listed_host_name_is_served_and_opens_the_websocket(host: str, named_server: ReadingServer) -> None:
    page = requests.get(f"{named_server.url}{BASE}/sign-in", headers={"Host": host}, timeout=10)
    assert page.status_code == 200
    assert 'type="password"' in page.text


def test_a_name_that_only_ends_alike_is_not_served(named_server: ReadingServer) -> None:
    for host in ("clinic.example", "evilclinic.example", f"{NAME}.evil.example", f"x{NAME}", ""):
        page = requests.get(f"{named_server.url}{BASE}/sign-in", headers={"Host": host}, timeout=10)
        assert page.status_code == 403, host


# --- origins ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cookie(server: ReadingServer) -> str:
    """Of somebody who is signed in."""
    session, _ = sign_in_by_form(server, "reader-1")
    with session:
        return session.cookies[SESSION_COOKIE]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:{port}", 101), ("http://127.0.0.1:1", 403), ("http://localhost:{port}", 403),
     ("https://127.0.0.1", 403), ("http://127.0.0.1", 403), ("null", 403), ("http://evil.example", 403),
     ("http://127.0.0.1:{port}.evil.example", 403), ("http://127.0.0.1:{port}@evil.example", 403), ("file://", 403),
     ("http://[", 403)],
)  # fmt: skip
def test_only_a_page_of_this_very_host_and_port_opens_the_websocket(
    origin: str, status: int, cookie: str, server: ReadingServer
) -> None:
    assert websocket_status(server, cookie, Origin=origin.format(port=server.port)) == status


@pytest.mark.parametrize(
    "path", ["/reading/answer", "/sign-in", "/sign-out", "/_stcore/upload_file/a/b", "/_stcore/agent/interact"]
)
def test_only_a_page_of_this_very_host_and_port_may_send_anything(
    path: str, cookie: str, server: ReadingServer
) -> None:
    for headers in ({"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "same-site"}):
        answer = requests.post(
            server.url + path, headers=headers, cookies={SESSION_COOKIE: cookie}, allow_redirects=False, timeout=10
        )
        assert answer.status_code == 403
        assert answer.headers["x-reading-room-refusal"] == "address"
        assert "set-cookie" not in answer.headers
    assert websocket_status(server, cookie) == 101  # still signed in


def test_a_proxy_that_swallows_the_port_is_told_so_where_the_password_was_sent(server: ReadingServer) -> None:
    answer = requests.post(
        f"{server.url}/sign-in",
        data={},
        headers={"Origin": "https://reading.hospital"},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 403
    assert "https://reading.hospital" in answer.text
    assert "proxy_set_header Host $http_host" in answer.text


# --- forwarded addresses ----------------------------------------------------------------------------------------------


class FromAddress(HTTPAdapter):
    """Connections that begin at another address of this machine."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=("127.0.0.2", 0), **options)


def address_of_a_failure(server: ReadingServer, base: str, forwarded: str, adapter: HTTPAdapter | None = None) -> str:
    """Where the store says that a wrong password came from, which was sent with this ``X-Forwarded-For``."""
    login = f"nobody-{forwarded}{'' if adapter is None else '-elsewhere'}"
    with requests.Session() as session:
        session.mount("http://", adapter or HTTPAdapter())
        session.headers["X-Forwarded-For"] = forwarded
        page = session.get(f"{server.url}{base}/sign-in", timeout=10)
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
        assert token is not None
        form = {"login": login, "password": "not the password", "form_token": token[1]}
        assert session.post(f"{server.url}{base}/sign-in", data=form, timeout=20).status_code == 401
    with closing(sqlite3.connect(server.folder / "store.sqlite3")) as store:
        return store.execute("SELECT ip FROM sign_in_attempt WHERE login = ? AND ip <> '*'", (login,)).fetchone()[0]


def test_a_forwarded_address_of_an_undeclared_sender_never_counts(server: ReadingServer) -> None:
    for forwarded in ("203.0.113.9", "203.0.113.9:4711", "203.0.113.9, 127.0.0.1", "[2001:db8::1]:80"):
        assert address_of_a_failure(server, "", forwarded) == "127.0.0.1", forwarded
    assert server.log.read_text().count("READING_ROOM_TRUSTED_PROXIES=127.0.0.1") == 1


def test_of_a_declared_proxy_the_last_address_that_is_no_proxy_counts(named_server: ReadingServer) -> None:
    for forwarded in ("203.0.113.9", "198.51.100.1, 203.0.113.9", "198.51.100.1, 203.0.113.9, 10.1.2.3"):
        assert address_of_a_failure(named_server, BASE, forwarded) == "203.0.113.9", forwarded
    assert "forwarded address, which does not count" not in named_server.log.read_text()


def test_a_proxy_beside_the_declared_ones_does_not_count_and_is_told(named_server: ReadingServer) -> None:
    for _ in range(2):
        assert address_of_a_failure(named_server, BASE, "203.0.113.9", FromAddress()) == "127.0.0.2"
    assert named_server.log.read_text().count("READING_ROOM_TRUSTED_PROXIES=127.0.0.2") == 1


# --- a path before the app --------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("how", ["keep", "strip"])
def test_the_app_works_below_a_path_whether_the_proxy_keeps_or_strips_it(
    how: str, playwright: Playwright, reader: str, named_server: ReadingServer
) -> None:
    """Sign-in, deep link, reading, reload, another screen, sign-out; every address and cookie below the path."""
    browser = playwright.chromium.launch(
        executable_path=chromium_or_skip(), args=["--no-sandbox", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    )
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    page, wire = context.new_page(), Wire()
    wire.attach(page)
    with prefix_proxy(named_server.port, BASE, how) as port, closing(browser):
        root = f"http://{NAME}:{port}"
        page.goto(f"{root}{BASE}/read?study=demo")
        assert page.url.startswith(f"{root}{BASE}/sign-in?next=")
        assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('16px \"Source Sans\"'))")
        page.get_by_label("Login").fill(reader)
        page.get_by_label("Password").fill("wrong at first")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
        page.get_by_label("Login").fill(reader)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".room-foot .who")
        assert page.url == f"{root}{BASE}/read?study=demo"
        assert [(cookie["name"], cookie["path"]) for cookie in context.cookies() if cookie["httpOnly"]] == [
            (SESSION_COOKIE, BASE)
        ]
        page.locator("canvas").first.wait_for()
        page.reload()
        page.locator("canvas").first.wait_for()
        page.get_by_role("link", name="Home").click()
        page.wait_for_url(re.compile(f"^{root}{BASE}/(\\?.*)?$"))
        page.get_by_role("link", name="Sign out").click()
        page.wait_for_url(f"{root}{BASE}/sign-in")
        assert [cookie["name"] for cookie in context.cookies() if cookie["name"] == SESSION_COOKIE] == []
        page.goto(f"{root}{BASE}/read")
        assert "/sign-in" in page.url
    here = [each for each in wire.addresses if each.startswith(("http:", "ws:"))]
    assert here
    assert [each for each in here if not re.match(rf"(http|ws)://{NAME}:{port}{BASE}(/|$)", each)] == []


@pytest.mark.parametrize(
    ("target", "where"),
    [(f"{BASE}/read?study=demo", f"{BASE}/read?study=demo"), ("/read", f"{BASE}/"), (f"{BASE}evil", f"{BASE}/"),
     (f"{BASE}//evil.example", f"{BASE}/"), (f"{BASE}/sign-out", f"{BASE}/"), ("https://evil.example", f"{BASE}/")],
)  # fmt: skip
def test_the_way_after_the_sign_in_stays_below_the_path(target: str, where: str, named_server: ReadingServer) -> None:
    with requests.Session() as session:
        page = session.get(f"{named_server.url}{BASE}/sign-in", params={"next": target}, timeout=10)
        assert re.search(r'name="next" value="([^"]*)"', page.text)[1] == where  # type: ignore[index]
        assert f'action="{BASE}/sign-in"' in page.text


def test_the_settings_stay_when_streamlit_reads_its_file_again(named_server: ReadingServer) -> None:
    """It does so when the file is touched; here in a process of its own, which nobody else shares."""
    program = """
from core.settings import get_settings
from pages.door import addresses
from streamlit import config
addresses.configure(get_settings(), frozenset())
config.get_config_options(force_reparse=True)
print(addresses.base_path(), addresses.is_host_allowed("reading.hospital"), addresses.is_host_allowed("localhost:1"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60,
        env={**os.environ, **named_server.environment},
    )  # fmt: skip
    assert done.stdout.split() == [BASE, "True", "True"]


def test_the_path_without_its_final_slash_leads_to_it_under_any_scheme(named_server: ReadingServer) -> None:
    session, _ = sign_in_by_form(named_server, "reader-1", base=BASE)
    with session:
        answer = session.get(named_server.url + BASE, allow_redirects=False, timeout=10)
        assert answer.headers["location"] == f"{BASE}/"
        assert session.get(named_server.url + BASE, timeout=10).status_code == 200


@pytest.mark.parametrize("path", ["", BASE])
def test_nothing_is_open_without_a_sign_in_with_or_without_the_path(path: str, named_server: ReadingServer) -> None:
    for inner in (
        "/_stcore/host-config",
        "/media/x.png",
        "/_stcore/metrics",
        "/component/x/y.js",
        "/_stcore/upload_file/a/b",
    ):
        answer = requests.get(f"{named_server.url}{path}{inner}", allow_redirects=False, timeout=10)
        assert answer.status_code == 401, inner
    assert requests.get(f"{named_server.url}{path}/_stcore/health", timeout=10).text == "ok"


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [("BASE_PATH", "reading/", "/reading"), ("BASE_PATH", "/", ""), ("BASE_PATH", "/a/b-c_1.2~", "/a/b-c_1.2~"),
     ("ALLOWED_HOSTS", " A.example ,b.example,", ("a.example", "b.example")),
     ("ALLOWED_HOSTS", "bücher.example", ("xn--bcher-kva.example",)),
     ("ALLOWED_HOSTS", "fd00::7,10.0.0.1", ("fd00::7", "10.0.0.1")),
     ("TRUSTED_PROXIES", "10.0.0.0/8,::1", ("10.0.0.0/8", "::1"))],
)  # fmt: skip
def test_settings_of_the_address_are_read(name: str, value: str, read: object, monkeypatch) -> None:
    monkeypatch.setenv(f"READING_ROOM_{name}", value)
    get_settings.cache_clear()
    assert getattr(get_settings(), name.lower()) == read
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [("BASE_PATH", "https://host/reading"), ("BASE_PATH", "/a b"), ("BASE_PATH", "/../x"), ("BASE_PATH", "/a//b"),
     ("BASE_PATH", "/a?b"), ("ALLOWED_HOSTS", "https://a.example"), ("ALLOWED_HOSTS", "a.example:8501"),
     ("ALLOWED_HOSTS", "a.example/x"), ("ALLOWED_HOSTS", "a b"),
     ("TRUSTED_PROXIES", "*"), ("TRUSTED_PROXIES", "proxy.local")],
)  # fmt: skip
def test_a_wrong_setting_of_the_address_is_named(name: str, value: str, monkeypatch) -> None:
    monkeypatch.setenv(f"READING_ROOM_{name}", value)
    get_settings.cache_clear()
    with pytest.raises(SettingsError) as refused:
        get_settings()
    assert refused.value.field == f"READING_ROOM_{name}"
    get_settings.cache_clear()
