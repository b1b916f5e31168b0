"""Two classes and ten, of no thyroid: from the manifest over training and the card to predictions in a study."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console
from torch.nn import functional

from actions.analyse_study import analyse_study
from actions.import_cases import import_cases
from actions.models import declare_model, load_classifier, predict_cohort, register_model
from core.errors import ImageError, InputError, ManifestError, ModelError, TrainingError
from core.imaging import ManifestErrors
from core.model.architectures import Network
from core.model.checkpoint import read_card
from core.protocol import THYROID_CLASSES, DiseaseClass, Protocol
from core.settings import get_settings
from core.study import StudyState
from db import OPERATOR
from db.store import create_store
from tests.stores import repository_of
from training.classes import THYROID_KEYS, class_keys, disease_classes
from training.command_line import evaluate
from training.dataset import Dataset, ImageSet, open_dataset
from training.loop import Fit, class_weights
from training.plan import RunPlan, store_plan
from training.prediction import predict_logits
from training.recipe import MODERN, PAPER, Augmentation, Recipe
from training.report import write_report
from training.run import execute
from training.run_folder import RunFolder
from training.scoring import score_checkpoints

TWO = ("benign", "malignant")
TEN = tuple(str(grade) for grade in range(1, 11))
TINY = MODERN.with_changes(
    architecture="resnet16_fine",
    image_size=32,
    length=12,
    batch_size=16,
    learning_rate=5e-3,
    augmentation=Augmentation(shift_fraction=0.02),
    ema_decay=None,
    warmup_epochs=1.0,
)


def write_field(folder: Path, keys: tuple[str, ...], counts: dict[str, int], *, last: int = 0) -> Path:
    """A manifest of pictures with one bright spot, whose place on a circle is the class; ``last`` for the last class.

    Parameters
    ----------
    counts : cases of every class by cohort
    last : training cases of the last class, where it is to be rarer; 0: as the others
    """
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    rows = []
    y, x = np.mgrid[:32, :32]
    for cohort, count in counts.items():
        for index, key in enumerate(keys):
            angle = 2 * math.pi * index / len(keys)
            for number in range(last if last and cohort == "training" and key == keys[-1] else count):
                spot = np.exp(-((x - 15.5 - 9 * math.cos(angle)) ** 2 + (y - 15.5 - 9 * math.sin(angle)) ** 2) / 8)
                name = f"images/{cohort}-{index}-{number}.png"
                Image.fromarray(rng.poisson(20 + 150 * spot).clip(0, 255).astype(np.uint8)).save(folder / name)
                case = Path(name).stem
                rows.append({"image": name, "case": case, "patient": case, "class": key, "cohort": cohort})
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "cases.csv"


@pytest.mark.parametrize("keys", [TWO, TEN], ids=["two classes", "ten classes"])
def test_a_field_goes_from_its_manifest_to_predictions_in_its_study(
    keys: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    source = write_field(tmp_path / "field", keys, {"training": 20, "internal": 4})
    assert class_keys(source) == keys, "ten follows nine"
    torch.manual_seed(0)
    folder = RunFolder(tmp_path / "run")
    plan = RunPlan(TINY, str(source), classes=class_keys(source), folds=5, accelerator="cpu", cache=str(tmp_path / "c"))
    store_plan(plan, folder)
    result = execute(folder, Console(quiet=True))
    assert result["classes"] == list(keys)
    assert set(result["class_counts"].values()) == {16}
    scores = result["scores"]["internal"]
    assert np.shape(scores["confusion"]) == (len(keys), len(keys))
    assert scores["accuracy"]["value"] > 0.8
    assert read_card(folder.model).classes == keys
    evaluated = score_checkpoints([folder.model], source, None, device="cpu", cache=tmp_path / "c")
    assert evaluated["scores"]["internal"]["confusion"] == scores["confusion"]
    with pytest.raises(TrainingError, match="phantoms have others"):
        evaluate([folder.model])
    assert write_report([folder.path], tmp_path / "report.md") == 1
    written = (tmp_path / "report.md").read_text()
    assert "paper's Table" not in written
    assert "Recipe `modern` with length 12 instead of 60" in written, "what was run otherwise is said"

    get_settings.cache_clear()
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    repository = repository_of(engine, OPERATOR)
    repository.create_study("field", Protocol(title="Field", classes=disease_classes(keys), cohorts=("internal",)))
    import_cases(repository, "field", source)
    model = register_model(repository, folder.model)
    declare_model(repository, "field", model.sha256)
    assert predict_cohort(repository, load_classifier(model), "field", "internal") == 4 * len(keys)
    repository.set_state("field", StudyState.OPEN)
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        repository.set_state("field", state)
    confusion = analyse_study(repository, "field").to_tables()["confusion"]
    counted = confusion.pivot_table(index="truth", columns="answer", values="count", aggfunc="sum").loc[
        [*keys], [*keys]
    ]
    assert counted.to_numpy().tolist() == scores["confusion"]

    repository.create_study("thyroid", Protocol(title="Another field"))
    with pytest.raises(ModelError, match="This model knows the classes"):
        declare_model(repository, "thyroid", model.sha256)
    engine.dispose()


def test_colour_in_one_of_two_views_goes_from_its_manifest_to_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class is the hue of a spot, red or green of one brightness; the grey view, which comes first, is noise."""
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:32, :32]
    spot = 150 * np.exp(-((x - 15.5) ** 2 + (y - 15.5) ** 2) / 30)
    rows = []
    (tmp_path / "field").mkdir()
    for cohort, count in (("training", 20), ("internal", 4)):
        for number in range(2 * count):
            case, key = f"{cohort}-{number}", TWO[number % 2]
            hue = np.array([1.0, 0.49, 0.0] if key == TWO[0] else [0.0, 1.0, 0.0])  # of one luminance
            colour = rng.poisson(30 + spot[..., None] * hue).clip(0, 255)
            pictures = {"grey": rng.poisson(40, (32, 32)), "hue": colour}
            for view, pixels in pictures.items():
                name = f"{case}-{view}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "field" / name)
                told = {"view": view, "colour": "keep" if view == "hue" else ""}
                rows.append({"image": name, "case": case, "patient": case, "class": key, "cohort": cohort, **told})
    source = tmp_path / "field" / "cases.csv"
    with source.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    torch.manual_seed(0)
    folder, cache = RunFolder(tmp_path / "run"), tmp_path / "c"
    plan = RunPlan(
        TINY, str(source), classes=class_keys(source), folds=5, accelerator="cpu", cache=str(cache), view="hue"
    )
    store_plan(plan, folder)
    result = execute(folder, Console(quiet=True))
    assert sum(result["class_counts"].values()) == 32, "one view of each case"
    assert result["scores"]["internal"]["accuracy"]["value"] > 0.8
    card = read_card(folder.model)
    assert card.channels == 3
    evaluated = score_checkpoints([folder.model], source, None, device="cpu", view="hue", cache=cache)
    assert evaluated["scores"]["internal"]["confusion"] == result["scores"]["internal"]["confusion"]
    with pytest.raises(ImageError, match=r"grey and the model was trained on colour.*model_view"):
        score_checkpoints([folder.model], source, None, device="cpu", cache=cache)
    with pytest.raises(TrainingError, match="no view 'side', but grey, hue"):
        open_dataset(source, 32, cache, view="side")

    get_settings.cache_clear()
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    repository = repository_of(engine, OPERATOR)
    for key, view in (("field", "hue"), ("first", "")):
        repository.create_study(key, Protocol(title=key, classes=disease_classes(TWO), model_view=view))
        import_cases(repository, key, source, shared_images="a test")
    model = register_model(repository, folder.model)
    assert predict_cohort(repository, load_classifier(model), "field", "internal") == 8
    with pytest.raises(ImageError, match="trained on colour"):
        predict_cohort(repository, load_classifier(model), "first", "internal")
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        repository.set_state("field", state)
    confusion = analyse_study(repository, "field").to_tables()["confusion"]
    counted = confusion.pivot_table(index="truth", columns="answer", values="count", aggfunc="sum").loc[[*TWO], [*TWO]]
    assert counted.to_numpy().tolist() == result["scores"]["internal"]["confusion"]
    engine.dispose()


def test_classes_come_from_the_data_or_are_named(tmp_path: Path) -> None:
    def manifest(*names: str) -> Path:
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
        file.write_text("image,class\n" + "".join(f'a.png,"{name}"\n' for name in names))
        return file

    assert class_keys(manifest("b", "A ", "a", "a", "c", "B", "b")) == ("a", "b", "c"), "the commonest spelling counts"
    assert class_keys(manifest("10", "9", "x")) == ("9", "10", "x")
    assert class_keys(manifest("Tumor", "normal", "SAT", "graves")) == THYROID_KEYS
    assert class_keys(manifest("nodule", "normal")) == ("nodule", "normal"), "another field keeps its words"
    assert class_keys(manifest("nodule", "normal"), "thyroid") == THYROID_KEYS
    assert class_keys(manifest("b", "a"), "b, a") == ("b", "a")
    assert disease_classes(THYROID_KEYS) == THYROID_CLASSES
    assert disease_classes(("b", "a")) == (DiseaseClass("b", "b", "b"), DiseaseClass("a", "a", "a"))


def test_class_folders_name_the_classes_with_and_without_cohorts(tmp_path: Path) -> None:
    for place in ("flat/cold_nodule", "flat/plain", "deep/training/b", "deep/internal/b", "deep/training/a"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.png").touch()
    assert class_keys(tmp_path / "flat") == ("cold nodule", "plain")
    assert class_keys(tmp_path / "deep") == ("a", "b")


@pytest.mark.parametrize("count", [1, 21])
def test_too_few_and_too_many_classes_are_refused(count: int, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image,class\n" + "".join(f"a.png,c{index}\n" for index in range(count)))
    with pytest.raises(TrainingError, match=f"has {count} classes .* a model has 2 to 20"):
        class_keys(tmp_path / "m.csv")


def test_class_named_twice_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image,class\na.png,a\n")
    for named in ("a,A", "a,,b", "a"):
        with pytest.raises(InputError, match="two classes or more, none of them twice"):
            class_keys(tmp_path / "m.csv", named)
    with pytest.raises(TrainingError, match="There is no"):
        class_keys(tmp_path / "none.csv")
    (tmp_path / "n.csv").write_text("image,truth\na.png,a\n")
    with pytest.raises(ManifestErrors, match="class"):
        class_keys(tmp_path / "n.csv")


def test_class_that_was_not_named_is_refused_by_row(tmp_path: Path) -> None:
    source = write_field(tmp_path / "field", TWO, {"training": 1})
    with pytest.raises(ManifestError, match=r"row 3.*unknown class.*benign, odd"):
        open_dataset(source, 32, tmp_path / "c", classes=disease_classes(("benign", "odd")))


def test_weights_of_classes_leave_the_mean_over_cases_at_one() -> None:
    classes = np.repeat([0, 1, 2], [60, 30, 10])
    assert class_weights(classes, 3, 0.0) is None
    full = class_weights(classes, 3, 1.0)
    assert full is not None
    np.testing.assert_allclose(full.numpy() * [60, 30, 10], 100 / 3, rtol=1e-6)
    half = class_weights(classes, 3, 0.5)
    assert half is not None
    assert float(half[torch.from_numpy(classes)].mean()) == pytest.approx(1)
    np.testing.assert_allclose((half[2] / half[0]).item(), math.sqrt(6), rtol=1e-6)
    # The weighted loss is that of torch, summed and divided by the number of cases.
    logits = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    each = functional.cross_entropy(logits, torch.from_numpy(classes), reduction="none")
    whole = functional.cross_entropy(logits, torch.from_numpy(classes), weight=full, reduction="sum") / 100
    assert float(whole) == pytest.approx(float((each * full[torch.from_numpy(classes)]).mean()), rel=1e-5)


def test_a_rare_class_is_said_and_scored_beside_the_accuracy(tmp_path: Path) -> None:
    source = write_field(tmp_path / "field", TWO, {"training": 60, "internal": 10}, last=16)
    recipe = TINY.with_changes(length=1, class_weight_power=0.5)
    folder = RunFolder(tmp_path / "run")
    plan = RunPlan(recipe, str(source), classes=TWO, folds=2, accelerator="cpu", cache=str(tmp_path / "c"))
    store_plan(plan, folder)
    said = Console(record=True, width=200, file=io.StringIO())
    scores = execute(folder, said)["scores"]["internal"]
    text = "Training cases by class: benign 30, malignant 8; 3.8 of the commonest class to 1 of the rarest"
    assert f"{text}, weighted with the power 0.5." in said.export_text()
    recalls = [one["value"] for one in scores["recall"].values()]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recalls), abs=1e-5)


def test_weighted_classes_are_learned_as_if_they_were_alike_frequent(
    fabric: Fabric, make_network: Callable[[], Network], tmp_path: Path
) -> None:
    """Pictures that are all the same teach nothing but how frequent each class is."""
    data = ImageSet(np.full((60, 32, 32), 90, np.uint8), np.repeat([0, 1], [45, 15]))
    share = {}
    for power in (0.0, 1.0):
        recipe = TINY.with_changes(length=60, label_smoothing=0.0, map_weight=0.0, class_weight_power=power)
        network = Fit(fabric, make_network(), recipe, data, None, RunFolder(tmp_path / str(power)), "x").run().network
        (logits,) = predict_logits(network, data.images[:1], torch.device("cpu")).logits
        share[power] = float(1 / (1 + np.exp(logits[0] - logits[1])))
    assert share[0.0] == pytest.approx(0.25, abs=0.05)
    assert share[1.0] == pytest.approx(0.5, abs=0.05)


def test_recipe_without_weights_is_hashed_as_before() -> None:
    """A setting that came later and is off leaves the fingerprint of a run as it was; on, it changes it."""
    assert "class_weight_power" not in PAPER.to_dict()
    weighted = PAPER.with_changes(class_weight_power=0.5)
    assert weighted.to_dict() == {**PAPER.to_dict(), "class_weight_power": 0.5}
    assert Recipe.from_dict(weighted.to_dict()) == weighted
    assert Recipe.from_dict(PAPER.to_dict()) == PAPER


def test_plan_of_version_1_means_the_thyroid(dataset: Dataset, manifest: Path) -> None:
    plan = RunPlan(PAPER, str(manifest))
    stored = {name: value for name, value in plan.to_dict().items() if name != "classes"}
    assert RunPlan.from_dict(stored) == plan
    assert plan.classes == dataset.classes == THYROID_KEYS == class_keys(manifest)
    assert Counter(dataset.class_counts(dataset.rows_of_cohorts(["training"])).values()) == {24: 4}
