"""What the server gives to whom: nothing without a sign-in, nothing of a coordinator's to a reader."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import requests
from starlette.responses import PlainTextResponse
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from core.errors import PasswordsBusyError
from core.study import Person, Role
from db import OPERATOR, Repository, open_store
from db.password_hashing import ASLEEP_S
from pages.door import paces, security, sign_in
from pages.door.cookies import SESSION_COOKIE
from pages.door.listening import send_at_once
from pages.door.paces import (
    MESSAGES_A_SECOND,
    MESSAGES_AT_ONCE,
    REQUESTS_AT_ONCE,
    SHOWN_AT_ONCE,
    Pace,
    Paces,
    visitor_of,
)
from pages.door.security import MOST_SOCKETS, REFUSAL_S, ROLES_OF_PREFIX, START_PATH, SecurityMiddleware
from pages.door.sign_in import safe_target
from pages.screens import SCREENS
from tests.pages.reading_server import COORDINATOR, PASSWORD, ROOT, STUDY, ReadingServer
from tests.stores import repository_of

BROWSER = {"Accept": "text/html,application/xhtml+xml", "User-Agent": "Chromium"}


def sign_in_by_form(
    server: ReadingServer, login: str, password: str = PASSWORD, base: str = ""
) -> tuple[requests.Session, requests.Response]:
    """A session that has sent the form, and the answer to it."""
    session = requests.Session()
    page = session.get(f"{server.url}{base}/sign-in", timeout=10)
    token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert token is not None
    form = {"login": login, "password": password, "form_token": token[1], "next": f"{base}/read"}
    return session, session.post(f"{server.url}{base}/sign-in", data=form, allow_redirects=False, timeout=20)


@pytest.fixture
def signed_in(server: ReadingServer) -> Callable[[str], requests.Session]:
    """``signed_in(login)``: an HTTP client with the cookie of this person."""
    opened: list[requests.Session] = []

    def open_session(login: str) -> requests.Session:
        session, answer = sign_in_by_form(server, login)
        assert answer.status_code == 303, answer.text
        opened.append(session)
        return session

    yield open_session
    for session in opened:
        session.close()


def websocket_status(server: ReadingServer, cookie: str | None, **headers: str) -> int:
    """HTTP status of a websocket handshake: 101 if it was accepted."""
    all_headers = {**({"Cookie": f"{SESSION_COOKIE}={cookie}"} if cookie else {}), **headers}
    address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
    try:
        with connect(address, additional_headers=all_headers, subprotocols=["streamlit"], open_timeout=10):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def test_the_start_page_by_its_name_is_the_start_page(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    answer = signed_in(COORDINATOR).get(f"{server.url}{START_PATH}", allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["location"]) == (307, "/")
    assert f"/{SCREENS[0].address}" == START_PATH


def test_a_reply_does_not_wait_for_the_acknowledgement_of_its_first_part() -> None:
    """Browsers put it off by 40 ms: what a listening socket accepts sends at once, though nobody named its protocol."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert send_at_once() >= 1
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


#: Streamlit, and every second what its listening sockets hand on to the connections that they accept.
_TELLING = """
import socket, sys, threading, time
from streamlit.web.cli import main
listening, listen = [], socket.socket.listen
def keep(self, *given):
    listening.append(self)
    listen(self, *given)
def tell():
    while True:
        time.sleep(0.2)
        found = [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in listening]
        print("at once:", found, flush=True)
socket.socket.listen = keep
threading.Thread(target=tell, daemon=True).start()
sys.argv[0] = "streamlit"
main()
"""


def test_the_running_server_sends_its_replies_at_once(store_url: str, tmp_path: Path) -> None:
    server = ReadingServer(tmp_path, store_url, launcher=("-c", _TELLING))
    server.start()
    try:
        time.sleep(0.5)
        told = [line for line in server.log.read_text().splitlines() if line.startswith("at once:")]
        assert set(json.loads(told[-1].removeprefix("at once: "))) == {1}
    finally:
        server.kill()


@pytest.mark.parametrize("path", ["", *(screen.address for screen in SCREENS), "navigation", "screens", "widgets"])
def test_a_deep_link_on_a_fresh_server_shows_the_sign_in_page_only(path: str, fresh_server: ReadingServer) -> None:
    answer = requests.get(f"{fresh_server.url}/{path}", headers=BROWSER, timeout=10)
    assert answer.url.startswith(f"{fresh_server.url}/sign-in")
    assert "Research use only" in answer.text
    assert "Thyroid demo study" not in answer.text
    assert "Streamlit" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["media/0123.png", "_stcore/metrics", "_stcore/upload_file/a/b", "_stcore/host-config",
     "_stcore/agent/openapi.json", "_stcore/agent/interact", "_stcore/bidi-components/x/y.js", "component/x/index.html",
     "app/static/x", "oauth2callback", "anything"],
)  # fmt: skip
@pytest.mark.parametrize("cookie", [None, "made-up"])
def test_nothing_is_served_without_a_valid_cookie(path: str, cookie: str | None, server: ReadingServer) -> None:
    cookies = {SESSION_COOKIE: cookie} if cookie else {}
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        answer = requests.request(method, f"{server.url}/{path}", cookies=cookies, timeout=10, allow_redirects=False)
        assert answer.status_code in (401, 403), (method, path)


def test_the_websocket_needs_the_cookie(server: ReadingServer, signed_in: Callable[[str], requests.Session]) -> None:
    assert websocket_status(server, None) == 403
    assert websocket_status(server, "made-up") == 403
    assert websocket_status(server, None, **{"X-Reading-Room-Sign-In": "somebody"}) == 403
    cookie = signed_in("reader-1").cookies[SESSION_COOKIE]
    assert websocket_status(server, cookie) == 101
    assert websocket_status(server, cookie, Origin="http://evil.example") == 403


def test_one_person_holds_a_few_websockets_only_and_nobody_else_is_counted(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    """F18: forty windows of one account slowed every other reader."""
    mine, theirs = (
        f"{SESSION_COOKIE}={signed_in(login).cookies[SESSION_COOKIE]}" for login in ("reader-57", "reader-1")
    )
    address = f"ws://127.0.0.1:{server.port}/_stcore/stream"

    def opened(cookie: str) -> connect:
        return connect(address, additional_headers={"Cookie": cookie}, subprotocols=[Subprotocol("streamlit")])

    with ExitStack() as held:
        for _ in range(MOST_SOCKETS - 1):
            held.enter_context(opened(mine))
        with opened(mine):
            with pytest.raises(InvalidStatus):
                held.enter_context(opened(mine))
            held.enter_context(opened(theirs))
        for _ in range(50):  # the place is free as soon as the server has seen the end
            with suppress(InvalidStatus), opened(mine):
                return
            time.sleep(0.1)
    raise AssertionError("the place of a closed websocket was not free again")


def test_messages_of_one_person_are_let_through_at_once_and_then_at_a_pace() -> None:
    now = [100.0]
    pace = Pace(MESSAGES_AT_ONCE, MESSAGES_A_SECOND, lambda: now[0])
    delays = [pace.delay_s() for _ in range(MESSAGES_AT_ONCE + 12)]
    assert delays[:MESSAGES_AT_ONCE] == pytest.approx([0.0] * MESSAGES_AT_ONCE)
    assert delays[-1] == pytest.approx(12 / MESSAGES_A_SECOND)
    assert pace.delay_s(1.0) > 1.0
    assert pace.delay_s() == pytest.approx(13 / MESSAGES_A_SECOND), "what was refused is not counted"
    now[0] += 3600
    assert pace.is_at_rest
    assert pace.delay_s() == 0.0


def test_who_waits_too_long_to_sign_in_is_told_so_and_the_place_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "LONGEST_TURN_S", 0.05)

    async def crowded() -> str:
        others = [object(), object()]
        for one in others:
            await sign_in.hashing.acquire_on_behalf_of(one)
        with pytest.raises(PasswordsBusyError, match="try again in a moment"):
            await sign_in.in_turn(str, 7)
        for one in others:
            sign_in.hashing.release_on_behalf_of(one)
        assert sign_in.hashing.borrowed_tokens == 0
        return await sign_in.in_turn(str, 7)

    with ThreadPoolExecutor(1) as aside:  # a browser of another test has a loop in this thread
        assert aside.submit(asyncio.run, crowded()).result() == "7"


def somebody(role: Role) -> Callable:
    """In the place of the look at the sign-in: everybody is this person."""
    person = Person("p", "somebody", "Somebody", role, roles=frozenset({role}))

    async def entry(path: str, token: str | None) -> tuple[None, Person]:
        return None, person

    return entry


def answers_to(
    app: object, *scopes: dict, middleware: SecurityMiddleware | None = None
) -> list[tuple[float, int, dict]]:
    """What requests are answered with that come at the same time: after so many seconds, status, headers."""
    door = middleware or SecurityMiddleware(app)

    async def ask(scope: dict) -> tuple[float, int, dict]:
        began, sent = time.monotonic(), []

        async def send(message: dict) -> None:
            sent.append(message)

        base = {"type": "http", "scheme": "http", "method": "GET", "query_string": b"", "client": ("192.0.2.1", 1)}
        await door({**base, "headers": [(b"host", b"localhost")], **scope}, None, send)
        return time.monotonic() - began, sent[0]["status"], dict(sent[0]["headers"])

    async def all_of_them() -> list[tuple[float, int, dict]]:
        return await asyncio.gather(*map(ask, scopes))

    with ThreadPoolExecutor(1) as own:  # where no loop runs yet: in this thread a browser's may
        return own.submit(asyncio.run, all_of_them()).result()


@pytest.mark.parametrize("status", [303, 400, 401, 403, 503])
def test_a_form_that_is_refused_is_answered_at_a_full_second_whatever_the_reason(status: int) -> None:
    """Else who is told to wait asks again at once: 500 forms a second made every save six times as slow."""

    async def app(scope: dict, receive: object, send: Callable) -> None:
        await asyncio.sleep(0.2)
        await PlainTextResponse("", status)(scope, receive, send)

    ((took, answered, _),) = answers_to(app, {"path": "/sign-in", "method": "POST"})
    assert answered == status
    assert (took < REFUSAL_S) if status < 400 else (REFUSAL_S <= took < REFUSAL_S + 0.15)


def test_a_flood_of_visitors_of_one_address_is_held_back_and_of_another_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (paces, security):
        monkeypatch.setattr(module, "LONGEST_TURN_S", 0.3)

    async def app(scope: dict, receive: object, send: Callable) -> None:
        await PlainTextResponse("the page")(scope, receive, send)

    door = SecurityMiddleware(app)
    door._visits = Paces(3, 10.0)
    page, other = {"path": "/sign-in"}, {"path": "/sign-in", "client": ("192.0.2.2", 1)}
    found = answers_to(app, *[page] * 9, other, {"path": "/static/x.js"}, middleware=door)
    assert [status for _, status, _ in found] == [200] * 6 + [429] * 3 + [200] * 2
    assert all(took >= 0.3 and headers[b"retry-after"] for took, status, headers in found if status == 429)
    assert found[5][0] >= 0.2
    assert found[-2][0] < 0.1


@pytest.mark.parametrize(("role", "is_held_back"), [(Role.READER, True), (Role.COORDINATOR, False)])
def test_what_a_reader_asks_for_without_end_is_held_back_whatever_it_is(
    role: Role, is_held_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking is as dear as sending: each look asks the store. A coordinator may send a folder, a request a file."""
    monkeypatch.setattr(paces, "LONGEST_TURN_S", 0.2)
    monkeypatch.setattr(security, "_entry", somebody(role))

    async def app(scope: dict, receive: object, send: Callable) -> None:
        await PlainTextResponse("open")(scope, receive, send)

    door = SecurityMiddleware(app)
    door._requests = Paces(3, 10.0)
    found = answers_to(app, *[{"path": "/reading/pulse/demo"}] * 9, middleware=door)
    assert [status for _, status, _ in found].count(429) == (4 if is_held_back else 0)


def test_closing_a_window_and_opening_another_buys_no_more_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "_entry", somebody(Role.READER))
    heard = []

    async def app(scope: dict, receive: Callable, send: object) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            heard.append(time.monotonic())

    async def windows() -> None:
        door = SecurityMiddleware(app)
        door._messages = Paces(3, 10.0)
        alive = BackMsg(app_heartbeat=True).SerializeToString()
        scope = {"type": "websocket", "path": "/_stcore/stream", "headers": [(b"host", b"localhost")]}
        for _ in range(4):
            messages = iter([{"type": "websocket.receive", "bytes": alive}, {"type": "websocket.disconnect"}])

            async def receive(messages: object = messages) -> dict:
                return next(messages)

            await door(scope, receive, None)

    with ThreadPoolExecutor(1) as own:  # where no loop runs yet: in this thread a browser's may
        own.submit(asyncio.run, windows()).result()
    assert len(heard) == 4
    assert heard[-1] - heard[0] >= 0.4  # four windows and four messages, three of them at once


def test_a_balancer_does_not_wait_behind_what_it_hands_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever floods ``/ready`` through the proxy would else have the proxy take the server for dead."""
    for module in (paces, security):
        monkeypatch.setattr(module, "LONGEST_TURN_S", 0.2)

    async def app(scope: dict, receive: object, send: Callable) -> None:
        await PlainTextResponse("ready")(scope, receive, send)

    door = SecurityMiddleware(app)
    door._visits, door._files = Paces(2, 10.0), Paces(2, 10.0)
    handed_on = {"path": "/ready", "headers": [(b"host", b"x"), (b"x-forwarded-for", b"203.0.113.9")]}
    found = answers_to(
        app, *[handed_on] * 8, {"path": "/ready"}, *[{"path": "/static/x.js"}] * 8, middleware=door
    )  # fmt: skip
    assert [status for _, status, _ in found] == [*[200] * 4, *[429] * 4, 200, *[200] * 4, *[429] * 4]
    assert found[8][0] < 0.1


def test_all_addresses_of_one_subscriber_are_one_visitor() -> None:
    of = [visitor_of({"client": (host, 1)}) for host in ("2001:db8:1:2::9", "2001:db8:1:2:ffff::", "2001:db8:1:3::9")]
    assert of[0] == of[1] != of[2]
    assert visitor_of({}) == visitor_of({"client": None}) == ""


def test_the_same_case_drawn_again_and_again_fills_no_trail(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    """Each time is an event of the trail: twenty at once stand there, the last of them says that it is the last."""
    login = "reader-11"
    reader = signed_in(login)
    engine = open_store(server.store_url)
    person = Repository(engine, OPERATOR).person(login)
    place = repository_of(engine, person).next_presentation(STUDY)
    statuses = {
        reader.post(
            f"{server.url}/reading/shown", data=place.presentation_id, headers={"Origin": server.url}
        ).status_code
        for _ in range(SHOWN_AT_ONCE + 9)
    }
    trail = Repository(engine, OPERATOR).audit_trail(limit=60)
    said = [event.detail.get("more") for event in trail if (event.actor, event.action) == (login, "case.shown")]
    engine.dispose()
    assert statuses == {204}
    assert len(said) == SHOWN_AT_ONCE
    assert [more is not None for more in said] == [False] * (SHOWN_AT_ONCE - 1) + [True]


def test_keys_of_ones_own_are_kept_and_nonsense_is_not(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    def status(data: str) -> int:
        answer = reader.post(f"{server.url}/reading/keys", data=data, headers={"Origin": server.url}, timeout=20)
        return answer.status_code

    reader = signed_in("reader-2")
    assert status('{"class 1": "KeyZ"}') == 204
    for wrong in ("", "[]", "7", '{"class 1": 7}', '{"class 99": "KeyZ"}', '{"class 1": "KeyA", "X": "KeyA"}'):
        assert status(wrong) == 400, wrong
    assert status("x" * 6000) == 413
    engine = open_store(server.store_url)
    assert Repository(engine, OPERATOR).person("reader-2").reading_keys == {"class 1": "KeyZ"}
    engine.dispose()
    assert requests.post(f"{server.url}/reading/keys", data="{}", timeout=20).status_code in (401, 403)


def test_what_a_panel_never_sends_is_refused_and_logs_no_failure(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    """Ids and numbers that no panel makes, and messages for developers of Streamlit: no error, no trace in the log."""
    reader, logged = signed_in("reader-4"), len(server.log.read_text())

    def told(path: str, data: str | bytes) -> int:
        sent = reader.post(f"{server.url}/reading/{path}", data=data, headers={"Origin": server.url}, timeout=20)
        return sent.status_code

    assert told("shown", b"\x00") == 400
    assert told("shown", b"\xff\xed\xa0\x80") == 404
    answer = {"kind": "answer", "submit_id": "s", "presentation_id": "p", "comment": "", "is_unreadable": False}
    answer |= {"display_state": {}, "expected_revision": True}
    assert told("answer", json.dumps(answer)) == 400
    for unsaved in ([], {}, [[]], 7):
        assert told("answer", json.dumps({**answer, "expected_revision": 0, "unsaved": unsaved})) == 200

    def heard(*messages: bytes | str) -> tuple[list[str | None], int]:
        """What is answered to these within two seconds, and how the socket was closed."""
        with connect(
            f"ws://127.0.0.1:{server.port}/_stcore/stream",
            additional_headers={"Cookie": f"{SESSION_COOKIE}={reader.cookies[SESSION_COOKIE]}"},
            subprotocols=[Subprotocol("streamlit")],
        ) as websocket:
            for message in messages:
                websocket.send(message)
            found: list[str | None] = []
            with suppress(TimeoutError, ConnectionClosed):
                while "heartbeat_ack" not in found:
                    found.append(ForwardMsg.FromString(websocket.recv(timeout=2)).WhichOneof("type"))
            return found, websocket.close_code or 0

    alive = BackMsg(app_heartbeat=True).SerializeToString()
    for kind in ("clear_cache", "debug_shutdown_runtime", "debug_disconnect_websocket", "set_run_on_save"):
        found, _ = heard(BackMsg(**{kind: True}).SerializeToString(), alive)
        assert found[-1] == "heartbeat_ack", kind
        assert "session_status_changed" not in found, kind
    assert heard("text")[1] == heard(b"\xff" * 9)[1] == heard(b"")[1] == 1003
    assert server.log.read_text()[logged:] == ""


def test_what_one_reader_sends_without_end_is_held_back_and_nobody_else_waits(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    """Answers are requests: a flood of them would take the store's one writer from everybody."""

    def status(session: requests.Session) -> int:
        body = b"x" * 200  # refused before the store is asked
        return session.post(f"{server.url}/reading/shown", data=body, headers={"Origin": server.url}).status_code

    flooding, other = signed_in("reader-57"), signed_in("reader-1")
    with ThreadPoolExecutor(80) as many:  # more at a time than may wait for five seconds
        found = Counter(many.map(status, [flooding] * (REQUESTS_AT_ONCE + 150)))
    assert found[429] > 0
    assert found[413] >= REQUESTS_AT_ONCE
    assert status(other) == 413


def session_id(server: ReadingServer, cookie: str, wanted: str = "") -> str:
    """Id of the Streamlit session that a websocket with this cookie gets when it asks to resume ``wanted``."""
    protocols = [Subprotocol(name) for name in ("streamlit", "x", wanted) if name]
    with connect(
        f"ws://127.0.0.1:{server.port}/_stcore/stream",
        additional_headers={"Cookie": f"{SESSION_COOKIE}={cookie}"},
        subprotocols=protocols,
    ) as socket:
        socket.send(BackMsg(rerun_script=ClientState()).SerializeToString())
        while True:
            message = ForwardMsg.FromString(socket.recv(timeout=20))
            if message.WhichOneof("type") == "new_session":
                return message.new_session.initialize.session_id


def test_a_stolen_session_id_is_worth_nothing_without_the_sign_in(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    mine, theirs = (signed_in(login).cookies[SESSION_COOKIE] for login in ("reader-1", "reader-3"))
    first = session_id(server, mine)
    assert session_id(server, mine, first) == first  # its owner resumes it
    assert session_id(server, theirs, first) != first


@pytest.mark.parametrize("role", Role)
def test_downloads_uploads_and_what_the_server_tells_of_itself_are_for_their_roles(
    role: Role, server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    session = signed_in("reader-1" if role is Role.READER else str(role))
    for prefix, roles in ROLES_OF_PREFIX.items():
        status = session.get(f"{server.url}{prefix}", timeout=10).status_code
        assert (status == 403) is (role not in roles), (prefix, status)
    assert Role.READER not in frozenset().union(*ROLES_OF_PREFIX.values())


def test_the_cookie_is_http_only_lax_and_new_at_each_sign_in(server: ReadingServer) -> None:
    first, answer = sign_in_by_form(server, "reader-1")
    second, other = sign_in_by_form(server, "reader-1")
    with first, second:
        morsel = SimpleCookie(answer.headers["set-cookie"].split(", reading_room_form")[0])[SESSION_COOKIE]
        assert morsel["httponly"]
        assert morsel["samesite"].lower() == "lax"
        assert answer.headers["location"] == "/read"
        assert answer.cookies[SESSION_COOKIE] != other.cookies[SESSION_COOKIE]


def test_a_sign_in_form_from_elsewhere_is_refused(server: ReadingServer) -> None:
    form = {"login": "reader-1", "password": PASSWORD}
    bare = requests.post(f"{server.url}/sign-in", data=form, allow_redirects=False, timeout=10)
    assert (bare.status_code, SESSION_COOKIE in bare.cookies) == (403, False)
    with requests.Session() as session:
        page = session.get(f"{server.url}/sign-in", timeout=10)
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
        assert token is not None
        answer = session.post(
            f"{server.url}/sign-in", data={**form, "form_token": token[1]}, headers={"Origin": "http://evil.example"},
            allow_redirects=False, timeout=10,
        )  # fmt: skip
        assert (answer.status_code, SESSION_COOKIE in answer.cookies) == (403, False)


def test_wrong_name_and_wrong_password_read_the_same_and_are_slowed_down(server: ReadingServer) -> None:
    texts = []
    for login in ("reader-2", "nobody-at-all"):
        session, answer = sign_in_by_form(server, login, "not the password")
        session.close()
        assert answer.status_code == 401
        assert answer.elapsed.total_seconds() >= REFUSAL_S
        assert SESSION_COOKIE not in answer.cookies
        texts.append(re.search(r'<p class="problem"[^>]*>(.*?)</p>', answer.text)[1])  # type: ignore[index]  # asserted by use
    assert texts[0] == texts[1]
    said = []
    for _ in range(7):
        session, answer = sign_in_by_form(server, "reader-2", "not the password")
        session.close()
        said.append(answer.text)
    assert any("seconds, then try again" in text for text in said)


def test_while_what_checks_passwords_hangs_sign_ins_say_so_and_readers_go_on(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    """A stopped process answers nobody: it is replaced, and who is signed in does not notice."""
    reader = signed_in("reader-9")
    workers = [int(line.split()[0]) for line in _processes() if "password_worker" in line and _is_below(line, server)]
    assert len(workers) == 1
    os.kill(workers[0], signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(sign_in_by_form, server, "reader-10")
        while not waiting.done():
            pulse = reader.get(f"{server.url}/reading/pulse/{STUDY}", timeout=3)
            assert (pulse.status_code, pulse.text) == (200, "open")
            time.sleep(0.2)
        _, answer = waiting.result()
    assert time.monotonic() - began < ASLEEP_S + 12
    assert answer.status_code == 503
    assert "could not be checked in time" in answer.text
    assert 'value="reader-10"' in answer.text
    assert sign_in_by_form(server, "reader-10")[1].status_code == 303


def _processes() -> list[str]:
    """``pid ppid command`` of every process."""
    return subprocess.run(
        ["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def _is_below(line: str, server: ReadingServer) -> bool:
    return server._process is not None and int(line.split()[1]) == server._process.pid


def test_a_failed_sign_in_keeps_the_login_and_never_the_password(server: ReadingServer) -> None:
    session, answer = sign_in_by_form(server, 'a "quoted" <login>', "not the password")
    session.close()
    assert answer.status_code == 401
    assert 'value="a &quot;quoted&quot; &lt;login&gt;"' in answer.text
    assert "not the password" not in answer.text


def test_without_its_store_the_door_says_so_with_every_header(own_server: ReadingServer) -> None:
    session, _ = sign_in_by_form(own_server, "reader-1")
    page = session.get(f"{own_server.url}/sign-in?next=/read", allow_redirects=False, timeout=10)
    assert page.status_code == 303  # signed in: goes on
    for path in own_server.folder.glob("store.sqlite3*"):
        path.unlink()
    with session:
        form = {"login": "reader-1", "password": PASSWORD, "form_token": "0" * 64}
        for answer, status, words in (
            (session.get(f"{own_server.url}/sign-in", timeout=10), 503, "store is not available"),
            (session.post(f"{own_server.url}/sign-in", data=form, timeout=10), 403, "too old"),
            (session.get(f"{own_server.url}/read", timeout=10), 503, "store is not available"),
            (session.get(f"{own_server.url}/sign-out", headers={"Sec-Fetch-Site": "same-origin"}, timeout=10), 503,
             "You are still signed in"),
        ):  # fmt: skip
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cache-control"] == "no-store"
            assert "sqlite" not in answer.text


def test_what_nobody_foresaw_is_answered_with_every_header() -> None:
    sent: list[dict] = []

    async def failing(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("/a/secret/path")

    async def ask() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/sign-in",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }

        async def send(message: dict) -> None:
            sent.append(message)

        await SecurityMiddleware(failing)(scope, None, send)

    with ThreadPoolExecutor(1) as own:  # where no loop runs yet: in this thread a browser's may
        own.submit(asyncio.run, ask()).result()
    assert sent[0]["status"] == 500
    assert (b"x-frame-options", b"DENY") in sent[0]["headers"]
    assert b"secret" not in b"".join(message.get("body", b"") for message in sent)


def test_sign_out_revokes_the_cookie_everywhere(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    session = signed_in("reader-1")
    token = session.cookies[SESSION_COOKIE]
    for sender in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "http://127.0.0.1:1/read"},
        {"Referer": "http://["},
        {},
    ):
        asked = session.get(f"{server.url}/sign-out", headers=sender, timeout=10)
        assert "Do you want to sign out?" in asked.text  # another site cannot sign anybody out
    assert websocket_status(server, token) == 101
    session.get(f"{server.url}/sign-out", headers={"Sec-Fetch-Site": "same-origin"}, timeout=10)
    assert websocket_status(server, token) == 403
    assert (
        requests.get(f"{server.url}/_stcore/host-config", cookies={SESSION_COOKIE: token}, timeout=10).status_code
        == 401
    )


@pytest.mark.parametrize("path", ["sign-in", "_stcore/health", "read", "_stcore/metrics"])
def test_every_answer_carries_the_security_headers(path: str, server: ReadingServer) -> None:
    headers = requests.get(f"{server.url}/{path}", timeout=10).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-eval" not in headers["content-security-policy"]


def test_the_page_of_the_app_allows_no_inline_script(
    server: ReadingServer, signed_in: Callable[[str], requests.Session]
) -> None:
    answer = signed_in("reader-1").get(f"{server.url}/read", headers=BROWSER, timeout=10)
    scripts = next(
        part for part in answer.headers["content-security-policy"].split("; ") if part.startswith("script-src")
    )
    assert "unsafe-inline" not in scripts
    assert "sha256-" in scripts


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("/results?study=demo&view=Tables+and+export", "/results?study=demo&view=Tables+and+export"),
        ("/read", "/read"), ("/read?study=demo", "/read?study=demo"), ("//evil.example", "/"),
     ("https://evil.example", "/"), ("/\\evil.example", "/"),
     ("/sign-out", "/"), ("", "/"), (None, "/"), ("/a\r\nSet-Cookie: x=1", "/")],
)  # fmt: skip
def test_the_way_after_the_sign_in_stays_inside_the_app(target: str | None, where: str) -> None:
    assert safe_target(target) == where


def test_the_configuration_holds_the_safe_values() -> None:
    import tomllib

    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["enableAgentApi"] is False
    assert config["server"]["enableStaticServing"] is False
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert config["browser"]["gatherUsageStats"] is False
    assert config["logger"]["hideWelcomeMessage"] is True
    assert config["client"]["showErrorDetails"] == "none"
    assert config["client"]["showErrorLinks"] is False
    assert config["runner"]["postScriptGC"] is False


def test_no_folder_of_pages_stands_beside_the_script_that_is_run() -> None:
    assert not (ROOT / "pages" / "pages").exists()
    assert not list(Path(ROOT / "pages").glob("[0-9]*_*.py"))
