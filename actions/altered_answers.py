"""Declare from a file which model answers aided readers are shown wrong on purpose (automation bias)."""

from __future__ import annotations

from pathlib import Path

from actions.import_model import read_predictions
from core.csv_file import Columns, read_csv_file
from core.imaging.manifest import ManifestErrors
from core.protocol import class_key
from db import Repository

_COLUMNS = Columns(("case",), ("class",), prefixes=("p_",))


def declare_altered_answers(repository: Repository, study_key: str, file: Path) -> int:
    """Declare the rows of a CSV: ``case`` and ``class``, or ``case`` and ``p_<class>`` for every class.

    Returns
    -------
    int
        Number of cases.

    Raises
    ------
    ManifestError, InputError, NotFoundError, ConflictError
        As :meth:`Repository.declare_altered_answers`; what is wrong in the file, with its row.
    """
    table = read_csv_file(file, _COLUMNS)
    if table.problems:
        raise ManifestErrors(table.problems, file=file)
    classes = repository.study(study_key).protocol.classes
    if "class" not in table.columns:
        is_excluded = {info.case: info.exclusion_reason is not None for info in repository.cases(study_key)}
        given = read_predictions(file, classes, is_excluded)
        return repository.declare_altered_answers(study_key, {each.case: list(each.probabilities) for each in given})
    answers: dict[str, str] = {}
    for row in table.rows:
        case = row.required("case")
        if case in answers:
            raise row.error("case", "the case stands in the file already", case, "keep one row for each case")
        answers[case] = class_key(row.required("class"), classes)
    return repository.declare_altered_answers(study_key, dict(answers))
