"""How fast the reading screen is, and whether it holds: ``python -m benchmarks.reading_screen [PART ...]``.

Parts (all of them unless some are named):

enter    one reader in Chromium, who answers at once (and so overtakes the images that are sent ahead) or looks at each
         image for a second: Enter to the next image drawn, and Enter to the receipt, beside a click in a bare Streamlit
         app of one button (click to the new text on the screen); what a case brings over the websocket, to its pixels.
server   clients that send what the panel sends, torch loaded in the server: the time from an answer to its receipt, and
         to the end of the frame with the next images, for 1 reader without a pause, 10 with 2 s, 50 with 4 s between
         their answers, beside the rerun of the bare app; and the server's processor time for an answer.
typing   200 cases typed at 150, 50 and 0 ms while ten other readers read: every stored answer was typed against its
         own image, and those that were not stored were refused on the screen.
memory   resident memory of the server after 100, 250, 500, 750 and 1,000 sessions that were opened and closed.

Every part starts a server of its own on a store of its own. Times are in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import struct
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
from argon2.profiles import CHEAPEST
from playwright.sync_api import Browser, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from actions.app_process import AppProcess
from actions.browser import headless_chromium
from core.protocol import THYROID_CLASSES, Protocol
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, Repository, create_store
from db.password_hashing import Passwords
from pages.door.cookies import SESSION_COOKIE

PASSWORD = "a long enough password"  # noqa: S105  # of readers who live as long as the benchmark
STUDY = "speed"
N_READERS = 61
PIXELS = 256
#: Seconds for which a reader who does not answer at once looks at an image.
PAUSE_S = 1.0
#: Streamlit with torch in the process, as after a prediction.
WITH_TORCH = ("-c", "import sys, torch; from streamlit.web.cli import main; sys.argv[0] = 'streamlit'; main()")
BARE_APP = """
import streamlit as st
count = st.session_state.setdefault("count", 0)
if st.button("Next"):
    st.session_state["count"] = count = count + 1
st.write(f"number {count}")
"""


# ---- a study, a server, a bare app ------------------------------------------------------------------------------


def build_store(url: str, n_cases: int, n_readers: int = N_READERS) -> None:
    """One open study of noise pictures, 256 x 256 counts, read by everybody."""
    engine = create_store(url)
    operator = Repository(engine, OPERATOR, passwords=Passwords(CHEAPEST))
    operator.create_study(STUDY, Protocol("Speed"), is_synthetic=True)
    rng = np.random.default_rng(1)
    operator.import_cases(
        STUDY,
        [
            CaseRecord(
                case=f"case-{number}",
                patient=f"patient-{number}",
                cohort="all",
                truth=THYROID_CLASSES[number % 4].key,
                pixels=rng.poisson(30 + number % 7, (PIXELS, PIXELS)).astype(np.uint16),
            )
            for number in range(n_cases)
        ],
    )
    for number in range(1, n_readers + 1):
        operator.create_person(
            f"reader-{number}", f"Reader {number}", Role.READER, is_temporary=False, password=PASSWORD
        )
        operator.add_reader(STUDY, f"reader-{number}", cohorts=["all"])
    operator.set_state(STUDY, StudyState.OPEN)
    engine.dispose()


@contextmanager
def running_app(n_cases: int) -> Iterator[AppProcess]:
    """The app with torch in its process."""
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{Path(name) / 'store.sqlite3'}"
        build_store(url, n_cases)
        app = AppProcess(Path(name), url, launcher=WITH_TORCH)
        app.start()
        try:
            yield app
        finally:
            app.kill()


@contextmanager
def bare_app() -> Iterator[str]:
    """Address of a Streamlit app of one button, with torch in its process and garbage collection as in ours."""
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "bare.py"
        script.write_text(BARE_APP)
        port = AppProcess(Path(name), "").port
        launcher = WITH_TORCH[1].replace("import sys, torch;", "import gc, sys, torch; gc.collect(); gc.freeze();")
        options = [f"--server.port={port}", "--server.headless=true", "--browser.gatherUsageStats=false"]
        options += ["--runner.postScriptGC=false"]
        process = subprocess.Popen(
            [sys.executable, "-c", launcher, "run", str(script), *options], cwd=name, stdout=subprocess.DEVNULL
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def wait_for(address: str) -> None:
    """Until something answers there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if requests.get(address, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise TimeoutError(address)


def row(what: str, values: list[float]) -> float:
    """Print one row; the 95th percentile."""
    p50, p95 = np.percentile(values, [50, 95])
    print(f"{what:<48} n {len(values):>4}  p50 {p50:>7.1f}  p95 {p95:>7.1f}  max {max(values):>7.1f}", flush=True)
    return float(p95)


# ---- a reader in a browser --------------------------------------------------------------------------------------

#: Notes when Enter went down, when the panel took the next image as drawn, and when the receipt was on the screen.
WATCH = """() => {
  const room = [...document.querySelectorAll("*")].map((one) => one.shadowRoot)
    .find((one) => one && one.querySelector(".room")).querySelector(".room");
  const { panel } = room;
  window.times = [];
  const send = panel.send.bind(panel);
  panel.send = (...given) => { window.times.push({ enter: panel.madeAt }); send(...given); };
  const beDrawn = panel.beDrawn.bind(panel);
  const note = (more) => Object.assign(window.times.at(-1) || {}, more);
  panel.beDrawn = (...given) => { beDrawn(...given); note({ drawn: panel.drawnAt }); };
  const settle = panel.settle.bind(panel);
  panel.settle = (...given) => { settle(...given); note({ receipt: performance.now() }); };
}"""


def sign_in(page: Page, url: str, login: str) -> None:
    """By the form, to the reading screen."""
    page.goto(f"{url}/read")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    ready_for(page, 1)


def ready_for(page: Page, position: int) -> None:
    """Until a case may be answered."""
    expect(page.locator("[data-part=position]")).to_contain_text(f"Case {position} of", timeout=60_000)
    expect(page.locator(".room")).to_have_attribute("data-state", re.compile("empty|chosen"), timeout=60_000)


def _read_at_once(
    browser: Browser, url: str, login: str, n_cases: int, pause_s: float
) -> tuple[list[dict[str, float]], float]:
    """A reader who looks at each image for so long: what :data:`WATCH` noted of each answer, and bytes for a case."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    sizes: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
    sign_in(page, url, login)
    page.evaluate(WATCH)
    for number in range(n_cases - 1):
        ready_for(page, number + 1)
        time.sleep(pause_s)
        for key in ("2", "e", "Enter"):
            page.keyboard.press(key)
    ready_for(page, n_cases)
    times: list[dict[str, float]] = page.evaluate("times")
    page.context.close()
    return times, sum(sizes) / n_cases


def measure_enter() -> None:
    """Enter to the next image drawn, and to the receipt."""
    n_cases = 80
    with running_app(n_cases) as app, bare_app() as bare, headless_chromium() as browser:
        times, _ = _read_at_once(browser, app.url, "reader-1", n_cases, 0.0)
        paused, n_bytes = _read_at_once(browser, app.url, "reader-2", n_cases, PAUSE_S)
        other = browser.new_page(viewport={"width": 1280, "height": 800})
        other.goto(bare)
        other.get_by_text("number 0").wait_for()
        other.get_by_role("button", name="Next").wait_for()
        reruns = other.evaluate(
            """async () => {
              const found = [];
              const button = [...document.querySelectorAll("button")].find((one) => one.textContent.includes("Next"));
              for (let count = 1; count <= 60; count += 1) {
                const start = performance.now();
                button.click();
                while (!document.body.textContent.includes(`number ${count}`)) {
                  await new Promise((then) => requestAnimationFrame(then));
                }
                found.push(performance.now() - start);
              }
              return found;
            }"""
        )
    bare_p95 = row("bare Streamlit: click to the new text", reruns)
    for what, found in (("at once", times), (f"after {PAUSE_S:g} s", paused)):
        drawn = row(f"{what}: Enter to the next image drawn", [one["drawn"] - one["enter"] for one in found])
        receipt = row(f"{what}: Enter to the receipt", [one["receipt"] - one["enter"] for one in found])
        print(f"ratio of p95 to the bare rerun: drawn {drawn / bare_p95:.2f}, receipt {receipt / bare_p95:.2f}")
    print(f"websocket: {n_bytes / 1000:.0f} kB for a case, {n_bytes / (2 * PIXELS**2):.2f} of its pixels' bytes")


# ---- readers who speak the protocol -----------------------------------------------------------------------------


@dataclass
class Reader:
    """One reader at protocol level; ``answer`` is an Enter.

    ``times`` are ms from an answer to its receipt, ``frames`` to the end of the frame that is asked for then.
    """

    url: str
    login: str
    times: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)
    http: requests.Session = field(default_factory=requests.Session)
    header: dict[str, Any] = field(default_factory=dict)
    widget: str = ""
    socket: ClientConnection | None = None

    def cookie(self) -> str:
        """Of a new sign-in."""
        session = requests.Session()
        page = session.get(f"{self.url}/sign-in", timeout=60)
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
        form = {"login": self.login, "password": PASSWORD, "form_token": token[1] if token else "", "next": "/read"}
        session.post(f"{self.url}/sign-in", data=form, allow_redirects=False, timeout=60)
        return str(session.cookies[SESSION_COOKIE])

    async def open(self, cookie: str | None = None) -> None:
        """A websocket, and the first frame of the panel."""
        self.session_cookie = cookie or await asyncio.to_thread(self.cookie)
        self.socket = await connect(
            self.url.replace("http", "ws") + "/_stcore/stream",
            additional_headers={"Cookie": f"{SESSION_COOKIE}={self.session_cookie}", "Origin": self.url},
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
        )
        message = BackMsg()
        message.rerun_script.page_name = "read"
        await self.socket.send(message.SerializeToString())
        await self.run()

    async def run(self) -> None:
        """Hear one run of the script to its end; the last frame of the panel is kept."""
        assert self.socket is not None
        while True:
            message = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), 60))
            if message.WhichOneof("type") == "delta" and message.delta.new_element.HasField("bidi_component"):
                component = message.delta.new_element.bidi_component
                (length,) = struct.unpack_from("<I", component.bytes)
                self.header = json.loads(component.bytes[4 : 4 + length])
                self.widget = component.id
            if message.WhichOneof("type") == "script_finished":
                return

    async def answer(self) -> None:
        """Save an answer to the case on the screen, wait for its receipt, and ask for the next frame."""
        shown = [self.header["presentation_id"], *(one["presentation_id"] for one in self.header["ahead"])]
        value = {
            "kind": "answer", "submit_id": str(uuid.uuid4()), "presentation_id": shown[0], "expected_revision": 0,
            "class_key": "normal", "confidence": 3, "comment": "", "is_unreadable": False, "reading_seconds": 1.0,
            "unreadable_reason": "", "probabilities": None, "marks": [],
            "display_state": {}, "events": [["shown", 0], ["submitted", 1000]],
        }  # fmt: skip
        start = time.perf_counter()
        receipt = (await asyncio.to_thread(self.post, self.header["answer_address"], json.dumps(value))).json()
        self.times.append(1000 * (time.perf_counter() - start))
        if receipt["state"] != "saved":
            raise RuntimeError(f"{self.login}: {receipt}")
        await self.ask({"kind": "next", "submit_id": str(uuid.uuid4()), "presentation_id": shown[0], "have": shown})
        self.frames.append(1000 * (time.perf_counter() - start))

    async def ask(self, value: dict[str, Any]) -> None:
        """Send a message of the panel over the websocket, until its frame is here."""
        assert self.socket is not None
        message = BackMsg()
        message.rerun_script.page_name = "read"
        state = message.rerun_script.widget_states.widgets.add()
        state.id, state.json_value = self.widget, "{}"
        state = message.rerun_script.widget_states.widgets.add()
        state.id = f"$$STREAMLIT_INTERNAL_KEY_{self.widget}__events"
        state.json_trigger_value = json.dumps([{"event": "sent", "value": value}])
        await self.socket.send(message.SerializeToString())
        while (self.header.get("receipt") or {}).get("submit_id") != value["submit_id"]:
            await self.run()

    async def read(self, n: int, think_s: float) -> None:
        """Answer ``n`` cases; think between them, half to one and a half times as long, and report what was drawn."""
        rng = np.random.default_rng(int(self.login.split("-")[1]))
        for _ in range(n):
            await asyncio.to_thread(self.report)
            await asyncio.sleep(think_s * (0.5 + rng.random()))
            await self.answer()

    def report(self) -> None:
        """As the panel does when an image was drawn."""
        self.post(self.header["shown_address"], self.header["presentation_id"])

    def post(self, address: str, body: str) -> requests.Response:
        """One request over the connection that the browser keeps."""
        headers = {"Cookie": f"{SESSION_COOKIE}={self.session_cookie}", "Origin": self.url}
        return self.http.post(self.url + address, data=body, headers=headers, timeout=60)


async def read_together(
    url: str, first: int, n_readers: int, n: int, think_s: float
) -> tuple[list[float], list[float]]:
    """All times of several readers: to the receipt, and to the frame."""
    readers = [Reader(url, f"reader-{number}") for number in range(first, first + n_readers)]
    await asyncio.gather(*(reader.open() for reader in readers))
    for reader in readers:
        await reader.answer()
        reader.times.clear()
        reader.frames.clear()
    await asyncio.gather(*(reader.read(n, think_s) for reader in readers))
    for reader in readers:
        assert reader.socket is not None
        await reader.socket.close()
    return [ms for reader in readers for ms in reader.times], [ms for reader in readers for ms in reader.frames]


async def bare_reruns(url: str) -> list[float]:
    """Times of reruns of the bare app, ms."""
    async with connect(
        url.replace("http", "ws") + "/_stcore/stream", subprotocols=[Subprotocol("streamlit")], max_size=None
    ) as socket:
        times = []
        for _ in range(101):
            message = BackMsg()
            message.rerun_script.query_string = ""
            start = time.perf_counter()
            await socket.send(message.SerializeToString())
            while ForwardMsg.FromString(await socket.recv()).WhichOneof("type") != "script_finished":
                pass
            times.append(1000 * (time.perf_counter() - start))
    return times[1:]


def measure_server() -> None:
    """Trigger to receipt."""
    with bare_app() as bare:
        bare_p95 = row("bare Streamlit: a rerun", asyncio.run(bare_reruns(bare)))
    with running_app(120) as app:
        # One reader without a pause stays below the messages at once that the server takes of a person.
        for first, n_readers, n, think_s in ((1, 1, 50, 0.0), (2, 10, 12, 2.0), (12, 50, 8, 4.0)):
            before = _processor_ms(app)
            times, frames = asyncio.run(read_together(app.url, first, n_readers, n, think_s))
            spent = (_processor_ms(app) - before) / (n_readers * (n + 1))
            p95 = row(f"answer to receipt, {n_readers} readers, {think_s:.0f} s between", times)
            row("  answer to the end of the next frame", frames)
            print(
                f"  p95 of the receipt to the bare rerun {p95 / bare_p95:.2f}; {spent:.0f} ms of processor", flush=True
            )


def _processor_ms(app: AppProcess) -> float:
    """Processor time of the server until now, user and system."""
    process = app._process
    assert process is not None
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- typing blindly ---------------------------------------------------------------------------------------------

#: Logs every key with the case on the screen, and whether it came after that case's image and its release.
KEY_LOG = """() => {
  const { panel } = [...document.querySelectorAll("*")].map((one) => one.shadowRoot)
    .find((one) => one && one.querySelector(".room")).querySelector(".room");
  window.keyLog = [];
  const press = panel.press.bind(panel);
  panel.press = (name, madeAt) => {
    window.keyLog.push({ name, position: panel.header.position, isSeen: panel.isDrawn && madeAt >= panel.drawnAt });
    press(name, madeAt);
  };
}"""


def measure_typing(n_cases: int = 200) -> None:
    """Cases at three speeds, ten other readers reading."""
    with running_app(n_cases) as app, headless_chromium() as browser:
        for turn, gap_ms in enumerate((150, 50, 0)):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            sign_in(page, app.url, f"reader-{turn + 1}")
            page.evaluate(KEY_LOG)
            others = Others(app.url, 4 + 10 * turn)
            others.is_at_work.wait(120)
            for number in range(n_cases):
                for key in (str(number % 4 + 1), "qwert"[number % 5], "Enter"):
                    page.keyboard.press(key)
                    page.wait_for_timeout(gap_ms)
            page.wait_for_timeout(3000)
            log, last = page.evaluate("keyLog"), page.evaluate("keyLog.at(-1).position")
            others.join()
            stored = _stored(app, f"reader-{turn + 1}")
            wrong = [each for each in stored if not _was_typed(each, log)]
            print(
                f"{n_cases} cases at {gap_ms} ms: {len(stored)} stored, {len(wrong)} not as typed against their image; "
                f"the reader stands at case {last}, {others.n} answers of others meanwhile",
                flush=True,
            )
            page.close()


class Others:
    """Ten readers at work in a thread of their own."""

    def __init__(self, url: str, first: int) -> None:
        import threading

        self.n = 0
        self._is_over, self.is_at_work = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._read(url, first)))
        self._thread.start()

    async def _read(self, url: str, first: int) -> None:
        readers = [Reader(url, f"reader-{number}") for number in range(first, first + 10)]
        await asyncio.gather(*(reader.open() for reader in readers))
        self.is_at_work.set()
        await asyncio.gather(*(self._go_on(reader) for reader in readers))

    async def _go_on(self, reader: Reader) -> None:
        while not self._is_over.is_set() and reader.header["position"] < reader.header["count"]:
            await reader.read(1, 2.0)
            self.n += 1

    def join(self) -> None:
        """Let them stop."""
        self._is_over.set()
        self._thread.join()


def _stored(app: AppProcess, login: str) -> list[tuple[int, str, int]]:
    """(position, class, confidence) of a reader, read past the seal: this store is the benchmark's own."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(app.store_url.removeprefix("sqlite:///"))) as store:
        return store.execute(
            "SELECT presentation.position, reading.class_key, reading.confidence FROM reading "
            "JOIN presentation USING (presentation_id) JOIN person USING (person_id) WHERE login = ? ORDER BY position",
            (login,),
        ).fetchall()


def _was_typed(stored: tuple[int, str, int], log: list[dict[str, Any]]) -> bool:
    """Whether class, confidence and Enter were pressed while this case's image was on the screen."""
    position, class_key, confidence = stored
    number = [disease.key for disease in THYROID_CLASSES].index(class_key) + 1
    typed = {one["name"] for one in log if one["position"] == position and one["isSeen"]}
    return {f"class {number}", f"step {confidence}", "Enter"} <= typed


# ---- memory -----------------------------------------------------------------------------------------------------


def measure_memory() -> None:
    """Resident memory of the server while sessions come and go."""
    marks = (100, 250, 500, 750, 1000)
    with running_app(20) as app:
        # Ten readers come at once: the server takes only so many websockets of one person.
        cookies = [Reader(app.url, f"reader-{number}").cookie() for number in range(1, 11)]
        found, n = [], 0
        for mark in marks:
            asyncio.run(_come_and_go(app.url, cookies, mark - n))
            n = mark
            found.append(_resident_mb(app))
            print(f"{mark:>5} sessions  {found[-1]:>7.1f} MB", flush=True)
    print(f"last beside 250 sessions: {found[-1] / found[1]:.3f}", flush=True)


async def _come_and_go(url: str, cookies: list[str], n: int) -> None:
    """Open the reading screen ``n`` times, one of each cookie at once, and leave."""

    async def once(cookie: str) -> None:
        reader = Reader(url, "")
        await reader.open(cookie)
        assert reader.socket is not None
        await reader.socket.close()

    for start in range(0, n, len(cookies)):
        await asyncio.gather(*(once(cookie) for cookie in cookies[: n - start]))


def _resident_mb(app: AppProcess) -> float:
    """Resident memory of the server process."""
    status = Path(f"/proc/{app._process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


PARTS = {"enter": measure_enter, "server": measure_server, "typing": measure_typing, "memory": measure_memory}


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless some are named")
    parser.add_argument("--cases", type=int, default=200, help="typed blindly at each speed (200)")
    given = parser.parse_args()
    for name in given.parts or PARTS:
        if name not in PARTS:
            parser.error(f"there is no part '{name}'; use {', '.join(PARTS)}")
        print(f"--- {name}", flush=True)
        PARTS[name](given.cases) if name == "typing" else PARTS[name]()


if __name__ == "__main__":
    main()
