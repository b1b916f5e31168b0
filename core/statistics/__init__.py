"""Statistics of reader studies: importable alone with NumPy, SciPy, statsmodels and scikit-learn.

Rooms: ``proportions`` and ``classification`` (per class and averaged), ``proportion_difference``, ``roc``,
``auc_interval``, ``auc_comparison``, ``multiclass``, ``delong``, ``cohen_kappa``, ``agreement_coefficients``,
``krippendorff``, ``panel_agreement``, ``contingency_tests``, ``predictive_comparison``, ``non_inferiority``,
``multiplicity``, ``bootstrap``, ``probability_calibration``, ``decision_curve``, ``matched_point``.
The analysis of several readers over several
cases has rooms of its own beside these and is imported from them. Everything returned is a frozen dataclass, most of
them an ``Estimate`` or a ``TestResult``, and a number that the data do not define is a named state.
"""

from core.statistics.agreement_coefficients import (
    AgreementCoefficient,
    brennan_prediger,
    conger_kappa,
    fleiss_kappa,
    fleiss_kappa_test,
    gwet_ac,
    percent_agreement,
)
from core.statistics.auc_comparison import AucComparison, compare_aucs, compare_aucs_paired, compare_aucs_unpaired
from core.statistics.auc_interval import auc_binomial_exact, auc_clustered, auc_estimate, hard_label_auc
from core.statistics.bootstrap import (
    bootstrap_auc,
    bootstrap_auc_difference,
    bootstrap_estimate,
    bootstrap_reader_average,
)
from core.statistics.case_mean import mean_over_cases
from core.statistics.classification import (
    BinaryCounts,
    BinaryMetrics,
    ClassificationMetrics,
    binary_metrics,
    classification_metrics,
    confusion_matrix,
    metrics_from_matrix,
    predictive_values_at_prevalence,
)
from core.statistics.cohen_kappa import cohen_kappa, has_kappa_paradox
from core.statistics.contingency_tests import (
    AccuracyComparison,
    bowker,
    chi_squared,
    cochran_q,
    compare_accuracies,
    fisher_exact,
    mcnemar,
    mcnemar_clustered,
    square_table,
    stuart_maxwell,
)
from core.statistics.decision_curve import DecisionPoint, decision_curve, net_benefit
from core.statistics.delong import DelongComponents, auc, delong_components
from core.statistics.krippendorff import krippendorff_alpha
from core.statistics.matched_point import MatchedPoint, compare_at_matched_point
from core.statistics.multiclass import MulticlassAuc, compare_multiclass_auc, multiclass_auc
from core.statistics.multiplicity import benjamini_hochberg, holm
from core.statistics.non_inferiority import (
    MarginTest,
    assess_margin,
    assess_margin_auc,
    assess_margin_paired,
    assess_margin_unpaired,
)
from core.statistics.panel_agreement import (
    IntraReaderAgreement,
    PanelAgreement,
    intra_reader_agreement,
    panel_agreement,
)
from core.statistics.predictive_comparison import PredictiveValueComparison, compare_predictive_values
from core.statistics.probability_calibration import (
    Recalibration,
    ReliabilityBin,
    brier_score,
    brier_score_multiclass,
    expected_calibration_error,
    logistic_recalibration,
    reliability_bins,
)
from core.statistics.proportion_difference import (
    PairedCounts,
    difference_paired,
    difference_paired_clustered,
    difference_unpaired,
    paired_counts,
)
from core.statistics.proportions import proportion, proportion_clustered
from core.statistics.result import Estimate, State, TestResult, undefined_estimate, undefined_test
from core.statistics.roc import (
    OperatingPoint,
    RocCurve,
    is_hard_label,
    operating_point,
    operating_point_at,
    partial_auc,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    youden_point,
)

__all__ = [
    "AccuracyComparison",
    "AgreementCoefficient",
    "AucComparison",
    "BinaryCounts",
    "BinaryMetrics",
    "ClassificationMetrics",
    "DecisionPoint",
    "DelongComponents",
    "Estimate",
    "IntraReaderAgreement",
    "MarginTest",
    "MatchedPoint",
    "MulticlassAuc",
    "OperatingPoint",
    "PairedCounts",
    "PanelAgreement",
    "PredictiveValueComparison",
    "Recalibration",
    "ReliabilityBin",
    "RocCurve",
    "State",
    "TestResult",
    "assess_margin",
    "assess_margin_auc",
    "assess_margin_paired",
    "assess_margin_unpaired",
    "auc",
    "auc_binomial_exact",
    "auc_clustered",
    "auc_estimate",
    "benjamini_hochberg",
    "binary_metrics",
    "bootstrap_auc",
    "bootstrap_auc_difference",
    "bootstrap_estimate",
    "bootstrap_reader_average",
    "bowker",
    "brennan_prediger",
    "brier_score",
    "brier_score_multiclass",
    "chi_squared",
    "classification_metrics",
    "cochran_q",
    "cohen_kappa",
    "compare_accuracies",
    "compare_at_matched_point",
    "compare_aucs",
    "compare_aucs_paired",
    "compare_aucs_unpaired",
    "compare_multiclass_auc",
    "compare_predictive_values",
    "confusion_matrix",
    "conger_kappa",
    "decision_curve",
    "delong_components",
    "difference_paired",
    "difference_paired_clustered",
    "difference_unpaired",
    "expected_calibration_error",
    "fisher_exact",
    "fleiss_kappa",
    "fleiss_kappa_test",
    "gwet_ac",
    "hard_label_auc",
    "has_kappa_paradox",
    "holm",
    "intra_reader_agreement",
    "is_hard_label",
    "krippendorff_alpha",
    "logistic_recalibration",
    "mcnemar",
    "mcnemar_clustered",
    "mean_over_cases",
    "metrics_from_matrix",
    "multiclass_auc",
    "net_benefit",
    "operating_point",
    "operating_point_at",
    "paired_counts",
    "panel_agreement",
    "partial_auc",
    "percent_agreement",
    "predictive_values_at_prevalence",
    "proportion",
    "proportion_clustered",
    "reliability_bins",
    "roc_curve",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "square_table",
    "stuart_maxwell",
    "undefined_estimate",
    "undefined_test",
    "youden_point",
]
