"""The audit trail: a hash chain that shows when an event was changed, removed or slipped in.

The hash of an event is SHA-256 over the hash before it and the event's own canonical JSON. A chain alone cannot show
that its *last* events were cut off; a copy of the last hash kept elsewhere can. The digest of all readings stands in
the events ``study.state``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from db.records import AuditCheck, AuditEvent
from db.tables import AuditEventRow, PresentationRow, ReadingRow, StudyRow
from db.types import canonical_json

#: What stands before the first event.
GENESIS = "0" * 64

_CHAIN_LOCK = 7_270_002  # PostgreSQL advisory lock: one event at a time; SQLite has one writer anyway


def event_hash(event: AuditEvent) -> str:
    """Hash that an event must carry.

    Parameters
    ----------
    event : AuditEvent
        Its own ``hash`` is not looked at.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    content = {
        "sequence": event.sequence,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor,
        "action": event.action,
        "study": event.study_key,
        "detail": event.detail,
    }
    return hashlib.sha256(f"{event.prev_hash}\n{canonical_json(content)}".encode()).hexdigest()


def append_event(
    db_session: Session, *, actor: str, action: str, at: datetime, study_key: str | None = None, **detail: Any
) -> None:
    """Add an event to the end of the chain, in the caller's transaction: both are stored or neither.

    Parameters
    ----------
    db_session : Session
        A writing transaction.
    actor, action : str
        Who (login) and what (``study.state``).
    at : datetime
        When, UTC.
    study_key : str, optional
        The study it concerns.
    **detail
        Anything JSON knows; no truth, no password, no token.
    """
    if db_session.get_bind().dialect.name == "postgresql":
        db_session.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last = db_session.execute(
        sa.select(AuditEventRow.sequence, AuditEventRow.hash).order_by(AuditEventRow.sequence.desc()).limit(1)
    ).first()
    sequence, prev_hash = (1, GENESIS) if last is None else (last.sequence + 1, last.hash)
    event = AuditEvent(sequence, at, actor, action, study_key, detail, prev_hash, "")
    db_session.execute(
        sa.insert(AuditEventRow).values(
            sequence=sequence,
            at=at,
            actor=actor,
            action=action,
            study_key=study_key,
            detail=detail,
            prev_hash=prev_hash,
            hash=event_hash(event),
        )
    )


def check_chain(events: Iterable[AuditEvent]) -> AuditCheck:
    """Walk the chain from its first event.

    Parameters
    ----------
    events : iterable of AuditEvent
        All of them, in the order of their sequence.

    Returns
    -------
    AuditCheck
        ``problem`` names the first event that does not fit.
    """
    expected_sequence, prev_hash = 1, GENESIS
    problem: str | None = None
    count = 0
    for event in events:
        count += 1
        if problem is not None:
            continue
        if event.sequence != expected_sequence:
            problem = f"event {expected_sequence} is missing"
        elif event.prev_hash != prev_hash:
            problem = f"event {event.sequence} does not follow the one before it"
        elif event.hash != event_hash(event):
            problem = f"event {event.sequence} was changed"
        expected_sequence, prev_hash = event.sequence + 1, event.hash
    return AuditCheck(n_events=count, is_intact=problem is None, problem=problem)


def readings_digest(db_session: Session, study: StudyRow) -> tuple[int, str]:
    """Number of readings of a study and SHA-256 over all of them, in the order of saving."""
    rows = db_session.scalars(
        sa.select(ReadingRow)
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .where(PresentationRow.study_id == study.study_id)
        .order_by(ReadingRow.sequence)
    )
    digest, count = hashlib.sha256(), 0
    for row in rows:
        values = {name: getattr(row, name) for name in ReadingRow.__table__.columns.keys()}  # noqa: SIM118 - a collection
        values["saved_at"] = row.saved_at.isoformat(timespec="microseconds")
        digest.update(canonical_json(values).encode() + b"\n")
        count += 1
    return count, digest.hexdigest()
