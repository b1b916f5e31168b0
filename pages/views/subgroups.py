"""One number over the parts of the cases, or of the readers."""

from __future__ import annotations

import streamlit as st

from pages.widgets import charts
from pages.widgets.drawn_tables import WORDS, draw_files, draw_notes, draw_table
from pages.widgets.shown import Shown

VARIABLES = {
    "centre": "Centre", "scanner": "Scanner", "sex": "Sex", "age": "Age in years",
    "reader_years": "Readers' years of experience",
}  # fmt: skip


def draw(shown: Shown) -> None:
    """Draw the view."""
    rows = shown.tables["subgroups"]
    if rows.empty:
        st.info("No centre, scanner, sex, age or experience is known that would part the cases or the readers.")
        return
    variables = [name for name in VARIABLES if name in set(rows["variable"])]
    words = {**WORDS, **shown.labels}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        variable = st.segmented_control(
            "Parts", variables, default=variables[0], required=True, format_func=VARIABLES.__getitem__, key="variable"
        )
        rows = rows[rows["variable"] == variable]
        kinds = list(rows[["quantity", "class"]].drop_duplicates().itertuples(index=False, name=None))
        quantity, key = st.selectbox(
            "Number", kinds, key="subgroup number",
            format_func=lambda kind: ", ".join(
                [words.get(kind[0], kind[0].capitalize()), *([] if kind[1] == "all" else [words.get(kind[1], kind[1])])]
            ),
        )  # fmt: skip
    rows = rows[(rows["quantity"] == quantity) & (rows["class"] == key)].reset_index(drop=True)
    levels = {level: level for level in dict.fromkeys(rows["level"])}
    title = words.get(quantity, str(quantity).capitalize())
    chart = charts.per_class_chart(rows.assign(**{"class": rows["level"]}), levels, shown.styles, title)
    name = f"subgroups_{variable}_{quantity}_{key}"
    alt = f"{title} by {VARIABLES[str(variable)].lower()}"
    st.plotly_chart(chart, config=charts.chart_config(name), theme=None, alt=alt)
    draw_notes(rows)
    readers = ["n_readers"] if variable == "reader_years" else []
    order = {level: number for number, level in enumerate(levels)}
    by_level = shown.in_order(rows).sort_values("level", key=lambda each: each.map(order), kind="stable")
    draw_table(by_level, ["level", "label", "row_note", *readers, "n", "estimate"], shown, {"label": "Rater"})
    draw_files({"these rows": rows, "all subgroups": shown.tables["subgroups"]}, shown)
    st.caption("Parts are small and were seldom chosen beforehand: read the interval and n, not the point alone.")
