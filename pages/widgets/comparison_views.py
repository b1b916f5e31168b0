"""Two on the same cases, and a panel of readers: the comparisons of the results screen."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.widgets.drawn_tables import WORDS, draw_download, draw_notes, draw_table

Tables = Mapping[str, pd.DataFrame]
#: Figures of the multi-reader analysis, in the order in which they are shown.
FIGURES = {"auc": "AUC", "accuracy": "Accuracy", "sensitivity": "Sensitivity", "specificity": "Specificity"}


def draw_pairs(tables: Tables, names: Mapping[str, str]) -> None:
    """McNemar and DeLong of every pair."""
    mcnemar = tables["mcnemar"]
    st.markdown("**Accuracy on the same cases**: difference (first − second) with Tango's interval; exact McNemar test")
    if mcnemar.empty:
        st.info("Two participants must have answered the same cases.")
        return
    draw_notes(mcnemar)
    columns = ["pair", "row_note", "n", "both_right", "first_only", "second_only", "both_wrong", "estimate", "p_exact"]
    draw_table(mcnemar, [*columns, "p_clustered", "p_holm", "p_chi_squared"], names, {"estimate": "Difference (95 %)"})
    draw_download(mcnemar, "mcnemar.csv")
    st.caption(
        "The chi-squared test is the paper's, kept to compare with it: it takes the readings for unpaired, but they "
        "are of the same cases, so McNemar's test is the right one. Holm corrects for the number of pairs."
    )
    st.markdown("**AUC on the same cases**: difference (first − second), DeLong's paired test")
    delong = tables["delong"]
    draw_notes(delong)
    columns = ["pair", "class", "row_note", "n", "first_auc", "second_auc", "estimate", "p_value", "p_holm"]
    draw_table(delong, columns, names, {"estimate": "Difference (95 %)"})
    draw_download(delong, "delong.csv")


def draw_panel(tables: Tables, names: Mapping[str, str]) -> None:
    """The readers of each arm together: their averages, models against them, arms against each other."""
    means, mrmc = tables["panel_means"], tables["mrmc"]
    if means.empty and mrmc.empty:
        st.info("A panel needs two readers in one arm.")
        return
    metrics = [metric for metric in FIGURES if metric in set(means["metric"]) | set(mrmc["metric"])]
    metric = st.segmented_control(
        "Figure", metrics, default=metrics[0], required=True, format_func=FIGURES.__getitem__, key="panel figure"
    )
    means, mrmc = (table[table["metric"] == metric] for table in (means, mrmc))
    said: list[str] = []
    for table, title, columns, name in (
        (mrmc, "**Differences** (first − second)", _DIFFERENCE_COLUMNS, "mrmc"),
        (means, "**Average over the readers**", _MEAN_COLUMNS, "panel_means"),
    ):
        if table.empty:
            continue
        leading = table[table["is_leading"].astype(bool)]
        scopes = " and ".join(dict.fromkeys(WORDS[scope] for scope in leading["scope"]))
        st.markdown(f"{title}: {scopes} (multi-reader multi-case analysis, Obuchowski-Rockette)")
        said += draw_notes(leading, but=said)
        titles = {"estimate": "Difference (95 %)"} if name == "mrmc" else {"estimate": "Average (95 %)"}
        draw_table(leading, columns, names, titles)
        draw_download(table, f"{name}_{metric}.csv")
        with st.expander("The other scopes: whether readers, or cases, are taken as a sample"):
            other = table[~table["is_leading"].astype(bool)]
            draw_notes(other)
            draw_table(other, ["scope", *columns], names, titles)
    st.caption(
        "With fewer than five readers the analysis speaks of these readers; from five on, of readers in general. "
        "Where a comparison left cases or readers out, the notes say so and give the result of the other way."
    )


_MEAN_COLUMNS = ["arm", "class", "row_note", "n_readers", "n", "estimate"]
_DIFFERENCE_COLUMNS = [
    "pair", "class", "row_note", "n_readers", "n", "first_value", "second_value", "estimate", "p_value", "p_holm",
]  # fmt: skip


def draw_areas(tables: Tables, labels: Mapping[str, str], names: Mapping[str, str]) -> None:
    """The AUC of every participant, one column a class or average."""
    rows = tables["auc"]
    st.markdown("**AUC of every class, and the averages over the classes by name** (95 %)")
    wide = rows.pivot_table(index=["name", "arm"], columns="class", values="estimate", aggfunc="first", sort=False)
    columns = [key for key in (*labels, "macro", "weighted", "micro", "hand_till") if key in wide.columns]
    titles = {key: labels.get(key, WORDS.get(key, key)) for key in columns}
    draw_table(wide.reset_index(), ["name", "arm", *columns], names, titles)
    draw_download(rows, "auc.csv")


def draw_matched_points(tables: Tables, names: Mapping[str, str], class_key: str) -> None:
    """A model at the operating points of the readers, for one class."""
    rows = tables["matched_points"]
    rows = rows[rows["class"] == class_key]
    if rows.empty:
        return
    st.markdown(
        "**At the readers' own operating points**: model − readers; one quantity made equal, the other compared"
    )
    draw_notes(rows)
    columns = ["pair", "row_note", "match", "matched_at", "n", "first_value", "second_value", "estimate"]
    draw_table(rows, columns, names, {"estimate": "Difference of the other (95 %)"})
    draw_download(rows, f"matched_points_{class_key}.csv")


def draw_cutoffs(tables: Tables, names: Mapping[str, str], class_key: str) -> None:
    """Sensitivity, specificity and predictive values from a rating on, one row a cut-off."""
    rows = tables["rating_cutoffs"]
    rows = rows[rows["class"] == class_key]
    if rows.empty:
        return
    with st.expander("Sensitivity, specificity and predictive values by rating cut-off"):
        keys = ["name", "arm", "cutoff"]
        wide = rows.pivot_table(index=keys, columns="quantity", values="estimate", aggfunc="first", sort=False)
        wide = wide.reset_index()
        draw_table(wide, [*keys, "sensitivity", "specificity", "ppv", "npv"], names, _CUTOFF_TITLES)
        draw_download(rows, f"rating_cutoffs_{class_key}.csv")


_CUTOFF_TITLES = {
    "sensitivity": "Sensitivity (95 %)", "specificity": "Specificity (95 %)", "ppv": "PPV (95 %)", "npv": "NPV (95 %)",
}  # fmt: skip
