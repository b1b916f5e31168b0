"""How fast the statistics are, as ratios taken in one run: ``python benchmarks/statistics.py``.

Times are medians of processor seconds of this process, so that other work on the machine does not count; what is
compared runs in turns on the same data. The peer is the fast DeLong algorithm of Sun and Xu (2014), written afresh
here from the paper the way it is in circulation (midranks by a loop over groups of ties), and MLstatkit when it is
installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "statistics":
    # Another script of this folder, whose folder Python searches first, has asked for the standard library's
    # module of the same name: hand that one over.
    import importlib.util
    import sysconfig

    _spec = importlib.util.spec_from_file_location("statistics", Path(sysconfig.get_path("stdlib")) / "statistics.py")
    if _spec is None or _spec.loader is None:
        raise ImportError("the standard library has no module 'statistics'")
    sys.modules["statistics"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["statistics"])
elif __name__ == "__main__":
    # Look for packages in the project, not in this folder.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import os
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

Job = Callable[[], object]


def cpu_seconds(jobs: dict[str, Job], repeats: int) -> dict[str, float]:
    """Median processor seconds of each job; the jobs take turns."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values() if repeats > 1 else ():
        job()  # imports, caches and memory are paid once, before the clock; long single runs need no such care
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            times[name].append(time.process_time() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def circulated_midranks(values: np.ndarray) -> np.ndarray:
    """Midranks, group of ties by group of ties, as published."""
    order = np.argsort(values)
    ordered = values[order]
    n = len(values)
    ranks = np.zeros(n)
    start = 0
    while start < n:
        end = start
        while end < n and ordered[end] == ordered[start]:
            end += 1
        ranks[start:end] = 0.5 * (start + end - 1) + 1.0
        start = end
    result = np.empty(n)
    result[order] = ranks
    return result


def circulated_delong(truth: np.ndarray, ratings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs and covariance by Sun and Xu's algorithm in its usual form."""
    order = np.argsort(~truth, kind="stable")
    m = int(truth.sum())
    n = truth.size - m
    sorted_ratings = ratings[:, order]
    k = len(ratings)
    positive, negative = np.empty((k, m)), np.empty((k, n))
    both = np.empty((k, m + n))
    for row in range(k):
        positive[row] = circulated_midranks(sorted_ratings[row, :m])
        negative[row] = circulated_midranks(sorted_ratings[row, m:])
        both[row] = circulated_midranks(sorted_ratings[row])
    areas = both[:, :m].sum(axis=1) / m / n - (m + 1.0) / 2.0 / n
    v01 = (both[:, :m] - positive) / n
    v10 = 1.0 - (both[:, m:] - negative) / m
    return areas, np.cov(v01) / m + np.cov(v10) / n


def two_curves(n: int, is_tied: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Truth and two probabilities; tied ones have three decimals."""
    truth = rng.random(n) < 0.3
    probability = 1.0 / (1.0 + np.exp(-(rng.normal(size=(2, n)) + truth)))
    return truth, np.round(probability, 3) if is_tied else probability


def paired_delong(largest: int, repeats: int) -> None:
    """The paired test against the argsorts it cannot do without, and against its peers."""
    from core.statistics import compare_aucs_paired

    has_mlstatkit = find_spec("MLstatkit") is not None
    print("Paired DeLong test, two curves: processor seconds (times the two argsorts)")
    print(
        f"{'n':>9} {'ties':>5} {'argsorts':>9} {'ours':>18} {'Sun-Xu':>18} {'MLstatkit':>18} {'fastest peer/ours':>18}"
    )
    rng = np.random.default_rng(1)
    for n in [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= largest]:
        for is_tied in (True, False):
            truth, ratings = two_curves(n, is_tied, rng)
            jobs: dict[str, Job] = {
                "argsorts": lambda r=ratings: [np.argsort(row) for row in r],
                "ours": lambda t=truth, r=ratings: compare_aucs_paired(t, r[0], r[1]),
            }
            own = cpu_seconds(jobs, repeats if n >= 100_000 else 10 * repeats)
            peers: dict[str, Job] = {"Sun-Xu": lambda t=truth, r=ratings: circulated_delong(t, r)}
            if has_mlstatkit:
                delong_test = import_module("MLstatkit").Delong_test
                labels = truth.astype(int)
                peers["MLstatkit"] = lambda t=labels, r=ratings, f=delong_test: f(t, r[0], r[1])
            peer = cpu_seconds(peers, 1 if n > 100_000 else 3)
            floor, ours = own["argsorts"], own["ours"]
            cells = [f"{value:.5f} ({value / floor:6.1f})" for value in (ours, peer["Sun-Xu"])]
            cells.append(f"{peer['MLstatkit']:.5f} ({peer['MLstatkit'] / floor:6.1f})" if has_mlstatkit else "absent")
            print(
                f"{n:>9} {'yes' if is_tied else 'no':>5} {floor:>9.5f} "
                + " ".join(f"{cell:>18}" for cell in cells)
                + f" {min(peer.values()) / ours:>18.1f}"
            )
            difference = compare_aucs_paired(truth, ratings[0], ratings[1]).difference
            areas, covariance = circulated_delong(truth, ratings)
            variance = covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1]
            if not np.isclose(difference.value, areas[0] - areas[1], rtol=1e-9, atol=1e-12) or not np.isclose(
                difference.standard_error**2, variance, rtol=1e-9
            ):
                raise SystemExit("the algorithms disagree, so their times mean nothing")
    print("aim: at 1,000,000 tied cases at most 3.0 times the argsorts and at least 4.0 times faster than a peer\n")


def bootstrap(repeats: int) -> None:
    """10,000 replicates of one AUC against sorting every replicate again with scikit-learn."""
    from sklearn.metrics import roc_auc_score

    from core.statistics import bootstrap_auc

    rng = np.random.default_rng(2)
    truth = np.arange(514) < 130
    rating = np.round(1.0 / (1.0 + np.exp(-(rng.normal(size=514) + truth))), 3)
    draws = rng.integers(514, size=(200, 514))
    jobs: dict[str, Job] = {
        "percentile": lambda: bootstrap_auc(truth, rating, rng=np.random.default_rng(3)),
        "BCa": lambda: bootstrap_auc(truth, rating, rng=np.random.default_rng(3), interval="bca"),
        "scikit-learn": lambda: [roc_auc_score(truth[i], rating[i]) for i in draws],
    }
    seconds = cpu_seconds(jobs, repeats)
    again = seconds["scikit-learn"] * 10_000 / len(draws)
    print("Bootstrap of an AUC, 10,000 replicates, n = 514: processor seconds")
    print(f"  percentile {seconds['percentile']:.3f}, BCa {seconds['BCa']:.3f} (aim: under 0.5)")
    print(f"  sorting each replicate with scikit-learn (200 measured, scaled): {again:.1f},")
    print(f"  {again / seconds['percentile']:.0f} times slower\n")


def several_readers(repeats: int) -> None:
    """Obuchowski-Rockette with DeLong's covariance."""
    from core.statistics.obuchowski_rockette import obuchowski_rockette
    from core.statistics.reader_study import ReaderStudy

    rng = np.random.default_rng(4)
    for n_readers, n_cases, aim in ((20, 1_000, "0.1 s"), (200, 2_000, "30 s")):
        truth = np.arange(n_cases) % 2
        ratings = np.round(rng.normal(size=(2, n_readers, n_cases)) + truth, 1)
        study = ReaderStudy.from_dense(truth, ratings=ratings, classes=(0, 1))
        jobs: dict[str, Job] = {
            "analysis": lambda s=study: obuchowski_rockette(s.figures(), covariance="delong"),
            "argsorts": lambda r=ratings: np.argsort(r, axis=-1),
        }
        seconds = cpu_seconds(jobs, repeats if n_readers < 100 else 1)
        print(f"Obuchowski-Rockette, DeLong covariance, 2 arms x {n_readers} readers x {n_cases} cases:")
        print(
            f"  {seconds['analysis']:.3f} s, {seconds['analysis'] / seconds['argsorts']:.1f} times its argsorts", end=""
        )
        print(f" (aim: under {aim})\n")


def agreement(repeats: int) -> None:
    """Every coefficient of a panel and Cohen's kappa of all pairs of readers."""
    from core.statistics import panel_agreement

    rng = np.random.default_rng(6)
    truth = rng.integers(4, size=2_000)
    labels = np.where(rng.random((2_000, 200)) < 0.7, truth[:, None], rng.integers(4, size=(2_000, 200)))
    seconds = cpu_seconds({"panel": lambda: panel_agreement(labels, range(4))}, max(repeats, 2))["panel"]
    print(f"Agreement, 200 readers x 2,000 cases, 19,900 pairs: {seconds:.2f} s (aim: under 5 s)\n")


def whole_analysis() -> None:
    """Everything at once: 10 readers and 4 models on 1,127 cases of four classes."""
    import pandas as pd

    from core.analysis import StudyData, analyse
    from core.protocol import THYROID_CLASSES

    rng = np.random.default_rng(5)
    keys = [disease.key for disease in THYROID_CLASSES]
    n = 1_127
    index = rng.integers(4, size=n)
    names = [f"case {number}" for number in range(n)]
    cases = pd.DataFrame({"case": names, "patient": names, "cohort": "internal", "truth": [keys[i] for i in index]})
    readings, predictions = [], []
    for reader in range(10):
        label = np.where(rng.random(n) < 0.8, index, rng.integers(4, size=n))
        columns = {"reader": f"reader {reader}", "case": names, "arm": "unaided", "label": [keys[i] for i in label]}
        readings.append(pd.DataFrame({**columns, "confidence": rng.integers(1, 6, size=n)}))
    for model in range(4):
        raw = rng.gamma(1.0 + 3.0 * (index[:, None] == np.arange(4)))
        share = raw / raw.sum(axis=1, keepdims=True)
        columns = {f"p_{key}": share[:, column] for column, key in enumerate(keys)}
        predictions.append(pd.DataFrame({"model": f"model {model}", "case": names, **columns}))
    data = StudyData(THYROID_CLASSES, cases, pd.concat(readings), pd.concat(predictions))
    seconds = cpu_seconds({"analysis": lambda: analyse(data)}, 2)["analysis"]
    print(f"Whole analysis, 10 readers and 4 models on {n} cases of four classes: {seconds:.2f} s (aim: under 1 s)")


def main() -> None:
    """Print every ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1_000_000, help="largest number of cases for DeLong")
    parser.add_argument("--repeats", type=int, default=7, help="turns of which the median is taken")
    options = parser.parse_args()
    paired_delong(options.largest, options.repeats)
    bootstrap(options.repeats)
    several_readers(options.repeats)
    agreement(options.repeats)
    whole_analysis()


if __name__ == "__main__":
    main()
