"""Studies at the edge of what can be analysed: every view is drawn, says what is undefined, and shows no other number
than the analysis gives."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.analysis import StudyData
from core.number_text import estimate_text
from core.protocol import DiseaseClass
from pages.results import VIEWS
from pages.widgets.shown import Shown
from tests.core.analysis_studies import simulated_study
from tests.pages.shown_studies import shown_study

LONG = "A name of a class on which a committee agreed after 12 years".ljust(60, ".")


def study(labels: list[str], n: int, share_right: float, *, patients: int = 1, readers: int = 2) -> StudyData:
    """Two readers without regard to difficulty, and a model that is as good; ``patients``: cases of each."""
    rng, k = np.random.default_rng(1), len(labels)
    truth = np.arange(n) % k
    keys = [f"k{place}" for place in range(k)]
    cases = pd.DataFrame(
        {"case": [f"c{at}" for at in range(n)], "patient": [f"p{at // patients}" for at in range(n)],
         "cohort": "internal", "truth": [keys[at] for at in truth]}
    )  # fmt: skip
    readings, predictions = [], []
    for rater in ["net", *(f"r{number}" for number in range(1, readers + 1))]:
        is_right = rng.random(n) < share_right
        answers = np.where(is_right, truth, (truth + 1) % k)
        for case, answer, confidence in zip(cases["case"], answers, rng.integers(1, 6, n), strict=True):
            if rater == "net":
                shares = np.full(k, 0.2 / k)
                shares[answer] += 0.8
                columns = {f"p_{key}": share for key, share in zip(keys, shares, strict=True)}
                predictions.append({"model": "net", "case": case, **columns})
            else:
                row = {"reader": rater, "case": case, "arm": "unaided", "label": keys[answer]}
                readings.append({**row, "confidence": float(confidence)})
    classes = tuple(DiseaseClass(key, label, label) for key, label in zip(keys, labels, strict=True))
    return StudyData(
        classes, cases, pd.DataFrame(readings), pd.DataFrame(predictions), reader_names={"r1": "<b>Dr</b> *A* $x$"}
    )


ODD = {
    "one case": lambda: study(["benign", "malignant"], 1, 1.0),
    "all right, patients with several cases": lambda: study(["benign", "malignant"], 30, 1.0, patients=5),
    "all wrong": lambda: study(["a", "b", "c"], 30, 0.0),
    "twenty long names": lambda: study([f"{LONG[:-3]} {number}" for number in range(20)], 60, 0.7),
    "other scripts": lambda: study(["سرطان", "טרשת נפוצה", "正常"], 30, 0.7, readers=6),
    "much missing": lambda: simulated_study(n_cases=40, readers=4, models=1, missing=0.6, has_about=True),
}


def drawn(shown: Shown) -> Iterator[tuple[str, AppTest]]:
    """Every view as Streamlit runs it."""

    def script(module, shown):
        from importlib import import_module

        import_module(module).draw(shown)

    for view, draw in VIEWS.items():
        yield view, AppTest.from_function(script, args=(draw.__module__, shown), default_timeout=60).run()


@pytest.mark.parametrize("name", ODD)
def test_every_view_is_drawn_with_the_numbers_of_the_analysis_and_none_besides(name: str) -> None:
    shown = shown_study(ODD[name](), margin=0.05)
    tables = shown.analysis.to_dict()["tables"]
    known = {
        estimate_text(*(row[f"{part}{side}"] for side in ("value", "lower", "upper")))
        for table in tables.values()
        for row in table
        for part in ("", "first_")
        if f"{part}lower" in row
    }
    checked = 0
    for view, page in drawn(shown):
        assert not page.exception, f"{view}: {page.exception}"
        texts = [each.value for kind in ("markdown", "caption", "info", "warning") for each in getattr(page, kind)]
        cells = [str(cell) for table in (*page.table, *page.dataframe) for cell in table.value.to_numpy().ravel()]
        texts += [*cells, *(each.proto.body for each in page.get("html"))]
        odd = [text for text in texts if re.search(r"\bnan\b|\bNone\b|\binf\b|<NA>|\bk\d\b", text)]
        assert not odd, f"{view}: {odd}"
        assert not [chart for chart in page.get("plotly_chart") if "NaN" in chart.proto.spec], view
        if view in ("Cohort", "Behaviour"):  # no estimates, or those of parts that are chosen
            continue
        for cell in cells:
            if re.fullmatch(r"−?\d\.\d{3}\u00a0\(.*\)°?", cell):
                assert cell.replace("\u00a0", " ").removesuffix("°") in known, f"{view}: {cell}"
                checked += 1
    assert checked > 10
