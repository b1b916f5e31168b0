"""Test-time augmentation as a model of its own, so that its answers are never mixed with the plain ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from core.model.classifier import Classifier, Ensemble, Image, Predictions
from core.progress import OnProgress

#: The six versions of :meth:`core.model.classifier.Classifier.predict`; another set of versions gets another name.
AUGMENTATION = "tta-v1"


def augmented_sha256(sha256: str) -> str:
    """Identity of a model that predicts with augmentation: SHA-256 over the plain model's hash and the method."""
    return hashlib.sha256(f"{sha256},{AUGMENTATION}".encode()).hexdigest()


class Augmented:
    """A classifier or an ensemble that always predicts with test-time augmentation.

    Parameters
    ----------
    plain : Classifier or Ensemble
    """

    def __init__(self, plain: Classifier | Ensemble) -> None:
        self.plain = plain
        self.sha256 = augmented_sha256(plain.sha256)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class keys in the order of every probability vector."""
        return self.plain.classes

    @property
    def device(self) -> str:
        """Where it runs now."""
        return self.plain.device

    def predict(
        self, images: Sequence[Image], *, batch_size: int = 16, progress: OnProgress | None = None
    ) -> Predictions:
        """As :meth:`Classifier.predict` with ``augment=True``, under the hash of this model."""
        found = self.plain.predict(images, batch_size=batch_size, augment=True, progress=progress)
        return replace(found, sha256=self.sha256)
