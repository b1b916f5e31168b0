"""Every key and click of the reading panel in every state, as docs/reading-panel.md draws them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext

from core.study import Answer
from pages.widgets.reading_panel import ReceiptState
from tests.pages.panel_bench import FOLDER, Bench, table_of_the_docs

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


def to_offline(bench: Bench) -> None:
    to_empty(bench)
    bench.wait("empty")
    bench.page.context.set_offline(True)


def to_late(bench: Bench) -> None:
    _sent(bench)
    bench.feed(2, ReceiptState.TRY_AGAIN)


def to_paused(bench: Bench) -> None:
    _answered(bench)
    bench.press("p")


def to_sheet(bench: Bench) -> None:
    _answered(bench)
    bench.press("?")


def to_dialog(bench: Bench) -> None:
    _answered(bench)
    bench.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<div data-testid=stDialog>Other</div>')")


def to_closed(bench: Bench) -> None:
    _answered(bench)
    bench.page.evaluate("close()")


ROADS: dict[str, Callable[[Bench], None]] = {
    "drawing": to_drawing, "saved": to_saved, "empty": to_empty, "chosen": _answered, "refused": to_refused,
    "correcting": to_correcting, "offline": to_offline, "sending": _sent, "late": to_late, "paused": to_paused,
    "sheet": to_sheet, "dialog": to_dialog, "closed": to_closed,
}  # fmt: skip


def check(deed: str, before: dict, after: dict, sent: list[dict], where: str) -> None:
    """What the deed changes has changed, and nothing else has."""
    changed = {name for name in before if before[name] != after[name]} - {"hint"}
    expected = {
        "choose": {"answer"}, "comment": {"isWriting"}, "send": {"n_sent"}, "retry": {"n_sent"}, "correct": {"n_sent"},
        "cancel": {"n_sent"}, "view": {"view"}, "pause": {"covers"}, "resume": {"covers"}, "openSheet": {"covers"},
        "closeSheet": {"covers"},
    }.get(deed, set())  # fmt: skip
    assert changed == expected, where
    refusals = {"drop": "ot taken", "lock": "ot taken", "cover": "ot taken", "offline": "No connection"}
    if deed in refusals:
        assert refusals[deed] in after["hint"], where
    elif deed in ("ask", "save"):  # "save" without a complete answer, as here, asks
        assert after["hint"].startswith("Choose a diagnosis first"), where
    elif deed in ("nothing", "wait"):
        assert after["hint"] == before["hint"], where
    elif expected == {"n_sent"}:
        kind = {"send": "answer", "retry": "answer"}.get(deed, deed)
        assert sent[-1]["kind"] == kind, where
        assert (deed == "retry") == (len(sent) > 1 and sent[-1]["submit_id"] == sent[-2]["submit_id"]), where


@pytest.mark.parametrize("state", ROADS)
def test_every_key_and_click_does_what_the_table_says(state: str, context: BrowserContext) -> None:
    row = table_of_the_docs()[state]
    bench = Bench(context)
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
                if not button.is_visible() or button.is_disabled():
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
    bench = Bench(context)
    _sent(bench)
    bench.press("1")
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("empty")
    bench.press("q", "Enter", "2", "w", "Enter")
    assert bench.seen()["answer"] == '[[],""]'
    assert bench.seen()["hint"] == "Typed before this image: not taken. Wait a moment, then answer."
    bench.page.wait_for_timeout(700)
    bench.press("3", "r", "Enter")
    assert [message["class_key"] for message in bench.sent()] == ["normal", "sat"]
    assert bench.sent()[-1]["display_state"]["keys_dropped_before_image"] == 6


def test_without_a_receipt_for_three_seconds_the_answer_is_called_not_saved_yet(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.page.clock.install()
    _sent(bench)
    status = bench.page.locator("[data-part=status]")
    bench.page.clock.run_for(2900)
    assert status.inner_text() == "Saving …"
    bench.page.clock.run_for(200)
    assert status.inner_text() == "Not saved yet. Press Enter to try again."
    bench.page.clock.run_for(6100)  # and it goes on trying without being asked
    assert len(bench.sent()) == 3
    assert len({message["submit_id"] for message in bench.sent()}) == 1


def test_a_pause_stays_over_the_next_case_and_its_clock_stands(context: BrowserContext) -> None:
    bench = Bench(context)
    _sent(bench)
    bench.press("p")
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("paused")
    bench.page.wait_for_timeout(400)
    bench.press("1", "q")
    assert bench.page.evaluate("room.panel.seconds()") == 0
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


def test_a_line_cut_without_a_word_is_found_by_the_pulse(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.page.clock.install()
    bench.feed(2)
    bench.wait("empty")
    bench.page.route("**/_stcore/health", lambda route: route.abort())
    bench.page.clock.run_for(5100)
    bench.wait("offline")
    bench.page.unroute("**/_stcore/health")
    bench.page.clock.run_for(5100)
    bench.wait("empty")
