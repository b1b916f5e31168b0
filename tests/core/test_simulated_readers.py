"""Simulated readers keep the published per-class behaviour."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import InputError
from core.report.paper_data import PAPER_CLASSES, paper_counts
from core.simulated_readers import SIMULATED_READERS, TABLE_OF_COHORT, answer_probabilities, draw_answers


@pytest.mark.parametrize("cohort", TABLE_OF_COHORT)
@pytest.mark.parametrize("reader", SIMULATED_READERS, ids=lambda reader: reader.login)
def test_probabilities_times_class_sizes_give_back_the_published_counts(reader, cohort) -> None:
    counts = paper_counts()[TABLE_OF_COHORT[cohort], reader.rater]
    sizes = np.array([counts[key].n_positive for key in PAPER_CLASSES])
    expected = answer_probabilities(reader.rater, cohort) * sizes[:, None]  # (truth, answer)
    np.testing.assert_allclose(np.diag(expected), [counts[key].true_positive for key in PAPER_CLASSES], rtol=1e-9)
    off_diagonal = expected - np.diag(np.diag(expected))
    np.testing.assert_allclose(
        off_diagonal.sum(axis=0), [counts[key].false_positive for key in PAPER_CLASSES], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(
        off_diagonal.sum(axis=1), [counts[key].false_negative for key in PAPER_CLASSES], rtol=1e-6, atol=1e-6
    )


def test_drawn_answers_approach_the_published_recall_and_are_surer_when_right() -> None:
    junior = SIMULATED_READERS[0]
    truths = list(PAPER_CLASSES) * 2000
    answers = draw_answers(truths, ["internal"] * len(truths), junior, np.random.default_rng(7))
    counts = paper_counts()["4", "Junior"]
    for key in PAPER_CLASSES:
        mine = [answer.class_key == key for answer, truth in zip(answers, truths, strict=True) if truth == key]
        recall = counts[key].true_positive / counts[key].n_positive
        assert abs(np.mean(mine) - recall) < 4 * np.sqrt(recall * (1 - recall) / len(mine))
    right = [a.confidence for a, t in zip(answers, truths, strict=True) if a.class_key == t]
    wrong = [a.confidence for a, t in zip(answers, truths, strict=True) if a.class_key != t]
    assert np.mean(right) > np.mean(wrong) + 0.5
    assert {a.comment for a in answers} == {"simulated"}


def test_the_same_seed_gives_the_same_answers() -> None:
    truths, cohorts = ["sat", "tumor"] * 20, ["internal", "external"] * 20
    first = draw_answers(truths, cohorts, SIMULATED_READERS[1], np.random.default_rng(3))
    second = draw_answers(truths, cohorts, SIMULATED_READERS[1], np.random.default_rng(3))
    assert first == second


def test_an_unknown_cohort_is_refused() -> None:
    with pytest.raises(InputError, match="internal or external"):
        answer_probabilities("Junior", "training")
