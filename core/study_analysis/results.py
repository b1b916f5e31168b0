"""What an analysis gives: frozen objects, from the study down to one estimate. ``docs/statistics.md`` explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.errors import NotFoundError
from core.statistics.matched_point import MatchedPoint
from core.statistics.non_inferiority import MarginTest
from core.statistics.probability_calibration import ReliabilityBin
from core.statistics.reader_averaged_roc import ReaderAveragedRoc, average_curves
from core.statistics.result import Estimate, TestResult
from core.statistics.roc import RocCurve
from core.statistics.scope import leading_scope
from core.study_analysis.arrays import Participant
from core.study_analysis.case_outcomes import CaseOutcome
from core.study_analysis.data import FloatArray, IntArray


@dataclass(frozen=True)
class Identity:
    """Who: a reader in one arm, or a model."""

    kind: str  # "reader" or "model"
    key: str
    arm: str  # "" for a model
    name: str

    @property
    def label(self) -> str:
        """Name with the arm, for headings."""
        return f"{self.name}, {self.arm}" if self.arm else self.name


def identity_of(one: Participant) -> Identity:
    """Identity of a participant."""
    return Identity(one.kind, one.key, one.arm, one.name)


@dataclass(frozen=True, eq=False)
class RocPoints:
    """Empirical ROC points from (0, 0) to (1, 1); a hard label has one operating point and no curve."""

    false_positive_rate: FloatArray
    sensitivity: FloatArray
    threshold: FloatArray  # positive above it; half-way between two ratings as stated; none for an average of classes
    is_curve: bool
    curve: RocCurve | None = None  # of one class, with its counts


@dataclass(frozen=True, eq=False)
class ClassPerformance:
    """One participant on one class against the rest."""

    class_key: str
    true_positive: int | None  # None when no classes were chosen, only ratings given
    false_positive: int | None
    false_negative: int | None
    true_negative: int | None
    quantities: Mapping[str, Estimate]
    auc: Estimate
    is_hard_label: bool  # the AUC is (sensitivity + specificity) / 2 at one operating point
    roc: RocPoints | None

    def shares(self) -> dict[str, tuple[int, int]]:
        """Numerator and denominator of the proportions among the quantities."""
        tp, fp = self.true_positive, self.false_positive
        fn, tn = self.false_negative, self.true_negative
        if tp is None or fp is None or fn is None or tn is None:
            return {}
        return {
            "sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp), "ppv": (tp, tp + fp), "npv": (tn, tn + fn),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class ParticipantAnalysis:
    """One reader in one arm, or one model, on one cohort."""

    identity: Identity
    n_expected: int
    n_cases: int  # answered and analysed
    n_missing: int
    n_unreadable: int
    n_repeats: int
    has_labels: bool
    has_ratings: bool
    confusion: IntArray | None  # (n_classes, n_classes) rows: reference standard, columns: answer
    quantities: Mapping[str, Estimate]
    classes: tuple[ClassPerformance, ...]
    auc_averages: Mapping[str, Estimate]
    notes: tuple[str, ...]
    flags: Mapping[str, int] = field(default_factory=dict)  # name -> number of first readings of which it is true

    @property
    def kind(self) -> str:
        """Reader or model."""
        return self.identity.kind

    @property
    def key(self) -> str:
        """Key of the reader or model."""
        return self.identity.key

    @property
    def arm(self) -> str:
        """Arm of a reader, "" for a model."""
        return self.identity.arm

    @property
    def name(self) -> str:
        """Name on screen."""
        return self.identity.name

    @property
    def macro_roc(self) -> RocPoints | None:
        """The classes' curves (or points) averaged, with the macro AUC as area; None unless every class has one."""
        points = [one.roc for one in self.classes if one.roc is not None]
        if len(points) < len(self.classes) or len(points) < 3 or len({one.is_curve for one in points}) > 1:
            return None
        if points[0].is_curve:
            rate, sensitivity = average_curves([(one.false_positive_rate, one.sensitivity) for one in points])
            is_new = np.append(True, (np.diff(rate) > 0) | (np.diff(sensitivity) > 0))
            rate, sensitivity = rate[is_new], sensitivity[is_new]
        else:
            rate = np.mean([one.false_positive_rate for one in points], axis=0)
            sensitivity = np.mean([one.sensitivity for one in points], axis=0)
        return RocPoints(rate, sensitivity, np.full(rate.size, np.inf), is_curve=points[0].is_curve)

    def of_class(self, class_key: str) -> ClassPerformance:
        """Performance on one class.

        Raises
        ------
        NotFoundError
            If the study has no such class.
        """
        for performance in self.classes:
            if performance.class_key == class_key:
                return performance
        raise NotFoundError(f"No class {class_key!r} in this analysis.")


@dataclass(frozen=True)
class AucComparison:
    """Two AUCs of one class over the cases that both answered."""

    class_key: str
    first_auc: float | None
    second_auc: float | None
    test: TestResult  # DeLong's paired test; the difference first - second is inside
    p_holm: float | None  # Holm over all AUC tests of the cohort within the same family of pairs
    is_mixed: bool  # a hard-label operating point against ratings


#: Name of McNemar's test between patients among a pair's tests.
BETWEEN_PATIENTS = "mcnemar_clustered"


@dataclass(frozen=True, eq=False)
class PairComparison:
    """Two participants on the cases that both answered."""

    first: Identity
    second: Identity
    n_common: int
    table: IntArray | None  # (2, 2): [first right, first wrong] x [second right, second wrong]
    difference: Estimate  # accuracy, first - second
    tests: Mapping[str, TestResult]  # mcnemar_exact, mcnemar_mid_p, chi_squared, chi_squared_yates, mcnemar_clustered
    p_holm: float | None  # Holm over the leading tests of the same family of pairs
    auc: tuple[AucComparison, ...]
    notes: tuple[str, ...]

    @property
    def leading_test(self) -> TestResult | None:
        """McNemar's exact test; between patients where a patient has several cases."""
        return self.tests.get(BETWEEN_PATIENTS, self.tests.get("mcnemar_exact"))


@dataclass(frozen=True)
class AgreementResult:
    """Agreement between readers of an arm, of two readers, or of one reader with themselves."""

    arm: str
    scope: str  # "between", "pair", "within", "with_model"
    first: str  # reader key; "" for "between"
    second: str  # reader key, or key of the model
    n_readers: int
    statistic: str
    estimate: Estimate


@dataclass(frozen=True)
class MrmcResult:
    """A multi-reader multi-case comparison."""

    analysis: str  # "model_vs_panel", "arms" or "arms_dbm"
    class_key: str  # a class key, "macro", or "all" (accuracy)
    metric: str  # "auc", "accuracy", ...
    scope: str  # "RRRC", "FRRC", "RRFC"
    arm: str
    first: str
    second: str
    first_name: str  # as shown on screen
    second_name: str
    first_value: float | None
    second_value: float | None
    n_readers: int  # who were kept
    n_cases: int  # that were used
    test: TestResult
    p_holm: float | None  # Holm over the classes of one figure; the average is not in the family
    covariance: str
    components: Mapping[str, float]
    overall: TestResult | None = None  # all arms equal, by F or chi-squared; None for one pair of many arms

    @property
    def is_leading(self) -> bool:
        """Whether a report leads with this scope: fixed readers below five, random readers from five on."""
        return self.scope == leading_scope(self.n_readers).value


@dataclass(frozen=True)
class PanelMean:
    """The average of a figure over the readers of an arm."""

    class_key: str  # a class key, "macro", or "all" (accuracy)
    metric: str
    scope: str
    arm: str
    n_readers: int
    estimate: Estimate
    degrees_of_freedom: float | None  # of t; None: normal

    @property
    def is_leading(self) -> bool:
        """As of :class:`MrmcResult`."""
        return self.scope == leading_scope(self.n_readers).value


@dataclass(frozen=True)
class MarginalTest:
    """Cochran's Q of an arm (``first`` and ``second`` None), or a test of the classes that two participants named."""

    arm: str
    first: Identity | None
    second: Identity | None
    n_participants: int
    n: int  # cases that all of them answered
    test: TestResult
    p_holm: float | None  # Holm within the test and the family of pairs


@dataclass(frozen=True)
class OperatingPointResult:
    """One number read off a curve."""

    identity: Identity
    class_key: str
    quantity: str
    threshold: float | None  # of Youden's point; None for the rest, and where it lies beyond every rating
    estimate: Estimate


@dataclass(frozen=True)
class ReaderAverage:
    """Averaged ROC curve of the readers of an arm."""

    arm: str
    class_key: str
    curve: ReaderAveragedRoc
    n_cases: int  # that were used
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PredictiveComparison:
    """PPV or NPV of a model minus that of a reader."""

    first: Identity
    second: Identity
    class_key: str
    quantity: str  # "ppv" or "npv"
    n_common: int
    first_value: float | None
    second_value: float | None
    test: TestResult  # Kosinski's; the difference is inside
    p_leisenring: float | None
    p_holm: float | None  # Holm over the pairs and classes of one quantity


@dataclass(frozen=True)
class MarginResult:
    """A model judged against a margin."""

    analysis: str  # "model_vs_reader" or "model_vs_panel"
    class_key: str
    metric: str
    scope: str  # "" for one reader
    arm: str
    first: str
    second: str
    first_name: str
    second_name: str
    verdict: MarginTest
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CalibrationResult:
    """One number of how well a model's probabilities hold."""

    identity: Identity
    class_key: str  # a class key, "all" (every class at once) or "top_label" (is the most probable class right?)
    quantity: str  # brier, ece, slope, intercept, in_the_large
    estimate: Estimate
    p_value: float | None  # of slope 1 and intercept 0 at once


@dataclass(frozen=True)
class ReliabilityBinResult:
    """Cases of similar probability."""

    identity: Identity
    class_key: str
    number: int  # counted from 1 among the bins that hold a case
    found: ReliabilityBin


@dataclass(frozen=True)
class DecisionResult:
    """Net benefit at one threshold."""

    identity: Identity
    class_key: str
    threshold: float
    quantity: str  # net_benefit, net_benefit_of_all, gain
    estimate: Estimate


@dataclass(frozen=True)
class CutoffResult:
    """A proportion when a case is called positive from one rating on."""

    identity: Identity
    class_key: str
    cutoff: float  # of a confidence: as it was stated, with a minus where another class was chosen
    positive_from: str  # the same in words: "chosen, 4 or more"
    quantity: str  # sensitivity, specificity, ppv, npv
    estimate: Estimate


@dataclass(frozen=True)
class MatchedPointResult:
    """A model read at the operating point of a reader or a panel."""

    class_key: str
    arm: str
    first: Identity  # the model
    second: Identity  # a reader, or the panel
    found: MatchedPoint
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SubgroupResult:
    """A number of a participant on some of the cases, or of some of the readers."""

    identity: Identity
    variable: str  # centre, scanner, sex, age, reader_years
    level: str
    class_key: str
    quantity: str  # accuracy, sensitivity, specificity, auc
    n_readers: int
    estimate: Estimate


@dataclass(frozen=True)
class ReadingTimeResult:
    """Median reading time."""

    identity: Identity
    answer: str  # all, right, wrong
    estimate: Estimate  # in seconds


@dataclass(frozen=True)
class ConfidenceResult:
    """The share of right answers at one step of a reader's confidence."""

    identity: Identity
    number: int  # counted from 1 among the steps that were used
    lower: float  # confidence of the step, as it was stated
    upper: float
    mean: float
    estimate: Estimate


@dataclass(frozen=True)
class OrderResult:
    """A number in one quarter of a reader's own order."""

    identity: Identity
    quarter: int  # 1 to 4
    quantity: str  # accuracy, or seconds (their median)
    estimate: Estimate


@dataclass(frozen=True)
class LedgerResult:
    """One line of the ledger of automation bias; defined in :mod:`core.study_analysis.behaviour`."""

    identity: Identity
    shown: str  # "model": its own answer; "altered": one that was wrong on purpose
    variable: str  # "all", or "confidence" of the answer given alone
    level: str
    quantity: str
    count: int
    of: int
    experience: str  # band of the reader's years
    estimate: Estimate


@dataclass(frozen=True)
class LedgerAverage:
    """One line of the ledger over the readers of one band of experience: the mean of their shares, and its range."""

    shown: str
    variable: str
    level: str
    quantity: str
    experience: str
    n_readers: int  # on whose cases it could happen
    count: int
    of: int
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class LocalisationResult:
    """One number of how a reader's marks meet the lesions."""

    identity: Identity
    quantity: str  # lroc_area, lesions_hit, marked_without_lesion
    estimate: Estimate


@dataclass(frozen=True, eq=False)
class LrocCurve:
    """Empirical LROC points, from (0, 0) on."""

    identity: Identity
    false_positive_rate: FloatArray  # share of cases without a lesion that were marked with this rating or a higher one
    lesions_hit: FloatArray  # share of cases with a lesion that were hit with it
    threshold: FloatArray  # the rating; NaN at both ends


@dataclass(frozen=True, eq=False)
class CohortAnalysis:
    """Everything about one cohort."""

    cohort: str
    confidence_level: float
    n_cases: int
    n_patients: int
    class_counts: Mapping[str, int]
    excluded_counts: Mapping[str, int]
    participants: tuple[ParticipantAnalysis, ...]
    comparisons: tuple[PairComparison, ...]
    agreement: tuple[AgreementResult, ...]
    repeats: tuple[AgreementResult, ...]
    mrmc: tuple[MrmcResult, ...]
    panel_means: tuple[PanelMean, ...]
    notes: tuple[str, ...]
    class_patients: Mapping[str, int]  # patients with a case of the class
    marginal_tests: tuple[MarginalTest, ...] = ()
    operating_points: tuple[OperatingPointResult, ...] = ()
    reader_average_roc: tuple[ReaderAverage, ...] = ()
    predictive_values: tuple[PredictiveComparison, ...] = ()
    dbm: tuple[MrmcResult, ...] = ()  # arms by Dorfman-Berbaum-Metz
    margins: tuple[MarginResult, ...] = ()  # only when a margin was given
    calibration: tuple[CalibrationResult, ...] = ()
    reliability_bins: tuple[ReliabilityBinResult, ...] = ()
    decision_curves: tuple[DecisionResult, ...] = ()
    rating_cutoffs: tuple[CutoffResult, ...] = ()
    matched_points: tuple[MatchedPointResult, ...] = ()
    subgroups: tuple[SubgroupResult, ...] = ()
    localisation: tuple[LocalisationResult, ...] = ()  # only where readers marked lesions and masks say where they are
    lroc_curves: tuple[LrocCurve, ...] = ()
    reading_times: tuple[ReadingTimeResult, ...] = ()
    agreement_with_model: tuple[AgreementResult, ...] = ()
    confidence: tuple[ConfidenceResult, ...] = ()
    reading_order: tuple[OrderResult, ...] = ()
    aid_ledger: tuple[LedgerResult, ...] = ()
    aid_ledger_averages: tuple[LedgerAverage, ...] = ()
    case_outcomes: tuple[CaseOutcome, ...] = ()
    answer: tuple[str, ...] = ()  # the result in sentences to quote, by core.study_analysis.headline
    margin_answer: tuple[str, ...] = ()  # the same of the margin, where one was set

    def participant(self, key: str, arm: str = "") -> ParticipantAnalysis:
        """A reader in an arm, or a model.

        Raises
        ------
        NotFoundError
            If nobody of that key answered in this cohort and arm.
        """
        for one in self.participants:
            if one.key == key and one.arm == arm:
                return one
        raise NotFoundError(f"Nobody with key {key!r} in arm {arm!r} of cohort {self.cohort!r}.")
