"""A study written as files of readings that this and other programs read; the layouts are those of
:mod:`core.report.layouts`, and what is written there is read back without loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.errors import UndefinedStatisticError
from core.report.layouts import IMRMC_COLUMNS, LONG_COLUMNS, Layout
from core.report.strict_csv import free_text, write_csv
from core.study_analysis.arrays import CohortArrays, cohort_arrays
from core.study_analysis.data import StudyData


def write_analysis_files(
    data: StudyData, folder: str | Path, layout: Layout | str, *, cohorts: Sequence[str] | None = None
) -> list[Path]:
    """Write a study in one of the layouts.

    Parameters
    ----------
    data : StudyData
    folder : path
        Made when it does not exist. ``long`` gives ``readings.csv``; the others one file per cohort and class,
        ``<layout>_<cohort>_<class>.csv``, of every answer that has a rating or a label (a hard label is rated 0 or 1).
        Models stand among the readers in the arm "model".
    cohorts : sequence of str, optional
        Cohorts of the two-class layouts; all that somebody answered when absent.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UndefinedStatisticError
        If a class has fewer than two cases on one side, which iMRMC and MRMCaov cannot take; nothing is written.
    """
    target = Path(folder)
    chosen = Layout(str(layout))
    if chosen is Layout.LONG:
        target.mkdir(parents=True, exist_ok=True)
        return [_write_long(data, target / "readings.csv")]
    parts = [(cohort, index) for cohort in cohort_arrays(data, cohorts) for index in cohort.curve_classes]
    for cohort, index in parts:
        n = int((cohort.truth == index).sum())
        if min(n, len(cohort.cases) - n) < 2:
            raise UndefinedStatisticError(
                f"Cohort {cohort.cohort!r} has {n} of {len(cohort.cases)} cases of class "
                f"{cohort.class_keys[index]!r}; the layout {chosen.value} needs two on either side."
            )
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for cohort, index in parts:
        path = target / f"{chosen.value}_{_file_part(cohort.cohort)}_{cohort.class_keys[index]}.csv"
        columns, rows = _mrmcaov_rows(cohort, index) if chosen is Layout.MRMCAOV else _imrmc_rows(cohort, index)
        written.append(write_csv(path, columns, rows))
    return written


def _file_part(name: str) -> str:
    """A cohort's name as part of a file name."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)


def _rated_answers(cohort: CohortArrays, index: int) -> list[tuple[str, str, str, bool, float]]:
    """reader, arm, case, is positive, rating of every answer, for one class against the rest."""
    found = []
    for one in cohort.participants:
        if one.ratings is not None:
            rated, values = one.is_rated, one.ratings[index]
        else:
            rated, values = one.labels >= 0, (one.labels == index).astype(np.float64)
        found += [
            (one.key, one.arm or "model", cohort.cases[at], bool(cohort.truth[at] == index), float(values[at]))
            for at in np.flatnonzero(rated)
        ]
    return found


def _mrmcaov_rows(cohort: CohortArrays, index: int) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows for MRMCaov."""
    rows: list[tuple[object, ...]] = [
        (reader, arm, case, int(is_positive), rating)
        for reader, arm, case, is_positive, rating in _rated_answers(cohort, index)
    ]
    return ("reader", "treatment", "case", "truth", "rating"), rows


def _imrmc_rows(cohort: CohortArrays, index: int) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Columns and rows for iMRMC, truth rows first."""
    rows: list[tuple[object, ...]] = [
        ("-1", case, "0", int(truth == index)) for case, truth in zip(cohort.cases, cohort.truth.tolist(), strict=True)
    ]
    rows += [(reader, case, arm, rating) for reader, arm, case, _, rating in _rated_answers(cohort, index)]
    return IMRMC_COLUMNS, rows


def _write_long(data: StudyData, path: Path) -> Path:
    """All of a study in one file."""
    keys = data.class_keys
    about = data.cases.set_index("case")
    has_reason = "exclusion_reason" in about.columns
    rated = {} if data.reader_ratings is None else _rating_lookup(data.reader_ratings, keys)
    columns = [*LONG_COLUMNS, *(f"rating_{key}" for key in keys if rated), *(f"p_{key}" for key in keys)]
    rows: list[list[object]] = []

    def add(kind: str, case: str, **fields: object) -> None:
        of_case = about.loc[case]
        reason = of_case["exclusion_reason"] if has_reason else None
        whole = {
            "kind": kind, "case": case, "truth": of_case["truth"], "patient": of_case["patient"],
            "cohort": of_case["cohort"], "exclusion_reason": free_text(str(reason)) if of_case["is_excluded"] else None,
            **fields,
        }  # fmt: skip
        rows.append([whole.get(column) for column in columns])

    answered = set()
    for reading in data.readings.to_dict("records"):
        identity = (reading["reader"], reading["case"], reading["arm"])
        answered.add(identity)
        confidence = None if pd.isna(reading["confidence"]) else float(reading["confidence"])
        add(
            "reader", reading["case"], reader=reading["reader"], arm=reading["arm"], label=reading["label"] or None,
            confidence=confidence, repeat=int(reading["repeat"]),
            is_unreadable="true" if reading["is_unreadable"] else None,
            **(rated.get(identity, {}) if reading["repeat"] == 1 else {}),
        )  # fmt: skip
    for identity, values in rated.items():
        if identity not in answered:
            add("reader", identity[1], reader=identity[0], arm=identity[2], **values)
    for prediction in data.predictions.to_dict("records"):
        label = prediction.get("label")
        add(
            "model", prediction["case"], reader=prediction["model"], label=None if pd.isna(label) else label,
            **{f"p_{key}": float(prediction[f"p_{key}"]) for key in keys},
        )  # fmt: skip
    mentioned = {row[columns.index("case")] for row in rows}
    for case in data.cases["case"]:
        if case not in mentioned:
            add("case", case)
    return write_csv(path, columns, rows)


def _rating_lookup(table: pd.DataFrame, keys: Sequence[str]) -> dict[tuple[str, str, str], dict[str, object]]:
    """(reader, case, arm) -> rating columns."""
    found: dict[tuple[str, str, str], dict[str, object]] = {}
    for row in table.to_dict("records"):
        identity = (row["reader"], row["case"], row["arm"])
        found.setdefault(identity, {})[f"rating_{row['class']}"] = float(row["rating"])
    return found
