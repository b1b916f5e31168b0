"""Tables in print: words for keys, numbers that never break, nothing that stands beyond the page."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import COLUMNS, analyse
from core.report.document import PDF_PAPER, to_pdf
from core.report.printed_tables import CURVES, TEX_PAPER, PrintedTable, analysis_tables, html_page, paper_tables
from core.report.table_layout import MODERN_FACE, Paper, _width, breakable, kept_together, table_layout, word_pieces
from core.report.table_words import TITLES, heading
from tests.core.analysis_studies import simulated_study
from tests.core.report.test_figures import many_classes
from tests.core.test_behaviour import study as aided_study

ROOM = Paper(493.0, 739.0, (8.5, 7.5, 6.5), 7.0)


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
    plan = table_layout(("Item", "Text"), (("Primary endpoint", "not stated"),), ROOM)
    assert plan.widths == (None, None)
    assert (plan.size, plan.is_turned) == (8.5, False)


TEXT = st.one_of(
    st.text(st.sampled_from("abc xyz_XYZ 0123456789 "), max_size=60),
    st.sampled_from(["0.123 (0.100 to 0.150)", "−0.1 (−0.200 to 0.000)", "< 0.001", "97.7 (93.4 to 99.2)", "12"]),
)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 16).flatmap(lambda n: st.lists(st.tuples(*[TEXT] * n), min_size=1, max_size=6)))
def test_no_table_is_wider_than_its_page_unless_words_themselves_are(rows):
    plan = table_layout(rows[0], rows, ROOM)
    page = ROOM.turned_width if plan.is_turned else ROOM.width
    natural = [max(1.07 * _width(column[0]), *map(_width, column)) for column in zip(rows[0], *rows, strict=True)]
    given = [wide * plan.size if width is None else width for wide, width in zip(natural, plan.widths, strict=True)]
    assert sum(given) + ROOM.gap * len(given) <= page + 0.01
    assert all(width > 0 for width in given if width != 0)


def test_an_interval_never_breaks_but_may_stand_below_its_number():
    assert kept_together("0.123 (0.100 to 0.150)") == "0.123 (0.100\u00a0to\u00a00.150)"
    assert kept_together("reader one (the first)") == "reader one (the first)"


def test_wide_tables_are_turned_in_pdf_latex_and_for_word():
    wide = PrintedTable("w", "Wide", tuple(f"Head {n}" for n in range(11)), (("0.123 (0.100 to 0.150)",) * 11,))
    assert wide.layout(PDF_PAPER).is_turned
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
        for part in table.parts(PDF_PAPER):
            plan = part.layout(PDF_PAPER)
            assert plan.size >= min(PDF_PAPER.sizes)
            room = PDF_PAPER.turned_width if plan.is_turned else PDF_PAPER.width
            assert sum(width or 0.0 for width in plan.widths) <= room, table.key


# ------------------------------------------------------------------------------------------- the width of LaTeX tables
@pytest.fixture(scope="module")
def modern():
    """Letter -> its width in parts of the letters' size, of the font file of Computer Modern that matplotlib brings."""
    text = Path(mpl.get_data_path(), "fonts", "afm", "cmr10.afm").read_text(encoding="latin-1")
    codes = re.findall(r"^C (\d+) ; WX ([\d.]+)", text, re.MULTILINE)
    return {chr(int(code)): float(width) / 1000 for code, width in codes if 33 <= int(code) < 123} | {" ": 0.333}


def test_the_letters_of_latex_are_as_wide_as_in_its_font(modern):
    for sign in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[].,:;!?+=/*%&#$@- '":
        assert MODERN_FACE.width(sign) == pytest.approx(modern[sign], abs=0.001), sign
    assert MODERN_FACE.width("é") == MODERN_FACE.width("e")


def long_words():
    """Classes with long names and words, four readers with long names."""
    study = simulated_study(n_cases=40, readers=4, models=1, has_about=True)
    names = ("Pseudohypoparathyroidism", "Hashimoto's thyroiditis with nodules, autonomous",
             "Wegener-granulomatosis/ANCA-associated vasculitis", "UNCLASSIFIABLE_OTHERWISE")  # fmt: skip
    classes = [replace(one, label=name, short_label=name) for one, name in zip(study.classes, names, strict=True)]
    people = {f"reader-{n}": f"Prof. Wilhelmina Bartholomew-Featherstonehaugh {n}" for n in range(4)}
    return replace(study, classes=tuple(classes), reader_names=people)


def columns_of(body):
    """Cells of each column of a LaTeX table, without headings over several columns."""
    lines = [line.removesuffix(r" \\").split(" & ") for line in body.splitlines()
             if line.endswith(r" \\") and "caption" not in line and "multicolumn" not in line]  # fmt: skip
    return zip(*lines, strict=True)


#: Of the digits of cmr9, cmr8 and cmr7, in parts of those of cmr10.
TEX_SIZES = {r"\small": 9.25, r"\footnotesize": 8.5, r"\scriptsize": 7.97}
TEX_TABLE = re.compile(
    r"(\\\w+)\\setlength[^\n]*\n(?:[^\n]*\n)*?[^\n]*\\begin\{(?:longtable|tabular)\}\{([^\n]*)\}\n(.*?)\\end\{",
    re.DOTALL,
)


def test_no_latex_table_is_wider_than_its_page(analyses, modern):
    """Each column is as wide as its widest cell or as its paragraph says, which must hold the pieces of its words."""

    @cache
    def wide(text):
        plain = re.sub(r"\\text(minus|less|pm)\{\}", "+", text.replace("~", " ")).replace("\\", "")
        return sum(modern.get(sign, 0.778) for sign in re.sub(r"[{}]", "", plain))

    for analysis in (*analyses, analyse(long_words(), margin=0.05), analyse(many_classes(n_cases=20))):
        for table in (*analysis_tables(analysis), *paper_tables(analysis)):
            told = table.latex()
            found = TEX_TABLE.findall(told)
            assert len(found) == told.count(r"\toprule") > 0
            for size, places, body in found:
                points = TEX_SIZES[size]
                total = 0.0
                given = [float(own) if own else None for own in re.findall(r"l(?=[l>]|$)|p\{([\d.]+)pt\}", places)]
                for own, cells in zip(given, columns_of(body), strict=True):
                    if own is None:
                        total += max(points * wide(cell.replace(r"\allowbreak{}", "")) for cell in set(cells))
                    else:
                        pieces = (piece for cell in set(cells) for piece in re.split(r" |\\allowbreak\{\}", cell))
                        assert max(points * wide(piece) for piece in pieces) <= own + 0.1, table.key
                        total += own
                assert total + 6 * len(given) <= (683.0 if r"\begin{landscape}" in told else 455.3), table.key


def test_a_table_that_no_page_holds_is_printed_in_parts_that_name_their_rows():
    heads = ("Reader", "Class", *(f"Head {n}" for n in range(24)))
    rows = tuple((f"reader {n}", "a class", *(f"0.{n}{k:02} (0.100 to 0.150)" for k in range(24))) for n in range(3))
    parts = PrintedTable("w", "Wide", heads, rows, notes=("A note.",)).parts(TEX_PAPER)
    assert len(parts) > 1
    assert all(part.columns[:2] == heads[:2] for part in parts)
    assert [name for part in parts for name in part.columns[2:]] == list(heads[2:])
    assert [[row[2:] for row in part.rows] for part in parts] != []
    assert [cell for part in parts for cell in part.rows[1][2:]] == list(rows[1][2:])
    assert [part.notes for part in parts] == [(), *[()] * (len(parts) - 2), ("A note.",)]
    assert len({part.key for part in parts}) == len(parts)


def test_spans_stay_whole_where_a_table_is_parted():
    k, names = 4, ("model", "reader one", "reader two")
    heads = ("Performance", *["A class with a long name"] * k * 3)
    rows = (("Recall (%)", *["0.123 (0.100 to 0.150), or 0.222 (0.111 to 0.333)"] * k * 3),)
    table = PrintedTable("w", "Wide", heads, rows, spans=(("", 1), *((name, k) for name in names)))
    parts = table.parts(Paper(240.0, 320.0, (8.0,), 6.0, MODERN_FACE))
    assert [part.spans for part in parts] == [(("", 1), (name, k)) for name in names]
    assert all(len(part.columns) == 1 + k for part in parts)


def test_very_long_words_may_break_and_are_the_same_word():
    assert word_pieces("resnet_16_fine") == ["resnet_", "16_", "fine"]
    assert word_pieces("Hashimoto's") == ["Hashimoto's"]
    assert word_pieces("granulomatosis/ANCA-associated") == ["granulomatosis/", "ANCA-", "associated"]
    assert max(map(len, word_pieces("x" * 100))) <= 18
    for text in ("Pseudohypoparathyroidism  of_the neck\n", " ", "", "a_b" * 30):
        assert breakable(text, "").replace("\u200b", "") == text
