"""How long does a coordinator's live table wait in a large study? 200 readers x 2,000 cases, half of them read.

    python -m benchmarks.progress [--readers 200] [--cases 2000]

Prints the first look of a process (everything is counted), a later look, and the ratio to counting the readings anew in
one statement of the database in the same run. Makes the store in a temporary folder; takes minutes, most of it orders.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.protocol import THYROID_CLASSES, Protocol
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, Repository, create_store
from db.engine import writing
from db.tables import PresentationRow, ReadingRow

STUDY = "large"


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


def main() -> None:
    """Build, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--cases", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = create_store(f"sqlite:///{folder}/store.sqlite3")
        furnish(engine, given.readers, given.cases)
        operator = Repository(engine, OPERATOR)
        anew = (
            sa.select(PresentationRow.person_id, sa.func.count(), sa.func.max(ReadingRow.saved_at))
            .join(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
            .group_by(PresentationRow.person_id)
        )

        def count_anew() -> object:
            with engine.connect() as connection:
                return connection.execute(anew).all()

        first = seconds_of(lambda: operator.progress(STUDY))
        later = sorted(seconds_of(lambda: operator.progress(STUDY)) for _ in range(9))[4]
        watched = sorted(seconds_of(lambda: operator.watch(STUDY)) for _ in range(9))[4]
        whole = sorted(seconds_of(count_anew) for _ in range(3))[1]
        print(f"{given.readers} readers x {given.cases} cases, half read; SQLite")
        print(f"first look {1000 * first:8.0f} ms")
        print(
            f"later look {1000 * later:8.0f} ms, {later / whole:.3f} of one counting statement ({1000 * whole:.0f} ms)"
        )
        print(f"watch      {1000 * watched:8.0f} ms, {watched / whole:.3f} of it")
        engine.dispose()


if __name__ == "__main__":
    main()
