"""A pilot with ``comparison: live``: three readers read in three browsers while the coordinator's dashboard follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from core.protocol import Comparison, DiseaseClass, Protocol
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, Repository, create_store, open_store
from db.records import CasePrediction
from tests.pages.reading_server import PASSWORD, ReadingServer, phantom_pixels
from tests.pages.test_own_study import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
STUDY, N_CASES, READERS = "pilot", 6, ("ada", "ben", "cem")
CLASSES = tuple(DiseaseClass(name, name.title(), name.title()) for name in ("clean", "scarred"))


@pytest.fixture
def pilot(tmp_path: Path) -> Iterator[ReadingServer]:
    """An open pilot that a model has predicted."""
    url = f"sqlite:///{tmp_path / 'reading_room.sqlite3'}"
    engine = create_store(url)
    store = Repository(engine, OPERATOR)
    store.create_person("anna", "Anna", Role.COORDINATOR, is_temporary=False, password=PASSWORD)
    version = store.register_model(
        sha256="a" * 64, name="Their model", architecture="elsewhere", path="", metadata={"source": "csv"}
    )
    protocol = Protocol("Pilot", classes=CLASSES, comparison=Comparison.LIVE, model_sha256=version.sha256)
    store.create_study(STUDY, protocol, coordinator="anna")
    store.import_cases(
        STUDY,
        [CaseRecord(f"c{n}", f"p{n}", "main", CLASSES[n % 2].key, phantom_pixels(2 * n)) for n in range(N_CASES)],
    )
    shares = [np.array([0.8, 0.2]) if n % 2 == 0 else np.array([0.3, 0.7]) for n in range(N_CASES)]
    store.save_predictions(
        STUDY,
        version.sha256,
        [CasePrediction(f"c{n}", p, 0.5, False, "elsewhere", "as given") for n, p in enumerate(shares)],
    )
    for login in READERS:
        store.create_person(login, f"Dr {login.title()}", Role.READER, is_temporary=False, password=PASSWORD)
        store.add_reader(STUDY, login)
    store.set_state(STUDY, StudyState.OPEN)
    engine.dispose()
    running = ReadingServer(tmp_path, url)
    running.start()
    yield running
    running.kill()


def answer(page: Page, positions: range) -> None:
    for number in positions:
        expect(page.locator("[data-part=position]")).to_have_text(f"Case {number} of {N_CASES}", timeout=60_000)
        expect(page.locator(".room")).to_have_attribute("data-state", "empty", timeout=60_000)
        for key in ("12"[number % 2], "e", "Enter"):
            page.keyboard.press(key)


def test_the_dashboard_follows_three_readers_and_every_look_is_in_the_trail(
    pilot: ReadingServer, browser: Browser
) -> None:
    desk = sign_in(browser, pilot, "anna", PASSWORD)
    desk.goto(f"{pilot.url}/dashboard?study={STUDY}")
    expect(desk.get_by_text("The comparison begins with the first answer.")).to_be_visible(timeout=60_000)
    rooms = []
    for login in READERS:
        page = sign_in(browser, pilot, login, PASSWORD)
        page.goto(f"{pilot.url}/read?study={STUDY}")
        rooms.append(page)
    for page in rooms:
        answer(page, range(1, 5))
    expect(desk.get_by_text("Interim comparison")).to_be_visible(timeout=60_000)  # nobody clicks: it follows
    engine = open_store(pilot.store_url)
    store = Repository(engine, OPERATOR)
    everything = dict.fromkeys(READERS, N_CASES)
    before = len(store.live_looks(STUDY))
    for page in rooms:
        answer(page, range(5, N_CASES + 1))
        expect(page.get_by_text(f"{N_CASES} of {N_CASES} answers")).to_be_visible(timeout=60_000)
    for _ in range(60):
        looks = store.live_looks(STUDY)
        if looks[-1].n_readings == everything:
            break
        desk.wait_for_timeout(1000)
    assert looks[-1].n_readings == everything
    assert len(looks) > before > 0
    assert {(look.login, look.state) for look in looks} == {("anna", StudyState.OPEN)}
    expect(desk.get_by_text(f"{len(READERS) * N_CASES} of {len(READERS) * N_CASES} answers")).to_be_visible()
    assert store.verify_audit().is_intact
    engine.dispose()
    for page in (desk, *rooms):
        page.context.close()


def test_a_sealed_study_stays_sealed(pilot: ReadingServer, browser: Browser) -> None:
    """The same screen for a study whose protocol says nothing of a live comparison."""
    engine = open_store(pilot.store_url)
    Repository(engine, OPERATOR).create_study("sealed", Protocol("Sealed"), coordinator="anna")
    engine.dispose()
    desk = sign_in(browser, pilot, "anna", PASSWORD)
    desk.goto(f"{pilot.url}/results?study=sealed")
    expect(desk.get_by_text("are sealed until it is unsealed")).to_be_visible(timeout=60_000)
    desk.context.close()
