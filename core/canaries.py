"""Canaries: words and numbers that stand nowhere else, and the search for them in whatever a browser received.

A canary is found however it is spelt: :func:`spellings` undoes what programs do to text on its way (percent, JSON and
HTML escapes, UTF-16, hexadecimal digits, base64, zlib and gzip), also one inside another. What nobody can find by its
spelling is a secret told without its word, such as a class as a number; for that see ``actions/audit_blinding.py``.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import secrets
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

#: Beginning of every planted word: letters that stand in no language and in none of the program's files.
PREFIX = "qzjxv"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DEPTH = 3  # one spelling inside another, at most so deep
_LARGEST = 4_000_000  # bytes that one compressed run may grow to

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){5,}")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_JSON_ESCAPE = re.compile(rb"\\u([0-9A-Fa-f]{4})")
#: Words, the ids of the store, the beginning of a SHA-256, digits of a number as a share and per cent.
_TOKENS = (
    re.compile(PREFIX.encode() + rb"[a-z]{10}"),
    re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    re.compile(rb"(?=([0-9a-f]{16}))"),
    # A clock has more before the point, and a measured time other digits behind it: they are no canary by chance.
    re.compile(rb"(?<![0-9])0?(\.[0-9]{6})(?![0-36-9])"),
    re.compile(rb"(?<![0-9])([0-9]{2}\.[0-9]{4})(?![0-36-9])"),
)
#: The last or first two bytes of a number between 1/16 and 1 as a float64.
_LITTLE_END = re.compile(rb"[\xb0-\xef]\x3f")
_BIG_END = re.compile(rb"\x3f[\xb0-\xef]")
_COMPRESSED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")


@dataclass(frozen=True)
class Canary:
    """What is planted in one place, once; ``kind`` says where, in the words of the report."""

    kind: str  # "file name", "patient id", ...
    text: str  # a word with :data:`PREFIX`, a random id, or the nine digits of a number between 0 and 1: "0.123456789"

    @property
    def is_number(self) -> bool:
        return self.text.startswith("0.")


@dataclass(frozen=True)
class Find:
    """A canary in a piece of data, and through which spellings it was reached."""

    canary: Canary
    spelling: str  # "plain", "base64", "base64, zlib", ...


def new_word(kind: str) -> Canary:
    """A word of 15 small letters that nobody has used before."""
    return Canary(kind, PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(10)))


def new_number(kind: str, low: float, high: float) -> Canary:
    """A probability with nine digits; its seventh digit is 4, so that rounding to six leaves them as they are."""
    millionths = secrets.randbelow(int((high - low) * 1_000_000)) + int(low * 1_000_000)
    return Canary(kind, f"0.{millionths:06d}4{secrets.randbelow(100):02d}")


class CanarySearch:
    """Looks for the same canaries in many pieces of data.

    Parameters
    ----------
    canaries : iterable of Canary
    """

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._known: dict[bytes, tuple[Canary, str]] = {}
        for canary in canaries:
            for spelling, token in _tokens_of(canary):
                self._known[token] = (canary, spelling)

    def find(self, texts: Iterable[tuple[str, bytes]]) -> list[Find]:
        """Every canary in what :func:`spellings` gave, once each, with the first spelling in which it stands there."""
        found: dict[Canary, str] = {}
        for how, text in texts:
            for token in _tokens_in(text):
                if token in self._known:
                    canary, spelling = self._known[token]
                    found.setdefault(canary, ", ".join(filter(None, (how, spelling))) or "plain")
        return [Find(canary, spelling) for canary, spelling in found.items()]


def _tokens_of(canary: Canary) -> list[tuple[str, bytes]]:
    """How a canary is written, and the tokens to look for; a number by its first six digits or its eight bytes."""
    if not canary.is_number:
        return [("", canary.text.lower().encode())]
    digits, number = canary.text[2:8], float(canary.text)
    return [
        ("digits", f".{digits}".encode()),
        ("per cent", f"{digits[:2]}.{digits[2:]}".encode()),
        ("float64, little endian", struct.pack("<d", number)),
        ("float64, big endian", struct.pack(">d", number)),
    ]


def _tokens_in(text: bytes) -> Iterator[bytes]:
    """Whatever in the text looks like a canary."""
    small = text.lower()
    for pattern in _TOKENS:
        yield from pattern.findall(small)
    for match in _LITTLE_END.finditer(text):
        yield text[max(match.start() - 6, 0) : match.end()]
    for match in _BIG_END.finditer(text):
        yield text[match.start() : match.end() + 6]


def spellings(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The data as it is (""), then what its escaped, encoded and compressed parts say, at most three deep."""
    layer = [("", data)]
    yield from layer
    for _ in range(_DEPTH):
        layer = [
            (f"{how}, {name}" if how else name, undone)
            for how, text in layer
            for name, undone in _undone(text)
            if undone and undone != text
        ]
        yield from layer


def _undone(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each spelling that may have been used here, undone once; all runs of one spelling together, a line each."""
    if b"%" in data:
        yield "percent", unquote_to_bytes(data)
    if b"\\u" in data:
        yield "JSON escapes", _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)).encode("utf-8", "replace"), data)
    if b"&" in data:
        yield "HTML escapes", html.unescape(data.decode("latin-1")).encode("utf-8", "replace")
    if b"\0" in data:
        yield "UTF-16", data.replace(b"\0", b"")
    yield "hexadecimal", b"\n".join(binascii.unhexlify(match[0]) for match in _HEX.finditer(data))
    runs = [match[0].translate(_URL_SAFE) for match in _BASE64.finditer(data)]
    for start in range(4):  # a run may begin with letters that are no part of it
        yield "base64", b"\n".join(_decoded(run[start:]) for run in runs)
    yield "zlib", b"\n".join(_inflated(data[match.start() :]) for match in _COMPRESSED.finditer(data))


def _decoded(run: bytes) -> bytes:
    """Base64 letters decoded; one that is left over at the end says nothing."""
    whole = run[: len(run) - 1] if len(run) % 4 == 1 else run
    return base64.b64decode(whole + b"=" * (-len(whole) % 4))


def _inflated(data: bytes) -> bytes:
    """What a compressed run at the beginning says; nothing where it only looks like one."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(data, _LARGEST)  # 32: zlib and gzip
    except zlib.error:
        return b""
