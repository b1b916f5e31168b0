"""Any text in a label, a name or a title goes through every way out as it is: nothing computes, breaks or vanishes."""

import csv
import html
import io
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from core.csv_file import FORMULA_STARTS, csv_bytes, original_text
from core.report.document import Heading, Paragraph, to_html, to_pdf
from core.report.excel_file import workbook_bytes
from core.report.printed_tables import PrintedTable, tex_text

#: Signs that mean something to a spreadsheet, LaTeX, HTML, typst or Matplotlib, among letters of several scripts.
SIGNS = "&%_#<>$^~\\{}[]*`'\"=+-@|/!?;:,. \n\t\r\x01\x7f0aÄ患ع😀"
TEXTS = st.text(st.sampled_from(SIGNS), min_size=1, max_size=14)
HERE = settings(deadline=None, max_examples=60)


def table_of(text):
    return PrintedTable("t", text, (text, "n"), ((text, "1"), ("b", text)), spans=((text, 2),), notes=(text,))


@HERE
@given(TEXTS)
@example("a---b")
@example("-<-")
@example("1,,,2 '''")
def test_latex_has_no_sign_left_that_it_would_obey(text):
    told = tex_text(text)
    left = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|textminus|textpm|textless|textgreater|textbar|"
                  r"textasciigrave)\{\}|\\[&%$#_{}]|\{[\[*]\}|(?<=-)\{\}(?=-)|(?<=')\{\}(?=')|(?<=,)\{\}(?=,)",
                  "", told)  # fmt: skip
    assert not set(left) & set("&%$#_{}\\~^<>|[*`\n\r\t\x01\x7f")
    assert not any(ligature in told for ligature in ("--", "''", ",,"))
    page = table_of(text).latex()
    rows = page.split(r"\midrule")[-1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(rows) == 2
    assert all(row.endswith(r" \\") and not row.startswith(("[", "*")) for row in rows)


@HERE
@given(TEXTS)
def test_html_shows_the_text_and_nothing_else(text):
    for page in (table_of(text).html(), to_html(text, [Heading(text, stamp=text), Paragraph(text)]).decode()):
        assert html.escape(text) in page
        bare = page.replace(html.escape(text), "")
        assert "<script" not in bare
        assert bare.count("<") == bare.count(">")


@HERE
@given(TEXTS)
def test_spreadsheets_compute_nothing_and_keep_the_text(text):
    lines = list(csv.reader(io.StringIO(csv_bytes([text, "n"], [[text, 1]]).decode("utf-8-sig"), newline="")))
    for cell, _ in lines:
        assert not cell.startswith(FORMULA_STARTS)
        assert original_text(cell) == text
    sheet = load_workbook(io.BytesIO(workbook_bytes({"s": ((text, "n"), [(text, 1)])})))["s"]
    wanted = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text).replace("\r\n", "\n").replace("\r", "\n")
    for cell in (sheet["A1"], sheet["A2"]):
        assert cell.data_type == "s"
        assert str(cell.value).replace("\r\n", "\n").replace("\r", "\n").strip() == wanted.strip()


@settings(HERE, max_examples=15)
@given(TEXTS)
def test_pdf_is_set_whatever_the_text(text):
    assert to_pdf(text, [Heading(text, stamp=text), Paragraph(text, is_warning=True), table_of(text)])[:4] == b"%PDF"
