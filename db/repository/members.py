"""The readers of a study: who takes part, each one's own order, and how far everybody is."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ChangedMeanwhileError, ConflictError, InputError, NotFoundError
from core.natural_order import cohort_place, natural_key
from core.protocol import Arm, Design, Protocol
from core.reading_order import most_repeats
from core.study import LONGEST_REASON, Person, Role, StudyState
from core.typed_text import check_text
from db.reading_counts import study_counts
from db.records import Deviation, ReaderProgress, StudyMember
from db.repository.access import RepositoryBase, allowed, person_of, person_row, require_state, require_synthetic
from db.repository.orders import make_order, n_cases_of, next_group
from db.repository.people import ReaderMarks
from db.repository.study_roles import refuse_second_part
from db.seals import seal_of_order
from db.tables import CohortRow, DeviationRow, PersonRow, PresentationRow, StudyMemberRow, StudyRow

#: Dates of the protocol that a coordinator may set aside for one reader.
DEVIATIONS = ("opens_on", "closes_on", "washout")


class MemberRepository(RepositoryBase):
    """Readers of a study, for coordinators."""

    @allowed(Role.COORDINATOR)
    def add_reader(
        self,
        study_key: str,
        login: str,
        *,
        cohorts: Sequence[str] | None = None,
        group: int | None = None,
        may_replace: bool = True,
    ) -> StudyMember:
        """Let a reader take part and store his or her order; in a draft, a second call replaces the first.

        Parameters
        ----------
        study_key, login : str
            A study in state draft or open; a person without another part in it.
        cohorts : sequence of str, optional
            What to read, mixed; what the protocol says unless said otherwise, else all but the training cohort.
        group : int, optional
            Of a crossover: 1 begins unaided, 2 begins aided; the smaller group unless said otherwise.
        may_replace : bool
            False: refuse somebody who takes part already, as a screen does that shows who does not yet.

        Raises
        ------
        NotFoundError
            No such person or cohort.
        AccessError
            A simulated reader, and the study is not synthetic.
        ConflictError
            The person has or had another part in the study, or takes part already in an open study.
        InputError
            No cohort, one that the protocol does not read, or a group where there is none.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "adding a reader", StudyState.DRAFT, StudyState.OPEN)
            person = person_row(db_session, login)
            member = db_session.get(StudyMemberRow, (row.study_id, person.person_id))
            if member is not None and not may_replace:
                given = f"cohorts {', '.join(member.cohorts)}, group {member.reader_group or 'none'}"
                raise ChangedMeanwhileError(f"The readers of study '{study_key}'", [f"'{login}' takes part ({given})"])
            return self._enrol(db_session, row, person, cohorts=cohorts, group=group)

    def _enrol(
        self,
        db_session: Session,
        row: StudyRow,
        person: PersonRow,
        *,
        cohorts: Sequence[str] | None,
        group: int | None = None,
    ) -> StudyMember:
        """Store a reader's part and order in a study that takes readers."""
        protocol = self._protocol(db_session, row)
        chosen = chosen_cohorts(db_session, row, protocol, cohorts)
        _check_group(protocol, group)
        refuse_second_part(db_session, row, person, Role.READER)
        if person.is_simulated:
            require_synthetic(row)
        member = db_session.get(StudyMemberRow, (row.study_id, person.person_id))
        if member is not None and row.state != StudyState.DRAFT:
            raise ConflictError(f"'{person.login}' takes part in study '{row.study_key}' already.")
        if protocol.design is Design.CROSSOVER and group is None:
            group = next_group(db_session, row) if member is None else member.reader_group
        order = protocol.order
        if row.state != StudyState.DRAFT and order.n_repeats:
            n_cases = n_cases_of(db_session, row, chosen)
            if most_repeats(n_cases, order.repeat_distance) < order.n_repeats:
                raise ConflictError(
                    f"{order.n_repeats} hidden repeats are planned, and {most_repeats(n_cases, order.repeat_distance)} "
                    f"fit into the {n_cases} cases of {', '.join(chosen)}: '{person.login}' would have fewer than the "
                    "others. Fix: give more cohorts."
                )
        if member is None:
            member = StudyMemberRow(study_id=row.study_id, person_id=person.person_id, added_at=self._clock())
            member.arms, member.order_seed, member.order_algorithm = [], protocol.order.seed, ""
        member.cohorts, member.reader_group = chosen, group
        db_session.add(member)
        db_session.flush()
        count = make_order(db_session, row, protocol, person, member)
        db_session.flush()
        self._audit(
            db_session,
            "study.reader",
            row.study_key,
            login=person.login,
            cohorts=member.cohorts,
            arms=member.arms,
            group=member.reader_group,
            n_presentations=count,
            order_seed=member.order_seed,
            order_algorithm=member.order_algorithm,
            order=seal_of_order(db_session, row, person.person_id),
        )
        return _member_of(member, person, count)

    @allowed(Role.COORDINATOR)
    def record_deviation(self, study_key: str, login: str, kind: str, reason: str) -> None:
        """Let one reader read outside of the protocol's dates; it stands in the trail and in every export.

        Parameters
        ----------
        study_key, login : str
            A study; one of its readers.
        kind : str
            Which date is set aside for good: one of :data:`DEVIATIONS`.
        reason : str
            Why.

        Raises
        ------
        InputError
            No such kind, or no reason.
        NotFoundError
            If the person does not take part.
        ConflictError
            If it was recorded before, or readings are final.
        """
        if kind not in DEVIATIONS:
            raise InputError("unknown deviation", field="kind", value=kind, fix="use " + ", ".join(DEVIATIONS))
        if not 1 <= len(reason.strip()) <= LONGEST_REASON:
            raise InputError("a deviation needs a reason", field="reason", fix=f"1 to {LONGEST_REASON} characters")
        check_text(reason, "reason", longest=LONGEST_REASON)
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "letting a reader in", StudyState.DRAFT, StudyState.OPEN, StudyState.CLOSED)
            person = person_row(db_session, login)
            if db_session.get(StudyMemberRow, (row.study_id, person.person_id)) is None:
                raise NotFoundError(f"Study '{study_key}' has no reader '{login}'.")
            if db_session.get(DeviationRow, (row.study_id, person.person_id, kind)) is not None:
                raise ConflictError(f"The deviation '{kind}' of '{login}' was recorded before.")
            db_session.add(
                DeviationRow(
                    study_id=row.study_id,
                    person_id=person.person_id,
                    kind=kind,
                    reason=reason.strip(),
                    recorded_by=self._me.login,
                    recorded_at=self._clock(),
                )
            )
            self._audit(db_session, "study.deviation", study_key, login=person.login, kind=kind, reason=reason.strip())

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def deviations(self, study_key: str) -> list[Deviation]:
        """Who was let in outside of the protocol's dates, oldest first."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            found = db_session.execute(
                sa.select(DeviationRow, PersonRow.login)
                .join(PersonRow, PersonRow.person_id == DeviationRow.person_id)
                .where(DeviationRow.study_id == row.study_id)
                .order_by(DeviationRow.recorded_at, PersonRow.login, DeviationRow.kind)
            )
            return [
                Deviation(login, each.kind, each.reason, each.recorded_by, each.recorded_at) for each, login in found
            ]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def members(self, study_key: str) -> list[StudyMember]:
        """The readers of a study, by login, numbers in it by their value."""
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
            )
            by_login = sorted(found, key=lambda each: natural_key(each[1].login))
            return [_member_of(member, person, counts.get(person.person_id, 0)) for member, person in by_login]

    @allowed(Role.COORDINATOR)
    def progress(self, study_key: str) -> list[ReaderProgress]:
        """How far each reader is, per cohort and arm; times are of first answers. Never says right or wrong."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            counts = study_counts(self.engine, db_session, row)
            marks = ReaderMarks(db_session, row)
            people = readers_of(db_session, row)
        # Another look may have counted somebody meanwhile who came after this transaction began.
        known = [part for part in counts.n_total if part[0] in people]
        parts = sorted(known, key=lambda part: (natural_key(people[part[0]].login), cohort_place(part[1]), part[2]))
        return [
            ReaderProgress(
                person=people[part[0]],
                cohort=part[1],
                arm=Arm(part[2]),
                n_done=counts.parts[part].n_done,
                n_total=counts.n_total[part],
                last_saved_at=counts.parts[part].last_saved_at,
                median_reading_seconds=counts.parts[part].median_seconds,
                password_set=marks.password_set(part[0]),
                is_withdrawn=part[0] in marks.withdrawn,
            )
            for part in parts
        ]


def readers_of(db_session: Session, study: StudyRow) -> dict[str, Person]:
    """Everybody who takes part in a study or did, by id, in the order of their logins."""
    rows = db_session.scalars(
        sa.select(PersonRow)
        .join(StudyMemberRow, StudyMemberRow.person_id == PersonRow.person_id)
        .where(StudyMemberRow.study_id == study.study_id)
        .order_by(PersonRow.login)
    )
    return {row.person_id: person_of(row) for row in rows}


def chosen_cohorts(
    db_session: Session, study: StudyRow, protocol: Protocol, cohorts: Sequence[str] | None
) -> list[str]:
    """What a reader is given to read."""
    known = db_session.scalars(
        sa.select(CohortRow.name).where(CohortRow.study_id == study.study_id).order_by(CohortRow.name)
    ).all()
    if cohorts is None:
        cohorts = protocol.cohorts or [name for name in known if name != protocol.training_cohort]
    if not cohorts:
        raise InputError("a reader needs at least one cohort", field="cohorts", fix="import the cases first")
    for name in cohorts:
        if name == protocol.training_cohort:
            raise InputError("the training cases come first by themselves", field="cohorts", value=name)
        if protocol.cohorts and name not in protocol.cohorts:
            fix = f"use {', '.join(protocol.cohorts)}"
            raise InputError("a cohort that the protocol does not read", field="cohorts", value=name, fix=fix)
        if name not in known and name not in protocol.cohorts:
            fix = f"use {' or '.join(known)}" if known else "import the cases first"
            raise NotFoundError(f"Study '{study.study_key}' has no cohort '{name}'. Fix: {fix}.")
    return list(dict.fromkeys(cohorts))


def _check_group(protocol: Protocol, group: int | None) -> None:
    """Groups are of a crossover."""
    if group is not None and protocol.design is not Design.CROSSOVER:
        raise InputError(
            f"a study of design '{protocol.design}' has no groups", field="group", value=group, fix="leave it out"
        )
    if group not in (None, 1, 2):
        raise InputError("a crossover has groups 1 and 2", field="group", value=group, fix="use 1 or 2")


def _member_of(member: StudyMemberRow, person: PersonRow, count: int) -> StudyMember:
    """A reader's part in a study."""
    return StudyMember(
        person=person_of(person),
        cohorts=tuple(member.cohorts),
        arms=tuple(Arm(arm) for arm in member.arms),
        n_presentations=count,
        order_seed=member.order_seed,
        order_algorithm=member.order_algorithm,
        group=member.reader_group,
    )
