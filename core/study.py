"""The words of a reader study as frozen dataclasses, and the rules that hold between them; its plan is in
:mod:`core.protocol`.

A **case** is what is read once; a **patient** may have several cases and a case one or more **images** (views).
A **presentation** is one case put before one reader in one arm at one place of that reader's order; a **reading**
is the answer to a presentation. Readings are append-only: a correction is a new revision, never a change.

Nothing here knows the database or the screen, and nothing here but :class:`ReferenceStandard` carries the truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np

from core.client_events import LONGEST_READING_S, ClientEvent
from core.errors import InputError
from core.protocol import Arm, Protocol

#: Version of the algorithm behind :func:`reading_order`; stored with every order so that it can be re-made.
READING_ORDER_ALGORITHM = "pcg64-sha256-v2"


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
    CLOSED = "closed"  # reading has ended; results still sealed
    UNSEALED = "unsealed"  # readings are final; truth, model and readers may be compared


#: The only moves between states.
STATE_MOVES: dict[StudyState, tuple[StudyState, ...]] = {
    StudyState.DRAFT: (StudyState.OPEN,),
    StudyState.OPEN: (StudyState.CLOSED,),
    StudyState.CLOSED: (StudyState.OPEN, StudyState.UNSEALED),
    StudyState.UNSEALED: (),
}


@dataclass(frozen=True)
class Study:
    """A study as everybody in it may know it."""

    key: str  # short name in commands and addresses, for example "demo"
    protocol: Protocol
    protocol_version: int
    state: StudyState
    is_synthetic: bool  # phantoms or simulated readers take part: said on every screen
    created_at: datetime

    def is_declared(self, model_sha256: str) -> bool:
        """Whether the protocol names this model as the one that meets the readers."""
        return self.protocol.model_sha256 == model_sha256

    def declaration(self, model_sha256: str) -> str:
        """What must be said beside every number of a model: was it chosen before anybody read?

        A protocol changes in draft only, so the version of a study that is being read or was read is the one that
        stood before the first reading. The best of several models, picked on the cases it is reported on, flatters
        itself.
        """
        if self.is_declared(model_sha256):
            return f"declared in protocol version {self.protocol_version}"
        return "not declared before reading: exploratory"


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


@dataclass(frozen=True)
class Answer:
    """What a reader decided about one presentation."""

    class_key: str
    confidence: int  # 1 ... protocol.scale.n_steps
    comment: str = ""
    is_unreadable: bool = False  # technically inadequate: counted, never analysed as an answer
    reading_seconds: float | None = None  # image shown to save, hidden tab excluded; measured in the browser
    display_state: dict[str, object] = field(default_factory=dict)  # window, zoom, colour table at the moment of saving
    events: tuple[ClientEvent, ...] = ()  # what the browser saw while the case was on its screen


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


def check_answer(answer: Answer, protocol: Protocol) -> None:
    """Refuse an answer that the protocol does not allow.

    Raises
    ------
    InputError
        Naming the field that is wrong.
    """
    if answer.class_key not in protocol.class_keys:
        raise InputError(
            "the answer is not a class of this study",
            field="class",
            value=answer.class_key,
            fix="use one of " + ", ".join(protocol.class_keys),
        )
    top = protocol.scale.n_steps
    if isinstance(answer.confidence, bool) or not isinstance(answer.confidence, int):
        raise InputError("the confidence must be a whole number", field="confidence", value=answer.confidence)
    if not 1 <= answer.confidence <= top:
        raise InputError(f"the confidence must lie between 1 and {top}", field="confidence", value=answer.confidence)
    seconds = answer.reading_seconds
    if seconds is not None:
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 <= seconds <= LONGEST_READING_S:  # NaN is neither
            raise InputError(
                f"the reading time must be 0 to {LONGEST_READING_S} seconds", field="reading_seconds", value=seconds
            )


def reading_order(case_ids: Sequence[str], *, study: str, seed: int, reader: str, arm: Arm) -> list[str]:
    """Seeded order in which one reader meets the cases of one arm.

    Parameters
    ----------
    case_ids : sequence of str
        The cases; their own order does not matter (they are sorted first), so that adding nobody's shuffle depends
        on the manifest.
    study : str
        Key of the study: the same reader meets the same cases in another order in another study.
    seed : int
        ``Protocol.order.seed``.
    reader : str
        Stable reader id; two readers get independent orders.
    arm : Arm
        The same reader gets another order in another arm.

    Returns
    -------
    list of str
        A permutation of ``case_ids``.
    """
    digest = hashlib.sha256(f"{READING_ORDER_ALGORITHM}|{study}|{seed}|{reader}|{arm}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    ordered = sorted(case_ids)
    return [ordered[index] for index in rng.permutation(len(ordered))]
