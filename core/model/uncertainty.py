"""What a reader should know before trusting a prediction: how sure the model is, and whether it has seen such an image.

Two detectors look at what the network makes of the image (energy of the logits, Mahalanobis distance of the pooled
features to the class it is nearest to), and plain checks look at the image itself. An image is flagged if any of them
objects. A flag informs; it never blocks a prediction. No detector of this kind dominates on every kind of strange
image (OpenOOD v1.5), which is why there are several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from torch import Tensor

#: Share of ordinary cases that the two detectors together may flag; each gets half.
DEFAULT_FALSE_FLAG_SHARE = 0.05
#: With which confidence no more than that are flagged, whatever cases the thresholds happened to be fitted on.
LIMIT_CONFIDENCE = 0.95


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Shannon entropy in bits of each row: (n, k) to (n,); 0 is certain, log2(k) knows nothing."""
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log2(p, out=np.zeros_like(p), where=p > 0)
    return np.abs(-(p * logs).sum(axis=1))


def energy(logits: np.ndarray) -> np.ndarray:
    """Negative log-sum-exp of the logits: (n, k) to (n,); higher is stranger.

    References
    ----------
    Liu et al. (2020), NeurIPS 33:21464-21475.
    """
    logits = np.asarray(logits, dtype=np.float64)
    top = logits.max(axis=1)
    return -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


@dataclass(frozen=True)
class Detector:
    """Out-of-distribution detector on logits and pooled features.

    References
    ----------
    Lee et al. (2018), NeurIPS 31 (Mahalanobis distance with one covariance for all classes).
    """

    means: np.ndarray  # (k, C) float32, mean features of each class
    whitening: np.ndarray  # (C, C) float32; distances after this map have unit variance
    max_energy: float
    max_distance: float  # squared Mahalanobis distance

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance to the nearest class mean: (n, C) to (n,)."""
        return _nearest_distance(features, self.means.astype(np.float64), self.whitening.astype(np.float64))

    def is_out(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """True where a case is stranger than the thresholds: (n, k) and (n, C) to (n,) bool."""
        return (energy(logits) > self.max_energy) | (self.distance(features) > self.max_distance)

    def to_tensors(self) -> dict[str, Tensor]:
        """Statistics for :func:`core.model.checkpoint.save_checkpoint`."""
        import torch  # the app serves without torch, which takes seconds to import

        whitening = torch.from_numpy(self.whitening)
        if float(whitening.abs().max()) < torch.finfo(torch.float16).max:
            whitening = whitening.half()  # half the file; distances change by less than a thousandth
        return {"means": torch.from_numpy(self.means), "whitening": whitening}

    def to_thresholds(self) -> dict[str, float]:
        """Thresholds for ``ModelCard.thresholds``."""
        return {"max_energy": self.max_energy, "max_distance": self.max_distance}


def restore_detector(
    statistics: Mapping[str, np.ndarray | Tensor], thresholds: Mapping[str, float], n_features: int | None = None
) -> Detector | None:
    """The detector of a checkpoint, or None if it has none.

    Parameters
    ----------
    statistics : mapping of str to array
        ``Checkpoint.statistics``.
    thresholds : mapping of str to float
        ``ModelCard.thresholds``.
    n_features : int, optional
        Channels of the last convolutional map, checked if given.

    Raises
    ------
    CheckpointError
        If parts are missing or of the wrong shape.
    """
    if not statistics and not thresholds:
        return None
    try:
        detector = Detector(
            means=np.asarray(statistics["means"], dtype=np.float32),
            whitening=np.asarray(statistics["whitening"], dtype=np.float32),
            max_energy=float(thresholds["max_energy"]),
            max_distance=float(thresholds["max_distance"]),
        )
    except KeyError as error:
        raise CheckpointError(
            f"the out-of-distribution statistics of this checkpoint lack {error}. Fix: save the checkpoint again."
        ) from error
    if detector.means.ndim != 2 or detector.whitening.shape != (detector.means.shape[1], detector.means.shape[1]):
        raise CheckpointError("the out-of-distribution statistics do not fit each other. Fix: save it again.")
    if n_features is not None and detector.means.shape[1] != n_features:
        raise CheckpointError("the out-of-distribution statistics do not fit the network. Fix: save it again.")
    return detector


def fit_detector(
    features: np.ndarray,
    logits: np.ndarray,
    truth: np.ndarray,
    *,
    false_flag_share: float = DEFAULT_FALSE_FLAG_SHARE,
    n_parts: int = 5,
    seed: int = 0,
) -> Detector:
    """Fit on cases that the network was not trained on.

    Parameters
    ----------
    features : float array, shape (n, C)
        Pooled features of validation (or out-of-fold) cases.
    logits : float array, shape (n, k)
    truth : int array, shape (n,)
        Class index.
    false_flag_share : float
        Share of ordinary cases that may be flagged, at most (with :data:`LIMIT_CONFIDENCE`); each of the two
        detectors gets half of it.
    n_parts : int
        Distances that set the threshold are measured on cases left out of mean and covariance, in this many turns:
        a distance to a mean that the case itself helped to make is too small.
    seed : int
        Of the split into parts.

    Raises
    ------
    InputError
        If shapes do not fit, or a class has fewer than two cases.
    """
    features = np.asarray(features, dtype=np.float64)
    truth = np.asarray(truth)
    if features.ndim != 2 or len(features) != len(truth) or len(logits) != len(truth):
        raise InputError("need one row of features and logits per case", field="shape", value=features.shape)
    if not 0 < false_flag_share < 1:
        raise InputError(
            "the share of false flags must lie in (0, 1)", field="false_flag_share", value=false_flag_share
        )
    counts = np.bincount(truth, minlength=np.asarray(logits).shape[1])
    if counts.min() < 2:
        raise InputError(
            "every class needs two or more cases to measure its spread", field="truth", value=counts.tolist()
        )
    # Each class is dealt out over the parts, so that every part leaves every class a case.
    part = np.empty(len(truth), dtype=int)
    rng = np.random.default_rng(seed)
    for index in range(len(counts)):
        members = np.flatnonzero(truth == index)
        part[rng.permutation(members)] = np.arange(len(members)) % n_parts
    held_out = np.empty(len(truth))
    for index in np.unique(part):
        rest = part != index
        means, whitening = _mean_and_whitening(features[rest], truth[rest], len(counts))
        held_out[~rest] = _nearest_distance(features[~rest], means, whitening)
    means, whitening = _mean_and_whitening(features, truth, len(counts))
    share = 1 - false_flag_share / 2
    return Detector(
        means=means.astype(np.float32),
        whitening=whitening.astype(np.float32),
        max_energy=tolerance_limit(energy(logits), share),
        max_distance=tolerance_limit(held_out, share),
    )


def tolerance_limit(values: np.ndarray, share: float, confidence: float = LIMIT_CONFIDENCE) -> float:
    """The smallest of the values below which, with this confidence, a share of all future values lies.

    A plain quantile of few values is as often too low as too high, and a threshold that is too low flags twice the
    cases that it should. Where there are too few values for the confidence, the largest.

    Parameters
    ----------
    values : float array, shape (n,)
    share : float
        Of future values, in (0, 1).
    confidence : float
        In (0, 1).

    References
    ----------
    Wilks (1941), Ann. Math. Stat. 12:91-96: the share below the r-th of n values is beta(r, n - r + 1).
    """
    from scipy.stats import beta  # only fitting needs it

    n = len(values)
    ranks = np.arange(1, n + 1)
    is_enough = beta.sf(share, ranks, n - ranks + 1) >= confidence
    rank = int(np.argmax(is_enough)) + 1 if is_enough.any() else n
    return float(np.sort(values)[rank - 1])


def _mean_and_whitening(features: np.ndarray, truth: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Class means (k, C) and a symmetric (C, C) matrix W with W W the inverse of the shrunk covariance."""
    from sklearn.covariance import ledoit_wolf_shrinkage  # only fitting needs it

    means = np.stack([features[truth == index].mean(axis=0) for index in range(n_classes)])
    residuals = features - means[truth]
    n, n_features = residuals.shape
    shrinkage = float(ledoit_wolf_shrinkage(residuals, assume_centered=True))
    # The shrunk covariance is (1 - s) R'R / n + s m I with m the mean variance. Its eigenvectors are the right singular
    # vectors of R, and everything they leave out has the variance s m: no decomposition of a C x C matrix is needed.
    _, singular, directions = np.linalg.svd(residuals, full_matrices=False)
    mean_variance = float(np.square(singular).sum()) / n / n_features
    # Where nothing varies at all a tiny variance keeps the distance finite.
    rest = max(shrinkage * mean_variance, 1e-8 * float(singular[0]) ** 2 / n, 1e-12)
    variances = np.maximum((1 - shrinkage) * np.square(singular) / n + shrinkage * mean_variance, rest)
    along = (directions.T * (1 / np.sqrt(variances) - 1 / np.sqrt(rest))) @ directions
    return means, along + np.eye(n_features) / np.sqrt(rest)


def _nearest_distance(features: np.ndarray, means: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Squared distance in whitened space to the nearest mean."""
    points = np.asarray(features, dtype=np.float64) @ whitening
    centres = means @ whitening
    squared = np.square(points[:, None, :] - centres[None, :, :]).sum(axis=2)
    return squared.min(axis=1)
