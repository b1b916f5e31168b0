"""The dashboard: progress for everybody's eyes, comparison only where the protocol allows it, and every look logged."""

from __future__ import annotations

from core.protocol import Comparison, Protocol
from core.study import Answer, CaseRecord, StudyState
from db import Repository
from pages.widgets.guard import OUTAGE
from tests.pages.reading_server import COORDINATOR, phantom_pixels
from tests.pages.test_coordinator_deeds import open_screen, store  # noqa: F401
from tests.stores import repository_of

KEYS = ("graves", "normal", "sat", "tumor")


def pilot(store: Repository) -> Repository:  # noqa: F811
    """A study that compares live, open, with one reader; the reader's own repository."""
    store.create_study(
        "pilot", Protocol(title="Pilot", comparison=Comparison.LIVE), is_synthetic=True, coordinator=COORDINATOR
    )
    store.import_cases("pilot", [
        CaseRecord(f"p{at}", f"p{at}", "internal", KEYS[at % 4], phantom_pixels(100 + at))
        for at in range(8)
    ])  # fmt: skip
    store.add_reader("pilot", "reader-1", cohorts=["internal"])
    store.set_state("pilot", StudyState.OPEN)
    return repository_of(store.engine, store.person("reader-1"))


def answer(desk: Repository, n: int) -> None:
    for _ in range(n):
        place = desk.next_presentation("pilot")
        assert place is not None
        desk.save_reading(place.presentation_id, Answer("sat", 3), submit_id=f"s-{place.presentation_id}")


def test_a_sealed_study_shows_progress_and_nothing_else(store: Repository) -> None:  # noqa: F811
    page = open_screen("dashboard")
    assert any("sealed until the study is unsealed" in text.value for text in page.info)
    assert not page.warning
    assert not page.get("plotly_chart")
    assert page.get("progress")


def test_a_live_study_is_compared_on_what_was_read_and_every_look_is_logged(store: Repository) -> None:  # noqa: F811
    desk = pilot(store)
    page = open_screen("dashboard", study="pilot")
    assert any("begins with the first answer" in text.value for text in page.info)
    assert store.live_looks("pilot") == []
    answer(desk, 3)
    page.run()
    assert not page.exception
    assert "Interim comparison" in page.warning[0].value
    assert [look.n_readings for look in store.live_looks("pilot")] == [{"reader-1": 3}]
    page.run()
    assert len(store.live_looks("pilot")) == 1, "nothing was read since: no second look"
    answer(desk, 4)
    page.run()
    assert [look.n_readings for look in store.live_looks("pilot")] == [{"reader-1": 3}, {"reader-1": 7}]
    assert any(text.value.startswith("Since the look before") for text in page.caption)
    last = desk.last_reading("pilot")
    assert last is not None
    place = last.presentation.presentation_id
    desk.save_reading(place, Answer("tumor", 5), submit_id="again", expected_revision=1)
    page.run()
    looks = [look.n_readings for look in store.live_looks("pilot")]
    assert looks[2:] == [{"reader-1": 7}], "a correction leaves the number of answers as it is, and changes the shares"


def test_an_outage_of_the_store_is_said_on_a_part_that_refreshes_by_itself(store: Repository) -> None:  # noqa: F811
    page = open_screen("dashboard")
    with store.engine.begin() as connection:  # as a disk that is gone: the table is not there for a moment
        connection.exec_driver_sql("ALTER TABLE presentation RENAME TO gone")
    page.run()
    assert not page.exception
    assert [text.value for text in page.error] == [OUTAGE]
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO presentation")
    page.run()
    assert not page.error
