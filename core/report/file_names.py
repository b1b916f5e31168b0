"""Names that people gave as parts of the names of files: no two alike, short enough for every disk."""

from __future__ import annotations

from collections.abc import Iterable

_MOST_BYTES = 60  # of one part; a name has two or three of them, and disks take 255


def file_part(name: str) -> str:
    """A name without signs that a disk refuses, cut at a whole letter."""
    plain = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)
    return plain.encode()[:_MOST_BYTES].decode("utf-8", "ignore")


def file_parts(names: Iterable[str]) -> dict[str, str]:
    """Name -> its part of a file's name, no two alike: "a b" and "a-b" are two files, also where case is nothing."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        part = plain = file_part(name)
        number = 1
        while part.casefold() in taken:
            number += 1
            part = f"{plain}-{number}"
        taken.add(part.casefold())
        found[name] = part
    return found
