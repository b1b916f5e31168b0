"""Invitations: a link, for one person and one time, to make an account and take a part in a study."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, InputError, NotFoundError
from core.study import Person, Role, StudyState
from core.typed_text import check_line
from db.records import Invitation, InvitationOffer, NewInvitation
from db.repository.access import OPERATOR, allowed, holds, new_id, person_of, require_state, token_hash
from db.repository.members import MemberRepository, chosen_cohorts
from db.repository.people import PeopleRepository, checked_person
from db.repository.study_roles import StudyRoleRepository
from db.tables import InvitationRow, PersonRow, StudyRow
from db.ways_in import commitment

#: Days that an invitation holds.
DAYS, MOST_DAYS = 14, 90

_LONGEST_NOTE = 200
_NOT_USABLE = "This invitation cannot be used: it was used before, taken back, or has expired. Ask for a new one."


class InvitationRepository(PeopleRepository, StudyRoleRepository, MemberRepository):
    """Made and taken back by coordinators and administrators, used by whoever has the link."""

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def invite(
        self,
        role: Role,
        note: str,
        *,
        study_key: str | None = None,
        cohorts: Sequence[str] | None = None,
        days: float = DAYS,
    ) -> NewInvitation:
        """Make an invitation; its token is given this once and stored as a hash.

        Parameters
        ----------
        role : Role
            Part in the study, or without a study what the account is for.
        note : str
            For whom, in the coordinator's own words.
        study_key : str, optional
            A study that the actor coordinates.
        cohorts : sequence of str, optional
            What a reader will read; as :meth:`add_reader`.
        days : float
            How long it holds.

        Raises
        ------
        InputError
            Without a note, for a time that will not do, cohorts of no reader, an administrator in a study.
        NotFoundError
            No such study or cohort.
        AccessError
            If somebody else than an administrator invites an administrator.
        ConflictError
            If the study takes no more readers.
        """
        note = note.strip()
        if not 1 <= len(note) <= _LONGEST_NOTE:
            raise InputError("an invitation needs a note for whom it is", field="note", fix="such as: Dr Ben, Ulm")
        check_line(note, "note", longest=_LONGEST_NOTE)
        if not 0 < days <= MOST_DAYS:
            raise InputError(f"an invitation holds up to {MOST_DAYS} days", field="days", value=days, fix="such as: 14")
        if role is Role.ADMINISTRATOR and self._me.role is not Role.ADMINISTRATOR:
            raise AccessError("Only an administrator makes an administrator.")
        if role is Role.ADMINISTRATOR and study_key is not None:
            raise InputError("an administrator has no part in a study", field="role", value=str(role))
        if cohorts is not None and (role is not Role.READER or study_key is None):
            raise InputError("only a reader of a study has cohorts", field="cohorts", value=list(cohorts))
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._writing() as db_session:
            study = None if study_key is None else self._study_row(db_session, study_key)
            chosen: list[str] = []
            if study is not None and role is Role.READER:
                _require_room(study)
                chosen = chosen_cohorts(db_session, study, self._protocol(db_session, study), cohorts)
            row = InvitationRow(
                invitation_id=new_id(),
                token_sha256=token_hash(token),
                note=note,
                role=str(role),
                study_id=None if study is None else study.study_id,
                cohorts=chosen if cohorts is not None else [],
                arms=[],
                created_by=None if self._me == OPERATOR else self._me.person_id,
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
            db_session.add(row)
            self._audit(
                db_session,
                "invitation.create",
                study_key,
                invitation=row.invitation_id,
                note=note,
                role=row.role,
                cohorts=row.cohorts,
                expires_at=row.expires_at.isoformat(),
                code=commitment("invitation", row.token_sha256),
            )
            return NewInvitation(row.invitation_id, token, row.expires_at)

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def invitations(self) -> list[Invitation]:
        """Those that the actor made, and those to studies that he or she coordinates, newest first."""
        with self._reading() as db_session:
            query = (
                sa.select(InvitationRow, StudyRow.study_key, PersonRow.login)
                .outerjoin(StudyRow, StudyRow.study_id == InvitationRow.study_id)
                .outerjoin(PersonRow, PersonRow.person_id == InvitationRow.used_by)
                .where(self._is_my_invitation())
                .order_by(InvitationRow.created_at.desc(), InvitationRow.invitation_id)
            )
            return [
                Invitation(
                    invitation_id=row.invitation_id,
                    note=row.note,
                    role=Role(row.role),
                    study_key=key,
                    cohorts=tuple(row.cohorts),
                    created_at=row.created_at,
                    expires_at=row.expires_at,
                    revoked_at=row.revoked_at,
                    used_at=row.used_at,
                    used_by=login,
                )
                for row, key, login in db_session.execute(query)
            ]

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def revoke_invitation(self, invitation_id: str) -> None:
        """Take back an invitation that was not used.

        Raises
        ------
        NotFoundError
            If there is none that could still be used.
        """
        with self._writing() as db_session:
            row = db_session.scalars(
                sa.update(InvitationRow)
                .where(InvitationRow.invitation_id == invitation_id, self._is_my_invitation())
                .where(InvitationRow.used_at.is_(None), InvitationRow.revoked_at.is_(None))
                .values(revoked_at=self._clock())
                .returning(InvitationRow)
                .execution_options(synchronize_session=False)
            ).first()
            if row is None:
                raise NotFoundError("There is no such invitation that could still be used.")
            study = None if row.study_id is None else db_session.get_one(StudyRow, row.study_id).study_key
            self._audit(db_session, "invitation.revoke", study, invitation=invitation_id)

    @allowed()
    def invitation_offer(self, token: str) -> InvitationOffer | None:
        """What an invitation is for; None if it cannot be used."""
        with self._reading() as db_session:
            row = db_session.scalars(sa.select(InvitationRow).where(*self._is_usable(token))).first()
            if row is None or not self._is_inviter_still_entitled(db_session, row):
                return None
            title = None
            if row.study_id is not None:
                title = self._protocol(db_session, db_session.get_one(StudyRow, row.study_id)).title
            return InvitationOffer(Role(row.role), title, row.expires_at)

    @allowed()
    def accept_invitation(
        self,
        token: str,
        login: str,
        display_name: str,
        password: str,
        *,
        years_of_experience: float | None = None,
        specialty: str | None = None,
        site: str | None = None,
        has_used_model: bool | None = None,
    ) -> Person:
        """Make the invited person's account, with a password that nobody else ever knew, and the part in the study.

        All of it or nothing; of two at once, one.

        Raises
        ------
        AccessError
            If the invitation was used, taken back or has expired.
        InputError, ConflictError
            If login, name, password or description will not do, or the study takes no more readers; the invitation
            can still be used.
        """
        offer = self.invitation_offer(token)
        if offer is None:
            raise AccessError(_NOT_USABLE)
        person = checked_person(
            Person(
                new_id(),
                login,
                display_name,
                offer.role,
                years_of_experience=years_of_experience,
                specialty=specialty,
                site=site,
                has_used_model=has_used_model,
            )
        )
        password_hash = self._new_hash(person, password)
        with self._writing() as db_session:
            row = db_session.scalars(
                sa.update(InvitationRow)
                .where(*self._is_usable(token))
                .values(used_at=self._clock())
                .returning(InvitationRow)
                .execution_options(synchronize_session=False)
            ).first()
            if row is None or not self._is_inviter_still_entitled(db_session, row):
                raise AccessError(_NOT_USABLE)
            # Before the end of the trail, as in every other deed: else two would wait for each other.
            study = None if row.study_id is None else db_session.get_one(StudyRow, row.study_id, with_for_update=True)
            self.actor = person  # a deed of the invited person, from here on
            made = self._add_person(db_session, person, password_hash, invited_by=row.created_by)
            if study is not None and person.role is Role.READER:
                _require_room(study)
                self._enrol(db_session, study, made, cohorts=row.cohorts or None)
            elif study is not None:
                self._add_part(db_session, study, made, person.role)
            db_session.execute(
                sa.update(InvitationRow)
                .where(InvitationRow.invitation_id == row.invitation_id)
                .values(used_by=made.person_id)
            )
            self._audit(
                db_session,
                "invitation.use",
                None if study is None else study.study_key,
                invitation=row.invitation_id,
                login=made.login,
                code=commitment("invitation", row.token_sha256),
            )
            return replace(person_of(made), roles=frozenset({person.role}))

    def _is_usable(self, token: str) -> tuple[sa.ColumnElement[bool], ...]:
        """Condition: the invitation of this token, neither used nor taken back nor expired."""
        return (
            InvitationRow.token_sha256 == token_hash(token),
            InvitationRow.used_at.is_(None),
            InvitationRow.revoked_at.is_(None),
            InvitationRow.expires_at > self._clock(),
        )

    def _is_my_invitation(self) -> sa.ColumnElement[bool]:
        """Condition: one that the actor may see and take back."""
        if self._me.role is Role.ADMINISTRATOR:
            return sa.true()
        return sa.or_(InvitationRow.created_by == self._me.person_id, InvitationRow.study_id.in_(self._my_study_ids()))

    @staticmethod
    def _is_inviter_still_entitled(db_session: Session, row: InvitationRow) -> bool:
        """Whether who invited could still do so: active, and coordinator of the study or administrator."""
        if row.created_by is None:
            return True
        may = sa.or_(
            PersonRow.role == str(Role.ADMINISTRATOR),
            sa.true() if row.study_id is None else holds(Role.COORDINATOR, PersonRow.person_id, row.study_id),
        )
        query = sa.select(PersonRow.login).where(
            PersonRow.person_id == row.created_by, PersonRow.is_active == sa.true()
        )
        return db_session.scalar(query.where(may)) is not None


def _require_room(study: StudyRow) -> None:
    """Refuse a reader whom the study cannot take any more."""
    require_state(study, "adding a reader", StudyState.DRAFT, StudyState.OPEN)
