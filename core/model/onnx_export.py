"""One ONNX graph that predicts and explains: prepared images in; logits, raw class maps and pooled features out.

On a CPU, ONNX Runtime runs the networks 1.4 to 5.5 times faster than eager PyTorch. The graph begins with
:func:`core.model.preprocessing.normalise` and holds Grad-CAM's closed form, so it has the same meaning as
:func:`core.model.gradcam.explain` and no second implementation to drift away.
"""

from __future__ import annotations

import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import ModelError
from core.model.architectures import Network
from core.model.card import VerifiedFile
from core.model.checkpoint import load_verified
from core.model.gradcam import explain
from core.model.preprocessing import normalise
from core.model.served_graph import INPUT_NAME, OUTPUT_NAMES, open_session, read_graph, write_graph

OPSET = 17
#: Largest difference between an output of the graph and of the weights, as a share of that output's largest value.
TOLERANCE = 1e-4

_exporting = threading.Lock()


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


def export_graph(network: Network, input_size: int, channels: int = 1) -> bytes:
    """The ONNX graph of a network in evaluation mode, for prepared images (B, input_size, input_size[, 3]) uint8.

    Raises
    ------
    ModelError
        If a layer of the head has no closed form or an operator no ONNX counterpart.
    """
    served = _Served(network, input_size).eval()
    example = torch.zeros(2, input_size, input_size, *([3] if channels == 3 else []), dtype=torch.uint8)
    names = [INPUT_NAME, *OUTPUT_NAMES]
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode():
            out = Path(folder) / "graph.onnx"
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
            return out.read_bytes()
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelError(f"the network cannot be exported to ONNX: {error}") from error


def export_checkpoint(verified: VerifiedFile, *, is_compared: bool = False) -> bytes:
    """The graph of a checkpoint, exported, compared with the weights and kept beside them; made once.

    Parameters
    ----------
    is_compared : bool
        Whether a graph that lies there is compared with the weights again, and made anew if it answers otherwise.

    Raises
    ------
    ModelError
        If the network cannot be exported, or the graph does not answer as the weights do.
    """
    takes = (verified.card.input_size, verified.card.channels)
    with _exporting:
        graph = read_graph(verified)  # another thread may have been here
        if graph is not None and is_compared:
            try:
                check_graph(graph, load_verified(verified).network, *takes)
            except ModelError:
                graph = None
        if graph is None:
            network = load_verified(verified).network
            graph = export_graph(network, *takes)
            check_graph(graph, network, *takes)
            write_graph(verified, graph)
    return graph


def check_graph(graph: bytes, network: Network, input_size: int, channels: int = 1) -> None:
    """Refuse a graph whose answers to noise are not those of the network (float32, eval mode) that it was made of.

    Raises
    ------
    ModelError
        Naming the output and the largest difference.
    """
    shape = (2, input_size, input_size, *((3,) if channels == 3 else ()))
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = open_session(graph).run(list(OUTPUT_NAMES), {INPUT_NAME: noise})
    with torch.inference_mode():
        wanted = explain(network, normalise(torch.from_numpy(noise)))
    for name, got in zip(OUTPUT_NAMES, found, strict=True):
        true = getattr(wanted, name).numpy()
        difference = float(np.abs(got - true).max()) if got.shape == true.shape else float("inf")
        if not difference <= TOLERANCE * float(np.abs(true).max()) + 1e-6:
            raise ModelError(f"the exported graph and the weights differ by {difference:.3g} in {name}.")
