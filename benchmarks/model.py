"""How close predicting, explaining and training come to what this machine can do, as a Markdown page of ratios.

Run from the repository's root, on an idle machine for figures to quote::

    python -m benchmarks.model --threads 1 --write docs/model-benchmarks.md
    python -m benchmarks.model --threads 2 --files 514 --write docs/model-benchmarks.md --append

``--files 514`` adds the paper's 514 images from JPEG files, with all maps.

Every ratio compares two things that were run in turns in this process, so that a busy machine slows both. Wall time is
the best of the turns; the ratio of CPU time beside it hardly depends on neighbours. The floor of a network is the time
of its multiplications and additions at the speed of the fastest matrix product of the same run.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.runtime import configure_threads

if TYPE_CHECKING:
    import numpy as np

BATCH = 8
PACKAGE_BATCH = 2

#: What a page begins with; every run is a section below it.
INTRODUCTION = """# How fast the model is

Written by `python -m benchmarks.model`, which compares things run in turns in one process: ratios are the findings,
absolute speeds belong to the machine and its neighbours. Ratios are of wall time, in brackets of CPU time; random
weights. Where the mean number of running programs is not near 0, neighbours took part and wall ratios are rough: hold
to the ones in brackets.

Goals: a plain prediction of ResNet-34 at 0.85 of the floor or more; all four maps with the prediction at no more than
1.25 times a plain prediction (AlexNet 1.5), and 10 times as fast as four calls of the grad-cam package (AlexNet 8); a
training step at 0.95 or more of the same step on tensors that lie ready.

A share of the floor above 1 says that the runtime's convolutions are faster than PyTorch's matrix product here.
"""


@dataclass(frozen=True)
class Cost:
    """Time of one call."""

    wall_seconds: float  # best of the turns
    cpu_seconds: float  # of the same turn's threads; best of the turns


def take_turns(calls: dict[str, Callable[[], object]], turns: int) -> dict[str, Cost]:
    """Run each call once to warm it, then all of them in turns, and keep the best of each."""
    for call in calls.values():
        call()
    wall = dict.fromkeys(calls, float("inf"))
    cpu = dict.fromkeys(calls, float("inf"))
    for _ in range(turns):
        for name, call in calls.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            call()
            wall[name] = min(wall[name], time.perf_counter() - wall_start)
            cpu[name] = min(cpu[name], time.process_time() - cpu_start)
    return {name: Cost(wall[name], cpu[name]) for name in calls}


def ratio(first: Cost, second: Cost) -> str:
    """``first / second`` by wall time, and by CPU time in brackets."""
    return f"{first.wall_seconds / second.wall_seconds:.2f} ({first.cpu_seconds / second.cpu_seconds:.2f})"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def network_operations(network: object, size: int) -> int:
    """Multiplications and additions (two for a product that is added) of one image."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size))  # type: ignore[operator]  # a module
    return int(counter.get_total_flops())


def product_call(n: int) -> Callable[[], object]:
    """A float32 product of two n x n matrices."""
    import torch

    left, right = torch.randn(n, n), torch.randn(n, n)
    return lambda: torch.mm(left, right)


def predict_and_explain(names: list[str], size: int, turns: int, threads: int) -> str:
    """Predicting against the floor and against eager PyTorch; maps against the plain forward pass."""
    import numpy as np
    import onnxruntime
    import torch

    from core.model.architectures import ARCHITECTURES, build
    from core.model.gradcam import explain
    from core.model.onnx_export import export_graph
    from core.model.preprocessing import normalise
    from core.model.served_graph import INPUT_NAME, OUTPUT_NAMES, open_session

    prepared = np.random.default_rng(0).integers(0, 256, (BATCH, size, size), dtype=np.uint8)
    plain_run = onnxruntime.RunOptions()
    plain_run.only_execute_path_to_fetches = True
    speed_rows, map_rows = [], []
    n = 2048
    for name in names:
        torch.manual_seed(0)
        network = build(name, 4).module.eval()
        operations = network_operations(network, size)
        session = open_session(export_graph(network, size), threads)
        one = prepared[:1]

        def eager(network: torch.nn.Module = network) -> object:
            with torch.inference_mode():
                return network(normalise(torch.from_numpy(prepared)))

        def eager_maps(network: torch.nn.Module = network) -> object:
            with torch.inference_mode():
                return explain(network, normalise(torch.from_numpy(prepared)))  # type: ignore[arg-type]  # a Network

        def served(session: onnxruntime.InferenceSession = session) -> object:
            return session.run(list(OUTPUT_NAMES), {INPUT_NAME: prepared})

        def served_plain(session: onnxruntime.InferenceSession = session) -> object:
            return session.run(["logits"], {INPUT_NAME: prepared}, plain_run)

        def served_one(session: onnxruntime.InferenceSession = session, one: np.ndarray = one) -> object:
            return session.run(list(OUTPUT_NAMES), {INPUT_NAME: one})

        costs = take_turns(
            {
                "product": product_call(n),
                "served": served,
                "served_plain": served_plain,
                "eager": eager,
                "eager_maps": eager_maps,
                "served_one": served_one,
            },
            turns,
        )
        speed = 2 * n**3 / costs["product"].wall_seconds
        cpu_speed = 2 * n**3 / costs["product"].cpu_seconds
        floor = Cost(operations * BATCH / speed, operations * BATCH / cpu_speed)
        one_floor = Cost(floor.wall_seconds / BATCH, floor.cpu_seconds / BATCH)
        speed_rows.append(
            [
                ARCHITECTURES[name].title,
                f"{operations / 1e9:.2f}",
                f"{BATCH / floor.wall_seconds:.0f}",
                f"{BATCH / costs['served'].wall_seconds:.1f}",
                ratio(floor, costs["served_plain"]),
                ratio(floor, costs["served"]),
                ratio(one_floor, costs["served_one"]),
                ratio(costs["eager"], costs["served_plain"]),
            ]
        )
        map_rows.append(
            [
                ARCHITECTURES[name].title,
                ratio(costs["served"], costs["served_plain"]),
                ratio(costs["eager_maps"], costs["eager"]),
                package_ratio(network, size, turns),
            ]
        )
        print(f"  {name} done", file=sys.stderr)
    return (
        f"### Predicting, {size} pixels, batch {BATCH}, {threads} thread(s)\n\n"
        + table(
            [
                "model",
                "GFLOP an image",
                "floor, images/s",
                "served with all maps, images/s",
                "plain prediction: share of floor",
                "with all maps: share of floor",
                "the same, batch 1",
                "eager PyTorch / served, plain",
            ],
            speed_rows,
        )
        + "\n### Grad-CAM of all four classes with the prediction\n\n"
        + table(
            [
                "model",
                "served / plain served",
                "PyTorch / plain PyTorch",
                f"package, four calls / ours (PyTorch, batch {PACKAGE_BATCH})",
            ],
            map_rows,
        )
    )


def package_ratio(network: object, size: int, turns: int) -> str:
    """Four calls of the grad-cam package against one of ours, both in PyTorch."""
    import numpy as np
    import torch

    from core.model.gradcam import explain
    from core.model.package_maps import PackageExplainer
    from core.model.preprocessing import normalise

    prepared = np.random.default_rng(1).integers(0, 256, (PACKAGE_BATCH, size, size), dtype=np.uint8)
    package = PackageExplainer(network)  # type: ignore[arg-type]  # a Network

    def ours() -> object:
        with torch.inference_mode():
            return explain(network, normalise(torch.from_numpy(prepared)))  # type: ignore[arg-type]  # a Network

    costs = take_turns({"package": lambda: package.class_maps(prepared, "gradcam"), "ours": ours}, max(2, turns // 2))
    return ratio(costs["package"], costs["ours"])


def jpeg_file(folder: Path, index: int, side: int = 512) -> Path:
    """A JPEG of two lobes under noise."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[0:side, 0:side] / side
    lobes = sum(np.exp(-(((rows - 0.5) / 0.14) ** 2) - ((columns - centre) / 0.06) ** 2) for centre in (0.4, 0.6))
    pixels = np.clip(rng.poisson(180 * lobes + 12), 0, 255).astype(np.uint8)
    path = folder / f"{index:04d}.jpg"
    Image.fromarray(pixels).save(path, quality=92)
    return path


def decoding(size: int, turns: int) -> str:
    """Our loading and preparing against PIL's decoding alone and against the usual torchvision pipeline."""
    from PIL import Image
    from torchvision.transforms import v2

    from core.imaging import load_image
    from core.model.input_checks import input_problems
    from core.model.preprocessing import prepare

    usual = v2.Compose(
        [
            v2.PILToTensor(),
            v2.ToDtype(__import__("torch").float32, scale=True),
            v2.Resize((size, size), antialias=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = jpeg_file(Path(folder), 0)
        content = path.read_bytes()
        pixels = load_image(path).pixels
        costs = take_turns(
            {
                "decode": lambda: Image.open(io.BytesIO(content)).convert("L").load(),
                "load_image": lambda: load_image(path),
                "prepare": lambda: prepare(pixels, size),
                "both": lambda: prepare(load_image(path).pixels, size),
                "checks": lambda: input_problems(pixels),
                "usual": lambda: usual(Image.open(path).convert("RGB")),
            },
            10 * turns,
        )
    rows = [
        ["PIL decodes", f"{1 / costs['decode'].wall_seconds:.0f}", "1"],
        ["load_image (with content hash)", f"{1 / costs['load_image'].wall_seconds:.0f}", ""],
        ["prepare (pad, resize)", f"{1 / costs['prepare'].wall_seconds:.0f}", ""],
        ["load_image and prepare", f"{1 / costs['both'].wall_seconds:.0f}", ratio(costs["both"], costs["decode"])],
        ["image checks", f"{1 / costs['checks'].wall_seconds:.0f}", ratio(costs["checks"], costs["decode"])],
        [
            "PIL, RGB and torchvision v2 in float32",
            f"{1 / costs['usual'].wall_seconds:.0f}",
            ratio(costs["usual"], costs["decode"]),
        ],
    ]
    return "### From a JPEG of 512 x 512 pixels to a prepared image, one core\n\n" + table(
        ["step", "images/s", "time / PIL's decoding"], rows
    )


def from_files(name: str, count: int, size: int, threads: int | None, device: str = "cpu") -> str:
    """Seconds from JPEG files to probabilities, doubts and the maps of all classes."""
    import torch

    from core.imaging import load_images
    from core.model.architectures import ARCHITECTURES, build
    from core.model.checkpoint import ModelCard, save_checkpoint
    from core.model.classifier import Classifier

    torch.manual_seed(0)
    built = build(name, 4)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        card = ModelCard(name, ("graves", "normal", "sat", "tumor"), size, built.initialisation)
        save_checkpoint(root / "model", built.module.eval(), card)
        paths = [jpeg_file(root, index) for index in range(count)]
        classifier = Classifier.load(root / "model", device, threads=threads)
        batch_size = 16 if threads else 64
        arrays = [image.pixels for image in load_images(paths)]
        classifier.predict(arrays[:BATCH])
        wall_start = time.perf_counter()
        load_images(paths)
        reading = time.perf_counter() - wall_start
        wall_start = time.perf_counter()
        classifier.predict(arrays, batch_size=batch_size)
        predicting = time.perf_counter() - wall_start
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        found = classifier.predict([partial(_pixels, path) for path in paths], batch_size=batch_size)
        wall, cpu = time.perf_counter() - wall_start, time.process_time() - cpu_start
    return (
        f"### {count} JPEG files of 512 x 512 pixels to predictions with all maps\n\n"
        f"{ARCHITECTURES[name].title}, {found.device}{f', {threads} thread(s)' if threads else ''}: "
        f"**{wall:.2f} s** wall, {cpu:.1f} s CPU, "
        f"{count / wall:.1f} images/s; {found.class_maps.shape[1]} maps an image. Reading alone {reading:.2f} s, "
        f"predicting alone {predicting:.2f} s: together {wall / (reading + predicting):.2f} of their sum (1: one after "
        f"the other; {max(reading, predicting) / (reading + predicting):.2f}: the shorter hidden in the longer).\n"
    )


def _pixels(path: Path) -> np.ndarray:
    """Pixels of a file, read when the classifier asks for them."""
    from core.imaging import load_image

    return load_image(path).pixels


def training_step(name: str, size: int, accelerator: str = "cpu", precision: str = "32-true") -> str:
    """A step of our loop against the same step on tensors that lie ready; the two take turns by epochs.

    Between the first and the last step of an epoch nothing waits for the device: so a GPU is seen as it works.
    """
    import numpy as np
    import torch
    from lightning_fabric import Fabric
    from torch.nn import functional

    from core.model.architectures import ARCHITECTURES, build
    from core.model.preprocessing import normalise
    from training.dataset import ImageSet
    from training.loop import Fit, RunProgress
    from training.recipe import recipe_named
    from training.run_folder import RunFolder

    recipe = recipe_named("paper").with_changes(architecture=name, image_size=size, length=4)
    rng = np.random.default_rng(0)
    n_steps = 8 if accelerator == "cpu" else 20
    n_images = recipe.batch_size * n_steps
    images = rng.integers(0, 256, (n_images, size, size), dtype=np.uint8)
    data = ImageSet(images, np.arange(n_images) % 4)
    torch.manual_seed(0)
    network, bare = (build(name, 4).module for _ in range(2))
    fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type]  # a choice
    fabric.launch()
    is_gpu = fabric.device.type == "cuda"
    layout = torch.channels_last if is_gpu else torch.contiguous_format
    bare = bare.to(fabric.device, memory_format=layout).train()  # type: ignore[call-overload]  # a layout
    optimizer = torch.optim.Adam(bare.parameters(), lr=1e-4, weight_decay=1e-4, fused=True)
    resident = normalise(torch.from_numpy(images[: recipe.batch_size])).to(fabric.device, memory_format=layout)
    targets = torch.from_numpy(data.classes[: recipe.batch_size]).to(fabric.device)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    began = (0.0, 0.0)

    def now() -> tuple[float, float]:
        if is_gpu:
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def take_step() -> None:
        with fabric.autocast():
            logits = bare(resident)
        loss = functional.cross_entropy(logits.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def since(start: tuple[float, float]) -> tuple[float, float]:
        end = now()
        return (end[0] - start[0]) / (n_steps - 1), (end[1] - start[1]) / (n_steps - 1)

    def after_step(progress: RunProgress) -> None:
        nonlocal began
        if progress.step % n_steps == 1:  # read, as the last: the device has nothing more to do
            began = now()
        elif progress.step % n_steps == 0:
            ours.append(since(began))
            start = now()
            for _ in range(n_steps - 1):
                take_step()
            theirs.append(since(start))

    with tempfile.TemporaryDirectory() as folder:
        Fit(fabric, network, recipe, data, None, RunFolder(Path(folder)), "benchmark", after_step).run()
    our_wall, our_cpu = np.median(np.array(ours[1:]), axis=0)  # the first epoch warms up
    wall, cpu = np.median(np.array(theirs[1:]), axis=0)
    row = [
        ARCHITECTURES[name].title,
        f"{size}",
        f"{recipe.batch_size / our_wall:.1f}",
        f"{wall / our_wall:.2f} ({cpu / our_cpu:.2f})",
    ]
    return f"### Training, batch {recipe.batch_size}, recipe `paper` with its augmentation\n\n" + table(
        ["model", "pixels", "images/s", "share of the speed on resident tensors"], [row]
    )


def conditions(threads: int) -> str:
    """The command of this run and what it ran on."""
    import onnxruntime
    import torch

    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.machine()
    environment = "".join(
        f"{name}={os.environ[name]} " for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ
    )
    command = f"{environment}python -m benchmarks.model {' '.join(sys.argv[1:])}"
    return (
        f"`{command.strip()}`, {time.strftime('%Y-%m-%d')}. {cpu}, {os.cpu_count()} cores, {threads} thread(s) used, "
        f"no GPU used; mean number of running programs in the minute before: {os.getloadavg()[0]:.1f}. "
        f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}.\n"
    )


def page_parser(description: str | None, *, turns: int, files: int) -> argparse.ArgumentParser:
    """The options that a page of the models has, whatever it runs on."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=turns, help="times that each call is measured")
    parser.add_argument("--size", type=int, default=224, help="side of the prepared image in pixels")
    parser.add_argument("--files", type=int, default=files, help="JPEG files of the run from files; 0 leaves it out")
    parser.add_argument("--models", nargs="*", default=None, help="architectures; default: the paper's four and ours")
    parser.add_argument("--write", type=Path, default=None, help="write the page here as well")
    return parser


def main() -> None:
    """Run the benchmark and print or write the page."""
    parser = page_parser(__doc__, turns=4, files=0)
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; default: OMP_NUM_THREADS, else all")
    parser.add_argument("--training-size", type=int, default=64, help="side in the training row, in pixels")
    parser.add_argument("--append", action="store_true", help="with --write: keep the runs that the page has")
    arguments = parser.parse_args()
    threads = configure_threads(arguments.threads)

    import torch

    torch.set_num_threads(threads)
    from core.model.architectures import PAPER_ARCHITECTURES

    names = arguments.models or [*PAPER_ARCHITECTURES, "resnet16_fine"]
    parts = [
        f"## {threads} thread(s)\n\n{conditions(threads)}",
        predict_and_explain(names, arguments.size, arguments.turns, threads),
        decoding(arguments.size, arguments.turns),
        training_step("resnet34_improved", arguments.training_size),
    ]
    if arguments.files:
        parts.append(from_files("resnet34_improved", arguments.files, arguments.size, threads))
    run = "\n".join(parts)
    print(run)
    if arguments.write is not None:
        is_kept = arguments.append and arguments.write.exists()
        before = arguments.write.read_text(encoding="utf-8") if is_kept else INTRODUCTION
        arguments.write.write_text(f"{before}\n{run}", encoding="utf-8")


if __name__ == "__main__":
    main()
