"""Tables on screen: p values as journals print them, notes before numbers, nothing that Markdown would eat."""

from dataclasses import replace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.analysis import analyse
from core.number_text import estimate_text, p_text
from pages.widgets import charts
from pages.widgets.results_data import with_labels
from tests.core.analysis_studies import simulated_study


@pytest.mark.parametrize(
    ("p", "text"), [(3.67e-8, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (0.0499, "0.050"), (None, "")]
)
def test_p_values_are_readable(p, text):
    assert p_text(p) == text


def test_an_estimate_and_its_interval_are_one_text():
    assert estimate_text(-0.05, -0.1, 0.02) == "−0.050 (−0.100 to 0.020)"
    assert estimate_text(1.0, None, float("nan")) == "1.000"
    assert estimate_text(float("nan"), None, None) == "undefined"


def panel_script(tables):
    from pages.widgets.comparison_views import draw_panel

    draw_panel(tables, {})


@pytest.mark.parametrize(
    ("readers", "leads"), [(3, "these readers, random cases"), (5, "random readers, random cases")]
)
def test_the_panel_says_its_notes_before_its_numbers(readers, leads):
    tables = analyse(simulated_study(n_cases=60, readers=readers, models=1, missing=0.04)).to_tables()
    page = AppTest.from_function(panel_script, args=(tables,)).run()
    assert not page.exception
    assert any(leads in text.value for text in page.markdown)
    order = [element.type for element in page.main if element.type in ("warning", "table")]
    assert order[:2] == ["warning", "table"]
    said = page.warning[0]
    if readers < 5:
        assert "3 readers cannot represent readers in general" in said.value
    shown = page.table[0].value
    assert "Difference (95 %)" in shown.columns
    assert len(set(shown.columns)) == len(shown.columns)
    row = tables["mrmc"].query("metric == 'auc' and is_leading").iloc[0]
    assert shown["Difference (95 %)"].iloc[0] == estimate_text(row["value"], row["lower"], row["upper"])


def names_script():
    import pandas as pd

    from pages.widgets.drawn_tables import draw_table

    draw_table(pd.DataFrame({"name": ["*Dr* [A](http://x) $x$", "net_a_b"]}), ["name"], {})


def test_names_are_no_markup():
    page = AppTest.from_function(names_script).run()
    assert page.table[0].value["Participant"].tolist() == ["\\*Dr\\* \\[A\\](http\\://x) \\$x\\$", "net\\_a\\_b"]


def test_every_view_draws_what_the_analysis_gives():
    tables = with_labels(analyse(simulated_study(n_cases=60, readers=2, models=1, has_about=True)).to_tables())

    def script(tables, labels):
        from pages.widgets.comparison_views import draw_areas, draw_cutoffs, draw_matched_points, draw_pairs
        from pages.widgets.part_views import draw_calibration, draw_subgroups, draw_times

        draw_pairs(tables, labels)
        draw_areas(tables, labels, labels)
        draw_matched_points(tables, labels, "tumor")
        draw_cutoffs(tables, labels, "tumor")
        draw_calibration(tables, labels, labels)
        draw_subgroups(tables, labels, labels)
        draw_times(tables, labels)

    labels = {"graves": "Graves", "normal": "Normal", "sat": "SAT", "tumor": "Tumor"}
    page = AppTest.from_function(script, args=(tables, labels), default_timeout=60).run()
    assert not page.exception
    drawn = [table.value for table in page.table]
    assert all(isinstance(table, pd.DataFrame) and len(table) for table in drawn)
    assert {"Difference (95 %)", "Brier score", "Median seconds (95 %)"} <= {name for t in drawn for name in t.columns}


def two_arm_tables():
    study = simulated_study(n_cases=60, readers=2, models=1, arms=("aided", "unaided"))
    study = replace(study, reader_names={"reader-0": "Ann", "reader-1": "Ann"})
    return with_labels(analyse(study).to_tables())


def test_arms_and_namesakes_are_drawn_apart():
    tables = two_arm_tables()
    assert set(tables["summary"]["label"]) == {
        "Ann (reader-0), aided", "Ann (reader-0), unaided", "Ann (reader-1), aided", "Ann (reader-1), unaided",
        "model-0",
    }  # fmt: skip
    styles = charts.participant_styles(tables["summary"])
    accuracy = tables["summary"][tables["summary"]["quantity"] == "accuracy"]
    assert len(charts.estimate_chart(accuracy, styles, "").data) == 5
    points = tables["roc_points"][tables["roc_points"]["class"] == "sat"]
    areas = tables["auc"][tables["auc"]["class"] == "sat"]
    none = pd.DataFrame({"label": [], "false_positive_rate": [], "sensitivity": []})
    average = tables["reader_average_roc"][tables["reader_average_roc"]["class"] == "sat"]
    figure = charts.roc_chart(points, areas, none, average, styles, "")
    lines = [trace for trace in figure.data if trace.name and trace.name.startswith("Ann")]
    assert len(lines) == 4
    assert all((pd.Series(line.x).diff().dropna() >= 0).all() for line in lines), "one line, one curve"


def test_a_confusion_matrix_holds_one_arm():
    tables = two_arm_tables()
    rows = tables["confusion"]
    one = rows[rows["label"] == "Ann (reader-0), aided"]
    assert one["count"].sum() == 60
    figure = charts.confusion_chart(one, {key: key for key in ("graves", "normal", "sat", "tumor")}, "")
    assert sum(int(cell) for row in figure.data[0].text for cell in row) == 60


def notes_script(table):
    from pages.widgets.drawn_tables import draw_notes, draw_table

    draw_notes(table)
    draw_table(table, ["name", "row_note"], {})


def test_a_note_of_some_rows_has_a_mark_that_they_carry():
    table = pd.DataFrame({"name": ["a", "b", "c"], "notes": ["all | some", "all | some | own", "all"]})
    page = AppTest.from_function(notes_script, args=(table,)).run()
    assert page.warning[0].value == "- all\n- [1] some"
    assert page.table[0].value["Note"].tolist() == ["\\[1\\]", "\\[1\\]; own", ""]
