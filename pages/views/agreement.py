"""Agreement of readers with each other, with the model and with themselves; and the cases on which they fail."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.widgets.address_choice import choose_from_address
from pages.widgets.drawn_tables import draw_files, draw_notes, draw_stamp, draw_table
from pages.widgets.movement import go_to
from pages.widgets.plain_text import plain
from pages.widgets.shown import Shown

SCOPES = {
    "between": "All readers together",
    "within": "Each reader with himself or herself, on the cases that came back unannounced",
    "with_model": "Each reader with the model (Cohen's kappa)",
    "pair": "Two readers (Cohen's kappa)",
}
#: What became of a case -> its title, in the order of the list.
OUTCOMES = {
    "all_wrong": "Everybody wrong, the model too",
    "only_model_wrong": "Only the model wrong",
    "only_readers_wrong": "All readers wrong, the model right",
    "readers_split": "Readers split",
}
#: Scope -> what the two who are compared are called.
SIDES = {"within": {"first": "Reader"}, "with_model": {"first": "Reader", "second": "Model"},
         "pair": {"first": "One reader", "second": "The other"}}  # fmt: skip
MOST_BUTTONS = 48


def draw(shown: Shown) -> None:
    """Draw the view."""
    rows = shown.tables["agreement"]
    if rows.empty:
        st.info("No case was read by two readers yet, and no case came back to a reader.")
    draw_stamp(shown, "agreement")
    for scope, title in SCOPES.items():
        of_scope = rows[rows["scope"] == scope]
        if of_scope.empty:
            continue
        if scope != "pair":
            st.markdown(f"**{title}**")
        with st.container() if scope != "pair" else st.expander(f"{title}: {len(of_scope)}"):
            draw_notes(of_scope)
            columns = ["arm", "first", "second", "statistic", "row_note", "n_readers", "n", "estimate"]
            if scope == "within":
                columns.remove("second")
                columns.remove("n_readers")
            if scope in ("pair", "with_model"):
                columns.remove("n_readers")
                columns.remove("statistic")
            draw_table(of_scope, columns, shown, SIDES.get(scope))
    _outcomes(shown)
    draw_files({"agreement": rows, "what became of every case": shown.tables["case_outcomes"]}, shown)


def _outcomes(shown: Shown) -> None:
    """Cases by who failed on them; a click opens the case."""
    rows = shown.tables["case_outcomes"]
    if rows.empty:
        return
    arms = list(dict.fromkeys(rows["arm"]))
    opens = "; a click opens the case" if shown.can_open_cases else ""
    st.markdown(f"**Cases on which raters fail**{opens}")
    arm = choose_from_address("arm", "Arm", arms, arms[0]) if len(arms) > 1 else arms[0]
    rows = rows[rows["arm"] == arm]
    counts = rows["outcome"].value_counts()
    kinds = [name for name in OUTCOMES if counts.get(name)]
    if not kinds:
        st.caption("Every case was answered right by all.")
        return
    titles = {name: f"{OUTCOMES[name]} · {counts[name]}" for name in kinds}
    kind = choose_from_address("outcome", "What became of the cases", kinds, kinds[0], names=titles)
    _links(shown, rows[rows["outcome"] == kind])


def _links(shown: Shown, rows: pd.DataFrame) -> None:
    """A button a case."""
    with st.container(horizontal=True):
        for row in rows.head(MOST_BUTTONS).itertuples(index=False):
            label = f"{plain(row.case)} · {plain(shown.short_labels[row.truth])} · {row.n_right} of {row.n_readers}"
            if not shown.can_open_cases:
                st.text(label)
            elif st.button(label, key=f"open {row.case}", type="tertiary", icon=":material/frame_inspect:"):
                go_to("explain", shown.study.key, cohort=shown.cohort, case=row.case)
    if len(rows) > MOST_BUTTONS:
        more = " and on the Explain screen" if shown.can_open_cases else ""
        st.caption(f"{len(rows) - MOST_BUTTONS} more in the CSV{more}.")
    st.caption("Case · reference standard · readers who were right, of those who answered.")
