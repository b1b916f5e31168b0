"""The ONNX graph that serves a checkpoint: its names, its file beside the weights, its session. No torch.

The file is named by the hash of the weights. A graph is believed when its own hash is the one that was registered in
the store, or, for a checkpoint that nobody registered, the one in the ``.sha256`` file beside it.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from core.errors import ModelError
from core.model.card import VerifiedFile
from core.runtime import threads_in_force

log = logging.getLogger(__name__)

#: Part of the file's name: raise it when the graph changes meaning.
GRAPH_VERSION = 1

INPUT_NAME = "prepared"
OUTPUT_NAMES = ("logits", "class_maps", "features")


def graph_path(verified: VerifiedFile) -> Path:
    """Where the graph of a checkpoint is kept: beside it, named by its hash."""
    return verified.path.with_name(f"served-{verified.sha256[:12]}-v{GRAPH_VERSION}.onnx")


def read_graph(verified: VerifiedFile) -> bytes | None:
    """The graph beside a checkpoint; None where there is none or it is not the one with the known hash."""
    path = graph_path(verified)
    noted = path.with_suffix(".sha256")
    known = verified.graph_sha256
    if known is None and noted.is_file():
        known = noted.read_text(encoding="ascii", errors="replace").strip()
    if known is None or not path.is_file():
        return None
    graph = path.read_bytes()
    if hashlib.sha256(graph).hexdigest() == known:
        return graph
    log.warning("the graph %s does not match its hash and is exported again", path)
    return None


def write_graph(verified: VerifiedFile, graph: bytes) -> None:
    """Keep a graph beside its checkpoint; a folder that cannot be written costs only the cache."""
    path = graph_path(verified)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(graph)
        part.replace(path)
        path.with_suffix(".sha256").write_text(hashlib.sha256(graph).hexdigest() + "\n", encoding="ascii")
    except OSError as error:
        part.unlink(missing_ok=True)
        log.warning("the graph of %s could not be kept: %s", verified.path, error)


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
    # A graph from bytes may name files below the working directory as its weights: here there are none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    options.log_severity_level = 4  # what goes wrong is raised; nothing is written past us
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (
        ort_errors.Fail,
        ort_errors.InvalidArgument,
        ort_errors.InvalidGraph,
        ort_errors.InvalidProtobuf,
        ort_errors.NotImplemented,
        ort_errors.RuntimeException,
    ) as error:
        raise ModelError(f"ONNX Runtime refuses the graph: {error}") from error
