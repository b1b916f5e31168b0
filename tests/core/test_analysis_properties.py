"""Properties that every table of every study has, whatever the readings: a study is drawn, analysed and looked at."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.analysis import StudyData, analyse
from core.protocol import DiseaseClass

NO_SHRINKING = (Phase.explicit, Phase.generate)  # a study takes a second; shrinking one takes minutes


@st.composite
def studies(draw):
    """Small studies with everything that goes wrong: gaps, constant ratings, absent classes, one reader, clusters."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    k = draw(st.integers(2, 3))
    n = draw(st.integers(2, 24))
    keys = [f"class-{index}" for index in range(k)]
    truth = rng.integers(0, draw(st.integers(1, k)), n)
    cases = [f"case-{index}" for index in range(n)]
    patients = [f"patient-{index // draw(st.integers(1, 2))}" for index in range(n)]
    about = pd.DataFrame({"case": cases, "patient": patients, "cohort": "all", "truth": [keys[t] for t in truth]})
    about["sex"] = rng.choice(["F", "M", ""], n)
    about["age_years"] = np.where(rng.random(n) < 0.2, np.nan, rng.integers(20, 80, n))
    skill, gaps = draw(st.sampled_from([0.0, 0.7, 1.0])), draw(st.sampled_from([0.0, 0.0, 0.3]))
    n_steps = draw(st.sampled_from([1, 2, 5]))
    rows = []
    for reader in range(draw(st.integers(0, 5))):
        for arm in draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")])):
            for index in range(n):
                if rng.random() >= gaps:
                    right = rng.random() < skill
                    rows.append(
                        {
                            "reader": f"reader-{reader}", "case": cases[index], "arm": arm,
                            "label": keys[truth[index] if right else rng.integers(0, k)],
                            "confidence": float(rng.integers(1, n_steps + 1)),
                            "reading_seconds": float(rng.integers(0, 60)),
                        }
                    )  # fmt: skip
    predictions = None
    if draw(st.booleans()):
        share = rng.dirichlet(np.ones(k), n) if draw(st.booleans()) else np.eye(k)[truth]
        predictions = pd.DataFrame(
            {"model": "net", "case": cases, **{f"p_{key}": share[:, i] for i, key in enumerate(keys)}}
        )
    given_tables = {}
    if rows:
        given_tables["readings"] = pd.DataFrame(rows)
    if predictions is not None:
        given_tables["predictions"] = predictions
    return StudyData([DiseaseClass(key, key, key) for key in keys], about, **given_tables)


@settings(
    max_examples=25, deadline=None, derandomize=True, phases=NO_SHRINKING, suppress_health_check=list(HealthCheck)
)
@given(studies(), st.sampled_from(["common", "per-curve"]))
def test_no_number_is_missing_where_the_state_is_estimated(study, missing):
    for name, table in analyse(study, missing=missing, margin=0.1).to_tables().items():
        if "state" not in table.columns:
            continue
        estimated = table[table["state"] == "estimated"]
        if name in ("mrmc", "dbm"):  # the test of all arms at once has no difference
            assert estimated.loc[estimated["second"] == "", "overall_statistic"].notna().all()
            estimated = estimated[estimated["second"] != ""]
        for column in ("value", "p_value"):
            if column in table.columns and (name, column) != ("calibration", "p_value"):  # only slope and intercept
                assert estimated[column].notna().all(), (name, column, estimated[estimated[column].isna()].to_dict())
        if "lower" in table.columns:
            assert (estimated["lower"].notna() == estimated["upper"].notna()).all(), name
        numbers = table.select_dtypes("number").to_numpy(dtype=float, na_value=np.nan)
        assert not np.isinf(numbers).any(), name
        silent = table[table["state"].isin(["undefined", "degenerate"]) & (table["notes"] == "")]
        assert silent.empty, (name, silent.to_dict("records"))


@settings(
    max_examples=20, deadline=None, derandomize=True, phases=NO_SHRINKING, suppress_health_check=list(HealthCheck)
)
@given(studies(), st.sampled_from(["common", "per-curve"]))
def test_intervals_hold_their_value_within_the_range(study, missing):
    tables = analyse(study, missing=missing).to_tables()
    ranges = {"delong": (-1, 1), "mrmc": (-1, 1), "dbm": (-1, 1), "mcnemar": (-1, 1), "panel_means": (0, 1)}
    for name, (lowest, highest) in {**ranges, "auc": (0, 1), "predictive_values": (-1, 1)}.items():
        table = tables[name].dropna(subset=["value", "lower", "upper"])
        assert (table["lower"] <= table["value"] + 1e-12).all(), name
        assert (table["value"] <= table["upper"] + 1e-12).all(), name
        assert table["lower"].ge(lowest).all(), name
        assert table["upper"].le(highest).all(), name


@settings(
    max_examples=20, deadline=None, derandomize=True, phases=NO_SHRINKING, suppress_health_check=list(HealthCheck)
)
@given(studies())
def test_random_readers_are_never_narrower_than_fixed_ones_without_a_word(study):
    tables = analyse(study).to_tables()
    for name in ("mrmc", "dbm", "panel_means"):
        table = tables[name]
        keys = [key for key in ("analysis", "class", "metric", "arm", "first", "second") if key in table.columns]
        fixed = table[table["scope"] == "FRRC"].set_index(keys)["standard_error"]
        for row in table[table["scope"] == "RRRC"].to_dict("records"):
            width = fixed[tuple(row[key] for key in keys)]
            if row["standard_error"] < width * (1 - 1e-9):
                assert "estimated as zero" in row["notes"], (name, row)


@pytest.mark.parametrize(("readers", "leads"), [(2, "FRRC"), (4, "FRRC"), (5, "RRRC"), (6, "RRRC")])
def test_the_leading_scope_stands_first(readers, leads):
    from tests.core.analysis_studies import simulated_study

    tables = analyse(simulated_study(n_cases=60, readers=readers, models=1, arms=("a", "b"))).to_tables()
    for name in ("mrmc", "dbm", "panel_means"):
        table = tables[name]
        assert set(table.loc[table["is_leading"], "scope"]) == {leads}, name
        assert table["scope"].iloc[0] == leads, name
        assert table["is_leading"].sum() * 3 == len(table), name
