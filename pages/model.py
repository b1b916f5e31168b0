"""The coordinator's screen of a study's models: take one in, declare it, let it predict. Never how well it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from actions.import_model import declare, import_graph, import_predictions
from actions.jobs import Job, put_away, start_job
from actions.models import (
    can_register,
    declare_model,
    load_classifier,
    predict_cohort,
    register_ensemble,
    register_model,
    why_not_for,
)
from actions.uploads import Upload, laid_out
from core.errors import ChangedMeanwhileError, InputError, ReadingRoomError, SignedOutError
from core.model.foreign import ANSWERS, PIXELS, SMALLEST_SIDE, ForeignModel
from core.model.preprocessing import LARGEST_SIDE
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.progress import OnProgress
from core.protocol import Arm
from core.study import Role, Study, StudyState
from core.typed_text import check_line
from db import Repository
from db.records import AlteredAnswer, ModelVersion
from pages.widgets.begun import begin_again, begun_with
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import at_the_field, refusals_shown, requires, while_signed_in
from pages.widgets.job_view import show_job, show_refusal
from pages.widgets.plain_text import plain
from pages.widgets.results_data import pick_study
from pages.widgets.study_steps import study_steps

_PREDICT, _TAKE_IN = "Predicting", "Taking in the model"
_GROWING = timedelta(minutes=3)  # after the last stored batch a prediction may still be under way
_COLUMNS = ["case", "class"]  # of the table of altered answers
_WEIGHTS, _GRAPH, _TABLE = "Weights", "ONNX graph", "Predictions"


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the screen."""
    study = pick_study(repository, part=Role.COORDINATOR)
    if study is None:
        return
    study_steps(study, "model")
    if is_read_elsewhere(repository, study):
        return
    job = show_job(repository, study)
    if job is not None and not job.is_running:
        _tell(job, study)
    is_busy = job is not None and job.is_running
    left, right = st.columns([3, 2], gap="large")
    with left:
        _models(repository, study, is_busy=is_busy)
    with right:
        st.subheader("Take in a model")
        _take_in(repository, study, is_busy=is_busy)


def _tell(job: Job, study: Study) -> None:
    """How the last job ended."""
    if job.error is not None:
        show_refusal(job.error, f"{study.key}-predictions-problems.csv")
    elif isinstance(job.outcome, str):
        st.success(job.outcome)
    if job.title in (_PREDICT, _TAKE_IN) and st.button("Put this message away", key="put away"):
        put_away(job)
        st.rerun()


def _models(repository: Repository, study: Study, *, is_busy: bool) -> None:
    """Which models have predicted what; declare one, and predict what is missing."""
    st.subheader("Model of the study")
    models = repository.models()
    _declared(study, models)
    if not models:
        st.info("No model is registered yet. Take one in on the right.")
        return
    _counts(repository, study)
    newest_first = sorted(models, key=lambda m: m.registered_at, reverse=True)
    declared = next((n for n, each in enumerate(newest_first) if study.is_declared(each.sha256)), 0)
    model = st.selectbox("Model", newest_first, index=declared, format_func=lambda m: f"{m.name} · {m.sha256[:12]}")
    _say_how_it_was_trained(model)
    if problem := why_not_for(model, study):
        st.warning(problem, icon=":material/block:")
    else:
        _offer(repository, study, model, is_busy=is_busy)
    _altered(repository, study)


def _offer(repository: Repository, study: Study, model: ModelVersion, *, is_busy: bool) -> None:
    """What a model that fits the study can do: be declared, and predict."""
    with st.container(horizontal=True):
        may_declare = study.state is StudyState.DRAFT and not study.is_declared(model.sha256)
        is_declared = may_declare and st.button(
            "Declare this model", icon=":material/gavel:", help="the model that meets the readers"
        )
        begins = model.can_predict and st.button(
            "Predict the cases that are missing", icon=":material/bolt:", disabled=is_busy
        )
    with refusals_shown():
        if is_declared:
            declare_model(repository, study.key, model.sha256, expected_version=study.protocol_version)
            st.rerun()
        if begins:
            begun = repository.begin_prediction(study.key, model.sha256)
            start_job(study.key, _PREDICT, partial(_predict, begun, study.key, model), outlasts_sign_in=True)
            st.rerun()


def _altered(repository: Repository, study: Study) -> None:
    """Model answers that are shown wrong on purpose, declared before reading: for automation bias."""
    if Arm.AIDED not in study.protocol.arms:
        return
    form = f"altered {study.key}"
    classes, table = _altered_now(repository, study)
    begun = begun_with(form, classes, table, widget="why")
    with st.expander(f"Answers shown wrong on purpose ({len(classes)})", icon=":material/psychology_alt:"):
        st.caption(
            "To measure how far readers follow the model: for these cases aided readers are shown this class in the "
            "place of the model's own. Sealed at opening."
        )
        is_draft = study.state is StudyState.DRAFT
        edited = st.data_editor(
            begun.fields, num_rows="dynamic", hide_index=True, width="stretch", disabled=not is_draft,
            key=f"{begun.key} table", column_config={
                "case": st.column_config.SelectboxColumn(options=[each.case for each in repository.cases(study.key)]),
                "class": st.column_config.SelectboxColumn(options=list(study.protocol.class_keys)),
            },
        )  # fmt: skip
        if said := st.session_state.pop(f"{form} said", None):
            st.success(said)
        if refused := st.session_state.pop(f"{form} refused", None):
            st.error(refused)
        if is_draft and st.button("Declare these answers", key=f"{begun.key} why"):
            with refusals_shown():
                _declare_altered(repository, study, form, begun.seen, _complete(edited))
                st.rerun()
        _what_readers_see(study, repository.declared_altered_answers(study.key))
    if begun.seen != classes and edited.equals(begun.fields) and not begun.is_unsaved:
        begin_again(form, classes, table)  # nothing was edited here: what another coordinator declared comes in
        st.rerun()


def _declare_altered(
    repository: Repository, study: Study, form: str, seen: Mapping[str, str], wanted: pd.DataFrame
) -> None:
    """Store the table; where another one was declared meanwhile, say so and keep this one in its place."""
    answers: dict[str, str | Sequence[float]] = dict(zip(wanted["case"], wanted["class"], strict=True))
    for each in repository.declared_altered_answers(study.key):
        if each.probabilities is not None and answers.get(each.case) == each.class_key:
            answers[each.case] = each.probabilities  # what a file declared stays as it is where the class does
    try:
        n = repository.declare_altered_answers(study.key, answers, seen=seen)
    except ChangedMeanwhileError as error:
        st.session_state[f"{form} refused"] = f"{error} Your table is kept here."
        begin_again(form, _altered_now(repository, study)[0], wanted, is_unsaved=True)
    else:
        st.session_state[f"{form} said"] = f"{n} {'answer is' if n == 1 else 'answers are'} declared."
        begin_again(form, *_altered_now(repository, study))


def _altered_now(repository: Repository, study: Study) -> tuple[dict[str, str], pd.DataFrame]:
    """What is declared, as the table begins with it."""
    classes = repository.altered_answers(study.key)
    return classes, pd.DataFrame(list(classes.items()), columns=_COLUMNS, dtype=object)


def _what_readers_see(study: Study, declared: Sequence[AlteredAnswer]) -> None:
    """Each declared answer as it will stand before an aided reader."""
    if not declared:
        return
    protocol = study.protocol
    st.caption(f"What readers will see as the answer of {plain(protocol.model_shown.name)}:")
    rows = [(each.case, protocol.label(each.class_key), protocol.shown_shares(each.probabilities)) for each in declared]
    table = pd.DataFrame(rows, columns=["case", "shown as", "probabilities"])
    st.dataframe(table, hide_index=True, width="stretch")


def _complete(edited: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table of altered answers; an empty one is nothing.

    Raises
    ------
    InputError
        If a row lacks its case or its class, or a case stands in two rows.
    """
    rows = edited.dropna(how="all")
    half = rows[rows.isna().any(axis=1)]
    if len(half):
        said = ", ".join(str(each) for each in half.iloc[0].dropna())
        raise InputError("a row lacks its case or its class", field="row", value=said, fix="fill it in, or delete it")
    doubled = rows["case"][rows["case"].duplicated()]
    if len(doubled):
        raise InputError("stands in two rows", field="case", value=doubled.iloc[0], fix="keep one of them")
    return rows


def _predict(repository: Repository, study_key: str, model: ModelVersion, progress: OnProgress) -> str:
    """What the thread of the job does: the same action as the command."""
    progress(0, 0, f"loading {model.name}")
    classifier = load_classifier(model)
    try:
        added = predict_cohort(repository, classifier, study_key, progress=progress)
    finally:
        if isinstance(classifier, ForeignModel):
            classifier.close()
    return f"{added} predictions added on {classifier.device}." if added else "Every case has one already."


def _counts(repository: Repository, study: Study) -> None:
    """Predicted cases by model and cohort, live while they grow, on whichever machine that happens; counts only."""
    now = datetime.now(UTC)
    is_growing = any(
        row.n_predicted < row.n_cases and row.last_stored_at is not None and now - row.last_stored_at < _GROWING
        for row in repository.prediction_counts(study.key)
    )

    @st.fragment(run_every="5s" if is_growing else None)
    @while_signed_in
    def live() -> None:
        rows = repository.prediction_counts(study.key)
        if not rows:
            return
        table = {
            "Model": [row.model_name for row in rows],
            "SHA-256": [row.model_sha256[:12] for row in rows],
            "Cohort": [row.cohort for row in rows],
            "Predicted": [f"{row.n_predicted} of {row.n_cases}" for row in rows],
            "Last stored, UTC": [f"{row.last_stored_at:%Y-%m-%d %H:%M}" if row.last_stored_at else "" for row in rows],
        }
        st.dataframe(pd.DataFrame(table), hide_index=True, width="stretch")
        if is_growing:
            st.caption("Predictions are coming in, here or on another machine; the table follows them.")

    live()


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


def _say_how_it_was_trained(model: ModelVersion) -> None:
    """What must not be forgotten about a model."""
    members = model.metadata.get("members")
    cards = members if isinstance(members, list) else [model.metadata]
    if any(card.get("initialisation") == "random" for card in cards):
        st.caption(":material/warning: trained from random weights, without ImageNet pretraining")
    if "source" in model.metadata:
        note = model.metadata.get("note")
        st.caption(
            f":material/warning: not trained here: {plain(model.architecture)}{f' ({plain(note)})' if note else ''}"
        )
    if model.metadata.get("is_synthetic"):
        st.caption(":material/warning: trained on synthetic images: no evidence about patients")
    if model.metadata.get("augmentation"):
        st.caption("predicts with test-time augmentation, at six times the cost")


@dataclass(frozen=True)
class _NewModel:
    """What the form says of a model."""

    kind: str
    files: Sequence[Upload]
    name: str
    note: str = ""
    classes: str = ""
    pixels: str = ""
    answers: str = ""
    size: int | None = None
    is_colour: bool = False
    is_augmented: bool = False


def _take_in(repository: Repository, study: Study, *, is_busy: bool) -> None:
    """The form for a model of each kind."""
    kind = st.segmented_control("What is it?", [_WEIGHTS, _GRAPH, _TABLE], default=_WEIGHTS, required=True)
    if kind == _WEIGHTS and not can_register():
        st.info(
            "PyTorch is not installed where this server runs, so weights cannot be checked and turned into the graph "
            "that predicts. An ONNX graph and a file of predictions can be taken in here; weights with "
            "`python manage.py model register` where `requirements.txt` is installed, with this store."
        )
        return
    with st.form(f"take in {study.key} {kind}", border=False):
        new, places = _form(study, str(kind))
        is_sent = st.form_submit_button("Take in", icon=":material/upload:", disabled=is_busy)
        places[""] = st.empty()
    if is_sent:
        _start(repository, study, new, places)
    if kind == _WEIGHTS and study.protocol.class_keys == ("graves", "normal", "sat", "tumor"):
        st.caption("For a trial run there is the model that ships, taught on synthetic scintigrams.")
        if st.button("Take in the model that ships", disabled=is_busy):
            with refusals_shown():
                start_job(study.key, _TAKE_IN, partial(_take_in_shipped, repository))
                st.rerun()


def _form(study: Study, kind: str) -> tuple[_NewModel, dict[str, DeltaGenerator]]:
    """The fields of one kind of model, and the place below each for what is wrong with it."""
    many = kind == _WEIGHTS
    places: dict[str, DeltaGenerator] = {}
    sent = st.file_uploader(
        {_WEIGHTS: "Weights file, or one for each fold", _GRAPH: "Graph", _TABLE: "Table"}[kind],
        type={_WEIGHTS: "safetensors", _GRAPH: "onnx", _TABLE: "csv"}[kind],
        accept_multiple_files=many,
        help={
            _WEIGHTS: "`model.safetensors` made by `python -m training`; several make one ensemble",
            _GRAPH: "an ONNX graph; nothing of its maker's code is run",
            _TABLE: "CSV with the column case and a column p_CLASS for every class: "
            + ", ".join(f"p_{key}" for key in study.protocol.class_keys),
        }[kind],
    )
    files = [*sent] if isinstance(sent, list) else [sent] if sent is not None else []
    places["file"] = st.empty()
    name = st.text_input("Name on screen")
    places["name"] = st.empty()
    if kind == _WEIGHTS:
        augmented = st.checkbox("Predict with test-time augmentation (six times the cost)")
        return _NewModel(kind, files, name, is_augmented=augmented), places
    note = st.text_input("Where it comes from", help="stands on its card")
    places["note"] = st.empty()
    if kind == _TABLE:
        return _NewModel(kind, files, name, note), places
    classes = st.text_input(
        "Classes in the order of its answers", value=",".join(study.protocol.class_keys), help="keys, with commas"
    )
    places["--classes"] = st.empty()
    left, middle, right = st.columns(3)
    pixels = left.selectbox("Scale of its input", PIXELS)
    answers = middle.selectbox("What it answers", ANSWERS)
    size = right.number_input(
        "Side of its input, pixels", SMALLEST_SIDE, LARGEST_SIDE, value=None, help="if the graph leaves it open"
    )
    places["--size"] = st.empty()
    is_colour = st.checkbox("Takes images in colour: red, green, blue")
    return _NewModel(kind, files, name, note, classes, pixels, answers, size, is_colour), places


def _start(repository: Repository, study: Study, new: _NewModel, places: dict[str, DeltaGenerator]) -> None:
    """Begin the job, or say at once what is missing, at its field."""
    wrong = {}
    if not new.files:
        wrong["file"] = "Choose a file."
    if not new.name.strip() and (new.kind != _WEIGHTS or len(new.files) > 1):
        wrong["name"] = "Give it a name: it stands on the screens and in the tables."
    try:
        check_line(new.name, "name")
        check_line(new.note, "note")
        if new.kind == _GRAPH:
            declare(new.classes, new.pixels, new.answers, new.size, is_colour=new.is_colour)
        if not wrong:
            start_job(study.key, _TAKE_IN, partial(_take_in_files, repository, study.key, new))
            st.rerun()
    except SignedOutError:
        raise
    except ReadingRoomError as error:
        field = error.field if isinstance(error, InputError) and error.field in places else ""
        wrong[field or ""] = at_the_field(error)
    for field, said in wrong.items():
        places[field].error(said)


def _take_in_files(repository: Repository, study_key: str, new: _NewModel, progress: OnProgress) -> str:
    """What the thread of the job does: the same actions as the commands."""
    progress(0, 0, "checking the file")
    name = new.name.strip()
    with laid_out(new.files) as files:
        if new.kind == _TABLE:
            version, counted = import_predictions(repository, study_key, files[0], name=name, note=new.note)
            return f"{version.name} taken in: {counted}. SHA-256 {version.sha256[:12]}."
        if new.kind == _GRAPH:
            declared = declare(new.classes, new.pixels, new.answers, new.size, is_colour=new.is_colour)
            version = import_graph(repository, files[0], declared, name=name, note=new.note)
        elif len(files) > 1:
            version = register_ensemble(repository, files, name=name, is_augmented=new.is_augmented)
        else:
            version = register_model(repository, files[0], name=name or None, is_augmented=new.is_augmented)
    return f"{version.name} ({version.architecture}) is registered, SHA-256 {version.sha256[:12]}."


def _take_in_shipped(repository: Repository, progress: OnProgress) -> str:
    """The model that ships, by the same action."""
    progress(0, 0, "checking the weights")
    version = register_model(repository, SHIPPED_CHECKPOINT)
    return f"{version.name} ({version.architecture}) is registered, SHA-256 {version.sha256[:12]}."
