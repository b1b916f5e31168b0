"""How a study's readers get on: how many answers, in what time, when next; never how well."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import sqlalchemy as sa

from core.study import Person, Role, sitting_seconds
from db.records import ReaderWatch
from db.repository.access import RepositoryBase, allowed, person_of
from db.tables import DeviationRow, PersonRow, PresentationRow, ReadingRow, SignInSessionRow


class WatchRepository(RepositoryBase):
    """Readers of a study as its coordinators watch them."""

    @allowed(Role.COORDINATOR)
    def watch(self, study_key: str) -> list[ReaderWatch]:
        """Each reader's answers and times over all cohorts and arms, by login; first answers only."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            found = db_session.execute(
                sa.select(PersonRow, PresentationRow.presentation_id, ReadingRow.saved_at, ReadingRow.reading_seconds)
                .select_from(PresentationRow)
                .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
                .outerjoin(
                    ReadingRow,
                    (ReadingRow.presentation_id == PresentationRow.presentation_id) & (ReadingRow.revision == 1),
                )
                .where(PresentationRow.study_id == row.study_id)
                .order_by(PersonRow.login, ReadingRow.saved_at)
            )
            people: dict[str, Person] = {}
            totals: dict[str, int] = defaultdict(int)
            saved: dict[str, list[datetime]] = defaultdict(list)
            active: dict[str, float] = defaultdict(float)
            for person, _, saved_at, seconds in found:
                people.setdefault(person.person_id, person_of(person))
                totals[person.person_id] += 1
                if saved_at is not None:
                    saved[person.person_id].append(saved_at)
                    active[person.person_id] += seconds or 0.0
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
            ReaderWatch(
                person=person,
                n_done=len(saved[key]),
                n_total=totals[key],
                active_seconds=active[key],
                gross_seconds=sitting_seconds(saved[key]),
                first_saved_at=saved[key][0] if saved[key] else None,
                last_saved_at=saved[key][-1] if saved[key] else None,
                last_seen_at=max([*saved[key][-1:], *([seen[key]] if key in seen else [])], default=None),
                n_deviations=deviations.get(key, 0),
            )
            for key, person in people.items()
        ]
