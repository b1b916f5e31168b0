"""What a reader is shown of a case: one size for all, every view, nothing that tells the class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from core.protocol import Protocol
from core.study import Answer, CaseRecord, Role, StudyState
from db import OPERATOR, ReadingImage, Repository
from tests.db.conftest import make_cases

STUDY = "mixed"


@pytest.fixture
def shown(repository: Callable[..., Repository]) -> Callable[..., list[ReadingImage]]:
    """``shown(cases)``: everything that a reader of these cases is shown, in the reader's order."""

    def read(cases: list[CaseRecord], cohorts: tuple[str, ...] = ("internal",)) -> list[ReadingImage]:
        operator = repository(OPERATOR)
        ann = operator.create_person("ann", "Dr Ann", Role.READER, password="ann reads at night")
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
