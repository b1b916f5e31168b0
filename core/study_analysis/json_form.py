"""A study's results as one JSON-safe object: the tables with all digits, and what they are about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.protocol import DiseaseClass
from core.study_analysis.results import CohortAnalysis

#: Name and version of the object; the version grows when a key changes its meaning.
FORMAT, VERSION = "reading-room-analysis", 1


def json_form(
    classes: Sequence[DiseaseClass],
    confidence_level: float,
    missing: str,
    notes: Sequence[str],
    cohorts: Sequence[CohortAnalysis],
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """``format``, ``version``, ``confidence_level``, ``missing``, ``classes``, ``notes``, ``cohorts`` and ``tables``.

    Each table is a list of objects, one per row, with the columns as keys. A number that is undefined is null.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "confidence_level": confidence_level,
        "missing": str(missing),
        "classes": [{"key": one.key, "label": one.label, "short_label": one.short_label} for one in classes],
        "notes": list(notes),
        "cohorts": [
            {
                "cohort": one.cohort,
                "n_cases": one.n_cases,
                "n_patients": one.n_patients,
                "class_counts": dict(one.class_counts),
                "excluded_counts": dict(one.excluded_counts),
                "answer": list(one.answer),
                "margin_answer": list(one.margin_answer),
                "notes": list(one.notes),
            }
            for one in cohorts
        ],
        "tables": {name: _records(table) for name, table in tables.items()},
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values."""
    columns = list(table.columns)
    values = [table[column].tolist() for column in columns]
    return [
        {column: _plain(cell) for column, cell in zip(columns, row, strict=True)} for row in zip(*values, strict=True)
    ]


def _plain(value: Any) -> Any:
    """A value that JSON knows; NaN and infinities become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is pd.NA:
        return None
    return value
