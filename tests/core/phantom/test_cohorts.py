"""Cohorts: Table 1 of the paper exactly, and files that say nothing of the class."""

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from core.errors import InputError
from core.imaging import load_image, read_manifest
from core.phantom import CENTRES, CohortPlan, generate_case, paper_cohorts, plan_members, small_cohorts, write_cohorts
from core.phantom.contact_sheet import contact_sheet

TABLE_1 = {
    "training": ((520, 484, 531, 532), 2067, 1503, 45.48, 14.31),
    "internal": ((130, 120, 132, 132), 514, 366, 46.05, 15.82),
    "external": ((158, 138, 163, 154), 613, 460, 42.49, 13.70),
}


@pytest.mark.parametrize("plan", paper_cohorts(), ids=lambda plan: plan.cohort)
def test_paper_cohorts_are_table_1(plan):
    """Class counts, women, mean and SD of age (Zhao et al. 2023, Table 1)."""
    counts, size, women, mean, sd = TABLE_1[plan.cohort]
    members = plan_members(plan)
    drawn = Counter(member.disease for member in members)
    assert tuple(drawn[key] for key in ("graves", "normal", "sat", "tumor")) == counts
    assert len(members) == plan.size == size
    assert sum(member.sex == "F" for member in members) == women
    ages = np.array([member.age_years for member in members])
    assert ages.mean() == pytest.approx(mean, abs=0.1)
    assert ages.std(ddof=1) == pytest.approx(sd, abs=0.1)
    assert ages.min() >= 14
    assert ages.max() <= 90


def test_sex_and_age_do_not_tell_the_class():
    """The paper gives them per set only; shares and means of every class agree with the set's within four errors."""
    members = plan_members(paper_cohorts()[0])
    for disease in ("graves", "normal", "sat", "tumor"):
        group = [member for member in members if member.disease == disease]
        women = np.mean([member.sex == "F" for member in group])
        assert women == pytest.approx(1503 / 2067, abs=4 * np.sqrt(0.7271 * 0.2729 / len(group)))
        assert np.mean([m.age_years for m in group]) == pytest.approx(45.48, abs=4 * 14.31 / np.sqrt(len(group)))


def test_centres_are_those_of_the_paper_and_the_external_set_is_shared_within_each_class():
    """Centre 1 gives training and internal cases; C2 and C3 differ by at most one case a class."""
    for plan in paper_cohorts():
        by_class = Counter((member.disease, member.centre) for member in plan_members(plan))
        if plan.cohort != "external":
            assert {centre for _, centre in by_class} == {"C1"}
        else:
            for disease in plan.counts:
                assert abs(by_class[disease, "C2"] - by_class[disease, "C3"]) <= 1


def test_names_are_unique_over_all_cohorts_and_tell_no_class():
    """No id or file name is shared, and none can be computed from the class."""
    members = [member for plan in paper_cohorts() for member in plan_members(plan)]
    for name in ("case", "patient", "image_name", "mask_name"):
        assert len({getattr(member, name) for member in members}) == len(members)
    plan = small_cohorts({"training": 6})[0]
    other = CohortPlan(**{**vars(plan), "counts": {"graves": 24}})
    assert [m.image_name for m in plan_members(plan)] == [m.image_name for m in plan_members(other)]


def test_order_of_the_manifest_does_not_follow_the_class():
    """Ranks of the four classes have about the same mean."""
    members = plan_members(paper_cohorts()[0])
    for disease in ("graves", "normal", "sat", "tumor"):
        ranks = [place for place, member in enumerate(members) if member.disease == disease]
        assert np.mean(ranks) == pytest.approx(len(members) / 2, abs=4 * len(members) / np.sqrt(12 * len(ranks)))


def test_small_cohorts_keep_the_proportions():
    """Balanced classes; internal and external about a quarter and 30 per cent of training."""
    sizes = {plan.cohort: plan.counts["sat"] for plan in small_cohorts(40)}
    assert sizes == {"training": 40, "internal": 10, "external": 12}
    assert [plan.cohort for plan in small_cohorts({"external": 3})] == ["external"]
    for bad in (0, {"training": 0}, {"holiday": 3}):
        with pytest.raises(InputError):
            small_cohorts(bad)


def _digest(folder):
    """SHA-256 of all names and bytes below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def test_written_cohorts_do_not_depend_on_the_number_of_workers(tmp_path):
    """Every byte of every file is the same from one and from two processes."""
    plans = small_cohorts({"training": 3, "external": 2}, "workers")
    calls = []
    write_cohorts(plans, tmp_path / "one", image_format="jpeg", progress=lambda *call: calls.append(call))
    write_cohorts(plans, tmp_path / "two", image_format="jpeg", workers=2)
    assert _digest(tmp_path / "one") == _digest(tmp_path / "two")
    assert calls[-1] == (20, 20, "phantoms")
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)


@pytest.mark.parametrize(
    ("image_format", "bits", "extension"),
    [("png", 8, ".png"), ("jpeg", 8, ".jpg"), ("counts", 16, ".png"), ("dicom", 16, ".dcm")],
)
def test_every_format_is_read_back_by_the_importer(tmp_path, image_format, bits, extension):
    """The manifest passes every check, masks fit their images, and lossless formats return the pixels exactly."""
    plans = small_cohorts({"training": 1, "external": 2}, "formats")
    rows = read_manifest(write_cohorts(plans, tmp_path / "out", image_format=image_format))
    members = {member.case: member for plan in plans for member in plan_members(plan)}
    assert len(rows) == 12
    for row in rows:
        member = members[row.case]
        image = load_image(row.image_path)
        case = generate_case(member.seed_key, member.disease, centre=member.centre, knobs=member.knobs, sex=member.sex)
        assert (image.bits, row.image_path.suffix) == (bits, extension)
        assert (row.truth, row.centre, row.sex, row.age_years) == (
            member.disease,
            member.centre,
            member.sex,
            member.age_years,
        )
        assert (row.lesion_mask_path is None) == (member.disease == "normal")
        if image_format in ("counts", "dicom"):
            assert np.array_equal(image.pixels, case.counts)
        elif image_format == "png":
            assert np.array_equal(image.pixels, case.picture)
        else:
            assert np.corrcoef(image.pixels.ravel(), case.picture.ravel())[0, 1] > 0.9
        if image_format == "dicom":
            assert image.pixel_spacing_mm == pytest.approx(case.pixel_spacing_mm, abs=1e-6)


def test_a_centre_may_colour_its_archive(tmp_path):
    """Hot iron is written in colour and read back as grey in the same order of brightness."""
    centres = {**CENTRES, "C1": replace(CENTRES["C1"], colour_table="hot-iron")}
    plans = small_cohorts({"internal": 1}, "colour")
    rows = read_manifest(write_cohorts(plans, tmp_path / "out", centres=centres))
    plain = read_manifest(write_cohorts(plans, tmp_path / "plain"))
    for row, other in zip(rows, plain, strict=True):
        coloured, grey = load_image(row.image_path), load_image(other.image_path)
        assert "luminance" in coloured.notes[0]
        order = np.argsort(grey.pixels, axis=None, kind="stable")
        assert (np.diff(coloured.pixels.ravel()[order].astype(int)) >= 0).all()


def test_dicom_files_are_valid_static_nuclear_medicine(tmp_path):
    """Required attributes of the NM Image IOD are there, and the patient is declared synthetic."""
    manifest = write_cohorts(small_cohorts({"internal": 1}, "iod"), tmp_path / "out", image_format="dicom")
    for path in (manifest.parent / "images").iterdir():
        data = pydicom.dcmread(path)
        assert data.SOPClassUID == pydicom.uid.NuclearMedicineImageStorage
        assert list(data.ImageType) == ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
        assert (data.Modality, data.NumberOfFrames, data.BurnedInAnnotation) == ("NM", 1, "NO")
        assert data.PatientIdentityRemoved == "YES"
        assert str(data.PatientName) == "SYNTHETIC^PHANTOM"
        assert data.CountsAccumulated == int(data.pixel_array.sum())
        for name in (
            "FrameIncrementPointer",
            "EnergyWindowVector",
            "NumberOfEnergyWindows",
            "DetectorVector",
            "NumberOfDetectors",
            "EnergyWindowInformationSequence",
            "RadiopharmaceuticalInformationSequence",
            "DetectorInformationSequence",
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "PixelSpacing",
        ):
            assert name in data
        assert data.SOPInstanceUID == data.file_meta.MediaStorageSOPInstanceUID
        assert len({data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID}) == 3
        assert all(len(uid) <= 64 for uid in (data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID))


def test_image_bytes_carry_neither_class_nor_subtype(tmp_path):
    """No word that tells the truth stands in any image file or its name."""
    words = [b"graves", b"normal", b"sat", b"tumor", b"cold", b"nodule", b"thyroiditis", b"disease"]
    for image_format in ("png", "dicom"):
        out = tmp_path / image_format
        write_cohorts(small_cohorts({"internal": 2}, "canary"), out, image_format=image_format)
        for path in (out / "images").iterdir():
            head = path.read_bytes()
            if image_format == "dicom":
                data = pydicom.dcmread(path)
                del data.PixelData
                head = str(data).encode()
            else:
                head = head.split(b"IDAT")[0]
            assert not [word for word in words if word in (head + path.name.encode()).lower()]


def test_parameters_stand_beside_the_manifest_and_not_in_it(tmp_path):
    """Subtype and uptake are truth: they are in params.csv only, one line a case."""
    manifest = write_cohorts(small_cohorts({"internal": 2}, "params"), tmp_path / "out")
    with manifest.open() as handle:
        rows = list(csv.DictReader(handle))
    with manifest.with_name("params.csv").open() as handle:
        parameters = list(csv.DictReader(handle))
    assert [row["case"] for row in rows] == [row["case"] for row in parameters]
    assert not {"subtype", "uptake_percent"} & set(rows[0])
    assert {row["is_synthetic"] for row in parameters} == {"yes"}


def test_writing_refuses_what_would_mix_cohorts(tmp_path):
    """A folder with a manifest, the same plan twice, an unknown format, no worker, no case."""
    plans = small_cohorts({"internal": 1}, "refuse")
    write_cohorts(plans, tmp_path)
    for arguments in (
        {"plans": plans, "folder": tmp_path},
        {"plans": plans * 2, "folder": tmp_path / "b"},
        {"plans": plans, "folder": tmp_path / "c", "image_format": "bmp"},
        {"plans": plans, "folder": tmp_path / "d", "workers": 0},
        {"plans": [], "folder": tmp_path / "e"},
    ):
        with pytest.raises(InputError):
            write_cohorts(**arguments)
    assert write_cohorts(plans, tmp_path, overwrite=True).exists()


@pytest.mark.parametrize(
    "change", [{"female_count": 9}, {"counts": {"flu": 3}}, {"counts": {"sat": -1}}, {"centres": ()}]
)
def test_impossible_plans_are_refused(change):
    """More women than cases, unknown classes, negative counts, no centre."""
    fields = {
        "study": "s",
        "cohort": "c",
        "counts": {"sat": 2},
        "female_count": 1,
        "age_mean_years": 45.0,
        "age_sd_years": 14.0,
        "centres": ("C1",),
    }
    CohortPlan(**fields)
    with pytest.raises(InputError):
        CohortPlan(**{**fields, **change})


def test_contact_sheet_shows_every_subtype_at_every_centre():
    """Fourteen subtypes down, three centres across; outlines are coloured."""
    sheet = contact_sheet(cases_per_cell=1, tile=64, masks=True)
    assert sheet.shape == (14 * 64, 3 * 64, 3)
    tile = sheet[12 * 64 + 10 : 13 * 64, :64].astype(int)  # a warm nodule
    assert (tile[..., 0] - tile[..., 2] > 100).any()
    assert (tile[..., 2] - tile[..., 0] > 100).any()


def test_contact_sheets_of_the_documentation_are_there_and_small():
    """Both files are pictures below 700 kB, as the command writes them."""
    docs = Path(__file__).parents[3] / "docs"
    for name, columns in (("phantom_contact_sheet.png", 9 * 104), ("phantom_contact_sheet_masks.png", 6 * 144)):
        assert (docs / name).stat().st_size < 700_000
        with Image.open(docs / name) as image:
            assert image.width == columns
