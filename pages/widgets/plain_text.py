"""Names and texts that somebody typed, where Streamlit would read them as Markdown."""

from __future__ import annotations

import re

#: What begins or ends anything in Markdown, and the addresses that it takes for links by themselves.
_SIGNS = re.compile(r"[\\`*_{}\[\]$:<>~#|@]|(?<=www)\.", re.IGNORECASE)


def plain(text: object) -> str:
    """A text that shows as it was typed: no link, picture, colour or formula of somebody else's making."""
    return _SIGNS.sub(r"\\\g<0>", str(text))
