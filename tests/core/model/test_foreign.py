"""Graphs from elsewhere: answers as computed by hand, every layout, and nothing that was not declared."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.errors import ImageError, ModelError
from core.model.foreign import Declaration, ForeignModel
from core.model.preprocessing import IMAGENET_MEAN, IMAGENET_SD, prepare

SIZE = 16
KEYS = ("a", "b", "c")
WEIGHTS = np.random.default_rng(0).normal(0, 2, (3, 3)).astype(np.float32)


def graph_of(
    *,
    channels: int = 3,
    is_last: bool = False,
    k: int = 3,
    end: str | None = None,
    batch: object = "n",
    size: object = SIZE,
    kind: int = TensorProto.FLOAT,
    has_maps: bool = False,
) -> bytes:
    """Mean of every channel times ``WEIGHTS``, then ``end`` (Softmax, Sigmoid or none)."""
    shape = [batch, size, size, channels] if is_last else [batch, channels, size, size]
    nodes = [helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)]
    nodes.append(
        helper.make_node("Transpose", ["float"], ["first"], perm=[0, 3, 1, 2])
        if is_last
        else helper.make_node("Identity", ["float"], ["first"])
    )
    nodes += [
        helper.make_node("GlobalAveragePool", ["first"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node(end or "Identity", ["raw"], ["answers"]),
    ]
    outputs = [helper.make_tensor_value_info("answers", TensorProto.FLOAT, [batch, k])]
    if has_maps:
        nodes.append(helper.make_node("Conv", ["first", "kernels"], ["class_maps"]))
        outputs.append(helper.make_tensor_value_info("class_maps", TensorProto.FLOAT, [batch, k, size, size]))
    weights = WEIGHTS[:channels, :k]
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("image", kind, shape)],
        outputs,
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.ascontiguousarray(weights.T[:, :, None, None]), "kernels"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (20 + n, 30), dtype=np.uint8) for n in range(3)]


def by_hand(images: list[np.ndarray], pixels: str, channels: int) -> np.ndarray:
    """Logits (n, 3)."""
    mean = np.array([prepare(image, SIZE).mean() for image in images])
    values = np.repeat(mean[:, None], channels, axis=1)
    if pixels != "0-255":
        values = values / 255
    if pixels == "imagenet":
        values = (values - IMAGENET_MEAN[:channels]) / IMAGENET_SD[:channels]
    return values @ WEIGHTS[:channels]


@pytest.mark.parametrize("pixels", ["0-1", "imagenet"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("batch", ["n", 1])
def test_answers_are_those_computed_by_hand(
    pixels: str, channels: int, is_last: bool, batch: object, images: list[np.ndarray]
) -> None:
    logits = by_hand(images, pixels, channels)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for end, answers in ((None, "logits"), ("Softmax", "probabilities")):
        content = graph_of(channels=channels, is_last=is_last, batch=batch, end=end)
        found = ForeignModel(content, Declaration(KEYS, pixels, answers)).predict(images, batch_size=2)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        assert found.class_maps is None
        assert found.classes == KEYS


def test_whole_grey_levels_and_a_size_that_the_graph_leaves_open(images: list[np.ndarray]) -> None:
    declared = Declaration(KEYS, "0-255", "logits", SIZE)
    model = ForeignModel(graph_of(kind=TensorProto.UINT8, size="s"), declared)
    found = model.predict(images).logits
    np.testing.assert_allclose(found, by_hand(images, "0-255", 3), rtol=1e-4)
    with pytest.raises(ModelError, match="--pixels 0-255"):
        ForeignModel(graph_of(kind=TensorProto.UINT8), Declaration(KEYS, "0-1", "logits"))
    with pytest.raises(ModelError, match="--size"):
        ForeignModel(graph_of(size="s"), Declaration(KEYS, "0-1", "logits"))


def test_one_column_is_the_second_of_two_classes(images: list[np.ndarray]) -> None:
    two = ("benign", "malignant")
    logits = by_hand(images, "0-1", 3)[:, :1]
    chance = 1 / (1 + np.exp(-logits))
    for end, answers in ((None, "logits"), ("Sigmoid", "probabilities")):
        found = ForeignModel(graph_of(k=1, end=end), Declaration(two, "0-1", answers)).predict(images)
        np.testing.assert_allclose(found.probabilities, np.hstack([1 - chance, chance]), atol=1e-5)


def test_maps_are_taken_where_the_graph_gives_them(images: list[np.ndarray]) -> None:
    found = ForeignModel(graph_of(has_maps=True), Declaration(KEYS, "0-1", "logits")).predict(images)
    assert found.class_maps is not None
    assert found.class_maps.shape == (3, 3, SIZE, SIZE)
    np.testing.assert_allclose(found.class_maps.mean(axis=(2, 3)), found.logits, atol=1e-4)


def test_another_declaration_is_another_model() -> None:
    content = graph_of()
    plain = ForeignModel(content, Declaration(KEYS, "0-1", "logits"))
    assert plain.sha256 == ForeignModel(content, Declaration(KEYS, "0-1", "logits")).sha256
    others = (
        ForeignModel(content, Declaration(KEYS[::-1], "0-1", "logits")),
        ForeignModel(content, Declaration(KEYS, "imagenet", "logits")),
        ForeignModel(graph_of(has_maps=True), Declaration(KEYS, "0-1", "logits")),
    )
    assert len({plain.sha256, *(other.sha256 for other in others)}) == 4


@pytest.mark.parametrize(
    ("content", "declared", "words"),
    [
        (graph_of(), Declaration(("a", "b"), "0-1", "logits"), "2 classes need one output"),
        (graph_of(), Declaration(KEYS, "0-1", "probabilities"), "declare --answers logits"),
        (graph_of(end="Softmax"), Declaration(KEYS, "0-1", "logits"), "declare --answers probabilities"),
        (graph_of(size=32), Declaration(KEYS, "0-1", "logits", 16), "declared is 16"),
        (graph_of(batch=4), Declaration(KEYS, "0-1", "logits"), "4 images at a time"),
        (b"no graph", Declaration(KEYS, "0-1", "logits"), "no ONNX graph"),
        (b"", Declaration(KEYS, "0-1", "logits"), "no ONNX graph"),
        (graph_of()[:-40], Declaration(KEYS, "0-1", "logits"), "cut off"),
        (pickle.dumps([1]), Declaration(KEYS, "0-1", "logits"), "a Python pickle"),
        (b"PK\x03\x04rest", Declaration(KEYS, "0-1", "logits"), "a zip file"),
        (graph_of(size="s"), Declaration(KEYS, "0-1", "logits", 0), "0 x 0 pixels.*--size"),
        (graph_of(size="s"), Declaration(KEYS, "0-1", "logits", 10**6), "1000000 x 1000000 pixels.*--size"),
        (graph_of(channels=1), Declaration(KEYS, "0-1", "logits", is_colour=True), "leave --colour out"),
    ],
    ids=[
        "classes",
        "no probabilities",
        "no logits",
        "size",
        "batch",
        "rubbish",
        "empty",
        "cut off",
        "pickle",
        "zip",
        "no side",
        "too large",
        "colour",
    ],
)
def test_what_is_not_as_declared_is_refused(content: bytes, declared: Declaration, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        ForeignModel(content, declared)


@pytest.mark.parametrize("is_relative", [False, True])
def test_files_that_a_graph_names_are_never_opened(
    is_relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime itself takes relative names from the working directory, so a graph could show what lies there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    model = onnx.load_from_string(graph_of())
    tensor = next(one for one in model.graph.initializer if one.name == "weights")
    location = "secret.bin" if is_relative else str(tmp_path / "secret.bin")
    onnx.external_data_helper.set_external_data(tensor, location=location)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    with pytest.raises(ModelError, match="keeps its weights in another file"):
        ForeignModel(model.SerializeToString(), Declaration(KEYS, "0-1", "logits"))


def edited(change: Callable[[onnx.ModelProto], object]) -> bytes:
    """The graph with something changed in it."""
    model = onnx.load_from_string(graph_of())
    change(model)
    return model.SerializeToString()


def poison(model: onnx.ModelProto) -> None:
    tensor = next(one for one in model.graph.initializer if one.name == "weights")
    tensor.CopyFrom(numpy_helper.from_array(np.full((3, 3), np.nan, np.float32), "weights"))


def add_to_answers(*nodes: onnx.NodeProto) -> Callable[[onnx.ModelProto], object]:
    """A change that adds what the nodes leave in ``more`` to the answers."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.node.extend([*nodes, helper.make_node("Add", ["answers", "more"], ["last"])])
        model.graph.output[0].name = "last"

    return change


def fix_batch(model: onnx.ModelProto) -> None:
    """Says any number of images, and takes one: what a traced ``view(1, 3)`` leaves."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3]), "shape"))
    model.graph.node.append(helper.make_node("Reshape", ["answers", "shape"], ["last"]))
    model.graph.output[0].name = "last"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: setattr(model.graph.node[-1], "domain", "theirs"), "operators that ONNX Runtime lacks"),
        (lambda model: setattr(model.graph.node[-1], "op_type", "Theirs"), "operators that ONNX Runtime lacks"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "version of ONNX is not known.*opset_version"),
        (lambda model: setattr(model, "ir_version", 99), "version of ONNX is not known.*opset_version"),
        (poison, "not finite.*Fix"),
        (fix_batch, "takes one image and fails at two.*fixed at 1"),
        (add_to_answers(helper.make_node("RandomNormalLike", ["answers"], ["more"])), "differently each time"),
        (
            add_to_answers(helper.make_node("ReduceSum", ["answers"], ["more"], keepdims=0)),
            "changes with the images beside it",
        ),
    ],
    ids=["domain", "operator", "opset", "version", "nan", "batch of one", "random", "batch statistics"],
)
def test_graphs_that_cannot_serve_are_refused_with_what_helps(
    change: Callable[[onnx.ModelProto], object], words: str
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        ForeignModel(edited(change), Declaration(KEYS, "0-1", "logits"))
    assert "Fix: " in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)


@pytest.mark.parametrize("is_last", [False, True])
def test_colour_is_taken_by_channel_and_grey_is_refused(is_last: bool) -> None:
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(3)]
    declared = Declaration(KEYS, "imagenet", "logits", is_colour=True)
    model = ForeignModel(graph_of(is_last=is_last), declared)
    means = np.array([image.mean(axis=(0, 1)) / 255 for image in images])  # red, green, blue
    expected = (means - IMAGENET_MEAN) / IMAGENET_SD @ WEIGHTS
    np.testing.assert_allclose(model.predict(images).logits, expected, atol=1e-4)
    with pytest.raises(ImageError, match="grey and the model was trained on colour"):
        model.predict([images[0][..., 0]])
    grey = ForeignModel(graph_of(is_last=is_last), Declaration(KEYS, "imagenet", "logits"))
    assert grey.sha256 != model.sha256
    assert "is_colour" not in grey.declared.to_dict(), "a grey model keeps the hash that it had"
    with pytest.raises(ImageError, match="in colour and the model was trained on grey"):
        grey.predict(images)


def test_a_graph_that_goes_round_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """413 bytes that would keep a thread, and a core of the machine, until the server is started anew."""
    monkeypatch.setattr("core.model.foreign.LONGEST_S", 0.5)

    def value(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    def constant(name: str, what: object) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(what), name)

    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node("Add", ["sum", "one"], ["sum_out"])],
        "body",
        [value("i", TensorProto.INT64), value("on", TensorProto.BOOL), value("sum", TensorProto.FLOAT)],
        [value("on_out", TensorProto.BOOL), value("sum_out", TensorProto.FLOAT)],
        [constant("one", np.float32(1))],
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Loop", ["times", "yes", "zero"], ["last"], body=body),
        helper.make_node("Mul", ["last", "zero"], ["nothing"]),
        helper.make_node("Concat", ["flat", "flat"], ["both"], axis=1),
        helper.make_node("Add", ["both", "nothing"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [constant("times", np.int64(10**12)), constant("yes", np.bool_(True)), constant("zero", np.float32(0))],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match="does not come to an end"):
        ForeignModel(model.SerializeToString(), Declaration(("a", "b"), "0-1", "logits", 16), 1)
