"""When two spellings are one name: one rule for classes, cases, patients, cohorts, readers and arms.

Two spellings are one name when they differ in nothing but

* capitals (``Benign``, ``BENIGN``),
* blanks: outer, doubled, no-break, and signs that have no width,
* Unicode form: composed or decomposed letters (``é`` in one sign or two), full or half width letters,
* the ``.0`` (``,0``) that pandas and R put behind a whole number in a column with gaps (``1`` and ``1.0``).

Nothing else: ``001`` and ``1`` are two names, and so are ``1`` and ``1.00``, ``T1`` and ``T-1``. What looks alike and
was kept apart is said (:meth:`Spellings.notes`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from functools import lru_cache

_WIDTHS = ("<wide>", "<narrow>")
_SHORTENED = re.compile(r"\d[.,]\d+E\+\d+", re.ASCII)  # 1.23457E+11
_SHOWN = 3  # examples in a note


@lru_cache(maxsize=200_000)  # a file says the same names over and over
def spelling_key(text: str) -> str:
    """What all spellings of one name have in common."""
    if not text.isascii():
        text = "".join(
            unicodedata.normalize("NFKC", sign) if unicodedata.decomposition(sign).startswith(_WIDTHS) else sign
            for sign in unicodedata.normalize("NFC", text)
            if unicodedata.category(sign) != "Cf"
        )
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    else:
        text = text.casefold()
    text = " ".join(text.split())
    return text[:-2] if re.fullmatch(r"[+-]?\d+[.,]0", text, re.ASCII) else text


def likeness_key(name: str) -> str:
    """What names have in common that look alike: also signs between letters, leading zeros, zeros after the point."""
    text = unicodedata.normalize("NFKD", spelling_key(name))
    text = re.sub(r"(?<=\d)[.,]0+$", "", "".join(sign for sign in text if not unicodedata.combining(sign)))
    text = re.sub(r"(?<=\d)[\W_]+(?=\d)", "-", text)
    text = re.sub(r"(?<!\d)[\W_]+|[\W_]+(?!\d)", "", text)
    return re.sub(r"(?<!\d)0+(?=\d)", "", text) or spelling_key(name)


class Spellings:
    """The names of one kind in one file.

    Attributes
    ----------
    kind : str
        What they are, for notes: "class", "reader", ...
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._counts: Counter[str] = Counter()
        self._first_row: dict[str, int] = {}
        self._chosen: dict[str, str] = {}  # key -> the spelling that stands for all
        self._is_stale = False

    def add(self, text: str, row: int) -> None:
        """A name as it stands in a row."""
        if text not in self._counts:
            self._first_row[text] = row
            self._chosen[spelling_key(text)] = text
        self._counts[text] += 1
        self._is_stale = True

    def __contains__(self, text: str) -> bool:
        """Whether some spelling of a name was added."""
        return spelling_key(text) in self._chosen

    def name(self, text: str) -> str:
        """The spelling that stands for all spellings of a name: the most frequent, of equal ones the first sorted."""
        if self._is_stale:
            self._is_stale = False
            for spelling in sorted(self._counts, key=lambda one: (-self._counts[one], one), reverse=True):
                self._chosen[spelling_key(spelling)] = spelling
        return self._chosen.get(spelling_key(text), text)

    def alike(self, text: str) -> str | None:
        """A name that looks like this one, which is none of them."""
        wanted = likeness_key(text)
        return next((name for name in self.names() if likeness_key(name) == wanted), None)

    def names(self) -> list[str]:
        """Every name once, sorted."""
        return sorted({self.name(text) for text in self._counts})

    def notes(self) -> list[str]:
        """Which spellings were taken as one, and which names look alike and were kept apart."""
        together: dict[str, list[str]] = defaultdict(list)
        alike: dict[str, set[str]] = defaultdict(set)
        for text in sorted(self._counts):
            together[self.name(text)].append(text)
        for name in together:
            alike[likeness_key(name)].add(name)
        same = [f"{name!r} ({', '.join(self._at(text) for text in texts if text != name)})"
                for name, texts in together.items() if len(texts) > 1]  # fmt: skip
        apart = [" and ".join(self._at(name) for name in sorted(names)) for names in alike.values() if len(names) > 1]
        short = [self._at(name) for name in together if _SHORTENED.fullmatch(name)]
        notes = []
        if short:
            notes.append(f"{self.kind}: a spreadsheet may have shortened a long number, so that several are one: "
                         + _some(short))  # fmt: skip
        if same:
            notes.append(f"{self.kind}: other spellings were taken as {_some(same)}")
        if apart:
            notes.append(f"{self.kind}: kept apart although they look alike: {_some(apart)}")
        return notes

    def _at(self, text: str) -> str:
        return f"{text!r} in row {self._first_row[text]}"


def _some(examples: list[str]) -> str:
    """The first examples, and how many more."""
    more = f"; and {len(examples) - _SHOWN} more" if len(examples) > _SHOWN else ""
    return "; ".join(examples[:_SHOWN]) + more
