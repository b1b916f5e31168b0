"""Runs as a queue of processes, N to a device: faster than splitting a batch of 12 over devices.

Every job is a run folder that holds its plan; a worker is ``python -m training resume FOLDER``. So an interrupted
queue is started again with the same command: finished runs are skipped and half-done ones go on where they were.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import TrainingError
from core.runtime import THREAD_VARIABLES, available_cores
from training.run_folder import RunFolder

#: The folder in which ``python -m training`` is found.
PROJECT_FOLDER = Path(__file__).resolve().parent.parent
#: Seconds between two looks at the running processes.
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class QueueState:
    """What a progress display needs to know."""

    waiting: tuple[Path, ...]
    running: tuple[Path, ...]
    finished: tuple[Path, ...]
    failed: tuple[Path, ...]


@dataclass
class _Worker:
    """A running process and the device it holds."""

    process: subprocess.Popen[bytes]
    device: str


def run_queue(
    folders: Sequence[Path],
    *,
    workers: int,
    gpus: int = 0,
    on_change: Callable[[QueueState], None] | None = None,
) -> None:
    """Finish every run, several at a time.

    Parameters
    ----------
    folders : sequence of Path
        Run folders that hold a plan.
    workers : int
        Processes at a time: on CPUs in all, on GPUs per GPU. The cores are divided among them.
    gpus : int
        GPUs to spread the workers over; 0 trains on the CPU.
    on_change : callable, optional
        Called about twice a second with what waits, runs, is finished and has failed.

    Raises
    ------
    TrainingError
        If a run failed, after all others are done; names each with the end of its log.
    """
    if workers < 1:
        raise TrainingError(f"{workers} workers cannot do anything. Use --workers 1 or more.")
    finished = [folder for folder in folders if RunFolder(folder).is_finished]
    waiting = [folder for folder in folders if not RunFolder(folder).is_finished]
    failed: list[Path] = []
    devices = [str(index) for index in range(gpus)] or ["cpu"]
    free = [device for _ in range(workers) for device in devices]
    threads = max(1, available_cores() // len(free))
    running: dict[Path, _Worker] = {}
    try:
        while waiting or running:
            while waiting and free:
                folder, device = waiting.pop(0), free.pop(0)
                running[folder] = _Worker(_start(folder, device, threads), device)
            for folder, worker in list(running.items()):
                if worker.process.poll() is None:
                    continue
                del running[folder]
                free.append(worker.device)
                is_done = worker.process.returncode == 0 and RunFolder(folder).is_finished
                (finished if is_done else failed).append(folder)
            if on_change is not None:
                on_change(QueueState(tuple(waiting), tuple(running), tuple(finished), tuple(failed)))
            if running:
                time.sleep(POLL_SECONDS)
    finally:
        for worker in running.values():
            worker.process.terminate()
        for worker in running.values():
            worker.process.wait()
    if failed:
        ends = "\n".join(f"  {folder}: {_end_of_log(folder)}" for folder in failed)
        raise TrainingError(
            f"{len(failed)} of {len(folders)} runs failed; the others are finished:\n{ends}\n"
            "Mend the cause and give the same command again: finished runs are kept."
        )


def _start(folder: Path, device: str, threads: int) -> subprocess.Popen[bytes]:
    """One worker process; its output goes to ``run.log`` in its folder."""
    environment = dict(os.environ, OMP_WAIT_POLICY="PASSIVE", NO_COLOR="1")
    environment.update({name: str(threads) for name in THREAD_VARIABLES})
    environment["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    # Here, not in the project: paths of a plan are those of the command that made it.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT_FOLDER), os.environ.get("PYTHONPATH"))))
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "training", "resume", str(folder.resolve())],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
        )


def _end_of_log(folder: Path) -> str:
    """Last line that a failed worker wrote."""
    log = folder / "run.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it wrote nothing"
