"""The paper recomputed: totals, the eight cells that fail, and independent routes to the same numbers."""

import csv
import io
import json
import math
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import beta
from sklearn.metrics import cohen_kappa_score

from core.report import paper
from core.report.paper import Verdict, likely_cause, reproduce_paper
from core.report.paper_data import PAPER_CLASSES, ClassCounts, PrintedCell, paper_counts, printed_cells
from core.report.paper_formulas import auc_range_for_limits, binomial_exact_auc_interval, cohen_kappa_from_counts
from core.report.paper_text import render

SHARED = Path(__file__).parents[4] / "shared" / "paper"


@pytest.fixture(scope="module")
def reproduction():
    return reproduce_paper()


def test_512_of_520_checkable_cells_reproduce(reproduction):
    totals = reproduction.totals
    assert (totals.checkable, totals.reproduced, totals.not_reproduced, totals.not_checkable) == (520, 512, 8, 24)


def test_totals_by_table_are_those_of_the_independent_check(reproduction):
    found = {t.table: (t.checkable, t.reproduced, t.not_checkable) for t in reproduction.by_table}
    assert found == {"1": (32, 32, 0), "2": (88, 85, 16), "3": (12, 12, 0), "4": (194, 191, 4), "5": (194, 192, 4)}


def test_the_eight_failures_are_the_known_ones_and_name_a_cause(reproduction):
    found = {(c.table, c.rater, c.subject, c.quantity, c.part, c.printed) for c in reproduction.failures}
    assert found == {
        ("4", "ResNet34", "tumor", "f1", "point", "0.931"),
        ("4", "Junior", "normal", "f1", "point", "0.720"),
        ("4", "Senior", "normal", "auc", "upper", "0.914"),
        ("5", "ResNet34", "sat", "ppv", "upper", "100.0"),
        ("5", "Junior", "", "accuracy", "point", "0.702"),
        ("2", "AlexNet", "graves", "f1", "point", "0.949"),
        ("2", "ShuffleNetV2", "tumor", "ppv", "point", "88.4"),
        ("2", "ShuffleNetV2", "tumor", "f1", "point", "0.775"),
    }
    assert all(cell.likely_cause for cell in reproduction.failures)
    assert sum("rounded twice" in (cell.likely_cause or "") for cell in reproduction.failures) == 3


@pytest.mark.skipif(not SHARED.is_dir(), reason="the independent check of the paper is not beside this checkout")
def test_every_cell_agrees_with_the_independent_check(reproduction):
    names = {"recall": "sensitivity"}
    classes = {"Graves": "graves", "Normal": "normal", "SAT": "sat", "Tumor": "tumor", "ALL": ""}
    parts = {"lo": "lower", "hi": "upper"}
    ours = {(c.table, c.rater, c.subject, c.quantity, c.part): c for c in reproduction.cells}
    compared = 0
    with (SHARED / "cells.csv").open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            if row["table"] not in {"table2", "table4", "table5"}:
                continue
            quantity = names.get(row["metric"], row["metric"])
            part = parts.get(row["part"], row["part"])
            cell = ours[row["table"][-1], row["rater"], classes[row["cls"]], quantity, part]
            wanted = {"True": Verdict.REPRODUCED, "False": Verdict.NOT_REPRODUCED, "": Verdict.NOT_CHECKABLE}
            assert cell.printed == row["printed"]
            assert cell.verdict is wanted[row["ok"]]
            if row["computed"] and row["computed"][0].isdigit():
                assert cell.computed == pytest.approx(float(row["computed"]), rel=1e-9)
            compared += 1
    assert compared == 88 + 16 + 2 * (194 + 4)


def test_counts_have_the_class_sizes_of_table_1():
    sizes = {(cell.cohort, cell.subject): int(cell.value) for cell in printed_cells() if (cell.quantity) == "count"}
    for (table, rater), by_class in paper_counts().items():
        cohort = "external" if table == "5" else "internal"
        for key in PAPER_CLASSES:
            assert by_class[key].n_positive == sizes[cohort, key], (table, rater, key)
            assert by_class[key].n == sizes[cohort, "patients"]
        assert sum(c.false_positive for c in by_class.values()) == sum(c.false_negative for c in by_class.values())


def test_a_wrong_printed_digit_turns_the_verdict(monkeypatch):
    cells = list(printed_cells())
    place = next(i for i, c in enumerate(cells) if (c.table, c.rater, c.quantity) == ("4", "Senior", "kappa"))
    cells[place] = replace(cells[place], printed="0.814")
    monkeypatch.setattr(paper, "printed_cells", lambda: tuple(cells))
    assert reproduce_paper().totals.reproduced == 511


def test_model_auc_limits_fail_when_no_auc_gives_both(monkeypatch):
    cells = [
        replace(c, printed="0.970") if (c.table, c.rater, c.subject, c.quantity, c.part)
        == ("4", "ResNet34", "graves", "auc", "lower") else c
        for c in printed_cells()
    ]  # fmt: skip
    monkeypatch.setattr(paper, "printed_cells", lambda: tuple(cells))
    assert reproduce_paper().totals.reproduced == 510


def test_auc_range_for_internal_graves_is_the_published_one():
    low, high = auc_range_for_limits((0.9925, 0.9935), (0.9815, 0.9825), (0.9975, 0.9985), 514)
    assert (low, high) == (pytest.approx(0.9931, abs=5e-5), pytest.approx(0.9935, abs=5e-5))


def test_binomial_exact_interval_is_clopper_pearson_for_whole_successes():
    lower, upper = binomial_exact_auc_interval(0.9, 100)
    assert (lower, upper) == (pytest.approx(beta.ppf(0.025, 90, 11)), pytest.approx(beta.ppf(0.975, 91, 10)))
    assert binomial_exact_auc_interval(1.0, 50)[1] == 1.0
    assert binomial_exact_auc_interval(0.0, 50)[0] == 0.0


def test_kappa_from_margins_equals_sklearn_on_a_table_with_those_margins():
    truth = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    answer = ["a"] * 40 + ["b"] * 10 + ["b"] * 25 + ["c"] * 5 + ["c"] * 18 + ["a"] * 2
    classes = []
    for key in "abc":
        pairs = list(zip(truth, answer, strict=True))
        tp = pairs.count((key, key))
        classes.append(
            ClassCounts(
                tp, answer.count(key) - tp, truth.count(key) - tp, 100 - answer.count(key) - truth.count(key) + tp
            )
        )
    assert cohen_kappa_from_counts(classes) == pytest.approx(cohen_kappa_score(truth, answer), rel=1e-12)


def test_tests_of_accuracy_are_those_of_the_facts(reproduction):
    found = {(t.cohort, t.first, t.second): t for t in reproduction.tests}
    published = {
        ("internal", "ResNet34", "Senior"): (32.28, 1.3e-8, 2.5e-8, 4.6e-8),
        ("internal", "Senior", "Junior"): (22.67, 1.9e-6, 2.8e-6, 2.5e-5),
        ("external", "ResNet34", "Senior"): (13.75, 2.1e-4, 3.0e-4, 5.6e-4),
        ("external", "Senior", "Junior"): (50.22, 1.4e-12, 2.3e-12, 3.1e-10),
        ("internal", "ResNet34", "Junior"): (98.05, 4e-23, 1e-22, 1e-21),
        ("external", "ResNet34", "Junior"): (108.22, 2e-25, 5e-25, 4e-22),
    }
    assert found.keys() == published.keys()
    for key, (statistic, p, yates, mcnemar) in published.items():
        test = found[key]
        assert test.chi_squared == pytest.approx(statistic, abs=0.0065)
        for got, wanted in ((test.chi_squared_p, p), (test.yates_p, yates), (test.mcnemar_worst_p, mcnemar)):
            assert math.log10(got) == pytest.approx(math.log10(wanted), abs=0.1)


def test_claims_say_cohen_not_fleiss_and_name_fold_4(reproduction):
    claims = {claim.claim: claim for claim in reproduction.claims}
    fleiss = claims["the kappa is Fleiss'"]
    assert fleiss.verdict == "does not hold"
    assert "10 of 10" in fleiss.evidence
    assert fleiss.evidence.endswith("Fleiss 7")
    fold = claims["the ResNet34 of Table 4 is the ResNet34 of Table 2"]
    assert "equal fold 4 of Table 3" in fold.evidence
    assert (
        claims["the model beats the senior, the senior the junior physician, p < 0.001 on both sets"].verdict == "holds"
    )


def test_notes_warn_of_the_too_narrow_interval(reproduction):
    assert any("too narrow" in note for note in reproduction.notes)


@pytest.mark.parametrize(
    ("printed", "computed", "words"),
    [
        ("0.775", 0.774468, "rounded twice"),
        ("0.949", 0.94488, "one digit differs"),
        ("0.720", 0.71713, "fewer digits"),
        ("0.500", 0.71713, "an error in the paper"),
    ],
)
def test_likely_cause_is_read_from_the_digits(printed, computed, words):
    assert words in likely_cause(PrintedCell("4", "internal", "X", "sat", "f1", "point", printed), computed)


def test_rendered_text_shows_every_table_and_ends_with_the_totals(reproduction):
    console = Console(width=110, file=io.StringIO())
    render(reproduction, console)
    text = console.file.getvalue()
    assert all(f"Table {number}" in text for number in "12345")
    assert text.rstrip().endswith("512 of 520 checkable cells reproduce, 8 do not, 24 cannot be checked.")
    assert text.count("✗") == 8
    assert text.count("✓") == 512


def test_json_form_is_strict_json_with_one_entry_a_cell(reproduction):
    found = json.loads(json.dumps(reproduction.to_dict(), allow_nan=False))
    assert found["totals"] == {
        "table": "all", "checkable": 520, "reproduced": 512, "not_reproduced": 8, "not_checkable": 24,
    }  # fmt: skip
    assert len(found["cells"]) == 544


def test_cells_of_one_rater_stand_together(reproduction):
    order = [key for key, _ in groupby((c.table, c.rater) for c in reproduction.cells)]
    assert len(order) == len(set(order))
