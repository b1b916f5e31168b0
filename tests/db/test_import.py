"""Cases come in all together or not at all, with pixels once and truth apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

from core.errors import ConflictError, InputError
from core.protocol import Protocol
from core.study import CaseRecord, StudyState
from db import OPERATOR, Repository, open_store
from db.tables import CaseRow, ImageRow
from tests.db.conftest import STUDY, Room, make_cases


@pytest.fixture
def draft(repository) -> Repository:
    """A coordinator's repository with an empty draft study."""
    operator = repository(OPERATOR)
    operator.create_study("draft", Protocol(title="Draft"))
    return operator


def _rows(engine: Engine) -> int:
    """Rows in all tables that an import writes, and in the audit trail."""
    names = ("cohort", "patient", "study_case", "image", "case_image", "reference_standard", "audit_event")
    with engine.connect() as connection:
        return sum(
            connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar_one() for name in names
        )


def test_an_import_stores_what_it_says(draft: Repository) -> None:
    cases = make_cases(5)
    cases[4] = replace(cases[4], exclusion_reason="motion")
    steps = []
    summary = draft.import_cases("draft", cases, on_progress=lambda *step: steps.append(step))
    assert (summary.n_cases, summary.n_patients, summary.n_images_new, summary.n_excluded) == (5, 5, 5, 1)
    assert summary.cases_per_cohort == {"internal": 5}
    assert steps[0] == (1, 5, "checking cases")
    assert steps[-1] == (5, 5, "storing cases")
    stored = draft.cases("draft")
    assert [info.case for info in stored] == [case.case for case in cases]
    assert stored[4].exclusion_reason == "motion"
    (view,) = stored[0].views
    assert (view.name, view.height, view.width, view.bits, view.is_colour) == ("", 4, 5, 16, False)
    assert (stored[0].centre, stored[0].scanner, stored[0].sex, stored[0].age_years) == ("A", "camera", "F", 50.0)
    assert not hasattr(stored[0], "truth")
    for case in cases:
        assert np.array_equal(draft.case_image("draft", case.case).pixels, case.pixels)


def test_cases_are_counted_per_cohort_and_class(draft: Repository) -> None:
    cases = make_cases(8) + make_cases(4, cohort="external", start=8)
    cases[0] = replace(cases[0], exclusion_reason="motion")
    cases[5] = replace(cases[5], patient=cases[1].patient)
    draft.import_cases("draft", cases)
    counts = {(count.cohort, count.class_key): count for count in draft.case_counts("draft")}
    assert [key[1] for key in counts if key[0] == "internal"] == ["graves", "normal", "sat", "tumor"]
    assert (counts["internal", "graves"].n_cases, counts["internal", "graves"].n_excluded) == (1, 1)
    assert (counts["internal", "normal"].n_cases, counts["internal", "normal"].n_patients) == (2, 1)
    assert counts["external", "tumor"].n_cases == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"truth": "cancer"}, "class"),
        ({"case": " "}, "case"),
        ({"case": "case-0000"}, "case"),
        ({"patient": ""}, "patient"),
        ({"cohort": ""}, "cohort"),
        ({"patient": "patient-0000", "cohort": "external"}, "patient"),
        ({"sex": "female"}, "sex"),
        ({"age_years": float("nan")}, "age"),
        ({"pixel_spacing_mm": 0.0}, "pixel_spacing_mm"),
        ({"exclusion_reason": " "}, "exclusion_reason"),
        ({"pixels": np.zeros((4, 4, 3), np.uint16)}, "pixels"),
        ({"pixels": np.zeros((4, 4, 3), np.uint8)}, "colour"),
        ({"view": "oblique"}, "view"),
        ({"pixels": np.zeros((4, 4), np.float32)}, "pixels"),
        ({"pixels": np.zeros((0, 4), np.uint8)}, "pixels"),
        ({"pixels": make_cases(1)[0].pixels}, "case"),
        ({"lesion_mask": np.ones((2, 2), bool)}, "lesion_mask"),
    ],
)
def test_one_bad_record_at_the_end_stores_nothing_and_is_named(sqlite_url: str, change: dict, field: str) -> None:
    engine = open_store(sqlite_url)
    draft = Repository(engine, OPERATOR)
    draft.create_study("draft", Protocol(title="Draft"))
    before = _rows(engine)
    cases = make_cases(3)
    cases[2] = replace(cases[2], **change)
    for deed in (draft.import_cases, draft.check_import):
        with pytest.raises(InputError) as refused:
            deed("draft", cases)
        assert refused.value.field == field
    assert _rows(engine) == before
    engine.dispose()


def test_a_source_that_breaks_midway_stores_nothing(draft: Repository, engine: Engine) -> None:
    before = _rows(engine)

    def broken() -> Iterator[CaseRecord]:
        yield from make_cases(5)
        raise OSError("the disk with the images was unplugged")

    with pytest.raises(OSError, match="unplugged"):
        draft.import_cases("draft", broken())
    assert _rows(engine) == before


def test_a_database_that_breaks_midway_stores_nothing(draft: Repository, engine: Engine) -> None:
    """The failure comes in the second of three parts, when the first is written but not committed."""
    before = _rows(engine)
    seen = 0

    def break_down(connection, cursor, statement, parameters, context, executemany):
        nonlocal seen
        if "INSERT INTO reference_standard" in statement:
            seen += 1
            if seen == 2:
                raise OSError("no space left on device")

    event.listen(engine, "before_cursor_execute", break_down)
    with pytest.raises(OSError, match="no space"):
        draft.import_cases("draft", make_cases(250))
    event.remove(engine, "before_cursor_execute", break_down)
    assert seen == 2
    assert _rows(engine) == before
    assert draft.import_cases("draft", make_cases(250)).n_cases == 250


def test_check_import_says_the_same_and_writes_nothing(draft: Repository, engine: Engine) -> None:
    before = _rows(engine)
    checked = draft.check_import("draft", make_cases(5))
    assert _rows(engine) == before
    assert draft.import_cases("draft", make_cases(5)) == checked


def test_the_same_pixels_are_stored_once_for_two_studies(draft: Repository, engine: Engine) -> None:
    draft.import_cases("draft", make_cases(3))
    draft.create_study("second", Protocol(title="Second"))
    assert draft.import_cases("second", make_cases(4), shared_images="a second reading").n_images_new == 1
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ImageRow)).scalar_one() == 4
        assert connection.execute(sa.select(sa.func.count()).select_from(CaseRow)).scalar_one() == 7


def test_a_second_import_cannot_repeat_a_case_an_image_or_move_a_patient(draft: Repository, engine: Engine) -> None:
    first = make_cases(3)
    draft.import_cases("draft", first)
    before = _rows(engine)
    fresh = make_cases(1, start=70)[0]
    for record, error in (
        (replace(fresh, case=first[0].case), ConflictError),
        (replace(fresh, pixels=first[0].pixels), ConflictError),
        (replace(fresh, patient=first[0].patient, cohort="external"), InputError),
    ):
        with pytest.raises(error):
            draft.import_cases("draft", [record])
    assert _rows(engine) == before
    draft.import_cases("draft", [replace(fresh, pixels=first[0].pixels, exclusion_reason="the same image twice")])


def test_cases_come_only_into_a_draft_and_never_as_an_empty_list(room: Room, draft: Repository) -> None:
    with pytest.raises(ConflictError, match="open"):
        room.coordinator.import_cases(STUDY, make_cases(1, start=90))
    with pytest.raises(InputError, match="no case"):
        draft.import_cases("draft", [])


def test_stored_png_bytes_carry_pixels_and_nothing_else(draft: Repository, engine: Engine) -> None:
    eight_bit = replace(make_cases(1)[0], pixels=np.arange(20, dtype=np.uint8).reshape(4, 5))
    draft.import_cases("draft", [eight_bit, *make_cases(2, start=5)])
    with engine.connect() as connection:
        for png in connection.execute(sa.select(ImageRow.png)).scalars():
            chunks, at = [], 8
            while at < len(png):
                chunks.append(png[at + 4 : at + 8])
                at += 12 + int.from_bytes(png[at : at + 4], "big")
            assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
    assert draft.case_image("draft", eight_bit.case).pixels.dtype == np.uint8


def test_a_lesion_mask_stays_with_the_truth(draft: Repository) -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 2] = True
    cases = make_cases(2)
    draft.import_cases("draft", [replace(cases[0], lesion_mask=mask), cases[1]])
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        draft.set_state("draft", state)
    assert np.array_equal(draft.lesion_mask("draft", cases[0].case), mask)
    assert draft.lesion_mask("draft", cases[1].case) is None


def test_images_of_a_study_that_is_not_unsealed_come_into_no_other_one_without_a_reason(room: Room) -> None:
    """Unsealing the second study would tell the truth of the first."""
    coordinator = room.coordinator
    coordinator.create_study("second", Protocol(title="Second"))
    renamed = [replace(case, case=f"other-{case.case}", patient=f"other-{case.patient}") for case in room.cases[:3]]
    for state in (None, StudyState.CLOSED):
        if state is not None:
            coordinator.set_state(STUDY, state)
        for attempt in (coordinator.import_cases, coordinator.check_import):
            for reason in (None, " "):
                said = r"3 images are in study 'demo' too.*case 'other-case-0000' is case 'case-0000'"
                with pytest.raises(ConflictError, match=said):
                    attempt("second", renamed, shared_images=reason)
    assert coordinator.cases("second") == []

    summary = coordinator.import_cases("second", renamed, shared_images="second reading after six weeks")
    assert any("3 images are in study 'demo' too" in warning for warning in summary.warnings)
    here, there = coordinator.audit_trail("second")[-1], coordinator.audit_trail(STUDY)[-1]
    assert (here.action, here.detail["shared_images"]) == ("study.import", {STUDY: 3})
    assert (there.action, there.detail["study"], there.detail["n_images"]) == ("study.shared", "second", 3)
    assert here.detail["reason"] == there.detail["reason"] == "second reading after six weeks"
    assert coordinator.verify_audit().is_intact


def test_images_of_an_unsealed_study_may_come_again_and_it_is_said_in_both(room: Room) -> None:
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        room.coordinator.set_state(STUDY, state)
    room.coordinator.create_study("second", Protocol(title="Second"))
    assert room.coordinator.import_cases("second", room.cases[:2]).warnings
    assert room.coordinator.audit_trail(STUDY)[-1].action == "study.shared"
