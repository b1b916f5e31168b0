"""Everything of a study as one file, its report, and the tables as they are."""

from __future__ import annotations

import hashlib
from functools import partial

import streamlit as st

from actions.jobs import Job, start_job
from core.analysis import StudyAnalysis
from core.number_text import shown_table
from core.progress import OnProgress
from core.study import Study
from db import Repository
from pages.widgets.guard import refusals_shown
from pages.widgets.job_view import show_job
from pages.widgets.results_data import Results

_EXPORT, _REPORT = "Making the export", "Writing the report"


def draw(repository: Repository, study: Study, results: Results) -> None:
    """Draw the export, the report, and a look into every table."""
    warn_of_letters(results.analysis)
    job = show_job(repository, study)
    is_busy = job is not None and job.is_running
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("One file with everything")
        st.markdown(
            "Readings, predictions and reference standard with a data dictionary, every table as CSV, Excel, LaTeX and "
            "HTML for Word, figures as SVG, PDF and PNG at 84, 119 and 174 mm, files for iMRMC, RJafroc, MRMCaov and "
            "pROC, protocol, trail, report, and the hash of every file."
        )
        if st.button("Make the export", icon=":material/folder_zip:", type="primary", disabled=is_busy):
            _start(study, _EXPORT, partial(_bundle, repository, study.key, results.analysis))
        _offer(job, _EXPORT, study)
        st.caption("`python manage.py verify-bundle FILE.zip` checks it; *Files* in the bar opens it elsewhere.")
    with right:
        st.subheader("Report")
        st.markdown(
            "Methods, flow, Table 1, results (each planned or exploratory), missing answers with a worst and a best "
            "case, deviations, models, seeds and versions, and the checklists STARD 2015, STARD-AI and CLAIM 2024."
        )
        if st.button("Write the report", icon=":material/description:", disabled=is_busy):
            _start(study, _REPORT, partial(_report, repository, study.key, results.analysis))
        _offer(job, _REPORT, study)
    if job is not None and job.error is not None and job.title in (_EXPORT, _REPORT):
        st.error(str(job.error))
    st.subheader("Tables")
    name = st.selectbox("Table", list(results.tables), label_visibility="collapsed")
    table = results.tables[name].drop(columns="label", errors="ignore")
    names = {each.key: each.label for each in study.protocol.classes}
    has_all_digits = st.toggle("All digits and columns", key="all digits")
    st.dataframe(table if has_all_digits else shown_table(table, names), hide_index=True)
    for note in results.analysis.notes:
        st.caption(note)


def warn_of_letters(analysis: StudyAnalysis) -> None:
    """Which letters PDF and figures will show as boxes."""
    from core.report.figures import figure_texts  # Matplotlib: a server starts without it
    from core.report.letters import letters_of

    if warning := letters_of(figure_texts(analysis)).warning:
        st.warning(warning, icon=":material/font_download_off:")


def _start(study: Study, title: str, deed: partial[dict[str, bytes]]) -> None:
    """In the background, so that the page may be left."""
    with refusals_shown():
        start_job(study.key, title, deed)
        st.rerun()


def _bundle(repository: Repository, study_key: str, analysis: StudyAnalysis, progress: OnProgress) -> dict[str, bytes]:
    from actions.bundle import export_bundle  # Matplotlib and openpyxl: a server starts without them

    return {"zip": export_bundle(repository, study_key, analysis=analysis, progress=progress)}


def _report(repository: Repository, study_key: str, analysis: StudyAnalysis, progress: OnProgress) -> dict[str, bytes]:
    from actions.write_report import make_report

    progress(0, 1, "report")
    return make_report(repository, study_key, analysis)


def _offer(job: Job | None, title: str, study: Study) -> None:
    """Buttons for what was made; the hash in the name tells an old download from a new one."""
    if job is None or job.is_running or job.title != title or not isinstance(job.outcome, dict):
        return
    with st.container(horizontal=True):
        for ending, content in job.outcome.items():
            sha256 = hashlib.sha256(content).hexdigest()
            st.download_button(
                f"Download {ending.upper()} · {len(content) / 2**20:.1f} MB", content,
                file_name=f"{study.key}_{sha256[:8]}.{ending}", icon=":material/download:", on_click="ignore",
                key=f"download {title} {ending}",
            )  # fmt: skip
    st.caption("Its SHA-256 stands in the audit trail.")
