"""Result objects shared by every module of core.statistics.

A quantity that the data do not define is never 0 and never NaN: it is an :class:`Estimate` whose ``value`` is None
and whose ``state`` names why. A quantity at the edge of its range (AUC = 1) keeps its value, and carries an exact
one-sided bound where one exists, with ``state`` saying so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Whether a number can be taken at face value."""

    ESTIMATED = "estimated"
    DEGENERATE = "degenerate"  # value exists, its sampling variance does not (AUC = 1, constant ratings)
    UNDEFINED = "undefined"  # the data do not define the value (no positive case, one category, ...)


@dataclass(frozen=True)
class Estimate:
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
class TestResult:
    """A hypothesis test."""

    statistic: float | None
    p_value: float | None
    method: str  # for example "McNemar, exact"
    degrees_of_freedom: float | tuple[float, float] | None = None
    alternative: str = "two-sided"
    difference: Estimate | None = None  # first minus second, when the test has one
    state: State = State.ESTIMATED
    reason: str | None = None
    notes: tuple[str, ...] = ()

    __test__ = False  # pytest: not a test class


def undefined_estimate(reason: str, *, confidence_level: float, method: str, n: int | None = None) -> Estimate:
    """An estimate that the data do not define, saying why."""
    return Estimate(None, None, None, None, confidence_level, method, State.UNDEFINED, reason, (), n)


def undefined_test(reason: str, *, method: str, notes: tuple[str, ...] = ()) -> TestResult:
    """A test that the data do not define, saying why."""
    return TestResult(None, None, method, state=State.UNDEFINED, reason=reason, notes=notes)
