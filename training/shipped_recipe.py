"""How the model that ships with the repository is trained; it is put where ``core.model.shipped_weights`` says."""

from __future__ import annotations

from pathlib import Path

from training.plan import RunPlan
from training.recipe import MODERN

#: A recipe that two CPU cores can afford: a small network, 160 pixels, images that grow from 96.
SHIPPED_RECIPE = MODERN.with_changes(
    name="shipped",
    architecture="resnet16_fine",
    image_size=160,
    starting_size_fraction=0.6,
    length=40,
)


def shipped_plan(data: Path) -> RunPlan:
    """Plan of the shipped model on phantoms of the paper's size.

    Parameters
    ----------
    data : Path
        Manifest with the cohorts training, internal and external. A tenth of the training patients is held out for
        the temperature and the out-of-distribution thresholds; internal and external are scored once, at the end.
    """
    return RunPlan(
        SHIPPED_RECIPE,
        str(data),
        storage="float16",
        accelerator="cpu",
        note="Trained on synthetic scintigrams (phantoms) only: validates the software, says nothing about patients.",
    )
