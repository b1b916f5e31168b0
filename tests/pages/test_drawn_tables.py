"""Tables on screen: p values as journals print them, notes before numbers, nothing that Markdown would eat."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.number_text import estimate_text, p_text


@pytest.mark.parametrize(
    ("p", "text"), [(3.67e-8, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.0499, "0.050"), (None, "")]
)
def test_p_values_are_readable(p, text):
    assert p_text(p) == text


def test_an_estimate_and_its_interval_are_one_text():
    assert estimate_text(-0.05, -0.1, 0.02) == "−0.050 (−0.100 to 0.020)"
    assert estimate_text(1.0, None, float("nan")) == "1.000"
    assert estimate_text(float("nan"), None, None) == "undefined"


def names_script():
    import pandas as pd

    from pages.widgets.drawn_tables import draw_table

    draw_table(pd.DataFrame({"name": ["*Dr* [A](http://x) $x$", "net_a_b"]}), ["name"])


def test_names_are_no_markup():
    page = AppTest.from_function(names_script, default_timeout=60).run()
    assert page.table[0].value["Participant"].tolist() == ["\\*Dr\\* \\[A\\](http\\://x) \\$x\\$", "net\\_a\\_b"]


def notes_script(table):
    from pages.widgets.drawn_tables import draw_notes, draw_table

    draw_notes(table)
    draw_table(table, ["name", "row_note"])


def test_a_note_of_some_rows_has_a_mark_that_they_carry():
    table = pd.DataFrame({"name": ["a", "b", "c"], "notes": ["all | some", "all | some | own", "all"]})
    page = AppTest.from_function(notes_script, args=(table,), default_timeout=60).run()
    assert page.warning[0].value == "- all\n- [1] some"
    assert page.table[0].value["Note"].tolist() == ["\\[1\\]", "\\[1\\]; own", "–"]


def test_what_is_set_side_by_side_keeps_the_order_of_its_rows():
    from pages.widgets.drawn_tables import side_by_side

    rows = pd.DataFrame(
        [("a", "2", "x", 1), ("a", "3", "x", 2), ("b", "1", "x", 3), ("b", "2", "y", 4)],
        columns=["who", "step", "kind", "estimate"],
    )
    wide = side_by_side(rows, ["who", "step"], "kind")
    assert list(wide.columns) == ["who", "step", "x", "y"]
    assert wide[["who", "step"]].to_numpy().tolist() == [["a", "2"], ["a", "3"], ["b", "1"], ["b", "2"]]
    assert wide["x"].tolist()[:3] == [1, 2, 3]


def test_many_notes_that_differ_in_a_number_of_cases_are_one():
    table = pd.DataFrame({"name": list("abcdef"), "notes": [f"{n} cases are left out" for n in range(5)] + [""]})
    page = AppTest.from_function(notes_script, args=(table,), default_timeout=60).run()
    assert page.warning[0].value == "[1] some cases are left out"
    assert page.table[0].value["Note"].tolist() == ["\\[1\\]"] * 5 + ["–"]
    few = AppTest.from_function(notes_script, args=(table.iloc[3:],), default_timeout=60).run()
    assert few.table[0].value["Note"].tolist() == ["3 cases are left out", "4 cases are left out", "–"]
