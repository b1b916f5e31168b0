"""What is led with, and what must be said when random readers look more certain than fixed ones."""

import numpy as np
import pytest

from core.statistics.dbm import dorfman_berbaum_metz
from core.statistics.obuchowski_rockette import obuchowski_rockette
from core.statistics.reader_study import ReaderStudy
from core.statistics.scope import ZERO_READER_VARIANCE, Scope, few_readers_note, leading_scope
from core.statistics.standalone import compare_model_with_readers


def study_of(seed, n_readers, n_cases, n_arms=2):
    rng = np.random.default_rng(seed)
    truth = np.arange(n_cases) % 2
    shared = rng.normal(size=n_cases) + truth
    ratings = np.round(shared + rng.normal(size=(n_arms, n_readers, n_cases)) + truth, 1)
    return ReaderStudy.from_dense(truth, ratings=ratings, classes=(0, 1)), np.round(shared + 2 * truth, 1)


def test_fixed_readers_lead_below_five():
    assert [leading_scope(n) for n in (1, 2, 4, 5, 20)] == [Scope.FRRC] * 3 + [Scope.RRRC] * 2
    assert few_readers_note(5) == ()
    assert few_readers_note(4)[0].startswith("4 readers cannot represent")
    assert few_readers_note(1)[0].startswith("1 reader cannot represent")


@pytest.mark.parametrize("n_readers", [2, 3, 6])
def test_no_random_interval_is_narrower_than_the_fixed_one_without_saying_why(n_readers):
    said = 0
    for seed in range(40):
        study, model = study_of(seed, n_readers, 16)
        arms, figures = obuchowski_rockette(study.figures()), study.figures()
        panel = compare_model_with_readers(study_of(seed, n_readers, 16, n_arms=1)[0], model_ratings=model)
        pairs = [
            (arms.scope("RRRC").contrasts[0].test, arms.scope("FRRC").contrasts[0].test),
            (panel.scope("RRRC").test, panel.scope("FRRC").test),
        ]
        dbm = dorfman_berbaum_metz(figures)
        pairs.append((dbm.scope("RRRC").contrasts[0].test, dbm.scope("FRRC").contrasts[0].test))
        for random, fixed in pairs:
            one, two = random.difference, fixed.difference
            if one.lower is None or two.lower is None:
                continue
            is_said = random.notes[:1] == (ZERO_READER_VARIANCE,)
            said += is_said
            assert is_said == (one.standard_error < two.standard_error * (1 - 1e-12))
            assert is_said or one.upper - one.lower >= two.upper - two.lower - 1e-9
            assert -1.0 <= one.lower <= one.upper <= 1.0
            assert ZERO_READER_VARIANCE not in fixed.notes
        for random, fixed in zip(arms.scope("RRRC").means, arms.scope("FRRC").means, strict=True):
            if random.standard_error is not None and fixed.standard_error is not None:
                assert (ZERO_READER_VARIANCE in random.notes) == (random.standard_error < fixed.standard_error)
    assert said > 5


def test_panel_mean_has_its_degrees_of_freedom():
    """Mean of readers by t with Hillis' df: r - 1 of them where the readers' errors do not covary."""
    study, model = study_of(3, 6, 60, n_arms=1)
    found = compare_model_with_readers(study, model_ratings=model)
    assert found.scope("FRRC").panel_degrees_of_freedom is None
    assert found.scope("RRRC").panel_degrees_of_freedom >= 5.0
    assert found.scope("RRFC").panel_degrees_of_freedom == pytest.approx(5.0)
    arms = obuchowski_rockette(study.figures())
    for scope in Scope:
        assert found.scope(scope).panel == arms.scope(scope).means[0] or found.scope(scope).panel.standard_error == (
            pytest.approx(arms.scope(scope).means[0].standard_error)
        )
        assert found.scope(scope).panel_degrees_of_freedom == pytest.approx(
            arms.scope(scope).mean_degrees_of_freedom[0]
        )


def test_components_follow_one_convention_when_cov2_is_below_cov3():
    """RJafroc's: Cov2 - Cov3 clipped in arm_by_reader, and the expected MS(R) holds for what is left."""
    seen = 0
    for seed in range(40):
        found = obuchowski_rockette(study_of(seed, 3, 20)[0].figures())
        parts = found.components
        shared = max(parts.cov2 - parts.cov3, 0.0)
        seen += parts.cov2 < parts.cov3
        assert parts.arm_by_reader == pytest.approx(found.mean_square_arm_reader - parts.error + parts.cov1 + shared)
        expected = 2 * parts.reader + parts.arm_by_reader + parts.error - parts.cov2 + parts.cov1 - parts.cov3
        assert found.mean_square_reader == pytest.approx(expected)
    assert seen > 3
