"""One formatter: the same number is the same string wherever it stands."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from actions.export_study import csv_file
from core.analysis import analyse
from core.number_text import cell_text, estimate_text, number_text, p_text, percent_text, shown_table
from tests.core.analysis_studies import simulated_study


@pytest.fixture(scope="module")
def analysis():
    return analyse(simulated_study(arms=("aided", "unaided"), repeats=10, missing=0.1, has_about=True), margin=0.05)


def test_numbers_as_journals_print_them():
    assert estimate_text(-0.05, -0.1, 0.02) == "−0.050 (−0.100 to 0.020)"
    assert estimate_text(1.0, None, float("nan")) == "1.000"
    assert estimate_text(None, None, None) == estimate_text(pd.NA, 0.1, 0.2) == "undefined"
    assert percent_text(0.944, 0.921, 0.961) == "94.4 % (92.1 to 96.1)"
    assert percent_text(None) == "undefined"
    assert [p_text(p) for p in (0.0009999, 0.001, 0.04996, 1.0, None)] == ["< 0.001", "0.001", "0.050", "1.000", ""]
    assert number_text(-0.0004) == "0.000"  # no minus before nothing
    assert cell_text(True, "is_leading") == "yes"
    assert cell_text(np.float64(0.0123), "p_value") == "0.012"
    assert cell_text(12, "n") == "12"


def test_every_table_has_the_same_strings_in_csv_and_json_and_on_the_screen(analysis):
    """All digits are one string in CSV and JSON; the estimate as people read it is one string in all of them."""
    tables = analysis.to_tables()
    in_json = json.loads(json.dumps(analysis.to_dict()), parse_float=str, parse_int=str)["tables"]
    for name, table in tables.items():
        content = csv_file(f"{name}.csv", table).content.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(content, newline="")))
        assert len(rows) == len(table) == len(in_json[name])
        for row, told in zip(rows, in_json[name], strict=True):
            for column, cell in row.items():
                value = told[column]
                wanted = "" if value is None else str(value).lower() if isinstance(value, bool) else value
                found = cell.lower() if isinstance(value, bool) else cell.removeprefix("'")
                assert found == wanted, (name, column)
        shown = shown_table(table)
        if "estimate" in table.columns:
            of_time = (
                table["quantity"] == "seconds"
                if "quantity" in table
                else pd.Series(name == "reading_times", table.index)
            )
            limits = table[["value", "lower", "upper"]].itertuples(index=False)
            texts = [
                estimate_text(*row, digits=1 if is_time else 3) for row, is_time in zip(limits, of_time, strict=True)
            ]
            assert list(shown["estimate"]) == list(table["estimate"]) == [row["estimate"] for row in rows] == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000312, "0.000312"), (0.01234, "0.0123"), (-0.00002, "−0.00002"), (44.5, "44.500"), (0.0, "0.000")],
)
def test_a_variance_component_keeps_digits_that_count(value, text):
    assert cell_text(value, "value") == text
