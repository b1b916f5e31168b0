"""Runs a graph from elsewhere for :mod:`core.model.graph_process`, in a process of its own that may be ended.

A frame is the length of its head (8 bytes, little-endian), the head as JSON, and as many bytes as the head says under
``bytes``. One question and one answer at a time, on standard input and output; it ends with its parent.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnxruntime

from core.model.served_graph import open_session

#: Longest head of a frame that is read, bytes.
MOST_HEAD = 1_000_000
#: Exit status where not even the question fits into the memory.
NO_MEMORY = 77
#: How ONNX Runtime and the C library say that memory ran out.
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "std::length_error")


def write_frame(stream: IO[bytes], head: dict[str, Any], *parts: bytes | memoryview) -> None:
    """Send one frame."""
    text = json.dumps({**head, "bytes": sum(len(part) for part in parts)}).encode()
    stream.write(struct.pack("<Q", len(text)) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def read_frame(stream: IO[bytes], most_bytes: int | None = None) -> tuple[dict[str, Any], bytes]:
    """Receive one frame.

    Raises
    ------
    EOFError
        If the other side is gone, or sends what is no frame or more than ``most_bytes``.
    """
    (length,) = struct.unpack("<Q", _exactly(stream, 8))
    if length > MOST_HEAD:
        raise EOFError
    try:
        head = json.loads(_exactly(stream, length))
        count = int(head["bytes"])
    except (ValueError, KeyError, TypeError) as error:
        raise EOFError from error
    if count < 0 or (most_bytes is not None and count > most_bytes):
        raise EOFError
    return head, _exactly(stream, count)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise EOFError
    return content


def bound_memory(most_bytes: int) -> None:
    """Let this process take so many bytes more than it has; beyond, it is the first that the system ends.

    Linux. Elsewhere, where the module ``resource`` or ``/proc`` is missing, nothing is bound.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        Path("/proc/self/oom_score_adj").write_text("1000")
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + most_bytes, taken + most_bytes))


def _open(head: dict[str, Any], content: bytes) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """Session of a graph, and what it says of its inputs and outputs."""
    session = open_session(content, head["threads"])
    inputs = [{"name": one.name, "type": one.type, "shape": list(one.shape)} for one in session.get_inputs()]
    return session, {"inputs": inputs, "outputs": [one.name for one in session.get_outputs()]}


def _run(session: onnxruntime.InferenceSession, head: dict[str, Any], content: bytes) -> tuple[Any, ...]:
    """Head and parts of the answer: outputs of the graph; of what is no array of numbers, or too large, the shape."""
    images = np.frombuffer(content, head["dtype"]).reshape(head["shape"])
    outputs, sent, left = [], [], head["most_bytes"]
    for part in session.run(head["names"], {head["input"]: images}):
        values = part if isinstance(part, np.ndarray) else np.zeros(0, object)
        if values.dtype.kind not in "biuf" or values.nbytes > left:
            outputs.append({"shape": values.shape, "dtype": None})
            continue
        left -= values.nbytes
        sent.append(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        outputs.append({"shape": values.shape, "dtype": values.dtype.str})
    return {"outputs": outputs}, *sent


def _answer_all(questions: queue.SimpleQueue[tuple[dict[str, Any], bytes]], answers: IO[bytes]) -> None:
    """Open a graph with the first question, run it with each that follows."""
    session: onnxruntime.InferenceSession | None = None
    while True:
        head, content = questions.get()
        try:
            if session is None:
                session, found = _open(head, content)
                write_frame(answers, found)
            else:
                write_frame(answers, *_run(session, head, content))
        except Exception as error:  # whatever a graph brings about is said
            is_memory = isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)
            write_frame(answers, {"error": str(error)[:10_000], "is_memory": is_memory})


def main() -> None:
    """Answer until the parent is gone; the first argument says how many bytes of memory may be taken."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing that a library prints comes between the frames
    bound_memory(int(sys.argv[1]))
    questions: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()
    threading.Thread(target=_answer_all, args=(questions, answers), daemon=True).start()
    status = 1
    try:
        while True:
            questions.put(read_frame(sys.stdin.buffer))
    except EOFError:
        status = 0
    except MemoryError:
        status = NO_MEMORY
    finally:
        os._exit(status)  # also in the middle of a graph


if __name__ == "__main__":
    main()
