"""Tables 1-5 of Zhao et al. 2023 recomputed from the counts, cell by cell, beside what was printed.

Conventions
-----------
* A cell **is reproduced** when the number computed from the counts lies within half a unit of its last printed digit.
* Intervals are computed the paper's way, which is not this project's default: Wilson for proportions (the default
  here too), and for every AUC the Clopper-Pearson interval of AUC·N out of N ("MedCalc binomial exact").
* A physician's AUC is (sensitivity + specificity) / 2, one operating point. A model's AUC needs its probabilities,
  which are not published: its points are *not checkable*, and its limits count as reproduced when one AUC inside the
  printed rounding gives both of them.
* Kappa is Cohen's kappa of the rater against the reference standard; the paper calls it Fleiss'.

References
----------
Zhao H, Zheng C, Zhang H, et al. (2023), Front Endocrinol 14:1224191, doi 10.3389/fendo.2023.1224191.
Wilson (1927), J. Am. Stat. Assoc. 22:209-212. Clopper and Pearson (1934), Biometrika 26:404-413.
Cohen (1960), Educ. Psychol. Meas. 20:37-46.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from core.errors import UndefinedStatisticError
from core.report.paper_claims import PaperClaim, PaperTest, paper_claims, paper_tests
from core.report.paper_data import PAPER_CLASSES, ClassCounts, PrintedCell, paper_counts, printed_cells
from core.report.paper_formulas import (
    auc_range_for_limits,
    binomial_exact_auc_interval,
    cohen_kappa_from_counts,
)
from core.statistics.auc_interval import auc_binomial_exact
from core.statistics.classification import BinaryCounts, binary_metrics
from core.statistics.result import Estimate

#: Slack for a number that lies exactly half a unit away, where binary fractions decide nothing.
_SLACK = 1e-9


class Verdict(StrEnum):
    """Whether a printed number follows from the counts."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_CHECKABLE = "not checkable"


@dataclass(frozen=True)
class CheckedCell:
    """A printed number beside the recomputed one."""

    table: str
    cohort: str
    rater: str
    subject: str  # class key, row of Table 1, or "" for all classes
    quantity: str
    part: str
    printed: str
    computed: float | None  # in the printed unit; None where the counts do not hold it
    verdict: Verdict
    method: str
    likely_cause: str | None = None  # only where it is not reproduced or not checkable


@dataclass(frozen=True)
class TableTotals:
    """How many cells of one table reproduce."""

    table: str
    reproduced: int
    not_reproduced: int
    not_checkable: int

    @property
    def checkable(self) -> int:
        """Cells that the counts can judge."""
        return self.reproduced + self.not_reproduced


@dataclass(frozen=True)
class PaperReproduction:
    """Everything that was recomputed, with the totals."""

    cells: tuple[CheckedCell, ...]
    tests: tuple[PaperTest, ...]
    claims: tuple[PaperClaim, ...]
    notes: tuple[str, ...]

    @property
    def by_table(self) -> tuple[TableTotals, ...]:
        """Totals of Tables 1-5; the accuracies of the text are counted with their table."""
        return tuple(_totals(table, list(cells)) for table, cells in groupby(self.cells, key=lambda cell: cell.table))

    @property
    def totals(self) -> TableTotals:
        """Totals of the whole paper."""
        return _totals("all", list(self.cells))

    @property
    def failures(self) -> tuple[CheckedCell, ...]:
        """The cells that do not reproduce."""
        return tuple(cell for cell in self.cells if cell.verdict is Verdict.NOT_REPRODUCED)

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe form with all digits: ``totals``, ``tables``, ``cells``, ``tests``, ``claims``, ``notes``."""
        return {
            "paper": "Zhao et al. 2023, doi 10.3389/fendo.2023.1224191",
            "totals": _totals_dict(self.totals),
            "tables": [_totals_dict(totals) for totals in self.by_table],
            "cells": [{**vars(cell), "verdict": cell.verdict.value} for cell in self.cells],
            "tests": [dict(vars(test)) for test in self.tests],
            "claims": [dict(vars(claim)) for claim in self.claims],
            "notes": list(self.notes),
        }


def reproduce_paper() -> PaperReproduction:
    """Recompute every printed cell of Tables 1-5 and the accuracies of the text.

    Returns
    -------
    PaperReproduction
        One checked cell per printed number, by table and rater in the order of the paper, the paper's tests
        recomputed, and the claims of its text.
    """
    raters = list(dict.fromkeys(cell.rater for cell in printed_cells()))
    cells = sorted(_checked_cells(), key=lambda cell: (cell.table, raters.index(cell.rater)))
    return PaperReproduction(tuple(cells), paper_tests(), paper_claims(), NOTES)


#: What a reader of the comparison has to know.
NOTES: tuple[str, ...] = (
    "The AUC intervals of Tables 4 and 5 follow from AUC·N successes out of N (MedCalc's binomial exact). A hard-label "
    "AUC is not a binomial proportion of N, and the interval is too narrow: in simulation at the paper's sizes it "
    "covers 86-91 % instead of 95 %. The default elsewhere in this program is DeLong's variance on the logit scale, "
    "which covers 95-96 % there.",
    "A physician's AUC is (sensitivity + specificity) / 2: one operating point, not a curve. Comparing it with the AUC "
    "of a model's probabilities by DeLong's test compares two different things.",
    "The kappa that the paper calls Fleiss' is Cohen's kappa between one rater and the reference standard: Cohen's "
    "gives all ten printed values, the two-rater Fleiss (Scott's pi) misses three (0.813, 0.603, 0.850). It measures "
    "agreement with the truth, not between readers.",
    "ResNet34 scores 485/514 in Table 2 but 494/514 in Table 4, on the same class sizes. Table 4's macro accuracy, "
    "sensitivity, specificity, PPV and NPV (96.1/96.1/98.7/96.1/98.7) equal the best fold of Table 3, fold 4, so the "
    "physicians may have been compared with the best of five models. The text cannot settle this: the AUC differs "
    "(0.992 against 0.993), and a fold of 2,581 has 516 or 517 cases.",
    "The physicians and the model read the same cases, so McNemar's test is the right one and the chi-squared test of "
    "the paper is not. The pairing is not published; the p-values above are those of the least favourable pairing that "
    "the counts allow, and the printed p < 0.001 holds for every one of them.",
    "The overall ResNet34 AUC of 0.992 in the text is not the macro mean of the four printed AUCs of Table 2 (0.990).",
)


# ------------------------------------------------------------------------------------------------------------ the cells
def _checked_cells() -> Iterator[CheckedCell]:
    """Every printed cell with its verdict; cells that are data (counts, folds, ages) are used, not checked."""
    cells = printed_cells()
    yield from _table_1([cell for cell in cells if cell.table == "1"])
    yield from _table_3([cell for cell in cells if cell.table == "3"])
    counts = paper_counts()
    diagnostic = [cell for cell in cells if cell.table in {"2", "4", "5"}]
    printed = {(cell.table, cell.rater, cell.subject, cell.quantity, cell.part): cell for cell in diagnostic}
    for cell in diagnostic:
        by_class = counts[cell.table, cell.rater]
        if cell.subject == "":
            yield _judge(cell, *_overall(cell.quantity, by_class))
        elif cell.quantity == "auc" and not _is_physician(cell.rater):
            yield _model_auc(cell, by_class[cell.subject], printed)
        else:
            yield _judge(cell, *_per_class(cell, by_class[cell.subject]))


def _is_physician(rater: str) -> bool:
    """Whether a rater gave hard labels only."""
    return rater in {"Junior", "Senior"}


def _overall(quantity: str, by_class: Mapping[str, ClassCounts]) -> tuple[float, str]:
    """Accuracy or kappa over all classes, and how it was made."""
    if quantity == "accuracy":
        n_correct = sum(counts.true_positive for counts in by_class.values())
        return n_correct / by_class[PAPER_CLASSES[0]].n, "correct / cases"
    return cohen_kappa_from_counts(list(by_class.values())), "Cohen's kappa against the reference standard"


def _per_class(cell: PrintedCell, counts: ClassCounts) -> tuple[float, str]:
    """A number of one class from its counts, in the printed unit, and how it was made."""
    metrics = binary_metrics(
        BinaryCounts(counts.true_positive, counts.false_positive, counts.false_negative, counts.true_negative)
    )
    if cell.quantity == "f1":
        return _part(metrics.f1, "point"), "2TP / (2TP + FP + FN)"
    if cell.quantity == "auc":
        area = _part(metrics.balanced_accuracy, "point")
        if cell.part == "point":
            return area, "(sensitivity + specificity) / 2"
        return _part(auc_binomial_exact(area, counts.n), cell.part), "Clopper-Pearson on AUC·N"
    estimate: Estimate = getattr(metrics, cell.quantity)
    fraction = f"{round(_part(estimate, 'point') * (estimate.n or 0))}/{estimate.n}"
    return 100 * _part(estimate, cell.part), fraction if cell.part == "point" else f"Wilson on {fraction}"


def _part(estimate: Estimate, part: str) -> float:
    """Value or limit of an estimate that the counts define."""
    found = {"point": estimate.value, "lower": estimate.lower, "upper": estimate.upper}[part]
    if found is None:
        raise UndefinedStatisticError(estimate.reason or "The counts do not define this number.")
    return found


def _model_auc(
    cell: PrintedCell, counts: ClassCounts, printed: Mapping[tuple[str, str, str, str, str], PrintedCell]
) -> CheckedCell:
    """A model's AUC cannot be checked without its probabilities; its limits can, against each other."""
    if cell.part == "point":
        return _checked(
            cell, None, Verdict.NOT_CHECKABLE, "needs the model's probabilities", "probabilities are not published"
        )
    point, lower, upper = (
        printed[cell.table, cell.rater, cell.subject, "auc", part] for part in ("point", "lower", "upper")
    )
    method = "Clopper-Pearson on AUC·N for an AUC inside the printed rounding"
    possible = auc_range_for_limits(_rounding(point), _rounding(lower), _rounding(upper), counts.n)
    side = 0 if cell.part == "lower" else 1
    if possible is not None:
        middle = (possible[0] + possible[1]) / 2
        return _checked(cell, binomial_exact_auc_interval(middle, counts.n)[side], Verdict.REPRODUCED, method, None)
    computed = binomial_exact_auc_interval(point.value, counts.n)[side]
    return _checked(
        cell, computed, Verdict.NOT_REPRODUCED, method, "no AUC inside the printed rounding gives both limits"
    )


def _table_1(cells: list[PrintedCell]) -> Iterator[CheckedCell]:
    """Sums over the cohorts, percentages, and the pooled age."""
    value = {(cell.cohort, cell.subject, cell.quantity): cell.value for cell in cells}
    parts = ("training", "internal", "external")
    sizes = [value[part, "patients", "count"] for part in parts]
    for cell in cells:
        if cell.quantity == "count" and cell.cohort == "all":
            yield _judge(cell, sum(value[part, cell.subject, "count"] for part in parts), "sum of the three cohorts")
        elif cell.quantity == "percent":
            whole = value["all" if cell.subject == "patients" else cell.cohort, "patients", "count"]
            part_n = value[cell.cohort, cell.subject, "count"]
            yield _judge(cell, 100 * part_n / whole, f"{part_n:.0f}/{whole:.0f}")
        elif cell.subject == "age" and cell.cohort == "all":
            means = [value[part, "age", "mean"] for part in parts]
            mean = sum(n * x for n, x in zip(sizes, means, strict=True)) / sum(sizes)
            if cell.quantity == "mean":
                yield _judge(cell, mean, "mean of the cohorts, weighted by size")
            else:
                within = sum((n - 1) * value[part, "age", "sd"] ** 2 for n, part in zip(sizes, parts, strict=True))
                between = sum(n * (x - mean) ** 2 for n, x in zip(sizes, means, strict=True))
                yield _judge(cell, math.sqrt((within + between) / (sum(sizes) - 1)), "pooled standard deviation")


def _table_3(cells: list[PrintedCell]) -> Iterator[CheckedCell]:
    """Mean and sample standard deviation over the five folds."""
    for cell in cells:
        if cell.part not in {"mean", "sd"}:
            continue
        folds = [one.value for one in cells if one.quantity == cell.quantity and one.part.startswith("fold")]
        mean = sum(folds) / len(folds)
        if cell.part == "mean":
            yield _judge(cell, mean, "mean of five folds")
        else:
            deviation = math.sqrt(sum((x - mean) ** 2 for x in folds) / (len(folds) - 1))
            scale = 1 if cell.quantity == "auc" else 100  # the folds are printed in percent, the deviation is not
            yield _judge(cell, deviation / scale, "sample standard deviation, 4 degrees of freedom")


# ---------------------------------------------------------------------------------------------------------- the verdict
def _rounding(cell: PrintedCell) -> tuple[float, float]:
    """Numbers that round to what is printed."""
    half = 0.5 * 10.0**-cell.decimals
    return cell.value - half, cell.value + half


def _judge(cell: PrintedCell, computed: float, method: str) -> CheckedCell:
    """Compare a computed number with the printed one."""
    low, high = _rounding(cell)
    if low - _SLACK <= computed <= high + _SLACK:
        return _checked(cell, computed, Verdict.REPRODUCED, method, None)
    return _checked(cell, computed, Verdict.NOT_REPRODUCED, method, likely_cause(cell, computed))


def _checked(
    cell: PrintedCell, computed: float | None, verdict: Verdict, method: str, cause: str | None
) -> CheckedCell:
    """The printed cell with its verdict."""
    return CheckedCell(
        cell.table, cell.cohort, cell.rater, cell.subject, cell.quantity, cell.part, cell.printed,
        computed, verdict, method, cause,
    )  # fmt: skip


def likely_cause(cell: PrintedCell, computed: float) -> str:
    """Why a printed number may differ from the recomputed one, judged by its digits.

    Parameters
    ----------
    cell : PrintedCell
    computed : float
        In the printed unit.
    """
    once = _round_half_up(computed, cell.decimals)
    for digits in range(cell.decimals + 1, cell.decimals + 4):
        if _round_half_up(float(_round_half_up(computed, digits)), cell.decimals) == cell.printed:
            return f"rounded twice: {_round_half_up(computed, digits)} first, which then gives {cell.printed}"
    for digits in range(cell.decimals):
        coarse = _round_half_up(computed, digits)
        if float(coarse) == cell.value:
            return f"rounded to fewer digits ({coarse}) and filled up with zeros; the counts give {once}"
    if sum(a != b for a, b in zip(once, cell.printed, strict=False)) == 1 and len(once) == len(cell.printed):
        return f"one digit differs from {once}: a misprint, or misread by machine"
    return f"an error in the paper: the counts give {once}"


def _round_half_up(value: float, decimals: int) -> str:
    """Commercial rounding as text, the way tables are printed."""
    scaled = math.floor(value * 10**decimals + 0.5 + _SLACK)
    return f"{scaled / 10**decimals:.{decimals}f}"


def _totals(table: str, cells: list[CheckedCell]) -> TableTotals:
    """Count the verdicts."""
    found = [cell.verdict for cell in cells]
    return TableTotals(
        table,
        found.count(Verdict.REPRODUCED),
        found.count(Verdict.NOT_REPRODUCED),
        found.count(Verdict.NOT_CHECKABLE),
    )


def _totals_dict(totals: TableTotals) -> dict[str, Any]:
    """Totals as plain numbers."""
    return {
        "table": totals.table,
        "checkable": totals.checkable,
        "reproduced": totals.reproduced,
        "not_reproduced": totals.not_reproduced,
        "not_checkable": totals.not_checkable,
    }
