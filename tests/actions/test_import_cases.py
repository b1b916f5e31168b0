"""Import from files: each image decoded once, what was done to it in summary and store, all or nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

import core.imaging.manifest
from actions.export_study import image_notes_table
from actions.import_cases import import_cases
from core.errors import InputError, ManifestError
from core.imaging import encode_png
from core.phantom import generate_case
from core.phantom.dicom import dicom_bytes
from core.protocol import Protocol
from db import OPERATOR, Repository, create_store

PICTURES = [np.random.default_rng(seed).integers(0, 200, (40, 48), np.uint8) for seed in range(8)]
COLUMNS = ["image", "case", "patient", "class", "cohort", "lesion_mask", "exclusion_reason"]


@pytest.fixture
def store(tmp_path: Path) -> Repository:
    repository = Repository(create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}"), OPERATOR)
    repository.create_study("draft", Protocol(title="Draft"))
    return repository


def write(folder: Path, files: dict[str, bytes], **columns: dict[str, str]) -> Path:
    """A manifest with one case a file, classes in turn."""
    folder.mkdir(exist_ok=True)
    rows = []
    for index, (name, content) in enumerate(files.items()):
        (folder / name).write_bytes(content)
        row = {"image": name, "case": f"c{index}", "patient": f"p{index}", "cohort": "internal"}
        row["class"] = ("graves", "normal", "sat", "tumor")[index % 4]
        rows.append({**row, **{column: values.get(name, "") for column, values in columns.items()}})
    with (folder / "manifest.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


def turned(pixels: np.ndarray) -> bytes:
    """A JPEG that its EXIF block turns."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=95, exif=exif)
    return buffer.getvalue()


def test_notes_reach_summary_store_and_export(store: Repository, tmp_path: Path) -> None:
    """Grouped and counted in the summary, one row a case in the table; loud ones name their cases."""
    files = {f"{index}.png": encode_png(pixels) for index, pixels in enumerate(PICTURES[:4])}
    files |= {"t0.jpg": turned(PICTURES[4]), "t1.jpg": turned(PICTURES[5])}
    files |= {"black.png": encode_png(np.zeros((40, 48), np.uint8))}
    manifest = write(tmp_path / "set", files)
    checked = import_cases(store, "draft", manifest, is_check_only=True)
    assert store.cases("draft") == []
    report = import_cases(store, "draft", manifest)
    assert report == checked
    assert report.summary.image_notes == (
        "2 images: EXIF orientation applied: turned upright",
        "2 images: metadata left out",
    )
    assert "1 image: BLACK FRAME: there is nothing to read (case c6)" in report.warnings
    cases = {case.case: case for case in store.cases("draft")}
    assert cases["c0"].image_notes == ()
    assert cases["c4"].image_notes[0] == "EXIF orientation applied: turned upright (orientation 6)"
    (jpeg,), (png,) = cases["c4"].views, cases["c0"].views
    assert (jpeg.file_format, png.file_format, jpeg.width) == ("JPEG", "PNG", 40)
    table = image_notes_table(store, "draft").set_index("case")
    assert table.loc["c4", "image_notes"].startswith("EXIF orientation applied")
    assert table.loc["c6", "image_notes"].startswith("BLACK FRAME")
    assert (table.loc["c0", "image_notes"], table.loc["c0", "file_format"]) == ("", "PNG")
    assert store.audit_trail("draft")[-1].detail["image_notes"] == list(report.summary.image_notes)


def test_every_file_is_decoded_once(store: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted at the only door through which import reads images."""
    read: list[str] = []
    load = core.imaging.manifest.load_image

    def counted(path: Path, frame: int | None = None, **how: bool):
        read.append(path.name)
        return load(path, frame, **how)

    monkeypatch.setattr(core.imaging.manifest, "load_image", counted)
    files = {f"{index}.png": encode_png(pixels) for index, pixels in enumerate(PICTURES)}
    import_cases(store, "draft", write(tmp_path / "set", files))
    assert sorted(read) == sorted(files)


def test_problems_of_images_and_table_come_together_and_nothing_is_written(store: Repository, tmp_path: Path) -> None:
    """A bad image after good ones, a class that does not exist, a picture twice."""
    files = {f"{index}.png": encode_png(pixels) for index, pixels in enumerate(PICTURES)}
    files["5.png"] = b""
    files["7.png"] = files["0.png"]
    manifest = write(tmp_path / "set", files)
    manifest.write_text(manifest.read_text().replace("2.png,c2,p2,sat", "2.png,c2,p2,flu"))
    for is_check_only in (True, False):
        with pytest.raises(ManifestError) as caught:
            import_cases(store, "draft", manifest, is_check_only=is_check_only)
        assert [error.row for error in caught.value.errors] == [4, 7, 9]  # type: ignore[attr-defined]
    assert store.cases("draft") == []


def test_an_empty_mask_is_no_mask_and_is_said(store: Repository, tmp_path: Path) -> None:
    files = {f"{index}.png": encode_png(pixels) for index, pixels in enumerate(PICTURES[:4])}
    manifest = write(tmp_path / "set", files, lesion_mask={"3.png": "mask.png"})
    (tmp_path / "set" / "mask.png").write_bytes(encode_png(np.zeros((40, 48), np.uint8)))
    report = import_cases(store, "draft", manifest)
    assert "1 image: EMPTY LESION MASK: no pixel is marked, taken as no mask (case c3)" in report.warnings


def test_a_folder_of_classes_is_imported_with_notes(store: Repository, tmp_path: Path) -> None:
    for index, name in enumerate(("graves", "normal", "sat", "tumor")):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / f"{name}.jpg").write_bytes(turned(PICTURES[index]))
    report = import_cases(store, "draft", tmp_path / "set")
    assert report.summary.n_cases == 4
    assert report.summary.image_notes[0] == "4 images: EXIF orientation applied: turned upright"
    assert "patient of its own" in report.warnings[-1]


def test_a_size_that_names_the_class_is_warned_of_stored_and_in_the_trail(store: Repository, tmp_path: Path) -> None:
    """Also when the classes come in two imports, each of one size."""
    wide = [np.random.default_rng(seed).integers(0, 200, (40, 64), np.uint8) for seed in range(8)]
    files = {f"{index}.png": encode_png((wide if index % 4 == 3 else PICTURES)[index]) for index in range(8)}
    manifest = write(tmp_path / "set", files)
    report = import_cases(store, "draft", manifest)
    assert report.warnings[0].startswith("THE IMAGE SIZE GIVES THE CLASS AWAY in cohort 'internal'")
    assert "64 x 40: tumor 2" in report.warnings[0]
    assert [found.property for found in store.image_giveaways("draft")] == ["image size"]
    assert store.audit_trail("draft")[-1].detail["warnings"] == list(report.summary.warnings)
    other = Repository(create_store(f"sqlite:///{tmp_path / 'other.sqlite3'}"), OPERATOR)
    other.create_study("twice", Protocol(title="Twice"))
    text = manifest.read_text().splitlines()
    for part, lines in (("a", [row for row in text if ",tumor," not in row]), ("b", [text[0], text[4], text[8]])):
        (manifest.parent / f"{part}.csv").write_text("\n".join(lines))
        report = import_cases(other, "twice", manifest.parent / f"{part}.csv")
    assert report.warnings[0].startswith("THE IMAGE SIZE GIVES THE CLASS AWAY")


def test_a_static_of_two_detectors_is_refused_with_a_fix_that_works(store: Repository, tmp_path: Path) -> None:
    """Anterior and posterior in one file: the manifest names the frame, each view can be a case."""
    phantom = generate_case(("two-frames", 1), "normal", centre="C1")
    data = pydicom.dcmread(io.BytesIO(dicom_bytes(phantom, "dummy")))
    data.NumberOfFrames, data.NumberOfDetectors, data.DetectorVector = 2, 2, [1, 2]
    data.PixelData = phantom.counts.astype("<u2").tobytes() + phantom.counts[:, ::-1].astype("<u2").tobytes()
    data.save_as(tmp_path / "scan.dcm")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("image,case,patient,class,cohort\nscan.dcm,a,p,normal,internal\n")
    with pytest.raises(ManifestError, match=r"2 frames: 1 \(detector 1\); 2 \(detector 2\).*name one, 1 to 2"):
        import_cases(store, "draft", manifest)
    rows = ["image,frame,case,patient,class,cohort", "scan.dcm,1,a,p,normal,internal", "scan.dcm,2,b,p,sat,internal"]
    manifest.write_text("\n".join(rows))
    import_cases(store, "draft", manifest)
    assert np.array_equal(store.case_image("draft", "a").pixels, phantom.counts)
    assert np.array_equal(store.case_image("draft", "b").pixels, phantom.counts[:, ::-1])
    assert "one frame of several taken (2 (detector 2) of 2)" in store.cases("draft")[1].image_notes


def test_the_frames_of_a_static_become_views_of_one_case(store: Repository, tmp_path: Path) -> None:
    """Two rows name one file, one case and two frames; the header says on which side the patient's left lies."""
    lines = ["image,frame,case,view,patient,class,cohort"]
    for number in range(2):
        phantom = generate_case(("two-views", number), "normal", centre="C1")
        data = pydicom.dcmread(io.BytesIO(dicom_bytes(phantom, "dummy")))
        data.NumberOfFrames, data.NumberOfDetectors, data.DetectorVector = 2, 2, [1, 2]
        data.DetectorInformationSequence = [_seen_from("anterior projection"), _seen_from("posterior projection")]
        data.PixelData = phantom.counts.astype("<u2").tobytes() + phantom.counts[:, ::-1].astype("<u2").tobytes()
        data.save_as(tmp_path / f"{number}.dcm")
        for frame, view in ((1, "anterior"), (2, "posterior")):
            lines.append(f"{number}.dcm,{frame},c{number},{view},p{number},{('sat', 'tumor')[number]},internal")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    report = import_cases(store, "draft", tmp_path / "manifest.csv")
    assert (report.summary.n_cases, report.summary.n_images_new) == (2, 4)
    assert report.summary.views == ("anterior", "posterior")
    assert store.views("draft") == ("anterior", "posterior")
    assert np.array_equal(store.case_image("draft", "c1").pixels, phantom.counts)
    assert np.array_equal(store.case_image("draft", "c1", "posterior").pixels, phantom.counts[:, ::-1])
    assert [view.left_side for view in store.cases("draft")[0].views] == ["image-right", "image-left"]
    table = image_notes_table(store, "draft")
    assert list(zip(table["case"], table["view"], strict=True)) == [
        ("c0", "anterior"), ("c0", "posterior"), ("c1", "anterior"), ("c1", "posterior"),
    ]  # fmt: skip


def _seen_from(meaning: str) -> pydicom.Dataset:
    """A detector and the name of its view."""
    detector, view = pydicom.Dataset(), pydicom.Dataset()
    view.CodeMeaning = meaning
    detector.ViewCodeSequence = [view]
    return detector


def test_colour_that_is_meant_comes_in_as_it_is(store: Repository, tmp_path: Path) -> None:
    """A rainbow is refused where grey is wanted and kept where the manifest says so; grey beside it is said."""
    rainbow = np.random.default_rng(3).integers(0, 256, (40, 48, 3), np.uint8)
    files = {"a.png": encode_png(rainbow), "b.png": encode_png(PICTURES[1])}
    manifest = write(tmp_path / "set", files)
    with pytest.raises(ManifestError, match="hot would become dark"):
        import_cases(store, "draft", manifest)
    header, *rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join([f"{header},colour", *(f"{row},keep" for row in rows)]))
    report = import_cases(store, "draft", manifest)
    assert np.array_equal(store.case_image("draft", "c0").pixels, rainbow)
    assert np.array_equal(store.case_image("draft", "c1").pixels, np.repeat(PICTURES[1][..., None], 3, axis=2))
    assert report.summary.image_notes == (
        "1 image: colour kept as it is",
        "1 image: grey picture kept as colour: three equal channels",
    )
    (view,) = store.cases("draft")[0].views
    assert (view.is_colour, view.bits) == (True, 8)


def test_one_view_is_not_grey_in_one_case_and_coloured_in_the_next(store: Repository, tmp_path: Path) -> None:
    files = {f"{n}.png": encode_png(np.repeat(PICTURES[n][..., None], 3, axis=2)) for n in range(2)}
    manifest = write(tmp_path / "set", files)
    header, *rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join([f"{header},colour", f"{rows[0]},keep", f"{rows[1]},"]))
    with pytest.raises(InputError, match=r"row 3.*row 2 has this view in colour, this row in grey.*keep in every row"):
        import_cases(store, "draft", manifest)
    assert store.cases("draft") == []
