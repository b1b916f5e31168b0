"""Readers and models against the reference standard: the frame of the results screen, and which view is drawn."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core.study import Role
from db import Repository
from pages.views import (
    agreement,
    behaviour,
    calibration,
    classes,
    comparisons,
    export,
    localisation,
    overview,
    panel,
    roc,
    subgroups,
)
from pages.views import (
    cohort as cohort_view,
)
from pages.widgets.address_choice import choose_from_address
from pages.widgets.elsewhere import warn_not_blinded
from pages.widgets.guard import requires
from pages.widgets.results_data import Results, is_sealed, load_results, pick_study
from pages.widgets.shown import Shown

#: Title of a view in the address and on the screen -> what draws it.
VIEWS: dict[str, Callable[[Shown], None]] = {
    "Overview": overview.draw,
    "Classes": classes.draw,
    "ROC": roc.draw,
    "Localisation": localisation.draw,
    "Comparisons": comparisons.draw,
    "Panel": panel.draw,
    "Agreement": agreement.draw,
    "Calibration": calibration.draw,
    "Subgroups": subgroups.draw,
    "Behaviour": behaviour.draw,
    "Cohort": cohort_view.draw,
}
EXPORT = "Export"
#: Views of which only some studies have anything -> the table that they draw.
_ONLY_WITH = {"Localisation": "localisation"}

#: Charts on paper-white cards, also where files are shown.
STYLE = """<style>
[data-testid="stPlotlyChart"] { border-radius: 6px; overflow: hidden; background: #fff; }
</style>"""


@requires(Role.COORDINATOR, Role.STATISTICIAN)
def render(repository: Repository) -> None:
    """Draw the results screen."""
    st.html(STYLE)
    head = st.container(horizontal=True, vertical_alignment="center")
    with head:
        study = pick_study(repository)
    if study is None or is_sealed(study):
        return
    results = load_results(repository, study)  # what it says while it works stands below the head
    cohorts = [each.cohort for each in results.analysis.cohorts if each.participants]
    if not cohorts:
        st.info("No case has a reading or a prediction yet.")
        return
    with head:
        cohort = choose_from_address("cohort", "Cohort", cohorts, "internal" if "internal" in cohorts else cohorts[0])
    if study.is_read_elsewhere:
        warn_not_blinded()
    view = choose_from_address("view", "View", [*views_of(results), EXPORT], "Overview")
    if view == EXPORT:
        export.draw(repository, study, results)
        return
    tables = {name: of_cohort(table, cohort) for name, table in results.tables.items()}
    VIEWS[view](
        Shown(
            study,
            results.analysis,
            cohort,
            tables,
            results.styles,
            results.tables,
            repository.model_declarations(study.key),
        )
    )


def views_of(results: Results) -> list[str]:
    """The views that have something to show."""
    return [name for name in VIEWS if name not in _ONLY_WITH or len(results.tables[_ONLY_WITH[name]])]


def of_cohort(table: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """The rows of a cohort; of a table of the whole study all."""
    return table[table["cohort"] == cohort].reset_index(drop=True) if "cohort" in table.columns else table
