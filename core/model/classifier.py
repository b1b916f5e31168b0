"""The model as a reader: images in; calibrated probabilities, class maps and doubts out.

One warm classifier serves a whole process: its lock lets one batch through at a time, and preparing images happens
outside it. The same images in the same batches give the same bytes; another batch size or device gives the same
numbers to 1e-5.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, Self

import numpy as np
from safetensors import safe_open

from core.errors import ModelError
from core.model.calibration import softmax
from core.model.card import STATISTICS_PREFIX, ModelCard, VerifiedFile, prepared_shape, verify_file
from core.model.input_checks import input_problems
from core.model.preprocessing import prepare
from core.model.serving import Backend, OnnxBackend, OutOfMemory, Raw, has_cuda, open_backend
from core.model.uncertainty import Detector, entropy, restore_detector
from core.progress import OnProgress
from core.runtime import available_cores

log = logging.getLogger(__name__)


#: An image, or a function that reads it: called on one of the cores while the network works on the batches before.
Image = np.ndarray | Callable[[], np.ndarray]
#: Batches that are read and prepared ahead of the network.
BATCHES_AHEAD = 2
#: Shifts of test-time augmentation, as a share of the side: the least that training augments by.
SHIFT_SHARE = 0.04


@dataclass(frozen=True)
class Predictions:
    """What a model says about n images, in k classes."""

    classes: tuple[str, ...]  # class keys, the order of every k axis
    probabilities: np.ndarray  # (n, k) float64, calibrated; rows sum to 1
    class_maps: np.ndarray | None  # (n, k, h, w) float32, raw Grad-CAM on one scale across classes and cases;
    # None where the members of an ensemble have maps of different sizes, which have no mean
    entropy: np.ndarray  # (n,) float64, bits
    is_out_of_distribution: np.ndarray  # (n,) bool
    input_problems: tuple[tuple[str, ...], ...]  # per image, what is odd about it in words
    logits: np.ndarray  # (n, k) float32, before the temperature
    features: np.ndarray  # (n, C) float32, pooled features
    device: str  # where the last batch ran: "cpu" or the name of the GPU
    precision: str  # "fp32" or "bf16"
    sha256: str  # of the weights; stored with every prediction

    @property
    def labels(self) -> tuple[str, ...]:
        """Most probable class key of each image; the first of equals."""
        return tuple(self.classes[index] for index in self.probabilities.argmax(axis=1))


class Classifier:
    """A checkpoint, warm on a device. Use :meth:`load`.

    Parameters
    ----------
    card : ModelCard
    sha256 : str
        Of the weights file.
    backend : Backend
    detector : Detector, optional
        None flags by the plain image checks only.
    fallback : callable, optional
        Makes the CPU backend that takes over for good when ``backend`` cannot hold even one image.
    """

    def __init__(
        self,
        card: ModelCard,
        sha256: str,
        backend: Backend,
        *,
        detector: Detector | None = None,
        fallback: Callable[[], Backend] | None = None,
    ) -> None:
        self.metadata = card
        self.sha256 = sha256
        self._backend = backend
        self._detector = detector
        self._fallback = fallback
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        *,
        expected_sha256: str | None = None,
        graph_sha256: str | None = None,
        expected_classes: Sequence[str] | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
        threads: int | None = None,
    ) -> Self:
        """Load a checkpoint onto a device.

        Parameters
        ----------
        path : path
            Checkpoint folder or weights file.
        device : str
            "auto" takes a GPU that PyTorch can use, else the CPU; or "cpu", "cuda", "cuda:1".
        expected_sha256 : str, optional
            The registered hash, whole or 12 or more digits.
        graph_sha256 : str, optional
            The registered hash of the graph that serves it on a CPU; another graph is made anew from the weights.
        expected_classes : sequence of str, optional
            The study's class keys, in order.
        precision : "fp32" or "bf16"
            bf16 is for a GPU and never for predictions of a study.
        threads : int, optional
            CPU threads; None takes :func:`core.runtime.threads_in_force`.

        Raises
        ------
        CheckpointError
            If the checkpoint cannot be trusted or does not fit.
        ModelError
            If the device is unknown or not there.
        """
        verified = verify_file(Path(path), expected_sha256=expected_sha256, expected_classes=expected_classes)
        verified = replace(verified, graph_sha256=graph_sha256)
        chosen = ("cuda" if has_cuda() else "cpu") if device == "auto" else device

        def on_cpu() -> Backend:
            again = verify_file(verified_path, expected_sha256=sha256)
            return OnnxBackend(replace(again, graph_sha256=graph_sha256), threads)

        verified_path, sha256 = verified.path, verified.sha256
        try:
            backend = open_backend(verified, chosen, precision=precision, threads=threads)
        except OutOfMemory:
            log.warning("the model does not fit into the memory of %s and runs on the CPU", chosen)
            backend = on_cpu()
        detector = _stored_detector(verified)
        return cls(verified.card, sha256, backend, detector=detector, fallback=None if chosen == "cpu" else on_cpu)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class keys in the order of every probability vector."""
        return self.metadata.classes

    @property
    def device(self) -> str:
        """Where it runs now."""
        return self._backend.device

    def predict(
        self,
        images: Sequence[Image],
        *,
        batch_size: int = 16,
        augment: bool = False,
        progress: OnProgress | None = None,
    ) -> Predictions:
        """Probabilities, class maps and doubts for a list of images.

        Parameters
        ----------
        images : sequence of arrays, shape (height, width), uint8 or uint16, or in colour (height, width, 3), uint8
            As :func:`core.imaging.load_image` gives them; sizes may differ. Or functions that give one: then files are
            read while the network works.
        batch_size : int
            Largest number of images in one pass.
        augment : bool
            Test-time augmentation: the mean of the probabilities over the image, its mirror image and four small
            shifts, at six times the cost. Class maps are the mean of the image's and the mirror image's (mirrored
            back); logits and features are the image's own.
        progress : callable, optional

        Raises
        ------
        ImageError
            If an image is not a two-dimensional uint8 or uint16 array.
        ModelError
            If not even one image fits into the memory of the CPU, or the model answers with a number that is not
            finite.
        """
        if batch_size < 1:
            raise ModelError(f"the batch size must be 1 or more, not {batch_size}.")
        parts: list[_Part] = []
        problems: list[tuple[str, ...]] = []
        with ThreadPoolExecutor(available_cores(), thread_name_prefix="prepare") as pool:
            starts = iter(range(0, len(images), batch_size))
            ahead = deque(self._begin(pool, images[at : at + batch_size]) for at in islice(starts, BATCHES_AHEAD))
            while ahead:
                ready = [future.result() for future in ahead.popleft()]
                done = len(problems) + len(ready)
                ahead.extend(self._begin(pool, images[at : at + batch_size]) for at in islice(starts, 1))
                prepared = np.stack([square for square, _ in ready])
                parts.append(self._predict_augmented(prepared) if augment else self._predict_plain(prepared))
                problems += [found for _, found in ready]
                if progress is not None:
                    progress(done, len(images), "predicting")
        if not parts:
            parts = [self._nothing()]
        logits = np.concatenate([part.raw.logits for part in parts])
        features = np.concatenate([part.raw.features for part in parts])
        probabilities = np.concatenate([part.probabilities for part in parts])
        if not np.isfinite(probabilities).all():
            raise ModelError(
                f"the model {self.sha256[:12]} answered with a number that is not finite. "
                "Fix: check the checkpoint with another device or an earlier one of the run."
            )
        is_out = np.array([bool(found) for found in problems], dtype=bool)
        if self._detector is not None and len(images):
            is_out |= self._detector.is_out(logits, features)
        return Predictions(
            classes=self.classes,
            probabilities=probabilities,
            class_maps=np.concatenate([part.class_maps for part in parts]),
            entropy=entropy(probabilities),
            is_out_of_distribution=is_out,
            input_problems=tuple(problems),
            logits=logits,
            features=features,
            device=self._backend.device,
            precision=self._backend.precision,
            sha256=self.sha256,
        )

    def _begin(
        self, pool: ThreadPoolExecutor, images: Sequence[Image]
    ) -> list[Future[tuple[np.ndarray, tuple[str, ...]]]]:
        """Start reading, preparing and checking the images of one batch on all cores."""

        def begin(image: Image) -> tuple[np.ndarray, tuple[str, ...]]:
            card, pixels = self.metadata, pixels_of(image)
            problems = input_problems(pixels, is_colour_wanted=card.channels == 3)
            return prepare(pixels, card.input_size, card.channels), problems

        return [pool.submit(begin, image) for image in images]

    def _predict_plain(self, prepared: np.ndarray) -> _Part:
        """One batch as it is."""
        raw = self._run(prepared)
        return _Part(raw, softmax(raw.logits, self.metadata.temperature), raw.class_maps)

    def _predict_augmented(self, prepared: np.ndarray) -> _Part:
        """One batch in six versions."""
        plain = self._run(prepared)
        mirrored = self._run(np.ascontiguousarray(prepared[:, :, ::-1]))
        versions = [plain, mirrored, *(self._run(shifted) for shifted in _shifted(prepared))]
        temperature = self.metadata.temperature
        probabilities = np.mean([softmax(version.logits, temperature) for version in versions], axis=0)
        return _Part(plain, probabilities, (plain.class_maps + mirrored.class_maps[..., ::-1]) / 2)

    def _nothing(self) -> _Part:
        """The result of no image, with the shapes of one."""
        part = self._predict_plain(np.zeros((1, *prepared_shape(self.metadata)), dtype=np.uint8))
        raw = Raw(part.raw.logits[:0], part.raw.class_maps[:0], part.raw.features[:0])
        return _Part(raw, part.probabilities[:0], part.class_maps[:0])

    def _run(self, prepared: np.ndarray) -> Raw:
        """One batch through the backend; halves it when memory runs out, then moves to the CPU."""
        try:
            with self._lock:
                return self._backend.run(prepared)
        except OutOfMemory as error:
            failed = error
        if len(prepared) > 1:
            half = (len(prepared) + 1) // 2
            log.warning("out of memory with %d images on %s; trying %d", len(prepared), self.device, half)
            first, second = self._run(prepared[:half]), self._run(prepared[half:])
            return Raw(
                np.concatenate([first.logits, second.logits]),
                np.concatenate([first.class_maps, second.class_maps]),
                np.concatenate([first.features, second.features]),
            )
        if not self._move_to_cpu():
            raise ModelError(
                f"not even one image fits into the memory of {self.device}. Fix: stop other programs or use a smaller "
                "model."
            ) from failed
        return self._run(prepared)

    def _move_to_cpu(self) -> bool:
        """Swap to the CPU backend for good; False if there is none to swap to."""
        with self._lock:
            if self._fallback is None:
                # Another thread may have moved while this one waited.
                return self._moved
            log.warning("not even one image fits into the memory of %s; the model runs on the CPU now", self.device)
            self._backend = self._fallback()
            self._fallback = None
            self._moved = True
            return True

    _moved = False


@dataclass(frozen=True)
class _Part:
    """One batch, predicted."""

    raw: Raw
    probabilities: np.ndarray
    class_maps: np.ndarray


def ensemble_sha256(members: Iterable[str]) -> str:
    """Identity of an ensemble: SHA-256 over its members' hashes, sorted and joined by commas."""
    return hashlib.sha256(",".join(sorted(members)).encode()).hexdigest()


class Ensemble:
    """Several folds as one reader: the mean of their probabilities, of their class maps, and the flag of the majority.

    Members with class maps of different sizes (two architectures or input sizes) give probabilities and no maps.

    Parameters
    ----------
    members : sequence of Classifier
        Two or more, with the same classes in the same order.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        if len(members) < 2:
            raise ModelError("an ensemble needs two or more models.")
        if len({member.classes for member in members}) > 1:
            raise ModelError("the models of an ensemble must have the same classes in the same order.")
        self.members = tuple(members)
        self.sha256 = ensemble_sha256(member.sha256 for member in members)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class keys in the order of every probability vector."""
        return self.members[0].classes

    @property
    def metadata(self) -> tuple[ModelCard, ...]:
        """Cards of the members."""
        return tuple(member.metadata for member in self.members)

    @property
    def device(self) -> str:
        """Where the first member runs now."""
        return self.members[0].device

    def predict(
        self,
        images: Sequence[Image],
        *,
        batch_size: int = 16,
        augment: bool = False,
        progress: OnProgress | None = None,
    ) -> Predictions:
        """As :meth:`Classifier.predict`; logits are the mean of the members', features stand side by side."""
        with ThreadPoolExecutor(available_cores(), thread_name_prefix="decode") as pool:
            images = list(pool.map(pixels_of, images))  # once for all members
        total = len(images) * len(self.members)
        answers: list[Predictions] = []
        for index, member in enumerate(self.members):
            offset = index * len(images)

            def report(done: int, _: int, what: str, offset: int = offset) -> None:
                if progress is not None:
                    progress(offset + done, total, what)

            answers.append(member.predict(images, batch_size=batch_size, augment=augment, progress=report))
        first = answers[0]
        maps = [answer.class_maps for answer in answers if answer.class_maps is not None]
        is_one_size = len({one.shape for one in maps}) == 1
        probabilities = np.mean([answer.probabilities for answer in answers], axis=0)
        votes = np.mean([answer.is_out_of_distribution for answer in answers], axis=0)
        return Predictions(
            classes=self.classes,
            probabilities=probabilities,
            class_maps=np.asarray(np.mean(maps, axis=0, dtype=np.float32)) if is_one_size else None,
            entropy=entropy(probabilities),
            is_out_of_distribution=votes > 0.5,
            input_problems=first.input_problems,
            logits=np.asarray(np.mean([answer.logits for answer in answers], axis=0, dtype=np.float32)),
            features=np.concatenate([answer.features for answer in answers], axis=1),
            device=first.device,
            precision=first.precision,
            sha256=self.sha256,
        )


def pixels_of(image: Image) -> np.ndarray:
    """The pixels of an image that may have to be read first."""
    return image() if callable(image) else image


def _shifted(prepared: np.ndarray) -> list[np.ndarray]:
    """The batch (B, S, S[, 3]) moved up, down, left and right, its border repeated."""
    size = prepared.shape[1]
    by = max(1, round(size * SHIFT_SHARE))
    padded = np.pad(prepared, ((0, 0), (by, by), (by, by), *[(0, 0)] * (prepared.ndim - 3)), mode="edge")
    corners = ((0, by), (2 * by, by), (by, 0), (by, 2 * by))
    return [np.ascontiguousarray(padded[:, top : top + size, left : left + size]) for top, left in corners]


def _stored_detector(verified: VerifiedFile) -> Detector | None:
    """Out-of-distribution detector in a checkpoint, if it has one."""
    with safe_open(str(verified.path), framework="np") as file:
        names = [name for name in file.keys() if name.startswith(STATISTICS_PREFIX)]  # noqa: SIM118 (not a mapping)
        statistics = {name.removeprefix(STATISTICS_PREFIX): file.get_tensor(name) for name in names}
    return restore_detector(statistics, verified.card.thresholds)
