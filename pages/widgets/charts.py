"""Charts drawn from the tables of the analysis; nothing is computed here but positions and labels.

Readers are circles, models diamonds; colours are the Okabe-Ito set, which colour-blind people tell apart, and every
series differs in marker or dash as well. Intervals are drawn wherever the table has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

#: Okabe and Ito (2008), without black, in the order in which participants take them.
PALETTE = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

#: What charts and pictures of a case have in common.
DARK = {
    "template": "plotly_dark",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "hoverlabel": {"namelength": -1},
}

#: What the chart's own menu saves: vector graphics for a paper.
CHART_CONFIG = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": "reading-room"}}

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


def participant_styles(table: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """Label -> (colour, marker, dash), the same on every chart of a page."""
    names = table[["label", "kind"]].drop_duplicates()
    return {
        name: (PALETTE[i % len(PALETTE)], "diamond" if kind == "model" else "circle", DASHES[i % len(DASHES)])
        for i, (name, kind) in enumerate(names.itertuples(index=False))
    }


def _frame(figure: go.Figure, *, height: int, title: str) -> go.Figure:
    """The look that all charts share."""
    figure.update_layout(
        title={"text": title, "font": {"size": 16}, "x": 0, "xanchor": "left"},
        **DARK,
        height=height,
        margin={"l": 10, "r": 10, "t": 44, "b": 10},
        legend={"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0},
    )
    figure.update_xaxes(gridcolor="rgba(255,255,255,0.12)", zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor="rgba(255,255,255,0.12)", zeroline=False, automargin=True)
    return figure


def _interval(rows: pd.DataFrame) -> dict[str, object]:
    """Error bars from the lower and upper columns."""
    value = rows["value"].to_numpy(float)
    return {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(rows["upper"].to_numpy(float) - value),
        "arrayminus": np.nan_to_num(value - rows["lower"].to_numpy(float)),
        "thickness": 2,
        "width": 5,
    }


def estimate_chart(rows: pd.DataFrame, styles: Mapping[str, tuple[str, str, str]], title: str) -> go.Figure:
    """One quantity of every participant as a point with its interval.

    Parameters
    ----------
    rows : table with label, value, lower, upper, n, method; one row a participant
    """
    figure = go.Figure()
    for name, group in rows.groupby("label", sort=False):
        colour, marker, _ = styles[name]
        figure.add_trace(
            go.Scatter(
                x=group["value"],
                y=[name] * len(group),
                error_x=_interval(group),
                mode="markers",
                marker={"color": colour, "symbol": marker, "size": 12},
                name=name,
                customdata=group[["lower", "upper", "n", "method"]],
                hovertemplate="%{x:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f})<br>n = %{customdata[2]}"
                "<br>%{customdata[3]}<extra>%{y}</extra>",
                showlegend=False,
            )
        )
    figure.update_yaxes(autorange="reversed")
    return _frame(figure, height=90 + 44 * max(1, rows["label"].nunique()), title=title)


def per_class_chart(
    rows: pd.DataFrame, class_labels: Mapping[str, str], styles: Mapping[str, tuple[str, str, str]], title: str
) -> go.Figure:
    """One quantity by class, participants side by side.

    Parameters
    ----------
    rows : table with class, label, value, lower, upper, n; one row a participant and class
    """
    figure = go.Figure()
    names = list(dict.fromkeys(rows["label"]))
    offsets = np.linspace(-0.28, 0.28, len(names)) if len(names) > 1 else [0.0]
    keys = list(class_labels)
    for offset, name in zip(offsets, names, strict=True):
        group = rows[rows["label"] == name]
        colour, marker, _ = styles[name]
        figure.add_trace(
            go.Scatter(
                x=[keys.index(key) + offset for key in group["class"]],
                y=group["value"],
                error_y=_interval(group),
                mode="markers",
                marker={"color": colour, "symbol": marker, "size": 11},
                name=name,
                customdata=group[["lower", "upper", "n"]],
                hovertemplate="%{y:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f})<br>n = %{customdata[2]}"
                f"<extra>{name}</extra>",
            )
        )
    figure.update_xaxes(tickvals=list(range(len(keys))), ticktext=list(class_labels.values()))
    return _frame(figure, height=360, title=title)


def roc_chart(
    points: pd.DataFrame,
    auc: pd.DataFrame,
    operating: pd.DataFrame,
    average: pd.DataFrame,
    styles: Mapping[str, tuple[str, str, str]],
    title: str,
) -> go.Figure:
    """ROC curves of one class against the rest; a participant with hard labels is one point and no curve.

    Parameters
    ----------
    points : rows of ``roc_points`` for one cohort and class
    auc : rows of ``auc`` for the same
    operating : table with label, false_positive_rate, sensitivity: where each participant's chosen class puts it
    average : rows of ``reader_average_roc`` for the same; drawn as one white line for each arm
    """
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": "gray", "dash": "dot", "width": 1},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    areas = auc.set_index("label")
    for name, group in points.groupby("label", sort=False):
        colour, marker, dash = styles[name]
        label = name
        if name in areas.index and pd.notna(areas.loc[name, "value"]):
            row = areas.loc[name]
            limits = f" ({row['lower']:.3f}–{row['upper']:.3f})" if pd.notna(row["lower"]) else ""
            what = "balanced accuracy" if row["is_hard_label"] else "AUC"
            label = f"{name}: {what} {row['value']:.3f}{limits}"
        is_point = bool(group["is_hard_label"].iloc[0])
        figure.add_trace(
            go.Scatter(
                x=group["false_positive_rate"],
                y=group["sensitivity"],
                mode="markers" if is_point else "lines",
                line={"color": colour, "dash": dash, "width": 2.5},
                marker={"color": colour, "symbol": marker, "size": 12},
                name=label,
                legendgroup=name,
                customdata=group[["threshold"]],
                hovertemplate="sensitivity %{y:.3f}, 1 − specificity %{x:.3f}<br>threshold %{customdata[0]}"
                f"<extra>{name}</extra>",
            )
        )
    for arm, group in average.groupby("arm", sort=False):
        figure.add_trace(
            go.Scatter(
                x=group["false_positive_rate"],
                y=group["sensitivity"],
                mode="lines",
                line={"color": "white", "width": 1.5},
                name=f"Mean of {group['n_readers'].iloc[0]} readers, {arm}: AUC {group['area'].iloc[0]:.3f}",
                hovertemplate="mean of the readers: sensitivity %{y:.3f}, 1 − specificity %{x:.3f}<extra></extra>",
            )
        )
    for row in operating.itertuples(index=False):
        colour, marker, _ = styles[row.label]
        figure.add_trace(
            go.Scatter(
                x=[row.false_positive_rate],
                y=[row.sensitivity],
                mode="markers",
                marker={"color": colour, "symbol": marker, "size": 12, "line": {"color": "white", "width": 1.5}},
                legendgroup=row.label,
                showlegend=False,
                hovertemplate="chosen class: sensitivity %{y:.3f}, 1 − specificity %{x:.3f}"
                f"<extra>{row.label}</extra>",
            )
        )
    figure.update_xaxes(title="1 − specificity", range=[-0.02, 1.02])
    figure.update_yaxes(title="Sensitivity", range=[-0.02, 1.04])
    return _frame(figure, height=440, title=title)


def reliability_chart(bins: pd.DataFrame, title: str) -> go.Figure:
    """Observed share by mean probability with intervals, beside the line of perfect calibration.

    Parameters
    ----------
    bins : rows of ``reliability_bins`` for one model and class
    """
    figure = go.Figure(
        go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"color": "gray", "dash": "dot", "width": 1}, showlegend=False,
            hoverinfo="skip",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=bins["mean_probability"],
            y=bins["value"],
            error_y=_interval(bins),
            mode="lines+markers",
            marker={"color": PALETTE[0], "symbol": "diamond", "size": 9},
            line={"color": PALETTE[0], "width": 1.5},
            customdata=bins[["n", "lower", "upper"]],
            hovertemplate="probability %{x:.3f}<br>observed %{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})"
            "<br>n = %{customdata[0]}<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_xaxes(title="Mean probability of the bin", range=[-0.02, 1.02])
    figure.update_yaxes(title="Observed share", range=[-0.02, 1.04])
    return _frame(figure, height=380, title=title)


def decision_chart(rows: pd.DataFrame, title: str) -> go.Figure:
    """Net benefit over thresholds: of the model with its interval, of acting on everybody, of acting on nobody.

    Parameters
    ----------
    rows : rows of ``decision_curves`` for one model and class
    """
    figure = go.Figure()
    model = rows[rows["quantity"] == "net_benefit"]
    band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=model["threshold"], y=model["upper"], **band))
    figure.add_trace(
        go.Scatter(x=model["threshold"], y=model["lower"], fill="tonexty", fillcolor="rgba(86,180,233,0.2)", **band)
    )
    for quantity, name, line in (
        ("net_benefit", "act on the model", {"color": PALETTE[0], "width": 2.5}),
        ("net_benefit_of_all", "act on everybody", {"color": PALETTE[1], "dash": "dash", "width": 1.5}),
    ):
        part = rows[rows["quantity"] == quantity]
        figure.add_trace(
            go.Scatter(
                x=part["threshold"], y=part["value"], mode="lines", line=line, name=name,
                hovertemplate="threshold %{x:.2f}: net benefit %{y:.3f}<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": "gray", "dash": "dot", "width": 1}, annotation_text="act on nobody")
    highest = float(np.nanmax(model["upper"].to_numpy(float), initial=0.1))
    figure.update_xaxes(title="Threshold", range=[0, 1])
    figure.update_yaxes(title="Net benefit", range=[-0.12, 1.1 * highest])
    return _frame(figure, height=380, title=title)


def confusion_chart(rows: pd.DataFrame, class_labels: Mapping[str, str], title: str) -> go.Figure:
    """Counts by reference standard and answer, coloured by the share of the row.

    Parameters
    ----------
    rows : rows of ``confusion`` for one cohort and participant
    """
    keys = list(class_labels)
    count = rows.pivot_table(index="truth", columns="answer", values="count", aggfunc="sum").reindex(keys, columns=keys)
    share = count.div(count.sum(axis=1).replace(0, np.nan), axis=0)
    labels = list(class_labels.values())
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=labels,
            y=labels,
            text=count.astype(int),
            texttemplate="%{text}",
            textfont={"size": 15},
            colorscale="Cividis",
            zmin=0,
            zmax=1,
            showscale=False,
            hovertemplate="reference %{y}<br>answer %{x}<br>%{text} cases (%{z:.1%} of the row)<extra></extra>",
        )
    )
    figure.update_xaxes(title="Answer", side="bottom", constrain="domain")
    figure.update_yaxes(title="Reference standard", autorange="reversed")
    return _frame(figure, height=340, title=title)


def probability_chart(
    probabilities: Sequence[float], class_labels: Mapping[str, str], truth: str, readers: Mapping[str, int]
) -> go.Figure:
    """The model's probabilities of one case as bars.

    Parameters
    ----------
    probabilities : float, one per class
    truth : class key of the reference standard, marked with a star
    readers : class key -> number of readers who chose it
    """
    texts = []
    for value, key in zip(probabilities, class_labels, strict=True):
        n = readers.get(key, 0)
        texts.append(f"{value:.2f}" + (f"   ← {n} {'reader' if n == 1 else 'readers'}" if n else ""))
    figure = go.Figure(
        go.Bar(
            x=list(probabilities),
            y=[f"{label} ★" if key == truth else label for key, label in class_labels.items()],
            orientation="h",
            marker={"color": [PALETTE[2] if key == truth else PALETTE[0] for key in class_labels]},
            text=texts,
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(range=[0, 1.35], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(autorange="reversed")
    return _frame(figure, height=max(220, 76 + 36 * len(class_labels)), title="Model probability")
