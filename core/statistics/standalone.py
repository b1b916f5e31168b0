"""One stand-alone model against a panel of readers who read the same cases.

Measures: :func:`compare_model_with_readers`.

The model gives one answer per case, so it is no sample of models: the readers are the sample. The differences
``model - reader`` are analysed as a single-arm Obuchowski-Rockette model (Hillis 2007, section 5.3), in which the
model's own case variance enters the covariance between the readers' differences. The result equals the two-arm
analysis in which the model's ratings stand for every reader of the first arm (Kooi et al. 2016).

Conventions
-----------
- The difference is model minus panel; the panel is the plain mean of its readers' figures.
- RRRC: readers and cases are samples; ``Cov2`` clipped at 0; t with Hillis' degrees of freedom. FRRC: these readers;
  z; with one reader this is DeLong's paired test when the covariance is DeLong's. RRFC: these cases; one-sample t.
- A margin is fixed before the study. Non-inferiority is shown when the whole interval lies above ``-margin``,
  superiority when it lies above 0 (or above ``margin`` where a super-superiority margin was fixed): a one-sided test at
  half of 1 - confidence level. p > 0.05 for a difference is not equivalence.
- Readers with hard labels have an operating point; comparing that "AUC" with a model's carries a note.

>>> rng, truth = np.random.default_rng(2), np.arange(40) % 2
>>> panel = ReaderStudy.from_dense(truth, ratings=rng.normal(size=(1, 5, 40)) + truth, classes=(0, 1))
>>> found = compare_model_with_readers(panel, model_ratings=rng.normal(size=40) + 1.5 * truth)
>>> print(found.scope("RRRC").test)
0.0585 (95% -0.1119 to 0.2256), statistic 0.6812, df 100.3, p = 0.4973; single-arm
    Obuchowski-Rockette RRRC, t

References
----------
Hillis (2007), Stat. Med. 26:596-619. Hillis, Obuchowski and Berbaum (2011), Acad. Radiol. 18:129-142.
Hupse et al. (2013), Eur. Radiol. 23:93-100. Kooi et al. (2016), IWDM, LNCS 9699.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from core.errors import StatisticsInputError, UndefinedStatisticError
from core.statistics.figure_of_merit import Covariance, check_covariance
from core.statistics.reader_study import Figure, ReaderStudy
from core.statistics.result import Estimate, Reported, State, TestResult
from core.statistics.roc import is_hard_label
from core.statistics.scope import (
    ZERO_READER_VARIANCE,
    ArmContrast,
    Scope,
    check_scope,
    contrast_test,
    few_readers_note,
    hillis_freedom,
    interval_estimate,
    is_reader_variance_zero,
    patients_note,
    say_zero_reader_variance,
    upper_tail,
)
from core.statistics.validation import (
    FloatArray,
    check_confidence_level,
    check_numbers,
)


@dataclass(frozen=True)
class StandaloneMargin(Reported):
    """Non-inferiority or superiority of the model over the panel."""

    question: str  # "non-inferiority" or "superiority"
    margin: float  # fixed beforehand; the difference must exceed -margin (non-inferiority) or margin (superiority)
    scope: Scope
    test: TestResult  # one-sided, alternative "greater"
    is_shown: bool | None  # None: undefined
    significance_level: float  # one-sided


@dataclass(frozen=True)
class StandaloneScope(Reported):
    """Model against panel in one scope."""

    scope: Scope
    test: TestResult  # model minus panel, t or z, the difference with its interval inside
    panel: Estimate  # the readers' mean
    panel_degrees_of_freedom: float | None  # of its t interval; None: normal


@dataclass(frozen=True)
class StandaloneComparison(Reported):
    """One model against a panel of readers."""

    metric: str
    covariance_method: Covariance
    confidence_level: float
    model: str
    readers: tuple[str, ...]
    model_figure: Estimate  # its variance over cases
    reader_values: FloatArray  # (reader,)
    scopes: tuple[StandaloneScope, ...]  # RRRC, FRRC, RRFC
    reader_contrasts: tuple[ArmContrast, ...]  # model minus each reader, z
    error_variance: float  # Var of one difference over cases
    cov2: float | None  # covariance of two readers' differences over cases; None with one reader
    reader_variance: float | None  # between readers beyond case sampling; may be negative; None with one reader
    n_readings_missing: int
    notes: tuple[str, ...] = ()

    def scope(self, scope: Scope | str) -> StandaloneScope:
        """The comparison in one scope."""
        return next(item for item in self.scopes if item.scope == check_scope(scope))

    def non_inferiority(self, margin: float, scope: Scope | str = Scope.RRRC) -> StandaloneMargin:
        """Is the model at most ``margin`` worse than the panel?

        Parameters
        ----------
        margin : float
            Largest acceptable loss, positive, fixed before the study; on the scale of the figure.
        scope : Scope or str
            To whom the answer applies.

        Raises
        ------
        StatisticsInputError
            If the margin is not between 0 and 1.
        """
        return self._margin_test("non-inferiority", -_check_margin(margin, is_zero_allowed=False), scope)

    def superiority(self, margin: float = 0.0, scope: Scope | str = Scope.RRRC) -> StandaloneMargin:
        """Is the model better than the panel by more than ``margin``? Arguments as in :meth:`non_inferiority`."""
        return self._margin_test("superiority", _check_margin(margin, is_zero_allowed=True), scope)

    def _margin_test(self, question: str, bound: float, scope: Scope | str) -> StandaloneMargin:
        """One-sided test that the difference exceeds ``bound``."""
        found = self.scope(scope)
        level = (1.0 - self.confidence_level) / 2.0
        difference = found.test.difference
        if difference is None or difference.value is None or difference.standard_error is None:
            test = TestResult(
                None,
                None,
                found.test.method,
                alternative="greater",
                difference=difference,
                state=State.UNDEFINED,
                reason=found.test.reason,
            )
            return StandaloneMargin(question, abs(bound), found.scope, test, None, level)
        statistic = (difference.value - bound) / difference.standard_error
        df = found.test.degrees_of_freedom
        tail = upper_tail(statistic, df if isinstance(df, float) else None)
        test = TestResult(statistic, tail, found.test.method, df, "greater", difference)
        return StandaloneMargin(question, abs(bound), found.scope, test, tail < level, level)


def compare_model_with_readers(
    study: ReaderStudy,
    *,
    model: str = "model",
    model_ratings: ArrayLike | None = None,
    model_labels: ArrayLike | None = None,
    arm: str | None = None,
    figure: Figure | str = Figure.AUC,
    positive: Hashable | None = None,
    covariance: Covariance | str = Covariance.JACKKNIFE,
    confidence_level: float = 0.95,
    is_matched: bool = False,
) -> StandaloneComparison:
    """Compare a stand-alone model with the readers of one arm.

    Parameters
    ----------
    study : ReaderStudy
        The panel; readers without a reading in the arm take no part.
    model : str
        Name of the model.
    model_ratings : float array, shape (n_cases,) or (n_classes, n_cases), optional
        The model's probability of the second of two classes, or of every class; needed for an AUC.
    model_labels : array, shape (n_cases,), optional
        Class chosen by the model, as position in ``study.classes``; needed for accuracy, sensitivity, specificity.
    arm : str, optional
        Arm of the panel; may be absent when there is only one.
    figure, positive
        As in :meth:`core.statistics.reader_study.ReaderStudy.figures`.
    covariance : Covariance or str
        "jackknife", "delong" or "unbiased".
    is_matched : bool
        Whether each reader is held against the model's figure on this reader's own cases; the model's figure is then
        the average of these. It matters only where readers lack cases: otherwise the model's figure is that on all.

    Raises
    ------
    StatisticsInputError
        If arm, shapes, figure or class do not fit, or the model lacks what the figure needs.
    UndefinedStatisticError
        If a reader or the model has too few cases of a class.

    References
    ----------
    Hillis (2007), Stat. Med. 26:596-619.
    """
    level, method = check_confidence_level(confidence_level), check_covariance(covariance)
    panel = _panel(study, arm)
    joined = _with_model(panel, model, model_ratings, model_labels)
    figures = (_model_once_a_reader(joined) if is_matched else joined).figures(figure, positive=positive)
    matrix = figures.curves.covariance(method)
    values = figures.curves.values
    # Differences model - reader and their covariance over cases; the model has the first curve, or the first half.
    n_readers = len(panel.readers)
    n_models = values.size - n_readers
    of_model = np.eye(n_readers) if is_matched else np.ones((n_readers, 1))
    to_differences = np.hstack([of_model, -np.eye(n_readers)])
    differences = to_differences @ values
    covariances = to_differences @ matrix @ to_differences.T
    n_missing = figures.n_missing // 2 if is_matched else figures.n_missing
    notes = _notes(joined, n_missing, str(figure))
    return StandaloneComparison(
        figures.curves.metric,
        method,
        level,
        model,
        panel.readers,
        interval_estimate(
            float(values[:n_models].mean()),
            float(matrix[:n_models, :n_models].mean()),
            None,
            level,
            method.value,
            0.0,
            is_mean=True,
            n=figures.curves.n_cases,
        ),
        values[n_models:].copy(),
        _said(
            _scope(
                scope,
                differences,
                covariances,
                values[n_models:],
                matrix[n_models:, n_models:],
                level,
                figures.curves.n_cases,
            )
            for scope in Scope
        ),
        tuple(
            ArmContrast(
                model,
                reader,
                contrast_test(
                    float(differences[j]), float(covariances[j, j]), None, level, "paired z", float(matrix[0, 0])
                ),
                reader,
            )
            for j, reader in enumerate(panel.readers)
        ),
        float(np.mean(np.diag(covariances))),
        _off_diagonal(covariances),
        _reader_variance(differences, covariances),
        n_missing,
        notes,
    )


def _panel(study: ReaderStudy, arm: str | None) -> ReaderStudy:
    """The readers of one arm."""
    if arm is None:
        if len(study.arms) != 1:
            raise StatisticsInputError(
                "is needed", field="arm", fix="the panel reads in one of: " + ", ".join(study.arms)
            )
        index = 0
    elif arm in study.arms:
        index = study.arms.index(arm)
    else:
        raise StatisticsInputError(
            "is no arm of this study", field="arm", value=arm, fix="use one of " + ", ".join(study.arms)
        )
    reads = np.flatnonzero(study.is_read[index].any(axis=1))
    if reads.size == 0:
        raise UndefinedStatisticError(f"No reader has a reading in arm {study.arms[index]}.")
    return ReaderStudy(
        (study.arms[index],),
        tuple(study.readers[j] for j in reads),
        study.cases,
        study.classes,
        study.truth,
        None if study.ratings is None else study.ratings[:, index : index + 1, reads],
        None if study.labels is None else study.labels[index : index + 1, reads],
        study.patient,
    )


def _with_model(panel: ReaderStudy, model: str, ratings: ArrayLike | None, labels: ArrayLike | None) -> ReaderStudy:
    """The panel with the model as first reader; what either side lacks is left out."""
    n_cases = len(panel.cases)
    joined_ratings = joined_labels = None
    if ratings is not None and panel.ratings is not None:
        rows = np.atleast_2d(check_numbers(ratings, field="model_ratings"))
        if rows.shape[0] == 1 and panel.ratings.shape[0] == 2:
            rows = np.vstack([-rows, rows])
        if rows.shape[0] == 2 and panel.ratings.shape[0] == 1:
            rows = rows[1:]
        if rows.shape != (panel.ratings.shape[0], n_cases):
            raise StatisticsInputError(
                f"must have shape (n_classes, {n_cases}), or ({n_cases},) for two classes",
                field="model_ratings",
                value=np.shape(ratings),
            )
        joined_ratings = np.concatenate([rows[:, None, None, :], panel.ratings], axis=2)
    if labels is not None and panel.labels is not None:
        row = check_numbers(labels, field="model_labels")
        if row.shape != (n_cases,):
            raise StatisticsInputError(f"must have shape ({n_cases},)", field="model_labels", value=row.shape)
        joined_labels = np.concatenate([row[None, None, :], panel.labels], axis=1)
    if joined_ratings is None and joined_labels is None:
        raise StatisticsInputError(
            "have nothing in common with the readers' ratings or labels",
            field="model_ratings, model_labels",
            fix="pass ratings where the readers rated, labels where they chose a class",
        )
    name = model
    while name in panel.readers:  # errors name the model; a reader may have its name
        name += " (model)"
    return ReaderStudy.from_dense(
        [panel.classes[index] for index in panel.truth],
        ratings=joined_ratings,
        labels=joined_labels,
        classes=panel.classes,
        arms=panel.arms,
        readers=(name, *panel.readers),
        cases=panel.cases,
        patients=panel.patient,
    )


def _model_once_a_reader(joined: ReaderStudy) -> ReaderStudy:
    """The model, first of the readers, once for each of the others, on the cases of that one."""

    def doubled(rows: FloatArray | None) -> FloatArray | None:
        """Axis -2 runs over the readers."""
        if rows is None:
            return None
        readers = rows[..., 1:, :]
        of_model = np.where(np.isnan(readers), np.nan, rows[..., :1, :])
        return np.concatenate([of_model, readers], axis=-2)

    model, *readers = joined.readers
    return ReaderStudy.from_dense(
        [joined.classes[index] for index in joined.truth],
        ratings=doubled(joined.ratings),
        labels=doubled(joined.labels),
        classes=joined.classes,
        arms=joined.arms,
        readers=(*(f"{model} on the cases of {reader}" for reader in readers), *readers),
        cases=joined.cases,
        patients=joined.patient,
    )


def _notes(joined: ReaderStudy, n_missing: int, figure: str) -> tuple[str, ...]:
    """What must travel with the comparison."""
    n_readers = len(joined.readers) - 1
    notes = list(few_readers_note(n_readers))
    if n_missing:
        notes.append(f"{n_missing} readings are missing; every figure uses the cases that its reader has.")
    notes += patients_note(None if joined.patient is None else int(joined.patient.max()) + 1)
    if figure == Figure.AUC and joined.ratings is not None:
        hard = [_is_hard(joined.ratings[:, 0, row]) for row in range(n_readers + 1)]
        if any(hard) and not all(hard):
            notes.append(
                "A hard-label AUC (balanced accuracy at one operating point) is compared with a rating AUC: "
                "it is lower by construction; compare sensitivity and specificity at matched points as well."
            )
    return tuple(notes)


def _is_hard(rows: FloatArray) -> bool:
    """Whether all classes of one reader are rated with two values."""
    return all(is_hard_label(row[~np.isnan(row)]) for row in rows)


def _scope(
    scope: Scope,
    differences: FloatArray,
    covariances: FloatArray,
    reader_values: FloatArray,
    reader_covariances: FloatArray,
    level: float,
    n_cases: int,
) -> StandaloneScope:
    """Difference and panel mean in one scope."""
    method = f"single-arm Obuchowski-Rockette {scope.value}"
    error = float(np.mean(np.diag(reader_covariances)))
    mean = float(reader_values.mean())
    if scope is not Scope.FRRC and differences.size < 2:
        reason = "one reader says nothing about readers in general"
        difference = Estimate(float(differences[0]), None, None, None, level, method, State.DEGENERATE, reason)
        test = TestResult(None, None, method, difference=difference, state=State.UNDEFINED, reason=reason)
        panel = Estimate(mean, None, None, None, level, method, State.DEGENERATE, reason)
        return StandaloneScope(scope, test, panel, None)
    variance, df = _mean_variance(scope, differences, covariances)
    panel_variance, panel_df = _mean_variance(scope, reader_values, reader_covariances)
    test = contrast_test(float(differences.mean()), variance, df, level, method, error)
    panel = interval_estimate(mean, panel_variance, panel_df, level, method, error, is_mean=True, n=n_cases)
    return StandaloneScope(scope, test, panel, panel_df)


def _said(scopes: Iterable[StandaloneScope]) -> tuple[StandaloneScope, ...]:
    """The scopes, random readers with a note where the variance between readers was estimated as zero."""
    found = {item.scope: item for item in scopes}
    random, fixed = found[Scope.RRRC], found[Scope.FRRC]
    panel = random.panel
    if is_reader_variance_zero(panel, fixed.panel):
        panel = panel.with_note(ZERO_READER_VARIANCE)
    test = say_zero_reader_variance(random.test, fixed.test)
    found[Scope.RRRC] = StandaloneScope(Scope.RRRC, test, panel, random.panel_degrees_of_freedom)
    return tuple(found.values())


def _mean_variance(scope: Scope, values: FloatArray, covariances: FloatArray) -> tuple[float, float | None]:
    """Variance of a mean over readers and its degrees of freedom (None: normal)."""
    if scope is Scope.FRRC:
        return float(covariances.mean()), None
    n = values.size
    mean_square = float(values.var(ddof=1))
    shared = max(_off_diagonal(covariances) or 0.0, 0.0) if scope is Scope.RRRC else 0.0
    return mean_square / n + shared, hillis_freedom(mean_square, n * shared, n - 1, float(np.trace(covariances)) / n)


def _off_diagonal(matrix: FloatArray) -> float | None:
    """Mean covariance of two different readers."""
    n = matrix.shape[0]
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1))) if n > 1 else None


def _reader_variance(differences: FloatArray, covariances: FloatArray) -> float | None:
    """Variance between readers beyond what case sampling explains."""
    cov2 = _off_diagonal(covariances)
    if cov2 is None:
        return None
    return float(differences.var(ddof=1) - np.mean(np.diag(covariances)) + cov2)


def _check_margin(margin: float, *, is_zero_allowed: bool) -> float:
    """A margin on the scale of a figure between 0 and 1."""
    if not (0.0 < margin < 1.0 or (is_zero_allowed and margin == 0.0)):
        raise StatisticsInputError(
            "must lie between 0 and 1", field="margin", value=margin, fix="give the loss as a positive number"
        )
    return float(margin)
