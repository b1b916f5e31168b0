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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.errors import ImageError, ManifestError, TrainingError
from core.imaging import load_image, read_folder, read_manifest
from core.model.preprocessing import PREPROCESSING_VERSION, prepare
from core.runtime import available_cores
from core.study import THYROID_CLASSES, DiseaseClass
from training.run_folder import write_atomically

#: Problems listed in one message; the rest is counted.
PROBLEMS_SHOWN = 10
#: A class needs this many training cases before a fit makes sense.
SMALLEST_CLASS = 2

Progress = Callable[[int, int, str], None]


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


@dataclass(frozen=True)
class ImageSet:
    """Decoded images in memory and their classes."""

    images: np.ndarray  # (n, S, S) uint8, prepared
    classes: np.ndarray  # (n,) int64


@dataclass(frozen=True)
class Dataset:
    """All cases of a manifest or folder with their prepared images."""

    cases: tuple[TrainingCase, ...]
    classes: tuple[str, ...]  # class keys in the order of the logits
    images: np.ndarray  # (n, S, S) uint8 memory map
    sha256: str  # of the sorted (pixels, class, patient, cohort, centre) of all cases
    is_synthetic: bool

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
        return ImageSet(np.ascontiguousarray(self.images[rows]), classes)


def open_dataset(
    source: Path,
    image_size: int,
    cache_folder: Path,
    *,
    classes: Sequence[DiseaseClass] = THYROID_CLASSES,
    progress: Progress | None = None,
) -> Dataset:
    """Read a manifest or class-named folder, check every file, and decode it once.

    Parameters
    ----------
    source : Path
        A manifest (CSV) or a folder with one folder per class.
    image_size : int
        Side length in pixels of the prepared images.
    cache_folder : Path
        Where decoded images are kept; about 0.05 MB per image at 224 pixels.
    classes : sequence of DiseaseClass
        Order of the logits.
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
    cases, images = _cached(source, image_size, cache_folder, classes, progress)
    is_synthetic = (source.parent if source.is_file() else source).joinpath("params.csv").exists()
    facts = sorted(
        [case.content_sha256, classes[case.class_index].key, case.patient, case.cohort, case.centre] for case in cases
    )
    return Dataset(
        tuple(cases),
        tuple(disease.key for disease in classes),
        images,
        hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
        is_synthetic,
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


def check_classes(dataset: Dataset, rows: np.ndarray, what: str) -> None:
    """Refuse a training or held-out part that lacks a class.

    Raises
    ------
    TrainingError
        Naming the class and the counts.
    """
    counts = Counter(dataset.cases[row].class_index for row in rows)
    for index, key in enumerate(dataset.classes):
        if counts[index] < SMALLEST_CLASS:
            listed = ", ".join(f"{name} {counts[number]}" for number, name in enumerate(dataset.classes))
            raise TrainingError(
                f"{what} has {counts[index]} cases of class {key}; at least {SMALLEST_CLASS} are needed ({listed}). "
                "Add cases of that class, or give the right cohorts."
            )


def _cached(
    source: Path,
    image_size: int,
    cache_folder: Path,
    classes: Sequence[DiseaseClass],
    progress: Progress | None,
) -> tuple[list[TrainingCase], np.ndarray]:
    """Checked cases and their prepared images; from the cache where no file changed."""
    if not source.exists():
        raise TrainingError(f"There is no {source}. Give a manifest (CSV) or a folder with one folder per class.")
    key = _key(source, image_size, classes)
    stem = cache_folder / f"images-{image_size}-{key[:16]}"
    pixels_path, index_path = stem.with_suffix(".npy"), stem.with_suffix(".json")
    if not (pixels_path.exists() and index_path.exists()):
        cases = _read_cases(source, classes, progress)
        images = _decode_all(cases, image_size, progress)
        _write_array(pixels_path, images)
        index = [{**asdict(case), "path": str(case.path)} for case in cases]
        write_atomically(index_path, json.dumps(index).encode())
    try:
        index = json.loads(index_path.read_text())
        cases = [TrainingCase(**{**entry, "path": Path(entry["path"])}) for entry in index]
        return cases, np.load(pixels_path, mmap_mode="r")
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"The cache {pixels_path} is damaged ({error}). Delete it and start again.") from error


def _key(source: Path, image_size: int, classes: Sequence[DiseaseClass]) -> str:
    """Hash of the manifest or folder, the bytes of every image file, and how they are prepared."""
    key = hashlib.sha256(f"{PREPROCESSING_VERSION}|{image_size}|{classes}|{source.resolve()}".encode())
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.is_file())
    else:
        content = source.read_bytes()
        key.update(content)
        # Only to find the files; what is wrong with the manifest is said by read_manifest.
        names = [row.get("image") or "" for row in csv.DictReader(io.StringIO(content.decode(errors="replace")))]
        files = [source.parent / name for name in names]
    for path in files:
        try:
            key.update(f"{path.name}|".encode() + hashlib.sha256(path.read_bytes()).digest())
        except (OSError, ValueError):
            key.update(f"{path.name}|unreadable".encode())
    return key.hexdigest()


def _read_cases(source: Path, classes: Sequence[DiseaseClass], progress: Progress | None) -> list[TrainingCase]:
    """Rows of a manifest or files of a folder, without excluded cases; every file was decoded once and hashed."""
    if source.is_dir():
        rows = read_folder(source, classes, cohort="training", progress=progress)
    else:
        rows = read_manifest(source, classes, progress=progress)
    index_of = {disease.key: index for index, disease in enumerate(classes)}
    cases = [
        TrainingCase(
            row.case,
            row.patient,
            index_of[row.truth],
            row.cohort,
            row.centre or "",
            row.image_path,
            row.row,
            row.content_sha256 or "",
        )
        for row in rows
        if row.exclusion_reason is None
    ]
    if not cases:
        raise TrainingError(f"{source} holds no case that is not excluded.")
    return cases


def _decode_all(cases: Sequence[TrainingCase], image_size: int, progress: Progress | None) -> np.ndarray:
    """Decode and prepare every file; all problems are found before any is reported."""
    images = np.empty((len(cases), image_size, image_size), dtype=np.uint8)
    problems: list[ImageError] = []

    def decode(index: int) -> ImageError | None:
        case = cases[index]
        prepared = prepare(load_image(case.path).pixels, image_size)
        images[index] = prepared
        if prepared.min() < prepared.max():
            return None
        return ImageError(
            f"every pixel has the grey level {prepared.min()}",
            file=case.path,
            row=case.row,
            fix="remove the case or replace its image",
        )

    with ThreadPoolExecutor(available_cores()) as pool:
        for done, problem in enumerate(pool.map(decode, range(len(cases))), start=1):
            if problem is not None:
                problems.append(problem)
            if progress is not None:
                progress(done, len(cases), "decoding")
    if len(problems) == 1:
        raise problems[0]
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:PROBLEMS_SHOWN])
        rest = f"\n  and {len(problems) - PROBLEMS_SHOWN} more" if len(problems) > PROBLEMS_SHOWN else ""
        raise ImageError(f"{len(problems)} images show nothing, found before training:\n{shown}{rest}\n")
    return images


def _write_array(path: Path, array: np.ndarray) -> None:
    """Write a NumPy file whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
