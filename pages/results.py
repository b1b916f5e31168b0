"""Readers and models against the reference standard: the tables of the analysis as charts, with a CSV beside each."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from actions.export_study import export_files
from core.study import Role, Study
from db import Repository
from pages.widgets import charts
from pages.widgets.comparison_views import draw_areas, draw_cutoffs, draw_matched_points, draw_pairs, draw_panel
from pages.widgets.drawn_tables import draw_download, draw_notes, draw_table
from pages.widgets.guard import requires
from pages.widgets.part_views import draw_calibration, draw_subgroups, draw_times
from pages.widgets.results_data import Results, is_sealed, load_results, percent, pick_study, with_labels

#: Order and titles of the views of this screen.
VIEWS = (
    "Overview",
    "Classes",
    "ROC",
    "Confusion",
    "Comparisons",
    "Panel",
    "Agreement",
    "Calibration",
    "Subgroups",
    "Time",
    "Tables and export",
)


@requires(Role.COORDINATOR, Role.STATISTICIAN)
def render(repository: Repository) -> None:
    """Draw the results screen."""
    study = pick_study(repository)
    if study is None or is_sealed(study):
        return
    results = load_results(repository, study)
    cohorts = [each.cohort for each in results.analysis.cohorts if each.participants]
    if not cohorts:
        st.info("No case has a reading or a prediction yet.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control("View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params")
        default = "internal" if "internal" in cohorts else cohorts[0]
        cohort = st.segmented_control("Cohort", cohorts, default=default, required=True, key=f"cohort {study.key}")
    tables = with_labels({name: _of_cohort(table, str(cohort)) for name, table in results.tables.items()})
    draw: dict[str, Callable[[Study, dict[str, pd.DataFrame]], None]] = {
        "Overview": _overview,
        "Classes": _classes,
        "ROC": _roc,
        "Confusion": _confusion,
        "Comparisons": lambda study, tables: draw_pairs(tables, _names(study, tables)),
        "Panel": lambda study, tables: draw_panel(tables, _names(study, tables)),
        "Agreement": _agreement,
        "Calibration": lambda study, tables: draw_calibration(tables, _labels(study), _names(study, tables)),
        "Subgroups": lambda study, tables: draw_subgroups(tables, _labels(study), _names(study, tables)),
        "Time": lambda study, tables: draw_times(tables, _names(study, tables)),
    }
    if view == VIEWS[-1]:
        _tables_and_export(repository, study, results)
    else:
        draw[str(view)](study, tables)


def _of_cohort(table: pd.DataFrame, cohort: str) -> pd.DataFrame:
    return table[table["cohort"] == cohort].reset_index(drop=True) if "cohort" in table.columns else table


def _labels(study: Study, *, short: bool = False) -> dict[str, str]:
    return {each.key: each.short_label if short else each.label for each in study.protocol.classes}


def _names(study: Study, tables: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Class and participant keys -> names."""
    participants = tables["summary"][["participant", "name"]].drop_duplicates()
    return {**_labels(study), **dict(participants.itertuples(index=False))}


def _overview(study: Study, tables: dict[str, pd.DataFrame]) -> None:
    summary = tables["summary"]
    styles = charts.participant_styles(summary)
    accuracy = summary[summary["quantity"] == "accuracy"]
    with st.container(horizontal=True):
        for row in accuracy.itertuples(index=False):
            limits = f"{percent(row.lower)} to {percent(row.upper)}, n = {row.n}"
            st.metric(row.label, percent(row.value), limits, delta_color="off", delta_arrow="off", border=True)
    for model in summary.loc[summary["kind"] == "model", ["participant", "name"]].drop_duplicates().itertuples():
        mark = "" if study.is_declared(model.participant) else ":material/warning: "
        st.caption(f"{mark}{model.name}: {study.declaration(model.participant)}")
    left, right = st.columns(2, gap="large", vertical_alignment="bottom")
    left.caption("Accuracy with its 95 % interval (Wilson). A diamond is a model, a circle a reader.")
    quantities = [name for name in charts.QUANTITY_LABELS if name in set(summary["quantity"])]
    with right:
        other = st.selectbox(
            "Quantity", quantities, index=quantities.index("kappa"), format_func=charts.QUANTITY_LABELS.__getitem__
        )
    left, right = st.columns(2, gap="large")
    for place, quantity in ((left, "accuracy"), (right, other)):
        rows = summary[summary["quantity"] == quantity]
        with place:
            figure = charts.estimate_chart(rows, styles, charts.QUANTITY_LABELS[quantity])
            alt = f"{charts.QUANTITY_LABELS[quantity]} by participant"
            st.plotly_chart(figure, config=charts.CHART_CONFIG, alt=alt, key=f"overview {quantity} {place is left}")
            if place is left or quantity != "accuracy":
                draw_download(rows, f"{quantity}.csv")
    _missing(study, tables)


def _missing(study: Study, tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["missing"]
    if (rows[["n_missing", "n_unreadable"]].to_numpy() > 0).any():
        st.warning("Some answers are missing or the image was called unreadable; each number states its own n.")
    with st.expander("Answers expected, given, missing"):
        columns = ["name", "arm", "n_expected", "n_answered", "n_missing", "n_unreadable", "n_repeats", "notes"]
        draw_table(rows, columns, _names(study, tables))


def _classes(study: Study, tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["per_class"]
    styles = charts.participant_styles(tables["summary"])
    for pair in (("sensitivity", "specificity"), ("ppv", "npv"), ("f1",)):
        for column, quantity in zip(st.columns(2, gap="large"), pair, strict=False):
            with column:
                chosen = rows[rows["quantity"] == quantity]
                title = charts.QUANTITY_LABELS[quantity]
                figure = charts.per_class_chart(chosen, _labels(study, short=True), styles, title)
                st.plotly_chart(figure, config=charts.CHART_CONFIG, alt=f"{title} by class and participant")
                draw_download(chosen, f"{quantity}.csv")
    st.caption("Predictive values depend on how common each class is in this study; intervals are Wilson's.")


_AUC_TITLE = {"estimate": "AUC (95 %)"}


def _roc(study: Study, tables: dict[str, pd.DataFrame]) -> None:
    labels = _labels(study)
    key = st.segmented_control(
        "Class against the rest",
        list(labels),
        default=next(iter(labels)),
        required=True,
        format_func=labels.__getitem__,
    )
    points = tables["roc_points"]
    points = points[points["class"] == key]
    auc = tables["auc"]
    per_class = tables["per_class"]
    chosen = per_class[(per_class["class"] == key) & per_class["quantity"].isin(["sensitivity", "specificity"])]
    wide = chosen.pivot_table(index="label", columns="quantity", values="value", sort=False).reset_index()
    operating = pd.DataFrame(
        {
            "label": wide["label"],
            "false_positive_rate": 1 - wide["specificity"],
            "sensitivity": wide["sensitivity"],
        }
    )
    styles = charts.participant_styles(tables["summary"])
    left, right = st.columns([6, 5], gap="medium")
    with left:
        title = f"ROC: {labels[str(key)]} against the rest"
        average = tables["reader_average_roc"]
        average = average[average["class"] == key]
        figure = charts.roc_chart(points, auc[auc["class"] == key], operating, average, styles, title)
        st.plotly_chart(figure, config=charts.CHART_CONFIG, alt=title)
        draw_download(points, f"roc_{key}.csv")
    with right:
        st.markdown(f"**AUC of {labels[str(key)]} against the rest**")
        draw_table(auc[auc["class"] == key], ["name", "arm", "n", "estimate"], _names(study, tables), _AUC_TITLE)
        st.caption(
            "A reader's rating of a class is +confidence when it was chosen and −confidence otherwise. White-rimmed "
            "marks are the operating points of the chosen class. A hard label gives one point, never a curve."
        )
    draw_areas(tables, labels, _names(study, tables))
    draw_matched_points(tables, _names(study, tables), str(key))
    draw_cutoffs(tables, _names(study, tables), str(key))


def _confusion(study: Study, tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["confusion"]
    names = list(dict.fromkeys(rows["label"]))
    for start in range(0, len(names), 2):
        for column, name in zip(st.columns(2, gap="large"), names[start : start + 2], strict=False):
            with column:
                figure = charts.confusion_chart(rows[rows["label"] == name], _labels(study, short=True), name)
                st.plotly_chart(figure, config=charts.CHART_CONFIG, alt=f"Confusion matrix of {name}")
    draw_download(rows, "confusion.csv")


def _agreement(study: Study, tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["agreement"]
    if rows.empty:
        st.info("No case was read by two readers yet.")
        return
    draw_notes(rows)
    columns = ["arm", "scope", "first", "second", "statistic", "row_note", "n_readers", "n", "estimate"]
    draw_table(rows, columns, _names(study, tables))
    draw_download(rows, "agreement.csv")


def _tables_and_export(repository: Repository, study: Study, results: Results) -> None:
    st.markdown("**Everything as CSV**: readings with all revisions, predictions with the model's hash, all tables")
    if st.button("Prepare the export", icon=":material/folder_zip:"):
        st.session_state["export"] = (study.key, export_files(repository, study.key, results.analysis))
    made_for, files = st.session_state.get("export", (None, []))
    if made_for == study.key:
        with st.container(horizontal=True):
            for file in files:
                st.download_button(
                    f"{file.name} · {file.n_rows} rows",
                    file.content,
                    file_name=f"{file.name.removesuffix('.csv')}_{file.sha256[:8]}.csv",
                    mime="text/csv",
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"export {file.name}",
                )
        st.caption(
            "Each file's SHA-256 stands in the audit trail. From the terminal: `python manage.py export FOLDER`."
        )
    name = st.selectbox("Table", list(results.tables))
    st.dataframe(results.tables[name], hide_index=True)
    for note in results.analysis.notes:
        st.caption(note)
