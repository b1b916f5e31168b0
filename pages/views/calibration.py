"""Whether a model's probabilities hold, and what acting on them would bring."""

from __future__ import annotations

import streamlit as st

from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
from pages.widgets.drawn_tables import WORDS, draw_files, draw_notes, draw_stamp, draw_table, side_by_side
from pages.widgets.plain_text import plain
from pages.widgets.shown import Shown


def draw(shown: Shown) -> None:
    """Reliability diagram, decision curve and the numbers of one model."""
    rows = shown.tables["calibration"]
    if rows.empty:
        st.info("Calibration needs a model's probabilities in this cohort.")
        return
    keys = [key for key in shown.labels if key in set(rows["class"])]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        models = [name for name in shown.models if name in set(rows["label"])]
        model = models[0] if len(models) == 1 else choose_from_address("model", "Model", models, models[0])
        key = choose_from_address("class", "Class against the rest", keys, shown.first_class(keys), names=shown.labels)
    rows = rows[rows["label"] == model]
    bins, decisions = (
        shown.of(name, label=model, **{"class": key}) for name in ("reliability_bins", "decision_curves")
    )
    draw_stamp(shown, "calibration")
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**Observed share of {plain(shown.labels[key])} by its probability**")
        figure = charts.reliability_chart(bins, "Mean probability of the bin", shown.styles[model])
        config = charts.chart_config(f"reliability_{key}_{shown.cohort}")
        st.plotly_chart(figure, config=config, theme=None, alt=f"Reliability of {model} for {shown.labels[key]}")
    with right:
        st.markdown(f"**Net benefit of calling {plain(shown.labels[key])}**")
        config = charts.chart_config(f"net_benefit_{key}_{shown.cohort}")
        alt = f"Net benefit of {model} for {shown.labels[key]} over thresholds"
        st.plotly_chart(charts.decision_chart(decisions, shown.styles[model]), config=config, theme=None, alt=alt)
    draw_notes(rows[rows["value"].isna()])
    wide = side_by_side(rows, ["class"], "quantity")
    quantities = [name for name in ("brier", "ece", "slope", "intercept", "in_the_large") if name in wide.columns]
    draw_table(wide, ["class", *quantities], shown, {name: WORDS[name] for name in quantities})
    draw_files(
        {
            "calibration": shown.tables["calibration"],
            "reliability": shown.tables["reliability_bins"],
            "decision curves": shown.tables["decision_curves"],
        },
        shown,
    )
    st.caption(
        "Brier score: 0 is perfect, 0.25 what “one half” always scores (over all classes 0 to 2). The calibration "
        "error lies above the truth when bins are small; the file says by how much. A slope below 1: probabilities are "
        "too extreme."
    )
