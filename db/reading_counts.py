"""How far a study is, kept by the process: of the readings, only those that were saved since the last look are read.

Readings are append-only, so what was counted stays counted. Two that were saved at once may be committed in another
order than their numbers (PostgreSQL), so each look begins some numbers before the last one that it knows, and skips
what it has seen. Orders change with the state of a study and with its readers; then they are counted again.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from core.study import StudyState, sitting_seconds
from db.tables import CaseRow, CohortRow, PresentationRow, ReadingRow, StudyMemberRow, StudyRow

#: A reading is committed before this many later numbers are given out.
_OVERLAP = 5000

_AT_ONCE = 500

#: Person, cohort and arm of a part of an order.
Part = tuple[str, str, str]


@dataclass
class PartCounts:
    """First answers of one reader in one cohort and arm."""

    n_done: int = 0
    last_saved_at: datetime | None = None  # of any revision
    seconds: list[float] = field(default_factory=list)  # reading times, sorted

    @property
    def median_seconds(self) -> float | None:
        """Median of the reading times; None if there is none."""
        n = len(self.seconds)
        return (self.seconds[(n - 1) // 2] + self.seconds[n // 2]) / 2 if n else None


@dataclass
class ReaderClock:
    """First answers of one reader over all parts."""

    saved_at: list[datetime] = field(default_factory=list)  # sorted
    active_seconds: float = 0.0
    _gross: tuple[int, float] = (0, 0.0)

    @property
    def gross_seconds(self) -> float:
        """Time in front of the study: :func:`core.study.sitting_seconds`."""
        if self._gross[0] != len(self.saved_at):
            self._gross = (len(self.saved_at), sitting_seconds(self.saved_at))
        return self._gross[1]


class StudyCounts:
    """What is known of one study; :meth:`look` brings it up to date."""

    def __init__(self) -> None:
        self.n_total: dict[Part, int] = {}  # presentations
        self.parts: dict[Part, PartCounts] = defaultdict(PartCounts)
        self.clocks: dict[str, ReaderClock] = defaultdict(ReaderClock)
        self._orders: object = None  # what the orders that were counted depend on
        self._seen: set[int] = set()  # numbers of the last readings
        self._last = 0
        self._lock = threading.Lock()

    def look(self, db_session: Session, study: StudyRow) -> None:
        """Count what came since the last look."""
        with self._lock:
            self._count_orders(db_session, study)
            for row in self._unseen(db_session, study):
                self._add(row)
            self._last = max(self._seen, default=0)
            self._seen = {number for number in self._seen if number > self._last - _OVERLAP}

    def _unseen(self, db_session: Session, study: StudyRow) -> Iterator[sa.Row[Any]]:
        """Readings of the study that no look has counted, each with its part; those of other studies are skipped."""
        query = _readings_with_parts().where(PresentationRow.study_id == study.study_id)
        if not self._last:
            rows = db_session.execute(query).all()
            self._seen.update(row.sequence for row in rows)
            yield from rows
            return
        later = db_session.scalars(sa.select(ReadingRow.sequence).where(ReadingRow.sequence > self._last - _OVERLAP))
        new = [number for number in later if number not in self._seen]
        for start in range(0, len(new), _AT_ONCE):
            part = new[start : start + _AT_ONCE]
            rows = db_session.execute(query.where(ReadingRow.sequence.in_(part))).all()
            self._seen.update(part)  # not before the store has answered: what failed is asked again
            yield from rows

    def _count_orders(self, db_session: Session, study: StudyRow) -> None:
        """Presentations of each part, unless nothing can have changed."""
        members = db_session.execute(
            sa.select(sa.func.count(), sa.func.max(StudyMemberRow.added_at)).where(
                StudyMemberRow.study_id == study.study_id
            )
        ).one()
        now = None if study.state == StudyState.DRAFT else (study.state, *members)
        if now is not None and now == self._orders:
            return
        rows = db_session.execute(
            sa.select(PresentationRow.person_id, CohortRow.name, PresentationRow.arm, sa.func.count())
            .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
            .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
            .where(PresentationRow.study_id == study.study_id)
            .group_by(PresentationRow.person_id, CohortRow.name, PresentationRow.arm)
        )
        self.n_total = {(person_id, cohort, arm): count for person_id, cohort, arm, count in rows}
        self._orders = now

    def _add(self, row: sa.Row[Any]) -> None:
        """Count one reading."""
        part = self.parts[row.person_id, row.cohort, row.arm]
        part.last_saved_at = max(row.saved_at, part.last_saved_at or row.saved_at)
        if row.revision > 1:
            return
        part.n_done += 1
        clock = self.clocks[row.person_id]
        insort(clock.saved_at, row.saved_at)
        if row.reading_seconds is not None:
            insort(part.seconds, row.reading_seconds)
            clock.active_seconds += row.reading_seconds


_kept: WeakKeyDictionary[Engine, dict[str, StudyCounts]] = WeakKeyDictionary()
_keeping = threading.Lock()


def study_counts(engine: Engine, db_session: Session, study: StudyRow) -> StudyCounts:
    """The counts of a study as this transaction sees it, or a moment later."""
    with _keeping:
        counts = _kept.setdefault(engine, {}).setdefault(study.study_id, StudyCounts())
    counts.look(db_session, study)
    return counts


def _readings_with_parts() -> sa.Select[Any]:
    """Number, person, cohort, arm, revision, instant and reading time of readings."""
    return (
        sa.select(ReadingRow.sequence, PresentationRow.person_id, PresentationRow.arm)
        .add_columns(
            CohortRow.name.label("cohort"), ReadingRow.revision, ReadingRow.saved_at, ReadingRow.reading_seconds
        )
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
    )
