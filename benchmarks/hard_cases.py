"""Which phantoms does the shipped model get wrong? Accuracy by what makes a case hard, on patients it never saw.

    python -m benchmarks.hard_cases [--cases 200] [--write docs/hard-cases.md]

A cold nodule near the camera's resolution leaves hardly a dent, and uptake in the range of normal glands looks normal:
the table shows how much of the lost accuracy lies there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.phantom_difficulty import make_cases
from core.model.classifier import Classifier
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.phantom import PhantomCase
from core.statistics.proportions import proportion

PAGE = """# Which cases the shipped model gets wrong

Written by `{command}`: the checkpoint `{checkpoint}` on {n} phantoms
that it was not trained on, {per_class} of each class and cohort. Right answers with Wilson's 95 % limits.

{table}

Phantoms only, whose subtypes and sizes are drawn as `core/phantom/uptake.py` says: this explains where accuracy on
phantoms is lost, and says nothing about patients.
"""

#: Rows of the table: what makes a case hard, from easy to hard within a class.
KINDS: tuple[tuple[str, Callable[[PhantomCase], bool]], ...] = (
    ("all cases", lambda case: True),
    ("Graves' disease, uptake 4 % and more", lambda case: case.disease == "graves" and case.uptake_percent >= 4),
    ("Graves' disease, uptake 2.5 to 4 %", lambda case: case.disease == "graves" and 2.5 <= case.uptake_percent < 4),
    ("Graves' disease, uptake below 2.5 %", lambda case: case.disease == "graves" and case.uptake_percent < 2.5),
    ("thyroiditis, but for the next row", lambda case: case.disease == "sat" and case.subtype != "high"),
    ("thyroiditis with near-normal uptake", lambda case: case.disease == "sat" and case.subtype == "high"),
    ("tumor, hot nodule", lambda case: case.subtype == "hot"),
    ("tumor, warm nodule", lambda case: case.subtype == "warm"),
    ("tumor, cold nodule of 16 mm and more", lambda case: case.subtype == "cold" and _largest(case) >= 16),
    ("tumor, cold nodule of 12 to 16 mm", lambda case: case.subtype == "cold" and 12 <= _largest(case) < 16),
    ("tumor, cold nodule below 12 mm", lambda case: case.subtype == "cold" and _largest(case) < 12),
    ("normal, typical", lambda case: case.disease == "normal" and case.subtype == "typical"),
    ("normal, asymmetric, uneven or indented", lambda case: case.disease == "normal" and case.subtype != "typical"),
)


def _largest(case: PhantomCase) -> float:
    """Diameter in mm of the largest nodule."""
    return max(case.nodule_diameters_mm)


def measure(per_class: int) -> tuple[list[str], int]:
    """Markdown rows, and how many cases they rest on."""
    classifier = Classifier.load(SHIPPED_CHECKPOINT, device="cpu")
    cases = make_cases({"internal": per_class, "external": per_class}, "hard-cases")
    right: dict[str, np.ndarray] = {}
    for cohort, made in cases.items():
        answers = classifier.predict([case.picture for case in made]).labels
        right[cohort] = np.array([case.disease == answer for case, answer in zip(made, answers, strict=True)])
    rows = []
    for name, belongs in KINDS:
        cells = [name]
        for cohort, made in cases.items():
            chosen = right[cohort][[belongs(case) for case in made]]
            if len(chosen) == 0:
                cells.append("no case")
                continue
            share = proportion(int(chosen.sum()), len(chosen))
            cells.append(f"{share.value:.3f} ({share.lower:.3f} to {share.upper:.3f}), {chosen.sum()} of {len(chosen)}")
        rows.append("| " + " | ".join(cells) + " |")
    return rows, sum(map(len, cases.values()))


def main() -> None:
    """Draw, predict, print, and write the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="phantoms of each class and cohort")
    parser.add_argument("--write", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    rows, n = measure(options.cases)
    table = "\n".join(["| cases | internal | external |", "|---|---|---|", *rows])
    print(table)
    if options.write:
        command = f"python -m benchmarks.hard_cases --cases {options.cases} --write {options.write}"
        page = PAGE.format(
            command=command, checkpoint=SHIPPED_CHECKPOINT.name, n=n, per_class=options.cases, table=table
        )
        options.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
