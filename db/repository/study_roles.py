"""Who coordinates and who analyses a study. Readers are in ``members``; nobody has two parts in one study."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError, InputError, NotFoundError
from core.natural_order import natural_key
from core.study import Role
from db.records import StudyPart
from db.repository.access import RepositoryBase, allowed, person_of, person_row
from db.tables import PersonRow, StudyMemberRow, StudyRoleRow, StudyRow

#: What :meth:`StudyRoleRepository.add_to_study` gives; a reader needs an order as well.
GIVEN_HERE = (Role.COORDINATOR, Role.STATISTICIAN)


class StudyRoleRepository(RepositoryBase):
    """Coordinators and statisticians of a study, for its coordinators and for administrators."""

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def study_people(self, study_key: str) -> list[StudyPart]:
        """Everybody with a part in the study, readers too, by login; also who has left it."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            roles = db_session.execute(
                sa.select(PersonRow, StudyRoleRow.role, StudyRoleRow.added_at, StudyRoleRow.ended_at)
                .join(StudyRoleRow, StudyRoleRow.person_id == PersonRow.person_id)
                .where(StudyRoleRow.study_id == row.study_id)
            ).all()
            readers = db_session.execute(
                sa.select(PersonRow, sa.literal("reader"), StudyMemberRow.added_at, StudyMemberRow.withdrawn_at)
                .join(StudyMemberRow, StudyMemberRow.person_id == PersonRow.person_id)
                .where(StudyMemberRow.study_id == row.study_id)
            ).all()
            parts = [
                StudyPart(person_of(person), Role(role), added_at, ended_at)
                for person, role, added_at, ended_at in (*roles, *readers)
            ]
            return sorted(parts, key=lambda part: (natural_key(part.person.login), part.role))

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def add_to_study(self, study_key: str, login: str, role: Role) -> None:
        """Make a person coordinator or statistician of a study.

        Raises
        ------
        InputError
            If the role is none of these two.
        NotFoundError
            No such study or person.
        ConflictError
            If the person has another part in the study, or administrators would let themselves in.
        """
        _check_given_here(role)
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            person = person_row(db_session, login)
            if person.person_id == self._me.person_id:
                raise ConflictError("Nobody gives himself or herself a part in a study; ask somebody else.")
            self._add_part(db_session, row, person, role)

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def remove_from_study(self, study_key: str, login: str, role: Role) -> None:
        """End a coordinator's or a statistician's part in a study, at once.

        Raises
        ------
        NotFoundError
            If the person does not have this part.
        ConflictError
            If nobody would coordinate the study any more.
        """
        _check_given_here(role)
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            person = person_row(db_session, login)
            living = sa.select(StudyRoleRow).where(
                StudyRoleRow.study_id == row.study_id, StudyRoleRow.role == str(role), StudyRoleRow.ended_at.is_(None)
            )
            parts = {part.person_id: part for part in db_session.scalars(living)}
            if person.person_id not in parts:
                raise NotFoundError(f"'{person.login}' is no {role} of study '{study_key}'.")
            if role is Role.COORDINATOR and len(parts) == 1:
                raise ConflictError(
                    f"'{person.login}' is the only coordinator of study '{study_key}'. Fix: add another one first."
                )
            parts[person.person_id].ended_at = self._clock()
            self._audit(db_session, "study.role", study_key, login=person.login, role=str(role), is_ended=True)

    def _add_part(self, db_session: Session, row: StudyRow, person: PersonRow, role: Role) -> None:
        """Enter a part, or let one that has ended begin again."""
        refuse_second_part(db_session, row, person, role)
        part = db_session.get(StudyRoleRow, (row.study_id, person.person_id, str(role)))
        if part is None:
            part = StudyRoleRow(study_id=row.study_id, person_id=person.person_id, role=str(role))
            db_session.add(part)
        part.added_at, part.ended_at = self._clock(), None
        self._audit(db_session, "study.role", row.study_key, login=person.login, role=str(role), is_ended=False)


def refuse_second_part(db_session: Session, study: StudyRow, person: PersonRow, role: Role) -> None:
    """Refuse a person who has another part in the study, or who was its coordinator and is to read in it.

    Raises
    ------
    ConflictError
        Naming the other part.
    """
    key, login = study.study_key, person.login
    if person.role == Role.ADMINISTRATOR:
        raise ConflictError(f"'{login}' is an administrator of this installation, who has no part in a study.")
    parts = db_session.scalars(
        sa.select(StudyRoleRow).where(
            StudyRoleRow.study_id == study.study_id, StudyRoleRow.person_id == person.person_id
        )
    ).all()
    for part in parts:
        if part.ended_at is None:
            raise ConflictError(f"'{login}' is {part.role} of study '{key}' already; nobody has two parts in one.")
        if role is Role.READER and part.role == Role.COORDINATOR:
            raise ConflictError(
                f"'{login}' was coordinator of study '{key}', so cannot read in it: readers are blinded."
            )
    if role is not Role.READER and db_session.get(StudyMemberRow, (study.study_id, person.person_id)) is not None:
        raise ConflictError(f"'{login}' is reader of study '{key}' already; nobody has two parts in one.")


def _check_given_here(role: Role) -> None:
    if role not in GIVEN_HERE:
        raise InputError(
            "not a role to be given here", field="role", value=str(role), fix="coordinator or statistician"
        )
