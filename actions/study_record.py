"""A study of the store as its report and its bundle tell it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from actions.export_study import (
    image_notes_table,
    predictions_table,
    presentation_events_table,
    readers_table,
    readings_table,
    reference_table,
)
from core.analysis import StudyAnalysis, analyse
from core.report.study_record import Deviation, StudyRecord
from db import Repository
from db.records import AuditEvent

TRAIL_COLUMNS = ("sequence", "at", "actor", "action", "detail", "prev_hash", "hash", "signature")
#: Events that say that something left the store: they come with every export, and are no part of the study.
_EXPORT = "study.export"


def study_record(repository: Repository, study_key: str, analysis: StudyAnalysis | None = None) -> StudyRecord:
    """Everything about an unsealed study.

    Parameters
    ----------
    analysis : StudyAnalysis, optional
        Of all cohorts with the protocol's margin; made here if absent.

    Raises
    ------
    AccessError
        While the study is sealed.
    """
    study, data = repository.study(study_key), repository.study_data(study_key)
    options: dict[str, Any] = {"confidence_level": 0.95, "margin": study.protocol.margin, "missing": "common"}
    events = [event for event in repository.audit_trail(study_key) if event.action != _EXPORT]
    if study.is_read_elsewhere:
        source = repository.read_elsewhere(study_key)
        return StudyRecord(
            key=study_key, title=study.protocol.title, data=data, analysis=analysis or analyse(data, **options),
            options=options, is_synthetic=study.is_synthetic, trail=trail_table(events), notes=source.notes,
            source=", ".join(name for name, _ in source.files),
            tables={"files": pd.DataFrame(source.files, columns=["file", "sha256"])},
        )  # fmt: skip
    readings = readings_table(repository, study_key)
    models = {model.sha256: model for model in repository.models()}
    used = sorted(set(data.predictions["model"])) if len(data.predictions) else []
    return StudyRecord(
        key=study_key,
        title=study.protocol.title,
        data=data,
        analysis=analysis or analyse(data, **options),
        options=options,
        protocol=study.protocol,
        protocol_version=study.protocol_version,
        is_synthetic=study.is_synthetic,
        tables={
            "readings": readings,
            "predictions": predictions_table(repository, study_key),
            "reference_standard": reference_table(repository, study_key),
            "readers": readers_table(repository, study_key),
            "presentation_events": presentation_events_table(repository, study_key),
            "image_notes": image_notes_table(repository, study_key),
        },
        trail=trail_table(events),
        declarations=repository.model_declarations(study_key),
        deviations=(*deviations_of(readings), *deviations_of_trail(events)),
        model_cards={
            key: {"name": models[key].name, "architecture": models[key].architecture, **models[key].metadata}
            for key in used
        },
    )


def trail_table(events: Sequence[AuditEvent]) -> pd.DataFrame:
    """The events of a study, one row each."""
    rows = [
        {
            **{name: getattr(event, name) for name in TRAIL_COLUMNS},
            "at": event.at.isoformat(),
            "detail": json.dumps(event.detail, sort_keys=True, default=str),
        }
        for event in events
    ]
    return pd.DataFrame(rows, columns=list(TRAIL_COLUMNS))


#: Columns of readings that mark what went otherwise than planned, in words.
_MARKED = {
    "is_typed_ahead": "answers that began before their image was drawn",
    "is_over_time": "answers after the protocol's limit of time",
    "is_time_doubtful": "reading times that contradict the server's clock (left out of times)",
    "is_altered": "answers beside a model answer that was wrong on purpose (kept apart)",
}


#: Moves of a study that take an earlier one back, in words.
_STEPS_BACK = {
    ("closed", "open"): "reading was opened again after it had been closed",
    ("locked", "closed"): "the lock of the readings was taken back",
}


def deviations_of(readings: pd.DataFrame) -> list[Deviation]:
    """What the readings themselves say: corrections, and flags of the last revisions; training is not analysed."""
    current = readings[readings["is_current"].astype(bool)] if len(readings) else readings
    if "is_training" in current.columns:
        current = current[~current["is_training"].astype(bool)]
    found = [Deviation(text, int(current[name].fillna(False).astype(bool).sum()))
             for name, text in _MARKED.items() if name in current.columns]  # fmt: skip
    found.insert(0, Deviation("answers that were corrected (the last revision is analysed)",
                              int((current["revision"] > 1).sum()) if len(current) else 0))  # fmt: skip
    return [one for one in found if one.count or one.what.startswith("answers that were corrected")]


def deviations_of_trail(events: Sequence[AuditEvent]) -> list[Deviation]:
    """What the trail says: deviations that were logged, readings reopened, predictions after unsealing."""
    found = [Deviation("deviation logged", 1, _told(event)) for event in events if event.action == "study.deviation"]
    for event in events:
        move = (str(event.detail.get("from")), str(event.detail.get("to")))
        if event.action == "study.state" and move in _STEPS_BACK:
            found.append(Deviation(_STEPS_BACK[move], 1, _told(event, but=("from", "to"))))
    after: Counter[str] = Counter()
    is_unsealed = False
    for event in events:
        is_unsealed = is_unsealed or (event.action == "study.state" and event.detail.get("to") == "unsealed")
        if is_unsealed and event.action == "model.predict":
            seal = event.detail.get("seal")
            after[str(event.detail.get("model_sha256", ""))[:12]] += seal["n"] if isinstance(seal, dict) else 1
    found += [Deviation("predictions added after unsealing: exploratory", n, model) for model, n in after.items()]
    found += [Deviation("reader was withdrawn: answers so far are analysed", 1, _told(event, but=("order",)))
              for event in events if event.action == "study.reader-withdrawn"]  # fmt: skip
    looks = sum(event.action == "results.look" for event in events)
    if looks:
        found.append(Deviation("looks at the live comparison while readers read", looks))
    return found


def _told(event: AuditEvent, but: Sequence[str] = ()) -> str:
    """When, and what was written."""
    words = "; ".join(f"{name}: {value}" for name, value in event.detail.items() if name not in (*but, "session"))
    return f"{event.at:%Y-%m-%d}: {words}"
