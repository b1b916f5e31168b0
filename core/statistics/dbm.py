"""Dorfman-Berbaum-Metz analysis: an analysis of variance of jackknife pseudovalues.

Measures: :func:`dorfman_berbaum_metz`.

``pseudovalue = c * figure - (c - 1) * figure without the case``, for every case of every reader in every arm, analysed
as a three-way layout (arm fixed; reader and case random or fixed by scope) with one observation a cell.

Conventions: Hillis' denominator (``MS(TC) - MS(TRC)`` clipped at 0) and degrees of freedom in RRRC, so that the result
equals Obuchowski-Rockette with the jackknife covariance; F with (t-1)(c-1) degrees of freedom in FRRC, where
Obuchowski-Rockette uses chi-squared. It needs every reading of readers x cases x arms; with missing readings use
:mod:`core.statistics.obuchowski_rockette`.

>>> from core.statistics.roe_metz import RoeMetzModel
>>> model, rng = RoeMetzModel.structure("HL", separation=1.5), np.random.default_rng(1)
>>> study = model.simulate(n_readers=5, n_positive=20, n_negative=20, rng=rng)
>>> print(dorfman_berbaum_metz(study.figures()).scope("RRRC").overall)
statistic 0.4158, df 1 and 190.6, p = 0.5198; Dorfman-Berbaum-Metz RRRC, F

References
----------
Dorfman, Berbaum and Metz (1992), Invest. Radiol. 27:723-731.
Hillis, Berbaum and Metz (2008), Acad. Radiol. 15:647-661.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from core.errors import UndefinedStatisticError
from core.statistics.reader_study import ReaderFigures
from core.statistics.result import Reported, TestResult, undefined_test
from core.statistics.scope import (
    NOTHING,
    ArmContrast,
    Scope,
    check_scope,
    contrast_test,
    hillis_freedom,
    say_zero_reader_variance_each,
)
from core.statistics.validation import FloatArray, check_confidence_level


@dataclass(frozen=True)
class PseudovalueComponents(Reported):
    """Variance components of the pseudovalues by the method of moments; each may come out negative."""

    reader: float
    case: float
    arm_by_reader: float
    arm_by_case: float
    reader_by_case: float
    error: float  # arm x reader x case and everything else


@dataclass(frozen=True)
class DbmScope(Reported):
    """All that one scope says."""

    scope: Scope
    overall: TestResult  # F
    contrasts: tuple[ArmContrast, ...]
    denominator: float


@dataclass(frozen=True)
class DorfmanBerbaumMetz(Reported):
    """Analysis of variance of pseudovalues."""

    metric: str
    confidence_level: float
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    values: FloatArray  # (arm, reader) figures
    mean_squares: dict[str, float]  # T, R, C, TR, TC, RC, TRC
    components: PseudovalueComponents
    scopes: tuple[DbmScope, ...]  # RRRC, FRRC, RRFC

    def scope(self, scope: Scope | str) -> DbmScope:
        """The analysis of one scope."""
        return next(item for item in self.scopes if item.scope == check_scope(scope))


def dorfman_berbaum_metz(figures: ReaderFigures, *, confidence_level: float = 0.95) -> DorfmanBerbaumMetz:
    """Compare arms by analysis of variance of pseudovalues.

    Parameters
    ----------
    figures : ReaderFigures
        At least two arms and two readers, every reading present.
    confidence_level : float
        Of every interval.

    Raises
    ------
    UndefinedStatisticError
        If a reading is missing, or there is one arm or one reader.

    References
    ----------
    Dorfman, Berbaum and Metz (1992), Invest. Radiol. 27:723-731. Hillis, Berbaum and Metz (2008), Acad. Radiol.
    15:647-661.
    """
    level = check_confidence_level(confidence_level)
    t, r = figures.curve.shape
    c = figures.curves.n_cases
    if (figures.curve < 0).any() or figures.n_missing > 0:
        raise UndefinedStatisticError(
            "Dorfman-Berbaum-Metz needs every reading of readers x cases x arms; use Obuchowski-Rockette instead."
        )
    if t < 2 or r < 2:
        raise UndefinedStatisticError("Dorfman-Berbaum-Metz needs at least two arms and two readers.")
    values = figures.values()
    without = figures.curves.leave_one_out[figures.curve]  # (arm, reader, case)
    squares = _mean_squares(c * values[:, :, None] - (c - 1.0) * without)
    arm_means = values.mean(axis=1)
    # On the scale of the figures: the variance of a difference of arm means is 2 / (r c) times a mean square.
    error = max(squares["RC"], squares["C"]) / c
    found = {scope: _scope(scope, squares, (t, r, c), figures.arms, arm_means, level, error) for scope in Scope}
    random, fixed = found[Scope.RRRC], found[Scope.FRRC]
    contrasts = say_zero_reader_variance_each(random.contrasts, fixed.contrasts)
    found[Scope.RRRC] = replace(random, contrasts=contrasts)
    components = PseudovalueComponents(
        reader=(squares["R"] - squares["TR"] - squares["RC"] + squares["TRC"]) / (t * c),
        case=(squares["C"] - squares["TC"] - squares["RC"] + squares["TRC"]) / (t * r),
        arm_by_reader=(squares["TR"] - squares["TRC"]) / c,
        arm_by_case=(squares["TC"] - squares["TRC"]) / r,
        reader_by_case=(squares["RC"] - squares["TRC"]) / t,
        error=squares["TRC"],
    )
    return DorfmanBerbaumMetz(
        figures.curves.metric, level, figures.arms, figures.readers, values, squares, components, tuple(found.values())
    )


def _mean_squares(y: FloatArray) -> dict[str, float]:
    """Mean squares of a complete (arm, reader, case) layout with one observation a cell."""
    t, r, c = y.shape
    grand = y.mean()
    arm, reader, case = y.mean(axis=(1, 2)), y.mean(axis=(0, 2)), y.mean(axis=(0, 1))
    arm_reader, arm_case, reader_case = y.mean(axis=2), y.mean(axis=1), y.mean(axis=0)
    tr = arm_reader - arm[:, None] - reader + grand
    tc = arm_case - arm[:, None] - case + grand
    rc = reader_case - reader[:, None] - case + grand
    residual = y - arm_reader[:, :, None] - arm_case[:, None, :] - reader_case
    residual += arm[:, None, None] + reader[:, None] + case - grand
    return {
        "T": float(r * c * np.sum((arm - grand) ** 2) / (t - 1)),
        "R": float(t * c * np.sum((reader - grand) ** 2) / (r - 1)),
        "C": float(t * r * np.sum((case - grand) ** 2) / (c - 1)),
        "TR": float(c * np.sum(tr**2) / ((t - 1) * (r - 1))),
        "TC": float(r * np.sum(tc**2) / ((t - 1) * (c - 1))),
        "RC": float(t * np.sum(rc**2) / ((r - 1) * (c - 1))),
        "TRC": float(np.sum(residual**2) / ((t - 1) * (r - 1) * (c - 1))),
    }


def _scope(
    scope: Scope,
    squares: dict[str, float],
    shape: tuple[int, int, int],
    arms: tuple[str, ...],
    arm_means: FloatArray,
    level: float,
    error: float,
) -> DbmScope:
    """F test and contrasts of one scope."""
    t, r, c = shape
    method = f"Dorfman-Berbaum-Metz {scope.value}"
    if scope is Scope.FRRC:
        denominator, df2 = squares["TC"], float((t - 1) * (c - 1))
    elif scope is Scope.RRFC:
        denominator, df2 = squares["TR"], float((t - 1) * (r - 1))
    else:
        denominator = squares["TR"] + max(squares["TC"] - squares["TRC"], 0.0)
        largest = max(squares["RC"], squares["C"])
        df2 = hillis_freedom(squares["TR"], denominator - squares["TR"], (t - 1) * (r - 1), largest)
    if denominator <= NOTHING * max(squares["RC"], squares["C"]) or denominator <= 0.0:
        overall = undefined_test("the differences between arms do not vary", method=method)
    else:
        ratio = squares["T"] / denominator
        tail = stats.chi2.sf(ratio * (t - 1), t - 1) if np.isinf(df2) else stats.f.sf(ratio, t - 1, df2)
        overall = TestResult(ratio, float(tail), method + ", F", (float(t - 1), df2))
    contrasts = tuple(
        ArmContrast(
            arms[first],
            arms[second],
            contrast_test(
                float(arm_means[first] - arm_means[second]), 2.0 * denominator / (r * c), df2, level, method, error
            ),
        )
        for first, second in combinations(range(t), 2)
    )
    return DbmScope(scope, overall, contrasts, denominator)
