"""Every view of every kind of study says what can be said: no traceback, no "nan", no blank cell, no unearned p."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from core.analysis import StudyData
from core.protocol import Design, DiseaseClass, Scale, ScaleKind
from pages.results import VIEWS
from tests.core.analysis_studies import simulated_study
from tests.pages.shown_studies import shown_study
from tests.pages.test_result_views import drawn


def study(n_classes: int = 4, *, n_cases: int = 24, truth: list[int] | None = None, **asked) -> StudyData:
    """A simulated study whose classes are renamed and folded to so many."""
    made = simulated_study(n_cases=n_cases, **asked)
    classes = tuple(DiseaseClass(f"k{at:02d}", f"Class {at}", f"C{at}") for at in range(n_classes))
    rng = np.random.default_rng(5)
    truths = np.arange(n_cases) % n_classes if truth is None else np.array(truth)
    of_case = dict(zip(made.cases["case"], truths, strict=True))
    readings = made.readings
    if len(readings):
        right = rng.random(len(readings)) < 0.7
        answers = np.where(right, readings["case"].map(of_case), rng.integers(0, n_classes, len(readings)))
        readings = readings.assign(label=[classes[at].key for at in answers.astype(int)])
    models = made.predictions[["model", "case"]]
    if len(models):
        shares = rng.dirichlet(np.ones(n_classes), len(models))
        shares[np.arange(len(models)), models["case"].map(of_case).to_numpy(int)] += min(0.6, 2.4 / n_classes)
        shares = shares / shares.sum(axis=1, keepdims=True)
        models = models.assign(**{f"p_{one.key}": shares[:, at] for at, one in enumerate(classes)})
    cases = made.cases.assign(truth=[classes[at].key for at in truths])
    return StudyData(classes, cases, readings, models, reader_years=made.reader_years)


def incomplete(data: StudyData) -> StudyData:
    """One reader has done a third, another in one arm only, a third nothing but what could not be read."""
    rows = data.readings
    at = np.arange(len(rows))
    keep = ~((rows["reader"] == "reader-0") & (at % 3 > 0)) & ~(
        (rows["reader"] == "reader-1") & (rows["arm"] == "aided")
    )
    rows = rows[keep].reset_index(drop=True)
    return replace(data, readings=rows.assign(is_unreadable=rows["reader"] == "reader-2"))


def with_answers(data: StudyData, label, confidence) -> StudyData:
    """Answers and confidence by rule, of the truth of each case."""
    truth = data.readings["case"].map(dict(zip(data.cases["case"], data.cases["truth"], strict=True)))
    return replace(data, readings=data.readings.assign(label=truth.map(label), confidence=confidence))


def kinds() -> Iterator[tuple[str, StudyData, dict]]:
    """Name, study, protocol."""
    percent = {"scale": Scale(ScaleKind.PERCENT)}
    arms = ("aided", "unaided")
    yield "two readers, eight cases", study(n_cases=8, readers=2, models=1), {}
    yield "two classes, two readers, eight cases", study(2, n_cases=8, readers=2, models=1), {}
    yield "only a model", study(n_cases=12, readers=0, models=1), {}
    yield "five readers, no model, answers missing", study(readers=5, models=0, missing=0.1), {}
    yield "two arms", study(readers=3, models=1, arms=arms, has_about=True, repeats=8), {}
    yield "one reader, no model", study(n_cases=12, readers=1, models=0), {}
    yield "a class without cases", study(3, truth=[0, 1] * 12, readers=2, models=1), {}
    yield "one class only", study(2, truth=[1] * 24, readers=2, models=1), {}
    yield "all ties", with_answers(study(2, readers=2, models=1), lambda _: "k00", 3.0), {}
    yield "perfect separation", with_answers(study(2, readers=3, models=1), lambda key: key, 5.0), {}
    yield "nothing readable", (lambda data: replace(data, readings=data.readings.assign(
        is_unreadable=data.readings["reader"] == "reader-1")))(study(readers=2, models=1)), {}  # fmt: skip
    yield "twenty classes", study(20, n_cases=60, readers=2, models=1), {}
    yield "label only", study(readers=2, models=1, has_confidence=False), {"scale": Scale(ScaleKind.LABEL)}
    yield "0 to 100", replace(study(readers=2, models=1), confidence_shift=1), percent
    yield "marks on lesions", simulated_study(n_cases=40, readers=3, models=1, has_about=True), {}
    for design in (Design.SEQUENTIAL, Design.CROSSOVER):
        yield f"incomplete {design}", incomplete(study(readers=4, models=1, arms=arms, has_about=True)), {
            "design": design
        }  # fmt: skip


KINDS = {name: (data, protocol) for name, data, protocol in kinds()}
#: A number that is none, as it would be printed.
NOT_A_NUMBER = re.compile(r"(?<![A-Za-z])(nan|None|NaT|inf|<NA>)(?![A-Za-z])")


def said(page) -> Iterator[str]:
    """Every text of a page."""
    for kind in ("markdown", "caption", "info", "warning", "error", "success"):
        yield from (str(each.value) for each in getattr(page, kind))
    yield from (re.sub(r"<style>.*?</style>", "", each.proto.body, flags=re.S) for each in page.get("html"))
    for table in (*page.table, *page.dataframe):
        yield from (str(cell) for column in table.value for cell in (column, *table.value[column]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_view_says_what_can_be_said(kind):
    data, protocol = KINDS[kind]
    shown = shown_study(data, margin=0.05, **protocol)
    for view in VIEWS:
        page = drawn(view, shown)
        texts = list(said(page))
        assert texts, f"{view}: an empty view says why"
        wrong = [text for text in texts if NOT_A_NUMBER.search(text)]
        assert not wrong, (view, wrong[:3])
        for table in (*page.table, *page.dataframe):
            blank = [column for column in table.value if (table.value[column].astype(str).str.strip() == "").any()]
            assert not blank, (view, blank)
    ps = [tab.filter(regex="^p_").to_numpy(float).ravel() for tab in shown.tables.values()]
    tested = np.concatenate(ps)
    tested = tested[~np.isnan(tested)]
    assert ((tested > 0) & (tested <= 1)).all(), "0 is no p value"
