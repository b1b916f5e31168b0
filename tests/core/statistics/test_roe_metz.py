"""The simulator draws what it says, and the tests hold their level on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.calibration import (
    auc_coverage,
    hard_label_setting,
    proportion_coverage,
    standalone_type_one_error,
    type_one_error,
)
from core.errors import StatisticsInputError
from core.statistics.roe_metz import RoeMetzModel

MODEL = RoeMetzModel.structure("HH", separation=1.5)


def test_same_seed_same_study_and_another_seed_another() -> None:
    sizes = {"n_readers": 3, "n_positive": 5, "n_negative": 6}
    first, again, other = (MODEL.simulate(**sizes, rng=np.random.default_rng(seed)).ratings for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (1, 2, 3, 11)


def test_variances_and_covariances_are_those_of_the_model() -> None:
    """Many small studies: two readings covary by what they share."""
    model = RoeMetzModel((1.0, 1.0), 0.05, 0.07, 0.3, 0.2, 0.1, 0.4)
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(4000):
        ratings = model.simulate(n_readers=2, n_positive=1, n_negative=2, rng=rng).ratings
        assert ratings is not None
        draws.append(ratings[0].ravel())
    covariance = np.cov(np.array(draws).T).reshape(2, 2, 3, 2, 2, 3)  # (arm, reader, case) twice; case 2 is positive
    near = pytest.approx
    assert covariance[0, 0, 0, 0, 0, 0] == near(1.12, abs=0.08)
    assert covariance[0, 0, 0, 1, 0, 0] == near(0.45, abs=0.06)  # other arm: reader, case, reader x case
    assert covariance[0, 0, 0, 0, 1, 0] == near(0.50, abs=0.06)  # other reader: case, arm x case
    assert covariance[0, 0, 0, 1, 1, 0] == near(0.30, abs=0.06)  # both: case
    assert covariance[0, 0, 0, 0, 0, 1] == near(0.12, abs=0.06)  # other case: reader, arm x reader
    assert covariance[0, 0, 0, 0, 0, 2] == near(0.0, abs=0.06)  # other truth: nothing


@pytest.mark.parametrize(("structure", "separation"), [("HL", 0.75), ("LH", 2.5)])
def test_expected_auc_is_the_mean_of_the_simulated_ones(structure: str, separation: float) -> None:
    model = RoeMetzModel.structure(structure, separation=separation, difference=0.4)
    rng = np.random.default_rng(5)
    means = np.mean(
        [
            model.simulate(n_readers=4, n_positive=30, n_negative=30, rng=rng).figures().values().mean(axis=1)
            for _ in range(300)
        ],
        axis=0,
    )
    assert means[0] == pytest.approx(model.expected_auc(0), abs=0.012)
    assert means[1] == pytest.approx(model.expected_auc(1), abs=0.012)


def test_published_aucs_of_the_separations() -> None:
    """Roe and Metz 1997 name their separations by these areas (without reader variance)."""
    for separation, area in ((0.75, 0.702), (1.5, 0.855), (2.5, 0.961)):
        model = replace(RoeMetzModel.structure("HL", separation=separation), reader=0.0, arm_by_reader=0.0)
        assert model.expected_auc(0) == pytest.approx(area, abs=0.001)


def test_unequal_variance_stretches_positive_cases_only() -> None:
    stretched = replace(MODEL, positive_scale=2.0)
    one, two = (
        model.simulate(n_readers=2, n_positive=4, n_negative=4, rng=np.random.default_rng(1)).ratings
        for model in (MODEL, stretched)
    )
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one[..., :4], two[..., :4])
    np.testing.assert_allclose(two[..., 4:] - 1.5, 2 * (one[..., 4:] - 1.5))
    assert stretched.expected_auc(0) < MODEL.expected_auc(0)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(StatisticsInputError, match="structure"):
        RoeMetzModel.structure("XX", separation=1.5)
    with pytest.raises(StatisticsInputError, match="case"):
        replace(MODEL, case=-0.1)
    with pytest.raises(StatisticsInputError, match="separations"):
        replace(MODEL, separations=())
    with pytest.raises(StatisticsInputError, match="rng"):
        MODEL.simulate(n_readers=2, n_positive=2, n_negative=2, rng=7)  # type: ignore[arg-type]
    with pytest.raises(StatisticsInputError, match="n_readers"):
        MODEL.simulate(n_readers=0, n_positive=2, n_negative=2, rng=np.random.default_rng(1))


@pytest.mark.parametrize(("scope", "structure"), [("RRRC", "HL"), ("RRRC", "LH"), ("FRRC", "HL")])
def test_type_one_error_is_near_nominal(scope: str, structure: str) -> None:
    """A small, seeded version of docs/calibration.md: 5% within four simulation errors of 200 replicates."""
    model = RoeMetzModel.structure(structure, separation=1.5)
    if scope == "FRRC":
        model = replace(model, arm_by_reader=0.0)
    rates = type_one_error(
        model,
        scope=scope,
        covariances=("jackknife", "delong"),
        n_readers=5,
        n_positive=30,
        n_negative=30,
        replicates=200,
        rng=np.random.default_rng(11),
    )
    for rate in rates:
        assert 0.005 < rate.share < 0.112


def test_fixed_reader_test_is_wrong_for_readers_in_general() -> None:
    """Why RRRC is the default: with readers who differ in their gain FRRC finds far too much."""
    model = replace(RoeMetzModel.structure("HH", separation=2.5), arm_by_reader=0.3)
    (rate,) = type_one_error(
        model,
        scope="FRRC",
        covariances=("delong",),
        n_readers=5,
        n_positive=50,
        n_negative=50,
        replicates=150,
        rng=np.random.default_rng(2),
    )
    assert rate.share > 0.15


def test_model_as_good_as_the_panel_is_rarely_called_different() -> None:
    rate = standalone_type_one_error(
        MODEL, n_readers=5, n_positive=30, n_negative=30, replicates=300, rng=np.random.default_rng(3)
    )
    assert 0.005 < rate.share < 0.10


def test_binomial_exact_interval_of_a_hard_label_auc_is_too_narrow() -> None:
    """The finding about the paper's intervals, small: 87% where logit-DeLong has 95%."""
    found = auc_coverage(hard_label_setting(0.82, 0.97, 120, 394), replicates=600, rng=np.random.default_rng(4))
    assert found.covered["logit-delong"].share > 0.925
    assert found.covered["binomial-exact"].share < 0.91
    assert found.covered["logit-delong"].share > found.covered["binomial-exact"].share + 0.03


def test_wilson_interval_covers_near_nominal_and_clopper_pearson_never_less() -> None:
    for probability in (0.6, 0.82, 0.94):
        assert proportion_coverage(probability, 130, "wilson") == pytest.approx(0.95, abs=0.02)
        assert proportion_coverage(probability, 130, "clopper-pearson") >= 0.95
