"""Bad inputs on manifests, items 1 to 26, and on class-named folders: every problem at once, nothing half taken."""

import contextlib
import csv
import io
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ManifestError
from core.imaging import ManifestErrors, encode_png, is_loud, manifest_cases, read_folder, read_manifest
from core.phantom import generate_case
from core.phantom.dicom import dicom_bytes
from core.protocol import THYROID_CLASSES, DiseaseClass

COLUMNS = ["image", "case", "patient", "class", "centre", "scanner", "cohort", "age", "sex", "exclusion_reason"]
CLASSES = ["graves", "normal", "sat", "tumor"]
PICTURES = [np.random.default_rng(seed).integers(0, 256, (20, 24), np.uint8) for seed in range(8)]


@pytest.fixture
def folder(tmp_path):
    """Eight images below a folder, and one outside it."""
    inside = tmp_path / "study"
    (inside / "images").mkdir(parents=True)
    for index, pixels in enumerate(PICTURES):
        (inside / "images" / f"{index}.png").write_bytes(encode_png(pixels))
    (tmp_path / "outside.png").write_bytes(encode_png(255 - PICTURES[0]))
    return inside


def good_rows():
    """Eight valid rows, two of each class, in two cohorts."""
    return [
        {
            "image": f"images/{index}.png",
            "case": f"c{index}",
            "patient": f"p{index}",
            "class": CLASSES[index % 4],
            "centre": "C1",
            "scanner": "GE",
            "cohort": "training" if index < 4 else "internal",
            "age": str(40 + index),
            "sex": "FM"[index % 2],
            "exclusion_reason": "",
        }
        for index in range(8)
    ]


def csv_text(rows, columns=COLUMNS):
    """Rows as CSV text."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def read(folder, content):
    """Write a manifest and read it."""
    path = folder / "manifest.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_manifest(path)


def problems(folder, content):
    """Errors with which a manifest is refused."""
    with pytest.raises(ManifestErrors) as caught:
        read(folder, content)
    assert caught.value.code == "bad-manifest"
    assert all(isinstance(error, ManifestError) and error.file and error.fix for error in caught.value.errors)
    return caught.value.errors


def changed(row, **values):
    """Eight valid rows with some values of one of them changed."""
    rows = good_rows()
    rows[row].update(values)
    return csv_text(rows)


GOOD = csv_text(good_rows())
LINES = GOOD.splitlines()

WHOLE_FILE = {
    "1 empty": ("", 1, None, "empty"),
    "1 blank lines only": ("\n\n \n", 1, None, "empty"),
    "2 header only": (LINES[0], 2, None, "no row below"),
    "3 missing column": (GOOD.replace(",patient,", ",age2,", 1), 1, "patient", "missing"),
    "4 unknown column": (GOOD.replace(",scanner,", ",scaner,", 1), 1, "scaner", "unknown column"),
    "5 duplicate column": (GOOD.replace(",scanner,", ",centre,", 1), 1, "centre", "twice"),
    "6 short row": ("\n".join([*LINES[:3], LINES[3].rsplit(",", 2)[0], *LINES[4:]]), 4, None, "too few fields: 8"),
    "7 long row": ("\n".join([*LINES[:3], LINES[3] + ",x", *LINES[4:]]), 4, None, "too many fields: 11"),
    "10 Latin-1": (GOOD.replace("GE", "Gé").encode("latin-1"), 2, None, "not UTF-8"),
    "11 NUL": (GOOD.replace("c3", "c\0"), 5, None, "NUL"),
    "12 unclosed quote": (GOOD.replace("GE", '"GE', 1), 2, None, "never closed"),
    "12 text after a quote": (GOOD.replace("GE", '"G"E', 1), 2, None, "quoting"),
}


@pytest.mark.parametrize("item", list(WHOLE_FILE))
def test_broken_files_are_refused_with_row_and_column(folder, item):
    """Items 1 to 12."""
    content, row, field, reason = WHOLE_FILE[item]
    first = problems(folder, content)[0]
    found = [error for error in problems(folder, content) if reason in error.problem]
    assert found, first
    assert (found[0].row, found[0].field) == (row, field)


FIELDS = {
    "13 duplicate case id": ({"case": "c0"}, "case", "stands in row 2 already"),
    "14 blank case id": ({"case": " "}, "case", "blank"),
    "14 blank patient": ({"patient": ""}, "patient", "blank"),
    "14 blank cohort": ({"cohort": ""}, "cohort", "blank"),
    "14 blank image": ({"image": ""}, "image", "blank"),
    "16 id with outer blanks": ({"case": "c9 "}, "case", "blanks before or after"),
    "16 label of blanks": ({"class": "  "}, "class", "blank"),
    "17 label outside the set": ({"class": "cancer"}, "class", "unknown class"),
    "18 boolean label": ({"class": "TRUE"}, "class", "unknown class"),
    "18 number label": ({"class": "1"}, "class", "unknown class"),
    "19 path climbs": ({"image": "../outside.png"}, "image", "climbs"),
    "19 path climbs inside": ({"image": "images/../images/5.png"}, "image", "climbs"),
    "20 absolute path": ({"image": "/etc/hostname"}, "image", "absolute"),
    "20 drive letter": ({"image": "C:/a.png"}, "image", "absolute"),
    "20 home": ({"image": "~/a.png"}, "image", "absolute"),
    "20 address": ({"image": "https://example.org/a.png"}, "image", "absolute"),
    "20 backslashes": ({"image": "images\\5.png"}, "image", "backslashes"),
    "22 missing file": ({"image": "images/none.png"}, "image", "no such file"),
    "22 folder": ({"image": "images"}, "image", "folder"),
    "22 wrong capitals": ({"image": "images/5.PNG"}, "image", "no such file"),
    "22 overlong name": ({"image": "a" * 3000}, "image", "no usable path"),
    "control character": ({"centre": "a\tb"}, "centre", "control character"),
    "overlong id": ({"case": "c" * 300}, "case", "too long"),
    "age below 0": ({"age": "-1"}, "age", "age"),
    "age above 120": ({"age": "121"}, "age", "age"),
    "age as word": ({"age": "old"}, "age", "age"),
    "age with comma": ({"age": "45,5"}, "age", "decimal comma"),
    "age in other digits": ({"age": "٤٥"}, "age", "age"),
    "sex": ({"sex": "x"}, "sex", "neither F nor M"),
    "not excluded, in a word": ({"exclusion_reason": "No"}, "exclusion_reason", "is no reason"),
    "not excluded, as a number": ({"exclusion_reason": "0"}, "exclusion_reason", "is no reason"),
}


@pytest.mark.parametrize("item", list(FIELDS))
def test_bad_fields_are_refused_with_row_column_and_value(folder, item):
    """Items 13 to 22, ages and sexes."""
    values, field, reason = FIELDS[item]
    found = [error for error in problems(folder, changed(5, **values)) if error.field == field]
    assert reason in found[0].problem
    assert found[0].row == 7


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC"), ("NFD", "NFD")])
def test_names_are_found_in_either_unicode_form(folder, written, on_disk):
    """A Mac unpacks decomposed names, a manifest is typed composed, and the other way round; folders too."""
    name = "Schilddrüse/Añón 1.png"
    path = folder / unicodedata.normalize(on_disk, name)
    path.parent.mkdir()
    path.write_bytes(encode_png(255 - PICTURES[5]))
    rows = read(folder, changed(5, image=unicodedata.normalize(written, name)))
    assert rows[5].image_path == path


def test_two_files_that_differ_in_unicode_form_only_are_each_found(folder):
    """Where the exact name is there, it is meant."""
    for form, pixels in (("NFC", 255 - PICTURES[5]), ("NFD", 255 - PICTURES[6])):
        (folder / unicodedata.normalize(form, "é.png")).write_bytes(encode_png(pixels))
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é.png")
        assert read(folder, changed(5, image=name))[5].image_path.name == name


@pytest.mark.parametrize(
    ("image", "near"),
    [
        ("images/5.PNG", "images/5.png"),
        ("Images/5.png", "images/5.png"),
        ("images/Schilddruse.png", "images/Schilddr\u00fcse.png"),
        ("images/zzz.tif", None),
    ],
)
def test_a_missing_file_is_answered_with_the_name_that_is_near(folder, image, near):
    """Capitals, a letter; nothing where nothing is near."""
    (folder / "images" / "Schilddr\u00fcse.png").write_bytes(encode_png(255 - PICTURES[0]))
    (error,) = problems(folder, changed(5, image=image))
    assert error.problem == "there is no such file"
    assert (f"'{near}'" in error.fix) if near else "did you mean" not in error.fix


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "first", "²"])
def test_frames_are_whole_numbers_from_one(folder, value):
    """And a picture that has one frame has no second."""
    rows = [{**row, "frame": value if row["case"] == "c5" else ""} for row in good_rows()]
    (error,) = problems(folder, csv_text(rows, [*COLUMNS, "frame"]))
    assert (error.row, error.field) == (7, "frame")
    rows[5]["frame"] = "2"
    (error,) = problems(folder, csv_text(rows, [*COLUMNS, "frame"]))
    assert "no frame 2 in a PNG" in error.problem
    rows[5]["frame"] = "1.0"
    assert read(folder, csv_text(rows, [*COLUMNS, "frame"]))[5].frame == 1


def test_symbolic_links_that_lead_out_are_refused(folder):
    """Item 21: a link to a file, and a link to a folder; one that stays inside is taken."""
    (folder / "images" / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "way").symlink_to(folder.parent)
    for image in ("images/link.png", "way/outside.png"):
        (error,) = problems(folder, changed(5, image=image))
        assert "through a link" in error.problem
    (folder / "images" / "round.png").symlink_to("round.png")
    assert problems(folder, changed(5, image="images/round.png"))
    (folder / "images" / "fine.png").symlink_to("5.png")
    assert len(read(folder, changed(5, image="images/fine.png"))) == 8


def test_same_picture_under_two_names_is_refused(folder):
    """Item 23, by content, across cohorts and formats of PNG."""
    (folder / "images" / "copy.png").write_bytes(encode_png(PICTURES[0]) + b"trailing")
    (error,) = problems(folder, changed(5, image="images/copy.png"))
    assert error.row == 7
    assert "the same picture is case 'c0' (row 2, cohort 'training')" in error.problem
    (error,) = problems(folder, changed(5, image="images/4.png"))
    assert "case 'c4'" in error.problem


def test_patient_in_training_and_elsewhere_is_refused(folder):
    """Item 24; two cohorts that are both for evaluation may share a patient."""
    (error,) = problems(folder, changed(5, patient="p1"))
    assert (error.row, error.field) == (7, "patient")
    assert "one is training" in error.problem
    rows = good_rows()
    rows[5]["cohort"], rows[5]["patient"] = "external", "p4"
    assert len(read(folder, csv_text(rows))) == 8


def test_case_ids_that_are_one_name_are_refused(folder):
    """Capitals, blanks, Unicode form and pandas' .0 make no other case; 01 and 1 do, and are pointed out."""
    for first, second in (("a1", "A1"), ("caf\u00e9", "cafe\u0301"), ("x  1", "x 1"), ("7", "7.0")):
        rows = good_rows()
        rows[1]["case"], rows[5]["case"] = first, second
        (error,) = problems(folder, csv_text(rows))
        assert (error.row, error.field) == (7, "case")
        assert f"row 3 already, written '{first}'" in error.problem
    rows = good_rows()
    rows[1]["case"], rows[5]["case"] = "01", "1"
    assert (
        "Case: kept apart although they look alike: '01' in row 3 and '1' in row 7."
        in read(folder, csv_text(rows)).warnings
    )


def test_patient_written_in_two_ways_is_refused(folder):
    """It would be in training and in a test cohort under two names."""
    (error, _) = problems(folder, changed(5, patient="P1"))
    assert (error.row, error.field) == (7, "patient")
    assert "written 'p1' elsewhere" in error.problem


def test_class_names_are_found_in_any_unicode_form(folder):
    classes = (DiseaseClass("k\u00e4se", "K\u00e4se", "K"), DiseaseClass("normal", "not cancer", "N"))
    rows = good_rows()
    for row in rows:
        row["class"] = "ka\u0308se" if row["case"] < "c4" else "not\u00a0cancer"
    (folder / "manifest.csv").write_text(csv_text(rows), encoding="utf-8")
    assert {row.truth for row in read_manifest(folder / "manifest.csv", classes)} == {"k\u00e4se", "normal"}


def test_cohort_written_in_two_ways_is_refused(folder):
    """ "Training" beside "training" would hide a leak."""
    errors = problems(folder, changed(2, cohort="Training"))
    assert errors[0].field == "cohort"
    assert "written 'training' elsewhere" in errors[0].problem


def test_one_class_only_is_a_warning(folder):
    """Item 25: the table itself may have one class, as a part of a study; import refuses a study of one."""
    rows = [row for row in good_rows() if row["class"] == "sat"]
    read_rows = read(folder, csv_text(rows))
    assert len(read_rows) == 2
    assert "only one class (sat)" in read_rows.warnings[0]


def test_ids_are_kept_exactly(folder):
    """Items 15 and 26: leading zeros, NA, exponents, formulas, quotes and other alphabets are ids like any other."""
    odd = ["007", "NA", "1E5", "=1+1", "-3", "null", 'say "x", y', "患者"]
    rows = good_rows()
    for row, case in zip(rows, odd, strict=True):
        row["case"] = row["patient"] = case
    assert [row.case for row in read(folder, csv_text(rows))] == odd
    assert [row.patient for row in read(folder, csv_text(rows))] == odd


def test_ids_that_an_export_made_safe_come_back(folder):
    """The apostrophe that goes before a formula sign is taken off again; others stay."""
    rows = good_rows()
    for row, case in zip(rows, ["'-001", "'+2", "'=3", "'@4", "''=1", "'quoted", "-5", "=6"], strict=True):
        row["case"] = case
    found = [row.case for row in read(folder, csv_text(rows))]
    assert found == ["-001", "+2", "=3", "@4", "'=1", "'quoted", "-5", "=6"]


def test_labels_may_have_outer_blanks_capitals_and_aliases(folder):
    """Item 16: the label is looked up, so blanks around it cannot do harm."""
    rows = good_rows()
    for row, text in zip(rows, [" graves ", "NORMAL", "Subacute thyroiditis", "tumour"] * 2, strict=True):
        row["class"] = text
    assert [row.truth for row in read(folder, csv_text(rows))] == CLASSES * 2


def test_byte_order_mark_windows_lines_and_blank_lines_are_accepted(folder):
    """What a spreadsheet adds without changing a value; rows keep the numbers of their lines."""
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    assert len(read(folder, content)) == 8
    rows = read(folder, GOOD.replace("\n", "\n\n", 1))
    assert rows[0].row == 3


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace(",", ";").replace("45", "45,5"),
        GOOD.replace(",", "\t"),
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        "# exported today\n" + GOOD,
        "sep=;\n" + GOOD.replace(",", ";"),
        "".join(f"{line},,\n" for line in LINES) + ",,,,,,,,,,,\n",
        GOOD.replace("image,case", "Image,Case"),
        "".join(f'"{at or ""}",{line}\n' for at, line in enumerate(LINES)),  # R's write.csv
    ],
    ids=["semicolons", "tabs", "UTF-16", "UTF-16 without mark", "comment", "sep=", "empty columns", "capitals", "R"],
)
def test_other_dialects_are_the_same_manifest(folder, content):
    """Items 8 and 9, and what Excel and R write: the same cases as from UTF-8 with commas."""
    wanted = [(row.case, row.patient, row.truth, row.centre, row.sex) for row in read(folder, GOOD)]
    assert [(row.case, row.patient, row.truth, row.centre, row.sex) for row in read(folder, content)] == wanted


def test_missing_codes_are_blank_in_optional_columns(folder):
    """R writes NA where nothing was given: such a case is not excluded for the reason "NA"."""
    row = read(folder, changed(0, age="NA", sex="nan", centre="N/A", scanner=".", exclusion_reason="NA"))[0]
    assert (row.age_years, row.sex, row.centre, row.scanner, row.exclusion_reason) == (None,) * 5


def test_values_arrive_in_the_row(folder):
    """Field by field; blank optional fields become None."""
    row = read(folder, changed(0, age="45.5", sex="female", exclusion_reason="motion"))[0]
    assert (row.case, row.patient, row.cohort, row.truth) == ("c0", "p0", "training", "graves")
    assert (row.centre, row.scanner, row.age_years, row.sex) == ("C1", "GE", 45.5, "F")
    assert (row.exclusion_reason, row.row, row.source_name) == ("motion", 2, "0.png")
    blank = read(folder, changed(0, age="", sex="", centre="", scanner=""))[0]
    assert (blank.centre, blank.scanner, blank.age_years, blank.sex, blank.exclusion_reason) == (None,) * 5


def test_optional_columns_may_be_left_out(folder):
    """Five columns are enough, in any order."""
    needed = ["cohort", "class", "patient", "case", "image"]
    rows = [{name: row[name] for name in needed} for row in good_rows()]
    assert len(read(folder, csv_text(rows, needed))) == 8


def test_all_problems_are_found_at_once_in_the_order_of_the_file(folder):
    """Six different mistakes in six rows give six errors with six rows."""
    rows = good_rows()
    rows[1]["class"] = "flu"
    rows[2]["age"] = "x"
    rows[3]["image"] = "images/none.png"
    rows[4]["case"] = "c0"
    rows[6]["image"] = "images/0.png"
    (folder / "images" / "7.png").write_bytes(b"<html>")
    lines = csv_text(rows).splitlines()
    lines[6] += ",extra"
    errors = problems(folder, "\n".join(lines))
    assert [error.row for error in errors] == [3, 4, 5, 6, 7, 8, 9]


def test_the_message_names_the_first_twenty_and_counts_the_rest(folder):
    """Readable in a terminal even when every row is wrong."""
    rows = good_rows()
    for row in rows:
        row.update({"class": "?", "age": "old", "sex": "x", "patient": " "})
    with pytest.raises(ManifestErrors) as caught:
        read(folder, csv_text(rows))
    assert len(caught.value.errors) == 32
    assert "32 problems found; nothing was imported" in str(caught.value)
    assert "... and 12 more." in str(caught.value)


def test_bad_images_are_located_in_the_manifest(folder):
    """The image's own reason and fix, with row and column."""
    (folder / "images" / "3.png").write_bytes(b"")
    (error,) = problems(folder, GOOD)
    assert (error.row, error.field) == (5, "image")
    assert "3.png: the file is empty" in error.problem


def test_missing_manifest_and_folder_are_refused(tmp_path):
    """With the path."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ManifestErrors, match=str(path)):
            read_manifest(path)


def test_progress_is_told_image_by_image(folder):
    """Done, total, what."""
    calls = []
    (folder / "m.csv").write_text(GOOD)
    read_manifest(folder / "m.csv", progress=lambda *call: calls.append(call))
    assert calls == [(done, 8, "images") for done in range(1, 9)]


def test_cases_are_loaded_with_pixels_and_mask(folder):
    """Lazily, with the lesion where the mask is not black."""
    mask = np.zeros((20, 24), np.uint8)
    mask[3:5, 6:9] = 255
    (folder / "mask.png").write_bytes(encode_png(mask))
    rows = good_rows()
    for row in rows:
        row["lesion_mask"] = "mask.png" if row["case"] == "c3" else ""
    (folder / "m.csv").write_text(csv_text(rows, [*COLUMNS, "lesion_mask"]))
    cases = list(manifest_cases(folder / "m.csv"))
    assert np.array_equal(cases[3].pixels, PICTURES[3])
    assert cases[3].lesion_mask.sum() == 6
    assert cases[3].lesion_mask.dtype == bool
    assert cases[0].lesion_mask is None
    assert (cases[3].truth, cases[3].source_name, cases[3].age_years) == ("tumor", "3.png", 43.0)


def test_mask_of_another_size_is_refused(folder):
    """Located in the column of masks."""
    (folder / "mask.png").write_bytes(encode_png(np.zeros((21, 24), np.uint8)))
    rows = [{**row, "lesion_mask": "mask.png" if row["case"] == "c1" else ""} for row in good_rows()]
    (error,) = problems(folder, csv_text(rows, [*COLUMNS, "lesion_mask"]))
    assert (error.row, error.field) == (3, "lesion_mask")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_of_a_manifest_is_an_error_or_still_eight_cases(folder, data):
    """Random bytes put into a valid file never crash and never change the number of cases unseen."""
    content = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content)))
        content[place:place] = data.draw(st.binary(min_size=1, max_size=3))
    with contextlib.suppress(ManifestErrors):
        assert len(read(folder, bytes(content))) == 8


def write_folder(root, names):
    """Images by path."""
    for index, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(PICTURES[index]))


def test_class_named_folders_become_cases(tmp_path):
    """Aliases count; hidden files do not; ids are file names."""
    write_folder(tmp_path, ["graves/a.png", "Normal/b.png", "subacute_thyroiditis/c.png", "tumour/d.png"])
    (tmp_path / "graves" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    rows = read_folder(tmp_path, cohort="internal")
    assert {(row.case, row.truth, row.cohort) for row in rows} == {
        (name, truth, "internal") for name, truth in zip("abcd", CLASSES, strict=True)
    }
    assert "patient of its own" in rows.warnings[-1]


def test_cohort_folders_and_repeated_file_names(tmp_path):
    """Cohort above class; names that occur twice become paths."""
    write_folder(tmp_path, ["training/graves/1.png", "training/normal/1.png", "internal/graves/2.png"])
    rows = read_folder(tmp_path)
    assert [(row.cohort, row.truth, row.case) for row in rows] == [
        ("internal", "graves", "2"),
        ("training", "graves", "training/graves/1.png"),
        ("training", "normal", "training/normal/1.png"),
    ]


def test_folder_problems_are_all_found(tmp_path):
    """Unknown folder, stray file, nested folder, bad image, repeated picture, link that leads out."""
    root = tmp_path / "set"
    write_folder(root, ["graves/a.png", "flu/b.png", "normal/deep/c.png"])
    (root / "stray.png").write_bytes(encode_png(PICTURES[4]))
    (root / "graves" / "bad.png").write_bytes(b"")
    (root / "normal" / "copy.png").write_bytes(encode_png(PICTURES[0]))
    (tmp_path / "out.png").write_bytes(encode_png(PICTURES[5]))
    (root / "normal" / "link.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(ManifestErrors) as caught:
        read_folder(root)
    text = str(caught.value)
    for word in ("names no class", "outside the class folders", "holds a folder", "empty", "same picture", "leads out"):
        assert word in text


def test_empty_and_missing_folders_are_refused(tmp_path):
    """Nothing to import is an error, not an empty study."""
    (tmp_path / "graves").mkdir()
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ManifestErrors):
            read_folder(path, THYROID_CLASSES)


def view_rows(**of_second):
    """Two cases with two views each; ``of_second`` changes the second view of the first case."""
    rows = [
        {**good_rows()[case], "image": f"images/{2 * case + number}.png", "view": view}
        for case in (0, 1)
        for number, view in enumerate(("anterior", "oblique"))
    ]
    rows[1].update(of_second)
    return rows


VIEW_COLUMNS = [*COLUMNS, "view", "left_side", "pixel_spacing_mm", "colour"]


def test_a_case_with_two_views_is_two_rows(folder):
    """In the order of the file, whatever the order of the rows of one case."""
    rows = read(folder, csv_text(view_rows(left_side="image-right", pixel_spacing_mm="2.4"), VIEW_COLUMNS))
    assert [(row.case, row.view) for row in rows] == [
        ("c0", "anterior"), ("c0", "oblique"), ("c1", "anterior"), ("c1", "oblique"),
    ]  # fmt: skip
    assert (rows[1].left_side, rows[1].pixel_spacing_mm, rows[0].left_side) == ("image-right", 2.4, None)
    records = list(manifest_cases(folder / "manifest.csv"))
    assert (records[1].left_side, records[1].pixel_spacing_mm) == ("image-right", 2.4)


@pytest.mark.parametrize(
    ("change", "row", "field", "reason"),
    [
        ({"class": "tumor"}, 3, "class", "row 2 is another view of case 'c0' and has the class 'graves'"),
        ({"patient": "p9"}, 3, "patient", "row 2 is another view of case 'c0' and has the patient 'p0'"),
        ({"cohort": "internal"}, 3, "cohort", "has the cohort 'training'"),
        ({"age": "41"}, 3, "age", "has the age '40.0'"),
        ({"sex": "M"}, 3, "sex", "has the sex 'F'"),
        ({"centre": ""}, 3, "centre", "has the centre 'C1'"),
        ({"exclusion_reason": "motion"}, 3, "exclusion_reason", "has the exclusion_reason ''"),
        ({"case": "C0"}, 3, "case", "has the case 'c0'"),
        ({"view": "anterior"}, 3, "case", "stands in row 2 already with the view 'anterior'"),
        ({"view": "Oblique"}, 5, "view", "written 'Oblique' elsewhere"),
        ({"view": "posterior"}, 2, "view", "case 'c0' has no view oblique, which others have"),
        ({"view": ""}, 2, "view", "case 'c0' has no view oblique"),
        ({"view": "oblique "}, 3, "view", "blanks before or after"),
        ({"left_side": "left"}, 3, "left_side", "knows image-left or image-right only"),
        ({"pixel_spacing_mm": "0"}, 3, "pixel_spacing_mm", "no number of millimetres"),
        ({"pixel_spacing_mm": "2.4 mm"}, 3, "pixel_spacing_mm", "no number of millimetres"),
        ({"colour": "yes"}, 3, "colour", "knows grey or keep only"),
        ({"image": "images/0.png"}, 3, "image", "the same picture is case 'c0', view 'anterior' (row 2"),
    ],
)
def test_views_that_do_not_agree_are_refused_with_both_rows(folder, change, row, field, reason):
    """All but the picture is of the case, and every case has the same views."""
    found = problems(folder, csv_text(view_rows(**change), VIEW_COLUMNS))
    assert [(error.row, error.field) for error in found if reason in error.problem] == [(row, field)], found


def test_an_excluded_case_may_lack_a_view(folder):
    """It is not read."""
    rows = view_rows()
    del rows[3]
    assert problems(folder, csv_text(rows, VIEW_COLUMNS))[0].field == "view"
    rows[2]["exclusion_reason"] = "motion"
    assert len(read(folder, csv_text(rows, VIEW_COLUMNS))) == 3


def test_the_manifest_is_followed_against_the_header_and_it_is_said(folder):
    """A person looked at the picture; a header may be wrong."""
    phantom = generate_case(("manifest", 1), "normal", centre="C1")
    (folder / "images" / "0.png").unlink()
    (folder / "images" / "0.dcm").write_bytes(dicom_bytes(phantom, "dummy"))
    row = {**good_rows()[0], "image": "images/0.dcm", "left_side": "image-left", "pixel_spacing_mm": "7.5"}
    read(folder, csv_text([row], VIEW_COLUMNS))
    (record,) = manifest_cases(folder / "manifest.csv")
    assert (record.left_side, record.pixel_spacing_mm) == ("image-left", 7.5)
    loud = [note for note in record.image_notes if is_loud(note)]
    assert [note.split(" taken")[0] for note in loud] == ["LEFT SIDE", "PIXEL SPACING"]
