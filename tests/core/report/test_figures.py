"""Figures as a journal takes them: letters of 8 points at every width, all of them inside, none on another."""

from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from core.analysis import StudyData, analyse
from core.protocol import DiseaseClass
from core.report.figures import _LOOK, TALLEST_MM, WIDTHS_MM, figure_plans
from tests.core.analysis_studies import simulated_study

LONG = "A class with a name of about sixty characters, number"
NAME = "reader_with_a_name_that_is_long_because_hospitals_name_so"


def many_classes(n_classes=20, n_cases=60):
    """A study of many classes with long names."""
    rng = np.random.default_rng(5)
    classes = tuple(DiseaseClass(f"c{n}", f"{LONG} {n}", f"{LONG} {n}") for n in range(n_classes))
    truth, cases = np.arange(n_cases) % n_classes, [f"k{n}" for n in range(n_cases)]
    answer = np.where(rng.random(n_cases) < 0.7, truth, rng.integers(0, n_classes, n_cases))
    chance = rng.dirichlet(np.ones(n_classes), n_cases)
    return StudyData(
        classes,
        pd.DataFrame({"case": cases, "patient": cases, "cohort": "internal", "truth": [f"c{t}" for t in truth]}),
        pd.DataFrame(
            {"reader": "ann", "case": cases, "arm": "unaided", "label": [f"c{a}" for a in answer], "confidence": None}
        ),
        pd.DataFrame({"model": "m", "case": cases, **{f"p_c{n}": chance[:, n] for n in range(n_classes)}}),
    )


def few_classes():
    """A study whose raters have long names, in six cohorts, with reasons of exclusion."""
    study = simulated_study(n_cases=60, readers=2, models=2, arms=("aided", "unaided"))
    cases = study.cases.assign(cohort="internal", exclusion_reason="")
    cases.loc[range(0, 50, 10), "cohort"] = [f"cohort {n}" for n in range(5)]
    cases.loc[[1, 3], "exclusion_reason"] = ["the image was cut at its lower border", "moved"]
    names = {f"reader-{n}": f"{NAME}_{n}" for n in range(2)}
    return replace(study, cases=cases, reader_names=names)


@pytest.fixture(scope="module")
def analyses():
    return {"few": analyse(few_classes()), "many": analyse(many_classes())}


@pytest.mark.parametrize(("study", "width"), [("few", 84), ("few", 119), ("few", 174), ("many", 84)])
def test_all_letters_have_eight_points_and_stand_inside_and_apart(analyses, study, width):
    assert width in WIDTHS_MM
    analysis = analyses[study]
    for plan in figure_plans(analysis):
        if plan.cohort not in ("", "internal"):
            continue
        with mpl.rc_context(_LOOK):
            figure = plan.draw(width)
            FigureCanvasAgg(figure)
            figure.draw_without_rendering()
        assert figure.bbox.height / 72 * 25.4 <= TALLEST_MM * figure.dpi / 72 + 0.1, plan.name
        shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        assert all(text.get_fontsize() == 8 for text in shown), plan.name
        boxes = [text.get_window_extent() for text in shown]
        for text, box in zip(shown, boxes, strict=True):
            assert box.x0 >= -2 and box.y0 >= -2, (plan.name, text.get_text())  # noqa: PT018
            assert box.x1 <= figure.bbox.x1 + 2 and box.y1 <= figure.bbox.y1 + 2, (plan.name, text.get_text())  # noqa: PT018
        for at, one in enumerate(boxes):
            for other, text in zip(boxes[at + 1 :], shown[at + 1 :], strict=True):
                across = min(one.x1, other.x1) - max(one.x0, other.x0)
                down = min(one.y1, other.y1) - max(one.y0, other.y0)
                apart = across < 2.5 or down < 2.5 or 35 in (shown[at].get_rotation(), text.get_rotation())
                assert apart, (plan.name, shown[at].get_text(), text.get_text())


@pytest.mark.parametrize("width", WIDTHS_MM)
def test_an_axis_of_a_forest_plot_has_two_numbers_at_least_and_none_touches_another(width):
    study = simulated_study(n_cases=60, readers=2, models=1)
    names = {"reader-0": "Junior physician (simulated)", "reader-1": "Senior physician (simulated)"}
    for plan in figure_plans(analyse(replace(study, reader_names=names))):
        if not plan.name.startswith(("forest", "agreement")):
            continue
        with mpl.rc_context(_LOOK):
            figure = plan.draw(width)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            for axes in figure.axes:
                if not axes.get_xlabel():
                    continue
                low, high = axes.get_xlim()
                labels = [each for each, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
                          if low <= at <= high and each.get_text()]  # fmt: skip
                boxes = [each.get_window_extent() for each in labels]
                assert len(boxes) > 1, (plan.name, width)
                assert all(one.x1 + 1 < other.x0 for one, other in pairwise(boxes)), (plan.name, width)
