"""Where a network runs: ONNX Runtime on a CPU, PyTorch on CUDA. Both take prepared images and give the same arrays.

PyTorch is imported only where it is needed: a CPU that finds the exported graph beside the checkpoint serves without
it, with a tenth of the memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from core.errors import ModelError
from core.model.card import VerifiedFile
from core.model.served_graph import INPUT_NAME, OUTPUT_NAMES, open_session, read_graph


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
        """Logits, class maps and features of prepared images (B, size, size[, 3]) uint8; may raise OutOfMemory."""
        ...


class OnnxBackend:
    """ONNX Runtime on the CPU, float32."""

    device = "cpu"
    precision = "fp32"

    def __init__(self, verified: VerifiedFile, threads: int | None = None) -> None:
        graph = read_graph(verified)
        self._session = open_session(_export(verified) if graph is None else graph, threads)

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
                parts = (explained.logits, explained.class_maps, explained.features)
                flat = torch.cat([part.float().flatten() for part in parts]).cpu().numpy()  # one transfer for all
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(str(error)) from error
        ends = np.cumsum([part.numel() for part in parts])[:-1]
        return Raw(*(piece.reshape(part.shape) for piece, part in zip(np.split(flat, ends), parts, strict=True)))


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
        raise ModelError(f"there is no usable GPU, or no PyTorch, for device {device!r}. Fix: use auto or cpu.")
    return TorchBackend(verified, device, precision)


def _export(verified: VerifiedFile) -> bytes:
    """The graph of a checkpoint that has none beside it, which takes PyTorch."""
    try:
        from core.model.onnx_export import export_checkpoint
    except ImportError as error:
        raise ModelError(
            f"{verified.path} has no graph beside it that can be believed, and PyTorch, which makes one, is not "
            "installed here. Fix: run 'manage.py model register' with this data folder where requirements.txt is "
            "installed."
        ) from error
    return export_checkpoint(verified)


def has_cuda() -> bool:
    """True if PyTorch is there and can use a GPU; imports it only where a driver is present."""
    drivers = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
    if os.name == "posix" and not any(Path(driver).exists() for driver in drivers):
        return False
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())
