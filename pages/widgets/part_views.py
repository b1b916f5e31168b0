"""Where the numbers hold: calibration of a model's probabilities, subgroups of cases and readers, reading times."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.widgets import charts
from pages.widgets.drawn_tables import WORDS, draw_download, draw_notes, draw_table

Tables = Mapping[str, pd.DataFrame]
VARIABLES = {
    "centre": "Centre", "scanner": "Scanner", "sex": "Sex", "age": "Age in years",
    "reader_years": "Readers' years of experience",
}  # fmt: skip


def draw_calibration(tables: Tables, labels: Mapping[str, str], names: Mapping[str, str]) -> None:
    """Reliability diagram, decision curve and the numbers of one model."""
    rows = tables["calibration"]
    if rows.empty:
        st.info("Calibration needs a model's probabilities in this cohort.")
        return
    models = dict(rows[["participant", "name"]].drop_duplicates().itertuples(index=False))
    keys = [key for key in labels if key in set(rows["class"])]
    with st.container(horizontal=True):
        model = next(iter(models))
        if len(models) > 1:
            model = st.selectbox("Model", list(models), format_func=models.__getitem__)
        key = st.segmented_control(
            "Class against the rest", keys, default=keys[0], required=True, format_func=labels.__getitem__,
            key="calibration class",
        )  # fmt: skip
    rows = rows[rows["participant"] == model]
    bins, decisions = (
        table[(table["participant"] == model) & (table["class"] == key)]
        for table in (tables["reliability_bins"], tables["decision_curves"])
    )
    left, right = st.columns(2, gap="large")
    with left:
        title = f"Observed share of {labels[str(key)]} by its probability"
        st.plotly_chart(charts.reliability_chart(bins, title), config=charts.CHART_CONFIG, alt=title)
        draw_download(bins, f"reliability_bins_{key}.csv")
    with right:
        title = f"Net benefit of calling {labels[str(key)]}"
        st.plotly_chart(charts.decision_chart(decisions, title), config=charts.CHART_CONFIG, alt=title)
        draw_download(decisions, f"decision_curves_{key}.csv")
    wide = rows.pivot_table(index="class", columns="quantity", values="estimate", aggfunc="first", sort=False)
    wide = wide.reset_index()
    quantities = [name for name in ("brier", "ece", "slope", "intercept", "in_the_large") if name in wide.columns]
    draw_table(wide, ["class", *quantities], names, {name: WORDS[name] for name in quantities})
    draw_download(rows, "calibration.csv")
    st.caption(
        "Brier score: 0 is perfect, 0.25 what “one half” always scores (over all classes 0 to 2). The calibration "
        "error lies above the truth when bins are small; the file says by how much. A slope below 1: probabilities are "
        "too extreme."
    )


def draw_subgroups(tables: Tables, labels: Mapping[str, str], names: Mapping[str, str]) -> None:
    """One number over the levels of one variable, participants side by side."""
    rows = tables["subgroups"]
    if rows.empty:
        st.info("No centre, scanner, sex, age or experience is known that would part the cases or the readers.")
        return
    variables = [name for name in VARIABLES if name in set(rows["variable"])]
    with st.container(horizontal=True):
        variable = st.segmented_control(
            "Parts", variables, default=variables[0], required=True, format_func=VARIABLES.__getitem__, key="variable"
        )
        rows = rows[rows["variable"] == variable]
        words = {**WORDS, **labels}
        kinds = list(rows[["quantity", "class"]].drop_duplicates().itertuples(index=False, name=None))
        quantity, key = st.selectbox(
            "Number", kinds, key="subgroup number",
            format_func=lambda kind: ", ".join(
                [words.get(kind[0], kind[0].capitalize()), *([] if kind[1] == "all" else [words.get(kind[1], kind[1])])]
            ),
        )  # fmt: skip
    rows = rows[(rows["quantity"] == quantity) & (rows["class"] == key)].reset_index(drop=True)
    levels = {level: level for level in dict.fromkeys(rows["level"])}
    title = f"{words.get(quantity, str(quantity).capitalize())} by {VARIABLES[str(variable)].lower()}"
    chart = charts.per_class_chart(
        rows.assign(**{"class": rows["level"]}), levels, charts.participant_styles(rows), title
    )
    st.plotly_chart(chart, config=charts.CHART_CONFIG, alt=title)
    draw_notes(rows)
    readers = ["n_readers"] if variable == "reader_years" else []
    draw_table(rows, ["level", "name", "arm", "row_note", *readers, "n", "estimate"], names)
    draw_download(rows, f"subgroups_{variable}_{quantity}_{key}.csv")
    st.caption("Parts are small and were seldom chosen beforehand: read the interval and n, not the point alone.")


def draw_times(tables: Tables, names: Mapping[str, str]) -> None:
    """Median reading time of right and wrong answers."""
    rows = tables["reading_times"]
    if rows.empty:
        st.info("No reading time was measured in this cohort.")
        return
    answers = {"all": "All answers", "right": "Right answers", "wrong": "Wrong answers"}
    title = "Median reading time in seconds"
    chart = charts.per_class_chart(
        rows.assign(**{"class": rows["answer"]}), answers, charts.participant_styles(rows), title
    )
    st.plotly_chart(chart, config=charts.CHART_CONFIG, alt=title)
    draw_notes(rows)
    draw_table(
        rows, ["name", "arm", "answer", "row_note", "n", "estimate"], names, {"estimate": "Median seconds (95 %)"}
    )
    draw_download(rows, "reading_times.csv")
    st.caption("The limits are two of the times, by the binomial distribution: no shape of the times is assumed.")
