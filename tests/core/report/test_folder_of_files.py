"""A folder with a file for each reader, as other platforms write it, is one study."""

import numpy as np
import pandas as pd
import pytest

from core.analysis import analyse
from core.errors import InputError, ManifestError
from core.report.file_options import FileOptions
from core.report.readings_file import read_readings_file
from tests.core.analysis_studies import simulated_study

OPTIONS = FileOptions(columns=("case=Image", "label=Diagnosis", "confidence=Certainty"))


def write_folder(folder, study):
    """One file a reader in another platform's words, the model's, and the reference standard."""
    readings = study.readings[study.readings["repeat"] == 1]
    for reader, rows in readings.groupby("reader"):
        rows.rename(columns={"case": "Image", "label": "Diagnosis", "confidence": "Certainty"}).assign(
            Created="2026-01-01"
        )[["Created", "Image", "Diagnosis", "Certainty"]].to_csv(folder / f"{reader}.csv", index=False)
    for model, rows in study.predictions.groupby("model"):
        rows.rename(columns={"case": "Image"}).drop(columns="model").to_csv(folder / f"{model}.csv", index=False)
    cases = study.cases.rename(columns={"case": "Image"})[["Image", "patient", "cohort", "truth"]]
    cases.to_csv(folder / "reference.csv", index=False)


def test_a_file_for_each_reader_gives_the_analysis_of_one_file_with_all(tmp_path):
    study = simulated_study(n_cases=60, readers=3, models=1, missing=0.1, cohorts=2)
    write_folder(tmp_path, study)
    read = read_readings_file(tmp_path, options=OPTIONS)
    assert any("left alone: Created" in note for note in read.notes)
    wanted = analyse(study).to_tables()
    found = analyse(read.data).to_tables()
    order = ["graves", "normal", "sat", "tumor"]
    assert list(read.data.class_keys) == order
    for name, table in wanted.items():
        pd.testing.assert_frame_equal(found[name], table, obj=name)


def break_file(name, text):
    def change(folder):
        path = folder / name
        path.write_text(text(path.read_text()), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (break_file("reader-1.csv", lambda text: text.replace("case-0003", "case-9999")),
         r"reader-1\.csv.*no file says the reference standard.*case-9999.*add the case to reference\.csv"),
        (break_file("reader-1.csv", lambda text: text + "2026-01-01,case-0003,graves,high\n"),
         r"reader-1\.csv.*is not a number"),
        (break_file("reader-0.csv", lambda text: text.replace("Diagnosis", "Answer")),
         r"reader-0\.csv.*no column holds answers"),
        (break_file("reference.csv", lambda text: text + "case-0003,case-0003,internal,sat\n"),
         r"reference\.csv.*says something else of this case"),
        (lambda folder: (folder / "reference.csv").unlink(), r"no file says the reference standard"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_file(tmp_path, change, said):
    write_folder(tmp_path, simulated_study(n_cases=20, readers=2, models=0))
    change(tmp_path)
    with pytest.raises((ManifestError, InputError), match=said):
        read_readings_file(tmp_path, options=OPTIONS)


def test_a_column_that_is_none_of_ours_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match="write for example label=Diagnosis"):
        read_readings_file(tmp_path / "a.csv", options=FileOptions(columns=("diagnosis=x",)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"ends in \.csv"):
        read_readings_file(tmp_path / "empty")


def test_the_truth_may_stand_in_every_file(tmp_path):
    rng = np.random.default_rng(1)
    for reader in ("ann", "ben"):
        rows = [f"c{n},{'ab'[n % 2]},{'ab'[int(rng.integers(2))]}" for n in range(30)]
        (tmp_path / f"{reader}.csv").write_text("case,truth,label\n" + "\n".join(rows) + "\n")
    data = read_readings_file([tmp_path / "ann.csv", tmp_path / "ben.csv"]).data
    assert sorted(set(data.readings["reader"])) == ["ann", "ben"]
    assert len(data.cases) == 30
