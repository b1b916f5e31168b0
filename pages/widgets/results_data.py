"""What the result screens load: one analysis per study, kept in memory until a prediction is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from actions.analyse_study import analyse_study
from core.analysis import StudyAnalysis
from core.model.class_maps import class_tops
from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.study_choice import NO_STUDY, choose_study, chosen_study

#: Tables whose columns the screens filter by cohort.
Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Results:
    """An analysis with its tables, made once."""

    analysis: StudyAnalysis
    tables: Tables


def pick_study(repository: Repository, label: str = "Study", *, part: Role | None = None) -> Study | None:
    """The study of this screen, chosen from the person's own where there are several; those with one part, or all."""
    studies = repository.studies(part)
    if not studies:
        st.info(NO_STUDY)
        return None
    current = chosen_study(studies) or next((s for s in studies if s.state is StudyState.UNSEALED), studies[0])
    if len(studies) > 1:
        current = st.selectbox(
            label,
            studies,
            index=[s.key for s in studies].index(current.key),
            format_func=lambda s: f"{s.protocol.title} · {s.state}",
        )
    choose_study(current)
    return current


def is_sealed(study: Study) -> bool:
    """Whether results may not be shown yet; says so on the screen."""
    if study.state is StudyState.UNSEALED:
        return False
    st.info(
        f"This study is **{study.state}**: the reference standard, the model's answers and every comparison are sealed "
        "until it is unsealed. Progress is on the Study screen.",
        icon=":material/lock:",
    )
    return True


def load_results(repository: Repository, study: Study) -> Results:
    """The analysis of an unsealed study; made again when predictions were added.

    The store checks role and state first (through ``prediction_counts`` and ``study_data``); only then is the shared
    copy given out.
    """
    counts = tuple((c.model_sha256, c.cohort, c.n_predicted) for c in repository.prediction_counts(study.key))
    return _results(study.key, counts, repository)


@st.cache_resource(max_entries=8, show_spinner="Analysing ...")
def _results(study_key: str, counts: tuple[tuple[str, str, int], ...], _repository: Repository) -> Results:
    """Shared by coordinators; ``counts`` is in the key so that new predictions are seen."""
    analysis = analyse_study(_repository, study_key)
    return Results(analysis, analysis.to_tables())


def with_labels(tables: Tables) -> dict[str, pd.DataFrame]:
    """The tables of a cohort, those of single participants with a column ``label``: one for each reader in each arm.

    A name alone would draw both arms of a reader, or two readers of one name, as one.
    """
    about = tables["missing"][["participant", "name", "arm"]]
    has_arms = about.loc[about["arm"] != "", "arm"].nunique() > 1
    is_shared = about.duplicated(["name", "arm"], keep=False)
    label = {
        (row.participant, row.arm): row.name
        + (f" ({row.participant})" if shared else "")
        + (f", {row.arm}" if has_arms and row.arm else "")
        for row, shared in zip(about.itertuples(index=False), is_shared, strict=True)
    }
    found = {}
    for name, table in tables.items():
        found[name] = table
        if {"participant", "name", "arm"} <= set(table.columns):
            keys = zip(table["participant"], table["arm"], table["name"], strict=True)
            labels = [label.get((key, arm), shown) for key, arm, shown in keys]
            found[name] = table.assign(label=pd.Series(labels, index=table.index, dtype=object))
    return found


@st.cache_resource(max_entries=4, show_spinner="Loading class maps ...")
def class_map_tops(study_key: str, model_sha256: str, n_predicted: int, _repository: Repository) -> np.ndarray:
    """Value of each class's map that is drawn brightest, shape (k,): 99th percentile of its maxima over all cases."""
    maps = [
        prediction.class_maps
        for prediction in _repository.predictions(study_key, model_sha256, with_class_maps=True)
        if prediction.class_maps is not None
    ]
    if not maps:
        return np.ones(1)
    return class_tops(np.stack(maps))


def percent(value: float | None) -> str:
    """A proportion for a metric tile."""
    return "not defined" if value is None or pd.isna(value) else f"{100 * value:.1f} %"
