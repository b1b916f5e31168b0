"""What commands print: lines, tables, bars."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd


#: Tables that go into a file or a pipe get room; a terminal has the width that it has.
console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 200))
errors = Console(stderr=True)


def say(text: object, **options: Any) -> None:
    """A line for the person at the terminal; long lines are left to the terminal, so that commands can be copied."""
    console.print(text, soft_wrap=True, highlight=False, **options)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar per kind of work, fed by ``progress(done, total, what)``."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, Any] = {}

        def report(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


def show_table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """A table in the terminal."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)


#: Columns that the terminal leaves out; CSV and JSON have them all.
_NOT_IN_TERMINAL = (
    "kind", "participant", "first_kind", "second_kind", "first_participant", "second_participant",
    "confidence_level", "standard_error", "state", "statistic", "method", "notes", "covariance", "has_ratings",
)  # fmt: skip


def show_frame(title: str, frame: pd.DataFrame) -> None:
    """A table of the analysis with its interval in one column; all columns and digits are in CSV and JSON."""
    from core.number_text import shown_table

    shown = shown_table(frame)
    hidden = (*_NOT_IN_TERMINAL, *(("first", "second") if "first_name" in shown.columns else ()))
    kept = [name for name in shown.columns if name not in hidden and (shown[name] != "").any()]
    show_table(title, kept, shown[kept].to_numpy().tolist())
    for name in ("method", "notes"):
        for text in dict.fromkeys(shown[name]) if name in shown.columns else ():
            if text:
                console.print(f"  {name.removesuffix('s')}: {text}", style="dim", highlight=False, markup=False)
