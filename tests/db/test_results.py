"""Models, predictions, and the tables that an analysis takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import AccessError, ConflictError, InputError, NotFoundError
from core.protocol import THYROID_CLASSES, Protocol
from core.study import Answer, Role, StudyState
from db import OPERATOR, CasePrediction, Repository
from tests.db.conftest import STUDY, Room, make_cases, read_next

SHA = "ab" * 32


def _register(repository: Repository, sha256: str = SHA, name: str = "net") -> None:
    repository.register_model(
        sha256=sha256, name=name, architecture="small", path="net.safetensors", metadata={"auc": 0.9}
    )


def _prediction(case: str, seed: int = 0) -> CasePrediction:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(4))
    return CasePrediction(
        case=case,
        probabilities=probabilities,
        entropy=float(-(probabilities * np.log(probabilities)).sum()),
        is_out_of_distribution=bool(seed % 2),
        device="cpu",
        precision="float32",
        class_maps=rng.normal(size=(4, 3, 2)).astype(np.float16),
    )


def _unseal(room: Room) -> None:
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    room.coordinator.set_state(STUDY, StudyState.LOCKED)
    room.coordinator.set_state(STUDY, StudyState.UNSEALED)


def test_predictions_come_back_bit_for_bit(room: Room) -> None:
    _register(room.coordinator)
    made = [_prediction(case.case, seed) for seed, case in enumerate(room.cases)]
    assert room.coordinator.save_predictions(STUDY, SHA, made) == len(made)
    _unseal(room)
    stored = room.coordinator.predictions(STUDY, SHA, with_class_maps=True)
    for before, after in zip(sorted(made, key=lambda found: found.case), stored, strict=True):
        assert np.array_equal(after.probabilities, before.probabilities)
        assert after.class_maps.dtype == np.float16
        assert np.array_equal(after.class_maps, before.class_maps)
        assert replace(after, created_at=None, probabilities=None, class_maps=None) == replace(
            before, probabilities=None, class_maps=None
        )
        assert after.created_at.tzinfo is not None
    one = room.coordinator.case_prediction(STUDY, SHA, room.cases[3].case)
    assert np.array_equal(one.class_maps, made[3].class_maps)
    assert all(found.class_maps is None for found in room.coordinator.predictions(STUDY, SHA, ["external"]))
    with pytest.raises(NotFoundError):
        room.coordinator.case_prediction(STUDY, SHA, "none")


def test_only_numbers_of_predictions_are_known_while_sealed(room: Room) -> None:
    _register(room.coordinator)
    room.coordinator.save_predictions(STUDY, SHA, [_prediction(room.cases[0].case)])
    counts = room.coordinator.prediction_counts(STUDY)
    assert [(count.cohort, count.n_predicted, count.n_cases, count.model_name) for count in counts] == [
        ("internal", 1, 6, "net")
    ]
    with pytest.raises(AccessError, match="sealed"):
        room.coordinator.predictions(STUDY, SHA)


def test_cases_for_prediction_come_in_parts_with_pixels_and_without_the_done_and_excluded(room: Room) -> None:
    coordinator = room.coordinator
    given = list(coordinator.cases_for_prediction(STUDY, batch_size=3))
    assert [image.case for image in given] == sorted(case.case for case in room.cases)
    assert all(np.array_equal(image.pixels, case.pixels) for image, case in zip(given, room.cases, strict=True))
    assert [image.case for image in coordinator.cases_for_prediction(STUDY, "external")] == [
        case.case for case in room.cases if case.cohort == "external"
    ]
    _register(coordinator)
    coordinator.save_predictions(STUDY, SHA, [_prediction(case.case) for case in room.cases[:7]])
    left = [image.case for image in coordinator.cases_for_prediction(STUDY, without_model=SHA, batch_size=2)]
    assert left == [case.case for case in room.cases[7:]]
    assert coordinator.keys_for_prediction(STUDY, without_model=SHA) == left
    assert len(coordinator.keys_for_prediction(STUDY, "internal")) == 6
    some = coordinator.cases_for_prediction(STUDY, without_model=SHA, only=[room.cases[0].case, left[1]])
    assert [image.case for image in some] == [left[1]]


def test_what_another_job_predicted_meanwhile_is_left_out_and_never_replaced(room: Room) -> None:
    _register(room.coordinator)
    first, second = (_prediction(case.case) for case in room.cases[:2])
    assert room.coordinator.save_predictions(STUDY, SHA, [first]) == 1
    other = _prediction(room.cases[0].case, 2)
    assert room.coordinator.save_predictions(STUDY, SHA, [other, second], is_shared=True) == 1
    assert room.coordinator.save_predictions(STUDY, SHA, [other, second], is_shared=True) == 0
    assert room.operator.verify_audit().problems == ()


def test_predictions_saved_while_cases_are_being_given_do_not_disturb_the_rest(room: Room) -> None:
    """The road of the program: predict a batch, save it, fetch the next."""
    _register(room.coordinator)
    seen = []
    for image in room.coordinator.cases_for_prediction(STUDY, without_model=SHA, batch_size=2):
        seen.append(image.case)
        room.coordinator.save_predictions(STUDY, SHA, [_prediction(image.case)])
    assert seen == [case.case for case in room.cases]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"probabilities": np.array([0.5, 0.5])}, "probabilities"),
        ({"probabilities": np.array([0.5, 0.5, 0.5, 0.5])}, "probabilities"),
        ({"probabilities": np.array([np.nan, 0.5, 0.25, 0.25])}, "probabilities"),
        ({"probabilities": np.array([-0.5, 0.5, 0.5, 0.5])}, "probabilities"),
        ({"entropy": float("nan")}, "entropy"),
        ({"class_maps": np.zeros((3, 2, 2))}, "class_maps"),
    ],
)
def test_a_prediction_that_does_not_fit_stores_nothing(
    sqlite_url: str, repository_on, change: dict, field: str
) -> None:
    room = repository_on(sqlite_url)
    _register(room.coordinator)
    bad = replace(_prediction(room.cases[1].case), **change)
    with pytest.raises(InputError) as refused:
        room.coordinator.save_predictions(STUDY, SHA, [_prediction(room.cases[0].case), bad])
    assert refused.value.field == field
    assert room.coordinator.prediction_counts(STUDY) == []


def test_a_prediction_is_never_replaced(room: Room) -> None:
    _register(room.coordinator)
    case = room.cases[0].case
    first = _prediction(case, 1)
    room.coordinator.save_predictions(STUDY, SHA, [first])
    with pytest.raises(ConflictError, match="already"):
        room.coordinator.save_predictions(STUDY, SHA, [_prediction(case, 2), _prediction(room.cases[1].case, 3)])
    assert room.coordinator.prediction_counts(STUDY)[0].n_predicted == 1
    _unseal(room)
    stored = room.coordinator.case_prediction(STUDY, SHA, case)
    assert np.array_equal(stored.probabilities, first.probabilities)
    with pytest.raises(NotFoundError):
        room.coordinator.save_predictions(STUDY, SHA, [_prediction("none")])
    with pytest.raises(NotFoundError):
        room.coordinator.save_predictions(STUDY, "cd" * 32, [_prediction(case)])


def test_a_model_is_known_by_its_hash_and_found_by_name_or_prefix(room: Room, clock) -> None:
    _register(room.coordinator)
    clock.forward(minutes=1)
    _register(room.coordinator, "cd" * 32)
    again = room.coordinator.register_model(sha256=SHA, name="other", architecture="x", path="y", metadata={})
    assert (again.name, again.metadata) == ("net", {"auc": 0.9})
    assert len(room.coordinator.models()) == 2
    assert room.coordinator.model("net").sha256 == "cd" * 32
    assert room.coordinator.model(SHA[:8]).sha256 == SHA
    for missing in ("none", SHA[:7], "%", "ab%bab%bab"):
        with pytest.raises(NotFoundError):
            room.coordinator.model(missing)
    with pytest.raises(InputError):
        _register(room.coordinator, "AB" * 32)


def test_study_data_is_what_was_read_predicted_and_true(room: Room) -> None:
    for _ in range(10):
        read_next(room.ann, "normal", reading_seconds=2.5)
    last = room.ann.last_reading(STUDY)
    room.ann.save_reading(
        last.presentation.presentation_id,
        Answer(is_unreadable=True, unreadable_reason="motion"),
        submit_id="correction",
        expected_revision=1,
    )
    room.coordinator.save_simulated_readings(
        STUDY,
        "sim",
        [
            (ordered.presentation.presentation_id, Answer(ordered.truth, 4))
            for ordered in room.coordinator.presentations_with_truth(STUDY, "sim")
        ],
    )
    _register(room.coordinator)
    _register(room.coordinator, "cd" * 32)
    made = [_prediction(case.case, seed) for seed, case in enumerate(room.cases)]
    room.coordinator.save_predictions(STUDY, SHA, made)
    _unseal(room)

    data = room.coordinator.study_data(STUDY)
    truth = {case.case: case.truth for case in room.cases}
    assert data.classes == THYROID_CLASSES
    assert dict(zip(data.cases["case"], data.cases["truth"], strict=True)) == truth
    assert truth == {found.case: found.truth for found in room.coordinator.reference_standard(STUDY)}
    ann = data.readings[data.readings["reader"] == "ann"]
    assert len(ann) == 10
    assert sorted(ann["label"]) == [""] + ["normal"] * 9
    assert ann["is_unreadable"].sum() == 1
    sim = data.readings[data.readings["reader"] == "sim"]
    assert dict(zip(sim["case"], sim["label"], strict=True)) == truth
    assert data.simulated == {"sim"}
    assert data.reader_names == {"ann": "Dr Ann", "ben": "Dr Ben", "sim": "Junior"}
    about = data.cases[["centre", "scanner", "sex", "age_years"]].drop_duplicates()
    assert about.to_numpy().tolist() == [["A", "camera", "F", 50.0]]
    assert ann["reading_seconds"].iloc[:9].tolist() == [2.5] * 9  # the correction states no time
    assert data.model_names[SHA] == f"net ({SHA[:8]})"
    stored = data.predictions.set_index("case").loc[made[2].case, [f"p_{key}" for key in data.class_keys]]
    assert np.array_equal(stored.to_numpy(dtype=float), made[2].probabilities)
    assert len(data.assignments) == 30

    external = room.coordinator.study_data(STUDY, ["external"], models=["cd" * 32])
    assert set(external.cases["cohort"]) == {"external"}
    assert set(external.readings["case"]) == {case.case for case in room.cases if case.cohort == "external"}
    assert external.predictions.empty


def test_study_data_knows_the_readers_years_of_experience(repository) -> None:
    operator = repository(OPERATOR)
    chief = operator.create_person(
        "chief", "Dr Chief", Role.COORDINATOR, is_temporary=False, password="correct horse battery"
    )
    operator.create_person(
        "ann", "Dr Ann", Role.READER, is_temporary=False, password="ann reads at night", years_of_experience=7.5
    )
    operator.create_person("ben", "Dr Ben", Role.READER, is_temporary=False, password="ben reads by day")
    coordinator = repository(chief)
    coordinator.create_study(STUDY, Protocol(title="Demo"), is_synthetic=True)
    coordinator.import_cases(STUDY, make_cases(4))
    for login in ("ann", "ben"):
        coordinator.add_reader(STUDY, login, cohorts=["internal"])
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        coordinator.set_state(STUDY, state)
    assert coordinator.study_data(STUDY).reader_years == {"ann": 7.5}


def test_study_data_of_a_study_that_nobody_read_is_empty_but_whole(room: Room) -> None:
    _unseal(room)
    data = room.coordinator.study_data(STUDY)
    assert (len(data.cases), len(data.readings), len(data.predictions)) == (10, 0, 0)


def test_the_readings_table_has_every_revision_with_its_circumstances(room: Room) -> None:
    read_next(room.ann, "sat", comment='faint, "left"', reading_seconds=2.25, display_state={"window": [1, 2]})
    read_next(room.ben, "graves")
    _unseal(room)
    first, second = room.coordinator.readings(STUDY)
    assert (first.reader, first.display_name, first.position, first.revision) == ("ann", "Dr Ann", 1, 1)
    assert (first.comment, first.reading_seconds, first.display_state) == ('faint, "left"', 2.25, {"window": [1, 2]})
    assert room.truth_of(first.case)
    assert (second.reader, second.class_key, second.is_current) == ("ben", "graves", True)
    assert second.sequence > first.sequence
    assert [found.reader for found in room.coordinator.readings(STUDY, [first.cohort], only_current=True)][:1] == [
        "ann"
    ]


def test_nobody_answers_for_a_human_reader_or_sees_truth_for_one(room: Room) -> None:
    with pytest.raises(AccessError, match="human"):
        room.coordinator.presentations_with_truth(STUDY, "ann")
    place = room.ann.next_presentation(STUDY).presentation_id
    with pytest.raises(AccessError, match="human"):
        room.coordinator.save_simulated_readings(STUDY, "ann", [(place, Answer("sat", 1))])
    with pytest.raises(ConflictError):
        room.coordinator.save_simulated_readings(STUDY, "sim", [(place, Answer("sat", 1))])
    assert room.ann.my_progress(STUDY).n_done == 0


def test_simulated_readings_are_stored_all_or_none(room: Room) -> None:
    ordered = room.coordinator.presentations_with_truth(STUDY, "sim")
    assert [found.presentation.position for found in ordered] == list(range(1, 11))
    assert {found.case: found.truth for found in ordered} == {case.case: case.truth for case in room.cases}
    answers = [(found.presentation.presentation_id, Answer(found.truth, 3)) for found in ordered]
    for bad in (("none", Answer("sat", 1)), (answers[0][0], Answer("sat", 1)), (answers[9][0], Answer("sat", 9))):
        with pytest.raises((ConflictError, InputError)):
            room.coordinator.save_simulated_readings(STUDY, "sim", [*answers[:5], bad])
        assert len(room.coordinator.presentations_with_truth(STUDY, "sim")) == 10
    steps = []
    count = room.coordinator.save_simulated_readings(
        STUDY, "sim", answers, on_progress=lambda *step: steps.append(step)
    )
    assert (count, steps[-1][:2]) == (10, (10, 10))
    assert room.coordinator.presentations_with_truth(STUDY, "sim") == []
    assert {row.n_done for row in room.coordinator.progress(STUDY) if row.person.is_simulated} == {4, 6}


def test_excluded_cases_are_kept_and_counted_but_never_analysed(room: Room, repository) -> None:
    cases = make_cases(4, start=60)
    cases[1] = replace(cases[1], exclusion_reason="motion")
    room.coordinator.create_study("second", room.coordinator.study(STUDY).protocol)
    room.coordinator.import_cases("second", cases)
    assert cases[1].case not in {image.case for image in room.coordinator.cases_for_prediction("second")}
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state("second", state)
    assert cases[1].case not in {found.case for found in room.coordinator.reference_standard("second")}
    table = room.coordinator.study_data("second").cases.set_index("case")
    assert table.loc[cases[1].case, "exclusion_reason"] == "motion"
