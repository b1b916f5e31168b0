"""The analysis against direct calls and independent implementations, and what may never change its numbers."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from statsmodels.stats.inter_rater import cohens_kappa

from core.analysis import COLUMNS, StudyData, analyse
from core.errors import NotFoundError
from core.protocol import THYROID_CLASSES, DiseaseClass
from core.statistics.auc_comparison import compare_aucs_paired
from core.statistics.auc_interval import HARD_LABEL_NOTE, auc_estimate
from core.statistics.cohen_kappa import cohen_kappa, kappa_of_table
from core.statistics.contingency_tests import chi_squared, mcnemar
from core.statistics.mrmc import compare_arms_per_class, compare_model_per_class
from core.statistics.panel_agreement import panel_agreement
from core.statistics.proportion_difference import difference_paired, paired_counts
from core.statistics.proportions import proportion
from core.statistics.reader_study import ReaderStudy
from core.statistics.result import State
from core.study_analysis.accuracy_pairs import accuracy_tests
from tests.core.analysis_studies import KEYS, simulated_study


@pytest.fixture(scope="module")
def study():
    return simulated_study(arms=("aided", "unaided"), repeats=20)


@pytest.fixture(scope="module")
def analysis(study):
    return analyse(study)


@pytest.fixture(scope="module")
def tables(analysis):
    return analysis.to_tables()


def answers(study, reader, arm="unaided"):
    """Truth, label and confidence of a reader's first readings, in the order of the cases."""
    rows = study.readings[
        (study.readings["reader"] == reader) & (study.readings["arm"] == arm) & (study.readings["repeat"] == 1)
    ]
    joined = study.cases.merge(rows, on="case")
    return joined["truth"].to_numpy(), joined["label"].to_numpy(), joined["confidence"].to_numpy()


# ----------------------------------------------------------------------------------------------- agreement with others
def test_proportions_agree_with_sklearn(study, analysis):
    truth, label, _ = answers(study, "reader-1")
    one = analysis.cohort("internal").participant("reader-1", "unaided")
    assert np.array_equal(one.confusion, sk.confusion_matrix(truth, label, labels=KEYS))
    assert one.quantities["accuracy"].value == pytest.approx(sk.accuracy_score(truth, label))
    assert one.quantities["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(truth, label))
    assert one.quantities["kappa"].value == pytest.approx(sk.cohen_kappa_score(truth, label))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, label, labels=KEYS)
    for index, performance in enumerate(one.classes):
        assert performance.quantities["ppv"].value == pytest.approx(precision[index])
        assert performance.quantities["sensitivity"].value == pytest.approx(recall[index])
        assert performance.quantities["f1"].value == pytest.approx(f1[index])
    for average in ("macro", "weighted"):
        wanted = sk.precision_recall_fscore_support(truth, label, labels=KEYS, average=average)
        found = [one.quantities[f"{average}_{name}"].value for name in ("ppv", "sensitivity", "f1")]
        assert found == pytest.approx(wanted[:3])


def test_reader_rating_is_confidence_with_the_sign_of_the_choice(study, analysis):
    truth, label, confidence = answers(study, "reader-0")
    one = analysis.cohort("internal").participant("reader-0", "unaided")
    for key in KEYS:
        rating = np.where(label == key, confidence, -confidence)
        performance = one.of_class(key)
        assert not performance.is_hard_label
        assert performance.auc.value == pytest.approx(sk.roc_auc_score(truth == key, rating))
        assert performance.auc == auc_estimate(truth == key, rating)
        rate, sensitivity, _ = sk.roc_curve(truth == key, rating, drop_intermediate=False)
        assert performance.roc.false_positive_rate == pytest.approx(rate)
        assert performance.roc.sensitivity == pytest.approx(sensitivity)


def test_model_averages_agree_with_sklearn(study, analysis):
    one = analysis.cohort("internal").participant("model-1")
    probability = study.predictions[study.predictions["model"] == "model-1"].set_index("case").loc[study.cases["case"]]
    matrix = probability[[f"p_{key}" for key in KEYS]].to_numpy()
    truth = np.array([KEYS.index(key) for key in study.cases["truth"]])
    for name, options in {
        "macro": {"multi_class": "ovr", "average": "macro"},
        "weighted": {"multi_class": "ovr", "average": "weighted"},
        "hand_till": {"multi_class": "ovo", "average": "macro"},
        "micro": {"multi_class": "ovr", "average": "micro"},
    }.items():
        assert one.auc_averages[name].value == pytest.approx(sk.roc_auc_score(truth, matrix, **options)), name


def test_intervals_are_those_of_the_statistics(study, analysis):
    truth, label, _ = answers(study, "reader-2", "aided")
    one = analysis.cohort("internal").participant("reader-2", "aided")
    assert one.quantities["accuracy"] == proportion(int((truth == label).sum()), truth.size)
    assert one.quantities["kappa"].lower == pytest.approx(cohen_kappa(truth, label, KEYS).lower)


def test_pairs_are_those_of_direct_calls(study, analysis):
    pair = next(
        pair
        for pair in analysis.cohort("internal").comparisons
        if pair.first.key == "reader-0" and pair.second.key == "reader-2" and pair.first.arm == "unaided"
    )
    truth, first, confidence_1 = answers(study, "reader-0")
    _, second, confidence_2 = answers(study, "reader-2")
    counts = paired_counts(first == truth, second == truth)
    assert pair.difference == difference_paired(counts)
    assert pair.tests["mcnemar_exact"].p_value == pytest.approx(mcnemar(counts).p_value, rel=1e-12)
    assert pair.tests["mcnemar_mid_p"].p_value == pytest.approx(mcnemar(counts, method="mid-p").p_value, rel=1e-12)
    for area in pair.auc:
        one = np.where(first == area.class_key, confidence_1, -confidence_1)
        two = np.where(second == area.class_key, confidence_2, -confidence_2)
        wanted = compare_aucs_paired(truth == area.class_key, one, two)
        assert area.test.p_value == pytest.approx(wanted.p_value, rel=1e-10)
        assert area.test.difference.lower == pytest.approx(wanted.difference.lower, rel=1e-10)


def test_agreement_is_that_of_direct_calls(study, analysis):
    labels = np.stack([answers(study, f"reader-{index}")[1] for index in range(3)], axis=1)
    panel = panel_agreement(labels, KEYS)
    found = {
        one.statistic: one.estimate
        for one in analysis.cohort("internal").agreement
        if one.arm == "unaided" and one.scope == "between"
    }
    assert found["fleiss_kappa"] == panel.fleiss.estimate
    assert found["krippendorff_alpha"] == panel.krippendorff.estimate
    assert found["gwet_ac1"] == panel.gwet.estimate
    assert found["percent_agreement"] == panel.percent.estimate
    pairs = [
        one.estimate.value
        for one in analysis.cohort("internal").agreement
        if one.arm == "unaided" and one.scope == "pair"
    ]
    assert pairs == pytest.approx([pair.kappa.value for pair in panel.pairs])


def test_repeats_measure_a_reader_with_themselves(study, analysis, tables):
    rows = study.readings[(study.readings["reader"] == "reader-1") & (study.readings["arm"] == "unaided")]
    wide = rows.pivot(index="case", columns="repeat", values="label").dropna()
    within = [one for one in analysis.cohort("internal").repeats if one.first == "reader-1" and one.arm == "unaided"]
    values = {one.statistic: one.estimate for one in within}
    assert values["percent_agreement"].value == pytest.approx((wide[1] == wide[2]).mean())
    assert values["cohen_kappa"].value == pytest.approx(sk.cohen_kappa_score(wide[1], wide[2]))
    assert values["cohen_kappa"].n == 20
    assert set(tables["missing"].loc[tables["missing"]["kind"] == "reader", "n_repeats"]) == {20}


def reader_study(study, arms):
    """The panel as core.statistics takes it."""
    first = study.readings[(study.readings["repeat"] == 1) & study.readings["arm"].isin(arms)]
    rows = first.merge(study.cases[["case", "truth"]], on="case").sort_values(["case", "reader", "arm"])
    sign = [[1.0 if label == key else -1.0 for key in KEYS] for label in rows["label"]]
    return ReaderStudy.from_long(
        reader=rows["reader"].to_numpy(),
        case=rows["case"].to_numpy(),
        truth=rows["truth"].to_numpy(),
        arm=rows["arm"].to_numpy(),
        rating=np.asarray(sign) * rows["confidence"].to_numpy()[:, None],
        classes=KEYS,
        readers=sorted(set(rows["reader"])),
        arms=sorted(set(rows["arm"])),
    )


def test_arms_are_compared_as_by_a_direct_call(study, tables):
    wanted = compare_arms_per_class(reader_study(study, ["aided", "unaided"]))
    found = tables["mrmc"].query("analysis == 'arms' and metric == 'auc'")
    assert len(found) == 5 * 3
    for item in wanted:
        for scope in ("RRRC", "FRRC", "RRFC"):
            test = item.result.scope(scope).contrasts[0].test
            row = found[(found["class"] == (item.class_key or "macro")) & (found["scope"] == scope)].iloc[0]
            assert row["p_value"] == pytest.approx(test.p_value, rel=1e-9)
            assert row["value"] == pytest.approx(test.difference.value, rel=1e-9)
            if item.class_key:
                assert row["p_holm"] == pytest.approx(item.p_holm[scope], rel=1e-9)


def test_model_meets_the_panel_as_by_a_direct_call(study, tables):
    probability = study.predictions[study.predictions["model"] == "model-0"].set_index("case")
    matrix = probability.loc[study.cases["case"], [f"p_{key}" for key in KEYS]].to_numpy().T
    wanted = compare_model_per_class(reader_study(study, ["unaided"]), model_ratings=matrix)
    found = tables["mrmc"].query("analysis == 'model_vs_panel' and metric == 'auc' and arm == 'unaided'")
    found = found[found["first"] == "model-0"]
    for item in wanted:
        for scope in ("RRRC", "FRRC", "RRFC"):
            row = found[(found["class"] == (item.class_key or "macro")) & (found["scope"] == scope)].iloc[0]
            test = item.result.scope(scope).test
            assert row["p_value"] == pytest.approx(test.p_value, rel=1e-9)
            assert row["lower"] == pytest.approx(test.difference.lower, rel=1e-9)
    assert "cannot represent readers in general" in found.iloc[0]["notes"]


@given(st.lists(st.integers(0, 30), min_size=16, max_size=16))
@settings(max_examples=60, deadline=None)
def test_kappa_from_a_table_is_statsmodels(cells):
    table = np.array(cells).reshape(4, 4)
    found = kappa_of_table(table)
    assert found.n == table.sum()
    if found.state is State.ESTIMATED:
        with np.errstate(all="ignore"):
            peer = cohens_kappa(table)
        assert found.value == pytest.approx(peer.kappa, abs=1e-12)
        assert found.standard_error == pytest.approx(np.sqrt(peer.var_kappa), rel=1e-6)


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_accuracy_tests_are_mcnemar_and_chi_squared(rows):
    tables = [np.array(row).reshape(2, 2) for row in rows]
    for row, (difference, tests) in zip(rows, accuracy_tests(tables, 0.95), strict=True):
        both, first, second, _ = row
        n = sum(row)
        counts = paired_counts(
            np.repeat([True, True, False, False], row), np.repeat([True, False, True, False], row)
        ) if n else None  # fmt: skip
        if counts is None:
            assert difference.state is State.UNDEFINED
            assert all(test.state is State.UNDEFINED for test in tests.values())
            continue
        assert difference == difference_paired(counts)
        assert tests["mcnemar_exact"].p_value == pytest.approx(mcnemar(counts).p_value, rel=1e-9)
        assert tests["mcnemar_mid_p"].p_value == pytest.approx(mcnemar(counts, method="mid-p").p_value, rel=1e-9)
        for key, is_corrected in (("chi_squared", False), ("chi_squared_yates", True)):
            wanted = chi_squared(both + first, n, both + second, n, is_corrected=is_corrected)
            assert tests[key].state is wanted.state
            if wanted.p_value is not None:
                assert tests[key].p_value == pytest.approx(wanted.p_value, rel=1e-9)


# ---------------------------------------------------------------------------------------- never any effect
def assert_equal_tables(one, two):
    """Whether all tables of two analyses are the same."""
    others = two.to_tables()
    for name, table in one.to_tables().items():
        other = others[name]
        keys = [
            column for column in table.columns if table[column].dtype == object or str(table[column].dtype) == "str"
        ]
        left = table.sort_values(keys, kind="stable").reset_index(drop=True)
        right = other.sort_values(keys, kind="stable").reset_index(drop=True)
        pd.testing.assert_frame_equal(left, right, rtol=1e-9, obj=name)


def test_order_of_rows_never_matters(study, tables):
    shuffled = StudyData(
        study.classes,
        study.cases.sample(frac=1, random_state=3),
        study.readings.sample(frac=1, random_state=4),
        study.predictions.sample(frac=1, random_state=5),
    )
    for name, table in analyse(shuffled).to_tables().items():
        pd.testing.assert_frame_equal(table, tables[name], obj=name)  # not a digit differs


def test_order_of_classes_never_matters(study, analysis):
    turned = replace(study, classes=tuple(reversed(study.classes)))
    assert_equal_tables(analysis, analyse(turned))


def test_names_of_classes_never_matter(study, tables):
    other = {key: f"class-{index}" for index, key in enumerate(KEYS)}
    renamed = StudyData(
        [DiseaseClass(other[disease.key], disease.label, disease.short_label) for disease in study.classes],
        study.cases.assign(truth=study.cases["truth"].map(other)),
        study.readings.assign(label=study.readings["label"].map(other)),
        study.predictions.rename(columns={f"p_{key}": f"p_{name}" for key, name in other.items()}),
    )
    for name, table in analyse(renamed).to_tables().items():
        numbers = table.select_dtypes("number")
        pd.testing.assert_frame_equal(numbers, tables[name].select_dtypes("number"), obj=name)


def test_names_of_readers_change_their_order_only(study, analysis):
    other = {"reader-0": "z", "reader-1": "y", "reader-2": "x"}
    renamed = replace(study, readings=study.readings.assign(reader=study.readings["reader"].map(other)))
    found = analyse(renamed).cohort("internal")
    for old, new in other.items():
        one, two = analysis.cohort("internal").participant(old, "aided"), found.participant(new, "aided")
        assert one.quantities == two.quantities
        assert [c.auc for c in one.classes] == [c.auc for c in two.classes]
    assert [m.test.p_value for m in found.mrmc] == pytest.approx(
        [m.test.p_value for m in analysis.cohort("internal").mrmc], rel=1e-9
    )


def test_confidence_on_another_scale_changes_no_area(study, analysis):
    squared = replace(study, readings=study.readings.assign(confidence=study.readings["confidence"] ** 2 + 7))
    one = analyse(squared).to_tables()["auc"].query("`class` not in ['micro']")
    two = analysis.to_tables()["auc"].query("`class` not in ['micro']")
    pd.testing.assert_series_equal(one["value"], two["value"])


# ---------------------------------------------------------------------------------------- what is missing
def test_missing_unreadable_and_excluded_are_counted_and_left_out():
    study = simulated_study(n_cases=60, readers=2, models=1)
    cases = study.cases.drop(columns="is_excluded").assign(exclusion_reason=None)
    cases.loc[cases["case"] == "case-0010", "exclusion_reason"] = "motion"
    readings = study.readings.assign(is_unreadable=False)
    readings = readings[~((readings["reader"] == "reader-0") & readings["case"].isin(["case-0020", "case-0021"]))]
    mark = (readings["reader"] == "reader-0") & (readings["case"] == "case-0030")
    readings.loc[mark, "is_unreadable"] = True
    cohort = analyse(StudyData(study.classes, cases, readings, study.predictions)).cohort("internal")
    one = cohort.participant("reader-0", "unaided")
    assert (one.n_expected, one.n_cases, one.n_missing, one.n_unreadable) == (59, 56, 2, 1)
    assert cohort.participant("reader-1", "unaided").n_cases == 59
    assert cohort.n_cases == 59
    assert sum(cohort.excluded_counts.values()) == 1
    pair = next(pair for pair in cohort.comparisons if pair.first.kind == "reader")
    assert pair.n_common == 56
    assert "3 cases that only one of the two answered are left out" in pair.notes
    assert one.quantities["accuracy"].n == 56


def test_assignments_say_what_was_expected():
    study = simulated_study(n_cases=40, readers=1, models=0)
    asked = pd.DataFrame({"reader": "reader-0", "case": study.cases["case"][:25], "arm": "unaided"})
    read = study.readings[study.readings["case"].isin(asked["case"][:20])]
    one = (
        analyse(replace(study, readings=read, assignments=asked)).cohort("internal").participant("reader-0", "unaided")
    )
    assert (one.n_expected, one.n_cases, one.n_missing) == (25, 20, 5)


def test_reader_who_was_asked_and_never_answered_is_counted():
    study = simulated_study(n_cases=40, readers=2, models=1)
    asked = study.readings[["reader", "case", "arm"]]
    one_reads = replace(study, readings=study.readings[study.readings["reader"] == "reader-0"], assignments=asked)
    analysis = analyse(one_reads)
    silent = analysis.cohort("internal").participant("reader-1", "unaided")
    assert (silent.n_expected, silent.n_cases, silent.n_missing) == (40, 0, 40)
    assert [pair.second.key for pair in analysis.cohort("internal").comparisons] == ["reader-0"]
    assert set(analysis.to_tables()["missing"]["participant"]) == {"reader-0", "reader-1", "model-0"}
    json.dumps(analysis.to_dict(), allow_nan=False)


def test_empty_tables_with_every_column_are_a_study_without_answers():
    study = simulated_study(n_cases=20, readers=1, models=1)
    columns = ["reader", "case", "arm", "repeat", "label", "confidence", "is_unreadable"]
    empty = StudyData(
        study.classes,
        study.cases.drop(columns="is_excluded").assign(exclusion_reason=None),
        pd.DataFrame([], columns=columns),
        pd.DataFrame([], columns=["model", "case", *(f"p_{key}" for key in KEYS)]),
        assignments=pd.DataFrame([], columns=["reader", "case", "arm"]),
    )
    assert analyse(empty).cohorts == ()


@pytest.mark.parametrize("confidence", [None, 3.0])
def test_absent_or_constant_confidence_leaves_an_operating_point(confidence):
    study = simulated_study(n_cases=80, readers=2, models=1)
    flat = analyse(replace(study, readings=study.readings.assign(confidence=confidence)))
    one = flat.cohort("internal").participant("reader-0", "unaided")
    assert not one.has_ratings
    for performance in one.classes:
        assert performance.is_hard_label
        assert performance.roc.sensitivity.shape == (1,)
        assert performance.roc.sensitivity[0] == performance.quantities["sensitivity"].value
        assert performance.roc.false_positive_rate[0] == pytest.approx(1 - performance.quantities["specificity"].value)
        assert performance.auc.value == pytest.approx(performance.quantities["balanced_accuracy"].value)
        assert HARD_LABEL_NOTE in performance.auc.notes
    mixed = [pair for pair in flat.cohort("internal").comparisons if pair.first.kind == "model"]
    assert all(area.is_mixed and "compare sensitivity and specificity" in area.test.notes[0] for area in mixed[0].auc)
    table = flat.to_tables()["delong"]
    assert table.loc[table["first_kind"] == "model", "notes"].str.contains("operating point").all()


def test_a_missing_confidence_is_one_missing_rating():
    """Curve and MRMC are those without that rating; accuracy is that of all answers."""
    study = simulated_study(n_cases=60, readers=3, models=0, arms=("aided", "unaided"))
    some = study.readings.copy()
    gone = some.index[(some["reader"] == "reader-0") & (some["arm"] == "unaided")][[3, 8]]
    some.loc[gone, "confidence"] = None
    found = analyse(replace(study, readings=some)).cohort("internal")
    one = found.participant("reader-0", "unaided")
    without = analyse(replace(study, readings=some.drop(gone))).cohort("internal").participant("reader-0", "unaided")
    whole = analyse(study).cohort("internal").participant("reader-0", "unaided")
    assert one.quantities["accuracy"] == whole.quantities["accuracy"]
    assert [each.auc for each in one.classes] == [each.auc for each in without.classes]
    assert one.has_ratings
    assert any("confidence is missing in 2 of 60 readings" in note for note in one.notes)
    assert {row.n_readers for row in found.mrmc if row.metric == "auc"} == {3}


def test_missing_readings_leave_pairs_their_common_cases():
    study = simulated_study(n_cases=150, readers=3, models=1, missing=0.2, seed=5)
    pair = next(
        pair for pair in analyse(study).cohort("internal").comparisons if pair.second.key == "reader-1"
        and pair.first.key == "reader-0"
    )  # fmt: skip
    rows = study.readings.merge(study.cases[["case", "truth"]], on="case")
    both = rows[rows["reader"] == "reader-0"].merge(rows[rows["reader"] == "reader-1"], on="case")
    assert pair.n_common == len(both) < 150
    rating = [np.where(both[f"label_{side}"] == "sat", 1, -1) * both[f"confidence_{side}"] for side in "xy"]
    wanted = compare_aucs_paired(both["truth_x"] == "sat", *rating)
    found = next(area for area in pair.auc if area.class_key == "sat")
    assert found.test.p_value == pytest.approx(wanted.p_value, rel=1e-9)
    assert found.first_auc == pytest.approx(sk.roc_auc_score(both["truth_x"] == "sat", rating[0]))


def test_several_cases_of_a_patient_widen_the_interval():
    study = simulated_study(n_cases=120, readers=1, models=1)
    doubled = pd.concat([study.cases, study.cases.assign(case=study.cases["case"] + "b")])
    readings = pd.concat([study.readings, study.readings.assign(case=study.readings["case"] + "b")])
    predictions = pd.concat([study.predictions, study.predictions.assign(case=study.predictions["case"] + "b")])
    one = analyse(study).cohort("internal").participant("reader-0", "unaided").quantities["accuracy"]
    cohort = analyse(StudyData(study.classes, doubled, readings, predictions)).cohort("internal")
    two = cohort.participant("reader-0", "unaided").quantities["accuracy"]
    assert two.method == "Wilson, patients as clusters"
    assert two.value == pytest.approx(one.value)
    assert two.lower == pytest.approx(one.lower, abs=1e-3)  # the second copy of each case adds nothing
    assert cohort.participant("model-0").classes[0].auc.method.startswith("Obuchowski")
    assert any("120 patients" in note for note in cohort.notes)


def test_absent_class_and_perfect_model_are_named_states():
    cases = pd.DataFrame(
        {"case": list("abcdef"), "patient": list("abcdef"), "cohort": "small", "truth": ["graves"] * 3 + ["sat"] * 3}
    )
    predictions = pd.DataFrame(
        {"model": "m", "case": list("abcdef"), "p_graves": [0.9] * 3 + [0.1] * 3, "p_normal": 0.0,
         "p_sat": [0.1] * 3 + [0.9] * 3, "p_tumor": 0.0}
    )  # fmt: skip
    analysis = analyse(StudyData(THYROID_CLASSES, cases, predictions=predictions))
    one = analysis.cohort("small").participant("m")
    assert one.of_class("graves").auc.value == 1.0
    assert one.of_class("graves").auc.state is State.DEGENERATE
    assert one.of_class("graves").auc.lower > 0.3
    assert one.of_class("normal").auc.state is State.UNDEFINED
    assert one.of_class("normal").quantities["sensitivity"].value is None
    assert one.auc_averages["macro"].value is None
    assert "no case of class Normal" in analysis.cohort("small").notes
    text = json.dumps(analysis.to_dict(), allow_nan=False)
    assert '"value": null' in text


def test_one_reader_and_no_model_give_no_pairs_and_no_panel():
    cohort = analyse(simulated_study(n_cases=30, readers=1, models=0)).cohort("internal")
    assert cohort.comparisons == ()
    assert cohort.mrmc == ()
    assert cohort.agreement == ()


def test_no_answer_at_all_is_said():
    study = simulated_study(n_cases=20, readers=0, models=0)
    analysis = analyse(study)
    assert analysis.cohorts == ()
    assert analysis.notes == ("nobody has answered a case yet",)
    given = {name for name, table in analysis.to_tables().items() if len(table)}
    assert given == {"flow", "baseline"}, "only who was there to be read"


def test_reader_who_called_everything_unreadable_has_undefined_numbers():
    study = simulated_study(n_cases=30, readers=1, models=0)
    blind = study.readings.assign(is_unreadable=True, label=None)
    one = analyse(replace(study, readings=blind)).cohort("internal").participant("reader-0", "unaided")
    assert (one.n_cases, one.n_unreadable, one.n_missing) == (0, 30, 0)
    assert not one.quantities


def test_simulated_readers_are_named_so(study):
    analysis = analyse(replace(study, simulated=frozenset({"reader-1"}), reader_names={"reader-1": "Junior"}))
    assert analysis.cohort("internal").participant("reader-1", "aided").name == "Junior (simulated)"
    assert any("Junior (simulated)" in note for note in analysis.notes)


def test_cohorts_are_analysed_on_their_own():
    study = simulated_study(n_cases=160, cohorts=2)
    analysis = analyse(study)
    assert [cohort.cohort for cohort in analysis.cohorts] == ["internal", "external"]
    chosen = analyse(study, cohorts=["internal"])
    assert [cohort.cohort for cohort in chosen.cohorts] == ["internal"]
    one, two = (found.cohort("internal").participant("model-0").quantities for found in (analysis, chosen))
    assert one == two
    with pytest.raises(NotFoundError, match="external"):
        chosen.cohort("external")


# ---------------------------------------------------------------------------------------- the tables
def test_tables_have_the_documented_columns(tables):
    assert tables.keys() == COLUMNS.keys()
    for name, table in tables.items():
        assert tuple(table.columns) == COLUMNS[name]
        # nobody set a margin or marked a lesion, and nothing is known of the cases, of times and of the order
        unknown = ("margins", "subgroups", "reading_times", "reading_order", "groups_by_class", "shared_patients",
                   "localisation", "lroc_points")  # fmt: skip
        assert len(table) or name in unknown, name


def test_the_statistics_page_names_every_table_and_column():
    page = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
    shared = {f"{side}_{name}" for side in ("first", "second") for name in ("arm", "kind", "participant", "name")}
    for table, columns in COLUMNS.items():
        assert f"| `{table}` |" in page
        for column in columns:
            assert column in shared or f"`{column}`" in page, (table, column)


def test_every_table_row_is_once(tables):
    keys = {
        "summary": ["cohort", "arm", "participant", "quantity"],
        "per_class": ["cohort", "arm", "participant", "class", "quantity"],
        "auc": ["cohort", "arm", "participant", "class"],
        "confusion": ["cohort", "arm", "participant", "truth", "answer"],
        "mcnemar": ["cohort", "first_participant", "first_arm", "second_participant", "second_arm"],
        "delong": ["cohort", "first_participant", "first_arm", "second_participant", "second_arm", "class"],
        "agreement": ["cohort", "arm", "scope", "first", "second", "statistic"],
        "mrmc": ["cohort", "analysis", "class", "metric", "scope", "arm", "first", "second"],
        "panel_means": ["cohort", "class", "metric", "scope", "arm"],
        "calibration": ["cohort", "participant", "class", "quantity"],
        "reliability_bins": ["cohort", "participant", "class", "bin"],
        "decision_curves": ["cohort", "participant", "class", "threshold", "quantity"],
        "rating_cutoffs": ["cohort", "arm", "participant", "class", "cutoff", "quantity"],
        "matched_points": ["cohort", "first_participant", "second_participant", "second_arm", "class", "match"],
    }
    for name, columns in keys.items():
        assert not tables[name].duplicated(columns).any(), name


def test_values_lie_in_their_intervals(tables):
    for name in ("summary", "per_class", "auc", "mcnemar", "delong", "mrmc"):
        table = tables[name].dropna(subset=["value", "lower", "upper"])
        assert (table["lower"] <= table["value"]).all(), name
        assert (table["value"] <= table["upper"]).all(), name


def test_adjusted_p_values_are_never_smaller(tables):
    for name, column in (("mcnemar", "p_exact"), ("delong", "p_value"), ("mrmc", "p_value")):
        table = tables[name].dropna(subset=[column, "p_holm"])
        assert (table["p_holm"] >= table[column] - 1e-15).all(), name


def test_json_holds_every_digit(analysis, tables):
    found = json.loads(json.dumps(analysis.to_dict(), allow_nan=False))
    assert found["format"] == "reading-room-analysis"
    assert found["tables"].keys() == tables.keys()
    rows = found["tables"]["auc"]
    assert [row["value"] for row in rows] == tables["auc"]["value"].tolist()
    assert all(isinstance(row["n"], int) for row in rows)


def test_another_confidence_level_reaches_every_interval(study, tables):
    narrow = analyse(study, confidence_level=0.8)
    narrow = narrow.to_tables()
    for name in ("summary", "per_class", "auc", "mcnemar", "delong", "agreement", "mrmc"):
        assert set(narrow[name]["confidence_level"]) == {0.8}, name
    both = narrow["auc"].merge(tables["auc"], on=["arm", "participant", "class"]).dropna(subset=["lower_x"])
    assert (both["lower_x"] > both["lower_y"]).all()


def test_threshold_of_the_corner_has_no_number(tables):
    points = tables["roc_points"]
    corner = points[(points["point"] == 0) & ~points["is_hard_label"].astype(bool)]
    assert corner["threshold"].isna().all()
    assert math.isclose(corner["sensitivity"].max(), 0.0)
