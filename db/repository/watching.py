"""How a study's readers get on: how many answers, in what time, when next; never how well."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from core.study import Person, Role
from db.reading_counts import StudyCounts, study_counts
from db.records import ReaderWatch
from db.repository.access import RepositoryBase, allowed
from db.repository.members import readers_of
from db.tables import DeviationRow, SignInSessionRow


class WatchRepository(RepositoryBase):
    """Readers of a study as its coordinators watch them."""

    @allowed(Role.COORDINATOR)
    def watch(self, study_key: str) -> list[ReaderWatch]:
        """Each reader's answers and times over all cohorts and arms, by login; first answers only."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            counts = study_counts(self.engine, db_session, row)
            people = readers_of(db_session, row)
            deviations: dict[str, int] = dict(
                db_session.execute(
                    sa.select(DeviationRow.person_id, sa.func.count())
                    .where(DeviationRow.study_id == row.study_id)
                    .group_by(DeviationRow.person_id)
                ).all()
            )
            seen: dict[str, datetime] = dict(
                db_session.execute(
                    sa.select(SignInSessionRow.person_id, sa.func.max(SignInSessionRow.created_at))
                    .where(SignInSessionRow.person_id.in_(people))
                    .group_by(SignInSessionRow.person_id)
                ).all()
            )
        return [
            _watched(counts, person, seen.get(key), deviations.get(key, 0))
            for key, person in people.items()
            if any(part[0] == key for part in counts.n_total)
        ]


def _watched(counts: StudyCounts, person: Person, signed_in_at: datetime | None, n_deviations: int) -> ReaderWatch:
    """One reader's row."""
    clock = counts.clocks[person.person_id]
    return ReaderWatch(
        person=person,
        n_done=len(clock.saved_at),
        n_total=sum(n for part, n in counts.n_total.items() if part[0] == person.person_id),
        active_seconds=clock.active_seconds,
        gross_seconds=clock.gross_seconds,
        first_saved_at=clock.saved_at[0] if clock.saved_at else None,
        last_saved_at=clock.saved_at[-1] if clock.saved_at else None,
        last_seen_at=max([*clock.saved_at[-1:], *([signed_in_at] if signed_in_at else [])], default=None),
        n_deviations=n_deviations,
    )
