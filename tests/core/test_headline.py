"""The answer in sentences: every number in it is one of the analysis, and nothing is said that the data do not say."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from statsmodels.stats.proportion import proportion_confint

from core.analysis import analyse
from core.number_text import p_words, percent_text, points_text
from tests.core.analysis_studies import simulated_study
from tests.core.paper_study import paper_analysis


def test_the_papers_answer_is_one_sentence_with_the_papers_numbers():
    (sentence,) = paper_analysis().cohort("internal").answer
    lower, upper = proportion_confint(494, 514, method="wilson")
    assert sentence.startswith(
        f"The model ResNet34 was right in 96.1 % (95 % interval {100 * lower:.1f} to {100 * upper:.1f}) of 514 cases; "
        "Junior physician in 74.1 % ("
    )
    assert "difference 22.0 points (" in sentence
    assert "Senior physician in 86.0 % (" in sentence
    assert "difference 10.1 points (" in sentence
    assert sentence.count("p < 0.001") == 2
    assert "AlexNet" not in sentence, "the protocol named another model before reading"


def test_few_readers_are_named_and_many_are_averaged():
    few = analyse(simulated_study(readers=3, models=1)).cohorts[0].answer[0]
    assert all(f"reader-{number} in" in few for number in range(3))
    cohort = analyse(simulated_study(readers=6, models=1)).cohorts[0]
    many = cohort.answer[0]
    assert "reader-0" not in many
    mean = next(one for one in cohort.panel_means if one.metric == "accuracy" and one.is_leading)
    estimate = mean.estimate
    assert f"the 6 readers on average in {percent_text(estimate.value, estimate.lower, estimate.upper)}" in many
    assert "for readers like these, on cases like these" in many


def test_two_arms_are_compared_aided_minus_unaided():
    cohort = analyse(simulated_study(readers=5, models=1, arms=("aided", "unaided"))).cohorts[0]
    assert len(cohort.answer) == 2
    assert "reading unaided" in cohort.answer[0]
    shares = re.findall(r"([\d.]+) %", cohort.answer[1])
    gap = re.search(r"difference (−?[\d.]+) points", cohort.answer[1])
    assert gap is not None
    assert float(gap[1].replace("−", "-")) == pytest.approx(float(shares[0]) - float(shares[1]), abs=0.11)


def test_one_reader_in_two_arms_has_no_panel_and_is_told_alone():
    answer = analyse(simulated_study(readers=1, models=0, arms=("aided", "unaided"))).cohorts[0].answer
    assert answer[-1].startswith("With the model in view reader-0 was right in")


def test_a_reader_who_missed_cases_is_told_with_the_cases_of_the_comparison():
    cohort = analyse(simulated_study(readers=1, models=1, missing=0.3)).cohorts[0]
    n = cohort.participant("reader-0", "unaided").n_cases
    assert f"of {n} cases, difference" in cohort.answer[0]
    assert f"on the {n} cases that both answered" in cohort.answer[0]


def test_a_difference_from_a_panel_says_on_how_many_cases_it_rests():
    cohort = analyse(simulated_study(readers=5, models=1, missing=0.05)).cohorts[0]
    row = next(one for one in cohort.mrmc if (one.metric, one.is_leading) == ("accuracy", True))
    assert row.n_cases < 120
    assert f"(of 5 readers on {row.n_cases} cases: not all answered all)." in cohort.answer[0]
    whole = analyse(simulated_study(readers=5, models=1)).cohorts[0].answer[0]
    assert "not all answered" not in whole


def test_nobody_is_spoken_of_who_did_not_answer():
    assert "no reader has answered" in analyse(simulated_study(readers=0, models=1)).cohorts[0].answer[0]
    study = simulated_study(readers=2, models=1)
    nobody = analyse(replace(study, readings=study.readings.iloc[:0], predictions=study.predictions.iloc[:0]),
                     cohorts=["internal"])  # fmt: skip
    assert nobody.cohorts[0].answer == ("Nobody has answered a case of this cohort.",)


def test_the_json_carries_the_same_sentences():
    analysis = paper_analysis()
    assert [one["answer"] for one in analysis.to_dict()["cohorts"]] == [list(one.answer) for one in analysis.cohorts]


@pytest.mark.parametrize(("p", "text"), [(3.67e-8, "p < 0.001"), (0.0499, "p = 0.050"), (1.0, "p = 1.000"), (None, "")])
def test_p_values_in_a_sentence(p, text):
    assert p_words(p) == text


def test_a_difference_is_told_in_points():
    assert points_text(-0.031, -0.062, 0.001) == "−3.1 points (−6.2 to 0.1)"
    assert points_text(-0.0001) == "0.0 points"
    assert points_text(None) == "undefined"
