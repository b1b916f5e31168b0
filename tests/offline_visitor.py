"""Serve the app, sign in by the form, open the first screen, and stop the server: run inside an isolated network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

URL = "http://127.0.0.1:8501"


def main(login: str, command: list[str]) -> None:
    """Visit with the password of the environment, then end the server."""
    password = os.environ["VISITOR_PASSWORD"]
    server = subprocess.Popen(command)
    try:
        cookies = HTTPCookieProcessor()
        browser = build_opener(cookies)
        page = _wait_for(browser, f"{URL}/sign-in")
        token = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
        form = {"login": login, "password": password, "form_token": token[1] if token else "", "next": "/"}
        browser.open(Request(f"{URL}/sign-in", urlencode(form).encode()), timeout=30)  # noqa: S310  # our own address
        cookie = "; ".join(f"{each.name}={each.value}" for each in cookies.cookiejar)
        with connect(
            URL.replace("http", "ws") + "/_stcore/stream",
            additional_headers={"Cookie": cookie},
            subprotocols=[Subprotocol("streamlit")],
        ) as socket:
            socket.send(BackMsg(rerun_script=ClientState()).SerializeToString())
            while True:
                message = ForwardMsg.FromString(socket.recv(timeout=60))
                if message.WhichOneof("type") == "script_finished":
                    print("the screen was shown")
                    break
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def _wait_for(browser: object, url: str) -> str:
    """The sign-in page, as soon as the server answers."""
    end = time.monotonic() + 90
    while True:
        try:
            with browser.open(url, timeout=5) as answer:  # type: ignore[attr-defined]
                return answer.read().decode()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
