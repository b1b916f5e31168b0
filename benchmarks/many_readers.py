"""Many readers at once, as their browsers speak: ``python -m benchmarks.many_readers --readers 50``.

Each reader signs in by the form, opens a websocket, looks at a case, thinks, sends the answer as the panel does, and
waits for the receipt, against the real server in a process of its own. Printed: answers acknowledged, lost (told and
not stored), wrong (stored otherwise than sent), and the time from answer to receipt.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import struct
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from actions.app_process import AppProcess
from pages.door.security import SESSION_COOKIE
from tests.pages.reading_server import PASSWORD, STUDY, build_study, readings_of

_PATIENCE_S = 60


class Reader:
    """One browser tab."""

    def __init__(self, server: AppProcess, login: str, think_s: float, most: int) -> None:
        self.server, self.login, self.think_s, self.most = server, login, think_s, most
        self.rng = random.Random(login)
        self.told: dict[int, tuple[str, int]] = {}  # place -> what was acknowledged
        self.seconds: list[float] = []
        self.frame: dict[str, Any] = {}
        self.widget = ""
        self.end = ""  # receipt on the end screen

    def sign_in(self) -> str:
        """Token of the sign-in."""
        session = requests.Session()
        page = session.get(f"{self.server.url}/sign-in", timeout=_PATIENCE_S).text
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
        form = {"login": self.login, "password": PASSWORD, "form_token": token[1] if token else "", "next": "/read"}
        session.post(f"{self.server.url}/sign-in", data=form, allow_redirects=False, timeout=_PATIENCE_S)
        return session.cookies[SESSION_COOKIE]

    async def read(self) -> None:
        """Sign in and answer cases until there is no more, or enough."""
        cookie = await asyncio.to_thread(self.sign_in)
        headers = {"Cookie": f"{SESSION_COOKIE}={cookie}", "Origin": self.server.url}
        async with connect(
            f"ws://127.0.0.1:{self.server.port}/_stcore/stream",
            additional_headers=headers,
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
        ) as line:
            await self._run(line, None)
            while self.frame and len(self.told) < self.most:
                await asyncio.sleep(self.rng.uniform(0.5, 1.5) * self.think_s)
                await self._answer(line)

    async def _answer(self, line: ClientConnection) -> None:
        """Send one answer, the same again if the server asks for it, and wait for its receipt."""
        classes = [each["key"] for each in self.frame["classes"]]
        given = self.rng.choice(classes), self.rng.randrange(1, 6)
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
            "have": [],
        }
        began = time.perf_counter()
        for _ in range(5):
            await self._run(line, message)
            receipt = self.frame.get("receipt") or {}
            if receipt.get("submit_id") == message["submit_id"] and receipt["state"] == "saved":
                self.seconds.append(time.perf_counter() - began)
                self.told[position] = given
                return
            if not self.frame and self.end:  # after the last case the end screen tells the receipt
                self.seconds.append(time.perf_counter() - began)
                self.told[position] = given
                return
        raise RuntimeError(f"{self.login}, case {position}: {receipt}")

    async def _run(self, line: ClientConnection, message: dict[str, Any] | None) -> None:
        """Ask for a run of the script, with what the panel sends, and take the frame that comes."""
        ask = BackMsg()
        ask.rerun_script.page_name = "read"
        ask.rerun_script.query_string = f"study={STUDY}"
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
                    self.end = ""
            elif kind == "delta" and told.delta.new_element.WhichOneof("type") == "markdown":
                found = re.search(r"has the receipt ([0-9A-F]{4})", told.delta.new_element.markdown.body)
                self.end = found[1] if found else self.end
            elif kind == "script_finished":
                break
        self.frame = frame


async def _all(readers: list[Reader]) -> list[BaseException | None]:
    return await asyncio.gather(*(reader.read() for reader in readers), return_exceptions=True)


def main() -> int:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--cases", type=int, default=20, help="answers of each reader, at most 20")
    parser.add_argument("--think", type=float, default=4.0, help="seconds between image and answer, on average")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        url = f"sqlite:///{folder / 'store.sqlite3'}"
        build_study(url, given.readers)
        server = AppProcess(folder, url)
        server.start()
        readers = [Reader(server, f"reader-{at}", given.think, given.cases) for at in range(1, given.readers + 1)]
        try:
            failures = [failure for failure in asyncio.run(_all(readers)) if failure is not None]
        finally:
            server.kill()
        lost = wrong = told = extra = 0
        for reader in readers:
            stored = {row.position: (row.class_key, row.confidence) for row in readings_of(url, reader.login)}
            told += len(reader.told)
            lost += len(reader.told.keys() - stored.keys())
            wrong += sum(stored.get(place, answer) != answer for place, answer in reader.told.items())
            extra += len(stored.keys() - reader.told.keys())
        seconds = [second for reader in readers for second in reader.seconds]
        p50, p95, p99 = 1000 * np.quantile(seconds, (0.5, 0.95, 0.99)) if seconds else (np.nan,) * 3
        print(
            f"{given.readers} readers, {given.think:g} s of thought: {told} acknowledged, {lost} lost, {wrong} wrong, "
            f"{extra} stored without a receipt, {len(failures)} readers stopped; answer to receipt p50 {p50:.0f}, "
            f"p95 {p95:.0f}, p99 {p99:.0f} ms"
        )
        for failure in failures[:3]:
            print(repr(failure))
    return 0 if told == given.readers * given.cases and not (lost or wrong or failures) else 1


if __name__ == "__main__":
    sys.exit(main())
