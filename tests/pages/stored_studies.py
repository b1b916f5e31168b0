"""Studies of any data in a real store, with pictures: what the results screens show in a browser.

Readers are simulated ones, whose answers are the data's; pictures and class maps are small and drawn here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from argon2.profiles import CHEAPEST
from sqlalchemy.engine import Engine

from core.analysis import StudyData
from core.protocol import Protocol, Scale, ScaleKind
from core.study import Answer, CaseRecord, Role, StudyState
from db import OPERATOR, Repository
from db.password_hashing import Passwords
from db.records import CasePrediction
from tests.pages.reading_server import COORDINATOR, PASSWORD

#: The states that a study goes through.
STATES = (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED)


def hash_of(model: str) -> str:
    """SHA-256 under which a model of the data is registered."""
    return hashlib.sha256(model.encode()).hexdigest()


def with_coordinator(engine: Engine) -> Repository:
    """The operator of a new store, with a coordinator in it."""
    store = Repository(engine, OPERATOR, passwords=Passwords(CHEAPEST))
    store.create_person(COORDINATOR, "Cora Coordinator", Role.COORDINATOR, is_temporary=False, password=PASSWORD)
    return store


def store_study(
    store: Repository, key: str, data: StudyData, title: str, *, until: StudyState = StudyState.UNSEALED,
    side: int = 32, **protocol: Any,
) -> None:  # fmt: skip
    """A study of the cases, predictions and first readings without the model in view, moved on to a state."""
    scale = Scale() if data.readings["confidence"].notna().any() else Scale(ScaleKind.LABEL)
    declared = hash_of(data.declared_model) if data.declared_model else None
    made = replace(Protocol(title, classes=tuple(data.classes), scale=scale, model_sha256=declared), **protocol)
    for model in dict.fromkeys(data.predictions["model"]):
        store.register_model(
            sha256=hash_of(model), name=data.model_name(model), architecture="elsewhere", path="", metadata={}
        )
    store.create_study(key, made, is_synthetic=True, coordinator=COORDINATOR)
    rng = np.random.default_rng(list(key.encode()))  # no picture is in two studies
    store.import_cases(key, [_case(row, rng, side) for row in data.cases.to_dict("records")])
    for model, rows in data.predictions.groupby("model"):
        made_of = [_prediction(row, data.class_keys, rng) for row in rows.to_dict("records")]
        store.save_predictions(key, hash_of(str(model)), made_of)
    cohorts = list(dict.fromkeys(data.cases.loc[data.cases["case"].isin(data.readings["case"]), "cohort"]))
    readers = list(dict.fromkeys(data.readings["reader"]))
    known = {person.login for person in store.people()}
    for reader in readers:
        if reader not in known:
            store.create_person(
                reader, data.reader_names.get(reader, reader), Role.READER, is_simulated=True,
                years_of_experience=data.reader_years.get(reader),
            )  # fmt: skip
        store.add_reader(key, reader, cohorts=cohorts)
    for state in STATES[: STATES.index(until) + 1] if until in STATES else ():
        store.set_state(key, state)
        if state is StudyState.OPEN:
            _read(store, key, data, readers)


def _read(store: Repository, key: str, data: StudyData, readers: list[str]) -> None:
    """The first reading of every reader and case."""
    first = data.readings[data.readings["repeat"] == 1]
    answers = {(row["reader"], row["case"]): _answer(row) for row in first.to_dict("records")}
    for reader in readers:
        ordered = [one for one in store.presentations_with_truth(key, reader) if (reader, one.case) in answers]
        pairs = [(one.presentation.presentation_id, answers[reader, one.case]) for one in ordered]
        store.save_simulated_readings(key, reader, pairs)


def _answer(row: Mapping[str, Any]) -> Answer:
    confidence = None if np.isnan(row["confidence"]) else int(row["confidence"])
    seconds = None if np.isnan(row["reading_seconds"]) else float(row["reading_seconds"])
    return Answer(row["label"] or None, confidence, is_unreadable=row["is_unreadable"], reading_seconds=seconds)


def _case(row: Mapping[str, Any], rng: np.random.Generator, side: int) -> CaseRecord:
    """Two warm lobes with noise of their own."""
    y, x = np.mgrid[:side, :side] / side
    lobes = sum(np.exp(-(((x - middle) / 0.1) ** 2 + ((y - 0.5) / 0.2) ** 2)) for middle in (0.36, 0.64))
    lesion = (x - 0.36) ** 2 + (y - 0.45) ** 2 < 0.01 if row["has_lesion"] else None
    return CaseRecord(
        row["case"], row["patient"], row["cohort"], row["truth"], rng.poisson(4 + 60 * lobes).astype(np.uint16),
        centre=row["centre"] or None, scanner=row["scanner"] or None, sex=row["sex"] or None,
        age_years=None if np.isnan(row["age_years"]) else float(row["age_years"]), lesion_mask=lesion,
    )  # fmt: skip


def _prediction(row: Mapping[str, Any], keys: tuple[str, ...], rng: np.random.Generator) -> CasePrediction:
    shares = np.array([row[f"p_{key}"] for key in keys])
    entropy = float(-(shares * np.log2(np.maximum(shares, 1e-12))).sum())
    maps = rng.random((len(keys), 6, 6)).astype(np.float16)
    return CasePrediction(row["case"], shares, entropy, False, "cpu", "fp32", maps)
