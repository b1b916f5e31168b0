"""Several readers and several cases: the model against the panel, the arms against each other, and what varies."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
from pages.widgets.drawn_tables import (
    WORDS,
    draw_files,
    draw_margin,
    draw_notes,
    draw_stamp,
    draw_table,
    side_by_side,
)
from pages.widgets.shown import Shown

#: Figures of the multi-reader analysis, in the order in which they are shown.
FIGURES = {"auc": "AUC", "accuracy": "Right answers", "sensitivity": "Sensitivity", "specificity": "Specificity"}
_MEAN_COLUMNS = ["arm", "class", "row_note", "n_readers", "n", "estimate"]
_DIFFERENCE_COLUMNS = [
    "pair", "class", "row_note", "n_readers", "n", "first_value", "second_value", "estimate", "p_value", "p_holm",
]  # fmt: skip
COMPONENTS = {
    "error_variance": "variance of a figure over cases",
    "cov1": "covariance, same reader, other arm",
    "cov2": "covariance, other reader, same arm",
    "cov3": "covariance, other reader, other arm",
    "reader_variance": "variance between readers",
    "arm_by_reader_variance": "variance of arms between readers",
    "mean_square_arm": "mean square, arms",
    "mean_square_reader": "mean square, readers",
    "mean_square_arm_reader": "mean square, arms by readers",
}


def draw(shown: Shown) -> None:
    """Draw the view."""
    means, mrmc = shown.tables["panel_means"], shown.tables["mrmc"]
    if means.empty and mrmc.empty:
        st.info("A panel needs two readers in one arm. The Comparisons view holds a model against one reader.")
        return
    metrics = [metric for metric in FIGURES if metric in set(means["metric"]) | set(mrmc["metric"])]
    metric = choose_from_address("figure", "Figure", metrics, metrics[0], names=FIGURES)
    draw_stamp(shown, metric if metric in ("auc", "accuracy") else "class")
    _forest(shown, metric)
    _tables(shown, metric)
    draw_margin(shown)
    _components(shown, metric)
    draw_files(
        {
            "differences, every figure and scope": mrmc,
            "averages over the readers": means,
            "variance components": shown.tables["mrmc_components"],
            "arms by Dorfman-Berbaum-Metz": shown.tables["dbm"],
            "margins": shown.tables["margins"],
        },
        shown,
    )
    st.caption(
        "With fewer than five readers the analysis speaks of these readers; from five on, of readers in general. "
        "Where a comparison left cases or readers out, the notes say so and give the result of the other way."
    )


def _forest(shown: Shown, metric: str) -> None:
    """Every reader, the mean of the readers, and the model, with the model's differences."""
    rows, gaps, reference = _forest_rows(shown, metric)
    if len(rows) < 2:
        return
    is_percent = metric != "auc"
    title = FIGURES[metric] + (", mean over classes" if metric != "accuracy" and len(shown.labels) > 2 else "")
    figure = charts.forest_chart(rows, gaps, shown.styles, reference, title, is_percent=is_percent)
    name = f"panel_{metric}_{shown.cohort}"
    alt = f"{title} of every reader, their mean, and the model"
    st.plotly_chart(figure, config=charts.chart_config(name), theme=None, alt=alt, key="panel forest")


def _of_raters(shown: Shown, metric: str) -> pd.DataFrame:
    """The figure of every rater; its average over the classes where there are more than two."""
    positive = list(shown.labels)[-1]
    is_binary = len(shown.labels) == 2
    if metric == "auc":
        return shown.of("auc", **{"class": positive if is_binary else "macro"})
    if metric == "accuracy":
        return shown.of("summary", quantity="accuracy")
    if is_binary:
        return shown.of("per_class", **{"class": positive, "quantity": metric})
    return shown.of("summary", quantity=f"macro_{metric}")


def _forest_rows(shown: Shown, metric: str) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Rows and differences as :func:`pages.widgets.charts.forest_chart` takes them."""
    of_raters = _of_raters(shown, metric).set_index("label")
    rows = of_raters.reindex([name for name in shown.raters if name in of_raters.index]).reset_index()
    reference = next(iter(shown.models), "")
    key = dict(zip(rows["label"], rows["participant"], strict=True)).get(reference)
    average = "all" if metric == "accuracy" else "macro" if len(shown.labels) > 2 else list(shown.labels)[-1]
    chosen = {"metric": metric, "class": average}
    means, mrmc = shown.of("panel_means", **chosen), shown.of("mrmc", **chosen)
    means, mrmc = (table[table["is_leading"].astype(bool)] for table in (means, mrmc))
    gaps = pd.DataFrame(columns=["label", "value", "lower", "upper"])
    for arm, mean in means.groupby("arm", sort=True):
        name = shown.mean_label(mean)
        rows = pd.concat([rows, mean.assign(label=name)], ignore_index=True)
        gap = mrmc[(mrmc["analysis"] == "model_vs_panel") & (mrmc["first"] == key) & (mrmc["arm"] == arm)]
        gaps = gap.assign(label=name) if gaps.empty else pd.concat([gaps, gap.assign(label=name)], ignore_index=True)
    return rows.dropna(subset=["value"]), gaps.dropna(subset=["value"]), reference


def _tables(shown: Shown, metric: str) -> None:
    """Differences and averages: the scope that fits the number of readers, then the others."""
    said: list[str] = []
    for table, title, more, columns, estimate in (
        (shown.of("mrmc", metric=metric), "Differences", " (first − second)", _DIFFERENCE_COLUMNS, "Difference (95 %)"),
        (shown.of("panel_means", metric=metric), "Average over the readers", "", _MEAN_COLUMNS, "Average (95 %)"),
    ):
        if table.empty:
            continue
        leading = table[table["is_leading"].astype(bool)]
        scopes = " and ".join(dict.fromkeys(WORDS[scope] for scope in leading["scope"]))
        st.markdown(f"**{title}**{more}: {scopes} (multi-reader multi-case analysis, Obuchowski-Rockette)")
        said += draw_notes(leading, but=said)
        draw_table(leading, columns, shown, {"estimate": estimate})
        with st.expander(f"{title} in the other scopes: whether readers, or cases, are taken as a sample"):
            other = table[~table["is_leading"].astype(bool)]
            draw_notes(other)
            draw_table(other, ["scope", *columns], shown, {"estimate": estimate})


def _components(shown: Shown, metric: str) -> None:
    """Variance components, one column a component."""
    rows = shown.of("mrmc_components", metric=metric)
    rows = rows[rows["analysis"] != "arms_dbm"]
    if rows.empty:
        return
    with st.expander("Variance components and mean squares (×1,000): what a next study is planned from"):
        about = shown.tables["mrmc"].drop_duplicates(["analysis", "first", "second"])
        named = {
            (row.analysis, row.first, row.second): f"{row.first_name} − {row.second_name}" for row in about.itertuples()
        }
        keys = zip(rows["analysis"], rows["first"], rows["second"], strict=True)
        rows = rows.assign(pair=[named.get(key, "") for key in keys], value=1000 * rows["value"])
        wide = side_by_side(rows, ["pair", "class"], "component", "value")
        components = [name for name in COMPONENTS if name in wide.columns]
        draw_table(wide, ["pair", "class", *components], shown, {"pair": "First − second", **COMPONENTS})
