"""STARD 2015, STARD-AI 2025 and CLAIM 2024 for a study: what its record answers, and what the author must write.

The items are in this project's own words (``core/report/data/PROVENANCE.md``).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from core.natural_order import NaturalKey, natural_key
from core.protocol import Comparison, Design
from core.report.study_record import StudyRecord, card_text, readers_of, versions
from core.report.table_words import in_words

#: What stands where the record has no answer.
AUTHOR = "The author must write this."
_AND_AUTHOR = " The author completes this."
_LONGEST = 300  # letters of a field of a model's card; the section Models has it whole


@dataclass(frozen=True)
class ChecklistItem:
    """One item, answered as far as the record goes."""

    checklist: str
    item: str
    section: str
    must_report: str
    answer: str
    is_open: bool  # whether the author must write or complete it


@lru_cache(maxsize=1)
def _items() -> tuple[dict[str, str], ...]:
    text = (resources.files("core.report") / "data" / "checklists.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def checklists(record: StudyRecord) -> dict[str, list[ChecklistItem]]:
    """Every item of every list, by list."""
    found: dict[str, list[ChecklistItem]] = {}
    for row in _items():
        told = ANSWERS[row["topic"]](record) if row["topic"] else ""
        is_open = row["software_knows"] != "yes" or not told
        answer = f"{told}{_AND_AUTHOR if is_open else ''}" if told else AUTHOR
        found.setdefault(row["checklist"], []).append(
            ChecklistItem(row["checklist"], row["item"], row["section"], row["must_report"], answer, is_open)
        )
    return found


# ------------------------------------------------------------------------------------------- what a record answers
def _field(name: str, words: str = "{}") -> Callable[[StudyRecord], str]:
    """A text of the protocol; "" where it is empty."""

    def told(record: StudyRecord) -> str:
        value = getattr(record.protocol, name, "") if record.protocol is not None else ""
        return words.format(value.rstrip(".")) + "." if value else ""

    return told


def _section(name: str) -> Callable[[StudyRecord], str]:
    """Where in the report it stands."""
    return lambda record: f"Section {name} of this report."


def _here(text: str, section: str = "") -> Callable[[StudyRecord], str]:
    """True of every study whose readings were made with this program; "" of others."""
    more = f" Section {section} of this report." if section else ""
    return lambda record: f"{text}{more}" if record.is_blinded_here else ""


def _endpoints(record: StudyRecord) -> str:
    protocol = record.protocol
    if protocol is None or not (protocol.primary_endpoint or protocol.secondary_endpoints):
        return ""
    told = [f"Primary: {protocol.primary_endpoint}."] if protocol.primary_endpoint else []
    told += [f"Secondary: {'; '.join(protocol.secondary_endpoints)}."] if protocol.secondary_endpoints else []
    return " ".join(told + ([f"Margin {protocol.margin:g}."] if protocol.margin is not None else []))


def _levels(column: str, words: str) -> Callable[[StudyRecord], str]:
    """The levels of a column of the cases."""

    def told(record: StudyRecord) -> str:
        cases = record.data.cases
        found = sorted(set(cases.loc[cases[column] != "", column]), key=natural_key)
        shown = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
        return f"{words}: {shown}." if found else ""

    return told


def _exclusions(record: StudyRecord) -> str:
    steps = [one for one in record.analysis.description.flow if one.step == "excluded"]
    reasons = "; ".join(f"{one.what} ({one.n_cases})" for one in steps)
    return f"Excluded: {reasons}." if reasons else "No case was excluded after import."


def _classes(record: StudyRecord) -> str:
    return f"Classes: {', '.join(one.label for one in record.data.classes)}."


def _class_counts(record: StudyRecord) -> str:
    labels = {one.key: one.label for one in record.data.classes}
    return " ".join(
        f"Cohort {one.cohort}: " + ", ".join(f"{labels[key]} {n}" for key, n in one.class_counts.items()) + "."
        for one in record.analysis.cohorts
    )


def _blinding(record: StudyRecord) -> str:
    """What readers saw; "" where the readings were made elsewhere."""
    if not record.is_blinded_here or record.protocol is None:
        return ""
    text = "In this program readers saw neither reference standard, other answers, file names nor metadata of images."
    if record.protocol.design is not Design.UNAIDED:
        text += " In the aided arm they saw the model's answer."
    if record.protocol.training_cohort is not None:
        text += " Of the training cases they were told the right answer."
    return f"{text} Section Methods of this report."


def _sealed(record: StudyRecord) -> str:
    """When the reference standard was there, and who could compare."""
    if not record.is_blinded_here or record.protocol is None:
        return ""
    text = "The reference standard was imported before the first reading"
    if record.protocol.comparison is Comparison.LIVE:
        return f"{text}; coordinators could compare it with answers while reading went on, and each look was logged."
    return f"{text} and sealed until the study was unsealed."


def _subgroups(record: StudyRecord) -> str:
    """By what the cases and readers were parted."""
    found = sorted({one.variable for cohort in record.analysis.cohorts for one in cohort.subgroups})
    return f"Table subgroups of the export, by {', '.join(map(in_words, found))}." if found else ""


def _cutoffs(record: StudyRecord) -> str:
    scale = record.protocol.scale if record.protocol is not None else None
    words = f" Confidence: {', '.join(scale.words)}." if scale is not None and scale.words else ""
    model = " The class with the highest probability is the model's answer." if record.model_cards else ""
    return f"{_classes(record)}{words}{model}"


def _models(record: StudyRecord) -> str:
    told = []
    for key, card in record.model_cards.items():
        size = f", input {card['input_size']} pixels" if card.get("input_size") else ""
        told.append(f"{card.get('name', key)}: {card.get('architecture', 'unknown architecture')}{size}, "
                    f"SHA-256 {key[:12]}")  # fmt: skip
    return "; ".join(told) + "." if told else ""


def _card(field: str, words: str) -> Callable[[StudyRecord], str]:
    """A field of every model's card."""

    def told(record: StudyRecord) -> str:
        given = [card[field] for card in record.model_cards.values() if card.get(field) not in (None, "", {})]
        found = sorted({card_text(value, _LONGEST) for value in given})
        return f"{words}: {'; '.join(found)}." if found else ""

    return told


def _index_test(record: StudyRecord) -> str:
    question = f'Readers: "{record.protocol.question}" (section Methods).' if record.protocol is not None else ""
    return " ".join(filter(None, (question, _models(record), "Section Models." if record.model_cards else "")))


def _by_name(counted: tuple[str, int]) -> NaturalKey:
    return natural_key(counted[0])


def _readers(record: StudyRecord) -> str:
    readers, years = readers_of(record), record.data.reader_years
    if not readers:
        return ""
    told = [f"{len(readers)} readers took part"]
    told += [f"{min(years.values()):g} to {max(years.values()):g} years of experience"] if years else []
    for words, values in (
        ("specialty", [one.specialty for one in readers]),
        ("site", [one.site for one in readers]),
        ("used such a model before", [one.used_model for one in readers]),
    ):
        counts = Counter(value for value in values if value)
        told += (
            [f"{words}: " + ", ".join(f"{value} {n}" for value, n in sorted(counts.items(), key=_by_name))]
            if counts
            else []
        )
    return "; ".join(told) + ". Section Readers of this report."


def _sample_size(record: StudyRecord) -> str:
    planned = record.protocol.planned if record.protocol is not None else None
    if planned is None or (planned.n_readers is None and planned.n_cases is None):
        return ""
    run = " The power run is kept in the protocol." if planned.power_run else ""
    return f"Planned: {planned.n_readers or '?'} readers, {planned.n_cases or '?'} cases.{run}"


def _unreadable(record: StudyRecord) -> str:
    n = sum(one.n_unreadable for cohort in record.analysis.cohorts for one in cohort.participants)
    return (f"{n} answers said that the image cannot be read: counted and left out, with a worst and a best case in "
            "section Missing answers.")  # fmt: skip


def _missing(record: StudyRecord) -> str:
    n = sum(one.n_missing for cohort in record.analysis.cohorts for one in cohort.participants)
    return (f"{n} answers are missing: never taken for wrong, pairs are compared on the cases that both answered, with "
            "a worst and a best case in section Missing answers.")  # fmt: skip


def _external(record: StudyRecord) -> str:
    names = [one.cohort for one in record.analysis.cohorts if "external" in one.cohort.casefold()]
    return f"Cohorts {', '.join(names)} beside each other in Table 1 and in section Results." if names else ""


def _internal(record: StudyRecord) -> str:
    is_there = any(one.cohort == "internal" for one in record.analysis.cohorts)
    return "Section Results, cohort internal." if is_there else ""


def _limits(record: StudyRecord) -> str:
    """What the data themselves warn of."""
    told = ["Synthetic images or simulated readers." if record.is_synthetic or record.data.simulated else ""]
    n = len(set(record.data.readings["reader"]))
    told.append(f"{n} readers cannot represent readers in general." if 0 < n < 5 else "")
    centres = set(record.data.cases["centre"]) - {""}
    told.append("One centre." if len(centres) == 1 else "")
    told.append("Not blinded by this program." if not record.is_blinded_here else "")
    told.append("The model was not declared before reading: exploratory." if _is_undeclared(record) else "")
    return " ".join(filter(None, told))


def _is_undeclared(record: StudyRecord) -> bool:
    return record.is_blinded_here and bool(record.model_cards) and record.data.declared_model is None


def _shared(record: StudyRecord) -> str:
    shared = [one for one in record.analysis.description.shared_patients if one.patients]
    if not shared:
        return "No patient has cases in two cohorts of this study; whom the model was trained on is not known here."
    return "; ".join(f"{len(one.patients)} patients are in both {one.first} and {one.second}" for one in shared) + "."


def _versions(record: StudyRecord) -> str:
    return "; ".join(f"{name} {number}" for name, number in versions().items()) + "."


_MEASURES = "Accuracy, sensitivity, specificity, PPV, NPV, F1, AUC, Cohen's kappa; averages over classes by name."
_STATISTICS = (
    "Wilson intervals, DeLong's areas and comparisons, McNemar's and Tango's for paired accuracy, Obuchowski-Rockette "
    "for several readers, Holm's correction; every number of the tables names its method."
)
#: Topic of an item -> what a record says to it; "" where it says nothing.
ANSWERS: Mapping[str, Callable[[StudyRecord], Any]] = {
    "measures": lambda record: _MEASURES,
    "answer": lambda record: "The numbers stand in section In short, in sentences to quote.",
    "intended_use": _field("intended_use"),
    "endpoints": _endpoints,
    "exclusions": _exclusions,
    "centres": _levels("centre", "Centres"),
    "scanners": _levels("scanner", "Scanners"),
    "index_test": _index_test,
    "reference": _classes,
    "class_counts": _class_counts,
    "cutoffs": _cutoffs,
    "blinding": _blinding,
    "reference_sealed": _sealed,
    "statistics": lambda record: _STATISTICS,
    "unreadable": _unreadable,
    "missing": _missing,
    "planned": _here("Each result is marked planned or exploratory.", "Results"),
    "subgroups": _subgroups,
    "sample_size": _sample_size,
    "flow": _section("Flow of cases"),
    "baseline": _section("Flow of cases, Table 1"),
    "confusion": _section("Results, confusion matrices"),
    "accuracy": _section("Results"),
    "failures": lambda record: "Cases that model, readers or both failed on: table case_outcomes of the export.",
    "adverse": _here("None is possible from reading stored images."),
    "limits": _limits,
    "registration": _field("registration"),
    "funding": _field("funding"),
    "ethics": _field("ethics"),
    "protocol": lambda record: (f"Protocol version {record.protocol_version}, in the export as protocol.yaml."
                                if record.protocol is not None else ""),
    "synthetic": lambda record: "Synthetic images or simulated readers took part." if record.is_synthetic else "",
    "preprocessing": _card("preprocessing", "Preprocessing of the model"),
    "initialisation": _card("initialisation", "Initial weights"),
    "training": _card("recipe", "Recipe"),
    "development": _models,
    "model": _models,
    "readers": _readers,
    "external": _external,
    "internal": _internal,
    "deidentified": _here("Import keeps pixels and strips metadata; ids are of the import; text in pixels stays."),
    "partitions": lambda record: f"Cohorts: {', '.join(one.cohort for one in record.analysis.cohorts)}.",
    "disjoint": _shared,
    "explain": lambda record: "Class maps (Grad-CAM) of the model, with faithfulness." if record.model_cards else "",
    "availability": lambda record: "The export holds readings, predictions, tables, protocol and hashes.",
    "stored": _here("Predictions with the model's hash, append-only readings, a signed audit trail, and an export that "
                    "verifies itself."),
    "versions": _versions,
}  # fmt: skip
