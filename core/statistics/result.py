"""Result objects shared by every module of core.statistics.

A quantity that the data do not define is never 0 and never NaN: it is an :class:`Estimate` whose ``value`` is None
and whose ``state`` names why. A quantity at the edge of its range (AUC = 1) keeps its value, and carries an exact
one-sided bound where one exists, with ``state`` saying so.

Measures: none; :class:`Estimate`, :class:`TestResult`, and :class:`Reported`, from which every result has ``summary()``
(also ``print(result)``: text of at most 100 columns) and ``rows()``. ``core.notebook.to_frame`` makes a pandas data
frame of any result.

>>> print(Estimate(0.854, 0.024, 0.799, 0.897, 0.95, "Wilson", n=130, notes=("two readers",)))
Note: two readers
0.8540 (95% 0.7990 to 0.8970), n = 130; Wilson
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

#: Width of a summary, and the most rows of it; a data frame has them all.
SUMMARY_WIDTH, MOST_ROWS = 100, 40

#: No test proves anything: a p value below this, or one that the arithmetic makes 0, is told as this number.
SMALLEST_P = 1e-300


class State(StrEnum):
    """Whether a number can be taken at face value."""

    ESTIMATED = "estimated"
    DEGENERATE = "degenerate"  # value exists, its sampling variance does not (AUC = 1, constant ratings)
    UNDEFINED = "undefined"  # the data do not define the value (no positive case, one category, ...)


class Reported:
    """What every result can do: tell its numbers in words, and as rows."""

    def summary(self) -> str:
        """The numbers as text that fits 100 columns, notes before them."""
        return summary_of(self)

    def rows(self) -> tuple[dict[str, Any], ...]:
        """One dictionary for each number, its place in the result under ``quantity``."""
        return rows_of(self)

    def __str__(self) -> str:
        return self.summary()


@dataclass(frozen=True)
class Estimate(Reported):
    """A number with its uncertainty."""

    value: float | None
    standard_error: float | None
    lower: float | None
    upper: float | None
    confidence_level: float
    method: str  # how value and interval were made, for example "Wilson"
    state: State = State.ESTIMATED
    reason: str | None = None  # why it is degenerate or undefined
    notes: tuple[str, ...] = ()  # warnings that must travel with the number
    n: int | None = None  # cases the estimate rests on (the denominator of a proportion)
    wald_lower: float | None = None  # value - quantile x standard error, where it may leave the range of the value
    wald_upper: float | None = None

    def with_note(self, note: str) -> Estimate:
        """The same estimate carrying one more note."""
        return replace(self, notes=(*self.notes, note))


@dataclass(frozen=True)
class TestResult(Reported):
    """A hypothesis test."""

    statistic: float | None
    p_value: float | None  # never below SMALLEST_P
    method: str  # for example "McNemar, exact"
    degrees_of_freedom: float | tuple[float, float] | None = None
    alternative: str = "two-sided"
    difference: Estimate | None = None  # first minus second, when the test has one
    state: State = State.ESTIMATED
    reason: str | None = None
    notes: tuple[str, ...] = ()

    __test__ = False  # pytest: not a test class

    def __post_init__(self) -> None:
        if self.p_value is not None and self.p_value < SMALLEST_P:
            object.__setattr__(self, "p_value", SMALLEST_P)


def undefined_estimate(reason: str, *, confidence_level: float, method: str, n: int | None = None) -> Estimate:
    """An estimate that the data do not define, saying why."""
    return Estimate(None, None, None, None, confidence_level, method, State.UNDEFINED, reason, (), n)


def undefined_test(reason: str, *, method: str, notes: tuple[str, ...] = ()) -> TestResult:
    """A test that the data do not define, saying why."""
    return TestResult(None, None, method, state=State.UNDEFINED, reason=reason, notes=notes)


def rows_of(result: object) -> tuple[dict[str, Any], ...]:
    """One dictionary for each number of a result, or of a sequence or mapping of results."""
    return tuple(row for _, row in _rows(result))


def summary_of(result: object) -> str:
    """Text of at most 100 columns for a result, or a sequence or mapping of results."""
    found = list(_rows(result))
    notes = dict.fromkeys(note for _, row in found for note in row.get("notes", ()))
    lines = [] if not is_dataclass(result) or isinstance(result, Estimate | TestResult) else [_title(result)]
    lines += [f"Note: {note}" for note in (*getattr(result, "notes", ()), *notes)]
    lines = list(dict.fromkeys(lines))
    for label, row in found[:MOST_ROWS]:
        lines.append(f"{label}: {_words(row)}" if label else _words(row))
    if len(found) > MOST_ROWS:
        lines.append(f"... and {len(found) - MOST_ROWS} more numbers; a data frame has them all")
    wrapped = (textwrap.wrap(line, SUMMARY_WIDTH, subsequent_indent="    ", break_on_hyphens=False) for line in lines)
    return "\n".join(part for line in wrapped for part in line)


def _rows(
    value: object, path: tuple[str, ...] = (), arms: tuple[str, ...] = (), known: Mapping[str, str] = {}
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number below ``value`` with its place; ``arms`` names what comes once an arm, ``known`` is in the path."""
    label = ", ".join(path)
    if isinstance(value, Estimate | TestResult):
        yield label, {"quantity": label, **_numbers(value)}
    elif isinstance(value, bool | str | np.ndarray) or value is None:
        return
    elif isinstance(value, int | float | np.number):
        yield label, {"quantity": label, "value": value}
    elif is_dataclass(value):
        own_arms = getattr(value, "arms", ())
        arms = own_arms if own_arms and all(isinstance(arm, str) for arm in own_arms) else arms
        for part in fields(value):
            if part.name not in known and part.name != "confidence_level":
                name = () if part.name in ("test", "estimate", "result") else (part.name.replace("_", " "),)
                yield from _rows(getattr(value, part.name), (*path, *name), arms)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _rows(item, (*path, str(key)), arms)
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            own = _own_words(item)
            is_of_arm = len(value) == len(arms) and not own
            word = str(arms[place]) if is_of_arm else " ".join(dict.fromkeys(own.values())) or str(place + 1)
            yield from _rows(item, (*path, word), arms, own)


def _own_words(value: object) -> dict[str, str]:
    """Fields that tell an item of a list from its neighbours: its names, or else its first numbers."""
    if not is_dataclass(value) or isinstance(value, Estimate | TestResult):
        return {}
    own = {part.name: getattr(value, part.name) for part in fields(value)}
    words = {name: str(item) for name, item in own.items() if isinstance(item, str)}
    words = {name: item for name, item in words.items() if name not in ("method", "reason")}
    if words:
        return words
    for name, item in own.items():
        if isinstance(item, bool) or not isinstance(item, int | float):
            break
        words[name] = f"{name.replace('_', ' ')} {item:.4g}"
    return words


def _numbers(value: Estimate | TestResult) -> dict[str, Any]:
    """The fields of an estimate, or of a test with its difference."""
    names = ("value", "standard_error", "lower", "upper", "confidence_level", "n", "wald_lower", "wald_upper")
    estimate = value if isinstance(value, Estimate) else value.difference
    row: dict[str, Any] = {name: getattr(estimate, name, None) for name in names}
    if isinstance(value, TestResult):
        row |= {"statistic": value.statistic, "p_value": value.p_value, "degrees_of_freedom": value.degrees_of_freedom}
    notes = value.notes if estimate is value or estimate is None else (*value.notes, *estimate.notes)
    return row | {"method": value.method, "state": str(value.state), "reason": value.reason, "notes": notes}


def _words(row: Mapping[str, Any]) -> str:
    """One number in words."""
    value, parts = row.get("value"), []
    if value is not None:
        text = f"{value:.4f}" if isinstance(value, float | np.floating) else str(value)
        if row.get("lower") is not None:
            text += f" ({100.0 * row['confidence_level']:g}% {row['lower']:.4f} to {row['upper']:.4f})"
        parts.append(text)
    if row.get("statistic") is not None:
        parts.append(f"statistic {row['statistic']:.4g}")
    if row.get("degrees_of_freedom") is not None:
        df = row["degrees_of_freedom"]
        parts.append("df " + " and ".join(f"{each:.4g}" for each in (df if isinstance(df, tuple) else (df,))))
    if row.get("p_value") is not None:
        parts.append(f"p = {row['p_value']:.4f}" if row["p_value"] >= 0.0001 else "p < 0.0001")
    if row.get("n") is not None:
        parts.append(f"n = {row['n']}")
    about = [str(row["method"])] if row.get("method") else []
    if row.get("reason"):
        about.append(f"{row['state']}: {row['reason']}")
    return "; ".join(part for part in (", ".join(parts), *about) if part)


def _title(result: object) -> str:
    """The class name in words, with the names that the result carries."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(result).__name__)
    own = [getattr(result, part.name) for part in fields(result)]  # type: ignore[arg-type]
    names = [str(item) for item in own if isinstance(item, str)]
    return f"{words}: {', '.join(names)}" if names else words
