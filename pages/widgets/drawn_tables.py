"""Tables of the analysis as people read them: titles for columns, names for keys, sensible digits. CSV keeps all.

An estimate and its interval are one column, a pair is "first − second", and what a table's rows have to say stands
above them: a note in a last column is the one that nobody reads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from actions.export_study import csv_file
from core.number_text import cell_text
from core.report.table_words import WORDS as PRINTED_WORDS
from core.report.table_words import in_words
from core.study_analysis.planned import EXPLORATORY
from pages.widgets.plain_text import plain
from pages.widgets.shown import Shown

#: Column of the analysis -> title on screen.
TITLES = {
    "name": "Participant",
    "pair": "First − second",
    "first": "First",
    "second": "Second",
    "class": "Class",
    "arm": "Arm",
    "scope": "Scope",
    "metric": "Figure",
    "quantity": "Number",
    "statistic": "Statistic",
    "n": "n",
    "n_readers": "Readers",
    "estimate": "Estimate (95 %)",
    "method": "Method",
    "first_auc": "AUC of the first",
    "second_auc": "of the second",
    "first_value": "Value of the first",
    "second_value": "of the second",
    "both_right": "Both right",
    "first_only": "Only first right",
    "second_only": "Only second right",
    "both_wrong": "Both wrong",
    "p_value": "p",
    "p_exact": "p (McNemar)",
    "p_clustered": "p (between patients)",
    "p_holm": "p (Holm)",
    "p_chi_squared": "p (chi-squared)",
    "is_mixed": "Label against ratings",
    "is_hard_label": "Hard label",
    "row_note": "Note",
    "notes": "Notes",
    "n_expected": "Expected",
    "n_answered": "Answered",
    "n_missing": "Missing",
    "n_unreadable": "Unreadable",
    "n_repeats": "Repeats",
    "match": "Made equal",
    "matched_at": "at",
    "level": "Part",
    "answer": "Answers",
    "positive_from": "Positive when",
}

#: Keys of classes' averages, of statistics and of scopes -> words, as in print; in the columns of KEYED alone.
WORDS = {
    **PRINTED_WORDS,
    **{key: in_words(key) for key in ("auc", "ppv", "npv", "percent_agreement")},
    "all": "all classes",
}

#: Columns of keys; what stands in any other is shown as it was typed, also where it looks like a key.
KEYED = ("scope", "statistic")
_OF_CLASSES, _OF_RATERS = ("class", "truth"), ("first", "second")

#: Stands in a cell that has nothing to say.
NOTHING = "–"

#: Up to so many rows a table is drawn whole, up to so many it scrolls; beyond, texts no longer wrap.
WHOLE_UP_TO, WRAPPED_UP_TO = 40, 400
SCROLLED_HEIGHT = 560
#: A note of one row with more letters than this stands above the table, where there are not more marks than that.
LONG_NOTE, MOST_MARKS = 40, 12
#: More notes than this that differ in a number of cases alone are one.
MOST_ALIKE = 3
#: So many comparisons with a margin are told at once, the panel before single readers.
MOST_SENTENCES = 6


def draw_table(
    table: pd.DataFrame,
    columns: Sequence[str],
    shown: Shown | None = None,
    titles: Mapping[str, str] | None = None,
) -> None:
    """Draw some columns of a table, keys of classes and raters replaced by their names.

    Parameters
    ----------
    table : rows of a table of the analysis
    columns : which columns, in this order; "pair" is the names of both, "row_note"
        the note of this row alone; those that the table lacks or that are empty are left out, and the arm where there
        is one
    shown : what is drawn, for its names
    titles : columns -> what they are called here, where that differs from :data:`TITLES`
    """
    full = _with_joined_columns(table)
    has_arms = shown is None or shown.has_arms
    columns = [name for name in columns if name in full.columns and (name != "arm" or has_arms)]
    kept = [name for name in columns if not _is_empty(full[name])]
    called = {**TITLES, **(titles or {})}
    texts = pd.DataFrame({called.get(name, name): _texts(full[name], name, _words(name, shown)) for name in kept})
    if len(texts) <= WRAPPED_UP_TO:
        height: Any = "content" if len(texts) <= WHOLE_UP_TO else SCROLLED_HEIGHT
        st.table(texts.map(plain).rename(columns=plain), hide_index=True, border="horizontal", height=height)
    else:
        st.dataframe(texts, hide_index=True, width="stretch")


def _words(column: str, shown: Shown | None) -> Mapping[str, str]:
    """Key -> name of what stands in a column."""
    if column in _OF_CLASSES:
        return WORDS if shown is None else {**WORDS, **shown.labels}
    if column in _OF_RATERS:
        return {} if shown is None else shown.names
    return WORDS if column in KEYED else {}


def side_by_side(rows: pd.DataFrame, keys: Sequence[str], column: str, value: str = "estimate") -> pd.DataFrame:
    """One row for each value of the keys and one column for each value of ``column``, in the order of the rows."""
    wide = rows.pivot_table(index=list(keys), columns=column, values=value, aggfunc="first", sort=False)
    return rows[list(keys)].drop_duplicates().merge(wide.reset_index(), on=list(keys), how="inner")


def draw_notes(table: pd.DataFrame, *, but: Collection[str] = ()) -> list[str]:
    """What several rows of a table have to say, before their numbers; what only some say has a mark that they carry.

    Parameters
    ----------
    table : rows of a table of the analysis
    but : lines that stand on the screen already

    Returns
    -------
    list of str
        The lines, drawn or not.
    """
    lines = [f"{mark} {_with_titles(note)}".strip() for note, mark in _shared_notes(table).items()]
    drawn = [line for line in lines if line not in but]
    if drawn:
        st.warning(drawn[0] if len(drawn) == 1 else "\n".join(f"- {line}" for line in drawn), icon=":material/info:")
    return lines


def _with_titles(note: str) -> str:
    """A note that names columns as the screen does."""
    return re.sub(r"\bp_\w+", lambda found: TITLES.get(found[0], found[0]), note)


def draw_stamp(shown: Shown, measure: str) -> None:
    """Whether what follows was planned; the report prints the same words beside it."""
    stamp = shown.stamp(measure)
    is_planned = stamp != EXPLORATORY
    st.badge(stamp, icon=":material/task_alt:" if is_planned else ":material/explore:",
             color="green" if is_planned else "gray")  # fmt: skip


def draw_margin(shown: Shown) -> None:
    """What the margin says, under its own stamp; nothing where there is none."""
    sentences = [plain(re.sub(r"p (=|<) (?=\d)", "p\u00a0\\1\u00a0", one)) for one in shown.found.margin_answer]
    if not sentences:
        return
    draw_stamp(shown, "margin")
    st.markdown("  \n".join(f"**{sentence}**" for sentence in sentences[:MOST_SENTENCES]))
    if more := sentences[MOST_SENTENCES:]:
        with st.expander(f"{len(more)} more comparisons with the margin"):
            st.markdown("  \n".join(more))


def draw_files(files: Mapping[str, pd.DataFrame], shown: Shown) -> None:
    """One menu with the tables behind a view as CSV; each is made when it is asked for.

    Parameters
    ----------
    files : mapping
        What the menu calls a table -> its rows; empty ones are left out.
    shown : Shown
        Names the files.
    """
    kept = {name: table for name, table in files.items() if len(table)}
    if not kept:
        return
    with st.popover("CSV", icon=":material/download:", help="the tables behind this view"):
        for name, table in kept.items():
            st.download_button(
                f"{name[:1].upper()}{name[1:]} · {len(table)} rows",
                partial(_csv, name, table),
                file_name=f"{shown.study.key}_{shown.cohort}_{re.sub(r'[^A-Za-z0-9]+', '_', name)}.csv",
                mime="text/csv",
                key=f"csv {name}",
                on_click="ignore",
                type="tertiary",
            )


def _csv(name: str, table: pd.DataFrame) -> bytes:
    """A table as the export writes it, without what only the screen adds."""
    return csv_file(name, table.drop(columns="label", errors="ignore")).content


def _with_joined_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its pair and its own notes as one column each."""
    full = table.copy()
    if "first_name" in table.columns:
        first, second = (table[f"{side}_name"] + _arms(table, side) for side in ("first", "second"))
        full["pair"] = first.where(table["second_name"] == "", first + " − " + second)
    if "notes" in table.columns:
        marks, same = _shared_notes(table), _merged(table)
        full["row_note"] = [
            "; ".join(
                part for part in dict.fromkeys(marks.get(same[note], same[note]) for note in _split(cell)) if part
            )
            for cell in table["notes"]
        ]
    return full


def _arms(table: pd.DataFrame, side: str) -> pd.Series:
    """ " (aided)" where the pairs of a table are of more than one arm."""
    columns = [name for name in ("first_arm", "second_arm") if name in table.columns]
    arms = {arm for name in columns for arm in table[name] if arm}
    if len(arms) < 2:
        return pd.Series("", index=table.index)
    return table[f"{side}_arm"].map(lambda arm: f" ({arm})" if arm else "")


def _split(notes: str) -> list[str]:
    """The notes of a cell."""
    return [note for note in notes.split(" | ") if note]


def _shared_notes(table: pd.DataFrame) -> dict[str, str]:
    """Notes of several rows, and long ones of a single row, with the mark of those that do not hold for all."""
    same = _merged(table)
    counts = Counter(note for cell in table["notes"] for note in {same[each]: None for each in _split(cell)})
    of_some = [note for note, count in counts.items() if 1 < count < len(table)]
    of_one = [note for note, count in counts.items() if count == 1 < len(table) and len(note) > LONG_NOTE]
    if len(of_some) + len(of_one) <= MOST_MARKS:
        of_some = [note for note in counts if note in {*of_some, *of_one}]
    return {note: "" for note, count in counts.items() if count == len(table)} | {
        note: f"[{number}]" for number, note in enumerate(of_some, start=1)
    }


def _merged(table: pd.DataFrame) -> dict[str, str]:
    """Note -> what stands for it: of many that differ in a number alone one without it, for the numbers are in n."""
    notes = dict.fromkeys(note for cell in table["notes"] for note in _split(cell))
    without = {note: re.sub(r"^\d+ (?=cases\b)", "some ", note) for note in notes}
    counts = Counter(without.values())
    return {note: text if counts[text] > MOST_ALIKE else note for note, text in without.items()}


def _texts(column: pd.Series, name: str, words: Mapping[str, str]) -> list[str]:
    """Cells as texts."""

    def cell(value: Any) -> str:
        text = (words.get(value, value) if isinstance(value, str) else cell_text(value, name)) or NOTHING
        return text.replace(" ", "\u00a0") if _ESTIMATE.fullmatch(text) else text  # stays on one line

    return [cell(value) for value in column.tolist()]


#: An estimate with its interval, or a small p value.
_ESTIMATE = re.compile(r"−?[\d.]+ \(−?[\d.]+ to −?[\d.]+\)°?|< [\d.]+")


def _is_empty(column: pd.Series) -> bool:
    """Whether a column says nothing in any row."""
    return bool((column.isna() | (column.astype(str) == "")).all())
