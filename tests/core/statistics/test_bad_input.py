"""Whatever is handed in, a statistic answers with a number, a named state, or an error that names the argument."""

import warnings

import numpy as np
import pandas as pd
import pytest

import core.statistics as s
from core.errors import ReadingRoomError

RNG = np.random.default_rng(0)
TRUTH = np.arange(12) % 2 == 1
RATING = RNG.normal(size=12)
PATIENT = np.arange(12) // 2
CLASSES = np.array(list("abc"))[RNG.integers(3, size=12)]

#: Argument -> what is handed in for it.
STRANGE = {
    "text": np.array(["x"] * 12),
    "text booleans": np.array(["True", "False"] * 6),
    "nothing": np.array([None] * 12, dtype=object),
    "gaps": np.array([True, None] * 6, dtype=object),
    "nullable": pd.array([True, None] * 6, dtype="boolean"),
    "category": pd.Series(["a", "b"] * 6, dtype="category"),
    "two dimensions": RNG.normal(size=(3, 12)),
    "three dimensions": np.zeros((2, 3, 12)),
    "a frame": pd.DataFrame({"a": RATING, "b": RATING}),
    "a column of a frame": RATING[:, None],
    "empty": [],
    "a number": 3.0,
    "None": None,
    "a word": "abc",
    "a mapping": {1: 2},
    "NaN": np.full(12, np.nan),
    "infinite": np.full(12, np.inf),
    "short": RATING[:5],
    "complex": RATING + 1j,
    "ragged": [[1, 2], [1]],
    "dates": np.array(["2020-01-01"] * 12, dtype="datetime64[D]"),
    "fractions in a table": [[3.5, 1], [2, 4]],
    "words in a table": [["a", "b"], ["c", "d"]],
}

#: Measure -> a call whose argument may be anything.
CALLS = {
    "auc": lambda x: s.auc_estimate(TRUTH, x),
    "truth": lambda x: s.auc(x, RATING),
    "paired": lambda x: s.compare_aucs_paired(TRUTH, x, RATING, patients=PATIENT),
    "several": lambda x: s.compare_aucs(TRUTH, x),
    "clusters": lambda x: s.auc_clustered(TRUTH, RATING, x),
    "roc": lambda x: s.roc_curve(TRUTH, x),
    "cutoff": lambda x: s.operating_point_at(TRUTH, x, 0.5),
    "decisions": lambda x: s.operating_point(TRUTH, x),
    "brier": lambda x: s.brier_score(TRUTH, x),
    "brier of classes": lambda x: s.brier_score_multiclass(CLASSES, x, "abc"),
    "calibration error": lambda x: s.expected_calibration_error(TRUTH, x),
    "recalibration": lambda x: s.logistic_recalibration(TRUTH, x),
    "decision curve": lambda x: s.decision_curve(TRUTH, x),
    "matched": lambda x: s.compare_at_matched_point(TRUTH, x, RATING > 0),
    "matched readers": lambda x: s.compare_at_matched_point(TRUTH, RATING, x),
    "predictive values": lambda x: s.compare_predictive_values(TRUTH, x, RATING > 0),
    "cochran": lambda x: s.cochran_q(x),
    "accuracies": lambda x: s.compare_accuracies(x),
    "clustered mcnemar": lambda x: s.mcnemar_clustered(TRUTH, x, PATIENT),
    "averaged roc": lambda x: s.reader_averaged_roc(TRUTH, x),
    "study": lambda x: s.ReaderStudy.from_dense(TRUTH, ratings=x),
    "study of labels": lambda x: s.ReaderStudy.from_dense(TRUTH, labels=x),
    "long table": lambda x: s.ReaderStudy.from_long(reader=["A"] * 12, case=range(12), truth=TRUTH, rating=x),
    "long readers": lambda x: s.ReaderStudy.from_long(reader=x, case=range(12), truth=TRUTH, rating=RATING),
    "model": lambda x: s.compare_model_with_readers(
        s.ReaderStudy.from_dense(TRUTH, ratings=RNG.normal(size=(1, 3, 12))), model_ratings=x
    ),
    "multiclass": lambda x: s.multiclass_auc(CLASSES, x, "abc"),
    "kappa": lambda x: s.cohen_kappa(TRUTH, x, [False, True]),
    "fleiss": lambda x: s.fleiss_kappa(x, [0, 1]),
    "panel": lambda x: s.panel_agreement(x, [0, 1]),
    "alpha": lambda x: s.krippendorff_alpha(x, [0, 1]),
    "margins": lambda x: s.stuart_maxwell(x),
    "kappa of a table": lambda x: s.kappa_of_table(x),
    "matrix": lambda x: s.metrics_from_matrix(x, "ab"),
    "median": lambda x: s.median_estimate(x),
    "mean": lambda x: s.mean_over_cases(x, limits=(0.0, 1.0), name="mean"),
}


@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("measure", CALLS)
def test_nothing_strange_comes_back_as_a_traceback_or_as_nan(measure, what):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = CALLS[measure](STRANGE[what])
    except ReadingRoomError as error:
        assert str(error).strip()  # noqa: PT017  # any of our errors will do; it must say something
        return
    if isinstance(found, s.Estimate) and found.state is s.State.ESTIMATED:
        numbers = (found.value, found.lower, found.upper)
        assert all(number is None or np.isfinite(number) for number in numbers)
