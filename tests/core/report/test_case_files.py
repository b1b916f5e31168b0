"""Files as other people wrote them: each trial's file, under its own name, with the right value."""

from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from core.analysis import analyse
from core.report.layouts import read_analysis_file

DATA = Path(__file__).parents[2] / "data" / "readings"


def tables(name, layout="long", **options):
    """Tables of a file's analysis."""
    return analyse(read_analysis_file(DATA / name, layout, **options)).to_tables()


def test_case_04_one_blank_confidence_is_one_missing_rating():
    """AUC by scikit-learn on the 59 rated cases; four readers stay in the MRMC."""
    name = "n01_one_blank_confidence.csv"
    found = tables(name)
    file = pd.read_csv(DATA / name, dtype={"case": str})
    ann = file[(file["reader"] == "Ann") & (file["arm"] == "unaided") & file["confidence"].notna()]
    rating = ann["confidence"].where(ann["label"] == "malignant", -ann["confidence"])
    auc = found["auc"].query("name == 'Ann' and arm == 'unaided'").iloc[0]
    assert auc["value"] == pytest.approx(roc_auc_score(ann["truth"] == "malignant", rating), rel=1e-12)
    assert (auc["n"], auc["state"]) == (59, "estimated")
    assert set(found["mrmc"]["n_readers"]) == {4}
    assert not found["mrmc"]["notes"].str.contains("Left out").any()
    whole = tables("n00_full.csv")
    accuracy = [each["summary"].query("quantity == 'accuracy'")["value"].tolist() for each in (found, whole)]
    assert accuracy[0] == accuracy[1]
