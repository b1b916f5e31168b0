"""Localisation: are lesions marked where they are, and rated above what is marked elsewhere (LROC)?"""

from __future__ import annotations

import streamlit as st

from core.study_analysis.localisation import AREA, LROC_METHOD, QUANTITIES
from pages.widgets import charts
from pages.widgets.drawn_tables import draw_files, draw_notes, draw_stamp, draw_table, side_by_side
from pages.widgets.shown import Shown


def draw(shown: Shown) -> None:
    """Draw the view."""
    rows, points = shown.tables["localisation"], shown.tables["lroc_points"]
    if rows.empty:
        st.info(
            "No reader marked lesions in this cohort, or no mask says where they are. The protocol asks for marks, the "
            "manifest names the masks."
        )
        return
    draw_stamp(shown, "localisation")
    left, right = st.columns([11, 10], gap="medium")
    with left:
        figure = charts.lroc_chart(points, shown.styles)
        alt = "LROC: share of lesions hit against the share of cases without a lesion that were marked"
        st.plotly_chart(figure, config=charts.chart_config(f"lroc_{shown.cohort}"), theme=None, alt=alt, key="lroc")
    with right:
        draw_notes(rows[rows["quantity"] == AREA])
        draw_files({"localisation": rows, "LROC curves": points}, shown)
        st.caption(f"{LROC_METHOD} A model makes no mark; where its class maps point stands on the Explain screen.")
    wide = side_by_side(rows, ["label"], "quantity")
    columns = [name for name in QUANTITIES if name in wide.columns]
    titles = {"label": "Reader"} | {
        name: f"{QUANTITIES[name][0].upper()}{QUANTITIES[name][1:]} (95 %)" for name in columns
    }
    draw_table(wide, ["label", *columns], shown, titles)
