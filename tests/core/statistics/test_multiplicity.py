"""Adjusted p values: equal to statsmodels', order does not matter, undefined tests take no part."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from core.errors import StatisticsInputError
from core.statistics.multiplicity import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.fixture(scope="module", autouse=True)
def no_collection() -> Iterator[None]:
    """statsmodels' function collects Python's garbage at every call, which takes most of a second late in the suite."""
    with mock.patch("gc.collect", return_value=0):
        yield


@pytest.mark.parametrize(("adjust", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
@given(p_values=P_VALUES)
def test_adjusted_values_equal_those_of_statsmodels(adjust, name: str, p_values: list[float]) -> None:
    np.testing.assert_allclose(adjust(p_values), multipletests(p_values, method=name)[1], rtol=1e-12, atol=1e-300)


def test_example_of_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_undefined_tests_stay_undefined_and_take_no_part(adjust) -> None:
    first, second = adjust([0.02, 0.01])
    assert adjust([None, 0.02, None, 0.01]) == (None, first, None, second)
    assert adjust([]) == ()
    assert adjust([None, None]) == (None, None)


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan")])
def test_a_p_value_outside_0_to_1_is_named_by_its_position(bad: float) -> None:
    with pytest.raises(StatisticsInputError, match="position 2"):
        holm([0.1, None, bad])
