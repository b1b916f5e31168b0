"""How wide the columns of a printed table are: numbers never break, texts share what is left, and a table that does not
fit is set smaller or on a turned page.

The same plan serves PDF and LaTeX. A column of its natural width costs nothing where there is room: two short columns
stand beside each other and not at the two edges of the page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

#: Widths of a letter in parts of its size.
_NARROW, _DIGIT, _LOWER, _UPPER, _FULL = 0.29, 0.5, 0.5, 0.7, 1.0
_THIN = frozenset("ijlt.,;:'|!()[]I ")
_BOLD = 1.07
_NUMBER = re.compile(r"[<>=]? ?[−+-]?\d[\d.,]*( [%±]| points)?.{0,30}")
_BREAK = re.compile(r"\s+|(?<=_)(?=\w)")
_UNDERSCORE = re.compile(r"_(?=\w)")
_LEAST_TEXT = 14  # letters of a line of text in a column that breaks


@dataclass(frozen=True)
class TableLayout:
    """A plan for a table.

    Attributes
    ----------
    size : float
        Of its letters, points.
    is_turned : bool
        Whether it needs a page on its side.
    widths : tuple
        Points of each column that breaks its lines; None for a column as wide as what stands in it.
    """

    size: float
    is_turned: bool
    widths: tuple[float | None, ...]


def table_layout(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: float,
    turned_width: float,
    sizes: Sequence[float],
    gap: float,
) -> TableLayout:
    """Plan a table.

    Parameters
    ----------
    columns, rows : sequences of str
    width, turned_width : float
        Points between the margins of a page, upright and turned.
    sizes : sequence of float
        Sizes of letters to try, the wished one first.
    gap : float
        Points that stand between two columns.
    """
    cells = [set(column) for column in zip(*rows, strict=True)] if rows else [set[str]() for _ in columns]
    natural = [max(map(_width, column), default=0.0) for column in cells]
    natural = [max(wide, _BOLD * _width(name)) for wide, name in zip(natural, columns, strict=True)]
    for size in sizes:  # rather smaller letters than names in two lines
        if sum(natural) * size + gap * len(columns) <= width:
            return TableLayout(size, False, (None,) * len(columns))
    heads = [_BOLD * _longest_word(name) for name in columns]
    for is_turned, room in ((False, width), (True, turned_width)):
        for least_of in (_least, _least_in_two):
            least = [max((*map(least_of, column), head)) for column, head in zip(cells, heads, strict=True)]
            least = [max(one, min(_LEAST_TEXT * _LOWER, whole)) for one, whole in zip(least, natural, strict=True)]
            for size in sizes:
                widths = _shared(natural, least, (room - gap * len(columns)) / size)
                if widths is not None:
                    return TableLayout(size, is_turned, tuple(None if one is None else one * size for one in widths))
    size = sizes[-1]  # wider than any page: every column gives way alike
    room = turned_width - gap * len(columns)
    return TableLayout(size, True, tuple(room * one / sum(least) for one in least))


def _shared(natural: Sequence[float], least: Sequence[float], room: float) -> list[float | None] | None:
    """Widths of columns that break, None for the others; None where even the least widths do not fit."""
    if sum(natural) <= room:
        return [None] * len(natural)
    if sum(least) > room:
        return None
    given = list(least)
    while True:  # what is left is shared alike, and nobody gets more than all of it
        hungry = [at for at, wide in enumerate(natural) if given[at] < wide - 1e-9]
        left = room - sum(given)
        if not hungry or left < 1e-6:
            break
        for at in hungry:
            given[at] = min(natural[at], given[at] + left / len(hungry))
    return [None if got >= wide - 1e-6 else got for got, wide in zip(given, natural, strict=True)]


@lru_cache(maxsize=4096)
def _width(text: str) -> float:
    """Of a text on one line, in parts of the letters' size."""
    return sum(map(_letter, text))


def _letter(sign: str) -> float:
    if sign in _THIN:
        return _NARROW
    if sign.isdigit():
        return _DIGIT
    if unicodedata.east_asian_width(sign) in "WF":
        return _FULL
    return _UPPER if sign.isupper() or sign in "mwMW%−±@" else _LOWER


def _longest_word(text: str) -> float:
    return max(map(_width, _BREAK.split(text)), default=0.0)


def _least(text: str) -> float:
    """The narrowest that a cell may be: a number with its interval in one line, a text word by word."""
    return _width(text) if _is_number(text) else _longest_word(text)


def _least_in_two(text: str) -> float:
    """The same where an interval may stand below its number."""
    return max(map(_width, text.split(" ("))) + _NARROW if _is_number(text) else _longest_word(text)


def _is_number(text: str) -> bool:
    return len(text) <= 32 and _NUMBER.fullmatch(text) is not None


def kept_together(text: str, blank: str = "\N{NO-BREAK SPACE}") -> str:
    """A cell whose interval does not break, but may stand below its number."""
    if not _is_number(text):
        return text
    number, bracket, interval = text.partition(" (")
    return number.replace(" ", blank) + bracket + interval.replace(" ", blank)


def breakable(text: str, here: str = "\N{ZERO WIDTH SPACE}") -> str:
    """A text that may also break behind an underscore, as long names of files and models do."""
    return _UNDERSCORE.sub(lambda found: found[0] + here, text)
