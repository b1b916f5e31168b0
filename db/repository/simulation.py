"""Simulated readers: their answers are drawn from the truth, so the truth is given, in synthetic studies only."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, ConflictError, NotFoundError
from core.progress import OnProgress
from core.study import Answer, Role, StudyState, check_answer
from db.records import OrderedCase
from db.repository.access import RepositoryBase, allowed, folded_login, new_id, require_state, require_synthetic
from db.repository.reading import OrderSize, presentation_of, reading_row
from db.seals import entry_of_reading
from db.tables import (
    CaseRow,
    CohortRow,
    PersonRow,
    PresentationRow,
    ReadingRow,
    ReferenceStandardRow,
    StudyMemberRow,
    StudyRow,
)


class SimulationRepository(RepositoryBase):
    """What a program may do that answers instead of a human, in synthetic studies only."""

    @allowed(Role.COORDINATOR)
    def check_simulation(self, study_key: str) -> None:
        """Refuse, before anything is written, a study that simulated readers cannot read now.

        Raises
        ------
        AccessError
            If the study is not synthetic.
        ConflictError
            If it is not open.
        """
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            require_synthetic(study)
            require_state(study, "reading", StudyState.OPEN)

    @allowed(Role.COORDINATOR)
    def presentations_with_truth(self, study_key: str, login: str) -> list[OrderedCase]:
        """Unread presentations of a simulated reader, in order, with their truth.

        Raises
        ------
        AccessError
            If the reader is a human, or the study not synthetic.
        NotFoundError
            If the reader does not take part.
        """
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            person = _simulated(db_session, study, login)
            count, n_blocks = db_session.execute(
                sa.select(sa.func.count(), sa.func.max(PresentationRow.block)).where(*_of(study, person))
            ).one()
            size = OrderSize(count, n_blocks or 1)
            has_reading = sa.exists().where(ReadingRow.presentation_id == PresentationRow.presentation_id)
            rows = db_session.execute(
                sa.select(PresentationRow, CaseRow.case_key, CohortRow.name, ReferenceStandardRow.class_key)
                .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
                .where(*_of(study, person), ~has_reading)
                .order_by(PresentationRow.position)
            )
            return [
                OrderedCase(
                    presentation=presentation_of(row, size),
                    case=case,
                    cohort=cohort,
                    truth=truth,
                )
                for row, case, cohort, truth in rows
            ]

    @allowed(Role.COORDINATOR)
    def save_simulated_readings(
        self,
        study_key: str,
        login: str,
        answers: Iterable[tuple[str, Answer]],
        *,
        on_progress: OnProgress | None = None,
    ) -> int:
        """Store first answers of a simulated reader, all of them or none.

        Parameters
        ----------
        study_key, login : str
            An open study; a reader with ``is_simulated``.
        answers : iterable of (presentation id, Answer)
            In the order in which they are to be saved.
        on_progress : callable, optional
            ``progress(done, total, what)``.

        Returns
        -------
        int
            Number of readings stored.

        Raises
        ------
        AccessError
            If the reader is a human, or the study not synthetic.
        ConflictError
            If a presentation was answered before, or the study is not open.
        InputError
            If the protocol does not allow an answer.
        """
        prepared = list(answers)
        with self._writing() as db_session:
            study = self._study_row(db_session, study_key, lock=True)
            person = _simulated(db_session, study, login)
            require_state(study, "reading", StudyState.OPEN)
            protocol = self._protocol(db_session, study)
            unread = {
                row.presentation_id: row
                for row in db_session.scalars(
                    sa.select(PresentationRow)
                    .outerjoin(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
                    .where(*_of(study, person), ReadingRow.reading_id.is_(None))
                )
            }
            saved: list[tuple[PresentationRow, ReadingRow]] = []
            for done, (presentation_id, answer) in enumerate(prepared, start=1):
                if presentation_id not in unread:
                    raise ConflictError("A presentation is not this reader's, or was answered; nothing was stored.")
                check_answer(answer, protocol)
                row = reading_row(presentation_id, answer, submit_id=f"simulated-{new_id()}", revision=1)
                row.saved_at = self._clock()
                db_session.add(row)
                saved.append((unread.pop(presentation_id), row))
                if done % 100 == 0 or done == len(prepared):
                    db_session.flush()
                    if on_progress is not None:
                        on_progress(done, len(prepared), "storing simulated readings")
            deeds = [self._deed("reading.save", study_key, **entry_of_reading(person.login, *pair)) for pair in saved]
            deeds.append(self._deed("study.simulate", study_key, login=person.login, n_readings=len(prepared)))
            self._audit_all(db_session, deeds)
        return len(prepared)


def _simulated(db_session: Session, study: StudyRow, login: str) -> PersonRow:
    """A simulated reader of a synthetic study."""
    require_synthetic(study)
    person = db_session.scalars(
        sa.select(PersonRow)
        .join(StudyMemberRow, StudyMemberRow.person_id == PersonRow.person_id)
        .where(StudyMemberRow.study_id == study.study_id, PersonRow.login == folded_login(login))
    ).first()
    if person is None:
        raise NotFoundError(f"Study '{study.study_key}' has no reader '{login}'.")
    if not person.is_simulated:
        raise AccessError(f"'{login}' is a human reader: nobody answers for a human.")
    return person


def _of(study: StudyRow, person: PersonRow) -> tuple[sa.ColumnElement[bool], ...]:
    """Condition: presentations of one reader in one study."""
    return (PresentationRow.study_id == study.study_id, PresentationRow.person_id == person.person_id)
