"""While readers read: how far everybody is and, where the protocol compares live, the model against the readers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from actions.analyse_study import analyse_study
from core.errors import ConflictError
from core.natural_order import NaturalKey, cohort_place, natural_key
from core.number_text import percent_text
from core.study import Role, Study, StudyState
from db import Repository
from db.records import ReaderProgress
from pages.views import classes, roc
from pages.views.overview import forest_rows
from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
from pages.widgets.drawn_tables import draw_files, draw_table
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import requires, while_signed_in
from pages.widgets.movement import go_to
from pages.widgets.results_data import Results, labelled, pick_study
from pages.widgets.shown import Shown

#: How often the store is asked whether something was read.
EVERY = "15s"
PARTS = {"answers": "Right answers", "classes": "Per class and kappa", "roc": "ROC"}


@dataclass(frozen=True)
class Look:
    """What a coordinator saw at one moment."""

    at: datetime
    digest: str  # of what it was made of
    results: Results
    before: dict[str, float]  # label -> share of right answers at the look before, in the cohort shown then


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the dashboard."""
    study = pick_study(repository)
    if study is None or is_read_elsewhere(repository, study):
        return
    every = EVERY if study.state is StudyState.OPEN else None

    @st.fragment(run_every=every)
    @while_signed_in
    def live() -> None:
        n_done = _progress(repository, study)
        if study.is_live:
            _compare(repository, study, n_done)

    live()
    if study.state is StudyState.UNSEALED:
        if st.button("Open the results", type="primary", icon=":material/monitoring:"):
            go_to("results", study.key)
    elif not study.is_live:
        st.info(
            "The protocol keeps the comparison sealed until the study is unsealed: this screen shows progress, and "
            "never how well anybody does.",
            icon=":material/lock:",
        )


def _place(row: ReaderProgress) -> tuple[NaturalKey, tuple[int, NaturalKey], str]:
    """By name, cohort and arm."""
    return natural_key(row.person.display_name), cohort_place(row.cohort), str(row.arm)


def _progress(repository: Repository, study: Study) -> int:
    """How far every reader is; returns the answers so far."""
    rows = sorted(repository.progress(study.key), key=_place)
    if not rows:
        st.info("No reader takes part yet.")
        return 0
    n_done, n_total = sum(row.n_done for row in rows), sum(row.n_total for row in rows)
    st.progress(n_done / n_total if n_total else 0.0, text=f"{n_done} of {n_total} answers, as of "
                f"{datetime.now(UTC):%H:%M:%S} UTC")  # fmt: skip
    frame = pd.DataFrame(
        {
            "Reader": [row.person.display_name for row in rows],
            "Cohort": [row.cohort for row in rows],
            "Arm": [str(row.arm) for row in rows],
            "Read": [f"{row.n_done} of {row.n_total}" for row in rows],
        }
    )
    with st.expander("By reader", expanded=not study.is_live and len(rows) <= 12):
        draw_table(frame, list(frame.columns))
    return n_done


def _compare(repository: Repository, study: Study, n_done: int) -> None:
    """The model against the readers on the cases read so far; a new look only when something has changed."""
    key = f"look {study.key}"
    look: Look | None = st.session_state.get(key)
    if not n_done:
        st.info("The comparison begins with the first answer.")
        return
    digest = repository.results_digest(study.key)
    if look is None or look.digest != digest:
        before = {} if look is None else _shares(look.results)
        try:
            with st.spinner("Comparing what was read so far ..."):
                results = labelled(analyse_study(repository, study.key))
        except ConflictError as error:
            st.info(str(error))
            return
        look = st.session_state[key] = Look(datetime.now(UTC), digest, results, before)
    st.warning(
        f"Interim comparison, look of {look.at:%H:%M:%S} UTC. The protocol allows it; every look stands in the audit "
        "trail and in the report. Readers never see this.",
        icon=":material/visibility:",
    )
    _draw(study, look)


def _shares(results: Results) -> dict[str, float]:
    """Cohort and label -> share of right answers."""
    rows = results.tables["summary"]
    rows = rows[rows["quantity"] == "accuracy"]
    return {f"{row.cohort} {row.label}": row.value for row in rows.itertuples() if pd.notna(row.value)}


def _draw(study: Study, look: Look) -> None:
    """The chosen part for the chosen cohort."""
    results = look.results
    cohorts = [each.cohort for each in results.analysis.cohorts if each.participants]
    with st.container(horizontal=True, vertical_alignment="center"):
        part = choose_from_address("part", "Part", list(PARTS), "answers", names=PARTS)
        cohort = cohorts[0] if len(cohorts) == 1 else choose_from_address("cohort", "Cohort", cohorts, cohorts[0])
    tables = {
        name: table[table["cohort"] == cohort].reset_index(drop=True) if "cohort" in table.columns else table
        for name, table in results.tables.items()
    }
    shown = Shown(study, results.analysis, cohort, tables, results.styles, results.tables)
    if part == "classes":
        classes.draw(shown)
    elif part == "roc":
        roc.draw(shown)
    else:
        _answers(shown, look)


def _answers(shown: Shown, look: Look) -> None:
    """Right answers of everybody with intervals, and what changed since the last look."""
    rows, gaps, reference = forest_rows(shown)
    if rows.empty:
        st.info("Nobody chose a class yet.")
        return
    figure = charts.forest_chart(rows, gaps, shown.styles, reference, "Right so far")
    config = charts.chart_config(f"live_{shown.study.key}")
    st.plotly_chart(figure, config=config, theme=None, alt="Right answers of every rater so far", key="live forest")
    draw_files(
        {"right answers": shown.of("summary", quantity="accuracy"), "differences": shown.tables["mcnemar"]}, shown
    )
    changes = []
    for row in rows.itertuples():
        old = look.before.get(f"{shown.cohort} {row.label}")
        if old is not None and pd.notna(row.value) and abs(row.value - old) > 0:
            changes.append(f"{row.label} from {percent_text(old)} to {percent_text(row.value)}")
    if look.before:
        st.caption("Since the look before: " + ("; ".join(changes) if changes else "no share changed") + ".")
    st.caption("Early numbers move: look at the intervals. A decision taken on them has to be in the analysis plan.")
