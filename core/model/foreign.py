"""A model from elsewhere: an ONNX graph with a declared input and class order, run by ONNX Runtime and by nothing else.

A graph holds numbers and operators of ONNX Runtime, so nothing in it is code of its maker. It is read from bytes, other
files that it names are not opened, and it runs in a process of its own (:mod:`core.model.graph_process`). What the
graph cannot say of itself is declared (:class:`Declaration`) and belongs to the model's identity: the same file
declared otherwise is another model.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from core.errors import ModelError
from core.model.calibration import softmax
from core.model.classifier import Predictions
from core.model.graph_process import GraphOutput, GraphProcess, RefusedByRuntimeError
from core.model.input_checks import input_problems
from core.model.preprocessing import IMAGENET_MEAN, IMAGENET_SD, LARGEST_SIDE, prepare
from core.model.uncertainty import entropy
from core.progress import OnProgress

#: Name of an optional output of class maps, (B, k, h, w).
MAP_OUTPUT = "class_maps"
#: Rows of probabilities may miss 1 by so much: what half precision and three decimals leave.
SUM_TOLERANCE = 2e-3
#: What can be declared of the input and of the answers.
PIXELS, ANSWERS = ("0-1", "0-255", "imagenet"), ("logits", "probabilities")
#: Shortest side in pixels that is taken: below, nothing can be seen.
SMALLEST_SIDE = 8
#: Longest that a graph may take for one image, seconds: one of 400 bytes can go round in itself for ever.
LONGEST_S = 300.0
#: Pixels of all images in one pass: 16 of 512 x 512, and one of the largest side.
MOST_PIXELS = 2**22
#: First bytes of files that are taken for a graph by mistake.
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip file: a PyTorch checkpoint (.pt), a Keras model or an Excel workbook"),
    (b"\x80", "a Python pickle"),
    (b"\x89HDF", "an HDF5 file (.h5)"),
)
#: What ONNX Runtime says of a graph it refuses, and what helps.
_REFUSALS = (
    ("No graph was found", "it is no ONNX graph", "export the model as ONNX"),
    ("protobuf parsing failed", "it is no ONNX graph, or was cut off", "export the model as ONNX, and copy it whole"),
    (
        "xternal data",
        "it keeps its weights in another file",
        "save it as one file: onnx.save(onnx.load(path), new_path)",
    ),
    (
        "opset import for domain",
        "it has operators that ONNX Runtime lacks",
        "export it with the operators of ONNX alone",
    ),
    ("No Op registered", "it has operators that ONNX Runtime lacks", "export it with the operators of ONNX alone"),
    ("not a registered function", "it has operators that ONNX Runtime lacks", "export it with the operators of ONNX"),
    ("opset", "its version of ONNX is not known here", "export it with opset_version=17"),
    ("IR version", "its version of ONNX is not known here", "export it with opset_version=17 and an older onnx"),
)
_FIX_BATCH = "export it in evaluation mode, with a batch of any size or with a batch fixed at 1."
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class Declaration:
    """What its maker says of a graph."""

    classes: tuple[str, ...]  # class keys in the order of the answers
    pixels: Literal["0-1", "0-255", "imagenet"]  # scale of the input: grey levels, or standardised as for ImageNet
    answers: Literal["logits", "probabilities"]
    size: int | None = None  # side of the input in pixels; None: the graph says it
    is_colour: bool = False  # takes images in colour (red, green, blue), and no grey ones

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for identity and store; a grey model is the model that it was before there was colour."""
        values = {**asdict(self), "classes": list(self.classes)}
        if not self.is_colour:
            del values["is_colour"]
        return values


class ForeignModel:
    """A checked graph, warm on the CPU, that predicts as a :class:`core.model.classifier.Classifier` does.

    Its process ends with this object.

    Images come as :func:`core.model.preprocessing.prepare` makes them (eight bit, padded to a square), in colour or in
    one or three equal channels.

    Parameters
    ----------
    content : bytes
        Of the ONNX file.
    declared : Declaration
    threads : int, optional
        None takes :func:`core.runtime.threads_in_force`.

    Raises
    ------
    ModelError
        If ONNX Runtime refuses the graph, it needs more time or memory than there is, or its answers to two trial
        images are not what was declared.
    """

    device = "cpu"
    precision = "fp32"

    def __init__(self, content: bytes, declared: Declaration, threads: int | None = None) -> None:
        self.declared = declared
        self.classes = declared.classes
        identity = f"{hashlib.sha256(content).hexdigest()},{json.dumps(declared.to_dict(), sort_keys=True)}"
        self.sha256 = hashlib.sha256(identity.encode()).hexdigest()
        self._graph = _open(content, threads)
        self._lock = threading.Lock()
        try:
            self._read_input()
            self._read_outputs()
        except BaseException:
            self.close()  # an error that is kept, and shown, must not keep a process
            raise

    def close(self) -> None:
        """End the process; the model answers no more."""
        self._graph.close()

    def predict(
        self, images: Sequence[np.ndarray], *, batch_size: int = 16, progress: OnProgress | None = None
    ) -> Predictions:
        """Probabilities and, where the graph gives them, class maps; nothing is flagged but by the plain image checks.

        Parameters
        ----------
        images : sequence of arrays, shape (height, width), uint8 or uint16; in colour (height, width, 3), uint8
        batch_size : int
            Largest number of images in one pass; fewer where they are large, 1 where the graph takes one at a time.
        progress : callable, optional
        """
        step = 1 if self._is_single else max(1, min(batch_size, MOST_PIXELS // self.size**2))
        parts: list[tuple[np.ndarray, np.ndarray | None]] = []
        for start in range(0, len(images), step):
            channels = 3 if self.declared.is_colour else 1
            prepared = np.stack([prepare(pixels, self.size, channels) for pixels in images[start : start + step]])
            parts.append(self._run(prepared))
            if progress is not None:
                progress(start + len(prepared), len(images), "predicting")
        k = len(self.classes)
        logits = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, k), np.float32)
        maps = [part[1] for part in parts if part[1] is not None]
        problems = tuple(input_problems(pixels, is_colour_wanted=self.declared.is_colour) for pixels in images)
        probabilities = softmax(logits)
        return Predictions(
            classes=self.classes,
            probabilities=probabilities,
            class_maps=np.concatenate(maps) if maps else None,
            entropy=entropy(probabilities),
            is_out_of_distribution=np.array([bool(found) for found in problems], dtype=bool),
            input_problems=problems,
            logits=logits,
            features=np.zeros((len(images), 0), np.float32),
            device=self.device,
            precision=self.precision,
            sha256=self.sha256,
        )

    def _read_input(self) -> None:
        """Layout, channels, size and type of the one input."""
        inputs = self._graph.inputs
        if len(inputs) != 1:
            raise ModelError(
                f"the graph has {len(inputs)} inputs. Fix: export it with one, a batch of images (B, 3, H, W)."
            )
        (only,) = inputs
        shape = only.shape
        if only.type not in _TYPES or len(shape) != 4:
            raise ModelError(
                f"the input is {only.type} of shape {shape}. Fix: export it for float images (B, 3, H, W) or "
                "(B, H, W, 3)."
            )
        places = [place for place in (1, 3) if shape[place] in (1, 3)]
        if not places:
            raise ModelError(
                f"the input of shape {shape} does not say where its 1 or 3 channels are. Fix: export it with a fixed "
                "number of channels."
            )
        self._channel_place = places[0]
        self._channels = 3 if shape[self._channel_place] == 3 else 1
        if self.declared.is_colour and self._channels != 3:
            raise ModelError("the graph takes one channel. Fix: leave --colour out, or export it for three.")
        sides = [side for place, side in enumerate(shape) if place not in (0, self._channel_place)]
        fixed = {side for side in sides if isinstance(side, int)}
        wanted = fixed | ({self.declared.size} if self.declared.size is not None else set())
        if len(wanted) != 1:
            raise ModelError(
                f"the graph takes images of {sides[0]} x {sides[1]} pixels, declared is {self.declared.size}. Fix: use "
                "a graph with a square input, and give its side with --size where the graph leaves it open."
            )
        (self.size,) = wanted
        if not SMALLEST_SIDE <= self.size <= LARGEST_SIDE:
            raise ModelError(
                f"the graph takes images of {self.size} x {self.size} pixels. Fix: export it for images with a side "
                f"from {SMALLEST_SIDE} to {LARGEST_SIDE}, and give it with --size where the graph leaves it open."
            )
        self._is_single = shape[0] == 1
        if isinstance(shape[0], int) and shape[0] != 1:
            raise ModelError(f"the graph takes {shape[0]} images at a time. Fix: export it for any number, or 1.")
        self._input_name, self._type = only.name, _TYPES[only.type]
        if self._type == np.uint8 and self.declared.pixels != "0-255":
            raise ModelError("the graph takes whole grey levels. Fix: declare --pixels 0-255.")

    def _read_outputs(self) -> None:
        """The output of answers and that of maps, found by a trial with noise and an even picture."""
        shape = (self.size, self.size, *((3,) if self.declared.is_colour else ()))
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        trial = [noise[None], np.full_like(noise, 128)[None]]
        names = list(self._graph.outputs)
        shape_of = {name: one.shape for name, one in zip(names, self._session_run(names, trial[0], 0), strict=True)}
        k = len(self.classes)
        fitting = [name for name in names if shape_of[name] in ((1, k), *(((1, 1),) if k == 2 else ()))]
        if len(fitting) != 1:
            shapes = ", ".join(f"{name} {shape}" for name, shape in shape_of.items())
            raise ModelError(
                f"{k} classes need one output of shape (batch, {k}); the graph has {shapes[:1000]}. Fix: name as many "
                "classes as the model has with --classes, in its order, and export one output of answers."
            )
        self._answer_name, self._n_columns = fitting[0], shape_of[fitting[0]][1]
        self._map_shape = self._checked_map_shape(shape_of.get(MAP_OUTPUT, ()))
        answers = np.concatenate([self._answers(one) for one in trial])
        self._check_answers(answers)
        self._check_batch(np.concatenate(trial), answers)

    def _checked_map_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (k, h, w) of the maps of one image; empty where the graph has none."""
        if len(shape) != 4 or shape[:2] != (1, len(self.classes)):
            return ()
        if max(shape[2:]) > self.size:
            raise ModelError(
                f"the class maps have {shape[2]} x {shape[3]} pixels, the image {self.size} x {self.size}. Fix: export "
                "maps that are no larger than the image."
            )
        return shape[1:]

    def _check_batch(self, trial: np.ndarray, answers: np.ndarray) -> None:
        """Refuse a graph whose answer to an image is not the same again, or not the same beside another image."""
        again = self._answers(trial[:1])
        if not np.allclose(again, answers[:1], rtol=1e-4, atol=1e-5):
            raise ModelError(
                "the graph answers the same image differently each time. Fix: export it in evaluation mode."
            )
        if self._is_single:
            return
        try:
            (both,) = self._session_run([self._answer_name], trial, answers.nbytes)
        except ModelError as error:
            raise ModelError(f"the graph takes one image and fails at two at a time. Fix: {_FIX_BATCH}") from error
        if (
            both.values is None
            or both.shape != answers.shape
            or not np.allclose(both.values, answers, rtol=1e-3, atol=1e-4)
        ):
            raise ModelError(f"the answer to an image changes with the images beside it. Fix: {_FIX_BATCH}")

    def _answers(self, prepared: np.ndarray) -> np.ndarray:
        """Answers (B, columns) of prepared images, float64, as the graph gives them."""
        wanted = (len(prepared), self._n_columns)
        (found,) = self._session_run([self._answer_name], prepared, 8 * math.prod(wanted))
        return self._numbers(self._answer_name, found, wanted)

    def _numbers(self, name: str, found: GraphOutput, wanted: tuple[int, ...]) -> np.ndarray:
        """Values of an output in the shape that it must have, float64."""
        if found.values is None or found.shape != wanted:
            kind = "" if found.values is not None else ", and no numbers that fit it"
            raise ModelError(
                f"the output {name} has the shape {found.shape}{kind}; {wanted} is wanted. Fix: export it with one "
                "row of numbers for every image."
            )
        return found.values.astype(np.float64)

    def _check_answers(self, answers: np.ndarray) -> None:
        """Refuse answers to the trial (2, k or 1) that are not what was declared."""
        if not np.isfinite(answers).all():
            raise ModelError("the graph answers with a number that is not finite. Fix: export a checkpoint that works.")
        is_one = answers.shape[1] == 1
        is_within = bool((answers >= 0).all() and (answers <= 1 + SUM_TOLERANCE).all())
        is_share = is_within and (is_one or bool((abs(answers.sum(axis=1) - 1) <= SUM_TOLERANCE).all()))
        if self.declared.answers == "probabilities" and not is_share:
            raise ModelError(
                f"the answers {answers[0].round(3).tolist()} are no probabilities. Fix: declare --answers logits."
            )
        if self.declared.answers == "logits" and is_share and not is_one:
            raise ModelError("the answers sum to 1: they are probabilities. Fix: declare --answers probabilities.")

    def _run(self, prepared: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits (B, k) and class maps (B, k, h, w) of prepared images (B, S, S[, 3])."""
        count = len(prepared)
        wanted: dict[str, tuple[int, ...]] = {self._answer_name: (count, self._n_columns)}
        if self._map_shape:
            wanted[MAP_OUTPUT] = (count, *self._map_shape)
        found = self._session_run([*wanted], prepared, 8 * sum(map(math.prod, wanted.values())))
        answers, *maps = (
            self._numbers(name, one, shape) for (name, shape), one in zip(wanted.items(), found, strict=True)
        )
        values = answers
        if self.declared.answers == "probabilities":
            values = np.log(np.clip(values, 1e-12, 1))
            if values.shape[1] == 1:  # the one output is the second of two classes
                values = np.concatenate([np.log(np.clip(1 - answers, 1e-12, 1)), values], axis=1)
        elif values.shape[1] == 1:
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        if not np.isfinite(values).all():
            raise ModelError(
                f"the model {self.sha256[:12]} answered with a number that is not finite. Fix: try the image with it "
                "where it was made, and export a checkpoint that works."
            )
        return values.astype(np.float32), np.asarray(maps[0], np.float32) if maps else None

    def _session_run(self, names: list[str], prepared: np.ndarray, most_bytes: int) -> list[GraphOutput]:
        """Outputs of the graph for prepared images (B, S, S[, 3]) uint8; ``most_bytes`` of values are sent."""
        levels = prepared.astype(np.float32)
        is_colour = self.declared.is_colour
        images = levels.transpose(0, 3, 1, 2) if is_colour else np.repeat(levels[:, None], self._channels, axis=1)
        if self.declared.pixels != "0-255":
            images /= 255
        if self.declared.pixels == "imagenet":
            mean, sd = IMAGENET_MEAN[: self._channels], IMAGENET_SD[: self._channels]
            images = (images - np.reshape(mean, (1, -1, 1, 1))) / np.reshape(sd, (1, -1, 1, 1))
        if self._channel_place == 3:
            images = images.transpose(0, 2, 3, 1)
        longest_s = LONGEST_S * len(prepared)
        try:
            with self._lock:
                return self._graph.run(
                    names, self._input_name, images.astype(self._type), longest_s=longest_s, most_bytes=most_bytes
                )
        except RefusedByRuntimeError as error:
            raise ModelError(
                f"ONNX Runtime failed at the graph: {_plain(error)}. Fix: try it there with onnxruntime on images of "
                f"{self.size} x {self.size} pixels, and export it again."
            ) from error


def _open(content: bytes, threads: int | None) -> GraphProcess:
    """Process of a graph from elsewhere; what it is instead, or lacks, is said with what helps."""
    for start, what in _OTHER_FILES:
        if content.startswith(start):
            raise ModelError(f"the file is {what}, and no ONNX graph. Fix: export the model as ONNX.")
    try:
        return GraphProcess(content, threads, LONGEST_S)
    except RefusedByRuntimeError as error:
        said = str(error)
        for words, what, fix in _REFUSALS:
            if words in said:
                raise ModelError(f"ONNX Runtime refuses the graph: {what}. Fix: {fix}. ({_plain(error)})") from error
        raise ModelError(
            f"ONNX Runtime refuses the graph: {_plain(error)}. Fix: load it with onnxruntime where it was made, and "
            "export it again."
        ) from error


def _plain(error: BaseException) -> str:
    """What ONNX Runtime says, without its own source files and numbers."""
    text = re.sub(r"\s+", " ", str(error)).removeprefix("ONNX Runtime refuses the graph: ")
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"/onnxruntime_src/\S+ [^(]*\([^)]*\)( const)? ", "", text)
    return text[:300].rstrip(". ")
