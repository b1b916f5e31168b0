"""Files of readings, in and out: which layout a file has, and a study as files of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.csv_file import Columns, named_columns, read_lines
from core.errors import InputError, ManifestError, UndefinedStatisticError
from core.report import imrmc_file, long_file, mrmcaov_file, proc_file, rjafroc_file
from core.report.file_names import file_parts
from core.report.file_options import FileOptions, columns_for
from core.report.layout import Layout
from core.report.study_rows import ReadingsFile
from core.study_analysis.arrays import CohortArrays, cohort_arrays
from core.study_analysis.data import StudyData


def read_readings_file(
    path: str | Path | Sequence[Path], layout: Layout | str | None = None, options: FileOptions | None = None
) -> ReadingsFile:
    """Read readings.

    Parameters
    ----------
    path : path or sequence of path
        A file; or a folder or several files of the layout ``long``, one for each reader (:func:`read_long_files`).
    layout : Layout or str, optional
        Absent: told by the names of the columns.
    options : FileOptions, optional

    Raises
    ------
    ManifestError
        For the first thing that is wrong, naming file, row, column, value and what to do.
    """
    options = options or FileOptions()
    paths = files_of(path)
    if len(paths) > 1:
        if layout is not None and _layout(layout) is not Layout.LONG:
            raise InputError("several files are read in the layout long only", field="layout", value=str(layout),
                             fix="analyse them one by one")  # fmt: skip
        return long_file.read_long_files(paths, options)
    (only,) = paths
    chosen = layout_of(only, options) if layout is None else _layout(layout)
    _check_called(only, chosen, options)
    try:
        return _READERS[chosen](only, options)
    except ManifestError as error:
        told = layout_of(only, options)
        if chosen is told:
            raise
        raise ManifestError(error.problem, file=error.file, row=error.row, field=error.field, value=error.value,
                            fix=f"{error.fix}; its columns look like --layout {told}") from error  # fmt: skip


def _check_called(file: Path, layout: Layout, options: FileOptions) -> None:
    """Refuse a name of ``--column`` that the file does not have: its column would be missing without a word."""
    columns = _COLUMNS.get(layout)
    if columns is None or not options.columns:
        return
    called = columns_for(options, columns).called
    found = named_columns(read_lines(file), Columns(tuple(theirs for theirs, _ in called)))
    for theirs, ours in called:
        if theirs not in found:
            raise InputError(f"no column of the file is called {theirs}", file=file, field="--column",
                             value=f"{ours}={theirs}", fix="write the name as it stands in the file")  # fmt: skip


_COLUMNS = {
    Layout.LONG: long_file.COLUMNS,
    Layout.MRMCAOV: mrmcaov_file.COLUMNS,
    Layout.PROC: proc_file.COLUMNS,
}
_READERS = {
    Layout.LONG: long_file.read_long,
    Layout.MRMCAOV: mrmcaov_file.read_mrmcaov,
    Layout.IMRMC: imrmc_file.read_imrmc,
    Layout.RJAFROC: rjafroc_file.read_rjafroc,
    Layout.PROC: proc_file.read_proc,
}


def files_of(path: str | Path | Sequence[Path]) -> list[Path]:
    """The files that are meant: one, several, or those of a folder that end in .csv, .tsv or .txt, by name.

    Raises
    ------
    ManifestError
        If a folder holds none.
    """
    given = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    found: list[Path] = []
    for one in given:
        if one.is_dir():
            inside = sorted(each for each in one.iterdir() if each.suffix.casefold() in (".csv", ".tsv", ".txt"))
            if not inside:
                raise ManifestError("no file of the folder ends in .csv", file=one, fix="name the files themselves")
            found += inside
        else:
            found.append(one)
    return found


def layout_of(path: str | Path, options: FileOptions | None = None) -> Layout:
    """The layout that a file's first lines speak of; ``long`` where they speak of none."""
    if rjafroc_file.is_rjafroc(path):
        return Layout.RJAFROC
    lines = read_lines(path)
    if imrmc_file.is_imrmc(lines):
        return Layout.IMRMC
    options, theirs = options or FileOptions(), mrmcaov_file.COLUMNS
    called = tuple(text for text in options.columns if theirs.is_known(theirs.name_of(text.partition("=")[0].strip())))
    wanted = columns_for(replace(options, columns=called), theirs)  # what only another layout has is no mistake here
    return Layout.MRMCAOV if "rating" in named_columns(lines, wanted) else Layout.LONG


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
    files, reasons = files_and_reasons(data, layout, cohorts=cohorts)
    for error in reasons.values():
        raise error
    return files


def files_and_reasons(
    data: StudyData, layout: Layout | str, *, cohorts: Sequence[str] | None = None
) -> tuple[dict[str, bytes], dict[str, InputError | UndefinedStatisticError]]:
    """The files of a layout as :func:`readings_files` gives them, and why each of the others cannot be, by its name."""
    chosen = _layout(layout)
    if chosen is Layout.LONG:
        return {"analysis.csv": long_file.write_long(data)}, {}
    files: dict[str, bytes] = {}
    reasons: dict[str, InputError | UndefinedStatisticError] = {}
    arrays = cohort_arrays(data, cohorts)
    cohort_names, class_names = file_parts(one.cohort for one in arrays), file_parts(data.class_keys)
    for cohort in arrays:
        for index in cohort.curve_classes:
            stem = f"{chosen.value}_{cohort_names[cohort.cohort]}_{class_names[cohort.class_keys[index]]}"
            try:
                _check_sides(cohort, index, chosen)
                files |= {stem + ending: content for ending, content in _written(chosen, cohort, index).items()}
            except (InputError, UndefinedStatisticError) as error:
                reasons[stem] = error
    return files, reasons


def _check_sides(cohort: CohortArrays, index: int, layout: Layout) -> None:
    """Refuse a class that the other programs cannot take."""
    n, key = int((cohort.truth == index).sum()), cohort.class_keys[index]
    if min(n, len(cohort.cases) - n) < 2:
        raise UndefinedStatisticError(
            f"Cohort {cohort.cohort!r} has {n} of {len(cohort.cases)} cases of class {key!r}; the layout "
            f"{layout.value} needs two on either side."
        )


def _written(layout: Layout, cohort: CohortArrays, index: int) -> dict[str, bytes]:
    """Endings of names and contents of the files of one class of a cohort."""
    match layout:
        case Layout.MRMCAOV:
            return {".csv": mrmcaov_file.write_mrmcaov(cohort, index)}
        case Layout.IMRMC:
            return {".imrmc": imrmc_file.write_imrmc(cohort, index)}
        case Layout.PROC:
            return {".csv": proc_file.write_proc(cohort, index)}
        case _:
            return rjafroc_file.write_rjafroc(cohort, index)
