"""What a person says about a file of readings beside the file: classes, the positive one, missing codes."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace

from core.csv_file import Columns, is_missing_code
from core.errors import InputError
from core.protocol import THYROID_CLASSES, DiseaseClass
from core.spelling import spelling_key


@dataclass(frozen=True)
class FileOptions:
    """What a person says about a file of readings beside the file."""

    classes: tuple[DiseaseClass, ...] | None = None  # in order; None: those that the file names
    positive: str | None = None  # of two classes the one that curves and sensitivity are of
    missing: tuple[str, ...] = ()  # more missing codes, CODE or COLUMN=CODE
    columns: tuple[str, ...] = ()  # what the file calls ours, OURS=THEIRS; columns that nobody named are left alone

    def is_missing(self, column: str, text: str) -> bool:
        """Whether a value of a column says that nothing was given."""
        return is_missing_code(text) or self.is_named_missing(column, text)

    def is_named_missing(self, column: str, text: str) -> bool:
        """Whether a value of a column is one of the codes that the person named."""
        key = spelling_key(text)
        for code in self.missing:
            of_column, _, code_of_column = code.rpartition("=")
            is_of_column = spelling_key(column) == spelling_key(of_column)
            if key == spelling_key(code) or (is_of_column and key == spelling_key(code_of_column)):
                return True
        return False


def columns_for(options: FileOptions, columns: Columns) -> Columns:
    """The columns of a layout under the names that a person gave; what nobody named is then left alone.

    Raises
    ------
    InputError
        If a name is no OURS=THEIRS, or OURS is no column.
    """
    called = []
    for text in options.columns:
        ours, sign, theirs = (part.strip() for part in text.partition("="))
        if not sign or not theirs or not columns.is_known(columns.name_of(ours)):
            raise InputError("is no OURS=THEIRS with a column of ours", field="--column", value=text,
                             fix="write for example label=Diagnosis; ours are " + ", ".join(columns.known))  # fmt: skip
        called.append((theirs, columns.name_of(ours)))
    return replace(columns, called=tuple(called), has_others=columns.has_others or bool(called))


def named_classes(text: str) -> tuple[DiseaseClass, ...] | None:
    """Classes of one line, "normal,benign,malignant" or "thyroid"; None for an empty line.

    Raises
    ------
    InputError
        If it names fewer than two, or one twice.
    """
    if not text.strip():
        return None
    if text.strip().casefold() == "thyroid":
        return THYROID_CLASSES
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]
    if len(names) < 2 or not all(names) or len({spelling_key(name) for name in names}) < len(names):
        raise InputError("needs two classes or more, none of them twice", field="classes", value=text,
                         fix="write their names with commas between, such as normal,benign,malignant")  # fmt: skip
    return tuple(DiseaseClass(name, name, name) for name in names)


def class_order(key: str) -> tuple[bool, float, str]:
    """Numbers by size, then names by letter."""
    try:
        return (False, float(key), "")
    except ValueError:
        return (True, 0.0, key.casefold())


def with_positive(classes: tuple[DiseaseClass, ...], positive: str | None) -> tuple[DiseaseClass, ...]:
    """Two classes with the positive one last."""
    if positive is None:
        return classes
    wanted = spelling_key(positive)
    names = {spelling_key(name): one for one in classes
             for name in (one.key, one.label, one.short_label, *one.aliases)}  # fmt: skip
    if wanted not in names:
        raise InputError("no class has this name", field="positive", value=positive,
                         fix="use one of " + ", ".join(one.key for one in classes))  # fmt: skip
    if len(classes) > 2:
        raise InputError("a positive class is chosen of two, and there are more: each is analysed against the rest",
                         field="positive", value=positive,
                         fix=f"leave --positive out and read the rows of class {positive!r}")  # fmt: skip
    chosen = names[wanted]
    return (next(one for one in classes if one is not chosen), chosen)
