"""Several readers, several cases: arms of a panel against each other, and each model against the panel of an arm.

Figures: AUC and sensitivity and specificity, per class against the rest and averaged over the classes, and accuracy.
Readers with ratings enter the AUC; if nobody has ratings, the hard labels do and a note says so. Covariances are the
jackknife's, the default of MRMCaov and RJafroc. Arms are compared by Dorfman-Berbaum-Metz as well, where every reader
read every case in every arm. All three scopes are given; with fewer than four readers the analysis says that they
cannot represent readers in general.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from core.statistics.auc_interval import HARD_LABEL_NOTE
from core.statistics.dbm import DorfmanBerbaumMetz, dorfman_berbaum_metz
from core.statistics.mrmc import ClassResult, compare_arms, over_classes
from core.statistics.obuchowski_rockette import ObuchowskiRockette
from core.statistics.reader_study import Figure, ReaderStudy
from core.statistics.result import TestResult, undefined_test
from core.statistics.scope import Scope
from core.statistics.standalone import StandaloneComparison, compare_model_with_readers
from core.study_analysis.arrays import BoolArray, CohortArrays, Participant
from core.study_analysis.data import FloatArray, IntArray
from core.study_analysis.results import MrmcResult

#: A panel has at least this many readers.
SMALLEST_PANEL = 2
COVARIANCE = "jackknife"
PSEUDOVALUES = "jackknife pseudovalues"


@dataclass(frozen=True, eq=False)
class _Panel:
    """Readers of one or several arms as a reader study, with what a note has to say."""

    study: ReaderStudy
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    notes_of_auc: tuple[str, ...]


def multireader_results(cohort: CohortArrays, confidence_level: float) -> tuple[MrmcResult, ...]:
    """Every multi-reader comparison that the cohort allows, models against panels first."""
    readers = _readers(cohort)
    models = [one for one in cohort.participants if one.kind == "model"]
    arms = sorted({one.arm for one in readers})
    found: list[MrmcResult] = []
    for arm in arms:
        panel = [one for one in readers if one.arm == arm]
        if len(panel) >= SMALLEST_PANEL:
            for model in models:
                found += _model_against_panel(cohort, model, panel, arm, confidence_level)
    if _has_arms(readers):
        found += _arms(cohort, readers, arms, confidence_level)
    return tuple(found)


def pseudovalue_results(cohort: CohortArrays, confidence_level: float) -> tuple[MrmcResult, ...]:
    """The arms of the panel by Dorfman-Berbaum-Metz; with a missing reading each row says that it needs all.

    References
    ----------
    Dorfman, Berbaum and Metz (1992), Invest. Radiol. 27:723-731. Hillis, Berbaum and Metz (2008), Acad. Radiol.
    15:647-661.
    """
    readers = _readers(cohort)
    if not _has_arms(readers):
        return ()
    arms = sorted({one.arm for one in readers})
    found: list[MrmcResult] = []
    for panel in _panels(cohort, readers, arms, np.ones(len(cohort.cases), dtype=bool)):
        for figure in panel.figures:

            def compare(
                positive: Hashable | None, panel: _Panel = panel, figure: Figure = figure
            ) -> DorfmanBerbaumMetz:
                return dorfman_berbaum_metz(
                    panel.study.figures(figure, positive=positive), confidence_level=confidence_level
                )

            results = over_classes(
                _classes_beside_average(cohort, figure),
                compare,
                lambda found, scope: found.scope(scope).overall.p_value,
            )
            for item in results:
                found += _pseudovalue_contrasts(cohort, item, figure, panel)
    return tuple(found)


def _readers(cohort: CohortArrays) -> list[Participant]:
    """Readers, in each of their arms, who answered."""
    return [one for one in cohort.participants if one.kind == "reader" and one.is_answered.any()]


def _has_arms(readers: list[Participant]) -> bool:
    """Whether there is a panel, and arms of it to compare."""
    return len({one.arm for one in readers}) > 1 and len({one.key for one in readers}) >= SMALLEST_PANEL


# -------------------------------------------------------------------------------------------------- model against panel
def _model_against_panel(
    cohort: CohortArrays, model: Participant, readers: list[Participant], arm: str, level: float
) -> Iterator[MrmcResult]:
    """One model against the readers of one arm, on the cases that the model predicted."""
    predicted = model.is_answered
    for panel in _panels(cohort, readers, [arm], predicted):
        for figure in panel.figures:
            ratings = None if model.ratings is None or figure is not Figure.AUC else model.ratings[:, predicted]
            if ratings is not None and len(cohort.class_keys) == 2:
                ratings = ratings[1]
            labels = None if figure is Figure.AUC else model.labels[predicted]

            def compare(
                positive: Hashable | None,
                panel: _Panel = panel,
                figure: Figure = figure,
                ratings: FloatArray | None = ratings,
                labels: IntArray | None = labels,
            ) -> StandaloneComparison:
                return compare_model_with_readers(
                    panel.study, model=model.name, model_ratings=ratings, model_labels=labels, figure=figure,
                    positive=positive, covariance=COVARIANCE, confidence_level=level,
                )  # fmt: skip

            results = over_classes(
                _classes_beside_average(cohort, figure), compare, lambda found, scope: found.scope(scope).test.p_value
            )
            for item in results:
                yield from _standalone(cohort, item, figure, model, arm, panel)


def _standalone(
    cohort: CohortArrays, item: ClassResult[StandaloneComparison], figure: Figure, model: Participant, arm: str,
    panel: _Panel,
) -> Iterator[MrmcResult]:  # fmt: skip
    """The three scopes of one model-against-panel comparison."""
    for scope in Scope:
        first = second = None
        components: dict[str, float] = {}
        if item.result is None:
            test = undefined_test(item.reason or "", method=f"Obuchowski-Rockette {scope.value}")
        else:
            of_scope = item.result.scope(scope)
            test = _with_notes(of_scope.test, (*item.result.notes, *_notes_of(panel, figure)))
            first, second = item.result.model_figure.value, of_scope.panel.value
            components = _numbers(
                {
                    "error_variance": item.result.error_variance,
                    "cov2": item.result.cov2,
                    "reader_variance": item.result.reader_variance,
                }
            )
        yield MrmcResult(
            "model_vs_panel", _class_name(cohort, item, figure), figure.value, scope.value, arm, model.key,
            f"readers, {arm}", first, second, len(panel.study.readers), test, item.p_holm.get(scope), COVARIANCE,
            components, model.name, f"readers, {arm}",
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------------ arms
def _arms(cohort: CohortArrays, readers: list[Participant], arms: list[str], level: float) -> Iterator[MrmcResult]:
    """The arms of the panel against each other."""
    for panel in _panels(cohort, readers, arms, np.ones(len(cohort.cases), dtype=bool)):
        for figure in panel.figures:

            def compare(
                positive: Hashable | None, panel: _Panel = panel, figure: Figure = figure
            ) -> ObuchowskiRockette:
                return compare_arms(
                    panel.study, figure=figure, positive=positive, covariance=COVARIANCE, confidence_level=level
                )

            results = over_classes(
                _classes_beside_average(cohort, figure),
                compare,
                lambda found, scope: found.scope(scope).overall.p_value,
            )
            for item in results:
                yield from _contrasts(cohort, item, figure, panel)


def _contrasts(
    cohort: CohortArrays, item: ClassResult[ObuchowskiRockette], figure: Figure, panel: _Panel
) -> Iterator[MrmcResult]:
    """Every pair of arms in the three scopes."""
    name = _class_name(cohort, item, figure)
    for scope in Scope:
        if item.result is None:
            first, second = panel.study.arms[0], panel.study.arms[-1]
            test = undefined_test(item.reason or "", method=f"Obuchowski-Rockette {scope.value}")
            yield MrmcResult(
                "arms", name, figure.value, scope.value, "", first, second, None, None, len(panel.study.readers), test,
                None, COVARIANCE, {}, first, second,
            )  # fmt: skip
            continue
        of_scope = item.result.scope(scope)
        mean = dict(zip(item.result.arms, of_scope.means, strict=True))
        own = item.result.components
        components = _numbers(
            {
                "error_variance": own.error, "cov1": own.cov1, "cov2": own.cov2, "cov3": own.cov3,
                "reader_variance": own.reader, "arm_by_reader_variance": own.arm_by_reader,
                "mean_square_arm": item.result.mean_square_arm, "mean_square_reader": item.result.mean_square_reader,
                "mean_square_arm_reader": item.result.mean_square_arm_reader,
            }
        )  # fmt: skip
        for contrast in of_scope.contrasts:
            test = _with_notes(contrast.test, (*item.result.notes, *_notes_of(panel, figure)))
            yield MrmcResult(
                "arms", name, figure.value, scope.value, "", contrast.first, contrast.second,
                mean[contrast.first].value, mean[contrast.second].value, len(item.result.readers), test,
                item.p_holm.get(scope) if len(item.result.arms) == 2 else None, COVARIANCE, components,
                contrast.first, contrast.second,
            )  # fmt: skip
        if len(item.result.arms) > 2:
            yield MrmcResult(
                "arms", name, figure.value, scope.value, "", "all arms", "", None, None, len(item.result.readers),
                _with_notes(of_scope.overall, item.result.notes), item.p_holm.get(scope), COVARIANCE, components,
                "all arms", "",
            )  # fmt: skip


def _pseudovalue_contrasts(
    cohort: CohortArrays, item: ClassResult[DorfmanBerbaumMetz], figure: Figure, panel: _Panel
) -> Iterator[MrmcResult]:
    """Every pair of arms, and of more than two all at once, in the three scopes."""
    name, n_readers, arms = _class_name(cohort, item, figure), len(panel.study.readers), panel.study.arms

    def row(
        scope: Scope, first: str, second: str, test: TestResult, values: Mapping[str, float], p_holm: float | None
    ) -> MrmcResult:
        components: dict[str, float] = {}
        if item.result is not None:
            own = item.result.components
            components = {f"mean_square_{source}": value for source, value in item.result.mean_squares.items()} | {
                "reader_variance": own.reader, "case_variance": own.case, "arm_by_reader_variance": own.arm_by_reader,
                "arm_by_case_variance": own.arm_by_case, "reader_by_case_variance": own.reader_by_case,
                "error_variance": own.error,
            }  # fmt: skip
        return MrmcResult(
            "arms_dbm", name, figure.value, scope.value, "", first, second, values.get(first), values.get(second),
            n_readers, _with_notes(test, _notes_of(panel, figure)), p_holm, PSEUDOVALUES, components, first, second,
        )  # fmt: skip

    for scope in Scope:
        if item.result is None:
            test = undefined_test(item.reason or "", method=f"Dorfman-Berbaum-Metz {scope.value}")
            yield row(scope, arms[0], arms[-1], test, {}, None)
            continue
        of_scope, p_holm = item.result.scope(scope), item.p_holm.get(scope)
        values = dict(zip(item.result.arms, item.result.values.mean(axis=1).tolist(), strict=True))
        for contrast in of_scope.contrasts:
            p = p_holm if len(values) == 2 else None
            yield row(scope, contrast.first, contrast.second, contrast.test, values, p)
        if len(values) > 2:
            yield row(scope, "all arms", "", of_scope.overall, {}, p_holm)


# ------------------------------------------------------------------------------------------------------ shared
def _panels(cohort: CohortArrays, readers: list[Participant], arms: list[str], within: BoolArray) -> Iterator[_Panel]:
    """A study of ratings for the AUC, and one of labels for the rest."""
    rated = [one for one in readers if one.ratings is not None and (one.is_rated & within).any()]
    labelled = [one for one in readers if (one.labels[within] >= 0).any()]
    notes: tuple[str, ...] = ()
    if cohort.is_clustered:
        notes = ("some patients have several cases: the analysis takes cases as independent",)
    if len({one.key for one in rated}) >= SMALLEST_PANEL:
        left_out = sorted({one.name for one in readers} - {one.name for one in rated})
        about = (f"hard labels only, left out of the AUC: {', '.join(left_out)}",) if left_out else ()
        yield _Panel(_study(cohort, rated, arms, within, "ratings"), (Figure.AUC,), notes, about)
    elif len({one.key for one in labelled}) >= SMALLEST_PANEL:
        yield _Panel(_study(cohort, labelled, arms, within, "decisions"), (Figure.AUC,), notes, (HARD_LABEL_NOTE,))
    if len({one.key for one in labelled}) >= SMALLEST_PANEL:
        figures = (Figure.ACCURACY, Figure.SENSITIVITY, Figure.SPECIFICITY)
        yield _Panel(_study(cohort, labelled, arms, within, "labels"), figures, notes, ())


def _study(
    cohort: CohortArrays, readers: list[Participant], arms: list[str], within: BoolArray, kind: str
) -> ReaderStudy:
    """Dense arrays over arms, readers and cases; NaN where there is no reading."""
    k, n = len(cohort.class_keys), int(within.sum())
    keys = sorted({one.key for one in readers})
    shape = (k, len(arms), len(keys), n)
    ratings: FloatArray = np.full(shape, np.nan)
    labels: FloatArray = np.full(shape[1:], np.nan)
    for one in readers:
        place = arms.index(one.arm), keys.index(one.key)
        chosen = one.labels[within]
        labels[place] = np.where(chosen >= 0, chosen, np.nan)
        if kind == "ratings" and one.ratings is not None:
            ratings[:, place[0], place[1]] = one.ratings[:, within]
        elif kind == "decisions":
            ratings[:, place[0], place[1]] = np.where(chosen >= 0, chosen == np.arange(k)[:, None], np.nan)
    names = {one.key: one.name for one in readers}
    shown = [names[key] for key in keys] if len(set(names.values())) == len(names) else keys
    truth = [cohort.class_keys[index] for index in cohort.truth[within]]
    return ReaderStudy.from_dense(
        truth,
        ratings=None if kind == "labels" else (ratings[1] if k == 2 else ratings),
        labels=labels if kind == "labels" else None,
        classes=cohort.class_keys,
        arms=arms,
        readers=shown,
    )


def _classes_beside_average(cohort: CohortArrays, figure: Figure) -> tuple[str, ...]:
    """Accuracy has no classes, and of two classes the second says all."""
    return () if figure is Figure.ACCURACY or len(cohort.class_keys) == 2 else cohort.class_keys


def _class_name(cohort: CohortArrays, item: ClassResult, figure: Figure) -> str:
    """Class key, "macro" for the average over classes, "all" for accuracy."""
    if item.class_key is not None:
        return str(item.class_key)
    if figure is Figure.ACCURACY:
        return "all"
    return cohort.class_keys[1] if len(cohort.class_keys) == 2 else "macro"


def _notes_of(panel: _Panel, figure: Figure) -> tuple[str, ...]:
    """What this figure's results must say."""
    return (*panel.notes, *panel.notes_of_auc) if figure is Figure.AUC else panel.notes


def _with_notes(test: TestResult, notes: tuple[str, ...]) -> TestResult:
    """A test that carries more notes."""
    return replace(test, notes=tuple(dict.fromkeys((*test.notes, *notes))))


def _numbers(values: dict[str, float | None]) -> dict[str, float]:
    """The components that this design has."""
    return {name: float(value) for name, value in values.items() if value is not None}
