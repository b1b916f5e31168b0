"""LROC: the area against its definition, pair by pair, against the area under the drawn curve, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.analysis import StudyData, analyse
from core.localisation import score_marks
from core.protocol import DiseaseClass
from core.report.long_file import long_rows, read_long_rows
from core.study import Mark

CLASSES = [DiseaseClass("clear", "Clear", "C"), DiseaseClass("node", "Node", "N"), DiseaseClass("lump", "Lump", "L")]


def study(truth: list[str], has_lesion: list[bool], marks: dict[str, list[tuple[float | None, bool]]]) -> StudyData:
    """One reading of every case by every reader; a mark is (rating, whether it hits)."""
    keys = [f"k{at}" for at in range(len(truth))]
    cases = pd.DataFrame({"case": keys, "patient": keys, "cohort": "internal", "truth": truth,
                          "has_lesion": has_lesion})  # fmt: skip
    rows = [
        (reader, case, "unaided", "node" if rating is not None else "clear", 3.0, rating, is_hit)
        for reader, of in marks.items()
        for case, (rating, is_hit) in zip(keys, of, strict=True)
    ]
    columns = ["reader", "case", "arm", "label", "confidence", "mark_rating", "is_localised"]
    return StudyData(CLASSES, cases, pd.DataFrame(rows, columns=columns))


def found(data: StudyData) -> pd.DataFrame:
    return analyse(data).to_tables()["localisation"].set_index(["participant", "quantity"])


def test_a_small_study_by_hand() -> None:
    """Three lesions: hit at 4, missed at 5, hit at 2; negatives marked at 2 and not at all: (2 + 0 + 1.5) / 6."""
    data = study(["node", "node", "node", "clear", "clear"], [True, True, True, False, False],
                 {"ann": [(4, True), (5, False), (2, True), (2, False), (None, False)]})  # fmt: skip
    rows = found(data)
    assert rows.loc[("ann", "lroc_area"), "value"] == pytest.approx(3.5 / 6)
    assert rows.loc[("ann", "lesions_hit"), "estimate"].startswith("0.667 (")
    assert rows.loc[("ann", "marked_without_lesion"), "value"] == 0.5
    points = analyse(data).to_tables()["lroc_points"]
    assert points[["false_positive_rate", "lesions_hit"]].to_numpy() == pytest.approx(
        np.array([[0, 0], [0, 1 / 3], [0.5, 2 / 3], [1, 2 / 3]])
    )
    assert points["threshold"].tolist()[1:3] == [4, 2]


@pytest.mark.parametrize("seed", range(4))
def test_area_is_its_definition_and_the_area_under_the_curve_with_jackknife_variance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = ["node"] * 30 + ["lump"] * 10 + ["clear"] * 35
    has = [True] * 25 + [False] * 5 + [False] * 10 + [False] * 35  # five nodes have no mask: they are left out
    ratings = [float(rng.integers(1, 6)) if rng.random() < 0.8 else None for _ in truth]
    marks = [
        (at, at is not None and is_node and bool(rng.random() < 0.7)) for at, is_node in zip(ratings, has, strict=True)
    ]
    data = study(truth, has, {"ann": marks})
    hits = np.array([-np.inf if not hit else rating for (rating, hit), here in zip(marks, has, strict=True) if here])
    clear = np.array([-1e9 if rating is None else rating for rating, _ in marks[30:]])
    wins = (hits[:, None] > clear) + 0.5 * (hits[:, None] == clear)
    row = found(data).loc[("ann", "lroc_area")]
    assert row["value"] == pytest.approx(wins.mean())
    own, other = wins.mean(axis=1), wins.mean(axis=0)  # Wunderlich and Noo: the variance of a two-sample U-statistic
    variance = own.var(ddof=1) / own.size + other.var(ddof=1) / other.size
    assert row["standard_error"] == pytest.approx(np.sqrt(variance))
    points = analyse(data).to_tables()["lroc_points"]
    assert np.trapezoid(points["lesions_hit"], points["false_positive_rate"]) == pytest.approx(wins.mean())
    assert "25 cases with a lesion mask against 45 of classes without" in row["notes"]
    assert "5 cases of class Node have no mask and are left out" in row["notes"]
    assert row["value"] <= found(data).loc[("ann", "lesions_hit"), "value"]


def test_the_numbers_come_back_from_the_file_of_an_export() -> None:
    data = study(["node", "node", "clear", "lump"], [True, True, False, False],
                 {"ann": [(4, True), (0, True), (None, False), (3, False)],
                  "bob": [(None, False)] * 4})  # fmt: skip
    again = read_long_rows("file", long_rows(data), CLASSES)
    pd.testing.assert_frame_equal(found(again), found(data))
    assert set(found(data).index.get_level_values(0)) == {"ann"}, "who never marked has no curve"


def test_without_masks_or_marks_there_is_nothing() -> None:
    marked = study(["node", "clear"], [True, False], {"ann": [(4, True), (1, False)]})
    for data in (replace(marked, cases=marked.cases.assign(has_lesion=False)),
                 replace(marked, readings=marked.readings.assign(mark_rating=np.nan)),
                 replace(marked, cases=marked.cases.assign(has_lesion=True))):  # fmt: skip
        assert found(data).empty
        assert analyse(data).to_tables()["lroc_points"].empty


def test_the_highest_mark_decides_in_its_own_view() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    assert score_marks([], {1: mask}, 3) == (None, False)
    assert score_marks([Mark(3, 3)], {1: mask}, 3) == (3, True)
    assert score_marks([Mark(3, 3)], {1: mask}, None) == (1, True)
    assert score_marks([Mark(3, 3, view=2)], {1: mask}, 3) == (3, False)
    assert score_marks([Mark(3, 3, 2), Mark(7, 7, 4)], {1: mask}, 3) == (4, False)
    assert score_marks([Mark(3, 3, 4), Mark(7, 7, 4)], {1: mask}, 3) == (4, True), "of two alike the first"
