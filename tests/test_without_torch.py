"""Serve, read, predict, results and explain without PyTorch (the screens are walked by tests/pages/test_demo.py)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from actions.models import register_model
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.protocol import Protocol
from core.settings import get_settings
from core.study import CaseRecord
from db import OPERATOR, Repository, create_store
from tests.pages.reading_server import phantom_pixels

ROOT = Path(__file__).resolve().parent.parent
BLOCKED = ROOT / "tests" / "without_torch"
#: What only training and registering need, by the name on the package index.
NOT_FOR_THE_WEB = {"torch", "torchvision", "lightning-fabric", "grad-cam", "onnx"}
#: Modules that are about PyTorch's networks; nothing of the web process imports them.
NEED_TORCH = {"architectures", "checkpoint", "fine_resnet", "gradcam", "onnx_export", "package_maps"}

IMPORT_ALL = """
import importlib, pkgutil, sys
for package in ("core", "db", "actions", "commands", "pages"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if module.name == "pages.navigation" or module.name.startswith("db.migrations"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(module.name, "needs", error.name)
import manage
"""

#: What only results, imports, predictions and migrations need: half a start and two thirds of the memory.
NOT_FOR_READING = {
    "pandas",
    "scipy",
    "statsmodels",
    "sklearn",
    "matplotlib",
    "openpyxl",
    "onnxruntime",
    "pydicom",
    "alembic",
}


def run(data: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python process without PyTorch, on a data folder."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{BLOCKED}{os.pathsep}{ROOT}",
        "READING_ROOM_DATA_DIR": str(data),
        "READING_ROOM_THREADS": "1",
        "COLUMNS": "220",
    }
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a draft of three cases and a registered model."""
    folder = tmp_path / "data"
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(folder))
    get_settings.cache_clear()
    folder.mkdir()
    engine = create_store(f"sqlite:///{folder / 'reading_room.sqlite3'}")
    repository = Repository(engine, OPERATOR)
    repository.create_study("study", Protocol(title="Study"), is_synthetic=True)
    cases = [CaseRecord(f"c{n}", f"p{n}", "internal", "normal", phantom_pixels(n)) for n in range(3)]
    repository.import_cases("study", cases)
    register_model(repository, SHIPPED_CHECKPOINT)
    engine.dispose()
    get_settings.cache_clear()
    return folder


def test_only_the_networks_need_torch(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    needing = {line.split()[0]: line.split()[2] for line in done.stdout.splitlines()}
    assert set(needing) == {f"core.model.{name}" for name in NEED_TORCH}
    assert set(needing.values()) <= {"torch", "torchvision"}


def test_a_process_that_readers_use_starts_without_what_results_and_imports_need(data: Path) -> None:
    done = run(data, "-c", "import sys, streamlit_app; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "pages.read" in loaded
    assert loaded & (NOT_FOR_READING | {"psycopg", "pages.results"}) == set()


def test_a_registered_model_predicts_without_torch_also_from_a_folder_that_moved(data: Path) -> None:
    moved = shutil.move(data, data.with_name("moved"))
    done = run(Path(moved), "manage.py", "predict", "--study", "study")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b3 ", done.stdout), done.stdout
    assert "torch" not in done.stderr


def test_a_model_without_its_graph_says_what_to_do(data: Path) -> None:
    for graph in (data / "models").rglob("*.onnx"):
        graph.unlink()
    done = run(data, "manage.py", "predict", "--study", "study")
    assert done.returncode != 0
    text = " ".join((done.stdout + done.stderr).split())
    assert "has no graph beside it" in text
    assert "Fix: run 'manage.py model register'" in text
    assert "Traceback" not in text


def test_registering_without_torch_says_what_to_do(data: Path) -> None:
    done = run(data, "manage.py", "model", "register", str(SHIPPED_CHECKPOINT))
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "registering a model needs PyTorch" in text
    assert "Traceback" not in text


def test_requirements_of_the_web_process_are_those_of_the_app_without_training() -> None:
    wanted, web = (
        [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
        for name in ("requirements.txt", "requirements-web.txt")
    )
    assert web == [line for line in wanted if re.split(r"[\[><=]", line)[0] not in NOT_FOR_THE_WEB]
    assert len(wanted) - len(web) == len(NOT_FOR_THE_WEB)
