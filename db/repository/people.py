"""People: who they are, their passwords, and how they are let out again."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, ConflictError, InputError
from core.study import Person, Role
from db.password_hashing import check_new_password
from db.repository.access import OPERATOR, RepositoryBase, allowed, folded_login, new_id, person_of, person_row
from db.tables import PersonRow, SignInSessionRow

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_RESERVED = {OPERATOR.login, "nobody"}
_NO_SIGN_IN = "a simulated reader has no password: nobody signs in as one"


class PeopleRepository(RepositoryBase):
    """One's own password for everybody, people for coordinators."""

    @allowed(Role.COORDINATOR, Role.READER)
    def change_my_password(self, old_password: str, new_password: str) -> None:
        """Change the actor's own password and end all of the actor's sign-ins.

        Raises
        ------
        AccessError
            If the old password is wrong.
        InputError
            If the new one is too weak.
        """
        check_new_password(new_password, self._me.login)
        with self._reading() as db_session:
            old_hash = db_session.scalar(
                sa.select(PersonRow.password_hash).where(PersonRow.person_id == self._me.person_id)
            )
        if not self._passwords.verify(old_hash, old_password):
            raise AccessError("The old password is wrong.")
        self._store_password(self._me.login, new_password)

    @allowed(Role.COORDINATOR)
    def create_person(
        self,
        login: str,
        display_name: str,
        role: Role,
        *,
        password: str | None = None,
        is_simulated: bool = False,
        years_of_experience: float | None = None,
    ) -> Person:
        """Enter a person; without a password he or she cannot sign in.

        Raises
        ------
        InputError
            If the login, the name or the password will not do.
        ConflictError
            If the login is taken.
        """
        login = folded_login(login)
        if _LOGIN.fullmatch(login) is None or login in _RESERVED:
            raise InputError(
                "not a login",
                field="login",
                value=login,
                fix="use 1 to 64 letters a-z, digits and . _ @ + -, beginning with a letter or digit",
            )
        if not display_name.strip():
            raise InputError("a person needs a name", field="display_name", value=display_name)
        if years_of_experience is not None and not 0 <= years_of_experience <= 80:
            raise InputError(
                "years of experience lie between 0 and 80", field="years_of_experience", value=years_of_experience
            )
        password_hash = None
        if password is not None:
            if is_simulated:
                raise InputError(_NO_SIGN_IN, field="password")
            check_new_password(password, login)
            password_hash = self._passwords.hash(password)
        with self._writing() as db_session:
            if db_session.scalar(sa.select(PersonRow.login).where(PersonRow.login == login)) is not None:
                raise ConflictError(f"There is a person with login '{login}' already.")
            row = PersonRow(
                person_id=new_id(),
                login=login,
                display_name=display_name.strip(),
                role=str(role),
                password_hash=password_hash,
                is_simulated=is_simulated,
                years_of_experience=years_of_experience,
                is_active=True,
                created_at=self._clock(),
            )
            db_session.add(row)
            self._audit(db_session, "person.create", login=login, role=str(role), is_simulated=is_simulated)
            return person_of(row)

    @allowed(Role.COORDINATOR)
    def set_password(self, login: str, password: str) -> None:
        """Give a person a new password and end all of that person's sign-ins.

        Raises
        ------
        NotFoundError, InputError
            No such person; too weak, or for a simulated reader.
        """
        check_new_password(password, folded_login(login))
        self._store_password(folded_login(login), password)

    @allowed(Role.COORDINATOR)
    def set_active(self, login: str, is_active: bool) -> None:
        """Let a person in again, or out: an inactive person's sign-ins end at once.

        Raises
        ------
        NotFoundError
            If there is no such person.
        ConflictError
            If coordinators would shut themselves out.
        """
        with self._writing() as db_session:
            row = person_row(db_session, login)
            if row.person_id == self._me.person_id and not is_active:
                raise ConflictError("You cannot deactivate yourself; ask another coordinator.")
            row.is_active = is_active
            if not is_active:
                self._end_sign_ins(db_session, row.person_id)
            self._audit(db_session, "person.active", login=row.login, is_active=is_active)

    @allowed(Role.COORDINATOR)
    def people(self) -> list[Person]:
        """Everybody, by login."""
        with self._reading() as db_session:
            return [person_of(row) for row in db_session.scalars(sa.select(PersonRow).order_by(PersonRow.login))]

    @allowed(Role.COORDINATOR)
    def person(self, login: str) -> Person:
        """One person.

        Raises
        ------
        NotFoundError
            If there is no such person.
        """
        with self._reading() as db_session:
            return person_of(person_row(db_session, login))

    def _store_password(self, login: str, password: str) -> None:
        """Store a hash and end the person's sign-ins."""
        password_hash = self._passwords.hash(password)
        with self._writing() as db_session:
            row = person_row(db_session, login)
            if row.is_simulated:
                raise InputError(_NO_SIGN_IN, field="password")
            row.password_hash = password_hash
            self._end_sign_ins(db_session, row.person_id)
            self._audit(db_session, "person.password", login=row.login)

    def _end_sign_ins(self, db_session: Session, person_id: str) -> None:
        """Revoke every sign-in of a person."""
        db_session.execute(
            sa.update(SignInSessionRow)
            .where(SignInSessionRow.person_id == person_id, SignInSessionRow.revoked_at.is_(None))
            .values(revoked_at=self._clock())
        )
