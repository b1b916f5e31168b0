"""Simulations behind ``python -m benchmarks.calibration``: differences, few readers, missing readings, agreement,
probabilities.

Each function returns the rows of one table of the page; the populations are such that the true value is known, or is
found once from a very large sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from core.statistics.agreement_coefficients import fleiss_kappa, gwet_ac, percent_agreement
from core.statistics.auc_comparison import compare_aucs_paired
from core.statistics.auc_interval import auc_limits
from core.statistics.decision_curve import net_benefit
from core.statistics.delong import delong_components
from core.statistics.krippendorff import krippendorff_alpha
from core.statistics.matched_point import compare_at_matched_point
from core.statistics.obuchowski_rockette import obuchowski_rockette
from core.statistics.probability_calibration import (
    brier_score,
    expected_calibration_error,
    logistic_recalibration,
)
from core.statistics.reader_study import ReaderStudy
from core.statistics.result import Estimate
from core.statistics.roe_metz import RoeMetzModel
from core.statistics.standalone import compare_model_with_readers

Row = list[str]


@dataclass
class Tally:
    """How often limits covered the truth, left the range, and were there at all."""

    n: int = 0
    covered: int = 0
    outside: int = 0

    def add(self, lower: float | None, upper: float | None, truth: float, low: float = -1.0) -> None:
        """Count one interval; without limits it counts as one that did not cover."""
        self.n += 1
        if lower is not None and upper is not None:
            self.covered += lower <= truth <= upper
            self.outside += lower < low - 1e-12 or upper > 1.0 + 1e-12

    def __str__(self) -> str:
        return f"{100 * self.covered / self.n:.1f}"


def correlated_curves(
    areas: tuple[float, float], n_positive: int, n_negative: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Truth and two equal-variance binormal curves whose ratings correlate by one half within a class."""
    truth = np.arange(n_positive + n_negative) < n_positive
    separation = np.sqrt(2.0) * stats.norm.ppf(areas)
    noise = rng.normal(size=(3, truth.size)) * np.sqrt(0.5)
    return truth, noise[0] + noise[1:] + np.outer(separation, truth)


def mover_limits(truth: np.ndarray, ratings: np.ndarray) -> tuple[float, float]:
    """The method that was not chosen: MOVER of two logit intervals with DeLong's correlation."""
    parts = delong_components(truth, ratings)
    covariance, (one, two) = parts.covariance(), parts.auc
    own = np.diag(covariance)
    (low_1, up_1), (low_2, up_2) = (
        auc_limits(area, variance, 0.95) if variance > 0 else (area, area)
        for area, variance in zip(parts.auc.tolist(), own.tolist(), strict=True)
    )
    rho = covariance[0, 1] / np.sqrt(own.prod()) if own.prod() > 0 else 0.0

    def joined(x: float, y: float) -> float:
        return float(np.sqrt(max(0.0, x**2 - 2.0 * rho * x * y + y**2)))

    return one - two - joined(one - low_1, up_2 - two), one - two + joined(up_1 - one, two - low_2)


def auc_differences(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Coverage of the difference of two paired AUCs; studies whose difference has no variance are left out."""
    for areas in ((0.85, 0.85), (0.85, 0.80), (0.98, 0.97), (0.99, 0.90), (0.95, 0.70), (0.99, 0.60)):
        for sizes in ((6, 6), (15, 15), (30, 70), (130, 384)):
            chosen, wald, mover = Tally(), Tally(), Tally()
            for _ in range(replicates):
                truth, ratings = correlated_curves(areas, *sizes, rng)
                found = compare_aucs_paired(truth, *ratings).difference
                if found is None or found.lower is None:
                    continue
                true = areas[0] - areas[1]
                chosen.add(found.lower, found.upper, true)
                wald.add(found.wald_lower, found.wald_upper, true)
                mover.add(*mover_limits(truth, ratings), true)
            yield [
                f"{areas[0]:.2f} − {areas[1]:.2f}", f"{sizes[0]} / {sizes[1]}", str(chosen), str(wald), str(mover),
                f"{100 * wald.outside / wald.n:.1f}", f"{100 * (1 - chosen.n / replicates):.1f}",
            ]  # fmt: skip


def arm_differences(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Coverage of the difference of two arms, readers and cases random, by t."""
    for name, separation, gain in (("HL", 1.5, 0.0), ("LL", 0.75, 1.0), ("HH", 2.5, -1.5), ("LH", 2.5, -2.3)):
        model = RoeMetzModel.structure(name, separation=separation, difference=gain)
        true = model.expected_auc(0) - model.expected_auc(1)
        for n_readers, per_class in ((3, 10), (5, 30)):
            chosen, wald = Tally(), Tally()
            for _ in range(replicates):
                study = model.simulate(n_readers=n_readers, n_positive=per_class, n_negative=per_class, rng=rng)
                arms = obuchowski_rockette(study.figures(), covariance="delong")
                found = arms.scope("RRRC").contrasts[0].test.difference
                if found is not None and found.lower is not None:
                    chosen.add(found.lower, found.upper, true)
                    wald.add(found.wald_lower, found.wald_upper, true)
            yield [
                name, f"{true:+.3f}", str(n_readers), str(2 * per_class), str(chosen), str(wald),
                f"{100 * wald.outside / wald.n:.1f}",
            ]  # fmt: skip


def few_readers(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """How often random readers look more certain than fixed ones, and how wide their interval is."""
    for n_readers in (2, 3, 4, 5, 8, 12):
        row: Row = [str(n_readers)]
        for name in ("HL", "HH"):
            model = RoeMetzModel.structure(name, separation=1.5)
            narrower, widths = 0, []
            for _ in range(replicates):
                study = model.simulate(n_readers=n_readers, n_positive=30, n_negative=30, rng=rng)
                arms = obuchowski_rockette(study.figures(), covariance="delong")
                one, two = (arms.scope(scope).contrasts[0].test.difference for scope in ("RRRC", "FRRC"))
                if one is not None and two is not None and one.standard_error and two.standard_error:
                    narrower += one.standard_error < two.standard_error
                    widths.append((one.upper or 0.0) - (one.lower or 0.0))
            row += [f"{100 * narrower / replicates:.0f}", f"{np.median(widths):.2f}"]
        yield row


# ------------------------------------------------------------------------------------------------- missing readings
def without_hard_cases(ratings: np.ndarray, truth: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Whether a case is missing: ``share`` of the third of each class that is rated most wrongly on the whole."""
    mean = np.where(truth == 1, -ratings.mean(axis=(0, 1)), ratings.mean(axis=(0, 1)))  # high: misleading
    is_missing = np.zeros(truth.size, dtype=bool)
    for kind in (0, 1):
        of_kind = np.flatnonzero(truth == kind)
        hard = of_kind[np.argsort(mean[of_kind])[-(of_kind.size // 3) :]]
        is_missing[hard] = rng.random(hard.size) < share
    return is_missing


def _common(study: ReaderStudy, extra: np.ndarray | None = None) -> tuple[ReaderStudy, np.ndarray | None]:
    """The study on the cases that everybody answered in every arm."""
    kept = study.is_read.all(axis=(0, 1))
    assert study.ratings is not None
    cut = ReaderStudy.from_dense(study.truth[kept], ratings=study.ratings[0][:, :, kept], classes=(0, 1))
    return cut, None if extra is None else extra[kept]


def missing_hard_cases(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Equal arms, or a model as good as the panel; readings of hard cases are missing on one side."""
    arms = RoeMetzModel.structure("HL", separation=1.5)
    for share in (0.0, 0.3, 0.6):
        values: dict[str, list[float]] = {"per-curve": [], "common": []}
        rejected = dict.fromkeys(values, 0)
        for _ in range(replicates):
            study = arms.simulate(n_readers=5, n_positive=50, n_negative=50, rng=rng)
            assert study.ratings is not None
            ratings, truth = study.ratings[0].copy(), study.truth
            gone = without_hard_cases(ratings, truth, share, rng)
            ratings[1, :, gone] = np.nan
            holed = ReaderStudy.from_dense(truth, ratings=ratings, classes=(0, 1))
            for way, used in (("per-curve", holed), ("common", _common(holed)[0])):
                test = obuchowski_rockette(used.figures()).scope("RRRC").contrasts[0].test
                _note(values[way], rejected, way, test.difference, test.p_value)
        yield _missing_row(f"one arm lacks {share:.0%} of the hardest third", values, rejected, replicates)
    panel = RoeMetzModel((1.5,), 0.0, 0.0, 0.3, 0.3, 0.2, 0.2)  # no reader is better than another
    for n_harder in (0, 1, 3):
        values = {"per-curve": [], "common": []}
        rejected = dict.fromkeys(values, 0)
        for _ in range(replicates):
            study = panel.simulate(n_readers=5, n_positive=50, n_negative=50, rng=rng)
            assert study.ratings is not None
            ratings, truth = study.ratings[0].copy(), study.truth
            model, readers = ratings[0, 0], ratings[:, 1:]
            mean = np.where(truth == 1, -ratings.mean(axis=(0, 1)), ratings.mean(axis=(0, 1)))
            kinds = (np.flatnonzero(truth == kind) for kind in (0, 1))
            easy = np.concatenate([part[np.argsort(mean[part])[:25]] for part in kinds])
            readers[0, :n_harder][:, easy] = np.nan
            holed = ReaderStudy.from_dense(truth, ratings=readers, classes=(0, 1))
            cut, of_model = _common(holed, model)
            for way, used, curve in (("per-curve", holed, model), ("common", cut, of_model)):
                test = compare_model_with_readers(used, model_ratings=curve).scope("FRRC").test
                _note(values[way], rejected, way, test.difference, test.p_value)
        yield _missing_row(f"{n_harder} of 4 readers read only the harder half", values, rejected, replicates)


def _note(
    values: list[float], rejected: dict[str, int], way: str, difference: Estimate | None, p_value: float | None
) -> None:
    """Count one study."""
    if difference is not None and difference.value is not None:
        values.append(difference.value)
    rejected[way] += p_value is not None and p_value < 0.05


def _missing_row(what: str, values: dict[str, list[float]], rejected: dict[str, int], replicates: int) -> Row:
    """Mean difference and rejections, both ways."""
    cells = []
    for way in ("per-curve", "common"):
        cells += [f"{np.mean(values[way]):+.3f}", f"{100 * rejected[way] / replicates:.1f}"]
    return [what, *cells]


# ------------------------------------------------------------------------------------------------- agreement
def sparse_agreement(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Coverage of agreement when few of the cases are read by two of three readers."""
    measures: dict[str, Callable[..., object]] = {
        "percent": percent_agreement, "Fleiss": fleiss_kappa, "Gwet": gwet_ac, "Krippendorff": krippendorff_alpha
    }  # fmt: skip

    def readings(n_once: int, n_twice: int) -> np.ndarray:
        labels = np.full((n_once + n_twice, 3), None, dtype=object)
        truth = (rng.random(n_once + n_twice) < 0.4).astype(int)
        given = np.where(rng.random((truth.size, 3)) < 0.8, truth[:, None], 1 - truth[:, None])
        order = np.argsort(rng.random((truth.size, 3)), axis=1)
        for case in range(truth.size):
            who = order[case, : 1 if case < n_once else 2]
            labels[case, who] = given[case, who]
        return labels

    whole = readings(0, 60_000)
    true = {name: measure(whole, (0, 1)).estimate.value for name, measure in measures.items()}
    for n_once, n_twice in ((0, 30), (10, 30), (60, 30), (60, 12), (60, 6)):
        tallies, none = {name: Tally() for name in measures}, 0
        for _ in range(replicates):
            labels = readings(n_once, n_twice)
            for name, measure in measures.items():
                found = measure(labels, (0, 1)).estimate
                none += name == "Fleiss" and found.lower is None
                if found.lower is not None:
                    tallies[name].add(found.lower, found.upper, true[name])
        yield [str(n_twice), str(n_once), *(str(tally) for tally in tallies.values()), f"{100 * none / replicates:.1f}"]


# ------------------------------------------------------------------------------------------------- probabilities
def probabilities(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Coverage of what is said about probabilities; slope and shift miscalibrate them on the logit scale."""

    def drawn(n: int, slope: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
        probability = rng.beta(1.2, 1.5, size=n)
        return rng.random(n) < special.expit(shift + slope * special.logit(probability)), probability

    for slope, shift in ((1.0, 0.0), (0.6, 0.0), (1.0, 0.7)):
        truth, probability = drawn(500_000, slope, shift)
        error = 0.0 if (slope, shift) == (1.0, 0.0) else expected_calibration_error(truth, probability).value or 0.0
        worth = np.where(probability >= 0.3, np.where(truth, 1.0, -3.0 / 7.0), 0.0)
        true = [float(np.mean((probability - truth) ** 2)), error, slope, float(worth.mean())]
        for n in (50, 300):
            tallies = [Tally() for _ in true]
            for _ in range(replicates):
                truth, probability = drawn(n, slope, shift)
                found = (
                    brier_score(truth, probability),
                    expected_calibration_error(truth, probability),
                    logistic_recalibration(truth, probability).slope,
                    net_benefit(truth, probability >= 0.3, 0.3),
                )
                for tally, estimate, value in zip(tallies, found, true, strict=True):
                    tally.add(estimate.lower, estimate.upper, value)
            yield [f"{slope:g}, {shift:g}", str(n), *(str(tally) for tally in tallies)]


def matched_points(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Coverage of the model's sensitivity at the readers' specificity, minus theirs."""
    for n_positive, n_negative in ((30, 30), (50, 100), (130, 384)):
        for separation, sensitivity, specificity in ((1.5, 0.7, 0.8), (2.5, 0.8, 0.95)):
            true = float(stats.norm.sf(stats.norm.isf(1.0 - specificity) - separation)) - sensitivity
            cells = []
            for n_readers in (1, 5):
                tally = Tally()
                for _ in range(replicates):
                    truth = np.arange(n_positive + n_negative) < n_positive
                    shared = rng.normal(size=truth.size) * np.sqrt(0.5)
                    seen = shared + rng.normal(size=(1 + n_readers, truth.size)) * np.sqrt(0.5)
                    cut = np.where(truth, stats.norm.isf(sensitivity), stats.norm.isf(1.0 - specificity))
                    found = compare_at_matched_point(truth, seen[0] + separation * truth, seen[1:] > cut)
                    tally.add(found.difference.lower, found.difference.upper, true)
                cells.append(str(tally))
            yield [f"{n_positive} / {n_negative}", f"{sensitivity:.2f}, {specificity:.2f}", f"{true:+.3f}", *cells]


def table(columns: Sequence[str], rows: Iterator[Row]) -> list[str]:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows)]
