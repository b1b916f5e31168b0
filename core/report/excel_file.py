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

#: Every file of an archive and every workbook says that it was made then.
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_HOUR = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")
_NAME_LENGTH = 31  # of a worksheet
_LONGEST_TEXT = 32_767  # of a cell

#: Rows of values by name of the worksheet.
Sheets = dict[str, list[tuple[Any, ...]]]


def read_sheets(source: Path | io.BytesIO) -> Sheets | None:
    """Rows of values of every worksheet, by name; None for what is no workbook."""
    try:
        book = load_workbook(source, read_only=True, data_only=True)
        return {name: list(book[name].iter_rows(values_only=True)) for name in book.sheetnames}
    except Exception:  # openpyxl has no error of its own for what is no workbook
        return None


def workbook_bytes(sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]) -> bytes:
    """A workbook of named sheets, each a header and its rows.

    Parameters
    ----------
    sheets : mapping
        Name (at most 31 signs) -> columns, rows. Numbers are stored with all their digits, texts as texts: nothing in
        them is computed.
    """
    book = Workbook(write_only=False)
    book.remove(book.active)
    for name, (columns, rows) in sheets.items():
        sheet = book.create_sheet(name[:_NAME_LENGTH])
        for at, row in enumerate((columns, *rows), start=1):
            for column, value in enumerate(row, start=1):
                if value is None:
                    continue
                is_text = isinstance(value, str)
                cell = sheet.cell(at, column, _storable(value) if is_text else value)
                if is_text:
                    cell.data_type = "s"  # a text that begins with = is no formula
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        sheet.freeze_panes = "A2"
    stream = io.BytesIO()
    book.save(stream)
    return _without_time(stream.getvalue())


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
