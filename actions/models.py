"""Models in the store: register a checkpoint, load the one that a study uses, predict a cohort."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from actions import Progress
from core.errors import ModelError
from core.model.checkpoint import load_checkpoint
from core.model.classifier import Classifier
from core.settings import get_settings
from db import Repository
from db.records import CaseImage, CasePrediction, ModelVersion

#: The small model that ships with the repository, trained on phantoms by ``make train``.
SHIPPED_CHECKPOINT = (
    Path(__file__).resolve().parent.parent / "core" / "model" / "weights" / "shufflenet_v2_phantom.safetensors"
)


def register_model(repository: Repository, checkpoint: Path, *, name: str | None = None) -> ModelVersion:
    """Verify a checkpoint, copy it into the data folder under its hash, and enter it in the store.

    Raises
    ------
    CheckpointError
        If the file is missing, pickled, damaged, or does not fit its own metadata.
    """
    loaded = load_checkpoint(checkpoint)
    folder = get_settings().data_folder / "models" / loaded.sha256[:12]
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "model.safetensors"
    if not kept.exists():
        partial = kept.with_suffix(".partial")
        shutil.copyfile(loaded.path, partial)
        partial.rename(kept)
    return repository.register_model(
        sha256=loaded.sha256,
        name=name or checkpoint.stem,
        architecture=loaded.card.architecture,
        path=str(kept),
        metadata=asdict(loaded.card),
    )


def load_classifier(version: ModelVersion) -> Classifier:
    """The registered model, warm, on the device of the settings; its hash is checked while loading."""
    settings = get_settings()
    return Classifier.load(
        Path(version.path), device=settings.device, expected_sha256=version.sha256, threads=settings.thread_count
    )


def predict_cohort(
    repository: Repository,
    classifier: Classifier,
    study_key: str,
    cohort: str | None = None,
    *,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> int:
    """Predict every case that this model has not predicted yet, and store the answers with the model's hash.

    Parameters
    ----------
    cohort : str, optional
        One cohort; all cohorts if not given.

    Returns
    -------
    int
        Predictions added; 0 when all were there.

    Raises
    ------
    ModelError
        If the model's classes are not the study's, in the study's order.
    """
    classes = repository.study(study_key).protocol.class_keys
    if tuple(classifier.classes) != classes:
        raise ModelError(
            f"This model knows the classes {', '.join(classifier.classes)}, the study {', '.join(classes)}. "
            "Fix: choose a model trained for the study's classes in the study's order."
        )
    total = repository.count_cases_for_prediction(study_key, cohort, without_model=classifier.sha256)
    if total == 0:
        return 0
    cases = repository.cases_for_prediction(study_key, cohort, without_model=classifier.sha256)
    answers: list[CasePrediction] = []
    while batch := list(islice(cases, batch_size)):
        answers += _predict_batch(classifier, batch, batch_size)
        if progress is not None:
            progress(len(answers), total, "predicted")
    return repository.save_predictions(study_key, classifier.sha256, answers)


def _predict_batch(classifier: Classifier, batch: list[CaseImage], batch_size: int) -> Iterator[CasePrediction]:
    """Stored form of one batch's predictions."""
    result = classifier.predict([image.pixels for image in batch], batch_size=batch_size)
    for row, image in enumerate(batch):
        yield CasePrediction(
            case=image.case,
            probabilities=result.probabilities[row],
            class_maps=None if result.class_maps is None else result.class_maps[row].astype("float16"),
            entropy=float(result.entropy[row]),
            is_out_of_distribution=bool(result.is_out_of_distribution[row]),
            device=result.device,
            precision=result.precision,
            created_at=None,
        )
