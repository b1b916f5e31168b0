"""How long readers took."""

from __future__ import annotations

import streamlit as st

from pages.widgets import charts
from pages.widgets.drawn_tables import draw_files, draw_notes, draw_table
from pages.widgets.shown import Shown

ANSWERS = {"all": "All answers", "right": "Right answers", "wrong": "Wrong answers"}


def draw(shown: Shown) -> None:
    """Median reading time of right and wrong answers."""
    rows = shown.tables["reading_times"]
    if rows.empty:
        st.info("No reading time was measured in this cohort.")
        return
    chart = charts.per_class_chart(rows.assign(**{"class": rows["answer"]}), ANSWERS, shown.styles, "Median seconds")
    config = charts.chart_config(f"reading_times_{shown.cohort}")
    st.plotly_chart(chart, config=config, theme=None, alt="Median reading time in seconds of right and wrong answers")
    draw_notes(rows)
    columns = ["label", "answer", "row_note", "n", "estimate"]
    draw_table(rows, columns, {**shown.names, **ANSWERS}, {"label": "Reader", "estimate": "Median seconds (95 %)"})
    draw_files({"reading times": rows}, shown)
    st.caption("The limits are two of the times, by the binomial distribution: no shape of the times is assumed.")
