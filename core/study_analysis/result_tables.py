"""A study's results as tidy tables: what screens show, CSV exports write and the command line prints.

Column order and names are the contract of ``docs/statistics.md``; columns are only ever added. Each table is declared
once, in :data:`TABLES`: its name, the rows that a cohort gives, and its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import pandas as pd

from core.number_text import DIGITS, SECONDS_DIGITS
from core.statistics.roc import roc_band
from core.study_analysis.case_description import CaseDescription
from core.study_analysis.data import FLAGS
from core.study_analysis.results import BETWEEN_PATIENTS, CohortAnalysis, PairComparison
from core.study_analysis.table_columns import (
    COHORT,
    ESTIMATE,
    NOTES,
    PAIR,
    WALD,
    WHO,
    ResultTable,
    Row,
    count,
    estimate_columns,
    estimate_of_test,
    flag,
    joined_notes,
    number,
    text,
)


def tables(cohorts: Sequence[CohortAnalysis], description: CaseDescription) -> dict[str, pd.DataFrame]:
    """Every table of :data:`TABLES`, with rows in the order of the results; an empty table keeps its columns."""
    found = {table.name: table.frame(cohorts) for table in TABLES}
    return found | {table.name: table.frame([description]) for table in CASE_TABLES}


# -------------------------------------------------------------------------------------------------- one participant
def _cases(cohort: CohortAnalysis) -> Iterator[Row]:
    for key in cohort.class_counts:
        yield Row(cohort=cohort, key=key)


def _participants(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.participants:
        yield Row(cohort=cohort, who=one.identity, one=one)


def _summary(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.participants:
        for quantity, estimate in one.quantities.items():
            yield Row(cohort=cohort, who=one.identity, quantity=quantity, estimate=estimate)


def _per_class(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.participants:
        for of_class in one.classes:
            shares = of_class.shares()
            for quantity, estimate in of_class.quantities.items():
                numerator, denominator = shares.get(quantity, (None, None))
                yield Row(
                    cohort=cohort, who=one.identity, key=of_class.class_key, quantity=quantity, numerator=numerator,
                    denominator=denominator, estimate=estimate,
                )  # fmt: skip


def _confusion(cohort: CohortAnalysis) -> Iterator[Row]:
    keys = list(cohort.class_counts)
    for one in cohort.participants:
        if one.confusion is None:
            continue
        for truth, row in zip(keys, one.confusion.tolist(), strict=True):
            total = sum(row)
            for answer, cell in zip(keys, row, strict=True):
                share = cell / total if total else None
                yield Row(cohort=cohort, who=one.identity, truth=truth, answer=answer, count=cell, row_share=share)


def _auc(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.participants:
        found = [(each.class_key, each.is_hard_label, each.auc) for each in one.classes]
        found += [(average, not one.has_ratings, estimate) for average, estimate in one.auc_averages.items()]
        for key, is_hard_label, estimate in found:
            yield Row(cohort=cohort, who=one.identity, key=key, is_hard_label=is_hard_label, estimate=estimate)


def _roc_points(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.participants:
        curves = [(of_class.class_key, of_class.roc) for of_class in one.classes]
        for key, roc in [*curves, ("macro", one.macro_roc)]:
            if roc is None:
                continue
            columns = [roc.false_positive_rate, roc.sensitivity, roc.threshold]
            band = None if roc.curve is None else roc_band(roc.curve, confidence_level=cohort.confidence_level)
            limits = [[None] * roc.threshold.size] * 4
            if band is not None:
                edges = (band.sensitivity_lower, band.sensitivity_upper, band.rate_lower, band.rate_upper)
                limits = [edge.tolist() for edge in edges]
            points = zip(*(column.tolist() for column in columns), *limits, strict=True)
            for point, (rate, sensitivity, threshold, *edges_at) in enumerate(points):
                yield Row(
                    cohort=cohort, who=one.identity, key=key, is_hard_label=not roc.is_curve,
                    point=point, false_positive_rate=rate, sensitivity=sensitivity, edges=edges_at,
                    threshold=threshold if abs(threshold) != float("inf") else None,  # "above every rating": no number
                )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- two of them
def _mcnemar(cohort: CohortAnalysis) -> Iterator[Row]:
    for pair in cohort.comparisons:
        if pair.table is not None:
            yield Row(cohort=cohort, one=pair, cells=pair.table, estimate=pair.difference, more_notes=pair.notes)


def _of_pair_test(name: str, what: str) -> Callable[[Row], Any]:
    """A number of one of a pair's tests, which may be absent."""

    def get(row: Row) -> float | None:
        pair: PairComparison = row.one
        return getattr(pair.tests.get(name), what, None)

    return get


def _delong(cohort: CohortAnalysis) -> Iterator[Row]:
    for pair in cohort.comparisons:
        for area in pair.auc:
            estimate = estimate_of_test(area.test, pair.n_common, cohort.confidence_level)
            yield Row(cohort=cohort, one=pair, area=area, estimate=estimate)


def _predictive_values(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.predictive_values:
        estimate = estimate_of_test(one.test, one.n_common, cohort.confidence_level)
        yield Row(cohort=cohort, one=one, estimate=estimate)


def _marginal_tests(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.marginal_tests:
        estimate = estimate_of_test(one.test, one.n, cohort.confidence_level)
        yield Row(cohort=cohort, one=one, estimate=estimate)


# ---------------------------------------------------------------------------------------------------- several readers
def _agreement(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in (*cohort.agreement, *cohort.agreement_with_model, *cohort.repeats):
        yield Row(cohort=cohort, one=one, estimate=one.estimate)


def _mrmc(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.mrmc:
        estimate = estimate_of_test(one.test, one.n_cases, cohort.confidence_level)
        yield Row(cohort=cohort, one=one, estimate=estimate)


def _dbm(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.dbm:
        estimate = estimate_of_test(one.test, one.n_cases, cohort.confidence_level)
        yield Row(cohort=cohort, one=one, estimate=estimate)


def _panel_means(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.panel_means:
        yield Row(cohort=cohort, one=one, estimate=one.estimate)


def _mrmc_components(cohort: CohortAnalysis) -> Iterator[Row]:
    seen = set()
    for one in (*cohort.mrmc, *cohort.dbm):
        key = (one.analysis, one.class_key, one.metric, one.arm, one.first, one.second, one.covariance)
        if key in seen:
            continue  # the scopes of one comparison share their components
        seen.add(key)
        for component, value in one.components.items():
            yield Row(cohort=cohort, one=one, component=component, value=value)


def _df1(row: Row) -> float | None:
    """Numerator degrees of freedom of F, or those of chi-squared, of the test that all arms are equal."""
    freedom = getattr(row.one.overall, "degrees_of_freedom", None)
    return freedom[0] if isinstance(freedom, tuple) else freedom


def _df2(row: Row) -> float | None:
    """Degrees of freedom of t, or of the denominator of F; none where they are infinite (normal, chi-squared)."""
    freedom = row.one.test.degrees_of_freedom
    if not row.one.second:  # all arms at once: F has both, chi-squared has none here
        freedom = freedom[1] if isinstance(freedom, tuple) else None
    return _finite(freedom)


def _finite(number: float | None) -> float | None:
    """A number; none where it is infinite: degrees of freedom of the normal, a threshold beyond every rating."""
    return number if number is not None and isfinite(number) else None


def _reader_average_roc(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.reader_average_roc:
        points = zip(one.curve.false_positive_rate.tolist(), one.curve.sensitivity.tolist(), strict=True)
        for point, (rate, sensitivity) in enumerate(points):
            yield Row(cohort=cohort, one=one, point=point, false_positive_rate=rate, sensitivity=sensitivity)


def _margins(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.margins:
        verdict = one.verdict
        difference = replace(verdict.difference, method=verdict.method)
        notes = tuple(filter(None, (verdict.reason, difference.reason, *difference.notes, *one.notes)))
        yield Row(cohort=cohort, one=one, estimate=replace(difference, reason=None, notes=notes))


# ------------------------------------------------------------------------------------ probabilities, points and parts
def _with_identity(of: Callable[[CohortAnalysis], Sequence[Any]]) -> Callable[[CohortAnalysis], Iterator[Row]]:
    """Rows of results that have an identity and an estimate."""

    def rows(cohort: CohortAnalysis) -> Iterator[Row]:
        for one in of(cohort):
            yield Row(cohort=cohort, who=one.identity, one=one, estimate=one.estimate)

    return rows


def _reliability_bins(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.reliability_bins:
        yield Row(cohort=cohort, who=one.identity, one=one, estimate=one.found.observed)


def _aid_ledger_averages(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.aid_ledger_averages:
        yield Row(cohort=cohort, one=one)


def _lroc_points(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.lroc_curves:
        points = zip(one.false_positive_rate.tolist(), one.lesions_hit.tolist(), one.threshold.tolist(), strict=True)
        for point, (rate, hit, threshold) in enumerate(points):
            yield Row(cohort=cohort, who=one.identity, point=point, false_positive_rate=rate, lesions_hit=hit,
                      threshold=threshold)  # fmt: skip


def _matched_points(cohort: CohortAnalysis) -> Iterator[Row]:
    for one in cohort.matched_points:
        yield Row(cohort=cohort, one=one, estimate=one.found.difference, more_notes=one.notes)


# ------------------------------------------------------------------------------------------------------- declarations
_CLASS = text("class", "one.class_key")
_CLASS_OF_ROW = text("class", "key")
_TEST = (number("statistic", "one.test.statistic"), number("p_value", "one.test.p_value"))
_P_HOLM = number("p_holm", "one.p_holm")
_SIDES = (text("first", "one.first"), text("second", "one.second"))
_SIDE_NAMES = (text("first_name", "one.first_name"), text("second_name", "one.second_name"))
_SIDE_VALUES = (number("first_value", "one.first_value"), number("second_value", "one.second_value"))
_COMPARISON = (COHORT, text("analysis", "one.analysis"), _CLASS, text("metric", "one.metric"))
_SCOPE, _ARM, _QUANTITY = text("scope", "one.scope"), text("arm", "one.arm"), text("quantity", "one.quantity")
_LEADS = flag("is_leading", "one.is_leading")
_N_READERS = count("n_readers", "one.n_readers")
_BAND = tuple(
    number(name, lambda row, at=at: row.edges[at])  # type: ignore[misc]
    for at, name in enumerate(("sensitivity_lower", "sensitivity_upper", "rate_lower", "rate_upper"))
)
_FLAG_COUNTS = tuple(
    count(f"n_{name.removeprefix('is_')}", lambda row, name=name: row.one.flags.get(name, 0))  # type: ignore[misc]
    for name in FLAGS
)
_POINT = (count("point"), number("false_positive_rate"), number("sensitivity"))
_MULTIREADER_TEST = (
    number("statistic", "one.test.statistic"), number("df1", _df1), number("df2", _df2),
    number("p_value", "one.test.p_value"), _P_HOLM,
)  # fmt: skip
_OVERALL = (
    number("overall_statistic", lambda row: getattr(row.one.overall, "statistic", None)),
    text("overall_method", lambda row: getattr(row.one.overall, "method", "")),
)

TABLES: tuple[ResultTable, ...] = (
    ResultTable("cases", _cases, (
        COHORT, text("class", "key"),
        count("n", lambda row: row.cohort.class_counts[row.key]),
        count("n_excluded", lambda row: row.cohort.excluded_counts[row.key]),
        count("n_patients", lambda row: row.cohort.class_patients[row.key]),
    )),
    ResultTable("missing", _participants, (
        *WHO, count("n_expected", "one.n_expected"), count("n_answered", "one.n_cases"),
        count("n_missing", "one.n_missing"), count("n_unreadable", "one.n_unreadable"),
        count("n_repeats", "one.n_repeats"), flag("has_ratings", "one.has_ratings"),
        text("notes", lambda row: joined_notes(*row.one.notes)),
    )),
    ResultTable("summary", _summary, (*WHO, text("quantity"), *ESTIMATE, NOTES)),
    ResultTable("per_class", _per_class, (
        *WHO, _CLASS_OF_ROW, text("quantity"), count("numerator"), count("denominator"), *ESTIMATE, NOTES,
    )),
    ResultTable("confusion", _confusion, (*WHO, text("truth"), text("answer"), count("count"), number("row_share"))),
    ResultTable("auc", _auc, (*WHO, _CLASS_OF_ROW, flag("is_hard_label"), *ESTIMATE, NOTES)),
    ResultTable("roc_points", _roc_points, (
        *WHO, _CLASS_OF_ROW, flag("is_hard_label"), *_POINT, number("threshold"), *_BAND,
    )),
    ResultTable("mcnemar", _mcnemar, (
        *PAIR,
        count("both_right", lambda row: row.cells[0, 0]), count("first_only", lambda row: row.cells[0, 1]),
        count("second_only", lambda row: row.cells[1, 0]), count("both_wrong", lambda row: row.cells[1, 1]),
        *ESTIMATE,
        number("p_exact", _of_pair_test("mcnemar_exact", "p_value")),
        number("p_mid", _of_pair_test("mcnemar_mid_p", "p_value")), _P_HOLM,
        number("chi_squared", _of_pair_test("chi_squared", "statistic")),
        number("p_chi_squared", _of_pair_test("chi_squared", "p_value")),
        number("p_chi_squared_yates", _of_pair_test("chi_squared_yates", "p_value")), NOTES,
        number("p_clustered", _of_pair_test(BETWEEN_PATIENTS, "p_value")),
    )),
    ResultTable("delong", _delong, (
        *PAIR, text("class", "area.class_key"), number("first_auc", "area.first_auc"),
        number("second_auc", "area.second_auc"), flag("is_mixed", "area.is_mixed"), *ESTIMATE,
        number("statistic", "area.test.statistic"), number("p_value", "area.test.p_value"),
        number("p_holm", "area.p_holm"), NOTES, *WALD,
    )),
    ResultTable("agreement", _agreement, (
        COHORT, _ARM, _SCOPE, *_SIDES, text("statistic", "one.statistic"), _N_READERS, *ESTIMATE, NOTES,
    )),
    ResultTable("mrmc", _mrmc, (
        *_COMPARISON, _SCOPE, _ARM, *_SIDES, *_SIDE_VALUES, _N_READERS, *ESTIMATE, *_MULTIREADER_TEST,
        text("covariance", "one.covariance"), NOTES, *_SIDE_NAMES, *_OVERALL, _LEADS, *WALD,
    )),
    ResultTable("panel_means", _panel_means, (
        COHORT, _CLASS, text("metric", "one.metric"), _SCOPE, _ARM, _N_READERS, *ESTIMATE,
        number("df", lambda row: _finite(row.one.degrees_of_freedom)), NOTES, _LEADS,
    )),
    ResultTable("mrmc_components", _mrmc_components, (
        *_COMPARISON, _ARM, *_SIDES, text("covariance", "one.covariance"), text("component"), number("value"),
    )),
    ResultTable("dbm", _dbm, (
        *_COMPARISON, _SCOPE, *_SIDES, *_SIDE_VALUES, _N_READERS, *ESTIMATE, *_MULTIREADER_TEST, NOTES, *_OVERALL,
        _LEADS, *WALD,
    )),
    ResultTable("marginal_tests", _marginal_tests, (
        COHORT, _ARM, text("test", "one.test.method"), *PAIR[1:], count("n_participants", "one.n_participants"),
        count("n", "one.n"), number("statistic", "one.test.statistic"),
        number("degrees_of_freedom", "one.test.degrees_of_freedom"), number("p_value", "one.test.p_value"), _P_HOLM,
        text("state", lambda row: row.one.test.state.value), NOTES,
    )),
    ResultTable("operating_points", _with_identity(lambda cohort: cohort.operating_points), (
        *WHO, _CLASS, _QUANTITY, number("threshold", "one.threshold"), *ESTIMATE, NOTES,
    )),
    ResultTable("reader_average_roc", _reader_average_roc, (
        COHORT, _ARM, _CLASS, count("n_readers", "one.curve.n_readers"),
        count("n_hard_labels", "one.curve.n_hard_labels"), number("area", "one.curve.area"), *_POINT,
        count("n", "one.n_cases"), text("notes", lambda row: joined_notes(*row.one.notes)),
    )),
    ResultTable("predictive_values", _predictive_values, (
        *PAIR, _CLASS, _QUANTITY, *_SIDE_VALUES, *ESTIMATE, *_TEST, _P_HOLM,
        number("p_leisenring", "one.p_leisenring"), NOTES,
    )),
    ResultTable("margins", _margins, (
        *_COMPARISON, _SCOPE, _ARM, *_SIDES, *_SIDE_NAMES, text("goal", "one.verdict.goal"),
        number("margin", "one.verdict.margin"), *ESTIMATE, number("p_value", "one.verdict.p_value"),
        flag("is_shown", "one.verdict.is_shown"), NOTES,
    )),
    ResultTable("calibration", _with_identity(lambda cohort: cohort.calibration), (
        *WHO, _CLASS, _QUANTITY, *ESTIMATE, number("p_value", "one.p_value"), NOTES,
    )),
    ResultTable("reliability_bins", _reliability_bins, (
        *WHO, _CLASS, count("bin", "one.number"), number("bin_lower", "one.found.lower"),
        number("bin_upper", "one.found.upper"), number("mean_probability", "one.found.mean_probability"), *ESTIMATE,
        NOTES,
    )),
    ResultTable("decision_curves", _with_identity(lambda cohort: cohort.decision_curves), (
        *WHO, _CLASS, number("threshold", "one.threshold"), _QUANTITY, *ESTIMATE, NOTES,
    )),
    ResultTable("rating_cutoffs", _with_identity(lambda cohort: cohort.rating_cutoffs), (
        *WHO, _CLASS, number("cutoff", "one.cutoff"), _QUANTITY, *ESTIMATE, NOTES,
        text("positive_from", "one.positive_from"),
    )),
    ResultTable("matched_points", _matched_points, (
        *PAIR, _CLASS, text("match", "one.found.match"), number("matched_at", "one.found.matched_at"),
        number("threshold", lambda row: _finite(row.one.found.threshold)),
        number("first_value", "one.found.model.value"),
        number("first_lower", "one.found.model.lower"), number("first_upper", "one.found.model.upper"),
        number("second_value", "one.found.reader_value"), count("n_readers", "one.found.n_readers"), *ESTIMATE, NOTES,
    )),
    ResultTable("subgroups", _with_identity(lambda cohort: cohort.subgroups), (
        *WHO, text("variable", "one.variable"), text("level", "one.level"), _CLASS, _QUANTITY, _N_READERS, *ESTIMATE,
        NOTES,
    )),
    ResultTable("localisation", _with_identity(lambda cohort: cohort.localisation), (
        *WHO, _QUANTITY, *ESTIMATE, NOTES,
    )),
    ResultTable("lroc_points", _lroc_points, (
        *WHO, count("point"), number("false_positive_rate"), number("lesions_hit"), number("threshold"),
    )),
    ResultTable("deviations", _participants, (
        *WHO, count("n_answered", "one.n_cases"), count("n_missing", "one.n_missing"),
        count("n_unreadable", "one.n_unreadable"), count("n_repeats", "one.n_repeats"), *_FLAG_COUNTS,
    )),
    ResultTable("confidence", _with_identity(lambda cohort: cohort.confidence), (
        *WHO, count("step", "one.number"), number("confidence_lower", "one.lower"),
        number("confidence_upper", "one.upper"), number("confidence_mean", "one.mean"), *ESTIMATE, NOTES,
    )),
    ResultTable("reading_order", _with_identity(lambda cohort: cohort.reading_order), (
        *WHO, count("quarter", "one.quarter"), _QUANTITY,
        *estimate_columns(lambda row: SECONDS_DIGITS if row.one.quantity == "seconds" else DIGITS), NOTES,
    )),
    ResultTable("aid_ledger", _with_identity(lambda cohort: cohort.aid_ledger), (
        *WHO, text("shown", "one.shown"), text("variable", "one.variable"), text("level", "one.level"), _QUANTITY,
        count("count", "one.count"), count("of", "one.of"), text("experience", "one.experience"), *ESTIMATE, NOTES,
    )),
    ResultTable("aid_ledger_averages", _aid_ledger_averages, (
        COHORT, text("shown", "one.shown"), text("variable", "one.variable"), text("level", "one.level"), _QUANTITY,
        text("experience", "one.experience"), _N_READERS, count("count", "one.count"), count("of", "one.of"),
        number("mean", "one.mean"), number("lowest", "one.lowest"), number("highest", "one.highest"),
    )),
    ResultTable("case_outcomes", lambda cohort: (Row(cohort=cohort, one=one) for one in cohort.case_outcomes), (
        COHORT, text("case", "one.case"), text("truth", "one.truth"), _ARM, _N_READERS, count("n_right", "one.n_right"),
        text("model", "one.model"), flag("is_model_right", "one.is_model_right"), text("outcome", "one.outcome"),
    )),
    ResultTable("reading_times", _with_identity(lambda cohort: cohort.reading_times), (
        *WHO, text("answer", "one.answer"), *estimate_columns(lambda _: SECONDS_DIGITS), NOTES,
    )),
)  # fmt: skip


def _each(of: Callable[[CaseDescription], Sequence[Any]]) -> Callable[[CaseDescription], Iterator[Row]]:
    """A row for every item of a description of the cases."""
    return lambda description: (Row(one=one) for one in of(description))


_OF_COHORT = text("cohort", "one.cohort")
_N_CASES = count("n_cases", "one.n_cases")

#: The tables of all cases, answered or not.
CASE_TABLES: tuple[ResultTable, ...] = (
    ResultTable("flow", _each(lambda found: found.flow), (
        text("step", "one.step"), _OF_COHORT, text("what", "one.what"), _N_CASES, count("n_patients", "one.n_patients"),
    )),
    ResultTable("baseline", _each(lambda found: found.baseline), (
        _OF_COHORT, text("variable", "one.variable"), text("level", "one.level"), count("n", "one.n"),
        count("of", "one.of"), number("share", "one.share"), number("value", "one.value"), number("lower", "one.lower"),
        number("upper", "one.upper"), number("spread", "one.spread"),
    )),
    ResultTable("groups_by_class", _each(lambda found: found.groups), (
        _OF_COHORT, text("variable", "one.variable"), text("level", "one.level"), _CLASS, _N_CASES,
    )),
    ResultTable("shared_patients", _each(lambda found: found.shared_patients), (
        text("first", "one.first"), text("second", "one.second"),
        count("n_patients", lambda row: len(row.one.patients)),
        text("patients", lambda row: " | ".join(row.one.patients)),
    )),
)  # fmt: skip

#: Table name -> its columns, in order.
COLUMNS = {table.name: tuple(column.name for column in table.columns) for table in (*TABLES, *CASE_TABLES)}
