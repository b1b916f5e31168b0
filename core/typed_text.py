"""What somebody may type as a name on one line or as a text: whatever every screen, file and database shows alike."""

from __future__ import annotations

import unicodedata

from core.errors import InputError

#: Characters of a name that stands in a table or on a button, and of a line that is read as a sentence.
LONGEST_NAME = 100
LONGEST_LINE = 300

#: Characters of a text of several lines.
LONGEST_TEXT = 20_000

_BREAKS = "\n\r\t"
#: They turn the direction of what follows, so that a name shows as another one; letters of a script need no such sign.
TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check_line(text: str, field: str, *, longest: int = LONGEST_NAME) -> None:
    """Refuse what is no name on one line: nothing to be seen, a line break, a control character, too long.

    Raises
    ------
    InputError
        Naming the field.
    """
    if text and not any(unicodedata.category(sign)[0] in "LNPSM" for sign in text):
        raise InputError("nothing of it can be seen", field=field, value=text, fix="write letters, or leave it empty")
    _check(text, field, longest, breaks="")


def check_text(text: str, field: str, *, longest: int = LONGEST_TEXT) -> None:
    """Refuse what is no text: a control character other than line breaks and tabs, too long.

    Raises
    ------
    InputError
        Naming the field.
    """
    _check(text, field, longest, breaks=_BREAKS)


def _check(text: str, field: str, longest: int, *, breaks: str) -> None:
    if len(text) > longest:
        raise InputError(
            f"longer than {longest:,} characters", field=field, value=f"{len(text):,} characters", fix="shorten it"
        )
    for sign in text:
        if sign in TURNS or (unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") and sign not in breaks):
            name = "a line break" if sign in _BREAKS else f"the sign U+{ord(sign):04X}, which nobody sees"
            raise InputError(f"{name} stands in it", field=field, value=text[:40], fix="type it anew without")
