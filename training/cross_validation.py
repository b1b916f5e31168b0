"""Sets of runs that share one split: five folds (Table 3), four models (Table 2), one change at a time (ablations).

Every set is a list of plans in run folders of their own, carried out by the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import UndefinedStatisticError
from core.model.architectures import PAPER_ARCHITECTURES
from training.plan import RunPlan, store_plan
from training.queue import QueueState, run_queue
from training.recipe import Variant
from training.run_folder import RunFolder


def cross_validation_plans(plan: RunPlan, folds: int) -> dict[str, RunPlan]:
    """One plan per fold, by folder name; each holds out another fold of the same split."""
    return {f"fold-{fold}": replace(plan, folds=folds, fold=fold, is_cross_validation=True) for fold in range(folds)}


def comparison_plans(plan: RunPlan, architectures: Sequence[str] = PAPER_ARCHITECTURES) -> dict[str, RunPlan]:
    """One plan per architecture, by folder name; all on the same split."""
    return {name: replace(plan, recipe=plan.recipe.with_changes(architecture=name)) for name in architectures}


def ablation_plans(plan: RunPlan, variants: Sequence[Variant]) -> dict[str, RunPlan]:
    """The recipe itself and one plan per changed setting, by folder name; all on the same split."""
    plans = {"as-is": plan}
    for variant in variants:
        plans[variant.key] = replace(plan, recipe=plan.recipe.with_changes(**variant.changes))
    return plans


def run_plans(
    plans: dict[str, RunPlan],
    folder: Path,
    *,
    workers: int,
    gpus: int = 0,
    on_change: Callable[[QueueState], None] | None = None,
) -> list[Path]:
    """Carry out a set of plans in ``folder``, skipping what is finished.

    Returns
    -------
    list of Path
        The run folders, in the order of the plans.

    Raises
    ------
    TrainingError
        If a folder holds another plan, or a run failed.
    """
    paths = []
    for name, plan in plans.items():
        run = RunFolder(folder / name)
        store_plan(plan, run)
        paths.append(run.path)
    run_queue(paths, workers=workers, gpus=gpus, on_change=on_change)
    return paths


@dataclass(frozen=True)
class FoldSummary:
    """A quantity over folds."""

    mean: float
    sd: float | None  # sample standard deviation, ddof 1, as in the paper's Table 3; None for a single fold
    n: int


def mean_and_sd(values: Sequence[float]) -> FoldSummary:
    """Mean and sample standard deviation (ddof 1) over folds.

    Parameters
    ----------
    values : sequence of float
        One per fold.

    Raises
    ------
    UndefinedStatisticError
        If there is no fold.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) == 0:
        raise UndefinedStatisticError("There is no fold to average over.")
    sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return FoldSummary(float(numbers.mean()), sd, len(numbers))
