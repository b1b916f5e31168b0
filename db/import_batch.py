"""Cases on their way into the store: everything that can be wrong is found before the first row is written.

The pixels are encoded into a temporary file first, so that the writing transaction, during which no reader can save on
SQLite, only copies bytes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import length_hint
from types import TracebackType
from typing import IO, Self

import numpy as np

from core.errors import InputError
from core.imaging import ImageFacts, content_sha256, count_notes, encode_png, find_giveaways, is_picture
from core.progress import OnProgress
from core.protocol import Protocol
from core.runtime import in_order
from core.study import CaseRecord, LeftSide
from db.records import ImportSummary


@dataclass(frozen=True)
class PreparedView:
    """A checked view of a case; its PNG bytes lie in the batch's file."""

    case: str
    patient: str
    cohort: str
    truth: str
    content_sha256: str
    height: int
    width: int
    bits: int
    pixel_spacing_mm: float | None
    centre: str | None
    scanner: str | None
    age_years: float | None
    sex: str | None
    exclusion_reason: str | None
    source_name: str | None
    file_format: str | None
    image_notes: tuple[str, ...]
    view: str
    is_colour: bool
    left_side: LeftSide | None
    png_at: tuple[int, int]  # offset and length
    mask_at: tuple[int, int] | None


#: Fields of a record that belong to the case, with their columns: every view of it says the same.
_OF_CASE = {
    "patient": "patient", "cohort": "cohort", "truth": "class", "centre": "centre", "scanner": "scanner",
    "age_years": "age", "sex": "sex", "exclusion_reason": "exclusion_reason",
}  # fmt: skip


#: Fields of a record that are kept as they are.
_TAKEN = ("case", *_OF_CASE, "pixel_spacing_mm", "source_name", "file_format", "image_notes", "view", "left_side")


class ImportBatch:
    """Checked views of cases and a temporary file with their pixels; use as a context."""

    def __init__(self) -> None:
        self.views: list[PreparedView] = []
        self.cases: dict[str, PreparedView] = {}  # the first view of every case
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="reading-room-import-")  # noqa: SIM115 - closed in __exit__
        self._seen: set[tuple[str, str]] = set()  # case, view
        self._image_case: dict[str, tuple[str, str]] = {}
        self._of_case: dict[str, dict[str, object]] = {}
        self._is_colour: dict[str, bool] = {}  # by view
        self._patient_cohort: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take(
        self, records: Iterable[CaseRecord], protocol: Protocol, total: int | None, on_progress: OnProgress | None
    ) -> None:
        """Check and encode every record.

        Raises
        ------
        InputError
            Naming the case and the field.
        """
        expected = total if total is not None else length_hint(records, 0)
        for number, (record, (png, mask)) in enumerate(in_order(_encoded, self._checked(records, protocol)), 1):
            self._add(record, png, mask)
            if on_progress is not None:
                on_progress(number, expected, "checking cases")
        if not self.views:
            raise InputError("there is no case to import", fix="check the manifest or the folder")
        self._check_views()

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the views in the order of their first appearance."""
        return tuple(dict.fromkeys(view.view for view in self.views))

    def bytes_at(self, place: tuple[int, int]) -> bytes:
        """Bytes that were encoded before."""
        self._file.seek(place[0])
        return self._file.read(place[1])

    def summary(self, n_images_new: int, stored: Sequence[ImageFacts]) -> ImportSummary:
        """What the batch brings to a study that holds the stored images already."""
        warnings, notes = count_notes((view.case, view.image_notes) for view in self.views)
        own = [_facts(view) for view in self.views if view.exclusion_reason is None]
        warnings = [*map(str, find_giveaways([*stored, *own])), *warnings]
        return ImportSummary(
            n_cases=len(self.cases),
            n_patients=len({case.patient for case in self.cases.values()}),
            n_images_new=n_images_new,
            n_excluded=sum(case.exclusion_reason is not None for case in self.cases.values()),
            cases_per_cohort=dict(Counter(case.cohort for case in self.cases.values())),
            views=self.view_names if self.view_names != ("",) else (),
            warnings=tuple(warnings),
            image_notes=tuple(notes),
        )

    def _checked(self, records: Iterable[CaseRecord], protocol: Protocol) -> Iterator[CaseRecord]:
        """The records, each checked before it is encoded."""
        for record in records:
            self._check(record, protocol)
            yield record

    def _check(self, record: CaseRecord, protocol: Protocol) -> None:
        """Refuse one record."""
        for field in ("case", "patient", "cohort"):
            text = getattr(record, field)
            if not text.strip() or "\x00" in text:
                raise InputError(f"a case needs a {field}", field=field, value=text, fix=f"case '{record.case}'")
        where = f"mend case '{record.case}'" + (f", view '{record.view}'" if record.view else "")
        if (record.case, record.view) in self._seen:
            raise InputError("the case id occurs twice", field="case", value=record.case, fix="case ids are unique")
        if record.truth not in protocol.class_keys:
            raise InputError("not a class of this study", field="class", value=record.truth, fix=where)
        if record.sex not in (None, "F", "M"):
            raise InputError("sex is F, M or empty", field="sex", value=record.sex, fix=where)
        if record.age_years is not None and not 0 <= record.age_years <= 130:
            raise InputError("an age lies between 0 and 130 years", field="age", value=record.age_years, fix=where)
        spacing = record.pixel_spacing_mm
        if spacing is not None and not 0 < spacing < 1000:
            raise InputError("a pixel spacing is positive, mm", field="pixel_spacing_mm", value=spacing, fix=where)
        if record.exclusion_reason is not None and not record.exclusion_reason.strip():
            raise InputError("an exclusion reason is a text or absent", field="exclusion_reason", value="", fix=where)
        if not is_picture(record.pixels):
            raise InputError(
                "the pixels must be (height, width) of uint8 or uint16, or (height, width, 3) of uint8",
                field="pixels",
                value=f"{record.pixels.dtype} {record.pixels.shape}",
                fix=where,
            )
        is_colour = record.pixels.ndim == 3
        if self._is_colour.setdefault(record.view, is_colour) != is_colour:
            raise InputError(
                "this view is in colour in some cases and grey in others",
                field="colour",
                value="keep" if is_colour else "grey",
                fix=f"{where}: write keep in every row of the view, or in none",
            )
        if record.lesion_mask is not None and record.lesion_mask.shape != record.pixels.shape[:2]:
            raise InputError(
                "the lesion mask must have the shape of the pixels",
                field="lesion_mask",
                value=record.lesion_mask.shape,
                fix=where,
            )
        self._check_agreement(record, where)
        cohort = self._patient_cohort.setdefault(record.patient, record.cohort)
        if cohort != record.cohort:
            raise InputError(
                f"patient is in cohorts '{cohort}' and '{record.cohort}'",
                field="patient",
                value=record.patient,
                fix="name one cohort for all cases of this patient",
            )
        self._seen.add((record.case, record.view))

    def _check_agreement(self, record: CaseRecord, where: str) -> None:
        """Refuse a further view that says something else of the case."""
        own = {column: getattr(record, name) for name, column in _OF_CASE.items()}
        for column, before in self._of_case.setdefault(record.case, own).items():
            if before != own[column]:
                problem = f"two views of case '{record.case}' differ in it: {before!r} before"
                raise InputError(problem, field=column, value=own[column], fix=where)

    def _check_views(self) -> None:
        """Every case that is read has every view."""
        for case in self.cases.values():
            lacking = [name for name in self.view_names if (case.case, name) not in self._seen]
            if case.exclusion_reason is None and lacking:
                raise InputError(
                    f"case '{case.case}' has no view '{lacking[0]}', which others have",
                    field="view",
                    value=", ".join(name for name in self.view_names if name not in lacking),
                    fix="add it, leave this view out of all cases, or give the case an exclusion_reason",
                )

    def _add(self, record: CaseRecord, png: bytes, mask_png: bytes | None) -> None:
        """Take one record with its encoded pixels."""
        image_hash = content_sha256(record.pixels)
        if record.exclusion_reason is None:
            other, view = self._image_case.setdefault(image_hash, (record.case, record.view))
            if (other, view) != (record.case, record.view):
                raise InputError(
                    f"the same image as case '{other}'" + (f", view '{view}'" if view else ""),
                    field="case",
                    value=record.case,
                    fix="remove one of the two, or give it an exclusion_reason",
                )
        prepared = PreparedView(
            **{field: getattr(record, field) for field in _TAKEN},
            content_sha256=image_hash,
            height=int(record.pixels.shape[0]),
            width=int(record.pixels.shape[1]),
            bits=8 if record.pixels.dtype == np.uint8 else 16,
            is_colour=record.pixels.ndim == 3,
            png_at=self._write(png),
            mask_at=None if mask_png is None else self._write(mask_png),
        )
        self.views.append(prepared)
        self.cases.setdefault(prepared.case, prepared)

    def _write(self, data: bytes) -> tuple[int, int]:
        """Append bytes to the file."""
        offset = self._file.seek(0, 2)
        self._file.write(data)
        return offset, len(data)


def _facts(view: PreparedView) -> ImageFacts:
    """What is known of the image of a view."""
    return ImageFacts(**{each.name: getattr(view, each.name) for each in fields(ImageFacts) if each.name != "notes"},
                      notes=view.image_notes)  # fmt: skip


def _encoded(record: CaseRecord) -> tuple[bytes, bytes | None]:
    """Pixels and lesion mask as PNG."""
    mask = None if record.lesion_mask is None else encode_png(record.lesion_mask.astype(bool) * np.uint8(255))
    return encode_png(record.pixels), mask
