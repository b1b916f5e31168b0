"""The audit trail for coordinators: what happened, where it ends, and whether everything is as it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import InputError, StoreDamagedError
from core.study import Role
from db.audit import event_of, stored_end
from db.records import AuditCheck, AuditEvent, AuditHead
from db.repository.access import allowed
from db.repository.people import PeopleRepository
from db.tables import AuditEventRow, PersonRow, SignInSessionRow, StudyRow
from db.trail_check import (
    Ledger,
    check_guards,
    check_invitations,
    check_leaves,
    check_models,
    check_people,
    check_studies,
    read_trail,
    readable,
)
from db.types import storable


class AuditRepository(PeopleRepository):
    """Events, the end of the trail, the check of all that it seals."""

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def audit_trail(self, study_key: str | None = None, *, limit: int | None = None) -> list[AuditEvent]:
        """Events in their order, of one study or all; with a limit, the newest.

        A coordinator gets those of his or her studies, and of the people in them.

        Raises
        ------
        NotFoundError
            If the study is not the coordinator's.
        """
        with self._reading() as db_session:
            query = sa.select(AuditEventRow).order_by(AuditEventRow.sequence.desc()).execution_options(yield_per=500)
            if study_key is not None:
                query = query.where(AuditEventRow.study_key == study_key)
            mine = self._mine_alone(db_session)
            if mine is not None:
                if study_key is not None:
                    self._study_row(db_session, study_key)
                query = query.where(AuditEventRow.study_key.in_(mine.studies) | AuditEventRow.study_key.is_(None))
            with db_session.execute(query) as rows:
                events = (event_of(row) for (row,) in rows)
                seen = (event for event in events if mine is None or mine.may_see(event))
                return list(islice(seen, limit))[::-1]

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def audit_head(self) -> AuditHead:
        """Where the trail ends: number of events and last hash, to be deposited elsewhere."""
        with self._reading() as db_session:
            return stored_end(db_session)

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def verify_audit(self, receipts: Sequence[str] = ()) -> AuditCheck:
        """Whether every event is there, unchanged, signed and in its place, and every row is as the trail sealed it.

        A coordinator is told of the rows of his or her studies and their people, and of the whole chain.

        Parameters
        ----------
        receipts : sequence of str
            Deposited receipts (``AuditHead.receipt``) that the trail must still hold.

        Raises
        ------
        InputError
            If a receipt is none.
        """
        heads = [_head_of(receipt) for receipt in receipts]
        vouched = max((head.n_events for head in heads), default=0)
        problems: list[str] = []
        notary = self._notary if self._notary is not None and self._notary.has_key else None
        if notary is not None:  # read before the trail, which may grow meanwhile
            try:
                heads.append(notary.kept_head())
            except StoreDamagedError as damaged:
                problems.append(str(damaged))
        with self._reading() as db_session:
            ledger = Ledger()
            signed = None if notary is None else notary.is_signed
            trail = read_trail(_events(db_session), ledger, is_signed=signed, known_heads=heads, vouched_until=vouched)
            problems += readable(trail, "the events of the trail")
            if ledger.is_complete:
                mine = self._mine_alone(db_session)
                logins, keys = (None, None) if mine is None else (mine.logins, mine.studies)
                problems += readable(check_people(db_session, ledger, logins), "the people")
                if mine is None:
                    problems += readable(check_invitations(db_session, ledger), "the invitations")
                problems += readable(check_models(db_session, ledger), "the models")
                problems += readable(check_studies(db_session, ledger, keys), "the studies")
                problems += readable(check_leaves(db_session), "the seals")
            head = stored_end(db_session)
        with self._writing() as db_session:
            problems += check_guards(db_session)
        if self._notary is not None and not problems:
            self._notary.keep_head(head, self._event_hash)
        return AuditCheck(head=head, problems=tuple(problems), clock_moves=tuple(ledger.times.remarks))

    @allowed(Role.ADMINISTRATOR)
    def record_backup(self, receipt: str, sha256: str) -> None:
        """Enter a backup that was made: where its trail ends, and its hash."""
        with self._writing() as db_session:
            self._audit(db_session, "store.backup", receipt=receipt, sha256=sha256)

    @allowed(Role.ADMINISTRATOR)
    def record_backup_failure(self, problem: str) -> None:
        """Enter that a scheduled backup failed, and why."""
        with self._writing() as db_session:
            self._audit(db_session, "store.backup-failed", problem=storable(problem))

    @allowed(Role.ADMINISTRATOR)
    def record_restore(self, receipt: str, sha256: str) -> AuditHead:
        """Enter that this store is a restored backup, and end every sign-in; give the end of the trail after it.

        A sign-in that was ended since the backup was made would live again.
        """
        with self._writing() as db_session:
            ended = db_session.scalars(
                sa.update(SignInSessionRow)
                .where(SignInSessionRow.revoked_at.is_(None), SignInSessionRow.expires_at > self._clock())
                .values(revoked_at=self._clock())
                .returning(SignInSessionRow.token_sha256)
                .execution_options(synchronize_session=False)
            ).all()
            self._audit(db_session, "store.restore", receipt=receipt, sha256=sha256, n_sign_ins_ended=len(ended))
            return stored_end(db_session)

    def _mine_alone(self, db_session: Session) -> Mine | None:
        """What a coordinator may know of; None: everything."""
        if self._me.role is Role.ADMINISTRATOR:
            return None
        keys = db_session.scalars(sa.select(StudyRow.study_key).where(StudyRow.study_id.in_(self._my_study_ids())))
        logins = db_session.scalars(sa.select(PersonRow.login).where(self._is_visible()))
        return Mine(frozenset(keys), frozenset(logins))


@dataclass(frozen=True)
class Mine:
    """The studies of a coordinator and their people."""

    studies: frozenset[str]
    logins: frozenset[str]

    def may_see(self, event: AuditEvent) -> bool:
        """Whether an event is of one of the studies, or of none and of one of the people."""
        if event.study_key is not None:
            return event.study_key in self.studies
        if not event.action.startswith(("person.", "sign-", "invitation.", "model.")):
            return False  # of the installation
        return event.actor in self.logins or event.detail.get("login") in self.logins


def _events(db_session: Session) -> Iterator[AuditEvent]:
    """All events, a part at a time."""
    query = sa.select(AuditEventRow).order_by(AuditEventRow.sequence).execution_options(yield_per=500)
    with db_session.execute(query) as rows:
        for (row,) in rows:
            yield event_of(row)


def _head_of(receipt: str) -> AuditHead:
    """The end of the trail that a receipt names."""
    number, _, digest = receipt.strip().partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise InputError(
            "not a receipt",
            field="receipt",
            value=receipt,
            fix="give it as printed: NUMBER:64 HEXADECIMAL DIGITS",
        )
    return AuditHead(int(number), digest)
