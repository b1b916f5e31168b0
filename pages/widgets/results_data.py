"""What the result screens load: one analysis per study, kept in memory until something that it rests on changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from actions.analyse_study import analyse_study
from core.analysis import StudyAnalysis
from core.model.class_maps import class_tops
from core.natural_order import natural_key
from core.rater_styles import RaterStyle, rater_styles
from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.study_choice import NO_STUDY, choose_study, chosen_study

#: Tables whose columns the screens filter by cohort.
Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Results:
    """An analysis with its tables, labels and colours, made once."""

    analysis: StudyAnalysis
    tables: Tables  # those of participants with a column ``label``
    styles: Mapping[str, RaterStyle]  # label -> how this rater is drawn, on every screen
    raters: Mapping[tuple[str, str], RaterStyle]  # the same by key and arm

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Label -> key and arm, in the order of all screens."""
        return dict(zip(self.styles, self.raters, strict=True))


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
            format_func=lambda s: f"{s.protocol.title} · {s.key} · {s.standing}",
            label_visibility="collapsed",
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
    """The analysis of an unsealed study; made again when anything that it is made of has changed.

    The store checks role and state first (through ``results_digest``); only then is the shared copy given out.
    """
    return _results(study.key, repository.results_digest(study.key), repository)


@st.cache_resource(max_entries=8, show_spinner="Analysing: a few seconds, once for everybody ...")
def _results(study_key: str, digest: str, _repository: Repository) -> Results:
    """Shared by coordinators; ``digest`` is another one after every event that can change a number."""
    return labelled(analyse_study(_repository, study_key))


def labelled(analysis: StudyAnalysis) -> Results:
    """An analysis with its tables, their labels and the colours of its raters."""
    tables = with_labels(analysis.to_tables())
    about = tables["missing"][["kind", "participant", "arm", "name", "label"]].drop_duplicates()
    raters = {(row.participant, row.arm): row.label for row in about.itertuples(index=False)}
    identities = [one.identity for cohort in analysis.cohorts for one in cohort.participants]
    styles = rater_styles(identities, analysis.declared_model)
    return Results(analysis, tables, {raters[place]: style for place, style in styles.items()}, styles)


def with_labels(tables: Tables) -> dict[str, pd.DataFrame]:
    """The tables, those of single participants with a column ``label``: one for each reader in each arm.

    A name alone would draw both arms of a reader as one.
    """
    about = tables["missing"][["participant", "name", "arm"]].drop_duplicates()
    has_arms = about.loc[about["arm"] != "", "arm"].nunique() > 1
    label = {
        (row.participant, row.arm): row.name + (f", {row.arm}" if has_arms and row.arm else "")
        for row in about.itertuples(index=False)
    }
    found = {}
    for name, table in tables.items():
        found[name] = table
        if {"participant", "name", "arm"} <= set(table.columns):
            keys = zip(table["participant"], table["arm"], table["name"], strict=True)
            labels = [label.get((key, arm), shown) for key, arm, shown in keys]
            found[name] = table.assign(label=pd.Series(labels, index=table.index, dtype=object))
    return found


@dataclass(frozen=True)
class CaseAnswers:
    """Every case of a study, and what everybody answered to it."""

    cases: pd.DataFrame  # case, cohort, truth, is_unusual; included cases by key
    given: pd.DataFrame  # case, rater, key, answer, confidence, seconds, comment, is_unreadable, marks, arm, is_right
    raters: tuple[str, ...]  # names in the order of the screens: models, then readers
    models: tuple[str, ...]

    @property
    def readers(self) -> tuple[str, ...]:
        """Names of readers, in each arm."""
        return self.raters[len(self.models) :]


def load_answers(repository: Repository, study: Study) -> CaseAnswers:
    """Cases and answers of an unsealed study, kept as :func:`load_results` keeps its analysis."""
    return _answers(study.key, repository.results_digest(study.key), repository, study)


@st.cache_resource(max_entries=4, show_spinner="Loading the answers ...")
def _answers(study_key: str, digest: str, _repository: Repository, _study: Study) -> CaseAnswers:
    """One row a case, one row an answer."""
    truth = {each.case: each.truth for each in _repository.reference_standard(study_key)}
    truth = dict(sorted(truth.items(), key=lambda item: natural_key(item[0])))
    keys, scale = _study.protocol.class_keys, _study.protocol.scale
    rows: list[tuple[Any, ...]] = []
    unusual = set()
    results = load_results(_repository, _study)
    labels = {place: label for label, place in results.places.items()}  # in the order of all screens
    predicted = {count.model_sha256: count.model_name for count in _repository.prediction_counts(study_key)}
    models = {key: labels.get((key, ""), name) for key, name in predicted.items()}
    order = {place: number for number, place in enumerate(labels)}
    models = dict(sorted(models.items(), key=lambda item: order.get((item[0], ""), len(order))))
    for sha256, name in models.items():
        for each in _repository.predictions(study_key, sha256):
            answer, share = keys[int(np.argmax(each.probabilities))], float(np.max(each.probabilities))
            rows.append((each.case, name, sha256, answer, f"{100 * share:.0f} %", np.nan, "", False, (), ""))
            if each.is_out_of_distribution:
                unusual.add(each.case)
    readings = [
        each
        for each in _repository.readings(study_key, only_current=True)
        if each.case in truth and each.repeat == 1 and not each.is_training
    ]
    readers: dict[str, None] = {}
    for reading in sorted(readings, key=lambda one: order.get((one.reader, str(one.arm)), len(order))):
        name = labels.get((reading.reader, str(reading.arm)), f"{reading.display_name}, {reading.arm}")
        readers.setdefault(name)
        confidence = scale.word(reading.confidence) or ("" if reading.confidence is None else f"{reading.confidence} %")
        if reading.probabilities is not None:
            confidence = f"{100 * max(reading.probabilities):.0f} %"
        comment = " · ".join(part for part in (reading.unreadable_reason, reading.comment) if part)
        is_unreadable = reading.is_unreadable or reading.class_key is None
        answer = "" if is_unreadable else str(reading.class_key)
        rows.append(
            (
                reading.case,
                name,
                reading.reader,
                answer,
                confidence,
                reading.reading_seconds,
                comment,
                is_unreadable,
                reading.marks,
                str(reading.arm),
            )
        )
    columns = ["case", "rater", "key", "answer", "confidence", "seconds", "comment", "is_unreadable", "marks", "arm"]
    given = pd.DataFrame(rows, columns=columns)
    right = [None if row[7] else row[3] == truth[row[0]] for row in rows]
    given["is_right"] = pd.Series(right, dtype=object)
    cohort = {each.case: each.cohort for each in _repository.cases(study_key)}
    cases = pd.DataFrame(
        [(case, cohort[case], key, case in unusual) for case, key in truth.items()],
        columns=["case", "cohort", "truth", "is_unusual"],
    )
    return CaseAnswers(cases, given, (*models.values(), *readers), tuple(models.values()))


@st.cache_resource(max_entries=4, show_spinner="Loading class maps ...")
def class_map_tops(study_key: str, model_sha256: str, digest: str, _repository: Repository) -> np.ndarray:
    """Value of each class's map that is drawn brightest, shape (k,): 99th percentile of its maxima over all cases."""
    maps = [
        prediction.class_maps
        for prediction in _repository.predictions(study_key, model_sha256, with_class_maps=True)
        if prediction.class_maps is not None
    ]
    if not maps:
        return np.ones(1)
    return class_tops(np.stack(maps))
