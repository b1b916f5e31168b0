"""How wide the columns of a printed table are: numbers never break, texts share what is left, and a table that does not
fit is set smaller or on a turned page.

The same plan serves PDF and LaTeX. A column of its natural width costs nothing where there is room: two short columns
stand beside each other and not at the two edges of the page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise

#: Widths of a letter in parts of its size.
_NARROW, _DIGIT, _LOWER, _UPPER, _FULL = 0.29, 0.5, 0.5, 0.7, 1.0
_THIN = frozenset("ijlt.,;:'|!()[]I ")
_NUMBER = re.compile(r"[<>=]? ?[−+-]?\d[\d.,]*( [%±]| points)?.{0,30}")
_LEAST_TEXT, _LEAST_LETTERS = 14, 8  # letters of a line of text in a column that breaks: as wished, as room is short
_LONGEST_WORD, _PIECE = 18, 12  # letters of a word that never breaks; of a piece of one that must
#: Widths of the letters of Computer Modern at 10 points, as cmr10 has them, but for the underscore, which is T1's.
_MODERN = {
    sign: width
    for width, signs in (
        (0.278, "il.,:;!'|[]`·"), (0.306, "fj"), (0.333, " -\N{NO-BREAK SPACE}"), (0.361, "I"), (0.389, "()t"),
        (0.392, "r"), (0.394, "s"), (0.444, "cez"), (0.472, "?"), (0.5, '0123456789ago/*${}\\^~"–ß'), (0.514, "J"),
        (0.528, "kqvxy"), (0.556, "bdhnpuS"), (0.611, "Z"), (0.625, "L"), (0.653, "F"), (0.681, "EP"), (0.708, "B"),
        (0.722, "wCTæ"), (0.736, "R"), (0.75, "AHNUVXY°"), (0.764, "D"), (0.778, "_&+=@<>KOQ−±×≥≤œØ"), (0.785, "G"),
        (0.833, "m%#"), (0.903, "Æ"), (0.917, "M"), (1.0, "—→"), (1.014, "Œ"), (1.028, "W"), (1.2, "…"),
    )
    for sign in signs
}  # fmt: skip


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


def _modern_width(text: str) -> float:
    """The same of Computer Modern, the font of LaTeX; letters with accents are as wide as without."""
    return sum(map(_modern_letter, text))


def _modern_letter(sign: str) -> float:
    known = _MODERN.get(sign) or _MODERN.get(unicodedata.normalize("NFD", sign)[0])
    return known if known is not None else 1.2 * _letter(sign)


@dataclass(frozen=True)
class Face:
    """A font, as far as its widths go."""

    width: Callable[[str], float]  # of a text on one line, in parts of the letters' size
    bold: float  # of a heading, times this


#: What the report and browsers print with, and what LaTeX prints with, whose headings are not bold.
REPORT_FACE = Face(lru_cache(maxsize=8192)(_width), 1.07)
MODERN_FACE = Face(lru_cache(maxsize=8192)(_modern_width), 1.0)


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


@dataclass(frozen=True)
class Paper:
    """Where a table is printed.

    Attributes
    ----------
    width, turned_width : float
        Points between the margins of a page, upright and turned.
    sizes : tuple of float
        Sizes of letters to try, the wished one first.
    gap : float
        Points that stand between two columns.
    face : Face
    """

    width: float
    turned_width: float
    sizes: tuple[float, ...]
    gap: float
    face: Face = REPORT_FACE


def table_layout(columns: Sequence[str], rows: Sequence[Sequence[str]], paper: Paper) -> TableLayout:
    """Plan a table; one that fits no page is set as wide as a turned one, and its words stand on each other."""
    widths = _widths(columns, rows, paper.face)
    found = _fitting(widths, range(len(columns)), paper)
    if found is not None:
        return found
    size, least = paper.sizes[-1], [one.least[-1] for one in widths]
    room = paper.turned_width - paper.gap * len(columns)
    return TableLayout(size, True, tuple(room * one / sum(least) for one in least))


def column_parts(
    columns: Sequence[str], rows: Sequence[Sequence[str]], paper: Paper, spans: Sequence[int] = ()
) -> list[tuple[int, ...]]:
    """Places of the columns of as few tables as fit a page each; in each stand the columns that name the rows.

    Parameters
    ----------
    columns, rows : sequences of str
    paper : Paper
    spans : sequence of int
        Columns under each heading above the headings, which stay together; the first one names the rows.
    """
    whole = tuple(range(len(columns)))
    widths = _widths(columns, rows, paper.face)
    if _fitting(widths, whole, paper) is not None:
        return [whole]
    ends = list(accumulate(spans))
    n_names = spans[0] if spans else _n_names(rows)
    units = (
        [tuple(range(end - n, end)) for n, end in zip(spans[1:], ends[1:], strict=True)]
        if spans
        else [(at,) for at in whole[n_names:]]
    )
    for n in range(2, len(units) + 1):
        starts = [len(units) * part // n for part in range(n + 1)]
        parts = [
            (*whole[:n_names], *(at for unit in units[start:end] for at in unit)) for start, end in pairwise(starts)
        ]
        if all(_fitting(widths, part, paper) is not None for part in parts):
            return parts
    return [whole]


def _n_names(rows: Sequence[Sequence[str]]) -> int:
    """Columns before the first one of numbers; at least one."""
    for place, cells in enumerate(zip(*rows, strict=True)):
        if place and any(cells) and all(_is_number(cell) for cell in cells if cell):
            return place
    return 1


@dataclass(frozen=True)
class _Widths:
    """Of a column, in parts of the letters' size."""

    natural: float
    least: tuple[float, ...]  # with intervals in one line, with them below their numbers, with short lines of text


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], face: Face) -> list[_Widths]:
    cells = [set(column) for column in zip(*rows, strict=True)] if rows else [set[str]() for _ in columns]
    found = []
    for name, column in zip(columns, cells, strict=True):
        natural = max((*map(face.width, column), face.bold * face.width(name)))
        head = face.bold * _longest_word(name, face)
        least = [max((*(least_of(cell, face) for cell in column), head)) for least_of in (_least, _least_in_two)]
        floors = [min(letters * _LOWER, natural) for letters in (_LEAST_TEXT, _LEAST_LETTERS)]
        found.append(_Widths(natural, (max(least[0], floors[0]), max(least[1], floors[0]), max(least[1], floors[1]))))
    return found


def _fitting(widths: Sequence[_Widths], places: Sequence[int], paper: Paper) -> TableLayout | None:
    """A plan for some columns; None where they fit no page."""
    chosen = [widths[at] for at in places]
    natural, gaps = [one.natural for one in chosen], paper.gap * len(chosen)
    for size in paper.sizes:  # rather smaller letters than names in two lines
        if sum(natural) * size + gaps <= paper.width:
            return TableLayout(size, False, (None,) * len(chosen))
    for is_turned, room, kinds in ((False, paper.width, (0, 1)), (True, paper.turned_width, (0, 1, 2))):
        for kind in kinds:
            least = [one.least[kind] for one in chosen]
            for size in paper.sizes:
                shared = _shared(natural, least, (room - gaps) / size)
                if shared is not None:
                    return TableLayout(size, is_turned, tuple(None if one is None else one * size for one in shared))
    return None


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


def _longest_word(text: str, face: Face) -> float:
    return max((face.width(piece) for word in text.split() for piece in word_pieces(word)), default=0.0)


def _least(text: str, face: Face) -> float:
    """The narrowest that a cell may be: a number with its interval in one line, a text word by word."""
    return face.width(text) if _is_number(text) else _longest_word(text, face)


def _least_in_two(text: str, face: Face) -> float:
    """The same where an interval may stand below its number."""
    return (
        max(face.width(text.split(" (")[0]), *(face.width(f"({part}") for part in text.split(" (")[1:]))
        if " (" in text and _is_number(text)
        else _least(text, face)
    )


def _is_number(text: str) -> bool:
    return len(text) <= 32 and _NUMBER.fullmatch(text) is not None


def kept_together(text: str, blank: str = "\N{NO-BREAK SPACE}") -> str:
    """A cell whose interval does not break, but may stand below its number."""
    if not _is_number(text):
        return text
    number, bracket, interval = text.partition(" (")
    return number.replace(" ", blank) + bracket + interval.replace(" ", blank)


def word_pieces(word: str) -> list[str]:
    """Parts of a word between which a line may end: behind an underscore, as long names of files and models have them;
    of a very long one behind other signs too, of the longest anywhere."""
    found = []
    for part in re.split(r"(?<=_)(?=[^\W_])", word):
        for piece in [part] if len(part) <= _LONGEST_WORD else re.split(r"(?<=[-/.])(?=\w)", part):
            is_long = len(piece) > _LONGEST_WORD
            found += [piece[at : at + _PIECE] for at in range(0, len(piece), _PIECE)] if is_long else [piece]
    return found


def breakable(text: str, here: str = "\N{ZERO WIDTH SPACE}") -> str:
    """A text whose long words may break too."""
    return "".join(here.join(word_pieces(part)) if part.strip() else part for part in re.split(r"(\s+)", text))
