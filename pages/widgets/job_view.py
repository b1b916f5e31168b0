"""What runs in the background for a study, on whichever of its screens one looks."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from actions.import_cases import problem_table
from actions.jobs import Job, job_of
from core.csv_file import csv_bytes
from core.errors import InputError, ReadingRoomError
from core.study import Study
from db import Repository
from pages.widgets.guard import while_signed_in


def show_job(repository: Repository, study: Study) -> Job | None:
    """Draw the bar of a running job, live; give the job, running or ended, or None if there is none."""
    job = job_of(study.key)
    if job is None or not job.is_running:
        return job

    @st.fragment(run_every="1s")
    @while_signed_in
    def live() -> None:
        repository.study(study.key)  # the store notices where the sign-in has ended
        if not job.is_running:
            st.rerun()
        share = min(1.0, job.done / job.total) if job.total else 0.0
        count = f"{job.done} of {job.total} {job.what}" if job.total else job.what
        st.progress(share, text=f"{job.title}: {count}")
        st.caption(
            "This goes on when you leave the page or sign out." if job.outlasts_sign_in
            else "This goes on when you leave the page. It ends where you sign out; what is stored by then stays."
        )  # fmt: skip

    live()
    return job


def show_refusal(error: ReadingRoomError, file_name: str) -> None:
    """Why nothing was done; several problems as a table that can be downloaded."""
    if not isinstance(error, InputError):
        st.error(str(error))
        return
    problems = problem_table(error)
    if len(problems) == 1 and problems["row"].isna().all():
        st.error(str(error))
        return
    st.error(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'} found; nothing was written.")
    shown = problems.dropna(axis="columns", how="all")
    st.dataframe(shown, hide_index=True, width="stretch")
    rows = [[None if pd.isna(cell) else cell for cell in row] for row in problems.itertuples(index=False)]
    st.download_button(
        "Download this table", csv_bytes(list(problems.columns), rows), file_name, "text/csv", on_click="ignore",
        icon=":material/download:",
    )  # fmt: skip
