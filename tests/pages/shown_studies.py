"""A view's input made from any study data, without a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.analysis import StudyData, analyse
from core.protocol import Protocol
from core.study import Study, StudyState
from pages.widgets.results_data import Results, labelled
from pages.widgets.shown import Shown


def study_of(data: StudyData, *, margin: float | None = None, **protocol: Any) -> Study:
    """An unsealed study of these classes."""
    made = Protocol(title="A study", classes=tuple(data.classes), margin=margin, **protocol)
    return Study("a", made, 1, StudyState.UNSEALED, True, datetime(2026, 1, 1, tzinfo=UTC))


def shown_of(results: Results, study: Study, cohort: str = "internal") -> Shown:
    """What the results screen hands a view."""
    tables = {
        name: table[table["cohort"] == cohort].reset_index(drop=True) if "cohort" in table.columns else table
        for name, table in results.tables.items()
    }
    return Shown(study, results.analysis, cohort, tables, results.styles, results.tables)


def shown_study(data: StudyData, cohort: str = "internal", *, margin: float | None = None, **protocol: Any) -> Shown:
    """A study, analysed, as a view gets it."""
    return shown_of(labelled(analyse(data, margin=margin)), study_of(data, margin=margin, **protocol), cohort)
