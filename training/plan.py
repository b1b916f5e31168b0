"""What a run was asked to do, stored in its folder before anything else happens.

``resume`` needs the folder only, and a queue worker is an ordinary run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from core.errors import TrainingError
from training.classes import THYROID_KEYS
from training.recipe import Recipe
from training.run_folder import RunFolder, read_json


@dataclass(frozen=True)
class RunPlan:
    """Everything a run needs to know; plain values, stored as JSON."""

    recipe: Recipe
    data: str  # manifest or class-named folder
    training_cohorts: tuple[str, ...] = ("training",)
    classes: tuple[str, ...] = THYROID_KEYS  # order of the logits; plans of version 1 name none and mean these
    evaluation_cohorts: tuple[str, ...] | None = None  # None: internal and external, where there are any
    folds: int = 10  # the cases of training_cohorts are cut into so many
    fold: int = 0  # and this one is held out: for temperature, detector and the choice of an epoch
    split_seed: int = 2023
    is_cross_validation: bool = False  # the held-out fold is a result, not only a help
    weights: str | None = None  # None: random; "imagenet"; or a weights file
    storage: Literal["float32", "float16"] = "float32"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"
    cache: str = "runs/cache"
    has_detector: bool = True  # fit the out-of-distribution detector; off where nothing is served
    are_classes_permuted: bool = False  # control: classes shuffled among the training cases; must end at chance
    note: str = ""  # stands on the model's card
    view: str = ""  # of each case, as the manifest calls it; empty: the first
    is_compiled: bool = False  # with torch.compile, where nothing speaks against it
    teacher: str | None = None  # checkpoint whose answers are learned beside the classes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunPlan:
        """The plan that :meth:`to_dict` wrote.

        Raises
        ------
        TrainingError
            If a field is unknown or missing.
        """
        content = dict(values)
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(content) - known)
        if unknown or "recipe" not in content or "data" not in content:
            raise TrainingError(
                f"This is no plan of a run: unknown or missing {', '.join(unknown) or 'recipe or data'}."
            )
        content["recipe"] = Recipe.from_dict(content["recipe"])
        content["classes"] = tuple(content.get("classes", THYROID_KEYS))
        content["training_cohorts"] = tuple(content.get("training_cohorts", ("training",)))
        if content.get("evaluation_cohorts") is not None:
            content["evaluation_cohorts"] = tuple(content["evaluation_cohorts"])
        return cls(**content)


def store_plan(plan: RunPlan, folder: RunFolder) -> None:
    """Write the plan into a new run folder, or check that the folder holds this very plan.

    Raises
    ------
    TrainingError
        If the folder holds another plan.
    """
    if folder.config.exists():
        stored = read_plan(folder)
        if stored != plan and not folder.last_state.exists():
            folder.split.unlink(missing_ok=True)  # nothing was trained yet: the new plan counts
        elif stored != plan:
            differing = sorted(name for name, value in stored.to_dict().items() if plan.to_dict()[name] != value)
            raise TrainingError(
                f"{folder.path} already holds a run with another {', '.join(differing)}. "
                "Choose another folder, or delete this one."
            )
        else:
            return
    folder.save_json(folder.config, {"plan": plan.to_dict()})


def read_plan(folder: RunFolder) -> RunPlan:
    """The plan of a run folder.

    Raises
    ------
    TrainingError
        If there is none.
    """
    content = read_json(folder.config)
    if not isinstance(content, dict) or "plan" not in content:
        raise TrainingError(f"{folder.config} holds no plan. Is {folder.path} a run folder?")
    return RunPlan.from_dict(content["plan"])
