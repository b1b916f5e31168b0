"""Planned or exploratory: what the protocol names before the first reading, of which cohort and class."""

from __future__ import annotations

import pytest

from core.protocol import Protocol
from core.study_analysis.planned import EXPLORATORY, stamp_of

COHORTS = ("internal", "external")


def stamp(measure: str, cohort: str = "internal", *, is_declared: bool = True, **texts: object) -> str:
    protocol = Protocol(title="T", **texts)
    return stamp_of(protocol, measure, is_declared=is_declared, cohort=cohort, cohorts=COHORTS)


@pytest.mark.parametrize(("plan", "measure", "wanted"), [
    ("The procedure is processed as planned.", "auc", EXPLORATORY),
    ("Two-sided tests at alpha 0.05.", "agreement", EXPLORATORY),
    ("Sometimes the right lobe is larger.", "time", EXPLORATORY),
    ("Sometimes the right lobe is larger.", "accuracy", EXPLORATORY),
    ("AUCs by DeLong.", "auc", "planned: analysis plan"),
    ("Noninferiority by the margin.", "margin", "planned: analysis plan"),
    ("Fleiss' kappa of the readers.", "agreement", "planned: analysis plan"),
])  # fmt: skip
def test_a_measure_is_planned_only_where_its_word_stands(plan, measure, wanted):
    assert stamp(measure, analysis_plan=plan) == wanted


def test_an_endpoint_of_one_cohort_plans_nothing_of_the_other():
    endpoint = {"primary_endpoint": "Accuracy of the model against the senior physician in the internal cohort"}
    assert stamp("accuracy", "internal", **endpoint) == "planned: primary endpoint"
    assert stamp("accuracy", "external", **endpoint) == EXPLORATORY
    both = {"primary_endpoint": "Accuracy, internal and external cohort"}
    assert {stamp("accuracy", cohort, **both) for cohort in COHORTS} == {"planned: primary endpoint"}
    assert stamp("accuracy", "external", primary_endpoint="Accuracy") == "planned: primary endpoint", "none is named"


def test_the_secondary_endpoint_of_the_other_cohort_is_found():
    texts = {
        "primary_endpoint": "Accuracy, internal cohort", "secondary_endpoints": ("AUC", "Accuracy, external cohort")
    }  # fmt: skip
    assert stamp("accuracy", "external", **texts) == "planned: secondary endpoint"


def test_sentences_of_the_plan_stand_for_themselves():
    plan = "Accuracy in the internal cohort by McNemar. AUC in the external cohort by DeLong; kappa"
    found = {(measure, cohort): stamp(measure, cohort, analysis_plan=plan)
             for measure in ("accuracy", "auc", "agreement") for cohort in COHORTS}  # fmt: skip
    planned = {place for place, said in found.items() if said != EXPLORATORY}
    assert planned == {
        ("accuracy", "internal"), ("auc", "external"), ("agreement", "internal"), ("agreement", "external")
    }  # fmt: skip


def test_an_endpoint_of_one_class_says_so():
    said = stamp("class", primary_endpoint="Sensitivity for SAT, internal cohort")
    assert said == "planned: primary endpoint, of Subacute thyroiditis alone"
    assert stamp("accuracy", primary_endpoint="Accuracy, and sensitivity for SAT") == "planned: primary endpoint"
    assert stamp("class", primary_endpoint="Sensitivity of each class") == "planned: primary endpoint"


def test_an_undeclared_model_or_no_protocol_makes_everything_exploratory():
    assert stamp("accuracy", is_declared=False, primary_endpoint="Accuracy") == EXPLORATORY
    assert stamp_of(None, "accuracy", is_declared=True) == EXPLORATORY


def test_the_margin_of_the_protocol_is_planned():
    assert stamp("margin", margin=0.05) == "planned: margin of the protocol"
    assert stamp("margin") == EXPLORATORY
