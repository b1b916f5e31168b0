"""The panel as the protocol words it: scales, unreadable images, views, marks, the model, training, breaks, keys."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from core.errors import InputError
from core.protocol import (
    Arm,
    ColourTable,
    Design,
    DiseaseClass,
    Display,
    GoingBack,
    ModelShown,
    Protocol,
    ReadingConditions,
    Scale,
    ScaleKind,
)
from core.study import NO_ANSWER_IN_TIME, Answer, Presentation, Study, StudyState, check_answer
from db.records import ModelAnswer, ReadingView
from pages.door.answers import ReceiptState, read_message
from pages.widgets.reading_panel import PanelCase, PanelModel, pack_frame
from tests.pages.panel_bench import STARTED, Bench
from tests.pages.reading_server import phantom_pixels
from tests.pages.test_panel_states import training
from tests.pages.test_panel_view import broken_words, faults

pytestmark = pytest.mark.browser

SIZES = [(1024, 640), (1280, 720), (1280, 800), (1366, 650), (1920, 1080), (2560, 1440), (768, 1024)]


def stored(bench: Bench) -> Answer:
    """What was sent last, as the server takes it."""
    answer = read_message(bench.sent()[-1]).answer
    assert answer is not None
    check_answer(answer, bench.protocol)
    return answer


def started(context: BrowserContext, protocol: Protocol, **given: object) -> Bench:
    """A panel with the second case on it."""
    bench = Bench(context, protocol, is_sending_again=False)
    bench.feed(2, **given)
    bench.wait("empty")
    return bench


def hint(bench: Bench) -> str:
    return bench.page.locator("[data-part=hint]").inner_text()


# ---- scales -------------------------------------------------------------------------------------------------------


def test_a_label_alone_is_an_answer(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", scale=Scale(ScaleKind.LABEL)))
    assert bench.page.get_by_role("radio").count() == 4
    bench.press("q", "3", "Enter")
    answer = stored(bench)
    assert (answer.class_key, answer.confidence, answer.probabilities) == ("sat", None, None)


@pytest.mark.parametrize("words", [("no", "yes"), tuple(f"step {n}" for n in range(1, 11))])
def test_an_ordinal_scale_has_two_to_ten_steps(words: tuple[str, ...], context: BrowserContext) -> None:
    bench = started(context, Protocol("P", scale=Scale(words=words)))
    bench.press("1", "QWERTASDFG"[len(words) - 1], "Enter")
    assert stored(bench).confidence == len(words)


def test_percent_goes_by_keys_by_digits_and_by_the_slider(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", scale=Scale(ScaleKind.PERCENT)))
    bench.press("2", "Enter")
    assert hint(bench) == "Choose a confidence first: Q to R, or T and a number."
    bench.press("r", "r", "e", "w", "w", "q")  # 60, 70, 71, 70, 69, 59
    assert bench.page.locator("[data-part=percent-value]").input_value() == "59"
    bench.press("t", "8", "3", "Enter")
    answer = stored(bench)
    assert (answer.class_key, answer.confidence) == ("normal", 83)
    other = started(context, bench.protocol)
    other.press("1")
    other.page.locator("[data-part=percent-slider]").fill("0")
    other.press("Enter")
    assert stored(other).confidence == 0
    third = started(context, bench.protocol)
    third.press("1", "t", "9", "9", "9", "Enter")
    assert stored(third).confidence == 100


def test_probabilities_must_sum_to_a_hundred_before_they_are_saved(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", scale=Scale(ScaleKind.PROBABILITIES)))
    bench.press("2", "7", "0", "Escape", "1", "2", "5", "Enter")
    assert bench.sent() == []
    assert hint(bench).startswith("The probabilities sum to 95 %, not to 100 %.")
    bench.press("1", "5", "0", "Escape", "2", "5", "0", "Enter")
    assert bench.sent() == []
    assert hint(bench).startswith("Two classes have the highest probability.")
    bench.press("1", "2", "5", "Escape", "2", "7", "0", "Escape", "3", "ArrowUp", "=", "Enter")
    answer = stored(bench)
    assert answer.probabilities == (0.25, 0.7, 0.05, 0.0)
    assert answer.class_key == "normal"
    bench.renew()
    bench.feed(2, previous=answer)
    bench.wait("correcting")
    fields = bench.page.locator("[data-part=classes] input")
    assert [fields.nth(index).input_value() for index in range(4)] == ["25", "70", "5", "0"]


@pytest.mark.parametrize("shares", [(1 / 3, 1 / 3, 1 / 3, 0.0), (0.125, 0.125, 0.25, 0.5), (1.0, 0.0, 0.0, 0.0)])
def test_probabilities_of_any_source_come_back_as_whole_percent_that_sum_to_a_hundred(
    shares: tuple[float, ...], context: BrowserContext
) -> None:
    bench = Bench(context, Protocol("P", scale=Scale(ScaleKind.PROBABILITIES)), is_sending_again=False)
    best = bench.protocol.class_keys[shares.index(max(shares))]
    bench.feed(2, previous=Answer(best, probabilities=shares))
    bench.wait("correcting")
    bench.press("Enter")
    assert sum(stored(bench).probabilities or ()) == pytest.approx(1)


def test_a_field_takes_no_digit_while_the_answer_is_locked(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", scale=Scale(ScaleKind.PROBABILITIES)))
    bench.press("1", "1", "0", "0", "Enter")
    field = bench.page.locator("[data-part=classes] input").first
    field.focus()
    bench.press("5", "ArrowDown", "=")
    assert field.input_value() == "100"
    assert "ot taken" in hint(bench)


# ---- unreadable, comments, going back -----------------------------------------------------------------------------


def test_an_unreadable_image_asks_for_a_reason_and_for_no_guess(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"))
    bench.press("2", "e", "x")
    bench.press("Enter")
    assert bench.sent() == []
    assert hint(bench) == "Say why the image cannot be read."
    bench.press("Escape", "1", "q")
    assert hint(bench).startswith("Marked as unreadable")
    bench.press("c")
    bench.page.keyboard.type("patient moved")
    bench.press("Enter")
    answer = stored(bench)
    assert (answer.is_unreadable, answer.unreadable_reason) == (True, "patient moved")
    assert (answer.class_key, answer.confidence) == (None, None)


def test_what_the_protocol_does_not_ask_for_is_not_there(context: BrowserContext) -> None:
    protocol = Protocol("P", may_comment=False, may_mark_unreadable=False, going_back=GoingBack.NEVER)
    bench = started(context, protocol)
    for part in ("flag", "comment-box", "correct", "marks", "model", "joined"):
        assert not bench.page.locator(f"[data-part={part}]").is_visible()
    bench.press("x", "c", "l")
    assert bench.seen()["answer"] == '[[],""]'
    bench.press("2", "e", "Enter")
    assert stored(bench).class_key == "normal"


def test_going_back_any_number_of_answers_asks_for_the_one_before(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", going_back=GoingBack.ANY))
    bench.press("u")
    assert (bench.sent()[-1]["kind"], bench.sent()[-1]["presentation_id"]) == ("correct", "presentation-2")
    bench.feed(1, ReceiptState.DONE, previous=Answer("normal", 3))
    bench.wait("correcting")
    bench.press("u")
    assert (bench.sent()[-1]["kind"], bench.sent()[-1]["presentation_id"]) == ("correct", "presentation-1")


# ---- keys before the image ----------------------------------------------------------------------------------------


def test_where_the_protocol_allows_it_keys_typed_ahead_answer_in_their_order_and_are_marked(
    context: BrowserContext,
) -> None:
    bench = Bench(context, Protocol("P", may_type_ahead=True), is_sending_again=False)
    typed = ["3", "r", "Enter", "1", "q"]
    for n_early in range(1, len(typed) + 1):  # so many of them before the image is drawn, the others after it
        bench.renew()
        bench.feed(2, n_ahead=2)
        bench.wait("empty")
        bench.draw(is_held=True)
        bench.press("2", "e", "Enter", *typed[:n_early])
        assert bench.state() == "drawing"
        bench.draw(is_held=False)
        bench.wait("queued" if n_early > 2 else "ahead")
        bench.press(*typed[n_early:])
        assert [one["class_key"] for one in bench.sent()] == ["normal"]
        bench.feed(3, ReceiptState.SAVED, n_ahead=2)
        bench.page.wait_for_function("sent.length === 2")
        answer = stored(bench)
        assert (answer.class_key, answer.confidence, answer.is_typed_ahead) == ("sat", 4, True), n_early
        assert "typed-ahead" in [name for name, _ in bench.sent()[-1]["events"]]
        bench.feed(4, ReceiptState.SAVED, n_ahead=2)
        bench.wait("chosen")
        assert bench.seen()["answer"] == '[["class 1","step 1"],""]'
        assert not read_message(bench.sent()[0]).answer.is_typed_ahead  # type: ignore[union-attr]


def test_what_is_typed_ahead_waits_under_a_pause_and_answers_no_later_case(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", may_type_ahead=True), is_sending_again=False)
    bench.feed(2)
    bench.wait("empty")
    bench.press("2", "e", "Enter", "3", "p")
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("paused")
    bench.press("p", "r", "Enter")
    answer = stored(bench)
    assert (answer.class_key, answer.confidence, answer.is_typed_ahead) == ("sat", 4, True)
    bench.feed(4, ReceiptState.SAVED)
    bench.wait("empty")
    assert bench.seen()["answer"] == '[[],""]'


def test_a_late_answer_takes_what_was_typed_ahead_away(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", may_type_ahead=True), is_sending_again=False)
    bench.feed(2, n_ahead=2)
    bench.wait("empty")
    bench.draw(is_held=True)  # the next image is not drawn yet
    bench.press("2", "e", "Enter", "3", "r")
    assert hint(bench) == "Typed ahead: taken for the next case, and marked."
    bench.page.evaluate("isHolding = false")
    bench.feed(2, ReceiptState.TRY_AGAIN, n_ahead=2)
    bench.wait("late")
    bench.feed(3, ReceiptState.SAVED, n_ahead=2)
    bench.wait("empty")
    assert bench.seen()["answer"] == '[[],""]'


# ---- display, views, marks ----------------------------------------------------------------------------------------


def test_every_case_begins_with_the_display_of_the_protocol(context: BrowserContext) -> None:
    display = Display(10, 60, ColourTable.HOT_IRON, is_smooth=False)
    bench = started(context, Protocol("P", display=display), pixels=np.tile(np.arange(100, dtype=np.uint8), (100, 1)))
    bench.press("2", "e", "Enter")
    state = stored(bench).display_state
    assert (state["lower_threshold"], state["upper_threshold"]) == (25.5, 153)
    assert (state["colour_table"], state["is_smooth"]) == ("hot iron", False)


def three_views() -> tuple[ReadingView, ...]:
    """Counts with known sides, counts without, and colour."""
    colour = np.zeros((96, 96, 3), np.uint8)
    colour[:] = (200, 30, 120)
    return (
        ReadingView(phantom_pixels(4), "counts", "anterior", 2.2, "image-right"),
        ReadingView(phantom_pixels(6), "counts", "oblique", 2.2, "image-left"),
        ReadingView(colour, "colour", "fused"),
    )


def test_views_stand_side_by_side_with_their_names_and_their_sides(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"), views=three_views())
    assert bench.page.locator(".view-name").all_inner_texts() == ["anterior", "oblique", "fused"]
    assert bench.page.locator(".side-left").all_inner_texts() == ["R", "L", ""]
    assert bench.page.locator(".side-right").all_inner_texts() == ["L", "R", ""]
    middle = """number => { const { canvas } = room.panel.viewer.viewers[number];
      return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3); }"""
    assert bench.page.evaluate(middle, 2) == [200, 30, 120]
    bench.press("i", "]")
    assert bench.page.evaluate(middle, 2) == [200, 30, 120]  # colour is shown as it is


def test_joined_views_follow_each_other_and_views_apart_do_not(context: BrowserContext) -> None:
    bench = started(context, Protocol("P"), views=three_views()[:2])
    tables = "room.panel.viewer.viewers.map((one) => [one.table, one.zoom])"
    bench.press("m", "+")
    first, second = bench.page.evaluate(tables)
    assert first == second == ["grey", 1.25]
    bench.press("j", "m", "+")
    first, second = bench.page.evaluate(tables)
    assert first == ["hot iron", 1.25**2]
    assert second == ["grey", 1.25]
    bench.press("2", "e", "Enter")
    state = stored(bench).display_state
    assert state["is_joined"] is False
    assert [view["colour_table"] for view in state["views"]] == ["hot iron", "grey"]  # type: ignore[union-attr]


def test_marks_are_placed_rated_and_taken_away(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", has_location_mark=True), views=three_views()[:2])
    boxes = [bench.page.locator("canvas").nth(number).bounding_box() for number in (0, 1)]
    for box in (boxes[0], boxes[1]):
        assert box is not None
        bench.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    bench.press("Shift+R")
    box = boxes[0]
    assert box is not None
    bench.page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    bench.press("Backspace", "4", "t", "Enter")
    stored_answer = stored(bench)
    marks = stored_answer.marks
    assert [(mark.rating, mark.view) for mark in marks] == [(None, 1), (4, 2)]
    assert [value for mark in marks for value in (mark.x, mark.y)] == pytest.approx([48] * 4, abs=0.5)
    bench.renew()
    bench.feed(2, previous=replace(stored_answer, marks=marks), views=three_views()[:2])
    bench.wait("correcting")
    up, down = (bench.page.locator(f"[data-part=rate-{way}]") for way in ("up", "down"))
    text = bench.page.locator("[data-part=marks] span")
    assert text.inner_text() == "2 marks, the last: high"
    up.click()
    up.click()
    assert text.inner_text() == "2 marks, the last: certain"
    for _ in range(5):
        down.click()
    assert text.inner_text() == "2 marks, the last: rated as the answer"
    again = started(context, bench.protocol, views=three_views()[:2])
    box = again.page.locator("canvas").first.bounding_box()
    assert box is not None
    for _ in range(2):  # a click on a mark takes it away
        again.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    again.press("4", "t", "Enter")
    assert stored(again).marks == ()


@pytest.mark.parametrize("kind", [ScaleKind.LABEL, ScaleKind.PERCENT, ScaleKind.PROBABILITIES])
def test_a_mark_is_rated_on_the_scale_of_the_study_and_on_none_where_it_has_no_confidence(
    kind: ScaleKind, context: BrowserContext
) -> None:
    bench = started(context, Protocol("P", scale=Scale(kind), has_location_mark=True))
    bench.press("Shift+R")
    rated = kind is ScaleKind.PERCENT
    assert ("Place a mark first" in hint(bench)) == rated
    bench.page.mouse.click(300, 300)
    bench.press("Shift+R", "Shift+R", "Shift+E", "Shift+Q")  # 60, 70, 71, 61
    up = bench.page.locator("[data-part=rate-up]")
    assert up.is_visible() == rated
    if rated:
        up.click()
        assert bench.page.locator("[data-part=marks] span").inner_text() == "1 mark, the last: 71 %"
        bench.press("4", "r")
    bench.press("4")
    if kind is ScaleKind.PROBABILITIES:
        bench.press("1", "0", "0")
    bench.press("Enter")
    answer = stored(bench)
    assert [mark.rating for mark in answer.marks] == ([71] if rated else [None])
    assert answer.confidence == (60 if rated else None)  # rating a mark is no answer


def test_a_drag_of_the_image_places_no_mark(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", has_location_mark=True))
    bench.page.mouse.move(300, 300)
    bench.page.mouse.down()
    bench.page.mouse.move(340, 330)
    bench.page.mouse.up()
    bench.press("4", "t", "Enter")
    assert stored(bench).marks == ()


# ---- the model, training, breaks ----------------------------------------------------------------------------------


def aided() -> Protocol:
    return Protocol("P", design=Design.AIDED, model_shown=ModelShown("ThyroidNet"))


def shown_model(view: ReadingView) -> PanelModel:
    """Graves' disease, with evidence in the left half alone."""
    maps = np.zeros((4, 8, 8), np.float16)
    maps[0, :, :4] = 1
    maps[1] = 0.5
    maps[2] = -3
    return PanelModel.of(ModelAnswer("ThyroidNet", "graves", (0.62, 0.2, 0.1, 0.08), maps), (view,))


def test_an_aided_reader_sees_the_model_as_the_protocol_words_it(context: BrowserContext) -> None:
    view = ReadingView(phantom_pixels(4), "counts")
    bench = started(context, aided(), model=shown_model(view), views=(view,))
    assert bench.page.locator("[data-part=model-text]").inner_text() == "ThyroidNet: Graves' disease"
    assert bench.page.locator(".classes .note").all_inner_texts() == ["62 %", "20 %", "10 %", "8 %"]
    levels = "Array.from(room.panel.viewer.mapped.map.levels)"
    shown = np.array(bench.page.evaluate(levels)).reshape(4, 96, 96)
    assert (shown[0, :, :40] == 255).all()
    assert (shown[0, :, 56:] == 0).all()
    assert ((shown[1] == 127).all(), (shown[2:] == 0).all()) == (True, True)
    bench.press(",", "Shift+.", "v")
    bench.press("2", "e", "Enter")
    state = stored(bench).display_state
    assert (state["class_map_opacity"], state["class_map_threshold"], state["class_map_is_shown"]) == (0.4, 0.3, False)
    assert state["class_map_number"] == 1


def test_the_class_map_of_every_class_is_a_key_or_a_click_away(context: BrowserContext) -> None:
    view = ReadingView(phantom_pixels(4), "counts")
    bench = started(context, aided(), model=shown_model(view), views=(view,))
    button = bench.page.locator("[data-key=B]")
    covered = """() => { const { raster } = room.panel.viewer.mapped.map;
      const { data } = raster.getContext("2d").getImageData(0, 0, 96, 96);
      return data.filter((value, at) => at % 4 === 3 && value).length / 96 ** 2; }"""

    def shown() -> tuple[str, float]:
        return button.inner_text().split(maxsplit=1)[1], bench.page.evaluate(covered)

    seen = [shown()]
    for deed in (lambda: bench.press("b"), button.click, lambda: bench.press("b"), button.click):
        deed()
        seen.append(shown())
    labels = [each.label for each in bench.protocol.classes]
    assert [label for label, _ in seen] == [*labels, labels[0]]
    assert [share for _, share in seen[1:4]] == [1, 0, 0]  # one half everywhere; none; none
    assert seen[0][1] == seen[4][1] == pytest.approx(0.5, abs=0.1)
    bench.press("v", "Shift+B", "2", "e", "Enter")  # it is shown again, that of the class before
    state = stored(bench).display_state
    assert (state["class_map_number"], state["class_map_is_shown"]) == (4, True)


def test_the_class_map_lies_over_the_view_that_the_model_saw(context: BrowserContext) -> None:
    views = three_views()[:2]
    maps = np.ones((4, 8, 8), np.float16)
    answer = ModelAnswer("ThyroidNet", "graves", None, maps)
    bench = started(context, aided(), model=PanelModel.of(answer, views, "oblique"), views=views)
    mapped = "room.panel.viewer.viewers.map((one) => one.map !== null)"
    assert bench.page.evaluate(mapped) == [False, True]
    bench.press(".", "2", "e", "Enter")
    state = stored(bench).display_state
    assert state["class_map_opacity"] == 0.6
    large = ReadingView(np.zeros((1000, 500), np.uint16), "counts")
    assert PanelModel.of(answer, (large,)).levels.shape == (4, 160, 80)  # type: ignore[union-attr]


def test_a_map_lies_on_the_picture_and_not_on_its_padding() -> None:
    pixels = np.zeros((100, 120), np.uint16)
    view = ReadingView(pixels, "counts", origin=(10, 30))  # a picture of 80 x 60
    maps = np.ones((1, 4, 4), np.float16)
    levels = PanelModel.of(ModelAnswer("M", "a", None, maps), (view,)).levels
    assert levels is not None
    assert levels.shape == (1, 100, 120)
    levels = levels[0]
    inside = np.zeros((100, 120), bool)
    inside[10:90, 30:90] = True
    assert (levels[inside] == 255).all()
    assert (levels[~inside] == 0).all()


def test_the_unaided_half_holds_nothing_of_the_model(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", design=Design.SEQUENTIAL, model_shown=ModelShown("ThyroidNet")))
    bench.feed(3, n_ahead=2)
    bench.wait("empty")
    assert bench.page.evaluate("room.panel.header.model") is None
    assert not bench.page.locator("[data-part=model]").is_visible()
    assert bench.page.locator("[data-part=position]").inner_text() == "Case 2 of 10"
    bench.press("2", "e", "Enter")
    view = ReadingView(phantom_pixels(8), "counts")
    bench.feed(4, ReceiptState.SAVED, model=shown_model(view), views=(view,))
    bench.wait("empty")
    assert bench.page.locator("[data-part=position]").inner_text() == "Case 2 of 10"
    assert bench.page.locator("[data-part=model-text]").inner_text() == "ThyroidNet: Graves' disease"


def test_a_training_case_tells_the_right_answer_after_the_receipt_and_goes_on_with_enter(
    context: BrowserContext,
) -> None:
    bench = started(context, Protocol("P"), place=training, n_ahead=2)
    assert bench.page.locator("[data-part=position]").inner_text() == "Training case 2 of 20"
    bench.press("2", "e", "Enter")
    assert bench.state() == "sending"  # the next image waits
    bench.feed(3, ReceiptState.SAVED, place=training, feedback="sat")
    bench.wait("feedback")
    assert bench.page.locator("[data-part=model-text]").inner_text() == "Reference standard: Subacute thyroiditis"
    assert bench.seen()["answer"] == '[["class 2","step 3"],""]'
    bench.press("3", "Enter")
    bench.wait("empty")
    assert bench.page.locator("[data-part=position]").inner_text() == "Training case 3 of 20"
    bench.page.wait_for_timeout(700)
    bench.press("3", "e", "Enter")
    bench.feed(4, ReceiptState.SAVED, feedback="sat")
    bench.wait("feedback")
    assert bench.page.locator("[data-part=model-text]").inner_text() == "Right: Subacute thyroiditis"
    bench.press("Enter")
    bench.wait("card")
    assert bench.page.locator("[data-part=card-title]").inner_text() == "The training cases are over"
    bench.press("Enter")
    bench.wait("empty")


@pytest.mark.parametrize(
    ("design", "place", "told"),
    [
        (Design.SEQUENTIAL, (1, 2, 3), (1, 2)),
        (Design.CROSSOVER, (1, 2, 6), (1, 4)),
        (Design.CROSSOVER, (2, 5, 6), (3, 4)),  # the second period begins with training cases too: block 4
    ],
)
def test_training_cases_are_no_part_of_the_study_that_is_counted(
    design: Design, place: tuple[int, int, int], told: tuple[int, int]
) -> None:
    period, block, n_blocks = place
    protocol = Protocol("P", design=design, training_cohort="practice")
    presentation = Presentation("p", Arm.UNAIDED, 3, 9, period=period, block=block, n_blocks=n_blocks)
    study = Study("panel", protocol, 1, StudyState.OPEN, True, STARTED)
    frame = pack_frame(PanelCase(presentation, 2), study, None, {})
    (length,) = struct.unpack_from("<I", frame)
    header = json.loads(frame[4 : 4 + length])
    assert (header["block"], header["n_blocks"]) == told


def test_a_break_stands_between_two_blocks_and_its_time_counts_for_no_case(context: BrowserContext) -> None:
    def in_blocks(place: Presentation) -> Presentation:
        return replace(place, block=1 + (place.position > 2), n_blocks=10)

    bench = started(context, Protocol("P"), place=in_blocks, n_ahead=2)
    bench.press("2", "e", "Enter")
    assert bench.state() == "sending"
    bench.feed(3, ReceiptState.SAVED, place=in_blocks)
    bench.wait("card")
    assert bench.page.locator("[data-part=card-title]").inner_text() == "Part 1 of 10 is done"
    bench.page.wait_for_timeout(3000)
    bench.press("1", "Enter")
    bench.wait("empty")
    bench.page.wait_for_timeout(700)
    bench.press("1", "q", "Enter")
    assert (stored(bench).reading_seconds or 9) < 3.4  # 0.7 s and what a busy machine adds, without the break


def test_instructions_come_before_the_first_case_and_stay_in_the_sheet(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", instructions="Judge the whole gland."))
    bench.feed(1)
    bench.wait("card")
    assert bench.page.locator("[data-part=card-text]").inner_text() == "Judge the whole gland."
    bench.press("2", "Enter")
    bench.wait("empty")
    bench.press("?")
    assert bench.page.locator("[data-part=instructions]").inner_text() == "Judge the whole gland."


def test_the_screen_is_checked_warned_about_and_stored(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", conditions=ReadingConditions(1600, 900, has_grey_ramp=True)))
    bench.feed(1)
    bench.wait("card")
    assert "The study asks for at least 1600 × 900" in bench.page.locator("[data-part=card-text]").inner_text()
    bench.press("2", "Enter")
    bench.wait("empty")
    bench.press("1", "q", "Enter")
    screen = stored(bench).display_state["screen"]
    assert screen == {
        "width": 1280, "height": 800, "pixel_ratio": 1, "zoom": 1, "is_below_minimum": True,
        "dark_square_seen": False, "light_square_seen": True,
    }  # fmt: skip
    bench.renew()
    bench.feed(1)
    bench.wait("card")
    bench.page.set_viewport_size({"width": 1700, "height": 950})  # as the card asks for
    expect(bench.page.locator("[data-part=card-text]")).to_have_text(
        "This window has 1700 × 950 pixels, pixel ratio 1, zoom 100 %."
    )
    bench.page.set_viewport_size({"width": 1280, "height": 800})
    enough = started(context, Protocol("P", conditions=ReadingConditions(1280, 800)))  # nothing to warn about: no card
    assert enough.state() == "empty"


def test_an_empty_screen_comes_before_an_image_and_takes_no_key(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", blank_seconds=0.8), n_ahead=1)
    bench.press("2", "e", "Enter")
    assert bench.page.evaluate("room.panel.viewer.image") is None
    for part in (".scale-bar", ".colours", ".view-bar"):  # of the image before
        assert not bench.page.locator(part).is_visible()
    bench.press("1")
    assert "ot taken" in hint(bench)
    bench.feed(3, ReceiptState.SAVED)
    assert bench.state() == "saved"
    bench.wait("empty")
    assert bench.page.evaluate("room.panel.viewer.image !== null")


def test_when_the_time_is_over_the_image_is_covered_and_the_answer_stands_as_it_was(context: BrowserContext) -> None:
    bench = Bench(context, Protocol("P", timeout_seconds=1), is_sending_again=False)
    bench.feed(1)
    bench.wait("card")
    assert "You have 1 second for each case" in bench.page.locator("[data-part=card-text]").inner_text()
    bench.press("Enter")
    bench.wait("empty")
    bench.press("1", "q")
    bench.wait("over")
    assert bench.page.locator("[data-part=over]").is_visible()
    assert bench.page.locator("[data-part=over-text]").inner_text() == "Enter saves what you chose, as it stands."
    (at_once,) = bench.sent()  # the server keeps the time as well, and cannot see when Enter comes
    bench.press("2", "w")
    bench.press("Enter")
    assert bench.sent() == [at_once, at_once]  # one submission, however often it is sent
    answer = stored(bench)
    assert (answer.class_key, answer.confidence, answer.is_unreadable) == ("graves", 1, False)
    assert answer.display_state["is_over_time"] is True
    assert "over-time" in [name for name, _ in bench.sent()[-1]["events"]]
    check_answer(answer, bench.protocol)


def test_a_case_without_an_answer_in_time_is_stored_as_such_and_no_answer_is_guessed(context: BrowserContext) -> None:
    bench = started(context, Protocol("P", timeout_seconds=1, may_mark_unreadable=False))
    bench.press("1")  # a class without its confidence is no answer
    bench.wait("over")
    assert "not answered in time" in bench.page.locator("[data-part=over-text]").inner_text()
    bench.press("q", "x", "Enter")
    assert len({message["submit_id"] for message in bench.sent()}) == 1
    answer = stored(bench)
    assert (answer.class_key, answer.confidence, answer.is_unreadable) == (None, None, True)
    assert answer.unreadable_reason == NO_ANSWER_IN_TIME
    check_answer(answer, bench.protocol)
    early = replace(answer, events=tuple(event for event in answer.events if event[0] != "over-time"))
    for protocol, given in ((bench.protocol, early), (Protocol("P"), answer)):
        with pytest.raises(InputError, match="the time for this case was not over"):
            check_answer(given, protocol)


# ---- keys of one's own --------------------------------------------------------------------------------------------


def test_a_reader_gives_keys_away_and_finds_them_again(context: BrowserContext) -> None:
    kept: list[dict[str, str]] = []
    statuses = [503, *[204] * 9]  # the first message is lost

    def keep(route: Route) -> None:
        kept.append(route.request.post_data_json)
        route.fulfill(status=statuses.pop(0))

    bench = started(context, Protocol("P"))
    bench.page.route("**/reading/keys", keep)
    bench.press("?")
    bench.page.locator("[data-own='step 5']").click()
    bench.press("z")
    bench.page.wait_for_function("() => room.textContent.includes('are not kept yet')")
    bench.page.locator("[data-own='class 2']").click()
    bench.press("q")  # was the first step
    bench.page.locator("[data-own='I']").click()
    bench.press("Enter")
    assert hint(bench) == "This key cannot be given away."
    assert not bench.page.evaluate("room.panel.keys.give('I', '', 'a')")  # a keyboard on glass names no keys
    bench.press("Escape", "Escape")
    bench.press("z", "q")
    assert bench.seen()["answer"] == '[["class 2","step 5"],""]'
    caps = bench.page.locator("[role=radio] kbd").all_inner_texts()
    assert caps == ["1", "Q", "3", "4", "", "W", "E", "R", "Z"]
    bench.press("2", "t")
    assert bench.seen()["answer"] == '[["class 2","step 5"],""]'  # the old keys mean nothing now
    assert kept == [{"step 5": "KeyZ"}, {"step 5": "KeyZ", "class 2": "KeyQ"}]
    again = started(context, Protocol("P"), own_keys=kept[-1])  # another browser: the store alone knows
    again.page.route("**/reading/keys", keep)
    again.press("z", "q")
    assert again.seen()["answer"] == '[["class 2","step 5"],""]'
    again.press("?")
    again.page.get_by_role("button", name="Keys as at first").click()
    again.page.wait_for_function("() => !room.panel.unkeptKeys")
    assert kept[-1] == {}
    again.press("Escape", "1", "q")
    assert again.seen()["answer"] == '[["class 1","step 1"],""]'


# ---- sizes --------------------------------------------------------------------------------------------------------


def _probabilities(bench: Bench) -> None:
    bench.feed(2)
    bench.wait("empty")


def _model(bench: Bench) -> None:
    view = ReadingView(phantom_pixels(4), "counts", "anterior", 2.2, "image-left")
    n = len(bench.protocol.classes)
    maps = np.ones((n, 8, 8), np.float16)
    answer = ModelAnswer("ThyroidNet 2.1", bench.protocol.class_keys[0], (1 - (n - 1) / 50,) + (0.02,) * (n - 1), maps)
    bench.feed(2, model=PanelModel.of(answer, (view,)), views=(view,))
    bench.wait("empty")


def _told(bench: Bench) -> None:
    bench.feed(2, place=training)
    bench.wait("empty")
    bench.press("2", "e", "Enter")
    bench.feed(3, ReceiptState.SAVED, place=training, feedback="sat")
    bench.wait("feedback")


def _unreadable(bench: Bench) -> None:
    bench.feed(2, views=three_views())
    bench.wait("empty")
    bench.press("x")


def _marked(bench: Bench) -> None:
    """Four views, marks, and two long messages."""
    fourth = ReadingView(phantom_pixels(8), "counts", "right anterior oblique", 2.2, "image-right")
    bench.feed(2, views=(*three_views(), fourth))
    bench.wait("empty")
    marks = [{"view": 1, "x": 20, "y": 40, "rating": None}] if bench.protocol.has_location_mark else []
    bench.page.evaluate("marks => { room.panel.draft.marks = marks; }", marks)
    bench.press("Enter")
    bench.page.evaluate(
        "text => room.panel.say(text, 'alert')", f"Not saved yet: {STORE_AWAY} Press Enter to try again."
    )


LONG_QUESTION = (
    "Which of these diagnoses explains the uptake of both lobes best, given that nothing is known of the patient's "
    "history, laboratory values or medication? Please choose one."
)
LONG_WORDS = Scale(
    words=tuple(
        f"{how} {what}"
        for what in ("uncertain", "certain")
        for how in ("very", "rather", "fairly", "slightly", "barely")
    )
)
STORE_AWAY = "the store is not available; tell the coordinator."


def _classes(count: int) -> tuple[DiseaseClass, ...]:
    return tuple(DiseaseClass(f"c{i}", f"Toxic multinodular goitre, type {i}", f"D{i}") for i in range(1, count + 1))


ROADS: dict[str, tuple[Protocol, Callable[[Bench], None]]] = {
    "percent": (Protocol("P", scale=Scale(ScaleKind.PERCENT)), _probabilities),
    "probabilities": (Protocol("P", scale=Scale(ScaleKind.PROBABILITIES)), _probabilities),
    "aided": (aided(), _model),
    "aided, probabilities": (replace(aided(), scale=Scale(ScaleKind.PROBABILITIES)), _model),
    "aided, 8 long probabilities": (
        replace(aided(), classes=_classes(8), scale=Scale(ScaleKind.PROBABILITIES)), _model,
    ),
    "aided, 20 long probabilities": (
        replace(aided(), classes=_classes(20), scale=Scale(ScaleKind.PROBABILITIES)), _model,
    ),
    "feedback": (Protocol("P"), _told),
    "unreadable, three views, marks": (Protocol("P", has_location_mark=True), _unreadable),
    "20 classes, ten long words": (
        Protocol("P", classes=_classes(20), scale=LONG_WORDS, has_location_mark=True), _marked,
    ),
    "8 long classes, a long question": (Protocol("P", LONG_QUESTION, classes=_classes(8)), _marked),
    "ten long words, a long question": (
        Protocol("P", LONG_QUESTION, scale=LONG_WORDS, has_location_mark=True), _marked,
    ),
    "20 long probabilities": (Protocol("P", classes=_classes(20), scale=Scale(ScaleKind.PROBABILITIES)), _marked),
    "20 long classes in percent": (
        Protocol("P", classes=_classes(20), scale=Scale(ScaleKind.PERCENT), has_location_mark=True), _marked,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROADS)
def test_every_form_fits_every_window(name: str, browser: Browser) -> None:
    protocol, road = ROADS[name]
    for is_touch in (False, True):
        window = {"width": 768, "height": 1024}
        context = browser.new_context(viewport=window, has_touch=is_touch, is_mobile=is_touch)
        bench = Bench(context, protocol, is_sending_again=False)
        road(bench)
        for width, height in [size for size in SIZES if (size[0] < size[1]) == is_touch]:
            bench.page.set_viewport_size({"width": width, "height": height})
            bench.page.evaluate("new Promise((then) => frame(() => frame(then)))")
            least = 44 if is_touch or (len(protocol.classes) <= 8 and "long" not in name) else 30
            assert faults(bench, least) == [], f"{name} at {width} x {height}"
            assert broken_words(bench) == [], f"{name} at {width} x {height}"
            image = bench.page.evaluate("room.panel.viewer.canvas.clientHeight")
            assert image > 0.18 * height, f"{name} at {width} x {height}"
        context.close()
