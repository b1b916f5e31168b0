"""Many readers at once, on one process and two, SQLite and PostgreSQL: ``python -m benchmarks.load``.

Each reader signs in by the form, opens a websocket as a browser does, looks at a case, tells the server that it was
drawn, thinks (four seconds on average), sends the answer and waits for its receipt. The server is the real one; two
processes stand behind HAProxy with ``deploy/haproxy.cfg``; PostgreSQL syncs every commit to the disk. One row for each
shape and number of readers: time from answer to receipt, its 95th percentile beside that of a rerun of a Streamlit app
of one button, taken in the same run while nobody reads, processor time of the app's processes for an answer, and how
long ``/ready``, asked twice a second, took at most. Below, how long a process took to be ready, and its memory. At the
end every answer that was acknowledged is looked for in the store. Status 1 if one is lost or stored otherwise, or a
reader had to stop.

    python -m benchmarks.load                  # about 12 minutes
    python -m benchmarks.load --quick          # about 4
    python -m benchmarks.load --readers 50 --shapes sqlite-1 --seconds 60
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
import sqlalchemy as sa
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from actions.app_process import AppProcess
from benchmarks.reading_screen import PASSWORD, bare_app, bare_reruns, build_store, wait_for
from db import open_store
from db.tables import PersonRow, PresentationRow, ReadingRow
from tests.stores import private_server, why_no_postgresql

_PATIENCE_S = 60
HAPROXY_CONFIGURATION = Path(__file__).resolve().parent.parent / "deploy" / "haproxy.cfg"
#: Name of a shape: what it is called in the table, number of processes.
SHAPES = {
    "sqlite-1": ("SQLite, one process", 1),
    "sqlite-2": ("SQLite, two processes", 2),
    "postgresql-1": ("PostgreSQL, one process", 1),
    "postgresql-2": ("PostgreSQL, two processes", 2),
}


# ---- one reader --------------------------------------------------------------------------------------------------


class Reader:
    """One browser tab that speaks Streamlit's protocol; it reads until it has enough, or the time is over."""

    def __init__(self, url: str, login: str, think_s: float, most: int) -> None:
        self.url, self.login, self.think_s, self.most = url, login, think_s, most
        self.rng = random.Random(login)
        self.http = requests.Session()  # with the cookies of the sign-in and of the replica
        self.told: dict[int, tuple[str, int]] = {}  # place -> what was acknowledged
        self.seconds: list[float] = []
        self.frame: dict[str, Any] = {}
        self.widget = ""

    def sign_in(self) -> None:
        """By the form."""
        page = self.http.get(f"{self.url}/sign-in", timeout=_PATIENCE_S).text
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
        form = {"login": self.login, "password": PASSWORD, "form_token": token[1] if token else "", "next": "/read"}
        self.http.post(f"{self.url}/sign-in", data=form, allow_redirects=False, timeout=_PATIENCE_S)

    async def read(self) -> None:
        """Sign in and answer cases until there is no more, or enough."""
        await asyncio.to_thread(self.sign_in)
        async with await self.open() as line:
            await self.go_on(line)

    async def open(self) -> ClientConnection:
        """A websocket, and the first frame of the panel."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        line = await connect(
            self.url.replace("http", "ws") + "/_stcore/stream",
            additional_headers={"Cookie": cookies, "Origin": self.url},
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
        )
        await self._run(line, None)
        return line

    async def go_on(self, line: ClientConnection, until: float = float("inf")) -> None:
        """Answer cases until there is no more, enough, or the clock says so."""
        while self.frame and len(self.told) < self.most and time.monotonic() < until:
            await asyncio.to_thread(self._tell_drawn)
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) * self.think_s)
            await self._answer(line)

    def _tell_drawn(self) -> None:
        """As the panel does when an image is on the screen."""
        address, name = self.url + self.frame["shown_address"], self.frame["presentation_id"]
        self.http.post(address, data=name, headers={"Origin": self.url}, timeout=_PATIENCE_S)

    def _post(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer, and what the server says of it."""
        address = self.url + self.frame["answer_address"]
        answer = self.http.post(address, json=message, headers={"Origin": self.url}, timeout=_PATIENCE_S)
        return answer.json() if answer.ok else {"state": f"status {answer.status_code}"}

    async def _answer(self, line: ClientConnection) -> None:
        """Send one answer, the same again if the server asks for it, and wait for its receipt."""
        given = self.rng.choice([each["key"] for each in self.frame["classes"]]), self.rng.randrange(1, 6)
        position, elapsed_ms = self.frame["position"], 1000 * self.think_s
        message = {
            "kind": "answer",
            "submit_id": str(uuid.uuid4()),
            "presentation_id": self.frame["presentation_id"],
            "expected_revision": self.frame["revision"],
            "class_key": given[0],
            "confidence": given[1],
            "comment": "",
            "is_unreadable": False,
            "reading_seconds": elapsed_ms / 2000,
            "display_state": {},
            "events": [["shown", 0], ["submitted", elapsed_ms / 2]],
            "have": [self.frame["presentation_id"], *(one["presentation_id"] for one in self.frame["ahead"])],
        }
        began = time.perf_counter()
        for _ in range(5):
            receipt = await asyncio.to_thread(self._post, message)
            if receipt["state"] == "saved":
                self.seconds.append(time.perf_counter() - began)
                self.told[position] = given
                return await self._run(line, {**message, "kind": "next", "submit_id": str(uuid.uuid4())})
        raise RuntimeError(f"{self.login}, case {position}: {receipt}")

    async def _run(self, line: ClientConnection, message: dict[str, Any] | None) -> None:
        """Ask for a run of the script, with what the panel sends, and take the frame that comes."""
        ask = BackMsg()
        ask.rerun_script.page_name = "read"
        if message is not None:
            own, state = (ask.rerun_script.widget_states.widgets.add() for _ in range(2))
            own.id, own.json_value = self.widget, "{}"
            state.id = f"$$STREAMLIT_INTERNAL_KEY_{self.widget}__events"
            state.json_trigger_value = json.dumps([{"event": "sent", "value": message}])
        await line.send(ask.SerializeToString())
        frame: dict[str, Any] = {}
        while True:
            told = ForwardMsg()
            told.ParseFromString(await asyncio.wait_for(line.recv(), _PATIENCE_S))
            kind = told.WhichOneof("type")
            if kind == "delta" and told.delta.new_element.WhichOneof("type") == "bidi_component":
                panel = told.delta.new_element.bidi_component
                if panel.component_name.endswith("reading_panel"):
                    (size,) = struct.unpack("<I", panel.bytes[:4])
                    frame = json.loads(panel.bytes[4 : 4 + size])
                    self.widget = panel.id
            elif kind == "script_finished":
                break
        self.frame = frame


# ---- the servers -------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """Address for readers, the app's processes, the store."""

    url: str
    apps: list[AppProcess]
    store_url: str
    start_s: float  # of the slowest process, until it was ready
    readers: list[Reader] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Processor time of the app's processes so far."""
        return sum(sum(map(int, _stat(app)[11:13])) for app in self.apps) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Resident memory of the largest of them."""
        return max(int(_stat(app)[21]) for app in self.apps) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _stat(app: AppProcess) -> list[str]:
    """/proc/PID/stat from its third field on."""
    assert app._process is not None
    return Path(f"/proc/{app._process.pid}/stat").read_text().rpartition(") ")[2].split()


@contextmanager
def site_of(shape: str, n_readers: int, n_cases: int) -> Iterator[Site]:
    """One shape, started, with a study that everybody reads."""
    n_processes = SHAPES[shape][1]
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        if shape.startswith("sqlite"):
            store_url = f"sqlite:///{folder / 'store.sqlite3'}"
        else:
            server = running.enter_context(private_server())
            server.stop()
            server.start("fsync=on", "max_connections=200")
            engine = sa.create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
            with engine.connect() as connection:
                connection.exec_driver_sql("CREATE DATABASE room ENCODING 'UTF8' TEMPLATE template0")
            store_url = server.url.set(database="room").render_as_string(hide_password=False)
        build_store(store_url, n_cases, n_readers)
        settings = {"READING_ROOM_TRUSTED_PROXIES": "127.0.0.1"}
        apps = [AppProcess(folder, store_url, environment=settings) for _ in range(n_processes)]
        start_s = 0.0
        for app in apps:
            begun = time.monotonic()
            app.start()
            running.callback(app.kill)
            wait_for(f"{app.url}/ready")
            start_s = max(start_s, time.monotonic() - begun)
        url = running.enter_context(haproxy_before(apps)) if n_processes == 2 else apps[0].url
        yield Site(url, apps, store_url, start_s)


@contextmanager
def haproxy_before(apps: list[AppProcess]) -> Iterator[str]:
    """Address of an HAProxy with the configuration of ``deploy/`` before two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    places = {f"RR_WEB{number}": f"127.0.0.1:{app.port}" for number, app in enumerate(apps, start=1)}
    process = subprocess.Popen(
        [str(haproxy_program()), "-q", "-f", str(HAPROXY_CONFIGURATION)],
        env={**os.environ, "RR_BIND": f"127.0.0.1:{port}", **places},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def haproxy_program() -> str | None:
    """Where it is, or None."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def why_not(shape: str) -> str | None:
    """Why this machine cannot run a shape; None if it can."""
    if shape.endswith("2") and haproxy_program() is None:
        return "no HAProxy on this machine"
    return why_no_postgresql() if shape.startswith("postgresql") else None


# ---- the measurement ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """What so many readers met."""

    seconds: list[float]
    cpu_s: float
    ready_s: float
    failures: list[BaseException]


async def read_together(site: Site, readers: list[Reader], seconds: float) -> Stage:
    """Let them read for so long, once all have their first image; what they met in that time."""
    lines = [await reader.open() for reader in readers]
    for reader in readers:
        reader.seconds.clear()
    cpu, until = site.cpu_seconds(), time.monotonic() + seconds
    watch = asyncio.create_task(_ask_ready(site.url))
    reading = [reader.go_on(line, until) for reader, line in zip(readers, lines, strict=True)]
    ended = await asyncio.gather(*reading, return_exceptions=True)
    cpu_s = site.cpu_seconds() - cpu
    watch.cancel()
    ready_s = await watch
    for line in lines:
        await line.close()
    met = [second for reader in readers for second in reader.seconds]
    return Stage(met, cpu_s, ready_s, [one for one in ended if isinstance(one, BaseException)])


async def _ask_ready(url: str) -> float:
    """Longest answer of ``/ready``, s, until this is cancelled."""
    longest = 0.0
    http = requests.Session()
    try:
        while True:
            begun = time.perf_counter()
            await asyncio.to_thread(http.get, f"{url}/ready", timeout=_PATIENCE_S)
            longest = max(longest, time.perf_counter() - begun)
            await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        return longest


def check(site: Site) -> tuple[int, int, int]:
    """Acknowledged answers, of these not in the store, and stored otherwise than sent or twice."""
    query = (
        sa.select(PersonRow.login, PresentationRow.position, ReadingRow.class_key, ReadingRow.confidence)
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
    )
    engine = open_store(site.store_url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    stored = {(login, place): (class_key, confidence) for login, place, class_key, confidence in rows}
    told = {(reader.login, place): given for reader in site.readers for place, given in reader.told.items()}
    wrong = sum(stored.get(key, given) != given for key, given in told.items())
    return len(told), len(told.keys() - stored.keys()), wrong + len(rows) - len(stored)


def measure(shape: str, given: argparse.Namespace, bare_p95_ms: float) -> bool:
    """Print the rows of one shape; whether nothing went wrong."""
    n_readers, n_cases = max(given.readers), 10 + int(1.5 * len(given.readers) * given.seconds / given.think)
    with site_of(shape, n_readers, n_cases) as site:
        start_mib = site.resident_mib()
        site.readers = [Reader(site.url, f"reader-{at}", given.think, n_cases) for at in range(1, 1 + n_readers)]
        is_good = True
        for n in sorted(given.readers):
            for reader in site.readers[:n]:
                if not reader.http.cookies:
                    reader.sign_in()
            stage = asyncio.run(read_together(site, site.readers[:n], given.seconds))
            p50, p95, p99 = 1000 * np.quantile(stage.seconds, (0.5, 0.95, 0.99)) if stage.seconds else (np.nan,) * 3
            print(
                f"| {SHAPES[shape][0]} | {n} | {len(stage.seconds)} | {p50:.0f} | {p95:.0f} | {p99:.0f} | "
                f"{p95 / bare_p95_ms:.1f} | {1000 * stage.cpu_s / max(1, len(stage.seconds)):.0f} | "
                f"{1000 * stage.ready_s:.0f} |",
                flush=True,
            )
            for failure in stage.failures[:3]:
                print(f"  stopped: {failure!r}")
            is_good &= not stage.failures
        told, lost, wrong = check(site)
        memory = site.resident_mib()
    sys.stderr.write(
        f"{SHAPES[shape][0]}: {told} acknowledged, {lost} lost, {wrong} wrong; ready {site.start_s:.1f} s "
        f"after the start; {start_mib:.0f} MiB a process then, {memory:.0f} at the end\n"
    )
    return is_good and not lost and not wrong


def main() -> int:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10, 50 and 120 readers, 15 seconds each")
    parser.add_argument("--readers", type=int, nargs="+", help="numbers of readers (10 30 50 70 100 120)")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--seconds", type=float, help="how long each number reads (25)")
    parser.add_argument("--think", type=float, default=4.0, help="seconds between image and answer, on average")
    given = parser.parse_args()
    given.readers = given.readers or ([10, 50, 120] if given.quick else [10, 30, 50, 70, 100, 120])
    given.seconds = given.seconds or (15.0 if given.quick else 25.0)
    with bare_app() as bare:
        bare_p50, bare_p95 = np.percentile(asyncio.run(bare_reruns(bare)), [50, 95])
    print(
        f"{os.cpu_count()} cores that carry the readers too, load {os.getloadavg()[0]:.1f} at the start; "
        f"{given.think:g} s of thought; a bare Streamlit rerun p50 {bare_p50:.0f}, p95 {bare_p95:.0f} ms\n"
    )
    columns = ("shape", "readers", "answers", "p50 ms", "p95 ms", "p99 ms", "p95 to bare", "CPU ms", "`/ready` max ms")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    is_good = True
    for shape in given.shapes:
        if reason := why_not(shape):
            print(f"| {SHAPES[shape][0]} | left out: {reason} | | | | | | | |")
        else:
            is_good &= measure(shape, given, bare_p95)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
