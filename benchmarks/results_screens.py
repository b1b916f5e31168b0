"""What the results screen costs at 20 readers x 1,000 cases x 4 models: the analysis once, then every view.

A view is run as Streamlit runs it, without a browser: the time from the click to the last element handed over. Prints
processor seconds, which other work on the machine does not blur, wall seconds and the peak memory of the process.

    python -m benchmarks.results_screens
"""

from __future__ import annotations

import resource
import time

from streamlit.testing.v1 import AppTest

from core.analysis import analyse
from pages.results import VIEWS
from pages.widgets.results_data import labelled
from tests.core.analysis_studies import simulated_study
from tests.pages.shown_studies import shown_of, study_of


def peak_mib() -> float:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tell(name: str, cpu: float, wall: float) -> None:
    """A line of the table."""
    print(f"{name:<34}{time.process_time() - cpu:7.2f} s{time.perf_counter() - wall:8.2f} s wall", flush=True)


def draw(module: str, shown: object) -> None:
    """A view as a script."""
    from importlib import import_module

    import_module(module).draw(shown)


def main() -> None:
    """Print the table."""
    data = simulated_study(n_cases=1000, readers=20, models=4, has_about=True)
    print(f"before: {peak_mib():.0f} MiB")
    wall, cpu = time.perf_counter(), time.process_time()
    results = labelled(analyse(data))
    tell("analysis, tables, labels (once)", cpu, wall)
    shown = shown_of(results, study_of(data))
    for name, view in VIEWS.items():
        app = AppTest.from_function(draw, args=(view.__module__, shown), default_timeout=120)
        app.run()  # first: imports
        wall, cpu = time.perf_counter(), time.process_time()
        app.run()
        if app.exception:
            raise SystemExit(f"{name}: {app.exception}")
        tell(name, cpu, wall)
    print(f"peak: {peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
