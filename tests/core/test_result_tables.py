"""The contract of the result tables: columns are only ever added, and each is declared once."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from core.analysis import COLUMNS, analyse
from core.protocol import THYROID_CLASSES
from core.study_analysis.result_tables import TABLES
from tests.core.analysis_studies import KEYS, simulated_study

#: The columns of version 0.1.0. Scripts of other people read them by name.
FIRST_COLUMNS = {
    "cases": "cohort class n n_excluded n_patients",
    "missing": (
        "cohort arm kind participant name n_expected n_answered n_missing n_unreadable n_repeats has_ratings notes"
    ),
    "summary": (
        "cohort arm kind participant name quantity n value standard_error lower upper confidence_level method "
        "state notes"
    ),
    "per_class": (
        "cohort arm kind participant name class quantity numerator denominator n value standard_error lower upper "
        "confidence_level method state notes"
    ),
    "confusion": "cohort arm kind participant name truth answer count row_share",
    "auc": (
        "cohort arm kind participant name class is_hard_label n value standard_error lower upper confidence_level "
        "method state notes"
    ),
    "roc_points": (
        "cohort arm kind participant name class is_hard_label point false_positive_rate sensitivity threshold"
    ),
    "mcnemar": (
        "cohort first_arm first_kind first_participant first_name second_arm second_kind second_participant "
        "second_name both_right first_only second_only both_wrong n value standard_error lower upper "
        "confidence_level method state p_exact p_mid p_holm chi_squared p_chi_squared p_chi_squared_yates notes"
    ),
    "delong": (
        "cohort first_arm first_kind first_participant first_name second_arm second_kind second_participant "
        "second_name class first_auc second_auc is_mixed n value standard_error lower upper confidence_level "
        "method state statistic p_value p_holm notes"
    ),
    "agreement": (
        "cohort arm scope first second statistic n_readers n value standard_error lower upper confidence_level "
        "method state notes"
    ),
    "mrmc": (
        "cohort analysis class metric scope arm first second first_value second_value n_readers n value "
        "standard_error lower upper confidence_level method state statistic df1 df2 p_value p_holm covariance "
        "notes first_name second_name"
    ),
    "mrmc_components": "cohort analysis class metric arm first second covariance component value",
    "dbm": (
        "cohort analysis class metric scope first second first_value second_value n_readers n value "
        "standard_error lower upper confidence_level method state statistic df1 df2 p_value p_holm notes"
    ),
    "marginal_tests": (
        "cohort arm test first_arm first_kind first_participant first_name second_arm second_kind "
        "second_participant second_name n_participants n statistic degrees_of_freedom p_value p_holm state notes"
    ),
    "operating_points": (
        "cohort arm kind participant name class quantity threshold n value standard_error lower upper "
        "confidence_level method state notes"
    ),
    "reader_average_roc": "cohort arm class n_readers n_hard_labels area point false_positive_rate sensitivity",
    "predictive_values": (
        "cohort first_arm first_kind first_participant first_name second_arm second_kind second_participant "
        "second_name class quantity first_value second_value n value standard_error lower upper confidence_level "
        "method state statistic p_value p_holm p_leisenring notes"
    ),
    "margins": (
        "cohort analysis class metric scope arm first second first_name second_name goal margin n value "
        "standard_error lower upper confidence_level method state p_value is_shown notes"
    ),
}


@pytest.mark.parametrize("name", FIRST_COLUMNS)
def test_columns_are_only_ever_added(name):
    wanted = FIRST_COLUMNS[name].split()
    assert [column for column in COLUMNS[name] if column in wanted] == wanted


def test_every_column_is_declared_once():
    assert len({table.name for table in TABLES}) == len(TABLES)
    for table in TABLES:
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names), table.name


def test_an_empty_table_keeps_columns_and_types():
    full = analyse(simulated_study(arms=("aided", "unaided"), repeats=10, has_about=True), margin=0.05).to_tables()
    empty = analyse(simulated_study(readers=0, models=0)).to_tables()
    for name in (table.name for table in TABLES):
        table = full[name]
        assert len(table), name
        assert not len(empty[name]), name
        assert tuple(empty[name].columns) == tuple(table.columns)
        for column in table.columns:
            if not pd.api.types.is_string_dtype(table[column]):
                assert empty[name][column].dtype == table[column].dtype, (name, column)


def test_notes_name_every_class_that_has_no_case():
    study = simulated_study(n_cases=40, readers=2, models=1)
    kept = study.cases["truth"].isin(KEYS[:2])
    gone = set(study.cases.loc[~kept, "case"])
    tables = (study.cases[kept], *(one[~one["case"].isin(gone)] for one in (study.readings, study.predictions)))
    cases, readings, predictions = (one.reset_index(drop=True) for one in tables)
    found = analyse(replace(study, cases=cases, readings=readings, predictions=predictions)).to_tables()
    notes = {note for table in found.values() if "notes" in table for note in table["notes"]}
    labels = [one.label for one in THYROID_CLASSES[2:]]
    assert any(f"class {labels[0]}, class {labels[1]}, so no pair" in note for note in notes)
    assert not [note for note in notes if re.search(rf"\b({'|'.join(KEYS)})\b", note)]
