"""Nothing phones home: every door runs without a network, asks for none, and leaves no file outside the data folder.

``docs/offline.md`` says what else was looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.phantom import small_cohorts, write_cohorts
from tests.isolated import ROOT, Traces, run_isolated, why_not_isolated

pytestmark = pytest.mark.slow

Run = Callable[..., Traces]


@pytest.fixture(scope="module", autouse=True)
def _needs_a_namespace() -> None:
    reason = why_not_isolated()
    if reason:
        pytest.skip(reason)


def assert_silent(traces: Traces, *, connections: int = 0, expected: str = "") -> None:
    """Nothing was looked up, nothing left the machine, no file lies outside the data folder (or ``expected``)."""
    assert traces.status == 0, traces.output
    assert (traces.unroutable, traces.datagrams) == (0, 0), traces.output
    assert traces.connections == connections, traces.output
    assert [path for path in traces.files if not expected or not path.startswith(expected)] == [], traces.output


@pytest.mark.parametrize(
    ("attempt", "kind"),
    [
        ("socket.create_connection(('192.0.2.1', 443), 2)", "unroutable"),
        ("socket.create_connection(('2001:db8::1', 443), 2)", "unroutable"),
        ("socket.getaddrinfo('example.org', 443)", "any"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'?', ('127.0.0.53', 53))", "datagrams"),
        ("socket.create_connection(('127.0.0.1', 9), 2)", "connections"),
        ("open(os.path.expanduser('~/trace'), 'w').write('x')", "files"),
    ],
)
def test_the_instrument_sees_every_kind_of_trace(attempt: str, kind: str, tmp_path: Path) -> None:
    traces = run_isolated([sys.executable, "-c", f"import os, socket\n{attempt}"], tmp_path)
    seen = {
        "unroutable": traces.unroutable, "datagrams": traces.datagrams, "connections": traces.connections,
        "files": len(traces.files), "any": traces.unroutable + traces.datagrams,
    }  # fmt: skip
    assert seen[kind] > 0, seen


def test_a_notebook_that_imports_core_and_predicts_is_silent(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_CHECKPOINT.parent, tmp_path / "data")  # a graph is kept beside the weights
    program = f"""
import numpy as np
from core.model.classifier import Classifier
model = Classifier.load({str(tmp_path / "data" / SHIPPED_CHECKPOINT.name)!r}, "cpu")
print(model.predict([np.ones((96, 96), np.uint16)]).labels)
import onnxruntime, time
time.sleep(2)  # telemetry would be sent from a thread of its own
"""
    assert_silent(run_isolated([sys.executable, "-c", program], tmp_path))


def test_training_is_silent(tmp_path: Path) -> None:
    plans = small_cohorts({"training": 24, "internal": 3, "external": 3}, study="offline")
    manifest = write_cohorts(plans, tmp_path / "data" / "phantoms", image_format="png", workers=1)
    sizes = ["--set", "image_size=32", "--set", "length=1", "--set", "batch_size=24", "--set", "warmup_epochs=0.5"]
    command = [sys.executable, "-m", "training", "fit", "--data", str(manifest), "--device", "cpu", *sizes]
    command += ["--architecture", "shufflenet_v2_x1_0"]
    assert_silent(run_isolated(command, tmp_path), expected="work/runs/")
    assert (tmp_path / "data" / "cache" / "matplotlib").is_dir()


def test_a_benchmark_is_silent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.hard_cases", "--cases", "2"]
    assert_silent(run_isolated(command, tmp_path))


@pytest.mark.skipif(not os.environ.get("READING_ROOM_TEST_LONG"), reason="a minute; READING_ROOM_TEST_LONG=1 runs it")
def test_the_tests_are_silent(tmp_path: Path) -> None:
    chosen = str(ROOT / "tests" / "core" / "model" / "test_classifier.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c"]
    command += [str(ROOT / "pyproject.toml"), f"--basetemp={tmp_path / 'data'}", chosen]
    assert_silent(run_isolated(command, tmp_path))


@pytest.mark.parametrize("door", ["manage.py serve", "manage.py serve on all addresses", "streamlit run"])
def test_the_commands_and_the_app_with_somebody_signed_in_are_silent(door: str, demo: Path, tmp_path: Path) -> None:
    password = (demo / "password").read_text()
    shutil.copytree(demo / "data", tmp_path / "data")
    command = [sys.executable, str(ROOT / "manage.py"), "serve"]
    if door == "streamlit run":
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "streamlit_app.py")]
    elif door.endswith("all addresses"):
        command += ["--address", "0.0.0.0"]  # noqa: S104  # inside a namespace without a network
    visit = [sys.executable, str(ROOT / "tests" / "offline_visitor.py"), "demo-coordinator", *command]
    traces = run_isolated(visit, tmp_path, VISITOR_PASSWORD=password)
    assert "the screen was shown" in traces.output
    if door.startswith("manage.py"):  # an address that answers, also where it listens on all
        assert re.search(r"open http://(127\.0\.0\.1|localhost):8501/ ", traces.output), traces.output
    assert_silent(traces, connections=traces.connections)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's data folder, made without a network by two processes, and a password."""
    folder = tmp_path_factory.mktemp("demo")
    traces = run_isolated([sys.executable, str(ROOT / "manage.py"), "demo", "--workers", "2"], folder)
    assert_silent(traces)
    (folder / "password").write_text(re.search(r"demo-coordinator\s+(\S+)", traces.output)[1])  # type: ignore[index]
    return folder


def test_the_commands_are_silent(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "data", tmp_path / "data")
    out = tmp_path / "data" / "out"
    commands = (
        ["predict", "--study", "demo"], ["results", "--study", "demo"], ["export", str(out), "--study", "demo"],
        ["analyse", str(out / "analysis.csv")], ["audit", "verify"],
        ["backup", str(tmp_path / "data" / "copy.sqlite3")],
    )  # fmt: skip
    for number, arguments in enumerate(commands):
        # each in a home of its own, on one data folder
        folder = tmp_path / str(number)
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        assert_silent(run_isolated(command, folder, READING_ROOM_DATA_DIR=str(tmp_path / "data")))
