"""The coordinator's screen of a study's cases: what is in it, and import of what a browser sends."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from actions.import_cases import ImportReport, import_upload
from actions.jobs import job_of, put_away, start_job
from actions.uploads import MAX_BYTES, MAX_FILES, Upload
from core.errors import ConflictError
from core.imaging import count_notes
from core.progress import OnProgress
from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import refusals_shown, requires
from pages.widgets.job_view import show_job, show_refusal
from pages.widgets.results_data import pick_study
from pages.widgets.study_steps import link_to, study_steps

_CHECK, _IMPORT = "Checking the upload", "Importing the cases"
_ROUND = "upload_round"  # a new number empties the uploader, and Streamlit forgets the files
_OWN_JOB = "import_job"  # in the session state: the job that this window began
_ZIP, _FOLDER, _FILES = "A zip", "A folder", "A manifest and its images"


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the screen."""
    study = pick_study(repository, part=Role.COORDINATOR)
    if study is None:
        return
    study_steps(study, "cases")
    if is_read_elsewhere(repository, study):
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.subheader("Import cases")
        if study.state is StudyState.DRAFT:
            _upload(repository, study)
        else:
            st.info(f"The study is {study.state}: its cases are fixed since it was opened.", icon=":material/lock:")
    with right:
        _cases(repository, study)


def _upload(repository: Repository, study: Study) -> None:
    """Send, check, import: three steps of one deed that writes only at the end."""
    running = job_of(study.key)
    files = _chosen_files(study, is_busy=running is not None and running.is_running)
    job = show_job(repository, study)
    if job is not None and job.is_running:
        return
    reason = st.session_state.get(f"shared {study.key}", "")
    if job is not None and job.title == _IMPORT and isinstance(job.outcome, ImportReport):
        st.success(f"Imported: {_counted(job.outcome)}.")
        link_to("study", "Go on with the study", icon=":material/arrow_forward:", study=study)
    if files and st.button("Check the files", icon=":material/fact_check:", help="reads every file, writes nothing"):
        _start(repository, study, files, reason, is_check_only=True)
    if job is None:
        return
    if job.error is not None:
        show_refusal(job.error, f"{study.key}-problems.csv")
    elif job.title == _CHECK and job is not st.session_state.get(_OWN_JOB):
        st.info("Files were checked in another window; what it found is not about those chosen here.")
    elif job.title == _CHECK and isinstance(job.outcome, ImportReport):
        _offer_import(repository, study, files, reason, job.outcome)
    if isinstance(job.error, ConflictError) or reason:
        st.text_input(
            "Reason why images of another study come into this one too",
            key=f"shared {study.key}",
            help="Only where images are in another study that is not unsealed; stands in the trail of both.",
        )


def _chosen_files(study: Study, *, is_busy: bool) -> list[Upload]:
    """The uploader, with what may be sent said above it; drawn in every run, or the files would be lost."""
    how = st.segmented_control(
        "What do you send?", [_ZIP, _FOLDER, _FILES], default=_ZIP, required=True, disabled=is_busy
    )
    classes = ", ".join(f"`{disease.key}`" for disease in study.protocol.classes)
    st.caption(
        "Either a manifest (CSV with the columns image, case, patient, class, cohort) with its images, or folders "
        f"named after the classes ({classes}), one level of cohort folders around them if there are several. JPEG, PNG "
        f"and DICOM. At most {st.get_option('server.maxUploadSize')} MB a file; unpacked {MAX_BYTES // 2**30} GB in "
        f"{MAX_FILES} files. Files are read, stripped of all that names a patient, and not kept."
    )
    key = f"upload {study.key} {st.session_state.get(_ROUND, 0)} {how}"
    options: dict[str, Any] = {"key": key, "on_change": _forget_check, "args": (study.key,), "disabled": is_busy}
    if how == _ZIP:
        one = st.file_uploader("Zip", type="zip", **options)
        return [one] if one is not None else []
    if how == _FOLDER:
        return [*st.file_uploader("Folder", accept_multiple_files="directory", **options)]
    return [*st.file_uploader("Manifest and images", accept_multiple_files=True, **options)]


def _forget_check(study_key: str) -> None:
    """Other files: what was said of the last ones counts no more."""
    job = job_of(study_key)
    if job is not None:
        put_away(job)


def _start(repository: Repository, study: Study, files: Sequence[Upload], reason: str, *, is_check_only: bool) -> None:
    """The same action as the command, in the background."""
    deed = partial(_deed, repository, study.key, list(files), reason, is_check_only)
    with refusals_shown():
        job = start_job(study.key, _CHECK if is_check_only else _IMPORT, deed)
        st.session_state[_OWN_JOB] = job
        if not is_check_only:
            st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
        st.rerun()


def _deed(
    repository: Repository,
    study_key: str,
    files: Sequence[Upload],
    reason: str,
    is_check_only: bool,
    progress: OnProgress,
) -> ImportReport:
    """What the thread of the job does."""
    return import_upload(
        repository, study_key, files, is_check_only=is_check_only, shared_images=reason or None, progress=progress
    )


def _offer_import(
    repository: Repository, study: Study, files: Sequence[Upload], reason: str, report: ImportReport
) -> None:
    """What would be written, what should be looked at, and the button that writes it."""
    st.success(f"Everything can be imported: {_counted(report)}. Nothing is written yet.")
    for warning in report.warnings:
        st.warning(warning, icon=":material/warning:")
    if report.summary.image_notes:
        with st.expander(f"Notes on the images ({len(report.summary.image_notes)})", icon=":material/image:"):
            st.markdown("\n".join(f"- {note}" for note in report.summary.image_notes))
    n = report.summary.n_cases
    if files and st.button(f"Import {n} {'case' if n == 1 else 'cases'}", type="primary", icon=":material/upload:"):
        _start(repository, study, files, reason, is_check_only=False)


def _counted(report: ImportReport) -> str:
    """Cases by cohort, in words."""
    summary = report.summary
    cohorts = ", ".join(f"{name} {n}" for name, n in summary.cases_per_cohort.items())
    text = f"{summary.n_cases} cases of {summary.n_patients} patients ({cohorts})"
    text += f", {summary.n_excluded} of them excluded with a reason" if summary.n_excluded else ""
    return text + (f", each with the views {', '.join(summary.views)}" if summary.views else "")


def _cases(repository: Repository, study: Study) -> None:
    """Cases by cohort and class, as the manifest described them."""
    st.subheader("Cases in the study")
    counts = repository.case_counts(study.key)
    if not counts:
        st.info("No cases yet.")
        return
    short = {disease.key: disease.short_label for disease in study.protocol.classes}
    frame = pd.DataFrame([{"Cohort": c.cohort, "class": short[c.class_key], "n": c.n_cases} for c in counts])
    table = frame.pivot_table(index="Cohort", columns="class", values="n", aggfunc="sum", sort=False).fillna(0)
    table = table.astype(int)
    table["All"] = table.sum(axis=1)
    table["Excluded"] = (
        pd.Series({c.cohort: 0 for c in counts})
        + frame.assign(excluded=[c.n_excluded for c in counts]).groupby("Cohort")["excluded"].sum()
    )
    st.dataframe(table.reset_index(), hide_index=True, width="stretch")
    views = repository.views(study.key)
    if any(views):
        taken = study.protocol.model_view or views[0]
        st.caption(f"Each case has the views {', '.join(views)}; a model takes the view {taken}.")
    _image_notes(repository, study)


def _image_notes(repository: Repository, study: Study) -> None:
    """What reading the image files changed, left out or found odd, counted."""
    cases = repository.cases(study.key)
    warnings, notes = count_notes((case.case, case.image_notes) for case in cases)
    for warning in [*map(str, repository.image_giveaways(study.key)), *warnings]:
        st.warning(warning, icon=":material/warning:")
    if notes:
        with st.expander(f"Notes on the images ({len(notes)})", icon=":material/image:"):
            st.markdown("\n".join(f"- {note}" for note in notes))
            st.caption("The notes of every case are in the export, `image_notes.csv`.")
