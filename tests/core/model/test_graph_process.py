"""A graph from elsewhere takes neither the memory nor the time of the program that imports it or predicts with it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.errors import ModelError
from core.model import graph_process
from core.model.foreign import Declaration, ForeignModel
from core.model.graph_process import LEAST_MEMORY, GraphProcess, memory_for_a_graph

SIZE = 16
DECLARED = Declaration(("a", "b"), "0-1", "logits")
IMAGE = np.zeros((SIZE, SIZE), np.uint8)
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded on Linux")


def constant(name: str, what: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(what), name)


def value(name: str, kind: int, shape: list[object] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape if shape is not None else [])


def graph_of(
    *more: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = (), extra: str | None = None, side: object = SIZE
) -> bytes:
    """Two answers of one channel's mean; ``much`` of further nodes is added to them, ``extra`` is an output beside."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["number"], keepdims=0),
        helper.make_node("Mul", ["flat", "three"], ["second"]),
        helper.make_node("Concat", ["flat", "second"], ["both"], axis=1),
        *more,
    ]
    if more and extra is None:
        nodes += [
            helper.make_node("ReduceMax", ["much"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "zero"], ["nothing"]),
            helper.make_node("Add", ["both", "nothing"], ["y"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["both"], ["y"]))
    outputs = [value("y", TensorProto.FLOAT, ["n", 2])]
    if extra is not None:
        nodes.append(helper.make_node("Identity", ["much"], [extra]))
        outputs.insert(0, value(extra, TensorProto.FLOAT, None))
        outputs[0].type.tensor_type.ClearField("shape")
    graph = helper.make_graph(
        nodes, "theirs", [value("x", TensorProto.FLOAT, ["n", 1, side, side])], outputs,
        [constant("three", np.float32(3)), constant("zero", np.float32(0)), *constants],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def growing() -> bytes:
    """A loop that gathers what it made in each of its rounds: no single operator asks for much."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["on_out"]),
            helper.make_node("Expand", ["number", "some"], ["made"]),
        ],
        "body",
        [value("i", TensorProto.INT64), value("on", TensorProto.BOOL)],
        [value("on_out", TensorProto.BOOL), value("made", TensorProto.FLOAT, [1_000_000])],
        [constant("some", np.array([1_000_000]))],
    )
    return graph_of(
        helper.make_node("Loop", ["times", "yes"], ["much"], body=body),
        constants=(constant("times", np.int64(100_000)), constant("yes", np.bool_(True))),
    )


LARGE = constant("large", np.array([40_000, 20_000]))  # 3.2 GB as float32
BOMBS = {
    "ConstantOfShape": graph_of(helper.make_node("ConstantOfShape", ["large"], ["much"]), constants=(LARGE,)),
    "Expand": graph_of(helper.make_node("Expand", ["number", "large"], ["much"]), constants=(LARGE,)),
    "Tile": graph_of(
        helper.make_node("Tile", ["flat", "times"], ["much"]), constants=(constant("times", np.array([1, 10**9])),)
    ),
    "Resize": graph_of(
        helper.make_node("Resize", ["x", "", "by"], ["much"]),
        constants=(constant("by", np.array([1, 1, 2_000, 2_000], np.float32)),),
    ),
    "Pad": graph_of(
        helper.make_node("Pad", ["x", "by"], ["much"]),
        constants=(constant("by", np.array([0, 0, 0, 0, 0, 0, 30_000, 30_000])),),
    ),
    "Loop": growing(),
}


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where half a gigabyte is free."""
    monkeypatch.setattr(graph_process, "memory_for_a_graph", lambda: LEAST_MEMORY)


def children() -> set[int]:
    """Processes that this one began and has not waited for (Linux)."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found


@pytest.fixture
def leaves_no_process() -> Iterator[None]:
    before = children()
    yield
    gc.collect()
    assert children() <= before


@ON_LINUX
@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.usefixtures("little_memory", "leaves_no_process")
def test_a_small_graph_that_asks_for_gigabytes_is_refused_in_words(kind: str) -> None:
    assert len(BOMBS[kind]) < 2_000
    before = children()
    with pytest.raises(ModelError, match=r"needs more memory than the 0\.3 GB.*half of what was free.*Fix: ") as kept:
        ForeignModel(BOMBS[kind], DECLARED, 1)
    assert children() <= before, "a screen that shows the error keeps the process"
    assert kept.value is not None


@ON_LINUX
@pytest.mark.usefixtures("little_memory", "leaves_no_process")
def test_a_graph_that_takes_memory_only_of_some_images_fails_at_these_and_goes_on_after_them() -> None:
    """The trial's images are dark or even; a white one is the first that makes it ask for gigabytes."""
    content = graph_of(
        helper.make_node("Greater", ["number", "white"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["times"], to=TensorProto.INT64),
        helper.make_node("Mul", ["times", "huge"], ["more"]),
        helper.make_node("Add", ["more", "one"], ["count"]),
        helper.make_node("Expand", ["number", "count"], ["much"]),
        constants=(
            constant("white", np.float32(0.99)),
            constant("huge", np.array([10**9])),
            constant("one", np.array([1])),
        ),
    )
    model = ForeignModel(content, DECLARED, 1)
    assert model.predict([IMAGE]).logits.tolist() == [[0, 0]]
    with pytest.raises(ModelError, match="needs more memory"):
        model.predict([IMAGE + 255])
    assert model.predict([IMAGE]).logits.tolist() == [[0, 0]]
    model.close()
    with pytest.raises(ModelError):
        model.predict([IMAGE])


@pytest.mark.usefixtures("leaves_no_process")
def test_a_large_output_that_nobody_asked_for_stays_where_it_was_made() -> None:
    import resource

    content = graph_of(
        helper.make_node("Expand", ["number", "size"], ["much"]),
        constants=(constant("size", np.array([150_000_000])),),  # 600 MB
        extra="beside",
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = ForeignModel(content, DECLARED, 1)
    np.testing.assert_allclose(model.predict([IMAGE + 51]).logits, [[0.2, 0.6]], atol=1e-6)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_class_maps_larger_than_the_image_are_refused() -> None:
    content = graph_of(
        helper.make_node("Expand", ["number", "size"], ["much"]),
        constants=(constant("size", np.array([1, 2, SIZE + 1, SIZE])),),
        extra="class_maps",
    )
    with pytest.raises(ModelError, match=r"class maps have 17 x 16 pixels, the image 16 x 16\. Fix: "):
        ForeignModel(content, DECLARED, 1)


@pytest.mark.parametrize(("by", "words"), [(signal.SIGSEGV, "brought ONNX Runtime down"), (signal.SIGKILL, "memory")])
@pytest.mark.usefixtures("leaves_no_process")
def test_what_kills_onnx_runtime_is_an_error_of_the_model(by: signal.Signals, words: str) -> None:
    before = children()
    model = ForeignModel(graph_of(), DECLARED, 1)
    (process,) = children() - before
    os.kill(process, by)
    for _ in range(2):
        with pytest.raises(ModelError, match=f"{words}.*Fix: "):
            model.predict([IMAGE])


@ON_LINUX
def test_the_process_of_a_graph_ends_in_the_middle_of_its_work_when_the_program_is_killed(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node("Add", ["sum", "sum"], ["sum_out"])],
        "body",
        [value("i", TensorProto.INT64), value("on", TensorProto.BOOL), value("sum", TensorProto.FLOAT)],
        [value("on_out", TensorProto.BOOL), value("sum_out", TensorProto.FLOAT)],
    )
    (tmp_path / "endless.onnx").write_bytes(
        graph_of(
            helper.make_node("Loop", ["times", "yes", "zero"], ["much"], body=body),
            constants=(constant("times", np.int64(10**12)), constant("yes", np.bool_(True))),
        )
    )
    code = (
        "import sys, pathlib; from core.model.foreign import *; "
        "ForeignModel(pathlib.Path(sys.argv[1]).read_bytes(), Declaration(('a', 'b'), '0-1', 'logits'), 1)"
    )
    program = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "endless.onnx")])
    of_program = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    end = time.monotonic() + 30
    worker = 0
    while time.monotonic() < end and not (worker and _seconds(worker) > 1):
        time.sleep(0.1)
        worker = int(of_program.read_text() or 0)
    program.kill()
    program.wait()
    while Path(f"/proc/{worker}/fd").exists() and list(Path(f"/proc/{worker}/fd").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.05)


def _seconds(process: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@ON_LINUX
def test_a_graph_learns_no_setting_and_may_take_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READING_ROOM_DATABASE_URL", "postgresql://somebody:secret@host/name")
    before = children()
    graph = GraphProcess(graph_of(), 1, 30)
    (process,) = children() - before
    assert b"READING_ROOM" not in Path(f"/proc/{process}/environ").read_bytes()
    assert Path(f"/proc/{process}/oom_score_adj").read_text().strip() == "1000"
    limits = Path(f"/proc/{process}/limits").read_text().splitlines()
    (bound,) = (int(line.split()[3]) for line in limits if line.startswith("Max address space"))
    free = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in line)
    assert LEAST_MEMORY <= memory_for_a_graph() <= max(LEAST_MEMORY, int(free.split()[1]) * 1024 * 0.6)
    assert bound < memory_for_a_graph() * 1.2 + 3e9  # what Python and ONNX Runtime themselves have mapped
    graph.close()
    assert process not in children()
