"""How many readers and cases a study needs: power by readers and cases, from a pilot, typed components or papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from core.analysis import MrmcResult, StudyAnalysis
from core.errors import InputError, NotFoundError
from core.report.file_analysis import analyse_file
from core.report.file_options import FileOptions
from core.statistics.panel_planning import PanelComponents, cases_for_panel_power, panel_power
from core.statistics.planning import (
    OrComponents,
    Power,
    SampleSize,
    auc_error_variance,
    cases_for_power,
    check_probability,
    mrmc_power,
)
from core.statistics.scope import FEW_READERS, Scope

#: Name of a component in an analysis -> name in planning.
_OF_PILOT = {
    "error_variance": "error",
    "arm_by_reader_variance": "arm_by_reader",
    "reader_variance": "reader",
    "cov1": "cov1",
    "cov2": "cov2",
    "cov3": "cov3",
}


class Compared(StrEnum):
    """What the study compares."""

    ARMS = "arms"  # two arms of one panel, for example unaided and aided
    PANEL = "panel"  # a model with a panel of readers


Components = OrComponents | PanelComponents
#: What a comparison is planned from.
COMPONENTS_OF: dict[Compared, type[OrComponents] | type[PanelComponents]] = {
    Compared.ARMS: OrComponents,
    Compared.PANEL: PanelComponents,
}


@dataclass(frozen=True)
class StudyPlan:
    """Power of every design, and the fewest cases for each number of readers."""

    compared: Compared
    components: OrComponents | PanelComponents
    powers: tuple[Power, ...]  # readers varying slowest
    fewest: tuple[tuple[int, SampleSize], ...]  # number of readers, and what it needs
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON: all digits, undefined numbers as null."""
        return {
            "compared": self.compared.value,
            "components": asdict(self.components),
            "powers": [asdict(power) for power in self.powers],
            "fewest_cases": [{"n_readers": n, **asdict(size)} for n, size in self.fewest],
            "notes": list(self.notes),
        }


def plan_study(
    compared: Compared,
    components: OrComponents | PanelComponents,
    *,
    readers: Sequence[int],
    cases: Sequence[int],
    difference: float,
    margin: float | None = None,
    power: float = 0.8,
    scope: Scope | str = Scope.RRRC,
    significance_level: float = 0.05,
    notes: tuple[str, ...] = (),
) -> StudyPlan:
    """Power of readers x cases, and the fewest cases that reach the wanted power.

    Parameters
    ----------
    compared : Compared
        Two arms, or a model with a panel.
    components : OrComponents or PanelComponents
        From :func:`pilot_components`, :func:`typed_components` or :func:`published_components`.
    readers, cases : sequence of int
        Numbers to try.
    difference : float
        True difference: first arm minus second, or model minus panel.
    margin : float, optional
        Plan for non-inferiority with this margin.
    power, scope, significance_level
        As in :func:`core.statistics.planning.cases_for_power`.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    common: dict[str, Any] = {"difference": difference, "margin": margin, "scope": scope}
    common["significance_level"] = significance_level
    powers, fewest = [], []
    for n in readers:
        if isinstance(components, PanelComponents):
            powers += [panel_power(components, n_readers=n, n_cases=k, **common) for k in cases]
            fewest.append((n, cases_for_panel_power(components, n_readers=n, power=power, **common)))
        else:
            powers += [mrmc_power(components, n_readers=n, n_cases=k, **common) for k in cases]
            fewest.append((n, cases_for_power(components, n_readers=n, power=power, **common)))
    if min(readers, default=FEW_READERS) < FEW_READERS and str(scope).upper() != Scope.FRRC:
        notes += (f"below {FEW_READERS} readers a report leads with fixed readers: plan them with scope FRRC",)
    return StudyPlan(compared, components, tuple(powers), tuple(fewest), notes)


def typed_components(compared: Compared, given: Sequence[str], n_cases: int) -> OrComponents | PanelComponents:
    """Components as NAME=VALUE, all of them, with the number of cases that they belong to.

    Raises
    ------
    InputError
        For a name that is unknown, absent or given twice, or a value that is no number.
    """
    kind = COMPONENTS_OF[compared]
    wanted = [part.name for part in fields(kind) if part.name != "n_cases"]
    values: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in wanted or name in values:
            raise InputError(
                "is not one of the components" if name not in wanted else "is given twice",
                field="component",
                value=text,
                fix=f"give each of {', '.join(wanted)} once, as {wanted[0]}=0.0008",
            )
        try:
            values[name] = float(number)
        except ValueError as error:
            raise InputError("is no number", field="component", value=text, fix=f"write {name}=0.0008") from error
    absent = [name for name in wanted if name not in values]
    if absent:
        raise InputError("are missing", field="component", value=", ".join(absent), fix="give every component")
    return kind(**values, n_cases=n_cases)


def published_components(
    compared: Compared, *, auc: float, positive_share: float, reader_sd: float, correlations: Mapping[str, float | None]
) -> OrComponents | PanelComponents:
    """Components from an expected AUC, the spread of readers and the correlations of errors that papers print.

    Parameters
    ----------
    correlations : mapping
        ``r1``, ``r2``, ``r3`` for two arms (same reader; same arm; neither); ``r_model`` and ``r_readers`` for a model
        and a panel.

    Raises
    ------
    InputError
        If a correlation that the comparison needs is absent, or a value is out of range.
    """
    wanted = ("r1", "r2", "r3") if compared is Compared.ARMS else ("r_model", "r_readers")
    absent = [name for name in wanted if correlations.get(name) is None]
    if absent:
        options = " ".join(f"--{name.replace('_', '-')} 0.4" for name in absent)
        raise InputError(
            "are needed beside the AUC", field="correlations", value=", ".join(absent), fix=f"for example {options}"
        )
    n_cases = 100
    check_probability(positive_share, "positive_share")
    n_positive = min(max(round(positive_share * n_cases), 1), n_cases - 1)
    error = auc_error_variance(auc, n_positive, n_cases - n_positive)
    chosen = {name: float(correlations[name] or 0.0) for name in wanted}
    if compared is Compared.ARMS:
        return OrComponents.from_published(error=error, n_cases=n_cases, reader_sd=reader_sd, **chosen)
    return PanelComponents.from_published(
        model_error=error, reader_error=error, n_cases=n_cases, reader_sd=reader_sd, **chosen
    )


def pilot_components(
    compared: Compared,
    file: Path,
    options: FileOptions,
    *,
    figure: str = "auc",
    class_key: str = "",
    cohort: str = "",
    first: str = "",
    second: str = "",
) -> tuple[OrComponents | PanelComponents, tuple[str, ...]]:
    """Components of a pilot: a file of readings that ``analyse`` takes; and what to say about it.

    Parameters
    ----------
    figure : str
        "auc", "accuracy", "sensitivity" or "specificity".
    class_key, cohort, first, second : str
        Which class, cohort, model (or first arm) and arm of the panel (or second arm), where the pilot has several.

    Raises
    ------
    NotFoundError
        If the pilot has no such comparison, or several; the message names them.
    """
    analysis = analyse_file(file, None, options).analysis
    chosen = (cohort, class_key, first, second)
    return analysis_components(compared, analysis, str(file), figure=figure, chosen=chosen)


def analysis_components(
    compared: Compared,
    analysis: StudyAnalysis,
    pilot: str,
    *,
    figure: str = "auc",
    chosen: tuple[str, str, str, str] = ("", "", "", ""),
) -> tuple[OrComponents | PanelComponents, tuple[str, ...]]:
    """Components of a study that was analysed; and what to say about it.

    Parameters
    ----------
    pilot : str
        What errors call the study.
    chosen : tuple of str
        Cohort, class, model (or first arm), arm of the panel (or second arm); "" where there is one only.

    Raises
    ------
    NotFoundError
        If the study has no such comparison, or several; the message names them.
    """
    kind = COMPONENTS_OF[compared]
    wanted = "arms" if compared is Compared.ARMS else "model_vs_panel"
    (of_cohort, of_class, one, other), row = _comparison(analysis, wanted, figure, chosen, pilot)
    given = {_OF_PILOT[name]: value for name, value in row.components.items() if name in _OF_PILOT}
    names = [part.name for part in fields(kind) if part.name != "n_cases"]
    if any(name not in given for name in names):
        raise NotFoundError(f"{pilot} does not give all variance components. Fix: a pilot needs two readers or more.")
    value = None if row.test.difference is None else row.test.difference.value
    own = "undefined" if value is None else f"{value:+.3f}"
    labels = {each.key: each.label for each in analysis.classes}
    called = {"macro": "mean over classes", "all": "all classes"}.get(of_class) or labels.get(of_class, of_class)
    notes = (
        f"pilot: cohort {of_cohort}, {_FIGURE_WORDS.get(figure, figure)}, {called}, {one} against {other}, "
        f"{row.n_readers} readers, {row.n_cases} cases; its own difference was {own}: plan with one that "
        "matters, not with that",
        "planned cases have the pilot's share of positive cases",
    )
    return kind(**{name: given[name] for name in names}, n_cases=row.n_cases), notes


_FIGURE_WORDS = {"auc": "AUC"}


def _comparison(
    analysis: StudyAnalysis, wanted: str, figure: str, chosen: tuple[str, str, str, str], file: str
) -> tuple[tuple[str, str, str, str], MrmcResult]:
    """The one comparison of the pilot that was asked for; averages over classes before single classes."""
    found: dict[tuple[str, str, str, str], MrmcResult] = {}
    figures: dict[str, None] = {}
    for cohort in analysis.cohorts:
        for row in cohort.mrmc:
            if (row.analysis, row.scope) != (wanted, Scope.RRRC.value) or not row.components:
                continue
            figures.setdefault(row.metric)
            if row.metric == figure:
                found.setdefault((cohort.cohort, row.class_key, row.first_name, row.second_name), row)
    if figures and figure not in figures:
        raise NotFoundError(f"{file} has no figure {figure!r} to plan from. Fix: use --figure {' or '.join(figures)}.")
    kept = {
        key: row
        for key, row in found.items()
        if all(name in ("", part) for name, part in zip(chosen, (*key[:3], row.arm or key[3]), strict=True))
    }
    if not chosen[1]:
        averages = {key: row for key, row in kept.items() if key[1] in ("macro", "all")}
        kept = averages or kept
    if len(kept) == 1:
        return next(iter(kept.items()))
    what = "; ".join(f"cohort {a}, class {b}, {c} against {d}" for a, b, c, d in (kept or found))
    problem = "has several comparisons to plan from" if kept else "has no such comparison to plan from"
    fix = (
        "choose with --cohort, --class, --first and --second (an arm)."
        if what
        else "use a file with two arms, or with a model."
    )
    raise NotFoundError(f"{file} {problem}{f': {what}' if what else ''}. Fix: {fix}")
