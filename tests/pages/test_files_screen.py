"""Readings made elsewhere on the screen: sent, analysed, marked, shown like a study; what is wrong is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from argon2.profiles import CHEAPEST
from playwright.sync_api import Page, expect

from core.analysis import analyse
from core.study import Role
from db import OPERATOR, Repository, open_store
from db.password_hashing import Passwords
from tests.core.analysis_studies import simulated_study
from tests.core.report.test_folder_of_files import write_folder
from tests.pages.reading_server import PASSWORD, ReadingServer

COLUMNS = "case=Image, label=Diagnosis, confidence=Certainty"


def test_files_of_another_platform_are_shown_like_a_study_and_marked(
    server: ReadingServer, sign_in: Callable[..., Page], tmp_path: Path
) -> None:
    study = simulated_study(n_cases=40, readers=2, models=1)
    write_folder(tmp_path, study)
    engine = open_store(server.store_url)  # a coordinator of this test's own: the study stays in the store
    Repository(engine, OPERATOR, passwords=Passwords(CHEAPEST)).create_person(
        "clara", "Clara", Role.COORDINATOR, is_temporary=False, password=PASSWORD
    )
    engine.dispose()
    page = sign_in(server, "clara", "/files")
    files = sorted(str(path) for path in tmp_path.glob("*.csv"))
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_role("button", name="Analyse").click()
    refusal = page.get_by_test_id("stAlert")
    expect(refusal).to_contain_text("column is missing", timeout=20_000)  # nobody said what the columns are
    page.get_by_label("What the files call our columns").fill(COLUMNS)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Analyse").click()
    expect(page.get_by_text("Not blinded here.")).to_be_visible(timeout=60_000)
    for sentence in analyse(study).cohort("internal").answer:
        expect(page.locator(".room-answer")).to_contain_text(sentence)
    expect(page.get_by_text("no protocol stood here before the readings")).to_be_visible()
    page.get_by_text("Keep as a study").first.click()
    page.get_by_label("Key", exact=True).fill("Far Away")
    keep = page.get_by_role("button", name="Keep as a study")
    keep.click()
    expect(page.get_by_test_id("stAlert").filter(has_text="not a study key")).to_be_visible(timeout=20_000)
    page.get_by_label("Key", exact=True).fill("far-away")
    keep.click()
    page.wait_for_url("**/results?*far-away*", timeout=60_000)
    expect(page.get_by_text("Read elsewhere, not blinded here.")).to_be_visible(timeout=60_000)
    for sentence in analyse(study).cohort("internal").answer:
        expect(page.locator(".room-answer")).to_contain_text(sentence, timeout=60_000)
    page.goto(f"{server.url}/")
    expect(page.get_by_text("read elsewhere, not blinded here")).to_be_visible(timeout=30_000)
