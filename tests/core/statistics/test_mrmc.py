"""Obuchowski-Rockette, Dorfman-Berbaum-Metz: what must hold for any study."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.dbm import dorfman_berbaum_metz
from core.statistics.delong import delong_components
from core.statistics.figure_of_merit import auc_curves
from core.statistics.mrmc import ReaderStudy, compare_arms, compare_arms_per_class
from core.statistics.non_inferiority import assess_margin
from core.statistics.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from core.statistics.result import SMALLEST_P, State
from core.statistics.roe_metz import RoeMetzModel
from core.statistics.scope import NO_READER_VARIANCE, Scope, contrast_test
from core.statistics.standalone import compare_model_with_readers

COVARIANCES = ("jackknife", "delong", "unbiased")


def simulated(seed: int, n_readers: int = 4, n_cases: int = 24, n_arms: int = 2, steps: int = 6) -> ReaderStudy:
    """A study with ties: Roe-Metz ratings cut into steps."""
    model = RoeMetzModel((1.0, 1.6, 1.3)[:n_arms], 0.03, 0.03, 0.3, 0.3, 0.2, 0.2)
    study = model.simulate(
        n_readers=n_readers, n_positive=n_cases // 2, n_negative=n_cases - n_cases // 2, rng=np.random.default_rng(seed)
    )
    assert study.ratings is not None
    edges = np.quantile(study.ratings, np.linspace(0, 1, steps + 1)[1:-1])
    return ReaderStudy.from_dense(study.truth, ratings=np.digitize(study.ratings[0], edges), classes=(0, 1))


def numbers(result: ObuchowskiRockette) -> np.ndarray:
    """Everything that the three scopes say, as one vector."""
    found: list[float | None] = []
    for scope in result.scopes:
        found += [scope.overall.statistic, scope.overall.p_value]
        for contrast in scope.contrasts:
            difference = contrast.test.difference
            assert difference is not None
            found += [difference.value, difference.standard_error, difference.lower, difference.upper]
        for mean in scope.means:
            found += [mean.value, mean.standard_error, mean.lower, mean.upper]
    return np.array([np.nan if value is None else value for value in found])


def rearranged(study: ReaderStudy, readers: np.ndarray, cases: np.ndarray) -> ReaderStudy:
    """The same study with readers and cases in another order."""
    assert study.ratings is not None
    ratings = study.ratings[0][:, readers][:, :, cases]
    return ReaderStudy.from_dense(study.truth[cases], ratings=ratings, classes=study.classes)


@given(seed=st.integers(0, 10_000), covariance=st.sampled_from(COVARIANCES))
@settings(max_examples=25, deadline=None)
def test_order_of_readers_and_cases_never_matters(seed: int, covariance: str) -> None:
    rng = np.random.default_rng(seed)
    study = simulated(seed, n_arms=3)
    other = rearranged(study, rng.permutation(4), rng.permutation(24))
    first, second = (compare_arms(item, covariance=covariance) for item in (study, other))
    np.testing.assert_allclose(numbers(first), numbers(second), rtol=1e-8, atol=1e-12)


@given(seed=st.integers(0, 10_000), covariance=st.sampled_from(COVARIANCES))
@settings(max_examples=25, deadline=None)
def test_monotone_transform_of_each_readers_ratings_changes_nothing(seed: int, covariance: str) -> None:
    study = simulated(seed)
    assert study.ratings is not None
    stretched = study.ratings[0].copy()
    for reader in range(4):
        stretched[:, reader] = np.exp(stretched[:, reader] / (reader + 1)) - 5
    other = ReaderStudy.from_dense(study.truth, ratings=stretched, classes=study.classes)
    first, second = (compare_arms(item, covariance=covariance) for item in (study, other))
    np.testing.assert_allclose(numbers(first), numbers(second), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_identical_arms_differ_by_zero_and_have_no_test(covariance: str) -> None:
    study = simulated(3)
    assert study.ratings is not None
    twice = ReaderStudy.from_dense(study.truth, ratings=study.ratings[0][[0, 0]], classes=study.classes)
    result = compare_arms(twice, covariance=covariance)
    for scope in result.scopes:
        difference = scope.contrasts[0].test.difference
        assert difference is not None
        assert difference.value == 0.0
        assert difference.state is State.DEGENERATE
        assert scope.overall.state is State.UNDEFINED
        assert scope.overall.p_value is None
        assert scope.overall.reason
    for anova in dorfman_berbaum_metz(twice.figures()).scopes:
        assert anova.overall.state is State.UNDEFINED
        assert anova.contrasts[0].test.difference is not None
        assert anova.contrasts[0].test.difference.state is State.DEGENERATE


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_one_reader_is_delongs_paired_test(seed: int) -> None:
    study = simulated(seed, n_readers=1, n_cases=40)
    assert study.ratings is not None
    components = delong_components(study.truth == 1, study.ratings[0][:, 0])
    covariance = components.covariance()
    difference = components.auc[0] - components.auc[1]
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    result = compare_arms(study, covariance="delong")
    test = result.scope("FRRC").contrasts[0].test
    assert test.statistic == pytest.approx(difference / error, rel=1e-10)
    assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(difference / error)), rel=1e-9)
    for scope in (Scope.RRRC, Scope.RRFC):
        undefined = result.scope(scope)
        assert undefined.overall.state is State.UNDEFINED
        assert "one reader" in str(undefined.overall.reason)
        kept = undefined.contrasts[0].test.difference
        assert kept is not None
        assert kept.value == pytest.approx(difference)


@given(seed=st.integers(0, 10_000), n_arms=st.integers(2, 3))
@settings(max_examples=20, deadline=None)
def test_dbm_equals_obuchowski_rockette_with_jackknife(seed: int, n_arms: int) -> None:
    figures = simulated(seed, n_arms=n_arms).figures()
    first, second = obuchowski_rockette(figures, covariance="jackknife"), dorfman_berbaum_metz(figures)
    for scope in (Scope.RRRC, Scope.RRFC):
        assert second.scope(scope).overall.statistic == pytest.approx(first.scope(scope).overall.statistic, rel=1e-8)
        assert second.scope(scope).overall.p_value == pytest.approx(first.scope(scope).overall.p_value, rel=1e-7)
    # Chi-squared against F on the same mean squares; nothing is clipped in either.
    chi_squared = first.scope("FRRC").overall.statistic
    assert chi_squared is not None
    assert second.scope("FRRC").overall.statistic == pytest.approx(chi_squared / (n_arms - 1), rel=1e-7)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_jackknife_shortcut_equals_leaving_each_case_out(seed: int) -> None:
    study = simulated(seed, n_readers=2, n_cases=14)
    assert study.ratings is not None
    truth, ratings = study.truth == 1, study.ratings[0].reshape(4, -1)
    curves = auc_curves(truth, ratings)
    for case in range(14):
        kept = np.arange(14) != case
        expected = delong_components(truth[kept], ratings[:, kept]).auc
        np.testing.assert_allclose(curves.leave_one_out[:, case], expected, rtol=1e-12)


@given(seed=st.integers(0, 10_000), is_complete=st.booleans())
@settings(max_examples=15, deadline=None)
def test_unbiased_covariance_equals_its_definition(seed: int, is_complete: bool) -> None:
    """Product of the AUCs minus the mean product over pairs of pairs that share no case."""
    rng = np.random.default_rng(seed)
    truth = np.arange(13) < 5
    ratings = rng.integers(0, 4, (2, 13)) + truth * rng.integers(0, 3, (2, 13)).astype(float)
    if not is_complete:
        ratings[0, 1] = ratings[1, 7] = np.nan
    wins: list[dict[tuple[int, int], float]] = []
    for row in ratings:
        pairs = [(i, j) for i in np.flatnonzero(truth) for j in np.flatnonzero(~truth)]
        read = [(int(i), int(j)) for i, j in pairs if not np.isnan(row[i] + row[j])]
        wins.append({(i, j): float(row[i] > row[j]) + 0.5 * float(row[i] == row[j]) for i, j in read})
    apart = [x * y for a, x in wins[0].items() for b, y in wins[1].items() if a[0] != b[0] and a[1] != b[1]]
    expected = np.mean(list(wins[0].values())) * np.mean(list(wins[1].values())) - np.mean(apart)
    assert auc_curves(truth, ratings).covariance("unbiased")[0, 1] == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_missing_readings_are_counted_noted_and_not_imputed() -> None:
    study = simulated(5, n_cases=40)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    ratings[0, 1, 3] = ratings[1, 2, 25] = np.nan
    result = compare_arms(ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1)), covariance="delong")
    assert result.n_readings_missing == 2
    assert any("2 reader-case cells" in note for note in result.notes)
    kept = np.arange(40) != 3
    expected = delong_components(study.truth[kept] == 1, ratings[0, 1, kept]).auc[0]
    assert result.values[0, 1] == expected
    assert result.scope("RRRC").overall.p_value is not None


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_cases_nested_in_readers_have_no_covariance_between_readers(covariance: str) -> None:
    blocks = [simulated(seed, n_readers=1, n_cases=20) for seed in range(3)]
    ratings = np.full((2, 3, 60), np.nan)
    for index, block in enumerate(blocks):
        assert block.ratings is not None
        ratings[:, index, 20 * index : 20 * (index + 1)] = block.ratings[0][:, 0]
    study = ReaderStudy.from_dense(np.concatenate([block.truth for block in blocks]), ratings=ratings, classes=(0, 1))
    result = compare_arms(study, covariance=covariance)
    assert result.components.cov2 == pytest.approx(0.0, abs=1e-15)
    assert result.components.cov3 == pytest.approx(0.0, abs=1e-15)
    overall = result.scope("RRRC").overall
    assert overall.degrees_of_freedom == pytest.approx((1.0, 2.0))
    paired = stats.ttest_rel(result.values[0], result.values[1])
    assert overall.p_value == pytest.approx(paired.pvalue, rel=1e-6)
    assert any("cases of their own" in note for note in result.notes)


def test_cases_nested_in_arms_have_no_covariance_between_arms() -> None:
    study = simulated(8, n_cases=40)
    assert study.ratings is not None
    ratings = np.full((2, 4, 80), np.nan)
    ratings[0, :, :40], ratings[1, :, 40:] = study.ratings[0][0], study.ratings[0][1]
    result = compare_arms(ReaderStudy.from_dense(np.tile(study.truth, 2), ratings=ratings, classes=(0, 1)))
    assert result.components.cov1 == pytest.approx(0.0, abs=1e-15)
    assert result.components.cov3 == pytest.approx(0.0, abs=1e-15)
    assert result.components.cov2 is not None
    assert result.components.cov2 > 0
    assert any("every arm has cases of its own" in note for note in result.notes)


@pytest.mark.parametrize("readers_in_arms", [(3, 3), (2, 4)])
def test_readers_nested_in_arms_follow_the_marginal_mean_analysis(readers_in_arms: tuple[int, int]) -> None:
    """Hillis 2014, computed here from his formulas by hand."""
    study = simulated(9, n_readers=6, n_cases=40)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    ratings[0, readers_in_arms[0] :] = np.nan
    ratings[1, : readers_in_arms[0]] = np.nan
    result = compare_arms(ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1)), covariance="delong")
    groups = [result.values[arm][~np.isnan(result.values[arm])] for arm in range(2)]
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / 4
    n1, n2 = readers_in_arms
    a = np.repeat([0, 1], readers_in_arms)
    same = (a[:, None] == a) & ~np.eye(6, dtype=bool)
    cov2, cov3 = result.covariance[same].mean(), result.covariance[a[:, None] != a].mean()
    shared = max(cov2 - cov3, 0)
    variance = (1 / n1 + 1 / n2) * within + 2 * shared
    difference = groups[0].mean() - groups[1].mean()
    test = result.scope("RRRC").contrasts[0].test
    assert test.statistic == pytest.approx(difference / np.sqrt(variance), rel=1e-9)
    df = 4 * (1 + 2 * n1 * n2 / 6 * shared / within) ** 2
    assert test.degrees_of_freedom == pytest.approx(df, rel=1e-9)
    overall = result.scope("RRRC").overall
    assert overall.statistic == pytest.approx(test.statistic**2, rel=1e-9)
    assert result.components.cov1 is None


def test_reader_with_some_arms_is_left_out_by_name() -> None:
    study = simulated(4, n_readers=5, n_cases=30)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    ratings[1, 4] = np.nan
    readers = ("Ada", "Bo", "Cy", "Di", "Eve")
    result = compare_arms(ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1), readers=readers))
    without = compare_arms(ReaderStudy.from_dense(study.truth, ratings=ratings[:, :4], classes=(0, 1)))
    assert result.readers == readers[:4]
    assert any("Eve" in note for note in result.notes)
    np.testing.assert_allclose(numbers(result), numbers(without), rtol=1e-12)


def test_no_reader_with_all_arms_is_undefined_not_a_number() -> None:
    study = simulated(4, n_readers=3, n_cases=30, n_arms=3)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    for index in range(3):
        ratings[index, index] = np.nan
    with pytest.raises(UndefinedStatisticError, match="No reader"):
        compare_arms(ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1)))


def test_clipping_follows_the_stated_convention() -> None:
    """Cov2 < Cov3: RRRC takes 0 (DBM does the same), FRRC takes the negative difference."""
    for seed in range(200):
        study = simulated(seed, n_readers=3, n_cases=20)
        result = compare_arms(study)
        parts = result.components
        assert parts.cov1 is not None
        assert parts.cov2 is not None
        assert parts.cov3 is not None
        if parts.cov2 < parts.cov3:
            break
    else:
        pytest.fail("no simulated study has Cov2 < Cov3")
    assert result.scope("RRRC").denominator == pytest.approx(result.mean_square_arm_reader)
    expected = parts.error - parts.cov1 + 2 * (parts.cov2 - parts.cov3)
    assert result.scope("FRRC").denominator == pytest.approx(expected)
    dbm = dorfman_berbaum_metz(study.figures())
    assert dbm.scope("RRRC").denominator == pytest.approx(dbm.mean_squares["TR"])
    assert dbm.scope("RRRC").overall.p_value == pytest.approx(result.scope("RRRC").overall.p_value)


def labelled(seed: int, n_cases: int = 60, n_readers: int = 4) -> ReaderStudy:
    """Four classes, two arms, labels and ratings."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(n_cases) % 4)
    signal = np.eye(4)[truth].T[:, None, None, :]
    scores = signal * np.array([1.0, 1.6])[:, None, None] + rng.normal(0, 1, (4, 2, n_readers, n_cases))
    return ReaderStudy.from_dense(truth, ratings=scores, labels=scores.argmax(axis=0), classes=(0, 1, 2, 3))


@pytest.mark.parametrize("figure", ["auc", "accuracy", "sensitivity", "specificity"])
def test_every_figure_is_analysed_per_class_and_averaged(figure: str) -> None:
    study = labelled(1)
    results = compare_arms_per_class(study, figure=figure)
    assert [item.class_key for item in results] == [None, 0, 1, 2, 3]
    analyses = [item.result for item in results]
    per_class = np.array([item.values for item in analyses[1:] if item is not None])
    assert per_class.shape == (4, 2, 4)
    assert analyses[0] is not None
    if figure == "accuracy":
        assert study.labels is not None
        np.testing.assert_allclose(analyses[0].values, (study.labels == study.truth).mean(axis=2))
    else:
        np.testing.assert_allclose(analyses[0].values, per_class.mean(axis=0))
    for item in results[1:]:
        assert item.result is not None
        raw = item.result.scope("RRRC").overall.p_value
        adjusted = item.p_holm[Scope.RRRC]
        assert raw is not None
        assert adjusted is not None
        assert raw <= adjusted <= 1


def test_sensitivity_of_a_class_counts_only_its_cases() -> None:
    study = labelled(2)
    assert study.labels is not None
    values = study.figures("sensitivity", positive=2).values()
    expected = (study.labels[:, :, study.truth == 2] == 2).mean(axis=2)
    np.testing.assert_allclose(values, expected)
    specificity = study.figures("specificity", positive=2).values()
    np.testing.assert_allclose(specificity, (study.labels[:, :, study.truth != 2] != 2).mean(axis=2))


@pytest.mark.parametrize("figure", ["accuracy", "sensitivity"])
def test_variance_of_a_proportion_is_the_binomial_one(figure: str) -> None:
    figures = labelled(3).figures(figure, positive=1 if figure == "sensitivity" else None)
    n = 15 if figure == "sensitivity" else 60
    expected = figures.curves.values * (1 - figures.curves.values) / (n - 1)
    np.testing.assert_allclose(np.diag(figures.curves.covariance("delong")), expected)
    jackknife = np.diag(figures.curves.covariance("jackknife"))
    np.testing.assert_allclose(jackknife, expected * (59 / 60) * (n / (n - 1)))


def test_unbiased_covariance_of_an_average_over_classes_is_refused() -> None:
    with pytest.raises(StatisticsInputError, match="unbiased"):
        compare_arms(labelled(1), covariance="unbiased")


def test_absent_class_is_a_reason_and_hides_no_other_class() -> None:
    study = labelled(1)
    kept = study.truth != 3
    assert study.labels is not None
    smaller = ReaderStudy.from_dense(study.truth[kept], labels=study.labels[:, :, kept], classes=(0, 1, 2, 3))
    results = compare_arms_per_class(smaller, figure="sensitivity")
    assert [item.result is None for item in results] == [True, False, False, False, True]
    assert results[4].reason is not None
    assert "0 cases" in results[4].reason
    assert results[4].p_holm[Scope.RRRC] is None


def test_perfect_readers_have_a_value_and_no_interval() -> None:
    truth = np.repeat([0, 1], 10)
    result = compare_arms(ReaderStudy.from_dense(truth, ratings=np.tile(truth, (2, 3, 1)), classes=(0, 1)))
    for scope in result.scopes:
        assert [mean.value for mean in scope.means] == [1.0, 1.0]
        assert all(mean.state is State.DEGENERATE for mean in scope.means)
        assert scope.overall.state is State.UNDEFINED


def test_few_readers_are_told_not_to_generalise() -> None:
    assert any("FRRC" in note for note in compare_arms(simulated(1, n_readers=2)).notes)
    assert not any("FRRC" in note for note in compare_arms(simulated(1, n_readers=5)).notes)


def test_single_arm_has_means_and_nothing_to_compare() -> None:
    result = compare_arms(simulated(1, n_arms=1))
    assert result.scope("RRRC").overall.state is State.UNDEFINED
    assert result.scope("RRRC").contrasts == ()
    assert result.scope("RRRC").means[0].standard_error is not None


def test_dbm_refuses_missing_readings_and_single_arms() -> None:
    study = simulated(5)
    assert study.ratings is not None
    ratings = study.ratings[0].copy()
    ratings[0, 0, 0] = np.nan
    with pytest.raises(UndefinedStatisticError, match="every reading"):
        dorfman_berbaum_metz(ReaderStudy.from_dense(study.truth, ratings=ratings, classes=(0, 1)).figures())
    with pytest.raises(UndefinedStatisticError, match="two arms"):
        dorfman_berbaum_metz(simulated(1, n_arms=1).figures())


@pytest.mark.parametrize(("argument", "value"), [("covariance", "bayes"), ("figure", "f1"), ("positive", "z")])
def test_unknown_choices_are_named(argument: str, value: str) -> None:
    with pytest.raises(StatisticsInputError, match=argument):
        compare_arms(simulated(1), **{argument: value})  # type: ignore[arg-type]


def test_readers_who_are_all_alike_leave_no_quotient_of_rounding_errors() -> None:
    """Equal readers once gave 3.5e48 degrees of freedom."""
    rng, n = np.random.default_rng(5), 90
    truth = np.arange(n) % 3 == 0
    ratings = np.stack([truth * 1.0 + rng.normal(size=n), truth * 0.3 + rng.normal(size=n)])
    alike = ReaderStudy.from_dense(truth.astype(int), ratings=np.repeat(ratings[:, None], 7, axis=1), classes=(0, 1))
    found = compare_arms(alike)
    random, fixed = found.scope("RRRC"), found.scope("FRRC")
    assert random.overall.degrees_of_freedom == (1.0, np.inf)
    (contrast,), (as_fixed,) = random.contrasts, fixed.contrasts
    assert contrast.test.degrees_of_freedom == np.inf
    assert contrast.test.p_value == pytest.approx(as_fixed.test.p_value)
    assert NO_READER_VARIANCE in contrast.test.notes
    assert NO_READER_VARIANCE in random.overall.notes
    assert all(NO_READER_VARIANCE in mean.notes for mean in random.means)
    assert dorfman_berbaum_metz(alike.figures("auc")).scope("RRRC").overall.degrees_of_freedom == (1.0, np.inf)
    one_arm = ReaderStudy.from_dense(truth.astype(int), ratings=np.repeat(ratings[:1, None], 7, axis=1), classes=(0, 1))
    against = compare_model_with_readers(one_arm, model_ratings=ratings[1]).scope("RRRC")
    assert against.test.degrees_of_freedom == against.panel_degrees_of_freedom == np.inf
    assert NO_READER_VARIANCE in against.test.notes


def test_a_p_value_is_never_0() -> None:
    for df in (None, np.inf, 1e6):
        test = contrast_test(0.5, 1e-6, df, 0.95, "any", 0.01)
        assert test.statistic == pytest.approx(500)
        assert test.p_value == SMALLEST_P
    assert "p < 0.0001" in str(test)
    verdict = assess_margin(test.difference, 0.1) if test.difference is not None else None
    assert verdict is not None
    assert (verdict.p_value, verdict.is_shown) == (SMALLEST_P, True)
