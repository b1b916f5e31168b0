"""Who and what was studied: the flow of cases with reasons, Table 1, centres by class, patients of two cohorts."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from core.report.printed_tables import baseline_table
from pages.widgets.drawn_tables import draw_files, draw_table, side_by_side
from pages.widgets.plain_text import plain
from pages.widgets.shown import MOST_COLUMNS, Shown

_STYLE = """<style>
.room-flow { display: flex; flex-direction: column; align-items: center; gap: 0; color: #16191d; background: #fff;
  padding: 18px; border-radius: 6px; font-size: 14px; }
.room-flow .box { border: 1.5px solid #16191d; border-radius: 4px; padding: 7px 14px; text-align: center;
  max-width: 300px; }
.room-flow .box small { display: block; color: #3d444c; }
.room-flow .line { width: 1.5px; height: 18px; background: #16191d; }
.room-flow .middle { display: grid; grid-template-columns: 1fr 1.5px 1fr; align-items: center; width: 100%; }
.room-flow .middle .line { height: 100%; min-height: 44px; }
.room-flow .aside { border: 1.5px solid #16191d; border-radius: 4px; padding: 7px 12px; text-align: left;
  margin-left: 34px; position: relative; justify-self: start; max-width: 420px; }
.room-flow .aside::before { content: ""; position: absolute; left: -35px; top: 50%; width: 34px; height: 1.5px;
  background: #16191d; }
.room-flow .row { display: flex; flex-wrap: wrap; justify-content: center; row-gap: 14px; }
.room-flow .branch { position: relative; padding: 16px 7px 0; }
.room-flow .branch::before, .room-flow .branch::after { content: ""; position: absolute; top: 0; background: #16191d; }
.room-flow .branch::before { left: calc(50% - 0.75px); width: 1.5px; height: 16px; }
.room-flow .branch::after { left: 0; right: 0; height: 1.5px; }
.room-flow .branch:first-child::after { left: 50%; } .room-flow .branch:last-child::after { right: 50%; }
</style>"""
VARIABLES = {"centre": "Centre", "scanner": "Scanner"}


def draw(shown: Shown) -> None:
    """Draw the view; it is of the whole study, whatever cohort is chosen."""
    tables = shown.whole
    _shared(shown)
    st.markdown("**Flow of cases**")
    st.html(_STYLE + _flow(tables["flow"]))
    st.markdown("**Baseline characteristics**")
    _baseline(shown)
    _groups(shown)
    draw_files({name.replace("_", " "): tables[name] for name in ("flow", "baseline", "groups_by_class",
                                                                  "shared_patients")}, shown)  # fmt: skip


def _shared(shown: Shown) -> None:
    """Whether a patient is in two cohorts; of training only where its cases are here."""
    rows = shown.whole["shared_patients"]
    both = rows[rows["n_patients"] > 0]
    if len(both):
        parts = [f"{row.n_patients} in {row.first} and {row.second}" for row in both.itertuples()]
        st.error(f"Patients have cases in two cohorts: {'; '.join(parts)}. The CSV names them.")
    elif len(rows):
        has_training = "training" in {*rows["first"], *rows["second"]}
        more = ": training and test do not overlap." if has_training else ". Training cases are not in this study."
        st.success(f"No patient has cases in two cohorts{more}", icon=":material/check:")


def _said(row: pd.Series) -> str:
    """514 cases of 512 patients."""
    n, patients = int(row["n_cases"]), int(row["n_patients"])
    return f"{n} cases" + (f" of {patients} patients" if patients != n else "")


def _flow(rows: pd.DataFrame) -> str:
    """STARD's diagram as boxes."""
    step = {str(name): part for name, part in rows.groupby("step", sort=False)}
    imported, included = step["imported"].iloc[0], step["included"].iloc[0]
    parts = [f'<div class="box">Imported<small>{_said(imported)}</small></div>']
    if "excluded" in step:
        lines = "".join(f"<br>{escape(str(row.what))}: {row.n_cases}" for row in step["excluded"].itertuples())
        total = int(step["excluded"]["n_cases"].sum())
        parts.append(
            '<div class="middle"><span></span><div class="line"></div>'
            f'<div class="aside">Excluded: {total} cases{lines}'
            "</div></div>"
        )
    parts.append('<div class="line"></div>')
    parts.append(f'<div class="box">Included<small>{_said(included)}</small></div><div class="line"></div>')
    boxes = []
    for cohort in step.get("cohort", rows.iloc[:0]).to_dict("records"):
        own = rows[(rows["cohort"] == cohort["cohort"]) & rows["step"].isin(["read", "predicted"])]
        names = ["read by a reader" if row.step == "read" else f"predicted by {row.what}" for row in own.itertuples()]
        lines = "".join(f"<small>{escape(name)}: {n}</small>" for name, n in zip(names, own["n_cases"], strict=True))
        boxes.append(
            f'<div class="branch"><div class="box"><b>{escape(cohort["cohort"])}</b>'
            f"<small>{_said(pd.Series(cohort))}</small>{lines}</div></div>"
        )
    parts.append(f'<div class="row">{"".join(boxes)}</div>')
    return f'<div class="room-flow" role="group" aria-label="Flow of cases">{"".join(parts)}</div>'


def _baseline(shown: Shown) -> None:
    """Table 1 as the report prints it: one column a cohort."""
    printed = baseline_table(shown.analysis)
    draw_table(pd.DataFrame(printed.rows, columns=list(printed.columns)), printed.columns)
    for note in printed.notes:
        st.caption(note)


def _groups(shown: Shown) -> None:
    """Centre and scanner by class, of the chosen cohort."""
    rows = shown.tables["groups_by_class"]
    for variable, part in rows.groupby("variable", sort=False):
        st.markdown(f"**{VARIABLES[str(variable)]} by class**, {plain(shown.cohort)}")
        part = part.assign(level=part["level"].replace("", "not known"))
        if len(shown.labels) > MOST_COLUMNS:
            wide = side_by_side(part, ["class"], "level", "n_cases")
            draw_table(wide, list(wide.columns), shown)
        else:
            wide = side_by_side(part, ["level"], "class", "n_cases")
            draw_table(wide, ["level", *shown.labels], shown, {"level": VARIABLES[str(variable)], **shown.short_labels})
    if len(rows):
        st.caption("A class that comes from one centre or scanner alone can be told from the look of the image.")
