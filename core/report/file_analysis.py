"""The analysis of one file of readings, for the terminal and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from core.analysis import StudyAnalysis

_INTERVAL = ("value", "lower", "upper")
_QUANTITY_ORDER = ("accuracy", "balanced_accuracy", "kappa", "macro_sensitivity", "macro_specificity", "macro_f1")


@dataclass(frozen=True, eq=False)
class FileAnalysis:
    """What was analysed, and the result."""

    path: str
    layout: str
    analysis: StudyAnalysis

    def to_dict(self) -> dict[str, Any]:
        """The analysis' object with ``file`` (name without folder) and ``layout`` in front."""
        return {"file": Path(self.path).name, "layout": self.layout, **self.analysis.to_dict()}

    def render(self, console: Console) -> None:
        """Print the tables, widest first information: who answered, accuracy, classes, AUC, pairs, agreement, MRMC.

        Parameters
        ----------
        console : rich.console.Console
        """
        tables = self.analysis.to_tables()
        for note in self.analysis.notes:
            console.print(escape(note))
        for cohort in self.analysis.cohorts:
            counts = ", ".join(f"{key} {n}" for key, n in cohort.class_counts.items())
            console.rule(f"Cohort {escape(cohort.cohort)}: {cohort.n_cases} cases ({escape(counts)})")
            for note in cohort.notes:
                console.print(escape(note))
            for title, frame in _views({name: _of(table, cohort.cohort) for name, table in tables.items()}):
                if len(frame):
                    console.print(_as_table(title, frame))
        console.print(f"Intervals at {self.analysis.confidence_level:.0%}. All digits, methods and notes: --json")


def _of(table: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """Rows of one cohort."""
    return table[table["cohort"] == cohort]


def _views(tables: dict[str, pd.DataFrame]) -> list[tuple[str, pd.DataFrame]]:
    """The tables as they are printed: fewer columns, value and interval in one."""
    who = ["name", "arm"]
    summary = tables["summary"][tables["summary"]["quantity"].isin(_QUANTITY_ORDER)]
    pairs = tables["mcnemar"].assign(
        first=tables["mcnemar"]["first_name"] + _arm(tables["mcnemar"]["first_arm"]),
        second=tables["mcnemar"]["second_name"] + _arm(tables["mcnemar"]["second_arm"]),
    )
    curves = tables["delong"].assign(
        first=tables["delong"]["first_name"] + _arm(tables["delong"]["first_arm"]),
        second=tables["delong"]["second_name"] + _arm(tables["delong"]["second_arm"]),
    )
    panels = tables["mrmc"].assign(figure=tables["mrmc"]["metric"] + " " + tables["mrmc"]["class"])
    return [
        ("Answers", tables["missing"][[*who, "n_expected", "n_answered", "n_missing", "n_unreadable", "notes"]]),
        ("Overall", _with_interval(summary)[[*who, "quantity", "n", "estimate", "method"]]),
        ("Per class", _with_interval(tables["per_class"])[[*who, "class", "quantity", "n", "estimate"]]),
        ("AUC", _with_interval(tables["auc"])[[*who, "class", "n", "estimate", "state", "method"]]),
        (
            "Accuracy of two on the same cases (first - second)",
            _with_interval(pairs)[["first", "second", "n", "estimate", "p_exact", "p_holm", "p_chi_squared"]],
        ),
        (
            "AUC of two on the same cases (first - second)",
            _with_interval(curves)[["first", "second", "class", "n", "estimate", "p_value", "p_holm", "notes"]],
        ),
        (
            "Agreement between readers",
            _with_interval(tables["agreement"])[["arm", "scope", "first", "second", "statistic", "n", "estimate"]],
        ),
        (
            "Several readers, several cases",
            _with_interval(panels)[["figure", "scope", "first", "second", "estimate", "df2", "p_value"]],
        ),
    ]


def _arm(arms: pd.Series) -> pd.Series:
    """Arm in brackets, nothing for a model."""
    return arms.map(lambda arm: f" ({arm})" if arm else "")


def _with_interval(table: pd.DataFrame) -> pd.DataFrame:
    """A column "estimate" of value and interval."""
    texts = [_estimate_text(*row) for row in table[list(_INTERVAL)].itertuples(index=False, name=None)]
    return table.assign(estimate=pd.Series(texts, index=table.index, dtype=object))


def _estimate_text(value: float | None, lower: float | None, upper: float | None) -> str:
    """0.961 (0.940-0.974); an undefined number is said in words."""
    if value is None or pd.isna(value):
        return "undefined"
    if lower is None or upper is None or pd.isna(lower) or pd.isna(upper):
        return f"{value:.4f}"
    return f"{value:.4f} ({lower:.4f} to {upper:.4f})"


def _as_table(title: str, frame: pd.DataFrame) -> Table:
    """A frame as a terminal table."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in frame.columns:
        is_number = str(column).startswith(("n_", "p_", "df")) or column in {"n", "statistic"}
        shown.add_column(
            str(column),
            justify="right" if is_number and column != "name" else "left",
            overflow="fold",
            no_wrap=column in {"estimate", "p_value", "p_holm", "p_exact", "df2"},
        )
    for row in frame.itertuples(index=False, name=None):
        shown.add_row(*(escape(_cell(value)) for value in row))
    return shown


def _cell(value: object) -> str:
    """A cell as text; numbers with four significant digits."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
