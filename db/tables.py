"""The tables, from the image to the reading, as typed SQLAlchemy classes.

What the reading path touches: ``presentation``, ``reading``, ``case_image``, ``image``, ``study``, ``study_member``.
What it never touches: ``reference_standard``, ``lesion_mask``, ``study_case``, ``patient``, ``cohort``, ``prediction``.

Change a table here and write a migration in ``db/migrations/versions``; a test compares the two.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.types import BigNumber, Flag, Json, PlainText, Real, UtcDateTime


class Base(DeclarativeBase):
    """Base of every table."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads a plain dict here
        str: PlainText(),
        int: sa.Integer(),
        float: Real(),
        bool: Flag(),
        datetime: UtcDateTime(),
        bytes: sa.LargeBinary(),
        dict[str, Any]: Json(),
        list[str]: Json(),
        list[float]: Json(),
        list[Any]: Json(),
        list[dict[str, Any]]: Json(),
    }


def _check(name: str, sql: str) -> CheckConstraint:
    """A check constraint with a readable name."""
    return CheckConstraint(sql, name=name)


_STRICT = {"sqlite_strict": True}


class PersonRow(Base):
    """Somebody who can sign in. The role is that of the account; those in studies have tables of their own."""

    __tablename__ = "person"
    __table_args__ = (
        _check("role", "role IN ('administrator', 'coordinator', 'reader', 'statistician')"),
        _check("login", "length(login) BETWEEN 1 AND 200"),
        _check("years", "years_of_experience IS NULL OR years_of_experience >= 0"),
        _STRICT,
    )

    person_id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)  # case-folded
    display_name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str | None]  # argon2id; none: cannot sign in
    is_simulated: Mapped[bool]
    years_of_experience: Mapped[float | None]
    is_active: Mapped[bool]
    created_at: Mapped[datetime]
    specialty: Mapped[str | None]
    site: Mapped[str | None]
    has_used_model: Mapped[bool | None]
    email: Mapped[str | None] = mapped_column(unique=True)  # case-folded
    created_by: Mapped[str | None]  # person_id; none: the command line
    must_change_password: Mapped[bool] = mapped_column(server_default=sa.text("FALSE"))
    reading_keys: Mapped[dict[str, Any] | None]  # what the panel does -> code of the key


class PasswordSetRow(Base):
    """A password that somebody else gave a person, who is therefore not the only one to know it."""

    __tablename__ = "password_set"
    __table_args__ = (_STRICT,)

    password_set_id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.person_id"), index=True)
    set_by: Mapped[str]  # login
    set_at: Mapped[datetime]


class SignInSessionRow(Base):
    """One sign-in. The token itself is only in the person's cookie."""

    __tablename__ = "sign_in_session"
    __table_args__ = (_check("token", "length(token_sha256) = 64"), _STRICT)

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.person_id"), index=True)
    ip: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SignInAttemptRow(Base):
    """Failed sign-ins of one login from one address since the last success."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (_check("failures", "failures >= 0"), _STRICT)

    login: Mapped[str] = mapped_column(primary_key=True)  # as typed, case-folded; need not exist
    ip: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_attempt_at: Mapped[datetime] = mapped_column(index=True)
    next_allowed_at: Mapped[datetime]


class StudyRow(Base):
    """A study and where it stands."""

    __tablename__ = "study"
    __table_args__ = (
        _check("state", "state IN ('draft', 'open', 'closed', 'locked', 'unsealed')"),
        _check("key", "length(study_key) BETWEEN 1 AND 64"),
        _STRICT,
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    study_key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    is_synthetic: Mapped[bool]
    created_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]  # for the first time; what is registered or predicted later is marked for good
    is_read_elsewhere: Mapped[bool] = mapped_column(server_default=sa.false())  # not blinded here; born unsealed


class ProtocolVersionRow(Base):
    """A version of a study's protocol; the highest one counts."""

    __tablename__ = "protocol_version"
    __table_args__ = (_check("version", "version >= 1"), _STRICT)

    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    protocol: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class CohortRow(Base):
    """A named group of cases: training, internal, external."""

    __tablename__ = "cohort"
    __table_args__ = (UniqueConstraint("study_id", "name"), _STRICT)

    cohort_id: Mapped[str] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"))
    name: Mapped[str]


class PatientRow(Base):
    """A patient under the coordinator's pseudonym; belongs to one cohort, so that no patient is in two."""

    __tablename__ = "patient"
    __table_args__ = (UniqueConstraint("study_id", "patient_key"), _STRICT)

    patient_id: Mapped[str] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"))
    cohort_id: Mapped[str] = mapped_column(ForeignKey("cohort.cohort_id"), index=True)
    patient_key: Mapped[str]


class CaseRow(Base):
    """What is read once. The reference standard is in a table of its own."""

    __tablename__ = "study_case"
    __table_args__ = (
        UniqueConstraint("study_id", "case_key"),
        _check("age", "age_years IS NULL OR age_years >= 0"),
        _check("sex", "sex IS NULL OR sex IN ('F', 'M')"),
        _STRICT,
    )

    case_id: Mapped[str] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"))
    cohort_id: Mapped[str] = mapped_column(ForeignKey("cohort.cohort_id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patient.patient_id"), index=True)
    case_key: Mapped[str]  # the coordinator's case id
    centre: Mapped[str | None]
    scanner: Mapped[str | None]
    age_years: Mapped[float | None]
    sex: Mapped[str | None]
    exclusion_reason: Mapped[str | None]
    source_name: Mapped[str | None]


class ReferenceStandardRow(Base):
    """The truth of a case. No method of a reader names this table."""

    __tablename__ = "reference_standard"
    __table_args__ = (_STRICT,)

    case_id: Mapped[str] = mapped_column(ForeignKey("study_case.case_id"), primary_key=True)
    class_key: Mapped[str]
    lesion_mask_png: Mapped[bytes | None]  # of a case imported before masks were kept by view


class ImageRow(Base):
    """Pixels, stored once however often they are used, as a lossless PNG without metadata."""

    __tablename__ = "image"
    __table_args__ = (
        _check("hash", "length(content_sha256) = 64"),
        _check("size", "width >= 1 AND height >= 1"),
        _check("bits", "bits IN (8, 16)"),
        _check("png", "length(png) > 0"),
        _STRICT,
    )

    image_id: Mapped[str] = mapped_column(primary_key=True)
    content_sha256: Mapped[str] = mapped_column(unique=True)  # of shape, depth and pixels
    height: Mapped[int]
    width: Mapped[int]
    bits: Mapped[int]
    png: Mapped[bytes]


class CaseImageRow(Base):
    """A view of a case; every case of a study that is read has the same views."""

    __tablename__ = "case_image"
    __table_args__ = (
        _check("view", "view_number >= 1"),
        _check("left_side", "left_side IS NULL OR left_side IN ('image-left', 'image-right')"),
        _check("spacing", "pixel_spacing_mm IS NULL OR pixel_spacing_mm > 0"),
        _STRICT,
    )

    case_id: Mapped[str] = mapped_column(ForeignKey("study_case.case_id"), primary_key=True)
    view_number: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("image.image_id"), index=True)
    pixel_spacing_mm: Mapped[float | None]
    file_format: Mapped[str | None]  # "JPEG", "PNG", "DICOM"; none: from no file, or stored before this was kept
    notes: Mapped[list[str]] = mapped_column(server_default="[]")  # what reading the file changed or found odd
    view_name: Mapped[str] = mapped_column(server_default="")  # such as "anterior"; one name a number in a study
    is_colour: Mapped[bool] = mapped_column(server_default=sa.false())
    left_side: Mapped[str | None]  # where the patient's left lies


class LesionMaskRow(Base):
    """Where the lesion is in one view: part of the truth, which no method of a reader names."""

    __tablename__ = "lesion_mask"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["case_id", "view_number"], ["case_image.case_id", "case_image.view_number"], name="fk_lesion_mask_view"
        ),
        _check("png", "length(png) > 0"),
        _STRICT,
    )

    case_id: Mapped[str] = mapped_column(primary_key=True)
    view_number: Mapped[int] = mapped_column(primary_key=True)
    png: Mapped[bytes]  # 0 and 255


class StudyMemberRow(Base):
    """A reader's part in a study, and what his or her order was made from."""

    __tablename__ = "study_member"
    __table_args__ = (_check("group", "reader_group IS NULL OR reader_group IN (1, 2)"), _STRICT)

    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.person_id"), primary_key=True)
    cohorts: Mapped[list[str]]
    arms: Mapped[list[str]]
    order_seed: Mapped[int] = mapped_column(BigNumber)
    order_algorithm: Mapped[str]
    added_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]  # reads no more; the readings stay
    reader_group: Mapped[int | None]  # of a crossover: 1 begins unaided, 2 begins aided


class StudyRoleRow(Base):
    """A coordinator's or a statistician's part in a study. One that ended stays: who has coordinated never reads."""

    __tablename__ = "study_role"
    __table_args__ = (_check("role", "role IN ('coordinator', 'statistician')"), _STRICT)

    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.person_id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    added_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class InvitationRow(Base):
    """A link that lets one person make one account. The token itself is only in the link."""

    __tablename__ = "invitation"
    __table_args__ = (
        _check("role", "role IN ('administrator', 'coordinator', 'reader', 'statistician')"),
        _check("token", "length(token_sha256) = 64"),
        _STRICT,
    )

    invitation_id: Mapped[str] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    note: Mapped[str]  # for whom, as the coordinator calls him or her
    role: Mapped[str]
    study_id: Mapped[str | None] = mapped_column(ForeignKey("study.study_id"), index=True)
    cohorts: Mapped[list[str]]  # what a reader will read
    arms: Mapped[list[str]]  # none: all of the protocol
    created_by: Mapped[str | None] = mapped_column(ForeignKey("person.person_id"))  # none: the command line
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str | None] = mapped_column(ForeignKey("person.person_id"))


class PresentationRow(Base):
    """One case before one reader in one arm at one place of that reader's order."""

    __tablename__ = "presentation"
    __table_args__ = (
        UniqueConstraint("study_id", "person_id", "position"),
        UniqueConstraint("study_id", "person_id", "case_id", "arm", "repeat"),
        sa.ForeignKeyConstraint(
            ["study_id", "person_id"],
            ["study_member.study_id", "study_member.person_id"],
            name="fk_presentation_member",
        ),
        _check("arm", "arm IN ('unaided', 'aided')"),
        _check("position", "position >= 1"),
        _check("repeat", "repeat >= 1"),
        _check("period", "period IN (1, 2)"),
        _check("block", "block >= 1"),
        _STRICT,
    )

    presentation_id: Mapped[str] = mapped_column(primary_key=True)  # random; names nothing
    study_id: Mapped[str]
    person_id: Mapped[str]
    case_id: Mapped[str] = mapped_column(ForeignKey("study_case.case_id"), index=True)
    arm: Mapped[str]
    repeat: Mapped[int]  # 2: shown again, without the reader's knowledge
    position: Mapped[int]
    period: Mapped[int] = mapped_column(server_default="1")  # of a crossover
    block: Mapped[int] = mapped_column(server_default="1")  # counted through the whole order; training is one
    is_training: Mapped[bool] = mapped_column(server_default=sa.false())  # with feedback, never analysed


class ReadingRow(Base):
    """An answer. Append-only: triggers refuse UPDATE, DELETE, TRUNCATE and a replacing INSERT."""

    __tablename__ = "reading"
    __table_args__ = (
        UniqueConstraint("presentation_id", "revision"),
        _check("revision", "revision >= 1"),
        _check("class", "class_key IS NULL OR length(class_key) > 0"),
        _check("answer", "class_key IS NOT NULL OR is_unreadable"),
        _check("confidence", "confidence IS NULL OR confidence >= 0"),
        _check("seconds", "reading_seconds IS NULL OR reading_seconds >= 0"),
        _check("submit", "length(submit_id) BETWEEN 1 AND 100"),
        {"sqlite_strict": True, "sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(BigNumber, primary_key=True, autoincrement=True)  # order that no clock gives
    reading_id: Mapped[str] = mapped_column(unique=True)
    presentation_id: Mapped[str] = mapped_column(ForeignKey("presentation.presentation_id"))
    revision: Mapped[int]
    submit_id: Mapped[str] = mapped_column(unique=True)
    class_key: Mapped[str | None]  # none: unreadable
    confidence: Mapped[int | None]  # none: unreadable, or a scale without it
    comment: Mapped[str]
    is_unreadable: Mapped[bool]
    reading_seconds: Mapped[float | None]
    display_state: Mapped[dict[str, Any]]
    client_events: Mapped[list[Any]] = mapped_column(server_default="[]")  # core.client_events, as the panel sent them
    saved_at: Mapped[datetime]
    probabilities: Mapped[list[float] | None]  # in class order, summing to 1, where the scale asks for them
    unreadable_reason: Mapped[str] = mapped_column(server_default="")
    marks: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")  # x, y in pixels of the image, rating
    is_typed_ahead: Mapped[bool] = mapped_column(server_default=sa.false())  # keys came before the image was drawn


class PresentationEventRow(Base):
    """What a browser saw of a presentation that was left without an answer. Append-only, as a reading is.

    A browser has one list of events for each draft of an answer; a row is what was new in it, from ``first_event`` on.
    If the draft is answered after all, its reading has the whole list.
    """

    __tablename__ = "presentation_event"
    __table_args__ = (
        UniqueConstraint("presentation_id", "draft_id", "first_event"),
        _check("revision", "revision >= 0"),
        _check("first", "first_event >= 0"),
        _check("draft", "length(draft_id) BETWEEN 1 AND 100"),
        _STRICT,
    )

    presentation_event_id: Mapped[str] = mapped_column(primary_key=True)
    presentation_id: Mapped[str] = mapped_column(ForeignKey("presentation.presentation_id"))
    revision: Mapped[int]  # of the answer that was to be corrected; 0: there was none
    draft_id: Mapped[str]  # the browser's name of the draft
    first_event: Mapped[int]  # from 0
    client_events: Mapped[list[Any]]  # core.client_events, as the panel sent them
    told_at: Mapped[datetime]


class ElsewhereReadingRow(Base):
    """One line, in the layout ``long``, of readings that were made elsewhere. Append-only, as a reading is."""

    __tablename__ = "elsewhere_reading"
    __table_args__ = (_check("number", "row_number >= 1"), _STRICT)

    study_id: Mapped[str] = mapped_column(ForeignKey("study.study_id"), primary_key=True)
    row_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]]  # column -> text, without empty fields


class RevealRow(Base):
    """That a reader was shown the model's answer, or the truth of a training case: from then on an answer is final."""

    __tablename__ = "reveal"
    __table_args__ = (_check("what", "what IN ('model', 'truth')"), _STRICT)

    presentation_id: Mapped[str] = mapped_column(ForeignKey("presentation.presentation_id"), primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    revealed_at: Mapped[datetime]  # for the first time; every time stands in the trail


class DeviationRow(Base):
    """A coordinator lets one reader read outside of the protocol's dates, for a reason."""

    __tablename__ = "deviation"
    __table_args__ = (
        _check("kind", "kind IN ('washout', 'opens_on', 'closes_on')"),
        _check("reason", "length(reason) > 0"),
        sa.ForeignKeyConstraint(
            ["study_id", "person_id"],
            ["study_member.study_id", "study_member.person_id"],
            name="fk_deviation_member",
        ),
        _STRICT,
    )

    study_id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    recorded_by: Mapped[str]  # login
    recorded_at: Mapped[datetime]


class AlteredAnswerRow(Base):
    """A model answer, wrong on purpose, that aided readers are shown instead of the model's own: automation bias."""

    __tablename__ = "altered_answer"
    __table_args__ = (_STRICT,)

    case_id: Mapped[str] = mapped_column(ForeignKey("study_case.case_id"), primary_key=True)
    probabilities: Mapped[list[float]]  # in protocol order


class ModelVersionRow(Base):
    """A trained model, known by the SHA-256 of its file."""

    __tablename__ = "model_version"
    __table_args__ = (_check("hash", "length(sha256) = 64"), _STRICT)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    architecture: Mapped[str]
    path: Mapped[str]
    model_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    registered_at: Mapped[datetime]


class PredictionRow(Base):
    """What one model says about one case. Append-only, as a reading is."""

    __tablename__ = "prediction"
    __table_args__ = (
        _check("entropy", "entropy >= 0"),
        _check("maps", "(class_maps IS NULL) = (class_maps_shape IS NULL)"),
        _STRICT,
    )

    model_sha256: Mapped[str] = mapped_column(ForeignKey("model_version.sha256"), primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("study_case.case_id"), primary_key=True, index=True)
    probabilities: Mapped[list[float]]  # in protocol order
    class_maps: Mapped[bytes | None]  # little-endian float16, C order
    class_maps_shape: Mapped[str | None]  # "k,h,w"
    entropy: Mapped[float]
    is_out_of_distribution: Mapped[bool]
    device: Mapped[str]
    precision: Mapped[str]
    created_at: Mapped[datetime]
    event_sequence: Mapped[int | None] = mapped_column(BigNumber)  # the audit event that sealed it


class SealLeavesRow(Base):
    """The hash of each row behind a seal, by name, so that a row that was touched can be named; the seal follows."""

    __tablename__ = "seal_leaves"
    __table_args__ = (_check("hash", "length(sha256) = 64"), _STRICT)

    sha256: Mapped[str] = mapped_column(primary_key=True)  # of the seal
    leaves: Mapped[dict[str, Any]]


class AuditEventRow(Base):
    """Who did what, when. Append-only, and each event carries the hash of the one before it."""

    __tablename__ = "audit_event"
    __table_args__ = (
        _check("sequence", "sequence >= 1"),
        _check("hashes", "length(prev_hash) = 64 AND length(hash) = 64"),
        _STRICT,
    )

    sequence: Mapped[int] = mapped_column(BigNumber, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    study_key: Mapped[str | None] = mapped_column(index=True)
    detail: Mapped[dict[str, Any]]
    prev_hash: Mapped[str] = mapped_column(unique=True)  # the chain cannot fork
    hash: Mapped[str] = mapped_column(unique=True)
    signature: Mapped[str | None]  # of the hash, with the key of the data folder
