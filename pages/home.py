"""The start page: the studies that a person reads, coordinates, analyses or administers."""

from __future__ import annotations

import streamlit as st

from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.guard import requires
from pages.widgets.movement import go_to
from pages.widgets.plain_text import plain
from pages.widgets.resources import store_watch
from pages.widgets.study_card import study_card
from pages.widgets.study_choice import NO_STUDY
from pages.widgets.study_steps import link_to, state_badge


@requires(*Role)
def render(repository: Repository) -> None:
    """Draw the start page of whoever is signed in: a part for each thing that the person may be."""
    person = repository.actor
    if person is None:
        return
    _, middle, _ = st.columns([1, 4, 1])
    with middle:
        if Role.READER in person.roles:
            st.header(f"Welcome, {plain(person.display_name)}")
            _reader_studies(repository)
        if Role.COORDINATOR in person.roles:
            st.header("Studies")
            _coordinator_overview(repository)
        if Role.STATISTICIAN in person.roles:
            st.header("Studies to analyse")
            _statistician_overview(repository)
        if Role.ADMINISTRATOR in person.roles:
            st.header("Studies of this installation")
            _administrator_overview(repository)


def _reader_studies(repository: Repository) -> None:
    studies = repository.my_studies()
    if not studies:
        st.info("You do not take part in a study yet. The coordinator adds you to one.")
    for study in studies:
        progress = repository.my_progress(study.key)
        halves = study.protocol.answers_at_once
        with st.container(border=True):
            st.subheader(plain(study.protocol.title))
            st.progress(
                progress.n_done / progress.n_total if progress.n_total else 0.0,
                text=f"{progress.n_done // halves} of {progress.n_total // halves} cases read",
            )
            if study.state is not StudyState.OPEN:
                st.write("This study is not open for reading now.")
            elif progress.n_done >= progress.n_total:
                st.write(":material/task_alt: All cases are read and saved. Thank you.")
            else:
                _reading_advice(study)
                label = "Go on reading" if progress.n_done else "Start reading"
                if st.button(label, key=f"read {study.key}", type="primary", icon=":material/play_arrow:"):
                    go_to("read", study.key)


def _reading_advice(study: Study) -> None:
    """What to know before the first case; stays in view for the later ones."""
    st.write(f"**{plain(study.protocol.question)}**")
    st.caption(
        "Every choice shows its key, Enter saves and goes on, **?** shows all keys. An answer is saved when its "
        "receipt comes: you may stop after any case and go on later from the same place."
    )


def _coordinator_overview(repository: Repository) -> None:
    if store_watch().found:
        st.error("The check of the store found something. The Audit screen says what; tell the administrator.")
    studies = repository.studies(Role.COORDINATOR)
    if not studies:
        st.info(NO_STUDY)
    for study in studies:
        study_card(repository, study)
    link_to("new-study", "New study", icon=":material/add:")


def _statistician_overview(repository: Repository) -> None:
    studies = repository.studies(Role.STATISTICIAN)
    if not studies:
        st.info("You do not analyse a study yet. The coordinator adds you to one.")
    for study in studies:
        with st.container(border=True):
            _title(study)


def _administrator_overview(repository: Repository) -> None:
    found = store_watch().found
    if found:
        st.error(f"The check of the store found (findings: {len(found)}): {found[0]}")
    studies = repository.studies()
    if not studies:
        st.info("There is no study yet. Coordinators make them.")
    for study in studies:
        with st.container(border=True):
            _title(study)


def _title(study: Study) -> None:
    """Title and key, so that two studies of one title differ."""
    st.markdown(f"#### {plain(study.protocol.title)}")
    st.markdown(f"`{study.key}` · protocol version {study.protocol_version} {state_badge(study)}")
