"""The audit trail: a hash chain that shows when an event was changed, removed or slipped in.

The hash of an event is SHA-256 over the hash before it and the event's own canonical JSON; each hash is signed by the
:class:`db.notary.Notary`, which also knows where the chain ended. What events say of the rows stands in ``db.seals``;
``db.trail_check`` holds one against the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from db.engine import LET_GO_MS, let_go_after
from db.records import AuditEvent, AuditHead
from db.tables import AuditEventRow, Base
from db.types import canonical_json

#: What stands before the first event.
GENESIS = "0" * 64

_EVENT = Base.metadata.tables[AuditEventRow.__tablename__]
_LAST = sa.select(_EVENT.c.sequence, _EVENT.c.hash).order_by(_EVENT.c.sequence.desc()).limit(1)
_INSERT = sa.insert(_EVENT)

_CHAIN_LOCK = 7_270_002  # PostgreSQL advisory lock: one event at a time; SQLite has one writer anyway


@dataclass(frozen=True)
class Deed:
    """What is to be entered in the trail: who, what, in which study."""

    actor: str
    action: str
    study_key: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)  # anything JSON knows; no truth, no password, no token


def event_hash(event: AuditEvent) -> str:
    """Hash that an event must carry.

    Parameters
    ----------
    event : AuditEvent
        Its own ``hash`` and signature are not looked at.

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


def chain_end(db_session: Session) -> AuditHead:
    """Where the chain ends; until the transaction ends, nobody else adds to it, so it must not be silent for long."""
    if db_session.get_bind().dialect.name == "postgresql":
        db_session.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK), let_go_after(LET_GO_MS)))
    return stored_end(db_session)


def stored_end(db_session: Session) -> AuditHead:
    """Where the chain ends at this moment."""
    last = db_session.execute(_LAST).first()
    return AuditHead(0, GENESIS) if last is None else AuditHead(last.sequence, last.hash)


def append_events(
    db_session: Session, deeds: Sequence[Deed], *, clock: Callable[[], datetime], sign: Callable[[str], str] | None
) -> AuditHead:
    """Add events to the end of the chain, in the caller's transaction: deed and event are stored or neither.

    Parameters
    ----------
    db_session : Session
        A writing transaction.
    deeds : sequence of Deed
        In this order; at least one.
    clock : callable
        Gives the present instant, UTC; asked when nobody else adds to the chain, so that its times are in its order.
    sign : callable, optional
        Signature of a hash; events stay unsigned without it.

    Returns
    -------
    AuditHead
        The new end.
    """
    end, rows = chain_end(db_session), []
    at = clock()
    for deed in deeds:
        event = AuditEvent(end.n_events + 1, at, deed.actor, deed.action, deed.study_key, deed.detail, end.hash, "")
        end = AuditHead(event.sequence, event_hash(event))
        signature = None if sign is None else sign(end.hash)
        rows.append({**vars(event), "hash": end.hash, "signature": signature})
    db_session.execute(_INSERT, rows if len(rows) > 1 else rows[0])
    return end


def event_of(row: AuditEventRow) -> AuditEvent:
    """The event that was stored."""
    return AuditEvent(
        sequence=row.sequence,
        at=row.at,
        actor=row.actor,
        action=row.action,
        study_key=row.study_key,
        detail=dict(row.detail),
        prev_hash=row.prev_hash,
        hash=row.hash,
        signature=row.signature,
    )


def chain_problem(events: Iterable[AuditEvent]) -> Iterator[tuple[AuditEvent, str | None]]:
    """Walk the chain: each event, and what does not fit in it or before it."""
    expected_sequence, prev_hash = 1, GENESIS
    for event in events:
        problem = None
        if event.sequence != expected_sequence:
            problem = f"event {expected_sequence} is missing"
        elif event.prev_hash != prev_hash:
            problem = f"event {event.sequence} does not follow the one before it"
        elif event.hash != event_hash(event):
            problem = f"event {event.sequence} was changed"
        yield event, problem
        expected_sequence, prev_hash = event.sequence + 1, event.hash
