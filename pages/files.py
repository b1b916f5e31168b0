"""Readings made elsewhere, and bundles of other installations: analysed at once, shown like a study; a coordinator
may keep readings as a study, which says for good that they were not blinded here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from actions.store_readings import source_of, store_analysed_readings
from core.errors import InputError, ReadingRoomError
from core.protocol import Protocol
from core.report.file_analysis import FileAnalysis, analyse_file
from core.report.file_options import FileOptions, named_classes
from core.report.layout import Layout
from core.study import Role, Study, StudyState
from db import Repository
from db.records import ReadElsewhere
from pages.results import EXPORT, STYLE, VIEWS, of_cohort, views_of
from pages.views.export import warn_of_letters
from pages.widgets.address_choice import choose_from_address
from pages.widgets.elsewhere import warn_not_blinded
from pages.widgets.guard import refusals_shown, requires
from pages.widgets.movement import go_to
from pages.widgets.plain_text import plain
from pages.widgets.results_data import Results, labelled
from pages.widgets.shown import Shown

_RESULT, _MADE = "files result", "files made"
_ENDINGS = ["csv", "tsv", "txt", "xlsx", "imrmc", "zip"]


@requires(Role.COORDINATOR, Role.STATISTICIAN)
def render(repository: Repository) -> None:
    """Draw the screen."""
    repository.studies()  # nothing of them is shown: the store notices where the sign-in has ended
    st.html(STYLE)
    with st.expander("Readings made elsewhere, or the zip of an export", expanded=_RESULT not in st.session_state):
        files = st.file_uploader("Files", type=_ENDINGS, accept_multiple_files=True, label_visibility="collapsed")
        st.caption(
            "One file with the reference standard in it (our CSV, MRMCaov's, iMRMC's, RJafroc's Excel); or a file for "
            "each reader, named after the reader, and one with the reference standard. Or a zip that *Export* made. "
            "Files are analysed in memory; nothing is stored before you keep it as a study."
        )
        chosen = _options()
        if st.button("Analyse", icon=":material/monitoring:", type="primary", disabled=not files):
            _analyse(files, *chosen)
    if _RESULT in st.session_state:
        _show(repository, *st.session_state[_RESULT])


def _options() -> tuple[str | None, dict[str, str], float | None]:
    """Layout, what a person says about the files, and the margin."""
    names = {"by the names of the columns": None, **{str(one): str(one) for one in Layout}}
    first, second, third, fourth = st.columns(4)
    layout = names[first.selectbox("Layout", list(names))]
    texts = {
        "classes": second.text_input("Classes, in order", placeholder="normal, benign, malignant", help="or: thyroid"),
        "positive": third.text_input("Of two classes, the diseased one"),
        "missing": fourth.text_input("More missing codes", placeholder="999, confidence=0"),
        "columns": st.text_input("What the files call our columns",
                                 placeholder="case=Image, label=Diagnosis, confidence=Certainty"),
    }  # fmt: skip
    margin = st.number_input("Margin of non-inferiority, set beforehand", 0.0, 0.99, value=None, step=0.01)
    return layout, texts, margin or None


def _analyse(files: Sequence[UploadedFile], layout: str | None, texts: dict[str, str], margin: float | None) -> None:
    """The same deed as the command ``analyse``."""
    try:
        with tempfile.TemporaryDirectory(prefix="reading-room-files-") as folder, st.spinner("Analysing ..."):
            paths = [Path(folder) / Path(file.name).name for file in files]
            if len(set(paths)) < len(paths):
                raise InputError("two files have one name", field="files", fix="rename one: its name is the reader's")
            for path, file in zip(paths, files, strict=True):
                path.write_bytes(file.getbuffer())
            options = FileOptions(named_classes(texts["classes"]), texts["positive"].strip() or None,
                                  _listed(texts["missing"]), _listed(texts["columns"]))  # fmt: skip
            result = analyse_file(paths if len(paths) > 1 else paths[0], layout, options, margin=margin)
            Protocol(title="-", classes=tuple(result.data.classes))  # more classes than a study has are refused here
            source = source_of({path.name: path.read_bytes() for path in paths}, result.layout, options, result.notes)
        name = files[0].name if len(files) == 1 else f"{len(files)} files, {files[0].name} to {files[-1].name}"
        result = replace(result, path=name)
    except ReadingRoomError as error:
        st.error(str(error))
        return
    st.session_state[_RESULT] = (result, labelled(result.analysis), source)
    st.session_state.pop(_MADE, None)
    st.rerun()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _show(repository: Repository, result: FileAnalysis, results: Results, source: ReadElsewhere) -> None:
    """Where it comes from, then the views of the results."""
    name = result.title or Path(result.path).name
    if result.protocol is None:
        warn_not_blinded()
        _offer_to_keep(repository, result, source)
    else:
        st.info("From the export of another installation or day, read-only.", icon=":material/folder_zip:")
    if result.notes:
        with st.expander(f"About the files ({len(result.notes)})", icon=":material/info:"):
            for note in result.notes:
                st.text(note)
    cohorts = [each.cohort for each in result.analysis.cohorts if each.participants]
    if not cohorts:
        st.info("No case has a reading or a prediction.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(name)}**")
        cohort = choose_from_address("cohort", "Cohort", cohorts, cohorts[0])
    view = choose_from_address("view", "View", [*views_of(results), EXPORT], "Overview")
    if view == EXPORT:
        _ways_out(result)
        return
    protocol = result.protocol or Protocol(title=name, classes=tuple(result.data.classes))
    is_elsewhere = result.protocol is None
    study = Study("files", protocol, 1, StudyState.UNSEALED, False, datetime.now(UTC), is_read_elsewhere=is_elsewhere)
    tables = {key: of_cohort(table, cohort) for key, table in results.tables.items()}
    VIEWS[view](Shown(study, results.analysis, cohort, tables, results.styles, results.tables, has_pictures=False))


def _offer_to_keep(repository: Repository, result: FileAnalysis, source: ReadElsewhere) -> None:
    """The readings as a study of the store, for those who may make one."""
    if result.layout == "bundle" or repository.actor is None or Role.COORDINATOR not in repository.actor.roles:
        return
    with (
        st.expander("Keep as a study", icon=":material/inventory_2:"),
        st.form("keep as a study", border=False, enter_to_submit=False),
    ):
        first, second = st.columns([1, 3])
        key = first.text_input("Key", placeholder="pilot-2025", help="short name in addresses; cannot change")
        title = second.text_input("Title", value=f"Readings of {result.path}")
        st.caption(
            "Stored for good with the hash of each file, append-only and sealed like readings made here; marked as "
            "**read elsewhere, not blinded here** on every screen, in results, report, export and trail. It can never "
            "be opened for reading."
        )
        if st.form_submit_button("Keep as a study", icon=":material/inventory_2:"):
            with refusals_shown():
                study = store_analysed_readings(repository, key.strip(), result, source, title=title)
                for name in (_RESULT, _MADE):
                    st.session_state.pop(name, None)
                go_to("results", study.key)


def _ways_out(result: FileAnalysis) -> None:
    """The same files as of a study."""
    from actions.bundle import bundle_of  # Matplotlib and openpyxl: a server starts without them
    from actions.write_report import file_record, report_files

    warn_of_letters(result.analysis)
    made: dict[str, bytes] = st.session_state.setdefault(_MADE, {})
    with st.container(horizontal=True):
        if st.button("Write the report", icon=":material/description:"):
            with st.spinner("Writing the report ..."):
                made |= report_files(file_record(result))
        if st.button("Make the export", icon=":material/folder_zip:"):
            bar = st.progress(0.0, text="Making the export")

            def report(done: int, total: int, what: str) -> None:
                bar.progress(done / total, text=f"Export: {what}")

            made[".zip"] = bundle_of(file_record(result), report)
            bar.empty()
    with st.container(horizontal=True):
        for ending, content in made.items():
            kind = ending.removeprefix(".")
            st.download_button(
                f"Download {kind.upper()} · {len(content) / 2**20:.1f} MB", content, file_name=f"readings{ending}",
                icon=":material/download:", on_click="ignore", key=f"download files {kind}",
            )  # fmt: skip
