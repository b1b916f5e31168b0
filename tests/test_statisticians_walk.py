"""The page docs/statisticians-walk.md, followed literally by somebody who has its 18 files."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.analysis import analyse
from core.study_analysis.data import StudyData
from tests.core.analysis_studies import KEYS, simulated_study

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "statisticians-walk.md").read_text(encoding="utf-8")
WORDS = dict(zip(KEYS, ("Graves disease", "normality", "Subacute thyroiditis", "Tumour"), strict=True))


@pytest.fixture(scope="module")
def study() -> StudyData:
    return simulated_study(n_cases=40, readers=18, models=1, missing=0.05, seed=4)


@pytest.fixture(scope="module")
def folder(study: StudyData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page says that the statistician has."""
    home = tmp_path_factory.mktemp("walk")
    answers = home / "answers"
    answers.mkdir()
    for number, (_, rows) in enumerate(study.readings.groupby("reader", sort=False), start=1):
        head = "Created,Image,Diagnosis,Certainty"
        lines = [f"2026-03-02T09:14:05Z,{row.case},{WORDS[row.label]},{row.confidence:g}" for row in rows.itertuples()]
        (answers / f"reader-{number:02d}.csv").write_text("\n".join([head, *lines]) + "\n")
    cases = study.cases.rename(columns={"case": "Image"})[["Image", "patient", "cohort", "truth"]]
    cases.assign(truth=cases["truth"].map(WORDS)).to_csv(answers / "reference.csv", index=False)
    net = study.predictions.rename(columns={"case": "Image"}).drop(columns="model")
    net.to_csv(answers / "net.csv", index=False)
    return home


def commands() -> list[tuple[str, str]]:
    """The commands of the page in their order, and what a refused one says."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)).splitlines()
    return [(line.partition("#")[0].strip(), line.partition("# refused:")[2].strip()) for line in lines if line.strip()]


def test_the_walk_is_walked_to_its_end(study: StudyData, folder: Path) -> None:
    environment = {**os.environ, "READING_ROOM_DATA_DIR": str(folder / "data"), "COLUMNS": "200",
                   "READING_ROOM_THREADS": "1"}  # fmt: skip
    walked = commands()
    assert len(walked) == 7
    shown, stores = [], []
    for command, refusal in walked:
        program, redirect, target = command.partition(" > ")
        words = shlex.split(program)
        assert words[:2] == ["python", "manage.py"]
        done = subprocess.run([sys.executable, str(ROOT / "manage.py"), *words[2:]], capture_output=True, text=True,
                              cwd=folder, env=environment, timeout=240)  # fmt: skip
        assert "Traceback" not in done.stderr
        assert done.returncode == (2 if refusal else 0), (command, done.stderr)
        assert refusal in done.stderr
        if "read-elsewhere" in words:
            assert not stores  # no step before needs one
        stores = list((folder / "data").glob("*.sqlite3"))
        if redirect:
            (folder / target).write_text(done.stdout)
        shown.append(done.stdout)
    assert "left alone: Created" in shown[1]
    numbers = json.loads((folder / "numbers.json").read_text())
    wanted = analyse(study, margin=0.05).to_tables()["mrmc"]["value"].to_numpy(float)
    found = np.array([row["value"] for row in numbers["tables"]["mrmc"]], dtype=float)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)  # the file's readers have other names
    page = (folder / "report.html").read_text()
    assert "cannot say whether they were blinded" in page
    assert "planned:" not in page
    answer = numbers["cohorts"][0]["answer"][0]
    assert "18 readers" in answer
    assert answer in page
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    stored = json.loads((folder / "stored.json").read_text())
    assert stored == {name: value for name, value in numbers.items() if name in stored}
    assert "read elsewhere, not blinded here" in shown[5]
