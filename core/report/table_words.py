"""What the keys, columns and tables of an analysis are called in print: titles, headings and words for key cells.

CSV and Excel keep the names that scripts read; LaTeX, HTML and the report print these words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from core.study_analysis.localisation import QUANTITIES

#: Table -> its title in print.
TITLES = {
    "cases": "Cases by class",
    "missing": "Answers expected, given and missing",
    "summary": "Each rater over all classes",
    "per_class": "Each rater by class",
    "confusion": "Confusion matrices",
    "auc": "Areas under the ROC curve",
    "roc_points": "Points of the ROC curves",
    "mcnemar": "Accuracy of pairs",
    "delong": "Areas of pairs",
    "agreement": "Agreement",
    "mrmc": "Several readers, by Obuchowski and Rockette",
    "panel_means": "Means of the readers",
    "mrmc_components": "Several readers: components of variance",
    "dbm": "Several readers, by Dorfman, Berbaum and Metz",
    "marginal_tests": "Do raters give the classes equally often?",
    "operating_points": "Operating points",
    "reader_average_roc": "Mean ROC curves of the readers",
    "predictive_values": "Predictive values of pairs",
    "margins": "Against the margin",
    "calibration": "Calibration of probabilities",
    "reliability_bins": "Calibration of probabilities: bins",
    "decision_curves": "Decision curves",
    "rating_cutoffs": "Sensitivity and specificity at each cut-off",
    "matched_points": "The model at each reader's operating point",
    "subgroups": "Subgroups",
    "localisation": "Localisation",
    "lroc_points": "Points of the LROC curves",
    "deviations": "Answers that did not go as planned",
    "confidence": "Accuracy by stated confidence",
    "reading_order": "Accuracy and time through the reading",
    "aid_ledger": "What the model's answer changed",
    "aid_ledger_averages": "What the model's answer changed: means of the readers",
    "case_outcomes": "Who was right, case by case",
    "reading_times": "Reading time, seconds",
    "flow": "Flow of cases",
    "baseline": "Patients and cases",
    "groups_by_class": "Parts of the cases by class",
    "shared_patients": "Patients in two cohorts",
}

#: Column -> its heading in print, where it is not the column's own name in words.
HEADINGS = {
    "n": "n",
    "p_value": "p",
    "p_holm": "p (Holm)",
    "p_exact": "p (McNemar)",
    "p_mid": "mid-p",
    "p_chi_squared": "p (chi-squared)",
    "p_chi_squared_yates": "p (Yates)",
    "p_clustered": "p (between patients)",
    "p_leisenring": "p (Leisenring)",
    "chi_squared": "Chi-squared",
    "first_name": "First",
    "second_name": "Second",
    "first_arm": "Arm of the first",
    "second_arm": "Arm of the second",
    "first_auc": "AUC of the first",
    "second_auc": "AUC of the second",
    "first_value": "First's value",
    "second_value": "Second's value",
    "first_lower": "First's lower limit",
    "first_upper": "First's upper limit",
    "first_only": "Only first right",
    "second_only": "Only second right",
    "n_participants": "Raters",
    "truth": "Reference standard",
    "metric": "Figure",
    "match": "Made equal",
    "matched_at": "Equal at",
    "is_hard_label": "Label alone",
    "is_mixed": "Label against ratings",
    "is_shown": "Shown",
    "count": "Count",
    "of": "Of",
    "df": "df",
    "df1": "df1",
    "df2": "df2",
    "row_share": "Share of the row",
}

#: Columns whose cells are keys of this program, never names that somebody gave.
KEY_COLUMNS = frozenset({
    "analysis", "answer", "class", "component", "goal", "match", "metric", "outcome", "quantity", "scope",
    "shown", "statistic", "step", "truth", "variable",
})  # fmt: skip
_CLASS_COLUMNS = ("class", "truth", "answer")
#: Columns whose cells are keys of readers and models, or words of this program.
PERSON_COLUMNS = ("first", "second", "model", "what")

#: Key -> word, where it is not the key's own name in words.
WORDS = {
    "all": "all",
    "macro": "mean over classes",
    "weighted": "weighted by prevalence",
    "micro": "micro-average",
    "hand_till": "Hand and Till",
    "top_label": "most probable class",
    "arms": "between arms",
    "arms_dbm": "between arms",
    "model_vs_panel": "model against the readers",
    "model_vs_reader": "model against a reader",
    "RRRC": "random readers, random cases",
    "FRRC": "these readers, random cases",
    "RRFC": "random readers, these cases",
    "between": "all readers",
    "pair": "two readers",
    "within": "same reader, again",
    "with_model": "reader and model",
    "cohen_kappa": "Cohen's kappa",
    "fleiss_kappa": "Fleiss' kappa",
    "conger_kappa": "Conger's kappa",
    "brennan_prediger": "Brennan-Prediger",
    "krippendorff_alpha": "Krippendorff's alpha",
    "gwet_ac1": "Gwet's AC1",
    "lr_positive": "LR+",
    "lr_negative": "LR−",
    "brier": "Brier score",
    "ece": "calibration error",
    "slope": "slope (ideal 1)",
    "intercept": "intercept (ideal 0)",
    "in_the_large": "in the large (ideal 0)",
    "kappa": "Cohen's kappa",
    "reader_years": "years of experience",
    "youden_sensitivity": "sensitivity at Youden's point",
    "youden_specificity": "specificity at Youden's point",
    **QUANTITIES,
}
_SHORT = {"auc": "AUC", "ppv": "PPV", "npv": "NPV", "f1": "F1"}
_PARTIAL = re.compile(r"partial_auc_(\w+?)_([\d.]+)_([\d.]+)")


def title(name: str) -> str:
    """A table's title."""
    return TITLES.get(name) or in_words(name).capitalize()


def heading(column: str) -> str:
    """A column's name as a heading."""
    known = HEADINGS.get(column)
    if known is not None:
        return known
    told = in_words(column.removeprefix("n_").removeprefix("is_"))
    return told[:1].upper() + told[1:]


def in_words(key: str) -> str:
    """A key of this program as people read it."""
    if key in WORDS:
        return WORDS[key]
    if partial := _PARTIAL.fullmatch(key):
        return f"partial AUC, {partial[1]} {partial[2]} to {partial[3]}"
    return " ".join(_SHORT.get(part, part) for part in key.split("_"))


def cell_in_words(text: str, column: str, classes: Mapping[str, str], people: Mapping[str, str]) -> str:
    """A cell as it is printed: keys in words; names and numbers as they are.

    Parameters
    ----------
    text : str
    column : str
        Of the table.
    classes, people : mapping
        Key of a class -> its label; key of a reader or model -> its name.
    """
    if column in PERSON_COLUMNS:
        return people.get(text, text)
    if column not in KEY_COLUMNS:
        return text
    return classes[text] if column in _CLASS_COLUMNS and text in classes else in_words(text)
