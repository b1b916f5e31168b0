"""The main numbers on parts of the cases (centre, scanner, sex, age band) and of the readers (years of experience).

A subgroup tells where a number holds; it was seldom chosen beforehand and is small, so read its interval and its n. A
variable with one level, or that is not known at all, makes no subgroups. Each part is analysed as a cohort of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.natural_order import NaturalKey, natural_key
from core.statistics.result import Estimate, undefined_estimate
from core.statistics.scope import Scope
from core.study_analysis.arrays import UNKNOWN, CohortArrays, Participant, band_of
from core.study_analysis.multireader import (
    compare_arms_at,
    figure_results,
    of_arms,
    participating,
)
from core.study_analysis.panel_cases import SMALLEST_PANEL, Missing
from core.study_analysis.performance import participant_analysis
from core.study_analysis.reader_panels import NoPanel, reader_panels
from core.study_analysis.results import Identity, ParticipantAnalysis, SubgroupResult

#: Lower ends of the bands of experience, in years.
EXPERIENCE_BANDS = (0, 5, 10)
EXPERIENCE = "reader_years"


def subgroup_results(
    cohort: CohortArrays, confidence_level: float, missing: Missing = Missing.COMMON
) -> tuple[SubgroupResult, ...]:
    """Accuracy, and sensitivity, specificity and AUC of each class, in every part."""
    found: list[SubgroupResult] = []
    for variable, levels in cohort.groups.items():
        of_case = np.array(levels, dtype=object)
        for level in sorted(set(levels), key=_place):
            part = cohort.part(of_case == level)
            for one in part.participants:
                if one.is_answered.any():
                    found += _numbers(participant_analysis(part, one, confidence_level), variable, level)
    return (*found, *_by_experience(cohort, confidence_level, missing))


def _place(level: str) -> tuple[bool, NaturalKey]:
    """Bands and names in their order, the unknown last."""
    return level == UNKNOWN, natural_key(level)


def _numbers(one: ParticipantAnalysis, variable: str, level: str) -> Iterator[SubgroupResult]:
    """The numbers of one participant in one part."""

    def row(class_key: str, quantity: str, estimate: Estimate) -> SubgroupResult:
        return SubgroupResult(one.identity, variable, level, class_key, quantity, 1, estimate)

    if "accuracy" in one.quantities:
        yield row("all", "accuracy", one.quantities["accuracy"])
    for performance in one.classes:
        for quantity in ("sensitivity", "specificity"):
            if quantity in performance.quantities:
                yield row(performance.class_key, quantity, performance.quantities[quantity])
        yield row(performance.class_key, "auc", performance.auc)
    if "macro" in one.auc_averages:
        yield row("macro", "auc", one.auc_averages["macro"])


def _by_experience(cohort: CohortArrays, level: float, missing: Missing) -> Iterator[SubgroupResult]:
    """The average over the readers of each band, these readers fixed."""
    readers = participating(cohort)
    for arm in sorted({one.arm for one in readers}):
        band: dict[str, list[Participant]] = {}
        for one in readers:
            if one.arm == arm:
                band.setdefault(band_of(one.years, EXPERIENCE_BANDS), []).append(one)
        if len(band) < 2:  # nobody's years are known, or all are alike
            continue
        who = Identity("panel", f"readers, {arm}", arm, f"readers, {arm}")
        for name in sorted(band, key=_place):
            yield from _of_band(cohort, who, name, band[name], level, missing)


def _of_band(
    cohort: CohortArrays, who: Identity, band: str, readers: list[Participant], level: float, missing: Missing
) -> Iterator[SubgroupResult]:
    """The readers of one band."""
    if len(readers) < SMALLEST_PANEL:
        reason = f"One reader only, {readers[0].name}: see the rows of this reader."
        nothing = undefined_estimate(reason, confidence_level=level, method="Obuchowski-Rockette FRRC")
        yield SubgroupResult(who, EXPERIENCE, band, "all", "accuracy", 1, nothing)
        return
    for panel in reader_panels(cohort, readers, [who.arm]):
        if isinstance(panel, NoPanel):
            continue
        for item in figure_results(panel, missing, compare_arms_at(level), of_arms):
            if item.found.result is None:
                estimate = undefined_estimate(
                    item.found.reason or "", confidence_level=level, method="Obuchowski-Rockette FRRC", n=item.n_cases
                )
            else:
                estimate = item.mean(item.found.result.scope(Scope.FRRC).means[0], ())
            yield SubgroupResult(who, EXPERIENCE, band, item.class_name, item.figure.value, item.n_readers, estimate)
