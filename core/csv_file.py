"""CSV files: somebody else's as exact text, and ours so that nothing is lost. Nothing is guessed in silence, converted
or shifted.

Every value stays the string that stands in the file (``007`` keeps its zeros, ``NA`` is the text NA), every row keeps
the number of the line on which it begins (the first line is 1), and every refusal names row, column, value and a fix.
``docs/files.md`` says what is accepted:

* UTF-8 and UTF-16, with or without a byte order mark. Any other encoding is refused, for a wrong guess changes names.
* Commas, semicolons, tabs, bars or blanks between the fields; Excel's ``sep=;`` line; decimal commas where the
  separator is no comma; quoted line breaks; empty rows and columns; comment lines (``#``) before the header, and after
  it where they cannot be a row; the row names of R and the index of pandas.
* Column names are compared without capitals, blanks, points, hyphens and underscores.
* A text that begins with a formula sign may have an apostrophe in front (:func:`safe_text`), which is taken off.
* Titles above the header, second header rows (Qualtrics, REDCap) and repeated headers are refused with their rows.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from core.errors import ManifestError

MAX_BYTES = 1024 * 1024 * 1024
SEPARATORS = (",", ";", "\t", "|", " ")  # blanks: R's write.table
_SAVE_AS = "save it as 'CSV UTF-8' in the program that wrote it"
_NOT_CSV = {b"PK\x03\x04": "an Excel workbook or zip file", b"\xd0\xcf\x11\xe0": "an old Excel workbook",
            b"\x1f\x8b": "compressed with gzip", b"%PDF": "a PDF", b"\x89PNG": "a PNG picture",
            b"\xff\xd8\xff": "a JPEG picture", b"PAR1": "a Parquet file", b"$FL2": "an SPSS file",
            b"SQLite format 3": "an SQLite database", b"{": "JSON", b"[": "JSON"}  # fmt: skip
#: What other programs write where nothing was given; compared without capitals and outer blanks.
MISSING_CODES = frozenset(
    ("", "na", "n/a", "n.a.", "#n/a", "#n/a n/a", "nan", "<na>", "null", "none", "missing", ".", "-", "--", "?")
)
#: A cell that begins with one of these is a formula to a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_SAFE_FORMULA = re.compile(f"'*[{re.escape(''.join(FORMULA_STARTS))}]")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)
_ROW_NAMES = {"", "unnamed0", "1", "rownames"}  # folded headers that pandas, readr and R give to row names
_HEADER_ROWS = 3  # rows after the header that may be more header; further down they are data
_BROKEN_CELLS = {"#NAME?", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NULL!", "########"}
_RUNS = 20  # runs of rows that a message names
_SAMPLE = 2000  # rows that a suspect header row is held against
_TITLE_ROWS = 20  # a header is looked for as far down as this, to say where it stands


@dataclass(frozen=True)
class Columns:
    """What a file may have for columns."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()  # "p_" allows "p_<anything>", the rest kept as written
    has_others: bool = False  # other columns are left alone instead of being refused
    called: tuple[tuple[str, str], ...] = ()  # (what the file calls a column, its name here), said by a person

    @property
    def known(self) -> tuple[str, ...]:
        """Every full name."""
        return (*self.required, *self.optional)

    def name_of(self, written: str) -> str:
        """The name that a header cell means; the cell itself when it means none."""
        for theirs, name in self.called:
            if _folded(theirs) == _folded(written):
                return name
        for name in self.known:
            if _folded(name) == _folded(written):
                return name
        for prefix in self.prefixes:
            if written.casefold().startswith(prefix) and written[len(prefix) :].strip():
                return prefix + written[len(prefix) :].strip()
        return written

    def is_known(self, name: str) -> bool:
        """Whether a name (as :meth:`name_of` gives it) is one of these."""
        return name in self.known or name.startswith(self.prefixes or ("\0",))


@dataclass
class _DecimalMark:
    """Which decimal mark a file uses, known from its first number with one."""

    is_comma_allowed: bool
    mark: str | None = None
    row: int = 0


@dataclass(frozen=True)
class CsvRow:
    """One data row."""

    file: str
    number: int  # line of the file on which it begins; the first line is 1
    values: dict[str, str]  # column -> exact text
    _decimal: _DecimalMark = field(repr=False, compare=False)

    def text(self, column: str) -> str:
        """Value without outer blanks; "" when the file has no such column."""
        return self.values.get(column, "").strip()

    def required(self, column: str, fix: str = "fill it in") -> str:
        """Value that must not be empty."""
        value = self.text(column)
        if not value:
            if column not in self.values:
                fix = f"add the column '{column}'; where it is always the same, write that in each row"
                raise self.error(column, "the column is missing", fix=fix)
            raise self.error(column, "is empty", fix=fix)
        return value

    def number_of(self, column: str, *, fix: str = "write a number such as 3 or 0.25") -> float:
        """Value as a finite number.

        Raises
        ------
        ManifestError
            If it is none, or its decimal mark is not that of the numbers above it.
        """
        value = self.required(column)
        if _NUMBER.fullmatch(value) is None:
            raise self.error(column, "is not a number", value, fix)
        mark = next((sign for sign in ".," if sign in value), None)
        if mark == "," and not self._decimal.is_comma_allowed:
            raise self.error(column, "has a decimal comma in a file separated by commas", value,
                             "write a decimal point, or separate the fields by semicolons")  # fmt: skip
        if mark is not None:
            first = self._decimal
            first.mark, first.row = first.mark or mark, first.row or self.number
            if first.mark != mark:
                names = {".": "point", ",": "comma"}
                raise self.error(
                    column, f"has a decimal {names[mark]}, and row {first.row} has a decimal {names[first.mark]}",
                    value, f"write every number with a decimal {names[first.mark]}",
                )  # fmt: skip
        number = float(value.replace(",", "."))
        if not math.isfinite(number):
            raise self.error(column, "is not a finite number", value, fix)
        return number

    def error(
        self, column: str | None, problem: str, value: object | None = None, fix: str | None = None
    ) -> ManifestError:
        """An error that says where it is."""
        return ManifestError(problem, file=self.file, row=self.number, field=column, value=value, fix=fix)


def csv_row(file: str, number: int, values: dict[str, str]) -> CsvRow:
    """A row of texts that come from no file; numbers have a decimal point."""
    return CsvRow(file, number, values, _DecimalMark(is_comma_allowed=False))


@dataclass(frozen=True)
class CsvFile:
    """Columns, rows, what is wrong and what was noticed."""

    file: str
    columns: tuple[str, ...] = ()  # in the file's order, named as the caller named them
    rows: tuple[CsvRow, ...] = ()  # every row that fits the header
    problems: tuple[ManifestError, ...] = ()
    notes: tuple[str, ...] = ()
    header_row: int = 1

    def raise_first(self) -> None:
        """Raise the first problem, if there is one."""
        if self.problems:
            raise self.problems[0]


def read_csv_file(path: str | Path, columns: Columns) -> CsvFile:
    """Read a file whose first line, comments aside, names its columns.

    Parameters
    ----------
    path : path
    columns : Columns

    Returns
    -------
    CsvFile
        With everything that is wrong in ``problems``; problems of encoding, quoting or header leave no rows.
    """
    file = str(path)
    try:
        lines = read_lines(path)
        start, separator, notes = _header_place(lines, columns)
        records = read_records(path, lines, separator, start)
    except ManifestError as error:
        return CsvFile(file, problems=(error,))
    if not records:
        empty = ManifestError("the file is empty", file=file, row=1,
                              fix="write a first line with the columns " + ", ".join(columns.required))  # fmt: skip
        return CsvFile(file, problems=(empty,))
    (header_row, header), *body = records
    names = [columns.name_of(cell.strip().lstrip("\ufeff").strip()) for cell in header]
    problems = _title_problems(file, records, columns)
    if not problems:
        body, dropped = _without_comments(body, len(names))
        notes += dropped
        names, body, dropped = _without_nameless(names, body)
        notes += dropped
        problems = _second_headers(file, header, names, body, columns) + _header_problems(
            file, header_row, names, body, columns
        )
    if problems:
        return CsvFile(file, tuple(names), (), tuple(problems), tuple(notes), header_row)
    return _with_rows(CsvFile(file, tuple(names), (), (), tuple(notes), header_row), body, separator)


def read_lines(path: str | Path) -> list[str]:
    """The file's lines with their ends, decoded.

    Raises
    ------
    ManifestError
        If it cannot be read, is too large, is no text, or is in no Unicode encoding.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise ManifestError("this is a folder, not a CSV file", file=path, fix="name the CSV file")
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError("the file is larger than 1 GiB", file=path, fix="check that it is the right file")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError("there is no such file", file=path, fix="check the path") from error
    except OSError as error:
        reason = error.strerror or "not a path"
        raise ManifestError(f"the file cannot be read: {reason}", file=path, fix="check its permissions") from error
    for start, kind in _NOT_CSV.items():
        if data.startswith(start):
            fix = "name the table of the pictures" if kind.endswith("picture") else _SAVE_AS
            raise ManifestError(f"the file is {kind}, not a CSV file", file=path, row=1, fix=fix)
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row, value = (
            data[: error.start].decode(encoding, "replace").count("\n") + 1,
            data[error.start : error.start + 1],
        )
        problem, fix = f"the file begins as {encoding.upper()} and goes on as something else", _SAVE_AS
        if encoding == "utf-8-sig":
            problem = "the file is not UTF-8, perhaps Windows-1252 (Latin-1)"
            copy = f"{path.stem}-utf8{path.suffix}"
            fix += f", or, where it is Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 '{path.name}' > '{copy}'"
        raise ManifestError(problem, file=path, row=row, value=value, fix=fix) from error
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise ManifestError("there is a NUL character in the file", file=path, row=row, fix=_SAVE_AS)
    return list(io.StringIO(text.removeprefix("\ufeff"), newline=""))


def _encoding(data: bytes) -> str:
    """UTF-16 or UTF-32 by its mark or its zero bytes, else UTF-8."""
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = data[:400]
    for encoding, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if len(head) > 3 and zeros.count(0) > len(zeros) // 2 and not letters.count(0):
            return encoding
    return "utf-8-sig"


def read_records(path: str | Path, lines: Sequence[str], separator: str, start: int = 0) -> list[tuple[int, list[str]]]:
    """Every record that is not blank, with the number of the line on which it begins.

    Parameters
    ----------
    path : path
        For messages.
    lines : sequence of str
    separator : str
    start : int
        Lines above the first record.

    Raises
    ------
    ManifestError
        If a quote is opened and never closed, or text follows a closing quote.
    """
    reader = csv.reader(iter(lines[start:]), delimiter=separator, strict=True, skipinitialspace=True)
    records: list[tuple[int, list[str]]] = []
    while True:
        number = start + reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return records
        except csv.Error as error:
            problem = f"broken quoting ({error})"
            if "unexpected end" in str(error) or "field limit" in str(error):
                problem = "a double quote is opened and never closed"
            raise ManifestError(
                problem, file=path, row=number,
                fix='close the quote, and write a double quote inside quoted text twice ("")',
            ) from error  # fmt: skip
        if any(cell.strip() for cell in fields):
            records.append((number, fields))


def is_missing_code(text: str) -> bool:
    """Whether a value says that nothing was given: one of :data:`MISSING_CODES`."""
    return text.strip().casefold() in MISSING_CODES


#: What a column of yes and no says; each of them would exclude its case with a reason that is none.
_YES_OR_NO = frozenset(
    ("0", "0.0", "1", "1.0", "no", "yes", "n", "y", "false", "true", "f", "t", "nein", "ja", "non", "oui",
     "included", "excluded", "include", "exclude")
)  # fmt: skip
NO_REASON = "is no reason, and whatever stands here excludes the case"
FIX_REASON = "leave it blank for a case that is read, or write why it is not, such as 'moved during the scan'"


def is_yes_or_no(text: str) -> bool:
    """Whether a value answers yes or no, where a reason in words is wanted."""
    return text.strip().casefold() in _YES_OR_NO


# ------------------------------------------------------------------------------------------------------ writing
def safe_text(value: str) -> str:
    """Text that a spreadsheet shows instead of computing; :func:`original_text` undoes it.

    An apostrophe goes before a formula sign, and before apostrophes that stand before one.
    """
    return f"'{value}" if _SAFE_FORMULA.match(value) else value


def original_text(value: str) -> str:
    """Undo :func:`safe_text`; text that it did not make passes unchanged."""
    return value[1:] if value.startswith("'") and _SAFE_FORMULA.match(value) else value


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]], *, has_mark: bool = True) -> bytes:
    """A CSV file: UTF-8, commas, all digits of every number, text safe in a spreadsheet, None as an empty field.

    Parameters
    ----------
    columns, rows : sequences
    has_mark : bool
        Whether a byte order mark stands in front where there are other letters than ASCII, without which Excel
        garbles them.
    """
    out = io.StringIO()
    writer = csv.writer(out)  # CRLF (RFC 4180); with LF alone a CR inside a text would not be quoted
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    text = out.getvalue()
    return text.encode("utf-8-sig" if has_mark and not text.isascii() else "utf-8")


def _cell(value: object) -> object:
    """One field as it is written."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return safe_text(value)
    return repr(float(value)) if isinstance(value, float) else value


# ------------------------------------------------------------------------------------------------------ the header
def _folded(name: str) -> str:
    """A column's name without capitals, blanks, points, hyphens and underscores."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def _header_place(lines: Sequence[str], columns: Columns) -> tuple[int, str, list[str]]:
    """Lines above the header, the separator, and what to say: comments and Excel's ``sep=`` are passed over.

    The separator is the one under which a line near the top holds the most of the columns that are looked for.
    """
    start, separator, notes = 0, "", []
    while start < len(lines):
        line = lines[start].strip()
        excel = re.fullmatch(r'"?sep=(.)"?[,;\t|]*', lines[start].strip("\r\n "), re.IGNORECASE)
        if excel is not None and start == 0:
            separator = excel.group(1)
        elif line.startswith(("#", '"#')) and len(named_columns([line], columns)) < 2:
            notes.append(start + 1)
        elif line:
            break
        start += 1
    if separator not in SEPARATORS:
        near = [line for line in lines[start : start + _TITLE_ROWS] if line.strip()]
        scored = {sign: max((len(_named(line, columns, sign)) for line in near), default=0) for sign in SEPARATORS}
        separator = max(SEPARATORS, key=lambda sign: (scored[sign], near[0].count(sign) if near and sign != " " else 0))
    said = [f"comment above the header, left out: {rows_text(notes)}"] if notes else []
    return start, separator, said


def named_columns(lines: Sequence[str], columns: Columns) -> set[str]:
    """Which columns the line that names the most of them names, of those near the top and under the best separator."""
    near = [line for line in lines[: 2 * _TITLE_ROWS] if line.strip()]
    return max((_named(line, columns, sign) for line in near for sign in SEPARATORS), key=len, default=set())


def _named(line: str, columns: Columns, separator: str) -> set[str]:
    """Which columns a line names under a separator."""
    cells = next(csv.reader([line.strip("\r\n")[:20_000]], delimiter=separator, skipinitialspace=True), [])
    if separator == " " and any(sign in cell for cell in cells for sign in SEPARATORS):
        return set()
    return {columns.name_of(cell.strip()) for cell in cells} & set(columns.known) if len(cells) > 1 else set()


def rows_text(numbers: Sequence[int]) -> str:
    """Row numbers as text, each run once: row 3; rows 2 to 4, 9; of many runs the first."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:_RUNS]]
    more = f" and {len(runs) - _RUNS} more" if len(runs) > _RUNS else ""
    return ("row " if len(set(numbers)) == 1 else "rows ") + ", ".join(shown) + more


def _title_problems(file: str, records: Sequence[tuple[int, list[str]]], columns: Columns) -> list[ManifestError]:
    """Said where the columns are named further down, under a title, or nowhere."""

    def named(fields: list[str]) -> set[str]:
        return {columns.name_of(cell.strip()) for cell in fields}

    first, wanted = named(records[0][1]), set(columns.required)
    if wanted <= first:
        return []
    for at, (number, fields) in enumerate(records[1:_TITLE_ROWS], start=1):
        if wanted <= named(fields):
            above = [row for row, _ in records[:at]]
            return [ManifestError(f"the columns are named in row {number}, and other text stands above", file=file,
                                  row=above[0], fix=f"delete {rows_text(above)}")]  # fmt: skip
    if not any(columns.is_known(name) for name in first):
        return [ManifestError("the first line names none of the columns", file=file, row=records[0][0],
                              value=", ".join(records[0][1]),
                              fix="write a first line with the columns " + ", ".join(columns.required))]  # fmt: skip
    return []


def _header_problems(
    file: str, row: int, names: Sequence[str], body: Sequence[tuple[int, list[str]]], columns: Columns
) -> list[ManifestError]:
    """Columns that are missing, unknown, twice there, or have values and no name."""

    def wrong(problem: str, field: str | None, fix: str, at: int = row, value: str | None = None) -> None:
        problems.append(ManifestError(problem, file=file, row=at, field=field, value=value, fix=fix))

    problems: list[ManifestError] = []
    is_class = {name: name.startswith(columns.prefixes or ("\0",)) for name in names}
    written = Counter(name if is_class[name] else _folded(name) for name in names)
    unknown = [name for name in names if name and not columns.has_others and not columns.is_known(name)]
    for name in dict.fromkeys(names):
        if name and written[name if is_class[name] else _folded(name)] > 1:
            wrong("the column stands in the header twice", name, "keep one")
    for name in columns.required:
        if name not in names:
            near = _nearest(name, unknown)
            add = f"add the column; the file has {', '.join(names)}"
            wrong("the column is missing", name, f"rename the column '{near}' to '{name}'" if near else add)
    for name in dict.fromkeys(unknown):
        near = _nearest(name, columns.known)
        known = ", ".join((*columns.known, *(f"{prefix}<class>" for prefix in columns.prefixes)))
        wrong("unknown column", name, f"did you mean '{near}'?" if near else f"rename or remove it; known: {known}")
    for place in (place for place, name in enumerate(names) if not name):
        holding = ((number, cells[place]) for number, cells in body if len(cells) > place and cells[place].strip())
        at, cell = next(holding, (row, ""))
        wrong(f"column {place + 1} has no name and holds values", None, f"name it in row {row}, or empty it", at, cell)
    return problems


def _nearest(name: str, others: Sequence[str]) -> str | None:
    """The one of other names that is nearly this one."""
    folded = {_folded(other): other for other in others}
    near = difflib.get_close_matches(_folded(name), list(folded), n=1, cutoff=0.7)
    return folded[near[0]] if near else None


# ------------------------------------------------------------------------------------------------------ the rows
def _without_comments(body: list[tuple[int, list[str]]], width: int) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """Rows without comment lines: a first cell with ``#`` in a row that cannot be data, which is said."""
    comments = [
        number
        for number, cells in body
        if cells[0].startswith("#") and (len(cells) * 2 <= width or not any(map(str.strip, cells[1:])))
    ]
    notes = [f"comment, left out: {rows_text(comments)}"] if comments else []
    return [record for record in body if record[0] not in set(comments)], notes


def _without_nameless(
    names: list[str], body: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]], list[str]]:
    """Header and rows without columns that are empty, and without row names, which is said."""
    width = len(names)
    if body and all(len(cells) == width + 1 for _, cells in body):  # write.table; separators at the ends of rows
        if not any(cells[-1].strip() for _, cells in body):
            body = [(number, cells[:-1]) for number, cells in body]
        elif _is_counting([cells[0] for _, cells in body]):
            names = ["", *names]
    empty = {
        place
        for place, name in enumerate(names)
        if not name and not any(cells[place].strip() for _, cells in body if place < len(cells))
    }
    notes = []
    if names and _folded(names[0]) in _ROW_NAMES and 0 not in empty:
        firsts = [cells[0].strip() for _, cells in body]
        if len(set(firsts)) == len(firsts):
            empty.add(0)
            notes.append("the first column has no name and numbers the rows: left out")
    kept = [place for place in range(len(names)) if place not in empty]
    if not empty:
        return names, body, notes
    body = [
        (number, [cells[place] for place in kept] if len(cells) == len(names) else _unpadded(cells, names, kept))
        for number, cells in body
    ]
    return [names[place] for place in kept], body, notes


def _unpadded(cells: list[str], names: list[str], kept: list[int]) -> list[str]:
    """A row whose length is not the header's, without the columns that go; its length is judged later."""
    return [cell for place, cell in enumerate(cells) if place in kept or place >= len(names)]


def _is_counting(values: Sequence[str]) -> bool:
    """Whether texts are whole numbers that rise."""
    if not all(re.fullmatch(r"\d+", value.strip(), re.ASCII) for value in values):
        return False
    return all(int(after) > int(before) for before, after in pairwise(values))


def _second_headers(
    file: str, written: Sequence[str], names: Sequence[str], body: Sequence[tuple[int, list[str]]], columns: Columns
) -> list[ManifestError]:
    """Rows that are header and not data: Qualtrics' ImportIds, a header repeated, texts of questions."""
    for at, (number, cells) in enumerate(body[:_HEADER_ROWS]):
        if any(re.match(r'\{\s*"ImportId"', cell) for cell in cells):
            rows = rows_text([row for row, _ in body[: at + 1]])
            return [ManifestError(f"Qualtrics wrote more header below the first line ({rows})", file=file, row=number,
                                  value=cells[0], fix=f"delete {rows}")]  # fmt: skip
    wanted = {*names, *written}
    repeated = [
        number
        for number, cells in body
        if not wanted.isdisjoint(cells)  # quick: most rows hold no name of a column
        and sum(columns.name_of(cell.strip()) == name for cell, name in zip(cells, names, strict=False)) * 2
        > len(names)
    ]
    if repeated:
        return [ManifestError("the row repeats the names of the columns", file=file, row=repeated[0],
                              fix=f"delete {rows_text(repeated)}")]  # fmt: skip
    strange = [body[at][0] for at in range(min(_HEADER_ROWS, len(body))) if _is_unlike(at, names, body)]
    if strange:
        rows = rows_text(strange)
        return [ManifestError("this looks like more header: what stands here stands in no row below", file=file,
                              row=strange[0], value=", ".join(body[0][1]),
                              fix=f"delete {rows}; if it is an answer, move it further down")]  # fmt: skip
    return []


def _is_unlike(at: int, names: Sequence[str], body: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether a row near the top differs in every column that says the same few things, or numbers, below it."""
    row, below = body[at][1], [cells for _, cells in body[_HEADER_ROWS:_SAMPLE] if len(cells) == len(names)]
    if len(row) != len(names) or len(below) < _HEADER_ROWS:
        return False
    votes = []
    for place in range(len(names)):
        values = {cells[place].strip() for cells in below if not is_missing_code(cells[place])}
        if values and not is_missing_code(row[place]):
            if all(_NUMBER.fullmatch(value) for value in values):
                votes.append(re.search(r"[^\W\d_]{3}", row[place]) is not None)
            elif len(values) * 2 <= len(below):
                votes.append(row[place].strip() not in values)
    return len(votes) > 1 and all(votes)


def _with_rows(table: CsvFile, body: Sequence[tuple[int, list[str]]], separator: str) -> CsvFile:
    """The table with its rows, and a problem for each row that does not fit the header."""
    decimal, width = _DecimalMark(separator != ","), len(table.columns)
    rows, problems = [], []
    for number, cells in body:
        if len(cells) == width:
            firsts = {cell[:1] for cell in cells}
            if "'" in firsts:
                cells = [original_text(cell) for cell in cells]
            values = dict(zip(table.columns, cells, strict=True))
            if "#" in firsts:
                problems += _broken_cells(table.file, number, values)
            rows.append(CsvRow(table.file, number, values, decimal))
            continue
        word = "few" if len(cells) < width else "many"
        sign = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}.get(separator, "a blank")
        problems.append(
            ManifestError(
                f"the row has too {word} fields: {len(cells)} instead of {width}", file=table.file, row=number,
                fix=f"put text that contains {sign} between double quotes, and leave no field out",
            )
        )  # fmt: skip
    if not body:
        problems.append(ManifestError("there is a header and no row below it", file=table.file,
                                      row=table.header_row + 1, fix="write one line for each row"))  # fmt: skip
    return CsvFile(table.file, table.columns, tuple(rows), tuple(problems), table.notes, table.header_row)


def _broken_cells(file: str, number: int, values: dict[str, str]) -> list[ManifestError]:
    """What a spreadsheet writes where it could not show or compute a value."""
    return [
        ManifestError("a spreadsheet's error stands where a value was", file=file, row=number, field=name, value=cell,
                      fix="write the value in the spreadsheet again, as text")
        for name, cell in values.items()
        if cell.strip() in _BROKEN_CELLS
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------ no header
def rows_without_header(
    path: str | Path, columns: Sequence[str], records: Sequence[tuple[int, list[str]]], separator: str
) -> CsvFile:
    """Rows of a file that names no columns, which are these in this order."""
    return _with_rows(CsvFile(str(path), tuple(columns), header_row=0), records, separator)
