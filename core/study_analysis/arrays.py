"""One cohort as arrays: who answered what on which case.

A *participant* is a reader in one arm, or a model. Their rating of class c is, for a reader, +confidence when c was
chosen and -confidence otherwise (or a rating that was given as such); for a model, the probability of c. A missing
confidence is one missing rating. A reader whose confidence is absent or the same everywhere has no ratings: hard labels
only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.natural_order import cohort_place, rater_place
from core.protocol import Arm
from core.study_analysis.data import FLAGS, FloatArray, IntArray, StudyData

BoolArray = NDArray[np.bool_]

#: Level of a case whose group is not known.
UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Participant:
    """Answers of one reader in one arm, or of one model, over the cases of a cohort."""

    kind: str  # "reader" or "model"
    key: str
    arm: str  # "" for a model
    name: str
    labels: IntArray  # (n_cases,) class index, -1 where there is no answer
    ratings: FloatArray | None  # (n_classes, n_cases), NaN where there is no answer; None: hard labels only
    n_expected: int
    n_unreadable: int
    n_repeats: int
    notes: tuple[str, ...] = ()
    seconds: FloatArray | None = None  # (n_cases,) reading time, NaN where there is none; None: nobody measured
    years: float | None = None  # of experience
    confidence: FloatArray | None = None  # (n_cases,) in the chosen class; NaN: none was stated; None: by nobody
    positions: FloatArray | None = None  # (n_cases,) place in the reader's own order; None: not known
    has_probabilities: bool = False  # ratings are probabilities of the classes
    altered_labels: IntArray | None = None  # (n_cases,) answers beside a model answer that was wrong on purpose
    flags: Mapping[str, int] = field(default_factory=dict)  # name -> number of first readings of which it is true
    is_rated_by_confidence: bool = False  # ratings are the confidence, with a minus where the class was not chosen
    confidence_shift: int = 0  # what was added to the confidence that was stated
    mark_ratings: FloatArray | None = None  # (n_cases,) of the highest mark, NaN: nothing marked; None: nowhere
    is_localised: BoolArray | None = None  # (n_cases,) whether that mark lies in a lesion

    @property
    def has_labels(self) -> bool:
        """Whether classes were chosen; ratings alone give curves and no confusion matrix."""
        return bool((self.labels >= 0).any())

    @property
    def is_answered(self) -> BoolArray:
        """Cases with an answer."""
        if self.has_labels or self.ratings is None:
            return self.labels >= 0
        return np.asarray(~np.isnan(self.ratings).any(axis=0), dtype=bool)

    @property
    def is_rated(self) -> BoolArray:
        """Cases with a rating for every class."""
        if self.ratings is None:
            return np.zeros(self.labels.size, dtype=bool)
        return np.asarray(~np.isnan(self.ratings).any(axis=0), dtype=bool)

    def as_stated(self, thresholds: FloatArray, ratings: FloatArray) -> FloatArray:
        """Thresholds half-way between two of these ratings, half-way between what was stated instead."""
        if not self.is_rated_by_confidence or not self.confidence_shift:
            return thresholds
        chosen, other = ratings[ratings > 0].min(initial=np.inf), ratings[ratings < 0].max(initial=-np.inf)
        moved = (thresholds < other).astype(np.float64) - (thresholds > chosen)  # the one between the two stays
        return np.asarray(thresholds + self.confidence_shift * moved, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Repeats:
    """First and later answers of one reader to the same cases."""

    key: str
    arm: str
    name: str
    labels: IntArray  # (n_repeated_cases, n_repeats) class index, -1 where there is no answer
    kind: str = "reader"


@dataclass(frozen=True, eq=False)
class CohortArrays:
    """One cohort: analysed cases in the order of their keys, models and readers in that of ``rater_place``."""

    cohort: str
    class_keys: tuple[str, ...]
    cases: tuple[str, ...]
    truth: IntArray  # (n_cases,)
    patients: tuple[str, ...]
    participants: tuple[Participant, ...]
    repeats: tuple[Repeats, ...]
    excluded_by_class: IntArray  # (n_classes,)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # variable -> its level for each case
    altered_shown: IntArray | None = None  # (n_cases,) class shown instead of the model's own, -1 where it was its own
    has_lesion: BoolArray | None = None  # (n_cases,) whether a mask says where a lesion is; None: of no case

    @cached_property
    def n_patients(self) -> int:
        """Patients among the analysed cases."""
        return len(set(self.patients))

    @property
    def is_clustered(self) -> bool:
        """Whether a patient has several cases."""
        return self.n_patients < len(self.cases)

    @property
    def patients_if_clustered(self) -> NDArray[np.object_] | None:
        """Patient of each case where a patient has several, for intervals that know of patients."""
        return np.array(self.patients, dtype=object) if self.is_clustered else None

    def part(self, chosen: BoolArray) -> CohortArrays:
        """The cohort with some of its cases; what was expected, excluded or repeated is left as it is."""
        at = np.flatnonzero(chosen)
        participants = tuple(
            replace(
                one,
                labels=one.labels[at],
                ratings=None if one.ratings is None else one.ratings[:, at],
                seconds=None if one.seconds is None else one.seconds[at],
                confidence=None if one.confidence is None else one.confidence[at],
                positions=None if one.positions is None else one.positions[at],
                altered_labels=None if one.altered_labels is None else one.altered_labels[at],
                mark_ratings=None,
                is_localised=None,
            )
            for one in self.participants
        )
        cases, patients = (tuple(keys[index] for index in at) for keys in (self.cases, self.patients))
        shown = None if self.altered_shown is None else self.altered_shown[at]
        return replace(
            self, cases=cases, patients=patients, truth=self.truth[at], participants=participants, groups={},
            altered_shown=shown, has_lesion=None,
        )  # fmt: skip

    @property
    def curve_classes(self) -> tuple[int, ...]:
        """Classes with curves: every class against the rest, or of two classes the second alone."""
        return tuple(range(len(self.class_keys))) if len(self.class_keys) > 2 else (1,)


def cohort_arrays(data: StudyData, cohorts: Sequence[str] | None = None) -> list[CohortArrays]:
    """Arrays of every cohort that somebody read or a model predicted, or of the cohorts asked for."""
    present = list(dict.fromkeys(data.cases["cohort"]))
    readings = _with_rating_only_readings(data)
    if cohorts is None:
        answered = set(readings["case"]) | set(data.predictions["case"])
        is_answered = data.cases["case"].isin(answered)
        wanted = sorted(set(data.cases.loc[is_answered, "cohort"]), key=cohort_place)
    else:
        wanted = [cohort for cohort in cohorts if cohort in present]
    return [_one_cohort(data, readings, cohort) for cohort in wanted]


def _with_rating_only_readings(data: StudyData) -> pd.DataFrame:
    """Readings, and a row without label for every rating whose reading is not in the table."""
    if data.reader_ratings is None:
        return data.readings
    identity = ["reader", "case", "arm"]
    rated = data.reader_ratings[identity].drop_duplicates()
    known = pd.MultiIndex.from_frame(data.readings[identity]) if len(data.readings) else None
    if known is not None:
        rated = rated[~pd.MultiIndex.from_frame(rated).isin(known)]
    extra = rated.assign(label="", confidence=np.nan, repeat=1.0, is_unreadable=False, reading_seconds=np.nan)
    extra = extra.assign(position=np.nan, mark_rating=np.nan, is_localised=False, **dict.fromkeys(FLAGS, False))
    return pd.concat([data.readings, extra], ignore_index=True) if len(data.readings) else extra


def _one_cohort(data: StudyData, readings: pd.DataFrame, cohort: str) -> CohortArrays:
    """Arrays of one cohort."""
    keys = data.class_keys
    index_of = {key: index for index, key in enumerate(keys)}
    of_cohort = data.cases[data.cases["cohort"] == cohort]
    cases = of_cohort[~of_cohort["is_excluded"]]
    position = pd.Index(cases["case"])
    truth = cases["truth"].map(index_of).to_numpy(np.int64)
    excluded = of_cohort.loc[of_cohort["is_excluded"], "truth"].map(index_of).to_numpy(np.int64)

    place = position.get_indexer(readings["case"])
    inside = readings[place >= 0].assign(_place=place[place >= 0])
    participants: list[Participant] = []
    repeats: list[Repeats] = []
    for (reader, arm), rows in inside.groupby(["reader", "arm"], sort=True):
        participants.append(_reader(data, str(reader), str(arm), rows, position))
        repeated = _repeats(data, str(reader), str(arm), rows, index_of)
        if repeated is not None:
            repeats.append(repeated)
    for reader, arm in _silent(data, position, {(one.key, one.arm) for one in participants}):
        participants.append(_reader(data, reader, arm, inside.iloc[:0], position))
    place = position.get_indexer(data.predictions["case"])
    for model, rows in data.predictions[place >= 0].assign(_place=place[place >= 0]).groupby("model", sort=True):
        participants.append(_model(data, str(model), rows, len(position)))
    participants.sort(key=lambda one: rater_place(one, data.declared_model))
    repeats.sort(key=lambda one: rater_place(one, data.declared_model))
    return CohortArrays(
        cohort,
        keys,
        tuple(cases["case"]),
        truth,
        tuple(cases["patient"]),
        tuple(participants),
        tuple(repeats),
        np.bincount(excluded, minlength=len(keys)).astype(np.int64),
        {variable: tuple(levels) for variable, levels in _groups(cases).items()},
        np.array([index_of.get(data.altered_answers.get(case, ""), -1) for case in cases["case"]], dtype=np.int64),
        cases["has_lesion"].to_numpy(bool) if cases["has_lesion"].any() else None,
    )


#: Lower ends of the age bands of subgroups, in years.
AGE_BANDS = (0, 18, 40, 60, 80)


def _groups(cases: pd.DataFrame) -> dict[str, list[str]]:
    """Variables that part the cases, with the level of each case; "unknown" where it is not known."""
    found = {name: cases[name].where(cases[name] != "", UNKNOWN).tolist() for name in ("centre", "scanner", "sex")}
    found["age"] = [band_of(age, AGE_BANDS) for age in cases["age_years"].tolist()]
    return {name: levels for name, levels in found.items() if len(set(levels)) > 1}


def band_of(value: float | None, lowest: Sequence[int]) -> str:
    """The band of a number: "18-39", and "80+" for the last."""
    if value is None or np.isnan(value):
        return UNKNOWN
    place = int(np.searchsorted(lowest, value, side="right")) - 1
    return f"{lowest[place]}+" if place == len(lowest) - 1 else f"{lowest[place]}-{lowest[place + 1] - 1}"


def _silent(data: StudyData, position: pd.Index, known: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Readers who were asked to read cases of the cohort in an arm and have answered none."""
    if data.assignments is None:
        return []
    asked = data.assignments[position.get_indexer(data.assignments["case"]) >= 0]
    pairs = {(str(reader), str(arm)) for reader, arm in zip(asked["reader"], asked["arm"], strict=True)}
    return sorted(pairs - known)


def _n_expected(data: StudyData, reader: str, arm: str, altered: pd.Series, position: pd.Index) -> int:
    """Cases that a reader was to answer in an arm beside the model's own answer, or without one."""
    asked = position
    if data.assignments is not None:
        of_reader = (data.assignments["reader"] == reader) & (data.assignments["arm"] == arm)
        asked = position.intersection(pd.Index(data.assignments.loc[of_reader, "case"].unique()))
    apart = set(altered) | (set(data.altered_answers) if arm == Arm.AIDED else set())
    return int((~asked.isin(list(apart))).sum())


def _reader(data: StudyData, reader: str, arm: str, rows: pd.DataFrame, position: pd.Index) -> Participant:
    """First readings of one reader in one arm."""
    n, keys = len(position), data.class_keys
    first = rows[rows["repeat"] == 1]
    altered, first = first[first["is_altered"]], first[~first["is_altered"]]
    unreadable = first["is_unreadable"].to_numpy(bool)
    usable = first[~unreadable]
    at = usable["_place"].to_numpy(np.int64)
    labels = _labels(usable, n, keys)
    timed = usable.assign(reading_seconds=usable["reading_seconds"].where(~usable["is_time_doubtful"]))
    seconds, confidence, positions = (_column(timed, n, name) for name in ("reading_seconds", "confidence", "position"))
    marks, hits = _column(usable, n, "mark_rating"), np.zeros(n, dtype=bool)
    hits[at] = usable["is_localised"].to_numpy(bool)
    notes = _notes_on_flags(usable)
    if len(altered):
        notes.append(f"{len(altered)} readings beside a model answer that was wrong on purpose are kept apart")
    ratings = _given_ratings(data, reader, arm, position, labels)
    is_rated_by_confidence = ratings is None
    if ratings is not None:
        ratings[:, altered["_place"].to_numpy(np.int64)] = np.nan
    if ratings is None:
        ratings = _confidence_ratings(usable["confidence"].to_numpy(np.float64), labels, at, len(keys), notes)
    n_expected = _n_expected(data, reader, arm, altered["case"], position)
    return Participant(
        "reader", reader, arm, data.reader_name(reader), labels, ratings, n_expected,
        int(unreadable.sum()), int((rows["repeat"] > 1).sum()), tuple(notes), seconds, data.reader_years.get(reader),
        confidence=confidence, positions=positions, has_probabilities=_are_probabilities(ratings),
        altered_labels=_labels(altered[~altered["is_unreadable"]], n, keys) if len(altered) else None,
        flags={name: int(first[name].sum()) for name in FLAGS} | {"is_altered": len(altered)},
        is_rated_by_confidence=is_rated_by_confidence, confidence_shift=data.confidence_shift,
        mark_ratings=marks, is_localised=None if marks is None else hits,
    )  # fmt: skip


def _labels(rows: pd.DataFrame, n: int, keys: Sequence[str]) -> IntArray:
    """Class index of each case, -1 where there is none: nothing was answered, or only a rating."""
    labels = np.full(n, -1, dtype=np.int64)
    labels[rows["_place"].to_numpy(np.int64)] = pd.Index(keys).get_indexer(rows["label"])
    return labels


def _column(rows: pd.DataFrame, n: int, name: str) -> FloatArray | None:
    """A number of each case, NaN where there is none; None where no case has one."""
    values = np.full(n, np.nan)
    values[rows["_place"].to_numpy(np.int64)] = rows[name].to_numpy(np.float64)
    return None if np.isnan(values).all() else values


def _are_probabilities(ratings: FloatArray | None) -> bool:
    """Whether ratings lie between 0 and 1 and add up to 1 over the classes of every case."""
    if ratings is None or np.isnan(ratings).all():
        return False
    given = ratings[:, ~np.isnan(ratings).any(axis=0)]
    is_share = given.size > 0 and bool(((given >= 0) & (given <= 1)).all())
    return is_share and bool(np.allclose(given.sum(axis=0), 1.0, atol=1e-6))


def _notes_on_flags(usable: pd.DataFrame) -> list[str]:
    """What must be said of answers whose clock or moment is in doubt."""
    n_doubtful, n_ahead = int(usable["is_time_doubtful"].sum()), int(usable["is_typed_ahead"].sum())
    notes = []
    if n_doubtful:
        notes.append(f"{n_doubtful} of {len(usable)} reading times contradict the server's clock and are left out")
    if n_ahead:
        notes.append(f"{n_ahead} of {len(usable)} answers were typed before their image was drawn")
    return notes


def _confidence_ratings(
    confidence: FloatArray, labels: IntArray, at: IntArray, k: int, notes: list[str]
) -> FloatArray | None:
    """+confidence for the chosen class and -confidence for the others; None when confidence tells nothing.

    A missing confidence is a missing rating of that one case.
    """
    given = ~np.isnan(confidence)
    if not given.any():
        notes.append("no confidence was recorded: hard labels only")
        return None
    if np.unique(confidence[given]).size == 1:
        notes.append("confidence never changes: hard labels only")
        return None
    if not given.all():
        notes.append(
            f"confidence is missing in {int((~given).sum())} of {given.size} readings: these count in accuracy, "
            "sensitivity and specificity, and are left out of AUC and curves"
        )
    ratings = np.full((k, labels.size), np.nan)
    ratings[:, at] = -confidence
    ratings[labels[at], at] = confidence
    return ratings


def _given_ratings(data: StudyData, reader: str, arm: str, position: pd.Index, labels: IntArray) -> FloatArray | None:
    """Ratings that were given as such; of two classes one rated class gives the other, reversed."""
    if data.reader_ratings is None:
        return None
    rows = data.reader_ratings[(data.reader_ratings["reader"] == reader) & (data.reader_ratings["arm"] == arm)]
    place = position.get_indexer(rows["case"])
    rows, place = rows[place >= 0], place[place >= 0]
    if not len(rows):
        return None
    keys = data.class_keys
    ratings = np.full((len(keys), labels.size), np.nan)
    ratings[pd.Index(keys).get_indexer(rows["class"]), place] = rows["rating"].to_numpy(np.float64)
    if len(keys) == 2:
        for one, other in ((0, 1), (1, 0)):
            if np.isnan(ratings[one]).all():
                ratings[one] = -ratings[other]
    return ratings


def _model(data: StudyData, model: str, rows: pd.DataFrame, n: int) -> Participant:
    """Probabilities of one model; the class is the most probable one unless the table names it."""
    keys = data.class_keys
    at = rows["_place"].to_numpy(np.int64)
    ratings = np.full((len(keys), n), np.nan)
    ratings[:, at] = rows[[f"p_{key}" for key in keys]].to_numpy(np.float64).T
    chosen = np.argmax(ratings[:, at], axis=0)
    notes: tuple[str, ...] = ()
    ties = int((np.sum(ratings[:, at] == ratings[:, at].max(axis=0), axis=0) > 1).sum())
    if "label" in rows.columns:
        named = pd.Index(keys).get_indexer(rows["label"])
        chosen = np.where(named >= 0, named, chosen)
    elif ties:
        notes = (f"{ties} cases have two most probable classes; the first in class order was taken",)
    labels = np.full(n, -1, dtype=np.int64)
    labels[at] = chosen
    name = data.model_name(model)
    return Participant("model", model, "", name, labels, ratings, n, 0, 0, notes, has_probabilities=True)


def _repeats(data: StudyData, reader: str, arm: str, rows: pd.DataFrame, index_of: dict[str, int]) -> Repeats | None:
    """Answers to cases that the reader met more than once."""
    if not (rows["repeat"] > 1).any():
        return None
    usable = rows[~rows["is_unreadable"] & (rows["label"] != "")]
    wide = usable.assign(_label=usable["label"].map(index_of)).pivot(index="_place", columns="repeat", values="_label")
    wide = wide[wide.notna().sum(axis=1) > 1]
    if not len(wide):
        return None
    return Repeats(reader, arm, data.reader_name(reader), wide.fillna(-1).to_numpy(np.int64))
