"""Files of readings, in and out: which layout a file has, and a study as files of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.csv_file import named_columns, read_csv_file, read_lines
from core.errors import InputError, ManifestError, UndefinedStatisticError
from core.report import imrmc_file, long_file, mrmcaov_file
from core.report.file_options import FileOptions
from core.report.layout import Layout
from core.report.study_rows import ReadingsFile
from core.study_analysis.arrays import cohort_arrays
from core.study_analysis.data import StudyData


def read_readings_file(
    path: str | Path, layout: Layout | str | None = None, options: FileOptions | None = None
) -> ReadingsFile:
    """Read a file of readings.

    Parameters
    ----------
    path : path
    layout : Layout or str, optional
        Absent: told by the names of the columns.
    options : FileOptions, optional

    Raises
    ------
    ManifestError
        For the first thing that is wrong, naming file, row, column, value and what to do.
    """
    chosen = layout_of(path) if layout is None else _layout(layout)
    try:
        return _read(path, chosen, options or FileOptions())
    except ManifestError as error:
        told = layout_of(path)
        if chosen is told:
            raise
        raise ManifestError(error.problem, file=error.file, row=error.row, field=error.field, value=error.value,
                            fix=f"{error.fix}; its columns look like --layout {told}") from error  # fmt: skip


def _read(path: str | Path, chosen: Layout, options: FileOptions) -> ReadingsFile:
    """A file of a layout."""
    if chosen is Layout.IMRMC:
        return imrmc_file.read_imrmc(path, options)
    if chosen is Layout.MRMCAOV:
        return mrmcaov_file.read_mrmcaov(read_csv_file(path, mrmcaov_file.COLUMNS), options)
    return long_file.read_long(read_csv_file(path, long_file.COLUMNS), options)


def layout_of(path: str | Path) -> Layout:
    """The layout that a file's first lines speak of; ``long`` where they speak of none."""
    lines = read_lines(path)
    if imrmc_file.is_imrmc(lines):
        return Layout.IMRMC
    return Layout.MRMCAOV if "rating" in named_columns(lines, mrmcaov_file.COLUMNS) else Layout.LONG


def _layout(name: Layout | str) -> Layout:
    """A layout by name."""
    try:
        return Layout(str(name))
    except ValueError:
        known = ", ".join(item.value for item in Layout)
        raise InputError("unknown layout", field="layout", value=str(name), fix=f"use one of {known}") from None


def readings_files(data: StudyData, layout: Layout | str, *, cohorts: Sequence[str] | None = None) -> dict[str, bytes]:
    """A study as files of a layout, by name; nothing is written.

    Parameters
    ----------
    data : StudyData
    layout : Layout or str
        ``long`` gives ``analysis.csv``; the others one file per cohort and class, of every answer that has a rating
        or a label (a hard label is rated 0 or 1). Models stand among the readers in the arm "model".
    cohorts : sequence of str, optional
        Cohorts of the two-class layouts; all that somebody answered when absent.

    Raises
    ------
    UndefinedStatisticError
        If a class has fewer than two cases on one side, which iMRMC and MRMCaov cannot take.
    InputError
        If the layout cannot hold a name.
    """
    chosen = _layout(layout)
    if chosen is Layout.LONG:
        return {"analysis.csv": long_file.write_long(data)}
    write, ending = (
        (mrmcaov_file.write_mrmcaov, "csv") if chosen is Layout.MRMCAOV else (imrmc_file.write_imrmc, "imrmc")
    )
    files: dict[str, bytes] = {}
    for cohort in cohort_arrays(data, cohorts):
        for index in cohort.curve_classes:
            n, key = int((cohort.truth == index).sum()), cohort.class_keys[index]
            if min(n, len(cohort.cases) - n) < 2:
                raise UndefinedStatisticError(
                    f"Cohort {cohort.cohort!r} has {n} of {len(cohort.cases)} cases of class {key!r}; the layout "
                    f"{chosen.value} needs two on either side."
                )
            stem = f"{chosen.value}_{_file_part(cohort.cohort)}_{_file_part(key)}"
            again = sum(name.startswith(stem) for name in files)  # "a b" and "a-b" would be one file
            files[f"{stem}{f'-{again + 1}' if again else ''}.{ending}"] = write(cohort, index)
    return files


def _file_part(name: str) -> str:
    """A cohort's or class's name as part of a file name."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)
