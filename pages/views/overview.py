"""The answer first, in sentences; then every rater, what was declared before reading, and what is missing."""

from __future__ import annotations

import re
from html import escape

import pandas as pd
import streamlit as st

from pages.widgets import charts
from pages.widgets.drawn_tables import draw_files, draw_margin, draw_stamp, draw_table
from pages.widgets.plain_text import plain
from pages.widgets.shown import Shown

_STYLE = """<style>
.room-answer { font-size: 1.18rem; line-height: 1.5; max-width: 75rem; border-left: 4px solid #2b74c0;
  padding: 2px 0 2px 14px; margin: 2px 0 4px; }
.room-answer p { margin: 0 0 6px; }
.room-answer .whole { white-space: nowrap; }
</style>"""


def draw(shown: Shown) -> None:
    """Draw the overview."""
    sentences = "".join(f"<p>{unbroken(escape(sentence))}</p>" for sentence in shown.found.answer)
    st.html(f'{_STYLE}<div class="room-answer">{sentences}</div>')
    draw_stamp(shown, "accuracy")
    _declared(shown)
    rows, gaps, reference = forest_rows(shown)
    if rows.empty:
        st.info("Nobody chose a class in this cohort: there are ratings, and the ROC view has their areas.")
    else:
        figure = charts.forest_chart(rows, gaps, shown.styles, reference)
        alt = "Share of right answers of every rater with its interval, and the difference of the first from each"
        st.plotly_chart(figure, config=charts.chart_config(f"forest_{shown.cohort}"), theme=None, alt=alt, key="forest")
    draw_margin(shown)
    draw_files(
        {
            "right answers": shown.of("summary", quantity="accuracy"),
            "averages over the readers": shown.of("panel_means", metric="accuracy"),
            "differences": shown.tables["mcnemar"],
            "all numbers of all raters": shown.tables["summary"],
            "answers missing": shown.tables["missing"],
        },
        shown,
    )
    one, two = "Wilson", "Tango"
    if shown.is_clustered:
        one, two = "Wilson, on the number of cases that patients with several are worth", "between patients"
    st.caption(
        f"Intervals of one rater: {one}. Differences: on the cases that both answered, {two}. The mean of the readers: "
        "Obuchowski-Rockette, in the scope that fits their number."
    )
    for note in (*shown.found.notes, *shown.analysis.notes):
        st.caption(f":material/info: {plain(note[:1].upper() + note[1:])}.")
    _missing(shown)


def unbroken(text: str) -> str:
    """HTML in which no line ends between a number and its unit or sign."""
    return re.sub(r"p (=|&lt;) [\d.]+|[\d.]+ (%|points|cases)", r'<span class="whole">\g<0></span>', text)


def forest_rows(shown: Shown) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Right answers of every rater, the readers' mean last in each arm; differences of the first model from each.

    Returns
    -------
    tuple
        Rows with a label; differences with a label; label of the rater from whom differences are ("" where none).
    """
    accuracy = shown.of("summary", quantity="accuracy")
    rows = accuracy.set_index("label").reindex([name for name in shown.raters if name in set(accuracy["label"])])
    rows = rows.reset_index()
    reference = next(iter(shown.models), "")
    pairs = shown.tables["mcnemar"]
    key = dict(accuracy[["label", "participant"]].itertuples(index=False)).get(reference)
    pairs = pairs[pairs["first_participant"] == key]
    label = {(row.participant, row.arm): row.label for row in rows.itertuples(index=False)}
    of_pair = [label.get(pair) for pair in zip(pairs["second_participant"], pairs["second_arm"], strict=True)]
    gaps = pairs.assign(label=pd.Series(of_pair, index=pairs.index, dtype=object)).dropna(subset=["label"])
    means, mrmc = shown.tables["panel_means"], shown.tables["mrmc"]
    means, mrmc = (table[(table["metric"] == "accuracy") & table["is_leading"].astype(bool)] for table in (means, mrmc))
    for arm, mean in means.groupby("arm", sort=True):
        name = shown.mean_label(mean)
        gap = mrmc[(mrmc["analysis"] == "model_vs_panel") & (mrmc["first"] == key) & (mrmc["arm"] == arm)]
        rows = pd.concat([rows, mean.assign(label=name)], ignore_index=True)
        gaps = pd.concat([gaps, gap.assign(label=name)], ignore_index=True)
    return rows, gaps.dropna(subset=["value"]), reference


def _declared(shown: Shown) -> None:
    """What the protocol had fixed before the first reading, and what it had not."""
    protocol = shown.study.protocol
    if shown.study.is_read_elsewhere:
        st.caption("Read elsewhere: no protocol stood here before the readings, so nothing was declared and everything "
                   "is exploratory.")  # fmt: skip
        return
    lines = []
    models = shown.of("missing", kind="model")[["participant", "name"]].drop_duplicates()
    for model in models.itertuples(index=False):
        said = shown.declarations.get(model.participant) or shown.study.declaration(model.participant)
        mark = "" if shown.study.is_declared(model.participant) and "after" not in said else ":material/warning: "
        lines.append(f"{mark}{plain(model.name)}: {said}")
    if protocol.primary_endpoint:
        lines.append(f"Primary endpoint: {protocol.primary_endpoint}")
    else:
        lines.append(":material/warning: The protocol names no primary endpoint.")
    lines += [f"Secondary endpoint: {endpoint}" for endpoint in protocol.secondary_endpoints]
    st.caption("  \n".join(lines))


def _missing(shown: Shown) -> None:
    rows = shown.tables["missing"]
    counts = rows[["n_missing", "n_unreadable"]].sum()
    parts = []
    if counts["n_missing"]:
        parts.append(f"{counts['n_missing']} answers are missing")
    if counts["n_unreadable"]:
        parts.append(f"{counts['n_unreadable']} times an image was called unreadable")
    if parts:
        st.warning(f"{' and '.join(parts)}: left out where they are missing, never taken for wrong.")
    with st.expander("Answers expected, given, missing", expanded=bool(parts)):
        columns = ["name", "arm", "n_expected", "n_answered", "n_missing", "n_unreadable", "n_repeats", "notes"]
        draw_table(shown.in_order(rows), columns, shown)
