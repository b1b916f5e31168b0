"""Rows of a file gathered into a study: names by the one rule of :mod:`core.spelling`, one truth a case, each answer
once, missing codes as missing, and every error at the file's own row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from core.csv_file import CsvRow, is_missing_code, rows_text
from core.errors import ManifestError, StatisticsInputError
from core.protocol import DiseaseClass
from core.report.file_options import FileOptions, class_order, with_positive
from core.spelling import Spellings, spelling_key
from core.study_analysis.data import FLAGS, StudyData

MOST_CLASSES = 100  # more are a column that holds no classes
_CASE_KEYS = ("case", "patient", "cohort")
_SAME = "names that differ only in capitals, blanks, Unicode form or a .0 are one name"


@dataclass(frozen=True)
class ReadingsFile:
    """A file of readings as a study."""

    data: StudyData
    notes: tuple[str, ...]  # what was left out, taken as one, kept apart or assumed


@dataclass
class _Table:
    """Rows of one table of a study, names as written, and the file's row of each."""

    columns: tuple[str, ...]
    key: list[str]  # columns that together stand in one row only
    rows: list[CsvRow] = field(default_factory=list)
    values: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, row: CsvRow, values: tuple[Any, ...]) -> None:
        """One row."""
        self.rows.append(row)
        self.values.append(values)


class StudyRows:
    """The rows of one file, added one after another, then :meth:`study`.

    Parameters
    ----------
    file : str
        For messages.
    options : FileOptions
    named_classes : sequence of str
        Classes that the file's columns name, in order; they are classes whatever they are called.
    columns : mapping
        Where a table's column has another name in the file, for messages: ``{"truth": "score"}``.
    header_row : int
        Line that names the columns.
    """

    def __init__(
        self,
        file: str,
        options: FileOptions,
        named_classes: Sequence[str] = (),
        columns: Mapping[str, str] | None = None,
        header_row: int = 1,
    ) -> None:
        self.file, self.options, self.columns = file, options, dict(columns or {})
        self.notes: list[str] = []
        self.shown_names: dict[str, dict[str, str]] = {"reader": {}, "model": {}}
        self.simulated: set[str] = set()
        self.reader_years: dict[str, float] = {}
        self.confidence_shift: int | None = None  # as of StudyData, None until a row has a confidence
        self._names = {kind: Spellings(kind) for kind in (*_CASE_KEYS, "reader", "model", "arm", "class")}
        self._named = tuple(named_classes)
        self._given: dict[str, str] = {}
        for disease in options.classes or ():
            for name in (disease.key, disease.label, disease.short_label, *disease.aliases):
                self._given.setdefault(spelling_key(name), disease.key)
        self._keys: set[str] = set(self._given) | {spelling_key(name) for name in self._named}
        for name in self._named:
            self._names["class"].add(name, header_row)
        self._cases: dict[str, list[tuple[CsvRow, dict[str, Any]]]] = {}
        self._truths: set[str] = set()
        self._without_truth: list[CsvRow] = []
        self._label_rows: dict[str, CsvRow] = {}
        self._missing: Counter[tuple[str, str]] = Counter()
        self._left_out: set[tuple[str, str]] = set()  # names that a code of --missing took away
        self._is_missing: dict[tuple[str, str], bool] = {}  # looked up once
        self._n_rows: Counter[str] = Counter()
        self._doubtful: dict[tuple[str, str], CsvRow] = {}
        self._answers = _Table(("reader", "arm", "case", "repeat", "label", "confidence", "is_unreadable",
                                "reading_seconds", "position", "mark_rating", "is_localised", *FLAGS),
                               ["reader", "arm", "case", "repeat"])  # fmt: skip
        self._ratings = _Table(("reader", "arm", "case", "class", "rating"), ["reader", "arm", "case", "class"])
        self._predictions = _Table(("model", "case", "label"), ["model", "case"])

    # -------------------------------------------------------------------------------------------------- one value
    def given(self, row: CsvRow, column: str) -> str:
        """A value, "" where it says that nothing was given, which is counted."""
        value = row.text(column)
        self._n_rows[column] += 1
        is_missing = self._is_missing.get((column, value))
        if is_missing is None:
            is_missing = self._is_missing[column, value] = self.options.is_missing(column, value)
        if not is_missing:
            return value
        self._missing[column, value] += 1
        return ""

    def given_class(self, row: CsvRow, column: str) -> str:
        """A class as written, "" where nothing was given; a class that somebody named wins over a missing code."""
        value = row.text(column)
        if not value or spelling_key(value) not in self._keys:
            value = self.given(row, column)
            if value and self._given:
                raise row.error(
                    self.columns.get(column, column), "unknown class", value,
                    "use one of " + ", ".join(one.key for one in self.options.classes or ())
                    + (f"; if it says that nothing was answered, add --missing {value!r}" if column == "label" else ""),
                )  # fmt: skip
        else:
            self._n_rows[column] += 1
        if value:
            self._names["class"].add(value, row.number)
        return value

    def given_name(self, row: CsvRow, column: str) -> str:
        """A name as written, also where it is spelled like a missing code, which is then said; "" where it is empty."""
        value = row.text(column)
        if not value or self.options.is_named_missing(column, value):
            self._left_out.add((column, value))
            return ""
        if is_missing_code(value):
            self._doubtful.setdefault((column, value), row)
        return value

    def number(self, row: CsvRow, column: str) -> float:
        """A number, NaN where nothing was given."""
        return row.number_of(column) if self.given(row, column) else np.nan

    # -------------------------------------------------------------------------------------------------- one row
    def add_case(self, row: CsvRow, case: str, truth: str, about: Mapping[str, Any]) -> None:
        """A case as one row tells it: class as written, and columns of :class:`StudyData`'s cases."""
        fields = {"case": case, "patient": case, "cohort": "all", **about, "truth": truth}
        if not truth:
            self._without_truth.append(row)
            return
        self._truths.add(truth)
        known = self._cases.setdefault(case, [])
        if not any(fields == earlier for _, earlier in known):
            known.append((row, fields))
            for kind in _CASE_KEYS:
                self._names[kind].add(str(fields[kind]), row.number)

    def require_case(self, row: CsvRow, column: str, case: str, fix: str) -> None:
        """A row told of the case; a name that looks alike is pointed out."""
        if case not in self._names["case"]:
            alike = self._names["case"].alike(case)
            raise row.error(
                column, "the case has no truth row", case, f"{fix}; or is it case {alike!r}?" if alike else fix
            )

    def counts(self) -> dict[str, int]:
        """Readers, cases of the two classes and arms, named as iMRMC names them."""
        truth = {self._names["case"].name(case): told[0][1]["truth"] for case, told in self._cases.items()}
        n_positive = sum(value == "positive" for value in truth.values())
        return {"NR": len(self._names["reader"].names()), "N0": len(truth) - n_positive, "N1": n_positive,
                "NM": len(self._names["arm"].names())}  # fmt: skip

    def add_reading(
        self, row: CsvRow, reader: str, case: str, arm: str, *, label: str = "", confidence: float = np.nan,
        repeat: float = 1.0, is_unreadable: bool = False, reading_seconds: float = np.nan,
        ratings: Mapping[str, float] | None = None, position: float = np.nan, flags: Mapping[str, bool] | None = None,
        mark_rating: float = np.nan, is_localised: bool = False,
    ) -> None:  # fmt: skip
        """One answer; without label, ratings and unreadable it says that the case was put before the reader."""
        self._names["reader"].add(reader, row.number)
        self._names["arm"].add(arm, row.number)
        if label:
            self._label_rows.setdefault(label, row)
        for name, value in (ratings or {}).items():
            self._ratings.add(row, (reader, arm, case, name, value))
        told = [(flags or {}).get(name, False) for name in FLAGS]
        self._answers.add(row, (reader, arm, case, repeat, label, confidence, is_unreadable, reading_seconds, position,
                                mark_rating, is_localised, *told))  # fmt: skip

    def add_prediction(
        self, row: CsvRow, model: str, case: str, probabilities: Mapping[str, float], label: str = ""
    ) -> None:
        """One model's probabilities by class as written."""
        self._names["model"].add(model, row.number)
        if label:
            self._label_rows.setdefault(label, row)
        self._predictions.columns = ("model", "case", "label", *(f"p_{name}" for name in probabilities))
        self._predictions.add(row, (model, case, label, *probabilities.values()))

    # -------------------------------------------------------------------------------------------------- the whole
    def study(self) -> ReadingsFile:
        """The study that the rows tell.

        Raises
        ------
        ManifestError
            For the first contradiction or value that a study cannot take, at the file's row.
        """
        self._refuse_without_truth()
        classes = self._classes()
        self._refuse_foreign_labels()
        cases, case_rows = self._case_table()
        answers, ratings, predictions = (
            self._frame(table) for table in (self._answers, self._ratings, self._predictions)
        )
        self._refuse_partial(classes, predictions)
        if not (predictions["label"] != "").any():
            predictions = predictions.drop(columns="label")  # the most probable class, as in a study
        is_answered = (answers["label"] != "") | answers["is_unreadable"]
        rows = {"cases": case_rows, "reader_ratings": self._ratings.rows, "predictions": self._predictions.rows,
                "readings": [self._answers.rows[at] for at in np.flatnonzero(is_answered)]}  # fmt: skip
        name = {kind: spellings.name for kind, spellings in self._names.items()}
        try:
            data = StudyData(
                classes=classes,
                cases=cases,
                readings=answers[is_answered],
                predictions=predictions if len(predictions) else pd.DataFrame({"model": [], "case": []}, dtype=object),
                reader_ratings=ratings if len(ratings) else None,
                reader_names={name["reader"](key): shown for key, shown in self.shown_names["reader"].items()},
                model_names={name["model"](key): shown for key, shown in self.shown_names["model"].items()},
                simulated=frozenset(name["reader"](key) for key in self.simulated),
                reader_years={name["reader"](key): years for key, years in self.reader_years.items()},
                confidence_shift=self.confidence_shift or 0,
                assignments=self._assignments(cases, answers, is_answered, ratings),
            )
        except StatisticsInputError as error:
            self._raise_at_row(error, rows)
        return ReadingsFile(data, (*self.notes, *self._missing_notes(), *self._name_notes(classes)))

    def _frame(self, table: _Table) -> pd.DataFrame:
        """A table with one spelling for each name; every key once."""
        frame = pd.DataFrame(table.values, columns=list(table.columns))
        for column in table.columns:
            if column in ("label", "class"):
                frame[column] = frame[column].map({text: self._class(text) for text in frame[column].unique()})
            elif column in self._names:
                spellings = self._names[column]
                frame[column] = frame[column].map({text: spellings.name(text) for text in frame[column].unique()})
        frame = frame.rename(columns={name: f"p_{self._class(name[2:])}" for name in frame if name.startswith("p_")})
        again = np.flatnonzero(frame.duplicated(table.key))
        if again.size:
            second = frame.loc[again[0], table.key]
            first = np.flatnonzero((frame[table.key] == second).all(axis=1))[0]
            row = table.rows[again[0]]
            named = [(self.columns.get(key, key), second[key]) for key in table.key]
            named = [(column, value) for column, value in named if column in row.values or column == "model"]
            raise row.error(
                ", ".join(column for column, _ in named), f"the same one stands in row {table.rows[first].number}",
                ", ".join(str(value) for _, value in named), f"keep one of the two rows ({_SAME})",
            )  # fmt: skip
        return frame

    def _refuse_without_truth(self) -> None:
        """Every row of a case says what the case is."""
        if not self._without_truth:
            return
        first, column = self._without_truth[0], self.columns.get("truth", "truth")
        fix = f"write the class, or delete {rows_text([row.number for row in self._without_truth])}"
        value = first.text(column)
        if value:
            names = ",".join(dict.fromkeys([value, *self._names["class"].names()]))
            fix += f"; if {value!r} is a class, say so: --classes {names}"
        raise first.error(column, "the case has no reference standard", value or None, fix)

    def _refuse_foreign_labels(self) -> None:
        """Answers in other words than the reference standard, every one of them: all would count as wrong."""
        true = dict.fromkeys(self._class(text) for text in sorted(self._truths))
        if self._keys or len(true) < 2 or not self._label_rows or any(self._class(x) in true for x in self._label_rows):
            return
        label, row = next(iter(self._label_rows.items()))
        raise row.error(
            self.columns.get("label", "label"), "no answer names a class of the reference standard", label,
            f"write truth and label in the same words (truth has {', '.join(true)}); if they are other classes all the "
            "same, name every one: --classes " + ",".join(self._names["class"].names()),
        )  # fmt: skip

    def _class(self, written: str) -> str:
        """Key of a class as written."""
        if not written:
            return ""
        return self._given.get(spelling_key(written)) or self._names["class"].name(written)

    def _classes(self) -> tuple[DiseaseClass, ...]:
        """Those that were given, else those that the file names; the positive one last of two."""
        if self.options.classes is not None:
            classes = self.options.classes
        else:
            found = self._names["class"].names()
            named = list(dict.fromkeys(self._names["class"].name(name) for name in self._named))
            ordered = named if set(named) == set(found) else sorted(found, key=class_order)
            classes = tuple(DiseaseClass(key, key, key) for key in ordered)
        if not 2 <= len(classes) <= MOST_CLASSES:
            shown = ", ".join(one.key for one in classes[:10])
            raise ManifestError(
                f"the file names {len(classes)} class{'es' * (len(classes) != 1)}",
                file=self.file,
                field="truth",
                value=shown,
                fix="check the columns truth and label, or name the classes: --classes a,b",
            )
        return with_positive(classes, self.options.positive)

    def _case_table(self) -> tuple[pd.DataFrame, list[CsvRow]]:
        """One row a case, and the file's row that told of it first."""
        found: dict[str, tuple[CsvRow, dict[str, Any]]] = {}
        for told in self._cases.values():
            for row, written in told:
                fields = {key: self._names[key].name(str(value)) if key in _CASE_KEYS else value
                          for key, value in written.items()}  # fmt: skip
                fields["truth"] = self._class(written["truth"])
                first_row, first = found.setdefault(fields["case"], (row, fields))
                for column in {**first, **fields}:
                    was, value = first.get(column), fields.get(column)
                    if was != value:
                        raise row.error(
                            self.columns.get(column, column),
                            f"case {written['case']!r} had {f'another {column}, {was!r},' if was else f'no {column}'} "
                            f"in row {first_row.number}",
                            written.get(column) or "", f"write it one way, or give two cases two names ({_SAME})",
                        )  # fmt: skip
        return pd.DataFrame([fields for _, fields in found.values()]), [row for row, _ in found.values()]

    def _refuse_partial(self, classes: Sequence[DiseaseClass], predictions: pd.DataFrame) -> None:
        """A model gives a probability for every class."""
        for disease in classes if len(predictions) else ():
            if f"p_{disease.key}" not in predictions:
                raise self._predictions.rows[0].error(
                    f"p_{disease.key}", "a model's row needs the probability of every class",
                    fix=f"add the column p_{disease.key}; scores that are no probabilities are given as those of a "
                    "reader, in a column rating_<class>",
                )  # fmt: skip

    def _assignments(
        self, cases: pd.DataFrame, answers: pd.DataFrame, is_answered: pd.Series, ratings: pd.DataFrame
    ) -> pd.DataFrame | None:
        """Who was asked to read what, where somebody answered nothing: all of a cohort of which a row tells."""
        cohort_of = dict(zip(cases["case"], cases["cohort"], strict=True))

        def places(table: pd.DataFrame) -> set[tuple[str, str, str]]:
            frame = table[["reader", "arm"]].assign(cohort=table["case"].map(cohort_of)).drop_duplicates()
            return set(frame.itertuples(index=False, name=None))

        asked = places(answers)
        silent = sorted(asked - places(answers[is_answered]) - places(ratings))
        if not silent:
            return None
        shown = ", ".join(f"{reader} ({arm}, {cohort})" for reader, arm, cohort in silent)
        self.notes.append(f"no answer at all from {shown}")
        of_cohort = cases.groupby("cohort")["case"].apply(list).to_dict()
        return pd.DataFrame(
            [(reader, case, arm) for reader, arm, cohort in sorted(asked) for case in of_cohort[cohort]],
            columns=["reader", "case", "arm"],
        )

    def _raise_at_row(self, error: StatisticsInputError, rows: Mapping[str, Sequence[CsvRow]]) -> NoReturn:
        """The error of a study's table, at the file's row and column."""
        of_table = rows.get(error.file or "", ())
        if error.row is None or error.row > len(of_table):
            raise ManifestError(error.problem, file=self.file, field=error.field, value=error.value, fix=error.fix)
        column = self.columns.get(error.field or "", error.field)
        raise of_table[error.row - 1].error(column, error.problem, error.value, error.fix) from error

    def _missing_notes(self) -> list[str]:
        """How many values say that nothing was given, by column and code."""
        notes = []
        for column in dict.fromkeys(column for column, _ in self._missing):
            codes = {code: n for (of, code), n in self._missing.items() if of == column}
            if any(codes) and sum(codes.values()) < self._n_rows[column]:
                told = ", ".join(f"{code or 'empty'!s} {n}" for code, n in sorted(codes.items()))
                notes.append(f"{column}: {sum(codes.values())} of {self._n_rows[column]} values are missing ({told})")
        found = {*self._missing, *self._left_out}
        notes += [
            f"--missing {code}: no value of the file is missing by it; check the code and the column's name"
            for code in self.options.missing
            if not any(FileOptions(missing=(code,)).is_named_missing(*place) for place in found)
        ]
        notes += [
            f"{column}: {value!r} (row {row.number}) is taken as a name; if it says that nothing was given, add "
            f"--missing {column}={value}"
            for (column, value), row in self._doubtful.items()
        ]
        return notes

    def _name_notes(self, classes: Sequence[DiseaseClass]) -> list[str]:
        """What was taken as one or kept apart, classes without a case, and which class is positive."""
        notes = [note for names in self._names.values() for note in names.notes()]
        of_cases = {note.removeprefix("case") for note in notes if note.startswith("case:")}
        notes = [note for note in notes if not (note.startswith("patient:") and note[len("patient") :] in of_cases)]
        if not self._given:
            true = {self._class(text) for text in self._truths}
            only = {self._class(label): row for label, row in sorted(self._label_rows.items())}
            stray = [f"{key!r} (row {row.number})" for key, row in only.items() if key not in true]
            if stray:
                notes.append(f"in no reference standard, yet answered: {', '.join(stray)}; if that says that nothing "
                             "was answered, name it with --missing; if it is a class in other words, write it as truth "
                             "does")  # fmt: skip
        if len(classes) == 2 and self.options.positive is None:
            notes.append(f"of the two classes {classes[1].key!r} is positive; choose with --positive")
        return notes
