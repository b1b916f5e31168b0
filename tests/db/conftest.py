"""Every test of this room runs on a real SQLite file and, where a server can be had, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from argon2.profiles import CHEAPEST
from sqlalchemy.engine import Engine

from core.protocol import Protocol
from core.study import Answer, CaseRecord, Person, Role, StudyState
from db import OPERATOR, Repository, open_store
from db.password_hashing import Passwords
from tests.stores import PostgresqlStores, SqliteStores, postgresql_stores, repository_of, why_no_postgresql

#: The real gate to argon2 with the weakest profile: tests sign in often.
CHEAP = Passwords(CHEAPEST)

STUDY = "demo"
CLASS_CYCLE = ("graves", "normal", "sat", "tumor")


@pytest.fixture(scope="session")
def sqlite_stores(tmp_path_factory: pytest.TempPathFactory) -> SqliteStores:
    return SqliteStores(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlStores]:
    reason = why_no_postgresql()
    if reason:
        pytest.skip(reason)
    with postgresql_stores() as stores:
        yield stores


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated, empty store, on each engine in turn."""
    name = {"sqlite": "sqlite_stores", "postgresql": "postgresql"}[request.param]
    return request.getfixturevalue(name).recycled_store()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def own_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same, for a test that changes the schema: nobody uses this store afterwards."""
    name = {"sqlite": "sqlite_stores", "postgresql": "postgresql"}[request.param]
    return request.getfixturevalue(name).new_store(tmp_path)


@pytest.fixture
def sqlite_url(sqlite_stores: SqliteStores, tmp_path: Path) -> str:
    """URL of a migrated, empty SQLite store."""
    return sqlite_stores.new_store(tmp_path)


@pytest.fixture(scope="session")
def shared_engines() -> Iterator[dict[str, Engine]]:
    """One engine for each store that is emptied between tests: it keeps its compiled statements."""
    engines: dict[str, Engine] = {}
    yield engines
    for opened in engines.values():
        opened.dispose()


@pytest.fixture
def engine(store_url: str, shared_engines: dict[str, Engine]) -> Engine:
    if store_url not in shared_engines:
        shared_engines[store_url] = open_store(store_url)
    return shared_engines[store_url]


@dataclass
class Clock:
    """A clock that moves when told to."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **units: float) -> None:
        self.now += timedelta(**units)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repository(engine: Engine, clock: Clock) -> Callable[[Person | None], Repository]:
    """A repository for an actor, who has signed in."""
    return lambda actor: repository_of(engine, actor, passwords=CHEAP, clock=clock)


def make_cases(count: int, *, cohort: str = "internal", start: int = 0, size: int = 4) -> list[CaseRecord]:
    """Small cases whose pixels differ."""
    rng = np.random.default_rng(start + 1)
    return [
        CaseRecord(
            case=f"case-{number:04d}",
            patient=f"patient-{number:04d}",
            cohort=cohort,
            truth=CLASS_CYCLE[number % len(CLASS_CYCLE)],
            pixels=rng.integers(0, 60_000, (size, size + 1), dtype=np.uint16),
            pixel_spacing_mm=2.4,
            centre="A",
            scanner="camera",
            age_years=50.0,
            sex="F",
            source_name=f"SECRET-{CLASS_CYCLE[number % len(CLASS_CYCLE)]}-{number}.dcm",
        )
        for number in range(start, start + count)
    ]


@dataclass(frozen=True)
class Room:
    """An open study with two human readers and a simulated one."""

    operator: Repository
    coordinator: Repository
    ann: Repository
    ben: Repository
    sim: Person
    cases: list[CaseRecord]

    def truth_of(self, case: str) -> str:
        return next(record.truth for record in self.cases if record.case == case)


@pytest.fixture
def room(repository: Callable[[Person | None], Repository]) -> Room:
    return furnish(repository)


@pytest.fixture
def repository_on(clock: Clock) -> Iterator[Callable[[str], Room]]:
    """The same room in a store of the test's choice."""
    opened: list[Engine] = []

    def furnish_store(url: str) -> Room:
        engine = open_store(url)
        opened.append(engine)
        return furnish(lambda actor: repository_of(engine, actor, passwords=CHEAP, clock=clock))

    yield furnish_store
    for engine in opened:
        engine.dispose()


def furnish(repository: Callable[[Person | None], Repository]) -> Room:
    """An open study with its people."""
    operator = repository(OPERATOR)
    chief = operator.create_person(
        "chief", "Dr Chief", Role.COORDINATOR, is_temporary=False, password="correct horse battery"
    )
    ann = operator.create_person("ann", "Dr Ann", Role.READER, is_temporary=False, password="ann reads at night")
    ben = operator.create_person("ben", "Dr Ben", Role.READER, is_temporary=False, password="ben reads by day")
    sim = operator.create_person("sim", "Junior", Role.READER, is_simulated=True)
    coordinator = repository(chief)
    coordinator.create_study(STUDY, Protocol(title="Demo"), is_synthetic=True)
    cases = make_cases(6) + make_cases(4, cohort="external", start=6)
    coordinator.import_cases(STUDY, cases)
    for login in ("ann", "ben", "sim"):
        coordinator.add_reader(STUDY, login, cohorts=["internal", "external"])
    coordinator.set_state(STUDY, StudyState.OPEN)
    return Room(operator, coordinator, repository(ann), repository(ben), sim, cases)


def read_next(reader: Repository, class_key: str = "normal", *, submit_id: str | None = None, **values: object):
    """Answer the next case."""
    presentation = reader.next_presentation(STUDY)
    assert presentation is not None
    return reader.save_reading(
        presentation.presentation_id,
        Answer(class_key, 3, **values),
        submit_id=submit_id or f"submit-{presentation.presentation_id}",
    )
