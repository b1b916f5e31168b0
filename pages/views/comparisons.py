"""Two raters on the same cases: who was right where the other was wrong, and whether that could be chance."""

from __future__ import annotations

import streamlit as st

from pages.widgets.drawn_tables import draw_files, draw_notes, draw_stamp, draw_table
from pages.widgets.shown import Shown


def draw(shown: Shown) -> None:
    """McNemar of every pair; the areas of pairs are in the ROC view."""
    rows = shown.tables["mcnemar"]
    if rows.empty:
        st.info("Two raters must have answered the same cases.")
        return
    draw_stamp(shown, "accuracy")
    how = "Tango's interval; exact McNemar test"
    if shown.is_clustered:
        how = "the interval between patients; exact McNemar test, and Obuchowski's between patients"
    st.markdown(f"**Right answers on the same cases**: difference (first − second) with {how}")
    draw_notes(rows)
    columns = ["pair", "row_note", "n", "first_only", "second_only", "estimate", "p_exact", "p_clustered", "p_holm"]
    draw_table(rows, columns, shown, {"estimate": "Difference (95 %)"})
    draw_files(
        {
            "pairs (McNemar, chi-squared)": rows,
            "areas compared (DeLong)": shown.tables["delong"],
            "predictive values compared": shown.tables["predictive_values"],
            "tests of all readers and of the classes named": shown.tables["marginal_tests"],
        },
        shown,
    )
    st.caption(
        "Holm corrects for the number of pairs of the same kind. The file also has the paper's chi-squared test, which "
        "takes the readings for unpaired; they are of the same cases, so McNemar's test is the right one."
    )
