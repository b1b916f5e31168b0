"""The arms of a panel by Dorfman-Berbaum-Metz, beside Obuchowski-Rockette: analysis of variance of pseudovalues.

It needs every reading of readers x cases x arms: on common cases that is so, else each row says what it needs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from core.statistics.dbm import DorfmanBerbaumMetz, dorfman_berbaum_metz
from core.statistics.reader_study import Figure, ReaderStudy
from core.statistics.result import TestResult, undefined_test
from core.statistics.scope import Scope, patients_note
from core.study_analysis.arrays import CohortArrays
from core.study_analysis.multireader import (
    ALL_ARMS,
    FigureResult,
    arms_to_compare,
    defined,
    figure_results,
    leading_first,
    participating,
    told_both_ways,
)
from core.study_analysis.panel_cases import Missing, PanelCases
from core.study_analysis.reader_panels import NoPanel, ReaderPanel, reader_panels
from core.study_analysis.results import MrmcResult

PSEUDOVALUES = "jackknife pseudovalues"


def pseudovalue_results(
    cohort: CohortArrays, confidence_level: float, missing: Missing = Missing.COMMON
) -> tuple[MrmcResult, ...]:
    """Every comparison of arms that the cohort allows.

    References
    ----------
    Dorfman, Berbaum and Metz (1992), Invest. Radiol. 27:723-731. Hillis, Berbaum and Metz (2008), Acad. Radiol.
    15:647-661.
    """

    def compare(
        study: ReaderStudy, choice: PanelCases, figure: Figure, positive: Hashable | None
    ) -> DorfmanBerbaumMetz:
        return dorfman_berbaum_metz(study.figures(figure, positive=positive), confidence_level=confidence_level)

    readers = participating(cohort)
    comparisons = arms_to_compare(readers)
    found: list[MrmcResult] = []
    for arms in comparisons:
        only_overall = len(arms) > 2 and len(comparisons) > 1
        chosen = [one for one in readers if one.arm in arms]
        for panel in reader_panels(cohort, chosen, arms):
            if isinstance(panel, NoPanel):
                continue  # Obuchowski-Rockette's row has the reason

            def rows(way: Missing, panel: ReaderPanel = panel, only_overall: bool = only_overall) -> list[MrmcResult]:
                items = figure_results(panel, way, compare, lambda of, scope: of.scope(scope).overall.p_value)
                every = [row for item in items for row in _contrasts(item)]
                return [row for row in every if not only_overall or row.first == ALL_ARMS]

            found += told_both_ways(rows, missing, panel)
    return tuple(found)


def _contrasts(item: FigureResult[DorfmanBerbaumMetz]) -> Iterator[MrmcResult]:
    """Every pair of arms, and of more than two all at once, in the three scopes."""
    result, arms = item.found.result, item.panel.arms
    for scope in leading_first(item.n_readers):
        if result is None:
            test = undefined_test(item.found.reason or "", method=f"Dorfman-Berbaum-Metz {scope.value}")
            yield _row(item, scope, arms[0], arms[-1], test, {}, None)
            continue
        of_scope, p_holm = result.scope(scope), item.found.p_holm.get(scope)
        values = dict(zip(result.arms, result.values.mean(axis=1).tolist(), strict=True))
        is_pair = len(values) == 2
        for contrast in of_scope.contrasts:
            overall = of_scope.overall if is_pair else None
            yield _row(
                item,
                scope,
                contrast.first,
                contrast.second,
                contrast.test,
                values,
                p_holm if is_pair else None,
                overall,
            )
        if not is_pair:
            yield _row(item, scope, ALL_ARMS, "", of_scope.overall, {}, p_holm, of_scope.overall)


def _row(
    item: FigureResult[DorfmanBerbaumMetz], scope: Scope, first: str, second: str, test: TestResult,
    values: Mapping[str, float], p_holm: float | None, overall: TestResult | None = None,
) -> MrmcResult:  # fmt: skip
    """One contrast, or the test of all arms."""
    components: dict[str, float] = {}
    if item.found.result is not None:
        own = item.found.result.components
        squares = {f"mean_square_{source}": value for source, value in item.found.result.mean_squares.items()}
        components = defined(
            squares | {
                "reader_variance": own.reader, "case_variance": own.case, "arm_by_reader_variance": own.arm_by_reader,
                "arm_by_case_variance": own.arm_by_case, "reader_by_case_variance": own.reader_by_case,
                "error_variance": own.error,
            }
        )  # fmt: skip
    return MrmcResult(
        analysis="arms_dbm", class_key=item.class_name, metric=item.figure.value, scope=scope.value, arm="",
        first=first, second=second, first_name=first, second_name=second, first_value=values.get(first),
        second_value=values.get(second), n_readers=item.n_readers, n_cases=item.n_cases,
        test=item.noted(test, *patients_note(item.n_patients)),
        p_holm=p_holm, covariance=PSEUDOVALUES, components=components, overall=overall,
    )  # fmt: skip
