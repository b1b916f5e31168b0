"""One case at a time: where the model saw evidence for each class, beside what the readers answered. Unsealed only."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import streamlit as st

from core.imaging import render_uint8
from core.study import Role, Study
from db import Repository
from db.records import CasePrediction, ModelVersion
from pages.widgets import charts
from pages.widgets.guard import requires
from pages.widgets.heat_map_overlay import case_picture
from pages.widgets.results_data import class_map_tops, is_sealed, pick_study

#: Which cases the list offers.
FILTERS = ("All", "Model wrong", "A reader wrong", "Model and a reader disagree", "Flagged as unusual")

#: The image and four maps stand side by side; more classes take more rows.
PICTURES_A_ROW = 5

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


@requires(Role.COORDINATOR, Role.STATISTICIAN)
def render(repository: Repository) -> None:
    """Draw the explanation screen."""
    study = pick_study(repository)
    if study is None or is_sealed(study):
        return
    counts = repository.prediction_counts(study.key)
    known = {count.model_sha256 for count in counts if count.n_predicted}
    models = [model for model in repository.models() if model.sha256 in known]
    if not models:
        st.info("No model has predicted this study yet; the Study screen has the button.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        model = st.selectbox("Model", models, format_func=lambda m: f"{m.name} · {m.sha256[:12]}")
        cohort = st.selectbox("Cohort", sorted({count.cohort for count in counts}))
        wanted = st.selectbox("Cases", FILTERS)
        cases = _cases(repository, study, model, cohort)
        keep = cases[_is_wanted(cases, wanted)].reset_index(drop=True)
        case = st.selectbox(f"Case ({len(keep)} of {len(cases)})", keep["case"], key=f"case {cohort} {wanted}")
    if case is None:
        st.info("No case of this kind.")
        return
    n_predicted = sum(count.n_predicted for count in counts if count.model_sha256 == model.sha256)
    tops = class_map_tops(study.key, model.sha256, n_predicted, repository)
    _draw_case(repository, study, model, str(case), keep[keep["case"] == case].iloc[0], tops)


def _cases(repository: Repository, study: Study, model: ModelVersion, cohort: str) -> pd.DataFrame:
    """One row a case: truth, the model's answer, each reader's answer."""
    truth = {each.case: each.truth for each in repository.reference_standard(study.key, [cohort])}
    answers: dict[str, dict[str, str]] = {}
    for reading in repository.readings(study.key, [cohort], only_current=True):
        if reading.class_key is not None and not reading.is_unreadable and reading.repeat == 1:
            answers.setdefault(reading.case, {})[f"{reading.display_name} · {reading.arm}"] = reading.class_key
    keys = study.protocol.class_keys
    return pd.DataFrame(
        [
            {
                "case": each.case,
                "truth": truth[each.case],
                "model": keys[int(np.argmax(each.probabilities))],
                "readers": answers.get(each.case, {}),
                "is_unusual": each.is_out_of_distribution,
            }
            for each in repository.predictions(study.key, model.sha256, [cohort])
        ],
        columns=["case", "truth", "model", "readers", "is_unusual"],
    )


def _is_wanted(cases: pd.DataFrame, wanted: str) -> pd.Series:
    """Which rows a filter keeps."""
    if wanted == "Model wrong":
        return cases["model"] != cases["truth"]
    if wanted == "A reader wrong":
        return cases.apply(lambda row: any(answer != row["truth"] for answer in row["readers"].values()), axis=1)
    if wanted == "Model and a reader disagree":
        return cases.apply(lambda row: any(answer != row["model"] for answer in row["readers"].values()), axis=1)
    if wanted == "Flagged as unusual":
        return cases["is_unusual"].astype(bool)
    return pd.Series(True, index=cases.index)


def _draw_case(
    repository: Repository, study: Study, model: ModelVersion, case: str, row: pd.Series, tops: np.ndarray
) -> None:
    prediction = repository.case_prediction(study.key, model.sha256, case)
    image = render_uint8(repository.case_image(study.key, case).pixels)
    labels = {each.key: each.label for each in study.protocol.classes}
    truth, answers = row["truth"], row["readers"]
    pictures = st.container()
    left, right = st.columns(2, gap="large")
    with left:
        counts = {key: list(answers.values()).count(key) for key in labels}
        st.plotly_chart(
            charts.probability_chart(list(prediction.probabilities), labels, truth, counts),
            config=charts.chart_config("case"),
            alt="Probability of each class with the number of readers who chose it",
            key="probabilities",
        )
    with right:
        for reader, answer in answers.items():
            mark = ":green[✓]" if answer == truth else ":red[✗]"
            st.markdown(f"{mark} **{reader}**: {labels[answer]}")
        unusual = "**flagged as unlike the training images**" if prediction.is_out_of_distribution else "not flagged"
        st.caption(
            f"★ reference standard: {labels[truth]}. Entropy {prediction.entropy:.2f} bits; {unusual}. "
            f"Model {model.sha256[:12]} on {prediction.device}, {prediction.precision}."
        )
        scale = st.segmented_control("Scale of the maps", list(SCALES), default=next(iter(SCALES)), required=True)
        st.caption(
            f"Grad-CAM from the last convolutional layer. {SCALES[str(scale)]} It shows where the model looked, not "
            f"whether it is right.{TAUGHT if _was_taught(model) else ''}"
        )
        lesion = repository.lesion_mask(study.key, case)
        if lesion is not None and not st.toggle("Outline of the lesion", value=True, key="outline"):
            lesion = None
    with pictures:
        _draw_pictures(image, prediction, labels, truth, _tops(prediction, tops, str(scale)), lesion)


def _was_taught(model: ModelVersion) -> bool:
    """Whether the model, or a member of an ensemble, was trained with the loss on class maps."""
    cards = model.metadata.get("members") or [model.metadata]
    return any((card.get("recipe") or {}).get("map_weight") for card in cast(list[dict[str, Any]], cards))


def _tops(prediction: CasePrediction, tops: np.ndarray, scale: str) -> np.ndarray:
    """Value drawn brightest for each class, shape (k,)."""
    k = len(prediction.probabilities)
    if scale == "All classes, all cases":
        return np.full(k, tops.max())
    if scale == "This case" and prediction.class_maps is not None:
        return np.full(k, max(float(np.max(prediction.class_maps)), 1e-6))
    return np.broadcast_to(tops, k)


def _draw_pictures(
    image: np.ndarray,
    prediction: CasePrediction,
    labels: dict[str, str],
    truth: str,
    tops: np.ndarray,
    lesion: np.ndarray | None,
) -> None:
    """The image, and beside it Grad-CAM of every class over it; the lesion outlined on the true class."""
    per_row = min(PICTURES_A_ROW, 1 + len(labels))
    columns = [place for _ in range(0, 1 + len(labels), per_row) for place in st.columns(per_row)]
    figure = case_picture(image, "Image", lesion=lesion, height=255)
    columns[0].plotly_chart(figure, config=charts.chart_config("case"), alt="The image", key="image")
    if prediction.class_maps is None:
        columns[1].info("This model stored no class maps.")
        return
    for index, (key, label) in enumerate(labels.items()):
        title = f"{label}{' ★' if key == truth else ''} · {prediction.probabilities[index]:.2f}"
        class_map = np.asarray(prediction.class_maps[index], dtype=float)
        figure = case_picture(
            image,
            title,
            class_map=class_map,
            top=float(tops[index]),
            lesion=lesion if key == truth else None,
            height=255,
        )
        columns[1 + index].plotly_chart(
            figure, config=charts.chart_config("case"), alt=f"Evidence for {label}", key=f"map {key}"
        )
