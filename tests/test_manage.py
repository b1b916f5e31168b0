"""The command line as a newcomer types it, a real SQLite file, phantoms, the shipped model."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer

import manage
from commands.server import address_to_open
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.settings import Settings, get_settings

ROOT = Path(__file__).resolve().parent.parent


class Terminal:
    """A terminal with a data folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "READING_ROOM_DATA_DIR": str(folder / "data"),
            "READING_ROOM_DATABASE_URL": "",
            "READING_ROOM_THREADS": "1",
            "COLUMNS": "200",
        }

    def run(self, *arguments: str, status: int = 0) -> str:
        """Standard output of a command that ends with this status; with 2, standard error."""
        out, err = io.StringIO(), io.StringIO()
        get_settings.cache_clear()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "argv", ["manage.py", *arguments]),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,  # anything else would be a traceback
        ):
            manage.main()
        assert int(ended.value.code or 0) == status, f"{arguments}\n{out.getvalue()}\n{err.getvalue()}"
        return (err if status == 2 else out).getvalue()


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """A store in which a small synthetic study has gone the whole road."""
    terminal = Terminal(tmp_path_factory.mktemp("road"))
    terminal.run("study", "create", "road", "--synthetic", "--title", "The whole road")
    terminal.run("phantoms", "phantoms", "--per-class", "4", "--name", "road-test", "--workers", "1")
    terminal.run("import", "phantoms/manifest.csv", "--study", "road")
    return terminal


def test_plan_prints_power_and_says_what_it_needs(terminal: Terminal) -> None:
    shown = terminal.run(
        "plan", "--compare", "panel", "--difference", "0", "--margin", "0.05", "--readers", "8", "--cases", "200",
        "--component", "reader=0.001", "--component", "error=0.0012", "--component", "cov2=0.0006",
    )  # fmt: skip
    assert "non-inferiority, margin 0.05" in shown
    assert "0.628" in shown
    papers = ("--auc", "0.85", "--r1", "0.5", "--r2", "0.4", "--r3", "0.3")
    found = json.loads(terminal.run("plan", "--difference", "0.05", *papers, "--json"))
    assert len(found["powers"]) == 16
    assert "--pilot FILE" in terminal.run("plan", "--difference", "0.05", status=2)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_whole_road_from_phantoms_to_csv(terminal: Terminal) -> None:
    assert "Registered" in terminal.run("model", "register", str(SHIPPED_CHECKPOINT))
    assert "'mine' is not used" in terminal.run("model", "register", str(SHIPPED_CHECKPOINT), "--name", "mine")
    assert "protocol version 2" in terminal.run("study", "declare-model", "resnet16_fine_phantom", "--study", "road")
    assert "48 predictions added" in terminal.run("predict", "--study", "road")
    assert "0 predictions added" in terminal.run("predict", "--study", "road")

    refused = terminal.run("study", "state", "open", "--study", "road", "--confirm", "road", status=2)
    assert "warning truthers" in refused
    opening = ("study", "state", "open", "--study", "road", "--acknowledge", "all=phantoms")
    assert "no model was declared" not in terminal.run(*opening, "--confirm", "road")
    assert "sealed" in terminal.run("results", "--study", "road", status=2)
    assert "sealed" in terminal.run("export", "export", "--study", "road", status=2)
    assert not (terminal.folder / "export").exists()

    assert "64 simulated readings" in terminal.run("simulate-readers", "--study", "road")
    for state in ("closed", "locked", "unsealed"):
        terminal.run("study", "state", state, "--study", "road")

    terminal.run("export", "export", "--study", "road")
    exported = terminal.folder / "export"
    readings = read_csv(exported / "readings.csv")
    assert len(readings) == 64
    assert {row["is_simulated"] for row in readings} == {"True"}
    assert all("simulated" in row["display_name"] for row in readings)
    predictions = read_csv(exported / "predictions.csv")
    assert len(predictions) == 48
    shares = [sum(float(row[f"p_{key}"]) for key in ("graves", "normal", "sat", "tumor")) for row in predictions]
    assert shares == pytest.approx([1.0] * 48)

    # the same number in the CSV and from the command line, recomputed here from the exported rows
    truth = {row["case"]: row["reference_standard"] for row in read_csv(exported / "reference_standard.csv")}
    internal = [row for row in readings if row["cohort"] == "internal" and row["reader"] == "sim-senior"]
    by_hand = sum(row["class"] == truth[row["case"]] for row in internal) / len(internal)
    in_csv = [
        float(row["value"])
        for row in read_csv(exported / "metrics_summary.csv")
        if (row["cohort"], row["participant"], row["quantity"]) == ("internal", "sim-senior", "accuracy")
    ]
    assert in_csv == [pytest.approx(by_hand, abs=1e-12)]
    printed = terminal.run("results", "--study", "road", "--table", "summary")
    assert f"{by_hand:.3f} (" in printed
    assert "declared in protocol version 2" in printed
    everything = json.loads(terminal.run("results", "--study", "road", "--json"))
    assert everything["cohorts"]

    assert "intact" in terminal.run("audit", "verify")
    # and the same tables from the exported file, without the database; notes have the names that the file does not know
    again = json.loads(terminal.run("analyse", "export/analysis.csv", "--classes", "thyroid", "--json"))["tables"]
    assert again == everything["tables"]
    assert "exists and is not empty" in terminal.run("export", "export", "--study", "road", status=2)


def test_import_check_writes_nothing(terminal: Terminal) -> None:
    terminal.run("study", "create", "checked")
    again = ("import", "phantoms/manifest.csv", "--study", "checked", "--check", "--shared-images", "a test")
    assert "nothing written" in terminal.run(*again)
    assert "16" not in terminal.run("study", "progress", "--study", "checked")
    listed = next(line for line in terminal.run("study", "list").splitlines() if "checked" in line)
    assert re.search(r"│\s*0\s*│", listed)


def test_import_names_row_and_column_and_writes_nothing(terminal: Terminal) -> None:
    terminal.run("study", "create", "broken")
    rows = read_csv(terminal.folder / "phantoms" / "manifest.csv")
    rows[2]["class"] = "gravess"
    rows[5]["image"] = "images/not-there.png"
    broken = terminal.folder / "phantoms" / "broken.csv"
    with broken.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    message = terminal.run("import", "phantoms/broken.csv", "--study", "broken", status=2)
    assert "row 4" in message
    assert "'class'" in message
    assert "gravess" in message
    assert "row 7" in message
    assert "'image'" in message
    listed = next(line for line in terminal.run("study", "list").splitlines() if "broken" in line)
    assert re.search(r"│\s*0\s*│", listed)


def test_mistakes_end_in_words(terminal: Terminal, tmp_path: Path) -> None:
    nowhere = terminal.run("study", "progress", "--study", "raod", status=2)
    assert "There is no study 'raod'. Fix: use one of" in " ".join(nowhere.split())
    assert "no store" in Terminal(tmp_path).run("study", "list", status=2)
    assert "Fix" in terminal.run("import", "nowhere.csv", "--study", "road", status=2)
    pickled = tmp_path / "weights.pth"
    pickled.write_bytes(b"\x80\x04anything")
    assert "Fix" in terminal.run("model", "register", str(pickled), status=2)
    assert "thyroid" in terminal.run("predict", "--study", "thyroid", status=2)
    wrong = Terminal(tmp_path)
    wrong.environment["READING_ROOM_DATABASE_URL"] = "mysql://somebody:secret@host/name"
    message = wrong.run("study", "list", status=2)
    assert "READING_ROOM_DATABASE_URL" in message
    assert "secret" not in message


def test_a_data_folder_of_any_name_holds_its_store_and_messages_show_it_as_typed(tmp_path: Path) -> None:
    folder = tmp_path / "Reader%20study, what? #1 süß"
    terminal = Terminal(tmp_path)
    terminal.environment["READING_ROOM_DATA_DIR"] = str(folder)
    assert str(folder / "reading_room.sqlite3") in terminal.run("migrate").replace("\n", "")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "reading_room.sqlite3").is_file()


def test_one_address_is_one_store_whatever_the_working_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    first, second = Terminal(here), Terminal(there)
    first.environment["READING_ROOM_DATABASE_URL"] = "sqlite:///mystudy.sqlite3"
    refused = first.run("study", "create", "s", status=2)
    assert list(here.iterdir()) == []
    fix = re.search(r"use (sqlite:\S+)\.$", refused.strip())
    assert fix is not None, refused
    for terminal in (first, second):
        terminal.environment["READING_ROOM_DATABASE_URL"] = fix[1]
    first.run("study", "create", "s")  # the fix works when followed
    assert (here / "mystudy.sqlite3").is_file()
    assert "│ s " in second.run("study", "list")


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [("migrate", "DATA_DIR", "/dev/null/data"), ("person list", "DATA_DIR", "/dev/null/data"),
     ("study create s", "DATABASE_URL", "sqlite:////dev/null/data/x.sqlite3"),
     ("serve", "DATABASE_URL", "postgresql://rr:hunter2@ss:w/rd#%41 x@127.0.0.1:55437/rr"),
     ("study create s", "DATABASE_URL", "postgresql://rr:hunter2@127.0.0.1:1/rr"),
     ("streamlit run", "DATABASE_URL", "postgresql://rr:hunter2@127.0.0.1:port/rr"),
     ("streamlit run", "DATA_DIR", "/dev/null/data"), ("streamlit run", "DATADIR", "data"),
     ("streamlit run", "BASE_PATH", "/results/x"), ("streamlit run", "BASE_PATH", "/static"),
     ("python -m training recipe", "DATADIR", "data"), ("reproduce-paper", "THREADS", "many")],
)  # fmt: skip
def test_a_wrong_setting_ends_every_door_in_words(command: str, name: str, value: str, tmp_path: Path) -> None:
    doors = {
        "streamlit run": ["-m", "streamlit", "run", str(ROOT / "streamlit_app.py"), "--server.port", "0"],
        "python -m training recipe": ["-m", "training", "recipe"],
    }
    if command not in doors:
        terminal = Terminal(tmp_path)
        terminal.environment[f"READING_ROOM_{name}"] = value
        message = terminal.run(*command.split(), status=2)
    else:
        done = subprocess.run(
            [sys.executable, *doors[command]], capture_output=True, text=True, cwd=tmp_path, timeout=240,
            env={**os.environ, "PYTHONPATH": str(ROOT), f"READING_ROOM_{name}": value},
        )  # fmt: skip
        message = done.stdout + done.stderr
        assert done.returncode == 2, message
        assert "Traceback" not in message
    assert "READING_ROOM_" in message
    assert "Fix:" in message
    assert "hunter2" not in message


def test_several_checkpoints_make_one_ensemble_and_a_study_may_open_without_a_declared_model(
    terminal: Terminal, tmp_path: Path
) -> None:
    from core.model.checkpoint import load_checkpoint, save_checkpoint

    loaded = load_checkpoint(SHIPPED_CHECKPOINT)
    warmer = dataclasses.replace(loaded.card, temperature=3.0)
    other = save_checkpoint(tmp_path / "other", loaded.network, warmer, statistics=loaded.statistics)
    folds = (str(SHIPPED_CHECKPOINT), str(other))
    assert "--name" in terminal.run("model", "register", *folds, status=2)
    assert "ensemble of 2 x resnet16_fine" in terminal.run("model", "register", *folds, "--name", "folds", "--augment")
    terminal.run("study", "create", "undeclared", "--synthetic")
    terminal.run("import", "phantoms/manifest.csv", "--study", "undeclared", "--shared-images", "a test")
    predicted = terminal.run("predict", "--study", "undeclared", "--model", "folds + tta-v1", "--cohort", "internal")
    assert "16 predictions added" in predicted
    opened = terminal.run(
        "study", "state", "open", "--study", "undeclared", "--acknowledge", "all=phantoms", "--confirm", "undeclared"
    )
    assert "no model was declared before reading" in opened
    refused = terminal.run("study", "declare-model", "folds + tta-v1", "--study", "undeclared", status=2)
    assert "model_sha256 cannot change any more" in refused
    for state in ("closed", "locked", "unsealed"):
        terminal.run("study", "state", state, "--study", "undeclared")
    printed = terminal.run("results", "--study", "undeclared", "--cohort", "internal")
    assert "not declared before reading: exploratory" in printed


def test_simulated_readers_refuse_a_study_that_is_not_synthetic(terminal: Terminal) -> None:
    terminal.run("study", "create", "patients")
    refused = terminal.run("simulate-readers", "--study", "patients", status=2)
    assert "not synthetic" in refused
    assert "--synthetic" in refused


def test_backup_restore_receipt_and_check_from_the_terminal(terminal: Terminal, tmp_path: Path) -> None:
    backup = tmp_path / "backup.sqlite3"
    saved = terminal.run("backup", str(backup))
    receipt = re.search(r"Receipt: (\d+:[0-9a-f]{64})", saved).group(1)
    assert "exists" in terminal.run("backup", str(backup), status=2)
    terminal.run("study", "create", "made-after-the-backup")
    assert "--replace" in terminal.run("restore", str(backup), status=2)
    assert "lies at" in terminal.run("restore", str(backup), "--replace")
    assert "made-after-the-backup" not in terminal.run("study", "list")
    checked = terminal.run("audit", "verify", "--receipt", receipt)
    assert "the store is as it says" in checked
    assert terminal.run("audit", "receipt").strip() in checked
    forged = f"{receipt.split(':')[0]}:{'0' * 64}"
    assert "TOUCHED" in terminal.run("audit", "verify", "--receipt", forged, status=1)


def _commands(app: typer.Typer, prefix: str = "") -> list[str]:
    """Full names of all commands."""
    names = [
        f"{prefix}{command.name or command.callback.__name__.rstrip('_').replace('_', '-')}"
        for command in app.registered_commands
        if command.callback is not None
    ]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            names += _commands(group.typer_instance, f"{prefix}{group.name} ")
    return names


@pytest.mark.parametrize(
    ("address", "settings", "shown"),
    [
        ("127.0.0.1", {}, "http://127.0.0.1:8501"),
        ("::", {"base_path": "/rr"}, "http://localhost:8501/rr"),
        ("::", {}, "http://localhost:8501"),
        ("::1", {}, "http://[::1]:8501"),
        ("::", {"is_cookie_secure": True, "allowed_hosts": "*.hospital,::1,rr.hospital"}, "https://rr.hospital"),
        ("::", {"is_cookie_secure": True, "allowed_hosts": "*"}, "http://localhost:8501"),
    ],
)
def test_the_address_that_serve_prints_is_one_to_open(address: str, settings: dict[str, Any], shown: str) -> None:
    assert address_to_open(address, 8501, Settings(**settings)) == shown


def test_every_command_stands_in_the_documentation() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    missing = [name for name in _commands(manage.app) if f"`{name}`" not in text]
    assert missing == []


def test_every_setting_stands_in_the_readme() -> None:
    from core.settings import Settings

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"`{name.upper()}`" not in text] == []


def test_a_study_of_another_field_has_its_own_classes(terminal: Terminal) -> None:
    terminal.run("study", "create", "lungs", "--classes", "benign, malignant", "--question", "Which nodule is this?")
    refused = terminal.run("import", "phantoms/manifest.csv", "--study", "lungs", status=2)
    assert "unknown class" in refused
    assert "use one of benign, malignant" in refused
    assert "none of them twice" in terminal.run("study", "create", "twice", "--classes", "a,A", status=2)
