"""The manifest: which images are which cases, checked whole before anything is taken.

Columns (``docs/phantoms.md`` shows an example): ``image`` path relative to the manifest; ``case`` and ``patient`` ids,
kept exactly; ``class``; ``cohort`` ("training", "internal", ...); and, optional, ``frame`` (number from 1 of a DICOM
frame), ``view``, ``colour`` ("keep" keeps the colours of a JPEG or PNG), ``pixel_spacing_mm``, ``left_side`` of the
patient (image-left or image-right), ``centre``, ``scanner``, ``age`` in years, ``sex`` F or M, ``exclusion_reason``,
``lesion_mask``. A case with several views stands on one row for each; all but the picture agrees between them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from core.csv_file import FIX_REASON, NO_REASON, Columns, CsvRow, is_missing_code, is_yes_or_no, read_csv_file
from core.errors import ImageError, InputError, ManifestError
from core.imaging.file_names import Listings, find_inside
from core.imaging.image import LoadedImage, load_image
from core.imaging.mask import load_mask
from core.imaging.notes import metadata_note
from core.progress import OnProgress
from core.protocol import THYROID_CLASSES, DiseaseClass, class_key
from core.runtime import in_order
from core.spelling import Spellings, spelling_key
from core.study import CaseRecord, LeftSide

T = TypeVar("T")

REQUIRED_COLUMNS = ("image", "case", "patient", "class", "cohort")
PICTURE_COLUMNS = ("frame", "view", "colour", "pixel_spacing_mm", "left_side", "lesion_mask")  # of one view
CASE_COLUMNS = ("centre", "scanner", "age", "sex", "exclusion_reason")  # of the case, the same for all its views
OPTIONAL_COLUMNS = (*PICTURE_COLUMNS, *CASE_COLUMNS)
TRAINING_COHORTS = ("training", "train")
MAX_TEXT = 200  # characters in any field but the paths
MAX_AGE_YEARS = 120
MAX_SPACING_MM = 100  # of a pixel
MOST_VIEWS = 8  # of one case
_SIDES = {"": None, **{str(side): side for side in LeftSide}}
_SHOWN = 20  # problems spelled out in the message of ManifestErrors


class ManifestErrors(ManifestError):  # noqa: N818  # holds several errors, each a ManifestError
    """Everything that is wrong with a manifest or folder, found in one pass.

    Attributes
    ----------
    errors : tuple of ManifestError
        In the order of the file.
    """

    code = "bad-manifest"

    def __init__(self, errors: Sequence[ManifestError], *, file: str | Path | None = None) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: error.row or 0))
        super().__init__(
            f"{len(errors)} problem{'s' if len(errors) != 1 else ''} found; nothing was imported", file=file
        )

    def _text(self) -> str:
        lines = [str(error) for error in self.errors[:_SHOWN]]
        if len(self.errors) > _SHOWN:
            lines.append(f"... and {len(self.errors) - _SHOWN} more.")
        return "\n".join([super()._text(), *lines])


@dataclass(frozen=True)
class ManifestRow:
    """One view of a case that passed every check: the fields of :class:`core.study.CaseRecord`, without pixels."""

    case: str
    patient: str
    cohort: str
    truth: str  # class key
    image_path: Path
    frame: int | None = None  # number, from 1, of a DICOM frame
    centre: str | None = None
    scanner: str | None = None
    age_years: float | None = None
    sex: str | None = None
    exclusion_reason: str | None = None
    lesion_mask_path: Path | None = None
    view: str = ""
    is_colour_kept: bool = False
    pixel_spacing_mm: float | None = None  # as the manifest says it
    left_side: LeftSide | None = None
    row: int | None = None  # line of the manifest; None when it came from a folder
    content_sha256: str | None = None  # of the pixels when they were checked

    @property
    def source_name(self) -> str:
        """File name, for coordinators."""
        return self.image_path.name


class ManifestRows(list[ManifestRow]):
    """Rows of a manifest, with remarks that do not stop an import."""

    def __init__(self, rows: Iterable[ManifestRow] = (), warnings: Sequence[str] = ()) -> None:
        super().__init__(rows)
        self.warnings = tuple(warnings)


@dataclass
class _Check:
    """Problems collected while a manifest is read."""

    file: Path
    errors: list[ManifestError] = field(default_factory=list)
    listings: Listings = field(default_factory=dict)

    def add(
        self, problem: str, row: int | None, name: str | None, value: object = None, fix: str | None = None
    ) -> None:
        """Record one located problem."""
        self.errors.append(ManifestError(problem, file=self.file, row=row, field=name, value=value, fix=fix))


class CaseStream(Iterable[CaseRecord]):
    """Cases of a manifest or folder whose table is checked; iterate once to decode the images, each once.

    Images are decoded on all cores, a few ahead of whoever iterates, so that a large cohort never lies in memory whole.
    When anything is wrong with any of them, nothing more is yielded, the rest is still looked at, and the end of the
    iteration raises :class:`ManifestErrors` with everything: use no case before the iteration has ended well.
    """

    def __init__(
        self,
        rows: Sequence[ManifestRow],
        file: Path,
        errors: Sequence[ManifestError],
        classes: Sequence[DiseaseClass],
        warnings: Sequence[str] = (),
    ) -> None:
        self._rows = rows
        self._check = _Check(file, list(errors))
        _check_views(rows, self._check)
        _check_patients(rows, self._check)
        self.warnings = (*_warnings(rows, classes), *warnings)  # what is odd but allowed

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views in their order."""
        return tuple(dict.fromkeys(row.view for row in self._rows))

    def is_view_in_colour(self, view: str) -> set[bool]:
        """Whether the colours of a view are kept; both where cases differ."""
        return {row.is_colour_kept for row in self._rows if row.view == view and row.exclusion_reason is None}

    def need_two_classes(self, known: Collection[str]) -> None:
        """Refuse cases that are all of one class, where the study has no other: nothing could be compared."""
        read = [row for row in self._rows if row.exclusion_reason is None and row.truth]
        if read and len({row.truth for row in read} | set(known)) == 1:
            problem = "every case to be read is of one class, and the study has no other"
            fix = "add cases of the other classes; all classes come in one manifest or folder"
            self._check.add(problem, read[0].row, "class", read[0].truth, fix)

    def __iter__(self) -> Iterator[CaseRecord]:
        for row, image, mask in self.images(None):
            yield CaseRecord(
                case=row.case,
                patient=row.patient,
                cohort=row.cohort,
                truth=row.truth,
                pixels=image.pixels,
                pixel_spacing_mm=row.pixel_spacing_mm or image.pixel_spacing_mm,
                centre=row.centre,
                scanner=row.scanner,
                age_years=row.age_years,
                sex=row.sex,
                exclusion_reason=row.exclusion_reason,
                source_name=row.source_name,
                lesion_mask=mask if mask is not None and mask.any() else None,
                file_format=image.file_format,
                image_notes=(*image.notes, *metadata_note(image.dropped), *_mask_note(mask), *_otherwise(row, image)),
                view=row.view,
                left_side=row.left_side or image.left_side,
            )

    def checked_rows(self, progress: OnProgress | None) -> ManifestRows:
        """Decode every image, keep only its hash; raises as the iteration does."""
        hashed = [replace(row, content_sha256=image.content_sha256) for row, image, _ in self.images(progress)]
        return ManifestRows(hashed, self.warnings)

    def images(self, progress: OnProgress | None) -> Iterator[tuple[ManifestRow, LoadedImage, np.ndarray | None]]:
        """Each row with its picture and mask, as long as nothing was wrong; raises as the iteration does."""
        first: dict[str, ManifestRow] = {}
        for done, (row, found) in enumerate(in_order(_decoded, self._rows), start=1):
            if isinstance(found, ManifestError):
                self._check.errors.append(_located(found, self._check.file))
            elif found is not None:
                _check_picture(row, found[0], first, self._check)
                if not self._check.errors:
                    yield row, *found
            if progress is not None:
                progress(done, len(self._rows), "images")
        if self._check.errors:
            raise ManifestErrors(self._check.errors, file=self._check.file)


def read_manifest(
    path: Path | str,
    classes: Sequence[DiseaseClass] = THYROID_CLASSES,
    *,
    progress: OnProgress | None = None,
) -> ManifestRows:
    """Read and check a manifest and every image that it names.

    Parameters
    ----------
    path : Path
        A CSV file (:mod:`core.csv_file`). Image paths are relative to its folder and may not leave it.
    classes : sequence of DiseaseClass
        The classes of the study.
    progress : callable, optional
        ``progress(done, total, what)`` while images are checked.

    Returns
    -------
    ManifestRows
        A list of :class:`ManifestRow` in the order of the file; ``warnings`` holds what is odd but allowed.

    Raises
    ------
    ManifestErrors
        Holding every problem, each with file, row, column, value and fix.
    """
    return manifest_cases(path, classes).checked_rows(progress)


def manifest_cases(path: Path | str, classes: Sequence[DiseaseClass] = THYROID_CLASSES) -> CaseStream:
    """The cases of a manifest: the table is read now, the images when it is iterated."""
    path = Path(path)
    table = read_csv_file(path, Columns(REQUIRED_COLUMNS, OPTIONAL_COLUMNS))
    check = _Check(path, list(table.problems))
    rows = [_row(line, path.parent, classes, check) for line in table.rows]
    return CaseStream(rows, path, check.errors, classes, table.notes)


def named_files(path: Path) -> list[Path]:
    """Every image and mask that a manifest names and that is there, without looking into any."""
    listings: Listings = {}
    files = []
    for row in read_csv_file(path, Columns(REQUIRED_COLUMNS, OPTIONAL_COLUMNS)).rows:
        for column in ("image", "lesion_mask"):
            with suppress(ManifestError):
                if not is_missing_code(row.text(column)):
                    files.append(find_inside(row.values[column], path.parent, listings))
    return files


def _decoded(row: ManifestRow) -> tuple[LoadedImage, np.ndarray | None] | ManifestError | None:
    """Picture and mask of a row, or what is wrong with them; None where the path was refused before."""
    if row.image_path == Path():
        return None
    field_name = "image"
    try:
        image = load_image(row.image_path, row.frame, is_colour_kept=row.is_colour_kept)
        field_name = "lesion_mask"
        path = row.lesion_mask_path
        return image, None if path is None or path == Path() else load_mask(path, image)
    except ImageError as error:
        name = Path(error.file).name if error.file else row.source_name
        return ManifestError(
            f"{name}: {error.problem}", row=row.row, field=field_name, value=error.value, fix=error.fix
        )


def _row(line: CsvRow, folder: Path, classes: Sequence[DiseaseClass], check: _Check) -> ManifestRow:
    """One row; what is wrong is recorded and replaced by something harmless."""
    values = line.values
    for name, value in values.items():
        if len(value) > (4096 if name in ("image", "lesion_mask") else MAX_TEXT):
            check.add("the text is too long", line.number, name, value, f"use at most {MAX_TEXT} characters")
        elif name != "class" and any(not character.isprintable() for character in value):
            problem = "there is a line break, a no-break blank or another control character"
            check.add(problem, line.number, name, value, "remove it")
    truth = ""
    try:
        truth = class_key(values["class"], classes)
    except InputError as error:
        problem = "the class is blank" if not values["class"].strip() else "unknown class"
        check.add(problem, line.number, "class", values["class"], error.fix)
    optional = {name: "" if is_missing_code(values.get(name, "")) else values[name] for name in OPTIONAL_COLUMNS}
    mask = optional["lesion_mask"]
    return ManifestRow(
        case=_identifier(values["case"], line.number, "case", check),
        patient=_identifier(values["patient"], line.number, "patient", check),
        cohort=_identifier(values["cohort"], line.number, "cohort", check),
        truth=truth,
        image_path=_inside(values["image"], folder, line.number, "image", check),
        frame=_frame(optional["frame"], line.number, check),
        centre=optional["centre"].strip() or None,
        scanner=optional["scanner"].strip() or None,
        age_years=_age(line, check) if optional["age"] else None,
        sex=_sex(optional["sex"], line.number, check),
        exclusion_reason=_exclusion_reason(optional["exclusion_reason"], line.number, check),
        lesion_mask_path=_inside(mask, folder, line.number, "lesion_mask", check) if mask.strip() else None,
        view=_view(optional["view"], line.number, check),
        is_colour_kept=_one_of(optional, "colour", {"": False, "grey": False, "keep": True}, line.number, check),
        pixel_spacing_mm=_spacing(line, check) if optional["pixel_spacing_mm"] else None,
        left_side=_one_of(optional, "left_side", _SIDES, line.number, check),
        row=line.number,
    )


def _identifier(value: str, row: int, name: str, check: _Check) -> str:
    """An id exactly as written: ``007`` and ``NA`` are ids like any other."""
    if not value.strip():
        check.add(f"the {name} is blank", row, name, fix=f"give every row a {name}")
    elif value != value.strip():
        check.add("there are blanks before or after the text", row, name, value, "remove them")
    return value


def _age(line: CsvRow, check: _Check) -> float | None:
    """Years."""
    value = line.text("age")
    try:
        age = line.number_of("age") if re.fullmatch(r"[\d.,]+", value, re.ASCII) else math.nan
    except ManifestError as error:
        check.errors.append(error)
        return None
    if not 0 <= age <= MAX_AGE_YEARS:
        check.add(
            f"the age is no number of years between 0 and {MAX_AGE_YEARS}",
            line.number,
            "age",
            value,
            "write 45 or 45.5, with a point, or leave it blank",
        )
        return None
    return age


def _view(value: str, row: int, check: _Check) -> str:
    """The name of a view, as readers see it."""
    if value != value.strip():
        check.add("there are blanks before or after the text", row, "view", value, "remove them")
    return value.strip()


def _one_of(values: Mapping[str, str], name: str, known: Mapping[str, T], row: int, check: _Check) -> T:
    """What a word of a short list means; the meaning of a blank where the word is unknown."""
    text = values[name].strip().casefold()
    if text not in known:
        words = " or ".join(word for word in known if word)
        check.add(f"the column knows {words} only", row, name, values[name], f"write {words}, or leave it blank")
        return known[""]
    return known[text]


def _spacing(line: CsvRow, check: _Check) -> float | None:
    """Millimetres of one pixel."""
    value = line.text("pixel_spacing_mm")
    try:
        spacing = line.number_of("pixel_spacing_mm") if re.fullmatch(r"[\d.,]+", value, re.ASCII) else math.nan
    except ManifestError as error:
        check.errors.append(error)
        return None
    if not 0 < spacing <= MAX_SPACING_MM:
        problem = f"the pixel spacing is no number of millimetres up to {MAX_SPACING_MM}"
        check.add(problem, line.number, "pixel_spacing_mm", value, "write 2.4, with a point, or leave it blank")
        return None
    return spacing


def _sex(value: str, row: int, check: _Check) -> str | None:
    """F, M, or None when blank."""
    known = {"f": "F", "female": "F", "m": "M", "male": "M", "": None}
    text = value.strip().casefold()
    if text not in known:
        check.add("the sex is neither F nor M", row, "sex", value, "write F or M, or leave it blank")
        return None
    return known[text]


def _exclusion_reason(value: str, row: int, check: _Check) -> str | None:
    """Why a case is not read, or None when blank."""
    if is_yes_or_no(value):
        check.add(NO_REASON, row, "exclusion_reason", value, FIX_REASON)
    return value.strip() or None


def _frame(value: str, row: int, check: _Check) -> int | None:
    """The number of a frame, or None when blank."""
    text = value.strip()
    if not text:
        return None
    if not re.fullmatch(r"[1-9]\d{0,3}(\.0+)?", text, re.ASCII):  # 1.0: a column with blanks out of pandas
        check.add("the frame is no whole number from 1", row, "frame", value, "write 1 for the first frame")
        return None
    return int(float(text))


def _inside(value: str, folder: Path, row: int, name: str, check: _Check) -> Path:
    """The file that a path names; the empty path when that is refused."""
    try:
        return find_inside(value, folder, check.listings)
    except ManifestError as error:
        check.add(error.problem, row, name, error.value, error.fix)
        return Path()


def _check_views(rows: Sequence[ManifestRow], check: _Check) -> None:
    """Every case once in each view, with the same views as every other case, and alike in all else."""
    by_case: dict[str, dict[str, ManifestRow]] = {}
    spelled: dict[str, str] = {}
    coloured: dict[str, ManifestRow] = {}
    for row in rows:
        if spelled.setdefault(spelling_key(row.view), row.view) != row.view:
            usual = spelled[spelling_key(row.view)]
            check.add(f"the view is written '{usual}' elsewhere", row.row, "view", row.view, "write it one way")
        if not row.case.strip():
            continue
        views = by_case.setdefault(spelling_key(row.case), {})
        other = views.setdefault(spelling_key(row.view), row)
        if other is not row:
            how = "" if other.case == row.case else f", written '{other.case}'"
            which = f" with the view '{other.view}'" if row.view else ""
            check.add(
                f"the case id stands in row {other.row} already{which}{how}",
                row.row,
                "case",
                row.case,
                "give every case an id that differs in more than capitals, blanks, Unicode form or a .0; several views "
                "of one case are told apart by the column 'view'",
            )
        elif len(views) > 1:
            _check_agreement(next(iter(views.values())), row, check)
        like = coloured.setdefault(spelling_key(row.view), row)
        if like.is_colour_kept != row.is_colour_kept:
            one, other_one = ("in colour", "in grey") if like.is_colour_kept else ("in grey", "in colour")
            check.add(
                f"row {like.row} has this view {one}, this row {other_one}",
                row.row,
                "colour",
                "keep" if row.is_colour_kept else "",
                "write keep in every row of a view, or in none",
            )
    _check_completeness(by_case, spelled, check)


def _check_agreement(first: ManifestRow, row: ManifestRow, check: _Check) -> None:
    """Two views of one case belong to one patient, have one class, and so on."""
    columns = {"case": "case", "patient": "patient", "cohort": "cohort", "class": "truth", "age": "age_years"}
    for column in ("case", "patient", "cohort", "class", *CASE_COLUMNS):
        own, wanted = (getattr(each, columns.get(column, column)) for each in (row, first))
        if own != wanted:
            check.add(
                f"row {first.row} is another view of case '{first.case}' and has the {column} '{wanted or ''}'",
                row.row,
                column,
                own or "",
                "write the same in both rows; if these are two cases, give them two ids",
            )


def _check_completeness(
    by_case: Mapping[str, Mapping[str, ManifestRow]], spelled: Mapping[str, str], check: _Check
) -> None:
    """Every case that is read has the same views: a view that some lack would tell them apart."""
    wanted = {view for views in by_case.values() for view in views}
    if len(wanted) > MOST_VIEWS:
        check.add(f"there are more than {MOST_VIEWS} views", None, "view", len(wanted), "take fewer views")
    for views in by_case.values():
        row = next(iter(views.values()))
        for lacking in () if row.exclusion_reason is not None else sorted(wanted - views.keys()):
            name = spelled.get(lacking) or "(blank)"
            fix = "add its row, leave this view out of all cases, or give the case an exclusion_reason"
            if "" in wanted:
                fix = "fill the column 'view' in every row, or leave it blank in all"
            check.add(f"case '{row.case}' has no view {name}, which others have", row.row, "view", row.view, fix)


def _check_patients(rows: Sequence[ManifestRow], check: _Check) -> None:
    """No patient both in training and elsewhere; names of patients and cohorts written one way."""
    spelled: dict[tuple[str, str], str] = {}
    by_patient: dict[str, ManifestRow] = {}
    for row in rows:
        for kind, name in (("cohort", row.cohort), ("patient", row.patient)):
            usual = spelled.setdefault((kind, spelling_key(name)), name)
            if usual != name:
                check.add(f"the {kind} is written '{usual}' elsewhere", row.row, kind, name, "write it one way")
        if not row.patient.strip() or not row.cohort.strip():
            continue
        other = by_patient.setdefault(spelling_key(row.patient), row)
        cohorts = {spelling_key(other.cohort), spelling_key(row.cohort)}
        if len(cohorts) > 1 and cohorts & set(TRAINING_COHORTS):
            check.add(
                f"the patient is in cohort '{other.cohort}' (row {other.row}) and in '{row.cohort}'; one is training",
                row.row,
                "patient",
                row.patient,
                "keep all cases of a patient in one cohort",
            )


def _check_picture(row: ManifestRow, image: LoadedImage, first: dict[str, ManifestRow], check: _Check) -> None:
    """No picture twice, whatever its file is called; what is excluded may repeat one."""
    if row.exclusion_reason is not None:
        return
    other = first.setdefault(image.content_sha256, row)
    if other is not row:
        where = f"row {other.row}" if other.row is not None else other.source_name
        check.add(
            f"the same picture is case '{other.case}'{_of_view(other)} ({where}, cohort '{other.cohort}') already",
            row.row,
            "image",
            row.source_name,
            "keep one of the two, or give one an exclusion_reason",
        )


def _of_view(row: ManifestRow) -> str:
    """The view in a message, where there are views."""
    return f", view '{row.view}'" if row.view else ""


def _otherwise(row: ManifestRow, image: LoadedImage) -> tuple[str, ...]:
    """Where the manifest is followed against the file's own header, which is said."""
    notes = []
    if row.left_side is not None and image.left_side not in (None, row.left_side):
        notes.append(f"LEFT SIDE taken from the manifest against the file's header ({row.left_side})")
    own = image.pixel_spacing_mm
    if row.pixel_spacing_mm is not None and own is not None and abs(own - row.pixel_spacing_mm) > 0.01 * own:
        notes.append(f"PIXEL SPACING taken from the manifest against the file's header ({own:g} mm in the header)")
    return tuple(notes)


def _mask_note(mask: np.ndarray | None) -> tuple[str, ...]:
    """A mask that marks nothing is taken as none, and said."""
    return () if mask is None or mask.any() else ("EMPTY LESION MASK: no pixel is marked, taken as no mask",)


def _located(error: ManifestError, file: Path) -> ManifestError:
    """The same error with the file that it stands in."""
    return ManifestError(error.problem, file=file, row=error.row, field=error.field, value=error.value, fix=error.fix)


def _warnings(rows: Sequence[ManifestRow], classes: Sequence[DiseaseClass]) -> list[str]:
    """What is odd but allowed."""
    warnings = []
    for cohort in dict.fromkeys(row.cohort for row in rows):
        present = {row.truth for row in rows if row.cohort == cohort and row.exclusion_reason is None}
        if len(present) == 1:
            warnings.append(
                f"Cohort '{cohort}' has only one class ({next(iter(present))}); "
                "sensitivity and specificity of the others cannot be computed."
            )
        elif len(present) < len(classes):
            absent = ", ".join(disease.key for disease in classes if disease.key not in present)
            warnings.append(f"Cohort '{cohort}' has no case of: {absent}.")
    for kind in ("case", "patient", "cohort"):
        names = Spellings(kind)
        for row in rows:
            names.add(getattr(row, kind), row.row or 0)
        warnings += [note[0].upper() + note[1:] + "." for note in names.notes()]
    sexes: dict[str, str] = {}
    warnings += [
        f"Patient '{row.patient}' is written with two sexes (row {row.row})."
        for row in rows
        if row.sex is not None and sexes.setdefault(row.patient, row.sex) != row.sex
    ]
    return warnings
