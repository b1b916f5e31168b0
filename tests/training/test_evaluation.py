"""Scores of a run: the pointing game of the report against cases made by hand."""

from __future__ import annotations

import numpy as np

from training.evaluation import pointing, recall_by_subtype

CLASSES = ("graves", "normal", "sat", "tumor")


def test_pointing_counts_the_peaks_of_the_own_class_map_inside_the_lesion() -> None:
    """Three tumors: one hit, one miss, one whose lesion is not known; the other classes' maps must not count."""
    truth = np.array([3, 3, 3, 1])
    maps = np.zeros((4, 4, 4, 4), np.float32)
    maps[:, :3, 3, 3] = 9.0
    maps[0, 3, 1, 1] = 1.0
    maps[1, 3, 0, 3] = 1.0
    lesions = np.zeros((4, 32, 32), bool)
    lesions[:2, 8:16, 8:16] = True
    found = pointing(truth, maps, lesions, CLASSES)
    assert list(found) == ["tumor"]
    rate = found["tumor"]["hit_rate"]
    assert (rate["successes"], rate["n"], rate["value"]) == (1, 2, 0.5)
    assert found["tumor"]["chance"] == 64 / 1024
    assert 0 < found["tumor"]["energy"] < 0.5


def test_a_map_that_says_nothing_is_no_hit() -> None:
    lesions = np.ones((1, 16, 16), bool)
    found = pointing(np.array([0]), np.zeros((1, 4, 2, 2), np.float32), lesions, CLASSES)
    assert found["graves"]["hit_rate"]["successes"] == 0
    assert found["graves"]["energy"] is None


def test_recall_by_subtype_counts_each_kind_on_its_own() -> None:
    truth = np.array([0, 0, 3, 3, 3])
    probabilities = np.eye(4)[[0, 1, 3, 3, 0]]
    found = recall_by_subtype(truth, probabilities, ["mild", "mild", "cold", "cold", "warm"], CLASSES)
    assert {kind: (one["successes"], one["n"]) for kind, one in found.items()} == {
        "graves, mild": (1, 2),
        "tumor, cold": (2, 2),
        "tumor, warm": (0, 1),
    }
