"""What coordinators see of readers' pace: counts and times that add up, and nothing about right or wrong."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from core.protocol import Protocol
from core.study import Answer, CaseRecord, Role, StudyState, sitting_seconds
from db import OPERATOR, Repository, create_store
from db.records import ReaderWatch
from tests.stores import sign_in_as

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [([], 0), ([5], 0), ([0, 1, 3], 180), ([0, 30], 1800), ([0, 30.1], 0), ([0, 2, 600, 601], 180)],
)
def test_a_sitting_ends_where_half_an_hour_passes_without_an_answer(minutes: list[float], expected: float) -> None:
    assert sitting_seconds([START + timedelta(minutes=each) for each in minutes]) == expected


def test_watch_counts_first_answers_and_times_of_every_reader(tmp_path) -> None:
    now = [START]
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    operator = Repository(engine, OPERATOR, clock=lambda: now[0])
    operator.create_study("s", Protocol(title="S"))
    pixels = np.random.default_rng(1).integers(0, 255, (10, 16, 16), dtype=np.uint8)
    operator.import_cases("s", [CaseRecord(f"c{n}", f"p{n}", "main", "sat", pixels[n]) for n in range(10)])
    for login in ("ann", "ben"):
        operator.create_person(login, login.title(), Role.READER)
        operator.add_reader("s", login)
    operator.set_state("s", StudyState.OPEN)
    ann = operator.person("ann")
    desk = Repository(engine, ann, token=sign_in_as(engine, ann), clock=lambda: now[0])
    for wait in (0, 60, 60, 3600, 120):
        now[0] += timedelta(seconds=wait)
        shown = desk.next_presentation("s")
        assert shown is not None
        saved = desk.save_reading(shown.presentation_id, Answer("sat", 3, reading_seconds=0.0), submit_id=str(now[0]))
    now[0] += timedelta(seconds=30)
    desk.save_reading(shown.presentation_id, Answer("tumor", 3, reading_seconds=0.0), submit_id="correction",
                      expected_revision=saved.revision)  # fmt: skip
    one, other = operator.watch("s")
    assert (one.person.login, one.n_done, one.n_total) == ("ann", 5, 10)
    assert one.gross_seconds == 60 + 60 + 120
    assert one.first_saved_at == START
    assert one.last_saved_at == one.last_seen_at == START + timedelta(seconds=3840)
    assert one.expected_end == START + timedelta(seconds=3840 + 5 * 960)
    assert (other.person.login, other.n_done, other.n_total, other.gross_seconds) == ("ben", 0, 10, 0)
    assert other.expected_end is None is other.last_seen_at
    assert not {"class_key", "truth", "correct"} & {field.name for field in fields(ReaderWatch)}
    engine.dispose()
