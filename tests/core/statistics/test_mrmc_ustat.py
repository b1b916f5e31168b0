"""U- and V-statistic variances against their definitions, and their named states."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.imrmc_ustat import VarianceKind, _comparison, imrmc_analysis
from core.statistics.mrmc import ReaderStudy
from core.statistics.result import State
from tests.core.statistics.test_mrmc import labelled, simulated


def _definition(study: ReaderStudy, first: int, second: int) -> tuple[float, float]:
    """Unbiased and V-statistic covariance of two arms' AUCs by summing over every pair of (reader, case, case)."""
    assert study.ratings is not None
    positive, negative = np.flatnonzero(study.truth == 1), np.flatnonzero(study.truth == 0)

    def terms(arm: int) -> list[tuple[int, int, int, float]]:
        rows = study.ratings[0][arm]  # type: ignore[index]  # asserted above
        found = []
        for r, i, j in product(range(len(study.readers)), negative, positive):
            low, high = rows[r, i], rows[r, j]
            if not np.isnan(low + high):
                found.append((r, int(i), int(j), float(high > low) + 0.5 * float(high == low)))
        return found

    a, b = terms(first), terms(second)
    auc_a, auc_b = (np.mean([term[3] for term in group]) for group in (a, b))
    apart = [x[3] * y[3] for x, y in product(a, b) if x[0] != y[0] and x[1] != y[1] and x[2] != y[2]]
    # The unbiased variance is the mean of all products minus the mean of those that share nothing.
    unbiased = float(auc_a * auc_b - np.mean(apart))
    # The V-statistic replaces each unbiased moment with the mean over all products that may share more.
    coefficients, moments = np.zeros(8), np.zeros(8)
    for x, y in product(a, b):
        key = (0 if x[0] == y[0] else 4) + {(1, 1): 0, (0, 1): 1, (1, 0): 2, (0, 0): 3}[
            (int(x[1] == y[1]), int(x[2] == y[2]))
        ]
        coefficients[key] += 1.0
    coefficients /= len(a) * len(b)
    coefficients[7] -= 1.0
    for key in range(8):
        chosen = [
            x[3] * y[3]
            for x, y in product(a, b)
            if (key >= 4 or x[0] == y[0])
            and (key % 4 in (1, 3) or x[1] == y[1])
            and (key % 4 in (2, 3) or x[2] == y[2])
        ]
        moments[key] = np.mean(chosen) if chosen else 0.0
    return unbiased, float(coefficients @ moments)


@pytest.mark.parametrize("is_complete", [True, False])
def test_variances_equal_their_definition_also_with_missing_readings(is_complete: bool) -> None:
    study = simulated(3, n_readers=3, n_cases=9)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    if not is_complete:
        ratings[0, 0, 1] = ratings[1, 2, 6] = ratings[0, 1, 7] = np.nan
    study = ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1))
    own = [_definition(study, arm, arm) for arm in range(2)]
    cross = _definition(study, 0, 1)
    for which, kind in enumerate(("ustat", "mle")):
        result = imrmc_analysis(study, kind=kind)
        assert result.arms[0].variance == pytest.approx(own[0][which], rel=1e-9, abs=1e-13)
        assert result.arms[1].variance == pytest.approx(own[1][which], rel=1e-9, abs=1e-13)
        expected = own[0][which] + own[1][which] - 2 * cross[which]
        assert result.pairs[0].variance == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_negative_variance_is_a_named_state_without_a_test() -> None:
    for seed in range(300):
        study = simulated(seed, n_readers=3, n_cases=12, steps=3)
        pair = imrmc_analysis(study).pairs[0]
        if pair.variance < 0:
            break
    else:
        pytest.fail("no simulated study has a negative variance")
    assert pair.test.state is State.UNDEFINED
    assert pair.test.p_value is None
    assert pair.degrees_of_freedom is None
    assert pair.estimate.state is State.DEGENERATE
    assert pair.estimate.value == pytest.approx(pair.first_auc - (pair.second_auc or 0.0))
    assert pair.estimate.reason is not None
    assert "negative" in pair.estimate.reason
    assert imrmc_analysis(study, kind="mle").pairs[0].variance > 0


def test_order_of_readers_and_cases_never_matters() -> None:
    study = simulated(11)
    assert study.ratings is not None
    rng = np.random.default_rng(0)
    readers, cases = rng.permutation(4), rng.permutation(24)
    other = ReaderStudy.from_dense(
        study.truth[cases], ratings=study.ratings[0][:, readers][:, :, cases], classes=(0, 1)
    )
    first, second = imrmc_analysis(study).pairs[0], imrmc_analysis(other).pairs[0]
    assert first.variance == pytest.approx(second.variance, rel=1e-9)
    assert first.degrees_of_freedom == pytest.approx(second.degrees_of_freedom, rel=1e-9)


def test_one_class_of_several_against_the_rest() -> None:
    study = labelled(2)
    result = imrmc_analysis(study, positive=1)
    expected = study.figures("auc", positive=1).values().mean(axis=1)
    assert [arm.first_auc for arm in result.arms] == pytest.approx(list(expected))
    with pytest.raises(StatisticsInputError, match="positive"):
        imrmc_analysis(study)


def test_too_few_readers_or_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UndefinedStatisticError, match="1 readers"):
        imrmc_analysis(simulated(1, n_readers=1))
    with pytest.raises(StatisticsInputError, match="kind"):
        imrmc_analysis(simulated(1), kind="bayes")
    with pytest.raises(StatisticsInputError, match="pair"):
        imrmc_analysis(simulated(1)).pair("arm 2", "arm 1")


def test_no_number_is_nan_and_degrees_of_freedom_are_imrmcs():
    """Normal from 50 degrees of freedom on, t with them rounded down below, no test below one."""
    states = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = np.arange(8) < 4
        ratings = rng.integers(0, 3, size=(2, 2, 8)).astype(float)
        ratings[rng.random(ratings.shape) < 0.2] = np.nan
        study = ReaderStudy.from_dense(truth, ratings=ratings)
        for kind in ("ustat", "mle"):
            try:
                found = imrmc_analysis(study, kind=kind)
            except UndefinedStatisticError:
                continue
            for row in (*found.arms, *found.pairs):
                numbers = (row.test.p_value, row.estimate.lower, row.estimate.upper, row.estimate.standard_error)
                assert not any(number is not None and np.isnan(number) for number in numbers)
                states.add((row.test.state, row.estimate.state))
                if row.test.state is State.ESTIMATED:
                    low = -1.0 if row.second else 0.0
                    assert low <= row.estimate.lower <= row.estimate.value <= row.estimate.upper <= 1.0
                    df = row.degrees_of_freedom
                    assert row.test.degrees_of_freedom == (None if df >= 50.0 else np.floor(df))
                elif row.degrees_of_freedom is not None:
                    assert row.degrees_of_freedom < 1.0
                    assert "degrees of freedom" in row.test.reason
    assert (State.ESTIMATED, State.ESTIMATED) in states


@pytest.mark.parametrize(("df", "shown"), [(49.99, 49.0), (50.0, None), (0.6, 0.6)])
def test_the_normal_begins_at_fifty_degrees_of_freedom(df, shown):
    row = _comparison("a", "b", 0.8, 0.7, 0.001, 0.001, 0.001, df, 0.0, 0.95, VarianceKind.U_STATISTIC)
    assert row.test.degrees_of_freedom == shown
    assert (row.test.p_value is None) == (df < 1.0)


def _share_covariance(outcomes: np.ndarray, first: int, second: int) -> float:
    """Unbiased covariance of two arms' pooled shares: product minus its mean over pairs that share nothing."""
    terms = [
        [
            (r, c, outcomes[arm, r, c])
            for r in range(outcomes.shape[1])
            for c in range(outcomes.shape[2])
            if not np.isnan(outcomes[arm, r, c])
        ]
        for arm in (first, second)
    ]
    shares = [np.mean([value for _, _, value in part]) for part in terms]
    apart = [a * b for (r, c, a), (s, d, b) in product(*terms) if r != s and c != d]
    same_case = [a * b for (r, c, a), (s, d, b) in product(*terms) if r != s and c == d]
    same_reader = [a * b for (r, c, a), (s, d, b) in product(*terms) if r == s and c != d]
    same = [a * b for (r, c, a), (s, d, b) in product(*terms) if r == s and c == d]
    total = len(terms[0]) * len(terms[1])
    mean_square = sum(np.sum(part) for part in (apart, same_case, same_reader, same)) / total
    assert mean_square == pytest.approx(shares[0] * shares[1])
    expected = sum(len(part) * np.mean(part) for part in (apart, same_case, same_reader, same) if part) / total
    return float(expected - np.mean(apart))


@pytest.mark.parametrize("with_gaps", [False, True])
@pytest.mark.parametrize("figure", ["accuracy", "sensitivity", "specificity"])
def test_share_of_right_answers_by_definition(figure: str, with_gaps: bool) -> None:
    rng = np.random.default_rng(5)
    truth = np.arange(12) % 2
    labels = np.where(rng.random((2, 3, 12)) < 0.75, truth, 1 - truth).astype(float)
    if with_gaps:  # split-plot: readers read half of the cases in one arm each
        labels[0, 0, :6], labels[1, 1, 6:], labels[0, 2, 3] = np.nan, np.nan, np.nan
    found = imrmc_analysis(ReaderStudy.from_dense(truth, labels=labels, classes=(0, 1)), figure=figure)
    counted = {"accuracy": truth >= 0, "sensitivity": truth == 1, "specificity": truth == 0}[figure]
    outcomes = np.where(np.isnan(labels), np.nan, labels == truth)[:, :, counted]
    own = [_share_covariance(outcomes, arm, arm) for arm in range(2)]
    for arm in range(2):
        assert found.arms[arm].first_auc == pytest.approx(np.nanmean(outcomes[arm]))
        assert found.arms[arm].variance == pytest.approx(own[arm])
        assert found.arms[arm].test.p_value is None
    pair = found.pairs[0]
    assert pair.variance == pytest.approx(sum(own) - 2.0 * _share_covariance(outcomes, 0, 1))
    assert pair.estimate.value == pytest.approx(np.nanmean(outcomes[0]) - np.nanmean(outcomes[1]))


def test_shares_need_labels() -> None:
    with pytest.raises(StatisticsInputError, match="labels"):
        imrmc_analysis(simulated(1), figure="accuracy")
    with pytest.raises(StatisticsInputError, match="figure"):
        imrmc_analysis(simulated(1), figure="f1")
