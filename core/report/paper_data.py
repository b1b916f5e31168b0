"""The published numbers of Zhao et al. 2023, as this project transcribed them.

The files stand in ``core/report/data`` with their ``PROVENANCE.md``. ``printed`` is text, because the number of
printed decimals decides what "reproduces" means.

References
----------
Zhao H, Zheng C, Zhang H, et al. (2023), Front Endocrinol 14:1224191, doi 10.3389/fendo.2023.1224191.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

#: Classes in the order of the paper's tables.
PAPER_CLASSES: tuple[str, ...] = ("graves", "normal", "sat", "tumor")


@dataclass(frozen=True)
class PrintedCell:
    """One printed number, and where it stands."""

    table: str  # "1" ... "5"; the overall accuracies of the text are filed under their table
    cohort: str  # "all", "training", "internal", "external", "cross-validation"
    rater: str  # model or physician; "" in Table 1
    subject: str  # class key, row of Table 1, or "" for all classes together
    quantity: str  # "sensitivity", "auc", "kappa", "percent", ...
    part: str  # "point", "lower", "upper", "mean", "sd", "fold 1" ...
    printed: str

    @property
    def value(self) -> float:
        """The printed number, in the printed unit."""
        return float(self.printed)

    @property
    def decimals(self) -> int:
        """Printed digits after the decimal point."""
        return len(self.printed.partition(".")[2])


@dataclass(frozen=True)
class ClassCounts:
    """One class against the rest, for one rater on one set."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def n(self) -> int:
        """Cases."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def n_positive(self) -> int:
        """Cases of the class by the reference standard."""
        return self.true_positive + self.false_negative


#: (table, rater) -> class key -> counts
PaperCounts = Mapping[tuple[str, str], Mapping[str, ClassCounts]]


def _rows(name: str) -> list[dict[str, str]]:
    """Rows of a shipped CSV file."""
    text = (resources.files("core.report") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@lru_cache(maxsize=1)
def printed_cells() -> tuple[PrintedCell, ...]:
    """Every transcribed number of Tables 1-5 and the overall accuracies of the text."""
    return tuple(
        PrintedCell(
            row["table"], row["cohort"], row["rater"], row["class"], row["quantity"], row["part"], row["printed"]
        )
        for row in _rows("paper_printed.csv")
    )


@lru_cache(maxsize=1)
def paper_counts() -> PaperCounts:
    """True and false positives and negatives behind Tables 2, 4 and 5, rebuilt from the printed cells."""
    counts: dict[tuple[str, str], dict[str, ClassCounts]] = {}
    for row in _rows("paper_counts.csv"):
        counts.setdefault((row["table"], row["rater"]), {})[row["class"]] = ClassCounts(
            int(row["true_positive"]), int(row["false_positive"]), int(row["false_negative"]), int(row["true_negative"])
        )
    return MappingProxyType({key: MappingProxyType(value) for key, value in counts.items()})
