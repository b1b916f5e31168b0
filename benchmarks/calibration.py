"""Are the tests and intervals what they claim? Type I error and coverage by seeded simulation, as a Markdown page.

Run from the repository's root::

    python -m benchmarks.calibration --replicates 2000 --write docs/calibration.md

Questions:

- How often does the Obuchowski-Rockette test call two equal arms different, over the twelve models of Roe and Metz?
  RRRC under the null that readers in general gain nothing; FRRC under the null that none of these readers does (no
  arm-by-reader variance). And the comparison of a stand-alone model with a panel of readers that is equally good.
- How often do the intervals of one AUC cover it, at the sizes of Zhao et al. 2023?
- How often does the interval of a proportion cover it? That is computed exactly, without simulation.
- Differences of AUCs, few readers, readings that are missing because cases are hard, agreement with sparse double
  reading, probabilities, matched operating points: :mod:`benchmarks.coverage`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks import coverage
from core.statistics.auc_interval import auc_estimate
from core.statistics.mrmc import ReaderStudy, compare_model_with_readers
from core.statistics.obuchowski_rockette import obuchowski_rockette
from core.statistics.proportions import proportion
from core.statistics.result import State
from core.statistics.roe_metz import SEPARATIONS, STRUCTURES, RoeMetzModel

NOMINAL = 0.05
INTERVALS = ("logit-delong", "delong", "binomial-exact")


@dataclass(frozen=True)
class Rate:
    """Share of replicates in which something happened."""

    count: int
    n: int

    @property
    def share(self) -> float:
        """Observed share."""
        return self.count / self.n

    def __str__(self) -> str:
        return f"{100 * self.share:.1f}"


def type_one_error(
    model: RoeMetzModel,
    *,
    scope: str,
    covariances: Sequence[str],
    n_readers: int,
    n_positive: int,
    n_negative: int,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[Rate, ...]:
    """How often the overall test of equal arms has p < 0.05 under this model, per covariance, on the same studies.

    Parameters
    ----------
    model : RoeMetzModel
        With equal separations; for FRRC its arm-by-reader variance must be 0.
    scope, covariances : str, sequence of str
        Of the Obuchowski-Rockette analysis.
    n_readers, n_positive, n_negative, replicates : int
        Size of each study, and number of studies.
    rng : numpy.random.Generator
        Source of randomness.
    """
    found = np.zeros(len(covariances), dtype=int)
    for _ in range(replicates):
        figures = model.simulate(n_readers=n_readers, n_positive=n_positive, n_negative=n_negative, rng=rng).figures()
        for index, covariance in enumerate(covariances):
            p_value = obuchowski_rockette(figures, covariance=covariance).scope(scope).overall.p_value
            found[index] += p_value is not None and p_value < NOMINAL
    return tuple(Rate(int(count), replicates) for count in found)


def standalone_type_one_error(
    model: RoeMetzModel,
    *,
    n_readers: int,
    n_positive: int,
    n_negative: int,
    replicates: int,
    rng: np.random.Generator,
    covariance: str = "jackknife",
) -> Rate:
    """How often a model as good as the readers' expected AUC is called different from the panel (RRRC)."""
    between = model.reader + model.arm_by_reader
    separation = model.separations[0]
    # Cases without reader effects; these are added to the readers and not to the model, whose separation is lowered
    # so that its AUC is the readers' expected one.
    cases = replace(model, separations=(separation,), reader=0.0, arm_by_reader=0.0)
    lowered = separation * (1.0 / np.sqrt(1.0 + between) - 1.0)
    found = 0
    for _ in range(replicates):
        drawn = cases.simulate(n_readers=n_readers + 1, n_positive=n_positive, n_negative=n_negative, rng=rng)
        assert drawn.ratings is not None
        ratings = drawn.ratings[0, 0].copy()
        positive = drawn.truth == 1
        for is_class in (positive, ~positive):
            ratings[1:, is_class] += rng.normal(0.0, np.sqrt(between), (n_readers, 1))
        ratings[0, positive] += lowered
        panel = ReaderStudy.from_dense(positive, ratings=ratings[1:][None])
        test = compare_model_with_readers(panel, model_ratings=ratings[0], covariance=covariance).scope("RRRC").test
        found += test.p_value is not None and test.p_value < NOMINAL
    return Rate(found, replicates)


@dataclass(frozen=True)
class AucSetting:
    """A population with a known AUC and how to draw ratings from it."""

    name: str
    n_positive: int
    n_negative: int
    auc: float
    draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]  # ratings of positives, of negatives


def hard_label_setting(sensitivity: float, specificity: float, n_positive: int, n_negative: int) -> AucSetting:
    """A reader who answers yes or no; the AUC is (sensitivity + specificity) / 2."""

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return (rng.random(n_positive) < sensitivity).astype(float), (rng.random(n_negative) >= specificity).astype(
            float
        )

    name = f"hard labels, sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
    return AucSetting(name, n_positive, n_negative, (sensitivity + specificity) / 2, draw)


def rating_setting(auc: float, n_positive: int, n_negative: int) -> AucSetting:
    """Equal-variance binormal ratings."""
    shift = float(stats.norm.ppf(auc) * np.sqrt(2.0))

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return rng.normal(shift, 1.0, n_positive), rng.normal(0.0, 1.0, n_negative)

    return AucSetting(f"ratings, AUC {auc:.2f}", n_positive, n_negative, auc, draw)


#: The paper's classes have 120 to 163 cases of 514 and 613; the last is a small study.
AUC_SETTINGS = (
    hard_label_setting(0.94, 0.99, 130, 384),
    hard_label_setting(0.82, 0.97, 120, 394),
    hard_label_setting(0.61, 0.88, 132, 382),
    rating_setting(0.76, 130, 384),
    rating_setting(0.90, 158, 455),
    rating_setting(0.99, 130, 384),
    rating_setting(0.98, 30, 70),
)


@dataclass(frozen=True)
class AucCoverage:
    """How often each interval covered the AUC, and how often the sample had no variance (AUC 1)."""

    setting: AucSetting
    covered: dict[str, Rate]
    degenerate: Rate


def auc_coverage(setting: AucSetting, *, replicates: int, rng: np.random.Generator) -> AucCoverage:
    """Coverage of nominal 95% intervals of one AUC."""
    covered = dict.fromkeys(INTERVALS, 0)
    degenerate = 0
    truth = np.repeat([True, False], [setting.n_positive, setting.n_negative])
    for _ in range(replicates):
        ratings = np.concatenate(setting.draw(rng))
        for interval in INTERVALS:
            estimate = auc_estimate(truth, ratings, interval=interval)
            if estimate.lower is not None and estimate.upper is not None:
                covered[interval] += estimate.lower <= setting.auc <= estimate.upper
            degenerate += interval == "delong" and estimate.state is State.DEGENERATE
    rates = {interval: Rate(count, replicates) for interval, count in covered.items()}
    return AucCoverage(setting, rates, Rate(degenerate, replicates))


def proportion_coverage(probability: float, n: int, method: str) -> float:
    """Exact coverage of the nominal 95% interval of a proportion: a sum over all possible counts."""
    counts = np.arange(n + 1)
    inside = np.zeros(n + 1, dtype=bool)
    for count in counts:
        estimate = proportion(int(count), n, method=method)
        assert estimate.lower is not None
        assert estimate.upper is not None
        inside[count] = estimate.lower <= probability <= estimate.upper
    return float(stats.binom.pmf(counts[inside], n, probability).sum())


def page(replicates: int, seed: int) -> str:
    """The whole page in Markdown."""
    rng = np.random.default_rng(seed)
    error = 100 * np.sqrt(NOMINAL * (1 - NOMINAL) / replicates)
    size = {"n_readers": 5, "n_positive": 50, "n_negative": 50, "replicates": replicates, "rng": rng}
    lines = [
        "# Calibration",
        "",
        "Written by `python -m benchmarks.calibration "
        f"--replicates {replicates} --seed {seed} --write docs/calibration.md`; do not edit by hand.",
        "",
        f"{replicates} replicates a cell: a share of 5% has a simulation error of {error:.1f} percentage points.",
        "",
        "## Type I error of multi-reader tests, in %, nominal 5%",
        "",
        "Roe-Metz models with two equal arms, 5 readers, 50 positive and 50 negative cases. The structure names data",
        "correlation and reader variance (H high, L low). RRRC: readers and cases are samples. FRRC: drawn without",
        "arm-by-reader variance, for its null hypothesis is that none of these readers gains. Model against panel: a",
        "stand-alone model with the readers' expected AUC, RRRC.",
        "",
        "| structure | expected AUC | RRRC jackknife | RRRC DeLong | FRRC jackknife | FRRC DeLong | model vs panel |",
        "|---|---|---|---|---|---|---|",
    ]
    totals = [0] * 5
    for name in STRUCTURES:
        for separation in SEPARATIONS:
            model = RoeMetzModel.structure(name, separation=separation)
            fixed = replace(model, arm_by_reader=0.0)
            rates = [
                *type_one_error(model, scope="RRRC", covariances=("jackknife", "delong"), **size),
                *type_one_error(fixed, scope="FRRC", covariances=("jackknife", "delong"), **size),
                standalone_type_one_error(model, **size),
            ]
            totals = [total + rate.count for total, rate in zip(totals, rates, strict=True)]
            cells = " | ".join(str(rate) for rate in rates)
            lines.append(f"| {name} | {model.expected_auc(0):.3f} | {cells} |")
    means = [Rate(total, replicates * len(STRUCTURES) * len(SEPARATIONS)) for total in totals]
    lines += [
        "| mean | | " + " | ".join(str(rate) for rate in means) + " |",
        "",
        "## Coverage of intervals of one AUC, in %, nominal 95%",
        "",
        "At the class sizes of Zhao et al. 2023 and in a small study. Binomial exact is the method of the paper.",
        "Samples with AUC 1 have no DeLong variance: their exact one-sided bound is counted like an interval.",
        "",
        "| population | positive / negative | logit-DeLong (default) | DeLong | binomial exact | no variance |",
        "|---|---|---|---|---|---|",
    ]
    for setting in AUC_SETTINGS:
        found = auc_coverage(setting, replicates=replicates, rng=rng)
        cells = " | ".join(str(found.covered[interval]) for interval in INTERVALS)
        lines.append(f"| {setting.name} | {setting.n_positive} / {setting.n_negative} | {cells} | {found.degenerate} |")
    lines += [
        "",
        "## Coverage of intervals of a proportion, in %, nominal 95%",
        "",
        "Exact, by summing over all counts.",
        "",
        "| n | true proportion | Wilson (default) | Clopper-Pearson | Agresti-Coull | Jeffreys |",
        "|---|---|---|---|---|---|",
    ]
    for n in (30, 130, 514):
        for probability in (0.60, 0.82, 0.94, 0.99):
            cells = " | ".join(
                f"{100 * proportion_coverage(probability, n, method):.1f}"
                for method in ("wilson", "clopper-pearson", "agresti-coull", "jeffreys")
            )
            lines.append(f"| {n} | {probability:.2f} | {cells} |")
    return "\n".join([*lines, *_more(replicates, seed, rng)]) + "\n"


def _more(replicates: int, seed: int, rng: np.random.Generator) -> list[str]:
    """The tables of :mod:`benchmarks.coverage`."""
    return [
        "",
        "## Coverage of the difference of two AUCs, in %, nominal 95%",
        "",
        "Paired curves over the same cases, DeLong's variance. The limits are made on Fisher's scale (atanh);",
        "Wald's stand beside them in every result; MOVER of two logit intervals was tried and not chosen, for it",
        "fails in small studies and where both AUCs are near 1. Where only one is near 1 it covers better than the",
        "default, which falls to 87% with 15 + 15 cases. Last columns: how often Wald's limits leave the range of",
        "-1 to 1, and studies without any variance, which are left out.",
        "",
        *coverage.table(
            ("AUCs", "positive / negative", "atanh (default)", "Wald", "MOVER", "Wald leaves the range", "no variance"),
            coverage.auc_differences(replicates, rng),
        ),
        "",
        "## Coverage of the difference of two arms, in %, nominal 95%",
        "",
        "Obuchowski-Rockette, random readers and cases, Student's t with Hillis' degrees of freedom.",
        "",
        *coverage.table(
            ("structure", "true difference", "readers", "cases", "atanh (default)", "Wald", "Wald leaves the range"),
            coverage.arm_differences(replicates, rng),
        ),
        "",
        "## Few readers",
        "",
        "How often (in %) random readers look more certain than the same readers fixed, because the variance",
        "between readers was estimated as zero, and the median width of their interval; two arms, 30 + 30 cases,",
        "reader variance low (HL) and high (HH). Below five readers a report leads with fixed readers.",
        "",
        *coverage.table(
            ("readers", "HL: narrower", "HL: width", "HH: narrower", "HH: width"), coverage.few_readers(replicates, rng)
        ),
        "",
        "## Readings that are missing because cases are hard",
        "",
        "There is no true difference. 5 readers and 100 cases in two arms (RRRC), or a model and 4 readers (FRRC).",
        "A hard case is one that is rated wrongly on the whole. *Per curve*: every reader's figure on the cases",
        "that reader has; *common cases*: the cases that all answered, the default of the analysis. Mean",
        "difference, and rejections in %, nominal 5%.",
        "",
        *coverage.table(
            ("what is missing", "per curve: difference", "rejected", "common cases: difference", "rejected"),
            coverage.missing_hard_cases(replicates, rng),
        ),
        "",
        "## Coverage of agreement with sparse double reading, in %, nominal 95%",
        "",
        "Three readers, 80% right, two classes; some cases are read by one of them, the others by two. Last column:",
        "kappa without an interval, because all agree or all name one class; such studies are left out. Below 15 cases",
        "read twice a note says that the interval is likely too narrow.",
        "",
        *coverage.table(
            ("read twice", "read once", "percent", "Fleiss' kappa", "Gwet's AC1", "Krippendorff's alpha", "no kappa"),
            coverage.sparse_agreement(replicates, np.random.default_rng([seed, 1])),
        ),
        "",
        "## Coverage of what is said about probabilities, in %, nominal 95%",
        "",
        "Slope and shift of the truth on the logit scale: 1, 0 is calibrated.",
        "",
        *coverage.table(
            ("slope, shift", "cases", "Brier score", "calibration error", "calibration slope", "net benefit at 0.3"),
            coverage.probabilities(replicates, np.random.default_rng([seed, 2])),
        ),
        "",
        "## Coverage of a model's sensitivity at the readers' specificity, in %, nominal 95%",
        "",
        "Difference model minus readers; model and readers see the same hard cases.",
        "",
        *coverage.table(
            ("positive / negative", "readers' point", "true difference", "one reader", "panel of five"),
            coverage.matched_points(replicates, np.random.default_rng([seed, 3])),
        ),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=1000, help="simulated studies a cell (default 1000)")
    parser.add_argument("--seed", type=int, default=20230601, help="seed of the one random generator")
    parser.add_argument("--write", type=Path, help="file to write; printed as well")
    arguments = parser.parse_args()
    text = page(arguments.replicates, arguments.seed)
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
