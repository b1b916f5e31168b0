"""What a reader study accepts, and what it refuses with which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.reader_study import CasePattern, ReaderPattern, ReaderStudy


def long_table(**changes: list[Any]) -> dict[str, list[Any]]:
    """Two readers, two arms, four cases, every reading made."""
    rows = [(r, c, a) for r in ("A", "B") for a in ("unaided", "aided") for c in (11, 12, 13, 14)]
    table: dict[str, list[Any]] = {
        "reader": [row[0] for row in rows],
        "case": [row[1] for row in rows],
        "arm": [row[2] for row in rows],
        "truth": [int(row[1] > 12) for row in rows],
        "rating": [float(index * 7 % 5) for index in range(16)],
    }
    return table | changes


def test_long_and_dense_are_the_same_study() -> None:
    table = long_table()
    study = ReaderStudy.from_long(**table)
    assert study.arms == ("unaided", "aided")
    assert study.readers == ("A", "B")
    assert study.cases == (11, 12, 13, 14)
    dense = ReaderStudy.from_dense([0, 0, 1, 1], ratings=np.reshape(table["rating"], (2, 2, 4)).transpose(1, 0, 2))
    np.testing.assert_array_equal(study.figures().values(), dense.figures().values())
    assert study.reader_pattern is ReaderPattern.CROSSED
    assert study.case_pattern is CasePattern.CROSSED


def test_rows_in_any_order_give_the_same_figures() -> None:
    table = long_table()
    order = np.random.default_rng(1).permutation(16)
    shuffled = {name: [values[index] for index in order] for name, values in table.items()}
    first = ReaderStudy.from_long(**table, readers=("A", "B"), arms=("unaided", "aided"))
    second = ReaderStudy.from_long(**shuffled, readers=("A", "B"), arms=("unaided", "aided"))
    np.testing.assert_array_equal(first.figures().values(), second.figures().values())


def test_duplicate_reading_names_both_positions() -> None:
    table = long_table()
    table["case"][5] = 11  # the same as position 4
    with pytest.raises(StatisticsInputError, match="positions 4 and 5") as caught:
        ReaderStudy.from_long(**table)
    assert "('A', 11, 'aided')" in str(caught.value)


def test_nan_rating_names_its_position() -> None:
    table = long_table()
    table["rating"][9] = float("nan")
    with pytest.raises(StatisticsInputError, match="NaN at position 9"):
        ReaderStudy.from_long(**table)


def test_contradicting_truth_names_the_case() -> None:
    table = long_table()
    table["truth"][15] = 0
    with pytest.raises(StatisticsInputError, match=r"position .*got 14"):
        ReaderStudy.from_long(**table)


def test_reader_without_readings_is_named() -> None:
    with pytest.raises(StatisticsInputError, match=r"reader has no readings.*'C'"):
        ReaderStudy.from_long(**long_table(), readers=("A", "B", "C"))
    ratings = np.ones((2, 2, 4))
    ratings[:, 1] = np.nan
    with pytest.raises(StatisticsInputError, match=r"reader has no readings.*'B'"):
        ReaderStudy.from_dense([0, 0, 1, 1], ratings=ratings, readers=("A", "B"))


def test_unexpected_reader_is_named() -> None:
    with pytest.raises(StatisticsInputError, match="not expected, at position 8"):
        ReaderStudy.from_long(**long_table(), readers=("A",))


def test_class_outside_the_list_names_its_position() -> None:
    table = long_table()
    table["truth"][3] = 2
    with pytest.raises(StatisticsInputError, match="position 3"):
        ReaderStudy.from_long(**table)


@pytest.mark.parametrize(("truth", "kind"), [([1, 1, 1, 1], "negative"), ([0, 0, 0, 0], "positive")])
def test_one_class_only_is_undefined(truth: list[int], kind: str) -> None:
    study = ReaderStudy.from_dense(truth, ratings=np.arange(16.0).reshape(2, 2, 4))
    with pytest.raises(UndefinedStatisticError, match=f"No case is {kind}"):
        study.figures()


def test_reader_with_one_class_only_is_named_with_the_arm() -> None:
    ratings = np.arange(24.0).reshape(2, 2, 6)
    ratings[1, 1, 3:] = np.nan
    study = ReaderStudy.from_dense([0, 0, 0, 1, 1, 1], ratings=ratings, readers=("A", "B"), arms=("unaided", "aided"))
    with pytest.raises(UndefinedStatisticError, match="reader B in arm aided has 0 cases that are positive"):
        study.figures()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ratings": np.ones((2, 2, 5))}, "5 cases where truth has 4"),
        ({"ratings": np.ones((2, 4))}, "shape"),
        ({"ratings": np.full((1, 1, 4), np.inf)}, "infinite"),
        ({"labels": np.full((1, 1, 4), 2)}, "positions 0 to 1"),
        ({"labels": np.ones((1, 1, 3))}, "shape"),
        ({}, "both absent"),
        ({"ratings": np.ones((1, 1, 4)), "labels": np.ones((1, 2, 4))}, "same"),
        ({"ratings": np.ones((1, 2, 4)), "readers": ("A", "A")}, "twice"),
        ({"ratings": np.ones((1, 2, 4)), "readers": ("A",)}, "1 names"),
    ],
)
def test_shapes_and_names_that_do_not_fit_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(StatisticsInputError, match=words):
        ReaderStudy.from_dense([0, 0, 1, 1], **arguments)


def test_figure_without_its_readings_says_what_is_needed() -> None:
    rated = ReaderStudy.from_dense([0, 0, 1, 1], ratings=np.arange(4.0).reshape(1, 1, 4))
    with pytest.raises(StatisticsInputError, match="labels"):
        rated.figures("accuracy")
    named = ReaderStudy.from_dense([0, 0, 1, 1], labels=np.ones((1, 1, 4)))
    with pytest.raises(StatisticsInputError, match="ratings"):
        named.figures("auc")


def test_rating_of_some_classes_only_is_refused() -> None:
    ratings = np.ones((3, 1, 1, 4))
    ratings[1, 0, 0, 2] = np.nan
    with pytest.raises(StatisticsInputError, match="some classes"):
        ReaderStudy.from_dense([0, 1, 2, 1], ratings=ratings, classes=(0, 1, 2))


def test_first_of_two_classes_mirrors_the_second() -> None:
    rng = np.random.default_rng(4)
    study = ReaderStudy.from_dense(np.arange(20) % 2, ratings=rng.integers(0, 5, (2, 3, 20)), classes=(0, 1))
    np.testing.assert_allclose(study.figures(positive=0).values(), study.figures(positive=1).values())
