"""Entropy, energy, distance, and plain image checks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf

from core.errors import CheckpointError, InputError
from core.model.input_checks import coloured_share, input_problems, noise_share
from core.model.uncertainty import Detector, energy, entropy, fit_detector, restore_detector, tolerance_limit


def _cases(n: int, rng: np.random.Generator, dimensions: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features around four means, logits that follow them, truth."""
    truth = np.arange(n) % 4
    features = rng.normal(0, 1, (n, dimensions))
    features[np.arange(n), truth] += 6
    logits = np.zeros((n, 4))
    logits[np.arange(n), truth] = rng.normal(5, 1, n)
    return features, logits, truth


def test_entropy_runs_from_certainty_to_two_bits() -> None:
    assert np.allclose(entropy(np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])), [0, 2, 1])


def test_energy_is_the_negative_logsumexp() -> None:
    logits = np.random.default_rng(0).normal(0, 300, (10, 4))
    assert np.allclose(energy(logits), -logsumexp(logits, axis=1))


@pytest.mark.parametrize("n", [60, 400])
def test_detector_flags_few_new_ordinary_cases_even_if_fitted_on_few(n: int) -> None:
    rng = np.random.default_rng(1)
    detector = fit_detector(*_cases(n, rng))
    features, logits, _ = _cases(2000, rng)
    assert detector.is_out(logits, features).mean() < 0.10


def test_detector_flags_strange_features_and_weak_logits() -> None:
    rng = np.random.default_rng(2)
    detector = fit_detector(*_cases(400, rng))
    features, logits, _ = _cases(100, rng)
    strange = features.copy()
    strange[:, 10] += 8
    assert detector.is_out(logits, strange).mean() > 0.95
    assert detector.is_out(np.zeros_like(logits), features).mean() > 0.95


@pytest.mark.parametrize("n", [150, 207, 1000])
def test_tolerance_limit_covers_its_share_in_19_of_20_samples_and_is_the_least_that_does(n: int) -> None:
    """Of uniform values the share below a limit is the limit itself."""
    samples = np.random.default_rng(n).random((4000, n))
    limits = np.array([tolerance_limit(sample, 0.975) for sample in samples])
    assert (limits >= 0.975).mean() > 0.94
    next_smaller = np.array(
        [
            np.sort(sample)[np.searchsorted(np.sort(sample), limit) - 1]
            for sample, limit in zip(samples, limits, strict=True)
        ]
    )
    assert (next_smaller >= 0.975).mean() < 0.95


def test_tolerance_limit_of_too_few_values_is_the_largest() -> None:
    assert tolerance_limit(np.array([3.0, 1.0, 2.0]), 0.975) == 3.0


def test_distance_does_not_depend_on_the_unit_of_a_feature() -> None:
    """Mahalanobis, not Euclid: a direction that varies little counts more."""
    rng = np.random.default_rng(3)
    features, logits, truth = _cases(2000, rng)
    features[:, 5] *= 0.1
    detector = fit_detector(features, logits, truth)
    along_wide, along_narrow = features[:1].copy(), features[:1].copy()
    along_wide[0, 6] += 3
    along_narrow[0, 5] += 3
    before = detector.distance(features[:1])
    assert detector.distance(along_narrow) - before > 4 * (detector.distance(along_wide) - before)


def test_distance_is_sklearns_mahalanobis_with_ledoit_wolf_shrinkage() -> None:
    for n in (12, 300):  # fewer and more cases than features
        features, logits, truth = _cases(n, np.random.default_rng(6))
        detector = fit_detector(features, logits, truth)
        means = np.stack([features[truth == index].mean(axis=0) for index in range(4)])
        model = LedoitWolf(assume_centered=True).fit(features - means[truth])
        expected = np.min([model.mahalanobis(features - mean) for mean in means], axis=0)
        assert np.allclose(detector.distance(features), expected, rtol=1e-3)


def test_detector_survives_features_that_never_vary() -> None:
    rng = np.random.default_rng(4)
    features, logits, truth = _cases(100, rng)
    features[:, 7] = 0
    detector = fit_detector(features, logits, truth)
    assert np.isfinite(detector.whitening).all()
    assert np.isfinite(detector.distance(features)).all()


def test_detector_comes_back_from_tensors() -> None:
    detector = fit_detector(*_cases(100, np.random.default_rng(5)))
    back = restore_detector(detector.to_tensors(), detector.to_thresholds())
    assert isinstance(back, Detector)
    assert back.to_thresholds() == detector.to_thresholds()
    assert np.array_equal(back.means, detector.means)
    assert restore_detector({}, {}) is None


def test_incomplete_or_foreign_detector_is_refused() -> None:
    detector = fit_detector(*_cases(100, np.random.default_rng(5)))
    with pytest.raises(CheckpointError, match="max_energy"):
        restore_detector(detector.to_tensors(), {"max_distance": 1.0})
    with pytest.raises(CheckpointError, match="do not fit"):
        restore_detector({**detector.to_tensors(), "means": torch.zeros(4, 3)}, detector.to_thresholds())
    with pytest.raises(CheckpointError, match="do not fit the network"):
        restore_detector(detector.to_tensors(), detector.to_thresholds(), 512)


def test_class_without_spread_cannot_be_fitted() -> None:
    with pytest.raises(InputError, match="two or more cases"):
        fit_detector(np.zeros((3, 2)), np.zeros((3, 2)), np.array([0, 0, 1]))
    with pytest.raises(InputError, match="one row"):
        fit_detector(np.zeros((3, 2)), np.zeros((2, 2)), np.array([0, 0, 1]))
    with pytest.raises(InputError, match="share"):
        fit_detector(np.zeros((4, 2)), np.zeros((4, 2)), np.array([0, 0, 1, 1]), false_flag_share=0)


# ---- the image itself -----------------------------------------------------------------------------------------------


def _scintigram(counts: float, side: int = 128, seed: int = 0) -> np.ndarray:
    """Two lobes under Poisson noise."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    lobes = sum(np.exp(-(((rows - 0.5) / 0.14) ** 2) - ((columns - centre) / 0.06) ** 2) for centre in (0.4, 0.6))
    return np.random.default_rng(seed).poisson(counts * (lobes + 0.05)).astype(np.uint16)


@pytest.mark.parametrize("counts", [20, 100, 1000])
def test_scintigram_passes_at_any_count_level(counts: float) -> None:
    assert input_problems(_scintigram(counts)) == ()


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((128, 128), np.uint8), "empty or uniform"),
        (np.full((128, 128), 90, np.uint16), "empty or uniform"),
        (np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8), "noise"),
        (np.random.default_rng(0).poisson(9, (128, 128)).astype(np.uint16), "noise"),
        (np.minimum(_scintigram(1000), 60).astype(np.uint8), "clipped"),
        (_scintigram(1000)[50:70, 50:70], "only 20 x 20 pixels"),
        (np.dstack([_scintigram(100)] * 2 + [np.zeros((128, 128), np.uint16)]).astype(np.uint8), "colour"),
    ],
)
def test_what_is_no_scintigram_is_named(pixels: np.ndarray, words: str) -> None:
    assert any(words in problem for problem in input_problems(pixels))


def test_noise_share_of_white_noise_is_the_area_beyond_the_circle() -> None:
    noise = np.random.default_rng(0).normal(size=(256, 256))
    assert noise_share(noise) == pytest.approx(1 - np.pi * 0.25**2, abs=0.02)
    assert noise_share(np.outer(np.hanning(256), np.hanning(256))) < 0.001


def test_grey_in_three_channels_is_no_colour() -> None:
    grey = np.dstack([np.arange(64, dtype=np.uint8).reshape(8, 8)] * 3)
    assert coloured_share(grey) == 0
    assert input_problems(np.dstack([np.minimum(_scintigram(100), 255).astype(np.uint8)] * 3)) == ()
