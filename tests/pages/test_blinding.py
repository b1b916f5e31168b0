"""Words are planted in the store; none of them may reach a reader, whatever the reader opens."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
from playwright.sync_api import Page, Response, expect

from core.study import THYROID_CLASSES, Answer, Arm, Presentation, Protocol
from pages.screens import SCREENS
from pages.widgets.reading_panel import PanelCase, pack_frame
from tests.pages.conftest import Wire
from tests.pages.reading_server import CANARIES, ReadingServer
from tests.pages.test_reading_by_keyboard import type_answers, wait_for_case

_TEXT_OF_ALL = """() => {
  const texts = [];
  const walk = (root) => root.querySelectorAll("*").forEach((element) => {
    texts.push(element.outerHTML);
    if (element.shadowRoot) { texts.push(element.shadowRoot.innerHTML); walk(element.shadowRoot); }
  });
  walk(document);
  return texts.join("\\n");
}"""


def canaries_in(text: bytes) -> list[str]:
    return [canary for canary in CANARIES if canary.encode() in text]


@pytest.mark.browser
def test_no_planted_word_reaches_a_reader_on_any_screen(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    bodies: list[bytes] = []

    def keep(response: Response) -> None:
        bodies.append(json.dumps([response.url, dict(response.headers)]).encode())
        if "/static/" not in response.url and response.status == 200:
            bodies.append(response.body())

    page = sign_in(server, reader, "/read")
    page.on("response", keep)
    page.reload()
    wait_for_case(page, 1)
    before = wire.all()
    # No class stands out in what a case sends: the truth cannot be told from the words in the frames.
    assert len({before.count(f'"{disease.key}"'.encode()) for disease in THYROID_CLASSES}) == 1
    assert b'"graves"' in before
    type_answers(page, range(3))
    wait_for_case(page, 4)
    page.keyboard.press("u")
    expect(page.locator("[data-part=notice]")).to_be_visible()
    doms = [page.evaluate(_TEXT_OF_ALL).encode()]
    for screen in SCREENS:
        page.goto(f"{server.url}/{screen.address}")
        page.wait_for_selector(".room-foot .who")
        page.wait_for_timeout(300)
        doms.append(page.evaluate(_TEXT_OF_ALL).encode())
    everything = b"\n".join([*wire.received, *bodies, *doms, *(line.encode() for line in wire.console)])
    assert b"Thyroid demo study" in everything  # what is searched is what was received
    assert canaries_in(everything) == []
    assert canaries_in(server.log.read_bytes()) == []


@pytest.mark.browser
def test_the_browser_asks_no_other_machine_and_no_media_address(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    type_answers(page, range(1))
    wait_for_case(page, 2)
    page.goto(server.url)
    page.get_by_role("button", name="Go on reading").wait_for()
    ours = (server.url, server.url.replace("http", "ws"), "data:", "blob:")
    assert [address for address in wire.addresses if not address.startswith(ours)] == []
    assert [address for address in wire.addresses if "/media/" in address and "/static/media/" not in address] == []
    assert [line for line in wire.console if "Content Security Policy" in line or "pageerror" in line] == []


@pytest.mark.browser
def test_an_unforeseen_failure_shows_and_sends_nothing_of_the_case(
    own_server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    path = own_server.store_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE image SET png = ?", (b"canary-file",))
    page = sign_in(own_server, reader, "/read")
    expect(page.get_by_text("This screen could not be shown")).to_be_visible()
    assert canaries_in(wire.all() + page.evaluate(_TEXT_OF_ALL).encode()) == []
    assert b"Traceback" not in wire.all()
    assert b"read.py" not in wire.all()
    assert b"PNG" not in wire.all()
    assert b"Error" in own_server.log.read_bytes()  # the operator sees what it was


def test_a_frame_holds_the_named_fields_and_the_pixels_and_nothing_else() -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    frame = pack_frame(PanelCase(Presentation("p", Arm.UNAIDED, 2, 20), pixels, 1), Protocol("A study"), None)
    (length,) = struct.unpack("<I", frame[:4])
    header = json.loads(frame[4 : 4 + length])
    assert set(header) == {
        "mode", "draft_key", "presentation_id", "position", "count", "done", "revision", "question", "classes",
        "confidence", "previous", "can_correct", "height", "width", "bits", "unit",
        "spacing_mm", "view", "receipt", "health",
    }  # fmt: skip
    np.testing.assert_array_equal(np.frombuffer(frame[4 + length :], "<u2").reshape(3, 4), pixels)


def test_two_cases_with_other_truth_differ_in_pixels_only() -> None:
    """The length and the header of a frame depend on the presentation, not on what the image shows."""
    frames = [
        pack_frame(
            PanelCase(Presentation("p", Arm.UNAIDED, 2, 20), np.full((4, 4), value, np.uint8), 1, can_correct=True),
            Protocol("A study"),
            None,
        )
        for value in (3, 250)
    ]
    assert frames[0][:-16] == frames[1][:-16]


def test_an_answer_under_correction_is_the_reader_s_own() -> None:
    case = PanelCase(
        Presentation("p", Arm.UNAIDED, 2, 20), np.zeros((2, 2), np.uint8), 2, 1, Answer("sat", 3, "mine", True, 4.5)
    )
    frame = pack_frame(case, Protocol("A study"), None)
    assert b'"previous": {"class_key": "sat", "confidence": 3, "comment": "mine", "is_unreadable": true}' in frame
