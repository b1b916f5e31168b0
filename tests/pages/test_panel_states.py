"""Every key and click of the reading panel in every state, as docs/reading-panel.md draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from core.protocol import Arm, Protocol
from core.study import Answer, Presentation, Study, StudyState
from pages.door.answers import ReceiptState
from pages.widgets.reading_panel import PanelCase, pack_frame
from tests.pages.panel_bench import FOLDER, STARTED, Bench, image_of, table_of_the_docs
from tests.pages.reading_server import phantom_pixels

pytestmark = pytest.mark.browser

#: What a reader can press for each intent; "click X" clicks the button whose ``data-key`` is X.
KEYS = {
    "choose": ("4", "t", "Numpad1", "x", "click class 3", "click step 1", "click X"),
    "comment": ("c",),
    "save": ("Enter", "Space", "click Enter"),
    "correct": ("u", "click U"),
    "leave": ("Escape",),
    "view": ("i", "m", "n", "o", "+", "ArrowLeft", "[", "Shift+]", "click I", "click M"),
    "pause": ("p", "click P"),
    "sheet": ("?", "click ?"),
}


def training(place: Presentation) -> Presentation:
    """The same place, as a training case."""
    return replace(place, is_training=True)


def _answered(bench: Bench) -> None:
    bench.feed(2)
    bench.wait("empty")
    bench.press("2", "e")


def _sent(bench: Bench) -> None:
    _answered(bench)
    bench.press("Enter")


def to_drawing(bench: Bench) -> None:
    bench.page.evaluate("isHolding = true")
    bench.feed(2)


def to_saved(bench: Bench) -> None:
    _sent(bench)
    bench.page.evaluate("isHolding = true")
    bench.feed(3, ReceiptState.SAVED)


def to_empty(bench: Bench) -> None:
    bench.feed(2)


def to_refused(bench: Bench) -> None:
    _sent(bench)
    bench.feed(2, ReceiptState.REFUSED)


def to_correcting(bench: Bench) -> None:
    bench.feed(2, previous=Answer("normal", 3))


def to_over(bench: Bench) -> None:
    bench.protocol = replace(bench.protocol, timeout_seconds=1)
    _answered(bench)
    bench.page.evaluate("room.panel.beOverTime()")


def to_offline(bench: Bench) -> None:
    to_empty(bench)
    bench.wait("empty")
    bench.page.context.set_offline(True)


def to_late(bench: Bench) -> None:
    _sent(bench)
    bench.feed(2, ReceiptState.TRY_AGAIN)


def to_ahead(bench: Bench) -> None:
    bench.feed(2, n_ahead=2)
    bench.wait("empty")
    bench.press("2", "e", "Enter")


def to_queued(bench: Bench) -> None:
    to_ahead(bench)
    bench.wait("ahead")
    bench.press("4", "t", "Enter")


def to_paused(bench: Bench) -> None:
    _answered(bench)
    bench.press("p")


def to_sheet(bench: Bench) -> None:
    _answered(bench)
    bench.press("?")


def to_feedback(bench: Bench) -> None:
    bench.feed(2, place=training)
    bench.wait("empty")
    bench.press("2", "e", "Enter")
    bench.feed(3, ReceiptState.SAVED, place=training, feedback="sat")


def to_card(bench: Bench) -> None:
    bench.protocol = replace(bench.protocol, instructions="Read every image.")
    bench.feed(1)


def to_dialog(bench: Bench) -> None:
    _answered(bench)
    bench.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<div data-testid=stDialog>Other</div>')")


def to_closed(bench: Bench) -> None:
    _answered(bench)
    bench.page.evaluate("close()")


ROADS: dict[str, Callable[[Bench], None]] = {
    "drawing": to_drawing, "saved": to_saved, "empty": to_empty, "chosen": _answered, "refused": to_refused,
    "correcting": to_correcting, "over": to_over, "offline": to_offline, "sending": _sent,
    "late": to_late, "ahead": to_ahead,
    "queued": to_queued, "feedback": to_feedback, "paused": to_paused, "sheet": to_sheet, "card": to_card,
    "dialog": to_dialog, "closed": to_closed,
}  # fmt: skip


def check(deed: str, before: dict, after: dict, sent: list[dict], where: str) -> None:
    """What the deed changes has changed, and nothing else has."""
    if deed == "goOn":
        assert after["state"] != before["state"], where
        return
    changed = {name for name in before if before[name] != after[name]} - {"hint", "state"}
    expected = {
        "choose": {"answer"}, "comment": {"isWriting"}, "send": {"n_sent"}, "retry": {"n_sent"}, "correct": {"n_sent"},
        "cancel": {"n_sent"}, "view": {"view"}, "pause": {"covers"}, "resume": {"covers"}, "openSheet": {"covers"},
        "closeSheet": {"covers"}, "sendOver": {"n_sent"},
    }.get(deed, set())  # fmt: skip
    assert changed == expected, where
    refusals = {
        "drop": "ot taken",
        "lock": "ot taken",
        "cover": "ot taken",
        "tick": "ot taken",
        "told": "ot taken",
        "over": "ot taken",
        "offline": "No connection",
    }
    if deed in refusals:
        assert refusals[deed] in after["hint"], where
    elif deed in ("ask", "save", "queue"):  # "save" without a complete answer, as here, asks
        assert after["hint"].startswith("Choose a diagnosis first"), where
    elif deed in ("nothing", "wait", "cancelOver"):
        assert after["hint"] == before["hint"], where
    elif expected == {"n_sent"}:
        kind = {"send": "answer", "sendOver": "answer", "retry": "answer"}.get(deed, deed)
        assert sent[-1]["kind"] == kind, where
        is_sent_again = deed in ("retry", "sendOver")  # what stood when the time was over was sent in that moment
        assert is_sent_again == (len(sent) > 1 and sent[-1]["submit_id"] == sent[-2]["submit_id"]), where


@pytest.mark.parametrize("state", ROADS)
def test_every_key_and_click_does_what_the_table_says(state: str, context: BrowserContext) -> None:
    row = table_of_the_docs()[state]
    bench = Bench(context, is_sending_again=False)
    for intent, keys in KEYS.items():
        for key in keys:
            where = f"{key!r} while {state}"
            bench.renew()
            ROADS[state](bench)
            if state not in ("drawing", "saved", "closed"):
                bench.wait(state)
            assert bench.state() == state
            before = bench.seen()
            if key.startswith("click "):
                button = bench.page.locator(
                    f".desk button[data-key='{key[6:]}'], .view-bar button[data-key='{key[6:]}']"
                )
                if not button.is_visible() or button.is_disabled() or state == "card":  # a card lies over all of it
                    continue
                button.click(force=True)
            else:
                bench.press(key)
            check(row[intent], before, bench.seen(), bench.sent(), where)


def test_the_table_of_the_docs_is_the_table_of_the_panel(context: BrowserContext) -> None:
    page = context.new_page()
    page.add_script_tag(content=(FOLDER / "states.js").read_text(encoding="utf-8"))
    states = page.evaluate("STATES")
    intents = page.evaluate("INTENTS")
    assert {state: dict(zip(intents, deeds, strict=True)) for state, deeds in states.items()} == table_of_the_docs()
    assert list(ROADS) == list(states)
    assert list(KEYS) == intents


def test_keys_and_clicks_made_before_the_image_are_dropped_however_late_they_arrive(context: BrowserContext) -> None:
    """The browser was busy: it hands over keys and a click that are older than the image on the screen."""
    bench = Bench(context)
    bench.feed(1)
    bench.wait("empty")
    bench.page.evaluate(
        """() => {
          const value = room.panel.drawnAt - 1;
          const old = (event) => Object.defineProperty(event, "timeStamp", { value });
          const options = { bubbles: true, composed: true, cancelable: true };
          for (const [key, code] of [["1", "Digit1"], ["q", "KeyQ"], ["Enter", "Enter"]]) {
            document.body.dispatchEvent(old(new KeyboardEvent("keydown", { key, code, ...options })));
          }
          const radio = room.querySelector("[data-key='class 2']");
          radio.dispatchEvent(old(new PointerEvent("pointerdown", { ...options, pointerType: "mouse" })));
          radio.dispatchEvent(new PointerEvent("click", { ...options, pointerType: "mouse" }));
        }"""
    )
    assert bench.state() == "empty"
    assert bench.sent() == []
    assert bench.seen()["answer"] == '[[],""]'
    assert "not taken" in bench.seen()["hint"]


def test_what_is_typed_in_one_go_answers_no_image_that_came_in_the_middle(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False, burst_ms=60_000)  # one go, however slow this machine is
    _sent(bench)
    bench.press("1")
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("empty")
    bench.press("q", "Enter", "2", "w", "Enter")
    assert bench.seen()["answer"] == '[[],""]'
    assert bench.seen()["hint"] == "Typed before this image: not taken. Wait a moment, then answer."
    bench.page.evaluate("room.panel.lastAt -= 60000")
    bench.press("3", "r", "Enter")
    assert [message["class_key"] for message in bench.sent()] == ["normal", "sat"]
    assert bench.sent()[-1]["display_state"]["keys_dropped_before_image"] == 6


def test_without_a_receipt_for_three_seconds_the_answer_is_called_not_saved_yet(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.page.clock.install()
    _sent(bench)
    status = bench.page.locator("[data-part=status]")
    bench.page.clock.run_for(2000)
    assert status.inner_text() == "Saving …"
    bench.page.clock.run_for(1100)
    assert status.inner_text() == "Not saved yet. Press Enter to try again."
    bench.page.clock.run_for(5000)  # and it goes on trying without being asked, less and less often
    assert len(bench.sent()) == 3
    assert len({message["submit_id"] for message in bench.sent()}) == 1
    bench.press("1")
    assert "is being saved as it stands" in bench.seen()["hint"]
    bench.page.clock.run_for(4000)
    bench.feed(3, ReceiptState.SAVED)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    assert bench.seen()["hint"] == "", "what was told when it was typed is not told again on the next image"


def test_a_pause_stays_over_the_next_case_and_its_clock_stands(context: BrowserContext) -> None:
    bench = Bench(context)
    _sent(bench)
    bench.press("p")
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("paused")
    bench.page.wait_for_timeout(400)
    bench.press("1", "q")
    assert bench.page.evaluate("room.panel.clock.seconds()") == 0
    bench.press("p")
    bench.wait("empty")
    assert len(bench.sent()) == 1


def test_a_lost_connection_takes_the_green_receipt_away(context: BrowserContext) -> None:
    bench = Bench(context)
    _sent(bench)
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("empty")
    status = bench.page.locator("[data-part=status]")
    assert status.inner_text().startswith("Case 2 saved, receipt 7F3A, ")
    assert status.get_attribute("data-tone") == "saved"
    context.set_offline(True)
    bench.wait("offline")
    assert status.inner_text().startswith("No connection to the server.")
    assert status.get_attribute("data-tone") == "alert"


_APP = """'<div data-testid="stApp" data-test-connection-state="CONNECTED"></div>'"""


@pytest.mark.parametrize("is_sent", [False, True], ids=["nothing to save", "an answer on its way"])
def test_a_broken_connection_is_said_at_once_and_quietly_while_another_server_may_take_over(
    is_sent: bool, context: BrowserContext
) -> None:
    bench = Bench(context, is_sending_again=False, burst_ms=0)
    bench.page.evaluate(f"document.body.insertAdjacentHTML('beforeend', {_APP})")
    bench.page.clock.install()
    bench.feed(1)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    bench.press("1", "q", "Enter")
    bench.feed(2, ReceiptState.SAVED)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    status = bench.page.locator("[data-part=status]")
    assert status.get_attribute("data-tone") == "saved"
    if is_sent:
        bench.press("2", "e", "Enter")

    def connect(state: str) -> None:
        bench.page.evaluate(
            "state => { document.querySelector('[data-testid=stApp]').dataset.testConnectionState = state; }", state
        )

    connect("PINGING_SERVER")
    quiet = "Not saved yet: connecting again …" if is_sent else "Connecting again …"
    expect(status).to_have_text(quiet)
    assert status.get_attribute("data-tone") == ""  # neither a green receipt nor an alarm
    assert bench.state() == ("sending" if is_sent else "empty")
    connect("CONNECTED")
    expect(status).to_contain_text("Saving …" if is_sent else "Case 1 saved, receipt 7F3A")  # as before
    connect("PINGING_SERVER")
    expect(status).to_have_text(quiet)
    bench.page.clock.run_for(2100)
    expect(status).to_contain_text("ot saved yet: no connection" if is_sent else "No connection to the server.")
    assert status.get_attribute("data-tone") == "alert"
    assert bench.state() == ("late" if is_sent else "offline")
    if is_sent:
        bench.feed(3, ReceiptState.SAVED)  # by another road than the one that is broken
        expect(status).to_contain_text("Case 2 saved, receipt 7F3A")
        assert status.get_attribute("data-tone") == ""
        connect("CONNECTED")
        expect(status).to_have_attribute("data-tone", "saved")
        expect(status).to_contain_text("Case 2 saved, receipt 7F3A")


def test_a_line_cut_without_a_word_is_found_by_the_pulse(context: BrowserContext) -> None:
    bench = Bench(context, is_pulsing=True)
    bench.page.clock.install()
    bench.feed(2)
    bench.wait("empty")
    bench.page.route("**/reading/pulse/panel", lambda route: route.abort())
    bench.page.clock.run_for(5100)
    bench.wait("offline")
    bench.page.unroute("**/reading/pulse/panel")
    bench.page.clock.run_for(5100)
    bench.wait("empty")


def test_a_line_that_swallows_everything_is_told_within_five_seconds_and_nothing_is_green_meanwhile(
    context: BrowserContext,
) -> None:
    bench = Bench(context, burst_ms=0, is_pulsing=True)
    bench.page.clock.install()
    _sent(bench)
    bench.feed(3, ReceiptState.SAVED)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    held: list[Route] = []
    bench.page.route("**/reading/pulse/panel", lambda route: held.append(route))  # no reply, and no error
    status = bench.page.locator("[data-part=status]")
    assert status.get_attribute("data-tone") == "saved"
    bench.page.clock.run_for(4600)
    assert (status.inner_text(), status.get_attribute("data-tone")) == ("Connecting again …", "")
    bench.page.clock.run_for(2000)
    assert status.inner_text().startswith("No connection to the server.")
    assert bench.state() == "offline"
    bench.page.unroute("**/reading/pulse/panel")
    held[0].fulfill(status=200)
    bench.wait("empty")
    expect(status).to_have_text("The connection is back.")


# ---- the next image is in the browser already ----------------------------------------------------------------------


def _answer_with_next(bench: Bench) -> None:
    bench.feed(2, n_ahead=2)
    bench.wait("empty")
    bench.press("2", "e", "i", "Enter")
    bench.wait("ahead")


def _on_screen(bench: Bench) -> tuple[str, int]:
    """Position on the panel, and which phantom the canvas shows."""
    position = bench.page.locator("[data-part=position]").inner_text()
    pixels = bench.page.evaluate("Array.from(room.panel.viewer.image.pixels)")
    number = next(at for at in range(1, 21) if (phantom_pixels(2 * at).ravel() == pixels).all())
    return position, number


def test_enter_shows_the_next_image_at_once_and_saves_it_after_the_receipt_of_the_last(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    _answer_with_next(bench)
    assert _on_screen(bench) == ("Case 3 of 20", 3)
    bench.press("4", "Enter")
    assert bench.seen()["hint"].startswith("Choose a confidence first")
    bench.press("t", "Enter")
    assert bench.state() == "queued"
    assert bench.seen()["hint"] == "Case 3 is saved after case 2."
    bench.press("1", "q", "Enter")  # what was typed behind that Enter was meant for the case after it
    assert bench.seen()["hint"] == "Not taken: the answer is saved as it stands here."
    (answer,) = bench.sent()
    assert (answer["presentation_id"], answer["class_key"], answer["confidence"]) == ("presentation-2", "normal", 3)
    assert answer["display_state"]["colour_table"] == "grey"  # as the reader saw case 2, not case 3
    bench.feed(3, ReceiptState.SAVED, n_ahead=2, omit=(3, 4))
    bench.wait("ahead")
    assert _on_screen(bench) == ("Case 4 of 20", 4)
    queued = bench.sent()[-1]
    assert (queued["presentation_id"], queued["class_key"], queued["confidence"]) == ("presentation-3", "tumor", 5)
    assert queued["events"][-1][0] == "submitted"
    assert not queued["is_typed_ahead"]
    bench.feed(4, ReceiptState.SAVED, n_ahead=2, omit=(4, 5))
    bench.wait("empty")
    assert bench.seen()["answer"] == '[[],""]'
    assert bench.page.locator("[data-part=status]").inner_text().startswith("Case 3 saved, receipt 7F3A")


def test_an_enter_that_waits_is_a_draft_again_when_the_last_answer_is_not_saved(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    to_queued(bench)
    bench.feed(2, ReceiptState.TRY_AGAIN, n_ahead=2, omit=(2, 3, 4))
    bench.wait("late")
    assert _on_screen(bench) == ("Case 2 of 20", 2)
    bench.feed(3, ReceiptState.SAVED, n_ahead=2, omit=(3, 4))
    bench.wait("chosen")
    assert _on_screen(bench) == ("Case 3 of 20", 3)
    assert bench.seen()["answer"] == '[["class 4","step 5"],""]'
    assert {one["presentation_id"] for one in bench.sent()} == {"presentation-2"}


def test_a_frame_that_is_older_than_the_receipt_takes_nobody_back(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    _answer_with_next(bench)
    receipt = {"submit_id": bench.sent()[0]["submit_id"], "state": "saved", "code": "7F3A", "saved_at": "2026-01-02"}
    assert bench.page.evaluate("receipt => reply(receipt)", receipt)
    bench.feed(2, n_ahead=2)  # it was on its way before the answer was saved
    bench.wait("empty")
    assert _on_screen(bench) == ("Case 3 of 20", 3)
    bench.press("1", "q", "Enter")
    assert bench.sent()[-1]["presentation_id"] == "presentation-3"


@pytest.mark.parametrize("reply", [ReceiptState.TRY_AGAIN, None], ids=["store busy", "no receipt"])
def test_a_late_answer_brings_the_reader_back_to_its_case(reply: ReceiptState | None, context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False, is_patient=False)
    _answer_with_next(bench)
    if reply is not None:
        bench.feed(2, reply, n_ahead=2, omit=(2, 3, 4))
    bench.wait("late")
    assert _on_screen(bench) == ("Case 2 of 20", 2)
    assert bench.seen()["answer"] == '[["class 2","step 3"],""]'
    assert '"colour_table":"grey"' in bench.seen()["view"]
    bench.press("4")
    assert bench.seen()["hint"] == "Not taken: the answer is being saved as it stands here."
    bench.feed(3, ReceiptState.SAVED, n_ahead=2, omit=(3, 4))
    bench.wait("empty")
    assert _on_screen(bench) == ("Case 3 of 20", 3)
    assert bench.seen()["answer"] == '[[],""]'


def test_what_was_chosen_for_the_next_case_is_a_draft_when_the_last_answer_comes_back(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    _answer_with_next(bench)
    bench.press("4", "t")
    bench.feed(2, ReceiptState.TRY_AGAIN, n_ahead=2, omit=(2, 3, 4))
    bench.wait("late")
    assert _on_screen(bench) == ("Case 2 of 20", 2)
    assert bench.seen()["answer"] == '[["class 2","step 3"],""]'
    bench.press("Enter")
    assert {one["class_key"] for one in bench.sent()} == {"normal"}
    bench.feed(3, ReceiptState.SAVED, n_ahead=2, omit=(3, 4))
    bench.wait("chosen")
    assert _on_screen(bench) == ("Case 3 of 20", 3)
    assert bench.seen()["answer"] == '[["class 4","step 5"],""]'
    bench.press("Enter")
    assert (bench.sent()[-1]["presentation_id"], bench.sent()[-1]["class_key"]) == ("presentation-3", "tumor")


def test_a_refused_answer_brings_its_case_back_as_a_draft(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    _answer_with_next(bench)
    bench.feed(2, ReceiptState.REFUSED, n_ahead=2, omit=(2, 3, 4))
    bench.wait("refused")
    assert _on_screen(bench) == ("Case 2 of 20", 2)
    bench.press("4", "Enter")
    assert [one["class_key"] for one in bench.sent()] == ["normal", "tumor"]
    assert len({one["submit_id"] for one in bench.sent()}) == 2


def test_a_case_that_was_answered_elsewhere_meanwhile_gives_way_to_the_one_that_is_next(
    context: BrowserContext,
) -> None:
    bench = Bench(context, is_sending_again=False)
    _answer_with_next(bench)
    bench.feed(4, ReceiptState.SAVED, n_ahead=1)
    bench.wait("empty")
    assert _on_screen(bench) == ("Case 4 of 20", 4)


def test_no_image_but_of_this_case_and_the_next_ones_stays_in_the_page(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    _answer_with_next(bench)
    bench.feed(3, ReceiptState.SAVED, n_ahead=2, omit=(3, 4))
    bench.wait("empty")
    assert bench.page.evaluate("[...room.panel.images.keys()]") == [f"presentation-{at}" for at in (3, 4, 5)]
    bench.page.evaluate("window.old = room.panel; close()")
    assert bench.page.evaluate("[old.images.size, old.viewer.image, old.viewer.canvas.width]") == [0, None, 0]


def test_an_image_that_is_missing_in_the_browser_is_asked_for(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2, omit=(2,))
    (asked,) = bench.sent()
    assert (asked["kind"], asked["have"]) == ("images", [])
    bench.feed(2, ReceiptState.DONE)
    bench.wait("empty")
    assert _on_screen(bench) == ("Case 2 of 20", 2)


def test_an_image_counts_as_seen_when_it_is_drawn_and_is_told_until_the_server_knows(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False, is_pulsing=True)
    told: list[str] = []
    statuses = [503, 503, 204, 204, 204]

    def answer(route: Route) -> None:
        told.append(route.request.post_data or "")
        route.fulfill(status=statuses.pop(0))

    bench.page.route("**/reading/shown", answer)
    bench.page.clock.install()
    bench.feed(2, n_ahead=2)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    bench.page.wait_for_timeout(100)
    bench.page.clock.run_for(800)
    bench.page.wait_for_timeout(100)
    assert told == ["presentation-2"] * 2  # at once again: the server's clock of the case begins with it
    bench.page.clock.run_for(5100)
    bench.page.wait_for_timeout(100)
    assert told == ["presentation-2"] * 3  # nothing of 3 and 4, which are in the browser too
    bench.press("2", "e", "Enter")
    bench.page.clock.run_for(100)
    bench.wait("ahead")
    bench.page.wait_for_timeout(100)
    assert told[3:] == ["presentation-3"]


def test_the_next_images_are_asked_for_when_the_first_is_drawn(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.page.clock.install()
    bench.feed(2, n_ahead=2, omit=(3, 4))  # as a browser gets it that has no images yet
    assert bench.page.evaluate("asks") == []
    bench.page.clock.run_for(100)
    bench.wait("empty")
    for _ in range(30):  # the reply lets wait: asked again, on a line that seems slow after a while
        if len(asks := bench.page.evaluate("asks")) > 1:
            break
        bench.page.clock.run_for(1000)
    assert [(one["have"], one["is_open"]) for one in asks] == [(["presentation-2"], False)] * 2
    assert asks[0]["submit_id"] == asks[1]["submit_id"]
    assert bench.page.locator("[data-part=hint]").inner_text() == ""  # nobody waits for them


@pytest.mark.parametrize("status", [401, 410])
def test_an_idle_tab_looks_again_when_the_pulse_says_that_reading_is_over(status: int, context: BrowserContext) -> None:
    bench = Bench(context, is_pulsing=True)
    bench.page.clock.install()
    bench.feed(2)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    bench.page.route("**/reading/pulse/panel", lambda route: route.fulfill(status=status))
    bench.page.clock.run_for(2600)
    bench.page.wait_for_timeout(200)
    assert [one["kind"] for one in bench.sent()] == ["look"]


def test_the_clock_of_a_case_goes_out_with_its_answer(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    bench.page.clock.install()
    bench.feed(2, n_ahead=1)
    bench.page.clock.run_for(50)
    bench.wait("empty")
    bench.page.clock.run_for(1000)
    bench.press("2")
    bench.page.clock.run_for(1000)
    bench.press("p")
    bench.page.clock.run_for(2000)
    bench.press("p")
    bench.page.clock.run_for(61_000)
    bench.press("e")
    bench.page.clock.run_for(500)
    bench.press("Enter")
    (answer,) = bench.sent()
    names = [name for name, _ in answer["events"]]
    assert names == ["shown", "first", "covered", "uncovered", "idle", "active", "submitted"]
    times = [ms for _, ms in answer["events"]]
    assert times[0] == 0
    assert times == sorted(times)
    assert 65_400 <= times[-1] <= 70_000
    covered_ms = times[3] - times[2]
    assert answer["reading_seconds"] == pytest.approx((times[-1] - covered_ms) / 1000, abs=0.05)


def test_every_frame_of_a_study_has_one_length(context: BrowserContext) -> None:
    lengths = set()
    for spacing in (None, 2.2, 2.205_882_352):
        for number in (2, 40):
            image = image_of(phantom_pixels(number), spacing)
            place = Presentation("presentation", Arm.UNAIDED, 3, 20)
            study = Study("panel", Protocol("Panel"), 1, StudyState.OPEN, True, STARTED)
            lengths.add(len(pack_frame(PanelCase(place, 2), study, None, {"presentation": image})))
    assert len(lengths) == 1
