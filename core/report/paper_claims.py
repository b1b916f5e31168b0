"""The paper's tests and the claims of its text, recomputed as far as the counts go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from core.errors import UndefinedStatisticError
from core.report.paper_data import PAPER_CLASSES, paper_counts, printed_cells
from core.report.paper_formulas import cohen_kappa_from_counts, scott_pi_from_counts
from core.statistics.contingency_tests import chi_squared, mcnemar
from core.statistics.proportion_difference import PairedCounts


@dataclass(frozen=True)
class PaperTest:
    """Two raters' overall accuracy on one set, by the paper's test and by the right one."""

    cohort: str
    first: str
    second: str
    n: int
    first_correct: int
    second_correct: int
    chi_squared: float  # Pearson, one degree of freedom, unpaired: the paper's mode
    chi_squared_p: float
    yates_p: float
    mcnemar_worst_p: float  # exact McNemar for the least favourable pairing that the counts allow
    mcnemar_worst_pairing: str
    printed: str


@dataclass(frozen=True)
class PaperClaim:
    """A statement of the text and what the counts say about it."""

    claim: str
    verdict: str  # "holds", "does not hold", "not checkable"
    evidence: str


def paper_tests() -> tuple[PaperTest, ...]:
    """Every comparison of overall accuracy on the internal (Table 4) and external (Table 5) set."""
    pairs = (("ResNet34", "Senior"), ("Senior", "Junior"), ("ResNet34", "Junior"))
    return tuple(_compare(table, first, second) for table in ("4", "5") for first, second in pairs)


def _compare(table: str, first: str, second: str) -> PaperTest:
    """Chi-squared, and McNemar's exact test for the pairing that gives the largest p."""
    counts = paper_counts()
    a, b = counts[table, first], counts[table, second]
    n = a[PAPER_CLASSES[0]].n
    right_a = sum(a[key].true_positive for key in PAPER_CLASSES)
    right_b = sum(b[key].true_positive for key in PAPER_CLASSES)
    plain = chi_squared(right_a, n, right_b, n)
    yates = chi_squared(right_a, n, right_b, n, is_corrected=True)
    # the fewest and the most cases that both can have right, class by class
    least = sum(max(0, a[k].true_positive + b[k].true_positive - a[k].n_positive) for k in PAPER_CLASSES)
    most = sum(min(a[k].true_positive, b[k].true_positive) for k in PAPER_CLASSES)
    both = np.arange(least, most + 1)
    only_a, only_b = right_a - both, right_b - both
    pairing = int(both[np.argmax(binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5))])
    neither = n - right_a - right_b + pairing
    worst = mcnemar(PairedCounts(pairing, right_a - pairing, right_b - pairing, neither))
    return PaperTest(
        cohort="internal" if table == "4" else "external",
        first=first,
        second=second,
        n=n,
        first_correct=right_a,
        second_correct=right_b,
        chi_squared=_known(plain.statistic),
        chi_squared_p=_known(plain.p_value),
        yates_p=_known(yates.p_value),
        mcnemar_worst_p=_known(worst.p_value),
        mcnemar_worst_pairing=f"{right_a - pairing} only {first} right, {right_b - pairing} only {second} right",
        printed="p < 0.001" if {first, second} != {"ResNet34", "Junior"} else "not printed",
    )


def _known(value: float | None) -> float:
    """A number that the counts define."""
    if value is None:
        raise UndefinedStatisticError("The counts do not define this test.")
    return value


def paper_claims() -> tuple[PaperClaim, ...]:
    """Statements of the text beyond the printed cells; none of them is counted in the totals."""
    tests = paper_tests()
    printed = [test for test in tests if test.printed != "not printed"]
    largest = max(max(test.chi_squared_p, test.yates_p, test.mcnemar_worst_p) for test in printed)
    return (
        PaperClaim(
            "the model beats the senior, the senior the junior physician, p < 0.001 on both sets",
            "holds" if largest < 0.001 else "does not hold",
            f"chi-squared with and without Yates, and McNemar for every possible pairing: p <= {largest:.1e}",
        ),
        PaperClaim(
            "the model's AUCs differ from both physicians' in every class, p < 0.05",
            "not checkable",
            "needs the model's probabilities; a DeLong test of hard labels against probabilities would compare unlike "
            "things",
        ),
        _fleiss_claim(),
        _best_fold_claim(),
        _overall_auc_claim(),
    )


def _fleiss_claim() -> PaperClaim:
    """Which kappa the printed ones are."""
    counts = paper_counts()
    cells = [cell for cell in printed_cells() if cell.quantity == "kappa"]
    fits = {"Cohen": 0, "Fleiss": 0}
    for cell in cells:
        classes = list(counts[cell.table, cell.rater].values())
        fits["Cohen"] += f"{cohen_kappa_from_counts(classes):.3f}" == cell.printed
        fits["Fleiss"] += f"{scott_pi_from_counts(classes):.3f}" == cell.printed
    return PaperClaim(
        "the kappa is Fleiss'",
        "holds" if fits["Fleiss"] == len(cells) else "does not hold",
        f"Cohen's kappa against the reference standard gives {fits['Cohen']} of {len(cells)} printed values, "
        f"two-rater Fleiss {fits['Fleiss']}",
    )


def _best_fold_claim() -> PaperClaim:
    """Whether Table 4's model is the model of Table 2, or the best fold of Table 3."""
    counts = paper_counts()
    table_2 = sum(c.true_positive for c in counts["2", "ResNet34"].values())
    table_4 = counts["4", "ResNet34"]
    correct = sum(c.true_positive for c in table_4.values())
    n = table_4[PAPER_CLASSES[0]].n
    k = len(table_4)
    macro = {
        "accuracy": correct / n,
        "sensitivity": sum(c.true_positive / c.n_positive for c in table_4.values()) / k,
        "specificity": sum(c.true_negative / (c.n - c.n_positive) for c in table_4.values()) / k,
        "ppv": sum(c.true_positive / (c.true_positive + c.false_positive) for c in table_4.values()) / k,
        "npv": sum(c.true_negative / (c.true_negative + c.false_negative) for c in table_4.values()) / k,
    }
    folds: dict[str, dict[str, str]] = {}
    for cell in printed_cells():
        if cell.table == "3" and cell.part.startswith("fold") and cell.quantity != "auc":
            folds.setdefault(cell.part, {})[cell.quantity] = cell.printed
    matching = [
        fold
        for fold, row in folds.items()
        if all(f"{100 * macro[quantity]:.1f}" == row[quantity] for quantity in macro)
    ]
    values = "/".join(f"{100 * value:.1f}" for value in macro.values())
    return PaperClaim(
        "the ResNet34 of Table 4 is the ResNet34 of Table 2",
        "holds" if table_2 == correct else "does not hold",
        f"{table_2}/{n} correct in Table 2, {correct}/{n} in Table 4; Table 4's macro accuracy, sensitivity, "
        f"specificity, PPV and NPV ({values}) equal " + (", ".join(matching) or "no fold") + " of Table 3",
    )


def _overall_auc_claim() -> PaperClaim:
    """The overall AUC of the text against the macro mean of Table 2."""
    areas = [
        cell.value for cell in printed_cells() if (cell.table, cell.rater, cell.quantity) == ("2", "ResNet34", "auc")
    ]
    mean = sum(areas) / len(areas)
    return PaperClaim(
        "ResNet34's overall AUC is 0.992",
        "not checkable",
        f"the text does not say which average it is; the macro mean of the four printed AUCs is {mean:.4f}",
    )
