"""Files as other people wrote them: each trial's file, under its own name, with the right value."""

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from core.analysis import analyse
from core.errors import InputError, ManifestError
from core.report.file_analysis import analyse_file
from core.report.file_options import FileOptions, named_classes
from core.report.readings_file import read_readings_file

DATA = Path(__file__).parents[2] / "data" / "readings"


def read(name, **options):
    """A file's study and notes."""
    return read_readings_file(DATA / name, None, FileOptions(**options))


def tables(name, **options):
    """Tables of a file's analysis."""
    return analyse(read(name, **options).data).to_tables()


def test_case_04_one_blank_confidence_is_one_missing_rating():
    """AUC by scikit-learn on the 59 rated cases; four readers stay in the MRMC."""
    name = "n01_one_blank_confidence.csv"
    found = tables(name)
    file = pd.read_csv(DATA / name, dtype={"case": str})
    ann = file[(file["reader"] == "Ann") & (file["arm"] == "unaided") & file["confidence"].notna()]
    rating = ann["confidence"].where(ann["label"] == "malignant", -ann["confidence"])
    auc = found["auc"].query("name == 'Ann' and arm == 'unaided'").iloc[0]
    assert auc["value"] == pytest.approx(roc_auc_score(ann["truth"] == "malignant", rating), rel=1e-12)
    assert (auc["n"], auc["state"]) == (59, "estimated")
    assert set(found["mrmc"]["n_readers"]) == {4}
    assert not found["mrmc"]["notes"].str.contains("Left out").any()
    whole = tables("n00_full.csv")
    accuracy = [each["summary"].query("quantity == 'accuracy'")["value"].tolist() for each in (found, whole)]
    assert accuracy[0] == accuracy[1]


def test_case_01_imrmc_native_file():
    """Free text, BEGIN DATA:, no header; the same with CRLF and without the text; the table has the same numbers."""
    found = tables("i01_native.imrmc")
    for other in ("i02_native_crlf.imrmc", "m16_headercase.csv"):
        pd.testing.assert_frame_equal(tables(other)["auc"], found["auc"])
        pd.testing.assert_frame_equal(tables(other)["mrmc"], found["mrmc"])
    assert read("i01_native.imrmc").notes == ()


def test_case_02_thyroid_aliases_do_not_merge_foreign_classes():
    found, renamed = tables("l04_lung_nodule_tumor.csv"), tables("l04b_lung_renamed.csv")
    accuracy = found["summary"].query("quantity == 'accuracy'").set_index("name")["value"]
    assert accuracy.round(4).to_dict() == {"Ann": 0.7, "Bob": 0.7889}
    assert found["cases"]["class"].tolist() == ["nodule", "normal", "tumor"]
    assert found["summary"]["value"].tolist() == pytest.approx(renamed["summary"]["value"].tolist(), nan_ok=True)


def test_thyroid_aliases_count_where_they_are_asked_for():
    data = read("l04_lung_nodule_tumor.csv", classes=named_classes("thyroid")).data
    assert set(data.cases["truth"]) == {"normal", "tumor"}


@pytest.mark.parametrize("name", ["l03b_label_NA_noconf.csv", "l03d_label_empty.csv"])
def test_case_03_missing_labels_are_missing(name):
    found = tables(name)
    assert found["cases"]["class"].tolist() == ["benign", "malignant"]
    ann = found["missing"].set_index("name").loc["Ann"]
    assert (ann["n_answered"], ann["n_missing"]) == (40, 20)
    accuracy = found["summary"].query("name == 'Ann' and quantity == 'accuracy'").iloc[0]
    assert (accuracy["n"], accuracy["value"]) == (40, 29 / 40)


@pytest.mark.parametrize("code", ["nan", "N/A", ".", "NULL", "<NA>", " ", "-", "999", "skipped"])
def test_case_03_other_missing_codes(tmp_path, code):
    text = (DATA / "l03b_label_NA_noconf.csv").read_text().replace(",NA\n", f",{code}\n")
    (tmp_path / "f.csv").write_text(text)
    data = read_readings_file(tmp_path / "f.csv", None, FileOptions(missing=("999", "label=Skipped"))).data
    assert data.class_keys == ("benign", "malignant")
    assert len(data.readings) == 100


def test_case_03_a_missing_truth_is_refused_and_both_fixes_work(tmp_path):
    with pytest.raises(ManifestError, match="no reference standard") as caught:
        read("l03e_truth_NA.csv")
    assert (caught.value.row, caught.value.field, caught.value.value) == (20, "truth", "NA")
    assert caught.value.fix == (
        "write the class, or delete rows 20 to 21, 40 to 41, 60 to 61, 80 to 81, 100 to 101, 120 to 121; "
        "if 'NA' is a class, say so: --classes NA,benign,malignant"
    )
    lines = (DATA / "l03e_truth_NA.csv").read_text().splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines, 1) if number < 20 or number % 20 not in (0, 1)]
    (tmp_path / "f.csv").write_text("".join(kept))
    assert len(read_readings_file(tmp_path / "f.csv").data.cases) == 54
    named = read("l03e_truth_NA.csv", classes=named_classes("NA,benign,malignant")).data
    assert (named.cases["truth"] == "NA").sum() == 6


def test_case_03_a_missing_rating_is_left_out():
    found = tables("m05_empty.csv")
    assert found["missing"].set_index(["name", "arm"])["n_answered"].to_dict()["R2", "A"] == 39
    file = pd.read_csv(DATA / "m05_empty.csv").query("reader == 'R2' and treatment == 'A'").dropna()
    auc = found["auc"].query("name == 'R2' and arm == 'A'").iloc[0]
    assert auc["value"] == pytest.approx(roc_auc_score(file["truth"], file["rating"]), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [("l01b_mixed_case.csv", (2 / 3, 0.8)), ("l02b_truth_int_label_float.csv", (2 / 3, 0.8)),
     ("l16b_nbsp.csv", (2 / 3, 0.8))],
)  # fmt: skip
def test_case_05_spellings_are_one_class_and_said(name, accuracy):
    found = tables(name)
    assert len(found["cases"]) == 2
    assert found["summary"].query("quantity == 'accuracy'")["value"].tolist() == pytest.approx(accuracy)
    agreement = found["agreement"].set_index("statistic")["value"]
    assert agreement[["gwet_ac1", "brennan_prediger"]].round(3).tolist() == [0.267, 0.267]
    assert any("taken as" in note for note in read(name).notes)


def test_case_07_second_header_rows_are_refused():
    with pytest.raises(ManifestError, match="Qualtrics") as caught:
        read("l11_qualtrics.csv")
    assert (caught.value.row, caught.value.fix) == (3, "delete rows 2 to 3")


def test_case_08_sparse_double_reading_stays_within_its_range():
    """Six cases read twice, four of them in disagreement; Krippendorff's 1 - Do/De = 1 - (4/6) / (32/66) by hand."""
    found = tables("n04_sparse_double.csv")["agreement"].query("scope == 'between'").set_index("statistic")
    assert set(found["n"]) == {6}
    assert found.loc["percent_agreement", "value"] == pytest.approx(1 / 3)
    assert found.loc["fleiss_kappa", "value"] == pytest.approx(-0.5)
    assert found.loc["krippendorff_alpha", "value"] == pytest.approx(1 - (4 / 6) / (32 / 66))
    known = found[found["lower"].notna()]
    assert ((known["lower"] <= known["value"]) & (known["value"] <= known["upper"])).all()
    lowest = known.index.map(lambda name: 0.0 if name == "percent_agreement" else -1.0)
    assert (known["lower"] >= lowest).all()
    assert (known["upper"] <= 1.0).all()


@pytest.mark.parametrize("name", ["m12_rwritecsv", "m13_semicolon_comma", "m13b_semicolon", "m15b_trailing_empty_rows",
                                  "m20_comment"])  # fmt: skip
def test_case_09_files_of_r_and_excel_give_the_same_numbers(name):
    pd.testing.assert_frame_equal(tables(f"{name}.csv")["mrmc"], tables("m16_headercase.csv")["mrmc"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("m07_missing_reader_in_arm.csv", ("R3", "2 readers cannot represent readers in general")),
     ("m11_reader_one_class_only.csv", ("left out for fewer than two cases of a class: R3", "2 readers cannot")),
     ("n05_three_arms_incomplete.csv", ())],
)  # fmt: skip
def test_case_15_the_reason_stands_under_the_table(name, words):
    """Number of readers in the table, the reason of every undefined row below it."""
    console = Console(width=200, file=io.StringIO())
    result = analyse_file(DATA / name)
    result.render(console)
    text = console.file.getvalue()
    assert all(word in text for word in words)
    table = result.analysis.to_tables()["mrmc"]
    assert (table.loc[table["state"] != "undefined", "n_readers"] > 1).all()
    undefined = table[table["state"] == "undefined"]
    assert (undefined["notes"] != "").all()
    assert all(part in text for notes in undefined["notes"] for part in notes.split(" | "))


def test_case_16_scores_outside_0_to_1_are_refused_and_both_fixes_work(tmp_path):
    with pytest.raises(ManifestError, match="no probability") as caught:
        read("l19b_model_percent.csv")
    assert (caught.value.row, caught.value.field, caught.value.value) == (122, "p_benign", "94.0")
    lines = [line.split(",") for line in (DATA / "l19b_model_percent.csv").read_text().splitlines()]
    divided = [[*row[:5], *(str(float(p) / 100) for p in row[5:])] if row[0] == "model" else row for row in lines]
    rated = [[*row[:5], row[6]] if row[0] != "model" else ["reader", *row[1:4], "", row[6]] for row in lines]
    rated[0][5] = "rating_malignant"
    areas = []
    for rows in (divided, rated):
        (tmp_path / "f.csv").write_text("\n".join(map(",".join, rows)))
        table = analyse(read_readings_file(tmp_path / "f.csv").data).to_tables()["auc"]
        areas.append(table.query("name == @rows[-1][1] and `class` == 'malignant'")["value"].iloc[0])
    assert areas[0] == pytest.approx(areas[1], rel=1e-12)


def test_case_17_the_positive_class_can_be_chosen():
    name = "l05_abnormal_normal.csv"
    assert read(name).notes == ("of the two classes 'normal' is positive; choose with --positive",)
    chosen = read(name, positive="Abnormal")
    assert (chosen.data.class_keys, chosen.notes) == (("normal", "abnormal"), ())
    points = analyse(chosen.data).to_tables()["operating_points"]
    assert set(points["class"]) == {"abnormal"}
    assert read(name, classes=named_classes("normal,abnormal")).data.class_keys == ("normal", "abnormal")
    with pytest.raises(InputError, match="no class has this name"):
        read(name, positive="sick")
    with pytest.raises(InputError, match="chosen of two"):
        read("l04_lung_nodule_tumor.csv", positive="tumor")


# ---------------------------------------------------------------------------------------- their siblings
FULL = (DATA / "n00_full.csv").read_text()


def changed(tmp_path, old, new, text=FULL, **options):
    """A file with something replaced, read."""
    assert old in text
    (tmp_path / "f.csv").write_text(text.replace(old, new), encoding="utf-8")
    return read_readings_file(tmp_path / "f.csv", None, FileOptions(**options))


@pytest.mark.parametrize(
    ("old", "new"),
    [("Ann,aided", "Ann,Aided"), ("Bob,aided", "bob ,aided"), ("Cem,", "Cem\u00a0,"),
     ("Ann,aided,003", "Ann,aided,003 ")],
)  # fmt: skip
def test_spellings_of_readers_arms_and_cases_are_one(tmp_path, old, new):
    found = analyse(changed(tmp_path, old, new).data).to_tables()
    assert set(found["mrmc"]["n_readers"]) == {4}
    assert found["cases"]["n"].tolist() == [30, 30]


def test_what_looks_alike_is_kept_apart_and_said(tmp_path):
    read = changed(tmp_path, "Ann,aided,003", "Ann,aided,3")
    assert len(read.data.cases) == 61
    assert "case: kept apart although they look alike: '003' in row 4 and '3' in row 64" in read.notes


def test_a_class_that_is_named_wins_over_a_missing_code(tmp_path):
    for text in (FULL.replace("benign", "none"), FULL.replace("benign", "None")):
        with pytest.raises(ManifestError, match="--classes"):
            changed(tmp_path, "none", "none", text.replace("None", "none"))
        named = changed(tmp_path, "malignant", "malignant", text, classes=named_classes("none,malignant")).data
        assert (named.cases["truth"] == "none").sum() == 30
        assert len(named.readings) == 480


def test_ids_spelled_like_missing_codes_are_names_and_said(tmp_path):
    read = changed(tmp_path, "Ann,aided", "NA,NA")
    assert {"NA"} <= set(read.data.readings["reader"]) & set(read.data.readings["arm"])
    assert any("--missing arm=NA" in note for note in read.notes)
    read = changed(tmp_path, "Ann,unaided", "Ann,NA", missing=("arm=NA",))
    assert set(read.data.readings["arm"]) == {"aided", "unaided"}


def test_a_case_that_r_wrote_without_exclusion_is_not_excluded(tmp_path):
    text = FULL.replace("confidence\n", "confidence,exclusion_reason\n").replace(
        "\nAnn,unaided,003", "\nAnn,unaided,003"
    )
    lines = text.splitlines()
    text = "\n".join([lines[0], *(f"{line},NA" for line in lines[1:])])
    assert not changed(tmp_path, "NA", "NA", text).data.cases["is_excluded"].any()


@pytest.mark.parametrize("word", ["0", "no", "Excluded", "TRUE"])
def test_a_bare_yes_or_no_excludes_no_case_unseen(tmp_path, word):
    lines = FULL.splitlines()
    text = "\n".join([f"{lines[0]},exclusion_reason", *(f"{line},{word}" for line in lines[1:])])
    with pytest.raises(ManifestError, match=r"(?s)is no reason.*leave it blank"):
        changed(tmp_path, "Ann", "Ann", text)


def test_a_code_that_was_answered_is_pointed_out(tmp_path):
    read = changed(tmp_path, "malignant,benign,", "malignant,not sure,")
    assert any("'not sure' (row 6)" in note and "--missing" in note for note in read.notes)
    assert changed(tmp_path, "malignant,benign,", "malignant,not sure,", missing=("NOT  SURE",)).data.class_keys == (
        "benign",
        "malignant",
    )


@pytest.mark.parametrize(
    ("old", "new", "row", "field", "words"),
    [
        ("Ann,unaided,003", "Ann,unaided,#NAME?", 4, "case", "spreadsheet's error"),
        ("reader,arm", "name_of_reader,arm", 1, "reader", "no column names the reader"),
        ("label,confidence", "exclusion_reason,centre", 1, "label", "no column holds answers"),
        ("Ann,unaided,002,benign,benign,4", "Ann,unaided,002,benign,benign,0", 3, "confidence", "above 0"),
    ],
)
def test_siblings_are_refused_at_their_row(tmp_path, old, new, row, field, words):
    if old not in FULL:
        old = next(line for line in FULL.splitlines() if line.startswith("Ann,unaided,002"))
        new = old.rpartition(",")[0] + ",0"
    with pytest.raises(ManifestError, match=words) as caught:
        changed(tmp_path, old, new)
    assert (caught.value.row, caught.value.field) == (row, field)
    assert caught.value.fix


def test_a_reader_who_answered_nothing_is_counted(tmp_path):
    lines = FULL.splitlines()
    text = "\n".join([lines[0], *(",".join([*line.split(",")[:4], "NA", "NA"]) if line.startswith("Dan,aided") else line
                                  for line in lines[1:])])  # fmt: skip
    read = changed(tmp_path, "NA", "NA", text)
    assert any("no answer at all from Dan (aided, all)" in note for note in read.notes)
    missing = analyse(read.data).to_tables()["missing"].set_index(["name", "arm"])
    assert missing.loc[("Dan", "aided"), ["n_expected", "n_answered", "n_missing"]].tolist() == [60, 0, 60]
    assert missing.loc[("Ann", "aided"), ["n_expected", "n_answered", "n_missing"]].tolist() == [60, 60, 0]


def test_truth_by_two_names_in_the_layout_of_mrmcaov(tmp_path):
    text = (DATA / "m16_headercase.csv").read_text()
    lines = [line.split(",") for line in text.splitlines()]
    named = "\n".join(",".join([*row[:3], {"0": "healthy", "1": "ill"}.get(row[3], row[3]), row[4]]) for row in lines)
    with pytest.raises(ManifestError, match="--positive"):
        changed(tmp_path, "ill", "ill", named)
    found = analyse(changed(tmp_path, "ill", "ill", named, positive="ill").data).to_tables()["mrmc"]
    wanted = tables("m16_headercase.csv")["mrmc"]
    assert found["value"].tolist() == wanted["value"].tolist()
    assert set(found["class"]) == {"ill"}
