"""Scores of stored checkpoints on cohorts, through the very classes that serve them to a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import TrainingError
from core.model.architectures import ARCHITECTURES
from core.model.augmented import Augmented
from core.model.classifier import Classifier, Ensemble
from training.classes import disease_classes
from training.conclusion import save_predictions
from training.dataset import open_dataset
from training.evaluation import score_cohort
from training.run_folder import RunFolder

#: Scores of a stored checkpoint, in the folder that ``evaluate --out`` names.
SCORES_FILE = "scores.json"


def score_checkpoints(
    checkpoints: Sequence[Path],
    source: Path,
    cohorts: Sequence[str] | None,
    *,
    is_augmented: bool = False,
    out: Path | None = None,
    view: str = "",
    device: str = "auto",
    cache: Path = Path("runs/cache"),
) -> dict[str, Any]:
    """Score a checkpoint, or several as one ensemble.

    Parameters
    ----------
    checkpoints : sequence of Path
        Checkpoint folders or weights files; two or more answer with the mean of their probabilities.
    source : Path
        Manifest or class-named folder; its classes must be those of the model.
    cohorts : sequence of str, optional
        Cohorts to score; None scores all but the one called training.
    is_augmented : bool
        With test-time augmentation, as ``manage.py model register --augment`` registers it.
    out : Path, optional
        Folder for ``scores.json`` and ``predictions_COHORT.csv``.
    view : str
        Which view of each case; the first if not given.
    device : str
        "auto", "cpu" or "cuda".
    cache : Path
        Where decoded images are kept.

    Returns
    -------
    dict
        ``title``, ``classes`` and ``scores`` (cohort to :func:`training.evaluation.score`), and what was scored on
        what.

    Raises
    ------
    CheckpointError, ManifestError, ModelError, TrainingError
        If checkpoints, data or device cannot be used.
    """
    members = [Classifier.load(path, device) for path in checkpoints]
    plain = members[0] if len(members) == 1 else Ensemble(members)
    model = Augmented(plain) if is_augmented else plain
    classes = disease_classes(model.classes)
    dataset = open_dataset(source, members[0].metadata.input_size, cache, classes=classes, view=view)
    names = list(cohorts) if cohorts else [name for name in dataset.cohorts if name != "training"]
    if not names:
        raise TrainingError(f"{source} has no cohort but training. Name what to score with --cohort.")
    scores: dict[str, Any] = {}
    for name in names:
        rows = dataset.rows_of_cohorts([name])
        found = model.predict(dataset.pixels(rows))
        flags = found.is_out_of_distribution
        scores[name] = score_cohort(dataset, rows, found.probabilities, found.class_maps, flags)
        if out is not None:
            save_predictions(dataset, rows, found.probabilities, RunFolder(out), name)
    content = {
        "checkpoint": ", ".join(_name(path) for path in checkpoints),
        "title": _title(members, is_augmented=is_augmented),
        "weights_sha256": model.sha256,
        "data": source.parent.name if source.is_file() else source.name,
        "data_sha256": dataset.sha256,
        "is_synthetic": dataset.is_synthetic,
        "classes": list(dataset.classes),
        "scores": scores,
    }
    if out is not None:
        RunFolder(out).save_json(out / SCORES_FILE, content)
    return content


def _name(path: Path) -> str:
    """What a checkpoint is called in tables: its file, or its run."""
    return path.parent.name if path.is_dir() and path.name == "model" and path.parent.name else path.name


def _title(members: Sequence[Classifier], *, is_augmented: bool) -> str:
    """``Improved ResNet-34``; ``mean of 5 x Improved ResNet-34, six views each``."""
    counts = Counter(ARCHITECTURES[member.metadata.architecture].title for member in members)
    title = next(iter(counts))
    if len(members) > 1:
        title = "mean of " + " and ".join(f"{count} x {name}" for name, count in counts.items())
    return f"{title}, six views each" if is_augmented else title
