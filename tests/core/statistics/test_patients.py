"""Patients with several cases: DeLong, McNemar and multi-reader analyses whose variance is one between patients."""

import numpy as np
import pytest

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics import (
    State,
    auc,
    auc_clustered,
    compare_aucs,
    compare_aucs_paired,
    compare_predictive_values,
    delong_components,
    difference_paired_clustered,
    mcnemar,
    mcnemar_clustered,
    paired_counts,
)
from core.statistics.dbm import dorfman_berbaum_metz
from core.statistics.figure_of_merit import auc_curves, proportion_curves
from core.statistics.imrmc_ustat import imrmc_analysis
from core.statistics.obuchowski_rockette import obuchowski_rockette
from core.statistics.reader_study import ReaderStudy
from core.statistics.standalone import compare_model_with_readers


def drawn(seed, n_patients=25, n_curves=3):
    """Patients with one to four cases that resemble each other, some with both kinds of cases."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), rng.integers(1, 5, size=n_patients))
    truth = rng.random(patient.size) < 0.3 + 0.4 * (patient % 2)
    own = rng.normal(size=(n_curves, n_patients))[:, patient]
    ratings = np.round(own + rng.normal(size=(n_curves, patient.size)) + truth, 1)
    return truth, ratings, patient


def test_one_case_a_patient_is_delong():
    truth, ratings, _ = drawn(1)
    alone = np.arange(truth.size)
    components = delong_components(truth, ratings)
    np.testing.assert_allclose(components.clustered_covariance(truth, alone), components.covariance(), rtol=1e-12)
    plain, clustered = (compare_aucs_paired(truth, *ratings[:2], patients=who) for who in (None, alone))
    assert clustered.p_value == pytest.approx(plain.p_value)
    assert "clusters" in clustered.method


def test_the_same_case_twice_says_nothing_new():
    truth, ratings, _ = drawn(2)
    twice, patients = np.repeat(ratings, 2, axis=1), np.repeat(np.arange(truth.size), 2)
    once = compare_aucs_paired(truth, *ratings[:2])
    found = compare_aucs_paired(np.repeat(truth, 2), *twice[:2], patients=patients)
    assert found.difference.standard_error == pytest.approx(once.difference.standard_error)
    every = compare_aucs(np.repeat(truth, 2), twice, patients=patients)
    assert every.overall.p_value == pytest.approx(compare_aucs(truth, ratings).overall.p_value)
    assert every.estimates[0] == auc_clustered(np.repeat(truth, 2), twice[0], patients)


def test_covariance_is_that_of_the_single_curve():
    truth, ratings, patient = drawn(3)
    covariance = delong_components(truth, ratings).clustered_covariance(truth, patient)
    for curve, row in enumerate(ratings):
        found = auc_clustered(truth, row, patient)
        assert found.standard_error == pytest.approx(np.sqrt(covariance[curve, curve]), rel=1e-12)


def test_type_one_error_holds_where_cases_of_a_patient_resemble_each_other():
    """Two equal curves; a patient's four cases share what each curve sees. Taken for independent: far too many."""
    rng = np.random.default_rng(4)
    patient = np.repeat(np.arange(40), 4)
    truth = (patient % 2).astype(bool)
    clustered = naive = 0
    for _ in range(400):
        own = rng.normal(size=(2, 40))[:, patient]
        one, two = own + 0.5 * rng.normal(size=(2, 160)) + truth
        clustered += compare_aucs_paired(truth, one, two, patients=patient).p_value < 0.05
        naive += compare_aucs_paired(truth, one, two).p_value < 0.05
    assert 0.02 < clustered / 400 < 0.09
    assert naive / 400 > 0.15


@pytest.mark.parametrize("with_gaps", [False, True])
def test_leaving_a_patient_out_is_leaving_out_all_their_cases(with_gaps):
    truth, ratings, patient = drawn(5)
    if with_gaps:
        ratings[0, ::7], ratings[2, 3:9] = np.nan, np.nan
    found = auc_curves(truth, ratings, patient=patient)
    right = np.where(np.isnan(ratings), np.nan, ratings > 0.5)
    share = proportion_curves(right, "accuracy", patient=patient)
    for curve in range(3):
        for one in range(found.n_cases):
            kept = (patient != one) & ~np.isnan(ratings[curve])
            assert found.leave_one_out[curve, one] == pytest.approx(auc(truth[kept], ratings[curve, kept]))
            assert share.leave_one_out[curve, one] == pytest.approx(right[curve, kept].mean())
    if not with_gaps:
        obuchowski = delong_components(truth, ratings).clustered_covariance(truth, patient)
        np.testing.assert_allclose(found.covariance("delong"), obuchowski, rtol=0.06, atol=2e-4)
        np.testing.assert_allclose(found.covariance("jackknife"), obuchowski, rtol=0.15, atol=5e-4)


def test_proportions_between_patients_are_those_of_the_paired_difference():
    truth, ratings, patient = drawn(6)
    right = (ratings[:2] > 0.5) == truth
    covariance = proportion_curves(right, "accuracy", patient=patient).covariance("delong")
    found = difference_paired_clustered(right[0], right[1], patient)
    variance = covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1]
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-10)


def study_of(seed, n_arms=2, patients=None):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(30), 3)
    truth = patient % 2
    own = rng.normal(size=(n_arms, 6, 30))[:, :, patient]
    ratings = own + rng.normal(size=(n_arms, 6, 90)) + truth
    given = {"case": patient, "alone": np.arange(90), None: None}[patients]
    return ReaderStudy.from_dense(
        truth, ratings=ratings, labels=(ratings > 0.5).astype(float), classes=(0, 1), patients=given
    )


def test_multi_reader_analyses_know_of_patients():
    clustered, alone, plain = (study_of(7, patients=who) for who in ("case", "alone", None))
    assert alone.patient is None  # one case each
    for figure in ("auc", "accuracy", "sensitivity"):
        found, naive = (obuchowski_rockette(study.figures(figure)) for study in (clustered, plain))
        assert found.scope("FRRC").contrasts[0].test.difference.value == pytest.approx(
            naive.scope("FRRC").contrasts[0].test.difference.value
        )
        assert found.components.error > 1.3 * naive.components.error
        assert found.components.n_cases == 30
        assert "variances are those between the 30 patients" in found.notes[-1]
    pseudovalues = dorfman_berbaum_metz(clustered.figures())
    assert pseudovalues.scope("RRRC").overall.p_value == pytest.approx(
        obuchowski_rockette(clustered.figures()).scope("RRRC").overall.p_value, rel=1e-6
    )
    panel = study_of(8, n_arms=1, patients="case")
    found = compare_model_with_readers(panel, model_ratings=panel.ratings[0, 0, 0] + 0.1 * panel.truth)
    assert any("30 patients" in note for note in found.notes)
    row = imrmc_analysis(clustered, kind="mle").pairs[0]
    assert "take cases as independent" in row.test.notes[0]
    assert imrmc_analysis(plain, kind="mle").pairs[0].test.notes == ()
    with pytest.raises(StatisticsInputError, match="several cases a patient"):
        obuchowski_rockette(clustered.figures(), covariance="unbiased")


def test_patients_of_a_long_table():
    study = study_of(9, patients="case")
    rows = [(a, r, c) for a in range(2) for r in range(6) for c in range(90)]
    arm, reader, case = (np.array(column) for column in zip(*rows, strict=True))
    columns = {"reader": reader, "case": case, "arm": arm, "truth": study.truth[case], "classes": (0, 1)}
    long = ReaderStudy.from_long(**columns, rating=study.ratings[0][arm, reader, case], patient=study.patient[case])
    np.testing.assert_array_equal(long.patient, study.patient)
    wrong = study.patient[case].copy()
    wrong[-1] += 1
    with pytest.raises(StatisticsInputError, match="differs between rows of one case, at position 1079"):
        ReaderStudy.from_long(**columns, rating=np.ones(case.size), patient=wrong)


def test_multi_reader_type_one_error_between_patients():
    """Equal arms, readers without gains of their own: fixed readers reject as often as they should."""
    p = [
        obuchowski_rockette(study_of(1_000 + seed, patients="case").figures(), covariance="delong")
        .scope("FRRC")
        .overall.p_value
        for seed in range(300)
    ]
    assert 0.015 < np.mean(np.array(p) < 0.05) < 0.10


@pytest.mark.parametrize("method", ["obuchowski", "durkalski"])
def test_clustered_mcnemar_by_its_formula_and_mcnemar_with_one_case_a_patient(method):
    rng = np.random.default_rng(10)
    one, two = rng.random(300) < 0.8, rng.random(300) < 0.7
    found = mcnemar_clustered(one, two, np.arange(300), method=method)
    plain = mcnemar(paired_counts(one, two), method="chi-squared").statistic
    assert found.statistic == pytest.approx(plain * (299 / 300 if method == "obuchowski" else 1.0))
    patient = np.arange(300) // 3
    gain = (one.astype(int) - two).reshape(100, 3).sum(axis=1) / (1 if method == "obuchowski" else 3)
    factor = 0.99 if method == "obuchowski" else 1.0
    clustered = mcnemar_clustered(one, two, patient, method=method)
    assert clustered.statistic == pytest.approx(factor * gain.sum() ** 2 / np.sum(gain**2))
    assert clustered.difference == difference_paired_clustered(one, two, patient)


def test_clustered_mcnemar_rejects_as_often_as_it_should():
    rng = np.random.default_rng(11)
    patient = np.repeat(np.arange(60), 4)
    rejected = {"obuchowski": 0, "durkalski": 0, "naive": 0}
    for _ in range(400):
        chance = rng.beta(1.0, 1.0, size=(2, 60))[:, patient]  # each reader is at ease with other patients
        one, two = rng.random((2, 240)) < chance
        for method in ("obuchowski", "durkalski"):
            rejected[method] += mcnemar_clustered(one, two, patient, method=method).p_value < 0.05
        rejected["naive"] += mcnemar(paired_counts(one, two), method="chi-squared").p_value < 0.05
    assert 0.02 < rejected["obuchowski"] / 400 < 0.085
    assert 0.02 < rejected["durkalski"] / 400 < 0.085
    assert rejected["naive"] / 400 > 0.12


def test_predictive_values_between_patients():
    """One case a patient is Leisenring's test; the same case twice says nothing new."""
    rng = np.random.default_rng(12)
    truth, one, two = rng.random((3, 120)) < np.array([[0.4], [0.5], [0.5]])
    plain = compare_predictive_values(truth, one, two, method="generalised")
    alone = compare_predictive_values(truth, one, two, patients=np.arange(120))
    twice = compare_predictive_values(*(np.repeat(x, 2) for x in (truth, one, two)), patients=np.arange(240) // 2)
    for found in (alone, twice):
        assert found.ppv.p_value == pytest.approx(plain.ppv.p_value)
        assert found.npv.difference.upper == pytest.approx(plain.npv.difference.upper)
        assert "patients as clusters" in found.ppv.method


def test_what_has_no_variance_between_patients_says_so():
    same = mcnemar_clustered([1, 0, 1, 0], [0, 1, 0, 1], ["a", "a", "b", "b"])
    assert (same.state, same.reason) == (State.UNDEFINED, "The two are right equally often in every patient.")
    assert mcnemar_clustered([1, 0], [0, 1], ["a", "a"]).state is State.UNDEFINED
    truth = np.array([True, True, False, False])
    found = compare_aucs_paired(truth, [1, 2, 3, 0], [2, 1, 0, 3], patients=["a", "a", "b", "c"])
    assert "Fewer than two patients" in found.reason
    with pytest.raises(UndefinedStatisticError, match="one patient only"):
        auc_curves(truth, [[1.0, 2.0, 3.0, 0.0]], patient=np.array([0, 0, 1, 2]))
    with pytest.raises(StatisticsInputError, match="obuchowski"):
        mcnemar_clustered([1, 0], [0, 1], ["a", "b"], method="other")
