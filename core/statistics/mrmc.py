"""The door to multi-reader multi-case analysis: a reader study in, arms or a model compared, per class and averaged.

Measures: :func:`compare_arms`, :func:`compare_arms_per_class`, :func:`compare_model_with_readers`,
:func:`compare_model_per_class`.

::

    study = ReaderStudy.from_long(reader=..., case=..., arm=..., truth=..., rating=..., label=..., classes=...)
    compare_arms(study, figure="auc", positive="tumor").scope("RRRC").contrasts
    compare_arms_per_class(study, figure="accuracy")
    compare_model_with_readers(study, model_ratings=probabilities.T, figure="auc")

Conventions are those of :mod:`core.statistics.reader_study` (what is missing, what is positive) and
:mod:`core.statistics.obuchowski_rockette` (scopes, clipping). Class-against-rest analyses of one study are dependent,
so their p values are also given adjusted by Holm.

>>> import numpy as np
>>> from core.statistics.roe_metz import RoeMetzModel
>>> model, rng = RoeMetzModel.structure("HL", separation=1.5), np.random.default_rng(1)
>>> study = model.simulate(n_readers=5, n_positive=20, n_negative=20, rng=rng)
>>> print(compare_arms(study).scope("RRRC").contrasts[0].test)
Note: the readers vary no more than their cases explain, so the variance between readers was
    estimated as zero: read the interval for fixed readers, which is wider
0.0200 (95% -0.0412 to 0.0810), statistic 0.6448, df 190.6, p = 0.5198; Obuchowski-Rockette RRRC, t
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from numpy.typing import ArrayLike

from core.errors import UndefinedStatisticError
from core.statistics.figure_of_merit import Covariance
from core.statistics.multiplicity import holm
from core.statistics.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from core.statistics.reader_study import Figure, ReaderStudy
from core.statistics.result import Reported
from core.statistics.scope import Scope
from core.statistics.standalone import StandaloneComparison, compare_model_with_readers

Result = TypeVar("Result")


@dataclass(frozen=True)
class ClassResult(Reported, Generic[Result]):
    """Analysis of one class against the rest, or of the average over classes (``class_key`` None)."""

    class_key: Hashable | None
    result: Result | None  # None: undefined
    reason: str | None  # why it is undefined
    p_holm: dict[Scope, float | None]  # overall p value adjusted over the classes; the average is not in the family


def compare_arms(
    study: ReaderStudy,
    *,
    figure: Figure | str = Figure.AUC,
    positive: Hashable | None = None,
    covariance: Covariance | str = Covariance.JACKKNIFE,
    confidence_level: float = 0.95,
) -> ObuchowskiRockette:
    """Obuchowski-Rockette analysis of one figure of merit.

    Parameters
    ----------
    study : ReaderStudy
        Readers x cases x arms; factorial, partially paired, or with missing readings.
    figure : Figure or str
        "auc", "accuracy", "sensitivity" or "specificity".
    positive : class key, optional
        Class against the rest; the average over classes when absent and there are more than two.
    covariance : Covariance or str
        "jackknife", "delong" or "unbiased".
    confidence_level : float
        Of every interval.

    Raises
    ------
    StatisticsInputError
        If an argument does not fit the study.
    UndefinedStatisticError
        If the readings do not define the figure; the message names reader and arm.
    """
    figures = study.figures(figure, positive=positive)
    return obuchowski_rockette(figures, covariance=covariance, confidence_level=confidence_level)


def compare_arms_per_class(
    study: ReaderStudy,
    *,
    figure: Figure | str = Figure.AUC,
    covariance: Covariance | str = Covariance.JACKKNIFE,
    confidence_level: float = 0.95,
) -> tuple[ClassResult[ObuchowskiRockette], ...]:
    """:func:`compare_arms` averaged over classes first, then for every class against the rest.

    An undefined analysis is a result with a reason, so that one class cannot hide the others.
    """

    def of(positive: Hashable | None) -> ObuchowskiRockette:
        return compare_arms(
            study, figure=figure, positive=positive, covariance=covariance, confidence_level=confidence_level
        )

    return over_classes(_keys(study), of, lambda result, scope: result.scope(scope).overall.p_value)


def compare_model_per_class(
    study: ReaderStudy,
    *,
    model: str = "model",
    model_ratings: ArrayLike | None = None,
    model_labels: ArrayLike | None = None,
    arm: str | None = None,
    figure: Figure | str = Figure.AUC,
    covariance: Covariance | str = Covariance.JACKKNIFE,
    confidence_level: float = 0.95,
) -> tuple[ClassResult[StandaloneComparison], ...]:
    """:func:`compare_model_with_readers` averaged over classes first, then for every class against the rest.

    Parameters are those of that function. An undefined analysis is a result with a reason.
    """

    def of(positive: Hashable | None) -> StandaloneComparison:
        return compare_model_with_readers(
            study,
            model=model,
            model_ratings=model_ratings,
            model_labels=model_labels,
            arm=arm,
            figure=figure,
            positive=positive,
            covariance=covariance,
            confidence_level=confidence_level,
        )

    return over_classes(_keys(study), of, lambda result, scope: result.scope(scope).test.p_value)


def over_classes(
    keys: Sequence[Hashable],
    of: Callable[[Hashable | None], Result],
    p_value: Callable[[Result, Scope], float | None],
) -> tuple[ClassResult[Result], ...]:
    """The average over classes first, then every class of ``keys``, with p values adjusted by Holm over the classes.

    Parameters
    ----------
    keys : sequence
        Classes to analyse each against the rest; empty where the average says all: of two classes, one is the mirror
        of the other.
    of : callable
        The analysis of one class, or of the average (None).
    p_value : callable
        The p value of such an analysis in a scope.

    Returns
    -------
    tuple of ClassResult
        An undefined analysis is a result with a reason, so that one class cannot hide the others.
    """
    found: list[tuple[Hashable | None, Result | None, str | None]] = []
    for key in (None, *keys):
        try:
            found.append((key, of(key), None))
        except UndefinedStatisticError as error:
            found.append((key, None, str(error)))
    of_classes = [result for _, result, _ in found[1:]]
    adjusted = {scope: holm([None if one is None else p_value(one, scope) for one in of_classes]) for scope in Scope}
    return tuple(
        ClassResult(*one, {scope: adjusted[scope][place - 1] for scope in Scope} if place else {})
        for place, one in enumerate(found)
    )


def _keys(study: ReaderStudy) -> tuple[Hashable, ...]:
    """Classes beside the average: none where there are two."""
    return () if len(study.classes) == 2 else study.classes


__all__ = [
    "ClassResult",
    "Covariance",
    "Figure",
    "ObuchowskiRockette",
    "ReaderStudy",
    "Scope",
    "StandaloneComparison",
    "compare_arms",
    "compare_arms_per_class",
    "compare_model_per_class",
    "compare_model_with_readers",
    "over_classes",
]
