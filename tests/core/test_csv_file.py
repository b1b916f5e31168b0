"""CSV files: other people's dialects are one table, what is wrong is located, what we write comes back."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.csv_file import (
    FORMULA_STARTS,
    Columns,
    csv_bytes,
    is_missing_code,
    original_text,
    read_csv_file,
    safe_text,
)

DATA = Path(__file__).parents[1] / "data" / "readings"
COLUMNS = Columns(("reader", "case", "truth"), ("treatment", "rating", "test"), has_others=True)
STRICT = Columns(("case", "truth"), ("reader", "label"), prefixes=("p_",))
PLAIN = "reader,case,truth,rating\nAnn,001,0,3.5\nBob,001,0,2\nAnn,002,1,4\nBob,002,1,5\nAnn,003,1,1\nBob,003,1,2\n"


@pytest.fixture
def read(tmp_path):
    def make(content, columns=COLUMNS):
        path = tmp_path / "file.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv_file(path, columns)

    return make


def cells(table):
    """Rows as tuples, numbers as numbers."""
    table.raise_first()
    return [(row.text("reader"), row.text("case"), row.text("truth"), row.number_of("rating")) for row in table.rows]


# ---------------------------------------------------------------------------------------- dialects
@pytest.mark.parametrize(
    ("name", "first_row"),
    [
        ("m12_rwritecsv", 2), ("m13_semicolon_comma", 2), ("m13b_semicolon", 2), ("m15b_trailing_empty_rows", 2),
        ("m16_headercase", 2), ("m20_comment", 3),
    ],
)  # fmt: skip
def test_case_09_files_of_r_and_excel_are_one_table(name, first_row):
    table = read_csv_file(DATA / f"{name}.csv", COLUMNS)
    found, wanted = cells(table), cells(read_csv_file(DATA / "m16_headercase.csv", COLUMNS))
    assert len(found) == 240
    more = 0.5 if name == "m13_semicolon_comma" else 0.0  # the file's decimal commas: 3,5 where the others have 3
    assert found == [(*row[:3], row[3] + more) for row in wanted]
    assert [row.number for row in table.rows] == list(range(first_row, first_row + 240))


DIALECTS = {
    "plain": PLAIN,
    "byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 big end first, no mark": PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "semicolons, decimal commas": PLAIN.replace(",", ";").replace(".", ","),
    "semicolons, decimal points": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "tabs, decimal commas": PLAIN.replace(",", "\t").replace(".", ","),
    "bars": PLAIN.replace(",", "|"),
    "sep=": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "Windows line ends": PLAIN.replace("\n", "\r\n"),
    "old Mac line ends": PLAIN.replace("\n", "\r"),
    "no last line end": PLAIN.rstrip(),
    "blanks after commas": PLAIN.replace(",", ", "),
    "all quoted": "".join('"' + line.replace(",", '","') + '"\n' for line in PLAIN.splitlines()),
    "blanks and quotes": "".join('"' + line.replace(",", '", "') + '"\n' for line in PLAIN.splitlines()),
    "capitals and blanks in the header": PLAIN.replace("reader,case", " READER , Case "),
    "row names of write.csv": "".join(f'"{at or ""}",{line}\n' for at, line in enumerate(PLAIN.splitlines())),
    "index of pandas": "".join(f"{at - 1 if at else ''},{line}\n" for at, line in enumerate(PLAIN.splitlines())),
    "index of pandas, twice": "".join(
        f"{at - 1 if at else 'Unnamed: 0'},{line}\n" for at, line in enumerate(PLAIN.splitlines())
    ),
    "row names of write.table": "".join(
        (f'"{at}"\t' if at else "") + line.replace(",", "\t") + "\n" for at, line in enumerate(PLAIN.splitlines())
    ),
    "write.table as it is": "".join(
        (f'"{at}" ' if at else "") + " ".join(f'"{cell}"' for cell in line.split(",")) + "\n"
        for at, line in enumerate(PLAIN.splitlines())
    ),
    "write.csv2": "".join(
        f'"{at or ""}";' + line.replace(",", ";").replace(".", ",") + "\n" for at, line in enumerate(PLAIN.splitlines())
    ),
    "empty columns at the end": "".join(f"{line},,\n" for line in PLAIN.splitlines()),
    "separators at the end of the rows alone": "".join(
        line + (",\n" if at else "\n") for at, line in enumerate(PLAIN.splitlines())
    ),
    "an empty column within": "".join(line.replace(",", ",,", 1) + "\n" for line in PLAIN.splitlines()),
    "empty rows": PLAIN.replace("\n", "\n\n") + ",,,\n,,,\n  \n",
    "comments above": '# made by "R, on Monday\n#\n\n' + PLAIN,
    "a comment below": PLAIN + "# end of file\n",
    "a comment below, filled up": PLAIN + "# end of file,,,\n",
    "a comment as header": "# " + PLAIN,
}  # fmt: skip


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_dialects_are_one_table(read, dialect):
    assert cells(read(DIALECTS[dialect])) == cells(read(PLAIN))


def test_rows_have_the_numbers_of_their_lines(read):
    table = read('# one\nreader,case,truth\n\nAnn,001,"0\n\n"\nBob,001,0\n')
    assert [row.number for row in table.rows] == [4, 7]
    assert table.header_row == 2


def test_what_was_left_out_is_said(read):
    assert read("# x\n" + PLAIN + "# y\n").notes == (
        "comment above the header, left out: row 1",
        "comment, left out: row 9",
    )
    assert "numbers the rows" in read(DIALECTS["row names of write.csv"]).notes[0]


def test_a_reader_whose_name_begins_with_a_hash_is_no_comment(read):
    table = read(PLAIN.replace("Ann", "#Ann"))
    assert {row.text("reader") for row in table.rows} == {"#Ann", "Bob"}
    assert not table.notes


# ---------------------------------------------------------------------------------------- refusals
REFUSED = {
    "empty": ("", 1, "the file is empty"),
    "only blank rows": ("\n ,\n", 1, "the file is empty"),
    "header alone": ("reader,case,truth\n", 2, "no row below"),
    "Windows-1252": ("reader,case,truth\nM\u00fcller,1,0\n".encode("cp1252"), 2, "not UTF-8"),
    "a workbook": (b"PK\x03\x04rest", 1, "Excel workbook"),
    "NUL": (PLAIN.replace("003", "0\x003"), 6, "NUL"),
    "a quote that stays open": (PLAIN.replace("Bob,003", '"Bob,003'), 7, "never closed"),
    "text after a quote": (PLAIN.replace("Bob,003", '"B"ob,003'), 7, "broken quoting"),
    "few fields": (PLAIN.replace("Bob,001,0,", "Bob,001,0"), 3, "too few fields: 3 instead of 4"),
    "many fields": (PLAIN.replace("Bob,001", "Bob,jr,001"), 3, "too many fields: 5 instead of 4"),
    "a column twice": (PLAIN.replace("reader,case", "case,Case"), 1, "twice"),
    "a column missing": (PLAIN.replace("case", "image"), 1, "column is missing"),
    "no header": (PLAIN.split("\n", 1)[1], 1, "names none of the columns"),
    "values without a name": (PLAIN.replace("rating", ""), 2, "column 4 has no name and holds values"),
    "row names that repeat": ("".join(f"x,{line}\n" if at else f",{line}\n" for at, line in
                                      enumerate(PLAIN.splitlines())), 2, "column 1 has no name"),
    "a title": ("Study of readers,,,\nBerlin,,,\n" + PLAIN, 1, "named in row 3"),
    "a header in the middle": (PLAIN + PLAIN, 8, "repeats the names"),
    "Qualtrics": ('reader,case,truth\nWho?,What?,Truth?\n"{""ImportId"":""Q1""}","{""ImportId"":""Q2""}",x\n'
                  "Ann,1,0\n", 3, "Qualtrics"),
    "labels below the names": ("reader,case,truth,rating\nWho reads,Which case,Reference,Your rating\n"
                               + PLAIN.split("\n", 1)[1], 2, "looks like more header"),
}  # fmt: skip


@pytest.mark.parametrize("item", list(REFUSED))
def test_what_cannot_be_read_is_located_with_a_fix(read, item):
    content, row, words = REFUSED[item]
    problem = read(content).problems[0]
    assert words in problem.problem
    assert (problem.row, bool(problem.fix), problem.file.endswith("file.csv")) == (row, True, True)


def test_the_fix_of_another_encoding_works(tmp_path):
    (tmp_path / "file.csv").write_bytes(PLAIN.replace("Ann", "M\u00fcller").encode("cp1252"))
    fix = read_csv_file(tmp_path / "file.csv", COLUMNS).problems[0].fix
    subprocess.run(fix.partition("Windows-1252: ")[2], shell=True, check=True, cwd=tmp_path)  # noqa: S602  # as a person would
    table = read_csv_file(tmp_path / "file-utf8.csv", COLUMNS)
    assert {row.text("reader") for row in table.rows} == {"M\u00fcller", "Bob"}


@pytest.mark.parametrize("item", ["a title", "a header in the middle", "Qualtrics", "labels below the names"])
def test_the_fix_of_header_rows_works(read, item):
    """Deleting the rows that the message names gives the table."""
    content, _, _ = REFUSED[item]
    fix = read(content).problems[0].fix.split(";")[0]
    numbers = [int(word.strip(",")) for word in fix.split() if word.strip(",").isdigit()]
    doomed = set(range(numbers[0], numbers[-1] + 1)) if " to " in fix else set(numbers)
    kept = [line for number, line in enumerate(content.splitlines(keepends=True), 1) if number not in doomed]
    assert not read("".join(kept)).problems


def test_case_07_qualtrics_rows_are_pointed_at():
    problem = read_csv_file(DATA / "l11_qualtrics.csv", STRICT).problems[0]
    assert (problem.row, problem.fix) == (3, "delete rows 2 to 3")


def test_numbers_are_not_guessed(read):
    for value in ("1.234,5", "1,234.5", "1 000", "1_000", "inf", "0x10", "\u0663", "3-5", "1e999"):
        row = read(PLAIN.replace(",", ";").replace("3.5", value)).rows[0]
        with pytest.raises(ValueError, match="number"):
            row.number_of("rating")
    with pytest.raises(ValueError, match="decimal comma in a file separated by commas"):
        read(PLAIN.replace("3.5", '"3,5"')).rows[0].number_of("rating")
    mixed = read(PLAIN.replace(",", ";").replace("Ann;003;1;1", "Ann;003;1;1,5")).rows
    assert mixed[0].number_of("rating") == 3.5
    with pytest.raises(ValueError, match="row 2 has a decimal point"):
        mixed[4].number_of("rating")


def test_unknown_columns_are_refused_unless_they_may_be_there(read):
    problem = read("case,truth,lable\n1,0,0\n", STRICT).problems[0]
    assert (problem.field, problem.fix) == ("lable", "did you mean 'label'?")
    assert read("case,truth,P_Graves\n1,0,0.5\n", STRICT).columns == ("case", "truth", "p_Graves")


def test_the_fix_of_a_misspelt_column_names_it(read):
    for header, field, fix in (
        ("Case ID,truth", "case", "rename the column 'Case ID' to 'case'"),
        ("case,reference", "truth", "add the column; the file has case, reference"),
    ):
        problem = read(f"{header}\n1,0\n", STRICT).problems[0]
        assert (problem.row, problem.field, problem.fix) == (1, field, fix)


def test_missing_codes():
    assert all(is_missing_code(code) for code in ("", " ", "NA", "nan", "N/A", ".", "NULL", "None", "<NA>", "#N/A"))
    assert not any(is_missing_code(code) for code in ("0", "normal", "NAD", "-1", "999"))


# ---------------------------------------------------------------------------------------- ours
@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12))
def test_safe_text_is_no_formula_and_comes_back(text):
    assert original_text(safe_text(text)) == text
    assert not safe_text(text).startswith(FORMULA_STARTS)


@pytest.mark.parametrize("text", ["-001", "+2", "=3", "@4", "'x", "'=1", "''=1", "''", "'"])
def test_ids_like_formulas_come_back(text):
    assert original_text(safe_text(text)) == text


IDS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8
).filter(lambda text: not text.startswith("#") and text.lstrip("\ufeff").strip() == text)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(IDS, IDS, st.floats(allow_nan=False, allow_infinity=False), st.text("ab\n\r \"',;", max_size=6)),
             min_size=1, max_size=6),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)  # fmt: skip
def test_what_is_written_is_read_back(tmp_path_factory, rows, encoding):
    """Any ids, numbers and texts with line breaks, quotes and separators."""
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    content = csv_bytes(("reader", "case", "truth", "rating", "comment"),
                        [(reader, case, "1", number, comment) for reader, case, number, comment in rows])  # fmt: skip
    path.write_bytes(content.decode("utf-8-sig").encode(encoding))
    table = read_csv_file(path, Columns(("reader", "case", "truth"), ("rating", "comment")))
    table.raise_first()
    found = [(row.values["reader"], row.values["case"], row.number_of("rating"), row.values["comment"].strip())
             for row in table.rows]  # fmt: skip
    assert found == [(reader, case, number, comment.strip()) for reader, case, number, comment in rows]


def test_a_byte_order_mark_stands_where_excel_needs_it():
    assert csv_bytes(("a",), [("x",)]) == b"a\r\nx\r\n"
    assert csv_bytes(("a",), [("Müller",)]).startswith(b"\xef\xbb\xbfa\r\n")
    assert not csv_bytes(("a",), [("Müller",)], has_mark=False).startswith(b"\xef\xbb\xbf")
