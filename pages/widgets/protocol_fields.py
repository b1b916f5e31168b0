"""Every field of a protocol as a field of a form: from plain values to widgets and back.

The table :data:`GROUPS` is the only place where a field is named; a test holds it against ``core.protocol``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import InputError
from core.protocol import Protocol, check_written
from core.protocol_file import LARGEST_FILE, choices, protocol_from_plain, read_protocol

Plain = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field: where it stands in the protocol, how it is called and asked for on the screen."""

    name: str  # "order.seed"
    label: str
    kind: str  # line, text, lines, whole, number, yes, choice, date, cohort, cohorts, classes, json
    help: str = ""


#: Names on the screen for the words of closed lists, by field.
WORDS: Mapping[str, Mapping[str, str]] = {
    "scale.kind": {
        "label": "the class only",
        "ordinal": "the class and a step of confidence",
        "percent": "the class and a confidence of 0 to 100",
        "probabilities": "one probability for each class, 100 % together",
    },
    "design": {
        "unaided": "Unaided: every case once, without the model",
        "aided": "Aided: every case once, with the model",
        "sequential": "Sequential: without, then the model is revealed",
        "crossover": "Crossover: two groups, two periods, a washout between",
    },
    "going_back": {"never": "no answer", "last": "the last answer", "any": "any answer"},
    "display.colour_table": {
        "inverse-grey": "inverse grey (counts are dark)",
        "grey": "grey",
        "hot-iron": "hot iron",
        "inferno": "inferno",
        "rainbow": "rainbow",
    },
    "end_screen": {"thanks": "thanks", "progress": "thanks, number of answers and time"},
    "comparison": {
        "sealed": "Sealed: results only after unsealing",
        "live": "Live for coordinators (pilot, teaching): every look is logged and reported",
    },
}

GROUPS: Mapping[str, tuple[Field, ...]] = {
    "What is read": (
        Field("title", "Title", "line", "on screens, in exports and in the report"),
        Field("question", "Question to the readers", "line", "stands beside every image"),
        Field("instructions", "Instructions to the readers", "text", "before the first case and with the keys"),
        Field("cohorts", "Cohorts to be read", "cohorts", "none named: as each reader is given"),
        Field("training_cohort", "Training cases", "cohort", "a cohort read first, with feedback; not analysed"),
    ),
    "Answers": (
        Field("classes", "Classes", "classes"),
        Field("scale.kind", "What a reader states", "choice"),
        Field("scale.words", "Words of the steps, lowest first", "lines", "2 to 10 lines; for steps only"),
        Field("may_comment", "Readers may comment", "yes"),
        Field("may_mark_unreadable", "Readers may call a case unreadable", "yes", "with a reason, for an answer"),
        Field("has_location_mark", "Readers mark where the lesion is", "yes"),
    ),
    "Design": (
        Field("design", "Design", "choice"),
        Field("washout_days", "Washout, days", "whole", "crossover: from a reader's last case of the first period"),
        Field("model_shown.name", "What readers call the model", "line", "where they meet it"),
        Field("model_shown.has_probabilities", "Readers see its probabilities", "yes"),
        Field("model_shown.has_class_map", "Readers see its class map", "yes"),
        Field("model_view", "View that the model takes", "line", "where cases have several; none named: the first"),
        Field("comparison", "Comparison", "choice"),
    ),
    "Order": (
        Field("order.seed", "Seed", "whole", "every reader's own order is drawn from it, and stored"),
        Field("order.block_size", "Cases between two breaks", "whole", "empty: no breaks"),
        Field("order.is_stratified", "Every block has its share of each class and cohort", "yes"),
        Field("order.n_repeats", "Hidden repeats", "whole", "cases shown twice without a word"),
        Field("order.repeat_distance", "Least number of cases between the two", "whole"),
    ),
    "Display": (
        Field("display.lower_percent", "Window begins at, % of the maximum", "number"),
        Field("display.upper_percent", "Window ends at, % of the maximum", "number"),
        Field("display.colour_table", "Colour table", "choice"),
        Field("display.is_smooth", "Interpolate between pixels", "yes"),
        Field("blank_seconds", "Empty screen before each image, seconds", "number"),
        Field("conditions.min_width_px", "Least width of the screen, pixels", "whole", "checked, not enforced"),
        Field("conditions.min_height_px", "Least height of the screen, pixels", "whole"),
        Field("conditions.has_grey_ramp", "Readers check a grey ramp first", "yes"),
    ),
    "Conduct": (
        Field("going_back", "Readers may correct", "choice"),
        Field("going_back_until", "Last day of corrections, UTC", "date", "empty: as long as the study is open"),
        Field(
            "timeout_seconds",
            "Time limit of a case, seconds",
            "whole",
            "then the image is covered and the answer as it stands is sent; readers are told before; empty: none",
        ),
        Field("may_type_ahead", "Keep keys that came before the image", "yes", "such answers are marked"),
        Field("opens_on", "First day of reading, UTC", "date", "empty: as the study is opened"),
        Field("closes_on", "Last day of reading, UTC", "date", "empty: as the study is closed"),
        Field("end_screen", "At the end readers see", "choice", "never how well they did"),
    ),
    "Plan": (
        Field("primary_endpoint", "Primary endpoint", "text"),
        Field("secondary_endpoints", "Secondary endpoints, one a line", "lines"),
        Field("margin", "Margin of non-inferiority", "number", "0.05 is five points of accuracy or AUC; empty: none"),
        Field("analysis_plan", "Analysis plan", "text"),
        Field("planned.n_readers", "Planned readers", "whole"),
        Field("planned.n_cases", "Planned cases", "whole"),
        Field("planned.power_run", "Power run", "json", "what `manage.py plan --json` printed"),
    ),
    "Texts": (
        Field("intended_use", "Intended use of the model", "text"),
        Field("ethics", "Ethics", "text", "committee and number; also later"),
        Field("registration", "Registration", "line", "also later"),
        Field("funding", "Funding", "text", "also later"),
    ),
}

#: Shown and chosen elsewhere.
ELSEWHERE = ("model_sha256",)


def group_of(name: str) -> str:
    """The group in which a field stands; a part of a field counts as the field."""
    for group, fields in GROUPS.items():
        if any(name == field.name or name.startswith(f"{field.name}.") for field in fields):
            return group
    return next((group for group, fields in GROUPS.items() if any(f.name.startswith(f"{name}.") for f in fields)), "")


def is_frozen(field: Field, *, is_draft: bool) -> bool:
    """Whether a field cannot change any more."""
    return not is_draft and field.name.partition(".")[0] not in Protocol.TEXTS_FREE_AFTER_OPENING


def get(plain: Mapping[str, Any], name: str) -> Any:
    """Value of a field, such as ``order.seed``."""
    value: Any = plain
    for part in name.split("."):
        value = value[part]
    return value


def put(plain: Plain, name: str, value: object) -> None:
    """Set a field."""
    *above, last = name.split(".")
    for part in above:
        plain = plain[part]
    plain[last] = value


def draw_field(field: Field, value: Any, *, key: str, cohorts: Sequence[str], is_off: bool) -> Any:
    """One widget that begins with a plain value; what it holds now, as a plain value.

    Raises
    ------
    InputError
        If what was typed is no value of this kind.
    """
    options: dict[str, Any] = {"key": key, "disabled": is_off, "help": field.help or None}
    match field.kind:
        case "line":
            return st.text_input(field.label, value, **options)
        case "text":
            return st.text_area(field.label, value, height=90, **options)
        case "lines":
            text = st.text_area(field.label, "\n".join(value), height=140, **options)
            return [line.strip() for line in text.splitlines() if line.strip()]
        case "whole":
            text = st.text_input(field.label, "" if value is None else str(value), **options)
            return _number(field, text, int)
        case "number":
            text = st.text_input(field.label, "" if value is None else f"{value:g}", **options)
            return _number(field, text, float)
        case "yes":
            return st.checkbox(field.label, value, **options)
        case "choice":
            words = [str(word) for word in choices(field.name)]
            named = WORDS[field.name]
            return st.selectbox(field.label, words, words.index(value), format_func=lambda w: named[w], **options)
        case "date":
            day = st.date_input(field.label, None if value is None else date.fromisoformat(value), **options)
            return day.isoformat() if isinstance(day, date) else None
        case "cohort":
            names = list(dict.fromkeys([*cohorts, *([value] if value else [])]))
            chosen = st.selectbox(
                field.label, names, names.index(value) if value else None, accept_new_options=True,
                placeholder="none", **options,
            )  # fmt: skip
            return chosen or None
        case "cohorts":
            return st.multiselect(
                field.label, list(dict.fromkeys([*cohorts, *value])), value, accept_new_options=True, **options
            )
        case "classes":
            return _classes(value, **options)
        case _:
            text = st.text_area(field.label, "" if value is None else json.dumps(value), height=90, **options)
            return _json(field, text)


def _number(field: Field, text: str, kind: type[int] | type[float]) -> int | float | None:
    """A number that was typed, with a point or a comma; None where nothing was."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        what = "a whole number such as 20" if kind is int else "a number such as 0.5"
        raise InputError("is no number", field=field.name, value=text, fix=f"write {what}") from None


def _json(field: Field, text: str) -> Any:
    """An object in JSON; None where nothing was pasted."""
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError:
        raise InputError("is no JSON", field=field.name, fix="paste all that the command printed") from None
    if not isinstance(found, dict):
        raise InputError("is no object in JSON", field=field.name, fix="paste all that the command printed")
    return found


def _classes(value: Sequence[Mapping[str, Any]], *, key: str, disabled: bool, help: str | None) -> list[Plain]:
    """The table of classes; the number in front says the order."""
    st.markdown("Classes", help="2 to 20; the order is that of the keys 1 to 9 and of every table")
    columns = ["place", "key", "label", "short_label", "aliases"]
    rows = [[n, c["key"], c["label"], c["short_label"], ", ".join(c["aliases"])] for n, c in enumerate(value, 1)]
    edited = st.data_editor(
        pd.DataFrame(rows, columns=columns),
        key=key,
        disabled=disabled,
        num_rows="dynamic",
        hide_index=True,
        width="stretch",
        column_config={
            "place": st.column_config.NumberColumn("Order", width=60, step=1),
            "key": st.column_config.TextColumn("Key", width=90, help="in files and exports; short, without blanks"),
            "label": st.column_config.TextColumn("Name on the screen", width=190),
            "short_label": st.column_config.TextColumn("Short name", width=100, help="in narrow tables"),
            "aliases": st.column_config.TextColumn("Other names at import", width=210, help="with commas"),
        },
    )
    placed = edited.assign(place=pd.to_numeric(edited["place"]).fillna(float("inf")))
    found = []
    for row in placed.sort_values("place", kind="stable").fillna("").to_dict("records"):
        name, label, short = (str(row[part]).strip() for part in ("key", "label", "short_label"))
        aliases = [part.strip() for part in str(row["aliases"]).split(",") if part.strip()]
        found.append({"key": name, "label": label, "short_label": short or label, "aliases": aliases})
    return found


def protocol_or_errors(plain: Plain, usual: Plain, errors: dict[str, InputError]) -> Protocol | None:
    """The protocol of a form; None with every wrong field in ``errors``.

    Parameters
    ----------
    plain : dict
        What the form holds.
    usual : dict
        A protocol that stands: where a field is wrong, its value is taken instead to look for further ones.
    errors : dict
        By field; what could not be read from its widget stands there already, and is added to.
    """
    tried: Plain = json.loads(json.dumps(plain))
    for name in errors:
        put(tried, name, get(usual, name))
    for _ in range(sum(map(len, GROUPS.values()))):
        try:
            protocol = protocol_from_plain(tried)
            check_written(protocol)
        except InputError as error:
            name = _field_name(error.field or "")
            if name in errors or not name:
                errors.setdefault(name, error)
                return None
            errors[name] = error
            put(tried, name, get(usual, name))
        else:
            return None if errors else protocol
    return None


def _field_name(name: str) -> str:
    """The field of the form to which a complaint belongs: ``classes.2.key`` is about ``classes``; "" for none."""
    fields = [field.name for group in GROUPS.values() for field in group]
    exact = [each for each in fields if name == each or name.startswith(f"{each}.")]
    return (exact or [each for each in fields if name and each.startswith(f"{name}.")] or [""])[0]


def protocol_of_file(name: str, content: bytes) -> Protocol:
    """The protocol of a YAML file that was sent.

    Raises
    ------
    InputError
        With file, line, field and fix.
    """
    if len(content) > LARGEST_FILE:
        raise InputError("too large for a protocol", file=name, value=f"{len(content):,} bytes")
    try:
        return read_protocol(content.decode("utf-8-sig"), file=name)
    except UnicodeDecodeError:
        raise InputError("not text in UTF-8", file=name, fix="save it as UTF-8") from None
