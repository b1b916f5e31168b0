"""The commands of ``python -m training``: fit, compare, cross-validate, evaluate, ablate, resume, recipe, report."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from core.errors import ReadingRoomError, TrainingError
from core.model.architectures import ARCHITECTURES, PAPER_ARCHITECTURES
from core.model.card import read_card
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.protocol import THYROID_CLASSES
from training.ceiling import ALL, CEILING_RECIPE, FRESH, ceiling_cohorts, ceiling_plans, check_only, compare_members
from training.classes import THYROID_KEYS, class_keys
from training.conclusion import ship
from training.cross_validation import (
    ablation_plans,
    comparison_plans,
    cross_validation_plans,
    mean_and_sd,
    run_plans,
)
from training.dataset import open_dataset
from training.phantom_data import PHANTOM_FOLDER, ensure_paper_phantoms, ensure_phantoms
from training.plan import RunPlan, read_plan, store_plan
from training.progress import QueueDisplay
from training.recipe import RECIPES, Recipe, describe, parse_changes, recipe_named, variants_of
from training.report import write_report
from training.run import execute
from training.run_folder import RunFolder, read_json
from training.scoring import score_checkpoints
from training.shipped_recipe import shipped_plan

app = typer.Typer(
    help="Train, compare, cross-validate and evaluate the models. Every command goes on where it was stopped when it "
    "is given again; --help of each command lists its settings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Manifest (CSV) or class-named folder. Without it: phantoms of the paper's size."),
]
OutOption = Annotated[Path, typer.Option("--out", help="Run folder; made when missing, resumed when begun.")]
RecipeOption = Annotated[str, typer.Option("--recipe", help=f"One of: {', '.join(RECIPES)}.")]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes", help="Order of the classes: a,b,c as the study has them, or: thyroid. Default: the data's."
    ),
]
ViewOption = Annotated[str, typer.Option("--view", help="View of each case to learn from. Default: the first.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a recipe setting, name=value; repeat for more. See: python -m training recipe."),
]
CohortOption = Annotated[
    list[str] | None, typer.Option("--train-on", help="Cohort to train on; repeat for more. Default: training.")
]
EvaluateOption = Annotated[
    list[str] | None,
    typer.Option("--evaluate-on", help="Cohort to score at the end; repeat for more. Default: internal, external."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="'imagenet' starts from torchvision's weights (cache, then internet)."),
]
WeightsFileOption = Annotated[
    Path | None, typer.Option("--weights-file", help="Start from this torchvision weight file (.pth).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
DevicesOption = Annotated[int, typer.Option("--devices", help="Processes (CPU) or GPUs that share every batch.")]
CompileOption = Annotated[
    bool, typer.Option("--compile", help="Compile the network (CUDA graphs on a GPU), where nothing speaks against it.")
]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, 32-true, bf16-mixed or 16-mixed.")]
WorkersOption = Annotated[int, typer.Option("--workers", help="Runs at a time: in all on CPUs, per GPU on GPUs.")]
GpusOption = Annotated[int, typer.Option("--gpus", help="GPUs to spread the runs over; 0: the CPU.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of weights, order and augmentation.")]
HoldOutOption = Annotated[
    int,
    typer.Option(
        "--hold-out", help="One in so many training patients is held out for temperature, thresholds and curves."
    ),
]
ArchitectureOption = Annotated[str | None, typer.Option("--architecture", help=f"One of: {', '.join(ARCHITECTURES)}.")]


def _plan(
    data: Path | None,
    recipe: str,
    changes: list[str] | None,
    *,
    architecture: str | None = None,
    seed: int | None = None,
    train_on: list[str] | None = None,
    evaluate_on: list[str] | None = None,
    weights: str | None = None,
    weights_file: Path | None = None,
    classes: str | None = None,
    **others: Any,
) -> RunPlan:
    """A plan from command-line options."""
    chosen: Recipe = recipe_named(recipe).with_changes(**parse_changes(changes or []))
    if architecture is not None:
        if architecture not in ARCHITECTURES:
            raise TrainingError(f"--architecture {architecture}: use one of {', '.join(ARCHITECTURES)}.")
        chosen = chosen.with_changes(architecture=architecture)
    if seed is not None:
        chosen = chosen.with_changes(seed=seed)
    if weights not in (None, "imagenet"):
        raise TrainingError(f"--weights {weights}: only 'imagenet'. Give a file with --weights-file.")
    if weights is not None and weights_file is not None:
        raise TrainingError("--weights and --weights-file exclude each other. Give one of the two.")
    source = data if data is not None else ensure_paper_phantoms(console)
    return RunPlan(
        chosen,
        str(source),
        classes=class_keys(source, classes),
        training_cohorts=tuple(train_on or ("training",)),
        evaluation_cohorts=tuple(evaluate_on) if evaluate_on else None,
        weights=str(weights_file) if weights_file is not None else weights,
        **others,
    )


@app.command()
def fit(
    data: DataOption = None,
    classes: ClassesOption = None,
    view: ViewOption = "",
    out: OutOption = Path("runs/fit"),
    recipe: RecipeOption = "modern",
    architecture: ArchitectureOption = None,
    changes: SetOption = None,
    train_on: CohortOption = None,
    evaluate_on: EvaluateOption = None,
    weights: WeightsOption = None,
    weights_file: WeightsFileOption = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    nodes: Annotated[int, typer.Option("--nodes", help="Machines; start the same command on each.")] = 1,
    precision: PrecisionOption = "auto",
    compile_: CompileOption = False,
    seed: SeedOption = None,
    hold_out: HoldOutOption = 10,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", help="Checkpoint whose answers are learned too; needs --set teacher_weight=0.7."),
    ] = None,
    permute_classes: Annotated[
        bool, typer.Option("--permute-classes", help="Control: shuffle the training classes; must end at chance.")
    ] = False,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Train the model that ships with the repository, and put it there.")
    ] = False,
) -> None:
    """Train one network on one split: metrics, curves, checkpoint, scores on the evaluation cohorts."""
    if shipped:
        console.print(
            "The shipped model takes 45 minutes on two CPU cores. A GPU is not used, and this recipe was not measured "
            "on one; the same layers at 224 pixels and 80 epochs took 7 minutes of a shared H200."
        )
        plan = shipped_plan(data if data is not None else ensure_paper_phantoms(console))
        out = out if out != Path("runs/fit") else Path("runs/shipped")
    else:
        plan = _plan(
            data,
            recipe,
            changes,
            classes=classes,
            view=view,
            architecture=architecture,
            seed=seed,
            train_on=train_on,
            evaluate_on=evaluate_on,
            weights=weights,
            weights_file=weights_file,
            accelerator=device,
            devices=devices,
            nodes=nodes,
            precision=precision,
            folds=hold_out,
            is_compiled=compile_,
            teacher=None if teacher is None else str(teacher),
            are_classes_permuted=permute_classes,
        )
    folder = RunFolder(out)
    store_plan(plan, folder)
    result = execute(folder, console)
    if result:
        _show(result)
    if shipped and result:
        console.print(f"Shipped: {ship(folder, SHIPPED_CHECKPOINT)} ({SHIPPED_CHECKPOINT.stat().st_size / 1e6:.2f} MB)")


@app.command()
def resume(folder: Annotated[Path, typer.Argument(help="Run folder of a run that was stopped.")]) -> None:
    """Go on with a run at the step where its last state was saved; the result is that of an uninterrupted run."""
    run = RunFolder(folder)
    read_plan(run)
    result = execute(run, console)
    if result:
        _show(result)


@app.command()
def compare(
    data: DataOption = None,
    classes: ClassesOption = None,
    view: ViewOption = "",
    out: OutOption = Path("runs/compare"),
    recipe: RecipeOption = "paper",
    architectures: Annotated[
        list[str] | None, typer.Option("--architecture", help="Repeat; default: the paper's four.")
    ] = None,
    changes: SetOption = None,
    train_on: CohortOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = 1,
    gpus: GpusOption = 0,
    seed: SeedOption = None,
    hold_out: HoldOutOption = 10,
) -> None:
    """Train several networks on one split (the paper's Table 2) and put their scores side by side."""
    unknown = sorted(set(architectures or ()) - set(ARCHITECTURES))
    if unknown:
        raise TrainingError(f"--architecture {unknown[0]}: use one of {', '.join(ARCHITECTURES)}.")
    plan = _plan(
        data,
        recipe,
        changes,
        classes=classes,
        view=view,
        seed=seed,
        train_on=train_on,
        weights=weights,
        accelerator=device,
        precision=precision,
        has_detector=False,
        folds=hold_out,
    )
    plans = comparison_plans(plan, architectures or PAPER_ARCHITECTURES)
    folders = run_plans(plans, out, workers=workers, gpus=gpus, on_change=QueueDisplay(console, "compare").update)
    _show_many(folders)


@app.command("cross-validate")
def cross_validate(
    data: DataOption = None,
    classes: ClassesOption = None,
    view: ViewOption = "",
    out: OutOption = Path("runs/cross-validation"),
    recipe: RecipeOption = "paper",
    architecture: ArchitectureOption = None,
    changes: SetOption = None,
    train_on: CohortOption = None,
    folds: Annotated[int, typer.Option("--folds", help="Number of folds.")] = 5,
    weights: WeightsOption = None,
    weights_file: WeightsFileOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = 1,
    gpus: GpusOption = 0,
    seed: SeedOption = None,
) -> None:
    """Train once per fold, grouped by patient and stratified by class (the paper's Table 3: mean and SD, ddof 1).

    Without --train-on the folds are cut from the cohorts training and internal together, as in the paper.
    """
    plan = _plan(
        data,
        recipe,
        changes,
        classes=classes,
        view=view,
        architecture=architecture,
        seed=seed,
        train_on=train_on or ["training", "internal"],
        weights=weights,
        weights_file=weights_file,
        accelerator=device,
        precision=precision,
        has_detector=False,
    )
    plans = cross_validation_plans(plan, folds)
    folders = run_plans(plans, out, workers=workers, gpus=gpus, on_change=QueueDisplay(console, "folds").update)
    _show_many(folders)
    accuracies = [read_json(RunFolder(path).result)["scores"]["fold"]["accuracy"]["value"] for path in folders]
    summary = mean_and_sd(accuracies)
    spread = f" ± {summary.sd:.3f} (SD, ddof 1)" if summary.sd is not None else ""
    console.print(f"Accuracy over {summary.n} folds: {summary.mean:.3f}{spread}")


@app.command()
def ablate(
    data: DataOption = None,
    classes: ClassesOption = None,
    view: ViewOption = "",
    out: OutOption = Path("runs/ablation"),
    recipe: RecipeOption = "modern",
    architecture: ArchitectureOption = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Variant to try; repeat. Default: all.")] = None,
    changes: SetOption = None,
    train_on: CohortOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = 1,
    gpus: GpusOption = 0,
    seed: SeedOption = None,
    hold_out: HoldOutOption = 10,
) -> None:
    """Change one setting at a time: the other readings of the paper's text, or single removals from our recipe."""
    variants = variants_of(recipe)
    unknown = sorted(set(only or ()) - {variant.key for variant in variants})
    if unknown:
        raise TrainingError(f"--only {unknown[0]}: use one of {', '.join(variant.key for variant in variants)}.")
    plan = _plan(
        data,
        recipe,
        changes,
        classes=classes,
        view=view,
        architecture=architecture,
        seed=seed,
        train_on=train_on,
        accelerator=device,
        precision=precision,
        has_detector=False,
        folds=hold_out,
    )
    plans = ablation_plans(plan, [variant for variant in variants if not only or variant.key in only])
    folders = run_plans(plans, out, workers=workers, gpus=gpus, on_change=QueueDisplay(console, "ablation").update)
    _show_many(folders)


@app.command()
def ceiling(
    out: OutOption = Path("runs/ceiling"),
    times: Annotated[int, typer.Option("--times", help="How many times the paper's training cases.")] = 10,
    fresh: Annotated[int, typer.Option("--fresh", help="Fresh cases of each class, on each of two sets.")] = 500,
    per_class: Annotated[
        int | None,
        typer.Option("--per-class", help="Training cases of each class instead of the paper's, for a trial."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Run beside the two references; repeat. Default: all.")
    ] = None,
    changes: SetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: WorkersOption = 1,
    gpus: GpusOption = 0,
) -> None:
    """Train on many times the paper's phantoms, and try to come near that with the paper's; all on fresh cases."""
    check_only(only or ())
    recipe = CEILING_RECIPE.with_changes(**parse_changes(changes or []))
    plans = ceiling_cohorts(times, fresh, per_class=per_class)
    name = "-".join(str(part) for part in ("ceiling", times, fresh, per_class) if part is not None)
    data = ensure_phantoms(console, plans, PHANTOM_FOLDER / name)
    open_dataset(data, recipe.image_size, Path(RunPlan.cache), classes=THYROID_CLASSES)  # once, for all runs
    plan = RunPlan(
        recipe,
        str(data),
        evaluation_cohorts=FRESH,
        accelerator=device,
        precision=precision,
        has_detector=False,
    )
    for wave in ceiling_plans(plan, out, times, only or ()):
        run_plans(wave, out, workers=workers, gpus=gpus, on_change=QueueDisplay(console, "ceiling").update)
    table = Table("run", "training cases", *FRESH, ALL, "more than paper-size", "p")
    for key, found in compare_members(out)["members"].items():
        accuracies = [f"{found['accuracy'][cohort]['value']:.4f}" for cohort in (*FRESH, ALL)]
        against = found["against"][ALL]
        table.add_row(
            key, str(found["n_training"]), *accuracies, f"{against['difference']:+.4f}", f"{against['p']:.2g}"
        )
    console.print(table)


@app.command()
def evaluate(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Checkpoint folder or .safetensors file; several are scored as one ensemble.")
    ],
    data: DataOption = None,
    cohorts: Annotated[
        list[str] | None, typer.Option("--cohort", help="Cohort to score; repeat. Default: all but training.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write scores (JSON) and probabilities (CSV) here.")] = None,
    augment: Annotated[
        bool, typer.Option("--augment", help="Six views of each image (test-time augmentation), at six times the cost.")
    ] = False,
    view: ViewOption = "",
    device: DeviceOption = "auto",
) -> None:
    """Score a checkpoint, or an ensemble, on cohorts it was not trained on, for example the external set."""
    known = read_card(checkpoints[0]).classes
    if data is None and known != THYROID_KEYS:
        raise TrainingError(f"The model knows the classes {', '.join(known)}, and phantoms have others. Give --data.")
    source = data if data is not None else ensure_paper_phantoms(console)
    found = score_checkpoints(checkpoints, source, cohorts, is_augmented=augment, out=out, view=view, device=device)
    _show({"run": found["title"], **found})


@app.command("recipe")
def show_recipe(name: Annotated[str, typer.Argument(help=f"One of: {', '.join(RECIPES)}.")] = "paper") -> None:
    """Print a recipe: every setting with its unit and source, and the ambiguities of the paper's text."""
    table = Table("setting", "value", "unit", "source", title=f"Recipe {name}")
    for row in describe(recipe_named(name)):
        table.add_row(row["setting"], row["value"], row["unit"], row["source"])
    Console().print(table)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold run folders.")],
    out: Annotated[Path, typer.Option("--out", help="Markdown file to write.")] = Path("docs/model-results.md"),
) -> None:
    """Write the tables of docs/model-results.md from finished run folders."""
    console.print(f"{write_report(folders, out)} runs -> {out}")


def _show(result: dict[str, Any]) -> None:
    """Scores of one run as tables."""
    for cohort, scores in result["scores"].items():
        accuracy = scores["accuracy"]
        table = Table(
            "truth \\ predicted",
            *result["classes"],
            "recall",
            title=f"{result['run']} · {cohort}: accuracy {accuracy['value']:.3f} "
            f"({accuracy['lower']:.3f} to {accuracy['upper']:.3f}), n = {scores['n']}",
        )
        for key, row in zip(result["classes"], scores["confusion"], strict=True):
            recall = scores["recall"][key]
            table.add_row(key, *map(str, row), f"{recall['value']:.3f}" if recall else "no case")
        console.print(table)


def _show_many(folders: list[Path]) -> None:
    """Accuracies of several runs in one table."""
    results = [read_json(RunFolder(folder).result) for folder in folders]
    cohorts = list(dict.fromkeys(name for result in results for name in result["scores"]))
    table = Table("run", *cohorts, "minutes")
    for result in results:
        cells = []
        for cohort in cohorts:
            accuracy = result["scores"].get(cohort, {}).get("accuracy")
            cells.append(
                f"{accuracy['value']:.3f} ({accuracy['lower']:.3f} to {accuracy['upper']:.3f})" if accuracy else ""
            )
        table.add_row(result["run"], *cells, f"{result['training_seconds'] / 60:.1f}")
    console.print(table)


def _stop(number: int, frame: FrameType | None) -> None:
    """End as after an error, so that a queue takes its workers with it."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; errors made on purpose become one message and exit code 2."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(standalone_mode=True)
    except ReadingRoomError as error:
        console.print(f"Error ({error.code}): {error}", style="bold red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on where the last state was saved.")
        sys.exit(130)
