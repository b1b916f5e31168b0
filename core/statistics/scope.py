"""To whom a multi-reader conclusion applies, and the tests by t or z that all multi-reader analyses share.

Measures: :func:`leading_scope`, :func:`contrast_test`, :func:`interval_estimate`.

>>> print(leading_scope(4).value, leading_scope(5).value)
FRRC RRRC
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import special

from core.errors import StatisticsInputError
from core.statistics.range_limits import difference_estimate
from core.statistics.result import Estimate, Reported, State, TestResult

#: Below this share of the error variance a variance is rounding and the test has nothing to divide by.
NOTHING = 1e-12


#: Fewer readers than this cannot carry a claim about readers in general.
FEW_READERS = 5

#: Said wherever random readers give a narrower interval than the same readers fixed.
ZERO_READER_VARIANCE = (
    "the readers vary no more than their cases explain, so the variance between readers was estimated as zero: "
    "read the interval for fixed readers, which is wider"
)

#: Said wherever random readers have no end of degrees of freedom.
NO_READER_VARIANCE = (
    "the readers do not differ from one another at all, so the degrees of freedom have no end and the normal "
    "distribution is used: this says no more than fixed readers do"
)


class Scope(StrEnum):
    """To whom the conclusion applies."""

    RRRC = "RRRC"  # random readers, random cases
    FRRC = "FRRC"  # fixed readers, random cases
    RRFC = "RRFC"  # random readers, fixed cases


@dataclass(frozen=True)
class ArmContrast(Reported):
    """One arm minus another."""

    first: str
    second: str
    test: TestResult  # t with degrees of freedom, or z; the difference with its interval is inside
    reader: str | None = None  # set when the contrast is within one (fixed) reader


def leading_scope(n_readers: int) -> Scope:
    """The scope that a report leads with: these readers below :data:`FEW_READERS`, readers in general from there on.

    Two, three or four readers give a variance between readers with one to three degrees of freedom: it often comes out
    as zero, and random readers then look more certain than fixed ones.

    References
    ----------
    Obuchowski and Rockette (1995), Commun. Stat. Simul. Comput. 24:285-308. Gallas et al. (2012), Acad. Radiol.
    19:463-477 (state the population that the conclusion is about).
    """
    return Scope.FRRC if n_readers < FEW_READERS else Scope.RRRC


def few_readers_note(n_readers: int) -> tuple[str, ...]:
    """What must be said before a multi-reader number when fewer than :data:`FEW_READERS` read."""
    if n_readers >= FEW_READERS:
        return ()
    who = "1 reader" if n_readers == 1 else f"{n_readers} readers"
    return (f"{who} cannot represent readers in general: report these readers (FRRC) and name them.",)


def patients_note(n_patients: int | None) -> tuple[str, ...]:
    """What a multi-reader number says where patients have several cases; ``n_patients`` is None where they have not."""
    if n_patients is None:
        return ()
    return (f"patients have several cases: variances are those between the {n_patients} patients",)


def is_reader_variance_zero(random_readers: Estimate | None, fixed_readers: Estimate | None) -> bool:
    """Whether an interval for random readers and cases is narrower than that for fixed readers and random cases.

    The two variances differ by the component between readers, so the first is smaller only where that came out below
    zero and was taken for zero.
    """
    if random_readers is None or fixed_readers is None:
        return False
    one, two = random_readers.standard_error, fixed_readers.standard_error
    return one is not None and two is not None and one < two * (1.0 - 1e-12)


def say_zero_reader_variance(test: TestResult, fixed_readers: TestResult) -> TestResult:
    """The test for random readers, with :data:`ZERO_READER_VARIANCE` in front of its notes where it applies."""
    if not is_reader_variance_zero(test.difference, fixed_readers.difference):
        return test
    return replace(test, notes=(ZERO_READER_VARIANCE, *test.notes))


def say_zero_reader_variance_each(
    contrasts: Sequence[ArmContrast], fixed_readers: Sequence[ArmContrast]
) -> tuple[ArmContrast, ...]:
    """:func:`say_zero_reader_variance` for every pair of arms."""
    return tuple(
        replace(one, test=say_zero_reader_variance(one.test, other.test))
        for one, other in zip(contrasts, fixed_readers, strict=True)
    )


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
    estimate = interval_estimate(difference, variance, df, level, method, error)
    kind = "z" if df is None else "t"
    if estimate.standard_error is None:
        return TestResult(
            None, None, f"{method}, {kind}", df, difference=estimate, state=estimate.state, reason=estimate.reason
        )
    statistic = difference / estimate.standard_error
    p_value = 2.0 * upper_tail(abs(statistic), df)
    return TestResult(statistic, p_value, f"{method}, {kind}", df, difference=estimate, notes=estimate.notes)


def hillis_freedom(mean_square: float, shared: float, freedom: float, error: float) -> float:
    """Degrees of freedom of ``mean_square + shared``, where the mean square has ``freedom`` and ``shared`` none.

    Infinite where the mean square is nothing beside ``error``: a quotient of rounding errors (3e48, say) is no number
    of degrees of freedom. RJafroc 2.1.3 gives such quotients as they come; iMRMC takes the normal from 50 on.

    References
    ----------
    Hillis (2007), Stat. Med. 26:596-619.
    """
    if mean_square <= NOTHING * error or mean_square <= 0.0:
        return float("inf")
    return float(freedom * (1.0 + shared / mean_square) ** 2)


def interval_estimate(
    value: float,
    variance: float,
    df: float | None,
    level: float,
    method: str,
    error: float,
    *,
    is_mean: bool = False,
    n: int | None = None,
) -> Estimate:
    """Interval of a difference (within -1 and 1), or of a mean (by t or z, cut at 0 and 1).

    Degenerate where ``variance`` is nothing beside ``error``. Parameters are those of :func:`contrast_test`; ``n``
    counts cases.
    """
    if variance <= NOTHING * error or variance <= 0.0:
        reason = "the figures do not vary, so there is no sampling variance"
        if variance < -NOTHING * error:
            reason = "its variance estimate is negative"
        return Estimate(value, None, None, None, level, method, State.DEGENERATE, reason, n=n)
    standard_error, factor = float(np.sqrt(variance)), quantile((1.0 + level) / 2.0, df)
    notes = (NO_READER_VARIANCE,) if df is not None and np.isinf(df) else ()
    if not is_mean:
        return difference_estimate(value, standard_error, factor, level, method, n=n, notes=notes)
    limits = max(0.0, value - factor * standard_error), min(1.0, value + factor * standard_error)
    return Estimate(value, standard_error, *limits, level, method, notes=notes, n=n)


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
