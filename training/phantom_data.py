"""Phantom cohorts of the paper's size, made once, for commands that are given no data."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from core.phantom import CohortPlan, paper_cohorts, write_cohorts
from core.runtime import available_cores

#: Where the phantoms of a study name are kept.
PHANTOM_FOLDER = Path("runs/phantoms")


def ensure_paper_phantoms(console: Console, study: str = "paper") -> Path:
    """The manifest of the paper-size cohorts (2,067 / 514 / 613 cases), simulated now if they are not there yet.

    Parameters
    ----------
    console : rich.console.Console
        Where progress is shown.
    study : str
        Part of every seed: another name gives other patients of the same kind.
    """
    return ensure_phantoms(console, paper_cohorts(study), PHANTOM_FOLDER / study)


def ensure_phantoms(console: Console, plans: list[CohortPlan], folder: Path) -> Path:
    """The manifest in ``folder``, simulated now if it is not there yet; JPEG, as the paper's hospitals exported."""
    manifest = folder / "manifest.csv"
    if manifest.exists():
        return manifest
    total = sum(plan.size for plan in plans)
    console.print(f"Simulating {total} phantoms in {folder} (seconds to minutes; kept for later runs)")
    steps = iter(track(range(total), description="phantoms", console=console, disable=not console.is_terminal))
    shown = 0

    def progress(done: int, total_cases: int, what: str) -> None:
        nonlocal shown
        while shown < done and next(steps, None) is not None:
            shown += 1

    return write_cohorts(
        plans, folder, image_format="jpeg", workers=available_cores(), progress=progress, overwrite=True
    )
