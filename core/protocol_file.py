"""A protocol as plain values and as a YAML file, and what two of them differ in.

The file has the names of :class:`core.protocol.Protocol`, one level in another, and ``schema: 1`` at its top. What is
left out has its default. YAML 1.2 is read (``no`` is a word, not false) with ruamel.yaml, which refuses a key that
stands twice. Every refusal names the line, the key and what to write instead.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import json
import math
import types
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from core import protocol as rooms
from core.errors import InputError
from core.protocol import Protocol

#: The version of the file's names that this program writes and reads.
SCHEMA = 1

#: No protocol is longer; a larger file is another file, bytes.
LARGEST_FILE = 1_000_000

#: More values than this are no protocol: a few references in YAML can stand for millions.
MOST_VALUES = 100_000

Location = tuple[str | int, ...]

for _room in vars(rooms).values():
    if dataclasses.is_dataclass(_room):
        _room.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[union-attr]

_ADAPTER: TypeAdapter[Protocol] = TypeAdapter(Protocol)


def protocol_to_plain(protocol: Protocol) -> dict[str, Any]:
    """All fields as text, numbers, lists and mappings; :func:`protocol_from_plain` takes them back."""
    plain: dict[str, Any] = _ADAPTER.dump_python(protocol, mode="json")
    return plain


def protocol_from_plain(
    plain: Mapping[str, Any], *, file: str | Path | None = None, is_stored: bool = False
) -> Protocol:
    """The protocol behind plain values.

    Parameters
    ----------
    plain : mapping
        Names and values as of :func:`protocol_to_plain`; what is left out has its default.
    file : str or Path, optional
        Named in refusals.
    is_stored : bool
        Whether a store gave it: its texts are then taken as they are, also with control characters.

    Raises
    ------
    InputError
        The first value that will not do, with its field and what to write instead; lines too if ``plain`` was read
        from YAML.
    """
    try:
        return _ADAPTER.validate_json(json.dumps(_plain(plain, file, is_stored), allow_nan=False))
    except ValidationError as error:
        raise _located(error, plain, file) from None
    except RecursionError:
        raise InputError("too many levels within each other", file=file) from None


def read_protocol(text: str, *, file: str | Path | None = None) -> Protocol:
    """The protocol of a YAML text.

    Raises
    ------
    InputError
        No YAML, another schema, an unknown or missing key, a value that will not do: with line, key and fix.
    """
    plain = _parse(text, file)
    schema = plain.pop("schema", None)
    if schema != SCHEMA:
        raise InputError(
            "this file says no schema that this program reads",
            file=file,
            field="schema",
            value=schema,
            fix=f"begin the file with the line: schema: {SCHEMA}",
        )
    return protocol_from_plain(plain, file=file)


def read_protocol_file(path: Path) -> Protocol:
    """The protocol of a YAML file in UTF-8.

    Raises
    ------
    InputError
        As :func:`read_protocol`, and if the file is not there, too large or no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError("cannot be read", file=path, value=error.strerror, fix="name a file that exists") from None
    if len(content) > LARGEST_FILE:
        raise InputError("too large for a protocol", file=path, value=f"{len(content):,} bytes")
    try:
        return read_protocol(content.decode("utf-8-sig"), file=path)
    except UnicodeDecodeError:
        raise InputError("not text in UTF-8", file=path, fix="save it as UTF-8") from None


def write_protocol(protocol: Protocol, *, has_defaults: bool = True) -> str:
    """The YAML text of a protocol, which :func:`read_protocol` takes back.

    Parameters
    ----------
    has_defaults : bool
        Whether fields that have their default are written too.
    """
    plain = protocol_to_plain(protocol)
    if not has_defaults:
        usual = protocol_to_plain(Protocol(title="-"))
        plain = {name: value for name, value in plain.items() if name == "title" or value != usual[name]}
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump({"schema": SCHEMA, **plain}, stream)
    return stream.getvalue()


@dataclasses.dataclass(frozen=True)
class Difference:
    """One field in which two protocols differ."""

    field: str  # "scale.words", "classes"
    before: Any  # plain values
    after: Any


def protocol_diff(before: Protocol, after: Protocol) -> list[Difference]:
    """In which fields two protocols differ, in the order of the file; none if they are equal."""
    return list(_differences(protocol_to_plain(before), protocol_to_plain(after), ""))


def frozen_changes(before: Protocol, after: Protocol) -> list[Difference]:
    """The differences that would change data, so that no study makes them once it was opened."""
    free = Protocol.TEXTS_FREE_AFTER_OPENING
    return [each for each in protocol_diff(before, after) if each.field.partition(".")[0] not in free]


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[Difference]:
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if name != "power_run" and isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            yield Difference(prefix + name, old, new)


def _parse(text: str, file: str | Path | None) -> dict[str, Any]:
    """A mapping that remembers its lines."""
    yaml = YAML(typ="rt", pure=True)
    try:
        plain = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        problem = (error.problem or "not YAML").splitlines()[0]
        raise InputError(
            f"not YAML: {problem}", file=file, row=line, fix="mend the line, or begin from an export"
        ) from None
    except ValueError as error:
        raise InputError(f"a date that is none: {error}", file=file, fix="write dates as 2026-12-01") from None
    except (YAMLError, RecursionError):
        raise InputError("not YAML", file=file, fix="begin from: manage.py protocol show STUDY") from None
    if not isinstance(plain, dict):
        problem = "no protocol: a list of 'name: value' lines is needed"
        raise InputError(problem, file=file, fix=f"begin the file with the lines 'schema: {SCHEMA}' and 'title: ...'")
    return plain


def _plain(plain: Mapping[str, Any], file: str | Path | None, is_stored: bool) -> Any:
    """JSON of what YAML read: dates as text, references written out, within a number of values."""
    left = MOST_VALUES

    def refused(problem: str, place: Location, value: Any, fix: str) -> InputError:
        name = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in place)
        return InputError(problem, file=file, row=_line(plain, place), field=name, value=value, fix=fix)

    def walk(value: Any, place: Location) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            problem = f"more than {MOST_VALUES:,} values are no protocol"
            raise InputError(problem, file=file, fix="leave references (&, *) out")
        if isinstance(value, Mapping):
            return {str(name): walk(each, (*place, name)) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [walk(each, (*place, number)) for number, each in enumerate(value)]
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, float) and not math.isfinite(value):
            raise refused("a number that is none or without end", place, value, "write a number, or leave the line out")
        if isinstance(value, bool | int | float | None):
            return value
        if not isinstance(value, str):  # of a tag: !!set, !!binary
            raise refused("a value of a kind that no protocol has", place, value, "write it as text, without the !!")
        text = str(value)
        if not is_stored and any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text if sign not in "\n\r\t"):
            raise refused("there is a control character", place, text, "remove it")
        return text

    return walk(plain, ())


def _located(error: ValidationError, plain: Mapping[str, Any], file: str | Path | None) -> InputError:
    """The first complaint of pydantic in our words, with its place."""
    found = error.errors()[0]
    place: Location = found["loc"]
    cause = found.get("ctx", {}).get("error")
    row = _line(plain, place)
    if isinstance(cause, InputError):
        within = tuple(part for part in (cause.field or "").split(".") if part)
        row = _line(plain, within) or row
        fix = cause.fix or _usual_fix(within)
        return InputError(cause.problem, file=file, row=row, field=cause.field, value=cause.value, fix=fix)
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    if found["type"] == "unexpected_keyword_argument" or found["type"] == "extra_forbidden":
        known = _names_at(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        fix = f"did you mean '{near[0]}'?" if near else f"known here are {', '.join(known)}"
        return InputError("no such key", file=file, row=row, field=name, fix=fix)
    if found["type"] in ("missing", "missing_argument"):
        return InputError("missing", file=file, row=row, field=name, fix=f"add the line '{place[-1]}: ...'")
    value = found["input"]
    shown = value if isinstance(value, str | int | float | bool) or value is None else json.dumps(value, default=str)
    message = found["msg"].removeprefix("Input should be ").replace("'", "")
    problem = f"should be {message}" if found["msg"].startswith("Input should be ") else found["msg"]
    return InputError(problem, file=file, row=row, field=name, value=shown, fix=_spelling_fix(found, place))


def _usual_fix(place: Location) -> str:
    """What always helps; the title alone has no default."""
    return "write a title" if place[:1] == ("title",) else "correct the value, or leave the line out for the default"


def _spelling_fix(found: Mapping[str, Any], place: Location) -> str:
    """For a word of a closed list: the nearest one; for true and false: how they are written; else the default."""
    default = _usual_fix(place)
    if found["type"].startswith("bool"):
        return "write true or false"
    if found["type"] != "enum" or not isinstance(found["input"], str):
        return default
    words = [word.strip(" '") for word in found["ctx"]["expected"].replace(" or ", ", ").split(",")]
    near = difflib.get_close_matches(found["input"], words, n=1, cutoff=0.4)
    return f"did you mean '{near[0]}'" if near else default


def _line(plain: Any, place: Location) -> int | None:
    """Line of a value in the YAML that it was read from; the nearest one above it."""
    line = None
    for part in place:
        marks = getattr(plain, "lc", None)
        try:
            if marks is not None:
                line = (marks.key(part) if isinstance(plain, Mapping) else marks.item(part))[0] + 1
            plain = plain[part]
        except (KeyError, IndexError, TypeError):
            break
    return line


def _names_at(place: Location) -> list[str]:
    """The keys that a mapping at this place may have."""
    room: Any = Protocol
    for part in place:
        if isinstance(part, str):
            room = _inner(get_type_hints(room, vars(rooms))[part])
    return [each.name for each in dataclasses.fields(room)]


def _inner(hint: Any) -> Any:
    """The dataclass within ``tuple[X, ...]`` or ``X | None``; the hint itself where there is none."""
    if get_origin(hint) in (tuple, Union, types.UnionType):
        return next((each for each in get_args(hint) if dataclasses.is_dataclass(each)), hint)
    return hint


def choices(field: str) -> Sequence[StrEnum]:
    """The words that a field such as ``design`` or ``scale.kind`` may have."""
    room: Any = Protocol
    for part in field.split("."):
        room = _inner(get_type_hints(room, vars(rooms))[part])
    return list(room)
