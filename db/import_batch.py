"""Cases on their way into the store: everything that can be wrong is found before the first row is written.

The pixels are encoded into a temporary file first, so that the writing transaction, during which no reader can save on
SQLite, only copies bytes.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import length_hint
from types import TracebackType
from typing import IO, Self

import numpy as np

from core.errors import InputError
from core.imaging import ImageFacts, content_sha256, count_notes, encode_png, find_giveaways
from core.progress import OnProgress
from core.protocol import Protocol
from core.runtime import in_order
from core.study import CaseRecord
from db.records import ImportSummary


@dataclass(frozen=True)
class PreparedCase:
    """A checked case; its PNG bytes lie in the batch's file."""

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
    png_at: tuple[int, int]  # offset and length
    mask_at: tuple[int, int] | None


class ImportBatch:
    """Checked cases and a temporary file with their pixels; use as a context."""

    def __init__(self) -> None:
        self.cases: list[PreparedCase] = []
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="reading-room-import-")  # noqa: SIM115 - closed in __exit__
        self._seen: set[str] = set()
        self._image_case: dict[str, str] = {}
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
        if not self.cases:
            raise InputError("there is no case to import", fix="check the manifest or the folder")

    def bytes_at(self, place: tuple[int, int]) -> bytes:
        """Bytes that were encoded before."""
        self._file.seek(place[0])
        return self._file.read(place[1])

    def summary(self, n_images_new: int, stored: Sequence[ImageFacts]) -> ImportSummary:
        """What the batch brings to a study that holds the stored images already."""
        warnings, notes = count_notes((case.case, case.image_notes) for case in self.cases)
        own = [_facts(case) for case in self.cases if case.exclusion_reason is None]
        warnings = [*map(str, find_giveaways([*stored, *own])), *warnings]
        return ImportSummary(
            n_cases=len(self.cases),
            n_patients=len({case.patient for case in self.cases}),
            n_images_new=n_images_new,
            n_excluded=sum(case.exclusion_reason is not None for case in self.cases),
            cases_per_cohort=dict(Counter(case.cohort for case in self.cases)),
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
        where = f"mend case '{record.case}'"
        if record.case in self._seen:
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
        if record.pixels.ndim != 2 or record.pixels.size == 0 or record.pixels.dtype not in (np.uint8, np.uint16):
            raise InputError(
                "the pixels must be (height, width) of uint8 or uint16",
                field="pixels",
                value=f"{record.pixels.dtype} {record.pixels.shape}",
                fix=where,
            )
        if record.lesion_mask is not None and record.lesion_mask.shape != record.pixels.shape:
            raise InputError(
                "the lesion mask must have the shape of the pixels",
                field="lesion_mask",
                value=record.lesion_mask.shape,
                fix=where,
            )
        cohort = self._patient_cohort.setdefault(record.patient, record.cohort)
        if cohort != record.cohort:
            raise InputError(
                f"patient is in cohorts '{cohort}' and '{record.cohort}'",
                field="patient",
                value=record.patient,
                fix="name one cohort for all cases of this patient",
            )
        self._seen.add(record.case)

    def _add(self, record: CaseRecord, png: bytes, mask_png: bytes | None) -> None:
        """Take one record with its encoded pixels."""
        image_hash = content_sha256(record.pixels)
        if record.exclusion_reason is None:
            other = self._image_case.setdefault(image_hash, record.case)
            if other != record.case:
                raise InputError(
                    f"the same image as case '{other}'",
                    field="case",
                    value=record.case,
                    fix="remove one of the two, or give it an exclusion_reason",
                )
        self.cases.append(
            PreparedCase(
                case=record.case,
                patient=record.patient,
                cohort=record.cohort,
                truth=record.truth,
                content_sha256=image_hash,
                height=int(record.pixels.shape[0]),
                width=int(record.pixels.shape[1]),
                bits=8 if record.pixels.dtype == np.uint8 else 16,
                pixel_spacing_mm=record.pixel_spacing_mm,
                centre=record.centre,
                scanner=record.scanner,
                age_years=record.age_years,
                sex=record.sex,
                exclusion_reason=record.exclusion_reason,
                source_name=record.source_name,
                file_format=record.file_format,
                image_notes=record.image_notes,
                png_at=self._write(png),
                mask_at=None if mask_png is None else self._write(mask_png),
            )
        )

    def _write(self, data: bytes) -> tuple[int, int]:
        """Append bytes to the file."""
        offset = self._file.seek(0, 2)
        self._file.write(data)
        return offset, len(data)


def _facts(case: PreparedCase) -> ImageFacts:
    """What is known of a case's image."""
    return ImageFacts(
        cohort=case.cohort,
        truth=case.truth,
        width=case.width,
        height=case.height,
        bits=case.bits,
        file_format=case.file_format,
        pixel_spacing_mm=case.pixel_spacing_mm,
        notes=case.image_notes,
        centre=case.centre,
        scanner=case.scanner,
    )


def _encoded(record: CaseRecord) -> tuple[bytes, bytes | None]:
    """Pixels and lesion mask as PNG."""
    mask = None if record.lesion_mask is None else encode_png(record.lesion_mask.astype(bool) * np.uint8(255))
    return encode_png(record.pixels), mask
