"""Thread settings of core.runtime, in processes of their own because the libraries read them once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import SettingsError
from core.runtime import THREAD_VARIABLES, available_cores, configure_threads, threads_in_force

REPOSITORY = Path(__file__).resolve().parents[3]


def _run(script: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**inherited, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_number_is_set_before_and_after_torch_is_imported() -> None:
    script = (
        "from core.runtime import configure_threads\n"
        "configure_threads(1)\n"
        "import os, torch\n"
        "print(torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])\n"
        "configure_threads(2)\n"
        "print(torch.get_num_threads())\n"
    )
    assert _run(script, OMP_WAIT_POLICY="PASSIVE").split() == ["1", "PASSIVE", "2"]


def test_importing_core_lets_idle_threads_sleep() -> None:
    assert _run("import core, os; print(os.environ['OMP_WAIT_POLICY'])") == "PASSIVE"


def test_environment_decides_where_no_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in THREAD_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert threads_in_force() == available_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_in_force() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads_in_force() == 4


@pytest.mark.parametrize("text", ["many", "1.5"])
def test_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    with pytest.raises(SettingsError, match="OMP_NUM_THREADS"):
        threads_in_force()


def test_fewer_than_one_thread_is_refused() -> None:
    with pytest.raises(SettingsError, match="1 or more"):
        configure_threads(0)
