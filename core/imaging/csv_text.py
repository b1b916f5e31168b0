"""A CSV file as exact text: nothing is guessed, converted or shifted, and every problem is located.

Spreadsheet habits that change data silently (``007`` to 7, ``NA`` to missing, an extra field that shifts a row) cannot
happen here, because every value stays the string that stands in the file.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ManifestError

MAX_BYTES = 64 * 1024 * 1024
_SAVE_AS = "save the file as CSV UTF-8 with commas"


@dataclass(frozen=True)
class CsvRow:
    """One data row."""

    number: int  # line of the file on which it begins; the header is line 1
    values: dict[str, str]  # column -> exact text


def read_rows(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> tuple[list[CsvRow], list[ManifestError]]:
    """All rows that have the right number of fields, and everything that is wrong with the others.

    Parameters
    ----------
    path : Path
    required, optional : sequence of str
        Column names; any other column is refused.

    Returns
    -------
    tuple
        Rows and errors. Errors of encoding, quoting or header leave no rows.
    """
    try:
        text = _text(path)
    except ManifestError as error:
        return [], [error]
    if not text.strip():
        return [], [ManifestError("the file is empty", file=path, row=1, fix="write a header line and one line a case")]
    records, problems = _records(path, text)
    if not records:
        return [], problems
    header = [name.strip() for name in records[0][1]]
    problems += _header_problems(path, header, required, optional)
    if problems:
        return [], problems
    if len(records) == 1:
        return [], [ManifestError("there is a header but no case", file=path, row=2, fix="write one line a case")]
    rows = []
    for number, fields in records[1:]:
        if len(fields) != len(header):
            word = "few" if len(fields) < len(header) else "many"
            problems.append(
                ManifestError(
                    f"the row has too {word} fields: {len(fields)} instead of {len(header)}",
                    file=path,
                    row=number,
                    fix="put text that contains a comma between double quotes, and leave no field out",
                )
            )
            continue
        rows.append(CsvRow(number, dict(zip(header, fields, strict=True))))
    return rows, problems


def _text(path: Path) -> str:
    """The file's text, when it is UTF-8."""
    try:
        if path.is_dir():
            raise ManifestError("this is a folder, not a CSV file", file=path, fix="name the CSV file")
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError("the file is larger than 64 MiB", file=path, fix="check that it is the manifest")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ManifestError("there is no such file", file=path, fix="check the path") from error
    except OSError as error:
        raise ManifestError(f"the file cannot be read: {error.strerror}", file=path) from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ManifestError("the file is UTF-16, not UTF-8", file=path, row=1, fix=_SAVE_AS)
    if b"\x00" in data:
        row = data[: data.index(b"\x00")].count(b"\n") + 1
        even, odd = data[:200:2].count(0), data[1:200:2].count(0)
        if max(even, odd) > min(len(data), 200) // 4:
            raise ManifestError("the file is UTF-16 without a mark, not UTF-8", file=path, row=1, fix=_SAVE_AS)
        raise ManifestError("there is a NUL character in the file", file=path, row=row, fix=_SAVE_AS)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise ManifestError(
            "the file is not UTF-8, perhaps Latin-1 (Windows-1252)",
            file=path,
            row=row,
            value=data[error.start : error.start + 1],
            fix=_SAVE_AS,
        ) from error


def _records(path: Path, text: str) -> tuple[list[tuple[int, list[str]]], list[ManifestError]]:
    """Every record that is not blank, with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[tuple[int, list[str]]] = []
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return records, []
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            problem = "a double quote is opened and never closed" if unclosed else f"broken quoting ({error})"
            return [], [
                ManifestError(
                    problem,
                    file=path,
                    row=start,
                    fix='close the quote, and write a double quote inside quoted text twice ("")',
                )
            ]
        if any(fields):
            records.append((start, fields))


def _header_problems(
    path: Path, header: list[str], required: Sequence[str], optional: Sequence[str]
) -> list[ManifestError]:
    """Everything that is wrong with the first line."""
    known = [*required, *optional]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        mark = next(mark for mark in ";\t|" if mark in header[0])
        name = {";": "semicolons", "\t": "tabs", "|": "bars"}[mark]
        return [ManifestError(f"the fields are separated by {name}, not commas", file=path, row=1, fix=_SAVE_AS)]
    problems = []
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            problems.append(
                ManifestError("the column stands in the header twice", file=path, row=1, field=name, fix="keep one")
            )
        if name not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1)
            fix = f"did you mean '{near[0]}'?" if near else "remove it; known columns are " + ", ".join(known)
            problems.append(ManifestError("unknown column", file=path, row=1, field=name or "(blank)", fix=fix))
    problems += [
        ManifestError("the column is missing", file=path, row=1, field=name, fix=f"add the column '{name}'")
        for name in required
        if name not in header
    ]
    return problems
