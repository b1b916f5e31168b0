"""A canary is found however it is spelt, and nothing else is."""

from __future__ import annotations

import base64
import gzip
import html
import json
import struct
import zlib
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canaries import Canary, CanarySearch, new_number, new_word, spellings

WORD = new_word("file name")
NUMBER = Canary("model output", "0.123456478")
ID = Canary("reading", "0f8fad5b-d9cb-469f-a165-70867728950e")
SEARCH = CanarySearch([WORD, NUMBER, ID, new_word("another")])

SPELT: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "upper case": lambda text: text.upper().encode(),
    "JSON": lambda text: json.dumps({"name": text}).encode(),
    "every letter escaped for JSON": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text).encode(),
    "URL": lambda text: quote(f"/a b/{text}?").encode(),
    "every letter escaped for a URL": lambda text: "".join(f"%{ord(letter):02X}" for letter in text).encode(),
    "HTML": lambda text: html.escape(f"<{text}>").encode(),
    "every letter escaped for HTML": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text).encode(),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-16, other end first": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "hexadecimal": lambda text: text.encode().hex().encode(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper().encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 after one byte": lambda text: base64.b64encode(b"a" + text.encode() + b"bc"),
    "base64 after two bytes": lambda text: base64.b64encode(b"ab" + text.encode()).rstrip(b"="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"\xff\xfe\xfd" + text.encode()),
    "base64 after letters": lambda text: b"data" + b"x" + base64.b64encode(text.encode()),
    "zlib": lambda text: zlib.compress(text.encode()),
    "gzip": lambda text: gzip.compress(text.encode()),
    "base64 of zlib of UTF-16": lambda text: base64.b64encode(zlib.compress(text.encode("utf-16"))),
    "JSON in HTML in a URL": lambda text: quote(html.escape(json.dumps(f"é{text}"))).encode(),
}


def found(data: bytes) -> list[Canary]:
    return [find.canary for find in SEARCH.find(spellings(data))]


@pytest.mark.parametrize("canary", [WORD, NUMBER, ID], ids=["word", "number", "id"])
@pytest.mark.parametrize("spelling", SPELT)
def test_each_spelling_is_found_among_other_bytes(canary: Canary, spelling: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, 300, dtype=np.uint8).tobytes()
    assert found(noise + b'\n"' + SPELT[spelling](canary.text) + b'"\n' + noise) == [canary]


@pytest.mark.parametrize(
    "data",
    [
        b"0.123456", b"12.3456 %", b"12.345648",
        f"{float(NUMBER.text):.7f}".encode(), f"{float(NUMBER.text):.6f}".encode(),
        struct.pack("<d", float(NUMBER.text)), struct.pack(">d", float(NUMBER.text)),
        b"x" * 3 + np.array([0.5, float(NUMBER.text)]).tobytes(),
        str(np.float32(NUMBER.text)).encode(),
    ],
)  # fmt: skip
def test_a_number_is_found_as_digits_per_cent_and_bytes(data: bytes) -> None:
    assert found(data) == [NUMBER]


@pytest.mark.parametrize(
    "data",
    [
        b'"at": "2026-11-27T11:26:33.123456+00:00"', b'"expires": 1795782333.123456, ', b'"expires": 1795782312.345648',
        b'"seconds":0.1234560000018627', b"rgb(0, 0, 0) 312.3456%", b"12:30:12.345617",
    ],
)  # fmt: skip
def test_a_clock_whose_digits_are_those_of_a_number_is_no_find(data: bytes) -> None:
    """With 48 numbers planted, chance made one audit in a hundred cry out."""
    assert found(data) == []


def test_a_find_says_how_the_word_was_spelt() -> None:
    (find,) = SEARCH.find(spellings(base64.b64encode(zlib.compress(WORD.text.encode()))))
    assert (find.canary, find.spelling) == (WORD, "base64, zlib")
    (find,) = SEARCH.find(spellings(WORD.text.encode()))
    assert find.spelling == "plain"


@given(st.binary(max_size=2000))
def test_nothing_is_found_where_nothing_is_and_no_bytes_break_the_search(data: bytes) -> None:
    assert found(data) == []


def test_a_part_of_a_word_is_no_find() -> None:
    assert found(WORD.text[:-1].encode() + b" " + WORD.text[1:].encode()) == []


def test_numbers_keep_their_digits_when_rounded() -> None:
    for _ in range(200):
        number = new_number("model output", 0.11, 0.29)
        assert 0.11 <= float(number.text) <= 0.29
        assert f"{float(number.text):.6f}" == number.text[:8]
