"""Every multi-reader row of the reference table, at the tolerance of the row."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.core.statistics.golden_mrmc import compute, is_close, study_or, van_dyke

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
DATA = REFERENCE / "data"


def _rows() -> list[dict[str, str]]:
    """Rows about multi-reader data sets."""
    table = REFERENCE / "golden.csv"
    if not table.exists():
        return []
    with table.open() as file:
        return [row for row in csv.DictReader(file) if row["dataset"] in ("VanDyke", "iMRMC_dfMRMC_example")]


ROWS = _rows()
needs_reference = pytest.mark.skipif(not ROWS, reason="the reference results are not beside this repository")


@pytest.mark.parametrize("row", ROWS or [None], ids=lambda row: "none" if row is None else _name(row))
@needs_reference
def test_r_agrees(row: dict[str, str]) -> None:
    """MRMCaov, RJafroc or iMRMC gave this value."""
    computed = compute(row["dataset"], row["statistic"], row["parameters"], DATA)
    assert computed is not None, "this row is not covered"
    expected = float(row["value"])
    assert is_close(computed, expected, float(row["rel_tol"]), row["statistic"]), f"{computed!r} != {expected!r}"


@needs_reference
def test_published_anchors_of_van_dyke() -> None:
    """OR-DBM MRMC 2.5 (University of Iowa) and JAFROC 4.2.1 print F 4.46, df2 15.26, p 0.0517."""
    overall = study_or(DATA, "jackknife").scope("RRRC").overall
    assert isinstance(overall.degrees_of_freedom, tuple)
    assert overall.statistic == pytest.approx(4.46, abs=0.005)
    assert overall.degrees_of_freedom[1] == pytest.approx(15.26, abs=0.005)
    assert overall.p_value == pytest.approx(0.0517, abs=0.00005)
    assert (len(van_dyke(DATA).readers), len(van_dyke(DATA).cases)) == (5, 114)


def _name(row: dict[str, str]) -> str:
    """Short id of a row."""
    return f"{row['dataset']}-{row['statistic']}-{row['parameters']}".replace(" ", "_")
