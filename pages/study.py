"""The coordinator's screen of one study: state, live progress, readers, model. Never how well anybody does."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from actions.draw_password import new_password
from actions.models import AnyModel, declare_model, load_classifier, predict_cohort
from core.imaging import count_notes
from core.study import STATE_MOVES, Role, Study, StudyState
from db import Repository
from db.records import ModelVersion
from pages.widgets.guard import refusals_shown, requires, while_signed_in
from pages.widgets.results_data import pick_study

_MOVE_LABELS = {
    StudyState.OPEN: ("Open for reading", ":material/lock_open:"),
    StudyState.CLOSED: ("Close reading", ":material/do_not_disturb_on:"),
    StudyState.UNSEALED: ("Unseal the results", ":material/key:"),
}


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the study screen."""
    study = pick_study(repository)
    if study is None:
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _progress(repository, study)
        _cases(repository, study)
    with right:
        _state(repository, study)
        _readers(repository, study)
        _model(repository, study)


def _progress(repository: Repository, study: Study) -> None:
    """Live: asks the store every few seconds, redraws only this part."""
    st.subheader("Reading progress")

    @st.fragment(run_every="5s" if study.state is StudyState.OPEN else None)
    @while_signed_in
    def live() -> None:
        rows = repository.progress(study.key)
        if not rows:
            st.info("No reader takes part yet. Add one on the right.")
            return
        st.dataframe(
            pd.DataFrame(
                {
                    "Reader": [row.person.display_name for row in rows],
                    "Cohort": [row.cohort for row in rows],
                    "Arm": [str(row.arm) for row in rows],
                    "Progress": [row.n_done / row.n_total if row.n_total else 0.0 for row in rows],
                    "Read": [f"{row.n_done} of {row.n_total}" for row in rows],
                    "Last saved, UTC": [row.last_saved_at for row in rows],
                    "Median s": [row.median_reading_seconds for row in rows],
                }
            ),
            hide_index=True,
            width="stretch",
            column_config={
                "Progress": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, width="small"),
                "Last saved, UTC": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
                "Median s": st.column_config.NumberColumn(format="%.1f"),
            },
        )
        st.caption(f"Counts only, never correctness. As of {datetime.now(UTC):%H:%M:%S} UTC.")

    live()


def _cases(repository: Repository, study: Study) -> None:
    """Cases by cohort and class, as the manifest described them."""
    st.subheader("Cases")
    counts = repository.case_counts(study.key)
    if not counts:
        st.info(f"No cases yet. Import them: `python manage.py import MANIFEST.csv --study {study.key}`")
        return
    frame = pd.DataFrame(
        [{"Cohort": c.cohort, "class": study.protocol.label(c.class_key), "n": c.n_cases} for c in counts]
    )
    table = frame.pivot_table(index="Cohort", columns="class", values="n", aggfunc="sum", sort=False).fillna(0)
    table = table.astype(int)
    table["All"] = table.sum(axis=1)
    table["Excluded"] = (
        pd.Series({c.cohort: 0 for c in counts})
        + frame.assign(excluded=[c.n_excluded for c in counts]).groupby("Cohort")["excluded"].sum()
    )
    st.dataframe(table.reset_index(), hide_index=True, width="stretch")
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


def _state(repository: Repository, study: Study) -> None:
    """Where the study stands and where it may go."""
    st.subheader(f"State: {study.state}")
    moves = STATE_MOVES[study.state]
    if not moves:
        st.caption("Readings are final. Results are on the Results screen.")
    with st.container(horizontal=True):
        for move in moves:
            label, icon = _MOVE_LABELS[move]
            if st.button(label, icon=icon, key=f"move {study.key} {move}"):
                if move is StudyState.UNSEALED:
                    _confirm_unsealing(repository, study)
                else:
                    _move(repository, study, move)


def _move(repository: Repository, study: Study, state: StudyState) -> None:
    with refusals_shown():
        repository.set_state(study.key, state)
        st.rerun()


@st.dialog("Unseal the results?")
@while_signed_in
def _confirm_unsealing(repository: Repository, study: Study) -> None:
    st.write(
        "From now on truth, model and readers can be compared. Readings are final: nobody can read or correct any "
        "more. **This cannot be undone** and stands in the audit trail."
    )
    if st.button("Unseal for good", type="primary"):
        _move(repository, study, StudyState.UNSEALED)


def _readers(repository: Repository, study: Study) -> None:
    """Who reads, and the form that adds somebody."""
    st.subheader("Readers")
    members = repository.members(study.key)
    for member in members:
        simulated = " :orange-badge[simulated]" if member.person.is_simulated else ""
        cases = f"{member.n_presentations} cases of {', '.join(member.cohorts)}"
        st.markdown(f"**{member.person.display_name}**{simulated} · {cases}")
    if study.state not in (StudyState.DRAFT, StudyState.OPEN):
        return
    cohorts = repository.cohorts(study.key)
    taken = {member.person.login for member in members}
    free = [p for p in repository.people() if p.role is Role.READER and p.login not in taken and not p.is_simulated]
    with st.expander("Add a reader", icon=":material/person_add:"), st.form(f"add reader {study.key}", border=False):
        choice = st.selectbox("Reader", [*free, None], format_func=lambda p: p.display_name if p else "New reader …")
        login = st.text_input("Login of a new reader", help="only for a new reader; a password is drawn and shown once")
        name = st.text_input("Name of a new reader")
        wanted = st.multiselect("Cohorts to read", cohorts, default=[c for c in cohorts if c != "training"])
        if st.form_submit_button("Add to the study"):
            with refusals_shown():
                if choice is None:
                    password = new_password()
                    repository.create_person(login, name or login, Role.READER, password=password)
                    st.success(f"Login `{login}`, password `{password}`. Shown only now; hand it over in person.")
                repository.add_reader(study.key, choice.login if choice else login, cohorts=wanted)
                st.success("Added; the reader's own order is drawn and stored.")


def _model(repository: Repository, study: Study) -> None:
    """Which models have predicted what, and the button that predicts the rest."""
    st.subheader("Model predictions")
    models = repository.models()
    _declared(study, models)
    if not models:
        st.info("No model is registered. `python manage.py model register FILE.safetensors`")
        return
    rows = repository.prediction_counts(study.key)
    if rows:
        st.dataframe(
            pd.DataFrame(
                {
                    "Model": [row.model_name for row in rows],
                    "SHA-256": [row.model_sha256[:12] for row in rows],
                    "Cohort": [row.cohort for row in rows],
                    "Predicted": [f"{row.n_predicted} of {row.n_cases}" for row in rows],
                }
            ),
            hide_index=True,
            width="stretch",
        )
    newest_first = sorted(models, key=lambda m: m.registered_at, reverse=True)
    model = st.selectbox("Model", newest_first, format_func=lambda m: f"{m.name} · {m.sha256[:12]}")
    _say_how_it_was_trained(model)
    may_declare = study.state is StudyState.DRAFT and not study.is_declared(model.sha256)
    if may_declare and st.button(
        "Declare this model", icon=":material/gavel:", help="the model that meets the readers"
    ):
        _declare(repository, study, model)
    if model.can_predict and st.button("Predict the cases that are missing", icon=":material/bolt:"):
        bar = st.progress(0.0, text="Loading the model ...")

        def report(done: int, total: int, what: str) -> None:
            bar.progress(done / total, text=f"{done} of {total} {what}")

        with refusals_shown():
            classifier = _warm_classifier(model.sha256, model)
            added = predict_cohort(repository, classifier, study.key, progress=report)
            st.success(f"{added} predictions added on {classifier.device}." if added else "Every case has one already.")
        bar.empty()


def _declared(study: Study, models: list[ModelVersion]) -> None:
    """Which model meets the readers, as the protocol says."""
    declared = next((model for model in models if study.is_declared(model.sha256)), None)
    if declared is not None:
        st.markdown(
            f"Meets the readers: **{declared.name}** · `{declared.sha256[:12]}`, "
            f"declared in protocol version {study.protocol_version}"
        )
    elif study.state is StudyState.DRAFT:
        st.caption("No model is declared yet. The model that meets the readers is chosen before reading begins.")
    else:
        st.caption(":material/warning: no model was declared before reading: what a model scores is exploratory")


def _declare(repository: Repository, study: Study, model: ModelVersion) -> None:
    with refusals_shown():
        declare_model(repository, study.key, model.sha256)
        st.rerun()


@st.cache_resource(max_entries=2, show_spinner=False)
def _warm_classifier(sha256: str, _model: ModelVersion) -> AnyModel:
    """One loaded model for the whole process; its own lock lets one batch through at a time."""
    return load_classifier(_model)


def _say_how_it_was_trained(model: ModelVersion) -> None:
    """What must not be forgotten about a model."""
    members = model.metadata.get("members")
    cards = members if isinstance(members, list) else [model.metadata]
    if any(card.get("initialisation") == "random" for card in cards):
        st.caption(":material/warning: trained from random weights, without ImageNet pretraining")
    if "source" in model.metadata:
        note = model.metadata.get("note")
        st.caption(f":material/warning: not trained here: {model.architecture}{f' ({note})' if note else ''}")
    if model.metadata.get("is_synthetic"):
        st.caption(":material/warning: trained on synthetic images: no evidence about patients")
    if model.metadata.get("augmentation"):
        st.caption("predicts with test-time augmentation, at six times the cost")
