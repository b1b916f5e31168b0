"""What an import costs beside decoding its files once: ``python -m benchmarks.import_cost [--cases 400]``.

Phantoms are written as PNG, JPEG and DICOM. For each format, the images and masks are decoded alone, and the same
manifest is imported into a new SQLite store: decoding, every check, the packed copies, the transaction. Both run on all
cores; the best of the repetitions counts, the ratio is of processor seconds and of wall seconds. Memory is the peak
of this process, which must not grow with the number of cases.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actions.import_cases import import_cases
from core.imaging import load_image, load_mask, read_manifest
from core.phantom import small_cohorts, write_cohorts
from core.protocol import Protocol
from core.runtime import in_order
from db import OPERATOR, Repository, create_store

CLASSES, COHORTS = 4, 3


def main() -> None:
    """Print one row a format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=360, help="about so many phantoms a format")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    per_class = max(1, options.cases // (CLASSES * COHORTS))
    print("format   cases  decode ms  import ms  cpu ratio wall ratio    MB")
    with tempfile.TemporaryDirectory() as name:
        for image_format in ("png", "jpeg", "dicom"):
            folder = Path(name) / image_format
            sizes = dict.fromkeys(("training", "internal", "external"), per_class)
            manifest = write_cohorts(small_cohorts(sizes, study="import-cost"), folder, image_format=image_format)
            rows = [(row.image_path, row.lesion_mask_path) for row in read_manifest(manifest)]
            decode = best(lambda: None, lambda _, rows=rows: list(in_order(_decode_only, rows)), options.repetitions)
            imported = best(
                lambda f=folder: _empty_store(f), lambda s, m=manifest: import_cases(s, "cost", m), options.repetitions
            )
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            n = len(rows)
            print(
                f"{image_format:<8} {n:>5} {1e3 * decode[0] / n:>10.2f} {1e3 * imported[0] / n:>10.2f} "
                f"{imported[0] / decode[0]:>10.2f} {imported[1] / decode[1]:>10.2f} {peak:>5.0f}"
            )


def best(prepare: Callable[[], Any], deed: Callable[[Any], object], repetitions: int) -> tuple[float, float]:
    """The least processor seconds and wall seconds of a deed, without what it needs beforehand."""
    found = []
    for _ in range(repetitions):
        prepared = prepare()
        cpu, wall = time.process_time(), time.perf_counter()
        deed(prepared)
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cpu for cpu, _ in found), min(wall for _, wall in found)


def _decode_only(paths: tuple[Path, Path | None]) -> None:
    """One image with its mask."""
    image = load_image(paths[0])
    if paths[1] is not None:
        load_mask(paths[1], image)


def _empty_store(folder: Path) -> Repository:
    """A new store with an empty study."""
    place = Path(tempfile.mkdtemp(dir=folder)) / "store.sqlite3"
    repository = Repository(create_store(f"sqlite:///{place}"), OPERATOR)
    repository.create_study("cost", Protocol(title="Cost"), is_synthetic=True)
    return repository


if __name__ == "__main__":
    main()
