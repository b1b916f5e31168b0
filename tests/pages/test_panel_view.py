"""What the reading panel looks like and how its image is made: sizes, keys on the buttons, contrast, colours."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, expect

from core.imaging import render_uint8
from core.protocol import DiseaseClass, Protocol, Scale, ScaleKind
from core.study import Answer
from pages.door.answers import ReceiptState
from tests.pages.panel_bench import Bench, protocol_of
from tests.pages.reading_server import ROOT, phantom_pixels
from tests.pages.test_panel_states import ROADS

pytestmark = pytest.mark.browser

SIZES = [
    (1024, 640), (1280, 720), (1366, 650), (1280, 800), (1024, 768), (1920, 1080), (2560, 1440), (768, 1024),
]  # fmt: skip

#: Everything of the panel that is cut, scrolls, leaves the window, lies over something else or is too small to touch.
_FAULTS = """() => {
  const found = [];
  const looked = ".desk, .desk span, .desk label, .messages p, .view-state span, .view-bar, button, .cover, .picture";
  for (const box of room.querySelectorAll(looked)) {
    if (!box.checkVisibility()) continue;
    const tell = (fault) => found.push(`${fault}: ${box.className} ${box.textContent.trim().slice(0, 60)}`);
    const { left, right, top, bottom, width, height } = box.getBoundingClientRect();
    const isBox = getComputedStyle(box).display !== "inline";
    if (isBox && (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1)) tell("cut");
    if (left < 0 || top < 44 || right > innerWidth || bottom > innerHeight - 30) tell("outside");
    if (box.tagName === "BUTTON" && Math.min(width, height) < LEAST) tell(`${width} x ${height}`);
  }
  const apart = ".desk :is(button, input, textarea, p, h2), .map > *, .view-bar button, .view-name, .scale-bar";
  const boxes = [...room.querySelectorAll(apart)].filter((one) => one.checkVisibility() && !one.closest(".cover"));
  boxes.forEach((one, at) => boxes.slice(at + 1).forEach((other) => {
    if (one.contains(other) || other.contains(one)) return;
    const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
    const isOver = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    if (isOver) found.push(`${one.textContent.trim().slice(0, 40)} over ${other.textContent.trim().slice(0, 40)}`);
  }));
  if (document.documentElement.scrollHeight > innerHeight) found.push("the page scrolls");
  return found;
}"""


def faults(bench: Bench, least: int = 44) -> list[str]:
    found: list[str] = bench.page.evaluate(_FAULTS.replace("LEAST", str(least)))
    return found


#: Labels of classes in which a word goes on in the next line.
_BROKEN = """() => [...room.querySelectorAll(".classes span")].filter((span) => {
  const text = span.firstChild;
  return [...text.data.matchAll(/\\S+/g)].some(({ 0: word, index }) => {
    const range = document.createRange();
    range.setStart(text, index);
    range.setEnd(text, index + word.length);
    return new Set([...range.getClientRects()].map((box) => box.top)).size > 1;
  });
}).map((span) => span.textContent)"""


def broken_words(bench: Bench) -> list[str]:
    found: list[str] = bench.page.evaluate(_BROKEN)
    return found


def places(bench: Bench) -> list[Any]:
    """Where every choice and the image lie."""
    found: list[Any] = bench.page.evaluate(
        """() => [...room.querySelectorAll("[role=radio], .flag, textarea, .save, canvas")].map((one) => {
          const { left, top, width, height } = one.getBoundingClientRect();
          return [left, top, width, height];
        })"""
    )
    return found


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_is_cut_scrolls_or_moves_at_any_size(size: tuple[int, int], context: BrowserContext) -> None:
    bench = Bench(context)
    bench.page.set_viewport_size({"width": size[0], "height": size[1]})
    bench.feed(2)
    bench.wait("empty")
    at_first = places(bench)
    assert faults(bench) == []
    bench.press("2", "e")
    bench.press("Enter", "1")  # with two lines of messages
    bench.feed(2, ReceiptState.TRY_AGAIN)
    assert faults(bench) == []
    bench.feed(3, ReceiptState.SAVED)
    bench.wait("empty")
    assert faults(bench) == []
    bench.page.wait_for_timeout(700)
    bench.press("?")
    assert bench.state() == "sheet"
    assert faults(bench) == []
    bench.press("Escape", "p")
    assert faults(bench) == []
    bench.press("p")
    bench.page.evaluate("renew()")
    bench.feed(2, previous=Answer("sat", 3))
    bench.wait("correcting")
    assert faults(bench) == []
    assert places(bench) == at_first, "a banner moves the choices"
    image = bench.page.evaluate("(({ x, y, scale }) => [x, y, scale * 96])(room.panel.viewer.placement())")
    canvas = bench.page.evaluate("[room.panel.viewer.canvas.width, room.panel.viewer.canvas.height]")
    assert min(image[:2]) >= 0
    assert image[2] == pytest.approx(min(canvas))  # the whole image, as large as its place allows
    assert image[2] > 0.4 * min(size)


def test_twenty_classes_and_ten_steps_have_keys_of_their_own(context: BrowserContext) -> None:
    bench = Bench(context, protocol_of(20, 10))
    bench.feed(2)
    bench.wait("empty")
    for width, height in SIZES:
        bench.page.set_viewport_size({"width": width, "height": height})
        assert faults(bench, least=34) == []
    keys = [f"Digit{number % 10}" for number in range(1, 11)]
    for index, key in enumerate([*keys, *(f"Shift+{key}" for key in keys)]):
        bench.press(key)
        assert bench.seen()["answer"] == f'[["class {index + 1}"],""]'
    for index, letter in enumerate("QWERTASDFG"):
        bench.press(f"Key{letter}")
        assert bench.seen()["answer"] == f'[["class 20","step {index + 1}"],""]'
    caps = bench.page.locator("[role=radio] kbd").all_inner_texts()
    assert caps == [*"1234567890", *(f"⇧{digit}" for digit in "1234567890"), *"QWERTASDFG"]
    bench.press("?")
    sheet = bench.page.locator("[data-part=keys]").inner_text().split()
    assert sheet[:6] == ["1", "Diagnosis", "1", "2", "Diagnosis", "2"]
    assert sheet[sheet.index("⇧0") + 3 :][:6] == ["Q", "step", "1", "W", "step", "2"]
    assert "Home" in sheet


#: Lines of the key sheet that end below its place, or under its foot.
_HIDDEN_LINES = """() => {
  const sheet = room.querySelector("[data-part=sheet]");
  const end = sheet.querySelector(".sheet-foot").getBoundingClientRect().top + 1;
  const lines = [...sheet.querySelectorAll("dl div, .instructions")];
  return lines.filter((line) => line.getBoundingClientRect().bottom > end).map((line) => line.textContent);
}"""


@pytest.mark.parametrize(
    ("n_classes", "n_steps", "changes"),
    [
        (4, 5, {}),
        (20, 10, {}),
        (20, 10, {"has_location_mark": True, "may_mark_unreadable": True, "timeout_seconds": 90, "may_comment": True}),
    ],
)
def test_the_sheet_shows_every_key_at_once_on_every_screen(
    n_classes: int, n_steps: int, changes: dict[str, Any], context: BrowserContext
) -> None:
    bench = Bench(context, replace(protocol_of(n_classes, n_steps), **changes))
    bench.feed(2)
    bench.wait("empty")
    bench.press("?")
    for width, height in SIZES:
        bench.page.set_viewport_size({"width": width, "height": height})
        assert bench.page.evaluate(_HIDDEN_LINES) == [], (width, height)


def test_the_pause_says_whether_the_time_for_the_case_goes_on(context: BrowserContext) -> None:
    for limit, said in ((None, "the reading time stands still"), (90, "the time for this case goes on")):
        bench = Bench(context, replace(protocol_of(), timeout_seconds=limit))
        bench.feed(2)
        bench.wait("empty")
        bench.press("p")
        expect(bench.page.locator("[data-part=pause-text]")).to_contain_text(said)


def test_the_sheet_names_the_keys_of_this_study_and_no_others(context: BrowserContext) -> None:
    bench = Bench(context, protocol_of(2, 3))
    bench.feed(2)
    bench.wait("empty")
    bench.press("3", "r")  # no third class, no fourth step
    assert bench.seen()["answer"] == '[[],""]'
    bench.press("?")
    caps = [text.strip() for text in bench.page.locator("[data-part=keys] dt").all_inner_texts()]
    assert caps[:6] == ["1", "2", "Q", "W", "E", "Enter Space"]


def test_keys_go_by_their_place_and_the_caps_follow_the_keyboard(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2)
    bench.wait("empty")

    def type_on_azerty(key: str, code: str, *, is_shifted: bool = False) -> None:
        bench.page.evaluate(
            """([key, code, shiftKey]) => document.body.dispatchEvent(
              new KeyboardEvent("keydown", { key, code, shiftKey, bubbles: true, cancelable: true }))""",
            [key, code, is_shifted],
        )

    type_on_azerty("a", "KeyQ")
    assert bench.seen()["answer"] == '[["step 1"],""]'
    type_on_azerty("z", "KeyW")
    assert bench.seen()["answer"] == '[["step 2"],""]'
    type_on_azerty("é", "Digit2")
    type_on_azerty("3", "Digit3", is_shifted=True)
    assert bench.seen()["answer"] == '[["class 3","step 2"],""]'
    type_on_azerty("m", "Semicolon")  # commands go by the letter
    assert bench.page.locator("[data-part=table]").inner_text() == "grey"
    assert bench.page.locator("[data-part=confidence] kbd").all_inner_texts() == ["A", "Z", "E", "R", "T"]


def test_a_radio_group_is_one_stop_and_its_arrows_choose_without_moving_the_image(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2)
    bench.wait("empty")
    before = bench.seen()["view"]
    stops = """() => [...room.querySelectorAll('[role=radio][tabindex="0"]')].map((one) => one.dataset.key)"""
    assert bench.page.evaluate(stops) == ["class 1", "step 1"]
    bench.page.locator("[data-key='class 1']").focus()
    bench.press("ArrowDown", "ArrowDown", "ArrowUp")
    assert bench.seen()["answer"] == '[["class 2"],""]'
    assert bench.page.evaluate("document.activeElement.dataset.key") == "class 2"
    bench.press("Tab", "Space", "ArrowLeft")  # the next group; its arrows go round
    assert bench.seen()["answer"] == '[["class 2","step 5"],""]'
    assert bench.page.evaluate(stops) == ["class 2", "step 5"]
    assert bench.seen()["view"] == before
    bench.press("Enter")
    assert bench.sent()[-1]["confidence"] == 5
    bench.press("ArrowRight")
    assert bench.seen()["answer"] == '[["class 2","step 5"],""]'


def test_a_cover_takes_the_focus_and_gives_it_back(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2)
    bench.wait("empty")
    focused = "document.activeElement.closest('[role=dialog]')?.dataset.part ?? document.activeElement.tagName"
    for opener, part in (("?", "sheet"), ("p", "pause")):
        bench.press(opener)
        assert bench.page.evaluate(focused) == part
        bench.press("Tab", "Tab", "Shift+Tab")
        assert bench.page.evaluate(focused) == part
        bench.press("Enter")
        assert bench.page.evaluate(focused) == "BODY"
        assert bench.state() == "empty"


_CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => rgb.map((one) => linear(one / 255))
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  for (const box of [room, ...room.querySelectorAll("*")]) {
    const hasText = [...box.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!(hasText || box.tagName === "TEXTAREA") || !box.checkVisibility() || box.closest("[disabled]")) continue;
    let ground = box;
    while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
    const [one, other] = [getComputedStyle(box).color, getComputedStyle(ground).backgroundColor]
      .map((colour) => luminance(numbers(colour).slice(0, 3)) + 0.05);
    const ratio = Math.max(one, other) / Math.min(one, other);
    if (ratio < 4.5) found.push(`${box.className} ${box.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


#: Controls whose edge and ground are both too near to what they lie on (3 : 1), and what WAI-ARIA does not allow.
_CONTROLS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => numbers(colour).slice(0, 3).map((one) => linear(one / 255))
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0.05);
  const seen = (one) => one.checkVisibility() && !one.closest("[disabled]");
  const found = [];
  for (const one of [...room.querySelectorAll("button, textarea, input[inputmode]")].filter(seen)) {
    let ground = one.parentElement;
    while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
    const under = luminance(getComputedStyle(ground).backgroundColor);
    const { backgroundColor, borderTopColor } = getComputedStyle(one);
    const own = [backgroundColor, borderTopColor].filter((colour) => numbers(colour)[3] !== 0).map(luminance);
    const best = Math.max(...own.map((light) => Math.max(light, under) / Math.min(light, under)));
    if (best < 3) found.push(`edge ${best.toFixed(2)}: ${one.textContent.trim().slice(0, 30)}`);
  }
  const named = (one) => one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.[0]?.textContent.trim()
    || document.getElementById(one.getAttribute("aria-labelledby"))?.textContent.trim();
  for (const one of room.querySelectorAll("button, input, textarea, [role]:not([role=alert], [role=status])")) {
    if (seen(one) && !named(one)) found.push(`no name: ${one.outerHTML.slice(0, 80)}`);
  }
  for (const one of room.querySelectorAll("[aria-checked]")) {
    if (!/^(radio|switch)$/.test(one.getAttribute("role"))) found.push(`checked: ${one.outerHTML.slice(0, 80)}`);
  }
  for (const group of room.querySelectorAll("[role=radiogroup]")) {
    const radios = [...group.children];
    if (!seen(group) || !radios.length) continue;
    if (radios.some((one) => one.getAttribute("role") !== "radio")) found.push("a group of other things than radios");
    if (radios.filter((one) => one.tabIndex === 0).length !== 1) found.push("not one stop of Tab");
    if (radios.filter((one) => one.getAttribute("aria-checked") === "true").length > 1) found.push("two chosen");
  }
  const open = [...room.querySelectorAll("[role=dialog]")].filter(seen);
  const { activeElement } = room.getRootNode();
  if (open.length && !open.some((one) => one.contains(activeElement))) found.push("the focus is not in the dialog");
  if (room.querySelector("[tabindex]:not([tabindex='0'], [tabindex='-1'])")) found.push("an order of its own");
  return found;
}"""


def test_every_state_has_the_contrast_of_wcag_aa_and_says_what_it_is_as_aria_asks(context: BrowserContext) -> None:
    bench = Bench(context, is_sending_again=False)
    protocol = bench.protocol
    for state, road in ROADS.items():
        if state == "closed":
            continue
        bench.renew()
        bench.protocol = protocol
        road(bench)
        if state not in ("drawing", "saved"):
            bench.wait(state)
        assert bench.page.evaluate(_CONTRASTS) == [], state
        assert bench.page.evaluate(_CONTROLS) == [], state
    bench.renew()
    bench.protocol = Protocol("P", scale=Scale(ScaleKind.PROBABILITIES), has_location_mark=True)
    bench.feed(2)
    bench.wait("empty")
    assert (bench.page.evaluate(_CONTRASTS), bench.page.evaluate(_CONTROLS)) == ([], [])
    bench.press("x")
    bench.page.keyboard.type("motion")
    assert (bench.page.evaluate(_CONTRASTS), bench.page.evaluate(_CONTROLS)) == ([], [])


def colours_by_numpy(name: str) -> np.ndarray:
    """The 256 colours of a table from its description, (256, 3)."""
    stops = {
        "inverse grey": [(0, 255, 255, 255), (255, 0, 0, 0)],
        "grey": [(0, 0, 0, 0), (255, 255, 255, 255)],
        "hot iron": [(0, 0, 0, 0), (96, 165, 0, 0), (160, 255, 110, 0), (220, 255, 225, 90), (255, 255, 255, 255)],
        "rainbow": [
            (0, 0, 0, 0), (48, 60, 0, 140), (96, 0, 90, 255), (140, 0, 200, 120), (190, 240, 230, 0),
            (232, 255, 60, 0), (255, 255, 255, 255),
        ],
    }  # fmt: skip
    if name == "inferno":
        return np.rint(mpl.colormaps["inferno"](np.arange(256))[:, :3] * 255)
    levels, *channels = np.array(stops[name]).T
    return np.stack([np.interp(np.arange(256), levels, channel) for channel in channels], axis=1)


@pytest.mark.parametrize("case", [0, 1], ids=["16 bits", "8 bits"])
def test_the_colours_on_the_screen_are_those_of_numpy(case: int, context: BrowserContext) -> None:
    bench = Bench(context)
    pixels = phantom_pixels(case)
    bench.feed(1, pixels=pixels)
    bench.wait("empty")
    rng = np.random.default_rng(1)
    most = int(pixels.max()) if case == 0 else 255
    names = bench.page.evaluate("COLOUR_TABLE_NAMES")
    assert names == ["inverse grey", "grey", "hot iron", "inferno", "rainbow"]
    for name in names:
        assert bench.page.locator("[data-part=table]").inner_text() == name
        for _ in range(3):
            lower, upper = (float(value) for value in np.sort(rng.choice(most, 2, replace=False)))
            for end, value in (("upper", upper), ("lower", lower), ("upper", upper)):
                bench.page.evaluate("([end, value]) => room.panel.viewer.one.setThreshold(end, value)", [end, value])
            painted = bench.page.evaluate(
                """() => { const { raster } = room.panel.viewer.one;
                  const { data } = raster.getContext("2d").getImageData(0, 0, raster.width, raster.height);
                  return String.fromCharCode(...data); }"""
            )
            shown = np.frombuffer(painted.encode("latin-1"), np.uint8).astype(float).reshape(*pixels.shape, 4)
            assert (shown[..., 3] == 255).all()
            expected = colours_by_numpy(name)[render_uint8(pixels, (lower, upper))]
            assert np.abs(shown[..., :3] - expected).max() <= 0.5 + 1e-9  # halves of a colour step may go either way
        bench.press("m")


def test_names_say_what_is_shown(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(1)
    bench.wait("empty")
    name = bench.page.locator("[data-part=table]")
    pixel = "[...room.panel.viewer.one.raster.getContext('2d').getImageData(0, 0, 1, 1).data]"
    bench.page.evaluate("room.panel.viewer.one.setThreshold('lower', 1e5)")
    at_first = bench.page.evaluate(pixel)
    bench.press("i")
    assert name.inner_text() == "grey"
    inverted = bench.page.evaluate(pixel)
    assert [a + b for a, b in zip(at_first[:3], inverted[:3], strict=True)] == [255, 255, 255]
    bench.press("i")
    assert name.inner_text() == "inverse grey"
    bench.press("m", "m", "i")
    assert name.inner_text() == "hot iron, inverted"
    state = bench.page.evaluate("room.panel.viewer.state()")
    assert (state["colour_table"], state["is_inverted"]) == ("hot iron", True)


def test_a_threshold_moves_alone_and_is_told_in_counts_and_percent(context: BrowserContext) -> None:
    bench = Bench(context)
    pixels = np.full((64, 64), 40, np.uint16)
    pixels[:8, :8] = 200
    bench.feed(1, pixels=pixels)
    bench.wait("empty")
    view = bench.page.locator("[data-part=view]")
    assert view.inner_text().startswith("0–200 counts (0–100 %)")
    upper = bench.page.get_by_role("slider", name="Upper threshold")
    upper.fill("100")
    assert view.inner_text().startswith("0–100 counts (0–50 %)")
    bench.page.get_by_role("slider", name="Lower threshold").fill("20")
    assert view.inner_text().startswith("20–100 counts (10–50 %)")
    bench.page.evaluate("document.activeElement.blur()")
    bench.press("[", "[", "Shift+]")
    assert view.inner_text().startswith("28–84 counts (14–42 %)")
    bench.press("Home")
    assert view.inner_text().startswith("0–200 counts (0–100 %)")


def test_one_to_one_fit_pixels_and_scale_bar(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(1, spacing=2.5)
    bench.wait("empty")
    bar = bench.page.locator("[data-part=scale]")
    scale = bench.page.evaluate("room.panel.viewer.placement().scale")
    length = int(bar.inner_text().split()[0])
    assert bar.evaluate("box => parseFloat(box.style.width)") == pytest.approx(length / 2.5 * scale, rel=1e-4)
    bench.press("o", "n")
    assert bench.page.evaluate("room.panel.viewer.placement().scale") == 1
    assert bench.page.evaluate("room.panel.viewer.canvas.getContext('2d').imageSmoothingEnabled") is False
    bench.press("0")
    assert bench.page.evaluate("room.panel.viewer.placement().scale") == pytest.approx(scale)
    bench.page.evaluate("renew()")
    bench.feed(1)
    bench.wait("empty")
    assert not bar.is_visible()


def test_two_fingers_zoom_about_the_point_between_them(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(1)
    bench.wait("empty")
    box = bench.page.locator("canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = context.new_cdp_session(bench.page)

    def touch(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for apart in (50, 60, 70, 80):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    state = bench.page.evaluate("room.panel.viewer.state()")
    assert state["zoom"] == pytest.approx(2, rel=0.02)
    assert abs(state["offset_x"]) <= 2
    assert bench.sent() == []


def _key(bench: Bench, code: str, key: str, **more: bool) -> None:
    """A key as a keyboard in another state names it."""
    bench.page.evaluate(
        "([code, key, more]) => document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{ code, key, bubbles: true, composed: true, cancelable: true, ...more }))",
        [code, key, more],
    )


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ([("Numpad3", "3")], '[["class 3"],""]'),
        ([("Numpad4", "ArrowLeft"), ("Numpad7", "Home")], '[["class 4"],""]'),  # Num Lock is off
        ([("Digit2", "2"), ("KeyE", "E")], '[["class 2","step 3"],""]'),  # Caps Lock is on
        ([("Digit2", "é"), ("KeyQ", "a")], '[["class 2","step 1"],""]'),  # AZERTY
        ([("Digit2", "2"), ("KeyQ", "й")], '[["class 2","step 1"],""]'),  # Cyrillic
        ([("Digit2", "2"), ("KeyT", "y")], '[["class 2","step 5"],""]'),  # Dvorak
        ([("Digit2", "2"), ("KeyQ", "'")], '[["class 2","step 1"],""]'),  # Dvorak
    ],
    ids=["keypad", "keypad without Num Lock", "Caps Lock", "AZERTY", "Cyrillic", "Dvorak", "Dvorak, a sign"],
)
def test_a_choice_is_the_same_place_on_every_keyboard_in_every_state(
    keys: list[tuple[str, str]], answer: str, context: BrowserContext
) -> None:
    bench = Bench(context)
    bench.feed(2)
    bench.wait("empty")
    view = bench.seen()["view"]
    for code, key in keys:
        _key(bench, code, key)
    assert (bench.seen()["answer"], bench.seen()["view"]) == (answer, view)


def test_the_sheet_prints_the_signs_of_the_keyboard_in_use(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2)
    bench.wait("empty")
    bench.press("?")
    caps = bench.page.locator("[data-part=keys] dt")
    on_the_sheet = lambda: [text.split() for text in caps.all_inner_texts()]  # noqa: E731
    assert {("[", "]"), ("⇧[", "⇧]"), ("wheel", "+", "−")} <= {tuple(one) for one in on_the_sheet()}
    bench.press("Escape")
    for code, key in (("BracketLeft", "ü"), ("BracketRight", "+"), ("Equal", "´"), ("Minus", "ß"), ("Slash", "-")):
        _key(bench, code, key)  # a German keyboard
    bench.press("?")
    assert {("Ü", "+"), ("⇧Ü", "⇧+"), ("wheel", "´", "ß")} <= {tuple(one) for one in on_the_sheet()}
    bench.press("Escape")
    table = bench.page.locator("[data-part=table]").inner_text()
    _key(bench, "KeyM", ",")  # of AZERTY, where M lies elsewhere: a sign is no command
    assert bench.page.locator("[data-part=table]").inner_text() == table


def test_the_wheel_zooms_about_the_pointer_and_the_count_under_it_is_read_out(context: BrowserContext) -> None:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    bench = Bench(context)
    bench.feed(2, pixels=pixels)
    bench.wait("empty")
    box = bench.page.locator("canvas").bounding_box()
    assert box is not None
    bench.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"])
    read_out = bench.page.locator("[data-part=read-out]")
    at = read_out.inner_text()
    column, row = int(at.split()[1]), int(at.split()[3])
    assert at == f"x {column}  y {row}  {pixels[row, column]} counts"
    for _ in range(4):
        bench.page.mouse.wheel(0, -200)
    assert bench.page.evaluate("room.panel.viewer.state().zoom") > 4
    assert read_out.inner_text() == at
    bench.page.mouse.move(box["x"] + 2, box["y"] - 10)
    assert read_out.inner_text() == ""


def test_the_colour_bar_shows_what_each_count_looks_like(context: BrowserContext) -> None:
    pixels = np.arange(201, dtype=np.uint16).reshape(3, 67)
    bench = Bench(context)
    bench.feed(2, pixels=pixels)
    bench.wait("empty")
    for name in ("inverse grey", "grey", "hot iron", "inferno", "rainbow"):
        bench.page.evaluate("room.panel.viewer.one.setThreshold('lower', 50)")
        stops = bench.page.evaluate(
            """() => [...room.panel.viewer.gradient().matchAll(/rgb\\((\\d+) (\\d+) (\\d+)\\) ([\\d.]+)%/g)]
              .map((one) => one.slice(1).map(Number))"""
        )
        colours = colours_by_numpy(name)
        upper = bench.page.evaluate("room.panel.viewer.thresholds().upper")
        assert len(stops) > 30
        for *colour, percent in stops:
            level = np.clip((2 * percent - 50) / (upper - 50) * 255, 0, 255)
            near = colours[[int(np.floor(level)), int(np.ceil(level))]]
            assert np.abs(near - colour).min(axis=0).max() <= 1, (name, percent)
        bench.press("m")


def test_the_form_grows_with_the_window(context: BrowserContext) -> None:
    bench = Bench(context)
    sizes = {}
    for width, height in ((1280, 720), (1920, 1080), (2560, 1440)):
        bench.page.set_viewport_size({"width": width, "height": height})
        bench.feed(2)
        bench.wait("empty")
        look = "(one) => [parseFloat(getComputedStyle(one).fontSize), one.getBoundingClientRect().height]"
        sizes[height] = bench.page.locator("[data-key='class 1']").evaluate(look)
    for height in (1080, 1440):
        for now, first in zip(sizes[height], sizes[720], strict=True):
            assert now / first > 0.75 * height / 720


def test_a_drag_whose_end_nobody_saw_is_over(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2)
    bench.wait("empty")
    moved = """() => {
      const { canvas } = room.panel.viewer;
      canvas.setPointerCapture = () => undefined;
      const tell = (type, x, button, buttons) => canvas.dispatchEvent(new PointerEvent(type, {
        pointerId: 1, pointerType: "mouse", clientX: x, clientY: 300, button, buttons, bubbles: true,
      }));
      tell("pointerdown", 300, 0, 1);
      tell("pointermove", 320, -1, 1);
      tell("pointermove", 400, -1, 0);  // the button went up in another window
      tell("pointermove", 450, -1, 0);
      return Math.round(room.panel.viewer.one.offset.x);
    }"""
    assert bench.page.evaluate(moved) == 20


@pytest.mark.parametrize("shape", [(1, 1), (40, 1000), (64, 64)], ids=["1 x 1", "40 x 1000", "nothing counted"])
def test_odd_pictures_are_shown_and_answered(shape: tuple[int, int], context: BrowserContext) -> None:
    bench = Bench(context)
    bench.feed(2, pixels=np.full(shape, 0 if shape == (64, 64) else 7, np.uint16), spacing=2.0)
    bench.wait("empty")
    bench.press("+", "]", "[", "o", "0", "m", "2", "e", "Enter")
    state = bench.sent()[-1]["display_state"]
    assert state["lower_threshold"] < state["upper_threshold"]
    assert state["zoom"] == 1


def test_what_is_chosen_is_seen_where_the_system_has_colours_of_its_own(context: BrowserContext) -> None:
    bench = Bench(context)
    bench.page.emulate_media(forced_colors="active")
    bench.feed(2)
    bench.wait("empty")
    bench.press("2")
    grounds = bench.page.evaluate(
        "[1, 2].map((n) => getComputedStyle(room.querySelector(`[data-key='class ${n}']`)).backgroundColor)"
    )
    assert grounds[0] != grounds[1]
    assert "gradient" in bench.page.evaluate("getComputedStyle(room.panel.parts.ramp).backgroundImage")


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (2560, 1440)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_no_word_of_twenty_labels_is_broken(size: tuple[int, int], context: BrowserContext) -> None:
    names = ("Toxic multinodular goitre", "Factitious thyrotoxicosis", "Hashimoto's thyroiditis", "Hemiagenesis")
    classes = tuple(DiseaseClass(f"c{n}", f"{names[n % 4]} {n}", f"D{n}") for n in range(20))
    for scale in (Scale(), Scale(ScaleKind.PROBABILITIES)):
        bench = Bench(context, Protocol("P", classes=classes, scale=scale))
        bench.page.set_viewport_size({"width": size[0], "height": size[1]})
        bench.feed(2)
        bench.wait("empty")
        assert broken_words(bench) == []


def test_no_field_of_the_panel_hides_one_of_its_methods() -> None:
    """JavaScript says nothing where ``this.ask = ...`` takes the place of ``ask() {...}``."""
    for path in sorted((ROOT / "pages" / "widgets").rglob("*.js")):
        for part in re.split(r"^(?=(?:export )?class )", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            methods = set(re.findall(r"^  (?:async |static )?(\w+)\([^\n]*\) \{$", part, flags=re.MULTILINE))
            fields = set(re.findall(r"\bthis\.(\w+) = ", part))
            assert not methods & fields, f"{path.name}: {sorted(methods & fields)}"
