"""From the store to the analysis: designs and scales beyond the plain one, held against a count of the stored rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.analysis import analyse
from core.protocol import Arm, Design, Protocol, ReadingOrder, Scale, ScaleKind
from core.study import Answer
from db import Repository
from tests.db.conftest import Room
from tests.db.test_conduct import KEY, build, unseal

KEYS = ("graves", "normal", "sat", "tumor")


def read_all(reader: Repository, answer) -> None:
    """Answer every presentation; ``answer`` gets the number and the arm."""
    number = 0
    while (place := reader.next_presentation(KEY)) is not None:
        if place.arm is Arm.AIDED:
            reader.model_answer(place.presentation_id)
        reader.save_reading(place.presentation_id, answer(number, place.arm), submit_id=f"s-{place.presentation_id}")
        number += 1


def truth_of(room: Room) -> dict[str, str]:
    return {each.case: each.truth for each in room.coordinator.reference_standard(KEY)}


def test_readings_beside_a_declared_wrong_answer_are_kept_apart(room: Room) -> None:
    altered: dict = {"case-0702": "tumor", "case-0701": [1.0, 0.0, 0.0, 0.0]}
    build(room, Protocol(title="T", design=Design.SEQUENTIAL), altered=altered)
    read_all(
        room.ann, lambda number, arm: Answer(KEYS[number % 4 if arm is Arm.UNAIDED else number % 3], 1 + number % 5)
    )
    unseal(room)
    truth = truth_of(room)
    stored = list(room.coordinator.readings(KEY, only_current=True))
    analysis = analyse(room.coordinator.study_data(KEY))
    cohort = analysis.cohort("internal")
    own = [each for each in stored if each.arm is Arm.AIDED and each.case not in altered]
    aided = cohort.participant("ann", "aided")
    assert (aided.n_cases, aided.n_expected) == (4, 4)
    assert aided.quantities["accuracy"].value == np.mean([each.class_key == truth[each.case] for each in own])
    assert cohort.participant("ann", "unaided").n_cases == 6
    (followed,) = [
        one for one in cohort.aid_ledger
        if (one.shown, one.variable, one.quantity) == ("altered", "all", "followed_wrong_model")
    ]  # fmt: skip
    said = {each.case: each.class_key for each in stored if each.arm is Arm.AIDED}
    shown = {"case-0702": "tumor", "case-0701": "graves"}
    wrong = [case for case in shown if shown[case] != truth[case]]
    assert (followed.count, followed.of) == (sum(said[case] == shown[case] for case in wrong), len(wrong))


def test_training_cases_are_never_analysed_and_repeats_only_measure_the_reader(room: Room) -> None:
    order = ReadingOrder(n_repeats=2, repeat_distance=1)
    build(room, Protocol(title="T", training_cohort="practice", order=order))
    read_all(room.ann, lambda number, _: Answer(KEYS[number % 4], 1 + number % 5))
    unseal(room)
    stored = room.coordinator.readings(KEY, only_current=True)
    assert {each.is_training for each in stored} == {True, False}
    first = [each for each in stored if not each.is_training and each.repeat == 1]
    analysis = analyse(room.coordinator.study_data(KEY))
    assert [each.cohort for each in analysis.cohorts] == ["internal"]
    ann = analysis.cohorts[0].participant("ann", "unaided")
    truth = truth_of(room)
    assert (ann.n_cases, ann.n_repeats, ann.n_expected) == (6, 2, 6)
    assert ann.quantities["accuracy"].value == np.mean([each.class_key == truth[each.case] for each in first])
    assert {each.estimate.n for each in analysis.cohorts[0].repeats} == {2}


@pytest.mark.parametrize("kind", [ScaleKind.PERCENT, ScaleKind.PROBABILITIES])
def test_curves_of_a_scale_are_those_of_its_numbers(room: Room, kind: ScaleKind) -> None:
    def answer(number: int, _: Arm) -> Answer:
        key = KEYS[number % 4]
        if kind is ScaleKind.PERCENT:
            return Answer(key, [0, 100, 40, 0, 70, 55][number % 6])
        shares = [0.1, 0.2, 0.1 + 0.05 * (number % 3), 0.0]
        shares[number % 4] = 0.0
        shares[number % 4] = 1.0 - sum(shares)
        return Answer(KEYS[int(np.argmax(shares))], None, probabilities=tuple(shares))

    build(room, Protocol(title="T", scale=Scale(kind)))
    read_all(room.ann, answer)
    unseal(room)
    truth = truth_of(room)
    stored = room.coordinator.readings(KEY, only_current=True)
    ann = analyse(room.coordinator.study_data(KEY)).cohorts[0].participant("ann", "unaided")
    for index, key in enumerate(KEYS):
        positive = [truth[each.case] == key for each in stored]
        if not any(positive):
            continue
        if kind is ScaleKind.PERCENT:
            rating = [(each.confidence + 1) * (1 if each.class_key == key else -1) for each in stored]
        else:
            rating = [each.probabilities[index] for each in stored]
        assert ann.of_class(key).auc.value == pytest.approx(roc_auc_score(positive, rating)), key


def test_labels_alone_have_a_point_and_no_curve(room: Room) -> None:
    build(room, Protocol(title="T", scale=Scale(ScaleKind.LABEL)))
    read_all(room.ann, lambda number, _: Answer(KEYS[number % 4], None))
    unseal(room)
    ann = analyse(room.coordinator.study_data(KEY)).cohorts[0].participant("ann", "unaided")
    assert not any(each.roc.is_curve for each in ann.classes if each.roc is not None)
    assert ann.n_cases == 6
