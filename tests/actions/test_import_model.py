"""Models from elsewhere, from the file to the sealed predictions of a study."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from actions.import_model import declare, import_graph, import_predictions, is_table
from actions.models import declare_model, keep_file, load_classifier, predict_cohort, register_model
from core.errors import CheckpointError, ConflictError, InputError, ModelError
from core.imaging import ManifestErrors
from core.model import graph_process
from core.model.checkpoint import load_checkpoint
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.protocol import Protocol
from core.settings import get_settings
from core.study import CaseRecord, StudyState
from db import OPERATOR, Repository, create_store
from tests.core.model.test_graph_process import BOMBS
from tests.pages.reading_server import phantom_pixels

STUDY = "study"
HEADER = "case,p_graves,p_normal,p_sat,p_tumor\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A draft of four cases, one of them excluded."""
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("READING_ROOM_THREADS", "1")
    get_settings.cache_clear()
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    store = Repository(engine, OPERATOR)
    store.create_study(STUDY, Protocol(title="Study"), is_synthetic=True)
    store.import_cases(
        STUDY,
        [
            CaseRecord(
                f"c{n}", f"p{n}", "internal", "normal", phantom_pixels(n), exclusion_reason="moved" * (n == 3) or None
            )
            for n in range(4)
        ],
    )
    yield store
    engine.dispose()
    get_settings.cache_clear()


def stored(repository: Repository, sha256: str) -> dict[str, np.ndarray]:
    """Probabilities by case, after the study went the whole way."""
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        repository.set_state(STUDY, state)
    return {one.case: one.probabilities for one in repository.predictions(STUDY, sha256)}


def export_plain(folder: Path) -> Path:
    """The shipped network as somebody else would export it: float images in, logits out."""
    network = load_checkpoint(SHIPPED_CHECKPOINT).network
    file = folder / "theirs.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that many groups still use is marked as superseded
        torch.onnx.export(
            network, (torch.zeros(1, 3, 160, 160),), file, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    return file


def test_an_imported_graph_answers_as_the_same_network_that_was_registered(
    repository: Repository, tmp_path: Path
) -> None:
    file = export_plain(tmp_path)
    declared = declare("thyroid", "imagenet", "logits", None)
    version = import_graph(repository, file, declared, name="theirs", note="by others")
    assert version.metadata["note"] == "by others"
    assert version.can_predict
    assert version.architecture == "ONNX from elsewhere"
    assert import_graph(repository, file, declared, name="again", note="").sha256 == version.sha256
    file.unlink()  # the copy in the data folder counts
    declare_model(repository, STUDY, version.sha256)
    assert predict_cohort(repository, load_classifier(version), STUDY) == 3
    ours = register_model(repository, SHIPPED_CHECKPOINT)
    images = [phantom_pixels(n) for n in range(3)]
    logits = load_classifier(ours).predict(images).logits
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = stored(repository, version.sha256)
    np.testing.assert_allclose([found[f"c{n}"] for n in range(3)], expected, atol=1e-5)


def test_an_imported_graph_that_was_changed_is_refused(repository: Repository, tmp_path: Path) -> None:
    version = import_graph(
        repository, export_plain(tmp_path), declare("thyroid", "imagenet", "logits", None), name="theirs", note=""
    )
    kept = get_settings().data_folder / version.path
    content = bytearray(kept.read_bytes())
    content[-200] ^= 1
    kept.write_bytes(content)
    with pytest.raises((CheckpointError, ModelError)):
        load_classifier(version)
    kept.unlink()
    with pytest.raises(ModelError, match="restore the data folder"):
        load_classifier(version)


@pytest.mark.parametrize(
    ("words", "option"),
    [(("", "0-1", "logits"), "--classes"), (("a,b", "1", "logits"), "--pixels"), (("a,b", "0-1", ""), "--answers")],
)
def test_what_is_not_declared_is_asked_for(words: tuple[str, str, str], option: str) -> None:
    with pytest.raises(InputError, match=option):
        declare(*words, None)


@pytest.mark.parametrize(
    ("name", "words"),
    [("p.xlsx", "CSV UTF-8"), ("m.pt", "export the model as ONNX"), ("m.safetensors", "model register")],
)
def test_other_files_are_refused_by_name(name: str, words: str, tmp_path: Path) -> None:
    assert [is_table(tmp_path / one) for one in ("p.CSV", "m.Onnx")] == [True, False]
    with pytest.raises(InputError, match=f"neither a graph.*{words}"):
        is_table(tmp_path / name)


def test_a_refused_graph_leaves_nothing_behind(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "theirs.onnx").write_bytes(b"PK\x03\x04 a checkpoint of PyTorch")
    with pytest.raises(ModelError, match=r"theirs\.onnx: the file is a zip file"):
        import_graph(repository, tmp_path / "theirs.onnx", declare("a,b", "0-1", "logits", None), name="x", note="")
    with pytest.raises(InputError, match=r"'--size'.*8 to 4096"):
        declare("a,b", "0-1", "logits", -5)
    assert repository.models() == []
    assert not list((get_settings().data_folder).rglob("*.onnx"))


def test_a_graph_that_asks_for_gigabytes_leaves_nothing_behind(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_process, "memory_for_a_graph", lambda: graph_process.LEAST_MEMORY)
    (tmp_path / "theirs.onnx").write_bytes(BOMBS["Expand"])
    with pytest.raises(ModelError, match=r"theirs\.onnx: the graph needs more memory than"):
        import_graph(repository, tmp_path / "theirs.onnx", declare("a,b", "0-1", "logits", None), name="x", note="")
    assert repository.models() == []
    assert not list((get_settings().data_folder).rglob("*.onnx"))


def test_two_who_take_in_the_same_file_at_once_both_have_it_whole(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(bytes(5_000_000))
    kept = tmp_path / "models" / "model.onnx"
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            list(pool.map(lambda _: keep_file(tmp_path / "theirs", kept), range(8)))
            assert kept.stat().st_size == 5_000_000
            assert list(kept.parent.iterdir()) == [kept]
            kept.unlink()


def test_imported_predictions_are_stored_as_they_stand(repository: Repository, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("Case;p_Tumor;p_normal;P_SAT;p_graves;remark\nc1;0,33;0,33;0,33;0;x\nc0;0,7;0,2;0,1;0;y\n")
    version, counted = import_predictions(repository, STUDY, file, name="theirs", note="")
    assert counted == "2 predictions; without one: 1 of 3 cases, c2 first"
    with pytest.raises(ConflictError, match="predicted by this model already"):
        import_predictions(repository, STUDY, file, name="theirs", note="")
    assert not version.can_predict
    with pytest.raises(ModelError, match="there is nothing to run"):
        load_classifier(version)
    found = stored(repository, version.sha256)
    np.testing.assert_allclose(found["c0"], [0, 0.2, 0.1, 0.7], atol=1e-12)
    np.testing.assert_allclose(found["c1"], [0, 1 / 3, 1 / 3, 1 / 3], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + "c0,0.1,0.2,0.3,0.4\nC1,0.1,0.2,0.3,0.4\n", r"row 3.*'case'.*no such case.*write c1"),
        (HEADER + "c0,0.1,0.2,0.3,0.4\nc0,0.1,0.2,0.3,0.4\n", "row 3.*stands in row 2 already"),
        (HEADER + "c3,0.1,0.2,0.3,0.4\n", "row 2.*excluded"),
        (HEADER + "c0,0.1,0.2,0.3,0.9\n", "row 2.*sum to 1.5"),
        (HEADER + "c0,-0.1,0.4,0.3,0.4\n", "row 2.*'p_graves'.*no probability"),
        (HEADER + "c0,x,0.4,0.3,0.4\n", "row 2.*'p_graves'.*not a number"),
        (HEADER + "c0,NaN,0.4,0.3,0.4\n", "row 2.*'p_graves'.*not a number"),
        (HEADER, "no row|nothing|empty"),
        ("case,p_graves,p_normal,p_sat\nc0,0.3,0.3,0.4\n", "no column p_tumor"),
        ("case,p_graves,p_normal,p_sat,p_tumor,p_nodule\nc0,0.1,0.2,0.3,0.2,0.2\n", "class tumor has a column already"),
        ("case,p_graves,p_normal,p_sat,p_tumor,p_x\nc0,0.1,0.2,0.3,0.2,0.2\n", "'p_x'.*no class of the study"),
    ],
    ids=["case", "twice", "excluded", "sum", "negative", "word", "nan", "no row", "missing", "double", "unknown"],
)
def test_faults_of_a_file_of_predictions_are_named_and_nothing_is_stored(
    text: str, words: str, repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ManifestErrors, match=f"(?s){words}"):
        import_predictions(repository, STUDY, tmp_path / "p.csv", name="theirs", note="")
    assert repository.models() == []
