"""Power and sample size: limits that must hold, and formulas against independent ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.mrmc import compare_arms
from core.statistics.planning import (
    OrComponents,
    auc_error_variance,
    cases_for_auc,
    cases_for_power,
    cases_for_proportion,
    mrmc_power,
    power_table,
    readers_for_power,
)
from core.statistics.roe_metz import RoeMetzModel
from core.statistics.scope import Scope
from tests.core.statistics.test_mrmc import labelled, simulated

# About those of Van Dyke et al. 1993 (5 readers, 114 cases).
COMPONENTS = OrComponents(0.0002, 0.0008, 0.00035, 0.00034, 0.00024, 114)


@pytest.mark.parametrize("scope", list(Scope))
def test_no_difference_has_the_power_of_the_significance_level(scope: Scope) -> None:
    power = mrmc_power(COMPONENTS, n_readers=5, n_cases=100, difference=0.0, scope=scope, significance_level=0.03)
    assert power.power == pytest.approx(0.03)


@pytest.mark.parametrize("scope", list(Scope))
def test_power_grows_with_the_difference_and_with_readers(scope: Scope) -> None:
    by_difference = [
        mrmc_power(COMPONENTS, n_readers=5, n_cases=100, difference=value, scope=scope).power
        for value in (0.01, 0.03, 0.05, 0.1)
    ]
    assert by_difference == sorted(by_difference)
    by_readers = [item.power for item in power_table(COMPONENTS, readers=range(2, 12), cases=[100], difference=0.04)]
    assert by_readers == sorted(by_readers)


def test_search_returns_the_first_that_reaches_the_power() -> None:
    found = cases_for_power(COMPONENTS, n_readers=6, difference=0.05)
    assert found.is_reached
    assert found.design is not None
    n = found.design.n_cases
    assert mrmc_power(COMPONENTS, n_readers=6, n_cases=n, difference=0.05).power >= 0.8
    assert mrmc_power(COMPONENTS, n_readers=6, n_cases=n - 1, difference=0.05).power < 0.8
    readers = readers_for_power(COMPONENTS, n_cases=n, difference=0.05)
    assert readers.design is not None
    assert readers.design.n_readers == 6


def test_unreachable_power_says_so_and_does_not_claim_a_design() -> None:
    found = cases_for_power(COMPONENTS, n_readers=2, difference=0.02)
    assert not found.is_reached
    assert found.design is None
    assert found.reason is not None
    assert "2000 cases" in found.reason
    assert found.best.power < 0.8
    capped = readers_for_power(COMPONENTS, n_cases=20, difference=0.01, most_readers=30)
    assert not capped.is_reached
    assert "30 readers" in str(capped.reason)


def test_fixed_reader_power_is_that_of_the_contrast() -> None:
    """Var(difference) = 2 / J (Var - Cov1 + (J - 1)(Cov2 - Cov3)), scaled to the planned cases; then a z test."""
    readers, cases, difference = 4, 200, 0.04
    c = COMPONENTS
    variance = 2 / readers * (c.error - c.cov1 + (readers - 1) * (c.cov2 - c.cov3)) * c.n_cases / cases
    z = stats.norm.isf(0.025)
    shift = difference / np.sqrt(variance)
    expected = stats.norm.sf(z - shift) + stats.norm.cdf(-z - shift)
    found = mrmc_power(c, n_readers=readers, n_cases=cases, difference=difference, scope="FRRC")
    assert found.power == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("figure", ["auc", "accuracy"])
def test_pilot_components_serve_any_figure(figure: str) -> None:
    pilot = compare_arms(labelled(3, n_cases=80), figure=figure)
    found = cases_for_power(OrComponents.from_pilot(pilot), n_readers=8, difference=0.15)
    assert found.is_reached


def test_pilot_without_all_components_is_refused() -> None:
    for study in (simulated(1, n_readers=1), simulated(1, n_arms=1)):
        with pytest.raises(UndefinedStatisticError, match="pilot"):
            OrComponents.from_pilot(compare_arms(study))


def test_published_components() -> None:
    components = OrComponents.from_published(
        error=0.0016, n_cases=100, reader_sd=0.03, reader_correlation=0.5, r1=0.5, r2=0.4, r3=0.3
    )
    found = [components.arm_by_reader, components.error, components.cov1, components.cov2, components.cov3]
    assert found == pytest.approx([0.00045, 0.0016, 0.0008, 0.00064, 0.00048])
    assert components.n_cases == 100


def test_planned_power_is_reached_in_simulation() -> None:
    """A Roe-Metz study planned from its own average components is significant about as often as planned."""
    model = RoeMetzModel.structure("LL", separation=1.5, difference=0.55)
    rng = np.random.default_rng(7)
    results = [
        compare_arms(model.simulate(n_readers=5, n_positive=40, n_negative=40, rng=rng), covariance="delong")
        for _ in range(150)
    ]
    parts = [result.components for result in results]
    means = [
        float(np.mean([getattr(item, name) for item in parts]))
        for name in ("arm_by_reader", "error", "cov1", "cov2", "cov3")
    ]
    components = OrComponents(*means, n_cases=80)  # type: ignore[misc]  # five floats
    difference = model.expected_auc(1) - model.expected_auc(0)
    planned = mrmc_power(components, n_readers=5, n_cases=80, difference=difference).power
    p_values = [result.scope("RRRC").overall.p_value for result in results]
    observed = np.mean([p is not None and p < 0.05 for p in p_values])
    assert 0.4 < planned < 0.95
    assert observed == pytest.approx(planned, abs=4 * np.sqrt(planned * (1 - planned) / 150))


def test_auc_error_variance_by_both_formulas() -> None:
    """Hanley and McNeil 1982: 0.893 with 51 abnormal and 58 normal cases (their worked example) has about 0.03."""
    assert np.sqrt(auc_error_variance(0.893, 51, 58, method="hanley-mcneil")) == pytest.approx(0.032, abs=0.0015)
    a = stats.norm.ppf(0.85) * 1.414
    by_hand = 0.0099 * np.exp(-a * a / 2) * ((5 * a * a + 8) + (a * a + 8) * 50 / 100) / 50
    assert auc_error_variance(0.85, 50, 100) == pytest.approx(by_hand)
    first, second = (auc_error_variance(0.8, 60, 60, method=name) for name in ("obuchowski", "hanley-mcneil"))
    assert first == pytest.approx(second, rel=0.25)


def test_cases_for_a_proportion_are_the_fewest() -> None:
    n = cases_for_proportion(0.9, half_width=0.05)
    widths = [np.subtract(*proportion_confint(0.9 * m, m, method="wilson")[::-1]) for m in (n - 1, n)]
    assert widths[0] > 0.1 >= widths[1]
    assert cases_for_proportion(0.5, half_width=0.05, method="normal") == 385  # textbook
    assert cases_for_proportion(0.5, half_width=0.05) > n


def test_cases_for_an_auc_are_the_fewest() -> None:
    n = cases_for_auc(0.9, half_width=0.05, positive_share=0.25)
    half = [1.959964 * np.sqrt(auc_error_variance(0.9, round(m / 4), m - round(m / 4))) for m in (n - 4, n)]
    assert half[0] > 0.05 >= half[1]
    assert cases_for_auc(0.9, half_width=0.025, positive_share=0.25) > 3 * n


@pytest.mark.parametrize(
    "call",
    [
        lambda: mrmc_power(COMPONENTS, n_readers=1, n_cases=50, difference=0.05),
        lambda: mrmc_power(COMPONENTS, n_readers=5, n_cases=1, difference=0.05),
        lambda: mrmc_power(COMPONENTS, n_readers=5, n_cases=50, difference=float("nan")),
        lambda: mrmc_power(COMPONENTS, n_readers=5, n_cases=50, difference=0.05, scope="all"),
        lambda: mrmc_power(COMPONENTS, n_readers=5, n_cases=50, difference=0.05, significance_level=1.0),
        lambda: cases_for_power(COMPONENTS, n_readers=5, difference=0.05, power=1.0),
        lambda: cases_for_power(COMPONENTS, n_readers=5, difference=0.05, most_cases=1),
        lambda: OrComponents(0.1, 0.0, 0.0, 0.0, 0.0, 10),
        lambda: OrComponents(float("nan"), 0.1, 0.0, 0.0, 0.0, 10),
        lambda: OrComponents.from_published(error=0.1, n_cases=10, reader_sd=0.1, r1=1.5, r2=0, r3=0),
        lambda: OrComponents.from_published(error=0.1, n_cases=10, reader_sd=-0.1, r1=0.5, r2=0, r3=0),
        lambda: auc_error_variance(1.0, 5, 5),
        lambda: auc_error_variance(0.9, 0, 5),
        lambda: auc_error_variance(0.9, 5, 5, method="guess"),
        lambda: cases_for_proportion(1.1, half_width=0.05),
        lambda: cases_for_proportion(0.5, half_width=0.0),
        lambda: cases_for_auc(0.9, half_width=0.05, positive_share=0.0),
    ],
)
def test_arguments_out_of_range_are_refused(call: object) -> None:
    with pytest.raises(StatisticsInputError):
        call()  # type: ignore[operator]  # every entry is a function


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"difference": 5.0}, "difference"), ({"difference": -1.0}, "difference"), ({"margin": 5.0}, "margin"),
     ({"power": 80.0}, "power"), ({"significance_level": 5.0}, "significance_level"), ({"n_readers": 1}, "n_readers")],
)  # fmt: skip
def test_points_and_percent_are_refused_with_the_scale(changed: dict[str, float], field: str) -> None:
    with pytest.raises(StatisticsInputError) as refused:
        cases_for_power(COMPONENTS, **{"n_readers": 5, "difference": 0.05} | changed)
    assert refused.value.field == field
    assert refused.value.fix


def test_components_that_leave_no_variance_are_undefined() -> None:
    with pytest.raises(UndefinedStatisticError, match="Cov1"):
        mrmc_power(
            OrComponents(0.0, 0.001, 0.001, 0.0, 0.0, 50), n_readers=5, n_cases=50, difference=0.05, scope="FRRC"
        )
