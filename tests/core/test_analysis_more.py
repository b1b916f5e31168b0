"""The tables beside the main ones, each number against a direct call of core.statistics."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.analysis import analyse
from core.errors import StatisticsInputError
from core.statistics.contingency_tests import bowker, cochran_q, square_table, stuart_maxwell
from core.statistics.dbm import dorfman_berbaum_metz
from core.statistics.delong import auc
from core.statistics.multiplicity import holm
from core.statistics.non_inferiority import assess_margin_paired
from core.statistics.predictive_comparison import compare_predictive_values
from core.statistics.proportion_difference import paired_counts
from core.statistics.reader_averaged_roc import reader_averaged_roc
from core.statistics.reader_study import ReaderStudy
from core.statistics.result import State
from core.statistics.roc import partial_auc, sensitivity_at_specificity, specificity_at_sensitivity, youden_point
from core.statistics.standalone import compare_model_with_readers
from core.study_analysis.arrays import cohort_arrays
from tests.core.analysis_studies import KEYS, simulated_study

MARGIN = 0.05


@pytest.fixture(scope="module")
def study():
    found = simulated_study(n_cases=140, arms=("aided", "unaided"), missing=0.05, seed=3)
    return replace(found, reader_names={"reader-1": "Junior"}, model_names={"model-0": "Net"})


@pytest.fixture(scope="module")
def analysis(study):
    return analyse(study, margin=MARGIN)


@pytest.fixture(scope="module")
def cohort(analysis):
    return analysis.cohort("internal")


@pytest.fixture(scope="module")
def tables(analysis):
    return analysis.to_tables()


@pytest.fixture(scope="module")
def arrays(study):
    return cohort_arrays(study)[0]


@pytest.fixture(scope="module")
def participant(arrays):
    found = {(one.key, one.arm): one for one in arrays.participants}
    return lambda identity: found[identity.key, identity.arm]


# ------------------------------------------------------------------------------------------ cases and names
def test_patients_are_counted_per_class(study):
    shared = study.cases.assign(patient=[f"p{at // 3}" for at in range(len(study.cases))])
    table = analyse(replace(study, cases=shared)).to_tables()["cases"].set_index("class")["n_patients"]
    wanted = shared.groupby("truth")["patient"].nunique()
    assert table.to_dict() == {key: wanted[key] for key in KEYS}
    assert table.sum() > shared["patient"].nunique()  # a patient with two classes counts in both


def test_multireader_rows_have_names(tables):
    table = tables["mrmc"]
    panel = table[table["analysis"] == "model_vs_panel"]
    assert set(zip(panel["first"], panel["first_name"], strict=True)) == {("model-0", "Net"), ("model-1", "model-1")}
    assert set(panel["second_name"]) == {"readers, aided", "readers, unaided"}
    arms = table[table["analysis"] == "arms"]
    assert set(arms["first_name"]) | set(arms["second_name"]) == {"aided", "unaided"}


# ------------------------------------------------------------------------------------------- marginal tests
def test_cochran_q_is_over_the_readers_of_an_arm_and_the_models(cohort, arrays):
    overall = [one for one in cohort.marginal_tests if one.first is None]
    assert [one.arm for one in overall] == ["aided", "unaided"]
    for one in overall:
        chosen = [who for who in arrays.participants if who.arm in (one.arm, "")]
        right = np.array([np.where(who.labels >= 0, who.labels == arrays.truth, np.nan) for who in chosen]).T
        wanted = cochran_q(right)
        assert (one.test.statistic, one.test.p_value, one.test.degrees_of_freedom) == (
            wanted.statistic,
            wanted.p_value,
            wanted.degrees_of_freedom,
        )
        assert one.n_participants == len(chosen) == 5
        assert one.n == int((~np.isnan(right)).all(axis=1).sum()) < 140
        assert any("missing answer" in note for note in one.test.notes)


@pytest.mark.parametrize(("name", "direct"), [("Stuart-Maxwell", stuart_maxwell), ("Bowker", bowker)])
def test_tests_of_named_classes_equal_direct_calls(cohort, participant, name, direct):
    found = [one for one in cohort.marginal_tests if one.test.method == name]
    assert len(found) == len(cohort.comparisons)
    for one in found:
        first, second = (
            np.array([*KEYS, None], dtype=object)[participant(who).labels] for who in (one.first, one.second)
        )
        table = square_table(first, second, KEYS)
        wanted = direct(table)
        assert one.n == table.sum()
        assert one.test.statistic == pytest.approx(wanted.statistic, rel=1e-9)
        assert one.test.p_value == pytest.approx(wanted.p_value, rel=1e-9)
        assert one.test.degrees_of_freedom == wanted.degrees_of_freedom
    family = [one for one in found if one.first.kind == "model" and one.second.kind == "reader"]
    wanted = holm([one.test.p_value for one in family])
    assert [one.p_holm for one in family] == pytest.approx(list(wanted))


def test_identical_answers_have_no_marginal_test():
    study = simulated_study(n_cases=30, readers=1, models=0)
    twin = study.readings.assign(reader="reader-9")
    both = replace(study, readings=pd.concat([study.readings, twin]))
    tests = {one.test.method: one.test for one in analyse(both).cohort("internal").marginal_tests}
    assert {test.state for test in tests.values()} == {State.UNDEFINED}
    assert tests["Bowker"].reason == "No case was answered differently."


def test_many_participants_leave_models_against_readers():
    cohort = analyse(simulated_study(n_cases=30, readers=20, models=1)).cohort("internal")
    pairs = [one for one in cohort.marginal_tests if one.first is not None]
    assert len(pairs) == 2 * 20
    assert {one.first.kind for one in pairs} == {"model"}
    assert len(cohort.comparisons) == 20 + 190


# ----------------------------------------------------------------------------------------- operating points
def test_operating_points_equal_direct_calls(cohort, arrays, participant):
    assert len(cohort.operating_points) == 8 * 4 * 5
    for one in cohort.operating_points:
        who, index = participant(one.identity), KEYS.index(one.class_key)
        truth, values = (arrays.truth == index)[who.is_rated], who.ratings[index][who.is_rated]
        if one.quantity.startswith("youden_"):
            point = youden_point(truth, values)
            wanted = getattr(point.metrics, one.quantity.removeprefix("youden_"))
            assert one.threshold == point.threshold
            assert (one.estimate.lower, one.estimate.upper) == (wanted.lower, wanted.upper)
            assert point.notes[0] in one.estimate.notes
        elif one.quantity == "sensitivity_at_specificity_0.9":
            wanted = sensitivity_at_specificity(truth, values, 0.9)
        elif one.quantity == "specificity_at_sensitivity_0.9":
            wanted = specificity_at_sensitivity(truth, values, 0.9)
        else:
            wanted = partial_auc(truth, values, between=(0.9, 1.0), is_corrected=True)
        assert one.estimate.value == wanted.value
        assert one.estimate.n == wanted.n


def test_hard_labels_have_no_other_operating_point():
    study = simulated_study(n_cases=40, readers=2, models=1, has_confidence=False)
    cohort = analyse(study).cohort("internal")
    assert {one.identity.kind for one in cohort.operating_points} == {"model"}
    assert cohort.reader_average_roc == ()


def test_absent_class_has_undefined_operating_points():
    study = simulated_study(n_cases=40, readers=0, models=1)
    same = replace(study, cases=study.cases.assign(truth="sat"))
    points = analyse(same).cohort("internal").operating_points
    assert {one.estimate.state for one in points} == {State.UNDEFINED}
    assert all(one.estimate.reason for one in points)


# ---------------------------------------------------------------------------------------- reader-averaged ROC
def test_reader_average_equals_direct_calls(cohort, arrays):
    assert [(one.arm, one.class_key) for one in cohort.reader_average_roc] == [
        *((arm, key) for arm in ("aided", "unaided") for key in KEYS),
        *((arm, "macro") for arm in ("aided", "unaided")),
    ]
    for one in cohort.reader_average_roc:
        if one.class_key == "macro":
            of_classes = [each.curve.area for each in cohort.reader_average_roc if each.arm == one.arm and each != one]
            assert one.curve.area == pytest.approx(np.mean(of_classes))
            continue
        index = KEYS.index(one.class_key)
        whole = np.stack([who.ratings[index] for who in arrays.participants if who.arm == one.arm])
        common = ~np.isnan(whole).any(axis=0)
        truth, rows = (arrays.truth == index)[common], whole[:, common]
        wanted = reader_averaged_roc(truth, rows)
        assert np.array_equal(one.curve.sensitivity, wanted.sensitivity)
        assert np.array_equal(one.curve.false_positive_rate, wanted.false_positive_rate)
        areas = [auc(truth[~np.isnan(row)], row[~np.isnan(row)]) for row in rows]
        assert one.curve.area == pytest.approx(np.mean(areas))
        assert one.curve.n_readers == 3


# ------------------------------------------------------------------------------------------ predictive values
def test_predictive_values_equal_direct_calls(cohort, arrays, participant):
    assert len(cohort.predictive_values) == 2 * 6 * 4 * 2
    for one in cohort.predictive_values:
        first, second = (participant(who).labels for who in (one.first, one.second))
        both, index = (first >= 0) & (second >= 0), KEYS.index(one.class_key)
        calls = (arrays.truth[both] == index, first[both] == index, second[both] == index)
        wanted = getattr(compare_predictive_values(*calls), one.quantity)
        other = getattr(compare_predictive_values(*calls, method="generalised"), one.quantity)
        assert one.test.statistic == pytest.approx(wanted.statistic, rel=1e-9)
        assert one.test.p_value == pytest.approx(wanted.p_value, rel=1e-9)
        assert one.p_leisenring == pytest.approx(other.p_value, rel=1e-9)
        assert one.n_common == both.sum()
        for name in ("value", "standard_error", "lower", "upper"):
            found, direct = getattr(one.test.difference, name), getattr(wanted.difference, name)
            assert found == pytest.approx(direct, rel=1e-9, abs=1e-15)
        assert one.first_value - one.second_value == pytest.approx(wanted.difference.value, abs=1e-15)
    for quantity in ("ppv", "npv"):
        family = [one for one in cohort.predictive_values if one.quantity == quantity]
        assert [one.p_holm for one in family] == pytest.approx(list(holm([one.test.p_value for one in family])))


def test_class_that_a_reader_never_named_has_no_ppv_to_compare():
    study = simulated_study(n_cases=60, readers=1, models=1)
    readings = study.readings.copy()
    readings.loc[readings["label"] == "sat", "label"] = "graves"
    found = analyse(replace(study, readings=readings)).cohort("internal").predictive_values
    ppv = next(one for one in found if (one.class_key, one.quantity) == ("sat", "ppv"))
    assert ppv.test.state is State.UNDEFINED
    assert "made no call" in ppv.test.reason
    assert (ppv.second_value, ppv.p_leisenring, ppv.p_holm) == (None, None, None)


# ------------------------------------------------------------------------------------- Dorfman-Berbaum-Metz
def test_arms_by_pseudovalues_equal_direct_calls():
    study = simulated_study(n_cases=60, arms=("aided", "unaided"), models=0, seed=4)
    cohort, arrays = analyse(study).cohort("internal"), cohort_arrays(study)[0]
    stacked = np.stack([one.ratings for one in arrays.participants]).reshape(3, 2, 4, 60)
    panel = ReaderStudy.from_dense(
        [KEYS[index] for index in arrays.truth], ratings=stacked.transpose(2, 1, 0, 3), classes=KEYS
    )
    other = {(one.class_key, one.metric, one.scope): one.test for one in cohort.mrmc}
    for positive in (None, *KEYS):
        direct = dorfman_berbaum_metz(panel.figures("auc", positive=positive))
        for scope in ("RRRC", "FRRC", "RRFC"):
            found = next(
                one
                for one in cohort.dbm
                if (one.class_key, one.metric, one.scope) == (positive or "macro", "auc", scope)
            )
            wanted = direct.scope(scope).contrasts[0].test
            assert (found.first, found.second) == ("aided", "unaided")
            assert found.test.p_value == pytest.approx(wanted.p_value, rel=1e-9)
            assert found.test.difference.lower == pytest.approx(wanted.difference.lower, rel=1e-9)
            assert found.components["mean_square_TRC"] == pytest.approx(direct.mean_squares["TRC"])
            assert found.first_value == pytest.approx(direct.values[0].mean())
            if scope == "RRRC":
                assert found.test.p_value == pytest.approx(other[found.class_key, "auc", scope].p_value, rel=1e-9)
    assert len(cohort.dbm) == sum(one.analysis == "arms" for one in cohort.mrmc)


def test_three_arms_have_pairs_and_one_test_of_all():
    study = simulated_study(n_cases=40, readers=2, models=0, arms=("a", "b", "c"))
    found = [one for one in analyse(study).cohort("internal").dbm if (one.metric, one.scope) == ("accuracy", "RRRC")]
    assert [(one.first, one.second) for one in found] == [("a", "b"), ("a", "c"), ("b", "c"), ("all arms", "")]
    assert found[-1].test.degrees_of_freedom[0] == 2.0


# --------------------------------------------------------------------------------------------------- margins
def test_no_margin_no_verdict(study):
    assert analyse(study).cohort("internal").margins == ()


@pytest.mark.parametrize("margin", [0, 1, -0.05, 5, True, "0.05", float("nan")])
def test_margin_must_be_a_share(study, margin):
    with pytest.raises(StatisticsInputError, match="margin"):
        analyse(study, margin=margin)


def test_accuracy_margins_equal_direct_calls(cohort, arrays, participant):
    found = [one for one in cohort.margins if one.analysis == "model_vs_reader"]
    pairs = [pair for pair in cohort.comparisons if (pair.first.kind, pair.second.kind) == ("model", "reader")]
    assert len(found) == 2 * len(pairs) == 24
    for at, one in enumerate(found):
        pair = pairs[at // 2]
        first, second = (participant(who).labels for who in (pair.first, pair.second))
        both = (first >= 0) & (second >= 0)
        counts = paired_counts(first[both] == arrays.truth[both], second[both] == arrays.truth[both])
        goal = ("non-inferiority", "equivalence")[at % 2]
        assert (one.first, one.second, one.verdict.goal) == (pair.first.key, pair.second.key, goal)
        wanted = assess_margin_paired(counts, MARGIN, goal=goal, alpha=0.025)
        assert one.verdict.p_value == pytest.approx(wanted.p_value, rel=1e-9)
        assert one.verdict.is_shown is wanted.is_shown
        assert one.verdict.difference.lower == pytest.approx(wanted.difference.lower)


def test_panel_margins_equal_the_standalone_test(cohort, arrays):
    readers = [who for who in arrays.participants if who.arm == "unaided"]
    common = np.all([who.is_rated for who in readers], axis=0)
    panel = ReaderStudy.from_dense(
        [KEYS[index] for index in arrays.truth[common]],
        ratings=np.stack([who.ratings[:, common] for who in readers], axis=1)[:, None],
        classes=KEYS,
    )
    model = next(who for who in arrays.participants if who.key == "model-0")
    for positive in (None, *KEYS):
        direct = compare_model_with_readers(panel, model_ratings=model.ratings[:, common], positive=positive)
        for scope in ("RRRC", "FRRC", "RRFC"):
            found = {
                one.verdict.goal: one.verdict
                for one in cohort.margins
                if (one.first, one.arm, one.class_key, one.scope) == ("model-0", "unaided", positive or "macro", scope)
            }
            wanted = direct.non_inferiority(MARGIN, scope)
            assert found["non-inferiority"].p_value == pytest.approx(wanted.test.p_value, rel=1e-9)
            assert found["non-inferiority"].is_shown == wanted.is_shown
            assert found["equivalence"].p_value >= found["non-inferiority"].p_value


# ---------------------------------------------------------------------------------------------------- tables
def test_new_tables_hold_what_the_objects_hold(cohort, tables):
    assert tables["marginal_tests"]["p_value"].tolist() == [one.test.p_value for one in cohort.marginal_tests]
    assert tables["operating_points"]["value"].tolist() == [one.estimate.value for one in cohort.operating_points]
    assert tables["predictive_values"]["p_value"].tolist() == [one.test.p_value for one in cohort.predictive_values]
    assert tables["margins"]["p_value"].tolist() == [one.verdict.p_value for one in cohort.margins]
    curve = tables["reader_average_roc"]
    assert len(curve) == sum(one.curve.sensitivity.size for one in cohort.reader_average_roc)
    assert set(curve["area"]) == {one.curve.area for one in cohort.reader_average_roc}


def test_common_cases_without_a_class_leave_a_curve_out_and_not_the_whole_analysis():
    study = simulated_study(n_cases=24, readers=2, models=1)
    truth = study.readings["case"].map(dict(zip(study.cases["case"], study.cases["truth"], strict=True)))
    of_last = study.readings[truth == KEYS[-1]]
    half = {who: rows["case"].tolist()[place::2] for place, (who, rows) in enumerate(of_last.groupby("reader"))}
    unread = [row.case in half[row.reader] for row in study.readings.itertuples()]  # no such case was read by both
    found = analyse(replace(study, readings=study.readings.assign(is_unreadable=unread)))
    curves = {one.class_key for one in found.cohort("internal").reader_average_roc}
    assert KEYS[0] in curves
    assert KEYS[-1] not in curves
    means = found.to_tables()["panel_means"]
    undefined = means[means["value"].isna()]
    assert (undefined["notes"] != "").all()


def test_an_arm_whose_readers_were_all_left_out_is_undefined_with_the_reason():
    study = simulated_study(n_cases=12, readers=4, models=0, arms=("aided", "unaided"))
    rows = study.readings
    number = rows["case"].str[-4:].astype(int)
    keep = (rows["arm"] == "aided") & rows["reader"].isin(["reader-0", "reader-1"])
    keep |= (rows["arm"] == "unaided") & rows["reader"].isin(["reader-2", "reader-3"]) & (number == 1)
    found = analyse(replace(study, readings=rows[keep].reset_index(drop=True))).to_tables()["mrmc"]
    assert len(found)
    undefined = found[found["value"].isna()]
    assert (undefined["state"] != "estimated").all()
    assert not found["standard_error"].abs().eq(float("inf")).any()
    assert not found["notes"].str.contains("nan").any()
