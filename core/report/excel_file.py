"""Excel workbooks whose bytes depend on their content alone: no hour of saving in them, whenever they are made."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties

from core.errors import ManifestError

#: Every file of an archive and every workbook says that it was made then.
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_HOUR = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")
_NAME_LENGTH = 31  # of a worksheet
_LONGEST_TEXT = 32_767  # of a cell
_MOST_CELLS = 20_000_000  # that are read, empty ones too
_NARROWEST, _WIDEST = 8, 60  # columns, in letters

#: Rows of values by name of the worksheet.
Sheets = dict[str, list[tuple[Any, ...]]]


def read_sheets(source: Path | io.BytesIO) -> Sheets | None:
    """Rows of values of every worksheet, by name; None for what is no workbook.

    Raises
    ------
    ManifestError
        If it has more cells than any table of readings: a file of a few hundred kilobytes can fill the memory with
        empty ones.
    """
    n_cells = 0
    sheets: Sheets = {}
    try:
        book = load_workbook(source, read_only=True, data_only=True)
        for name in book.sheetnames:
            sheets[name] = []
            for row in book[name].iter_rows(values_only=True):
                n_cells += len(row) + 1
                if n_cells > _MOST_CELLS:
                    raise OverflowError
                sheets[name].append(row)
    except OverflowError:
        file = source if isinstance(source, Path) else "the workbook"
        raise ManifestError(
            f"has more than {_MOST_CELLS:,} cells", file=file, fix="delete empty rows and columns, or save it as CSV"
        ) from None
    except Exception:  # openpyxl has no error of its own for what is no workbook
        return None
    return sheets


def workbook_bytes(sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]) -> bytes:
    """A workbook of named sheets, each a header that stays in sight, and its rows.

    Parameters
    ----------
    sheets : mapping
        Name (at most 31 signs) -> columns, rows. Numbers are stored with all their digits and shown with three, p
        values as they are printed; texts are texts: nothing in them is computed.
    """
    book = Workbook(write_only=False)
    book.remove(book.active)
    for name, (columns, rows) in sheets.items():
        sheet = book.create_sheet(name[:_NAME_LENGTH])
        longest = [len(column) + 3 for column in columns]  # room for the filter's arrow
        for at, row in enumerate((columns, *rows), start=1):
            for column, value in enumerate(row, start=1):
                if value is None:
                    continue
                is_text = isinstance(value, str)
                cell = sheet.cell(at, column, _storable(value) if is_text else value)
                if is_text:
                    cell.data_type = "s"  # a text that begins with = is no formula
                    longest[column - 1] = max(longest[column - 1], len(value))
                elif isinstance(value, float):
                    cell.number_format = _number_format(value, columns[column - 1])
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        for column, length in enumerate(longest, start=1):
            sheet.column_dimensions[get_column_letter(column)].width = min(max(length + 1, _NARROWEST), _WIDEST)
        sheet.freeze_panes = "A2"
        sheet.auto_filter.ref = sheet.dimensions
        sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", sheet.PAPERSIZE_A4
        sheet.page_setup.fitToHeight = 0  # as many pages as it takes, each as wide as the table
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.print_title_rows = "1:1"
    stream = io.BytesIO()
    book.save(stream)
    return _without_time(stream.getvalue())


def _number_format(value: float, column: str) -> str:
    """How a number is shown; all its digits stay in the cell."""
    if column.startswith("p_"):
        return '[<0.001]"< 0.001";0.000'
    return "0.000" if column != "value" or abs(value) >= 0.1 or value == 0 else "0.0#####"


def _storable(text: str) -> str:
    """A text as a cell holds it: without the control characters that no workbook may have, and not longer."""
    return ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", text)[:_LONGEST_TEXT]


def _without_time(content: bytes) -> bytes:
    """The same workbook without the hour at which it was saved."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    core = "docProps/core.xml"
    parts[core] = _HOUR.sub(rb"\g<1>1980-01-01T00:00:00Z", parts[core])
    return archive_bytes(parts)


def archive_bytes(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of files in this order, the same bytes whenever it is made."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, content)
    return stream.getvalue()
