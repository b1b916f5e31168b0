"""Promises of the panel where two rules meet: whose draft comes back, what a key means, which marks an answer bears."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from playwright.sync_api import BrowserContext, expect

from core.client_events import reading_times
from core.protocol import Arm, Design, ModelShown, Protocol, ReadingConditions, Scale, ScaleKind
from core.study import Answer, Presentation
from db.records import ReadingView
from pages.door import answers
from pages.door.answers import PanelReceipt, ReceiptState, read_message
from pages.widgets.reading_panel import case_number
from tests.pages.panel_bench import Bench
from tests.pages.reading_server import phantom_pixels
from tests.pages.test_panel_protocol import hint, shown_model, started, stored
from tests.pages.test_panel_states import training

pytestmark = pytest.mark.browser


def test_a_draft_never_comes_back_on_another_case(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    bench.press("2", "e", "Enter")
    bench.feed(3, ReceiptState.REFUSED, omit=(3,))  # answered in another window; the next image is not here
    bench.page.wait_for_function("sent.length === 2")
    bench.feed(3, ReceiptState.DONE)
    bench.wait("empty")
    assert bench.seen()["answer"] == '[[],""]'


REFUSED_AT_THE_DOOR = {
    (401, ""): answers.SIGNED_OUT,
    (403, "address"): answers.WRONG_ADDRESS,
    (403, "password"): answers.SET_BY_OTHERS,
    (403, ""): answers.NOT_LET_THROUGH,
    (413, ""): answers.DOES_NOT_FIT,
}


@pytest.mark.parametrize(("status", "kind"), REFUSED_AT_THE_DOOR)
def test_each_refusal_at_the_door_has_its_own_words_and_the_answer_stays_a_draft(
    status: int, kind: str, context: BrowserContext
) -> None:
    bench = started(context, Protocol("P"), n_ahead=1)
    bench.press("2", "e", "Enter")
    bench.wait("ahead")
    bench.page.evaluate("([status, kind]) => refuse(status, kind)", [status, kind])
    bench.wait("refused")
    said = REFUSED_AT_THE_DOOR[status, kind]
    shown = said.replace(
        "Not saved: ", "Your answer to case 2 is not saved: "
    )  # the next case may be on the screen by then
    assert bench.page.locator("[data-part=status]").inner_text() == shown
    assert bench.seen()["answer"] == '[["class 2","step 3"],""]'
    asked = bench.page.evaluate("asks.at(-1)")
    assert read_message(asked).unsaved == said  # a screen without the panel says the same


def test_what_esc_discards_in_a_correction_does_not_come_back(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    saved = Answer("graves", 5)
    for _ in range(2):
        bench.press("u")
        bench.feed(1, ReceiptState.DONE, previous=saved)
        bench.wait("correcting")
        assert bench.seen()["answer"] == '[["class 1","step 5"],""]'
        bench.press("4", "Escape")
        bench.feed(2, ReceiptState.DONE)
        bench.wait("empty")


def test_the_answer_just_saved_can_be_corrected_before_the_next_frame_has_come(context: BrowserContext) -> None:
    """The frame of the first case, by which nothing can be corrected, is older than the answer to it."""
    bench = Bench(context, Protocol("P"), is_sending_again=False)
    bench.feed(1, n_ahead=1)
    bench.wait("empty")
    assert bench.page.locator("[data-part=correct]").is_disabled()
    bench.press("2", "e", "Enter")
    bench.wait("ahead")
    saved = PanelReceipt(bench.sent()[-1]["submit_id"], ReceiptState.SAVED, "", "7F3A", "2026-01-02T03:04:05+00:00")
    bench.page.evaluate("receipt => reply(receipt)", asdict(saved))
    bench.wait("empty")
    assert bench.page.locator("[data-part=correct]").is_enabled()
    bench.press("u")
    assert [each["kind"] for each in bench.sent()] == ["answer", "correct"]
    bench.feed(2, ReceiptState.DONE)
    assert hint(bench) == "There is no saved answer to correct."  # as the server says


def test_keys_before_the_image_count_though_the_receipt_comes_first(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"), n_ahead=1)
    bench.page.evaluate("isHolding = true")
    bench.press("2", "e", "Enter", "4")
    bench.feed(3, ReceiptState.SAVED)
    bench.draw(is_held=False)
    bench.wait("empty")
    assert hint(bench) == "Typed before this image: not taken. Wait a moment, then answer."
    bench.page.wait_for_timeout(700)
    bench.press("1", "q", "Enter")
    assert stored(bench).display_state["keys_dropped_before_image"] == 1


def typing_ahead(context: BrowserContext, **given: object) -> Bench:
    """An answer that is on its way, and the next image not drawn yet."""
    bench = started(context, Protocol("P", may_type_ahead=True, **given), n_ahead=2)  # type: ignore[arg-type]
    bench.page.evaluate("isHolding = true")
    return bench


def drawn(bench: Bench) -> None:
    """The receipt and the next image."""
    bench.feed(3, ReceiptState.SAVED, n_ahead=2)
    bench.draw(is_held=False)


def test_what_stands_behind_a_key_that_cannot_be_typed_ahead_is_not_taken_either(context: BrowserContext) -> None:
    bench = typing_ahead(context, has_location_mark=True)
    bench.press("2", "e", "Enter", "l", "3", "r", "Enter")  # a mark first: it has no place yet
    assert hint(bench).startswith("Typed before this image: not taken.")
    drawn(bench)
    bench.wait("empty")
    assert len(bench.sent()) == 1  # no answer without its mark
    percent = typing_ahead(context, scale=Scale(ScaleKind.PERCENT))
    percent.press("2", "e", "Enter", "3", "t", "1", "2")
    drawn(percent)
    percent.wait("empty")
    assert percent.seen()["answer"] == '[["class 3"],""]'  # "t12" was no diagnosis


def test_probabilities_are_not_typed_ahead(context: BrowserContext) -> None:
    bench = typing_ahead(context, scale=Scale(ScaleKind.PROBABILITIES))
    bench.press("1")
    bench.page.keyboard.type("100")
    bench.press("Enter", "2")
    assert hint(bench).startswith("Typed before this image: not taken.")


def test_an_enter_too_many_marks_nothing_as_typed_ahead(context: BrowserContext) -> None:
    bench = typing_ahead(context)
    bench.press("2", "e", "Enter", "Enter")
    drawn(bench)
    bench.wait("empty")
    bench.press("1", "q", "Enter")
    assert not stored(bench).is_typed_ahead


def test_both_halves_of_a_sequential_case_have_one_number() -> None:
    sequential = Protocol("P", design=Design.SEQUENTIAL)
    assert [case_number(position, sequential) for position in range(1, 5)] == [1, 1, 2, 2]
    assert case_number(3, Protocol("P")) == 3


def test_an_aided_case_waits_for_the_model(context: BrowserContext) -> None:
    def paired(place: Presentation) -> Presentation:
        return replace(place, arm=Arm.UNAIDED if place.position % 2 else Arm.AIDED)

    protocol = Protocol("P", design=Design.SEQUENTIAL, model_shown=ModelShown("ThyroidNet"))
    bench = Bench(context, protocol, is_sending_again=False)
    bench.feed(3, n_ahead=2, place=paired)
    bench.wait("empty")
    bench.press("2", "e", "Enter", "4")
    assert (bench.state(), hint(bench)) == ("sending", "Not taken: the answer is being saved as it stands here.")
    view = ReadingView(phantom_pixels(8), "counts", "", None)
    bench.feed(4, ReceiptState.SAVED, model=shown_model(view), views=(view,), n_ahead=2, place=paired)
    bench.wait("empty")
    assert bench.page.locator("[data-part=model-text]").inner_text() == "ThyroidNet: Graves' disease"
    bench.page.wait_for_timeout(700)
    bench.press("1", "q", "Enter")
    bench.wait("ahead")  # an unaided one needs nothing of the server
    assert bench.page.evaluate("room.panel.header.model") is None


def test_the_models_answer_is_not_asked_for_while_a_break_stands_before_its_case(context: BrowserContext) -> None:
    protocol = Protocol("P", design=Design.AIDED)
    bench = Bench(context, protocol, is_sending_again=False)
    blocks = lambda place: replace(place, block=1 + place.position // 3, n_blocks=9)  # noqa: E731
    view = ReadingView(phantom_pixels(8), "counts", "", None)
    bench.feed(2, place=blocks)
    assert [one["kind"] for one in bench.sent()] == ["model"]
    assert bench.state() == "drawing"  # no aided case without the model
    bench.feed(2, ReceiptState.DONE, place=blocks, model=shown_model(view), views=(view,), n_ahead=1)
    bench.wait("empty")
    bench.press("2", "e", "Enter")
    bench.feed(3, ReceiptState.SAVED, place=blocks, n_ahead=1)
    bench.wait("card")
    assert bench.page.evaluate("asks.at(-1).is_open") is False
    assert [one["kind"] for one in bench.sent()] == ["model", "answer"]
    bench.press("Enter")
    assert bench.sent()[-1]["kind"] == "model"
    bench.feed(3, ReceiptState.DONE, place=blocks, model=shown_model(view), views=(view,), n_ahead=1)
    bench.wait("empty")
    assert bench.page.locator("[data-part=status]").inner_text().startswith("Case 2 saved, receipt 7F3A")


def test_a_press_on_one_image_places_no_mark_on_the_next(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", has_location_mark=True), n_ahead=2)
    bench.page.mouse.move(300, 300)
    bench.press("2", "e")
    bench.page.mouse.down()
    bench.press("Enter")
    bench.wait("ahead")
    bench.page.mouse.up()
    assert bench.page.evaluate("room.panel.draft.marks") == []


def test_a_pause_counts_into_the_time_out_as_it_does_in_the_export(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", timeout_seconds=30), is_sending_again=False)
    bench.page.clock.install()
    bench.feed(2)
    bench.page.clock.run_for(100)
    bench.wait("empty")
    bench.press("1", "q", "p")
    bench.page.clock.run_for(30_300)
    bench.press("p")
    bench.wait("over")
    bench.press("Enter")
    answer = stored(bench)
    assert answer.display_state["is_over_time"] is True
    times = reading_times(answer.events, claimed_seconds=answer.reading_seconds, server_seconds=None)
    assert (times.active_seconds or 0) < 30 <= (times.gross_seconds or 0)


def test_a_cap_is_gone_where_its_key_does_something_else(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    bench.press("?")
    bench.page.locator("[data-own='class 1']").click()
    bench.press("p", "Escape", "p")
    assert bench.seen()["answer"] == '[["class 1"],""]'
    assert bench.page.locator(".progress [data-key=P] kbd").text_content() == ""
    # On a Colemak keyboard the fourth step lies on the key with a printed P.
    other = started(context, Protocol("P"))
    other.page.evaluate("room.panel.keys.giveBack(); room.panel.keys.learn('KeyR', 'p')")
    assert other.page.locator(".progress [data-key=P] kbd").text_content() == ""


def test_each_reader_of_a_tab_is_shown_the_instructions(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", instructions="Judge the whole gland."))
    for reader in ("ann", "ben"):
        bench.feed(1, reader=reader)
        bench.wait("card")
        bench.page.evaluate("close(); close = null; room.outerHTML = unused; room = document.querySelector('.room')")
    assert bench.sent() == []


def test_a_table_beside_the_preview_keeps_its_keys(context: BrowserContext) -> None:
    """The table of classes on the set-up screen is a canvas: what is typed there began to change the preview."""
    bench = started(context, Protocol("P"))
    bench.page.evaluate(
        "() => { const table = document.body.appendChild(document.createElement('canvas')); table.tabIndex = 0;"
        " table.focus(); window.kept = [];"
        " table.onkeydown = (event) => kept.push([event.key, event.defaultPrevented]); }"
    )
    bench.press("1", "q", "Enter")
    assert (bench.seen()["answer"], bench.sent()) == ('[[],""]', [])
    assert bench.page.evaluate("kept") == [["1", False], ["q", False], ["Enter", False]]
    bench.page.evaluate("document.activeElement.blur()")
    bench.press("1")
    assert bench.seen()["answer"] == '[["class 1"],""]'


@pytest.mark.parametrize("state", ["feedback", "card"])
def test_a_bounced_enter_ends_neither_the_feedback_nor_a_card(state: str, context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", instructions="Judge."), is_sending_again=False, bounce_ms=400)
    if state == "card":
        bench.feed(1)
    else:
        bench.feed(2, place=training)
        bench.wait("empty")
        bench.press("2", "e", "Enter")
        bench.feed(3, ReceiptState.SAVED, place=training, feedback="sat")
    bench.page.evaluate("room.panel.press('Enter', room.panel.coveredAt + 399)")
    assert bench.state() == state
    bench.page.evaluate("room.panel.press('Enter', room.panel.coveredAt + 400)")
    bench.wait("empty")


def test_what_is_typed_before_the_grey_ramp_is_on_the_screen_ticks_no_square(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", conditions=ReadingConditions(has_grey_ramp=True)), bounce_ms=400)
    bench.feed(1)
    bench.page.evaluate("room.panel.press('class 1', room.panel.coveredAt + 399)")
    assert hint(bench) == "Not taken: Enter goes on."
    bench.page.evaluate("room.panel.press('class 2', room.panel.coveredAt + 400)")
    assert bench.page.evaluate("room.panel.cards.ramp") == {"dark": False, "light": True}


def test_a_sign_in_that_ended_while_offline_is_told_by_the_panel_and_the_draft_is_kept(context: BrowserContext) -> None:
    """No websocket opens without a sign-in, so no page is drawn that would say it."""
    bench = Bench(context, Protocol("P"), burst_ms=0)
    bench.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', "
        "'<div data-testid=stApp data-test-connection-state=CONNECTED></div>')"
    )
    bench.feed(2, n_ahead=2)
    bench.wait("empty")
    bench.press("2", "e")
    context.set_offline(True)
    bench.page.evaluate("document.querySelector('[data-testid=stApp]').dataset.testConnectionState = 'PINGING_SERVER'")
    bench.wait("offline")
    bench.press("Enter")
    bench.wait("late")
    bench.page.route("**/reading/pulse/panel", lambda route: route.fulfill(status=401))
    context.set_offline(False)
    bench.page.evaluate("room.panel.transmit()")
    bench.page.evaluate("refuse(401)")
    bench.wait("card")
    assert bench.page.locator("[data-part=card-title]").inner_text() == "You are signed out"
    said = bench.page.locator("[data-part=card-text]").inner_text()
    assert said.startswith("Case 2 was not saved: your sign-in has ended. Your answer is kept in this browser tab;")
    assert bench.page.evaluate("[room.panel.images.size, room.panel.viewer.image]") == [0, None]
    bench.press("4", "t")
    assert bench.state() == "card"
    leads_to = bench.page.evaluate("room.panel.cards.open.leadsTo")
    assert leads_to == "/sign-in?next=%2Fpanel"
    bench.page.evaluate("document.querySelector('[data-testid=stApp]').dataset.testConnectionState = 'CONNECTED'")
    bench.feed(2, n_ahead=2)  # signed in again, in another tab
    bench.wait("chosen")
    assert bench.seen()["answer"] == '[["class 2","step 3"],""]'


@pytest.mark.parametrize(("status", "why"), [(401, answers.SIGNED_OUT), (410, answers.NOT_TODAY)])
def test_an_answer_in_the_making_is_told_as_unsaved_when_the_pulse_finds_that_reading_is_over(
    status: int, why: str, context: BrowserContext
) -> None:
    bench = started(context, Protocol("P"))
    bench.press("2")
    bench.page.route("**/reading/pulse/panel", lambda route: route.fulfill(status=status, body=why))
    bench.page.evaluate("window.dispatchEvent(new Event('online'))")  # the pulse is felt at once
    bench.page.wait_for_function("sent.length === 1")
    message = read_message(bench.sent()[-1])
    assert (message.kind, message.unsaved, message.number) == ("look", why, 2)


def test_a_next_image_that_lets_wait_is_announced(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    bench.press("2", "e", "Enter")
    saved = PanelReceipt(bench.sent()[-1]["submit_id"], ReceiptState.SAVED, "", "7F3A", "2026-01-02T03:04:05+00:00")
    bench.page.evaluate("receipt => reply(receipt)", asdict(saved))
    expect(bench.page.locator("[data-part=hint]")).to_have_text("The next image is on its way …")
    assert "Case 2 saved, receipt 7F3A" in bench.page.locator("[data-part=status]").inner_text()
    bench.press("4")
    assert hint(bench).startswith("Typed before this image: not taken.")


def test_a_break_of_one_study_never_stands_before_another(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P"), is_sending_again=False)
    bench.feed(2, place=lambda place: replace(place, block=2, n_blocks=2))
    bench.wait("empty")
    bench.page.evaluate("room.panel.header.study = 'another'")
    bench.feed(3, place=lambda place: replace(place, block=1, n_blocks=2))
    bench.wait("empty")


# ---- what a browser does besides ------------------------------------------------------------------------------------


def test_a_key_held_down_a_letter_in_the_making_and_a_shortcut_of_the_browser_answer_nothing(
    context: BrowserContext,
) -> None:
    bench = started(context, Protocol("P"), n_ahead=2)
    bench.page.evaluate(
        """() => {
          const key = (given) => document.body.dispatchEvent(
            new KeyboardEvent("keydown", { bubbles: true, composed: true, cancelable: true, ...given }));
          for (const more of ["repeat", "isComposing", "ctrlKey", "metaKey", "altKey"]) {
            key({ key: "2", code: "Digit2", [more]: true });
          }
          key({ key: "Process", code: "Digit2" });
        }"""
    )
    assert bench.seen()["answer"] == '[[],""]'
    bench.page.keyboard.down("2")
    bench.page.keyboard.down("2")  # the same key, held
    bench.page.keyboard.up("2")
    bench.press("e")
    for _ in range(5):
        bench.page.keyboard.down("Enter")  # one press that repeats
    bench.page.keyboard.up("Enter")
    bench.wait("ahead")
    assert len(bench.sent()) == 1


def test_what_changes_a_locked_field_from_outside_changes_nothing(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    bench.press("2", "e", "c")
    bench.page.keyboard.type("mine")
    bench.press("Escape", "Enter")
    assert bench.state() == "sending"
    write = """text => { const field = room.querySelector("[data-part=comment]"); field.value = text;
      field.dispatchEvent(new InputEvent("input", { bubbles: true, composed: true })); }"""
    bench.page.evaluate(write, "of an extension")
    assert bench.seen()["answer"] == '[["class 2","step 3"],"mine"]'
    bench.draw(is_held=True)
    bench.feed(3, ReceiptState.SAVED)
    bench.page.evaluate(write, "the end of a composition")
    bench.draw(is_held=False)
    bench.wait("empty")
    assert bench.seen()["answer"] == '[[],""]'
    bench.page.evaluate(write, "a\u0000b")
    assert bench.page.locator("[data-part=comment]").input_value() == "ab"


def test_a_pasted_number_is_the_number_that_is_shown(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", scale=Scale(ScaleKind.PERCENT)))
    bench.press("2")
    field = bench.page.locator("[data-part=percent-value]")
    for text, number in (("12.5", "12"), ("1e2", "1"), ("-7", "7"), (" 88 %", "88"), ("x", "")):
        field.evaluate("(one, text) => { one.value = text; one.dispatchEvent(new InputEvent('input', "
                       "{ bubbles: true, composed: true })); }", text)  # fmt: skip
        assert field.input_value() == number
        assert bench.page.evaluate("String(room.panel.draft.confidence ?? '')") == number
    box = field.bounding_box()
    assert box is not None
    field.fill("40")
    bench.page.mouse.move(box["x"] + 5, box["y"] + 5)
    bench.page.mouse.wheel(0, 300)
    assert field.input_value() == "40"


def test_where_the_browser_keeps_nothing_or_rubbish_the_answer_stands_all_the_same(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P"), is_sending_again=False)
    bench.page.evaluate(
        "() => { for (const [at, text] of [[2, '{'], [3, '5'], [4, '{\"class_key\": \"sat\"}'], [5, '[]']])"
        " sessionStorage.setItem(`reading-room:presentation-${at}:0`, text); }"
    )
    for position in range(2, 7):
        bench.feed(position, ReceiptState.SAVED if position > 2 else None)
        bench.wait("empty")
        assert bench.seen()["answer"] == '[[],""]'
        if position == 4:
            bench.page.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('full'); }; }")
        bench.page.wait_for_timeout(650)
        bench.press("2", "e")
        assert bench.seen()["answer"] == '[["class 2","step 3"],""]'
        bench.press("Enter")
    assert [each["presentation_id"] for each in bench.sent()] == [f"presentation-{at}" for at in range(2, 7)]


def test_a_receipt_that_comes_twice_or_is_anothers_saves_nothing_else(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"), n_ahead=2)
    bench.press("2", "e", "Enter")
    bench.wait("ahead")
    (first,) = bench.sent()
    saved = asdict(PanelReceipt("another", ReceiptState.SAVED, "", "BAD0", "2031-01-02T03:04:05+00:00"))
    bench.page.evaluate("receipt => reply(receipt)", saved)  # of another tab, or from a cache
    assert bench.state() == "ahead"
    assert "BAD0" not in bench.page.locator("[data-part=status]").inner_text()
    own = {**saved, "submit_id": first["submit_id"], "code": "7F3A"}
    bench.page.evaluate("receipt => { room.panel.transmit(); room.panel.transmit(); return reply(receipt); }", own)
    bench.wait("empty")
    bench.page.wait_for_timeout(650)
    bench.press("4", "t")
    assert bench.seen()["answer"] == '[["class 4","step 5"],""]'
    assert {each["presentation_id"] for each in bench.sent()} == {"presentation-2"}
    assert "7F3A" in bench.page.locator("[data-part=status]").inner_text()


@pytest.mark.parametrize("status", [200, 302, 404, 429, 500, 502, 504])
def test_what_a_proxy_answers_is_no_receipt(status: int, context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    bench.press("2", "e", "Enter")
    bench.page.evaluate(
        "status => replies.splice(0).forEach((one) => one.resolve({ ok: status === 200, status, headers: new Headers(),"
        " json: async () => JSON.parse('<html>sign in to the guest network</html>') }))", status,
    )  # fmt: skip
    bench.page.evaluate("new Promise((then) => setTimeout(then, 30))")
    assert bench.state() == "sending"  # and it is sent again
    bench.page.evaluate("room.panel.transmit()")
    assert len({each["submit_id"] for each in bench.sent()}) == 1


def test_a_double_tap_saves_one_answer_and_answers_nothing_on_the_next_image(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"), n_ahead=2)
    bench.page.locator("[data-key='class 2']").dblclick()
    bench.page.locator("[data-key='step 3']").dblclick()
    assert bench.seen()["answer"] == '[["class 2","step 3"],""]'
    bench.page.locator(".desk [data-key=Enter]").dblclick()
    bench.wait("ahead")
    assert len(bench.sent()) == 1
    assert bench.seen()["answer"] == '[[],""]'


def test_a_tab_in_the_background_takes_no_key_for_an_image_that_it_has_not_drawn(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"), n_ahead=2)
    bench.draw(is_held=True)  # a hidden tab draws nothing
    bench.page.evaluate("() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true }); "
                        "document.dispatchEvent(new Event('visibilitychange')); }")  # fmt: skip
    bench.press("2", "e", "Enter", "4", "t", "Enter")
    assert [each["class_key"] for each in bench.sent()] == ["normal"]
    bench.feed(3, ReceiptState.SAVED, n_ahead=2)
    bench.page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")
    bench.draw(is_held=False)
    bench.wait("empty")
    assert bench.seen()["answer"] == '[[],""]'
    assert len(bench.sent()) == 1
