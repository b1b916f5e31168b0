"""The coordinator's studies: their protocol and their state."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ChangedMeanwhileError, ConflictError, InputError, NotFoundError
from core.protocol import Protocol, check_written
from core.protocol_file import frozen_changes, protocol_diff
from core.study import LONGEST_REASON, STATE_MOVES, Role, Study, StudyState
from core.typed_text import check_text
from db.audit import chain_end
from db.protocols import protocol_from_json, protocol_to_json
from db.records import AuditHead, CheckItem, CheckState, SealRecord
from db.repository.access import OPERATOR, allowed, new_id, person_row
from db.repository.cases import view_number
from db.repository.checklist import checklist
from db.repository.orders import make_all_orders
from db.repository.study_roles import StudyRoleRepository
from db.seals import PARTS, seals_of_study
from db.tables import (
    AlteredAnswerRow,
    AuditEventRow,
    CaseRow,
    ModelVersionRow,
    PersonRow,
    PredictionRow,
    ProtocolVersionRow,
    ReferenceStandardRow,
    StudyMemberRow,
    StudyRow,
)
from db.trail_check import check_study
from db.types import canonical_json

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
        with self._writing() as db_session:
            row = self._new_study(db_session, study_key, protocol, is_synthetic=is_synthetic)
            return self._begun(db_session, row, protocol, coordinator)

    def _new_study(
        self, db_session: Session, study_key: str, protocol: Protocol, *, is_synthetic: bool,
        is_read_elsewhere: bool = False,
    ) -> StudyRow:  # fmt: skip
        """The rows of a study that begins; in no trail yet."""
        if _STUDY_KEY.fullmatch(study_key) is None:
            raise InputError(
                "not a study key",
                field="study",
                value=study_key,
                fix="use 1 to 40 small letters, digits and -, beginning with a letter or digit",
            )
        if db_session.scalar(sa.select(StudyRow.study_id).where(StudyRow.study_key == study_key)) is not None:
            raise ConflictError(f"There is a study '{study_key}' already. Fix: choose another key.")
        now = self._clock()
        row = StudyRow(
            study_id=new_id(),
            study_key=study_key,
            state=str(StudyState.UNSEALED if is_read_elsewhere else StudyState.DRAFT),
            is_synthetic=is_synthetic,
            created_at=now,
            is_read_elsewhere=is_read_elsewhere,
        )
        db_session.add(row)
        db_session.flush()
        self._add_protocol(db_session, row, protocol, 1, now)
        return row

    def _begun(
        self, db_session: Session, row: StudyRow, protocol: Protocol, coordinator: str | None, **more: object
    ) -> Study:
        """Enter a new study in the trail, and its first coordinator: who makes it, or whom the command line names."""
        first = self._me.login if self._me != OPERATOR else coordinator
        self._audit(
            db_session,
            "study.create",
            row.study_key,
            protocol=protocol_to_json(protocol),
            is_synthetic=row.is_synthetic,
            coordinator=first,
            **more,
        )
        if first is not None:
            self._add_part(db_session, row, person_row(db_session, first), Role.COORDINATOR)
        return self._study(db_session, row)

    @allowed(Role.COORDINATOR)
    def update_protocol(self, study_key: str, protocol: Protocol, *, expected_version: int | None = None) -> Study:
        """Store a new version of the protocol. In a draft readers' orders are made again; later only texts may change.

        Parameters
        ----------
        study_key : str
            The study.
        protocol : Protocol
            The whole of it.
        expected_version : int, optional
            The version that was edited; none: whatever stands there is replaced.

        Raises
        ------
        ChangedMeanwhileError
            If another version was stored since, with what it changed and who stored it.
        ConflictError
            If the study was opened and more would change than ``Protocol.TEXTS_FREE_AFTER_OPENING``; if a stored case
            has a class that the new protocol lacks, predictions or altered answers are in another order of classes, or
            altered answers are of another model.
        NotFoundError
            If the protocol declares a model that is not registered.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            if row.is_read_elsewhere:
                raise ConflictError(
                    f"The readings of study '{study_key}' were made elsewhere, without a protocol here."
                )
            stored = self._study(db_session, row)
            _refuse_other_version(db_session, row, stored, expected_version)
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
            if stored.protocol.class_keys != protocol.class_keys and _has_altered_answer(db_session, row):
                raise ConflictError(
                    f"Model answers of study '{study_key}' that are wrong on purpose were declared in the order of its "
                    "classes. Fix: take them back (`study altered-answers --none`), then declare them again."
                )
            if stored.protocol.model_sha256 != protocol.model_sha256 and _has_altered_answer(db_session, row):
                raise ConflictError(
                    f"Model answers of study '{study_key}' that are wrong on purpose were declared for another model. "
                    "Fix: take them back (`study altered-answers --none`), then declare the model and them again."
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
    def opening_checklist(self, study_key: str) -> list[CheckItem]:
        """What stands between a draft and its opening; ``actions.open_study`` adds what the store cannot know."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            return checklist(db_session, row, self._protocol(db_session, row), self._clock())

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def seal_record(self, study_key: str) -> SealRecord:
        """What was committed to when the study was opened, to be printed and deposited; and whether it still holds.

        Raises
        ------
        ConflictError
            If the study was never opened.
        """
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            opening = _opening_of(db_session, row)
            if row.is_read_elsewhere:
                raise ConflictError(f"The readings of study '{study_key}' were made elsewhere: it was never opened.")
            if opening is None:
                raise ConflictError(f"Study '{study_key}' is a draft: nothing is sealed yet. Fix: open it first.")
            study = self._study(db_session, row)
            sealed = opening.detail["sealed"]
            version, protocol = _protocol_at(db_session, row, opening)
            members = db_session.execute(
                sa.select(PersonRow.login, StudyMemberRow)
                .select_from(StudyMemberRow)
                .join(PersonRow, PersonRow.person_id == StudyMemberRow.person_id)
                .where(StudyMemberRow.study_id == row.study_id)
                .order_by(PersonRow.login)
            )
            of_order = {login: found["sha256"] for login, found in opening.detail["orders"].items()}
            return SealRecord(
                study_key=study_key,
                title=study.protocol.title,
                opened_at=opening.at,
                protocol_version=version,
                protocol_sha256=_sha256(canonical_json(protocol)),
                plan_sha256=_sha256(str(protocol.get("analysis_plan", ""))),
                parts=tuple((part, sealed[part]["n"], sealed[part]["sha256"]) for part in PARTS if part in sealed),
                orders=tuple(
                    (login, member.order_seed, member.order_algorithm, of_order[login])
                    for login, member in members
                    if login in of_order
                ),
                receipt=AuditHead(opening.sequence, opening.hash).receipt,
                problems=tuple(check_study(db_session, row)),
            )

    @allowed(Role.COORDINATOR)
    def set_state(
        self,
        study_key: str,
        state: StudyState,
        *,
        reason: str = "",
        acknowledged: Mapping[str, str] | None = None,
        seen: Study | None = None,
    ) -> Study:
        """Move a study on. Opening seals all that decides a result: see ``db.seals``.

        Parameters
        ----------
        study_key : str
            The study.
        state : StudyState
            Where to.
        reason : str
            Stands in the trail; needed to take a locked study back to closed, and to unseal one whose sealed rows
            were changed.
        acknowledged : mapping of str to str, optional
            At the first opening: a reason for each warning of the checklist, by key, for the trail. The doors demand
            one for each (``actions.open_study``); a program that opens without, leaves that it did in the trail.
        seen : Study, optional
            As it stood where this was decided.

        Raises
        ------
        ChangedMeanwhileError
            If the study is not in the state that was ``seen``, or is to be opened by another protocol.
        ConflictError
            If the study cannot move there; if a point of the checklist blocks its opening; if what was sealed is not
            what is there at unsealing, and no reason is given.
        InputError
            If a reason is needed.
        """
        for text in (reason, *(acknowledged or {}).values()):
            check_text(text, "reason", longest=LONGEST_REASON)
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            before = StudyState(row.state)
            if row.is_read_elsewhere:
                raise ConflictError(
                    f"The readings of study '{study_key}' were made elsewhere: it is never opened, closed or sealed."
                )
            if seen is not None and seen.state is not before:
                raise ChangedMeanwhileError(f"Study '{study_key}'", [f"it is {before}, it was {seen.state}"])
            if seen is not None and before is StudyState.DRAFT:
                _refuse_other_version(db_session, row, self._study(db_session, row), seen.protocol_version)
            if state not in STATE_MOVES[before]:
                moves = " or ".join(STATE_MOVES[before])
                way = f"it moves to {moves} next, not to {state}" if moves else "that is its last state"
                raise ConflictError(f"Study '{study_key}' is {before}; {way}.")
            if state is StudyState.OPEN:
                view_number(db_session, row, self._protocol(db_session, row).model_view)
            if before is StudyState.LOCKED and state is StudyState.CLOSED and not reason.strip():
                raise InputError("a locked study is taken back for a reason only", field="reason", fix="give a reason")
            detail: dict[str, object] = {"from": str(before), "to": str(state)}
            if reason.strip():
                detail["reason"] = reason.strip()
            if before is StudyState.DRAFT:
                detail["checklist"] = self._checked(db_session, row, acknowledged)
            if state is StudyState.UNSEALED:
                detail["seals"] = _held_against_seals(db_session, row, reason)
            row.state = str(state)
            if before is StudyState.DRAFT:
                row.opened_at = self._clock()
                detail["opened_at"] = row.opened_at.isoformat(timespec="microseconds")
            study = self._study(db_session, row)
            if before is StudyState.DRAFT:
                model = study.protocol.model_sha256
                detail |= seals_of_study(
                    db_session, row, before_event=lambda: chain_end(db_session).n_events + 1, model_sha256=model
                )
            self._audit(db_session, "study.state", study_key, **detail)
            return study

    def _checked(
        self, db_session: Session, row: StudyRow, acknowledged: Mapping[str, str] | None
    ) -> list[dict[str, str]]:
        """Refuse to open if a point of the checklist blocks; the warnings with their reasons, for the trail."""
        items = checklist(db_session, row, self._protocol(db_session, row), self._clock())
        blocking = [item for item in items if item.state is CheckState.BLOCKING]
        if blocking:
            said = "; ".join(f"{item.text}. {item.detail}".strip() for item in blocking)
            raise ConflictError(f"Study '{row.study_key}' cannot be opened: {said}")
        reasons = dict(acknowledged or {})
        warnings = {item.key: item.text for item in items if item.state is CheckState.WARNING}
        keys = [*warnings, *(key for key in reasons if key not in warnings)]
        return [{"key": key, "text": warnings.get(key, ""), "reason": reasons.get(key, "").strip()} for key in keys]

    def _add_protocol(
        self, db_session: Session, row: StudyRow, protocol: Protocol, version: int, created_at: datetime
    ) -> None:
        """Store a version of the protocol."""
        if row.state == StudyState.DRAFT:
            check_written(protocol)
        else:
            for name in Protocol.TEXTS_FREE_AFTER_OPENING:
                check_text(getattr(protocol, name), name)
        declared = protocol.model_sha256
        if declared is not None and db_session.get(ModelVersionRow, declared) is None:
            raise NotFoundError(f"There is no model '{declared}' to declare. Fix: register it first.")
        db_session.add(
            ProtocolVersionRow(
                study_id=row.study_id, version=version, protocol=protocol_to_json(protocol), created_at=created_at
            )
        )
        db_session.flush()


def _refuse_other_version(db_session: Session, row: StudyRow, stored: Study, expected: int | None) -> None:
    """Refuse what was decided by an older version of the protocol than the one that counts."""
    if expected is None or expected == stored.protocol_version:
        return
    before = db_session.get(ProtocolVersionRow, (row.study_id, expected))
    changes = [] if before is None else protocol_diff(protocol_from_json(before.protocol), stored.protocol)
    saved = db_session.scalars(
        sa.select(AuditEventRow)
        .where(AuditEventRow.study_key == row.study_key, AuditEventRow.action == "study.protocol")
        .order_by(AuditEventRow.sequence.desc())
        .limit(1)
    ).first()
    by = "" if saved is None else f" by {saved.actor} at {saved.at:%H:%M} UTC (version {stored.protocol_version})"
    raise ChangedMeanwhileError(f"The protocol of study '{row.study_key}'", [each.field for each in changes], by)


def _opening_of(db_session: Session, row: StudyRow) -> AuditEventRow | None:
    """The event with which a study was opened, or adopted by a version that seals."""
    events = db_session.scalars(
        sa.select(AuditEventRow)
        .where(AuditEventRow.study_key == row.study_key, AuditEventRow.action.in_(("study.state", "study.adopt")))
        .order_by(AuditEventRow.sequence)
    )
    return next((event for event in events if "sealed" in event.detail and "orders" in event.detail), None)


def _protocol_at(db_session: Session, row: StudyRow, opening: AuditEventRow) -> tuple[int, dict[str, Any]]:
    """Number and stored form of the protocol version that was sealed."""
    version = opening.detail["sealed"]["protocol"]["n"]
    return version, db_session.get_one(ProtocolVersionRow, (row.study_id, version)).protocol


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _held_against_seals(db_session: Session, row: StudyRow, reason: str) -> str:
    """Whether what was sealed at the opening is what is about to be unsealed; refused without a reason if not."""
    problems = list(check_study(db_session, row))
    if problems and not reason.strip():
        raise ConflictError(
            f"What was sealed of study '{row.study_key}' is not what is there: {'; '.join(problems[:3])}. Fix: find "
            "out who changed it and restore a backup; to unseal it as it is, give a reason, which stands in the trail."
        )
    return "; ".join(problems[:20]) or "intact"


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


def _has_altered_answer(db_session: Session, study: StudyRow) -> bool:
    """Whether any model answer was declared to be shown wrong."""
    query = sa.select(AlteredAnswerRow.case_id).join(CaseRow, CaseRow.case_id == AlteredAnswerRow.case_id)
    return db_session.scalar(query.where(CaseRow.study_id == study.study_id).limit(1)) is not None
