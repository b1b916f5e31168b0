"""The protocol of a reader study: all that is fixed before the first reading, as frozen dataclasses with their rules.

A coordinator writes it once, on the set-up screen or as a YAML file (:mod:`core.protocol_file`); the store keeps every
version whole. Readers' screens show parts of it; the rules of reading follow it; the Methods text is made from it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, ClassVar

from core.errors import InputError
from core.spelling import spelling_key
from core.typed_text import LONGEST_LINE, check_line, check_text

#: More classes than this have no place on a reading screen.
MOST_CLASSES = 20

#: More steps than this have no key of their own.
MOST_STEPS = 10

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Arm(StrEnum):
    """Whether the reader sees the model's answer."""

    UNAIDED = "unaided"
    AIDED = "aided"


class Design(StrEnum):
    """Which arms a study has, and how a reader meets them."""

    UNAIDED = "unaided"  # every case once, without the model
    AIDED = "aided"  # every case once, with the model's answer beside the image
    SEQUENTIAL = "sequential"  # each case unaided, then the model is revealed and the same case answered again
    CROSSOVER = "crossover"  # all cases in one arm, a washout, all cases in the other; half of the readers begin aided


class ScaleKind(StrEnum):
    """What a reader states beside or instead of a class."""

    LABEL = "label"  # the class and nothing else
    ORDINAL = "ordinal"  # the class and a step of confidence in it
    PERCENT = "percent"  # the class and a confidence in it from 0 to 100
    PROBABILITIES = "probabilities"  # one probability per class; they sum to 100 %


class GoingBack(StrEnum):
    """Which of his or her own answers a reader may correct; a correction is a new revision."""

    NEVER = "never"
    LAST = "last"
    ANY = "any"


class Comparison(StrEnum):
    """When truth, model and readers may be compared."""

    SEALED = "sealed"  # after unsealing only
    LIVE = "live"  # for coordinators while readers read (a pilot, teaching); every look is logged and reported


class ColourTable(StrEnum):
    """Colour table of the first display of an image."""

    INVERSE_GREY = "inverse-grey"  # counts are dark
    GREY = "grey"
    HOT_IRON = "hot-iron"
    INFERNO = "inferno"  # perceptually uniform
    RAINBOW = "rainbow"


class EndScreen(StrEnum):
    """What a reader sees when all is read; never how well he or she did."""

    THANKS = "thanks"
    PROGRESS = "progress"  # thanks, and the number of answers and the time that they took


@dataclass(frozen=True)
class DiseaseClass:
    """One possible answer."""

    key: str  # stable name in files and the store, for example "sat"
    label: str  # name on screen, for example "Subacute thyroiditis"
    short_label: str  # name in narrow tables, for example "SAT"
    aliases: tuple[str, ...] = ()  # other names accepted at import


#: The four classes of Zhao et al. 2023, in the order of their Table 2; the order of every probability vector.
THYROID_CLASSES: tuple[DiseaseClass, ...] = (
    DiseaseClass("graves", "Graves' disease", "Graves", ("graves disease", "graves' disease", "gd")),
    DiseaseClass("normal", "Normal", "Normal", ("normality", "normal thyroid")),
    DiseaseClass("sat", "Subacute thyroiditis", "SAT", ("subacute thyroiditis", "thyroiditis")),
    DiseaseClass("tumor", "Tumor", "Tumor", ("tumour", "thyroid tumor", "thyroid tumour", "nodule")),
)


def class_key(text: str, classes: Sequence[DiseaseClass] = THYROID_CLASSES) -> str:
    """Key of the class that ``text`` names (key, label, short label or alias) by the rule of :mod:`core.spelling`.

    Raises
    ------
    InputError
        If no class has that name; the message lists the accepted keys.
    """
    wanted = spelling_key(text)
    for disease in classes:
        if wanted in {spelling_key(name) for name in _names(disease)}:
            return disease.key
    raise InputError(
        "unknown class",
        field="class",
        value=text,
        fix="use one of " + ", ".join(disease.key for disease in classes),
    )


@dataclass(frozen=True)
class Scale:
    """What a reader states about each case."""

    kind: ScaleKind = ScaleKind.ORDINAL
    words: tuple[str, ...] = ()  # of an ordinal scale, lowest first; five words of confidence unless given

    #: Words of an ordinal scale that names none.
    DEFAULT_WORDS: ClassVar[tuple[str, ...]] = ("guess", "low", "moderate", "high", "certain")

    def __post_init__(self) -> None:
        if self.kind is ScaleKind.ORDINAL and not self.words:
            object.__setattr__(self, "words", self.DEFAULT_WORDS)
        if self.kind is not ScaleKind.ORDINAL and self.words:
            raise InputError(
                f"a scale of kind '{self.kind}' has no words", field="scale.words", fix="leave them out, or use ordinal"
            )
        if self.kind is ScaleKind.ORDINAL and not 2 <= len(self.words) <= MOST_STEPS:
            raise InputError(
                f"an ordinal scale has 2 to {MOST_STEPS} steps", field="scale.words", value=len(self.words)
            )
        if not all(word.strip() for word in self.words):
            raise InputError("a step of the scale has no word", field="scale.words")
        if len({spelling_key(word) for word in self.words}) < len(self.words):
            raise InputError("two steps of the scale have one word", field="scale.words", value=list(self.words))

    @property
    def n_steps(self) -> int:
        """Steps of an ordinal scale; 0 for the others."""
        return len(self.words)

    @property
    def lowest(self) -> int:
        """Lowest confidence that may be stored."""
        return 0 if self.kind is ScaleKind.PERCENT else 1

    @property
    def highest(self) -> int:
        """Highest confidence that may be stored."""
        return 100 if self.kind is ScaleKind.PERCENT else max(1, self.n_steps)

    @property
    def has_confidence(self) -> bool:
        """Whether an answer carries a confidence in its class."""
        return self.kind in (ScaleKind.ORDINAL, ScaleKind.PERCENT)

    def word(self, confidence: int | None) -> str:
        """The word of a step; empty where the scale has none."""
        return self.words[confidence - 1] if confidence is not None and self.words else ""


@dataclass(frozen=True)
class ReadingOrder:
    """How each reader's own order is drawn; it is stored when it is drawn."""

    seed: int = 20230601
    block_size: int | None = None  # cases between two breaks; none: no breaks
    is_stratified: bool = False  # every block has its share of each class and cohort
    n_repeats: int = 0  # cases shown twice without a word, for agreement within a reader
    repeat_distance: int = 20  # least number of other cases between the two

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**63:
            raise InputError("a seed has at most 64 bits", field="order.seed", value=self.seed)
        if self.block_size is not None:
            _at_least(1, self.block_size, "order.block_size")
        if self.is_stratified and self.block_size is None:
            raise InputError(
                "only blocks can be stratified", field="order.is_stratified", fix="give order.block_size as well"
            )
        _at_least(0, self.n_repeats, "order.n_repeats")
        _at_least(1, self.repeat_distance, "order.repeat_distance")


@dataclass(frozen=True)
class Display:
    """How an image is first shown, the same for every reader."""

    lower_percent: float = 0.0  # of the image's maximum count: what is at or below it has the first colour
    upper_percent: float = 100.0  # what is at or above it has the last
    colour_table: ColourTable = ColourTable.INVERSE_GREY
    is_smooth: bool = True  # interpolated between pixels

    def __post_init__(self) -> None:
        if not 0 <= self.lower_percent < self.upper_percent <= 100:
            raise InputError(
                "the window must rise within 0 to 100 % of the maximum",
                field="display",
                value=(self.lower_percent, self.upper_percent),
            )


@dataclass(frozen=True)
class ReadingConditions:
    """What the reader's screen should have; it is checked, stored and warned about, never enforced."""

    min_width_px: int = 0
    min_height_px: int = 0
    has_grey_ramp: bool = False  # the reader says which steps of a grey ramp can be told apart

    def __post_init__(self) -> None:
        _at_least(0, self.min_width_px, "conditions.min_width_px")
        _at_least(0, self.min_height_px, "conditions.min_height_px")


@dataclass(frozen=True)
class ModelShown:
    """How readers meet the model where they do."""

    name: str = "The model"
    has_probabilities: bool = True
    has_class_map: bool = True

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("what readers call the model has no name", field="model_shown.name")


@dataclass(frozen=True)
class Planned:
    """How large the study was planned, and why."""

    n_readers: int | None = None
    n_cases: int | None = None
    power_run: dict[str, Any] | None = None  # what ``manage.py plan --json`` found

    def __post_init__(self) -> None:
        for name in ("n_readers", "n_cases"):
            if getattr(self, name) is not None:
                _at_least(1, getattr(self, name), f"planned.{name}")


@dataclass(frozen=True)
class Protocol:
    """What is fixed before the first reading. Stored as a version; a study that is open uses exactly one."""

    title: str
    question: str = "Which diagnosis does this thyroid scintigram show?"
    instructions: str = ""  # to readers, before the first case and with the keys
    classes: tuple[DiseaseClass, ...] = THYROID_CLASSES
    scale: Scale = field(default_factory=Scale)
    cohorts: tuple[str, ...] = ()  # to be read; none named: as each reader is given
    design: Design = Design.UNAIDED
    washout_days: int = 28  # between the two periods of a crossover
    order: ReadingOrder = field(default_factory=ReadingOrder)
    training_cohort: str | None = None  # read first, with feedback; never analysed
    going_back: GoingBack = GoingBack.LAST
    going_back_until: date | None = None  # last day of corrections; none: as long as the study is open
    timeout_seconds: int | None = None  # then the image is covered and the answer stands as it is; none: no limit
    may_type_ahead: bool = False  # are keys kept that came before their image was drawn; marked if so
    may_comment: bool = True
    may_mark_unreadable: bool = True
    has_location_mark: bool = False  # readers mark where the lesion is (LROC)
    blank_seconds: float = 0.0  # an empty screen before each image
    display: Display = field(default_factory=Display)
    conditions: ReadingConditions = field(default_factory=ReadingConditions)
    model_shown: ModelShown = field(default_factory=ModelShown)
    end_screen: EndScreen = EndScreen.THANKS
    comparison: Comparison = Comparison.SEALED
    opens_on: date | None = None  # first and last day of reading, UTC; none: as the coordinator opens and closes
    closes_on: date | None = None
    model_sha256: str | None = None  # the model that meets the readers, decided before the first reading
    model_view: str = ""  # the view of each case that the model takes, as the manifest calls it; empty: the first
    primary_endpoint: str = ""
    secondary_endpoints: tuple[str, ...] = ()
    margin: float | None = None  # of non-inferiority of the model, in the units of accuracy and AUC
    analysis_plan: str = ""
    planned: Planned = field(default_factory=Planned)
    ethics: str = ""
    registration: str = ""
    funding: str = ""
    intended_use: str = ""

    #: What never changes a reading or a result and may still be completed after opening, as a new version.
    TEXTS_FREE_AFTER_OPENING: ClassVar[tuple[str, ...]] = ("ethics", "registration", "funding", "intended_use")

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise InputError("a study needs a title", field="title", value=self.title, fix="write a title")
        if not self.question.strip():
            problem = "a study needs a question for its readers"
            raise InputError(problem, field="question", value=self.question, fix="write a question")
        _check_classes(self.classes)
        if len({spelling_key(cohort) for cohort in self.cohorts}) < len(self.cohorts):
            raise InputError("a cohort is named twice", field="cohorts", value=list(self.cohorts), fix="name it once")
        if self.training_cohort is not None and self.training_cohort in self.cohorts:
            raise InputError(
                "the training cases cannot be a cohort that is read",
                field="training_cohort",
                value=self.training_cohort,
            )
        _at_least(0, self.washout_days, "washout_days")
        if self.timeout_seconds is not None:
            _at_least(1, self.timeout_seconds, "timeout_seconds")
        if not 0 <= self.blank_seconds <= 10:
            raise InputError("the empty screen lasts 0 to 10 seconds", field="blank_seconds", value=self.blank_seconds)
        if self.going_back_until is not None and self.going_back is GoingBack.NEVER:
            raise InputError("nobody may go back, so there is no last day of it", field="going_back_until")
        if self.opens_on is not None and self.closes_on is not None and self.closes_on < self.opens_on:
            raise InputError("reading ends before it begins", field="closes_on", value=self.closes_on.isoformat())
        if self.margin is not None and not 0 < self.margin < 1:
            raise InputError("a margin lies between 0 and 1", field="margin", value=self.margin, fix="0.05 is 5 points")
        if self.model_sha256 is not None and _SHA256.fullmatch(self.model_sha256) is None:
            raise InputError("not a SHA-256 in small hexadecimal digits", field="model_sha256", value=self.model_sha256)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of the design, in the order in which results name them."""
        match self.design:
            case Design.UNAIDED:
                return (Arm.UNAIDED,)
            case Design.AIDED:
                return (Arm.AIDED,)
            case _:
                return (Arm.UNAIDED, Arm.AIDED)

    @property
    def answers_at_once(self) -> int:
        """Answers to a case that follow each other: its reader counts them as one case."""
        return 2 if self.design is Design.SEQUENTIAL else 1

    @property
    def has_dates(self) -> bool:
        """Whether reading is refused on some days while the study is open."""
        return bool(self.opens_on or self.closes_on or (self.design is Design.CROSSOVER and self.washout_days))

    @property
    def may_revise(self) -> bool:
        """Whether any answer may be corrected while the study is open."""
        return self.going_back is not GoingBack.NEVER

    @property
    def class_keys(self) -> tuple[str, ...]:
        """Keys in protocol order, which is the order of every probability vector."""
        return tuple(disease.key for disease in self.classes)

    def shown_shares(self, probabilities: Sequence[float] | None) -> str:
        """What readers see of the probabilities of an altered model answer; None: the model's own, two exchanged."""
        if not self.model_shown.has_probabilities:
            return "not shown"
        if probabilities is None:
            return "the model's own, two of them exchanged"
        named = zip(self.classes, probabilities, strict=True)
        return ", ".join(f"{disease.short_label} {share:.0%}" for disease, share in named)

    def label(self, key: str) -> str:
        """Screen name of a class key."""
        return next(disease.label for disease in self.classes if disease.key == key)


#: Texts of a protocol that may have several lines.
_LONG_TEXTS = ("instructions", "primary_endpoint", "analysis_plan", "ethics", "funding", "intended_use")

_LONGEST_WASHOUT_DAYS = 3650
_LONGEST_TIMEOUT_S = 86_400
_MOST_REPEATS = 10_000


def check_written(protocol: Protocol) -> None:
    """Refuse what nobody should write into a protocol now; one that was stored before keeps what it has.

    Raises
    ------
    InputError
        Naming the field.
    """
    for name in ("title", "question", "registration"):
        check_line(getattr(protocol, name), name, longest=LONGEST_LINE)
    for name in _LONG_TEXTS:
        check_text(getattr(protocol, name), name)
    for endpoint in protocol.secondary_endpoints:
        check_line(endpoint, "secondary_endpoints", longest=1000)
    for disease in protocol.classes:
        check_line(disease.key, "classes.key", longest=40)
        for text in (disease.label, disease.short_label, *disease.aliases):
            check_line(text, "classes.label")
    for word in protocol.scale.words:
        check_line(word, "scale.words")
    for name in protocol.cohorts:
        check_line(name, "cohorts")
    check_line(protocol.training_cohort or "", "training_cohort")
    check_line(protocol.model_shown.name, "model_shown.name")
    check_line(protocol.model_view, "model_view")
    for field_name, value, most in (
        ("washout_days", protocol.washout_days, _LONGEST_WASHOUT_DAYS),
        ("timeout_seconds", protocol.timeout_seconds or 0, _LONGEST_TIMEOUT_S),
        ("order.n_repeats", protocol.order.n_repeats, _MOST_REPEATS),
    ):
        if value > most:
            raise InputError(f"must be {most:,} or less", field=field_name, value=value)
    until, begins = protocol.going_back_until, protocol.opens_on
    if until is not None and begins is not None and until < begins:
        raise InputError("corrections end before reading begins", field="going_back_until", value=until.isoformat())


def _check_classes(classes: Sequence[DiseaseClass]) -> None:
    """Refuse classes of which a file or a reader could not tell which is meant."""
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise InputError(
            f"a study has 2 to {MOST_CLASSES} classes", field="classes", value=len(classes), fix="name 2 or more"
        )
    owner: dict[str, str] = {}
    for disease in classes:
        for part in ("key", "label", "short_label"):
            if not getattr(disease, part).strip():
                raise InputError("a class has no name", field=f"classes.{part}", value=disease.key or disease.label)
        for name in _names(disease):
            other = owner.setdefault(spelling_key(name), disease.key)
            if other != disease.key:
                raise InputError(
                    f"classes '{other}' and '{disease.key}' share a name", field="classes", value=name, fix="rename one"
                )
    if len({disease.key for disease in classes}) < len(classes):
        raise InputError("class keys must differ", field="classes", value=[disease.key for disease in classes])


def _names(disease: DiseaseClass) -> tuple[str, ...]:
    """All names under which a file may mean a class."""
    return (disease.key, disease.label, disease.short_label, *disease.aliases)


def _at_least(lowest: int, value: int, name: str) -> None:
    """Refuse a number that is too small."""
    if value < lowest:
        raise InputError(f"must be {lowest} or more", field=name, value=value, fix=f"write {lowest} or a larger number")
