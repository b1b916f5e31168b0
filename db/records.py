"""What the repository gives back besides the words of ``core.study``: frozen, plain, and free of the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np

from core.client_events import ClientEvent, ReadingTimes
from core.protocol import Arm
from core.study import Answer, LeftSide, Mark, Person, Presentation, Role


@dataclass(frozen=True)
class ReadingView:
    """One picture of a presentation, and all that a reader may know of it."""

    pixels: np.ndarray  # (height, width), uint8 or uint16; in colour (height, width, 3), uint8
    unit: str  # of the pixels: "counts", "grey" or "colour"
    name: str = ""  # such as "anterior"; empty where the manifest has no views
    pixel_spacing_mm: float | None = None
    left_side: LeftSide | None = None  # where the patient's left lies; None: not known
    origin: tuple[int, int] = (0, 0)  # row and column of the first pixel that is not padding; for the server only


@dataclass(frozen=True)
class PictureBox:
    """Where one picture of a presentation lies in what its reader is shown; for the server only."""

    origin: tuple[int, int]  # row and column of its first pixel
    size: tuple[int, int]  # height and width, pixels
    shown: tuple[int, int]  # height and width with the padding


@dataclass(frozen=True)
class ReadingImage:
    """What one presentation shows: every view of the case, in the order of the manifest, at least one."""

    views: tuple[ReadingView, ...]


@dataclass(frozen=True)
class SavedReading:
    """A reader's own stored answer."""

    reading_id: str
    presentation: Presentation
    answer: Answer
    revision: int
    saved_at: datetime
    can_correct: bool = False  # by the protocol, at this moment


@dataclass(frozen=True)
class ModelAnswer:
    """What an aided reader is shown of the model."""

    name: str  # what readers call the model
    class_key: str  # of the highest probability
    probabilities: tuple[float, ...] | None  # in protocol order; None if the protocol does not show them
    class_maps: np.ndarray | None  # (k, h, w) float16 on a common scale; None if not shown, or the model gives none


@dataclass(frozen=True)
class MyProgress:
    """How far a reader is."""

    n_done: int
    n_total: int
    last_saved_at: datetime | None


@dataclass(frozen=True)
class NewInvitation:
    """An invitation that was just made; the token is kept nowhere else."""

    invitation_id: str
    token: str
    expires_at: datetime


@dataclass(frozen=True)
class InvitationOffer:
    """What an invitation is for, as whoever has the link may know."""

    role: Role
    study_title: str | None  # none: an account without a part in a study
    expires_at: datetime


@dataclass(frozen=True)
class Invitation:
    """An invitation as who made it sees it."""

    invitation_id: str
    note: str  # for whom
    role: Role
    study_key: str | None
    cohorts: tuple[str, ...]  # none: what the protocol says
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    used_by: str | None  # login


@dataclass(frozen=True)
class PasswordSet:
    """Somebody else gave a person a password, or changed the address under which the person signs in."""

    set_by: str  # login
    set_at: datetime


@dataclass(frozen=True)
class StudyPart:
    """What a person is in a study, since when, and until when."""

    person: Person
    role: Role
    added_at: datetime
    ended_at: datetime | None


class CheckState(StrEnum):
    """How a point of the checklist stands."""

    OK = "ok"
    WARNING = "warning"  # is acknowledged with a reason, which is logged
    BLOCKING = "blocking"  # the study cannot be opened


@dataclass(frozen=True)
class CheckItem:
    """One point to look at before a study is opened."""

    key: str  # stable name: "cases", "truth", "images", "readers", "model", ...
    text: str
    state: CheckState
    detail: str = ""  # more about it, or how to mend it


@dataclass(frozen=True)
class AlteredAnswer:
    """A model answer that aided readers are shown in the place of the model's own."""

    case: str
    class_key: str  # the class that they are shown
    probabilities: tuple[float, ...] | None  # as declared; None: the sealed ones of the model, two exchanged


@dataclass(frozen=True)
class SealRecord:
    """What was committed to when a study was opened; tells nothing of what it holds."""

    study_key: str
    title: str
    opened_at: datetime
    protocol_version: int
    protocol_sha256: str  # of its stored JSON
    plan_sha256: str  # of the text of the analysis plan
    parts: tuple[tuple[str, int, str], ...]  # what, number of rows, SHA-256
    orders: tuple[tuple[str, int, str, str], ...]  # login, seed, algorithm, SHA-256 of the stored order
    receipt: str  # of the audit trail at the opening
    problems: tuple[str, ...]  # what is not as it was sealed, at this moment


@dataclass(frozen=True)
class ImportSummary:
    """What an import wrote, or would write."""

    n_cases: int
    n_patients: int
    n_images_new: int  # images whose pixels were not in the store yet
    n_excluded: int  # cases with an exclusion reason
    cases_per_cohort: dict[str, int]
    views: tuple[str, ...] = ()  # of every case; none where the manifest has no views
    warnings: tuple[str, ...] = ()  # about the images: what the coordinator must look at
    image_notes: tuple[str, ...] = ()  # what was done to the images, counted


@dataclass(frozen=True)
class CohortCount:
    """Cases of one class in one cohort."""

    cohort: str
    class_key: str
    n_cases: int  # without the excluded
    n_patients: int  # without the excluded
    n_excluded: int


@dataclass(frozen=True)
class ViewInfo:
    """What the picture of one view is."""

    name: str  # empty where the manifest has no views
    height: int
    width: int
    bits: int
    is_colour: bool
    pixel_spacing_mm: float | None
    left_side: LeftSide | None
    file_format: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CaseInfo:
    """A case as the coordinator knows it, without the reference standard."""

    case: str
    patient: str
    cohort: str
    centre: str | None
    scanner: str | None
    age_years: float | None
    sex: str | None
    exclusion_reason: str | None
    source_name: str | None
    views: tuple[ViewInfo, ...]  # in the order of the study

    @property
    def image_notes(self) -> tuple[str, ...]:
        """The notes of all views, each once."""
        return tuple(dict.fromkeys(note for view in self.views for note in view.notes))


@dataclass(frozen=True)
class CaseImage:
    """One view of a case, for the model and the coordinator."""

    case: str
    pixels: np.ndarray  # (height, width), uint8 or uint16; in colour (height, width, 3), uint8
    pixel_spacing_mm: float | None
    view: str = ""
    left_side: LeftSide | None = None


@dataclass(frozen=True)
class StudyMember:
    """A reader's part in a study."""

    person: Person
    cohorts: tuple[str, ...]
    arms: tuple[Arm, ...]
    n_presentations: int
    order_seed: int
    order_algorithm: str
    group: int | None = None  # of a crossover: 1 began unaided, 2 aided


@dataclass(frozen=True)
class Deviation:
    """A reader who may read outside of one of the protocol's dates."""

    login: str
    kind: str  # "opens_on", "closes_on" or "washout"
    reason: str
    recorded_by: str  # login
    recorded_at: datetime


@dataclass(frozen=True)
class ReaderProgress:
    """How far one reader is in one cohort and arm; says nothing about right or wrong."""

    person: Person
    cohort: str
    arm: Arm
    n_done: int
    n_total: int
    last_saved_at: datetime | None
    median_reading_seconds: float | None
    password_set: PasswordSet | None = None  # the last time that somebody else gave the reader a password
    is_withdrawn: bool = False


@dataclass(frozen=True)
class ReaderWatch:
    """How one reader gets on in a study; says nothing about right or wrong."""

    person: Person
    n_done: int
    n_total: int
    active_seconds: float  # images in sight, as the browser measured it
    gross_seconds: float  # in front of the study, by the server's clock: pauses within a sitting count
    first_saved_at: datetime | None
    last_saved_at: datetime | None
    last_seen_at: datetime | None  # signed in or saved
    n_deviations: int = 0  # dates of the protocol that were set aside for this reader

    @property
    def expected_end(self) -> datetime | None:
        """When all is read at the pace since the first answer; None before the second, and when all is read."""
        if self.first_saved_at is None or self.last_saved_at is None or not 2 <= self.n_done < self.n_total:
            return None
        pace = (self.last_saved_at - self.first_saved_at) / (self.n_done - 1)
        return self.last_saved_at + pace * (self.n_total - self.n_done)


@dataclass(frozen=True)
class ModelVersion:
    """A trained model, known by the SHA-256 of its file."""

    sha256: str
    name: str
    architecture: str
    path: str
    metadata: dict[str, object]
    registered_at: datetime

    @property
    def can_predict(self) -> bool:
        """Whether there is a model behind it; of some only the predictions were imported."""
        return self.metadata.get("source") != "csv"


@dataclass(frozen=True)
class CasePrediction:
    """What a model says about one case."""

    case: str
    probabilities: np.ndarray  # (k,) float64, in protocol order
    entropy: float  # bits
    is_out_of_distribution: bool
    device: str  # "cpu" or the name of the GPU
    precision: str  # "fp32" or "bf16"
    class_maps: np.ndarray | None = None  # (k, h, w) float16, raw Grad-CAM on a common scale
    created_at: datetime | None = None  # None before it is stored


@dataclass(frozen=True)
class PredictionCount:
    """How many cases of a cohort a model has predicted."""

    model_sha256: str
    model_name: str
    cohort: str
    n_predicted: int
    n_cases: int  # without the excluded
    last_stored_at: datetime | None = field(default=None, compare=False)  # of the cohort


@dataclass(frozen=True)
class ReadingRecord:
    """One row of the readings table, for analysis and export; coordinators only, after unsealing."""

    reading_id: str
    sequence: int  # order of saving that no clock gives
    reader: str  # login
    display_name: str
    is_simulated: bool
    case: str
    cohort: str
    arm: Arm
    position: int
    revision: int
    is_current: bool  # the last revision of its presentation
    class_key: str | None  # None: unreadable
    confidence: int | None  # None: unreadable, or a scale without it
    comment: str
    is_unreadable: bool
    reading_seconds: float | None  # as the panel counted
    saved_at: datetime
    display_state: dict[str, object] = field(default_factory=dict)
    client_events: tuple[ClientEvent, ...] = ()
    server_seconds: float | None = None  # image sent to answer received, on the server's clock
    times: ReadingTimes = field(default_factory=ReadingTimes)
    probabilities: tuple[float, ...] | None = None  # in protocol order, where the scale asks for them
    unreadable_reason: str = ""
    marks: tuple[Mark, ...] = ()
    is_typed_ahead: bool = False
    repeat: int = 1  # 2: the case was shown again without the reader's knowledge
    period: int = 1  # of a crossover
    block: int = 1
    is_training: bool = False  # never analysed
    group: int | None = None  # of a crossover
    is_over_time: bool = False  # answered after the protocol's time-out
    is_altered: bool = False  # aided, and the model answer shown was the declared wrong one
    password_set_by: str | None = None  # who but the reader last gave the password, or the address, before this reading
    is_withdrawn: bool = False  # the reader was withdrawn from the study, before or after this reading


@dataclass(frozen=True)
class PresentationEvents:
    """What a browser saw of a presentation that was left without an answer; coordinators only, after unsealing."""

    reader: str  # login
    case: str
    cohort: str
    arm: Arm
    position: int
    repeat: int
    revision: int  # of the answer that was to be corrected; 0: there was none
    is_answered: bool  # later: then the events of the same draft stand with the reading as well
    draft_id: str  # one draft of an answer in one browser tab
    first_event: int  # place of the first of these events in the list of the draft, from 0
    client_events: tuple[ClientEvent, ...]
    told_at: datetime


@dataclass(frozen=True)
class ReadElsewhere:
    """Where the readings of a study that was read elsewhere came from."""

    files: tuple[tuple[str, str], ...]  # name and SHA-256 of each file
    layout: str  # of the files
    options: dict[str, str]  # what a person said about the files, in the words of the command line
    notes: tuple[str, ...]  # about the files: what was left out, taken as one, kept apart or assumed
    n_rows: int = 0  # stored, in the layout long


@dataclass(frozen=True)
class LiveLook:
    """Somebody compared truth, model and readers before the study was unsealed, as its protocol allows."""

    at: datetime
    login: str
    state: str
    n_readings: dict[str, int]  # presentations answered by then, by reader


@dataclass(frozen=True)
class OrderedCase:
    """A simulated reader's next case with its truth, from which the simulated answer is drawn."""

    presentation: Presentation
    case: str
    cohort: str
    truth: str


@dataclass(frozen=True)
class AuditEvent:
    """Who did what, when; chained to the event before it."""

    sequence: int
    at: datetime
    actor: str  # login, "operator" or "nobody"
    action: str
    study_key: str | None
    detail: dict[str, object]
    prev_hash: str
    hash: str
    signature: str | None = None  # with the key of the data folder; None before there was one


@dataclass(frozen=True)
class AuditHead:
    """Where the audit trail ends: all that a receipt needs."""

    n_events: int
    hash: str  # of the last event

    @property
    def receipt(self) -> str:
        """Text to deposit outside of the institution's hands."""
        return f"{self.n_events}:{self.hash}"


@dataclass(frozen=True)
class AuditCheck:
    """Whether the audit trail is whole and everything that it sealed is as it was."""

    head: AuditHead
    problems: tuple[str, ...]  # what was touched, in words; none if nothing was
    clock_moves: tuple[str, ...] = ()  # when the server's clock was set, in words: no row was touched by that

    @property
    def n_events(self) -> int:
        """Events in the trail."""
        return self.head.n_events

    @property
    def is_intact(self) -> bool:
        """Whether nothing was found."""
        return not self.problems
