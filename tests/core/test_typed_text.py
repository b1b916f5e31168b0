"""What may be typed as a name or a text, and what is refused with a word about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from core.errors import InputError
from core.protocol import DiseaseClass, GoingBack, Protocol, ReadingOrder, Scale, check_written
from core.protocol_file import protocol_from_plain, protocol_to_plain
from core.typed_text import check_line, check_text

WRONG_IN_A_LINE = {
    "a\x00b": "U\\+0000",
    "a\x1bb": r"U\+001B",
    "a\nb": "a line break",
    "a\u2028b": r"U\+2028",
    "\u202egnol": r"U\+202E",
    "a\ud800": r"U\+D800",
    "\u200b": "nothing of it can be seen",
    " ": "nothing of it can be seen",
    "x" * 101: "longer than 100 characters",
}


@pytest.mark.parametrize("text", ["Zoë O’Neil", "دكتور", "李医生", "שלום", "😀 yes", "a  b", "—", "<b>", ""])
def test_names_of_every_script_are_taken(text: str) -> None:
    check_line(text, "name")


@pytest.mark.parametrize(("text", "said"), WRONG_IN_A_LINE.items())
def test_what_nobody_sees_or_nothing_holds_is_refused_at_its_field(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        check_line(text, "name")
    assert refused.value.field == "name"


def test_a_text_has_lines_and_no_control_characters() -> None:
    check_text("one\n\ttwo\r\n", "plan")
    for wrong in ("a\x00b", "\u202e", "x" * 20_001):
        with pytest.raises(InputError):
            check_text(wrong, "plan")


@pytest.mark.parametrize("text", [text for text in WRONG_IN_A_LINE if text.strip() and text.strip("\u200b")])
def test_every_line_of_a_protocol_is_looked_at_when_it_is_written_and_an_old_one_is_still_read(text: str) -> None:
    long = text * 4 if len(text) > 100 else text
    other = DiseaseClass("b", "B", "B")
    fields: dict[str, Any] = {
        "title": {"title": long},
        "question": {"question": long},
        "registration": {"registration": long},
        "classes.key": {"classes": (DiseaseClass(text, "A", "A"), other)},
        "classes.label": {"classes": (DiseaseClass("a", text, "A"), other)},
        "scale.words": {"scale": Scale(words=(text, "b"))},
        "cohorts": {"cohorts": (text,)},
        "training_cohort": {"training_cohort": text},
        "model_view": {"model_view": text},
    }
    for name, changes in fields.items():
        made = replace(Protocol("T"), **changes)
        with pytest.raises(InputError) as refused:
            check_written(made)
        assert refused.value.field == name
        if "\ud800" not in text:  # no store holds it
            assert protocol_from_plain(protocol_to_plain(made), is_stored=True) == made


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"washout_days": 10**9}, "washout_days"),
        ({"timeout_seconds": 10**9}, "timeout_seconds"),
        ({"order": ReadingOrder(n_repeats=10**9)}, "order.n_repeats"),
        (
            {"opens_on": date(2027, 1, 1), "going_back": GoingBack.LAST, "going_back_until": date(2026, 1, 1)},
            "going_back_until",
        ),
    ],
)
def test_numbers_and_dates_that_nobody_means_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as refused:
        check_written(replace(Protocol("T"), **changes))
    assert refused.value.field == field
