"""The whole road at the paper's size: 3,194 phantoms made, imported, predicted, read, analysed and exported.

Every step is the command that a person would type, run in a process of its own. Prints the time and the peak memory of
each step, its share of the whole, and images per second; absolute times belong to the machine that printed them.

    python -m benchmarks.paper_road [--folder NEW_FOLDER]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core.model.shipped_weights import SHIPPED_CHECKPOINT

ROOT = Path(__file__).resolve().parent.parent
CASES = 3194


def run(arguments: list[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Wall seconds, peak MiB and standard output of one command; its failure ends the benchmark."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"'manage.py {' '.join(arguments)}' failed:\n{output}")
    return seconds, usage.ru_maxrss / 1024, output


def main() -> None:
    """Walk the road once and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keep everything in this new folder")
    parser.add_argument("--model", type=Path, default=SHIPPED_CHECKPOINT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reading-room-road-") as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "READING_ROOM_DATA_DIR": str(folder / "data"), "READING_ROOM_DATABASE_URL": ""}
        steps = [
            ["study", "create", "paper", "--synthetic", "--title", "Three centres at the paper's size, phantoms"],
            ["phantoms", str(folder / "phantoms"), "--paper", "--name", "paper-road"],
            ["import", str(folder / "phantoms" / "manifest.csv"), "--study", "paper"],
            ["model", "register", str(options.model)],
            ["predict", "--study", "paper"],
            ["study", "state", "open", "--study", "paper", "--confirm", "paper", "--acknowledge", "all=a benchmark"],
            ["simulate-readers", "--study", "paper"],
            ["study", "state", "closed", "--study", "paper"],
            ["study", "state", "locked", "--study", "paper"],
            ["study", "state", "unsealed", "--study", "paper"],
            ["results", "--study", "paper", "--table", "summary"],
            ["export", str(folder / "export"), "--study", "paper"],
            ["audit", "verify"],
        ]
        rows, summary = [], ""
        for arguments in steps:
            seconds, mebibytes, output = run(arguments, environment)
            rows.append(
                (" ".join(arguments[: 2 if arguments[0] in {"study", "model", "audit"} else 1]), seconds, mebibytes)
            )
            print(f"{rows[-1][0]:<20} {seconds:8.1f} s {mebibytes:8.0f} MiB", flush=True)
            summary = output if arguments[0] == "results" else summary
        total = sum(seconds for _, seconds, _ in rows)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"\n{'step':<20} {'seconds':>8} {'share':>6} {'peak MiB':>9} {'cases/s':>8}")
        for name, seconds, mebibytes in rows:
            print(f"{name:<20} {seconds:8.1f} {seconds / total:6.1%} {mebibytes:9.0f} {CASES / seconds:8.0f}")
        cpu = children.ru_utime + children.ru_stime
        print(f"{'all':<20} {total:8.1f} {'':>6} {max(row[2] for row in rows):9.0f}")
        print(f"CPU seconds: {cpu:.1f} on {os.cpu_count()} cores")
        print(summary)


if __name__ == "__main__":
    main()
