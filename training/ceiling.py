"""How good could the network be? One recipe on many times the paper's cases, and what closes the gap without them.

Phantoms cost nothing, so the accuracy that the same network reaches with more of them is a ceiling for whatever is
tried at the paper's size. All runs have the same recipe and number of steps, and are scored on the same fresh cases.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import TrainingError
from core.phantom import CohortPlan, paper_cohorts, small_cohorts
from core.statistics.contingency_tests import mcnemar
from core.statistics.proportion_difference import paired_counts
from training.evaluation import with_limits
from training.plan import RunPlan
from training.recipe import MODERN, Recipe
from training.run_folder import RunFolder, read_json

#: The comparison of the runs, in the folder that holds their folders.
COMPARISON_FILE = "comparison.json"
#: Cohorts of fresh cases, and the name under which both together stand.
FRESH, ALL = ("internal", "external"), "all"
#: The run at the paper's size, and the one on all cases.
REFERENCE, CEILING = "paper-size", "all-cases"

#: A recipe that one CPU core can afford several times.
CEILING_RECIPE = MODERN.with_changes(architecture="resnet16_fine", image_size=64, length=3500, length_unit="batch")


@dataclass(frozen=True)
class Member:
    """One run of the comparison."""

    key: str
    what: str
    changes: Mapping[str, Any]  # settings of the recipe
    has_all_cases: bool = False
    teacher: str | None = None  # key of another member


MEMBERS: tuple[Member, ...] = (
    Member(REFERENCE, "the paper's training cases", {}),
    Member(CEILING, "all cases, classes and lesions known", {}, has_all_cases=True),
    Member(
        "distilled",
        "the paper's cases, answers of `all-cases` beside the classes",
        {"teacher_weight": 0.7},
        False,
        CEILING,
    ),
    Member(
        "unlabelled",
        "all cases, and of them nothing but the answers of `paper-size`: no class, no lesion",
        {"teacher_weight": 1.0, "map_weight": 0.0},
        True,
        REFERENCE,
    ),
    Member("mixed", "the paper's cases, pairs of images mixed", {"mix_alpha": 0.4}),
    Member("hard-cases", "the paper's cases, those that are answered badly count more", {"hard_case_power": 1.0}),
    Member(
        "self-distilled",
        "the paper's cases, answers of `paper-size` beside the classes",
        {"teacher_weight": 0.7},
        False,
        REFERENCE,
    ),
    Member(
        "one-head", "the paper's cases without the second head, which learns where the lesion is", {"map_weight": 0.0}
    ),
)


def ceiling_cohorts(times: int, n_fresh: int, *, per_class: int | None = None) -> list[CohortPlan]:
    """The paper's training cases, further ones up to ``times`` as many, and fresh cases of both kinds of camera.

    Parameters
    ----------
    times : int
        2 or more.
    n_fresh : int
        Fresh cases of each class on the training camera, and as many on the others. Their study name is used for
        nothing else.
    per_class : int, optional
        Training cases of each class instead of the paper's numbers.
    """
    if times < 2:
        raise TrainingError(f"{times} times the paper's cases is no larger set. Use --times 2 or more.")
    training = paper_cohorts()[0] if per_class is None else small_cohorts({"training": per_class}, "paper")[0]
    more = replace(
        training,
        cohort="more",
        counts={key: (times - 1) * count for key, count in training.counts.items()},
        female_count=(times - 1) * training.female_count,
    )
    return [training, more, *small_cohorts(dict.fromkeys(FRESH, n_fresh), "ceiling")]


def check_only(only: Sequence[str]) -> None:
    """Refuse a run that is none of :data:`MEMBERS`: before hours of drawing and training, not after."""
    unknown = sorted(set(only) - {member.key for member in MEMBERS})
    if unknown:
        raise TrainingError(f"--only {unknown[0]}: use one of {', '.join(member.key for member in MEMBERS[2:])}.")


def ceiling_plans(plan: RunPlan, folder: Path, times: int, only: Sequence[str] = ()) -> list[dict[str, RunPlan]]:
    """Plans by run folder, in an order in which every teacher is finished before its students begin.

    Parameters
    ----------
    plan : RunPlan
        Of the run at the paper's size.
    folder : Path
        Where the run folders will be.
    times : int
        How many times the cases; warm-up is given in epochs, and an epoch of all cases is so much longer.
    only : sequence of str
        Members beside the two references; all of them if empty.
    """
    check_only(only)
    waves: list[dict[str, RunPlan]] = [{}, {}]
    for member in MEMBERS:
        is_reference = member.key in (REFERENCE, CEILING)
        if only and not is_reference and member.key not in only:
            continue
        recipe = plan.recipe.with_changes(**member.changes)
        if member.has_all_cases:
            recipe = recipe.with_changes(warmup_epochs=recipe.warmup_epochs / times)
        waves[0 if is_reference else 1][member.key] = replace(
            plan,
            recipe=recipe,
            training_cohorts=("training", "more") if member.has_all_cases else ("training",),
            teacher=None if member.teacher is None else str(folder / member.teacher / "model"),
        )
    return waves


def compare_members(folder: Path) -> dict[str, Any]:
    """Accuracy of every finished run of a folder, by cohort and subtype, and paired with the two references.

    Returns
    -------
    dict
        Written to ``comparison.json`` too. ``members``: key to what it is, its cases, steps and time, ``accuracy`` by
        cohort, ``subtypes`` (both cohorts together), ``against`` the run at the paper's size (difference with Tango's
        limits, discordant cases, exact McNemar p), and ``beyond_half``: how far it is above the middle between the two
        references, with normal limits of the paired mean.

    Raises
    ------
    TrainingError
        If a reference is not finished.
    """
    results = {}
    for member in MEMBERS:
        run = RunFolder(folder / member.key)
        if run.is_finished:
            results[member.key] = (member, read_json(run.result), _right_answers(run))
    for key in (REFERENCE, CEILING):
        if key not in results:
            raise TrainingError(f"{folder / key} is not finished. Give the same command again.")
    base, top = results[REFERENCE][2], results[CEILING][2]
    members = {
        key: {
            "what": member.what,
            "n_training": result["n_training"],
            "training_cohorts": result["training_cohorts"],
            "steps": _steps(result),
            "epochs": result["epochs"],
            "minutes": round(result["training_seconds"] / 60, 1),
            "training_accuracy": result["training_accuracy"],
            "accuracy": {name: _share(right[name]) for name in (*FRESH, ALL)},
            "subtypes": _pooled_subtypes(result),
            "against": {name: _against(right[name], base[name]) for name in (*FRESH, ALL)},
            "beyond_half": _beyond_half(right[ALL], base[ALL], top[ALL]),
        }
        for key, (member, result, right) in results.items()
    }
    first = results[REFERENCE][1]
    same = ("title", "recipe", "device", "threads", "data_sha256", "is_synthetic", "classes", "commit", "packages")
    content = {**{name: first.get(name) for name in same}, "members": members}
    RunFolder(folder).save_json(folder / COMPARISON_FILE, content)
    return content


def _right_answers(run: RunFolder) -> dict[str, np.ndarray]:
    """Whether each fresh case was answered rightly, by cohort and in all, in the order of the case names."""
    right = {}
    for name in FRESH:
        with run.predictions(name).open(encoding="utf-8", newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["case"])
        right[name] = np.array([row["truth"] == row["predicted"] for row in rows])
    return {**right, ALL: np.concatenate([right[name] for name in FRESH])}


def _steps(result: Mapping[str, Any]) -> int:
    """Steps of the optimiser."""
    recipe = Recipe.from_dict(result["recipe"])
    if recipe.length_unit == "batch":
        return recipe.length
    return int(recipe.length * math.ceil(result["n_training"] / recipe.batch_size))


def _share(right: np.ndarray) -> dict[str, Any] | None:
    """Accuracy with Wilson's limits."""
    return with_limits(int(right.sum()), len(right))


def _pooled_subtypes(result: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Right answers by simulated subtype, both cohorts together."""
    found = [result["scores"][name]["subtypes"] for name in FRESH]
    kinds = sorted({kind for one in found for kind in one})
    return {
        kind: with_limits(*(sum(one[kind][part] for one in found if kind in one) for part in ("successes", "n")))
        for kind in kinds
    }


def _against(right: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Paired difference from the run at the paper's size."""
    counts = paired_counts(right, base)
    test = mcnemar(counts)
    difference = test.difference
    return {
        "difference": round((counts.only_first - counts.only_second) / counts.n, 5),
        "lower": None if difference is None or difference.lower is None else round(difference.lower, 5),
        "upper": None if difference is None or difference.upper is None else round(difference.upper, 5),
        "only_this": counts.only_first,
        "only_paper_size": counts.only_second,
        "p": test.p_value,
    }


def _beyond_half(right: np.ndarray, base: np.ndarray, top: np.ndarray) -> dict[str, float]:
    """Mean of right - (base + top) / 2 over cases with 95 % limits: above 0, more than half of the gap is closed."""
    each = right.astype(float) - (base.astype(float) + top) / 2
    error = 1.96 * float(each.std(ddof=1)) / math.sqrt(len(each))
    mean = float(each.mean())
    return {"value": round(mean, 5), "lower": round(mean - error, 5), "upper": round(mean + error, 5)}
