"""The answer of a cohort in sentences that a physician can quote, made from the numbers of the analysis alone.

The screen, the report and the command line print these sentences; none of them words a result by itself. Up to
:data:`MOST_BY_NAME` readers of an arm are named one by one, more as their average with the scope that leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.number_text import estimate_text, p_words, percent_text, points_text
from core.statistics.auc_interval import HARD_LABEL_NOTE
from core.statistics.reader_study import Figure
from core.statistics.result import Estimate
from core.statistics.scope import Scope
from core.study_analysis.results import CohortAnalysis, MarginResult, MrmcResult, PairComparison, ParticipantAnalysis

#: So many readers of an arm are told one by one.
MOST_BY_NAME = 3
ACCURACY = "accuracy"

_POPULATION = {
    Scope.RRRC.value: "for readers like these, on cases like these",
    Scope.FRRC.value: "for these readers, on cases like these",
    Scope.RRFC.value: "for readers like these, on these cases",
}


def headline(cohort: CohortAnalysis, *, declared: str | None = None) -> tuple[str, ...]:
    """The answer in sentences, models against readers first, then aided against unaided reading.

    Parameters
    ----------
    cohort : CohortAnalysis
        One cohort of a study.
    declared : str, optional
        Key of the model that the protocol named before reading. It alone is told; without one every model is.

    Returns
    -------
    tuple of str
        At least one sentence; numbers that are undefined are called so.
    """
    models = [one for one in cohort.participants if one.kind == "model" and one.n_cases]
    models = [one for one in models if one.key == declared] or models
    readers = [one for one in cohort.participants if one.kind == "reader" and one.n_cases]
    if not models and not readers:
        return ("Nobody has answered a case of this cohort.",)
    arms = sorted({one.arm for one in readers}, key=lambda arm: (arm != "unaided", arm))
    first_arm = [one for one in readers if arms and one.arm == arms[0]]
    said_arm = f", reading {arms[0]}" if len(arms) > 1 else ""
    sentences = [_against(cohort, model, first_arm, said_arm) for model in models]
    if not models and len(first_arm) <= MOST_BY_NAME:
        parts = [_was_right(one, cohort, is_first=place == 0) for place, one in enumerate(first_arm)]
        sentences = [_sentence(parts)]
    elif not models:
        sentences = [_sentence([_panel(cohort, first_arm, is_first=True)])]
    return (*sentences, *_between_arms(cohort, arms))


def _against(cohort: CohortAnalysis, model: ParticipantAnalysis, readers: list[ParticipantAnalysis], arm: str) -> str:
    """A model, and the readers of one arm beside it; ``arm`` says which, where there are several."""
    parts = [f"the model {_was_right(model, cohort, is_first=True)}"]
    if not readers:
        parts.append("no reader has answered a case of this cohort")
    elif len(readers) <= MOST_BY_NAME:
        for reader in readers:
            pair = _pair(cohort, model, reader)
            gap = "" if pair is None else f", difference {_difference(pair, model, reader)}"
            parts.append(_was_right(reader, cohort, model.n_cases) + arm + gap)
    else:
        row = _mrmc(cohort, "model_vs_panel", model.key, readers[0].arm)
        parts.append(_panel(cohort, readers) + arm + _panel_difference(row) + _on_fewer(row, model, readers))
    return _sentence(parts)


def _was_right(
    one: ParticipantAnalysis, cohort: CohortAnalysis, n_said: int | None = None, *, is_first: bool = False
) -> str:
    """Name, share of right answers and its interval; how many cases, where that was not said yet."""
    accuracy = one.quantities.get(ACCURACY)
    if accuracy is None:
        return f"{one.name} gave ratings without a choice of class on {one.n_cases} cases"
    share = _share(accuracy, level=cohort.confidence_level if is_first else None)
    cases = "" if n_said == accuracy.n else f" of {accuracy.n} case{'' if accuracy.n == 1 else 's'}"
    return f"{one.name} {'was right ' if is_first else ''}in {share}{cases}"


def _share(estimate: Estimate, level: float | None = None) -> str:
    """94.4 % (92.1 to 96.1); the first of a sentence says what the brackets hold."""
    text = percent_text(estimate.value, estimate.lower, estimate.upper)
    return text if level is None else text.replace("(", f"({100 * level:g} % interval ", 1)


def _difference(pair: PairComparison, first: ParticipantAnalysis, second: ParticipantAnalysis) -> str:
    """8.4 points (5.3 to 11.6; p < 0.001), and on which cases where not on all of both."""
    gap, test = pair.difference, pair.leading_test
    text = _with_p(points_text(gap.value, gap.lower, gap.upper), None if test is None else test.p_value)
    is_all = pair.n_common == first.n_cases == second.n_cases
    return text if is_all else f"{text} on the {pair.n_common} cases that both answered"


def _panel(cohort: CohortAnalysis, readers: Sequence[ParticipantAnalysis], *, is_first: bool = False) -> str:
    """The average over the readers of an arm."""
    means = [one for one in cohort.panel_means if (one.metric, one.arm) == (ACCURACY, readers[0].arm)]
    mean = next((one for one in means if one.is_leading), None)
    n_readers = len(readers) if mean is None else mean.n_readers
    if mean is None or mean.estimate.value is None:
        return f"the {n_readers} readers have no average share of right answers"
    share = _share(mean.estimate, cohort.confidence_level if is_first else None)
    return f"the {n_readers} readers {'were right ' if is_first else ''}on average in {share}"


def _panel_difference(row: MrmcResult | None) -> str:
    """The difference from a panel with the population that its interval speaks of."""
    gap = None if row is None else row.test.difference
    if row is None or gap is None or gap.value is None:
        return ""
    text = _with_p(points_text(gap.value, gap.lower, gap.upper), row.test.p_value)
    return f", difference {text} {_POPULATION[row.scope]}"


def _on_fewer(row: MrmcResult | None, model: ParticipantAnalysis, readers: Sequence[ParticipantAnalysis]) -> str:
    """On which cases and readers a difference from a panel rests, where not on all of both."""
    gap = None if row is None else row.test.difference
    if row is None or gap is None or gap.value is None:
        return ""
    if row.n_readers == len(readers) and all(one.n_cases == row.n_cases for one in (model, *readers)):
        return ""
    return f" (of {row.n_readers} readers on {row.n_cases} cases: not all answered all)"


def _with_p(text: str, p: float | None, kind: str = "") -> str:
    """A difference with its p value, and what kind of one it is, inside the brackets of its interval."""
    words = p_words(p)
    return f"{text[:-1]}; {kind}{words})" if words and text.endswith(")") else text


def _between_arms(cohort: CohortAnalysis, arms: Sequence[str]) -> Iterator[str]:
    """Aided against unaided reading: on average over the readers, or of single readers where there is no panel."""
    if not {"aided", "unaided"} <= set(arms):
        return
    row = _mrmc(cohort, "arms", "aided")
    if row is not None and row.second == "unaided" and row.first_value is not None:
        who = f"the {row.n_readers} readers were right on average in {percent_text(row.first_value)}"
        parts = [f"with the model in view {who} of {row.n_cases} cases"]
        yield _sentence([*parts, f"without it in {percent_text(row.second_value)}{_panel_difference(row)}"])
        return
    for pair in cohort.comparisons:
        if (
            pair.table is not None
            and pair.first.key == pair.second.key
            and (pair.first.arm, pair.second.arm) == ("aided", "unaided")
        ):
            aided, unaided = (cohort.participant(one.key, one.arm) for one in (pair.first, pair.second))
            shares = [_share(one.quantities[ACCURACY]) for one in (aided, unaided)]
            parts = [f"with the model in view {aided.name} was right in {shares[0]}", f"without it in {shares[1]}"]
            yield _sentence([*parts, f"difference {_difference(pair, aided, unaided)}"])


def _pair(cohort: CohortAnalysis, model: ParticipantAnalysis, reader: ParticipantAnalysis) -> PairComparison | None:
    """The comparison of a model with a reader, where both chose classes."""
    for pair in cohort.comparisons:
        if pair.table is not None and (pair.first, pair.second) == (model.identity, reader.identity):
            return pair
    return None


def _mrmc(cohort: CohortAnalysis, analysis: str, first: str, arm: str = "") -> MrmcResult | None:
    """The leading row on accuracy of a multi-reader comparison."""
    for row in cohort.mrmc:
        if (row.analysis, row.metric, row.first, row.arm, row.is_leading) == (analysis, ACCURACY, first, arm, True):
            return row
    return None


def _sentence(parts: Sequence[str]) -> str:
    """Parts with a semicolon between them, as a sentence."""
    text = "; ".join(parts)
    is_name = not text.startswith(("the ", "with "))  # a name keeps its own letters
    return f"{text if is_name else text[:1].upper() + text[1:]}."


def margin_sentences(cohort: CohortAnalysis, *, declared: str | None = None) -> tuple[str, ...]:
    """Whether the margin was met: against the panel in the scope that leads, then against each reader.

    Parameters
    ----------
    cohort : CohortAnalysis
        One cohort of a study.
    declared : str, optional
        As of :func:`headline`: the margin was set for that model, so it alone is told where it is there.
    """
    leading = {
        (row.class_key, row.metric, row.scope, row.arm, row.first)
        for row in cohort.mrmc
        if row.is_leading and row.first
    }
    has_arms = len({one.arm for one in cohort.participants if one.arm}) > 1
    margins = [one for one in cohort.margins if one.first == declared] or list(cohort.margins)
    found = []
    for one in sorted(margins, key=lambda each: not each.scope):
        place = (one.class_key, one.metric, one.scope, one.arm, one.first)
        is_average = one.class_key in ("all", "macro") or len(cohort.class_counts) == 2
        if one.verdict.goal != "non-inferiority" or not is_average or (one.scope and place not in leading):
            continue
        arm = f", {one.arm}" if has_arms and not one.scope else ""  # a panel's name has it
        found.append(f"{one.first_name} against {one.second_name}{arm}, {_of_margin(one)}.")
    return tuple(found)


def _of_margin(one: MarginResult) -> str:
    """AUC: non-inferior at the margin of 0.05; difference 0.109 (0.089 to 0.129; one-sided p < 0.001) for ..."""
    verdict = {True: "non-inferior", False: "not shown to be non-inferior", None: "cannot be tested"}
    gap, is_auc = one.verdict.difference, one.metric == Figure.AUC
    margin = f"{one.verdict.margin:g}" if is_auc else f"{100 * one.verdict.margin:g} points"
    text = (estimate_text if is_auc else points_text)(gap.value, gap.lower, gap.upper)
    told = f"difference {_with_p(text, one.verdict.p_value, 'one-sided ')}"
    if one.scope:
        told += f" {_POPULATION[one.scope]}"
    if HARD_LABEL_NOTE in one.notes:
        told += "; the readers' AUC is of hard labels, which is lower by construction"
    return f"{'AUC' if is_auc else one.metric}: {verdict[one.verdict.is_shown]} at the margin of {margin}; {told}"
