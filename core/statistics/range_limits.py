"""Confidence limits that stay within the range of what they are limits of.

Measures: :func:`logit_limits` for a number with a range (AUC, Brier score), :func:`difference_estimate` for the
difference of two numbers between 0 and 1 (AUCs, sensitivities).

Conventions: a difference lies between -1 and 1; its limits are made on Fisher's scale, atanh, on which they cannot
leave that range, by the delta method. Near 0 they are Wald's, value plus or minus quantile times standard error, but
for a hair. Where they hold 0 and Wald's limit does not, Wald's limit is taken, so that the interval always says what
the test of no difference says. Wald's own limits stand beside them in the estimate. In simulation the limits cover
about as often as Wald's, and more often where cases are few and the difference is large; both fall to 87% where one AUC
is 0.99 and cases are 15 + 15 (docs/calibration.md).

>>> found = difference_estimate(0.5, 0.3, 1.96, 0.95, "example")
>>> print(f"{found.lower:.3f} to {found.upper:.3f}; Wald {found.wald_lower:.3f} to {found.wald_upper:.3f}")
-0.230 to 0.870; Wald -0.088 to 1.088

References
----------
Fisher (1921), Metron 1:3-32 (atanh). Qin and Hotilovac (2008), Stat. Methods Med. Res. 17:207-221 (logit).
"""

from __future__ import annotations

from scipy import special

from core.statistics.result import Estimate


def logit_limits(value: float, half: float, low: float, high: float) -> tuple[float, float]:
    """Limits on the logit scale of a range, by the delta method; cut to the range when the value is its end.

    Parameters
    ----------
    value, half : float
        The estimate, and quantile times standard error on its own scale.
    low, high : float
        The range.
    """
    width = high - low
    share = (value - low) / width
    if not 0.0 < share < 1.0:
        return max(low, value - half), min(high, value + half)
    centre, step = float(special.logit(share)), half / width / (share * (1.0 - share))
    return low + width * float(special.expit(centre - step)), low + width * float(special.expit(centre + step))


def difference_limits(value: float, half: float) -> tuple[float, float]:
    """Limits of a difference between -1 and 1; ``half`` is quantile times standard error."""
    lower, upper = logit_limits(value, half, -1.0, 1.0)  # atanh is half the logit of (1 + value) / 2
    if lower <= 0.0 < value - half:
        lower = value - half
    if value + half < 0.0 <= upper:
        upper = value + half
    return lower, upper


def difference_estimate(
    value: float,
    standard_error: float,
    quantile: float,
    confidence_level: float,
    method: str,
    *,
    n: int | None = None,
    notes: tuple[str, ...] = (),
) -> Estimate:
    """A difference of two numbers between 0 and 1 with its limits, and Wald's beside them.

    Parameters
    ----------
    value, standard_error : float
        First minus second, and its standard error, above 0.
    quantile : float
        Of the normal or Student's t distribution, upper tail (1 - confidence level) / 2.
    confidence_level, method, n, notes
        As in :class:`core.statistics.result.Estimate`.
    """
    half = quantile * standard_error
    lower, upper = difference_limits(value, half)
    return Estimate(
        value,
        standard_error,
        lower,
        upper,
        confidence_level,
        method,
        n=n,
        notes=notes,
        wald_lower=value - half,
        wald_upper=value + half,
    )
