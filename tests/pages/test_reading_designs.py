"""Whole protocols on a real server in a real browser: training, sequential arms, marks, breaks, going back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from argon2.profiles import CHEAPEST
from playwright.sync_api import Page, expect

from core.protocol import THYROID_CLASSES, Arm, Design, GoingBack, ModelShown, Protocol, ReadingOrder, Scale, ScaleKind
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, CasePrediction, Repository, create_store
from db.password_hashing import Passwords
from tests.pages.reading_server import PASSWORD, STUDY, ReadingServer, phantom_pixels, readings_of

pytestmark = pytest.mark.browser

SHA = "ab" * 32
PROTOCOL = Protocol(
    "Designs",
    instructions="Mark what you see.",
    scale=Scale(ScaleKind.PERCENT),
    design=Design.SEQUENTIAL,
    order=ReadingOrder(block_size=2),
    training_cohort="practice",
    going_back=GoingBack.ANY,
    has_location_mark=True,
    model_shown=ModelShown("ThyroidNet"),
    model_sha256=SHA,
)


def build(url: str, protocol: Protocol) -> None:
    """Four cases and one for training, pictures of two sizes, a model that says Graves' disease of all of them."""
    engine = create_store(url)
    operator = Repository(engine, OPERATOR, passwords=Passwords(CHEAPEST))
    operator.register_model(sha256=SHA, name="net", architecture="small", path="x", metadata={})
    operator.create_study(STUDY, protocol, is_synthetic=True)
    cases = [
        CaseRecord(
            case=f"case-{number}",
            patient=f"patient-{number}",
            cohort="practice" if number == 0 else "all",
            truth=THYROID_CLASSES[number % 4].key,
            pixels=phantom_pixels(2 * number)[: 96 - 16 * (number % 2), : 96 - 16 * (number % 2)],
        )
        for number in range(5)
    ]
    operator.import_cases(STUDY, cases)
    maps = np.ones((4, 4, 4), np.float16)
    predicted = [
        CasePrediction(case.case, np.array([0.7, 0.1, 0.1, 0.1]), 1.0, False, "cpu", "fp32", class_maps=maps)
        for case in cases
    ]
    operator.save_predictions(STUDY, SHA, predicted)
    operator.create_person("reader-1", "Reader 1", Role.READER, is_temporary=False, password=PASSWORD)
    operator.add_reader(STUDY, "reader-1", cohorts=["all"])
    operator.set_state(STUDY, StudyState.OPEN)
    engine.dispose()


@pytest.fixture
def designs(tmp_path: Path) -> Iterator[ReadingServer]:
    """A server with the whole protocol."""
    url = f"sqlite:///{tmp_path / 'designs.sqlite3'}"
    build(url, PROTOCOL)
    running = ReadingServer(tmp_path, url)
    running.start()
    yield running
    running.kill()


def wait_for(page: Page, state: str, position: str = "") -> None:
    expect(page.locator(".room")).to_have_attribute("data-state", re.compile(f"^({state})$"), timeout=30_000)
    if position:
        expect(page.locator("[data-part=position]")).to_have_text(position)


def go_on(page: Page) -> None:
    """From a card or the feedback; an Enter that came sooner might be one that bounced."""
    page.wait_for_timeout(450)
    page.keyboard.press("Enter")


def answer(page: Page, *keys: str) -> None:
    for key in (*keys, "Enter"):
        page.keyboard.press(key)


def test_a_sequential_study_with_training_breaks_marks_and_corrections_is_read_to_its_end(
    designs: ReadingServer, sign_in: Callable[..., Page]
) -> None:
    page = sign_in(designs, "reader-1", "/read")
    model = page.locator("[data-part=model-text]")
    card = page.locator("[data-part=card-title]")
    wait_for(page, "card")
    expect(card).to_have_text("Before you begin")
    go_on(page)
    wait_for(page, "empty", "Training case 1 of 5")
    expect(model).to_have_text("The right answer follows yours.")
    answer(page, "2", "r")
    wait_for(page, "empty", "Training case 1 of 5")
    expect(model).to_have_text("ThyroidNet: Graves' disease")
    answer(page, "1", "r")
    wait_for(page, "feedback")
    expect(model).to_have_text("Right: Graves' disease")
    go_on(page)
    wait_for(page, "card")
    expect(card).to_have_text("The training cases are over")
    go_on(page)
    for number in range(2, 6):
        wait_for(page, "empty", f"Case {number} of 5")
        assert page.evaluate("() => document.body.innerText.includes('ThyroidNet')") is False
        if number == 3:
            box = page.locator("canvas").bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        answer(page, "2", "t", str(number), "0")
        wait_for(page, "empty", f"Case {number} of 5")
        expect(model).to_have_text("ThyroidNet: Graves' disease")
        answer(page, "1", "t", str(number), "5")
        if number in (3,):
            wait_for(page, "card")
            expect(card).to_have_text(re.compile("Part . of . is done"))
            go_on(page)
    page.get_by_role("button", name="Correct my last answer").click()
    wait_for(page, "correcting")
    page.keyboard.press("u")
    expect(page.locator("[data-part=notice]")).to_have_text("Correcting case 4")
    wait_for(page, "correcting")
    answer(page, "4", "t", "9", "9")
    page.get_by_role("button", name="Correct my last answer").wait_for()
    readings = readings_of(designs.store_url, "reader-1")
    got = [(each.position, each.arm, each.class_key, each.confidence, each.revision) for each in readings]
    unaided, aided = Arm.UNAIDED, Arm.AIDED
    assert got == [
        (1, unaided, "normal", 60, 1), (2, aided, "graves", 60, 1),
        (3, unaided, "normal", 20, 1), (4, aided, "graves", 25, 1),
        (5, unaided, "normal", 30, 1), (6, aided, "graves", 35, 1),
        (7, unaided, "normal", 40, 1), (8, aided, "graves", 45, 1),
        (9, unaided, "normal", 50, 1), (10, aided, "graves", 55, 1),
        (8, aided, "tumor", 99, 2),
    ]  # fmt: skip
    (mark,) = next(each for each in readings if each.position == 5).marks
    half = (96 - 16 * (int(readings[4].case[-1]) % 2)) / 2  # of the picture, not of its padded canvas
    assert (mark.x, mark.y) == pytest.approx((half, half), abs=1)
