"""The coordinator's studies: their protocol and their state."""

from __future__ import annotations

import re
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError, InputError, NotFoundError
from core.protocol import Protocol
from core.protocol_file import frozen_changes
from core.study import STATE_MOVES, Role, Study, StudyState
from db.audit import chain_end
from db.protocols import protocol_to_json
from db.repository.access import OPERATOR, allowed, new_id, person_row
from db.repository.cases import view_number
from db.repository.orders import make_all_orders
from db.repository.study_roles import StudyRoleRepository
from db.seals import seals_of_study
from db.tables import CaseRow, ModelVersionRow, PredictionRow, ProtocolVersionRow, ReferenceStandardRow, StudyRow

_STUDY_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class StudyRepository(StudyRoleRepository):
    """Studies: one, all, a new one, a new protocol, the next state."""

    @allowed(*Role)
    def study(self, study_key: str) -> Study:
        """One study, of those in which the actor has a part; an administrator sees all.

        Raises
        ------
        NotFoundError
            If there is none, or none for this person.
        """
        with self._reading() as db_session:
            return self._study(db_session, self._study_row(db_session, study_key, while_sealed=True))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN, Role.ADMINISTRATOR)
    def studies(self, part: Role | None = None) -> list[Study]:
        """The studies that the actor coordinates or analyses (``part``: one of these), oldest first.

        An administrator sees all.
        """
        if part is not None:
            self._asked &= {part, Role.ADMINISTRATOR}
        with self._reading() as db_session:
            query = sa.select(StudyRow).where(self._is_mine()).order_by(StudyRow.created_at, StudyRow.study_key)
            return [self._study(db_session, row) for row in db_session.scalars(query)]

    @allowed(Role.COORDINATOR)
    def create_study(
        self, study_key: str, protocol: Protocol, *, is_synthetic: bool = False, coordinator: str | None = None
    ) -> Study:
        """Begin a study in state draft. Who begins it coordinates it; on the command line, ``coordinator`` (a login).

        Raises
        ------
        InputError
            If the key will not do.
        ConflictError
            If the key is taken.
        NotFoundError
            If the protocol declares a model that is not registered, or there is no such coordinator.
        """
        if _STUDY_KEY.fullmatch(study_key) is None:
            raise InputError(
                "not a study key",
                field="study",
                value=study_key,
                fix="use 1 to 40 small letters, digits and -, beginning with a letter or digit",
            )
        with self._writing() as db_session:
            if db_session.scalar(sa.select(StudyRow.study_id).where(StudyRow.study_key == study_key)) is not None:
                raise ConflictError(f"There is a study '{study_key}' already.")
            now = self._clock()
            row = StudyRow(
                study_id=new_id(),
                study_key=study_key,
                state=str(StudyState.DRAFT),
                is_synthetic=is_synthetic,
                created_at=now,
            )
            db_session.add(row)
            db_session.flush()
            self._add_protocol(db_session, row, protocol, 1, now)
            first = self._me.login if self._me != OPERATOR else coordinator
            self._audit(
                db_session,
                "study.create",
                study_key,
                protocol=protocol_to_json(protocol),
                is_synthetic=is_synthetic,
                coordinator=first,
            )
            if first is not None:
                self._add_part(db_session, row, person_row(db_session, first), Role.COORDINATOR)
            return self._study(db_session, row)

    @allowed(Role.COORDINATOR)
    def update_protocol(self, study_key: str, protocol: Protocol) -> Study:
        """Store a new version of the protocol. In a draft readers' orders are made again; later only texts may change.

        Raises
        ------
        ConflictError
            If the study was opened and more would change than ``Protocol.TEXTS_FREE_AFTER_OPENING``; if a stored case
            has a class that the new protocol lacks, or predictions were made in another order of classes.
        NotFoundError
            If the protocol declares a model that is not registered.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            stored = self._study(db_session, row)
            version = stored.protocol_version + 1
            if row.state != StudyState.DRAFT:
                _refuse_frozen(study_key, stored.protocol, protocol)
                self._add_protocol(db_session, row, protocol, version, self._clock())
                self._audit(
                    db_session, "study.protocol", study_key, version=version, protocol=protocol_to_json(protocol)
                )
                return self._study(db_session, row)
            used = set(
                db_session.scalars(
                    sa.select(ReferenceStandardRow.class_key)
                    .join(CaseRow, CaseRow.case_id == ReferenceStandardRow.case_id)
                    .where(CaseRow.study_id == row.study_id)
                    .distinct()
                )
            )
            lacking = sorted(used - set(protocol.class_keys))
            if lacking:
                raise ConflictError(f"Stored cases have classes that the new protocol lacks: {', '.join(lacking)}.")
            if stored.protocol.class_keys != protocol.class_keys and _has_prediction(db_session, row):
                raise ConflictError(
                    f"Predictions of study '{study_key}' stand in the order of its classes, which cannot change any "
                    "more. Fix: make a new study with these classes."
                )
            if stored.protocol.model_view != protocol.model_view and _has_prediction(db_session, row):
                raise ConflictError(
                    f"Models have predicted the view '{stored.protocol.model_view or 'that comes first'}' of study "
                    f"'{study_key}', so model_view cannot change any more. Fix: make a new study."
                )
            self._add_protocol(db_session, row, protocol, version, self._clock())
            make_all_orders(db_session, row, protocol)
            self._audit(db_session, "study.protocol", study_key, version=version, protocol=protocol_to_json(protocol))
            return self._study(db_session, row)

    @allowed(Role.COORDINATOR)
    def set_state(self, study_key: str, state: StudyState, *, reason: str = "") -> Study:
        """Move a study on. Opening seals all that decides a result: see ``db.seals``.

        Parameters
        ----------
        study_key : str
            The study.
        state : StudyState
            Where to.
        reason : str
            Stands in the trail; needed to take a locked study back to closed.

        Raises
        ------
        ConflictError
            If the study cannot move there, or has nothing to read.
        InputError
            If a reason is needed.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            before = StudyState(row.state)
            if state not in STATE_MOVES[before]:
                moves = " or ".join(STATE_MOVES[before]) or "nowhere"
                raise ConflictError(f"Study '{study_key}' is {before}; it can move to {moves}, not to {state}.")
            if state is StudyState.OPEN and not _has_included_case(db_session, row):
                raise ConflictError(f"Study '{study_key}' has no case to read. Fix: import cases first.")
            if state is StudyState.OPEN:
                view_number(db_session, row, self._protocol(db_session, row).model_view)
            if before is StudyState.LOCKED and state is StudyState.CLOSED and not reason.strip():
                raise InputError("a locked study is taken back for a reason only", field="reason", fix="give a reason")
            row.state = str(state)
            detail: dict[str, object] = {"from": str(before), "to": str(state)}
            if reason.strip():
                detail["reason"] = reason.strip()
            if before is StudyState.DRAFT:
                row.opened_at = self._clock()
                detail["opened_at"] = row.opened_at.isoformat(timespec="microseconds")
            study = self._study(db_session, row)
            if before is StudyState.DRAFT:
                this_event = chain_end(db_session).n_events + 1
                model = study.protocol.model_sha256
                detail |= seals_of_study(db_session, row, before_event=this_event, model_sha256=model)
            self._audit(db_session, "study.state", study_key, **detail)
            return study

    def _add_protocol(
        self, db_session: Session, row: StudyRow, protocol: Protocol, version: int, created_at: datetime
    ) -> None:
        """Store a version of the protocol."""
        declared = protocol.model_sha256
        if declared is not None and db_session.get(ModelVersionRow, declared) is None:
            raise NotFoundError(f"There is no model '{declared}' to declare. Fix: register it first.")
        db_session.add(
            ProtocolVersionRow(
                study_id=row.study_id, version=version, protocol=protocol_to_json(protocol), created_at=created_at
            )
        )
        db_session.flush()


def _refuse_frozen(study_key: str, before: Protocol, after: Protocol) -> None:
    """Refuse a change that would change data, now that readers may have read by the protocol."""
    if before == after:
        raise ConflictError(f"The protocol of study '{study_key}' is this one already; nothing was changed.")
    frozen = frozen_changes(before, after)
    if frozen:
        names = ", ".join(each.field for each in frozen)
        raise ConflictError(
            f"Study '{study_key}' was opened: readers read by its protocol, so {names} cannot change any more. "
            f"What still can: {', '.join(Protocol.TEXTS_FREE_AFTER_OPENING)}. Fix: make a new study for another "
            "protocol."
        )


def _has_prediction(db_session: Session, study: StudyRow) -> bool:
    """Whether any model has predicted a case of the study."""
    query = sa.select(PredictionRow.case_id).join(CaseRow, CaseRow.case_id == PredictionRow.case_id)
    return db_session.scalar(query.where(CaseRow.study_id == study.study_id).limit(1)) is not None


def _has_included_case(db_session: Session, study: StudyRow) -> bool:
    """Whether there is anything to read."""
    query = sa.select(CaseRow.case_id).where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
    return db_session.scalar(query.limit(1)) is not None
