"""Models in the store: one checkpoint, an ensemble of folds, augmentation, and the one that a study declares."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from actions.models import (
    Shard,
    declare_model,
    load_classifier,
    model_folder,
    predict_cohort,
    register_ensemble,
    register_model,
)
from core.errors import CheckpointError, ConflictError, InputError, ModelError, NotFoundError
from core.model.architectures import build
from core.model.checkpoint import ModelCard, save_checkpoint
from core.model.classifier import Ensemble
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.progress import OnProgress
from core.protocol import THYROID_CLASSES, Protocol
from core.settings import get_settings
from core.study import CaseRecord, StudyState
from db import OPERATOR, Repository, create_store

KEYS = tuple(disease.key for disease in THYROID_CLASSES)
STUDY = "study"
N_CASES = 5


def write_checkpoint(folder: Path, seed: int, *, classes: tuple[str, ...] = KEYS, size: int = 64) -> Path:
    """A small network with random weights whose answers differ from seed to seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build("shufflenet_v2_x1_0", len(classes)).module.eval()
        with torch.no_grad():
            for norm in network.modules():
                if isinstance(norm, torch.nn.BatchNorm2d):
                    norm.running_mean.normal_(0, 0.1)
                    norm.running_var.uniform_(0.5, 1.5)
            network.last_linear.weight.normal_(0, 1)
    card = ModelCard("shufflenet_v2_x1_0", classes, size, "random", fold=seed, is_synthetic=seed == 1)
    return save_checkpoint(folder / f"fold-{seed}-{size}", network, card)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Weights files of three folds; do not change them."""
    folder = tmp_path_factory.mktemp("folds")
    return [write_checkpoint(folder, seed) for seed in (1, 2, 3)]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A store with a draft of five cases, whose models lie in a folder of this test's own."""
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("READING_ROOM_THREADS", "1")
    get_settings.cache_clear()
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    store = Repository(engine, OPERATOR)
    store.create_study(STUDY, Protocol(title="Study"), is_synthetic=True)
    rng = np.random.default_rng(5)
    store.import_cases(
        STUDY,
        [
            CaseRecord(
                f"case-{number}",
                f"patient-{number}",
                "internal",
                KEYS[number % 4],
                rng.integers(0, 255, (70, 64 + number), dtype=np.uint8),
            )
            for number in range(N_CASES)
        ],
    )
    yield store
    engine.dispose()
    get_settings.cache_clear()


def unsealed_predictions(repository: Repository, *models: str) -> list[list]:
    """Stored predictions of models, after the study went the whole way."""
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        repository.set_state(STUDY, state)
    return [repository.predictions(STUDY, sha256, with_class_maps=True) for sha256 in models]


def test_an_ensemble_is_one_model_whose_stored_answers_are_the_mean_of_its_folds(
    repository: Repository, folds: list[Path]
) -> None:
    versions = [register_model(repository, file) for file in folds]
    whole = register_ensemble(repository, folds, name="folds")
    assert whole.sha256 == hashlib.sha256(",".join(sorted(v.sha256 for v in versions)).encode()).hexdigest()
    assert whole.architecture == "ensemble of 3 x shufflenet_v2_x1_0"
    assert [member["sha256"] for member in whole.metadata["members"]] == sorted(v.sha256 for v in versions)
    assert {member["fold"] for member in whole.metadata["members"]} == {1, 2, 3}
    assert whole.metadata["is_synthetic"]

    for version in (*versions, whole):
        model = load_classifier(version)
        assert model.sha256 == version.sha256
        assert predict_cohort(repository, model, STUDY) == N_CASES
        assert predict_cohort(repository, model, STUDY) == 0
    *parts, mean = unsealed_predictions(repository, *(v.sha256 for v in versions), whole.sha256)
    for of_case in zip(*parts, mean, strict=True):
        *single, joined = of_case
        assert np.allclose(joined.probabilities, np.mean([one.probabilities for one in single], axis=0), atol=1e-6)
        assert np.allclose(joined.class_maps, np.mean([one.class_maps for one in single], axis=0), rtol=1e-2, atol=0.05)
    assert not np.allclose(parts[0][0].probabilities, parts[1][0].probabilities, atol=1e-3)


def test_the_order_of_the_folds_does_not_matter(repository: Repository, folds: list[Path]) -> None:
    first = register_ensemble(repository, folds, name="one")
    assert register_ensemble(repository, folds[::-1], name="two") == first
    assert register_ensemble(repository, folds[:2], name="three").sha256 != first.sha256


def test_folds_of_different_size_are_averaged_without_class_maps(
    repository: Repository, folds: list[Path], tmp_path: Path
) -> None:
    larger = write_checkpoint(tmp_path, 4, size=96)
    version = register_ensemble(repository, [folds[0], larger], name="mixed")
    assert predict_cohort(repository, load_classifier(version), STUDY) == N_CASES
    (stored,) = unsealed_predictions(repository, version.sha256)
    assert [each.class_maps for each in stored] == [None] * N_CASES


def test_what_cannot_be_an_ensemble_is_refused(repository: Repository, folds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="same model"):
        register_ensemble(repository, [folds[0], folds[1], folds[0]], name="twice")
    with pytest.raises(ModelError, match="two or more"):
        register_ensemble(repository, folds[:1], name="one")
    swapped = write_checkpoint(tmp_path, 5, classes=("normal", "graves", "sat", "tumor"))
    with pytest.raises(ModelError, match="same classes in the same order"):
        register_ensemble(repository, [folds[0], swapped], name="swapped")
    assert repository.models() == []


def test_a_changed_or_exchanged_member_is_refused_at_loading(repository: Repository, folds: list[Path]) -> None:
    version = register_ensemble(repository, folds[:2], name="pair")
    assert isinstance(load_classifier(version), Ensemble)
    folder = get_settings().data_folder / version.path
    member = folder / "member-0.safetensors"
    kept = member.read_bytes()
    member.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="not the one expected"):
        load_classifier(version)
    member.write_bytes((folder / "member-1.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="not the one expected"):
        load_classifier(version)
    member.unlink()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_classifier(version)


def test_augmented_predictions_never_mix_with_plain_ones(repository: Repository, folds: list[Path]) -> None:
    # the shipped model, because networks that never learned answer the same to every version of an image
    plain = register_model(repository, SHIPPED_CHECKPOINT, name="fold")
    augmented = register_model(repository, SHIPPED_CHECKPOINT, name="fold", is_augmented=True)
    both = register_ensemble(repository, folds, name="all", is_augmented=True)
    assert len({plain.sha256, augmented.sha256, both.sha256}) == 3
    assert augmented.name == "fold + tta-v1"
    for version in (plain, augmented, both):
        assert predict_cohort(repository, load_classifier(version), STUDY) == N_CASES
    pixels = [image.pixels for image in repository.cases_for_prediction(STUDY)]
    expected = load_classifier(plain).predict(pixels, augment=True).probabilities
    stored = unsealed_predictions(repository, plain.sha256, augmented.sha256)
    assert np.allclose([each.probabilities for each in stored[1]], expected, atol=1e-5)
    assert not np.allclose([each.probabilities for each in stored[0]], expected, atol=5e-5)


def test_a_declared_model_stands_in_a_new_protocol_version_and_in_the_audit_trail(
    repository: Repository, folds: list[Path]
) -> None:
    first, second = (register_model(repository, file, name=f"fold-{n}") for n, file in enumerate(folds[:2]))
    assert repository.study(STUDY).declaration(first.sha256) == "not declared before reading: exploratory"
    study = declare_model(repository, STUDY, "fold-0")
    assert (study.protocol.model_sha256, study.protocol_version) == (first.sha256, 2)
    assert declare_model(repository, STUDY, first.sha256[:12]) == study
    assert study.declaration(first.sha256) == "declared in protocol version 2"
    assert study.declaration(second.sha256) == "not declared before reading: exploratory"
    assert declare_model(repository, STUDY, "fold-1").declaration(second.sha256) == "declared in protocol version 3"
    said = [event.detail for event in repository.audit_trail(STUDY) if event.action == "study.protocol"]
    assert [each["protocol"]["model_sha256"] for each in said] == [first.sha256, second.sha256]


def test_no_model_is_declared_once_reading_may_have_begun(repository: Repository, folds: list[Path]) -> None:
    version = register_model(repository, folds[0])
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        repository.set_state(STUDY, state)
        with pytest.raises(ConflictError):
            declare_model(repository, STUDY, version.sha256)
    assert repository.study(STUDY).protocol.model_sha256 is None


def test_a_model_of_other_classes_or_no_model_cannot_be_declared(repository: Repository, folds: list[Path]) -> None:
    register_model(repository, folds[0], name="fold")
    with pytest.raises(NotFoundError):
        declare_model(repository, STUDY, "nobody")
    repository.create_study("turned", Protocol(title="Turned", classes=THYROID_CLASSES[::-1]))
    with pytest.raises(ModelError, match="the study's order"):
        declare_model(repository, "turned", "fold")


@pytest.mark.parametrize("kind", ["single", "ensemble", "augmented"])
def test_model_is_found_in_a_data_folder_that_moved_and_under_an_absolute_path_of_old(
    kind: str, repository: Repository, folds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "ensemble":
        version = register_ensemble(repository, folds, name="folds")
    else:
        version = register_model(repository, folds[0], is_augmented=kind == "augmented")
    assert not Path(version.path).is_absolute()
    n_files = 3 if kind == "ensemble" else 1
    assert len(list((tmp_path / "data" / "models").rglob("served-*.onnx"))) == n_files, "exported at registration"
    old = replace(version, path=str(tmp_path / "data" / version.path))
    assert load_classifier(old).sha256 == version.sha256
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "moved"))
    get_settings.cache_clear()
    assert load_classifier(version).sha256 == version.sha256
    assert load_classifier(old).sha256 == version.sha256


def _exchange_graphs(folder: Path, other: Path) -> None:
    """Put the graph of another model in the place of this one's, with a note that fits it."""
    (mine,), (theirs,) = folder.glob("served-*.onnx"), other.glob("served-*.onnx")
    mine.write_bytes(theirs.read_bytes())
    mine.with_suffix(".sha256").write_text(hashlib.sha256(theirs.read_bytes()).hexdigest() + "\n")


def test_an_exchanged_graph_never_answers_under_the_registered_hash(repository: Repository, folds: list[Path]) -> None:
    """The weights are untouched, and the note beside the graph fits it: only the store knows the registered graph."""
    first, second = (register_model(repository, fold) for fold in folds[:2])
    pixels = [image.pixels for image in repository.cases_for_prediction(STUDY)]
    true, other = (load_classifier(version).predict(pixels).probabilities for version in (first, second))
    assert np.abs(true - other).max() > 0.01  # the test could tell them apart
    _exchange_graphs(model_folder(first.sha256), model_folder(second.sha256))
    np.testing.assert_allclose(load_classifier(first).predict(pixels).probabilities, true, atol=1e-5)


def test_a_graph_that_lay_there_before_is_held_against_the_weights_at_registration(
    repository: Repository, folds: list[Path], tmp_path: Path
) -> None:
    first, second = (register_model(repository, fold) for fold in folds[:2])
    pixels = [image.pixels for image in repository.cases_for_prediction(STUDY)]
    true = load_classifier(first).predict(pixels).probabilities
    _exchange_graphs(model_folder(first.sha256), model_folder(second.sha256))
    engine = create_store(f"sqlite:///{tmp_path / 'another.sqlite3'}")
    again = register_model(Repository(engine, OPERATOR), folds[0])
    np.testing.assert_allclose(load_classifier(again).predict(pixels).probabilities, true, atol=1e-5)
    engine.dispose()


class SlowModel:
    """A model of a fixed answer that counts what it was asked."""

    classes = KEYS
    sha256 = "5a" * 32
    device = "cpu"

    def __init__(self, seconds: float = 0.0) -> None:
        self.n_asked = 0
        self._seconds = seconds

    def predict(self, images: list[np.ndarray], batch_size: int, progress: OnProgress) -> SimpleNamespace:
        n = len(images)
        self.n_asked += n
        for at in range(0, n, batch_size):
            time.sleep(self._seconds)
            progress(min(at + batch_size, n), n, "predicting")
        return SimpleNamespace(
            probabilities=np.tile([0.7, 0.1, 0.1, 0.1], (n, 1)),
            class_maps=None,
            entropy=np.ones(n),
            is_out_of_distribution=np.zeros(n, dtype=bool),
            device="cpu",
            precision="fp32",
        )


@pytest.fixture
def large_study(repository: Repository) -> Repository:
    """200 cases to predict."""
    rng = np.random.default_rng(1)
    repository.create_study("large", Protocol("Large"), is_synthetic=True)
    repository.import_cases(
        "large",
        [CaseRecord(f"case-{n}", f"patient-{n}", "internal", "normal", rng.integers(0, 255, (16, 16), dtype=np.uint8))
         for n in range(200)],
    )  # fmt: skip
    repository.register_model(sha256=SlowModel.sha256, name="slow", architecture="none", path="none", metadata={})
    return repository


def test_a_job_that_was_stopped_goes_on_where_it_was(large_study: Repository) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if done > 130:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_cohort(large_study, SlowModel(), "large", progress=stop)
    (count,) = large_study.prediction_counts("large")
    assert count.n_predicted == 128, "two blocks were stored, the third was not"
    rest = SlowModel()
    assert predict_cohort(large_study, rest, "large") == 72
    assert rest.n_asked == 72


def test_two_jobs_at_once_store_every_case_once_and_share_the_work(
    large_study: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actions.models.STORED_AT_ONCE", 10)
    jobs = [SlowModel(seconds=0.02), SlowModel(seconds=0.02)]
    with ThreadPoolExecutor(2) as pool:
        added = list(pool.map(lambda job: predict_cohort(large_study, job, "large"), jobs))
    assert sum(added) == 200
    assert sum(job.n_asked for job in jobs) < 300, "they must not both compute everything"
    (count,) = large_study.prediction_counts("large")
    assert count.n_predicted == 200
    assert large_study.verify_audit().problems == ()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_case_is_one_shard_s_and_shards_are_of_like_size(count: int) -> None:
    shards = [Shard(number, count) for number in range(1, count + 1)]
    held = Counter(shard.number for n in range(2000) for shard in shards if shard.holds(f"case-{n}"))
    assert sum(held.values()) == 2000
    assert max(held.values()) < 1.3 * 2000 / count


def test_shards_predict_all_of_a_study_between_them(large_study: Repository) -> None:
    added = [predict_cohort(large_study, SlowModel(), "large", shard=Shard.of_text(f"{n}/3")) for n in (1, 2, 3)]
    assert sum(added) == 200
    assert min(added) > 40


@pytest.mark.parametrize("text", ["", "2", "0/2", "3/2", "1/0", "-1/2", "a/b", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="1/4"):
        Shard.of_text(text)
