"""What a reader is shown of a case: one size for all, every view, nothing that tells the class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from core.errors import ConflictError, InputError, NotFoundError
from core.protocol import Protocol
from core.study import Answer, CaseRecord, LeftSide, Role, StudyState
from db import OPERATOR, CasePrediction, ReadingImage, Repository
from db.engine import writing
from tests.db.conftest import make_cases

STUDY = "mixed"


@pytest.fixture
def shown(repository: Callable[..., Repository]) -> Callable[..., list[ReadingImage]]:
    """``shown(cases)``: everything that a reader of these cases is shown, in the reader's order."""

    def read(cases: list[CaseRecord], cohorts: tuple[str, ...] = ("internal",)) -> list[ReadingImage]:
        operator = repository(OPERATOR)
        ann = operator.create_person("ann", "Dr Ann", Role.READER, is_temporary=False, password="ann reads at night")
        operator.create_study(STUDY, Protocol(title="Mixed"))
        operator.import_cases(STUDY, cases)
        operator.add_reader(STUDY, "ann", cohorts=list(cohorts))
        operator.set_state(STUDY, StudyState.OPEN)
        reader, images = repository(ann), []
        while (place := reader.next_presentation(STUDY)) is not None:
            images.append(reader.presentation_image(place.presentation_id))
            reader.save_reading(place.presentation_id, Answer("sat", 3), submit_id=f"s{place.position}")
        return images

    return read


def _mixed() -> list[CaseRecord]:
    """Tumors on 12 x 13 in 16 bits, all others on 6 x 7 in 8 bits."""
    small = [replace(case, pixels=case.pixels.astype(np.uint8)) for case in make_cases(8, size=6)]
    large = make_cases(8, size=12)
    return [large[n] if large[n].truth == "tumor" else small[n] for n in range(8)]


def test_every_presentation_of_a_study_of_mixed_sizes_has_one_size_and_one_format(shown: Callable) -> None:
    cases = _mixed()
    views = [view for image in shown(cases) for view in image.views]
    assert {(view.pixels.shape, view.pixels.dtype.name, view.unit) for view in views} == {((12, 13), "uint16", "grey")}
    originals = {case.pixels.tobytes() for case in cases}
    for view in views:  # each is there whole, at its origin, with its own values
        top, left = view.origin
        inner = view.pixels[top : 12 - top, left : 13 - left]
        assert {inner.tobytes(), inner.astype(np.uint8).tobytes()} & originals


def test_cases_that_the_reader_does_not_read_do_not_count(shown: Callable) -> None:
    """A cohort of wide training pictures, or an excluded case, must not make the others small."""
    cases = make_cases(4, size=6) + make_cases(2, size=30, cohort="training", start=4)
    cases.append(replace(make_cases(1, size=40, start=6)[0], exclusion_reason="motion"))
    assert {view.pixels.shape for image in shown(cases) for view in image.views} == {(6, 7)}


def test_the_model_takes_the_picture_without_the_canvas(shown: Callable, repository: Callable) -> None:
    cases = _mixed()
    shown(cases)
    for image in repository(OPERATOR).cases_for_prediction(STUDY):
        original = next(case.pixels for case in cases if case.case == image.case)
        assert image.pixels.dtype == original.dtype
        assert np.array_equal(image.pixels, original)


def _two_views(n: int) -> list[CaseRecord]:
    """Cases with an anterior picture of 6 x 7 and an oblique one of 4 x 5 in colour, in turn the first row."""
    anterior = [replace(case, view="anterior", left_side=LeftSide.IMAGE_RIGHT) for case in make_cases(n, size=6)]
    rng = np.random.default_rng(5)
    oblique = [
        replace(case, view="oblique", pixels=rng.integers(0, 256, (4, 5, 3), np.uint8), lesion_mask=np.eye(4, 5) > 0)
        for case in make_cases(n)
    ]
    return [record for n, pair in enumerate(zip(anterior, oblique, strict=True)) for record in pair[:: (-1) ** n]]


def test_a_reader_gets_all_views_of_a_case_in_the_order_of_the_manifest(shown: Callable) -> None:
    records = _two_views(4)
    images = shown(records)
    assert len(images) == 4
    for image in images:
        assert [(view.name, view.unit, view.left_side) for view in image.views] == [
            ("anterior", "counts", "image-right"), ("oblique", "colour", None),
        ]  # fmt: skip
        shown_pixels = [view.pixels.tobytes() for view in image.views]
        of_case = {record.case for record in records if record.pixels.tobytes() in shown_pixels}
        assert len(of_case) == 1  # both pictures, of one case


def test_import_counts_cases_and_says_the_views(repository: Callable) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views"))
    summary = operator.import_cases(STUDY, _two_views(4))
    assert (summary.n_cases, summary.n_patients, summary.n_images_new) == (4, 4, 8)
    assert summary.views == operator.views(STUDY) == ("anterior", "oblique")
    assert sum(count.n_cases for count in operator.case_counts(STUDY)) == 4
    infos = operator.cases(STUDY)
    assert [info.case for info in infos] == [f"case-{n:04d}" for n in range(4)]
    assert [(view.name, view.width, view.is_colour) for view in infos[1].views] == [
        ("anterior", 7, False), ("oblique", 5, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"truth": "tumor"}, "class"),
        ({"patient": "somebody else"}, "patient"),
        ({"age_years": 51.0}, "age"),
        ({"view": "lateral"}, "view"),
        ({"view": "anterior"}, "case"),
        ({"pixels": make_cases(1)[0].pixels}, "colour"),
    ],
)
def test_a_view_that_says_something_else_of_its_case_is_refused(repository: Callable, change: dict, field: str) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views"))
    records = _two_views(4)
    records[4 + 1] = replace(records[4 + 1], **change)
    with pytest.raises(InputError) as refused:
        operator.import_cases(STUDY, records)
    assert refused.value.field == field
    assert operator.cases(STUDY) == []


def test_a_second_import_brings_the_same_views_or_nothing(repository: Callable) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views"))
    operator.import_cases(STUDY, _two_views(4)[:4])
    with pytest.raises(ConflictError, match="have the views 'anterior', 'oblique', these have without a name"):
        operator.import_cases(STUDY, make_cases(2, start=10))
    more = [replace(record, case=f"x{record.case}", pixels=record.pixels + 1) for record in _two_views(2)]
    operator.import_cases(STUDY, more[::-1])
    assert operator.views(STUDY) == ("anterior", "oblique")
    grey = [
        replace(record, case=f"y{record.case}", pixels=make_cases(2, size=9)[n // 2].pixels + n, lesion_mask=None)
        for n, record in enumerate(_two_views(2))
    ]
    with pytest.raises(ConflictError, match=r"is grey, the cases of study 'mixed' are not"):
        operator.import_cases(STUDY, grey)


@pytest.mark.parametrize(("model_view", "wanted"), [("", "anterior"), ("anterior", "anterior"), ("oblique", "oblique")])
def test_the_model_takes_the_view_that_the_protocol_declares(
    repository: Callable, model_view: str, wanted: str
) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views", model_view=model_view))
    records = _two_views(3)
    operator.import_cases(STUDY, records)
    taken = list(operator.cases_for_prediction(STUDY))
    assert [image.view for image in taken] == [wanted] * 3
    for image in taken:
        pixels = next(each.pixels for each in records if (each.case, each.view) == (image.case, wanted))
        assert np.array_equal(image.pixels, pixels)
        assert np.array_equal(operator.case_image(STUDY, image.case).pixels, pixels)


def test_a_view_that_no_case_has_is_refused_before_reading_begins(repository: Callable) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views", model_view="lateral"))
    operator.import_cases(STUDY, _two_views(2))
    said = "no view 'lateral', but 'anterior', 'oblique'.*model_view"
    with pytest.raises(NotFoundError, match=said):
        next(operator.cases_for_prediction(STUDY))
    with pytest.raises(NotFoundError, match=said):
        operator.set_state(STUDY, StudyState.OPEN)


def test_the_view_of_a_model_that_has_predicted_stays(repository: Callable) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views"))
    operator.import_cases(STUDY, _two_views(2))
    operator.register_model(sha256="a" * 64, name="m", architecture="a", path="p", metadata={})
    answer = CasePrediction("case-0000", np.array([0.25] * 4), 2.0, False, "cpu", "fp32")
    operator.save_predictions(STUDY, "a" * 64, [answer])
    with pytest.raises(ConflictError, match="model_view cannot change"):
        operator.update_protocol(STUDY, Protocol(title="Two views", model_view="oblique"))


def test_every_view_has_its_lesion_mask_and_all_are_sealed(repository: Callable) -> None:
    operator = repository(OPERATOR)
    operator.create_study(STUDY, Protocol(title="Two views"))
    operator.import_cases(STUDY, _two_views(2))
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        operator.set_state(STUDY, state)
    assert operator.lesion_mask(STUDY, "case-0001") is None
    assert np.array_equal(operator.lesion_mask(STUDY, "case-0001", "oblique"), np.eye(4, 5) > 0)
    assert operator.verify_audit().is_intact
    for statement, part in (
        ("DELETE FROM lesion_mask WHERE case_id = (SELECT min(case_id) FROM lesion_mask)", "lesion masks"),
        ("UPDATE case_image SET left_side = 'image-left' WHERE view_number = 1", "images"),
        ("UPDATE case_image SET view_name = 'lateral' WHERE view_number = 2", "images"),
    ):
        with writing(operator.engine).begin() as connection:
            connection.exec_driver_sql(statement)
        assert f"the {part} of study '{STUDY}' are not what was sealed" in "\n".join(operator.verify_audit().problems)
