"""Both clocks of every reading: the panel's events beside the server's own record of when it sent the image."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.client_events import ReadingTimes, reading_times
from db.tables import AuditEventRow, PersonRow, PresentationRow, ReadingRow, StudyRow


@dataclass(frozen=True)
class ReadingClock:
    """What the clocks say of one reading."""

    server_seconds: float | None  # image sent to answer stored; None: this server sent none
    times: ReadingTimes


def reading_clocks(db_session: Session, study: StudyRow) -> dict[int, ReadingClock]:
    """Clocks of every reading of a study, by its ``sequence``.

    The server's interval begins with the first ``case.shown`` of the trail since the reading before it of the same
    presentation: an image that was sent ahead of time makes it longer, never shorter.
    """
    sent = _instants_of_sending(db_session, study)
    query = (
        sa.select(
            ReadingRow.sequence,
            PersonRow.login,
            PresentationRow.position,
            ReadingRow.saved_at,
            ReadingRow.reading_seconds,
            ReadingRow.client_events,
            ReadingRow.is_typed_ahead,
        )
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .where(PresentationRow.study_id == study.study_id)
        .order_by(ReadingRow.sequence)
    )
    clocks: dict[int, ReadingClock] = {}
    for sequence, login, position, saved_at, claimed, events, is_ahead in db_session.execute(query):
        waiting = sent[login, position]
        began = next((instant for instant in waiting if instant <= saved_at), None)
        server_seconds = None if began is None else (saved_at - began).total_seconds()
        times = reading_times(
            [(name, ms) for name, ms in events], claimed_seconds=claimed, server_seconds=server_seconds
        )
        times = replace(times, is_typed_ahead=times.is_typed_ahead or is_ahead)
        clocks[sequence] = ReadingClock(server_seconds, times)
        sent[login, position] = [instant for instant in waiting if instant > saved_at]  # for its correction
    return clocks


def _instants_of_sending(db_session: Session, study: StudyRow) -> dict[tuple[str, int], list[datetime]]:
    """When the server sent the image of each place of each reader's order, oldest first."""
    query = sa.select(AuditEventRow.actor, AuditEventRow.detail, AuditEventRow.at).where(
        AuditEventRow.study_key == study.study_key, AuditEventRow.action == "case.shown"
    )
    found: dict[tuple[str, int], list[datetime]] = defaultdict(list)
    for login, detail, at in db_session.execute(query.order_by(AuditEventRow.sequence)):
        found[login, detail["position"]].append(at)
    return found
