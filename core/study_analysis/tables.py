"""A study's results as tidy tables: what screens show, CSV exports write and the command line prints.

Column order and names are the contract of ``docs/statistics.md``; columns are only ever added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from core.statistics.result import Estimate, TestResult
from core.study_analysis.results import (
    CohortAnalysis,
    Identity,
    MarginalTest,
    PairComparison,
    ParticipantAnalysis,
    PredictiveComparison,
)

_IDENTITY = ("cohort", "arm", "kind", "participant", "name")
_PAIR = tuple(f"{side}_{column}" for side in ("first", "second") for column in ("arm", "kind", "participant", "name"))
_ESTIMATE = ("n", "value", "standard_error", "lower", "upper", "confidence_level", "method", "state", "notes")

#: Table name -> its columns, in order.
COLUMNS: dict[str, tuple[str, ...]] = {
    "cases": ("cohort", "class", "n", "n_excluded", "n_patients"),
    "missing": (
        *_IDENTITY, "n_expected", "n_answered", "n_missing", "n_unreadable", "n_repeats", "has_ratings", "notes",
    ),
    "summary": (*_IDENTITY, "quantity", *_ESTIMATE),
    "per_class": (*_IDENTITY, "class", "quantity", "numerator", "denominator", *_ESTIMATE),
    "confusion": (*_IDENTITY, "truth", "answer", "count", "row_share"),
    "auc": (*_IDENTITY, "class", "is_hard_label", *_ESTIMATE),
    "roc_points": (
        *_IDENTITY, "class", "is_hard_label", "point", "false_positive_rate", "sensitivity", "threshold",
    ),
    "mcnemar": (
        "cohort", *_PAIR, "both_right", "first_only", "second_only", "both_wrong", *_ESTIMATE[:-1],
        "p_exact", "p_mid", "p_holm", "chi_squared", "p_chi_squared", "p_chi_squared_yates", "notes",
    ),
    "delong": (
        "cohort", *_PAIR, "class", "first_auc", "second_auc", "is_mixed", *_ESTIMATE[:-1],
        "statistic", "p_value", "p_holm", "notes",
    ),
    "agreement": ("cohort", "arm", "scope", "first", "second", "statistic", "n_readers", *_ESTIMATE),
    "mrmc": (
        "cohort", "analysis", "class", "metric", "scope", "arm", "first", "second", "first_value", "second_value",
        "n_readers", *_ESTIMATE[:-1], "statistic", "df1", "df2", "p_value", "p_holm", "covariance", "notes",
        "first_name", "second_name",
    ),
    "mrmc_components": (
        "cohort", "analysis", "class", "metric", "arm", "first", "second", "covariance", "component", "value",
    ),
    "dbm": (
        "cohort", "analysis", "class", "metric", "scope", "first", "second", "first_value", "second_value", "n_readers",
        *_ESTIMATE[:-1], "statistic", "df1", "df2", "p_value", "p_holm", "notes",
    ),
    "marginal_tests": (
        "cohort", "arm", "test", *_PAIR, "n_participants", "n", "statistic", "degrees_of_freedom", "p_value", "p_holm",
        "state", "notes",
    ),
    "operating_points": (*_IDENTITY, "class", "quantity", "threshold", *_ESTIMATE),
    "reader_average_roc": (
        "cohort", "arm", "class", "n_readers", "n_hard_labels", "area", "point", "false_positive_rate", "sensitivity",
    ),
    "predictive_values": (
        "cohort", *_PAIR, "class", "quantity", "first_value", "second_value", *_ESTIMATE[:-1], "statistic", "p_value",
        "p_holm", "p_leisenring", "notes",
    ),
    "margins": (
        "cohort", "analysis", "class", "metric", "scope", "arm", "first", "second", "first_name", "second_name", "goal",
        "margin", *_ESTIMATE[:-1], "p_value", "is_shown", "notes",
    ),
}  # fmt: skip

_WHOLE = {
    "numerator", "denominator", "n", "n_readers", "point", "count", "n_participants", "n_hard_labels",
}  # fmt: skip
_FLOATS = {
    "value", "standard_error", "lower", "upper", "confidence_level", "row_share", "false_positive_rate", "sensitivity",
    "threshold", "first_auc", "second_auc", "p_exact", "p_mid", "p_holm", "chi_squared", "p_chi_squared",
    "p_chi_squared_yates", "statistic", "p_value", "first_value", "second_value", "df1", "df2", "degrees_of_freedom",
    "area", "p_leisenring", "margin",
}  # fmt: skip


def tables(cohorts: Sequence[CohortAnalysis]) -> dict[str, pd.DataFrame]:
    """Every table of :data:`COLUMNS`, with rows in the order of the results; an empty table keeps its columns."""
    makers = {
        "cases": _cases,
        "missing": _missing,
        "summary": _summary,
        "per_class": _per_class,
        "confusion": _confusion,
        "auc": _auc,
        "roc_points": _roc_points,
        "mcnemar": _mcnemar,
        "delong": _delong,
        "agreement": _agreement,
        "mrmc": _mrmc,
        "mrmc_components": _mrmc_components,
        "dbm": _dbm,
        "marginal_tests": _marginal_tests,
        "operating_points": _operating_points,
        "reader_average_roc": _reader_average_roc,
        "predictive_values": _predictive_values,
        "margins": _margins,
    }
    return {
        name: _typed(
            name, pd.DataFrame([row for cohort in cohorts for row in make(cohort)], columns=list(COLUMNS[name]))
        )
        for name, make in makers.items()
    }


def _typed(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Counts as whole numbers and quantities as floats, also where a column is empty or all undefined."""
    for column in table.columns:
        if column in _WHOLE:
            table[column] = table[column].astype("Int64")
        elif column in _FLOATS and (name, column) != ("agreement", "statistic"):  # there it is a name
            table[column] = table[column].astype("float64")
    return table


def joined_notes(*parts: object) -> str:
    """Notes of one row as one text."""
    return " | ".join(dict.fromkeys(str(part) for part in parts if part))


def _estimate(estimate: Estimate, *extra: object) -> tuple[Any, ...]:
    """An estimate in the order of the estimate columns."""
    return (
        estimate.n, estimate.value, estimate.standard_error, estimate.lower, estimate.upper,
        estimate.confidence_level, estimate.method, estimate.state.value,
        joined_notes(estimate.reason, *estimate.notes, *extra),
    )  # fmt: skip


def _who(cohort: CohortAnalysis, one: ParticipantAnalysis) -> tuple[Any, ...]:
    """Identity columns."""
    return (cohort.cohort, one.arm, one.kind, one.key, one.name)


def _both(pair: PairComparison | PredictiveComparison | MarginalTest) -> tuple[Any, ...]:
    """Identity columns of a pair; empty texts where a test is of more than two."""

    def columns(one: Identity | None) -> tuple[str, ...]:
        return ("", "", "", "") if one is None else (one.arm, one.kind, one.key, one.name)

    return (*columns(pair.first), *columns(pair.second))


def _cases(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for key, n in cohort.class_counts.items():
        yield (cohort.cohort, key, n, cohort.excluded_counts[key], cohort.class_patients[key])


def _missing(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.participants:
        yield (
            *_who(cohort, one), one.n_expected, one.n_cases, one.n_missing, one.n_unreadable, one.n_repeats,
            one.has_ratings, joined_notes(*one.notes),
        )  # fmt: skip


def _summary(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.participants:
        for quantity, estimate in one.quantities.items():
            yield (*_who(cohort, one), quantity, *_estimate(estimate))


def _per_class(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.participants:
        for performance in one.classes:
            tp, fp = performance.true_positive, performance.false_positive
            fn, tn = performance.false_negative, performance.true_negative
            if tp is None or fp is None or fn is None or tn is None:
                continue
            shares = {
                "sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp), "ppv": (tp, tp + fp), "npv": (tn, tn + fn),
            }  # fmt: skip
            for quantity, estimate in performance.quantities.items():
                share = shares.get(quantity, (None, None))
                yield (*_who(cohort, one), performance.class_key, quantity, *share, *_estimate(estimate))


def _confusion(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    keys = list(cohort.class_counts)
    for one in cohort.participants:
        if one.confusion is None:
            continue
        for truth, row in zip(keys, one.confusion.tolist(), strict=True):
            total = sum(row)
            for answer, count in zip(keys, row, strict=True):
                yield (*_who(cohort, one), truth, answer, count, count / total if total else None)


def _auc(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.participants:
        for performance in one.classes:
            yield (*_who(cohort, one), performance.class_key, performance.is_hard_label, *_estimate(performance.auc))
        for average, estimate in one.auc_averages.items():
            yield (*_who(cohort, one), average, not one.has_ratings, *_estimate(estimate))


def _roc_points(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.participants:
        for performance in one.classes:
            if performance.roc is None:
                continue
            roc = performance.roc
            points = zip(
                roc.false_positive_rate.tolist(), roc.sensitivity.tolist(), roc.threshold.tolist(), strict=True
            )
            for number, (rate, sensitivity, threshold) in enumerate(points):
                finite = threshold if abs(threshold) != float("inf") else None  # "above every rating" has no number
                yield (
                    *_who(cohort, one), performance.class_key, not roc.is_curve, number, rate, sensitivity, finite,
                )  # fmt: skip


def _p(test: TestResult | None) -> float | None:
    """p-value of a test that may be absent."""
    return None if test is None else test.p_value


def _mcnemar(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for pair in cohort.comparisons:
        if pair.table is None:
            continue
        (both, first), (second, neither) = pair.table.tolist()
        exact, unpaired = pair.tests.get("mcnemar_exact"), pair.tests.get("chi_squared")
        numbers = _estimate(pair.difference)
        yield (
            cohort.cohort, *_both(pair), both, first, second, neither, *numbers[:-1],
            _p(exact), _p(pair.tests.get("mcnemar_mid_p")), pair.p_holm,
            None if unpaired is None else unpaired.statistic, _p(unpaired), _p(pair.tests.get("chi_squared_yates")),
            joined_notes(numbers[-1], *pair.notes),
        )  # fmt: skip


def _delong(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for pair in cohort.comparisons:
        for one in pair.auc:
            yield (
                cohort.cohort, *_both(pair), one.class_key, one.first_auc, one.second_auc, one.is_mixed,
                *_test_estimate(one.test, pair.n_common, pair.difference.confidence_level),
                one.test.statistic, one.test.p_value, one.p_holm, joined_notes(one.test.reason, *one.test.notes),
            )  # fmt: skip


def _test_estimate(test: TestResult, n: int | None, level: float) -> tuple[Any, ...]:
    """Estimate columns of a test's difference, without notes."""
    if test.difference is None:
        return (n, None, None, None, None, level, test.method, test.state.value)
    difference = test.difference
    return (
        n if difference.n is None else difference.n, difference.value, difference.standard_error, difference.lower,
        difference.upper, difference.confidence_level, test.method, test.state.value,
    )  # fmt: skip


def _agreement(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in (*cohort.agreement, *cohort.repeats):
        yield (
            cohort.cohort, one.arm, one.scope, one.first, one.second, one.statistic, one.n_readers,
            *_estimate(one.estimate),
        )  # fmt: skip


def _freedom(test: TestResult) -> tuple[float | None, float | None]:
    """Degrees of freedom of the numerator and the denominator."""
    freedom = test.degrees_of_freedom
    return freedom if isinstance(freedom, tuple) else (None, freedom)


def _mrmc(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.mrmc:
        df1, df2 = _freedom(one.test)
        level = one.test.difference.confidence_level if one.test.difference else None
        yield (
            cohort.cohort, one.analysis, one.class_key, one.metric, one.scope, one.arm, one.first, one.second,
            one.first_value, one.second_value, one.n_readers,
            *_test_estimate(one.test, cohort.n_cases, level if level is not None else 0.95), one.test.statistic,
            df1, df2, one.test.p_value, one.p_holm, one.covariance, joined_notes(one.test.reason, *one.test.notes),
            one.first_name, one.second_name,
        )  # fmt: skip


def _dbm(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.dbm:
        level = one.test.difference.confidence_level if one.test.difference else 0.95
        yield (
            cohort.cohort, one.analysis, one.class_key, one.metric, one.scope, one.first, one.second, one.first_value,
            one.second_value, one.n_readers, *_test_estimate(one.test, cohort.n_cases, level), one.test.statistic,
            *_freedom(one.test), one.test.p_value, one.p_holm, joined_notes(one.test.reason, *one.test.notes),
        )  # fmt: skip


def _mrmc_components(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    seen = set()
    for one in (*cohort.mrmc, *cohort.dbm):
        key = (one.analysis, one.class_key, one.metric, one.arm, one.first, one.second, one.covariance)
        if key in seen:
            continue  # the scopes of one comparison share their components
        seen.add(key)
        for component, value in one.components.items():
            yield (
                cohort.cohort, one.analysis, one.class_key, one.metric, one.arm, one.first, one.second,
                one.covariance, component, value,
            )  # fmt: skip


def _marginal_tests(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.marginal_tests:
        test = one.test
        yield (
            cohort.cohort, one.arm, test.method, *_both(one), one.n_participants, one.n, test.statistic,
            test.degrees_of_freedom, test.p_value, one.p_holm, test.state.value, joined_notes(test.reason, *test.notes),
        )  # fmt: skip


def _operating_points(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.operating_points:
        who = one.identity
        yield (
            cohort.cohort, who.arm, who.kind, who.key, who.name, one.class_key, one.quantity, one.threshold,
            *_estimate(one.estimate),
        )  # fmt: skip


def _reader_average_roc(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.reader_average_roc:
        curve = one.curve
        points = zip(curve.false_positive_rate.tolist(), curve.sensitivity.tolist(), strict=True)
        for number, (rate, sensitivity) in enumerate(points):
            yield (
                cohort.cohort, one.arm, one.class_key, curve.n_readers, curve.n_hard_labels, curve.area, number, rate,
                sensitivity,
            )  # fmt: skip


def _predictive_values(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    level = cohort.comparisons[0].difference.confidence_level if cohort.comparisons else 0.95
    for one in cohort.predictive_values:
        yield (
            cohort.cohort, *_both(one), one.class_key, one.quantity, one.first_value, one.second_value,
            *_test_estimate(one.test, one.n_common, level), one.test.statistic, one.test.p_value, one.p_holm,
            one.p_leisenring, joined_notes(one.test.reason, *one.test.notes),
        )  # fmt: skip


def _margins(cohort: CohortAnalysis) -> Iterator[tuple[Any, ...]]:
    for one in cohort.margins:
        verdict = one.verdict
        numbers = _estimate(verdict.difference)
        yield (
            cohort.cohort, one.analysis, one.class_key, one.metric, one.scope, one.arm, one.first, one.second,
            one.first_name, one.second_name, verdict.goal, verdict.margin, *numbers[:6], verdict.method, numbers[7],
            verdict.p_value, verdict.is_shown, joined_notes(verdict.reason, numbers[-1], *one.notes),
        )  # fmt: skip
