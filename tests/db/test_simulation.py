"""Simulated readers read synthetic studies and no others, whichever door is tried."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from actions.simulate_readers import simulate_readers
from core.errors import AccessError, ConflictError, InputError
from core.protocol import Protocol
from core.study import Answer, Role, StudyState
from db.engine import writing
from db.tables import Base, StudyRow
from tests.db.conftest import STUDY, Room, make_cases

REAL = "real"


@pytest.fixture
def real_study(room: Room) -> Room:
    """An open study of real cases beside the synthetic one."""
    room.coordinator.create_study(REAL, Protocol(title="Real patients"))
    room.coordinator.import_cases(REAL, make_cases(4, start=40))
    room.coordinator.set_state(REAL, StudyState.OPEN)
    return room


def _rows(engine: Engine) -> dict[str, int]:
    """Number of rows of every table."""
    with engine.connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def test_every_deed_for_simulated_readers_refuses_a_real_study_and_writes_nothing(
    real_study: Room, engine: Engine
) -> None:
    coordinator = real_study.coordinator
    before = _rows(engine)
    for deed in (
        lambda: coordinator.check_simulation(REAL),
        lambda: coordinator.add_reader(REAL, "sim", cohorts=["internal"]),
        lambda: coordinator.presentations_with_truth(REAL, "sim"),
        lambda: coordinator.save_simulated_readings(REAL, "sim", [("any", Answer("sat", 1))]),
        lambda: simulate_readers(coordinator, REAL, ["internal"]),
    ):
        with pytest.raises(AccessError, match=r"'real' is not synthetic.*Fix: make a study .*--synthetic"):
            deed()
    assert _rows(engine) == before


def test_a_simulated_reader_who_is_in_a_real_study_from_before_gets_no_truth(room: Room, engine: Engine) -> None:
    places = [each.presentation.presentation_id for each in room.coordinator.presentations_with_truth(STUDY, "sim")]
    with writing(engine).begin() as connection:
        connection.execute(sa.update(StudyRow).values(is_synthetic=False))
    with pytest.raises(AccessError, match="not synthetic"):
        room.coordinator.presentations_with_truth(STUDY, "sim")
    with pytest.raises(AccessError, match="not synthetic"):
        room.coordinator.save_simulated_readings(STUDY, "sim", [(places[0], Answer("sat", 1))])


def test_nobody_signs_in_as_a_simulated_reader(room: Room) -> None:
    with pytest.raises(InputError, match="simulated reader has no password"):
        room.coordinator.create_person("sim-2", "Senior", Role.READER, is_simulated=True, password="a long password")
    with pytest.raises(InputError, match="no address"):
        room.operator.set_email("sim", "sim@example.org")
    with pytest.raises(InputError, match="simulated reader has no password"):
        room.coordinator.set_password("sim", "another long password")


def test_simulation_of_a_study_that_is_not_open_makes_no_person(room: Room) -> None:
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    before = room.coordinator.people(), room.coordinator.members(STUDY)
    with pytest.raises(ConflictError, match="while it is open"):
        simulate_readers(room.coordinator, STUDY, ["internal", "external"])
    assert (room.coordinator.people(), room.coordinator.members(STUDY)) == before
