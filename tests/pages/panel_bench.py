"""The real reading panel in a page of its own: its own files, and frames as the server packs them, but no server."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
from playwright.sync_api import BrowserContext, Page

from core.protocol import Arm, DiseaseClass, Protocol, Scale
from core.study import Answer, Presentation, Study, StudyState
from db.records import ReadingImage, ReadingView
from pages.door.answers import PanelReceipt, ReceiptState
from pages.widgets.reading_panel import SCRIPTS, PanelCase, PanelModel, pack_frame
from tests.pages.reading_server import ROOT, phantom_pixels

FOLDER = ROOT / "pages" / "widgets" / "reading_panel"
STARTED = datetime(2026, 1, 2, tzinfo=UTC)

_PAGE = """<!doctype html><html><head>
<meta name="viewport" content="width=device-width">
<style>body {{ margin: 0; background: #121417; }} {css}</style></head>
<body>{html}<script>{script}
const sent = []; // answers, and what else the panel asks for
const asks = []; // for the next frame, after an answer
const replies = []; // open requests of answers
const given = window.fetch.bind(window);
window.fetch = (address, options) => {{
  if (!String(address).endsWith("/reading/answer")) return given(address, options);
  const message = JSON.parse(options.body);
  sent.push(message);
  if (!navigator.onLine) return Promise.reject(new TypeError("offline"));
  return new Promise((resolve) => replies.push({{ id: message.submit_id, resolve }}));
}};
// The server's reply to an answer; gives the id of the frame that the panel asks for then.
async function reply(receipt) {{
  if (!replies.length) room.panel.transmit(); // as it does by itself when there was no receipt
  replies.splice(0).forEach((one) => one.resolve({{ ok: true, json: async () => receipt }}));
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  return room.panel?.asked;
}}
// An answer that came no further than the door, or a proxy.
function refuse(status, kind) {{
  const headers = new Headers(kind ? {{ "x-reading-room-refusal": kind }} : {{}});
  replies.splice(0).forEach((one) => one.resolve({{ ok: false, status, headers }}));
}}
let isHolding = false; // no frame is drawn while this holds
const heldFrames = [];
const frame = window.requestAnimationFrame.bind(window);
function release() {{ // those that were held, and all from now on
  isHolding = false;
  heldFrames.splice(0).forEach((then) => frame(then));
}}
window.requestAnimationFrame = (then) => (isHolding ? heldFrames.push(then) : frame(then));
let room = document.querySelector(".room");
let close = null;
const unused = room.outerHTML;
function renew() {{
  if (close) close();
  close = null;
  document.querySelectorAll("[data-testid=stDialog], [data-testid=stApp]").forEach((one) => one.remove());
  room.outerHTML = unused;
  room = document.querySelector(".room");
  sessionStorage.clear();
  sent.length = asks.length = replies.length = heldFrames.length = 0;
  isHolding = false;
}}
function feed(text) {{
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const send = (_, value) => (value.kind === "next" ? asks : sent).push(value);
  close = component({{ data: bytes, parentElement: document.body, setTriggerValue: send }});
}}
</script></body></html>"""


def protocol_of(n_classes: int = 4, n_steps: int = 5) -> Protocol:
    """The thyroid study, or one of so many classes and steps."""
    if (n_classes, n_steps) == (4, 5):
        return Protocol("Panel")
    classes = tuple(DiseaseClass(f"class-{i}", f"Diagnosis {i}", f"D{i}") for i in range(1, n_classes + 1))
    return Protocol("Panel", classes=classes, scale=Scale(words=tuple(f"step {i}" for i in range(1, n_steps + 1))))


def image_of(pixels: np.ndarray, spacing: float | None = None) -> ReadingImage:
    """One view."""
    return ReadingImage((ReadingView(pixels, "counts" if pixels.dtype == np.uint16 else "grey", "", spacing),))


class Bench:
    """One panel. ``feed`` is a run of the server; ``sent`` is what the panel has sent."""

    def __init__(
        self, context: BrowserContext, protocol: Protocol | None = None, *, is_sending_again: bool = True,
        is_patient: bool | None = None, burst_ms: int = 600, bounce_ms: int = 0,
        is_pulsing: bool = False,
    ) -> None:  # fmt: skip
        """``is_patient``: no answer is late by itself, however slow this machine is (so where none is sent again).

        ``bounce_ms``: so soon after it came, no Enter ends a card or the feedback; a reader's panel waits for 400.
        ``is_pulsing``: the server is asked for its pulse by itself, not only when the browser is online again.
        """
        self.protocol = protocol or protocol_of()
        script = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
        if not is_sending_again:
            script = script.replace("AGAIN_MS = 1500", "AGAIN_MS = 600000").replace(
                "LONGEST_AGAIN_MS = 6000", "LONGEST_AGAIN_MS = 600000"
            )
        if is_patient or (is_patient is None and not is_sending_again):
            script = script.replace("PATIENCE_MS = 3000", "PATIENCE_MS = 600000")
        script = script.replace("BURST_MS = 600", f"BURST_MS = {burst_ms}")
        script = script.replace("BOUNCE_MS = 400", f"BOUNCE_MS = {bounce_ms}")
        if not is_pulsing:
            script = script.replace("const PULSE_MS = 2500", "const PULSE_MS = 600000")
        page = _PAGE.format(
            css=(FOLDER / "panel.css").read_text(encoding="utf-8"),
            html=(FOLDER / "panel.html").read_text(encoding="utf-8"),
            script=script.replace("export default function", "function component"),
        )
        self.page: Page = context.new_page()
        self.page.route(
            "http://localhost/**", lambda route: route.fulfill(body=page, content_type="text/html; charset=utf-8")
        )
        self.page.goto("http://localhost/panel")

    def renew(self) -> None:
        """Another panel, as on another page."""
        self.page.context.set_offline(False)
        self.page.evaluate("renew()")

    def feed(
        self,
        position: int = 1,
        receipt: ReceiptState | None = None,
        previous: Answer | None = None,
        pixels: np.ndarray | None = None,
        spacing: float | None = None,
        n_ahead: int = 0,
        omit: tuple[int, ...] = (),
        place: Callable[[Presentation], Presentation] = lambda each: each,
        views: Sequence[ReadingView] = (),
        model: PanelModel | None = None,
        feedback: str = "",
        reader: str = "reader",
        own_keys: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """The reply to what was sent last, and a frame: a case and the next ones; images to ``omit`` do not come."""
        arm = self.protocol.arms[0] if model is None else Arm.AIDED
        places = [place(Presentation(f"presentation-{at}", arm, at, 20)) for at in range(position, 21)]
        case = PanelCase(
            places[0],
            position - 1,
            revision=0 if previous is None else 1,
            previous=previous,
            can_correct=position > 1 or previous is not None,
            ahead=tuple(places[1 : 1 + n_ahead]),
            model=model,
            reader=reader,
            own_keys=own_keys,
        )
        images = {}
        for at in places[: 1 + n_ahead]:
            shown = phantom_pixels(2 * at.position) if pixels is None else pixels
            if at.position not in omit:
                images[at.presentation_id] = ReadingImage(tuple(views)) if views else image_of(shown, spacing)
        reply = None
        if receipt is not None:
            last = self.sent()[-1]
            reply = PanelReceipt(
                last["submit_id"], receipt, "the reason.", "7F3A", "2026-01-02T03:04:05+00:00", feedback
            )
            if last["kind"] == "answer":
                asked = self.page.evaluate("receipt => reply(receipt)", asdict(reply))
                reply = PanelReceipt(asked, ReceiptState.DONE) if asked else None
        study = Study("panel", self.protocol, 1, StudyState.OPEN, True, STARTED)
        frame = base64.b64encode(pack_frame(case, study, reply, images)).decode()
        self.page.evaluate("text => feed(text)", frame)

    def draw(self, *, is_held: bool) -> None:
        """From now on no frame is drawn, or those that were held and all others are."""
        self.page.evaluate("isHolding = true" if is_held else "release()")

    def wait(self, state: str) -> None:
        """Until the panel is in a state."""
        self.page.wait_for_selector(f".room[data-state={state}]")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sent(self) -> list[dict[str, Any]]:
        """Messages of the panel, oldest first."""
        found: list[dict[str, Any]] = self.page.evaluate("sent")
        return found

    def state(self) -> str:
        """The state that the panel is in now."""
        return str(self.page.evaluate("room.panel ? room.panel.state() : 'closed'"))

    def seen(self) -> dict[str, Any]:
        """What a reader can see or has done, and what was sent."""
        found: dict[str, Any] = self.page.evaluate(
            """() => {
              const part = (name) => room.querySelector(`[data-part=${name}]`);
              const checked = [...room.querySelectorAll("[aria-checked=true]:not([data-key=V])")]
                .map((one) => one.dataset.key);
              const panel = room.panel;
              return {
                answer: JSON.stringify([checked, part("comment").value]),
                view: panel && panel.viewer.image ? JSON.stringify(panel.viewer.state()) : "",
                covers: [part("pause").hidden, part("sheet").hidden].join(),
                state: panel ? panel.state() : "closed",
                hint: part("hint").textContent, isWriting: document.activeElement === part("comment"),
                n_sent: sent.length,
              };
            }"""
        )
        return found


def table_of_the_docs() -> dict[str, dict[str, str]]:
    """``table[state][intent]``: the deed, as docs/reading-panel.md draws it."""
    text = (ROOT / "docs" / "reading-panel.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| (state|\*\*\w+\*\*) \|", line)
    ]
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[1:]}
