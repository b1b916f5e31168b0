"""Folds: no patient in two, classes balanced, every case in exactly one; stored, hashed, and bound to their data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import TrainingError
from training.splits import load_folds, patient_folds, save_folds


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[list[str], list[str], list[int]]:
    """Patients with one to three cases; each class has at least five patients."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=20, max_size=60))
    patients, classes = [], []
    for number, size in enumerate(sizes):
        own = number % 4 if number < 20 else draw(st.integers(0, 3))
        for extra in range(size):
            patients.append(f"p{number}")
            classes.append(own if extra == 0 else draw(st.integers(0, 3)))
    return [f"c{row}" for row in range(len(patients))], patients, classes


@given(cohort=cohorts(), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_no_patient_is_in_two_folds_and_every_case_is_in_one(
    cohort: tuple[list[str], list[str], list[int]], seed: int
) -> None:
    cases, patients, classes = cohort
    folds = patient_folds(cases, patients, classes, count=5, seed=seed)
    assert set(folds.fold_of_case) == set(cases)
    union = [case for fold in range(5) for case in folds.members(fold)]
    assert sorted(union) == sorted(cases)
    homes: dict[str, set[int]] = {}
    for case, patient in zip(cases, patients, strict=True):
        homes.setdefault(patient, set()).add(folds.fold_of_case[case])
    assert all(len(home) == 1 for home in homes.values())


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_with_one_case_per_patient_class_counts_differ_by_at_most_one(seed: int) -> None:
    classes = [0] * 26 + [1] * 24 + [2] * 27 + [3] * 13
    names = [f"c{row}" for row in range(len(classes))]
    folds = patient_folds(names, names, classes, count=5, seed=seed)
    for index in range(4):
        counts = Counter(folds.fold_of_case[name] for name, own in zip(names, classes, strict=True) if own == index)
        assert max(counts.values()) - min(counts.values()) <= 1, counts


def test_paper_cohort_folds_are_balanced_when_patients_have_several_cases() -> None:
    rng = np.random.default_rng(5)
    classes = np.repeat([0, 1, 2, 3], [650, 604, 663, 664])
    patients = [f"p{index}-{rng.integers(0, 400)}" for index in classes]
    names = [f"c{row}" for row in range(len(classes))]
    folds = patient_folds(names, patients, classes.tolist(), count=5, seed=1)
    for index in range(4):
        counts = [
            sum(classes[row] == index and folds.fold_of_case[names[row]] == fold for row in range(len(names)))
            for fold in range(5)
        ]
        assert max(counts) - min(counts) <= 4, counts


def test_split_depends_on_the_seed_but_not_on_the_order_of_the_cases() -> None:
    names = [f"c{row}" for row in range(40)]
    classes = [row % 4 for row in range(40)]
    first = patient_folds(names, names, classes, count=5, seed=1)
    again = patient_folds(names[::-1], names[::-1], classes[::-1], count=5, seed=1)
    other = patient_folds(names, names, classes, count=5, seed=2)
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


def test_class_with_fewer_patients_than_folds_is_refused_by_name() -> None:
    names = [f"c{row}" for row in range(12)]
    with pytest.raises(TrainingError, match="Class sat has 2 patients, fewer than the 5 folds"):
        patient_folds(names, names, [0] * 5 + [1] * 5 + [2] * 2, count=5, seed=0, class_names=("a", "b", "sat"))


def test_stored_split_comes_back_and_is_refused_when_edited_or_for_other_data(tmp_path: Path) -> None:
    names = [f"c{row}" for row in range(20)]
    folds = patient_folds(names, names, [row % 4 for row in range(20)], count=5, seed=3, data_sha256="d1")
    path = tmp_path / "split.json"
    save_folds(folds, path)
    assert load_folds(path, data_sha256="d1") == folds
    with pytest.raises(TrainingError, match="other data"):
        load_folds(path, data_sha256="d2")
    content = json.loads(path.read_text())
    content["fold_of_case"]["c0"] = (content["fold_of_case"]["c0"] + 1) % 5
    path.write_text(json.dumps(content))
    with pytest.raises(TrainingError, match="changed after it was written"):
        load_folds(path, data_sha256="d1")
    path.write_text("{")
    with pytest.raises(TrainingError, match="not a stored split"):
        load_folds(path, data_sha256="d1")
