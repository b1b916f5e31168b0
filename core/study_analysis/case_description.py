"""Who and what was studied, before any answer counts: flow with reasons, baseline table, centres, shared patients.

Cases are what is read; patients are counted beside them. Sex and age are a patient's, taken from the patient's first
included case of the cohort, so that a patient with several cases counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from core.natural_order import cohort_place, natural_key
from core.study_analysis.data import StudyData

#: Row of Table 1 for everybody.
ALL = "all"


@dataclass(frozen=True)
class FlowStep:
    """One box of the flow diagram (STARD 2015, item 19)."""

    step: str  # imported, excluded, included, cohort, read, predicted
    cohort: str  # "" for the whole study
    what: str  # the reason of an exclusion, the name of a model; "" else
    n_cases: int
    n_patients: int


@dataclass(frozen=True)
class BaselineRow:
    """One row of Table 1 for one cohort, or for all included cases."""

    cohort: str
    variable: str  # patients, cases, age, sex, class, centre, scanner
    level: str  # "F", a class key, ...; for age "mean" or "median"
    n: int  # patients or cases that the row counts, or that have an age
    of: int  # patients or cases of the cohort
    value: float | None = None  # age in years
    lower: float | None = None  # first quartile of the age, beside the median
    upper: float | None = None
    spread: float | None = None  # standard deviation of the age, beside the mean

    @property
    def share(self) -> float | None:
        """Part of the cohort."""
        return self.n / self.of if self.of else None


@dataclass(frozen=True)
class GroupByClass:
    """Cases of a class from one centre, or of one scanner: a class that comes from one place gives itself away."""

    cohort: str
    variable: str  # centre, scanner
    level: str
    class_key: str
    n_cases: int


@dataclass(frozen=True)
class SharedPatients:
    """Patients with an included case in both of two cohorts: there should be none."""

    first: str
    second: str
    patients: tuple[str, ...]


@dataclass(frozen=True)
class CaseDescription:
    """The cases of a study, whether anybody answered them or not."""

    flow: tuple[FlowStep, ...]
    baseline: tuple[BaselineRow, ...]
    groups: tuple[GroupByClass, ...]
    shared_patients: tuple[SharedPatients, ...]


def describe_cases(data: StudyData) -> CaseDescription:
    """Flow, baseline table, centres by class and shared patients of a study.

    References
    ----------
    Bossuyt et al. (2015), BMJ 351:h5527 (STARD 2015, items 19, 20, 21).
    """
    included = data.cases[~data.cases["is_excluded"]]
    cohorts = sorted(set(included["cohort"]), key=cohort_place)
    of_cohort = {name: included[included["cohort"] == name] for name in cohorts}
    parts = {**({ALL: included} if len(cohorts) > 1 else {}), **of_cohort}
    return CaseDescription(
        flow=tuple(_flow(data, included, of_cohort)),
        baseline=tuple(
            row for name, cases in parts.items() for row in _baseline(name, cases, data.class_keys, included)
        ),
        groups=tuple(row for name, cases in of_cohort.items() for row in _groups(name, cases, data.class_keys)),
        shared_patients=tuple(_shared(of_cohort)),
    )


def _step(step: str, cohort: str, what: str, cases: pd.DataFrame) -> FlowStep:
    return FlowStep(step, cohort, what, len(cases), cases["patient"].nunique())


def _flow(data: StudyData, included: pd.DataFrame, of_cohort: Mapping[str, pd.DataFrame]) -> Iterator[FlowStep]:
    """From what was imported to what was read and predicted."""
    yield _step("imported", "", "", data.cases)
    excluded = data.cases[data.cases["is_excluded"]]
    if len(excluded):
        reasons = excluded["exclusion_reason"].astype(str).str.strip()
        for reason in (
            reasons.value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable").index
        ):
            yield _step("excluded", "", str(reason), excluded[reasons == reason])
    yield _step("included", "", "", included)
    answered = data.readings[(data.readings["repeat"] == 1) & ~data.readings["is_unreadable"]]["case"]
    rated = () if data.reader_ratings is None else data.reader_ratings["case"]
    read = set(answered) | set(rated)
    predictions = {str(model): rows for model, rows in data.predictions.groupby("model")}
    predictions = dict(sorted(predictions.items(), key=lambda item: data.model_place(item[0])))
    for name, cases in of_cohort.items():
        yield _step("cohort", name, "", cases)
        yield _step("read", name, "", cases[cases["case"].isin(read)])
        for model, rows in predictions.items():
            predicted = cases[cases["case"].isin(rows["case"])]
            if len(predicted):
                yield _step("predicted", name, data.model_name(model), predicted)


def _baseline(cohort: str, cases: pd.DataFrame, keys: tuple[str, ...], whole: pd.DataFrame) -> Iterator[BaselineRow]:
    """Table 1 of one cohort: the same rows in every cohort of a study, those of ``whole``."""
    patients = cases.drop_duplicates("patient")
    n_patients, n_cases = len(patients), len(cases)
    yield BaselineRow(cohort, "patients", "", n_patients, n_patients)
    yield BaselineRow(cohort, "cases", "", n_cases, n_cases)
    if whole["age_years"].notna().any():
        ages = patients["age_years"].to_numpy(np.float64)
        ages = ages[~np.isnan(ages)]
        spread = float(ages.std(ddof=1)) if ages.size > 1 else None
        mean = float(ages.mean()) if ages.size else None
        lower, median, upper = (
            (float(each) for each in np.quantile(ages, [0.25, 0.5, 0.75])) if ages.size else [None] * 3
        )
        yield BaselineRow(cohort, "age", "mean", ages.size, n_patients, mean, spread=spread)
        yield BaselineRow(cohort, "age", "median", ages.size, n_patients, median, lower, upper)
    for level, n in _counted(patients["sex"], whole["sex"]):
        yield BaselineRow(cohort, "sex", level, n, n_patients)
    for key in keys:
        yield BaselineRow(cohort, "class", key, int((cases["truth"] == key).sum()), n_cases)
    for variable in ("centre", "scanner"):
        for level, n in _counted(cases[variable], whole[variable]):
            yield BaselineRow(cohort, variable, level, n, n_cases)


def _counted(column: pd.Series, whole: pd.Series) -> list[tuple[str, int]]:
    """Levels of the whole study and how often each occurs, by name, the unknown last; nothing where none is known."""
    counts, levels = column.value_counts(), set(whole.unique())
    known = sorted((str(level) for level in levels if level), key=natural_key)
    return [(level, int(counts.get(level, 0))) for level in known + ([""] if known and "" in levels else [])]


def _groups(cohort: str, cases: pd.DataFrame, keys: tuple[str, ...]) -> Iterator[GroupByClass]:
    """Cases by centre and class, and by scanner and class."""
    for variable in ("centre", "scanner"):
        for level, _ in _counted(cases[variable], cases[variable]):
            truth = cases.loc[cases[variable] == level, "truth"]
            for key in keys:
                yield GroupByClass(cohort, variable, level, key, int((truth == key).sum()))


def _shared(of_cohort: Mapping[str, pd.DataFrame]) -> Iterator[SharedPatients]:
    """Every pair of cohorts with the patients of both."""
    patients = {name: set(cases["patient"]) for name, cases in of_cohort.items()}
    for first, second in combinations(of_cohort, 2):
        yield SharedPatients(first, second, tuple(sorted(patients[first] & patients[second], key=natural_key)))
