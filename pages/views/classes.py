"""Per class, as in Tables 2, 4 and 5 of Zhao et al. 2023: raters side by side, the interval under each number."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from core.number_text import estimate_text, number_text
from pages.widgets import charts
from pages.widgets.drawn_tables import draw_files, draw_stamp
from pages.widgets.plain_text import plain
from pages.widgets.shown import MOST_COLUMNS, Shown

#: Row of the table -> its title; proportions are shown in percent.
ROWS = {
    "sensitivity": "Recall (%)",
    "specificity": "Specificity (%)",
    "ppv": "PPV (%)",
    "npv": "NPV (%)",
    "auc": "AUC",
    "f1": "F1",
}
BETWEEN = "; between patients, who have several cases"
#: So many raters are shown before somebody chooses others.
FIRST_RATERS = 3

_STYLE = """<style>
.room-blocks { display: flex; flex-wrap: wrap; gap: 18px 20px; align-items: flex-start; }
.room-block { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
.room-block caption { text-align: left; font-weight: 600; font-size: 15px; padding: 0 0 4px; }
.room-block th, .room-block td { padding: 2px 6px; text-align: right; border-bottom: 1px solid #343a41; }
.room-block th:first-child { text-align: left; white-space: nowrap; }
.room-block thead th { border-bottom: 2px solid #5a626b; font-weight: 600; }
.room-block small { display: block; color: #b3bac2; font-size: 11px; white-space: nowrap; }
.room-block tfoot td { text-align: left; border: 0; font-size: 12px; line-height: 1.35;
  color: #b3bac2; padding-top: 5px; }
</style>"""


def draw(shown: Shown) -> None:
    """Draw the table of classes and the confusion matrices."""
    if shown.tables["per_class"].empty:
        st.info("Nobody chose a class in this cohort.")
        return
    draw_stamp(shown, "class")
    raters = chosen_raters(shown)
    if not raters:
        st.info("Choose a rater above.")
        return
    st.html(f'{_STYLE}<div class="room-blocks">{"".join(_block(shown, rater) for rater in raters)}</div>')
    draw_files(
        {
            "per class": shown.tables["per_class"],
            "AUC": shown.tables["auc"],
            "confusion": shown.tables["confusion"],
            "predictive values compared": shown.tables["predictive_values"],
        },
        shown,
    )
    st.caption(
        f"Each number with its {100 * shown.analysis.confidence_level:g} % interval (proportions: Wilson; AUC: DeLong "
        f"on the logit scale{BETWEEN if shown.is_clustered else ''}). Predictive values depend on how common each "
        "class is in this study. ° a hard label: (sensitivity + specificity) / 2 at one point, no area under a curve."
    )
    _confusion(shown, raters)


def chosen_raters(shown: Shown) -> list[str]:
    """The raters that are shown, chosen where there are more than fit."""
    if len(shown.raters) <= FIRST_RATERS:
        return shown.raters
    readers = [name for name in shown.raters if name not in shown.models]
    first = [*shown.models[:1], *readers][:FIRST_RATERS] or shown.raters[:FIRST_RATERS]
    key = f"raters {shown.study.key} {shown.cohort}"
    chosen = st.multiselect("Raters", shown.raters, default=first, key=key, placeholder="Choose raters")
    return [name for name in shown.raters if name in chosen]


def _block(shown: Shown, rater: str) -> str:
    """The table of one rater: quantities by class, or classes by quantity where there are many."""
    cells = _cells(shown, rater)
    labels = shown.short_labels
    if len(labels) <= MOST_COLUMNS:
        rows, columns = ROWS, labels
        body = [[cells.get((key, name), "") for key in columns] for name in rows]
    else:
        rows, columns = labels, ROWS
        body = [[cells.get((key, name), "") for name in columns] for key in rows]
    head = "".join(f"<th>{escape(title)}</th>" for title in ["", *columns.values()])
    lines = "".join(
        f"<tr><th>{escape(title)}</th>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>"
        for title, line in zip(rows.values(), body, strict=True)
    )
    foot = f'<tfoot><tr><td colspan="{1 + len(columns)}">{_overall(shown, rater)}</td></tr></tfoot>'
    caption = f"<caption>{escape(rater)}</caption>"
    return f'<table class="room-block">{caption}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody>{foot}</table>'


def _cells(shown: Shown, rater: str) -> dict[tuple[str, str], str]:
    """(class, quantity) -> the number with its interval under it."""
    of_rater = shown.of("per_class", label=rater)
    found = {}
    for row in of_rater.to_dict("records"):
        factor, digits = (1, 3) if row["quantity"] == "f1" else (100, 1)
        found[row["class"], row["quantity"]] = _cell(row["value"], row["lower"], row["upper"], factor, digits)
    for row in shown.of("auc", label=rater).to_dict("records"):
        mark = "°" if row["is_hard_label"] else ""
        found[row["class"], "auc"] = _cell(row["value"], row["lower"], row["upper"], 1, 3, mark)
    return found


def _cell(value: float, lower: float, upper: float, factor: float, digits: int, mark: str = "") -> str:
    """97.7 and below it 93.4–99.2."""
    if pd.isna(value):
        return "–"
    limits = (
        ""
        if pd.isna(lower)
        else f"<small>{number_text(factor * lower, digits)}–{number_text(factor * upper, digits)}</small>"
    )
    return f"{number_text(factor * value, digits)}{mark}{limits}"


def _overall(shown: Shown, rater: str) -> str:
    """Kappa and accuracy under the table."""
    rows = shown.of("summary", label=rater).set_index("quantity")
    parts = []
    for quantity, title in (("kappa", "Cohen's kappa"), ("accuracy", "accuracy")):
        if quantity in rows.index:
            parts.append(f"{title} {estimate_text(*rows.loc[quantity, ['value', 'lower', 'upper']])}")
    n = rows["n"].max() if len(rows) else 0
    return "<br>".join(escape(part) for part in [*parts, f"n = {n}"])


def _confusion(shown: Shown, raters: list[str]) -> None:
    """A matrix for every shown rater."""
    st.markdown("**Confusion**: cases, and their share of the row (of the class by the reference standard)")
    size = len(shown.labels) * max(3, *(min(len(label), 16) for label in shown.short_labels.values()))
    n_columns = 3 if size <= 40 else 2 if size <= 56 else 1  # letters across the matrix
    rows = shown.tables["confusion"]
    for start in range(0, len(raters), n_columns):
        places = st.columns(n_columns, gap="medium")
        for place, rater in zip(places, raters[start : start + n_columns], strict=False):
            of_rater = rows[rows["label"] == rater]
            if of_rater.empty:
                continue
            with place:
                st.markdown(f"**{plain(rater)}**")
                figure = charts.confusion_chart(of_rater, shown.short_labels)
                st.plotly_chart(
                    figure, config=charts.chart_config(f"confusion_{rater}_{shown.cohort}"), theme=None,
                    alt=f"Confusion matrix of {rater}", key=f"confusion {rater}",
                )  # fmt: skip
