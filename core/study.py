"""The words of a reader study as frozen dataclasses, and the rules that hold between them; its plan is in
:mod:`core.protocol`.

A **case** is what is read once; a **patient** may have several cases and a case one or more **images** (views).
A **presentation** is one case put before one reader in one arm at one place of that reader's order; a **reading**
is the answer to a presentation. Readings are append-only: a correction is a new revision, never a change.

Nothing here knows the database or the screen, and nothing here but :class:`ReferenceStandard` carries the truth.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

import numpy as np

from core.client_events import LONGEST_READING_S, ClientEvent, EventName, read_events
from core.errors import InputError, OutsideDatesError
from core.protocol import Arm, Comparison, Protocol, ScaleKind

#: No reader marks more places in one image.
MOST_MARKS = 50

#: Characters of the reason why an image is unreadable.
LONGEST_REASON = 500

#: How far probabilities may be from summing to 1.
_SUM_TOLERANCE = 1e-6


class Role(StrEnum):
    """What a person may do: exactly one of the first three in one study, perhaps another one in another study."""

    READER = "reader"  # reads blinded; knows nothing but the cases put before him or her
    COORDINATOR = "coordinator"  # runs the study, never reads in it
    STATISTICIAN = "statistician"  # results of the unsealed study, nothing before, and no change
    ADMINISTRATOR = "administrator"  # of the installation: people and their roles, the trail; no data of any study


class StudyState(StrEnum):
    """Where a study stands; each state allows less than the one before it until the truth is unsealed."""

    DRAFT = "draft"  # cases and readers may still change; nobody reads
    OPEN = "open"  # readers read; the reference standard is sealed
    CLOSED = "closed"  # reading has ended and may be taken up again; results still sealed
    LOCKED = "locked"  # readings are final; results still sealed
    UNSEALED = "unsealed"  # truth, model and readers may be compared


#: The only moves between states.
STATE_MOVES: dict[StudyState, tuple[StudyState, ...]] = {
    StudyState.DRAFT: (StudyState.OPEN,),
    StudyState.OPEN: (StudyState.CLOSED,),
    StudyState.CLOSED: (StudyState.OPEN, StudyState.LOCKED),
    StudyState.LOCKED: (StudyState.UNSEALED, StudyState.CLOSED),
    StudyState.UNSEALED: (),
}


#: Longer without an answer, and a reader went away meanwhile, seconds.
LONGEST_PAUSE_S = 30 * 60


def sitting_seconds(saved_at: Sequence[datetime]) -> float:
    """Seconds in front of a study: the time between answers, without gaps over :data:`LONGEST_PAUSE_S`.

    Parameters
    ----------
    saved_at : sequence of datetime
        When answers were saved, in order. The time before the first answer of a sitting is not known.
    """
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(saved_at)]
    return sum(gap for gap in gaps if gap <= LONGEST_PAUSE_S)


@dataclass(frozen=True)
class Study:
    """A study as everybody in it may know it."""

    key: str  # short name in commands and addresses, for example "demo"
    protocol: Protocol
    protocol_version: int
    state: StudyState
    is_synthetic: bool  # phantoms or simulated readers take part: said on every screen
    created_at: datetime
    opened_at: datetime | None = None  # for the first time
    is_read_elsewhere: bool = False  # on another platform: nobody was blinded here; never open, never sealed

    @property
    def standing(self) -> str:
        """Where the study stands, in words that never let readings made elsewhere pass for unsealed ones."""
        return "read elsewhere, not blinded here" if self.is_read_elsewhere else str(self.state)

    @property
    def is_live(self) -> bool:
        """Whether its coordinators may compare truth, model and readers before it is unsealed; every look is logged."""
        between = (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED)
        return self.protocol.comparison is Comparison.LIVE and self.state in between

    def is_declared(self, model_sha256: str) -> bool:
        """Whether the protocol names this model as the one that meets the readers."""
        return self.protocol.model_sha256 == model_sha256

    def declaration(
        self, model_sha256: str, *, registered_at: datetime | None = None, predicted_at: datetime | None = None
    ) -> str:
        """What must be said beside every number of a model: was it chosen before anybody read?

        The declared model is frozen from the opening on, so the version that counts names the one that stood before
        the first reading. The best of several models, picked on the cases it is reported on, flatters itself.

        Parameters
        ----------
        model_sha256 : str
            The model.
        registered_at, predicted_at : datetime, optional
            When it was entered in the store, and when its last prediction for this study was stored.
        """
        said = "not declared before reading: exploratory"
        if self.is_declared(model_sha256):
            said = f"declared in protocol version {self.protocol_version}"
        if self.opened_at is not None and registered_at is not None and registered_at > self.opened_at:
            return f"{said}; registered after the study was opened"
        if self.opened_at is not None and predicted_at is not None and predicted_at > self.opened_at:
            return f"{said}; predicted after the study was opened"
        return said


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in. ``display_name`` is what exports and dashboards show."""

    person_id: str
    login: str
    display_name: str
    role: Role  # what the account was made for; says nothing about any study
    is_simulated: bool = False  # answers were drawn by this program, not given by a human
    years_of_experience: float | None = None
    is_active: bool = True
    specialty: str | None = None
    site: str | None = None
    has_used_model: bool | None = None  # has used such a model before
    email: str | None = None  # the address under which an identity provider knows the person
    must_change_password: bool = False  # somebody else set it: nothing else can be done before
    reading_keys: Mapping[str, str] = field(default_factory=dict, compare=False)  # what the panel does: code of the key
    #: That of the account and those in studies; for screens. The store looks again at every deed.
    roles: frozenset[Role] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", self.roles | {self.role})


class LeftSide(StrEnum):
    """On which side of the picture the patient's left lies."""

    IMAGE_LEFT = "image-left"
    IMAGE_RIGHT = "image-right"


@dataclass(frozen=True)
class CaseRecord:
    """One view of one case, as a row of the manifest describes it; ``truth`` leaves here for its own sealed table.

    A case with several views is several records with the same ``case``; all but the picture must agree.
    """

    case: str  # the coordinator's case id; never shown to a reader
    patient: str
    cohort: str  # "training", "internal", "external", ...
    truth: str  # class key
    pixels: np.ndarray  # (height, width), uint8 or uint16, or in colour (height, width, 3) uint8; metadata-free
    pixel_spacing_mm: float | None = None
    centre: str | None = None
    scanner: str | None = None
    age_years: float | None = None
    sex: str | None = None  # "F", "M" or None
    exclusion_reason: str | None = None  # a case with a reason is kept and counted, never read or analysed
    source_name: str | None = None  # file name at import; coordinators only
    lesion_mask: np.ndarray | None = None  # (height, width) bool, when known (phantoms)
    file_format: str | None = None  # "JPEG", "PNG" or "DICOM"; None when the pixels came from no file
    image_notes: tuple[str, ...] = ()  # what reading the file changed, left out or found odd
    view: str = ""  # "anterior", ...; readers see it. Empty where every case has one view
    left_side: LeftSide | None = None  # None: not known


@dataclass(frozen=True)
class Presentation:
    """One case before one reader. All that a reading screen may know: no case id, patient, file name or truth."""

    presentation_id: str  # random; names nothing
    arm: Arm
    position: int  # 1-based place in this reader's order
    count: int  # presentations in this reader's order
    period: int = 1  # of a crossover: 1 or 2
    block: int = 1  # counted through the whole order; a break stands between two
    n_blocks: int = 1
    is_training: bool = False  # with feedback, never analysed
    seconds_left: float | None = None  # of the protocol's time, where the image of the next case was drawn before


@dataclass(frozen=True)
class Mark:
    """Where a reader sees a lesion."""

    x: float  # pixels of the image from its left edge
    y: float  # pixels of the image from its upper edge
    rating: int | None = None  # on the protocol's scale; None: the confidence of the answer
    view: int = 1  # number of the picture, from 1


@dataclass(frozen=True)
class Answer:
    """What a reader decided about one presentation; :func:`check_answer` holds it against the protocol."""

    class_key: str | None = None  # None only if unreadable
    confidence: int | None = None  # scale.lowest ... scale.highest of an ordinal or percent scale
    comment: str = ""
    is_unreadable: bool = False  # technically inadequate: counted, never analysed as an answer
    reading_seconds: float | None = None  # image shown to save, hidden tab excluded; measured in the browser
    display_state: dict[str, object] = field(default_factory=dict)  # window, zoom, colour table at the moment of saving
    events: tuple[ClientEvent, ...] = ()  # what the browser saw while the case was on its screen
    probabilities: tuple[float, ...] | None = None  # of the classes in protocol order, summing to 1; scale asks for it
    unreadable_reason: str = ""
    marks: tuple[Mark, ...] = ()
    is_typed_ahead: bool = False  # keys came before the image was drawn


@dataclass(frozen=True)
class Receipt:
    """Proof that a reading is on disk; exists only after the commit."""

    reading_id: str
    presentation_id: str
    revision: int  # 1 for the first answer
    saved_at: datetime  # UTC
    was_already_saved: bool  # the same submission had been saved before; nothing was added


@dataclass(frozen=True)
class ReferenceStandard:
    """The truth of one case. Never built in a reader's request."""

    case: str
    truth: str


#: The reason of an answer that says that the time of a case was over before there was one. Readers never type it.
NO_ANSWER_IN_TIME = "no answer in time"

#: Seconds after the end of the protocol's time in which an answer may still arrive: the line and the store take some.
TIME_GRACE_S = 10.0

#: Seconds that an image may take from the server to the screen before the time of its case runs all the same.
LONGEST_LOADING_S = 20.0

#: In ``display_state`` of an answer that arrived later: what it was, and after how many seconds it came.
ARRIVED_LATE = "arrived_late"


def is_without_answer_in_time(answer: Answer) -> bool:
    """Whether an answer says that the protocol's time for the case was over before the reader had chosen."""
    return answer.is_unreadable and answer.unreadable_reason.strip().casefold() == NO_ANSWER_IN_TIME


def arrived_late(answer: Answer, seconds: float) -> Answer:
    """What is stored of an answer that came after the protocol's time by the server's clock: none, and what it was."""
    names = ("class_key", "confidence", "probabilities", "is_unreadable", "unreadable_reason")
    given = {name: getattr(answer, name) for name in names}
    given["unreadable_reason"] = answer.unreadable_reason.strip()
    given["marks"] = [asdict(mark) for mark in answer.marks]
    state = {**answer.display_state, ARRIVED_LATE: {**given, "server_seconds": round(seconds, 3)}}
    return replace(
        answer, class_key=None, confidence=None, probabilities=None, marks=(), is_unreadable=True,
        unreadable_reason=NO_ANSWER_IN_TIME, display_state=state,
    )  # fmt: skip


def check_answer(answer: Answer, protocol: Protocol) -> None:
    """Refuse an answer that the protocol does not allow.

    Raises
    ------
    InputError
        Naming the field that is wrong.
    """
    if answer.is_unreadable:
        _check_unreadable(answer, protocol)
    else:
        _check_rated(answer, protocol)
    if answer.comment and not protocol.may_comment:
        raise InputError("this study takes no comments", field="comment", fix="leave it empty")
    if answer.is_typed_ahead and not protocol.may_type_ahead:
        raise InputError("keys that came before the image do not count in this study", field="is_typed_ahead")
    _check_marks(answer, protocol)
    seconds = answer.reading_seconds
    if seconds is not None and not (_is_number(seconds) and 0 <= seconds <= LONGEST_READING_S):
        raise InputError(
            f"the reading time must be 0 to {LONGEST_READING_S} seconds", field="reading_seconds", value=seconds
        )


def _check_unreadable(answer: Answer, protocol: Protocol) -> None:
    """Nobody is made to guess what cannot be read; why it cannot be read is said."""
    if is_without_answer_in_time(answer):
        if protocol.timeout_seconds is None or EventName.OVER_TIME not in {
            name for name, _ in read_events(answer.events)
        }:
            raise InputError(
                "the time for this case was not over", field="unreadable_reason", value=answer.unreadable_reason,
                fix="give another reason, or an answer",
            )  # fmt: skip
    elif not protocol.may_mark_unreadable:
        raise InputError("every image of this study is to be answered", field="is_unreadable", fix="choose a class")
    for name in ("class_key", "confidence", "probabilities"):
        if getattr(answer, name) is not None:
            field_name = name.removesuffix("_key")
            raise InputError("an unreadable image has no answer", field=field_name, value=getattr(answer, name))
    if not 1 <= len(answer.unreadable_reason.strip()) <= LONGEST_REASON:
        raise InputError(
            f"an unreadable image needs a reason of at most {LONGEST_REASON} characters",
            field="unreadable_reason",
            value=len(answer.unreadable_reason),
        )


def _check_rated(answer: Answer, protocol: Protocol) -> None:
    """A class, and what the scale asks for beside it."""
    keys, scale = protocol.class_keys, protocol.scale
    if answer.unreadable_reason:
        raise InputError("only an unreadable image has such a reason", field="unreadable_reason")
    if answer.class_key not in keys:
        fix = "use one of " + ", ".join(keys)
        raise InputError("the answer is not a class of this study", field="class", value=answer.class_key, fix=fix)
    if scale.has_confidence:
        _check_step(answer.confidence, protocol, "confidence")
    elif answer.confidence is not None:
        raise InputError(
            f"a scale of kind '{scale.kind}' has no confidence", field="confidence", value=answer.confidence
        )
    if scale.kind is not ScaleKind.PROBABILITIES:
        if answer.probabilities is not None:
            raise InputError(f"a scale of kind '{scale.kind}' has no probabilities", field="probabilities")
        return
    given = answer.probabilities
    if given is None or len(given) != len(keys) or not all(_is_number(value) and 0 <= value <= 1 for value in given):
        raise InputError(f"{len(keys)} probabilities between 0 and 1 are needed", field="probabilities", value=given)
    if abs(sum(given) - 1) > _SUM_TOLERANCE:
        raise InputError("the probabilities must sum to 1", field="probabilities", value=round(sum(given), 6))
    if sum(value == max(given) for value in given) > 1:
        raise InputError(
            "two classes have the highest probability, so none was chosen", field="probabilities", value=list(given),
            fix="give one of them more",
        )  # fmt: skip
    if given[keys.index(answer.class_key)] < max(given):
        raise InputError(
            "the class is not the one of the highest probability", field="class", value=answer.class_key,
            fix="give the class of the highest",
        )  # fmt: skip


def _check_marks(answer: Answer, protocol: Protocol) -> None:
    """Marks only where the protocol asks for them; each is a place with a rating of the scale, if any."""
    if answer.marks and (answer.is_unreadable or not protocol.has_location_mark):
        raise InputError("this answer takes no marks", field="marks", value=len(answer.marks))
    if len(answer.marks) > MOST_MARKS:
        raise InputError(f"at most {MOST_MARKS} marks", field="marks", value=len(answer.marks))
    for mark in answer.marks:
        if not all(_is_number(value) and 0 <= value < 2**16 for value in (mark.x, mark.y)):
            raise InputError("a mark lies in the image, in pixels", field="marks", value=(mark.x, mark.y))
        if isinstance(mark.view, bool) or not isinstance(mark.view, int) or mark.view < 1:
            raise InputError("a mark is of a view from 1 on", field="marks.view", value=mark.view)
        if mark.rating is not None:
            _check_step(mark.rating, protocol, "marks.rating")


def _check_step(confidence: int | None, protocol: Protocol, name: str) -> None:
    """A whole number of the scale."""
    scale = protocol.scale
    if isinstance(confidence, bool) or not isinstance(confidence, int):
        raise InputError("the confidence must be a whole number", field=name, value=confidence)
    if not scale.has_confidence or not scale.lowest <= confidence <= scale.highest:
        raise InputError(
            f"the confidence must lie between {scale.lowest} and {scale.highest}", field=name, value=confidence
        )


def _is_number(value: object) -> bool:
    """Whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def check_dates(
    protocol: Protocol,
    now: datetime,
    *,
    period: int = 1,
    first_period_ended_at: datetime | None = None,
    deviations: Collection[str] = (),
) -> None:
    """Refuse a reading session outside of the protocol's dates.

    Parameters
    ----------
    now : datetime
        The server's clock, aware.
    period : int
        Of the case that comes next.
    first_period_ended_at : datetime, optional
        When this reader last answered in the first period, or corrected an answer; the second opens ``washout_days``
        later.
    deviations : collection of str
        Which of "opens_on", "closes_on" and "washout" a coordinator has set aside for this reader.

    Raises
    ------
    OutsideDatesError
        With the instant at which it opens, if it will.
    """
    day = timedelta(days=1)
    if protocol.opens_on is not None and "opens_on" not in deviations:
        opens_at = datetime.combine(protocol.opens_on, time(), UTC)
        if now < opens_at:
            raise OutsideDatesError("Reading begins", opens_at)
    if protocol.closes_on is not None and "closes_on" not in deviations:
        closed_at = datetime.combine(protocol.closes_on, time(), UTC) + day
        if now >= closed_at:
            raise OutsideDatesError(f"Reading ended with {protocol.closes_on.isoformat()}", None)
    if period == 2 and first_period_ended_at is not None and "washout" not in deviations:
        opens_at = first_period_ended_at + protocol.washout_days * day
        if now < opens_at:
            raise OutsideDatesError("The second part of the study opens for you", opens_at)
