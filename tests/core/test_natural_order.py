"""The order of names: numbers by their value, in the analysis and in all that is made of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.analysis import analyse
from core.natural_order import cohort_place, natural_key
from core.rater_styles import rater_styles
from tests.core.analysis_studies import simulated_study


@pytest.mark.parametrize(
    "names",
    [
        ["reader-1", "reader-2", "reader-10"],
        ["2", "10", "a"],
        ["Dr Ada", "dr Ben", "Dr Cem"],
        ["case-9-2", "case-9-10", "case-10-1"],
        ["07", "7", "8"],
        ["9" * 5000, "1" + "0" * 5000],  # longer than Python turns into a number
        ["", "1", "a"],
    ],
)
def test_numbers_in_names_count_by_their_value(names):
    assert sorted(set(names), key=natural_key) == names


def test_names_that_only_look_alike_have_one_order():
    assert len({natural_key("case-7"), natural_key("case-07"), natural_key("Case-7")}) == 3


def test_cohorts_stand_as_papers_tell_of_them():
    assert sorted(["b-10", "external", "b-2", "internal", "training"], key=cohort_place) == [
        "training", "internal", "external", "b-2", "b-10",
    ]  # fmt: skip


def test_every_table_has_models_first_then_readers_by_name():
    study = simulated_study(n_cases=40, readers=12, models=3, repeats=8, has_about=True)
    study = replace(
        study,
        declared_model="model-1",
        reader_names={"reader-3": "Zoe", "reader-11": "Ada"},
        predictions=study.predictions.replace({"model": {"model-2": "model-10", "model-0": "model-9"}}),
    )
    numbers = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    wanted = ["model-1", "model-9", "model-10", "Ada", *(f"reader-{number}" for number in numbers), "Zoe"]
    analysis = analyse(study)
    tables = analysis.to_tables()
    checked = 0
    for name, table in tables.items():
        if "participant" in table.columns and len(table):
            rows = table[table["kind"] != "panel"]
            found = list(dict.fromkeys(rows["name"]))
            if "level" in table.columns:  # parts first
                parts = rows.groupby(["variable", "level"], sort=False)["name"]
                assert all(
                    list(dict.fromkeys(part)) == [one for one in wanted if one in set(part)] for _, part in parts
                )
            else:
                assert found == [one for one in wanted if one in found], name
            checked += 1
    assert checked > 12
    pairs = tables["mcnemar"]
    assert pairs.loc[pairs["first_name"] == "model-1", "second_name"].tolist() == [*wanted[3:], "model-9", "model-10"]
    assert tables["flow"].query("step == 'predicted'")["what"].tolist() == wanted[:3]
    assert tables["agreement"].query("scope == 'within'")["first"].unique().tolist()[0] == "reader-11"  # Ada
    identities = [one.identity for one in analysis.cohorts[0].participants]
    assert [key for key, _ in rater_styles(reversed(identities), "model-1")] == [one.key for one in identities]


def test_cases_and_parts_stand_in_the_same_order():
    study = simulated_study(n_cases=24, readers=2, models=1, has_about=True)
    renamed = {f"case-{number:04d}": f"case {number}" for number in range(24)}
    tables = [study.cases, study.readings, study.predictions]
    cases, readings, predictions = (table.assign(case=table["case"].map(renamed)) for table in tables)
    cases = cases.assign(centre=[f"Site {1 + number % 12}" for number in range(24)])
    analysis = analyse(replace(study, cases=cases.iloc[::-1], readings=readings, predictions=predictions))
    tables = analysis.to_tables()
    assert tables["case_outcomes"]["case"].tolist() == [f"case {number}" for number in range(24)]
    sites = [f"Site {number}" for number in range(1, 13)]
    for name in ("subgroups", "groups_by_class"):
        rows = tables[name]
        assert list(dict.fromkeys(rows.loc[rows["variable"] == "centre", "level"])) == sites
