"""Every number that R gave for the reference data, held against ours at the row's own tolerance.

The rows on drawn data travel with the project and run everywhere; the others need the reference folder beside it.
The multi-reader rows have their own test; the last test here lists what nobody covers.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.core.statistics import golden_mrmc, golden_single

OWN_DATA = Path(__file__).resolve().parents[2] / "data"
REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not (REFERENCE / "golden.csv").is_file(),
    reason="the reference results of R packages are not beside the project (their data may not be copied into it)",
)

#: R reports limits that are exactly 0 as rounding noise of this size.
ROUNDING = 1e-15

#: Rows that no function of this project answers: (dataset, statistic, parameters) -> reason.
NOT_COVERED: dict[tuple[str, str, str], str] = {}


def read(path: Path) -> list[tuple[str, str, str, float, float]]:
    """Dataset, statistic, parameters, value and relative tolerance of every row."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [
            (row["dataset"], row["statistic"], row["parameters"], float(row["value"]), float(row["rel_tol"]))
            for row in csv.DictReader(file)
        ]


SYNTHETIC = read(OWN_DATA / "golden_synthetic4.csv")
ALL = read(REFERENCE / "golden.csv")
SINGLE = ("aSAH", "irr_diagnoses", "paper", "-")


def name(row: tuple[str, str, str, float, float]) -> str:
    return " ".join(row[:3])


@pytest.mark.parametrize("row", SYNTHETIC, ids=name)
def test_drawn_data_give_what_r_gives(row):
    dataset, statistic, parameters, expected, tolerance = row
    value = golden_single.compute(dataset, statistic, parameters, OWN_DATA)
    assert value == pytest.approx(expected, rel=tolerance, abs=ROUNDING)


@needs_reference
@pytest.mark.parametrize("row", [row for row in ALL if row[0] in SINGLE], ids=name)
def test_published_data_give_what_r_gives(row):
    dataset, statistic, parameters, expected, tolerance = row
    value = golden_single.compute(dataset, statistic, parameters, REFERENCE / "data")
    assert value == pytest.approx(expected, rel=tolerance, abs=ROUNDING)


def test_drawn_rows_are_all_there():
    assert len(SYNTHETIC) == 48


@needs_reference
def test_drawn_rows_are_those_of_the_reference():
    assert [row for row in ALL if row[0].startswith("synthetic4")] == SYNTHETIC


@needs_reference
def test_no_row_is_left_out_without_a_reason():
    missing = {
        row[:3]
        for row in ALL
        if golden_single.compute(*row[:3], REFERENCE / "data") is None
        and golden_mrmc.compute(*row[:3], REFERENCE / "data") is None
    }
    assert missing == set(NOT_COVERED)
