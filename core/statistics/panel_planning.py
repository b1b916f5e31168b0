"""Planning the comparison of one model with a panel of readers: power, cases and readers, also for non-inferiority.

Measures: :func:`panel_power`, :func:`cases_for_panel_power`, :func:`readers_for_panel_power`.

Every reader and the model read every case. What is compared is the mean of the differences model - reader, analysed as
in :mod:`core.statistics.standalone`; its variance with r readers is (reader + error + (r - 1) cov2) / r, of which
``error`` and ``cov2`` fall as pilot cases / planned cases. Degrees of freedom are Hillis' (RRRC), r - 1 (RRFC), or none
(FRRC, normal).

Conventions: as in :mod:`core.statistics.planning`; the variance between readers and ``cov2`` are clipped at 0.

>>> pilot = PanelComponents(reader=0.001, error=0.0012, cov2=0.0006, n_cases=100)
>>> found = panel_power(pilot, n_readers=8, n_cases=200, difference=0.05)
>>> print(f"{found.power:.2f} with {found.degrees_of_freedom:.1f} degrees of freedom")
0.63 with 56.7 degrees of freedom

References
----------
Hillis, Obuchowski and Berbaum (2011), Acad. Radiol. 18:129-142. Hillis (2007), Stat. Med. 26:596-619.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.planning import (
    MOST_CASES,
    MOST_READERS,
    Power,
    SampleSize,
    check_design,
    design_powers,
    first_that_reaches,
)
from core.statistics.result import Reported
from core.statistics.scope import Scope, check_scope
from core.statistics.standalone import StandaloneComparison
from core.statistics.validation import check_count


@dataclass(frozen=True)
class PanelComponents(Reported):
    """Variance components of the differences model - reader, on the scale of the figure squared."""

    reader: float  # between readers' true figures; clipped at 0 when used
    error: float  # over cases, of one difference, with ``n_cases`` cases
    cov2: float  # over cases, of two readers' differences; clipped at 0 when used
    n_cases: int  # cases that error and cov2 belong to

    def __post_init__(self) -> None:
        for part in fields(self):
            if not np.isfinite(getattr(self, part.name)):
                raise StatisticsInputError("must be a finite number", field=part.name, value=getattr(self, part.name))
        if self.error <= 0 or self.n_cases < 1:
            name = "error" if self.error <= 0 else "n_cases"
            raise StatisticsInputError("must be positive", field=name, value=getattr(self, name))
        if self.cov2 > self.error:
            raise StatisticsInputError("must not be larger than error", field="cov2", value=self.cov2)

    @classmethod
    def from_pilot(cls, pilot: StandaloneComparison) -> PanelComponents:
        """Components of a pilot with at least two readers.

        Raises
        ------
        UndefinedStatisticError
            If one reader read.
        """
        if pilot.cov2 is None or pilot.reader_variance is None or pilot.model_figure.n is None:
            raise UndefinedStatisticError("The pilot needs at least two readers to give all variance components.")
        return cls(pilot.reader_variance, pilot.error_variance, pilot.cov2, pilot.model_figure.n)

    @classmethod
    def from_published(
        cls,
        *,
        model_error: float,
        reader_error: float,
        n_cases: int,
        reader_sd: float,
        r_model: float,
        r_readers: float,
    ) -> PanelComponents:
        """Components from what papers print.

        Parameters
        ----------
        model_error, reader_error : float
            Variance over ``n_cases`` cases of the model's and of one reader's figure:
            :func:`core.statistics.planning.auc_error_variance`, or ``p (1 - p) / n_cases`` for an accuracy.
        reader_sd : float
            Standard deviation between readers' figures, beyond case sampling.
        r_model, r_readers : float
            Correlation of the errors of model and reader, and of two readers: what is hard for one is hard for the
            other. Published values for readers lie about 0.3 to 0.6; lower values are conservative for ``r_model``.

        Raises
        ------
        StatisticsInputError
            If a value is out of its range.
        """
        for name, value in (("r_model", r_model), ("r_readers", r_readers)):
            if not -1.0 <= value <= 1.0:
                raise StatisticsInputError("must lie between -1 and 1", field=name, value=value)
        for name, value in (("model_error", model_error), ("reader_error", reader_error), ("reader_sd", reader_sd)):
            if not value >= 0:
                raise StatisticsInputError("must be zero or more", field=name, value=value)
        shared = r_model * float(np.sqrt(model_error * reader_error))
        return cls(
            reader_sd**2,
            model_error + reader_error - 2.0 * shared,
            model_error - 2.0 * shared + r_readers * reader_error,
            n_cases,
        )


def panel_power(
    components: PanelComponents,
    *,
    n_readers: int,
    n_cases: int,
    difference: float,
    margin: float | None = None,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
) -> Power:
    """Power to find the model different from the panel, or not inferior to it.

    Parameters
    ----------
    components : PanelComponents
        From a pilot or from papers.
    n_readers, n_cases : int
        Planned readers and cases.
    difference : float
        True figure of the model minus the readers' mean.
    margin : float, optional
        Largest acceptable loss: the power is then that of showing that the model is not inferior by more than this,
        one-sided at half of the significance level.
    scope : Scope or str
        "RRRC", "FRRC" or "RRFC".
    significance_level : float
        Two-sided.

    Raises
    ------
    StatisticsInputError
        If an argument is out of range, or random readers are planned with fewer than two.
    """
    readers = np.array([check_count(n_readers, field="n_readers")])
    cases = np.array([check_count(n_cases, field="n_cases")])
    return _powers(components, readers, cases, difference, margin, check_scope(scope), significance_level)[0]


def cases_for_panel_power(
    components: PanelComponents,
    *,
    n_readers: int,
    difference: float,
    margin: float | None = None,
    power: float = 0.8,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    most_cases: int = MOST_CASES,
) -> SampleSize:
    """Fewest cases with which so many readers reach the wanted power; arguments as in :func:`panel_power`.

    ``most_cases`` caps the search; when it is hit, ``is_reached`` is False and ``reason`` says so.
    """
    readers, most = check_count(n_readers, field="n_readers"), check_count(most_cases, field="most_cases")
    cases = np.arange(2, most + 1)
    if cases.size == 0:
        raise StatisticsInputError("is too small", field="most_cases", value=most_cases)
    tried = (np.full(cases.size, readers), cases)
    found = _powers(components, *tried, difference, margin, check_scope(scope), significance_level)
    return first_that_reaches(found, power, f"{readers} readers", f"{most} cases")


def readers_for_panel_power(
    components: PanelComponents,
    *,
    n_cases: int,
    difference: float,
    margin: float | None = None,
    power: float = 0.8,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    most_readers: int = MOST_READERS,
) -> SampleSize:
    """Fewest readers with which so many cases reach the wanted power; see :func:`cases_for_panel_power`."""
    cases, most = check_count(n_cases, field="n_cases"), check_count(most_readers, field="most_readers")
    chosen = check_scope(scope)
    readers = np.arange(1 if chosen is Scope.FRRC else 2, most + 1)
    if readers.size == 0:
        raise StatisticsInputError("is too small for this scope", field="most_readers", value=most_readers)
    tried = (readers, np.full(readers.size, cases))
    found = _powers(components, *tried, difference, margin, chosen, significance_level)
    return first_that_reaches(found, power, f"{cases} cases", f"{most} readers")


def _powers(
    components: PanelComponents,
    readers: NDArray[np.int64],
    cases: NDArray[np.int64],
    difference: float,
    margin: float | None,
    scope: Scope,
    significance_level: float,
) -> tuple[Power, ...]:
    """Power of each pair of a number of readers and a number of cases."""
    check_design(scope, readers, cases)
    shrink = components.n_cases / cases
    shared = shrink * max(components.cov2, 0.0)
    own = shrink * components.error - shared
    mean_square = max(components.reader, 0.0) + own  # expected, between readers
    df: NDArray[np.floating] | None = None
    if scope is Scope.FRRC:
        variance = own / readers + shared
    elif scope is Scope.RRFC:
        variance, df = mean_square / readers, readers - 1.0
    else:
        variance = mean_square / readers + shared
        with np.errstate(divide="ignore"):
            df = (readers - 1.0) * (1.0 + readers * shared / mean_square) ** 2
    if (variance <= 0.0).any():
        raise UndefinedStatisticError("The variance components leave no variance for the difference.")
    return design_powers(scope, readers, cases, variance, df, difference, margin, significance_level)
