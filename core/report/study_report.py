"""The report of a study: what was planned, what happened, what was found, and what must be said with it.

:func:`report_blocks` builds it from a :class:`StudyRecord` once; :mod:`core.report.document` prints it as HTML and PDF.
Every number is one of the analysis, in the strings of the screens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from core.analysis import CohortAnalysis, ParticipantAnalysis
from core.natural_order import natural_key
from core.number_text import percent_text
from core.protocol_text import methods_text
from core.report.checklists import checklists
from core.report.document import Block, Heading, Listing, Paragraph, Picture, texts_of
from core.report.figures import FigurePlan, figure_plans, figure_texts, render
from core.report.file_names import file_part
from core.report.letters import letters_of
from core.report.printed_tables import PrintedTable, cohort_parts, paper_tables, printed_table
from core.report.study_record import NOT_BLINDED_HERE, StudyRecord, card_text, readers_of, versions
from core.study_analysis.localisation import LROC_METHOD
from core.study_analysis.planned import stamp_of

WIDTH_MM = 174
_LONGEST = 3000  # letters of a field of a model's card
_MOST_ROWS = 60  # of a table in the report; the export has them all
_PAIR_COLUMNS = ("first", "second", "n", "estimate", "p_exact", "p_clustered", "p_holm", "notes")
_SYNTHETIC = "Synthetic images or simulated readers took part: nothing here says anything about patients."
_RESEARCH = "Research use only. Not a medical device."


def report_blocks(record: StudyRecord, drawn: Mapping[str, bytes] | None = None) -> list[Block]:
    """The whole report.

    Parameters
    ----------
    record : StudyRecord
    drawn : mapping of str to bytes, optional
        SVG figures that are :data:`WIDTH_MM` wide, by their plan's name, where they were drawn already.
    """
    plans = [
        replace(plan, svg=(drawn or {}).get(plan.name))
        for plan in figure_plans(record.analysis, record.data.declared_model)
    ]
    blocks: list[Block] = [
        *_front(record), *_methods(record), *_flow(record, plans), *_readers(record), *_results(record, plans),
        *_missing(record), *_deviations(record), *_models(record), *_provenance(record), *_checklists(record),
    ]  # fmt: skip
    warning = letters_of([*texts_of(record.title, blocks), *figure_texts(record.analysis)]).warning
    return [Paragraph(warning, is_warning=True), *blocks] if warning else blocks


def undrawn_warning(record: StudyRecord) -> str:
    """What must be said where a report or figures are made, if no font has a letter of the study; "" else."""
    protocol = record.protocol
    texts = [record.title, *record.notes, *figure_texts(record.analysis)]
    return letters_of([*texts, *([] if protocol is None else [methods_text(protocol)])]).warning


# --------------------------------------------------------------------------------------------- what stands before all
def _front(record: StudyRecord) -> Iterator[Block]:
    if record.is_synthetic or record.data.simulated:
        yield Paragraph(_SYNTHETIC, is_warning=True)
    if not record.is_blinded_here:
        yield Paragraph(NOT_BLINDED_HERE, is_warning=True)
    yield Paragraph(f"Report of study '{record.key}'. {_RESEARCH}")
    for cohort in record.analysis.cohorts:
        if cohort.answer:
            yield Heading(f"In short: cohort {cohort.cohort}", 2, _stamp(record, "accuracy", cohort.cohort))
            yield Paragraph(" ".join(cohort.answer))
    yield from (Paragraph(note, is_warning=True) for note in record.notes)


def _stamp(record: StudyRecord, measure: str, cohort: str) -> str:
    """Whether a result of a cohort was planned."""
    return stamp_of(
        record.protocol, measure, is_declared=not record.model_cards or record.data.declared_model is not None,
        cohort=cohort, cohorts=list(dict.fromkeys(record.data.cases["cohort"])),
    )  # fmt: skip


def _methods(record: StudyRecord) -> Iterator[Block]:
    yield Heading("Methods")
    protocol = record.protocol
    if protocol is None:
        yield Paragraph(f"Readings from {record.source}. How they were made is not known to this program.")
    else:
        yield from (Paragraph(text) for text in methods_text(protocol).split("\n\n"))
        told = {
            "Protocol version": str(record.protocol_version), "Primary endpoint": protocol.primary_endpoint,
            "Secondary endpoints": "; ".join(protocol.secondary_endpoints), "Analysis plan": protocol.analysis_plan,
            "Margin": "" if protocol.margin is None else f"{protocol.margin:g}", "Intended use": protocol.intended_use,
            "Ethics": protocol.ethics, "Registration": protocol.registration, "Funding": protocol.funding,
        }  # fmt: skip
        rows = tuple((name, text or "not stated") for name, text in told.items())
        yield PrintedTable("protocol", "What the protocol says", ("Item", "Text"), rows)
    level = f"{100 * record.analysis.confidence_level:g} %"
    yield Paragraph(
        f"Intervals at {level}: Wilson for proportions, DeLong on the logit scale for areas, Tango for paired "
        "differences. Accuracy of pairs is compared by McNemar's exact test, areas by DeLong's, several readers by "
        "Obuchowski and Rockette with Hillis' degrees of freedom; p values are corrected by Holm within a family. "
        "Unanswered and unreadable cases are counted and never taken for wrong; pairs are compared on the cases that "
        "both answered."
    )
    if any(" between patients" in note for cohort in record.analysis.cohorts for one in cohort.participants
           for note in one.notes):  # fmt: skip
        yield Paragraph(
            "Some patients have several cases. Accuracy, sensitivity, specificity, predictive values, areas, pairs and "
            "several readers then have intervals and tests between patients; what still takes cases as independent "
            "says so in its note."
        )
    yield Paragraph(
        "Planned: the measure is named by the endpoints, the analysis plan or the margin of the protocol, which stood "
        "before the first reading, for this cohort where the same text names cohorts, and the model was declared in "
        "it. Everything else is exploratory."
    )


def _flow(record: StudyRecord, plans: Sequence[FigurePlan]) -> Iterator[Block]:
    yield Heading("Flow of cases")
    yield from _pictures(plans, "flow")
    for one in record.analysis.description.shared_patients:
        if one.patients:
            text = f"{len(one.patients)} patients have cases in both {one.first} and {one.second}."
            yield Paragraph(text, is_warning=True)
    yield from (table for table in paper_tables(record.analysis) if table.key == "table1")


def _readers(record: StudyRecord) -> Iterator[Block]:
    """Who read: what reviewers ask of readers, as each of them stated it before reading."""
    readers = readers_of(record)
    if not readers:
        return
    yield Heading("Readers")
    has_parts = len({(one.cohorts, one.arms) for one in readers}) > 1
    columns = ("Reader", "Specialty", "Years of experience", "Site", "Used such a model before",
               *(("Cohorts", "Arms") if has_parts else ()), "Answers")  # fmt: skip
    rows = tuple(
        (one.name, one.specialty or "not stated", one.years or "not stated", one.site or "not stated",
         one.used_model or "not stated", *((one.cohorts, one.arms) if has_parts else ()), str(one.n_answers))
        for one in readers
    )  # fmt: skip
    notes = ("Specialty, site and earlier use are not known of readings made elsewhere.",)
    yield PrintedTable("readers", "Who read", columns, rows, notes=() if record.is_blinded_here else notes)


def _pictures(plans: Sequence[FigurePlan], kind: str, cohort: str = "") -> Iterator[Block]:
    """A kind of figure of a cohort in all its parts, drawn for the page."""
    for plan in plans:
        if plan.cohort == cohort and plan.name.partition("_")[0] == kind:
            svg = plan.svg or render(plan, WIDTH_MM, ("svg",))["svg"]
            yield Picture(svg, plan.caption, WIDTH_MM)


# ------------------------------------------------------------------------------------------------------------- results
def _results(record: StudyRecord, plans: Sequence[FigurePlan]) -> Iterator[Block]:
    yield Heading("Results")
    tables = record.analysis.to_tables()
    printed = {table.key: table for table in paper_tables(record.analysis, record.data.declared_model, most_beside=0)}
    if not any(one.n_cases for cohort in record.analysis.cohorts for one in cohort.participants):
        yield Paragraph("Nobody has answered a case and no model has predicted one: there is no result to tell.")
    for cohort in record.analysis.cohorts:
        if not any(one.n_cases for one in cohort.participants):
            continue
        of_cohort = {name: table[table["cohort"] == cohort.cohort] for name, table in tables.items()
                     if "cohort" in table.columns}  # fmt: skip
        yield from _cohort(record, cohort, of_cohort, printed, plans)


def _cohort(
    record: StudyRecord,
    cohort: CohortAnalysis,
    tables: dict[str, pd.DataFrame],
    printed: dict[str, PrintedTable],
    plans: Sequence[FigurePlan],
) -> Iterator[Block]:
    """Results of one cohort, each with its stamp."""
    name = cohort_parts(record.analysis.cohorts)[cohort.cohort]
    yield Heading(f"Cohort {cohort.cohort}: accuracy", 2, _stamp(record, "accuracy", cohort.cohort))
    yield from (Paragraph(text) for text in cohort.answer)
    yield from (Paragraph(f"Note: {note}") for note in cohort.notes)
    yield from _or_why(_pictures(plans, "forest", cohort.cohort), "No accuracy can be stated: nobody chose a class.")
    yield from _pairs(record, tables["mcnemar"])
    if len(tables["margins"]):
        yield Heading(f"Cohort {cohort.cohort}: against the margin", 2, _stamp(record, "margin", cohort.cohort))
        yield from (Paragraph(text) for text in cohort.margin_answer)
        columns = ["metric", "class", "scope", "first_name", "second_name", "goal", "margin", "n", "estimate",
                   "p_value", "is_shown", "notes"]  # fmt: skip
        yield _short(printed_table(record.analysis, "margins", tables["margins"], columns))
    yield Heading(f"Cohort {cohort.cohort}: classes", 2, _stamp(record, "class", cohort.cohort))
    yield from (printed[key] for key in (f"table2_{name}", f"table4_{name}") if key in printed)
    yield from _or_why(_pictures(plans, "confusion", cohort.cohort), "No confusion matrix: nobody chose a class.")
    yield Heading(f"Cohort {cohort.cohort}: ROC and several readers", 2, _stamp(record, "auc", cohort.cohort))
    yield from _or_why(
        _pictures(plans, "roc", cohort.cohort),
        "No ROC curve: it needs answers to cases of a class and to cases of the others.",
    )
    leading = tables["mrmc"][tables["mrmc"]["is_leading"].fillna(False).astype(bool)]
    if len(leading):
        columns = ["metric", "class", "scope", "first_name", "second_name", "n_readers", "n", "estimate", "p_value",
                   "p_holm", "notes"]  # fmt: skip
        yield _short(printed_table(record.analysis, "mrmc", leading, columns))
    if len(tables["localisation"]):
        yield Heading(f"Cohort {cohort.cohort}: localisation", 2, _stamp(record, "localisation", cohort.cohort))
        yield _short(
            printed_table(
                record.analysis,
                "localisation",
                tables["localisation"],
                ["name", "arm", "quantity", "n", "estimate", "notes"],
            )
        )
        yield Paragraph(LROC_METHOD)
    if len(tables["agreement"]):
        yield Heading(f"Cohort {cohort.cohort}: agreement", 2, _stamp(record, "agreement", cohort.cohort))
        yield from _or_why(
            _pictures(plans, "agreement", cohort.cohort),
            "No agreement can be stated: too few cases were answered by two.",
        )
    if len(tables["calibration"]):
        yield Heading(
            f"Cohort {cohort.cohort}: calibration of probabilities", 2, _stamp(record, "calibration", cohort.cohort)
        )
        yield from _or_why(_pictures(plans, "calibration", cohort.cohort), "No bin holds a case.")
        columns = ["name", "class", "quantity", "n", "estimate", "p_value", "notes"]
        yield _short(printed_table(record.analysis, "calibration", tables["calibration"], columns))
    if len(tables["reading_times"]):
        yield Heading(f"Cohort {cohort.cohort}: reading time, seconds", 2, _stamp(record, "time", cohort.cohort))
        columns = ["name", "arm", "answer", "n", "estimate", "notes"]
        yield _short(printed_table(record.analysis, "reading_times", tables["reading_times"], columns))


def _or_why(blocks: Iterator[Block], why: str) -> Iterator[Block]:
    """Blocks, or in their place why there are none."""
    first = next(blocks, None)
    yield Paragraph(why) if first is None else first
    yield from blocks


def _pairs(record: StudyRecord, table: pd.DataFrame) -> Iterator[Block]:
    """Differences in accuracy, of models and readers by name and arm."""
    if not len(table):
        return
    has_arms = len((set(table["first_arm"]) | set(table["second_arm"])) - {""}) > 1
    sides = {}
    for side in ("first", "second"):
        named = zip(table[f"{side}_name"], table[f"{side}_arm"], strict=True)
        sides[side] = [f"{name}, {arm}" if arm and has_arms else name for name, arm in named]
    columns = [name for name in _PAIR_COLUMNS if name in (*table.columns, *sides)]
    yield _short(printed_table(record.analysis, "mcnemar", table.assign(**sides), columns))


def _short(table: PrintedTable) -> PrintedTable:
    """At most so many rows; the export has the rest."""
    if len(table.rows) <= _MOST_ROWS:
        return table
    more = f"{len(table.rows) - _MOST_ROWS} more rows stand in the export."
    return PrintedTable(
        table.key, table.title, table.columns, table.rows[:_MOST_ROWS], table.spans, (*table.notes, more)
    )


# --------------------------------------------------------------------------------------- what did not go to plan
def _missing(record: StudyRecord) -> Iterator[Block]:
    yield Heading("Missing answers")
    yield Paragraph(
        "Accuracy of the cases that were answered; below what it would be if every missing and unreadable answer had "
        "been wrong (worst case) or right (best case)."
    )
    rows = [
        (cohort.cohort, one.identity.label, str(one.n_expected), str(one.n_cases), str(one.n_missing),
         str(one.n_unreadable), *_cases_of(one))
        for cohort in record.analysis.cohorts for one in cohort.participants
    ]  # fmt: skip
    columns = (
        "Cohort",
        "Rater",
        "Expected",
        "Answered",
        "Missing",
        "Unreadable",
        "Accuracy",
        "Worst case",
        "Best case",
    )
    yield PrintedTable("missing", "Answers expected, given and missing", columns, tuple(rows))
    readings = record.tables.get("readings")
    if readings is not None and "unreadable_reason" in readings.columns:
        current = readings[readings["is_current"].astype(bool) & readings["is_unreadable"].astype(bool)]
        analysed = record.data.cases.loc[~record.data.cases["is_excluded"], "case"]
        current = current[(current["repeat"] == 1) & current["case"].isin(analysed)]
        reasons = Counter(
            str(reason).strip() or "no reason given" for reason in current["unreadable_reason"].fillna("")
        )
        if reasons:
            yield Paragraph("Reasons of unreadable cases:")
            yield Listing(tuple(f"{reason}: {reasons[reason]}" for reason in sorted(reasons, key=natural_key)))


def _cases_of(one: ParticipantAnalysis) -> tuple[str, str, str]:
    """Accuracy as answered, if all else were wrong, and if all else were right."""
    if one.confusion is None or not one.n_cases:
        return ("", "", "")
    right, lacking = int(one.confusion.trace()), one.n_missing + one.n_unreadable
    answered = int(one.confusion.sum())
    total = answered + lacking
    accuracy = percent_text(one.quantities["accuracy"].value)
    return accuracy, percent_text(right / total), percent_text((right + lacking) / total)


def _deviations(record: StudyRecord) -> Iterator[Block]:
    yield Heading("Deviations")
    if not record.is_blinded_here:
        yield Paragraph("Not known: the readings were made elsewhere.")
        return
    rows = tuple((one.what, str(one.count), one.detail) for one in record.deviations)
    yield PrintedTable("deviations", "What the readings and the audit trail say", ("What", "Count", "Detail"), rows)


def _models(record: StudyRecord) -> Iterator[Block]:
    if not record.model_cards:
        return
    yield Heading("Models")
    for key, card in record.model_cards.items():
        usual = "declared before reading" if key == record.data.declared_model else "exploratory"
        yield Heading(str(card.get("name", key)), 2, record.declarations.get(key, usual))
        rows = [("SHA-256", key), *((str(name), card_text(value, _LONGEST)) for name, value in card.items()
                                    if name not in ("name", "metrics"))]  # fmt: skip
        yield PrintedTable(f"model_{key[:8]}", "Model card", ("Field", "Value"), tuple(row for row in rows if row[1]))


def _provenance(record: StudyRecord) -> Iterator[Block]:
    yield Heading("Seeds, versions and options")
    options = {name: "none" if value is None else str(value) for name, value in record.options.items()}
    rows = (
        *(("Seed", f"{name}: {seed}") for name, seed in record.seeds.items()),
        *(("Version", f"{name} {number}") for name, number in versions().items()),
        *(("Option of the analysis", f"{name.replace('_', ' ')}: {value}") for name, value in options.items()),
    )
    yield PrintedTable("provenance", "With what the numbers were made", ("What", "Value"), rows)
    yield Paragraph("The analysis draws no random number: the same readings give the same numbers.")


def _checklists(record: StudyRecord) -> Iterator[Block]:
    yield Heading("Checklists")
    yield Paragraph(
        "Filled where the record of the study knows the answer; what the author must write or complete says so. The "
        "items are told in this program's own words: hold the manuscript against the published lists before it is sent."
    )
    for name, items in checklists(record).items():
        n_open = sum(one.is_open for one in items)
        yield Heading(name, 2)
        rows = tuple((one.item, one.section, one.must_report, one.answer) for one in items)
        note = f"{len(items) - n_open} of {len(items)} items are answered; {n_open} are left to the author."
        columns = ("Item", "Section", "Report", "Answer")
        yield PrintedTable(f"checklist_{file_part(name)}", f"Items of {name}", columns, rows, notes=(note,))
