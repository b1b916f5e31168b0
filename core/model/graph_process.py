"""A graph from elsewhere in a process of its own, whose memory and time are bounded.

A graph of 300 bytes can ask ONNX Runtime for any amount of memory (``ConstantOfShape``, ``Expand``, ``Resize``), or go
round in itself for ever. Here that ends :mod:`core.model.graph_worker` and not the program that readers use.

On Linux the process may take half of the memory that is free when it begins, and is the first that the system ends
where memory runs out. Elsewhere its time is bounded and its memory is not; what it brings down is itself only.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ModelError
from core.model.graph_worker import NO_MEMORY, read_frame, write_frame
from core.runtime import threads_in_force

#: Least memory that a graph is given, bytes: ONNX Runtime and a small network.
LEAST_MEMORY = 256 * 1024**2
#: What is given where the system does not say what is free, bytes.
_UNKNOWN_MEMORY = 2 * 1024**3
#: Settings of this program are none of the graph's business: among them are passwords.
_OURS = "READING_ROOM_"
_ROOT = Path(__file__).resolve().parents[2]


class RefusedByRuntimeError(Exception):
    """What ONNX Runtime says of a graph or a run, in its own words; for :mod:`core.model.foreign` to put into ours."""


@dataclass(frozen=True)
class GraphInput:
    """An input as the graph declares it."""

    name: str
    type: str  # such as "tensor(float)"
    shape: tuple[int | str | None, ...]  # a number, or the name of an open dimension


@dataclass(frozen=True)
class GraphOutput:
    """An output of one run; ``values`` is None where it is no array of numbers or was too large to be sent."""

    shape: tuple[int, ...]
    values: np.ndarray | None


class GraphProcess:
    """One graph, opened; it ends with this object.

    Parameters
    ----------
    content : bytes
        Of the ONNX file.
    threads : int, optional
        None takes :func:`core.runtime.threads_in_force`.
    longest_s : float
        Seconds that opening may take.

    Raises
    ------
    RefusedByRuntimeError
        If ONNX Runtime refuses the graph.
    ModelError
        If it needs more time or memory than there is.
    """

    def __init__(self, content: bytes, threads: int | None, longest_s: float) -> None:
        self._most_memory = memory_for_a_graph()
        self._process = _begin(self._most_memory)
        self._close = weakref.finalize(self, _end, self._process)
        threads = threads_in_force() if threads is None else threads
        head, _ = self._ask({"threads": threads}, content, longest_s=longest_s, most_bytes=0)
        self.inputs = tuple(GraphInput(one["name"], one["type"], tuple(one["shape"])) for one in head["inputs"])
        self.outputs: tuple[str, ...] = tuple(head["outputs"])

    def run(
        self, names: list[str], input_name: str, images: np.ndarray, *, longest_s: float, most_bytes: int
    ) -> list[GraphOutput]:
        """Outputs of the graph for one batch.

        Parameters
        ----------
        names : list of str
            Outputs that are wanted.
        images : array
            What the input takes.
        longest_s : float
            Seconds that it may take.
        most_bytes : int
            Of all outputs together; of what is beyond, only the shape comes.

        Raises
        ------
        RefusedByRuntimeError
            If the graph fails.
        ModelError
            If it needs more time or memory than there is.
        """
        question = {
            "names": names,
            "input": input_name,
            "dtype": images.dtype.str,
            "shape": images.shape,
            "most_bytes": most_bytes,
        }
        sent = np.ascontiguousarray(images).reshape(-1).view(np.uint8).data
        head, content = self._ask(question, sent, longest_s=longest_s, most_bytes=most_bytes)
        found, at = [], 0
        for one in head["outputs"]:
            shape = tuple(one["shape"])
            values = None
            if one["dtype"] is not None:
                kind = np.dtype(one["dtype"])
                values = np.frombuffer(content, kind, math.prod(shape), at).reshape(shape)
                at += values.nbytes
            found.append(GraphOutput(shape, values))
        return found

    def close(self) -> None:
        """End the process."""
        self._close()

    def _ask(
        self, head: dict[str, Any], content: bytes | memoryview, *, longest_s: float, most_bytes: int
    ) -> tuple[dict[str, Any], bytes]:
        """One question and its answer; a process that gives none is ended, and what it was is said."""
        with _ended_after(self._process, longest_s) as is_late:
            try:
                write_frame(self._process.stdin, head, content)  # type: ignore[arg-type]  # it is a pipe
                answer, values = read_frame(self._process.stdout, most_bytes)  # type: ignore[arg-type]
            except (OSError, EOFError, ValueError) as error:
                self.close()
                if is_late.is_set():
                    raise ModelError(
                        f"the graph does not come to an end: {longest_s:g} s were not enough. Fix: try it there with "
                        "onnxruntime, and export a smaller model."
                    ) from error
                raise (
                    self._too_large()
                    if self._died_of_memory()
                    else ModelError(
                        "the graph brought ONNX Runtime down, in a process of its own. Fix: try it there with "
                        "onnxruntime, and export it again."
                    )
                ) from error
            except BaseException:
                self.close()  # else the answer to this question would be read as that to the next one
                raise
        if answer.get("is_memory"):
            raise self._too_large()
        if "error" in answer:
            raise RefusedByRuntimeError(str(answer["error"]))
        return answer, values

    def _died_of_memory(self) -> bool:
        """Whether the end of the process is one that a lack of memory brings about (abort, or killed by the system)."""
        return self._process.returncode in (NO_MEMORY, -6, -9)

    def _too_large(self) -> ModelError:
        return ModelError(
            f"the graph needs more memory than the {self._most_memory / 1e9:.1f} GB that a model from elsewhere may "
            "take here, half of what was free. Fix: export a smaller model, or predict on a machine with more memory."
        )


def memory_for_a_graph() -> int:
    """Bytes that a graph may take now: half of what is free on this machine, or in its control group (Linux)."""
    free = [_UNKNOWN_MEMORY * 2]
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")] or free
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            group = Path("/sys/fs/cgroup") / line.removeprefix("0::/")
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):
                    free.append(_free_in_group(folder))
    return max(LEAST_MEMORY, min(free) // 2)


def _free_in_group(folder: Path) -> int:
    """Bytes that a control group (version 2) may still take; caches of files give way, so they count as free."""
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    taken = int((folder / "memory.current").read_text()) - int(stat["inactive_file"])
    return max(0, int((folder / "memory.max").read_text()) - taken)  # "max" is no number: no bound here


def _begin(most_memory: int) -> subprocess.Popen[bytes]:
    """The process, with nothing open yet."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "core.model.graph_worker", str(most_memory)],
            cwd=_ROOT,
            env={**environment, "MALLOC_ARENA_MAX": "2"},  # each arena takes addresses that it does not use
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the program: the process ends with its pipe
        )  # fmt: skip
    except OSError as error:
        raise ModelError(
            f"no process could be begun for the graph: {error}. Fix: stop other programs, and try again."
        ) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and wait for its status."""
    with suppress(OSError):
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)  # its own status says more than ours
    process.kill()
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]


@contextmanager
def _ended_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill a process that is still asked after so many seconds; who reads from its pipe is freed by that."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()
