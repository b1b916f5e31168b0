"""Readers who leave a study: removed before their first reading, withdrawn after it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError, InputError, NotFoundError
from core.study import LONGEST_REASON, Role, StudyState
from db.repository.access import RepositoryBase, allowed, person_row, require_state
from db.seals import seal_of_order
from db.tables import (
    DeviationRow,
    PersonRow,
    PresentationRow,
    ReadingRow,
    RevealRow,
    StudyMemberRow,
    StudyRow,
)


class LeavingRepository(RepositoryBase):
    """Out of a study again, for coordinators."""

    @allowed(Role.COORDINATOR)
    def remove_reader(self, study_key: str, login: str) -> None:
        """Take a reader who has read nothing out of a study, as if never added; the trail keeps it.

        Raises
        ------
        NotFoundError
            If the person does not take part.
        ConflictError
            If there is a reading, the model's answer was revealed, or the study is neither draft nor open.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "removing a reader", StudyState.DRAFT, StudyState.OPEN)
            person, member = _member(db_session, row, login)
            own = sa.select(PresentationRow.presentation_id).where(*_presentations(row, person))
            for table in (ReadingRow, RevealRow):
                if db_session.scalar(sa.select(table.presentation_id).where(table.presentation_id.in_(own)).limit(1)):
                    raise ConflictError(
                        f"'{person.login}' has begun to read in study '{study_key}': what was read stays. "
                        "Fix: withdraw the reader instead."
                    )
            db_session.execute(sa.delete(PresentationRow).where(*_presentations(row, person)))
            deviation = (DeviationRow.study_id == row.study_id, DeviationRow.person_id == person.person_id)
            if db_session.scalar(sa.select(DeviationRow.kind).where(*deviation).limit(1)) is not None:
                raise ConflictError(f"A deviation of '{person.login}' is recorded. Fix: withdraw the reader instead.")
            db_session.delete(member)
            self._audit(db_session, "study.reader-removed", study_key, login=person.login)

    @allowed(Role.COORDINATOR)
    def withdraw_reader(self, study_key: str, login: str, reason: str) -> None:
        """End a reader's part for good: what was read stays, marked in every export, and is analysed as planned.

        Raises
        ------
        InputError
            Without a reason.
        NotFoundError
            If the person does not take part.
        ConflictError
            If the reader was withdrawn before, or the study is neither open nor closed.
        """
        if not 1 <= len(reason.strip()) <= LONGEST_REASON:
            raise InputError("a withdrawal needs a reason", field="reason", fix=f"1 to {LONGEST_REASON} characters")
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "withdrawing a reader", StudyState.OPEN, StudyState.CLOSED)
            person, member = _member(db_session, row, login)
            if member.withdrawn_at is not None:
                raise ConflictError(f"'{person.login}' was withdrawn from study '{study_key}' before.")
            member.withdrawn_at = self._clock()
            db_session.flush()
            self._audit(
                db_session,
                "study.reader-withdrawn",
                study_key,
                login=person.login,
                reason=reason.strip(),
                order=seal_of_order(db_session, row, person.person_id),
            )


def _member(db_session: Session, study: StudyRow, login: str) -> tuple[PersonRow, StudyMemberRow]:
    """A reader and his or her part in a study."""
    person = person_row(db_session, login)
    member = db_session.get(StudyMemberRow, (study.study_id, person.person_id))
    if member is None:
        raise NotFoundError(f"Study '{study.study_key}' has no reader '{person.login}'.")
    return person, member


def _presentations(study: StudyRow, person: PersonRow) -> tuple[sa.ColumnElement[bool], ...]:
    """Condition: the reader's order in the study."""
    return (PresentationRow.study_id == study.study_id, PresentationRow.person_id == person.person_id)
