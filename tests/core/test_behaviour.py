"""Confidence, order and the ledger of automation bias, counted again by hand; answers wrong on purpose kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.analysis import StudyData, analyse
from core.protocol import THYROID_CLASSES
from core.statistics.proportions import proportion
from core.study_analysis.behaviour import ledger_averages
from core.study_analysis.results import Identity, LedgerResult
from tests.core.analysis_studies import simulated_study

KEYS = [each.key for each in THYROID_CLASSES]
#: truth, model, alone, confidence alone, aided
CASES = [
    ("graves", "graves", "sat", 1, "graves"),  # helped
    ("graves", "graves", "sat", 5, "sat"),  # could have been helped
    ("sat", "normal", "sat", 1, "normal"),  # harmed, followed
    ("sat", "normal", "sat", 5, "sat"),  # resisted
    ("tumor", "normal", "tumor", 5, "graves"),  # harmed, not followed
    ("normal", "normal", "normal", 3, "normal"),  # nothing to gain
    ("normal", "sat", "tumor", 2, "sat"),  # wrong before and after, followed
    ("tumor", "tumor", "tumor", 4, "sat"),  # altered: the model was right, "sat" was shown, and followed
    ("tumor", "tumor", "tumor", 4, "tumor"),  # altered: resisted
]
ALTERED = {"c7": "sat", "c8": "sat"}


def study(**more) -> StudyData:
    cases = pd.DataFrame([
        {"case": f"c{i}", "patient": f"c{i}", "cohort": "internal", "truth": row[0]} for i, row in enumerate(CASES)
    ])  # fmt: skip
    readings = pd.DataFrame([
        {"reader": "r", "case": f"c{i}", "arm": arm, "label": row[at], "confidence": row[3], "position": i + 1,
         "is_altered": arm == "aided" and f"c{i}" in ALTERED, "reading_seconds": float(i + 1)}
        for i, row in enumerate(CASES) for arm, at in (("unaided", 2), ("aided", 4))
    ])  # fmt: skip
    predictions = pd.DataFrame([
        {"model": "m", "case": f"c{i}", **{f"p_{key}": 0.7 if key == row[1] else 0.1 for key in KEYS}}
        for i, row in enumerate(CASES)
    ])  # fmt: skip
    return StudyData(THYROID_CLASSES, cases, readings, predictions, altered_answers=ALTERED, declared_model="m", **more)


def ledger(table: pd.DataFrame, shown: str, variable: str = "all", level: str = "") -> dict[str, tuple[int, int]]:
    rows = table[(table["shown"] == shown) & (table["variable"] == variable) & (table["level"] == level)]
    return {
        quantity: (int(n), int(of)) for quantity, n, of in zip(rows["quantity"], rows["count"], rows["of"], strict=True)
    }


def test_the_ledger_counts_what_became_of_every_answer():
    table = analyse(study(reader_years={"r": 7.0})).to_tables()["aid_ledger"]
    assert ledger(table, "model") == {
        "helped": (1, 2), "harmed": (2, 3), "resisted": (1, 3), "right_alone": (4, 7), "right_with_model": (3, 7),
        "followed_wrong_model": (2, 4),
    }  # fmt: skip
    assert set(table["experience"]) == {"5-9"}
    above = ledger(table, "model", "confidence", "above the median")
    assert above["harmed"] == (1, 2), "of the two wrong-model cases answered alone with a 5"


def test_the_ledger_is_averaged_over_the_readers_of_each_experience():
    def line(reader: str, years: str, n: int, of: int) -> LedgerResult:
        who = Identity("reader", reader, "aided", reader)
        return LedgerResult(who, "model", "all", "", "helped", n, of, years, proportion(n, of))

    lines = [line("a", "0-4", 1, 2), line("b", "0-4", 1, 10), line("c", "10+", 3, 4), line("d", "10+", 0, 0)]
    young, old = ledger_averages(lines)
    assert (young.experience, young.n_readers, young.count, young.of) == ("0-4", 2, 2, 12)
    assert (young.mean, young.lowest, young.highest) == (pytest.approx(0.3), 0.1, 0.5), "every reader counts once"
    assert (old.n_readers, old.mean) == (1, 0.75), "who met no such case has no share"


def test_answers_wrong_on_purpose_are_kept_apart_from_every_other_number():
    analysis = analyse(study())
    table = analysis.to_tables()["aid_ledger"]
    assert ledger(table, "altered") == {
        "helped": (0, 0), "harmed": (1, 2), "resisted": (1, 2), "right_alone": (2, 2), "right_with_model": (1, 2),
        "followed_wrong_model": (1, 2),
    }  # fmt: skip
    aided = analysis.cohorts[0].participant("r", "aided")
    assert aided.n_cases == aided.n_expected == 7
    assert aided.quantities["accuracy"].value == pytest.approx(3 / 7)
    assert any("wrong on purpose" in note for note in aided.notes)
    deviations = analysis.to_tables()["deviations"].set_index(["participant", "arm"])
    assert deviations.loc[("r", "aided"), "n_altered"] == 2
    assert deviations.loc[("r", "unaided"), "n_altered"] == 0


def test_an_answer_wrong_on_purpose_that_nobody_gave_is_not_missing():
    whole = study()
    left_out = (whole.readings["case"] == "c8") & (whole.readings["arm"] == "aided")
    (cohort,) = analyse(replace(whole, readings=whole.readings[~left_out])).cohorts
    aided, unaided = cohort.participant("r", "aided"), cohort.participant("r", "unaided")
    assert aided.n_cases == aided.n_expected == 7
    assert unaided.n_cases == unaided.n_expected == 9


def test_confidence_is_held_against_being_right():
    table = analyse(study()).to_tables()["confidence"]
    rows = table[table["arm"] == "unaided"].set_index("confidence_mean")
    assert dict(rows["n"]) == {1.0: 2, 2.0: 1, 3.0: 1, 4.0: 2, 5.0: 3}
    assert rows.loc[5.0, "value"] == pytest.approx(2 / 3)


def test_a_scale_of_a_hundred_is_put_into_tenths():
    data = simulated_study(n_cases=200, readers=1, models=0)
    stated = np.random.default_rng(5).integers(1, 102, len(data.readings))
    table = analyse(StudyData(data.classes, data.cases, data.readings.assign(confidence=stated))).to_tables()[
        "confidence"
    ]
    assert len(table) <= 10
    assert table["n"].sum() == 200
    assert ((table["confidence_mean"] >= table["confidence_lower"]) & (table["confidence_mean"] <= table[
        "confidence_upper"])).all()  # fmt: skip


def test_quarters_of_the_order_hold_every_case_once_whatever_the_order_of_rows():
    data = simulated_study(n_cases=101, readers=1, models=0, has_about=True)
    order = np.random.default_rng(7).permutation(101) + 1
    readings = data.readings.assign(position=order)
    for rows in (readings, readings.sample(frac=1, random_state=3)):
        table = analyse(StudyData(data.classes, data.cases, rows)).to_tables()["reading_order"]
        of_right = table[table["quantity"] == "accuracy"].set_index("quarter")
        assert of_right["n"].sum() == 101
        truth = data.cases.set_index("case")["truth"]
        first = readings.sort_values("position").head(int(of_right.loc[1, "n"]))
        assert of_right.loc[1, "value"] == pytest.approx(
            (first["label"].to_numpy() == truth[first["case"]].to_numpy()).mean()
        )
        seconds = table[table["quantity"] == "seconds"].set_index("quarter")
        assert seconds.loc[1, "value"] == pytest.approx(np.median(first["reading_seconds"]))


def test_readers_who_state_probabilities_have_curves_and_calibration():
    data = simulated_study(n_cases=80, readers=1, models=1)
    shares = data.predictions.set_index("case")[[f"p_{key}" for key in KEYS]]
    ratings = pd.DataFrame([
        {"reader": "reader-0", "case": case, "arm": "unaided", "class": key, "rating": row[f"p_{key}"]}
        for case, row in shares.iterrows() for key in KEYS
    ])  # fmt: skip
    label = shares.idxmax(axis=1).str.removeprefix("p_")
    readings = data.readings[data.readings["reader"] == "reader-0"]
    readings = readings.assign(confidence=None, label=label[readings["case"]].to_numpy())
    found = analyse(StudyData(data.classes, data.cases, readings, data.predictions, reader_ratings=ratings)).cohorts[0]
    reader, model = found.participant("reader-0", "unaided"), found.participant("model-0")
    assert reader.of_class("sat").auc.value == pytest.approx(model.of_class("sat").auc.value)
    scores = {
        (one.identity.kind, one.class_key): one.estimate.value for one in found.calibration if one.quantity == "brier"
    }
    assert scores["reader", "sat"] == pytest.approx(scores["model", "sat"])


def test_labels_alone_are_a_point_and_say_nothing_of_confidence():
    cohort = analyse(simulated_study(readers=1, models=0, has_confidence=False)).cohorts[0]
    assert cohort.confidence == ()
    assert not cohort.participants[0].of_class("sat").roc.is_curve
