"""CSV files read strictly: text stays text, every row has the header's columns, every error names its row.

Row 1 is the header line. Nothing is guessed: "NA" is the text NA, 007 keeps its zeros, and a row that is one field
short is an error and never a row of shifted values.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ManifestError

#: A cell that begins with one of these is a formula to a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class CsvRow:
    """One data row: its number in the file and its fields by column."""

    file: str
    number: int  # 2 is the first data row
    fields: dict[str, str]

    def text(self, column: str) -> str:
        """Field without outer blanks; "" when the column is absent."""
        return self.fields.get(column, "").strip()

    def required(self, column: str) -> str:
        """Field that must not be empty."""
        value = self.text(column)
        if not value:
            raise self.error(column, "is empty", fix="fill it in")
        return value

    def number_of(self, column: str, *, fix: str = "write a number such as 3 or 0.25") -> float:
        """Field as a finite number."""
        value = self.required(column)
        try:
            number = float(value)
        except ValueError:
            raise self.error(column, "is not a number", value, fix) from None
        if not math.isfinite(number):
            raise self.error(column, "is not a finite number", value, fix)
        return number

    def error(self, column: str, problem: str, value: object | None = None, fix: str | None = None) -> ManifestError:
        """An error that says where it is."""
        return ManifestError(problem, file=self.file, row=self.number, field=column, value=value, fix=fix)


@dataclass(frozen=True)
class CsvTable:
    """A header and its rows."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[CsvRow, ...]

    def require(self, columns: Sequence[str], layout: str) -> None:
        """Every column of a layout must be there.

        Raises
        ------
        ManifestError
            Naming the first column that is missing.
        """
        for column in columns:
            if column not in self.columns:
                raise ManifestError(
                    f"the layout '{layout}' needs this column",
                    file=self.file,
                    row=1,
                    field=column,
                    fix=f"columns of this layout: {', '.join(columns)}; the file has {', '.join(self.columns)}",
                )


def read_csv(path: str | Path) -> CsvTable:
    """A UTF-8 CSV file with a header.

    Parameters
    ----------
    path : path
        With or without byte order mark; separated by commas.

    Raises
    ------
    ManifestError
        If it cannot be read, is not UTF-8, is empty, has a column twice or unnamed, or a row whose number of fields
        differs from the header's.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ManifestError(f"the file cannot be read ({error.strerror})", file=file, fix="check the path") from error
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"the file is not UTF-8 (byte {error.start})", file=file, fix="save it as CSV UTF-8"
        ) from error
    if "\0" in text:
        raise ManifestError("the file holds null bytes, so it is no CSV", file=file, fix="save it as CSV UTF-8")
    number = 0
    rows: list[CsvRow] = []
    columns: tuple[str, ...] = ()
    try:
        for fields in csv.reader(io.StringIO(text, newline=""), strict=True):
            number += 1
            if number == 1:
                columns = _header(file, fields)
            elif not fields:
                continue  # an empty line
            elif len(fields) != len(columns):
                raise ManifestError(
                    f"the row has {len(fields)} fields where the header has {len(columns)}",
                    file=file,
                    row=number,
                    fix="quote fields that hold a comma",
                )
            else:
                rows.append(CsvRow(str(file), number, dict(zip(columns, fields, strict=True))))
    except csv.Error as error:
        raise ManifestError(f"the row is not valid CSV ({error})", file=file, row=number + 1) from error
    if not columns:
        raise ManifestError("the file is empty", file=file, fix="the first line must name the columns")
    if not rows:
        raise ManifestError("the file has a header and no rows", file=file)
    return CsvTable(str(file), columns, tuple(rows))


def _header(file: Path, fields: list[str]) -> tuple[str, ...]:
    """Column names, each once."""
    columns = tuple(name.strip() for name in fields)
    for place, name in enumerate(columns, start=1):
        if not name:
            raise ManifestError(f"column {place} has no name", file=file, row=1)
        if columns.index(name) != place - 1:
            raise ManifestError("the column appears twice", file=file, row=1, field=name, fix="keep one of them")
    return columns


def free_text(value: str) -> str:
    """Text that a spreadsheet shows instead of computing: an apostrophe goes before a formula sign."""
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value


def original_text(value: str) -> str:
    """Undo :func:`free_text`."""
    return value[1:] if value[:1] == "'" and value[1:].startswith(FORMULA_STARTS) else value


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV file; floats keep all their digits, None becomes an empty field."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(
            ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row] for row in rows
        )
    return path
