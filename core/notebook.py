"""Results of :mod:`core.statistics` as pandas data frames, for notebooks and files.

>>> from core.statistics import proportion
>>> to_frame(proportion(8, 10))[["value", "lower", "upper"]].round(3).to_dict("records")
[{'value': 0.8, 'lower': 0.49, 'upper': 0.943}]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

import numpy as np
import pandas as pd

from core.errors import StatisticsInputError
from core.statistics.result import rows_of


def to_frame(result: object) -> pd.DataFrame:
    """One row for each number of a result, or of a sequence or mapping of results.

    Parameters
    ----------
    result : object
        Anything that :mod:`core.statistics` returns. A result that is a curve (arrays of one length) gives one row for
        each of its points.

    Returns
    -------
    pandas.DataFrame
        ``quantity`` is the place of the number in the result; notes are joined by " | ". Columns that the result does
        not use are left out.

    Raises
    ------
    StatisticsInputError
        If there is no number in it.
    """
    points = _points(result)
    if points:
        return pd.DataFrame(points)
    rows = rows_of(result)
    if not rows:
        raise StatisticsInputError(
            "holds no number", field="result", value=type(result).__name__, fix="pass a result of core.statistics"
        )
    frame = pd.DataFrame([{**row, "notes": " | ".join(row.get("notes", ()))} for row in rows])
    is_empty = frame.isna() | (frame == "")
    return frame[[name for name in frame.columns if name in ("quantity", "value") or not is_empty[name].all()]]


def _points(result: object) -> dict[str, np.ndarray]:
    """Arrays of one length that make a curve; empty where the result is none."""
    if not is_dataclass(result) or isinstance(result, Mapping | Sequence | type):
        return {}
    own = {part.name: getattr(result, part.name) for part in fields(result)}
    arrays = {name: item for name, item in own.items() if isinstance(item, np.ndarray) and item.ndim == 1}
    sizes = {item.size for item in arrays.values()}
    return arrays if len(arrays) > 1 and len(sizes) == 1 else {}
