"""Before a study is opened: what blocks, what needs a reason, and what is committed to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from actions.open_study import open_study
from actions.seal_record import check_seal_record, seal_record_html, seal_record_text, write_seal_record
from core.errors import ConflictError, InputError
from core.protocol import Design, Planned, Protocol, ReadingOrder
from core.study import StudyState
from db import CasePrediction
from db.engine import writing
from db.records import CheckState
from tests.db.conftest import Room, make_cases
from tests.db.test_tampering import unguarded

KEY = "second"
SHA = "ab" * 32
FULL = Protocol(
    title="T",
    model_sha256=SHA,
    primary_endpoint="AUC",
    analysis_plan="MRMC",
    margin=0.05,
    planned=Planned(1, 8, {"power": 0.8}),
)


def draft(room: Room, protocol: Protocol, *, n_cases: int = 8, readers: tuple[str, ...] = ("ann",), n_predicted=None):
    room.coordinator.register_model(sha256=SHA, name="net", architecture="small", path="x", metadata={})
    room.coordinator.create_study(KEY, protocol)
    cases = make_cases(n_cases, start=600)
    if cases:
        room.coordinator.import_cases(KEY, cases)
    if protocol.model_sha256 is not None:
        some = cases if n_predicted is None else cases[:n_predicted]
        each = np.full(4, 0.25)
        room.coordinator.save_predictions(
            KEY, SHA, [CasePrediction(case.case, each, 2.0, False, "cpu", "fp32") for case in some]
        )
    for login in readers:
        room.coordinator.add_reader(KEY, login)


def states(room: Room) -> dict[str, CheckState]:
    return {item.key: item.state for item in room.coordinator.opening_checklist(KEY)}


def test_a_study_in_order_has_only_one_thing_that_no_store_can_know(room: Room) -> None:
    draft(room, FULL)
    found = states(room)
    assert {key for key, state in found.items() if state is not CheckState.OK} == {"truthers"}
    assert {"cases", "truth", "images", "dates", "readers", "model", "predictions", "plan", "power"} <= set(found)
    told = next(item for item in room.coordinator.opening_checklist(KEY) if item.key == "cases")
    assert told.text == "8 cases to read"
    assert told.detail == "Graves' disease 2, Normal 2, Subacute thyroiditis 2, Tumor 2"


#: What is changed in that study, and which point says so how.
FAULTS: dict[str, tuple[Callable[[Room], None], str, CheckState]] = {
    "no case": (lambda room: draft(room, FULL, n_cases=0, readers=()), "cases", CheckState.BLOCKING),
    "one class": (lambda room: draft(room, FULL, n_cases=1), "cases", CheckState.WARNING),
    "a class without cases": (lambda room: draft(room, FULL, n_cases=3), "cases", CheckState.WARNING),
    "a cohort that is not there": (
        lambda room: draft(room, replace(FULL, cohorts=("internal", "external"))), "cohorts", CheckState.BLOCKING,
    ),
    "training that is not there": (
        lambda room: draft(room, replace(FULL, training_cohort="practice")), "cohorts", CheckState.BLOCKING,
    ),
    "too many repeats": (
        lambda room: draft(room, replace(FULL, order=ReadingOrder(n_repeats=4, repeat_distance=5))),
        "repeats", CheckState.BLOCKING,
    ),
    "reading is over": (
        lambda room: draft(room, replace(FULL, closes_on=date(2026, 2, 28))), "dates", CheckState.BLOCKING,
    ),
    "nobody reads": (lambda room: draft(room, FULL, readers=()), "readers", CheckState.WARNING),
    "too few readers": (
        lambda room: draft(room, replace(FULL, planned=replace(FULL.planned, n_readers=3))),
        "readers", CheckState.WARNING,
    ),
    "too few cases": (
        lambda room: draft(room, replace(FULL, planned=replace(FULL.planned, n_cases=80))), "size", CheckState.WARNING,
    ),
    "no model": (lambda room: draft(room, replace(FULL, model_sha256=None)), "model", CheckState.WARNING),
    "no model for aided readers": (
        lambda room: draft(room, replace(FULL, model_sha256=None, design=Design.AIDED)), "model", CheckState.BLOCKING,
    ),
    "a case without prediction": (lambda room: draft(room, FULL, n_predicted=7), "predictions", CheckState.BLOCKING),
    "a case without prediction for aided readers": (
        lambda room: draft(room, replace(FULL, design=Design.SEQUENTIAL), n_predicted=7),
        "predictions", CheckState.BLOCKING,
    ),
    "uneven groups": (
        lambda room: [
            draft(room, replace(FULL, design=Design.CROSSOVER), readers=()),
            *(room.coordinator.add_reader(KEY, login, group=2) for login in ("ann", "ben")),
        ],
        "groups", CheckState.WARNING,
    ),
    "no margin": (lambda room: draft(room, replace(FULL, margin=None)), "margin", CheckState.WARNING),
    "no plan": (lambda room: draft(room, replace(FULL, analysis_plan=" ")), "plan", CheckState.WARNING),
    "no endpoint": (lambda room: draft(room, replace(FULL, primary_endpoint="")), "endpoint", CheckState.WARNING),
    "no power run": (lambda room: draft(room, replace(FULL, planned=Planned(1, 8))), "power", CheckState.WARNING),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_point_and_what_blocks_cannot_be_opened(room: Room, fault: str) -> None:
    make, key, state = FAULTS[fault]
    make(room)
    items = [item for item in room.coordinator.opening_checklist(KEY) if item.key == key]
    assert [item.state for item in items] == [state]
    if state is CheckState.BLOCKING:
        for typed in (KEY, ""):
            with pytest.raises(ConflictError, match="not opened"):
                open_study(room.coordinator, KEY, typed_key=typed, acknowledged={})
        with pytest.raises(ConflictError, match="cannot be opened"):
            room.coordinator.set_state(KEY, StudyState.OPEN)  # nor past the doors
        assert room.coordinator.study(KEY).state is StudyState.DRAFT
    else:
        room.coordinator.set_state(KEY, StudyState.OPEN)


def test_a_reader_with_training_cases_alone_blocks(room: Room) -> None:
    """The only cohort there was when the reader was added became that of the training cases."""
    protocol = Protocol(title="T")
    room.coordinator.create_study(KEY, protocol)
    room.coordinator.import_cases(KEY, make_cases(2, start=800, cohort="practice"))
    room.coordinator.add_reader(KEY, "ann")
    room.coordinator.update_protocol(KEY, replace(protocol, training_cohort="practice"))
    room.coordinator.import_cases(KEY, make_cases(6, start=700))
    assert states(room)["orders"] is CheckState.BLOCKING
    room.coordinator.add_reader(KEY, "ann", cohorts=["internal"])
    assert "orders" not in states(room)


def test_images_that_tell_the_class_are_a_warning(room: Room) -> None:
    room.coordinator.create_study(KEY, Protocol(title="T"))
    cases = [
        replace(case, pixels=np.arange(64 if case.truth == "tumor" else 30, dtype=np.uint16).reshape(-1, 2) + number)
        for number, case in enumerate(make_cases(20, start=600))
    ]
    room.coordinator.import_cases(KEY, cases)
    assert states(room)["images"] is CheckState.WARNING


def test_a_reader_who_brought_in_the_truth_blocks(room: Room, repository) -> None:
    draft(room, FULL)
    with unguarded(room.coordinator.engine) as connection:  # as in a store of an earlier version
        connection.exec_driver_sql("UPDATE audit_event SET actor = 'ann' WHERE action = 'study.import'")
    assert states(room)["truthers"] is CheckState.BLOCKING


def test_each_warning_wants_a_reason_and_the_trail_keeps_it(room: Room) -> None:
    draft(room, replace(FULL, margin=None))
    reasons = {"truthers": "a panel of three, none reads", "backups": "a test"}
    with pytest.raises(ConflictError, match="margin: A margin is not stored") as refused:
        open_study(room.coordinator, KEY, typed_key=KEY, acknowledged=reasons)
    assert "truthers" not in str(refused.value)
    with pytest.raises(ConflictError, match="margin"):
        open_study(room.coordinator, KEY, typed_key=KEY, acknowledged={**reasons, "margin": "  "})
    reasons["margin"] = "descriptive"
    with pytest.raises(InputError, match="type second"):
        open_study(room.coordinator, KEY, typed_key="demo", acknowledged=reasons)
    assert open_study(room.coordinator, KEY, typed_key=KEY, acknowledged=reasons).state is StudyState.OPEN
    logged = room.coordinator.audit_trail(KEY)[-1].detail["checklist"]
    assert {each["key"]: each["reason"] for each in logged} == reasons


def test_the_seal_record_commits_to_everything_and_says_what_was_touched(room: Room, tmp_path: Path) -> None:
    draft(room, FULL, readers=("ann", "ben"))
    with pytest.raises(ConflictError, match="draft"):
        room.coordinator.seal_record(KEY)
    room.coordinator.set_state(KEY, StudyState.OPEN)
    record = room.coordinator.seal_record(KEY)
    assert [part for part, _, _ in record.parts] == [
        "reference standard", "lesion masks", "cases", "images", "protocol", "declared model", "predictions",
        "altered answers",
    ]  # fmt: skip
    assert [(login, seed) for login, seed, _, _ in record.orders] == [("ann", 20230601), ("ben", 20230601)]
    assert record.receipt == room.coordinator.audit_head().receipt
    assert record.problems == ()
    text, page = seal_record_text(record), seal_record_html(record)
    for digest in (record.protocol_sha256, record.plan_sha256, *(each[-1] for each in (*record.parts, *record.orders))):
        assert digest in text
        assert digest in page
    assert "case-0600" not in text + page
    assert not {"src=", "href=", "http"} & {word for word in ("src=", "href=", "http") if word in page}
    for name in ("record.txt", "record.html"):
        write_seal_record(record, tmp_path / name)
        assert check_seal_record(record, tmp_path / name) == []
        with pytest.raises(InputError, match="already"):
            write_seal_record(record, tmp_path / name)
    # A text that changes after opening leaves the record as it was.
    room.coordinator.update_protocol(KEY, replace(FULL, ethics="approved"))
    assert room.coordinator.seal_record(KEY) == record
    with writing(room.coordinator.engine).begin() as connection:
        connection.exec_driver_sql("UPDATE reference_standard SET class_key = 'sat' WHERE class_key = 'normal'")
    assert "reference standard" in "".join(
        check_seal_record(room.coordinator.seal_record(KEY), tmp_path / "record.txt")
    )
    other = replace(record, plan_sha256="0" * 64)
    assert "Analysis plan is not the one" in check_seal_record(other, tmp_path / "record.txt")[0]
    (tmp_path / "empty.txt").write_text("nothing")
    with pytest.raises(InputError, match="no seal record"):
        check_seal_record(record, tmp_path / "empty.txt")
