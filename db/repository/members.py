"""The readers of a study: who takes part, each one's own order, and how far everybody is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from statistics import median

import sqlalchemy as sa

from core.errors import ConflictError, InputError
from core.protocol import Arm
from core.study import READING_ORDER_ALGORITHM, Role, StudyState
from db.records import ReaderProgress, StudyMember
from db.repository.access import RepositoryBase, allowed, person_of, person_row, require_state, require_synthetic
from db.repository.orders import make_order
from db.repository.study_roles import refuse_second_part
from db.seals import seal_of_order
from db.tables import CaseRow, CohortRow, PersonRow, PresentationRow, ReadingRow, StudyMemberRow


class MemberRepository(RepositoryBase):
    """Readers of a study, for coordinators."""

    @allowed(Role.COORDINATOR)
    def add_reader(
        self, study_key: str, login: str, *, cohorts: Sequence[str], arms: Sequence[Arm] | None = None
    ) -> StudyMember:
        """Let a reader take part and store his or her order; in a draft, a second call replaces the first.

        Parameters
        ----------
        study_key, login : str
            A study in state draft or open; a person without another part in it.
        cohorts : sequence of str
            What to read; the cohorts are mixed.
        arms : sequence of Arm, optional
            In this order; all arms of the protocol unless said otherwise.

        Raises
        ------
        NotFoundError
            No such person or cohort.
        AccessError
            A simulated reader, and the study is not synthetic.
        ConflictError
            The person has or had another part in the study, or takes part already in an open study.
        InputError
            No cohort, or an arm that the protocol lacks.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "adding a reader", StudyState.DRAFT, StudyState.OPEN)
            protocol = self._protocol(db_session, row)
            chosen = tuple(dict.fromkeys(arms if arms is not None else protocol.arms))
            if not cohorts:
                raise InputError("a reader needs at least one cohort", field="cohorts")
            if not chosen or not set(chosen) <= set(protocol.arms):
                raise InputError("an arm that the protocol lacks", field="arms", value=[str(arm) for arm in chosen])
            person = person_row(db_session, login)
            refuse_second_part(db_session, row, person, Role.READER)
            if person.is_simulated:
                require_synthetic(row)
            member = db_session.get(StudyMemberRow, (row.study_id, person.person_id))
            if member is None:
                member = StudyMemberRow(study_id=row.study_id, person_id=person.person_id, added_at=self._clock())
                db_session.add(member)
            elif row.state != StudyState.DRAFT:
                raise ConflictError(f"'{login}' takes part in study '{study_key}' already.")
            member.cohorts = list(dict.fromkeys(cohorts))
            member.arms = [str(arm) for arm in chosen]
            member.order_seed = protocol.order.seed
            member.order_algorithm = READING_ORDER_ALGORITHM
            db_session.flush()
            count = make_order(db_session, row, protocol, person, member.cohorts, chosen)
            self._audit(
                db_session,
                "study.reader",
                study_key,
                login=person.login,
                cohorts=member.cohorts,
                arms=member.arms,
                n_presentations=count,
                order_seed=protocol.order.seed,
                order_algorithm=READING_ORDER_ALGORITHM,
                order=seal_of_order(db_session, row, person.person_id),
            )
            return _member_of(member, person, count)

    @allowed(Role.COORDINATOR)
    def members(self, study_key: str) -> list[StudyMember]:
        """The readers of a study, by login."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            counts = dict(
                db_session.execute(
                    sa.select(PresentationRow.person_id, sa.func.count())
                    .where(PresentationRow.study_id == row.study_id)
                    .group_by(PresentationRow.person_id)
                ).all()
            )
            found = db_session.execute(
                sa.select(StudyMemberRow, PersonRow)
                .join(PersonRow, PersonRow.person_id == StudyMemberRow.person_id)
                .where(StudyMemberRow.study_id == row.study_id)
                .order_by(PersonRow.login)
            )
            return [_member_of(member, person, counts.get(person.person_id, 0)) for member, person in found]

    @allowed(Role.COORDINATOR)
    def progress(self, study_key: str) -> list[ReaderProgress]:
        """How far each reader is, per cohort and arm; times are of first answers. Never says right or wrong."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            found = db_session.execute(
                sa.select(PersonRow, CohortRow.name, PresentationRow.arm, PresentationRow.presentation_id)
                .add_columns(ReadingRow.revision, ReadingRow.reading_seconds, ReadingRow.saved_at)
                .select_from(PresentationRow)
                .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
                .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .outerjoin(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
                .where(PresentationRow.study_id == row.study_id)
            )
            people = {}
            totals: dict[tuple[str, str, str], set[str]] = defaultdict(set)
            seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
            done: dict[tuple[str, str, str], int] = defaultdict(int)
            last: dict[tuple[str, str, str], datetime] = {}
            for person, cohort, arm, presentation_id, revision, taken, saved_at in found:
                people[person.login] = person_of(person)
                key = (person.login, cohort, arm)
                totals[key].add(presentation_id)
                if revision is None:
                    continue
                last[key] = max(saved_at, last.get(key, saved_at))
                if revision == 1:
                    done[key] += 1
                    if taken is not None:
                        seconds[key].append(taken)
        return [
            ReaderProgress(
                person=people[login],
                cohort=cohort,
                arm=Arm(arm),
                n_done=done[login, cohort, arm],
                n_total=len(totals[login, cohort, arm]),
                last_saved_at=last.get((login, cohort, arm)),
                median_reading_seconds=median(seconds[login, cohort, arm]) if seconds[login, cohort, arm] else None,
            )
            for login, cohort, arm in sorted(totals)
        ]


def _member_of(member: StudyMemberRow, person: PersonRow, count: int) -> StudyMember:
    """A reader's part in a study."""
    return StudyMember(
        person=person_of(person),
        cohorts=tuple(member.cohorts),
        arms=tuple(Arm(arm) for arm in member.arms),
        n_presentations=count,
        order_seed=member.order_seed,
        order_algorithm=member.order_algorithm,
    )
