"""The analysis of one file of readings without a database, for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.analysis import StudyAnalysis, analyse
from core.errors import ManifestError, NotFoundError
from core.number_text import cell_text
from core.protocol import Protocol
from core.report.bundle import check_bundle, is_bundle, read_bundle
from core.report.file_options import FileOptions
from core.report.layout import Layout
from core.report.readings_file import files_of, layout_of, read_readings_file
from core.study_analysis.data import StudyData

_INTERVAL = ("value", "lower", "upper")
_QUANTITY_ORDER = ("accuracy", "balanced_accuracy", "kappa", "macro_sensitivity", "macro_specificity", "macro_f1")


@dataclass(frozen=True, eq=False)
class FileAnalysis:
    """What was analysed, and the result."""

    path: str
    layout: str
    analysis: StudyAnalysis
    notes: tuple[str, ...]  # about the file: what was left out, taken as one, kept apart or assumed
    data: StudyData
    options: Mapping[str, Any]  # of the analysis
    title: str = ""  # of a bundle's study
    protocol: Protocol | None = None  # of a bundle whose readings were made with this program

    def to_dict(self) -> dict[str, Any]:
        """The analysis' object with ``file`` (name without folder), ``layout`` and ``file_notes`` in front."""
        about = {"file": Path(self.path).name, "layout": self.layout, "file_notes": list(self.notes)}
        return {**about, **self.analysis.to_dict()}

    def render(self, console: Console, names: Sequence[str] = ()) -> None:
        """Print what was noticed, then who answered, accuracy, classes, AUC, pairs, agreement, panels, margins.

        Parameters
        ----------
        console : rich.console.Console
        names : sequence of str
            Tables to print whole, by name, instead of these.

        Raises
        ------
        NotFoundError
            If there is no table of a name.
        """
        tables = self.analysis.to_tables()
        for name in names:
            if name not in tables:
                raise NotFoundError(f"There is no table {name!r}. Fix: use one of {', '.join(tables)}.")
        for note in (*self.notes, *self.analysis.notes):
            console.print(f"Note: {escape(note)}")
        for cohort in self.analysis.cohorts:
            counts = ", ".join(f"{key} {n}" for key, n in cohort.class_counts.items())
            console.rule(f"Cohort {escape(cohort.cohort)}: {cohort.n_cases} cases ({escape(counts)})")
            for note in cohort.notes:
                console.print(f"Note: {escape(note)}")
            of_cohort = {
                name: table[table["cohort"] == cohort.cohort] if "cohort" in table.columns else table
                for name, table in tables.items()
            }
            chosen = [(name, _whole(of_cohort[name])) for name in names]
            for title, frame in chosen or _views(of_cohort):
                if len(frame):
                    numbered, footnotes = _with_footnotes(frame)
                    console.print(_as_table(title, numbered))
                    for number, note in enumerate(footnotes, start=1):
                        console.print(f"  [{number}] {note}", markup=False, highlight=False)
        console.print(
            f"Intervals at {100 * self.analysis.confidence_level:g} %. All digits and every table: --json, --table NAME"
        )


def analyse_file(
    path: str | Path | Sequence[Path],
    layout: Layout | str | None = None,
    options: FileOptions | None = None,
    **analysis: Any,
) -> FileAnalysis:
    """Analyse a file of readings without a database.

    Parameters
    ----------
    path : path or sequence of path
        A file with the reference standard in it; a folder or several files, one for each reader; or a bundle, whose own
        options then hold.
    layout : Layout or str, optional
        Absent: told by the names of the columns.
    options : FileOptions, optional
        Classes, the positive one, missing codes.
    **analysis
        As in :func:`core.analysis.analyse`.

    Raises
    ------
    ManifestError
        For the first thing that is wrong with the file.
    """
    paths = files_of(path)
    if len(paths) == 1 and is_bundle(paths[0]):
        return _of_bundle(paths[0])
    read = read_readings_file(path, layout, options)
    chosen = layout or (Layout.LONG if len(paths) > 1 else layout_of(paths[0], options))
    notes = read.notes
    if analysis.get("margin") is not None and not len(read.data.predictions):
        notes += ("a margin is for a model against readers, and the file holds no model",)
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0].parent} ({len(paths)} files)"
    return FileAnalysis(name, str(chosen), analyse(read.data, **analysis), notes, read.data, analysis)


def _of_bundle(path: Path) -> FileAnalysis:
    """A bundle's readings, analysed as they were when it was made; what is wrong with the bundle is a note."""
    bundle = read_bundle(path)
    check = check_bundle(bundle)
    if not check.n_tables:
        raise ManifestError(check.problems[-1], file=path, fix="export it again")
    told = "the bundle is whole, and its tables follow from its readings"
    notes = tuple(f"NOT AS IT WAS MADE: {problem}" for problem in check.problems) or (told,)
    options = ", ".join(f"{name} {value}" for name, value in bundle.manifest["analysis"].items())
    notes = (*notes, f"analysed with the options of the bundle ({options})")
    title = str(bundle.manifest.get("title", ""))
    return FileAnalysis(
        str(path), "bundle", bundle.analysis, notes, bundle.data, bundle.manifest["analysis"], title, bundle.protocol
    )


def _with_footnotes(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A frame whose notes are numbers, and the notes; a frame without notes loses the column."""
    texts: dict[str, int] = {}
    marks = []
    for notes in frame["notes"].fillna(""):
        numbers = [texts.setdefault(part, len(texts) + 1) for part in str(notes).split(" | ") if part]
        marks.append(" ".join(f"[{number}]" for number in sorted(numbers)))
    rest = frame.drop(columns="notes")
    return (rest.assign(note=marks) if texts else rest), list(texts)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Every column of a table that says something, value and interval in one."""
    if "estimate" in table.columns:
        place = list(table.columns).index("value")
        table = table.drop(columns=list(_INTERVAL))
        table.insert(place, "estimate", table.pop("estimate"))
    notes = table["notes"] if "notes" in table.columns else pd.Series("", index=table.index)
    silent = [name for name in table.columns if all(cell_text(value, "") == "" for value in table[name])]
    return table.drop(columns=["cohort", *silent], errors="ignore").assign(notes=notes)


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
    panels, means, margins = (
        tables[name].assign(figure=tables[name]["metric"] + " " + tables[name]["class"])
        for name in ("mrmc", "panel_means", "margins")
    )
    panels, margins = (
        table.assign(first=table["first_name"], second=table["second_name"]) for table in (panels, margins)
    )
    return [
        ("Answers", tables["missing"][[*who, "n_expected", "n_answered", "n_missing", "n_unreadable", "notes"]]),
        ("Overall", summary[[*who, "quantity", "n", "estimate", "method", "notes"]]),
        ("Per class", tables["per_class"][[*who, "class", "quantity", "n", "estimate", "notes"]]),
        ("AUC", tables["auc"][[*who, "class", "n", "estimate", "method", "notes"]]),
        (
            "Accuracy of two on the same cases (first - second)",
            pairs[["first", "second", "n", "estimate", "p_exact", "p_holm", "p_chi_squared", "notes"]],
        ),
        (
            "AUC of two on the same cases (first - second)",
            curves[["first", "second", "class", "n", "estimate", "p_value", "p_holm", "notes"]],
        ),
        (
            "Agreement between readers",
            tables["agreement"][
                ["arm", "scope", "first", "second", "statistic", "n_readers", "n", "estimate", "notes"]
            ],
        ),
        (
            "Average of the readers of an arm",
            means[["figure", "scope", "arm", "n_readers", "n", "estimate", "df", "notes"]],
        ),
        (
            "Several readers, several cases (first - second)",
            panels[["figure", "scope", "first", "second", "n_readers", "n", "estimate", "df2", "p_value", "notes"]],
        ),
        (
            "Within the margin? (first - second)",
            margins[
                [
                    "figure",
                    "scope",
                    "first",
                    "second",
                    "goal",
                    "margin",
                    "n",
                    "estimate",
                    "p_value",
                    "is_shown",
                    "notes",
                ]
            ],
        ),
        (
            "Calibration of probabilities",
            tables["calibration"][["name", "class", "quantity", "n", "estimate", "p_value", "notes"]],
        ),
        (
            "Seconds by answer",
            tables["reading_times"][[*who, "answer", "n", "estimate", "notes"]],
        ),
    ]


def _arm(arms: pd.Series) -> pd.Series:
    """Arm in brackets, nothing for a model."""
    return arms.map(lambda arm: f" ({arm})" if arm else "")


def _as_table(title: str, frame: pd.DataFrame) -> Table:
    """A frame as a terminal table."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in frame.columns:
        is_number = str(column).startswith(("n_", "p_", "df")) or column in {"n", "statistic"}
        shown.add_column(
            str(column),
            justify="right" if is_number and column != "name" else "left",
            overflow="fold",
            no_wrap=column in {"estimate", "p_value", "p_holm", "p_exact", "df", "df2", "quantity", "figure"},
        )
    for row in frame.itertuples(index=False, name=None):
        shown.add_row(*(escape(cell_text(value, str(name))) for name, value in zip(frame.columns, row, strict=True)))
    return shown
