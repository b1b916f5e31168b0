"""What is counted step by step is what a count from the beginning finds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from core.errors import StoreError
from core.study import Answer, sitting_seconds
from db import OPERATOR, Repository
from db.engine import writing
from db.reading_counts import _kept
from db.tables import PersonRow, PresentationRow, ReadingRow
from tests.db.conftest import STUDY, Room, read_next


def counted_anew(room: Room) -> dict[str, tuple[int, int, float | None, float, float]]:
    """By login: done, total, median and sum of seconds, seconds of sittings; from the rows, without our counts."""
    query = (
        sa.select(PersonRow.login, ReadingRow.revision, ReadingRow.reading_seconds, ReadingRow.saved_at)
        .select_from(PresentationRow)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .outerjoin(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
    )
    total, seconds, saved = defaultdict(int), defaultdict(list), defaultdict(list)
    with room.operator.engine.connect() as connection:
        for login, revision, taken, saved_at in connection.execute(query):
            total[login] += revision in (None, 1)
            if revision == 1:
                saved[login].append(saved_at)
                seconds[login] += [taken] if taken is not None else []
    return {
        login: (
            len(saved[login]),
            total[login],
            median(seconds[login]) if seconds[login] else None,
            float(sum(seconds[login])),
            sitting_seconds(sorted(saved[login])),
        )
        for login in total
    }


def counted_by_steps(room: Room) -> dict[str, tuple[int, int, float | None, float, float]]:
    """The same from the screens' methods, over all cohorts."""
    parts, watched = room.coordinator.progress(STUDY), {row.person.login: row for row in room.coordinator.watch(STUDY)}
    found = {}
    for login, row in watched.items():
        mine = [part for part in parts if part.person.login == login]
        assert sum(part.n_done for part in mine) == row.n_done
        assert sum(part.n_total for part in mine) == row.n_total
        medians = [part.median_reading_seconds for part in mine]
        found[login] = (
            row.n_done, row.n_total, medians[0] if len(mine) == 1 else None, row.active_seconds, row.gross_seconds
        )  # fmt: skip
    return found


def check(room: Room) -> None:
    """Both counts agree; the median where a reader has one part."""
    anew, steps = counted_anew(room), counted_by_steps(room)
    assert anew.keys() == steps.keys()
    for login, expected in anew.items():
        given = steps[login]
        assert given[:2] == expected[:2]
        assert given[2] is None or given[2] == expected[2]
        assert given[3:] == pytest.approx(expected[3:])


def test_counts_by_steps_are_those_of_a_new_count(room: Room) -> None:
    check(room)
    rng = np.random.default_rng(5)
    for step in range(14):
        reader = (room.ann, room.ben)[int(rng.integers(2))]
        place = reader.next_presentation(STUDY)
        last = reader.last_reading(STUDY)
        seconds = None if step == 3 else float(rng.integers(1, 40))
        answer = Answer("sat", 2, reading_seconds=seconds)
        if last is not None and rng.random() < 0.3:
            place, revision = last.presentation, last.revision
        else:
            revision = 0
        if place is not None:
            reader.save_reading(
                place.presentation_id, answer, submit_id=f"step-{step}", expected_revision=revision
            )  # fmt: skip
        if step % 3 == 0:
            check(room)
    check(room)
    _kept.clear()
    check(room)


def test_a_reading_committed_after_one_with_a_higher_number_is_counted(room: Room) -> None:
    place = room.ann.next_presentation(STUDY)
    assert place is not None
    room.ann.save_reading(place.presentation_id, Answer("sat", 2), submit_id="first")
    late = room.ben.next_presentation(STUDY)
    assert late is not None
    with writing(room.operator.engine).begin() as connection:
        stored = dict(connection.execute(sa.select(ReadingRow.__table__)).one()._mapping)
        gap = {**stored, "sequence": stored["sequence"] + 5, "reading_id": "a", "submit_id": "a", "revision": 2}
        connection.execute(sa.insert(ReadingRow).values(gap))
    check(room)
    with writing(room.operator.engine).begin() as connection:
        values = {**stored, "sequence": stored["sequence"] + 2, "reading_id": "b", "submit_id": "b"}
        connection.execute(sa.insert(ReadingRow).values({**values, "presentation_id": late.presentation_id}))
    check(room)


def test_somebody_whom_a_later_look_counted_is_left_out_of_an_earlier_one(room: Room) -> None:
    before = room.coordinator.progress(STUDY)
    for counts in _kept[room.coordinator.engine].values():
        counts.n_total["came later", "internal", "unaided"] = 3
    assert room.coordinator.progress(STUDY) == before


def test_what_the_store_did_not_answer_is_asked_again(room: Room) -> None:
    """A look that failed on its way has counted nothing and forgotten nothing."""
    engine = room.coordinator.engine
    for reader in (room.ann, room.ben):
        read_next(reader)
        check(room)

    def fail(connection, cursor, statement, *_: object) -> None:
        if "study_case" in statement and "reading.sequence IN" in statement:
            raise sa.exc.OperationalError(statement, {}, Exception("the line is dead"))

    read_next(room.ann)
    event.listen(engine, "before_cursor_execute", fail)
    try:
        with pytest.raises(StoreError):
            room.coordinator.progress(STUDY)
    finally:
        event.remove(engine, "before_cursor_execute", fail)
    check(room)


def test_a_reader_who_joins_an_open_study_is_counted(room: Room) -> None:
    check(room)
    room.operator.create_person("cem", "Cem", room.ann.actor.role)
    room.operator.add_reader(STUDY, "cem", cohorts=["internal"])
    check(room)
    other = Repository(room.operator.engine, OPERATOR)
    assert {row.person.login for row in other.watch(STUDY)} == set(counted_anew(room))
    assert replace(other.watch(STUDY)[0]) == room.operator.watch(STUDY)[0]
