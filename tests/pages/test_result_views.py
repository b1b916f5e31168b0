"""The views of the results: every number drawn is one of the analysis, every rater has one colour, nothing is cut."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from importlib import import_module

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.number_text import estimate_text
from core.protocol import Scale, ScaleKind
from core.rater_styles import PALETTE, rater_styles
from core.report.paper_data import printed_cells
from core.study_analysis.results import Identity
from pages.results import VIEWS
from pages.views import behaviour
from pages.views.overview import forest_rows
from pages.widgets import charts
from tests.core.analysis_studies import KEYS, simulated_study
from tests.core.paper_study import paper_study
from tests.pages.shown_studies import shown_study


def drawn(view: str, shown) -> AppTest:
    """A view as Streamlit runs it."""

    def script(module, shown):
        from importlib import import_module

        import_module(module).draw(shown)

    module = VIEWS[view].__module__
    assert import_module(module).draw is VIEWS[view]
    page = AppTest.from_function(script, args=(module, shown), default_timeout=60).run()
    assert not page.exception, page.exception
    return page


def on_one_line(text: str) -> str:
    """A cell that is never broken, with the spaces of all other texts."""
    assert " " not in text
    return text.replace("\u00a0", " ")


def test_the_table_of_classes_prints_what_the_paper_printed():
    page = drawn("Classes", shown_study(paper_study()))
    html = page.get("html")[0].proto.body
    blocks = dict(re.findall(r"<caption>(.*?)</caption>(.*?)</table>", html, re.S))
    assert list(blocks) == ["ResNet34", "Junior physician", "Senior physician"]
    titles = {"sensitivity": "Recall (%)", "specificity": "Specificity (%)", "ppv": "PPV (%)", "npv": "NPV (%)"}
    names = {"ResNet34": "ResNet34", "Junior": "Junior physician", "Senior": "Senior physician"}
    checked = 0
    for cell in printed_cells():
        if cell.table != "4" or cell.part != "point" or cell.quantity not in titles or not cell.subject:
            continue
        row = re.search(rf"<th>{re.escape(titles[cell.quantity])}</th>(.*?)</tr>", blocks[names[cell.rater]], re.S)
        cells = re.findall(r"<td>([\d.]+)<small>([\d.]+)–([\d.]+)</small>", row[1])
        shown = cells[KEYS.index(cell.subject)]
        assert float(shown[0]) == pytest.approx(float(cell.printed), abs=0.11), cell
        checked += 1
    assert checked == 48


def test_the_answer_stands_first_on_the_overview():
    shown = shown_study(paper_study())
    html = drawn("Overview", shown).get("html")[0].proto.body
    assert shown.found.answer[0] in unescape(re.sub("<[^>]*>", "", html))
    assert '<span class="whole">p &lt; 0.001</span>' in html, "no line ends between a sign and its number"


def test_the_forest_plot_has_every_rater_and_the_mean_with_the_differences_of_the_analysis():
    shown = shown_study(simulated_study(n_cases=60, readers=3, models=2))
    rows, gaps, reference = forest_rows(shown)
    assert rows["label"].tolist() == ["model-0", "model-1", "reader-0", "reader-1", "reader-2", "Mean of 3 readers"]
    assert reference == "model-0"
    for pair in shown.found.comparisons:
        if pair.first.key == "model-0":
            assert gaps.set_index("label").loc[pair.second.label.split(",")[0], "value"] == pair.difference.value
    figure = charts.forest_chart(rows, gaps, shown.styles, reference)
    values = {trace.name: trace.x[0] / 100 for trace in figure.data if trace.xaxis != "x2"}
    assert values == pytest.approx(dict(zip(rows["label"], rows["value"], strict=True)))


@pytest.mark.parametrize(
    ("readers", "leads"), [(3, "these readers, random cases"), (5, "random readers, random cases")]
)
def test_the_panel_says_its_notes_before_its_numbers(readers, leads):
    shown = shown_study(simulated_study(n_cases=60, readers=readers, models=1, missing=0.04))
    page = drawn("Panel", shown)
    assert any(leads in text.value for text in page.markdown)
    order = [element.type for element in page.main if element.type in ("warning", "table")]
    assert order[:2] == ["warning", "table"]
    if readers < 5:
        assert "3 readers cannot represent readers in general" in page.warning[0].value
    table = page.table[0].value
    assert len(set(table.columns)) == len(table.columns)
    row = shown.tables["mrmc"].query("metric == 'auc' and is_leading").iloc[0]
    assert on_one_line(table["Difference (95 %)"].iloc[0]) == estimate_text(row["value"], row["lower"], row["upper"])


def test_the_model_at_a_readers_specificity_is_in_the_table_and_under_the_pointer():
    shown = shown_study(simulated_study(n_cases=80, readers=2, models=1))
    row = shown.of("matched_points", **{"class": KEYS[0], "match": "specificity"}).iloc[0]
    page = drawn("ROC", shown)
    table = next(each.value for each in page.table if "Reader's specificity" in each.value.columns)
    text = estimate_text(row["first_value"], row["first_lower"], row["first_upper"])
    assert on_one_line(table["Model's sensitivity there (95 %)"].iloc[0]) == text
    from pages.views.roc import _operating

    told = _operating(shown, KEYS[0], shown.of("roc_points", **{"class": KEYS[0]})).set_index("label")["told"]
    assert f"model-0 has sensitivity {row['first_value']:.3f}" in told["reader-0"]


def two_arms():
    study = simulated_study(n_cases=60, readers=2, models=1, arms=("aided", "unaided"))
    return shown_study(replace(study, reader_names={"reader-0": "Ann", "reader-1": "Ann"}))


def test_arms_and_namesakes_are_drawn_apart():
    shown = two_arms()
    assert shown.raters == [
        "model-0", "Ann (reader-0), aided", "Ann (reader-0), unaided", "Ann (reader-1), aided",
        "Ann (reader-1), unaided",
    ]  # fmt: skip
    points = shown.of("roc_points", **{"class": "sat"})
    average = shown.of("reader_average_roc", **{"class": "sat"})
    none = pd.DataFrame({"label": [], "false_positive_rate": [], "sensitivity": [], "told": []})
    figure = charts.roc_chart(points, none, average, shown.styles)
    lines = [trace for trace in figure.data if trace.name and trace.name.startswith("Ann")]
    assert len(lines) == 4
    assert all((pd.Series(line.x).diff().dropna() >= 0).all() for line in lines), "one line, one curve"


def test_of_many_classes_a_matrix_has_text_only_where_cases_are():
    keys = [f"k{number}" for number in range(12)]
    rows = pd.DataFrame(
        [(truth, answer, 3 if truth == answer else 0) for truth in keys for answer in keys],
        columns=["truth", "answer", "count"],
    )
    figure = charts.confusion_chart(rows, dict.fromkeys(keys, "<b>one name for all</b>"))
    texts = [text for trace in figure.data if trace.type == "scatter" for text in trace.text]
    assert texts == ["3<br>100.0 %"] * 12
    assert figure.data[0].z.shape == (12, 12)  # classes of one name are not drawn as one
    assert figure.layout.xaxis.ticktext[0] == "&lt;b>one name for all&lt;/b>"


def test_the_roc_is_square_on_one_scale():
    shown = shown_study(simulated_study(n_cases=60))
    points = shown.of("roc_points", **{"class": "sat"})
    none = pd.DataFrame({"label": [], "false_positive_rate": [], "sensitivity": [], "told": []})
    layout = charts.roc_chart(points, none, shown.of("reader_average_roc", **{"class": "sat"}), shown.styles).layout
    assert layout.yaxis.scaleanchor == "x"
    assert layout.yaxis.scaleratio == 1
    assert layout.xaxis.range == layout.yaxis.range
    assert layout.paper_bgcolor == "white"


def test_a_confusion_matrix_holds_one_arm_and_its_rows_add_up():
    shown = two_arms()
    rows = shown.of("confusion", label="Ann (reader-0), aided")
    figure = charts.confusion_chart(rows, shown.short_labels)
    texts = [text.split("<br>") for trace in figure.data if trace.type == "scatter" for text in trace.text]
    assert sum(int(count) for count, *_ in texts) == 60
    shares = [float(share[0].removesuffix(" %")) for _, *share in texts if share]
    assert sum(shares) == pytest.approx(400, abs=1)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", PALETTE)
def test_marks_stand_out_from_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_a_rater_keeps_the_colour_whoever_else_answers():
    readers = [Identity("reader", f"r{number:02d}", arm, "R") for number in range(20) for arm in ("unaided", "aided")]
    models = [Identity("model", f"m{number}", "", "M") for number in range(4)]
    styles = rater_styles([*readers, *models, *readers], declared="m2")
    assert len(set(styles.values())) == len(styles) == 44, "nobody looks like somebody else"
    assert styles["m2", ""].colour == PALETTE[0]
    assert styles["r03", "aided"].colour == styles["r03", "unaided"].colour
    assert styles["r03", "aided"].symbol != styles["r03", "unaided"].symbol
    assert rater_styles(reversed([*readers, *models]), declared="m2") == styles


def test_the_charts_have_the_dashes_and_marks_of_the_printed_figures():
    shown = shown_study(simulated_study(n_cases=60, readers=3, models=2, arms=("unaided", "aided")))
    points = shown.of("roc_points", **{"class": "sat"})
    none = pd.DataFrame({"label": [], "arm": [], "false_positive_rate": [], "sensitivity": [], "told": []})
    drawn = charts.roc_chart(points, none, shown.of("reader_average_roc", **{"class": "sat"}), shown.styles)
    lines = {trace.name: trace.line for trace in drawn.data if trace.name in shown.styles and trace.mode == "lines"}
    assert len({line.dash for line in lines.values()}) == len(lines) == 8, "each curve has a dash of its own"
    for name, line in lines.items():
        lengths = [] if line.dash == "solid" else [float(each.removesuffix("px")) for each in line.dash.split(",")]
        assert lengths == pytest.approx([line.width * each for each in shown.styles[name].dash], rel=0.01)
    operating = pd.DataFrame({"label": list(lines), "false_positive_rate": 0.2, "sensitivity": 0.8, "told": ""})
    legend = [trace for trace in charts.roc_chart(points, operating, none, shown.styles).data if trace.name in lines]
    named = {trace.name: (trace.mode, trace.line.dash) for trace in legend if trace.showlegend}
    assert named == {name: ("lines+markers", line.dash) for name, line in lines.items()}, "mark and dash side by side"
    means = {trace.name: trace.line.dash for trace in drawn.data if (trace.name or "").startswith("Mean of")}
    assert len(set(means.values())) == len(means) == 2
    rows = shown.of("summary", quantity="accuracy")
    forest = charts.forest_chart(rows, rows.head(0), shown.styles, "model-0")
    symbols = [trace.marker.symbol for trace in forest.data]
    assert len(set(symbols)) == len(symbols) == 8


def test_confidence_from_0_to_100_is_told_as_it_was_stated():
    scale = Scale(ScaleKind.PERCENT)
    assert behaviour._step(scale, 0.0, 0.0) == "0"
    assert behaviour._step(scale, 0.0, 10.0) == "0 to 10"
    assert behaviour._step(Scale(), 5.0, 5.0) == "certain"


def test_views_of_a_scale_from_0_to_100_show_no_101():
    data = simulated_study(readers=2, models=1)
    stated = 100 * (data.readings["confidence"] - 1) // 5  # 0 to 80
    data = replace(data, readings=data.readings.assign(confidence=stated + 1), confidence_shift=1)
    shown = shown_study(data, scale=Scale(ScaleKind.PERCENT))
    page = drawn("ROC", shown)
    tables = [each.value for each in (*page.table, *page.dataframe)]
    told = [str(text) for table in tables if "Positive when" in table for text in table["Positive when"]]
    assert "chosen, 80 or more" in told
    assert "not chosen, 60 or less" in told
    assert not [text for text in told if "81" in text]


def test_cases_of_readings_made_elsewhere_are_named_and_no_button_leads_to_a_picture_that_is_not_here():
    shown = shown_study(simulated_study(n_cases=12, readers=2, models=1))
    assert len(drawn("Agreement", shown).button) > 0
    elsewhere = replace(shown.study, is_read_elsewhere=True)
    for without in (replace(shown, study=elsewhere), replace(shown, has_pictures=False)):  # the second: of a bundle
        page = drawn("Agreement", without)
        assert not len(page.button)
    assert any("case-" in str(text.value) for text in page.text)


def headings(block):
    """What stands above something: bold words at a line's begin, labels that open, without numbers and arms."""
    for child in getattr(block, "children", {}).values():
        if child.type == "expander":
            yield re.sub(r"^\d+ |: \d+$", "", child.label)
        if child.type == "markdown" and (found := re.match(r"\*\*(.+?)\*\*", child.value)):
            yield found[1]
        yield from headings(child)


def test_no_heading_stands_twice_on_a_view():
    data = simulated_study(n_cases=24, readers=3, models=1, arms=("aided", "unaided"), repeats=4, has_about=True)
    shown = shown_study(data)
    counted = 0
    for view in VIEWS:
        told = list(headings(drawn(view, shown).main))
        assert len(set(told)) == len(told), (view, told)
        counted += len(told)
    assert counted > 15


def test_a_forest_plot_has_room_for_its_longest_interval():
    rows = pd.DataFrame({"label": ["a", "b"], "value": [0.9, 0.8], "lower": [0.8, 0.7], "upper": [0.95, 0.9], "n": 9})
    gaps = pd.DataFrame({"label": ["b"], "value": [-0.077], "lower": [-0.125], "upper": [-0.028]})
    styles = rater_styles([Identity("model", "a", "", "a"), Identity("reader", "b", "", "b")], None)
    figure = charts.forest_chart(rows, gaps, {"a": styles["a", ""], "b": styles["b", ""]}, "a", "AUC", is_percent=False)
    assert figure.layout.margin.r >= 7 * len("−0.077 (−0.125 to −0.028)")


def test_long_names_that_begin_alike_stay_apart_on_an_axis():
    names = [f"A diagnosis with a name that a committee has agreed on, number {number}" for number in range(4)]
    for shorten in (charts._shortened, charts._in_lines):
        short = [shorten(name) for name in names]
        assert len(set(short)) == 4
        assert all(len(line) <= 34 for text in short for line in text.split("<br>"))
