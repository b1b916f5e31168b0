"""Tables as a paper prints them: the paper's own layouts (Tables 1, 2, 4 and 5), and every table of an analysis.

A :class:`PrintedTable` holds strings only, made by :mod:`core.number_text`; CSV, LaTeX, HTML and the report print them.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from core.analysis import CohortAnalysis, ParticipantAnalysis, StudyAnalysis
from core.number_text import estimate_text, number_text, shown_table
from core.report.file_names import file_parts
from core.report.table_layout import (
    MODERN_FACE,
    Paper,
    TableLayout,
    column_parts,
    kept_together,
    table_layout,
    word_pieces,
)
from core.report.table_words import KEY_COLUMNS, PERSON_COLUMNS, cell_in_words, heading, title
from core.statistics.result import Estimate
from core.study_analysis.case_description import ALL, BaselineRow
from core.typed_text import TURNS

#: Tables of points of curves, which are drawn and not printed.
CURVES = ("roc_points", "lroc_points", "reader_average_roc", "decision_curves")
#: Columns that a printed table leaves out; CSV and Excel have them all.
_NOT_PRINTED = ("kind", "participant", "first_kind", "second_kind", "first_participant", "second_participant",
                "confidence_level", "standard_error", "state", "covariance", "has_ratings", "wald_lower", "wald_upper",
                "overall_statistic", "overall_method")  # fmt: skip
#: What stands below a table once, where every row has the same.
_SAID_ONCE = ("method", "cohort", "arm", "scope", "analysis", "first_arm", "second_arm")
_MOST_RATERS, _MOST_BESIDE = 3, 12  # raters and columns side by side, as in the paper's Tables 4 and 5
_LONG = 40  # rows from which a table goes over several pages
_PERCENT = {"sensitivity": "Recall (%)", "specificity": "Specificity (%)", "ppv": "PPV (%)", "npv": "NPV (%)"}


@dataclass(frozen=True)
class PrintedTable:
    """A table of strings."""

    key: str  # file name without ending
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    spans: tuple[tuple[str, int], ...] = ()  # a header above the header: text and columns under it
    notes: tuple[str, ...] = ()

    @property
    def flat_columns(self) -> tuple[str, ...]:
        """One header for files without spans."""
        if not self.spans:
            return self.columns
        above = [text for text, width in self.spans for _ in range(width)]
        return tuple(f"{one}: {name}" if one else name for one, name in zip(above, self.columns, strict=True))

    def layout(self, paper: Paper) -> TableLayout:
        """How wide its columns are, as :func:`core.report.table_layout.table_layout` plans it."""
        return table_layout(self.columns, self.rows, paper)

    def parts(self, paper: Paper) -> list[PrintedTable]:
        """The table, or where it is wider than any page several of them with the same names of rows."""
        spans = tuple(width for _, width in self.spans)
        places = column_parts(self.columns, self.rows, paper, spans)
        if len(places) == 1:
            return [self]
        above = [number for number, width in enumerate(spans) for _ in range(width)]
        return [
            PrintedTable(
                self.key if number == 1 else f"{self.key}-{number}",
                f"{self.title} (columns, part {number} of {len(places)})",
                tuple(self.columns[at] for at in part),
                tuple(tuple(row[at] for at in part) for row in self.rows),
                tuple(self.spans[span] for span in dict.fromkeys(above[at] for at in part)) if spans else (),
                self.notes if number == len(places) else (),
            )
            for number, part in enumerate(places, start=1)
        ]

    def latex(self) -> str:
        """With booktabs; long tables with longtable, wide ones on a turned page."""
        return _latex(self)

    def html(self) -> str:
        """A table that word processors take over with its rules."""
        return _html(self)


# ------------------------------------------------------------------------------------------------ the paper's layouts
def paper_tables(
    analysis: StudyAnalysis, declared: str | None = None, *, most_beside: int = _MOST_RATERS
) -> list[PrintedTable]:
    """Table 1, and for each cohort Table 2 (models) and Table 4 or 5 (the declared model beside the readers; every
    model where none was declared).

    ``most_beside``: more raters than this stand below each other in Tables 4 and 5.
    """
    found = [baseline_table(analysis)] if analysis.description.baseline else []
    for cohort in analysis.cohorts:
        models = [one for one in cohort.participants if one.kind == "model" and one.has_labels and one.n_cases]
        readers = [one for one in cohort.participants if one.kind == "reader" and one.has_labels and one.n_cases]
        models.sort(key=lambda one: one.key != declared)
        if models:
            found.append(models_table(analysis, cohort, models))
        if readers:
            beside = models[:1] if models and models[0].key == declared else models  # which one leads, nobody said
            found.append(raters_table(analysis, cohort, [*beside, *readers], most_beside))
    return found


def baseline_table(analysis: StudyAnalysis) -> PrintedTable:
    """Table 1: who was studied."""
    rows = analysis.description.baseline
    cohorts = list(dict.fromkeys(row.cohort for row in rows))
    labels = {one.key: one.label for one in analysis.classes}
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        lines.setdefault((row.variable, row.level), {})[row.cohort] = _baseline_text(row)
    printed = tuple(
        (_baseline_name(variable, level, labels), *(of[cohort] for cohort in cohorts))
        for (variable, level), of in lines.items()
    )
    heads = tuple("All" if cohort == ALL else cohort for cohort in cohorts)
    return PrintedTable(
        "table1", "Patients and cases", ("Characteristic", *heads), printed,
        notes=("Age and sex are of patients, the other rows of cases; cases that were excluded are not counted.",),
    )  # fmt: skip


def _baseline_text(row: BaselineRow) -> str:
    if row.variable == "age":
        if row.value is None:
            return "not known"
        known = "" if row.n == row.of else f", n = {row.n}"
        if row.level == "mean":
            spread = "" if row.spread is None else f" ± {number_text(row.spread, 1)}"
            return f"{number_text(row.value, 1)}{spread}{known}"
        return f"{number_text(row.value, 1)} ({number_text(row.lower, 1)} to {number_text(row.upper, 1)}){known}"
    if row.variable in ("patients", "cases"):
        return str(row.n)
    return f"{row.n} ({number_text(100 * row.share, 1)} %)" if row.share is not None else str(row.n)


def _baseline_name(variable: str, level: str, labels: Mapping[str, str]) -> str:
    names = {("patients", ""): "Patients", ("cases", ""): "Cases", ("age", "mean"): "Age, years, mean ± SD",
             ("age", "median"): "Age, years, median (quartiles)", ("sex", "F"): "Female",
             ("sex", "M"): "Male", ("sex", ""): "Sex not known"}  # fmt: skip
    if (variable, level) in names:
        return names[variable, level]
    if variable == "class":
        return labels.get(level, level)
    return f"{variable.capitalize()}: {level or 'not known'}"


def models_table(
    analysis: StudyAnalysis, cohort: CohortAnalysis, models: Sequence[ParticipantAnalysis]
) -> PrintedTable:
    """The paper's Table 2: models by class."""
    rows = []
    for model in models:
        for place, disease in enumerate(analysis.classes):
            of_class = model.of_class(disease.key)
            measures = [_percent(of_class.quantities.get(name)) for name in _PERCENT]
            kappa = number_text(_value(model.quantities.get("kappa"))) if place == 0 else ""
            f1 = number_text(_value(of_class.quantities.get("f1")))
            name = model.name if place == 0 else ""
            rows.append((name, disease.label, *measures, number_text(of_class.auc.value), f1, kappa))
    return PrintedTable(
        f"table2_{cohort_parts(analysis.cohorts)[cohort.cohort]}", f"Performance of each model, cohort {cohort.cohort}",
        ("Model", "Class", *_PERCENT.values(), "AUC", "F1", "Kappa"), tuple(rows), notes=(_KAPPA,),
    )  # fmt: skip


_KAPPA = "Kappa: Cohen's, of the answers against the reference standard."


def raters_table(
    analysis: StudyAnalysis, cohort: CohortAnalysis, raters: Sequence[ParticipantAnalysis], most_beside: int
) -> PrintedTable:
    """The paper's Tables 4 and 5: a model beside the readers, by class, with intervals."""
    n_models = sum(one.kind == "model" for one in raters)
    key = f"table4_{cohort_parts(analysis.cohorts)[cohort.cohort]}"
    title = f"Performance of the model{'s' * (n_models > 1)} and the readers, cohort {cohort.cohort}"
    level = f"In brackets: {100 * cohort.confidence_level:g} % intervals."
    labels = [one.short_label for one in analysis.classes]
    names = [one.identity.label if one.arm and _has_arms(raters) else one.name for one in raters]
    if len(raters) > most_beside or len(raters) * len(labels) > _MOST_BESIDE:
        rows = [
            (name if place == 0 else "", label, *(text for _, text in _measures(one, disease.key, cohort)),
             _kappa(one) if place == 0 else "")
            for one, name in zip(raters, names, strict=True)
            for place, (disease, label) in enumerate(zip(analysis.classes, labels, strict=True))
        ]  # fmt: skip
        heads = tuple(head for head, _ in _measures(raters[0], analysis.classes[0].key, cohort))
        return PrintedTable(key, title, ("Rater", "Class", *heads, "Kappa"), tuple(rows), notes=(level, _KAPPA, _HARD))
    columns = [_measures(one, disease.key, cohort) for one in raters for disease in analysis.classes]
    lines = [(columns[0][at][0], *(column[at][1] for column in columns)) for at in range(len(columns[0]))]
    k = len(labels)
    kappas = [text for one in raters for text in (_kappa(one), *[""] * (k - 1))]
    return PrintedTable(
        key, title, ("Performance", *labels * len(raters)), (*lines, ("Kappa", *kappas)),
        spans=(("", 1), *((name, k) for name in names)), notes=(level, _KAPPA, _HARD),
    )  # fmt: skip


_HARD = "An AUC without ratings is (sensitivity + specificity) / 2 of the chosen class."


def _has_arms(raters: Sequence[ParticipantAnalysis]) -> bool:
    return len({one.arm for one in raters if one.arm}) > 1


def _measures(one: ParticipantAnalysis, key: str, cohort: CohortAnalysis) -> list[tuple[str, str]]:
    """Rows of the table for one rater and class."""
    of_class = one.of_class(key)
    shares = [(head, _percent(of_class.quantities.get(name), has_limits=True)) for name, head in _PERCENT.items()]
    f1 = of_class.quantities.get("f1")
    return [*shares, ("AUC", _with_limits(of_class.auc)), ("F1", number_text(_value(f1)))]


def _kappa(one: ParticipantAnalysis) -> str:
    estimate = one.quantities.get("kappa")
    return "" if estimate is None else _with_limits(estimate)


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _percent(estimate: Estimate | None, *, has_limits: bool = False) -> str:
    """97.7 (93.4 to 99.2): percent without its sign, which the head carries."""
    if estimate is None or estimate.value is None:
        return "undefined"
    text = number_text(100 * estimate.value, 1)
    if not has_limits or estimate.lower is None or estimate.upper is None:
        return text
    return f"{text} ({number_text(100 * estimate.lower, 1)} to {number_text(100 * estimate.upper, 1)})"


def _with_limits(estimate: Estimate) -> str:
    return estimate_text(estimate.value, estimate.lower, estimate.upper)


def cohort_parts(cohorts: Sequence[CohortAnalysis]) -> dict[str, str]:
    """Cohort -> its part of a file's name."""
    return file_parts(one.cohort for one in cohorts)


# ------------------------------------------------------------------------------------------- the tables of an analysis
def analysis_tables(analysis: StudyAnalysis) -> Iterator[PrintedTable]:
    """Every table that is printed: the strings of the screen, without columns that say nothing."""
    for name, table in analysis.to_tables().items():
        if name not in CURVES and len(table):
            yield printed_table(analysis, name, table)


def printed_table(
    analysis: StudyAnalysis, name: str, table: pd.DataFrame, columns: Sequence[str] | None = None
) -> PrintedTable:
    """A table of an analysis in words; methods and notes become footnotes, and what is the same in every row stands
    below once."""
    shown = shown_table(table)
    kept = _printed_columns(list(map(str, shown.columns))) if columns is None else list(columns)
    same: list[str] = []
    footnotes: dict[str, int] = {}
    for column in list(kept):
        values = set(shown[column])
        is_same = len(values) == 1 and (len(shown) > 1 or values == {""})
        if is_same and (values == {""} or column in _SAID_ONCE):
            kept.remove(column)
            if values != {""}:
                same.append(f"{heading(column)}: {_in_words(analysis, shown[[column]])[column].iloc[0]}.")
    told = [column for column in ("method", "notes") if column in kept]
    if told:
        marks = [_marks(dict(zip(told, cells, strict=True)), footnotes) for cells in shown[told].to_numpy().tolist()]
        shown = shown.assign(note=marks)
        kept = [*(column for column in kept if column not in told), "note"]
    rows = tuple(_in_words(analysis, shown)[kept].itertuples(index=False, name=None))
    notes = (*same, *(f"[{number}] {text}" for text, number in footnotes.items()))
    return PrintedTable(name, title(name), tuple(map(heading, kept)), rows, notes=notes)


def _printed_columns(columns: Sequence[str]) -> list[str]:
    """Columns of a table in print: names instead of keys, in the place of the keys."""
    kept = [column for column in columns if column not in _NOT_PRINTED]
    if {"first", "first_name"} <= set(kept):
        kept = [column for column in kept if column not in ("first_name", "second_name")]
        kept = [f"{column}_name" if column in ("first", "second") else column for column in kept]
    return kept


def _marks(cells: Mapping[str, str], footnotes: dict[str, int]) -> str:
    """Numbers of the footnotes of a row, which are found or made."""
    parts = [cells.get("method", ""), *cells.get("notes", "").split(" | ")]
    return " ".join(f"[{footnotes.setdefault(part, len(footnotes) + 1)}]" for part in parts if part)


def _in_words(analysis: StudyAnalysis, shown: pd.DataFrame) -> pd.DataFrame:
    """A table of texts with words for keys."""
    classes = {one.key: one.short_label for one in analysis.classes}
    people = {one.key: one.name for cohort in analysis.cohorts for one in cohort.participants}
    words = {
        column: shown[column].map({
            text: cell_in_words(text, column, classes if column != "answer" or "truth" in shown else {}, people)
            for text in set(shown[column])
        })
        for column in shown.columns if column in KEY_COLUMNS or column in PERSON_COLUMNS
    }  # fmt: skip
    if {"variable", "level"} <= set(shown.columns):  # a level is a key where the part is that of a class
        words["level"] = shown["level"].where(
            shown["variable"] != "class", shown["level"].map(lambda key: classes.get(key, key))
        )
    return shown.assign(**words)


# ------------------------------------------------------------------------------------------------------------- LaTeX
_TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": r"\textminus{}", "±": r"\textpm{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",
        "`": r"\textasciigrave{}", "≥": r"$\geq$", "≤": r"$\leq$", "→": r"$\rightarrow$", "×": r"\texttimes{}",
        "\u00a0": "~", "\n": " ", "\r": " ", "\t": " "}  # fmt: skip


_JOINERS = "\u200c\u200d"  # between the letters of some scripts; pdfLaTeX knows neither them nor these scripts


def without_turns(text: str) -> str:
    """A text as it is printed: no sign in it turns the direction of what follows; CSV keeps them."""
    return "".join(sign for sign in text if sign not in TURNS)


def tex_text(text: str) -> str:
    """A text that LaTeX prints as it is; after a line's end ``[`` and ``*`` would be read as its options."""
    kept = "" if _is_latin(text) else _JOINERS
    told = "".join(
        _TEX.get(sign, "" if unicodedata.category(sign) in ("Cc", "Cf") and sign not in kept else sign) for sign in text
    )
    return re.sub(r"([-',])(?=\1)", r"\1{}", told)  # else a dash, a double quote, in T1 a low one


#: Points of a class of 10 points, as wide as Computer Modern's letters are, which are the wider the smaller they are.
_TEX_SIZES = {9.3: r"\small", 8.5: r"\footnotesize", 8.0: r"\scriptsize"}
#: 160 and 240 mm.
TEX_PAPER = Paper(453.0, 680.0, tuple(_TEX_SIZES), 6.0, MODERN_FACE)
_BREAK = r"\allowbreak{}"


def _latex(table: PrintedTable) -> str:
    parts = table.parts(TEX_PAPER)
    plans = [part.layout(TEX_PAPER) for part in parts]
    is_long = [plan.is_turned or len(table.rows) > _LONG for plan in plans]
    packages = ["array", "booktabs", *(["longtable"] if any(is_long) else []),
                *(["pdflscape"] if any(plan.is_turned for plan in plans) else [])]  # fmt: skip
    lines = [rf"% needs \usepackage{{{','.join(packages)}}}", *_other_letters(table)]
    for part, plan, goes_on in zip(parts, plans, is_long, strict=True):
        lines += _tex_part(part, plan, is_long=goes_on)
    return "\n".join(lines) + "\n"


def _tex_part(table: PrintedTable, plan: TableLayout, *, is_long: bool) -> list[str]:
    """The lines of a table that fits a page."""
    heads = [*_tex_spans(table, plan), " & ".join(map(_tex_cell, table.columns)) + r" \\"]
    body = [" & ".join(map(_tex_cell, row)) + r" \\" for row in table.rows]
    places = "".join("l" if width is None else rf">{{\raggedright\arraybackslash}}p{{{width:.2f}pt}}"
                     for width in plan.widths)  # fmt: skip
    caption = rf"\caption{{{tex_text(table.title)}}}"
    label = rf"\label{{tab:{table.key}}}"
    size = rf"{_TEX_SIZES[plan.size]}\setlength{{\tabcolsep}}{{{TEX_PAPER.gap / 2:.0f}pt}}"
    notes = [rf"\par\smallskip\footnotesize\raggedright {tex_text(' '.join(table.notes))}\par"] if table.notes else []
    if is_long:
        lines = ["{" + size, rf"\begin{{longtable}}{{{places}}}", caption + label + r" \\", r"\toprule", *heads,
                 r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot", *body, r"\end{longtable}", *notes,
                 "}"]  # fmt: skip
        return [r"\begin{landscape}", *lines, r"\end{landscape}"] if plan.is_turned else lines
    return [r"\begin{table}", r"\centering", size, caption, label, rf"\begin{{tabular}}{{{places}}}", r"\toprule",
            *heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]  # fmt: skip


def _tex_spans(table: PrintedTable, plan: TableLayout) -> list[str]:
    """The header above the header: a name that is wider than the columns below it goes over several lines."""
    natural = [max(TEX_PAPER.face.width(text) for text in column) * plan.size
               for column in zip(table.columns, *table.rows, strict=True)]  # fmt: skip
    wide = [own if own is not None else found for own, found in zip(plan.widths, natural, strict=True)]
    cells, rules, at = [], [], 0
    for text, n in table.spans:
        room = sum(wide[at : at + n]) + TEX_PAPER.gap * (n - 1)
        place = (
            "c"
            if TEX_PAPER.face.width(text) * plan.size <= room
            else rf">{{\centering\arraybackslash}}p{{{room:.2f}pt}}"
        )
        cells.append(rf"\multicolumn{{{n}}}{{{place}}}{{{_tex_cell(text)}}}" if text else "")
        rules += [rf"\cmidrule(lr){{{at + 1}-{at + n}}}"] if text else []
        at += n
    return [" & ".join(cells) + r" \\", " ".join(rules)] if cells else []


def _tex_cell(text: str) -> str:
    """A cell that breaks where the plan of the table lets it."""
    parts = re.split(r"(\s+)", kept_together(text))
    return "".join(_BREAK.join(map(tex_text, word_pieces(part))) if part.strip() else tex_text(part) for part in parts)


def _is_latin(text: str) -> bool:
    """Whether pdfLaTeX knows every sign of it that is printed."""
    return all(ord(sign) < 0x180 or sign in _TEX or unicodedata.category(sign) == "Cf" for sign in text)


def _other_letters(table: PrintedTable) -> list[str]:
    """What must be said where letters stand in it that pdfLaTeX does not know without more packages."""
    texts = [table.title, *table.columns, *table.notes, *(text for text, _ in table.spans)]
    texts += [cell for row in table.rows for cell in row]
    return (
        []
        if all(map(_is_latin, texts))
        else ["% has letters beyond Latin: set it with XeLaTeX or LuaLaTeX and a font that has them"]
    )


# -------------------------------------------------------------------------------------------------------------- HTML
_RULE = "border-{side}:1.5pt solid black"
_CELL = "padding:1pt 4pt;text-align:left;vertical-align:top;font:8pt sans-serif"
_HEAD = f"{_CELL};font-weight:bold"
_HTML_PAPER = Paper(453.0, 680.0, (8.0,), 8.0)


def _html(table: PrintedTable) -> str:
    """Inline styles on every cell, which survive pasting into a word processor."""
    top, bottom, thin = _RULE.format(side="top"), _RULE.format(side="bottom"), "border-bottom:0.75pt solid black"
    parts = [f'<table style="border-collapse:collapse;{top};{bottom}">',
             f'<caption style="text-align:left;padding:4pt 4pt;font:bold 8pt sans-serif">{html_text(table.title)}'
             "</caption>", "<thead>"]  # fmt: skip
    if table.spans:
        cells = [f'<th colspan="{width}" style="{_HEAD};{thin if text else ""}">{html_text(text)}</th>'
                 for text, width in table.spans]  # fmt: skip
        parts.append(f"<tr>{''.join(cells)}</tr>")
    parts.append("<tr>" + "".join(f'<th style="{_HEAD};{thin}">{html_text(name)}</th>' for name in table.columns))
    parts.append("</tr></thead><tbody>")
    parts += ["<tr>" + "".join(f'<td style="{_CELL}">{html_text(cell)}</td>' for cell in row) + "</tr>"
              for row in table.rows]  # fmt: skip
    parts.append("</tbody></table>")
    parts += [f'<p style="font:8pt sans-serif;margin:2pt 4pt">{html_text(note)}</p>' for note in table.notes]
    return "\n".join(parts) + "\n"


def html_text(text: str) -> str:
    """A text that a browser shows as it is."""
    return html.escape(without_turns(text))


def html_page(table: PrintedTable) -> str:
    """A page of its own around a table, on its side where the table is wide."""
    plan = table.layout(_HTML_PAPER)
    side = "@page { size: A4 landscape; margin: 20mm }" if plan.is_turned else "@page { size: A4; margin: 20mm }"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html_text(table.title)}</title>'
        f"<style>{side}</style></head>\n"
        f'<body style="background:white;color:black">\n{table.html()}</body></html>\n'
    )
