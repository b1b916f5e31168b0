"""One ONNX graph that predicts and explains: prepared images in; logits, raw class maps and pooled features out.

On a CPU, ONNX Runtime runs the networks 1.4 to 5.5 times faster than eager PyTorch. The graph begins with
:func:`core.model.preprocessing.normalise` and holds Grad-CAM's closed form, so it has the same meaning as
:func:`core.model.gradcam.explain` and no second implementation to drift away.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import warnings
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from core.errors import ModelError
from core.model.architectures import Network
from core.model.checkpoint import Checkpoint
from core.model.gradcam import explain
from core.model.preprocessing import normalise

log = logging.getLogger(__name__)

#: Part of the cached file's name: raise it when the graph changes meaning.
GRAPH_VERSION = 1
OPSET = 17

INPUT_NAME = "prepared"
OUTPUT_NAMES = ("logits", "class_maps", "features")


class _FixedAveragePool(nn.Module):
    """AdaptiveAvgPool2d for one known input size, as two matrix products, which every ONNX opset has."""

    def __init__(self, input_size: tuple[int, int], output_size: tuple[int, int]) -> None:
        super().__init__()
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", _averaging_matrix(input_size[0], output_size[0]))
        self.register_buffer("columns", _averaging_matrix(input_size[1], output_size[1]).T.contiguous())

    def forward(self, feature_map: Tensor) -> Tensor:
        return self.rows @ feature_map @ self.columns


def _averaging_matrix(n_in: int, n_out: int) -> Tensor:
    """(n_out, n_in) weights of adaptive average pooling along one side."""
    matrix = torch.zeros(n_out, n_in)
    for index in range(n_out):
        start, stop = index * n_in // n_out, -(-(index + 1) * n_in // n_out)
        matrix[index, start:stop] = 1 / (stop - start)
    return matrix


class _Served(nn.Module):
    """What the graph computes."""

    def __init__(self, network: Network, input_size: int) -> None:
        super().__init__()
        self.network = Network(network.trunk, _exportable_pool(network, input_size), network.head)

    def forward(self, prepared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        explained = explain(self.network, normalise(prepared))
        return explained.logits, explained.class_maps, explained.features


def _exportable_pool(network: Network, input_size: int) -> nn.Module:
    """The pool with adaptive pooling to more than one cell made explicit for this input size."""
    layers = list(network.pool) if isinstance(network.pool, nn.Sequential) else [network.pool]
    with torch.inference_mode():
        signal = network.trunk(torch.zeros(1, 3, input_size, input_size))
        exportable: list[nn.Module] = []
        for layer in layers:
            after = layer(signal)
            if isinstance(layer, nn.AdaptiveAvgPool2d) and after.shape[-2:] != (1, 1):
                if after.shape != signal.shape:
                    sizes = ((signal.shape[2], signal.shape[3]), (after.shape[2], after.shape[3]))
                    exportable.append(_FixedAveragePool(*sizes))
            else:
                exportable.append(layer)
            signal = after
    return nn.Sequential(*exportable)


def export_graph(network: Network, input_size: int) -> bytes:
    """The ONNX graph of a network in evaluation mode, for prepared images (B, input_size, input_size) uint8.

    Raises
    ------
    ModelError
        If a layer of the head has no closed form or an operator no ONNX counterpart.
    """
    served = _Served(network, input_size).eval()
    example = torch.zeros(2, input_size, input_size, dtype=torch.uint8)
    out = io.BytesIO()
    names = [INPUT_NAME, *OUTPUT_NAMES]
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            # The tracing exporter is marked as superseded by one that needs a further package; its notes on constants
            # concern the fixed image size, which is wanted.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                served,
                (example,),
                out,
                input_names=names[:1],
                output_names=names[1:],
                dynamic_axes={name: {0: "batch"} for name in names},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"the network cannot be exported to ONNX: {error}") from error
    return out.getvalue()


def graph_path(checkpoint: Checkpoint) -> Path:
    """Where the graph of a checkpoint is cached: beside it, named by its hash."""
    return checkpoint.path.with_name(f"served-{checkpoint.sha256[:12]}-v{GRAPH_VERSION}.onnx")


def served_graph(checkpoint: Checkpoint) -> bytes:
    """The ONNX graph of a checkpoint, from the cache beside it or exported now.

    The cache is keyed by the hash of the weights and of the graph itself (in a ``.sha256`` file beside it); a graph
    that does not match is exported again. A folder that cannot be written costs only the cache.
    """
    path = graph_path(checkpoint)
    noted = path.with_suffix(".sha256")
    try:
        graph = path.read_bytes()
        if hashlib.sha256(graph).hexdigest() == noted.read_text(encoding="ascii").strip():
            return graph
        log.warning("the cached graph %s does not match its hash and is exported again", path)
    except (OSError, UnicodeDecodeError):
        pass  # not cached yet
    graph = export_graph(checkpoint.network, checkpoint.card.input_size)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(graph)
        part.replace(path)
        noted.write_text(hashlib.sha256(graph).hexdigest() + "\n", encoding="ascii")
    except OSError as error:
        part.unlink(missing_ok=True)
        log.warning("the graph of %s could not be cached: %s", checkpoint.path, error)
    return graph


def open_session(graph: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU.

    Parameters
    ----------
    graph : bytes
    threads : int, optional
        Threads inside one operator; None takes torch's number, which :func:`core.runtime.configure_threads` sets.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads() if threads is None else threads
    options.inter_op_num_threads = 1
    # Idle threads sleep instead of spinning, which would starve the other processes of the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base below Exception
        raise ModelError(f"ONNX Runtime refuses the graph: {error}") from error
