"""How much the store is asked for one Enter of a reader; it grows with neither cases nor readers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import SignedOutError
from core.study import Answer
from db import Repository
from db.engine import writing
from tests.db.conftest import STUDY, Room, read_next


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    """Every statement while the block runs, those that begin and end transactions left out."""
    seen: list[str] = []

    def listen(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.startswith(("BEGIN", "SAVEPOINT", "RELEASE")):
            seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", listen)


def look(reader: Repository) -> None:
    """What the reading screen asks after an answer: the place, the last answer, the images to come."""
    study = next(study for study in reader.my_studies() if study.key == STUDY)
    reader.my_progress(study.key)
    reader.last_reading(study.key)
    for place in reader.upcoming_presentations(study.key, 3)[-1:]:
        reader.presentation_image(place.presentation_id)


def test_a_reading_is_saved_with_few_statements(room: Room) -> None:
    read_next(room.ann)
    place = room.ann.next_presentation(STUDY)
    assert place is not None
    with statements_of(room.ann.engine) as seen:
        room.ann.save_reading(place.presentation_id, Answer("sat", 3), submit_id="counted")
    assert len(seen) <= 12, "\n".join(seen)


def test_a_screen_asks_for_each_thing_once_in_one_moment(room: Room) -> None:
    read_next(room.ann)
    with statements_of(room.ann.engine) as apart:
        look(room.ann)
    with statements_of(room.ann.engine) as together, room.ann.one_moment() as moment:
        look(moment)
    assert len(together) <= 13, "\n".join(together)
    assert len(together) < 0.6 * len(apart)


def test_one_moment_gives_the_answers_of_single_questions(room: Room) -> None:
    read_next(room.ann)
    alone = _answers(room.ann)
    with room.ann.one_moment() as moment:
        assert _answers(moment) == alone
        read_next(room.ann)
        assert _answers(moment) == alone, "one moment is one moment"
    assert _answers(room.ann) != alone


def _answers(reader: Repository) -> list[object]:
    asked: list[Callable[[str], object]] = [reader.study, reader.my_progress, reader.last_reading]
    return [*(ask(STUDY) for ask in asked), reader.upcoming_presentations(STUDY, 3)]


def test_in_one_moment_roles_and_sign_in_are_looked_at_as_ever(room: Room) -> None:
    with room.ann.one_moment() as moment:
        moment.my_progress(STUDY)
        with pytest.raises(Exception, match=r"role|no study"):
            moment.case_counts(STUDY)
    with writing(room.operator.engine).begin() as connection:
        connection.exec_driver_sql("UPDATE sign_in_session SET revoked_at = created_at")
    with pytest.raises(SignedOutError), room.ann.one_moment() as moment:
        moment.my_progress(STUDY)
