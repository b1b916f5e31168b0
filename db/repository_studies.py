"""The coordinator's study: its protocol and state, its readers and cases, and how far everybody is."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from statistics import median

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError, InputError, NotFoundError
from core.imaging import decode_png
from core.study import (
    READING_ORDER_ALGORITHM,
    STATE_MOVES,
    Arm,
    Protocol,
    Role,
    Study,
    StudyState,
)
from db.protocols import protocol_to_json
from db.records import CaseImage, CaseInfo, CohortCount, ReaderProgress, StudyMember
from db.repository_base import RepositoryBase, allowed, new_id, person_of, require_state, require_synthetic
from db.repository_order import make_all_orders, make_order
from db.tables import (
    CaseImageRow,
    CaseRow,
    CohortRow,
    ImageRow,
    ModelVersionRow,
    PatientRow,
    PersonRow,
    PresentationRow,
    ProtocolVersionRow,
    ReadingRow,
    ReferenceStandardRow,
    StudyMemberRow,
    StudyRow,
)
from db.types import canonical_json

_STUDY_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class StudyRepository(RepositoryBase):
    """Studies, members, cases, progress."""

    @allowed(Role.COORDINATOR, Role.READER)
    def study(self, study_key: str) -> Study:
        """One study; for a reader only one that he or she takes part in.

        Raises
        ------
        NotFoundError
            If there is none, or none for this reader.
        """
        with self._reading() as db_session:
            return self._study(db_session, self._study_row(db_session, study_key))

    @allowed(Role.COORDINATOR)
    def studies(self) -> list[Study]:
        """All studies, oldest first."""
        with self._reading() as db_session:
            rows = db_session.scalars(sa.select(StudyRow).order_by(StudyRow.created_at, StudyRow.study_key))
            return [self._study(db_session, row) for row in rows]

    @allowed(Role.COORDINATOR)
    def create_study(self, study_key: str, protocol: Protocol, *, is_synthetic: bool = False) -> Study:
        """Begin a study in state draft.

        Raises
        ------
        InputError
            If the key will not do.
        ConflictError
            If the key is taken.
        NotFoundError
            If the protocol declares a model that is not registered.
        """
        if _STUDY_KEY.fullmatch(study_key) is None:
            raise InputError(
                "not a study key",
                field="study",
                value=study_key,
                fix="use 1 to 40 small letters, digits and -, beginning with a letter or digit",
            )
        with self._writing() as db_session:
            if db_session.scalar(sa.select(StudyRow.study_id).where(StudyRow.study_key == study_key)) is not None:
                raise ConflictError(f"There is a study '{study_key}' already.")
            now = self._clock()
            row = StudyRow(
                study_id=new_id(),
                study_key=study_key,
                state=str(StudyState.DRAFT),
                is_synthetic=is_synthetic,
                created_at=now,
            )
            db_session.add(row)
            db_session.flush()
            self._add_protocol(db_session, row, protocol, 1, now)
            self._audit(
                db_session, "study.create", study_key, protocol=protocol_to_json(protocol), is_synthetic=is_synthetic
            )
            return self._study(db_session, row)

    @allowed(Role.COORDINATOR)
    def update_protocol(self, study_key: str, protocol: Protocol) -> Study:
        """Store a new version of the protocol of a draft; readers' orders are made again.

        Raises
        ------
        ConflictError
            If the study is no draft, or a stored case has a class that the new protocol lacks.
        NotFoundError
            If the protocol declares a model that is not registered.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "changing the protocol", StudyState.DRAFT)
            used = set(
                db_session.scalars(
                    sa.select(ReferenceStandardRow.class_key)
                    .join(CaseRow, CaseRow.case_id == ReferenceStandardRow.case_id)
                    .where(CaseRow.study_id == row.study_id)
                    .distinct()
                )
            )
            lacking = sorted(used - set(protocol.class_keys))
            if lacking:
                raise ConflictError(f"Stored cases have classes that the new protocol lacks: {', '.join(lacking)}.")
            version = self._study(db_session, row).protocol_version + 1
            self._add_protocol(db_session, row, protocol, version, self._clock())
            make_all_orders(db_session, row, protocol)
            self._audit(db_session, "study.protocol", study_key, version=version, protocol=protocol_to_json(protocol))
            return self._study(db_session, row)

    @allowed(Role.COORDINATOR)
    def set_state(self, study_key: str, state: StudyState) -> Study:
        """Move a study on. Closing and unsealing write a digest of all readings into the audit trail.

        Raises
        ------
        ConflictError
            If the study cannot move there, or has nothing to read.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            before = StudyState(row.state)
            if state not in STATE_MOVES[before]:
                moves = " or ".join(STATE_MOVES[before]) or "nowhere"
                raise ConflictError(f"Study '{study_key}' is {before}; it can move to {moves}, not to {state}.")
            if state is StudyState.OPEN and not _has_included_case(db_session, row):
                raise ConflictError(f"Study '{study_key}' has no case to read. Fix: import cases first.")
            row.state = str(state)
            detail: dict[str, object] = {"from": str(before), "to": str(state)}
            if state in (StudyState.CLOSED, StudyState.UNSEALED):
                detail["n_readings"], detail["readings_sha256"] = readings_digest(db_session, row)
            self._audit(db_session, "study.state", study_key, **detail)
            return self._study(db_session, row)

    @allowed(Role.COORDINATOR)
    def add_reader(
        self, study_key: str, login: str, *, cohorts: Sequence[str], arms: Sequence[Arm] | None = None
    ) -> StudyMember:
        """Let a reader take part and store his or her order; in a draft, a second call replaces the first.

        Parameters
        ----------
        study_key, login : str
            A study in state draft or open; a person with role reader.
        cohorts : sequence of str
            What to read; the cohorts are mixed.
        arms : sequence of Arm, optional
            In this order; all arms of the protocol unless said otherwise.

        Raises
        ------
        NotFoundError
            No such person or cohort.
        AccessError
            A simulated reader, and the study is not synthetic.
        ConflictError
            The person is no reader, or takes part already in an open study.
        InputError
            No cohort, or an arm that the protocol lacks.
        """
        with self._writing() as db_session:
            row = self._study_row(db_session, study_key, lock=True)
            require_state(row, "adding a reader", StudyState.DRAFT, StudyState.OPEN)
            protocol = self._protocol(db_session, row)
            chosen = tuple(dict.fromkeys(arms if arms is not None else protocol.arms))
            if not cohorts:
                raise InputError("a reader needs at least one cohort", field="cohorts")
            if not chosen or not set(chosen) <= set(protocol.arms):
                raise InputError("an arm that the protocol lacks", field="arms", value=[str(arm) for arm in chosen])
            person = db_session.scalars(sa.select(PersonRow).where(PersonRow.login == login.strip().casefold())).first()
            if person is None:
                raise NotFoundError(f"There is no person with login '{login}'.")
            if person.role != Role.READER:
                raise ConflictError(f"'{login}' is a {person.role}; only a reader reads.")
            if person.is_simulated:
                require_synthetic(row)
            member = db_session.get(StudyMemberRow, (row.study_id, person.person_id))
            if member is None:
                member = StudyMemberRow(study_id=row.study_id, person_id=person.person_id, added_at=self._clock())
                db_session.add(member)
            elif row.state != StudyState.DRAFT:
                raise ConflictError(f"'{login}' takes part in study '{study_key}' already.")
            member.cohorts = list(dict.fromkeys(cohorts))
            member.arms = [str(arm) for arm in chosen]
            member.order_seed = protocol.order_seed
            member.order_algorithm = READING_ORDER_ALGORITHM
            db_session.flush()
            count = make_order(db_session, row, protocol, person, member.cohorts, chosen)
            self._audit(
                db_session,
                "study.reader",
                study_key,
                login=person.login,
                cohorts=member.cohorts,
                arms=member.arms,
                n_presentations=count,
                order_seed=protocol.order_seed,
                order_algorithm=READING_ORDER_ALGORITHM,
            )
            return _member_of(member, person, count)

    @allowed(Role.COORDINATOR)
    def members(self, study_key: str) -> list[StudyMember]:
        """The readers of a study, by login."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            counts = dict(
                db_session.execute(
                    sa.select(PresentationRow.person_id, sa.func.count())
                    .where(PresentationRow.study_id == row.study_id)
                    .group_by(PresentationRow.person_id)
                ).all()
            )
            found = db_session.execute(
                sa.select(StudyMemberRow, PersonRow)
                .join(PersonRow, PersonRow.person_id == StudyMemberRow.person_id)
                .where(StudyMemberRow.study_id == row.study_id)
                .order_by(PersonRow.login)
            )
            return [_member_of(member, person, counts.get(person.person_id, 0)) for member, person in found]

    @allowed(Role.COORDINATOR)
    def cohorts(self, study_key: str) -> list[str]:
        """Names of the cohorts, sorted."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            return list(
                db_session.scalars(
                    sa.select(CohortRow.name).where(CohortRow.study_id == row.study_id).order_by(CohortRow.name)
                )
            )

    @allowed(Role.COORDINATOR)
    def case_counts(self, study_key: str) -> list[CohortCount]:
        """Cases per cohort and class, as the coordinator's own manifest had them."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            is_excluded = CaseRow.exclusion_reason.is_not(None)
            counts = db_session.execute(
                sa.select(
                    CohortRow.name,
                    ReferenceStandardRow.class_key,
                    sa.func.count(sa.case((~is_excluded, 1))),
                    sa.func.count(sa.distinct(sa.case((~is_excluded, CaseRow.patient_id)))),
                    sa.func.count(sa.case((is_excluded, 1))),
                )
                .join(CaseRow, CaseRow.cohort_id == CohortRow.cohort_id)
                .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
                .where(CohortRow.study_id == row.study_id)
                .group_by(CohortRow.name, ReferenceStandardRow.class_key)
            )
            order = self._protocol(db_session, row).class_keys
            found = [CohortCount(*values) for values in counts]
            return sorted(found, key=lambda count: (count.cohort, order.index(count.class_key)))

    @allowed(Role.COORDINATOR)
    def cases(self, study_key: str, cohort: str | None = None) -> list[CaseInfo]:
        """Cases of a study without their truth, by case id."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            query = (
                sa.select(CaseRow, PatientRow.patient_key, CohortRow.name, CaseImageRow.pixel_spacing_mm)
                .add_columns(ImageRow.height, ImageRow.width, ImageRow.bits)
                .join(PatientRow, PatientRow.patient_id == CaseRow.patient_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .join(CaseImageRow, (CaseImageRow.case_id == CaseRow.case_id) & (CaseImageRow.view_number == 1))
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseRow.study_id == row.study_id)
                .order_by(CaseRow.case_key)
            )
            if cohort is not None:
                query = query.where(CohortRow.name == cohort)
            return [
                CaseInfo(
                    case=case.case_key,
                    patient=patient,
                    cohort=name,
                    centre=case.centre,
                    scanner=case.scanner,
                    age_years=case.age_years,
                    sex=case.sex,
                    exclusion_reason=case.exclusion_reason,
                    source_name=case.source_name,
                    height=height,
                    width=width,
                    bits=bits,
                    pixel_spacing_mm=spacing,
                )
                for case, patient, name, spacing, height, width, bits in db_session.execute(query)
            ]

    @allowed(Role.COORDINATOR)
    def case_image(self, study_key: str, case: str) -> CaseImage:
        """Pixels of one case.

        Raises
        ------
        NotFoundError
            If the study has no such case.
        """
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            found = db_session.execute(
                sa.select(ImageRow.png, CaseImageRow.pixel_spacing_mm)
                .join(CaseImageRow, CaseImageRow.image_id == ImageRow.image_id)
                .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
                .where(CaseRow.study_id == row.study_id, CaseRow.case_key == case, CaseImageRow.view_number == 1)
            ).first()
        if found is None:
            raise NotFoundError(f"Study '{study_key}' has no case '{case}'.")
        return CaseImage(case=case, pixels=decode_png(found.png), pixel_spacing_mm=found.pixel_spacing_mm)

    @allowed(Role.COORDINATOR)
    def progress(self, study_key: str) -> list[ReaderProgress]:
        """How far each reader is, per cohort and arm; times are of first answers. Never says right or wrong."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            found = db_session.execute(
                sa.select(PersonRow, CohortRow.name, PresentationRow.arm, PresentationRow.presentation_id)
                .add_columns(ReadingRow.revision, ReadingRow.reading_seconds, ReadingRow.saved_at)
                .select_from(PresentationRow)
                .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
                .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .outerjoin(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
                .where(PresentationRow.study_id == row.study_id)
            )
            people = {}
            totals: dict[tuple[str, str, str], set[str]] = defaultdict(set)
            seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
            done: dict[tuple[str, str, str], int] = defaultdict(int)
            last: dict[tuple[str, str, str], datetime] = {}
            for person, cohort, arm, presentation_id, revision, taken, saved_at in found:
                people[person.login] = person_of(person)
                key = (person.login, cohort, arm)
                totals[key].add(presentation_id)
                if revision is None:
                    continue
                last[key] = max(saved_at, last.get(key, saved_at))
                if revision == 1:
                    done[key] += 1
                    if taken is not None:
                        seconds[key].append(taken)
        return [
            ReaderProgress(
                person=people[login],
                cohort=cohort,
                arm=Arm(arm),
                n_done=done[login, cohort, arm],
                n_total=len(totals[login, cohort, arm]),
                last_saved_at=last.get((login, cohort, arm)),
                median_reading_seconds=median(seconds[login, cohort, arm]) if seconds[login, cohort, arm] else None,
            )
            for login, cohort, arm in sorted(totals)
        ]

    def _add_protocol(
        self, db_session: Session, row: StudyRow, protocol: Protocol, version: int, created_at: datetime
    ) -> None:
        """Store a version of the protocol."""
        declared = protocol.model_sha256
        if declared is not None and db_session.get(ModelVersionRow, declared) is None:
            raise NotFoundError(f"There is no model '{declared}' to declare. Fix: register it first.")
        db_session.add(
            ProtocolVersionRow(
                study_id=row.study_id, version=version, protocol=protocol_to_json(protocol), created_at=created_at
            )
        )
        db_session.flush()


def _member_of(member: StudyMemberRow, person: PersonRow, count: int) -> StudyMember:
    """A reader's part in a study."""
    return StudyMember(
        person=person_of(person),
        cohorts=tuple(member.cohorts),
        arms=tuple(Arm(arm) for arm in member.arms),
        n_presentations=count,
        order_seed=member.order_seed,
        order_algorithm=member.order_algorithm,
    )


def _has_included_case(db_session: Session, study: StudyRow) -> bool:
    """Whether there is anything to read."""
    query = sa.select(CaseRow.case_id).where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
    return db_session.scalar(query.limit(1)) is not None


def readings_digest(db_session: Session, study: StudyRow) -> tuple[int, str]:
    """Number of readings of a study and SHA-256 over all of them, in the order of saving."""
    rows = db_session.scalars(
        sa.select(ReadingRow)
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .where(PresentationRow.study_id == study.study_id)
        .order_by(ReadingRow.sequence)
    )
    digest, count = hashlib.sha256(), 0
    for row in rows:
        values = {name: getattr(row, name) for name in ReadingRow.__table__.columns.keys()}  # noqa: SIM118 - a collection
        values["saved_at"] = row.saved_at.isoformat(timespec="microseconds")
        digest.update(canonical_json(values).encode() + b"\n")
        count += 1
    return count, digest.hexdigest()
