"""Synthetic cohorts on disk: image files, lesion masks, a manifest that imports, and the simulator's parameters."""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from core.errors import InputError
from core.imaging.png import encode_png
from core.phantom.camera import CENTRES, Centre, apply_colour_table
from core.phantom.case import PhantomCase, generate_case
from core.phantom.cohorts import CohortPlan, Member, plan_members
from core.phantom.dicom import dicom_bytes
from core.progress import OnProgress

#: Image formats and their file extensions.
EXTENSIONS = {"png": "png", "jpeg": "jpg", "dicom": "dcm", "counts": "png"}
MANIFEST_COLUMNS = (
    "image",
    "case",
    "patient",
    "class",
    "centre",
    "scanner",
    "cohort",
    "age",
    "sex",
    "exclusion_reason",
    "lesion_mask",
)
PARAMETER_COLUMNS = (
    "case",
    "study",
    "cohort",
    "class",
    "index",
    "subtype",
    "centre",
    "scanner",
    "uptake_percent",
    "nodule_diameters_mm",
    "total_counts",
    "zoom",
    "image_pixel_mm",
    "is_synthetic",
)
_CHUNK = 8  # cases a worker makes before it reports


def write_cohorts(
    plans: Sequence[CohortPlan],
    folder: Path | str,
    *,
    image_format: str = "png",
    workers: int | None = 1,
    progress: OnProgress | None = None,
    centres: Mapping[str, Centre] | None = None,
    overwrite: bool = False,
) -> Path:
    """Simulate cohorts and write them with a manifest.

    Every file is the same to the byte for any number of workers. ``params.csv`` beside the manifest holds seeds,
    subtypes and uptake; these are truth and must never be features of a model.

    Parameters
    ----------
    plans : sequence of CohortPlan
        From :func:`paper_cohorts` or :func:`small_cohorts`.
    folder : Path
        Made when missing; gets ``images/``, ``masks/``, ``manifest.csv`` and ``params.csv``.
    image_format : str
        "png": 8-bit export, 256 x 256; "jpeg": the same at the centre's quality; "counts": native counts as 16-bit
        PNG; "dicom": native counts as DICOM NM.
    workers : int, optional
        Processes; None takes as many as there are usable processors.
    progress : callable, optional
        ``progress(done, total, what)``.
    centres : mapping, optional
        Another set of centres, from :func:`read_centres`.
    overwrite : bool
        Whether a manifest that is there already may be replaced.

    Returns
    -------
    Path
        The manifest, which :func:`core.imaging.read_manifest` takes.

    Raises
    ------
    InputError
        If the format is unknown, two plans make the same case, or the folder already holds a manifest.
    """
    if image_format not in EXTENSIONS:
        raise InputError(
            "unknown image format", field="image_format", value=image_format, fix="use " + ", ".join(EXTENSIONS)
        )
    folder = Path(folder)
    manifest = folder / "manifest.csv"
    if manifest.exists() and not overwrite:
        raise InputError("the folder already holds a manifest", file=manifest, fix="choose another folder")
    members = [member for plan in plans for member in plan_members(plan)]
    if not members:
        raise InputError("these plans hold no case", field="plans")
    if len({member.case for member in members}) != len(members):
        raise InputError(
            "two plans make the same cases", field="plans", fix="give each study and cohort its own name, once"
        )
    known = dict(centres) if centres is not None else CENTRES
    for member in members:
        if member.centre not in known:
            raise InputError("there is no such centre", field="centres", value=member.centre)
    manifest.unlink(missing_ok=True)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    rows = _make_all(members, folder, image_format, known, _worker_count(workers), progress)
    _write_csv(folder / "params.csv", PARAMETER_COLUMNS, (row[1] for row in rows))
    _write_csv(manifest, MANIFEST_COLUMNS, (row[0] for row in rows))  # last: a manifest means a whole cohort
    return manifest


_Row = tuple[dict[str, str], dict[str, str]]


def _worker_count(workers: int | None) -> int:
    """Processes to use."""
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if workers < 1:
        raise InputError("at least one worker is needed", field="workers", value=workers)
    return workers


def _make_all(
    members: Sequence[Member],
    folder: Path,
    image_format: str,
    centres: dict[str, Centre],
    workers: int,
    progress: OnProgress | None,
) -> list[_Row]:
    """Make every case, here or in processes; rows come back in the order of ``members``."""
    chunks = [list(members[start : start + _CHUNK]) for start in range(0, len(members), _CHUNK)]
    results: list[list[_Row]] = [[] for _ in chunks]
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, len(members), "phantoms")

    if workers == 1:
        for place, chunk in enumerate(chunks):
            results[place] = _make_chunk(chunk, folder, image_format, centres)
            report(len(chunk))
    else:
        context = multiprocessing.get_context("spawn")  # a forked process would inherit locks of other threads
        with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
            jobs = {
                pool.submit(_make_chunk, chunk, folder, image_format, centres): place
                for place, chunk in enumerate(chunks)
            }
            for job in as_completed(jobs):
                results[jobs[job]] = job.result()
                report(len(chunks[jobs[job]]))
    return [row for rows in results for row in rows]


def _make_chunk(members: list[Member], folder: Path, image_format: str, centres: dict[str, Centre]) -> list[_Row]:
    """Make and write some cases on one thread."""
    with threadpool_limits(limits=1, user_api="blas"):  # small matrices: more threads only fight
        return [_make(member, folder, image_format, centres[member.centre]) for member in members]


def _make(member: Member, folder: Path, image_format: str, centre: Centre) -> _Row:
    """Make and write one case; its rows of manifest and parameters."""
    phantom = generate_case(
        member.seed_key,
        member.disease,
        centre=centre,
        knobs=member.knobs,
        sex=member.sex,
        age_years=member.age_years,
    )
    image = Path("images") / f"{member.image_name}.{EXTENSIONS[image_format]}"
    data, shape = image_bytes(phantom, image_format, centre=centre, patient=member.patient)
    (folder / image).write_bytes(data)
    mask = ""
    if phantom.lesion_mask.any():
        mask = f"masks/{member.mask_name}.png"
        (folder / mask).write_bytes(encode_png(shrink_mask(phantom.lesion_mask, shape[0]).astype(np.uint8) * 255))
    manifest = {
        "image": image.as_posix(),
        "case": member.case,
        "patient": member.patient,
        "class": member.disease,
        "centre": phantom.centre,
        "scanner": phantom.scanner,
        "cohort": member.cohort,
        "age": str(member.age_years),
        "sex": member.sex,
        "exclusion_reason": "",
        "lesion_mask": mask,
    }
    parameters = {
        "case": member.case,
        "study": member.study,
        "cohort": member.cohort,
        "class": member.disease,
        "index": str(member.index),
        "subtype": phantom.subtype,
        "centre": phantom.centre,
        "scanner": phantom.scanner,
        "uptake_percent": f"{phantom.uptake_percent:.4f}",
        "nodule_diameters_mm": " ".join(f"{size:.1f}" for size in phantom.nodule_diameters_mm),
        "total_counts": str(int(phantom.counts.sum())),
        "zoom": f"{phantom.acquisition.zoom:g}",
        "image_pixel_mm": f"{phantom.picture_spacing_mm * 256 / shape[0]:.5f}",
        "is_synthetic": "yes",
    }
    return manifest, parameters


def image_bytes(
    phantom: PhantomCase, image_format: str, *, centre: Centre, patient: str = "synthetic"
) -> tuple[bytes, tuple[int, int]]:
    """One phantom as the bytes of an image file, and the picture's (height, width)."""
    if image_format == "counts":
        return encode_png(phantom.counts), (phantom.counts.shape[0], phantom.counts.shape[1])
    if image_format == "dicom":
        return dicom_bytes(phantom, patient), (phantom.counts.shape[0], phantom.counts.shape[1])
    picture = apply_colour_table(phantom.picture, centre.colour_table)
    shape = (picture.shape[0], picture.shape[1])
    buffer = io.BytesIO()
    if image_format == "png":
        Image.fromarray(picture).save(buffer, format="PNG", compress_level=4)
    else:
        Image.fromarray(picture).save(buffer, format="JPEG", quality=phantom.acquisition.jpeg_quality)
    return buffer.getvalue(), shape


def shrink_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A square mask on a coarser grid: a pixel belongs to it when half of its area does."""
    factor = mask.shape[0] // size
    blocks = mask.reshape(size, factor, size, factor).mean(axis=(1, 3))
    return np.asarray(blocks >= 0.5)


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, str]]) -> None:
    """A CSV in one piece: written beside its place, then moved there."""
    draft = path.with_name(path.name + ".part")
    with draft.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(path)
