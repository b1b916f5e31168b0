"""Tables in print: words for keys, numbers that never break, nothing that stands beyond the page."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import COLUMNS, analyse
from core.report.document import _PDF_GAP, _PDF_SIZES, _PDF_TURNED, _PDF_WIDTH, to_pdf
from core.report.printed_tables import CURVES, PrintedTable, analysis_tables, html_page, paper_tables
from core.report.table_layout import _width, kept_together, table_layout
from core.report.table_words import TITLES, heading
from tests.core.analysis_studies import simulated_study
from tests.core.test_behaviour import study as aided_study

ROOM = {"width": 493.0, "turned_width": 739.0, "sizes": (8.5, 7.5, 6.5), "gap": 7.0}


@pytest.fixture(scope="module")
def analyses():
    study = simulated_study(n_cases=40, arms=("aided", "unaided"), repeats=6, has_about=True, missing=0.1)
    return [analyse(study, margin=0.05, cutoffs=[3]), analyse(aided_study())]


@pytest.fixture(scope="module")
def printed(analyses):
    return [table for analysis in analyses for table in (*analysis_tables(analysis), *paper_tables(analysis))]


def test_every_table_has_a_title_and_every_column_a_heading():
    assert set(COLUMNS) <= set(TITLES)
    for name, columns in COLUMNS.items():
        told = [heading(column) for column in columns]
        assert not [one for one in told if "_" in one or one.startswith(("N ", "Is "))], name


def test_no_key_of_the_program_is_printed(analyses, printed):
    assert {table.key for table in printed} >= set(COLUMNS) - {*CURVES, "shared_patients"}
    words = re.compile(r"[a-z]+_[a-z_0-9.]+")
    for table in printed:
        cells = {cell for row in table.rows for cell in row}
        assert not {cell for cell in cells if words.fullmatch(cell)}, table.key
        assert "First name" not in table.columns  # "first" is the first of two raters
    mrmc = next(table for table in printed if table.key == "mrmc")
    assert {"First", "Second"} <= set(mrmc.columns)
    assert "random readers, random cases" in {cell for row in mrmc.rows for cell in row}


def test_a_method_is_a_footnote_and_what_all_rows_share_stands_once(printed):
    auc = next(table for table in printed if table.key == "auc")
    assert "Method" not in auc.columns
    assert any("DeLong, logit scale" in note for note in auc.notes)
    assert "Cohort: internal." in auc.notes


def test_two_short_columns_stand_beside_each_other():
    plan = table_layout(("Item", "Text"), (("Primary endpoint", "not stated"),), **ROOM)
    assert plan.widths == (None, None)
    assert (plan.size, plan.is_turned) == (8.5, False)


TEXT = st.one_of(
    st.text(st.sampled_from("abc xyz_XYZ 0123456789 "), max_size=60),
    st.sampled_from(["0.123 (0.100 to 0.150)", "−0.1 (−0.200 to 0.000)", "< 0.001", "97.7 (93.4 to 99.2)", "12"]),
)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 16).flatmap(lambda n: st.lists(st.tuples(*[TEXT] * n), min_size=1, max_size=6)))
def test_no_table_is_wider_than_its_page_unless_words_themselves_are(rows):
    plan = table_layout(rows[0], rows, **ROOM)
    page = ROOM["turned_width"] if plan.is_turned else ROOM["width"]
    natural = [max(1.07 * _width(column[0]), *map(_width, column)) for column in zip(rows[0], *rows, strict=True)]
    given = [wide * plan.size if width is None else width for wide, width in zip(natural, plan.widths, strict=True)]
    assert sum(given) + ROOM["gap"] * len(given) <= page + 0.01
    assert all(width > 0 for width in given if width != 0)


def test_an_interval_never_breaks_but_may_stand_below_its_number():
    assert kept_together("0.123 (0.100 to 0.150)") == "0.123 (0.100\u00a0to\u00a00.150)"
    assert kept_together("reader one (the first)") == "reader one (the first)"


def test_wide_tables_are_turned_in_pdf_latex_and_for_word():
    wide = PrintedTable("w", "Wide", tuple(f"Head {n}" for n in range(14)), (("0.123 (0.100 to 0.150)",) * 14,))
    assert wide.layout(_PDF_WIDTH, _PDF_TURNED, _PDF_SIZES, _PDF_GAP).is_turned
    assert r"\begin{landscape}" in wide.latex()
    assert "pdflscape" in wide.latex().splitlines()[0]
    assert "landscape" in html_page(wide)
    assert to_pdf("T", [wide]).startswith(b"%PDF")


def test_latex_says_when_a_table_needs_another_engine_and_prints_no_invisible_sign():
    table = PrintedTable("t", "患者 ≥ 3", ("a", "b"), (("x\u202ey\u200bz", "−1 ± 2"),))
    assert "% has letters beyond Latin" in table.latex()
    assert "xyz" in table.latex()
    plain = PrintedTable("t", "Käse ≥ 3", ("a", "b"), (("x\u202ey\u200dz", "−1 ± 2"),))
    assert "beyond Latin" not in plain.latex()
    assert plain.latex().isascii() or "ä" in plain.latex()


def test_every_printed_table_fits_a_page(printed):
    for table in printed:
        plan = table.layout(_PDF_WIDTH, _PDF_TURNED, _PDF_SIZES, _PDF_GAP)
        assert plan.size >= min(_PDF_SIZES)
        room = _PDF_TURNED if plan.is_turned else _PDF_WIDTH
        assert sum(width or 0.0 for width in plan.widths) <= room, table.key
