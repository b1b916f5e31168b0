"""One number over the parts of the cases, or of the readers."""

from __future__ import annotations

import streamlit as st

from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
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
        variable = choose_from_address("parts", "Parts", variables, variables[0], names=VARIABLES)
        rows = rows[rows["variable"] == variable]
        quantities = list(dict.fromkeys(rows["quantity"]))
        titles = {name: words.get(name, name.capitalize()) for name in quantities}
        quantity = choose_from_address("number", "Number", quantities, quantities[0], names=titles)
        keys = list(dict.fromkeys(rows.loc[rows["quantity"] == quantity, "class"]))
        key = keys[0]
        if len(keys) > 1:
            key = choose_from_address("class", "Class against the rest", keys, shown.first_class(keys), names=words)
    rows = rows[(rows["quantity"] == quantity) & (rows["class"] == key)].reset_index(drop=True)
    levels = {level: level for level in dict.fromkeys(rows["level"])}
    title = words.get(quantity, str(quantity).capitalize())
    chart = charts.per_class_chart(rows.assign(**{"class": rows["level"]}), levels, shown.styles, title)
    name = f"subgroups_{variable}_{quantity}_{key}"
    alt = f"{title} by {VARIABLES[variable].lower()}"
    st.plotly_chart(chart, config=charts.chart_config(name), theme=None, alt=alt)
    draw_notes(rows)
    readers = ["n_readers"] if variable == "reader_years" else []
    order = {level: number for number, level in enumerate(levels)}
    by_level = shown.in_order(rows).sort_values("level", key=lambda each: each.map(order), kind="stable")
    draw_table(by_level, ["level", "label", "row_note", *readers, "n", "estimate"], shown, {"label": "Rater"})
    draw_files({"these rows": rows, "all subgroups": shown.tables["subgroups"]}, shown)
    st.caption("Parts are small and were seldom chosen beforehand: read the interval and n, not the point alone.")
