"""What became of every case, and agreement with the model, counted again by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from core.analysis import StudyData, analyse
from core.protocol import THYROID_CLASSES
from tests.core.analysis_studies import simulated_study

#: case, truth, first reader, second reader, model
CASES = [
    ("all right", "graves", "graves", "graves", "graves"),
    ("only model wrong", "graves", "graves", "graves", "sat"),
    ("only readers wrong", "sat", "graves", "tumor", "sat"),
    ("all wrong", "sat", "graves", "tumor", "normal"),
    ("split", "tumor", "tumor", "sat", "sat"),
    ("one answered", "normal", "normal", None, "normal"),
    ("no model", "normal", "sat", "sat", None),
    ("nobody", "normal", None, None, "normal"),
]


def study() -> StudyData:
    keys = [each.key for each in THYROID_CLASSES]
    cases = pd.DataFrame([{"case": c[0], "patient": c[0], "cohort": "internal", "truth": c[1]} for c in CASES])
    readings = pd.DataFrame([
        {"reader": reader, "case": c[0], "arm": "unaided", "label": c[at], "confidence": None}
        for c in CASES for reader, at in (("a", 2), ("b", 3)) if c[at]
    ])  # fmt: skip
    predictions = pd.DataFrame([
        {"model": "m", "case": c[0], **{f"p_{key}": 0.7 if key == c[4] else 0.1 for key in keys}} for c in CASES if c[4]
    ])  # fmt: skip
    return StudyData(THYROID_CLASSES, cases, readings, predictions)


def test_every_case_is_of_the_kind_that_its_answers_make_it():
    table = analyse(study()).to_tables()["case_outcomes"].set_index("case")
    assert dict(table["outcome"]) == {
        "all right": "all_right", "only model wrong": "only_model_wrong", "only readers wrong": "only_readers_wrong",
        "all wrong": "all_wrong", "split": "readers_split", "one answered": "all_right", "no model": "all_wrong",
    }  # fmt: skip
    assert table.loc["one answered", ["n_readers", "n_right"]].tolist() == [1, 1]
    assert pd.isna(table.loc["no model", "is_model_right"])


def test_agreement_with_the_model_is_cohens_kappa_on_the_cases_of_both():
    data = simulated_study(n_cases=80, readers=1, models=1, missing=0.2)
    (row,) = analyse(data).cohorts[0].agreement_with_model
    keys = [each.key for each in THYROID_CLASSES]
    said = data.predictions.set_index("case")[[f"p_{key}" for key in keys]].idxmax(axis=1).str.removeprefix("p_")
    own = data.readings[data.readings["repeat"] == 1].set_index("case")["label"]
    assert row.estimate.value == pytest.approx(cohen_kappa_score(own, said.reindex(own.index)))
    assert row.estimate.n == len(own)
