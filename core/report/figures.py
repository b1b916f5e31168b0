"""The figures of a paper, drawn from the analysis alone: white ground, 8 points, the widths of journals' columns.

Every figure is drawn at each of :data:`WIDTHS_MM` anew, not scaled, so that its letters keep their size. A rater has
the colour, mark and dash of the screens (:mod:`core.rater_styles`). The same analysis gives the same bytes.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from core.analysis import CohortAnalysis, StudyAnalysis
from core.number_text import cell_text, estimate_text
from core.rater_styles import Dash, RaterStyle, mean_dashes, rater_styles
from core.report.letters import FIRST, letters_of
from core.report.printed_tables import cohort_parts
from core.statistics.roc import roc_band
from core.study_analysis.results import ParticipantAnalysis

#: One column, one and a half, two columns of most journals.
WIDTHS_MM = (84, 119, 174)
#: No figure is taller: the height of a journal's page.
TALLEST_MM = 234
FORMATS = ("svg", "pdf", "png")
PNG_DPI = 300  # for slides and word processors; journals take the vectors
_MM = 1 / 25.4
_MARKS: dict[str, Any] = {
    "circle": "o", "square": "s", "triangle-up": "^", "triangle-down": "v", "star": "*", "triangle-right": ">",
    "triangle-left": "<", "pentagon": "p", "hexagon": "h", "diamond": "D", "x": "X", "star-diamond": (4, 1, 0),
    "cross": "P",
}  # fmt: skip
_HANDLE_MM = 12.7  # of a line in a legend: its whole dash
_LOOK: Any = {
    "font.family": [FIRST], "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 8,
    "ytick.labelsize": 8, "legend.fontsize": 8, "axes.linewidth": 0.6, "lines.linewidth": 1.1, "lines.markersize": 4.5,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": "white", "savefig.facecolor": "white",
    "axes.facecolor": "white", "svg.fonttype": "path", "svg.hashsalt": "reading-room", "pdf.fonttype": 42,
    "legend.frameon": False, "axes.unicode_minus": True, "text.parse_math": False,
}  # fmt: skip
_MACRO = "macro"  # the panel of the mean over classes
_LOCK = threading.Lock()  # matplotlib's settings are the process's
_GREY = "#767676"
_PARTS = re.compile(r"\s*[^\s_./-]*(?:[_./-]+|\s+|$)")
_LONGEST_ON_AXIS = 16  # letters of a class beside a confusion matrix
_LETTER_MM, _APART_MM = 1.6, 2.0  # of a number at an axis; from its end to the next one's beginning
_MOST_PAIRS = 20  # of readers, in the figure of agreement


@dataclass(frozen=True)
class FigurePlan:
    """One figure that an analysis gives."""

    name: str  # "roc_internal"
    caption: str
    draw: Callable[[float], Figure]  # of a width in millimetres
    cohort: str = ""  # whose figure it is
    families: tuple[str, ...] = ()  # fonts of this machine for letters that the first has not
    svg: bytes | None = None  # as it was drawn for the report's page already


class Palette:
    """Who is drawn how, and under which label, in every figure of a study."""

    def __init__(self, analysis: StudyAnalysis, declared: str | None) -> None:
        identities = [one.identity for cohort in analysis.cohorts for one in cohort.participants]
        self.styles = rater_styles(identities, declared)
        has_arms = len({one.arm for one in identities if one.arm}) > 1
        self.labels = {(one.key, one.arm): f"{one.name}, {one.arm}" if has_arms and one.arm else one.name
                       for one in identities}  # fmt: skip
        self.class_labels = {one.key: one.label for one in analysis.classes}
        self.short_labels = {one.key: one.short_label for one in analysis.classes}

    def in_order(self, cohort: CohortAnalysis) -> list[ParticipantAnalysis]:
        """Those who answered in a cohort, models first, in the order of their styles."""
        answered = {(one.key, one.arm): one for one in cohort.participants if one.n_cases}
        return [answered[place] for place in self.styles if place in answered]

    def style(self, one: ParticipantAnalysis) -> RaterStyle:
        """How a rater is drawn."""
        return self.styles[one.key, one.arm]

    def label(self, one: ParticipantAnalysis) -> str:
        """What a rater is called."""
        return self.labels[one.key, one.arm]


def figure_plans(analysis: StudyAnalysis, declared: str | None = None) -> list[FigurePlan]:
    """Every figure that an analysis gives, in the order of a paper; ``declared`` is the model that comes first."""
    tables, palette = analysis.to_tables(), Palette(analysis, declared)
    parts = cohort_parts(analysis.cohorts)
    plans = [FigurePlan("flow", "Flow of cases through the study.", lambda width: flow_figure(tables["flow"], width))]
    for cohort in analysis.cohorts:
        if any(one.n_cases for one in cohort.participants):
            of_cohort = {name: table[table["cohort"] == cohort.cohort] for name, table in tables.items()
                         if "cohort" in table.columns}  # fmt: skip
            own = _cohort_plans(cohort, of_cohort, palette, parts[cohort.cohort])
            plans += [replace(plan, cohort=cohort.cohort) for plan in own]
    families = letters_of(figure_texts(analysis)).families
    return [replace(plan, families=families) for plan in plans]


def figure_texts(analysis: StudyAnalysis) -> list[object]:
    """Every name that a figure may show."""
    tables = analysis.to_tables()
    texts = [value for name in ("missing", "flow") for column in tables[name] for value in set(tables[name][column])]
    return texts + [text for one in analysis.classes for text in (one.key, one.label, one.short_label)]


def render(plan: FigurePlan, width_mm: float, formats: Sequence[str] = FORMATS) -> dict[str, bytes]:
    """A figure at a width, as files by ending."""
    with _LOCK, mpl.rc_context(_LOOK | {"font.family": [FIRST, *plan.families]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # letters_of names them where it is read
        figure = plan.draw(width_mm)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # places are found once, not for every format
        return {ending: _saved(figure, ending) for ending in formats}


def _saved(figure: Figure, ending: str) -> bytes:
    """A drawn figure without the hour of drawing."""
    stream = io.BytesIO()
    no_hour: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    figure.savefig(stream, format=ending, dpi=PNG_DPI, metadata=no_hour[ending])
    return stream.getvalue()


def _cohort_plans(
    cohort: CohortAnalysis, tables: Mapping[str, pd.DataFrame], palette: Palette, name: str
) -> Iterator[FigurePlan]:
    """The figures of one cohort; those without content are left out."""
    raters = palette.in_order(cohort)
    level = f"{100 * cohort.confidence_level:g} %"
    rated = [one for one in raters if any(each.roc is not None for each in one.classes)]
    for key, panels in _named(f"roc_{name}", _pages(*_roc_panels(cohort, rated, palette))):
        yield FigurePlan(
            key,
            f"ROC of each class against the rest, cohort {cohort.cohort}. Lines: ratings and probabilities; marks: the "
            "classes that were chosen; shaded: at each threshold of a model, the box that holds its sensitivity and "
            f"specificity at once with {level} confidence; heavy: the mean curve of the readers.",
            partial(roc_figure, cohort, rated, palette, keys=panels),
        )
    forest = _forest_rows(cohort, raters, palette)
    for key, rows in _named(f"forest_{name}", _pages(forest, _forest_mm)):
        yield FigurePlan(
            key, f"Accuracy of each rater and differences, with {level} intervals, cohort {cohort.cohort}.",
            partial(forest_figure, rows),
        )  # fmt: skip
    judged = [one for one in raters if one.confusion is not None]
    for key, page in _named(
        f"confusion_{name}", _pages(judged, lambda of, width: _matrices(of, palette, width).height)
    ):
        yield FigurePlan(
            key,
            f"Confusion matrices, cohort {cohort.cohort}: cases, and their share of the row in percent, as far as they "
            "can be read at this width; all stand in the table confusion.",
            partial(confusion_figure, page, palette),
        )
    agreement = _agreement_rows(tables["agreement"], {one.key: one.name for one in cohort.participants})
    for key, rows in _named(f"agreement_{name}", _pages(agreement, _forest_mm)):
        yield FigurePlan(
            key, f"Agreement among the readers with {level} intervals, cohort {cohort.cohort}.",
            partial(forest_figure, rows),
        )  # fmt: skip
    bins = tables["reliability_bins"]
    for key, panels in _named(f"calibration_{name}", _pages(*_calibration_panels(bins, palette))):
        yield FigurePlan(
            key,
            f"Observed share of each class by the probability that the model gave it, with {level} intervals, cohort "
            f"{cohort.cohort}.",
            partial(calibration_figure, bins[bins["class"].isin(panels)], palette),
        )


def _pages(items: Sequence[Any], height_mm: Callable[[Sequence[Any], float], float]) -> list[Sequence[Any]]:
    """Items in as few equal pages as are no taller than a journal's at any width; at worst each has its own."""
    for n in range(1, len(items) + 1):
        size = -(-len(items) // n)
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        if size == 1 or all(height_mm(part, width) <= TALLEST_MM for part in parts for width in WIDTHS_MM):
            return parts
    return []


def _named(name: str, pages: Sequence[Sequence[Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Pages of a figure with their names; the only one has none of its own."""
    for number, page in enumerate(pages, start=1):
        yield (name if len(pages) == 1 else f"{name}_page-{number}"), page


def _grid(n: int, most_columns: int) -> tuple[int, int]:
    """Rows and columns of panels, as few rows as fit and these of even length."""
    rows = -(-n // max(1, min(n, most_columns)))
    return rows, -(-n // rows)


def _new_figure(width_mm: float, height_mm: float) -> Figure:
    return Figure(figsize=(width_mm * _MM, min(height_mm, TALLEST_MM) * _MM), layout="constrained")


def _wrapped(text: str, width_mm: float) -> str:
    """A text in lines that fit a width at 8 points; long names break behind an underscore, a point or a stroke."""
    most = max(8, int(width_mm / 1.55))
    lines = [""]
    for part in _PARTS.findall(text):
        while len(part.rstrip()) > most:
            lines.append(part[:most])
            part = part[most:]
        if len(lines[-1]) + len(part.rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines if line.strip()) or text


# ---------------------------------------------------------------------------------------------- squares side by side
@dataclass(frozen=True)
class _Squares:
    """Places of square panels with one scale, and of the legend below them."""

    rows: int
    columns: int
    side: float  # of a panel with what belongs to it, millimetres
    height: float
    names: tuple[str, ...]  # of the legend, in lines
    legend_columns: int


def _squares(titles: Sequence[str], names: Sequence[str], width_mm: float) -> _Squares:
    """Plan squares under their titles."""
    rows, columns = _grid(len(titles), round(width_mm / 43))
    side = (width_mm - 12 - 3 * (columns - 1)) / columns
    title_mm = 3.4 * max(_wrapped(title, side).count("\n") + 1 for title in titles) + 2
    labels = tuple(_wrapped(name, width_mm - _HANDLE_MM - 10) for name in names)
    longest = max((len(line) for label in labels for line in label.split("\n")), default=1)
    legend_columns = max(1, int(width_mm / (_HANDLE_MM + 6 + 1.6 * longest)))
    lines = [label.count("\n") + 1 for label in labels]
    legend_mm = 3.9 * max((sum(lines[at::legend_columns]) for at in range(legend_columns)), default=0) + 4
    uneven_mm = 9 if len(titles) % columns else 0  # numbers and name of an axis above an empty place
    return _Squares(rows, columns, side, rows * (side + title_mm + 1.5) + 9 + uneven_mm + legend_mm, labels,
                    legend_columns)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- ROC
def _roc_names(
    cohort: CohortAnalysis, raters: Sequence[ParticipantAnalysis], palette: Palette, keys: Sequence[str]
) -> list[str]:
    """Who has a curve or a point in one of these panels, and the means of the readers."""
    drawn = [one for one in raters if any(_is_in_panel(one, key) for key in keys)]
    means = {one.arm for one in cohort.reader_average_roc if one.class_key in keys}
    return [*map(palette.label, drawn), *(_mean_name(cohort, arm) for arm in sorted(means))]


def _is_in_panel(one: ParticipantAnalysis, key: str) -> bool:
    return (one.macro_roc if key == _MACRO else one.of_class(key).roc) is not None


def _roc_panels(
    cohort: CohortAnalysis, raters: Sequence[ParticipantAnalysis], palette: Palette
) -> tuple[list[str], Callable[[Sequence[str], float], float]]:
    """Classes that have curves and their mean, and how tall some of them are."""
    keys = [key for key in (*cohort.class_counts, _MACRO) if any(_is_in_panel(one, key) for one in raters)]
    return (
        keys,
        lambda of, width: (
            _squares([_panel_title(palette, key) for key in of], _roc_names(cohort, raters, palette, of), width).height
        ),
    )


def _panel_title(palette: Palette, key: str) -> str:
    return "Mean over classes" if key == _MACRO else palette.class_labels[key]


def roc_figure(
    cohort: CohortAnalysis,
    raters: Sequence[ParticipantAnalysis],
    palette: Palette,
    width_mm: float,
    keys: Sequence[str],
) -> Figure:
    """One square for each class that has curves and one for their mean; bands of models, mean of readers."""
    titles = [_panel_title(palette, key) for key in keys]
    plan = _squares(titles, _roc_names(cohort, raters, palette, keys), width_mm)
    means = {one.arm: _mean_name(cohort, one.arm) for one in cohort.reader_average_roc}
    dashes = mean_dashes(means)
    rows, columns, side = plan.rows, plan.columns, plan.side
    figure = _new_figure(width_mm, plan.height)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for place, axes in enumerate(grid.ravel()):
        if place >= len(keys):
            axes.axis("off")
            continue
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.5, linestyle=":")
        for one in raters:
            if one.kind == "model":
                _draw_band(axes, one, keys[place], palette.style(one), cohort.confidence_level)
            line = _draw_rater(axes, one, keys[place], palette.style(one))
            if line is not None:
                handles.setdefault(palette.label(one), line)
        for mean in (one for one in cohort.reader_average_roc if one.class_key == keys[place]):
            (line,) = axes.plot(mean.curve.false_positive_rate, mean.curve.sensitivity, color="black", linewidth=1.7,
                                linestyle=_line(dashes[mean.arm]))  # fmt: skip
            handles.setdefault(means[mean.arm], line)
        _frame_square(axes, titles[place], side, is_lowest=place + columns >= len(keys))
        _name_axes(axes, "1 − specificity", "Sensitivity", place, columns, len(keys))
    _legend(figure, handles, plan, width_mm)
    return figure


def _legend(figure: Figure, handles: Mapping[str, Any], plan: _Squares, width_mm: float) -> None:
    """Who is drawn how, below the panels."""
    labels = [_wrapped(name, width_mm - _HANDLE_MM - 10) for name in handles]
    figure.legend(handles.values(), labels, loc="outside lower center", ncols=plan.legend_columns,
                  handlelength=_HANDLE_MM * _MM * 72 / 8, labelspacing=0.3)  # fmt: skip


def _mean_name(cohort: CohortAnalysis, arm: str) -> str:
    """What the mean curve of the readers of an arm is called."""
    arms = {one.arm for one in cohort.reader_average_roc}
    return f"Mean of the readers, {arm}" if len(arms) > 1 else "Mean of the readers"


def _draw_band(axes: Axes, one: ParticipantAnalysis, key: str, style: RaterStyle, confidence_level: float) -> None:
    """The region that holds a model's curve, between its upper and its lower edge; a mean of classes has none."""
    roc = None if key == _MACRO else one.of_class(key).roc
    if roc is None or roc.curve is None or not roc.is_curve:
        return
    band = roc_band(roc.curve, confidence_level=confidence_level)
    upper = np.lexsort((band.sensitivity_upper, band.rate_lower))
    lower = np.lexsort((band.sensitivity_lower, band.rate_upper))[::-1]
    x = [0, *band.rate_lower[upper], 1, *band.rate_upper[lower], 0]
    y = [0, *band.sensitivity_upper[upper], 1, *band.sensitivity_lower[lower], 0]
    axes.fill(x, y, color=style.colour, alpha=0.13, linewidth=0)


def _frame_square(axes: Axes, title: str, side_mm: float, *, is_lowest: bool) -> None:
    """One scale on both axes; numbers below where nothing stands below."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set_title(_wrapped(title, side_mm))
    axes.tick_params(labelbottom=is_lowest)


def _name_axes(axes: Axes, x: str, y: str, place: int, columns: int, n: int) -> None:
    """Names of axes at the outer panels only."""
    axes.set_xlabel(x if place + columns >= n else "")
    axes.set_ylabel(y if place % columns == 0 else "")


def _draw_rater(axes: Axes, one: ParticipantAnalysis, key: str, style: RaterStyle) -> Line2D | None:
    """The curve of a rater, and the mark of the chosen class; a handle for the legend."""
    roc, look = one.macro_roc if key == _MACRO else one.of_class(key).roc, _look(style)
    has_curve = roc is not None and roc.is_curve
    if roc is not None and has_curve:
        axes.plot(roc.false_positive_rate, roc.sensitivity, color=style.colour, linestyle=_line(style.dash))
    chosen = {} if key == _MACRO else one.of_class(key).quantities
    sensitivity, specificity = (chosen.get(name) for name in ("sensitivity", "specificity"))
    points: tuple[list[float], list[float]] = ([], [])
    if sensitivity is not None and specificity is not None:
        if sensitivity.value is not None and specificity.value is not None:
            points = ([1 - specificity.value], [sensitivity.value])
    elif roc is not None and not has_curve:
        points = (roc.false_positive_rate.tolist(), roc.sensitivity.tolist())
    for drawn in axes.plot(*points, linestyle="none", zorder=3, clip_on=False, **look):
        drawn.set_in_layout(False)
    if not points[0] and not has_curve:
        return None
    mark = look if points[0] else {"color": style.colour}
    return Line2D([], [], linestyle=_line(style.dash) if has_curve else "none", **mark)


def _line(dash: Dash) -> Any:
    """A dash as matplotlib takes it, in widths of the line too."""
    return (0, dash) if dash else "-"


def _look(style: RaterStyle) -> dict[str, Any]:
    """Mark of a rater."""
    return {"marker": _MARKS[style.mark], "color": style.colour, "markeredgecolor": style.colour,
            "markerfacecolor": "white" if style.is_open else style.colour, "markeredgewidth": 0.9,
            "markersize": 4.5 * style.relative_size}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- forest
@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot; without a value a heading."""

    text: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    shown: str = ""  # the estimate as the tables print it
    group: str = ""  # rows of one group share an axis
    style: RaterStyle | None = None
    reference: float | None = None  # a line to compare with


def _forest_rows(cohort: CohortAnalysis, raters: Sequence[ParticipantAnalysis], palette: Palette) -> list[ForestRow]:
    """Accuracy of everybody, then the differences of the first model and of the arms."""
    rows = []
    for one in raters:
        accuracy = one.quantities.get("accuracy")
        if accuracy is not None and accuracy.value is not None:
            rows.append(_row(palette.label(one), accuracy, "Accuracy", palette.style(one)))
    models = [one.key for one in raters if one.kind == "model"][:1]
    for pair in cohort.comparisons:
        of_arms = pair.first.key == pair.second.key
        if pair.difference.value is None or not (
            of_arms or (pair.first.key in models and pair.second.kind == "reader")
        ):
            continue
        first, second = (palette.labels[one.key, one.arm] for one in (pair.first, pair.second))
        rows.append(_row(f"{first} − {second}", pair.difference, "Difference in accuracy",
                         palette.styles[pair.second.key, pair.second.arm], reference=0.0))  # fmt: skip
    return rows


def _row(text: str, estimate: Any, group: str, style: RaterStyle | None, reference: float | None = None) -> ForestRow:
    shown = estimate_text(estimate.value, estimate.lower, estimate.upper)
    return ForestRow(text, estimate.value, estimate.lower, estimate.upper, shown, group, style, reference)


def _agreement_rows(table: pd.DataFrame, people: Mapping[str, str]) -> list[ForestRow]:
    """All readers of an arm by each statistic, and pairs by Cohen's kappa where they are few."""
    names = {"percent_agreement": "Percent agreement", "fleiss_kappa": "Fleiss' kappa", "gwet_ac1": "Gwet's AC1",
             "conger_kappa": "Conger's kappa", "krippendorff_alpha": "Krippendorff's alpha",
             "cohen_kappa": "Cohen's kappa", "brennan_prediger": "Brennan-Prediger"}  # fmt: skip
    arms, rows = table["arm"].nunique(), []
    is_pair = table["scope"].isin(["pair", "within"]) & (table["statistic"] == "cohen_kappa")
    chosen = table[(table["scope"] == "between") | (is_pair & (is_pair.sum() <= _MOST_PAIRS))]
    for one in chosen.itertuples(index=False):
        if pd.isna(one.value):
            continue
        first, second = people.get(one.first), people.get(one.second)
        who = {"between": names.get(one.statistic, one.statistic), "pair": f"{first} and {second}",
               "within": f"{first}, read twice"}[one.scope]  # fmt: skip
        group = {"between": "All readers", "pair": "Cohen's kappa of pairs", "within": "Same reader, again"}[one.scope]
        text = f"{who}, {one.arm}" if arms > 1 else who
        rows.append(ForestRow(text, one.value, one.lower, one.upper, one.estimate, group, reference=0.0))
    return rows


def _forest_lines(rows: Sequence[ForestRow], width_mm: float) -> tuple[dict[str, list[str]], float, float]:
    """Names in lines by group, and millimetres for names and numbers."""
    numbers_mm = 1.6 * max(len(row.shown) for row in rows)
    names_mm = min(1.6 * max(len(row.text) for row in rows), max(26.0, width_mm - numbers_mm - 20))
    groups = dict.fromkeys(row.group for row in rows)
    return (
        {name: [_wrapped(row.text, names_mm) for row in rows if row.group == name] for name in groups},
        names_mm,
        numbers_mm,
    )


def _forest_mm(rows: Sequence[ForestRow], width_mm: float) -> float:
    """Height of a forest plot."""
    texts, _, _ = _forest_lines(rows, width_mm)
    lines = sum(text.count("\n") + 1.35 for of in texts.values() for text in of)
    return lines * 3.6 + 13 * len(texts) + 4


def forest_figure(rows: Sequence[ForestRow], width_mm: float) -> Figure:
    """Points with intervals, one panel for each group, the numbers at the right as the tables print them."""
    texts, names_mm, numbers_mm = _forest_lines(rows, width_mm)
    lines = [sum(text.count("\n") + 1.35 for text in of) for of in texts.values()]
    figure = _new_figure(width_mm, _forest_mm(rows, width_mm))
    panels = figure.subplots(len(texts), 1, squeeze=False, height_ratios=[of + 1 for of in lines])
    plot_mm = width_mm - names_mm - numbers_mm - 6
    for axes, (name, of) in zip(panels.ravel(), texts.items(), strict=True):
        _draw_forest(axes, name, [row for row in rows if row.group == name], of, plot_mm)
    return figure


def _draw_forest(axes: Axes, title: str, rows: Sequence[ForestRow], names: Sequence[str], plot_mm: float) -> None:
    """One panel; rows with two lines of text take their room."""
    heights = [name.count("\n") + 1.35 for name in names]
    places = -(np.cumsum(heights) - np.asarray(heights) / 2)
    reference = rows[0].reference
    if reference is not None and min(_limits(row)[0] for row in rows) <= 0.15:
        axes.axvline(reference, color=_GREY, linewidth=0.6, linestyle=":")
    for row, y in zip(rows, places, strict=True):
        colour = row.style.colour if row.style else "black"
        lower, upper = _limits(row)
        axes.plot([lower, upper], [y, y], color=colour, linewidth=1.1, solid_capstyle="butt")
        look = _look(row.style) if row.style else {"marker": "o", "color": "black"}
        axes.plot([float(row.value or 0.0)], [y], linestyle="none", **look)
    axes.set_yticks(places, names)
    axes.set_ylim(-sum(heights) - 0.2, 0.2)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(title)
    axes.set_xticks(_ticks(*axes.get_xlim(), plot_mm))
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(places, [row.shown for row in rows])
    right.tick_params(axis="y", length=0)
    right.spines[:].set_visible(False)


def _ticks(lower: float, upper: float, plot_mm: float) -> list[float]:
    """Round numbers between two limits, as many as do not touch; two at least, where two fit: one alone is no scale."""
    found: list[float] = []
    for most in (4, 3, 2, 1):
        found = [float(tick) for tick in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(lower, upper)
                 if lower <= tick <= upper]  # fmt: skip
        if len(found) < 2 or _stand_apart(found, upper - lower, plot_mm):
            break
    if len(found) > 1 and _stand_apart(found, upper - lower, plot_mm):
        return found
    finer = [float(tick) for tick in MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(lower, upper)
             if lower <= tick <= upper]  # fmt: skip
    ends = finer[:: max(1, len(finer) - 1)]
    return ends if len(ends) > 1 and _stand_apart(ends, upper - lower, plot_mm) else ends[:1]


def _stand_apart(ticks: Sequence[float], span: float, plot_mm: float) -> bool:
    """Whether the numbers at an axis of this length leave room between them."""
    step = ticks[1] - ticks[0]
    digits = next(n for n in range(8) if n == 7 or all(abs(round(tick, n) - tick) < 1e-9 for tick in ticks))
    longest = max(len(f"{tick:.{digits}f}") for tick in ticks)
    return step / span * plot_mm >= _LETTER_MM * longest + _APART_MM


def _limits(row: ForestRow) -> tuple[float, float]:
    """The interval, or the value where there is none."""
    value = float(row.value) if row.value is not None else float("nan")
    lower, upper = (value if limit is None or pd.isna(limit) else float(limit) for limit in (row.lower, row.upper))
    return lower, upper


# ------------------------------------------------------------------------------------------------------- confusion
def _class_key(palette: Palette, width_mm: float) -> list[str]:
    """Number and name of each class, where a name is too long for an axis; else none."""
    labels = list(palette.short_labels.values())
    if max(map(len, labels)) <= _LONGEST_ON_AXIS:
        return []
    return [_wrapped(f"{number} {label}", width_mm - 6) for number, label in enumerate(labels, start=1)]


def _key_mm(key: Sequence[str]) -> float:
    """Height of a key of classes."""
    return 3.55 * sum(text.count("\n") + 1 for text in key) + (10 if key else 0)


@dataclass(frozen=True)
class _Matrices:
    """Places of confusion matrices."""

    rows: int
    columns: int
    cell: float  # side of a cell, millimetres
    height: float
    labels: tuple[str, ...]
    key: tuple[str, ...]


def _matrices(raters: Sequence[ParticipantAnalysis], palette: Palette, width_mm: float) -> _Matrices:
    """Plan matrices: cells with room for two numbers where the width has it, smaller ones of many classes."""
    key = tuple(_class_key(palette, width_mm))
    k = len(palette.short_labels)
    labels = tuple(str(number) for number in range(1, k + 1)) if key else tuple(palette.short_labels.values())
    label_mm = 1.7 * max(map(len, labels)) + 5
    wished = 9.5 * k + label_mm + 2
    rows, columns = _grid(len(raters), max(1, int(width_mm // max(38.0, wished))))
    side = min(width_mm / columns, max(78.0, wished))
    cell = (side - label_mm - 2) / k
    below_mm = 5.0 if key or cell >= 1.7 * max(map(len, labels)) + 1 else 1 + 1.7 * max(map(len, labels))
    titles = max(_wrapped(palette.label(one), k * cell).count("\n") + 1 for one in raters)
    height = rows * (k * cell + below_mm + 3.4 * titles + 3) + 5 + _key_mm(key)
    return _Matrices(rows, columns, cell, height, labels, key)


def confusion_figure(raters: Sequence[ParticipantAnalysis], palette: Palette, width_mm: float) -> Figure:
    """Rows: reference standard; columns: answer; colour and percent: share of the row.

    Classes whose names are too long for an axis have numbers there, and a key below. Numbers that a cell has no room
    for are left out: none is smaller than the other letters.
    """
    plan = _matrices(raters, palette, width_mm)
    k, key, labels, rows, columns = len(plan.labels), plan.key, plan.labels, plan.rows, plan.columns
    figure = _new_figure(width_mm, plan.height)
    if key:
        figure.legend([Line2D([], [], linestyle="none")] * k, key, loc="outside lower left", handlelength=0,
                      handletextpad=0, labelspacing=0.2)  # fmt: skip
    most = max(int(np.max(one.confusion)) for one in raters if one.confusion is not None)
    has_counts = plan.cell >= max(3.2, 1.8 * len(str(most)) + 0.4)
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        if place >= len(raters):
            axes.axis("off")
            continue
        counts = np.asarray(raters[place].confusion)
        totals = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(k, k) if has_counts else ():
            text = f"{counts[row, column]}"
            if plan.cell >= 9 and totals[row, 0]:
                text += f"\n{100 * share[row, column]:.1f}"
            colour = "white" if share[row, column] > 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour)
        _name_classes(axes, labels, plan.cell)
        axes.set_title(_wrapped(palette.label(raters[place]), k * plan.cell))
        axes.spines[:].set_visible(False)
    for place, axes in enumerate(figure.axes[: len(raters)]):  # beside the matrices, not beside the key
        axes.set_xlabel("Answer" if place + columns >= len(raters) else "")
        axes.set_ylabel("Reference standard" if place % columns == 0 else "")
    return figure


def _name_classes(axes: Axes, labels: Sequence[str], cell_mm: float) -> None:
    """Names at both axes of a matrix, turned where they would touch; of very many only every second, third, ..."""
    step = max(1, int(np.ceil(3.2 / cell_mm)))
    places = range(0, len(labels), step)
    longest_mm = 1.7 * max(map(len, labels)) + 1
    turn = 0 if step * cell_mm >= longest_mm else 35 if step * cell_mm >= 5.5 and longest_mm > 6 else 90
    shown = [labels[at] for at in places]
    axes.set_xticks(places, shown, rotation=turn, ha="center" if turn != 35 else "right",
                    rotation_mode="anchor" if turn == 35 else None)  # fmt: skip
    axes.set_yticks(places, shown)
    axes.tick_params(length=0)


# ----------------------------------------------------------------------------------------------------- calibration
def _calibration_panels(
    bins: pd.DataFrame, palette: Palette
) -> tuple[list[str], Callable[[Sequence[str], float], float]]:
    """Classes that have bins, and how tall some of them are."""
    models = list(bins["name"].drop_duplicates())
    return list(
        bins["class"].drop_duplicates()
    ), lambda of, width: _squares([_bins_title(palette, key) for key in of], models, width).height


def _bins_title(palette: Palette, key: str) -> str:
    return {**palette.class_labels, "top_label": "Most probable class", "all": "All classes"}.get(key, key)


def calibration_figure(bins: pd.DataFrame, palette: Palette, width_mm: float) -> Figure:
    """One square for each class, every model in it."""
    keys = list(bins["class"].drop_duplicates())
    models = bins[["participant", "name"]].drop_duplicates()
    titles = [_bins_title(palette, key) for key in keys]
    plan = _squares(titles, list(models["name"]), width_mm)
    rows, columns, side = plan.rows, plan.columns, plan.side
    figure = _new_figure(width_mm, plan.height)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for place, axes in enumerate(grid.ravel()):
        if place >= len(keys):
            axes.axis("off")
            continue
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.5, linestyle=":")
        for model in models.itertuples(index=False):
            part = bins[(bins["class"] == keys[place]) & (bins["participant"] == model.participant)]
            style = palette.styles[model.participant, ""]
            value = part["value"].to_numpy(float)
            error = np.abs(
                np.nan_to_num([value - part["lower"].to_numpy(float), part["upper"].to_numpy(float) - value])
            )
            handles[model.name] = axes.errorbar(
                part["mean_probability"],
                value,
                yerr=error,
                linestyle=_line(style.dash),
                elinewidth=0.7,
                clip_on=False,
                **_look(style),
            )
        _frame_square(axes, titles[place], side, is_lowest=place + columns >= len(keys))
        _name_axes(axes, "Mean probability", "Observed share", place, columns, len(keys))
    _legend(figure, handles, plan, width_mm)
    return figure


# ------------------------------------------------------------------------------------------------------------ flow
def flow_figure(flow: pd.DataFrame, width_mm: float) -> Figure:
    """Boxes from what was imported to what was read and predicted (STARD 2015, item 19)."""
    cohorts = list(flow.loc[flow["step"] == "cohort", "cohort"])
    per_row = max(1, min(len(cohorts), int(width_mm // 40)))
    box_mm = width_mm / per_row - (3 if len(cohorts) <= per_row else 6)
    excluded = flow[flow["step"] == "excluded"]
    reasons = [_wrapped(f"{_counted(row)}: {row.what}", width_mm * 0.4) for row in excluded.itertuples(index=False)]
    side_text = "\n".join(["Excluded", *reasons]) if reasons else ""
    ends = {name: _cohort_text(flow, name, box_mm) for name in cohorts}
    tallest = max((text.count("\n") + 1 for text in ends.values()), default=0)
    rows = -(-len(cohorts) // per_row) if cohorts else 0
    top_mm, side_mm, end_mm = _box_mm(2), _box_mm(side_text.count("\n") + 1) if side_text else 4.0, _box_mm(tallest)
    height = top_mm + max(side_mm + 4, 8) + top_mm + rows * (end_mm + 7) + 2
    figure = Figure(figsize=(width_mm * _MM, min(height, TALLEST_MM) * _MM))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width_mm), ylim=(-height, 0))
    axes.axis("off")
    left = width_mm * (0.27 if side_text else 0.5)
    imported = next(flow[flow["step"] == "imported"].itertuples(index=False))
    included = next(flow[flow["step"] == "included"].itertuples(index=False))
    first_y = -1 - top_mm / 2
    second_y = first_y - top_mm / 2 - max(side_mm + 4, 8) - top_mm / 2
    _box(axes, left, first_y, f"Imported\n{_counted(imported)}")
    _arrow(axes, (left, first_y - top_mm / 2), (left, second_y + top_mm / 2))
    if side_text:
        middle = (first_y + second_y) / 2
        _arrow(axes, (left, middle), (width_mm * 0.53, middle))
        _box(axes, width_mm * 0.53, middle, side_text, align="left")
    _box(axes, left, second_y, f"Included\n{_counted(included)}")
    trunk_x = 1.5  # beside the boxes, where there is more than one row of them
    for number, name in enumerate(cohorts):
        row, column = divmod(number, per_row)
        x = (column + 0.5) * width_mm / per_row + (trunk_x if rows > 1 else 0.0)
        y = second_y - top_mm / 2 - 7 - row * (end_mm + 7) - end_mm / 2
        bend = y + end_mm / 2 + 3.5
        top = y + _box_mm(ends[name].count("\n") + 1) / 2
        if row == 0:
            axes.plot([left, left, x], [second_y - top_mm / 2, bend, bend], color="black", linewidth=0.6)
        else:
            above = bend + end_mm + 7
            axes.plot([x, trunk_x, trunk_x, x], [above, above, bend, bend], color="black", linewidth=0.6)
        _arrow(axes, (x, bend), (x, top))
        _box(axes, x, y, ends[name])
    return figure


def _box_mm(n_lines: int) -> float:
    """Height of a box."""
    return 3.55 * n_lines + 2.6


def _counted(row: Any) -> str:
    """Cases, and patients where they are other in number."""
    cases = f"{row.n_cases} case{'' if row.n_cases == 1 else 's'}"
    return cases if row.n_cases == row.n_patients else f"{cases} of {row.n_patients} patients"


def _cohort_text(flow: pd.DataFrame, cohort: str, box_mm: float) -> str:
    """The lines of a cohort's box."""
    lines = []
    for row in flow[flow["cohort"] == cohort].itertuples(index=False):
        text = {"cohort": f"{cohort}: {_counted(row)}", "read": f"read: {cell_text(row.n_cases, 'n')}",
                "predicted": f"predicted by {row.what}: {row.n_cases}"}.get(row.step)  # fmt: skip
        if text:
            lines.append(_wrapped(text, box_mm - 3))
    return "\n".join(lines)


def _box(axes: Axes, x: float, y: float, text: str, align: str = "center") -> None:
    axes.text(x, y, text, ha=align, va="center", linespacing=1.25,
              bbox={"boxstyle": "square,pad=0.45", "facecolor": "white", "edgecolor": "black",
                    "linewidth": 0.6})  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "linewidth": 0.6, "color": "black",
                                                        "shrinkA": 0, "shrinkB": 0})  # fmt: skip
