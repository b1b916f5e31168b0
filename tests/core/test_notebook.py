"""Results in a notebook: words that fit 100 columns, notes before numbers, and data frames."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import core.statistics as s
from core.errors import StatisticsInputError
from core.notebook import to_frame
from core.statistics.result import Reported, summary_of


def results() -> dict[str, object]:
    """One result of each kind, of three readers in two arms over 40 cases."""
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 2 == 1
    ratings = np.round(rng.normal(size=(2, 3, 40)) + truth, 1)
    labels = np.where(ratings > 0.5, "yes", "no")
    shares = rng.dirichlet(np.ones(3), size=40)
    study = s.ReaderStudy.from_dense(truth, ratings=ratings, arms=["aided", "unaided"])
    panel = s.OrComponents(0.0002, 0.0008, 0.00035, 0.00034, 0.00024, 114)
    return {
        "estimate": s.auc_estimate(truth, ratings[0, 0]),
        "undefined": s.proportion(0, 0),
        "test": s.compare_aucs_paired(truth, ratings[0, 0], ratings[1, 0]),
        "classification": s.classification_metrics(labels[0, 0], labels[0, 1], ["no", "yes"]),
        "comparison": s.compare_aucs(truth, ratings[0]),
        "multiclass": s.multiclass_auc(np.arange(40) % 3, shares, [0, 1, 2]),
        "agreement": s.panel_agreement(labels[0].T, ["no", "yes"]),
        "arms": s.compare_arms(study),
        "per class": s.compare_arms_per_class(study),
        "panel": s.compare_model_with_readers(study, model_ratings=ratings[1, 0], arm="aided"),
        "pseudovalues": s.dorfman_berbaum_metz(study.figures()),
        "moments": s.imrmc_analysis(study, kind="mle"),
        "recalibration": s.logistic_recalibration(truth, shares[:, 0]),
        "bins": s.reliability_bins(truth, shares[:, 0]),
        "decisions": s.decision_curve(truth, shares[:, 0]),
        "matched": s.compare_at_matched_point(truth, ratings[0, 0], ratings[0, 1] > 0.5),
        "curve": s.roc_curve(truth, ratings[0, 0]),
        "averaged": s.reader_averaged_roc(truth, ratings[0]),
        "size": s.cases_for_power(panel, n_readers=6, difference=0.05),
        "margin": s.assess_margin_paired(s.PairedCounts(30, 4, 3, 3), 0.1),
        "values": s.compare_predictive_values(truth, labels[0, 0] == "yes", labels[0, 1] == "yes"),
    }


RESULTS = results()


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_fits_a_hundred_columns_and_a_frame(name: str) -> None:
    result = RESULTS[name]
    text = summary_of(result)
    assert text
    assert max(len(line) for line in text.splitlines()) <= 100
    if isinstance(result, Reported):
        assert str(result) == result.summary() == text
    lines = text.splitlines()
    numbers = [place for place, line in enumerate(lines) if "(95%" in line]
    notes = [place for place, line in enumerate(lines) if line.startswith("Note:")]
    assert not notes or not numbers or max(notes) < min(numbers)
    frame = to_frame(result)
    assert len(frame) > 0
    assert " nan" not in text


def test_a_frame_holds_all_digits_of_every_number() -> None:
    test = RESULTS["test"]
    (row,) = to_frame(test).to_dict("records")
    assert row["value"] == test.difference.value
    assert (row["lower"], row["upper"]) == (test.difference.lower, test.difference.upper)
    assert (row["wald_lower"], row["p_value"]) == (test.difference.wald_lower, test.p_value)
    frame = to_frame(RESULTS["arms"]).set_index("quantity")
    arms = RESULTS["arms"]
    contrast = arms.scope("FRRC").contrasts[0].test
    assert frame.loc["scopes, FRRC, contrasts, aided unaided", "p_value"] == contrast.p_value
    assert frame.loc["scopes, FRRC, means, unaided", "value"] == arms.scope("FRRC").means[1].value
    assert frame.loc["components, cov2", "value"] == arms.components.cov2
    assert not frame.index.duplicated().any()


def test_a_curve_is_a_frame_of_its_points() -> None:
    frame = to_frame(RESULTS["curve"])
    pd.testing.assert_series_equal(frame["sensitivity"], pd.Series(RESULTS["curve"].sensitivity, name="sensitivity"))
    assert len(to_frame(RESULTS["bins"])) == len(RESULTS["bins"])


def test_a_long_result_is_cut_and_says_where_the_rest_is() -> None:
    labels = np.random.default_rng(1).integers(2, size=(30, 12))
    text = s.panel_agreement(labels, [0, 1]).summary()
    assert "a data frame has them all" in text
    assert len(to_frame(s.panel_agreement(labels, [0, 1]))) > 140


def test_what_holds_no_number_is_refused() -> None:
    with pytest.raises(StatisticsInputError, match="holds no number"):
        to_frame("text")


def test_every_public_result_can_tell_itself() -> None:
    kept_apart = {"BinaryCounts", "DelongComponents", "PairedCounts", "ReaderStudy", "RoeMetzModel", "Reported"}
    for name in s.__all__:
        item = getattr(s, name)
        if inspect.isclass(item) and hasattr(item, "__dataclass_fields__") and name not in kept_apart:
            assert issubclass(item, Reported), name
