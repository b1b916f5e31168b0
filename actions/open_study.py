"""Open a study for good: the checklist is gone through, each warning has a reason, the study's key is typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from core.errors import ChangedMeanwhileError, ConflictError, InputError
from core.settings import get_settings
from core.study import Study, StudyState
from db import Repository, store_url
from db.backup_schedule import BackupSchedule
from db.reader_role import NO_READER_ROLE, reader_url_of
from db.records import CheckItem, CheckState


def opening_checklist(repository: Repository, study_key: str) -> list[CheckItem]:
    """The store's points (:mod:`db.repository.checklist`) and the backups of this installation."""
    problem = BackupSchedule(get_settings()).problem(datetime.now(UTC))
    backups = (
        CheckItem("backups", "Backups are made by the clock", CheckState.OK)
        if problem is None
        else CheckItem("backups", "The store is without a fresh backup", CheckState.WARNING, problem)
    )
    return [*repository.opening_checklist(study_key), backups, *_reader_role()]


def _reader_role() -> list[CheckItem]:
    """On PostgreSQL: whether readers' requests run under a role that may not read the truth; SQLite has no roles."""
    if store_url(get_settings()).get_backend_name() != "postgresql":
        return []
    if reader_url_of(get_settings()) is not None:
        return [CheckItem("reader role", "Readers have a role of their own in PostgreSQL", CheckState.OK)]
    return [CheckItem("reader role", "Readers' requests run as a role that may read the truth", CheckState.WARNING,
                      NO_READER_ROLE)]  # fmt: skip


def open_study(
    repository: Repository,
    study_key: str,
    *,
    typed_key: str,
    acknowledged: Mapping[str, str],
    seen: Study | None = None,
    seen_items: Sequence[CheckItem] = (),
) -> Study:
    """Open a draft.

    Parameters
    ----------
    study_key : str
        The draft.
    typed_key : str
        What the person typed to confirm: the study's key.
    acknowledged : mapping of str to str
        By the key of a warning: why the study is opened all the same.
    seen, seen_items : Study, sequence of CheckItem
        What the person was shown before: the draft and its checklist.

    Raises
    ------
    ChangedMeanwhileError
        If somebody else changed the draft since it was shown.
    InputError
        If the typed key is another one.
    ConflictError
        If a point blocks, or a warning has no reason; it lists them.
    """
    items = opening_checklist(repository, study_key)
    if changes := [each.text for each in items if seen_items and each not in seen_items and each.key != "backups"]:
        raise ChangedMeanwhileError(f"The checklist of study '{study_key}'", changes)
    blocking = [item for item in items if item.state is CheckState.BLOCKING]
    left = [item for item in items if item.state is CheckState.WARNING and not acknowledged.get(item.key, "").strip()]
    if blocking or left:
        lines = [f"  {item.state} {item.key}: {item.text}. {item.detail}".rstrip() for item in (*blocking, *left)]
        fix = (
            "mend what blocks"
            if blocking
            else "give each warning a reason: --acknowledge KEY=REASON (all=REASON for all)"
        )
        raise ConflictError(f"Study '{study_key}' was not opened. Fix: {fix}.\n" + "\n".join(lines))
    if typed_key.strip() != study_key:
        raise InputError(
            "opening is for good and is confirmed with the study's key", field="confirm", value=typed_key,
            fix=f"type {study_key}",
        )  # fmt: skip
    reasons = {item.key: acknowledged[item.key] for item in items if item.state is CheckState.WARNING}
    return repository.set_state(study_key, StudyState.OPEN, acknowledged=reasons, seen=seen)
