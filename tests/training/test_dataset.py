"""Data for training: bad files stop before the first epoch with file and row; the cache never serves old pixels."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

import core.imaging.image
from core.errors import ImageError, ManifestError, TrainingError
from core.imaging import load_image
from core.model.preprocessing import prepare, prepare_mask
from core.phantom import generate_case
from core.phantom.dicom import dicom_bytes
from core.protocol import THYROID_CLASSES
from training.dataset import Dataset, check_classes, check_no_leak, open_dataset

Change = Callable[[list[dict[str, str]], Path], None]


@pytest.fixture
def copy(manifest: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """A copy of twelve training and eight internal phantoms whose rows and files a test may spoil."""

    def make(change: Change) -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        with manifest.open() as file:
            rows = list(csv.DictReader(file))
        rows = [row for row in rows if row["cohort"] == "training"][:24] + [
            row for row in rows if row["cohort"] == "internal"
        ][:8]
        for row in rows:
            row["image"] = row["image"].removeprefix("images/")
            row["lesion_mask"] = ""
            shutil.copyfile(manifest.parent / "images" / row["image"], folder / row["image"])
        change(rows, folder)
        target = folder / "manifest.csv"
        with target.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return target

    return make


def unchanged(rows: list[dict[str, str]], folder: Path) -> None:
    """Spoil nothing."""


def test_images_are_prepared_exactly_as_for_prediction(dataset: Dataset) -> None:
    for row in (0, 50, len(dataset.cases) - 1):
        assert np.array_equal(dataset.images[row], prepare(load_image(dataset.cases[row].path).pixels, 32))


def test_lesion_masks_are_prepared_like_the_images_and_empty_where_none_is_given(dataset: Dataset) -> None:
    assert dataset.lesions is not None
    for row, case in enumerate(dataset.cases):
        is_normal = dataset.classes[case.class_index] == "normal"
        assert (case.mask_path is None) == is_normal
        assert dataset.lesions[row].any() == (not is_normal)
    row = next(row for row, case in enumerate(dataset.cases) if case.mask_path is not None)
    case = dataset.cases[row]
    mask = load_image(case.mask_path).pixels > 0
    assert np.array_equal(dataset.lesions[row], prepare_mask(mask, 32))
    part = dataset.image_set(np.array([row]))
    assert part.lesions is not None
    assert np.array_equal(part.lesions[0], dataset.lesions[row])


def test_another_mask_is_noticed_and_leaves_the_hash_of_the_images_alone(
    manifest: Path, copy: Callable[[Change], Path], tmp_path: Path
) -> None:
    upper = np.zeros((256, 256), np.uint8)
    upper[:128] = 255

    def with_masks(rows: list[dict[str, str]], folder: Path) -> None:
        Image.fromarray(upper).save(folder / "part.png")
        for row in rows:
            row["lesion_mask"] = "part.png" if row["class"] == "tumor" else ""

    source = copy(with_masks)
    first = open_dataset(source, 32, tmp_path / "cache")
    assert first.lesions is not None
    n_masks = sum(case.mask_path is not None for case in first.cases)
    assert first.lesions[:, :16].all(axis=(1, 2)).sum() == n_masks
    assert first.lesions[:, 16:].sum() == 0
    Image.fromarray(upper[::-1].copy()).save(source.parent / "part.png")
    second = open_dataset(source, 32, tmp_path / "cache")
    assert second.lesions is not None
    assert second.lesions[:, 16:].all(axis=(1, 2)).sum() == n_masks
    assert second.lesions[:, :16].sum() == 0
    assert second.sha256 == first.sha256
    assert second.lesions_sha256() != first.lesions_sha256()
    assert open_dataset(copy(unchanged), 32, tmp_path / "cache").lesions_sha256() is None


def test_second_opening_reads_the_cache_and_gives_the_same(
    copy: Callable[[Change], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy(unchanged)
    first = open_dataset(source, 32, tmp_path / "cache")
    monkeypatch.setattr("training.dataset.manifest_cases", lambda *args, **rest: pytest.fail("decoded twice"))
    second = open_dataset(source, 32, tmp_path / "cache")
    assert second.cases == first.cases
    assert second.sha256 == first.sha256
    assert np.array_equal(second.images, first.images)


def test_every_image_and_mask_is_decoded_once(
    copy: Callable[[Change], Path], manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    read = core.imaging.image._read_bytes

    def counted(path: Path) -> bytes:
        opened.append(Path(path))
        return read(path)

    monkeypatch.setattr("core.imaging.image._read_bytes", counted)
    source = copy(unchanged)
    assert len(open_dataset(source, 32, tmp_path / "cache").cases) == len(opened) == len(set(opened))


def test_frame_of_the_manifest_is_the_one_that_is_trained_on_and_scored(
    copy: Callable[[Change], Path], tmp_path: Path
) -> None:
    counts = np.random.default_rng(0).poisson(20, (2, 128, 128)).astype(np.uint16)

    def two_frames(rows: list[dict[str, str]], folder: Path) -> None:
        data = pydicom.dcmread(io.BytesIO(dicom_bytes(generate_case(("frame", 1), "normal", centre="C1"), "dummy")))
        data.NumberOfFrames = 2
        data.PixelData = counts.astype("<u2").tobytes()
        data.save_as(folder / "two.dcm", enforce_file_format=True)
        for row in rows:
            row["frame"] = ""
        rows[1] |= {"image": "two.dcm", "frame": "2"}

    dataset = open_dataset(copy(two_frames), 128, tmp_path / "cache")
    again = open_dataset(tmp_path / "data" / "manifest.csv", 128, tmp_path / "cache")
    assert again.cases[1].frame == 2
    assert np.array_equal(dataset.images[1], prepare(counts[1], 128))
    (pixels,) = dataset.pixels(np.array([1]))
    assert np.array_equal(pixels, counts[1])


def test_changed_file_is_decoded_anew(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    source = copy(unchanged)
    first = open_dataset(source, 32, tmp_path / "cache")
    path = first.cases[3].path
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    second = open_dataset(source, 32, tmp_path / "cache")
    assert not np.array_equal(second.images[3], first.images[3])
    assert second.sha256 != first.sha256


def test_data_hash_does_not_depend_on_the_order_of_rows(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    def reverse(rows: list[dict[str, str]], folder: Path) -> None:
        rows.reverse()

    first = open_dataset(copy(unchanged), 32, tmp_path / "cache").sha256
    assert open_dataset(copy(reverse), 32, tmp_path / "cache").sha256 == first


def test_truncated_image_is_named_with_its_row(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    def truncate(rows: list[dict[str, str]], folder: Path) -> None:
        path = folder / rows[4]["image"]
        path.write_bytes(path.read_bytes()[:100])

    source = copy(truncate)
    with pytest.raises(ManifestError, match="row 6") as caught:
        open_dataset(source, 32, tmp_path / "cache")
    with source.open() as file:
        assert list(csv.DictReader(file))[4]["image"] in str(caught.value)


def test_all_bad_rows_are_listed_at_once(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    def spoil(rows: list[dict[str, str]], folder: Path) -> None:
        rows[0]["class"] = "cancer"
        rows[2]["image"] = "missing.png"

    with pytest.raises(ManifestError) as caught:
        open_dataset(copy(spoil), 32, tmp_path / "cache", classes=THYROID_CLASSES)
    assert "row 2" in str(caught.value)
    assert "row 4" in str(caught.value)


def test_same_picture_under_two_names_in_two_cohorts_is_refused(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    """The same pixels saved under another name and other compression would leak from training into a test."""

    def leak(rows: list[dict[str, str]], folder: Path) -> None:
        Image.open(folder / rows[0]["image"]).save(folder / rows[-1]["image"], compress_level=0)

    with pytest.raises(ManifestError, match="same picture") as caught:
        open_dataset(copy(leak), 32, tmp_path / "cache")
    assert "row 33" in str(caught.value)


def test_patient_in_training_and_internal_is_refused(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    def leak(rows: list[dict[str, str]], folder: Path) -> None:
        rows[-1]["patient"] = rows[0]["patient"]

    with pytest.raises(ManifestError, match="patient"):
        open_dataset(copy(leak), 32, tmp_path / "cache")


def test_patient_shared_by_two_evaluation_cohorts_is_refused_once_one_is_trained_on(
    copy: Callable[[Change], Path], tmp_path: Path
) -> None:
    def leak(rows: list[dict[str, str]], folder: Path) -> None:
        rows[-1]["cohort"] = "external"
        rows[-1]["patient"] = rows[-2]["patient"]

    opened = open_dataset(copy(leak), 32, tmp_path / "cache")
    internal, external = (opened.rows_of_cohorts([name]) for name in ("internal", "external"))
    with pytest.raises(ManifestError, match=r"is trained on .* and evaluated on"):
        check_no_leak(opened, internal, external)
    check_no_leak(opened, internal[:-1], external)


def test_blank_image_is_named_with_its_row(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    def blank(rows: list[dict[str, str]], folder: Path) -> None:
        Image.fromarray(np.full((64, 64), 7, np.uint8)).save(folder / rows[5]["image"])

    with pytest.raises(ImageError, match=r"row 7: every pixel has the grey level 7"):
        open_dataset(copy(blank), 32, tmp_path / "cache")


def test_excluded_case_is_left_out(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    def exclude(rows: list[dict[str, str]], folder: Path) -> None:
        rows[1]["exclusion_reason"] = "motion"

    assert len(open_dataset(copy(exclude), 32, tmp_path / "cache").cases) == 31


def test_missing_class_cohort_or_source_is_refused_by_name(dataset: Dataset, tmp_path: Path) -> None:
    rows = dataset.rows_of_cohorts(["training"])
    without = np.array([row for row in rows if dataset.cases[row].class_index != 2])
    with pytest.raises(TrainingError, match="0 cases of class sat"):
        check_classes(dataset, without, "The training part")
    with pytest.raises(TrainingError, match="no cohort 'outside'"):
        dataset.rows_of_cohorts(["outside"])
    with pytest.raises(TrainingError, match="There is no"):
        open_dataset(tmp_path / "nowhere.csv", 32, tmp_path / "cache")


def test_class_named_folder_gives_the_same_images(dataset: Dataset, tmp_path: Path) -> None:
    for case in dataset.cases[:40]:
        folder = tmp_path / "folder" / dataset.classes[case.class_index]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(case.path, folder / case.path.name)
    opened = open_dataset(tmp_path / "folder", 32, tmp_path / "cache")
    by_content = {case.content_sha256: row for row, case in enumerate(opened.cases)}
    for row, case in enumerate(dataset.cases[:40]):
        other = by_content[case.content_sha256]
        assert opened.cases[other].class_index == case.class_index
        assert np.array_equal(opened.images[other], dataset.images[row])
    assert opened.cohorts == ("training",)


def test_damaged_cache_is_named(copy: Callable[[Change], Path], tmp_path: Path) -> None:
    source = copy(unchanged)
    open_dataset(source, 32, tmp_path / "cache")
    next((tmp_path / "cache").glob("*.npy")).write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="Delete it"):
        open_dataset(source, 32, tmp_path / "cache")
