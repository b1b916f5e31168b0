"""People: who they are, their passwords, and how they are let out again."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, ChangedMeanwhileError, ConflictError, InputError, NotFoundError
from core.natural_order import natural_key
from core.study import Person, Role, StudyState
from core.typed_text import check_line
from db.password_hashing import check_new_password
from db.records import PasswordSet
from db.repository.access import (
    OPERATOR,
    STUDY_ROLES,
    allowed,
    folded_login,
    holds,
    new_id,
    person_of,
    person_row,
    roles_of,
)
from db.repository.sign_in import OF_LOGIN_AND_ADDRESS, OWN_FORM, SignInRepository
from db.tables import PasswordSetRow, PersonRow, SignInSessionRow, StudyMemberRow, StudyRoleRow, StudyRow
from db.ways_in import commitment, ways_of

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}")
_RESERVED = {OPERATOR.login, "nobody", "migration"}
_LONGEST_TEXT = 200
_NO_SIGN_IN = "a simulated reader has no password and no address: nobody signs in as one"

#: Everybody, with a column for each role in studies.
_WITH_ROLES = sa.select(
    PersonRow, PersonRow.role, *(holds(role, PersonRow.person_id).label(str(role)) for role in STUDY_ROLES)
)


class PeopleRepository(SignInRepository):
    """One's own password for everybody; people for administrators, and for coordinators those of their studies."""

    @allowed(*Role, before_change=True, as_program=True)
    def change_my_password(self, old_password: str, new_password: str) -> None:
        """Change the actor's own password and end all of the actor's sign-ins.

        Raises
        ------
        AccessError
            If the old password is wrong; after too many wrong ones, naming the seconds to wait: they are counted as
            failed sign-ins are, for whoever sits at a desk that was left open.
        InputError
            If the new one is too weak, or the old one again.
        """
        check_new_password(new_password, self._me.login)
        with self._reading() as db_session:
            old_hash = db_session.scalar(
                sa.select(PersonRow.password_hash).where(PersonRow.person_id == self._me.person_id)
            )
        with self._writing() as db_session:
            self._count_attempt(db_session, self._me.login, OWN_FORM, OF_LOGIN_AND_ADDRESS)
        if not self._passwords.verify(old_hash, old_password):
            with self._writing() as db_session:
                self._audit(db_session, "person.password-refused", login=self._me.login)
            raise AccessError("The old password is wrong.")
        with self._writing() as db_session:
            self._forgive(db_session, [(self._me.login, OWN_FORM)])
        if new_password == old_password:
            raise InputError("the new password is the old one", field="password", fix="choose another one")
        self._store_password(self._me.login, new_password)

    @allowed(*Role, before_change=True, as_program=True)
    def my_password_set(self) -> PasswordSet | None:
        """Who else last gave the actor a password or changed the sign-in address, and when; None: nobody ever did."""
        with self._reading() as db_session:
            query = sa.select(PasswordSetRow.set_by, PasswordSetRow.set_at)
            query = query.where(PasswordSetRow.person_id == self._me.person_id)
            found = db_session.execute(query.order_by(PasswordSetRow.set_at.desc()).limit(1)).first()
            return None if found is None else PasswordSet(found.set_by, found.set_at)

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def create_person(
        self,
        login: str,
        display_name: str,
        role: Role,
        *,
        password: str | None = None,
        is_temporary: bool = True,
        is_simulated: bool = False,
        years_of_experience: float | None = None,
        specialty: str | None = None,
        site: str | None = None,
        has_used_model: bool | None = None,
        email: str | None = None,
    ) -> Person:
        """Enter a person; without a password he or she signs in through an identity provider or not at all.

        A password that is given here is temporary: it is changed at the first sign-in, before anything else. Only the
        program's own accounts (the demo, the blinding audit) keep theirs.

        Raises
        ------
        InputError
            If the login, the name, the password or what is said of the person will not do.
        ConflictError
            If the login or the address is taken.
        AccessError
            If somebody else than an administrator makes an administrator.
        """
        person = Person(
            new_id(), login, display_name, role, is_simulated, years_of_experience,
            specialty=specialty, site=site, has_used_model=has_used_model, email=email,
        )  # fmt: skip
        person = checked_person(person)
        if role is Role.ADMINISTRATOR and self._me.role is not Role.ADMINISTRATOR:
            raise AccessError("Only an administrator makes an administrator.")
        if not is_temporary and self._me != OPERATOR:
            raise AccessError("A password that somebody else chose is changed at the first sign-in.")
        password_hash = self._new_hash(person, password)
        with self._writing() as db_session:
            row = self._add_person(db_session, person, password_hash)
            row.must_change_password = password_hash is not None and is_temporary
            return person_of(row)

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def describe_person(
        self,
        login: str,
        *,
        years_of_experience: float | None,
        specialty: str | None,
        site: str | None,
        has_used_model: bool | None,
        seen: Person | None = None,
    ) -> None:
        """Say anew what reviewers ask about a reader; not once a study with this reader was opened.

        ``seen`` is the person as shown where this was decided: what is the same there is left as it stands now.

        Raises
        ------
        NotFoundError, InputError
            No such person; a value that will not do.
        AccessError
            If the person is not in the actor's care alone.
        ConflictError
            If it is sealed with the reader's order.
        ChangedMeanwhileError
            If somebody else changed it since it was ``seen``.
        """
        told: dict[str, Any] = {
            "years_of_experience": years_of_experience,
            "specialty": specialty,
            "site": site,
            "has_used_model": has_used_model,
        }
        with self._writing() as db_session:
            row = self._in_care(db_session, login)
            person = checked_person(replace(person_of(row), **_merged(person_of(row), told, seen)))
            states = sa.select(StudyRow.state).join(StudyMemberRow, StudyMemberRow.study_id == StudyRow.study_id)
            states = states.where(StudyMemberRow.person_id == row.person_id)
            states = states.with_for_update(read=True, of=StudyRow)  # none is opened, and sealed, meanwhile
            if set(db_session.scalars(states)) - {StudyState.DRAFT}:
                raise ConflictError(f"What is said of '{row.login}' is sealed: a study with this reader was opened.")
            row.years_of_experience, row.has_used_model = person.years_of_experience, person.has_used_model
            row.specialty, row.site = person.specialty, person.site
            self._audit(
                db_session,
                "person.describe",
                login=row.login,
                years_of_experience=row.years_of_experience,
                specialty=row.specialty,
                site=row.site,
                has_used_model=row.has_used_model,
            )

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def set_email(self, login: str, email: str | None, *, seen: Person | None = None) -> None:
        """Set the address under which an identity provider knows a person; it stands beside later readings.

        Raises
        ------
        NotFoundError, InputError, AccessError, ConflictError
            No such person; no address; not in the actor's care alone; the address of somebody else, or one's own.
        ChangedMeanwhileError
            If somebody else changed it since it was ``seen``.
        """
        with self._writing() as db_session:
            row = self._in_care(db_session, login)
            _merged(person_of(row), {"email": email}, seen)
            email = checked_person(replace(person_of(row), email=email)).email
            _refuse_taken(db_session, PersonRow.email, email, row.person_id)
            row.email = email
            self._set_by_somebody_else(db_session, row, "email")

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def set_password(self, login: str, password: str) -> None:
        """Give somebody else a new password and end that person's sign-ins; who did so stands beside later readings.

        At the next sign-in the person is told, and can do nothing before choosing another password.

        Raises
        ------
        NotFoundError, InputError
            No such person; too weak, or for a simulated reader.
        AccessError
            If the person is not in the actor's care alone.
        ConflictError
            If it is one's own: it is changed with the old one.
        """
        with self._reading() as db_session:
            person = person_of(self._in_care(db_session, login))
        password_hash = self._new_hash(person, password)
        with self._writing() as db_session:
            row = self._in_care(db_session, login)
            row.password_hash, row.must_change_password = password_hash, True
            self._set_by_somebody_else(db_session, row, "password")

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def set_active(self, login: str, is_active: bool) -> None:
        """Let a person in again, or out: an inactive person's sign-ins end at once.

        Raises
        ------
        NotFoundError
            If there is no such person.
        AccessError
            If the person is not in the actor's care alone.
        ConflictError
            If it is oneself.
        """
        with self._writing() as db_session:
            row = self._in_care(db_session, login)
            row.is_active = is_active
            if not is_active:
                self._end_sign_ins(db_session, row.person_id)
            self._audit(db_session, "person.active", login=row.login, is_active=is_active)

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def people(self) -> list[Person]:
        """By login: for administrators everybody, for coordinators those of their studies and whom they entered."""
        with self._reading() as db_session:
            found = db_session.execute(_WITH_ROLES.where(self._is_visible()))
            people = [person_of(each.PersonRow, roles_of(each)) for each in found]
        return sorted(people, key=lambda person: natural_key(person.login))

    @allowed(Role.COORDINATOR, Role.ADMINISTRATOR)
    def person(self, login: str) -> Person:
        """One person of those in :meth:`people`.

        Raises
        ------
        NotFoundError
            If there is no such person.
        """
        with self._reading() as db_session:
            return person_of(self._visible_row(db_session, login))

    def _add_person(
        self, db_session: Session, person: Person, password_hash: str | None, *, invited_by: str | None = None
    ) -> PersonRow:
        """Store a checked person; a password that somebody else chose is remembered as such."""
        _refuse_taken(db_session, PersonRow.login, person.login)
        _refuse_taken(db_session, PersonRow.email, person.email)
        is_own_deed = self._me.person_id == person.person_id  # of an invited person
        created_by = invited_by if is_own_deed or self._me == OPERATOR else self._me.person_id
        row = PersonRow(
            person_id=person.person_id,
            login=person.login,
            display_name=person.display_name,
            role=str(person.role),
            password_hash=password_hash,
            is_simulated=person.is_simulated,
            years_of_experience=person.years_of_experience,
            is_active=True,
            created_at=self._clock(),
            specialty=person.specialty,
            site=person.site,
            has_used_model=person.has_used_model,
            email=person.email,
            created_by=created_by,
        )
        db_session.add(row)
        db_session.flush()
        is_set_by_other = not is_own_deed and (password_hash or row.email) is not None
        if is_set_by_other:
            self._note_set(db_session, row)
        self._audit(
            db_session,
            "person.create",
            login=row.login,
            role=row.role,
            is_simulated=row.is_simulated,
            is_by_other=is_set_by_other,
            **ways_of(row.person_id, row.password_hash, row.email),
        )
        return row

    def _new_hash(self, person: Person, password: str | None) -> str | None:
        """Hash of a password that will do; none where there is none."""
        if password is None:
            return None
        if person.is_simulated:
            raise InputError(_NO_SIGN_IN, field="password")
        check_new_password(password, person.login)
        return self._passwords.hash(password)

    def _store_password(self, login: str, password: str) -> None:
        """Store the hash of a password that its owner chose, and end the owner's sign-ins."""
        password_hash = self._passwords.hash(password)
        with self._writing() as db_session:
            row = person_row(db_session, login)
            row.password_hash, row.must_change_password = password_hash, False
            self._end_sign_ins(db_session, row.person_id)
            self._audit(db_session, "person.password", login=row.login, password=commitment("password", password_hash))

    def _set_by_somebody_else(self, db_session: Session, row: PersonRow, way: str) -> None:
        """Remember who opened a way in for a person, and end the person's sign-ins."""
        self._note_set(db_session, row)
        self._end_sign_ins(db_session, row.person_id)
        now = {way: ways_of(row.person_id, row.password_hash, row.email)[way]}
        self._audit(db_session, f"person.{way}", login=row.login, is_by_other=True, **now)

    def _note_set(self, db_session: Session, row: PersonRow) -> None:
        """Enter the actor as one who knows, or could use, a person's way in."""
        db_session.add(
            PasswordSetRow(
                password_set_id=new_id(), person_id=row.person_id, set_by=self._me.login, set_at=self._clock()
            )
        )

    def _end_sign_ins(self, db_session: Session, person_id: str) -> None:
        """Revoke every sign-in of a person."""
        db_session.execute(
            sa.update(SignInSessionRow)
            .where(SignInSessionRow.person_id == person_id, SignInSessionRow.revoked_at.is_(None))
            .values(revoked_at=self._clock())
        )

    def _my_study_ids(self) -> sa.Select[str]:
        """The studies that the actor coordinates."""
        return sa.select(StudyRoleRow.study_id).where(
            StudyRoleRow.person_id == self._me.person_id,
            StudyRoleRow.role == str(Role.COORDINATOR),
            StudyRoleRow.ended_at.is_(None),
        )

    def _is_visible(self) -> sa.ColumnElement[bool]:
        """Condition on a person: one whom the actor may know."""
        if self._me.role is Role.ADMINISTRATOR:
            return sa.true()
        mine = self._my_study_ids()
        return sa.or_(
            PersonRow.person_id == self._me.person_id,
            PersonRow.created_by == self._me.person_id,
            *(
                PersonRow.person_id.in_(sa.select(table.person_id).where(table.study_id.in_(mine)))
                for table in (StudyMemberRow, StudyRoleRow)
            ),
        )

    def _visible_row(self, db_session: Session, login: str) -> PersonRow:
        """A person whom the actor may know."""
        query = sa.select(PersonRow).where(PersonRow.login == folded_login(login), self._is_visible())
        row = db_session.scalars(query).first()
        if row is None:
            raise NotFoundError(
                f"There is no person with login '{folded_login(login)}'. Fix: 'python manage.py person list' shows all."
            )
        return row

    def _in_care(self, db_session: Session, login: str) -> PersonRow:
        """Somebody else, whose way in the actor may change: it must not lead into the studies of others."""
        row = self._visible_row(db_session, login)
        if row.person_id == self._me.person_id:
            raise ConflictError("This is you yourself; ask another coordinator or administrator.")
        if self._me.role is Role.ADMINISTRATOR:
            return row
        mine = self._my_study_ids()
        has_part_elsewhere = sa.or_(
            *(
                sa.exists().where(table.person_id == row.person_id, table.study_id.not_in(mine))
                for table in (StudyMemberRow, StudyRoleRow)
            )
        )
        if row.role in (Role.COORDINATOR, Role.ADMINISTRATOR) or db_session.scalar(sa.select(has_part_elsewhere)):
            raise AccessError(f"'{row.login}' is not in your care alone. Fix: ask an administrator.")
        return row


def checked_person(person: Person) -> Person:
    """A person whose login, name and description will do, as they are stored.

    Raises
    ------
    InputError
        Naming the field.
    """
    login = folded_login(person.login)
    if _LOGIN.fullmatch(login) is None or login in _RESERVED:
        raise InputError(
            "not a login",
            field="login",
            value=login,
            fix="use 1 to 64 letters a-z, digits and . _ @ + -, beginning with a letter or digit",
        )
    if not person.display_name.strip():
        raise InputError("a person needs a name", field="display_name", value=person.display_name)
    years = person.years_of_experience
    if years is not None and not 0 <= years <= 80:
        raise InputError(
            "years of experience lie between 0 and 80",
            field="years_of_experience",
            value=years,
            fix="write the years, or leave them out",
        )
    name, specialty, site, email = (
        (text or "").strip() for text in (person.display_name, person.specialty, person.site, person.email)
    )
    for field, text in {"display_name": name, "specialty": specialty, "site": site, "email": email}.items():
        check_line(text, field, longest=_LONGEST_TEXT)
    if email and person.is_simulated:
        raise InputError(_NO_SIGN_IN, field="email")
    if email and (_EMAIL.fullmatch(email) is None or not email.isascii()):
        fix = "write it as name@institution.org, without accents"  # two such addresses can look, and fold, alike
        raise InputError("not an e-mail address", field="email", value=email, fix=fix)
    return replace(
        person,
        login=login,
        display_name=name,
        specialty=specialty or None,
        site=site or None,
        email=email.casefold() or None,
    )


def _merged(now: Person, told: dict[str, Any], seen: Person | None) -> dict[str, Any]:
    """Of what is said of a person, what was changed on the screen that showed ``seen``; the rest as it stands now."""
    if seen is None:
        return told
    plain = {name: value.strip() or None if isinstance(value, str) else value for name, value in told.items()}
    mine = {name: value for name, value in plain.items() if value != getattr(seen, name)}
    undone = [
        f"{name} is {getattr(now, name) or 'empty'}, it was {getattr(seen, name) or 'empty'}"
        for name, value in mine.items()
        if getattr(now, name) not in (getattr(seen, name), value)
    ]
    if undone:
        raise ChangedMeanwhileError(f"What is said of '{now.login}'", undone)
    return mine


def _refuse_taken(
    db_session: Session, column: sa.orm.InstrumentedAttribute[str | None], value: str | None, but: str = ""
) -> None:
    """Refuse a login or an address that somebody else has."""
    if value is None:
        return
    found = db_session.scalar(sa.select(PersonRow.login).where(column == value, PersonRow.person_id != but))
    if found is not None:
        raise ConflictError(f"There is a person with {column.key} '{value}' already. Fix: choose another.")


class ReaderMarks:
    """What stands beside the readings of a study because of who could sign in, or who left."""

    def __init__(self, db_session: Session, study: StudyRow) -> None:
        of_study = StudyMemberRow.study_id == study.study_id
        query = sa.select(PasswordSetRow).join(StudyMemberRow, StudyMemberRow.person_id == PasswordSetRow.person_id)
        self._sets: dict[str, list[PasswordSet]] = defaultdict(list)
        for row in db_session.scalars(query.where(of_study).order_by(PasswordSetRow.set_at)):
            self._sets[row.person_id].append(PasswordSet(row.set_by, row.set_at))
        left = sa.select(StudyMemberRow.person_id).where(of_study, StudyMemberRow.withdrawn_at.is_not(None))
        self.withdrawn = frozenset(db_session.scalars(left))

    def password_set(self, person_id: str, before: datetime | None = None) -> PasswordSet | None:
        """Who else last gave the reader a password or changed the address, until an instant."""
        sets = [each for each in self._sets.get(person_id, ()) if before is None or each.set_at <= before]
        return sets[-1] if sets else None

    def password_set_by(self, person_id: str, before: datetime) -> str | None:
        """That one's login."""
        found = self.password_set(person_id, before)
        return None if found is None else found.set_by
