"""A view's input made from any study data, without a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.analysis import StudyData, analyse
from core.protocol import Protocol
from core.study import Study, StudyState
from pages.widgets.results_data import labelled
from pages.widgets.shown import Shown


def shown_study(data: StudyData, cohort: str = "internal", *, margin: float | None = None, **protocol: Any) -> Shown:
    """What the results screen hands a view."""
    made = Protocol(title="A study", classes=tuple(data.classes), margin=margin, **protocol)
    study = Study("a", made, 1, StudyState.UNSEALED, True, datetime(2026, 1, 1, tzinfo=UTC))
    results = labelled(analyse(data, margin=margin))
    tables = {
        name: table[table["cohort"] == cohort].reset_index(drop=True) if "cohort" in table.columns else table
        for name, table in results.tables.items()
    }
    return Shown(study, results.analysis, cohort, tables, results.styles, results.tables)
