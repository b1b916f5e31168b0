"""A reader's session in a real browser, on a real server process, with a real SQLite file."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Page, Route, expect

from actions.browser import Wire
from core.protocol import THYROID_CLASSES
from core.study import StudyState
from db import OPERATOR, Repository, open_store
from db.records import ReadingRecord
from tests.pages.reading_server import N_CASES, PASSWORD, STUDY, ReadingServer

pytestmark = pytest.mark.browser

CONFIDENCE_KEYS = "qwert"


def planned(number: int) -> tuple[str, str]:
    """Keys of the answer to the case at one position; every pair of class and confidence comes once in 20."""
    return str(number % 4 + 1), CONFIDENCE_KEYS[number % 5]


def type_answers(page: Page, positions: range) -> None:
    """Answer these cases, each after its image is on the screen."""
    for number in positions:
        wait_for_case(page, number + 1)
        for key in (*planned(number), "Enter"):
            page.keyboard.press(key)


def check_answers(readings: list[ReadingRecord], n: int) -> None:
    """The first ``n`` cases hold exactly what was typed, once each, in the reader's own order."""
    assert [reading.position for reading in readings] == list(range(1, n + 1))
    for reading in readings:
        digit, letter = planned(reading.position - 1)
        assert reading.class_key == THYROID_CLASSES[int(digit) - 1].key
        assert reading.confidence == CONFIDENCE_KEYS.index(letter) + 1
        assert reading.revision == 1


def wait_for_case(page: Page, position: int) -> None:
    """Until the image of a case is on the screen and may be answered."""
    expect(page.locator("[data-part=position]")).to_have_text(f"Case {position} of {N_CASES}", timeout=30_000)
    expect(page.locator(".room")).to_have_attribute("data-state", re.compile("empty|chosen|refused|correcting"))


def wait_for_frame(page: Page, n_done: int) -> None:
    """Until the frame is here that the panel asks for after a receipt."""
    expect(page.locator("[data-part=bar]")).to_have_js_property("value", n_done, timeout=30_000)


def receipt_of(what: str, server: ReadingServer, reader: str, stored_readings: Callable) -> re.Pattern[str]:
    """What the panel must say: the code is the beginning of the last reading's id in the store."""
    code = stored_readings(server.store_url, reader)[-1].reading_id[:4].upper()
    return re.compile(rf"^{what}, receipt {code}, \d+:\d\d:\d\d( [AP]M)?\.$")


def wait_for_end(page: Page) -> None:
    expect(page.get_by_text(f"{N_CASES} of {N_CASES} answers")).to_be_visible(timeout=60_000)


def test_twenty_cases_typed_are_saved_as_typed(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    type_answers(page, range(N_CASES))
    wait_for_end(page)
    check_answers(stored_readings(server.store_url, reader), N_CASES)


#: Logs every key with the case on the screen and whether it was typed after that image had been put on the canvas.
KEY_LOG = """
window.keyLog = [];
let drawnAt = Infinity;
let isNew = false; // other colours are in the raster: it is not the same picture drawn again
const { drawImage, putImageData } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.putImageData = function (...given) {
  isNew = true;
  return putImageData.apply(this, given);
};
CanvasRenderingContext2D.prototype.drawImage = function (...given) {
  if (this.canvas.isConnected && isNew) drawnAt = performance.now();
  isNew = false;
  return drawImage.apply(this, given);
};
window.addEventListener("keydown", (event) => {
  const room = event.composedPath().concat([...document.querySelectorAll("*")]).map((one) => one.shadowRoot)
    .find((one) => one && one.querySelector("[data-part=position]"));
  const position = room ? Number(room.querySelector("[data-part=position]").textContent.match(/\\d+/)[0]) : 0;
  window.keyLog.push({ key: event.key, position, isAfterDraw: event.timeStamp >= drawnAt, at: event.timeStamp });
}, true);
"""


@pytest.mark.parametrize("gap_ms", [0, 50, 150])
def test_keys_typed_blindly_never_answer_an_image_that_was_not_on_the_screen(
    gap_ms: int, server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext,
    stored_readings: Callable,
) -> None:  # fmt: skip
    context.add_init_script(KEY_LOG)
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    for number in range(N_CASES):
        for key in (*planned(number), "Enter"):
            page.keyboard.press(key)
            page.wait_for_timeout(gap_ms)
    if gap_ms == 0:
        expect(page.locator("[data-part=hint]")).to_contain_text("ot taken")
    log = page.evaluate("window.keyLog")
    assert len(log) == 3 * N_CASES
    page.wait_for_timeout(500)
    readings = stored_readings(server.store_url, reader)
    assert [reading.position for reading in readings] == list(range(1, len(readings) + 1))
    for reading in readings:
        typed = {one["key"] for one in log if one["position"] == reading.position and one["isAfterDraw"]}
        number = [disease.key for disease in THYROID_CLASSES].index(reading.class_key) + 1
        answer = {str(number), CONFIDENCE_KEYS[reading.confidence - 1], "Enter"}
        assert answer <= typed, f"case {reading.position} was answered {answer}, typed against it: {typed}"
    if max(later["at"] - earlier["at"] for earlier, later in pairwise(log)) < 600:
        check_answers(readings, len(readings))  # typed in one go: each answer is whole, and the one meant for its case


def test_what_is_on_the_screen_is_saved_when_the_choice_is_changed_before_the_receipt(
    own_server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(own_server, reader, "/read")
    type_answers(page, range(4))
    wait_for_case(page, 5)
    own_server.kill()
    for key in ("1", "q", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-part=status]")).to_contain_text("Not saved yet: no connection", timeout=15_000)
    for key in ("3", "t", "x", "u"):
        page.keyboard.press(key)
    page.get_by_role("radio", name="Tumor").click()
    page.get_by_role("textbox").click()
    page.keyboard.type("4 e")
    expect(page.locator("[data-part=hint]")).to_have_text("Not taken: the answer is being saved as it stands here.")
    on_screen = [page.get_by_role("radio", checked=True).nth(number).inner_text() for number in range(2)]
    own_server.start()
    wait_for_case(page, 6)
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    expect(page.get_by_role("textbox")).to_have_value("")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=hint]")).to_contain_text("Choose a diagnosis first")
    readings = stored_readings(own_server.store_url, reader)
    assert len(readings) == 5
    saved = readings[-1]
    assert (saved.class_key, saved.confidence, saved.is_unreadable, saved.comment) == ("graves", 1, False, "")
    assert "Graves" in on_screen[0]
    assert "guess" in on_screen[1]


def test_a_late_receipt_is_awaited_and_sending_twice_saves_once(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    held: list[tuple[Route, APIResponse]] = []
    is_holding = False

    def hold_receipts(route: Route) -> None:
        if is_holding:
            held.append((route, route.fetch()))  # the server has the answer; its receipt does not arrive
        else:
            route.continue_()

    context.route("**/reading/answer", hold_receipts)
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    is_holding = True
    for key in ("2", "w", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-part=status]")).to_contain_text("Not saved yet", timeout=10_000)
    for key in ("4", "t", "Enter", "3"):  # the second Enter sends the same submission again
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert [reading.class_key for reading in stored_readings(server.store_url, reader)] == ["normal"]
    is_holding = False
    for route, response in held:
        route.fulfill(response=response)
    wait_for_case(page, 2)
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    (reading,) = stored_readings(server.store_url, reader)
    assert (reading.position, reading.class_key, reading.confidence) == (1, "normal", 2)


def test_a_comment_in_writing_never_goes_on_in_the_next_case(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    for key in ("1", "q", "c"):
        page.keyboard.press(key)
    page.keyboard.type("of case 1")
    page.get_by_role("button", name="Save and next").click()
    page.keyboard.type(" still 1")
    wait_for_case(page, 2)
    expect(page.get_by_role("textbox")).to_have_value("")
    expect(page.get_by_role("textbox")).not_to_be_focused()
    assert [reading.comment for reading in stored_readings(server.store_url, reader)] == ["of case 1"]


def test_a_refresh_in_the_middle_of_a_case_keeps_the_place_and_the_draft(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    type_answers(page, range(3))
    wait_for_case(page, 4)
    for key in planned(3):
        page.keyboard.press(key)
    page.keyboard.press("p")
    expect(page.locator("[data-part=pause]")).to_be_visible()
    page.reload()
    wait_for_case(page, 4)
    told = _told_events(server.store_url, reader, 4)  # while the case has no answer
    names = [name for name, _ in told]
    assert (names[0], names[-1]) == ("shown", "hidden")
    assert {"first", "covered"} <= set(names)
    expect(page.get_by_role("radio", checked=True)).to_have_count(2)
    page.keyboard.press("Enter")
    wait_for_case(page, 5)
    check_answers(stored_readings(server.store_url, reader), 4)
    (answered,) = [each for each in stored_readings(server.store_url, reader) if each.position == 4]
    assert [list(event) for event in answered.client_events[: len(told)]] == told  # the answer brings everything
    page.get_by_role("link", name=re.compile("Home|Reading Room")).first.click()
    page.get_by_role("button", name="Go on reading").wait_for()
    left = [name for name, _ in _told_events(server.store_url, reader, 5)]
    assert (left[0], left[-1]) == ("shown", "hidden")
    assert not _told_events(server.store_url, reader, 3)  # what was answered at once told nothing beside its answer


def _told_events(store_url: str, login: str, position: int) -> list[list]:
    """What the store was told of a place of a reader's order, beside the reading."""
    query = (
        "SELECT client_events FROM presentation_event JOIN presentation USING (presentation_id) "
        "JOIN person USING (person_id) WHERE login = ? AND position = ? ORDER BY first_event"
    )
    with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
        return [event for (text,) in connection.execute(query, (login, position)) for event in json.loads(text)]


def test_a_killed_server_loses_nothing_and_the_same_tab_goes_on(
    own_server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(own_server, reader, "/read")
    type_answers(page, range(5))
    wait_for_case(page, 6)
    own_server.kill()
    expect(page.locator("[data-part=status]")).to_contain_text("No connection to the server", timeout=15_000)
    for key in (*planned(5), "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-part=status]")).to_contain_text("Not saved yet: no connection", timeout=15_000)
    check_answers(stored_readings(own_server.store_url, reader), 5)
    own_server.start()
    wait_for_case(page, 7)  # the panel sends the answer again by itself when the server is back
    type_answers(page, range(6, N_CASES))
    wait_for_end(page)
    check_answers(stored_readings(own_server.store_url, reader), N_CASES)


def test_two_tabs_on_one_case_store_one_reading_and_say_so(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    first = sign_in(server, reader, "/read")
    wait_for_case(first, 1)
    second = context.new_page()
    second.goto(server.url + "/read")
    wait_for_case(second, 1)
    type_answers(first, range(1))
    wait_for_case(first, 2)
    expect(first.locator("[data-part=status]")).to_have_text(
        receipt_of("Case 1 saved", server, reader, stored_readings)
    )
    for key in ("4", "t", "Enter"):
        second.keyboard.press(key)
    expect(second.locator("[data-part=status]")).to_contain_text("answered in another window")
    wait_for_case(second, 2)
    check_answers(stored_readings(server.store_url, reader), 1)


def test_a_correction_is_a_new_revision_and_the_next_case_follows(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    type_answers(page, range(2))
    wait_for_case(page, 3)
    page.keyboard.press("u")
    expect(page.locator("[data-part=notice]")).to_contain_text("Correcting case 2")
    expect(page.locator(".room")).to_have_attribute("data-state", "correcting")
    expect(page.get_by_role("radio", name="Normal")).to_be_checked()
    for key in ("4", "Enter"):
        page.keyboard.press(key)
    wait_for_case(page, 3)
    readings = stored_readings(server.store_url, reader)
    expect(page.locator("[data-part=status]")).to_have_text(
        receipt_of("Correction of case 2 saved", server, reader, stored_readings)
    )
    answers = [(reading.position, reading.revision, reading.class_key, reading.is_current) for reading in readings]
    assert answers == [(1, 1, "graves", True), (2, 1, "normal", False), (2, 2, "tumor", True)]


def test_after_a_sign_out_in_one_tab_the_other_saves_nothing(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    other = context.new_page()
    other.goto(server.url)
    other.get_by_role("link", name="Sign out").click()
    expect(other.get_by_label("Login")).to_be_visible()
    type_answers(page, range(1))
    expect(page.get_by_text("You are signed out")).to_be_visible()
    assert stored_readings(server.store_url, reader) == []
    other.go_back()  # what the browser kept shows nothing
    expect(other.get_by_label("Login")).to_be_visible()


def test_enter_saves_nothing_until_diagnosis_and_confidence_are_chosen(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=hint]")).to_contain_text("Choose a diagnosis first")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.locator("[data-part=hint]")).to_contain_text("Choose a confidence first")
    for body, status in (
        ("{}", 400),
        ('{"kind": "look", "submit_id": "s", "presentation_id": "p"}', 400),
        ("[" * 200_000, 413),
    ):
        asked = page.request.post(server.url + "/reading/answer", data=body, headers={"Origin": server.url})
        assert asked.status == status
    assert stored_readings(server.store_url, reader) == []


def test_comment_flag_view_and_time_are_stored_with_the_answer(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    for key in ("2", "r", "m", "m", "i", "n", "c"):
        page.keyboard.press(key)
    page.keyboard.type("1 nodule? q e")  # in the comment no key means anything else
    page.keyboard.press("Escape")
    page.keyboard.press("p")  # the clock stands still
    page.wait_for_timeout(1500)
    page.keyboard.press("p")
    page.keyboard.press("Space")
    wait_for_case(page, 2)
    (reading,) = stored_readings(server.store_url, reader)
    assert (reading.class_key, reading.confidence) == ("normal", 4)
    assert reading.comment == "1 nodule? q e"
    assert not reading.is_unreadable
    assert reading.display_state["colour_table"] == "hot iron"
    assert reading.display_state["is_inverted"] is True
    assert (reading.display_state["lower_threshold"], reading.display_state["is_smooth"]) == (0, False)
    assert reading.display_state["keys_dropped_before_image"] == 0
    assert reading.reading_seconds is not None
    assert (
        0 < reading.reading_seconds < 1.4 or reading.reading_seconds < page.evaluate("performance.now()") / 1000 - 1.4
    )


def test_wheel_and_drag_change_the_view_in_the_browser_alone(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: object
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    page.wait_for_timeout(500)
    frames = len(wire.received)  # type: ignore[attr-defined]  # the fixture's dataclass
    view = page.locator("[data-part=view]")
    before = view.inner_text()
    box = page.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("[data-part=read-out]")).to_contain_text("x 4")
    page.mouse.wheel(0, -300)
    expect(view).not_to_have_text(before)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + box["width"] / 2 + 90, box["y"] + box["height"] / 2 - 40)
    page.mouse.up(button="right")
    assert view.inner_text().split("×")[0] != before.split("×")[0]
    page.keyboard.press("0")
    expect(view).to_have_text(before)
    assert len(wire.received) == frames  # type: ignore[attr-defined]  # the fixture's dataclass


def test_the_panel_fits_a_small_screen_without_scrolling(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    for scrolling in (".stMain", ".desk"):
        assert page.locator(scrolling).evaluate("box => box.scrollHeight - box.clientHeight") <= 0, scrolling
    for part in ("Save and next", "Keys"):
        box = page.get_by_role("button", name=part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 800 - 30


def test_reading_starts_from_the_home_page_by_one_click_and_then_by_keys(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader)
    page.get_by_role("button", name="Start reading").click()
    wait_for_case(page, 1)
    assert page.url == f"{server.url}/read?study={STUDY}"
    type_answers(page, range(1))
    wait_for_case(page, 2)
    check_answers(stored_readings(server.store_url, reader), 1)


#: All of one moment: the room, the top of the image, the height of the bar, and how much of the page is scrolled away.
_ROOM = """() => {
  const { shadowRoot } = [...document.querySelectorAll("*")].find((one) => one.shadowRoot?.querySelector(".room"));
  const [room, image] = [".room", "canvas"].map((name) => shadowRoot.querySelector(name).getBoundingClientRect());
  const main = document.querySelector(".stMain");
  const header = document.querySelector(".stAppHeader").getBoundingClientRect().height;
  return [room.left, room.top, room.width, room.bottom, image.top, header, main.scrollHeight - main.clientHeight];
}"""


def test_the_reading_screen_fills_every_window_and_offers_no_menu_of_the_framework(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    for width, height in ((1024, 640), (1366, 650), (1920, 1080), (768, 1024)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("size => innerWidth === size[0] && innerHeight === size[1]", arg=[width, height])
        left, upper, wide, lower, image_at, header, hidden = page.evaluate(_ROOM)
        assert (left, upper, wide, lower) == (0, 44, width, height - 30)
        assert image_at <= 44 + 8  # no lost bar above the image
        assert (header, hidden) == (44, 0)
    expect(page.get_by_test_id("stMainMenu")).to_be_hidden()


def test_a_lost_connection_is_said_at_once_by_the_panel_alone_and_the_answer_is_saved_by_itself(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    type_answers(page, range(1))
    wait_for_case(page, 2)
    status = page.locator("[data-part=status]")
    expect(status).to_have_attribute("data-tone", "saved")
    context.set_offline(True)
    expect(status).to_contain_text("No connection to the server", timeout=1000)
    for key in (*planned(1), "Enter"):
        page.keyboard.press(key)
    expect(status).to_contain_text("Not saved yet: no connection to the server")
    page.wait_for_timeout(5000)
    expect(page.get_by_test_id("stDialog")).to_have_count(0)
    context.set_offline(False)
    wait_for_case(page, 3)
    expect(status).to_contain_text("Case 2 saved, receipt ")
    check_answers(stored_readings(server.store_url, reader), 2)


def test_while_the_store_is_out_of_reach_the_answer_stays_and_is_saved_when_it_is_back(
    own_server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(own_server, reader, "/read")
    type_answers(page, range(1))
    wait_for_case(page, 2)
    wait_for_frame(page, 1)
    store = Path(own_server.store_url.removeprefix("sqlite:///"))
    away = store.with_suffix(".away")
    store.rename(away)
    for key in (*planned(1), "Enter"):
        page.keyboard.press(key)
    status = page.locator("[data-part=status]")
    expect(status).to_have_text(
        "Not saved yet: the store is not available; tell the coordinator. Press Enter to try again."
    )
    expect(page.locator(".room")).to_have_attribute("data-state", "late")  # its image is on the screen again
    page.keyboard.press("4")
    expect(page.locator("[data-part=hint]")).to_have_text("Not taken: the answer is being saved as it stands here.")
    away.rename(store)
    page.keyboard.press("Enter")
    wait_for_case(page, 3)
    expect(status).to_contain_text("Case 2 saved, receipt ")
    check_answers(stored_readings(own_server.store_url, reader), 2)


def test_when_the_study_closes_in_mid_case_the_reader_is_told_and_the_answer_comes_back_as_a_draft(
    own_server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(own_server, reader, "/read")
    type_answers(page, range(1))
    wait_for_case(page, 2)
    wait_for_frame(page, 1)
    engine = open_store(own_server.store_url)
    operator = Repository(engine, OPERATOR)
    operator.set_state(STUDY, StudyState.CLOSED)
    for key in (*planned(1), "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("Case 2 was not saved: the study is not open any more")).to_be_visible()
    operator.set_state(STUDY, StudyState.OPEN)
    engine.dispose()
    page.reload()
    wait_for_case(page, 2)
    expect(page.get_by_role("radio", checked=True)).to_have_count(2)
    expect(page.locator("[data-part=hint]")).to_contain_text("your draft of this case is back")
    page.keyboard.press("Enter")
    wait_for_case(page, 3)
    check_answers(stored_readings(own_server.store_url, reader), 2)


def come_back(page: Page, server: ReadingServer, reader: str, position: int) -> None:
    """Sign in again and read on, at a case of which both choices were kept as a draft."""
    page.get_by_label("Login").fill(reader)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".room-foot .who")
    page.goto(server.url + "/read")
    wait_for_case(page, position)
    expect(page.get_by_role("radio", checked=True)).to_have_count(2)


def test_when_the_sign_in_ends_in_mid_case_the_reader_is_told_and_the_draft_is_back_after_signing_in(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    type_answers(page, range(1))
    wait_for_case(page, 2)
    wait_for_frame(page, 1)
    other = context.new_page()
    other.goto(server.url)
    other.get_by_role("link", name="Sign out").click()
    expect(other.get_by_label("Login")).to_be_visible()
    for key in (*planned(1), "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("You are signed out")).to_be_visible()
    expect(page.get_by_text("Case 2 was not saved: your sign-in has ended")).to_be_visible()
    page.get_by_role("link", name="Sign in again").click()
    come_back(page, server, reader, 2)
    page.keyboard.press("Enter")
    wait_for_case(page, 3)
    check_answers(stored_readings(server.store_url, reader), 2)


def test_a_sign_in_that_ends_while_offline_is_told_when_the_network_is_back_and_the_draft_comes_back(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    type_answers(page, range(1))
    wait_for_case(page, 2)
    wait_for_frame(page, 1)
    context.set_offline(True)
    for key in (*planned(1), "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-part=status]")).to_have_text(
        "Not saved yet: no connection to the server. It goes out by itself when the connection is back."
    )
    context.clear_cookies()
    context.set_offline(False)
    told = page.get_by_text("You are signed out").or_(page.locator("[data-part=card-title]:visible"))
    expect(told.first).to_be_visible(timeout=15_000)
    expect(page.get_by_text("Case 2 was not saved: your sign-in has ended.")).to_be_visible()
    page.wait_for_timeout(450)
    page.get_by_text("Sign in again").click()
    come_back(page, server, reader, 2)
    assert len(stored_readings(server.store_url, reader)) == 1
    page.keyboard.press("Enter")
    wait_for_case(page, 3)
    check_answers(stored_readings(server.store_url, reader), 2)


def test_an_answer_whose_receipt_a_reload_cut_off_is_sent_on_and_told(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], context: BrowserContext, stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    context.route("**/reading/answer", lambda route: route.abort())
    for key in (*planned(0), "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-part=status]")).to_contain_text("Not saved yet", timeout=10_000)
    page.reload()
    expect(page.locator(".room")).to_have_attribute("data-state", re.compile("sending|late"), timeout=15_000)
    page.keyboard.press("4")
    expect(page.locator("[data-part=hint]")).to_have_text("Not taken: the answer is being saved as it stands here.")
    context.unroute("**/reading/answer")
    wait_for_case(page, 2)
    expect(page.locator("[data-part=status]")).to_have_text(receipt_of("Case 1 saved", server, reader, stored_readings))
    check_answers(stored_readings(server.store_url, reader), 1)
    context.route("**/reading/answer", lambda route: route.abort())
    for key in (*planned(1), "Enter"):
        page.keyboard.press(key)
    expect(page.locator("[data-part=status]")).to_contain_text("Not saved yet", timeout=10_000)
    page.get_by_role("link", name=re.compile("Home|Reading Room")).first.click()
    note = page.locator("[data-reading-outcome]")
    expect(note).to_have_text("Case 2 is not saved yet.")
    context.unroute("**/reading/answer")
    expect(note).to_contain_text("Case 2 saved, receipt ", timeout=15_000)
    check_answers(stored_readings(server.store_url, reader), 2)


def test_no_image_is_sent_twice_however_often_it_is_asked_for(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    images = 3 * 96 * 96  # the least that four of them have more than one
    for _ in range(50):  # until the next four are here
        first, *later = [len(one) for one in wire.received if b"draft_key" in one] or [0]
        if later:
            break
        page.wait_for_timeout(200)
    assert later[0] > first + images
    n_frames = len(wire.received)
    again = """() => { const { panel } = [...document.querySelectorAll("*")].map((one) => one.shadowRoot)
      .find((one) => one?.querySelector(".room")).querySelector(".room");
      panel.images.forEach((_, id) => id === panel.header.presentation_id || panel.images.delete(id));
      panel.askNext({ is_open: false }); }"""  # as if they were still on their way
    page.evaluate(again)
    page.wait_for_timeout(1000)
    assert len(wire.received) > n_frames
    assert max(map(len, wire.received[n_frames:])) < first + images
    for key in (*planned(0), "Enter"):
        page.keyboard.press(key)
    wait_for_case(page, 2)  # what was lost indeed is asked for when its turn comes


def test_the_back_button_saves_nothing_and_keeps_the_draft(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader)
    page.get_by_role("button", name="Start reading").click()
    wait_for_case(page, 1)
    for key in planned(0):
        page.keyboard.press(key)
    page.go_back()
    expect(page.get_by_role("button", name="Start reading")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    # Not by the browser's forward button: Streamlit enters an overtaken run's page as a new address and drops the rest.
    page.get_by_role("button", name="Start reading").click()
    wait_for_case(page, 1)
    expect(page.get_by_role("radio", checked=True)).to_have_count(2)
    assert stored_readings(server.store_url, reader) == []


def test_the_end_names_the_last_receipt_and_promises_no_results(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader, "/read")
    type_answers(page, range(N_CASES))
    wait_for_end(page)
    code = stored_readings(server.store_url, reader)[-1].reading_id[:4].upper()
    expect(page.get_by_text(f"The last one has the receipt {code}.")).to_be_visible()
    expect(page.get_by_text("go to its coordinator, not to this screen")).to_be_visible()
    page.get_by_role("button", name="Correct my last answer").click()
    expect(page.locator("[data-part=notice]")).to_have_text(f"Correcting case {N_CASES}")
    expect(page.locator(".room")).to_have_attribute("data-state", "correcting")
    page.keyboard.press("Escape")
    wait_for_end(page)
