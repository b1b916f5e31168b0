"""Seals: what the audit trail says of rows, so that a row that was changed, added or removed past it is found.

A seal is the number of rows, the names of their columns and a SHA-256 over them. Every row holds a random id that is
shown to nobody while the study is sealed, so no answer can be guessed from its seal. The columns are part of the seal:
a later version of the schema that adds one leaves the old seals as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from db.image_store import sha256_of_stored
from db.tables import (
    AlteredAnswerRow,
    Base,
    CaseImageRow,
    CaseRow,
    CohortRow,
    ElsewhereReadingRow,
    ImageRow,
    LesionMaskRow,
    ModelVersionRow,
    PatientRow,
    PersonRow,
    PredictionRow,
    PresentationEventRow,
    PresentationRow,
    ProtocolVersionRow,
    ReadingRow,
    ReferenceStandardRow,
    SealLeavesRow,
    StudyMemberRow,
    StudyRow,
)
from db.types import Real, canonical_json

#: A seal as it stands in an event: ``columns`` (names with blanks between), ``n`` rows, ``sha256``.
Seal = dict[str, Any]

#: What is sealed of a reader, with the order.
_OF_READER = ("login", "is_simulated", "years_of_experience", "specialty", "site", "has_used_model")

#: What is sealed when a study opens, in the words of the messages.
PARTS = (
    "reference standard",
    "lesion masks",
    "cases",
    "images",
    "protocol",
    "declared model",
    "predictions",
    "altered answers",
)
#: What is sealed instead of them when readings made elsewhere become a study.
ELSEWHERE = "readings made elsewhere"


_MASK_OF_CASE = LesionMaskRow.case_id == CaseRow.case_id
_PREDICTION_NAME = CaseRow.case_key + sa.literal(" by ") + sa.func.substr(PredictionRow.model_sha256, 1, 12)


def _view_of_case(view_number: Any) -> sa.ColumnElement[str]:
    """Name of one view of a case."""
    return CaseRow.case_key + sa.literal(" view ") + sa.cast(view_number, sa.Text)


def columns_of(*rows: type[Base]) -> list[sa.Column[Any]]:
    """All columns of some tables."""
    return [column for row in rows for column in Base.metadata.tables[row.__tablename__].c]


@dataclass(frozen=True)
class NamedSeal:
    """A seal with the hash of each row under its name: which rows differ can be said by name."""

    seal: Seal
    leaves: dict[str, str]

    def keep(self, db_session: Session) -> Seal:
        """Store the hashes of the rows; they need no seal of their own, for theirs follows from them."""
        if db_session.get(SealLeavesRow, self.seal["sha256"]) is None:
            db_session.add(SealLeavesRow(sha256=self.seal["sha256"], leaves=self.leaves))
        return self.seal


def seal(columns: Sequence[sa.Column[Any]], rows: Iterable[Sequence[Any]]) -> Seal:
    """Seal of rows; their order does not matter, for no two engines sort text alike."""
    return _seal_of(columns, [_row_hash(columns, row) for row in rows])


def digest_of(hashes: Iterable[str]) -> str:
    """What a seal says of the hashes of its rows."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _row_hash(columns: Sequence[sa.Column[Any]], row: Sequence[Any]) -> str:
    """Hash of one row."""
    values = [_plain(column, value) for column, value in zip(columns, row, strict=True)]
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def _seal_of(columns: Sequence[sa.Column[Any]], hashes: Collection[str]) -> Seal:
    return {"columns": " ".join(map(str, columns)), "n": len(hashes), "sha256": digest_of(hashes)}


def _named_seal(db_session: Session, columns: Sequence[sa.Column[Any]], query: sa.Select[Any]) -> NamedSeal:
    """Seal of the rows of a query, whose last column is the name of the row."""
    leaves: dict[str, str] = {}
    n_columns = len(columns)
    with db_session.execute(query.execution_options(yield_per=100)) as rows:
        for row in rows:
            leaves[str(row[n_columns])] = _row_hash(columns, row[:n_columns])
    return NamedSeal(_seal_of(columns, list(leaves.values())), leaves)


def sealed_columns(found: Seal) -> list[sa.Column[Any]]:
    """The columns that a seal speaks of.

    Raises
    ------
    KeyError
        If the schema has lost one.
    """
    names = (name.split(".") for name in str(found["columns"]).split())
    return [Base.metadata.tables[table].c[column] for table, column in names]


def seal_of_row(row: ReadingRow | PresentationEventRow, columns: Sequence[sa.Column[Any]] | None = None) -> Seal:
    """Seal of one row."""
    columns = columns_of(type(row)) if columns is None else columns
    return seal(columns, [[getattr(row, str(column.key)) for column in columns]])


def seal_of_model(db_session: Session, sha256: str, like: Seal | None = None) -> Seal:
    """Seal of a registered model; of no row where there is none."""
    columns = columns_of(ModelVersionRow) if like is None else sealed_columns(like)
    return seal(columns, db_session.execute(sa.select(*columns).where(ModelVersionRow.sha256 == sha256)).all())


def entry_of_reading(login: str, presentation: PresentationRow, row: ReadingRow) -> dict[str, object]:
    """What the trail says of a reading: whose, at which place, and its seal; nothing that tells the answer."""
    return {
        "reader": login,
        "position": presentation.position,
        "revision": row.revision,
        "seal": seal_of_row(row),
    }


def seal_of_order(db_session: Session, study: StudyRow, person_id: str, like: Seal | None = None) -> Seal:
    """Seal of a reader's part: who, which cohorts and arms, and every presentation at its place."""
    columns = columns_of(StudyMemberRow, PresentationRow) + [
        column for column in columns_of(PersonRow) if column.name in _OF_READER
    ]
    columns = columns if like is None else sealed_columns(like)
    query = (
        sa.select(*columns)
        .select_from(StudyMemberRow)
        .join(PersonRow, PersonRow.person_id == StudyMemberRow.person_id)
        .outerjoin(
            PresentationRow,
            (PresentationRow.study_id == StudyMemberRow.study_id)
            & (PresentationRow.person_id == StudyMemberRow.person_id),
        )
        .where(StudyMemberRow.study_id == study.study_id, StudyMemberRow.person_id == person_id)
    )
    return seal(columns, db_session.execute(query).all())


def seal_of_part(
    db_session: Session, study: StudyRow, part: str, *, before_event: int, model_sha256: str | None, like: Seal | None
) -> NamedSeal:
    """Seal of one of :data:`PARTS` of a study, or of :data:`ELSEWHERE`.

    Parameters
    ----------
    before_event : int
        Only predictions sealed before this event, or never (stored by a version without seals).
    model_sha256 : str, optional
        The declared model.
    like : dict, optional
        An earlier seal, whose columns are taken.
    """
    of_study = CaseRow.study_id == study.study_id
    tables: tuple[type[Base], ...]
    source: sa.FromClause
    name: sa.ColumnElement[Any] = CaseRow.case_key.expression
    match part:
        case "reference standard":
            tables, source, where = (ReferenceStandardRow,), sa.join(ReferenceStandardRow, CaseRow), of_study
        case "lesion masks":
            tables, source, where = (LesionMaskRow,), sa.join(LesionMaskRow, CaseRow, onclause=_MASK_OF_CASE), of_study
            name = _view_of_case(LesionMaskRow.view_number)
        case "cases":
            tables = (CaseRow, PatientRow, CohortRow)
            source = sa.join(CaseRow, PatientRow, PatientRow.patient_id == CaseRow.patient_id).join(
                CohortRow, CohortRow.cohort_id == CaseRow.cohort_id
            )
            where = of_study
        case "images":
            tables, where = (CaseImageRow, ImageRow), of_study
            source = sa.join(CaseImageRow, CaseRow).join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
            name = _view_of_case(CaseImageRow.view_number)
        case "protocol":
            tables, source = (ProtocolVersionRow,), ProtocolVersionRow.__table__
            where = ProtocolVersionRow.study_id == study.study_id
            name = sa.literal("version ") + sa.cast(ProtocolVersionRow.version, sa.Text)
            if like is not None:  # versions after opening change texts only, and stand in the trail themselves
                where &= ProtocolVersionRow.version <= like["n"]
        case "declared model":
            tables, source = (ModelVersionRow,), ModelVersionRow.__table__
            where = ModelVersionRow.sha256 == model_sha256
            name = ModelVersionRow.name.expression
        case "readings made elsewhere":
            tables, source = (ElsewhereReadingRow,), ElsewhereReadingRow.__table__
            where = ElsewhereReadingRow.study_id == study.study_id
            name = sa.literal("row ") + sa.cast(ElsewhereReadingRow.row_number, sa.Text)
        case "altered answers":
            tables, source, where = (AlteredAnswerRow,), sa.join(AlteredAnswerRow, CaseRow), of_study
        case "predictions":
            tables, source = (PredictionRow,), sa.join(PredictionRow, CaseRow)
            is_earlier = PredictionRow.event_sequence.is_(None) | (PredictionRow.event_sequence < before_event)
            where = of_study & is_earlier
            name = _PREDICTION_NAME
        case _:
            raise KeyError(part)
    columns = columns_of(*tables) if like is None else sealed_columns(like)
    return _named_seal(db_session, columns, sa.select(*columns, name).select_from(source).where(where))


def seal_of_batch(db_session: Session, event: int, like: Seal | None = None) -> NamedSeal:
    """Seal of the predictions that were stored with an event."""
    columns = columns_of(PredictionRow) if like is None else sealed_columns(like)
    query = sa.select(*columns, _PREDICTION_NAME).join(CaseRow, CaseRow.case_id == PredictionRow.case_id)
    return _named_seal(db_session, columns, query.where(PredictionRow.event_sequence == event))


def differences(kept: Mapping[str, str], found: Mapping[str, str], most: int = 5) -> str:
    """The rows that are not as they were sealed, by name."""
    parts = (
        ("changed", [name for name in kept if name in found and kept[name] != found[name]]),
        ("removed", [name for name in kept if name not in found]),
        ("added", [name for name in found if name not in kept]),
    )
    return "; ".join(
        f"{what}: {', '.join(sorted(names)[:most])}{f' and {len(names) - most} more' if len(names) > most else ''}"
        for what, names in parts
        if names
    )


def seals_of_study(
    db_session: Session, study: StudyRow, *, before_event: Callable[[], int], model_sha256: str | None
) -> Seal:
    """All that decides a result and is fixed when a study opens: ``sealed`` by part, ``orders`` by login.

    Parameters
    ----------
    before_event : callable
        Number of the event that will say it. Asked as late as can be, for who has the end of the trail keeps everybody
        else from saving; what it is not needed for is kept by the lock of the study.
    model_sha256 : str, optional
        The declared model.
    """
    members = db_session.execute(
        sa.select(PersonRow.login, PersonRow.person_id)
        .join(StudyMemberRow, StudyMemberRow.person_id == PersonRow.person_id)
        .where(StudyMemberRow.study_id == study.study_id)
    ).all()
    orders = {login: seal_of_order(db_session, study, person_id) for login, person_id in members}

    def sealed(part: str, event: int) -> Seal:
        found = seal_of_part(db_session, study, part, before_event=event, model_sha256=model_sha256, like=None)
        return found.keep(db_session)

    parts = {part: sealed(part, 0) for part in PARTS if part != "predictions"}
    db_session.flush()
    parts["predictions"] = sealed("predictions", before_event())
    return {"sealed": {part: parts[part] for part in PARTS}, "orders": orders}


def _plain(column: sa.Column[Any], value: Any) -> Any:
    """A value as JSON that reads the same before and after it was stored, on both engines."""
    if isinstance(value, bytes):
        return sha256_of_stored(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(column.type, Real) and value is not None:
        return float(value) + 0.0  # one zero
    return value
