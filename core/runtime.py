"""How many CPU threads libraries may use and where they keep caches; every door says so before torch is imported."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from core.errors import SettingsError

#: Variables that OpenMP, MKL, OpenBLAS and numexpr read once, when they are first imported.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def available_cores() -> int:
    """CPU cores that this process may use (its affinity, which a container may narrow)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def configure_threads(n: int | None = None) -> int:
    """Fix the number of CPU threads and let idle ones sleep.

    Parameters
    ----------
    n : int, optional
        Threads for this process: cores divided by workers. None keeps ``OMP_NUM_THREADS`` if it is set, else takes
        every core that this process may use.

    Returns
    -------
    int
        The number now in force.

    Raises
    ------
    SettingsError
        If ``n``, or ``OMP_NUM_THREADS`` where it decides, is not a whole number of at least 1.
    """
    if n is None:
        n = _threads_from_environment()
    if n < 1:
        raise SettingsError("the number of threads must be 1 or more", field="threads", value=n)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(n)
    torch = sys.modules.get("torch")
    if torch is not None:
        # The variables were read when torch was imported; only torch itself can change the number now.
        torch.set_num_threads(n)
    return n


def keep_caches_in(folder: Path) -> None:
    """Have Matplotlib (fonts) and torch hub (downloaded weights) write below this folder, not below the home folder.

    A place that was chosen by ``MPLCONFIGDIR`` or ``TORCH_HOME`` stays.
    """
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    os.environ.setdefault("TORCH_HOME", str(folder / "torch"))


def threads_in_force() -> int:
    """Threads that a library started now should use: what :func:`configure_threads` set, else the same default.

    Raises
    ------
    SettingsError
        If ``OMP_NUM_THREADS`` is not a whole number.
    """
    return _threads_from_environment()


def _threads_from_environment() -> int:
    """``OMP_NUM_THREADS``, or every core."""
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if not text:
        return available_cores()
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(
            "not a whole number", field="OMP_NUM_THREADS", value=text, fix="set it to the number of threads"
        ) from error


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[tuple[_Item, _Result]]:
    """Each item with what ``work`` makes of it, in the order of the items, on all cores, a few items ahead."""
    cores = available_cores()
    waiting: deque[tuple[_Item, Future[_Result]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > 2 * cores:
                    first, result = waiting.popleft()
                    yield first, result.result()
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()
        finally:
            for _, result in waiting:
                result.cancel()
