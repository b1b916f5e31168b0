"""Simulated studies for the tests of the analysis: readers and models over cases of known truth."""

import numpy as np
import pandas as pd

from core.analysis import StudyData
from core.protocol import THYROID_CLASSES

KEYS = [disease.key for disease in THYROID_CLASSES]


def simulated_study(
    n_cases=120, readers=3, models=2, arms=("unaided",), seed=1, missing=0.0, repeats=0, has_confidence=True, cohorts=1,
    has_about=False,
):  # fmt: skip
    """A study of four classes; more repeats give hidden second readings of the first cases.

    ``has_about`` adds centre, scanner, sex, age, reading times, years of experience, lesions and marks.
    """
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(4), np.arange(4), rng.integers(0, 4, n_cases - 8)])
    cases = np.array([f"case-{index:04d}" for index in range(n_cases)])
    cohort = np.array(["internal", "external"])[np.arange(n_cases) % cohorts]
    about = pd.DataFrame({"case": cases, "patient": cases, "cohort": cohort, "truth": [KEYS[index] for index in truth]})
    rows = []
    for reader in range(readers):
        for arm in arms:
            right = rng.random(n_cases) < 0.65 + 0.05 * reader + 0.1 * (arm == "aided")
            label = np.where(right, truth, rng.integers(0, 4, n_cases))
            confidence = np.clip(rng.integers(1, 5, n_cases) + right, 1, 5)
            kept = rng.random(n_cases) >= missing
            for repeat, places in ((1, np.flatnonzero(kept)), (2, np.arange(repeats))):
                changed = np.where(rng.random(n_cases) < 0.85, label, rng.integers(0, 4, n_cases))
                answer = label if repeat == 1 else changed
                rows += [
                    {
                        "reader": f"reader-{reader}",
                        "case": cases[at],
                        "arm": arm,
                        "label": KEYS[answer[at]],
                        "confidence": float(confidence[at]) if has_confidence else None,
                        "repeat": repeat,
                    }
                    for at in places
                ]
    predictions = []
    for model in range(models):
        logits = rng.normal(size=(n_cases, 4))
        logits[np.arange(n_cases), truth] += 1.5 + model
        odds = np.exp(logits)
        share = odds / odds.sum(axis=1, keepdims=True)
        predictions += [
            {"model": f"model-{model}", "case": cases[at], **{f"p_{key}": share[at, i] for i, key in enumerate(KEYS)}}
            for at in range(n_cases)
        ]
    readings = pd.DataFrame(rows, columns=["reader", "case", "arm", "label", "confidence", "repeat"])
    years = {}
    if has_about:
        other = np.random.default_rng(seed + 1000)  # of its own, so that the answers stay as they are
        about["centre"], about["scanner"] = other.choice(["A", "B"], n_cases), "camera"
        about["sex"] = other.choice(["F", "M", ""], n_cases, p=[0.5, 0.4, 0.1])
        about["age_years"] = np.where(other.random(n_cases) < 0.1, np.nan, other.integers(18, 90, n_cases))
        about["has_lesion"] = about["truth"] == KEYS[3]
        is_there = readings["case"].map(dict(zip(cases, about["has_lesion"], strict=True)))
        readings["mark_rating"] = np.where(readings["label"] == KEYS[3], readings["confidence"], np.nan)
        readings["is_localised"] = is_there & readings["mark_rating"].notna() & (np.arange(len(readings)) % 4 > 0)
        readings["position"] = readings.groupby(["reader", "arm"]).cumcount() + 1
        readings["reading_seconds"] = other.lognormal(2.0, 0.5, len(readings))
        years = {f"reader-{reader}": (2.0, 4.5, 12.0, 20.0)[reader % 4] for reader in range(readers)}
    return StudyData(
        THYROID_CLASSES,
        about,
        readings,
        pd.DataFrame(predictions) if predictions else pd.DataFrame({"model": [], "case": []}, dtype=object),
        reader_years=years,
    )
