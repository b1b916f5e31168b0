"""Blocks of missing readings: several readers are compared on the cases that all of them answered.

The constructs are those that turned conclusions round while every reader's figure used the cases that this reader had:
a reader who reads only the harder half looks worse than who reads all.
"""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from core.analysis import StudyData, analyse
from core.errors import StatisticsInputError
from core.protocol import DiseaseClass
from core.statistics import auc, compare_aucs_paired
from core.statistics.mrmc import ReaderStudy, compare_arms, compare_model_with_readers
from core.study_analysis.panel_cases import Missing, panel_cases

CLASSES = (DiseaseClass("benign", "Benign", "B"), DiseaseClass("malignant", "Malignant", "M"))
KEYS = ("benign", "malignant")


def two_class_study(n=200, readers=4, arms=("unaided",), seed=7, effect=0.0, model_skill=4.0, is_lacking=None):
    """Half of the cases are hard: every reader, and the model, separates them worse. ``is_lacking(arm, reader, hard)``
    gives a mask of the cases that the reader did not read in the arm."""
    rng = np.random.default_rng(seed)
    truth, hard = np.arange(n) % 2, np.arange(n) >= n // 2
    cases = np.array([f"case-{index:03d}" for index in range(n)])
    own = rng.normal(size=n)  # what all readers see of a case
    rows = []
    for arm, reader in product(arms, range(readers)):
        skill = np.where(hard, 0.4, 2.4) + effect * (arm == "aided")
        score = truth * skill + 0.6 * own + 0.8 * rng.normal(size=n)
        lacking = np.zeros(n, dtype=bool) if is_lacking is None else is_lacking(arm, reader, hard, rng)
        rows += [
            {"reader": f"reader-{reader}", "case": cases[at], "arm": arm, "class": "malignant", "rating": score[at]}
            for at in np.flatnonzero(~lacking)
        ]
    score = truth * np.where(hard, 0.05, model_skill) + rng.normal(size=n)
    share = 1.0 / (1.0 + np.exp(-score))
    predictions = pd.DataFrame({"model": "net", "case": cases, "p_benign": 1 - share, "p_malignant": share})
    about = pd.DataFrame({"case": cases, "patient": cases, "cohort": "all", "truth": np.array(KEYS)[truth]})
    return StudyData(CLASSES, about, predictions=predictions, reader_ratings=pd.DataFrame(rows))


def mrmc(study, **options):
    """Rows of the AUC."""
    table = analyse(study, **options).to_tables()["mrmc"]
    return table[table["metric"] == "auc"].set_index(["first", "second", "scope"])


def arrays(study, arms):
    """Truth and ratings (arm, reader, case) in the order of the cases, NaN where not read."""
    ratings = study.reader_ratings
    readers = sorted(set(ratings["reader"]))
    wide = ratings.pivot(index=["arm", "reader"], columns="case", values="rating").reindex(columns=study.cases["case"])
    dense = np.stack([[wide.loc[(arm, reader)].to_numpy() for reader in readers] for arm in arms])
    model = study.predictions.set_index("case").loc[study.cases["case"], "p_malignant"].to_numpy()
    return study.cases["truth"].to_numpy(), dense, model, readers


def three_read_only_the_hard_half(arm, reader, hard, rng):
    return ~hard if reader else np.zeros(hard.size, dtype=bool)


def arm_lacks_60_percent_of_the_hard(arm, reader, hard, rng):
    lacking = np.zeros(hard.size, dtype=bool)
    if arm == "aided":
        places = np.flatnonzero(hard)
        lacking[places[: int(0.6 * places.size)]] = True
    return lacking


def test_model_against_a_panel_of_whom_most_read_the_hard_half_agrees_with_delong():
    study = two_class_study(is_lacking=three_read_only_the_hard_half)
    truth, dense, model, _ = arrays(study, ["unaided"])
    common = ~np.isnan(dense).any(axis=(0, 1))
    assert common.sum() == 100
    pairs = [
        compare_aucs_paired(truth[common] == "malignant", model[common], row[common]).difference.value
        for row in dense[0]
    ]
    assert max(pairs) < 0.0
    row = mrmc(study).loc[("net", "readers, unaided", "FRRC")]
    assert row["value"] == pytest.approx(np.mean(pairs))
    assert (row["n"], row["n_readers"]) == (100, 4)
    assert "100 cases that not all of them answered are left out" in row["notes"]
    per_curve = mrmc(study, missing="per-curve").loc[("net", "readers, unaided", "FRRC")]
    assert per_curve["value"] > 0.0, "the construct must turn the sign round"
    for asked, other in ((row, per_curve), (per_curve, row)):
        assert f"difference {other['value']:+.3f} ({other['lower']:+.3f} to {other['upper']:+.3f})" in asked["notes"]


def test_rows_are_those_of_the_complete_cases():
    study = two_class_study(arms=("aided", "unaided"), is_lacking=arm_lacks_60_percent_of_the_hard)
    truth, dense, model, readers = arrays(study, ["aided", "unaided"])
    common = ~np.isnan(dense).any(axis=(0, 1))
    panel = ReaderStudy.from_dense(
        truth[common], ratings=dense[:, :, common], classes=KEYS, arms=["aided", "unaided"], readers=readers
    )
    direct = compare_arms(panel)
    found = mrmc(study)
    for scope in ("RRRC", "FRRC", "RRFC"):
        wanted = direct.scope(scope).contrasts[0].test
        row = found.loc[("aided", "unaided", scope)]
        assert row["value"] == pytest.approx(wanted.difference.value, abs=1e-12)
        assert row["p_value"] == pytest.approx(wanted.p_value, rel=1e-9)
    of_arm = ~np.isnan(dense[0]).any(axis=0)
    one_arm = ReaderStudy.from_dense(truth[of_arm], ratings=dense[:1][:, :, of_arm], classes=KEYS, readers=readers)
    wanted = compare_model_with_readers(one_arm, model_ratings=model[of_arm]).scope("RRRC").test
    assert found.loc[("net", "readers, aided", "RRRC")]["p_value"] == pytest.approx(wanted.p_value, rel=1e-9)


def test_arms_without_an_effect_do_not_differ_although_one_lacks_hard_cases():
    p_common, p_per_curve = [], []
    for seed in range(8):
        study = two_class_study(arms=("aided", "unaided"), seed=seed, is_lacking=arm_lacks_60_percent_of_the_hard)
        p_common.append(mrmc(study).loc[("aided", "unaided", "FRRC")]["p_value"])
        p_per_curve.append(mrmc(study, missing="per-curve").loc[("aided", "unaided", "FRRC")]["p_value"])
    assert np.median(p_common) > 0.2
    assert np.median(p_per_curve) < 0.01, "the construct must turn the conclusion round"


def test_complete_readings_are_the_same_both_ways_and_say_nothing():
    study = two_class_study(arms=("aided", "unaided"))
    one, two = mrmc(study), mrmc(study, missing="per-curve")
    pd.testing.assert_frame_equal(one, two)
    assert not one["notes"].str.contains("instead").any()


def test_pseudovalues_are_defined_on_the_common_cases():
    study = two_class_study(arms=("aided", "unaided"), is_lacking=arm_lacks_60_percent_of_the_hard)
    tables = analyse(study).to_tables()
    dbm = tables["dbm"].set_index("scope").loc["RRRC"]
    assert dbm["p_value"] == pytest.approx(mrmc(study).loc[("aided", "unaided", "RRRC")]["p_value"], rel=1e-6)
    assert analyse(study, missing="per-curve").to_tables()["dbm"]["state"].eq("undefined").all()


def test_unknown_way_is_refused():
    with pytest.raises(StatisticsInputError, match="use common or per-curve"):
        analyse(two_class_study(n=20), missing="impute")


# ------------------------------------------------------------------------------------------- who and what is left out
def chosen(answered, groups=None, missing=Missing.COMMON):
    answered = np.asarray(answered, dtype=bool)
    names = [f"reader {index}" for index in range(answered.shape[1])]
    groups = [np.ones(answered.shape[2], dtype=bool)] if groups is None else groups
    return panel_cases(answered, groups, names, missing)


def test_a_reader_who_gave_up_is_left_out_by_name():
    answered = np.ones((1, 4, 40), dtype=bool)
    answered[0, 2, 3:] = False
    found = chosen(answered)
    assert found.readers == (0, 1, 3)
    assert found.cases.sum() == 40
    assert "left out: reader 2, without whom 40 instead of 3 cases are common" in found.notes


def test_a_reader_who_read_half_stays():
    answered = np.ones((1, 4, 40), dtype=bool)
    answered[0, 2, 20:] = False
    found = chosen(answered)
    assert (found.readers, int(found.cases.sum())) == ((0, 1, 2, 3), 20)


def test_a_reader_of_one_class_only_is_left_out():
    answered = np.ones((1, 3, 20), dtype=bool)
    is_positive = np.arange(20) < 10
    answered[0, 1, is_positive] = False
    for missing in Missing:
        found = chosen(answered, [is_positive, ~is_positive], missing)
        assert found.readers == (0, 2)
        assert found.cases.all()
        assert found.notes == ("left out for fewer than two cases of a class: reader 1",)


@pytest.mark.parametrize("design", ["readers", "arms", "split plot"])
def test_designs_without_common_cases_use_the_cases_that_each_reader_has(design):
    answered = np.zeros((2, 4, 40), dtype=bool)
    if design == "readers":
        for reader in range(4):
            answered[:, reader, 10 * reader : 10 * reader + 10] = True
    elif design == "arms":
        answered[0, :, :20] = answered[1, :, 20:] = True
    else:
        answered[:, :2, :20] = answered[:, 2:, 20:] = True
    found = chosen(answered)
    assert found.readers == (0, 1, 2, 3)
    assert found.cases.all()
    assert not found.is_common
    assert "only 0 cases were answered by all" in found.notes[0]


def test_scattered_gaps_of_a_large_panel_leave_nobody_out():
    answered = np.random.default_rng(1).random((1, 100, 300)) > 0.05
    found = chosen(answered)
    assert len(found.readers) == 100
    assert not found.is_common


# ------------------------------------------------------------------------------------------------------- pairs of arms
def incomplete_arms(kept):
    """A study of three arms in which only the pairs of reader and arm in ``kept`` exist."""
    study = two_class_study(n=80, arms=("A", "B", "C"))
    ratings = study.reader_ratings
    inside = [(reader, arm) in kept for reader, arm in zip(ratings["reader"], ratings["arm"], strict=True)]
    return StudyData(CLASSES, study.cases, predictions=study.predictions, reader_ratings=ratings[inside])


def test_pairs_of_arms_that_the_data_allow():
    kept = {(f"reader-{reader}", arm) for reader, arms in enumerate(("AB", "AB", "AC", "AC")) for arm in arms}
    study = incomplete_arms(kept)
    found = mrmc(study)
    for first, second, readers in (("A", "B", (0, 1)), ("A", "C", (2, 3))):
        row = found.loc[(first, second, "FRRC")]
        ratings = study.reader_ratings
        inside = ratings["reader"].isin([f"reader-{reader}" for reader in readers]) & ratings["arm"].isin(
            [first, second]
        )
        part = ratings[inside].merge(study.cases[["case", "truth"]], on="case")
        direct = compare_arms(
            ReaderStudy.from_long(
                reader=part["reader"].tolist(), case=part["case"].tolist(), arm=part["arm"].tolist(),
                truth=part["truth"].tolist(), rating=part["rating"].tolist(), classes=KEYS, arms=[first, second],
            )
        )  # fmt: skip
        assert row["p_value"] == pytest.approx(direct.scope("FRRC").contrasts[0].test.p_value, rel=1e-9)
        assert row["n_readers"] == 2
        assert "left out for no ratings in arm" in row["notes"]
    between = found.loc[("B", "C", "FRRC")]
    assert between["state"] == "estimated"
    assert "between different readers" in between["notes"]
    overall = found.loc[("all arms", "", "FRRC")]
    assert overall["state"] == "undefined"
    assert "see the pairs of arms" in overall["notes"]


def test_a_reader_without_one_arm_is_left_out_of_that_pair_only():
    kept = {(f"reader-{reader}", arm) for reader in range(4) for arm in "ABC"} - {("reader-3", "C")}
    found = mrmc(incomplete_arms(kept))
    assert found.loc[("A", "B", "FRRC")]["n_readers"] == 4
    assert found.loc[("A", "C", "FRRC")]["n_readers"] == 3
    assert found.loc[("all arms", "", "FRRC")]["n_readers"] == 3
    assert "reader-3" in found.loc[("A", "C", "FRRC")]["notes"]


# ------------------------------------------------------------------------------------------------------------ the means
def test_the_panel_mean_has_interval_and_degrees_of_freedom():
    study = two_class_study(arms=("aided", "unaided"))
    truth, dense, _, readers = arrays(study, ["aided", "unaided"])
    direct = compare_arms(
        ReaderStudy.from_dense(truth, ratings=dense, classes=KEYS, arms=["aided", "unaided"], readers=readers)
    )
    means = analyse(study).to_tables()["panel_means"].set_index(["arm", "scope"])
    for scope in ("RRRC", "FRRC", "RRFC"):
        of_scope = direct.scope(scope)
        for arm, mean, df in zip(direct.arms, of_scope.means, of_scope.mean_degrees_of_freedom, strict=True):
            row = means.loc[(arm, scope)]
            assert row["value"] == pytest.approx(mean.value, abs=1e-12)
            assert row["standard_error"] == pytest.approx(mean.standard_error, rel=1e-9)
            assert (row["lower"], row["upper"]) == pytest.approx((mean.lower, mean.upper), rel=1e-9)
            assert (np.isnan(row["df"]) and df is None) or row["df"] == pytest.approx(df)


def test_two_arms_have_t_and_f_with_their_degrees_of_freedom():
    study = two_class_study(arms=("aided", "unaided"))
    found = mrmc(study)
    random = found.loc[("aided", "unaided", "RRRC")]
    assert random["overall_statistic"] == pytest.approx(random["statistic"] ** 2, rel=1e-9)
    assert random["df1"] == 1
    assert random["df2"] > 1
    assert random["overall_method"].endswith(", F")
    fixed = found.loc[("aided", "unaided", "FRRC")]
    assert fixed["overall_statistic"] == pytest.approx(fixed["statistic"] ** 2, rel=1e-9)
    assert (fixed["df1"], fixed["overall_method"].endswith(", chi-squared")) == (1, True)
    assert np.isnan(fixed["df2"])


def test_chi_squared_of_three_arms_has_its_degrees_of_freedom_in_df1():
    found = mrmc(two_class_study(arms=("A", "B", "C")))
    overall = found.loc[("all arms", "", "FRRC")]
    assert overall["df1"] == 2
    assert np.isnan(overall["df2"])
    assert np.isnan(found.loc[("A", "B", "RRRC")]["overall_statistic"])


def test_the_averaged_curve_is_of_the_readers_and_cases_of_the_panel_mean():
    tables = analyse(two_class_study(is_lacking=three_read_only_the_hard_half)).to_tables()
    mean = tables["panel_means"].query("metric == 'auc' and scope == 'FRRC'").iloc[0]
    curve = tables["reader_average_roc"]
    assert set(curve["n"]) == {mean["n"]} == {100}
    assert curve["area"].iloc[0] == pytest.approx(mean["value"], abs=1e-12)
    assert "left out" in curve["notes"].iloc[0]


def test_without_common_cases_each_reader_meets_the_model_on_the_own_ones():
    """Two read the easy half and two the hard one: per curve the model's figure would be on other cases than theirs."""
    study = two_class_study(is_lacking=lambda arm, reader, hard, rng: hard if reader < 2 else ~hard)
    truth, dense, model, _ = arrays(study, ["unaided"])
    pairs = []
    for rating in dense[0]:
        own = ~np.isnan(rating)
        pairs.append(compare_aucs_paired(truth[own] == "malignant", model[own], rating[own]).difference.value)
    row = mrmc(study).loc[("net", "readers, unaided", "FRRC")]
    assert row["state"] == "estimated"
    assert row["value"] == pytest.approx(np.mean(pairs))
    assert row["first_value"] - row["second_value"] == pytest.approx(row["value"])
    assert "compared with the model on the cases that this reader answered" in row["notes"]
    per_curve = mrmc(study, missing="per-curve").loc[("net", "readers, unaided", "FRRC")]
    assert per_curve["value"] != pytest.approx(row["value"])
    assert f"difference {per_curve['value']:+.3f}" in row["notes"]


def test_arms_without_common_cases_are_told_once():
    study = two_class_study(
        arms=("aided", "unaided"), is_lacking=lambda arm, reader, hard, rng: np.arange(hard.size) // 2 % 4 != reader
    )
    row = mrmc(study).loc[("aided", "unaided", "FRRC")]
    assert row["state"] == "estimated"
    assert "only 0 cases were answered by all" in row["notes"]
    assert "instead" not in row["notes"], "both ways are one"


def test_per_curve_keeps_every_case_of_the_model():
    study = two_class_study(is_lacking=lambda arm, reader, hard, rng: ~hard)
    truth, _, model, _ = arrays(study, ["unaided"])
    rows = {way: mrmc(study, missing=way).loc[("net", "readers, unaided", "FRRC")] for way in ("common", "per-curve")}
    hard = np.arange(200) >= 100
    assert rows["common"]["first_value"] == pytest.approx(auc(truth[hard] == "malignant", model[hard]))
    assert rows["per-curve"]["first_value"] == pytest.approx(auc(truth == "malignant", model))
    assert (rows["common"]["n"], rows["per-curve"]["n"]) == (100, 200)
    assert "100 cases that not all of them answered are left out" in rows["common"]["notes"]
