"""The cases after unsealing: a gallery to filter, and each case large, with class maps and what everybody answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, cast

import numpy as np
import pandas as pd
import streamlit as st

from actions.map_faithfulness import map_curves
from core.errors import ReadingRoomError, UndefinedStatisticError
from core.model.class_maps import enlarge
from core.model.faithfulness import PerturbationCurve, localise
from core.natural_order import cohort_place, natural_key
from core.number_text import number_text, percent_text
from core.study import Role, Study
from db import Repository
from db.records import CaseImage, CasePrediction, ModelVersion
from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
from pages.widgets.case_viewer import Picture, ShownMark, SmallCase, draw_case, draw_gallery
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import requires
from pages.widgets.plain_text import plain
from pages.widgets.results_data import (
    CaseAnswers,
    class_map_tops,
    is_sealed,
    load_answers,
    load_results,
    pick_study,
)

#: Pictures of a page of the gallery.
PAGE = 24

#: What the brightest colour of a map stands for, and what that choice can show.
SCALES = {
    "Each class, all cases": "Each class has one scale for all cases of this study: weak evidence for a class looks "
    "weak beside that class's strongest. Two classes cannot be compared by brightness.",
    "All classes, all cases": "One scale for all classes and cases of this study: everything can be compared, and "
    "classes whose raw maps are small stay dark.",
    "This case": "One scale for the classes of this case only: its strongest spot is brightest, however weak it is.",
}

#: Said of a model whose training used lesion masks.
TAUGHT = " In training this model was shown where lesions lie, so a map that points at one is what it was taught."

_STYLE = """<style>
.room-answers { border-collapse: collapse; font-size: 14px; width: 100%; }
.room-answers th, .room-answers td { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #343a41;
  vertical-align: top; overflow-wrap: anywhere; }
.room-answers th, .room-answers small { color: #b3bac2; font-weight: 500; }
.room-answers th, .room-answers .seconds { white-space: nowrap; overflow-wrap: normal; }
.room-answers .right { color: #6ee7b7; font-weight: 700; } .room-answers .wrong { color: #fca5a5; font-weight: 700; }
</style>"""


@requires(Role.COORDINATOR, Role.STATISTICIAN)
def render(repository: Repository) -> None:
    """Draw the cases."""
    head = st.container(horizontal=True, vertical_alignment="center")
    with head:
        study = pick_study(repository)
    if study is None or is_sealed(study) or is_read_elsewhere(repository, study):
        return
    answers = load_answers(repository, study)
    cohorts = sorted(set(answers.cases["cohort"]), key=cohort_place)
    if not cohorts:
        st.info("This study has no case yet.")
        return
    with head:
        cohort = choose_from_address("cohort", "Cohort", cohorts, "internal" if "internal" in cohorts else cohorts[0])
    keep = _filtered(answers, study, cohort)
    case = st.query_params.get("case")
    if case and case not in set(answers.cases["case"]):
        st.info(f"This study has no case {plain(case)}.")
    if case in set(answers.cases.loc[answers.cases["cohort"] == cohort, "case"]):
        _draw_one(repository, study, answers, keep, str(case))
    else:
        _draw_many(repository, study, answers, keep)


# ------------------------------------------------------------------------------------------------------ which cases
def _filtered(answers: CaseAnswers, study: Study, cohort: str) -> pd.DataFrame:
    """Cases of the cohort that meet every chosen statement."""
    cases = answers.cases[answers.cases["cohort"] == cohort].reset_index(drop=True)
    statements = _statements(answers, study, cases)
    known = [name for name in st.query_params.get_all("only") if name in statements]
    if st.query_params.get_all("only") and len(known) < len(st.query_params.get_all("only")):
        st.query_params["only"] = known
    chosen = st.multiselect(
        "Only cases of which all of this is true", list(statements), key="only", bind="query-params",
        placeholder="All cases. For example: model right, and a reader wrong", label_visibility="collapsed",
    )  # fmt: skip
    is_kept = np.ones(len(cases), dtype=bool)
    for name in chosen:
        is_kept &= statements[name]
    return cases[is_kept].reset_index(drop=True)


def _statements(answers: CaseAnswers, study: Study, cases: pd.DataFrame) -> dict[str, np.ndarray]:
    """What can be said of a case -> of which cases it is true."""
    given = answers.given[answers.given["case"].isin(cases["case"])]
    right = given.pivot_table(index="case", columns="rater", values="is_right", aggfunc="first", sort=False)
    right = right.reindex(cases["case"])
    found: dict[str, np.ndarray] = {}
    for rater in [name for name in answers.raters if name in right.columns]:
        found[f"{rater} wrong"] = right[rater].eq(False).to_numpy(bool)
        found[f"{rater} right"] = right[rater].eq(True).to_numpy(bool)
    of_readers = right[[name for name in right.columns if name in answers.readers]]
    if of_readers.shape[1] > 1:
        n_right, n_wrong = of_readers.eq(True).sum(axis=1), of_readers.eq(False).sum(axis=1)
        found["every reader wrong"] = ((n_wrong > 0) & (n_right == 0)).to_numpy(bool)
        found["readers disagree"] = ((n_wrong > 0) & (n_right > 0)).to_numpy(bool)
    for each in study.protocol.classes:
        found[f"class: {each.label}"] = (cases["truth"] == each.key).to_numpy(bool)
    if cases["is_unusual"].any():
        found["flagged as unlike the training images"] = cases["is_unusual"].to_numpy(bool)
    if given["is_unreadable"].any():
        unreadable = set(given.loc[given["is_unreadable"], "case"])
        found["called unreadable by somebody"] = cases["case"].isin(unreadable).to_numpy(bool)
    return found


def _to_gallery() -> None:
    st.query_params.pop("case", None)


def _open(case: str) -> None:
    st.query_params["case"] = case


def _draw_many(repository: Repository, study: Study, answers: CaseAnswers, keep: pd.DataFrame) -> None:
    """A page of the gallery."""
    n_pages = max(1, -(-len(keep) // PAGE))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(keep)} cases**" + ("" if len(keep) else ": none is of this kind"))
        page = st.pagination(n_pages, key=f"page {study.key}") if n_pages > 1 else 1
    page = min(int(page or 1), n_pages)
    rows = keep.iloc[(page - 1) * PAGE : page * PAGE]
    labels = {each.key: each.short_label for each in study.protocol.classes}
    given = answers.given.set_index("case")
    small = []
    for row in rows.itertuples(index=False):
        own = given.loc[[row.case]] if row.case in given.index else given.iloc[:0]
        pixels = repository.case_image(study.key, row.case).pixels
        small.append(SmallCase(row.case, labels[row.truth], _marks(own, answers), pixels))
    if small:
        draw_gallery(small, study.protocol.display, _open)
        who = [
            f"{letter} {_listed(names, together)}"
            for letter, names, together in (("M", answers.models, "the models"), ("R", answers.readers, "the readers"))
            if names
        ]
        signs = f"✓ right, ✗ wrong: {'; '.join(who)} (beyond six readers, how many were right). " if who else ""
        st.caption(f"{signs}The images are in the display that readers had. A click opens a case.")


def _listed(names: Sequence[str], together: str) -> str:
    """Who the marks are of, in their order."""
    return ", ".join(map(plain, names)) if len(names) <= 6 else f"{together} in the order of their names"


def _marks(own: pd.DataFrame, answers: CaseAnswers) -> str:
    """M ✓  R ✗ ✓: who was right on a case."""
    sign = {True: "✓", False: "✗"}
    by_rater = dict(zip(own["rater"], own["is_right"], strict=True))
    models = [sign.get(by_rater[name], "–") for name in answers.models if name in by_rater]
    readers = [by_rater[name] for name in answers.readers if name in by_rater]
    told = [f"M {' '.join(models)}"] if models else []
    if len(readers) > 6:
        told.append(f"R {sum(each is True for each in readers)}/{len(readers)}")
    elif readers:
        told.append("R " + " ".join(sign.get(each, "–") for each in readers))
    return "   ".join(told)


# -------------------------------------------------------------------------------------------------------- one case
def _draw_one(repository: Repository, study: Study, answers: CaseAnswers, keep: pd.DataFrame, case: str) -> None:
    """A case, large, with its neighbours a key away."""
    order = keep["case"].tolist()
    place = order.index(case) if case in order else None
    models = {f"{model.name} · {model.sha256[:8]}": model for model in _models(repository, study)}
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, step, key in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            target = None if place is None or not 0 <= place + step < len(order) else order[place + step]
            st.button(label, shortcut=key, disabled=target is None, on_click=_open, args=(target or case,))
        st.button("All cases", icon=":material/grid_view:", on_click=_to_gallery)
        said = "not among the filtered cases" if place is None else f"{place + 1} of {len(order)}"
        st.markdown(f"**{plain(case)}** · {said}")
        names = list(models)
        if len(models) > 1:
            names = st.multiselect(
                "Models", list(models), default=names[:1], label_visibility="collapsed", key=f"models {study.key}",
                placeholder="Models whose maps are shown",
            )  # fmt: skip
        scale = str(st.selectbox("Scale of the maps", list(SCALES), label_visibility="collapsed", key="scale"))
    row = answers.cases[answers.cases["case"] == case].iloc[0]
    answered = set(answers.given.loc[answers.given["case"] == case, "key"])
    seen = [
        (model, repository.case_prediction(study.key, model.sha256, case))
        for model in map(models.__getitem__, names) if model.sha256 in answered
    ]  # fmt: skip
    left, right = st.columns([12, 5], gap="medium")
    with left:
        _pictures(repository, study, answers, case, row["truth"], seen, scale)
    with right:
        _answers(study, answers, case, row["truth"])
        if not seen:
            st.caption("No model that is chosen has predicted this case." if models else "No model took part.")
        for model, prediction in seen:
            _about(prediction, model, scale)


def _models(repository: Repository, study: Study) -> list[ModelVersion]:
    """Models with predictions of this study, the declared one first."""
    known = {count.model_sha256 for count in repository.prediction_counts(study.key) if count.n_predicted}
    found = [model for model in repository.models() if model.sha256 in known]
    return sorted(found, key=lambda model: (not study.is_declared(model.sha256), natural_key(model.name)))


def _pictures(
    repository: Repository,
    study: Study,
    answers: CaseAnswers,
    case: str,
    truth: str,
    seen: list[tuple[ModelVersion, CasePrediction]],
    scale: str,
) -> None:
    """Every view as readers saw it, with their marks; then the view that models take with the maps of each."""
    pictures = []
    first = int(np.argmax(seen[0][1].probabilities)) if seen else 0
    for number, name in enumerate(repository.views(study.key), start=1):
        image = repository.case_image(study.key, case, name)
        lesion = repository.lesion_mask(study.key, case, name)
        title = f"{name.capitalize()}, as readers first saw it" if name else "As readers first saw it"
        pictures.append(Picture(title, image.pixels, lesion, _marks_of(repository, study, answers, case, number)))
    taken, lesion = repository.case_image(study.key, case), repository.lesion_mask(study.key, case)
    for model, prediction in seen:
        if prediction.class_maps is None:
            continue
        maps = np.asarray(prediction.class_maps, dtype=float)
        tops = class_map_tops(study.key, model.sha256, repository.results_digest(study.key), repository)
        told = tuple(f"{100 * share:.0f} %" for share in prediction.probabilities)
        pictures.append(
            Picture(model.name, taken.pixels, lesion, class_maps=maps, tops=_tops(prediction, tops, scale), told=told)
        )
    classes = [f"{each.label}{' ★' if each.key == truth else ''}" for each in study.protocol.classes]
    draw_case(case, pictures, study.protocol.display, classes, first=first)
    with_maps = [(model, each) for model, each in seen if each.class_maps is not None]
    if lesion is not None and lesion.any():
        for model, each in with_maps:
            pointing = _pointing(study, np.asarray(each.class_maps, dtype=float), lesion, truth)
            st.caption(f"{plain(model.name)}: {pointing}" if len(with_maps) > 1 else pointing)
    if with_maps:
        _faithfulness(study, repository.results_digest(study.key), taken, with_maps)


def _marks_of(
    repository: Repository, study: Study, answers: CaseAnswers, case: str, number: int
) -> tuple[ShownMark, ...]:
    """Where readers marked a lesion in one view, each in the colour that the reader has on every screen."""
    rows = answers.given[(answers.given["case"] == case) & answers.given["marks"].astype(bool)]
    if rows.empty:
        return ()
    styles = load_results(repository, study).raters
    return tuple(
        ShownMark(mark.x, mark.y, row.rater, styles[row.key, row.arm].colour)
        for row in rows.itertuples(index=False)
        for mark in row.marks
        if mark.view == number
    )


def _faithfulness(study: Study, digest: str, image: CaseImage, seen: list[tuple[ModelVersion, CasePrediction]]) -> None:
    """Deletion and insertion of the map of the class that each model chose, when somebody asks: it takes seconds."""
    if not st.toggle("Does the answer hang on what the map points at? (deletion and insertion)", key="faithfulness"):
        return
    for place, (model, prediction) in zip(st.columns(max(2, len(seen))), seen, strict=False):
        index = int(np.argmax(prediction.probabilities))
        with place:
            label = study.protocol.classes[index].label
            try:
                deleted, inserted = _curves(
                    study.key, digest, model.sha256, image.case, index, model, image, prediction
                )
            except ReadingRoomError as error:
                st.info(f"{plain(model.name)}: {plain(error)}")
                continue
            st.markdown(f"**{plain(model.name)}: {plain(label)}**")
            figure = charts.perturbation_chart({"Deletion": deleted, "Insertion": inserted}, label)
            config = charts.chart_config(f"faithfulness_{image.case}_{model.sha256[:8]}")
            alt = f"Probability of {label} while pixels are taken away and brought in, most relevant first"
            st.plotly_chart(figure, config=config, theme=None, alt=alt, key=f"faithfulness {model.sha256}")
            st.caption(
                f"Area: deletion {number_text(deleted.area)} (random order {number_text(deleted.random_area)}; a "
                f"faithful map gives less), insertion {number_text(inserted.area)} (random "
                f"{number_text(inserted.random_area)}; a faithful map gives more). Petsiuk et al. 2018."
            )


@st.cache_data(max_entries=200, show_spinner="The model answers 84 altered images ...")
def _curves(
    study_key: str,
    digest: str,
    sha256: str,
    case: str,
    index: int,
    _model: ModelVersion,
    _image: CaseImage,
    _prediction: CasePrediction,
) -> tuple[PerturbationCurve, PerturbationCurve]:
    """Of one model, case and class of a study; once for everybody who may see it."""
    maps = np.asarray(_prediction.class_maps, dtype=float)
    return map_curves(_model, _image, maps[index], index)


def _pointing(study: Study, maps: np.ndarray, lesion: np.ndarray, truth: str) -> str:
    """Where the map of the true class lies against the lesion, beside chance."""
    index = study.protocol.class_keys.index(truth)
    height, width = lesion.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    relevance = np.maximum(enlarge(maps[index], side), 0)[top : top + height, left : left + width]
    try:
        found = localise(relevance, lesion)
    except UndefinedStatisticError as error:
        return str(error)
    energy = "no evidence at all" if found.energy_in_mask is None else percent_text(found.energy_in_mask)
    hit = "points at" if found.is_hit else "does not point at"
    return (
        f"The map of {plain(study.protocol.label(truth))} {hit} the lesion (by chance in "
        f"{percent_text(found.hit_chance)}); of its evidence {energy} lies in the lesion (chance "
        f"{percent_text(found.area_chance)}); overlap {number_text(found.overlap)} (chance "
        f"{number_text(found.overlap_chance)})."
    )


def _tops(prediction: CasePrediction, tops: np.ndarray, scale: str) -> np.ndarray:
    """Value drawn brightest for each class, shape (k,)."""
    k = len(prediction.probabilities)
    if scale == "All classes, all cases":
        return np.full(k, tops.max())
    if scale == "This case" and prediction.class_maps is not None:
        return np.full(k, max(float(np.max(prediction.class_maps)), 1e-6))
    return np.broadcast_to(tops, k)


def _answers(study: Study, answers: CaseAnswers, case: str, truth: str) -> None:
    """What everybody answered, with confidence and time."""
    own = answers.given[answers.given["case"] == case]
    order = {name: place for place, name in enumerate(answers.raters)}
    own = own.sort_values("rater", key=lambda column: column.map(order), kind="stable")
    is_timed = bool(own["seconds"].notna().any())
    lines = [_line(study, row, is_timed=is_timed) for row in own.to_dict("records")]
    titles = ("", "Rater", "Answer", *(("Seconds",) if is_timed else ()))
    head = "".join(f"<th>{title}</th>" for title in titles)
    st.html(f'{_STYLE}<table class="room-answers"><tr>{head}</tr>{"".join(lines)}</table>')
    if own.empty:
        st.caption("Nobody has answered this case.")
    st.markdown(f"★ reference standard: **{plain(study.protocol.label(truth))}**")


def _line(study: Study, row: Mapping[str, Any], *, is_timed: bool) -> str:
    """One rater's answer as a row."""
    mark = {True: '<td class="right">✓</td>', False: '<td class="wrong">✗</td>'}.get(row["is_right"], "<td>–</td>")
    answer = "not readable" if row["is_unreadable"] else study.protocol.label(row["answer"])
    seconds = "" if pd.isna(row["seconds"]) else f"{row['seconds']:.1f}"
    last = f'<td class="seconds">{seconds}</td>' if is_timed else ""
    told = escape(answer) + (f" <small>{escape(row['confidence'])}</small>" if row["confidence"] else "")
    comment = f"<br><small>{escape(row['comment'])}</small>" if row["comment"] else ""
    return f"<tr>{mark}<td>{escape(row['rater'])}</td><td>{told}{comment}</td>{last}</tr>"


def _about(prediction: CasePrediction, model: ModelVersion, scale: str) -> None:
    """What must not be forgotten about the maps."""
    unusual = "**flagged as unlike the training images**"
    if not prediction.is_out_of_distribution:
        unusual = "not flagged as unlike the training images"
    maps = ""
    if prediction.class_maps is not None:
        maps = (
            f" Grad-CAM from the last convolutional layer. {SCALES[scale]} It shows where the model looked, not "
            f"whether it is right.{TAUGHT if _was_taught(model) else ''}"
        )
    st.caption(
        f"{plain(model.name)} {model.sha256[:12]} on {prediction.device}, {prediction.precision}; entropy "
        f"{prediction.entropy:.2f} bits; {unusual}.{maps}"
    )


def _was_taught(model: ModelVersion) -> bool:
    """Whether the model, or a member of an ensemble, was trained with the loss on class maps."""
    cards = model.metadata.get("members") or [model.metadata]
    return any((card.get("recipe") or {}).get("map_weight") for card in cast(list[dict[str, Any]], cards))
