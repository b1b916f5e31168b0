"""Models: registered, taken in, predicting; simulated readers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.store import CohortOption, StudyOption, one_study, store
from commands.terminal import progress_bar, say, show_table
from core.errors import InputError, NotFoundError

app = typer.Typer(help="Register a trained model in the store, list the models.", no_args_is_help=True)

ModelOption = Annotated[str, typer.Option("--model", "-m", help="name or SHA-256 prefix; the newest if left out")]


@app.command("register")
def model_register(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help=".safetensors file made by 'python -m training'; several make one ensemble"),
    ],
    name: Annotated[str, typer.Option(help="name on screen; the file's if left out, an ensemble needs one")] = "",
    augment: Annotated[
        bool,
        typer.Option("--augment", help="predict with test-time augmentation: a model with a hash of its own"),
    ] = False,
) -> None:
    """Verify checkpoints, copy them under their hash, enter them in the store; predictions keep this hash for good."""
    from actions.models import register_ensemble, register_model

    if len(checkpoints) == 1:
        version = register_model(store(), checkpoints[0], name=name or None, is_augmented=augment)
    elif name:
        version = register_ensemble(store(), checkpoints, name=name, is_augmented=augment)
    else:
        raise InputError("an ensemble needs a name", field="--name", fix="add --name, for example --name five-folds")
    say(f"Registered {version.name} ({version.architecture}), SHA-256 {version.sha256}.")
    if name and version.name != name.strip():
        say(f"These weights were registered before, under this name: '{name.strip()}' is not used.")


@app.command("import")
def model_import(
    file: Annotated[Path, typer.Argument(help="an ONNX graph, or a CSV: case, p_<class> for every class")],
    name: Annotated[str, typer.Option(help="name on screen")],
    note: Annotated[str, typer.Option(help="where the model comes from; stands on its card")] = "",
    study: StudyOption = "",
    classes: Annotated[str, typer.Option(help="ONNX: classes in the order of its answers, a,b,c or: thyroid")] = "",
    pixels: Annotated[str, typer.Option(help="ONNX: scale of its input: 0-1, 0-255 or imagenet")] = "",
    answers: Annotated[str, typer.Option(help="ONNX: what it answers: logits or probabilities")] = "",
    size: Annotated[int | None, typer.Option(help="ONNX: side of its input, if the graph leaves it open")] = None,
    colour: Annotated[bool, typer.Option("--colour", help="ONNX: takes images in colour: red, green, blue")] = False,
) -> None:
    """Take in a model that was not trained here; nothing of its maker's code is run."""
    from actions.import_model import declare, import_graph, import_predictions, is_table

    if is_table(file):
        repository = store()
        key = one_study(repository, study)
        version, counted = import_predictions(repository, key, file, name=name, note=note)
        say(f"Imported {version.name} for '{key}': {counted}. SHA-256 {version.sha256}.")
        return
    declared = declare(classes, pixels, answers, size, is_colour=colour)
    version = import_graph(store(), file, declared, name=name, note=note)
    say(f"Imported {version.name} ({version.architecture}), SHA-256 {version.sha256}.")


@app.command("list")
def model_list() -> None:
    """List the registered models."""
    rows: list[list[object]] = [
        [m.name, m.architecture, m.sha256[:12], m.registered_at.isoformat(timespec="seconds")] for m in store().models()
    ]
    show_table("Models", ["name", "architecture", "SHA-256", "registered"], rows)


def predict(
    study: StudyOption = "",
    cohort: CohortOption = None,
    model: ModelOption = "",
    batch_size: Annotated[int, typer.Option(min=1, help="images at once; halved by itself when memory runs out")] = 16,
    shard: Annotated[str, typer.Option(help="2/4: the second of four jobs that share the cases")] = "",
) -> None:
    """Predict every case that the model has not predicted yet; CUDA where there is a GPU, else CPU.

    Stored as it goes: a job that was stopped goes on when it is called again, and several may run at once.
    """
    from actions.models import Shard, load_classifier, predict_cohort

    part = Shard.of_text(shard) if shard else None

    repository = store()
    key = one_study(repository, study)
    models = [each for each in repository.models() if each.can_predict]
    if not model and not models:
        raise NotFoundError("No model is registered. Fix: python manage.py model register FILE.safetensors")
    classifier = load_classifier(repository.model(model) if model else max(models, key=lambda m: m.registered_at))
    added = 0
    with progress_bar() as report:
        cohorts: list[str | None] = [*cohort] if cohort else [None]
        for name in cohorts:
            added += predict_cohort(
                repository, classifier, key, name, batch_size=batch_size, shard=part, progress=report
            )
    say(f"{added} predictions added by model {classifier.sha256[:12]} on {classifier.device}.")


def simulate(study: StudyOption = "", cohort: CohortOption = None, seed: int = 1) -> None:
    """Let two simulated readers, drawn from the paper's junior and senior physician, read an open synthetic study."""
    from actions.simulate_readers import simulate_readers

    repository = store()
    with progress_bar() as report:
        stored = simulate_readers(
            repository, one_study(repository, study), cohort or ["internal", "external"], seed=seed, progress=report
        )
    say(f"{stored} simulated readings stored.")
