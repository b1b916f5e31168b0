"""What the ROC view draws beside the curves: band, average over the classes, average over the readers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from core.analysis import analyse
from core.statistics import roc_band, roc_curve
from tests.core.analysis_studies import simulated_study


def wilson(k, n, level):
    """Wilson's interval as he wrote it, without the library that the program uses."""
    z = stats.norm.isf((1 - level) / 2)
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(k * (n - k) / n + z * z / 4)
    return middle - half, middle + half


def test_the_band_is_wilsons_interval_of_both_axes_at_the_root_of_the_level():
    rng = np.random.default_rng(3)
    truth = rng.random(90) < 0.4
    curve = roc_curve(truth, rng.normal(size=90) + truth)
    band = roc_band(curve, confidence_level=0.9)
    lower, upper = wilson(curve.true_positive, curve.n_positive, np.sqrt(0.9))
    np.testing.assert_allclose(band.sensitivity_lower, lower, atol=1e-12)
    np.testing.assert_allclose(band.sensitivity_upper, upper, atol=1e-12)
    lower, upper = wilson(curve.false_positive, curve.n_negative, np.sqrt(0.9))
    np.testing.assert_allclose(band.rate_lower, lower, atol=1e-12)
    np.testing.assert_allclose(band.rate_upper, upper, atol=1e-12)


def test_a_box_of_the_band_holds_the_true_point_as_often_as_it_says():
    rng = np.random.default_rng(11)
    held, n = 0, 1500
    for _ in range(n):
        truth = np.arange(120) < 60
        rating = rng.normal(size=120) + 1.2 * truth
        curve = roc_curve(truth, rating)
        at = int(np.searchsorted(-curve.threshold, -0.5))  # the point at a threshold of 0.5
        at -= curve.threshold[at] < 0.5
        sensitivity, rate = stats.norm.sf(0.5 - 1.2), stats.norm.sf(0.5)
        band = roc_band(curve)
        held += (band.sensitivity_lower[at] <= sensitivity <= band.sensitivity_upper[at]) and (
            band.rate_lower[at] <= rate <= band.rate_upper[at]
        )
    assert held / n == pytest.approx(0.95, abs=0.02)


@pytest.fixture(scope="module")
def cohort():
    return analyse(simulated_study(n_cases=90, readers=3, models=1)).cohorts[0]


def area(rate, sensitivity):
    return float(np.sum(np.diff(rate) * (sensitivity[1:] + sensitivity[:-1])) / 2)


def test_the_area_of_the_average_over_classes_is_the_macro_auc(cohort):
    for one in cohort.participants:
        roc = one.macro_roc
        assert area(roc.false_positive_rate, roc.sensitivity) == pytest.approx(one.auc_averages["macro"].value)


def test_the_area_of_the_readers_average_is_the_mean_of_their_macro_aucs(cohort):
    (average,) = [each for each in cohort.reader_average_roc if each.class_key == "macro"]
    areas = [one.auc_averages["macro"].value for one in cohort.participants if one.kind == "reader"]
    assert average.curve.area == pytest.approx(np.mean(areas))


def test_hard_labels_average_to_one_point_and_never_to_a_curve():
    cohort = analyse(simulated_study(n_cases=90, readers=2, models=0, has_confidence=False)).cohorts[0]
    for one in cohort.participants:
        assert not one.macro_roc.is_curve
        sensitivity, rate = float(one.macro_roc.sensitivity[0]), float(one.macro_roc.false_positive_rate[0])
        assert sensitivity == pytest.approx(np.mean([each.quantities["sensitivity"].value for each in one.classes]))
        assert rate == pytest.approx(np.mean([1 - each.quantities["specificity"].value for each in one.classes]))


def test_the_table_carries_band_and_average(cohort):
    table = analyse(simulated_study(n_cases=90, readers=1, models=1)).to_tables()["roc_points"]
    of_model = table[(table["kind"] == "model") & (table["class"] == "tumor")]
    assert of_model[["sensitivity_lower", "sensitivity_upper", "rate_lower", "rate_upper"]].notna().all().all()
    assert (
        (of_model["sensitivity_lower"] <= of_model["sensitivity"])
        & (of_model["rate_lower"] <= of_model["false_positive_rate"])
    ).all()
    assert table.loc[table["class"] == "macro", "sensitivity_lower"].isna().all()
