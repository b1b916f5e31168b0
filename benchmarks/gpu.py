"""How close predicting and training come to what a GPU can do, as a Markdown page of ratios. Needs a GPU.

    python -m benchmarks.gpu --write docs/gpu-benchmarks.md
    python -m benchmarks.gpu --device cpu --size 64 --batch 4 --files 8     # tries the script where there is none

Predicting is held against the bare forward pass of the same network on normalised tensors that lie in the GPU's memory
(same precision, same batch): what is between the two is the transfer, the normalisation and the maps of all classes.
Training is held against the same step on tensors that lie ready. Goals: predicting at 0.7 of the bare forward or more,
a training step at 0.95 or more, the paper's 514 images from files with all maps in under 1 second.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from benchmarks.model import from_files, page_parser, ratio, table, take_turns, training_step

PRECISIONS: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")


def predict(names: list[str], size: int, batch: int, device: str, turns: int) -> str:
    """Images per second with all maps from arrays in the host's memory, and the share of the bare forward pass."""
    import numpy as np
    import torch

    from core.model.architectures import ARCHITECTURES, build
    from core.model.card import verify_file
    from core.model.checkpoint import ModelCard, save_checkpoint
    from core.model.preprocessing import normalise
    from core.model.serving import TorchBackend

    is_gpu = device.startswith("cuda")
    prepared = np.random.default_rng(0).integers(0, 256, (batch, size, size), dtype=np.uint8)
    rows = []
    for name in names:
        torch.manual_seed(0)
        built = build(name, 4)
        card = ModelCard(name, ("graves", "normal", "sat", "tumor"), size, built.initialisation)
        with tempfile.TemporaryDirectory() as folder:
            verified = verify_file(save_checkpoint(Path(folder), built.module.eval(), card))
        network = built.module.to(device).to(memory_format=torch.channels_last)
        resident = normalise(torch.from_numpy(prepared).to(device)).contiguous(memory_format=torch.channels_last)
        for precision in PRECISIONS if is_gpu else PRECISIONS[:1]:
            backend = TorchBackend(verified, device, precision)

            def bare(
                precision: str = precision, network: torch.nn.Module = network, resident: torch.Tensor = resident
            ) -> None:
                flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                with (
                    torch.inference_mode(),
                    flags,
                    torch.autocast("cuda" if is_gpu else "cpu", torch.bfloat16, enabled=precision == "bf16"),
                ):
                    network(resident)
                if is_gpu:
                    torch.cuda.synchronize()

            def served(backend: TorchBackend = backend) -> None:
                backend.run(prepared)  # ends with the results in the host's memory

            costs = take_turns({"bare": bare, "served": served}, turns)
            rows.append(
                [
                    ARCHITECTURES[name].title,
                    precision,
                    f"{batch / costs['bare'].wall_seconds:.0f}",
                    f"{batch / costs['served'].wall_seconds:.0f}",
                    ratio(costs["bare"], costs["served"]),
                ]
            )
        print(f"  {name} done", file=sys.stderr)
    return f"### Predicting with all maps, {size} pixels, batch {batch}\n\n" + table(
        ["model", "precision", "bare forward, images/s", "served, images/s", "share of the bare forward"], rows
    )


def main() -> None:
    """Run the benchmark and print or write the page; without a GPU say so and measure nothing."""
    parser = page_parser(__doc__, turns=10, files=514)
    parser.add_argument("--device", default="cuda", help="cuda; cpu only to try the script")
    parser.add_argument("--batch", type=int, default=64, help="images a batch in predicting")
    options = parser.parse_args()

    import torch

    from core.model.architectures import PAPER_ARCHITECTURES

    is_gpu = options.device.startswith("cuda")
    if is_gpu and not torch.cuda.is_available():
        print("There is no GPU that PyTorch can use; nothing was measured.")
        return
    what = torch.cuda.get_device_name(options.device) if is_gpu else "no GPU: a trial of the script, not a result"
    names = options.models or [*PAPER_ARCHITECTURES, "resnet16_fine"]
    precision = ("bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed") if is_gpu else "32-true"
    page = "\n".join(
        [
            f"# How fast the model is on a GPU\n\n`python -m benchmarks.gpu {' '.join(sys.argv[1:])}`, "
            f"{time.strftime('%Y-%m-%d')}. {what}; torch {torch.__version__}. Ratios of wall time, in brackets of the "
            "host's CPU time; random weights.\n",
            predict(names, options.size, options.batch, options.device, options.turns),
            *(
                [from_files("resnet34_improved", options.files, options.size, None, options.device)]
                if options.files
                else []
            ),
            *(
                training_step(name, options.size, "cuda" if is_gpu else "cpu", precision)
                for name in ("resnet34_improved", "resnet16_fine")
            ),
        ]
    )
    print(page)
    if options.write is not None:
        options.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
