"""Tables of the analysis as people read them: titles for columns, names for keys, sensible digits. CSV keeps all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st

#: Column of the analysis -> title on screen.
TITLES = {
    "name": "Participant",
    "first_name": "First",
    "second_name": "Second",
    "first": "First",
    "second": "Second",
    "class": "Class",
    "arm": "Arm",
    "scope": "Scope",
    "metric": "Metric",
    "statistic": "Statistic",
    "n": "n",
    "n_readers": "Readers",
    "value": "Estimate",
    "lower": "95 % from",
    "upper": "to",
    "method": "Method",
    "first_auc": "AUC, first",
    "second_auc": "AUC, second",
    "first_value": "First",
    "second_value": "Second",
    "both_right": "Both right",
    "first_only": "Only first right",
    "second_only": "Only second right",
    "both_wrong": "Both wrong",
    "p_value": "p",
    "p_exact": "p (McNemar, exact)",
    "p_holm": "p (Holm)",
    "p_chi_squared": "p (chi-squared, as in the paper)",
    "is_mixed": "Label against ratings",
    "is_hard_label": "Hard label",
    "notes": "Notes",
    "n_expected": "Expected",
    "n_answered": "Answered",
    "n_missing": "Missing",
    "n_unreadable": "Unreadable",
    "n_repeats": "Repeats",
}

#: Keys of classes' averages and of statistics -> words.
WORDS = {
    "macro": "mean over classes",
    "weighted": "weighted by prevalence",
    "micro": "micro-average",
    "hand_till": "Hand and Till",
    "percent_agreement": "percent agreement",
    "cohen_kappa": "Cohen's kappa",
    "fleiss_kappa": "Fleiss' kappa",
    "conger_kappa": "Conger's kappa",
    "brennan_prediger": "Brennan-Prediger",
    "krippendorff_alpha": "Krippendorff's alpha",
    "gwet_ac1": "Gwet's AC1",
    "auc": "AUC",
    "between": "all readers",
    "pair": "two readers",
    "within": "same reader, again",
    "RRRC": "random readers, random cases",
    "FRRC": "these readers, random cases",
    "RRFC": "random readers, these cases",
}


def draw_table(
    table: pd.DataFrame, columns: Sequence[str], names: Mapping[str, str], *, value_title: str = "Estimate"
) -> None:
    """Draw some columns of a table, keys replaced by names.

    Parameters
    ----------
    table : rows of a table of the analysis
    columns : which columns, in this order; those that the table lacks or that are empty are left out
    names : class and participant keys -> names
    value_title : str
        What the column ``value`` is here, for example "Difference".
    """
    kept = [name for name in columns if name in table.columns and not _is_empty(table[name])]
    shown = table[kept].copy()
    words = {**WORDS, **names}
    for column in kept:
        if not pd.api.types.is_numeric_dtype(shown[column]):
            shown[column] = shown[column].map(lambda cell: words.get(cell, cell) if isinstance(cell, str) else cell)
    config: dict[Literal["_index"] | str, Any] = {}
    for column in kept:
        title = value_title if column == "value" else TITLES.get(column, column)
        if column.startswith("p_"):
            config[column] = st.column_config.NumberColumn(title, format="%.3g")
        elif pd.api.types.is_float_dtype(shown[column]):
            config[column] = st.column_config.NumberColumn(title, format="%.3f")
        else:
            config[column] = st.column_config.Column(title)
    st.dataframe(shown, hide_index=True, column_config=config, width="stretch")


def _is_empty(column: pd.Series) -> bool:
    """Whether a column says nothing in any row."""
    return bool((column.isna() | (column.astype(str) == "")).all())
