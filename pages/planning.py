"""How many readers and cases a next study needs: power by both, from results, typed components or papers."""

from __future__ import annotations

from dataclasses import fields, replace
from math import floor
from typing import Any

import pandas as pd
import streamlit as st

from actions.export_study import csv_file
from actions.plan_study import (
    COMPONENTS_OF,
    Compared,
    Components,
    StudyPlan,
    analysis_components,
    plan_study,
    published_components,
    typed_components,
)
from core.errors import ReadingRoomError
from core.number_text import percent_text
from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.address_choice import choose_from_address
from pages.widgets.guard import refusals_shown, requires
from pages.widgets.plain_text import plain
from pages.widgets.results_data import load_results

COMPARED = {
    Compared.PANEL.value: "A model with a panel of readers",
    Compared.ARMS.value: "Two arms, for example with and without the model",
}
SOURCES = {"study": "Results of a study", "typed": "Typed components", "papers": "Numbers of papers"}
FIGURES = {"auc": "AUC", "accuracy": "Right answers", "sensitivity": "Sensitivity", "specificity": "Specificity"}
COMPONENT_NAMES = {
    "reader": "Variance between readers", "error": "Variance over cases", "cov1": "Cov1: same reader, other arm",
    "cov2": "Cov2: other reader, same arm", "cov3": "Cov3: other reader, other arm",
    "arm_by_reader": "Variance of the difference between readers",
}  # fmt: skip
_STYLE = """<style>
.room-power { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
.room-power th, .room-power td { padding: 6px 8px; text-align: right; border: 1px solid #343a41; white-space: nowrap; }
.room-power th { color: #d7dbe0; font-weight: 600; }
.room-power td.enough { background: #14532d; color: #ffffff; font-weight: 600; }
</style>"""


@requires(Role.COORDINATOR, Role.STATISTICIAN)
def render(repository: Repository) -> None:
    """Draw the screen."""
    with st.container(horizontal=True):
        compared = Compared(choose_from_address("compared", "Compared", list(COMPARED), "panel", names=COMPARED))
        source = choose_from_address("source", "Source", list(SOURCES), "study", names=SOURCES)
    left, right = st.columns([5, 7], gap="large")
    with left, refusals_shown():
        components, notes = _components(repository, compared, source)
        wanted = _wanted() if components is not None else None
    if components is None or wanted is None:
        return
    with right, refusals_shown():
        try:
            plan = plan_study(compared, components, notes=notes, **wanted)
        except ReadingRoomError as error:
            st.error(str(error))
            return
        _draw(plan, wanted["power"])
        _store(repository, plan)


# ------------------------------------------------------------------------------------------------ where they come from
def _components(repository: Repository, compared: Compared, source: str) -> tuple[Components | None, tuple[str, ...]]:
    """Variance components, and what must be said of them."""
    if source == "typed":
        return _typed(compared), ("components typed by hand",)
    if source == "papers":
        return _papers(compared), ("components from an expected AUC and correlations that papers print",)
    studies = [study for study in repository.studies() if study.state is StudyState.UNSEALED]
    if not studies:
        st.info("No study is unsealed yet. Type components, or take numbers of papers.")
        return None, ()
    study = st.selectbox("Study", studies, format_func=lambda each: each.protocol.title)
    return _of_study(repository, compared, study)


def _of_study(repository: Repository, compared: Compared, study: Study) -> tuple[Components | None, tuple[str, ...]]:
    """Components of one comparison of an unsealed study."""
    results = load_results(repository, study)
    rows = results.tables["mrmc"]
    rows = rows[rows["analysis"] == ("arms" if compared is Compared.ARMS else "model_vs_panel")]
    if rows.empty:
        need = "two arms" if compared is Compared.ARMS else "a model and two readers of one arm"
        st.info(f"This study has no such comparison: it needs {need}.")
        return None, ()
    labels = {"macro": "mean over classes", "all": "all classes"}
    labels |= {each.key: each.label for each in study.protocol.classes}
    figures = [name for name in FIGURES if name in set(rows["metric"])]
    figure = str(st.selectbox("Figure", figures, format_func=FIGURES.__getitem__))
    rows = rows[rows["metric"] == figure]
    places = rows[["cohort", "first_name", "second_name", "arm"]].drop_duplicates().to_dict("records")
    place = st.selectbox(
        "Comparison", places, format_func=lambda row: f"{row['cohort']}: {row['first_name']} − {row['second_name']}"
    )
    of_place = rows[(rows[list(place)] == pd.Series(place)).all(axis=1)]
    key = st.selectbox("Class", list(dict.fromkeys(of_place["class"])), format_func=labels.__getitem__)
    second = place["arm"] or place["second_name"]
    chosen = (place["cohort"], str(key), place["first_name"], second)
    return analysis_components(compared, results.analysis, study.protocol.title, figure=figure, chosen=chosen)


def _typed(compared: Compared) -> Components:
    """Every component as a number."""
    given = []
    for part in fields(COMPONENTS_OF[compared]):
        if part.name != "n_cases":
            start = {"error": 0.001, "cov1": 0.0004, "cov2": 0.0004, "cov3": 0.0003}.get(part.name, 0.0005)
            value = st.number_input(COMPONENT_NAMES[part.name], value=start, format="%.6f", step=0.0001, key=part.name)
            given.append(f"{part.name}={value}")
    n_cases = int(st.number_input("Cases that they belong to", min_value=2, value=100))
    return typed_components(compared, given, n_cases)


def _papers(compared: Compared) -> Components:
    """Expected AUC, spread of readers and correlations."""
    auc = st.number_input("Expected AUC", min_value=0.5, max_value=0.999, value=0.85, step=0.01)
    share = st.number_input("Share of positive cases", min_value=0.01, max_value=0.99, value=0.5, step=0.05)
    spread = st.number_input(
        "Standard deviation of readers' AUCs", min_value=0.0, max_value=0.3, value=0.03, step=0.005
    )
    names = {"r1": 0.5, "r2": 0.4, "r3": 0.35} if compared is Compared.ARMS else {"r_model": 0.4, "r_readers": 0.4}
    titles = {
        "r1": "Correlation, same reader in both arms", "r2": "Correlation, two readers in one arm",
        "r3": "Correlation, two readers in two arms", "r_model": "Correlation of model and reader",
        "r_readers": "Correlation of two readers",
    }  # fmt: skip
    correlations: dict[str, float | None] = {
        name: st.number_input(titles[name], min_value=-0.9, max_value=0.99, value=start, step=0.05)
        for name, start in names.items()
    }
    return published_components(compared, auc=auc, positive_share=share, reader_sd=spread, correlations=correlations)


def _wanted() -> dict[str, Any] | None:
    """Difference, margin, power and the designs to try."""
    st.divider()
    difference = st.number_input("True difference (0.05 is 5 points)", value=0.05, step=0.01, format="%.3f")
    is_margin = st.toggle("Plan for non-inferiority")
    margin = st.number_input("Margin", min_value=0.001, value=0.05, step=0.01, format="%.3f") if is_margin else None
    power = st.slider("Wanted power", 0.5, 0.99, 0.8)
    scopes = {"RRRC": "readers and cases as samples", "FRRC": "these readers, random cases"}
    scope = st.selectbox("The conclusion is about", list(scopes), format_func=scopes.__getitem__)
    readers = _numbers("Readers to try", "3, 5, 8, 10, 15, 20")
    cases = _numbers("Cases to try", "50, 100, 200, 300, 500, 1000")
    if readers is None or cases is None:
        return None
    return {
        "difference": difference,
        "margin": margin,
        "power": power,
        "scope": scope,
        "readers": readers,
        "cases": cases,
    }


def _numbers(label: str, start: str) -> list[int] | None:
    """Whole numbers with commas between them."""
    text = st.text_input(label, value=start)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) >= 2 for part in parts) or len(parts) > 12:
        st.error(f"{label}: write up to twelve whole numbers of 2 or more with commas between them, as {start}.")
        return None
    return sorted({int(part) for part in parts})


# --------------------------------------------------------------------------------------------------- what comes of it
def _draw(plan: StudyPlan, wanted: float) -> None:
    """The grid of power, and the fewest cases of each number of readers."""
    power = {(each.n_readers, each.n_cases): each.power for each in plan.powers}
    readers, cases = (sorted({place[side] for place in power}) for side in (0, 1))
    head = "".join(f"<th>{n}<br>cases</th>" for n in cases)
    lines = [
        f"<tr><th>{n} readers</th>{''.join(_power_cell(power[n, k], wanted) for k in cases)}</tr>" for n in readers
    ]
    st.markdown("**Power**; the designs that reach what is wanted are green")
    st.html(f'{_STYLE}<table class="room-power"><tr><th></th>{head}</tr>{"".join(lines)}</table>')
    st.markdown("**Fewest cases**")
    parts = []
    for n, size in plan.fewest:
        need = f"{size.design.n_cases} cases" if size.design else f"not reached ({size.reason})"
        parts.append(f"- {n} readers: {need}")
    st.markdown("\n".join(parts))
    for note in plan.notes:
        st.caption(note)
    rows = [{"readers": n, "cases": k, "power": value} for (n, k), value in power.items()]
    st.download_button(
        "CSV", csv_file("power", pd.DataFrame(rows)).content, file_name="power.csv", mime="text/csv",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _power_cell(power: float | None, wanted: float) -> str:
    """A cell of the grid; 79.96 % is not written as the 80.0 % that it does not reach."""
    if power is None:
        return "<td>undefined</td>"
    is_enough = power >= wanted
    text = percent_text(power if is_enough else min(power, floor(1000 * wanted - 1e-9) / 1000))
    return f"<td{' class=enough' if is_enough else ''}>{text}</td>"


def _store(repository: Repository, plan: StudyPlan) -> None:
    """Keep the run in the protocol of a study that is not open yet."""
    drafts = [study for study in repository.studies(Role.COORDINATOR) if study.state is StudyState.DRAFT]
    if not drafts:
        st.caption("A study in draft can keep this run in its protocol as the reason of its size; there is none.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        study = st.selectbox("Keep this run in the protocol of", drafts, format_func=lambda each: each.protocol.title)
        if st.button("Keep", icon=":material/bookmark:"):
            planned = replace(study.protocol.planned, power_run=plan.to_dict())
            protocol = replace(study.protocol, planned=planned)
            repository.update_protocol(study.key, protocol, expected_version=study.protocol_version)
            st.success(f"Kept in the protocol of “{plain(study.protocol.title)}” as planned.power_run.")
