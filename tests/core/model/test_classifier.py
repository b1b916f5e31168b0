"""The classifier: the same answer whoever asks, however often, in whatever batch, and when memory runs out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import CheckpointError, ImageError, ModelError
from core.model.architectures import Network
from core.model.calibration import softmax
from core.model.card import verify_file
from core.model.checkpoint import ModelCard, load_checkpoint, save_checkpoint
from core.model.classifier import Classifier, Ensemble
from core.model.gradcam import explain
from core.model.preprocessing import normalise, prepare
from core.model.served_graph import graph_path
from core.model.serving import OnnxBackend, Raw, TorchBackend
from core.model.uncertainty import fit_detector
from tests.core.model.conftest import blobs

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = "shufflenet_v2_x1_0"
CLASSES = ("graves", "normal", "sat", "tumor")


@pytest.fixture(scope="module")
def classifier(small_checkpoint: Path) -> Classifier:
    return Classifier.load(small_checkpoint, device="cpu", threads=1)


def _relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0.1, "an empty map proves nothing"
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_probabilities_maps_and_features_are_those_of_the_network(
    classifier: Classifier, small_checkpoint: Path, images: list[np.ndarray]
) -> None:
    """Same preprocessing, temperature and class order as the checkpoint's network run by hand."""
    found = classifier.predict(images)
    loaded = load_checkpoint(small_checkpoint)
    batch = torch.from_numpy(np.stack([prepare(pixels, 64) for pixels in images]))
    with torch.inference_mode():
        expected = explain(loaded.network, normalise(batch))
    assert found.probabilities.std(axis=0).min() > 0.01, "answers that hardly differ prove nothing"
    # Single precision leaves this hastily trained network 8e-5 of its logits' 12 (against double precision); processors
    # differ by as much among themselves.
    assert np.allclose(found.logits, expected.logits.numpy(), atol=5e-4)
    assert np.allclose(found.probabilities, softmax(expected.logits.numpy(), 1.7), atol=1e-4)
    assert _relative_difference(found.class_maps, expected.class_maps.numpy()) < 4e-4
    assert _relative_difference(found.features, expected.features.numpy()) < 1e-4
    assert found.probabilities.dtype == np.float64
    assert np.allclose(found.probabilities.sum(axis=1), 1)
    assert found.class_maps.shape == (7, 4, 2, 2)
    assert found.classes == CLASSES
    assert found.sha256 == loaded.sha256
    assert (found.device, found.precision) == ("cpu", "fp32")
    assert found.labels == tuple(CLASSES[index] for index in expected.logits.argmax(dim=1))
    assert np.allclose(found.entropy, [-(row * np.log2(row)).sum() for row in found.probabilities])


class _Recorder:
    """A backend that keeps what it was given."""

    device, precision = "cpu", "fp32"

    def __init__(self, inner: OnnxBackend) -> None:
        self.inner, self.seen = inner, []

    def run(self, prepared: np.ndarray) -> Raw:
        self.seen.append(prepared.copy())
        return self.inner.run(prepared)


def test_network_is_given_exactly_what_prepare_makes(small_checkpoint: Path, images: list[np.ndarray]) -> None:
    verified = verify_file(small_checkpoint)
    recorder = _Recorder(OnnxBackend(verified, 1))
    Classifier(verified.card, verified.sha256, recorder).predict(images, batch_size=3)
    assert [len(batch) for batch in recorder.seen] == [3, 3, 1]
    assert np.array_equal(np.concatenate(recorder.seen), np.stack([prepare(pixels, 64) for pixels in images]))


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_batch_size_does_not_change_the_answer(
    classifier: Classifier, images: list[np.ndarray], batch_size: int
) -> None:
    expected = classifier.predict(images, batch_size=3)
    found = classifier.predict(images, batch_size=batch_size)
    assert np.abs(found.probabilities - expected.probabilities).max() < 1e-5
    assert _relative_difference(found.class_maps, expected.class_maps) < 1e-4


def test_order_of_images_does_not_change_their_answers(classifier: Classifier, images: list[np.ndarray]) -> None:
    forward, backward = classifier.predict(images), classifier.predict(images[::-1])
    assert np.abs(forward.probabilities - backward.probabilities[::-1]).max() < 1e-6


def test_eight_threads_of_fifty_requests_get_identical_answers(
    classifier: Classifier, images: list[np.ndarray]
) -> None:
    requests = [images[:1], images[1:3], images[3:5]]
    expected = [classifier.predict(request) for request in requests]
    differences: list[str] = []
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def ask(offset: int) -> None:
        try:
            start.wait()
            for turn in range(50):
                which = (turn + offset) % len(requests)
                found = classifier.predict(requests[which])
                if not np.array_equal(found.probabilities, expected[which].probabilities):
                    differences.append(f"probabilities of request {which}")
                if not np.array_equal(found.class_maps, expected[which].class_maps):
                    differences.append(f"maps of request {which}")
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=ask, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert differences == []


def test_no_image_gives_empty_arrays_of_the_right_shape(classifier: Classifier) -> None:
    nothing = classifier.predict([])
    assert nothing.probabilities.shape == (0, 4)
    assert nothing.class_maps.shape == (0, 4, 2, 2)
    assert nothing.is_out_of_distribution.shape == (0,)


def test_images_are_read_while_the_network_works(
    classifier: Classifier, images: list[np.ndarray], small_checkpoint: Path
) -> None:
    """Functions that read give the answers of what they read, and are called ahead of the network, by two batches."""
    verified = verify_file(small_checkpoint)
    recorder = _Recorder(OnnxBackend(verified, 1))
    read: list[int] = []
    read_before: list[int] = []

    def reader(number: int) -> np.ndarray:
        read.append(number)
        return images[number]

    run = recorder.run

    def watched(prepared: np.ndarray) -> Raw:
        if recorder.seen:  # the second batch and later: what lies ahead was begun while the one before was at work
            read_before.append(len(read))
        return run(prepared)

    recorder.run = watched  # type: ignore[method-assign]
    found = Classifier(verified.card, verified.sha256, recorder).predict(
        [partial(reader, number) for number in range(7)], batch_size=2
    )
    np.testing.assert_allclose(found.probabilities, classifier.predict(images, batch_size=2).probabilities, atol=1e-6)
    assert sorted(read) == list(range(7)), "each is read once"
    assert read_before[0] >= 4
    both = Ensemble([classifier, classifier])
    read.clear()
    both.predict([partial(reader, number) for number in range(7)])
    assert sorted(read) == list(range(7)), "once for all members"


def test_progress_counts_images(classifier: Classifier, images: list[np.ndarray]) -> None:
    seen: list[tuple[int, int, str]] = []
    classifier.predict(images, batch_size=3, progress=lambda *report: seen.append(report))
    assert [report[:2] for report in seen] == [(3, 7), (6, 7), (7, 7)]


def test_what_is_no_grey_image_is_refused(classifier: Classifier) -> None:
    with pytest.raises(ImageError):
        classifier.predict([np.zeros((64, 64, 3), np.uint8)])
    with pytest.raises(ModelError, match="batch size"):
        classifier.predict([], batch_size=0)


def test_augmentation_averages_six_versions(classifier: Classifier) -> None:
    images = list(blobs(6, 64)[0])
    plain, averaged = classifier.predict(images), classifier.predict(images, augment=True)
    assert np.array_equal(plain.logits, averaged.logits)
    assert np.allclose(averaged.probabilities.sum(axis=1), 1)
    assert np.abs(plain.probabilities - averaged.probabilities).max() > 1e-4
    mirrored = [pixels[:, ::-1] for pixels in images]
    again = classifier.predict(mirrored, augment=True)
    assert _relative_difference(again.class_maps, averaged.class_maps[..., ::-1]) < 1e-5
    assert _relative_difference(classifier.predict(mirrored).class_maps, plain.class_maps[..., ::-1]) > 0.05


def test_pytorch_brings_a_batch_back_in_one_transfer(small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits, maps and features of one batch, equal to ONNX Runtime's."""
    verified = verify_file(small_checkpoint)
    backend, reference = TorchBackend(verified, "cpu"), OnnxBackend(verified, 1)
    prepared = np.random.default_rng(4).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    transfers: list[str] = []

    def counted(name: str) -> None:
        method = getattr(torch.Tensor, name)

        def called(*arguments: object, **options: object) -> object:
            transfers.append(name)
            return method(*arguments, **options)

        monkeypatch.setattr(torch.Tensor, name, called)

    for name in ("cpu", "item", "tolist", "nonzero", "__bool__", "__int__", "__float__", "__index__"):
        counted(name)
    found = backend.run(prepared)
    assert transfers == ["cpu"], "the maps are made on the device, and nothing else makes the host wait for it"
    expected = reference.run(prepared)
    for name in ("logits", "class_maps", "features"):
        assert getattr(found, name).shape == getattr(expected, name).shape
        assert _relative_difference(getattr(found, name), getattr(expected, name)) < 1e-5


# ---- memory ---------------------------------------------------------------------------------------------------------


def _limited(small_checkpoint: Path, limit: int) -> tuple[Classifier, list[int]]:
    """A PyTorch classifier whose trunk raises torch's own out-of-memory error above ``limit`` images."""
    verified = verify_file(small_checkpoint)
    backend = TorchBackend(verified, "cpu")
    sizes: list[int] = []

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    backend._network.trunk.register_forward_pre_hook(refuse)
    model = Classifier(
        verified.card, verified.sha256, backend, fallback=lambda: OnnxBackend(verify_file(small_checkpoint), 1)
    )
    return model, sizes


def test_out_of_memory_halves_the_batch(small_checkpoint: Path, images: list[np.ndarray]) -> None:
    limited, sizes = _limited(small_checkpoint, limit=2)
    whole, _ = _limited(small_checkpoint, limit=len(images))
    found, expected = limited.predict(images), whole.predict(images)
    assert sizes == [7, 4, 2, 2, 3, 2, 1]
    assert np.abs(found.probabilities - expected.probabilities).max() < 1e-5
    assert _relative_difference(found.class_maps, expected.class_maps) < 1e-4


def test_out_of_memory_with_one_image_falls_back_to_the_cpu_for_good(
    small_checkpoint: Path, classifier: Classifier, images: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    limited, sizes = _limited(small_checkpoint, limit=0)
    found, expected = limited.predict(images), classifier.predict(images)
    assert np.abs(found.probabilities - expected.probabilities).max() < 1e-5
    assert _relative_difference(found.class_maps, expected.class_maps) < 1e-4
    assert isinstance(limited._backend, OnnxBackend)
    assert "runs on the CPU now" in caplog.text
    tried = len(sizes)
    limited.predict(images)
    assert len(sizes) == tried


def test_out_of_memory_in_many_threads_moves_once(small_checkpoint: Path, images: list[np.ndarray]) -> None:
    limited, _ = _limited(small_checkpoint, limit=0)
    answers: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: answers.append(limited.predict(images[:1]).probabilities)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(np.allclose(answer, answers[0], atol=1e-6) for answer in answers)


def test_out_of_memory_on_the_cpu_is_an_error_with_a_fix(
    small_checkpoint: Path, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = Classifier.load(small_checkpoint, device="cpu", threads=1)

    class Session:
        def run(self, *arguments: object) -> None:
            raise MemoryError

    monkeypatch.setattr(poor._backend, "_session", Session())
    with pytest.raises(ModelError, match="Fix: stop other programs"):
        poor.predict(images)


# ---- loading --------------------------------------------------------------------------------------------------------


def test_graph_is_exported_once_and_a_changed_one_is_not_believed(
    small_checkpoint: Path, images: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    expected = Classifier.load(small_checkpoint, device="cpu", threads=1).predict(images)
    path = graph_path(verify_file(small_checkpoint))
    before = path.stat().st_mtime_ns
    Classifier.load(small_checkpoint, device="cpu", threads=1)
    assert path.stat().st_mtime_ns == before
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    again = Classifier.load(small_checkpoint, device="cpu", threads=1).predict(images)
    assert "exported again" in caplog.text
    assert np.array_equal(again.probabilities, expected.probabilities)


def test_serving_from_a_cached_graph_never_imports_torch(small_checkpoint: Path) -> None:
    Classifier.load(small_checkpoint, device="cpu", threads=1)
    script = (
        "import sys, numpy as np\n"
        "from core.model.classifier import Classifier\n"
        "found = Classifier.load(sys.argv[1], device='cpu', threads=1).predict([np.eye(64, dtype=np.uint8)])\n"
        "assert found.probabilities.shape == (1, 4)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(small_checkpoint)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_hash_and_classes_are_checked_on_loading(small_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="not the one expected"):
        Classifier.load(small_checkpoint, expected_sha256="0" * 64)
    with pytest.raises(CheckpointError, match="in this order"):
        Classifier.load(small_checkpoint, expected_classes=("normal", "graves", "sat", "tumor"))


@pytest.mark.parametrize(("device", "words"), [("tpu", "unknown device"), ("cuda:7", "no usable GPU")])
def test_device_that_is_not_there_is_refused(small_checkpoint: Path, device: str, words: str) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match=words):
        Classifier.load(small_checkpoint, device=device)


def test_half_precision_is_refused_on_a_cpu(small_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="bf16"):
        Classifier.load(small_checkpoint, device="cpu", precision="bf16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_gives_the_cpus_answer(small_checkpoint: Path, classifier: Classifier, images: list[np.ndarray]) -> None:
    found = Classifier.load(small_checkpoint, device="cuda").predict(images)
    assert np.abs(found.probabilities - classifier.predict(images).probabilities).max() < 1e-5


def test_answers_that_are_not_finite_are_refused(small_checkpoint: Path, images: list[np.ndarray]) -> None:
    verified = verify_file(small_checkpoint)

    class Broken:
        device, precision = "cpu", "fp32"

        def run(self, prepared: np.ndarray) -> Raw:
            n = len(prepared)
            return Raw(np.full((n, 4), np.nan, np.float32), np.zeros((n, 4, 2, 2), np.float32), np.zeros((n, 8)))

    with pytest.raises(ModelError, match="not finite"):
        Classifier(verified.card, verified.sha256, Broken()).predict(images)


# ---- strange images -------------------------------------------------------------------------------------------------


def test_stored_detector_and_image_checks_flag_strange_images(trained_network: Network, tmp_path: Path) -> None:
    card = ModelCard(SMALL, CLASSES, 64, "random")
    save_checkpoint(tmp_path, trained_network, card)
    seen = Classifier.load(tmp_path, device="cpu", threads=1).predict(list(blobs(80, 64, seed=20)[0]))
    detector = fit_detector(seen.features, seen.logits, blobs(80, 64, seed=20)[1])
    fitted = dataclasses.replace(card, thresholds=detector.to_thresholds())
    save_checkpoint(tmp_path, trained_network, fitted, statistics=detector.to_tensors())
    model = Classifier.load(tmp_path, device="cpu", threads=1)

    new = model.predict(list(blobs(40, 64, seed=21)[0]))
    assert new.is_out_of_distribution.mean() <= 0.2
    stripes = np.tile((125 + 100 * np.sin(np.arange(64) * 2 * np.pi / 8)).astype(np.uint8), (64, 1))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    empty = np.zeros((64, 64), np.uint8)
    strange = model.predict([stripes, noise, empty])
    assert strange.is_out_of_distribution.all()
    assert strange.input_problems[0] == ()  # only the network's features can tell
    assert strange.input_problems[1] == ("the image looks like noise without structure",)
    assert strange.input_problems[2] == ("the frame is empty or uniform",)


# ---- ensemble -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def second_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from core.model.architectures import build

    torch.manual_seed(99)
    network = build(SMALL, 4).module.eval()
    with torch.no_grad():
        network.last_linear.weight.normal_(0, 1)
    return save_checkpoint(tmp_path_factory.mktemp("second"), network, ModelCard(SMALL, CLASSES, 64, "random")).parent


def test_ensemble_is_the_mean_of_its_members(
    classifier: Classifier, second_checkpoint: Path, images: list[np.ndarray]
) -> None:
    other = Classifier.load(second_checkpoint, device="cpu", threads=1)
    both = Ensemble([classifier, other])
    seen: list[tuple[int, int, str]] = []
    found = both.predict(images, progress=lambda *report: seen.append(report))
    one, two = classifier.predict(images), other.predict(images)
    assert np.allclose(found.probabilities, (one.probabilities + two.probabilities) / 2)
    assert not np.allclose(one.probabilities, two.probabilities, atol=1e-3)
    assert np.allclose(found.class_maps, (one.class_maps + two.class_maps) / 2)
    assert both.sha256 == Ensemble([other, classifier]).sha256
    assert both.sha256 not in (classifier.sha256, other.sha256)
    assert seen[-1][:2] == (14, 14)


def test_ensemble_of_other_classes_or_of_one_is_refused(classifier: Classifier, small_checkpoint: Path) -> None:
    verified = verify_file(small_checkpoint)
    swapped = dataclasses.replace(verified.card, classes=("normal", "graves", "sat", "tumor"))
    other = Classifier(swapped, "f" * 64, OnnxBackend(verified, 1))
    with pytest.raises(ModelError, match="same classes in the same order"):
        Ensemble([classifier, other])
    with pytest.raises(ModelError, match="two or more"):
        Ensemble([classifier])
