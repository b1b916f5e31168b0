"""Bad input: every wrong cell of a study's tables is refused, naming table, row, column and value."""

from dataclasses import replace

import pandas as pd
import pytest

from core.analysis import StudyData, analyse
from core.errors import StatisticsInputError
from core.protocol import THYROID_CLASSES
from tests.core.analysis_studies import simulated_study


@pytest.fixture(scope="module")
def study():
    return simulated_study(n_cases=20, readers=2, models=1)


def changed(table, row, column, value):
    """A copy with one other cell; a column that the table lacks is empty but for it."""
    copy = table.copy()
    if column not in copy.columns:
        copy[column] = None
    copy[column] = copy[column].astype(object)
    copy.loc[row, column] = value
    return copy


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "words"),
    [
        ("cases", 3, "truth", "cyst", "is not a class"),
        ("cases", 3, "truth", None, "is empty"),
        ("cases", 2, "case", "case-0000", "appears twice"),
        ("cases", 4, "cohort", " ", "is empty"),
        ("readings", 5, "label", "cyst", "is not a class"),
        ("readings", 5, "label", None, "is missing"),
        ("readings", 6, "case", "case-9999", "is not a case of this study"),
        ("readings", 6, "reader", None, "is empty"),
        ("readings", 7, "confidence", "high", "is not a finite number"),
        ("readings", 7, "confidence", float("inf"), "is not a finite number"),
        ("readings", 7, "confidence", 0, "must be above 0"),
        ("readings", 8, "repeat", 0, "must be 1, 2, 3"),
        ("readings", 8, "repeat", 1.5, "must be 1, 2, 3"),
        ("readings", 8, "is_unreadable", "perhaps", "is not true or false"),
        ("readings", 8, "reading_seconds", -1.0, "must be 0 or more"),
        ("readings", 8, "reading_seconds", "fast", "is not a finite number"),
        ("cases", 8, "age_years", -3, "must be 0 or more"),
        ("predictions", 9, "p_sat", float("nan"), "is missing"),
        ("predictions", 9, "p_sat", 1.2, "must lie between 0 and 1"),
        ("predictions", 9, "case", "case-9999", "is not a case of this study"),
    ],
)
def test_wrong_cell_is_named(study, table, row, column, value, words):
    tables = {name: getattr(study, name) for name in ("cases", "readings", "predictions")}
    tables[table] = changed(tables[table], row, column, value)
    with pytest.raises(StatisticsInputError, match=words) as caught:
        StudyData(study.classes, **tables)
    assert caught.value.file == table
    assert caught.value.row == row + 1
    assert column in caught.value.field


@pytest.mark.parametrize("word", [True, 1, "True", "true", "YES", "1"])
@pytest.mark.parametrize("other", [False, 0, "False", "false", "no", "0", "", None, float("nan")])
def test_unreadable_as_text_is_what_the_text_says(study, word, other):
    flags = [other] * len(study.readings)
    flags[3] = word
    data = StudyData(study.classes, study.cases, study.readings.assign(is_unreadable=pd.Series(flags, dtype=object)))
    assert data.readings["is_unreadable"].tolist() == [row == 3 for row in range(len(flags))]


@pytest.mark.parametrize("years", [-1, float("nan"), "ten", True])
def test_years_of_experience_must_be_a_number(study, years):
    with pytest.raises(StatisticsInputError, match="0 or more for reader reader-0"):
        replace(study, reader_years={"reader-0": years})


def test_duplicate_reading_is_named(study):
    twice = pd.concat([study.readings, study.readings.iloc[[4]]])
    with pytest.raises(StatisticsInputError, match="appears twice") as caught:
        replace(study, readings=twice)
    assert caught.value.row == len(study.readings) + 1


def test_duplicate_prediction_is_named(study):
    twice = pd.concat([study.predictions, study.predictions.iloc[[4]]])
    with pytest.raises(StatisticsInputError, match="model \\+ case"):
        replace(study, predictions=twice)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("cases", "truth"),
        ("cases", "patient"),
        ("readings", "arm"),
        ("readings", "confidence"),
        ("predictions", "p_sat"),
    ],
)
def test_missing_column_is_named(study, table, column):
    tables = {name: getattr(study, name) for name in ("cases", "readings", "predictions")}
    tables[table] = tables[table].drop(columns=column)
    with pytest.raises(StatisticsInputError, match="lacks a column") as caught:
        StudyData(study.classes, **tables)
    assert (caught.value.file, caught.value.field) == (table, column)


def test_one_class_is_too_few(study):
    with pytest.raises(StatisticsInputError, match="two classes"):
        StudyData(THYROID_CLASSES[:1], study.cases)


def test_ratings_are_checked_like_readings(study):
    ratings = pd.DataFrame({"reader": "r", "case": ["case-0001"] * 2, "arm": "a", "class": "sat", "rating": [1.0, 2.0]})
    with pytest.raises(StatisticsInputError, match="appears twice"):
        replace(study, reader_ratings=ratings)
    with pytest.raises(StatisticsInputError, match="is missing"):
        replace(study, reader_ratings=ratings.iloc[:1].assign(rating=None))
    with pytest.raises(StatisticsInputError, match="is not a class"):
        replace(study, reader_ratings=ratings.iloc[:1].assign(**{"class": "cyst"}))


@pytest.mark.parametrize("level", [0, 1, 95, "0.95", True])
def test_confidence_level_must_be_a_share(study, level):
    with pytest.raises(StatisticsInputError, match="confidence_level"):
        analyse(study, confidence_level=level)


def test_reader_without_a_reading_in_the_cohort_is_not_there(study):
    some = study.readings[study.readings["reader"] == "reader-1"]
    assert [one.key for one in analyse(replace(study, readings=some)).cohorts[0].participants] == [
        "model-0",
        "reader-1",
    ]


def test_one_class_only_gives_named_undefined_states(study):
    same = replace(study, cases=study.cases.assign(truth="sat"))
    one = analyse(same).cohorts[0].participant("model-0")
    assert all(performance.auc.value is None and performance.auc.reason for performance in one.classes)
    assert one.quantities["accuracy"].value is not None
    assert all(row.test.p_value is None for row in analyse(same).cohorts[0].mrmc if row.metric == "auc")


def test_the_study_that_was_handed_in_is_not_changed(study):
    before = study.readings.copy()
    given = study.readings.copy()
    StudyData(study.classes, study.cases, given)
    pd.testing.assert_frame_equal(given, before)


def test_namesakes_are_told_apart_in_every_table_and_sentence():
    made = simulated_study(n_cases=30, readers=2, models=2, arms=("aided", "unaided"))
    names = {
        "reader_names": {"reader-0": "Ann", "reader-1": "Ann"},
        "model_names": {"model-0": "Net", "model-1": "Net"},
    }
    study = replace(made, **names, simulated=frozenset({"reader-0"}))
    assert study.reader_name("reader-0") == "Ann (simulated)"  # that tells them apart already
    assert study.reader_name("reader-1") == "Ann"
    found = analyse(replace(made, **names), margin=0.05)
    told = set(found.to_tables()["missing"]["name"])
    assert told == {"Ann (reader-0)", "Ann (reader-1)", "Net (model-0)", "Net (model-1)"}
    sentences = found.cohorts[0].margin_answer
    assert len(set(sentences)) == len(sentences), "one sentence a comparison, each other than the others"
    of_panel = ["readers, " in sentence.split(":")[0] for sentence in sentences]
    assert of_panel == sorted(of_panel, reverse=True), "the panel before single readers"
    assert any(" against Ann (reader-0), aided, accuracy" in sentence for sentence in sentences)
