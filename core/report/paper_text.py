"""The reproduction of the paper as tables for the terminal."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.protocol import THYROID_CLASSES
from core.report.paper import CheckedCell, PaperReproduction, Verdict

_MARK = {
    Verdict.REPRODUCED: "[green]✓[/]",
    Verdict.NOT_REPRODUCED: "[bold red]✗[/]",
    Verdict.NOT_CHECKABLE: "[dim]–[/]",
}
_TITLES = {
    "1": "Table 1: patients",
    "2": "Table 2: four models, internal validation",
    "3": "Table 3: five-fold cross-validation",
    "4": "Table 4: model and physicians, internal validation",
    "5": "Table 5: model and physicians, external validation",
}
_SHORT = {disease.key: disease.short_label for disease in THYROID_CLASSES}
_QUANTITIES = {"auc": "AUC", "f1": "F1", "ppv": "PPV", "npv": "NPV", "sd": "SD"}


def render(reproduction: PaperReproduction, console: Console) -> None:
    """Print every cell beside the recomputed one, the tests, the claims, the notes, and last the totals.

    Parameters
    ----------
    reproduction : PaperReproduction
    console : rich.console.Console
        Where to print; a console that is not a terminal gets plain text.
    """
    for table, cells in groupby(reproduction.cells, key=lambda cell: cell.table):
        console.rule(_TITLES[table])
        for rater, of_rater in groupby(cells, key=lambda cell: cell.rater):
            console.print(_cells_table(rater, list(of_rater)))
    console.rule("Accuracy of two raters on the same cases")
    console.print(_tests_table(reproduction))
    console.rule("Claims of the text (not counted in the totals)")
    for claim in reproduction.claims:
        console.print(f"[bold]{escape(claim.verdict)}[/]: {escape(claim.claim)}. {escape(claim.evidence)}.")
    console.rule("Notes")
    for number, note in enumerate(reproduction.notes, start=1):
        console.print(f"{number}. {escape(note)}")
    console.rule("Cells that do not reproduce")
    console.print(_failures_table(reproduction))
    console.rule("Totals")
    console.print(_totals_table(reproduction))
    totals = reproduction.totals
    console.print(
        f"{totals.reproduced} of {totals.checkable} checkable cells reproduce, {totals.not_reproduced} do not, "
        f"{totals.not_checkable} cannot be checked."
    )


def _place(cell: CheckedCell) -> str:
    """What a cell is about."""
    subject = _SHORT.get(cell.subject, cell.subject)
    quantity = _QUANTITIES.get(cell.quantity, cell.quantity)
    words = [subject, quantity, "" if cell.part == "point" else cell.part]
    if cell.table == "1":
        words.append(cell.cohort)
    return " ".join(word for word in words if word)


def _shown(cell: CheckedCell) -> str:
    """The recomputed number with two digits more than were printed."""
    if cell.computed is None:
        return ""
    decimals = len(cell.printed.partition(".")[2])
    return f"{cell.computed:.{decimals + 2 if decimals else 0}f}"


def _cells_table(rater: str, cells: list[CheckedCell]) -> Table:
    """Printed and recomputed numbers of one rater."""
    table = Table(title=rater or None, title_justify="left", box=None, pad_edge=False)
    for name in ("cell", "printed", "recomputed", "", "from"):
        table.add_column(name, justify="right" if name in {"printed", "recomputed"} else "left")
    for cell in cells:
        source = cell.likely_cause if cell.verdict is Verdict.NOT_REPRODUCED else cell.method
        table.add_row(_place(cell), cell.printed, _shown(cell), _MARK[cell.verdict], escape(source or ""))
    return table


def _tests_table(reproduction: PaperReproduction) -> Table:
    """Chi-squared as in the paper, and McNemar's exact test for the worst pairing."""
    table = Table(box=None, pad_edge=False)
    for name in ("set", "first", "second", "χ² (p)", "Yates p", "McNemar exact p, worst pairing", "printed"):
        table.add_column(name)
    for test in reproduction.tests:
        table.add_row(
            test.cohort,
            f"{test.first} {test.first_correct}/{test.n}",
            f"{test.second} {test.second_correct}/{test.n}",
            f"{test.chi_squared:.2f} ({test.chi_squared_p:.1e})",
            f"{test.yates_p:.1e}",
            f"{test.mcnemar_worst_p:.1e}",
            test.printed,
        )
    return table


def _failures_table(reproduction: PaperReproduction) -> Table:
    """The cells that do not reproduce, with the likely cause."""
    table = Table(box=None, pad_edge=False)
    for name in ("table", "rater", "cell", "printed", "recomputed", "likely cause"):
        table.add_column(name)
    for cell in reproduction.failures:
        table.add_row(cell.table, cell.rater, _place(cell), cell.printed, _shown(cell), escape(cell.likely_cause or ""))
    return table


def _totals_table(reproduction: PaperReproduction) -> Table:
    """Verdicts by table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("table")
    for name in ("checkable", "reproduced", "not reproduced", "not checkable"):
        table.add_column(name, justify="right")
    for row in (*reproduction.by_table, reproduction.totals):
        table.add_row(
            row.table, *(str(x) for x in (row.checkable, row.reproduced, row.not_reproduced, row.not_checkable))
        )
    return table
