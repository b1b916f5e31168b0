"""Whether a result was planned: named by the protocol that stood before the first reading, or exploratory.

A result is planned where an endpoint, or a sentence of the analysis plan, names its measure. Where the same text names
cohorts, only these are planned; where it names classes, the stamp says of which. A model that was not declared makes
everything exploratory, as does a study without a protocol here. The screens and the report print the same stamp.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from core.protocol import Protocol

EXPLORATORY = "exploratory"

#: What is held against the endpoints: measure -> words that name it, whole ("process" names no ROC).
MEASURES = {
    "accuracy": r"accuracy|accuracies|correct|correctly|right answers?|answered right",
    "class": r"sensitivity|sensitivities|specificity|specificities|recall|predictive|ppv|npv",
    "auc": r"aucs?|aurocs?|roc|areas? under",
    "agreement": r"agreement|kappas?|krippendorff\w*",
    "calibration": r"calibration|brier",
    "time": r"times?|seconds|durations?",
    "localisation": r"locali[sz]ation|locali[sz]ed|lroc|marks?",
    "margin": r"(non-?)?inferior\w*|equivalen\w*|margins?",
}
#: Measures that are of one class at a time.
_BY_CLASS = ("class", "auc", "calibration")


def stamp_of(
    protocol: Protocol | None, measure: str, *, is_declared: bool, cohort: str = "", cohorts: Sequence[str] = ()
) -> str:
    """ "planned: primary endpoint", or "exploratory".

    Parameters
    ----------
    protocol : Protocol, optional
        As it stood before the first reading; none of readings made elsewhere.
    measure : str
        One of :data:`MEASURES`.
    is_declared : bool
        Whether the model was named before reading, or no model took part.
    cohort : str
        The cohort of the result.
    cohorts : sequence of str
        All cohorts of the study.
    """
    if protocol is None or not is_declared:
        return EXPLORATORY
    for place, texts in _places(protocol, measure):
        fitting = [text for text in texts if _names(text, MEASURES[measure]) and _is_of(text, cohort, cohorts)]
        if fitting:
            classes = [_classes(protocol, text) for text in fitting] if measure in _BY_CLASS else [[]]
            only = "" if [] in classes else ", ".join(dict.fromkeys(name for found in classes for name in found))
            return f"planned: {place}{f', of {only} alone' if only else ''}"
    return EXPLORATORY


def _places(protocol: Protocol, measure: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Where a protocol names what is planned: an endpoint is one text, a plan one a sentence."""
    yield "primary endpoint", (protocol.primary_endpoint,)
    yield "secondary endpoint", protocol.secondary_endpoints
    yield "analysis plan", re.split(r"[.;]\s|\n", protocol.analysis_plan)
    if measure == "margin" and protocol.margin is not None:
        yield "margin of the protocol", ("margin",)


def _names(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w)({words})(?!\w)", text, re.IGNORECASE) is not None


def _is_of(text: str, cohort: str, cohorts: Sequence[str]) -> bool:
    """Whether a text is of this cohort: it names it, or none."""
    named = [name for name in cohorts if _names(text, re.escape(name))]
    return not named or cohort in named


def _classes(protocol: Protocol, text: str) -> list[str]:
    """Labels of the classes that a text names."""
    found = []
    for each in protocol.classes:
        words = [re.escape(word) for word in (each.key, each.label, each.short_label, *each.aliases)]
        if _names(text, "|".join(words)):
            found.append(each.label)
    return found
