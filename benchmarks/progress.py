"""How long do the screens wait for the store in a large study? 200 readers x 2,000 cases, half of them read.

    python -m benchmarks.progress [--readers 200] [--cases 2000] [--sqlite-only]

Times each query behind the reading, overview, people, live and results screens on SQLite and on PostgreSQL: the first
call of a process and the median of later ones. Two lines stand apart: what reads every answer (an analysis, an export)
is asked once for everybody and kept. Makes the stores in a temporary folder; takes minutes, most of it orders.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from statistics import median

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.protocol import THYROID_CLASSES, Protocol
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, CasePrediction, Repository, create_store, open_store
from db.engine import writing
from db.tables import PresentationRow, ReadingRow, StudyRow
from tests.stores import postgresql_stores, repository_of, why_no_postgresql

STUDY = "large"
MODEL = "ab" * 32


def furnish(engine: Engine, n_readers: int, n_cases: int) -> None:
    """An open study of which every reader has read the first half of the order."""
    operator, rng = Repository(engine, OPERATOR), np.random.default_rng(1)
    operator.create_study(STUDY, Protocol("Large"), is_synthetic=True)
    operator.import_cases(
        STUDY,
        [
            CaseRecord(
                f"case-{n}", f"patient-{n}", "internal", THYROID_CLASSES[n % 4].key,
                rng.integers(0, 255, (16, 16), dtype=np.uint8),
            )
            for n in range(n_cases)
        ],
    )  # fmt: skip
    operator.register_model(sha256=MODEL, name="net", architecture="small", path="net.safetensors", metadata={})
    told = [CasePrediction(f"case-{n}", (0.4, 0.3, 0.2, 0.1), 0.5, False, "cpu", "fp32") for n in range(n_cases)]
    operator.save_predictions(STUDY, MODEL, told)
    for n in range(n_readers):
        operator.create_person(f"reader-{n}", f"Reader {n}", Role.READER)
        operator.add_reader(STUDY, f"reader-{n}", cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    now = datetime.now(UTC)
    with writing(engine).begin() as connection:
        places = connection.scalars(
            sa.select(PresentationRow.presentation_id).where(PresentationRow.position <= n_cases // 2)
        ).all()
        fixed = {
            "revision": 1, "class_key": "sat", "confidence": 3, "comment": "", "is_unreadable": False, "saved_at": now,
            "display_state": {}, "client_events": [], "unreadable_reason": "", "marks": [], "is_typed_ahead": False,
        }  # fmt: skip
        rows = [
            {
                "reading_id": str(uuid.uuid4()),
                "presentation_id": place,
                "submit_id": str(n),
                "reading_seconds": n % 30.0,
            }
            | fixed
            for n, place in enumerate(places)
        ]
        connection.execute(sa.insert(ReadingRow), rows)


def seconds_of(deed: Callable[[], object]) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    deed()
    return time.perf_counter() - begun


def queries(engine: Engine) -> dict[str, Callable[[], object]]:
    """What the screens of an open study ask, by screen and method."""
    operator = Repository(engine, OPERATOR)
    person = next(one for one in operator.people() if one.login == "reader-3")
    reader = repository_of(engine, person)
    asked = {
        "reading": (reader, ("my_studies", "my_progress", "upcoming_presentations", "last_reading")),
        "overview": (operator, ("members", "case_counts", "prediction_counts", "cohorts", "models", "deviations")),
        "people": (operator, ("people", "invitations", "study_people")),
        "live": (operator, ("progress", "watch")),
        "cases": (operator, ("cases", "views")),
    }
    return {
        f"{screen}: {name}": partial(_ask, repository, name)
        for screen, (repository, names) in asked.items()
        for name in names
    }


def queries_of_results(engine: Engine) -> dict[str, Callable[[], object]]:
    """What the screens of an unsealed study ask at every click, and what they ask once."""
    operator = Repository(engine, OPERATOR)
    return {
        "results: model_declarations": partial(operator.model_declarations, STUDY),
        "results: prediction_counts": partial(operator.prediction_counts, STUDY),
        "results: predictions": partial(operator.predictions, STUDY, MODEL),
        "results: reference_standard": partial(operator.reference_standard, STUDY),
        "explain: lesion_mask": partial(operator.lesion_mask, STUDY, "case-9"),
        "explain: case_prediction": partial(operator.case_prediction, STUDY, MODEL, "case-9"),
        "once: study_data": partial(operator.study_data, STUDY),
    }


def _ask(repository: Repository, name: str) -> object:
    method = getattr(repository, name)
    return method() if name in ("my_studies", "people", "invitations", "models") else method(STUDY)


def times_of(url: str, n_readers: int, n_cases: int) -> dict[str, tuple[float, float]]:
    """First call and median of nine later ones, ms, of every query on one new store."""
    engine = create_store(url)
    furnish(engine, n_readers, n_cases)
    engine.dispose()
    found = {}
    for state, asked in ((StudyState.OPEN, queries), (StudyState.UNSEALED, queries_of_results)):
        engine = open_store(url, check_integrity=False)
        with writing(engine).begin() as connection:  # past the seals, which 200,000 answers without a trail have not
            connection.execute(sa.update(StudyRow).values(state=state))
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("ANALYZE")
        for name, deed in asked(engine).items():
            first = seconds_of(deed)
            later = [] if name.startswith("once") else [seconds_of(deed) for _ in range(9)]
            found[name] = 1000 * first, 1000 * median(later or [first])
        engine.dispose()
    return found


def main() -> None:
    """Build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--sqlite-only", action="store_true")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        found["SQLite"] = times_of(f"sqlite:///{folder}/store.sqlite3", given.readers, given.cases)
    if not given.sqlite_only and why_no_postgresql() is None:
        with postgresql_stores() as stores:
            url = stores.empty_store().render_as_string(hide_password=False)
            found["PostgreSQL"] = times_of(url, given.readers, given.cases)
    print(f"{given.readers} readers x {given.cases} cases, half read; ms: first call, later calls")
    for name in found["SQLite"]:
        print(f"{name:<34}", *(f"{engine} {one[name][0]:8.1f} {one[name][1]:8.1f}" for engine, one in found.items()))


if __name__ == "__main__":
    main()
