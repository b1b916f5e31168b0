"""Where a network runs: ONNX Runtime on a CPU, PyTorch on CUDA. Both take prepared images and give the same arrays.

PyTorch is imported only where it is needed: a CPU that finds the exported graph beside the checkpoint serves without
it, with a tenth of the memory.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from core.errors import ModelError
from core.model.card import VerifiedFile
from core.runtime import threads_in_force

log = logging.getLogger(__name__)

#: Part of the cached graph's name: raise it when the graph changes meaning.
GRAPH_VERSION = 1

INPUT_NAME = "prepared"
OUTPUT_NAMES = ("logits", "class_maps", "features")

_exporting = threading.Lock()


class OutOfMemory(ModelError):  # noqa: N818 (a state that the classifier answers, not a failure of its own)
    """A batch that did not fit into memory; the classifier tries a smaller one."""

    code = "out-of-memory"


@dataclass(frozen=True)
class Raw:
    """What a network says about a batch."""

    logits: np.ndarray  # (B, k) float32
    class_maps: np.ndarray  # (B, k, h, w) float32
    features: np.ndarray  # (B, C) float32


class Backend(Protocol):
    """Runs one batch at a time; not thread-safe, the classifier holds the lock."""

    device: str  # "cpu" or the name of the GPU
    precision: str  # "fp32" or "bf16"

    def run(self, prepared: np.ndarray) -> Raw:
        """Logits, class maps and features of prepared images (B, size, size) uint8; may raise OutOfMemory."""
        ...


class OnnxBackend:
    """ONNX Runtime on the CPU, float32."""

    device = "cpu"
    precision = "fp32"

    def __init__(self, verified: VerifiedFile, threads: int | None = None) -> None:
        self._session = open_session(served_graph(verified), threads)

    def run(self, prepared: np.ndarray) -> Raw:
        """See :class:`Backend`."""
        try:
            logits, class_maps, features = self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: prepared})
        except MemoryError as error:
            raise OutOfMemory(str(error)) from error
        except (ort_errors.RuntimeException, ort_errors.Fail) as error:
            if "alloc" in str(error).lower():
                raise OutOfMemory(str(error)) from error
            raise ModelError(f"ONNX Runtime failed: {error}") from error
        return Raw(logits, class_maps, features)


class TorchBackend:
    """PyTorch on any device; float32 without TF32 unless bf16 is asked for."""

    def __init__(self, verified: VerifiedFile, device: str, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        import torch

        from core.model.checkpoint import load_verified

        self._torch = torch
        self._device = torch.device(device)
        self.precision: str = precision
        self.device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else device
        self._network = load_verified(verified).network
        try:
            self._network = self._network.to(self._device).to(memory_format=torch.channels_last)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(str(error)) from error

    def run(self, prepared: np.ndarray) -> Raw:
        """See :class:`Backend`."""
        from core.model.gradcam import explain
        from core.model.preprocessing import normalise

        torch = self._torch
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16")
        batch = torch.from_numpy(prepared)
        try:
            with torch.inference_mode(), flags, autocast:
                if self._device.type == "cuda":
                    batch = batch.pin_memory().to(self._device, non_blocking=True)
                images = normalise(batch).contiguous(memory_format=torch.channels_last)
                explained = explain(self._network, images)
                return Raw(
                    explained.logits.float().cpu().numpy(),
                    explained.class_maps.float().cpu().numpy(),
                    explained.features.float().cpu().numpy(),
                )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(str(error)) from error


def open_backend(
    verified: VerifiedFile,
    device: str,
    *,
    precision: Literal["fp32", "bf16"] = "fp32",
    threads: int | None = None,
) -> Backend:
    """The backend for a device: "cpu" is ONNX Runtime, "cuda" or "cuda:1" PyTorch.

    Raises
    ------
    ModelError
        If the device is unknown or not there, or bf16 is asked for on a CPU.
    """
    if device == "cpu":
        if precision != "fp32":
            raise ModelError("bf16 is slower and less exact on a CPU. Fix: leave the precision at fp32.")
        return OnnxBackend(verified, threads)
    if not device.startswith("cuda"):
        raise ModelError(f"unknown device {device!r}. Fix: use auto, cpu, cuda or cuda:<number>.")
    if not has_cuda():
        raise ModelError(f"there is no usable GPU for device {device!r}. Fix: use auto or cpu.")
    return TorchBackend(verified, device, precision)


def has_cuda() -> bool:
    """True if PyTorch can use a GPU; imports PyTorch only where a driver is present."""
    drivers = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
    if os.name == "posix" and not any(Path(driver).exists() for driver in drivers):
        return False
    import torch

    return bool(torch.cuda.is_available())


def graph_path(verified: VerifiedFile) -> Path:
    """Where the graph of a checkpoint is cached: beside it, named by its hash."""
    return verified.path.with_name(f"served-{verified.sha256[:12]}-v{GRAPH_VERSION}.onnx")


def served_graph(verified: VerifiedFile) -> bytes:
    """The ONNX graph of a checkpoint, from the cache beside it or exported now.

    The cache is keyed by the hash of the weights, and the graph's own hash stands in a ``.sha256`` file; a graph that
    does not match is exported again. A folder that cannot be written costs only the cache.
    """
    path = graph_path(verified)
    noted = path.with_suffix(".sha256")
    with _exporting:
        if path.is_file() and noted.is_file():
            graph = path.read_bytes()
            if hashlib.sha256(graph).hexdigest() == noted.read_text(encoding="ascii", errors="replace").strip():
                return graph
            log.warning("the cached graph %s does not match its hash and is exported again", path)
        from core.model.checkpoint import load_verified
        from core.model.onnx_export import export_graph

        graph = export_graph(load_verified(verified).network, verified.card.input_size)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_bytes(graph)
            part.replace(path)
            noted.write_text(hashlib.sha256(graph).hexdigest() + "\n", encoding="ascii")
        except OSError as error:
            part.unlink(missing_ok=True)
            log.warning("the graph of %s could not be cached: %s", verified.path, error)
    return graph


def open_session(graph: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU.

    Parameters
    ----------
    graph : bytes
    threads : int, optional
        Threads inside one operator; None takes :func:`core.runtime.threads_in_force`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads_in_force() if threads is None else threads
    options.inter_op_num_threads = 1
    # Idle threads sleep instead of spinning, which would starve the other processes of the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (
        ort_errors.Fail,
        ort_errors.InvalidGraph,
        ort_errors.InvalidProtobuf,
        ort_errors.NotImplemented,
        ort_errors.RuntimeException,
    ) as error:
        raise ModelError(f"ONNX Runtime refuses the graph: {error}") from error
