"""The loop: learns, resumes to the bit, shares batches exactly, and stops with advice."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional

import training.batches
import training.compilation
import training.loop
from core.errors import TrainingError
from core.model.architectures import ARCHITECTURES, Network, build
from training.batches import Batch, epoch_batches, mixed
from training.compilation import why_not
from training.dataset import Dataset, ImageSet
from training.loop import TEACHER_TEMPERATURE, Fit, FitResult, RunProgress, distillation_loss, summed_loss
from training.prediction import predict_logits
from training.recipe import MODERN, PAPER, SCINTIGRAPHY_SAFE, Augmentation, Recipe
from training.run_folder import RunFolder
from training.schedule import count_steps

TINY = MODERN.with_changes(image_size=32, batch_size=6, length=3, warmup_epochs=1.0, ema_decay=0.9)


def run(
    fabric: Fabric,
    make: Callable[[], Network],
    data: ImageSet,
    folder: Path,
    recipe: Recipe = TINY,
    *,
    validation: ImageSet | None = None,
    fingerprint: str = "same",
    on_progress: Callable[[RunProgress], None] | None = None,
) -> FitResult:
    """One fit of a fresh network."""
    return Fit(fabric, make(), recipe, data, validation, RunFolder(folder), fingerprint, on_progress).run()


def bits(network: torch.nn.Module) -> str:
    """Hash of all weights and running statistics."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_learns_sixteen_images_by_heart(
    architecture: str, fabric: Fabric, sixteen: ImageSet, tmp_path: Path
) -> None:
    size = 64 if architecture == "alexnet" else 32
    images = sixteen.images.repeat(size // 32, axis=1).repeat(size // 32, axis=2)
    recipe = PAPER.with_changes(
        architecture=architecture,
        batch_size=16,
        length=40,
        learning_rate=3e-4 if architecture in ("alexnet", "convnext_tiny") else 3e-3,
        weight_decay=0.0,
        image_size=size,
        schedule="constant",
        augmentation=Augmentation(),
    )

    class LearnedError(Exception):
        """Enough: the rest of the epochs would only cost time."""

    # The last images take the large networks half a minute; chance is a quarter.
    enough = 0.75 if architecture in ("efficientnet_v2_s", "convnext_tiny") else 1.0
    best = [0.0]

    def stop_when_learned(progress: RunProgress) -> None:
        best[0] = max(best[0], progress.accuracy)
        if progress.accuracy >= enough:
            raise LearnedError

    torch.manual_seed(1)
    network = build(architecture, 4, dropout=0.0).module
    try:
        data = ImageSet(images, sixteen.classes)
        Fit(fabric, network, recipe, data, None, Folderless(tmp_path), "x", stop_when_learned).run()
    except LearnedError:
        return
    pytest.fail(f"{architecture} reached {best[0]:.2f} of 16 images")


class Folderless(RunFolder):
    """A run folder that keeps nothing: states of large networks would only cost time here."""

    def save_state(self, path: Path, state: object) -> None:
        """Keep nothing."""


def test_each_image_is_seen_once_an_epoch_in_a_new_order() -> None:
    steps = count_steps(TINY, 40)
    first, second = (np.concatenate(epoch_batches(40, steps, 7, epoch)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(40))
    assert not np.array_equal(first, second)
    assert [len(batch) for batch in epoch_batches(40, steps, 7, 0)] == [6, 6, 6, 6, 6, 6, 4]


class KilledError(BaseException):
    """Stands for a kill: nothing of the program may catch it."""


@pytest.mark.parametrize(
    ("architecture", "recipe"),
    [
        ("small", TINY),
        ("small", TINY.with_changes(sgd_from_epoch=2, selection="best_validation")),
        ("small", TINY.with_changes(mix_alpha=0.4, hard_case_power=1.0)),
        ("shufflenet_v2_x1_0", TINY),
    ],
    ids=["small", "two optimisers", "mixed", "shufflenet"],
)
def test_resumed_run_equals_uninterrupted_run_to_the_bit(
    architecture: str,
    recipe: Recipe,
    fabric: Fabric,
    make_network: Callable[[], Network],
    sixteen: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed inside an epoch and at the end of one, with dropout, augmentation, moving average and warm-up in use."""

    def make() -> Network:
        if architecture == "small":
            return make_network()
        torch.manual_seed(3)
        return build(architecture, 4, dropout=0.3).module

    torch.use_deterministic_algorithms(True)
    try:
        whole = run(fabric, make, sixteen, tmp_path / "whole", recipe, validation=sixteen)
        monkeypatch.setattr(training.loop, "STATE_SECONDS", 0.0)
        begun: list[int] = []
        for stop_at in (2, 7, 8):  # saved is: after the first, third, fourth, sixth, seventh and last step
            steps: list[int] = []

            def kill(progress: RunProgress, stop_at: int = stop_at, steps: list[int] = steps) -> None:
                steps.append(progress.step)
                if progress.step == stop_at:
                    raise KilledError

            with pytest.raises(KilledError):
                run(fabric, make, sixteen, tmp_path / "cut", recipe, validation=sixteen, on_progress=kill)
            begun.append(steps[0])
            torch.rand(17)  # another state of the global generator
        with monkeypatch.context() as patch:  # after the last step, before its validation
            patch.setattr(training.loop, "predict_logits", kill_now)
            with pytest.raises(KilledError):
                run(fabric, make, sixteen, tmp_path / "cut", recipe, validation=sixteen)
        resumed = run(fabric, make, sixteen, tmp_path / "cut", recipe, validation=sixteen, on_progress=never)
    finally:
        torch.use_deterministic_algorithms(False)
    assert begun == [1, 2, 7], "each went on at the step after the last saved one"
    assert bits(resumed.network) == bits(whole.network)
    measured = ("images_per_second",)
    for row, other in zip(resumed.history, whole.history, strict=True):
        assert {name: value for name, value in row.items() if name not in measured} == {
            name: value for name, value in other.items() if name not in measured
        }


def kill_now(*arguments: object) -> None:
    raise KilledError


def never(progress: RunProgress) -> None:
    pytest.fail("every step was done already")


def test_host_waits_for_the_device_once_in_many_steps(
    fabric: Fabric,
    make_network: Callable[[], Network],
    sixteen: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every way from a tensor to a plain value is counted; on a GPU each would wait for all steps begun before it."""
    waits: list[str] = []
    for name in ("item", "cpu", "tolist", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name), name, waits))
    monkeypatch.setattr(torch, "nonzero", counted(torch.nonzero, "nonzero", waits))
    recipe = TINY.with_changes(batch_size=2, length=1, map_weight=0.5, teacher_weight=0.5, hard_case_power=1.0)
    at_step: list[int] = []

    def watch(progress: RunProgress) -> None:
        at_step.append(waits.count("cpu"))
        if progress.step not in (1, 8):
            assert set(since(waits, "step")) == {"host draws"}, f"step {progress.step} waited"
        waits.append("step")

    monkeypatch.setattr(training.batches, "augment", on_the_host(training.batches.augment, waits))
    folder = RunFolder(tmp_path)
    Fit(fabric, make_network(), recipe, sixteen, None, folder, "x", watch, teacher=make_network()).run()
    assert at_step == [1, 1, 1, 1, 1, 1, 1, 2], "read after the first and the last of eight steps"


def counted(method: Callable[..., Any], name: str, waits: list[str]) -> Callable[..., Any]:
    """The method, which writes its name down."""

    def called(*arguments: Any, **options: Any) -> Any:
        waits.append(name)
        return method(*arguments, **options)

    return called


def on_the_host(augment: Callable[..., torch.Tensor], waits: list[str]) -> Callable[..., torch.Tensor]:
    """Augmentation, whose draws lie on the host: what it does is another test's matter."""

    def called(*arguments: Any) -> torch.Tensor:
        before = len(waits)
        found = augment(*arguments)
        waits[before:] = ["host draws"]
        return found

    return called


def since(waits: list[str], mark: str) -> list[str]:
    """What was written down after the last mark."""
    return waits[len(waits) - waits[::-1].index(mark) :] if mark in waits else waits


def batch_of(targets: list[int], *, shares: list[float] | None = None) -> Batch:
    """Noise of the given classes; with shares, each mixed with its neighbour."""
    inputs = torch.rand(len(targets), 3, 4, 4, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor(targets)
    if shares is None:
        return Batch(inputs, classes, None, len(targets), 7)
    return Batch(inputs, classes, None, len(targets), 7, classes.roll(1), torch.tensor(shares))


def test_mixed_images_are_weighted_means_of_neighbours() -> None:
    plain = batch_of([0, 1, 2, 3, 0, 1])
    found = mixed(plain, 0.4)
    assert found.shares is not None
    assert found.partners is not None
    assert ((found.shares >= 0.5) & (found.shares <= 1)).all(), "an image stays the main one of its pair"
    for row in range(6):
        share = found.shares[row]
        expected = share * plain.inputs[row] + (1 - share) * plain.inputs[row - 1]
        torch.testing.assert_close(found.inputs[row], expected)
        assert found.partners[row] == plain.targets[row - 1]
    assert torch.equal(mixed(plain, 0.4).shares, found.shares), "a function of the step's seed"
    assert not torch.equal(mixed(replace(plain, seed=8), 0.4).shares, found.shares)


def test_losses_are_those_of_their_formulas() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    targets, shares = [0, 2, 1, 1], [0.9, 0.6, 1.0, 0.7]
    chances = functional.softmax(logits, dim=1)
    plain = summed_loss(logits, batch_of(targets), None, 0.0, 0.0)
    torch.testing.assert_close(plain, -chances[range(4), targets].log().sum())
    hard = summed_loss(logits, batch_of(targets), None, 0.0, 2.0)
    of_truth = chances[range(4), targets]
    torch.testing.assert_close(hard, -((1 - of_truth) ** 2 * of_truth.log()).sum())
    wanted = torch.zeros(4, 3)  # torch's own cross-entropy against shares of classes
    for row, share in enumerate(shares):
        wanted[row, targets[row]] += share
        wanted[row, targets[row - 1]] += 1 - share
    found = summed_loss(logits, batch_of(targets, shares=shares), None, 0.1, 0.0)
    torch.testing.assert_close(found, functional.cross_entropy(logits, wanted, reduction="sum", label_smoothing=0.1))


def test_distillation_has_the_gradient_that_hinton_et_al_give() -> None:
    """Equation 2 of their paper, times the square of the temperature: T (softmax(z / T) - softmax(v / T))."""
    student, teacher = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(3))
    student.requires_grad_(True)
    loss = distillation_loss(student, teacher)
    (gradient,) = torch.autograd.grad(loss, student)
    t = TEACHER_TEMPERATURE
    expected = t * (functional.softmax(student / t, dim=1) - functional.softmax(teacher / t, dim=1))
    torch.testing.assert_close(gradient, expected.detach())
    assert float(distillation_loss(teacher, teacher)) == pytest.approx(0, abs=1e-6)


def test_a_student_learns_its_teacher_and_not_the_classes(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    recipe = TINY.with_changes(
        length=40, batch_size=16, learning_rate=1e-2, augmentation=Augmentation(), ema_decay=None
    )
    teacher = run(fabric, make_network, sixteen, tmp_path / "teacher", recipe.with_changes(map_weight=0.0)).network
    before = bits(teacher)
    permuted = ImageSet(sixteen.images, np.roll(sixteen.classes, 4), None)
    student = Fit(
        fabric, make_network(), recipe.with_changes(teacher_weight=1.0), permuted, None,
        RunFolder(tmp_path / "student"), "x", teacher=teacher,
    ).run().network  # fmt: skip
    said, wanted = (predict_logits(one, sixteen.images, torch.device("cpu")).logits for one in (student, teacher))
    assert (said.argmax(1) == wanted.argmax(1)).mean() > 0.9
    assert (said.argmax(1) == permuted.classes).mean() < 0.3
    assert bits(teacher) == before


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_a_compiled_run_is_the_plain_one_or_says_why_it_is_not(
    is_repeatable: bool,
    fabric: Fabric,
    make_network: Callable[[], Network],
    sixteen: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Traced whole but run by PyTorch's own kernels, which need no compiler and give the bits of the plain run."""
    seen: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        def run_graph(*arguments: Any) -> Any:
            seen.append(len(seen))
            found = graph(*arguments)
            return found if is_repeatable else tuple(one + len(seen) * 1e-3 for one in found)

        return run_graph

    monkeypatch.setattr(training.compilation, "compile_options", lambda device: {"backend": backend})
    words: list[str] = []
    plain = run(fabric, make_network, sixteen, tmp_path / "plain", TINY)
    network, folder = make_network(), RunFolder(tmp_path / "compiled")
    found = Fit(fabric, network, TINY, sixteen, None, folder, "x", is_compiled=True, on_word=words.append).run()
    assert bits(found.network) == bits(plain.network)
    if is_repeatable:
        assert words == []
        assert found.is_compiled
        assert len(seen) == 2 + 9, "two attempts and nine steps ran compiled"
    else:
        assert not found.is_compiled, "result.json would say that it ran compiled"
        assert words == [
            "Not compiled: compiled, the same batch does not give the same bits twice. The run goes on without; its "
            "result is the same as ever."
        ]


def test_a_compiler_that_fails_and_shapes_that_change_leave_the_run_as_it_is(
    fabric: Fabric,
    make_network: Callable[[], Network],
    sixteen: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(graph: object, inputs: object) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(training.compilation, "compile_options", lambda device: {"backend": fail})
    words: list[str] = []
    recipe = TINY.with_changes(length=1)
    plain = run(fabric, make_network, sixteen, tmp_path / "plain", recipe)
    folder = RunFolder(tmp_path / "failed")
    found = Fit(
        fabric, make_network(), recipe, sixteen, None, folder, "x", is_compiled=True, on_word=words.append
    ).run()
    assert bits(found.network) == bits(plain.network)
    assert "the compiler failed" in words[0]
    assert "no compiler here" in words[0]
    assert why_not(TINY, world_size=1) == ""
    assert "several processes" in why_not(TINY, world_size=2)
    assert "images grow" in why_not(TINY.with_changes(starting_size_fraction=0.5), world_size=1)
    assert "only the head" in why_not(TINY.with_changes(head_only_epochs=1), world_size=1)


def test_a_run_goes_on_as_it_began_compiled_or_not(
    fabric: Fabric,
    make_network: Callable[[], Network],
    sixteen: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights that were half compiled and half plain are those of no run that could be made again."""

    def go_on(folder: Path, backend: object, stop_at: int | None = None) -> FitResult:
        def stop(progress: RunProgress) -> None:
            if progress.step == stop_at:
                raise KilledError

        monkeypatch.setattr(training.compilation, "compile_options", lambda device: {"backend": backend})
        return Fit(
            fabric, make_network(), TINY, sixteen, None, RunFolder(folder), "x", stop, is_compiled=True
        ).run()  # fmt: skip

    def fail(graph: object, inputs: object) -> None:
        raise RuntimeError("no compiler here")

    whole = run(fabric, make_network, sixteen, tmp_path / "plain", TINY)
    monkeypatch.setattr(training.loop, "STATE_SECONDS", 0.0)
    with pytest.raises(KilledError):
        go_on(tmp_path / "compiled", "eager", stop_at=5)
    with pytest.raises(TrainingError, match="began compiled and cannot go on so here: the compiler failed"):
        go_on(tmp_path / "compiled", fail)
    resumed = go_on(tmp_path / "compiled", "eager")
    assert resumed.is_compiled
    assert bits(resumed.network) == bits(whole.network)
    with pytest.raises(KilledError):
        go_on(tmp_path / "begun-plain", fail, stop_at=5)
    resumed = go_on(tmp_path / "begun-plain", "eager")
    assert not resumed.is_compiled
    assert bits(resumed.network) == bits(whole.network)


def test_another_seed_gives_other_weights(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    first = run(fabric, make_network, sixteen, tmp_path / "a", TINY.with_changes(length=1))
    again = run(fabric, make_network, sixteen, tmp_path / "b", TINY.with_changes(length=1))
    other = run(fabric, make_network, sixteen, tmp_path / "c", TINY.with_changes(length=1, seed=5))
    assert bits(first.network) == bits(again.network) != bits(other.network)


def test_metrics_and_curves_are_written(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    run(fabric, make_network, sixteen, tmp_path, validation=sixteen)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0].split(",")[:4] == ["epoch", "learning_rate", "image_size", "training_loss"]
    assert len(lines) == 4
    assert (tmp_path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_best_epoch_is_kept_and_chosen_when_the_recipe_says_so(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    """A rate that wrecks the network in the last epochs: the best epoch is an early one."""
    recipe = TINY.with_changes(
        selection="best_validation", ema_decay=None, schedule="constant", warmup_epochs=2.0, learning_rate=3.0, length=4
    )
    result = run(fabric, make_network, sixteen, tmp_path, recipe, validation=sixteen)
    best = max(result.history, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert result.selected_epoch == result.best_epoch == best["epoch"]
    logits = predict_logits(result.network, sixteen.images, torch.device("cpu")).logits
    assert float((logits.argmax(1) == sixteen.classes).mean()) == best["validation_accuracy"]


def test_sgd_phase_and_head_only_phase_train(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    recipe = PAPER.with_changes(image_size=32, length=3, sgd_from_epoch=2, head_only_epochs=1, learning_rate=1e-3)
    trunks = []

    def watch(progress: RunProgress) -> None:
        trunks.append(bits(network.trunk))

    network = make_network()
    start = bits(network.trunk)
    Fit(fabric, network, recipe, sixteen, None, RunFolder(tmp_path), "x", watch).run()
    per_epoch = len(trunks) // 3
    assert set(trunks[:per_epoch]) == {start}, "the trunk stands still while only the head learns"
    assert len(set(trunks[per_epoch:])) == 2 * per_epoch, "then every step moves it, under Adam and under SGD"


def test_permuted_classes_end_at_chance_and_true_classes_do_not(
    fabric: Fabric, make_network: Callable[[], Network], dataset: Dataset, tmp_path: Path
) -> None:
    recipe = MODERN.with_changes(
        image_size=32, length=30, batch_size=16, learning_rate=1e-2, augmentation=Augmentation(flip_probability=0.5)
    )
    train = dataset.image_set(dataset.rows_of_cohorts(["training"]))
    test = dataset.image_set(dataset.rows_of_cohorts(["internal", "external"]))
    permuted = ImageSet(train.images, np.random.default_rng(0).permutation(train.classes))
    accuracy = {}
    for name, data in (("true", train), ("permuted", permuted)):
        network = run(fabric, make_network, data, tmp_path / name, recipe).network
        logits = predict_logits(network, test.images, torch.device("cpu")).logits
        accuracy[name] = float((logits.argmax(1) == test.classes).mean())
    # Of 36 cases at chance (one in four), 17 or more right have a probability of 0.003.
    assert accuracy["permuted"] < 17 / 36
    assert accuracy["true"] > 17 / 36


def test_nan_loss_stops_before_the_weights_and_says_what_to_do(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    def poison(progress: RunProgress) -> None:
        if progress.step == 4:
            with torch.no_grad():
                network.last_linear.bias.fill_(float("nan"))

    network = make_network()
    with pytest.raises(TrainingError, match=r"The loss is nan in epoch 2, step 2 .* --set learning_rate=0\.0002"):
        Fit(fabric, network, TINY, sixteen, None, RunFolder(tmp_path), "x", poison).run()
    kept = RunFolder(tmp_path).load_state(tmp_path / "last.ckpt")
    assert kept["epoch"] == 1
    assert all(bool(torch.isfinite(tensor).all()) for tensor in kept["network"].values())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_out_of_memory_names_a_smaller_batch(
    error: Exception,
    fabric: Fabric,
    make_network: Callable[[], Network],
    sixteen: ImageSet,
    tmp_path: Path,
) -> None:
    def fail(module: torch.nn.Module, inputs: object) -> None:
        raise error

    def make() -> Network:
        network = make_network()
        network.trunk.register_forward_pre_hook(fail)
        return network

    with pytest.raises(TrainingError, match=r"Out of memory .* --set batch_size=3"):
        run(fabric, make, sixteen, tmp_path)


def test_other_runtime_errors_are_not_called_out_of_memory(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    wrong = ImageSet(sixteen.images, sixteen.classes + 4)
    with pytest.raises((IndexError, RuntimeError)) as caught:
        run(fabric, make_network, wrong, tmp_path)
    assert not isinstance(caught.value, TrainingError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_keeps_the_old_state_and_says_how_to_go_on(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    run(fabric, make_network, sixteen, tmp_path, TINY.with_changes(length=1))
    before = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match=r"The disk is full: .*last\.ckpt needs .* python -m training resume"):
        RunFolder(tmp_path).save_state(tmp_path / "last.ckpt", {"epoch": 9})
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_state_of_another_run_is_refused(
    fabric: Fabric, make_network: Callable[[], Network], sixteen: ImageSet, tmp_path: Path
) -> None:
    run(fabric, make_network, sixteen, tmp_path, TINY.with_changes(length=1))
    with pytest.raises(TrainingError, match="another recipe or other data"):
        run(fabric, make_network, sixteen, tmp_path, fingerprint="other")


class _Canary:
    """A pickle that would leave a file behind if it were ever built."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.write_text, (self.path, "executed"))


def test_state_that_carries_code_is_refused_and_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with (tmp_path / "last.ckpt").open("wb") as file:
        pickle.dump({"format": 1, "network": _Canary(canary)}, file)
    with pytest.raises(TrainingError, match="cannot be read as a training state"):
        RunFolder(tmp_path).load_state(tmp_path / "last.ckpt")
    torch.save({"format": 1, "network": _Canary(canary)}, tmp_path / "last.ckpt")
    with pytest.raises(TrainingError, match="cannot be read as a training state"):
        RunFolder(tmp_path).load_state(tmp_path / "last.ckpt")
    assert not canary.exists()


def test_two_processes_give_the_weights_of_one(
    make_network: Callable[[], Network], fabric: Fabric, sixteen: ImageSet, tmp_path: Path
) -> None:
    """Real DDP over gloo: both processes end with the same bits, and with those of one process up to rounding.

    Batches of five are shared as three and two, so a wrong weighting would show.
    """
    assert sixteen.lesions is not None
    fifteen = ImageSet(sixteen.images[:15], sixteen.classes[:15], sixteen.lesions[:15])
    done = run_two_processes(fifteen, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["world_size"] == 2
    for name, tensor in first["network"].items():
        assert torch.equal(tensor, second["network"][name]), name
    recipe = Recipe.from_dict({**PAPER.to_dict(), **two_process_settings()})
    single = run(fabric, lambda: _without_dropout(make_network()), fifteen, tmp_path / "single", recipe)
    for name, tensor in single.network.state_dict().items():
        torch.testing.assert_close(first["network"][name], tensor, rtol=1e-4, atol=1e-6)
    for quantity in ("training_loss", "training_map_loss"):
        assert first[quantity] == pytest.approx([row[quantity] for row in single.history], rel=1e-5)


def test_nan_in_one_of_two_processes_stops_both_with_advice(sixteen: ImageSet, tmp_path: Path) -> None:
    """The healthy process must not wait for ever for a gradient that never comes."""
    done = run_two_processes(sixteen, tmp_path, "poison")
    for rank in (0, 1):
        assert "The loss is nan in epoch 1, step 2" in (tmp_path / f"rank-{rank}.txt").read_text(), done.stderr[-2000:]


def run_two_processes(data: ImageSet, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The worker beside this file on some images; it starts its twin by itself."""
    np.savez(folder / "data.npz", images=data.images, classes=data.classes, lesions=data.lesions)
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_processes.py")), str(folder), *arguments],
        env=dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        timeout=240,
    )


def two_process_settings() -> dict[str, object]:
    """Recipe of the two-process test: nothing random but the order."""
    return {
        "map_weight": 0.5,
        "image_size": 32,
        "batch_size": 5,
        "length": 3,
        "optimizer": "sgd",
        "learning_rate": 0.05,
        "augmentation": {},
    }


def _without_dropout(network: Network) -> Network:
    """Dropout differs between one process and two; this test is about the sharing of batches."""
    network.head[0] = torch.nn.Dropout(0.0)
    return network


def test_augmentation_of_the_modern_recipe_is_the_safe_one() -> None:
    assert MODERN.augmentation == SCINTIGRAPHY_SAFE
