"""Sizing one model against a panel, and non-inferiority: closed forms, and the power that simulated studies have."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.mrmc import compare_arms
from core.statistics.panel_planning import (
    PanelComponents,
    cases_for_panel_power,
    panel_power,
    readers_for_panel_power,
)
from core.statistics.planning import OrComponents, auc_error_variance, cases_for_power, mrmc_power
from core.statistics.reader_study import ReaderStudy
from core.statistics.roe_metz import RoeMetzModel
from core.statistics.scope import Scope
from core.statistics.standalone import compare_model_with_readers

COMPONENTS = PanelComponents(reader=0.001, error=0.0012, cov2=0.0006, n_cases=100)
READERS, PER_CLASS = 6, 30


def test_power_in_closed_form():
    found = panel_power(COMPONENTS, n_readers=8, n_cases=200, difference=0.05, scope="FRRC")
    z = 0.05 / np.sqrt(0.0003 / 8 + 0.0003)
    assert found.power == pytest.approx(stats.norm.sf(1.959964 - z) + stats.norm.cdf(-1.959964 - z), abs=1e-6)
    found = panel_power(COMPONENTS, n_readers=8, n_cases=200, difference=-0.01, margin=0.08)
    df = 7 * (1 + 8 * 0.0003 / 0.0013) ** 2
    assert found.degrees_of_freedom == pytest.approx(df)
    t = 0.07 / np.sqrt(0.0013 / 8 + 0.0003)
    assert found.power == pytest.approx(stats.nct.sf(stats.t.isf(0.025, df), df, t))


@pytest.mark.parametrize("scope", list(Scope))
def test_no_difference_has_the_power_of_its_level(scope):
    none = panel_power(COMPONENTS, n_readers=5, n_cases=100, difference=0.0, scope=scope, significance_level=0.1)
    assert none.power == pytest.approx(0.1)
    worst = panel_power(COMPONENTS, n_readers=5, n_cases=100, difference=-0.05, margin=0.05, scope=scope)
    assert worst.power == pytest.approx(0.025)


def test_search_returns_the_first_design_that_reaches_the_power():
    cases = cases_for_panel_power(COMPONENTS, n_readers=8, difference=0.0, margin=0.06)
    n = cases.design.n_cases
    powers = [panel_power(COMPONENTS, n_readers=8, n_cases=k, difference=0.0, margin=0.06).power for k in (n - 1, n)]
    assert powers[0] < 0.8 <= powers[1]
    readers = readers_for_panel_power(COMPONENTS, n_cases=n, difference=0.0, margin=0.06)
    assert readers.design.n_readers <= 8
    alone = readers_for_panel_power(COMPONENTS, n_cases=2000, difference=0.2, scope="FRRC")
    assert alone.design.n_readers == 1
    with pytest.raises(StatisticsInputError, match="most_readers"):
        readers_for_panel_power(COMPONENTS, n_cases=100, difference=0.2, most_readers=1)
    never = cases_for_panel_power(COMPONENTS, n_readers=2, difference=0.0, margin=0.02, most_cases=500)
    assert not never.is_reached
    assert "500 cases" in never.reason


def test_two_arms_not_inferior_in_closed_form():
    pilot = OrComponents(0.0002, 0.0008, 0.00035, 0.00034, 0.00024, 114)
    found = mrmc_power(pilot, n_readers=6, n_cases=114, difference=0.0, margin=0.05)
    ms_both = 0.0002 + 0.00045 - 0.0001
    denominator = ms_both + 6 * 0.0001
    df = 5 * (denominator / ms_both) ** 2
    assert found.power == pytest.approx(stats.nct.sf(stats.t.isf(0.025, df), df, 0.05 / np.sqrt(2 * denominator / 6)))
    assert mrmc_power(pilot, n_readers=6, n_cases=114, difference=-0.05, margin=0.05).power == pytest.approx(0.025)
    assert cases_for_power(pilot, n_readers=6, difference=0.0, margin=0.05).is_reached


def study_with_model(seed, gain):
    """A panel of Roe and Metz and a model whose AUC is the readers' expected one plus about ``gain`` / 4."""
    rng = np.random.default_rng(seed)
    model = RoeMetzModel.structure("HH", separation=1.5)
    between = model.reader + model.arm_by_reader
    cases = replace(model, separations=(1.5,), reader=0.0, arm_by_reader=0.0)
    drawn = cases.simulate(n_readers=READERS + 1, n_positive=PER_CLASS, n_negative=PER_CLASS, rng=rng)
    ratings = drawn.ratings[0, 0].copy()
    positive = drawn.truth == 1
    for is_class in (positive, ~positive):
        ratings[1:, is_class] += rng.normal(0.0, np.sqrt(between), (READERS, 1))
    ratings[0, positive] += 1.5 * (1.0 / np.sqrt(1.0 + between) - 1.0) + gain
    return ReaderStudy.from_dense(positive, ratings=ratings[1:][None]), ratings[0]


@pytest.mark.parametrize(("gain", "margin"), [(0.6, None), (0.0, 0.09)])
def test_planned_power_is_the_power_of_simulated_studies(gain, margin):
    """Components and the true difference are means of 200 other studies; 400 studies leave room of 0.05."""
    pilots = [
        compare_model_with_readers(panel, model_ratings=model, covariance="delong")
        for panel, model in (study_with_model(seed, gain) for seed in range(200))
    ]
    components = PanelComponents(
        reader=float(np.mean([one.reader_variance for one in pilots])),
        error=float(np.mean([one.error_variance for one in pilots])),
        cov2=float(np.mean([one.cov2 for one in pilots])),
        n_cases=2 * PER_CLASS,
    )
    difference = float(np.mean([one.scope("RRRC").test.difference.value for one in pilots]))
    planned = panel_power(
        components, n_readers=READERS, n_cases=2 * PER_CLASS, difference=difference if gain else 0.0, margin=margin
    ).power
    found = 0
    for seed in range(1_000, 1_400):
        panel, model = study_with_model(seed, gain)
        study = compare_model_with_readers(panel, model_ratings=model, covariance="delong")
        found += study.non_inferiority(margin).is_shown if margin else study.scope("RRRC").test.p_value < 0.05
    assert 0.3 < planned < 0.9
    assert found / 400 == pytest.approx(planned, abs=0.07)


def test_components_from_pilot_and_from_papers():
    panel, model = study_with_model(3, 0.0)
    pilot = compare_model_with_readers(panel, model_ratings=model)
    components = PanelComponents.from_pilot(pilot)
    assert (components.error, components.cov2, components.n_cases) == (pilot.error_variance, pilot.cov2, 60)
    error = auc_error_variance(0.85, 50, 50)
    made = PanelComponents.from_published(
        model_error=error, reader_error=error, n_cases=100, reader_sd=0.03, r_model=0.4, r_readers=0.5
    )
    assert made.error == pytest.approx(1.2 * error)
    assert made.cov2 == pytest.approx(0.7 * error)
    one = ReaderStudy.from_dense(panel.truth, ratings=panel.ratings[0, :, :1], classes=(0, 1))
    with pytest.raises(UndefinedStatisticError, match="two readers"):
        PanelComponents.from_pilot(compare_model_with_readers(one, model_ratings=model))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PanelComponents(0.0, 0.0, 0.0, 10), "error"),
        (lambda: PanelComponents(0.0, 1.0, 2.0, 10), "cov2"),
        (lambda: PanelComponents(float("nan"), 1.0, 0.5, 10), "reader"),
        (lambda: panel_power(COMPONENTS, n_readers=1, n_cases=50, difference=0.1), "n_readers"),
        (lambda: panel_power(COMPONENTS, n_readers=5, n_cases=1, difference=0.1), "n_cases"),
        (lambda: panel_power(COMPONENTS, n_readers=5, n_cases=50, difference=0.1, margin=-0.1), "margin"),
        (lambda: panel_power(COMPONENTS, n_readers=5, n_cases=50, difference=float("inf")), "difference"),
        (
            lambda: PanelComponents.from_published(
                model_error=1, reader_error=1, n_cases=9, reader_sd=0.1, r_model=2, r_readers=0
            ),
            "r_model",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(StatisticsInputError, match=message):
        call()


def test_two_arm_non_inferiority_holds_in_simulation():
    """Two equal arms of Roe and Metz, margin 0.08: the interval's lower limit is above it as often as planned."""
    model = RoeMetzModel.structure("HL", separation=1.5)
    rng = np.random.default_rng(6)
    size = {"n_readers": 5, "n_positive": 30, "n_negative": 30, "rng": rng}
    pilots = [compare_arms(model.simulate(**size), covariance="delong").components for _ in range(150)]
    names = ("arm_by_reader", "error", "cov1", "cov2", "cov3")
    means = {name: float(np.mean([getattr(one, name) for one in pilots])) for name in names}
    planned = mrmc_power(OrComponents(**means, n_cases=60), n_readers=5, n_cases=60, difference=0.0, margin=0.08).power
    shown = 0
    for _ in range(300):
        difference = (
            compare_arms(model.simulate(**size), covariance="delong").scope("RRRC").contrasts[0].test.difference
        )
        shown += difference.wald_lower > -0.08
    assert shown / 300 == pytest.approx(planned, abs=0.08)


@pytest.mark.parametrize("margin", [None, 0.05])
@pytest.mark.parametrize("components", [
    PanelComponents(reader=0.0, error=1e-9, cov2=1e-9, n_cases=100),  # readers do not differ: infinite freedom
    PanelComponents(reader=1e-9, error=2e-9, cov2=0.0, n_cases=100),  # so sure that series of far tails give no number
    PanelComponents(reader=1e-4, error=1e-3, cov2=1e-3, n_cases=100),
])  # fmt: skip
def test_every_power_is_a_number_between_0_and_1(components, margin):
    for scope in (Scope.RRRC, Scope.FRRC):
        for readers, cases in ((2, 2), (2, 5000), (20, 50)):
            found = panel_power(
                components, n_readers=readers, n_cases=cases, difference=0.9, scope=scope, margin=margin
            )
            assert 0.9 < found.power <= 1.0, (scope, readers, cases)
            assert found.degrees_of_freedom is None or np.isfinite(found.degrees_of_freedom)


def test_readers_who_do_not_differ_have_the_power_of_fixed_readers():
    components = PanelComponents(reader=0.0, error=1e-3, cov2=1e-3, n_cases=100)
    common = {"n_readers": 5, "n_cases": 80, "difference": 0.08}
    random, fixed = (panel_power(components, scope=scope, **common) for scope in (Scope.RRRC, Scope.FRRC))
    assert random.power == pytest.approx(fixed.power, rel=1e-6)
