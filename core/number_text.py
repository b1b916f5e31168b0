"""Numbers as people read them: the one place where digits are chosen.

The column ``estimate`` of every table of an analysis, the screens, the terminal, the report, LaTeX and Word tables all
take their strings from here, so that a number reads the same wherever it stands. All digits stand beside it in the
columns ``value``, ``lower`` and ``upper``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

#: After the decimal point: of proportions, areas and differences as such; of the same in percent.
DIGITS, PERCENT_DIGITS = 3, 1
SECONDS_DIGITS = 1  # as reading times are stored: a hundredth of a second is nobody's
UNDEFINED = "undefined"

Number = float | None


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or bool(pd.isna(value))


def number_text(value: Number, digits: int = DIGITS) -> str:
    """0.845 or −0.050; "" where there is none; no sign before a number that rounds to zero."""
    if value is None or _is_missing(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def estimate_text(value: Number, lower: Number, upper: Number, digits: int = DIGITS) -> str:
    """0.845 (0.780 to 0.900); an undefined number is said in words."""
    if _is_missing(value):
        return UNDEFINED
    if _is_missing(lower) or _is_missing(upper):
        return number_text(value, digits)
    return f"{number_text(value, digits)} ({number_text(lower, digits)} to {number_text(upper, digits)})"


def percent_text(value: Number, lower: Number = None, upper: Number = None, digits: int = PERCENT_DIGITS) -> str:
    """94.4 % (92.1 to 96.1) of a proportion between 0 and 1."""
    return _in_hundredths(value, lower, upper, "%", digits)


def points_text(value: Number, lower: Number = None, upper: Number = None, digits: int = PERCENT_DIGITS) -> str:
    """8.4 points (5.3 to 11.6) of a difference of two proportions, between -1 and 1."""
    return _in_hundredths(value, lower, upper, "points", digits)


def _in_hundredths(value: Number, lower: Number, upper: Number, unit: str, digits: int) -> str:
    if value is None or _is_missing(value):
        return UNDEFINED
    text = f"{number_text(100 * value, digits)} {unit}"
    if lower is None or upper is None or _is_missing(lower) or _is_missing(upper):
        return text
    return f"{text} ({number_text(100 * lower, digits)} to {number_text(100 * upper, digits)})"


def p_text(p: Number) -> str:
    """A p value as journals print it; "" where there is none."""
    if p is None or _is_missing(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_words(p: Number) -> str:
    """Of a p value in a sentence: p < 0.001, p = 0.034; "" where there is none."""
    text = p_text(p)
    return text and (f"p {text}" if text[0] == "<" else f"p = {text}")


def cell_text(value: Any, column: str) -> str:
    """A cell of a table of an analysis; columns that begin with ``p_`` are p values.

    A small number without an interval (column ``value``) keeps three digits that count.
    """
    if _is_missing(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and column == "value" and 0 < abs(value) < 0.1:  # a variance component
        return np.format_float_positional(value, precision=DIGITS, fractional=False, trim="-").replace("-", "−")
    if isinstance(value, float):
        return p_text(value) if column.startswith("p_") else number_text(value)
    return str(value)


def shown_table(table: pd.DataFrame, class_names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table of an analysis as texts: the estimate with its interval in one column, as on the screen.

    Parameters
    ----------
    class_names : mapping, optional
        Key of a class -> its name, to stand in the columns that hold keys.
    """
    names = list(table.columns)
    if "estimate" in names:
        names.remove("estimate")
        names[names.index("value")] = "estimate"
        names = [name for name in names if name not in ("lower", "upper")]
    texts = {name: [cell_text(value, str(name)) for value in table[name].tolist()] for name in names}
    if class_names is not None:
        of_classes = (
            ("class", "truth", "answer") if "truth" in texts else ("class",)
        )  # else an answer is right or wrong
        for name in [each for each in of_classes if each in texts]:
            texts[name] = [class_names.get(key, key) for key in texts[name]]
    return pd.DataFrame(texts, dtype=object)
