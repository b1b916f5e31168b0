"""Statistics of reader studies: importable alone with NumPy, SciPy, statsmodels and scikit-learn.

One curve or reader: ``proportions``, ``classification`` (per class and averaged), ``roc``, ``auc_interval``,
``multiclass``, ``probability_calibration``, ``decision_curve``, ``median``.
Two or more over the same cases: ``proportion_difference``, ``contingency_tests``, ``auc_comparison``,
``predictive_comparison``, ``matched_point``, ``non_inferiority``, ``multiplicity``.
Agreement: ``cohen_kappa``, ``agreement_coefficients``, ``krippendorff``, ``panel_agreement``.
Several readers and cases: ``reader_study``, ``mrmc`` (the door), ``obuchowski_rockette``, ``dbm``, ``imrmc_ustat``,
``standalone``, ``scope``, ``reader_averaged_roc``. Sizing: ``planning``, ``panel_planning``, ``roe_metz``.
Whatever draws random numbers takes ``rng``: ``bootstrap``.

Everything returned is a frozen dataclass, most of them an ``Estimate`` or a ``TestResult``, and a number that the data
do not define is a named state. ``print(result)`` or ``result.summary()`` is text of at most 100 columns;
``core.notebook.to_frame(result)`` is a pandas data frame.

>>> from core.statistics import proportion
>>> print(proportion(110, 130))
0.8462 (95% 0.7743 to 0.8981), n = 130; Wilson
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
from core.statistics.cohen_kappa import cohen_kappa, has_kappa_paradox, kappa_of_table
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
from core.statistics.dbm import DorfmanBerbaumMetz, dorfman_berbaum_metz
from core.statistics.decision_curve import DecisionPoint, decision_curve, net_benefit
from core.statistics.delong import DelongComponents, auc, delong_components
from core.statistics.figure_of_merit import Covariance
from core.statistics.imrmc_ustat import UstatAnalysis, VarianceKind, imrmc_analysis
from core.statistics.krippendorff import krippendorff_alpha
from core.statistics.matched_point import MatchedPoint, compare_at_matched_point
from core.statistics.median import median_estimate
from core.statistics.mrmc import ClassResult, compare_arms, compare_arms_per_class, compare_model_per_class
from core.statistics.multiclass import MulticlassAuc, compare_multiclass_auc, multiclass_auc
from core.statistics.multiplicity import benjamini_hochberg, holm
from core.statistics.non_inferiority import (
    MarginTest,
    assess_margin,
    assess_margin_auc,
    assess_margin_paired,
    assess_margin_unpaired,
)
from core.statistics.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from core.statistics.panel_agreement import (
    IntraReaderAgreement,
    PanelAgreement,
    intra_reader_agreement,
    panel_agreement,
)
from core.statistics.panel_planning import PanelComponents, cases_for_panel_power, panel_power, readers_for_panel_power
from core.statistics.planning import (
    OrComponents,
    Power,
    SampleSize,
    auc_error_variance,
    cases_for_auc,
    cases_for_power,
    cases_for_proportion,
    mrmc_power,
    power_table,
    readers_for_power,
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
from core.statistics.range_limits import difference_estimate
from core.statistics.reader_averaged_roc import ReaderAveragedRoc, average_curves, reader_averaged_roc
from core.statistics.reader_study import Figure, ReaderStudy
from core.statistics.result import Estimate, Reported, State, TestResult, undefined_estimate, undefined_test
from core.statistics.roc import (
    OperatingPoint,
    RocBand,
    RocCurve,
    is_hard_label,
    operating_point,
    operating_point_at,
    partial_auc,
    roc_band,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    youden_point,
)
from core.statistics.roe_metz import RoeMetzModel
from core.statistics.scope import Scope, leading_scope
from core.statistics.standalone import StandaloneComparison, compare_model_with_readers

__all__ = [
    "AccuracyComparison",
    "AgreementCoefficient",
    "AucComparison",
    "BinaryCounts",
    "BinaryMetrics",
    "ClassResult",
    "ClassificationMetrics",
    "Covariance",
    "DecisionPoint",
    "DelongComponents",
    "DorfmanBerbaumMetz",
    "Estimate",
    "Figure",
    "IntraReaderAgreement",
    "MarginTest",
    "MatchedPoint",
    "MulticlassAuc",
    "ObuchowskiRockette",
    "OperatingPoint",
    "OrComponents",
    "PairedCounts",
    "PanelAgreement",
    "PanelComponents",
    "Power",
    "PredictiveValueComparison",
    "ReaderAveragedRoc",
    "ReaderStudy",
    "Recalibration",
    "ReliabilityBin",
    "Reported",
    "RocBand",
    "RocCurve",
    "RoeMetzModel",
    "SampleSize",
    "Scope",
    "StandaloneComparison",
    "State",
    "TestResult",
    "UstatAnalysis",
    "VarianceKind",
    "assess_margin",
    "assess_margin_auc",
    "assess_margin_paired",
    "assess_margin_unpaired",
    "auc",
    "auc_binomial_exact",
    "auc_clustered",
    "auc_error_variance",
    "auc_estimate",
    "average_curves",
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
    "cases_for_auc",
    "cases_for_panel_power",
    "cases_for_power",
    "cases_for_proportion",
    "chi_squared",
    "classification_metrics",
    "cochran_q",
    "cohen_kappa",
    "compare_accuracies",
    "compare_arms",
    "compare_arms_per_class",
    "compare_at_matched_point",
    "compare_aucs",
    "compare_aucs_paired",
    "compare_aucs_unpaired",
    "compare_model_per_class",
    "compare_model_with_readers",
    "compare_multiclass_auc",
    "compare_predictive_values",
    "confusion_matrix",
    "conger_kappa",
    "decision_curve",
    "delong_components",
    "difference_estimate",
    "difference_paired",
    "difference_paired_clustered",
    "difference_unpaired",
    "dorfman_berbaum_metz",
    "expected_calibration_error",
    "fisher_exact",
    "fleiss_kappa",
    "fleiss_kappa_test",
    "gwet_ac",
    "hard_label_auc",
    "has_kappa_paradox",
    "holm",
    "imrmc_analysis",
    "intra_reader_agreement",
    "is_hard_label",
    "kappa_of_table",
    "krippendorff_alpha",
    "leading_scope",
    "logistic_recalibration",
    "mcnemar",
    "mcnemar_clustered",
    "mean_over_cases",
    "median_estimate",
    "metrics_from_matrix",
    "mrmc_power",
    "multiclass_auc",
    "net_benefit",
    "obuchowski_rockette",
    "operating_point",
    "operating_point_at",
    "paired_counts",
    "panel_agreement",
    "panel_power",
    "partial_auc",
    "percent_agreement",
    "power_table",
    "predictive_values_at_prevalence",
    "proportion",
    "proportion_clustered",
    "reader_averaged_roc",
    "readers_for_panel_power",
    "readers_for_power",
    "reliability_bins",
    "roc_band",
    "roc_curve",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "square_table",
    "stuart_maxwell",
    "undefined_estimate",
    "undefined_test",
    "youden_point",
]
