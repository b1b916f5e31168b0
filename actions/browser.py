"""A headless Chromium, and an ear on everything that it receives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import ReadingRoomError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response, WebSocket

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

#: All that a page holds: elements in shadow trees too, fields, both storages, title and address.
_PAGE_STATE = """() => {
  const texts = [document.title, location.href, document.cookie,
    JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.documentElement.outerHTML];
  const walk = (root) => root.querySelectorAll("*").forEach((element) => {
    if (typeof element.value === "string") texts.push(element.value);
    if (element.shadowRoot) { texts.push(element.shadowRoot.innerHTML); walk(element.shadowRoot); }
  });
  walk(document);
  return texts.join("\\n");
}"""


def chromium_path() -> str | None:
    """Where Chromium is on this machine; None where it is not on the path."""
    return next((found for name in _CHROMIUM_NAMES if (found := shutil.which(name))), None)


@contextmanager
def headless_chromium() -> Iterator[Browser]:
    """A browser until the end of the block.

    Raises
    ------
    ReadingRoomError
        If Playwright or Chromium is missing; says how to install it.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        raise ReadingRoomError(
            "Playwright, which drives the browser, is not installed. Fix: python -m pip install -r requirements-dev.txt"
        ) from None
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGUMENTS)
        except Error as error:
            raise ReadingRoomError(
                f"Chromium does not start ({str(error).strip().splitlines()[0]}). Fix: install the system's package "
                "'chromium', or run 'python -m playwright install chromium'."
            ) from None
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Heard:
    """One thing that the browser received."""

    channel: str  # "websocket frame", "HTTP body", ...
    place: str  # what was being done
    content: bytes


@dataclass
class Wire:
    """Everything that the attached tabs received, and every address they asked for.

    ``place`` is what is being done now, in the words of a report.
    """

    place: str = ""
    heard: list[Heard] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def attach(self, page: Page, *, with_http: bool = False) -> None:
        """Record a tab from now on; headers and bodies of HTTP answers only where asked for."""

        def on_websocket(socket: WebSocket) -> None:
            socket.on(
                "framereceived",
                lambda frame: self.keep("websocket frame", frame if isinstance(frame, bytes) else frame.encode()),
            )

        def on_console(line: str) -> None:
            self.console.append(line)
            self.keep("console", line.encode())

        page.on("websocket", on_websocket)
        page.on("request", lambda request: self.addresses.append(request.url))
        if with_http:
            page.on("response", self._on_response)
        page.on("console", lambda message: on_console(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: on_console(f"error: {error}"))

    def keep(self, channel: str, content: bytes) -> None:
        """Enter something that was received."""
        self.heard.append(Heard(channel, self.place, content))

    def look(self, page: Page) -> None:
        """Enter what the page holds now, and the browser's cookies."""
        self.keep("page, fields and storages", page.evaluate(_PAGE_STATE).encode())
        self.keep("cookies", json.dumps([dict(cookie) for cookie in page.context.cookies()]).encode())

    def _on_response(self, response: Response) -> None:
        from playwright.sync_api import Error

        self.keep("HTTP address and headers", json.dumps([response.url, response.headers]).encode())
        if "/static/" in response.url:  # the files of Streamlit's own frontend
            return
        with suppress(Error):  # a redirect has no body, nor has an answer whose page is gone
            self.keep("HTTP body", response.body())

    @property
    def received(self) -> list[bytes]:
        """Websocket frames, in their order."""
        return [each.content for each in self.heard if each.channel == "websocket frame"]

    def all(self) -> bytes:
        """The frames, a line each."""
        return b"\n".join(self.received)
