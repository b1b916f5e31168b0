"""Results of this project under the names that the reference table gives to R's, multi-reader analysis apart.

The reference table lists dataset, statistic and parameters with the value that R gave.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import numpy as np

import core.statistics as s

CLASSES = ("Graves", "Normal", "SAT", "Tumor")

#: Right answers of the paper's model and readers: (set, rater) -> (right, cases).
PAPER_RIGHT = {
    ("int", "model"): (494, 514),
    ("int", "senior"): (442, 514),
    ("int", "junior"): (381, 514),
    ("ext", "model"): (571, 613),
    ("ext", "senior"): (532, 613),
    ("ext", "junior"): (430, 613),
}


def compute(dataset: str, statistic: str, parameters: str, data_folder: Path) -> float | None:
    """Value of one row of the reference table, or None if the row is not one of these."""
    by_dataset = {
        "aSAH": lambda: _hemorrhage(statistic, parameters, data_folder),
        "synthetic4": lambda: _models(statistic, parameters, data_folder),
        "synthetic4_reads": lambda: _reads(statistic, parameters, data_folder),
        "irr_diagnoses": lambda: _diagnoses(statistic, parameters, data_folder),
        "paper": lambda: _paper(statistic, parameters),
        "-": lambda: _numbers(statistic, parameters),
    }
    return by_dataset[dataset]() if dataset in by_dataset else None


@cache
def rows(path: Path) -> tuple[dict[str, str], ...]:
    """Lines of a CSV file."""
    with path.open(newline="") as file:
        return tuple(csv.DictReader(file))


def _limit(estimate: s.Estimate, end: str) -> float | None:
    return estimate.lower if end == "lo" else estimate.upper


def _hemorrhage(statistic: str, parameters: str, folder: Path) -> float | None:
    """pROC's example: outcome after subarachnoid haemorrhage."""
    table = rows(folder / "aSAH.csv")
    truth = np.array([row["outcome"] == "Poor" for row in table])
    curve = {name: np.array([float(row[name]) for row in table]) for name in ("s100b", "ndka", "wfns")}
    if " vs " not in parameters and "_vs_" not in parameters and "male" not in parameters:
        return _one_curve(truth, curve[parameters.split()[0]], statistic)
    if "male" in parameters:
        is_man = np.array([row["gender"] == "Male" for row in table])
        rating = curve["s100b"]
        test = s.compare_aucs_unpaired(truth[is_man], rating[is_man], truth[~is_man], rating[~is_man])
        return {"D": test.statistic, "df": test.degrees_of_freedom, "p": test.p_value}[statistic.split("_")[-1]]
    first, second = parameters.split("_vs_")
    if statistic == "cov":
        return float(s.delong_components(truth, [curve[first], curve[second]]).covariance()[0, 1])
    test = s.compare_aucs_paired(truth, curve[first], curve[second])
    values = {
        "delong_paired_Z": test.statistic,
        "delong_paired_p": test.p_value,
        "delong_diff_lo": test.difference.wald_lower,
        "delong_diff_hi": test.difference.wald_upper,
    }
    return values.get(statistic)


def _one_curve(truth: np.ndarray, rating: np.ndarray, statistic: str) -> float | None:
    interval = re.fullmatch(r"ci_(delong|bootstrap)_(\d+)_(lo|hi)", statistic)
    if interval:
        method, percent, end = interval.groups()
        level = int(percent) / 100
        # More replicates than R's 10,000, so that most of what differs is R's own chance.
        options = {"rng": np.random.default_rng(20230601), "n_replicates": 40_000}
        return _limit(s.auc_estimate(truth, rating, interval=method, confidence_level=level, **options), end)
    if statistic.startswith("youden_"):
        point = s.youden_point(truth, rating)
        what = statistic.removeprefix("youden_")
        if what == "threshold":
            return point.threshold
        return point.youden_index + 1.0 if what == "youden" else getattr(point.metrics, what).value  # pROC omits - 1
    estimate = s.auc_estimate(truth, rating)
    simple = {"auc": estimate.value, "se_delong": estimate.standard_error, "var_delong": estimate.standard_error**2}
    if statistic in simple:
        return simple[statistic]
    reads = {
        "pauc_spec_1_0.9": lambda: s.partial_auc(truth, rating, between=(1.0, 0.9)),
        "pauc_spec_1_0.9_corrected": lambda: s.partial_auc(truth, rating, between=(1.0, 0.9), is_corrected=True),
        "pauc_sens_1_0.9": lambda: s.partial_auc(truth, rating, between=(1.0, 0.9), axis="sensitivity"),
        "sens_at_spec0.9": lambda: s.sensitivity_at_specificity(truth, rating, 0.9),
        "spec_at_sens0.9": lambda: s.specificity_at_sensitivity(truth, rating, 0.9),
    }
    return reads[statistic]().value if statistic in reads else None


def _models(statistic: str, parameters: str, folder: Path) -> float | None:
    """Two models on 300 drawn cases of four classes."""
    table = rows(folder / "synthetic4_models.csv")
    truth = [row["truth"] for row in table]
    probability = {m: np.array([[float(row[f"prob{m}_{c}"]) for c in CLASSES] for row in table]) for m in "AB"}
    if statistic == "hand_till_M":
        return s.multiclass_auc(truth, probability[parameters], CLASSES).hand_till.value
    name, what = parameters.split(" ", 1)
    column, is_class = CLASSES.index(name), np.array(truth) == name
    if statistic in ("ovr_auc", "ovr_var"):
        if what.startswith("hard"):
            called = np.array([row["pred" + what[-1]] == name for row in table])
            estimate = s.hard_label_auc(is_class, called)
        else:
            estimate = s.multiclass_auc(truth, probability[what], CLASSES).one_vs_rest[name]
        return estimate.value if statistic == "ovr_auc" else estimate.standard_error**2
    test = s.compare_aucs_paired(is_class, probability["A"][:, column], probability["B"][:, column])
    return {"delong_paired_Z": test.statistic, "delong_paired_p": test.p_value}.get(statistic)


def _reads(statistic: str, parameters: str, folder: Path) -> float | None:
    """Five readers, unaided and aided, on the same 300 cases."""
    table = rows(folder / "synthetic4_reads.csv")
    readers = sorted({row["reader"] for row in table})
    label = {(row["reader"], row["condition"], row["case"]): row["label"] for row in table}
    truth = {row["case"]: row["truth"] for row in table}
    if statistic.startswith("cochran_Q"):
        right = np.array([[label[r, parameters, case] == truth[case] for r in readers] for case in truth])
        test = s.cochran_q(right)
        return test.p_value if statistic.endswith("_p") else test.statistic
    reader = parameters.split()[0]
    aided, unaided = ([label[reader, arm, case] for case in truth] for arm in ("aided", "unaided"))
    if statistic == "stuart_maxwell_chi2":
        return s.stuart_maxwell(s.square_table(aided, unaided, CLASSES)).statistic
    right = [[given == truth[case] for given, case in zip(arm, truth, strict=True)] for arm in (aided, unaided)]
    return s.mcnemar(s.paired_counts(*right)).p_value if statistic == "mcnemar_exact_p" else None


def _diagnoses(statistic: str, parameters: str, folder: Path) -> float | None:
    """Fleiss' psychiatric diagnoses: 6 raters, 30 patients, 5 classes."""
    labels = [list(row.values()) for row in rows(folder / "irr_diagnoses.csv")]
    classes = sorted({label for row in labels for label in row})
    if statistic == "cohen_kappa":
        first, second = (int(number) - 1 for number in parameters.removeprefix("raters ").split(","))
        return s.cohen_kappa([row[first] for row in labels], [row[second] for row in labels], classes).value
    if statistic == "fleiss_z":
        return s.fleiss_kappa_test(labels, classes).statistic
    panel = s.panel_agreement(labels, classes)
    simple = {
        "fleiss_kappa": panel.fleiss.estimate.value,
        "conger_kappa": panel.conger.estimate.value,
        "light_kappa": panel.light.value,
    }
    if statistic in simple:
        return simple[statistic]
    name, part = statistic.split(" ")
    coefficient = getattr(panel, "percent" if name == "pa" else name)
    parts = {
        "coeff.val": coefficient.estimate.value,
        "coeff.se": coefficient.estimate.standard_error,
        "pa": coefficient.observed,
        "pe": coefficient.expected,
    }
    return parts.get(part)


def _paper(statistic: str, parameters: str) -> float | None:
    """Accuracies of the paper's model and readers."""
    which, first, second = parameters.split("_")
    four = (*PAPER_RIGHT[which, first], *PAPER_RIGHT[which, second])
    if statistic.startswith("miettinen_nurminen"):
        return _limit(s.difference_unpaired(*four, method="miettinen-nurminen"), statistic[-2:])
    test = s.chi_squared(*four, is_corrected="yates" in statistic)
    return test.p_value if statistic.endswith("_p") else test.statistic


def _numbers(statistic: str, parameters: str) -> float | None:
    """Proportions and discordant counts without a dataset."""
    interval = re.fullmatch(r"(wilson|exact)_95_(lo|hi)", statistic)
    if interval:
        method, end = interval.groups()
        x, n = (int(number) for number in re.findall(r"=(\d+)", parameters))
        return _limit(s.proportion(x, n, method="wilson" if method == "wilson" else "clopper-pearson"), end)
    first, second = (int(number) for number in re.findall(r"b\d+=(\d+)", parameters))
    methods = {"exact": "exact", "midp": "mid-p", "no_cc": "chi-squared", "cc": "chi-squared-corrected"}
    found = re.fullmatch(r"mcnemar_(exact|midp|no_cc|cc)_p", statistic)
    if found is None:
        return None
    counts = s.PairedCounts(both=10, only_first=first, only_second=second, neither=10)
    return s.mcnemar(counts, method=methods[found[1]]).p_value
