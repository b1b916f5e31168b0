"""``python -m training``: files to a served checkpoint, killed and resumed, folds, queue, report, messages."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from core.errors import ReadingRoomError, TrainingError
from core.imaging import load_image
from core.model.augmented import Augmented
from core.model.checkpoint import load_checkpoint
from core.model.classifier import Classifier, Ensemble
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.phantom import write_cohorts
from core.protocol import THYROID_CLASSES
from training.ceiling import CEILING_RECIPE, ceiling_cohorts, ceiling_plans, compare_members
from training.command_line import app
from training.conclusion import ship
from training.cross_validation import ablation_plans, comparison_plans, cross_validation_plans, mean_and_sd
from training.dataset import open_dataset
from training.plan import RunPlan, read_plan, store_plan
from training.queue import run_queue
from training.recipe import MODERN, Recipe, variants_of
from training.report import write_report
from training.run import execute
from training.run_folder import RunFolder, read_json
from training.scoring import score_checkpoints
from training.shipped_recipe import SHIPPED_RECIPE

REPOSITORY = Path(__file__).resolve().parents[2]
KEYS = tuple(disease.key for disease in THYROID_CLASSES)
TINY = MODERN.with_changes(
    architecture="shufflenet_v2_x1_0", image_size=32, length=3, batch_size=24, warmup_epochs=1.0, ema_decay=0.8
)


@pytest.fixture
def plan(manifest: Path, tmp_path: Path) -> RunPlan:
    """Three epochs of the smallest network at 32 pixels."""
    return RunPlan(TINY, str(manifest), folds=4, accelerator="cpu", cache=str(tmp_path.parent / "cache"))


def carry_out(plan: RunPlan, path: Path) -> dict:
    """Run a plan here."""
    folder = RunFolder(path)
    store_plan(plan, folder)
    return execute(folder, Console(stderr=True, quiet=True))


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a finished run."""
    return load_checkpoint(path / "model").network.state_dict()


def test_run_leaves_everything_that_its_folder_promises(plan: RunPlan, manifest: Path, tmp_path: Path) -> None:
    result = carry_out(replace(plan, storage="float16"), tmp_path / "run")
    folder = tmp_path / "run"
    for name in ("config.json", "split.json", "metrics.csv", "curves.png", "last.ckpt", "best.ckpt", "result.json"):
        assert (folder / name).stat().st_size > 0, name
    loaded = load_checkpoint(folder / "model", expected_classes=KEYS)
    card = loaded.card
    assert Recipe.from_dict(card.recipe) == TINY
    assert card.is_synthetic
    assert (card.data_sha256, card.split_sha256) == (result["data_sha256"], result["split_sha256"])
    assert card.lesions_sha256 == open_dataset(manifest, 32, Path(plan.cache)).lesions_sha256() is not None
    assert loaded.sha256 == result["weights_sha256"]
    assert card.metrics["internal"]["n"] == 24
    assert card.temperature > 0
    assert set(card.thresholds) == {"max_energy", "max_distance"}
    limits = card.metrics["external"]["accuracy"]
    assert limits["lower"] <= limits["value"] <= limits["upper"]
    assert sum(map(sum, card.metrics["external"]["confusion"])) == 12


def test_served_probabilities_are_those_of_the_run(plan: RunPlan, manifest: Path, tmp_path: Path) -> None:
    """Training, evaluation and serving prepare, normalise and calibrate alike, whatever runs the network."""
    carry_out(plan, tmp_path / "run")
    with (tmp_path / "run" / "predictions_external.csv").open() as file:
        stored = {row["case"]: [float(row[f"p_{key}"]) for key in KEYS] for row in csv.DictReader(file)}
    opened = open_dataset(manifest, 32, Path(plan.cache))
    cases = [opened.cases[row] for row in opened.rows_of_cohorts(["external"])]
    classifier = Classifier.load(tmp_path / "run" / "model", device="cpu")
    served = classifier.predict([load_image(case.path).pixels for case in cases]).probabilities
    assert np.abs(served - np.array([stored[case.case] for case in cases])).max() < 1e-4


def test_evaluate_repeats_the_scores_of_the_run(plan: RunPlan, manifest: Path, tmp_path: Path) -> None:
    result = carry_out(plan, tmp_path / "run")
    answer = CliRunner().invoke(
        app,
        ["evaluate", str(tmp_path / "run" / "model"), "--data", str(manifest), "--out", str(tmp_path / "scores")],
        env={"COLUMNS": "160"},
    )
    assert answer.exit_code == 0, answer.output
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())["scores"]
    for cohort in ("internal", "external"):
        assert scores[cohort]["confusion"] == result["scores"][cohort]["confusion"]
        for key, game in result["scores"][cohort]["pointing"].items():
            assert scores[cohort]["pointing"][key]["hit_rate"] == game["hit_rate"]
            assert scores[cohort]["pointing"][key]["energy"] == pytest.approx(game["energy"], abs=1e-4)


def test_evaluated_ensemble_with_six_views_is_the_one_that_a_study_would_be_served(
    plan: RunPlan, manifest: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        carry_out(replace(plan, recipe=TINY.with_changes(seed=seed)), tmp_path / f"run-{seed}")
    members = [tmp_path / f"run-{seed}" / "model" for seed in (1, 2)]
    found = score_checkpoints(members, manifest, ["external"], is_augmented=True, out=tmp_path, cache=Path(plan.cache))
    assert found["title"] == "mean of 2 x ShuffleNetV2, six views each"
    assert found["checkpoint"] == "run-1, run-2"
    served = Augmented(Ensemble([Classifier.load(member, device="cpu") for member in members]))
    assert found["weights_sha256"] == served.sha256
    opened = open_dataset(manifest, 32, Path(plan.cache))
    paths = [opened.cases[row].path for row in opened.rows_of_cohorts(["external"])]
    probabilities = served.predict([load_image(path).pixels for path in paths]).probabilities
    with (tmp_path / "predictions_external.csv").open() as file:
        stored = [[float(row[f"p_{key}"]) for key in KEYS] for row in csv.DictReader(file)]
    assert np.abs(probabilities - np.array(stored)).max() < 1e-6


def test_killed_process_resumes_to_the_same_bits(plan: RunPlan, tmp_path: Path) -> None:
    """A real SIGKILL of ``python -m training`` between two epochs, then ``resume``."""
    long = replace(plan, recipe=TINY.with_changes(length=12), has_detector=False)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    carry_out(long, whole)
    store_plan(long, RunFolder(cut))
    command = [sys.executable, "-m", "training", "resume", str(cut)]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE)
    metrics = cut / "metrics.csv"
    while process.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    if process.stderr:
        process.stderr.close()
    assert not RunFolder(cut).is_finished
    carry_out(long, cut)
    expected = weights_of(whole)
    for name, tensor in weights_of(cut).items():
        assert torch.equal(tensor, expected[name]), name


def test_two_processes_never_work_in_one_folder(plan: RunPlan, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.held(), pytest.raises(TrainingError, match=r"Another process is at work in .*run"):
        carry_out(plan, folder.path)
    carry_out(plan, folder.path)


def test_a_stopped_queue_takes_its_workers_with_it(plan: RunPlan, tmp_path: Path) -> None:
    """SIGTERM, as ``kill`` and a cluster's scheduler send it; an orphan would still hold its folder."""
    folds = [RunFolder(tmp_path / f"fold-{number}") for number in range(2)]
    for fold in folds:
        store_plan(replace(plan, recipe=TINY.with_changes(length=5000)), fold)
    queue = (
        "import sys; from pathlib import Path; from training import command_line; from training.queue import run_queue;"
        "command_line.app = lambda **_: run_queue([Path(path) for path in sys.argv[1:]], workers=2);"
        "command_line.main()"
    )
    command = [sys.executable, "-c", queue, *(str(fold.path) for fold in folds)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    while process.poll() is None and not all(fold.metrics.exists() for fold in folds):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    for fold in folds:
        assert not fold.is_finished
        with fold.held():
            pass


def test_folds_of_a_cross_validation_cover_every_case_once_and_a_failed_run_is_named(
    plan: RunPlan, tmp_path: Path
) -> None:
    """Two worker processes from the queue, one of which fails first; then the report from their folders alone."""
    quick = replace(
        plan, recipe=TINY.with_changes(length=1), training_cohorts=("training", "internal"), has_detector=False
    )
    plans = cross_validation_plans(quick, 2)
    folders = []
    for name, fold in plans.items():
        store_plan(fold, RunFolder(tmp_path / "cv" / name))
        folders.append(tmp_path / "cv" / name)
    bad = tmp_path / "bad"
    store_plan(replace(quick, training_cohorts=("nowhere",)), RunFolder(bad))
    states = []
    with pytest.raises(TrainingError, match=r"1 of 3 runs failed.*\n.*bad: .*no cohort 'nowhere'"):
        run_queue([bad, *folders], workers=2, on_change=states.append)
    assert set(states[-1].finished) == set(folders)
    log = (bad / "run.log").read_text()
    assert log.startswith("Error (training): The data have no cohort 'nowhere'")
    assert "Traceback" not in log
    seen: list[str] = []
    for folder in folders:
        with (folder / "predictions_fold.csv").open() as file:
            seen += [row["case"] for row in csv.DictReader(file)]
    assert len(seen) == len(set(seen)) == 4 * (24 + 6)
    assert len({read_json(folder / "split.json")["sha256"] for folder in folders}) == 1

    document = tmp_path / "results.md"
    assert write_report([tmp_path / "cv"], document) == 2
    text = document.read_text()
    accuracies = [read_json(folder / "result.json")["scores"]["fold"]["accuracy"]["value"] for folder in folders]
    assert f"{np.mean(accuracies):.3f} ± {np.std(accuracies, ddof=1):.3f}" in text
    assert "phantoms" in text
    document.unlink()
    write_report([document.with_suffix("")], document)
    assert document.read_text().split("\n", 4)[4] == text.split("\n", 4)[4], "the stored results suffice"


def test_ceiling_compares_runs_on_the_same_fresh_cases(plan: RunPlan, tmp_path: Path) -> None:
    """A teacher before its students, pairs counted anew from the stored answers, and the table of the report."""
    data = write_cohorts(ceiling_cohorts(2, 3, per_class=8), tmp_path / "data", workers=1)
    with (tmp_path / "data" / "params.csv").open() as file:
        cohort_of = {row["case"]: (row["study"], row["cohort"]) for row in csv.DictReader(file)}
    assert Counter(cohort_of.values()) == {
        ("paper", "training"): 32, ("paper", "more"): 32, ("ceiling", "internal"): 12, ("ceiling", "external"): 12,
    }  # fmt: skip
    recipe = CEILING_RECIPE.with_changes(image_size=32, length=2)
    base = replace(plan, recipe=recipe, data=str(data), evaluation_cohorts=("internal", "external"), has_detector=False)
    folder = tmp_path / "ceiling"
    with pytest.raises(TrainingError, match=r"paper-size is not finished"):
        compare_members(folder)
    for wave in ceiling_plans(base, folder, 2, ["unlabelled"]):
        for name, one in wave.items():
            carry_out(one, folder / name)
    assert sorted(path.name for path in folder.iterdir()) == ["all-cases", "paper-size", "unlabelled"]
    found = compare_members(folder)["members"]
    assert [member["n_training"] for member in found.values()] == [24, 48, 48]
    teacher = load_checkpoint(folder / "paper-size" / "model").sha256
    assert read_json(folder / "unlabelled" / "result.json")["teacher_sha256"] == teacher
    assert f"answers of the model {teacher[:12]}" in load_checkpoint(folder / "unlabelled" / "model").card.note
    right: dict[str, np.ndarray] = {}
    for name in found:
        scores = read_json(folder / name / "result.json")["scores"]
        n_right = [int(np.trace(scores[cohort]["confusion"])) for cohort in ("internal", "external")]
        assert found[name]["accuracy"]["all"]["successes"] == sum(n_right)
        assert sum(share["n"] for share in found[name]["subtypes"].values()) == 24
        answers = [row for cohort in ("internal", "external") for row in answers_of(folder / name, cohort)]
        right[name] = np.array(
            [row["truth"] == row["predicted"] for row in sorted(answers, key=lambda row: row["case"])]
        )
    against = found["all-cases"]["against"]["all"]
    assert against["only_this"] == int((right["all-cases"] & ~right["paper-size"]).sum())
    assert against["only_paper_size"] == int((right["paper-size"] & ~right["all-cases"]).sum())
    half = found["unlabelled"]["beyond_half"]["value"]
    middle = (right["paper-size"].mean() + right["all-cases"].mean()) / 2
    assert half == pytest.approx(right["unlabelled"].mean() - middle, abs=1e-4)
    assert write_report([folder], tmp_path / "report.md") == 4
    written = (tmp_path / "report.md").read_text()
    assert "## ceiling: how good could the network be?" in written
    assert "## Single runs" not in written, "they stand in the table of the comparison"


def answers_of(run: Path, cohort: str) -> list[dict[str, str]]:
    """Rows of a run's predictions."""
    with (run / f"predictions_{cohort}.csv").open() as file:
        return list(csv.DictReader(file))


def test_bad_data_stop_before_the_first_epoch(plan: RunPlan, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("image,case,patient,class,cohort\nmissing.png,c1,p1,graves,training\n")
    with pytest.raises(ReadingRoomError, match="row 2"):
        carry_out(replace(plan, data=str(tmp_path / "manifest.csv")), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_evaluating_on_a_training_cohort_is_refused(plan: RunPlan, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Cohort training is trained on"):
        carry_out(replace(plan, evaluation_cohorts=("training",)), tmp_path / "run")


def test_folder_of_another_run_is_refused_once_it_was_trained(plan: RunPlan, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    store_plan(plan, folder)
    changed = replace(plan, split_seed=7)
    store_plan(changed, folder)
    assert read_plan(folder) == changed, "nothing was trained yet, so the new plan counts"
    folder.last_state.write_bytes(b"state")
    with pytest.raises(TrainingError, match="another split_seed"):
        store_plan(plan, folder)


def test_sets_of_runs_share_the_split_and_differ_in_one_thing(plan: RunPlan) -> None:
    compared = comparison_plans(plan)
    assert [one.recipe.architecture for one in compared.values()] == list(compared)
    assert len(compared) == 4
    folds = cross_validation_plans(plan, 5)
    assert [one.fold for one in folds.values()] == [0, 1, 2, 3, 4]
    assert {one.folds for one in folds.values()} == {5}
    ablated = ablation_plans(plan, variants_of("modern"))
    assert ablated["as-is"] == plan
    assert all(replace(one, recipe=plan.recipe) == plan for one in ablated.values())


def test_sd_over_folds_divides_by_n_minus_one() -> None:
    """Fold accuracies of the paper's Table 3: mean 94.8, SD 0.009 with ddof 1."""
    summary = mean_and_sd([0.946, 0.952, 0.944, 0.961, 0.936])
    assert summary.mean == pytest.approx(0.9478)
    assert summary.sd == pytest.approx(0.00934, abs=1e-5)
    assert mean_and_sd([0.9]).sd is None


def test_shipping_needs_a_finished_run_and_copies_it_whole(plan: RunPlan, tmp_path: Path) -> None:
    store_plan(plan, RunFolder(tmp_path / "run"))
    with pytest.raises(TrainingError, match="not finished"):
        ship(RunFolder(tmp_path / "run"), tmp_path / "m.safetensors")
    result = carry_out(plan, tmp_path / "run")
    target = ship(RunFolder(tmp_path / "run"), tmp_path / "m.safetensors")
    assert load_checkpoint(target).sha256 == result["weights_sha256"]
    assert json.loads((tmp_path / "m.card.json").read_text())["weights_sha256"] == result["weights_sha256"]


def test_shipped_model_is_small_known_and_better_than_chance() -> None:
    assert SHIPPED_CHECKPOINT.stat().st_size <= 6_000_000
    loaded = load_checkpoint(SHIPPED_CHECKPOINT, expected_classes=KEYS)
    assert Recipe.from_dict(loaded.card.recipe) == SHIPPED_RECIPE
    assert loaded.card.is_synthetic
    assert loaded.card.initialisation == "random"
    for cohort, n in (("internal", 514), ("external", 613)):
        assert loaded.card.metrics[cohort]["n"] == n
        assert loaded.card.metrics[cohort]["accuracy"]["lower"] > 0.8


COMMANDS = ("fit", "resume", "compare", "cross-validate", "ablate", "ceiling", "evaluate", "recipe", "report")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_is_documented(command: str) -> None:
    answer = CliRunner().invoke(app, [command, "--help"])
    assert answer.exit_code == 0
    assert f"python -m training {command}" in (REPOSITORY / "docs" / "training.md").read_text()


def test_no_command_is_left_out_of_this_list() -> None:
    names = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert names == set(COMMANDS)


def test_recipe_command_prints_units_and_sources() -> None:
    answer = CliRunner().invoke(app, ["recipe", "paper"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    assert "weight_decay" in answer.output
    assert "Zhao et al. 2023" in answer.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "--set", "lenght=3"], "lenght"),
        (["fit", "--architecture", "vgg"], "use one of alexnet"),
        (["fit", "--recipe", "old"], "no recipe 'old'"),
        (["fit", "--weights", "jft"], "only 'imagenet'"),
        (["ablate", "--only", "nothing"], "--only nothing"),
        (["ceiling", "--times", "1"], "no larger set"),
        (["ceiling", "--only", "nothing"], "--only nothing"),
        (["fit", "--set", "teacher_weight=0.5"], "there is no teacher"),
        (["fit", "--teacher", "x"], "Add --set teacher_weight"),
        (["fit", "--teacher", "nowhere", "--set", "teacher_weight=0.5"], "nowhere"),
        (["fit", "--teacher", str(SHIPPED_CHECKPOINT), "--set", "teacher_weight=0.5"], "image_size=160"),
        (["compare", "--architecture", "vgg"], "use one of alexnet"),
        (["resume", "nowhere"], "run folder"),
        (["report", "nowhere"], "no finished run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_named(arguments: list[str], words: str, manifest: Path, tmp_path: Path) -> None:
    data = (
        ["--data", str(manifest), "--out", str(tmp_path / "run")]
        if arguments[0] in ("fit", "ablate", "compare")
        else []
    )
    answer = CliRunner().invoke(app, [*arguments, *data])
    assert isinstance(answer.exception, ReadingRoomError)
    assert words in str(answer.exception)
