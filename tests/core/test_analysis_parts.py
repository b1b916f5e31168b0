"""Calibration, decision curves, cut-offs, matched points, subgroups and reading times equal direct calls."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.analysis import StudyData, analyse
from core.errors import StatisticsInputError
from core.protocol import DiseaseClass
from core.statistics.auc_comparison import compare_aucs_paired
from core.statistics.contingency_tests import mcnemar_clustered
from core.statistics.decision_curve import decision_curve
from core.statistics.matched_point import compare_at_matched_point
from core.statistics.median import median_estimate
from core.statistics.mrmc import ReaderStudy, compare_arms, compare_model_with_readers
from core.statistics.probability_calibration import brier_score, expected_calibration_error, logistic_recalibration
from core.statistics.proportion_difference import difference_paired_clustered
from core.statistics.roc import operating_point_at
from core.study_analysis.arrays import band_of, cohort_arrays
from core.study_analysis.behaviour import confidence_results
from core.study_analysis.rating_cutoffs import cutoff_results
from tests.core.analysis_studies import KEYS, simulated_study


@pytest.fixture(scope="module")
def study():
    return simulated_study(readers=4, models=1, missing=0.03, has_about=True)


@pytest.fixture(scope="module")
def tables(study):
    return analyse(study).to_tables()


@pytest.fixture(scope="module")
def probabilities(study):
    """Truth and probability of "tumor" of the model, by case."""
    wide = study.predictions.merge(study.cases[["case", "truth"]], on="case")
    return (wide["truth"] == "tumor").to_numpy(), wide["p_tumor"].to_numpy()


def labels(study, reader):
    """Labels of a reader in the order of the cases, None where there is none."""
    rows = study.readings[(study.readings["reader"] == reader) & (study.readings["repeat"] == 1)]
    return study.cases["case"].map(rows.set_index("case")["label"]).to_numpy()


def row(table, **keys):
    """The one row of these keys."""
    chosen = table[np.logical_and.reduce([table[name] == value for name, value in keys.items()])]
    assert len(chosen) == 1, (keys, len(chosen))
    return chosen.iloc[0]


def same(found, estimate):
    for name in ("value", "standard_error", "lower", "upper"):
        wanted = getattr(estimate, name)
        assert (pd.isna(found[name]) and wanted is None) or found[name] == pytest.approx(wanted, rel=1e-12), name


def test_calibration_equals_direct_calls(tables, probabilities):
    truth, probability = probabilities
    of_class = tables["calibration"][tables["calibration"]["class"] == "tumor"]
    same(row(of_class, quantity="brier"), brier_score(truth, probability))
    assert row(of_class, quantity="brier")["value"] == pytest.approx(np.mean((truth - probability) ** 2))
    same(row(of_class, quantity="ece"), expected_calibration_error(truth, probability))
    logistic = logistic_recalibration(truth, probability)
    same(row(of_class, quantity="slope"), logistic.slope)
    same(row(of_class, quantity="in_the_large"), logistic.in_the_large)
    assert row(of_class, quantity="slope")["p_value"] == pytest.approx(logistic.test.p_value)
    assert set(tables["calibration"]["class"]) == {*KEYS, "all", "top_label"}


def test_reliability_bins_hold_every_case_once(tables, probabilities):
    truth, probability = probabilities
    bins = tables["reliability_bins"][tables["reliability_bins"]["class"] == "tumor"]
    assert bins["n"].sum() == truth.size
    assert (bins["value"] * bins["n"]).sum() == pytest.approx(truth.sum())
    assert (bins["mean_probability"] * bins["n"]).sum() == pytest.approx(probability.sum())
    assert (bins["mean_probability"].between(bins["bin_lower"], bins["bin_upper"])).all()


def test_decision_curve_equals_direct_calls(tables, probabilities):
    found = tables["decision_curves"][tables["decision_curves"]["class"] == "tumor"]
    for point in decision_curve(*probabilities):
        at = found[found["threshold"] == point.threshold]
        same(row(at, quantity="net_benefit"), point.model)
        same(row(at, quantity="net_benefit_of_all"), point.all_positive)
        same(row(at, quantity="gain"), point.gain)


def test_cutoffs_equal_direct_calls(study, tables, probabilities):
    truth, probability = probabilities
    of_model = tables["rating_cutoffs"].query("kind == 'model' and `class` == 'tumor'")
    assert sorted(set(of_model["cutoff"])) == pytest.approx([0.1 * step for step in range(1, 10)])
    metrics = operating_point_at(truth, probability, 0.3).metrics
    for quantity in ("sensitivity", "specificity", "ppv", "npv"):
        same(row(of_model, cutoff=0.3, quantity=quantity), getattr(metrics, quantity))
    given = labels(study, "reader-0")
    confidence = study.readings[(study.readings["reader"] == "reader-0")].set_index("case")["confidence"]
    confidence = study.cases["case"].map(confidence).to_numpy()
    read = pd.notna(given)
    rating = np.where(given == "tumor", confidence, -confidence)[read]
    is_tumor = (study.cases["truth"] == "tumor").to_numpy()[read]
    of_reader = tables["rating_cutoffs"].query("participant == 'reader-0' and `class` == 'tumor'")
    found = row(of_reader, cutoff=4.0, quantity="sensitivity")
    assert found["value"] == pytest.approx(np.mean(rating[is_tumor] >= 4.0))
    assert found["n"] == is_tumor.sum()


def test_given_cutoffs_stay_within_each_scale(study):
    found = analyse(study, cutoffs=[4, 0.25, 99]).to_tables()["rating_cutoffs"]
    assert set(found.loc[found["kind"] == "model", "cutoff"]) == {0.25}
    assert set(found.loc[found["kind"] == "reader", "cutoff"]) == {0.25, 4.0}
    with pytest.raises(StatisticsInputError, match="finite number"):
        analyse(study, cutoffs=[float("nan")])


def test_cutoffs_and_steps_of_a_scale_from_0_are_those_that_readers_stated(study):
    moved = replace(study, readings=study.readings.assign(confidence=study.readings["confidence"] + 1))
    told, plain = (cohort_arrays(data)[0] for data in (replace(moved, confidence_shift=1), moved))
    wanted = cutoff_results(plain, 0.95, (4.0,))
    found = [one for one in cutoff_results(told, 0.95, (0.0, 3.0)) if one.identity.kind == "reader"]
    assert {one.positive_from for one in found} == {"chosen, 3 or more", "chosen, 0 or more"}
    assert [one.estimate for one in found if one.cutoff == 3] == [one.estimate for one in wanted]
    steps = [one for one in cutoff_results(told, 0.95) if one.identity.kind == "reader"]
    stated = study.readings["confidence"]
    assert max(abs(one.cutoff) for one in steps) == stated.max()
    assert "not chosen, 1 or less" in {one.positive_from for one in steps}
    assert {one.lower for one in confidence_results(told, 0.95)} == set(stated.dropna())


def test_thresholds_of_curves_from_0_lie_half_way_between_what_readers_stated(study):
    from_0 = study.readings.assign(confidence=study.readings["confidence"] - 1)  # 0 is stated
    told = analyse(replace(study, confidence_shift=1)).to_tables()
    key = study.class_keys[0]
    reader = from_0[(from_0["reader"] == "reader-0") & from_0["confidence"].notna()]
    is_class = reader["case"].map(dict(zip(study.cases["case"], study.cases["truth"], strict=True))) == key
    stated = np.where(reader["label"] == key, reader["confidence"], -reader["confidence"])
    rows = told["roc_points"].query("participant == 'reader-0' and `class` == @key").dropna(subset=["threshold"])
    assert (rows["threshold"] == 0).sum() == 1, "between 0 of another class and 0 of this one"
    steps = np.unique(stated)
    assert sorted(set(rows["threshold"]) - {0}) == ((steps[1:] + steps[:-1]) / 2).tolist()
    for row in rows[rows["threshold"] != 0].itertuples():
        assert row.sensitivity == pytest.approx((stated > row.threshold)[is_class].mean())
        assert row.false_positive_rate == pytest.approx((stated > row.threshold)[~is_class].mean())
    points = told["operating_points"].query("participant == 'reader-0' and quantity == 'youden_sensitivity'")
    assert set(points["threshold"]) <= set(told["roc_points"].query("participant == 'reader-0'")["threshold"])
    of_model = [analyse(one).to_tables()["roc_points"].query("kind == 'model'")["threshold"].tolist()
                for one in (study, replace(study, confidence_shift=1))]  # fmt: skip
    assert str(of_model[0]) == str(of_model[1]), "a probability is told as it is"


def test_a_threshold_between_another_class_and_this_one_is_half_way_between_what_was_stated():
    readings = pd.DataFrame({"reader": "ann", "case": ["a", "b", "c", "d"], "arm": "unaided",
                             "label": ["no", "no", "yes", "yes"], "confidence": [31.0, 21.0, 1.0, 5.0]})  # fmt: skip
    cases = pd.DataFrame({"case": ["a", "b", "c", "d"], "patient": list("abcd"), "cohort": "internal",
                          "truth": ["no", "yes", "no", "yes"]})  # fmt: skip
    classes = [DiseaseClass("no", "No", "N"), DiseaseClass("yes", "Yes", "Y")]
    points = analyse(StudyData(classes, cases, readings, confidence_shift=1)).to_tables()["roc_points"]
    assert points.query("`class` == 'yes'")["threshold"].dropna().tolist() == [2.0, -10.0, -25.0]


def test_a_cutoff_fixed_before_the_study_has_a_row_for_who_never_reached_it(study):
    shy = study.readings.copy()
    shy.loc[shy["reader"] == "reader-0", "confidence"] = shy.loc[shy["reader"] == "reader-0", "confidence"].clip(
        upper=2
    )
    found = analyse(replace(study, readings=shy), cutoffs=[4]).to_tables()["rating_cutoffs"]
    rows = found.query("participant == 'reader-0' and quantity == 'sensitivity'")
    assert len(rows) > 0
    assert set(rows["value"]) == {0.0}


def test_matched_points_equal_direct_calls(study, tables, probabilities):
    truth, probability = probabilities
    order = study.predictions.merge(study.cases[["case"]], on="case")["case"].tolist()
    assert order == study.cases["case"].tolist()
    calls = []
    for reader in range(4):
        given = labels(study, f"reader-{reader}")
        calls.append(np.where(pd.isna(given), np.nan, given == "tumor").astype(float))
    found = tables["matched_points"][tables["matched_points"]["class"] == "tumor"]
    for match in ("specificity", "sensitivity"):
        direct = compare_at_matched_point(truth, probability, calls[1], match=match)
        one = row(found, second_participant="reader-1", match=match)
        same(one, direct.difference)
        assert (one["first_value"], one["matched_at"]) == (direct.model.value, direct.matched_at)
        panel = compare_at_matched_point(truth, probability, np.stack(calls), match=match)
        same(row(found, second_kind="panel", match=match), panel.difference)
        assert row(found, second_kind="panel", match=match)["n_readers"] == 4


@pytest.mark.parametrize(("variable", "column"), [("centre", "centre"), ("sex", "sex"), ("age", "age_years")])
def test_a_subgroup_is_the_analysis_of_its_cases(study, tables, variable, column):
    part = tables["subgroups"][tables["subgroups"]["variable"] == variable]
    levels = study.cases[column].tolist()
    if variable == "age":
        levels = [band_of(age, (0, 18, 40, 60, 80)) for age in levels]
    levels = np.array([level or "unknown" for level in levels], dtype=object)
    assert set(part["level"]) == set(levels)
    level = sorted(set(levels))[0]
    cases = study.cases[levels == level]
    alone = analyse(
        StudyData(
            study.classes, cases, study.readings[study.readings["case"].isin(cases["case"])],
            study.predictions[study.predictions["case"].isin(cases["case"])],
        )
    ).to_tables()  # fmt: skip
    for one in part[part["level"] == level].to_dict("records"):
        who = {"participant": one["participant"], "arm": one["arm"]}
        if one["quantity"] == "accuracy":
            wanted = row(alone["summary"], **who, quantity="accuracy")
        elif one["quantity"] == "auc":
            wanted = row(alone["auc"], **who, **{"class": one["class"]})
        else:
            wanted = row(alone["per_class"], **who, **{"class": one["class"]}, quantity=one["quantity"])
        for name in ("n", "value", "lower", "upper"):
            assert (pd.isna(one[name]) and pd.isna(wanted[name])) or one[name] == wanted[name], one


def test_subgroups_hold_every_answer_once(tables):
    whole = tables["summary"][tables["summary"]["quantity"] == "accuracy"].set_index(["participant", "arm"])["n"]
    accuracy = tables["subgroups"].query("quantity == 'accuracy' and kind != 'panel'")
    for (_, *who), n in accuracy.groupby(["variable", "participant", "arm"])["n"].sum().items():
        assert n == whole[tuple(who)]
    assert "scanner" not in set(tables["subgroups"]["variable"]), "one scanner makes no subgroups"


def test_experience_is_the_average_over_the_readers_of_a_band(study, tables):
    part = tables["subgroups"].query("variable == 'reader_years' and quantity == 'accuracy'")
    assert set(part["level"]) == {"0-4", "10+"}
    given = np.stack([labels(study, f"reader-{reader}") for reader in (0, 1)])
    common = pd.notna(given).all(axis=0)
    code = {key: index for index, key in enumerate(KEYS)}
    panel = ReaderStudy.from_dense(
        study.cases["truth"].to_numpy()[common],
        labels=np.array([[code[label] for label in one[common]] for one in given], dtype=float)[None],
        classes=KEYS,
    )
    wanted = compare_arms(panel, figure="accuracy").scope("FRRC").means[0]
    same(row(part, level="0-4"), wanted)
    assert row(part, level="0-4")["n_readers"] == 2


def test_a_band_of_one_reader_points_at_the_reader(study):
    years = {"reader-0": 1.0, "reader-1": 6.0, "reader-2": 11.0, "reader-3": 12.0}
    part = analyse(replace(study, reader_years=years)).to_tables()["subgroups"].query("variable == 'reader_years'")
    alone = row(part, level="0-4")
    assert alone["state"] == "undefined"
    assert "reader-0: see the rows of this reader" in alone["notes"]


def test_reading_times_are_medians_of_right_and_wrong_answers(study, tables):
    given = labels(study, "reader-2")
    seconds = study.cases["case"].map(study.readings.query("reader == 'reader-2'").set_index("case")["reading_seconds"])
    is_right = given == study.cases["truth"].to_numpy()
    read = pd.notna(given)
    for answer, chosen in (("all", read), ("right", read & is_right), ("wrong", read & ~is_right)):
        values = seconds.to_numpy()[chosen]
        found = row(tables["reading_times"], participant="reader-2", answer=answer)
        same(found, median_estimate(values))
        assert (found["value"], found["n"]) == (np.median(values), values.size)


def test_patients_with_several_cases_reach_calibration_and_cutoffs(study):
    cases = study.cases.assign(patient=[f"patient-{index // 3}" for index in range(len(study.cases))])
    clustered = analyse(replace(study, cases=cases)).to_tables()
    truth = (cases["truth"] == "tumor").to_numpy()
    probability = study.predictions.set_index("case").loc[cases["case"], "p_tumor"].to_numpy()
    found = clustered["calibration"].query("`class` == 'tumor' and quantity == 'brier'")
    same(found.iloc[0], brier_score(truth, probability, patients=cases["patient"].to_numpy()))
    cutoff = row(
        clustered["rating_cutoffs"].query("kind == 'model' and `class` == 'tumor'"), cutoff=0.5, quantity="specificity"
    )
    direct = operating_point_at(truth, probability, 0.5, patients=cases["patient"].to_numpy())
    same(cutoff, direct.metrics.specificity)


def test_patients_with_several_cases_reach_every_comparison(study):
    cases = study.cases.assign(patient=[f"patient-{index // 3}" for index in range(len(study.cases))])
    found = analyse(replace(study, cases=cases), margin=0.1).to_tables()
    truth, patients = cases["truth"].to_numpy(), cases["patient"].to_numpy()
    predictions = study.predictions.set_index("case").loc[cases["case"]]
    given = labels(study, "reader-1")
    confidence = cases["case"].map(study.readings.query("reader == 'reader-1'").set_index("case")["confidence"])
    read = pd.notna(given)
    reader = np.where(given == "tumor", confidence, -confidence).astype(float)[read]
    model = predictions["p_tumor"].to_numpy()[read]
    direct = compare_aucs_paired(truth[read] == "tumor", model, reader, patients=patients[read])
    delong = row(found["delong"], first_kind="model", second_participant="reader-1", **{"class": "tumor"})
    assert delong["p_value"] == pytest.approx(direct.p_value)
    assert delong["method"] == direct.method
    same(delong, direct.difference)
    answer = predictions[[f"p_{key}" for key in KEYS]].to_numpy().argmax(axis=1)
    right = np.array(KEYS)[answer][read] == truth[read], given[read] == truth[read]
    mcnemar = row(found["mcnemar"], first_kind="model", second_participant="reader-1")
    assert mcnemar["p_clustered"] == pytest.approx(mcnemar_clustered(*right, patients[read]).p_value)
    same(mcnemar, difference_paired_clustered(*right, patients[read]))
    panel = np.stack([labels(study, f"reader-{reader}") for reader in range(4)])
    common = pd.notna(panel).all(axis=0)
    code = {key: index for index, key in enumerate(KEYS)}
    readers = ReaderStudy.from_dense(
        truth[common], labels=np.array([[code[label] for label in one[common]] for one in panel], dtype=float)[None],
        classes=KEYS, patients=patients[common],
    )  # fmt: skip
    wanted = compare_model_with_readers(readers, model_labels=answer[common], figure="accuracy").scope("FRRC").test
    mrmc = row(found["mrmc"], metric="accuracy", scope="FRRC")
    assert mrmc["p_value"] == pytest.approx(wanted.p_value)
    assert "variances are those between the 40 patients" in mrmc["notes"]
    plain = row(analyse(study).to_tables()["mrmc"], metric="accuracy", scope="FRRC")
    assert mrmc["value"] == plain["value"]
    assert mrmc["standard_error"] != plain["standard_error"]


# ---------------------------------------------------------------------------------------------- the positive class
def two_classes():
    rng = np.random.default_rng(4)
    truth = np.array(["abnormal", "normal"])[np.arange(60) % 2]
    cases = [f"case-{index:02d}" for index in range(60)]
    rows = [
        {"reader": f"r{reader}", "case": case, "arm": "unaided", "confidence": float(rng.integers(1, 6)),
         "label": kind if rng.random() < 0.75 else ("normal" if kind == "abnormal" else "abnormal")}
        for reader in range(3)
        for case, kind in zip(cases, truth, strict=True)
    ]  # fmt: skip
    classes = [DiseaseClass("abnormal", "Abnormal", "A"), DiseaseClass("normal", "Normal", "N")]
    about = pd.DataFrame({"case": cases, "patient": cases, "cohort": "all", "truth": truth})
    return StudyData(classes, about, pd.DataFrame(rows))


def test_the_positive_class_can_be_chosen():
    study = two_classes()
    second, first = analyse(study).to_tables(), analyse(study, positive="abnormal").to_tables()
    assert set(second["mrmc"]["class"]) | set(second["panel_means"]["class"]) == {"normal", "all"}
    assert set(first["panel_means"]["class"]) == {"abnormal", "all"}
    means = first["panel_means"].set_index(["class", "metric", "scope"])["value"]
    mirrored = second["panel_means"].set_index(["class", "metric", "scope"])["value"]
    assert means["abnormal", "sensitivity", "FRRC"] == mirrored["normal", "specificity", "FRRC"]
    assert means["abnormal", "auc", "FRRC"] == pytest.approx(mirrored["normal", "auc", "FRRC"])
    assert analyse(study, positive="normal").to_dict() == analyse(study).to_dict()


def test_a_positive_class_that_cannot_be_is_refused(study):
    with pytest.raises(StatisticsInputError, match="use one of abnormal, normal"):
        analyse(two_classes(), positive="Abnormal")
    with pytest.raises(StatisticsInputError, match="of 4 classes each is held against the rest"):
        analyse(study, positive="tumor")
