"""To whom a multi-reader conclusion applies, and the tests by t or z that all multi-reader analyses share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

from core.errors import StatisticsInputError
from core.statistics.result import Estimate, State, TestResult

#: Below this share of the error variance a variance is rounding and the test has nothing to divide by.
NOTHING = 1e-12


class Scope(StrEnum):
    """To whom the conclusion applies."""

    RRRC = "RRRC"  # random readers, random cases
    FRRC = "FRRC"  # fixed readers, random cases
    RRFC = "RRFC"  # random readers, fixed cases


@dataclass(frozen=True)
class ArmContrast:
    """One arm minus another."""

    first: str
    second: str
    test: TestResult  # t with degrees of freedom, or z; the difference with its interval is inside
    reader: str | None = None  # set when the contrast is within one (fixed) reader


def check_scope(scope: Scope | str) -> Scope:
    """The scope of that name."""
    try:
        return Scope(str(scope).upper())
    except ValueError as error:
        raise StatisticsInputError(
            "is not a scope", field="scope", value=scope, fix="use RRRC, FRRC or RRFC"
        ) from error


def contrast_test(
    difference: float, variance: float, df: float | None, level: float, method: str, error: float
) -> TestResult:
    """Test that a difference is 0, by t (``df`` given) or z, with its interval.

    Parameters
    ----------
    difference, variance : float
        Estimated difference and its variance; a variance that is nothing but rounding beside ``error`` gives a
        degenerate state, a negative one an undefined state.
    df : float or None
        Degrees of freedom of t; None for the normal distribution.
    level : float
        Confidence level of the interval.
    method : str
        Name of the test.
    error : float
        Variance of a single figure, the scale on which ``variance`` is judged.
    """
    estimate = interval_estimate(difference, variance, df, level, method, None, error, None)
    kind = "z" if df is None else "t"
    if estimate.standard_error is None:
        return TestResult(
            None, None, f"{method}, {kind}", df, difference=estimate, state=estimate.state, reason=estimate.reason
        )
    statistic = difference / estimate.standard_error
    return TestResult(statistic, 2.0 * upper_tail(abs(statistic), df), f"{method}, {kind}", df, difference=estimate)


def interval_estimate(
    value: float,
    variance: float,
    df: float | None,
    level: float,
    method: str,
    limits: tuple[float, float] | None,
    error: float,
    n: int | None,
) -> Estimate:
    """Symmetric interval by t or z, cut to ``limits``; degenerate where ``variance`` is nothing beside ``error``.

    Parameters are those of :func:`contrast_test`; ``limits`` bounds the interval and ``n`` counts cases.
    """
    if variance < -NOTHING * error:
        reason = "its variance estimate is negative"
        return Estimate(value, None, None, None, level, method, State.DEGENERATE, reason, n=n)
    if variance <= NOTHING * error or variance <= 0.0:
        reason = "the figures do not vary, so there is no sampling variance"
        return Estimate(value, None, None, None, level, method, State.DEGENERATE, reason, n=n)
    standard_error = float(np.sqrt(variance))
    half = quantile((1.0 + level) / 2.0, df) * standard_error
    lower, upper = value - half, value + half
    if limits is not None:
        lower, upper = max(lower, limits[0]), min(upper, limits[1])
    return Estimate(value, standard_error, lower, upper, level, method, n=n)


def quantile(probability: float, df: float | None) -> float:
    """Quantile of t, or of the normal distribution."""
    if df is None or np.isinf(df):
        return float(special.ndtri(probability))
    return float(special.stdtrit(df, probability))


def upper_tail(statistic: float, df: float | None) -> float:
    """Upper tail of t, or of the normal distribution."""
    if df is None or np.isinf(df):
        return float(special.ndtr(-statistic))
    return float(special.stdtr(df, -statistic))
