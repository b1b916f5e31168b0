"""Which cookies count: over HTTPS those alone that this very host has set, and no foreign one hides ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.requests import Request, cookie_parser
from starlette.responses import Response

from core.settings import get_settings
from pages.door import cookies
from pages.door.cookies import FORM_COOKIE, OPENID_COOKIE, SESSION_COOKIE, set_cookie, with_own_cookies
from pages.door.security import session_token
from tests.pages.reading_server import PASSWORD, ReadingServer
from tests.pages.test_door import websocket_status

BASE = "/studies"
TLS = {"X-Forwarded-Proto": "https"}


def counted(sent: str, scheme: str = "https") -> dict[str, str]:
    """The cookies that count of a header as a browser sends it."""
    scope = with_own_cookies({"scheme": scheme, "headers": [(b"host", b"h"), (b"cookie", sent.encode())]})
    return cookie_parser(dict(scope["headers"]).get(b"cookie", b"").decode())


def kept(answer: requests.Response) -> dict[str, Morsel[str]]:
    """Every cookie of an answer that is no end of one, by name."""
    set_ones = (pair for line in answer.raw.headers.getlist("set-cookie") for pair in SimpleCookie(line).items())
    return {name: morsel for name, morsel in set_ones if morsel["max-age"] != "0"}


def signed_in_by(url: str, headers: dict[str, str], base: str = "") -> dict[str, Morsel[str]]:
    """The cookies of a sign-in that was sent with these headers; every answer keeps to its own names."""
    page = requests.get(f"{url}{base}/sign-in", headers=headers, timeout=10)
    token = page.text.split('name="form_token" value="')[1][:64]
    sent = "; ".join(f"{name}={morsel.value}" for name, morsel in kept(page).items())
    form = {"login": "reader-1", "password": PASSWORD, "form_token": token}
    answer = requests.post(
        f"{url}{base}/sign-in", data=form, headers={**headers, "Cookie": sent}, allow_redirects=False, timeout=20
    )
    assert answer.status_code == 303, answer.text
    return kept(answer)


@pytest.fixture(scope="module")
def below_a_path(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingServer]:
    """A server behind a base path and a declared proxy, which is this machine."""
    folder = tmp_path_factory.mktemp("cookies")
    shutil.copy(store_template, folder / "store.sqlite3")
    settings = {"READING_ROOM_BASE_PATH": BASE, "READING_ROOM_TRUSTED_PROXIES": "127.0.0.1"}
    running = ReadingServer(folder, f"sqlite:///{folder / 'store.sqlite3'}", environment=settings)
    running.start()
    yield running
    running.kill()


def test_over_https_the_cookie_that_another_host_planted_signs_nobody_in() -> None:
    """A host below the same domain sets any name but one that begins with __Host-."""
    for planted in (
        SESSION_COOKIE,
        f"__Secure-{SESSION_COOKIE}",
        f"__host-{SESSION_COOKIE}",
        f"\xa0__Host-{SESSION_COOKIE}",
    ):
        assert counted(f"{planted}=theirs") == {}, planted
    assert counted(f"{SESSION_COOKIE}=theirs; __Host-{SESSION_COOKIE}=mine") == {SESSION_COOKIE: "mine"}
    assert counted(f"__Host-{OPENID_COOKIE}=mine; {OPENID_COOKIE}=theirs") == {OPENID_COOKIE: "mine"}, "login CSRF"
    assert counted(f"__Host-{FORM_COOKIE}=mine; {FORM_COOKIE}=theirs") == {FORM_COOKIE: "mine"}
    assert counted(f"__Host-{SESSION_COOKIE}=x", "http") == {}
    assert counted(f"{SESSION_COOKIE}=mine", "ws") == {SESSION_COOKIE: "mine"}


def test_no_foreign_cookie_hides_ours_or_comes_further() -> None:
    """Programs on other ports of one machine share its cookies; what they keep may be of any form."""
    odd = 'a={"b": 1}; c="; =; ; $Version=1; d=é; _streamlit_user=x'
    assert counted(f"{odd}; {SESSION_COOKIE}=mine; _streamlit_xsrf=2|a|b|1", "http") == {
        SESSION_COOKIE: "mine",
        "_streamlit_xsrf": "2|a|b|1",
    }


def test_with_the_setting_every_cookie_is_one_of_this_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READING_ROOM_IS_COOKIE_SECURE", "true")
    get_settings.cache_clear()
    try:
        request, response = Request({"type": "http", "scheme": "http", "headers": []}), Response()
        set_cookie(response, request, FORM_COOKIE, "x", seconds=9, same_site="strict")
        (line,) = response.headers.getlist("set-cookie")
        assert line.startswith(f"__Host-{FORM_COOKIE}=x; HttpOnly; Max-Age=9; Path=/; SameSite=strict; Secure")
        assert counted(f"{SESSION_COOKIE}=planted", "http") == {}
    finally:
        get_settings.cache_clear()


def test_below_a_path_the_token_stays_there_and_counts_with_its_mark_only(below_a_path: ReadingServer) -> None:
    found = signed_in_by(below_a_path.url, TLS, BASE)
    token = found.pop(f"__Secure-{SESSION_COOKIE}")
    (mark,) = found.values()
    assert mark.key.startswith(f"__Host-{SESSION_COOKIE}_")
    assert (token["path"], mark["path"]) == (BASE, "/")
    for each in (token, mark):
        assert (each["secure"], each["httponly"], each["samesite"], each["domain"]) == (True, True, "lax", "")
    assert token.value not in mark.OutputString()

    def status(*sent: str, **headers: str) -> int:
        return websocket_status(below_a_path, None, Cookie="; ".join(sent), **{**TLS, **headers})

    whole = f"__Secure-{SESSION_COOKIE}={token.value}"
    assert status(whole, f"{mark.key}={mark.value}") == 101
    assert status(whole) == 403, "planted by another host"
    assert status(whole, f"{mark.key}={'0' * 64}") == 403, "the mark of another sign-in"
    assert status(f"{SESSION_COOKIE}={token.value}") == 403, "of a version before"
    assert status(f"{SESSION_COOKIE}={token.value}", **{"X-Forwarded-Proto": "http"}) == 101, "not by HTTPS"


def test_a_forwarded_scheme_counts_from_a_declared_proxy_only(
    server: ReadingServer, below_a_path: ReadingServer
) -> None:
    for url, headers, base, is_secure in (
        (server.url, TLS, "", False),
        (below_a_path.url, {}, BASE, False),
        (below_a_path.url, TLS, BASE, True),
    ):
        page = requests.get(f"{url}{base}/sign-in", headers=headers, timeout=10)
        assert {bool(morsel["secure"]) for morsel in kept(page).values()} == {is_secure}
        assert ("strict-transport-security" in page.headers) is is_secure
    (plain,) = signed_in_by(server.url, TLS).values()
    assert (plain.key, plain["path"], plain["secure"], plain["httponly"]) == (SESSION_COOKIE, "/", "", True)


def test_a_sign_out_ends_every_form_of_the_cookie(below_a_path: ReadingServer) -> None:
    headers = {**TLS, "Sec-Fetch-Site": "same-origin"}
    left = requests.get(f"{below_a_path.url}{BASE}/sign-out", headers=headers, allow_redirects=False, timeout=10)
    lines = [pair for line in left.raw.headers.getlist("set-cookie") for pair in SimpleCookie(line).items()]
    ended = {(name, morsel["path"]) for name, morsel in lines if morsel["max-age"] == "0" and morsel["secure"]}
    names = {name for name, _ in ended}
    assert {(SESSION_COOKIE, "/"), (SESSION_COOKIE, BASE), (f"__Secure-{SESSION_COOKIE}", BASE)} <= ended
    assert any(name.startswith(f"__Host-{SESSION_COOKIE}_") for name in names)


def test_the_names_of_two_servers_on_one_host_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: Any = {"scheme": "https", "headers": []}
    names = set()
    for path in ("", "/a", "/b"):
        monkeypatch.setattr(cookies, "base_path", lambda path=path: path)
        names.add(cookies.sent_name(SESSION_COOKIE, scope))
    assert len(names) == 3
    assert session_token(Request({"type": "http", "headers": []}).headers) is None
