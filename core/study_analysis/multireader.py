"""Several readers, several cases: arms of a panel against each other, and each model against the panel of an arm.

Figures: AUC and sensitivity and specificity, per class against the rest and averaged over the classes, and accuracy.
Covariances are the jackknife's, the default of MRMCaov and RJafroc. All three scopes are given. Which readers and cases
a comparison rests on is the rule of :mod:`core.study_analysis.panel_cases`; where something was left out, each row
states the result of the other way as well.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Generic, TypeVar

from core.number_text import p_words
from core.statistics.mrmc import ClassResult, compare_arms, over_classes
from core.statistics.obuchowski_rockette import ObuchowskiRockette
from core.statistics.reader_study import Figure, ReaderStudy
from core.statistics.result import Estimate, TestResult, undefined_estimate, undefined_test
from core.statistics.scope import Scope, leading_scope
from core.statistics.standalone import StandaloneComparison, compare_model_with_readers
from core.study_analysis.arrays import CohortArrays, Participant
from core.study_analysis.panel_cases import SMALLEST_PANEL, Missing, PanelCases
from core.study_analysis.reader_panels import NoPanel, ReaderPanel, reader_panels
from core.study_analysis.results import MrmcResult, PanelMean

COVARIANCE = "jackknife"
#: Name of the test of more than two arms at once.
ALL_ARMS = "all arms"

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class FigureResult(Generic[Result]):
    """One figure of one class, or of their average, on the readers and cases that were chosen for it."""

    figure: Figure
    class_name: str  # a class key, "macro" or "all"
    panel: ReaderPanel
    chosen: PanelCases
    found: ClassResult[Result]

    @property
    def n_readers(self) -> int:
        """Readers who were kept."""
        return len(self.chosen.readers)

    @property
    def n_cases(self) -> int:
        """Cases that were used."""
        return int(self.chosen.cases.sum())

    @property
    def n_patients(self) -> int | None:
        """Patients of those cases, where one has several."""
        patients = self.panel.cohort.patients_if_clustered
        if patients is None:
            return None
        used = patients[self.panel.within][self.chosen.cases]
        n_patients = len(set(used.tolist()))
        return n_patients if n_patients < used.size else None

    def noted(self, test: TestResult, *own: str) -> TestResult:
        """A test with the notes of the analysis, of the choice and of the panel."""
        return replace(test, notes=tuple(dict.fromkeys((*test.notes, *own, *self.chosen.notes, *self.panel.notes))))

    def mean(self, estimate: Estimate, own: tuple[str, ...]) -> Estimate:
        """A mean over readers with the same notes and its number of cases."""
        notes = (*estimate.notes, *own, *self.chosen.notes, *self.panel.notes)
        return replace(estimate, n=self.n_cases, notes=tuple(dict.fromkeys(notes)))


def multireader_results(
    cohort: CohortArrays, confidence_level: float, missing: Missing = Missing.COMMON
) -> tuple[MrmcResult, ...]:
    """Every multi-reader comparison that the cohort allows, models against panels first.

    References
    ----------
    Obuchowski and Rockette (1995), Commun. Stat. Simul. Comput. 24:285-308. Hillis (2007), Stat. Med. 26:596-619.
    """
    readers = participating(cohort)
    found: list[MrmcResult] = []
    for arm in sorted({one.arm for one in readers}):
        of_arm = [one for one in readers if one.arm == arm]
        if len(of_arm) >= SMALLEST_PANEL:
            for model in cohort.participants:
                if model.kind == "model":
                    found += _model_against_panel(cohort, model, of_arm, arm, confidence_level, missing)
    for arms in arms_to_compare(readers):
        found += _arms(cohort, readers, arms, confidence_level, missing)
    return tuple(found)


def panel_means(
    cohort: CohortArrays, confidence_level: float, missing: Missing = Missing.COMMON
) -> tuple[PanelMean, ...]:
    """Each arm's average over its readers, in each scope, from a single-arm analysis.

    References
    ----------
    Hillis (2014), Stat. Med. 33:330-360.
    """
    readers = participating(cohort)
    found: list[PanelMean] = []
    for arm in sorted({one.arm for one in readers}):
        of_arm = [one for one in readers if one.arm == arm]
        if len(of_arm) < SMALLEST_PANEL:
            continue
        for panel in reader_panels(cohort, of_arm, [arm]):
            if isinstance(panel, NoPanel):
                continue
            for item in figure_results(panel, missing, compare_arms_at(confidence_level), of_arms):
                found += _means(item, arm, confidence_level)
    return tuple(found)


def participating(cohort: CohortArrays) -> list[Participant]:
    """Readers, in each of their arms, who answered."""
    return [one for one in cohort.participants if one.kind == "reader" and one.is_answered.any()]


def arms_to_compare(readers: Iterable[Participant]) -> list[tuple[str, ...]]:
    """All arms together; where some readers read in several arms but not in all, every pair of arms as well."""
    arms_of: dict[str, set[str]] = {}
    for one in readers:
        arms_of.setdefault(one.key, set()).add(one.arm)
    arms = tuple(sorted(set().union(*arms_of.values())))
    if len(arms) < 2 or len(arms_of) < SMALLEST_PANEL:
        return []
    sizes = {len(has) for has in arms_of.values()}
    if len(arms) == 2 or sizes in ({1}, {len(arms)}):
        return [arms]
    return [*combinations(arms, 2), arms]


def figure_results(
    panel: ReaderPanel,
    missing: Missing,
    compare: Callable[[ReaderStudy, PanelCases, Figure, Hashable | None], Result],
    p_value: Callable[[Result, Scope], float | None],
) -> Iterator[FigureResult[Result]]:
    """Every figure of a panel: the average over classes first, then each class with Holm's p-values over them."""
    keys = panel.cohort.class_keys
    studies: dict[tuple[tuple[int, ...], bytes], ReaderStudy] = {}
    for figure in panel.figures:
        chosen: dict[Hashable | None, PanelCases] = {}

        def of(positive: Hashable | None, figure: Figure = figure, chosen: dict = chosen) -> Result:
            choice = chosen[positive] = panel.choose(figure, positive, missing)
            place = (choice.readers, choice.cases.tobytes())
            if place not in studies:
                studies[place] = panel.study(choice)
            return compare(studies[place], choice, figure, positive)

        of_classes = () if figure is Figure.ACCURACY or len(keys) == 2 else keys
        for found in over_classes(of_classes, of, p_value):
            name = average_name(panel.cohort, figure) if found.class_key is None else str(found.class_key)
            yield FigureResult(figure, name, panel, chosen[found.class_key], found)


def average_name(cohort: CohortArrays, figure: Figure) -> str:
    """The class "macro" for the average over classes, "all" for accuracy, the second of two classes."""
    if figure is Figure.ACCURACY:
        return "all"
    return cohort.class_keys[1] if len(cohort.class_keys) == 2 else "macro"


# -------------------------------------------------------------------------------------------------- model against panel
def _model_against_panel(
    cohort: CohortArrays, model: Participant, readers: list[Participant], arm: str, level: float, missing: Missing
) -> Iterator[MrmcResult]:
    """One model against the readers of one arm, on the cases that the model predicted."""
    predicted = model.is_answered

    def compare(
        study: ReaderStudy, choice: PanelCases, figure: Figure, positive: Hashable | None
    ) -> StandaloneComparison:
        ratings = labels = None
        if figure is Figure.AUC and model.ratings is not None:
            ratings = model.ratings[:, predicted][:, choice.cases]
            ratings = ratings[1] if len(cohort.class_keys) == 2 else ratings
        elif figure is not Figure.AUC:
            labels = model.labels[predicted][choice.cases]
        return compare_model_with_readers(
            study, model=model.name, model_ratings=ratings, model_labels=labels, figure=figure, positive=positive,
            covariance=COVARIANCE, confidence_level=level, is_matched=choice.is_matched,
        )  # fmt: skip

    for panel in reader_panels(cohort, readers, [arm], model):
        if isinstance(panel, NoPanel):
            continue  # nobody of this arm has such answers: there is no panel to compare with

        def rows(way: Missing, panel: ReaderPanel = panel) -> list[MrmcResult]:
            items = figure_results(panel, way, compare, lambda found, scope: found.scope(scope).test.p_value)
            return [row for item in items for row in _standalone(item, model, arm)]

        yield from told_both_ways(rows, missing, panel)


def _standalone(item: FigureResult[StandaloneComparison], model: Participant, arm: str) -> Iterator[MrmcResult]:
    """The three scopes of one model-against-panel comparison."""
    result = item.found.result
    panel_name = f"readers, {arm}"
    for scope in leading_first(item.n_readers):
        row = MrmcResult(
            analysis="model_vs_panel", class_key=item.class_name, metric=item.figure.value, scope=scope.value, arm=arm,
            first=model.key, second=panel_name, first_name=model.name, second_name=panel_name, first_value=None,
            second_value=None, n_readers=item.n_readers, n_cases=item.n_cases,
            test=item.noted(undefined_test(item.found.reason or "", method=f"Obuchowski-Rockette {scope.value}")),
            p_holm=item.found.p_holm.get(scope), covariance=COVARIANCE, components={},
        )  # fmt: skip
        if result is not None:
            of_scope = result.scope(scope)
            components = {
                "error_variance": result.error_variance,
                "cov2": result.cov2,
                "reader_variance": result.reader_variance,
            }
            row = replace(
                row, first_value=result.model_figure.value, second_value=of_scope.panel.value,
                test=item.noted(of_scope.test, *result.notes), components=defined(components),
            )  # fmt: skip
        yield row


# ------------------------------------------------------------------------------------------------------ arms
def _arms(
    cohort: CohortArrays, readers: list[Participant], arms: tuple[str, ...], level: float, missing: Missing
) -> Iterator[MrmcResult]:
    """Arms of the panel against each other; of several arms that nobody read in completely, one row with the reason."""
    chosen = [one for one in readers if one.arm in arms]
    only_overall = len(arms) > 2 and len(arms_to_compare(readers)) > 1
    for panel in reader_panels(cohort, chosen, arms):
        if isinstance(panel, NoPanel):
            yield from _undefined_arms(cohort, panel, arms)
            continue

        def rows(way: Missing, panel: ReaderPanel = panel) -> list[MrmcResult]:
            items = figure_results(panel, way, compare_arms_at(level), of_arms)
            found = [row for item in items for row in _contrasts(item)]
            return [row for row in found if not only_overall or row.first == ALL_ARMS]

        yield from told_both_ways(rows, missing, panel)


def compare_arms_at(
    level: float,
) -> Callable[[ReaderStudy, PanelCases, Figure, Hashable | None], ObuchowskiRockette]:
    """Obuchowski-Rockette analysis of a figure, as :func:`figure_results` calls it."""

    def compare(
        study: ReaderStudy, choice: PanelCases, figure: Figure, positive: Hashable | None
    ) -> ObuchowskiRockette:
        return compare_arms(
            study, figure=figure, positive=positive, covariance=COVARIANCE, confidence_level=level
        )  # fmt: skip

    return compare


def of_arms(found: ObuchowskiRockette, scope: Scope) -> float | None:
    """The p value that Holm adjusts over the classes."""
    return found.scope(scope).overall.p_value


def _contrasts(item: FigureResult[ObuchowskiRockette]) -> Iterator[MrmcResult]:
    """Every pair of arms in the three scopes, then all of more than two at once."""
    result, arms = item.found.result, item.panel.arms
    for scope in leading_first(item.n_readers):
        row = MrmcResult(
            analysis="arms", class_key=item.class_name, metric=item.figure.value, scope=scope.value, arm="",
            first=arms[0], second=arms[-1], first_name=arms[0], second_name=arms[-1], first_value=None,
            second_value=None, n_readers=item.n_readers, n_cases=item.n_cases,
            test=item.noted(undefined_test(item.found.reason or "", method=f"Obuchowski-Rockette {scope.value}")),
            p_holm=None, covariance=COVARIANCE, components={},
        )  # fmt: skip
        if result is None:
            yield row
            continue
        of_scope, p_holm = result.scope(scope), item.found.p_holm.get(scope)
        mean = dict(zip(result.arms, of_scope.means, strict=True))
        row = replace(row, components=_components(result))
        for contrast in of_scope.contrasts:
            yield replace(
                row, first=contrast.first, second=contrast.second, first_name=contrast.first,
                second_name=contrast.second, first_value=mean[contrast.first].value,
                second_value=mean[contrast.second].value, test=item.noted(contrast.test, *result.notes),
                p_holm=p_holm if len(arms) == 2 else None, overall=of_scope.overall if len(arms) == 2 else None,
            )  # fmt: skip
        if len(arms) > 2:
            test = item.noted(of_scope.overall, *result.notes)
            yield replace(
                row, first=ALL_ARMS, second="", first_name=ALL_ARMS, second_name="", test=test, p_holm=p_holm,
                overall=test,
            )  # fmt: skip


def _components(result: ObuchowskiRockette) -> dict[str, float]:
    """Variance components and mean squares."""
    own = result.components
    return defined(
        {
            "error_variance": own.error, "cov1": own.cov1, "cov2": own.cov2, "cov3": own.cov3,
            "reader_variance": own.reader, "arm_by_reader_variance": own.arm_by_reader,
            "mean_square_arm": result.mean_square_arm, "mean_square_reader": result.mean_square_reader,
            "mean_square_arm_reader": result.mean_square_arm_reader,
        }
    )  # fmt: skip


def _means(item: FigureResult[ObuchowskiRockette], arm: str, level: float) -> Iterator[PanelMean]:
    """One arm's average in the three scopes."""
    result = item.found.result
    for scope in leading_first(item.n_readers):
        method = f"Obuchowski-Rockette {scope.value}"
        estimate, df = undefined_estimate(item.found.reason or "", confidence_level=level, method=method), None
        if result is not None:
            of_scope = result.scope(scope)
            (estimate,), (df,) = of_scope.means, of_scope.mean_degrees_of_freedom
        yield PanelMean(
            class_key=item.class_name, metric=item.figure.value, scope=scope.value, arm=arm, n_readers=item.n_readers,
            estimate=item.mean(estimate, () if result is None else result.notes), degrees_of_freedom=df,
        )  # fmt: skip


def _undefined_arms(cohort: CohortArrays, panel: NoPanel, arms: tuple[str, ...]) -> Iterator[MrmcResult]:
    """Rows that say why arms cannot be compared."""
    first, second = arms if len(arms) == 2 else (ALL_ARMS, "")
    for figure in panel.figures:
        for scope in Scope:
            yield MrmcResult(
                analysis="arms", class_key=average_name(cohort, figure), metric=figure.value, scope=scope.value,
                arm="", first=first, second=second, first_name=first, second_name=second, first_value=None,
                second_value=None, n_readers=0, n_cases=0,
                test=undefined_test(panel.reason, method=f"Obuchowski-Rockette {scope.value}"), p_holm=None,
                covariance=COVARIANCE, components={},
            )  # fmt: skip


# ------------------------------------------------------------------------------------------------------ shared
def told_both_ways(
    rows: Callable[[Missing], list[MrmcResult]], missing: Missing, panel: ReaderPanel
) -> list[MrmcResult]:
    """Rows of the way that was asked for; where the other way gives another result, each row says which."""
    own = rows(missing)
    if panel.is_complete:
        return own
    other = {_key(row): row for row in rows(missing.other)}
    told = []
    for row in own:
        twin = other.get(_key(row))
        if twin is not None and _result(twin) != _result(row):
            note = f"{_way(missing.other, twin)}: {_told(twin.test)}"
            row = replace(row, test=replace(row.test, notes=(*row.test.notes, note)))
        told.append(row)
    return told


def _result(row: MrmcResult) -> tuple[object, ...]:
    """What must be the same for two ways to agree; notes may differ."""
    return (row.n_cases, row.n_readers, row.first_value, row.second_value, row.test.statistic, row.test.p_value)


def leading_first(n_readers: int) -> list[Scope]:
    """The scopes, first the one that a report of so many readers leads with."""
    leading = leading_scope(n_readers)
    return [leading, *(scope for scope in Scope if scope is not leading)]


def _key(row: MrmcResult) -> tuple[str, ...]:
    """What a row is about."""
    return (row.class_key, row.metric, row.scope, row.first, row.second)


def _way(way: Missing, row: MrmcResult) -> str:
    """The other way in words."""
    if way is Missing.COMMON:
        return f"on the {row.n_cases} cases that all {row.n_readers} readers answered instead"
    return f"on the cases that each of {row.n_readers} readers answered instead (per-curve)"


def _told(test: TestResult) -> str:
    """Difference, interval and p value in one line."""
    difference = test.difference
    if difference is None or difference.value is None:
        return f"undefined ({test.reason})" if test.p_value is None else p_words(test.p_value)
    limits = ""
    if difference.lower is not None and difference.upper is not None:
        limits = f" ({difference.lower:+.3f} to {difference.upper:+.3f})"
    return f"difference {difference.value:+.3f}{limits}" + (
        "" if test.p_value is None else f", {p_words(test.p_value)}"
    )


def defined(values: Mapping[str, float | None]) -> dict[str, float]:
    """The components that this design has."""
    return {name: float(value) for name, value in values.items() if value is not None}
