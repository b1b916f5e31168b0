"""Flow, Table 1, centres by class and shared patients, counted again by hand from small tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.analysis import StudyData, analyse
from core.protocol import THYROID_CLASSES
from core.report.printed_tables import baseline_table
from core.study_analysis.case_description import describe_cases
from tests.core.paper_study import paper_analysis

CASES = pd.DataFrame(
    [
        # case, patient, cohort, truth, reason, centre, sex, age
        ("c1", "p1", "training", "graves", None, "A", "F", 40.0),
        ("c2", "p2", "training", "normal", None, "A", "M", 50.0),
        ("c3", "p1", "internal", "graves", None, "A", "F", 40.0),
        ("c4", "p3", "internal", "sat", None, "B", "F", 60.0),
        ("c5", "p3", "internal", "tumor", None, "B", "F", 61.0),
        ("c6", "p4", "internal", "normal", None, "", "", None),
        ("c7", "p5", "internal", "normal", "no image", "B", "M", 30.0),
        ("c8", "p5", "external", "normal", "no image", "B", "M", 30.0),
        ("c9", "p6", "external", "normal", "thyroidectomy", "C", "M", 30.0),
    ],
    columns=["case", "patient", "cohort", "truth", "exclusion_reason", "centre", "sex", "age_years"],
)
READINGS = pd.DataFrame(
    [
        ("r", "c3", "unaided", "graves", 1, False),
        ("r", "c4", "unaided", "sat", 1, True),
        ("r", "c3", "unaided", "sat", 2, False),
        ("r", "c5", "unaided", "sat", 2, False),
    ],
    columns=["reader", "case", "arm", "label", "repeat", "is_unreadable"],
).assign(confidence=3)


@pytest.fixture
def found():
    return describe_cases(StudyData(THYROID_CLASSES, CASES, READINGS))


def test_the_flow_counts_cases_and_patients_with_the_reasons(found):
    steps = [(each.step, each.cohort, each.what, each.n_cases, each.n_patients) for each in found.flow]
    assert steps == [
        ("imported", "", "", 9, 6),
        ("excluded", "", "no image", 2, 1),
        ("excluded", "", "thyroidectomy", 1, 1),
        ("included", "", "", 6, 4),
        ("cohort", "training", "", 2, 2),
        ("read", "training", "", 0, 0),
        ("cohort", "internal", "", 4, 3),
        ("read", "internal", "", 1, 1),  # c3; c4 was unreadable, c5 only a repeat
    ]


def test_a_patient_with_two_cases_counts_once_in_age_and_sex(found):
    rows = {(r.variable, r.level): r for r in found.baseline if r.cohort == "internal"}
    assert (rows["patients", ""].n, rows["cases", ""].n) == (3, 4)
    assert rows["age", "mean"].value == 50.0  # 40 and 60; p4's age is not known
    assert rows["age", "mean"].spread == pytest.approx(np.std([40, 60], ddof=1))
    assert (rows["age", "mean"].n, rows["age", "mean"].of) == (2, 3)
    assert (rows["sex", "F"].n, rows["sex", ""].n, rows["sex", "F"].share) == (2, 1, pytest.approx(2 / 3))
    assert rows["class", "normal"].n == 1
    assert ("scanner", "") not in rows, "nothing is known of scanners"


def test_every_cohort_has_every_row_of_table_1(found):
    rows = {}
    for row in found.baseline:
        rows.setdefault(row.cohort, []).append((row.variable, row.level))
    assert len({tuple(places) for places in rows.values()}) == 1
    foreign = CASES.assign(centre=["X" if cohort == "training" else "Y" for cohort in CASES["cohort"]], age_years=[
        None if cohort == "training" else 50.0 for cohort in CASES["cohort"]
    ])  # fmt: skip
    data = StudyData(THYROID_CLASSES, foreign)
    counts = {(row.cohort, row.level): row.n for row in describe_cases(data).baseline if row.variable == "centre"}
    assert (counts["training", "Y"], counts["internal", "X"]) == (0, 0)
    printed = baseline_table(analyse(data))
    assert all(cell for row in printed.rows for cell in row)
    ages = next(row for row in printed.rows if row[0].startswith("Age, years, mean"))
    assert dict(zip(printed.columns, ages, strict=True))["training"] == "not known"


def test_patients_of_two_cohorts_are_named(found):
    shared = {(each.first, each.second): each.patients for each in found.shared_patients}
    assert shared == {("training", "internal"): ("p1",)}


def test_centres_by_class_add_up_to_the_cases_of_the_cohort(found):
    rows = [each for each in found.groups if each.cohort == "internal" and each.variable == "centre"]
    assert sum(each.n_cases for each in rows) == 4
    assert {(each.level, each.class_key): each.n_cases for each in rows}["B", "tumor"] == 1


def test_a_study_of_one_cohort_has_no_column_for_all():
    one = CASES[CASES["cohort"] == "internal"]
    assert {row.cohort for row in describe_cases(StudyData(THYROID_CLASSES, one)).baseline} == {"internal"}


def test_the_papers_class_counts_stand_in_the_table():
    table = paper_analysis().to_tables()["baseline"]
    rows = table[(table["cohort"] == "external") & (table["variable"] == "class")]
    assert dict(zip(rows["level"], rows["n"], strict=True)) == {"graves": 158, "normal": 138, "sat": 163, "tumor": 154}


def test_the_tables_are_in_the_json_and_empty_ones_keep_their_columns():
    tables = analyse(StudyData(THYROID_CLASSES, CASES[CASES["cohort"] == "training"])).to_tables()
    assert len(tables["shared_patients"]) == 0
    assert list(tables["shared_patients"].columns) == ["first", "second", "n_patients", "patients"]
