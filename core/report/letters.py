"""Which fonts draw the letters of a report and its figures, and which letters none can draw.

First come the fonts that the packages bring, so that studies in Latin, Greek and Cyrillic letters look the same on
every machine: DejaVu Sans with Matplotlib, Libertinus Serif with typst. What they lack, such as Chinese, Japanese and
Korean, is looked for among the fonts of this machine. What no font has is named, never passed over in silence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from matplotlib import font_manager, get_data_path
from matplotlib.ft2font import FT2Font

#: Comes with Matplotlib.
FIRST = "DejaVu Sans"
PACKAGE_FONTS = Path(get_data_path()) / "fonts" / "ttf"
_INVISIBLE = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
#: Families that are looked at first, because one of them holds a whole script in one style.
_LIKED = ("Noto Sans CJK", "Noto Sans", "Source Han Sans", "Noto Serif")
_MOST_NAMED = 20


@dataclass(frozen=True)
class Letters:
    """Fonts beside :data:`FIRST` that a text needs, and what none has."""

    families: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # of these families
    undrawn: tuple[str, ...] = ()  # letters, by code point

    @property
    def warning(self) -> str:
        """What must be said beside a PDF or a figure; "" where every letter is drawn."""
        if not self.undrawn:
            return ""
        named = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in self.undrawn[:_MOST_NAMED])
        more = f" and {len(self.undrawn) - _MOST_NAMED} more" if len(self.undrawn) > _MOST_NAMED else ""
        return (
            f"No font of this machine has these letters, so they stand as boxes in the PDF and in the figures: {named}"
            f"{more}. HTML, CSV and Excel hold them. Fix: install a font that has them, such as Noto Sans CJK for "
            "Chinese, Japanese and Korean, and make this again."
        )


def letters_of(texts: Iterable[object]) -> Letters:
    """What must be looked for to draw these texts; values that are no text are passed over."""
    wanted: set[str] = set()
    for text in texts:
        if isinstance(text, str) and not text.isascii():
            wanted.update(text)
    return _found(frozenset(sign for sign in wanted if unicodedata.category(sign) not in _INVISIBLE))


@lru_cache(maxsize=16)
def _found(letters: frozenset[str]) -> Letters:
    """The fewest fonts of this machine that have what the first lacks, always in the same order."""
    missing = {ord(letter) for letter in letters} - _codes(str(PACKAGE_FONTS / "DejaVuSans.ttf"))
    chosen: dict[str, str] = {}
    candidates = _candidates() if missing else ()
    while missing:
        best = max(candidates, key=lambda entry: len(missing & _codes(entry[1])), default=None)
        if best is None or not missing & _codes(best[1]):
            break
        chosen[best[0]] = best[1]
        missing -= _codes(best[1])
    return Letters(tuple(chosen), tuple(chosen.values()), tuple(map(chr, sorted(missing))))


def _candidates() -> list[tuple[str, str]]:
    """Family and file of every upright font of this machine, those that are liked first."""
    upright = [entry for entry in font_manager.fontManager.ttflist
               if entry.style == "normal" and entry.stretch == "normal" and str(entry.weight) in ("400", "normal")
               and "Color" not in entry.name and not entry.name.startswith(("DejaVu", "Last Resort"))]  # fmt: skip
    return sorted(
        {(entry.name, entry.fname) for entry in upright},
        key=lambda entry: (next((at for at, name in enumerate(_LIKED) if entry[0].startswith(name)), 9), entry),
    )


@lru_cache(maxsize=512)
def _codes(file: str) -> frozenset[int]:
    """Code points that an outline font has; none of a file that cannot be read."""
    try:
        font = FT2Font(file)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()
