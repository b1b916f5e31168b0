"""Charts drawn from the tables of the analysis; nothing is computed here but positions and labels.

Charts stand on white, as they will in a paper, so that what is looked at is what the chart's own menu saves as SVG.
Colours and marks are those of :mod:`core.rater_styles`. Intervals are drawn wherever the table has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, floor, log10
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.model.faithfulness import PerturbationCurve
from core.number_text import DIGITS, PERCENT_DIGITS, estimate_text, number_text
from core.rater_styles import PALETTE, Dash, RaterStyle, mean_dashes

INK, GRID, MUTED = "#16191d", "#e3e6ea", "#5a626b"
#: Of more classes a matrix has no text where no case is.
MANY_CLASSES = 8
#: More curves than this are drawn thin and grey behind the average; the pointer names them.
MOST_CURVES = 6

Styles = Mapping[str, RaterStyle]

QUANTITY_LABELS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "kappa": "Cohen's kappa against the reference standard",
    "macro_sensitivity": "Sensitivity, mean over classes",
    "macro_specificity": "Specificity, mean over classes",
    "macro_ppv": "PPV, mean over classes",
    "macro_npv": "NPV, mean over classes",
    "macro_f1": "F1, mean over classes",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}


def chart_config(name: str) -> dict[str, Any]:
    """The chart's own menu: one button, which saves vector graphics under this name."""
    return {
        "displaylogo": False,
        "modeBarButtonsToRemove": [
            "zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d",
        ],
        "toImageButtonOptions": {"format": "svg", "filename": name, "scale": 1},
    }  # fmt: skip


def _frame(figure: go.Figure, *, height: int, legend: bool = True) -> go.Figure:
    """The look that all charts share."""
    figure.update_layout(
        template="plotly_white",
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": "Arial, Helvetica, sans-serif", "size": 13, "color": INK},
        height=height,
        margin={"l": 10, "r": 14, "t": 30, "b": 10},
        hoverlabel={"namelength": -1},
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "top", "y": -0.16, "x": 0, "itemwidth": 52},  # room for a whole dash
    )
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        "linecolor": MUTED,
        "ticks": "outside",
        "title_font_size": 13,
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def _interval(rows: pd.DataFrame, factor: float = 1.0) -> dict[str, object]:
    """Error bars from the lower and upper columns."""
    value = rows["value"].to_numpy(float)
    return {
        "type": "data",
        "symmetric": False,
        "array": factor * np.nan_to_num(rows["upper"].to_numpy(float) - value),
        "arrayminus": factor * np.nan_to_num(value - rows["lower"].to_numpy(float)),
        "thickness": 1.6,
        "width": 4,
    }


def _shortened(name: str, most: int = 34) -> str:
    """A name that fits an axis, with its beginning and its end, where names differ; the pointer shows it whole."""
    if len(name) <= most:
        return _plain(name)
    n_end = most // 3
    return _plain(f"{name[: most - n_end - 1].rstrip()}…{name[-n_end:].lstrip()}")


def _in_lines(name: str, width: int = 16, most: int = 2) -> str:
    """A name in short lines, cut before its end, where names differ; the pointer shows it whole."""
    lines = wrap(name, width)
    if len(lines) > most:
        lines = [*lines[: most - 1], f"…{name[1 - width :].lstrip()}"]
    return "<br>".join(map(_plain, lines))


def _plain(name: str) -> str:
    """A name that the chart shows as it is: what looks like markup is none."""
    return name.replace("&", "&amp;").replace("<", "&lt;")


def _mark(style: RaterStyle, size: int = 11) -> dict[str, Any]:
    edge = {"color": style.colour, "width": 1.6}
    return {"color": style.colour, "symbol": style.symbol, "size": size * style.relative_size, "line": edge}


def _line(colour: str, dash: Dash, width: float) -> dict[str, Any]:
    """A line whose strokes and gaps grow with its width, as those of the printed figures do."""
    lengths = ",".join(f"{width * length:.3g}px" for length in dash)
    return {"color": colour, "width": width, "dash": lengths or "solid"}


def _transparent(colour: str) -> str:
    """The colour of a band around a line."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def forest_chart(
    rows: pd.DataFrame,
    differences: pd.DataFrame,
    styles: Styles,
    reference: str,
    title: str = "Right answers",
    *,
    is_percent: bool = True,
) -> go.Figure:
    """A quantity of every rater, and beside it the difference of one of them from each.

    Parameters
    ----------
    rows : table with label, value, lower, upper, n; one row a rater, in the order of the chart
    differences : table with label, value, lower, upper: the reference minus the rater; may lack raters
    reference : str
        Label of the rater whose differences from the others are shown.
    title : str
        What the quantity is called.
    is_percent : bool
        Shares are written in percent, areas as they are.
    """
    factor, unit = (100.0, ", %") if is_percent else (1.0, "")
    names = rows["label"].tolist()
    own = [_Interval(factor, *row) for row in rows[["value", "lower", "upper"]].itertuples(index=False, name=None)]
    gaps = {
        label: _Interval(factor, *limits)
        for label, *limits in differences[["label", "value", "lower", "upper"]].itertuples(index=False, name=None)
    }
    wide, text_at = ((0.0, 0.36), 0.37) if gaps else ((0.0, 1.0), 1.01)
    traces: list[dict[str, Any]] = []
    texts = [_head(f"{title}{unit} ({100 * _level(rows):g} % interval)", 0.0)]
    for place, (name, interval, n) in enumerate(zip(names, own, rows["n"].tolist(), strict=True)):
        style = styles.get(name)
        mark = _mark(style) if style else {"color": INK, "symbol": "diamond-wide", "size": 13}
        colour = style.colour if style else INK
        told = f"{interval.told}, n = {n}<extra>{_plain(name)}</extra>"
        traces.append(_row_of_forest(name, place, interval, mark, colour, told))
        texts.append(_beside(interval.told, text_at, place))
        if name in gaps:
            told = f"{_plain(reference)} − {_plain(name)}: {gaps[name].told}<extra></extra>"
            traces.append(_row_of_forest(name, place, gaps[name], mark, colour, told) | {"xaxis": "x2"})
            texts.append(_beside(gaps[name].told, 1.01, place))
    layout: dict[str, Any] = {
        "xaxis": {"domain": list(wide), **_span(own, factor)},
        "yaxis": {  # by place: names that are numbers are no numbers here
            "range": [len(names) - 0.5, -0.5], "tickvals": list(range(len(names))),
            "ticktext": [_shortened(name) for name in names],
        },
    }  # fmt: skip
    if gaps:
        texts.append(_head(f"{_shortened(reference, 24)} minus rater{', points' if is_percent else ''}", 0.64))
        layout["xaxis2"] = {"domain": [0.64, 1.0], "anchor": "y", **_span(gaps.values(), factor, zero=True)}
        layout["shapes"] = [
            {"type": "line", "xref": "x2", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1,
             "line": {"color": MUTED, "dash": "dot", "width": 1}}
        ]  # fmt: skip
    layout["annotations"] = texts  # at once: one by one, each checks all before it again
    framed = _frame(go.Figure(traces, layout), height=84 + 27 * max(2, len(names)), legend=False)
    longest = max((len(each["text"]) for each in texts if each["x"] >= 1), default=22)
    return framed.update_layout(margin={"t": 44, "r": 12 + 7 * longest})  # room for the texts, at any width


class _Interval:
    """A number with its limits, in the unit of the chart."""

    def __init__(self, factor: float, value: float, lower: float, upper: float) -> None:
        self.value, self.lower, self.upper = (factor * float(each) for each in (value, lower, upper))
        #: 94.4 (92.1 to 96.1), or 0.944 (0.921 to 0.961): the unit stands above the column
        self.told = estimate_text(self.value, self.lower, self.upper, PERCENT_DIGITS if factor > 1 else DIGITS)


def _row_of_forest(
    name: str, place: int, interval: _Interval, mark: Mapping[str, Any], colour: str, told: str
) -> dict[str, Any]:
    """A mark with its interval."""
    sides = (interval.upper - interval.value, interval.value - interval.lower)
    above, below = ([0.0 if np.isnan(side) else side] for side in sides)
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.6, "width": 4}
    return {
        "type": "scatter", "x": [interval.value], "y": [place], "error_x": {**bars, "color": colour}, "mode": "markers",
        "marker": mark, "hovertemplate": told, "name": name, "cliponaxis": False,
    }  # fmt: skip


def _level(rows: pd.DataFrame) -> float:
    return float(rows["confidence_level"].iloc[0]) if "confidence_level" in rows.columns and len(rows) else 0.95


def _beside(text: str, x: float, place: int) -> dict[str, Any]:
    """A text beside a row."""
    return {
        "text": text, "x": x, "xref": "paper", "y": place, "yref": "y", "xanchor": "left", "showarrow": False,
        "font": {"size": 12.5},
    }  # fmt: skip


def _head(text: str, x: float) -> dict[str, Any]:
    """The title of a column of a forest plot."""
    return {
        "text": f"<b>{text}</b>", "x": x, "xref": "paper", "y": 1, "yref": "paper", "xanchor": "left",
        "yanchor": "bottom", "yshift": 6, "showarrow": False, "font": {"size": 13},
    }  # fmt: skip


def _span(intervals: Iterable[_Interval], factor: float, *, zero: bool = False) -> dict[str, Any]:
    """An axis that holds all limits: its range, and ticks without a minus before 0 or letters for powers of ten."""
    values = np.array([[one.value, one.lower, one.upper] for one in intervals]).ravel()
    values = np.append(values[~np.isnan(values)], [0.0] if zero else [])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, factor)
    room = max(0.06 * (high - low), 0.005 * factor)
    low, high = low - room, high + room if zero else min(high + room, 1.01 * factor)
    step = 10.0 ** floor(log10((high - low) / 2))
    step *= next(times for times in (5, 2, 1) if (high - low) / (times * step) >= 2 or times == 1)
    ticks = step * np.arange(ceil(low / step), floor(high / step) + 1)
    digits = max(0, -floor(log10(step)))
    texts = [number_text(tick, digits) for tick in ticks.tolist()]
    return {"range": [low, high], "tickvals": ticks.tolist(), "ticktext": texts}


def per_class_chart(
    rows: pd.DataFrame, class_labels: Mapping[Any, str], styles: Styles, title: str, digits: int = DIGITS
) -> go.Figure:
    """One quantity by class (or any other level), raters side by side.

    Parameters
    ----------
    rows : table with class, label, value, lower, upper, n; one row a rater and class
    title : str
        Of the vertical axis.
    digits : int
        After the point, of the numbers under the pointer.
    """
    figure = go.Figure()
    number = f":.{digits}f"
    present = set(rows["label"])
    names = [name for name in styles if name in present] + [n for n in dict.fromkeys(rows["label"]) if n not in styles]
    offsets = np.linspace(-0.3, 0.3, len(names)) if len(names) > 1 else [0.0]
    keys = list(class_labels)
    for offset, name in zip(offsets, names, strict=True):
        group = rows[rows["label"] == name]
        style = styles.get(name)
        colour = style.colour if style else INK
        figure.add_trace(
            go.Scatter(
                x=[keys.index(key) + offset for key in group["class"]],
                y=group["value"],
                error_y={**_interval(group), "color": colour},
                mode="markers",
                marker=_mark(style, 9) if style else {"color": INK, "size": 9},
                name=_shortened(name),
                customdata=group[["lower", "upper", "n"]],
                hovertemplate=f"%{{y{number}}} (%{{customdata[0]{number}}} to %{{customdata[1]{number}}})"
                f"<br>n = %{{customdata[2]}}<extra>{_plain(name)}</extra>",
            )
        )
    figure.update_xaxes(tickvals=list(range(len(keys))), ticktext=[_plain(each) for each in class_labels.values()],
                        showgrid=False)  # fmt: skip
    figure.update_yaxes(title=_plain(title))
    return _frame(figure, height=360 + 22 * (len(names) // 5))


def roc_chart(
    points: pd.DataFrame,
    operating: pd.DataFrame,
    average: pd.DataFrame,
    styles: Styles,
    size: int = 520,
) -> go.Figure:
    """ROC curves of one class against the rest, square and on one scale; a hard label is one point and no curve.

    Parameters
    ----------
    points : rows of ``roc_points`` for one cohort and class; the band is that of the first model
    operating : table with label, false_positive_rate, sensitivity, told: where each rater's chosen class puts it, and
        what the pointer says there
    average : rows of ``reader_average_roc`` for the same; one heavy line for each arm
    size : int
        Height in pixels; the axes are square within it.
    """
    figure = go.Figure()
    chance = {"color": MUTED, "dash": "dot", "width": 1}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=chance, showlegend=False, hoverinfo="skip"))
    curves = points[~points["is_hard_label"].astype(bool)]
    kinds = dict(points[["label", "kind"]].itertuples(index=False))
    with_band = next((name for name in styles if kinds.get(name) == "model" and name in set(curves["label"])), None)
    is_crowded = sum(kinds[name] == "reader" for name in dict.fromkeys(curves["label"])) > MOST_CURVES
    marked, faint = set(operating["label"]), set()
    for name in [name for name in styles if name in set(curves["label"])]:
        group, style = curves[curves["label"] == name], styles[name]
        is_faint = is_crowded and kinds[name] == "reader"
        faint |= {name} if is_faint else set()
        if name == with_band:
            figure.add_trace(_band(group, style.colour, name))
        figure.add_trace(
            go.Scatter(
                x=group["false_positive_rate"],
                y=group["sensitivity"],
                mode="lines",
                line={"color": "#b9c0c8", "width": 1} if is_faint else _line(style.colour, style.dash, 2.4),
                name=_shortened(name),
                legendgroup=name,
                showlegend=not is_faint and name not in marked,
                customdata=[[f"<br>rating > {at:.3g}" if pd.notna(at) else ""] for at in group["threshold"]],
                hovertemplate="sensitivity %{y:.3f}, 1 − specificity %{x:.3f}%{customdata[0]}"
                f"<extra>{_plain(name)}</extra>",
            )
        )  # fmt: skip
    dashes = mean_dashes(average["arm"])
    for arm, group in average.groupby("arm", sort=False):
        n, area = group["n_readers"].iloc[0], group["area"].iloc[0]
        figure.add_trace(
            go.Scatter(
                x=group["false_positive_rate"], y=group["sensitivity"], mode="lines",
                line=_line(INK, dashes[arm], 3), legendrank=1001,
                name=f"Mean of {n} readers{f', {arm}' if average['arm'].nunique() > 1 else ''}: AUC {area:.3f}",
                hovertemplate="mean of the readers: sensitivity %{y:.3f}, 1 − specificity %{x:.3f}<extra></extra>",
            )
        )  # fmt: skip
    named = set(curves["label"]) - faint
    for row in operating.itertuples(index=False):
        style = styles[row.label]
        figure.add_trace(
            go.Scatter(
                x=[row.false_positive_rate], y=[row.sensitivity],
                mode="lines+markers" if row.label in named else "markers",  # one point has no line but in the legend
                line=_line(style.colour, style.dash, 2.4),
                marker=_mark(style) | ({} if style.is_open else {"line": {"color": "white", "width": 1.4}}),
                name=_shortened(row.label), legendgroup=row.label,
                showlegend=row.label not in faint, cliponaxis=False,
                hovertemplate=f"{row.told}<extra>{_plain(row.label)}</extra>",
            )
        )  # fmt: skip
    ticks = {"tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1], "range": [-0.02, 1.02], "constrain": "domain"}
    figure.update_xaxes(title="1 − specificity", **ticks)
    figure.update_yaxes(title="Sensitivity", scaleanchor="x", scaleratio=1, **ticks)
    n_named = sum(trace.showlegend is not False for trace in figure.data)
    framed = _frame(figure, height=size + 22 + 24 * ((n_named + 1) // 2))
    return framed.update_layout(legend={"y": -0.15}, margin={"t": 34, "b": 6})


def lroc_chart(points: pd.DataFrame, styles: Styles, size: int = 460) -> go.Figure:
    """LROC curves of all readers, square and on one scale.

    Parameters
    ----------
    points : rows of ``lroc_points`` for one cohort
    size : int
        Height in pixels; the axes are square within it.
    """
    figure = go.Figure()
    drawn = set(points["label"])
    for name in [name for name in styles if name in drawn]:
        group, style = points[points["label"] == name], styles[name]
        figure.add_trace(
            go.Scatter(
                x=group["false_positive_rate"], y=group["lesions_hit"], mode="lines+markers",
                line=_line(style.colour, style.dash, 2.4), marker=_mark(style, 8),
                name=_shortened(name),
                customdata=[[f"<br>rated {at:g} or more" if pd.notna(at) else ""] for at in group["threshold"]],
                hovertemplate="lesions hit %{y:.3f}, marked without a lesion %{x:.3f}%{customdata[0]}"
                f"<extra>{_plain(name)}</extra>",
            )
        )  # fmt: skip
    ticks = {"tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1], "range": [-0.02, 1.02], "constrain": "domain"}
    figure.update_xaxes(title="Cases without a lesion, marked", **ticks)
    figure.update_yaxes(title="Lesions hit", scaleanchor="x", scaleratio=1, **ticks)
    framed = _frame(figure, height=size + 22 + 24 * ((len(drawn) + 1) // 2))
    return framed.update_layout(legend={"y": -0.15}, margin={"t": 34, "b": 6})


def _band(group: pd.DataFrame, colour: str, name: str) -> go.Scatter:
    """The region between the upper and the lower edge of a curve's band."""
    upper = group.sort_values(["rate_lower", "sensitivity_upper"], kind="stable")
    lower = group.sort_values(["rate_upper", "sensitivity_lower"], kind="stable").iloc[::-1]
    return go.Scatter(
        x=[0, *upper["rate_lower"], 1, *lower["rate_upper"], 0],
        y=[0, *upper["sensitivity_upper"], 1, *lower["sensitivity_lower"], 0],
        mode="lines", line={"width": 0}, fill="toself", fillcolor=_transparent(colour),
        legendgroup=name, showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def reliability_chart(bins: pd.DataFrame, title: str, style: RaterStyle) -> go.Figure:
    """Observed share by mean probability with intervals, beside the line of perfect calibration.

    Parameters
    ----------
    bins : rows of ``reliability_bins`` for one model and class, or of ``confidence_calibration`` for one reader
    title : str
        Of the horizontal axis.
    style : RaterStyle
        Of the model or the reader.
    """
    chance = {"color": MUTED, "dash": "dot", "width": 1}
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=chance, showlegend=False, hoverinfo="skip"))
    figure.add_trace(
        go.Scatter(
            x=bins["mean_probability"],
            y=bins["value"],
            error_y={**_interval(bins), "color": style.colour},
            mode="lines+markers",
            marker=_mark(style, 9),
            line=_line(style.colour, style.dash, 1.5),
            customdata=bins[["n", "lower", "upper"]],
            hovertemplate="probability %{x:.3f}<br>observed %{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})"
            "<br>n = %{customdata[0]}<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_xaxes(title=title, range=[-0.02, 1.02], constrain="domain")
    figure.update_yaxes(title="Observed share", range=[-0.02, 1.04], scaleanchor="x", constrain="domain")
    return _frame(figure, height=380)


def perturbation_chart(curves: Mapping[str, PerturbationCurve], label: str) -> go.Figure:
    """Probability of a class while pixels change, most relevant first.

    Parameters
    ----------
    curves : mapping
        "Deletion", "Insertion" -> curve.
    label : str
        Of the class.
    """
    figure = go.Figure()
    for (name, curve), colour, dash in zip(curves.items(), PALETTE, ("solid", "dash"), strict=False):
        figure.add_trace(
            go.Scatter(
                x=100 * curve.shares, y=curve.probabilities, mode="lines", name=name,
                line={"color": colour, "dash": dash, "width": 2.4},
                hovertemplate="%{x:.0f} % of the pixels: %{y:.3f}<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(title="Pixels changed, %", range=[-1, 101])
    figure.update_yaxes(title=f"Probability of {label}", range=[-0.02, 1.02])
    return _frame(figure, height=330).update_layout(legend={"y": 1.0, "yanchor": "bottom"})


def decision_chart(rows: pd.DataFrame, style: RaterStyle) -> go.Figure:
    """Net benefit over thresholds: of the model with its interval, of acting on everybody, of acting on nobody.

    Parameters
    ----------
    rows : rows of ``decision_curves`` for one model and class
    style : RaterStyle
        Of the model.
    """
    figure = go.Figure()
    model = rows[rows["quantity"] == "net_benefit"]
    band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=model["threshold"], y=model["upper"], **band))
    fill = _transparent(style.colour)
    figure.add_trace(go.Scatter(x=model["threshold"], y=model["lower"], fill="tonexty", fillcolor=fill, **band))
    for quantity, name, line in (
        ("net_benefit", "act on the model", {"color": style.colour, "width": 2.5}),
        ("net_benefit_of_all", "act on everybody", {"color": INK, "dash": "dash", "width": 1.8}),
    ):
        part = rows[rows["quantity"] == quantity]
        figure.add_trace(
            go.Scatter(
                x=part["threshold"], y=part["value"], mode="lines", line=line, name=name,
                hovertemplate="threshold %{x:.2f}: net benefit %{y:.3f}<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    nobody = {"color": MUTED, "dash": "dot", "width": 1}
    ends = {"x": [0, 1], "y": [0, 0], "mode": "lines", "line": nobody, "name": "act on nobody", "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(**ends))
    highest = float(np.nanmax(model["upper"].to_numpy(float), initial=0.1))
    figure.update_xaxes(title="Threshold", range=[0, 1])
    figure.update_yaxes(title="Net benefit", range=[-0.12, 1.1 * highest])
    below_axis = {"y": -0.27, "traceorder": "normal"}
    return _frame(figure, height=380).update_layout(legend=below_axis)


def confusion_chart(rows: pd.DataFrame, class_labels: Mapping[str, str]) -> go.Figure:
    """Counts and shares by reference standard and answer; every row of cells adds up to 100 %.

    Parameters
    ----------
    rows : rows of ``confusion`` for one cohort and rater
    """
    keys = list(class_labels)
    is_many = len(keys) > MANY_CLASSES  # then a cell without a case stays empty
    labels = [(_shortened if is_many else _in_lines)(label) for label in class_labels.values()]
    count = rows.pivot_table(index="truth", columns="answer", values="count", aggfunc="sum").reindex(keys, columns=keys)
    count = count.fillna(0).astype(int)
    n = count.sum(axis=1)
    share = count.div(n.replace(0, np.nan), axis=0)
    colours = [[0.0, "#ffffff"], [0.5, "#6ba3d6"], [1.0, "#0b3c6f"]]
    places = list(range(len(keys)))  # classes may be called alike
    told = [
        [f"reference {labels[row]}<br>answer {labels[column]}<br>{count.iat[row, column]} cases"
         + ("" if pd.isna(share.iat[row, column]) else f" ({100 * share.iat[row, column]:.1f} % of the row)")
         for column in places]
        for row in places
    ]  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=share.fillna(0), x=places, y=places, customdata=told, colorscale=colours, zmin=0, zmax=1,
            showscale=False, xgap=1, ygap=1, hovertemplate="%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    size = 13 if len(keys) <= 6 else 10
    cells = [(row, column, share.iat[row, column]) for row in places for column in places
             if count.iat[row, column] or not is_many]  # fmt: skip
    for is_dark, colour in ((False, INK), (True, "#ffffff")):  # two traces: an annotation a cell takes minutes to draw
        own = [cell for cell in cells if (cell[2] > 0.62) == is_dark]
        figure.add_trace(
            go.Scatter(
                x=[column for _, column, _ in own], y=[row for row, _, _ in own], mode="text",
                text=[str(count.iat[row, column]) + ("" if pd.isna(part) else f"<br>{100 * part:.1f} %")
                      for row, column, part in own],
                textfont={"size": size, "color": colour}, hoverinfo="skip", cliponaxis=False,
            )
        )  # fmt: skip
    edge = [-0.5, len(keys) - 0.5]
    figure.update_xaxes(title="Answer", side="bottom", constrain="domain", showgrid=False, range=edge, tickvals=places,
                        ticktext=labels, tickangle=90 if is_many else None)  # fmt: skip
    figure.update_yaxes(
        title="Reference standard", range=edge[::-1], showgrid=False, tickvals=places, scaleanchor="x",
        constrain="domain", constraintoward="top",
        ticktext=[f"{label}<br>n = {n[key]}" for label, key in zip(labels, keys, strict=True)],
    )  # fmt: skip
    per_class = 72 if any("<br>" in label for label in labels) else 52
    return _frame(figure, height=max(350, 80 + per_class * len(keys)), legend=False).update_layout(margin={"t": 30})
