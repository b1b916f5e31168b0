"""Files of readings: read strictly, written without loss, and equal to R where R has the number."""

import csv
import io
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from core.analysis import analyse
from core.errors import InputError, ManifestError, NotFoundError, UndefinedStatisticError
from core.protocol import DiseaseClass
from core.report.file_analysis import analyse_file
from core.report.file_options import FileOptions, named_classes
from core.report.readings_file import read_readings_file, readings_files
from core.spelling import spelling_key
from core.study_analysis.data import StudyData
from tests.core.analysis_studies import simulated_study

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "data"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference data are not beside this checkout")

MRMCAOV = """reader,treatment,case,truth,rating
1,a,c1,0,1
1,a,c2,0,2
1,a,c3,1,2
1,a,c4,1,4
1,b,c1,0,1
1,b,c2,0,3
1,b,c3,1,4
1,b,c4,1,5
2,a,c1,0,2
2,a,c2,0,1
2,a,c3,1,1
2,a,c4,1,3
2,b,c1,0,1
2,b,c2,0,1
2,b,c3,1,5
2,b,c4,1,4
"""
ENDING = {"mrmcaov": "csv", "imrmc": "imrmc"}
LONG = """kind,reader,case,arm,truth,label,confidence
reader,r1,c1,unaided,graves,graves,4
reader,r1,c2,unaided,sat,tumor,2
reader,r1,c3,unaided,tumor,tumor,5
"""


@pytest.fixture
def write(tmp_path):
    def make(text, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


@pytest.fixture(scope="module")
def study():
    return simulated_study(
        n_cases=60, readers=2, models=1, arms=("aided", "unaided"), repeats=8, missing=0.1, cohorts=2
    )


def read_data(path, layout=None, **options):
    """The study that a file tells."""
    return read_readings_file(path, layout, FileOptions(**options)).data


def write_files(data, folder, layout, **options):
    """Files of a layout, written."""
    folder.mkdir(exist_ok=True)
    written = []
    for name, content in readings_files(data, layout, **options).items():
        (folder / name).write_bytes(content)
        written.append(folder / name)
    return written


def assert_same_tables(one, two):
    """Two studies whose analyses do not differ in a single digit."""
    found = analyse(one).to_tables()
    for name, table in analyse(two).to_tables().items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)


# ---------------------------------------------------------------------------------------- equal R
@needs_reference
def test_van_dyke_gives_the_numbers_of_mrmcaov():
    rows = analyse_file(REFERENCE / "VanDyke.csv", "mrmcaov").analysis.to_tables()["mrmc"].set_index("scope")
    assert rows.loc["RRRC", "p_value"] == pytest.approx(0.0516656858193, rel=1e-9)
    assert rows.loc["RRRC", "df2"] == pytest.approx(15.2596745891, rel=1e-9)
    assert rows.loc["RRRC", "statistic"] ** 2 == pytest.approx(4.45631869316, rel=1e-9)
    half = stats.t.isf(0.025, rows.loc["RRRC", "df2"]) * rows.loc["RRRC", "standard_error"]  # Wald's, as R has it
    assert rows.loc["RRRC", "value"] - half == pytest.approx(-0.0879594986, rel=1e-8)
    assert rows.loc["RRRC", "value"] + half == pytest.approx(0.000358854444, rel=1e-6)
    assert rows.loc["FRRC", "p_value"] == pytest.approx(0.0192798430708, rel=1e-9)
    assert rows.loc["RRFC", "p_value"] == pytest.approx(0.0419587524946, rel=1e-9)
    assert rows.loc["RRRC", "first_value"] == pytest.approx(0.897037037037, rel=1e-10)
    assert rows.loc["RRRC", "second_value"] == pytest.approx(0.940837359098, rel=1e-10)


@needs_reference
def test_imrmc_example_is_read_whole():
    path = REFERENCE / "iMRMC_dfMRMC_example.csv"
    with path.open() as handle:
        rows = list(csv.DictReader(handle))
    scores = [row for row in rows if row["readerID"] != "truth"]
    data = read_data(path, "imrmc")
    assert len(data.reader_ratings) == len(scores)
    assert len(data.cases) == len(rows) - len(scores)
    assert set(data.cases["truth"]) == {"negative", "positive"}


# ---------------------------------------------------------------------------------------- no loss
def test_long_layout_is_written_without_loss(study, tmp_path):
    (path,) = write_files(study, tmp_path, "long")
    assert_same_tables(read_data(path, "long"), study)


def test_long_layout_keeps_excluded_and_unread_cases_and_unreadable_readings(study, tmp_path):
    cases = study.cases.drop(columns="is_excluded").assign(exclusion_reason=None)
    cases.loc[0, "exclusion_reason"] = '=HYPERLINK("x")'
    readings = study.readings[study.readings["case"] != "case-0007"].assign(is_unreadable=False)
    readings.loc[readings.index[5], "is_unreadable"] = True
    classes = [replace(each, label=each.key) for each in study.classes]  # a file knows no other names for its notes
    given = replace(study, classes=classes, cases=cases, readings=readings, predictions=study.predictions.iloc[:10])
    (path,) = write_files(given, tmp_path, "long")
    text = path.read_text()
    assert "'=HYPERLINK" in text
    found = read_data(path, "long")
    assert set(found.cases["case"]) == set(cases["case"])
    assert found.cases.set_index("case").loc["case-0000", "exclusion_reason"] == '=HYPERLINK("x")'
    assert_same_tables(found, given)


@pytest.mark.parametrize("layout", ["mrmcaov", "imrmc"])
def test_two_class_layouts_are_written_without_loss(layout, write, tmp_path):
    first = read_data(write(MRMCAOV), "mrmcaov")
    (path,) = write_files(first, tmp_path / "out", layout)
    assert path.name == f"{layout}_all_positive.{ENDING[layout]}"
    second = read_data(path, layout)
    assert_same_tables(second, first)


@pytest.mark.parametrize("layout", ["mrmcaov", "imrmc"])
def test_four_classes_become_four_files_against_the_rest(study, layout, tmp_path):
    paths = write_files(study, tmp_path, layout, cohorts=["internal"])
    assert [path.name for path in paths] == [f"{layout}_internal_{key}.{ENDING[layout]}" for key in study.class_keys]
    wanted = analyse(study, cohorts=["internal"]).to_tables()["auc"]
    for path, key in zip(paths, study.class_keys, strict=True):
        found = analyse(read_data(path, layout)).to_tables()["auc"]
        readers = wanted[(wanted["class"] == key) & (wanted["kind"] == "reader")]
        assert found.loc[found["arm"] != "model", "value"].tolist() == pytest.approx(readers["value"].tolist())


def test_imrmc_is_its_own_format_with_one_truth_row_a_case_first(study, tmp_path):
    path = write_files(study, tmp_path, "imrmc", cohorts=["internal"])[0]
    lines = path.read_text().splitlines()
    begin = lines.index("BEGIN DATA:")
    assert {"NR: 3", "NM: 3"} <= set(lines[:begin])  # two readers in two arms, and the model in an arm of its own
    rows = [line.split(",") for line in lines[begin + 1 :]]
    truth = [row for row in rows if row[0] == "-1"]
    assert rows[: len(truth)] == truth
    assert {row[2] for row in truth} == {"0"}
    assert len({row[1] for row in truth}) == len(truth) == 30
    assert not read_readings_file(path).notes  # the text's counts are those of the rows


def test_names_that_imrmc_cannot_hold_are_refused(study):
    for bad in ("a,b", "-1", "truth"):
        named = replace(study, readings=study.readings.assign(reader=study.readings["reader"].replace("reader-0", bad)))
        with pytest.raises(InputError, match="cannot hold this name"):
            readings_files(named, "imrmc")


def test_class_with_one_case_is_refused(study):
    few = study.cases["truth"].where(study.cases["truth"] != "sat", "tumor")
    few.iloc[2] = "sat"
    with pytest.raises(UndefinedStatisticError, match=r"1 of .* cases of class 'sat'"):
        readings_files(replace(study, cases=study.cases.assign(truth=few)), "imrmc", cohorts=["internal"])


def distinct(texts, size):
    """Texts of which no two are one name."""
    return st.lists(texts, min_size=size, max_size=size, unique_by=spelling_key)


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp")), min_size=1, max_size=6
).filter(lambda text: spelling_key(text) != "" and not text.startswith("#"))  # fmt: skip
DIALECTS = {
    "as written": lambda rows: csv_text(rows, ","),
    "semicolons and decimal commas": lambda rows: csv_text([rows[0], *with_commas(rows)], ";"),
    "tabs": lambda rows: csv_text(rows, "\t"),
    "row names of R": lambda rows: csv_text([[str(at or ""), *row] for at, row in enumerate(rows)], ","),
    "empty columns and rows": lambda rows: csv_text([[*row, "", ""] for row in rows] + [[""] * 9], ","),
}  # fmt: skip


def with_commas(rows):
    """The rows below the header, the numbers of confidences and probabilities with decimal commas."""
    places = [at for at, name in enumerate(rows[0]) if name == "confidence" or name.startswith("p_")]
    return [[cell.replace(".", ",") if at in places else cell for at, cell in enumerate(row)] for row in rows[1:]]


def csv_text(rows, separator):
    """Rows as text."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    cases=distinct(NAMES, 6), readers=distinct(NAMES, 2), arms=distinct(NAMES, 2), classes=distinct(NAMES, 3),
    numbers=st.lists(st.floats(1e-3, 1e6), min_size=48, max_size=48), dialect=st.sampled_from(list(DIALECTS)),
    encoding=st.sampled_from(["utf-8-sig", "utf-16"]), missing=st.sets(st.integers(0, 23), max_size=12),
)  # fmt: skip
def test_any_study_comes_back_from_any_dialect(
    tmp_path_factory, cases, readers, arms, classes, numbers, dialect, encoding, missing
):
    """Ids, class names and numbers of any kind, written by us, turned into what other programs would write."""
    diseases = [DiseaseClass(key, key, key) for key in classes]
    about = [(case, case, "all", classes[at % 3]) for at, case in enumerate(cases)]
    answers = [(reader, case, arm, classes[at % 3], numbers[at] if at not in missing else None)
               for at, (reader, arm, case) in enumerate(itertools.product(readers, arms, cases))]  # fmt: skip
    shares = np.reshape(numbers[24:42], (6, 3))
    shares /= shares.sum(axis=1, keepdims=True)
    predicted = pd.DataFrame(shares, columns=[f"p_{key}" for key in classes]).assign(model="m", case=cases)
    data = StudyData(
        diseases,
        pd.DataFrame(about, columns=["case", "patient", "cohort", "truth"]),
        pd.DataFrame(answers, columns=["reader", "case", "arm", "label", "confidence"]),
        predicted,
    )
    (content,) = readings_files(data, "long").values()
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    path = tmp_path_factory.mktemp("any") / "f.csv"
    path.write_bytes(DIALECTS[dialect](rows).encode(encoding))
    back = read_data(path)
    assert back.class_keys == tuple(classes)
    for name, order in (("cases", ["case"]), ("readings", ["reader", "arm", "case"]), ("predictions", ["case"])):
        one, two = (getattr(each, name).sort_values(order).reset_index(drop=True) for each in (back, data))
        columns = [column for column in two.columns if column != "reading_seconds"]
        pd.testing.assert_frame_equal(one[columns], two[columns], check_dtype=False, check_exact=True)


# ---------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("layout", "old", "new", "row", "field", "words"),
    [
        ("mrmcaov", "1,a,c1,0,1\n", "1,a,c1,0\n", 2, None, "too few fields: 4 instead of 5"),
        ("mrmcaov", "1,a,c2,0,2", "1,a,c2,0,2,9", 3, None, "too many fields: 6"),
        ("mrmcaov", "1,a,c2,0,2", "1,a,c2,0,high", 3, "rating", "is not a number"),
        ("mrmcaov", "1,a,c2,0,2", "1,a,c2,0,inf", 3, "rating", "is not a number"),
        ("mrmcaov", "1,a,c2,0,2", "1,a,c2,NA,2", 3, "truth", "must be 0 or 1"),
        ("mrmcaov", "1,a,c2,0,2", "1,a,c2,2,2", 3, "truth", "must be 0 or 1"),
        ("mrmcaov", "2,b,c1,0,1", "2,b,c1,1,1", 14, "truth", "another truth, 'negative', in row 2"),
        ("mrmcaov", "1,a,c2,0,2", "1,a,c1,0,2", 3, "reader, treatment, case", "stands in row 2"),
        ("mrmcaov", "1,a,c2,0,2", ",a,c2,0,2", 3, "reader", "is empty"),
        ("mrmcaov", "rating\n", "score\n", 1, "rating", "column is missing"),
        ("mrmcaov", "reader,", "case,", 1, "case", "twice"),
        ("long", "graves,graves,4", "graves,cyst,4", None, None, None),
        ("long", "tumor,tumor,5", "tumor,tumor,five", 4, "confidence", "is not a number"),
        ("long", "sat,tumor,2", "NA,tumor,2", 3, "truth", "no reference standard"),
        ("long", "label,confidence", "label,confidance", 1, "confidance", "unknown column"),
        ("long", "reader,r1,c2", "human,r1,c2", 3, "kind", "unknown kind"),
        ("long", "reader,r1,c2", "reader,r1,c1", 3, "truth", "another truth, 'graves', in row 2"),
        ("long", "reader,r1,c3", "reader,,c3", 4, "reader", "is empty"),
        ("long", "reader,r1,c3,unaided,tumor,tumor,5", "model,m,c3,,tumor,,", 4, "p_graves", "probability of every"),
    ],
)
def test_wrong_cell_is_located(write, layout, old, new, row, field, words):
    text = MRMCAOV if layout == "mrmcaov" else LONG
    assert old in text
    path = write(text.replace(old, new, 1))
    if words is None:  # another class name is another study: allowed, since the file names its own classes
        assert "cyst" in read_data(path, layout).class_keys
        return
    with pytest.raises(ManifestError, match=words) as caught:
        read_data(path, layout)
    assert caught.value.file == str(path)
    assert (caught.value.row, caught.value.field) == (row, field)


FOREIGN = """reader,case,truth,label,confidence
r1,a,FALSE,0,-1
r1,b,TRUE,1,0
r1,c,FALSE,1,3
r1,d,TRUE,1,4
"""


def test_labels_in_other_words_than_the_reference_standard_are_refused(write):
    with pytest.raises(ManifestError, match="no answer names a class of the reference standard") as refused:
        read_data(write(FOREIGN))
    assert (refused.value.row, refused.value.field, refused.value.value) == (2, "label", "0")
    assert "truth has FALSE, TRUE" in refused.value.fix
    named = refused.value.fix.rsplit("--classes ", 1)[1]
    codes = ("confidence=-1", "confidence=0")
    assert len(read_data(write(FOREIGN), classes=named_classes(named), missing=codes).readings) == 4
    assert len(read_data(write(FOREIGN.replace("d,TRUE,1", "d,TRUE,TRUE")), missing=codes).readings) == 4


def test_the_missing_code_of_a_confidence_that_is_offered_works_when_followed(write):
    text, codes = FOREIGN.replace("FALSE", "0").replace("TRUE", "1"), ()
    for code in ("-1", "0"):
        with pytest.raises(ManifestError, match="must be above 0") as refused:
            read_data(write(text), missing=codes)
        assert refused.value.fix.endswith(f"--missing confidence={code}")
        codes += (refused.value.fix.rsplit("--missing ", 1)[1],)
    assert read_data(write(text), missing=codes).readings["confidence"].isna().sum() == 2


def test_a_missing_code_that_meets_nothing_is_said(write):
    file = write(LONG)
    for code, is_met in [("Confidence=4", True), ("4", True), ("conf=4", False), ("confidence=9", False), ("9", False)]:
        read = read_readings_file(file, None, FileOptions(missing=(code,)))
        assert any(note.startswith(f"--missing {code}: no value") for note in read.notes) is not is_met, code
        assert read.data.readings["confidence"].isna().sum() == is_met


def test_label_outside_the_given_classes_is_located(write, study):
    path = write(LONG.replace("graves,graves,4", "graves,cyst,4"))
    with pytest.raises(ManifestError, match="unknown class") as caught:
        read_data(path, "long", classes=study.classes)
    assert (caught.value.row, caught.value.field, "graves, normal, sat, tumor" in str(caught.value)) == (
        2,
        "label",
        True,
    )


@pytest.mark.parametrize(
    ("rows", "words", "field"),
    [
        ("1,c1,a,0.5\n", "no truth row", "caseID"),
        ("-1,c1,0,1\n-1,c1,0,1\n1,c1,a,0.5\n", "truth row already, row 2", "caseID"),
        ("-1,c1,a,1\n1,c1,a,0.5\n", "must be 0 or truth", "modalityID"),
        ("-1,c1,0,0.3\n1,c1,a,0.5\n", "must be 0 or 1", "score"),
        ("-1,c1,0,1\n", "holds no rating", None),
    ],
)
def test_wrong_imrmc_rows_are_located(write, rows, words, field):
    with pytest.raises(ManifestError, match=words) as caught:
        read_data(write("readerID,caseID,modalityID,score\n" + rows), "imrmc")
    assert caught.value.field == field


def test_missing_file_and_unknown_layout_are_said(tmp_path, write):
    with pytest.raises(ManifestError, match="no such file"):
        read_data(tmp_path / "none.csv")
    with pytest.raises(InputError, match="long, mrmcaov, imrmc"):
        read_data(write(LONG), "wide")


def test_text_stays_text(write):
    path = write(LONG.replace("c1", "007").replace("r1", "NA"))
    data = read_data(path)
    assert "007" in set(data.cases["case"])
    assert set(data.readings["reader"]) == {"NA"}


# ---------------------------------------------------------------------------------------- for the reader
def test_analysis_of_a_file_prints_and_becomes_json(study, tmp_path):
    (path,) = write_files(study, tmp_path, "long")
    result = analyse_file(path, "long")
    console = Console(width=160, file=io.StringIO())
    result.render(console)
    text = console.file.getvalue()
    for words in ("Cohort external: 30 cases", "Per class", "Agreement", "sensitivity macro", "fleiss_kappa"):
        assert words in text
    for words in ("Average of the readers of an arm", "Calibration of probabilities", "Intervals at 95 %"):
        assert words in text
    console = Console(width=160, file=io.StringIO())
    result.render(console, ["confusion"])
    assert "row_share" in console.file.getvalue()
    assert "Agreement" not in console.file.getvalue()
    with pytest.raises(NotFoundError, match="use one of cases"):
        result.render(console, ["nothing"])
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (found["file"], found["layout"], found["format"]) == ("analysis.csv", "long", "reading-room-analysis")


def test_two_columns_of_one_class_are_refused(write):
    path = write("kind,reader,case,truth,p_a,p_A,p_b\nmodel,m,1,a,0.2,0.3,0.5\nmodel,m,2,b,0.2,0.3,0.5\n")
    with pytest.raises(ManifestError, match="class of column 'p_a' again") as caught:
        read_data(path)
    assert (caught.value.row, caught.value.field) == (1, "p_A")


def test_a_layout_that_does_not_fit_is_said_with_the_one_that_does(write):
    with pytest.raises(ManifestError, match="--layout mrmcaov"):
        read_data(write(MRMCAOV), "long")


def test_level_and_margin_reach_the_tables(study, tmp_path):
    (path,) = write_files(study, tmp_path / "level", "long")
    result = analyse_file(path, confidence_level=0.9, margin=0.1)
    assert set(result.analysis.to_tables()["auc"]["confidence_level"]) == {0.9}
    assert set(result.analysis.to_tables()["margins"]["margin"]) == {0.1}
    console = Console(width=160, file=io.StringIO())
    result.render(console)
    assert "Within the margin?" in console.file.getvalue()
    assert "Intervals at 90 %" in console.file.getvalue()


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [("", "A", "had no centre in row 2"), ("A", "", "had another centre, 'A', in row 2"), ("A", "B", "another centre")],
)
def test_what_a_row_says_about_its_case_is_the_same_in_each(write, first, second, words):
    path = write(f"reader,case,truth,label,centre\nr1,c1,a,a,{first}\nr1,c2,b,a,\nr2,c1,a,b,{second}\n")
    with pytest.raises(ManifestError, match=words) as caught:
        read_data(path)
    assert (caught.value.row, caught.value.field) == (4, "centre")


SEEDS = [
    MRMCAOV.encode(),
    LONG.encode(),
    MRMCAOV.replace(",", ";").encode(),
    b"text\nNR: 1\nBEGIN DATA:\n-1,c1,0,0\n-1,c2,0,1\nr,c1,a,1\nr,c2,a,2\n",
    b"kind,reader,case,truth,label,confidence,p_a,p_b,centre,repeat,is_unreadable\nreader,r,c1,a,a,3,,,x,1,\n"
    b"reader,r,c2,b,a,2,,,x,1,true\nmodel,m,c1,a,,,0.5,0.5,x,,\ncase,,c3,b,,,,,,,\n",
]
PIECES = [
    *(b",;|#'=.\"\n\r\t\0"[at : at + 1] for at in range(11)), b"NA", b"0", b"-1", b"1e999", b"BEGIN DATA:", b"sep=;",
    b"nan", b"reader", b"p_", b"rating_x", b"1.0", b"#NAME?", b"\xff\xfe", b"\xa0", b"\xc3\xa9", b"\xef\xbb\xbf",
]  # fmt: skip
DAMAGE = st.tuples(
    st.floats(0, 1),
    st.integers(0, 9),
    st.sampled_from(PIECES),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.sampled_from(SEEDS), damage=st.lists(DAMAGE, min_size=1, max_size=5))
def test_any_damage_is_an_error_with_a_fix_or_a_study(write, seed, damage):
    """Bytes cut out and put in anywhere: no crash, and every refusal says what to do."""
    content = bytearray(seed)
    for share, cut, piece in damage:
        place = int(share * len(content))
        content[place : place + cut] = piece
    fix = "none was needed"
    try:
        read_data(write(bytes(content)))
    except InputError as error:
        fix = error.fix
    assert fix


FROM_0 = """reader,case,truth,label,confidence,confidence_begins_at
r1,a,no,no,30,0
r1,b,yes,no,0,0
r1,c,no,yes,0,0
r1,d,yes,yes,55,0
"""


def test_a_scale_from_0_comes_back_as_it_was_stated(write, tmp_path):
    read = read_data(write(FROM_0))
    assert (read.confidence_shift, sorted(read.readings["confidence"])) == (1, [1.0, 1.0, 31.0, 56.0])
    text = readings_files(read, "long")["analysis.csv"].decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["confidence"] for row in rows] == ["30.0", "0.0", "0.0", "55.0"]
    again = read_data(write(text, "again.csv"))
    assert readings_files(again, "long")["analysis.csv"].decode("utf-8-sig") == text
    pd.testing.assert_frame_equal(again.readings, read.readings)
    found, wanted = (analyse(one).to_dict()["tables"] for one in (again, read))
    assert found == wanted
    assert {row["confidence_lower"] for row in found["confidence"]} == {0.0, 30.0, 55.0}
    from_1 = readings_files(replace(read, confidence_shift=0), "long")["analysis.csv"].decode()
    assert "confidence_begins_at" not in from_1, "a scale from 1 says nothing, and its files stay as they were"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [(("55,0", "55,2"), "confidence_begins_at", "neither 0 nor 1"),
     (("55,0", "55,1"), "confidence_begins_at", "another scale"),
     (("55,0", "-1,0"), "confidence", "below the scale"), (("30,0", "0,"), "confidence", "must be above 0")],
)  # fmt: skip
def test_a_scale_that_contradicts_itself_is_refused_at_its_row(write, change, field, words):
    text = FROM_0.replace(*change)
    if words == "must be above 0":
        text = "\n".join(line.rpartition(",")[0] + "," for line in text.splitlines()).replace(
            "confidence,", "confidence,confidence_begins_at"
        )
    with pytest.raises(ManifestError, match=words) as refused:
        read_data(write(text))
    assert (refused.value.field, refused.value.row is not None) == (field, True)
