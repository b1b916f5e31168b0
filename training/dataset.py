"""Images for training: decoded once, checked before the first epoch, cached as uint8 so that the device never waits.

The cache is a memory map of prepared squares (:func:`core.model.preprocessing.prepare`), keyed by the bytes of the
image files and the preprocessing, so that a changed file is never trained on from an old cache.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ImageError, ManifestError, TrainingError
from core.imaging import folder_cases, load_image, manifest_cases
from core.imaging.manifest import CaseStream, ManifestRow, named_files
from core.model.preprocessing import PREPROCESSING_VERSION, prepare, prepare_mask
from core.progress import OnProgress
from core.protocol import DiseaseClass
from core.runtime import available_cores
from training.classes import class_keys, disease_classes
from training.run_folder import write_atomically

#: Raised when the files of the cache change their meaning.
CACHE_FORMAT = 4
#: Problems listed in one message; the rest is counted.
PROBLEMS_SHOWN = 10
#: A class needs this many training cases before a fit makes sense.
SMALLEST_CLASS = 2


@dataclass(frozen=True)
class TrainingCase:
    """One case as training needs it."""

    case: str
    patient: str
    class_index: int
    cohort: str
    centre: str
    path: Path
    row: int | None  # line in the manifest, 1 is the header; None for a folder
    content_sha256: str  # of the decoded pixels
    mask_path: Path | None = None  # lesion mask, where the manifest names one
    frame: int | None = None  # number, from 1, of a DICOM frame, where the manifest gives one
    is_colour_kept: bool = False


@dataclass(frozen=True)
class ImageSet:
    """Decoded images in memory and their classes."""

    images: np.ndarray  # (n, S, S) uint8, prepared; in colour (n, S, S, 3)
    classes: np.ndarray  # (n,) int64
    lesions: np.ndarray | None = None  # (n, S, S) bool, all False where unknown; None where no case has a mask


@dataclass(frozen=True)
class Dataset:
    """All cases of a manifest or folder with their prepared images."""

    cases: tuple[TrainingCase, ...]
    classes: tuple[str, ...]  # class keys in the order of the logits
    images: np.ndarray  # (n, S, S) uint8 memory map; in colour (n, S, S, 3)
    sha256: str  # of the sorted (pixels, class, patient, cohort, centre) of all cases
    is_synthetic: bool
    lesions: np.ndarray | None = None  # (n, S, S) bool memory map; None where no case has a mask
    subtypes: tuple[str, ...] | None = None  # simulated subtype of every case; phantoms only, never a feature

    @property
    def channels(self) -> int:
        """Of the images: 1 grey, 3 colour."""
        return 1 if self.images.ndim == 3 else 3

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Names of the cohorts, sorted."""
        return tuple(sorted({case.cohort for case in self.cases}))

    def rows_of_cohorts(self, cohorts: Sequence[str]) -> np.ndarray:
        """Indices of the cases of some cohorts.

        Raises
        ------
        TrainingError
            If a cohort has no case; lists those there are.
        """
        missing = [name for name in cohorts if name not in self.cohorts]
        if missing:
            raise TrainingError(
                f"The data have no cohort {missing[0]!r}. Use one of: {', '.join(self.cohorts) or 'none'}."
            )
        return np.array([row for row, case in enumerate(self.cases) if case.cohort in cohorts], dtype=np.int64)

    def image_set(self, rows: np.ndarray) -> ImageSet:
        """Images and classes of some cases."""
        classes = np.array([self.cases[row].class_index for row in rows], dtype=np.int64)
        lesions = None if self.lesions is None else np.ascontiguousarray(self.lesions[rows])
        return ImageSet(np.ascontiguousarray(self.images[rows]), classes, lesions)

    def pixels(self, rows: np.ndarray) -> list[np.ndarray]:
        """Images of some cases as their files hold them, decoded on all cores: what a classifier predicts on."""
        chosen = [self.cases[row] for row in rows]
        with ThreadPoolExecutor(available_cores()) as pool:
            return list(pool.map(_load_pixels, chosen))

    def class_counts(self, rows: np.ndarray) -> dict[str, int]:
        """Number of some cases by class, in the order of the classes."""
        counts = Counter(self.cases[row].class_index for row in rows)
        return {key: counts[index] for index, key in enumerate(self.classes)}

    def lesions_sha256(self) -> str | None:
        """Hash of the lesion masks by case; None where no case has one."""
        if self.lesions is None:
            return None
        masks = sorted(
            [case.case, hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()]
            for case, mask in zip(self.cases, self.lesions, strict=True)
        )
        return hashlib.sha256(json.dumps(masks).encode()).hexdigest()


def _load_pixels(case: TrainingCase) -> np.ndarray:
    """The image of a case as its file holds it."""
    return load_image(case.path, case.frame, is_colour_kept=case.is_colour_kept).pixels


def open_dataset(
    source: Path,
    image_size: int,
    cache_folder: Path,
    *,
    classes: Sequence[DiseaseClass] | None = None,
    view: str = "",
    progress: OnProgress | None = None,
) -> Dataset:
    """Read a manifest or class-named folder, check every file, and decode it once.

    Parameters
    ----------
    source : Path
        A manifest (CSV) or a folder with one folder per class.
    image_size : int
        Side length in pixels of the prepared images.
    cache_folder : Path
        Where decoded images and masks are kept; about 0.05 MB per image at 224 pixels, as much again per mask.
    classes : sequence of DiseaseClass, optional
        Order of the logits; the classes of the data if not given (:func:`training.classes.class_keys`).
    view : str
        Which view of each case, as the manifest calls it; the first if not given.
    progress : callable, optional
        ``progress(done, total, what)``.

    Raises
    ------
    ManifestErrors
        If rows are wrong, a file cannot be decoded, one picture stands under two names, or a patient stands in two
        cohorts of which one is training. Names files and rows.
    ImageError
        If an image has no contrast.
    TrainingError
        If nothing is left, or the cache cannot be written.
    """
    if classes is None:
        classes = disease_classes(class_keys(source))
    cases, images, lesions = _cached(source, image_size, cache_folder, classes, view, progress)
    parameters = (source.parent if source.is_file() else source) / "params.csv"
    facts = sorted(
        [case.content_sha256, classes[case.class_index].key, case.patient, case.cohort, case.centre] for case in cases
    )
    return Dataset(
        tuple(cases),
        tuple(disease.key for disease in classes),
        images,
        hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
        parameters.exists(),
        lesions,
        _subtypes(parameters, cases),
    )


def check_no_leak(dataset: Dataset, training_rows: np.ndarray, evaluation_rows: np.ndarray) -> None:
    """Refuse a patient who is trained on and evaluated on.

    Raises
    ------
    ManifestError
        Naming the patient and both rows.
    """
    trained = {dataset.cases[row].patient: dataset.cases[row] for row in training_rows}
    for row in evaluation_rows:
        case = dataset.cases[row]
        other = trained.get(case.patient)
        if other is not None:
            raise ManifestError(
                f"patient {case.patient} is trained on ({other.path.name}, cohort {other.cohort}) and evaluated on "
                f"({case.path.name}, cohort {case.cohort})",
                row=case.row,
                field="patient",
                fix="put all cases of a patient into one cohort",
            )


def imbalance(counts: Mapping[str, int]) -> float:
    """Cases of the commonest class for one of the rarest."""
    return max(counts.values()) / max(1, min(counts.values()))


def check_classes(dataset: Dataset, rows: np.ndarray, what: str) -> None:
    """Refuse a training or held-out part that lacks a class.

    Raises
    ------
    TrainingError
        Naming the class and the counts.
    """
    counts = dataset.class_counts(rows)
    for key, count in counts.items():
        if count < SMALLEST_CLASS:
            listed = ", ".join(f"{name} {number}" for name, number in counts.items())
            raise TrainingError(
                f"{what} has {count} cases of class {key}; at least {SMALLEST_CLASS} are needed ({listed}). "
                "Add cases of that class, mend its name if it is misspelt, or give the right cohorts."
            )


def _cached(
    source: Path,
    image_size: int,
    cache_folder: Path,
    classes: Sequence[DiseaseClass],
    view: str,
    progress: OnProgress | None,
) -> tuple[list[TrainingCase], np.ndarray, np.ndarray | None]:
    """Checked cases, their prepared images and lesion masks; from the cache where no file changed."""
    key = _key(source, image_size, classes, view)
    stem = cache_folder / f"images-{image_size}-{key[:16]}"
    pixels_path, lesions_path, index_path = (stem.with_suffix(end) for end in (".npy", ".lesions.npy", ".json"))
    if not (pixels_path.exists() and index_path.exists()):
        cases, images, lesions = _read(source, classes, image_size, view, progress)
        _write_array(pixels_path, images)
        if lesions is not None:
            _write_array(lesions_path, lesions)
        index = [{**asdict(case), "path": str(case.path), "mask_path": _text(case.mask_path)} for case in cases]
        write_atomically(index_path, json.dumps(index).encode())
    try:
        cases = [_case(entry) for entry in json.loads(index_path.read_text())]
        has_lesions = any(case.mask_path is not None for case in cases)
        lesions = np.load(lesions_path, mmap_mode="r") if has_lesions else None
        return cases, np.load(pixels_path, mmap_mode="r"), lesions
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"The cache {pixels_path} is damaged ({error}). Delete it and start again.") from error


def _subtypes(parameters: Path, cases: Sequence[TrainingCase]) -> tuple[str, ...] | None:
    """Subtype of every case from the file that the simulator leaves beside its manifest; None without it."""
    if not parameters.exists():
        return None
    with parameters.open(encoding="utf-8", newline="") as file:
        subtype_of = {row.get("case"): row.get("subtype") or "" for row in csv.DictReader(file)}
    return tuple(subtype_of.get(case.case, "") for case in cases)


def _text(path: Path | None) -> str | None:
    """A path for JSON."""
    return None if path is None else str(path)


def _case(entry: dict[str, Any]) -> TrainingCase:
    """A case as the index of the cache holds it."""
    mask = entry["mask_path"]
    return TrainingCase(**{**entry, "path": Path(entry["path"]), "mask_path": None if mask is None else Path(mask)})


def _key(source: Path, image_size: int, classes: Sequence[DiseaseClass], view: str) -> str:
    """Hash of the manifest or folder, the bytes of every image and mask, and how they are prepared."""
    how = f"{CACHE_FORMAT}|{PREPROCESSING_VERSION}|{image_size}|{classes}|{view}"
    key = hashlib.sha256(f"{how}|{source.resolve()}".encode())
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())
    else:
        key.update(source.read_bytes())
        files = named_files(source)
    for path in files:
        try:
            key.update(f"{path.name}|".encode() + hashlib.sha256(path.read_bytes()).digest())
        except (OSError, ValueError):
            key.update(f"{path.name}|unreadable".encode())
    return key.hexdigest()


def _read(
    source: Path, classes: Sequence[DiseaseClass], image_size: int, view: str, progress: OnProgress | None
) -> tuple[list[TrainingCase], np.ndarray, np.ndarray | None]:
    """Cases without the excluded, their prepared images and masks; all problems are found before any is reported."""
    stream = folder_cases(source, classes, cohort="training") if source.is_dir() else manifest_cases(source, classes)
    taken, is_colour = _view(stream, source, view)
    index_of = {disease.key: index for index, disease in enumerate(classes)}
    cases: list[TrainingCase] = []
    problems: list[ImageError] = []
    shape = (len(stream), image_size, image_size)
    images = np.empty((*shape, 3) if is_colour else shape, dtype=np.uint8)
    lesions = np.zeros(shape, dtype=bool)  # takes no memory until it is written to
    for row, image, mask in stream.images(progress):
        if row.exclusion_reason is not None or row.view != taken:
            continue
        prepared = prepare(image.pixels, image_size, 3 if is_colour else 1)
        images[len(cases)] = prepared
        if mask is not None:
            lesions[len(cases)] = prepare_mask(mask, image_size)
        if prepared.min() == prepared.max():
            problems.append(_no_contrast(row, int(prepared.min())))
        cases.append(_training_case(row, index_of[row.truth], image.content_sha256))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:PROBLEMS_SHOWN])
        rest = f"\n  and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
        raise ImageError(f"{len(problems)} images show nothing, found before training:\n{shown}{rest}\n")
    if not cases:
        raise TrainingError(f"{source} holds no case that is not excluded.")
    has_lesions = any(case.mask_path is not None for case in cases)
    return cases, images[: len(cases)], lesions[: len(cases)] if has_lesions else None


def _view(stream: CaseStream, source: Path, wanted: str) -> tuple[str, bool]:
    """Name of the view that is learned, and whether it is in colour.

    Raises
    ------
    TrainingError
        If the data have no such view, or it is in colour in some cases only.
    """
    names = stream.views
    if wanted and wanted not in names:
        known = ", ".join(name for name in names if name) or "one view without a name"
        raise TrainingError(f"{source} has no view '{wanted}', but {known}. Name one of them with --view.")
    taken = wanted or (names[0] if names else "")
    kinds = stream.is_view_in_colour(taken)
    if len(kinds) > 1:
        raise TrainingError(
            f"{source}: some cases are in colour and others grey. Write keep in the column 'colour' of all, or of none."
        )
    return taken, True in kinds


def _training_case(row: ManifestRow, class_index: int, content_sha256: str) -> TrainingCase:
    """A row of the manifest as training needs it."""
    return TrainingCase(
        row.case, row.patient, class_index, row.cohort, row.centre or "", row.image_path, row.row, content_sha256,
        row.lesion_mask_path, row.frame, row.is_colour_kept,
    )  # fmt: skip


def _no_contrast(row: ManifestRow, level: int) -> ImageError:
    """What is said of an image without anything on it."""
    return ImageError(
        f"every pixel has the grey level {level}",
        file=row.image_path,
        row=row.row,
        fix="remove the case or replace its image",
    )


def _write_array(path: Path, array: np.ndarray) -> None:
    """Write a NumPy file whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
