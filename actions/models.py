"""Models in the store: register a checkpoint or an ensemble, declare one for a study, predict a cohort.

Registering needs PyTorch: it checks the weights and exports the graph that serves them. All else runs without.
"""

from __future__ import annotations

import hashlib
import random
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from core.errors import CheckpointError, ConflictError, InputError, ModelError
from core.model.augmented import AUGMENTATION, Augmented, augmented_sha256
from core.model.card import ModelCard, verify_file
from core.model.classifier import Classifier, Ensemble, ensemble_sha256
from core.model.foreign import Declaration, ForeignModel
from core.progress import OnProgress
from core.settings import get_settings
from core.study import Study
from db import Repository
from db.records import CaseImage, CasePrediction, ModelVersion

if TYPE_CHECKING:
    from core.model.checkpoint import Checkpoint

#: Predictions that one transaction stores, under one event of the trail: what a killed job loses, and what two jobs at
#: once may compute twice.
STORED_AT_ONCE = 64

#: What can stand behind a registered model.
AnyModel = Classifier | Ensemble | Augmented | ForeignModel


def register_model(
    repository: Repository, checkpoint: Path, *, name: str | None = None, is_augmented: bool = False
) -> ModelVersion:
    """Verify a checkpoint, copy it into the data folder under its hash, and enter it in the store.

    Parameters
    ----------
    checkpoint : Path
        Checkpoint folder or weights file.
    name : str, optional
        Name on screen; the file's if not given.
    is_augmented : bool
        Predict with test-time augmentation: a model version with a hash of its own.

    Raises
    ------
    CheckpointError
        If the file is missing, pickled, damaged, or does not fit its own metadata.
    """
    loaded = _load_checkpoint(checkpoint)
    kept = model_folder(loaded.sha256) / "model.safetensors"
    metadata = {**asdict(loaded.card), "graph_sha256": _keep(loaded.path, kept)}
    return _enter(
        repository, loaded.sha256, name or checkpoint.stem, loaded.card.architecture, kept, metadata,
        is_augmented=is_augmented,
    )  # fmt: skip


def register_ensemble(
    repository: Repository, checkpoints: Sequence[Path], *, name: str, is_augmented: bool = False
) -> ModelVersion:
    """Enter several checkpoints, such as the folds of a cross-validation, as one model: the mean of their answers.

    The order of ``checkpoints`` does not matter. Members with class maps of different sizes give no maps.

    Raises
    ------
    CheckpointError
        If a file is missing, pickled, damaged, or does not fit its own metadata.
    ModelError
        If there are fewer than two, the same one twice, or their classes differ.
    """
    cards: dict[str, ModelCard] = {}
    files: dict[str, Path] = {}
    for checkpoint in checkpoints:
        loaded = _load_checkpoint(checkpoint)
        if loaded.sha256 in cards:
            raise ModelError(f"{checkpoint} and {files[loaded.sha256]} are the same model. Fix: name each fold once.")
        cards[loaded.sha256], files[loaded.sha256] = loaded.card, loaded.path
        first = next(iter(cards.values()))
        if loaded.card.classes != first.classes:
            raise ModelError(
                f"{checkpoint} predicts {', '.join(loaded.card.classes)}, the first checkpoint "
                f"{', '.join(first.classes)}. Fix: make an ensemble of models with the same classes in the same order."
            )
    if len(cards) < 2:
        raise ModelError("An ensemble needs two or more checkpoints.")
    sha256 = ensemble_sha256(cards)
    members = [{"sha256": member, **cards[member].to_dict()} for member in sorted(cards)]
    for number, member in enumerate(members):
        kept = _member_file(model_folder(sha256), number)
        member["graph_sha256"] = _keep(files[str(member["sha256"])], kept)
    kinds = Counter(card.architecture for card in cards.values())
    architecture = "ensemble of " + " and ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))
    metadata = {
        "architecture": architecture,
        "classes": members[0]["classes"],
        "is_synthetic": any(card.is_synthetic for card in cards.values()),
        "members": members,
    }
    return _enter(repository, sha256, name, architecture, model_folder(sha256), metadata, is_augmented=is_augmented)


def can_register() -> bool:
    """Whether PyTorch is installed here, which registering takes."""
    try:
        return find_spec("torch") is not None
    except ImportError:
        return False


def _load_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint with its weights, which takes PyTorch."""
    try:
        from core.model.checkpoint import load_checkpoint
    except ImportError as error:
        raise ModelError(
            "registering a model needs PyTorch, which is not installed here. Fix: register it where requirements.txt "
            "is installed, with this store and this data folder."
        ) from error
    return load_checkpoint(path)


def model_folder(sha256: str) -> Path:
    """Where the files of a registered model lie, by the hash of its weights."""
    return get_settings().data_folder / "models" / sha256[:12]


def _member_file(folder: Path, number: int) -> Path:
    """File of one member of an ensemble; members are in the order of their hashes."""
    return folder / f"member-{number}.safetensors"


def _keep(source: Path, kept: Path) -> str:
    """Copy a weights file, put the graph that serves it beside it, and give that graph's hash.

    A graph that lies there already is compared with the weights, not with the note beside it.
    """
    from core.model.onnx_export import export_checkpoint

    keep_file(source, kept)
    return hashlib.sha256(export_checkpoint(verify_file(kept), is_compared=True)).hexdigest()


def keep_file(source: Path, kept: Path) -> None:
    """Copy a file into the data folder, whole or not at all; one that is there already is left."""
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: somebody else may take in the same file just now.
        partial = kept.with_suffix(f".{secrets.token_hex(4)}.partial")
        try:
            shutil.copyfile(source, partial)
            partial.rename(kept)
        finally:
            partial.unlink(missing_ok=True)


def _enter(
    repository: Repository,
    sha256: str,
    name: str,
    architecture: str,
    path: Path,
    metadata: dict[str, object],
    *,
    is_augmented: bool,
) -> ModelVersion:
    """Enter a model in the store, under a hash of its own if it predicts with augmentation; its path is relative."""
    if is_augmented:
        metadata = {**metadata, "augmentation": AUGMENTATION, "plain_sha256": sha256}
        sha256, name = augmented_sha256(sha256), f"{name} + {AUGMENTATION}"
    return repository.register_model(
        sha256=sha256,
        name=name,
        architecture=architecture,
        path=path.relative_to(get_settings().data_folder).as_posix(),
        metadata=metadata,
    )


def _files_of(version: ModelVersion) -> Path:
    """File or folder of a registered model.

    Paths in the store are relative to the data folder. Earlier versions wrote absolute ones: where such a path leads
    nowhere any more, the data folder was moved, and the files lie in it as before.
    """
    found = get_settings().data_folder / version.path
    if found.exists():
        return found
    plain = str(version.metadata.get("plain_sha256", version.sha256))
    return model_folder(plain) / found.name if found.suffix else model_folder(plain)


def load_classifier(version: ModelVersion) -> AnyModel:
    """The registered model, warm, on the device of the settings; every file's hash is checked while loading.

    Raises
    ------
    CheckpointError
        If a file is missing or not the one that was registered.
    ModelError
        If it was registered with an augmentation that this program does not have.
    """
    augmentation = version.metadata.get("augmentation")
    if augmentation not in (None, AUGMENTATION):
        raise ModelError(
            f"{version.name} was registered with the augmentation '{augmentation}', this program has '{AUGMENTATION}'. "
            "Fix: use the version of this program that registered it, or register the model again."
        )
    members = version.metadata.get("members")
    plain: Classifier | Ensemble
    if "source" in version.metadata:
        return _load_foreign(version)
    if isinstance(members, list):
        folder = _files_of(version)
        plain = Ensemble(
            [
                _load(_member_file(folder, number), each["sha256"], each.get("graph_sha256"))
                for number, each in enumerate(members)
            ]
        )
    else:
        plain_sha256 = str(version.metadata.get("plain_sha256", version.sha256))
        plain = _load(_files_of(version), plain_sha256, version.metadata.get("graph_sha256"))
    model: AnyModel = plain if augmentation is None else Augmented(plain)
    _check_identity(model, version)
    return model


def _check_identity(model: AnyModel, version: ModelVersion) -> None:
    """Refuse files that are not the registered ones."""
    if model.sha256 != version.sha256:
        raise CheckpointError(
            f"the files of {version.name} make the model {model.sha256[:12]}, registered is {version.sha256[:12]}. "
            "Fix: restore the data folder, or register the model again."
        )


def _load_foreign(version: ModelVersion) -> ForeignModel:
    """An imported graph; what was imported as predictions cannot be run."""
    if not version.can_predict:
        raise ModelError(
            f"{version.name} was imported as predictions ({version.metadata['file']}): there is nothing to run. "
            "Fix: import a file of predictions for the study."
        )
    file = _files_of(version)
    if not file.is_file():
        raise ModelError(f"the graph of {version.name} is not at {file}. Fix: restore the data folder.")
    stored = cast(dict[str, Any], version.metadata["declared"])
    declared = Declaration(**{**stored, "classes": tuple(stored["classes"])})
    model = ForeignModel(file.read_bytes(), declared, get_settings().thread_count)
    _check_identity(model, version)
    return model


def _load(file: Path, sha256: str, graph_sha256: object) -> Classifier:
    """One checkpoint as the settings say; its graph is the registered one or made anew from the weights."""
    settings = get_settings()
    return Classifier.load(
        file,
        device=settings.device,
        expected_sha256=sha256,
        graph_sha256=None if graph_sha256 is None else str(graph_sha256),
        threads=settings.thread_count,
    )


def declare_model(
    repository: Repository, study_key: str, name_or_sha256: str, *, expected_version: int | None = None
) -> Study:
    """Write into the protocol of a draft which model meets the readers; a new protocol version, audited.

    Parameters
    ----------
    name_or_sha256 : str
        A registered model: a name, or 8 or more digits of its SHA-256.
    expected_version : int, optional
        The protocol's version where this was decided; what stands there now unless given.

    Returns
    -------
    Study
        With its new protocol version; unchanged if this model is declared already.

    Raises
    ------
    ConflictError
        If the study is no draft any more: nobody chooses a model after reading has begun.
    ModelError
        If the model's classes are not the study's, in the study's order.
    """
    study = repository.study(study_key)
    version = repository.model(name_or_sha256)
    if problem := why_not_for(version, study):
        raise ModelError(problem)
    if study.is_declared(version.sha256):
        return study
    return repository.update_protocol(
        study_key,
        replace(study.protocol, model_sha256=version.sha256),
        expected_version=expected_version or study.protocol_version,
    )


def why_not_for(version: ModelVersion, study: Study) -> str:
    """Why a model can neither be declared in a study nor predict its cases; empty where it can."""
    classes = version.metadata.get("classes")
    return _why_other_classes(tuple(map(str, classes)), study) if isinstance(classes, list | tuple) else ""


def _why_other_classes(classes: tuple[str, ...], study: Study) -> str:
    """What is wrong with a model whose probabilities would be read in another order; empty where nothing is."""
    wanted = study.protocol.class_keys
    if classes == wanted:
        return ""
    if set(classes) == set(wanted):
        said = f"This model knows the study's classes in another order: {', '.join(classes)}; the study has "
    else:
        said = f"This model knows the classes {', '.join(classes)}, the study "
    return said + f"{', '.join(wanted)}. Fix: choose a model trained for the study's classes in the study's order."


@dataclass(frozen=True)
class Shard:
    """One of several jobs that share a study's cases, whichever machine each runs on."""

    number: int  # 1 ... count
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise InputError(
                "not one of the parts",
                field="shard",
                value=f"{self.number}/{self.count}",
                fix="write 1/4, 2/4, 3/4, 4/4",
            )

    @classmethod
    def of_text(cls, text: str) -> Shard:
        """``2/4`` is the second of four."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
        if found is None:
            raise InputError("not a part such as 2/4", field="shard", value=text, fix="write 1/4 for the first of four")
        return cls(int(found[1]), int(found[2]))

    def holds(self, case: str) -> bool:
        """Whether a case is this part's; every case is exactly one part's, whatever else is in the study."""
        return int.from_bytes(hashlib.sha256(case.encode()).digest()[:8], "big") % self.count == self.number - 1


def predict_cohort(
    repository: Repository,
    classifier: AnyModel,
    study_key: str,
    cohort: str | None = None,
    *,
    batch_size: int = 16,
    shard: Shard | None = None,
    progress: OnProgress | None = None,
) -> int:
    """Predict every case that this model has not predicted yet, and store the answers with the model's hash.

    Answers are stored 64 at a time, so that a job that was killed goes on where it was. Several jobs may run at once,
    on several machines: the primary key lets each case in once, and a job that finds cases done turns to others.

    Parameters
    ----------
    cohort : str, optional
        One cohort; all cohorts if not given.
    shard : Shard, optional
        This job's part; all cases if not given.

    Returns
    -------
    int
        Predictions added by this job; 0 when all were there.

    Raises
    ------
    ModelError
        If the model's classes are not the study's, in the study's order.
    """
    if problem := _why_other_classes(tuple(classifier.classes), repository.study(study_key)):
        raise ModelError(problem)
    keys = repository.keys_for_prediction(study_key, cohort, without_model=classifier.sha256)
    if shard is not None:
        keys = [case for case in keys if shard.holds(case)]
    waiting = [keys[start : start + STORED_AT_ONCE] for start in range(0, len(keys), STORED_AT_ONCE)]
    added = done = 0

    def read(block: list[str]) -> list[CaseImage]:
        return list(repository.cases_for_prediction(study_key, without_model=classifier.sha256, only=block))

    def report(at: int, of: int, what: str) -> None:
        if progress is not None:
            progress(done + len(block) * at // of, len(keys), "predicted")

    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:

        def begin() -> tuple[list[str], Future[list[CaseImage]]] | None:
            """The next block, which is fetched and decoded while the model works on the one before."""
            if not waiting:
                return None
            block = waiting.pop(0)
            return block, pool.submit(read, block)

        ahead = begin()
        while ahead is not None:
            block, being_read = ahead
            cases = being_read.result()
            ahead = begin()
            answers = _predict_block(classifier, cases, batch_size, report)
            stored = _store_shared(repository, study_key, classifier.sha256, answers)
            added += stored
            done += len(block)
            if stored < len(block) and ahead is not None:  # another job is at work here: go on somewhere else
                waiting.append(ahead[0])
                random.shuffle(waiting)
                ahead = begin()
    return added


def _store_shared(repository: Repository, study_key: str, sha256: str, answers: list[CasePrediction]) -> int:
    """Store what no other job has stored; two that commit at the same instant are told apart by the second attempt."""
    try:
        return repository.save_predictions(study_key, sha256, answers, is_shared=True)
    except ConflictError:
        return repository.save_predictions(study_key, sha256, answers, is_shared=True)


def _predict_block(
    classifier: AnyModel, cases: list[CaseImage], batch_size: int, progress: OnProgress
) -> list[CasePrediction]:
    """Stored form of the predictions of one block; images are prepared while the model works on the batch before."""
    if not cases:
        return []
    result = classifier.predict([image.pixels for image in cases], batch_size=batch_size, progress=progress)
    return [
        CasePrediction(
            case=image.case,
            probabilities=result.probabilities[row],
            class_maps=None if result.class_maps is None else result.class_maps[row].astype("float16"),
            entropy=float(result.entropy[row]),
            is_out_of_distribution=bool(result.is_out_of_distribution[row]),
            device=result.device,
            precision=result.precision,
            created_at=None,
        )
        for row, image in enumerate(cases)
    ]
