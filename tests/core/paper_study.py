"""A study with the counts of Zhao et al. 2023: every rater's true and false positives are the paper's.

Which cases the raters got wrong, and the model's probabilities, are not published and are drawn; numbers of one rater
can be held against the paper, differences between raters only in their value.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.optimize import linprog

from core.analysis import StudyAnalysis, StudyData, analyse
from core.protocol import THYROID_CLASSES
from core.report.paper_data import PAPER_CLASSES, ClassCounts, paper_counts

READERS = {"Junior": "Junior physician", "Senior": "Senior physician"}
TABLE_OF = {"internal": "4", "external": "5"}


def confusion_of(counts: dict[str, ClassCounts]) -> np.ndarray:
    """A confusion matrix with the diagonal, row and column sums of the counts (its wrong cells are one of many)."""
    k = len(PAPER_CLASSES)
    cells = [(row, column) for row in range(k) for column in range(k) if row != column]
    sums = np.array(
        [[row == at for row, _ in cells] for at in range(k)]
        + [[column == at for _, column in cells] for at in range(k)],
        dtype=float,
    )
    wanted = [counts[key].false_negative for key in PAPER_CLASSES] + [
        counts[key].false_positive for key in PAPER_CLASSES
    ]
    found = linprog(np.ones(len(cells)), A_eq=sums, b_eq=wanted, method="highs")
    assert found.success, found.message
    matrix = np.diag([counts[key].true_positive for key in PAPER_CLASSES])
    for (row, column), number in zip(cells, found.x, strict=True):
        matrix[row, column] = round(number)
    return matrix


@lru_cache(maxsize=1)
def paper_study() -> StudyData:
    """Internal and external validation: four models inside, one outside, and the two physicians in both."""
    rng = np.random.default_rng(2023)
    cases, readings, predictions = [], [], []
    for cohort, table in TABLE_OF.items():
        counts = paper_counts()
        sizes = [counts[table, "ResNet34"][key].n_positive for key in PAPER_CLASSES]
        truth = np.repeat(np.arange(4), sizes)
        names = [f"{cohort}-{place:04d}" for place in range(truth.size)]
        cases += [
            {"case": name, "patient": name, "cohort": cohort, "truth": PAPER_CLASSES[index], "exclusion_reason": None}
            for name, index in zip(names, truth, strict=True)
        ]
        raters = [(rater, (table, rater)) for rater in ("ResNet34", *READERS)]
        if cohort == "internal":
            raters += [(model, ("2", model)) for model in ("AlexNet", "ShuffleNetV2", "MobileNetV3")]
        for rater, place in raters:
            matrix = confusion_of(dict(counts[place]))
            answers = np.concatenate([rng.permutation(np.repeat(np.arange(4), row)) for row in matrix])
            for name, answer in zip(names, answers, strict=True):
                key = PAPER_CLASSES[answer]
                if rater in READERS:
                    row = {"reader": rater.lower(), "case": name, "arm": "unaided", "label": key, "confidence": None}
                    readings.append(row)
                    continue
                odds = rng.gamma(0.4, size=4)
                odds[answer] = odds.max() + rng.gamma(2.0)
                share = odds / odds.sum()
                shares = {f"p_{each}": float(part) for each, part in zip(PAPER_CLASSES, share, strict=True)}
                predictions.append({"model": rater, "case": name, **shares})
    return StudyData(
        THYROID_CLASSES, pd.DataFrame(cases), pd.DataFrame(readings), pd.DataFrame(predictions),
        reader_names={login.lower(): name for login, name in READERS.items()}, declared_model="ResNet34",
    )  # fmt: skip


@lru_cache(maxsize=1)
def paper_analysis() -> StudyAnalysis:
    """The analysis of that study, made once."""
    return analyse(paper_study())
