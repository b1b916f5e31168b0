"""Training recipes as frozen dataclasses: every field has a unit and a source, every ambiguity is written down.

``PAPER`` is Zhao et al. 2023 as its Methods say, in the reading argued field by field in :data:`AMBIGUITIES`;
``MODERN`` is our own recipe under the same budget. A run stores the whole recipe, so a table can always be traced
to the settings that made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from core.errors import TrainingError

PAPER_SOURCE = "Zhao et al. 2023, Methods"


def _setting(default: Any, unit: str, source: str) -> Any:
    """A dataclass field that carries its unit and where its value comes from."""
    return field(default=default, metadata={"unit": unit, "source": source})


@dataclass(frozen=True)
class Augmentation:
    """Random changes to a training image that leave its diagnosis alone.

    Nothing here erases, cuts, posterises, or flips upside down: a painted hole is a cold nodule, which is the
    tumor class, and the upper and lower ends of a thyroid differ.
    """

    rotation_degrees: float = _setting(0.0, "degree, each way", "patient tilt; at most 10 keeps the picture plausible")
    shift_fraction: float = _setting(0.0, "fraction of the side, each way", "centring error; 5 to 8 %")
    scale_fraction: float = _setting(0.0, "fraction, each way", "zoom and patient size; 0.85 to 1.15")
    flip_probability: float = _setting(0.0, "probability", "left and right lobes are alike; never upside down")
    gamma_log_range: float = _setting(0.0, "natural logarithm, each way", "display curves differ between centres")
    window_fraction: float = _setting(0.0, "fraction of full scale", "upper window end chosen by the operator")
    thinning_probability: float = _setting(0.0, "probability", "shorter acquisitions: fewer counts, Poisson noise")
    thinning_counts: tuple[float, float] = _setting((60.0, 400.0), "counts in a full-scale pixel", "128-square views")
    smoothing_probability: float = _setting(0.0, "probability", "workstations filter before export, each its own way")
    smoothing_fraction: float = _setting(0.0, "largest SD, fraction of the side", "0.015 of a 230 mm field: 3.5 mm")

    @property
    def is_active(self) -> bool:
        """Whether anything is changed at all."""
        return any(
            (
                self.rotation_degrees,
                self.shift_fraction,
                self.scale_fraction,
                self.flip_probability,
                self.gamma_log_range,
                self.window_fraction,
                self.thinning_probability,
                self.smoothing_probability,
            )
        )

    def geometry(self) -> Augmentation:
        """Only what moves pixels: what a lesion mask goes through beside its image."""
        return replace(
            self, gamma_log_range=0.0, window_fraction=0.0, thinning_probability=0.0, smoothing_probability=0.0
        )


#: What a scintigram can honestly be put through.
SCINTIGRAPHY_SAFE = Augmentation(
    rotation_degrees=10.0,
    shift_fraction=0.06,
    scale_fraction=0.15,
    flip_probability=0.5,
    gamma_log_range=0.35,
    window_fraction=0.25,
    thinning_probability=0.5,
    smoothing_probability=0.5,
    smoothing_fraction=0.015,
)

#: "mild flip/rotation": the paper's own augmentation stands in its Supplement, which could not be had.
MILD = Augmentation(rotation_degrees=5.0, flip_probability=0.5)
#: By the name that ``--set augmentation=`` takes.
AUGMENTATIONS = {"none": Augmentation(), "mild": MILD, "safe": SCINTIGRAPHY_SAFE}


#: Fields of Recipe that came after version 1; 0 means that they change nothing.
LATER_SETTINGS = ("class_weight_power", "mix_alpha", "hard_case_power", "teacher_weight")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; nothing about which data."""

    name: str = _setting("paper", "name", "ours")
    # --- length and batches
    length: int = _setting(200, "see length_unit", PAPER_SOURCE + ': "maximum number of iterations to 200"')
    length_unit: str = _setting("epoch", "epoch | batch", 'Discussion: "After 200 epochs of training"')
    batch_size: int = _setting(12, "images, over all devices together", PAPER_SOURCE)
    # --- optimiser
    optimizer: str = _setting("adam", "adam | adamw | sgd", PAPER_SOURCE + ": Adam")
    learning_rate: float = _setting(2.5e-4, "per step", PAPER_SOURCE + ': "2.5 x 10 ~", the exponent is not legible')
    weight_decay: float = _setting(1e-4, "1", PAPER_SOURCE + ': "attenuation weight of 1e-4"; coupled L2 with Adam')
    sgd_from_epoch: int | None = _setting(None, "epoch, none: never", "variant of: updated using the SGD algorithm")
    gradient_clip: float | None = _setting(None, "norm, none: no clipping", "not in the paper")
    # --- schedule of the learning rate
    schedule: str = _setting("step", "step | cosine | constant", PAPER_SOURCE + ": reduced to one-tenth")
    step_every: int = _setting(80, "see step_unit", PAPER_SOURCE + ': "after every 80 batches"')
    step_unit: str = _setting("epoch", "epoch | batch", "173 batches an epoch: per batch the rate is 1e-10 by epoch 5")
    step_factor: float = _setting(0.1, "1", PAPER_SOURCE)
    warmup_epochs: float = _setting(0.0, "epoch", "not in the paper")
    final_rate_fraction: float = _setting(0.0, "fraction of learning_rate", "end of the cosine")
    # --- network
    architecture: str = _setting("resnet34_improved", "name in core.model.architectures", PAPER_SOURCE)
    head_dropout: float | None = _setting(
        None, "probability of dropping, none: the architecture's own", PAPER_SOURCE + ": 0.8 in the improved ResNet-34"
    )
    head_only_epochs: int = _setting(0, "epoch", "0: all layers from the start; needs pretrained weights to help")
    # --- images
    image_size: int = _setting(224, "pixel", "ImageNet networks; the paper's Supplement could not be had")
    starting_size_fraction: float = _setting(1.0, "fraction of image_size", "below 1: progressive resizing")
    augmentation: Augmentation = field(
        default=MILD, metadata={"unit": "see Augmentation", "source": "the paper's Supplement could not be had"}
    )
    # --- loss and weights
    map_weight: float = _setting(0.0, "weight beside the cross-entropy, 0: off", "not in the paper; needs lesion masks")
    label_smoothing: float = _setting(0.0, "probability", PAPER_SOURCE + ": cross-entropy")
    class_weight_power: float = _setting(
        0.0, "0: every case alike, 1: every class alike", "not in the paper; for rare classes"
    )
    mix_alpha: float = _setting(0.0, "of Beta(a, a), 0: off", "not in the paper; pairs of images mixed (mixup)")
    hard_case_power: float = _setting(0.0, "power of 1 - p(truth), 0: off", "not in the paper; focal loss")
    teacher_weight: float = _setting(0.0, "share of the loss, 0: no teacher", "not in the paper; distillation")
    ema_decay: float | None = _setting(None, "per step, none: off", "not in the paper")
    selection: str = _setting("last", "last | best_validation", "a fixed epoch is honest; the paper does not say")
    # --- reproducibility
    seed: int = _setting(2023, "integer", "ours")

    def __post_init__(self) -> None:
        _check_recipe(self)

    def with_changes(self, **changes: Any) -> Recipe:
        """The same recipe with some fields changed; unknown names are refused.

        Raises
        ------
        TrainingError
            If a name is no field of :class:`Recipe`, or a value is out of range.
        """
        known = {item.name for item in fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise TrainingError(
                f"A recipe has no setting {', '.join(unknown)}. Use one of: {', '.join(sorted(known))}."
            )
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON.

        A setting that came after version 1 stands in it where it changes something, so that the hash of a recipe, by
        which a run knows its state, stays what it was.
        """
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in LATER_SETTINGS or value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`to_dict` wrote.

        Raises
        ------
        TrainingError
            If a setting is unknown or out of range.
        """
        settings = dict(values)
        augmentation = dict(settings.pop("augmentation", {}))
        if "thinning_counts" in augmentation:
            augmentation["thinning_counts"] = tuple(augmentation["thinning_counts"])
        known = {item.name for item in fields(Augmentation)}
        unknown = sorted(set(augmentation) - known)
        if unknown:
            raise TrainingError(f"Augmentation has no setting {', '.join(unknown)}.")
        return PAPER.with_changes(augmentation=Augmentation(**augmentation), **settings)


def _check_recipe(recipe: Recipe) -> None:
    """Refuse values that no run could honour, naming the field."""
    choices = {
        "length_unit": ("epoch", "batch"),
        "step_unit": ("epoch", "batch"),
        "optimizer": ("adam", "adamw", "sgd"),
        "schedule": ("step", "cosine", "constant"),
        "selection": ("last", "best_validation"),
    }
    for name, allowed in choices.items():
        if getattr(recipe, name) not in allowed:
            raise TrainingError(
                f"Recipe setting {name} is {getattr(recipe, name)!r}. Use one of: {', '.join(allowed)}."
            )
    limits: dict[str, tuple[float, float]] = {
        "length": (1, 1e7),
        "batch_size": (1, 65536),
        "learning_rate": (1e-12, 10),
        "weight_decay": (0, 10),
        "step_every": (1, 1e9),
        "step_factor": (1e-6, 1),
        "warmup_epochs": (0, 1e6),
        "final_rate_fraction": (0, 1),
        "head_only_epochs": (0, 1e6),
        "image_size": (16, 4096),
        "starting_size_fraction": (0.25, 1),
        "label_smoothing": (0, 0.5),
        "map_weight": (0, 100),
        "class_weight_power": (0, 1),
        "mix_alpha": (0, 10),
        "hard_case_power": (0, 10),
        "teacher_weight": (0, 1),
    }
    for name, (low, high) in limits.items():
        value = getattr(recipe, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise TrainingError(f"Recipe setting {name} is {value!r}; it must lie between {low:g} and {high:g}.")
    optional: dict[str, tuple[float, float]] = {
        "sgd_from_epoch": (0, 1e6),
        "gradient_clip": (1e-9, 1e9),
        "head_dropout": (0, 0.99),
        "ema_decay": (0, 0.999999),
    }
    for name, (low, high) in optional.items():
        value = getattr(recipe, name)
        if value is not None and not low <= value <= high:
            raise TrainingError(
                f"Recipe setting {name} is {value!r}; it must lie between {low:g} and {high:g} or be none."
            )


#: The paper's recipe in the default reading of its ambiguities.
PAPER = Recipe()

#: Our own recipe: a quarter of the epochs, and what each line buys is measured by ``python -m training ablate``.
MODERN = replace(
    PAPER,
    name="modern",
    length=60,
    batch_size=32,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.05,
    schedule="cosine",
    warmup_epochs=3.0,
    final_rate_fraction=0.01,
    gradient_clip=1.0,
    head_dropout=0.2,
    map_weight=0.8,
    label_smoothing=0.05,
    ema_decay=0.995,
    augmentation=SCINTIGRAPHY_SAFE,
)

RECIPES: dict[str, Recipe] = {"paper": PAPER, "modern": MODERN}


@dataclass(frozen=True)
class Variant:
    """One recipe setting that could be read or chosen otherwise."""

    key: str  # name on the command line and in tables
    changes: Mapping[str, Any]  # fields of Recipe that it changes
    why: str


@dataclass(frozen=True)
class Ambiguity:
    """A sentence of the paper that can be read in more than one way."""

    text: str
    default: str
    why: str
    variants: tuple[Variant, ...]


#: Every sentence of the paper's Methods that had to be interpreted, and the switch for the other readings.
AMBIGUITIES: tuple[Ambiguity, ...] = (
    Ambiguity(
        "The initial learning rate was set to 2.5 x 10^(not legible)",
        "2.5e-4",
        "e-5 ends at 2.5e-7 after two decays and starves a fresh head under 0.8 dropout; e-3 with Adam and batch 12 "
        "risks erasing pretraining; public ResNet-34 fine-tuning scripts use Adam at 1e-4",
        (
            Variant("rate-2.5e-5", {"learning_rate": 2.5e-5}, "smaller exponent"),
            Variant("rate-2.5e-3", {"learning_rate": 2.5e-3}, "larger exponent"),
        ),
    ),
    Ambiguity(
        "reduced to one-tenth of the original rate after every 80 batches",
        "every 80 epochs",
        "an epoch has 173 batches: read literally the rate is 1e-10 by epoch 5 and total learning is half an epoch",
        (Variant("step-per-batch", {"step_unit": "batch"}, "the sentence read literally"),),
    ),
    Ambiguity(
        "the maximum number of iterations to 200",
        "200 epochs",
        'Discussion: "After 200 epochs of training"',
        (Variant("length-200-batches", {"length_unit": "batch"}, "the sentence read literally"),),
    ),
    Ambiguity(
        "Adam ... gradually updated using the stochastic gradient descent algorithm during fine-tuning",
        "Adam throughout; the sentence describes the step decay",
        "an SGD phase is not specified enough to rebuild; the variant starts it at the first decay",
        (Variant("sgd-phase", {"sgd_from_epoch": 80}, "Adam until the first decay, then SGD with momentum 0.9"),),
    ),
    Ambiguity(
        "an attenuation weight of 1e-4",
        "coupled L2 in torch.optim.Adam",
        "decoupled decay (AdamW) is a later variant, not fidelity",
        (Variant("decoupled-decay", {"optimizer": "adamw"}, "AdamW"),),
    ),
    Ambiguity(
        "dropout into the first FC layer, with a dropout probability of 0.8",
        "drop with probability 0.8 after the first layer's activation",
        "as written; the cited Srivastava et al. use p for the probability of retention",
        (Variant("dropout-0.2", {"head_dropout": 0.2}, "0.8 is retention, as in Srivastava et al."),),
    ),
    Ambiguity(
        "(which epoch's weights were kept is not said)",
        "the last epoch",
        "a fixed epoch cannot be tuned on the images that are then reported",
        (Variant("best-epoch", {"selection": "best_validation"}, "best epoch on the validation split"),),
    ),
    Ambiguity(
        "(input size and augmentation stand in a Supplement that could not be had)",
        "224 pixels, mild flip and rotation",
        "the pretrained networks' size; flips and small rotations are the commonest choice",
        (
            Variant("no-augmentation", {"augmentation": Augmentation()}, "images as they are"),
            Variant("safe-augmentation", {"augmentation": SCINTIGRAPHY_SAFE}, "the modern recipe's augmentation"),
        ),
    ),
)

#: Taking one choice of ``MODERN`` away at a time.
MODERN_ABLATIONS: tuple[Variant, ...] = (
    Variant("no-augmentation", {"augmentation": Augmentation()}, "images as they are"),
    Variant("mild-augmentation", {"augmentation": MILD}, "flip and 5 degrees only"),
    Variant("no-thinning", {"augmentation": replace(SCINTIGRAPHY_SAFE, thinning_probability=0.0)}, "no Poisson noise"),
    Variant("no-smoothing-filter", {"augmentation": replace(SCINTIGRAPHY_SAFE, smoothing_probability=0.0)}, "no blur"),
    Variant(
        "no-window", {"augmentation": replace(SCINTIGRAPHY_SAFE, gamma_log_range=0.0, window_fraction=0.0)}, "geometry"
    ),
    Variant("no-ema", {"ema_decay": None}, "last weights instead of their moving average"),
    Variant("paper-dropout", {"head_dropout": None}, "the architecture's own (improved ResNet-34: 0.8)"),
    Variant("no-map-loss", {"map_weight": 0.0}, "lesion masks are not used"),
    Variant("no-label-smoothing", {"label_smoothing": 0.0}, "plain cross-entropy"),
    Variant("no-warmup", {"warmup_epochs": 0.0}, "full rate from the first step"),
    Variant("step-schedule", {"schedule": "step", "step_every": 24}, "two tenfold steps instead of a cosine"),
    Variant("adam", {"optimizer": "adam", "weight_decay": 1e-4}, "coupled L2 as in the paper"),
    Variant("batch-12", {"batch_size": 12}, "the paper's batch"),
    Variant("no-clipping", {"gradient_clip": None}, "no limit on the gradient's norm"),
)


def variants_of(recipe_name: str) -> tuple[Variant, ...]:
    """What ``ablate`` tries around a recipe: the other readings of ``paper``, single removals from ``modern``."""
    if recipe_name == "modern":
        return MODERN_ABLATIONS
    return tuple(variant for ambiguity in AMBIGUITIES for variant in ambiguity.variants)


def recipe_named(name: str) -> Recipe:
    """Recipe by name.

    Raises
    ------
    TrainingError
        If there is no such recipe; the message lists them.
    """
    if name not in RECIPES:
        raise TrainingError(f"There is no recipe {name!r}. Use one of: {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]


def parse_changes(texts: list[str]) -> dict[str, Any]:
    """Settings given on the command line as ``name=value``, typed as the field's present value is.

    Raises
    ------
    TrainingError
        If a text is not ``name=value``, the name is unknown, or the value does not fit.
    """
    known = {item.name: item for item in fields(Recipe)}
    optional = {"sgd_from_epoch": int, "gradient_clip": float, "head_dropout": float, "ema_decay": float}
    changes: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        name = name.strip()
        if not separator or name not in known:
            raise TrainingError(f"--set {text}: write name=value with one of: {', '.join(sorted(known))}.")
        if name == "augmentation":
            if value not in AUGMENTATIONS:
                raise TrainingError(f"--set {text}: augmentation is one of: {', '.join(AUGMENTATIONS)}.")
            changes[name] = AUGMENTATIONS[value]
            continue
        if name in optional and value.casefold() == "none":
            changes[name] = None
            continue
        kind = optional.get(name, type(known[name].default))
        try:
            changes[name] = kind(value)
        except ValueError as error:
            raise TrainingError(
                f"--set {text}: {name} must be {kind.__name__} ({known[name].metadata['unit']})."
            ) from error
    return changes


def describe(recipe: Recipe) -> list[dict[str, str]]:
    """Rows of setting, value, unit and source, for ``python -m training recipe`` and the documentation."""
    rows = []
    for item in fields(recipe):
        value = getattr(recipe, item.name)
        if isinstance(value, Augmentation):
            rows += [
                {
                    "setting": f"augmentation.{part.name}",
                    "value": str(getattr(value, part.name)),
                    "unit": part.metadata["unit"],
                    "source": part.metadata["source"],
                }
                for part in fields(value)
            ]
            continue
        rows.append(
            {
                "setting": item.name,
                "value": str(value),
                "unit": item.metadata["unit"],
                "source": item.metadata["source"] if value == item.default else "chosen for this recipe",
            }
        )
    return rows
