"""What a table is made of: columns, each declared once with its name, its type and where its value stands in a row.

A *row* is a plain namespace: the cohort, the result it shows and whatever else its columns name. A column's place is a
dotted path into the row ("one.test.p_value") or a function of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import pandas as pd

from core.number_text import DIGITS, estimate_text
from core.statistics.result import Estimate, TestResult

Row = SimpleNamespace
Place = str | Callable[[Row], Any]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    dtype: str | None  # of pandas, also where the column is empty or every number undefined; None: texts
    get: Callable[[Row], Any]


@dataclass(frozen=True)
class ResultTable:
    """One table: which rows a cohort gives, and the columns of a row."""

    name: str
    rows: Callable[[Any], Iterator[Row]]  # of a cohort's analysis, or of the description of the cases
    columns: tuple[Column, ...]

    def frame(self, sources: Sequence[Any]) -> pd.DataFrame:
        """The rows of all sources; an empty table keeps its columns."""
        rows = [row for source in sources for row in self.rows(source)]
        return pd.DataFrame(
            {column.name: pd.Series([column.get(row) for row in rows], dtype=column.dtype) for column in self.columns}
        )


def text(name: str, place: Place = "") -> Column:
    """A column of texts; without a place the value stands in the row under the column's name."""
    return Column(name, None, _getter(place or name))


def flag(name: str, place: Place = "") -> Column:
    """A column of true and false, missing allowed."""
    return Column(name, "boolean", _getter(place or name))


def count(name: str, place: Place = "") -> Column:
    """A column of whole numbers, missing allowed."""
    return Column(name, "Int64", _getter(place or name))


def number(name: str, place: Place = "") -> Column:
    """A column of quantities; undefined is missing."""
    return Column(name, "float64", _getter(place or name))


def _getter(place: Place) -> Callable[[Row], Any]:
    return attrgetter(place) if isinstance(place, str) else place


# -------------------------------------------------------------------------------------------- columns of many tables
COHORT = text("cohort", "cohort.cohort")
WHO = (COHORT, *(text(name, f"who.{place}") for name, place in
                 (("arm", "arm"), ("kind", "kind"), ("participant", "key"), ("name", "name"))))  # fmt: skip
#: Both of a pair; empty texts where a test is of more than two.
PAIR = (
    COHORT,
    *(
        text(f"{side}_{name}", lambda row, side=side, place=place: getattr(getattr(row.one, side), place, ""))  # type: ignore[misc]
        for side in ("first", "second")
        for name, place in (("arm", "arm"), ("kind", "kind"), ("participant", "key"), ("name", "name"))
    ),
)


def estimate_columns(digits: Callable[[Row], int] = lambda _: DIGITS) -> tuple[Column, ...]:
    """A number with its interval, and both as people read them with so many digits after the point."""
    return (
        count("n", "estimate.n"),
        number("value", "estimate.value"),
        number("standard_error", "estimate.standard_error"),
        number("lower", "estimate.lower"),
        number("upper", "estimate.upper"),
        number("confidence_level", "estimate.confidence_level"),
        text("method", "estimate.method"),
        text("state", lambda row: row.estimate.state.value),
        #: the same string on every screen, in every file and in the report
        text("estimate", lambda row: estimate_text(
            row.estimate.value, row.estimate.lower, row.estimate.upper, digits(row))),
    )  # fmt: skip


ESTIMATE = estimate_columns()
#: Limits by standard error alone, which may leave the range of a difference; beside those of the estimate.
WALD = (number("wald_lower", "estimate.wald_lower"), number("wald_upper", "estimate.wald_upper"))
#: Why the estimate is undefined, its own notes, then the row's.
NOTES = text(
    "notes", lambda row: joined_notes(row.estimate.reason, *row.estimate.notes, *getattr(row, "more_notes", ()))
)


def joined_notes(*parts: object) -> str:
    """Notes of one row as one text."""
    return " | ".join(dict.fromkeys(str(part) for part in parts if part))


def estimate_of_test(test: TestResult, n: int | None, confidence_level: float) -> Estimate:
    """A test's difference under the test's own method, state, reason and notes; without a value where it has none."""
    told = {"method": test.method, "state": test.state, "reason": test.reason, "notes": test.notes}
    if test.difference is None:
        return Estimate(None, None, None, None, confidence_level, n=n, **told)  # type: ignore[arg-type]
    own = test.difference.n
    return replace(test.difference, n=n if own is None else own, **told)  # type: ignore[arg-type]
